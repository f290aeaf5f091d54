//! The tail: the newest ranges, in memory, until a run holds them.
//!
//! Promises: a posting costs about 33 bytes when its term is unique and 4 to 8 when it is not. Map
//! order never reaches a byte: terms are sorted before they are written.
//!
//! Assumes: a term's indexes arrive in ascending order. A repeated (term, index) is one posting.
//!
//! ```text
//! slot of a term = count, newest offset, and
//!                     count 1        nothing
//!                     count 2..=16   newest link of a chain (offset, previous) in one arena
//!                     count 17..     a vector of its own, which a range query can bisect
//! offset = index - start of the range
//! ```

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::Range;

use crate::term::{IdTimes, Posting, TakeAsIs, Term, TermHead, is_planned_from};

/// Longer lists get a vector of their own.
const LINKED_MAX: u32 = 16;
/// No link before this one.
const NO_LINK: u32 = u32::MAX;

/// A term's hash, big-endian so that it sorts like the number and packs with a slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key([u8; 16]);

impl Key {
    fn new(hash: u128) -> Self {
        Self(hash.to_be_bytes())
    }
    fn hash(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (_, low) = self.0.split_last_chunk().expect("sixteen bytes");
        state.write_u64(u64::from_be_bytes(*low));
    }
}

#[derive(Clone, Copy)]
struct Slot {
    count: u32,
    /// The newest offset.
    newest: u32,
    /// A position among the links or the long lists; nothing for a single offset.
    link: u32,
}

#[derive(Clone, Copy)]
struct Link {
    offset: u32,
    previous: u32,
}

type Slots = HashMap<Key, Slot, BuildHasherDefault<TakeAsIs>>;

/// A complete range in memory, in two parts: what entries are planned from, and the rest. While
/// ranges fill, each part has a lock of its own, for most postings are of the rest and nobody who
/// plans should wait for them.
pub(super) struct FrozenRange {
    pub(super) planned: TailRange,
    pub(super) rest: TailRange,
}

impl FrozenRange {
    pub(super) fn range(&self) -> Range<u64> {
        self.planned.range()
    }

    /// The part that holds terms of a kind.
    pub(super) fn part(&self, kind: u8) -> &TailRange {
        if is_planned_from(kind) { &self.planned } else { &self.rest }
    }

