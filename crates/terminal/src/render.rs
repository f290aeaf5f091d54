//! What people see: tables and timelines in plain text; the same facts as JSON for programs.
//!
//! Promises: no meaning by colour alone, in fact no colour at all; text of the ledger is stripped
//! of control characters, so that nothing recorded can steer a terminal.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::Value;

/// The form of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON document.
    Json,
}

/// Standard output in the chosen form.
pub struct Screen {
    output: Output,
    /// Whether nobody reads any more: what is written then goes nowhere, and the command ends with
    /// the exit code that its answer deserves.
    closed: bool,
}

impl Screen {
    /// A screen of this form.
    #[must_use]
    pub fn new(output: Output) -> Self {
        Self { output, closed: false }
    }

    /// Whether programs read.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// That somebody still reads: for answers without an end.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn still_read(&self) -> io::Result<()> {
        if self.closed { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When standard output cannot be written; not when it is closed.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other,
        }
    }

    /// Writes lines of text, stripped of control characters.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        let lines = text.split('\n').map(|line| printable(line) + "\n");
        self.bytes(lines.collect::<String>().as_bytes())
    }

    /// Writes JSON on one line.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn json(&mut self, value: &Value) -> io::Result<()> {
        self.bytes((json_text(&value.to_string()) + "\n").as_bytes())
    }

    /// Writes JSON or, for people, what `lines` makes of it.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn show(&mut self, value: &Value, lines: impl FnOnce(&Value) -> String) -> io::Result<()> {
        if self.is_json() {
            return self.json(value);
        }
        lines(value).lines().try_for_each(|line| self.line(line))
    }
}

/// Whether a character steers a terminal, turns the writing direction, or cannot be seen.
fn misleads(c: char) -> bool {
    let steers = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}');
    let hidden = matches!(c, '\u{61c}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || steers || hidden
}

/// JSON on one line with such characters escaped: outside of its strings JSON has none of them, and
/// inside them an escape is the same text to whoever reads JSON.
#[must_use]
pub fn json_text(json: &str) -> String {
    if !json.chars().any(misleads) {
        return json.to_owned();
    }
    let mut text = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if misleads(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(c);
        }
    }
    text
}

/// Text without control characters, bidirectional overrides and other ways to mislead a reader.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if misleads(c) { '\u{fffd}' } else { c }).collect()
}

/// A table with left-aligned columns, two spaces apart, and a head.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(head[column].chars().count())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    let head = head.iter().map(|name| (*name).to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Names and values, one a line.
#[must_use]
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// A member as text; `-` when it is absent.
#[must_use]
pub fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => printable(text),
        Some(Value::Array(list)) => {
            list.iter().map(|item| text(item, "")).collect::<Vec<_>>().join(",")
        }
        Some(other) => other.to_string(),
    }
}

/// The life of a token as a timeline, oldest event first.
#[must_use]
pub fn timeline(life: &Value, events: &[Value]) -> String {
    let mut out = format!("token     {}\n", text(life, "/token_id"));
    let note = life.get("note").and_then(Value::as_str);
    for which in ["known", "happened"] {
        let state = life.pointer(&format!("/{which}")).unwrap_or(&Value::Null);
        let line = match (which, life["nothing_had_happened"] == true) {
            (_, true) => "NOTHING of it by then".to_owned(),
            // Not a word that looks alive: it is not what was the case then.
            ("known", _) if note.is_some() => {
                format!("in the order of recording: {}", text(state, "/state"))
            }
            _ => state_line(state),
        };
        out.push_str(&format!("{which:<8}  {line}\n"));
    }
    if let Some(note) = note {
        out.push_str(&format!("at        {}: {}\n", text(life, "/at"), printable(note)));
    }
    let size = text(life, "/size");
    out.push_str(&format!("events    {} (ledger size {size})\n\n", text(life, "/event_count")));
    let mut rows: Vec<_> = events.iter().map(timeline_row).collect();
    let mut head =
        vec!["INDEX", "SEQ", "OCCURRED", "RECORDED", "EVENT", "OUTCOME", "PROOF", "WHAT"];
    // An index says little where it begins anew with every origin.
    if life.pointer("/older_origins/0").is_some() {
        head.insert(0, "ORIGIN");
        for (row, event) in rows.iter_mut().zip(events) {
            row.insert(0, text(event, "/origin"));
        }
    }
    out.push_str(&table(&head, &rows));
    out
}

