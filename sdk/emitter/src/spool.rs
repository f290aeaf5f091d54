//! The spool: a first-in, first-out queue of units on the local disk.
//!
//! ```text
//! <folder>/lock                 held while a process uses the spool
//! <folder>/position             u64 segment ‖ u64 offset ‖ u32 CRC-32C: what was delivered; may be
//!                               lost or old: then something is sent twice, which is a duplicate
//! <folder>/<segment>.spool1     records, one behind the other; segments count up
//! record = FE ED 4C 53 ‖ u32 BE length ‖ u32 BE CRC-32C ‖ payload
//!          the CRC also covers segment and offset, so a record counts in its own place alone
//! ```
//!
//! Promises: what `append` took is read back in order, byte for byte, until `advance` passes it;
//! also after a kill at any moment, for what was written, and after a loss of power, for what was
//! synced. A torn tail is cut and counted. A damaged record is skipped and counted, never given
//! out; those behind it are found again by their mark. Segments take at most `max_bytes` together.
//!
//! Assumes: one process at a time (the lock holds others off), and a file system that keeps the
//! order of writes to one file across a kill of the process.
//!
//! Refuses: records beyond [`MAX_RECORD_BYTES`]; everything after a failed sync, or a failed write
//! that could not be undone. Files are for their owner alone (0600): personal records are in them.

mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use record::{Read, put};

/// Longest payload of a record, in bytes.
pub const MAX_RECORD_BYTES: usize = 9 << 20;
/// Bytes that a record takes beside its payload.
pub(crate) const OVERHEAD: usize = record::HEADER;

/// Where the spool is and how large it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Its folder, made when it is not there. One emitter each.
    pub folder: PathBuf,
    /// Bytes that its segments may take together.
    pub max_bytes: u64,
    /// Bytes after which a segment is followed by the next; delivered segments are deleted whole.
    pub segment_bytes: u64,
}

impl SpoolSettings {
    /// A spool in a folder, of at most `max_bytes`.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, max_bytes: u64) -> Self {
        let segment_bytes = (max_bytes / 16).clamp(64 << 10, 8 << 20);
        Self { folder: folder.into(), max_bytes, segment_bytes }
    }
}

/// Why the spool does not take or give something.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// There is no room for it.
    #[error("the spool is full")]
    Full,
    /// The disk failed.
    #[error("the spool's disk: {0}")]
    Disk(#[from] io::Error),
    /// A write or sync failed before, so nothing is known of the file any more.
    #[error("the spool has failed before and takes nothing more")]
    Failed,
    /// Another process uses the folder.
    #[error("another process uses the spool's folder")]
    Locked,
}

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// What was found wrong since the spool was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Damage {
    /// Bytes of torn tails that were cut.
    pub torn_bytes: u64,
    /// Places where records could not be read, each at least one record.
    pub damaged: u64,
}

struct Segment {
    file: Arc<File>,
    length: u64,
}

/// The queue.
pub struct Spool {
    settings: SpoolSettings,
    segments: BTreeMap<u64, Segment>,
    head: Position,
    next_segment: u64,
    records: u64,
    bytes: u64,
    damage: Damage,
    failed: bool,
    /// Everything in segments before this one is durable, and their names are.
    synced_before: u64,
    position: File,
    _lock: File,
}

/// What has to be synced for all that was appended so far to be durable.
pub struct ToSync {
    files: Vec<Arc<File>>,
    folder: Option<PathBuf>,
    up_to: u64,
}

