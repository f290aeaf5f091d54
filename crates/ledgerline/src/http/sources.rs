//! `GET /v1/sources`: who tells the ledger, how much, and how complete that is.
//!
//! Promises: a few reads for each source, whatever the size of the ledger. A source is known by its
//! keys, ended ones too; a key of all tenants shows as a source where it has told something.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ledgerline_engine::questions::{Told, told};
use ledgerline_engine::registry::{ALL_TENANTS, LEDGER_SOURCE};
use serde::Deserialize;
use serde_json::{Value, json};

use super::events::json_value;
use super::extract::Asked;
use super::problem::Problem;
use super::{Shared, auth};
use crate::time_text::rfc3339;

/// Sources of one answer. There are about as many as producers.
const SOURCES_MAX: usize = 1000;

/// What may be asked.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct SourcesQuery {
    tenant: Option<String>,
    after: Option<String>,
}

/// The sources of a tenant, by name.
///
/// # Errors
/// 400, 401, 403; 404 for another tenant.
pub async fn sources(
    State(app): Shared,
    Asked(query): Asked<SourcesQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let roles = auth::READERS.with(ledgerline_engine::registry::Roles::ADMIN);
    let lacking = "the credential needs the role reader, auditor, responder or admin";
    let caller = auth::require(&app, &headers, roles, lacking)?;
    let tenant = auth::tenant(&caller, query.tenant.as_deref())?;
    let node = app.node.clone();
    app.read(move |view| {
        // Whether a key of the tenant's own names it.
        let mut names: BTreeMap<String, bool> = BTreeMap::new();
        names.insert(LEDGER_SOURCE.to_owned(), false);
        for key in node.keys() {
            let own = *key.tenant == *tenant;
            if own || &*key.tenant == ALL_TENANTS {
                *names.entry(key.source.to_string()).or_default() |= own;
            }
        }
        let after = query.after.unwrap_or_default();
        let mut behind = names.into_iter().filter(|(name, _)| *name > after).peekable();
        let (now, mut list, mut last) = (node.now(), Vec::new(), None);
        while let Some((name, own)) = behind.next_if(|_| list.len() < SOURCES_MAX) {
            let found = told(view, &tenant, &name)?;
            if own || found.events > 0 {
                list.push(source(&name, &found, now));
            }
            last = Some(name);
        }
        let next = behind.peek().and(last);
        Ok(json_value(&json!({
            "tenant": tenant,
            "origin": &*view.identity().origin,
            "size": view.size(),
            "checkpoint": &*view.checkpoint(),
            "judged_at": rfc3339(now),
            "sources": list,
            "next": next,
        })))
    })
    .await
}

fn source(name: &str, told: &Told, now: i64) -> Value {
    let age = told.heartbeat_at.map(|at| now.saturating_sub(at).max(0) / 1_000_000_000);
    json!({
        "source": name,
        "events": told.events,
        "births": told.births,
        "origins": told.origins,
        "first_recorded_at": told.first_at.map(rfc3339),
        "last_recorded_at": told.last_at.map(rfc3339),
        "heartbeat_at": told.heartbeat_at.map(rfc3339),
        "heartbeat_age_s": age,
        "silent": told.is_silent(now),
        "score": (told.score(now) * 1000.0).round() / 1000.0,
    })
}
