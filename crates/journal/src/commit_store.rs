//! The commit seam: where a batch becomes part of the ledger, whatever holds it.
//!
//! ```text
//! publisher ──▶ Committer ──▶ dyn CommitStore   the local journal; later a database, a head cell
//!                   │
//!                   └── Committed ──▶ signer     nothing else can be signed
//! ```
//!
//! Promises: a [`Committed`] exists only of what a store has called durable: [`Committer`] makes it
//! once [`CommitStore::commit`] returned and the store's head is what was committed, recovery makes
//! it of the batches it wrote once more and synced. Its fields are private and it has no public
//! constructor. After any failure a [`Committer`] gives its store nothing more to do.
//!
//! Assumes: one owner, which plans against the head of the store.
//!
//! Refuses: to say "unknown". A store that cannot tell whether a commit took place asks until it
//! knows, or fails; what then stands is decided at the next start, by reading.

use std::io;

use ledgerline_proof::hash::Hash;
use ledgerline_proof::tree::{self, HashReader, TreeError};

use crate::format::JournalLeaf;
use crate::scan::ScannedBatch;
use crate::streams::StreamTable;
use crate::tree_store::Position;

/// Where a store ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreHead {
    /// Size of the ledger.
    pub size: u64,
    /// Root at that size.
    pub root: Hash,
    /// MAC of the last commit.
    pub mac: Hash,
    /// The newest epoch that took the store.
    pub epoch: u64,
}

/// A batch to be committed behind the head.
#[derive(Debug, Clone, Copy)]
pub struct CommitBatch<'b> {
    /// Its leaves, with what travels beside them. Never none.
    pub leaves: &'b [JournalLeaf],
    /// Root with them.
    pub root: Hash,
    /// How far every stream was read, when this batch changes it.
    pub streams: Option<&'b StreamTable>,
    /// Signature of the head's checkpoint.
    pub previous_signature: &'b [u8],
}

/// Where a store put a batch.
#[derive(Debug, Clone, Default)]
pub struct Placed {
    /// Where each leaf's frame begins.
    pub positions: Vec<Position>,
    /// Whether the batch began a new segment, so that the one before is sealed.
    pub sealed_segment: bool,
}

/// Why a batch was not committed. In every case the store is not used again: what it holds is
/// decided by whoever opens it next.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The disk failed. What it holds is unknown until recovery.
    #[error("the journal cannot be written: {0}; restart to recover what is durable")]
    Disk(#[from] io::Error),
    /// An earlier commit failed.
    #[error("the journal stopped after an earlier failure; restart to recover what is durable")]
    Poisoned,
    /// Another writer took the store, or this one never did. Nothing was written.
    #[error("another process writes to this ledger: this one stops without having written")]
    Fenced,
    /// The store broke its contract.
    #[error("the store's head is not what was committed; restart to recover what is durable")]
    OtherHead,
}

/// What makes batches durable, one commit at a time.
///
/// - **Commit point.** A batch is in the ledger from one instant on: when `commit` returns `Ok`,
///   at the latest. It is then durable, whole, with its stream table, and behind everything before.
/// - **Failure.** After an error a batch is there whole or not at all, and the next `open` finds
///   out which; it is never there in part, and nothing that was committed before is touched.
/// - **Retries.** The store does again what it knows to be safe to do again (a shortage, a lost
///   reply that it can ask about). Its caller never does: whoever calls `commit` after an error is
///   told [`CommitError::Poisoned`].
/// - **Epoch.** Whoever wants to write calls `take` with an epoch higher than the head's. A writer
///   that was overtaken is [`CommitError::Fenced`] and writes nothing. How sure that is, the store
///   says: the local journal looks before it writes and relies on the lock of its folder for the
///   instant between.
/// - **Reading.** A store that was just opened has a durable head, and `batches` gives what leads
///   to it. How one is opened is each store's own.
pub trait CommitStore: Send {
    /// Where it ends.
    fn head(&self) -> StoreHead;

    /// How far every stream was read, at the head.
    fn streams(&self) -> &StreamTable;

    /// Begins a run of a writer.
    ///
    /// # Errors
    /// [`CommitError::Fenced`] when `epoch` is not higher than the head's.
    fn take(&mut self, epoch: u64) -> Result<(), CommitError>;

