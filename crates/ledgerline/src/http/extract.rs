//! Extractors whose refusals are problems and never repeat what was sent.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::App;
use super::events::read_body;
use super::problem::Problem;

/// Parameters of the query.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, app).await;
        query.map(|Query(asked)| Self(asked)).map_err(|_| {
            Problem::bad_request("bad_query", "a parameter is unknown or has a wrong value")
        })
    }
}

/// Parameters of the path, percent-decoded.
pub struct Segments<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, app).await;
        path.map(|Path(segments)| Self(segments))
            .map_err(|_| Problem::bad_request("bad_path", "a part of the path has a wrong form"))
    }
}

/// A small JSON body. Called after the caller was judged: a stranger's body is not even read.
///
/// # Errors
/// 415, 413, 408; 400 when it is not what `T` expects.
pub async fn json_body<T: DeserializeOwned>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    let sent = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !sent.is_some_and(|sent| sent.trim().starts_with("application/json")) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Problem::new(status, "unsupported_media_type", "send application/json"));
    }
    let (bytes, _room) = read_body(app, headers, body).await?;
    // serde's text may quote the input: say only where.
    serde_json::from_slice(&bytes).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        Problem::bad_request("bad_json", format!("not the JSON expected, at {place}"))
    })
}
