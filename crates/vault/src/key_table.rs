//! The key table: which slot of the vault is whose, in memory, and the cache of unwrapped keys. No
//! I/O; the lock around it is held for moments.
//!
//! Promises: a slot that was given out, erased or found damaged is never given out again; a map key
//! leads to at most one slot. About 50 bytes per slot: 33 for the entry, 16 to 22 for its two
//! places in the tables (`u32` cells, at most three quarters full).
//!
//! Assumes: handles and map keys are uniformly random (they are random bytes and MACs), so their
//! first bytes serve as hash and no order of a table ever reaches a file.

use std::collections::BTreeSet;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use ledgerline_world::cache::{Cache, Usage};
use ledgerline_world::disk::File;

use super::map::{MapKey, MapRecord};
use super::seal::Cipher;
use super::slots::{Entry, Run, State, record_offset};

/// Unwrapped keys of a generation of the cache, each about 1 KiB with its schedule.
const HOT_SLOTS: usize = 2048;
const EMPTY: u32 = u32::MAX;

/// Positions by 16-byte key: open addressing, linear probing, no removal. A position whose key
/// changed is skipped when found and dropped when the table grows.
struct Positions {
    cells: Vec<u32>,
    used: usize,
}

impl Positions {
    fn new() -> Self {
        Self { cells: vec![EMPTY; 16], used: 0 }
    }

    fn find(&self, key: &[u8; 16], holds: impl Fn(u32) -> bool) -> Option<u32> {
        let mut cell = self.home(key);
        while self.cells[cell] != EMPTY {
            if holds(self.cells[cell]) {
                return Some(self.cells[cell]);
            }
            cell = (cell + 1) % self.cells.len();
        }
        None
    }

    fn insert(&mut self, key: &[u8; 16], position: u32, key_of: impl Fn(u32) -> Option<[u8; 16]>) {
        if 4 * (self.used + 1) > 3 * self.cells.len() {
            let grown = vec![EMPTY; 2 * self.cells.len()];
            let cells = std::mem::replace(&mut self.cells, grown);
            self.used = 0;
            for position in cells.into_iter().filter(|position| *position != EMPTY) {
                if let Some(key) = key_of(position) {
                    self.place(&key, position);
                }
            }
        }
        self.place(key, position);
    }

    fn place(&mut self, key: &[u8; 16], position: u32) {
        let mut cell = self.home(key);
        while self.cells[cell] != EMPTY {
            if self.cells[cell] == position {
                return;
            }
            cell = (cell + 1) % self.cells.len();
        }
        self.cells[cell] = position;
        self.used += 1;
    }

    fn home(&self, key: &[u8; 16]) -> usize {
        let hash = u32::from_le_bytes([key[0], key[1], key[2], key[3]]);
        hash as usize % self.cells.len()
    }
}

/// A slot as found: enough to read its record without the lock.
pub(super) struct Place {
    pub position: u32,
    /// First position of its file.
    pub first: u32,
    pub offset: u64,
    pub file: Arc<dyn File>,
    pub handle: [u8; 16],
    pub state: State,
    /// The unwrapped key, when it is hot.
    pub cipher: Option<Arc<Cipher>>,
}

/// All slots and who has them, with a cache of unwrapped keys.
pub(super) struct KeyTable {
    runs: Vec<Run>,
    by_handle: Positions,
    by_key: Positions,
    total: u32,
    free: u32,
    damaged: u32,
    /// No slot before this position is free.
    cursor: u32,
    /// Unwrapped keys, cached by the position of their slot. An erased slot has none: whoever
    /// erases removes it, and none is kept of it afterwards.
    hot: Cache<u32, Arc<Cipher>, BuildHasherDefault<DefaultHasher>>,
    /// Handles erased in the ledger that this (restored) vault never had.
    erased_elsewhere: BTreeSet<[u8; 16]>,
}

impl KeyTable {
    pub fn new() -> Self {
        Self {
            runs: Vec::new(),
            by_handle: Positions::new(),
            by_key: Positions::new(),
            total: 0,
            free: 0,
            damaged: 0,
            cursor: 0,
            hot: Cache::new(HOT_SLOTS),
            erased_elsewhere: BTreeSet::new(),
        }
    }

    pub fn total(&self) -> u32 {
        self.total
    }

    pub fn free(&self) -> u32 {
        self.free
    }

    pub fn damaged(&self) -> u32 {
        self.damaged
    }

    /// Adds the slots of a file that continues the ones before.
    pub fn add(&mut self, run: Run) {
        assert_eq!(run.first, self.total, "slot files continue one another");
        let entries = u32::try_from(run.entries.len()).expect("a slot file is bounded");
        self.runs.push(run);
        for position in self.total..self.total + entries {
            let entry = self.entry(position);
            let (handle, state) = (entry.handle, entry.state);
            self.free += u32::from(state == State::Free);
            self.damaged += u32::from(state == State::Damaged);
            self.index_handle(&handle, position);
        }
        self.total += entries;
    }

    /// The slot of a map key, or the next free one, which then is that key's.
    pub fn take(&mut self, key: &MapKey) -> Option<Place> {
        if let Some(position) = self.position_of_key(key) {
            return Some(self.warm_place(position));
        }
        while self.cursor < self.total && self.entry(self.cursor).state != State::Free {
            self.cursor += 1;
        }
        if self.cursor == self.total {
            return None;
        }
        let position = self.cursor;
        self.give(position, Some(key));
        Some(self.place(position))
    }

