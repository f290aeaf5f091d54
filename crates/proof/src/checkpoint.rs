//! Checkpoints (C2SP tlog-checkpoint): the size and root of a log, signed.
//!
//! ```text
//! <origin>\n              scheme-less name of the log, equal to the name of its key
//! <size>\n                decimal without leading zeros
//! <base64(root)>\n
//! [<extension>\n]         read and kept, never written by us
//! ```
//!
//! Promises: `parse(text(c)) == c` and `text(parse(t)) == t`. A [`Signer`] keeps the
//! last size and root it signed, and refuses a smaller size and another root at the same size.
//! Assumes that the caller signs only what is durable, and resumes the signer from its last commit.
//! Refuses: origins above 255 bytes, size 0 with a root that is not the empty root, and, on
//! opening, a note that the log itself (an Ed25519 key named like the origin) did not sign.

use crate::hash::{Hash, empty_root};
use crate::note::{
    KeyKind, Note, NoteError, NoteSignature, SignedBy, SignerKey, VerifierKey, check_key_name,
};

/// Longest origin, in bytes: cosignatures of kind 0x06 give it a one-byte length.
pub const MAX_ORIGIN_BYTES: usize = 255;

/// A checkpoint that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The text is not a checkpoint.
    #[error("malformed checkpoint: {0}")]
    Malformed(&'static str),
    /// The origin cannot name one of our logs.
    #[error("an origin has 1 to 255 bytes, no spaces and no plus sign")]
    Origin,
    /// Size 0 with a root that is not the empty root.
    #[error("the root of size 0 is not the empty root")]
    EmptyRoot,
    /// No known key of the log itself signed it.
    #[error("the log {origin} did not sign the checkpoint")]
    NotSignedByLog {
        /// Origin line.
        origin: String,
    },
    /// The note around it is refused.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// Origin, size and root of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint of one of our logs.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`], [`CheckpointError::EmptyRoot`].
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Self, CheckpointError> {
        if origin.len() > MAX_ORIGIN_BYTES || check_key_name(origin).is_err() {
            return Err(CheckpointError::Origin);
        }
        Self::with_extensions(origin.to_owned(), size, root, Vec::new())
    }

    fn with_extensions(
        origin: String,
        size: u64,
        root: Hash,
        extensions: Vec<String>,
    ) -> Result<Self, CheckpointError> {
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self { origin, size, root, extensions })
    }

    /// Unique name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree of this size.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// Extension lines of a log by others, without their LF. They say nothing to us.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }

    /// The note text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64());
        for line in &self.extensions {
            text += &format!("{line}\n");
        }
        text
    }

    /// Reads a note text. Any origin that is not empty is accepted: other logs have other habits.
    ///
    /// # Errors
    /// [`CheckpointError::Malformed`], [`CheckpointError::EmptyRoot`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let lines = text.strip_suffix('\n').ok_or(CheckpointError::Malformed("cut line"))?;
        let mut lines = lines.split('\n').map(str::to_owned);
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Malformed("fewer than three lines"));
        };
        let extensions: Vec<String> = lines.collect();
        if origin.is_empty() || extensions.iter().any(String::is_empty) {
            return Err(CheckpointError::Malformed("empty line"));
        }
        let size = parse_decimal(&size).ok_or(CheckpointError::Malformed("size"))?;
        let root = Hash::from_base64(&root).map_err(|_| CheckpointError::Malformed("root"))?;
        Self::with_extensions(origin, size, root, extensions)
    }

    /// The signed note again, from a kept signature. It is not checked here.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] when the origin cannot stand in a note.
    pub fn with_signature(
        &self,
        key: &VerifierKey,
        signature: &[u8; 64],
    ) -> Result<Note, NoteError> {
        let mut note = Note::unsigned(&self.text())?;
        note.add(NoteSignature::by(key, signature.to_vec()));
        Ok(note)
    }
}

/// A checkpoint whose log signature was checked, and everyone known who signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// Known keys with a valid signature: the log and perhaps witnesses, with their times.
    pub signed_by: Vec<SignedBy>,
}

impl OpenedCheckpoint {
    /// The cosigners among the known keys, with their times in unix seconds.
    pub fn cosigners(&self) -> impl Iterator<Item = (&VerifierKey, u64)> {
        self.signed_by.iter().filter_map(|by| Some((&by.key, by.time?)))
    }
}

