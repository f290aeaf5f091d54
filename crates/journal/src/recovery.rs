//! What stands in the journal after a stop of any kind.
//!
//! Promises: every complete batch whose MAC and root hold is kept, acknowledged or not. A bad batch
//! is cut only if nothing valid follows it and the head store does not know it; its bytes are kept
//! in `torn/`. Everything else that is bad stops the start: the ledger was damaged, and `verify`
//! says where. What is read is what lies behind the last commit in front of all that is wanted:
//!
//! ```text
//! journal  ├── segments not read ──┼── not read ──│commit│── read, judged, replayed ──┤
//!                                                  └ where the files of the tree give the root
//!                                                    it names; its MAC is the next one's to judge
//! ```
//!
//! The last batch is written once more and synced before anything builds on it: after a failed sync
//! or a killed process the page cache may show a batch that the disk does not hold.

use std::io;
use std::sync::Arc;

use ledgerline_proof::hash::{Hash, HmacKey, leaf_hash, sha256};
use ledgerline_proof::tree::{self, Frontier};
use ledgerline_world::disk::{Disk, File, OpenMode, replace_durably};

use super::format::{
    BATCH_BODY_BYTES, FRAME_BYTES, FrameBinding, FrameType, HEADER_BYTES, MAX_SEGMENT_BYTES,
    SegmentHeader, segment_number, segment_path,
};
use super::scan::{Scanned, ScannedBatch, SegmentScan, first_nonzero};
use crate::commit_store::Committed;
use crate::streams::StreamTable;
use crate::tree_store::{Position, TreeAddition, TreeStore};

/// Why the journal cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Disk(#[from] io::Error),
    /// Bytes that were once committed do not hold.
    #[error("{path} is damaged at offset {offset}: {what}; run `ledgerline verify --data DIR`")]
    Damaged {
        /// The segment's path.
        path: String,
        /// Offset of the first bad byte range.
        offset: u64,
        /// What does not hold.
        what: &'static str,
    },
    /// The head store has seen more than the journal holds.
    #[error(
        "the journal holds {size} entries but the head store has seen {head}: this is an older \
         copy or a truncated one; restore the newest copy. If there is none, start once with \
         `new_origin` set to a new name: a new origin then continues this one, and what is lost \
         stays lost"
    )]
    BehindHead {
        /// Size of the journal.
        size: u64,
        /// Size in the head store.
        head: u64,
    },
    /// The journal's tree is not the one whose root the head store knows.
    #[error(
        "the root at size {size} differs from the head store's: the journal was rewritten, or the \
         head store belongs to another ledger"
    )]
    OtherRoot {
        /// The size compared.
        size: u64,
    },
}

/// Bytes of an unfinished batch that were cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// How many.
    pub bytes: u64,
    /// Their SHA-256.
    pub digest: Hash,
}

/// Where the journal ends.
#[derive(Debug, Clone)]
pub struct JournalTip {
    /// The ledger.
    pub ledger_id: [u8; 16],
    /// The segment that is written to.
    pub segment: u32,
    /// Offset of the next batch in it.
    pub offset: u64,
    /// Size of the ledger.
    pub size: u64,
    /// Root at that size.
    pub root: Hash,
    /// MAC of the last COMMIT.
    pub mac: Hash,
    /// The run of the writer that wrote it, or is to write next.
    pub epoch: u64,
    /// How far every stream was read.
    pub streams: StreamTable,
}

/// The state in which the journal can be continued. Its last batch was written once more and
/// synced, so that it is [`Committed`].
#[derive(Debug)]
pub struct Recovered {
    /// `epoch` is that of the last commit.
    tip: JournalTip,
    /// The tree.
    pub frontier: Frontier,
    /// The cut, if there was one.
    pub torn: Option<Torn>,
}

impl Recovered {
    /// Where the journal ends.
    #[must_use]
    pub fn tip(&self) -> &JournalTip {
        &self.tip
    }

