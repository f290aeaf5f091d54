//! The rules about what a token is presented as, and issued by: audience, key, policy, other ids.
//!
//! ```text
//! audience_mismatch  a permitted use at a `service` that the token's audience does not name,
//!                    though that issuer has issued tokens for that very name: so it is one of
//!                    those that audiences are made of. Compared byte by byte; other services say
//!                    nothing
//! forged_suspect     a permitted use of a token that nobody issued here, under a key by which its
//!                    issuer has issued nothing and which it never announced, though the ledger
//!                    knows other keys of it. Withdrawn when the token's birth arrives
//! policy_mismatch    an ISSUED names a GRANT policy by id, version and digest, and the
//!                    POLICY_CHANGED of that version in effect by then had another digest: high.
//!                    Or another version was in effect, or that one not yet: medium; within the
//!                    propagation window after the change `info`
//! alias_conflict     `also_known_as` says that two ids are one token, but both were issued here,
//!                    and their client, kind, session, grant or expiry differ. About the token that
//!                    is claimed, which was there first; the claimant is its `parent`. Once a
//!                    claimant. Ids of two issuers are never joined, so such a claim, by a key that
//!                    may write about both, conflicts with nothing; by another it is refused
//! claimed_by_several the digest of a presented token is in ids of several issuers that say where
//!                    it stands: who presents it presents all of them. Told at the first such entry
//!                    of an id that comes later, about the token that was there first, with the
//!                    newcomer as `parent`, and about the newcomer, with the other one
//! ```
//!
//! Assumes: an act is judged by what was recorded before it; a POLICY_CHANGED that arrives later is
//! not looked at.

use std::rc::Rc;

use ledgerline_index::Term;
use ledgerline_index::terms::{
    By, chain_term, is_birth, issuer_about, issuer_of, own_id, presented_digest,
};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::token_id::can_be_one_token;
use ledgerline_proof::vocabulary::{EventType, Outcome, PolicyRole, TargetKind};
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_view::counted;
use ledgerline_view::view::{QueryError, View};

use super::rules::Explanation::Propagation;
use super::rules::{Cited, Finding, Rule, Severity, behind};
use super::token_state::{Act, Life, cite, finding};
use super::{Judge, KnownBirth, term_of};

/// Other ids of a token that are looked at.
const MAX_ALIASES: usize = 8;

/// A version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PolicyVersion {
    version: String,
    digest: Hash,
    from: i64,
    place: u64,
    event: Cited,
}

/// The versions of one policy, in the order recorded.
pub(super) type PolicyVersions = Rc<[PolicyVersion]>;

fn version_of(statement: &Statement<'_>, place: u64) -> Option<PolicyVersion> {
    let done = !matches!(statement.outcome, Outcome::Deny | Outcome::Error);
    let is_one = statement.event_type == EventType::PolicyChanged
        && statement.target.kind == TargetKind::Policy
        && done;
    let own = statement.policies.iter().find(|policy| policy.id == statement.target.id)?;
    let change = statement.policy_change.as_ref();
    let snapshot = change.and_then(|change| change.snapshot);
    let from = change.and_then(|change| change.effective_from).or(statement.effective_at);
    let digest = snapshot.or(own.digest)?;
    is_one.then(|| PolicyVersion {
        version: own.version.to_owned(),
        digest,
        from: from.unwrap_or(statement.occurred_at.nanos),
        place,
        event: cite(statement),
    })
}

/// A token's birth under the id of an act.
struct OwnBirth<'b> {
    leaf: &'b [u8],
    place: u64,
}

impl Judge {
    /// What an entry teaches about issuers and policies. After it was judged.
    pub(super) fn learn(&mut self, view: &View, act: &Act<'_, '_>) {
        let statement = act.statement;
        let issuer = issuer_about(statement);
        let front = || issuer.map(str::to_owned);
        let memory = &mut self.memory;
        if is_birth(statement) && statement.outcome == Outcome::Allow {
            let Some(front) = front() else { return };
            if let Some(kid) = statement.issuer_kid {
                memory.learn_key(statement.tenant, &front, own_id(kid, issuer));
            }
            for name in &statement.audience {
                memory.learn_audience(statement.tenant, &front, name);
            }
        } else if statement.event_type == EventType::KeyChanged
            && statement.target.kind == TargetKind::Key
        {
            let front = front().unwrap_or_default();
            memory.learn_key(statement.tenant, &front, own_id(statement.target.id, issuer));
        } else if statement.target.kind == TargetKind::Policy {
            let key = policy_term(view, statement.tenant, statement.target.id);
            if let Some(known) = self.policies.get_mut(&key) {
                let new = version_of(statement, act.place);
                *known = known.iter().cloned().chain(new).collect();
            }
        }
    }

