//! Foreign records, posted: `POST /v1/opa/logs`, `POST /v1/adapters/{name}` with an API key, and
//! `POST /v1/hooks/{name}`, a door of the settings that knows its sender otherwise.
//!
//! Promises: 200 when everything that was taken is on the disk. A sender that reads the answer
//! finds each refused record in it; a body whose only record is refused is answered by 422, and one
//! whose events are all refused by the refusal of the first.
//!
//! Refuses: senders that do not prove who they are, before a record is read.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::verdicts::verdict;
use ledgerline_api::BODY_BYTES_MAX;
use ledgerline_api::door::{Adapted, RefusedRecord, Verification};
use ledgerline_gate::body::{media_type, read_body};
use ledgerline_sources::{Choice, Naming, Options};
use ledgerline_view::registry::{Caller, Roles};

use crate::hooks::NotKnown;
use crate::submitting::Taken;
use crate::tally::Door;
use crate::{Doors, Shared, bodies, opa};

/// Longest challenge of a verification, in bytes.
const CHALLENGE_BYTES_MAX: usize = 1024;

/// The name in the path.
fn named(name: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let bad = |_| Problem::bad_request("bad_path", "a part of the path has a wrong form");
    name.map(|Path(name)| name).map_err(bad)
}

fn json_or_lines(headers: &HeaderMap) -> Result<bool, Problem> {
    let known = media_type(headers, &["application/json", "application/x-ndjson"]);
    known.map(|at| at == 1).ok_or_else(|| {
        let detail = "send application/json or application/x-ndjson, in UTF-8";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    })
}

/// Takes a decision log of Open Policy Agent.
///
/// # Errors
/// A problem for the body as a whole.
pub async fn opa_logs(State(doors): Shared, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let caller = doors.producer(&parts.headers)?;
    let is_json = match json_or_lines(&parts.headers) {
        Ok(true) => {
            let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
            Err(Problem::new(status, code, "send application/json, in UTF-8"))
        }
        other => other,
    };
    doors.counted(&caller, is_json)?;
    let issuers = doors.register.now();
    let decode = move |body: &Bytes, caller: &Caller| {
        let tenant = caller.own_tenant();
        let of_iss = |iss: &str| {
            let (region, alias, is_name) = issuers.named(tenant, iss)?;
            Some((Naming::new(&region, &alias)?, is_name))
        };
        opa::decode(body, &of_iss)
    };
    doors.take(Door::Opa, caller, &parts.headers, body, decode).await?.answer()
}

/// Takes records through an adapter.
///
/// # Errors
/// A problem for the body as a whole; 404 for an adapter that there is not.
pub async fn adapters(
    State(doors): Shared,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let caller = doors.producer(&parts.headers)?;
    let chosen = named(name).and_then(|name| {
        let choice = ledgerline_sources::choice(&name).ok_or_else(Problem::not_found)?;
        let naming = naming(&doors, &caller, parts.uri.query())?;
        Ok(decoder(choice, naming, json_or_lines(&parts.headers)?))
    });
    let decode = doors.counted(&caller, chosen)?;
    let taken = doors.take(Door::Adapters, caller, &parts.headers, body, decode).await?;
    adapted(taken)
}

/// `issuer=<alias>` of the register, or `issuer=<region>:<alias>`.
fn naming(doors: &Doors, caller: &Caller, query: Option<&str>) -> Result<Naming, Problem> {
    let bad = |detail| Problem::bad_request("bad_query", detail).about("issuer");
    let given = query.and_then(|query| query.strip_prefix("issuer="));
    let given = given.filter(|rest| !rest.contains('&'));
    let given = given.ok_or_else(|| bad("the one parameter is issuer: whose records these are"))?;
    let given = given.replace("%3A", ":").replace("%3a", ":");
    let named = match given.split_once(':') {
        Some((region, alias)) => Naming::new(region, alias),
        None => {
            let region = doors.register.now().region_of(caller.own_tenant(), &given);
            region.and_then(|region| Naming::new(&region, &given))
        }
    };
    let detail = "issuer is an alias of the register, or <region>:<alias>";
    named.ok_or_else(|| bad(detail))
}

fn decoder(
    choice: &'static Choice,
    naming: Naming,
    is_lines: bool,
) -> impl FnOnce(&Bytes, &Caller) -> Result<crate::submitting::Decoded, Problem> + Send + 'static {
    move |body, caller| {
        let recorded_as = Some((caller.own_tenant().to_owned(), caller.source().to_owned()));
        bodies::decode(choice, Options { naming, recorded_as }, body, is_lines)
    }
}

