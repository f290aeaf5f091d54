//! Opening a ledger: creates it in an empty folder, or recovers what a stop of any kind left.
//!
//! Promises: after it returns, everything that was ever acknowledged is in the ledger, readers see
//! it, and the rooms agree. What is derived (tree files, index, the vault's map) is redone from the
//! journal as far as it lags behind.
//!
//! Refuses: to go on when committed bytes are damaged, when the head store has seen more than the
//! journal holds, or when keys are missing. Unknown state means stop.

mod genesis;
pub mod predecessors;
pub mod reindex;
pub mod replay;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use crate::opening::genesis::control;

use ledgerline_index::terms::leaf_terms;
use ledgerline_index::{
    Index, IndexConfig, IndexError, ReadBudget, TermHasher, TermHead, TermKind,
};
use ledgerline_journal::commit_store::{CommitError, Committer};
use ledgerline_journal::end_note::EndNoteError;
use ledgerline_journal::erasure;
use ledgerline_journal::head_store::{HeadError, HeadStore};
use ledgerline_journal::leaf_store::ReadError;
use ledgerline_journal::quarantine::Quarantine;
use ledgerline_journal::reader::JournalReader;
use ledgerline_journal::recovery::{self, Head, RecoverError, Recovered as Journaled};
use ledgerline_journal::scan::ScannedBatch;
use ledgerline_journal::streams::StreamTable;
use ledgerline_journal::tree_store::TreeStore;
use ledgerline_journal::writer::Journal;
use ledgerline_proof::block_builder::BlockState;
use ledgerline_proof::control::{Control, ControlKind, Recovered};
use ledgerline_proof::hash::{Hash, HmacKey, leaf_hash};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::note::{KeyKind, NoteError, VerifierKey};
use ledgerline_proof::schema::Leaf;
use ledgerline_proof::tree::Frontier;
use ledgerline_vault::keys::KeyRing;
use ledgerline_vault::{Vault, VaultError};
use ledgerline_view::committed::{Published, Rooms, SequencerRooms, base};
use ledgerline_view::identity::{
    Identity, IdentityError, PredecessorRef, identity_of, read_genesis,
};
use ledgerline_view::registry::Registry;
use ledgerline_world::clock::Clock;
use ledgerline_world::disk::Disk;
use ledgerline_world::entropy::{Entropy, random};

use crate::intake::{Intake, IntakeLimits, IntakeParts};
use crate::opening::genesis::plan_genesis;
use crate::opening::reindex::building;
use crate::opening::replay::{Replay, Replayed, ends_in_block};
use crate::publisher::signing::CheckpointSigner;
use crate::publisher::{PublishError, Publisher};
use crate::refusals::Refusals;
use crate::sequencer::{PlanError, Sequencer, SequencerState};

/// What a ledger is configured with.
#[derive(Debug, Clone)]
pub struct LedgerConfig {
    /// The deployment that producers' signatures name. Used at creation.
    pub deployment: String,
    /// The checkpoint origin, also the log key's name. Used at creation.
    pub origin: String,
    /// Nominal bytes of a journal segment.
    pub segment_bytes: u64,
    /// The index's ranges.
    pub index: IndexConfig,
    /// Vault slots kept ready.
    pub vault_slots: usize,
    /// Limits of one request.
    pub limits: IntakeLimits,
    /// Sources whose events are refused when they violate the lifecycle of their token.
    pub strict_sources: Vec<String>,
    /// Other deployments whose statements are told apart from forged ones.
    pub sibling_deployments: Vec<String>,
    /// The operator's consent to continue a copy that the head store is ahead of, under this name.
    /// Without meaning once the ledger has that name.
    pub new_origin: Option<String>,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self {
            deployment: "default".into(),
            origin: "ledgerline.local/default".into(),
            segment_bytes: 256 << 20,
            index: IndexConfig::default(),
            vault_slots: 1024,
            limits: IntakeLimits::default(),
            strict_sources: Vec::new(),
            sibling_deployments: Vec::new(),
            new_origin: None,
        }
    }
}

/// The world a ledger lives in.
#[derive(Clone)]
pub struct World {
    /// The data directory.
    pub disk: Arc<dyn Disk>,
    /// The head store's disk.
    pub head_disk: Arc<dyn Disk>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Keys from outside the data directory.
    pub keys: Arc<KeyRing>,
}

