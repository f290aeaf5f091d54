//! The attributes of token events: `token.*`, and some of the general conventions.
//!
//! ```text
//! token.id                        the token: <region>:<issuer>:<form>:<value>, never the token
//! token.target.kind, .id          in its place, for what is no token
//! token.kind .issuer .client_id .grant_id .session_id .family_id .reason .outcome .service
//! token.generation                a number
//! token.scopes .audience          lists, or one text with blanks
//! token.issued_at .not_before .expires_at     RFC 3339, or seconds since 1970
//! token.parent.id .relation .strength         an edge to the token it was made from
//! token.policy.id .version        the policy that decided
//! token.event_id                  the event's own name
//! http.route .request.method .response.status_code, session.id, service.name
//! user.id, client.address, user_agent.original, url.path       sealed
//! ```
//!
//! Refuses: any other `token.*`, so that a typing mistake is no silent loss.

use ledgerline_api::event::{Adapter, Event, Link, Personal, Policy, Target};
use ledgerline_api::uuid_text;
use ledgerline_api::values::Timestamp;
use ledgerline_ledger::intake::EventError;
use ledgerline_proof::vocabulary::{PersonalRole, Relation, Strength};

use super::wire::{AnyValue, Kind};
use super::{Happened, texts};

/// What the events carry as their adapter.
pub(crate) const ADAPTER: &str = "otlp";
/// Which mapping it is. Raised with the mapping only: what is sent again after an upgrade must be
/// the same event.
const MAPPING: &str = "1";

/// Every attribute of the convention.
const KNOWN: [&str; 25] = [
    "token.audience",
    "token.client_id",
    "token.event_id",
    "token.expires_at",
    "token.family_id",
    "token.generation",
    "token.grant_id",
    "token.id",
    "token.issued_at",
    "token.issuer",
    "token.kind",
    "token.not_before",
    "token.outcome",
    "token.parent.id",
    "token.parent.relation",
    "token.parent.strength",
    "token.policy.id",
    "token.policy.version",
    "token.reason",
    "token.resource",
    "token.scopes",
    "token.service",
    "token.session_id",
    "token.target.id",
    "token.target.kind",
];

fn bad(name: &'static str, what: &str) -> EventError {
    EventError::new("bad_field", format!("`{name}` {what}")).about(name)
}

/// Whether an attribute of the convention has a value that is read: what is passed over in silence
/// would be an event that says something else.
fn check_kind(happened: &Happened<'_>, name: &'static str) -> Result<(), EventError> {
    let Some(value) = happened.get(name) else {
        // Its length is judged by whoever asks for it.
        let is_read = happened.is_too_long.get();
        return if is_read { Ok(()) } else { Err(bad(name, "has no value that is read")) };
    };
    let is_text = |one: &AnyValue| matches!(one.kind, Some(Kind::Text(_)));
    let (fits, wanted) = match (name, value) {
        // Numbers and times say themselves what they want.
        ("token.generation" | "token.issued_at" | "token.not_before" | "token.expires_at", _) => {
            (true, "")
        }
        ("token.scopes" | "token.audience", Kind::Several(list)) => {
            (list.values.iter().all(is_text), "is texts")
        }
        ("token.scopes" | "token.audience", value) => (matches!(value, Kind::Text(_)), "is texts"),
        (_, value) => (matches!(value, Kind::Text(_)), "is a text"),
    };
    if fits { Ok(()) } else { Err(bad(name, wanted)) }
}

