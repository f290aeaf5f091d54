//! What is said of a token that nobody knows. Exit code 4.
//!
//! Promises: it names the tenant that was asked, what was looked for and how much of a paste was
//! looked up, and says what the paste itself may be the reason for. Nothing of the paste is shown.

use ledgerline_api::triage::{Knowledge, Leaked};
use ledgerline_client::{Client, ClientError};
use ledgerline_pasted::claims;
use ledgerline_proof::token_id::{MIN_TOKEN_BYTES, TokenId};
use serde::Serialize;
use serde_json::Value;

use super::triage;
use crate::Context;
use crate::document;
use ledgerline_terminal::exit::{CommandResult, Exit};

/// A token that nobody knows.
#[derive(Debug, Clone, Default)]
pub struct Unknown {
    /// Ids of the likeliest reading: the issuer and region that were not told are `*`.
    pub looked_for: Vec<String>,
    /// What was pasted, where its likeliest reading is one token.
    pub token: Option<String>,
    /// The tenant that was asked, where the server says it.
    pub tenant: Option<String>,
    /// How many things of the paste were looked up.
    pub looked_up: usize,
    /// How many more may have been a token.
    pub left_out: usize,
    /// Why the paste itself may be the reason.
    pub hints: Vec<String>,
}

/// The same as a document.
#[derive(Serialize)]
struct Document<'a> {
    status: &'static str,
    known: bool,
    token_id: Option<&'static str>,
    tenant: Option<&'a str>,
    looked_for: &'a [String],
    what: &'a str,
    #[serde(flatten)]
    why: Why<'a>,
}

impl<'a> Document<'a> {
    fn new(unknown: &'a Unknown, what: &'a str, why: Why<'a>) -> Self {
        let Unknown { tenant, looked_for, .. } = unknown;
        let tenant = tenant.as_deref();
        Self { status: UNKNOWN, known: false, token_id: None, tenant, looked_for, what, why }
    }
}

/// Why nothing may be known.
#[derive(Serialize)]
#[serde(untagged)]
enum Why<'a> {
    /// Of a paste.
    Paste { looked_up: usize, left_out: usize, hints: &'a [String] },
    /// It is known by what came later.
    Later {
        #[serde(flatten)]
        past: Past<'a>,
        recorded_since: bool,
        happened_since: bool,
    },
}

const UNKNOWN: &str = "unknown";

/// Says that nothing is known, and what was looked for.
///
/// # Errors
/// When standard output cannot be written.
pub fn unknown(context: &mut Context, unknown: &Unknown, what: &str) -> CommandResult {
    let Unknown { looked_up, left_out, hints, .. } = unknown;
    let why = Why::Paste { looked_up: *looked_up, left_out: *left_out, hints };
    let answer = Document::new(unknown, what, why);
    context.screen.show(&answer, |_| lines(unknown, what))?;
    Ok(Exit::Unknown)
}

fn lines(unknown: &Unknown, what: &str) -> String {
    let tenant = match unknown.tenant.as_deref() {
        Some("") => "the default tenant, which was asked".to_owned(),
        Some(name) => format!("the tenant {name}, which was asked"),
        None => "the tenant that was asked".to_owned(),
    };
    let mut out = format!(
        "UNKNOWN: {what}\nNothing is recorded about it in {tenant}. That does not mean that it is \
         dead: it may well\nbe alive at its issuer. Looked for:\n"
    );
    for id in &unknown.looked_for {
        out.push_str(&format!("  {id}\n"));
    }
    if unknown.looked_up > unknown.looked_for.len() {
        let all = unknown.looked_up;
        out.push_str(&format!(
            "{all} ids and digests were looked up, of all in the paste that may "
        ));
        out.push_str("be a token\n");
    }
    if unknown.left_out > 0 {
        let more = unknown.left_out;
        out.push_str(&format!(
            "NOT LOOKED UP: {more} more things in the paste that may be a token: paste less\n"
        ));
    }
    for hint in &unknown.hints {
        out.push_str(&format!("the paste may be the reason: {hint}\n"));
    }
    out
}

/// The moment that a question was about.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Past<'a> {
    /// What was recorded: at this size, or at this time.
    pub as_of: Option<&'a str>,
    /// What had happened by this time.
    pub at: Option<&'a str>,
}

