//! The bytes of a run: one immutable file that holds the postings of one aligned range.
//!
//! Promises: the bytes follow from (identity, range, postings) alone, whoever builds them and from
//! whatever parts: every cut (fragment, block) is made by counting from the start. Decoders bound
//! every length before they allocate and never panic.
//!
//! ```text
//! run file  r<level>-<start, 16 hex digits>.run           all numbers little-endian unless said
//!   header | block … | block index | filter | footer
//!
//! header, 44 bytes
//!    0   8  magic "LLRUN\0\0\1"; the last byte is the version
//!    8   8  start            first entry of the range
//!   16   8  end              one past its last entry
//!   24  16  identity         of the index key (see term.rs)
//!   40   4  CRC-32 of the 40 bytes before
//!
//! block, 40 bytes to about 6 KiB: the next fragments in order, all of one kind
//!    0   4  n                length of the fragments, in bytes; at most 8,192
//!    4   1  kind             not 0
//!    5   3  zero
//!    8   4  ordinal          which fragment of its term the first one is
//!   12   8  last             of the first fragment
//!   20  16  hash             of the first fragment's term
//!   36   n  fragment …
//! 36+n   4  CRC-32 of all before
//!
//! fragment: up to 512 consecutive postings of a term; all but a term's last fragment hold 512
//!   u8           low 5 bits: d, high 3 bits: c
//!   d bytes      hash - hash of the fragment before, big-endian, no leading zero byte.
//!                d = 0 for the first of a block and for the next fragment of the same term
//!   varint       count, if c = 0 (then count >= 8); otherwise count = c
//!   varint       last - start of the range
//!   varint       length of the gaps in bytes, if c = 0
//!   varint …     count - 1 gaps, newest first: index - next older index - 1
//!
//! block index: for each block kind u8, hash 16, last u64 (as there), length u32 (of the block)
//! filter:      see filter.rs
//!
//! footer, 116 bytes
//!    0   8  blocks           their number
//!    8   8  block bytes      their length together
//!   16   8  terms            distinct ones
//!   24   8  postings
//!   32   8  filter lines
//!   40  24  oldest, newest, untimed      of the event ids (IdTimes)
//!   64   4  CRC-32 of the block index
//!   68   4  CRC-32 of the filter
//!   72  32  SHA-256 of all bytes before
//!  104   4  CRC-32 of the 104 bytes before
//!  108   8  magic "LLRUNEND"
//! ```
//!
//! A block is closed when the next fragment would carry it past 4,096 bytes, or is of another kind.
//! The fragments of a long list therefore lie in blocks that the block index can bisect by `last`:
//! these are the skips. varint = LEB128, minimal.

use std::cmp::Ordering;

use crate::error::FormatError;
use crate::term::{IdTimes, Term};

/// Bytes of a run's header.
pub const HEADER: usize = 44;
/// Bytes of a run's footer.
pub const FOOTER: usize = 116;
/// Postings of a full fragment.
pub const FRAGMENT: usize = 512;
/// Bytes of one block index record.
pub(super) const INDEX_RECORD: usize = 29;
/// Bytes of a block before its fragments.
pub(super) const BLOCK_HEAD: usize = 36;
/// Bytes of a block around its fragments.
pub(super) const BLOCK_FRAME: usize = BLOCK_HEAD + 4;
/// A block grows to this size, unless its first fragment is larger.
pub(super) const BLOCK_TARGET: usize = 4096;
/// No fragment, and so no block's content, is longer.
pub(super) const CONTENT_MAX: usize = 8192;

const MAGIC: &[u8; 8] = b"LLRUN\0\0\x01";
const MAGIC_END: &[u8; 8] = b"LLRUNEND";
/// Counts from here on are written out.
const COUNT_INLINE: usize = 8;

/// What a run's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunHeader {
    /// First entry of the range.
    pub start: u64,
    /// One past the last entry of the range.
    pub end: u64,
    /// Of the index key.
    pub identity: [u8; 16],
}

/// What a run's footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFooter {
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes of all blocks together.
    pub block_bytes: u64,
    /// Number of distinct terms.
    pub terms: u64,
    /// Number of postings.
    pub postings: u64,
    /// Number of filter lines, 64 bytes each.
    pub filter_lines: u64,
    /// Times of the event ids.
    pub ids: IdTimes,
    /// CRC-32 of the block index.
    pub index_crc: u32,
    /// CRC-32 of the filter.
    pub filter_crc: u32,
    /// SHA-256 of everything before the digest.
    pub sha256: [u8; 32],
}

