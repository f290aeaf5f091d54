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
use ledgerline_answers::answer::json_value;
use ledgerline_answers::problem::Problem;
use ledgerline_api::{time_text, uuid_text};
use ledgerline_ledger::planner::NewKey;
use ledgerline_proof::vocabulary::{EventType, HandleKind, KeyPurpose};
use ledgerline_view::registry::{Caller, Key, Roles};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::extract::{Params, Segments, check_text, json_body};
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
    let keys: Vec<_> = seen.map(|key| key_value(&app, key)).collect();
    Ok(json_value(&json!({ "keys": keys })))
}

fn key_value(app: &App, key: &Key) -> Value {
    let ending = app.endings.of(&key.key_id).filter(|_| key.valid_until.is_none());
    let expired = key.expires_at.is_some_and(|end| end <= app.node.now());
    let status = match (key.valid_until, &ending) {
        (Some(_), _) if key.compromised => "compromised",
        (Some(_), _) => "retired",
        (None, _) if expired => "expired",
        (None, Some(_)) => "ending",
        (None, None) => "valid",
    };
    json!({
        "key_id": &*key.key_id,
        "status": status,
        "ends_at": ending.as_ref().map(|one| time_text::rfc3339(one.at)),
        "successor": app.endings.successor(&key.key_id),
        "purpose": key.purpose.symbol(),
        "alg": alg_name(key.alg),
        "tenant": &*key.tenant,
        "source": &*key.source,
        "roles": key.roles.names(),
        "types": key.grant.types.iter().map(|t| t.symbol()).collect::<Vec<_>>(),
        "issuers": key.grant.issuers,
        "regions": key.grant.regions,
        "signed_only": key.grant.signed_only,
        "strict": key.grant.strict,
        "valid_from": key.valid_from,
        "valid_until": key.valid_until,
        "compromised": key.compromised,
        "expires_at": key.expires_at.map(time_text::rfc3339),
    })
}

fn alg_name(alg: i32) -> Option<&'static str> {
    match alg {
        1 => Some("HMAC-SHA256"),
        2 => Some("Ed25519"),
        _ => None,
    }
}

/// A key to add. Without `alg` it is a credential; with one, a producer's signing key.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRequest {
    key_id: Option<String>,
    alg: Option<String>,
    tenant: Option<String>,
    source: Option<String>,
    roles: Vec<String>,
    types: Vec<String>,
    issuers: Vec<String>,
    regions: Vec<String>,
    signed_only: bool,
    strict: bool,
    expires_at: Option<String>,
    public_key: Option<String>,
}

impl KeyRequest {
    fn into_new(self, by: &Caller) -> Result<NewKey, Problem> {
        let bad = |detail: &'static str| {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_key", detail)
        };
        let tenant = self.tenant.unwrap_or_else(|| by.own_tenant().to_owned());
        if !by.may_see(&tenant) {
            return Err(Problem::forbidden("this administrator acts for its own tenant only"));
        }
        if self.key_id.is_some() && !auth::is_all_tenant(by) {
            return Err(bad(
                "ids are of the whole ledger, so only an administrator of all tenants \
                            chooses one; leave key_id out, and the answer names it",
            ));
        }
        let (purpose, alg) = match self.alg.as_deref() {
            None => (KeyPurpose::Credential, 0),
            Some("HMAC-SHA256") => (KeyPurpose::Producer, 1),
            Some("Ed25519") => (KeyPurpose::Producer, 2),
            Some(_) => return Err(bad("alg is HMAC-SHA256 or Ed25519; absent for a credential")),
        };
        let roles = Roles::parse(&self.roles);
        let roles = roles.ok_or_else(|| {
            bad("roles holds a name that is no role; they are producer, reader, auditor, privacy, \
                 responder, resource_server, client, admin")
        })?;
        if purpose == KeyPurpose::Credential && self.roles.is_empty() {
            return Err(bad("a credential needs at least one role"));
        }
        let types: Option<Vec<_>> =
            self.types.iter().map(|name| EventType::from_symbol(name)).collect();
        let expires_at = match self.expires_at.as_deref() {
            None => None,
            Some(text) => {
                Some(time_text::parse(text).ok_or_else(|| bad("expires_at is no RFC 3339 time"))?)
            }
        };
        let public_key = match (alg, self.public_key.as_deref()) {
            (2, Some(text)) => {
                let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
                Some(bytes.ok_or_else(|| bad("public_key is base64 of 32 bytes"))?)
            }
            (2, None) => return Err(bad("an Ed25519 key needs its public_key")),
            (_, Some(_)) => return Err(bad("public_key goes with Ed25519 only")),
            (_, None) => None,
        };
        Ok(NewKey {
            key_id: self.key_id.unwrap_or_default(),
            purpose,
            alg,
            tenant,
            source: self.source.unwrap_or_else(|| "api".to_owned()),
            roles,
            types: types.ok_or_else(|| bad("types holds a name that is no event type"))?,
            issuers: self.issuers,
            regions: self.regions,
            signed_only: self.signed_only,
            strict: self.strict,
            expires_at,
            public_key,
            secret_hash: None,
        })
    }
}

