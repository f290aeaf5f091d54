//! `GET /v1/revocations`: what was revoked since a position, for gateways that keep their own list.
//!
//! ```text
//! since=<next of the answer before; 0 at first>   limit=1..1000   wait=0..60 seconds   tenant
//! {"revocations":[{position, target, token_id?, also_known_as, selector?, effective_at, …}],
//!  "next", "more", "size", "checkpoint"}
//! ```
//!
//! Promises: every revocation of the tenant once, in the order of recording, also those of
//! sessions, grants, persons, clients and keys with their selectors: which tokens such a one covers
//! is the reader's to judge, or a question for introspection. With `wait` an empty answer comes
//! only when the time is over or the server stops. Whoever waits takes a place among those who
//! wait and no other room; one look at the ledger serves all who wait of a tenant. A credential
//! that ends, ends its waiting at the next look: nothing is answered to it any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::counted;
use ledgerline_answers::problem::Problem;
use ledgerline_api::finding::{Revocation, RevocationSelector, RevocationTarget, Revocations};
use ledgerline_api::uuid_text;
use ledgerline_api::values::{Str, Time, Word};
use ledgerline_proof::chain::chain_key;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_questions::lineage::Record;
use ledgerline_questions::{knows_tenant, revocations as find};
use ledgerline_view::address::AsOf;
use ledgerline_view::registry::Roles;
use ledgerline_view::view::View;
use tokio::sync::watch;

use crate::question_params::Params;
use crate::{App, Shared, auth};

/// How often it is looked whether anything was recorded for those who wait.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often it is looked whether whoever waits may still ask.
const JUDGE_EVERY: Duration = Duration::from_millis(500);

/// The page, at once or when there is something on it.
///
/// # Errors
/// 400, 401, 403; 404 for another tenant.
pub async fn revocations(
    State(app): Shared,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role resource_server, reader, auditor or responder";
    let roles = auth::READERS.with(Roles::RESOURCE_SERVER);
    let caller = auth::require(&app, &headers, roles, lacking)?;
    let tenant = auth::tenant(&caller, params.tenant.as_deref())?;
    let limit = params.limit()?;
    let until = app.node.monotonic() + Duration::from_secs(params.wait_seconds());
    let mut since = counted::first(&app.node.view(), params.since.unwrap_or(0));
    loop {
        let (of, of_node, behind) = (tenant.clone(), Arc::clone(&app), since);
        let Found { revocations, more, next, numbers, tenant_known } =
            app.read(move |view| look(view, &of_node, &of, &behind, limit)).await?;
        let over = app.node.monotonic() >= until || app.is_stopping();
        if over || more || !revocations.is_empty() {
            let [next, size] = numbers;
            let checkpoint = app.node.view().checkpoint().to_string().into();
            let tenant = tenant.into();
            let answer =
                Revocations { revocations, more, tenant, tenant_known, next, size, checkpoint };
            return json(&answer);
        }
        since = next;
        let mut news = app.news.of(&tenant, &since);
        while app.node.monotonic() < until && !app.is_stopping() {
            let pause = JUDGE_EVERY.min(until.saturating_sub(app.node.monotonic()));
            let news =
                tokio::time::timeout(pause, news.wait_for(|behind| !behind.is_within(&since)))
                    .await;
            // What was granted when the waiting began may have ended since.
            auth::require(&app, &headers, roles, lacking)?;
            if news.is_ok() {
                break;
            }
        }
    }
}

/// What one look found.
struct Found {
    revocations: Vec<Revocation<'static>>,
    more: bool,
    /// Where the next look begins.
    next: AsOf,
    /// The same as a number, and the size of the ledger.
    numbers: [u64; 2],
    tenant_known: bool,
}

fn look(
    view: &View,
    app: &App,
    tenant: &str,
    behind: &AsOf,
    limit: usize,
) -> Result<Found, Problem> {
    let found = find(view, tenant, behind, limit)?;
    Ok(Found {
        revocations: found.list.iter().map(|record| revocation(view, record)).collect(),
        more: found.more,
        numbers: [&found.next, &view.as_of()].map(|one| counted::count(view, one)),
        next: found.next,
        tenant_known: knows_tenant(view, &app.node.keys(), tenant)?,
    })
}