/// A ledger, open, as rooms without threads.
pub struct Opened {
    /// What readers use.
    pub rooms: Arc<Rooms>,
    /// Takes bodies.
    pub intake: Arc<Intake>,
    /// Plans.
    pub sequencer: Sequencer,
    /// Makes durable.
    pub publisher: Publisher,
    /// Refusals since the last block.
    pub refusals: Arc<Refusals>,
    /// The head store.
    pub head: HeadStore,
    /// Hashes terms.
    pub terms: Arc<TermHasher>,
    /// Facts that never change.
    pub identity: Identity,
    /// Whether the ledger was created just now.
    pub created: bool,
    /// How far every stream was read: where a connector goes on.
    pub streams: StreamTable,
}

/// Why a ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Disk(#[from] std::io::Error),
    /// The journal cannot be continued.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The head store does not fit.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The vault does not fit.
    #[error("the vault cannot be opened: {0}")]
    Vault(#[from] VaultError),
    /// The index failed.
    #[error("the index cannot be opened: {0}")]
    Index(#[from] IndexError),
    /// The journal could not be read back.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The first batch could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The first batch could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The first plan failed.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The origin cannot be a key name.
    #[error("`origin` cannot name a log: {0}")]
    Origin(#[from] NoteError),
    /// The genesis leaf is not readable or was made with another log key.
    #[error("{0}")]
    Genesis(&'static str),
    /// An older origin cannot be read.
    #[error("the older origin {origin:?} cannot be used: {why}")]
    Predecessor {
        /// Its name, where it is known.
        origin: String,
        /// What is wrong.
        why: String,
    },
    /// The new origin's name or moment is not one.
    #[error("no new origin can begin: {0}")]
    NewOrigin(String),
    /// A new origin was asked for, but nothing is lost.
    #[error(
        "no new origin is needed: the head store has seen {}, the journal holds {size} entries; \
         start without `new_origin`",
        head.map_or_else(|| "nothing".to_owned(), |head| format!("{head} entries"))
    )]
    NotBehind {
        /// Size of the journal.
        size: u64,
        /// Size in the head store.
        head: Option<u64>,
    },
}

impl From<IdentityError> for OpenError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Disk(error) => Self::Disk(error),
            IdentityError::Genesis(what) => Self::Genesis(what),
        }
    }
}

impl From<EndNoteError> for OpenError {
    fn from(error: EndNoteError) -> Self {
        match error {
            EndNoteError::Disk(error) => Self::Disk(error),
            EndNoteError::Damaged(_) => {
                Self::Predecessor { origin: String::new(), why: error.to_string() }
            }
        }
    }
}

/// Opens the ledger in `world`, creating it when the disk holds none.
///
/// # Errors
/// [`OpenError`].
pub fn open(world: &World, config: &LedgerConfig) -> Result<Opened, OpenError> {
    let disk = world.disk.as_ref();
    predecessors::finish(&world.disk)?;
    let exists = disk.list("journal")?.iter().any(|name| name.ends_with(".seg"));
    let named = predecessors::ends(disk)?.pop().map(|end| end.next);
    match (&config.new_origin, exists) {
        (Some(wanted), true) => {
            let (header, leaf) = read_genesis(disk)?;
            if *identity_of(&header, &leaf)?.origin == **wanted {
                return recover(world, config, false);
            }
            predecessors::begin(world, config, wanted)?;
            predecessors::finish(&world.disk)?;
            create(world, config)
        }
        (Some(wanted), false) if named.as_ref() != Some(wanted) => {
            let what = named.map_or_else(
                || "there is no ledger to continue".to_owned(),
                |name| format!("one named {name:?} has begun: start with that name, or without"),
            );
            Err(OpenError::NewOrigin(what))
        }
        (None, true) => recover(world, config, false),
        (_, false) => create(world, config),
    }
}

/// As [`open`], of a ledger that exists and whose runs are built on a thread of their own.
pub(crate) fn open_building(world: &World, config: &LedgerConfig) -> Result<Opened, OpenError> {
    predecessors::finish(&world.disk)?;
    recover(world, config, true)
}

fn journal_key(world: &World) -> Arc<HmacKey> {
    Arc::new(HmacKey::new(&world.keys.journal))
}

