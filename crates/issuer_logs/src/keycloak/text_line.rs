//! Lines of the `jboss-logging` event listener, and the same message inside a JSON console line.
//!
//! ```text
//! 2026-11-29 01:58:08,519 DEBUG [org.keycloak.events] (executor-thread-1) type="LOGIN", realmId="…
//! └── logged at ────────┘       └── logger ─────────┘ └── thread ───────┘ └── pairs ────────────
//! ```
//!
//! Quotes are `"` in newer servers, with `\` before a quote of the value; older servers
//! put `'` around values with blanks and nothing around the others.
//!
//! Promises: a key that stands twice refuses the line, since a name that its owner chose may have
//! been written without quotes. Only keys of the mapping are taken: what the trace level adds
//! (`requestUri`, `cookies`) is not read.
//!
//! Assumes: a time without a zone is UTC.

use std::borrow::Cow;

use serde_json_borrow::{ObjectAsVec, Value};

use crate::keycloak::IDENTIFIERS;
use crate::keycloak::forms::why;
use ledgerline_adapter::record::Rule;
use ledgerline_adapter::token_id::line_digest;
use ledgerline_adapter::{Millis, Problem};

const LOGGER: &str = "org.keycloak.events";
/// Keys that stand beside `details` in the record.
const BESIDE: [&str; 11] = [
    "type",
    "realmId",
    "realmName",
    "clientId",
    "userId",
    "sessionId",
    "ipAddress",
    "error",
    "operationType",
    "resourceType",
    "resourcePath",
];

/// Whether a line is one of the listener's.
pub(super) fn is_event(line: &str) -> bool {
    line.contains(LOGGER) && begin(line).is_some()
}

/// The record of a line; `None` for a line of another logger.
pub(super) fn record(line: &str) -> Result<Option<Value<'_>>, Problem> {
    if !line.contains(LOGGER) {
        return Ok(None);
    }
    let Some(begin) = begin(line) else { return Ok(None) };
    let (head, message) = line.split_at(begin);
    let logged = logged_at(head).ok_or(Problem::Malformed("time"))?;
    let thread = head.rsplit_once('(').map_or("", |(_, thread)| thread);
    gather(message, logged, [head.get(..23).unwrap_or(head), thread], Value::Str).map(Some)
}

/// The record of the message of a JSON console line, which was written at `logged`; `None` when
/// the message is none of an event. `marks` tell the line from others of the same millisecond.
pub(super) fn message(
    message: &str,
    logged: &str,
    marks: [&str; 2],
) -> Result<Option<Value<'static>>, Problem> {
    if begin(message) != Some(0) {
        return Ok(None);
    }
    let at = Millis::parse(logged).ok_or(Problem::Malformed("timestamp"))?;
    gather(message, at, marks, |value| Value::Str(Cow::Owned(value.into_owned()))).map(Some)
}

/// Where the pairs begin.
fn begin(line: &str) -> Option<usize> {
    let starts = ["type=", "operationType="].into_iter();
    starts.filter_map(|start| find_word(line, start)).min()
}

/// Where a word begins that stands at the beginning or behind a blank.
fn find_word(line: &str, word: &str) -> Option<usize> {
    if line.starts_with(word) {
        return Some(0);
    }
    let mut places = line.match_indices(word).map(|(at, _)| at);
    places.find(|at| line.as_bytes()[at - 1] == b' ')
}

/// The time at the beginning of a line: `2026-11-29 01:58:08,519`, or with a zone as RFC 3339.
fn logged_at(head: &str) -> Option<Millis> {
    let zoned = head.split_ascii_whitespace().next()?;
    if zoned.contains('T') {
        return Millis::parse(&zoned.replace(',', "."));
    }
    Millis::parse(&format!("{}Z", head.get(..23)?.replace(',', ".")))
}

