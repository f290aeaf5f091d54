//! Event times: which entries may have occurred in a window, without reading them.
//!
//! Of every zone of 64 entries, the first and the last second in which one of its events occurred
//! (a zone map, as a column store has one). History that was imported lies in its order nearly
//! everywhere, so that a window takes few zones of it, however late it was recorded.
//!
//! ```text
//! file  event-times                            all numbers little-endian
//!   header, 36 bytes
//!    0   8  magic "LLTIMES\1"; the last byte is the version
//!    8   4  range_log2                         a page covers 2^range_log2 entries
//!   12   4  zone_log2                          a zone 2^zone_log2 of them
//!   16  16  identity                           of the index key
//!   32   4  CRC-32 of the 32 bytes before
//!   page k, for the entries from k · 2^range_log2 on
//!           zones × (first u32, last u32)      seconds since 1970; without an event u32::MAX, 0
//!        4  CRC-32 of k (u64) ‖ the zones
//! ```
//!
//! Promises: an entry that occurred in a window, or went on in it, is in a zone that may have. The
//! file follows from the entries alone. What is not covered, or does not hold, may have anything.
//!
//! Assumes: events are noted in ledger order, by one thread. The file may be lost: what it does not
//! cover is noted again.
//!
//! Refuses: to say that something did occur there.

use std::io;
use std::ops::Range;

use ledgerline_world::disk::{Disk, File, OpenMode, read_whole, replace_durably};

use super::IndexConfig;
use super::run_format::{Fields, check_crc, push_crc};
use crate::error::{FormatError, IndexError};
use crate::event_time::{EventTime, Window};

/// The file's name below the index's folder.
pub const FILE: &str = "event-times";
/// A zone has 2^this entries, unless a range is smaller.
const ZONE_LOG2: u32 = 6;
const MAGIC: &[u8; 8] = b"LLTIMES\x01";
const HEADER: usize = 36;
/// No file is longer: of more entries than a ledger may have.
pub const FILE_MAX: u64 = 1 << 33;
const NANOS: i64 = 1_000_000_000;
/// Apart by less than so many zones, two parts of a window are one: to ask once more costs more
/// than to pass over what lies between.
const NEAR: usize = 1024;

/// First and last second of a zone's events; what does not fit stands at the end that it is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Zone {
    first: u32,
    last: u32,
}

impl Zone {
    const EMPTY: Self = Self { first: u32::MAX, last: 0 };

    fn note(&mut self, time: &EventTime) {
        self.first = self.first.min(second(time.first));
        self.last = self.last.max(second(time.last.max(time.first)));
    }

    fn may_have(self, window: Window) -> bool {
        let (from, last) = (second(window.from), second(window.until.saturating_sub(1)));
        window.from < window.until && self.first <= last && from <= self.last
    }
}

fn second(nanos: i64) -> u32 {
    u32::try_from(nanos.div_euclid(NANOS).max(0)).unwrap_or(u32::MAX)
}

/// The zones of a ledger.
pub struct EventTimes {
    identity: [u8; 16],
    zone_log2: u32,
    range_log2: u32,
    zones: Vec<Zone>,
    /// Entries `[0, end)` are noted.
    end: u64,
    /// So many pages are in the file.
    pages: u64,
}

