//! The local journal keeps the contract of commit stores; stores that break it are told which
//! clause.

use std::io;
use std::sync::Arc;

use ledgerline_journal::commit_contract::{StoreFault, StoreWorld, commit_store_contract};
use ledgerline_journal::commit_store::{
    CommitBatch, CommitError, CommitStore, Committer, Placed, StoreHead,
};
use ledgerline_journal::format::JournalLeaf;
use ledgerline_journal::recovery::recover;
use ledgerline_journal::scan::ScannedBatch;
use ledgerline_journal::streams::StreamTable;
use ledgerline_journal::tree_store::TreeStore;
use ledgerline_journal::writer::Journal;
use ledgerline_proof::hash::{HmacKey, leaf_hash};
use ledgerline_proof::tree::{self, Frontier};
use ledgerline_world::disk::Disk;
use ledgerline_world::fake::{Faults, Random, SimDisk};

const SEGMENT_BYTES: u64 = 4 << 10;
const SEEDS: u64 = 40;

/// A journal on a simulated disk.
struct Local {
    sim: SimDisk,
    random: Random,
    key: Arc<HmacKey>,
    /// What is broken whatever else goes wrong.
    always: Faults,
}

impl Local {
    fn new(seed: u64, always: Faults) -> Self {
        let (sim, random) = (SimDisk::new(seed), Random::new(seed).fork("crashes"));
        sim.set_faults(always.clone());
        Self { sim, random, key: Arc::new(HmacKey::new(&[9; 32])), always }
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.sim.clone())
    }
}

impl StoreWorld for Local {
    fn create(&mut self, leaves: &[JournalLeaf]) -> Result<Box<dyn CommitStore>, String> {
        let mut tree = Frontier::new();
        leaves.iter().for_each(|leaf| tree.push(leaf_hash(&leaf.bytes)));
        let (key, disk, root) = (Arc::clone(&self.key), self.disk(), tree.root());
        let patience = Arc::default();
        let made = Journal::create(disk, patience, key, [5; 16], SEGMENT_BYTES, leaves, root);
        made.map(|(journal, _)| Box::new(journal) as _).map_err(|error| error.to_string())
    }

    fn open(&mut self) -> Result<Box<dyn CommitStore>, String> {
        let disk = self.disk();
        let open = || -> Result<Journal, Box<dyn std::error::Error>> {
            let trees = TreeStore::open(disk.as_ref())?;
            let recovered = recover(&disk, &self.key, &trees, None, 0, &mut |_| {})?;
            let (key, patience) = (Arc::clone(&self.key), Arc::default());
            Ok(Journal::resume(Arc::clone(&disk), key, &recovered, SEGMENT_BYTES, patience)?)
        };
        open().map(|journal| Box::new(journal) as _).map_err(|error| error.to_string())
    }

    fn set_fault(&mut self, fault: StoreFault) {
        let mut faults = self.always.clone();
        match fault {
            StoreFault::None => {}
            StoreFault::WriteFails => faults.write_error_per_mille = 400,
            StoreFault::WriteTears => faults.short_write_per_mille = 400,
            StoreFault::SyncFails => faults.sync_error_per_mille = 400,
            StoreFault::PowerGoes { after } => faults.power_off_after = Some(after),
        }
        self.sim.set_faults(faults);
    }

    fn crash(&mut self) {
        self.sim.crash(&mut self.random);
    }
}

#[test]
fn the_local_journal_keeps_the_contract() {
    let make = &mut |seed| Box::new(Local::new(seed, Faults::default())) as _;
    assert_eq!(commit_store_contract(make, SEEDS), Ok(()));
}

/// Which clause a world breaks.
fn broken(make: &mut dyn FnMut(u64) -> Box<dyn StoreWorld>) -> &'static str {
    commit_store_contract(make, SEEDS).expect_err("the store is broken").clause
}

#[test]
fn a_store_whose_syncs_lie_is_caught() {
    let always = Faults { lying_sync_per_mille: 1000, ..Faults::default() };
    let make = &mut |seed| Box::new(Local::new(seed, always.clone())) as _;
    assert_eq!(broken(make), "durable");
}

/// How a store is broken that otherwise is the journal.
#[derive(Clone, Copy)]
enum Flaw {
    /// It says yes to whoever asks for an epoch.
    Open,
    /// It forgets the stream table.
    Forgetful,
    /// It says yes after it failed.
    Boastful,
}

struct Flawed(Box<dyn CommitStore>, Flaw);

impl CommitStore for Flawed {
    fn head(&self) -> StoreHead {
        self.0.head()
    }

    fn streams(&self) -> &StreamTable {
        self.0.streams()
    }

    fn take(&mut self, epoch: u64) -> Result<(), CommitError> {
        match (self.1, self.0.take(epoch)) {
            (Flaw::Open, _) => Ok(()),
            (_, taken) => taken,
        }
    }

    fn commit(&mut self, batch: &CommitBatch<'_>) -> Result<Placed, CommitError> {
        match self.1 {
            Flaw::Forgetful => self.0.commit(&CommitBatch { streams: None, ..*batch }),
            Flaw::Boastful => Ok(self.0.commit(batch).unwrap_or_default()),
            Flaw::Open => self.0.commit(batch),
        }
    }

    fn batches(&self, from: u64, visit: &mut dyn FnMut(&ScannedBatch)) -> io::Result<()> {
        self.0.batches(from, visit)
    }
}

struct FlawedWorld(Local, Flaw);

impl StoreWorld for FlawedWorld {
    fn create(&mut self, leaves: &[JournalLeaf]) -> Result<Box<dyn CommitStore>, String> {
        Ok(Box::new(Flawed(self.0.create(leaves)?, self.1)))
    }

    fn open(&mut self) -> Result<Box<dyn CommitStore>, String> {
        Ok(Box::new(Flawed(self.0.open()?, self.1)))
    }

    fn set_fault(&mut self, fault: StoreFault) {
        self.0.set_fault(fault);
    }

    fn crash(&mut self) {
        self.0.crash();
    }
}

#[test]
fn broken_stores_are_told_what_is_broken() {
    let flawed = |flaw| {
        broken(&mut |seed| Box::new(FlawedWorld(Local::new(seed, Faults::default()), flaw)) as _)
    };
    assert_eq!(flawed(Flaw::Open), "epochs");
    assert_eq!(flawed(Flaw::Forgetful), "read_back");
    // The committer sees that the head did not move, so that what is claimed is never signed; what
    // is left to see is that the writer goes on unfenced.
    assert_eq!(flawed(Flaw::Boastful), "epochs");
}

#[test]
fn an_earlier_size_is_committed_only_if_the_tree_leads_to_what_is() {
    let mut world = Local::new(1, Faults::default());
    let leaves: Vec<JournalLeaf> =
        (0..9u8).map(|n| JournalLeaf { bytes: vec![n; 40], ..JournalLeaf::default() }).collect();
    let committer = Committer::new(world.create(&leaves).unwrap());
    world.open().unwrap();
    let trees = TreeStore::open(&world.sim).unwrap();
    let committed = committer.committed().unwrap();
    for size in 0..=9 {
        let earlier = committed.earlier(size, &trees).unwrap();
        assert_eq!(
            (earlier.size(), earlier.root()),
            (size, tree::tree_root(size, &trees).unwrap())
        );
    }
    assert!(committed.earlier(10, &trees).is_err(), "a later size");
    world.sim.flip_bit("tree/0", 33, 1).unwrap();
    assert!(committed.earlier(2, &trees).is_err(), "a tree that was tampered with");
}
