//! Blocks, and single leaves for auditors of everything.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::event_json::{self, inclusion};
use ledgerline_answers::problem::Problem;
use ledgerline_api::log::Blocks;
use ledgerline_api::recorded;
use ledgerline_view::registry::Roles;

use crate::extract::Segments;
use crate::question_params::{Params, page_number};
use crate::{Shared, auth};

/// A page of blocks, newest first.
///
/// # Errors
/// 400 for a bad limit, 401, 403.
pub async fn blocks(
    State(app): Shared,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor or responder";
    auth::require(&app, &headers, auth::READERS, lacking)?;
    let (limit, before) = (params.limit()?, page_number(params.page.as_deref())?);
    app.read(move |view| {
        let blocks = view.blocks(before, limit)?;
        // Below block 0 there is none.
        let last = blocks.last().map(|one| one.block.height).filter(|height| *height > 0);
        json(&Blocks {
            blocks: blocks.iter().map(event_json::block_view).collect(),
            size: view.size(),
            next: last.map(|height| height.to_string().into()),
        })
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
        let bytes = view.leaf(index)?;
        let mut leaf = recorded::leaf(index, &bytes)?;
        leaf.prove(inclusion(view, index)?);
        json(&leaf)
    })
    .await
}
