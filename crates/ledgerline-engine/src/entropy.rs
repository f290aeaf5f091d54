//! Randomness: the one module that asks the system for it.
//!
//! Promises: bytes that nobody can predict, or a panic. A ledger whose salts could be guessed must
//! not run, so a failing system generator is not an error to handle.

/// A source of random bytes, shared between threads.
pub trait Entropy: Send + Sync {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);
}

/// Fresh random bytes.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// The system's generator.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the system generator failed; refusing to go on without it");
    }
}
