//! Opening a ledger: creates it in an empty folder, or recovers what a stop of any kind left.
//!
//! Promises: after it returns, everything that was ever acknowledged is in the ledger, readers see
//! it, and the rooms agree. What is derived (tree files, index, the vault's map) is redone from the
//! journal as far as it lags behind.
//!
//! Refuses: to go on when committed bytes are damaged, when the head store has seen more than the
//! journal holds, or when keys are missing. Unknown state means stop.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_proof::checkpoint::Signer;
use ledgerline_proof::control::{Control, ControlKind, Genesis, Recovered, SchemaText};
use ledgerline_proof::hash::{Hash, HmacKey, empty_root, leaf_hash};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::note::{KeyKind, NoteError, SignerKey};
use ledgerline_proof::schema::{Kind, Leaf};
use ledgerline_proof::tree::{self, Frontier};

use crate::clock::Clock;
use crate::disk::{Disk, OpenMode};
use crate::entropy::{Entropy, random};
use crate::erasure;
use crate::head_store::{HeadError, HeadStore};
use crate::index::{Index, IndexConfig, IndexError, ReadBudget, TermHasher, TermKind};
use crate::intake::{Intake, IntakeLimits, IntakeParts};
use crate::journal::format::{SegmentHeader, segment_path};
use crate::journal::reader::{JournalReader, ReadError};
use crate::journal::recovery::{self, RecoverError};
use crate::journal::scan::{Scanned, ScannedBatch, SegmentScan};
use crate::journal::writer::{AppendError, Journal};
use crate::keys::KeyRing;
use crate::publisher::{PublishError, Published, Publisher, Rooms};
use crate::quarantine::Quarantine;
use crate::refusals::{RefusalSummary, Refusals};
use crate::registry::Registry;
use crate::replay::Replay;
use crate::sequencer::{
    BlockState, PlanError, Sequencer, SequencerRooms, SequencerState, leaf_terms,
};
use crate::tree_store::TreeStore;
use crate::vault::{Vault, VaultError};

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
    /// Other deployments whose statements are told apart from forged ones.
    pub sibling_deployments: Vec<String>,
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
            sibling_deployments: Vec::new(),
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
}

/// What a ledger is, for ever.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id.
    pub ledger_id: [u8; 16],
    /// Event hash of its genesis leaf.
    pub genesis: Hash,
    /// The deployment.
    pub deployment: Arc<str>,
    /// The origin.
    pub origin: Arc<str>,
    /// The log's verifier key.
    pub log_key: Arc<str>,
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
    Append(#[from] AppendError),
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
}

/// Opens the ledger in `world`, creating it when the disk holds none.
///
/// # Errors
/// [`OpenError`].
pub fn open(world: &World, config: &LedgerConfig) -> Result<Opened, OpenError> {
    let journal_files = world.disk.list("journal")?;
    if journal_files.iter().any(|name| name.ends_with(".seg")) {
        recover(world, config)
    } else {
        create(world, config)
    }
}

fn journal_key(world: &World) -> Arc<HmacKey> {
    Arc::new(HmacKey::new(&world.keys.journal))
}

fn log_key(world: &World, origin: &str) -> Result<SignerKey, NoteError> {
    SignerKey::from_seed(origin, KeyKind::Ed25519, &world.keys.log_seed)
}

