//! Lives that were judged before.
//!
//! ```text
//! judged at size s ──▶ asked at size t ≥ s: postings in s..t of the terms that a change of the
//!                      token would be found by (its chains, its aliases, links to it, and the
//!                      sessions, grants, clients, keys and person it belongs to)
//!                        none      as judged
//!                        any       judged anew
//! ```
//!
//! Promises: an answer is that of the state asked about, never older and never newer: what was
//! committed since is looked for before anything is said, so nobody has to tell this room what
//! changed. One tenant's lives are never another's: a life's name is the term of its chain, a keyed
//! hash of 96 bits of tenant and id, and the life found must have the id. Bounded in bytes: of two
//! generations the older one is dropped when the younger is full.
//!
//! Assumes: the entries of a life were confirmed under the tree when they were read. They are
//! immutable, and erasing a person does not touch them.
//!
//! Refuses: what depends on `at`, and what a bound cut.

use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_index::{Term, TermMap};

use super::token::Token;

/// Locks, so that questions on several threads seldom meet.
const SHARDS: usize = 16;
/// Bytes of lives that a ledger remembers: some 10,000 tokens of 20 events each. A page of a
/// hundred tokens has one megabyte of entries; this is the pages that a few people look at.
const BYTES: usize = 96 << 20;
/// Bytes of a token and of one of its events beside the leaves, about.
const TOKEN_BYTES: usize = 2048;
const EVENT_BYTES: usize = 160;

/// A life as it was judged at a size.
#[derive(Clone)]
struct Kept {
    token: Arc<Token>,
    size: u64,
}

/// A life that was found.
pub(super) struct Found {
    pub(super) token: Arc<Token>,
    /// At which size it was judged.
    pub(super) judged: u64,
    /// Whether it is in no danger of being forgotten next.
    pub(super) is_young: bool,
}

#[derive(Default)]
struct Shard {
    young: TermMap<Kept>,
    old: TermMap<Kept>,
    /// Of the younger generation.
    bytes: usize,
}

/// The room. Shared.
pub struct Lives {
    shards: Vec<Mutex<Shard>>,
    /// Bytes of one generation of one shard.
    capacity: usize,
}

impl Default for Lives {
    fn default() -> Self {
        Self::new(BYTES)
    }
}

impl Lives {
    /// Remembers about so many bytes of lives.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, capacity: bytes / (2 * SHARDS) }
    }

    /// A life that was judged at a size of at most `size`.
    pub(super) fn find(&self, name: &Term, id: &str, size: u64) -> Option<Found> {
        let shard = self.shard(name).lock().unwrap_or_else(PoisonError::into_inner);
        let young = shard.young.get(name);
        let kept = young.or_else(|| shard.old.get(name));
        let kept = kept.filter(|kept| kept.size <= size && kept.token.ids.contains(id))?;
        let (token, judged) = (Arc::clone(&kept.token), kept.size);
        Some(Found { token, judged, is_young: young.is_some() })
    }

    /// Remembers a life as it is at a size.
    pub(super) fn keep(&self, name: &Term, token: &Arc<Token>, size: u64) {
        let bytes = weight(token);
        if bytes > self.capacity / 4 {
            return;
        }
        let mut shard = self.shard(name).lock().unwrap_or_else(PoisonError::into_inner);
        // Another question may have looked at a newer state meanwhile.
        let known = shard.young.get(name).or_else(|| shard.old.get(name));
        if known.is_some_and(|other| other.size > size) {
            return;
        }
        if shard.bytes + bytes > self.capacity {
            shard.old = std::mem::take(&mut shard.young);
            shard.bytes = 0;
        }
        let before = shard.young.insert(*name, Kept { token: Arc::clone(token), size });
        shard.bytes += bytes;
        shard.bytes -= before.map_or(0, |before| weight(&before.token));
    }

    fn shard(&self, name: &Term) -> &Mutex<Shard> {
        // The map goes by the bits below.
        &self.shards[usize::try_from(name.hash >> 32 & 0xff).unwrap_or(0) % SHARDS]
    }
}

fn weight(token: &Token) -> usize {
    let events = token.records.iter().map(|record| record.leaf_bytes() + EVENT_BYTES);
    TOKEN_BYTES + token.edges.len() * EVENT_BYTES * 2 + events.sum::<usize>()
}
