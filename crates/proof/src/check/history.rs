//! The entries of the answer: their rules, whether they are the ones asked for, their chain, and
//! the states of the token.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Evidence, Recorded};
use super::report::{LifecycleReport, Status};
use crate::bundle::{Decimal, Query};
use crate::chain::{ChainKey, ChainTip, chain_key, check_link};
use crate::entry::MAX_SIGNATURE_BYTES;
use crate::hash::Hash;
use crate::lifecycle::{
    Covering, Revocation, State, TokenFacts, TokenHistory, TokenState, Violation, in_event_order,
    is_permitted_birth,
};
use crate::statement::Statement;
use crate::token_id::can_be_one_token;
use crate::vocabulary::{EventType, Outcome, TargetKind};
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
    /// It is the event asked for, or on a chain of the token with this place in the query.
    Answer(usize),
    /// A revocation of something wider that covers a token of the answer.
    Covering,
    /// An event that the answer to a question names, on a chain that is not shown whole; or one
    /// that is shown and changes nothing.
    Named,
    /// It has no place in this answer.
    Stranger,
    /// Its statement cannot be read.
    Unknown,
}

/// Most pairs of a token and a wider revocation that are judged.
const MAX_PAIRS: usize = 20_000_000;

/// What was asked, as far as single entries are judged by it.
pub(super) struct Asked<'b, 'r> {
    query: &'b Query,
    /// The tokens by their ids.
    tokens: BTreeMap<&'b str, usize>,
    /// By token: its events, which decide what covers it.
    histories: Vec<TokenHistory<'r>>,
    /// What refused births say. They bring nothing in and cover nothing; older makers took them for
    /// births and show what would have covered them.
    refused: Vec<TokenFacts<'r>>,
}

