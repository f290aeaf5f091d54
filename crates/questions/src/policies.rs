//! "Which policies were in force when X was issued?" By event time, never today's.

use std::collections::BTreeMap;

use ledgerline_index::terms::By;
use ledgerline_journal::format::AttachmentRecord;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::vocabulary::{EventType, Outcome, PolicyRole, TargetKind};
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::QueryError;

mod privilege;

use crate::lineage::{PageWanted, QueryContext, Record};
use privilege::privileges;

pub use privilege::{Privilege, is_over_privileged};

/// Policy changes of a tenant that are looked at.
const MAX_CHANGES: usize = 20_000;
/// Events that name one digest that are looked at for the attachment.
const MAX_NAMING: usize = 256;

/// A version of a policy, as its POLICY_CHANGED says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// The policy.
    pub id: String,
    /// The version.
    pub version: String,
    /// SHA-256 of its snapshot.
    pub digest: Option<Hash>,
    /// From when it is in force.
    pub effective_from: i64,
    /// Until when, if it says so or a later version follows.
    pub effective_until: Option<i64>,
    /// The version it replaces.
    pub previous_version: Option<String>,
    /// The change request, ticket or commit.
    pub change_ref: Option<String>,
    /// The service that enforces it.
    pub service: Option<String>,
    /// The entry.
    pub at: EntryRef,
    /// When the change was made.
    pub occurred_at: i64,
}

/// A policy that the ISSUED names, with its part in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The policy.
    pub id: String,
    /// The version that the source applied.
    pub version: String,
    /// SHA-256 of its snapshot, as the source says.
    pub digest: Option<Hash>,
    /// Its part.
    pub role: PolicyRole,
    /// Whether that version was the one in force; `None` when the ledger has no versions of it.
    pub in_force: Option<bool>,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct IssuePolicies {
    /// When the token was issued; `None` when no ISSUED or ORIGIN is recorded.
    pub issued_at: Option<i64>,
    /// The policies that its ISSUED names.
    pub named: Vec<Named>,
    /// All policies of the tenant in force at that time, by id.
    pub in_force: Vec<PolicyVersion>,
    /// The scopes it was issued with.
    pub scopes: Vec<String>,
    /// Those scopes, judged by each policy named.
    pub privileges: Vec<Privilege>,
}

fn version_of(record: &Record) -> Option<PolicyVersion> {
    record.read(|_, statement| {
        let done = !matches!(statement.outcome, Outcome::Deny | Outcome::Error);
        if statement.event_type != EventType::PolicyChanged
            || statement.target.kind != TargetKind::Policy
            || !done
        {
            return None;
        }
        let own = statement.policies.iter().find(|policy| policy.id == statement.target.id);
        let change = statement.policy_change.as_ref();
        let from = change.and_then(|change| change.effective_from).or(statement.effective_at);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(PolicyVersion {
            id: statement.target.id.to_owned(),
            version: own.map_or("", |policy| policy.version).to_owned(),
            digest: change
                .and_then(|change| change.snapshot)
                .or_else(|| own.and_then(|policy| policy.digest)),
            effective_from: from.unwrap_or(statement.occurred_at.nanos),
            effective_until: change.and_then(|change| change.effective_until),
            previous_version: owned(change.and_then(|change| change.previous_version)),
            change_ref: owned(change.and_then(|change| change.change_ref)),
            service: owned(statement.service),
            at: record.at,
            occurred_at: statement.occurred_at.nanos,
        })
    })
}

/// The versions of one policy, or of all, by id and the time they take effect. A version that the
/// next one ends before it says so itself ends there.
///
/// # Errors
/// [`QueryError`].
pub fn policy_versions(
    context: &mut QueryContext<'_>,
    id: Option<&str>,
) -> Result<Vec<PolicyVersion>, QueryError> {
    let records = match id {
        Some(id) => context.chain(TargetKind::Policy, id.as_bytes(), MAX_CHANGES)?,
        None => {
            let term = By::PolicyChange.term(context.view().terms(), &context.scope().tenant);
            let is_change = |s: &ledgerline_proof::statement::Statement<'_>| {
                s.event_type == EventType::PolicyChanged
            };
            context.records(&term, MAX_CHANGES, |_, statement| is_change(statement))?
        }
    };
    let mut versions: Vec<PolicyVersion> =
        records.iter().filter_map(|record| version_of(record)).collect();
    versions.sort_by(|a, b| (&a.id, a.effective_from, a.at).cmp(&(&b.id, b.effective_from, b.at)));
    let starts: Vec<(String, i64)> =
        versions.iter().map(|one| (one.id.clone(), one.effective_from)).collect();
    for (version, (id, start)) in versions.iter_mut().zip(starts.iter().skip(1)) {
        if version.id == *id {
            let end = version.effective_until.map_or(*start, |end| end.min(*start));
            version.effective_until = Some(end);
        }
    }
    for version in &versions {
        context.cite(version.at);
    }
    Ok(versions)
}

