//! The quarantine: refused statements, kept for whoever has to find out why.
//!
//! ```text
//! quarantine/<0 or 1>.txt   one refusal a line: CRC32C of the rest in hex, a space, a JSON object
//!   {"received_at": unix nanoseconds, "credential": …, "code": …, "statement": base64 or null}
//! ```
//!
//! Promises: at most two files of [`FILE_BYTES`]; when one is full the other is begun anew. Nothing
//! personal stands here (personal records are never kept), and no statement that carries what looks
//! like a bearer value: only that it was refused.
//!
//! The files may be lost: what counts, counts in the blocks.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_world::disk::{Disk, File, OpenMode};
use serde_json::json;

/// Most bytes of one of the two files.
pub const FILE_BYTES: u64 = 8 << 20;
/// Longest statement kept.
const MAX_STATEMENT_BYTES: usize = 64 << 10;

struct Open {
    file: Box<dyn File>,
    number: u8,
    bytes: u64,
}

/// Offset of the first line that is not as it was written. A last line without its end was cut off
/// by a stop, which is no damage; a whole line with another byte in the place of its end is.
#[must_use]
pub fn first_damage(bytes: &[u8]) -> Option<usize> {
    let mut offset = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(whole) = line.strip_suffix(b"\n") else {
            let other_end = line.split_last().is_some_and(|(_, whole)| holds(whole));
            return other_end.then_some(offset);
        };
        if !holds(whole) {
            return Some(offset);
        }
        offset += line.len();
    }
    None
}

/// Whether a line has the sum that stands before it.
fn holds(line: &[u8]) -> bool {
    line.split_at_checked(8).is_some_and(|(crc, rest)| {
        let rest = rest.strip_prefix(b" ");
        rest.is_some_and(|json| crc == format!("{:08x}", crc32c::crc32c(json)).as_bytes())
    })
}

/// Keeps refused statements. Shared.
pub struct Quarantine {
    disk: Arc<dyn Disk>,
    open: Mutex<Option<Open>>,
}

impl Quarantine {
    /// A quarantine in the data directory. Files are created when something is refused.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, open: Mutex::new(None) }
    }

    /// Keeps one refusal. A disk that fails here loses it: refusing must not depend on keeping.
    pub fn keep(&self, received_at: i64, credential: &str, code: &str, statement: Option<&[u8]>) {
        let statement = statement.filter(|bytes| bytes.len() <= MAX_STATEMENT_BYTES);
        let line = json!({
            "received_at": received_at,
            "credential": credential,
            "code": code,
            "statement": statement.map(|bytes| STANDARD.encode(bytes)),
        });
        let line = line.to_string();
        let line = format!("{:08x} {line}\n", crc32c::crc32c(line.as_bytes()));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if self.append(&mut open, line.as_bytes()).is_err() {
            *open = None;
        }
    }

    fn append(&self, open: &mut Option<Open>, line: &[u8]) -> std::io::Result<()> {
        let length = line.len() as u64;
        if open.as_ref().is_none_or(|open| open.bytes + length > FILE_BYTES) {
            *open = Some(self.begin(open.as_ref().map(|open| open.number))?);
        }
        let Some(open) = open else { return Ok(()) };
        open.file.write_all_at(line, open.bytes)?;
        open.bytes += length;
        Ok(())
    }

    /// Goes on with the shorter file at start; begins the other anew when one is full.
    fn begin(&self, full: Option<u8>) -> std::io::Result<Open> {
        self.disk.create_dir("quarantine")?;
        let open =
            |number: u8| self.disk.open(&format!("quarantine/{number}.txt"), OpenMode::Create);
        let (number, file) = match full {
            Some(full) => {
                let file = open(1 - full)?;
                file.set_len(0)?;
                (1 - full, file)
            }
            None => {
                let (first, second) = (open(0)?, open(1)?);
                if second.len()? > 0 && second.len()? < FILE_BYTES {
                    (1, second)
                } else {
                    (0, first)
                }
            }
        };
        let bytes = file.len()?;
        Ok(Open { file, number, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::first_damage;

    /// The sweep over every byte found the last line's end unwatched.
    #[test]
    fn every_flipped_bit_of_whole_lines_is_damage_and_a_cut_is_none() {
        let line = |json: &str| format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes()));
        let bytes = [line(r#"{"code":"a"}"#), line(r#"{"code":"b"}"#)].concat().into_bytes();
        assert_eq!(first_damage(&bytes), None);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(first_damage(&flipped).is_some(), "byte {at} bit {bit}");
            }
            assert_eq!(first_damage(&bytes[..at]), None, "cut at {at}");
        }
    }
}
