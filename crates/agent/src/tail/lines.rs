//! Lines of a file that grows: a line counts when its end is there.
//!
//! Promises: what is given out has the number that an editor shows and the place where it begins;
//! the place behind the last whole line is known, so that reading can begin there again.

/// Longest line, in bytes.
pub const LINE_BYTES_MAX: usize = ledgerline_sources::LINE_BYTES_MAX;

/// A line of a file.
pub struct Line<'l> {
    /// Its number, from 1.
    pub number: u64,
    /// Where it begins.
    pub begin: u64,
    /// Its bytes, without its end; `None` when it is too long.
    pub bytes: Option<&'l [u8]>,
}

/// Finds lines.
#[derive(Debug, Clone, Default)]
pub struct Lines {
    /// Where the line begins that is not whole.
    begin: u64,
    /// Lines before it.
    count: u64,
    /// Its bytes so far.
    begun: Vec<u8>,
    /// Bytes of it that were dropped because it is too long.
    dropped: u64,
}

impl Lines {
    /// From a place on, with so many lines before it.
    pub fn new(begin: u64, count: u64) -> Self {
        Self { begin, count, ..Self::default() }
    }

    /// Behind the last whole line, and how many whole lines there were.
    pub const fn whole(&self) -> (u64, u64) {
        (self.begin, self.count)
    }

    /// Where the next bytes are to be read.
    pub fn next(&self) -> u64 {
        self.begin + self.begun.len() as u64 + self.dropped
    }

    /// Takes the next bytes, and gives each line that is whole with them.
    pub fn push(&mut self, mut bytes: &[u8], give: &mut dyn FnMut(Line<'_>)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            self.keep(line);
            self.end(1, give);
        }
        self.keep(bytes);
    }

    /// The file is over: what has begun is its last line.
    pub fn finish(&mut self, give: &mut dyn FnMut(Line<'_>)) {
        if !self.begun.is_empty() || self.dropped > 0 {
            self.end(0, give);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.dropped > 0 || self.begun.len() + bytes.len() > LINE_BYTES_MAX {
            self.dropped += self.begun.len() as u64 + bytes.len() as u64;
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(bytes);
        }
    }

    fn end(&mut self, end_bytes: u64, give: &mut dyn FnMut(Line<'_>)) {
        let begun = std::mem::take(&mut self.begun);
        let begin = self.begin;
        self.begin = begin + begun.len() as u64 + self.dropped + end_bytes;
        self.count += 1;
        let bytes = (self.dropped == 0).then_some(begun.strip_suffix(b"\r").unwrap_or(&begun));
        give(Line { number: self.count, begin, bytes });
        self.dropped = 0;
        self.begun = begun;
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(lines: &mut Lines, pieces: &[&[u8]], finish: bool) -> Vec<(u64, u64, Option<String>)> {
        let mut found = Vec::new();
        let mut give = |line: Line<'_>| {
            let text = line.bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            found.push((line.number, line.begin, text));
        };
        pieces.iter().for_each(|piece| lines.push(piece, &mut give));
        if finish {
            lines.finish(&mut give);
        }
        found
    }

    #[test]
    fn a_line_counts_when_its_end_is_there() {
        let mut lines = Lines::new(100, 5);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(found(&mut lines, &[b"ab", b"c"], false), []);
        assert_eq!((lines.whole(), lines.next()), ((100, 5), 103));
        let two = found(&mut lines, &[b"\nde\r\n\nf"], false);
        assert_eq!(two, [(6, 100, text("abc")), (7, 104, text("de")), (8, 108, text(""))]);
        assert_eq!((lines.whole(), lines.next()), ((109, 8), 110));
        assert_eq!(found(&mut lines, &[], true), [(9, 109, text("f"))]);
        assert_eq!((lines.whole(), lines.next()), ((110, 9), 110));
        assert_eq!(found(&mut lines, &[], true), [], "once");
    }

    #[test]
    fn a_line_that_is_too_long_costs_itself_alone() {
        let mut lines = Lines::new(0, 0);
        let half = vec![b'x'; LINE_BYTES_MAX / 2 + 1];
        let all = found(&mut lines, &[&half, &half, &half, b"\nok\n"], false);
        let after = 3 * half.len() as u64 + 1;
        assert_eq!(all, [(1, 0, None), (2, after, Some("ok".to_owned()))]);
        assert_eq!((lines.whole(), lines.next()), ((after + 3, 2), after + 3));
    }
}
