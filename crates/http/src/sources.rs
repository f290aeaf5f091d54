//! `GET /v1/sources`: who tells the ledger, how much, and what is missing of it; `POST`: the same
//! against an inventory of who should.
//!
//! ```text
//! {"expected":[{"name":"orders","phase":"reporting","regions":["eu-west-1"]}, …], "tenant"}
//! ──▶ {"sources":[…], "expected":[{"name","phase","status","is_missing","words"}, …],
//!      "unexpected":["shadow-gateway"], "is_complete":false, …}
//! ```
//!
//! Promises: a bounded number of reads for each source, whatever the size of the ledger. A source
//! is known by its keys, ended ones too, and by the settings (`expected_sources`); a key of all
//! tenants shows as a source where it has told something. What told nothing has no score. Gaps and
//! unborn tokens are findings: `progress` says how far the rules are, and `cut_by` when there are
//! more findings than were read.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::inventory::judge;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::progress_json::{self, Reached};
use ledgerline_answers::source_json::source;
use ledgerline_api::BODY_BYTES_MAX;
use ledgerline_api::answer::Cut;
use ledgerline_api::source::{ExpectedService, Inventory, JudgedService, Sources};
use ledgerline_api::values::Time;
use ledgerline_node::{Node, Reader};
use ledgerline_proof::statement::is_source_name;
use ledgerline_questions::{Shortfalls, Told, knows_tenant, shortfalls, told};
use ledgerline_view::registry::{ALL_TENANTS, LEDGER_SOURCE, Roles};
use ledgerline_view::view::View;

use crate::auth::Needs;
use crate::extract::json_body_of;
use crate::question_params::Params;
use crate::{Shared, auth, progress};

/// Sources of one answer.
const SOURCES_MAX: usize = 100;
/// Services of an inventory.
const EXPECTED_MAX: usize = 1000;
/// Events that one answer looks at, and the most of one source.
const LOOKS: usize = 100_000;
const LOOKS_OF_ONE: usize = 1000;
/// Who may ask.
const LACKING: &str = "the credential needs the role reader, auditor, responder or admin";

fn roles() -> Roles {
    auth::READERS.with(Roles::ADMIN)
}

/// The sources of a tenant by name, and whether a key of its own names it.
fn names(node: &Node, tenant: &str) -> BTreeMap<String, bool> {
    let mut names = BTreeMap::from([(LEDGER_SOURCE.to_owned(), false)]);
    for key in node.keys() {
        let own = *key.tenant == *tenant;
        if own || &*key.tenant == ALL_TENANTS {
            *names.entry(key.source.to_string()).or_default() |= own;
        }
    }
    for name in node.expected_sources(tenant) {
        names.entry(name).or_default();
    }
    names
}

/// What every answer has.
fn frame(
    node: &Node,
    view: &View,
    tenant: &str,
    now: i64,
    found: &Shortfalls,
    reached: &Reached,
) -> Result<Sources<'static>, Problem> {
    Ok(Sources {
        tenant: tenant.to_owned().into(),
        tenant_known: knows_tenant(view, &node.keys(), tenant)?,
        origin: view.identity().origin.to_string().into(),
        size: view.size(),
        checkpoint: view.checkpoint().to_string().into(),
        judged_at: Time(now),
        progress: progress_json::shown(reached),
        cut_by: if found.is_cut { vec![Cut::Reads] } else { Vec::new() },
        next: None,
        sources: Vec::new(),
        expected: None,
        unexpected: None,
        is_complete: None,
    })
}

