//! CloudEvents 1.0 (JSON format and HTTP binding) as events of the ledger.
//!
//! ```text
//! "ce " + source + " " + id              native_id: the idempotency key; a source has no blank
//! type   com.example.token.issued.v1     ISSUED; must agree with data.type, or stands for it
//! time, subject                          occurred_at, token_id, where data has none
//! data                                   our event as JSON, without event_id and native_id
//! traceparent                            trace_id
//! correlationid, causationid             correlation_id; CAUSED_BY the event of that id
//! sequence, recordedtime                 detail ce_sequence, ce_recordedtime
//! authtype + authid                      service_account, api_key, system: an actor; else sealed
//! any other attribute                    not taken: it may be personal. What is to be kept is data
//! ```
//!
//! Promises: pure. An event that cannot be read is refused by itself, in its place; the others of
//! its batch are taken. Attributes in headers are unquoted, then percent-decoded once.
//!
//! Refuses: another `specversion`, data that is no JSON, attributes that stand twice, an identity
//! in
//! `data` beside that of the CloudEvent.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_answers::problem::Problem;
use ledgerline_api::event::{Actor, Detail, Event, EventRef, Link, Personal};
use ledgerline_api::uuid_text;
use ledgerline_api::values::Timestamp;
use ledgerline_ledger::intake::EventError;
use ledgerline_proof::event_id::derived_event_id;
use ledgerline_proof::token_id::TokenId;
use ledgerline_proof::vocabulary::{ActorKind, EventType, PersonalRole, Relation, Strength};
use ledgerline_statements::json;
use ledgerline_view::registry::Caller;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::submitting::{Decoded, Notes, RECORDS_MAX, Record, too_many};

/// How a body holds CloudEvents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Attributes in headers; the body is the data.
    Binary,
    /// One JSON object.
    Structured,
    /// An array of them.
    Batch,
}

/// Before the native id, so that no other door's is the same.
const PREFIX: &str = "ce ";
/// Longest `source` and `id` with the blank between them, in bytes: with the prefix a native id.
const IDENTITY_BYTES_MAX: usize = 1024 - PREFIX.len();

/// A CloudEvent taken apart.
struct Envelope<'a> {
    attributes: BTreeMap<String, String>,
    /// The text of the data; `None` without any.
    data: Option<std::borrow::Cow<'a, str>>,
}

fn bad(detail: impl Into<String>) -> EventError {
    EventError::new("bad_cloudevent", detail.into())
}

/// The events of a body.
///
/// # Errors
/// When the body as a whole cannot be read.
pub fn decode(
    mode: Mode,
    headers: &HeaderMap,
    body: &[u8],
    caller: &Caller,
) -> Result<Decoded, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Problem::bad_request("not_utf8", "the body is not UTF-8"))?;
    let of = |envelope: Result<Envelope<'_>, EventError>| -> Record {
        envelope.and_then(|envelope| record(&envelope, caller))
    };
    match mode {
        Mode::Binary => Ok(lone(of(from_headers(headers, text)))),
        Mode::Structured => Ok(lone(of(from_json(text)))),
        Mode::Batch => {
            let list: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
                let place = format!("line {} column {}", error.line(), error.column());
                let what = format!("the body is no JSON array of CloudEvents, at {place}");
                Problem::bad_request("bad_json", what)
            })?;
            if list.len() > RECORDS_MAX {
                return Err(too_many());
            }
            let records = list.into_iter().map(|one| of(from_json(one.get()))).collect();
            Ok(Decoded { records, is_lone: false, notes: Notes::default() })
        }
    }
}

fn lone(record: Record) -> Decoded {
    Decoded { records: vec![record], is_lone: true, notes: Notes::default() }
}

/// Binary mode.
fn from_headers<'a>(headers: &HeaderMap, body: &'a str) -> Result<Envelope<'a>, EventError> {
    let mut attributes = BTreeMap::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else { continue };
        check_name(name)?;
        let value = header_value(value.as_bytes())?;
        if attributes.insert(name.to_owned(), value).is_some() {
            return Err(bad("an attribute stands twice among the headers"));
        }
    }
    if attributes.is_empty() {
        return Err(bad(
            "there are no ce- headers: send the attributes as headers, or the whole event as \
             application/cloudevents+json",
        ));
    }
    let data = (!body.trim().is_empty()).then(|| body.into());
    Ok(Envelope { attributes, data })
}

