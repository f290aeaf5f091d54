//! The questions that a bundle may answer, and each of them as a sentence.
//!
//! ```text
//! name             about                        parameters (those in brackets always, since 0.2)
//! life             a token id, of several
//! lineage          a token id                   [direction depth strength] to tokens
//! resources        a token id                   [from until of] limit
//! policies         a token id
//! divergence       a token id                   [of]
//! exposure         a token id                   [of]
//! blast-radius     a token id                   [depth strength] tokens
//! after-revoke     a token id, or nothing       from until tokens
//! tokens           "subject <handle>", "client|session|grant|issuer <id>"   limit
//! policy-changes   a person's handle            [from until] hours
//! accessed         "handle <handle>" or "named <resource>"                  from until limit
//! policy-versions  a policy's id
//! pivot            nothing                      [kind value] limit
//! why              "<source>/<event id>"
//! attachment       a digest
//! triage           "<count> tokens"
//! findings         nothing                      state severity rule token from limit
//! every one                                     as_of at
//! ```
//!
//! Promises: [`Question::sentence`] is made of this module's words, of ids, and of times; nothing
//! else that stands in the file is repeated. Whether the ids are those of the entries shown is
//! judged by the module `check`.
//!
//! Refuses: a name, a form of `about`, a parameter or a value that is not in the table. A sentence
//! that nobody can check is no question.

mod instant;
mod sentence;

use crate::bundle::{EventId, Parameter, Query};
use crate::hash::Hash;
use crate::token_id::TokenId;

pub use instant::rfc3339;

