//! `GET /v1/verify-reports`: what the verifier of the running ledger says, newest first.
//!
//! ```text
//! page=<`next` of the answer before>   limit=1..200   wait=0..60
//! {"reports":[{index, recorded_at, verdict, from, to, root, counts, not_checked, …}],
//!  "next", "behind": {on, size, lag_entries, block_sealed_at, flaws, holds_all_chains}, "size",
//!  "progress": {verifier}}
//! ```
//!
//! Promises: a report names no token, person or tenant; it is the same for every tenant. What was
//! found stands in the findings of whom it concerns.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::progress_json;
use ledgerline_answers::report_json::{behind, report};
use ledgerline_api::log::VerifyReports;
use ledgerline_followers::reported;
use ledgerline_node::Reader;
use ledgerline_view::registry::Roles;

use crate::auth::Needs;
use crate::question_params::{Params, page_number};
use crate::{Shared, auth, progress};

/// A page of reports, newest first, and where the verifier behind the head is.
///
/// # Errors
/// 400, 401, 403.
pub async fn list(
    State(app): Shared,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor, responder or admin";
    let roles = auth::READERS.with(Roles::ADMIN);
    auth::require(&app, &headers, roles, lacking)?;
    let (limit, before) = (params.limit()?, page_number(params.page.as_deref())?);
    let (needs, seconds) = (Needs { roles, lacking }, params.wait_seconds());
    let reached = progress::reached(&app, &headers, needs, &[Reader::Verifier], seconds).await?;
    let state = app.node.verification();
    app.read(move |view| {
        let (reports, next) = reported::newest(view, before.unwrap_or(u64::MAX), limit)?;
        json(&VerifyReports {
            reports: reports.iter().map(|one| report(view, one)).collect(),
            next: next.map(|next| next.to_string().into()),
            behind: behind(view, &state),
            progress: progress_json::shown(&reached),
            size: view.size(),
            checkpoint: view.checkpoint().to_string().into(),
        })
    })
    .await
}
