//! What one question reads: its scope, its budget, and the entries it came across.
//!
//! Promises: reads at most its budget, and then says so instead of going on; every entry that was
//! confirmed is remembered, so that the answer can be proven; reads all origins, oldest first.
//!
//! Indexes here are *positions*: they count the entries of all origins, oldest first. In a ledger
//! of one origin a position is an index ([`View::at_position`] tells them apart).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use ledgerline_index::{Bound, PositionMap, ReadBudget, Term, TermKind};
use ledgerline_journal::format::AttachmentRecord;
use ledgerline_proof::block::Block;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::Leaf;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{EventType, HandleKind};
use ledgerline_view::view::{QueryError, View};

use super::ahead::{Ahead, LeafAhead, Wide};
use super::joined::{Group, Members};
use super::lives::Lives;
use super::token::Token;

/// Postings asked for at a time.
pub(super) const PAGE: usize = 1024;

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

/// Entries by position; `None` for what is no event in scope.
pub(super) type RecordMap = PositionMap<Option<Arc<Record>>>;

/// Says of an event whether it is what was looked for.
pub(super) type Confirm<'c> = dyn FnMut(&Entry<'_>, &Statement<'_>) -> bool + 'c;

/// An event of the tenant, confirmed under the tree.
#[derive(Debug)]
pub struct Record {
    /// Its index.
    pub index: u64,
    /// Its leaf.
    pub leaf: Box<[u8]>,
    /// When it happened.
    pub occurred_at: Hlc,
    /// What it is.
    pub event_type: EventType,
    /// Whether it gives other ids of its target.
    pub has_aliases: bool,
    /// Whether it links to anything.
    pub(super) has_links: bool,
    /// Where in the leaf the resource's name stands.
    resource: Option<(u32, u32)>,
    /// A checksum of that name: most records are not asked further, and their leaf is not touched.
    resource_mark: u32,
    /// The concrete resource's handle.
    pub concrete: Option<[u8; 16]>,
}

impl Record {
    /// What a leaf's entry and statement say; the leaf itself is moved in when they are read.
    pub(super) fn of(
        index: u64,
        leaf: &[u8],
        entry: &Entry<'_>,
        statement: &Statement<'_>,
    ) -> Self {
        let place = |text: &str| {
            let from = (text.as_ptr() as usize).checked_sub(leaf.as_ptr() as usize)?;
            Some((u32::try_from(from).ok()?, u32::try_from(from + text.len()).ok()?))
        };
        let concrete = entry.handles.iter().find(|handle| handle.kind == HandleKind::Resource);
        Self {
            index,
            leaf: Box::default(),
            occurred_at: statement.occurred_at,
            event_type: statement.event_type,
            has_aliases: !statement.also_known_as.is_empty(),
            has_links: !statement.links.is_empty(),
            resource: statement.resource.and_then(place),
            resource_mark: statement.resource.map_or(0, |name| crc32c::crc32c(name.as_bytes())),
            concrete: concrete.map(|handle| handle.id),
        }
    }

    /// With its leaf.
    pub(super) fn with(self, leaf: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { leaf: leaf.into(), ..self })
    }

    /// Whether this is the resource's template or declared-safe id, without taking the leaf apart
    /// again; `mark` is the CRC32C of the name.
    pub fn is_at(&self, name: &str, mark: u32) -> bool {
        let Some((from, end)) = self.resource.filter(|_| self.resource_mark == mark) else {
            return false;
        };
        self.leaf.get(from as usize..end as usize) == Some(name.as_bytes())
    }

    /// Length of its leaf.
    pub(super) fn leaf_bytes(&self) -> usize {
        self.leaf.len()
    }

    /// Calls `read` with its entry and statement.
    ///
    /// # Panics
    /// Never: only what decodes becomes a record.
    pub fn read<'r, T>(&'r self, read: impl FnOnce(&Entry<'r>, &Statement<'r>) -> T) -> T {
        read_event(&self.leaf, read).expect("decoded before")
    }
}

/// What inquiries into parts of one question share.
pub(super) struct Part<'v> {
    view: &'v View,
    origins: Arc<[(u64, View)]>,
    scope: Scope,
    lives: Option<Arc<Lives>>,
}

