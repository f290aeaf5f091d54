//! A token's life: all its events under all its ids, and where it stands by them.
//!
//! ```text
//! id ──▶ chains of all ids, also_known_as from either side, in every origin ──▶ addresses, history
//! births ──▶ revocations of something wider that cover it ──▶ states
//! ```
//!
//! Promises: the whole chain is read, however long, a part at a time; what is kept of an event is
//! its place, and its fact while there are few of them. Past [`MAX_FACTS`] mere uses of what is no
//! code are left out of the fold, which they do not change. What could not be read whole says so.
//! Pages behind the first read what decides, and their own events.
//!
//! Assumes: the caller checked who may see the tenant.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use ledgerline_index::terms::{By, OfLife, chain_term};
use ledgerline_index::{Ask, Page, ReadBudget, Term};
use ledgerline_proof::chain::{ChainKey, chain_key};
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::lifecycle::{
    Covering, Fact, Revocation, TokenHistory, TokenState, Violation, changes_state,
    is_permitted_birth,
};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{TargetKind, TokenKind};
use ledgerline_view::address::{AsOf, EntryRef, LogId, indexes};
use ledgerline_view::chains::{self, Reach};
use ledgerline_view::view::{EventView, PageRequest, QueryError, View};

use crate::facts::{MAX_IDS, fact_of, joined_ids};

/// Index blocks that one part of a chain may read.
const PART_READS: u32 = 4096;
/// Events of one part.
const PART: usize = 1024;
/// Facts that are kept before mere uses are left out.
const MAX_FACTS: usize = 50_000;
/// Facts that are kept at all, and births; events that are read.
const MOST_FACTS: usize = 250_000;
const MOST_BIRTHS: usize = 10_000;
const MOST_EVENTS: u64 = 4_000_000;

/// How much of each chain decides, where not all of it is wanted.
const REACH: Reach = Reach { long: 1024, newest: 1 };

/// When a life is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// When, Unix nanoseconds: revocations of something wider in force then cover the token.
    pub at: i64,
    /// What occurred later is left out of the states; `i64::MAX` for nothing.
    pub by: i64,
}

/// Where a token stands of which too much is recorded for a question.
pub struct Stands {
    /// All its ids.
    pub ids: BTreeSet<String>,
    /// State in ledger order.
    pub known: TokenState,
    /// State in event time.
    pub happened: TokenState,
    /// The revocations of something wider that cover it, ascending.
    pub covered_by: Vec<EntryRef>,
    /// As [`Life::cut`].
    pub cut: bool,
}

/// A token's life.
#[derive(Debug, Clone)]
pub struct Life {
    /// The page of events, in ledger order, those of older origins first.
    pub events: Vec<EventView>,
    /// Behind which entry the next page begins, if there is one.
    pub next: Option<EntryRef>,
    /// All its ids.
    pub ids: BTreeSet<String>,
    /// How many events it has as of the state asked about, in all origins.
    pub total: u64,
    /// State in ledger order; drives introspection.
    pub known: TokenState,
    /// State in event time; drives reports.
    pub happened: TokenState,
    /// The revocations of something wider that cover it, ascending.
    pub covered_by: Vec<EntryRef>,
    /// How many of its events, and of those revocations, stand in each origin that has any.
    pub by_origin: Vec<(Arc<str>, u64)>,
    /// What is off about the events of the page: a use after its revocation, say.
    pub violations: BTreeMap<EntryRef, Violation>,
    /// Set when not all of it was read: the states may be other ones.
    pub cut: bool,
}

/// Where the token with these ids stands as of a state, by what decides of its chains: mere uses
/// are not read. Of what occurred after `only_by` nothing counts. `None` when it was never seen.
///
/// # Errors
/// [`QueryError`].
pub fn stands_of(
    view: &View,
    tenant: &str,
    ids: &BTreeSet<String>,
    as_of: &AsOf,
    judgement: Judgement,
    only_by: Option<i64>,
) -> Result<Option<Stands>, QueryError> {
    let mut walk = Walk { only_by, deciding: true, ..Walk::new(view, tenant, as_of) };
    walk.identity(ids)?;
    if walk.is_code && walk.thinned {
        walk = Walk { only_by, ..Walk::new(view, tenant, as_of) };
        walk.identity(ids)?;
    }
    if walk.entries.is_empty() {
        return Ok(None);
    }
    walk.entries.sort_unstable();
    let (known, happened, covered_by, _) = walk.states(judgement, &[])?;
    let Walk { ids, cut, .. } = walk;
    Ok(Some(Stands { ids, known, happened, covered_by, cut }))
}

