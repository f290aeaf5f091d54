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

use ledgerline_world::parallel;

/// More suspects than this are not looked into: a ledger with so many is broken anyhow.
const MAX_SUSPECTS: usize = 100_000;

/// Where a hash of an index term lies among the passes: its high bits. A term has 96.
pub(super) fn place(hash: u128) -> u64 {
    low(hash >> 32)
}

/// The low bits of a hash: terms are keyed hashes already.
pub(super) fn low(hash: u128) -> u64 {
    u64::try_from(hash & u128::from(u64::MAX)).expect("masked")
}

/// The event ids of one pass, and the suspects of all so far.
pub(super) struct EventIds {
    /// By the high bits of the hash: pieces that a cache holds are sorted in half the time, and on
    /// all cores.
    noted: Vec<Vec<u64>>,
    threads: usize,
    suspects: BTreeSet<u64>,
}

/// Pieces of the list.
const PIECES_LOG2: u32 = 8;

impl EventIds {
    /// No ids yet. They will be sorted on so many threads.
    pub fn new(threads: usize) -> Self {
        Self { noted: vec![Vec::new(); 1 << PIECES_LOG2], threads, suspects: BTreeSet::new() }
    }

    /// Notes an id.
    pub fn note(&mut self, event: u128) {
        let event = place(event);
        let piece = usize::try_from(event >> (u64::BITS - PIECES_LOG2)).expect("a few bits");
        self.noted[piece].push(event);
    }

    /// Forgets those that are left to a later pass.
    pub fn keep(&mut self, mine: &RangeInclusive<u64>) {
        for piece in &mut self.noted {
            piece.retain(|event| mine.contains(event));
            piece.shrink_to_fit();
        }
    }

    /// Judges this pass, and begins the next.
    pub fn following(mut self) -> Self {
        self.judge();
        self.noted.iter_mut().for_each(|piece| *piece = Vec::new());
        self
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.noted.iter().map(Vec::capacity).sum::<usize>() * size_of::<u64>()
    }

    fn judge(&mut self) {
        parallel::each(self.threads, &mut self.noted, &|piece| piece.sort_unstable());
        let same = |piece: &'_ Vec<u64>| {
            let pairs = piece.array_windows().filter(|[one, next]| one == next);
            pairs.map(|[one, _]| *one).collect::<Vec<u64>>()
        };
        let suspects = self.noted.iter().flat_map(same);
        let room = MAX_SUSPECTS.saturating_sub(self.suspects.len());
        self.suspects.extend(suspects.take(room));
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
            let mut ids = EventIds::new(split % 3);
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
        let mut ids = EventIds::new(1);
        ids.note(3);
        ids.note(3 << 32);
        assert!(ids.repeats().is_none());
    }
}
