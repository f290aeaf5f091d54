//! A token's life: its states, its events, its proof.
//!
//! Promises: token ids only. A path that looks like the token itself is refused with a hint, because it
//! has just been written into somebody's access log.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_engine::registry::Roles;
use ledgerline_engine::view::{BundleQuery, PageRequest};
use ledgerline_proof::token_id::{TokenId, looks_like_token};
use serde::Deserialize;
use serde_json::json;

use super::events::json_value;
use super::extract::{Asked, Segments};
use super::problem::Problem;
use super::{Shared, auth, leaf_json};

/// Events on one page, and the most that may be asked for.
const PAGE_EVENTS: usize = 100;
const PAGE_EVENTS_MAX: usize = 1000;

/// What may be asked about a token.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TokenQuery {
    tenant: Option<String>,
    as_of: Option<u64>,
    after: Option<u64>,
    limit: Option<usize>,
}

impl TokenQuery {
    fn page(&self) -> Result<PageRequest, Problem> {
        let limit = self.limit.unwrap_or(PAGE_EVENTS);
        if !(1..=PAGE_EVENTS_MAX).contains(&limit) {
            return Err(Problem::bad_request("bad_query", "limit is 1 to 1000"));
        }
        Ok(PageRequest { after: self.after, limit })
    }
}

/// Refuses what is no token id.
fn check_id(id: &str) -> Result<(), Problem> {
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
    query: Asked<TokenQuery>,
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
    query: Asked<TokenQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    life(state, path, query, headers, true).await
}

async fn life(
    State(app): Shared,
    Segments(id): Segments<String>,
    Asked(query): Asked<TokenQuery>,
    headers: HeaderMap,
    with_events: bool,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor or responder";
    let caller = auth::require(&app, &headers, auth::READERS, lacking)?;
    check_id(&id)?;
    let tenant = auth::tenant(&caller, query.tenant.as_deref())?;
    let page = query.page()?;
    app.read(move |view| {
        let life = view.life(&tenant, &id, query.as_of, page)?.ok_or_else(Problem::not_found)?;
        let mut answer = json!({
            "token_id": id,
            "tenant": tenant,
            "origin": view.origin(),
            "size": view.size(),
            "as_of": query.as_of,
            "event_count": life.total,
            "known": leaf_json::state(&life.known),
            "happened": leaf_json::state(&life.happened),
            "checkpoint": &*view.checkpoint(),
        });
        if with_events {
            let events = life.events.iter().map(leaf_json::life_event);
            answer["events"] = events.collect::<Result<Vec<_>, _>>()?.into();
            answer["next"] = life.next.into();
        }
        Ok(json_value(&answer))
    })
    .await
}

/// The proof bundle of the token's life.
///
/// # Errors
/// 404 when this tenant has no such token.
pub async fn proof(
    State(app): Shared,
    Segments(id): Segments<String>,
    Asked(query): Asked<TokenQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role auditor or reader";
    let roles = Roles::AUDITOR.with(Roles::READER);
    let caller = auth::require(&app, &headers, roles, lacking)?;
    check_id(&id)?;
    let tenant = auth::tenant(&caller, query.tenant.as_deref())?;
    app.read(move |view| {
        let page = PageRequest { after: None, limit: 1 };
        view.life(&tenant, &id, query.as_of, page)?.ok_or_else(Problem::not_found)?;
        Ok(json_value(&view.bundle(BundleQuery::Token { tenant, id }, false)?))
    })
    .await
}
