//! Small mutable files: the head store, pending erasures, the vault.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ledgerline_journal::erasure::finish_pending;
use ledgerline_journal::format::{FRAME_BYTES, FrameBinding, FrameType, HEADER_BYTES};
use ledgerline_journal::head_store::HeadStore;
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_sim::{SimDisk, SimEntropy, Snapshot};
use ledgerline_vault::Vault;
use ledgerline_vault::keys::KeyRing;
use ledgerline_verify::{VerifyOptions, VerifyWorld, verify};
use ledgerline_world::disk::Disk;

use crate::cursor::{Cursor, damage};
use crate::ledger::base;
use crate::notes::{keys, signed_checkpoints};

/// A note in the head store: only what the log signed is a head.
pub fn head_store(data: &[u8]) {
    let disk = SimDisk::new(1);
    let store = HeadStore::new(Arc::new(disk.clone()));
    assert_eq!(store.head(keys().log.verifier_key()).ok(), Some(None), "a head out of nothing");
    store.write(data).expect("a disk without faults");
    disk.crash(&mut ledgerline_sim::Random::new(1));
    match store.note() {
        Ok(note) => assert_eq!(note.as_deref(), Some(data), "another note than was written"),
        Err(_) => assert!(data.len() > 64 << 10, "a short note is not read back"),
    }
    if let Ok(head) = store.head(keys().log.verifier_key()) {
        let (size, root) = head.expect("a note is there");
        let text = format!("\n{size}\n{}\n", root.to_base64());
        let signed = signed_checkpoints();
        assert!(signed.iter().any(|note| note.text().ends_with(&text)), "a forged head");
    }
}

/// `erasures/pending` with a right CRC: at the next start nothing but sealed frames is touched.
pub fn erasure(data: &[u8]) {
    let base = base();
    let disk = SimDisk::new(1);
    disk.restore(&base.disk);
    let mut input = Cursor::new(data);
    let raw = input.u8() & 1 != 0;
    let items = input.rest();
    let crc = crc32c::crc32c(items).to_be_bytes();
    let file = if raw { items.to_vec() } else { [&crc[..], items].concat() };
    disk.write("erasures/pending", &file).expect("the folder is made");
    let world = VerifyWorld { disk: Arc::new(disk.clone()), keys: None, head: None };
    let options = VerifyOptions { threads: 1, ..VerifyOptions::default() };
    let _ = verify(&world, &options);
    let done = finish_pending(&disk, &base.identity.ledger_id);
    for (path, before) in base.disk.files() {
        let after = disk.read(path).expect("no file is removed");
        if path.ends_with(".seg") {
            check_segment(base.identity.ledger_id, path, before, &after);
        } else {
            assert!(*before == after, "{path} changed");
        }
    }
    if done.is_ok() {
        assert!(disk.read("erasures/pending").is_err(), "it would be done again");
    }
}

/// Frame by frame: the same, or a sealed record that is now erased.
fn check_segment(ledger_id: [u8; 16], path: &str, before: &[u8], after: &[u8]) {
    assert_eq!(before.len(), after.len(), "{path} has another length");
    let number = u32::from_be_bytes(before[24..28].try_into().expect("four bytes"));
    let binding = FrameBinding::new(&ledger_id, number);
    let mut at = HEADER_BYTES;
    assert_eq!(before[..at], after[..at], "the header of {path} changed");
    while let Some(frame) = binding.take(&before[at..], at as u64) {
        let end = at + FRAME_BYTES + frame.body.len();
        if before[at..end] != after[at..end] {
            let new = binding.take(&after[at..end], at as u64).expect("an erased frame holds");
            assert_eq!((frame.kind, new.kind), (FrameType::Sealed, FrameType::SealedErased));
            assert_eq!(frame.body[..25], new.body[..25], "another record's frame was erased");
        }
        at = end;
    }
    assert!(before[at..] == after[at..], "bytes behind the last frame of {path} changed");
}

struct VaultBase {
    disk: Snapshot,
    keys: Snapshot,
    /// Sealed records by slot, with what they hold.
    sealed: Vec<([u8; 16], Vec<u8>, Vec<u8>)>,
}

const KEY_ID: &str = "p1";
const SECRET: &[u8] = b"a secret of a producer";
const STATEMENT: Hash = Hash([4; 32]);

