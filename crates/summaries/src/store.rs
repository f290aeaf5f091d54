//! The store of summaries that were evicted from memory: two files that are appended to.
//!
//! ```text
//! followers/summaries-<16 hex digits of its number>
//!   "LLSUMMRY" ‖ u8 version                               then records, one behind the other
//!   record   u32 CRC-32C ‖ u32 length of what follows ‖ u8 tier ‖ 12 bytes of the token's term
//!            ‖ the summary; none where what was kept is no longer
//!   the CRC  of u64 number of the file ‖ u64 offset of the record ‖ all behind the CRC
//!            all big-endian
//!
//! young   appended to; where each summary lies is in memory, some 20 bytes each
//! old     the one before; what is not asked for until young is full is gone with it
//! ```
//!
//! Promises: what is read is the last that was kept under a key, or nothing: never an earlier one,
//! never a damaged one. Bounded: two files of at most [`Limits::bytes`], and in memory a map of at
//! most [`Limits::summaries`] each, and the last 8 to 16 MiB of the young file. A file that does
//! not hold what it should is given up, both are, and the store goes on empty; one that cannot be
//! written is not asked any more. [`Store::news`] says so.
//!
//! Assumes: whoever asks can do without, by reading the ledger. That a [`Mark`] is believed only
//! with the position at which it was made. Nothing is synced: what a lost power took away is seen
//! by the checksums when the store is opened at a mark, for all records before it are read then.
//!
//! Refuses: to know what a summary says.

use std::io;
use std::sync::Arc;

use hashbrown::HashTable;
use ledgerline_index::Term;
use ledgerline_world::disk::{Disk, File, OpenMode};
use serde::{Deserialize, Serialize};

/// The form of records and of all that is kept; counted up with every change of either.
const VERSION: u8 = 1;
/// Beside the position files of the followers.
const FOLDER: &str = "followers";
const MAGIC: &[u8; 8] = b"LLSUMMRY";
const HEAD: usize = 9;
/// Behind the checksum: length, tier, key.
const FRONT: usize = 4 + 1 + KEY;
const KEY: usize = 12;
const NAME: &str = "summaries-";
/// Appended together.
const BUFFER: usize = 256 << 10;
/// How much of the young file is in memory at least, and half of what is at most.
const TAIL: usize = 8 << 20;
/// Read together when a file is opened.
const CHUNK: usize = 1 << 20;
/// A longer record is none.
const MAX_RECORD: usize = 1 << 20;
/// Kinds of summaries.
pub const TIERS: usize = 5;

/// When the young file is full.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At this length.
    pub bytes: u64,
    /// With so many summaries.
    pub summaries: usize,
    /// At this length when of four parts three were kept anew since.
    pub worn_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 30, summaries: 7 << 18, worn_bytes: 64 << 20 }
    }
}

/// How far the files were written, to be saved with a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    young: Extent,
    old: Option<Extent>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Extent {
    number: u64,
    length: u64,
    /// See [`Generation::sum`].
    sum: u32,
}

/// Where a summary lies, under a part of its key: what is read names the whole key.
#[derive(Clone, Copy)]
struct Slot {
    part: u32,
    at: u32,
    length: u32,
}

/// One file.
struct Generation {
    number: u64,
    file: Box<dyn File>,
    length: u64,
    /// So much of that is written.
    written: u64,
    /// CRC-32C of the checksums of all records: another file of this number has another.
    sum: u32,
    /// Length of what is not superseded.
    live: u64,
    maps: [HashTable<Slot>; TIERS],
}

/// A part of the young file in memory.
struct Tail {
    at: u64,
    bytes: Vec<u8>,
}

impl Tail {
    const EMPTY: Self = Self { at: 0, bytes: Vec::new() };

    fn get(&self, slot: Slot) -> Option<&[u8]> {
        let from = usize::try_from(u64::from(slot.at).checked_sub(self.at)?).ok()?;
        self.bytes.get(from..from.checked_add(slot.length as usize)?)
    }

    fn begin(&mut self, at: u64) {
        self.at = at;
        self.bytes.clear();
    }
}

