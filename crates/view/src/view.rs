//! A view: a consistent snapshot of what is committed, for readers.
//!
//! Promises: every answer of one view is about the same size, names its checkpoint, and shows only
//! leaves whose hashes the tree has. Every hit of the index is confirmed at the entry. Every query
//! has a read budget and says which bound cut it.
//!
//! Assumes: the caller checked who may see the tenant.

use std::borrow::Cow;
use std::sync::Arc;

use ledgerline_index::terms::{event_term, leaf_terms};
use ledgerline_index::{
    Ask, Bound, IdAsk, IndexError, Page, PostingIndex, ReadBudget, TermHasher, TermKind,
};
use ledgerline_journal::format::AttachmentRecord;
use ledgerline_journal::leaf_store::{LeafStore, ReadError, StoredLeaf};
use ledgerline_proof::block::Block;
use ledgerline_proof::decode::read_event;
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::schema::Leaf;
use ledgerline_proof::tile::{TileAddress, TileKind, encode_bundle};
use ledgerline_proof::tree;

use crate::address::{AsOf, EntryRef, LogId, Logs, log_id};
use crate::committed::{Predecessor, Published, Rooms};
use crate::identity::Identity;

/// Index blocks one query may read.
const QUERY_READS: u32 = 4096;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The index failed.
    #[error("the index cannot answer: {0}")]
    Index(#[from] IndexError),
    /// The journal failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Disk(#[from] std::io::Error),
    /// The question asks beyond the ledger.
    #[error("{0}")]
    OutOfRange(&'static str),
    /// The read budget was spent.
    #[error("the answer needs more reads than one query may make; narrow the question")]
    Budget,
}

/// Which part of a long answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Only entries behind this one.
    pub after: Option<EntryRef>,
    /// At most so many.
    pub limit: usize,
}

/// One event of a life.
#[derive(Debug, Clone)]
pub struct EventView {
    /// The origin that holds it.
    pub origin: Arc<str>,
    /// Its index there.
    pub index: u64,
    /// Its address.
    pub at: EntryRef,
    /// Its event hash.
    pub event_hash: Hash,
    /// The leaf, which decodes as an entry.
    pub leaf: Vec<u8>,
    /// Its personal records: which slot sealed each, and whether it was erased.
    pub sealed: Vec<SealedView>,
    /// Digests of the attachments beside it.
    pub attachments: Vec<Hash>,
    /// Whether the newest block covers it, so that the published checkpoint proves it.
    pub in_block: bool,
}

/// A sealed personal record, unopened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedView {
    /// Which commitment of the statement it opens.
    pub n: u8,
    /// The slot.
    pub slot: [u8; 16],
    /// Whether its key or its bytes are gone.
    pub erased: bool,
}

/// A block.
#[derive(Debug, Clone)]
pub struct BlockView {
    /// Index of the block entry.
    pub index: u64,
    /// Its event hash.
    pub event_hash: Hash,
    /// What it says.
    pub block: Block,
}

/// A proof that a leaf is in the tree of a signed checkpoint.
#[derive(Debug, Clone)]
pub struct InclusionProof {
    /// The leaf's index.
    pub index: u64,
    /// Size of the tree.
    pub size: u64,
    /// Sibling hashes, leaf upwards.
    pub path: Vec<Hash>,
    /// The signed checkpoint of that size.
    pub checkpoint: Arc<str>,
}

/// A committed state. Cheap to clone.
#[derive(Clone)]
pub struct View {
    rooms: Arc<Rooms>,
    terms: Arc<TermHasher>,
    identity: Identity,
    published: Arc<Published>,
    postings: Arc<dyn PostingIndex>,
    leaves: Arc<dyn LeafStore>,
    /// The older origins of the ledger: its own, and those behind it where it is one itself.
    all_older: Arc<[Predecessor]>,
    log: LogId,
}

