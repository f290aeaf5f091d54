//! The vault: the small mutable store of handles and personal keys. Erasing there is erasing.
//!
//! Promises:
//! - A slot (random handle and key) is durable before it is given out; [`Vault::person`] of a new
//!   user needs no fsync. Who has which slot is redone from the journal, so nothing else must be
//!   durable.
//! - When [`Vault::erase`] returns, the key of the slot is overwritten on disk, and so is the link
//!   from the person to the handle. No erased handle is given out again, nor one that was given out
//!   before.
//! - No key, person or value stands in any file in clear. A changed bit in any file is found by
//!   [`Vault::check`].
//!
//! Assumes: the keys of the [`crate::keys::KeyRing`] lie elsewhere; a sector write may tear but
//! touches only bytes that it changes. Overwriting is as final as the medium makes it
//! (docs/explanation/trust.md).
//!
//! Refuses: another KEK; to create a vault over an old one.
//!
//! After a failed write or sync nobody knows what the disk holds. So no step is ended by a second
//! sync alone: the caller calls again, and the step writes all its bytes anew, then syncs.
//!
//! ```text
//! vault/slots-<position>   slots.rs    must not be lost
//! vault/secret-<name>      secrets.rs  must not be lost
//! vault/map                map.rs      may be lost: redone from the journal
//! vault/*.new              staged by a write that did not finish; removed when the vault opens
//! ```
//!
//! At start the engine calls, in this order: [`Vault::open`]; [`Vault::erase`] for every `ERASED`
//! in the ledger (this finishes torn erasures and repeats those that a restored copy has forgotten;
//! cheap when done); [`Vault::redo_person`], [`Vault::redo_chain`] or [`Vault::mark_taken`] for the
//! entries since `as_of`, in ledger order. Only then may slots be taken. A slot taken for an entry
//! that never committed is free again after a crash, unless a snapshot was written in between; both
//! are harmless.
//!
//! Locks: `writer` orders all that writes files, `table` guards memory and is never held across
//! I/O. `writer` is taken first.

mod address;
mod check;
mod errors;
mod key_table;
pub mod keys;
mod map;
mod opening;
mod seal;
mod secrets;
mod slots;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use ledgerline_proof::hash::Hash;
use ledgerline_proof::vocabulary::HandleKind;
use ledgerline_world::cache::Usage;
use ledgerline_world::disk::{Disk, OpenMode, read_whole, replace_durably};
use ledgerline_world::entropy::Entropy;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use self::key_table::{KeyTable, Place};
use self::map::{MapKey, MapRecord, Names};
use self::seal::Cipher;
use self::slots::{Flaw, Header, Record, Run, State};

pub use self::check::VaultDamage;
pub use self::errors::{OpenError, VaultError};
pub use self::secrets::{MAX_KEY_ID_BYTES, MAX_SECRET_BYTES};

const DIR: &str = "vault";
const MAX_SLOT_FILE_BYTES: u64 =
    (slots::HEADER + slots::RECORD * slots::MAX_FILE_SLOTS as usize) as u64;
const MAX_MAP_BYTES: u64 = slots::HEADER as u64 + map::RECORD as u64 * slots::MAX_SLOTS as u64;
/// Slots made inline when none is free.
const INLINE_SLOTS: u32 = 64;
/// A refill makes at least this part of what there is, so that files stay few (84 at a million
/// slots).
const GROWTH_PART: u32 = 8;
/// Slots tried before a disk whose fresh slots do not read back is given up.
const MAX_TRIES: usize = 8;
/// Slots copied for a snapshot under one hold of the lock (about 0.1 ms).
const SNAPSHOT_CHUNK: u32 = 4096;

/// A slot in use: its handle, and its key, which never leaves the vault's code. Cheap to clone.
#[derive(Clone)]
pub struct Slot {
    /// The random pseudonym that entries carry.
    pub handle: [u8; 16],
    cipher: Arc<Cipher>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({:032x})", u128::from_be_bytes(self.handle))
    }
}

/// What only one thread at a time may do: write files.
#[derive(Default)]
struct Writer {
    /// Slots erased in memory whose erasure on the disk failed or is on its way.
    unfinished: BTreeSet<u32>,
}

