//! Answers: what was taken, and problems (RFC 9457).
//!
//! Promises: no answer repeats what was sent, and none is longer than 64 KiB.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use ledgerline_api::problem as form;
use ledgerline_api::uuid_text;
use serde::Serialize;

use crate::judge::Refused;

/// Refusals that an answer names; how many there are it always says.
const REFUSED_SHOWN: usize = 100;

/// An event that was refused for good.
#[derive(Serialize)]
struct RefusedEvent<'r> {
    position: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    code: &'r str,
    detail: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'r str>,
}

/// The refusals of a body of several events.
#[derive(Serialize, Default)]
struct RefusedEvents<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_count: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<RefusedEvent<'r>>,
}

impl<'r> RefusedEvents<'r> {
    fn of(refused: &'r [Refused]) -> Self {
        if refused.is_empty() {
            return Self::default();
        }
        let shown = refused.iter().take(REFUSED_SHOWN).map(|one| RefusedEvent {
            position: one.position,
            line: one.line,
            event_id: one.event_id.as_ref().map(uuid_text::text),
            code: one.error.code,
            detail: first_words(&one.error.detail),
            member: one.error.member,
        });
        Self { refused_count: Some(refused.len()), refused: shown.collect() }
    }
}

/// At most 400 bytes of a text.
fn first_words(text: &str) -> &str {
    &text[..text.floor_char_boundary(400)]
}

#[derive(Serialize)]
struct Taken<'r> {
    accepted: usize,
    #[serde(flatten)]
    refused: RefusedEvents<'r>,
}

/// 202.
pub fn taken(accepted: usize, refused: &[Refused]) -> Response {
    let refused = RefusedEvents::of(refused);
    let body = serde_json::to_vec(&Taken { accepted, refused }).unwrap_or_default();
    response(StatusCode::ACCEPTED, "application/json", body)
}

/// Text of a type.
pub fn response(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = (status, Body::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A refusal of a whole request.
#[derive(Debug, Clone)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable code.
    pub code: &'static str,
    /// For people.
    pub detail: Cow<'static, str>,
    /// The member that is wrong.
    pub member: Option<&'static str>,
    /// The line that is wrong.
    pub line: Option<u64>,
    /// What was refused of several events.
    pub refused: Vec<Refused>,
    /// Whether it passes: the same may be sent again after a second.
    pub passes: bool,
    /// Whether the connection is of no use any more.
    pub closes: bool,
    /// The methods that the path has.
    pub allow: Option<&'static str>,
}

#[derive(Serialize)]
struct ProblemBody<'r> {
    #[serde(flatten)]
    problem: form::Problem<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(flatten)]
    refused: RefusedEvents<'r>,
}

impl Problem {
    /// A refusal with a status, a code and a text.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            member: None,
            line: None,
            refused: Vec::new(),
            passes: false,
            closes: false,
            allow: None,
        }
    }

    /// Of a body without an event that can be taken: the first of its refusals, and all of them
    /// where they are several.
    pub fn of_refused(refused: Vec<Refused>, lone: bool) -> Self {
        let Some(first) = refused.first() else {
            return Self::new(StatusCode::BAD_REQUEST, "empty", "the body holds no event");
        };
        let error = &first.error;
        let status = StatusCode::from_u16(form::status_of_event(error.code));
        let status = status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        let mut problem = Self::new(status, error.code, error.detail.clone());
        (problem.member, problem.line) = (error.member, first.line);
        problem.passes = status == StatusCode::SERVICE_UNAVAILABLE;
        if !lone {
            problem.refused = refused;
        }
        problem
    }

    /// Something that passes: to be tried again unchanged.
    pub fn later(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { passes: true, ..Self::new(status, code, detail) }
    }

    /// The same, after which the connection is closed.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    /// The answer.
    pub fn response(&self) -> Response {
        let problem = form::Problem {
            kind: format!("urn:ledgerline:problem:{}", self.code).into(),
            title: self.status.canonical_reason().unwrap_or("Error").into(),
            status: self.status.as_u16(),
            code: self.code.into(),
            detail: (&*self.detail).into(),
            member: self.member.map(Into::into),
        };
        let refused = RefusedEvents::of(&self.refused);
        let body = ProblemBody { problem, line: self.line, refused };
        let mut bytes = serde_json::to_vec(&body).unwrap_or_default();
        bytes.push(b'\n');
        let mut response = response(self.status, "application/problem+json", bytes);
        let headers = response.headers_mut();
        if self.passes {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
