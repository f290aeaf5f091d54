//! Change marks: per hash bucket, the size of the last commit that touched it. They let cached
//! introspection answers detect that they are stale.
//!
//! ```text
//! term of a chain or an alias ──▶ its low bits ──▶ one of 2^20 buckets = size of the newest commit
//!                                                  with an entry under a term of that bucket
//! ```
//!
//! Promises: what was looked up at a size and whose buckets have no later size is as it was:
//! nothing of it was committed since. Two terms may share a bucket; then more seems stale than is.
//! Uses that name no other id change no token's status and leave no mark. Takes 8 MiB, and no lock.
//!
//! Assumes: one thread notes, in ledger order, before readers see the commit.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ledgerline_index::Term;
use ledgerline_view::committed::CommitObserver;

/// Buckets, a power of two. With a thousand new tokens a second, which mark two of them each, one
/// is marked about every ten minutes.
const BUCKETS: usize = 1 << 20;

/// The marks. Shared.
#[derive(Default)]
pub struct ChangeMarks(OnceLock<Box<[AtomicU64]>>);

impl ChangeMarks {
    /// The bucket of a term.
    #[must_use]
    pub fn bucket(term: &Term) -> u32 {
        let low = term.hash & (BUCKETS as u128 - 1);
        u32::try_from(low).expect("fewer buckets than that")
    }

    /// Notes what a commit that ends at `size` changed.
    pub fn note(&self, terms: &[Term], size: u64) {
        if terms.is_empty() {
            return;
        }
        // Rooms of older origins never get there.
        let buckets = self.0.get_or_init(|| (0..BUCKETS).map(|_| AtomicU64::new(0)).collect());
        for term in terms {
            buckets[Self::bucket(term) as usize].store(size, Ordering::Release);
        }
    }

    /// Whether nothing of these buckets was committed behind `size`.
    #[must_use]
    pub fn are_unchanged_since(&self, size: u64, mut buckets: impl Iterator<Item = u32>) -> bool {
        let Some(marks) = self.0.get() else { return true };
        buckets.all(|bucket| {
            marks.get(bucket as usize).is_some_and(|at| at.load(Ordering::Acquire) <= size)
        })
    }
}

impl CommitObserver for ChangeMarks {
    fn committed(&self, size: u64, terms: &[Term]) {
        self.note(terms, size);
    }
}