impl<'v> Part<'v> {
    /// One of them.
    pub(super) fn inquiry(&self, spending: Spending) -> Inquiry<'v> {
        Inquiry {
            view: self.view,
            origins: Arc::clone(&self.origins),
            scope: self.scope.clone(),
            budget: ReadBudget::new(spending.index_reads),
            entries_left: spending.entries,
            cuts: BTreeSet::new(),
            cut_count: 0,
            records: RecordMap::default(),
            leaves: BTreeMap::new(),
            ahead: BTreeMap::new(),
            may_read_ahead: false,
            lives: self.lives.clone(),
            evidence: BTreeSet::new(),
            shown: BTreeMap::new(),
            tokens: BTreeMap::new(),
            wide: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }
}

/// One question being answered.
pub struct Inquiry<'v> {
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
    /// Leaves that were read ahead.
    pub(super) leaves: BTreeMap<u64, LeafAhead>,
    /// Lives that were.
    pub(super) ahead: BTreeMap<String, Ahead>,
    pub(super) may_read_ahead: bool,
    /// Lives that were judged before, where they may be used.
    pub(super) lives: Option<Arc<Lives>>,
    /// Entries that the answer stands on, beside the lives it shows.
    evidence: BTreeSet<u64>,
    /// Tokens whose states the answer shows, by id.
    shown: BTreeMap<String, Arc<Token>>,
    pub(super) tokens: BTreeMap<String, Arc<Token>>,
    pub(super) wide: Wide,
    pub(super) groups: BTreeMap<Group, Members>,
}

impl<'v> Inquiry<'v> {
    /// Begins, over all origins of a view. The scope's size counts the entries of all of them
    /// ([`View::end`]).
    ///
    /// # Errors
    /// `OutOfRange` when the scope's size lies beyond the view's.
    pub fn new(view: &'v View, scope: Scope, spending: Spending) -> Result<Self, QueryError> {
        let origins = view.origins().into_iter().map(|one| (one.base(), one)).collect();
        // What happened by a time is judged from a part of each life.
        let lives = scope.at.is_none().then(|| view.rooms().shared::<Lives>());
        Self::over(view, origins, scope, spending, lives)
    }