    /// The handle of a map key.
    pub fn handle_of(&self, key: &MapKey) -> Option<[u8; 16]> {
        self.position_of_key(key).map(|position| self.entry(position).handle)
    }

    /// The slot with a handle.
    pub fn find(&mut self, handle: &[u8; 16]) -> Option<Place> {
        self.position_of(handle).map(|position| self.warm_place(position))
    }

    fn position_of(&self, handle: &[u8; 16]) -> Option<u32> {
        self.by_handle.find(handle, |position| self.entry(position).handle == *handle)
    }

    /// All slots whose record does not hold.
    pub fn damaged_places(&self) -> Vec<Place> {
        let positions = 0..if self.damaged == 0 { 0 } else { self.total };
        let damaged = |position: &u32| self.entry(*position).state == State::Damaged;
        positions.filter(damaged).map(|position| self.place(position)).collect()
    }

    /// Marks a slot as given out, to a key when it is known. Erased and damaged slots stay what
    /// they are. What is said last about a key or a slot holds.
    pub fn give(&mut self, position: u32, key: Option<&MapKey>) {
        let state = self.entry(position).state;
        if matches!(state, State::Erased | State::Damaged) {
            return;
        }
        self.free -= u32::from(state == State::Free);
        let Some(key) = key else {
            if state == State::Free {
                self.entry_mut(position).state = State::Taken;
            }
            return;
        };
        match self.position_of_key(key) {
            Some(owner) if owner == position => return,
            Some(owner) => self.set(owner, State::Taken, [0; 16]),
            None => {}
        }
        self.set(position, State::Mapped, *key);
        let Self { runs, by_key, .. } = self;
        by_key.insert(key, position, |position| {
            let entry = entry_in(runs, position);
            (entry.state == State::Mapped).then_some(entry.key)
        });
    }

    /// Takes a slot out of use for ever. The handle is given again because a damaged entry may
    /// claim another one.
    pub fn erase(&mut self, position: u32, handle: &[u8; 16]) {
        let entry = self.entry(position);
        let (state, renamed) = (entry.state, entry.handle != *handle);
        self.free -= u32::from(state == State::Free);
        self.damaged -= u32::from(state == State::Damaged);
        self.set(position, State::Erased, [0; 16]);
        if renamed {
            self.entry_mut(position).handle = *handle;
            self.index_handle(handle, position);
        }
        self.hot.remove(&position);
    }

    /// A record was read and does not hold.
    pub fn distrust(&mut self, position: u32) {
        let state = self.entry(position).state;
        if matches!(state, State::Erased | State::Damaged) {
            return;
        }
        self.free -= u32::from(state == State::Free);
        self.damaged += 1;
        self.set(position, State::Damaged, [0; 16]);
        self.hot.remove(&position);
    }

    /// Keeps an unwrapped key, unless the slot was erased while it was read.
    pub fn warm(&mut self, position: u32, cipher: &Arc<Cipher>) {
        if !matches!(self.entry(position).state, State::Erased | State::Damaged) {
            self.hot.put(position, Arc::clone(cipher));
        }
    }

    /// How many unwrapped keys are kept, and what they were good for.
    pub fn hot(&self) -> Usage {
        self.hot.usage()
    }

    pub fn remember_erased(&mut self, handle: &[u8; 16]) {
        self.erased_elsewhere.insert(*handle);
    }

    pub fn is_erased(&self, handle: &[u8; 16]) -> bool {
        let erased = |position| self.state(position) == State::Erased;
        self.position_of(handle).map_or(self.erased_elsewhere.contains(handle), erased)
    }

    pub fn state(&self, position: u32) -> State {
        self.entry(position).state
    }

    /// What the snapshot says about a slot.
    pub fn map_record(&self, position: u32) -> MapRecord {
        let entry = self.entry(position);
        MapRecord::new(entry.state, &entry.key)
    }

    fn position_of_key(&self, key: &MapKey) -> Option<u32> {
        self.by_key.find(key, |position| {
            let entry = self.entry(position);
            entry.state == State::Mapped && entry.key == *key
        })
    }

    fn index_handle(&mut self, handle: &[u8; 16], position: u32) {
        let Self { runs, by_handle, .. } = self;
        by_handle.insert(handle, position, |position| Some(entry_in(runs, position).handle));
    }

    fn set(&mut self, position: u32, state: State, key: MapKey) {
        let entry = self.entry_mut(position);
        entry.state = state;
        entry.key = key;
    }

    /// The slot at a position, with its key when that is hot.
    fn warm_place(&mut self, position: u32) -> Place {
        let cipher = self.hot.get(&position);
        Place { cipher, ..self.place(position) }
    }

    fn place(&self, position: u32) -> Place {
        let run = run_of(&self.runs, position);
        let entry = &run.entries[(position - run.first) as usize];
        Place {
            position,
            first: run.first,
            offset: record_offset(run.first, position),
            file: Arc::clone(&run.file),
            handle: entry.handle,
            state: entry.state,
            cipher: None,
        }
    }

    fn entry(&self, position: u32) -> &Entry {
        entry_in(&self.runs, position)
    }

    fn entry_mut(&mut self, position: u32) -> &mut Entry {
        let run = self.runs.partition_point(|run| run.first <= position) - 1;
        let run = &mut self.runs[run];
        &mut run.entries[(position - run.first) as usize]
    }
}

fn run_of(runs: &[Run], position: u32) -> &Run {
    &runs[runs.partition_point(|run| run.first <= position) - 1]
}

fn entry_in(runs: &[Run], position: u32) -> &Entry {
    let run = run_of(runs, position);
    &run.entries[(position - run.first) as usize]
}
