//! The contract of whoever keeps the leaves of one log: what readers may count on, wherever they
//! lie.
//!
//! Promises: a leaf is handed out only when its hash is the one that the tree has for its index, so
//! that nobody who asks has to look again. Leaves come in the order in which they are asked for.
//! One call is one round trip: who wants many leaves asks for them together.
//!
//! ```text
//! durable?     every leaf below the committed size is, before anybody is told that size
//! consistent?  leaves never change; the sealed record beside one may be zeroed meanwhile
//! who retries? the caller, and only what may pass ([`MayPass`]); no implementation retries inside
//! ```
//!
//! Assumes: the indexes asked for ascend, and are below the committed size.
//!
//! Refuses: to know what a leaf says.

use std::io;
use std::ops::{ControlFlow, Range};

use ledgerline_world::patience::MayPass;

use crate::format::{AttachmentRecord, SealedRecord};

/// Why a leaf cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Disk(#[from] io::Error),
    /// The bytes are not those that the tree commits to.
    #[error("entry {index} is damaged in the journal; run `ledgerline verify`")]
    Damaged {
        /// The entry.
        index: u64,
    },
}

impl MayPass for ReadError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Disk(error) if error.may_pass())
    }
}

/// A leaf with what travels beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredLeaf {
    /// The leaf's bytes.
    pub bytes: Vec<u8>,
    /// Its sealed personal records.
    pub sealed: Vec<SealedRecord>,
    /// Its attachments.
    pub attachments: Vec<AttachmentRecord>,
}

/// The leaves of one log. See the module.
pub trait LeafStore: Send + Sync {
    /// The leaves at ascending indexes.
    ///
    /// # Errors
    /// [`ReadError`], when any of them cannot be read. Then none is given.
    fn leaves(&self, at: &[u64]) -> Result<Vec<Vec<u8>>, ReadError>;

    /// The leaves at ascending indexes, with what travels beside them.
    ///
    /// # Errors
    /// As [`LeafStore::leaves`].
    fn stored(&self, at: &[u64]) -> Result<Vec<StoredLeaf>, ReadError>;

    /// Hands out the leaves of a range, in order, until `each` breaks off. For those who read all
    /// of them: an implementation reads ahead.
    ///
    /// # Errors
    /// As [`LeafStore::leaves`]; what stands before the leaf that cannot be read was handed out.
    fn each(
        &self,
        range: Range<u64>,
        each: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError>;

    /// One leaf.
    ///
    /// # Errors
    /// As [`LeafStore::leaves`].
    fn leaf(&self, at: u64) -> Result<Vec<u8>, ReadError> {
        self.leaves(&[at])?.pop().ok_or(ReadError::Damaged { index: at })
    }
}