impl ToSync {
    /// Waits for the disk.
    ///
    /// # Errors
    /// The disk's. The spool must be told by [`Spool::sync_failed`].
    pub fn sync(&self) -> io::Result<()> {
        self.files.iter().try_for_each(|file| file.sync_data())?;
        self.folder.as_ref().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

impl Spool {
    /// Opens the spool of a folder, with what an earlier process left in it.
    ///
    /// # Errors
    /// [`SpoolError::Locked`], [`SpoolError::Disk`].
    pub fn open(settings: SpoolSettings) -> Result<Self, SpoolError> {
        let folder = &settings.folder;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = private(&folder.join("lock"))?;
        lock.try_lock().map_err(|_| SpoolError::Locked)?;
        let position = private(&folder.join("position"))?;
        let head = read_position(&position);
        let mut spool = Self {
            segments: BTreeMap::new(),
            head,
            next_segment: head.segment,
            records: 0,
            bytes: 0,
            damage: Damage::default(),
            failed: false,
            synced_before: 0,
            position,
            _lock: lock,
            settings,
        };
        spool.find_segments()?;
        spool.recount()?;
        Ok(spool)
    }

    fn find_segments(&mut self) -> Result<(), SpoolError> {
        for entry in fs::read_dir(&self.settings.folder)? {
            let path = entry?.path();
            let Some(number) = number_of(&path) else { continue };
            self.next_segment = self.next_segment.max(number.saturating_add(1));
            if number < self.head.segment {
                fs::remove_file(&path)?;
                continue;
            }
            let file = Arc::new(private(&path)?);
            let length = file.metadata()?.len();
            self.bytes += length;
            self.segments.insert(number, Segment { file, length });
        }
        let first = self.segments.first_key_value().map(|(number, one)| (*number, one.length));
        match first {
            Some((number, _)) if number > self.head.segment => {
                self.head = Position { segment: number, offset: 0 };
            }
            // A position beyond the file is none: from its start on, some of it for a second time.
            Some((number, length)) if number == self.head.segment && self.head.offset > length => {
                self.head.offset = 0;
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts what there is from the head on, cuts a torn tail, and notes damage.
    fn recount(&mut self) -> Result<(), SpoolError> {
        self.records = 0;
        let last = self.segments.last_key_value().map(|(number, _)| *number);
        let numbers: Vec<u64> = self.segments.keys().copied().collect();
        for number in numbers {
            let mut at = if number == self.head.segment { self.head.offset } else { 0 };
            while let Some(read) = self.read(number, at)? {
                self.damage.damaged += u64::from(read.skipped && read.payload.is_some());
                match read.payload {
                    Some(_) => {
                        self.records += 1;
                        at = read.end;
                    }
                    None if Some(number) == last => {
                        self.cut(number, at)?;
                        break;
                    }
                    None => {
                        self.damage.damaged += 1;
                        break;
                    }
                }
            }
        }
        self.drop_delivered()
    }

    fn cut(&mut self, number: u64, at: u64) -> Result<(), SpoolError> {
        let segment = self.segments.get_mut(&number).expect("it is being read");
        segment.file.set_len(at)?;
        self.damage.torn_bytes += segment.length - at;
        self.bytes -= segment.length - at;
        segment.length = at;
        Ok(())
    }

    /// The next record from a place on; `None` at the end of the segment.
    fn read(&self, number: u64, at: u64) -> Result<Option<Read>, SpoolError> {
        let Some(segment) = self.segments.get(&number) else { return Ok(None) };
        Ok(record::read(&segment.file, Position { segment: number, offset: at }, segment.length)?)
    }

    /// Records that wait.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Bytes that the segments take on the disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// What was found wrong.
    #[must_use]
    pub fn damage(&self) -> Damage {
        self.damage
    }

    /// Whether it takes and gives nothing more.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Bytes that may still be appended, the overhead of records included.
    #[must_use]
    pub fn room(&self) -> u64 {
        if self.failed { 0 } else { self.settings.max_bytes.saturating_sub(self.bytes) }
    }

    /// Appends payloads in order; the ends of those that were taken. There may be fewer when there
    /// is no room, or the disk failed after the first of them: the next call says so then. They
    /// survive a kill of the process from now on, a loss of power after a sync.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when nothing of them was kept, [`SpoolError::Failed`].
    pub fn append(&mut self, payloads: &[Vec<u8>]) -> Result<Vec<Position>, SpoolError> {
        let mut ends = Vec::with_capacity(payloads.len());
        while ends.len() < payloads.len() {
            match self.append_some(&payloads[ends.len()..]) {
                Ok(taken) if taken.is_empty() => break,
                Ok(taken) => ends.extend(taken),
                Err(error) if ends.is_empty() => return Err(error),
                // Those of the segments before are there, and must not be appended twice.
                Err(_) => break,
            }
        }
        Ok(ends)
    }

    /// As many as fit into the segment that is written to.
    fn append_some(&mut self, payloads: &[Vec<u8>]) -> Result<Vec<Position>, SpoolError> {
        if self.failed {
            return Err(SpoolError::Failed);
        }
        let room = self.room();
        let first = payloads.first().map_or(0, |payload| (OVERHEAD + payload.len()) as u64);
        if first > room || payloads[0].len() > MAX_RECORD_BYTES {
            return Ok(Vec::new());
        }
        let number = self.writable(first)?;
        let segment = self.segments.get_mut(&number).expect("just made");
        let (mut buffer, mut ends) = (Vec::new(), Vec::new());
        for payload in payloads {
            let begin = segment.length + buffer.len() as u64;
            let size = (OVERHEAD + payload.len()) as u64;
            let is_new = begin == 0;
            let fits = is_new || begin + size <= self.settings.segment_bytes;
            if !fits || buffer.len() as u64 + size > room || payload.len() > MAX_RECORD_BYTES {
                break;
            }
            put(&mut buffer, Position { segment: number, offset: begin }, payload);
            ends.push(Position { segment: number, offset: begin + size });
        }
        if let Err(error) = segment.file.write_all_at(&buffer, segment.length) {
            // What was written in part is cut, or else nobody knows what is there.
            self.failed = segment.file.set_len(segment.length).is_err();
            return Err(error.into());
        }
        segment.length += buffer.len() as u64;
        self.bytes += buffer.len() as u64;
        self.records += ends.len() as u64;
        Ok(ends)
    }

    /// The segment that the next record goes into.
    fn writable(&mut self, size: u64) -> Result<u64, SpoolError> {
        if let Some((number, segment)) = self.segments.last_key_value()
            && (segment.length == 0 || segment.length + size <= self.settings.segment_bytes)
        {
            return Ok(*number);
        }
        let number = self.next_segment;
        let file = Arc::new(private(&self.path(number))?);
        // Whatever a lost position left under this name is older than the position.
        file.set_len(0)?;
        self.next_segment += 1;
        if self.segments.is_empty() {
            self.head = Position { segment: number, offset: 0 };
        }
        self.segments.insert(number, Segment { file, length: 0 });
        Ok(number)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.settings.folder.join(format!("{number:020}.spool1"))
    }

    /// What has to be synced for all that was appended to be durable; `None` when nothing is there.
    /// The caller syncs it, without holding the spool, and reports by [`Self::synced`] or
    /// [`Self::sync_failed`].
    #[must_use]
    pub fn to_sync(&self) -> Option<ToSync> {
        let (up_to, _) = self.segments.last_key_value()?;
        let unsynced = self.segments.range(self.synced_before..);
        let files: Vec<_> = unsynced.map(|(_, one)| Arc::clone(&one.file)).collect();
        let is_new = *up_to > self.synced_before || self.synced_before == 0;
        let folder = is_new.then(|| self.settings.folder.clone());
        Some(ToSync { files, folder, up_to: *up_to })
    }

    /// Notes that something was synced. The last segment is written to again, and so is synced
    /// again.
    pub fn synced(&mut self, what: &ToSync) {
        self.synced_before = self.synced_before.max(what.up_to);
    }

    /// Stops the spool: after a failed sync the page cache may say "written" of what is lost.
    pub fn sync_failed(&mut self) {
        self.failed = true;
    }

    /// The oldest payloads with the places where they end: at most `count`, at most `max_bytes`
    /// unless the first alone is longer. Nothing is removed.
    ///
    /// # Errors
    /// [`SpoolError::Disk`].
    pub fn peek(
        &mut self,
        count: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Vec<u8>, Position)>, SpoolError> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut at = self.head;
        while found.len() < count {
            let Some(read) = self.read(at.segment, at.offset)? else {
                let next = self.segments.range(at.segment + 1..).next();
                let Some((next, _)) = next else { break };
                at = Position { segment: *next, offset: 0 };
                continue;
            };
            let Some(payload) = read.payload else {
                // Damaged to its end: what is appended behind it has a segment of its own.
                at.offset = read.end;
                continue;
            };
            if !found.is_empty() && bytes + payload.len() > max_bytes {
                break;
            }
            bytes += payload.len();
            at.offset = read.end;
            found.push((payload, at));
        }
        if found.is_empty() && self.records > 0 && count > 0 {
            // What was counted cannot be read any more: it was damaged while it lay here.
            self.damage.damaged += 1;
            self.records = 0;
            self.drop_delivered()?;
        }
        Ok(found)
    }

    /// Forgets everything before a place that [`Self::append`] or [`Self::peek`] named: `count`
    /// records were delivered.
    ///
    /// # Errors
    /// [`SpoolError::Disk`] when a delivered segment cannot be deleted; it is delivered all the
    /// same.
    pub fn advance(&mut self, to: Position, count: u64) -> Result<(), SpoolError> {
        self.head = self.head.max(to);
        self.records = self.records.saturating_sub(count);
        self.drop_delivered()
    }

    fn drop_delivered(&mut self) -> Result<(), SpoolError> {
        // Nothing but damage may be left behind the head.
        if self.records == 0
            && let Some((number, segment)) = self.segments.last_key_value()
        {
            self.head = Position { segment: *number, offset: segment.length };
        }
        while let Some((&number, segment)) = self.segments.first_key_value() {
            let is_behind = number < self.head.segment;
            let is_done = number == self.head.segment && self.head.offset >= segment.length;
            let is_last = self.segments.len() == 1;
            if !(is_behind || is_done && (!is_last || segment.length > 0)) {
                break;
            }
            self.bytes -= segment.length;
            self.segments.remove(&number);
            if is_done {
                self.head = Position { segment: number + 1, offset: 0 };
            }
            fs::remove_file(self.path(number))?;
        }
        self.write_position()
    }

    fn write_position(&self) -> Result<(), SpoolError> {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&self.head.segment.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.head.offset.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..16]);
        bytes[16..].copy_from_slice(&crc.to_be_bytes());
        Ok(self.position.write_all_at(&bytes, 0)?)
    }
}

fn read_position(file: &File) -> Position {
    let mut bytes = [0; 20];
    if file.read_exact_at(&mut bytes, 0).is_err() {
        return Position::default();
    }
    let (body, crc) = bytes.split_at(16);
    if crc32c::crc32c(body).to_be_bytes() != crc {
        return Position::default();
    }
    let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().expect("8 bytes"));
    Position { segment: number(0), offset: number(8) }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".spool1")?;
    (name.len() == 20).then(|| name.parse().ok()).flatten()
}
