//! Refusals as RFC 9457 problem details. The one file that maps errors to HTTP.
//!
//! ```text
//! {"type":"urn:ledgerline:problem:<code>","title":"<status text>","status":422,
//!  "code":"<code>","detail":"<what to do>"}
//! ```
//!
//! Promises: `code` is stable, `detail` is for people and never repeats input. What went wrong
//! inside stands in the log under the same code, not in the answer.

use std::borrow::Cow;

use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use ledgerline_api::problem as form;
use ledgerline_api::recorded::NotALeaf;
use ledgerline_ledger::intake::{EventError, SubmitError};
use ledgerline_node::AdminError;
use ledgerline_view::view::QueryError;

/// The codings of bodies that are taken, as `Accept-Encoding` names them.
const CODINGS: &str = "gzip, deflate, identity";
/// The code of the refusal of others.
pub const UNSUPPORTED_CODING: &str = "unsupported_content_encoding";

/// A refusal.
#[derive(Debug, Clone)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable code.
    pub code: &'static str,
    /// For people.
    pub detail: Cow<'static, str>,
    /// The member or parameter that is wrong.
    pub member: Option<Cow<'static, str>>,
    /// When to try again, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Problem {
    /// A refusal with a status, a code and a text.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code, detail: detail.into(), member: None, retry_after_ms: None }
    }

    /// What the caller may not see, or what is not there: the same answer.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "not found: nothing of that name is here that this credential may see",
        )
    }

    /// The credential lacks a role.
    #[must_use]
    pub fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// A request that cannot be read.
    pub fn bad_request(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Names the member or parameter that is wrong.
    #[must_use]
    pub fn about(mut self, member: &'static str) -> Self {
        self.member = Some(member.into());
        self
    }

    /// Our fault.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "see the server's log")
    }

    /// Too much at a time.
    #[must_use]
    pub fn busy(retry_after_ms: u64) -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut problem = Self::new(status, "busy", "the ledger's queue is full; try again");
        problem.retry_after_ms = Some(retry_after_ms);
        problem
    }

    /// The server as a whole cannot take this now.
    pub fn unavailable(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        problem.retry_after_ms = Some(1000);
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = form::Problem {
            kind: format!("urn:ledgerline:problem:{}", self.code).into(),
            title: self.status.canonical_reason().unwrap_or("Error").into(),
            status: self.status.as_u16(),
            code: self.code.into(),
            detail: (&*self.detail).into(),
            member: self.member,
        };
        let mut bytes = serde_json::to_vec(&body).unwrap_or_default();
        bytes.push(b'\n');
        let mut response = (self.status, bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.code == UNSUPPORTED_CODING {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(CODINGS));
        }
        if let Some(wait_ms) = self.retry_after_ms {
            // Retry-After counts whole seconds.
            headers.insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1000).max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::TooLarge(detail) => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
            }
            SubmitError::Malformed { code, detail } => Self::bad_request(code, detail),
            SubmitError::Forbidden => Self::forbidden("the credential needs the role producer"),
            SubmitError::Busy { retry_after_ms } => Self::busy(retry_after_ms),
            SubmitError::Paused { why } => Self::unavailable("not_ready", why),
            SubmitError::Stopped { why } => Self::unavailable("stopped", why),
        }
    }
}

impl From<EventError> for Problem {
    fn from(error: EventError) -> Self {
        let status = StatusCode::from_u16(form::status_of_event(error.code));
        let status = status.unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        let problem = Self::new(status, error.code, error.detail);
        Self { member: error.member.map(Into::into), ..problem }
    }
}

impl From<NotALeaf> for Problem {
    fn from(error: NotALeaf) -> Self {
        let NotALeaf { index, why: error } = error;
        tracing::error!(code = "bad_leaf", index, %error, "a stored leaf does not decode");
        Self::internal()
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::OutOfRange(detail) => Self::bad_request("out_of_range", detail),
            QueryError::Budget => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "query_too_broad",
                "the answer needs more reads than one query may make; narrow the question",
            ),
            error => {
                tracing::error!(code = "query_failed", %error, "a query failed");
                Self::internal()
            }
        }
    }
}

impl From<AdminError> for Problem {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Refused { code: "busy", .. } => Self::busy(1000),
            AdminError::Refused { code: code @ ("key_exists" | "finding_moved"), detail } => {
                Self::new(StatusCode::CONFLICT, code, detail)
            }
            // As for what does not exist: which it is, is the other tenant's business.
            AdminError::Refused { code: "unknown_handle", .. } => Self::not_found(),
            AdminError::Refused { code, detail } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
            }
            AdminError::Stopped(why) => Self::unavailable("stopped", why),
        }
    }
}