/// A token's life as of a state; `None` when the token was never seen.
///
/// # Errors
/// [`QueryError`]; `OutOfRange` when `as_of` lies beyond the ledger.
pub fn life_of(
    view: &View,
    tenant: &str,
    token_id: &str,
    as_of: &AsOf,
    judgement: Judgement,
    page: PageRequest,
) -> Result<Option<Life>, QueryError> {
    if !as_of.is_within(&view.as_of()) {
        return Err(QueryError::OutOfRange("as_of lies beyond the ledger's size"));
    }
    // Whoever turns pages has confirmed the whole chain with the first one.
    let mut walk = Walk { deciding: page.after.is_some(), ..Walk::new(view, tenant, as_of) };
    walk.identity(&BTreeSet::from([token_id.to_owned()]))?;
    if walk.deciding && walk.thinned && walk.is_code {
        walk = Walk::new(view, tenant, as_of);
        walk.identity(&BTreeSet::from([token_id.to_owned()]))?;
    } else if walk.deciding && walk.thinned {
        walk.count()?;
    }
    if walk.entries.is_empty() {
        return Ok(None);
    }
    walk.entries.sort_unstable();
    walk.entries.dedup();
    let entries = std::mem::take(&mut walk.entries);
    let first = page.after.map_or(0, |after| entries.partition_point(|at| *at <= after));
    let shown = first..entries.len().min(first.saturating_add(page.limit));
    let next = entries[shown.clone()].last().copied().filter(|_| entries.len() > shown.end);
    let mut events = Vec::with_capacity(shown.len());
    for event in events_at(view, &entries[shown])? {
        let is_its = |event: &EventView| {
            let named =
                |one: &Statement<'_>| one.tenant == tenant && walk.ids.contains(one.target.id);
            read_event(&event.leaf, |_, one| named(one)) == Some(true)
        };
        events.extend(Some(event).filter(is_its));
    }
    let total = entries.len() as u64;
    walk.entries = entries;
    let (known, happened, covered_by, violations) = walk.states(judgement, &events)?;
    let by_origin = by_origin(view, &walk.entries, &covered_by);
    let Walk { ids, cut, .. } = walk;
    Ok(Some(Life {
        events,
        next,
        ids,
        total,
        known,
        happened,
        covered_by,
        by_origin,
        violations,
        cut,
    }))
}

/// The events at ascending addresses: one call for each origin.
fn events_at(view: &View, entries: &[EntryRef]) -> Result<Vec<EventView>, QueryError> {
    let mut events = Vec::with_capacity(entries.len());
    for here in entries.chunk_by(|one, next| one.log == next.log) {
        let origin = view.of_log(here[0].log);
        let stored = here.iter().zip(origin.stored(&indexes(here))?);
        events.extend(stored.filter_map(|(at, stored)| origin.event_view(at.index, stored)));
    }
    Ok(events)
}

/// How many entries lie in each origin that has any of them.
fn by_origin(view: &View, entries: &[EntryRef], covered_by: &[EntryRef]) -> Vec<(Arc<str>, u64)> {
    let count = |view: &View| {
        let within = |at: &&EntryRef| at.log == view.log();
        entries.iter().chain(covered_by).filter(within).count() as u64
    };
    let origins = view.origins();
    let each = origins.iter().map(|view| (Arc::from(&*view.identity().origin), count(view)));
    each.filter(|(_, count)| *count > 0).collect()
}

/// The states, what covers, and what is off about the events that are shown.
type Judged = (TokenState, TokenState, Vec<EntryRef>, BTreeMap<EntryRef, Violation>);

