//! The publisher: makes a planned batch durable, then visible, then answers.
//!
//! Promises: the order is fsync, sign, tree files, index, effects, view, answers. A checkpoint is
//! signed only after the fsync returned; a reader sees a batch only when it is durable; an answer
//! is given only when readers see it.
//!
//! Assumes: one thread owns it and hands it batches in the order they were planned.
//!
//! A passing error of what follows the fsync is waited for ([`crate::patience`]), with the batch in
//! hand. After any other it stops for good: whoever waits is told that nothing is known.

use std::sync::{Arc, PoisonError, RwLock};

use ledgerline_proof::checkpoint::{SignError, Signer};
use ledgerline_proof::control::{Control, ControlKind};
use ledgerline_proof::hash::Hash;
use ledgerline_proof::schema::{Kind, decode_object};

use crate::index::{Index, IndexError};
use crate::journal::reader::{JournalReader, ReadError};
use crate::journal::writer::{AppendError, Journal};
use crate::lineage::Lives;
use crate::origins::{self, Predecessor};
use crate::patience::Patience;
use crate::registry::Registry;
use crate::sequencer::{Effect, PlannedBatch, SequencerRooms, WaitingReply};
use crate::standing::Changes;
use crate::tree_store::TreeStore;
use crate::vault::{Vault, VaultError};

/// What readers see: one consistent state. Replaced whole.
#[derive(Debug, Clone)]
pub struct Published {
    /// Size.
    pub size: u64,
    /// Root.
    pub root: Hash,
    /// The receipt checkpoint at that size, a signed note.
    pub checkpoint: Arc<str>,
    /// Size of the newest block-aligned checkpoint.
    pub block_size: u64,
    /// That checkpoint, the published one.
    pub block_checkpoint: Arc<str>,
}

/// The rooms that readers and the publisher share.
pub struct Rooms {
    /// Finds leaves.
    pub index: Arc<Index>,
    /// Reads leaves.
    pub reader: Arc<JournalReader>,
    /// The stored tree.
    pub store: TreeStore,
    /// Keys.
    pub registry: Arc<Registry>,
    /// Personal keys.
    pub vault: Arc<Vault>,
    /// The deployment that signatures name.
    pub deployment: Arc<str>,
    /// Older origins, oldest first.
    pub predecessors: Arc<[Predecessor]>,
    /// Lives that were judged before.
    pub lives: Arc<Lives>,
    /// Whose standing changed when.
    pub changes: Changes,
    /// Waits for what passes.
    pub patience: Arc<Patience>,
    published: RwLock<Arc<Published>>,
}

impl Rooms {
    /// Puts the rooms together in a first state.
    #[must_use]
    pub fn new(
        rooms: &SequencerRooms,
        registry: Arc<Registry>,
        deployment: Arc<str>,
        published: Published,
    ) -> Self {
        let store = rooms.reader.store().clone();
        let published = RwLock::new(Arc::new(published));
        let SequencerRooms { index, reader, vault, predecessors, patience, .. } = rooms.clone();
        Self {
            index,
            reader,
            store,
            registry,
            vault,
            deployment,
            predecessors,
            lives: Arc::default(),
            changes: Changes::default(),
            patience,
            published,
        }
    }

    /// The position behind the leaf at `size`: leaves of older origins come first.
    #[must_use]
    pub fn position(&self, size: u64) -> u64 {
        origins::base(&self.predecessors) + size
    }

    /// The newest published state.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, published: Published) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(published);
    }

    /// Takes a control leaf into the registry.
    ///
    /// # Errors
    /// When the vault cannot say whether it has the key's secret.
    pub fn apply_control(&self, index: u64, leaf: &[u8]) -> Result<(), VaultError> {
        let Ok(control) = decode_object::<Control<'_>>(Kind::Control, leaf) else { return Ok(()) };
        if let Some(added) = &control.key_added {
            let secret = self.vault.secret(added.key_id)?;
            let lookup = |_: &str| secret.as_ref().map(|secret| secret.to_vec());
            self.registry.add(added, index, &self.deployment, &lookup);
        }
        if let Some(ended) = &control.key_ended {
            let compromised = control.kind == ControlKind::KeyCompromised;
            self.registry.end(ended.key_id, index, compromised);
        }
        Ok(())
    }
}

/// Why the publisher stopped.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// An earlier batch could not be published.
    #[error("the ledger stopped after an earlier failure; restart to recover what is durable")]
    Stopped,
    /// The journal could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
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

/// The room. Owned by the sync thread.
pub struct Publisher {
    journal: Journal,
    signer: Signer,
    last_signature: Vec<u8>,
    rooms: Arc<Rooms>,
    stopped: bool,
}

impl Publisher {
    /// Continues a journal whose last checkpoint has this signature.
    #[must_use]
    pub fn new(
        journal: Journal,
        signer: Signer,
        last_signature: Vec<u8>,
        rooms: Arc<Rooms>,
    ) -> Self {
        Self { journal, signer, last_signature, rooms, stopped: false }
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
        let appended = self.journal.append(&batch.leaves, batch.root, signature)?;
        let signed = self.signer.sign(batch.size, batch.root)?;
        self.last_signature = signed.signature.to_vec();
        let first_index = batch.addition.first_index;
        batch.addition.positions = appended.positions;
        let patience = &self.rooms.patience;
        // The batch is durable: what is derived from it is written until it works.
        patience
            .with("the tree's files cannot be written", || self.rooms.store.put(&batch.addition))?;
        if appended.sealed_segment {
            // One that fails costs the next start time, nothing else.
            let _ = self.rooms.store.sync(batch.size);
        }
        self.rooms.index.append(first_index, batch.size, &batch.postings);
        self.rooms.changes.note(&batch.changes, batch.size);
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
