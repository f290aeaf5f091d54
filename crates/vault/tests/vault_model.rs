//! The vault against a model: whoever has a handle keeps it until it is erased, over any sequence
//! of takings, erasures, snapshots, restarts, lost maps and power cuts.

mod vault_disk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Barrier};

use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_vault::keys::KeyRing;
use ledgerline_vault::{OpenError, Slot, Vault, VaultError};
use ledgerline_world::disk::RealDisk;
use proptest::prelude::*;
use vault_disk::{CRASHES, Crash, MemoryDisk, SeededEntropy};

#[derive(Debug, Clone)]
enum Step {
    /// Someone acts and the entry commits.
    Act(Who),
    /// Someone takes a slot, but the entry never commits.
    Abandon(Who),
    /// The handle of the n-th entry is erased.
    Erase(usize),
    Refill(usize),
    Snapshot,
    /// A start after this crash, with or without the map.
    Restart(Crash, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Person(u8),
    Chain(u8),
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![(0..12_u8).prop_map(Who::Person), (0..6_u8).prop_map(Who::Chain)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => who().prop_map(Step::Act),
        2 => who().prop_map(Step::Abandon),
        3 => any::<usize>().prop_map(Step::Erase),
        1 => (0..9_usize).prop_map(Step::Refill),
        2 => Just(Step::Snapshot),
        3 => (0..4_usize, prop::bool::weighted(0.3))
            .prop_map(|(crash, lose)| Step::Restart(CRASHES[crash], lose)),
    ]
}

struct Entry {
    who: Who,
    handle: [u8; 16],
    sealed: Vec<u8>,
}

/// The vault and what a ledger would know of it.
struct World {
    disk: MemoryDisk,
    keys: KeyRing,
    entropy: Arc<SeededEntropy>,
    vault: Vault,
    journal: Vec<Entry>,
    erased: BTreeSet<[u8; 16]>,
    owners: BTreeMap<Who, [u8; 16]>,
    /// Handles of abandoned takings since the last start or snapshot: still their takers'.
    pending: BTreeMap<Who, [u8; 16]>,
}

fn statement() -> Hash {
    sha256(b"statement")
}

fn record(who: Who) -> Vec<u8> {
    format!("record of {who:?}").into_bytes()
}

impl World {
    fn new() -> Self {
        let (disk, entropy) = (MemoryDisk::default(), SeededEntropy::new(5));
        let keys = KeyRing::create(&MemoryDisk::default(), &*entropy).unwrap();
        let vault = Vault::create(disk.shared(), &keys, entropy.clone(), 2).unwrap();
        let (owners, pending) = (BTreeMap::new(), BTreeMap::new());
        let (journal, erased) = (Vec::new(), BTreeSet::new());
        Self { disk, keys, entropy, vault, journal, erased, owners, pending }
    }

    fn take(&self, who: Who) -> Slot {
        let slot = match who {
            Who::Person(n) => self.vault.person("t", "idp", &format!("user-{n}")),
            Who::Chain(n) => self.vault.chain_slot(&[n]),
        };
        let slot = slot.unwrap();
        assert!(!self.erased.contains(&slot.handle), "an erased handle was given out");
        let expected = self.owners.get(&who).or(self.pending.get(&who));
        match expected {
            Some(handle) => assert_eq!(slot.handle, *handle, "{who:?} lost its handle"),
            None => {
                let used = self.journal.iter().any(|entry| entry.handle == slot.handle);
                let pending = self.pending.values().any(|handle| *handle == slot.handle);
                assert!(!used && !pending, "{who:?} got the handle of another");
            }
        }
        slot
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Act(who) => {
                let slot = self.take(*who);
                let nonce = [u8::try_from(self.journal.len() % 256).unwrap(); 12];
                let sealed = self.vault.seal(&slot, 1, &statement(), &record(*who), nonce);
                self.owners.insert(*who, slot.handle);
                self.journal.push(Entry { who: *who, handle: slot.handle, sealed });
            }
            Step::Abandon(who) => {
                let slot = self.take(*who);
                self.pending.insert(*who, slot.handle);
            }
            Step::Erase(n) if !self.journal.is_empty() => {
                let handle = self.journal[n % self.journal.len()].handle;
                self.vault.erase(&handle).unwrap();
                self.erased.insert(handle);
                self.owners.retain(|_, owned| *owned != handle);
                self.pending.retain(|_, owned| *owned != handle);
            }
            Step::Erase(_) => {}
            Step::Refill(want) => {
                let before = self.vault.free_slots();
                self.vault.refill(*want).unwrap();
                assert!(self.vault.free_slots() >= before + want);
            }
            Step::Snapshot => self.vault.snapshot(self.journal.len() as u64).unwrap(),
            Step::Restart(crash, lose_map) => self.restart(*crash, *lose_map),
        }
    }