    /// What is off about what a token is presented as. `life` has taken the act already.
    pub(super) fn presented(
        &mut self,
        view: &View,
        below: u64,
        life: &Life,
        act: &Act<'_, '_>,
    ) -> Result<Vec<Finding>, QueryError> {
        let statement = act.statement;
        if statement.outcome != Outcome::Allow {
            return Ok(Vec::new());
        }
        let mut found = claimed_elsewhere(view, act)?;
        if matches!(statement.event_type, EventType::Used | EventType::ResourceAccessed) {
            match life.born() {
                Some(born) => found.extend(self.audience(life, born, act)),
                None => found.extend(self.forged(act)),
            }
        }
        if statement.event_type == EventType::Issued {
            found.extend(self.policies_of(view, below, act)?);
        }
        let claims = !statement.also_known_as.is_empty();
        if !claims && !is_birth(statement) {
            return Ok(found);
        }
        if let Some((birth, place)) = life.birth_of(statement.target.id) {
            if claims {
                let own = OwnBirth { leaf: birth, place };
                found.extend(self.aliases(view, below, &own, act)?);
            }
            if place == act.place {
                found.extend(self.claimed_before(view, below, birth, act)?);
            }
        }
        Ok(found)
    }

    fn audience(&self, life: &Life, born: &Cited, act: &Act<'_, '_>) -> Option<Finding> {
        let service = act.statement.service?;
        if life.audience.is_empty() || life.audience.iter().any(|name| **name == *service) {
            return None;
        }
        let front = issuer_of(act.statement.target.id)?;
        let name = (act.statement.tenant.to_owned(), front.to_owned(), service.to_owned());
        self.memory.audiences.contains(&name).then(|| {
            let mut finding = finding(act, Rule::AudienceMismatch, None);
            finding.about = Some(service.to_owned());
            finding.events.push(born.clone());
            finding
        })
    }

    fn forged(&self, act: &Act<'_, '_>) -> Option<Finding> {
        let front = issuer_of(act.statement.target.id)?;
        let shown = own_id(act.statement.issuer_kid?, Some(front));
        let mut known = self.memory.keys.of_issuer(act.statement.tenant, front)?.peekable();
        known.peek()?;
        (!known.any(|kid| kid == shown)).then(|| finding(act, Rule::ForgedSuspect, None))
    }

    fn policies_of(
        &mut self,
        view: &View,
        below: u64,
        act: &Act<'_, '_>,
    ) -> Result<Vec<Finding>, QueryError> {
        let (statement, at) = (act.statement, act.statement.occurred_at.nanos);
        let mut found = Vec::new();
        for policy in statement.policies.iter().filter(|one| one.role == PolicyRole::Grant) {
            let versions = self.versions(view, below, statement.tenant, policy.id)?;
            let in_effect = versions.iter().rev().find(|one| {
                one.version == policy.version && one.from <= at && one.place < act.place
            });
            let differs = |one: &&PolicyVersion| policy.digest.is_some_and(|own| one.digest != own);
            let not_in_force = not_in_force(&versions, policy.version, act);
            if let Some((other, gap)) = not_in_force {
                let spread = self.windows.propagation_nanos;
                let own = self.windows.believed(statement.source, statement.time_uncertainty_ns);
                let explained = gap.and_then(|gap| behind(gap, own, spread, Propagation));
                let mut finding = finding(act, Rule::PolicyMismatch, explained);
                finding.severity = finding.severity.min(Severity::Medium);
                finding.gap_ms = gap.map(|nanos| nanos.div_euclid(1_000_000));
                finding.events.push(other.event.clone());
                let (named, other) = (policy.version, &other.version);
                finding.about = Some(format!("{} {named} was not in force: {other}", policy.id));
                found.push(finding);
            } else if let Some(other) = in_effect.filter(differs) {
                let mut finding = finding(act, Rule::PolicyMismatch, None);
                finding.events.push(other.event.clone());
                finding.about = Some(format!("{} {}", policy.id, policy.version));
                found.push(finding);
            }
        }
        Ok(found)
    }

