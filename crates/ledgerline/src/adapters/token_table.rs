//! An issuer's table of tokens: CSV with a head line, or NDJSON with members of the same names.
//!
//! ```text
//! token_id     <region>:<alias>:<form>:<value>          one of these four says which token
//! jti          a jti that is not the bearer value
//! digest       base64url SHA-256 of the bearer value, as `t1` ids have it
//! token        the bearer value itself: hashed here, never sent, never in an error
//! region, issuer             of the token, where the command line does not say
//! token_kind   ACCESS, REFRESH, …                       state   ACTIVE (default), REVOKED, …
//! client, subject, session, scopes (spaces between)   issued_at, expires_at: RFC 3339, Unix s
//! ```
//!
//! Promises: one row at a time; the same row gives the same event, byte for byte. Errors name a
//! line and a column, never a value. CSV is RFC 4180: fields in double quotes may hold commas,
//! doubled quotes and line breaks.
//!
//! Refuses: columns that it does not know, so that a misspelt one is not a silent gap.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _};

use ledgerline_proof::lifecycle::State;
use ledgerline_proof::token_id::{TokenId, from_jti, from_presented};
use ledgerline_proof::vocabulary::TokenKind;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::time_text;

/// Longest row, in bytes.
const ROW_BYTES_MAX: usize = 1 << 20;
/// The columns.
const COLUMNS: [&str; 14] = [
    "token_id",
    "jti",
    "digest",
    "token",
    "region",
    "issuer",
    "token_kind",
    "client",
    "subject",
    "session",
    "scopes",
    "issued_at",
    "expires_at",
    "state",
];

/// The form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Comma-separated values with a head line.
    Csv,
    /// One JSON object a line.
    Ndjson,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RowError {
    /// The input is not of its form.
    #[error("{0}")]
    Form(&'static str),
    /// A column that nobody knows.
    #[error("column {0} is not one of this table's")]
    UnknownColumn(usize),
    /// A column holds something else than it should.
    #[error("`{0}` {1}")]
    Bad(&'static str, &'static str),
}

/// A row of the table.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The token.
    pub token_id: String,
    /// The issuer's alias.
    pub issuer: String,
    /// Its state at the issuer.
    pub state: State,
    /// When it expires, Unix nanoseconds.
    pub expires_at: Option<i64>,
    fields: BTreeMap<&'static str, String>,
    issued_at: Option<i64>,
}

/// Reads all rows of a table and hands them over, each with the line it begins on.
///
/// # Errors
/// When the input cannot be read, or whatever `take` says.
pub fn read<E: From<io::Error>>(
    input: &mut dyn BufRead,
    form: Form,
    (region, issuer): (&str, &str),
    take: &mut dyn FnMut(u64, Result<Row, RowError>) -> Result<(), E>,
) -> Result<(), E> {
    let mut head: Option<Vec<&'static str>> = None;
    let (mut text, mut line) = (String::new(), 0);
    loop {
        let begin = line + 1;
        text.clear();
        let lines = match next_row(input, form, &mut text)? {
            0 => return Ok(()),
            lines => lines,
        };
        line += lines;
        if text.trim().is_empty() {
            continue;
        }
        let fields = match (form, &head) {
            (Form::Ndjson, _) => members(&text),
            (Form::Csv, Some(head)) => cells(&text).and_then(|cells| named(head, cells)),
            (Form::Csv, None) => {
                match cells(&text).and_then(|names| columns(&names)) {
                    Ok(names) => head = Some(names),
                    // Without its head no row can be read.
                    Err(error) => return take(begin, Err(error)),
                }
                continue;
            }
        };
        take(begin, fields.and_then(|fields| Row::new(fields, region, issuer)))?;
    }
}

