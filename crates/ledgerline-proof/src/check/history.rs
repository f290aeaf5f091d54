//! The entries of the answer: their rules, whether they are the ones asked for, their chain, and
//! the states of the token.

use super::evidence::{Evidence, Recorded};
use super::report::{LifecycleReport, Status};
use crate::bundle::{Decimal, Query};
use crate::chain::{ChainKey, ChainTip, chain_key, check_link};
use crate::entry::MAX_SIGNATURE_BYTES;
use crate::hash::Hash;
use crate::lifecycle::{self, Fact, Revocation, State, TokenFacts, TokenState, Violation};
use crate::statement::Statement;
use crate::vocabulary::{EventType, TargetKind};
use crate::wire::DecodeError;

/// Whether an entry obeys the rules that do not depend on other entries.
pub(super) fn judge_rules(recorded: &Recorded<'_>) -> Status {
    let mut status = Status::Proven;
    let entry = &recorded.entry;
    if entry.sequence < 0 || entry.prev_index.is_some() != (entry.sequence > 0) {
        status.fail("sequence and predecessor do not go together");
    }
    if entry.signature.as_ref().is_some_and(|one| one.value.len() > MAX_SIGNATURE_BYTES) {
        status.fail("the signature is too long");
    }
    let statement = match &recorded.statement {
        Ok(statement) => statement,
        Err(DecodeError::UnknownSchema(_)) => {
            status.doubt("its statement is under a schema that is not proven");
            return status;
        }
        Err(error) => {
            status.fail(format!("its statement is not canonical: {error}"));
            return status;
        }
    };
    if let Err(error) = statement.validate() {
        status.fail(format!("its statement breaks a rule: {error}"));
    }
    let guessable = entry.signature.is_none() && statement.personal.is_empty();
    if entry.blind.is_some() != guessable {
        status.fail("its blind must be there exactly when nothing else is unpredictable");
    }
    if chain_key(statement, &entry.handles).is_none() {
        status.fail("it names no person, or several, where its target is one");
    }
    status
}

/// The part an entry plays in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It is the event asked for, or on the chain asked for.
    Answer,
    /// A revocation of something wider that covers the token asked for.
    Covering,
    /// It has no place in this answer.
    Stranger,
    /// Its statement cannot be read.
    Unknown,
}

/// The part of every entry, in order, and whether the query is answered by them.
pub(super) fn judge_query(query: &Query, entries: &[Recorded<'_>]) -> (Vec<Part>, Status) {
    let mut status = Status::Proven;
    let token = born(query, entries);
    let parts: Vec<Part> =
        entries.iter().map(|recorded| part(query, token.as_ref(), recorded)).collect();
    for (recorded, part) in entries.iter().zip(&parts) {
        match part {
            Part::Answer | Part::Covering => {}
            Part::Stranger => {
                status.fail(format!("entry {} is not of the query", recorded.index));
            }
            Part::Unknown => status.doubt(format!("entry {} cannot be read", recorded.index)),
        }
    }
    let answers = parts.iter().filter(|part| **part == Part::Answer).count();
    match query {
        _ if answers == 0 => status.doubt("no entry is shown, and absence cannot be proven yet"),
        Query::Event { .. } if answers > 1 => status.fail("the event is shown more than once"),
        _ => {}
    }
    (parts, status)
}

fn is_answer(query: &Query, statement: &Statement<'_>) -> bool {
    match query {
        Query::Token { tenant, id } => {
            statement.target.kind == TargetKind::Token
                && statement.tenant == tenant
                && statement.target.id == id
        }
        Query::Event { tenant, source, event_id } => {
            statement.tenant == tenant
                && statement.source == source
                && statement.event_id == event_id.0
        }
    }
}

/// What decides which revocations cover the token asked for.
fn born<'r>(query: &Query, entries: &[Recorded<'r>]) -> Option<TokenFacts<'r>> {
    let Query::Token { .. } = query else { return None };
    entries.iter().find_map(|recorded| {
        let statement = recorded.statement.as_ref().ok()?;
        let birth = matches!(statement.event_type, EventType::Issued | EventType::Origin);
        if !birth || !is_answer(query, statement) {
            return None;
        }
        TokenFacts::of(statement, &recorded.entry.handles)
    })
}

fn part(query: &Query, token: Option<&TokenFacts<'_>>, recorded: &Recorded<'_>) -> Part {
    let Ok(statement) = &recorded.statement else { return Part::Unknown };
    if is_answer(query, statement) {
        return Part::Answer;
    }
    let revocation = Revocation::of(statement, &recorded.entry.handles, recorded.index);
    match (token, revocation) {
        (Some(token), Some(revocation)) if revocation.covers(token) => Part::Covering,
        _ => Part::Stranger,
    }
}

/// The entries that play `wanted`.
fn playing<'e, 'r>(
    entries: &'e [Recorded<'r>],
    parts: &'e [Part],
    wanted: Part,
) -> impl Iterator<Item = &'e Recorded<'r>> {
    let pairs = entries.iter().zip(parts).filter(move |(_, part)| **part == wanted);
    pairs.map(|(recorded, _)| recorded)
}

