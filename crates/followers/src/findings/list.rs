//! The list of findings: which there are, and where each stands.
//!
//! Promises: as the questions: one size, one tenant, a budget, pages by ledger index. The state of
//! a finding is what the entries in the scope say: `open`, until it is moved on; a withdrawal
//! counts more than an acknowledgement, a closing more than both. An act that is counted to it
//! after it was closed or withdrawn opens it again: nobody has looked at that one. So does a late
//! entry by which it holds again. One with more than [`MOVES`] entries about it is open.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_index::terms::By;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, Moved};
use ledgerline_questions::lineage::{QueryContext, Record, Scope, Spending};
use ledgerline_view::address::{Begin, EntryRef};
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_view::view::{QueryError, View};

use super::record::{Move, Note, kind_of, raised_event_id};
use super::rules::{Finding, Rule, Severity};

/// Index hits taken at a time.
const PAGE: usize = 256;
/// Entries about one finding, at most: one of each state, what it led to, and its repeats, of which
/// each is told up to sixteen, then every doubling; late entries may turn it any number of times.
const MOVES: usize = 256;

/// Which findings are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// In this state; `Some(None)` is open.
    pub state: Option<Option<Moved>>,
    /// Of this severity or graver.
    pub severity: Option<Severity>,
    /// By this rule.
    pub rule: Option<Rule>,
    /// About this token, under any of its ids.
    pub token: Option<String>,
}

/// A finding and what became of it.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its id.
    pub id: Hash,
    /// Its FINDING_RAISED.
    pub raised: Arc<Record>,
    /// The entries that moved it on, ascending.
    pub moves: Vec<(Moved, Arc<Record>)>,
}

impl Found {
    /// How many acts it is about: the one it was raised for and those counted to it. Beyond 16 at
    /// least so many.
    #[must_use]
    pub fn count(&self) -> u64 {
        let again = || self.moves.iter().filter(|one| one.0 == Moved::Again);
        let told = again().filter_map(|(_, record)| {
            record.read(|_, one| one.detail("count").and_then(|count| count.parse().ok()))
        });
        told.max().unwrap_or(1).max(1 + again().count() as u64)
    }

    /// Where it stands; `None` is open.
    #[must_use]
    pub fn state(&self) -> Option<Moved> {
        if self.moves.len() >= MOVES {
            // The newest were not read.
            return None;
        }
        self.state_after(self.moves.len())
    }

    /// Where it stood after so many moves.
    fn state_after(&self, moves: usize) -> Option<Moved> {
        self.moves[..moves].iter().fold(None, |state, (moved, _)| match (moved, state) {
            (Moved::Closed, _) => Some(Moved::Closed),
            (Moved::Withdrawn, state) if state != Some(Moved::Closed) => Some(Moved::Withdrawn),
            (Moved::Acknowledged, None) => Some(Moved::Acknowledged),
            // Whoever moved it did not know of that one.
            (Moved::Reopened, _) | (Moved::Again, Some(Moved::Closed | Moved::Withdrawn)) => None,
            (_, state) => state,
        })
    }

    /// Whether an entry opened it again.
    #[must_use]
    pub fn is_opened_by(&self, at: EntryRef) -> bool {
        // What was not read may have closed it before.
        let Some(nth) = self.moves.iter().position(|(_, record)| record.at == at) else {
            return self.moves.len() >= MOVES;
        };
        let (before, after) = (self.state_after(nth), self.state_after(nth + 1));
        after.is_none() && matches!(before, Some(Moved::Closed | Moved::Withdrawn))
    }

    /// How many times it stood open again so far that was closed, or held no longer: whoever moves
    /// it to a state where it was before moves it another time.
    #[must_use]
    pub fn turns(&self, to: Moved) -> u64 {
        let again = |one: &&(Moved, _)| match one.0 {
            Moved::Closed => true,
            // The first closing is looked up by its name.
            Moved::Reopened => to != Moved::Closed,
            _ => false,
        };
        self.moves.iter().filter(again).count() as u64
    }
}

