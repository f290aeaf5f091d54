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
use ledgerline_answers::question_json::proof_state;
use ledgerline_api::time_text::rfc3339;
use ledgerline_api::uuid_text;
use ledgerline_followers::reported;
use ledgerline_node::{Reader, Verification};
use ledgerline_proof::entry::Entry;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_view::registry::Roles;
use ledgerline_view::view::{EventView, View};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::auth::Needs;
use crate::extract::Asked;
use crate::{Shared, auth, progress};

const PAGE: usize = 20;
const PAGE_MAX: usize = 200;
/// Facts of a report that are numbers.
const COUNTS: [&str; 9] = [
    "events",
    "chains",
    "tokens",
    "blocks",
    "signatures",
    "unverifiable",
    "sealed",
    "attachments",
    "seen",
];

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
    Asked(query): Asked<ReportQuery>,
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
            "progress": progress::shown(&reached),
            "size": view.size(),
            "checkpoint": &*view.checkpoint(),
        })))
    })
    .await
}

fn behind(view: &View, state: &Verification) -> Value {
    json!({
        "on": state.on,
        "size": state.size,
        "lag_entries": view.size().saturating_sub(state.size),
        "block_sealed_at": state.block_sealed_at.map(rfc3339),
        "flaws": state.flaws,
        "holds_all_chains": state.holds_all_chains,
    })
}

fn report(view: &View, event: &EventView) -> Value {
    let read = || {
        let entry: Entry<'_> = decode_object(Kind::Entry, &event.leaf).ok()?;
        let one: Statement<'_> = decode_object(Kind::Statement, entry.statement).ok()?;
        let text = |key| one.detail(key);
        let number = |key| text(key).and_then(|text| text.parse::<u64>().ok());
        let counts = COUNTS.iter().map(|key| ((*key).to_owned(), json!(number(key))));
        Some(json!({
            "index": event.index,
            "event_id": uuid_text::text(&one.event_id),
            "finished_at": rfc3339(one.occurred_at.nanos),
            "recorded_at": rfc3339(entry.recorded_at.nanos),
            "verdict": text("verdict"),
            "from": number("from"),
            "to": number("to"),
            "root": text("root"),
            "findings": number("findings"),
            "first_bad_index": number("first_bad_index"),
            "counts": counts.collect::<Map<String, Value>>(),
            "not_checked": text("not_checked"),
            "proof_state": proof_state(view, event.index),
        }))
    };
    read().unwrap_or(Value::Null)
}
