//! What is committed: the rooms of readers, and the one place where a snapshot replaces the one
//! before and caches hear of it.
//!
//! Promises: readers see one consistent state, replaced whole. Whoever keeps answers hears of every
//! commit before readers see it ([`CommitObserver`]).
//!
//! Assumes: one thread publishes, in ledger order.
//!
//! Refuses: to write anything, or to know who asks.

use std::any::Any;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use ledgerline_index::{Index, Term, TermHasher};
use ledgerline_journal::end_note::EndNote;
use ledgerline_journal::reader::JournalReader;
use ledgerline_journal::tree_store::TreeStore;
use ledgerline_proof::control::{Control, ControlKind};
use ledgerline_proof::hash::Hash;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_vault::{Vault, VaultError};
use ledgerline_world::disk::Disk;
use ledgerline_world::patience::Patience;

use crate::identity::Identity;
use crate::registry::Registry;

/// Whoever must hear of a commit before readers see it: caches that would go stale.
pub trait CommitObserver: Send + Sync {
    /// A commit that ends at `size` has entries under these terms: chains and aliases of tokens,
    /// without those of mere uses. Called by one thread, in ledger order.
    fn committed(&self, size: u64, terms: &[Term]);
}

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
    /// Waits for what passes.
    pub patience: Arc<Patience>,
    published: RwLock<Arc<Published>>,
    observers: RwLock<Vec<Arc<dyn CommitObserver>>>,
    shared: OnceLock<Arc<dyn Any + Send + Sync>>,
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
            patience,
            published,
            observers: RwLock::default(),
            shared: OnceLock::new(),
        }
    }

    /// The position behind the leaf at `size`: leaves of older origins come first.
    #[must_use]
    pub fn position(&self, size: u64) -> u64 {
        base(&self.predecessors) + size
    }

    /// The newest published state.
    #[must_use]
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells `observer` of every commit from now on.
    pub fn observe(&self, observer: Arc<dyn CommitObserver>) {
        self.observers.write().unwrap_or_else(PoisonError::into_inner).push(observer);
    }

    /// Tells whoever observes of a commit; before [`Rooms::publish`], by the thread that publishes.
    pub fn tell(&self, size: u64, terms: &[Term]) {
        for one in self.observers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            one.committed(size, terms);
        }
    }

    /// What the readers of this ledger share, empty at first: a cache that this module cannot name.
    ///
    /// # Panics
    /// When two types are asked for: there is one.
    #[must_use]
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let shared = self.shared.get_or_init(|| Arc::new(T::default()));
        Arc::clone(shared).downcast().expect("readers share one thing")
    }

    /// Replaces what readers see. For the one thread that makes batches durable.
    pub fn publish(&self, published: Published) {
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

/// The rooms that planning and replay ask: what is committed, without what readers keep.
#[derive(Clone)]
pub struct SequencerRooms {
    /// Finds events and chains.
    pub index: Arc<Index>,
    /// Reads committed leaves.
    pub reader: Arc<JournalReader>,
    /// Opens sealed records, to recognise retries.
    pub vault: Arc<Vault>,
    /// Hashes terms.
    pub terms: Arc<TermHasher>,
    /// Older origins, oldest first.
    pub predecessors: Arc<[Predecessor]>,
    /// Waits for what passes.
    pub patience: Arc<Patience>,
}

/// An older origin, open for readers.
pub struct Predecessor {
    /// What it was.
    pub identity: Identity,
    /// Its rooms; the vault is the ledger's.
    pub rooms: Arc<Rooms>,
    /// The same, as a sequencer asks them.
    pub asked: SequencerRooms,
    /// What lies in its folder.
    pub disk: Arc<dyn Disk>,
    /// Where it ends.
    pub end: EndNote,
}

impl Predecessor {
    /// Leaves that were restored.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.end.size
    }
}

/// Sizes of all older origins together: the position of the newest one's first leaf.
#[must_use]
pub fn base(older: &[Predecessor]) -> u64 {
    older.iter().map(Predecessor::size).sum()
}