/// Reads fixed-size numbers off the front of bytes.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(FormatError("too short"))?;
        self.0 = rest;
        Ok(taken)
    }
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FormatError("too short"))?;
        self.0 = rest;
        Ok(*taken)
    }
    pub(super) fn u8(&mut self) -> Result<u8, FormatError> {
        self.array().map(u8::from_le_bytes)
    }
    pub(super) fn u32(&mut self) -> Result<u32, FormatError> {
        self.array().map(u32::from_le_bytes)
    }
    pub(super) fn u64(&mut self) -> Result<u64, FormatError> {
        self.array().map(u64::from_le_bytes)
    }
    pub(super) fn u128(&mut self) -> Result<u128, FormatError> {
        self.array().map(u128::from_le_bytes)
    }

    /// A big-endian number of `length` bytes, at least one, the first of which is not zero.
    #[inline]
    fn big_endian(&mut self, length: usize) -> Result<u128, FormatError> {
        let window = match self.0.first_chunk() {
            // The usual case: one load instead of a loop.
            Some(window) => *window,
            None => {
                let mut window = [0; 16];
                window[..self.0.len()].copy_from_slice(self.0);
                window
            }
        };
        if !(1..=16).contains(&length) || length > self.0.len() {
            return Err(FormatError("hash too long"));
        }
        if window[0] == 0 {
            return Err(FormatError("hash not minimal"));
        }
        self.0 = &self.0[length..];
        Ok(u128::from_be_bytes(window) >> (128 - 8 * length))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, FormatError> {
        let Some(window) = self.0.first_chunk() else { return self.varint_bytewise() };
        let word = u64::from_le_bytes(*window);
        let ends = !word & VARINT_GOES_ON;
        if ends == 0 {
            return self.varint_bytewise();
        }
        // The bytes of this varint, then their seven bits each moved together, pairwise.
        let bits = word & (ends ^ (ends - 1)) & !VARINT_GOES_ON;
        let bits = (bits & 0x007f_007f_007f_007f) | (bits & 0x7f00_7f00_7f00_7f00) >> 1;
        let bits = (bits & 0x0000_3fff_0000_3fff) | (bits & 0x3fff_0000_3fff_0000) >> 2;
        let value = (bits & 0x0fff_ffff) | (bits & 0x0fff_ffff_0000_0000) >> 4;
        let length = ends.trailing_zeros() as usize / 8 + 1;
        if length > 1 && value >> (7 * (length - 1)) == 0 {
            return Err(FormatError("varint not minimal"));
        }
        self.0 = &self.0[length..];
        Ok(value)
    }

    /// Near the end of the bytes, and for more than eight of them.
    fn varint_bytewise(&mut self) -> Result<u64, FormatError> {
        let mut value = 0_u64;
        for (at, &byte) in self.0.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                return Err(FormatError("varint too large"));
            }
            value |= bits << (7 * at);
            if byte & 0x80 == 0 {
                if byte == 0 && at > 0 {
                    return Err(FormatError("varint not minimal"));
                }
                self.0 = &self.0[at + 1..];
                return Ok(value);
            }
        }
        Err(FormatError("varint unfinished"))
    }

    /// Takes `count` varints unread.
    #[inline]
    fn varints(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (mut left, mut length) = (count, 0);
        while left > 0 {
            let rest = &self.0[length..];
            let ends = match rest.first_chunk() {
                Some(window) => !u64::from_le_bytes(*window) & VARINT_GOES_ON,
                None => {
                    let &byte = rest.first().ok_or(FormatError("varints missing"))?;
                    left -= usize::from(byte & 0x80 == 0);
                    length += 1;
                    continue;
                }
            };
            let found = ends.count_ones() as usize;
            if found < left {
                left -= found;
                length += 8;
            } else {
                let last = (1..left).fold(ends, |ends, _| ends & (ends - 1));
                length += last.trailing_zeros() as usize / 8 + 1;
                left = 0;
            }
        }
        self.bytes(length)
    }
}

/// The bit of each byte that says that a varint goes on.
const VARINT_GOES_ON: u64 = 0x8080_8080_8080_8080;

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

impl RunHeader {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.start.to_le_bytes());
        out.extend_from_slice(&self.end.to_le_bytes());
        out.extend_from_slice(&self.identity);
        push_crc(&mut out, 0);
        out
    }
}