/// The version of each policy in force at a time.
#[must_use]
pub fn in_force_at(versions: &[PolicyVersion], nanos: i64) -> Vec<&PolicyVersion> {
    let mut newest: BTreeMap<&str, &PolicyVersion> = BTreeMap::new();
    for version in versions.iter().filter(|version| version.effective_from <= nanos) {
        newest.insert(&version.id, version);
    }
    let ended = |version: &&PolicyVersion| version.effective_until.is_none_or(|end| nanos < end);
    newest.into_values().filter(ended).collect()
}

/// The policies in force when a token was issued. `None` when nothing is recorded about it.
///
/// # Errors
/// [`QueryError`].
pub fn policies_at_issue(
    context: &mut QueryContext<'_>,
    id: &str,
) -> Result<Option<IssuePolicies>, QueryError> {
    let token = context.token(id)?;
    if !token.is_known() {
        return Ok(None);
    }
    context.show_token(&token.summary);
    let issued_at = token.happened.born_at;
    let Some(at) = issued_at else {
        let (named, in_force, scopes) = Default::default();
        let privileges = Vec::new();
        return Ok(Some(IssuePolicies { issued_at, named, in_force, scopes, privileges }));
    };
    let versions = policy_versions(context, None)?;
    let in_force: Vec<PolicyVersion> = in_force_at(&versions, at).into_iter().cloned().collect();
    let mut named = Vec::new();
    for record in token.records.iter().filter(|one| token.births.contains(&one.at)) {
        context.cite(record.at);
        record.read(|_, statement| {
            for policy in &statement.policies {
                let known = versions.iter().any(|one| one.id == policy.id);
                let same =
                    |one: &PolicyVersion| one.id == policy.id && one.version == policy.version;
                named.push(Named {
                    id: policy.id.to_owned(),
                    version: policy.version.to_owned(),
                    digest: policy.digest,
                    role: policy.role,
                    in_force: known.then(|| in_force.iter().any(same)),
                });
            }
        });
    }
    let scopes = token.facts.scopes.clone();
    let privileges = privileges(context, &named, &in_force, &scopes)?;
    Ok(Some(IssuePolicies { issued_at, named, in_force, scopes, privileges }))
}

/// Reads the events that name some digests, together.
fn read_naming(context: &mut QueryContext<'_>, digests: impl Iterator<Item = Hash>) {
    let wanted = digests.map(|digest| PageWanted {
        term: By::Digest(&digest).term(context.view().terms(), &context.scope().tenant),
        from: EntryRef::FIRST.into(),
        limit: MAX_NAMING,
    });
    let wanted: Vec<PageWanted> = wanted.collect();
    context.read_hits(&wanted);
}

/// The attachment with a digest, of the first event that names it and has it beside.
///
/// # Errors
/// [`QueryError`].
pub fn attachment(
    context: &mut QueryContext<'_>,
    digest: &Hash,
) -> Result<Option<AttachmentRecord>, QueryError> {
    let term = By::Digest(digest).term(context.view().terms(), &context.scope().tenant);
    let naming = context.records(&term, MAX_NAMING, |_, statement| {
        let snapshot = statement.policy_change.as_ref().and_then(|change| change.snapshot);
        let named = statement.policies.iter().filter_map(|policy| policy.digest);
        named.chain(snapshot).any(|named| named == *digest)
    })?;
    for record in naming {
        if let Some(found) = context.attachment(record.at, digest)? {
            context.cite(record.at);
            return Ok(Some(found));
        }
    }
    Ok(None)
}
