//! What one question reads: its scope, its budget, and the entries it came across.
//!
//! Promises: reads at most its budget, and then says so instead of going on; every entry that was
//! confirmed is remembered, so that the answer can be proven; reads all origins, oldest first.
//! What was read together with others ([`super::plan`]) changes no answer and no cut.
//!
//! Indexes here are *positions*: they count the entries of all origins, oldest first. In a ledger
//! of one origin a position is an index ([`View::at_position`] tells them apart).

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use ledgerline_index::{Ask, Bound, ReadBudget, Term, Window};
use ledgerline_journal::format::AttachmentRecord;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::schema::Leaf;
use ledgerline_proof::statement::Statement;
use ledgerline_view::view::{QueryError, View};

use super::at_hand::{AtHand, LeafAtHand};
use super::record::{Confirm, Record, RecordMap};

/// Postings asked for at a time.
pub(crate) const PAGE: usize = 1024;

/// Into how many parts a search by time divides what is left.
const WAYS: u64 = 16;

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The tenant.
    pub tenant: String,
    /// Only entries at positions below this size.
    pub size: u64,
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
    /// The origins that are read, each with the position of its first entry; oldest first.
    pub(super) origins: Arc<[(u64, View)]>,
    scope: Scope,
    pub(super) budget: ReadBudget,
    pub(super) entries_left: u32,
    cuts: BTreeSet<Cut>,
    /// How often anything was cut.
    cut_count: u64,
    pub(super) records: RecordMap,
    /// What was read together with others, and is not charged yet.
    pub(super) hand: AtHand,
    /// Entries that the answer stands on.
    evidence: BTreeSet<u64>,
}

impl<'v> Reader<'v> {
    /// Begins, over all origins of a view. The scope's size counts the entries of all of them
    /// ([`View::end`]).
    ///
    /// # Errors
    /// `OutOfRange` when the scope's size lies beyond the view's.
    pub fn new(view: &'v View, scope: Scope, spending: Spending) -> Result<Self, QueryError> {
        let origins = view.origins().into_iter().map(|one| (one.base(), one)).collect();
        Self::over(view, origins, scope, spending)
    }

    /// Begins, over one origin alone, whose positions are its indexes.
    ///
    /// # Errors
    /// As [`Reader::new`].
    pub fn alone(view: &'v View, scope: Scope, spending: Spending) -> Result<Self, QueryError> {
        Self::over(view, Arc::new([(0, view.clone())]), scope, spending)
    }

    fn over(
        view: &'v View,
        origins: Arc<[(u64, View)]>,
        scope: Scope,
        spending: Spending,
    ) -> Result<Self, QueryError> {
        if origins.last().is_some_and(|(base, last)| scope.size > base + last.size()) {
            return Err(QueryError::OutOfRange("as_of lies beyond the ledger's size"));
        }
        Ok(Self::begin(view, origins, scope, spending))
    }

    fn begin(
        view: &'v View,
        origins: Arc<[(u64, View)]>,
        scope: Scope,
        spending: Spending,
    ) -> Self {
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

    /// How often anything was cut so far.
    pub(super) fn cut_count(&self) -> u64 {
        self.cut_count
    }

    /// Whether the read budget is spent.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.entries_left == 0 || self.budget.left() == 0
    }

    /// The entries that the answer names.
    #[must_use]
    pub fn cited(&self) -> &BTreeSet<u64> {
        &self.evidence
    }

    /// Whether an event lies in the scope.
    #[must_use]
    pub fn sees(&self, index: u64, occurred_nanos: i64) -> bool {
        index < self.scope.size && self.scope.at.is_none_or(|at| occurred_nanos <= at)
    }

    /// The event at an index, if it is one of the tenant's and in scope; `None` also when the
    /// budget is spent, which is then noted.
    ///
    /// # Errors
    /// [`QueryError`] when the disk fails.
    pub fn record(&mut self, index: u64) -> Result<Option<Arc<Record>>, QueryError> {
        if let Some(known) = self.records.get(&index) {
            return Ok(known.clone());
        }
        if index >= self.scope.size {
            return Ok(None);
        }
        if self.entries_left == 0 {
            self.cut(Cut::Reads);
            return Ok(None);
        }
        Ok(self.fresh_record(index, None)?.0)
    }