    fn versions(
        &mut self,
        view: &View,
        below: u64,
        tenant: &str,
        id: &str,
    ) -> Result<PolicyVersions, QueryError> {
        let key = policy_term(view, tenant, id);
        if let Some(known) = self.policies.get_mut(&key) {
            return Ok(Rc::clone(known));
        }
        let mut versions = Vec::new();
        view.each_of(&key, below, &mut |place, leaf| {
            let of_it = |one: &Statement<'_>| {
                let target = &one.target;
                (one.tenant, target.kind, target.id) == (tenant, TargetKind::Policy, id)
            };
            let version =
                read_event(&leaf, |_, one| if of_it(one) { version_of(one, place) } else { None });
            versions.extend(version.flatten());
        })?;
        let versions: PolicyVersions = versions.into();
        self.policies.put(key, Rc::clone(&versions));
        Ok(versions)
    }

    fn aliases(
        &mut self,
        view: &View,
        below: u64,
        &OwnBirth { leaf: birth, place }: &OwnBirth<'_>,
        act: &Act<'_, '_>,
    ) -> Result<Option<Finding>, QueryError> {
        let statement = act.statement;
        let own = statement.target.id;
        let others = statement.also_known_as.iter().filter(|other| **other != own);
        let of_issuer = |other: &&&str| issuer_of(other) == issuer_of(own);
        for other in others.filter(of_issuer).take(MAX_ALIASES) {
            let token = (statement.tenant, *other);
            let key = term_of(view, token);
            // A life that is read again meets this act with more behind it than was known then.
            let theirs = self.known_alone(view, below, &key, token)?.birth;
            let theirs = theirs.filter(|one| one.known < act.place);
            let Some(KnownBirth { birth: mut theirs, known: their_place }) = theirs else {
                continue;
            };
            let theirs = theirs.read(view)?;
            let differs = read_event(birth, |_, one| {
                read_event(&theirs, |_, two| (differing(one, two), cite(two)))
            });
            let Some((differing, event)) = differs.flatten() else { continue };
            // What claimed it at its own birth, and was there first, was told at the other's birth.
            let claims = |one: &Statement<'_>| one.also_known_as.contains(other);
            let is_told =
                read_event(birth, |_, one| claims(one)) == Some(true) && place < their_place;
            if !differing.is_empty() && !is_told {
                let mut finding = finding(act, Rule::AliasConflict, None);
                // Whoever looks at the token under attack has to see it there.
                finding.parent = Some(own.to_owned());
                (*other).clone_into(&mut finding.target);
                finding.about = Some(differing.join(" "));
                finding.events.push(event);
                return Ok(Some(finding));
            }
        }
        Ok(None)
    }

    /// A token that is born just now, and that another one claimed to be before: who claims first
    /// is told like who claims later.
    fn claimed_before(
        &mut self,
        view: &View,
        below: u64,
        birth: &[u8],
        act: &Act<'_, '_>,
    ) -> Result<Option<Finding>, QueryError> {
        let (tenant, own) = (act.statement.tenant, act.statement.target.id);
        for claimant in claimants(view, act)? {
            let token = (tenant, &*claimant);
            let key = term_of(view, token);
            let theirs = self.known_alone(view, below, &key, token)?.birth;
            let theirs = theirs.filter(|one| one.known < act.place);
            let Some(mut theirs) = theirs else { continue };
            let theirs = theirs.birth.read(view)?;
            let differs = read_event(birth, |_, one| {
                read_event(&theirs, |_, two| (differing(one, two), cite(two)))
            });
            let Some((differing, event)) = differs.flatten() else { continue };
            if !differing.is_empty() {
                let mut finding = finding(act, Rule::AliasConflict, None);
                debug_assert_eq!(finding.target, own);
                finding.parent = Some(claimant);
                finding.about = Some(differing.join(" "));
                finding.events.push(event);
                return Ok(Some(finding));
            }
        }
        Ok(None)
    }
}

/// Whether an entry says where its token stands, and not only that somebody used it.
fn says_state(statement: &Statement<'_>) -> bool {
    statement.target.kind == TargetKind::Token
        && statement.outcome == Outcome::Allow
        && matches!(
            statement.event_type,
            EventType::Issued
                | EventType::Origin
                | EventType::Activated
                | EventType::Rotated
                | EventType::Suspended
                | EventType::Reinstated
                | EventType::Revoked
                | EventType::Expired
        )
}

