//! The JSON form of an event (DESIGN section 8), read strictly.
//!
//! Promises: an event that parses here says exactly what the statement will say. Unknown and
//! duplicate fields, wrong types, times that are no RFC 3339, depth beyond serde's limit: an error
//! that names the place and never repeats the value, which might be a secret. `null` is an absent
//! member, list or object, as Go and others write it.

mod amend;

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use ledgerline_api::event::Event;
use ledgerline_api::statement::BadEvent;
use ledgerline_proof::statement::MAX_STRING_BYTES;
use serde::Deserialize;

use crate::EventError;
use ledgerline_secret_scan::check_text;

/// One event as submitted: the form of the interface, with what intake makes of it.
pub struct JsonEvent<'a>(Event<'a>);

impl<'a> Deref for JsonEvent<'a> {
    type Target = Event<'a>;

    fn deref(&self) -> &Event<'a> {
        &self.0
    }
}

impl DerefMut for JsonEvent<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<'a> From<Event<'a>> for JsonEvent<'a> {
    /// An event that was made here, such as by an adapter: it has no member that the ledger sets.
    fn from(event: Event<'a>) -> Self {
        Self(event)
    }
}

/// Reads one event.
///
/// # Errors
/// `bad_json`, `unknown_field` or `bad_field` with the place, never the value.
pub fn parse(text: &str) -> Result<JsonEvent<'_>, EventError> {
    let event: Event<'_> = serde_json::from_str(text)
        .map_err(|error| EventError::new(code_of(&error), describe(&error)))?;
    let set_here = [
        ("tenant", event.tenant.is_some()),
        ("source", event.source.is_some()),
        ("occurred_logical", event.occurred_logical.is_some()),
        ("personal.commitment", event.personal.iter().any(|one| one.commitment.is_some())),
    ];
    match set_here.iter().find(|(_, is_sent)| *is_sent) {
        Some((name, _)) => {
            let detail = format!("`{name}` is set by the ledger: leave it out");
            Err(EventError::new("unknown_field", detail))
        }
        None => Ok(JsonEvent(event)),
    }
}

/// The id of an event that is refused, where so much of it can be read.
#[must_use]
pub fn id_of(text: &str, tenant: &str, source: &str) -> Option<[u8; 16]> {
    #[derive(Deserialize)]
    struct Part {
        part: i32,
    }
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        event_id: Option<Cow<'a, str>>,
        native_id: Option<Cow<'a, str>>,
        act: Option<Part>,
    }
    let named: Named<'_> = serde_json::from_str(text).ok()?;
    if let Some(id) = named.event_id {
        return uuid(&id);
    }
    let native = named.native_id.filter(|native| native.len() <= MAX_STRING_BYTES)?;
    let part = named.act.map_or(0, |act| act.part);
    Some(ledgerline_proof::event_id::derived_event_id(tenant, source, &native, part))
}

/// Well-formed JSON of another shape is an event that cannot be taken, not a broken body.
fn code_of(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data if error.to_string().starts_with("unknown field") => {
            "unknown_field"
        }
        serde_json::error::Category::Data => "bad_field",
        _ => "bad_json",
    }
}

/// The member that stands twice, when that is what serde found. It is one of our own names: serde
/// tells no others.
#[must_use]
pub fn member_twice(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let (name, _) = text.strip_prefix("duplicate field `")?.split_once('`')?;
    Some(name.to_owned())
}

/// What serde found, without the offending value: serde's text quotes strings of the input.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if let Some(name) = member_twice(error) {
        return format!("`{name}` stands twice, {}", place(error));
    }
    // One of our own names: serde tells no others.
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    if let Some((name, _)) = missing {
        return format!("`{name}` is missing, {}", place(error));
    }
    let what = match error.classify() {
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            "not well-formed JSON"
        }
        _ if text.starts_with("unknown field") => return unknown_field(&text, error),
        _ if text.starts_with("duplicate field") => "a field that stands twice",
        _ => "a value of the wrong type",
    };
    format!("{what}, {}", place(error))
}

/// Where in the event. Most stand on one line, which is not the line of the file that holds them.
fn place(error: &serde_json::Error) -> String {
    match (error.line(), error.column()) {
        (1, column) => format!("at byte {column} of the event"),
        (line, column) => format!("at line {line} column {column} of the event"),
    }
}

/// Most names that are suggested.
const NEAR_MAX: usize = 12;

/// The name that is not known, and those that are, out of serde's words. The name may hold whatever
/// a sender likes, also what looks like those words: ours begin behind the last of them.
#[must_use]
pub fn unknown_and_known(text: &str) -> (&str, Vec<&str>) {
    let rest = text.strip_prefix("unknown field `").unwrap_or_default();
    let end = ["`, expected ", "`, there are no fields"].iter().filter_map(|mark| rest.rfind(mark));
    let Some(end) = end.max() else { return ("", Vec::new()) };
    (&rest[..end], rest[end + 1..].split('`').skip(1).step_by(2).collect())
}

/// Names the field that events do not have, and those that they have in that place: all when they
/// are few, else those that are alike. A name may be a secret, too: only a plain word is repeated.
fn unknown_field(text: &str, error: &serde_json::Error) -> String {
    let (name, known) = unknown_and_known(text);
    let is_word = name.len() <= 40
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && check_text(name).is_ok();
    let is_near = |other: &&&str| {
        let parts = |word: &'_ str| word.split('_').map(str::to_owned).collect::<Vec<_>>();
        let theirs = parts(other);
        is_word
            && parts(name).iter().any(|part| {
                let like = |one: &String| one.starts_with(&**part) || part.starts_with(&**one);
                part.len() > 1 && theirs.iter().any(like)
            })
    };
    let near: Vec<&str> = match known.len() <= NEAR_MAX {
        true => known,
        false => known.iter().filter(is_near).copied().take(NEAR_MAX).collect(),
    };
    let mut out = match is_word {
        true => format!("`{name}` is a field that events do not have, {}", place(error)),
        false => format!("a field that events do not have, {}", place(error)),
    };
    if !near.is_empty() {
        out.push_str(&format!("; there is {}", near.join(", ")));
    }
    out
}

impl From<BadEvent> for EventError {
    fn from(bad: BadEvent) -> Self {
        let error = Self::new(bad.code, bad.detail);
        match bad.member {
            Some(member) => error.about(member),
            None => error,
        }
    }
}

fn uuid(text: &str) -> Option<[u8; 16]> {
    uuid::Uuid::try_parse(text).ok().map(uuid::Uuid::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_backticks_was_repeated_as_one_of_ours() {
        let secret = "My-Secret-Tok3n-Xq7vT2mLr9Zk4Wd8Bn1Hs6Pc";
        for name in [
            format!("a`b`{secret}"),
            format!("`{secret}"),
            format!("a`, expected one of `{secret}`, `b"),
            format!("to`b`to_{secret}"),
        ] {
            for text in [
                format!("{{\"{name}\":1}}"),
                format!("{{\"target\":{{\"{name}\":1}}}}"),
                format!("{{\"links\":[{{\"{name}\":1}}]}}"),
            ] {
                let Err(error) = parse(&text) else { panic!("{text}") };
                assert_eq!(error.code, "unknown_field");
                assert!(!error.detail.contains("Secret"), "{}", error.detail);
            }
        }
    }
}
