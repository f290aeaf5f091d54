//! One line of a file of leaked tokens: all that it may be read as, and what is known of that.
//!
//! ```text
//! line ──readings──▶ questions ──answers──▶ hits     the line as it stands is known: that is all
//!      └─candidates─▶ questions ──answers──▶ hits     else whatever in it may be a token
//! hits ──one token each──▶ rows      none ──▶ UNKNOWN, for each token of the likeliest reading
//! ```
//!
//! Promises: a line is UNKNOWN only when nothing that it may be read as is known, and nothing known
//! is hidden by what is likelier. Of what is a part of another known one that one is meant.

use std::collections::HashSet;

use ledgerline_api::triage::{Knowledge, Leaked, TriagedToken};
use ledgerline_pasted::{self as pasted, Reading, is_signed};
use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::lookup::{ids_of, several};
use crate::own_times::OwnTimes;
use ledgerline_terminal::render::cell;

/// What was asked about a thing in the line, and is known.
pub struct Hit {
    /// What was looked up.
    pub token: String,
    /// How it was asked for.
    pub question: Leaked,
    /// What is known.
    pub answer: TriagedToken<'static>,
}

/// A line of which answers are awaited.
pub struct Line {
    number: u64,
    text: Vec<u8>,
    /// The tokens of the likeliest reading.
    obvious: Vec<String>,
    /// What was looked up already.
    asked: HashSet<String>,
    hits: Vec<Hit>,
    /// The first question about each obvious token, for a proof.
    firsts: Vec<(String, Leaked)>,
    /// Whether all that may be a token in it was looked for, and how many were too many.
    searched: bool,
    left_out: usize,
    /// Questions without an answer yet.
    pub open: usize,
}