impl View {
    /// The newest state of these rooms.
    #[must_use]
    pub fn new(rooms: Arc<Rooms>, terms: Arc<TermHasher>, identity: Identity) -> Self {
        let published = rooms.published();
        let all_older = Arc::clone(&rooms.predecessors);
        let log = log_id(all_older.len());
        let postings: Arc<dyn PostingIndex> = Arc::clone(&rooms.index) as _;
        let leaves: Arc<dyn LeafStore> = Arc::clone(&rooms.reader) as _;
        Self { rooms, terms, identity, published, postings, leaves, all_older, log }
    }

    /// The same state, read through another index and another store of leaves.
    #[must_use]
    pub fn through(self, postings: Arc<dyn PostingIndex>, leaves: Arc<dyn LeafStore>) -> Self {
        Self { postings, leaves, ..self }
    }

    /// What its entries are found by.
    #[must_use]
    pub fn postings(&self) -> &dyn PostingIndex {
        &*self.postings
    }

    /// One page of one term.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn page(&self, ask: Ask, budget: &mut ReadBudget) -> Result<Page, QueryError> {
        Ok(self.postings.page(ask, budget)?)
    }

    /// Its leaves.
    #[must_use]
    pub fn leaf_store(&self) -> &dyn LeafStore {
        &*self.leaves
    }

    /// Every origin as a view of its own, oldest first; the last one is this.
    #[must_use]
    pub fn origins(&self) -> Vec<Self> {
        let older = self.older().iter().enumerate();
        older.map(|(row, one)| self.of_older(row, one)).chain([self.clone()]).collect()
    }

    /// The origins before this one, oldest first.
    pub(crate) fn older(&self) -> &[Predecessor] {
        &self.all_older[..self.log.row()]
    }

    /// An older origin as a view of its own.
    fn of_older(&self, row: usize, one: &Predecessor) -> Self {
        let view = Self::new(Arc::clone(&one.rooms), Arc::clone(&self.terms), one.identity.clone());
        Self { all_older: Arc::clone(&self.all_older), log: log_id(row), ..view }
    }

    /// Whether this is an origin that another one continues.
    #[must_use]
    pub fn is_older(&self) -> bool {
        self.log.row() < self.all_older.len()
    }

    /// The origin of this name.
    #[must_use]
    pub fn of_origin(&self, name: &str) -> Option<Self> {
        self.origins().into_iter().find(|one| &*one.identity.origin == name)
    }

    /// Size.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.published.size
    }

    /// How far it reaches: the size of every log.
    #[must_use]
    pub fn as_of(&self) -> AsOf {
        self.up_to(self.size())
    }

    /// What is seen when the older logs are and so many entries of this one.
    #[must_use]
    pub fn up_to(&self, size: u64) -> AsOf {
        let older = self.older().iter().map(Predecessor::size);
        AsOf::new(older.chain([size]))
    }

    /// What is seen when the older logs are and what the published checkpoint covers.
    #[must_use]
    pub fn published_as_of(&self) -> AsOf {
        self.up_to(self.published_size())
    }

    /// The origin of a row, this one for a row that it does not know.
    #[must_use]
    pub fn of_log(&self, log: LogId) -> Cow<'_, Self> {
        match self.older().get(log.row()) {
            Some(one) => Cow::Owned(self.of_older(log.row(), one)),
            None => Cow::Borrowed(self),
        }
    }

    /// Its row.
    #[must_use]
    pub const fn log(&self) -> LogId {
        self.log
    }

    /// The table of logs: every origin's, oldest first; the last one is this.
    #[must_use]
    pub fn logs(&self) -> Logs {
        let older = self.older().iter().map(|one| &*one.identity.origin);
        Logs::new(older.chain([&*self.identity.origin]))
    }

    /// The address of one of this origin's entries.
    #[must_use]
    pub const fn entry(&self, index: u64) -> EntryRef {
        EntryRef { log: self.log, index }
    }

    /// Root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.published.root
    }

    /// What the ledger is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The rooms, for provers.
    #[must_use]
    pub fn rooms(&self) -> &Arc<Rooms> {
        &self.rooms
    }

    /// Hashes terms, for provers.
    #[must_use]
    pub fn terms(&self) -> &Arc<TermHasher> {
        &self.terms
    }

    /// The receipt checkpoint at [`View::size`].
    #[must_use]
    pub fn checkpoint(&self) -> Arc<str> {
        Arc::clone(&self.published.checkpoint)
    }

    /// The newest published checkpoint, which is block-aligned.
    #[must_use]
    pub fn published(&self) -> Arc<str> {
        Arc::clone(&self.published.block_checkpoint)
    }

    /// Size of the newest published checkpoint.
    #[must_use]
    pub fn published_size(&self) -> u64 {
        self.published.block_size
    }

    /// A tile or entry bundle; `None` when there is none of that address and width in this state.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn tile(&self, address: &TileAddress) -> Result<Option<Vec<u8>>, QueryError> {
        if !address.exists_in(self.size()) {
            return Ok(None);
        }
        let width = usize::from(address.width());
        match address.kind() {
            TileKind::Hashes(level) => {
                Ok(Some(self.rooms.store.read_run(level, address.index() * 256, width)?))
            }
            TileKind::Entries => {
                let first = address.index() * 256;
                let at: Vec<u64> = (first..first + width as u64).collect();
                let bundle = encode_bundle(&self.leaves.leaves(&at)?).map_err(|_| {
                    QueryError::OutOfRange("an entry of the bundle is longer than 65,535 bytes")
                })?;
                Ok(Some(bundle))
            }
        }
    }

    /// A leaf's bytes.
    ///
    /// # Errors
    /// [`QueryError`]; `OutOfRange` at or beyond the size.
    pub fn leaf(&self, index: u64) -> Result<Vec<u8>, QueryError> {
        self.check_index(index)?;
        Ok(self.leaves.leaf(index)?)
    }

    /// The leaves at ascending indexes, with what travels beside them.
    ///
    /// # Errors
    /// As [`View::leaf`].
    pub fn stored(&self, at: &[u64]) -> Result<Vec<StoredLeaf>, QueryError> {
        at.last().map_or(Ok(()), |last| self.check_index(*last))?;
        Ok(self.leaves.stored(at)?)
    }

    fn check_index(&self, index: u64) -> Result<(), QueryError> {
        if index < self.size() {
            Ok(())
        } else {
            Err(QueryError::OutOfRange("the ledger has no entry at this index yet"))
        }
    }

    /// The origin that holds an event, and the event's index there.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn locate_event(
        &self,
        tenant: &str,
        source: &str,
        event_id: &[u8; 16],
    ) -> Result<Option<(Self, u64)>, QueryError> {
        for view in self.origins().into_iter().rev() {
            if let Some(index) = view.find_event(tenant, source, event_id)? {
                return Ok(Some((view, index)));
            }
        }
        Ok(None)
    }

    /// The index of an event of this origin, by its identity.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn find_event(
        &self,
        tenant: &str,
        source: &str,
        event_id: &[u8; 16],
    ) -> Result<Option<u64>, QueryError> {
        let term = event_term(&self.terms, tenant, source, event_id);
        let millis = ledgerline_proof::event_id::uuid_v7_millis(event_id);
        let id = IdAsk { term, uuid_millis: millis };
        for index in self.postings.find(&[id])?.into_iter().flatten() {
            if index >= self.size() {
                continue;
            }
            let leaf = self.leaves.leaf(index)?;
            let same = read_event(&leaf, |_, statement| {
                statement.tenant == tenant
                    && statement.source == source
                    && statement.event_id == *event_id
            });
            if same == Some(true) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// One event. `None` when the leaf at `index` is not an event.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn event(&self, index: u64) -> Result<Option<EventView>, QueryError> {
        self.check_index(index)?;
        Ok(self.stored(&[index])?.pop().and_then(|stored| self.event_view(index, stored)))
    }

    /// The event of a leaf that was read; `None` when it is none.
    #[must_use]
    pub fn event_view(&self, index: u64, stored: StoredLeaf) -> Option<EventView> {
        read_event(&stored.bytes, |_, _| ())?;
        let sealed = stored.sealed.iter().map(|one| SealedView {
            n: one.n,
            slot: one.slot,
            erased: one.erased || self.rooms.vault.is_erased(&one.slot),
        });
        let sealed = sealed.collect();
        let attachments = stored.attachments.iter().map(|one| one.digest).collect();
        let event_hash = leaf_hash(&stored.bytes);
        let in_block = index < self.published.block_size;
        Some(EventView {
            origin: Arc::clone(&self.identity.origin),
            index,
            at: self.entry(index),
            event_hash,
            leaf: stored.bytes,
            sealed,
            attachments,
            in_block,
        })
    }

    /// Whether an older origin stands behind this one.
    #[must_use]
    pub fn has_older(&self) -> bool {
        !self.older().is_empty()
    }

    /// Blocks below a height, newest first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn blocks(&self, below: Option<u64>, limit: usize) -> Result<Vec<BlockView>, QueryError> {
        let term = self.terms.term(TermKind::Leaf, "", &[leaf_terms::BLOCK]);
        let mut blocks = Vec::new();
        let mut end = self.size();
        while blocks.len() < limit && end > 0 {
            let mut budget = ReadBudget::new(QUERY_READS);
            let ask = Ask::newest(term, 0..end, 256);
            let page = self.page(ask, &mut budget)?;
            if page.indexes.is_empty() && page.cut_by == Some(Bound::Reads) {
                return Err(QueryError::Budget);
            }
            let Some(oldest) = page.indexes.last() else { break };
            end = *oldest;
            let mut indexes = page.indexes;
            indexes.reverse();
            let leaves = self.leaves.leaves(&indexes)?;
            for (index, leaf) in indexes.into_iter().zip(leaves).rev() {
                let Ok(Leaf::Block(block)) = Leaf::decode(&leaf) else { continue };
                let wanted = below.is_none_or(|below| block.height.cast_unsigned() < below);
                if wanted && blocks.len() < limit {
                    blocks.push(BlockView { index, event_hash: leaf_hash(&leaf), block });
                }
            }
        }
        Ok(blocks)
    }

    /// Proves a leaf under the newest checkpoint that holds it: the published one, or else the
    /// receipt's.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn proof(&self, index: u64) -> Result<InclusionProof, QueryError> {
        self.check_index(index)?;
        let (size, checkpoint) = if index < self.published.block_size {
            (self.published.block_size, self.published())
        } else {
            (self.size(), self.checkpoint())
        };
        let path = tree::inclusion_path(index, size, &self.rooms.store).map_err(prove_error)?;
        Ok(InclusionProof { index, size, path, checkpoint })
    }

    /// Proves that the tree of `old` leaves is a prefix of this one: the path, and the new size.
    ///
    /// # Errors
    /// [`QueryError`]; `OutOfRange` when `old` is larger.
    pub fn consistency(&self, old: u64) -> Result<(Vec<Hash>, u64), QueryError> {
        let size = self.size();
        if old > size {
            return Err(QueryError::OutOfRange("the old size lies beyond the ledger's size"));
        }
        let path = tree::consistency_path(old, size, &self.rooms.store).map_err(prove_error)?;
        Ok((path, size))
    }

    /// The attachment with this digest beside the event at `index`.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn attachment(
        &self,
        index: u64,
        digest: &Hash,
    ) -> Result<Option<AttachmentRecord>, QueryError> {
        self.check_index(index)?;
        let attachments = self.stored(&[index])?.into_iter().flat_map(|one| one.attachments);
        Ok(attachments.into_iter().find(|one| one.digest == *digest))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`, which gives it away")]
fn prove_error<E: std::fmt::Display>(error: tree::ProveError<E>) -> QueryError {
    QueryError::Disk(std::io::Error::other(error.to_string()))
}
