//! Entropy from a seed.
//!
//! Promises: the same bytes for the same seed and order of calls.
//!
//! Refuses: to be unpredictable. Never use it for a real ledger.

use super::random::Random;
use crate::entropy::Entropy;
use std::sync::{Mutex, PoisonError};

/// Repeatable bytes behind the [`Entropy`] trait.
pub struct SimEntropy {
    random: Mutex<Random>,
}

impl SimEntropy {
    /// The entropy of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Mutex::new(Random::new(seed).fork("entropy")) }
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).fill(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::random;

    #[test]
    fn repeats_for_a_seed_and_only_for_it() {
        let (first, again, other) = (SimEntropy::new(5), SimEntropy::new(5), SimEntropy::new(6));
        let bytes: [u8; 16] = random(&first);
        assert_eq!(bytes, random::<16>(&again));
        assert_ne!(bytes, random::<16>(&other));
        assert_ne!(bytes, random::<16>(&first), "it goes on");
    }
}