/// Up to where each tenant's newest revocation reaches, for those who wait for one.
#[derive(Default)]
pub struct News(Mutex<BTreeMap<String, watch::Sender<AsOf>>>);

impl News {
    /// Tells when there is a revocation of the tenant behind `since`, up to which the caller has
    /// looked. It may tell too often.
    fn of(&self, tenant: &str, since: &AsOf) -> watch::Receiver<AsOf> {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = tenants.entry(tenant.to_owned()).or_insert_with(|| {
            // Looking begins here: what came before, the caller has seen.
            watch::Sender::new(since.clone())
        });
        sender.subscribe()
    }

    /// The tenants that are waited for; those that nobody waits for are forgotten.
    fn waited_for(&self) -> Vec<(String, watch::Sender<AsOf>)> {
        let mut tenants = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tenants.retain(|_, sender| sender.receiver_count() > 0);
        tenants.iter().map(|(tenant, sender)| (tenant.clone(), sender.clone())).collect()
    }
}

/// Looks for revocations on behalf of all who wait, until the server stops.
pub async fn look_for_news(app: Arc<App>) {
    let mut looked: BTreeMap<String, AsOf> = BTreeMap::new();
    while !app.is_stopping() {
        tokio::time::sleep(LOOK_EVERY).await;
        let waited_for = app.news.waited_for();
        looked.retain(|tenant, _| waited_for.iter().any(|(one, _)| one == tenant));
        let view = app.node.view();
        let end = view.as_of();
        for (tenant, sender) in waited_for {
            let begun = || sender.borrow().clone();
            let from = looked.entry(tenant.clone()).or_insert_with(begun).clone();
            if end.is_within(&from) {
                continue;
            }
            let (of, view) = (tenant.clone(), view.clone());
            let since = from.clone();
            let look = move || Ok(find(&view, &of, &since, 1)?);
            // A read that fails is tried again; whoever waits has a time of its own.
            let Ok(found) = app.gate.wait(look).await else { continue };
            looked.insert(tenant, found.next.clone());
            if !found.list.is_empty() || found.more {
                // More than one look may read is news, too.
                let is_further = !found.next.is_within(&from);
                sender.send_replace(if is_further { found.next } else { end.clone() });
            }
        }
    }
}

fn revocation(view: &View, record: &Record) -> Revocation<'static> {
    let owned = |text: &str| Str::from(text.to_owned());
    record.read(|entry, s| {
        let id = match s.target.kind {
            // A person is named by the handle only.
            TargetKind::Subject => {
                let key = chain_key(s, &entry.handles);
                let id = key.and_then(|key| key.id.try_into().ok());
                id.map(|id: [u8; 16]| uuid_text::hex(&id).into())
            }
            _ => Some(owned(s.target.id)),
        };
        let selector = s.selector.as_ref().map(|selector| RevocationSelector {
            issued_before: selector.issued_before.map(Time),
            client: selector.client.map(owned),
            audience: selector.audience.map(owned),
        });
        let is_token = s.target.kind == TargetKind::Token;
        // A clock that is ahead keeps nothing alive.
        let occurred_at = s.occurred_at.nanos.min(entry.recorded_at.nanos);
        let effective_at = s.effective_at.filter(|_| !is_token).unwrap_or(occurred_at);
        Revocation {
            position: counted::number(view, record.at),
            target: RevocationTarget { kind: Word(s.target.kind), id },
            token_id: is_token.then(|| owned(s.target.id)),
            also_known_as: s.also_known_as.iter().map(|one| owned(one)).collect(),
            selector,
            reason: s.reason.map(owned),
            occurred_at: Time(s.occurred_at.nanos),
            effective_at: Time(effective_at),
            recorded_at: Time(entry.recorded_at.nanos),
        }
    })
}
