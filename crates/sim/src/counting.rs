//! An index and a store of leaves that count how often they are called: what a question would cost
//! in round trips if they stood behind a network.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ledgerline_index::{
    Ask, IdAsk, IndexError, Page, PostingIndex, ReadBudget, Term, TermHead, Window,
};
use ledgerline_journal::leaf_store::{LeafStore, ReadError, StoredLeaf};
use ledgerline_view::view::View;

/// Counts the calls of both, and the leaves that were read one by one.
#[derive(Debug, Default)]
pub struct RoundTrips {
    calls: AtomicU64,
    leaves: AtomicU64,
}

impl RoundTrips {
    /// The view, read through counters.
    #[must_use]
    pub fn through(self: &Arc<Self>, view: View) -> View {
        let index = Counted { calls: Arc::clone(self), of: Arc::clone(&view.rooms().index) };
        let leaves = Counted { calls: Arc::clone(self), of: Arc::clone(&view.rooms().reader) };
        view.through(Arc::new(index), Arc::new(leaves))
    }

    /// Calls since the last time.
    pub fn take(&self) -> u64 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// Leaves read since the last time, but for those of whole ranges.
    pub fn take_leaves(&self) -> u64 {
        self.leaves.swap(0, Ordering::Relaxed)
    }

    fn count(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn count_leaves(&self, leaves: usize) {
        self.count();
        self.leaves.fetch_add(leaves as u64, Ordering::Relaxed);
    }
}

struct Counted<T> {
    calls: Arc<RoundTrips>,
    of: Arc<T>,
}

impl<T: PostingIndex> PostingIndex for Counted<T> {
    fn postings(&self, asks: &[Ask], budget: &mut ReadBudget) -> Result<Vec<Page>, IndexError> {
        self.calls.count();
        PostingIndex::postings(&*self.of, asks, budget)
    }

    fn heads(&self, terms: &[Term]) -> Result<Vec<Option<TermHead>>, IndexError> {
        self.calls.count();
        self.of.heads(terms)
    }

    fn find(&self, ids: &[IdAsk]) -> Result<Vec<Vec<u64>>, IndexError> {
        self.calls.count();
        PostingIndex::find(&*self.of, ids)
    }

    fn first_in(&self, window: Window, range: &Range<u64>) -> Range<u64> {
        PostingIndex::first_in(&*self.of, window, range)
    }

    fn may_have(&self, window: Window, indexes: &[u64]) -> Vec<u64> {
        PostingIndex::may_have(&*self.of, window, indexes)
    }
}

impl<T: LeafStore> LeafStore for Counted<T> {
    fn leaves(&self, at: &[u64]) -> Result<Vec<Vec<u8>>, ReadError> {
        self.calls.count_leaves(at.len());
        self.of.leaves(at)
    }

    fn stored(&self, at: &[u64]) -> Result<Vec<StoredLeaf>, ReadError> {
        self.calls.count_leaves(at.len());
        self.of.stored(at)
    }

    fn each(
        &self,
        range: Range<u64>,
        each: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.calls.count();
        self.of.each(range, each)
    }
}
