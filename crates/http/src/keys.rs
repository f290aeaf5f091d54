//! Keys, handles and erasure: what administrators and the privacy office do.
//!
//! Promises: a secret is shown once, in the answer that made it. A tenant's administrator sees and
//! ends only keys of the tenant, makes none that reaches further than its own, and chooses no ids,
//! which would tell it those of others. No personal value stands in a URL. Each of these acts is an
//! entry of the ledger.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_answers::answer::json;
use ledgerline_answers::problem::Problem;
use ledgerline_api::key::{self as form, AddedKey, KeyStatus, Keys, RecordedAt, RotateKey};
use ledgerline_api::privacy::{Erase, Erased, Resolve, Resolved};
use ledgerline_api::values::{Handle, Time, Word};
use ledgerline_api::{time_text, uuid_text};
use ledgerline_ledger::planner::NewKey;
use ledgerline_proof::vocabulary::{EventType, HandleKind, KeyPurpose};
use ledgerline_view::registry::{Caller, Key, Roles};

use crate::extract::{Segments, check_text, json_body};
use crate::question_params::Params;
use crate::{App, Shared, auth, key_ends};

const NEEDS_ADMIN: &str = "the credential needs the role admin";
const NEEDS_PRIVACY: &str = "the credential needs the role privacy";

fn admin(app: &App, headers: &HeaderMap) -> Result<Caller, Problem> {
    auth::require(app, headers, Roles::ADMIN, NEEDS_ADMIN)
}

/// The keys that this administrator may see.
///
/// # Errors
/// 401, 403.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn list(State(app): Shared, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = admin(&app, &headers)?;
    let keys = app.node.keys();
    let seen = keys.iter().filter(|key| caller.may_see(&key.tenant));
    json(&Keys { keys: seen.map(|key| shown(&app, key)).collect() })
}

fn shown<'a>(app: &App, key: &'a Key) -> form::Key<'a> {
    let ending = app.endings.of(&key.key_id).filter(|_| key.valid_until.is_none());
    let expired = key.expires_at.is_some_and(|end| end <= app.node.now());
    let status = match (key.valid_until, &ending) {
        (Some(_), _) if key.compromised => KeyStatus::Compromised,
        (Some(_), _) => KeyStatus::Retired,
        (None, _) if expired => KeyStatus::Expired,
        (None, Some(_)) => KeyStatus::Ending,
        (None, None) => KeyStatus::Valid,
    };
    let texts = |list: &'a [String]| list.iter().map(|one| one.as_str().into()).collect();
    form::Key {
        key_id: (&*key.key_id).into(),
        status,
        ends_at: ending.as_ref().map(|one| Time(one.at)),
        successor: app.endings.successor(&key.key_id).map(|id| id.to_string().into()),
        purpose: Word(key.purpose),
        alg: alg_name(key.alg).map(Into::into),
        tenant: (&*key.tenant).into(),
        source: (&*key.source).into(),
        roles: key.roles.names().into_iter().map(Into::into).collect(),
        types: key.grant.types.iter().copied().map(Word).collect(),
        issuers: texts(&key.grant.issuers),
        regions: texts(&key.grant.regions),
        signed_only: key.grant.signed_only,
        strict: key.grant.strict,
        valid_from: key.valid_from,
        valid_until: key.valid_until,
        compromised: key.compromised,
        expires_at: key.expires_at.map(Time),
    }
}

fn alg_name(alg: i32) -> Option<&'static str> {
    match alg {
        1 => Some("HMAC-SHA256"),
        2 => Some("Ed25519"),
        _ => None,
    }
}

/// What is to be registered, once it is judged.
fn judged(request: form::NewKey, by: &Caller) -> Result<NewKey, Problem> {
    let bad =
        |detail: &'static str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_key", detail);
    let tenant = request.tenant.unwrap_or_else(|| by.own_tenant().to_owned());
    if !by.may_see(&tenant) {
        return Err(Problem::forbidden("this administrator acts for its own tenant only"));
    }
    if request.key_id.is_some() && !auth::is_all_tenant(by) {
        return Err(bad("ids are of the whole ledger, so only an administrator of all tenants \
                        chooses one; leave key_id out, and the answer names it"));
    }
    let (purpose, alg) = match request.alg.as_deref() {
        None => (KeyPurpose::Credential, 0),
        Some("HMAC-SHA256") => (KeyPurpose::Producer, 1),
        Some("Ed25519") => (KeyPurpose::Producer, 2),
        Some(_) => return Err(bad("alg is HMAC-SHA256 or Ed25519; absent for a credential")),
    };
    let roles = Roles::parse(&request.roles);
    let roles = roles.ok_or_else(|| {
        bad("roles holds a name that is no role; they are producer, reader, auditor, privacy, \
             responder, resource_server, client, admin")
    })?;
    if purpose == KeyPurpose::Credential && request.roles.is_empty() {
        return Err(bad("a credential needs at least one role"));
    }
    let types: Option<Vec<_>> =
        request.types.iter().map(|name| EventType::from_symbol(name)).collect();
    let expires_at = match request.expires_at.as_deref() {
        None => None,
        Some(text) => {
            Some(time_text::parse(text).ok_or_else(|| bad("expires_at is no RFC 3339 time"))?)
        }
    };
    let public_key = match (alg, request.public_key.as_deref()) {
        (2, Some(text)) => {
            let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
            Some(bytes.ok_or_else(|| bad("public_key is base64 of 32 bytes"))?)
        }
        (2, None) => return Err(bad("an Ed25519 key needs its public_key")),
        (_, Some(_)) => return Err(bad("public_key goes with Ed25519 only")),
        (_, None) => None,
    };
    Ok(NewKey {
        key_id: request.key_id.unwrap_or_default(),
        purpose,
        alg,
        tenant,
        source: request.source.unwrap_or_else(|| "api".to_owned()),
        roles,
        types: types.ok_or_else(|| bad("types holds a name that is no event type"))?,
        issuers: request.issuers,
        regions: request.regions,
        signed_only: request.signed_only,
        strict: request.strict,
        expires_at,
        public_key,
        secret_hash: None,
    })
}

