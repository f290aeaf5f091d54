//! Every changed bit is noticed, and nothing secret or personal stands in clear.

mod vault_disk;

use std::sync::Arc;

use ledgerline_proof::hash::sha256;
use ledgerline_proof::vocabulary::HandleKind;
use ledgerline_vault::keys::{KeyRing, KeyRingError};
use ledgerline_vault::{Vault, VaultError};

use vault_disk::{MemoryDisk, SeededEntropy};

const SECRET: &[u8] = b"a-shared-secret-of-a-producer";

/// A vault with slots free, taken, given to persons and chains, and erased, in two files; a map;
/// secrets.
fn full_vault(disk: &MemoryDisk) -> (Vault, KeyRing, Arc<SeededEntropy>) {
    let entropy = SeededEntropy::new(7);
    let keys = KeyRing::create(&MemoryDisk::default(), &*entropy).unwrap();
    let vault = Vault::create(disk.shared(), &keys, entropy.clone(), 5).unwrap();
    for user in ["alice@example.org", "bob@example.org", "carol@example.org"] {
        vault.person("tenant", "issuer", user).unwrap();
    }
    vault.chain_slot(b"chain of a token").unwrap();
    vault.refill(3).unwrap();
    vault.put_secret("key-1", SECRET).unwrap();
    vault.put_secret("key-2", &SECRET.repeat(3)).unwrap();
    vault.snapshot(42).unwrap();
    vault.erase(&vault.find_person("tenant", "issuer", "bob@example.org").unwrap()).unwrap();
    (vault, keys, entropy)
}

fn open_all(disk: &MemoryDisk, keys: &KeyRing) -> Result<(Vault, u64), VaultError> {
    Vault::open(disk.shared(), keys, SeededEntropy::new(8))
}

#[test]
fn every_flipped_bit_is_noticed() {
    let disk = MemoryDisk::default();
    let (vault, keys, _) = full_vault(&disk);
    drop(vault);
    assert_eq!(Vault::check(&disk, &keys), []);
    let files = disk.files();
    assert_eq!(files.len(), 5, "two slot files, a map, two secrets");
    for (path, bytes) in files {
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            disk.put(&path, &bad);
            let damages = Vault::check(&disk, &keys);
            let named = damages.iter().find(|damage| damage.file == path);
            let damage = named.unwrap_or_else(|| panic!("{path} bit {bit}: {damages:?}"));
            assert!(damage.offset <= (bit / 8) as u64, "{path} bit {bit}: {damage:?}");
            assert_eq!(damage.rebuildable, path == "vault/map");
            if bit % 8 == 0 {
                open_flipped(&disk.copy(), &keys, &path);
            }
        }
        disk.put(&path, &bytes);
    }
    assert_eq!(Vault::check(&disk, &keys), []);
}

/// A vault with one wrong byte opens with what is left, or says what is damaged; the map only costs
/// time.
fn open_flipped(disk: &MemoryDisk, keys: &KeyRing, path: &str) {
    match open_all(disk, keys) {
        Ok((vault, as_of)) => {
            assert!(path != "vault/map" || as_of == 0 || as_of == 42);
            assert_eq!(vault.damaged_slots() == 1, path.contains("slots-"));
            vault.person("tenant", "issuer", "alice@example.org").unwrap();
            let broken = ["key-1", "key-2"].iter().filter(|id| vault.secret(id).is_err()).count();
            assert_eq!(broken == 1, path.contains("secret-"), "{path}");
        }
        Err(VaultError::Damaged { file, .. } | VaultError::WrongKek { file }) => {
            assert!(file == path && path.contains("slots-"), "{file}");
        }
        Err(error) => panic!("{path}: {error}"),
    }
}

#[test]
fn cut_swapped_and_foreign_files_are_noticed() {
    type Change = fn(&MemoryDisk);
    let changes: [(&str, Change); 9] = [
        ("slots cut", |disk| cut(disk, "vault/slots-0000000005")),
        ("map cut", |disk| cut(disk, "vault/map")),
        ("slots longer", |disk| append(disk, "vault/slots-0000000000")),
        ("map longer", |disk| append(disk, "vault/map")),
        ("first slots gone", |disk| disk.delete("vault/slots-0000000000")),
        ("last slots gone", |disk| disk.delete("vault/slots-0000000005")),
        ("slots swapped", |disk| {
            let (first, second) =
                (disk.read("vault/slots-0000000000"), disk.read("vault/slots-0000000005"));
            disk.put("vault/slots-0000000000", &second);
            disk.put("vault/slots-0000000005", &first);
        }),
        ("records swapped", |disk| {
            let mut bytes = disk.read("vault/slots-0000000000");
            bytes[68..68 + 2 * 84].rotate_left(84);
            disk.put("vault/slots-0000000000", &bytes);
        }),
        ("stranger", |disk| disk.put("vault/notes", b"?")),
    ];
    for (name, change) in changes {
        let disk = MemoryDisk::default();
        let (_, keys, _) = full_vault(&disk);
        change(&disk);
        assert_ne!(Vault::check(&disk, &keys), [], "{name}");
    }
}