fn adapted(mut taken: Taken) -> Result<Response, Problem> {
    if let Some(problem) = bodies::refused(&taken.notes) {
        return Err(problem);
    }
    // Senders of webhooks read the status alone.
    if let Some(error) = taken.refusal_of_all() {
        return Err(error.into());
    }
    let notes = &taken.notes;
    let refused = notes
        .refused
        .iter()
        .map(|(record, detail)| RefusedRecord { record: *record, detail: detail.clone().into() });
    json(&Adapted {
        records: notes.records,
        mapped: notes.mapped,
        joined: notes.joined,
        skipped: notes.skipped,
        refused: refused.collect(),
        events: taken.verdicts.iter().map(|one| verdict(one, None)).collect(),
        checkpoint: taken.checkpoint.as_deref().map(Into::into),
    })
}

/// Takes records by a door of the settings.
///
/// # Errors
/// 401 when the sender does not prove who it is; 404 for a door that there is not.
pub async fn hook(
    State(doors): Shared,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let name = named(name)?;
    let (choice, naming, caller) = opened(&doors, &name)?;
    let is_lines = doors.counted(&caller, json_or_lines(&parts.headers))?;
    let read = read_body(&doors.gate, &parts.headers, body, BODY_BYTES_MAX).await;
    let (body, room) = doors.counted(&caller, read)?;
    let at = Arc::clone(&doors);
    let (headers, signed, tenant) =
        (parts.headers.clone(), body.clone(), caller.own_tenant().to_owned());
    let prove = move || {
        let Some(hook) = at.hooks.get(&name) else { return Err(Problem::not_found()) };
        let now_seconds = at.node.now().div_euclid(1_000_000_000);
        let issuers = at.register.now();
        hook.check(&headers, &signed, &issuers, &tenant, now_seconds).map_err(not_known)
    };
    doors.gate.wait(prove).await.inspect_err(|problem| {
        doors.node.count_refusal("", problem.code);
        doors.tally.add(Door::Hooks, "refused", 1);
    })?;
    let decode = decoder(choice, naming, is_lines);
    let taken = doors.take_read(Door::Hooks, caller, body, decode).await?;
    drop(room);
    adapted(taken)
}

fn not_known(why: NotKnown) -> Problem {
    match why {
        NotKnown::Unproven => {
            let detail = "the signature or secret of the door does not hold for this body";
            Problem::new(StatusCode::UNAUTHORIZED, "bad_hook_signature", detail)
        }
        NotKnown::KeysLost => {
            let detail = "the keys of the issuer cannot be had now";
            Problem::unavailable("issuer_keys_lost", detail)
        }
    }
}

/// A door of the settings with its producer.
fn opened(doors: &Doors, name: &str) -> Result<(&'static Choice, Naming, Caller), Problem> {
    let hook = doors.hooks.get(name).ok_or_else(Problem::not_found)?;
    let choice = ledgerline_sources::choice(&hook.adapter).ok_or_else(Problem::not_found)?;
    let closed = || {
        let why = "the producer's key of a door is not valid: its events are not taken";
        tracing::error!(code = "door_closed", why);
        Problem::unavailable("door_closed", "this door is closed; its operator must see to it")
    };
    let caller = hook.caller(|key| doors.node.authenticate(key).ok());
    let caller = caller.filter(|one| one.roles().has(Roles::PRODUCER)).ok_or_else(closed)?;
    let region = doors.register.now().region_of(caller.own_tenant(), &hook.issuer);
    let naming = region.and_then(|region| Naming::new(&region, &hook.issuer));
    Ok((choice, naming.ok_or_else(closed)?, caller))
}

/// Answers the one-time verification of an Okta event hook, for whoever has its secret.
///
/// # Errors
/// 401 without the secret; 404 for a door that there is not.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn verification(
    State(doors): Shared,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hook = doors.hooks.get(&named(name)?).ok_or_else(Problem::not_found)?;
    if !hook.has_secret(&headers) {
        return Err(not_known(NotKnown::Unproven));
    }
    let challenge = headers.get("x-okta-verification-challenge");
    let challenge = challenge.and_then(|value| value.to_str().ok());
    let challenge = challenge.filter(|text| (1..=CHALLENGE_BYTES_MAX).contains(&text.len()));
    let detail = "X-Okta-Verification-Challenge is missing";
    let challenge = challenge.ok_or_else(|| Problem::bad_request("bad_challenge", detail))?;
    json(&Verification { verification: challenge.into() })
}
