//! What people see: tables and timelines in plain text; the same facts as JSON for programs.
//!
//! Promises: no meaning by colour alone, in fact no colour at all; text of the ledger is stripped
//! of control characters, so that nothing recorded can steer a terminal.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;
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
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_value(value)?.to_string();
        self.bytes((json_text(&text) + "\n").as_bytes())
    }

    /// Writes JSON or, for people, what `lines` makes of it.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn show<T: Serialize>(
        &mut self,
        value: &T,
        lines: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        if self.is_json() {
            return self.json(value);
        }
        self.lines(&lines(value))
    }

    /// Writes the lines of a text that ends with a line feed.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn lines(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.line(line))
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

/// A column of a table: its head, and its cell of an item.
pub type Column<T> = (&'static str, fn(&T) -> String);

/// A table of a list's items.
#[must_use]
pub fn rows<T>(name: &str, items: &[T], columns: &[Column<T>]) -> String {
    if items.is_empty() {
        return format!("no {name}\n");
    }
    let row = |item: &T| columns.iter().map(|(_, cell)| cell(item)).collect();
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    let head: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    table(&head, &rows)
}

/// Names and values, one a line.
#[must_use]
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    facts.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// A value as text, as JSON has it: a list with commas, `-` for what is absent.
#[must_use]
pub fn cell(value: &impl Serialize) -> String {
    serde_json::to_value(value).map_or_else(|_| "-".to_owned(), |value| text(&value, ""))
}

/// A cell of a list that is left out when it is empty.
#[must_use]
pub fn cells<T: Serialize>(list: &[T]) -> String {
    if list.is_empty() { cell(&None::<T>) } else { cell(&list) }
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
}