/// The value of an attribute in a header: double quotes and their backslashes first, then one round
/// of percent-decoding (HTTP binding, section 3.1.3.2).
fn header_value(value: &[u8]) -> Result<String, EventError> {
    let text = std::str::from_utf8(value).map_err(|_| bad("an attribute is not UTF-8"))?.trim();
    let mut plain = String::with_capacity(text.len());
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted {
        None => plain.push_str(text),
        Some(quoted) => {
            let mut characters = quoted.chars();
            while let Some(one) = characters.next() {
                plain.extend(if one == '\\' { characters.next() } else { Some(one) });
            }
        }
    }
    let decoded = percent_decode_str(&plain).decode_utf8();
    let decoded = decoded.map_err(|_| bad("a percent-encoded attribute is not UTF-8"))?;
    Ok(decoded.into_owned())
}

/// Members of a JSON object in which none stands twice.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        source.deserialize_map(Each)
    }
}

/// Structured mode, and each of a batch.
fn from_json(text: &str) -> Result<Envelope<'_>, EventError> {
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        match error.to_string().starts_with("twice") {
            true => bad(format!("a member stands twice, at {place}")),
            false => bad(format!("it is no JSON object, at {place}")),
        }
    })?;
    let mut attributes = BTreeMap::new();
    let mut data = None;
    for (name, value) in members.0 {
        let value = value.get();
        if value == "null" {
            continue;
        }
        match name.as_str() {
            "data" | "data_base64" if data.is_some() => {
                return Err(bad("give data or data_base64, not both"));
            }
            "data" => data = Some(value.into()),
            "data_base64" => {
                let text: String =
                    serde_json::from_str(value).map_err(|_| bad("data_base64 is no text"))?;
                let bytes = STANDARD.decode(text).map_err(|_| bad("data_base64 is no base64"))?;
                let text = String::from_utf8(bytes).map_err(|_| no_json())?;
                data = Some(text.into());
            }
            _ => {
                check_name(&name)?;
                attributes.insert(name, attribute(value)?);
            }
        }
    }
    Ok(Envelope { attributes, data })
}

/// An attribute's value in its string form (CloudEvents, "Type System").
fn attribute(value: &str) -> Result<String, EventError> {
    match serde_json::from_str(value) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        Ok(serde_json::Value::Bool(is)) => Ok(is.to_string()),
        Ok(serde_json::Value::Number(number)) if number.is_i64() => Ok(number.to_string()),
        _ => Err(bad("an attribute is a text, an integer, true or false")),
    }
}

fn check_name(name: &str) -> Result<(), EventError> {
    let is_sound = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    match is_sound {
        true => Ok(()),
        false => Err(bad("names of attributes have small letters and digits only")),
    }
}

fn no_json() -> EventError {
    let detail = "the data is an event in our JSON form: datacontenttype application/json, UTF-8";
    EventError::new("unsupported_media_type", detail.to_owned())
}

impl Envelope<'_> {
    /// An attribute that is there and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &'static str) -> Result<&str, EventError> {
        self.get(name).ok_or_else(|| bad(format!("the attribute `{name}` is missing")))
    }

    fn is_json(&self) -> bool {
        let Some(kind) = self.get("datacontenttype") else { return true };
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence.ends_with("/json") || essence.ends_with("+json")
    }
}

