//! Creating a vault, and opening one after whatever happened to it.
//!
//! Promises: opening repairs only what a crash of ours leaves: staged files, a torn map record of
//! an erased slot, a useless map. Damage of any other kind is left as it is and said.

use std::io;
use std::sync::{Arc, Mutex};

use ledgerline_world::disk::{Disk, OpenMode, read_whole};
use ledgerline_world::entropy::{Entropy, random};

use super::check::{self, VaultDamage};
use super::errors::VaultError;
use super::key_table::KeyTable;
use super::map::{self, MapRecord, Names, Snapshot};
use super::seal::Cipher;
use super::slots::{self, Flaw, Run, State};
use super::{DIR, MAX_MAP_BYTES, MAX_SLOT_FILE_BYTES, Vault, damaged, io_error};
use crate::keys::KeyRing;

/// How the names of staged files end.
const STAGED: &str = ".new";

impl Vault {
    /// Creates a vault with at least `slots` slots; durable when it returns.
    ///
    /// # Errors
    /// [`VaultError::Exists`] when there is one, [`VaultError::Io`] when the disk fails.
    pub fn create(
        disk: Arc<dyn Disk>,
        keys: &KeyRing,
        entropy: Arc<dyn Entropy>,
        slots: usize,
    ) -> Result<Self, VaultError> {
        if !slot_files(&*disk)?.is_empty() {
            return Err(VaultError::Exists);
        }
        disk.create_dir(DIR).map_err(io_error(DIR))?;
        let vault_id = random(&*entropy);
        let vault = Self::assemble(disk, keys, entropy, vault_id, KeyTable::new());
        vault.refill(slots.max(1))?;
        Ok(vault)
    }

    /// Opens the vault and says which ledger size its map covers: 0 when the map was lost. The
    /// module documentation names the calls that must follow.
    ///
    /// # Errors
    /// [`VaultError::Missing`], [`VaultError::WrongKek`], [`VaultError::SlotsLost`],
    /// [`VaultError::Damaged`] when a slot file cannot be used at all (single damaged slots are set
    /// aside, see [`Vault::damaged_slots`]), [`VaultError::Io`].
    pub fn open(
        disk: Arc<dyn Disk>,
        keys: &KeyRing,
        entropy: Arc<dyn Entropy>,
    ) -> Result<(Self, u64), VaultError> {
        remove_staged(&*disk).map_err(io_error(DIR))?;
        let (vault_id, table) = open_slots(&*disk, &Cipher::new(&keys.kek))?;
        let vault = Self::assemble(disk, keys, entropy, vault_id, table);
        let as_of = vault.open_map()?;
        Ok((vault, as_of))
    }

    /// Reads every file of the vault below `disk` and says what is wrong. Changes nothing, needs no
    /// open vault, holds one file in memory at a time.
    #[must_use]
    pub fn check(disk: &dyn Disk, keys: &KeyRing) -> Vec<VaultDamage> {
        check::check(disk, keys)
    }

    fn assemble(
        disk: Arc<dyn Disk>,
        keys: &KeyRing,
        entropy: Arc<dyn Entropy>,
        vault_id: [u8; 16],
        table: KeyTable,
    ) -> Self {
        Self {
            disk,
            entropy,
            kek: Cipher::new(&keys.kek),
            names: Names::new(&keys.vault),
            vault_id,
            table: Mutex::new(table),
            writer: Mutex::default(),
        }
    }

    /// Applies the snapshot. A useless one is removed, so that no link outlives its erasure in it.
    fn open_map(&self) -> Result<u64, VaultError> {
        let _writer = self.writer();
        if !self.disk.exists(map::FILE).map_err(io_error(map::FILE))? {
            return Ok(0);
        }
        let snapshot = match read_whole(&*self.disk, map::FILE, MAX_MAP_BYTES) {
            Ok(bytes) => Snapshot::parse(&bytes, &self.kek, &self.vault_id).ok(),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
            Err(error) => return Err(io_error(map::FILE)(error)),
        };
        let applied = match &snapshot {
            Some(snapshot) => apply(snapshot, &mut self.table())?,
            None => None,
        };
        let (Some(Snapshot { as_of, .. }), Some(unfinished)) = (snapshot, applied) else {
            let removed = self.disk.remove(map::FILE).and_then(|()| self.disk.sync_dir(DIR));
            removed.map_err(io_error(map::FILE))?;
            return Ok(0);
        };
        self.clear_map_records(&unfinished)?;
        Ok(as_of)
    }
}

