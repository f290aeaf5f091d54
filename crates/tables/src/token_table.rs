//! An issuer's table of tokens: CSV with a head line, or NDJSON with members of the same names.
//!
//! ```text
//! token_id     <region>:<alias>:<form>:<value>          one of these four says which token, or
//! jti          a jti that is not the bearer value       a jti beside digest or token ([`names`])
//! digest       base64url SHA-256 of the bearer value, as `t1` ids have it
//! token        the bearer value itself: hashed here, never sent, never in an error
//! region, issuer             of the token, where the command line does not say
//! token_kind   ACCESS, REFRESH, …                       state   ACTIVE (default), REVOKED, …
//! client, subject, session, scopes (spaces between)   issued_at, expires_at: RFC 3339, Unix s
//! ```
//!
//! Promises: one row at a time; the same row gives the same event, byte for byte. Errors name a
//! line and a column, never a value. A row that cannot be read costs no other. CSV is what programs
//! export ([`rows`], [`cell`]), NDJSON also an array or objects over several lines.
//!
//! Refuses: columns that it does not know, so that a misspelt one is not a silent gap, and of one
//! name two: which of them is right nobody can say.

mod cell;
mod names;
mod rows;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use ledgerline_api::event::{Adapter, Event, Personal};
use ledgerline_api::moment::{Moment, moment};
use ledgerline_api::values::{Str, Timestamp};
use ledgerline_proof::lifecycle::State;
use ledgerline_proof::token_id::TokenId;
use ledgerline_proof::vocabulary::{EventType, PersonalRole, TokenKind};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use thiserror::Error;

pub use self::names::{JtiRule, Register};

use self::rows::Rows;
use crate::input::{Lines, PIECE_BYTES, Values};
use ledgerline_adapter::Millis;
use ledgerline_adapter::pieces::{detail, texts, word};

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
    /// A member that nobody knows.
    #[error("member {0} is not a column of this table")]
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
    /// Its other ids.
    pub also_known_as: Vec<String>,
    /// The issuer's alias.
    pub issuer: String,
    /// Its state at the issuer.
    pub state: State,
    /// When it expires, Unix nanoseconds.
    pub expires_at: Option<i64>,
    /// An expiry beyond all clocks, as it was written.
    never: Option<String>,
    fields: BTreeMap<&'static str, String>,
    issued_at: Option<i64>,
}

/// Why no row of a table can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadError {
    /// A column that nobody knows.
    #[error(
        "line {0}: column {1} of the head is not one of this table's: {list}",
        list = COLUMNS.join(", ")
    )]
    Unknown(u64, usize),
    /// Of two columns of one name, neither is the right one.
    #[error("line {0}: the head names `{1}` twice")]
    Twice(u64, &'static str),
    /// The head itself.
    #[error("line {0}: the head is longer than 1 MiB")]
    TooLong(u64),
}

