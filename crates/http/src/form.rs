//! What the OAuth endpoints have in common: the form, the caller, the refusals.
//!
//! ```text
//! Content-Type: application/x-www-form-urlencoded     RFC 6749 appendix B
//! Authorization: Bearer <API key>                     RFC 6750
//!                Basic base64(key id ":" secret)      RFC 6749 section 2.3.1; the secret is the
//!                                                     API key or what stands behind its id
//! {"error":"…","error_description":"…"}               RFC 6749 section 5.2, never cached
//! ```
//!
//! Promises: a parameter sent twice is refused, an empty one counts as not sent, an unknown one is
//! ignored (RFC 6749 section 3.2). No refusal repeats input.
//!
//! Refuses: tokens in the query, which access logs keep; secrets in the form.

use std::borrow::Cow;
use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use ledgerline_answers::problem::Problem;
use ledgerline_api::problem::OauthError;
use ledgerline_gate::body::read_body;
use ledgerline_gate::credential::{credential, scheme, unescape};
use ledgerline_view::registry::{AuthError, Caller, Roles};
use serde::Serialize;

use crate::App;

/// Longest form, in bytes.
const FORM_BYTES_MAX: usize = 128 << 10;
/// Most parameters of one.
const PARAMETERS_MAX: usize = 64;

/// A refusal as RFC 6749 section 5.2 has it.
#[derive(Debug, Clone)]
pub struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: Cow<'static, str>,
    challenge: Option<&'static str>,
}

impl Refusal {
    /// 400 with an error code.
    pub fn bad(error: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        let description = description.into();
        Self { status: StatusCode::BAD_REQUEST, error, description, challenge: None }
    }