/// Paths of the slot files in order of their positions.
fn slot_files(disk: &dyn Disk) -> Result<Vec<String>, VaultError> {
    let names = disk.list(DIR).map_err(io_error(DIR))?;
    let slots = names.iter().filter(|name| name.starts_with("slots-") && !name.ends_with(STAGED));
    Ok(slots.map(|name| format!("{DIR}/{name}")).collect())
}

/// Removes what unfinished writes staged: fresh slots that nobody took, or a copy of the map. Then
/// makes every name durable: a write before this start may have failed between a rename and the
/// sync of the folder, and slots that are given out must not vanish.
fn remove_staged(disk: &dyn Disk) -> io::Result<()> {
    let names = disk.list(DIR)?;
    let staged: Vec<_> = names.iter().filter(|name| name.ends_with(STAGED)).collect();
    for name in &staged {
        disk.remove(&format!("{DIR}/{name}"))?;
    }
    if names.is_empty() { Ok(()) } else { disk.sync_dir(DIR) }
}

fn open_slots(disk: &dyn Disk, kek: &Cipher) -> Result<([u8; 16], KeyTable), VaultError> {
    let mut table = KeyTable::new();
    let mut vault_id = None;
    for path in slot_files(disk)? {
        let first = table.total();
        let bytes = read_whole(disk, &path, MAX_SLOT_FILE_BYTES).map_err(io_error(&path))?;
        let (header, records) = slots::parse_file(&bytes, first, kek).map_err(damaged(&path))?;
        let flaw = |offset, what| damaged(&path)(Flaw { offset, what });
        if path != slots::path(first) {
            return Err(flaw(24, "slot file under another name, or one is missing"));
        }
        if *vault_id.get_or_insert(header.vault_id) != header.vault_id {
            return Err(flaw(8, "slot file of another vault"));
        }
        if header.count > slots::MAX_SLOTS - first {
            return Err(VaultError::Full);
        }
        let file = disk.open(&path, OpenMode::Write).map_err(io_error(&path))?;
        table.add(Run::new(first, file.into(), records));
    }
    vault_id.map(|vault_id| (vault_id, table)).ok_or(VaultError::Missing)
}

/// Gives the slots of a snapshot to their keys. Returns the erased slots whose map record is still
/// to be cleared, or none when the snapshot is of no use.
fn apply(snapshot: &Snapshot, table: &mut KeyTable) -> Result<Option<Vec<u32>>, VaultError> {
    let known = u32::try_from(snapshot.records.len()).expect("counted in a u32");
    if known > table.total() {
        return Err(VaultError::SlotsLost { there: table.total(), known });
    }
    // An erasure overwrites the slot first, so a map record torn by it belongs to an erased slot.
    // Any other damage could hide a link: then all is redone from the journal.
    let lost = |(position, record): (u32, &Result<MapRecord, Flaw>)| {
        record.is_err() && table.state(position) != State::Erased
    };
    if (0..known).zip(&snapshot.records).any(lost) {
        return Ok(None);
    }
    let mut unfinished = Vec::new();
    for (position, record) in (0..known).zip(&snapshot.records) {
        if table.state(position) == State::Erased {
            if *record != Ok(MapRecord::ERASED) {
                unfinished.push(position);
            }
            continue;
        }
        match record {
            Ok(MapRecord { state: State::Mapped, key }) => table.give(position, Some(key)),
            Ok(MapRecord { state: State::Free, .. }) | Err(_) => {}
            // Erased here but live there: an older slot file was restored, the ledger erases it
            // again.
            Ok(_) => table.give(position, None),
        }
    }
    Ok(Some(unfinished))
}
