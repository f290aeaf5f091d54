//! The one writer of the journal: the local [`CommitStore`].
//!
//! Promises: when [`Journal::commit`] returns, the batch is durable and nothing after it was
//! written. A write that finds no space or descriptor is done again, the same bytes in the same
//! place, for nobody was told of it and nothing was synced. After any other error what the disk
//! holds is unknown, and only recovery at the next start decides what stands. A writer that finds
//! something behind its own end was overtaken and writes nothing.
//!
//! Assumes: one caller (the publisher's [`Committer`](crate::commit_store::Committer)),
//! which plans against the head and does nothing more after an error; and the lock of the data
//! folder, without which two writers could look in the same instant.
//!
//! Refuses: to reopen or re-read after a failed sync (the page cache may hold what the disk does
//! not).

use std::io;
use std::sync::Arc;

use ledgerline_proof::hash::{Hash, HmacKey};
use ledgerline_world::disk::{Disk, File, OpenMode};
use ledgerline_world::patience::Patience;

use super::format::{
    AttachmentRecord, BatchHead, CommitRecord, FRAME_BYTES, FrameBinding, FrameType, HEADER_BYTES,
    JournalLeaf, SegmentHeader, segment_path,
};
use crate::commit_store::{CommitBatch, CommitError, CommitStore, Placed, StoreHead};
use crate::recovery::{JournalTip, Recovered, list_segments};
use crate::scan::{Scanned, ScannedBatch, SegmentScan};
use crate::streams::StreamTable;
use crate::tree_store::Position;

/// How much is zero-filled ahead at once, so that a sync of a small batch seldom has to move the
/// file's end. The sync behind the fill writes the zeros too: 8 MiB of them took tens of
/// milliseconds, which was the slowest hundredth of all acknowledgements.
const ZERO_FILL_BYTES: u64 = 512 << 10;
/// A batch this long moves the end of the file itself: zeros would only be written twice.
const LONG_BATCH_BYTES: u64 = 128 << 10;
/// What is waited for when there is no room for a batch.
const WRITE: &str = "the journal has no room";
/// A longer batch gives its room back.
const BUFFER_BYTES: usize = 8 << 20;

/// The journal's writing end. Owned by the publisher.
pub struct Journal {
    disk: Arc<dyn Disk>,
    key: Arc<HmacKey>,
    tip: JournalTip,
    segment_bytes: u64,
    file: Box<dyn File>,
    zeroed_until: u64,
    /// The bytes of the last batch are written here; the room is kept for the next.
    buffer: Vec<u8>,
    /// Whether this run of the writer has an epoch of its own.
    taken: bool,
    patience: Arc<Patience>,
}

impl Journal {
    /// Creates a journal whose first segment holds one batch, atomically: the file gets its name
    /// only when everything in it is durable.
    ///
    /// # Errors
    /// Whatever the disk says; nothing was created then that a later start would take for a ledger.
    pub fn create(
        disk: Arc<dyn Disk>,
        patience: Arc<Patience>,
        key: Arc<HmacKey>,
        ledger_id: [u8; 16],
        segment_bytes: u64,
        leaves: &[JournalLeaf],
        root: Hash,
    ) -> Result<(Self, Placed), CommitError> {
        const BESIDE: &str = "journal/genesis.new";
        disk.create_dir("journal")?;
        let file = disk.open(BESIDE, OpenMode::Create)?;
        file.set_len(0)?;
        let tip = JournalTip {
            ledger_id,
            segment: 0,
            offset: HEADER_BYTES as u64,
            size: 0,
            root: ledgerline_proof::hash::empty_root(),
            mac: Hash::ZERO,
            epoch: 1,
            streams: StreamTable::default(),
        };
        file.write_all_at(&header_of(&tip).encode(), 0)?;
        let mut journal = Self {
            disk,
            key,
            tip,
            segment_bytes,
            file,
            zeroed_until: 0,
            buffer: Vec::new(),
            taken: true,
            patience,
        };
        let batch = CommitBatch { leaves, root, streams: None, previous_signature: &[] };
        let placed = journal.commit(&batch)?;
        journal.disk.rename(BESIDE, &segment_path(0))?;
        journal.disk.sync_dir("journal")?;
        Ok((journal, placed))
    }