/// The same about an id that somebody asked for. Asked as of an earlier size or an earlier time, it
/// may be known all the same; then that is said, with exit code 4.
///
/// # Errors
/// When standard output cannot be written.
pub fn unknown_id(
    context: &mut Context,
    client: &Client,
    id: &str,
    tenant: Option<&str>,
    past: Past<'_>,
    what: &str,
) -> CommandResult {
    let question = Leaked { id: Some(id.to_owned()), ..Leaked::default() };
    // A key that may not ask has no word on it.
    let (answers, asked) = match triage(client, &[&question], tenant) {
        Err(ClientError::Refused { .. }) => Default::default(),
        other => other?,
    };
    let known = answers.first().is_some_and(|one| one.status == Knowledge::Known);
    let nothing = Unknown {
        looked_for: vec![id.to_owned()],
        tenant: asked.or(tenant.map(str::to_owned)),
        looked_up: 1,
        ..Unknown::default()
    };
    let (title, words) = match (past.as_of, past.at) {
        (Some(size), None) if known => (
            format!("AS OF {size}"),
            format!("Nothing was recorded about {id} as of size {size}; it was recorded since."),
        ),
        (None, Some(at)) if known => (
            format!("AT {at}"),
            format!("Nothing had happened to {id} by {at}: all that is recorded is of later."),
        ),
        (Some(size), Some(at)) if known => (
            format!("AS OF {size} AT {at}"),
            format!(
                "Nothing that had happened to {id} by {at} was recorded as of size {size}; it is \
                 known by what came later."
            ),
        ),
        _ => return unknown(context, &nothing, what),
    };
    let (recorded_since, happened_since) = (past.as_of.is_some(), past.at.is_some());
    let answer = Document::new(&nothing, what, Why::Later { past, recorded_since, happened_since });
    context.screen.show(&answer, |_| format!("UNKNOWN {title}: {what}\n{words}\n"))?;
    Ok(Exit::Unknown)
}

/// The same of one of several ids, as a part of a document about all.
#[must_use]
pub fn unknown_one(id: &str, past: Past<'_>) -> Value {
    #[derive(Serialize)]
    struct One<'a> {
        token_id: &'a str,
        status: &'static str,
        #[serde(flatten)]
        past: Past<'a>,
    }
    document::of(&One { token_id: id, status: UNKNOWN, past })
}

/// The documents about each of several ids as one: the first, with the others; `None` without any.
#[must_use]
pub fn with_others(documents: &[Value]) -> Option<Value> {
    #[derive(Serialize)]
    struct Others<'a> {
        others: &'a [Value],
    }
    let (first, others) = documents.split_first()?;
    let mut first = first.clone();
    document::add(&mut first, &Others { others });
    Some(first)
}

/// What about a paste may be why nothing in it is known.
pub(super) fn hints(text: &str, tokens: &[String]) -> Vec<String> {
    let mut hints = Vec::new();
    let mut add = |hint: String| hints.push(hint);
    let cut = ["...", "\u{2026}", "***", "\u{2022}\u{2022}", "xxxx", "[redacted]", "<redacted>"];
    let lower = text.to_lowercase();
    if cut.iter().any(|sign| lower.contains(sign)) {
        add("it looks cut off or masked (`...`)".to_owned());
    }
    if text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.=".contains(c))).any(is_torn_jwt) {
        add("a JWT in it looks cut off: its parts are not three, or cannot be read".to_owned());
    }
    let words = text.split_whitespace().count();
    if words > 1 {
        add(format!("it has {words} words: give the token alone"));
    }
    if tokens.iter().any(|one| super::is_bare_name(one)) {
        add("it may be a jti and no token: nothing was searched by that name. A jti needs its \
             region and issuer: give <region>:<issuer>:jti:<jti> as the argument"
            .to_owned());
    }
    let long = |one: &String| one.len() >= MIN_TOKEN_BYTES || TokenId::parse(one).is_ok();
    if !tokens.iter().any(long) {
        add(format!(
            "what was read first is shorter than a token may be ({MIN_TOKEN_BYTES} bytes)"
        ));
    }
    hints
}

/// Whether a word begins as a JWT and is none.
fn is_torn_jwt(word: &str) -> bool {
    if !word.starts_with("eyJ") || word.len() < MIN_TOKEN_BYTES {
        return false;
    }
    let parts: Vec<&str> = word.trim_end_matches('.').split('.').collect();
    match parts[..] {
        // The parts of a JWE are no JSON but the first.
        [_, _, _, _, _] => false,
        [_, _, signature] => claims(word).is_none() || signature.len() < MIN_TOKEN_BYTES,
        _ => true,
    }
}