impl EventTimes {
    /// Reads the file, as far as it holds and reaches no further than `covered`. The rest of it is
    /// cut off, so that it is not believed once the ledger has grown again.
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &str,
        config: &IndexConfig,
        covered: u64,
    ) -> Result<Self, IndexError> {
        let path = format!("{dir}/{FILE}");
        let bytes = match read_whole(disk, &path, FILE_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(IndexError::io(&path, source)),
        };
        let mut times = Self::new(config.range_log2, config.identity);
        let header = times.header();
        if bytes.starts_with(&header) {
            for page in bytes[HEADER..].chunks(times.page_bytes()) {
                let end = times.end + (1 << times.range_log2);
                let Ok(zones) = times.parse(times.pages, page) else { break };
                if end > covered {
                    break;
                }
                times.zones.extend(zones);
                (times.end, times.pages) = (end, times.pages + 1);
            }
        }
        times.cut(disk, dir, bytes.len() as u64).map_err(|source| IndexError::io(&path, source))?;
        Ok(times)
    }

    /// Cuts off what is not believed of a file of this length; durable when it returns, for it may
    /// be of a history that the ledger does not have any more.
    fn cut(&self, disk: &dyn Disk, dir: &str, length: u64) -> io::Result<()> {
        let path = format!("{dir}/{FILE}");
        let kept = self.offset(self.pages);
        if self.pages == 0 && disk.exists(&path)? {
            disk.remove(&path)?;
            return disk.sync_dir(dir);
        }
        if length <= kept {
            return Ok(());
        }
        let file = disk.open(&path, OpenMode::Write)?;
        file.set_len(kept)?;
        file.sync()
    }

    /// Of no entries yet, for an index of this division and key.
    #[must_use]
    pub fn new(range_log2: u32, identity: [u8; 16]) -> Self {
        let zone_log2 = ZONE_LOG2.min(range_log2);
        Self { identity, zone_log2, range_log2, zones: Vec::new(), end: 0, pages: 0 }
    }

    /// Entries `[0, end)` are noted.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Bytes of memory.
    pub(super) const fn bytes(&self) -> u64 {
        (self.zones.capacity() * size_of::<Zone>()) as u64
    }

    /// Takes the times of the entries up to `end`. Of those that are noted already nothing is
    /// taken; entries without an event have no time.
    ///
    /// # Panics
    /// When entries were left out: our error.
    pub fn note(&mut self, first_index: u64, end: u64, times: &[EventTime]) {
        assert!(first_index <= self.end, "entries were left out");
        if end <= self.end {
            return;
        }
        let zones = usize::try_from(end.div_ceil(1 << self.zone_log2)).expect("zones in memory");
        self.zones.resize(zones, Zone::EMPTY);
        for time in times.iter().filter(|time| (self.end..end).contains(&time.index)) {
            let at = self.zone_of(time.index);
            self.zones[at].note(time);
        }
        self.end = end;
    }

    /// The first part of a range in which entries may have occurred in a window: without entries
    /// when there is none.
    pub(super) fn first_in(&self, window: Window, range: &Range<u64>) -> Range<u64> {
        let known = range.start..range.end.min(self.end);
        if known.is_empty() {
            return range.clone();
        }
        let is_unknown_behind = known.end < range.end;
        let zones = self.zone_of(known.start)..self.zone_of(known.end - 1) + 1;
        let may_have = |at: &usize| self.zones[*at].may_have(window);
        let Some(first) = zones.clone().find(may_have) else {
            let from = if is_unknown_behind { known.end } else { range.end };
            return from..range.end;
        };
        let (mut end, mut apart) = (first, 0);
        for at in first..zones.end {
            apart = if may_have(&at) { 0 } else { apart + 1 };
            if apart > NEAR {
                break;
            }
            end = if apart == 0 { at + 1 } else { end };
        }
        let goes_on = is_unknown_behind && zones.end - end <= NEAR;
        let from = (first as u64) << self.zone_log2;
        let until = if goes_on { range.end } else { (end as u64) << self.zone_log2 };
        from.max(range.start)..until.min(range.end)
    }

    /// Whether an entry may have occurred in a window.
    pub(super) fn may_have(&self, window: Window, index: u64) -> bool {
        index >= self.end || self.zones[self.zone_of(index)].may_have(window)
    }

    fn zone_of(&self, index: u64) -> usize {
        usize::try_from(index >> self.zone_log2).expect("zones are in memory")
    }

    /// The pages below `covered` that the file lacks, each with where it begins, and with it the
    /// header when there is no file.
    pub(super) fn unwritten(&self, covered: u64) -> Option<Unwritten> {
        let pages = covered.min(self.end) >> self.range_log2;
        if pages <= self.pages {
            return None;
        }
        let mut bytes = if self.pages == 0 { self.header() } else { Vec::new() };
        let offset = if self.pages == 0 { 0 } else { self.offset(self.pages) };
        for page in self.pages..pages {
            self.push_page(page, &mut bytes);
        }
        Some(Unwritten { offset, bytes, pages })
    }

    /// Pages that are in the file now.
    pub(super) const fn written(&mut self, pages: u64) {
        self.pages = pages;
    }

    /// The file of so many entries, as far as their pages are whole and they are noted.
    #[must_use]
    pub fn file(&self, entries: u64) -> Vec<u8> {
        let mut bytes = self.header();
        for page in 0..entries.min(self.end) >> self.range_log2 {
            self.push_page(page, &mut bytes);
        }
        bytes
    }

    fn header(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.range_log2.to_le_bytes());
        out.extend_from_slice(&self.zone_log2.to_le_bytes());
        out.extend_from_slice(&self.identity);
        push_crc(&mut out, 0);
        out
    }

    const fn zones_of_page(&self) -> usize {
        1 << (self.range_log2 - self.zone_log2)
    }

    const fn page_bytes(&self) -> usize {
        self.zones_of_page() * 8 + 4
    }

    const fn offset(&self, page: u64) -> u64 {
        HEADER as u64 + page * self.page_bytes() as u64
    }

    fn push_page(&self, page: u64, out: &mut Vec<u8>) {
        let begin = usize::try_from(page).expect("pages are in memory") * self.zones_of_page();
        let mut bytes = page.to_le_bytes().to_vec();
        for zone in &self.zones[begin..begin + self.zones_of_page()] {
            bytes.extend_from_slice(&zone.first.to_le_bytes());
            bytes.extend_from_slice(&zone.last.to_le_bytes());
        }
        push_crc(&mut bytes, 0);
        out.extend_from_slice(&bytes[8..]);
    }

    fn parse(&self, page: u64, bytes: &[u8]) -> Result<Vec<Zone>, FormatError> {
        if bytes.len() != self.page_bytes() {
            return Err(FormatError("a page is cut off"));
        }
        let whole = [&page.to_le_bytes()[..], bytes].concat();
        let mut fields = Fields(check_crc(&whole)?);
        let _ = fields.u64()?;
        let mut zones = Vec::with_capacity(self.zones_of_page());
        while !fields.0.is_empty() {
            zones.push(Zone { first: fields.u32()?, last: fields.u32()? });
        }
        Ok(zones)
    }
}