/// The history of these facts and births, or of what occurred by a time alone.
fn history_of<'b>(
    facts: &[Fact<'static>],
    births: &'b [(EntryRef, Vec<u8>)],
    by: Option<i64>,
) -> TokenHistory<'b> {
    let mut history = TokenHistory::default();
    for fact in facts.iter().filter(|fact| by.is_none_or(|by| fact.occurred_at.nanos <= by)) {
        history.push_fact(fact.clone());
    }
    for (at, leaf) in births {
        read_event(leaf, |entry, one| {
            if is_in_time(one, by) {
                history.push(one, &entry.handles, at.rank(), entry.recorded_at);
            }
        });
    }
    history
}

/// What is off about the events that are shown. Uses among them may have been left out of the
/// history: they change nothing, and are judged by what does.
fn off(
    mut history: TokenHistory<'_>,
    covering: &[Covering],
    shown: &[EventView],
) -> BTreeMap<EntryRef, Violation> {
    if shown.is_empty() {
        return BTreeMap::new();
    }
    let has: BTreeSet<u64> = history.facts().iter().map(|fact| fact.index).collect();
    for event in shown.iter().filter(|event| !has.contains(&event.at.rank())) {
        let fact = read_event(&event.leaf, |entry, one| fact_of(entry, one));
        if let Some(fact) = fact.flatten() {
            history.push_fact(Fact { index: event.at.rank(), ..fact });
        }
    }
    let shown: BTreeSet<EntryRef> = shown.iter().map(|event| event.at).collect();
    let found = history.violations(covering).into_iter();
    let found = found.map(|(rank, violation)| (EntryRef::of_rank(rank), violation));
    found.filter(|(at, _)| shown.contains(at)).collect()
}

/// A life being read.
struct Walk<'v> {
    origins: Vec<View>,
    view: &'v View,
    tenant: &'v str,
    as_of: &'v AsOf,
    ids: BTreeSet<String>,
    /// First parts of what terms lead to in a log.
    first: BTreeMap<(LogId, Term), Page>,
    entries: Vec<EntryRef>,
    facts: Vec<Fact<'static>>,
    births: Vec<(EntryRef, Vec<u8>)>,
    /// Whether only what decides is read; then of a long chain uses are left out, too.
    deciding: bool,
    /// What occurred later counts for nothing.
    only_by: Option<i64>,
    /// Whether a birth says that it is a code.
    is_code: bool,
    /// Whether uses were left out.
    thinned: bool,
    read: u64,
    cut: bool,
}

impl<'v> Walk<'v> {
    fn new(view: &'v View, tenant: &'v str, as_of: &'v AsOf) -> Self {
        Self {
            origins: view.origins(),
            view,
            tenant,
            as_of,
            ids: BTreeSet::new(),
            first: BTreeMap::new(),
            entries: Vec::new(),
            facts: Vec::new(),
            births: Vec::new(),
            deciding: false,
            only_by: None,
            is_code: false,
            thinned: false,
            read: 0,
            cut: false,
        }
    }

    /// Reads the chains of all ids that are one token's.
    fn identity(&mut self, ids: &BTreeSet<String>) -> Result<(), QueryError> {
        self.ids.extend(ids.iter().cloned());
        let mut todo: Vec<String> = ids.iter().cloned().collect();
        while let Some(id) = todo.pop() {
            for other in self.of_one_id(&id)? {
                if self.ids.len() >= MAX_IDS && !self.ids.contains(&other) {
                    self.cut = true;
                } else if self.ids.insert(other.clone()) {
                    todo.push(other);
                }
            }
        }
        Ok(())
    }