/// GENESIS, a SCHEMA each, block 0: commit 0.
fn create(world: &World, config: &LedgerConfig) -> Result<Opened, OpenError> {
    let head = HeadStore::new(Arc::clone(&world.head_disk));
    if head.note()?.is_some() {
        let why = "the head store knows a ledger but the data directory holds none: restore it, or \
                   name another head store";
        return Err(OpenError::Genesis(why));
    }
    let signing_key = log_key(world, &config.origin)?;
    let vkey = signing_key.verifier_key().to_string();
    let ledger_id = random(world.entropy.as_ref());
    let store = TreeStore::open(world.disk.as_ref())?;
    let vault = create_vault(world, config.vault_slots)?;
    let (rooms, _) = open_rooms(world, config, ledger_id, &store, vault, 0)?;
    let state = SequencerState {
        frontier: Frontier::new(),
        last_recorded_at: Hlc::at(0),
        block: BlockState::genesis(),
    };
    let mut sequencer = Sequencer::new(rooms.clone(), state);
    plan_genesis(world, config, &mut sequencer, ledger_id, &vkey);
    let mut batch = sequencer.take();
    let genesis = leaf_hash(&batch.leaves[0].bytes);
    let (journal, appended) = Journal::create(
        Arc::clone(&world.disk),
        journal_key(world),
        ledger_id,
        config.segment_bytes,
        &batch.leaves,
        batch.root,
    )?;
    batch.addition.positions = appended.positions;
    store.put(&batch.addition)?;
    rooms.index.append(0, batch.size, &batch.postings);
    let identity = Identity {
        ledger_id,
        genesis,
        deployment: config.deployment.as_str().into(),
        origin: config.origin.as_str().into(),
        log_key: vkey.into(),
    };
    let parts = Parts { world, config, rooms, identity, head, created: true };
    parts.finish(journal, sequencer, (batch.size, batch.root))
}

/// A start that was cut off before the first commit leaves a vault without a ledger: it is taken
/// over.
fn create_vault(world: &World, slots: usize) -> Result<Arc<Vault>, VaultError> {
    let disk = || Arc::clone(&world.disk);
    let entropy = || Arc::clone(&world.entropy);
    match Vault::create(disk(), &world.keys, entropy(), slots) {
        Err(VaultError::Exists) => {
            let (vault, _) = Vault::open(disk(), &world.keys, entropy())?;
            Ok(Arc::new(vault))
        }
        vault => vault.map(Arc::new),
    }
}

/// The rooms that the sequencer asks, and how many entries the index's runs cover. Runs that reach
/// beyond `keep_below` speak of entries that the ledger does not have.
fn open_rooms(
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
    };
    Ok((rooms, covered))
}

fn plan_genesis(
    world: &World,
    config: &LedgerConfig,
    sequencer: &mut Sequencer,
    ledger_id: [u8; 16],
    vkey: &str,
) {
    let entropy = world.entropy.as_ref();
    let wall = world.clock.wall_nanos();
    sequencer.record_control(wall, |recorded_at| Control {
        genesis: Some(Genesis {
            ledger_id,
            deployment: &config.deployment,
            origin: &config.origin,
            log_key: vkey,
            shard: 0,
            shard_count: 1,
            shard_hash: "none",
            predecessor: None,
        }),
        ..control(ControlKind::Genesis, recorded_at, random(entropy))
    });
    for kind in Kind::ANNOUNCED {
        sequencer.record_control(wall, |recorded_at| Control {
            schema: Some(SchemaText {
                name: kind.name(),
                fingerprint: kind.fingerprint(),
                sha256: kind.sha256(),
                text: kind.text(),
            }),
            ..control(ControlKind::Schema, recorded_at, random(entropy))
        });
    }
    let none = RefusalSummary { count: 0, root: empty_root(), pairs: Vec::new() };
    sequencer.seal_block(&none, wall);
}

/// A control record with nothing set but its kind.
#[must_use]
pub fn control<'c>(kind: ControlKind, recorded_at: Hlc, blind: [u8; 16]) -> Control<'c> {
    Control {
        kind,
        recorded_at,
        genesis: None,
        schema: None,
        key_added: None,
        key_ended: None,
        recovered: None,
        blind,
    }
}