/// The sources of a tenant, by name.
///
/// # Errors
/// 400, 401, 403; 404 for another tenant.
pub async fn sources(
    State(app): Shared,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::require(&app, &headers, roles(), LACKING)?;
    let tenant = auth::tenant(&caller, params.tenant.as_deref())?;
    let needs = Needs { roles: roles(), lacking: LACKING };
    let seconds = params.wait_seconds();
    let reached = progress::reached(&app, &headers, needs, &[Reader::Findings], seconds).await?;
    let node = app.node.clone();
    app.read(move |view| {
        let (limit, after) = (params.limit()?, params.page.clone().unwrap_or_default());
        let listed = names(&node, &tenant).into_iter().filter(|(name, _)| *name > after);
        let (mut behind, expected) = (listed.peekable(), node.expected_sources(&tenant));
        let found = shortfalls(view, &tenant)?;
        let (now, mut list, mut last) = (node.now(), Vec::new(), None);
        while let Some((name, own)) = behind.next_if(|_| list.len() < limit) {
            let told = told(view, &tenant, &name, &found, LOOKS / SOURCES_MAX)?;
            if own || told.events > 0 || expected.contains(&name) {
                list.push(source(&name, &told, now));
            }
            last = Some(name);
        }
        let next = behind.peek().and(last).map(Into::into);
        let frame = frame(&node, view, &tenant, now, &found, &reached)?;
        json(&Sources { sources: list, next, ..frame })
    })
    .await
}

/// An inventory against what was reported.
///
/// # Errors
/// 400, 401, 403; 404 for another tenant; 422 for what is no inventory.
pub async fn expected(
    State(app): Shared,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let caller = auth::require(&app, &headers, roles(), LACKING)?;
    let asked: Inventory = json_body_of(&app, &headers, body, BODY_BYTES_MAX).await?;
    let tenant = auth::tenant(&caller, asked.tenant.as_deref())?;
    check(&asked.expected)?;
    let needs = Needs { roles: roles(), lacking: LACKING };
    let seconds = params.wait_seconds();
    let reached = progress::reached(&app, &headers, needs, &[Reader::Findings], seconds).await?;
    let node = app.node.clone();
    app.read(move |view| {
        let known = names(&node, &tenant);
        let found = shortfalls(view, &tenant)?;
        let now = node.now();
        let mut all: BTreeMap<&str, Told> = BTreeMap::new();
        let listed = asked.expected.iter().map(|one| &*one.name);
        let listed: Vec<&str> = listed.chain(known.keys().map(String::as_str)).collect();
        let sample = (LOOKS / listed.len().max(1)).clamp(10, LOOKS_OF_ONE);
        for name in listed {
            if !all.contains_key(name) {
                all.insert(name, told(view, &tenant, name, &found, sample)?);
            }
        }
        let own = |name: &str| known.get(name).copied().unwrap_or(false);
        let rows = asked.expected.iter().map(|one| {
            let judged = judge(one.phase, &one.regions, &all[&*one.name], now);
            let key = if own(&one.name) { "" } else { "; no key is made out to it" };
            JudgedService {
                name: (&*one.name).into(),
                phase: one.phase,
                status: judged.status,
                is_missing: judged.is_missing,
                words: format!("{}{key}", judged.words).into(),
            }
        });
        let rows: Vec<JudgedService<'_>> = rows.collect();
        let is_expected = |name: &str| asked.expected.iter().any(|one| one.name == name);
        let tells = |(name, told): &(&&str, &Told)| told.events > 0 && **name != LEDGER_SOURCE;
        let unexpected = all.iter().filter(tells).map(|(name, _)| *name);
        let unexpected: Vec<&str> = unexpected.filter(|name| !is_expected(name)).collect();
        let is_whole = unexpected.is_empty() && rows.iter().all(|row| !row.is_missing);
        let list = all.iter().filter(|(name, told)| own(name) || told.events > 0);
        json(&Sources {
            sources: list.map(|(name, told)| source(name, told, now)).collect(),
            expected: Some(rows),
            unexpected: Some(unexpected.into_iter().map(Into::into).collect()),
            is_complete: Some(is_whole),
            ..frame(&node, view, &tenant, now, &found, &reached)?
        })
    })
    .await
}

fn check(expected: &[ExpectedService]) -> Result<(), Problem> {
    let bad =
        |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_inventory", detail);
    if expected.is_empty() || expected.len() > EXPECTED_MAX {
        return Err(bad(format!("an inventory has 1 to {EXPECTED_MAX} services")));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (at, one) in (1..).zip(expected) {
        let names = std::iter::once(&one.name).chain(&one.regions);
        if !names.into_iter().all(|name| is_source_name(name)) {
            return Err(bad(format!("service {at}: names are [a-z0-9._-]{{1,64}}")));
        }
        if !seen.insert(&one.name) {
            return Err(bad(format!("service {at}: its name was given before")));
        }
    }
    Ok(())
}