fn cut(disk: &MemoryDisk, path: &str) {
    let bytes = disk.read(path);
    disk.put(path, &bytes[..bytes.len() - 1]);
}

fn append(disk: &MemoryDisk, path: &str) {
    disk.put(path, &[&disk.read(path)[..], &[0]].concat());
}

#[test]
fn files_of_another_vault_are_refused() {
    let (disk, other) = (MemoryDisk::default(), MemoryDisk::default());
    let (_, keys, entropy) = full_vault(&disk);
    // The same keys, another vault: even then its files do not mix in.
    Vault::create(other.shared(), &keys, entropy.clone(), 5).unwrap().refill(3).unwrap();
    disk.put("vault/slots-0000000005", &other.read("vault/slots-0000000005"));
    assert_ne!(Vault::check(&disk, &keys), []);
    let error = open_all(&disk, &keys).map(|_| ()).unwrap_err();
    assert!(matches!(error, VaultError::Damaged { offset: 8, .. }), "{error}");

    // Another KEK.
    let strangers = KeyRing::create(&MemoryDisk::default(), &*entropy).unwrap();
    let error = open_all(&other, &strangers).map(|_| ()).unwrap_err();
    assert!(matches!(error, VaultError::WrongKek { .. }), "{error}");
    assert_ne!(Vault::check(&other, &strangers), []);
}

/// Whether `needle` stands in `bytes`, raw or as hex.
fn stands_in(bytes: &[u8], needle: &[u8]) -> bool {
    let hex: String = needle.iter().map(|byte| format!("{byte:02x}")).collect();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    holds(needle) || holds(hex.as_bytes()) || holds(hex.to_uppercase().as_bytes())
}

#[test]
fn nothing_secret_or_personal_in_clear() {
    let disk = MemoryDisk::default();
    let (vault, keys, entropy) = full_vault(&disk);
    let slot = vault.person("tenant", "issuer", "alice@example.org").unwrap();
    let sealed = vault.seal(&slot, 0, &sha256(b"s"), b"alice@example.org 192.0.2.77", [1; 12]);
    let _ = vault.handle(HandleKind::Addr, "tenant", "192.0.2.77");
    let mut secret: Vec<Vec<u8>> = entropy.keys.lock().unwrap().clone();
    assert!(secret.len() >= 4 + 8, "four keys of the ring, eight slots: {}", secret.len());
    secret.push(keys.index.to_vec());
    secret.push(SECRET.to_vec());
    let personal = ["alice@example.org", "bob@example.org", "carol@example.org", "192.0.2.77"];
    secret.extend(personal.map(|value| value.as_bytes().to_vec()));
    secret.push(b"chain of a token".to_vec());

    let mut places: Vec<(String, Vec<u8>)> = disk.files();
    places.push(("sealed".into(), sealed));
    let error = vault.put_secret("key-1", b"other").unwrap_err();
    let debug = format!("{vault:?} {keys:?} {slot:?} {error:?} {error}");
    assert!(debug.contains("KeyRing(secret)"), "{debug}");
    places.push(("debug".into(), debug.into_bytes()));
    for (place, bytes) in &places {
        for needle in &secret {
            assert!(!stands_in(bytes, needle), "{place}: {}", String::from_utf8_lossy(needle));
        }
    }
    // The search finds what is there: a handle raw in its file, and as hex in the debug text.
    let raw = disk.read("vault/slots-0000000000")[68..84].to_vec();
    assert_eq!(places.iter().filter(|(_, bytes)| stands_in(bytes, &raw)).count(), 2);
}