/// The public half of the key that signs the checkpoints of an origin.
pub(crate) fn log_key(world: &World, origin: &str) -> Result<VerifierKey, NoteError> {
    VerifierKey::of_seed(origin, KeyKind::Ed25519, &world.keys.log_seed)
}

/// GENESIS, a SCHEMA each, block 0: commit 0. Behind an older origin also what it hands on.
fn create(world: &World, config: &LedgerConfig) -> Result<Opened, OpenError> {
    let head = HeadStore::new(Arc::clone(&world.head_disk));
    let end = predecessors::ends(world.disk.as_ref())?.pop();
    let known = head.note()?;
    if known.is_some() && known != end.as_ref().map(|end| end.published.clone().into_bytes()) {
        let why = "the head store knows a ledger but the data directory holds none: restore it, or \
                   name another head store";
        return Err(OpenError::Genesis(why));
    }
    let origin = end.as_ref().map_or(&config.origin, |end| &end.next);
    let log_key = log_key(world, origin)?;
    let ledger_id = random(world.entropy.as_ref());
    let store = TreeStore::open(world.disk.as_ref())?;
    let (vault, map_as_of) = create_vault(world, config.vault_slots)?;
    let predecessors = predecessors::open_all(world, config, &vault, map_as_of)?;
    let (rooms, _) = open_rooms(world, config, ledger_id, &store, vault, 0)?;
    let rooms = SequencerRooms { predecessors, ..rooms };
    let before = rooms.predecessors.last().map(|one| Arc::clone(&one.identity.deployment));
    let mut identity = Identity {
        ledger_id,
        genesis: Hash::ZERO,
        deployment: before.unwrap_or_else(|| config.deployment.as_str().into()),
        origin: origin.as_str().into(),
        log_key: log_key.to_string().into(),
        predecessor: end.as_ref().map(PredecessorRef::of),
    };
    let state = SequencerState {
        frontier: Frontier::new(),
        last_recorded_at: newest_stamp(&rooms)?,
        block: BlockState::genesis(),
        streams: StreamTable::default(),
    };
    let mut sequencer = Sequencer::new(rooms.clone(), state);
    plan_genesis(world, &identity, &mut sequencer);
    let mut batch = sequencer.take();
    identity.genesis = leaf_hash(&batch.leaves[0].bytes);
    let (journal, placed) = Journal::create(
        Arc::clone(&world.disk),
        Arc::clone(&rooms.patience),
        journal_key(world),
        ledger_id,
        config.segment_bytes,
        &batch.leaves,
        batch.root,
    )?;
    let committer = Committer::new(Box::new(journal));
    batch.addition.positions = placed.positions;
    store.put(&batch.addition)?;
    rooms.index.note_times(0, batch.size, &batch.times);
    rooms.index.append(0, batch.size, &batch.postings);
    if let Some(older) = rooms.predecessors.last() {
        predecessors::inherit(world, older, &mut sequencer, committer.head().epoch)?;
    }
    let parts = Parts { world, config, rooms, identity, head, created: true };
    parts.finish(committer, sequencer)
}

/// The newest stamp of the older origins: time goes on behind it.
fn newest_stamp(rooms: &SequencerRooms) -> Result<Hlc, OpenError> {
    let Some(older) = rooms.predecessors.last() else { return Ok(Hlc::at(0)) };
    let leaf = older.rooms.reader.leaf(older.size() - 1)?;
    let stamp = Leaf::decode(&leaf).map(|leaf| match leaf {
        Leaf::Entry(entry) => entry.recorded_at,
        Leaf::Control(control) => control.recorded_at,
        Leaf::Block(block) => block.sealed_at,
    });
    stamp.map_err(|_| OpenError::Genesis("the last leaf of the older origin does not decode"))
}

/// A start that was cut off before the first commit leaves a vault without a ledger: it is taken
/// over.
fn create_vault(world: &World, slots: usize) -> Result<(Arc<Vault>, u64), VaultError> {
    let disk = || Arc::clone(&world.disk);
    let entropy = || Arc::clone(&world.entropy);
    match Vault::create(disk(), &world.keys, entropy(), slots) {
        Err(VaultError::Exists) => {
            let (vault, map_as_of) = Vault::open(disk(), &world.keys, entropy())?;
            Ok((Arc::new(vault), map_as_of))
        }
        vault => Ok((Arc::new(vault?), 0)),
    }
}

