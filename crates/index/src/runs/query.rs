//! Look-ups over the whole ledger: runs, frozen ranges and the active tail.
//!
//! Promises: an answer does not depend on how the ledger is divided among them. A reader sees a set
//! of whole batches: what was appended before its call, perhaps what is appended meanwhile. It
//! never waits for a run to be built, and reads no file under a lock.
//!
//! Refuses: to vouch for a hit. Terms are hashes; whoever asks confirms each hit at the entry.

use std::ops::Range;
use std::sync::Arc;

use super::{Index, IndexError, Sealed};
use crate::term::{Term, TermHead, TermKind};

/// The most candidates [`Index::find`] returns.
pub const FIND_MAX: usize = 64;

/// How many blocks of about 4 KiB a query may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBudget {
    left: u32,
    spent: u32,
}

impl ReadBudget {
    /// A budget of `reads` block reads.
    #[must_use]
    pub fn new(reads: u32) -> Self {
        Self { left: reads, spent: 0 }
    }

    /// Blocks read so far.
    #[must_use]
    pub fn spent(&self) -> u32 {
        self.spent
    }

    /// Blocks that may still be read.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Takes blocks that were read under another budget; no more than are left.
    pub fn charge(&mut self, reads: u32) {
        let taken = reads.min(self.left);
        self.left -= taken;
        self.spent += taken;
    }

    pub(super) fn take(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.spent += 1;
        true
    }
}

/// What cut an answer short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The asked-for number of indexes was found, and there are more.
    Limit,
    /// The read budget was spent; there may be more.
    Reads,
}

/// A part of a term's indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The indexes found.
    pub indexes: Vec<u64>,
    /// Where to go on; none when the range is exhausted. From [`Index::postings`]: ask for
    /// `next..range.end`. From [`Index::postings_back`]: ask for `range.start..next`.
    pub next: Option<u64>,
    /// Why there is a `next`.
    pub cut_by: Option<Bound>,
}

/// What a query still wants, and what it has.
pub(super) struct Want<'a> {
    pub(super) range: &'a Range<u64>,
    /// One more than the limit: the surplus one tells where the next page begins.
    room: usize,
    found: Vec<u64>,
    /// Everything before (ascending) or from here on (descending) has been found.
    pub(super) resume: u64,
}

impl<'a> Want<'a> {
    fn new(range: &'a Range<u64>, limit: usize, resume: u64) -> Self {
        Self { range, room: limit.saturating_add(1), found: Vec::new(), resume }
    }

    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= self.room
    }

    pub(super) fn push(&mut self, indexes: impl Iterator<Item = u64>) {
        let wanted = indexes.filter(|index| self.range.contains(index));
        self.found.extend(wanted.take(self.room - self.found.len()));
    }

    fn cut(self) -> Page {
        Page { indexes: self.found, next: Some(self.resume), cut_by: Some(Bound::Reads) }
    }

    fn page(mut self, next: impl FnOnce(u64) -> u64) -> Page {
        let surplus = if self.is_full() { self.found.pop() } else { None };
        let cut_by = surplus.map(|_| Bound::Limit);
        Page { indexes: self.found, next: surplus.map(next), cut_by }
    }
}

fn touches(range: &Range<u64>, other: &Range<u64>) -> bool {
    range.start < other.end && other.start < range.end
}

impl Index {
    /// The term's newest index and number of entries over the whole ledger; none when it has none.
    ///
    /// # Errors
    /// When a run that may hold the term cannot be read or is damaged.
    pub fn head(&self, term: &Term) -> Result<Option<TermHead>, IndexError> {
        let (active, sealed) = self.newest(term.kind, |tail| tail.head(term));
        let mut head: Option<TermHead> = None;
        let mut join = |part: TermHead| {
            let (last, count) = head.map_or((0, 0), |head| (head.last, head.count));
            head = Some(TermHead { last: last.max(part.last), count: count + part.count });
        };
        let mut buffer = Vec::new();
        for run in &sealed.runs {
            run.head(term, &mut buffer)?.map(&mut join);
        }
        let frozen = sealed.frozen.iter().filter_map(|range| range.part(term.kind).head(term));
        frozen.for_each(&mut join);
        active.map(&mut join);
        Ok(head)
    }

