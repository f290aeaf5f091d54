//! What each kind of security event means here.
//!
//! ```text
//! caep session-revoked                          REVOKED of the session, the token or the person
//!                                               (of the person: narrowed to the application; an
//!                                               ADMIN_ACT where a device, tenant or group narrows)
//! risc sessions-revoked account-disabled
//!      account-purged credential-compromise     REVOKED of the person: what was issued until then
//! caep session-established, session-presented   ISSUED, USED of the session
//! caep token-claims-change
//!      assurance-level-change                   POLICY_CHANGED about the subject
//! all others of CAEP and RISC                   ADMIN_ACT about the subject, action = the kind
//! ssf  verification                             HEARTBEAT of the source, detail state
//! ssf  stream-updated                           ADMIN_ACT about the source
//! ```
//!
//! A time in whole seconds covers its second: what was issued in it is revoked, too.

use std::collections::BTreeMap;

use ledgerline_api::event::{Event, Mfa, Personal, Selector};
use ledgerline_api::values::Timestamp;
use ledgerline_proof::vocabulary::{EventType, Outcome, PersonalRole, TargetKind, Vantage};
use serde_json::Value;

use super::subject::{Subject, target};
use super::{SetRefusal, detail, invalid, plain};
use crate::pieces::word;

const FAMILIES: [(&str, &str); 3] = [
    ("caep", "https://schemas.openid.net/secevent/caep/event-type/"),
    ("risc", "https://schemas.openid.net/secevent/risc/event-type/"),
    ("ssf", "https://schemas.openid.net/secevent/ssf/event-type/"),
];

/// Kinds that have no row of their own below: something was done about a person.
const ACTS: [(&str, &str); 16] = [
    ("caep", "credential-change"),
    ("caep", "device-compliance-change"),
    ("caep", "risk-level-change"),
    ("caep", "session-established"),
    ("caep", "session-presented"),
    ("risc", "account-credential-change-required"),
    ("risc", "account-enabled"),
    ("risc", "identifier-changed"),
    ("risc", "identifier-recycled"),
    ("risc", "opt-in"),
    ("risc", "opt-out-initiated"),
    ("risc", "opt-out-cancelled"),
    ("risc", "opt-out-effective"),
    ("risc", "recovery-activated"),
    ("risc", "recovery-information-changed"),
    ("ssf", "stream-updated"),
];

/// Members of events that are words of closed lists, and never personal.
const WORDS: [&str; 14] = [
    "change_direction",
    "change_type",
    "credential_type",
    "current_level",
    "current_status",
    "event_class",
    "initiating_entity",
    "namespace",
    "previous_level",
    "previous_status",
    "principal",
    "reason",
    "risk_level",
    "status",
];

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// A kind of event.
pub(super) struct Told {
    family: &'static str,
    kind: &'static str,
    event_type: EventType,
    /// Whether it is about the stream itself.
    pub is_of_stream: bool,
}

/// What a type means.
pub(super) fn told(type_uri: &str, payload: &Value) -> Result<Told, SetRefusal> {
    let unknown = || invalid("the type of the event is not known here");
    let (family, kind) = FAMILIES
        .iter()
        .find_map(|(family, base)| Some((*family, type_uri.strip_prefix(base)?)))
        .ok_or_else(unknown)?;
    let (kind, event_type) = match (family, kind) {
        ("caep", "session-revoked") => ("session-revoked", EventType::Revoked),
        ("risc", "sessions-revoked") => ("sessions-revoked", EventType::Revoked),
        ("risc", "account-disabled") => ("account-disabled", EventType::Revoked),
        ("risc", "account-purged") => ("account-purged", EventType::Revoked),
        ("risc", "credential-compromise") => ("credential-compromise", EventType::Revoked),
        ("caep", "token-claims-change") if !payload["claims"].is_object() => {
            return Err(invalid("token-claims-change has claims, an object"));
        }
        ("caep", "token-claims-change") => ("token-claims-change", EventType::PolicyChanged),
        ("caep", "assurance-level-change") => ("assurance-level-change", EventType::PolicyChanged),
        ("ssf", "verification") => ("verification", EventType::Heartbeat),
        other => {
            let known = ACTS.iter().find(|one| **one == other).ok_or_else(unknown)?;
            (known.1, EventType::AdminAct)
        }
    };
    Ok(Told { family, kind, event_type, is_of_stream: family == "ssf" })
}

/// Tokens issued until an instant, its whole second included.
pub(super) fn issued_until(at: i64) -> Selector<'static> {
    let end = if at % SECOND == 0 { at.saturating_add(SECOND) } else { at };
    Selector { issued_before: Some(Timestamp::At(end)), client: None, audience: None }
}