/// The rooms that the sequencer asks, and how many entries the index's runs cover. Runs that reach
/// beyond `keep_below` speak of entries that the ledger does not have.
pub(crate) fn open_rooms(
    world: &World,
    config: &LedgerConfig,
    ledger_id: [u8; 16],
    store: &TreeStore,
    vault: Arc<Vault>,
    keep_below: u64,
) -> Result<(SequencerRooms, u64), OpenError> {
    let terms = TermHasher::new(world.keys.index);
    let index = IndexConfig { identity: terms.identity(), keep_below, ..config.index };
    let (index, covered) = Index::open(Arc::clone(&world.disk), "index", index)?;
    let reader = JournalReader::new(Arc::clone(&world.disk), ledger_id, store.clone());
    let rooms = SequencerRooms {
        index: Arc::new(index),
        reader: Arc::new(reader),
        vault,
        terms: Arc::new(terms),
        predecessors: Arc::new([]),
        patience: Arc::default(),
    };
    Ok((rooms, covered))
}

/// A ledger as its files give it back.
pub(crate) struct Restored {
    pub(crate) identity: Identity,
    pub(crate) head: HeadStore,
    /// What the head store says of it.
    pub(crate) known: Option<Head>,
    pub(crate) rooms: SequencerRooms,
    pub(crate) recovered: Journaled,
    replayed: Replayed,
    indexed_block: Option<TermHead>,
}

/// Reads the newest origin back. With `may_be_behind` the head store may be ahead of the journal,
/// and then a bad end of the journal is cut also where the head store knows it. With
/// `builds_beside` runs are built on a thread of its own.
pub(crate) fn restore(
    world: &World,
    config: &LedgerConfig,
    (may_be_behind, builds_beside): (bool, bool),
) -> Result<Restored, OpenError> {
    let (header, leaf) = read_genesis(world.disk.as_ref())?;
    let identity = identity_of(&header, &leaf)?;
    let log_key = log_key(world, &identity.origin)?;
    if log_key.to_string() != *identity.log_key {
        return Err(OpenError::Genesis("the log key at hand is not the one the GENESIS names"));
    }
    let ends = predecessors::ends(world.disk.as_ref())?;
    predecessors::check_named(identity.predecessor.as_ref(), &ends)?;
    let head = HeadStore::new(Arc::clone(&world.head_disk));
    let named = identity.predecessor.as_ref().map(|one| one.checkpoint.as_bytes());
    // A start that was cut off behind commit 0 has not told the head store of the new origin.
    let unknown = named.is_some() && head.note()?.as_deref() == named;
    let known = if unknown { None } else { head.head(&log_key)? };
    erasure::finish_pending(world.disk.as_ref(), &identity.ledger_id)?;
    let store = TreeStore::open(world.disk.as_ref())?;
    let (vault, map_as_of) =
        Vault::open(Arc::clone(&world.disk), &world.keys, Arc::clone(&world.entropy))?;
    let vault = Arc::new(vault);
    let predecessors = predecessors::open_all(world, config, &vault, map_as_of)?;
    let map_as_of = map_as_of.saturating_sub(base(&predecessors));
    let key = journal_key(world);
    let (mut keep_below, mut end_may_count) = (u64::MAX, true);
    loop {
        let (vault, predecessors) = (Arc::clone(&vault), Arc::clone(&predecessors));
        let id = identity.ledger_id;
        let (rooms, covered) = open_rooms(world, config, id, &store, vault, keep_below)?;
        let rooms = SequencerRooms { predecessors, ..rooms };
        let term = rooms.terms.term(TermKind::Leaf, "", &[leaf_terms::BLOCK]);
        let indexed_block = rooms.index.head(&term)?;
        // From a block entry itself: the block in the making, the newest stamp and the last batch
        // are always replayed, also when a segment begins right behind it.
        let end = ends_in_block(&rooms, covered).filter(|_| end_may_count);
        let block = end.or(indexed_block.as_ref().map(|head| head.last));
        let from = covered.min(map_as_of).min(block.unwrap_or(0));
        let mut replay = Replay::new(&rooms, covered, map_as_of);
        let visit = &mut |batch: &ScannedBatch| replay.batch(batch);
        let demanded = known.filter(|_| !may_be_behind);
        let recover = || recovery::recover(&world.disk, &key, &store, demanded, from, visit);
        let recovered = building(builds_beside, &rooms.index, recover)?;
        let size = recovered.tip().size;
        if unknown && size > predecessors::FIRST_COMMIT {
            let why = "the head store knows the older origin only, but the journal goes on behind \
                       its first commit: the head store is an older copy";
            return Err(OpenError::Genesis(why));
        }
        if known.is_some_and(|(head, _)| head <= size) {
            recovery::check_head(&store, recovered.tip(), known)?;
        }
        let replayed = replay.finish()?;
        // Not so when its batch did not hold after all, or runs are of entries that are not there.
        end_may_count = end.is_none() || replayed.block.is_some();
        if rooms.index.end() <= size && end_may_count {
            return Ok(Restored {
                identity,
                head,
                known,
                rooms,
                recovered,
                replayed,
                indexed_block,
            });
        }
        keep_below = size;
    }
}

