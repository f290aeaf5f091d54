//! Heads: cached introspection answers, by the name of the presented token.
//!
//! ```text
//! name of what was presented ──▶ head: at which size it was found out, until when that may count,
//!                                from when until when the token may be used, its id and chain,
//!                                places of Changes to look at, and the words of the answer
//! ```
//!
//! Promises: a head is given only while nothing was committed that its answer depends on, as
//! [`Changes`] says; then it is the answer of the newest committed state, and finding it reads
//! nothing but memory. Bounded by bytes ([`SharedTermCache`]). An evicted head costs a look-up,
//! never an answer.
//!
//! Refuses: to know what the words mean, and tokens that nobody knows.

use std::sync::Arc;

use ledgerline_index::{SharedTermCache, Term, Usage, Weigh};
use ledgerline_proof::vocabulary::TokenKind;

use super::{Changes, Standing};

/// Parts of the cache, so that callers on several threads seldom meet.
const PARTS: usize = 64;
/// Bytes of a head beside its own part: the two counts of its [`Arc`], its place in the map, which
/// is between half and wholly full, and what the allocator rounds up.
const OVERHEAD: usize = 96;
const PLACE: usize = size_of::<u32>();

/// What was presented, in a tenant: a keyed hash of 96 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadName(Term);

impl HeadName {
    /// By a term that nothing else has.
    #[must_use]
    pub fn of(term: &Term) -> Self {
        Self(*term)
    }
}

/// What is to be said of a token, as its standing has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The words.
    pub words: Vec<u8>,
    /// What narrows the time in which the token may be used: from, until before, Unix nanoseconds.
    pub within: (i64, i64),
}

/// A head.
#[derive(Debug)]
pub struct Head {
    size: u64,
    /// Not to be given from then on: something known comes into force.
    due: i64,
    from: i64,
    until: i64,
    chain: u128,
    places: u16,
    id_bytes: u16,
    is_code: bool,
    /// Places, id, words.
    rest: Box<[u8]>,
}

impl Head {
    /// Of a standing that was found at `size`; `chain` is the term of the token's own chain.
    #[must_use]
    pub fn new(standing: &Standing, size: u64, chain: &Term, told: &Told) -> Self {
        let mut places: Vec<u32> = standing.watched.iter().map(Changes::place).collect();
        places.sort_unstable();
        places.dedup();
        let mut rest: Vec<u8> = places.iter().flat_map(|place| place.to_le_bytes()).collect();
        rest.extend_from_slice(standing.id.as_bytes());
        rest.extend_from_slice(&told.words);
        // Nobody may use what may be used from never on.
        let (from, until) = standing.usable_between().unwrap_or((i64::MAX, i64::MIN));
        let count = |length: usize| u16::try_from(length).ok();
        let (counted, id_bytes) = (count(places.len()), count(standing.id.len()));
        // More places than can be counted: nothing is at hand of it.
        let due = standing.changes_at.unwrap_or(i64::MAX);
        let due = if counted.is_some() && id_bytes.is_some() { due } else { i64::MIN };
        Self {
            size,
            due,
            from: from.max(told.within.0),
            until: until.min(told.within.1),
            chain: chain.hash,
            places: counted.unwrap_or(0),
            id_bytes: id_bytes.unwrap_or(0),
            is_code: standing.state.token_kind.is_some_and(TokenKind::is_code),
            rest: rest.into(),
        }
    }

    fn places(&self) -> impl Iterator<Item = u32> {
        let (places, _) = self.rest[..self.places_bytes()].as_chunks::<PLACE>();
        places.iter().map(|place| u32::from_le_bytes(*place))
    }

    fn places_bytes(&self) -> usize {
        usize::from(self.places) * PLACE
    }

    /// Whether the token may be used at `now`, Unix nanoseconds.
    #[must_use]
    pub fn is_active(&self, now_nanos: i64) -> bool {
        !self.is_code && self.from <= now_nanos && now_nanos < self.until
    }

    /// Whether it is a code: for exchange, never for use.
    #[must_use]
    pub fn is_code(&self) -> bool {
        self.is_code
    }

    /// The token's id, as [`Standing::id`].
    #[must_use]
    pub fn id(&self) -> &str {
        let begin = self.places_bytes();
        let id = &self.rest[begin..begin + usize::from(self.id_bytes)];
        std::str::from_utf8(id).unwrap_or_default()
    }