fn vault_base() -> &'static VaultBase {
    static BASE: OnceLock<VaultBase> = OnceLock::new();
    BASE.get_or_init(|| {
        let (disk, keys) = (SimDisk::new(1), SimDisk::new(2));
        let entropy = Arc::new(SimEntropy::new(3));
        let ring = KeyRing::create(&keys, entropy.as_ref()).expect("an empty folder");
        let vault =
            Vault::create(Arc::new(disk.clone()), &ring, entropy, 6).expect("an empty disk");
        vault.put_secret(KEY_ID, SECRET).expect("a disk without faults");
        let mut sealed = Vec::new();
        for user in ["alice", "bob", "carol"] {
            let slot = vault.person("", "idp", user).expect("there are slots");
            let record = user.repeat(20).into_bytes();
            let nonce = *sha256(user.as_bytes()).0.first_chunk().expect("long enough");
            let closed = vault.seal(&slot, 0, &STATEMENT, &record, nonce);
            sealed.push((slot.handle, record, closed));
        }
        vault.snapshot(5).expect("a disk without faults");
        vault.erase(&sealed[2].0).expect("a disk without faults");
        drop(vault);
        assert_eq!(Vault::check(&disk, &ring), []);
        VaultBase { disk: disk.snapshot(), keys: keys.snapshot(), sealed }
    })
}

/// Damages the vault's files, some with right CRCs, opens it and asks for everything.
pub fn vault(data: &[u8]) {
    let base = vault_base();
    let (disk, keys) = (SimDisk::new(1), SimDisk::new(2));
    disk.restore(&base.disk);
    keys.restore(&base.keys);
    let ring = KeyRing::open(&keys).expect("the keys are whole");
    let mut input = Cursor::new(data);
    let flags = input.u8();
    let files: BTreeMap<&String, &Vec<u8>> = base.disk.files().iter().collect();
    let paths: Vec<&String> = files.keys().copied().collect();
    for _ in 0..3 {
        if input.is_done() {
            break;
        }
        let path = paths[usize::from(input.u8()) % paths.len()].as_str();
        let count = usize::from(input.u8());
        let mut steps = Cursor::new(input.bytes(count));
        let Ok(mut bytes) = disk.read(path) else { continue };
        damage(&mut steps, &mut bytes);
        if flags & 1 != 0 {
            crc_again(path, &mut bytes);
        }
        disk.write(path, &bytes).expect("the folder is there");
    }
    let changed = files.iter().any(|(path, bytes)| disk.read(path).ok().as_ref() != Some(*bytes));
    let damages = Vault::check(&disk, &ring);
    assert!(changed || damages.is_empty(), "{damages:?}");
    assert!(!changed || flags & 1 != 0 || !damages.is_empty(), "a change that is not found");
    let opened = Vault::open(Arc::new(disk.clone()), &ring, Arc::new(SimEntropy::new(4)));
    let Ok((vault, as_of)) = opened else {
        assert!(changed, "a whole vault does not open");
        return;
    };
    assert!(flags & 1 != 0 || as_of == 0 || as_of == 5, "a map of another size");
    match vault.secret(KEY_ID) {
        Ok(Some(secret)) => assert_eq!(&secret[..], SECRET, "another secret"),
        Ok(None) => panic!("the file of the secret is there"),
        Err(_) => assert!(changed),
    }
    for (handle, record, closed) in &base.sealed {
        match vault.open_sealed(handle, 0, &STATEMENT, closed) {
            Ok(opened) => {
                assert!(opened == *record && *handle != base.sealed[2].0, "it opens wrong");
            }
            Err(_) => assert!(changed || *handle == base.sealed[2].0),
        }
        let found = vault.redo_person("", "idp", "dave", handle);
        assert!(found.is_ok() || changed, "a slot is gone");
    }
    let fresh = vault.person("", "idp", "erin").expect("a disk without faults");
    let erased = base.sealed[2].0;
    assert!(fresh.handle != erased || !vault.is_erased(&erased), "an erased slot is given out");
    let _ = vault.refill(2);
    let _ = vault.erase(&base.sealed[0].0);
    assert!(vault.open_sealed(&base.sealed[0].0, 0, &STATEMENT, &base.sealed[0].2).is_err());
    assert!(vault.snapshot(9).is_ok());
    drop(vault);
    assert!(disk.list("vault").expect("a disk without faults").len() >= 3);
}

/// Writes right CRC-32s where this file has some: what then is wrong only the cipher can tell.
fn crc_again(path: &str, bytes: &mut [u8]) {
    const HEADER: usize = 68;
    let put = |bytes: &mut [u8], crc: u32| {
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&crc.to_be_bytes());
    };
    if path.contains("secret-") {
        if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
            *crc = crc32fast::hash(body).to_be_bytes();
        }
        return;
    }
    if bytes.len() < HEADER {
        return;
    }
    let crc = crc32fast::hash(&bytes[..64]);
    put(&mut bytes[..HEADER], crc);
    let record = if path.ends_with("map") { 24 } else { 84 };
    for (position, record) in (0_u64..).zip(bytes[HEADER..].chunks_exact_mut(record)) {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&position.to_be_bytes());
        crc.update(&record[..record.len() - 4]);
        put(record, crc.finalize());
    }
}
