//! What one question reads: its scope, its budget, and the entries it came across.
//!
//! Promises: reads at most its budget, and then says so instead of going on; every entry that was
//! confirmed is remembered, so that the answer can be proven; reads all origins, oldest first.
//! What was read together with others ([`super::plan`]) changes no answer and no cut.
//!
//! Entries are named by their addresses ([`EntryRef`]), and a scope has a size per log ([`AsOf`]):
//! nothing here counts entries through several logs.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_index::{Ask, Bound, ReadBudget, Term, Window};
use ledgerline_journal::format::AttachmentRecord;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::statement::Statement;
use ledgerline_view::address::{AsOf, Begin, EntryRef, LogId};
use ledgerline_view::view::{QueryError, View};

use super::at_hand::{AtHand, LeafAtHand};
use super::record::{Confirm, Record, RecordMap};

/// Postings asked for at a time.
pub(crate) const PAGE: usize = 1024;

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The tenant.
    pub tenant: String,
    /// Only entries that it covers.
    pub as_of: AsOf,
    /// Only what happened up to and including this time, Unix nanoseconds.
    pub at: Option<i64>,
    /// When states are judged: `at`, or now.
    pub judged_at: i64,
}

/// What one question may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spending {
    /// Blocks of the index, about 4 KiB each.
    pub index_reads: u32,
    /// Entries.
    pub entries: u32,
}

impl Default for Spending {
    fn default() -> Self {
        Self { index_reads: 50_000, entries: 50_000 }
    }
}

/// What cut an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// There is another page.
    Limit,
    /// The read budget was spent.
    Reads,
    /// Relatives lie deeper than asked.
    Depth,
    /// There are more tokens than asked for.
    Tokens,
    /// A token has more ids, or a session more entries, than are looked at.
    Width,
}

impl Cut {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Reads => "reads",
            Self::Depth => "depth",
            Self::Tokens => "tokens",
            Self::Width => "width",
        }
    }
}

/// Reads for one question.
pub struct Reader<'v> {
    pub(super) view: &'v View,
    /// The origins that are read, oldest first.
    pub(super) origins: Arc<[View]>,
    scope: Scope,
    pub(super) budget: ReadBudget,
    pub(super) entries_left: u32,
    cuts: BTreeSet<Cut>,
    /// How often anything was cut.
    cut_count: u64,
    pub(super) records: RecordMap,
    /// What was read together with others, and is not charged yet.
    pub(super) hand: AtHand,
    /// Entries that were charged with what is remembered of them, and not read yet.
    pub(super) paid: BTreeSet<EntryRef>,
    /// Entries that the answer stands on.
    evidence: BTreeSet<EntryRef>,
}

impl<'v> Reader<'v> {
    /// Begins, over all origins of a view.
    ///
    /// # Errors
    /// `OutOfRange` when the scope covers more than the view has.
    pub fn new(view: &'v View, scope: Scope, spending: Spending) -> Result<Self, QueryError> {
        if !scope.as_of.is_within(&view.as_of()) {
            return Err(QueryError::OutOfRange("as_of lies beyond the ledger's size"));
        }
        Ok(Self::begin(view, view.origins().into(), scope, spending))
    }

