//! The key files: the five secrets of a node that are not in its data directory.
//!
//! Promises: a key is used only when its file is whole, names itself, and belongs to the same ring
//! as the four others. A ring is created completely or not at all, and never beside files of an
//! older one.
//!
//! Assumes: the folder is readable by the node alone (files are created with mode 0600; the program
//! refuses others) and is backed up apart from the data. Losing `kek` loses every personal record;
//! losing `log` needs a new origin.
//!
//! Refuses: to replace, repair or complete a ring by inventing keys. A missing key is restored from
//! a backup, because new bytes under an old name would open nothing that the old ones closed.
//!
//! ```text
//! <name>.key       "ledgerline-key-1 " name " " ring " " key " " crc "\n"
//! <name>.key.new   the same, staged while the ring is created
//!
//! ring   16 hex digits, random, the same in all five files
//! key    lowercase hex: 32 bytes, 16 for `index`
//! crc    8 hex digits, CRC-32 of everything before the space in front of it
//! ```
//!
//! A sixth file, `answers.key`, signs answers to callers. It belongs to the ring and is no part of
//! it: nothing was closed with it, so a lost one is made anew and its public half published again.
//!
//! Creating stages all five files, syncs them, and only then renames. So a crash before the first
//! rename leaves no `.key` (nothing was ever encrypted: start again), and a crash after it leaves
//! the remaining ones staged (opening finishes the renames).

use std::fmt;
use std::io;

use ledgerline_world::disk::{Disk, OpenMode, read_whole};
use ledgerline_world::entropy::{Entropy, random};
use zeroize::{Zeroize, Zeroizing};

const FORMAT: &str = "ledgerline-key-1";
/// Names and lengths in bytes, in the order in which they are created.
const KEYS: [(&str, usize); 5] =
    [("kek", 32), ("journal", 32), ("vault", 32), ("index", 16), ("log", 32)];
/// The key that signs answers.
const ANSWERS: &str = "answers";
/// No key file is longer; a longer one is not read.
const MAX_FILE_BYTES: usize = 256;

/// The keys of one node. Wiped when dropped; never printed.
pub struct KeyRing {
    /// Wraps the keys of the vault.
    pub kek: [u8; 32],
    /// Authenticates commit frames of the journal.
    pub journal: [u8; 32],
    /// Makes handles and vault map keys.
    pub vault: [u8; 32],
    /// Hashes the terms of index runs (`SipHash-128`).
    pub index: [u8; 16],
    /// Seed of the Ed25519 key that signs checkpoints.
    pub log_seed: [u8; 32],
}

/// Why the keys cannot be used. No variant carries key bytes.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// No key file is there.
    #[error("no key files here; restore them from the backup made when the ledger was created")]
    Absent,
    /// Some key files are there and others are not.
    #[error("key files missing: {}; restore them from the backup, they cannot be made again",
        .0.join(", "))]
    Missing(Vec<String>),
    /// Keys are to be created where there are some.
    #[error("key files exist already; a second set beside them would open nothing")]
    Exists,
    /// A file is cut, changed, or not a key file.
    #[error("{file} is not a whole key file ({why}); restore it from the backup")]
    Damaged {
        /// The file's name.
        file: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A whole key file under the wrong name.
    #[error("{file} holds the key '{holds}'; the files were swapped")]
    Swapped {
        /// The file's name.
        file: String,
        /// The name written in it.
        holds: String,
    },
    /// A whole key file of another ledger.
    #[error("{file} belongs to another set of keys than {other}; restore the file that fits")]
    OtherRing {
        /// The file that differs.
        file: String,
        /// The file it was compared with.
        other: String,
    },
    /// The disk failed.
    #[error("key file {file}: {source}")]
    Io {
        /// The file's name.
        file: String,
        /// What the disk said.
        source: io::Error,
    },
}

impl KeyRing {
    /// Opens the ring, or creates one in a folder that holds no key file. For a fresh folder only:
    /// beside an existing ledger call [`KeyRing::open`], which never creates.
    ///
    /// # Errors
    /// As [`KeyRing::open`] and [`KeyRing::create`].
    pub fn open_or_create(disk: &dyn Disk, entropy: &dyn Entropy) -> Result<Self, KeyRingError> {
        match Self::open(disk) {
            Err(KeyRingError::Absent) => Self::create(disk, entropy),
            opened => opened,
        }
    }

