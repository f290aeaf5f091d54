//! Health, readiness, status and the issuer register.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::progress_json::{self, Reached};
use ledgerline_api::progress::{AllProgress, Catching, Progress};
use ledgerline_api::status::{
    self as shown, Credential, HeadStore, IssuerRegister, OlderOrigin, ServerStatus,
};
use ledgerline_api::values::{HexHash, Word};
use ledgerline_issuers::{Issuer, Issuers};
use ledgerline_node::Reader;
use ledgerline_view::registry::{Caller, Roles};

use crate::auth::Needs;
use crate::question_params::Params;
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

/// How far everything is that reads behind the head, the webhook too.
fn progress_of(app: &App, reached: &Reached) -> AllProgress<'static> {
    let mut shown = progress_json::shown(reached);
    if let Some(state) = app.webhook.as_ref().map(ledgerline_webhook::Webhook::state) {
        let of = app.node.view().size();
        let (position, lag) = (state.position.min(of), of.saturating_sub(state.position));
        let failing = if state.failing { "; the receiver does not take one" } else { "" };
        let behind = if lag > 0 { format!(", {lag} behind") } else { String::new() };
        let webhook = Progress {
            state: if lag > 0 { Catching::Behind } else { Catching::CaughtUp },
            position: Some(position),
            of,
            lag_entries: Some(lag),
            failures: state.failures,
            recorded_later: None,
            words: format!("findings told up to entry {position} of {of}{behind}{failing}").into(),
        };
        shown.insert("webhook".into(), webhook);
    }
    shown
}

/// Sizes, positions and limits of the ledger.
///
/// # Errors
/// 401, 403.
pub async fn status(
    State(app): Shared,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let roles = auth::READERS.with(Roles::ADMIN).with(Roles::PRODUCER);
    let lacking = "the credential needs a reading role";
    let caller = auth::require(&app, &headers, roles, lacking)?;
    let needs = Needs { roles, lacking };
    let seconds = params.wait_seconds();
    let reached = progress::reached(&app, &headers, needs, &Reader::ALL, seconds).await?;
    let of = std::sync::Arc::clone(&app);
    app.gate.wait(move || status_of(&of, &caller, progress_of(&of, &reached))).await
}

fn status_of(
    app: &App,
    caller: &Caller,
    progress: AllProgress<'static>,
) -> Result<Response, Problem> {
    let (view, counters) = (app.node.view(), app.node.counters());
    let identity = view.identity();
    let origins = view.origins();
    let older = origins.iter().filter(|one| one.is_older()).map(|one| OlderOrigin {
        origin: one.identity().origin.to_string().into(),
        log_key: one.identity().log_key.to_string().into(),
        size: one.size(),
        checkpoint: one.checkpoint().to_string().into(),
    });
    let trouble = app.node.ready().err();
    let head_store = match &trouble {
        Some(why) if why.contains("the head store") => HeadStore::Failing,
        _ if app.head_was_missing => HeadStore::WasMissingAtStart,
        _ => HeadStore::Ok,
    };
    let issuers = app.issuers();
    json(&ServerStatus {
        version: env!("CARGO_PKG_VERSION").into(),
        origin: (&*identity.origin).into(),
        deployment: (&*identity.deployment).into(),
        log_key: (&*identity.log_key).into(),
        older_origins: older.collect(),
        size: view.size(),
        root: HexHash(view.root()),
        checkpoint: view.checkpoint().to_string().into(),
        published: view.published().to_string().into(),
        ready: trouble.is_none(),
        not_ready_because: trouble.map(Into::into),
        head_store,
        published_size: view.published_size(),
        recorded_since_start: counters.recorded,
        duplicates_since_start: counters.duplicates,
        refused_since_start: counters.refused.values().sum(),
        queue_bytes: app.node.queue_bytes() as u64,
        progress,
        issuers: registered(&issuers, caller),
        credential: Credential {
            key_id: (&**caller.key_id()).into(),
            tenant: caller.own_tenant().into(),
            all_tenants: auth::is_all_tenant(caller),
            source: caller.source().into(),
            roles: caller.roles().names().into_iter().map(Into::into).collect(),
            types: Some(caller.key.grant.types.iter().copied().map(Word).collect()),
        },
    })
}

/// Issuers of the register, and those that keys of this caller's tenant may write for.
///
/// # Errors
/// 401.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn issuers(State(app): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = auth::authenticate(&app, &headers)?;
    let register = app.issuers();
    let mut issuers = registered(&register, &caller);
    let mut granted = std::collections::BTreeSet::new();
    for key in app.node.keys() {
        if caller.may_see(&key.tenant) {
            granted.extend(key.grant.issuers.iter().cloned());
        }
    }
    // Those that keys name and the register does not have: all that is known is the alias.
    granted.retain(|alias| issuers.iter().all(|one| *one.alias != **alias));
    issuers.extend(granted.into_iter().map(|alias| shown::Issuer {
        alias: alias.into(),
        iss: None,
        region: None,
        jti_rule: None,
        keys: None,
        accepts_unverified: None,
        revocation_endpoint: None,
    }));
    json(&IssuerRegister { issuers })
}

/// The issuers of the register that the caller's tenant may know of.
fn registered<'a>(issuers: &'a Issuers, caller: &'a Caller) -> Vec<shown::Issuer<'a>> {
    let tenant = (!auth::is_all_tenant(caller)).then(|| caller.own_tenant());
    issuers.of_tenant(tenant).map(Issuer::shown).collect()
}
