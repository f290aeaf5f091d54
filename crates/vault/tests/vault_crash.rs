//! Power cuts at every call that changes the disk, in each way a disk may come back from one.

mod vault_disk;

use std::sync::Arc;

use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_vault::keys::{KeyRing, KeyRingError};
use ledgerline_vault::{OpenError, Vault, VaultError};

use vault_disk::{CRASHES, Crash, MemoryDisk, SeededEntropy};

const STATEMENT: &[u8] = b"statement";
const ALICE: &[u8] = b"record of alice";
const BOB: &[u8] = b"record of bob";

fn statement() -> Hash {
    sha256(STATEMENT)
}

/// A vault of four slots with two persons, a snapshot of size 2, and what the journal would hold.
struct World {
    disk: MemoryDisk,
    keys: KeyRing,
    entropy: Arc<SeededEntropy>,
    alice: [u8; 16],
    bob: [u8; 16],
    sealed_alice: Vec<u8>,
    sealed_bob: Vec<u8>,
}

impl World {
    fn new() -> (Self, Vault) {
        let (disk, entropy) = (MemoryDisk::default(), SeededEntropy::new(1));
        let keys = KeyRing::create(&MemoryDisk::default(), &*entropy).unwrap();
        let vault = Vault::create(disk.shared(), &keys, entropy.clone(), 4).unwrap();
        let alice = vault.person("", "idp", "alice").unwrap();
        let bob = vault.person("", "idp", "bob").unwrap();
        let sealed_alice = vault.seal(&alice, 0, &statement(), ALICE, [1; 12]);
        let sealed_bob = vault.seal(&bob, 0, &statement(), BOB, [2; 12]);
        vault.snapshot(2).unwrap();
        let (alice, bob) = (alice.handle, bob.handle);
        (Self { disk, keys, entropy, alice, bob, sealed_alice, sealed_bob }, vault)
    }

    fn open(&self) -> (Vault, u64) {
        Vault::open(self.disk.shared(), &self.keys, self.entropy.clone()).unwrap()
    }

    /// What the engine does at start: erasures first, then entries from `as_of` on.
    fn recover(&self, erased: &[[u8; 16]]) -> Vault {
        let (vault, as_of) = self.open();
        erased.iter().for_each(|handle| vault.erase(handle).unwrap());
        let journal = [("alice", self.alice), ("bob", self.bob)];
        for (user, handle) in &journal[usize::try_from(as_of).unwrap()..] {
            vault.redo_person("", "idp", user, handle).unwrap();
        }
        vault
    }

    fn check_bob(&self, vault: &Vault) {
        let opened = vault.open_sealed(&self.bob, 0, &statement(), &self.sealed_bob);
        assert_eq!(opened.as_deref(), Ok(BOB));
        assert_eq!(vault.find_person("", "idp", "bob"), Some(self.bob));
        assert_eq!(vault.person("", "idp", "bob").unwrap().handle, self.bob);
    }

    fn check_alice(&self, vault: &Vault) {
        let opened = vault.open_sealed(&self.alice, 0, &statement(), &self.sealed_alice);
        assert_eq!(opened.as_deref(), Ok(ALICE));
        assert_eq!(vault.find_person("", "idp", "alice"), Some(self.alice));
    }

    fn check_clean(&self) {
        assert_eq!(Vault::check(&self.disk, &self.keys), []);
    }
}

/// Cuts the power at each changing call of `act`, comes back in each way, and looks.
fn sweep(act: impl Fn(&World, &Vault) -> Result<(), VaultError>, look: impl Fn(&World, bool)) {
    for calls in 0.. {
        let mut finished = false;
        for crash in CRASHES {
            let (world, vault) = World::new();
            world.disk.fail_after(calls);
            let done = act(&world, &vault);
            finished = done.is_ok();
            assert!(finished || matches!(done, Err(VaultError::Io { .. })), "{calls} {crash:?}");
            drop(vault);
            world.disk.crash(crash);
            look(&world, finished);
        }
        if finished {
            assert!(calls > 1, "the sweep cut nothing");
            return;
        }
    }
}