    /// Reads and remembers a record, and says whether it is `wanted`: decoded once for both.
    fn fresh_record(
        &mut self,
        index: u64,
        wanted: Option<&mut Confirm<'_>>,
    ) -> Result<(Option<Arc<Record>>, bool), QueryError> {
        self.entries_left -= 1;
        let leaf = match self.hand.leaf(index) {
            Some(LeafAtHand::Taken(record)) => {
                self.records.insert(index, record.clone());
                let both = record.as_ref().zip(wanted);
                let is_wanted = both.is_none_or(|(record, wanted)| record.read(wanted));
                return Ok((record, is_wanted));
            }
            Some(LeafAtHand::Bytes(leaf)) => leaf,
            None => self.leaf(index)?,
        };
        let judge = |entry: &Entry<'_>, statement: &Statement<'_>| {
            wanted.is_none_or(|wanted| wanted(entry, statement))
        };
        let (record, is_wanted) = self.taken(index, leaf, judge).unzip();
        self.records.insert(index, record.clone());
        Ok((record, is_wanted == Some(true)))
    }

    /// A leaf as the record it is in this scope, and what `told` says of it: decoded once for both.
    pub(super) fn taken<T>(
        &self,
        index: u64,
        leaf: Vec<u8>,
        told: impl FnOnce(&Entry<'_>, &Statement<'_>) -> T,
    ) -> Option<(Arc<Record>, T)> {
        let (record, told) = read_event(&leaf, |entry, statement| {
            let seen = statement.tenant == self.scope.tenant
                && self.sees(index, statement.occurred_at.nanos);
            seen.then(|| (Record::of(index, &leaf, entry, statement), told(entry, statement)))
        })??;
        Some((record.with(leaf), told))
    }

    /// The record at an index, if it is `wanted`.
    pub(super) fn record_if(
        &mut self,
        index: u64,
        wanted: &mut Confirm<'_>,
    ) -> Result<Option<Arc<Record>>, QueryError> {
        let is_fresh = index < self.scope.size && self.entries_left > 0;
        if is_fresh && !self.records.contains_key(&index) {
            let (record, is_wanted) = self.fresh_record(index, Some(wanted))?;
            return Ok(record.filter(|_| is_wanted));
        }
        Ok(self.record(index)?.filter(|record| record.read(&mut *wanted)))
    }

    /// Remembers that the answer stands on an entry.
    pub fn stands_on(&mut self, index: u64) {
        self.evidence.insert(index);
    }

    /// The origin that holds a position, and the position of its first entry.
    pub(super) fn origin_of(&self, position: u64) -> Option<(u64, &View)> {
        let (base, view) = self.origins.iter().rev().find(|(base, _)| *base <= position)?;
        Some((*base, view))
    }

    /// The origin that holds a position, and the index there.
    fn place(&self, position: u64) -> Option<(&View, u64)> {
        let (base, view) = self.origin_of(position)?;
        Some((view, position - base))
    }

    pub(super) fn leaf(&self, position: u64) -> Result<Vec<u8>, QueryError> {
        let beyond = QueryError::OutOfRange("the ledger has no entry at this index yet");
        let (view, index) = self.place(position).ok_or(beyond)?;
        view.leaf(index)
    }