    /// Continues where a recovery found the end.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn resume(
        disk: Arc<dyn Disk>,
        key: Arc<HmacKey>,
        recovered: &Recovered,
        segment_bytes: u64,
        patience: Arc<Patience>,
    ) -> io::Result<Self> {
        let tip = recovered.tip().clone();
        let file = disk.open(&segment_path(tip.segment), OpenMode::Write)?;
        let zeroed_until = file.len()?;
        Ok(Self {
            disk,
            key,
            tip,
            segment_bytes,
            file,
            zeroed_until,
            buffer: Vec::new(),
            taken: false,
            patience,
        })
    }

    /// Whether somebody else has written behind this writer's end. Read before every commit: one
    /// look at a page that the kernel holds.
    fn is_overtaken(&self) -> io::Result<bool> {
        if self.disk.exists(&segment_path(self.tip.segment + 1))? {
            return Ok(true);
        }
        let mut behind = [0; FRAME_BYTES];
        match self.file.read_exact_at(&mut behind, self.tip.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| behind != [0; FRAME_BYTES]),
        }
    }

    /// Writes a batch and makes it durable.
    fn append(&mut self, batch: &CommitBatch<'_>) -> io::Result<Placed> {
        let leaves = batch.leaves;
        let size = self.tip.size + leaves.len() as u64;
        let commit = CommitRecord {
            mac: Hash::ZERO,
            size,
            root: batch.root,
            epoch: self.tip.epoch,
            streams: batch.streams.unwrap_or(&self.tip.streams).clone(),
            previous_signature: batch.previous_signature.to_vec(),
        };
        let commit = commit.sealed(&self.key, &self.tip.mac);
        let most = batch_bytes(leaves) + commit.streams.encoded_len() as u64;
        let begins_segment =
            self.tip.offset + most > self.segment_bytes && self.tip.offset > HEADER_BYTES as u64;
        if begins_segment {
            self.begin_segment()?;
        }
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.reserve(usize::try_from(most).unwrap_or(0));
        let positions = self.encode(leaves, &commit, &mut bytes);
        let end = self.tip.offset + bytes.len() as u64;
        let patience = Arc::clone(&self.patience);
        patience.with_shortage(WRITE, || self.file.write_all_at(&bytes, self.tip.offset))?;
        patience.with_shortage(WRITE, || self.zero_ahead(end, end - self.tip.offset))?;
        self.file.sync()?; // COMMIT POINT: from here on the batch is in the ledger
        if begins_segment {
            patience.with_descriptors(WRITE, || self.disk.sync_dir("journal"))?;
        }
        self.tip.offset = end;
        self.tip.size = size;
        self.tip.root = batch.root;
        self.tip.mac = commit.mac;
        self.tip.streams = commit.streams;
        if bytes.capacity() <= BUFFER_BYTES {
            bytes.clear();
            self.buffer = bytes;
        }
        Ok(Placed { positions, sealed_segment: begins_segment })
    }

    fn encode(
        &self,
        leaves: &[JournalLeaf],
        commit: &CommitRecord,
        out: &mut Vec<u8>,
    ) -> Vec<Position> {
        let binding = FrameBinding::new(&self.tip.ledger_id, self.tip.segment);
        let base = self.tip.offset;
        let head = BatchHead {
            first_index: self.tip.size,
            entry_count: u32::try_from(leaves.len()).expect("batches are bounded"),
            epoch: self.tip.epoch,
        };
        binding.put(out, base, FrameType::Batch, &[&head.encode()]);
        let mut positions = Vec::with_capacity(leaves.len());
        for (index, leaf) in (self.tip.size..).zip(leaves) {
            let offset = u32::try_from(base + out.len() as u64).expect("segments are below 4 GiB");
            positions.push(Position { segment: self.tip.segment, offset });
            binding.put(out, base, FrameType::Entry, &[&leaf.bytes]);
            for sealed in &leaf.sealed {
                let parts = [&sealed.prefix(index)[..], &sealed.sealed];
                binding.put(out, base, FrameType::Sealed, &parts);
            }
            for attachment in &leaf.attachments {
                let parts = [&attachment.prefix(index)[..], &attachment.data];
                binding.put(out, base, FrameType::Attachment, &parts);
            }
        }
        binding.put(out, base, FrameType::Commit, &[&commit.encode()]);
        positions
    }

    /// Cuts the zeros off the full segment and begins the next. The new file is durable with its
    /// first batch; until then a start finds it without a batch and removes it.
    fn begin_segment(&mut self) -> io::Result<()> {
        self.file.set_len(self.tip.offset)?;
        self.file.sync()?;
        self.tip.segment += 1;
        self.tip.offset = HEADER_BYTES as u64;
        let (path, header) = (segment_path(self.tip.segment), header_of(&self.tip).encode());
        self.file =
            self.patience.with_shortage("no new segment of the journal can begin", || {
                let file = self.disk.open(&path, OpenMode::Create)?;
                file.set_len(0)?;
                file.write_all_at(&header, 0)?;
                Ok(file)
            })?;
        self.zeroed_until = HEADER_BYTES as u64;
        Ok(())
    }

    /// Zero-fills ahead of `end`, where a batch of `length` bytes ends, at most to the segment's
    /// nominal size.
    fn zero_ahead(&mut self, end: u64, length: u64) -> io::Result<()> {
        self.zeroed_until = self.zeroed_until.max(end);
        let is_long = length >= LONG_BATCH_BYTES;
        if is_long || self.zeroed_until > end || end >= self.segment_bytes {
            return Ok(());
        }
        let until = (end + ZERO_FILL_BYTES.min(self.segment_bytes / 4)).min(self.segment_bytes);
        let zeros = vec![0; usize::try_from(until - end).expect("bounded by ZERO_FILL_BYTES")];
        self.file.write_all_at(&zeros, end)?;
        self.zeroed_until = until;
        Ok(())
    }
}

