//! Answers as responses: JSON and documents that nobody may keep.

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::problem::Problem;

/// JSON that nobody may keep.
#[must_use]
pub fn json_bytes(bytes: impl IntoResponse) -> Response {
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A document of any media type that nobody may keep, and that no browser may run.
#[must_use]
pub fn document_bytes(media_type: &str, bytes: Vec<u8>) -> Response {
    let mut response = json_bytes(bytes);
    let headers = response.headers_mut();
    let safe = HeaderValue::from_str(media_type);
    let plain = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, safe.unwrap_or(plain));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("content-disposition", HeaderValue::from_static("attachment"));
    response
}

/// Bytes to begin an answer with.
const ANSWER_BYTES: usize = 1024;

/// Any form as a JSON answer.
///
/// # Errors
/// 500 when it does not serialize.
pub fn json<T: Serialize>(form: &T) -> Result<Response, Problem> {
    let mut bytes = Vec::with_capacity(ANSWER_BYTES);
    serde_json::to_writer(&mut bytes, form).map_err(|_| Problem::internal())?;
    // A line of its own, for whoever reads it in a terminal.
    bytes.push(b'\n');
    Ok(json_bytes(bytes))
}
