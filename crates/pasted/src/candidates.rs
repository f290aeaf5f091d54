//! Whatever in a text may be a token, however it came there.
//!
//! ```text
//! text ──┬── as it stands                     words, and runs of the characters of tokens,
//!        ├── without what carried it:         each also without signs at its ends
//!        │     %3D  =3D  \u003d  &#61;
//!        │     base64, a line end within
//!        └── pieces put together              of adjacent lines, of `'a' + 'b'`
//! ```
//!
//! Promises: whatever stands around a token, and whatever usual coding it is in, it is among these,
//! up to [`CANDIDATES_MAX`] of them; how many are left out is told. The plainest come first, of
//! those the longest. Bounded work for any text.
//!
//! Refuses: to say which of them is one. The ledger knows by their digests.

use std::collections::HashSet;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ledgerline_proof::token_id::{MIN_TOKEN_BYTES, TokenId};

/// Most that are given.
pub const CANDIDATES_MAX: usize = 480;
/// Texts that one text is turned into.
const TEXTS_MAX: usize = 24;
/// From this length on a text is decoded once, not again and again.
const LONG_TEXT: usize = 64 << 10;
/// What stands between things in addresses, forms and headers, and in some tokens too.
const APART: [&str; 5] = ["", "?&#", "?&#=", "?&#=:", "?&#=:/@|"];
/// Pieces of one token, which somebody's screen or program broke.
const PIECES_MAX: usize = 400;
/// Pieces at either end of a row that may belong to something else.
const ENDS: usize = 4;
/// What is found in one text at most, before the best are chosen.
const FOUND_MAX: usize = 100_000;

/// What may be a token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Candidates {
    /// The likeliest first, each once.
    pub list: Vec<String>,
    /// How many more there would have been.
    pub left_out: usize,
}

/// All that may be a token in a text.
#[must_use]
pub fn candidates(text: &str) -> Candidates {
    let mut found = Found::default();
    let texts = texts(text);
    for (n, text) in texts.iter().enumerate() {
        found.rank = usize::from(n > 0);
        found.words(text);
    }
    found.rank = 2;
    for text in texts.iter().filter(|text| text.len() <= LONG_TEXT) {
        let breaks: fn(&str) -> bool = |between| between.contains(['\n', '\r', '+', '\\']);
        found.joined(text, is_plain, breaks);
        found.joined(text, is_wide, breaks);
    }
    found.rank = 3;
    for text in texts.iter().filter(|text| text.len() <= LONG_TEXT) {
        found.joined(text, is_plain, |_| true);
        found.joined(text, is_wide, |_| true);
    }
    let mut list = found.list;
    list.sort_by_key(|(rank, one)| (*rank, std::cmp::Reverse(one.len())));
    let left_out = list.len().saturating_sub(CANDIDATES_MAX);
    list.truncate(CANDIDATES_MAX);
    Candidates { list: list.into_iter().map(|(_, one)| one).collect(), left_out }
}

#[derive(Default)]
struct Found {
    rank: usize,
    seen: HashSet<String>,
    list: Vec<(usize, String)>,
}

impl Found {
    fn add(&mut self, one: &str) {
        let may_be = one.len() >= MIN_TOKEN_BYTES || TokenId::parse(one).is_ok();
        if may_be && self.list.len() < FOUND_MAX && self.seen.insert(one.to_owned()) {
            self.list.push((self.rank, one.to_owned()));
            // Cut first: what is coded in it may be what the text around it is cut at.
            if one.contains('%') {
                self.add(&percent(one));
            }
        }
    }

    /// One run, with and without the signs at its ends.
    fn run(&mut self, run: &str) {
        let sign = |c: char| !c.is_alphanumeric();
        let stop = [',', ';', '.', ':', '!', '?', '|'];
        for front in [run, run.trim_start_matches(sign)] {
            for one in [front, front.trim_end_matches(stop), front.trim_end_matches(sign)] {
                self.add(one);
            }
        }
    }

    fn words(&mut self, text: &str) {
        for word in text.split_whitespace() {
            self.run(word);
            for apart in APART {
                let is_within = |c: char| is_wide(c) && !apart.contains(c);
                word.split(|c| !is_within(c)).for_each(|run| self.run(run));
            }
            for run in word.split(|c| !is_plain(c)) {
                self.run(run);
                run.split('/').for_each(|part| self.run(part));
            }
            let runs = word.split(|c| !is_wide(c) || "?&#:".contains(c));
            for (part, padded) in runs.flat_map(values) {
                self.run(part);
                self.add(padded);
                part.split('/').for_each(|part| self.run(part));
            }
        }
    }

    /// Pieces put together between which stands what `joins`.
    fn joined(&mut self, text: &str, is_of: fn(char) -> bool, joins: fn(&str) -> bool) {
        let mut row: Vec<&str> = Vec::new();
        let mut end = 0;
        for piece in text.split(|c| !is_of(c)) {
            if !piece.contains(|c: char| c.is_ascii_alphanumeric()) {
                continue;
            }
            let at = piece.as_ptr() as usize - text.as_ptr() as usize;
            if !row.is_empty() && !joins(&text[end..at]) {
                self.row(&row);
                row.clear();
            }
            row.push(piece);
            end = at + piece.len();
        }
        self.row(&row);
    }

