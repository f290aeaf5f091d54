//! The token cache: lives and summaries of tokens that were judged before, and how stale ones are
//! noticed.
//!
//! ```text
//! judged as of s ──▶ asked as of t, which covers s: postings behind s of the terms that a change
//!                    of the token would be found by (its chains, its aliases, of a life links
//!                    to it, and the sessions, grants, clients, keys and person it belongs to)
//!                      none      as judged
//!                      any       stale: judged anew
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

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use ledgerline_index::{SharedTermCache, Term, Usage, Weigh};
use ledgerline_view::address::{AsOf, EntryRef};

use super::token::{Summary, Token};

/// Parts of a cache, so that questions on several threads seldom meet.
const PARTS: usize = 16;
/// Bytes of lives that a ledger remembers: some 7,000 tokens of 20 events each.
const LIVES: usize = 64 << 20;
/// Bytes of summaries: some 20,000 tokens; the pages that a few people look at.
const SUMMARIES: usize = 32 << 20;
/// Bytes of a token, of one of its events beside the leaf, and of what a summary adds for each.
const TOKEN_BYTES: usize = 1536;
const EVENT_BYTES: usize = 160;
const ADDRESS_BYTES: usize = size_of::<EntryRef>();

/// What was judged of a token.
pub(super) trait Judged {
    /// Bytes that a ledger remembers of them.
    const BYTES: usize;

    /// Where the token stands.
    fn summary(&self) -> &Summary;

    /// Terms to watch: a new posting on any of them makes it stale.
    fn watched(&self) -> &[Term];

    /// Times of judgement at which the same revocations are in force.
    fn judged(&self) -> &Range<i64>;

    /// Its bytes, about.
    fn bytes(&self) -> usize;
}

impl Judged for Token {
    const BYTES: usize = LIVES;

    fn summary(&self) -> &Summary {
        &self.summary
    }

    fn watched(&self) -> &[Term] {
        &self.watched
    }

    fn judged(&self) -> &Range<i64> {
        &self.judged
    }

    fn bytes(&self) -> usize {
        let events = self.records.iter().map(|record| record.bytes() + EVENT_BYTES);
        TOKEN_BYTES + self.edges.len() * EVENT_BYTES * 2 + events.sum::<usize>()
    }
}

/// Where a token stands whose life was not read.
pub struct Brief {
    pub(super) summary: Arc<Summary>,
    /// The entries that were read for it.
    pub(super) read: Vec<EntryRef>,
    pub(super) judged: Range<i64>,
    pub(super) watched: Vec<Term>,
}

impl Judged for Brief {
    const BYTES: usize = SUMMARIES;

    fn summary(&self) -> &Summary {
        &self.summary
    }

    fn watched(&self) -> &[Term] {
        &self.watched
    }

    fn judged(&self) -> &Range<i64> {
        &self.judged
    }

    fn bytes(&self) -> usize {
        let addresses = self.summary.events.len() + self.summary.births.len() + self.read.len();
        TOKEN_BYTES + addresses * ADDRESS_BYTES + self.watched.len() * size_of::<Term>()
    }
}

/// What was judged as of a state.
pub(super) struct Found<T> {
    pub(super) one: Arc<T>,
    /// As of when it was judged.
    pub(super) judged: AsOf,
}

impl<T> Clone for Found<T> {
    fn clone(&self) -> Self {
        Self { one: Arc::clone(&self.one), judged: self.judged.clone() }
    }
}

/// A value weighs its bytes, about.
struct Bytes<T>(PhantomData<T>);

impl<T: Judged> Weigh<Found<T>> for Bytes<T> {
    fn weigh(found: &Found<T>) -> usize {
        found.one.bytes()
    }
}

/// A cache of what was judged. Shared.
#[allow(private_bounds, reason = "only these two are ever judged")]
pub struct Remembered<T: Judged> {
    known: SharedTermCache<Found<T>, Bytes<T>>,
    /// One of them weighs no more.
    most: usize,
}

/// What a ledger remembers of tokens. Shared by all who ask.
#[derive(Default)]
pub struct TokenCaches {
    /// Lives.
    pub lives: Remembered<Token>,
    /// Summaries of tokens whose lives were not read.
    pub summaries: Remembered<Brief>,
}

impl<T: Judged> Default for Remembered<T> {
    fn default() -> Self {
        Self::new(T::BYTES)
    }
}

#[allow(private_bounds, reason = "only these two are ever judged")]
impl<T: Judged> Remembered<T> {
    /// Remembers at most about so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { known: SharedTermCache::new(PARTS, bytes), most: bytes / (8 * PARTS) }
    }

    /// What was judged by no more than `as_of` covers.
    pub(super) fn find(&self, name: &Term, id: &str, as_of: &AsOf) -> Option<Found<T>> {
        let found = self.known.part(name.part()).get(name)?;
        if !found.is_of(id, as_of) {
            self.note_stale();
            return None;
        }
        Some(found)
    }

    /// The same, for whoever will ask for it: no look-up that is counted.
    pub(super) fn peek(&self, name: &Term, id: &str, as_of: &AsOf) -> Option<Found<T>> {
        let part = self.known.part(name.part());
        part.peek(name).filter(|found| found.is_of(id, as_of)).cloned()
    }

    /// What was found cannot be used.
    pub(super) fn note_stale(&self) {
        self.known.note_stale();
    }

    /// Remembers a token as it is as of a state.
    pub(super) fn keep(&self, name: &Term, one: &Arc<T>, as_of: &AsOf) {
        let found = Found { one: Arc::clone(one), judged: as_of.clone() };
        if Bytes::weigh(&found) > self.most {
            return;
        }
        let mut part = self.known.part(name.part());
        // Another question may have looked at a newer state meanwhile.
        if part.peek(name).is_none_or(|other| other.judged.is_within(as_of)) {
            part.put(*name, found);
        }
    }

    /// How many there are, their bytes, and what they were good for.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.known.usage()
    }
}

impl<T: Judged> Found<T> {
    fn is_of(&self, id: &str, as_of: &AsOf) -> bool {
        self.judged.is_within(as_of) && self.one.summary().ids.contains(id)
    }
}