    fn restart(&mut self, crash: Crash, lose_map: bool) {
        self.disk.crash(crash);
        if lose_map && self.disk.files().iter().any(|(name, _)| name == "vault/map") {
            self.disk.delete("vault/map");
        }
        let opened = Vault::open(self.disk.shared(), &self.keys, self.entropy.clone());
        let (vault, as_of) = opened.unwrap();
        assert!(!lose_map || as_of == 0);
        self.erased.iter().for_each(|handle| vault.erase(handle).unwrap());
        for entry in &self.journal[usize::try_from(as_of).unwrap()..] {
            match entry.who {
                _ if self.erased.contains(&entry.handle) => vault.mark_taken(&entry.handle),
                Who::Person(n) => {
                    vault.redo_person("t", "idp", &format!("user-{n}"), &entry.handle)
                }
                Who::Chain(n) => vault.redo_chain(&[n], &entry.handle),
            }
            .unwrap();
        }
        self.vault = vault;
        self.pending.clear();
        // A snapshot may have kept a slot for someone whose entry never committed.
        for n in 0..12 {
            let who = Who::Person(n);
            let kept = self.vault.find_person("t", "idp", &format!("user-{n}"));
            match (self.owners.get(&who), kept) {
                (Some(owned), kept) => assert_eq!(kept, Some(*owned), "{who:?}"),
                (None, Some(kept)) => {
                    self.pending.insert(who, kept);
                }
                (None, None) => {}
            }
        }
    }

    fn check(&self) {
        for entry in &self.journal {
            let opened = self.vault.open_sealed(&entry.handle, 1, &statement(), &entry.sealed);
            let erased = self.erased.contains(&entry.handle);
            let expected = if erased { Err(OpenError::Erased) } else { Ok(record(entry.who)) };
            assert_eq!(opened, expected);
            assert_eq!(self.vault.is_erased(&entry.handle), erased);
        }
        assert_eq!(Vault::check(&self.disk, &self.keys), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn handles_stay_with_their_owners(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.apply(step);
        }
        world.check();
        world.restart(Crash::Lost, false);
        world.check();
        world.restart(Crash::Lost, true);
        world.check();
    }
}

/// Growth over many files and table sizes, on the real file system.
#[test]
fn thousands_of_persons_keep_their_slots() {
    let folder = tempfile::tempdir().unwrap();
    let entropy = SeededEntropy::new(6);
    let keys = KeyRing::create(&MemoryDisk::default(), &*entropy).unwrap();
    let disk = || Arc::new(RealDisk::new(folder.path()).unwrap());
    let vault = Vault::create(disk(), &keys, entropy.clone(), 1000).unwrap();
    let user = |n: usize| format!("user-{n}");
    let handles: Vec<_> =
        (0..5000).map(|n| vault.person("", "idp", &user(n)).unwrap().handle).collect();
    assert_eq!(handles.iter().collect::<BTreeSet<_>>().len(), handles.len());
    vault.snapshot(5000).unwrap();
    handles.iter().step_by(500).for_each(|handle| vault.erase(handle).unwrap());
    let free = vault.free_slots();
    drop(vault);

    let (vault, as_of) = Vault::open(disk(), &keys, entropy).unwrap();
    assert_eq!((as_of, vault.free_slots(), vault.damaged_slots()), (5000, free, 0));
    for (n, handle) in handles.iter().enumerate() {
        let kept = (n % 500 != 0).then_some(*handle);
        assert_eq!(vault.find_person("", "idp", &user(n)), kept);
        assert_eq!(vault.is_erased(handle), n % 500 == 0);
    }
    assert_eq!(Vault::check(&*disk(), &keys), []);
}

/// Four threads meet the same new persons at once, while a fifth erases and writes snapshots.
#[test]
fn threads_agree_on_slots() {
    let (disk, entropy) = (MemoryDisk::default(), SeededEntropy::new(12));
    let keys = KeyRing::create(&MemoryDisk::default(), &*entropy).unwrap();
    let vault = Vault::create(disk.shared(), &keys, entropy, 16).unwrap();
    let gone: Vec<_> = (0..8).map(|n| vault.chain_slot(&[n]).unwrap().handle).collect();
    let start = Barrier::new(5);
    let meet = || {
        start.wait();
        let taken = (0..200).map(|n| vault.person("", "idp", &format!("user-{n}")).unwrap().handle);
        taken.collect::<Vec<_>>()
    };
    let seen = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(meet)).collect();
        start.wait();
        for handle in &gone {
            vault.erase(handle).unwrap();
            vault.snapshot(0).unwrap();
        }
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(seen.iter().all(|handles| *handles == seen[0]));
    assert_eq!(seen[0].iter().chain(&gone).collect::<BTreeSet<_>>().len(), 208);
    assert_eq!(Vault::check(&disk, &keys), []);
}

/// An erasure reaches also those who hold nothing but the handle, and a stranger's erasure harms
/// nobody.
#[test]
fn erasing_what_is_not_there() {
    let mut world = World::new();
    world.apply(&Step::Act(Who::Person(1)));
    let stranger = [0xab; 16];
    assert_eq!(
        world.vault.open_sealed(&stranger, 1, &statement(), &[]),
        Err(OpenError::UnknownSlot)
    );
    assert!(matches!(world.vault.mark_taken(&stranger), Err(VaultError::UnknownSlot)));
    world.vault.erase(&stranger).unwrap();
    assert!(world.vault.is_erased(&stranger));
    assert_eq!(world.vault.open_sealed(&stranger, 1, &statement(), &[]), Err(OpenError::Erased));
    world.vault.mark_taken(&stranger).unwrap();
    world.check();
}
