//! `POST /v1/sets`: security event tokens pushed by SSF transmitters (RFC 8935), and
//! `POST /v1/backchannel-logout`: logout tokens (OIDC Back-Channel Logout 1.0).
//!
//! ```text
//! who sends      Authorization: Bearer <API key>; without it the settings say under which key the
//!                events of the issuer are recorded that signed the token (`[doors.<name>]`)
//! sound          202 (RFC 8935), 200 (logout), empty, once it is on the disk; the same on a repeat
//! not            400 {"err", "description"} with Content-Language; {"error", …} of a logout token
//! not now        429 and 503 with Retry-After: the transmitter keeps it
//! ```
//!
//! Promises: nothing is answered with success that is not durable. The answers repeat nothing of
//! the token, and are never cached.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use ledgerline_answers::problem::Problem;
use ledgerline_api::event::Event;
use ledgerline_gate::body::{media_type, read_body};
use ledgerline_gate::credential::unescape;
use ledgerline_issuers::Issuers;
use ledgerline_issuers::signed_events::{NotSigned, SignedClaims};
use ledgerline_ledger::intake::EventError;
use ledgerline_sources::Naming;
use ledgerline_sources::set::{self, SetRefusal, Transmitter};
use ledgerline_view::registry::{Caller, Roles};
use serde_json::json;

use crate::submitting::{Decoded, Notes};
use crate::tally::Door;
use crate::{Doors, Shared};

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 128 << 10;
/// The media type of RFC 8417 section 7.2.
const SECEVENT: &str = "application/secevent+jwt";