/// Reads all rows of a table and hands them over, each with the line it begins on.
///
/// # Errors
/// When the input or its head cannot be read, or whatever `take` says.
pub fn read<E: From<io::Error> + From<HeadError>>(
    input: &mut dyn Read,
    form: Form,
    of: (&str, &str),
    register: &Register,
    take: &mut dyn FnMut(u64, Result<Row, RowError>) -> Result<(), E>,
) -> Result<(), E> {
    let mut lines = Lines::new(ROW_BYTES_MAX);
    let mut row = |line: u64, fields: Result<Fields, RowError>| {
        take(line, fields.and_then(|fields| Row::new(fields, of, register)))
    };
    let mut table = Table::new(form);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let mut line = |number, line: Option<&[u8]>| table.line(number, line, &mut row);
        match input.read(&mut piece) {
            Ok(0) => {
                lines.end(&mut line)?;
                return table.end(&mut row);
            }
            Ok(count) => lines.push(&piece[..count], &mut line)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A table as far as it is read.
enum Table {
    Json(Values),
    /// Before the head of a CSV; the delimiter, if a line named it.
    Headless(Option<u8>),
    Csv(Vec<&'static str>, Box<Rows>),
}

impl Table {
    fn new(form: Form) -> Self {
        match form {
            Form::Csv => Self::Headless(None),
            Form::Ndjson => Self::Json(Values::default()),
        }
    }

    fn line<E: From<HeadError>>(
        &mut self,
        number: u64,
        line: Option<&[u8]>,
        row: &mut impl FnMut(u64, Result<Fields, RowError>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(line) = line else {
            if let Self::Headless(_) = self {
                return Err(HeadError::TooLong(number).into());
            }
            self.end(row)?;
            return row(number, Err(RowError::Form("the row is longer than 1 MiB")));
        };
        match self {
            Self::Json(values) => values.line(number, line, &mut |at, text| row(at, members(text))),
            Self::Csv(head, rows) => {
                rows.line(number, line, &mut |at, cells| row(at, named(head, cells)))
            }
            Self::Headless(_) if line.trim_ascii().is_empty() => Ok(()),
            Self::Headless(delimiter) => {
                if delimiter.is_none() {
                    *delimiter = rows::named_delimiter(line);
                    if delimiter.is_some() {
                        return Ok(());
                    }
                }
                let (names, delimiter) = rows::head(line, *delimiter, |name| known(name).is_some());
                let head = columns(number, &names)?;
                let is_free = head.iter().map(|name| *name == "subject").collect();
                *self = Self::Csv(head, Rows::new(delimiter, is_free).into());
                Ok(())
            }
        }
    }

    /// Gives what is not decided yet.
    fn end<E>(
        &mut self,
        row: &mut impl FnMut(u64, Result<Fields, RowError>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Headless(_) => Ok(()),
            Self::Csv(head, rows) => rows.end(&mut |at, cells| row(at, named(head, cells))),
            Self::Json(values) => {
                values.end(&mut |at, text| row(at, members(text)))?;
                match values.open_array() {
                    Some(line) => row(line, Err(RowError::Form("the array has no end"))),
                    None => Ok(()),
                }
            }
        }
    }
}

fn known(name: &str) -> Option<&'static str> {
    COLUMNS.into_iter().find(|known| *known == name)
}

fn columns(line: u64, names: &[String]) -> Result<Vec<&'static str>, HeadError> {
    let mut columns = Vec::with_capacity(names.len());
    for (name, at) in names.iter().zip(1..) {
        let name = known(name).ok_or(HeadError::Unknown(line, at))?;
        if columns.contains(&name) {
            return Err(HeadError::Twice(line, name));
        }
        columns.push(name);
    }
    Ok(columns)
}

type Fields = BTreeMap<&'static str, String>;

fn named(head: &[&'static str], cells: rows::Cells) -> Result<Fields, RowError> {
    let mut fields = Fields::new();
    for (name, cell) in head.iter().copied().zip(cells.map_err(RowError::Form)?) {
        let cell = String::from_utf8(cell).map_err(|_| RowError::Bad(name, "is not UTF-8"))?;
        if let Some(value) = cell::value(name, &cell)? {
            fields.insert(name, value);
        }
    }
    Ok(fields)
}

/// The members of an object in their order, each as often as it stands there.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        source.deserialize_map(InOrder)
    }
}

fn members(text: &[u8]) -> Result<Fields, RowError> {
    let text = std::str::from_utf8(text).map_err(|_| RowError::Form("the line is not UTF-8"))?;
    let object: Members =
        serde_json::from_str(text).map_err(|_| RowError::Form("the line is no JSON object"))?;
    let (mut fields, mut seen) = (Fields::new(), Vec::new());
    for ((name, value), at) in object.0.into_iter().zip(1..) {
        let name = known(&name).ok_or(RowError::UnknownColumn(at))?;
        if seen.contains(&name) {
            return Err(RowError::Bad(name, "stands twice"));
        }
        seen.push(name);
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
        if let Some(value) = cell::value(name, &cell)? {
            fields.insert(name, value);
        }
    }
    Ok(fields)
}

impl Row {
    fn new(mut fields: Fields, of: (&str, &str), register: &Register) -> Result<Self, RowError> {
        let (region, issuer) = of;
        let region = fields.remove("region").unwrap_or_else(|| region.to_owned());
        let issuer = fields.remove("issuer").unwrap_or_else(|| issuer.to_owned());
        let mut ids = names::ids_of(&mut fields, (&region, &issuer), register)?;
        let token_id = ids.remove(0);
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
            text.map(|text| instant(&text).ok_or(RowError::Bad(name, NO_TIME))).transpose()
        };
        let (issued_at, expires_at) = (time("issued_at")?, time("expires_at")?);
        check_times(issued_at.as_ref(), expires_at.as_ref())?;
        let issued_at = match issued_at {
            Some(Instant::Never(_)) => return Err(RowError::Bad("issued_at", "lies after 2262")),
            Some(Instant::At(nanos)) => Some(nanos),
            None => None,
        };
        let (expires_at, never) = match expires_at {
            Some(Instant::Never(text)) => (None, Some(text)),
            Some(Instant::At(nanos)) => (Some(nanos), None),
            None => (None, None),
        };
        let also_known_as = ids;
        Ok(Self { token_id, also_known_as, issuer, state, expires_at, never, fields, issued_at })
    }

    /// Whether the issuer takes it for usable at a time.
    #[must_use]
    pub fn is_usable(&self, nanos: i64) -> bool {
        let state = matches!(self.state, State::Active | State::Pending | State::Suspended);
        state && self.expires_at.is_none_or(|end| nanos < end)
    }

    /// The ORIGIN event that states it, as of a time.
    #[must_use]
    pub fn origin(&self, taken_at: i64) -> Event<'static> {
        let field = |name: &str| self.fields.get(name).map(|text| Str::Owned(text.clone()));
        let end = self.expires_at.map(Timestamp::At);
        let scopes = self.fields.get("scopes").map(String::as_str).unwrap_or_default();
        let person =
            |user_id| Personal { user_id: Some(user_id), ..Personal::of(PersonalRole::Subject) };
        Event {
            native_id: Some(format!("origin/{}", self.token_id).into()),
            event_type: word(EventType::Origin),
            token_id: Some(self.token_id.clone().into()),
            also_known_as: texts(self.also_known_as.clone()),
            occurred_at: Some(taken_at.into()),
            issuer: Some(self.issuer.clone().into()),
            token_kind: field("token_kind"),
            client_id: field("client"),
            session_id: field("session"),
            scopes: texts(scopes.split_whitespace().map(str::to_owned)),
            issued_at: self.issued_at.map(Timestamp::At),
            expires_at: end.or_else(|| self.never.clone().map(Timestamp::from)),
            detail: vec![detail("state", self.state.symbol().to_owned())],
            personal: field("subject").map(person).into_iter().collect(),
            adapter: Some(Adapter { name: "import-tokens".into(), version: "1".into() }),
            ..Event::default()
        }
    }
}