    /// Takes the events of one id's chain; gives the other ids that they or others say are the same
    /// token's.
    fn of_one_id(&mut self, id: &str) -> Result<BTreeSet<String>, QueryError> {
        let tenant = self.tenant;
        let key = ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() };
        let mut ids = BTreeSet::new();
        let chain = chain_term(self.view.terms(), &key);
        let alias = By::Alias(id).term(self.view.terms(), tenant);
        let names = OfLife::Names.term(&chain);
        self.read(&[if self.deciding { names } else { chain }, alias])?;
        let read = |walk: &mut Self, at, leaf: Vec<u8>| {
            let fact = read_event(&leaf, |entry, one| {
                if chain_key(one, &entry.handles) != Some(key) {
                    return None;
                }
                // Which ids are one token's is no act: it is so whenever it is said.
                if !walk.deciding && !one.also_known_as.is_empty() {
                    ids.extend(joined_ids(one, id).map(str::to_owned));
                }
                walk.is_in_time(one).then(|| walk.take(at, entry, one))
            });
            match fact.flatten() {
                Some(true) if walk.births.len() < MOST_BIRTHS => walk.births.push((at, leaf)),
                Some(true) => walk.cut = true,
                _ => {}
            }
        };
        if self.deciding {
            self.each_deciding(&chain, read)?;
            self.each(&names, |_, _, leaf| {
                read_event(&leaf, |entry, one| {
                    if chain_key(one, &entry.handles) == Some(key) {
                        ids.extend(joined_ids(one, id).map(str::to_owned));
                    }
                });
            })?;
        } else {
            self.each(&chain, read)?;
        }
        self.each(&alias, |_, _, leaf| {
            read_event(&leaf, |_, one| {
                let names = one.target.kind == TargetKind::Token
                    && one.tenant == tenant
                    && one.also_known_as.contains(&id);
                if names {
                    ids.extend(joined_ids(one, id).map(str::to_owned));
                }
            });
        })?;
        Ok(ids)
    }

    /// Takes an event of the token; whether it is a birth, of which the leaf is wanted.
    fn take(&mut self, at: EntryRef, entry: &Entry<'_>, statement: &Statement<'_>) -> bool {
        self.entries.push(at);
        let Some(fact) = fact_of(entry, statement) else {
            let code = statement.token_kind.is_some_and(TokenKind::is_code);
            self.is_code |= code && is_permitted_birth(statement);
            return true;
        };
        let idle = !changes_state(statement);
        if idle && self.facts.len() >= MAX_FACTS {
            self.thinned = true;
        } else if self.facts.len() >= MOST_FACTS {
            self.cut = true;
        } else {
            self.facts.push(Fact { index: at.rank(), ..fact });
        }
        false
    }

    /// Counts the events of all its chains by what the index has of them.
    fn count(&mut self) -> Result<(), QueryError> {
        for id in &self.ids {
            let tenant = self.tenant;
            let key = ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() };
            let chain = chain_term(self.view.terms(), &key);
            for origin in &self.origins {
                let end = self.as_of.size(origin.log());
                let most = usize::try_from(MOST_EVENTS).unwrap_or(usize::MAX);
                let (found, cut) = chains::postings(origin.postings(), &chain, 0..end, most)?;
                self.cut |= cut;
                self.entries.extend(found.into_iter().map(|index| origin.entry(index)));
            }
        }
        Ok(())
    }

    /// The states, the revocations of something wider that cover it, and what is off about the
    /// events that are `shown`.
    fn states(&mut self, judgement: Judgement, shown: &[EventView]) -> Result<Judged, QueryError> {
        let births = std::mem::take(&mut self.births);
        let facts = std::mem::take(&mut self.facts);
        let history = history_of(&facts, &births, None);
        // Where only a part of its life counts, what covers that part.
        let part = Some(judgement.by).filter(|by| *by < i64::MAX);
        let part = part.map(|by| (by, history_of(&facts, &births, Some(by))));
        let (mut covering, mut covers_part) = (Vec::new(), Vec::new());
        let (tenant, only_by) = (self.tenant, self.only_by);
        let acts = history.chains().into_iter().map(|(kind, id)| {
            let chain = chain_term(self.view.terms(), &ChainKey { kind, tenant, id: &id });
            OfLife::Acts.term(&chain)
        });
        let acts: Vec<Term> = acts.collect();
        self.read(&acts)?;
        for term in acts {
            self.each(&term, |_, at, leaf| {
                read_event(&leaf, |entry, one| {
                    let found = Revocation::of(one, &entry.handles, at.rank(), entry.recorded_at);
                    let Some(found) = found else { return };
                    if one.tenant != tenant || !is_in_time(one, only_by) {
                        return;
                    }
                    let occurred_at = one.occurred_at.nanos;
                    let effective_at = found.effective_at;
                    let one = Covering { index: at.rank(), occurred_at, effective_at };
                    covering.extend(history.is_covered_by(&found).then_some(one));
                    let part = part.as_ref().filter(|(by, _)| occurred_at <= *by);
                    let covers = part.is_some_and(|(_, part)| part.is_covered_by(&found));
                    covers_part.extend(covers.then_some(one));
                });
            })?;
        }
        let violations = off(history.clone(), &covering, shown);
        let (history, covering) = match part {
            Some((_, part)) => (part, covers_part),
            None => (history, covering),
        };
        let mut judged = history.judge(&covering, judgement.at, judgement.by);
        // Of a code every use counts.
        self.cut |= self.thinned && judged.known.token_kind.is_some_and(TokenKind::is_code);
        if self.thinned {
            judged.known.last_index = self.entries.last().map(|at| at.rank());
        }
        let covered_by = judged.covered_by.into_iter().map(EntryRef::of_rank).collect();
        Ok((judged.known, judged.happened, covered_by, violations))
    }

    fn is_in_time(&self, statement: &Statement<'_>) -> bool {
        is_in_time(statement, self.only_by)
    }

    /// Hands out what decides of a chain in every origin.
    fn each_deciding(
        &mut self,
        chain: &Term,
        mut each: impl FnMut(&mut Self, EntryRef, Vec<u8>),
    ) -> Result<(), QueryError> {
        for origin in self.view.origins() {
            let end = self.as_of.size(origin.log());
            let found = chains::deciding(origin.postings(), chain, end, REACH)?;
            self.thinned |= !found.whole;
            self.cut |= found.cut;
            origin.each_at(&found.indexes, &mut |index, leaf| {
                each(self, origin.entry(index), leaf);
            })?;
        }
        Ok(())
    }

    /// Reads the first parts of what some terms lead to: one call for each origin.
    fn read(&mut self, terms: &[Term]) -> Result<(), QueryError> {
        self.first.clear();
        for origin in self.origins.iter().filter(|_| !terms.is_empty()) {
            let end = self.as_of.size(origin.log());
            let asks: Vec<Ask> =
                terms.iter().map(|term| Ask::oldest(*term, 0..end, PART)).collect();
            let reads = PART_READS.saturating_mul(u32::try_from(terms.len()).unwrap_or(u32::MAX));
            let pages = origin.postings().postings(&asks, &mut ReadBudget::new(reads))?;
            let pages = terms.iter().zip(pages).map(|(term, page)| ((origin.log(), *term), page));
            self.first.extend(pages);
        }
        Ok(())
    }

    /// Hands out what a term leads to in every origin, by address, a part at a time.
    fn each(
        &mut self,
        term: &Term,
        mut each: impl FnMut(&mut Self, EntryRef, Vec<u8>),
    ) -> Result<(), QueryError> {
        let origins = std::mem::take(&mut self.origins);
        let read = origins.iter().try_for_each(|origin| {
            let end = self.as_of.size(origin.log());
            self.each_in(origin, term, 0..end, &mut each)
        });
        self.origins = origins;
        read
    }

    fn each_in(
        &mut self,
        origin: &View,
        term: &Term,
        mut range: Range<u64>,
        each: &mut impl FnMut(&mut Self, EntryRef, Vec<u8>),
    ) -> Result<(), QueryError> {
        while range.start < range.end {
            let first = Some((origin.log(), *term)).filter(|_| range.start == 0);
            let page = match first.and_then(|first| self.first.remove(&first)) {
                Some(page) => page,
                None => {
                    let ask = Ask::oldest(*term, range.clone(), PART);
                    origin.page(ask, &mut ReadBudget::new(PART_READS))?
                }
            };
            self.read += page.indexes.len() as u64;
            origin.each_at(&page.indexes, &mut |index, leaf| {
                each(self, origin.entry(index), leaf);
            })?;
            let Some(next) = page.next else { break };
            if next <= range.start || self.read >= MOST_EVENTS {
                self.cut = true;
                break;
            }
            range.start = next;
        }
        Ok(())
    }
}

fn is_in_time(statement: &Statement<'_>, only_by: Option<i64>) -> bool {
    only_by.is_none_or(|by| statement.occurred_at.nanos <= by)
}
