//! `POST /oauth2/introspect`: token introspection (RFC 7662), from cached answers or the proven
//! stream; signed as RFC 9701 has it if asked.
//!
//! Promises: the answer is that of the newest committed state, so that after an acknowledged
//! REVOKED none says active, also after a crash. Everything that is not active is answered by the
//! same bytes: unknown, expired, revoked, pending, on hold, malformed, forged, another tenant's,
//! outside the credential's grant. A token type hint is never needed and never narrows. The
//! presented token is not kept, logged or repeated: it becomes the digest of its `t1` ids, and its
//! verified jti, and is dropped.
//!
//! Refuses: to answer from a part of a token's record, unless that part is revoked; it is 503,
//! neither active nor not.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use ledgerline_api::oauth::{Audience, Introspection};
use ledgerline_api::uuid_text;
use ledgerline_index::terms::{issuer_of, own_id};
use ledgerline_introspection::{TokenStatus, issuer_and_region};
use ledgerline_proof::token_id::{Form as IdForm, TokenId};
use ledgerline_proof::vocabulary::TokenKind;
use ledgerline_view::registry::{Caller, Roles};

use crate::form::{Form, Refusal, caller, no_store};
use crate::token_lookup::{NAMING, cached_answer, may_know};
use crate::{App, Shared, signed_answer};

/// All that is said of a token that is not active.
const INACTIVE: &[u8] = br#"{"active":false}"#;
const LACKING: &str = "the credential needs the role resource_server";
const SECOND_NANOS: i64 = 1_000_000_000;

/// Answers.
///
/// # Errors
/// 400 `invalid_request`, 401 `invalid_client`, 503.
pub async fn introspect(State(app): Shared, request: Request) -> Result<Response, Refusal> {
    let caller = caller(&app, request.headers(), Roles::RESOURCE_SERVER, LACKING)?;
    let signed = signed_answer::is_wanted(request.headers());
    let form = Form::read(&app, request).await?;
    let token = form.token()?;
    let now = app.node.now();
    let cached = cached_answer(&app, &caller, token, words).await?;
    let known = cached.as_deref().filter(|one| may_know(&caller, one.id()));
    let Some(cached) = known else { return Ok(answer(&app, &caller, now, INACTIVE, signed)) };
    let active = cached.is_active(now);
    if app.uses.note(&caller, cached, active, now) {
        let (of, tenant) = (Arc::clone(&app), caller.own_tenant().to_owned());
        app.gate
            .wait(move || {
                of.uses.mark(&of.node, &tenant, now);
                Ok(())
            })
            .await?;
    }
    let told = if active { cached.words() } else { INACTIVE };
    Ok(answer(&app, &caller, now, told, signed))
}

/// The words of an answer in the form that was asked for.
fn answer(app: &App, caller: &Caller, now: i64, words: &[u8], signed: bool) -> Response {
    match signed {
        false => no_store(Body::from(words.to_vec())),
        true => signed_answer::respond(&app.answers, caller.key_id(), now, words),
    }
}

/// The answer about a token while it is active.
fn words(app: &App, caller: &Caller, status: &TokenStatus, own_end: Option<i64>) -> Vec<u8> {
    let usable_until = status.usable_until().into_iter().chain(own_end).min();
    let issuers = app.issuers();
    let alias = issuer_and_region(&status.id).map(|(alias, _)| alias);
    let issuer = alias.and_then(|alias| issuers.get(caller.own_tenant(), alias));
    let iss = issuer.as_ref().map(|issuer| issuer.iss().into());
    let answer = Introspection { iss, ..described(caller, status, usable_until) };
    // Texts, numbers and lists. Where that failed all the same, a fault is better than to call a
    // token dead that lives.
    serde_json::to_vec(&answer).expect("what JSON can say")
}

/// What RFC 7662 section 2.2 names, as far as the ledger knows it.
fn described<'a>(
    caller: &Caller,
    status: &'a TokenStatus,
    usable_until: Option<i64>,
) -> Introspection<'a> {
    let (state, facts) = (&status.state, &status.facts);
    let seconds = |nanos: i64| nanos.div_euclid(SECOND_NANOS);
    let is_access = state.token_kind == Some(TokenKind::Access);
    let subject = facts.subject.filter(|_| caller.roles().has(NAMING));
    Introspection {
        active: true,
        scope: (!facts.scopes.is_empty()).then(|| facts.scopes.join(" ").into()),
        client_id: facts.client.as_deref().map(|id| own_id(id, issuer_of(&status.id)).into()),
        token_type: is_access.then(|| "Bearer".into()),
        exp: usable_until.map(seconds),
        iat: state.issued_at.map(seconds),
        nbf: state.not_before.map(seconds),
        sub: subject.map(|handle| uuid_text::hex(&handle).into()),
        aud: match &facts.audience[..] {
            [] => None,
            [one] => Some(Audience::One((&**one).into())),
            several => Some(Audience::Several(several.iter().map(|one| (&**one).into()).collect())),
        },
        jti: jti(status).map(Into::into),
        iss: None,
    }
}

/// The token's jti, where an id has it.
fn jti(status: &TokenStatus) -> Option<&str> {
    let ids = status.ids.iter().filter_map(|id| TokenId::parse(id).ok());
    ids.into_iter().find(|id| id.form() == IdForm::Jti).map(|id| id.value())
}