/// The length of the pages of so many entries, with the header.
#[must_use]
pub fn length(range_log2: u32, entries: u64) -> u64 {
    EventTimes::new(range_log2, [0; 16]).offset(entries >> range_log2)
}

/// What a file covers, by its own sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTimesFile {
    /// Of the index key.
    pub identity: [u8; 16],
    /// A page covers 2^this entries.
    pub range_log2: u32,
    /// Entries `[0, covered)` have a page that holds.
    pub covered: u64,
}

/// Checks the sums of a file's header and of its pages, up to the first that does not hold. Never
/// panics.
///
/// # Errors
/// When the header is none of version 1.
pub fn parse_event_times(bytes: &[u8]) -> Result<EventTimesFile, FormatError> {
    let header = bytes.get(..HEADER).ok_or(FormatError("header too short"))?;
    let mut fields = Fields(check_crc(header)?);
    if fields.array()? != *MAGIC {
        return Err(FormatError("not event times of version 1"));
    }
    let (range_log2, zone_log2) = (fields.u32()?, fields.u32()?);
    let identity = fields.array()?;
    if !(1..=31).contains(&range_log2) || zone_log2 != ZONE_LOG2.min(range_log2) {
        return Err(FormatError("no such division"));
    }
    let times = EventTimes::new(range_log2, identity);
    let pages = (0..).zip(bytes[HEADER..].chunks(times.page_bytes()));
    let whole = pages.take_while(|(page, bytes)| times.parse(*page, bytes).is_ok()).count();
    Ok(EventTimesFile { identity, range_log2, covered: (whole as u64) << range_log2 })
}

/// What is to be written to the file.
pub(super) struct Unwritten {
    offset: u64,
    bytes: Vec<u8>,
    /// So many pages are in the file then.
    pub(super) pages: u64,
}

