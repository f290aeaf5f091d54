//! Rows of a table of comma-separated values, as programs and people export them.
//!
//! ```text
//! ,  ;  tab  |      whichever parts the head into names that the table has, or `sep=;` before it
//! "a ""b"", c"      RFC 4180; a quote inside a field that begins without one is a quote
//! "two⏎lines"      only in a column of free text
//! ```
//!
//! Promises: each row is given with the line it begins on. A quote that is left open costs its own
//! line and no other: when what it would swallow is no row, the lines behind it are read anew.

use std::collections::VecDeque;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// What may stand between fields.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Lines that one row may go over.
const ROW_LINES_MAX: usize = 64;
const LEFT_OPEN: &str = "a quote is left open";

/// What a row is, or what is wrong with it.
pub(super) type Cells = Result<Vec<Vec<u8>>, &'static str>;

/// Finds rows.
pub(super) struct Rows {
    reader: Reader,
    delimiter: u8,
    columns: usize,
    /// Which columns may hold line ends.
    is_free: Vec<bool>,
    /// The lines of a row that is not decided.
    waiting: Vec<(u64, Vec<u8>)>,
}

impl Rows {
    /// For rows under a head of so many columns; `is_free` says which hold free text.
    pub(super) fn new(delimiter: u8, is_free: Vec<bool>) -> Self {
        let reader = reader(delimiter);
        Self { reader, delimiter, columns: is_free.len(), is_free, waiting: Vec::new() }
    }

    /// Takes the next line and gives each row that is decided with it.
    pub(super) fn line<E>(
        &mut self,
        number: u64,
        line: &[u8],
        take: &mut impl FnMut(u64, Cells) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.waiting.is_empty() && line.trim_ascii().is_empty() {
            return Ok(());
        }
        let mut next = VecDeque::from([(number, line.to_vec())]);
        while let Some(line) = next.pop_front() {
            self.waiting.push(line);
            let is_alone = self.waiting.len() == 1;
            let why = match self.cells() {
                None if self.waiting.len() < ROW_LINES_MAX => continue,
                Some(Ok(cells)) if is_alone || self.fits(&cells) => {
                    take(self.waiting[0].0, self.judged(cells))?;
                    self.waiting.clear();
                    continue;
                }
                Some(Err(why)) if is_alone => why,
                None | Some(_) => LEFT_OPEN,
            };
            self.give_up(why, &mut next, take)?;
        }
        Ok(())
    }

    /// Gives what is left: nothing more comes, or a line that cannot be read.
    pub(super) fn end<E>(
        &mut self,
        take: &mut impl FnMut(u64, Cells) -> Result<(), E>,
    ) -> Result<(), E> {
        while !self.waiting.is_empty() {
            let mut next = VecDeque::new();
            self.give_up(LEFT_OPEN, &mut next, take)?;
            for (number, line) in next {
                self.line(number, &line, take)?;
            }
        }
        Ok(())
    }

    /// Names the first line, and puts those behind it back in front of what comes.
    fn give_up<E>(
        &mut self,
        why: &'static str,
        next: &mut VecDeque<(u64, Vec<u8>)>,
        take: &mut impl FnMut(u64, Cells) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut lines = std::mem::take(&mut self.waiting).into_iter();
        if let Some((first, _)) = lines.next() {
            take(first, Err(why))?;
        }
        for line in lines.rev() {
            let is_blank = line.1.trim_ascii().is_empty();
            if !is_blank {
                next.push_front(line);
            }
        }
        Ok(())
    }

    /// The cells of the waiting lines; `None` when a quote is open at their end.
    fn cells(&mut self) -> Option<Cells> {
        let lines: Vec<&[u8]> = self.waiting.iter().map(|(_, line)| line.as_slice()).collect();
        let mut text = lines.join(&b'\n');
        if has_astray_quote(&text, self.delimiter) {
            return Some(Err("something follows a closing quote"));
        }
        text.push(b'\n');
        cells(&mut self.reader, &text).map(Ok)
    }

    /// Whether several lines are one row: line ends stand in free text alone.
    fn fits(&self, cells: &[Vec<u8>]) -> bool {
        let pairs = cells.iter().zip(&self.is_free);
        cells.len() == self.columns
            && pairs.into_iter().all(|(c, free)| *free || !c.contains(&b'\n'))
    }

    fn judged(&self, cells: Vec<Vec<u8>>) -> Cells {
        if cells.len() == self.columns {
            Ok(cells)
        } else {
            Err("the row has another number of fields than the head")
        }
    }
}

/// The delimiter that a `sep=;` line names, as Excel reads and writes it.
pub(super) fn named_delimiter(line: &[u8]) -> Option<u8> {
    match line.trim_ascii().strip_prefix(b"sep=") {
        Some([one]) => Some(*one),
        // The tab itself is white space at the line's end.
        Some([]) => Some(b'\t'),
        _ => None,
    }
}

/// The names of a head line and their delimiter: the one under which the most of them are known.
pub(super) fn head(
    line: &[u8],
    named: Option<u8>,
    is_known: impl Fn(&str) -> bool,
) -> (Vec<String>, u8) {
    let split = |delimiter: u8| -> (Vec<String>, u8) {
        let text = [line, b"\n"].concat();
        let cells = cells(&mut reader(delimiter), &text).unwrap_or_default();
        let name = |cell: &Vec<u8>| String::from_utf8_lossy(cell).trim().to_ascii_lowercase();
        (cells.iter().map(name).collect(), delimiter)
    };
    if let Some(delimiter) = named {
        return split(delimiter);
    }
    let known = |(names, _): &(Vec<String>, u8)| names.iter().filter(|name| is_known(name)).count();
    // The comma where nothing tells: the last of equals is taken.
    let all = DELIMITERS.into_iter().rev().map(split);
    all.max_by_key(known).unwrap_or_default()
}

