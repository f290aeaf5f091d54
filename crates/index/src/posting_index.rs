//! The contract of an index: what whoever asks may count on, whoever keeps the postings.
//!
//! Promises: an answer is a function of the committed entries below the end of the range asked
//! about, whatever was asked together with it and however the postings are kept. Pages come in the
//! order of the asks. A page without [`Page::cut_by`] has all of its range; a cut one has all of it
//! up to [`Page::next`]. One call is one round trip: who has many questions asks them together.
//!
//! ```text
//! durable?     no: an index follows from the entries. What is lost is built again, and whoever
//!              keeps one says up to where it is whole
//! consistent?  each page is: it has every posting that was committed before the call, in its range
//! who retries? the caller, and only what may pass ([`MayPass`]); no implementation retries inside
//! ```
//!
//! Assumes: ranges end at or below what is committed. Terms are keyed hashes: whoever asks confirms
//! each hit at the entry, so that an index may omit, never lie.
//!
//! Refuses: to know what a term means.
//!
//! [`MayPass`]: ledgerline_world::patience::MayPass

use std::ops::Range;

use crate::error::IndexError;
use crate::event_time::Window;
use crate::term::{Term, TermHead};

/// The most candidates that [`PostingIndex::find`] returns for one id.
pub const FIND_MAX: usize = 64;

/// From which end a term's indexes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The first ones, ascending.
    Oldest,
    /// The last ones, descending.
    Newest,
}

/// A page of one term's indexes that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The term.
    pub term: Term,
    /// Only these indexes.
    pub range: Range<u64>,
    /// At most so many.
    pub limit: usize,
    /// From which end.
    pub order: Order,
}

impl Ask {
    /// The first indexes of a range.
    #[must_use]
    pub const fn oldest(term: Term, range: Range<u64>, limit: usize) -> Self {
        Self { term, range, limit, order: Order::Oldest }
    }

    /// The last indexes of a range.
    #[must_use]
    pub const fn newest(term: Term, range: Range<u64>, limit: usize) -> Self {
        Self { term, range, limit, order: Order::Newest }
    }
}

/// The term of a unique id, and the time that its posting was given ([`crate::Posting`]): with it,
/// only what is of that time is looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdAsk {
    /// The term.
    pub term: Term,
    /// Milliseconds of a version 7 UUID.
    pub uuid_millis: Option<u64>,
}

/// What entries are found by. See the module.
pub trait PostingIndex: Send + Sync {
    /// A page for each ask. `budget` is charged for every page as if it had been asked for alone;
    /// when it ends, the pages that it does not reach are cut.
    ///
    /// # Errors
    /// When what may hold one of the terms cannot be read. Then no page is given.
    fn postings(&self, asks: &[Ask], budget: &mut ReadBudget) -> Result<Vec<Page>, IndexError>;

    /// The newest index and the number of entries of each term; none where it has none.
    ///
    /// # Errors
    /// As [`PostingIndex::postings`].
    fn heads(&self, terms: &[Term]) -> Result<Vec<Option<TermHead>>, IndexError>;

    /// The entries that may carry each id, ascending, at most [`FIND_MAX`]: none, or one, and
    /// perhaps others whose hash is the same.
    ///
    /// # Errors
    /// As [`PostingIndex::postings`].
    fn find(&self, ids: &[IdAsk]) -> Result<Vec<Vec<u64>>, IndexError>;

    /// The first part of a range in which entries may have occurred in a window of event time, or
    /// gone on in it; without entries when there is none. Where it is not known when entries
    /// occurred, all of them may have.
    fn first_in(&self, _window: Window, range: &Range<u64>) -> Range<u64> {
        range.clone()
    }

    /// Those of ascending entries that may have occurred in a window, as
    /// [`PostingIndex::first_in`].
    fn may_have(&self, _window: Window, indexes: &[u64]) -> Vec<u64> {
        indexes.to_vec()
    }

    /// One page.
    ///
    /// # Errors
    /// As [`PostingIndex::postings`].
    ///
    /// # Panics
    /// When the implementation gives no page for an ask.
    fn page(&self, ask: Ask, budget: &mut ReadBudget) -> Result<Page, IndexError> {
        let pages = self.postings(&[ask], budget)?;
        Ok(pages.into_iter().next().expect("a page for each ask"))
    }
}

/// How many blocks of about 4 KiB a query may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBudget {
    left: u32,
    spent: u32,
}

impl ReadBudget {
    /// A budget of `reads` block reads.
    #[must_use]
    pub fn new(reads: u32) -> Self {
        Self { left: reads, spent: 0 }
    }

    /// Blocks read so far.
    #[must_use]
    pub fn spent(&self) -> u32 {
        self.spent
    }

    /// Blocks that may still be read.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Takes blocks that were read under another budget; no more than are left.
    pub fn charge(&mut self, reads: u32) {
        let taken = reads.min(self.left);
        self.left -= taken;
        self.spent += taken;
    }

    /// Takes one block; false when none is left.
    pub fn take(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.spent += 1;
        true
    }
}

/// What cut an answer short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The asked-for number of indexes was found, and there are more.
    Limit,
    /// The read budget was spent; there may be more.
    Reads,
}

/// A part of a term's indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The indexes found.
    pub indexes: Vec<u64>,
    /// Where to go on; none when the range is exhausted. Of the oldest: ask for `next..range.end`.
    /// Of the newest: ask for `range.start..next`.
    pub next: Option<u64>,
    /// Why there is a `next`.
    pub cut_by: Option<Bound>,
    /// Blocks that it took.
    pub reads: u32,
}