    /// The hash of the token's chain: one for each token of each tenant.
    #[must_use]
    pub fn chain(&self) -> u128 {
        self.chain
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[u8] {
        &self.rest[self.places_bytes() + usize::from(self.id_bytes)..]
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.rest.len() + OVERHEAD
    }
}

/// A head weighs its bytes.
struct HeadBytes;

impl Weigh<Arc<Head>> for HeadBytes {
    fn weigh(head: &Arc<Head>) -> usize {
        head.bytes()
    }
}

/// The cache. Shared.
pub struct Heads(SharedTermCache<Arc<Head>, HeadBytes>);

impl Heads {
    /// Caches heads of at most `bytes` bytes together.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(SharedTermCache::new(PARTS, bytes))
    }

    /// The head of this name, if what it says counts at `now`.
    #[must_use]
    pub fn at_hand(&self, changes: &Changes, name: HeadName, now: i64) -> Option<Arc<Head>> {
        let found = self.0.part(name.0.part()).get(&name.0)?;
        let counts = now < found.due && changes.are_as_at(found.size, found.places());
        if !counts {
            self.0.note_stale();
            return None;
        }
        Some(found)
    }

    /// Caches one.
    pub fn keep(&self, name: HeadName, head: Arc<Head>) {
        let mut part = self.0.part(name.0.part());
        // Another caller may have looked at a newer state meanwhile.
        let is_newer = |other: &Arc<Head>| (other.size, other.due) < (head.size, head.due);
        if part.peek(&name.0).is_none_or(is_newer) {
            part.put(name.0, head);
        }
    }

    /// Forgets all of them.
    pub fn forget(&self) {
        self.0.clear();
    }

    /// How many there are, their bytes, and what they were good for.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.0.usage()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ledgerline_proof::lifecycle::TokenState;

    use super::*;
    use ledgerline_index::{TermHasher, TermKind};
    use ledgerline_questions::lineage::Facts;

    fn standing(id: &str, watched: Vec<Term>, changes_at: Option<i64>) -> Standing {
        let facts = Facts {
            subject: None,
            client: None,
            session: None,
            grant: None,
            issuer_kid: None,
            audience: Vec::new(),
            scopes: Vec::new(),
        };
        let (ids, state) = (BTreeSet::from([id.to_owned()]), TokenState::UNKNOWN);
        Standing {
            id: id.to_owned(),
            ids,
            state,
            facts,
            claims: Vec::new(),
            is_part: false,
            events: 1,
            changes_at,
            watched,
        }
    }

    fn term(kind: TermKind, n: u32) -> Term {
        TermHasher::new([7; 16]).term(kind, "", &[&n.to_be_bytes()])
    }

    fn head(n: u32, size: u64, changes_at: Option<i64>) -> (HeadName, Arc<Head>) {
        let chain = term(TermKind::Chain, n);
        let watched = vec![chain, term(TermKind::Alias, n)];
        let told = Told { words: vec![b'w'; 100], within: (i64::MIN, i64::MAX) };
        let head =
            Head::new(&standing(&format!("id-{n}"), watched, changes_at), size, &chain, &told);
        (HeadName::of(&chain), Arc::new(head))
    }

    #[test]
    fn a_head_counts_until_something_it_depends_on_is_committed() {
        let (heads, changes) = (Heads::new(1 << 20), Changes::default());
        let (name, first) = head(1, 10, Some(1000));
        heads.keep(name, Arc::clone(&first));
        let is_there = |now| heads.at_hand(&changes, name, now).is_some();
        assert!(is_there(0) && is_there(999) && !is_there(1000), "something comes into force");
        assert_eq!((first.id(), first.words()), ("id-1", &[b'w'; 100][..]));
        assert!(!first.is_active(0), "nothing says that it may be used");
        changes.note(&[term(TermKind::Chain, 2), term(TermKind::Alias, 3)], 11);
        assert!(is_there(0), "another token");
        changes.note(&[term(TermKind::Alias, 1)], 12);
        assert!(!is_there(0), "another name of it");
        let (_, second) = head(1, 12, None);
        heads.keep(name, second);
        heads.keep(name, first);
        assert!(is_there(i64::MAX - 1), "the newer one stays");
        changes.note(&[term(TermKind::Chain, 1)], 13);
        assert!(!is_there(0), "an act on it");
    }

    #[test]
    fn the_room_is_bounded_by_bytes_and_keeps_the_newest() {
        let (heads, changes) = (Heads::new(1 << 20), Changes::default());
        for n in 0..20_000 {
            let (name, head) = head(n, 1, None);
            heads.keep(name, head);
            assert!(heads.usage().weight <= 1 << 20, "{n}: {:?}", heads.usage());
        }
        let Usage { entries: count, weight: bytes, .. } = heads.usage();
        let per_head = bytes / count;
        assert!((1000..4000).contains(&count) && (200..500).contains(&per_head), "{count} {bytes}");
        let is_there = |n| heads.at_hand(&changes, head(n, 1, None).0, 0).is_some();
        assert!((19_900..20_000).all(is_there) && !(0..1000).any(is_there));
    }
}
