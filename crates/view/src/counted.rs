//! Entries counted through all origins, oldest first: the *position* of an entry. In a ledger of
//! one origin it is an index.
//!
//! Promises: a position becomes an address by the logs as they are then, and an address the
//! position that it had when one log followed another.
//!
//! Assumes: the sizes of older origins are final. A position means something else as soon as a log
//! is added before, or an older origin is restored with fewer entries; so nothing is read by one.
//! Who has positions still is in decision 0042: the rules of findings, and numbers in JSON.

use std::cmp::Ordering;

use crate::address::{AsOf, EntryRef};
use crate::committed::base;
use crate::view::View;

/// The position of an entry.
#[must_use]
pub fn position(view: &View, at: EntryRef) -> u64 {
    if at.log.row() == 0 {
        return at.index;
    }
    let logs = view.as_of();
    let before = logs.sizes().take_while(|(log, _)| *log < at.log);
    before.map(|(_, size)| size).sum::<u64>().saturating_add(at.index)
}

/// The entry at a position; behind the last one an address in the newest log.
#[must_use]
pub fn entry(view: &View, position: u64) -> EntryRef {
    let mut left = position;
    for (log, size) in view.as_of().sizes() {
        if log == view.log() || left < size {
            return EntryRef { log, index: left };
        }
        left -= size;
    }
    view.entry(left)
}

/// What is seen when the first entries of all origins together are, so many.
#[must_use]
pub fn first(view: &View, entries: u64) -> AsOf {
    let end = entry(view, entries);
    AsOf::new(view.as_of().sizes().map(|(log, size)| match log.cmp(&end.log) {
        Ordering::Less => size,
        Ordering::Equal => end.index,
        Ordering::Greater => 0,
    }))
}

/// How many of the first entries of all origins together are seen.
#[must_use]
pub fn count(view: &View, seen: &AsOf) -> u64 {
    seen.end().map_or(0, |end| position(view, end))
}

impl View {
    /// Entries of the origins before this one.
    #[must_use]
    pub fn base(&self) -> u64 {
        base(self.older())
    }

    /// The position of one of this origin's entries.
    #[must_use]
    pub fn place_of(&self, index: u64) -> u64 {
        self.base() + index
    }
}
