//! Whose standing changed when, told by whoever commits.
//!
//! ```text
//! term of a chain or an alias ──▶ its low bits ──▶ one of 2^20 places = size of the newest commit
//!                                                 with an entry under a term of that place
//! ```
//!
//! Promises: what was looked up at a size and whose places have no later size is as it was: nothing
//! of it was committed since. Two terms may share a place; then more seems changed than is. Uses
//! that name no other id change nobody's standing and leave no mark. Takes 8 MiB, and no lock.
//!
//! Assumes: one thread notes, in ledger order, before readers see the commit.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ledgerline_index::Term;
use ledgerline_view::committed::CommitObserver;

/// Places, a power of two. With a thousand new tokens a second, which mark two places each, a place
/// is marked about every ten minutes.
const PLACES: usize = 1 << 20;

/// The room. Shared.
#[derive(Default)]
pub struct Changes(OnceLock<Box<[AtomicU64]>>);

impl Changes {
    /// The place of a term.
    #[must_use]
    pub fn place(term: &Term) -> u32 {
        let low = term.hash & (PLACES as u128 - 1);
        u32::try_from(low).expect("fewer places than that")
    }

    /// Notes what a commit that ends at `size` changed.
    pub fn note(&self, terms: &[Term], size: u64) {
        if terms.is_empty() {
            return;
        }
        // Rooms of older origins never get there.
        let places = self.0.get_or_init(|| (0..PLACES).map(|_| AtomicU64::new(0)).collect());
        for term in terms {
            places[Self::place(term) as usize].store(size, Ordering::Release);
        }
    }

    /// Whether nothing of these places was committed behind `size`.
    #[must_use]
    pub fn are_as_at(&self, size: u64, mut places: impl Iterator<Item = u32>) -> bool {
        let Some(marks) = self.0.get() else { return true };
        places.all(|place| {
            marks.get(place as usize).is_some_and(|at| at.load(Ordering::Acquire) <= size)
        })
    }
}

impl CommitObserver for Changes {
    fn committed(&self, size: u64, terms: &[Term]) {
        self.note(terms, size);
    }
}