/// The vault, shared by reference between threads.
pub struct Vault {
    disk: Arc<dyn Disk>,
    entropy: Arc<dyn Entropy>,
    kek: Cipher,
    names: Names,
    vault_id: [u8; 16],
    table: Mutex<KeyTable>,
    writer: Mutex<Writer>,
}

/// Slots and names.
impl Vault {
    /// The slot of a person: a known one's, or a free one that is this person's from now on. Values
    /// count byte for byte. No fsync unless no slot is free.
    ///
    /// # Errors
    /// [`VaultError::Io`] when a key cannot be read, or what [`Vault::refill`] says.
    ///
    /// # Panics
    /// When a value is longer than 65,535 bytes; statements bound them to 1,024.
    pub fn person(&self, tenant: &str, issuer: &str, user_id: &str) -> Result<Slot, VaultError> {
        self.slot_of(&self.names.person(tenant, issuer, user_id))
    }

    /// The slot of a chain whose person is not known. `chain` are the bytes of the chain's key.
    ///
    /// # Errors
    /// As [`Vault::person`].
    pub fn chain_slot(&self, chain: &[u8]) -> Result<Slot, VaultError> {
        self.slot_of(&self.names.chain(chain))
    }

    /// The prefix that an address lies in, in any spelling: /24 for IPv4, /64 for IPv6.
    #[must_use]
    pub fn network_of(address: &str) -> Option<String> {
        address::network(address)
    }

    /// The handle of an address, prefix, device, agent or resource. Computed, not stored: whoever
    /// holds the vault key can test guesses. map.rs says how values are made canonical.
    ///
    /// # Panics
    /// For `PERSON`, whose handles are random slots, and for values longer than 65,535 bytes.
    #[must_use]
    pub fn handle(&self, kind: HandleKind, tenant: &str, value: &str) -> [u8; 16] {
        self.names.handle(kind, tenant, value)
    }

    /// The handle of a person, if one has a slot. Takes none.
    #[must_use]
    pub fn find_person(&self, tenant: &str, issuer: &str, user_id: &str) -> Option<[u8; 16]> {
        let key = self.names.person(tenant, issuer, user_id);
        self.table().handle_of(&key)
    }

    /// Recovery: an entry of the journal has this handle for this person.
    ///
    /// # Errors
    /// [`VaultError::UnknownSlot`] when the vault is an older copy without this slot; the engine
    /// may go on, the record stays closed. Erased and damaged slots are left as they are.
    pub fn redo_person(
        &self,
        tenant: &str,
        issuer: &str,
        user_id: &str,
        handle: &[u8; 16],
    ) -> Result<(), VaultError> {
        self.redo(handle, Some(&self.names.person(tenant, issuer, user_id)))
    }

    /// Recovery: an entry of the journal has this handle for this chain.
    ///
    /// # Errors
    /// As [`Vault::redo_person`].
    pub fn redo_chain(&self, chain: &[u8], handle: &[u8; 16]) -> Result<(), VaultError> {
        self.redo(handle, Some(&self.names.chain(chain)))
    }

    /// Recovery: an entry of the journal has this handle, for whom is not known.
    ///
    /// # Errors
    /// As [`Vault::redo_person`].
    pub fn mark_taken(&self, handle: &[u8; 16]) -> Result<(), VaultError> {
        self.redo(handle, None)
    }