/// Decodes the header at the front of `bytes`.
///
/// # Errors
/// When the bytes are not a header of version 1.
pub fn parse_run_header(bytes: &[u8]) -> Result<RunHeader, FormatError> {
    let bytes = bytes.get(..HEADER).ok_or(FormatError("header too short"))?;
    let mut fields = Fields(check_crc(bytes)?);
    if fields.array()? != *MAGIC {
        return Err(FormatError("not a run of version 1"));
    }
    let (start, end) = (fields.u64()?, fields.u64()?);
    if start >= end {
        return Err(FormatError("empty range"));
    }
    Ok(RunHeader { start, end, identity: fields.array()? })
}

impl RunFooter {
    /// Bytes of the footer that the SHA-256 covers.
    pub(super) fn covered_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER);
        let IdTimes { oldest, newest, untimed } = self.ids;
        let sizes = [self.blocks, self.block_bytes, self.terms, self.postings, self.filter_lines];
        for number in sizes.into_iter().chain([oldest, newest, untimed]) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.index_crc.to_le_bytes());
        out.extend_from_slice(&self.filter_crc.to_le_bytes());
        out
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = self.covered_bytes();
        out.extend_from_slice(&self.sha256);
        push_crc(&mut out, 0);
        out.extend_from_slice(MAGIC_END);
        out
    }
}

/// Decodes a footer: exactly the last [`FOOTER`] bytes of a run.
///
/// # Errors
/// When the bytes are not a footer.
pub fn parse_run_footer(bytes: &[u8]) -> Result<RunFooter, FormatError> {
    let Some((front, end)) = bytes.split_last_chunk() else {
        return Err(FormatError("footer too short"));
    };
    if bytes.len() != FOOTER || end != MAGIC_END {
        return Err(FormatError("no footer"));
    }
    let mut fields = Fields(check_crc(front)?);
    Ok(RunFooter {
        blocks: fields.u64()?,
        block_bytes: fields.u64()?,
        terms: fields.u64()?,
        postings: fields.u64()?,
        filter_lines: fields.u64()?,
        ids: IdTimes { oldest: fields.u64()?, newest: fields.u64()?, untimed: fields.u64()? },
        index_crc: fields.u32()?,
        filter_crc: fields.u32()?,
        sha256: fields.array()?,
    })
}

pub(super) fn push_crc(out: &mut Vec<u8>, from: usize) {
    let crc = crc32fast::hash(&out[from..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The bytes before a CRC-32 that closes them.
pub(super) fn check_crc(bytes: &[u8]) -> Result<&[u8], FormatError> {
    let (covered, crc) = bytes.split_last_chunk().ok_or(FormatError("too short"))?;
    if crc32fast::hash(covered) == u32::from_le_bytes(*crc) {
        Ok(covered)
    } else {
        Err(FormatError("wrong CRC"))
    }
}

/// What the block index says of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockKey {
    /// Of the first fragment's term.
    pub(super) hash: u128,
    /// Newest index of the first fragment.
    pub(super) last: u64,
    /// Where the block stands in the file.
    pub(super) offset: u64,
    pub(super) kind: u8,
}

impl BlockKey {
    pub(super) fn term(&self) -> Term {
        Term { kind: self.kind, hash: self.hash }
    }
    /// Sorts by term, then by where in the term's list the block begins.
    pub(super) fn order(&self, term: &Term, last: u64) -> Ordering {
        (self.kind, self.hash, self.last).cmp(&(term.kind, term.hash, last))
    }
}

/// Collects fragments into one block.
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    key: BlockKey,
    previous: u128,
    scratch: Vec<u8>,
}

impl BlockBuilder {
    pub(super) fn new() -> Self {
        let key = BlockKey { hash: 0, last: 0, offset: 0, kind: 0 };
        Self { bytes: Vec::new(), key, previous: 0, scratch: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a fragment, or says that it must begin the next block.
    pub(super) fn add(&mut self, term: &Term, ordinal: u32, start: u64, indexes: &[u64]) -> bool {
        assert!(!indexes.is_empty() && indexes.len() <= FRAGMENT && term.kind != 0);
        if self.is_empty() {
            self.begin(term, ordinal, indexes[indexes.len() - 1]);
        } else if self.key.kind != term.kind {
            return false;
        }
        self.scratch.clear();
        push_fragment(&mut self.scratch, term.hash - self.previous, start, indexes);
        let fits = self.bytes.len() + self.scratch.len() + 4 <= BLOCK_TARGET;
        if !fits && self.bytes.len() > BLOCK_HEAD {
            return false;
        }
        self.bytes.append(&mut self.scratch);
        self.previous = term.hash;
        true
    }

    fn begin(&mut self, term: &Term, ordinal: u32, last: u64) {
        self.key = BlockKey { hash: term.hash, last, offset: 0, kind: term.kind };
        self.previous = term.hash;
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&[term.kind, 0, 0, 0]);
        self.bytes.extend_from_slice(&ordinal.to_le_bytes());
        self.bytes.extend_from_slice(&last.to_le_bytes());
        self.bytes.extend_from_slice(&term.hash.to_le_bytes());
    }

    /// Closes the block into `out` and starts afresh.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> BlockKey {
        let length = u32::try_from(self.bytes.len() - BLOCK_HEAD).expect("at most CONTENT_MAX");
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        push_crc(&mut self.bytes, 0);
        out.append(&mut self.bytes);
        self.key
    }
}

fn push_fragment(out: &mut Vec<u8>, delta: u128, start: u64, indexes: &[u64]) {
    let delta_bytes = delta.to_be_bytes();
    let zeros = delta.leading_zeros() as usize / 8;
    let (&last, _) = indexes.split_last().expect("a fragment has postings");
    let count = indexes.len();
    let inline = if count < COUNT_INLINE { count } else { 0 };
    let head = inline << 5 | (16 - zeros);
    out.push(u8::try_from(head).expect("three bits and five"));
    out.extend_from_slice(&delta_bytes[zeros..]);
    if inline == 0 {
        push_varint(out, count as u64);
    }
    push_varint(out, last - start);
    let gaps = indexes.windows(2).rev().map(|pair| pair[1] - pair[0] - 1);
    if inline == 0 {
        let length: usize = gaps.clone().map(varint_length).sum();
        push_varint(out, length as u64);
    }
    gaps.for_each(|gap| push_varint(out, gap));
}

fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// One fragment of a block, its gaps not yet decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    pub(super) hash: u128,
    /// How many full fragments of the term come before.
    pub(super) ordinal: u32,
    pub(super) count: usize,
    /// Newest index.
    pub(super) last: u64,
    gaps: &'a [u8],
}

