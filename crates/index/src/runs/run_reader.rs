//! Reads a run: look-ups by block, and a stream of everything for merging and checking.
//!
//! Promises: an open run costs its filter (2.25 bytes a term) and 48 bytes for each block of about
//! 4 KiB. A look-up of a term that is not there reads nothing but one cache line of the filter (1
//! in about 2,000 also reads a block). Every block is checked by its CRC before it is believed.
//!
//! Assumes: nothing of the file. What is wrong with it is [`IndexError::Damaged`].

use std::io;
use std::ops::Range;
use std::sync::Arc;

use ledgerline_world::disk::{Disk, File, OpenMode};
use sha2::{Digest as _, Sha256};

use super::filter::{Filter, LINE};
use super::run_format::{
    Block, BlockKey, CONTENT_MAX, FOOTER, FRAGMENT, Fields, HEADER, INDEX_RECORD, RunFooter,
    RunHeader, parse_block, parse_run_footer, parse_run_header,
};
use super::run_writer::{BLOCK_MIN, block_span};
use super::want::Want;
use crate::error::{FormatError, IndexError};
use crate::posting_index::ReadBudget;
use crate::term::{IdTimes, Term, TermHead};

/// Bytes read at once when a run is streamed.
const CHUNK: u64 = 128 * 1024;

/// The block of a run that was read last: who looks for neighbouring terms reads it once.
#[derive(Default)]
pub(super) struct LastBlock {
    at: Option<usize>,
    bytes: Vec<u8>,
}

impl LastBlock {
    /// For whoever goes on with another run.
    pub(super) fn forget(&mut self) {
        self.at = None;
    }
}

/// Where a run stands: its file and its level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunName {
    pub(super) path: String,
    pub(super) level: u32,
}

impl RunName {
    pub(super) fn new(dir: &str, level: u32, start: u64) -> Self {
        Self { path: format!("{dir}/r{level:02}-{start:016x}.run"), level }
    }
}

/// An open run.
pub(super) struct Run {
    pub(super) name: RunName,
    pub(super) file: Box<dyn File>,
    pub(super) header: RunHeader,
    pub(super) footer: RunFooter,
    pub(super) bytes: u64,
    pub(super) blocks: Vec<BlockKey>,
    pub(super) filter: Filter,
}

impl Run {
    /// Opens a run: header, footer, block index and filter are read and checked, blocks are not.
    pub(super) fn open(disk: &dyn Disk, name: RunName) -> Result<Self, IndexError> {
        let file = disk.open(&name.path, OpenMode::Read);
        let file = file.map_err(|error| IndexError::read(&name.path, error))?;
        Self::read(file, name)
    }

    fn read(file: Box<dyn File>, name: RunName) -> Result<Self, IndexError> {
        let path = name.path.clone();
        let fail = |error| IndexError::read(&path, error);
        let wrong = |error| IndexError::damaged(&path, error);
        let bytes = file.len().map_err(fail)?;
        let footer_at = bytes.checked_sub((HEADER + FOOTER) as u64);
        let footer_at = footer_at.ok_or(FormatError("too short")).map_err(wrong)? + HEADER as u64;
        let mut front = [0; HEADER];
        file.read_exact_at(&mut front, 0).map_err(fail)?;
        let header = parse_run_header(&front).map_err(wrong)?;
        let mut back = [0; FOOTER];
        file.read_exact_at(&mut back, footer_at).map_err(fail)?;
        let footer = parse_run_footer(&back).map_err(wrong)?;
        let (index_at, filter_at) = layout(&footer, footer_at).map_err(wrong)?;
        let blocks = read_block_index(&*file, &footer, index_at..filter_at)
            .map_err(|error| error.of(&path))?;
        let filter =
            read_filter(&*file, &footer, filter_at..footer_at).map_err(|error| error.of(&path))?;
        Ok(Self { name, file, header, footer, bytes, blocks, filter })
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.header.start..self.header.end
    }

    /// Bytes of memory, about.
    pub(super) fn memory(&self) -> u64 {
        self.filter.bytes() + (self.blocks.capacity() * size_of::<BlockKey>()) as u64
    }

    fn blocks_end(&self) -> u64 {
        HEADER as u64 + self.footer.block_bytes
    }

    fn wrong(&self, error: FormatError) -> IndexError {
        IndexError::damaged(&self.name.path, error)
    }