/// The genesis leaf as it stands at the start of segment 0.
///
/// # Errors
/// When segment 0 does not begin with one.
pub fn read_genesis(disk: &dyn Disk) -> Result<(SegmentHeader, Vec<u8>), OpenError> {
    let file = disk.open(&segment_path(0), OpenMode::Read)?;
    let mut bytes = vec![0; crate::journal::format::HEADER_BYTES];
    file.read_exact_at(&mut bytes, 0)?;
    let header = SegmentHeader::decode(&bytes).ok_or(OpenError::Genesis(
        "the header of segment 0 does not hold; run `ledgerline verify`",
    ))?;
    let mut scan = SegmentScan::new(file.as_ref(), &header)?;
    if let Scanned::Batch(batch) = scan.next_batch()?
        && let Some((_, leaf)) = batch.leaves().next()
    {
        return Ok((header, leaf.to_vec()));
    }
    Err(OpenError::Genesis("the genesis batch does not hold; run `ledgerline verify`"))
}

/// What a ledger says of itself at index 0.
///
/// # Errors
/// When the leaf is no GENESIS.
pub fn identity_of(header: &SegmentHeader, leaf: &[u8]) -> Result<Identity, OpenError> {
    let Ok(Leaf::Control(Control { genesis: Some(genesis), .. })) = Leaf::decode(leaf) else {
        return Err(OpenError::Genesis("the first leaf is no GENESIS; run `ledgerline verify`"));
    };
    Ok(Identity {
        ledger_id: header.ledger_id,
        genesis: leaf_hash(leaf),
        deployment: genesis.deployment.into(),
        origin: genesis.origin.into(),
        log_key: genesis.log_key.into(),
    })
}