    /// Asks another one, that also sees what occurred after the time at which this one looks. What
    /// it reads of the index is charged to this one; its entries have a bound of their own, so that
    /// reading ahead is charged the same.
    pub(super) fn whenever<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let scope = Scope { at: None, ..self.scope.clone() };
        let left = Spending { index_reads: self.budget.left(), ..Spending::default() };
        let mut whole = Part { scope, lives: None, ..self.part() }.inquiry(left);
        let answer = ask(&mut whole);
        self.budget.charge(whole.budget.spent());
        if !whole.cuts().is_empty() {
            self.cut(Cut::Width);
        }
        answer
    }

    /// Begins, over one origin alone, whose positions are its indexes.
    ///
    /// # Errors
    /// As [`Inquiry::new`].
    pub fn alone(view: &'v View, scope: Scope, spending: Spending) -> Result<Self, QueryError> {
        Self::over(view, Arc::new([(0, view.clone())]), scope, spending, None)
    }

    fn over(
        view: &'v View,
        origins: Arc<[(u64, View)]>,
        scope: Scope,
        spending: Spending,
        lives: Option<Arc<Lives>>,
    ) -> Result<Self, QueryError> {
        if origins.last().is_some_and(|(base, last)| scope.size > base + last.size()) {
            return Err(QueryError::OutOfRange("as_of lies beyond the ledger's size"));
        }
        Ok(Part { view, origins, scope, lives }.inquiry(spending))
            .map(|one| Self { may_read_ahead: true, ..one })
    }

    /// Reads everything itself, one after the other, and remembers nothing: slower, and never
    /// another answer.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { lives: None, may_read_ahead: false, ..self }
    }

    /// What an inquiry into a part of the question needs.
    pub(super) fn part(&self) -> Part<'v> {
        Part {
            view: self.view,
            origins: Arc::clone(&self.origins),
            scope: self.scope.clone(),
            lives: self.lives.clone(),
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

    /// Whether nothing was cut, and there was budget left over.
    pub(super) fn is_uncut(&self) -> bool {
        self.cut_count == 0 && !self.is_spent()
    }

    /// Whether the read budget is spent.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.entries_left == 0 || self.budget.left() == 0
    }

    /// The entries that the answer stands on: those that it names, and the lives of the tokens
    /// that it shows. Put together when asked for: few answers are proven.
    #[must_use]
    pub fn evidence(&self) -> BTreeSet<u64> {
        let lives = self.shown.values().flat_map(|token| {
            let records = token.records.iter().map(|record| record.index);
            records.chain(token.covered_by.iter().copied())
        });
        self.evidence.iter().copied().chain(lives).collect()
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
        let leaf = match self.leaves.remove(&index) {
            Some(LeafAhead::Taken(record)) => {
                self.records.insert(index, record.clone());
                let both = record.as_ref().zip(wanted);
                let is_wanted = both.is_none_or(|(record, wanted)| record.read(wanted));
                return Ok((record, is_wanted));
            }
            Some(LeafAhead::Bytes(leaf)) => leaf,
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

    /// Remembers that the answer shows the states of a token, and so stands on its life.
    pub fn shows(&mut self, token: &Arc<Token>) {
        self.shown.insert(token.id.clone(), Arc::clone(token));
    }

    /// The tokens whose states the answer shows.
    pub fn shown(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.shown.values()
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

    fn leaf(&self, position: u64) -> Result<Vec<u8>, QueryError> {
        let beyond = QueryError::OutOfRange("the ledger has no entry at this index yet");
        let (view, index) = self.place(position).ok_or(beyond)?;
        view.leaf(index)
    }

    /// The position of an event of the tenant, by its identity.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn find_event(&self, source: &str, event_id: &[u8; 16]) -> Result<Option<u64>, QueryError> {
        for (base, view) in self.origins.iter().rev() {
            if let Some(index) = view.find_event(&self.scope.tenant, source, event_id)? {
                return Ok(Some(base + index));
            }
        }
        Ok(None)
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
        for (base, view) in &*self.origins {
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
            let page = view.rooms().index.postings(term, here, wanted, &mut self.budget)?;
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
            if indexes.len() > 1 {
                self.leaves_ahead(&indexes);
            }
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
        let is_by_then =
            |at| Ok::<_, QueryError>(recorded_at(&self.leaf(at)?).is_some_and(|at| at <= nanos));
        // Most ranges begin before the ledger, or end behind it. What cannot be read there is an
        // error only where it has to be read.
        if high > 0 && matches!(is_by_then(high - 1), Ok(true)) {
            return Ok(high);
        }
        if high > 0 && matches!(is_by_then(0), Ok(false)) {
            return Ok(0);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if is_by_then(middle)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The block that closes over a position: the positions of its first entry and of itself, and
    /// the block. `None` while there is none.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn block_over(&mut self, position: u64) -> Result<Option<(Range<u64>, Block)>, QueryError> {
        let parts: [&[u8]; 1] = [ledgerline_index::terms::leaf_terms::BLOCK];
        let term = self.view.terms().term(TermKind::Leaf, "", &parts);
        let (found, _) = self.postings(&term, position..u64::MAX, 1)?;
        let Some(at) = found.first() else { return Ok(None) };
        self.entries_left = self.entries_left.saturating_sub(1);
        let Some((_, index)) = self.place(*at) else { return Ok(None) };
        match Leaf::decode(&self.leaf(*at)?) {
            Ok(Leaf::Block(block)) => {
                let first = u64::try_from(block.first_index).unwrap_or(0);
                Ok(Some((at - index.saturating_sub(first)..*at, block)))
            }
            _ => Ok(None),
        }
    }
}

fn recorded_at(leaf: &[u8]) -> Option<i64> {
    match Leaf::decode(leaf).ok()? {
        Leaf::Entry(entry) => Some(entry.recorded_at.nanos),
        Leaf::Block(block) => Some(block.sealed_at.nanos),
        Leaf::Control(control) => Some(control.recorded_at.nanos),
    }
}