impl Fragment<'_> {
    /// Appends the indexes, ascending.
    pub(super) fn decode(&self, start: u64, out: &mut Vec<u64>) -> Result<(), FormatError> {
        let from = out.len();
        let mut index = self.last;
        let mut gaps = Fields(self.gaps);
        out.push(index);
        for _ in 1..self.count {
            let step = gaps.varint()?.checked_add(1).ok_or(FormatError("gap too large"))?;
            let older = index.checked_sub(step).filter(|older| *older >= start);
            index = older.ok_or(FormatError("index before its range"))?;
            out.push(index);
        }
        if !gaps.0.is_empty() {
            return Err(FormatError("gaps too long"));
        }
        out[from..].reverse();
        Ok(())
    }
}

/// A block whose CRC and frame are right.
pub(super) struct Block<'a> {
    pub(super) term: Term,
    pub(super) ordinal: u32,
    pub(super) last: u64,
    content: &'a [u8],
    range: (u64, u64),
}

/// Checks a block's frame. `range` is the run's.
pub(super) fn parse_block(bytes: &[u8], range: (u64, u64)) -> Result<Block<'_>, FormatError> {
    let mut fields = Fields(check_crc(bytes)?);
    let length = fields.u32()? as usize;
    let [kind, zeros @ ..] = fields.array::<4>()?;
    let ordinal = fields.u32()?;
    let last = fields.u64()?;
    let term = Term { kind, hash: fields.u128()? };
    if kind == 0 || zeros != [0; 3] || length != fields.0.len() || length > CONTENT_MAX {
        return Err(FormatError("bad block head"));
    }
    Ok(Block { term, ordinal, last, content: fields.0, range })
}

impl<'a> Block<'a> {
    /// The fragments in order.
    pub(super) fn fragments(&self) -> Fragments<'a> {
        let rest = Fields(self.content);
        let before = Before { hash: self.term.hash, ordinal: self.ordinal, full: false };
        Fragments { rest, before, first: true, last: self.last, range: self.range }
    }
}

/// What a fragment is decoded against.
struct Before {
    hash: u128,
    ordinal: u32,
    full: bool,
}

/// Iterates over the fragments of a block; ends after the first error.
pub(super) struct Fragments<'a> {
    rest: Fields<'a>,
    /// The fragment before; what the block says of it while it is the first.
    before: Before,
    first: bool,
    /// Newest index of the first fragment, as the block says.
    last: u64,
    range: (u64, u64),
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Result<Fragment<'a>, FormatError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.0.is_empty() {
            return None;
        }
        let result = self.read();
        if result.is_err() {
            self.rest = Fields(&[]);
        }
        Some(result)
    }
}

