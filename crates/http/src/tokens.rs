//! A token's life: its states, its events, its proof.
//!
//! Promises: token ids only. A path that looks like the token itself is refused with a hint,
//! because it has just been written into somebody's access log.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_answers::answer::{json_bytes, json_document};
use ledgerline_answers::event_json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::prove::{self, LifeRequest};
use ledgerline_answers::{counted, question_json};
use ledgerline_api::written::{self, Time};
use ledgerline_proof::token_id::{TokenId, looks_like_token};
use ledgerline_questions::life::{Judgement, Life, life_of};
use ledgerline_view::address::EntryRef;
use ledgerline_view::registry::Roles;
use ledgerline_view::view::{PageRequest, View};
use serde::Deserialize;

use crate::auth::Needs;
use crate::extract::{Params, Segments};
use crate::{Shared, auth, covered, question_params};

/// Events on one page, and the most that may be asked for.
const PAGE_EVENTS: usize = 100;
const PAGE_EVENTS_MAX: usize = 1000;

/// What may be asked about a token.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TokenQuery {
    tenant: Option<String>,
    as_of: Option<u64>,
    at: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
    /// For a proof: which origin's.
    origin: Option<String>,
    /// For a proof: the size of an older checkpoint that the tree must begin with.
    previous_size: Option<u64>,
    /// For a proof: seconds to wait for its block.
    wait: Option<String>,
}

impl TokenQuery {
    fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(PAGE_EVENTS);
        if !(1..=PAGE_EVENTS_MAX).contains(&limit) {
            return Err(Problem::bad_request("bad_query", "limit is 1 to 1000"));
        }
        Ok(limit)
    }

    fn judged_at(&self) -> Result<Option<i64>, Problem> {
        let Some(text) = self.at.as_deref() else { return Ok(None) };
        question_params::time("at", text).map(Some)
    }
}

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
    query: Params<TokenQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    life(state, path, query, headers, false).await
}

/// The token's states and a page of its events, oldest first.
///
/// # Errors
/// 404 when this tenant has no such token.
pub async fn token_events(
    state: Shared,
    path: Segments<String>,
    query: Params<TokenQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    life(state, path, query, headers, true).await
}

async fn life(
    State(app): Shared,
    Segments(id): Segments<String>,
    Params(query): Params<TokenQuery>,
    headers: HeaderMap,
    with_events: bool,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor or responder";
    let caller = auth::require(&app, &headers, auth::READERS, lacking)?;
    check_id(&id)?;
    let tenant = auth::tenant(&caller, query.tenant.as_deref())?;
    let limit = query.limit()?;
    let at = query.judged_at()?;
    if query.wait.is_some() {
        return Err(question_params::bad_query("wait goes with a proof"));
    }
    let now = at.unwrap_or_else(|| app.node.now());
    app.read(move |view| {
        let judgement = Judgement { at: now, by: at.unwrap_or(i64::MAX) };
        let as_of = query.as_of.map_or_else(|| view.as_of(), |size| view.up_to(size));
        let after = query.after.map(|number| counted::entry(view, number));
        let page = PageRequest { after, limit };
        let life = life_of(view, &tenant, &id, &as_of, judgement, page)?;
        let life = life.ok_or_else(Problem::not_found)?;
        let (bytes, written) = written::object(|members| {
            members.say("token_id", &id);
            members.say("tenant", &tenant);
            members.say("origin", &*view.identity().origin);
            members.say("older_origins", older_origins(view));
            members.say("size", view.size());
            members.say("as_of", query.as_of);
            members.say(
                "also_known_as",
                life.ids.iter().filter(|other| **other != id).collect::<Vec<_>>(),
            );
            members.say("event_count", life.total);
            members
                .object("known", |members| question_json::state(view, &life.known, now, members));
            members.object("happened", |members| {
                question_json::state(view, &life.happened, now, members);
            });
            members.say("at", at.map(Time));
            members.say("nothing_had_happened", at.is_some() && nothing_happened(&life));
            members.say("note", at.and_then(|at| unlike_then(&life, at)));
            let number = |at: &EntryRef| counted::number(view, *at);
            members.say("covered_by", life.covered_by.iter().map(number).collect::<Vec<_>>());
            members.say("incomplete", life.cut);
            members.say("checkpoint", &*view.checkpoint());
            members.say("newer_entries", view.size().saturating_sub(view.published_size()));
            if with_events {
                members.say("next", life.next.as_ref().map(number));
                members.try_all("events", &life.events, |event, members| {
                    let violation = life.violations.get(&event.at);
                    members.say("violation", violation.map(|one| one.code()));
                    event_json::event(event, members)
                })?;
            }
            Ok(())
        });
        written.map(|()| json_bytes(bytes))
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
fn older_origins(view: &View) -> Vec<String> {
    let origins = view.origins();
    let older = origins.iter().filter(|one| one.is_older());
    older.map(|one| one.identity().origin.to_string()).collect()
}

/// The proof bundle of the token's life.
///
/// # Errors
/// 404 when this tenant has no such token.
pub async fn proof(
    State(app): Shared,
    Segments(id): Segments<String>,
    Params(query): Params<TokenQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role auditor or reader";
    let roles = Roles::AUDITOR.with(Roles::READER);
    let caller = auth::require(&app, &headers, roles, lacking)?;
    check_id(&id)?;
    let tenant = auth::tenant(&caller, query.tenant.as_deref())?;
    let (needs, wait) = (Needs { roles, lacking }, query.wait.as_deref());
    let covered = covered::wait(&app, &headers, needs, wait, None).await?;
    let _turn = app.gate.turn_to_prove(true).await?;
    let now = app.node.now();
    app.read(move |view| {
        let asked = LifeRequest {
            tenant: &tenant,
            id: &id,
            origin: query.origin.as_deref(),
            disclose: false,
            previous_size: query.previous_size,
        };
        let mut bundle = prove::token(view, &asked, now)?;
        covered.mark(&mut bundle);
        json_document(&bundle)
    })
    .await
}
