//! A token's life: its states, its events, its proof.
//!
//! Promises: token ids only. A path that looks like the token itself is refused with a hint,
//! because it has just been written into somebody's access log.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::event_json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::prove::{self, LifeRequest};
use ledgerline_answers::{counted, question_json};
use ledgerline_api::log::Recorded;
use ledgerline_api::recorded::NotALeaf;
use ledgerline_api::token::{TokenEvents, TokenLife};
use ledgerline_api::values::{Str, Time};
use ledgerline_proof::token_id::{TokenId, looks_like_token};
use ledgerline_questions::life::{Judgement, Life, life_of};
use ledgerline_view::address::EntryRef;
use ledgerline_view::registry::Roles;
use ledgerline_view::view::{PageRequest, View};

use crate::auth::Needs;
use crate::extract::Segments;
use crate::question_params::{Params, bad_query, page_number};
use crate::{Shared, auth, covered};

/// Refuses what is no token id.
///
/// # Errors
/// 400; with a hint for what looks like the token itself.
pub fn check_id(id: &str) -> Result<(), Problem> {
    match TokenId::parse(id) {
        Ok(_) => Ok(()),
        Err(_) if looks_like_token(id) => Err(Problem::bad_request(
            "raw_token",
            "this looks like a token, not a token id, and may now stand in an access log; compute \
             its id with `ledgerline token-id` and ask for that",
        )),
        Err(error) => Err(Problem::new(StatusCode::BAD_REQUEST, "bad_token_id", error.to_string())),
    }
}

/// The token's states.
///
/// # Errors
/// 404 when this tenant has no such token.
pub async fn token(
    state: Shared,
    path: Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    life(state, path, params, headers, false).await
}

/// The token's states and a page of its events, oldest first.
///
/// # Errors
/// 404 when this tenant has no such token.
pub async fn token_events(
    state: Shared,
    path: Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    life(state, path, params, headers, true).await
}

async fn life(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
    with_events: bool,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor or responder";
    let caller = auth::require(&app, &headers, auth::READERS, lacking)?;
    check_id(&id)?;
    let tenant = auth::tenant(&caller, params.tenant.as_deref())?;
    let at = params.time_at()?;
    let size = params.as_of.as_deref().map(|text| {
        text.parse().map_err(|_| bad_query("as_of is a size of the log").about("as_of"))
    });
    let (size, after) = (size.transpose()?, page_number(params.page.as_deref())?);
    let limit = if with_events { params.limit()? } else { 1 };
    let now = at.unwrap_or_else(|| app.node.now());
    app.read(move |view| {
        let judgement = Judgement { at: now, by: at.unwrap_or(i64::MAX) };
        let as_of = size.map_or_else(|| view.as_of(), |size| view.up_to(size));
        let after = after.map(|number| counted::entry(view, number));
        let page = PageRequest { after, limit };
        let life = life_of(view, &tenant, &id, &as_of, judgement, page)?;
        let life = life.ok_or_else(Problem::not_found)?;
        let events = life.events.iter().filter(|_| with_events).map(|event| {
            let violation = life.violations.get(&event.at).map(|one| one.code().into());
            Ok(Recorded { violation, ..event_json::event(event)? })
        });
        let events = events.collect::<Result<Vec<_>, NotALeaf>>()?;
        let number = |at: &EntryRef| counted::number(view, *at);
        let next = life.next.as_ref().map(|at| number(at).to_string().into());
        let token = TokenLife {
            token_id: (&*id).into(),
            tenant: (&*tenant).into(),
            origin: view.identity().origin.to_string().into(),
            older_origins: older_origins(view),
            size: view.size(),
            as_of: size,
            also_known_as: life
                .ids
                .iter()
                .filter(|other| **other != id)
                .map(|other| (&**other).into())
                .collect(),
            event_count: life.total as u64,
            known: question_json::state(view, &life.known, now),
            happened: question_json::state(view, &life.happened, now),
            at: at.map(Time),
            nothing_had_happened: at.is_some() && nothing_happened(&life),
            note: at.and_then(|at| unlike_then(&life, at)).map(Into::into),
            covered_by: life.covered_by.iter().map(number).collect(),
            incomplete: life.cut,
            checkpoint: view.checkpoint().to_string().into(),
            newer_entries: view.size().saturating_sub(view.published_size()),
        };
        if with_events { json(&TokenEvents { token, next, events }) } else { json(&token) }
    })
    .await
}

/// Whether no event of its own had occurred by the time asked about.
fn nothing_happened(life: &Life) -> bool {
    life.happened.first_index.is_none()
}

/// What is said where nothing of it had happened, or where `known`, which takes what had happened
/// in the order of recording, looks alive and the token was not.
fn unlike_then(life: &Life, at: i64) -> Option<String> {
    match life.happened.state_at(at) {
        _ if nothing_happened(life) => {
            Some("at that time nothing of it had happened: all that is recorded is of later".into())
        }
        _ if life.happened.is_active(at, false) || !life.known.is_active(at, false) => None,
        state => Some(format!(
            "at that time it was {state}; `known` takes the same in the order of recording"
        )),
    }
}

/// Names of the origins that this ledger continues, oldest first.
fn older_origins(view: &View) -> Vec<Str<'static>> {
    let origins = view.origins();
    let older = origins.iter().filter(|one| one.is_older());
    older.map(|one| one.identity().origin.to_string().into()).collect()
}

/// The proof bundle of the token's life.
///
/// # Errors
/// 404 when this tenant has no such token.
pub async fn proof(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role auditor or reader";
    let roles = Roles::AUDITOR.with(Roles::READER);
    let caller = auth::require(&app, &headers, roles, lacking)?;
    check_id(&id)?;
    let tenant = auth::tenant(&caller, params.tenant.as_deref())?;
    let (needs, wait) = (Needs { roles, lacking }, params.wait);
    let covered = covered::wait(&app, &headers, needs, wait, None).await?;
    let _turn = app.gate.turn_to_prove(true).await?;
    let now = app.node.now();
    app.read(move |view| {
        let asked = LifeRequest {
            tenant: &tenant,
            id: &id,
            origin: params.origin.as_deref(),
            disclose: false,
            previous_size: params.previous_size,
        };
        let mut bundle = prove::token(view, &asked, now)?;
        covered.mark(&mut bundle);
        json(&bundle)
    })
    .await
}