    /// Slots that can be taken without an fsync.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.table().free() as usize
    }

    /// Slots, taken or not.
    #[must_use]
    pub fn total_slots(&self) -> u32 {
        self.table().total()
    }

    /// Unwrapped keys that are cached, and what they were good for.
    #[must_use]
    pub fn cached_keys(&self) -> Usage {
        self.table().hot()
    }

    /// Nobody gets a free slot among the first `count` any more: a newer copy of the ledger, which
    /// is lost, may have given it to somebody.
    pub fn retire_below(&self, count: u32) {
        let mut table = self.table();
        for position in 0..count.min(table.total()) {
            // Gives free slots away to nobody, and leaves all others as they are.
            table.give(position, None);
        }
    }

    /// Slots whose record on disk does not hold. Their personal records stay closed until the slot
    /// file is restored; persons who had them get a new handle.
    #[must_use]
    pub fn damaged_slots(&self) -> usize {
        self.table().damaged() as usize
    }

    /// Makes at least `want` more slots, durable when it returns: two fsyncs and about 5 µs a slot.
    ///
    /// # Errors
    /// [`VaultError::Io`], [`VaultError::Full`].
    pub fn refill(&self, want: usize) -> Result<(), VaultError> {
        let _writer = self.writer();
        let part = (self.table().total() / GROWTH_PART).min(slots::MAX_FILE_SLOTS);
        let want = u32::try_from(want).unwrap_or(slots::MAX_SLOTS);
        let mut left = if want == 0 { 0 } else { want.max(part) };
        while left > 0 {
            let count = left.min(slots::MAX_FILE_SLOTS);
            self.add_file(count)?;
            left -= count;
        }
        Ok(())
    }

    fn slot_of(&self, key: &MapKey) -> Result<Slot, VaultError> {
        for _ in 0..MAX_TRIES {
            let taken = self.table().take(key);
            let Some(place) = taken else {
                self.refill_inline()?;
                continue;
            };
            let read = self.key_of(&place);
            let cipher = read.map_err(io_error(&slots::path(place.first)))?;
            if let Some(cipher) = cipher {
                return Ok(Slot { handle: place.handle, cipher });
            }
            // Damaged, or erased since: the key now leads nowhere and takes another slot.
        }
        Err(VaultError::Unreadable)
    }

    /// The key of a slot, from memory or disk; none when its record does not hold.
    fn key_of(&self, place: &Place) -> io::Result<Option<Arc<Cipher>>> {
        if let Some(cipher) = &place.cipher {
            return Ok(Some(Arc::clone(cipher)));
        }
        // Twice, because a wrong bit may have been on the way and not on the disk.
        for _ in 0..2 {
            let mut bytes = [0; slots::RECORD];
            place.file.read_exact_at(&mut bytes, place.offset)?;
            let record = Record::decode(place.position, &bytes).ok();
            let record = record.filter(|record| *record.handle() == place.handle);
            let cipher = record.and_then(|record| record.unwrap(place.position, &self.kek).ok());
            if let Some(cipher) = cipher.map(Arc::new) {
                self.table().warm(place.position, &cipher);
                return Ok(Some(cipher));
            }
        }
        self.table().distrust(place.position);
        Ok(None)
    }

    fn redo(&self, handle: &[u8; 16], key: Option<&MapKey>) -> Result<(), VaultError> {
        let mut table = self.table();
        match table.find(handle) {
            Some(place) => table.give(place.position, key),
            None if table.is_erased(handle) => {}
            None => return Err(VaultError::UnknownSlot),
        }
        Ok(())
    }

    fn refill_inline(&self) -> Result<(), VaultError> {
        let _writer = self.writer();
        // Another thread may have refilled while this one waited.
        if self.table().free() > 0 {
            return Ok(());
        }
        self.add_file(INLINE_SLOTS)
    }

    /// Called with the writer's lock.
    fn add_file(&self, count: u32) -> Result<(), VaultError> {
        let first = self.table().total();
        if count > slots::MAX_SLOTS - first {
            return Err(VaultError::Full);
        }
        let header = Header { vault_id: self.vault_id, number: first.into(), count };
        let bytes = slots::fresh_file(&header, &self.kek, &*self.entropy);
        let path = slots::path(first);
        replace_durably(&*self.disk, &path, &bytes).map_err(io_error(&path))?;
        let file = self.disk.open(&path, OpenMode::Write).map_err(io_error(&path))?;
        let records = bytes[slots::HEADER..].as_chunks().0;
        let run = Run::new(first, file.into(), records);
        assert_eq!(run.entries.len(), count as usize, "a slot file holds what its header says");
        self.table().add(run);
        Ok(())
    }
}

/// Sealing.
impl Vault {
    /// Seals personal record `n` of a statement: nonce, ciphertext and tag. `nonce` must be random.
    /// One to two µs; takes no lock.
    #[must_use]
    pub fn seal(
        &self,
        slot: &Slot,
        n: u8,
        statement_hash: &Hash,
        record: &[u8],
        nonce: [u8; 12],
    ) -> Vec<u8> {
        seal::seal(&slot.cipher, &slot.handle, n, statement_hash, record, &nonce)
    }

