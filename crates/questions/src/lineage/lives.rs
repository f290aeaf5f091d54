//! Cached lives: those that were judged before.
//!
//! ```text
//! judged as of s ──▶ asked as of t, which covers s: postings behind s of the terms that a change
//!                    of the token would be found by (its chains, its aliases, links to it, and
//!                    the sessions, grants, clients, keys and person it belongs to)
//!                      none      as judged
//!                      any       judged anew
//! ```
//!
//! Promises: an answer is that of the state asked about, never older and never newer: what was
//! committed since is looked for before anything is said, so nobody has to tell this cache what
//! changed. One tenant's lives are never another's: a life's name is the term of its chain, a keyed
//! hash of 96 bits of tenant and id, and the life found must have the id. Bounded in bytes
//! ([`SharedTermCache`]).
//!
//! Assumes: the entries of a life were confirmed under the tree when they were read. They are
//! immutable, and erasing a person does not touch them.
//!
//! Refuses: what depends on `at`, and what a bound cut.

use std::sync::Arc;

use ledgerline_index::{SharedTermCache, Term, Usage, Weigh};
use ledgerline_view::address::AsOf;

use super::token::Token;

/// Parts of the cache, so that questions on several threads seldom meet.
const PARTS: usize = 16;
/// Bytes of lives that a ledger remembers: some 10,000 tokens of 20 events each. A page of a
/// hundred tokens has one megabyte of entries; this is the pages that a few people look at.
const BYTES: usize = 96 << 20;
/// Bytes of a token and of one of its events beside the leaves, about.
const TOKEN_BYTES: usize = 2048;
const EVENT_BYTES: usize = 160;

/// A life as it was judged as of a state.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) token: Arc<Token>,
    /// As of when it was judged.
    pub(super) judged: AsOf,
}

/// A life weighs its bytes, about.
struct LifeBytes;

impl Weigh<Found> for LifeBytes {
    fn weigh(life: &Found) -> usize {
        let events = life.token.records.iter().map(|record| record.leaf_bytes() + EVENT_BYTES);
        TOKEN_BYTES + life.token.edges.len() * EVENT_BYTES * 2 + events.sum::<usize>()
    }
}

/// The cache. Shared.
pub struct Lives {
    lives: SharedTermCache<Found, LifeBytes>,
    /// One life weighs no more.
    most: usize,
}

impl Default for Lives {
    fn default() -> Self {
        Self::new(BYTES)
    }
}

impl Lives {
    /// Remembers at most about so many bytes of lives.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { lives: SharedTermCache::new(PARTS, bytes), most: bytes / (8 * PARTS) }
    }

    /// A life that was judged by no more than `as_of` covers.
    pub(super) fn find(&self, name: &Term, id: &str, as_of: &AsOf) -> Option<Found> {
        let found = self.lives.part(name.part()).get(name)?;
        if !found.is_of(id, as_of) {
            self.note_stale();
            return None;
        }
        Some(found)
    }

    /// The same, for whoever will ask for it: no look-up that is counted.
    pub(super) fn peek(&self, name: &Term, id: &str, as_of: &AsOf) -> Option<Found> {
        let part = self.lives.part(name.part());
        part.peek(name).filter(|found| found.is_of(id, as_of)).cloned()
    }

    /// A life that was found cannot be used.
    pub(super) fn note_stale(&self) {
        self.lives.note_stale();
    }

    /// Remembers a life as it is as of a state.
    pub(super) fn keep(&self, name: &Term, token: &Arc<Token>, as_of: &AsOf) {
        let life = Found { token: Arc::clone(token), judged: as_of.clone() };
        if LifeBytes::weigh(&life) > self.most {
            return;
        }
        let mut part = self.lives.part(name.part());
        // Another question may have looked at a newer state meanwhile.
        if part.peek(name).is_none_or(|other| other.judged.is_within(as_of)) {
            part.put(*name, life);
        }
    }

    /// How many there are, their bytes, and what they were good for.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.lives.usage()
    }
}

impl Found {
    fn is_of(&self, id: &str, as_of: &AsOf) -> bool {
        self.judged.is_within(as_of) && self.token.ids.contains(id)
    }
}
