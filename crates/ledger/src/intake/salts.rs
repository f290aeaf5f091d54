//! Salts that producers chose: random, or refused.
//!
//! Promises: a commitment that stands in a statement for ever cannot be guessed for want of a salt.
//! The ledger's own salts come from [`ledgerline_world::entropy`]; a producer's are looked at.
//!
//! Assumes: what it remembers is no cache. What it forgets changes what is refused: a salt that is
//! used again after some thousand others is taken.
//!
//! Refuses: zeros and other bytes repeated, counters, text, and a salt that came with another
//! record not long ago. Random bytes are taken for one of these less often than once in 10^12
//! times. What a salt was drawn from cannot be seen: a bad generator is not found out.

use std::hash::{BuildHasherDefault, Hasher as _};
use std::sync::{Mutex, PoisonError};

use ledgerline_index::TakeAsIs;
use ledgerline_proof::hash::Hash;
use ledgerline_world::cache::Cache;
use siphasher::sip::SipHasher13;

use super::EventError;

/// Salts of a generation: 256 KiB at most in all.
const REMEMBERED: usize = 4096;
/// Of 32 random bytes, some thirty differ.
const DISTINCT_MIN: u32 = 17;

/// A salt of a tenant, and the commitment it was used for: of both a hash under a key that nobody
/// knows, so that no two of them can be made to meet. That two meet by chance, and one is refused,
/// happens once in 10^15 times.
type Used = Cache<u64, u64, BuildHasherDefault<TakeAsIs>>;

/// The salts of the newest submissions.
#[derive(Debug)]
pub(super) struct Salts {
    newest: Mutex<Used>,
    key: [u8; 16],
}

/// Why a salt is none.
fn weak(detail: &str) -> EventError {
    EventError::new("weak_salt", detail.to_owned())
}

/// Whether a salt has a pattern that random bytes do not.
fn has_pattern(salt: &[u8; 32]) -> bool {
    let mut seen = [0_u64; 4];
    salt.iter().for_each(|byte| seen[usize::from(byte >> 6)] |= 1 << (byte & 63));
    let few = seen.iter().map(|part| part.count_ones()).sum::<u32>() < DISTINCT_MIN;
    let step = |pair: &[u8]| pair[1].wrapping_sub(pair[0]);
    let counts = |part: &[u8]| part.windows(2).all(|pair| step(pair) == step(part));
    let half = salt[..16] == salt[16..];
    let text = salt.iter().all(|byte| (0x20..0x7f).contains(byte));
    few || counts(&salt[..16]) || counts(&salt[16..]) || half || text
}

impl Salts {
    /// With a key that nobody else knows.
    pub(super) fn new(key: [u8; 16]) -> Self {
        Self { newest: Mutex::new(Cache::new(REMEMBERED)), key }
    }

    fn name(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        parts.iter().for_each(|part| hasher.write(part));
        hasher.finish()
    }

    /// Judges the salt of a record that a producer made. The same record again is a retry.
    ///
    /// # Errors
    /// `weak_salt`.
    pub(super) fn check(
        &self,
        tenant: &str,
        salt: &[u8; 32],
        commitment: &Hash,
    ) -> Result<(), EventError> {
        if has_pattern(salt) {
            let detail = "a personal record's salt is 32 random bytes, new for each record";
            return Err(weak(detail));
        }
        // Of other tenants' salts nobody learns anything.
        let (name, used) = (self.name(&[salt, tenant.as_bytes()]), self.name(&[&commitment.0]));
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.peek(&name).is_some_and(|before| *before != used) {
            let detail =
                "a personal record's salt was used for another record; make a new one each";
            return Err(weak(detail));
        }
        newest.put(name, used);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ledgerline_proof::hash::sha256;

    use super::*;

    fn random(n: u64) -> [u8; 32] {
        sha256(&n.to_le_bytes()).0
    }

    fn refused(salt: &[u8; 32]) -> bool {
        Salts::new([3; 16]).check("", salt, &Hash([1; 32])).is_err()
    }

    /// A salt of zeros was taken; after the erasure a reader found the person by guessing.
    #[test]
    fn a_salt_that_is_no_random_bytes_is_refused() {
        let step = |by: u8| std::array::from_fn(|n| u8::try_from(n).unwrap().wrapping_mul(by));
        for salt in [[0; 32], [7; 32], [255; 32], step(1), step(3), step(255)] {
            assert!(refused(&salt), "{salt:?}");
        }
        let mut short = [0; 32];
        short[..16].copy_from_slice(&random(1)[..16]);
        assert!(refused(&short), "half of it is missing");
        short[16..].copy_from_slice(&random(1)[..16]);
        assert!(refused(&short), "half of it twice");
        let mut number = [0; 32];
        number[..8].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(refused(&number));
        assert!(refused(b"alice-has-this-salt-and-bob-too!"));
    }

    #[test]
    fn random_salts_are_taken() {
        let salts = Salts::new([3; 16]);
        for n in 0..100_000 {
            assert_eq!(salts.check("", &random(n), &Hash(random(n + 1))), Ok(()), "{n}");
        }
        let held = salts.newest.lock().unwrap().usage().entries;
        assert!(held <= 2 * REMEMBERED as u64, "{held}");
    }

    #[test]
    fn a_salt_is_used_once_but_for_retries() {
        let salts = Salts::new([3; 16]);
        let (first, second) = (Hash(random(2)), Hash(random(3)));
        assert_eq!(salts.check("", &random(1), &first), Ok(()));
        assert_eq!(salts.check("", &random(1), &first), Ok(()));
        assert_eq!(salts.check("", &random(1), &second).unwrap_err().code, "weak_salt");
        assert_eq!(salts.check("other", &random(1), &second), Ok(()));
    }
}
