//! How many messages a body holds, before memory is taken for them: an empty message has two bytes
//! in protobuf and a hundred when it is decoded.
//!
//! Promises: nothing is allocated, and every message that decoding keeps is counted. A JSON body
//! counts its opening braces.
//!
//! Refuses: bodies of more than [`MESSAGES_MAX`]. What is no protobuf is left to the decoder.

use axum::http::StatusCode;
use ledgerline_answers::problem::Problem;

use super::Encoding;

/// Most messages (resources, scopes, spans, events, log records, attributes, values in lists) of
/// one body.
pub const MESSAGES_MAX: usize = 500_000;

/// Which of the two requests.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// `ExportTraceServiceRequest`.
    Traces,
    /// `ExportLogsServiceRequest`.
    Logs,
}

/// A message that holds others.
#[derive(Clone, Copy)]
enum Holds {
    Request,
    OfResource,
    Resource,
    Scope,
    Span,
    Event,
    Log,
    KeyValue,
    Value,
    List,
}

/// What stands in a field, where decoding keeps it.
const fn held(by: Holds, tag: u64, signal: Signal) -> Option<Holds> {
    Some(match (by, tag, signal) {
        (Holds::Request, 1, _) => Holds::OfResource,
        (Holds::OfResource, 1, _) => Holds::Resource,
        (Holds::OfResource, 2, _) => Holds::Scope,
        (Holds::Scope, 2, Signal::Traces) => Holds::Span,
        (Holds::Scope, 2, Signal::Logs) => Holds::Log,
        (Holds::Span, 11, _) => Holds::Event,
        (Holds::Resource, 1, _) | (Holds::Event, 3, _) | (Holds::Log, 6, _) => Holds::KeyValue,
        (Holds::KeyValue, 2, _) | (Holds::List, 1, _) => Holds::Value,
        (Holds::Value, 5, _) => Holds::List,
        _ => return None,
    })
}

/// Whether a body may be decoded.
///
/// # Errors
/// 413 when it holds too many messages.
pub fn check(body: &[u8], encoding: Encoding, signal: Signal) -> Result<(), Problem> {
    let mut left = MESSAGES_MAX;
    let fits = match encoding {
        Encoding::Json => body.iter().filter(|byte| **byte == b'{').count() <= MESSAGES_MAX,
        Encoding::Protobuf => counted(body, Holds::Request, signal, &mut left, 0),
    };
    if fits {
        return Ok(());
    }
    let detail = format!("a body has at most {MESSAGES_MAX} messages; send several");
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail))
}

/// Whether the messages in this one are no more than are left.
fn counted(mut bytes: &[u8], by: Holds, signal: Signal, left: &mut usize, depth: usize) -> bool {
    /// The decoder goes no deeper.
    const DEPTH_MAX: usize = 100;
    while let Some(key) = varint(&mut bytes) {
        let length = match key & 7 {
            0 => varint(&mut bytes).map(|_| 0),
            1 => Some(8),
            5 => Some(4),
            2 => varint(&mut bytes).and_then(|length| usize::try_from(length).ok()),
            _ => None,
        };
        let Some((value, rest)) = length.and_then(|length| bytes.split_at_checked(length)) else {
            return true;
        };
        bytes = rest;
        let Some(inner) = held(by, key >> 3, signal).filter(|_| key & 7 == 2) else { continue };
        // The value of an attribute lies in it, and takes nothing of its own.
        if !matches!((by, inner), (Holds::KeyValue, _) | (_, Holds::List)) {
            let Some(less) = left.checked_sub(1) else { return false };
            *left = less;
        }
        if depth < DEPTH_MAX && !counted(value, inner, signal, left, depth + 1) {
            return false;
        }
    }
    true
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
