//! The refusals since the last block, so that refusing is no silent way to omit.
//!
//! Promises: every refusal is a leaf of the next block's `refused_root` and counted under its
//! credential and code; memory stays bounded however many there are. A crash loses what was counted
//! since the last block; RECOVERED says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_proof::block::Refusal;
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::tree::Frontier;
use ledgerline_world::clock::Clock;
use ledgerline_world::entropy::{Entropy, random};

/// Most distinct pairs of credential and code between two blocks; further ones share the code
/// `other`.
const MAX_PAIRS: usize = 1024;

/// What a block says about refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalSummary {
    /// How many.
    pub count: u64,
    /// RFC 6962 root over their leaves; SHA-256 of nothing when there are none.
    pub root: Hash,
    /// How many per credential and code.
    pub pairs: Vec<(String, &'static str, u64)>,
}

#[derive(Default)]
struct Book {
    tree: Frontier,
    pairs: BTreeMap<(String, &'static str), u64>,
}

/// Counts refusals. Shared between callers' threads and the sequencer.
pub struct Refusals {
    book: Mutex<Book>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Refusals {
    /// An empty book.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { book: Mutex::default(), clock, entropy }
    }

    /// Counts one. `credential` is empty when the caller was not authenticated.
    pub fn count(&self, credential: &str, code: &'static str) {
        let refusal = Refusal {
            received_at: self.clock.wall_nanos(),
            credential,
            code,
            id: random(self.entropy.as_ref()),
        };
        let leaf = leaf_hash(&encode_object(Kind::Refusal, &refusal));
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.tree.push(leaf);
        let pair = (credential.to_owned(), code);
        let known = book.pairs.len() < MAX_PAIRS || book.pairs.contains_key(&pair);
        let pair = if known { pair } else { (String::new(), "other") };
        *book.pairs.entry(pair).or_default() += 1;
    }

    /// Whether anything was refused since the last [`Refusals::take`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).tree.size() == 0
    }

    /// Closes the book for a block and begins the next.
    #[must_use]
    pub fn take(&self) -> RefusalSummary {
        let book = std::mem::take(&mut *self.book.lock().unwrap_or_else(PoisonError::into_inner));
        RefusalSummary {
            count: book.tree.size(),
            root: book.tree.root(),
            pairs: book.pairs.into_iter().map(|((who, code), n)| (who, code, n)).collect(),
        }
    }
}
