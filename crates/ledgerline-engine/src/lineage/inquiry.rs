//! What one question reads: its scope, its budget, and the entries it came across.
//!
//! Promises: reads at most its budget, and then says so instead of going on; every entry that was
//! confirmed is remembered, so that the answer can be proven.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use ledgerline_proof::block::Block;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::TargetKind;

use super::token::Token;
use crate::index::{Bound, ReadBudget, Term, TermKind};
use crate::view::{QueryError, View};

/// Postings asked for at a time.
const PAGE: usize = 1024;

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The tenant.
    pub tenant: String,
    /// Only entries below this size.
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

/// An event of the tenant, confirmed under the tree.
#[derive(Debug)]
pub struct Record {
    /// Its index.
    pub index: u64,
    /// Its leaf.
    pub leaf: Vec<u8>,
}

impl Record {
    /// Calls `read` with its entry and statement.
    ///
    /// # Panics
    /// Never: only what decodes becomes a record.
    pub fn read<'r, T>(&'r self, read: impl FnOnce(&Entry<'r>, &Statement<'r>) -> T) -> T {
        let entry: Entry<'_> = decode_object(Kind::Entry, &self.leaf).expect("decoded before");
        let statement: Statement<'_> =
            decode_object(Kind::Statement, entry.statement).expect("decoded before");
        read(&entry, &statement)
    }
}

/// One question being answered.
pub struct Inquiry<'v> {
    pub(super) view: &'v View,
    scope: Scope,
    budget: ReadBudget,
    entries_left: u32,
    cuts: BTreeSet<Cut>,
    records: BTreeMap<u64, Option<Rc<Record>>>,
    /// Entries that the answer stands on.
    evidence: BTreeSet<u64>,
    pub(super) tokens: BTreeMap<String, Rc<Token>>,
    pub(super) wide: BTreeMap<(TargetKind, Vec<u8>), Rc<Vec<u64>>>,
}

impl<'v> Inquiry<'v> {
    /// Begins.
    ///
    /// # Errors
    /// `OutOfRange` when the scope's size lies beyond the view's.
    pub fn new(view: &'v View, scope: Scope, spending: Spending) -> Result<Self, QueryError> {
        if scope.size > view.size() {
            return Err(QueryError::OutOfRange("as_of lies beyond the ledger's size"));
        }
        Ok(Self {
            view,
            scope,
            budget: ReadBudget::new(spending.index_reads),
            entries_left: spending.entries,
            cuts: BTreeSet::new(),
            records: BTreeMap::new(),
            evidence: BTreeSet::new(),
            tokens: BTreeMap::new(),
            wide: BTreeMap::new(),
        })
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
    }

    /// Whether the read budget is spent.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.entries_left == 0 || self.budget.left() == 0
    }

    /// The entries that the answer stands on.
    #[must_use]
    pub fn evidence(&self) -> &BTreeSet<u64> {
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
    pub fn record(&mut self, index: u64) -> Result<Option<Rc<Record>>, QueryError> {
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
        self.entries_left -= 1;
        let leaf = self.view.leaf(index)?;
        let occurred = occurred_in(&leaf, &self.scope.tenant);
        let seen = occurred.is_some_and(|nanos| self.sees(index, nanos));
        let record = seen.then(|| Rc::new(Record { index, leaf }));
        self.records.insert(index, record.clone());
        Ok(record)
    }

    /// Remembers that the answer stands on an entry.
    pub fn stands_on(&mut self, index: u64) {
        self.evidence.insert(index);
    }

    /// A term's indexes in a range, ascending, at most `limit`, and where to go on.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn postings(
        &mut self,
        term: &Term,
        range: Range<u64>,
        limit: usize,
    ) -> Result<(Vec<u64>, Option<u64>), QueryError> {
        let range = range.start..range.end.min(self.scope.size);
        let index = &self.view.rooms().index;
        let page = index.postings(term, range, limit, &mut self.budget)?;
        if page.cut_by == Some(Bound::Reads) {
            self.cut(Cut::Reads);
        }
        Ok((page.indexes, page.next))
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
    ) -> Result<Vec<Rc<Record>>, QueryError> {
        let mut found = Vec::new();
        let mut from = 0;
        while found.len() < most && !self.is_spent() {
            let (indexes, next) = self.postings(term, from..u64::MAX, PAGE.min(most))?;
            for index in indexes {
                let Some(record) = self.record(index)? else { continue };
                if record.read(&mut wanted) {
                    found.push(record);
                }
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
    pub fn size_at(view: &View, nanos: i64) -> Result<u64, QueryError> {
        let (mut low, mut high) = (0, view.size());
        while low < high {
            let middle = low + (high - low) / 2;
            if recorded_at(&view.leaf(middle)?).is_some_and(|at| at <= nanos) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The block that closes over an index: its place and itself. `None` while there is none.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn block_over(&mut self, index: u64) -> Result<Option<(u64, Block)>, QueryError> {
        let parts: [&[u8]; 1] = [crate::sequencer::leaf_terms::BLOCK];
        let term = self.view.terms().term(TermKind::Leaf, "", &parts);
        let (found, _) = self.postings(&term, index..u64::MAX, 1)?;
        let Some(at) = found.first() else { return Ok(None) };
        self.entries_left = self.entries_left.saturating_sub(1);
        match Leaf::decode(&self.view.leaf(*at)?) {
            Ok(Leaf::Block(block)) => Ok(Some((*at, block))),
            _ => Ok(None),
        }
    }
}

/// When an event of the tenant occurred; `None` for every other leaf.
fn occurred_in(leaf: &[u8], tenant: &str) -> Option<i64> {
    let entry: Entry<'_> = decode_object(Kind::Entry, leaf).ok()?;
    let statement: Statement<'_> = decode_object(Kind::Statement, entry.statement).ok()?;
    (statement.tenant == tenant).then_some(statement.occurred_at.nanos)
}

fn recorded_at(leaf: &[u8]) -> Option<i64> {
    match Leaf::decode(leaf).ok()? {
        Leaf::Entry(entry) => Some(entry.recorded_at.nanos),
        Leaf::Block(block) => Some(block.sealed_at.nanos),
        Leaf::Control(control) => Some(control.recorded_at.nanos),
    }
}
