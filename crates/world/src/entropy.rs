//! Randomness: the one module that asks the system for it.
//!
//! Promises: bytes that nobody can predict, or a panic. A ledger whose salts could be guessed must
//! not run, so a failing system generator is not an error to handle.
//!
//! Each thread asks the system for [`BUFFERED_BYTES`] at a time: a call for each event's blind
//! costs more than taking its statement apart. Bytes are wiped where they lay as they are given
//! out, and no process here forks, so none is given out twice.

use std::cell::RefCell;

/// Bytes that a thread has ready at most.
const BUFFERED_BYTES: usize = 1024;
/// Longer wishes go straight to the system.
const LONGEST_FROM_BUFFER: usize = 64;

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

/// Random bytes not yet given out: the first `left`.
struct Ready {
    bytes: [u8; BUFFERED_BYTES],
    left: usize,
}

thread_local! {
    static READY: RefCell<Ready> =
        const { RefCell::new(Ready { bytes: [0; BUFFERED_BYTES], left: 0 }) };
}

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        if buffer.len() > LONGEST_FROM_BUFFER {
            return from_system(buffer);
        }
        READY.with_borrow_mut(|ready| {
            if ready.left < buffer.len() {
                from_system(&mut ready.bytes);
                ready.left = BUFFERED_BYTES;
            }
            let rest = ready.left - buffer.len();
            let taken = &mut ready.bytes[rest..ready.left];
            buffer.copy_from_slice(taken);
            zeroize::Zeroize::zeroize(taken);
            ready.left = rest;
        });
    }
}

fn from_system(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the system generator failed; refusing to go on without it");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nothing_is_given_out_twice_across_refills_and_threads() {
        let draw = || -> Vec<[u8; 16]> { (0..1000).map(|_| random(&SystemEntropy)).collect() };
        let other = std::thread::spawn(draw);
        let mut all: BTreeSet<[u8; 16]> = draw().into_iter().collect();
        all.extend(other.join().expect("no panic"));
        assert_eq!(all.len(), 2000);
        let long: [u8; 65] = random(&SystemEntropy);
        assert!(long.iter().any(|byte| *byte != 0));
        READY.with_borrow(|ready| {
            assert!(ready.bytes[ready.left..].iter().all(|byte| *byte == 0), "used bytes remain");
        });
    }
}
