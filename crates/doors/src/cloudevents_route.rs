//! `POST /v1/cloudevents` and its `OPTIONS` (CloudEvents 1.0, HTTP binding and webhooks).
//!
//! Promises: 200 with a verdict for each event when what was taken is on the disk; 204 with
//! `Prefer: return=minimal` when nothing was refused; a lone event that is refused by its own 4xx.
//! 429 and 503 have `Retry-After`.
//!
//! `?access_token=`, which the webhook specification allows senders, is refused before it comes
//! here, as on every route: a URL ends in logs.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::ALLOW;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use ledgerline_answers::problem::Problem;
use ledgerline_gate::body::media_type;

use crate::Shared;
use crate::cloudevents::{self, Mode};
use crate::tally::Door;

/// Longest name of a sender, in bytes: a DNS name.
const ORIGIN_BYTES_MAX: usize = 253;

/// Takes CloudEvents.
///
/// # Errors
/// A problem for the body as a whole, or for the lone event in it.
pub async fn submit(State(doors): Shared, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let caller = doors.producer(&parts.headers)?;
    let mode = doors.counted(&caller, mode(&parts.headers))?;
    let is_brief = prefers_nothing(&parts.headers);
    let headers = Arc::new(parts.headers.clone());
    let decode = move |body: &axum::body::Bytes, caller: &ledgerline_view::registry::Caller| {
        cloudevents::decode(mode, &headers, body, caller)
    };
    let taken = doors.take(Door::CloudEvents, caller, &parts.headers, body, decode).await?;
    if is_brief && taken.refused() == 0 {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    taken.answer()
}

fn mode(headers: &HeaderMap) -> Result<Mode, Problem> {
    let forms = [
        ("application/cloudevents+json", Mode::Structured),
        ("application/cloudevents-batch+json", Mode::Batch),
    ];
    if let Some(at) = media_type(headers, &forms.map(|(name, _)| name)) {
        return Ok(forms[at].1);
    }
    let is_json = media_type(headers, &["application/json"]).is_some()
        || headers.get("content-type").is_none();
    if is_json {
        return Ok(Mode::Binary);
    }
    let detail = "send application/cloudevents+json, application/cloudevents-batch+json, or \
                  application/json with the attributes as ce- headers (all UTF-8)";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// Whether no body is wanted (RFC 7240 section 4.2).
fn prefers_nothing(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let wishes = values.flat_map(|value| value.split([',', ';'])).map(str::trim);
    wishes.into_iter().any(|wish| wish.eq_ignore_ascii_case("return=minimal"))
}

/// Says that a sender may deliver (CloudEvents webhooks, section 4). The permission is only that:
/// each delivery still needs an API key.
///
/// # Errors
/// 400 without the name of the sender.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn handshake(headers: HeaderMap) -> Result<Response, Problem> {
    let origin = headers.get("webhook-request-origin").and_then(|value| value.to_str().ok());
    let is_name = |name: &str| {
        (1..=ORIGIN_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
    };
    let origin = origin.filter(|name| is_name(name)).ok_or_else(|| {
        let detail = "name the sender as a DNS name in WebHook-Request-Origin";
        Problem::bad_request("bad_origin", detail)
    })?;
    let mut response = StatusCode::OK.into_response();
    let answer = response.headers_mut();
    let allowed = HeaderValue::from_str(origin).map_err(|_| Problem::internal())?;
    answer.insert("webhook-allowed-origin", allowed);
    // No number: how much is taken depends on what others send. 429 says when it is too much.
    answer.insert("webhook-allowed-rate", HeaderValue::from_static("*"));
    answer.insert(ALLOW, HeaderValue::from_static("OPTIONS, POST"));
    Ok(response)
}