/// Appends the next row; how many lines it has, 0 at the end.
fn next_row(input: &mut dyn BufRead, form: Form, text: &mut String) -> io::Result<u64> {
    let mut lines = 0;
    loop {
        let room = (ROW_BYTES_MAX + 1).saturating_sub(text.len());
        let count = (&mut *input).take(room as u64).read_line(text)?;
        lines += u64::from(count > 0);
        if text.len() > ROW_BYTES_MAX {
            let error = "a row is longer than 1 MiB; is a quote left open?";
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let quotes = text.bytes().filter(|byte| *byte == b'"').count();
        let is_open = form == Form::Csv && quotes % 2 == 1;
        if count == 0 || !is_open {
            return Ok(lines);
        }
    }
}

/// The cells of a CSV row.
fn cells(text: &str) -> Result<Vec<String>, RowError> {
    let text = text.trim_end_matches(['\n', '\r']);
    let mut cells = Vec::new();
    let mut rest = text;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_cell(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        cells.push(cell);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(cells),
            None => return Err(RowError::Form("something follows a closing quote")),
        }
    }
}

fn quoted_cell(text: &str) -> Result<(String, &str), RowError> {
    let (mut cell, mut rest) = (String::new(), text);
    loop {
        let end = rest.find('"').ok_or(RowError::Form("a quote is left open"))?;
        cell.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                cell.push('"');
                rest = more;
            }
            None => return Ok((cell, rest)),
        }
    }
}

fn columns(names: &[String]) -> Result<Vec<&'static str>, RowError> {
    let known = |(at, name): (usize, &String)| {
        let name = name.trim().trim_start_matches('\u{feff}');
        let found = COLUMNS.into_iter().find(|known| *known == name);
        found.ok_or(RowError::UnknownColumn(at + 1))
    };
    names.iter().enumerate().map(known).collect()
}

type Fields = BTreeMap<&'static str, String>;

fn named(head: &[&'static str], cells: Vec<String>) -> Result<Fields, RowError> {
    if cells.len() != head.len() {
        return Err(RowError::Form("the row has another number of fields than the head"));
    }
    let pairs = head.iter().copied().zip(cells);
    Ok(pairs.filter(|(_, cell)| !cell.is_empty()).collect())
}

fn members(text: &str) -> Result<Fields, RowError> {
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| RowError::Form("the line is no JSON object"))?;
    let mut fields = Fields::new();
    for (at, (name, value)) in object.into_iter().enumerate() {
        let known = COLUMNS.into_iter().find(|known| *known == name);
        let name = known.ok_or(RowError::UnknownColumn(at + 1))?;
        let cell = match value {
            Value::Null => continue,
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Array(list) if name == "scopes" => {
                let words: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
                words.ok_or(RowError::Bad("scopes", "is no list of strings"))?.join(" ")
            }
            _ => return Err(RowError::Bad(name, "is neither text nor a number")),
        };
        if !cell.is_empty() {
            fields.insert(name, cell);
        }
    }
    Ok(fields)
}