    /// Begins, over one origin alone.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn alone(view: &'v View, scope: Scope, spending: Spending) -> Result<Self, QueryError> {
        if scope.as_of.size(view.log()) > view.size() {
            return Err(QueryError::OutOfRange("as_of lies beyond the ledger's size"));
        }
        Ok(Self::begin(view, Arc::new([view.clone()]), scope, spending))
    }

    fn begin(view: &'v View, origins: Arc<[View]>, scope: Scope, spending: Spending) -> Self {
        Self {
            view,
            origins,
            scope,
            budget: ReadBudget::new(spending.index_reads),
            entries_left: spending.entries,
            cuts: BTreeSet::new(),
            cut_count: 0,
            records: RecordMap::default(),
            hand: AtHand::default(),
            paid: BTreeSet::new(),
            evidence: BTreeSet::new(),
        }
    }

    /// A reader that also sees what occurred after the time at which this one looks, with what is
    /// left of its index reads and what it has at hand.
    pub(super) fn lend_whenever(&mut self) -> Self {
        let scope = Scope { at: None, ..self.scope.clone() };
        let left = Spending { index_reads: self.budget.left(), ..Spending::default() };
        let mut whole = Self::begin(self.view, Arc::clone(&self.origins), scope, left);
        whole.hand = std::mem::take(&mut self.hand);
        whole.hand.is_lent = true;
        whole
    }

    /// Takes back what was lent. What was read of the index is charged; entries have a bound of
    /// their own, so that a question costs the same however much it has at hand.
    pub(super) fn take_back(&mut self, mut whole: Self) {
        self.hand = std::mem::take(&mut whole.hand);
        self.hand.is_lent = false;
        self.budget.charge(whole.budget.spent());
        if !whole.cuts.is_empty() {
            self.cut(Cut::Width);
        }
    }

    /// What it is about.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The state it is answered from.
    #[must_use]
    pub fn view(&self) -> &'v View {
        self.view
    }

    /// What cut the answer so far.
    #[must_use]
    pub fn cuts(&self) -> Vec<Cut> {
        self.cuts.iter().copied().collect()
    }

    /// Notes a cut.
    pub fn cut(&mut self, cut: Cut) {
        self.cuts.insert(cut);
        self.cut_count += 1;
    }

    /// How many entries may yet be read.
    pub(crate) fn entries_left(&self) -> usize {
        usize::try_from(self.entries_left).unwrap_or(usize::MAX)
    }

    /// How often anything was cut so far.
    pub(crate) fn cut_count(&self) -> u64 {
        self.cut_count
    }

    /// Whether the read budget is spent.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.entries_left == 0 || self.budget.left() == 0
    }

    /// The entries that the answer names.
    #[must_use]
    pub fn cited(&self) -> &BTreeSet<EntryRef> {
        &self.evidence
    }

    /// Whether an event lies in the scope.
    #[must_use]
    pub fn sees(&self, at: EntryRef, occurred_nanos: i64) -> bool {
        self.scope.as_of.covers(at) && self.scope.at.is_none_or(|time| occurred_nanos <= time)
    }

    /// The event at an address, if it is one of the tenant's and in scope; `None` also when the
    /// budget is spent, which is then noted.
    ///
    /// # Errors
    /// [`QueryError`] when the disk fails.
    pub fn record(&mut self, at: EntryRef) -> Result<Option<Arc<Record>>, QueryError> {
        if let Some(known) = self.records.get(&at) {
            return Ok(known.clone());
        }
        if !self.scope.as_of.covers(at) {
            return Ok(None);
        }
        if self.entries_left == 0 && !self.paid.contains(&at) {
            self.cut(Cut::Reads);
            return Ok(None);
        }
        Ok(self.fresh_record(at, None)?.0)
    }

    /// Charges entries of which only what they say together is remembered, as if they were read.
    pub(super) fn charge(&mut self, entries: &[EntryRef]) {
        for at in entries {
            if !self.records.contains_key(at) && self.paid.insert(*at) {
                self.entries_left = self.entries_left.saturating_sub(1);
            }
        }
    }

    /// Reads and remembers a record, and says whether it is `wanted`: decoded once for both.
    fn fresh_record(
        &mut self,
        at: EntryRef,
        wanted: Option<&mut Confirm<'_>>,
    ) -> Result<(Option<Arc<Record>>, bool), QueryError> {
        if !self.paid.remove(&at) {
            self.entries_left -= 1;
        }
        let leaf = match self.hand.leaf(at) {
            Some(LeafAtHand::Taken(record)) => {
                self.records.insert(at, record.clone());
                let both = record.as_ref().zip(wanted);
                let is_wanted = both.is_none_or(|(record, wanted)| record.read(wanted));
                return Ok((record, is_wanted));
            }
            Some(LeafAtHand::Bytes(leaf)) => leaf,
            None => self.leaf(at)?,
        };
        let judge = |entry: &Entry<'_>, statement: &Statement<'_>| {
            wanted.is_none_or(|wanted| wanted(entry, statement))
        };
        let (record, is_wanted) = self.taken(at, leaf, judge).unzip();
        self.records.insert(at, record.clone());
        Ok((record, is_wanted == Some(true)))
    }

    /// A leaf as the record it is in this scope, and what `told` says of it: decoded once for both.
    pub(super) fn taken<T>(
        &self,
        at: EntryRef,
        leaf: Vec<u8>,
        told: impl FnOnce(&Entry<'_>, &Statement<'_>) -> T,
    ) -> Option<(Arc<Record>, T)> {
        let (record, told) = read_event(&leaf, |entry, statement| {
            let seen =
                statement.tenant == self.scope.tenant && self.sees(at, statement.occurred_at.nanos);
            seen.then(|| (Record::of(at, entry, statement), told(entry, statement)))
        })??;
        Some((record.with(leaf), told))
    }

    /// The record at an address, if it is `wanted`.
    pub(super) fn record_if(
        &mut self,
        at: EntryRef,
        wanted: &mut Confirm<'_>,
    ) -> Result<Option<Arc<Record>>, QueryError> {
        let may_read = self.entries_left > 0 || self.paid.contains(&at);
        let is_fresh = self.scope.as_of.covers(at) && may_read;
        if is_fresh && !self.records.contains_key(&at) {
            let (record, is_wanted) = self.fresh_record(at, Some(wanted))?;
            return Ok(record.filter(|_| is_wanted));
        }
        Ok(self.record(at)?.filter(|record| record.read(&mut *wanted)))
    }

    /// Notes an entry that the answer stands on, as evidence.
    pub fn cite(&mut self, at: EntryRef) {
        self.evidence.insert(at);
    }

    /// The origin of a log, if it is read.
    pub(super) fn origin(&self, log: LogId) -> Option<&View> {
        self.origins.iter().find(|one| one.log() == log)
    }

    /// How many entries of an origin are in scope.
    pub(super) fn seen_of(&self, origin: &View) -> u64 {
        self.scope.as_of.size(origin.log())
    }

    pub(super) fn leaf(&self, at: EntryRef) -> Result<Vec<u8>, QueryError> {
        let beyond = QueryError::OutOfRange("the ledger has no entry at this index yet");
        self.origin(at.log).ok_or(beyond)?.leaf(at.index)
    }

    /// The attachment with this digest beside the event at an address.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn attachment(
        &self,
        at: EntryRef,
        digest: &Hash,
    ) -> Result<Option<AttachmentRecord>, QueryError> {
        match self.origin(at.log) {
            Some(origin) => origin.attachment(at.index, digest),
            None => Ok(None),
        }
    }

    /// A term's entries in scope, ascending, at most `limit`, and where to go on.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn postings(
        &mut self,
        term: &Term,
        begin: impl Into<Begin>,
        limit: usize,
    ) -> Result<(Vec<EntryRef>, Option<EntryRef>), QueryError> {
        let begin = begin.into();
        let mut found = Vec::new();
        for origin in &*self.origins {
            let range = begin.index(origin.log()).map(|from| from..self.seen_of(origin));
            let Some(range) = range.filter(|range| !range.is_empty()) else { continue };
            if found.len() >= limit {
                return Ok((found, Some(origin.entry(range.start))));
            }
            let ask = Ask::oldest(*term, range, limit - found.len());
            let page = match self.hand.page(origin.log(), &ask, self.budget.left()) {
                Some(page) => {
                    self.budget.charge(page.reads);
                    page
                }
                None => origin.page(ask, &mut self.budget)?,
            };
            found.extend(page.indexes.into_iter().map(|index| origin.entry(index)));
            if page.cut_by == Some(Bound::Reads) {
                self.cuts.insert(Cut::Reads);
                self.cut_count += 1;
            }
            if let Some(next) = page.next {
                return Ok((found, Some(origin.entry(next))));
            }
        }
        Ok((found, None))
    }

    /// As [`Self::postings`], without entries that cannot have occurred in a window of event time;
    /// others that did not may be among them.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn postings_within(
        &mut self,
        term: &Term,
        window: Window,
        begin: impl Into<Begin>,
        limit: usize,
    ) -> Result<(Vec<EntryRef>, Option<EntryRef>), QueryError> {
        let begin = begin.into();
        let mut found = Vec::new();
        for origin in &*self.origins {
            let Some(from) = begin.index(origin.log()) else { continue };
            let mut rest = from..self.seen_of(origin);
            while !rest.is_empty() {
                let part = origin.postings().first_in(window, &rest);
                if part.is_empty() {
                    break;
                }
                if found.len() >= limit {
                    return Ok((found, Some(origin.entry(part.start))));
                }
                let ask = Ask::oldest(*term, part.clone(), limit - found.len());
                let page = origin.page(ask, &mut self.budget)?;
                let kept = origin.postings().may_have(window, &page.indexes);
                found.extend(kept.into_iter().map(|index| origin.entry(index)));
                rest.start = page.next.unwrap_or(part.end);
                if page.cut_by == Some(Bound::Reads) {
                    self.cuts.insert(Cut::Reads);
                    self.cut_count += 1;
                    return Ok((found, Some(origin.entry(rest.start))));
                }
            }
        }
        Ok((found, None))
    }

    /// All records of a term, ascending, that `wanted` confirms. More than `most` are cut.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn records(
        &mut self,
        term: &Term,
        most: usize,
        mut wanted: impl FnMut(&Entry<'_>, &Statement<'_>) -> bool,
    ) -> Result<Vec<Arc<Record>>, QueryError> {
        let mut found = Vec::new();
        let mut from = EntryRef::FIRST;
        while found.len() < most && !self.is_spent() {
            let (entries, next) = self.postings(term, from, PAGE.min(most))?;
            self.read_leaves(&entries);
            for at in entries {
                found.extend(self.record_if(at, &mut wanted)?);
            }
            match next {
                Some(next) => from = next,
                None => return Ok(found),
            }
        }
        self.cut(if self.is_spent() { Cut::Reads } else { Cut::Width });
        Ok(found)
    }
}
