//! Events in lines: NDJSON as people and programs write it.
//!
//! Promises: each line has its number, from 1, as an editor shows it. A byte order mark is no part
//! of an event. Carriage returns end lines too, unless they stand within one value.

use serde::de::IgnoredAny;

/// The bytes behind a byte order mark, which files of Windows programs begin with.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// The lines of NDJSON with their numbers, from 1.
pub fn ndjson_lines(body: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let lines = body.split(|byte| *byte == b'\n').flat_map(lines_of).map(without_mark);
    (1..).zip(lines)
}

/// Whether a line holds nothing.
#[must_use]
pub fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// Numbers of the lines of NDJSON that hold an event, ascending; at most so many.
#[must_use]
pub fn event_lines(body: &[u8], most: usize) -> Vec<u64> {
    let events = ndjson_lines(body).filter(|(_, line)| !is_blank(line));
    events.map(|(number, _)| number).take(most).collect()
}

/// The lines of what stands between two line feeds: carriage returns end lines too, unless the
/// whole is one value in which they are white space.
fn lines_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let has_returns = line.trim_ascii().contains(&b'\r');
    let is_one = !has_returns || serde_json::from_slice::<IgnoredAny>(line).is_ok();
    line.split(move |byte| !is_one && *byte == b'\r')
}

/// Says that bytes are no UTF-8, and what they may be instead.
#[must_use]
pub fn what_is_not_utf8(what: &str, bytes: &[u8]) -> String {
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let why = if is_utf16 { "is UTF-16; send UTF-8" } else { "is not UTF-8" };
    format!("{what} {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_the_number_that_an_editor_shows() {
        let body = b"\n{\"a\":1}\r\n  \n{}\n";
        assert_eq!(event_lines(body, 10), [2, 4]);
        assert_eq!(event_lines(body, 1), [2]);
    }
}
