//! How far a file was read: what a restart goes on from.
//!
//! ```text
//! tails/<name>.json
//! {"version":1, "key":"<32 hex>", "saved_at":…, "looked_at":…,
//!  "spots":[{"dev":…,"ino":…,"head_bytes":…,"head":"<64 hex>","offset":…,"line":…}, …],
//!  "replay":[…], "done":[…]}
//! ```
//!
//! A file is known by device and inode and by its head: the HMAC of its first bytes, at most 1,024
//! of those that were read, under a random key of this position, so that no digest of what stands
//! in a log is anywhere. `spots` are the files that are being read, the current one last. `replay`
//! is where reading begins again for the memory of the adapter; `done` are files that were read to
//! their end and how far that was, so that none of them is read again when it is packed, and what
//! a late writer appends is read.
//!
//! Promises: after a crash the file is the one before or the new one.
//!
//! Refuses: a position that cannot be read. It begins anew only when somebody removes it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use ledgerline_api::uuid_text;
use ledgerline_proof::hash::HmacKey;
use serde::{Deserialize, Serialize};

use crate::salts::random;
use crate::state::write_private;

/// Most bytes that a file is known by.
pub const HEAD_BYTES: u64 = 1024;

/// A file, as it is known again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub dev: u64,
    pub ino: u64,
    /// Bytes that the head is of.
    pub head_bytes: u64,
    pub head: String,
}

impl Mark {
    /// Whether both are of one inode.
    pub fn is_of(&self, dev: u64, ino: u64) -> bool {
        self.dev == dev && self.ino == ino
    }
}

/// A place in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spot {
    #[serde(flatten)]
    pub mark: Mark,
    /// Bytes before it.
    pub offset: u64,
    /// Lines before it.
    pub line: u64,
}

/// A file that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    #[serde(flatten)]
    pub mark: Mark,
    /// Where its end was; positions of before do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

/// An end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Bytes before it.
    pub offset: u64,
    /// Lines before it.
    pub line: u64,
}

/// How far a tail is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    version: u8,
    key: String,
    /// Unix seconds.
    pub saved_at: i64,
    /// Unix seconds: when last the current file was read to its end and still stood at the path.
    /// Whatever was written before and is not known was there before the tail. A position that
    /// does not say it is of a moment that nobody knows: then all is looked at again.
    #[serde(default)]
    pub looked_at: i64,
    /// What is being read, the current file last.
    pub spots: Vec<Spot>,
    /// Where the memory of the adapter begins.
    pub replay: Vec<Spot>,
    /// The newest files that were read to their end.
    pub done: Vec<Done>,
}

impl Position {
    /// Of a tail that nobody has read.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> anyhow::Result<Self> {
        let key = uuid_text::hex(&random::<16>()?);
        let (spots, replay, done) = Default::default();
        Ok(Self { version: 1, key, saved_at: 0, looked_at: 0, spots, replay, done })
    }

    /// Reads one; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or is of another version.
    pub fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let named = || path.display().to_string();
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(named),
        };
        let position: Option<Self> = serde_json::from_slice(&bytes).ok();
        let position = position.filter(|one| one.version == 1);
        let why = "is no position: remove it, and the file is read from its beginning, which gives \
                   duplicates";
        position.with_context(|| format!("{} {why}", path.display())).map(Some)
    }

    /// Writes it.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        write_private(path, &serde_json::to_vec(self)?)
    }

    /// The head of bytes.
    pub fn head_of(&self, bytes: &[u8]) -> String {
        HmacKey::new(self.key.as_bytes()).mac(&[bytes]).to_hex()
    }
}