/// Why a query is not a question of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// No such question.
    #[error("no question of that name is known; a newer checker may know it")]
    Name,
    /// What it is about has another form.
    #[error("what it is about does not have the form that `{0}` wants")]
    About(&'static str),
    /// A parameter that the question does not have, or has twice.
    #[error("`{0}` has a parameter that it does not know, or has one twice")]
    Parameter(&'static str),
    /// A value outside its form.
    #[error("`{0}` does not have a value of its form")]
    Value(&'static str),
}

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About<'q> {
    /// A token, by its id.
    Token(&'q str),
    /// A person, by handle.
    Person([u8; 16]),
    /// A client, session, grant or issuer.
    Holder(Holder, &'q str),
    /// A resource by its template or declared-safe id.
    Resource(&'q str),
    /// Something personal by its handle: a person, an address, a device, a resource.
    Handle([u8; 16]),
    /// A policy.
    Policy(&'q str),
    /// An event.
    Event(&'q str, EventId),
    /// A document.
    Digest(Hash),
    /// Nothing in particular.
    Nothing,
}

/// What holds tokens, or takes part in events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// An OAuth client.
    Client,
    /// A session.
    Session,
    /// A grant.
    Grant,
    /// An issuer, `<region>:<alias>`.
    Issuer,
    /// An issuer's signing key.
    Key,
}

impl Holder {
    const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Session => "session",
            Self::Grant => "grant",
            Self::Issuer => "issuer",
            Self::Key => "key",
        }
    }
}

/// A point of a life, or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// By its name in the table of points.
    Named(&'static str),
    /// Unix nanoseconds.
    At(i64),
}

/// The state of the ledger that a question looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Its size.
    Size(u64),
    /// What was recorded by this time, Unix nanoseconds.
    At(i64),
}

/// A question that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question<'q> {
    /// Its name.
    pub name: &'static str,
    /// The tenant.
    pub tenant: &'q str,
    /// What it is about.
    pub about: About<'q>,
    /// What the ledger knew.
    pub as_of: Option<Moment>,
    /// What had happened, Unix nanoseconds.
    pub at: Option<i64>,
    /// Begin of a range.
    pub from: Option<Point>,
    /// Its end, exclusive.
    pub until: Option<Point>,
    /// Which way a lineage goes.
    pub direction: Option<&'static str>,
    /// The other end of a path.
    pub to: Option<&'q str>,
    /// Most edges from the token.
    pub depth: Option<u64>,
    /// How well an edge must be known.
    pub strength: Option<&'static str>,
    /// Whose events are meant.
    pub of: Option<&'static str>,
    /// Hours back.
    pub hours: Option<u64>,
    /// Of findings: where they stand.
    pub state: Option<&'static str>,
    /// Of findings: how grave at least.
    pub severity: Option<&'static str>,
    /// Of findings: by which rule.
    pub rule: Option<&'q str>,
    /// Of findings: about which token.
    pub token: Option<&'q str>,
    /// Parameters that decide the answer and that the bundle does not tell: it was made before
    /// they were written down.
    pub untold: Vec<&'static str>,
}

/// The form of `about`.
#[derive(Clone, Copy)]
enum Form {
    Token,
    TokenOrNothing,
    Holder,
    Person,
    Resource,
    Policy,
    Nothing,
    Event,
    Digest,
    Tokens,
}

/// Name, form, parameters, and those that are always told.
type Row = (&'static str, Form, &'static [&'static str], &'static [&'static str]);

/// The life of a token that has several ids.
pub const LIFE: &str = "life";

const TABLE: &[Row] = &[
    (LIFE, Form::Token, &[], &[]),
    (
        "lineage",
        Form::Token,
        &["direction", "depth", "strength", "to", "tokens"],
        &["direction", "depth", "strength"],
    ),
    ("resources", Form::Token, &["from", "until", "of", "limit"], &["from", "until", "of"]),
    ("policies", Form::Token, &[], &[]),
    ("divergence", Form::Token, &["of"], &["of"]),
    ("exposure", Form::Token, &["of"], &["of"]),
    ("blast-radius", Form::Token, &["depth", "strength", "tokens"], &["depth", "strength"]),
    ("after-revoke", Form::TokenOrNothing, &["from", "until", "tokens"], &[]),
    ("tokens", Form::Holder, &["limit"], &[]),
    ("policy-changes", Form::Person, &["hours", "from", "until"], &["from", "until"]),
    ("accessed", Form::Resource, &["from", "until", "limit"], &[]),
    ("policy-versions", Form::Policy, &[], &[]),
    ("pivot", Form::Nothing, &["kind", "value", "limit"], &["kind", "value"]),
    ("why", Form::Event, &[], &[]),
    ("attachment", Form::Digest, &[], &[]),
    ("triage", Form::Tokens, &[], &[]),
    ("findings", Form::Nothing, &["state", "severity", "rule", "token", "from", "limit"], &[]),
];
const DIRECTIONS: &[&str] = &["ancestors", "descendants", "family", "path"];
const STRENGTHS: &[&str] = &["asserted", "stated", "joined"];
const STATES: &[&str] = &["open", "acknowledged", "closed", "withdrawn"];
/// How grave a finding is, ascending.
pub const SEVERITIES: &[&str] = &["info", "low", "medium", "high", "critical"];
const OF: &[&str] = &["token", "descendants", "grant"];
const POINTS: &[&str] =
    &["birth", "last-refresh", "first-use", "last-use", "expiry", "revocation", "end"];

impl<'q> Question<'q> {
    /// Reads the question of a bundle; `None` for the bundle of a token or an event.
    ///
    /// # Errors
    /// Where it leaves the table.
    pub fn read(query: &'q Query) -> Option<Result<Self, QuestionError>> {
        match query {
            Query::Token { .. } | Query::Event { .. } => None,
            Query::Question { tenant, name, about, parameters, .. } => {
                Some(Self::of(tenant, name, about, parameters))
            }
        }
    }

    /// The token that it is about, when it is about one.
    #[must_use]
    pub fn token(&self) -> Option<&'q str> {
        match self.about {
            About::Token(id) => Some(id),
            _ => None,
        }
    }

    fn of(
        tenant: &'q str,
        name: &str,
        about: &'q str,
        parameters: &'q [Parameter],
    ) -> Result<Self, QuestionError> {
        let row = TABLE.iter().find(|(known, ..)| *known == name).ok_or(QuestionError::Name)?;
        let (name, form, known, always) = *row;
        let about = about_of(form, about).ok_or(QuestionError::About(name))?;
        let mut question = Self { name, tenant, about, ..Self::empty() };
        let mut pivot = (None, None);
        let mut seen: Vec<&str> = Vec::new();
        for Parameter { name: parameter, value } in parameters {
            let common = matches!(parameter.as_str(), "as_of" | "at");
            let is_known = common || known.contains(&parameter.as_str());
            if !is_known || seen.contains(&parameter.as_str()) {
                return Err(QuestionError::Parameter(name));
            }
            seen.push(parameter);
            match parameter.as_str() {
                "kind" => pivot.0 = Some(value.as_str()),
                "value" => pivot.1 = Some(value.as_str()),
                parameter => question.take(parameter, value)?,
            }
        }
        let tells = |wanted: &&&str| !seen.contains(*wanted);
        question.untold = always.iter().filter(tells).copied().collect();
        if let (Some(kind), Some(value)) = pivot {
            question.about = turned_around(kind, value).ok_or(QuestionError::Value("kind"))?;
        }
        if (question.direction == Some("path")) != question.to.is_some() {
            return Err(QuestionError::Value("direction"));
        }
        Ok(question)
    }

    const fn empty() -> Self {
        Self {
            name: "",
            tenant: "",
            about: About::Nothing,
            as_of: None,
            at: None,
            from: None,
            until: None,
            direction: None,
            to: None,
            depth: None,
            strength: None,
            of: None,
            hours: None,
            state: None,
            severity: None,
            rule: None,
            token: None,
            untold: Vec::new(),
        }
    }

    fn take(&mut self, parameter: &str, value: &'q str) -> Result<(), QuestionError> {
        let number = |name| decimal(value).ok_or(QuestionError::Value(name));
        let word = |name, words| one_of(words, value).ok_or(QuestionError::Value(name));
        let point = |name| point(value).ok_or(QuestionError::Value(name));
        match parameter {
            "as_of" => {
                let moment = decimal(value).map(Moment::Size);
                let moment = moment.or_else(|| instant::parse(value).map(Moment::At));
                self.as_of = Some(moment.ok_or(QuestionError::Value("as_of"))?);
            }
            "at" => self.at = Some(instant::parse(value).ok_or(QuestionError::Value("at"))?),
            // Of findings a place to begin at, like a page.
            "from" if self.name == "findings" => number("from").map(drop)?,
            "state" => self.state = Some(word("state", STATES)?),
            "severity" => self.severity = Some(word("severity", SEVERITIES)?),
            "rule" => self.rule = Some(rule(value).ok_or(QuestionError::Value("rule"))?),
            "token" => {
                let token = TokenId::parse(value).map_err(|_| QuestionError::Value("token"))?;
                self.token = Some(token.as_str());
            }
            "from" => self.from = Some(point("from")?),
            "until" => self.until = Some(point("until")?),
            "direction" => self.direction = Some(word("direction", DIRECTIONS)?),
            "strength" => self.strength = Some(word("strength", STRENGTHS)?),
            "of" => self.of = Some(word("of", OF)?),
            "to" => {
                let to = TokenId::parse(value).map_err(|_| QuestionError::Value("to"))?;
                self.to = Some(to.as_str());
            }
            "depth" => self.depth = Some(number("depth")?),
            "hours" => self.hours = Some(number("hours")?),
            // How much was shown is the operator's word; the sentence does not repeat it.
            "tokens" => number("tokens").map(drop)?,
            _ => number("limit").map(drop)?,
        }
        Ok(())
    }
}

fn about_of(form: Form, text: &str) -> Option<About<'_>> {
    let token = |text| TokenId::parse(text).ok().map(|id| About::Token(id.as_str()));
    match form {
        Form::TokenOrNothing if text.is_empty() => Some(About::Nothing),
        Form::Token | Form::TokenOrNothing => token(text),
        Form::Holder => {
            let (kind, id) = text.split_once(' ')?;
            match kind {
                "subject" => handle(id).map(About::Person),
                _ => holder(kind)
                    .filter(|kind| *kind != Holder::Key)
                    .and_then(|kind| name(id).map(|id| About::Holder(kind, id))),
            }
        }
        Form::Person => handle(text).map(About::Person),
        Form::Resource => match text.split_once(' ')? {
            ("handle", id) => handle(id).map(About::Handle),
            ("named", id) => name(id).map(About::Resource),
            _ => None,
        },
        Form::Policy => name(text).map(About::Policy),
        Form::Nothing => text.is_empty().then_some(About::Nothing),
        Form::Event => {
            let (source, id) = text.rsplit_once('/')?;
            let id = uuid(id)?;
            name(source).map(|source| About::Event(source, id))
        }
        Form::Digest => {
            let hex = text.strip_prefix("sha256:").unwrap_or(text);
            Hash::from_hex(hex).ok().map(About::Digest)
        }
        Form::Tokens => text.strip_suffix(" tokens").and_then(decimal).map(|_| About::Nothing),
    }
}

fn turned_around<'q>(kind: &str, value: &'q str) -> Option<About<'q>> {
    match kind {
        "handle" => handle(value).map(About::Handle),
        _ => {
            let kind = holder(kind).filter(|kind| *kind != Holder::Issuer)?;
            name(value).map(|id| About::Holder(kind, id))
        }
    }
}

fn holder(word: &str) -> Option<Holder> {
    let all = [Holder::Client, Holder::Session, Holder::Grant, Holder::Issuer, Holder::Key];
    all.into_iter().find(|one| one.word() == word)
}

/// An id: some bytes, none of which steers.
fn name(text: &str) -> Option<&str> {
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

/// The code of a rule: a word, not a sentence.
fn rule(text: &str) -> Option<&str> {
    let is_code = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_code.then_some(text)
}

/// A handle or a UUID, with dashes or without, in either case: so it may stand in a URL.
fn handle(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let plain = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !plain {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

fn uuid(text: &str) -> Option<EventId> {
    handle(text).map(EventId)
}

fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn one_of(words: &'static [&'static str], text: &str) -> Option<&'static str> {
    words.iter().find(|word| **word == text).copied()
}

fn point(text: &str) -> Option<Point> {
    one_of(POINTS, text).map(Point::Named).or_else(|| instant::parse(text).map(Point::At))
}
