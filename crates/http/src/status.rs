//! Health, readiness, status and the issuer register.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ledgerline_answers::answer::json_value;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::progress_json::{self, Reached};
use ledgerline_issuers::Issuer;
use ledgerline_node::Reader;
use ledgerline_view::registry::{Caller, Roles};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Needs;
use crate::extract::Params;
use crate::{App, Shared, auth, progress};

/// The process answers.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// The ledger takes events. What lags behind it, or is switched off, is said below: it takes events
/// none the less.
///
/// # Errors
/// 503 when it does not. Why is said in the log and in `/v1/status`, not to strangers.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn readyz(State(app): Shared) -> Result<String, Problem> {
    app.node.ready().map_err(|why| {
        tracing::warn!(code = "not_ready", why, "the ledger does not take events");
        Problem::unavailable("not_ready", "the ledger does not take events now")
    })?;
    let readers = Reader::ALL.map(|one| (one, app.node.progress(one)));
    let lagging = readers.iter().filter(|(_, progress)| !progress.is_caught_up());
    let lines = lagging.map(|(reader, at)| format!("{}\n", progress_json::words(*reader, at)));
    Ok(std::iter::once("ready\n".to_owned()).chain(lines).collect())
}

/// What may be asked of the status.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct StatusQuery {
    wait: Option<String>,
}

/// How far everything is that reads behind the head, the webhook too.
fn progress_of(app: &App, reached: &Reached) -> Value {
    let mut shown = progress_json::shown(reached);
    if let Some(state) = app.webhook.as_ref().map(ledgerline_webhook::Webhook::state) {
        let of = app.node.view().size();
        let (position, lag) = (state.position.min(of), of.saturating_sub(state.position));
        let failing = if state.failing { "; the receiver does not take one" } else { "" };
        let behind = if lag > 0 { format!(", {lag} behind") } else { String::new() };
        shown["webhook"] = json!({
            "state": if lag > 0 { "behind" } else { "caught_up" },
            "position": position,
            "of": of,
            "lag_entries": lag,
            "failures": state.failures,
            "words": format!("findings told up to entry {position} of {of}{behind}{failing}"),
        });
    }
    shown
}

/// Sizes, positions and limits of the ledger.
///
/// # Errors
/// 401, 403.
pub async fn status(
    State(app): Shared,
    Params(query): Params<StatusQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let roles = auth::READERS.with(Roles::ADMIN).with(Roles::PRODUCER);
    let lacking = "the credential needs a reading role";
    let caller = auth::require(&app, &headers, roles, lacking)?;
    let seconds = progress::seconds(query.wait.as_deref())?;
    let needs = Needs { roles, lacking };
    let reached = progress::reached(&app, &headers, needs, &Reader::ALL, seconds).await?;
    app.gate
        .wait({
            let progress = progress_of(&app, &reached);
            let node = app.node.clone();
            let issuers = registered(&app, &caller);
            let missing = app.head_was_missing;
            move || {
                let view = node.view();
                let counters = node.counters();
                let origins = view.origins();
                let older = origins.iter().filter(|one| one.is_older());
                let older = older.map(|one| {
                    json!({
                        "origin": &*one.identity().origin,
                        "log_key": &*one.identity().log_key,
                        "size": one.size(),
                        "checkpoint": &*one.checkpoint(),
                    })
                });
                let older: Vec<_> = older.collect();
                let trouble = node.ready().err();
                let head_store = match &trouble {
                    Some(why) if why.contains("the head store") => "failing",
                    _ if missing => "was_missing_at_start",
                    _ => "ok",
                };
                Ok(json_value(&json!({
                    "version": env!("CARGO_PKG_VERSION"),
                    "origin": &*view.identity().origin,
                    "deployment": &*view.identity().deployment,
                    "log_key": &*view.identity().log_key,
                    "older_origins": older,
                    "size": view.size(),
                    "root": view.root(),
                    "checkpoint": &*view.checkpoint(),
                    "published": &*view.published(),
                    "ready": trouble.is_none(),
                    "not_ready_because": trouble,
                    "head_store": head_store,
                    "published_size": view.published_size(),
                    "recorded_since_start": counters.recorded,
                    "duplicates_since_start": counters.duplicates,
                    "refused_since_start": counters.refused.values().sum::<u64>(),
                    "queue_bytes": node.queue_bytes(),
                    "progress": progress,
                    "issuers": issuers,
                    "credential": {
                        "key_id": &**caller.key_id(),
                        "tenant": caller.own_tenant(),
                        "all_tenants": auth::is_all_tenant(&caller),
                        "source": caller.source(),
                        "roles": caller.roles().names(),
                    },
                })))
            }
        })
        .await
}

/// Issuers of the register, and those that keys of this caller's tenant may write for.
///
/// # Errors
/// 401.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn issuers(State(app): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = auth::authenticate(&app, &headers)?;
    let registered = registered(&app, &caller);
    let mut granted = std::collections::BTreeSet::new();
    for key in app.node.keys() {
        if caller.may_see(&key.tenant) {
            granted.extend(key.grant.issuers.iter().cloned());
        }
    }
    // Those that keys name and the register does not have: all that is known is the alias.
    granted.retain(|alias| registered.iter().all(|one| one["alias"] != alias.as_str()));
    let named = granted.into_iter().map(|alias| json!({ "alias": alias }));
    let issuers: Vec<_> = registered.iter().cloned().chain(named).collect();
    Ok(json_value(&json!({ "issuers": issuers })))
}

/// The issuers of the register that the caller's tenant may know of.
fn registered(app: &App, caller: &Caller) -> Vec<Value> {
    let tenant = (!auth::is_all_tenant(caller)).then(|| caller.own_tenant());
    app.issuers().of_tenant(tenant).map(Issuer::shown).collect()
}
