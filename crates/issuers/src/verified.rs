//! The cache of verified tokens: those whose signature was checked before.
//!
//! Promises: found by a digest of the whole token, signature included, which is all that is kept of
//! it; bounded by count ([`SharedCache`]). Only what was verified is kept, so that nobody can evict
//! it with rubbish.
//!
//! Assumes: whoever looks for one knows the generation of the keys that counts.

use std::hash::RandomState;
use std::sync::Arc;

use ledgerline_proof::hash::Hash;
use ledgerline_world::cache::{SharedCache, Usage};

/// Parts of the cache, so that callers on several threads seldom meet.
const PARTS: usize = 16;

/// What a verified token says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The issuer, `<region>:<alias>`.
    pub issuer: Arc<str>,
    /// Its ids in the ledger by its jti, where that may be one.
    pub ids: Vec<String>,
    /// The digest of its signing input, as `t1` ids have it.
    pub digest: Box<str>,
    /// Not to be used before, Unix nanoseconds.
    pub not_before: Option<i64>,
    /// Not to be used from then on, Unix nanoseconds.
    pub expires_at: Option<i64>,
    /// Under which keys.
    pub generation: u64,
}

impl Verified {
    /// The id that its digest has at its issuer.
    #[must_use]
    pub fn digest_id(&self) -> String {
        format!("{}:t1:{}", self.issuer, self.digest)
    }

    /// From when until before when its own times let it be used, Unix nanoseconds.
    #[must_use]
    pub fn within(&self) -> (i64, i64) {
        (self.not_before.unwrap_or(i64::MIN), self.expires_at.unwrap_or(i64::MAX))
    }
}

/// The cache. Shared.
pub struct VerifiedTokens(SharedCache<Hash, Arc<Verified>, RandomState>);

impl VerifiedTokens {
    /// Remembers at most `capacity` tokens, some 400 bytes each.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(SharedCache::new(PARTS, capacity))
    }

    /// What was kept, if it `counts` still: its issuer has the keys that it was verified under.
    #[must_use]
    pub fn find(
        &self,
        digest: &Hash,
        counts: impl FnOnce(&Verified) -> bool,
    ) -> Option<Arc<Verified>> {
        let found = self.0.part(digest.as_bytes()[0]).get(digest)?;
        if !counts(&found) {
            self.0.note_stale();
            return None;
        }
        Some(found)
    }

    /// Keeps one.
    pub fn keep(&self, digest: Hash, verified: Arc<Verified>) {
        self.0.part(digest.as_bytes()[0]).put(digest, verified);
    }

    /// How many there are, and what they were good for.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.0.usage()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_bounded_and_keeps_the_newest() {
        let room = VerifiedTokens::new(64);
        let digest = |n: u32| ledgerline_proof::hash::sha256(&n.to_be_bytes());
        let one = Arc::new(Verified {
            issuer: "eu:idp".into(),
            ids: Vec::new(),
            digest: "".into(),
            not_before: None,
            expires_at: None,
            generation: 1,
        });
        for n in 0..10_000 {
            room.keep(digest(n), Arc::clone(&one));
        }
        let kept = (0..10_000).filter(|n| room.find(&digest(*n), |_| true).is_some()).count();
        assert!((16..=64).contains(&kept), "{kept}");
        assert!(room.find(&digest(9_999), |_| true).is_some());
    }
}