    /// Opens what [`Vault::seal`] sealed. The caller compares the commitment.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_sealed(
        &self,
        handle: &[u8; 16],
        n: u8,
        statement_hash: &Hash,
        sealed: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let found = {
            let mut table = self.table();
            let absent =
                if table.is_erased(handle) { OpenError::Erased } else { OpenError::UnknownSlot };
            table.find(handle).ok_or(absent)
        };
        let place = found?;
        match place.state {
            State::Erased => return Err(OpenError::Erased),
            State::Damaged => return Err(OpenError::Damaged),
            State::Free | State::Taken | State::Mapped => {}
        }
        let cipher = self.key_of(&place).map_err(|error| OpenError::Io(error.kind()))?;
        let Some(cipher) = cipher else {
            let erased = self.table().state(place.position) == State::Erased;
            return Err(if erased { OpenError::Erased } else { OpenError::Damaged });
        };
        let record = seal::open(&cipher, handle, n, statement_hash, sealed);
        record.map_err(|_| OpenError::Damaged)
    }
}

/// Erasing and the snapshot.
impl Vault {
    /// Destroys the key of a slot and the link from its person; durable when it returns. Call it
    /// after `ERASED` was committed. Doing it again costs nothing. A handle that this vault never
    /// had is remembered as erased until it closes (the ledger repeats it at the next start).
    ///
    /// # Errors
    /// [`VaultError::Io`]: call again, until it is done; the next start does so too.
    pub fn erase(&self, handle: &[u8; 16]) -> Result<(), VaultError> {
        let mut writer = self.writer();
        let found = self.table().find(handle);
        let place = match found {
            Some(place) => place,
            None => match self.find_damaged(handle)? {
                Some(place) => place,
                None => {
                    self.table().remember_erased(handle);
                    return Ok(());
                }
            },
        };
        if place.state == State::Erased && !writer.unfinished.contains(&place.position) {
            return Ok(());
        }
        // Memory first: from here on nobody takes the slot or opens with it.
        writer.unfinished.insert(place.position);
        self.table().erase(place.position, handle);
        let record = Record::Erased { handle: *handle }.encode(place.position);
        let written = place.file.write_all_at(&record, place.offset);
        let durable = written.and_then(|()| place.file.sync());
        durable.map_err(io_error(&slots::path(place.first)))?;
        // Second the link, so that a map record without key always belongs to an erased slot.
        self.clear_map_records(&[place.position])?;
        writer.unfinished.remove(&place.position);
        Ok(())
    }

    /// Whether a handle was erased.
    #[must_use]
    pub fn is_erased(&self, handle: &[u8; 16]) -> bool {
        self.table().is_erased(handle)
    }

    /// Writes the map. `as_of` is a ledger size whose entries have all taken their slots. 24 bytes
    /// a slot, two fsyncs; takers wait at most for a part of the copying, never for the disk.
    ///
    /// # Errors
    /// [`VaultError::Io`]; it can be called again.
    pub fn snapshot(&self, as_of: u64) -> Result<(), VaultError> {
        let _writer = self.writer();
        let total = self.table().total();
        let header = Header { vault_id: self.vault_id, number: as_of, count: total };
        let mut bytes = Vec::with_capacity(slots::HEADER + map::RECORD * total as usize);
        bytes.extend_from_slice(&header.encode(map::MAGIC, &self.kek, &*self.entropy));
        for start in (0..total).step_by(SNAPSHOT_CHUNK as usize) {
            // Takers may come in between: what they take is later than `as_of` and does no harm
            // here. Erasures cannot, they need the writer.
            let table = self.table();
            for position in start..total.min(start + SNAPSHOT_CHUNK) {
                bytes.extend_from_slice(&table.map_record(position).encode(position));
            }
        }
        replace_durably(&*self.disk, map::FILE, &bytes).map_err(io_error(map::FILE))
    }