/// The event that a CloudEvent is.
fn record(envelope: &Envelope<'_>, caller: &Caller) -> Record {
    if envelope.required("specversion")? != "1.0" {
        return Err(bad("specversion is 1.0"));
    }
    let (source, id) = (envelope.required("source")?, envelope.required("id")?);
    let kind = envelope.required("type")?;
    if source.contains(' ') || source.len() + id.len() + 1 > IDENTITY_BYTES_MAX {
        let most = IDENTITY_BYTES_MAX - 1;
        return Err(bad(format!(
            "`source` is a URI reference, and has with `id` at most {most} bytes"
        )));
    }
    if !envelope.is_json() {
        return Err(no_json());
    }
    let data = envelope.data.as_deref().unwrap_or("{}");
    // The strict reading of events, so that a refusal names the member.
    let read = json::parse(data)?;
    let mut event: Event<'_> = (*read).clone();
    if event.event_id.is_some() || event.native_id.is_some() {
        let detail = "`source` and `id` of the CloudEvent say which event it is: leave event_id \
                      and native_id out of data";
        return Err(EventError::new("bad_field", detail.to_owned()).about("event_id"));
    }
    event.native_id = Some(identity(source, id).into());
    event.event_type = Some(agreed(kind, event.event_type.as_deref())?.to_owned().into());
    if event.occurred_at.is_none() {
        event.occurred_at = envelope.get("time").map(|time| Timestamp::Text(time.into()));
    }
    let has_target = event.token_id.is_some() || event.target.is_some();
    if let Some(subject) = envelope.get("subject").filter(|_| !has_target)
        && TokenId::parse(subject).is_ok()
    {
        event.token_id = Some(subject.into());
    }
    extend(&mut event, envelope, source, caller);
    serde_json::to_string(&event).map_err(|_| bad("it cannot be written as an event"))
}

/// The native id of a CloudEvent.
fn identity(source: &str, id: &str) -> String {
    format!("{PREFIX}{source} {id}")
}

/// What the extensions say that have a place in an event.
fn extend<'a>(event: &mut Event<'a>, envelope: &'a Envelope<'_>, source: &str, caller: &Caller) {
    if event.trace_id.is_none() {
        event.trace_id = envelope.get("traceparent").and_then(trace_id).map(Into::into);
    }
    if event.correlation_id.is_none() {
        event.correlation_id = envelope.get("correlationid").map(Into::into);
    }
    if let Some(cause) = envelope.get("causationid") {
        let (tenant, own) = (caller.own_tenant(), caller.source());
        let id = derived_event_id(tenant, own, &identity(source, cause), 0);
        let event_id = uuid_text::text(&id).into();
        event.links.push(Link {
            token_id: None,
            event: Some(EventRef { source: own.to_owned().into(), event_id }),
            relation: Relation::CausedBy.symbol().into(),
            strength: Some(Strength::Inferred.symbol().into()),
            why: Some("causationid of the CloudEvent, taken as an id of the same source".into()),
        });
    }
    for (name, key) in [("recordedtime", "ce_recordedtime"), ("sequence", "ce_sequence")] {
        if let Some(value) = envelope.get(name)
            && event.detail.iter().all(|one| one.key != key)
        {
            event.detail.push(Detail { key: key.into(), value: value.into() });
        }
    }
    event.detail.sort_by(|one, other| one.key.cmp(&other.key));
    let Some(who) = envelope.get("authid") else { return };
    match envelope.get("authtype").unwrap_or("unknown") {
        "unauthenticated" => {}
        "service_account" | "api_key" | "system" => event.actors.push(Actor {
            kind: Some(ActorKind::Service.symbol().into()),
            issuer: None,
            id: who.into(),
        }),
        // A person, or nobody knows: sealed.
        _ => event
            .personal
            .push(Personal { user_id: Some(who.into()), ..Personal::of(PersonalRole::Actor) }),
    }
}

/// The trace of a W3C traceparent: `version-trace-span-flags`.
fn trace_id(traceparent: &str) -> Option<&str> {
    let trace = traceparent.split('-').nth(1)?;
    let is_hex = trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex && trace.bytes().any(|byte| byte != b'0')).then_some(trace)
}

/// The type of event that both the attribute and the data say.
fn agreed<'a>(kind: &str, of_data: Option<&'a str>) -> Result<&'a str, EventError> {
    let said = type_of(kind);
    match (said, of_data) {
        (Some(said), Some(of_data)) if said != of_data => {
            let detail = format!(
                "the CloudEvent's type means {said}, and `type` of the data says another one"
            );
            Err(EventError::new("type_mismatch", detail).about("type"))
        }
        (_, Some(of_data)) => Ok(of_data),
        (Some(said), None) => Ok(said),
        (None, None) => {
            let detail = "the CloudEvent's type names no event: <reverse-dns>.token.issued.v1 and \
                          its like, or `type` in the data";
            Err(EventError::new("unknown_type", detail.to_owned()).about("type"))
        }
    }
}

