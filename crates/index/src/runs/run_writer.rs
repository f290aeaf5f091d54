//! Writes a run: terms in, in order; a finished and synced file out.
//!
//! Promises: memory is the block index and the filter, which the open run needs anyway, plus one
//! write buffer. The file is durable when [`RunWriter::finish`] returns; its name is not, before
//! the folder is synced. What was written is read back once and checked, for the filter's size is
//! known only at the end.
//!
//! Refuses: to go on after an error. The file is then useless and may be removed.

use std::ops::Range;

use ledgerline_world::disk::{Disk, File, OpenMode};
use sha2::{Digest as _, Sha256};

use super::filter::Filter;
use super::run_format::{
    BLOCK_FRAME, BlockBuilder, BlockKey, FRAGMENT, RunFooter, RunHeader, parse_block, push_crc,
};
use super::run_reader::{BlockStream, Run, RunName};
use crate::error::{FormatError, IndexError};
use crate::term::{IdTimes, Term};

/// Bytes written at once.
const BUFFER: usize = 256 * 1024;

/// A run being written.
pub(super) struct RunWriter {
    file: Box<dyn File>,
    name: RunName,
    header: RunHeader,
    /// Bytes already handed to the file.
    written: u64,
    buffer: Vec<u8>,
    sha256: Sha256,
    block: BlockBuilder,
    blocks: Vec<BlockKey>,
    term: Option<Term>,
    ordinal: u32,
    pending: Vec<u64>,
    terms: u64,
    postings: u64,
}

impl RunWriter {
    /// Starts the file anew; what stood under its name is gone.
    pub(super) fn create(
        disk: &dyn Disk,
        name: RunName,
        header: RunHeader,
    ) -> Result<Self, IndexError> {
        let fail = |source| IndexError::io(&name.path, source);
        if disk.exists(&name.path).map_err(fail)? {
            disk.remove(&name.path).map_err(fail)?;
        }
        let file = disk.open(&name.path, OpenMode::Create).map_err(fail)?;
        Ok(Self {
            file,
            name,
            header,
            written: 0,
            buffer: header.to_bytes(),
            sha256: Sha256::new(),
            block: BlockBuilder::new(),
            blocks: Vec::new(),
            term: None,
            ordinal: 0,
            pending: Vec::with_capacity(FRAGMENT),
            terms: 0,
            postings: 0,
        })
    }

    pub(super) fn path(&self) -> &str {
        &self.name.path
    }

    /// Length of the file so far.
    pub(super) fn bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Adds postings of a term: the same as before, or a later one. Indexes ascend over all calls.
    pub(super) fn add(&mut self, term: &Term, indexes: &[u64]) -> Result<(), IndexError> {
        if self.term != Some(*term) {
            assert!(self.term.is_none_or(|before| before < *term), "terms out of order");
            self.flush_fragment()?;
            self.term = Some(*term);
            self.ordinal = 0;
            self.terms += 1;
        }
        self.postings += indexes.len() as u64;
        let mut rest = indexes;
        loop {
            let room = FRAGMENT - self.pending.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            debug_assert!(now.first() > self.pending.last() || now.is_empty());
            self.pending.extend_from_slice(now);
            if later.is_empty() {
                return Ok(());
            }
            self.flush_fragment()?;
            self.ordinal += 1;
            rest = later;
        }
    }

    fn flush_fragment(&mut self) -> Result<(), IndexError> {
        let Some(term) = self.term.filter(|_| !self.pending.is_empty()) else { return Ok(()) };
        let start = self.header.start;
        if !self.block.add(&term, self.ordinal, start, &self.pending) {
            self.close_block()?;
            let taken = self.block.add(&term, self.ordinal, start, &self.pending);
            assert!(taken, "an empty block takes any fragment");
        }
        self.pending.clear();
        Ok(())
    }

