//! JSON values in lines: one a line, over several lines, behind one another, or in an array.
//!
//! Promises: each value comes out with the line it begins on. A broken one comes out too, up to the
//! end of its line, for somebody to name; the next line is read as if it were not there. What is
//! not yet decided (an object that its lines have not closed) waits for the next line.

use serde::de::IgnoredAny;

/// Longest value that goes over several lines, in bytes.
const SPREAD_BYTES_MAX: usize = 1 << 20;

/// Finds values.
#[derive(Default)]
pub struct Values {
    /// Lines that are not decided, each with its end.
    held: Vec<u8>,
    /// Number of the first of them.
    first: u64,
    /// Number of the last line.
    last: u64,
    in_array: bool,
}

/// Where a value ends.
enum Extent {
    Whole(usize),
    /// More is to come.
    Open,
    Broken,
}

impl Values {
    /// Takes the next line, and gives each value that is decided with it.
    ///
    /// # Errors
    /// Whatever `take` says.
    pub fn line<E>(
        &mut self,
        number: u64,
        line: &[u8],
        take: &mut impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.last = number;
        if self.held.is_empty() {
            let line = line.trim_ascii();
            if line.is_empty() {
                return Ok(());
            }
            if !self.in_array && is_whole(line) {
                return take(number, line);
            }
            self.first = number;
        }
        let decides = self.held.is_empty() || line.contains(&b'}');
        self.held.extend_from_slice(line);
        self.held.push(b'\n');
        if decides || self.held.len() > SPREAD_BYTES_MAX { self.step(false, take) } else { Ok(()) }
    }

    /// Gives what is left: nothing more comes, or a line that cannot be read.
    ///
    /// # Errors
    /// Whatever `take` says.
    pub fn end<E>(&mut self, take: &mut impl FnMut(u64, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.step(true, take)
    }

    /// The last line, if an array has begun and not ended.
    #[must_use]
    pub fn open_array(&self) -> Option<u64> {
        self.in_array.then_some(self.last)
    }

    fn step<E>(
        &mut self,
        at_end: bool,
        take: &mut impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let held = std::mem::take(&mut self.held);
        let (mut at, mut line) = (0, self.first);
        while at < held.len() {
            let rest = &held[at..];
            let room = !at_end && rest.len() <= SPREAD_BYTES_MAX;
            let length = match (rest[0], self.in_array) {
                (byte, _) if byte.is_ascii_whitespace() => 1,
                (b',', true) => 1,
                (b']', true) => {
                    self.in_array = false;
                    1
                }
                (b'[', false) => match rest[1..].trim_ascii_start().first() {
                    Some(b'{' | b']') => {
                        self.in_array = true;
                        1
                    }
                    None if room => break,
                    _ => broken(line, rest, take)?,
                },
                (b'{', _) => match extent(rest) {
                    Extent::Whole(length) => {
                        take(line, &rest[..length])?;
                        length
                    }
                    Extent::Open if room => break,
                    Extent::Open | Extent::Broken => broken(line, rest, take)?,
                },
                _ => broken(line, rest, take)?,
            };
            line += rest[..length].iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
            at += length;
        }
        self.first = line;
        self.held = held;
        self.held.drain(..at);
        Ok(())
    }
}

/// Gives what is left of the line as a broken value; its length.
fn broken<E>(
    line: u64,
    rest: &[u8],
    take: &mut impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<usize, E> {
    let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    take(line, rest[..length].trim_ascii_end())?;
    Ok(length)
}

/// Whether a text is one whole object. Its strings may hold any bytes.
#[must_use]
pub fn is_whole(text: &[u8]) -> bool {
    text.trim_ascii_start().first() == Some(&b'{')
        && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

fn extent(text: &[u8]) -> Extent {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => Extent::Whole(values.byte_offset()),
        Some(Err(error)) if error.is_eof() => Extent::Open,
        Some(Err(_)) | None => Extent::Broken,
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::input::Lines;

    fn check(input: &[u8], expected: &[(u64, &str)]) {
        let (mut lines, mut values) = (Lines::new(1 << 20), Values::default());
        let mut found = Vec::new();
        let mut take = |line, text: &[u8]| {
            found.push((line, String::from_utf8_lossy(text).into_owned()));
            Ok::<(), Infallible>(())
        };
        let mut line =
            |number, line: Option<&[u8]>| values.line(number, line.expect("short"), &mut take);
        lines.push(input, &mut line).and_then(|()| lines.end(&mut line)).expect("infallible");
        values.end(&mut take).expect("infallible");
        let found: Vec<(u64, &str)> = found.iter().map(|one| (one.0, one.1.as_str())).collect();
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(input));
    }

    #[test]
    fn all_forms_of_a_file_give_the_same_values() {
        let (a, b) = ("{\"a\":1}", "{\"a\":2}");
        check(b"{\"a\":1}\n\n{\"a\":2}\n", &[(1, a), (3, b)]);
        check(b"{\"a\":1}\r{\"a\":2}", &[(1, a), (2, b)]);
        check(b"[{\"a\":1},\n{\"a\":2}]\n", &[(1, a), (2, b)]);
        check(b"[\n{\"a\":1}\n,{\"a\":2}\n]", &[(2, a), (3, b)]);
        check(b"[]\n{\"a\":1}\n", &[(2, a)]);
        check(b"{\n\"a\":1\n}\n", &[(1, "{\n\"a\":1\n}")]);
        check(b"{\"a\":\n{\"b\":1}\n}\n{\"a\":1}", &[(1, "{\"a\":\n{\"b\":1}\n}"), (4, a)]);
        check(b"", &[]);
        check(b" \n\t\n", &[]);
    }

    #[test]
    fn lines_without_an_end_between_them_were_one_broken_line() {
        check(b"{\"a\":1}{\"a\":2}\n", &[(1, "{\"a\":1}"), (1, "{\"a\":2}")]);
    }

    #[test]
    fn one_broken_line_ended_the_whole_file() {
        let good = "{\"a\":1}";
        let torn = "{\"type\":\"ISSUED\",\"occurr";
        for bad in
            [torn, "{\"a\":", "{\"a\":{\"b\":1", "[2026-11-28] ERROR", "not json", "\0\0\0", "}"]
        {
            check(format!("{bad}\n{good}\n{good}").as_bytes(), &[(1, bad), (2, good), (3, good)]);
            check(format!("{good}\n{bad}\n{good}").as_bytes(), &[(1, good), (2, bad), (3, good)]);
            check(format!("{good}\n{good}\n{bad}").as_bytes(), &[(1, good), (2, good), (3, bad)]);
        }
        check(
            b"[{\"a\":1},\n{\"a\":x},\n{\"a\":2},{\"a\"",
            &[(1, good), (2, "{\"a\":x},"), (3, "{\"a\":2}"), (3, "{\"a\"")],
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_a_value_to_be_named() {
        check(
            b"{\"a\":\"caf\xe9\"}\n{\"a\":1}",
            &[(1, "{\"a\":\"caf\u{fffd}\"}"), (2, "{\"a\":1}")],
        );
        check(b"[{\"a\":\"\xe9\"},{\"a\":1}]", &[(1, "{\"a\":\"\u{fffd}\"}"), (1, "{\"a\":1}")]);
    }

    #[test]
    fn an_array_without_an_end_is_noticed() {
        let mut values = Values::default();
        let mut take = |_, _: &[u8]| Ok::<(), Infallible>(());
        values.line(1, b"[{\"a\":1},", &mut take).expect("infallible");
        values.end(&mut take).expect("infallible");
        assert_eq!(values.open_array(), Some(1));
    }
}
