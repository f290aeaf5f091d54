//! The check of a vault's files, for `verify`. Reads only.
//!
//! Promises: one changed bit in any byte of any file of the vault is named. Every record carries a
//! CRC, every wrapped key and header authenticates under the KEK, and bytes without meaning must be
//! zero.
//!
//! Does not see: a slot file missing at the end when the map is missing too, a secret's file that
//! is gone (the engine knows from `KEY_ADDED` which there must be), an older copy of everything.

use std::io;

use ledgerline_world::disk::{Disk, read_whole};

use super::map::{self, Snapshot};
use super::seal::Cipher;
use super::slots::{self, Flaw, Record, State, written_handle};
use super::{DIR, MAX_MAP_BYTES, MAX_SLOT_FILE_BYTES, secrets};
use crate::keys::KeyRing;

/// Something wrong in a file of the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultDamage {
    /// Path below the data directory.
    pub file: String,
    /// Where the damaged header or record begins.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
    /// The handle of the slot, as its record claims. When the ledger holds its `ERASED`, this is an
    /// erasure that a crash interrupted: opening the vault and erasing again finishes it.
    pub handle: Option<[u8; 16]>,
    /// The file may be lost: the engine rebuilds it from the journal.
    pub rebuildable: bool,
}

/// Collects damages of one vault.
struct Checker<'a> {
    disk: &'a dyn Disk,
    kek: Cipher,
    damages: Vec<VaultDamage>,
    vault_id: Option<[u8; 16]>,
    /// Handle and state of the slots seen so far.
    slots: Vec<([u8; 16], State)>,
}

/// Reads every file of the vault and says what is wrong; see [`super::Vault::check`].
pub(super) fn check(disk: &dyn Disk, keys: &KeyRing) -> Vec<VaultDamage> {
    let mut checker = Checker {
        disk,
        kek: Cipher::new(&keys.kek),
        damages: Vec::new(),
        vault_id: None,
        slots: Vec::new(),
    };
    let names = match disk.list(DIR) {
        Ok(names) => names,
        Err(error) => {
            checker.report(DIR, Flaw { offset: 0, what: unreadable(&error) }, None);
            Vec::new()
        }
    };
    for name in names.iter().filter(|name| name.starts_with("slots-")) {
        checker.check_slots(&format!("{DIR}/{name}"));
    }
    if checker.slots.is_empty() && checker.damages.is_empty() {
        checker.report(DIR, Flaw { offset: 0, what: "no slot file" }, None);
    }
    for name in &names {
        let file = format!("{DIR}/{name}");
        // A staged file is what a crash left of a write that never counted; opening removes it.
        if name.starts_with("slots-") || name.ends_with(".new") {
            continue;
        } else if file == map::FILE {
            checker.check_map();
        } else if name.starts_with(secrets::PREFIX) {
            checker.check_secret(&file, name);
        } else {
            checker.report(&file, Flaw { offset: 0, what: "not a file of the vault" }, None);
        }
    }
    checker.damages
}

fn unreadable(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::InvalidData => "file is too long",
        _ => "file cannot be read",
    }
}

impl Checker<'_> {
    fn report(&mut self, file: &str, flaw: Flaw, handle: Option<[u8; 16]>) {
        let rebuildable = file == map::FILE;
        let (file, Flaw { offset, what }) = (file.to_owned(), flaw);
        self.damages.push(VaultDamage { file, offset, what, handle, rebuildable });
    }

    fn read(&mut self, file: &str, limit: u64) -> Option<Vec<u8>> {
        match read_whole(self.disk, file, limit) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.report(file, Flaw { offset: 0, what: unreadable(&error) }, None);
                None
            }
        }
    }

    fn check_slots(&mut self, file: &str) {
        if file.ends_with(".new") {
            return;
        }
        let first = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        let Some(bytes) = self.read(file, MAX_SLOT_FILE_BYTES) else { return };
        if file != slots::path(first) {
            let what = "slot file under another name, or one is missing";
            self.report(file, Flaw { offset: 24, what }, None);
            return;
        }
        let (header, records) = match slots::parse_file(&bytes, first, &self.kek) {
            Ok(parsed) => parsed,
            Err(flaw) => {
                // The records cannot be judged, but they keep their places for the files that
                // follow.
                let records = bytes.len().saturating_sub(slots::HEADER) / slots::RECORD;
                let places = self.slots.len() + records;
                self.slots.resize(places, ([0; 16], State::Damaged));
                return self.report(file, flaw, None);
            }
        };
        if *self.vault_id.get_or_insert(header.vault_id) != header.vault_id {
            self.report(file, Flaw { offset: 8, what: "slot file of another vault" }, None);
        }
        for (position, bytes) in (first..).zip(records) {
            let handle = written_handle(bytes);
            let state = match Record::decode(position, bytes) {
                Ok(Record::Erased { .. }) => Ok(State::Erased),
                Ok(record) if record.unwrap(position, &self.kek).is_ok() => Ok(State::Free),
                Ok(_) => Err("wrapped key does not open"),
                Err(what) => Err(what),
            };
            self.slots.push((handle, state.unwrap_or(State::Damaged)));
            if let Err(what) = state {
                let offset = slots::record_offset(first, position);
                self.report(file, Flaw { offset, what }, Some(handle));
            }
        }
    }

    fn check_map(&mut self) {
        let Some(bytes) = self.read(map::FILE, MAX_MAP_BYTES) else { return };
        // Without a readable slot file there is nothing that a map could belong to.
        let Some(vault_id) = self.vault_id else { return };
        let snapshot = match Snapshot::parse(&bytes, &self.kek, &vault_id) {
            Ok(snapshot) => snapshot,
            Err(flaw) => return self.report(map::FILE, flaw, None),
        };
        for (position, record) in (0..).zip(&snapshot.records) {
            let offset = map::record_offset(position);
            let Some(&(handle, state)) = self.slots.get(position as usize) else {
                let what = "slots that the map knows are missing";
                self.report(map::FILE, Flaw { offset, what }, None);
                // Not the map is lost here but slots, and they cannot be rebuilt.
                self.damages.last_mut().expect("just reported").rebuildable = false;
                return;
            };
            match record {
                Err(flaw) => self.report(map::FILE, *flaw, Some(handle)),
                Ok(record)
                    if state != State::Damaged
                        && (state == State::Erased) != (record.state == State::Erased) =>
                {
                    let what = "map and slot disagree about an erasure";
                    self.report(map::FILE, Flaw { offset, what }, Some(handle));
                }
                Ok(_) => {}
            }
        }
    }

    fn check_secret(&mut self, file: &str, name: &str) {
        let Some(bytes) = self.read(file, secrets::MAX_FILE_BYTES) else { return };
        match secrets::decode(&bytes, &self.kek) {
            Err(flaw) => self.report(file, flaw, None),
            Ok((key_id, _)) if secrets::file_name(&key_id) != name => {
                self.report(file, Flaw { offset: 0, what: "secret under another name" }, None);
            }
            Ok(_) => {}
        }
    }
}
