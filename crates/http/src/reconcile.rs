//! `POST /v1/reconciliations`: some tokens of an issuer's own table against the ledger.
//!
//! ```text
//! {"issuer":"idp","region":"eu","taken_at":"…","record":true,
//!  "tokens":[{"token_id":"eu:idp:jti:a","usable":true},
//!            {"token_id":"eu:idp:jti:b","usable":false}]}
//! ```
//!
//! Promises: each token is compared as of `taken_at`, under all its ids (`also_known_as`); with
//! `record` every difference becomes a finding of the ledger, once.
//!
//! Refuses: tokens of another issuer than the one named, and more than [`TOKENS_MAX`] at a time.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::problem::Problem;
use ledgerline_api::reconcile::{self as form, Reconciled, ReconciledToken, Reconciliation};
use ledgerline_api::values::{HexHash, Time};
use ledgerline_api::{BODY_BYTES_MAX, time_text};
use ledgerline_followers::findings::{finding_of, list};
use ledgerline_index::terms::issuer_of;
use ledgerline_ledger::planner::AdminAct;
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_questions::{Difference, Differs, difference};
use ledgerline_view::registry::Roles;
use ledgerline_view::view::QueryError;

use crate::extract::json_body_of;
use crate::tokens::check_id;
use crate::{Shared, auth};

/// Tokens of one request.
pub const TOKENS_MAX: usize = 500;
/// Other ids of one token.
const OTHERS_MAX: usize = 16;

/// All ids of a row.
fn ids(row: &ReconciledToken) -> impl Iterator<Item = &String> {
    std::iter::once(&row.token_id).chain(&row.also_known_as)
}

/// What of the differences of its ids are some of the token: it is unknown when all are, and
/// one that the ledger has joined is one difference.
fn judged(mut found: Vec<Option<Difference>>) -> Vec<Difference> {
    let is_unknown =
        |one: &Option<Difference>| one.as_ref().is_some_and(|one| one.how == Differs::UnknownHere);
    if found.iter().all(is_unknown) {
        return found.swap_remove(0).into_iter().collect();
    }
    let mut all: Vec<Difference> = Vec::new();
    for one in found.into_iter().filter(|one| !is_unknown(one)).flatten() {
        if all.iter().all(|known| known.newest != one.newest) {
            all.push(one);
        }
    }
    all
}

/// Compares.
///
/// # Errors
/// 400, 401, 403, 413; 404 for another tenant; 422 when that is more than one call may read.
pub async fn compare(
    State(app): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let roles = Roles::RESPONDER.with(Roles::ADMIN);
    let lacking = "the credential needs the role responder or admin";
    let caller = auth::require(&app, &headers, roles, lacking)?;
    let request: Reconciliation = json_body_of(&app, &headers, body, BODY_BYTES_MAX).await?;
    let tenant = auth::tenant(&caller, request.tenant.as_deref())?;
    let taken_at =
        time_text::parse(&request.taken_at).ok_or_else(|| bad("taken_at is no RFC 3339 time"))?;
    let now = app.node.now();
    if taken_at > now {
        return Err(bad("taken_at lies in the future"));
    }
    if request.tokens.len() > TOKENS_MAX {
        return Err(bad("compare at most 500 tokens at a time"));
    }
    let front = format!("{}:{}", request.region, request.issuer);
    judge_rows(&request.tokens, &front)?;
    let compared = request.tokens.len();
    let (of, rows) = (tenant.clone(), request.tokens);
    let (found, size) = app
        .read(move |view| {
            let mut found = Vec::new();
            for row in &rows {
                let mut differences = Vec::new();
                for id in ids(row) {
                    let (tenant, as_of) = (of.clone(), view.as_of());
                    let scope = Scope { tenant, as_of, at: Some(taken_at), judged_at: taken_at };
                    let mut context = QueryContext::new(view, scope, Spending::default())?;
                    differences.push(difference(&mut context, id, row.usable)?);
                }
                found.extend(judged(differences));
            }
            Ok((found, view.size()))
        })
        .await?;
    if request.record && !found.is_empty() {
        let raised: Vec<_> = found.iter().map(|one| finding_of(one, now)).collect();
        // One that somebody closed, and that is still so, stands open again.
        let notes = app.read(move |view| {
            let notes = raised.into_iter().map(|one| Ok(list::noticed(view, one)?.statement()));
            Ok(notes.collect::<Result<Vec<_>, QueryError>>()?)
        });
        let notes = notes.await?;
        let node = app.node.clone();
        app.gate.wait(move || Ok(node.record_act(AdminAct::State(notes))?)).await?;
    }
    json(&Reconciled {
        tenant: tenant.into(),
        issuer: front.into(),
        taken_at: Time(taken_at),
        size,
        compared: compared as u64,
        recorded: request.record,
        differences: found.iter().map(|one| shown(one, now)).collect(),
    })
}

/// Refuses rows that are not of the issuer, and rows of one token that contradict each other: one
/// of them would hide what the other one tells.
fn judge_rows(rows: &[ReconciledToken], front: &str) -> Result<(), Problem> {
    let mut told: BTreeMap<&str, bool> = BTreeMap::new();
    for row in rows {
        if row.also_known_as.len() > OTHERS_MAX {
            return Err(bad("a token has at most 16 other ids"));
        }
        for id in ids(row) {
            check_id(id)?;
            if issuer_of(id) != Some(front) {
                return Err(bad("a token is of another issuer than the request"));
            }
            if told.insert(id, row.usable).is_some_and(|before| before != row.usable) {
                return Err(bad("a token stands in two rows, usable in one of them only"));
            }
        }
    }
    Ok(())
}

fn shown(one: &Difference, now: i64) -> form::Difference<'static> {
    let finding = finding_of(one, now);
    form::Difference {
        difference: finding.rule.code().into(),
        severity: finding.severity.word().into(),
        here: one.here.into(),
        finding: HexHash(finding.id()),
        token_id: finding.target.into(),
    }
}

fn bad(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_body", detail)
}
