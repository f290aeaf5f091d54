//! The head store: the newest checkpoint, kept where the journal's disk cannot rewrite it.
//!
//! Promises: [`HeadStore::write`] returns when the checkpoint is durable; a crash leaves the old or
//! the new one. Assumes a disk of its own for the promise to detect truncation and old copies; on
//! the same disk it detects accidents only (docs/explanation/trust.md).

use std::io;
use std::sync::Arc;

use ledgerline_proof::checkpoint;
use ledgerline_proof::note::VerifierKey;
use ledgerline_world::disk::{Disk, read_whole, replace_durably};

use crate::recovery::Head;

const PATH: &str = "checkpoint";
const MAX_BYTES: u64 = 64 << 10;

/// Keeps one signed note.
#[derive(Clone)]
pub struct HeadStore {
    disk: Arc<dyn Disk>,
}

/// Why the head cannot be taken for a head.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The disk failed.
    #[error("the head store cannot be read: {0}")]
    Disk(#[from] io::Error),
    /// It is not a checkpoint of this log.
    #[error("the head store does not hold a checkpoint signed by this log: {0}")]
    NotOurs(String),
}

impl HeadStore {
    /// The store on a disk of its own.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk }
    }

    /// The note kept, unjudged; `None` when there is none yet.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn note(&self) -> io::Result<Option<Vec<u8>>> {
        match read_whole(self.disk.as_ref(), PATH, MAX_BYTES) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Size and root of the checkpoint kept, its signature checked.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn head(&self, log_key: &VerifierKey) -> Result<Option<Head>, HeadError> {
        let Some(note) = self.note()? else { return Ok(None) };
        let opened = checkpoint::open(&note, std::slice::from_ref(log_key))
            .map_err(|error| HeadError::NotOurs(error.to_string()))?;
        Ok(Some((opened.checkpoint.size(), opened.checkpoint.root())))
    }

    /// Replaces the checkpoint kept.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn write(&self, note: &[u8]) -> io::Result<()> {
        replace_durably(self.disk.as_ref(), PATH, note)
    }
}
