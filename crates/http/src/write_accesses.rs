//! `GET /v1/write-accesses`: who asked to write, and what came of it, newest first.
//!
//! ```text
//! page=<`next` of the answer before>   limit=1..200   tenant=…
//! {"accesses":[{index, credential, source, from, to, requests, recorded, duplicates, refused,
//!  refused_by, first_index, last_index}], "next", "size", "tenant"}
//! ```
//!
//! Promises: each is an entry of the ledger. What was asked since the last interval ended is not
//! among them yet.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::problem::Problem;
use ledgerline_api::source::{WriteAccess, WriteAccesses};
use ledgerline_api::values::Time;
use ledgerline_node::accesses;
use ledgerline_proof::decode::read_event;
use ledgerline_view::registry::Roles;
use ledgerline_view::view::EventView;

use crate::question_params::{Params, page_number};
use crate::{Shared, auth};

/// A page of accesses of a tenant.
///
/// # Errors
/// 400, 401, 403; 404 for another tenant.
pub async fn list(
    State(app): Shared,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor, responder or admin";
    let caller = auth::require(&app, &headers, auth::READERS.with(Roles::ADMIN), lacking)?;
    let tenant = auth::tenant(&caller, params.tenant.as_deref())?;
    let (limit, before) = (params.limit()?, page_number(params.page.as_deref())?);
    app.read(move |view| {
        let below = before.unwrap_or(u64::MAX);
        let (found, next) = accesses::newest(view, &tenant, below, limit)?;
        json(&WriteAccesses {
            accesses: found.iter().filter_map(shown).collect(),
            next: next.map(|next| next.to_string().into()),
            size: view.size(),
            checkpoint: view.checkpoint().to_string().into(),
            tenant: tenant.into(),
        })
    })
    .await
}

fn shown(event: &EventView) -> Option<WriteAccess<'static>> {
    let read = read_event(&event.leaf, |_, one| {
        let text = |key| one.detail(key).unwrap_or_default().to_owned().into();
        let count = |key| one.detail(key)?.parse::<u64>().ok();
        let time = |key| one.detail(key)?.parse::<i64>().ok().map(Time);
        let codes = one.detail("refused_codes").unwrap_or_default().split(' ');
        let codes = codes.filter_map(|pair| pair.split_once('='));
        let codes = codes.filter_map(|(code, count)| Some((code.to_owned(), count.parse().ok()?)));
        Some(WriteAccess {
            index: event.at.index,
            credential: text("credential"),
            source: text("source"),
            from: time("from")?,
            to: time("to")?,
            requests: count("requests")?,
            recorded: count("recorded")?,
            duplicates: count("duplicates")?,
            refused: count("refused")?,
            refused_by: codes.collect::<BTreeMap<_, _>>(),
            first_index: count("first_index"),
            last_index: count("last_index"),
        })
    });
    read.flatten()
}
