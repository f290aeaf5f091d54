//! Cosignatures of checkpoints by witnesses (C2SP tlog-cosignature, Ed25519 kind 0x04).
//!
//! ```text
//! signature field = u64 big-endian unix seconds || 64-byte Ed25519 signature
//! signed message  = "cosignature/v1\n" || "time <seconds>\n" || whole note text
//! ```
//!
//! It says: at this time, this was the largest consistent tree of this origin that the cosigner had
//! seen. The time is passed in; this crate has no clock.
//! Assumes that the caller has checked consistency and stored the new size before cosigning.
//! Refuses times above 2^63 - 1 and keys of another kind. [`Note::check`] verifies cosignatures.

use crate::checkpoint::Checkpoint;
use crate::note::{KeyKind, Note, NoteError, NoteSignature, SignerKey, cosigned_text};

pub use crate::note::MAX_COSIGNATURE_TIME as MAX_TIME;

/// Cosigns a checkpoint at a time in unix seconds, with a key of kind [`KeyKind::CosignatureV1`].
/// The result is one more line for the note ([`Note::add`]).
///
/// # Errors
/// [`NoteError::MalformedKey`] for a key of another kind, [`NoteError::Malformed`] for a time above
/// [`MAX_TIME`].
pub fn cosign(
    key: &SignerKey,
    checkpoint: &Checkpoint,
    time: u64,
) -> Result<NoteSignature, NoteError> {
    if key.verifier_key().kind() != KeyKind::CosignatureV1 {
        return Err(NoteError::MalformedKey("not a cosigner key"));
    }
    if time > MAX_TIME {
        return Err(NoteError::Malformed("time of a cosignature is above 2^63 - 1"));
    }
    let signature = key.sign(cosigned_text(&checkpoint.text(), time).as_bytes());
    let field = [time.to_be_bytes().as_slice(), signature.as_slice()].concat();
    Ok(NoteSignature::by(key.verifier_key(), field))
}

/// Adds the cosignature of `key` to a note that is a checkpoint.
///
/// # Errors
/// As [`cosign`], and [`NoteError::Malformed`] when the text is no checkpoint.
pub fn cosign_note(note: &mut Note, key: &SignerKey, time: u64) -> Result<(), NoteError> {
    let checkpoint = Checkpoint::parse(note.text());
    let checkpoint = checkpoint.map_err(|_| NoteError::Malformed("not a checkpoint"))?;
    note.add(cosign(key, &checkpoint, time)?);
    Ok(())
}
