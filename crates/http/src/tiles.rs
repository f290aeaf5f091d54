//! The log as C2SP tlog-tiles, for anyone: `/checkpoint` and `/tile/<L>/<N>[.p/<W>]`.
//!
//! Promises: hash tiles and the checkpoint are public and byte-exact. Entry bundles hold what
//! tenants did, so they need an auditor of all tenants. Tiles never change and say so.
//!
//! Refuses: any second spelling of a tile's path (404).

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use ledgerline_answers::problem::Problem;
use ledgerline_proof::tile::{TileAddress, TileKind};
use ledgerline_view::registry::Roles;

use crate::{Shared, auth};

/// The latest published checkpoint: block-aligned.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn checkpoint(State(app): Shared) -> Response {
    let note = app.node.view().published();
    let mut response = note.to_string().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=2"));
    response
}

/// A tile or an entry bundle.
///
/// # Errors
/// 404 when the tree has no such tile yet.
pub async fn tile(State(app): Shared, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    // The path as sent: decoding it first would give tiles a second spelling.
    let path = uri.path().trim_start_matches('/');
    let address = TileAddress::parse(path).map_err(|_| Problem::not_found())?;
    let is_entries = address.kind() == TileKind::Entries;
    if is_entries {
        let lacking = "entry bundles need an auditor of all tenants";
        let caller = auth::require(&app, &headers, Roles::AUDITOR, lacking)?;
        if !auth::is_all_tenant(&caller) {
            return Err(Problem::forbidden(lacking));
        }
    }
    let bytes = app.read(move |view| Ok(view.tile(&address)?)).await?;
    let mut response = bytes.ok_or_else(Problem::not_found)?.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let caching = if is_entries {
        "private, max-age=31536000, immutable"
    } else {
        "public, max-age=31536000, immutable"
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    Ok(response)
}
