//! Whether an event id stands in the ledger twice.
//!
//! ```text
//! while reading   64 of the 96 bits of every id's hash go into a list
//! at the end      the list is sorted: what stands there twice is suspected
//! if any is       one more walk over the journal compares the whole hashes of those
//! ```
//!
//! Promises: every id that stands there twice is found; one that does not is never named, but for
//! a collision of 96 bits. Eight bytes an id: a set with whole hashes would take four times as much
//! and a cache miss for each.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::chains::place;

/// More suspects than this are not looked into: a ledger with so many is broken anyhow.
const MAX_SUSPECTS: usize = 100_000;

/// The event ids of one pass, and the suspects of all so far.
#[derive(Default)]
pub(super) struct EventIds {
    noted: Vec<u64>,
    suspects: BTreeSet<u64>,
}

impl EventIds {
    /// Notes an id.
    pub fn note(&mut self, event: u128) {
        self.noted.push(place(event));
    }

    /// Forgets those that are left to a later pass.
    pub fn keep(&mut self, mine: &RangeInclusive<u64>) {
        self.noted.retain(|event| mine.contains(event));
        self.noted.shrink_to_fit();
    }

    /// Judges this pass, and begins the next.
    pub fn following(mut self) -> Self {
        self.judge();
        self.noted = Vec::new();
        self
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.noted.capacity() * size_of::<u64>()
    }

    fn judge(&mut self) {
        self.noted.sort_unstable();
        let pairs = self.noted.array_windows().filter(|[one, next]| one == next);
        let room = MAX_SUSPECTS.saturating_sub(self.suspects.len());
        self.suspects.extend(pairs.map(|[one, _]| *one).take(room));
    }

    /// What the last walk compares; `None` when nothing is suspected.
    pub fn repeats(self) -> Option<Repeats> {
        let judged = self.following();
        let suspects = judged.suspects;
        (!suspects.is_empty()).then(|| Repeats { suspects, seen: BTreeMap::new() })
    }
}

/// The last walk: whole hashes of what is suspected.
pub(super) struct Repeats {
    suspects: BTreeSet<u64>,
    seen: BTreeMap<u128, u64>,
}

impl Repeats {
    /// The entry at which this event id stood first, if it is not this one.
    pub fn first(&mut self, index: u64, event: u128) -> Option<u64> {
        if !self.suspects.contains(&place(event)) {
            return None;
        }
        let first = *self.seen.entry(event).or_insert(index);
        (first != index).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_twice_is_named_at_its_second_place() {
        // The first two differ only in bits that the list does not have.
        let events: [u128; 6] = [5 << 40, (5 << 40) | 1, 7 << 40, 9 << 90, 7 << 40, 1 << 95];
        for split in 0..=events.len() {
            let mut ids = EventIds::default();
            events[..split].iter().for_each(|event| ids.note(*event));
            let half = u64::MAX / 2;
            ids.keep(&(0..=half));
            events[split..]
                .iter()
                .filter(|one| place(**one) <= half)
                .for_each(|one| ids.note(*one));
            let mut ids = ids.following();
            events.iter().filter(|one| place(**one) > half).for_each(|one| ids.note(*one));
            let mut repeats = ids.repeats().expect("some are suspected");
            let named = (0..).zip(events).map(|(index, event)| repeats.first(index, event));
            let named: Vec<Option<u64>> = named.collect();
            assert_eq!(named, [None, None, None, None, Some(2), None], "split at {split}");
        }
        let mut ids = EventIds::default();
        ids.note(3);
        ids.note(3 << 32);
        assert!(ids.repeats().is_none());
    }
}