/// Puts the pairs of a message into a record like those of the Admin REST interface.
fn gather<'t, 'v>(
    message: &'t str,
    logged: Millis,
    marks: [&str; 2],
    keep: impl Fn(Cow<'t, str>) -> Value<'v>,
) -> Result<Value<'v>, Problem> {
    let (mut top, mut details, mut derived) = (Vec::new(), Vec::new(), Vec::new());
    let mut safe: Vec<Cow<'_, str>> = marks.into_iter().map(Cow::Borrowed).collect();
    let (mut rest, mut seen) = (message, Vec::new());
    while !rest.is_empty() {
        let (key, value) = pair(&mut rest)?;
        if matches!(key, "requestUri" | "cookies" | "stackTrace") {
            break;
        }
        if seen.contains(&key) {
            return Err(Problem::Malformed("a key that stands twice"));
        }
        seen.push(key);
        if value.is_empty() || value == "null" {
            continue;
        }
        if key == "representation" {
            top.push(("representation", keep(value)));
        } else if key == "reason" {
            derived.extend(why(&value).map(|why| ("why", Value::Str(why.into()))));
        } else if let Some(key) = BESIDE.into_iter().find(|known| *known == key) {
            if key != "userId" && key != "ipAddress" && key != "resourcePath" {
                safe.push(value.clone());
            }
            top.push((key, keep(value)));
        } else if let Some((key, rule)) = known_detail(key) {
            if rule == Rule::Safe {
                safe.push(value.clone());
            }
            details.push((key, keep(value)));
        }
    }
    let line = line_digest(safe.iter().map(AsRef::as_ref)).ok_or(Problem::TooLong)?;
    derived.push(("line", Value::Str(line.into())));
    derived.push(("logged", Value::Str(logged.rfc3339().into())));
    top.push(("details", Value::Object(ObjectAsVec::from(details))));
    top.push(("derived", Value::Object(ObjectAsVec::from(derived))));
    Ok(Value::Object(ObjectAsVec::from(top)))
}

fn known_detail(key: &str) -> Option<(&'static str, Rule)> {
    IDENTIFIERS
        .iter()
        .filter_map(|one| Some((one.at.strip_prefix("/details/")?, one.rule)))
        .find(|(known, _)| *known == key)
}

/// Takes the next `key=value` and the comma behind it.
fn pair<'t>(rest: &mut &'t str) -> Result<(&'t str, Cow<'t, str>), Problem> {
    const BROKEN: Problem = Problem::Malformed("a pair of the line");
    let (key, text) = rest.split_once('=').ok_or(BROKEN)?;
    if !is_key(key) {
        return Err(BROKEN);
    }
    let (value, length) = match text.as_bytes().first() {
        Some(b'"') => quoted(text, '"').ok_or(BROKEN)?,
        Some(b'\'') => quoted(text, '\'').ok_or(BROKEN)?,
        _ => {
            let length = text.find(", ").unwrap_or(text.len());
            (Cow::Borrowed(&text[..length]), length)
        }
    };
    let text = &text[length..];
    *rest = if text.is_empty() { text } else { text.strip_prefix(", ").ok_or(BROKEN)? };
    Ok((key, value))
}

/// A value between quotes, and how many bytes it takes with them.
///
/// The server puts `\` before a quote of the value, but not before another `\`. So `\"` ends a
/// value whose last character is `\`, if what follows is the next pair: within a value, no quote
/// can stand behind `=` without its `\`.
fn quoted(text: &str, quote: char) -> Option<(Cow<'_, str>, usize)> {
    let (mut at, mut has_escape) = (1, false);
    loop {
        at += text[at..].find(quote)?;
        if is_end(&text[at + 1..], quote) {
            break;
        }
        let is_escaped = text.as_bytes()[at - 1] == b'\\';
        // Older servers escape nothing; they use the other quote.
        if !is_escaped && quote == '"' {
            return None;
        }
        has_escape |= is_escaped;
        at += 1;
    }
    let inner = &text[1..at];
    let value = match (has_escape, quote) {
        (false, _) => Cow::Borrowed(inner),
        (true, '"') => inner.replace("\\\"", "\"").into(),
        (true, _) => inner.replace("\\'", "'").into(),
    };
    Some((value, at + 1))
}

