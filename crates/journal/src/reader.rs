//! Reads single leaves of the journal by index.
//!
//! Promises: a leaf is handed out only when its frame's CRC holds *and* its hash is the one the
//! tree has for that index; a reader never shows bytes that the tree does not commit to.

use std::collections::BTreeMap;
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_world::disk::{Disk, File, OpenMode};

use super::format::{
    AttachmentRecord, FRAME_BYTES, Frame, FrameBinding, FrameType, MAX_BODY_BYTES, SealedRecord,
    segment_path,
};
use crate::leaf_store::{LeafStore, ReadError, StoredLeaf};
use crate::tree_store::{Position, TreeStore};

/// The journal's reading end. Shared between threads.
pub struct JournalReader {
    disk: Arc<dyn Disk>,
    ledger_id: [u8; 16],
    store: TreeStore,
    segments: Mutex<BTreeMap<u32, Arc<dyn File>>>,
}

/// What is read at first of a frame.
const USUAL_FRAME_BYTES: usize = 640;
/// Leaves whose indexes lie within so many are looked up together.
const NEAR: u64 = 64;
/// Frames with no more than this between them are read together, up to so much in all.
const GAP_BYTES: u32 = 4 << 10;
const PIECE_BYTES: u32 = 32 << 10;

/// Leaves of a range whose places are looked up together, and bytes that are read together of it.
const RUN: u64 = 256;
const RUN_BYTES: u32 = 64 << 10;

/// Where a frame stands, and how many bytes more than usual are read from there on.
#[derive(Clone, Copy)]
struct FrameAt {
    position: Position,
    ahead: u32,
}

impl FrameAt {
    /// A frame with no neighbours that are wanted, too.
    fn alone(position: Position) -> Self {
        Self { position, ahead: 0 }
    }
}

/// Bytes of a segment, read at once.
#[derive(Default)]
struct Piece {
    segment: u32,
    start: u64,
    bytes: Vec<u8>,
}

impl Piece {
    /// What it holds from a place on, if that is at least `least` bytes.
    fn from(&self, segment: u32, offset: u64, least: usize) -> Option<&[u8]> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes.get(at..).filter(|bytes| bytes.len() >= least)?;
        (segment == self.segment).then_some(bytes)
    }

    /// Fills it from `file`: `usual` bytes, or only what is needed where the file ends before.
    fn fill(
        &mut self,
        file: &dyn File,
        segment: u32,
        start: u64,
        needed: usize,
        usual: usize,
    ) -> io::Result<()> {
        (self.segment, self.start) = (segment, start);
        self.bytes.resize(usual.max(needed), 0);
        if file.read_exact_at(&mut self.bytes, start).is_err() {
            self.bytes.truncate(needed);
            file.read_exact_at(&mut self.bytes, start).inspect_err(|_| self.bytes.clear())?;
        }
        Ok(())
    }
}

