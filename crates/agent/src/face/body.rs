//! Bodies of requests, read within limits of size, time and memory.
//!
//! ```text
//! declared longer than 16 MiB     413 before anything is read
//! packed                          415
//! nothing comes for 10 s          408
//! not whole after 30 s            408
//! no memory for it                429
//! ```
//!
//! Promises: nobody holds what it has not sent: memory is taken for bytes that are here.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use ledgerline_api::BODY_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::answer::Problem;
use crate::judge::BodyForm;

/// Memory of bodies is counted in pieces of so many bytes.
const PIECE_BYTES: usize = 1024;
/// Pieces of all bodies at a time: 64 MiB.
const PIECES: usize = 64 << 10;
/// For which nothing of a body may come.
const STALL: Duration = Duration::from_secs(10);
/// For the whole of a body.
const WHOLE: Duration = Duration::from_secs(30);
/// Read on of a body that nobody wants, so that its sender sees the answer.
const DRAINED_BYTES_MAX: usize = 32 << 20;
/// And for how long.
const DRAIN: Duration = Duration::from_secs(2);

/// Memory for bodies.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

impl Room {
    /// Nobody has any of it.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(PIECES)))
    }
}

/// A body, and the memory that it has as long as it is kept.
pub struct Whole {
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

fn too_large() -> Problem {
    let detail = format!("a body has at most {} MiB; send several", BODY_BYTES_MAX >> 20);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).closing()
}

fn too_slow() -> Problem {
    let detail = "the body did not arrive in time";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail).closing()
}

/// The form that a body says it has.
pub fn form_of(headers: &HeaderMap) -> Result<BodyForm, Problem> {
    let coding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        let detail = "a body is sent as it is: this crosses no network, so nothing is packed";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "unsupported_content_encoding", detail));
    }
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let text = match (all.next(), all.next()) {
        (Some(value), None) => value.to_str().unwrap_or_default(),
        _ => "",
    };
    let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
    let is_utf8 = parameters.split(';').all(|one| match one.trim().split_once('=') {
        Some((name, value)) => {
            name.eq_ignore_ascii_case("charset")
                && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        None => one.trim().is_empty(),
    });
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/json" if is_utf8 => Ok(BodyForm::Json),
        "application/x-ndjson" if is_utf8 => Ok(BodyForm::Ndjson),
        "application/vnd.ledgerline.batch" if is_utf8 => Ok(BodyForm::AvroBatch),
        _ => {
            let detail = "send application/json, application/x-ndjson (both UTF-8) or \
                          application/vnd.ledgerline.batch";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            Err(Problem::new(status, "unsupported_media_type", detail))
        }
    }
}

/// Reads a body to its end.
pub async fn read(headers: &HeaderMap, body: &mut Body, room: &Room) -> Result<Whole, Problem> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let declared = declared.and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    if declared > BODY_BYTES_MAX {
        return Err(too_large());
    }
    timeout(WHOLE, collect(body, room)).await.unwrap_or_else(|_| Err(too_slow()))
}

async fn collect(body: &mut Body, room: &Room) -> Result<Whole, Problem> {
    let mut held: Option<OwnedSemaphorePermit> = None;
    let (mut first, mut whole) = (None::<Bytes>, Vec::new());
    let (mut length, mut pieces) = (0, 0);
    while let Some(frame) = timeout(STALL, frame(body)).await.map_err(|_| too_slow())? {
        let frame = frame.map_err(|_| {
            let detail = "the body broke off";
            Problem::new(StatusCode::BAD_REQUEST, "bad_body", detail).closing()
        })?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > BODY_BYTES_MAX {
            return Err(too_large());
        }
        let more = length.div_ceil(PIECE_BYTES) - pieces;
        pieces += more;
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let permit = Arc::clone(&room.0).try_acquire_many_owned(more).map_err(|_| {
            let detail = "the agent holds as many bodies as it may; try again";
            Problem::later(StatusCode::TOO_MANY_REQUESTS, "busy", detail).closing()
        })?;
        match &mut held {
            None => held = Some(permit),
            Some(held) => held.merge(permit),
        }
        match &first {
            // Most bodies arrive in one piece and are not copied.
            None => first = Some(data),
            Some(start) => {
                if whole.is_empty() {
                    whole.extend_from_slice(start);
                }
                whole.extend_from_slice(&data);
            }
        }
    }
    let bytes = if whole.is_empty() { first.unwrap_or_default() } else { whole.into() };
    Ok(Whole { bytes, _room: held })
}

async fn frame(body: &mut Body) -> Option<Result<hyper::body::Frame<Bytes>, axum::Error>> {
    poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// Reads on what nobody wants, within bounds: a connection that is closed over unread bytes is
/// reset, and its client would see that instead of the answer.
pub async fn drain(mut body: Body) {
    let read_on = async {
        let mut length = 0;
        while length < DRAINED_BYTES_MAX
            && let Some(Ok(frame)) = frame(&mut body).await
        {
            length += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // Slower clients are not worth a connection.
    let _ = timeout(DRAIN, read_on).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_told_by_their_media_types() {
        let check = |media_type: &str, expected: Option<BodyForm>| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, media_type.parse().expect("a value"));
            assert_eq!(form_of(&headers).ok(), expected, "{media_type}");
        };
        check("application/json", Some(BodyForm::Json));
        check("Application/JSON; charset=UTF-8", Some(BodyForm::Json));
        check("application/x-ndjson;charset=\"utf-8\"", Some(BodyForm::Ndjson));
        check("application/vnd.ledgerline.batch", Some(BodyForm::AvroBatch));
        check("application/json; charset=latin1", None);
        check("text/plain", None);
        assert!(form_of(&HeaderMap::new()).is_err());
        let mut packed = HeaderMap::new();
        packed.insert(CONTENT_TYPE, "application/json".parse().expect("a value"));
        packed.insert(CONTENT_ENCODING, "gzip".parse().expect("a value"));
        assert_eq!(
            form_of(&packed).err().map(|one| one.code),
            Some("unsupported_content_encoding")
        );
    }
}