impl<'a> Fragments<'a> {
    #[inline]
    fn read(&mut self) -> Result<Fragment<'a>, FormatError> {
        let head = self.rest.u8()?;
        self.place(usize::from(head & 0x1f))?;
        let inline = usize::from(head >> 5);
        let count = match inline {
            0 => usize::try_from(self.rest.varint()?).unwrap_or(usize::MAX),
            _ => inline,
        };
        if count > FRAGMENT || (inline == 0 && count < COUNT_INLINE) {
            return Err(FormatError("bad count"));
        }
        let (start, end) = self.range;
        let last = start.checked_add(self.rest.varint()?).filter(|last| *last < end);
        let last = last.ok_or(FormatError("index after its range"))?;
        if self.first && last != self.last {
            return Err(FormatError("first fragment is not the block's"));
        }
        let gaps = match inline {
            0 => {
                let length = usize::try_from(self.rest.varint()?).unwrap_or(usize::MAX);
                self.rest.bytes(length)?
            }
            1 => &[],
            _ => self.rest.varints(count - 1)?,
        };
        self.first = false;
        self.before.full = count == FRAGMENT;
        let Before { hash, ordinal, .. } = self.before;
        Ok(Fragment { hash, ordinal, count, last, gaps })
    }

    /// Moves on to the next fragment's hash and ordinal; its delta has `length` bytes.
    #[inline]
    fn place(&mut self, length: usize) -> Result<(), FormatError> {
        let before = &mut self.before;
        if self.first {
            let same = length == 0;
            return if same { Ok(()) } else { Err(FormatError("a delta in a first fragment")) };
        }
        if length > 0 {
            let hash = before.hash.checked_add(self.rest.big_endian(length)?);
            before.hash = hash.ok_or(FormatError("hash too large"))?;
            before.ordinal = 0;
            return Ok(());
        }
        let ordinal = before.ordinal.checked_add(1).filter(|_| before.full);
        before.ordinal = ordinal.ok_or(FormatError("fragment after a short one"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_back_its_fragments() {
        let long: Vec<u64> = (0..600).map(|i| 1_000 + i * i).collect();
        let term = |hash| Term { kind: 3, hash };
        let mut builder = BlockBuilder::new();
        assert!(builder.add(&term(5), 0, 1_000, &[1_007]));
        assert!(builder.add(&term(6), 0, 1_000, &long[..FRAGMENT]));
        assert!(builder.add(&term(6), 1, 1_000, &long[FRAGMENT..]));
        assert!(builder.add(&term(u128::MAX), 0, 1_000, &[1_000, 1_001, 1_900]));
        assert!(!builder.add(&Term { kind: 4, hash: 0 }, 0, 1_000, &[1_000]), "another kind");
        let mut bytes = Vec::new();
        let key = builder.finish(&mut bytes);
        assert_eq!((key.term(), key.last), (term(5), 1_007));

        let block = parse_block(&bytes, (1_000, 1_000_000)).expect("block");
        let mut found = Vec::new();
        for fragment in block.fragments() {
            let fragment = fragment.expect("fragment");
            let mut indexes = Vec::new();
            fragment.decode(1_000, &mut indexes).expect("indexes");
            found.push((fragment.hash, fragment.ordinal, indexes));
        }
        let expected = vec![
            (5, 0, vec![1_007]),
            (6, 0, long[..FRAGMENT].to_vec()),
            (6, 1, long[FRAGMENT..].to_vec()),
            (u128::MAX, 0, vec![1_000, 1_001, 1_900]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn varints_are_minimal_and_bounded() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_length(value));
            assert_eq!(Fields(&bytes).varint(), Ok(value));
            assert!(Fields(&bytes[..bytes.len() - 1]).varint().is_err());
            let length = bytes.len();
            bytes.extend_from_slice(&[0xff, 0, 1, 0x80, 2, 3, 4, 5, 6]);
            let mut fields = Fields(&bytes);
            assert_eq!((fields.varint(), fields.0), (Ok(value), &bytes[length..]));
            let mut fields = Fields(&bytes);
            assert_eq!(fields.varints(4), Ok(&bytes[..length + 5]));
            assert!(fields.varints(5).is_err());
        }
        assert!(Fields(&[0x80, 0]).varint().is_err(), "not minimal");
        assert!(Fields(&[0x80, 0x80, 0, 1, 1, 1, 1, 1]).varint().is_err(), "not minimal");
        assert!(Fields(&[0xff; 11]).varint().is_err(), "too long");
        assert!(Fields(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 2]).varint().is_err());
    }
}