fn recover(world: &World, config: &LedgerConfig) -> Result<Opened, OpenError> {
    let (header, leaf) = read_genesis(world.disk.as_ref())?;
    let identity = identity_of(&header, &leaf)?;
    let signing_key = log_key(world, &identity.origin)?;
    if signing_key.verifier_key().to_string() != *identity.log_key {
        return Err(OpenError::Genesis("the log key at hand is not the one the GENESIS names"));
    }
    let head = HeadStore::new(Arc::clone(&world.head_disk));
    let known = head.head(signing_key.verifier_key())?;
    erasure::finish_pending(world.disk.as_ref(), &identity.ledger_id)?;
    let store = TreeStore::open(world.disk.as_ref())?;
    let (vault, map_as_of) =
        Vault::open(Arc::clone(&world.disk), &world.keys, Arc::clone(&world.entropy))?;
    let vault = Arc::new(vault);
    let key = journal_key(world);
    let mut keep_below = u64::MAX;
    let (rooms, recovered, replayed, indexed_block) = loop {
        let vault = Arc::clone(&vault);
        let ledger_id = identity.ledger_id;
        let (rooms, covered) = open_rooms(world, config, ledger_id, &store, vault, keep_below)?;
        let block_term = rooms.terms.term(TermKind::Leaf, "", &[leaf_terms::BLOCK]);
        let indexed_block = rooms.index.head(&block_term)?;
        // From the last block entry itself, so that the block in the making, the newest stamp and
        // the last batch are always replayed, also when a segment begins right behind the block.
        let last_block = indexed_block.as_ref().map_or(0, |head| head.last);
        let from = covered.min(map_as_of).min(last_block);
        let mut replay = Replay::new(&rooms, covered, map_as_of);
        let visit = &mut |batch: &ScannedBatch| replay.batch(batch);
        let recovered = recovery::recover(&world.disk, &key, &store, known, from, visit)?;
        let replayed = replay.finish()?;
        if covered <= recovered.tip.size {
            break (rooms, recovered, replayed, indexed_block);
        }
        keep_below = recovered.tip.size;
    };
    let mut tip = recovered.tip;
    let block = match (replayed.block, indexed_block) {
        (Some(block), _) => block,
        (None, Some(head)) => BlockState::after(head.count - 1, head.last, store.leaf(head.last)?),
        (None, None) => BlockState::genesis(),
    };
    let last_recorded_at = replayed.last_recorded_at.unwrap_or(Hlc::at(0));
    let clean = known == Some((tip.size, tip.root)) && block.first_index == tip.size;
    let state = SequencerState { frontier: recovered.frontier, last_recorded_at, block };
    let mut sequencer = Sequencer::new(rooms.clone(), state);
    tip.epoch += 1;
    let (size, root, epoch) = (tip.size, tip.root, tip.epoch);
    let journal = Journal::resume(Arc::clone(&world.disk), key, tip, config.segment_bytes)?;
    if !clean || recovered.torn.is_some() {
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
    parts.finish(journal, sequencer, (size, root))
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
    fn finish(
        self,
        journal: Journal,
        mut sequencer: Sequencer,
        (size, root): (u64, Hash),
    ) -> Result<Opened, OpenError> {
        let Self { world, config, rooms, identity, head, created } = self;
        let mut signer = Signer::new(log_key(world, &identity.origin)?)
            .map_err(|_| OpenError::Genesis("the origin is too long to sign checkpoints"))?;
        let block_term = rooms.terms.term(TermKind::Leaf, "", &[leaf_terms::BLOCK]);
        let block_size = rooms.index.head(&block_term)?.map_or(size, |block| block.last + 1);
        let store = rooms.reader.store();
        let block_root = tree::tree_root(block_size, store)
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        let published_note = signer.sign(block_size, block_root).map_err(PublishError::from)?;
        let latest = signer.sign(size, root).map_err(PublishError::from)?;
        let text =
            |note: Vec<u8>| -> Arc<str> { String::from_utf8(note).expect("notes are text").into() };
        let note = latest.note.to_bytes();
        head.write(&note)?;
        let shared = Arc::new(Rooms::new(
            Arc::clone(&rooms.index),
            Arc::clone(&rooms.reader),
            Arc::new(Registry::default()),
            Arc::clone(&rooms.vault),
            Arc::clone(&identity.deployment),
            Published {
                size,
                root,
                checkpoint: text(note),
                block_size,
                block_checkpoint: text(published_note.note.to_bytes()),
            },
        ));
        load_registry(&shared, &rooms, size)?;
        reapply_erasures(world, &identity, &rooms, size)?;
        let signature = latest.signature.to_vec();
        let mut publisher = Publisher::new(journal, signer, signature, Arc::clone(&shared));
        if !sequencer.is_empty() {
            publisher.publish(sequencer.take())?;
            sequencer.published(shared.published().size);
        }
        let intake = Intake::new(IntakeParts {
            terms: Arc::clone(&rooms.terms),
            vault: Arc::clone(&rooms.vault),
            registry: Arc::clone(&shared.registry),
            clock: Arc::clone(&world.clock),
            quarantine: Quarantine::new(Arc::clone(&world.disk)),
            entropy: Arc::clone(&world.entropy),
            genesis: identity.genesis,
            origin: Arc::clone(&identity.origin),
            sibling_deployments: config.sibling_deployments.clone(),
            limits: config.limits,
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
        })
    }
}

/// Every leaf below `size` that has this leaf term, in order.
fn leaves_of(
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
    leaves_of(rooms, leaf_terms::CONTROL, size, &mut |index, leaf| {
        Ok(shared.apply_control(index, &leaf)?)
    })
}

/// A restored vault may hold keys that were destroyed: destroys them again. A crash may have come
/// between an ERASED and the zeroing of its frames: zeroes them.
fn reapply_erasures(
    world: &World,
    identity: &Identity,
    rooms: &SequencerRooms,
    size: u64,
) -> Result<(), OpenError> {
    let disk = world.disk.as_ref();
    let zeroed = erasure::zeroed_until(disk)?;
    let mut slots = BTreeSet::new();
    let mut last = None;
    leaves_of(rooms, leaf_terms::ERASED, size, &mut |index, leaf| {
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
        erasure::zero_frames(disk, &identity.ledger_id, &slots, size)?;
        erasure::note_zeroed(disk, last)?;
    }
    Ok(())
}
