//! What a look-up still wants of a term, and what it has.

use std::ops::Range;

use crate::posting_index::{Bound, Page};

/// What a query still wants, and what it has.
pub(super) struct Want<'a> {
    pub(super) range: &'a Range<u64>,
    /// One more than the limit: the surplus one tells where the next page begins.
    pub(super) room: usize,
    pub(super) found: Vec<u64>,
    /// Everything before (ascending) or from here on (descending) has been found.
    pub(super) resume: u64,
    /// Whether the budget ended before everything was looked at.
    pub(super) is_cut: bool,
    /// Blocks that were looked at.
    pub(super) reads: u32,
}

impl<'a> Want<'a> {
    pub(super) fn new(range: &'a Range<u64>, limit: usize, resume: u64) -> Self {
        let room = limit.saturating_add(1);
        Self { range, room, found: Vec::new(), resume, is_cut: false, reads: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= self.room
    }

    /// Whether nothing more is to be looked at.
    pub(super) fn is_done(&self) -> bool {
        self.is_cut || self.is_full()
    }

    pub(super) fn push(&mut self, indexes: impl Iterator<Item = u64>) {
        let wanted = indexes.filter(|index| self.range.contains(index));
        self.found.extend(wanted.take(self.room - self.found.len()));
    }

    /// What was found; `next` says of the surplus index where to go on.
    pub(super) fn page(mut self, next: impl FnOnce(u64) -> u64) -> Page {
        let reads = self.reads;
        if self.is_cut {
            let cut_by = Some(Bound::Reads);
            return Page { indexes: self.found, next: Some(self.resume), cut_by, reads };
        }
        let surplus = if self.is_full() { self.found.pop() } else { None };
        let cut_by = surplus.map(|_| Bound::Limit);
        Page { indexes: self.found, next: surplus.map(next), cut_by, reads }
    }
}
