//! The resource server's log: one RESOURCE_ACCESSED for each call.
//!
//! A line is mapped by itself, without memory: the events of this log do not depend on whether the
//! provider's log was read before it.

use ledgerline_api::event::{Event, Policy};
use ledgerline_api::values::Str;
use ledgerline_proof::vocabulary::{
    EventType, Outcome, PolicyRole, TargetKind, TokenKind, Vantage,
};

use crate::oidc_provider::facts::{
    ADAPTER, act_chain, code, delegate, request, subject, target, template, words,
};
use crate::oidc_provider::model::ResourceLine;
use ledgerline_adapter::pieces::{detail, texts, word};
use ledgerline_adapter::token_id::is_lower_name;
use ledgerline_adapter::{Millis, Naming, Problem};

/// Lines come in order of completion and their times step back by some milliseconds.
const UNCERTAINTY_NS: i64 = 5_000_000;

/// Refusals that come after the signature was found good: only these, and what was let in, are
/// acts of the JWT that the line names. A forged one claims the jti of a real token.
const AFTER_SIGNATURE: [&str; 6] = [
    "token_expired",
    "inactive",
    "wrong_audience",
    "insufficient_scope",
    "mfa_required",
    "client_not_allowed",
];

/// Parts of words for a token that was not verified, or not of this issuer.
const BEFORE_SIGNATURE: [&str; 16] = [
    "alg",
    "bad_jwt",
    "decod",
    "forg",
    "invalid_jwt",
    "invalid_token",
    "issuer",
    "jwk",
    "jws",
    "key",
    "kid",
    "malform",
    "parse",
    "signature",
    "unsigned",
    "unverified",
];

/// Refusals that the access policy made.
const BY_POLICY: [&str; 3] = ["insufficient_scope", "mfa_required", "client_not_allowed"];

/// The event of one line.
pub(super) fn event(naming: &Naming, line: ResourceLine) -> Result<Event<'static>, Problem> {
    let at = Millis::parse(&line.time).ok_or(Problem::Malformed("time"))?.rfc3339();
    if !is_request_id(&line.request_id) {
        return Err(Problem::Malformed("request_id"));
    }
    if !is_lower_name(&line.service) || line.service.len() > 64 {
        return Err(Problem::Malformed("service"));
    }
    let outcome = match line.decision.as_str() {
        "allow" => Outcome::Allow,
        "deny" => Outcome::Deny,
        _ => return Err(Problem::Malformed("decision")),
    };
    let reason = match (&line.reason, outcome) {
        (Some(reason), _) => Some(code(reason).unwrap_or_else(|| "other".to_owned())),
        (None, Outcome::Deny) => Some("other".to_owned()),
        (None, _) => None,
    };
    let mut event = Event {
        native_id: Some(format!("resource/{at}/{}", line.request_id).into()),
        event_type: word(EventType::ResourceAccessed),
        outcome: word(outcome),
        occurred_at: Some(at.into()),
        time_uncertainty_ns: Some(UNCERTAINTY_NS),
        vantage: word(Vantage::Resource),
        issuer: Some(naming.alias().to_owned().into()),
        token_kind: word(TokenKind::Access),
        scopes: texts(words(line.scope.as_deref())),
        endpoint: Some(template(&line.path).into()),
        resource: Some(template(&line.path).into()),
        action: Some(line.method.clone().into()),
        status: line.status.map(i32::from),
        policies: policies(&line, outcome, reason.as_deref()),
        correlation_id: Some(line.request_id.clone().into()),
        adapter: Some(ADAPTER),
        ..Event::default()
    };
    aim(&mut event, naming, &line, outcome, reason.as_deref())?;
    event.reason = reason.map(Str::Owned);
    // A machine's own token has the client as its subject, which is no person.
    event.personal.extend(subject(line.sub.as_deref().filter(|sub| Some(*sub) != client(&line))));
    let concrete = format!("{}{}", line.service, line.path);
    event.personal.extend(request(line.ip.as_deref(), line.user_agent.as_deref(), Some(&concrete)));
    let acts = line.act.map(act_chain).unwrap_or_default();
    delegate(&mut event, naming, &acts, line.client_id.as_deref());
    event.client_id = line.client_id.map(Str::Owned);
    event.service = Some(line.service.into());
    Ok(event)
}

fn client(line: &ResourceLine) -> Option<&str> {
    line.client_id.as_deref()
}

/// Gives the event its target: the presented token, or the service when there is none to name.
fn aim(
    event: &mut Event<'_>,
    naming: &Naming,
    line: &ResourceLine,
    outcome: Outcome,
    reason: Option<&str>,
) -> Result<(), Problem> {
    let token = line.token.as_deref();
    let verified = outcome == Outcome::Allow
        || reason.is_some_and(|reason| AFTER_SIGNATURE.contains(&reason))
        || tells_claims(line) && !line.reason.as_deref().is_some_and(may_be_before_signature);
    let (id, claim) = match (line.token_form.as_str(), token) {
        ("jwt", Some(jti)) if verified => (naming.jti(jti), None),
        ("jwt", Some(jti)) => (None, Some(naming.jti_digest(jti))),
        ("opaque", Some(value)) => (naming.bearer(value), None),
        ("none", _) => (None, None),
        ("jwt" | "opaque", None) => return Err(Problem::Missing("token")),
        _ => return Err(Problem::Malformed("token_form")),
    };
    if id.is_some() {
        event.token_id = id.map(Str::Owned);
        return Ok(());
    }
    if outcome == Outcome::Allow && token.is_some() {
        return Err(Problem::WeakToken("token"));
    }
    event.target = Some(target(TargetKind::Source, line.service.clone()));
    if let Some(value) = claim {
        event.detail.push(detail("claimed_token", value));
    }
    Ok(())
}

/// Whether the server read claims of the JWT into its line: it does so when the signature held, and
/// a forged one leaves them null. That is how a reason unheard of is booked on the token all the
/// same.
fn tells_claims(line: &ResourceLine) -> bool {
    line.token_form == "jwt" && line.sub.is_some() && line.client_id.is_some()
}

/// Whether a reason may mean that the signature was not found good, whatever else the line tells.
fn may_be_before_signature(reason: &str) -> bool {
    let words = reason.to_ascii_lowercase().replace([' ', '-'], "_");
    BEFORE_SIGNATURE.iter().any(|part| words.contains(part))
}

fn policies(line: &ResourceLine, outcome: Outcome, reason: Option<&str>) -> Vec<Policy<'static>> {
    let (Some(id), Some(version)) = (&line.policy_id, line.policy_version) else {
        return Vec::new();
    };
    let decided = match outcome {
        Outcome::Allow => Some(Outcome::Allow),
        _ if reason.is_some_and(|reason| BY_POLICY.contains(&reason)) => Some(Outcome::Deny),
        _ => None,
    };
    vec![Policy {
        id: id.clone().into(),
        version: version.to_string().into(),
        digest: None,
        role: word(PolicyRole::Access),
        effect: decided.and_then(word),
    }]
}

/// Request ids stand in native ids: they must be short and plain.
pub(super) fn is_request_id(text: &str) -> bool {
    let sound =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':');
    (1..=64).contains(&text.len()) && text.bytes().all(sound)
}