impl Row {
    fn new(mut fields: Fields, region: &str, issuer: &str) -> Result<Self, RowError> {
        let region = fields.remove("region").unwrap_or_else(|| region.to_owned());
        let issuer = fields.remove("issuer").unwrap_or_else(|| issuer.to_owned());
        let token_id = id_of(&mut fields, &region, &issuer)?;
        let parsed = TokenId::parse(&token_id).map_err(|_| BAD_ID)?;
        let issuer = parsed.issuer().to_owned();
        let state = match fields.remove("state") {
            None => State::Active,
            Some(word) => State::from_symbol(&word.to_ascii_uppercase())
                .filter(|state| *state != State::Unknown)
                .ok_or(RowError::Bad("state", "is no state of a token"))?,
        };
        if let Some(kind) = fields.get_mut("token_kind") {
            *kind = kind.to_ascii_uppercase();
            let known = TokenKind::from_symbol(kind).is_some();
            known.then_some(()).ok_or(RowError::Bad("token_kind", "is no kind of token"))?;
        }
        let mut time = |name: &'static str| {
            let text = fields.remove(name);
            text.map(|text| {
                moment(&text).ok_or(RowError::Bad(name, "is neither RFC 3339 nor Unix seconds"))
            })
            .transpose()
        };
        let (issued_at, expires_at) = (time("issued_at")?, time("expires_at")?);
        Ok(Self { token_id, issuer, state, expires_at, fields, issued_at })
    }

    /// Whether the issuer takes it for usable at a time.
    #[must_use]
    pub fn is_usable(&self, nanos: i64) -> bool {
        let state = matches!(self.state, State::Active | State::Pending | State::Suspended);
        state && self.expires_at.is_none_or(|end| nanos < end)
    }

    /// The ORIGIN event that states it, as of a time.
    #[must_use]
    pub fn origin(&self, taken_at: i64) -> Value {
        let mut event = json!({
            "native_id": format!("origin/{}", self.token_id),
            "type": "ORIGIN",
            "token_id": self.token_id,
            "occurred_at": time_text::rfc3339(taken_at),
            "issuer": self.issuer,
            "detail": [{ "key": "state", "value": self.state.symbol() }],
            "adapter": { "name": "import-tokens", "version": "1" },
        });
        let field = |name: &str| self.fields.get(name);
        for (member, column) in
            [("token_kind", "token_kind"), ("client_id", "client"), ("session_id", "session")]
        {
            if let Some(text) = field(column) {
                event[member] = text.as_str().into();
            }
        }
        for (member, time) in [("issued_at", self.issued_at), ("expires_at", self.expires_at)] {
            if let Some(nanos) = time {
                event[member] = time_text::rfc3339(nanos).into();
            }
        }
        if let Some(scopes) = field("scopes") {
            event["scopes"] = scopes.split_whitespace().collect();
        }
        if let Some(subject) = field("subject") {
            event["personal"] = json!([{ "role": "SUBJECT", "user_id": subject }]);
        }
        event
    }
}

const BAD_ID: RowError = RowError::Bad("token_id", "is no token id (region:issuer:form:value)");

/// The id of the token that a row names in one of four ways.
fn id_of(fields: &mut Fields, region: &str, issuer: &str) -> Result<String, RowError> {
    let [id, jti, digest, token] =
        ["token_id", "jti", "digest", "token"].map(|name| fields.remove(name));
    let given = [&id, &jti, &digest, &token].into_iter().flatten().count();
    if given != 1 {
        let what = "and `jti`, `digest`, `token`: exactly one says which token it is";
        return Err(RowError::Bad("token_id", what));
    }
    if let Some(jti) = jti {
        return from_jti(region, issuer, &jti).map_err(|_| RowError::Bad("jti", "makes no id"));
    }
    if let Some(digest) = digest {
        let id = format!("{region}:{issuer}:t1:{digest}");
        return TokenId::parse(&id).map(|_| id.clone()).map_err(|_| {
            RowError::Bad("digest", "is not the base64url SHA-256 that `token-id` computes")
        });
    }
    if let Some(token) = token {
        return from_presented(region, issuer, token.as_bytes())
            .map_err(|_| RowError::Bad("token", "is shorter than 128 bits, or makes no id"));
    }
    id.filter(|id| TokenId::parse(id).is_ok()).ok_or(BAD_ID)
}