    /// Creates five fresh keys; durable when it returns. `disk` is rooted at the keys folder.
    ///
    /// # Errors
    /// [`KeyRingError::Exists`] when a key file is there, [`KeyRingError::Io`] when the disk fails.
    pub fn create(disk: &dyn Disk, entropy: &dyn Entropy) -> Result<Self, KeyRingError> {
        if KEYS.iter().try_fold(false, |any, (name, _)| exists(disk, name).map(|one| any | one))? {
            return Err(KeyRingError::Exists);
        }
        let ring = random::<8>(entropy);
        for (name, length) in KEYS {
            let mut key = Zeroizing::new([0; 32]);
            entropy.fill(&mut key[..length]);
            let text = write_key(name, &ring, &key[..length]);
            stage(disk, name, text.as_bytes()).map_err(io_error(name))?;
        }
        disk.sync_dir("").map_err(io_error("."))?;
        for (name, _) in KEYS {
            publish(disk, name)?;
        }
        disk.sync_dir("").map_err(io_error("."))?;
        // What was written is what later starts will read: prove it now, while losing it costs
        // nothing.
        Self::open(disk)
    }

    /// Opens the ring, finishing a creation that was interrupted between its renames.
    ///
    /// # Errors
    /// [`KeyRingError::Absent`] when there is no key file at all, otherwise what is wrong and must
    /// be restored.
    pub fn open(disk: &dyn Disk) -> Result<Self, KeyRingError> {
        let mut present = Vec::new();
        for (name, _) in KEYS {
            present.push(exists(disk, name)?);
        }
        if !present.contains(&true) {
            return Err(KeyRingError::Absent);
        }
        if present.contains(&false) {
            finish_creation(disk, &present)?;
        }
        let mut texts = Vec::new();
        for (name, length) in KEYS {
            texts.push(read_key(disk, &path(name), name, length)?);
        }
        same_ring(&texts)?;
        let mut ring = Self {
            kek: [0; 32],
            journal: [0; 32],
            vault: [0; 32],
            index: [0; 16],
            log_seed: [0; 32],
        };
        ring.kek.copy_from_slice(&texts[0].key);
        ring.journal.copy_from_slice(&texts[1].key);
        ring.vault.copy_from_slice(&texts[2].key);
        ring.index.copy_from_slice(&texts[3].key);
        ring.log_seed.copy_from_slice(&texts[4].key);
        Ok(ring)
    }
}

/// Opens the key that signs answers of an opened ring's interface, or makes it. `disk` is rooted at
/// the keys folder.
///
/// # Errors
/// When the file is damaged or of another ring, or the disk fails.
pub fn open_or_create_answer_key(
    disk: &dyn Disk,
    entropy: &dyn Entropy,
) -> Result<Zeroizing<[u8; 32]>, KeyRingError> {
    let kek = read_key(disk, &path(KEYS[0].0), KEYS[0].0, KEYS[0].1)?;
    if !exists(disk, ANSWERS)? {
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(&mut key[..]);
        let ring = from_hex(&kek.ring).unwrap_or_default();
        let text = write_key(ANSWERS, &ring, &key[..]);
        stage(disk, ANSWERS, text.as_bytes()).map_err(io_error(ANSWERS))?;
        disk.sync_dir("").map_err(io_error("."))?;
        publish(disk, ANSWERS)?;
        disk.sync_dir("").map_err(io_error("."))?;
    }
    let file = read_key(disk, &path(ANSWERS), ANSWERS, 32)?;
    let mut seed = Zeroizing::new([0; 32]);
    seed.copy_from_slice(&file.key);
    same_ring(&[kek, file])?;
    Ok(seed)
}

impl Drop for KeyRing {
    fn drop(&mut self) {
        for key in [&mut self.kek, &mut self.journal, &mut self.vault, &mut self.log_seed] {
            key.zeroize();
        }
        self.index.zeroize();
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(secret)")
    }
}

/// One key file, read and checked alone.
struct KeyFile {
    file: String,
    ring: String,
    key: Zeroizing<Vec<u8>>,
}