/// Each changing call fails once, the step is called again, and then the power goes: what the
/// second call promised is there. A sync alone that follows a failed one promises nothing.
#[test]
fn a_failed_step_stopped_the_vault_instead_of_being_done_again() {
    type Step = fn(&World, &Vault) -> Result<(), VaultError>;
    let steps: [Step; 4] = [
        |_, vault| vault.refill(3),
        |world, vault| vault.erase(&world.alice),
        |_, vault| vault.snapshot(3),
        |_, vault| vault.put_secret("key-1", b"a secret of a producer"),
    ];
    for (number, step) in steps.iter().enumerate() {
        let mut failures = 0;
        for calls in 0.. {
            let (world, vault) = World::new();
            world.disk.fail_after(calls);
            if step(&world, &vault).is_ok() {
                break;
            }
            failures += 1;
            world.disk.fail_after(u64::MAX);
            step(&world, &vault).expect("the disk is well again");
            drop(vault);
            world.disk.crash(Crash::Lost);
            let (vault, as_of) = world.open();
            world.check_clean();
            world.check_bob(&vault);
            match number {
                0 => assert!(vault.free_slots() == 5, "{calls}: {}", vault.free_slots()),
                1 => {
                    let opened =
                        vault.open_sealed(&world.alice, 0, &statement(), &world.sealed_alice);
                    assert_eq!(opened, Err(OpenError::Erased), "{calls}");
                    assert_eq!(vault.find_person("", "idp", "alice"), None, "{calls}");
                }
                2 => assert_eq!(as_of, 3, "{calls}"),
                _ => assert!(vault.secret("key-1").unwrap().is_some(), "{calls}"),
            }
        }
        assert!(failures > 1, "step {number} was never cut");
    }
}

#[test]
fn refill_is_whole_or_absent() {
    sweep(
        |_, vault| vault.refill(3),
        |world, finished| {
            let vault = world.recover(&[]);
            let free = vault.free_slots();
            assert!(if finished { free == 5 } else { [2, 5].contains(&free) }, "{free}");
            world.check_clean();
            world.check_alice(&vault);
            world.check_bob(&vault);
            vault.refill(3).unwrap();
            assert_eq!(world.recover(&[]).free_slots(), free + 3);
            assert!(world.disk.files().iter().all(|(name, _)| !name.ends_with(".new")));
        },
    );
}

#[test]
fn erasure_is_finished_when_it_is_said_again() {
    sweep(
        |world, vault| vault.erase(&world.alice),
        |world, finished| {
            // A crash may only leave the slot being erased in disorder.
            for damage in Vault::check(&world.disk, &world.keys) {
                assert!(!finished && damage.handle == Some(world.alice), "{damage:?}");
            }
            let vault = world.recover(&[world.alice]);
            world.check_clean();
            world.check_bob(&vault);
            assert!(vault.is_erased(&world.alice));
            let opened = vault.open_sealed(&world.alice, 0, &statement(), &world.sealed_alice);
            assert_eq!(opened, Err(OpenError::Erased));
            assert_eq!(vault.find_person("", "idp", "alice"), None);
            assert_ne!(vault.person("", "idp", "alice").unwrap().handle, world.alice);
            // 68 header bytes; a live record has its nonce and wrapped key at 20..80.
            let slots = world.disk.read("vault/slots-0000000000");
            assert_eq!(slots[68..84], world.alice);
            assert!(slots[68 + 20..68 + 80].iter().all(|byte| *byte == 0));
            assert!(world.disk.read("vault/map")[68 + 4..68 + 20].iter().all(|byte| *byte == 0));
        },
    );
}

#[test]
fn snapshot_is_the_old_or_the_new() {
    sweep(
        |_, vault| {
            vault.chain_slot(b"chain").unwrap();
            vault.snapshot(3)
        },
        |world, finished| {
            let (vault, as_of) = world.open();
            assert!(if finished { as_of == 3 } else { [2, 3].contains(&as_of) }, "{as_of}");
            world.check_clean();
            world.check_alice(&vault);
            world.check_bob(&vault);
            assert_eq!(vault.free_slots(), if as_of == 3 { 1 } else { 2 });
        },
    );
}

#[test]
fn secret_is_whole_or_absent() {
    sweep(
        |_, vault| vault.put_secret("key-1", b"a secret of a producer"),
        |world, finished| {
            let (vault, _) = world.open();
            world.check_clean();
            let secret = vault.secret("key-1").unwrap();
            assert!(secret.is_some() || !finished);
            vault.put_secret("key-1", b"a secret of a producer").unwrap();
            let kept = vault.secret("key-1").unwrap().unwrap();
            assert_eq!(kept[..], b"a secret of a producer"[..]);
        },
    );
}

#[test]
fn creation_is_whole_or_starts_again() {
    for calls in 0..20 {
        for crash in CRASHES {
            let (disk, entropy) = (MemoryDisk::default(), SeededEntropy::new(2));
            let keys = KeyRing::create(&MemoryDisk::default(), &*entropy).unwrap();
            disk.fail_after(calls);
            let created = Vault::create(disk.shared(), &keys, entropy.clone(), 4).is_ok();
            disk.crash(crash);
            match Vault::create(disk.shared(), &keys, entropy.clone(), 4) {
                Ok(_) => assert!(!created),
                Err(error) => assert!(matches!(error, VaultError::Exists), "{error}"),
            }
            let (vault, as_of) = Vault::open(disk.shared(), &keys, entropy.clone()).unwrap();
            assert_eq!((vault.free_slots(), as_of), (4, 0));
            assert_eq!(Vault::check(&disk, &keys), []);
        }
    }
}