const BAD_ID: RowError = RowError::Bad("token_id", "is no token id (region:issuer:form:value)");

/// Refuses what programs write for "never" or "none", and an end before the beginning: a token that
/// its issuer takes for usable would be dead.
fn check_times(issued_at: Option<&Instant>, expires_at: Option<&Instant>) -> Result<(), RowError> {
    let is_nothing = |time: Option<&Instant>| matches!(time, Some(Instant::At(i64::MIN..=0)));
    for (name, time) in [("issued_at", issued_at), ("expires_at", expires_at)] {
        if is_nothing(time) {
            let what = "is 1970 or before, which programs write for none or never: leave it empty";
            return Err(RowError::Bad(name, what));
        }
    }
    match (issued_at, expires_at) {
        (Some(Instant::At(issued)), Some(Instant::At(end))) if end < issued => {
            Err(RowError::Bad("expires_at", "lies before `issued_at`"))
        }
        _ => Ok(()),
    }
}

const NO_TIME: &str = "is neither RFC 3339 nor Unix seconds of 1677 to 2262";

/// A time of a table.
enum Instant {
    At(i64),
    /// After 2262, as it was written: "never" of many programs.
    Never(String),
}

fn instant(text: &str) -> Option<Instant> {
    let text = text.trim();
    // As programs write whole numbers of a column that has gaps.
    let text = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => whole,
        _ => text,
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse::<i64>().ok()?;
        return match seconds.checked_mul(1_000_000_000) {
            Some(nanos) => Some(Instant::At(nanos)),
            // Up to 9999, as far as RFC 3339 goes.
            None => Some(Instant::Never(Millis::from_seconds(seconds)?.rfc3339())),
        };
    }
    match moment(text)? {
        Moment::At(nanos) => Some(Instant::At(nanos)),
        Moment::Beyond => Some(Instant::Never(text.to_owned())),
        Moment::Before => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Vec<(u64, Result<Row, RowError>)>;

    fn all(form: Form, text: &str) -> Found {
        let mut found = Vec::new();
        read::<anyhow::Error>(
            &mut text.as_bytes(),
            form,
            ("eu", "idp"),
            &Register::default(),
            &mut |line, row| {
                found.push((line, row));
                Ok(())
            },
        )
        .expect("a text");
        found
    }

    fn event(row: &Result<Row, RowError>) -> Value {
        let event = row.as_ref().map(|row| row.origin(0)).unwrap_or_else(|error| panic!("{error}"));
        serde_json::to_value(&event).expect("JSON")
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
        let token = "Jq8Zr2Wm5Tk9Xs4Vb7Nc1H";
        let found = all(Form::Csv, &format!("token,state\n{token},active\nshort,active\n"));
        let event = event(&found[0].1);
        assert!(!event.to_string().contains(token), "{event}");
        let id = ledgerline_proof::token_id::from_presented("eu", "idp", token.as_bytes());
        let id = &*id.expect("an id");
        assert_eq!(event["token_id"], id);
        let again = all(Form::Csv, &format!("digest\n{}\n", &id[10..]));
        assert_eq!(again[0].1.as_ref().ok().map(|row| row.token_id.as_str()), Some(id));
        let error = found[1].1.as_ref().err().expect("too weak").to_string();
        assert!(!error.contains("short,"), "{error}");
    }

    #[test]
    fn an_expiry_of_nought_made_a_living_token_dead() {
        for (times, bad) in [
            ("0,", true),
            ("0.0,", true),
            ("1970-01-01T00:00:00Z,", true),
            ("1969-12-31T23:59:59Z,", true),
            (",0", true),
            ("1763000000,1763000001", true),
            ("1763000000,1763000000", false),
            ("9999-12-31T23:59:59Z,1763000000", false),
            (",", false),
        ] {
            let found = all(Form::Csv, &format!("jti,expires_at,issued_at\na,{times}\n"));
            assert_eq!(found[0].1.is_err(), bad, "{times}");
            assert!(bad || found[0].1.as_ref().is_ok_and(|row| row.is_usable(0)), "{times}");
        }
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
        check(Form::Ndjson, "{\"what\":1}\n", 1, "member 1");
    }

    #[test]
    fn of_a_name_that_stood_twice_the_last_won() {
        for (text, expected) in [
            ("jti,state,client,state\na,REVOKED,web,ACTIVE\n", HeadError::Twice(1, "state")),
            ("\n jti ; State;state\n", HeadError::Twice(2, "state")),
            ("jti,colour\na,b\n", HeadError::Unknown(1, 2)),
        ] {
            let (names, none) = (("eu", "idp"), Register::default());
            let mut take = |_, _| panic!("a row under a head that cannot be read");
            let error =
                read::<anyhow::Error>(&mut text.as_bytes(), Form::Csv, names, &none, &mut take);
            let error = error.expect_err("a bad head").downcast::<HeadError>().expect("the head");
            assert_eq!(error, expected, "{text}");
        }
        let text = "{\"jti\":\"a\",\"state\":\"REVOKED\",\"state\":\"ACTIVE\"}\n{\"jti\":\"b\"}\n";
        let found = all(Form::Ndjson, text);
        let error = found[0].1.as_ref().err().map(ToString::to_string);
        assert_eq!(error.as_deref(), Some("`state` stands twice"));
        assert!(found[1].1.is_ok());
    }

    #[test]
    fn tables_as_programs_export_them() {
        let offsets = "\u{feff}\"Token_ID\";expires_at;subject\r\n\
                       eu:idp:jti:a;2027-01-01T00:00:00+00:00;\"O'Hara; Ann\"\r\n\
                       eu:idp:jti:b;2027-01-01 01:00:00+01;20\" Bob\r\n\
                       eu:idp:jti:c;9999-12-31T23:59:59Z;\r\n\
                       eu:idp:jti:d;253402300799;\r\n\
                       eu:idp:jti:e;1798761600.0;\r\n";
        let found = all(Form::Csv, offsets);
        let events: Vec<Value> = found.iter().map(|one| event(&one.1)).collect();
        let of = |member: &str| events.iter().map(|e| e[member].clone()).collect::<Vec<_>>();
        let times = [
            "2027-01-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59.000Z",
            "2027-01-01T00:00:00Z",
        ];
        assert_eq!(of("expires_at"), times);
        assert_eq!(events[0]["personal"][0]["user_id"], "O'Hara; Ann");
        assert_eq!(events[1]["personal"][0]["user_id"], "20\" Bob");
        assert!(found.iter().all(|one| one.1.as_ref().is_ok_and(|row| row.is_usable(0))));
        let excel = all(Form::Csv, "sep=\t\njti\tstate\na\tACTIVE\n");
        assert_eq!(excel[0].0, 3);
        let array = all(Form::Ndjson, "[{\"jti\":\"a\"},\n{\"jti\":\"b\"}]");
        assert_eq!(array.iter().filter(|one| one.1.is_ok()).count(), 2);
        let mac = all(Form::Csv, "jti,state\ra,ACTIVE\rb,ACTIVE");
        assert_eq!(mac.iter().filter(|one| one.1.is_ok()).count(), 2);
    }

    #[test]
    fn a_row_that_is_no_text_cost_the_file() {
        let mut found = Vec::new();
        let bytes = b"jti,client\na,web\nb,caf\xe9\nc,web\n";
        let mut take = |line, row: Result<Row, RowError>| {
            found.push((line, row.err().map(|error| error.to_string())));
            Ok::<(), anyhow::Error>(())
        };
        read(&mut &bytes[..], Form::Csv, ("eu", "idp"), &Register::default(), &mut take)
            .expect("a head");
        let bad = Some("`client` is not UTF-8".to_owned());
        assert_eq!(found, [(2, None), (3, bad), (4, None)]);
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