impl CommitStore for Journal {
    fn head(&self) -> StoreHead {
        let JournalTip { size, root, mac, epoch, .. } = self.tip;
        StoreHead { size, root, mac, epoch }
    }

    fn streams(&self) -> &StreamTable {
        &self.tip.streams
    }

    /// It is durable with the next commit: until then nobody else could have read it.
    fn take(&mut self, epoch: u64) -> Result<(), CommitError> {
        if epoch <= self.tip.epoch {
            return Err(CommitError::Fenced);
        }
        self.tip.epoch = epoch;
        self.taken = true;
        Ok(())
    }

    fn commit(&mut self, batch: &CommitBatch<'_>) -> Result<Placed, CommitError> {
        let patience = Arc::clone(&self.patience);
        let look = || self.is_overtaken();
        if !self.taken || patience.with("the journal's end cannot be read", look)? {
            return Err(CommitError::Fenced);
        }
        Ok(self.append(batch)?)
    }

    fn batches(&self, from: u64, visit: &mut dyn FnMut(&ScannedBatch)) -> io::Result<()> {
        let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let segments =
            list_segments(self.disk.as_ref()).map_err(|error| damaged(error.to_string()))?.headers;
        let first = segments.iter().rposition(|header| header.first_index <= from).unwrap_or(0);
        for header in &segments[first..] {
            let path = segment_path(header.number);
            let file = self.disk.open(&path, OpenMode::Read)?;
            let mut scan = SegmentScan::new(file.as_ref(), header)?;
            loop {
                match scan.next_batch()? {
                    Scanned::Batch(batch) if batch.commit.size > from => visit(&batch),
                    Scanned::Batch(_) => {}
                    Scanned::End => break,
                    Scanned::Bad { start, .. } => {
                        return Err(damaged(format!("{path} is damaged at offset {start}")));
                    }
                }
            }
        }
        Ok(())
    }
}

fn header_of(tip: &JournalTip) -> SegmentHeader {
    SegmentHeader {
        ledger_id: tip.ledger_id,
        number: tip.segment,
        first_index: tip.size,
        root: tip.root,
        previous_mac: tip.mac,
    }
}

/// An upper bound of a batch's bytes.
fn batch_bytes(leaves: &[JournalLeaf]) -> u64 {
    const BESIDE: usize = 64;
    let of_leaf = |leaf: &JournalLeaf| {
        let sealed: usize = leaf.sealed.iter().map(|sealed| sealed.sealed.len() + BESIDE).sum();
        let attached = |one: &AttachmentRecord| one.data.len() + one.media_type.len() + BESIDE;
        leaf.bytes.len() + BESIDE + sealed + leaf.attachments.iter().map(attached).sum::<usize>()
    };
    leaves.iter().map(of_leaf).sum::<usize>() as u64 + 512
}