    /// Makes a batch durable.
    ///
    /// # Errors
    /// [`CommitError`].
    fn commit(&mut self, batch: &CommitBatch<'_>) -> Result<Placed, CommitError>;

    /// Hands over, in order, every batch that ends behind size `from`.
    ///
    /// # Errors
    /// Whatever the store says when it cannot be read.
    fn batches(&self, from: u64, visit: &mut dyn FnMut(&ScannedBatch)) -> io::Result<()>;
}

/// Proof that the ledger has this size and root durably. Whoever signs a checkpoint asks for it.
///
/// Nobody outside this crate makes one:
///
/// ```compile_fail,E0451
/// use ledgerline_journal::commit_store::Committed;
/// use ledgerline_proof::hash::Hash;
/// let forged = Committed { size: 1, root: Hash::ZERO };
/// ```
///
/// ```compile_fail,E0624
/// use ledgerline_journal::commit_store::Committed;
/// use ledgerline_proof::hash::Hash;
/// let forged = Committed::new(1, Hash::ZERO);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    size: u64,
    root: Hash,
}

impl Committed {
    pub(crate) fn new(size: u64, root: Hash) -> Self {
        Self { size, root }
    }

    /// Size of the ledger.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root at that size.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The same of an earlier size. `hashes` is not believed: what it says of the earlier tree is
    /// proven to lead to this root.
    ///
    /// # Errors
    /// When the size is not an earlier one, or `hashes` cannot be read or does not fit this root.
    pub fn earlier<R: HashReader>(&self, size: u64, hashes: &R) -> io::Result<Self> {
        let read = |error: tree::ProveError<R::Error>| io::Error::other(error.to_string());
        let path = tree::consistency_path(size, self.size, hashes).map_err(read)?;
        let root = tree::tree_root(size, hashes).map_err(read)?;
        tree::check_consistency(size, self.size, &root, &self.root, &path)
            .map_err(|error: TreeError| io::Error::other(error.to_string()))?;
        Ok(Self { size, root })
    }
}

/// The one who commits: a store, and what its caller may rely on whatever the store is.
pub struct Committer {
    store: Box<dyn CommitStore>,
    poisoned: bool,
}

impl Committer {
    /// Goes on at the head of an opened store.
    #[must_use]
    pub fn new(store: Box<dyn CommitStore>) -> Self {
        Self { store, poisoned: false }
    }

    /// Begins a run of the writer, in the epoch behind the last one. Gives that epoch.
    ///
    /// # Errors
    /// [`CommitError`].
    pub fn take(&mut self) -> Result<u64, CommitError> {
        let epoch = self.store.head().epoch + 1;
        self.at_work(|store| store.take(epoch))?;
        Ok(epoch)
    }

    /// Where the store ends.
    #[must_use]
    pub fn head(&self) -> StoreHead {
        self.store.head()
    }

    /// How far every stream was read, at the head.
    #[must_use]
    pub fn streams(&self) -> &StreamTable {
        self.store.streams()
    }

    /// Proof of the head.
    ///
    /// # Errors
    /// [`CommitError::Poisoned`] after a failure: what is durable is then unknown.
    pub fn committed(&self) -> Result<Committed, CommitError> {
        let StoreHead { size, root, .. } = self.store.head();
        if self.poisoned { Err(CommitError::Poisoned) } else { Ok(Committed::new(size, root)) }
    }

    /// Commits a batch behind the head.
    ///
    /// # Errors
    /// [`CommitError`]; every later call is told that it is poisoned.
    ///
    /// # Panics
    /// When the batch has no leaves.
    pub fn commit(&mut self, batch: &CommitBatch<'_>) -> Result<(Committed, Placed), CommitError> {
        assert!(!batch.leaves.is_empty(), "a commit without leaves would prove nothing");
        let expected = Committed::new(self.head().size + batch.leaves.len() as u64, batch.root);
        self.at_work(|store| {
            let placed = store.commit(batch)?;
            let StoreHead { size, root, .. } = store.head();
            let as_expected = Committed::new(size, root) == expected;
            if as_expected { Ok((expected, placed)) } else { Err(CommitError::OtherHead) }
        })
    }

    /// As [`CommitStore::batches`].
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn batches(&self, from: u64, visit: &mut dyn FnMut(&ScannedBatch)) -> io::Result<()> {
        self.store.batches(from, visit)
    }

    /// Poisoned before it tries, so that also a panic in between leaves it so.
    fn at_work<T>(
        &mut self,
        work: impl FnOnce(&mut dyn CommitStore) -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        if std::mem::replace(&mut self.poisoned, true) {
            return Err(CommitError::Poisoned);
        }
        let done = work(self.store.as_mut())?;
        self.poisoned = false;
        Ok(done)
    }
}