    /// Proof that it ends there.
    #[must_use]
    pub fn committed(&self) -> Committed {
        Committed::new(self.tip.size, self.tip.root)
    }
}

/// The head store's word: size and root of the newest checkpoint it keeps.
pub type Head = (u64, Hash);

/// Headers of all segments, in order, and whether the last one never got its first batch.
pub struct Segments {
    /// The headers.
    pub headers: Vec<SegmentHeader>,
    /// Number of a segment whose header is not whole.
    pub headless: Option<u32>,
}

/// Lists the segments and reads their headers.
///
/// # Errors
/// `Damaged` when one is missing or is not of the same ledger, or has a bad header and is not the
/// last.
pub fn list_segments(disk: &dyn Disk) -> Result<Segments, RecoverError> {
    let names = disk.list("journal")?;
    let mut segments = Segments { headers: Vec::new(), headless: None };
    // Other files are nobody's: `verify` names them.
    let files: Vec<&String> = names.iter().filter(|name| segment_number(name).is_some()).collect();
    for (number, name) in (0u32..).zip(&files) {
        let path = segment_path(number);
        let damaged = |what| RecoverError::Damaged { path: path.clone(), offset: 0, what };
        if path.strip_prefix("journal/") != Some(name.as_str()) {
            return Err(damaged("the segment is missing"));
        }
        let file = disk.open(&path, OpenMode::Read)?;
        let mut bytes = [0; HEADER_BYTES];
        if file.len()? > MAX_SEGMENT_BYTES {
            return Err(damaged("the file is longer than any segment"));
        }
        let whole = file.len()? >= HEADER_BYTES as u64;
        if whole {
            file.read_exact_at(&mut bytes, 0)?;
        }
        match SegmentHeader::decode(&bytes).filter(|header| whole && header.number == number) {
            Some(header) => {
                let first = segments.headers.first().unwrap_or(&header);
                let last = segments.headers.last().map_or(0, |last| last.first_index);
                if first.ledger_id != header.ledger_id || header.first_index < last {
                    return Err(damaged("the segment belongs to another ledger"));
                }
                segments.headers.push(header);
            }
            None if number > 0 && number as usize + 1 == files.len() => {
                segments.headless = Some(number);
            }
            None => return Err(damaged("the header does not hold")),
        }
    }
    Ok(segments)
}

/// How far in front of what is wanted a commit is looked for, one after the other, in entries:
/// batches are seldom longer.
const LOOK_BACK: [u64; 4] = [16, 256, 4096, 65_536];

/// Finds where the journal ends, rebuilds the tree's files from where it begins to read, and hands
/// every batch that ends behind `from` to `visit`.
///
/// # Errors
/// [`RecoverError`]; nothing but derived files was changed then.
pub fn recover(
    disk: &Arc<dyn Disk>,
    key: &HmacKey,
    store: &TreeStore,
    head: Option<Head>,
    from: u64,
    visit: &mut dyn FnMut(&ScannedBatch),
) -> Result<Recovered, RecoverError> {
    let segments = list_segments(disk.as_ref())?;
    let mut replay = Replay::begin(disk, key, store, &segments, from)?;
    replay.skip(&segments)?;
    store.distrust_from(replay.tip.size)?;
    let mut torn = None;
    let first = replay.segment;
    let last = segments.headers.len() - 1;
    for header in &segments.headers[first..] {
        let is_last = header.number as usize == last && segments.headless.is_none();
        if replay.tip.offset == 0 || header.number > replay.tip.segment {
            replay.enter(header)?;
        }
        torn = replay.segment_batches(header, is_last.then_some(head), visit)?;
    }
    if let Some(number) = segments.headless {
        torn = Some(remove_headless(disk.as_ref(), &replay.tip, number, head)?);
    }
    replay.settle_last_batch()?;
    store.sync(replay.tip.size)?;
    check_head(store, &replay.tip, head)?;
    Ok(Recovered { tip: replay.tip, frontier: replay.frontier, torn })
}