    fn read_block<'b>(&self, at: usize, last: &'b mut LastBlock) -> Result<Block<'b>, IndexError> {
        if last.at != Some(at) {
            let span = block_span(&self.blocks, self.blocks_end(), at);
            let length = usize::try_from(span.end - span.start).expect("checked when opened");
            last.at = None;
            last.bytes.resize(length, 0);
            let result = self.file.read_exact_at(&mut last.bytes, span.start);
            result.map_err(|error| IndexError::read(&self.name.path, error))?;
            last.at = Some(at);
        }
        let block = self.parse(&last.bytes)?;
        let key = &self.blocks[at];
        if block.term != key.term() || block.last != key.last {
            return Err(self.wrong(FormatError("block and block index disagree")));
        }
        Ok(block)
    }

    fn parse<'b>(&self, bytes: &'b [u8]) -> Result<Block<'b>, IndexError> {
        parse_block(bytes, (self.header.start, self.header.end)).map_err(|error| self.wrong(error))
    }

    /// The term's newest index and count within this run.
    pub(super) fn head(
        &self,
        term: &Term,
        last: &mut LastBlock,
    ) -> Result<Option<TermHead>, IndexError> {
        if !self.filter.may_hold(term) {
            return Ok(None);
        }
        let after = self.blocks.partition_point(|key| key.order(term, u64::MAX).is_le());
        let Some(at) = after.checked_sub(1) else { return Ok(None) };
        let block = self.read_block(at, last)?;
        if block.term.kind != term.kind {
            return Ok(None);
        }
        let mut head = None;
        for fragment in block.fragments() {
            let fragment = fragment.map_err(|error| self.wrong(error))?;
            if fragment.hash > term.hash {
                break;
            }
            if fragment.hash == term.hash {
                let full = u64::from(fragment.ordinal) * FRAGMENT as u64;
                let count = full + fragment.count as u64;
                head = Some(TermHead { last: fragment.last, count });
            }
        }
        Ok(head)
    }

    /// Pushes the term's first indexes in the wanted range, ascending. False when the budget ended
    /// before; `want.resume` then tells up to where everything was found.
    pub(super) fn collect(
        &self,
        term: &Term,
        want: &mut Want<'_>,
        budget: &mut ReadBudget,
        last: &mut LastBlock,
    ) -> Result<bool, IndexError> {
        if !self.filter.may_hold(term) {
            return Ok(true);
        }
        let from = want.range.start;
        let first = self.blocks.partition_point(|key| key.order(term, from).is_lt());
        let first = first.saturating_sub(1);
        let mut indexes = Vec::new();
        for at in first..self.blocks.len() {
            if self.blocks[at].term() > *term || want.is_full() {
                break;
            }
            if !budget.take() {
                return Ok(false);
            }
            let block = self.read_block(at, last)?;
            if block.term.kind != term.kind {
                continue;
            }
            for fragment in block.fragments() {
                let fragment = fragment.map_err(|error| self.wrong(error))?;
                if fragment.hash > term.hash || want.is_full() {
                    return Ok(true);
                }
                if fragment.hash < term.hash || fragment.last < from {
                    continue;
                }
                indexes.clear();
                let decoded = fragment.decode(self.header.start, &mut indexes);
                decoded.map_err(|error| self.wrong(error))?;
                if indexes[0] >= want.range.end {
                    return Ok(true);
                }
                want.push(indexes.iter().copied());
                want.resume = want.resume.max(fragment.last + 1);
            }
        }
        Ok(true)
    }

    /// As [`Run::collect`], newest first.
    pub(super) fn collect_back(
        &self,
        term: &Term,
        want: &mut Want<'_>,
        budget: &mut ReadBudget,
        last: &mut LastBlock,
    ) -> Result<bool, IndexError> {
        if !self.filter.may_hold(term) {
            return Ok(true);
        }
        let end = want.range.end;
        let mut after = self.blocks.partition_point(|key| key.order(term, end).is_lt());
        if self.blocks.get(after).is_some_and(|key| key.term() == *term) {
            after += 1;
        }
        for at in (0..after).rev() {
            if want.is_full() {
                break;
            }
            if !budget.take() {
                return Ok(false);
            }
            let block = self.read_block(at, last)?;
            if block.term.kind != term.kind {
                break;
            }
            let begins = block.term < *term || block.ordinal == 0;
            let older = self.push_block_back(&block, term, want)?;
            if begins || !older {
                break;
            }
        }
        Ok(true)
    }

    /// Pushes a block's part of the term, newest first. False when nothing older is wanted.
    fn push_block_back(
        &self,
        block: &Block<'_>,
        term: &Term,
        want: &mut Want<'_>,
    ) -> Result<bool, IndexError> {
        let mut indexes = Vec::new();
        for fragment in block.fragments() {
            let fragment = fragment.map_err(|error| self.wrong(error))?;
            if fragment.hash > term.hash {
                break;
            }
            if fragment.hash == term.hash && fragment.last >= want.range.start {
                let decoded = fragment.decode(self.header.start, &mut indexes);
                decoded.map_err(|error| self.wrong(error))?;
                if fragment.last >= want.range.end {
                    break;
                }
            }
        }
        let Some(&oldest) = indexes.first() else { return Ok(false) };
        want.push(indexes.iter().rev().copied());
        want.resume = want.resume.min(oldest);
        Ok(oldest > want.range.start)
    }
}

