//! The signing room: the one place that signs checkpoints of this ledger.
//!
//! Promises: what is signed is durable. [`CheckpointSigner::sign`] takes a [`Committed`], which
//! only a commit store and recovery make. Nobody else has the kernel's signer, or a key that signs
//! notes (tidy: `signer`). What the kernel promises holds too: no smaller size, no second root.
//!
//! ```compile_fail,E0308
//! use ledgerline_ledger::publisher::signing::CheckpointSigner;
//! use ledgerline_proof::hash::Hash;
//! fn sign_what_is_planned(signer: &mut CheckpointSigner, size: u64, root: Hash) {
//!     let _ = signer.sign(&(size, root));
//! }
//! ```
//!
//! ```compile_fail,E0451
//! use ledgerline_ledger::publisher::signing::CheckpointSigner;
//! use ledgerline_proof::checkpoint::Signer;
//! fn wrap(signer: Signer) -> CheckpointSigner {
//!     CheckpointSigner { signer }
//! }
//! ```

use ledgerline_journal::commit_store::Committed;
use ledgerline_proof::checkpoint::{SignError, SignedCheckpoint, Signer};
use ledgerline_proof::note::{KeyKind, SignerKey};
use ledgerline_vault::keys::KeyRing;

/// Signs the checkpoints of one log. There is one per open ledger.
#[derive(Debug)]
pub struct CheckpointSigner {
    signer: Signer,
}

impl CheckpointSigner {
    /// The signer of the log with this origin.
    ///
    /// # Errors
    /// [`SignError::Key`] when the key cannot sign checkpoints: its name is none, or too long.
    pub fn new(keys: &KeyRing, origin: &str) -> Result<Self, SignError> {
        let key = SignerKey::from_seed(origin, KeyKind::Ed25519, &keys.log_seed);
        Ok(Self { signer: Signer::new(key.map_err(|_| SignError::Key)?)? })
    }

    /// Signs what is committed.
    ///
    /// # Errors
    /// [`SignError`]; nothing is kept of a refused call.
    pub fn sign(&mut self, committed: &Committed) -> Result<SignedCheckpoint, SignError> {
        self.signer.sign(committed.size(), committed.root())
    }
}