/// One state with the times that matter.
#[must_use]
pub fn state_line(state: &Value) -> String {
    let mut line = text(state, "/state");
    if let Some(active) = state.get("active").and_then(Value::as_bool) {
        line.push_str(if active { ", active" } else { ", not active" });
    }
    if state["birth"] == "UNKNOWN" {
        line.push_str(", never issued here");
    }
    for (name, label) in
        [("expires_at", "expires"), ("revoked_at", "revoked"), ("grace_until", "usable until")]
    {
        if let Some(time) = state.get(name).and_then(Value::as_str) {
            line.push_str(&format!(", {label} {time}"));
        }
    }
    line
}

fn timeline_row(event: &Value) -> Vec<String> {
    let proof = format!("{}/{}", text(event, "/attested_by"), text(event, "/proof_state"));
    vec![
        text(event, "/index"),
        text(event, "/sequence"),
        text(event, "/statement/occurred_at"),
        text(event, "/recorded_at"),
        text(event, "/statement/type"),
        text(event, "/statement/outcome"),
        proof,
        marked(event),
    ]
}

/// What is off about an event, in front of its circumstances.
fn marked(event: &Value) -> String {
    let what = what(event.get("statement").unwrap_or(&Value::Null));
    match event.get("violation").and_then(Value::as_str) {
        Some(code) => format!("! {} {what}", printable(code)).trim_end().to_owned(),
        None => what,
    }
}

/// The circumstances of an event in a few words.
#[must_use]
pub fn what(statement: &Value) -> String {
    let mut words = Vec::new();
    for (name, label) in [
        ("reason", ""),
        ("token_kind", ""),
        ("service", ""),
        ("action", ""),
        ("resource", ""),
        ("endpoint", ""),
        ("client_id", "client="),
        ("scopes", "scopes="),
        ("expires_at", "expires="),
    ] {
        if statement.get(name).is_some() {
            words.push(format!("{label}{}", text(statement, &format!("/{name}"))));
        }
    }
    let list = |name: &str| statement.get(name).and_then(Value::as_array).into_iter().flatten();
    for policy in list("policies") {
        words.push(format!("policy={}@{}", text(policy, "/id"), text(policy, "/version")));
    }
    for link in list("links") {
        let other = link.get("token_id").map(|id| text(id, ""));
        let other = other.unwrap_or_else(|| text(link, "/event/event_id"));
        words.push(format!("{} {other}", text(link, "/relation")));
    }
    if statement.get("vantage").is_some_and(|vantage| vantage == "INTROSPECTION") {
        words.push("seen at introspection".to_owned());
    }
    let detail: Vec<(String, String)> =
        list("detail").map(|one| (text(one, "/key"), text(one, "/value"))).collect();
    let pairs: Vec<(&str, &str)> = detail.iter().map(|(key, value)| (&**key, &**value)).collect();
    let detail = detail_words(&pairs);
    words.extend((!detail.is_empty()).then_some(detail));
    words.join(" ")
}

/// What an event's `detail` says, for people: of an ADMIN_ACT, a finding or a DISCLOSED it is all
/// that there is to read. Whether an issuer was told comes in plain words.
#[must_use]
pub fn detail_words(detail: &[(&str, &str)]) -> String {
    let of = |name: &str| detail.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let mut words = Vec::new();
    if of("act") == Some("issuer_told") {
        words.push(match of("issuer") {
            Some("answered_200" | "confirmed") => "issuer told, it answered 200;".to_owned(),
            _ => "ISSUER NOT TOLD;".to_owned(),
        });
    }
    words.extend(detail.iter().map(|(key, value)| format!("{key}={}", printable(value))));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_aligns_and_keeps_the_last_column_ragged() {
        let rows = vec![vec!["1".into(), "a".into()], vec!["100".into(), "bcd".into()]];
        assert_eq!(table(&["N", "WHAT"], &rows), "N    WHAT\n1    a\n100  bcd\n");
    }

    #[test]
    fn recorded_text_cannot_steer_a_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\n"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
    }

    #[test]
    fn recorded_text_cannot_steer_a_terminal_through_json() {
        let hostile = "a\u{9b}2J\u{202e}b\u{e0041}\u{feff}";
        let text = json_text(&json!({ "note": hostile }).to_string());
        assert_eq!(text, r#"{"note":"a\u009b2J\u202eb\udb40\udc41\ufeff"}"#);
        let read: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["note"], hostile, "it is the same text");
    }

    #[test]
    fn circumstances_fit_one_line() {
        let statement = json!({
            "reason": "logout",
            "scopes": ["a", "b"],
            "policies": [{ "id": "p", "version": "v2" }],
            "links": [{ "token_id": "eu:idp:jti:x", "relation": "REFRESHED_FROM" }],
        });
        assert_eq!(what(&statement), "logout scopes=a,b policy=p@v2 REFRESHED_FROM eu:idp:jti:x");
    }
}