/// Where block index and filter begin, if the footer's sizes add up to the file's.
fn layout(footer: &RunFooter, footer_at: u64) -> Result<(u64, u64), FormatError> {
    let index_at = footer.block_bytes.checked_add(HEADER as u64);
    let index_bytes = footer.blocks.checked_mul(INDEX_RECORD as u64);
    let filter_bytes = footer.filter_lines.checked_mul(LINE as u64);
    let filter_at = index_at.zip(index_bytes).and_then(|(at, bytes)| at.checked_add(bytes));
    let end = filter_at.zip(filter_bytes).and_then(|(at, bytes)| at.checked_add(bytes));
    match (index_at, filter_at) {
        (Some(index_at), Some(filter_at))
            if end == Some(footer_at) && footer.filter_lines == Filter::lines_for(footer.terms) =>
        {
            Ok((index_at, filter_at))
        }
        _ => Err(FormatError("sizes do not add up")),
    }
}

/// A read that failed, or what was read is wrong.
enum Fault {
    Io(io::Error),
    Format(FormatError),
}

impl Fault {
    fn of(self, path: &str) -> IndexError {
        match self {
            Self::Io(error) => IndexError::read(path, error),
            Self::Format(error) => IndexError::damaged(path, error),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FormatError> for Fault {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

/// Reads a section in pieces of whole `unit`s and returns its CRC.
fn read_section(
    file: &dyn File,
    section: Range<u64>,
    unit: usize,
    mut each: impl FnMut(&[u8]) -> Result<(), FormatError>,
) -> Result<u32, Fault> {
    let piece = (64 * 1024 / unit * unit) as u64;
    let mut crc = crc32fast::Hasher::new();
    let mut buffer = Vec::new();
    let mut at = section.start;
    while at < section.end {
        let length = piece.min(section.end - at);
        buffer.resize(usize::try_from(length).expect("at most a piece"), 0);
        file.read_exact_at(&mut buffer, at)?;
        crc.update(&buffer);
        each(&buffer)?;
        at += length;
    }
    Ok(crc.finalize())
}

fn read_block_index(
    file: &dyn File,
    footer: &RunFooter,
    section: Range<u64>,
) -> Result<Vec<BlockKey>, Fault> {
    let room = usize::try_from(footer.blocks).map_err(|_| FormatError("too many blocks"))?;
    let mut blocks: Vec<BlockKey> = Vec::with_capacity(room);
    let mut offset = HEADER as u64;
    let crc = read_section(file, section.clone(), INDEX_RECORD, |bytes| {
        for record in bytes.chunks_exact(INDEX_RECORD) {
            let mut fields = Fields(record);
            let (kind, hash) = (fields.u8()?, fields.u128()?);
            let key = BlockKey { kind, hash, last: fields.u64()?, offset };
            let length = fields.u32()?;
            let ascends = |before: &BlockKey| before.order(&key.term(), key.last).is_lt();
            let fits = (BLOCK_MIN..=CONTENT_MAX + BLOCK_MIN).contains(&(length as usize));
            if !fits || !blocks.last().is_none_or(ascends) {
                return Err(FormatError("bad block index"));
            }
            blocks.push(key);
            offset += u64::from(length);
        }
        Ok(())
    })?;
    if crc != footer.index_crc || offset != section.start {
        return Err(FormatError("wrong block index").into());
    }
    Ok(blocks)
}

fn read_filter(file: &dyn File, footer: &RunFooter, section: Range<u64>) -> Result<Filter, Fault> {
    let lines =
        usize::try_from(footer.filter_lines).map_err(|_| FormatError("filter too large"))?;
    let mut filter = Filter::with_room(lines);
    let crc = read_section(file, section, LINE, |bytes| {
        filter.push_bytes(bytes);
        Ok(())
    })?;
    if crc == footer.filter_crc { Ok(filter) } else { Err(FormatError("wrong filter").into()) }
}

/// Hands out the blocks of a file one after the other, reading many at once.
pub(super) struct BlockStream {
    chunk: Vec<u8>,
    /// What of the file the chunk holds.
    span: Range<u64>,
}

impl BlockStream {
    pub(super) fn new() -> Self {
        Self { chunk: Vec::new(), span: 0..0 }
    }

    /// The bytes of block `at`.
    pub(super) fn block(
        &mut self,
        file: &dyn File,
        blocks: &[BlockKey],
        end: u64,
        at: usize,
    ) -> io::Result<&[u8]> {
        let wanted = block_span(blocks, end, at);
        if wanted.start < self.span.start || wanted.end > self.span.end {
            let stop = end.min(wanted.start + CHUNK).max(wanted.end);
            self.span = 0..0;
            self.chunk.resize(usize::try_from(stop - wanted.start).expect("a chunk is small"), 0);
            file.read_exact_at(&mut self.chunk, wanted.start)?;
            self.span = wanted.start..stop;
        }
        let within = |offset: u64| usize::try_from(offset - self.span.start).expect("in the chunk");
        Ok(&self.chunk[within(wanted.start)..within(wanted.end)])
    }
}

/// Everything in a run, one fragment after the other.
pub(super) struct Cursor {
    run: Arc<Run>,
    stream: BlockStream,
    next_block: usize,
    /// Fragments of the block at hand: the term, and where its indexes end.
    fragments: Vec<(Term, usize)>,
    indexes: Vec<u64>,
    at: usize,
    /// The term read last, and which of its fragments comes next; none behind a short one.
    before: Option<(Term, Option<u32>)>,
}

impl Cursor {
    /// Stands at the first fragment.
    pub(super) fn new(run: Arc<Run>) -> Result<Self, IndexError> {
        let stream = BlockStream::new();
        let (fragments, indexes) = (Vec::new(), Vec::new());
        let mut cursor =
            Self { run, stream, next_block: 0, fragments, indexes, at: 0, before: None };
        cursor.load()?;
        Ok(cursor)
    }

    /// The term of the fragment at hand; none at the end.
    pub(super) fn term(&self) -> Option<Term> {
        self.fragments.get(self.at).map(|(term, _)| *term)
    }

    /// The indexes of the fragment at hand.
    pub(super) fn indexes(&self) -> &[u64] {
        let from = self.at.checked_sub(1).map_or(0, |before| self.fragments[before].1);
        &self.indexes[from..self.fragments[self.at].1]
    }

    pub(super) fn advance(&mut self) -> Result<(), IndexError> {
        self.at += 1;
        if self.at >= self.fragments.len() { self.load() } else { Ok(()) }
    }

    fn load(&mut self) -> Result<(), IndexError> {
        self.fragments.clear();
        self.indexes.clear();
        self.at = 0;
        if self.next_block == self.run.blocks.len() {
            return Ok(());
        }
        let run = &self.run;
        let bytes = self.stream.block(&*run.file, &run.blocks, run.blocks_end(), self.next_block);
        let bytes = bytes.map_err(|error| IndexError::read(&run.name.path, error))?;
        let block = run.parse(bytes)?;
        let key = &run.blocks[self.next_block];
        if (block.term, block.last) != (key.term(), key.last) {
            return Err(run.wrong(FormatError("block and block index disagree")));
        }
        for fragment in block.fragments() {
            let fragment = fragment.map_err(|error| run.wrong(error))?;
            let term = Term { kind: block.term.kind, hash: fragment.hash };
            let due = match self.before {
                Some((before, next)) if before == term => next,
                _ => Some(0),
            };
            if due != Some(fragment.ordinal) {
                return Err(run.wrong(FormatError("fragments out of order")));
            }
            let next = fragment.ordinal.checked_add(1).filter(|_| fragment.count == FRAGMENT);
            self.before = Some((term, next));
            let decoded = fragment.decode(run.header.start, &mut self.indexes);
            decoded.map_err(|error| run.wrong(error))?;
            self.fragments.push((term, self.indexes.len()));
        }
        self.next_block += 1;
        Ok(())
    }
}

/// What a run that was checked to the last byte holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSummary {
    /// First entry of the range.
    pub start: u64,
    /// One past the last entry.
    pub end: u64,
    /// Distinct terms.
    pub terms: u64,
    /// Postings.
    pub postings: u64,
    /// Length of the file.
    pub bytes: u64,
    /// Times of the event ids.
    pub ids: IdTimes,
    /// SHA-256, as in the footer.
    pub sha256: [u8; 32],
}

/// Checks a whole run: SHA-256, every block, the order, the counts, the filter. Memory is the
/// filter, the block index and one chunk.
///
/// # Errors
/// [`IndexError::Damaged`] with the first thing that is wrong; [`IndexError::Io`] when it cannot be
/// read.
pub fn check_run(disk: &dyn Disk, path: &str) -> Result<RunSummary, IndexError> {
    let name = RunName { path: path.to_owned(), level: 0 };
    check(&Arc::new(Run::open(disk, name)?), &mut |_, _| {})
}

/// As [`check_run`], and hands out every posting: a term, in order, with some of its ascending
/// indexes. A term may come several times in a row. What was handed out counts only once the whole
/// run held.
///
/// # Errors
/// As [`check_run`].
pub fn read_postings(
    disk: &dyn Disk,
    path: &str,
    each: &mut dyn FnMut(Term, &[u64]),
) -> Result<RunSummary, IndexError> {
    let name = RunName { path: path.to_owned(), level: 0 };
    check(&Arc::new(Run::open(disk, name)?), each)
}

/// As [`check_run`], for bytes in memory. Takes any bytes and never panics.
///
/// # Errors
/// [`IndexError::Damaged`] when they are not a run.
pub fn parse_run(bytes: &[u8]) -> Result<RunSummary, IndexError> {
    let name = RunName { path: "run".to_owned(), level: 0 };
    check(&Arc::new(Run::read(Box::new(Bytes(bytes.to_vec())), name)?), &mut |_, _| {})
}

fn check(run: &Arc<Run>, each: &mut dyn FnMut(Term, &[u64])) -> Result<RunSummary, IndexError> {
    check_sha256(run)?;
    let mut cursor = Cursor::new(Arc::clone(run))?;
    let (mut terms, mut postings) = (0, 0);
    let mut before: Option<(Term, u64)> = None;
    while let Some(term) = cursor.term() {
        let indexes = cursor.indexes();
        let same = before.is_some_and(|(earlier, _)| earlier == term);
        let ascends = before
            .is_none_or(|(earlier, last)| earlier < term || (earlier == term && last < indexes[0]));
        if !ascends || !run.filter.may_hold(&term) {
            return Err(run.wrong(FormatError("terms out of order or not in the filter")));
        }
        each(term, indexes);
        terms += u64::from(!same);
        postings += indexes.len() as u64;
        before = Some((term, indexes[indexes.len() - 1]));
        cursor.advance()?;
    }
    if (terms, postings) != (run.footer.terms, run.footer.postings) {
        return Err(run.wrong(FormatError("counts do not add up")));
    }
    let (Range { start, end }, bytes) = (run.range(), run.bytes);
    let RunFooter { ids, sha256, .. } = run.footer;
    Ok(RunSummary { start, end, terms, postings, bytes, ids, sha256 })
}

fn check_sha256(run: &Run) -> Result<(), IndexError> {
    let covered = 0..run.bytes - (FOOTER - run.footer.covered_bytes().len()) as u64;
    let mut sha256 = Sha256::new();
    let read = read_section(&*run.file, covered, 1, |bytes| {
        sha256.update(bytes);
        Ok(())
    });
    read.map_err(|error| error.of(&run.name.path))?;
    if <[u8; 32]>::from(sha256.finalize()) == run.footer.sha256 {
        Ok(())
    } else {
        Err(run.wrong(FormatError("wrong SHA-256")))
    }
}

/// Bytes in memory as a file that cannot be written.
struct Bytes(Vec<u8>);

impl File for Bytes {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = self.0.get(from..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}
