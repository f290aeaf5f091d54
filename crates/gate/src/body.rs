//! Bodies of requests: read as they come, within the limit of their route.
//!
//! ```text
//! declared longer than the route allows     413 before anything is taken
//! chunked, or declared                      room for each piece when it has come
//! nothing comes                             408: the pace, and a time for the whole
//! gzip, deflate                             unpacked under the same limits (`packed`); else 415
//! ```
//!
//! Promises: nobody holds what it has not sent: room is taken from the caller's share for the bytes
//! that are here, whatever length was declared or not.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use hyper::body::Frame;
use ledgerline_answers::problem::Problem;

use crate::pace::Pace;
use crate::packed::{self, Coding, too_large};
use crate::shares::{Hold, Party, Room};
use crate::{Gate, at_work};

/// Bodies up to this are parsed where they arrive; larger ones on a thread that may take its time.
pub const INLINE_BODY_BYTES: usize = 64 << 10;

/// The whole body, and the room that it has: to be kept as long as the body is.
///
/// # Errors
/// 408, 413, 415, 429 when the caller's share of memory is used up, or 400 when it broke off or is
/// packed in another way than it says.
pub async fn read_body(
    gate: &Gate,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<(Bytes, Option<Hold>), Problem> {
    let coding = packed::coding(headers)?;
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let declared = declared.and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    if declared > most {
        return Err(too_large(most));
    }
    let reading = Reading {
        body,
        pace: Pace::new(gate.limits.stall_timeout),
        party: at_work::party(gate),
        room: None,
        length: 0,
    };
    let read = tokio::time::timeout(gate.limits.body_timeout, reading.collect(declared, most));
    let (body, room) = read.await.unwrap_or_else(|_| Err(too_slow()))?;
    match coding {
        Coding::Identity => Ok((body, room)),
        // The room of what came is kept until all of it has come out.
        coding => packed::unpack(gate, coding, body, most).await.inspect(|_| drop(room)),
    }
}

/// Whether the body has one of these media types, as RFC 9110 section 8.3.1 compares them: whatever
/// the case, with no parameter but a charset of UTF-8. Gives which.
#[must_use]
pub fn media_type(headers: &HeaderMap, known: &[&str]) -> Option<usize> {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (essence, parameters) =
        value.to_str().ok().map(|v| v.split_once(';').unwrap_or((v, "")))?;
    let is_utf8 = |one: &str| match one.trim().split_once('=') {
        Some((name, value)) => {
            name.eq_ignore_ascii_case("charset")
                && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        None => one.trim().is_empty(),
    };
    let fits = parameters.split(';').all(is_utf8);
    known.iter().position(|name| fits && essence.trim().eq_ignore_ascii_case(name))
}

fn too_slow() -> Problem {
    let detail = "the body did not arrive in time";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail)
}

/// A body on its way.
struct Reading {
    body: Body,
    pace: Pace,
    party: Arc<Party>,
    room: Option<Hold>,
    length: usize,
}

impl Reading {
    async fn collect(
        mut self,
        declared: usize,
        most: usize,
    ) -> Result<(Bytes, Option<Hold>), Problem> {
        let mut first: Option<Bytes> = None;
        let mut whole: Vec<u8> = Vec::new();
        while let Some(frame) = self.next().await? {
            let frame =
                frame.map_err(|_| Problem::bad_request("bad_body", "the body broke off"))?;
            let Ok(data) = frame.into_data() else { continue };
            self.length += data.len();
            if self.length > most {
                return Err(too_large(most));
            }
            let Some(start) = &first else {
                // Most bodies arrive in one piece and are not copied.
                first = Some(data);
                continue;
            };
            self.count()?;
            if whole.is_empty() {
                whole.reserve((2 * self.length).min(declared.max(self.length)));
                whole.extend_from_slice(start);
            }
            whole.extend_from_slice(&data);
        }
        let body = if whole.is_empty() { first.unwrap_or_default() } else { whole.into() };
        Ok((body, self.room))
    }

    /// Takes room for what has come. Not for a body that came whole with its headers: it lies in
    /// the connection's own buffer.
    fn count(&mut self) -> Result<(), Problem> {
        match &mut self.room {
            None => self.room = Some(self.party.take(Room::Bodies, self.length)?),
            Some(room) => {
                let more = self.length.saturating_sub(room.amount());
                room.grow(more)?;
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Result<Frame<Bytes>, axum::Error>>, Problem> {
        poll_fn(|context| match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                self.pace.moved(bytes.map_or(0, Bytes::len));
                Poll::Ready(Ok(frame))
            }
            Poll::Pending => {
                if self.length > 0
                    && self.room.is_none()
                    && let Err(full) = self.count()
                {
                    return Poll::Ready(Err(full));
                }
                self.pace.poll_late(context).map(|()| Err(too_slow()))
            }
        })
        .await
    }
}