impl Unwritten {
    /// Writes it; durable when it returns, once the folder is. A page that a crash tears does not
    /// hold, and is noted again.
    pub(super) fn write(&self, disk: &dyn Disk, dir: &str) -> Result<(), IndexError> {
        let path = format!("{dir}/{FILE}");
        if self.offset == 0 {
            // Whole or not there: whoever reads it meanwhile takes no part for damage.
            let begun = replace_durably(disk, &path, &self.bytes);
            return begun.map_err(|source| IndexError::io(&path, source));
        }
        let write = || {
            let file: Box<dyn File> = disk.open(&path, OpenMode::Write)?;
            file.write_all_at(&self.bytes, self.offset)?;
            file.sync()
        };
        write().map_err(|source| IndexError::io(&path, source))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ledgerline_world::fake::SimDisk;

    use super::*;
    use crate::Index;

    const CONFIG: IndexConfig = IndexConfig {
        range_log2: 8,
        fan_in: 2,
        max_level: 3,
        step_bytes: 1 << 20,
        identity: [7; 16],
        keep_below: u64::MAX,
    };
    const DAY: i64 = 86_400 * NANOS;

    fn mixed(seed: u64) -> u64 {
        let mixed = (seed ^ seed >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 7
    }

    /// A history of a timeline: imported in its order with some that is late, some long, and some
    /// that is no event.
    fn time_of(timeline: u64, index: u64) -> Option<EventTime> {
        let dice = mixed(timeline << 40 ^ index);
        let at = match dice % 1_000 {
            ..20 => return None,
            20 => i64::MIN / 2,
            21 => i64::MAX - 5,
            22..25 => i64::try_from(dice % 1_000_000).expect("small") * NANOS * 60,
            _ => i64::try_from(index + timeline * 100_000).expect("small") * NANOS * 37,
        };
        let long = if dice % 997 < 2 { DAY / 12 } else { 0 };
        Some(EventTime { index, first: at, last: at.saturating_add(long) })
    }

    fn fill(index: &Index, timeline: u64, range: Range<u64>, batch: u64) {
        let mut first = range.start;
        while first < range.end {
            let end = range.end.min(first + batch);
            let times: Vec<EventTime> = (first..end).filter_map(|n| time_of(timeline, n)).collect();
            index.note_times(first, end, &times);
            index.append(first, end, &[]);
            while index.step(end).expect("a step") != crate::Progress::Idle {}
            first = end;
        }
    }

    /// Nothing that occurred in a window is left out, and what is offered is not everything.
    fn check_windows(index: &Index, timeline: u64, entries: u64) {
        let (mut offered, mut all) = (0, 0);
        for n in 0..40 {
            let from = i64::try_from(mixed(n) % (entries + 200)).expect("small") * NANOS * 37;
            let from = from + i64::try_from(timeline * 100_000).expect("small") * NANOS * 37;
            let window = Window { from, until: from + DAY / 24 };
            let (mut rest, mut hits) = (0..entries, Vec::new());
            while !rest.is_empty() {
                let part = index.first_in(window, &rest);
                rest.start = part.end;
                hits.extend(index.may_have(window, &part.collect::<Vec<_>>()));
            }
            assert!(hits.is_sorted(), "in ledger order");
            for at in (0..entries).filter(|at| {
                let time = time_of(timeline, *at);
                time.is_some_and(|time| time.first < window.until && from <= time.last)
            }) {
                assert!(hits.binary_search(&at).is_ok(), "{at} is left out of {window:?}");
            }
            (offered, all) = (offered + hits.len() as u64, all + entries);
        }
        assert!(offered > 0 && (entries < 1_000 || offered < all / 2), "{offered} of {all}");
    }

    fn bytes(disk: &dyn Disk) -> Vec<u8> {
        read_whole(disk, &format!("index/{FILE}"), FILE_MAX).expect("the file")
    }

    #[test]
    fn a_window_leaves_out_nothing_however_the_ledger_grew_and_stopped() {
        let mut files = Vec::new();
        for batch in [1, 7, 64, 1000] {
            let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(batch));
            let mut entries = 0;
            for until in [10, 255, 256, 300, 2_000, 5_000] {
                let (index, covered) = Index::open(Arc::clone(&disk), "index", CONFIG).expect("it");
                assert_eq!(covered, entries >> 8 << 8, "whole ranges are in files");
                fill(&index, 0, covered..until, batch);
                check_windows(&index, 0, until);
                entries = until;
            }
            files.push(bytes(disk.as_ref()));
        }
        assert!(files.iter().all(|file| *file == files[0]), "bytes follow from the entries alone");
    }

    #[test]
    fn a_damaged_or_missing_file_is_noted_again() {
        let make = || {
            let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
            let (index, _) = Index::open(Arc::clone(&disk), "index", CONFIG).expect("an index");
            fill(&index, 0, 0..2_000, 100);
            disk
        };
        let whole = bytes(make().as_ref());
        for at in (0..whole.len()).step_by(97).chain([whole.len() - 1]) {
            for cut in [false, true] {
                let disk = make();
                let file = disk.open(&format!("index/{FILE}"), OpenMode::Write).expect("a file");
                if cut {
                    file.set_len(at as u64).expect("cut");
                } else {
                    file.write_all_at(&[!whole[at]], at as u64).expect("altered");
                }
                let (index, covered) = Index::open(Arc::clone(&disk), "index", CONFIG).expect("it");
                assert!(covered < 1_792, "altered at {at}, yet {covered} is covered");
                fill(&index, 0, covered..2_000, 100);
                check_windows(&index, 0, 2_000);
                assert_eq!(bytes(disk.as_ref()), whole, "altered at {at}");
            }
        }
        let disk = make();
        disk.remove(&format!("index/{FILE}")).expect("removed");
        assert_eq!(Index::open(disk, "index", CONFIG).expect("an index").1, 0);
    }

    #[test]
    fn times_of_entries_that_were_never_there_are_not_believed() {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
        let config = IndexConfig { max_level: 0, ..CONFIG };
        let (index, _) = Index::open(Arc::clone(&disk), "index", config).expect("an index");
        fill(&index, 0, 0..2_000, 100);
        drop(index);
        // Restored from an older copy, of another history since.
        let older = IndexConfig { keep_below: 600, ..config };
        let (index, covered) = Index::open(Arc::clone(&disk), "index", older).expect("an index");
        assert_eq!(covered, 512);
        assert_eq!(bytes(disk.as_ref()).len() as u64, index.read_times().offset(2));
        // Of a copy in which no range is whole nothing is left, not even an empty file.
        let empty = IndexConfig { keep_below: 100, ..config };
        let copy: Arc<dyn Disk> = Arc::new(SimDisk::new(2));
        fill(&Index::open(Arc::clone(&copy), "index", config).expect("it").0, 0, 0..600, 100);
        assert_eq!(Index::open(Arc::clone(&copy), "index", empty).expect("an index").1, 0);
        assert!(!copy.exists(&format!("index/{FILE}")).expect("a disk"));
        let other = |at: u64| if at < 512 { time_of(0, at) } else { time_of(1, at) };
        let times: Vec<EventTime> = (covered..2_000).filter_map(other).collect();
        index.note_times(covered, 2_000, &times);
        let window = Window { from: 100_600 * 37 * NANOS, until: 100_700 * 37 * NANOS };
        let hits = index.may_have(window, &(0..2_000).collect::<Vec<_>>());
        assert!((600..700).filter(|at| other(*at).is_some()).all(|at| hits.contains(&at)));
    }

    #[test]
    fn what_is_not_noted_may_have_anything() {
        let mut times = EventTimes::new(CONFIG.range_log2, CONFIG.identity);
        times.note(0, 100, &[EventTime { index: 3, first: 0, last: 0 }]);
        let window = Window { from: 5 * DAY, until: 6 * DAY };
        assert_eq!(times.first_in(window, &(0..100)), 100..100, "nothing there");
        assert_eq!(times.first_in(window, &(0..130)), 100..130, "nobody noted them");
        assert_eq!(times.first_in(window, &(110..130)), 110..130);
        assert!(times.may_have(window, 100) && !times.may_have(window, 99));
        let empty = Window { from: 5, until: 5 };
        assert_eq!(times.first_in(empty, &(0..100)), 100..100, "an empty window");
    }
}
