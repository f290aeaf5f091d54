//! Bodies with a `Content-Encoding`: unpacked under the limits that they have when they are not.
//!
//! Promises: what counts is the size of what was packed, against the limit of the route and the
//! caller's share, as it comes out: of a bomb no more is unpacked than a body may have. A body that
//! is cut off, or followed by something, is refused whole.
//!
//! Refuses: other codings than gzip and deflate, and several at once (415): a sender that is
//! answered 200 drops what it sent (RFC 9110 sections 8.4 and 15.5.16).

use std::io::Read as _;

use axum::body::Bytes;
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use ledgerline_answers::problem::{Problem, UNSUPPORTED_CODING};

use crate::shares::{Hold, Room};
use crate::{Gate, at_work};

/// Bytes unpacked at a time.
const PIECE_BYTES: usize = 64 << 10;
/// Bodies up to this, unpacked, are unpacked where they arrive: a fraction of a millisecond.
const INLINE_BYTES: usize = 256 << 10;

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 without its frame, as some senders understand the name.
    Deflate,
}

/// How the body of a request is packed.
///
/// # Errors
/// 415 for what is not unpacked here.
pub fn coding(headers: &HeaderMap) -> Result<Coding, Problem> {
    let mut found = Coding::Identity;
    for value in headers.get_all(CONTENT_ENCODING) {
        let names = value.to_str().map_err(|_| unsupported())?;
        for name in names.split(',') {
            let coding = match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Coding::Gzip,
                "deflate" => Coding::Deflate,
                _ => return Err(unsupported()),
            };
            if found != Coding::Identity {
                return Err(unsupported());
            }
            found = coding;
        }
    }
    Ok(found)
}

fn unsupported() -> Problem {
    let detail = "a body is sent as it is, or with one Content-Encoding: gzip or deflate";
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Problem::new(status, UNSUPPORTED_CODING, detail)
}

/// What a body is when it is unpacked, and its room.
///
/// # Errors
/// 400 when it is not what it says; 413 above `most` bytes; 429 when the caller's share of memory
/// is used up.
pub async fn unpack(
    gate: &Gate,
    coding: Coding,
    packed: Bytes,
    most: usize,
) -> Result<(Bytes, Option<Hold>), Problem> {
    let room = at_work::party(gate).take(Room::Bodies, 0)?;
    let mut out = Out { bytes: Vec::new(), room, most };
    let work = move || {
        match coding {
            Coding::Identity => out.put(&packed)?,
            Coding::Gzip => gunzip(&packed, &mut out)?,
            Coding::Deflate => inflate(&packed, &mut out)?,
        }
        Ok((Bytes::from(out.bytes), Some(out.room)))
    };
    if most <= INLINE_BYTES { work() } else { gate.parse(most, work).await }
}

/// 413.
pub fn too_large(most: usize) -> Problem {
    let detail = match most >> 20 {
        0 => format!("a body of this route has at most {} KiB", most >> 10),
        mib => format!("a body has at most {mib} MiB; send several"),
    };
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// What has come out.
struct Out {
    bytes: Vec<u8>,
    room: Hold,
    most: usize,
}

impl Out {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        if self.bytes.len() + bytes.len() > self.most {
            return Err(too_large(self.most));
        }
        self.room.grow(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

fn gunzip(packed: &[u8], out: &mut Out) -> Result<(), Problem> {
    let mut input = MultiGzDecoder::new(packed);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match input.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => out.put(&piece[..count])?,
            Err(_) => return Err(broken()),
        }
    }
}

fn inflate(packed: &[u8], out: &mut Out) -> Result<(), Problem> {
    // The reader of the library takes a cut-off stream for a whole one: the stream itself is asked.
    let mut stream = Decompress::new(has_zlib_frame(packed));
    let mut piece = vec![0; PIECE_BYTES];
    let (mut taken, mut given) = (0, 0);
    loop {
        let rest = usize::try_from(taken).ok().and_then(|taken| packed.get(taken..));
        let rest = rest.unwrap_or_default();
        let status = stream.decompress(rest, &mut piece, FlushDecompress::None);
        let status = status.map_err(|_| broken())?;
        let came = usize::try_from(stream.total_out() - given).unwrap_or(0);
        out.put(&piece[..came])?;
        let is_stuck = came == 0 && stream.total_in() == taken;
        (taken, given) = (stream.total_in(), stream.total_out());
        match status {
            Status::StreamEnd if taken == packed.len() as u64 => return Ok(()),
            Status::StreamEnd => return Err(broken()),
            _ if is_stuck => return Err(broken()),
            _ => {}
        }
    }
}

/// Whether bytes begin as RFC 1950 section 2.2 says.
fn has_zlib_frame(packed: &[u8]) -> bool {
    match packed {
        [cmf, flg, ..] => {
            cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flg)).is_multiple_of(31)
        }
        _ => false,
    }
}

fn broken() -> Problem {
    let detail = "the body is not what its Content-Encoding says, or is cut off";
    Problem::bad_request("bad_content_encoding", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_read_as_rfc_9110_says() {
        let check = |values: &[&str], expected: Option<Coding>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().expect("a value"));
            }
            assert_eq!(coding(&headers).ok(), expected, "{values:?}");
        };
        check(&[], Some(Coding::Identity));
        check(&["identity"], Some(Coding::Identity));
        check(&["GZip"], Some(Coding::Gzip));
        check(&["x-gzip, identity"], Some(Coding::Gzip));
        check(&["identity", "deflate"], Some(Coding::Deflate));
        for other in
            ["zstd", "br", "compress", "gzip, gzip", "deflate, gzip", "x-unheard-of", "g zip"]
        {
            check(&[other], None);
        }
        check(&["gzip", "gzip"], None);
    }
}
