//! `POST /v1/events`, and one event by its identity.
//!
//! ```text
//! application/json                    one event, or an array of them
//! application/x-ndjson                one event a line
//! application/vnd.ledgerline.batch    (u32 BE length ‖ single-object Submission)*
//! ```
//!
//! Promises: the answer comes after the fsync. A lone event that is refused is answered by its own
//! 4xx; every other body by 200 with one verdict per event, in order.
//!
//! This is the hot path: one queue hand-over, one allocation of the answer, no task of its own for
//! small bodies.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_answers::answer::{json_bytes, json_document};
use ledgerline_answers::event_json::{self, inclusion};
use ledgerline_answers::problem::Problem;
use ledgerline_answers::prove;
use ledgerline_api::{BODY_BYTES_MAX, uuid_text, written};
use ledgerline_gate::body::{INLINE_BODY_BYTES, media_type, read_body};
use ledgerline_gate::lanes;
use ledgerline_ledger::intake::{
    Attested, BodyForm, EventAnswer, EventStatus, SubmitAnswer, SubmitError,
};
use ledgerline_view::registry::{Caller, Roles};
use ledgerline_view::view::View;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::Needs;
use crate::extract::{Params, Segments};
use crate::{App, Shared, auth, covered};

/// Takes events.
///
/// # Errors
/// A problem for the body as a whole, or for the lone event in it.
pub async fn submit(State(app): Shared, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let caller = auth::authenticate(&app, &parts.headers).inspect_err(|problem| {
        // Refusing is no silent way to omit: these count into the block too, all under one name.
        app.node.count_refusal("", problem.code);
    })?;
    if !caller.roles().has(Roles::PRODUCER) {
        app.node.count_refusal(caller.key_id(), "forbidden");
        return Err(SubmitError::Forbidden.into());
    }
    let form = body_form(&parts.headers)?;
    let with_proof = wants_proof(parts.uri.query())?;
    let (body, room) = read_body(&app.gate, &parts.headers, body, BODY_BYTES_MAX).await?;
    let (reply, receive) = lanes::reply_here();
    if body.len() <= INLINE_BODY_BYTES {
        app.node.submit(&caller, form, &body, reply)?;
    } else {
        let node = Arc::clone(&app.node);
        app.gate.parse(body.len(), move || Ok(node.submit(&caller, form, &body, reply)?)).await?;
    }
    drop(room);
    let answer = receive.await.map_err(|_| stopped("the ledger stopped before it answered"))?;
    respond(&app, answer, with_proof).await
}

fn stopped(why: impl Into<String>) -> Problem {
    let why: String = why.into();
    Problem::unavailable("stopped", why)
}

fn body_form(headers: &HeaderMap) -> Result<BodyForm, Problem> {
    let forms = [
        ("application/json", BodyForm::Json),
        ("application/x-ndjson", BodyForm::Ndjson),
        ("application/vnd.ledgerline.batch", BodyForm::AvroBatch),
    ];
    let known = media_type(headers, &forms.map(|(name, _)| name));
    known.map(|at| forms[at].1).ok_or_else(|| {
        let detail = "send application/json, application/x-ndjson (both UTF-8) or \
            application/vnd.ledgerline.batch";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    })
}

fn wants_proof(query: Option<&str>) -> Result<bool, Problem> {
    match query {
        None | Some("") => Ok(false),
        Some("receipt=proof") => Ok(true),
        Some(_) => Err(Problem::bad_request("bad_query", "the only parameter is receipt=proof")),
    }
}

/// The verdict about one event.
struct Verdict {
    answer: EventAnswer,
    proof: Option<Value>,
}