/// Adds a key.
///
/// # Errors
/// 401, 403, 422.
pub async fn add(State(app): Shared, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let caller = admin(&app, &headers)?;
    let request: KeyRequest = json_body(&app, &headers, body).await?;
    let new = request.into_new(&caller)?;
    let node = Arc::clone(&app.node);
    let added = app.gate.wait(move || Ok(node.add_key(new)?)).await?;
    let body = json_value(&json!({
        "key_id": added.key_id,
        "index": added.index,
        "secret": added.secret,
    }));
    Ok((StatusCode::CREATED, body).into_response())
}

/// How a key is replaced.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RotateRequest {
    public_key: Option<String>,
    overlap_seconds: u64,
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
    let request: RotateRequest = json_body(&app, &headers, body).await?;
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
    let body = json_value(&json!({
        "key_id": added.key_id,
        "index": added.index,
        "secret": added.secret,
        "replaces": old,
        "old_key_ends_at": time_text::rfc3339(ends_at),
    }));
    Ok((StatusCode::CREATED, body).into_response())
}

/// How a key ends.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RetireQuery {
    compromised: bool,
    reason: Option<String>,
}

/// Ends a key.
///
/// # Errors
/// 401, 403; 404 for a key of another tenant as for none; 409 when it has ended before; 422 for a
/// reason that cannot be recorded.
pub async fn retire(
    State(app): Shared,
    Segments(key_id): Segments<String>,
    Params(query): Params<RetireQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = admin(&app, &headers)?;
    query.reason.as_deref().map_or(Ok(()), |reason| check_text("bad_key", reason))?;
    let keys = app.node.keys();
    let key = keys.iter().find(|key| *key.key_id == *key_id && caller.may_see(&key.tenant));
    let key = key.ok_or_else(Problem::not_found)?;
    // That it leaked may be found out after it ended.
    if key.valid_until.is_some() && (key.compromised || !query.compromised) {
        let detail = "the key has ended before";
        return Err(Problem::new(StatusCode::CONFLICT, "key_ended", detail));
    }
    let node = Arc::clone(&app.node);
    let index = app
        .gate
        .wait(move || {
            let RetireQuery { compromised, reason } = query;
            Ok(node.retire_key(&key_id, compromised, reason.as_deref())?)
        })
        .await?;
    Ok(json_value(&json!({ "index": index })))
}

/// A personal value to look up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    kind: String,
    #[serde(default)]
    issuer: String,
    value: String,
    tenant: Option<String>,
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
    let request: ResolveRequest = json_body(&app, &headers, body).await?;
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
    Ok(json_value(&json!({ "kind": kind.symbol(), "handle": uuid_text::hex(&handle) })))
}

/// A handle whose personal data must go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EraseRequest {
    handle: String,
    purpose: String,
    tenant: Option<String>,
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
    let request: EraseRequest = json_body(&app, &headers, body).await?;
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
    Ok(json_value(&json!({ "index": erased.index, "frames_zeroed": erased.frames_zeroed })))
}
