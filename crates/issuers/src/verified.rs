//! Tokens whose signature was verified before.
//!
//! Promises: found by a digest of the whole token, signature included, which is all that is kept of
//! it; bounded: of two generations the older is dropped when the younger is full. Only what was
//! verified is kept, so that nobody can push it out with rubbish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_proof::hash::Hash;

/// Locks, so that callers on several threads seldom meet.
const SHARDS: usize = 16;

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

#[derive(Default)]
struct Shard {
    young: HashMap<Hash, Arc<Verified>>,
    old: HashMap<Hash, Arc<Verified>>,
}

/// The room. Shared.
pub struct VerifiedTokens {
    shards: Vec<Mutex<Shard>>,
    /// Of one generation of one shard.
    capacity: usize,
}

impl VerifiedTokens {
    /// Remembers about `capacity` tokens, some 400 bytes each.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, capacity: capacity.div_ceil(2 * SHARDS) }
    }

    fn shard(&self, digest: &Hash) -> &Mutex<Shard> {
        &self.shards[usize::from(digest.as_bytes()[0]) % SHARDS]
    }

    /// What was kept.
    #[must_use]
    pub fn find(&self, digest: &Hash) -> Option<Arc<Verified>> {
        let mut shard = self.shard(digest).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = shard.young.get(digest) {
            return Some(Arc::clone(found));
        }
        let found = shard.old.remove(digest)?;
        self.put(&mut shard, *digest, Arc::clone(&found));
        Some(found)
    }

    /// Keeps one.
    pub fn keep(&self, digest: Hash, verified: Arc<Verified>) {
        let mut shard = self.shard(&digest).lock().unwrap_or_else(PoisonError::into_inner);
        self.put(&mut shard, digest, verified);
    }

    fn put(&self, shard: &mut Shard, digest: Hash, verified: Arc<Verified>) {
        if shard.young.len() >= self.capacity {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(digest, verified);
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
        let kept = (0..10_000).filter(|n| room.find(&digest(*n)).is_some()).count();
        assert!((16..=64).contains(&kept), "{kept}");
        assert!(room.find(&digest(9_999)).is_some());
    }
}