    /// The attachment with this digest beside the event at a position.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn attachment(
        &self,
        position: u64,
        digest: &Hash,
    ) -> Result<Option<AttachmentRecord>, QueryError> {
        match self.place(position) {
            Some((view, index)) => view.attachment(index, digest),
            None => Ok(None),
        }
    }

    /// A term's positions in a range, ascending, at most `limit`, and where to go on.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn postings(
        &mut self,
        term: &Term,
        range: Range<u64>,
        limit: usize,
    ) -> Result<(Vec<u64>, Option<u64>), QueryError> {
        let end = range.end.min(self.scope.size);
        let mut found = Vec::new();
        for (n, (base, view)) in self.origins.iter().enumerate() {
            let until = end.min(base + view.size());
            let from = range.start.max(*base);
            if from >= until {
                continue;
            }
            if found.len() >= limit {
                return Ok((found, Some(from)));
            }
            let here = from - base..until - base;
            let wanted = limit - found.len();
            let ask = Ask::oldest(*term, here, wanted);
            let page = match self.hand.page(n, &ask, self.budget.left()) {
                Some(page) => {
                    self.budget.charge(page.reads);
                    page
                }
                None => view.page(ask, &mut self.budget)?,
            };
            found.extend(page.indexes.into_iter().map(|index| base + index));
            if page.cut_by == Some(Bound::Reads) {
                self.cuts.insert(Cut::Reads);
                self.cut_count += 1;
            }
            if let Some(next) = page.next {
                return Ok((found, Some(base + next)));
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
        range: Range<u64>,
        limit: usize,
    ) -> Result<(Vec<u64>, Option<u64>), QueryError> {
        let end = range.end.min(self.scope.size);
        let mut found = Vec::new();
        for (base, view) in Arc::clone(&self.origins).iter() {
            let until = end.min(base + view.size());
            let mut rest =
                range.start.max(*base).saturating_sub(*base)..until.saturating_sub(*base);
            while !rest.is_empty() {
                let part = view.postings().first_in(window, &rest);
                if part.is_empty() {
                    break;
                }
                if found.len() >= limit {
                    return Ok((found, Some(base + part.start)));
                }
                let ask = Ask::oldest(*term, part.clone(), limit - found.len());
                let page = view.page(ask, &mut self.budget)?;
                let kept = view.postings().may_have(window, &page.indexes);
                found.extend(kept.into_iter().map(|index| base + index));
                rest.start = page.next.unwrap_or(part.end);
                if page.cut_by == Some(Bound::Reads) {
                    self.cuts.insert(Cut::Reads);
                    self.cut_count += 1;
                    return Ok((found, Some(base + rest.start)));
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
        let mut from = 0;
        while found.len() < most && !self.is_spent() {
            let (indexes, next) = self.postings(term, from..u64::MAX, PAGE.min(most))?;
            self.read_leaves(&indexes);
            for index in indexes {
                found.extend(self.record_if(index, &mut wanted)?);
            }
            match next {
                Some(next) => from = next,
                None => return Ok(found),
            }
        }
        self.cut(if self.is_spent() { Cut::Reads } else { Cut::Width });
        Ok(found)
    }

    /// The size of the ledger when the clock of recording stood at `nanos`: everything recorded up
    /// to and including that time.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn size_at(&self, nanos: i64) -> Result<u64, QueryError> {
        let (mut low, mut high) = (0, self.view.end());
        let is_by_then = |leaf: &[u8]| recorded_at(leaf).is_some_and(|at| at <= nanos);
        // Most ranges begin before the ledger, or end behind it. What cannot be read there is an
        // error only where it has to be read.
        if high > 0 && matches!(self.leaf(high - 1), Ok(leaf) if is_by_then(&leaf)) {
            return Ok(high);
        }
        if high > 0 && matches!(self.leaf(0), Ok(leaf) if !is_by_then(&leaf)) {
            return Ok(0);
        }
        while low < high {
            // Several at a time: a sixteenth is left for one round trip.
            let step = (high - low).div_ceil(WAYS).max(1);
            let posts: Vec<u64> =
                (1..WAYS).map(|n| low + n * step - 1).take_while(|post| *post < high).collect();
            let (mut from, mut until) = (low, high);
            for (post, leaf) in posts.iter().zip(self.leaves_of(&posts)?) {
                if is_by_then(&leaf) {
                    from = post + 1;
                } else {
                    until = *post;
                    break;
                }
            }
            (low, high) = (from, until);
        }
        Ok(low)
    }

    /// The leaves at ascending positions, in one call for each origin.
    fn leaves_of(&self, positions: &[u64]) -> Result<Vec<Vec<u8>>, QueryError> {
        let mut leaves = Vec::with_capacity(positions.len());
        for (base, view) in &*self.origins {
            let own = *base..base + view.size();
            let here = positions.iter().filter(|at| own.contains(at)).map(|at| at - base);
            let here: Vec<u64> = here.collect();
            if !here.is_empty() {
                leaves.extend(view.leaf_store().leaves(&here)?);
            }
        }
        Ok(leaves)
    }
}

fn recorded_at(leaf: &[u8]) -> Option<i64> {
    match Leaf::decode(leaf).ok()? {
        Leaf::Entry(entry) => Some(entry.recorded_at.nanos),
        Leaf::Block(block) => Some(block.sealed_at.nanos),
        Leaf::Control(control) => Some(control.recorded_at.nanos),
    }
}