/// What is said of a token of a line, or of a line without one.
#[skip_serializing_none]
#[derive(Debug, Serialize)]
pub struct Row {
    /// The line.
    pub line: u64,
    #[serde(flatten)]
    said: Said,
    /// What its own times say against it.
    #[serde(flatten)]
    pub own: OwnTimes,
    /// That its signature was not checked, where it has one.
    pub signature: Option<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Said {
    Token(Box<TriagedToken<'static>>),
    Weak { status: &'static str },
}

impl Row {
    fn new(line: u64, said: Said) -> Self {
        Self { line, said, own: OwnTimes::default(), signature: None }
    }

    fn weak(line: u64) -> Self {
        Self::new(line, Said::Weak { status: "weak" })
    }

    /// One of which nothing but that can be said.
    #[must_use]
    pub fn only(line: u64, status: Knowledge) -> Self {
        Self::new(line, Said::Token(Box::new(TriagedToken::only(status))))
    }

    /// What is said of the token; `None` where nothing is long enough for one.
    #[must_use]
    pub fn token(&self) -> Option<&TriagedToken<'static>> {
        match &self.said {
            Said::Token(token) => Some(token),
            Said::Weak { .. } => None,
        }
    }

    /// Whether it is known, in a word.
    #[must_use]
    pub fn status(&self) -> String {
        match &self.said {
            Said::Token(token) => cell(&token.status),
            Said::Weak { status } => (*status).to_owned(),
        }
    }
}

/// What a line comes to.
#[derive(Default)]
pub struct Rows {
    /// What is said of each token.
    pub rows: Vec<Row>,
    /// What is asked for in a proof.
    pub proven: Vec<Leaked>,
    /// Things that were not looked up in a line of which nothing is known.
    pub left_out: usize,
}

impl Line {
    /// A line with what it may be read as.
    #[must_use]
    pub fn new(number: u64, text: &[u8]) -> (Self, Vec<String>) {
        let text = text.trim_ascii().to_vec();
        let readings: Vec<Reading> = pasted::read(&text);
        let mut obvious = readings.first().map(|one| one.tokens.clone()).unwrap_or_default();
        // Words among which nothing looks like a token are none.
        obvious.retain(|token| !token.contains(char::is_whitespace));
        let mut line = Self {
            number,
            text,
            obvious,
            asked: HashSet::new(),
            hits: Vec::new(),
            firsts: Vec::new(),
            searched: false,
            left_out: 0,
            open: 0,
        };
        let tokens = readings.into_iter().flat_map(|one| one.tokens);
        let tokens = line.not_asked(tokens);
        (line, tokens)
    }

    /// Its number in the file.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    fn not_asked(&mut self, tokens: impl IntoIterator<Item = String>) -> Vec<String> {
        tokens.into_iter().filter(|token| self.asked.insert(token.clone())).collect()
    }

    /// How many tokens it obviously has, and how many of them are wrapped.
    #[must_use]
    pub fn count(&self) -> (usize, u64) {
        let is_wrapped = |token: &&String| token.as_bytes() != self.text;
        (self.obvious.len(), self.obvious.iter().filter(is_wrapped).count() as u64)
    }

    /// What else may be a token in it: nothing when it is known as it stands, or was asked before.
    #[must_use]
    pub fn more(&mut self) -> Vec<String> {
        let is_whole = |hit: &Hit| hit.token.as_bytes() == self.text;
        if self.searched || self.hits.iter().any(is_whole) {
            return Vec::new();
        }
        self.searched = true;
        let found = pasted::candidates(&pasted::shown_text(&self.text));
        self.left_out = found.left_out;
        self.not_asked(found.list)
    }

    /// Notes what is asked first about one of its tokens.
    pub fn asks(&mut self, token: &str, questions: &[Leaked]) {
        self.open += questions.len();
        let is_obvious = self.obvious.iter().any(|one| one == token);
        if let Some(first) = questions.first().filter(|_| is_obvious) {
            self.firsts.push((token.to_owned(), first.clone()));
        }
    }

    /// Takes what is known.
    pub fn hit(&mut self, hit: Hit) {
        self.hits.push(hit);
    }

    /// What is said of it.
    #[must_use]
    pub fn rows(self) -> Rows {
        let Self { number, obvious, firsts, hits, left_out, .. } = self;
        let mut out = Rows::default();
        let groups = whole(groups(hits));
        let is_alone = obvious.len() == 1;
        for token in &obvious {
            let is_read_so = |hit: &Hit| {
                is_alone || hit.token.contains(token.as_str()) || token.contains(&hit.token)
            };
            if groups.iter().flatten().any(is_read_so) {
                continue;
            }
            let first = firsts.iter().find(|(of, _)| of == token);
            out.rows.push(match first {
                Some(_) => Row::only(number, Knowledge::Unknown),
                None => Row::weak(number),
            });
            out.proven.extend(first.map(|(_, question)| question.clone()));
        }
        if groups.is_empty() {
            out.left_out = left_out;
            if obvious.is_empty() {
                out.rows.push(Row::weak(number));
            }
        }
        for group in groups {
            let mut row = Row::new(number, Said::Token(Box::new(said(&group))));
            // The last says it for all.
            let own = group.iter().rev().map(|hit| OwnTimes::of(&hit.token));
            row.own = own.fold(OwnTimes::default(), OwnTimes::or);
            let is_signed = group.iter().any(|hit| is_signed(&hit.token));
            row.signature = is_signed.then_some("not_verified");
            out.rows.push(row);
            out.proven.extend(group.into_iter().map(|hit| hit.question));
        }
        out
    }
}

/// The hits about one token each.
fn groups(hits: Vec<Hit>) -> Vec<Vec<Hit>> {
    let mut groups: Vec<Vec<Hit>> = Vec::new();
    for hit in hits {
        let is_same = |one: &Hit| {
            one.token == hit.token
                || ids_of(&one.answer).any(|id| ids_of(&hit.answer).any(|o| o == id))
        };
        let is_same = |group: &mut Vec<Hit>| group.iter().any(is_same);
        let mut one: Vec<Hit> = groups.extract_if(.., is_same).flatten().collect();
        one.push(hit);
        groups.push(one);
    }
    groups
}

/// Without those that are only a part of another one.
fn whole(groups: Vec<Vec<Hit>>) -> Vec<Vec<Hit>> {
    let is_part = |group: &[Hit], of: &[Hit]| {
        group.iter().all(|part| {
            of.iter()
                .any(|one| one.token.len() > part.token.len() && one.token.contains(&part.token))
        })
    };
    let parts: Vec<bool> = groups
        .iter()
        .map(|group| groups.iter().any(|of| !std::ptr::eq(of, group) && is_part(group, of)))
        .collect();
    groups.into_iter().zip(parts).filter(|(_, part)| !part).map(|(group, _)| group).collect()
}

/// What is said of one token by all the answers about it.
fn said(group: &[Hit]) -> TriagedToken<'static> {
    let unread = group.iter().find(|hit| hit.answer.status == Knowledge::Unreadable);
    let mut row = unread.unwrap_or(&group[0]).answer.clone();
    let answers: Vec<&TriagedToken<'_>> = group.iter().map(|hit| &hit.answer).collect();
    let records = several::records(&answers);
    if unread.is_none() && several::differ(&answers, &records) {
        row.differs = Some(true);
        (row.alive, row.state) = (None, None);
        row.records = records;
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(id: &str, alive: bool) -> TriagedToken<'static> {
        TriagedToken {
            token_id: Some(id.to_owned().into()),
            alive: Some(alive),
            ..TriagedToken::only(Knowledge::Known)
        }
    }