impl Verdict {
    /// Appends the verdict as JSON. Everything but an error and a proof is digits, hex and fixed
    /// words: written as it is, because a batch has hundreds.
    fn put(&self, out: &mut Vec<u8>) {
        let EventAnswer { event_id, status, index, sequence, event_hash, .. } = &self.answer;
        out.push(b'{');
        if let Some(id) = event_id {
            out.extend_from_slice(b"\"event_id\":\"");
            out.extend_from_slice(uuid_text::text(id).as_bytes());
            out.extend_from_slice(b"\",");
        }
        out.extend_from_slice(match status {
            EventStatus::Recorded => b"\"status\":\"recorded\"".as_slice(),
            EventStatus::Duplicate => b"\"status\":\"duplicate\"",
            EventStatus::Refused => b"\"status\":\"refused\"",
        });
        if let Some(origin) = &self.answer.origin {
            // A name may hold what JSON must escape.
            out.extend_from_slice(format!(",\"origin\":{}", json!(&**origin)).as_bytes());
        }
        for (name, number) in [(",\"index\":", index), (",\"sequence\":", sequence)] {
            if let Some(number) = number {
                out.extend_from_slice(name.as_bytes());
                put_number(out, *number);
            }
        }
        if let Some(hash) = event_hash {
            out.extend_from_slice(b",\"event_hash\":\"");
            out.extend_from_slice(hash.to_hex().as_bytes());
            out.push(b'"');
        }
        if *status != EventStatus::Refused {
            out.extend_from_slice(match self.answer.attested_by {
                Attested::Signature => b",\"attested_by\":\"signature\"".as_slice(),
                Attested::Credential => b",\"attested_by\":\"credential\"",
            });
        }
        if let Some(error) = &self.answer.error {
            let error = json!({ "code": error.code, "detail": error.detail });
            out.extend_from_slice(format!(",\"error\":{error}").as_bytes());
        }
        if let Some(proof) = &self.proof {
            out.extend_from_slice(format!(",\"proof\":{proof}").as_bytes());
        }
        out.push(b'}');
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[first..]);
        }
    }
}

/// Bytes of a verdict without error and proof, about.
const VERDICT_BYTES: usize = 240;

async fn respond(
    app: &App,
    mut answer: SubmitAnswer,
    with_proof: bool,
) -> Result<Response, Problem> {
    if let Some(why) = answer.stopped {
        return Err(stopped(why));
    }
    if answer.lone
        && let [only] = &mut answer.events[..]
        && only.status == EventStatus::Refused
        && let Some(error) = only.error.take()
    {
        return Err(error.into());
    }
    let verdict = |answer| Verdict { answer, proof: None };
    let mut events: Vec<Verdict> = answer.events.into_iter().map(verdict).collect();
    if with_proof {
        events = app.read(move |view| add_proofs(view, events)).await?;
    }
    let mut out = Vec::with_capacity(512 + events.len() * VERDICT_BYTES);
    out.extend_from_slice(b"{\"events\":[");
    for (n, event) in events.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        event.put(&mut out);
    }
    out.push(b']');
    if let Some(checkpoint) = answer.checkpoint.as_deref() {
        out.extend_from_slice(b",\"checkpoint\":");
        serde_json::to_writer(&mut out, checkpoint).map_err(|_| Problem::internal())?;
    }
    out.push(b'}');
    Ok(json_bytes(out))
}

fn add_proofs(view: &View, mut events: Vec<Verdict>) -> Result<Vec<Verdict>, Problem> {
    for event in &mut events {
        if let Some(index) = event.answer.index {
            let older = event.answer.origin.as_deref().and_then(|name| view.of_origin(name));
            event.proof = Some(inclusion(older.as_ref().unwrap_or(view), index)?);
        }
    }
    Ok(events)
}

/// The tenant asked about; keys of all tenants may name one.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct TenantQuery {
    tenant: Option<String>,
    /// For a proof: the size of an older checkpoint that the tree must begin with.
    previous_size: Option<u64>,
    /// For a proof: seconds to wait for its block.
    wait: Option<String>,
}