/// The walk over segments. Owns the tree while it grows.
struct Replay<'r> {
    disk: &'r Arc<dyn Disk>,
    key: &'r HmacKey,
    store: &'r TreeStore,
    /// Batches that end here or before are not wanted.
    from: u64,
    segment: usize,
    frontier: Frontier,
    tip: JournalTip,
    last_batch: Option<(SegmentHeader, u64, Vec<u8>)>,
}

impl<'r> Replay<'r> {
    /// Begins at the newest segment that lies wholly before `from` and whose tree the files still
    /// hold.
    fn begin(
        disk: &'r Arc<dyn Disk>,
        key: &'r HmacKey,
        store: &'r TreeStore,
        segments: &Segments,
        from: u64,
    ) -> Result<Self, RecoverError> {
        let Some(first) = segments.headers.first() else {
            let path = segment_path(0);
            return Err(RecoverError::Damaged { path, offset: 0, what: "there is no journal" });
        };
        let extent = store.extent()?.min(store.whole()?);
        let usable = |header: &SegmentHeader| {
            let size = header.first_index;
            let holds = || tree::frontier(size, store).is_ok_and(|tree| tree.root() == header.root);
            size <= from && size <= extent && holds()
        };
        let segment = segments.headers.iter().rposition(usable).unwrap_or(0);
        let size = segments.headers[segment].first_index;
        let frontier = match size {
            0 => Frontier::new(),
            _ => {
                tree::frontier(size, store).map_err(|error| io::Error::other(error.to_string()))?
            }
        };
        let tip = JournalTip {
            ledger_id: first.ledger_id,
            segment: 0,
            offset: 0,
            size,
            root: frontier.root(),
            mac: segments.headers[segment].previous_mac,
            epoch: 0,
            streams: StreamTable::default(),
        };
        Ok(Self { disk, key, store, from, segment, frontier, tip, last_batch: None })
    }

    /// Moves on to the last commit in front of `from`, if it can be found and the files of the tree
    /// give its root.
    fn skip(&mut self, segments: &Segments) -> Result<(), RecoverError> {
        let header = &segments.headers[self.segment];
        let whole = self.store.extent()?.min(self.store.whole()?);
        // One less, so that a batch stands behind it: that one's MAC judges this one's.
        let limit = self.from.min(whole).saturating_sub(1);
        for back in LOOK_BACK {
            let first = limit.saturating_sub(back);
            if first <= header.first_index {
                return Ok(());
            }
            let position = self.store.position(first).ok();
            let Some(position) = position.filter(|at| at.segment == header.number) else {
                return Ok(());
            };
            let file = self.disk.open(&segment_path(header.number), OpenMode::Read)?;
            let mut scan =
                SegmentScan::from_offset(file.as_ref(), header, u64::from(position.offset))?;
            let Some((commit, leaves)) = scan.rest_of_batch()? else { return Ok(()) };
            if commit.size > limit {
                continue;
            }
            let frontier = tree::frontier(commit.size, self.store).ok();
            let frontier = frontier.filter(|tree| tree.root() == commit.root);
            if let Some(frontier) = frontier.filter(|_| commit.size == first + leaves) {
                self.frontier = frontier;
                self.tip = JournalTip {
                    ledger_id: self.tip.ledger_id,
                    segment: header.number,
                    offset: scan.offset(),
                    size: commit.size,
                    root: commit.root,
                    mac: commit.mac,
                    epoch: commit.epoch,
                    streams: commit.streams,
                };
            }
            return Ok(());
        }
        Ok(())
    }