/// Fills in what an event about a subject says.
pub(super) fn tell(
    event: &mut Event<'static>,
    told: &Told,
    payload: &Value,
    subject: &Subject,
    at: i64,
) -> Result<(), SetRefusal> {
    event.target = Some(subject.target());
    event.session_id = subject.session.as_ref().map(|(id, _)| id.clone().into());
    event.client_id = subject.client.clone().map(Into::into);
    if let Some(issuer) = &subject.issuer {
        if event.issuer.as_deref() != Some(issuer) {
            // Told by somebody else than who issued what it is about.
            event.vantage = word(Vantage::Observer);
        }
        event.issuer = Some(issuer.clone().into());
    }
    // Of a person on one device or in one group: more must not end than was said.
    let is_wider = subject.is_person() && subject.is_narrower;
    let event_type = match (told.kind, &subject.session) {
        ("session-established", Some(_)) => EventType::Issued,
        ("session-presented", Some(_)) => EventType::Used,
        _ if told.event_type == EventType::Revoked && is_wider => EventType::AdminAct,
        _ => told.event_type,
    };
    event.event_type = word(event_type);
    let record = subject.record();
    if subject.is_person() && record.as_ref().is_none_or(|record| record.user_id.is_none()) {
        return Err(invalid("the subject names no user, session or token"));
    }
    match event_type {
        EventType::Revoked => {
            event.reason = Some(reason(told.kind, payload).into());
            let client = subject.client.clone().map(Into::into);
            event.selector = subject.is_person().then(|| Selector { client, ..issued_until(at) });
        }
        _ => event.action = Some(told.kind.into()),
    }
    if told.kind == "session-presented" {
        event.outcome = word(Outcome::Allow);
    }
    event.mfa = mfa(payload);
    event.detail = details(told, payload);
    event.personal = records(record, payload);
    Ok(())
}

/// Fills in what an event about the stream says.
pub(super) fn tell_of_stream(
    event: &mut Event<'static>,
    told: &Told,
    payload: &Value,
    sub_id: Option<&Value>,
    source: &str,
) {
    event.event_type = word(told.event_type);
    event.target = Some(target(TargetKind::Source, source.to_owned()));
    if told.event_type == EventType::AdminAct {
        event.action = Some(told.kind.into());
    }
    event.detail = details(told, payload);
    let state = payload["state"].as_str().and_then(plain);
    let stream = sub_id.and_then(|subject| subject["id"].as_str()).and_then(plain);
    event.detail.extend(state.map(|state| detail("state", &state)));
    event.detail.extend(stream.map(|stream| detail("stream_id", &stream)));
    event.detail.sort_by(|one, other| one.key.cmp(&other.key));
}

/// Why something was revoked, in a word.
fn reason(kind: &str, payload: &Value) -> &'static str {
    match (kind, payload["initiating_entity"].as_str()) {
        ("account-disabled", _) => "account_disabled",
        ("account-purged", _) => "account_purged",
        ("credential-compromise", _) => "compromise",
        (_, Some("user")) => "user",
        (_, Some("admin")) => "admin",
        (_, Some("policy")) => "policy_change",
        _ => "issuer",
    }
}

/// How a session began, where the event says so.
fn mfa(payload: &Value) -> Option<Mfa<'static>> {
    let acr = payload["acr"].as_str().and_then(plain);
    let list = payload["amr"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let methods: Vec<_> = list.filter_map(plain).map(Into::into).collect();
    let is_said = acr.is_some() || !methods.is_empty();
    is_said.then(|| Mfa { methods, acr: acr.map(Into::into), completed_at: None })
}

fn details(told: &Told, payload: &Value) -> Vec<ledgerline_api::event::Detail<'static>> {
    let mut found = BTreeMap::new();
    for name in WORDS {
        let value = payload.get(name).and_then(Value::as_str).filter(|value| is_word(value));
        found.extend(value.map(|value| (name, value.to_owned())));
    }
    if let Some(claims) = payload["claims"].as_object() {
        let names: Vec<&str> =
            claims.keys().map(String::as_str).filter(|name| is_word(name)).collect();
        found.insert("claims", names.join(" "));
    }
    found.insert("set_type", format!("{}/{}", told.family, told.kind));
    found.iter().map(|(name, value)| detail(name, value)).collect()
}

/// Whether a value is one of a list rather than a text somebody wrote.
fn is_word(value: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    (1..=64).contains(&value.len()) && value.bytes().all(sign)
}

/// The sealed records: the person, with what the event says in free text, and the request.
fn records(subject: Option<Personal<'static>>, payload: &Value) -> Vec<Personal<'static>> {
    let mut said: Vec<(String, String)> = Vec::new();
    for name in ["reason_admin", "reason_user"] {
        match &payload[name] {
            Value::String(text) => said.push((name.to_owned(), text.clone())),
            Value::Object(languages) => said.extend(languages.iter().filter_map(|(tag, text)| {
                Some((format!("{name}_{tag}"), text.as_str()?.to_owned()))
            })),
            _ => {}
        }
    }
    for name in ["friendly_name", "new-value", "risk_reason"] {
        said.extend(payload[name].as_str().map(|text| (name.to_owned(), text.to_owned())));
    }
    for (name, value) in payload["claims"].as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        said.push((format!("claim_{name}"), text));
    }
    let mut records: Vec<Personal<'static>> = Vec::new();
    let mut subject = subject;
    if !said.is_empty() {
        // Without a person it is said of the request.
        let into = subject.get_or_insert_with(|| Personal::of(PersonalRole::Request));
        let kept = said.iter().filter_map(|(name, text)| Some((plain(name)?, plain(text)?)));
        into.attributes.extend(kept.map(|(name, text)| (name.into(), text.into())));
    }
    records.extend(subject);
    let ip = payload["ips"].as_array().and_then(|list| list.first()).and_then(Value::as_str);
    let agent = payload["fp_ua"].as_str();
    if ip.is_some() || agent.is_some() {
        records.push(Personal {
            ip: ip.and_then(plain).map(Into::into),
            user_agent: agent.and_then(plain).map(Into::into),
            ..Personal::of(PersonalRole::Request)
        });
    }
    records
}