/// The event that something of the convention is.
pub(crate) fn event(
    happened: &Happened<'_>,
    event_type: &'static str,
) -> Result<Event<'static>, EventError> {
    for name in happened.names().filter(|name| name.starts_with("token.")) {
        let Some(name) = KNOWN.iter().find(|known| **known == name) else {
            let detail = format!("there is no such attribute; there is {}", KNOWN.join(", "));
            return Err(EventError::new("unknown_field", detail));
        };
        check_kind(happened, name)?;
    }
    let text = |name: &str| happened.text(name).map(|text| text.to_owned().into());
    let mut event = base(happened)?;
    event.event_type = Some(event_type.into());
    event.token_id = text("token.id");
    if let Some(kind) = happened.text("token.target.kind") {
        let id = happened.text("token.target.id").unwrap_or_default().to_owned();
        event.target = Some(Target { kind: kind.to_owned().into(), id: id.into() });
    }
    event.token_kind = text("token.kind");
    event.issuer = text("token.issuer");
    event.client_id = text("token.client_id");
    event.grant_id = text("token.grant_id");
    event.session_id = text("token.session_id").or_else(|| text("session.id"));
    event.family_id = text("token.family_id");
    event.reason = text("token.reason");
    event.outcome = text("token.outcome");
    event.resource = text("token.resource");
    event.service = text("token.service").or(event.service);
    event.generation = match happened.get("token.generation") {
        None => None,
        Some(Kind::Whole(number)) => Some(*number),
        Some(_) => return Err(bad("token.generation", "is a whole number")),
    };
    let list = |name: &str| happened.get(name).map(texts).unwrap_or_default();
    event.scopes = list("token.scopes").into_iter().map(Into::into).collect();
    event.audience = list("token.audience").into_iter().map(Into::into).collect();
    event.issued_at = time(happened, "token.issued_at")?;
    event.not_before = time(happened, "token.not_before")?;
    event.expires_at = time(happened, "token.expires_at")?;
    event.endpoint = text("http.route");
    event.action = text("http.request.method");
    event.status = match happened.get("http.response.status_code") {
        Some(Kind::Whole(status)) => i32::try_from(*status).ok(),
        _ => None,
    };
    event.links = link(happened)?.into_iter().collect();
    event.policies = policy(happened)?.into_iter().collect();
    event.personal = personal(happened);
    Ok(event)
}

/// What every event has.
pub(crate) fn base(happened: &Happened<'_>) -> Result<Event<'static>, EventError> {
    let at = i64::try_from(happened.nanos).ok().filter(|nanos| *nanos > 0);
    let at = at.ok_or_else(|| bad("time_unix_nano", "is missing or out of range"))?;
    let is_trace = happened.trace_id.len() == 16 && happened.trace_id.iter().any(|byte| *byte != 0);
    Ok(Event {
        occurred_at: Some(Timestamp::At(at)),
        service: happened.text("service.name").map(|text| text.to_owned().into()),
        trace_id: is_trace.then(|| uuid_text::hex(happened.trace_id).into()),
        adapter: Some(Adapter { name: ADAPTER.into(), version: MAPPING.into() }),
        ..Event::default()
    })
}

fn time(
    happened: &Happened<'_>,
    name: &'static str,
) -> Result<Option<Timestamp<'static>>, EventError> {
    match happened.get(name) {
        None => Ok(None),
        Some(Kind::Text(text)) => Ok(Some(Timestamp::Text(text.clone().into()))),
        Some(Kind::Whole(seconds)) => {
            let nanos = seconds.checked_mul(1_000_000_000).filter(|nanos| *nanos >= 0);
            let nanos = nanos.ok_or_else(|| bad(name, "is out of range"))?;
            Ok(Some(Timestamp::At(nanos)))
        }
        Some(_) => Err(bad(name, "is RFC 3339, or whole seconds since 1970")),
    }
}

fn link(happened: &Happened<'_>) -> Result<Option<Link<'static>>, EventError> {
    let Some(id) = happened.text("token.parent.id") else { return Ok(None) };
    let relation = happened.text("token.parent.relation");
    let relation = relation.ok_or_else(|| bad("token.parent.relation", "is missing"))?;
    if Relation::from_symbol(relation).is_none() {
        return Err(bad("token.parent.relation", "is no word of the list"));
    }
    let strength = happened.text("token.parent.strength").unwrap_or(Strength::Asserted.symbol());
    Ok(Some(Link {
        token_id: Some(id.to_owned().into()),
        event: None,
        relation: relation.to_owned().into(),
        strength: Some(strength.to_owned().into()),
        why: None,
    }))
}

fn policy(happened: &Happened<'_>) -> Result<Option<Policy<'static>>, EventError> {
    let Some(id) = happened.text("token.policy.id") else { return Ok(None) };
    let version = happened.text("token.policy.version");
    let version = version.ok_or_else(|| bad("token.policy.version", "is missing"))?;
    Ok(Some(Policy {
        id: id.to_owned().into(),
        version: version.to_owned().into(),
        digest: None,
        role: None,
        effect: None,
    }))
}

fn personal(happened: &Happened<'_>) -> Vec<Personal<'static>> {
    let text = |name: &str| happened.text(name).map(|text| text.to_owned().into());
    let mut records = Vec::new();
    if let Some(user) = text("user.id").or_else(|| text("enduser.id")) {
        records.push(Personal { user_id: Some(user), ..Personal::of(PersonalRole::Subject) });
    }
    let (ip, agent) = (text("client.address"), text("user_agent.original"));
    let path = text("url.path");
    if ip.is_some() || agent.is_some() || path.is_some() {
        let request = Personal::of(PersonalRole::Request);
        records.push(Personal { ip, user_agent: agent, resource: path, ..request });
    }
    records
}