/// Why a token is not taken.
enum Refusal {
    /// For good, by a code of RFC 8935 section 2.4.
    Set(SetRefusal),
    /// Now, or before it was looked at.
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

const fn refused(code: &'static str, description: &'static str) -> Refusal {
    Refusal::Set(SetRefusal { code, description })
}

/// Takes a security event token.
pub async fn push(State(doors): Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let taken = pushed(&doors, &parts, body).await;
    match taken {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(Refusal::Problem(problem)) if !problem.status.is_client_error() => {
            problem.into_response()
        }
        // The transmitter keeps it: these are no judgement of the token.
        Err(Refusal::Problem(problem)) if of_the_moment(&problem) => problem.into_response(),
        Err(refusal) => {
            let SetRefusal { code, description } = judged(refusal);
            doors.tally.add(Door::Sets, "refused", 1);
            let body = json!({ "err": code, "description": description });
            let mut response = answer(StatusCode::BAD_REQUEST, body.to_string());
            let english = HeaderValue::from_static("en");
            response.headers_mut().insert(CONTENT_LANGUAGE, english);
            response
        }
    }
}

fn of_the_moment(problem: &Problem) -> bool {
    matches!(
        problem.status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::PAYLOAD_TOO_LARGE
    )
}

/// A refusal in the words of RFC 8935.
fn judged(refusal: Refusal) -> SetRefusal {
    let problem = match refusal {
        Refusal::Set(refusal) => return refusal,
        Refusal::Problem(problem) => problem,
    };
    let (code, description) = match problem.status {
        StatusCode::UNAUTHORIZED => ("authentication_failed", "the API key is none, or not valid"),
        StatusCode::FORBIDDEN => {
            ("access_denied", "the key may not record anything: it lacks the role")
        }
        StatusCode::CONFLICT => {
            ("invalid_request", "another token with this iss and jti was recorded before")
        }
        _ => ("invalid_request", "the event of the token cannot be recorded"),
    };
    SetRefusal { code, description }
}

async fn pushed(doors: &Arc<Doors>, parts: &Parts, body: Body) -> Result<(), Refusal> {
    let known = known_caller(doors, parts)?;
    let made = pushed_event(doors, known.clone(), parts, body).await;
    let (event, caller) = made.inspect_err(|refusal| count(doors, known.as_ref(), refusal))?;
    record(doors, Door::Sets, event, caller).await
}

/// Counts a request whose token is not taken; one that reaches the ledger counts itself.
fn count(doors: &Doors, known: Option<&Caller>, refusal: &Refusal) {
    match (refusal, known) {
        (Refusal::Set(refusal), known) => {
            doors.node.count_refusal(known.map_or("", |caller| caller.key_id()), refusal.code);
        }
        (Refusal::Problem(problem), Some(caller)) => {
            doors.node.count_unread(caller, problem.code);
        }
        (Refusal::Problem(problem), None) => doors.node.count_refusal("", problem.code),
    }
}

fn check_media(parts: &Parts, media: &str) -> Result<(), Problem> {
    match media_type(&parts.headers, &[media]) {
        Some(_) => Ok(()),
        None => {
            let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type");
            Err(Problem::new(status, code, format!("send {media}")))
        }
    }
}

async fn pushed_event(
    doors: &Arc<Doors>,
    known: Option<Caller>,
    parts: &Parts,
    body: Body,
) -> Result<(Event<'static>, Caller), Refusal> {
    check_media(parts, SECEVENT)?;
    let (body, room) = read_body(&doors.gate, &parts.headers, body, TOKEN_BYTES_MAX).await?;
    let made = verified(doors, known, body, |claims, issuers, caller| {
        if claims.typ != "secevent+jwt" {
            return Err(refused("invalid_request", "typ of the header is secevent+jwt"));
        }
        let tenant = caller.own_tenant().to_owned();
        let of_iss = |iss: &str| {
            let (region, alias, is_name) = issuers.named(&tenant, iss)?;
            Some((Naming::new(&region, &alias)?, is_name))
        };
        let from = transmitter(claims)?;
        set::event(&claims.claims, &from, &of_iss, caller.source()).map_err(Refusal::Set)
    });
    let made = made.await;
    drop(room);
    made
}

/// Takes a logout token.
pub async fn logout(State(doors): Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match logged_out(&doors, &parts, body).await {
        Ok(()) => {
            let mut response = StatusCode::OK.into_response();
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(Refusal::Problem(problem))
            if !problem.status.is_client_error() || of_the_moment(&problem) =>
        {
            problem.into_response()
        }
        Err(refusal) => {
            let SetRefusal { description, .. } = judged(refusal);
            doors.tally.add(Door::Logout, "refused", 1);
            let body = json!({ "error": "invalid_request", "error_description": description });
            answer(StatusCode::BAD_REQUEST, body.to_string())
        }
    }
}

async fn logged_out(doors: &Arc<Doors>, parts: &Parts, body: Body) -> Result<(), Refusal> {
    let known = known_caller(doors, parts)?;
    let made = logout_event(doors, known.clone(), parts, body).await;
    let (event, caller) = made.inspect_err(|refusal| count(doors, known.as_ref(), refusal))?;
    record(doors, Door::Logout, event, caller).await
}

async fn logout_event(
    doors: &Arc<Doors>,
    known: Option<Caller>,
    parts: &Parts,
    body: Body,
) -> Result<(Event<'static>, Caller), Refusal> {
    check_media(parts, "application/x-www-form-urlencoded")?;
    let (body, room) = read_body(&doors.gate, &parts.headers, body, TOKEN_BYTES_MAX).await?;
    let token = form_value(&body, b"logout_token");
    let token = token.ok_or(refused("invalid_request", "logout_token is sent exactly once"))?;
    let now_seconds = doors.node.now().div_euclid(1_000_000_000);
    let made = verified(doors, known, token.into(), move |claims, _, _| {
        // `typ` is recommended only; what it must not be is the type of something else.
        if !matches!(claims.typ.as_str(), "" | "jwt" | "logout+jwt") {
            return Err(refused("invalid_request", "typ of the header is logout+jwt"));
        }
        let from = transmitter(claims)?;
        set::logout(&claims.claims, &from, now_seconds).map_err(Refusal::Set)
    });
    let made = made.await;
    drop(room);
    made
}

/// The value of a parameter that stands once in a form.
fn form_value(form: &[u8], wanted: &[u8]) -> Option<Vec<u8>> {
    let pairs = form.split(|byte| *byte == b'&').filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((unescape(&pair[..equals]), unescape(&pair[equals + 1..])))
    });
    let mut values = pairs.filter(|(name, _)| name == wanted).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Some(value),
        _ => None,
    }
}

/// The caller, where it shows an API key.
fn known_caller(doors: &Doors, parts: &Parts) -> Result<Option<Caller>, Problem> {
    match parts.headers.contains_key(AUTHORIZATION) {
        true => doors.producer(&parts.headers).map(Some),
        false => Ok(None),
    }
}

