//! Reads a segment's frames and batches in order, in bounded memory.
//!
//! Promises: a batch is handed out only whole: BATCH, as many ENTRY frames as it says, COMMIT,
//! every CRC right and every frame where its CRC says it belongs. MACs and roots are the caller's
//! to judge.

use std::io;
use std::ops::Range;

use ledgerline_world::disk::File;

use super::format::{
    AttachmentRecord, BatchHead, CommitRecord, FRAME_BYTES, Frame, FrameBinding, FrameType,
    HEADER_BYTES, MAX_BODY_BYTES, SealedRecord, SegmentHeader,
};

/// How much is read at once.
const READ_BYTES: usize = 1 << 20;

/// A batch as it stands in a segment.
#[derive(Debug, Clone)]
pub struct ScannedBatch {
    /// The segment.
    pub segment: u32,
    /// Offset of its BATCH frame.
    pub start: u64,
    /// Its BATCH record.
    pub head: BatchHead,
    /// Its COMMIT record.
    pub commit: CommitRecord,
    /// All its bytes, from BATCH to COMMIT.
    pub bytes: Vec<u8>,
    frames: Vec<(FrameType, u32, Range<usize>)>,
}

impl ScannedBatch {
    /// Offset of the byte behind its COMMIT frame.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Its leaves in order, each with the offset of its frame in the segment.
    pub fn leaves(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.frames
            .iter()
            .filter(|(kind, _, _)| *kind == FrameType::Entry)
            .map(|(_, offset, body)| (self.start + u64::from(*offset), &self.bytes[body.clone()]))
    }

    /// Every frame between BATCH and COMMIT.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames.iter().map(|(kind, offset, body)| Frame {
            kind: *kind,
            body: &self.bytes[body.clone()],
            offset: self.start + u64::from(*offset),
        })
    }

    /// Its sealed records, each with the index of its entry.
    pub fn sealed(&self) -> impl Iterator<Item = (u64, SealedRecord)> {
        self.frames().filter_map(|frame| SealedRecord::decode(&frame))
    }

    /// Its attachments, each with the index of its entry.
    pub fn attachments(&self) -> impl Iterator<Item = (u64, AttachmentRecord)> {
        self.frames()
            .filter(|frame| frame.kind == FrameType::Attachment)
            .filter_map(|frame| AttachmentRecord::decode(frame.body))
    }
}

/// What stands at the cursor.
#[derive(Debug)]
pub enum Scanned {
    /// A whole batch.
    Batch(Box<ScannedBatch>),
    /// Zeros, or the end of the file: no further batch.
    End,
    /// Something else: the batch that begins at `start` is not whole.
    Bad {
        /// Offset at which a batch should have begun.
        start: u64,
        /// Offset of the first frame that does not hold.
        at: u64,
    },
}

/// A cursor over the batches of one segment.
pub struct SegmentScan<'f> {
    file: &'f dyn File,
    binding: FrameBinding,
    segment: u32,
    length: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
    at: u64,
}

