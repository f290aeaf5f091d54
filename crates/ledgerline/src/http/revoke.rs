//! Revoking a blast radius: one REVOKED for each token that may still be used.
//!
//! Promises: what is revoked is what the answer of the same moment shows; the events go the way of
//! all events, in the name of the responder, and are durable when this answers. Only the ledger is
//! told: the answer says that the issuer was not.

use std::sync::Arc;

use axum::response::Response;
use ledgerline_engine::clock::{Clock as _, SystemClock};
use ledgerline_engine::intake::{EventStatus, RevokeToken, SubmitAnswer};
use ledgerline_engine::lineage::{Bounds, Inquiry, Scope, Spending, Token};
use ledgerline_engine::questions::blast;
use ledgerline_engine::registry::Caller;
use ledgerline_engine::view::View;
use ledgerline_proof::lifecycle::State;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::App;
use super::events::json_value;
use super::problem::Problem;

/// Tokens of a blast radius that are revoked by one call.
const TOKENS_MAX: usize = 10_000;

/// What is to be revoked, and what cut the search.
struct Plan {
    tokens: Vec<RevokeToken>,
    family: usize,
    cuts: Vec<&'static str>,
}

/// Whether a token may be used now or later, as far as is known.
fn may_be_used(token: &Token, now: i64) -> bool {
    match token.known.state_at(now) {
        State::Pending | State::Active | State::Suspended | State::Unknown => true,
        State::Superseded => token.known.grace_until.is_some_and(|end| now < end),
        State::Spent | State::Expired | State::Revoked => false,
    }
}

fn plan(view: &View, tenant: &str, id: &str, reason: &str) -> Result<Plan, Problem> {
    let now = SystemClock::default().wall_nanos();
    let size = view.size();
    let scope = Scope { tenant: tenant.to_owned(), size, at: None, judged_at: now };
    let mut inquiry = Inquiry::new(view, scope, Spending::default())?;
    let bounds = Bounds { depth: u32::MAX, tokens: TOKENS_MAX };
    let found = blast(&mut inquiry, id, bounds)?.ok_or_else(Problem::not_found)?;
    let relatives = &found.lineage.relatives;
    let root = &relatives[0].token.id;
    let correlation_id = format!("blast-radius/{size}");
    let to_revoke = relatives.iter().filter(|one| may_be_used(&one.token, now));
    let tokens = to_revoke.map(|one| RevokeToken {
        token_id: one.token.id.clone(),
        native_id: format!("blast-radius/{size}/{}", one.token.id),
        reason: reason.to_owned(),
        cause: (one.token.id != *root).then(|| root.clone()),
        correlation_id: correlation_id.clone(),
    });
    let cuts = inquiry.cuts().iter().map(|cut| cut.word()).collect();
    Ok(Plan { tokens: tokens.collect(), family: relatives.len(), cuts })
}

/// Revokes, or says what would be revoked.
///
/// # Errors
/// 404, 403, 429, 503.
pub async fn blast_radius(
    app: &Arc<App>,
    caller: &Caller,
    tenant: String,
    id: String,
    reason: String,
    dry_run: bool,
) -> Result<Response, Problem> {
    let (of, asked) = (tenant.clone(), id.clone());
    let plan = app.read(move |view| plan(view, &of, &asked, &reason)).await?;
    let ids: Vec<_> = plan.tokens.iter().map(|token| token.token_id.clone()).collect();
    let mut answer = json!({
        "token_id": id,
        "tenant": tenant,
        "family": plan.family,
        "dry_run": dry_run,
        "to_revoke": ids,
        "cut_by": plan.cuts,
        "issuer": "not told",
    });
    if !dry_run && !plan.tokens.is_empty() {
        let recorded = record(app, caller, tenant, plan.tokens).await?;
        answer["events"] = recorded.events.iter().zip(&ids).map(verdict).collect();
        answer["checkpoint"] = recorded.checkpoint.as_deref().into();
        let done = |one: &&ledgerline_engine::intake::EventAnswer| one.error.is_none();
        answer["revoked"] = recorded.events.iter().filter(done).count().into();
    } else {
        answer["revoked"] = 0.into();
    }
    Ok(json_value(&answer))
}

async fn record(
    app: &Arc<App>,
    caller: &Caller,
    tenant: String,
    tokens: Vec<RevokeToken>,
) -> Result<SubmitAnswer, Problem> {
    let (send, receive) = oneshot::channel();
    let (node, caller) = (Arc::clone(&app.node), caller.clone());
    app.wait(move || {
        let reply = Box::new(move |answer| {
            // Whoever asked may be gone.
            let _ = send.send(answer);
        });
        Ok(node.revoke(&caller, &tenant, &tokens, reply)?)
    })
    .await?;
    let stopped = |why: String| Problem::unavailable("stopped", why);
    let answer = receive.await.map_err(|_| stopped("the ledger stopped".into()))?;
    match answer.stopped {
        Some(why) => Err(stopped(why)),
        None => Ok(answer),
    }
}

fn verdict((event, id): (&ledgerline_engine::intake::EventAnswer, &String)) -> Value {
    let status = match event.status {
        EventStatus::Recorded => "recorded",
        EventStatus::Duplicate => "duplicate",
        EventStatus::Refused => "refused",
    };
    let error =
        event.error.as_ref().map(|error| json!({ "code": error.code, "detail": error.detail }));
    json!({ "token_id": id, "status": status, "index": event.index, "error": error })
}