fn path(name: &str) -> String {
    format!("{name}.key")
}

fn staged(name: &str) -> String {
    format!("{name}.key.new")
}

fn io_error(file: &str) -> impl FnOnce(io::Error) -> KeyRingError {
    let file = file.to_owned();
    move |source| KeyRingError::Io { file, source }
}

fn exists(disk: &dyn Disk, name: &str) -> Result<bool, KeyRingError> {
    disk.exists(&path(name)).map_err(io_error(&path(name)))
}

fn stage(disk: &dyn Disk, name: &str, text: &[u8]) -> io::Result<()> {
    let file = disk.open(&staged(name), OpenMode::Create)?;
    file.set_len(0)?;
    file.write_all_at(text, 0)?;
    file.sync()
}

fn publish(disk: &dyn Disk, name: &str) -> Result<(), KeyRingError> {
    disk.rename(&staged(name), &path(name)).map_err(io_error(&path(name)))
}

/// Some `.key` files are missing. If each of them is still staged, whole and of the same ring, the
/// creation was interrupted between its renames; otherwise keys were lost.
fn finish_creation(disk: &dyn Disk, present: &[bool]) -> Result<(), KeyRingError> {
    let mut texts = Vec::new();
    let mut missing = Vec::new();
    for ((name, length), present) in KEYS.into_iter().zip(present) {
        let file = if *present { path(name) } else { staged(name) };
        match read_key(disk, &file, name, length) {
            Ok(text) => texts.push(text),
            Err(error) if *present => return Err(error),
            Err(_) => missing.push(path(name)),
        }
    }
    if !missing.is_empty() {
        return Err(KeyRingError::Missing(missing));
    }
    same_ring(&texts)?;
    for ((name, _), _) in KEYS.into_iter().zip(present).filter(|(_, present)| !**present) {
        publish(disk, name)?;
    }
    disk.sync_dir("").map_err(io_error("."))
}

fn same_ring(texts: &[KeyFile]) -> Result<(), KeyRingError> {
    match texts.iter().find(|text| text.ring != texts[0].ring) {
        None => Ok(()),
        Some(text) => {
            Err(KeyRingError::OtherRing { file: text.file.clone(), other: texts[0].file.clone() })
        }
    }
}

fn write_key(name: &str, ring: &[u8], key: &[u8]) -> Zeroizing<String> {
    // One buffer that never grows: growing would leave a copy of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE_BYTES));
    for part in [FORMAT, " ", name, " ", &*hex(ring), " ", &*hex(key)] {
        text.push_str(part);
    }
    let crc = format!(" {:08x}\n", crc32fast::hash(text.as_bytes()));
    text.push_str(&crc);
    assert!(text.len() < MAX_FILE_BYTES, "the buffer did not grow");
    text
}

fn read_key(
    disk: &dyn Disk,
    file: &str,
    name: &str,
    length: usize,
) -> Result<KeyFile, KeyRingError> {
    let damaged = |why| KeyRingError::Damaged { file: file.to_owned(), why };
    let bytes =
        read_whole(disk, file, MAX_FILE_BYTES as u64).map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => damaged("too long"),
            _ => KeyRingError::Io { file: file.to_owned(), source },
        })?;
    let bytes = Zeroizing::new(bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged("not text"))?;
    let line = text.strip_suffix('\n').ok_or_else(|| damaged("cut short"))?;
    let (body, crc) = line.rsplit_once(' ').ok_or_else(|| damaged("not a key file"))?;
    if crc != format!("{:08x}", crc32fast::hash(body.as_bytes())) {
        return Err(damaged("checksum does not match"));
    }
    let words: Vec<&str> = body.split(' ').collect();
    let [FORMAT, holds, ring, key] = words[..] else {
        return Err(damaged("not a key file of this version"));
    };
    if holds != name {
        return Err(KeyRingError::Swapped { file: file.to_owned(), holds: holds.to_owned() });
    }
    let key = from_hex(key).filter(|key| key.len() == length);
    let key = key.ok_or_else(|| damaged("the key has another length"))?;
    Ok(KeyFile { file: file.to_owned(), ring: ring.to_owned(), key })
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    // The exact capacity: growing would leave a copy of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    for pair in pairs {
        bytes.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(bytes)
}