/// How each entry stands on its chain, and for a token the chain as a whole.
pub(super) fn judge_chain(
    query: &Query,
    evidence: &Evidence<'_>,
    parts: &[Part],
) -> (Vec<Status>, Option<Status>) {
    let genesis = evidence.genesis.as_ref().map(|(hash, _)| *hash);
    let entries = &evidence.entries;
    let Query::Token { .. } = query else {
        return (entries.iter().map(|recorded| alone(recorded, genesis)).collect(), None);
    };
    let mut whole = Status::Proven;
    if parts.contains(&Part::Unknown) {
        whole.doubt("an entry that cannot be read may be on the chain");
    }
    if !parts.contains(&Part::Answer) {
        whole.doubt("no entry of the chain is shown");
    }
    let mut tip: Option<ChainTip> = None;
    let mut sequence = 0;
    let mut each = Vec::with_capacity(entries.len());
    for (recorded, part) in entries.iter().zip(parts) {
        if *part != Part::Answer {
            each.push(alone(recorded, genesis));
            continue;
        }
        let mut status = whole.clone();
        match genesis {
            Some(genesis) => {
                let start = || start_of(recorded, &genesis).unwrap_or(Hash::ZERO);
                if let Err(error) = check_link(&recorded.entry, tip.as_ref(), start) {
                    let why = format!("entry {}: {error}", recorded.index);
                    whole.fail(why);
                    status = whole.clone();
                }
            }
            None => status.doubt("the chain's start needs a proven GENESIS"),
        }
        tip = Some(ChainTip { index: recorded.index, event_hash: recorded.hash, sequence });
        sequence += 1;
        each.push(status);
    }
    if genesis.is_none() {
        whole.doubt("the chain's start needs a proven GENESIS");
    }
    (each, Some(whole))
}

fn start_of(recorded: &Recorded<'_>, genesis: &Hash) -> Option<Hash> {
    let statement = recorded.statement.as_ref().ok()?;
    // The limits keep the lengths in range of the hash's u16.
    statement.validate().ok()?;
    chain_key(statement, &recorded.entry.handles).map(|key: ChainKey<'_>| key.start(genesis))
}

/// An entry shown without the chain it is on.
fn alone(recorded: &Recorded<'_>, genesis: Option<Hash>) -> Status {
    let Some(genesis) = genesis.filter(|_| recorded.entry.sequence == 0) else {
        return Status::NotProven("the entries before it on its chain are not shown".to_owned());
    };
    let Some(start) = start_of(recorded, &genesis) else {
        return Status::NotProven("its chain cannot be told".to_owned());
    };
    match check_link(&recorded.entry, None, || start) {
        Ok(()) => Status::Proven,
        Err(error) => Status::Failed(error.to_string()),
    }
}

/// The states of a token, entry by entry and at the end.
pub(super) struct Life {
    /// By index: state after it in ledger order, in event order, and what is off about it.
    pub steps: Vec<Step>,
    pub report: LifecycleReport,
}

/// What one entry did to the token.
pub(super) struct Step {
    pub index: u64,
    pub known: State,
    pub happened: State,
    pub violation: Option<&'static str>,
}

/// Recomputes the token's life from its whole chain.
pub(super) fn recompute(entries: &[Recorded<'_>], parts: &[Part], at_nanos: i64) -> Life {
    let facts: Vec<Fact<'_>> = playing(entries, parts, Part::Answer)
        .filter_map(|recorded| {
            let statement = recorded.statement.as_ref().ok()?;
            Some(Fact::of(statement, recorded.index, recorded.entry.recorded_at))
        })
        .collect();
    let covering: Vec<Revocation<'_>> = playing(entries, parts, Part::Covering)
        .filter_map(|recorded| {
            let statement = recorded.statement.as_ref().ok()?;
            Revocation::of(statement, &recorded.entry.handles, recorded.index)
        })
        .collect();
    let mut known = TokenState::UNKNOWN;
    let mut steps: Vec<Step> = facts
        .iter()
        .map(|fact| {
            let state = known.apply(fact).to;
            Step { index: fact.index, known: state, happened: state, violation: None }
        })
        .collect();
    let mut happened = TokenState::UNKNOWN;
    for fact in lifecycle::in_event_order(&facts) {
        let transition = happened.apply(fact);
        let at = steps.binary_search_by_key(&fact.index, |step| step.index);
        if let Some(step) = at.ok().and_then(|at| steps.get_mut(at)) {
            step.happened = transition.to;
            step.violation = transition.violation.map(Violation::code);
        }
    }
    let in_force = covering.iter().any(|revocation| revocation.is_in_force(at_nanos));
    let active = known.is_active(at_nanos, in_force);
    for revocation in covering.iter().filter(|revocation| revocation.is_in_force(at_nanos)) {
        known.cover(revocation);
        happened.cover(revocation);
    }
    let report = LifecycleReport {
        known: known.state_at(at_nanos).symbol(),
        happened: happened.state_at(at_nanos).symbol(),
        active,
        covered_by: covering.iter().map(|revocation| Decimal(revocation.index)).collect(),
    };
    Life { steps, report }
}
