//! The note of where an older origin ends.
//!
//! ```text
//! origins/<n>/end      "ledgerline-origin-end-1 " ‖ CRC32C of the JSON, 8 hex digits ‖ " " ‖ JSON
//! origins/moving       the same, until the rooms have moved                        ‖ "\n"
//! <head>/origin-<n>    its `checkpoint`, byte for byte: where the data's disk cannot rewrite it
//! ```
//!
//! Promises: a note is believed as far as the origin's own log key signed its checkpoints; the head
//! store's copy keeps an older checkpoint from taking the place of the newest.

use std::io;

use ledgerline_proof::checkpoint;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::note::VerifierKey;
use ledgerline_world::disk::{Disk, read_whole, replace_durably};
use serde::{Deserialize, Serialize};

/// The note while the rooms move.
pub const MOVING: &str = "origins/moving";
const FORMAT: &str = "ledgerline-origin-end-1";
const MAX_BYTES: u64 = 1 << 20;

/// The folder of origin `number`, 0 the oldest.
#[must_use]
pub fn folder(number: usize) -> String {
    format!("origins/{number}")
}

/// The note of origin `number`.
#[must_use]
pub fn end_path(number: usize) -> String {
    format!("origins/{number}/end")
}

/// Where the head store keeps the last checkpoint of origin `number`.
#[must_use]
pub fn head_path(number: usize) -> String {
    format!("origin-{number}")
}

/// Where an older origin ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndNote {
    /// Its name.
    pub origin: String,
    /// The name of the origin that continues it.
    pub next: String,
    /// Leaves that were restored.
    pub size: u64,
    /// Its checkpoint at that size.
    pub checkpoint: String,
    /// Its checkpoint behind its last block.
    pub block_checkpoint: String,
    /// What the head store knew of it: entries from `size` on are lost.
    pub published: String,
    /// The vault's slots when it ended; those that were free are never given out.
    pub slots: u32,
    /// Bytes that were cut off the restored copy.
    pub torn_bytes: u64,
    /// Their digest.
    pub torn_digest: Option<Hash>,
}

/// Why a note cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndNoteError {
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Disk(#[from] io::Error),
    /// The file is not what was written.
    #[error("{0} does not hold: restore it from a copy")]
    Damaged(String),
}

/// The size of an origin and its root, as its log key signed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Leaves.
    pub size: u64,
    /// The root at that size.
    pub root: Hash,
    /// Leaves up to the last block.
    pub block_size: u64,
}

impl EndNote {
    /// Reads a note.
    ///
    /// # Errors
    /// [`EndNoteError`].
    pub fn read(disk: &dyn Disk, path: &str) -> Result<Self, EndNoteError> {
        let bytes = read_whole(disk, path, MAX_BYTES)?;
        Self::parse(&bytes).ok_or_else(|| EndNoteError::Damaged(path.to_owned()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let (crc, json) = text.strip_prefix(FORMAT)?.strip_prefix(' ')?.split_once(' ')?;
        let holds = crc == format!("{:08x}", crc32c::crc32c(json.as_bytes()));
        holds.then(|| serde_json::from_str(json).ok())?
    }

    /// Writes it durably as [`MOVING`].
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        let json = serde_json::to_string(self)?;
        let crc = crc32c::crc32c(json.as_bytes());
        disk.create_dir("origins")?;
        replace_durably(disk, MOVING, format!("{FORMAT} {crc:08x} {json}\n").as_bytes())
    }

    /// What the log key of the origin that calls itself `origin` signed of its end.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn check(&self, origin: &str, log_key: &str) -> Result<End, &'static str> {
        if *origin != *self.origin {
            return Err("its GENESIS is of another origin");
        }
        let key = VerifierKey::parse(log_key).map_err(|_| "its log key is none")?;
        let open = |note: &str| {
            let opened = checkpoint::open(note.as_bytes(), std::slice::from_ref(&key));
            opened.map_err(|_| "a checkpoint of its end is not signed by its log key")
        };
        let last = open(&self.checkpoint)?.checkpoint;
        let block = open(&self.block_checkpoint)?.checkpoint;
        let published = open(&self.published)?.checkpoint;
        let (size, block_size) = (last.size(), block.size());
        if size != self.size || block_size > size || published.size() <= size {
            return Err("the checkpoints of its end do not fit each other");
        }
        Ok(End { size, root: last.root(), block_size })
    }

    /// How much the head store had seen.
    #[must_use]
    pub fn published_size(&self, log_key: &str) -> Option<u64> {
        let key = VerifierKey::parse(log_key).ok()?;
        let opened = checkpoint::open(self.published.as_bytes(), std::slice::from_ref(&key));
        opened.ok().map(|opened| opened.checkpoint.size())
    }

    /// Whether the head store agrees where origin `number` ends; it may know nothing of it.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn agrees_with(&self, head: &dyn Disk, number: usize) -> io::Result<bool> {
        match read_whole(head, &head_path(number), MAX_BYTES) {
            Ok(bytes) => Ok(bytes == self.checkpoint.as_bytes()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Tells the head store where origin `number` ends.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn tell(&self, head: &dyn Disk, number: usize) -> io::Result<()> {
        replace_durably(head, &head_path(number), self.checkpoint.as_bytes())
    }
}