/// Reads and checks a signed checkpoint against the keys the caller trusts.
///
/// # Errors
/// [`CheckpointError`] for a malformed note or text, a bad signature by a known key, or no
/// signature by the log: an Ed25519 key whose name is the origin. A key of one log therefore never
/// vouches for another log.
pub fn open(note: &[u8], known: &[VerifierKey]) -> Result<OpenedCheckpoint, CheckpointError> {
    let note = Note::parse(note)?;
    let signed_by = note.check(known)?;
    let checkpoint = Checkpoint::parse(note.text())?;
    let is_log =
        |key: &VerifierKey| key.kind() == KeyKind::Ed25519 && key.name() == checkpoint.origin;
    if signed_by.iter().any(|by| is_log(&by.key)) {
        Ok(OpenedCheckpoint { checkpoint, signed_by })
    } else {
        Err(CheckpointError::NotSignedByLog { origin: checkpoint.origin })
    }
}

// ---- signing ---------------------------------------------------------------------------------

/// What the signer refuses to sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// A tree does not shrink.
    #[error("refusing to sign size {size} after size {last}")]
    Smaller {
        /// Size asked for.
        size: u64,
        /// Size signed before.
        last: u64,
    },
    /// Two roots at one size: a fork.
    #[error("refusing to sign another root at size {size}")]
    OtherRoot {
        /// Size asked for and signed before.
        size: u64,
    },
    /// The key cannot sign checkpoints: wrong kind, or its name is too long for an origin.
    #[error("key cannot sign checkpoints of a log")]
    Key,
    /// Size 0 with a root that is not the empty root.
    #[error("the root of size 0 is not the empty root")]
    EmptyRoot,
}

/// Signs the checkpoints of one log, whose origin is the name of its key. There is one per log.
#[derive(Debug)]
pub struct Signer {
    key: SignerKey,
    last: Option<(u64, Hash)>,
}

/// A checkpoint and the log's signature of it: enough to write the note again at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// Ed25519 signature of the note text.
    pub signature: [u8; 64],
    /// The signed note.
    pub note: Note,
}

impl Signer {
    /// A signer that has signed nothing yet.
    ///
    /// # Errors
    /// [`SignError::Key`].
    pub fn new(key: SignerKey) -> Result<Self, SignError> {
        let public = key.verifier_key();
        if public.kind() != KeyKind::Ed25519 || public.name().len() > MAX_ORIGIN_BYTES {
            return Err(SignError::Key);
        }
        Ok(Self { key, last: None })
    }

    /// A signer that goes on after its last checkpoint, as after a restart.
    ///
    /// # Errors
    /// As [`Signer::new`].
    pub fn resume(key: SignerKey, size: u64, root: Hash) -> Result<Self, SignError> {
        Ok(Self { last: Some((size, root)), ..Self::new(key)? })
    }

    /// The log's public key; its name is the origin.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        self.key.verifier_key()
    }

    /// Size and root signed last.
    #[must_use]
    pub fn last(&self) -> Option<(u64, Hash)> {
        self.last
    }

    /// Signs a size and root. The same size and root may be signed again: Ed25519 is deterministic,
    /// so the bytes are the same.
    ///
    /// # Errors
    /// [`SignError::Smaller`], [`SignError::OtherRoot`], [`SignError::EmptyRoot`]. Nothing is kept
    /// of a refused call.
    pub fn sign(&mut self, size: u64, root: Hash) -> Result<SignedCheckpoint, SignError> {
        match self.last {
            Some((last, _)) if size < last => return Err(SignError::Smaller { size, last }),
            Some((last, known)) if size == last && root != known => {
                return Err(SignError::OtherRoot { size });
            }
            _ => {}
        }
        let key = self.key.verifier_key();
        let checkpoint = Checkpoint::new(key.name(), size, root);
        let checkpoint = checkpoint.map_err(|_| SignError::EmptyRoot)?;
        let signature = self.key.sign(checkpoint.text().as_bytes());
        let note = checkpoint.with_signature(key, &signature);
        let note = note.expect("an origin that is a key name can stand in a note");
        self.last = Some((size, root));
        Ok(SignedCheckpoint { checkpoint, signature, note })
    }
}

/// A decimal u64 in its one spelling: no sign, no leading zeros.
pub(crate) fn parse_decimal(digits: &str) -> Option<u64> {
    let canonical = digits == "0" || !digits.starts_with('0');
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && all_digits { digits.parse().ok() } else { None }
}