fn recover(world: &World, config: &LedgerConfig, builds_beside: bool) -> Result<Opened, OpenError> {
    let Restored { identity, head, known, rooms, recovered, replayed, indexed_block } =
        restore(world, config, (false, builds_beside))?;
    let (key, store) = (journal_key(world), rooms.reader.store());
    let (size, root) = (recovered.tip().size, recovered.tip().root);
    let block = match (replayed.block, indexed_block) {
        (Some(block), _) => block,
        (None, Some(head)) => BlockState::after(head.count - 1, head.last, store.leaf(head.last)?),
        (None, None) => BlockState::genesis(),
    };
    let last_recorded_at = replayed.last_recorded_at.unwrap_or(Hlc::at(0));
    let clean = known == Some((size, root)) && block.first_index == size;
    let (disk, patience) = (Arc::clone(&world.disk), Arc::clone(&rooms.patience));
    let journal = Journal::resume(disk, key, &recovered, config.segment_bytes, patience)?;
    let mut committer = Committer::new(Box::new(journal));
    let epoch = committer.take()?;
    let streams = committer.streams().clone();
    let state = SequencerState { frontier: recovered.frontier, last_recorded_at, block, streams };
    let mut sequencer = Sequencer::new(rooms.clone(), state);
    let begun = rooms.predecessors.last().filter(|_| size == predecessors::FIRST_COMMIT);
    if let Some(older) = begun {
        predecessors::inherit(world, older, &mut sequencer, epoch)?;
    } else if !clean || recovered.torn.is_some() {
        let torn = recovered.torn.as_ref();
        sequencer.record_control(world.clock.wall_nanos(), |recorded_at| Control {
            recovered: Some(Recovered {
                size: size.cast_signed(),
                torn_bytes: torn.map_or(0, |torn| torn.bytes.cast_signed()),
                torn_digest: torn.map(|torn| torn.digest),
                refusals_lost: true,
                epoch: epoch.cast_signed(),
            }),
            ..control(ControlKind::Recovered, recorded_at, random(world.entropy.as_ref()))
        });
    }
    let parts = Parts { world, config, rooms, identity, head, created: false };
    parts.finish(committer, sequencer)
}

/// What both ways of opening end with.
struct Parts<'p> {
    world: &'p World,
    config: &'p LedgerConfig,
    rooms: SequencerRooms,
    identity: Identity,
    head: HeadStore,
    created: bool,
}