#[test]
fn key_ring_is_whole_or_starts_again() {
    for calls in 0.. {
        let mut finished = false;
        for crash in CRASHES {
            let (disk, entropy) = (MemoryDisk::default(), SeededEntropy::new(3));
            disk.fail_after(calls);
            let made = KeyRing::open_or_create(&disk, &*entropy);
            disk.crash(crash);
            let again = KeyRing::open(&disk);
            if let Ok(made) = &made {
                finished = true;
                assert_eq!(made.kek, again.unwrap().kek);
                continue;
            }
            match again {
                Err(KeyRingError::Absent) | Ok(_) => {}
                Err(error) => panic!("{calls} {crash:?}: {error}"),
            }
            let first = KeyRing::open_or_create(&disk, &*entropy).unwrap();
            let second = KeyRing::open_or_create(&disk, &*entropy).unwrap();
            assert_eq!((first.kek, first.log_seed), (second.kek, second.log_seed));
        }
        if finished {
            assert!(calls > 20);
            return;
        }
    }
}

/// The handle itself rotted, so the ERASED finds no slot by name; the key is found by what it
/// wraps.
#[test]
fn erasure_finds_a_slot_whose_handle_rotted() {
    let (world, vault) = World::new();
    drop(vault);
    let mut slots = world.disk.read("vault/slots-0000000000");
    slots[68] ^= 1;
    world.disk.put("vault/slots-0000000000", &slots);
    let (vault, _) = world.open();
    assert_eq!(vault.damaged_slots(), 1);
    vault.erase(&world.alice).unwrap();
    assert_eq!(vault.damaged_slots(), 0);
    assert!(vault.is_erased(&world.alice));
    world.check_bob(&vault);
    world.check_clean();
}

/// A copy from before an erasure, before a refill and before the last persons.
#[test]
fn restored_copy_erases_again() {
    let (world, vault) = World::new();
    let backup = world.disk.copy();
    let carol = vault.person("", "idp", "carol").unwrap();
    vault.refill(8).unwrap();
    let later: Vec<_> =
        (0..5).map(|n| vault.person("", "idp", &format!("late-{n}")).unwrap()).collect();
    let sealed = vault.seal(&later[4], 0, &statement(), b"late", [3; 12]);
    for handle in [world.alice, carol.handle, later[3].handle] {
        vault.erase(&handle).unwrap();
    }
    drop(vault);

    let world = World { disk: backup, ..world };
    let vault = world.recover(&[world.alice, carol.handle, later[3].handle]);
    world.check_bob(&vault);
    world.check_clean();
    for handle in [world.alice, carol.handle, later[3].handle] {
        assert!(vault.is_erased(&handle));
        assert_eq!(vault.open_sealed(&handle, 0, &statement(), &[]), Err(OpenError::Erased));
        vault.redo_person("", "idp", "whoever", &handle).unwrap();
        assert_eq!(vault.find_person("", "idp", "whoever"), None);
    }
    // This slot was made after the backup: nothing opens its records any more, and it says so.
    let lost = vault.redo_person("", "idp", "late-4", &later[4].handle);
    assert!(matches!(lost, Err(VaultError::UnknownSlot)), "{lost:?}");
    let opened = vault.open_sealed(&later[4].handle, 0, &statement(), &sealed);
    assert_eq!(opened, Err(OpenError::UnknownSlot));
    // Four slots, of which alice's and carol's are erased and bob has one.
    assert_eq!(vault.free_slots(), 1);
    assert_ne!(vault.person("", "idp", "alice").unwrap().handle, world.alice);
}

/// Slot files older than the map are noticed.
#[test]
fn slots_older_than_the_map_are_refused() {
    let (world, vault) = World::new();
    vault.refill(8).unwrap();
    vault.snapshot(2).unwrap();
    world.disk.delete("vault/slots-0000000004");
    let opened = Vault::open(world.disk.shared(), &world.keys, world.entropy.clone());
    let error = opened.map(|_| ()).unwrap_err();
    assert!(matches!(error, VaultError::SlotsLost { there: 4, known: 12 }), "{error}");
    let damage = Vault::check(&world.disk, &world.keys);
    assert!(damage.iter().any(|damage| !damage.rebuildable), "{damage:?}");
}

#[test]
fn crash_modes_differ() {
    // Guards the guard: if the disk kept everything always, the sweeps would prove nothing.
    let kept = CRASHES.map(|crash| {
        let (world, vault) = World::new();
        world.disk.fail_after(1);
        assert!(vault.erase(&world.alice).is_err());
        world.disk.crash(crash);
        world.disk.read("vault/slots-0000000000")
    });
    assert!(kept.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(CRASHES[0], Crash::Lost);
}