/// Findings from somewhere on, at most `limit`, and where the next page begins.
///
/// # Errors
/// [`QueryError`].
pub fn findings(
    context: &mut QueryContext<'_>,
    wanted: &Wanted,
    from: impl Into<Begin>,
    limit: usize,
) -> Result<(Vec<Found>, Option<EntryRef>), QueryError> {
    // What is about a token is about it under all its ids.
    let mut ids = BTreeSet::new();
    if let Some(token) = &wanted.token {
        ids = context.ids_of(token)?;
    }
    let (terms, tenant) = (context.view().terms(), &context.scope().tenant);
    let mut of: Vec<_> = ids.iter().map(|id| By::Parent(id).term(terms, tenant)).collect();
    if of.is_empty() {
        of.push(By::Finding.term(terms, tenant));
    }
    let (mut found, mut from) = (Vec::new(), from.into());
    loop {
        let (entries, next) = context.postings_of_any(&of, from.clone(), PAGE)?;
        for at in entries {
            if found.len() == limit || context.is_spent() {
                return Ok((found, Some(at)));
            }
            let Some(raised) = context.record(at)? else { continue };
            if !raised.read(|_, one| is_wanted(one, wanted, &ids)) {
                continue;
            }
            let one = with_moves(context, raised)?;
            if wanted.state.is_none_or(|state| one.state() == state) {
                context.cite(at);
                found.push(one);
            }
        }
        match next {
            Some(next) if !context.is_spent() => from = from.not_before(next),
            next => return Ok((found, next)),
        }
    }
}

/// A finding that is told: as it was raised, or because it stands open again.
#[derive(Debug, Clone)]
pub struct Told {
    /// The entry by which it is told.
    pub at: EntryRef,
    /// The finding as it stands.
    pub found: Found,
}

impl Told {
    /// Whether it was told before, and stands open again.
    #[must_use]
    pub fn is_again(&self) -> bool {
        self.at != self.found.raised.at
    }
}

/// Findings by what was recorded from somewhere on: those raised there, and those raised before
/// that stand open again by an entry there, each once. At most `limit`, and where the next page
/// begins.
///
/// # Errors
/// [`QueryError`].
pub fn told(
    context: &mut QueryContext<'_>,
    wanted: &Wanted,
    from: impl Into<Begin>,
    limit: usize,
) -> Result<(Vec<Told>, Option<EntryRef>), QueryError> {
    let mut from = from.into();
    let mut ids = BTreeSet::new();
    if let Some(token) = &wanted.token {
        ids = context.ids_of(token)?;
    }
    let of = [By::Finding.term(context.view().terms(), &context.scope().tenant)];
    let mut list: Vec<Told> = Vec::new();
    loop {
        let (entries, next) = context.postings_of_any(&of, from.clone(), PAGE)?;
        for at in entries {
            if list.len() == limit || context.is_spent() {
                return Ok((list, Some(at)));
            }
            let Some(record) = context.record(at)? else { continue };
            let Some(found) = told_by(context, record)? else { continue };
            let is_new = list.iter().all(|one| one.found.id != found.id);
            if is_new
                && found.raised.read(|_, one| is_wanted(one, wanted, &ids))
                && wanted.state.is_none_or(|state| found.state() == state)
            {
                list.push(Told { at, found });
            }
        }
        match next {
            Some(next) if !context.is_spent() => from = from.not_before(next),
            next => return Ok((list, next)),
        }
    }
}

