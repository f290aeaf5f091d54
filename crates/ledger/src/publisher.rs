//! The publisher: makes a planned batch durable, then visible, then answers.
//!
//! Promises: the order is commit, sign, tree files, index, effects, view, answers. A checkpoint is
//! signed only after the commit returned ([`signing`] asks for its proof); a reader sees a batch
//! only when it is durable; an answer is given only when readers see it.
//!
//! Assumes: one owner at a time, who hands it batches in the order they were planned.
//!
//! A passing error of what follows the commit is waited for ([`ledgerline_world::patience`]), with
//! the batch in hand. After any other it stops for good: whoever waits is told that nothing is
//! known.

pub mod signing;

use std::sync::Arc;

use ledgerline_index::IndexError;
use ledgerline_journal::commit_store::{CommitBatch, CommitError, Committer};
use ledgerline_journal::leaf_store::ReadError;
use ledgerline_proof::checkpoint::SignError;
use ledgerline_vault::VaultError;
use ledgerline_view::committed::{Published, Rooms};

use crate::publisher::signing::CheckpointSigner;
use crate::sequencer::{Effect, PlannedBatch, WaitingReply};

/// Why the publisher stopped.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// An earlier batch could not be published.
    #[error("the ledger stopped after an earlier failure; restart to recover what is durable")]
    Stopped,
    /// The batch was not committed.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The signer refused: the tree shrank or forked.
    #[error("the checkpoint cannot be signed: {0}")]
    Sign(#[from] SignError),
    /// A derived file could not be written.
    #[error("a derived file cannot be written: {0}")]
    Disk(#[from] std::io::Error),
    /// The index failed.
    #[error("the index failed: {0}")]
    Index(#[from] IndexError),
    /// The vault failed.
    #[error("the vault failed: {0}")]
    Vault(#[from] VaultError),
    /// The journal could not be read back.
    #[error("the journal cannot be read: {0}")]
    Read(#[from] ReadError),
}

/// The room. Owned by whoever has the batch: the sync thread, or the sequencer's for a small one.
pub struct Publisher {
    committer: Committer,
    signer: CheckpointSigner,
    last_signature: Vec<u8>,
    rooms: Arc<Rooms>,
    stopped: bool,
}

impl Publisher {
    /// Continues a store whose last checkpoint has this signature.
    #[must_use]
    pub fn new(
        committer: Committer,
        signer: CheckpointSigner,
        last_signature: Vec<u8>,
        rooms: Arc<Rooms>,
    ) -> Self {
        Self { committer, signer, last_signature, rooms, stopped: false }
    }

    /// Makes a batch durable and visible, and answers those who wait for it. A batch without leaves
    /// only carries answers about what is durable already.
    ///
    /// # Errors
    /// [`PublishError`]: the state is unknown, nothing may be published any more. Those who wait
    /// are told.
    pub fn publish(&mut self, batch: &mut PlannedBatch) -> Result<(), PublishError> {
        let mut replies = std::mem::take(&mut batch.replies);
        // Answers of a batch without leaves may speak of events of the batch that failed.
        let done = match std::mem::replace(&mut self.stopped, true) {
            true => Err(PublishError::Stopped),
            false => self.make_durable(batch),
        };
        match &done {
            Ok(()) => {
                self.stopped = false;
                let checkpoint = self.rooms.published().checkpoint.clone();
                for waiting in &mut replies {
                    waiting.answer.checkpoint = Some(Arc::clone(&checkpoint));
                }
            }
            Err(error) => {
                let why = error.to_string();
                for waiting in &mut replies {
                    waiting.answer.stopped = Some(why.clone());
                }
            }
        }
        replies.into_iter().for_each(WaitingReply::answer);
        done
    }

    fn make_durable(&mut self, batch: &mut PlannedBatch) -> Result<(), PublishError> {
        if batch.leaves.is_empty() {
            return Ok(());
        }
        let signature = std::mem::take(&mut self.last_signature);
        let (committed, placed) = self.committer.commit(&CommitBatch {
            leaves: &batch.leaves,
            root: batch.root,
            streams: batch.streams.as_ref(),
            previous_signature: &signature,
        })?;
        let signed = self.signer.sign(&committed)?;
        self.last_signature = signed.signature.to_vec();
        let first_index = batch.addition.first_index;
        batch.addition.positions = placed.positions;
        let patience = &self.rooms.patience;
        // The batch is durable: what is derived from it is written until it works.
        patience
            .with("the tree's files cannot be written", || self.rooms.store.put(&batch.addition))?;
        if placed.sealed_segment {
            // One that fails costs the next start time, nothing else.
            let _ = self.rooms.store.sync(batch.size);
        }
        self.rooms.index.note_times(first_index, batch.size, &batch.times);
        self.rooms.index.append(first_index, batch.size, &batch.postings);
        self.rooms.tell(batch.size, &batch.changes);
        self.apply_effects(batch)?;
        let note = String::from_utf8(signed.note.to_bytes()).expect("notes are text");
        let checkpoint: Arc<str> = note.into();
        let before = self.rooms.published();
        let ends_block = batch.effects.iter().any(|one| matches!(one, Effect::Block { .. }));
        let (block_size, block_checkpoint) = if ends_block {
            (batch.size, Arc::clone(&checkpoint))
        } else {
            (before.block_size, Arc::clone(&before.block_checkpoint))
        };
        let (size, root) = (batch.size, batch.root);
        self.rooms.publish(Published { size, root, checkpoint, block_size, block_checkpoint });
        Ok(())
    }

    fn apply_effects(&self, batch: &PlannedBatch) -> Result<(), PublishError> {
        const VAULT: &str = "the vault cannot be written";
        let patience = &self.rooms.patience;
        for effect in &batch.effects {
            match effect {
                Effect::Control(index) => {
                    let leaf = usize::try_from(index - batch.addition.first_index);
                    let leaf = &batch.leaves[leaf.expect("the batch is in memory")];
                    patience.with(VAULT, || self.rooms.apply_control(*index, &leaf.bytes))?;
                }
                Effect::Erase(handle) => {
                    patience.with(VAULT, || self.rooms.vault.erase(handle))?;
                }
                Effect::Block { .. } => {}
            }
        }
        Ok(())
    }
}