fn transmitter(claims: &SignedClaims) -> Result<Transmitter<'_>, Refusal> {
    let naming = Naming::new(&claims.region, &claims.alias);
    let naming = naming.ok_or(refused("invalid_issuer", "the issuer has no name here"))?;
    let names_by_jti = claims.names_by_jti;
    Ok(Transmitter { iss: &claims.iss, naming, names_by_jti, audiences: &claims.audiences })
}

/// Verifies a token where one may wait for keys, and makes its event.
async fn verified<F>(
    doors: &Arc<Doors>,
    known: Option<Caller>,
    token: Bytes,
    make: F,
) -> Result<(Event<'static>, Caller), Refusal>
where
    F: FnOnce(&SignedClaims, &Issuers, &Caller) -> Result<Event<'static>, Refusal> + Send + 'static,
{
    let at = Arc::clone(doors);
    // A refusal of the token is no refusal of the wait.
    let work = move || Ok(verify_and_make(&at, known, &token, make));
    doors.gate.wait(work).await?
}

fn verify_and_make<F>(
    doors: &Doors,
    known: Option<Caller>,
    token: &[u8],
    make: F,
) -> Result<(Event<'static>, Caller), Refusal>
where
    F: FnOnce(&SignedClaims, &Issuers, &Caller) -> Result<Event<'static>, Refusal>,
{
    let issuers = doors.register.now();
    let signed = |tenant: &str| {
        issuers.signed_claims(tenant, token.trim_ascii()).map_err(|why| match why {
            NotSigned::NoJws => refused("invalid_request", "the body is no compact JWS"),
            NotSigned::UnknownIssuer => {
                refused("invalid_issuer", "iss is that of no issuer in the register")
            }
            NotSigned::NoKeys => refused("invalid_key", "the register has no keys of this issuer"),
            NotSigned::BadSignature => {
                refused("invalid_key", "none of the issuer's keys signed it")
            }
            NotSigned::KeysLost => {
                let detail = "the keys of the issuer cannot be had now";
                Refusal::Problem(Problem::unavailable("issuer_keys_lost", detail))
            }
        })
    };
    let (claims, caller) = match known {
        Some(caller) => (signed(caller.own_tenant())?, caller),
        None => {
            let authenticate = |key: &str| doors.node.authenticate(key).ok();
            let unknown = || refused("authentication_failed", "send an API key");
            doors.hooks.signed_by(signed, authenticate, unknown)?
        }
    };
    if !caller.roles().has(Roles::PRODUCER) {
        return Err(Problem::forbidden("the credential needs the role producer").into());
    }
    let event = make(&claims, &issuers, &caller)?;
    Ok((event, caller))
}

/// Hands the event in; done when it is durable.
async fn record(
    doors: &Arc<Doors>,
    door: Door,
    event: Event<'static>,
    caller: Caller,
) -> Result<(), Refusal> {
    let text = serde_json::to_string(&event).map_err(|_| Problem::internal())?;
    let decoded = Decoded { records: vec![Ok(text)], is_lone: true, notes: Notes::default() };
    let mut taken = doors.hand_in(door, &caller, decoded).await?;
    match taken.lone_refusal() {
        None => Ok(()),
        Some(error) => Err(of_intake(error)),
    }
}

fn of_intake(error: EventError) -> Refusal {
    if error.code == "secret_refused" {
        return refused("invalid_request", "the event carries what looks like a bearer value");
    }
    let problem = Problem::from(error);
    if problem.status == StatusCode::FORBIDDEN {
        // Of this event: another token may be recorded. `access_denied` is about the key.
        return refused("invalid_request", "the key may not record this event: it lacks the grant");
    }
    Refusal::Problem(problem)
}

fn answer(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_out_of_the_grant_is_no_refusal_of_the_key() {
        let check = |refusal: Refusal, code: &str| assert_eq!(judged(refusal).code, code);
        for code in ["out_of_grant", "wrong_tenant", "secret_refused", "event_id_conflict"] {
            check(of_intake(EventError::new(code, String::new())), "invalid_request");
        }
        check(Problem::forbidden("no role").into(), "access_denied");
    }
}
