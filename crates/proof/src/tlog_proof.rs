//! Proof that one entry is in a log, in one text (C2SP tlog-proof).
//!
//! ```text
//! c2sp.org/tlog-proof@v1\n
//! [extra <base64>\n]            unauthenticated
//! index <n>\n
//! <base64(hash)>\n              inclusion path, the leaf's sibling first; none in a tree of one
//! \n
//! <signed checkpoint>           verbatim
//! ```
//!
//! Promises: [`TlogProof::to_bytes`] gives back exactly what [`TlogProof::parse`] read. The proof
//! brings no keys: who checks it says which log and witnesses to trust.
//! Refuses: paths above 64 hashes, other spellings of numbers and hashes, bad checkpoints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{self, CheckpointError, OpenedCheckpoint, parse_decimal};
use crate::hash::Hash;
use crate::note::{Note, NoteError, VerifierKey};
use crate::tree::{TreeError, check_inclusion};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Longest inclusion path: a tree of 2^64 leaves has 64 levels above its leaves.
const MAX_PATH: usize = 64;

/// A proof for one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Bytes with a meaning to the application. Not authenticated by anything.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry.
    pub index: u64,
    /// Inclusion path, the leaf's sibling first.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub checkpoint: Note,
}

/// A proof that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// The bytes are not a proof.
    #[error("malformed proof: {0}")]
    Malformed(&'static str),
    /// The checkpoint is refused.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The path does not prove the entry.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl From<NoteError> for TlogProofError {
    fn from(error: NoteError) -> Self {
        Self::Checkpoint(error.into())
    }
}

impl TlogProof {
    /// Reads a proof.
    ///
    /// # Errors
    /// [`TlogProofError::Malformed`], [`TlogProofError::Checkpoint`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        let malformed = TlogProofError::Malformed;
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("not UTF-8"))?;
        // The head has no empty line, so the first one ends it; the checkpoint has its own.
        let (head, note) = text.split_once("\n\n").ok_or(malformed("no empty line"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(malformed("unknown header"));
        }
        let extra =
            lines.next_if(|line| line.starts_with("extra ")).map(parse_extra).transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(parse_decimal).ok_or(malformed("no index"))?;
        let path: Vec<Hash> = lines
            .map(|line| Hash::from_base64(line).map_err(|_| malformed("not a hash")))
            .collect::<Result<_, _>>()?;
        if path.len() > MAX_PATH {
            return Err(malformed("path is too long"));
        }
        Ok(Self { extra, index, path, checkpoint: Note::parse(note.as_bytes())? })
    }

    /// The proof as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            head += &format!("extra {}\n", STANDARD.encode(extra));
        }
        head += &format!("index {}\n", self.index);
        for hash in &self.path {
            head += &format!("{}\n", hash.to_base64());
        }
        head.push('\n');
        [head.into_bytes(), self.checkpoint.to_bytes()].concat()
    }

    /// Checks that the entry with this leaf hash is in the log that the known keys speak for.
    /// Returns the checkpoint: how many cosigners are enough is for the caller to say.
    ///
    /// # Errors
    /// [`TlogProofError::Checkpoint`], [`TlogProofError::Tree`].
    pub fn check(
        &self,
        leaf_hash: &Hash,
        known: &[VerifierKey],
    ) -> Result<OpenedCheckpoint, TlogProofError> {
        let opened = checkpoint::open(&self.checkpoint.to_bytes(), known)?;
        let (size, root) = (opened.checkpoint.size(), opened.checkpoint.root());
        check_inclusion(self.index, size, leaf_hash, &self.path, &root)?;
        Ok(opened)
    }
}

fn parse_extra(line: &str) -> Result<Vec<u8>, TlogProofError> {
    let base64 = line.strip_prefix("extra ").unwrap_or(line);
    STANDARD.decode(base64).map_err(|_| TlogProofError::Malformed("extra is not base64"))
}