fn reader(delimiter: u8) -> Reader {
    ReaderBuilder::new().delimiter(delimiter).build()
}

/// The cells of one row, which ends with a line feed; `None` when it does not.
fn cells(reader: &mut Reader, text: &[u8]) -> Option<Vec<Vec<u8>>> {
    reader.reset();
    // Neither can overflow: a cell has at least its delimiter or the line end.
    let (mut out, mut ends) = (vec![0; text.len()], vec![0; text.len() + 1]);
    let (result, _, _, count) = reader.read_record(text, &mut out, &mut ends);
    if !matches!(result, ReadRecordResult::Record) {
        return None;
    }
    let begins = std::iter::once(0).chain(ends[..count].iter().copied());
    Some(begins.zip(&ends[..count]).map(|(from, to)| out[from..*to].to_vec()).collect())
}

/// Whether something else than a delimiter stands behind a closing quote, which the reader would
/// take for a part of the field.
fn has_astray_quote(text: &[u8], delimiter: u8) -> bool {
    if !text.contains(&b'"') {
        return false;
    }
    let (mut at, mut begins) = (0, true);
    while let Some(byte) = text.get(at) {
        if !begins || *byte != b'"' {
            begins = *byte == delimiter;
            at += 1;
            continue;
        }
        at += 1;
        loop {
            let Some(end) = text[at..].iter().position(|byte| *byte == b'"') else { return false };
            at += end + 1;
            if text.get(at) != Some(&b'"') {
                break;
            }
            at += 1;
        }
        if text.get(at).is_some_and(|byte| *byte != delimiter) {
            return true;
        }
        begins = false;
    }
    false
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Rows under a head of three columns, of which the last is free text.
    fn check(text: &str, expected: &[(u64, Result<[&str; 3], &str>)]) {
        let mut rows = Rows::new(b',', vec![false, false, true]);
        let mut found = Vec::new();
        let mut take = |line, cells: Cells| {
            let text = |cell: &Vec<u8>| String::from_utf8_lossy(cell).into_owned();
            found.push((line, cells.map(|cells| cells.iter().map(text).collect::<Vec<_>>())));
            Ok::<(), Infallible>(())
        };
        for (number, line) in (2..).zip(text.lines()) {
            rows.line(number, line.as_bytes(), &mut take).expect("infallible");
        }
        rows.end(&mut take).expect("infallible");
        let expected: Vec<_> = expected
            .iter()
            .map(|(line, cells)| (*line, cells.map(|c| c.map(str::to_owned).to_vec())))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn an_inch_mark_swallowed_rows() {
        check(
            "a,15\" kiosk,ann\nb,web,bob",
            &[(2, Ok(["a", "15\" kiosk", "ann"])), (3, Ok(["b", "web", "bob"]))],
        );
        check(
            "a,web,20\"\nb,\"15\"\" kiosk\",bob",
            &[(2, Ok(["a", "web", "20\""])), (3, Ok(["b", "15\" kiosk", "bob"]))],
        );
    }

    #[test]
    fn an_open_quote_costs_its_own_line_alone() {
        let astray = Err("something follows a closing quote");
        let open = Err(LEFT_OPEN);
        check(
            "a,\"web,ann\nb,web,bob\n\nc,web,eve",
            &[(2, open), (3, Ok(["b", "web", "bob"])), (5, Ok(["c", "web", "eve"]))],
        );
        check(
            "a,\"web,ann\nb,\"web\",bob\nc,web,\"eve",
            &[(2, open), (3, Ok(["b", "web", "bob"])), (4, open)],
        );
        check(
            "a,\"web,ann\nb,bob,x\"\nc,web,eve",
            &[(2, open), (3, Ok(["b", "bob", "x\""])), (4, Ok(["c", "web", "eve"]))],
        );
        check("a,\"web\nb,web\",bob", &[(2, open), (3, Ok(["b", "web\"", "bob"]))]);
        check("a,\"we\"b,ann\nb,web,bob", &[(2, astray), (3, Ok(["b", "web", "bob"]))]);
    }

    #[test]
    fn free_text_may_go_over_lines() {
        check(
            "a,web,\"two\nlines, \"\"here\"\"\"\nb,,",
            &[(2, Ok(["a", "web", "two\nlines, \"here\""])), (4, Ok(["b", "", ""]))],
        );
    }

    #[test]
    fn a_row_of_another_length_is_named() {
        let other = Err("the row has another number of fields than the head");
        check("a,b\na,b,c,d\na,b,c", &[(2, other), (3, other), (4, Ok(["a", "b", "c"]))]);
    }

    #[test]
    fn the_delimiter_is_the_one_that_gives_names() {
        let known = |name: &str| ["jti", "state", "client"].contains(&name);
        for (line, named, delimiter) in [
            ("jti,state,client", None, b','),
            ("jti;state;client", None, b';'),
            ("\"JTI\"\tState\t client ", None, b'\t'),
            ("jti|state|client", None, b'|'),
            ("jti:state:client", Some(b':'), b':'),
        ] {
            let expected = ["jti", "state", "client"].map(str::to_owned).to_vec();
            assert_eq!(head(line.as_bytes(), named, known), (expected, delimiter), "{line}");
        }
        assert_eq!(head(b"jti", None, known).1, b',');
        assert_eq!(named_delimiter(b"sep=;"), Some(b';'));
        assert_eq!(named_delimiter(b"sep=\t"), Some(b'\t'));
        assert_eq!(named_delimiter(b"jti"), None);
    }
}
