//! Blocks, and single leaves for auditors of everything.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ledgerline_answers::answer::json_bytes;
use ledgerline_answers::event_json::{self, inclusion};
use ledgerline_answers::problem::Problem;
use ledgerline_api::{leaf_json, written};
use ledgerline_view::registry::Roles;
use serde::Deserialize;

use crate::extract::{Params, Segments};
use crate::{Shared, auth};

/// Blocks on one page, and the most that may be asked for.
const PAGE_BLOCKS: usize = 20;
const PAGE_BLOCKS_MAX: usize = 200;

/// Which blocks: those below a height, newest first.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct BlockQuery {
    before: Option<u64>,
    limit: Option<usize>,
}

/// A page of blocks, newest first.
///
/// # Errors
/// 400 for a bad limit, 401, 403.
pub async fn blocks(
    State(app): Shared,
    Params(query): Params<BlockQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor or responder";
    auth::require(&app, &headers, auth::READERS, lacking)?;
    let limit = query.limit.unwrap_or(PAGE_BLOCKS);
    if !(1..=PAGE_BLOCKS_MAX).contains(&limit) {
        return Err(Problem::bad_request("bad_query", "limit is 1 to 200"));
    }
    app.read(move |view| {
        let blocks = view.blocks(query.before, limit)?;
        let (bytes, ()) = written::object(|members| {
            members.all("blocks", &blocks, event_json::block_view);
            members.say("size", view.size());
        });
        Ok(json_bytes(bytes))
    })
    .await
}

/// Any leaf by its index: for auditors of all tenants.
///
/// # Errors
/// 404 beyond the ledger's size.
pub async fn leaf(
    State(app): Shared,
    Segments(index): Segments<u64>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "single leaves need an auditor of all tenants";
    let caller = auth::require(&app, &headers, Roles::AUDITOR, lacking)?;
    if !auth::is_all_tenant(&caller) {
        return Err(Problem::forbidden(lacking));
    }
    app.read(move |view| {
        if index >= view.size() {
            return Err(Problem::not_found());
        }
        let (leaf, proof) = (view.leaf(index)?, inclusion(view, index)?);
        let (bytes, written) = written::object(|members| {
            members.say("proof", proof);
            leaf_json::leaf(index, &leaf, members)
        });
        written?;
        Ok(json_bytes(bytes))
    })
    .await
}