/// That the digest of a token is another issuer's too, by what was recorded before this act. Two
/// findings, one about each.
fn claimed_elsewhere(view: &View, act: &Act<'_, '_>) -> Result<Vec<Finding>, QueryError> {
    let (tenant, own) = (act.statement.tenant, act.statement.target.id);
    let Some(digest) = presented_digest(own).filter(|_| says_state(act.statement)) else {
        return Ok(Vec::new());
    };
    let (tenant_of, as_of) = (tenant.to_owned(), counted::first(view, act.place));
    let scope = Scope { tenant: tenant_of, as_of, at: None, judged_at: i64::MAX };
    let mut context = QueryContext::new(view, scope, Spending::default())?;
    let term = By::Presented(digest).term(view.terms(), tenant);
    let records = context.records(&term, 1, |_, one| {
        let id = one.target.id;
        says_state(one) && presented_digest(id) == Some(digest) && !can_be_one_token(id, own)
    })?;
    let Some(record) = records.first() else { return Ok(Vec::new()) };
    let (other, event) = record.read(|_, one| (one.target.id.to_owned(), cite(one)));
    // Who was there first is not the newcomer when more is told of it.
    let is_own = |one: &Statement<'_>| says_state(one) && one.target.id == own;
    if !context.records(&term, 1, |_, one| is_own(one))?.is_empty() {
        return Ok(Vec::new());
    }
    let mut theirs = finding(act, Rule::ClaimedBySeveral, None);
    theirs.events.push(event);
    let mut ours = theirs.clone();
    ours.parent = Some(other.clone());
    theirs.parent = Some(own.to_owned());
    theirs.target = other;
    Ok(vec![theirs, ours])
}

/// The version of a policy that was in force when a token was issued under another one, and since
/// when if the other one was before; or that other one, if it was not in force yet.
fn not_in_force<'v>(
    versions: &'v [PolicyVersion],
    named: &str,
    act: &Act<'_, '_>,
) -> Option<(&'v PolicyVersion, Option<i64>)> {
    let at = act.statement.occurred_at.nanos;
    let known = || versions.iter().filter(|one| one.place < act.place);
    // Of those from the same time on the one that was recorded last.
    let in_force = known().filter(|one| one.from <= at).max_by_key(|one| one.from);
    let own = |one: &&PolicyVersion| one.version == named;
    match in_force {
        Some(other) if other.version != named => {
            let was = known().filter(own).any(|one| one.from <= other.from);
            Some((other, was.then(|| at.saturating_sub(other.from))))
        }
        Some(_) => None,
        None => known().find(own).map(|one| (one, None)),
    }
}

/// The tokens of the same issuer whose entries before this act name its token as theirs.
fn claimants(view: &View, act: &Act<'_, '_>) -> Result<Vec<String>, QueryError> {
    let (tenant, own) = (act.statement.tenant, act.statement.target.id);
    let (tenant_of, as_of) = (tenant.to_owned(), counted::first(view, act.place));
    let scope = Scope { tenant: tenant_of, as_of, at: None, judged_at: i64::MAX };
    let mut context = QueryContext::new(view, scope, Spending::default())?;
    let term = By::Alias(own).term(view.terms(), tenant);
    let records = context.records(&term, MAX_ALIASES, |_, one| {
        one.target.kind == TargetKind::Token
            && one.target.id != own
            && issuer_of(one.target.id) == issuer_of(own)
            && one.also_known_as.contains(&own)
    })?;
    let mut claimants: Vec<String> = Vec::new();
    for record in records {
        let id = record.read(|_, one| one.target.id.to_owned());
        if !claimants.contains(&id) {
            claimants.push(id);
        }
    }
    Ok(claimants)
}

const fn policy_chain<'k>(tenant: &'k str, id: &'k str) -> ChainKey<'k> {
    ChainKey { kind: TargetKind::Policy, tenant, id: id.as_bytes() }
}

fn policy_term(view: &View, tenant: &str, id: &str) -> Term {
    chain_term(view.terms(), &policy_chain(tenant, id))
}

/// In what two births cannot be of one token: what both state and state differently.
pub(super) fn differing(one: &Statement<'_>, two: &Statement<'_>) -> Vec<&'static str> {
    let (first, second) = (issuer_about(one), issuer_about(two));
    let other = |a: Option<&str>, b: Option<&str>| {
        a.zip(b).is_some_and(|(a, b)| own_id(a, first) != own_id(b, second))
    };
    let kinds = one.token_kind.zip(two.token_kind);
    let expiries = one.expires_at.zip(two.expires_at);
    let facts = [
        ("client_id", other(one.client_id, two.client_id)),
        ("expires_at", expiries.is_some_and(|(a, b)| a != b)),
        ("grant_id", other(one.grant_id, two.grant_id)),
        ("session_id", other(one.session_id, two.session_id)),
        ("token_kind", kinds.is_some_and(|(a, b)| a != b)),
    ];
    facts.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}