/// The finding that an entry raises or opens again.
fn told_by(
    context: &mut QueryContext<'_>,
    record: Arc<Record>,
) -> Result<Option<Found>, QueryError> {
    let (event_type, id) = record.read(|_, one| {
        let is_own = one.source == LEDGER_SOURCE;
        let id = one.detail("finding").and_then(|hex| Hash::from_hex(hex).ok());
        (is_own.then_some(one.event_type), id)
    });
    match (event_type, id) {
        (Some(EventType::FindingRaised), _) => with_moves(context, record).map(Some),
        (Some(EventType::FindingClosed), Some(id)) => {
            let word = record.read(|_, one| one.detail("state").map(str::to_owned));
            let opens = [Moved::Reopened, Moved::Again].map(Moved::word);
            if !word.is_some_and(|word| opens.contains(&&*word)) {
                return Ok(None);
            }
            let found = finding(context, &id)?;
            Ok(found.filter(|found| found.is_opened_by(record.at)))
        }
        _ => Ok(None),
    }
}

/// One finding of the scope's tenant.
///
/// # Errors
/// [`QueryError`].
pub fn finding(context: &mut QueryContext<'_>, id: &Hash) -> Result<Option<Found>, QueryError> {
    let event_id = raised_event_id(&context.scope().tenant, id);
    let Some(at) = context.find_event(LEDGER_SOURCE, &event_id)? else {
        return Ok(None);
    };
    let Some(raised) = context.record(at)? else { return Ok(None) };
    Ok(Some(with_moves(context, raised)?))
}

/// The note of what was noticed by looking, and may have been before: raised, or, when it is
/// recorded and somebody closed it since, reopened.
///
/// # Errors
/// [`QueryError`].
pub fn noticed(view: &View, finding: Finding) -> Result<Note, QueryError> {
    let (id, tenant) = (finding.id(), finding.tenant.clone());
    let scope = Scope { tenant, as_of: view.as_of(), at: None, judged_at: i64::MAX };
    let mut context = QueryContext::new(view, scope, Spending::default())?;
    let Some(found) = self::finding(&mut context, &id)? else { return Ok(Note::Raised(finding)) };
    if !matches!(found.state(), Some(Moved::Closed | Moved::Withdrawn)) {
        return Ok(Note::Raised(finding));
    }
    let ended = |one: &&(Moved, _)| matches!(one.0, Moved::Closed | Moved::Withdrawn);
    Ok(Note::Moved(Move {
        tenant: finding.tenant,
        finding: id,
        to: Moved::Reopened,
        by: LEDGER_SOURCE.to_owned(),
        note: "it was noticed again".to_owned(),
        at: finding.noticed_at,
        upon: None,
        turn: found.moves.iter().filter(ended).count() as u64,
    }))
}

fn is_wanted(statement: &Statement<'_>, wanted: &Wanted, ids: &BTreeSet<String>) -> bool {
    if statement.event_type != EventType::FindingRaised || statement.source != LEDGER_SOURCE {
        return false;
    }
    let Some((rule, severity)) = kind_of(statement) else { return false };
    let about = statement.detail("token");
    wanted.rule.is_none_or(|one| one == rule)
        && wanted.severity.is_none_or(|least| least <= severity)
        && (wanted.token.is_none() || about.is_some_and(|about| ids.contains(about)))
}

fn with_moves(context: &mut QueryContext<'_>, raised: Arc<Record>) -> Result<Found, QueryError> {
    let (event_id, id) = raised.read(|_, one| {
        let id = one.detail("finding").and_then(|hex| Hash::from_hex(hex).ok());
        (one.event_id, id.unwrap_or(Hash::ZERO))
    });
    let by = By::ParentEvent(LEDGER_SOURCE, &event_id);
    let term = by.term(context.view().terms(), &context.scope().tenant);
    let records = context.records(&term, MOVES, |_, one| {
        one.event_type == EventType::FindingClosed && one.source == LEDGER_SOURCE
    })?;
    let moves = records.into_iter().filter_map(|record| {
        let word = record.read(|_, one| one.detail("state"));
        let moved = Moved::ALL.into_iter().find(|one| Some(one.word()) == word)?;
        Some((moved, record))
    });
    Ok(Found { id, moves: moves.collect(), raised })
}
