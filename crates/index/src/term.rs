//! Terms: what entries are looked up by.
//!
//! Promises: the same (key, kind, tenant, parts) gives the same term for ever; without the index
//! key nobody can tell what a term stands for, nor build two inputs with one term.
//!
//! ```text
//! hash input = lp(tenant) ‖ lp(part) ‖ …     SipHash-2-4-128 under the index key
//! lp(x)      = u16 big-endian length ‖ x
//!              0xffff ‖ u64 big-endian length ‖ x when x has 65,535 bytes or more
//! term       = kind ‖ the 16 bytes of the hash as a little-endian number, shifted right by 32
//!              for kinds 1 to 3, by 64 for the others; kind 19 takes 40 bits of its chain's
//! ```
//!
//! Of event ids and chains 96 of the 128 bits are kept: four bytes less for every unique term, and
//! among 10^10 terms the chance of any collision is below 10^-8. Of the other kinds 64: nothing is
//! planned from them, and a collision costs one read, for every hit is confirmed at the entry. The
//! run format itself carries any 128-bit number.
//!
//! Refuses: to know what a kind means. Tenants and values never stand in the index, only their
//! terms.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use ledgerline_world::cache::{Cache, Each, SharedCache};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// Which terms an entry has (see the module `terms`). Counted up when that changes: all runs are
/// then built anew at the next start.
const TERMS_VERSION: u32 = 7;
/// Longer inputs are hashed piece by piece.
const BUFFER: usize = 192;
/// Bits of the 128 that the terms of event ids, chains and leaves keep.
pub const HASH_BITS: u32 = 96;
/// Bits that the terms of the other kinds keep.
const NARROW_BITS: u32 = 64;

/// What a term is about. The numbers are persisted: never renumber, only append. Zero is invalid.
#[repr(u8)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TermKind {
    /// (source, event id): idempotency.
    EventId = 1,
    /// (target kind, target id): a chain's entries.
    Chain = 2,
    /// Leaves that are no events: blocks, control entries.
    Leaf = 3,
    /// The person an event is about.
    Subject = 4,
    /// Any handle in an event.
    Handle = 5,
    /// A client id.
    Client = 6,
    /// A resource template, declared-safe id or handle.
    Resource = 7,
    /// A policy id.
    Policy = 8,
    /// A session id.
    Session = 9,
    /// A grant id.
    Grant = 10,
    /// A source.
    Source = 11,
    /// A parent token: the reverse edge of lineage.
    Parent = 12,
    /// The hour a token expires in.
    ExpiryHour = 13,
    /// A finding id.
    Finding = 14,
    /// Another id of the same token.
    Alias = 15,
    /// The digest of an attachment.
    Digest = 16,
    /// A key that an issuer signs with.
    Key = 17,
    /// Revocations, all of them.
    Revocation = 18,
    /// What decides of a chain: the acts of a token that may change its state, the revocations of
    /// anything wider. Its hash is cut from the chain's (see the module `terms`).
    Life = 19,
}

impl TermKind {
    /// Whether new entries are planned from what is found by it: duplicates, chains, blocks.
    pub(crate) const fn plans(self) -> bool {
        is_planned_from(self as u8)
    }
}

/// Whether new entries are planned from what is found by a kind: duplicates, chains, blocks.
#[must_use]
pub const fn is_planned_from(kind: u8) -> bool {
    kind <= TermKind::Leaf as u8
}

/// What the index finds entries by. Sorts by kind, then hash.
///
/// Packed: ten of them wait with every event, and 24 bytes instead of 32 are so much less to write.
#[repr(Rust, packed(8))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// A [`TermKind`], or a kind of a later version.
    pub kind: u8,
    /// See the module doc.
    pub hash: u128,
}

impl Term {
    /// Bits that say which part of a [`SharedTermCache`] it is in: its maps go by those below.
    #[must_use]
    pub fn part(&self) -> u8 {
        u8::try_from(self.hash >> 32 & 0xff).expect("eight bits")
    }
}

impl std::hash::Hash for Term {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let bytes = self.hash.to_le_bytes();
        let (low, _) = bytes.split_first_chunk().expect("sixteen bytes");
        state.write_u64(u64::from_le_bytes(*low) ^ u64::from(self.kind));
    }
}

/// Terms are random already (keyed SipHash): their low bits serve as a map's hash.
#[derive(Default)]
pub struct TakeAsIs(u64);

impl Hasher for TakeAsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A map by term. Its order is never looked at.
pub type TermMap<V> = HashMap<Term, V, BuildHasherDefault<TakeAsIs>>;

/// A cache by term. Of chains, a term keeps 96 bits: among 10^10 of them the chance that any two
/// meet is below 10^-8.
pub type TermCache<V> = Cache<Term, V, BuildHasherDefault<TakeAsIs>>;

/// The same for threads that share it, bounded by what `W` weighs.
pub type SharedTermCache<V, W = Each> = SharedCache<Term, V, BuildHasherDefault<TakeAsIs>, W>;