    /// 503: what was asked may be true or done later.
    pub fn later(description: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, ..Self::bad("temporarily_unavailable", description) }
    }

    /// 401, also of a missing role (RFC 7662 section 2.3), which is named to who has the secret.
    fn unknown_caller(basic: bool, description: &'static str) -> Self {
        let challenge = if basic { "Basic realm=\"ledgerline\"" } else { "Bearer" };
        let refusal = Self::bad("invalid_client", description);
        Self { status: StatusCode::UNAUTHORIZED, challenge: Some(challenge), ..refusal }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let Problem { status, code, detail, .. } = problem;
        let error = match status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                return Self::later(detail);
            }
            // What is too long to be read is neither yes nor no.
            StatusCode::UNPROCESSABLE_ENTITY if code == "query_too_broad" => {
                return Self::later(TOO_MUCH);
            }
            StatusCode::UNPROCESSABLE_ENTITY => return Self::later(detail),
            status if status.is_client_error() => "invalid_request",
            _ => "server_error",
        };
        Self { status, ..Self::bad(error, detail) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = OauthError {
            error: self.error.into(),
            error_description: Some((&*self.description).into()),
        };
        let mut response = (self.status, no_store_json(&body)).into_response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// A form as a JSON answer that nobody may keep.
pub fn no_store_json<T: Serialize>(form: &T) -> Response {
    // Texts, numbers and lists; an empty 200 would say that it is done.
    no_store(serde_json::to_vec(form).expect("what JSON can say").into())
}

/// A JSON answer that nobody may keep.
pub fn no_store(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// The caller, if it has one of the roles; `lacking` names them to a caller that has none.
///
/// # Errors
/// 401 `invalid_client`.
pub fn caller(
    app: &App,
    headers: &HeaderMap,
    roles: Roles,
    lacking: &'static str,
) -> Result<Caller, Refusal> {
    let is_basic = scheme(headers).0.eq_ignore_ascii_case("basic");
    let refuse = |why| Refusal::unknown_caller(is_basic, why);
    let (key_id, key) = credential(headers).ok_or_else(|| refuse(NOT_VALID))?;
    let caller = app.caller(&key).map_err(|error| {
        refuse(match error {
            AuthError::Unknown => NOT_VALID,
            AuthError::Expired => ENDED[0],
            AuthError::Retired => ENDED[1],
        })
    })?;
    if key_id.is_some_and(|id| *id != **caller.key_id()) {
        return Err(refuse("the client id is not the key id of the secret beside it"));
    }
    if caller.roles().has(roles) { Ok(caller) } else { Err(refuse(lacking)) }
}

/// Of a token of which a part alone could be read.
const TOO_MUCH: &str = "more is recorded about the token than one answer may read, and asking \
                        again does not help: a responder ends it with `ledgerline revoke -`";

/// What is said to whoever has no secret of a key.
const NOT_VALID: &str = "the credential is missing or not valid: send an API key as \
                         `Authorization: Bearer`, or its key id and secret as Basic";
/// Of a key that has expired or was ended, to whoever has its secret.
const ENDED: [&str; 2] = [
    "this API key has expired: ask an administrator for another",
    "this API key was ended: ask an administrator for another",
];

/// A part of a body without its escapes. Most have none, tokens above all, and are not copied.
fn plain(body: &Bytes, part: Range<usize>) -> Bytes {
    let part = body.slice(part);
    if part.contains(&b'%') || part.contains(&b'+') { unescape(&part).into() } else { part }
}

/// Where a byte stands first. The scan of a whole piece takes a fraction of a byte-by-byte one, and
/// a JWT is a thousand bytes.
fn find(bytes: &[u8], wanted: u8) -> Option<usize> {
    const PIECE: usize = 64;
    let piece = bytes.chunks(PIECE).position(|piece| piece.contains(&wanted))? * PIECE;
    let within = bytes[piece..].iter().position(|byte| *byte == wanted)?;
    Some(piece + within)
}

/// The parameters of a form that are not empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(Bytes, Bytes)>);

impl Form {
    /// Reads the form of a request whose caller was judged.
    ///
    /// # Errors
    /// 400 `invalid_request`; what reading a body may fail with.
    pub async fn read(app: &App, request: Request) -> Result<Self, Refusal> {
        let (parts, body): (_, Body) = request.into_parts();
        if parts.uri.query().is_some_and(|query| !query.is_empty()) {
            let detail = "send parameters in the form; those of the query stand in access logs";
            return Err(Refusal::bad("invalid_request", detail));
        }
        let sent = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = sent.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let detail = "send application/x-www-form-urlencoded";
            return Err(Refusal::bad("invalid_request", detail));
        }
        let (bytes, _room) = read_body(&app.gate, &parts.headers, body, FORM_BYTES_MAX).await?;
        Self::parse(&bytes)
    }

    fn parse(body: &Bytes) -> Result<Self, Refusal> {
        let mut form: Vec<(Bytes, Bytes)> = Vec::new();
        let mut begin = 0;
        while begin < body.len() {
            let end = find(&body[begin..], b'&').map_or(body.len(), |length| begin + length);
            if begin < end {
                let equals = find(&body[begin..end], b'=').map_or(end, |length| begin + length);
                let name = plain(body, begin..equals);
                if form.iter().any(|(known, _)| *known == name) {
                    let detail = "a parameter was sent more than once";
                    return Err(Refusal::bad("invalid_request", detail));
                }
                form.push((name, plain(body, (equals + 1).min(end)..end)));
                if form.len() > PARAMETERS_MAX {
                    return Err(Refusal::bad("invalid_request", "there are too many parameters"));
                }
            }
            begin = end + 1;
        }
        form.retain(|(_, value)| !value.is_empty());
        Ok(Self(form))
    }

    /// A parameter; `None` when it was not sent or is empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(known, _)| known == name.as_bytes());
        found.map(|(_, value)| &**value)
    }

    /// The token.
    ///
    /// # Errors
    /// 400 `invalid_request` without one.
    pub fn token(&self) -> Result<&[u8], Refusal> {
        let missing = || Refusal::bad("invalid_request", "the parameter token is missing");
        self.get("token").ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_rfc_6749_says() {
        let check = |body: &str, expected: Option<Option<&str>>| {
            let form = Form::parse(&Bytes::copy_from_slice(body.as_bytes()));
            let found = form.as_ref().ok().map(|form| form.get("token"));
            assert_eq!(found, expected.map(|one| one.map(str::as_bytes)), "{body}");
        };
        check("token=a", Some(Some("a")));
        check("x=1&token=a%2Bb+c&y", Some(Some("a+b c")));
        check("token=a=b", Some(Some("a=b")));
        check("to%6ben=a", Some(Some("a")));
        check("token=%zz", Some(Some("%zz")));
        check("token=", Some(None));
        check("", Some(None));
        check("token=a&token=a", None);
        check("token=a&to%6ben=b", None);
        check("token=a&x=&x=", None);
        check("&&x&token=a&", Some(Some("a")));
        check("=a", Some(None));
        check(&format!("y={}&token=a", "z".repeat(200)), Some(Some("a")));
        let long = "t".repeat(1000);
        check(&format!("token={long}&x={long}"), Some(Some(&long)));
        check(&(0..65).map(|n| format!("p{n}=1&")).collect::<String>(), None);
    }
}
