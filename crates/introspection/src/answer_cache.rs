//! Cached introspection answers, keyed by the presented token.
//!
//! ```text
//! name of what was presented ──▶ answer: at which size it was found out, until when it may be
//!                                given, from when until when the token may be used, its id and
//!                                chain, buckets of ChangeMarks to look at, and its words
//! ```
//!
//! Promises: an answer is given only while nothing was committed that it depends on, as
//! [`ChangeMarks`] says, and is stale from then on; until then it is the answer of the newest
//! committed state, and finding it reads nothing but memory. Bounded by bytes
//! ([`SharedTermCache`]). An evicted answer costs a look-up, never an answer.
//!
//! Refuses: to know what the words mean, and tokens that nobody knows.

use std::sync::Arc;

use ledgerline_index::{SharedTermCache, Term, Usage, Weigh};
use ledgerline_proof::vocabulary::TokenKind;

use super::{ChangeMarks, TokenStatus};

/// Parts of the cache, so that callers on several threads seldom meet.
const PARTS: usize = 64;
/// Bytes of an answer beside its own part: the two counts of its [`Arc`], its place in the map,
/// which is between half and wholly full, and what the allocator rounds up.
const OVERHEAD: usize = 96;

/// What was presented, in a tenant: a keyed hash of 96 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerName(Term);

impl AnswerName {
    /// By a term that nothing else has.
    #[must_use]
    pub fn of(term: &Term) -> Self {
        Self(*term)
    }
}

/// What is to be said of a token, as its status has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The words.
    pub words: Vec<u8>,
    /// What narrows the time in which the token may be used: from, until before, Unix nanoseconds.
    pub within: (i64, i64),
}

/// A cached answer.
#[derive(Debug)]
pub struct CachedAnswer {
    size: u64,
    /// Not to be given from then on: something known comes into force.
    due: i64,
    from: i64,
    until: i64,
    chain: u128,
    is_code: bool,
    buckets: Box<[u32]>,
    id: Box<str>,
    words: Box<[u8]>,
}

impl CachedAnswer {
    /// Of a status that was found at `size`; `chain` is the term of the token's own chain.
    #[must_use]
    pub fn new(status: &TokenStatus, size: u64, chain: &Term, answer: &Answer) -> Self {
        let mut buckets: Vec<u32> = status.watched.iter().map(ChangeMarks::bucket).collect();
        buckets.sort_unstable();
        buckets.dedup();
        // Nobody may use what may be used from never on.
        let (from, until) = status.usable_between().unwrap_or((i64::MAX, i64::MIN));
        Self {
            size,
            due: status.changes_at.unwrap_or(i64::MAX),
            from: from.max(answer.within.0),
            until: until.min(answer.within.1),
            chain: chain.hash,
            is_code: status.state.token_kind.is_some_and(TokenKind::is_code),
            buckets: buckets.into(),
            id: status.id.as_str().into(),
            words: answer.words.as_slice().into(),
        }
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

    /// The token's id, as [`TokenStatus::id`].
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The hash of the token's chain: one for each token of each tenant.
    #[must_use]
    pub fn chain(&self) -> u128 {
        self.chain
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[u8] {
        &self.words
    }

    fn bytes(&self) -> usize {
        let parts = size_of_val(&*self.buckets) + self.id.len() + self.words.len();
        size_of::<Self>() + parts + OVERHEAD
    }
}

/// An answer weighs its bytes.
struct AnswerBytes;

impl Weigh<Arc<CachedAnswer>> for AnswerBytes {
    fn weigh(answer: &Arc<CachedAnswer>) -> usize {
        answer.bytes()
    }
}

/// The cache. Shared.
pub struct AnswerCache(SharedTermCache<Arc<CachedAnswer>, AnswerBytes>);

impl AnswerCache {
    /// Caches answers of at most `bytes` bytes together.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(SharedTermCache::new(PARTS, bytes))
    }

    /// The answer of this name, unless it is stale at `now`.
    #[must_use]
    pub fn get(
        &self,
        marks: &ChangeMarks,
        name: AnswerName,
        now: i64,
    ) -> Option<Arc<CachedAnswer>> {
        let found = self.0.part(name.0.part()).get(&name.0)?;
        let counts =
            now < found.due && marks.are_unchanged_since(found.size, found.buckets.iter().copied());
        if !counts {
            self.0.note_stale();
            return None;
        }
        Some(found)
    }

    /// Caches one.
    pub fn keep(&self, name: AnswerName, answer: Arc<CachedAnswer>) {
        let mut part = self.0.part(name.0.part());
        // Another caller may have looked at a newer state meanwhile.
        let is_newer =
            |other: &Arc<CachedAnswer>| (other.size, other.due) < (answer.size, answer.due);
        if part.peek(&name.0).is_none_or(is_newer) {
            part.put(name.0, answer);
        }
    }

    /// Drops all of them.
    pub fn clear(&self) {
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

    fn token_status(id: &str, watched: Vec<Term>, changes_at: Option<i64>) -> TokenStatus {
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
        TokenStatus {
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

    fn answer(n: u32, size: u64, changes_at: Option<i64>) -> (AnswerName, Arc<CachedAnswer>) {
        let chain = term(TermKind::Chain, n);
        let watched = vec![chain, term(TermKind::Alias, n)];
        let words = Answer { words: vec![b'w'; 100], within: (i64::MIN, i64::MAX) };
        let answer = CachedAnswer::new(
            &token_status(&format!("id-{n}"), watched, changes_at),
            size,
            &chain,
            &words,
        );
        (AnswerName::of(&chain), Arc::new(answer))
    }

    #[test]
    fn an_answer_counts_until_something_it_depends_on_is_committed() {
        let (answers, marks) = (AnswerCache::new(1 << 20), ChangeMarks::default());
        let (name, first) = answer(1, 10, Some(1000));
        answers.keep(name, Arc::clone(&first));
        let is_there = |now| answers.get(&marks, name, now).is_some();
        assert!(is_there(0) && is_there(999) && !is_there(1000), "something comes into force");
        assert_eq!((first.id(), first.words()), ("id-1", &[b'w'; 100][..]));
        assert!(!first.is_active(0), "nothing says that it may be used");
        marks.note(&[term(TermKind::Chain, 2), term(TermKind::Alias, 3)], 11);
        assert!(is_there(0), "another token");
        marks.note(&[term(TermKind::Alias, 1)], 12);
        assert!(!is_there(0), "another name of it");
        let (_, second) = answer(1, 12, None);
        answers.keep(name, second);
        answers.keep(name, first);
        assert!(is_there(i64::MAX - 1), "the newer one stays");
        marks.note(&[term(TermKind::Chain, 1)], 13);
        assert!(!is_there(0), "an act on it");
    }

    #[test]
    fn the_cache_is_bounded_by_bytes_and_keeps_the_newest() {
        let (answers, marks) = (AnswerCache::new(1 << 20), ChangeMarks::default());
        for n in 0..20_000 {
            let (name, answer) = answer(n, 1, None);
            answers.keep(name, answer);
            assert!(answers.usage().weight <= 1 << 20, "{n}: {:?}", answers.usage());
        }
        let Usage { entries: count, weight: bytes, .. } = answers.usage();
        let per_answer = bytes / count;
        assert!(
            (1000..4000).contains(&count) && (200..500).contains(&per_answer),
            "{count} {bytes}"
        );
        let is_there = |n| answers.get(&marks, answer(n, 1, None).0, 0).is_some();
        assert!((19_900..20_000).all(is_there) && !(0..1000).any(is_there));
    }
}
