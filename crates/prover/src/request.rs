//! What is asked of the prover, and why it may have no answer.

use ledgerline_index::IndexError;
use ledgerline_journal::leaf_store::ReadError;
use ledgerline_proof::bundle::BundleError;
use ledgerline_proof::wire::DecodeError;
use ledgerline_vault::OpenError;

/// What is asked of [`super::token_bundle`].
#[derive(Debug, Clone)]
pub struct BundleRequest {
    /// The token's tenant.
    pub tenant: String,
    /// The token id.
    pub token_id: String,
    /// Its other ids, as the ledger joined them: their chains are shown beside its own.
    pub others: Vec<String>,
    /// Whether personal records are opened and put in. The caller has checked that they may be, and
    /// records the disclosure.
    pub disclose: bool,
    /// Size of an earlier checkpoint that the asker holds.
    pub previous_size: Option<u64>,
}

/// What is asked of [`super::event_bundle`].
#[derive(Debug, Clone)]
pub struct EventRequest {
    /// The event's tenant.
    pub tenant: String,
    /// The source that recorded it.
    pub source: String,
    /// Its id.
    pub event_id: [u8; 16],
    /// As in [`BundleRequest`].
    pub disclose: bool,
    /// As in [`BundleRequest`].
    pub previous_size: Option<u64>,
}

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// Nothing was recorded about it.
    #[error("nothing is recorded about it")]
    NotFound,
    /// It is recorded, and no block covers it yet. Ask again after the next block.
    #[error("entry {index} is not yet covered by a published checkpoint (size {size})")]
    NotYetSealed {
        /// Its first entry.
        index: u64,
        /// Size of the newest published checkpoint.
        size: u64,
    },
    /// The earlier checkpoint is newer than the newest published one.
    #[error("size {previous} is beyond the newest published checkpoint (size {size})")]
    PreviousBeyond {
        /// The size asked for.
        previous: u64,
        /// Size of the newest published checkpoint.
        size: u64,
    },
    /// The answer does not fit into one bundle.
    #[error("the answer is too large for one bundle: {0}")]
    TooLarge(BundleError),
    /// The index cannot answer.
    #[error("the index cannot answer: {0}")]
    Index(#[from] IndexError),
    /// A leaf cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A leaf is under no schema of the ledger.
    #[error("entry {index} cannot be read: {error}; run `ledgerline verify`")]
    Unreadable {
        /// The entry.
        index: u64,
        /// Why.
        error: DecodeError,
    },
    /// The stored tree does not answer.
    #[error("the stored tree cannot be read: {0}")]
    Tree(String),
    /// A personal record cannot be opened, and is not known to be erased.
    #[error("a personal record of entry {index} cannot be opened: {error}")]
    Vault {
        /// The entry.
        index: u64,
        /// Why.
        error: OpenError,
    },
}