impl<'f> SegmentScan<'f> {
    /// Starts behind the header of a segment.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn new(file: &'f dyn File, header: &SegmentHeader) -> io::Result<Self> {
        Self::from_offset(file, header, HEADER_BYTES as u64)
    }

    /// Starts at a batch's offset.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn from_offset(
        file: &'f dyn File,
        header: &SegmentHeader,
        offset: u64,
    ) -> io::Result<Self> {
        let length = file.len()?;
        let binding = FrameBinding::new(&header.ledger_id, header.number);
        let segment = header.number;
        let buffer = Vec::new();
        Ok(Self { file, binding, segment, length, buffer, buffer_start: offset, at: offset })
    }

    /// Offset of the next batch.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// The next batch.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn next_batch(&mut self) -> io::Result<Scanned> {
        self.drop_behind();
        let start = self.at;
        let mut at = start;
        let mut frames = Vec::new();
        let mut head = None;
        loop {
            let Some((kind, body)) = self.frame_at(at)? else {
                if head.is_none() && self.is_zero_from(start)? {
                    return Ok(Scanned::End);
                }
                return Ok(Scanned::Bad { start, at });
            };
            let offset = u32::try_from(at - start).map_err(|_| io::ErrorKind::InvalidData)?;
            let bytes = &self.buffer[body.clone()];
            match (kind, &head) {
                (FrameType::Batch, None) => head = BatchHead::decode(bytes),
                (FrameType::Batch, Some(_)) | (_, None) => return Ok(Scanned::Bad { start, at }),
                (FrameType::Commit, Some(head)) => {
                    let entries = frames.iter().filter(|(kind, _, _)| *kind == FrameType::Entry);
                    let commit = CommitRecord::decode(bytes);
                    let whole = entries.count() == head.entry_count as usize;
                    let Some(commit) = commit.filter(|_| whole) else {
                        return Ok(Scanned::Bad { start, at });
                    };
                    let head = *head;
                    return Ok(Scanned::Batch(
                        self.finish_batch(start, body.end, head, commit, frames),
                    ));
                }
                (kind, Some(_)) => frames.push((kind, offset, body.clone())),
            }
            at = self.buffer_start + body.end as u64;
        }
    }

    /// Goes behind the batch in whose middle the cursor stands, before an ENTRY frame. Gives its
    /// COMMIT record and how many leaves stood in front of it; `None` when something else stands
    /// there.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn rest_of_batch(&mut self) -> io::Result<Option<(CommitRecord, u64)>> {
        self.drop_behind();
        let (mut at, mut leaves) = (self.at, 0);
        while let Some((kind, body)) = self.frame_at(at)? {
            at = self.buffer_start + body.end as u64;
            match kind {
                FrameType::Batch => return Ok(None),
                FrameType::Commit => {
                    self.at = at;
                    return Ok(CommitRecord::decode(&self.buffer[body]).zip(Some(leaves)));
                }
                FrameType::Entry => leaves += 1,
                _ => {}
            }
        }
        Ok(None)
    }

    /// Forgets batches handed out, a block at a time so that the rest is seldom moved.
    fn drop_behind(&mut self) {
        let behind = usize::try_from(self.at - self.buffer_start).expect("the buffer is smaller");
        if behind >= READ_BYTES || behind == self.buffer.len() {
            self.buffer.drain(..behind.min(self.buffer.len()));
            self.buffer_start = self.at;
        }
    }

    /// Hands the buffered bytes of the batch out and moves behind it.
    fn finish_batch(
        &mut self,
        start: u64,
        end: usize,
        head: BatchHead,
        commit: CommitRecord,
        mut frames: Vec<(FrameType, u32, Range<usize>)>,
    ) -> Box<ScannedBatch> {
        let from = usize::try_from(start - self.buffer_start).expect("the batch is buffered");
        let bytes = self.buffer[from..end].to_vec();
        for (_, _, body) in &mut frames {
            *body = body.start - from..body.end - from;
        }
        self.at = self.buffer_start + end as u64;
        Box::new(ScannedBatch { segment: self.segment, start, head, commit, bytes, frames })
    }

    /// The frame at `at`, as a range of the buffer, which only grows until the batch is whole.
    fn frame_at(&mut self, at: u64) -> io::Result<Option<(FrameType, Range<usize>)>> {
        if !self.fill(at, FRAME_BYTES)? {
            return Ok(None);
        }
        let from = usize::try_from(at - self.buffer_start).expect("filled above");
        let head: [u8; 4] = self.buffer[from..from + 4].try_into().expect("four bytes");
        let length = u32::from_be_bytes(head) as usize;
        if length > MAX_BODY_BYTES || !self.fill(at, FRAME_BYTES + length)? {
            return Ok(None);
        }
        let from = usize::try_from(at - self.buffer_start).expect("filled above");
        let frame = self.binding.take(&self.buffer[from..], at);
        let body = from + FRAME_BYTES..from + FRAME_BYTES + length;
        Ok(frame.map(|frame| (frame.kind, body)))
    }

    /// Buffers `count` bytes from `at`. False when the file ends before.
    fn fill(&mut self, at: u64, count: usize) -> io::Result<bool> {
        let end = at + count as u64;
        if end > self.length {
            return Ok(false);
        }
        let buffered_end = self.buffer_start + self.buffer.len() as u64;
        if end <= buffered_end {
            return Ok(true);
        }
        let want = (end - buffered_end).max(READ_BYTES as u64).min(self.length - buffered_end);
        let old = self.buffer.len();
        self.buffer.resize(old + usize::try_from(want).expect("bounded by READ_BYTES"), 0);
        self.file.read_exact_at(&mut self.buffer[old..], buffered_end)?;
        Ok(true)
    }

    fn is_zero_from(&self, from: u64) -> io::Result<bool> {
        Ok(first_nonzero(self.file, from, self.length)?.is_none())
    }
}

/// Offset of the first byte that is not zero in `from..to`.
///
/// # Errors
/// Whatever the disk says.
pub fn first_nonzero(file: &dyn File, from: u64, to: u64) -> io::Result<Option<u64>> {
    let mut at = from;
    while at < to {
        let count = usize::try_from((to - at).min(READ_BYTES as u64)).expect("bounded");
        let mut bytes = vec![0; count];
        file.read_exact_at(&mut bytes, at)?;
        if let Some(found) = bytes.iter().position(|byte| *byte != 0) {
            return Ok(Some(at + found as u64));
        }
        at += count as u64;
    }
    Ok(None)
}
