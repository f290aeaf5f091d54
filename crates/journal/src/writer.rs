//! The one writer of the journal.
//!
//! Promises: when [`Journal::append`] returns, the batch is durable and nothing after it was
//! written. A write that finds no space or descriptor is done again, the same bytes in the same
//! place, for nobody was told of it and nothing was synced. After any other error the journal is
//! poisoned: what the disk holds is unknown, so nothing is ever written again by this writer, and
//! only recovery at the next start decides what stands.
//!
//! Assumes: one caller (the sync thread), which plans against the size the journal has.
//!
//! Refuses: to reopen or re-read after a failed sync (the page cache may hold what the disk does
//! not).

use std::io;
use std::sync::Arc;

use ledgerline_proof::hash::{Hash, HmacKey};
use ledgerline_world::disk::{Disk, File, OpenMode};
use ledgerline_world::patience::Patience;

use super::format::{
    AttachmentRecord, BatchHead, CommitRecord, FrameBinding, FrameType, HEADER_BYTES, SealedRecord,
    SegmentHeader, segment_path,
};
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

/// A leaf with what travels beside it.
#[derive(Debug, Clone, Default)]
pub struct JournalLeaf {
    /// The leaf's bytes.
    pub bytes: Vec<u8>,
    /// Its sealed personal records.
    pub sealed: Vec<SealedRecord>,
    /// Its attachments.
    pub attachments: Vec<AttachmentRecord>,
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
    /// This run of the writer.
    pub epoch: u64,
}

/// Why a batch was not appended. Either way the journal is poisoned.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk failed. What it holds is unknown until recovery.
    #[error("the journal cannot be written: {0}; restart to recover what is durable")]
    Disk(#[from] io::Error),
    /// An earlier append failed.
    #[error("the journal stopped after an earlier failure; restart to recover what is durable")]
    Poisoned,
}

/// What an append tells the publisher.
#[derive(Debug, Clone)]
pub struct Appended {
    /// Where each leaf's frame begins.
    pub positions: Vec<Position>,
    /// Whether the batch began a new segment, so that the one before is sealed.
    pub sealed_segment: bool,
}

/// The journal's writing end. Owned by the sync thread.
pub struct Journal {
    disk: Arc<dyn Disk>,
    key: Arc<HmacKey>,
    tip: JournalTip,
    segment_bytes: u64,
    file: Box<dyn File>,
    zeroed_until: u64,
    /// The bytes of the last batch are written here; the room is kept for the next.
    buffer: Vec<u8>,
    poisoned: bool,
    patience: Arc<Patience>,
}

impl Journal {
    /// This run of the writer.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.tip.epoch
    }

    /// Creates a journal whose first segment holds one batch, atomically: the file gets its name
    /// only when everything in it is durable.
    ///
    /// # Errors
    /// Whatever the disk says; nothing was created then that a later start would take for a ledger.
    pub fn create(
        (disk, patience): (Arc<dyn Disk>, Arc<Patience>),
        key: Arc<HmacKey>,
        ledger_id: [u8; 16],
        segment_bytes: u64,
        leaves: &[JournalLeaf],
        root: Hash,
    ) -> Result<(Self, Appended), AppendError> {
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
            poisoned: false,
            patience,
        };
        let appended = journal.append(leaves, root, Vec::new())?;
        journal.disk.rename(BESIDE, &segment_path(0))?;
        journal.disk.sync_dir("journal")?;
        Ok((journal, appended))
    }

    /// Continues at a recovered tip.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn resume(
        disk: Arc<dyn Disk>,
        key: Arc<HmacKey>,
        tip: JournalTip,
        segment_bytes: u64,
        patience: Arc<Patience>,
    ) -> io::Result<Self> {
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
            poisoned: false,
            patience,
        })
    }

    /// Where the journal ends.
    #[must_use]
    pub fn tip(&self) -> &JournalTip {
        &self.tip
    }

    /// Appends one batch and makes it durable. `root` is the root with its leaves;
    /// `previous_signature` that of the previous commit's checkpoint.
    ///
    /// # Errors
    /// [`AppendError`]; the journal is poisoned then.
    ///
    /// # Panics
    /// When the batch has no leaves.
    pub fn append(
        &mut self,
        leaves: &[JournalLeaf],
        root: Hash,
        previous_signature: Vec<u8>,
    ) -> Result<Appended, AppendError> {
        assert!(!leaves.is_empty(), "a commit without leaves would prove nothing");
        if std::mem::replace(&mut self.poisoned, true) {
            return Err(AppendError::Poisoned);
        }
        let appended = self.append_poisoned(leaves, root, previous_signature)?;
        self.poisoned = false;
        Ok(appended)
    }

    fn append_poisoned(
        &mut self,
        leaves: &[JournalLeaf],
        root: Hash,
        previous_signature: Vec<u8>,
    ) -> Result<Appended, AppendError> {
        let size = self.tip.size + leaves.len() as u64;
        let commit = CommitRecord::seal(
            &self.key,
            &self.tip.mac,
            (size, root),
            self.tip.epoch,
            previous_signature,
        );
        let begins_segment = self.tip.offset + batch_bytes(leaves) > self.segment_bytes
            && self.tip.offset > HEADER_BYTES as u64;
        if begins_segment {
            self.begin_segment()?;
        }
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.reserve(usize::try_from(batch_bytes(leaves)).unwrap_or(0));
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
        self.tip.root = root;
        self.tip.mac = commit.mac;
        if bytes.capacity() <= BUFFER_BYTES {
            bytes.clear();
            self.buffer = bytes;
        }
        Ok(Appended { positions, sealed_segment: begins_segment })
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
