//! Lines of bytes with their numbers.

/// Cuts bytes into lines as they come.
///
/// A line ends at LF, CRLF or CR; one byte order mark before it is no part of it. One that is
/// longer than allowed comes out as `None`, and what follows it is read.
pub struct Lines {
    most: usize,
    /// Lines that have begun.
    number: u64,
    /// A line whose end has not come.
    held: Vec<u8>,
    is_open: bool,
    is_too_long: bool,
    /// A line feed next belongs to the line end before.
    after_return: bool,
}

impl Lines {
    /// For lines of at most so many bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            number: 0,
            held: Vec::new(),
            is_open: false,
            is_too_long: false,
            after_return: false,
        }
    }

    /// Takes the next bytes, and gives each line that ends in them with its number.
    ///
    /// # Errors
    /// Whatever `take` says.
    pub fn push<E>(
        &mut self,
        mut bytes: &[u8],
        take: &mut impl FnMut(u64, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.after_return && !bytes.is_empty() {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            self.after_return = false;
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if bytes[end] == b'\r' {
                self.after_return = rest.is_empty();
                bytes = rest.strip_prefix(b"\n").unwrap_or(rest);
            } else {
                bytes = rest;
            }
            if !self.is_open && line.len() <= self.most {
                self.number += 1;
                take(self.number, Some(without_mark(line)))?;
            } else {
                self.hold(line);
                self.end(take)?;
            }
        }
        if !bytes.is_empty() {
            self.hold(bytes);
        }
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8]) {
        if !self.is_open {
            self.is_open = true;
            self.number += 1;
        }
        self.is_too_long |= self.held.len() + bytes.len() > self.most;
        if self.is_too_long {
            self.held = Vec::new();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    /// The part that has come of a line whose end has not.
    #[must_use]
    pub fn begun(&self) -> &[u8] {
        without_mark(&self.held)
    }

    /// Gives the line that has begun as if it ended here: the input does, or it is whole.
    ///
    /// # Errors
    /// Whatever `take` says.
    pub fn end<E>(
        &mut self,
        take: &mut impl FnMut(u64, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !std::mem::take(&mut self.is_open) {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        let is_too_long = std::mem::take(&mut self.is_too_long);
        take(self.number, (!is_too_long).then(|| without_mark(&held)))
    }

    /// Gives the line that has begun, whose end is still to come: what comes until then has the
    /// same number.
    ///
    /// # Errors
    /// Whatever `take` says.
    pub fn take_begun<E>(
        &mut self,
        take: &mut impl FnMut(u64, Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.is_open || self.is_too_long {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        take(self.number, Some(without_mark(&held)))
    }
}

/// The bytes behind a byte order mark, which files of Windows programs begin with.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    type Found = Vec<(u64, Option<String>)>;

    fn all(pieces: &[&[u8]], most: usize) -> Found {
        let (mut lines, mut found) = (Lines::new(most), Found::new());
        let mut take = |number, line: Option<&[u8]>| {
            found.push((number, line.map(|line| String::from_utf8_lossy(line).into_owned())));
            Ok::<(), Infallible>(())
        };
        for piece in pieces {
            lines.push(piece, &mut take).expect("infallible");
        }
        lines.end(&mut take).expect("infallible");
        found
    }

    #[test]
    fn lines_are_the_same_however_the_bytes_come() {
        let text = "\u{feff}a\r\nb\rc\n\n\u{feff}d\r\r\ne".as_bytes();
        let expected: Found =
            (1..).zip(["a", "b", "c", "", "d", "", "e"].map(|one| Some(one.to_owned()))).collect();
        assert_eq!(all(&[text], 100), expected);
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(all(&bytes, 100), expected);
        for cut in 0..text.len() {
            assert_eq!(all(&[&text[..cut], &text[cut..]], 100), expected, "{cut}");
        }
    }

    #[test]
    fn a_line_too_long_is_one_line() {
        let expected = vec![(1, Some("ab".into())), (2, None), (3, Some("cd".into()))];
        assert_eq!(all(&[b"ab\nabcdef\ncd"], 3), expected);
        assert_eq!(all(&[b"ab\nab", b"cd", b"ef\n", b"cd"], 3), expected);
    }

    #[test]
    fn a_line_that_is_taken_early_keeps_its_number() {
        let (mut lines, mut found) = (Lines::new(9), Vec::new());
        let mut take = |number, line: Option<&[u8]>| {
            found.push((number, line.map(<[u8]>::to_vec)));
            Ok::<(), Infallible>(())
        };
        lines.push(b"a\nb", &mut take).expect("infallible");
        lines.take_begun(&mut take).expect("infallible");
        lines.push(b" \nc\n", &mut take).expect("infallible");
        let numbers: Vec<u64> = found.iter().map(|one| one.0).collect();
        assert_eq!(numbers, [1, 2, 2, 3]);
    }
}