/// Whether a value can end before this: the line ends, or the next pair begins.
fn is_end(rest: &str, quote: char) -> bool {
    if rest.is_empty() {
        return true;
    }
    let Some((key, value)) = rest.strip_prefix(", ").and_then(|rest| rest.split_once('=')) else {
        return false;
    };
    let is_begun = quote == '\'' || value.starts_with(quote) || key == "cookies";
    is_begun && is_key(key)
}

fn is_key(key: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !key.is_empty() && key.bytes().all(sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, expected: Option<&[(&str, &str)]>) {
        let (mut rest, mut found) = (message, Vec::new());
        let sound = loop {
            if rest.is_empty() {
                break true;
            }
            match pair(&mut rest) {
                Ok((key, value)) => found.push((key, value.into_owned())),
                Err(_) => break false,
            }
        };
        assert_eq!(sound, expected.is_some(), "{message}");
        if let Some(expected) = expected {
            let found: Vec<(&str, &str)> =
                found.iter().map(|(key, value)| (*key, value.as_str())).collect();
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn both_ways_of_quoting_are_read() {
        check(r#"type="LOGIN", a="x y""#, Some(&[("type", "LOGIN"), ("a", "x y")]));
        check("type=LOGIN, a='x y', b=z", Some(&[("type", "LOGIN"), ("a", "x y"), ("b", "z")]));
        check(r#"a="x\", b=\"y", c="z""#, Some(&[("a", r#"x", b="y"#), ("c", "z")]));
        check(r#"a="x\", b="y\""#, Some(&[("a", r"x\"), ("b", r"y\")]));
        check(r#"a="x\\", b="y""#, Some(&[("a", r"x\\"), ("b", "y")]));
        check("a='it's', b=", Some(&[("a", "it's"), ("b", "")]));
        check("a=x,y=z", Some(&[("a", "x,y=z")]));
        for broken in [r#"a="x"#, r#"a="x"y""#, "a='x", "a", "=x", "a b=c", r#"a="x" b="y""#] {
            check(broken, None);
        }
    }

    #[test]
    fn a_name_cannot_write_a_second_token_id_into_a_line() {
        let head = "2026-11-29 01:58:08,519 DEBUG [org.keycloak.events] (t) ";
        let twice = format!("{head}type=LOGIN, token_id=real, username=x, token_id=forged");
        assert_eq!(record(&twice), Err(Problem::Malformed("a key that stands twice")));
        // A name that ends in `\` cannot hide the line either.
        let hidden = format!(r#"{head}type="LOGIN", username="x\", token_id="a""#);
        let value = record(&hidden).expect("sound").expect("an event");
        assert_eq!(value.get("details").get("token_id"), &Value::Str("a".into()));
        let quoted = format!(r#"{head}type="LOGIN", token_id="a", username="x\", token_id=\"b""#);
        let value = record(&quoted).expect("sound").expect("an event");
        assert_eq!(value.get("details").get("token_id"), &Value::Str("a".into()));
    }

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        for (head, expected) in [
            ("2026-11-29 01:58:08,519 DEBUG ", Some("2026-11-29T01:58:08.519Z")),
            ("2026-11-29T01:58:08.519+01:00 DEBUG ", Some("2026-11-29T00:58:08.519Z")),
            ("2026-11-29T01:58:08,519Z DEBUG ", Some("2026-11-29T01:58:08.519Z")),
            ("2026-13-29 01:58:08,519 DEBUG ", None),
            ("01:58:08,519 DEBUG ", None),
            ("", None),
        ] {
            assert_eq!(logged_at(head).map(Millis::rfc3339).as_deref(), expected, "{head}");
        }
    }
}
