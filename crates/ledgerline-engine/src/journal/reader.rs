//! Reads single leaves of the journal by index.
//!
//! Promises: a leaf is handed out only when its frame's CRC holds *and* its hash is the one the
//! tree has for that index; a reader never shows bytes that the tree does not commit to.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_proof::hash::{Hash, leaf_hash};

use super::format::{
    AttachmentRecord, FRAME_BYTES, Frame, FrameBinding, FrameType, MAX_BODY_BYTES, SealedRecord,
    segment_path,
};
use crate::disk::{Disk, File, OpenMode};
use crate::tree_store::{Position, TreeStore};

/// Why a leaf cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Disk(#[from] io::Error),
    /// The bytes are not those that the tree commits to.
    #[error("entry {index} is damaged in the journal; run `ledgerline verify`")]
    Damaged {
        /// The entry.
        index: u64,
    },
}

/// A leaf with what travels beside it.
#[derive(Debug, Clone, Default)]
pub struct StoredLeaf {
    /// The leaf's bytes.
    pub bytes: Vec<u8>,
    /// Its sealed personal records.
    pub sealed: Vec<SealedRecord>,
    /// Its attachments.
    pub attachments: Vec<AttachmentRecord>,
}

/// The journal's reading end. Shared between threads.
pub struct JournalReader {
    disk: Arc<dyn Disk>,
    ledger_id: [u8; 16],
    store: TreeStore,
    segments: Mutex<BTreeMap<u32, Arc<dyn File>>>,
}

/// What is read at first of a frame.
const USUAL_FRAME_BYTES: usize = 640;

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
        let position = self.store.position(index)?;
        let (kind, body) = self.frame(index, position)?;
        if kind != FrameType::Entry || leaf_hash(&body) != self.store.leaf(index)? {
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
        let bytes = self.leaf(index)?;
        let mut at = self.store.position(index)?;
        let mut length = bytes.len();
        let mut stored = StoredLeaf { bytes, ..StoredLeaf::default() };
        loop {
            let step = u32::try_from(FRAME_BYTES + length).map_err(io::Error::other)?;
            at.offset = at.offset.checked_add(step).ok_or(ReadError::Damaged { index })?;
            let (kind, body) = self.frame(index, at)?;
            length = body.len();
            let frame = Frame { kind, body: &body, offset: u64::from(at.offset) };
            match kind {
                FrameType::Sealed | FrameType::SealedErased => {
                    let record = SealedRecord::decode(&frame).filter(|(of, _)| *of == index);
                    stored.sealed.push(record.ok_or(ReadError::Damaged { index })?.1);
                }
                FrameType::Attachment => {
                    let record = AttachmentRecord::decode(&body).filter(|(of, _)| *of == index);
                    stored.attachments.push(record.ok_or(ReadError::Damaged { index })?.1);
                }
                FrameType::Batch | FrameType::Entry | FrameType::Commit => return Ok(stored),
            }
        }
    }

    fn frame(&self, index: u64, position: Position) -> Result<(FrameType, Vec<u8>), ReadError> {
        let damaged = || ReadError::Damaged { index };
        let file = self.segment(position.segment)?;
        let offset = u64::from(position.offset);
        // Most frames are whole in one read; at the end of a segment it may reach too far.
        let mut bytes = vec![0; USUAL_FRAME_BYTES];
        let mut have = USUAL_FRAME_BYTES;
        if file.read_exact_at(&mut bytes, offset).is_err() {
            have = FRAME_BYTES;
            file.read_exact_at(&mut bytes[..have], offset)?;
        }
        let length = u32::from_be_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
        if length > MAX_BODY_BYTES {
            return Err(damaged());
        }
        bytes.resize(FRAME_BYTES + length, 0);
        if bytes.len() > have {
            file.read_exact_at(&mut bytes[have..], offset + have as u64)?;
        }
        let binding = FrameBinding::new(&self.ledger_id, position.segment);
        let kind = binding.take(&bytes, offset).ok_or_else(damaged)?.kind;
        bytes.drain(..FRAME_BYTES);
        Ok((kind, bytes))
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