/// The type that `<reverse-dns>.<noun>.<act>[.v<n>]` means.
pub(crate) fn type_of(kind: &str) -> Option<&'static str> {
    let mut parts: Vec<&str> = kind.split('.').collect();
    let is_version = |part: &&str| {
        part.strip_prefix('v')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    if parts.last().is_some_and(is_version) {
        parts.pop();
    }
    let [.., noun, act] = parts[..] else { return None };
    let of_lives = ["token", "session", "grant", "subject", "client", "key"].contains(&noun);
    let meant = match (noun, act) {
        ("resource", "accessed") => EventType::ResourceAccessed,
        ("policy", "changed") => EventType::PolicyChanged,
        ("key", "changed") => EventType::KeyChanged,
        ("ledger" | "token", "origin") => EventType::Origin,
        ("ledger", "heartbeat") => EventType::Heartbeat,
        (_, "issued") if of_lives => EventType::Issued,
        (_, "activated") if of_lives => EventType::Activated,
        (_, "used") if of_lives => EventType::Used,
        (_, "refreshed") if of_lives => EventType::Refreshed,
        (_, "rotated") if of_lives => EventType::Rotated,
        (_, "suspended") if of_lives => EventType::Suspended,
        (_, "reinstated") if of_lives => EventType::Reinstated,
        (_, "expired") if of_lives => EventType::Expired,
        (_, "revoked") if of_lives => EventType::Revoked,
        _ => return None,
    };
    Some(meant.symbol())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn types_mean_events() {
        let check = |kind: &str, expected: Option<&str>| assert_eq!(type_of(kind), expected);
        check("com.example.token.issued.v1", Some("ISSUED"));
        check("token.issued", Some("ISSUED"));
        check("org.acme.iam.session.revoked.v12", Some("REVOKED"));
        check("com.example.resource.accessed.v1", Some("RESOURCE_ACCESSED"));
        check("com.example.policy.changed.v1", Some("POLICY_CHANGED"));
        check("com.example.ledger.origin.v1", Some("ORIGIN"));
        check("com.example.ledger.heartbeat.v1", Some("HEARTBEAT"));
        check("com.example.token.eaten.v1", None);
        check("com.example.order.issued.v1", None);
        check("com.example.token.issued.vx", None);
        check("issued", None);
        check("", None);
    }

    #[test]
    fn header_values_are_unquoted_then_decoded_once() {
        let check = |value: &[u8], expected: Option<&str>| {
            assert_eq!(header_value(value).ok().as_deref(), expected, "{value:?}");
        };
        check(b"/idp", Some("/idp"));
        check(b"Euro%20%E2%82%AC", Some("Euro €"));
        check(b"%2541", Some("%41"));
        check(b"\"a \\\"quoted\\\" one\"", Some("a \"quoted\" one"));
        check(b"\"%22\"", Some("\""));
        check("€".as_bytes(), Some("€"));
        check(b"%E2%82", None);
        check(b"\xff", None);
    }

    #[test]
    fn attributes_are_read_once() {
        let mut headers = HeaderMap::new();
        headers.append("ce-id", HeaderValue::from_static("a"));
        assert!(from_headers(&headers, "").is_ok());
        headers.append("ce-id", HeaderValue::from_static("b"));
        assert!(from_headers(&headers, "").is_err());
        assert!(from_headers(&HeaderMap::new(), "{}").is_err());
        let check = |text: &str, expected: bool| {
            assert_eq!(from_json(text).is_ok(), expected, "{text}");
        };
        check(r#"{"id":"a","x":1,"y":true,"z":null,"data":{}}"#, true);
        check(r#"{"id":"a","data_base64":"e30="}"#, true);
        check(r#"{"id":"a","id":"b"}"#, false);
        check(r#"{"id":["a"]}"#, false);
        check(r#"{"id":1.5}"#, false);
        check(r#"{"Id":"a"}"#, false);
        check(r#"{"data":{},"data_base64":"e30="}"#, false);
        check(r#"{"data_base64":"*"}"#, false);
        check("[]", false);
    }

    #[test]
    fn the_trace_of_a_traceparent() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let whole = format!("00-{trace}-00f067aa0ba902b7-01");
        assert_eq!(trace_id(&whole), Some(trace));
        let none = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        assert_eq!(trace_id(&none), None);
        assert_eq!(trace_id("00-xyz"), None);
    }
}