impl Parts<'_> {
    fn finish(self, committer: Committer, mut sequencer: Sequencer) -> Result<Opened, OpenError> {
        let Self { world, config, rooms, identity, head, created } = self;
        let streams = committer.streams().clone();
        let committed = committer.committed()?;
        let (size, root) = (committed.size(), committed.root());
        let mut signer = CheckpointSigner::new(&world.keys, &identity.origin)
            .map_err(|_| OpenError::Genesis("the origin is too long to sign checkpoints"))?;
        let block_size = last_block_size(&rooms, size)?;
        let at_block = committed.earlier(block_size, rooms.reader.store())?;
        let published_note = signer.sign(&at_block).map_err(PublishError::from)?;
        let latest = signer.sign(&committed).map_err(PublishError::from)?;
        let text =
            |note: Vec<u8>| -> Arc<str> { String::from_utf8(note).expect("notes are text").into() };
        let note = latest.note.to_bytes();
        head.write(&note)?;
        let published = Published {
            size,
            root,
            checkpoint: text(note),
            block_size,
            block_checkpoint: text(published_note.note.to_bytes()),
        };
        let deployment = Arc::clone(&identity.deployment);
        let registry = Arc::new(Registry::default());
        let shared = Arc::new(Rooms::new(&rooms, registry, deployment, published));
        load_registry(&shared, &rooms, size)?;
        reapply_erasures(world.disk.as_ref(), &identity, &rooms, size)?;
        let signature = latest.signature.to_vec();
        let mut publisher = Publisher::new(committer, signer, signature, Arc::clone(&shared));
        if !sequencer.is_empty() {
            publisher.publish(&mut sequencer.take())?;
            sequencer.published(shared.published().size);
        }
        let older = rooms.predecessors.iter().map(|one| Arc::clone(&one.identity.origin));
        let origins = older.chain([Arc::clone(&identity.origin)]).collect();
        let intake = Intake::new(IntakeParts {
            terms: Arc::clone(&rooms.terms),
            vault: Arc::clone(&rooms.vault),
            registry: Arc::clone(&shared.registry),
            clock: Arc::clone(&world.clock),
            quarantine: Quarantine::new(Arc::clone(&world.disk)),
            entropy: Arc::clone(&world.entropy),
            genesis: identity.genesis,
            origins,
            sibling_deployments: config.sibling_deployments.clone(),
            limits: config.limits,
            strict_sources: config.strict_sources.clone(),
        });
        let refusals = Refusals::new(Arc::clone(&world.clock), Arc::clone(&world.entropy));
        Ok(Opened {
            rooms: shared,
            intake: Arc::new(intake),
            sequencer,
            publisher,
            refusals: Arc::new(refusals),
            head,
            terms: rooms.terms,
            identity,
            created,
            streams,
        })
    }
}

/// Size behind the newest block; all of `size` without one.
pub(crate) fn last_block_size(rooms: &SequencerRooms, size: u64) -> Result<u64, OpenError> {
    let term = rooms.terms.term(TermKind::Leaf, "", &[leaf_terms::BLOCK]);
    Ok(rooms.index.head(&term)?.map_or(size, |block| block.last + 1))
}

/// Every leaf below `size` that has this leaf term, in order.
pub(crate) fn each_leaf(
    rooms: &SequencerRooms,
    what: &[u8],
    size: u64,
    visit: &mut dyn FnMut(u64, Vec<u8>) -> Result<(), OpenError>,
) -> Result<(), OpenError> {
    let term = rooms.terms.term(TermKind::Leaf, "", &[what]);
    let mut from = 0;
    loop {
        let mut budget = ReadBudget::new(u32::MAX);
        let page = rooms.index.postings(&term, from..size, 1024, &mut budget)?;
        for index in page.indexes {
            visit(index, rooms.reader.leaf(index)?)?;
        }
        match page.next {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}

fn load_registry(shared: &Rooms, rooms: &SequencerRooms, size: u64) -> Result<(), OpenError> {
    each_leaf(rooms, leaf_terms::CONTROL, size, &mut |index, leaf| {
        Ok(shared.apply_control(index, &leaf)?)
    })
}

/// A restored vault may hold keys that were destroyed: destroys them again. A crash may have come
/// between an ERASED and the zeroing of its frames: zeroes them.
pub(crate) fn reapply_erasures(
    disk: &dyn Disk,
    identity: &Identity,
    rooms: &SequencerRooms,
    size: u64,
) -> Result<(), OpenError> {
    let zeroed = erasure::zeroed_until(disk)?;
    let mut slots = BTreeSet::new();
    let mut last = None;
    each_leaf(rooms, leaf_terms::ERASED, size, &mut |index, leaf| {
        if let Some(handle) = erasure::erased_handle(&leaf) {
            if !rooms.vault.is_erased(&handle) {
                rooms.vault.erase(&handle)?;
            }
            if zeroed.is_none_or(|zeroed| index > zeroed) {
                slots.insert(handle);
                last = Some(index);
            }
        }
        Ok(())
    })?;
    if let Some(last) = last {
        predecessors::zero_frames(disk, &identity.ledger_id, &rooms.predecessors, &slots, size)?;
        erasure::note_zeroed(disk, last)?;
    }
    Ok(())
}
