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
use ledgerline_answers::answer::json;
use ledgerline_answers::event_json::{self, inclusion};
use ledgerline_answers::problem::Problem;
use ledgerline_answers::prove;
use ledgerline_answers::verdicts::verdict;
use ledgerline_api::ingest::{Verdict, Verdicts};
use ledgerline_api::log::Inclusion;
use ledgerline_api::{BODY_BYTES_MAX, uuid_text};
use ledgerline_gate::body::{INLINE_BODY_BYTES, media_type, read_body};
use ledgerline_gate::lanes;
use ledgerline_ledger::intake::{
    BodyForm, EventAnswer, EventStatus, SubmitAnswer, SubmitError, event_lines,
};
use ledgerline_view::registry::{Caller, Roles};
use ledgerline_view::view::View;

use crate::auth::Needs;
use crate::extract::Segments;
use crate::question_params::{Params, bad_query};
use crate::{App, Shared, auth, covered};

/// Most events of one body.
const EVENTS_MAX: usize = 10_000;

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
    let unread = |problem: &Problem| app.node.count_unread(&caller, problem.code);
    let form = body_form(&parts.headers).inspect_err(unread)?;
    let with_proof = wants_proof(parts.uri.query()).inspect_err(unread)?;
    let read = read_body(&app.gate, &parts.headers, body, BODY_BYTES_MAX).await;
    let (body, room) = read.inspect_err(unread)?;
    let (reply, receive) = lanes::reply_here();
    let node = Arc::clone(&app.node);
    let (size, is_small) = (body.len(), body.len() <= INLINE_BODY_BYTES);
    let take = move || {
        node.submit(&caller, form, &body, reply)?;
        Ok((form == BodyForm::Ndjson).then(|| event_lines(&body, EVENTS_MAX)))
    };
    let lines = if is_small { take()? } else { app.gate.parse(size, take).await? };
    drop(room);
    let answer = receive.await.map_err(|_| stopped("the ledger stopped before it answered"))?;
    respond(&app, answer, lines, with_proof).await
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
        Some(_) => Err(bad_query("the only parameter is receipt=proof").about("receipt")),
    }
}

async fn respond(
    app: &App,
    mut answer: SubmitAnswer,
    lines: Option<Vec<u64>>,
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
    if with_proof {
        let prove = move |view: &View| {
            let proofs = proofs(view, &answer.events)?;
            verdicts(&answer, lines.as_deref(), proofs)
        };
        return app.read(prove).await;
    }
    verdicts(&answer, lines.as_deref(), Vec::new())
}

fn verdicts(
    answer: &SubmitAnswer,
    lines: Option<&[u64]>,
    proofs: Vec<Option<Inclusion<'static>>>,
) -> Result<Response, Problem> {
    let mut proofs = proofs.into_iter();
    let each = answer.events.iter().enumerate().map(|(at, one)| {
        let line = lines.and_then(|lines| lines.get(at).copied());
        Verdict { proof: proofs.next().flatten(), ..verdict(one, line) }
    });
    json(&Verdicts {
        events: each.collect(),
        checkpoint: answer.checkpoint.as_deref().map(Into::into),
    })
}

fn proofs(view: &View, events: &[EventAnswer]) -> Result<Vec<Option<Inclusion<'static>>>, Problem> {
    let one = |event: &EventAnswer| {
        let older = event.origin.as_deref().and_then(|name| view.of_origin(name));
        event.index.map(|index| inclusion(older.as_ref().unwrap_or(view), index)).transpose()
    };
    events.iter().map(one).collect()
}

async fn locate(
    app: &App,
    caller: &Caller,
    params: &Params,
    (source, event_id): (String, String),
) -> Result<(View, u64), Problem> {
    let tenant = auth::tenant(caller, params.tenant.as_deref())?;
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
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor or responder";
    let caller = auth::require(&app, &headers, auth::READERS, lacking)?;
    let (view, index) = locate(&app, &caller, &params, path).await?;
    app.gate
        .wait(move || {
            let event = view.event(index)?.ok_or_else(Problem::not_found)?;
            json(&event_json::event(&event)?)
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
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (roles, lacking) =
        (Roles::AUDITOR.with(Roles::READER), "the credential needs the role auditor or reader");
    let caller = auth::require(&app, &headers, roles, lacking)?;
    let (view, index) = locate(&app, &caller, &params, path).await?;
    // An event does not change: it is enough that a block covers it.
    let upto = if view.is_older() { 0 } else { index + 1 };
    let (needs, wait) = (Needs { roles, lacking }, params.wait);
    let covered = covered::wait(&app, &headers, needs, wait, Some(upto)).await?;
    app.gate
        .wait(move || {
            let mut bundle = prove::event(&view, index, params.previous_size)?;
            covered.mark(&mut bundle);
            json(&bundle)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_was_called_line_1() {
        let body = b"\n{\"a\":1}\r\n  \n{}\n";
        assert_eq!(event_lines(body, 10), [2, 4]);
        assert_eq!(event_lines(body, 1), [2]);
    }
}