#[test]
fn secrets_keep_their_key_ids() {
    let disk = MemoryDisk::default();
    let (vault, keys, _) = full_vault(&disk);
    vault.put_secret("key-1", SECRET).unwrap();
    assert!(matches!(vault.put_secret("key-1", b"x"), Err(VaultError::SecretExists)));
    vault.put_secret("", b"").unwrap();
    vault.put_secret(&"k".repeat(1024), &[9; 1024]).unwrap();
    for (key_id, secret) in [("k".repeat(1025), vec![9]), ("key-3".into(), vec![9; 1025])] {
        let refused = vault.put_secret(&key_id, &secret);
        assert!(matches!(refused, Err(VaultError::TooLong { limit: 1024, .. })), "{refused:?}");
    }
    drop(vault);
    let (vault, _) = open_all(&disk, &keys).unwrap();
    for (key_id, secret) in [("key-1", SECRET), ("", b""), (&"k".repeat(1024), &[9; 1024])] {
        assert_eq!(vault.secret(key_id).unwrap().unwrap()[..], *secret);
    }
    assert_eq!(vault.secret("key-3").unwrap(), None);
    assert_eq!(Vault::check(&disk, &keys), []);

    // One secret's file under the other's name.
    let names: Vec<_> =
        disk.files().into_iter().filter(|(name, _)| name.contains("secret-")).collect();
    disk.put(&names[0].0, &names[1].1);
    assert_eq!(Vault::check(&disk, &keys).len(), 1);
}

const KEY_FILES: [&str; 5] = ["kek.key", "journal.key", "vault.key", "index.key", "log.key"];

#[test]
fn key_files_are_refused_when_changed() {
    let (disk, entropy) = (MemoryDisk::default(), SeededEntropy::new(9));
    let ring = KeyRing::open_or_create(&disk, &*entropy).unwrap();
    let again = KeyRing::open_or_create(&disk, &*entropy).unwrap();
    assert_eq!((ring.kek, ring.index, ring.log_seed), (again.kek, again.index, again.log_seed));
    assert!(matches!(KeyRing::create(&disk, &*entropy), Err(KeyRingError::Exists)));
    for name in KEY_FILES {
        let whole = disk.read(name);
        for bit in 0..whole.len() * 8 {
            let mut bad = whole.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            check_key_file(&disk, name, &bad);
        }
        for cut in 0..whole.len() {
            check_key_file(&disk, name, &whole[..cut]);
        }
        check_key_file(&disk, name, &[&whole[..], b"\n"].concat());
        check_key_file(&disk, name, &whole.repeat(9));
        disk.put(name, &whole);
    }
    KeyRing::open(&disk).unwrap();
}

fn check_key_file(disk: &MemoryDisk, name: &str, bytes: &[u8]) {
    disk.put(name, bytes);
    match KeyRing::open_or_create(disk, &*SeededEntropy::new(10)) {
        Err(KeyRingError::Damaged { file, .. }) => assert_eq!(file, name),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn key_files_are_not_mixed_and_never_made_again() {
    let entropy = SeededEntropy::new(11);
    let (disk, other) = (MemoryDisk::default(), MemoryDisk::default());
    KeyRing::create(&disk, &*entropy).unwrap();
    KeyRing::create(&other, &*entropy).unwrap();
    let files = disk.files();

    disk.put("kek.key", &disk.read("vault.key"));
    let swapped = KeyRing::open_or_create(&disk, &*entropy).unwrap_err();
    assert!(matches!(&swapped, KeyRingError::Swapped { file, holds }
            if file == "kek.key" && holds == "vault"));

    for name in KEY_FILES {
        files.iter().for_each(|(name, bytes)| disk.put(name, bytes));
        disk.put(name, &other.read(name));
        let mixed = KeyRing::open_or_create(&disk, &*entropy).unwrap_err();
        assert!(matches!(mixed, KeyRingError::OtherRing { .. }), "{name}: {mixed}");

        files.iter().for_each(|(name, bytes)| disk.put(name, bytes));
        disk.delete(name);
        let missing = KeyRing::open_or_create(&disk, &*entropy).unwrap_err();
        assert!(missing.to_string().contains(name), "{missing}");
        assert!(!disk.files().iter().any(|(there, _)| there == name));

        // A staged file of another ring does not complete this one.
        disk.put(&format!("{name}.new"), &other.read(name));
        let mixed = KeyRing::open_or_create(&disk, &*entropy).unwrap_err();
        assert!(matches!(mixed, KeyRingError::OtherRing { .. }), "{name}: {mixed}");
        disk.delete(&format!("{name}.new"));
    }
    assert!(matches!(KeyRing::open(&MemoryDisk::default()), Err(KeyRingError::Absent)));
}