    /// Checks that a segment continues where the one before ended.
    fn enter(&mut self, header: &SegmentHeader) -> Result<(), RecoverError> {
        let continues = header.first_index == self.tip.size
            && header.previous_mac == self.tip.mac
            && header.root == self.tip.root;
        if !continues {
            let what = "it does not continue the segment before";
            return Err(RecoverError::Damaged {
                path: segment_path(header.number),
                offset: 0,
                what,
            });
        }
        self.tip.segment = header.number;
        self.tip.offset = HEADER_BYTES as u64;
        Ok(())
    }

    /// Takes every good batch of a segment. `cut` is set for the last one, whose tail may be torn.
    fn segment_batches(
        &mut self,
        header: &SegmentHeader,
        cut: Option<Option<Head>>,
        visit: &mut dyn FnMut(&ScannedBatch),
    ) -> Result<Option<Torn>, RecoverError> {
        let path = segment_path(header.number);
        let file = self.disk.open(&path, OpenMode::Write)?;
        let mut scan = SegmentScan::from_offset(file.as_ref(), header, self.tip.offset)?;
        loop {
            let start = scan.offset();
            let bad = match scan.next_batch()? {
                Scanned::End => return Ok(None),
                Scanned::Batch(batch) => match self.take(&batch)? {
                    Ok(()) => {
                        if batch.commit.size > self.from {
                            visit(&batch);
                        }
                        self.last_batch = Some((*header, batch.start, batch.bytes));
                        continue;
                    }
                    Err(what) => what,
                },
                Scanned::Bad { .. } => "a frame does not hold",
            };
            let damaged = RecoverError::Damaged { path: path.clone(), offset: start, what: bad };
            let Some(head) = cut else { return Err(damaged) };
            let known = head.is_some_and(|(size, _)| size > self.tip.size);
            let genesis = self.tip.size == 0;
            if known || genesis || batch_follows(file.as_ref(), header, start)? {
                return Err(damaged);
            }
            return cut_tail(self.disk.as_ref(), file.as_ref(), header.number, start).map(Some);
        }
    }

    /// Judges a batch and, when it holds, makes it part of the tree.
    fn take(&mut self, batch: &ScannedBatch) -> Result<Result<(), &'static str>, RecoverError> {
        if batch.head.first_index != self.tip.size {
            return Ok(Err("the batch begins at another index"));
        }
        if !batch.commit.holds(self.key, &self.tip.mac) {
            return Ok(Err("the commit's MAC does not hold"));
        }
        let mut frontier = self.frontier.clone();
        let mut addition = TreeAddition { first_index: self.tip.size, ..TreeAddition::default() };
        for (offset, leaf) in batch.leaves() {
            let hash = leaf_hash(leaf);
            let offset = u32::try_from(offset).map_err(io::Error::other)?;
            addition.positions.push(Position { segment: batch.segment, offset });
            addition.leaves.push(hash);
            frontier.push_stored(hash, |at, hash| {
                if at.level > 0 {
                    addition.upper.push((at, hash));
                }
            });
        }
        let root = frontier.root();
        if batch.commit.size != frontier.size() || batch.commit.root != root {
            return Ok(Err("the commit's root is not that of its entries"));
        }
        self.store.put(&addition)?;
        self.frontier = frontier;
        self.tip.size = batch.commit.size;
        self.tip.root = root;
        self.tip.mac = batch.commit.mac;
        self.tip.epoch = batch.commit.epoch;
        self.tip.streams.clone_from(&batch.commit.streams);
        self.tip.offset = batch.end();
        Ok(Ok(()))
    }

    /// Writes the last batch again and syncs it, so that what was read is what the disk holds.
    fn settle_last_batch(&self) -> Result<(), RecoverError> {
        let Some((header, start, bytes)) = &self.last_batch else { return Ok(()) };
        let file = self.disk.open(&segment_path(header.number), OpenMode::Write)?;
        // The header that was judged, not one read again: a bit that turns on the way must not
        // stay.
        file.write_all_at(&header.encode(), 0)?;
        file.write_all_at(bytes, *start)?;
        file.sync()?;
        Ok(self.disk.sync_dir("journal")?)
    }
}

