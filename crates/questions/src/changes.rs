//! "Which policy changes affected the tokens issued to Y in the last 24 hours?"
//!
//! A change affects a token that was alive when it took effect and that the policy governs. How
//! that is known is said: the token's own events name the policy (ASSERTED); the token is for the
//! service that the change names (JOINED); tokens for the same audience were let in under it
//! (INFERRED).

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_index::terms::By;
use ledgerline_proof::vocabulary::{Outcome, Strength};
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::QueryError;

use super::policies::{PolicyVersion, policy_versions};
use super::tokens_of::{Holder, tokens_of};
use crate::lineage::{Bounds, PageWanted, QueryContext, Summary, Token};

/// Accesses from which it is learnt which audiences a policy governs.
const LEARNT_FROM: usize = 64;

/// How it is known that a policy governs a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyEffect {
    /// The token's own events name the policy.
    Named,
    /// The token is for the service that the change names.
    Service,
    /// Tokens for the same audience were let in under the policy.
    Audience,
}

impl PolicyEffect {
    /// The strength of that knowledge.
    #[must_use]
    pub const fn strength(self) -> Strength {
        match self {
            Self::Named => Strength::Asserted,
            Self::Service => Strength::Joined,
            Self::Audience => Strength::Inferred,
        }
    }
}

/// A change and the tokens that it affected.
#[derive(Debug, Clone)]
pub struct Affected {
    /// The new version.
    pub version: PolicyVersion,
    /// The tokens, in the order in which they came into the ledger.
    pub tokens: Vec<(Arc<Token>, PolicyEffect)>,
}

/// The policy changes that took effect during the life of a token issued to `subject` at or after
/// `issued.0` and before `issued.1`. By the time they took effect.
///
/// # Errors
/// [`QueryError`].
pub fn policy_changes(
    context: &mut QueryContext<'_>,
    subject: [u8; 16],
    issued: (i64, i64),
) -> Result<Vec<Affected>, QueryError> {
    let limit = Bounds::default().tokens;
    let held = tokens_of(context, &Holder::Subject(subject), EntryRef::FIRST, limit)?.tokens;
    let born = |token: &&Arc<Summary>| {
        token.happened.born_at.is_some_and(|born| (issued.0..issued.1).contains(&born))
    };
    let ids: Vec<&String> = held.iter().filter(born).map(|token| &token.id).collect();
    context.read_tokens(ids.iter().map(|id| (*id).clone()));
    let tokens = ids.into_iter().map(|id| context.token(id));
    let tokens: Vec<Arc<Token>> = tokens.collect::<Result<_, _>>()?;
    let mut answer = Vec::new();
    if tokens.is_empty() {
        return Ok(answer);
    }
    let versions = policy_versions(context, None)?;
    read_governed(context, &versions);
    for version in versions {
        let alive = |token: &&Arc<Token>| {
            let (begun, ended) = token.lifetime();
            let at = version.effective_from;
            begun <= at && ended.is_none_or(|end| at < end)
        };
        let alive: Vec<_> = tokens.iter().filter(alive).cloned().collect();
        if alive.is_empty() {
            continue;
        }
        let audiences = governed(context, &version.id)?;
        let governed = alive.into_iter().filter_map(|token| {
            let effect = effect_on(&token, &version, &audiences)?;
            Some((token, effect))
        });
        let tokens: Vec<_> = governed.collect();
        if !tokens.is_empty() {
            answer.push(Affected { version, tokens });
        }
    }
    answer.sort_by_key(|one| (one.version.effective_from, one.version.at));
    Ok(answer)
}

fn effect_on(
    token: &Token,
    version: &PolicyVersion,
    audiences: &BTreeSet<String>,
) -> Option<PolicyEffect> {
    let names = |record: &Arc<crate::lineage::Record>| {
        record.read(|_, one| one.policies.iter().any(|policy| policy.id == version.id))
    };
    if token.records.iter().any(names) {
        return Some(PolicyEffect::Named);
    }
    let audience = &token.facts.audience;
    if audience.iter().any(|one| version.service.as_ref() == Some(one)) {
        return Some(PolicyEffect::Service);
    }
    audience.iter().any(|one| audiences.contains(one)).then_some(PolicyEffect::Audience)
}

/// Reads what [`governed`] looks at, of all policies together.
fn read_governed(context: &mut QueryContext<'_>, versions: &[PolicyVersion]) {
    let policies: BTreeSet<&str> = versions.iter().map(|version| &*version.id).collect();
    let wanted = policies.into_iter().map(|policy| PageWanted {
        term: By::Policy(policy).term(context.view().terms(), &context.scope().tenant),
        from: EntryRef::FIRST.into(),
        limit: LEARNT_FROM,
    });
    let wanted: Vec<PageWanted> = wanted.collect();
    context.read_hits(&wanted);
    let hits: Vec<EntryRef> =
        wanted.iter().flat_map(|one| context.hits_at_hand(one.term)).collect();
    let ids = context.targets_at_hand(&hits, |_| true);
    context.read_summaries(ids);
}

/// The audiences of tokens that were let in under a policy. Only tokens for one audience tell.
fn governed(context: &mut QueryContext<'_>, policy: &str) -> Result<BTreeSet<String>, QueryError> {
    let term = By::Policy(policy).term(context.view().terms(), &context.scope().tenant);
    let (entries, _) = context.postings(&term, EntryRef::FIRST, LEARNT_FROM)?;
    let mut audiences = BTreeSet::new();
    let mut asked = BTreeSet::new();
    for at in entries {
        let Some(record) = context.record(at)? else { continue };
        let token = record.read(|_, statement| {
            let named = statement.policies.iter().any(|one| one.id == policy);
            let is_token = statement.target.kind == ledgerline_proof::vocabulary::TargetKind::Token;
            let let_in = statement.outcome == Outcome::Allow && named && is_token;
            let_in.then(|| statement.target.id.to_owned())
        });
        let Some(token) = token.filter(|token| asked.insert(token.clone())) else { continue };
        if let [only] = &context.summary(&token)?.facts.audience[..] {
            audiences.insert(only.clone());
        }
    }
    Ok(audiences)
}