    /// The damaged slot that still wraps a key for this handle: its record's own handle is what is
    /// wrong.
    fn find_damaged(&self, handle: &[u8; 16]) -> Result<Option<Place>, VaultError> {
        let damaged = self.table().damaged_places();
        for place in damaged {
            let mut bytes = [0; slots::RECORD];
            let read = place.file.read_exact_at(&mut bytes, place.offset);
            read.map_err(io_error(&slots::path(place.first)))?;
            if slots::wraps_key_of(place.position, &bytes, handle, &self.kek) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn clear_map_records(&self, slots: &[u32]) -> Result<(), VaultError> {
        if slots.is_empty() {
            return Ok(());
        }
        let clear = || {
            // What the file has, not what was last written: a snapshot that failed may be there.
            let file = match self.disk.open(map::FILE, OpenMode::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                file => file?,
            };
            let end = file.len()?;
            let held = |position: &&u32| map::record_offset(**position) < end;
            for position in slots.iter().filter(held) {
                let record = MapRecord::ERASED.encode(*position);
                file.write_all_at(&record, map::record_offset(*position))?;
            }
            file.sync()
        };
        clear().map_err(io_error(map::FILE))
    }
}

/// Producer secrets.
impl Vault {
    /// Keeps a producer's secret; durable when it returns. The same secret again is no error.
    ///
    /// # Errors
    /// [`VaultError::TooLong`], [`VaultError::SecretExists`], [`VaultError::Damaged`] when the file
    /// of this key id does not hold, [`VaultError::Io`].
    pub fn put_secret(&self, key_id: &str, secret: &[u8]) -> Result<(), VaultError> {
        within("the key id", key_id.as_bytes(), MAX_KEY_ID_BYTES)?;
        within("the secret", secret, MAX_SECRET_BYTES)?;
        let _writer = self.writer();
        if let Some(known) = self.secret(key_id)?
            && !bool::from(known.as_slice().ct_eq(secret))
        {
            return Err(VaultError::SecretExists);
        }
        // A known one is written all the same: an earlier call may have failed behind the rename.
        let path = format!("{DIR}/{}", secrets::file_name(key_id));
        let bytes = secrets::encode(key_id, secret, &self.kek, &*self.entropy);
        replace_durably(&*self.disk, &path, &bytes).map_err(io_error(&path))
    }

    /// The secret of a key id. Reads a file each time; callers keep the keyed MAC.
    ///
    /// # Errors
    /// [`VaultError::TooLong`], [`VaultError::Damaged`], [`VaultError::Io`].
    pub fn secret(&self, key_id: &str) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        within("the key id", key_id.as_bytes(), MAX_KEY_ID_BYTES)?;
        let path = format!("{DIR}/{}", secrets::file_name(key_id));
        let bytes = match read_whole(&*self.disk, &path, secrets::MAX_FILE_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(&path)(error)),
        };
        let (holds, secret) = secrets::decode(&bytes, &self.kek).map_err(damaged(&path))?;
        if holds != key_id {
            let flaw = Flaw { offset: 0, what: "secret under another name" };
            return Err(damaged(&path)(flaw));
        }
        Ok(Some(secret))
    }
}

impl Vault {
    fn table(&self) -> MutexGuard<'_, KeyTable> {
        self.table.lock().expect("the vault's memory was left half changed by a panic")
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().expect("a write to the vault was cut by a panic")
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (total, free) = {
            let table = self.table();
            (table.total(), table.free())
        };
        f.debug_struct("Vault").field("slots", &total).field("free", &free).finish_non_exhaustive()
    }
}

fn io_error(file: &str) -> impl FnOnce(io::Error) -> VaultError {
    let file = file.to_owned();
    move |source| VaultError::Io { file, source }
}

fn damaged(file: &str) -> impl FnOnce(Flaw) -> VaultError {
    let file = file.to_owned();
    move |Flaw { offset, what }| match what {
        slots::OTHER_KEK => VaultError::WrongKek { file },
        _ => VaultError::Damaged { file, offset, what },
    }
}

fn within(what: &'static str, bytes: &[u8], limit: usize) -> Result<(), VaultError> {
    if bytes.len() > limit { Err(VaultError::TooLong { what, limit }) } else { Ok(()) }
}
