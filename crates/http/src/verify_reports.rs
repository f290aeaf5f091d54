//! `GET /v1/verify-reports`: what the verifier of the running ledger says, newest first.
//!
//! ```text
//! before=<index; `next` of the answer before>   limit=1..200   wait=0..60
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
use ledgerline_answers::answer::json_value;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::progress_json;
use ledgerline_answers::report_json::{behind, report};
use ledgerline_followers::reported;
use ledgerline_node::Reader;
use ledgerline_view::registry::Roles;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Needs;
use crate::extract::Params;
use crate::{Shared, auth, progress};

const PAGE: usize = 20;
const PAGE_MAX: usize = 200;

/// Which reports.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ReportQuery {
    before: Option<u64>,
    limit: Option<usize>,
    wait: Option<String>,
}

/// A page of reports, newest first, and where the verifier behind the head is.
///
/// # Errors
/// 400, 401, 403.
pub async fn list(
    State(app): Shared,
    Params(query): Params<ReportQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor, responder or admin";
    let roles = auth::READERS.with(Roles::ADMIN);
    auth::require(&app, &headers, roles, lacking)?;
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(Problem::bad_request("bad_query", "limit is 1 to 200"));
    }
    let seconds = progress::seconds(query.wait.as_deref())?;
    let needs = Needs { roles, lacking };
    let reached = progress::reached(&app, &headers, needs, &[Reader::Verifier], seconds).await?;
    let state = app.node.verification();
    app.read(move |view| {
        let before = query.before.unwrap_or(u64::MAX);
        let (reports, next) = reported::newest(view, before, limit)?;
        let reports: Vec<Value> = reports.iter().map(|one| report(view, one)).collect();
        Ok(json_value(&json!({
            "reports": reports,
            "next": next,
            "behind": behind(view, &state),
            "progress": progress_json::shown(&reached),
            "size": view.size(),
            "checkpoint": &*view.checkpoint(),
        })))
    })
    .await
}
