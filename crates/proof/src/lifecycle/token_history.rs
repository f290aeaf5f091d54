//! One truth for a token's state: its facts folded, and the wider revocations that cover it.
//!
//! ```text
//! events of all ids of the token ──▶ facts, births
//! births ──▶ chains: session, grant, client, key, subject ──▶ REVOKED entries there
//! facts + revocations in force at a time ──▶ known, happened, covered_by, until when that holds
//! ```
//!
//! Promises: a revocation covers a token when it covers any of its permitted births, so being known
//! under another name never saves a token.
//!
//! Assumes: the events of one token, and the revocations that stand on [`TokenHistory::chains`].
//!
//! Refuses: to know where entries are stored, and which ids are one token's.

use std::collections::BTreeMap;

use super::{
    Fact, Revocation, TokenFacts, TokenState, Violation, happened_at, in_event_order, known,
};
use crate::chain::ChainKey;
use crate::entry::Handle;
use crate::hlc::Hlc;
use crate::statement::Statement;
use crate::vocabulary::{EventType, Outcome, TargetKind};

/// Kind and id of a chain on which a wider revocation can stand.
pub type WideChain = (TargetKind, Vec<u8>);

/// Whether an event is the permitted birth of a token.
#[must_use]
pub fn is_permitted_birth(statement: &Statement<'_>) -> bool {
    statement.target.kind == TargetKind::Token
        && statement.outcome == Outcome::Allow
        && matches!(statement.event_type, EventType::Issued | EventType::Origin)
}

impl TokenFacts<'_> {
    /// The chains on which a revocation that covers the token can stand, under both spellings of
    /// ids.
    #[must_use]
    pub fn chains(&self) -> Vec<WideChain> {
        let front = format!("{}:{}:", self.region, self.issuer);
        let named = [
            (TargetKind::Session, self.session_id),
            (TargetKind::Grant, self.grant_id),
            (TargetKind::Client, self.client_id),
            (TargetKind::Key, self.issuer_kid),
        ];
        let mut chains: Vec<WideChain> = Vec::new();
        for (kind, id) in named {
            let Some(id) = id else { continue };
            let own = id.strip_prefix(&*front).filter(|rest| !rest.is_empty()).unwrap_or(id);
            let qualified = format!("{front}{own}").into_bytes();
            chains.extend([(kind, own.as_bytes().to_vec()), (kind, qualified)]);
        }
        chains.extend(self.subject.map(|handle| (TargetKind::Subject, handle.to_vec())));
        chains
    }
}

/// The chains on which a revocation can stand that covers the token of a statement.
#[must_use]
pub fn chains_of(statement: &Statement<'_>, handles: &[Handle]) -> Vec<WideChain> {
    TokenFacts::of(statement, handles).map(|facts| facts.chains()).unwrap_or_default()
}

/// Whether a revocation covers the token born by a statement.
#[must_use]
pub fn covers(revocation: &Revocation<'_>, birth: &Statement<'_>, handles: &[Handle]) -> bool {
    TokenFacts::of(birth, handles).is_some_and(|facts| revocation.covers(&facts))
}

/// Applies a revocation that is known to cover the token: its births decided that, and what is
/// folded of several births does not take it back.
pub fn end_by(state: &mut TokenState, effective_at: i64) -> Option<Violation> {
    let target = ChainKey { kind: TargetKind::Token, tenant: "", id: b"" };
    state.cover(&Revocation { target, index: 0, effective_at, selector: None }).violation
}

/// A revocation of something wider that covers a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Covering {
    /// Its place in the ledger.
    pub index: u64,
    /// When it occurred, Unix nanoseconds.
    pub occurred_at: i64,
    /// From when it takes effect, Unix nanoseconds.
    pub effective_at: i64,
}

/// The history of one token, under all its ids.
#[derive(Debug, Clone, Default)]
pub struct TokenHistory<'a> {
    facts: Vec<Fact<'a>>,
    births: Vec<TokenFacts<'a>>,
}

/// What is said of a token, judged at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// State in ledger order; drives introspection.
    pub known: TokenState,
    /// State in event time; drives reports.
    pub happened: TokenState,
    /// The revocations of something wider that cover it and are in force, ascending.
    pub covered_by: Vec<u64>,
    /// When the next revocation that covers it takes effect, if there is one.
    pub changes_at: Option<i64>,
}

impl<'a> TokenHistory<'a> {
    /// Takes an event, in any order.
    pub fn push(
        &mut self,
        statement: &Statement<'a>,
        handles: &[Handle],
        index: u64,
        recorded_at: Hlc,
    ) {
        self.facts.push(Fact::of(statement, index, recorded_at));
        if is_permitted_birth(statement) {
            self.births.extend(TokenFacts::of(statement, handles));
        }
    }

    /// Takes an event by its fact; of a birth more is needed ([`TokenHistory::push`]).
    pub fn push_fact(&mut self, fact: Fact<'a>) {
        self.facts.push(fact);
    }

    /// The facts, in the order in which they were taken.
    #[must_use]
    pub fn facts(&self) -> &[Fact<'a>] {
        &self.facts
    }

    /// The chains on which a revocation that covers the token can stand: of every birth, each
    /// once.
    #[must_use]
    pub fn chains(&self) -> Vec<WideChain> {
        let mut chains: Vec<WideChain> = self.births.iter().flat_map(TokenFacts::chains).collect();
        chains.sort_unstable();
        chains.dedup();
        chains
    }

    /// Whether a revocation covers the token.
    #[must_use]
    pub fn is_covered_by(&self, revocation: &Revocation<'_>) -> bool {
        self.births.iter().any(|facts| revocation.covers(facts))
    }

    /// What is off about its events, by index: in event order, and a wider revocation that covers
    /// it from when it takes effect. What is marked in a life and in a proof of it is this.
    #[must_use]
    pub fn violations(&self, covering: &[Covering]) -> BTreeMap<u64, Violation> {
        let mut wide: Vec<i64> = covering.iter().map(|one| one.effective_at).collect();
        wide.sort_unstable();
        let mut wide = wide.into_iter().peekable();
        let (mut state, mut found) = (TokenState::UNKNOWN, BTreeMap::new());
        for fact in in_event_order(&self.facts) {
            while let Some(effective_at) = wide.next_if(|at| *at <= fact.occurred_at.nanos) {
                end_by(&mut state, effective_at);
            }
            found.extend(state.apply(fact).violation.map(|violation| (fact.index, violation)));
        }
        found
    }

    /// What is said of the token at a time, given the revocations that cover it; `happened` by
    /// what occurred up to `by`.
    #[must_use]
    pub fn judge(mut self, covering: &[Covering], at_nanos: i64, by: i64) -> Judged {
        self.facts.sort_unstable_by_key(|fact| fact.index);
        let mut known = known(&self.facts);
        let mut happened = happened_at(&self.facts, by);
        let (mut covered_by, mut changes_at) = (Vec::new(), None);
        for one in covering {
            if one.effective_at > at_nanos {
                changes_at = [changes_at, Some(one.effective_at)].into_iter().flatten().min();
                continue;
            }
            covered_by.push(one.index);
            end_by(&mut known, one.effective_at);
            if one.occurred_at <= by {
                end_by(&mut happened, one.effective_at);
            }
        }
        covered_by.sort_unstable();
        covered_by.dedup();
        Judged { known, happened, covered_by, changes_at }
    }
}