    fn close_block(&mut self) -> Result<(), IndexError> {
        let offset = self.bytes();
        let key = self.block.finish(&mut self.buffer);
        self.blocks.push(BlockKey { offset, ..key });
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), IndexError> {
        self.sha256.update(&self.buffer);
        let result = self.file.write_all_at(&self.buffer, self.written);
        result.map_err(|source| IndexError::io(&self.name.path, source))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the postings; the filter comes next.
    pub(super) fn end_postings(mut self) -> Result<FilterPass, IndexError> {
        self.flush_fragment()?;
        if !self.block.is_empty() {
            self.close_block()?;
        }
        self.flush()?;
        let filter = Filter::new(self.terms);
        let stream = BlockStream::new();
        let end = self.written;
        Ok(FilterPass { writer: self, filter, stream, next: 0, end, seen: 0 })
    }

    fn push_block_index(&mut self, end: u64) -> Result<u32, IndexError> {
        let mut crc = crc32fast::Hasher::new();
        for at in 0..self.blocks.len() {
            let key = self.blocks[at];
            let next = self.blocks.get(at + 1).map_or(end, |key| key.offset);
            let length = u32::try_from(next - key.offset).expect("a block is small");
            let from = self.buffer.len();
            self.buffer.push(key.kind);
            self.buffer.extend_from_slice(&key.hash.to_le_bytes());
            self.buffer.extend_from_slice(&key.last.to_le_bytes());
            self.buffer.extend_from_slice(&length.to_le_bytes());
            crc.update(&self.buffer[from..]);
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        Ok(crc.finalize())
    }

    fn push_filter(&mut self, filter: &Filter) -> Result<u32, IndexError> {
        let mut crc = crc32fast::Hasher::new();
        for line in filter.line_bytes() {
            crc.update(&line);
            self.buffer.extend_from_slice(&line);
            if self.buffer.len() >= BUFFER {
                self.flush()?;
            }
        }
        Ok(crc.finalize())
    }

    fn finish(mut self, filter: Filter, ids: IdTimes, end: u64) -> Result<Run, IndexError> {
        let index_crc = self.push_block_index(end)?;
        let filter_crc = self.push_filter(&filter)?;
        let mut footer = RunFooter {
            blocks: self.blocks.len() as u64,
            block_bytes: end - self.blocks.first().map_or(end, |first| first.offset),
            terms: self.terms,
            postings: self.postings,
            filter_lines: Filter::lines_for(self.terms),
            ids,
            index_crc,
            filter_crc,
            sha256: [0; 32],
        };
        let covered = footer.covered_bytes();
        self.buffer.extend_from_slice(&covered);
        self.flush()?;
        footer.sha256 = self.sha256.clone().finalize().into();
        self.buffer.extend_from_slice(&footer.to_bytes()[covered.len()..]);
        self.flush()?;
        self.file.sync().map_err(|source| IndexError::io(&self.name.path, source))?;
        self.blocks.shrink_to_fit();
        let Self { file, name, header, written, blocks, .. } = self;
        Ok(Run { name, file, header, footer, bytes: written, blocks, filter })
    }
}

/// A run whose postings are written and whose filter is being made from them.
pub(super) struct FilterPass {
    writer: RunWriter,
    filter: Filter,
    stream: BlockStream,
    next: usize,
    end: u64,
    seen: u64,
}

impl FilterPass {
    pub(super) fn path(&self) -> &str {
        &self.writer.name.path
    }

    /// Reads back about `budget` bytes; true when all are done.
    pub(super) fn advance(&mut self, budget: u64) -> Result<bool, IndexError> {
        let range = (self.writer.header.start, self.writer.header.end);
        let mut read = 0;
        while read < budget && self.next < self.writer.blocks.len() {
            let (file, blocks) = (&*self.writer.file, &self.writer.blocks);
            let bytes = self.stream.block(file, blocks, self.end, self.next);
            let bytes = bytes.map_err(|error| IndexError::read(&self.writer.name.path, error))?;
            read += bytes.len() as u64;
            let mut terms = 0;
            let block = parse_block(bytes, range);
            let block =
                block.map_err(|error| IndexError::damaged(&self.writer.name.path, error))?;
            let mut term = block.term;
            for fragment in block.fragments() {
                let fragment =
                    fragment.map_err(|error| IndexError::damaged(&self.writer.name.path, error))?;
                if fragment.ordinal == 0 {
                    term.hash = fragment.hash;
                    self.filter.insert(&term);
                    terms += 1;
                }
            }
            self.seen += terms;
            self.next += 1;
        }
        Ok(self.next == self.writer.blocks.len())
    }

    /// Writes the rest and syncs. `ids` are the times of the event ids among the postings.
    pub(super) fn finish(self, ids: IdTimes) -> Result<Run, IndexError> {
        if self.seen != self.writer.terms {
            let error = FormatError("read back other terms than written");
            return Err(IndexError::damaged(&self.writer.name.path, error));
        }
        self.writer.finish(self.filter, ids, self.end)
    }
}

/// Bytes of block `at` in a file whose blocks end at `end`.
pub(super) fn block_span(blocks: &[BlockKey], end: u64, at: usize) -> Range<u64> {
    let next = blocks.get(at + 1).map_or(end, |key| key.offset);
    blocks[at].offset..next
}

/// The least a block takes.
pub(super) const BLOCK_MIN: usize = BLOCK_FRAME + 2;

/// Closes manifest bytes.
pub(super) fn close_with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    push_crc(&mut bytes, 0);
    bytes
}