/// Whether a BATCH frame stands anywhere behind `start`: then the batch at `start` had been synced,
/// since no byte of a batch is written before the one before it is durable.
fn batch_follows(file: &dyn File, header: &SegmentHeader, start: u64) -> io::Result<bool> {
    const BLOCK: u64 = 1 << 20;
    const BATCH_FRAME: usize = FRAME_BYTES + BATCH_BODY_BYTES;
    let binding = FrameBinding::new(&header.ledger_id, header.number);
    let mark = [0, 0, 0, u8::try_from(BATCH_BODY_BYTES).expect("small"), FrameType::Batch as u8];
    let length = file.len()?;
    let mut from = start + 1;
    while from < length {
        let count = (length - from).min(BLOCK + BATCH_FRAME as u64);
        let mut bytes = vec![0; usize::try_from(count).expect("bounded by BLOCK")];
        file.read_exact_at(&mut bytes, from)?;
        let found = bytes.windows(mark.len()).enumerate().any(|(at, window)| {
            window == mark && binding.take(&bytes[at..], from + at as u64).is_some()
        });
        if found {
            return Ok(true);
        }
        from += BLOCK;
    }
    Ok(false)
}

/// Keeps the bytes from `start` on in `torn/`, then zeroes them.
fn cut_tail(
    disk: &dyn Disk,
    file: &dyn File,
    segment: u32,
    start: u64,
) -> Result<Torn, RecoverError> {
    let length = file.len()?;
    let mut bytes = vec![0; usize::try_from(length - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    let torn = keep_torn(disk, segment, start, &bytes)?;
    file.set_len(start)?;
    file.sync()?;
    Ok(torn)
}

fn keep_torn(disk: &dyn Disk, segment: u32, start: u64, bytes: &[u8]) -> io::Result<Torn> {
    disk.create_dir("torn")?;
    let digest = sha256(bytes);
    let name = format!("torn/{segment:08}-{start}-{}.bin", &digest.to_hex()[..16]);
    replace_durably(disk, &name, bytes)?;
    Ok(Torn { bytes: bytes.len() as u64, digest })
}

/// Removes a segment that was begun but never got a durable header.
fn remove_headless(
    disk: &dyn Disk,
    tip: &JournalTip,
    number: u32,
    head: Option<Head>,
) -> Result<Torn, RecoverError> {
    let path = segment_path(number);
    let file = disk.open(&path, OpenMode::Write)?;
    let header = SegmentHeader {
        ledger_id: tip.ledger_id,
        number,
        first_index: tip.size,
        root: tip.root,
        previous_mac: tip.mac,
    };
    let committed = head.is_some_and(|(size, _)| size > tip.size);
    if committed || batch_follows(file.as_ref(), &header, HEADER_BYTES as u64)? {
        return Err(RecoverError::Damaged { path, offset: 0, what: "the header does not hold" });
    }
    let length = file.len()?;
    let count = first_nonzero(file.as_ref(), 0, length)?.map_or(0, |_| length);
    let mut bytes = vec![0; usize::try_from(count).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    let torn = keep_torn(disk, number, 0, &bytes)?;
    disk.remove(&path)?;
    disk.sync_dir("journal")?;
    Ok(torn)
}

/// Whether the journal holds what the head store knows.
///
/// # Errors
/// `BehindHead` and `OtherRoot` when it does not.
pub fn check_head(
    store: &TreeStore,
    tip: &JournalTip,
    head: Option<Head>,
) -> Result<(), RecoverError> {
    let Some((size, root)) = head else { return Ok(()) };
    if size > tip.size {
        return Err(RecoverError::BehindHead { size: tip.size, head: size });
    }
    let found =
        tree::tree_root(size, store).map_err(|error| io::Error::other(error.to_string()))?;
    if found == root { Ok(()) } else { Err(RecoverError::OtherRoot { size }) }
}