/// A map by what is a number that hashes as itself. Places of entries lie close together: they are
/// spread by a multiplication (Fibonacci hashing). Its order is never looked at.
pub type SpreadMap<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// See [`SpreadMap`].
#[derive(Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0 ^ u64::from(byte));
        }
    }
    fn write_u64(&mut self, value: u64) {
        let mixed = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Maps go by the lowest and by the highest bits.
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// Makes terms under one index key.
#[derive(Clone)]
pub struct TermHasher {
    start: SipHasher24,
}

impl TermHasher {
    /// A hasher under `key`, which must be random, secret and never change in the life of a ledger.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        Self { start: SipHasher24::new_with_key(&key) }
    }

    /// The term of `parts` in `tenant`.
    #[must_use]
    pub fn term(&self, kind: TermKind, tenant: &str, parts: &[&[u8]]) -> Term {
        // In one piece SipHash takes half the time that it takes in small ones.
        let mut buffer = [0; BUFFER];
        let hash = match prefixed(&mut buffer, tenant, parts) {
            Some(length) => self.start.hash(&buffer[..length]),
            None => {
                let mut hasher = self.start;
                write_prefixed(&mut hasher, tenant.as_bytes());
                parts.iter().for_each(|part| write_prefixed(&mut hasher, part));
                hasher.finish128()
            }
        };
        let bits = if kind.plans() { HASH_BITS } else { NARROW_BITS };
        Term { kind: kind as u8, hash: u128::from(hash) >> (128 - bits) }
    }

    /// Names the key, this way of hashing and this choice of terms, without giving the key away.
    /// Runs and manifest carry it, so that runs of another ledger, or of a version that posted
    /// fewer terms, are never mistaken for ours.
    #[must_use]
    pub fn identity(&self) -> [u8; 16] {
        let mut hasher = self.start;
        write_prefixed(&mut hasher, b"ledgerline/index-identity/v1\0");
        write_prefixed(&mut hasher, &HASH_BITS.to_be_bytes());
        write_prefixed(&mut hasher, &TERMS_VERSION.to_be_bytes());
        u128::from(hasher.finish128()).to_le_bytes()
    }
}

/// The hash input in one piece; its length, when the buffer holds it.
fn prefixed(buffer: &mut [u8; BUFFER], tenant: &str, parts: &[&[u8]]) -> Option<usize> {
    let mut length = 0;
    for part in std::iter::once(&tenant.as_bytes()).chain(parts) {
        let front = u16::try_from(part.len()).ok()?.to_be_bytes();
        let end = length + 2 + part.len();
        let place = buffer.get_mut(length..end)?;
        place[..2].copy_from_slice(&front);
        place[2..].copy_from_slice(part);
        length = end;
    }
    Some(length)
}

fn write_prefixed(hasher: &mut SipHasher24, bytes: &[u8]) {
    match u16::try_from(bytes.len()) {
        Ok(length) if length < u16::MAX => hasher.write(&length.to_be_bytes()),
        _ => {
            hasher.write(&u16::MAX.to_be_bytes());
            hasher.write(&(bytes.len() as u64).to_be_bytes());
        }
    }
    hasher.write(bytes);
}

/// One fact for the index: the entry at `index` has `term`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// What the entry can be found by.
    pub term: Term,
    /// The entry's position in the ledger.
    pub index: u64,
    /// For [`TermKind::EventId`]: the milliseconds of a UUIDv7, none for any other id. It must
    /// follow from the id alone. Ignored for the other kinds.
    pub uuid_millis: Option<u64>,
}

/// Where a term's entries end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermHead {
    /// Index of the newest entry.
    pub last: u64,
    /// How many entries there are; at least 1.
    pub count: u64,
}

/// The times of the event ids in a range, so that an on-time id is looked up in one or two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdTimes {
    /// Least UUIDv7 time, in milliseconds; `u64::MAX` when there is none.
    pub oldest: u64,
    /// Greatest UUIDv7 time, in milliseconds; 0 when there is none.
    pub newest: u64,
    /// How many event ids carry no time.
    pub untimed: u64,
}

impl IdTimes {
    /// No ids at all.
    pub const NONE: Self = Self { oldest: u64::MAX, newest: 0, untimed: 0 };

    pub(crate) fn note(&mut self, posting: &Posting) {
        if posting.term.kind != TermKind::EventId as u8 {
            return;
        }
        match posting.uuid_millis {
            Some(millis) => {
                self.oldest = self.oldest.min(millis);
                self.newest = self.newest.max(millis);
            }
            None => self.untimed += 1,
        }
    }

    pub(crate) fn join(&mut self, other: &Self) {
        self.oldest = self.oldest.min(other.oldest);
        self.newest = self.newest.max(other.newest);
        self.untimed = self.untimed.saturating_add(other.untimed);
    }

    /// Whether an event id with this time can be among them.
    pub(crate) fn may_hold(&self, millis: Option<u64>) -> bool {
        match millis {
            Some(millis) => (self.oldest..=self.newest).contains(&millis),
            None => self.untimed > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_does_not_depend_on_the_way_it_is_hashed() {
        let hasher = TermHasher::new([3; 16]);
        for length in [0, 1, 100, BUFFER - 20, BUFFER - 9, BUFFER, 1000, 70_000] {
            let part = vec![b'x'; length];
            let parts: [&[u8]; 2] = [&part, b"end"];
            let mut pieces = hasher.start;
            write_prefixed(&mut pieces, b"acme");
            parts.iter().for_each(|part| write_prefixed(&mut pieces, part));
            let whole = u128::from(pieces.finish128());
            for (kind, bits) in [(TermKind::Chain, HASH_BITS), (TermKind::Alias, NARROW_BITS)] {
                let expected = Term { kind: kind as u8, hash: whole >> (128 - bits) };
                assert_eq!(hasher.term(kind, "acme", &parts), expected, "{length}");
            }
        }
    }
}