    /// The entries that may carry a unique term, ascending, at most [`FIND_MAX`]: for an event id
    /// none, or one. `uuid_millis` is what the id's posting was given (see [`super::Posting`]);
    /// with it, only the runs whose ids are of that time are probed, without it all.
    ///
    /// # Errors
    /// When a run that may hold the term cannot be read or is damaged.
    pub fn find(&self, term: &Term, uuid_millis: Option<u64>) -> Result<Vec<u64>, IndexError> {
        let mut newest = Vec::new();
        let ((), sealed) = self.newest(term.kind, |tail| {
            tail.collect(term, &(0..u64::MAX), FIND_MAX, &mut newest);
        });
        let mut want = Want::new(&(0..u64::MAX), FIND_MAX - 1, 0);
        let mut budget = ReadBudget::new(u32::MAX);
        for run in &sealed.runs {
            let timed = term.kind == TermKind::EventId as u8;
            if !timed || run.footer.ids.may_hold(uuid_millis) {
                run.collect(term, &mut want, &mut budget)?;
            }
        }
        for frozen in &sealed.frozen {
            frozen.part(term.kind).collect(term, want.range, want.room, &mut want.found);
        }
        want.push(newest.into_iter());
        Ok(want.found)
    }

    /// The term's first indexes in `range`, ascending, at most `limit`.
    ///
    /// # Errors
    /// When a run that may hold the term cannot be read or is damaged.
    pub fn postings(
        &self,
        term: &Term,
        range: Range<u64>,
        limit: usize,
        budget: &mut ReadBudget,
    ) -> Result<Page, IndexError> {
        let mut want = Want::new(&range, limit, range.start);
        let mut newest = Vec::new();
        let ((), sealed) =
            self.newest(term.kind, |tail| tail.collect(term, &range, want.room, &mut newest));
        for run in sealed.runs_in(&range) {
            if want.is_full() {
                break;
            }
            want.resume = want.resume.max(run.header.start);
            if !run.collect(term, &mut want, budget)? {
                return Ok(want.cut());
            }
        }
        for frozen in &sealed.frozen {
            frozen.part(term.kind).collect(term, &range, want.room, &mut want.found);
        }
        want.push(newest.into_iter());
        Ok(want.page(|surplus| surplus))
    }

    /// The term's last indexes in `range`, newest first, at most `limit`.
    ///
    /// # Errors
    /// When a run that may hold the term cannot be read or is damaged.
    pub fn postings_back(
        &self,
        term: &Term,
        range: Range<u64>,
        limit: usize,
        budget: &mut ReadBudget,
    ) -> Result<Page, IndexError> {
        let mut want = Want::new(&range, limit, range.end);
        let ((), sealed) = self.newest(term.kind, |tail| {
            tail.collect_back(term, &range, want.room, &mut want.found);
        });
        for frozen in sealed.frozen.iter().rev() {
            frozen.part(term.kind).collect_back(term, &range, want.room, &mut want.found);
        }
        for run in sealed.runs_in(&range).iter().rev() {
            if want.is_full() {
                break;
            }
            want.resume = want.resume.min(run.header.end);
            if !run.collect_back(term, &mut want, budget)? {
                return Ok(want.cut());
            }
        }
        Ok(want.page(|surplus| surplus + 1))
    }
}

impl Sealed {
    /// The runs that share entries with `range`, in order.
    fn runs_in(&self, range: &Range<u64>) -> &[Arc<super::run_reader::Run>] {
        let from = self.runs.partition_point(|run| run.header.end <= range.start);
        let to = self.runs.partition_point(|run| run.header.start < range.end);
        let found = self.runs.get(from..to).unwrap_or_default();
        debug_assert!(found.iter().all(|run| touches(range, &run.range())));
        found
    }
}