impl JournalReader {
    /// Reads the journal of one ledger.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, ledger_id: [u8; 16], store: TreeStore) -> Self {
        Self { disk, ledger_id, store, segments: Mutex::new(BTreeMap::new()) }
    }

    /// The stored tree.
    #[must_use]
    pub fn store(&self) -> &TreeStore {
        &self.store
    }

    /// The leaf at `index`, which the caller knows to be committed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn leaf(&self, index: u64) -> Result<Vec<u8>, ReadError> {
        let (position, hash) = (self.store.position(index)?, self.store.leaf(index)?);
        Ok(self.confirmed(&mut Piece::default(), index, FrameAt::alone(position), hash)?.to_vec())
    }

    fn neighbours(
        &self,
        indexes: &[u64],
        piece: &mut Piece,
        leaves: &mut Vec<Vec<u8>>,
    ) -> Result<(), ReadError> {
        let (first, last) = (indexes[0], indexes[indexes.len() - 1]);
        let count = usize::try_from(last - first).map_err(io::Error::other)? + 1;
        let positions = self.store.positions(first, count)?;
        let hashes = self.store.hashes(0, first, count)?;
        let place = |index: u64| usize::try_from(index - first).expect("below the count");
        for (n, &index) in indexes.iter().enumerate() {
            let position = positions[place(index)];
            let mut end = position.offset;
            for &next in &indexes[n + 1..] {
                let Position { segment, offset } = positions[place(next)];
                let follows = segment == position.segment
                    && offset.checked_sub(end).is_some_and(|gap| gap <= GAP_BYTES)
                    && offset - position.offset <= PIECE_BYTES;
                if !follows {
                    break;
                }
                end = offset;
            }
            let hash = hashes[place(index)];
            let at = FrameAt { position, ahead: end - position.offset };
            leaves.push(self.confirmed(piece, index, at, hash)?.to_vec());
        }
        Ok(())
    }

    /// The leaf in the frame at a position, if its hash is the tree's.
    fn confirmed<'p>(
        &self,
        piece: &'p mut Piece,
        index: u64,
        at: FrameAt,
        hash: Hash,
    ) -> Result<&'p [u8], ReadError> {
        let (kind, body) = self.frame(piece, index, at)?;
        if kind != FrameType::Entry || leaf_hash(body) != hash {
            return Err(ReadError::Damaged { index });
        }
        Ok(body)
    }

    /// The hash of the leaf at `index`, on which the journal and the tree agree: for whatever is
    /// built upon it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn agreed_hash(&self, index: u64) -> Result<Hash, ReadError> {
        // `leaf` compares what it read with the tree.
        Ok(leaf_hash(&self.leaf(index)?))
    }

    /// The leaf with its sealed records and attachments, which stand right behind it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn leaf_with_records(&self, index: u64) -> Result<StoredLeaf, ReadError> {
        self.records_beside(index, self.leaf(index)?)
    }

    /// A leaf that was read, with its sealed records and attachments.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn records_beside(&self, index: u64, bytes: Vec<u8>) -> Result<StoredLeaf, ReadError> {
        let mut at = self.store.position(index)?;
        let mut length = bytes.len();
        let mut stored = StoredLeaf { bytes, ..StoredLeaf::default() };
        let mut piece = Piece::default();
        loop {
            let step = u32::try_from(FRAME_BYTES + length).map_err(io::Error::other)?;
            at.offset = at.offset.checked_add(step).ok_or(ReadError::Damaged { index })?;
            let (kind, body) = self.frame(&mut piece, index, FrameAt::alone(at))?;
            length = body.len();
            let frame = Frame { kind, body, offset: u64::from(at.offset) };
            match kind {
                FrameType::Sealed | FrameType::SealedErased => {
                    let record = SealedRecord::decode(&frame).filter(|(of, _)| *of == index);
                    stored.sealed.push(record.ok_or(ReadError::Damaged { index })?.1);
                }
                FrameType::Attachment => {
                    let record = AttachmentRecord::decode(body).filter(|(of, _)| *of == index);
                    stored.attachments.push(record.ok_or(ReadError::Damaged { index })?.1);
                }
                FrameType::Batch | FrameType::Entry | FrameType::Commit => return Ok(stored),
            }
        }
    }

    /// The frame at a position.
    fn frame<'p>(
        &self,
        piece: &'p mut Piece,
        index: u64,
        FrameAt { position, ahead }: FrameAt,
    ) -> Result<(FrameType, &'p [u8]), ReadError> {
        let damaged = || ReadError::Damaged { index };
        let (segment, offset) = (position.segment, u64::from(position.offset));
        if piece.from(segment, offset, FRAME_BYTES).is_none() {
            // Most frames are whole in one read; at the end of a segment it may reach too far.
            let usual = USUAL_FRAME_BYTES + ahead as usize;
            let file = self.segment(segment)?;
            piece.fill(&*file, segment, offset, FRAME_BYTES, usual)?;
        }
        let head = piece.from(segment, offset, FRAME_BYTES).ok_or_else(damaged)?;
        let length = u32::from_be_bytes(head[..4].try_into().expect("four bytes")) as usize;
        if length > MAX_BODY_BYTES {
            return Err(damaged());
        }
        let whole = FRAME_BYTES + length;
        if piece.from(segment, offset, whole).is_none() {
            let usual = USUAL_FRAME_BYTES + ahead as usize;
            let file = self.segment(segment)?;
            piece.fill(&*file, segment, offset, whole, usual)?;
        }
        let bytes = piece.from(segment, offset, whole).ok_or_else(damaged)?;
        let binding = FrameBinding::new(&self.ledger_id, segment);
        let frame = binding.take(bytes, offset).ok_or_else(damaged)?;
        Ok((frame.kind, frame.body))
    }

    fn segment(&self, number: u32) -> io::Result<Arc<dyn File>> {
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = segments.get(&number) {
            return Ok(Arc::clone(file));
        }
        let file: Arc<dyn File> = self.disk.open(&segment_path(number), OpenMode::Read)?.into();
        segments.insert(number, Arc::clone(&file));
        Ok(file)
    }
}

impl LeafStore for JournalReader {
    // Neighbours are read together.
    fn leaves(&self, indexes: &[u64]) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut leaves = Vec::with_capacity(indexes.len());
        let mut piece = Piece::default();
        let mut rest = indexes;
        while let Some(&first) = rest.first() {
            let near = |pair: &&[u64]| pair[0] < pair[1] && pair[1] - first < NEAR;
            let (now, later) = rest.split_at(1 + rest.windows(2).take_while(near).count());
            if now.len() == 1 {
                let (position, hash) = (self.store.position(first)?, self.store.leaf(first)?);
                let at = FrameAt::alone(position);
                leaves.push(self.confirmed(&mut piece, first, at, hash)?.to_vec());
            } else {
                self.neighbours(now, &mut piece, &mut leaves)?;
            }
            rest = later;
        }
        Ok(leaves)
    }

    fn stored(&self, at: &[u64]) -> Result<Vec<StoredLeaf>, ReadError> {
        let leaves = at.iter().zip(self.leaves(at)?);
        leaves.map(|(index, bytes)| self.records_beside(*index, bytes)).collect()
    }

    fn each(
        &self,
        range: Range<u64>,
        each: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut piece = Piece::default();
        let mut first = range.start;
        while first < range.end {
            let end = range.end.min(first + RUN);
            let count = usize::try_from(end - first).expect("few");
            let positions = self.store.positions(first, count)?;
            let hashes = self.store.hashes(0, first, count)?;
            for (n, (index, hash)) in (first..end).zip(hashes).enumerate() {
                let position = positions[n];
                let is_near = |next: &&Position| {
                    next.segment == position.segment
                        && next
                            .offset
                            .checked_sub(position.offset)
                            .is_some_and(|far| far <= RUN_BYTES)
                };
                let offset = u64::from(position.offset);
                let ahead = match piece.from(position.segment, offset, USUAL_FRAME_BYTES) {
                    Some(_) => 0,
                    None => positions[n..]
                        .iter()
                        .take_while(is_near)
                        .last()
                        .map_or(0, |last| last.offset - position.offset),
                };
                let at = FrameAt { position, ahead };
                let body = self.confirmed(&mut piece, index, at, hash)?;
                if each(index, body).is_break() {
                    return Ok(());
                }
            }
            first = end;
        }
        Ok(())
    }

    fn leaf(&self, at: u64) -> Result<Vec<u8>, ReadError> {
        Self::leaf(self, at)
    }
}