    fn alive(row: &Row) -> Option<bool> {
        row.token().and_then(|token| token.alive)
    }

    fn rows_of(text: &str, knows: &[(&str, &str, bool)]) -> Vec<Row> {
        let (mut line, mut tokens) = Line::new(1, text.as_bytes());
        loop {
            for token in &tokens {
                let id = Some(token.clone());
                line.asks(token, &[Leaked { id, digest: None }]);
                for (_, id, alive) in knows.iter().filter(|(known, ..)| known == token) {
                    let (token, question) = (token.clone(), Leaked::default());
                    line.hit(Hit { token, question, answer: known(id, *alive) });
                }
            }
            tokens = line.more();
            if tokens.is_empty() {
                return line.rows().rows;
            }
        }
    }

    #[test]
    fn a_known_token_that_was_not_the_likeliest_reading_was_unknown() {
        let living = ("a1b2c3d4e5f6g7h8i9j0k1l2", "eu:idp:t1:a", true);
        for form in [
            "access_token=zzzzzzzzzzzzzzzzzzzz1 sid=@",
            "id:@",
            "https://app.test/x?code=@&token=zzzzzzzzzzzzzzzzzzz2",
            "Authorization: Bearer zzzzzzzzzzzzzzzzzzz1/@",
            "@==",
            "x-session;@;end",
        ] {
            let rows = rows_of(&form.replace('@', living.0), &[living]);
            let found = rows.iter().filter(|row| alive(row) == Some(true));
            let found: Vec<_> = found.filter_map(Row::token).collect();
            assert_eq!(found.len(), 1, "{form}");
            assert_eq!(found[0].token_id.as_deref(), Some("eu:idp:t1:a"), "{form}");
            assert_eq!(rows.len(), 1, "{form}: {rows:?}");
        }
        let rows = rows_of("access_token=zzzzzzzzzzzzzzzzzzzz1 sid=@", &[living]);
        assert_eq!(rows[0].status(), "unknown", "nothing in it is known");
    }

    #[test]
    fn a_dead_likeliest_reading_hid_one_that_is_alive() {
        let (dead, living) = ("zzzzzzzzzzzzzzzzzzzzzz01", "a1b2c3d4e5f6g7h8i9j0k1l2");
        let text = format!("access_token={dead} sid={living}");
        let rows = rows_of(&text, &[(dead, "d", false), (living, "a", true)]);
        for is_alive in [true, false] {
            let found = rows.iter().filter(|row| alive(row) == Some(is_alive));
            assert_eq!(found.count(), 1, "{rows:?}");
        }
        // Two records of one token that do not agree are no verdict.
        let rows = rows_of(dead, &[(dead, "d", false), (dead, "e", true)]);
        assert_eq!((rows.len(), alive(&rows[0])), (1, None), "{rows:?}");
        // A part of what is known is not meant.
        let whole = format!("{living}/{dead}");
        let rows = rows_of(&format!("x={whole}"), &[(&whole, "w", false), (living, "a", true)]);
        assert_eq!(rows.len(), 1, "{rows:?}");
    }
}