fn moment(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<i64>().ok()?.checked_mul(1_000_000_000);
    }
    time_text::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Vec<(u64, Result<Row, RowError>)>;

    fn all(form: Form, text: &str) -> Found {
        let mut found = Vec::new();
        read::<io::Error>(&mut text.as_bytes(), form, ("eu", "idp"), &mut |line, row| {
            found.push((line, row));
            Ok(())
        })
        .expect("a text");
        found
    }

    fn event(row: &Result<Row, RowError>) -> Value {
        row.as_ref().map(|row| row.origin(0)).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn both_forms_give_the_same_events() {
        let csv = "jti,client,subject,scopes,expires_at,state\r\n\
                   a,web,\"O\"\"Hara, Ann\",read write,1763000000,revoked\r\n\
                   b,,\"two\nlines\",,,\n\nc,,,,2025-11-13T02:13:20Z,\n";
        let ndjson = "{\"jti\":\"a\",\"client\":\"web\",\"subject\":\"O\\\"Hara, Ann\",\
                      \"scopes\":[\"read\",\"write\"],\"expires_at\":1763000000,\
                      \"state\":\"REVOKED\"}\n\
                      {\"jti\":\"b\",\"subject\":\"two\\nlines\",\"state\":null}\n\
                      {\"token_id\":\"eu:idp:jti:c\",\"expires_at\":\"2025-11-13T02:13:20Z\"}\n";
        let (csv, ndjson) = (all(Form::Csv, csv), all(Form::Ndjson, ndjson));
        let lines: Vec<u64> = csv.iter().map(|one| one.0).collect();
        assert_eq!(lines, [2, 3, 6], "a row begins where its first line is");
        for (first, second) in csv.iter().zip(&ndjson) {
            assert_eq!(event(&first.1), event(&second.1));
        }
        let first = event(&csv[0].1);
        assert_eq!(first["personal"][0]["user_id"], "O\"Hara, Ann");
        assert_eq!(first["detail"][0]["value"], "REVOKED");
        assert_eq!(first["expires_at"], "2025-11-13T02:13:20Z");
        assert_eq!(first["native_id"], "origin/eu:idp:jti:a");
        assert!(event(&csv[1].1).get("client_id").is_none());
    }

    #[test]
    fn a_bearer_value_becomes_its_id_and_nothing_else() {
        let token = "A".repeat(22);
        let found = all(Form::Csv, &format!("token,state\n{token},active\nshort,active\n"));
        let event = event(&found[0].1);
        assert!(!event.to_string().contains(&token), "{event}");
        let id = "eu:idp:t1:HEzONQ-LnJgfgE3weHzsjOk5xCgj80G6__IMY6CilWQ";
        assert_eq!(event["token_id"], id);
        let again = all(Form::Csv, &format!("digest\n{}\n", &id[10..]));
        assert_eq!(again[0].1.as_ref().ok().map(|row| row.token_id.as_str()), Some(id));
        let error = found[1].1.as_ref().err().expect("too weak").to_string();
        assert!(!error.contains("short,"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_named_by_line_and_column() {
        let check = |form: Form, text: &str, line: u64, part: &str| {
            let found = all(form, text);
            let (at, error) = found.iter().find(|one| one.1.is_err()).expect(text);
            let error = error.as_ref().err().map(ToString::to_string).unwrap_or_default();
            assert_eq!(*at, line, "{text}: {error}");
            assert!(error.contains(part), "{text}: {error}");
        };
        check(Form::Csv, "jti,colour\na,b\n", 1, "column 2");
        check(Form::Csv, "jti,state\na\n", 2, "number of fields");
        check(Form::Csv, "jti,state\na,ACTIVE\nb,\"x\"y\n", 3, "closing quote");
        check(Form::Csv, "jti,state\na,asleep\n", 2, "`state`");
        check(Form::Csv, "jti,token_id\na,eu:idp:jti:a\n", 2, "exactly one");
        check(Form::Csv, "client\nweb\n", 2, "exactly one");
        check(Form::Csv, "token_id\nnot-an-id\n", 2, "token id");
        check(Form::Csv, "digest\nabc\n", 2, "`digest`");
        check(Form::Csv, "jti,expires_at\na,tomorrow\n", 2, "`expires_at`");
        check(Form::Csv, "jti,token_kind\na,COOKIE\n", 2, "`token_kind`");
        check(Form::Ndjson, "{\"jti\":\"a\"}\n[1]\n", 2, "JSON object");
        check(Form::Ndjson, "{\"jti\":{}}\n", 1, "`jti`");
        check(Form::Ndjson, "{\"what\":1}\n", 1, "column 1");
    }

    #[test]
    fn usable_is_what_neither_ended_nor_expired() {
        let text = "jti,state,expires_at\na,,10\nb,SUSPENDED,\nc,REVOKED,\nd,SPENT,\n";
        let usable = |seconds: i64| {
            let rows = all(Form::Csv, text);
            let at = seconds * 1_000_000_000;
            rows.iter().map(|one| one.1.as_ref().ok().map(|row| row.is_usable(at))).collect()
        };
        let (before, after): (Vec<_>, Vec<_>) = (usable(9), usable(10));
        assert_eq!(before, [true, true, false, false].map(Some));
        assert_eq!(after, [false, true, false, false].map(Some));
    }
}
