//! One record of a segment: written, read, and found again behind damage.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::{MAX_RECORD_BYTES, Position};

/// Not UTF-8, so no text of an event contains it.
const MARK: [u8; 4] = [0xfe, 0xed, b'L', b'S'];
/// Mark, length, CRC.
pub(super) const HEADER: usize = 12;

/// What stands at a place.
pub(super) struct Read {
    /// The payload; `None` when nothing that can be read follows in the segment.
    pub payload: Option<Vec<u8>>,
    /// Where it ends.
    pub end: u64,
    /// Whether something unreadable stood before it.
    pub skipped: bool,
}

fn crc(at: Position, payload: &[u8]) -> u32 {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let crc = crc32c::crc32c(&at.segment.to_be_bytes());
    let crc = crc32c::crc32c_append(crc, &at.offset.to_be_bytes());
    let crc = crc32c::crc32c_append(crc, &length.to_be_bytes());
    crc32c::crc32c_append(crc, payload)
}

/// Appends a record that will stand at a place.
pub(super) fn put(out: &mut Vec<u8>, at: Position, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("bounded by the caller");
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&crc(at, payload).to_be_bytes());
    out.extend_from_slice(payload);
}

/// Reads the record at a place, or the next that is whole; `None` at the segment's end.
pub(super) fn read(file: &File, at: Position, length: u64) -> io::Result<Option<Read>> {
    if at.offset >= length {
        return Ok(None);
    }
    if let Some(payload) = whole(file, at, length)? {
        let end = at.offset + (HEADER + payload.len()) as u64;
        return Ok(Some(Read { payload: Some(payload), end, skipped: false }));
    }
    search(file, at, length).map(Some)
}

/// The payload at a place, if a whole record stands there.
fn whole(file: &File, at: Position, length: u64) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; HEADER];
    if length - at.offset < HEADER as u64 {
        return Ok(None);
    }
    file.read_exact_at(&mut header, at.offset)?;
    let claimed = u32::from_be_bytes(header[4..8].try_into().expect("4 bytes"));
    let size = usize::try_from(claimed).unwrap_or(usize::MAX);
    let begin = at.offset + HEADER as u64;
    let is_inside = size <= MAX_RECORD_BYTES && u64::from(claimed) <= length - begin;
    if header[..4] != MARK || !is_inside {
        return Ok(None);
    }
    let mut payload = vec![0; size];
    file.read_exact_at(&mut payload, begin)?;
    let is_sound = crc(at, &payload).to_be_bytes() == header[8..];
    Ok(is_sound.then_some(payload))
}

/// The next whole record behind damage. Segments are short, so the rest is read at once.
fn search(file: &File, at: Position, length: u64) -> io::Result<Read> {
    let size = usize::try_from(length - at.offset).unwrap_or(usize::MAX);
    let mut rest = vec![0; size];
    file.read_exact_at(&mut rest, at.offset)?;
    let mut from = 1;
    while let Some(found) = rest.get(from..).and_then(|rest| position_of(rest, MARK)) {
        let offset = at.offset + (from + found) as u64;
        if let Some(payload) = whole(file, Position { offset, ..at }, length)? {
            let end = offset + (HEADER + payload.len()) as u64;
            return Ok(Read { payload: Some(payload), end, skipped: true });
        }
        from += found + 1;
    }
    Ok(Read { payload: None, end: length, skipped: true })
}

fn position_of(bytes: &[u8], mark: [u8; 4]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}