    /// A row of pieces: all of it, and with some left out at its ends; and few neighbours.
    fn row(&mut self, row: &[&str]) {
        let all = row.len();
        if all <= PIECES_MAX {
            for first in 0..ENDS.min(all) {
                for left in 0..ENDS.min(all - first) {
                    let pieces = &row[first..all - left];
                    if pieces.len() > 1 {
                        self.run(&pieces.concat());
                    }
                }
            }
        }
        for many in 2..=ENDS {
            row.windows(many).take(PIECES_MAX).for_each(|pieces| self.run(&pieces.concat()));
        }
    }
}

/// What tokens are made of: the characters of RFC 6750, section 2.1.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=".contains(c)
}

/// What some tokens have besides, and what no text is quoted or listed with.
fn is_wide(c: char) -> bool {
    c.is_ascii_graphic() && !"\"'`<>(){}[]\\,;".contains(c)
}

/// The parts between signs of equality, each alone and with what may be its padding.
fn values(run: &str) -> impl Iterator<Item = (&str, &str)> {
    run.split('=').filter(|part| !part.is_empty()).map(move |part| {
        let at = part.as_ptr() as usize - run.as_ptr() as usize;
        let rest = &run[at + part.len()..];
        let padding = rest.len() - rest.trim_start_matches('=').len();
        (part, &run[at..at + part.len() + padding])
    })
}

/// The text, and what it is without what carried it, in every order.
fn texts(text: &str) -> Vec<String> {
    let turns: [fn(&str) -> String; 6] =
        [percent, quoted_printable, escapes, entities, unpacked, |text| text.replace('+', " ")];
    let mut texts = vec![text.to_owned()];
    let mut at = 0;
    while at < texts.len() && (at == 0 || texts[at].len() <= LONG_TEXT) {
        for turn in turns {
            let turned = turn(&texts[at]);
            let is_new = !turned.is_empty() && !texts.contains(&turned);
            if is_new && texts.len() < TEXTS_MAX {
                texts.push(turned);
            }
        }
        at += 1;
    }
    texts
}

fn percent(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Without soft line ends and `=3D` (RFC 2045, section 6.7).
fn quoted_printable(text: &str) -> String {
    let joined = text.replace("=\r\n", "").replace("=\n", "").replace("=\r", "");
    decoded(&joined, "=", |rest| hex(rest, 2).filter(|(c, _)| c.is_ascii_graphic()))
}

/// Without the escapes of strings in programs and JSON; a line that goes on is one.
fn escapes(text: &str) -> String {
    let joined = text.replace("\\\r\n", "").replace("\\\n", "");
    decoded(&joined, "\\", |rest| match rest.chars().next()? {
        'u' => hex(&rest[1..], 4).map(|(c, length)| (c, length + 1)),
        'x' => hex(&rest[1..], 2).map(|(c, length)| (c, length + 1)),
        'n' | 'r' | 't' => Some(('\n', 1)),
        c => Some((c, c.len_utf8())),
    })
}

/// Without the entities of HTML and XML.
fn entities(text: &str) -> String {
    decoded(text, "&", |rest| {
        let (name, _) = rest.get(..rest.len().min(10)).unwrap_or_default().split_once(';')?;
        let length = name.len() + 1;
        let number =
            |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let c = match name {
            "quot" => '"',
            "apos" => '\'',
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "nbsp" => ' ',
            "equals" => '=',
            "plus" => '+',
            "lowbar" => '_',
            "period" => '.',
            "sol" => '/',
            _ => match name.strip_prefix(['#'])? {
                digits if digits.starts_with(['x', 'X']) => number(&digits[1..], 16)?,
                digits => number(digits, 10)?,
            },
        };
        Some((c, length))
    })
}

fn hex(text: &str, digits: usize) -> Option<(char, usize)> {
    let digits = text.get(..digits)?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    char::from_u32(number).map(|c| (c, digits.len()))
}

/// The text with each `sign` and what follows replaced as `of` says, which gives the character and
/// how many bytes it stood in.
fn decoded(text: &str, sign: &str, of: impl Fn(&str) -> Option<(char, usize)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(sign) {
        out.push_str(&rest[..at]);
        let behind = &rest[at + sign.len()..];
        match of(behind) {
            Some((c, length)) => {
                out.push(c);
                rest = &behind[length..];
            }
            None => {
                out.push_str(sign);
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

/// What stands in base64 in the text, a line each: `user:password`, a secret of a cluster. Not the
/// parts of a JWT: what it tells of others is not what was pasted.
fn unpacked(text: &str) -> String {
    let any = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engines = [&alphabet::STANDARD, &alphabet::URL_SAFE].map(|a| GeneralPurpose::new(a, any));
    let mut out = String::new();
    let runs = text.split(|c| !is_plain(c)).flat_map(|run| {
        let value = values(run).map(|(_, padded)| padded).last().unwrap_or_default();
        [run, value]
    });
    for run in runs.filter(|run| run.len() >= MIN_TOKEN_BYTES && !run.contains('.')) {
        let bytes = engines.iter().find_map(|engine| engine.decode(run).ok());
        let inner = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let is_text = |inner: &String| inner.chars().all(|c| !c.is_control() || c.is_whitespace());
        if let Some(inner) = inner.filter(is_text) {
            out.push_str(&inner);
            out.push('\n');
        }
    }
    out
}