/// The store. Without a disk it keeps nothing.
pub struct Store {
    disk: Option<Arc<dyn Disk>>,
    limits: Limits,
    young: Option<Generation>,
    old: Option<Generation>,
    /// The end of the young file, and what stands before it: some of it is not written yet.
    tail: Tail,
    before: Tail,
    /// The record that was read last.
    read: Vec<u8>,
    /// The number of the next file.
    next: u64,
    news: Option<String>,
}

/// Where a record is.
enum Place {
    Tail(Slot),
    Before(Slot),
    File,
}

/// A part of a key.
fn part_of(key: &Term) -> u32 {
    let hash = key.hash;
    let [a, b, c, d, ..] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The bits of a part, spread.
fn hash_of(part: u32) -> u64 {
    u64::from(part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn key_bytes(key: &Term) -> [u8; KEY] {
    let hash = key.hash;
    let bytes = hash.to_be_bytes();
    let (_, key) = bytes.split_last_chunk().expect("sixteen bytes");
    *key
}

impl Generation {
    fn name(number: u64) -> String {
        format!("{FOLDER}/{NAME}{number:016x}")
    }

    fn create(disk: &dyn Disk, number: u64) -> io::Result<Self> {
        disk.create_dir(FOLDER)?;
        let file = disk.open(&Self::name(number), OpenMode::Create)?;
        file.set_len(0)?;
        let head: Vec<u8> = MAGIC.iter().copied().chain([VERSION]).collect();
        file.write_all_at(&head, 0)?;
        Ok(Self::of(number, file))
    }

    fn of(number: u64, file: Box<dyn File>) -> Self {
        let (length, maps) = (HEAD as u64, std::array::from_fn(|_| HashTable::new()));
        Self { number, file, length, written: length, sum: 0, live: 0, maps }
    }

    /// Reads the file up to an extent. `told` hears of every record: tier and part of its key.
    fn open(disk: &dyn Disk, extent: Extent, told: &mut dyn FnMut(usize, u32)) -> io::Result<Self> {
        let file = disk.open(&Self::name(extent.number), OpenMode::Write)?;
        let mut one = Self::of(extent.number, file);
        let mut head = [0; HEAD];
        one.file.read_exact_at(&mut head, 0)?;
        if head[..8] != *MAGIC || head[8] != VERSION {
            return Err(wrong("it is no file of summaries of this version"));
        }
        let (mut bytes, mut at) = (Vec::new(), 0);
        while one.length < extent.length {
            let rest = &bytes[at..];
            match record_in(rest)? {
                Some(record) => {
                    one.check(record, one.length)?;
                    let (tier, key) = (record[8], &record[9..4 + FRONT]);
                    let length = u32::try_from(record.len()).map_err(io::Error::other)?;
                    let is_kept = record.len() > 4 + FRONT;
                    let part = u32::from_be_bytes(*key.last_chunk().expect("twelve bytes"));
                    at += record.len();
                    told(tier.into(), part);
                    one.note(tier.into(), part, is_kept.then_some(length))?;
                    one.sum = crc32c::crc32c_append(one.sum, &record[..4]);
                    one.length += u64::from(length);
                }
                None => {
                    let read = one.length + rest.len() as u64;
                    let more = (extent.length - read).min(CHUNK as u64);
                    if more == 0 {
                        return Err(wrong("a record goes beyond its end"));
                    }
                    bytes.drain(..at);
                    at = 0;
                    let held = bytes.len();
                    bytes.resize(held + usize::try_from(more).map_err(io::Error::other)?, 0);
                    one.file.read_exact_at(&mut bytes[held..], read)?;
                }
            }
        }
        if one.extent() != extent {
            return Err(wrong("it is another file than was saved"));
        }
        one.written = one.length;
        Ok(one)
    }

    /// Whether a record is what was written there.
    fn check(&self, record: &[u8], at: u64) -> io::Result<()> {
        let (crc, rest) = record.split_first_chunk::<4>().ok_or_else(|| wrong("it is cut off"))?;
        let is_tier = rest.get(4).is_some_and(|tier| usize::from(*tier) < TIERS);
        if !is_tier || sum_of(self.number, at, rest).to_be_bytes() != *crc {
            return Err(wrong("a checksum does not hold"));
        }
        Ok(())
    }

    /// Writes what is not written; all of that is in its tail.
    fn write(&mut self, tail: &Tail) -> io::Result<()> {
        let from = usize::try_from(self.written - tail.at).map_err(io::Error::other)?;
        self.file.write_all_at(&tail.bytes[from..], self.written)?;
        self.written = self.length;
        Ok(())
    }

    /// Takes note that a record is appended; `None` says that nothing is kept any more.
    fn note(&mut self, tier: usize, part: u32, length: Option<u32>) -> io::Result<()> {
        self.forget(tier, part);
        if let Some(length) = length {
            let at = u32::try_from(self.length).map_err(io::Error::other)?;
            let slot = Slot { part, at, length };
            self.maps[tier].insert_unique(hash_of(part), slot, |one| hash_of(one.part));
            self.live += u64::from(length);
        }
        Ok(())
    }

    fn find(&self, tier: usize, part: u32) -> Option<Slot> {
        self.maps[tier].find(hash_of(part), |one| one.part == part).copied()
    }

    fn forget(&mut self, tier: usize, part: u32) -> bool {
        let found = self.maps[tier].find_entry(hash_of(part), |one| one.part == part);
        let Ok(entry) = found else { return false };
        self.live -= u64::from(entry.remove().0.length);
        true
    }

    fn summaries(&self) -> usize {
        self.maps.iter().map(HashTable::len).sum()
    }

    const fn extent(&self) -> Extent {
        Extent { number: self.number, length: self.length, sum: self.sum }
    }
}

/// The record that bytes begin with, if they hold it whole.
fn record_in(bytes: &[u8]) -> io::Result<Option<&[u8]>> {
    let length = bytes.get(4..8).and_then(<[u8]>::first_chunk).copied().map(u32::from_be_bytes);
    let Some(length) = length else { return Ok(None) };
    match usize::try_from(length).ok().and_then(|length| length.checked_add(8)) {
        Some(length) if (4 + FRONT..=MAX_RECORD).contains(&length) => Ok(bytes.get(..length)),
        _ => Err(wrong("a record has no length that a record has")),
    }
}

fn sum_of(number: u64, at: u64, rest: &[u8]) -> u32 {
    let place = crc32c::crc32c(&number.to_be_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(place, &at.to_be_bytes()), rest)
}

fn wrong(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The young file and the old one, up to a mark. Without the old one it knows less.
fn open_both(disk: &dyn Disk, mark: Mark) -> io::Result<(Generation, Option<Generation>)> {
    let old = mark.old.map(|old| match disk.exists(&Generation::name(old.number))? {
        true => Generation::open(disk, old, &mut |_, _| ()).map(Some),
        false => Ok(None),
    });
    let mut old = old.transpose()?.flatten();
    // What was kept anew, or no longer is, is not that of the old file.
    let mut told = |tier: usize, part: u32| {
        old.as_mut().map(|old| old.forget(tier, part));
    };
    let young = Generation::open(disk, mark.young, &mut told)?;
    Ok((young, old))
}

/// Removes all files of summaries that are not of these numbers.
fn remove_all_but(disk: &dyn Disk, known: [Option<u64>; 2]) -> io::Result<()> {
    for name in disk.list(FOLDER)? {
        let Some(number) = name.strip_prefix(NAME) else { continue };
        let number = u64::from_str_radix(number, 16).ok();
        if number.is_none() || !known.contains(&number) {
            disk.remove(&format!("{FOLDER}/{name}"))?;
        }
    }
    Ok(())
}

impl Store {
    /// One that keeps nothing.
    #[must_use]
    pub const fn nowhere() -> Self {
        Self {
            disk: None,
            limits: Limits { bytes: 0, summaries: 0, worn_bytes: 0 },
            young: None,
            old: None,
            tail: Tail::EMPTY,
            before: Tail::EMPTY,
            read: Vec::new(),
            next: 0,
            news: None,
        }
    }

    /// What was kept on a disk up to a mark; nothing without one. What else lies there is removed.
    #[must_use]
    pub fn open(disk: Arc<dyn Disk>, limits: Limits, mark: Option<Mark>) -> Self {
        let mut one = Self { disk: Some(disk), limits, ..Self::nowhere() };
        if let Err(error) = one.load(mark) {
            one.give_up(&error);
        }
        one
    }

    fn load(&mut self, mark: Option<Mark>) -> io::Result<()> {
        let Some(disk) = self.disk.clone() else { return Ok(()) };
        let opened = mark.map(|mark| open_both(disk.as_ref(), mark));
        let done = match opened.transpose() {
            Ok(None) => Ok(()),
            Ok(Some((young, old))) => {
                self.tail.begin(young.length);
                self.before.begin(young.length);
                (self.young, self.old) = (Some(young), old);
                Ok(())
            }
            Err(error) => Err(error),
        };
        let known = [&self.young, &self.old].map(|one| one.as_ref().map(|one| one.number));
        remove_all_but(disk.as_ref(), known)?;
        let newest = known.into_iter().flatten().max();
        self.next = newest.map_or(0, |newest| newest + 1);
        done
    }

    /// Whether anything is kept.
    #[must_use]
    pub const fn holds_something(&self) -> bool {
        self.young.is_some()
    }

    /// What is to be told of it, once.
    pub const fn news(&mut self) -> Option<String> {
        self.news.take()
    }

    /// Keeps a summary in the place of the one before.
    pub fn keep(&mut self, tier: usize, key: &Term, put: impl FnOnce(&mut Vec<u8>)) {
        let done = self.append(tier, key, put);
        self.or_give_up(done);
    }

    /// Keeps nothing any more under a key.
    pub fn remove(&mut self, tier: usize, key: &Term) {
        let part = part_of(key);
        let find = |one: &Option<Generation>| one.as_ref()?.find(tier, part);
        if find(&self.young).or_else(|| find(&self.old)).is_some() {
            self.keep(tier, key, |_| ());
        }
    }

    /// Whether something is kept under a key, or one that looks like it.
    #[must_use]
    pub fn may_have(&self, tier: usize, key: &Term) -> bool {
        let part = part_of(key);
        let has = |one: &Option<Generation>| {
            one.as_ref().is_some_and(|one| one.find(tier, part).is_some())
        };
        has(&self.young) || has(&self.old)
    }

    /// What is kept under a key, as bytes.
    pub fn read(&mut self, tier: usize, key: &Term) -> Option<&[u8]> {
        let mut read = std::mem::take(&mut self.read);
        let found = self.find(tier, key, &mut read);
        self.read = read;
        let record = match self.or_give_up(found)?? {
            Place::Tail(slot) => self.tail.get(slot)?,
            Place::Before(slot) => self.before.get(slot)?,
            Place::File => &self.read,
        };
        (record[9..4 + FRONT] == key_bytes(key)).then(|| &record[4 + FRONT..])
    }

    /// Where the record of a key is, if there is one; what is in a file is read from there.
    fn find(&self, tier: usize, key: &Term, read: &mut Vec<u8>) -> io::Result<Option<Place>> {
        let part = part_of(key);
        if let Some(slot) = self.young.as_ref().and_then(|young| young.find(tier, part)) {
            if self.tail.get(slot).is_some() {
                return Ok(Some(Place::Tail(slot)));
            }
            if self.before.get(slot).is_some() {
                return Ok(Some(Place::Before(slot)));
            }
        }
        for one in [&self.young, &self.old].into_iter().flatten() {
            let Some(slot) = one.find(tier, part) else { continue };
            read.resize(slot.length as usize, 0);
            one.file.read_exact_at(read, slot.at.into())?;
            one.check(read, slot.at.into())?;
            return Ok(Some(Place::File));
        }
        Ok(None)
    }

    fn append(
        &mut self,
        tier: usize,
        key: &Term,
        put: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<()> {
        if self.disk.is_none() {
            return Ok(());
        }
        self.make_room()?;
        let Some(young) = &mut self.young else { return Ok(()) };
        if self.tail.bytes.len() >= TAIL {
            young.write(&self.tail)?;
            std::mem::swap(&mut self.tail, &mut self.before);
            self.tail.begin(young.length);
        }
        let tail = &mut self.tail.bytes;
        let begin = tail.len();
        tail.extend([0; 8]);
        tail.push(u8::try_from(tier).map_err(io::Error::other)?);
        tail.extend(key_bytes(key));
        put(tail);
        if tail.len() - begin > MAX_RECORD {
            // Whoever asks for that one does without.
            tail.truncate(begin + 4 + FRONT);
        }
        let record = &mut tail[begin..];
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        record[4..8].copy_from_slice(&(length - 8).to_be_bytes());
        let sum = sum_of(young.number, young.length, &record[4..]);
        record[..4].copy_from_slice(&sum.to_be_bytes());
        young.sum = crc32c::crc32c_append(young.sum, &sum.to_be_bytes());
        let part = part_of(key);
        young.note(tier, part, (record.len() > 4 + FRONT).then_some(length))?;
        young.length += u64::from(length);
        self.old.as_mut().map(|old| old.forget(tier, part));
        if young.length - young.written >= BUFFER as u64 {
            young.write(&self.tail)?;
        }
        Ok(())
    }

    /// Begins a new file when the young one is full.
    fn make_room(&mut self) -> io::Result<()> {
        let Limits { bytes, summaries, worn_bytes } = self.limits;
        let is_full = self.young.as_ref().is_none_or(|one| {
            let is_worn = one.length >= worn_bytes && one.live < one.length / 4;
            one.length >= bytes || one.summaries() >= summaries || is_worn
        });
        let Some(disk) = self.disk.as_ref().filter(|_| is_full).cloned() else { return Ok(()) };
        self.flush()?;
        let new = Generation::create(disk.as_ref(), self.next)?;
        self.next += 1;
        self.tail.begin(new.length);
        self.before.begin(new.length);
        let oldest = std::mem::replace(&mut self.old, self.young.replace(new));
        if let Some(Generation { number, file, .. }) = oldest {
            drop(file);
            disk.remove(&Generation::name(number))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.young.as_mut().map_or(Ok(()), |young| young.write(&self.tail))
    }

    /// How far it is written, once it is.
    pub fn mark(&mut self) -> Option<Mark> {
        let done = self.flush();
        self.or_give_up(done)?;
        let young = self.young.as_ref()?.extent();
        Some(Mark { young, old: self.old.as_ref().map(Generation::extent) })
    }

    fn or_give_up<T>(&mut self, done: io::Result<T>) -> Option<T> {
        done.map_err(|error| self.give_up(&error)).ok()
    }

    /// Forgets all; goes on where it was only not what it should be.
    fn give_up(&mut self, error: &io::Error) {
        let is_damaged = matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound
        );
        let next = if is_damaged { "they begin anew" } else { "they rest until the next start" };
        let what = "the summaries of tokens cannot be read or written";
        self.news = Some(format!("{what} ({error}): {next}"));
        let numbers = [self.young.take(), self.old.take()].map(|one| one.map(|one| one.number));
        (self.tail, self.before) = (Tail::EMPTY, Tail::EMPTY);
        let disk = if is_damaged { self.disk.clone() } else { self.disk.take() };
        if let Some(disk) = disk {
            for number in numbers.into_iter().flatten() {
                // What is left of them is removed at the next start.
                let _ = disk.remove(&Generation::name(number));
                self.next = self.next.max(number + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ledgerline_world::fake::SimDisk;

    use super::*;

    const SMALL: Limits = Limits { bytes: 4096, summaries: 40, worn_bytes: 1024 };

    fn key(n: u128) -> Term {
        Term { kind: 2, hash: n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834) >> 32 }
    }

    fn open(disk: &SimDisk, limits: Limits, mark: Option<Mark>) -> Store {
        Store::open(Arc::new(disk.clone()), limits, mark)
    }

    fn keep(store: &mut Store, n: u128, text: &str) {
        store.keep(1, &key(n), |out| out.extend(text.as_bytes()));
    }

    fn read(store: &mut Store, n: u128) -> Option<String> {
        let bytes = store.read(1, &key(n))?;
        Some(String::from_utf8(bytes.to_vec()).expect("a text"))
    }

    #[test]
    fn what_is_read_is_the_last_that_was_kept_or_nothing() {
        for limits in [SMALL, Limits::default()] {
            let (disk, mut random) = (SimDisk::new(1), 1_u64);
            let mut store = open(&disk, limits, None);
            let (mut last, mut there) = (std::collections::BTreeMap::new(), 0);
            for step in 0..4000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                let n = u128::from(random >> 40) % 60;
                match random >> 33 & 7 {
                    0 => {
                        store.remove(1, &key(n));
                        last.remove(&n);
                    }
                    1..5 => {
                        let text = format!("{step} of {n}");
                        keep(&mut store, n, &text);
                        last.insert(n, text);
                    }
                    5 if step % 50 == 0 => {
                        let mark = store.mark();
                        store = open(&disk, limits, mark);
                    }
                    _ => {
                        let found = read(&mut store, n);
                        there += usize::from(found.is_some());
                        assert!(found.is_none() || found.as_ref() == last.get(&n), "{step}: {n}");
                    }
                }
                let files = disk.list(FOLDER).expect("a disk").len();
                assert!(files <= 2, "{files}");
            }
            assert_eq!(store.news(), None);
            assert!(there > 300, "{there}");
        }
    }

    #[test]
    fn every_flipped_bit_of_the_summaries_is_noticed() {
        let disk = SimDisk::new(1);
        let mut store = open(&disk, Limits::default(), None);
        for n in 0..5 {
            keep(&mut store, n, "a summary");
        }
        store.remove(1, &key(3));
        let mark = store.mark();
        let path = Generation::name(0);
        let bytes = disk.read(&path).expect("a file");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.write(&path, &flipped).expect("a disk");
            let mut store = open(&disk, Limits::default(), mark);
            assert!(store.news().is_some() && read(&mut store, 1).is_none(), "{bit}");
            // It is as good as new.
            keep(&mut store, 1, "anew");
            assert_eq!((read(&mut store, 1).as_deref(), store.news()), (Some("anew"), None));
        }
        disk.write(&path, &bytes).expect("a disk");
        let mut store = open(&disk, Limits::default(), mark);
        assert_eq!((read(&mut store, 4).as_deref(), store.news()), (Some("a summary"), None));
        assert_eq!(read(&mut store, 3), None);
    }

    /// A follower that began anew once wrote a file of the same number, and was killed before it
    /// saved its position: the position from before led to that file.
    #[test]
    fn a_file_of_the_same_number_that_was_written_anew_is_not_believed() {
        let disk = SimDisk::new(1);
        let mark = |text: &str| {
            let mut store = open(&disk, Limits::default(), None);
            for n in 0..5 {
                keep(&mut store, n, text);
            }
            store.mark()
        };
        let before = mark("before");
        assert_ne!(mark("behind"), before);
        let mut store = open(&disk, Limits::default(), before);
        assert!(read(&mut store, 1).is_none() && store.news().is_some());
    }

    #[test]
    fn what_was_written_behind_the_mark_is_not_believed() {
        let disk = SimDisk::new(1);
        let mut store = open(&disk, SMALL, None);
        keep(&mut store, 1, "before");
        let mark = store.mark();
        keep(&mut store, 1, "behind");
        for n in 10..45 {
            keep(&mut store, n, "enough for another file, which the mark knows nothing of");
        }
        assert_ne!(store.mark(), mark);
        let mut store = open(&disk, SMALL, mark);
        assert_eq!(read(&mut store, 1).as_deref(), Some("before"));
        assert_eq!((read(&mut store, 12), store.news()), (None, None));
        assert_eq!(disk.list(FOLDER).expect("a disk").len(), 1);
        // A file that is gone, and one that ends too early.
        disk.remove(&Generation::name(0)).expect("a file");
        let mut store = open(&disk, SMALL, mark);
        assert!(read(&mut store, 1).is_none() && store.news().is_some());
    }
}
