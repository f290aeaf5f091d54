//! Extractors whose refusals are problems and never repeat what was sent.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use ledgerline_answers::problem::Problem;
use ledgerline_followers::findings::record::MAX_NOTE_BYTES;
use ledgerline_gate::body::{INLINE_BODY_BYTES, media_type, read_body};
use ledgerline_ledger::intake::{check_text as check_secrets, member_twice, unknown_and_known};
use ledgerline_proof::token_id::{TokenId, looks_like_token};
use serde::de::DeserializeOwned;

use crate::App;

/// Longest JSON body of a route that takes no list, in bytes.
const JSON_BYTES_MAX: usize = 256 << 10;

/// Parameters of the path, percent-decoded.
pub struct Segments<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, app).await;
        path.map(|Path(segments)| Self(segments))
            .map_err(|_| Problem::bad_request("bad_path", "a part of the path has a wrong form"))
    }
}

/// Refuses a text of a caller that cannot stand in the ledger for ever.
///
/// # Errors
/// 422 with `code` when it is longer than 1024 bytes or has control characters; `secret_refused`
/// when it holds what looks like a token.
pub fn check_text(code: &'static str, text: &str) -> Result<(), Problem> {
    let bad = |code, detail| Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail));
    if text.len() > MAX_NOTE_BYTES || text.chars().any(char::is_control) {
        return bad(code, "a text has at most 1024 bytes and no control characters");
    }
    let is_opaque = text.split_whitespace().any(|word| looks_like_token(word) || hides_token(word));
    if is_opaque || check_secrets(text).is_err() {
        let detail =
            "the text holds what looks like a token or a secret; the ledger never takes one";
        return bad("secret_refused", detail);
    }
    Ok(())
}

/// Whether a word such as `was:<token>` has a part that reads like a random value: letters of both
/// cases and digits. Token ids and addresses have none.
fn hides_token(word: &str) -> bool {
    let random = |part: &str| {
        let has = |is: fn(&u8) -> bool| part.bytes().any(|byte| is(&byte));
        looks_like_token(part)
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
    };
    TokenId::parse(word).is_err()
        && word.split([':', '=', ',', ';', '"', '\'', '(', ')', '<', '>', '|']).any(random)
}

/// A small JSON body. Called after the caller was judged: a stranger's body is not even read.
///
/// # Errors
/// 415, 413, 408; 400 when it is not what `T` expects.
pub async fn json_body<T: DeserializeOwned + Send + 'static>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    json_body_of(app, headers, body, JSON_BYTES_MAX).await
}

/// The same of at most so many bytes.
///
/// # Errors
/// As [`json_body`].
pub async fn json_body_of<T: DeserializeOwned + Send + 'static>(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<T, Problem> {
    if media_type(headers, &["application/json"]).is_none() {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let detail = "send application/json, in UTF-8";
        return Err(Problem::new(status, "unsupported_media_type", detail));
    }
    let (bytes, _room) = read_body(&app.gate, headers, body, most).await?;
    if bytes.len() > INLINE_BODY_BYTES {
        return app.gate.parse(bytes.len(), move || json(&bytes)).await;
    }
    json(&bytes)
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde's text may quote the input: what is said of it is ours.
    serde_json::from_slice(bytes).map_err(|error| {
        let (what, member) = refused_member(&error);
        let place = format!("line {} column {}", error.line(), error.column());
        let problem = Problem::bad_request("bad_json", format!("{what}, at {place}"));
        Problem { member, ..problem }
    })
}

/// Whether an unknown name may be repeated: one in small letters that is like a known one. Any
/// other may be a secret, however plain it looks.
#[must_use]
pub fn is_like_one(name: &str, known: &[&str]) -> bool {
    let is_plain = (1..=40).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && check_secrets(name).is_ok();
    let begins_alike = |one: &&str| {
        let same = one.bytes().zip(name.bytes()).take_while(|(one, other)| one == other);
        same.count() >= 3 && name.len() <= one.len() + 4
    };
    is_plain && known.iter().any(begins_alike)
}

/// What is wrong with a body, and the member, where serde names one. Names that stand twice or are
/// missing are our own; an unknown one is repeated only when it is a plain word.
fn refused_member(error: &serde_json::Error) -> (String, Option<Cow<'static, str>>) {
    let text = error.to_string();
    let name = |front: &str| Some(text.strip_prefix(front)?.split_once('`')?.0.to_owned());
    let named = |what: &str, name: String| (format!("`{name}` {what}"), Some(name.into()));
    if let Some(name) = member_twice(error) {
        return named("stands twice", name);
    }
    if let Some(name) = name("missing field `") {
        return named("is missing", name);
    }
    if text.starts_with("unknown field `") {
        let (unknown, known) = unknown_and_known(&text);
        let there = format!("there is {}", known.join(", "));
        return match is_like_one(unknown, &known) {
            true => named(&format!("is no member here; {there}"), unknown.to_owned()),
            false => (format!("a member that is not known here; {there}"), None),
        };
    }
    let what = match error.classify() {
        serde_json::error::Category::Data => "a value has the wrong type",
        _ => "not well-formed JSON",
    };
    (what.to_owned(), None)
}
