//! `POST /v1/otlp/v1/traces` and `/v1/otlp/v1/logs` (OTLP/HTTP 1.x).
//!
//! ```text
//! 200   what was taken is on the disk; partial_success counts what was rejected, and why by code
//!       and member
//! 429, 503   with Retry-After: the exporter sends it again, and nothing is recorded twice
//! else  google.rpc.Status in the encoding of the request
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use ledgerline_answers::problem::Problem;
use ledgerline_gate::body::media_type;
use ledgerline_ledger::intake::EventStatus;
use ledgerline_sources::Naming;
use ledgerline_view::registry::Caller;
use prost::Message as _;
use serde_json::json;

use crate::otlp::wire::{Answer, PartialSuccess, Status};
use crate::otlp::{self, Encoding};
use crate::submitting::{Decoded, Taken};
use crate::tally::Door;
use crate::{Doors, Shared};

/// A signal that is read.
#[derive(Debug, Clone, Copy)]
enum Signal {
    Traces,
    Logs,
}

/// Takes spans, for the events in them.
pub async fn traces(State(doors): Shared, request: Request) -> Response {
    export(doors, request, Signal::Traces).await
}

/// Takes log records.
pub async fn logs(State(doors): Shared, request: Request) -> Response {
    export(doors, request, Signal::Logs).await
}

async fn export(doors: Arc<Doors>, request: Request, signal: Signal) -> Response {
    let (known, encoding) = (doors.producer(request.headers()), encoding(request.headers()));
    let (caller, encoding) = match (known, encoding) {
        (Ok(caller), Ok(encoding)) => (caller, encoding),
        (Err(problem), Ok(encoding)) => return refusal(&problem, encoding),
        (Err(problem), Err(_)) => return problem.into_response(),
        (Ok(caller), Err(problem)) => {
            doors.node.count_unread(&caller, problem.code);
            return problem.into_response();
        }
    };
    match taken(&doors, caller, request, signal, encoding).await {
        Ok(taken) => answer(&taken, signal, encoding),
        Err(problem) => refusal(&problem, encoding),
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let known = media_type(headers, &["application/x-protobuf", "application/json"]);
    match known {
        Some(0) => Ok(Encoding::Protobuf),
        Some(_) => Ok(Encoding::Json),
        None => {
            let detail = "send application/x-protobuf or application/json";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            Err(Problem::new(status, "unsupported_media_type", detail))
        }
    }
}

async fn taken(
    doors: &Arc<Doors>,
    caller: Caller,
    request: Request,
    signal: Signal,
    encoding: Encoding,
) -> Result<Taken, Problem> {
    let (parts, body) = request.into_parts();
    let issuers = doors.register.now();
    let decode = move |body: &Bytes, caller: &Caller| -> Result<Decoded, Problem> {
        let named = |alias: &str| {
            let region = issuers.region_of(caller.own_tenant(), alias)?;
            Naming::new(&region, alias)
        };
        match signal {
            Signal::Traces => otlp::traces(body, encoding, &named),
            Signal::Logs => otlp::logs(body, encoding, &named),
        }
    };
    let door = match signal {
        Signal::Traces => Door::OtlpTraces,
        Signal::Logs => Door::OtlpLogs,
    };
    doors.take(door, caller, &parts.headers, body, decode).await
}

fn answer(taken: &Taken, signal: Signal, encoding: Encoding) -> Response {
    let mut codes = BTreeMap::<(&str, Option<&str>), usize>::new();
    let refused = taken.verdicts.iter().filter(|one| one.status == EventStatus::Refused);
    for error in refused.filter_map(|one| one.error.as_ref()) {
        *codes.entry((error.code, error.member)).or_default() += 1;
    }
    let rejected = i64::try_from(taken.refused()).unwrap_or(i64::MAX);
    let said = codes.iter().map(|((code, member), count)| match member {
        Some(member) => format!("{code} ({member}) {count}"),
        None => format!("{code} {count}"),
    });
    let said: Vec<String> = said.collect();
    let error_message = said.join(", ");
    let body = match encoding {
        Encoding::Protobuf => {
            let partial_success =
                (rejected > 0).then_some(PartialSuccess { rejected, error_message });
            Answer { partial_success }.encode_to_vec()
        }
        Encoding::Json if rejected == 0 => b"{}".to_vec(),
        Encoding::Json => {
            let member = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Logs => "rejectedLogRecords",
            };
            // 64-bit numbers are texts in the JSON of protobuf.
            let partial = json!({ member: rejected.to_string(), "errorMessage": error_message });
            json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
    };
    response(StatusCode::OK, body, encoding)
}

fn refusal(problem: &Problem, encoding: Encoding) -> Response {
    /// Of `google.rpc.Code`.
    const CODES: [(StatusCode, i32); 6] = [
        (StatusCode::UNAUTHORIZED, 16),
        (StatusCode::FORBIDDEN, 7),
        (StatusCode::TOO_MANY_REQUESTS, 8),
        (StatusCode::SERVICE_UNAVAILABLE, 14),
        (StatusCode::REQUEST_TIMEOUT, 4),
        (StatusCode::INTERNAL_SERVER_ERROR, 13),
    ];
    let code = CODES.iter().find(|(status, _)| *status == problem.status);
    let code = code.map_or(3, |(_, code)| *code);
    let message = format!("{}: {}", problem.code, problem.detail);
    let body = match encoding {
        Encoding::Protobuf => Status { code, message }.encode_to_vec(),
        Encoding::Json => json!({ "code": code, "message": message }).to_string().into_bytes(),
    };
    let mut response = response(problem.status, body, encoding);
    if let Some(wait_ms) = problem.retry_after_ms {
        let seconds = HeaderValue::from(wait_ms.div_ceil(1000).max(1));
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}

fn response(status: StatusCode, body: Vec<u8>, encoding: Encoding) -> Response {
    let kind = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    let mut response = (status, body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
