//! `POST /oauth2/introspect`: RFC 7662, from the proven stream; signed as RFC 9701 has it if asked.
//!
//! Promises: the answer is that of the newest committed state, so that after an acknowledged
//! REVOKED none says active, also after a crash. Everything that is not active is answered by the
//! same bytes: unknown, expired, revoked, pending, on hold, malformed, forged, another tenant's,
//! outside the credential's grant. A token type hint is never needed and never narrows. The
//! presented token is not kept, logged or repeated: it becomes the digest of its `t1` ids, and its
//! verified jti, and is dropped.
//!
//! Refuses: to answer from a part of a token's record; that is 503, neither active nor not.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use ledgerline_engine::found_by::bare;
use ledgerline_engine::registry::{Caller, Roles};
use ledgerline_engine::standing::{Standing, issuer_and_region};
use ledgerline_proof::token_id::{Form as IdForm, TokenId};
use ledgerline_proof::vocabulary::TokenKind;
use serde_json::{Map, Value, json};

use super::form::{Form, Refusal, caller};
use super::presented::{find, may_know};
use super::{App, Shared, auth, leaf_json, signed_answer};

const SECOND_NANOS: i64 = 1_000_000_000;

/// Answers.
///
/// # Errors
/// 400 `invalid_request`, 401 `invalid_client`, 503.
pub async fn introspect(State(app): Shared, request: Request) -> Result<Response, Refusal> {
    let caller = caller(&app, request.headers(), Roles::RESOURCE_SERVER)?;
    let signed = signed_answer::is_wanted(request.headers());
    let form = Form::read(&app, request).await?;
    let token = form.token()?.to_vec();
    drop(form);
    let now = app.node.now();
    let answer = answer(&app, &caller, token, now).await?;
    let answer = answer.unwrap_or_else(|| json!({ "active": false }));
    Ok(signed_answer::respond(&app.answers, caller.key_id(), now, &answer, signed))
}

/// The answer about a token; `None` for every one that is not active.
async fn answer(
    app: &Arc<App>,
    caller: &Caller,
    token: Vec<u8>,
    now: i64,
) -> Result<Option<Value>, Refusal> {
    let tenant = caller.own_tenant();
    let Some(found) = find(app, tenant, token).await? else { return Ok(None) };
    let standing = &found.standing;
    if !may_know(caller, standing) {
        return Ok(None);
    }
    let active = found.is_active(now);
    if app.uses.note(caller, tenant, standing, active, now) {
        let (of, tenant) = (Arc::clone(app), tenant.to_owned());
        app.wait(move || {
            of.uses.mark(&of.node, &tenant, now);
            Ok(())
        })
        .await?;
    }
    if !active {
        return Ok(None);
    }
    let mut answer = described(caller, standing, found.usable_until());
    let alias = issuer_and_region(&standing.id).map(|(alias, _)| alias);
    if let Some(issuer) = alias.and_then(|alias| app.issuers.get(tenant, alias)) {
        answer["iss"] = issuer.iss().into();
    }
    Ok(Some(answer))
}

/// What RFC 7662 section 2.2 names, as far as the ledger knows it.
fn described(caller: &Caller, standing: &Standing, usable_until: Option<i64>) -> Value {
    let (state, facts) = (&standing.state, &standing.facts);
    let seconds = |nanos: i64| json!(nanos.div_euclid(SECOND_NANOS));
    let mut answer = Map::new();
    answer.insert("active".into(), true.into());
    let mut say = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            answer.insert(name.into(), value);
        }
    };
    say("scope", (!facts.scopes.is_empty()).then(|| facts.scopes.join(" ").into()));
    say("client_id", facts.client.as_deref().map(|client| bare(client).into()));
    let is_access = state.token_kind == Some(TokenKind::Access);
    say("token_type", is_access.then(|| "Bearer".into()));
    say("exp", usable_until.map(seconds));
    say("iat", state.issued_at.map(seconds));
    say("nbf", state.not_before.map(seconds));
    // The person's pseudonym: who may read events may know it.
    let may_name = caller.roles().has(auth::READERS.with(Roles::PRIVACY));
    let subject = facts.subject.filter(|_| may_name);
    say("sub", subject.map(|handle| leaf_json::hex(&handle).into()));
    say(
        "aud",
        match &facts.audience[..] {
            [] => None,
            [one] => Some(one.as_str().into()),
            several => Some(json!(several)),
        },
    );
    say("jti", jti(standing).map(Into::into));
    Value::Object(answer)
}

/// The token's jti, where an id has it.
fn jti(standing: &Standing) -> Option<&str> {
    let ids = standing.ids.iter().filter_map(|id| TokenId::parse(id).ok());
    ids.into_iter().find(|id| id.form() == IdForm::Jti).map(|id| id.value())
}