async fn locate(
    app: &App,
    caller: &Caller,
    query: &TenantQuery,
    (source, event_id): (String, String),
) -> Result<(View, u64), Problem> {
    let tenant = auth::tenant(caller, query.tenant.as_deref())?;
    let id = uuid_text::parse(&event_id)
        .ok_or_else(|| Problem::bad_request("bad_event_id", "an event id is a UUID"))?;
    let found = app.read(move |view| Ok(view.locate_event(&tenant, &source, &id)?)).await?;
    found.ok_or_else(Problem::not_found)
}

/// One event.
///
/// # Errors
/// 404 when this tenant has none such.
pub async fn event(
    State(app): Shared,
    Segments(path): Segments<(String, String)>,
    Params(query): Params<TenantQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor or responder";
    let caller = auth::require(&app, &headers, auth::READERS, lacking)?;
    let (view, index) = locate(&app, &caller, &query, path).await?;
    app.gate
        .wait(move || {
            let event = view.event(index)?.ok_or_else(Problem::not_found)?;
            let (bytes, written) = written::object(|members| event_json::event(&event, members));
            written?;
            Ok(json_bytes(bytes))
        })
        .await
}

/// The proof bundle of one event.
///
/// # Errors
/// 404 when this tenant has none such.
pub async fn proof(
    State(app): Shared,
    Segments(path): Segments<(String, String)>,
    Params(query): Params<TenantQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (roles, lacking) =
        (Roles::AUDITOR.with(Roles::READER), "the credential needs the role auditor or reader");
    let caller = auth::require(&app, &headers, roles, lacking)?;
    let (view, index) = locate(&app, &caller, &query, path).await?;
    // An event does not change: it is enough that a block covers it.
    let upto = if view.is_older() { 0 } else { index + 1 };
    let (needs, wait) = (Needs { roles, lacking }, query.wait.as_deref());
    let covered = covered::wait(&app, &headers, needs, wait, Some(upto)).await?;
    app.gate
        .wait(move || {
            let mut bundle = prove::event(&view, index, query.previous_size)?;
            covered.mark(&mut bundle);
            json_document(&bundle)
        })
        .await
}

#[cfg(test)]
mod tests {
    use ledgerline_ledger::intake::EventError;
    use ledgerline_proof::hash::leaf_hash;

    use super::*;

    #[test]
    fn verdicts_are_json_with_every_field_that_is_known() {
        let check = |answer: &EventAnswer, proof: Option<Value>, expected: &Value| {
            let mut out = Vec::new();
            Verdict { answer: answer.clone(), proof }.put(&mut out);
            let found: Value = serde_json::from_slice(&out).expect("JSON");
            assert_eq!(&found, expected);
        };
        let hash = leaf_hash(b"an entry");
        let mut answer = EventAnswer {
            event_id: Some([0xab; 16]),
            status: EventStatus::Recorded,
            origin: None,
            index: Some(u64::MAX),
            sequence: Some(0),
            event_hash: Some(hash),
            attested_by: Attested::Signature,
            error: None,
        };
        let mut expected = json!({
            "event_id": "abababab-abab-abab-abab-abababababab",
            "status": "recorded",
            "index": u64::MAX,
            "sequence": 0,
            "event_hash": hash.to_hex(),
            "attested_by": "signature",
        });
        check(&answer, None, &expected);
        answer.status = EventStatus::Duplicate;
        answer.attested_by = Attested::Credential;
        answer.origin = Some("ledger \"one\"".into());
        expected["status"] = "duplicate".into();
        expected["origin"] = "ledger \"one\"".into();
        expected["attested_by"] = "credential".into();
        expected["proof"] = json!({ "path": ["a\"b"] });
        check(&answer, Some(expected["proof"].clone()), &expected);
        let error = EventError::new("bad_field", "say \"why\"\n".into());
        let expected = json!({
            "status": "refused",
            "error": { "code": "bad_field", "detail": "say \"why\"\n" },
        });
        check(&EventAnswer::refused(None, error), None, &expected);
    }
}