    /// Calls `each` with every term, in order, and its ascending indexes.
    pub(super) fn for_each_term<E>(
        &self,
        mut each: impl FnMut(Term, &[u64]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.planned.for_each_term(&mut each)?;
        self.rest.for_each_term(&mut each)
    }
}

/// Postings of one aligned range, in memory.
pub(super) struct TailRange {
    range: Range<u64>,
    /// Slots by kind.
    kinds: Vec<Slots>,
    links: Vec<Link>,
    long: Vec<Vec<u32>>,
    ids: IdTimes,
}

impl TailRange {
    /// An empty range of at most 2^31 entries. `like` is an earlier range, whose sizes are a good
    /// guess.
    pub(super) fn new(range: Range<u64>, like: Option<&Self>) -> Self {
        let guess = |slots: &Slots| {
            let room = if slots.len() > 64 { slots.len() + slots.len() / 16 } else { 0 };
            Slots::with_capacity_and_hasher(room, BuildHasherDefault::default())
        };
        Self {
            range,
            kinds: like.map_or_else(Vec::new, |like| like.kinds.iter().map(guess).collect()),
            links: Vec::with_capacity(like.map_or(0, |like| like.links.len())),
            long: Vec::new(),
            ids: IdTimes::NONE,
        }
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    pub(super) fn ids(&self) -> &IdTimes {
        &self.ids
    }

    /// How many distinct terms.
    pub(super) fn terms(&self) -> u64 {
        self.kinds.iter().map(|slots| slots.len() as u64).sum()
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> u64 {
        let slot = size_of::<(Key, Slot)>() + 1;
        let slots: usize = self.kinds.iter().map(|slots| slots.capacity() * 8 / 7 * slot).sum();
        let long: usize = self.long.iter().map(|list| list.capacity() * 4 + 24).sum();
        (slots + self.links.capacity() * size_of::<Link>() + long) as u64
    }

    /// Takes one posting.
    ///
    /// # Panics
    /// When its index is outside the range, or below an earlier one of the same term: our error.
    pub(super) fn add(&mut self, posting: &Posting) {
        assert!(self.range.contains(&posting.index), "a posting outside its range");
        assert!(posting.term.kind != 0, "kind 0 is invalid");
        let offset = self.offset(posting.index);
        let kind = usize::from(posting.term.kind);
        if self.kinds.len() <= kind {
            self.kinds.resize_with(kind + 1, Slots::default);
        }
        let fresh = Slot { count: 0, newest: offset, link: 0 };
        let slot = self.kinds[kind].entry(Key::new(posting.term.hash)).or_insert(fresh);
        if slot.count == 0 {
            slot.count = 1;
            self.ids.note(posting);
            return;
        }
        assert!(slot.newest <= offset, "a term's indexes must ascend");
        if slot.newest == offset {
            return;
        }
        self.ids.note(posting);
        if slot.count == 1 {
            self.links.push(Link { offset: slot.newest, previous: NO_LINK });
            slot.link = number(self.links.len() - 1);
        } else if slot.count == LINKED_MAX {
            let mut list = chain(&self.links, slot.link);
            list.reverse();
            self.long.push(list);
            slot.link = number(self.long.len() - 1);
        }
        slot.count += 1;
        slot.newest = offset;
        if slot.count > LINKED_MAX {
            self.long[slot.link as usize].push(offset);
        } else {
            self.links.push(Link { offset, previous: slot.link });
            slot.link = number(self.links.len() - 1);
        }
    }

    pub(super) fn head(&self, term: &Term) -> Option<TermHead> {
        let slot = self.slot(term)?;
        let last = self.range.start + u64::from(slot.newest);
        Some(TermHead { last, count: u64::from(slot.count) })
    }

    /// Pushes the term's first indexes in `range`, ascending, until `out` holds `want`.
    pub(super) fn collect(&self, term: &Term, range: &Range<u64>, want: usize, out: &mut Vec<u64>) {
        let Some(slot) = self.slot(term) else { return };
        let start = self.range.start;
        let index = |&offset: &u32| start + u64::from(offset);
        self.with_offsets(slot, |offsets| {
            let first = offsets.partition_point(|offset| index(offset) < range.start);
            let found = offsets[first..].iter().map(index).take_while(|index| *index < range.end);
            out.extend(found.take(want.saturating_sub(out.len())));
        });
    }

    /// Pushes the term's last indexes in `range`, descending, until `out` holds `want`.
    pub(super) fn collect_back(
        &self,
        term: &Term,
        range: &Range<u64>,
        want: usize,
        out: &mut Vec<u64>,
    ) {
        let Some(slot) = self.slot(term) else { return };
        let start = self.range.start;
        let index = |&offset: &u32| start + u64::from(offset);
        self.with_offsets(slot, |offsets| {
            let end = offsets.partition_point(|offset| index(offset) < range.end);
            let older = offsets[..end].iter().rev().map(index);
            let found = older.take_while(|index| *index >= range.start);
            out.extend(found.take(want.saturating_sub(out.len())));
        });
    }

    /// Calls `each` with every term, in order, and its ascending indexes. Sorts one kind at a time.
    pub(super) fn for_each_term<E>(
        &self,
        mut each: impl FnMut(Term, &[u64]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut indexes = Vec::new();
        for (kind, slots) in (0..=u8::MAX).zip(&self.kinds) {
            let mut sorted: Vec<(Key, Slot)> = slots.iter().map(|(&k, &slot)| (k, slot)).collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            for (key, slot) in sorted {
                indexes.clear();
                self.with_offsets(slot, |offsets| {
                    let start = self.range.start;
                    indexes.extend(offsets.iter().map(|&offset| start + u64::from(offset)));
                });
                each(Term { kind, hash: key.hash() }, &indexes)?;
            }
        }
        Ok(())
    }

    fn slot(&self, term: &Term) -> Option<Slot> {
        self.kinds.get(usize::from(term.kind))?.get(&Key::new(term.hash)).copied()
    }

    fn with_offsets<T>(&self, slot: Slot, then: impl FnOnce(&[u32]) -> T) -> T {
        match slot.count {
            1 => then(&[slot.newest]),
            2..=LINKED_MAX => {
                let mut few = [0; LINKED_MAX as usize];
                let count = slot.count as usize;
                let mut link = slot.link;
                for place in few[..count].iter_mut().rev() {
                    let Link { offset, previous } = self.links[link as usize];
                    *place = offset;
                    link = previous;
                }
                then(&few[..count])
            }
            _ => then(&self.long[slot.link as usize]),
        }
    }

    fn offset(&self, index: u64) -> u32 {
        u32::try_from(index - self.range.start).expect("a range has at most 2^31 entries")
    }
}

/// The offsets of a chain of links, newest first.
fn chain(links: &[Link], newest: u32) -> Vec<u32> {
    let mut list = Vec::with_capacity(LINKED_MAX as usize * 2);
    let mut at = newest;
    while at != NO_LINK {
        let link = links[at as usize];
        list.push(link.offset);
        at = link.previous;
    }
    list
}

fn number(position: usize) -> u32 {
    u32::try_from(position).expect("a range holds fewer than 2^32 postings")
}