/// Adds a key.
///
/// # Errors
/// 401, 403, 422.
pub async fn add(State(app): Shared, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let caller = admin(&app, &headers)?;
    let new = judged(json_body(&app, &headers, body).await?, &caller)?;
    let node = Arc::clone(&app.node);
    let added = app.gate.wait(move || Ok(node.add_key(new)?)).await?;
    let added = AddedKey {
        key_id: added.key_id,
        index: added.index,
        secret: added.secret,
        replaces: None,
        old_key_ends_at: None,
    };
    Ok((StatusCode::CREATED, json(&added)?).into_response())
}

/// Makes a key with the grant of another, which ends now or after an overlap.
///
/// # Errors
/// 401, 403; 404 for a key of another tenant as for none; 409 when it has ended or is being
/// replaced; 422 for an overlap that is too long, or a public key that is none.
pub async fn rotate(
    State(app): Shared,
    Segments(key_id): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let caller = admin(&app, &headers)?;
    let request: RotateKey = json_body(&app, &headers, body).await?;
    let bad = |detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_key", detail);
    if request.overlap_seconds > key_ends::OVERLAP_MAX_SECONDS {
        return Err(bad("overlap_seconds is at most 7776000, 90 days"));
    }
    let public_key = match request.public_key.as_deref() {
        None => None,
        Some(text) => {
            let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
            Some(bytes.ok_or_else(|| bad("public_key is base64 of 32 bytes"))?)
        }
    };
    let (of, old) = (Arc::clone(&app), key_id.clone());
    let overlap = request.overlap_seconds;
    let work = move || key_ends::rotate(&of, &caller, &key_id, public_key, overlap);
    let (added, ends_at) = app.gate.wait(work).await?;
    let added = AddedKey {
        key_id: added.key_id,
        index: added.index,
        secret: added.secret,
        replaces: Some(old),
        old_key_ends_at: Some(Time(ends_at)),
    };
    Ok((StatusCode::CREATED, json(&added)?).into_response())
}

/// Ends a key.
///
/// # Errors
/// 401, 403; 404 for a key of another tenant as for none; 409 when it has ended before; 422 for a
/// reason that cannot be recorded.
pub async fn retire(
    State(app): Shared,
    Segments(key_id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = admin(&app, &headers)?;
    params.reason.as_deref().map_or(Ok(()), |reason| check_text("bad_key", reason))?;
    let keys = app.node.keys();
    let key = keys.iter().find(|key| *key.key_id == *key_id && caller.may_see(&key.tenant));
    let key = key.ok_or_else(Problem::not_found)?;
    // That it leaked may be found out after it ended.
    if key.valid_until.is_some() && (key.compromised || !params.compromised) {
        let detail = "the key has ended before";
        return Err(Problem::new(StatusCode::CONFLICT, "key_ended", detail));
    }
    let node = Arc::clone(&app.node);
    let index = app
        .gate
        .wait(move || Ok(node.retire_key(&key_id, params.compromised, params.reason.as_deref())?))
        .await?;
    json(&RecordedAt { index })
}

/// The handle of a personal value.
///
/// # Errors
/// 401, 403; 404 when the vault knows none.
pub async fn resolve(
    State(app): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let caller = auth::require(&app, &headers, Roles::PRIVACY, NEEDS_PRIVACY)?;
    let request: Resolve = json_body(&app, &headers, body).await?;
    let tenant = auth::tenant(&caller, request.tenant.as_deref())?;
    let kind = HandleKind::from_symbol(&request.kind).filter(|kind| *kind != HandleKind::Other);
    let kind = kind.ok_or_else(|| {
        let detail = "kind is PERSON, ADDR, NET, DEVICE, AGENT or RESOURCE";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_kind", detail)
    })?;
    let node = Arc::clone(&app.node);
    let found = app
        .gate
        .wait(move || Ok(node.resolve(&tenant, kind, &request.issuer, &request.value)))
        .await?;
    let handle = found.ok_or_else(Problem::not_found)?;
    json(&Resolved { kind: Word(kind), handle: Handle(handle) })
}

/// Erases the personal data of a handle, for ever.
///
/// # Errors
/// 401, 403, 422.
pub async fn erase(
    State(app): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let caller = auth::require(&app, &headers, Roles::PRIVACY, NEEDS_PRIVACY)?;
    let request: Erase = json_body(&app, &headers, body).await?;
    let tenant = auth::tenant(&caller, request.tenant.as_deref())?;
    let bad = |detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_erasure", detail);
    let handle = uuid_text::parse(&request.handle);
    let handle = handle.ok_or_else(|| bad("handle is 32 hex digits"))?;
    if request.purpose.trim().is_empty() {
        return Err(bad("say the purpose: it stands in the ledger"));
    }
    check_text("bad_erasure", &request.purpose)?;
    let node = Arc::clone(&app.node);
    let erased =
        app.gate.wait(move || Ok(node.erase(&caller, &tenant, handle, &request.purpose)?)).await?;
    json(&Erased { index: erased.index, frames_zeroed: erased.frames_zeroed })
}