impl<'b, 'r> Asked<'b, 'r> {
    pub(super) fn new(query: &'b Query, entries: &[Recorded<'r>]) -> Self {
        let mut tokens = BTreeMap::new();
        match query {
            Query::Token { id, .. } => {
                tokens.insert(id.as_str(), 0);
            }
            Query::Event { .. } => {}
            Query::Question { tokens: groups, .. } => {
                for (at, id) in groups
                    .iter()
                    .enumerate()
                    .flat_map(|(at, ids)| ids.iter().map(move |id| (at, id)))
                {
                    tokens.entry(id.as_str()).or_insert(at);
                }
            }
        }
        let mut asked = Self { query, tokens, histories: Vec::new(), refused: Vec::new() };
        asked.histories.resize_with(asked.count(), TokenHistory::default);
        for recorded in entries {
            let Ok(statement) = &recorded.statement else { continue };
            let Some(at) = asked.place(statement) else { continue };
            let Some(history) = asked.histories.get_mut(at) else { continue };
            let entry = &recorded.entry;
            history.push(statement, &entry.handles, recorded.index, entry.recorded_at);
            let born = matches!(statement.event_type, EventType::Issued | EventType::Origin);
            if born && !is_permitted_birth(statement) {
                asked.refused.extend(TokenFacts::of(statement, &entry.handles));
            }
        }
        asked
    }

    /// How many tokens have their chains shown.
    pub(super) fn count(&self) -> usize {
        match self.query {
            Query::Token { .. } => 1,
            Query::Event { .. } => 0,
            Query::Question { tokens, .. } => tokens.len(),
        }
    }

    fn tenant(&self) -> &str {
        match self.query {
            Query::Token { tenant, .. }
            | Query::Event { tenant, .. }
            | Query::Question { tenant, .. } => tenant,
        }
    }

    /// The place of the token on whose chain a statement stands, or 0 for the event asked for.
    fn place(&self, statement: &Statement<'_>) -> Option<usize> {
        if statement.tenant != self.tenant() {
            return None;
        }
        match self.query {
            Query::Event { source, event_id, .. } => {
                (statement.source == source && statement.event_id == event_id.0).then_some(0)
            }
            _ if statement.target.kind != TargetKind::Token => None,
            _ => self.tokens.get(statement.target.id).copied(),
        }
    }

    /// By token: the ids that the entries shown say are its own, too, and whose chains are not
    /// shown: it may have ended under one of them. What was refused gives no token another name.
    pub(super) fn other_ids<'e>(&self, entries: &'e [Recorded<'_>]) -> Vec<BTreeSet<&'e str>> {
        let mut others = vec![BTreeSet::new(); self.count()];
        let statements = entries.iter().filter_map(|recorded| recorded.statement.as_ref().ok());
        for statement in statements {
            let done = !matches!(statement.outcome, Outcome::Deny | Outcome::Error);
            let is_token = statement.target.kind == TargetKind::Token;
            if !done || !is_token || statement.tenant != self.tenant() {
                continue;
            }
            let target = statement.target.id;
            let names = statement.also_known_as.iter().copied().chain([target]);
            let names: BTreeSet<&str> = names.filter(|id| can_be_one_token(id, target)).collect();
            let tokens: BTreeSet<usize> =
                names.iter().filter_map(|id| self.tokens.get(id).copied()).collect();
            for at in tokens {
                let Some(others) = others.get_mut(at) else { continue };
                others.extend(names.iter().filter(|id| self.tokens.get(**id) != Some(&at)));
            }
        }
        others
    }

    fn part(&self, recorded: &Recorded<'_>) -> Part {
        let Ok(statement) = &recorded.statement else { return Part::Unknown };
        if let Some(at) = self.place(statement) {
            return Part::Answer(at);
        }
        let revocation = Revocation::of(
            statement,
            &recorded.entry.handles,
            recorded.index,
            recorded.entry.recorded_at,
        );
        let covers = |one: &Revocation<'_>| self.histories.iter().any(|it| it.is_covered_by(one));
        let seemed = |one: &Revocation<'_>| self.refused.iter().any(|it| one.covers(it));
        match self.query {
            _ if revocation.as_ref().is_some_and(covers) => Part::Covering,
            _ if revocation.as_ref().is_some_and(seemed) => Part::Named,
            Query::Question { .. } if statement.tenant == self.tenant() => Part::Named,
            _ => Part::Stranger,
        }
    }

    /// Whether the wider revocations among the entries are too many for the tokens.
    fn is_too_much(&self, entries: &[Recorded<'_>]) -> bool {
        let wide = entries.iter().filter(|recorded| {
            recorded.statement.as_ref().is_ok_and(|statement| {
                statement.event_type == EventType::Revoked && self.place(statement).is_none()
            })
        });
        wide.count().saturating_mul(self.count()) > MAX_PAIRS
    }
}

/// The part of every entry, in order, and whether the query is answered by them.
pub(super) fn judge_query(asked: &Asked<'_, '_>, entries: &[Recorded<'_>]) -> (Vec<Part>, Status) {
    let mut status = Status::Proven;
    if asked.is_too_much(entries) {
        status.doubt("more tokens and wider revocations than are judged together");
        return (vec![Part::Unknown; entries.len()], status);
    }
    let parts: Vec<Part> = entries.iter().map(|recorded| asked.part(recorded)).collect();
    let mut answers = vec![0_usize; asked.count().max(1)];
    for (recorded, part) in entries.iter().zip(&parts) {
        match part {
            Part::Answer(at) => answers[*at] += 1,
            Part::Covering | Part::Named => {}
            Part::Stranger => {
                status.fail(format!("entry {} is not of the query", recorded.index));
            }
            Part::Unknown => status.doubt(format!("entry {} cannot be read", recorded.index)),
        }
    }
    match asked.query {
        Query::Question { tokens, .. } => {
            if entries.is_empty() {
                status.doubt("no entry is shown, and absence cannot be proven yet");
            }
            if answers.iter().take(tokens.len()).any(|count| *count == 0) {
                status.doubt("a token of the answer is shown without any entry");
            }
            judge_names(asked, tokens, entries, &parts, &mut status);
        }
        _ if answers[0] == 0 => status.doubt("no entry is shown, and absence cannot be proven yet"),
        Query::Event { .. } if answers[0] > 1 => status.fail("the event is shown more than once"),
        _ => {}
    }
    (parts, status)
}

/// Whether the ids of each token are one token's by what the entries on its chains say.
fn judge_names(
    asked: &Asked<'_, '_>,
    tokens: &[Vec<String>],
    entries: &[Recorded<'_>],
    parts: &[Part],
    status: &mut Status,
) {
    let given: usize = tokens.iter().map(Vec::len).sum();
    if given != asked.tokens.len() {
        status.fail("an id stands for two tokens of the answer");
    }
    let mut said: Vec<BTreeSet<BTreeSet<&str>>> = vec![BTreeSet::new(); tokens.len()];
    for (recorded, part) in entries.iter().zip(parts) {
        let (Part::Answer(at), Ok(statement)) = (part, &recorded.statement) else { continue };
        let done = !matches!(statement.outcome, Outcome::Deny | Outcome::Error);
        if tokens[*at].len() > 1 && done && !statement.also_known_as.is_empty() {
            let target = statement.target.id;
            let names = statement.also_known_as.iter().copied().chain([target]);
            said[*at].insert(names.filter(|id| can_be_one_token(id, target)).collect());
        }
    }
    for (ids, said) in tokens.iter().zip(said) {
        let mut known: BTreeSet<&str> = ids.first().map(String::as_str).into_iter().collect();
        for _ in 1..ids.len() {
            for names in &said {
                if !names.is_disjoint(&known) {
                    known.extend(names);
                }
            }
        }
        if let Some(id) = ids.iter().find(|id| !known.contains(id.as_str())) {
            status.doubt(format!("no entry says that {id} is the same token as {}", ids[0]));
        }
    }
}

/// How each entry stands on its chain, and the shown chains as a whole, if there are any.
pub(super) fn judge_chain(
    asked: &Asked<'_, '_>,
    evidence: &Evidence<'_>,
    parts: &[Part],
) -> (Vec<Status>, Option<Status>) {
    let genesis = evidence.genesis.as_ref().map(|(hash, _)| *hash);
    let entries = &evidence.entries;
    if asked.count() == 0 {
        return (entries.iter().map(|recorded| alone(recorded, genesis)).collect(), None);
    }
    let mut whole = Status::Proven;
    if parts.contains(&Part::Unknown) {
        whole.doubt("an entry that cannot be read may be on the chain");
    }
    if !parts.iter().any(|part| matches!(part, Part::Answer(_))) {
        whole.doubt("no entry of the chain is shown");
    }
    let mut tips: BTreeMap<&str, ChainTip> = BTreeMap::new();
    let mut each = Vec::with_capacity(entries.len());
    for (recorded, part) in entries.iter().zip(parts) {
        let (Part::Answer(_), Ok(statement)) = (part, &recorded.statement) else {
            each.push(alone(recorded, genesis));
            continue;
        };
        let tip = tips.get(statement.target.id);
        let mut status = whole.clone();
        match genesis {
            Some(genesis) => {
                let start = || start_of(recorded, &genesis).unwrap_or(Hash::ZERO);
                if let Err(error) = check_link(&recorded.entry, tip, start) {
                    let why = format!("entry {}: {error}", recorded.index);
                    whole.fail(why);
                    status = whole.clone();
                }
            }
            None => status.doubt("the chain's start needs a proven GENESIS"),
        }
        let sequence = tip.map_or(0, |tip| tip.sequence + 1);
        let tip = ChainTip { index: recorded.index, event_hash: recorded.hash, sequence };
        tips.insert(statement.target.id, tip);
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
    /// The token's ids, in the answer to a question.
    pub ids: Option<Vec<String>>,
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

/// Recomputes the life of every token asked about from its whole chains.
pub(super) fn recompute_all(
    asked: &Asked<'_, '_>,
    entries: &[Recorded<'_>],
    parts: &[Part],
    at_nanos: i64,
) -> Vec<Life> {
    let mut wide: Vec<(Revocation<'_>, Covering)> = Vec::new();
    for (recorded, part) in entries.iter().zip(parts) {
        let (Part::Covering, Ok(statement)) = (part, &recorded.statement) else { continue };
        let index = recorded.index;
        let occurred_at = statement.occurred_at.nanos;
        wide.extend(
            Revocation::of(statement, &recorded.entry.handles, index, recorded.entry.recorded_at)
                .map(|one| {
                    let effective_at = one.effective_at;
                    (one, Covering { index, occurred_at, effective_at })
                }),
        );
    }
    let lives = asked.histories.iter().enumerate().map(|(at, history)| {
        let covers = |(one, _): &&(Revocation<'_>, Covering)| history.is_covered_by(one);
        let covering: Vec<Covering> = wide.iter().filter(covers).map(|(_, one)| *one).collect();
        let ids = match asked.query {
            Query::Question { tokens, .. } => tokens.get(at).cloned(),
            Query::Token { .. } | Query::Event { .. } => None,
        };
        Life { ids, ..recompute(history, &covering, at_nanos) }
    });
    lives.collect()
}

fn recompute(history: &TokenHistory<'_>, covering: &[Covering], at_nanos: i64) -> Life {
    let mut known = TokenState::UNKNOWN;
    let mut steps: Vec<Step> = history
        .facts()
        .iter()
        .map(|fact| {
            let state = known.apply(fact).to;
            Step { index: fact.index, known: state, happened: state, violation: None }
        })
        .collect();
    let mut happened = TokenState::UNKNOWN;
    for fact in in_event_order(history.facts()) {
        let transition = happened.apply(fact);
        let at = steps.binary_search_by_key(&fact.index, |step| step.index);
        if let Some(step) = at.ok().and_then(|at| steps.get_mut(at)) {
            step.happened = transition.to;
        }
    }
    let violations = history.violations(covering);
    for step in &mut steps {
        step.violation = violations.get(&step.index).copied().map(Violation::code);
    }
    let judged = history.clone().judge(covering, at_nanos, i64::MAX);
    let report = LifecycleReport {
        known: judged.known.state_at(at_nanos).symbol(),
        happened: judged.happened.state_at(at_nanos).symbol(),
        active: judged.known.is_active(at_nanos, !judged.covered_by.is_empty()),
        covered_by: covering.iter().map(|one| Decimal(one.index)).collect(),
    };
    Life { ids: None, steps, report }
}
