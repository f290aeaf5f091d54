//! The questions about a token's past: lineage, accesses, policies, blast radius, pivots, causes.
//!
//! Promises: as `asked`; answers only about the tenant of the credential, and what another tenant
//! has is answered like what is not there. No personal value stands in a URL: persons, addresses
//! and devices are asked for by their handles (`POST /v1/resolve`).

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::{counted, question_json};
use ledgerline_api::question as form;
use ledgerline_api::uuid_text;
use ledgerline_api::values::Time;
use ledgerline_followers::findings::list::Wanted;
use ledgerline_node::Reader;
use ledgerline_questions as questions;
use ledgerline_questions::lineage::{Direction, QueryContext, Spending, family, path, relatives};
use ledgerline_questions::{Holder, Of, Pivot, Point, Resource};
use ledgerline_view::address::EntryRef;
use ledgerline_view::page_token::Cursor;
use ledgerline_view::registry::Caller;

use crate::auth::{self, READERS_LACKING};
use crate::covered::{self, Covered};
use crate::extract::Segments;
use crate::findings_lag::{RULES_BEFORE_BLOCK, recorded_later, so_far};
use crate::question_params::{Params, Question, bad_query, time};
use crate::tokens::check_id;
use crate::{App, Shared, progress};

const HOUR_NANOS: i64 = 3_600_000_000_000;

/// The routes of this file.
pub(super) fn routes() -> Router<std::sync::Arc<App>> {
    Router::new()
        .route("/v1/tokens/{id}/lineage", get(lineage))
        .route("/v1/tokens/{id}/resources", get(resources))
        .route("/v1/tokens/{id}/policies", get(policies))
        .route("/v1/tokens/{id}/divergence", get(divergence))
        .route("/v1/tokens/{id}/exposure", get(exposure))
        .route("/v1/tokens/{id}/blast-radius", get(blast_radius))
        .route("/v1/subjects/{handle}/tokens", get(subject_tokens))
        .route("/v1/subjects/{handle}/policy-changes", get(policy_changes))
        .route("/v1/clients/{id}/tokens", get(client_tokens))
        .route("/v1/sessions/{id}/tokens", get(session_tokens))
        .route("/v1/grants/{id}/tokens", get(grant_tokens))
        .route("/v1/resources/{id}/tokens", get(resource_tokens))
        .route("/v1/policies/{id}/versions", get(policy_versions))
        .route("/v1/pivot", get(pivot))
        .route("/v1/events/{source}/{event_id}/why", get(why))
        .route("/v1/issuers/{id}/tokens", get(issuer_tokens))
        .route("/v1/attachments/{digest}", get(attachment))
}

/// The caller, if it may read, and the tenant it asks about.
fn reader(app: &App, headers: &HeaderMap, params: &Params) -> Result<(Caller, String), Problem> {
    let caller = auth::require(app, headers, auth::READERS, READERS_LACKING)?;
    let tenant = auth::tenant(&caller, params.tenant.as_deref())?;
    Ok((caller, tenant))
}

/// Waits for the block that a proof needs, when one is asked for.
pub(super) async fn proof_wait(
    app: &App,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Option<Covered>, Problem> {
    if !params.wants_proof()? {
        return Ok(None);
    }
    covered::wait(app, headers, auth::READER, params.wait, params.covers()).await.map(Some)
}

/// What a question is about.
pub(super) struct About {
    pub(super) name: &'static str,
    pub(super) subject: String,
}

/// Answers a question on a thread that may wait for the disk.
///
/// # Errors
/// 400, 401, 403, and whatever `answer` says.
pub(super) async fn ask<F>(
    app: &std::sync::Arc<App>,
    headers: &HeaderMap,
    params: Params,
    About { name, subject }: About,
    answer: F,
) -> Result<Response, Problem>
where
    F: FnOnce(Question<'_>, &Params) -> Result<Response, Problem> + Send + 'static,
{
    let (_, tenant) = reader(app, headers, &params)?;
    if params.wait.is_some() && !params.proof && name != "why" {
        return Err(bad_query("wait goes with proof=true").about("wait"));
    }
    let covered = proof_wait(app, headers, &params).await?;
    let _turn = app.gate.turn_to_prove(covered.is_some()).await?;
    let node = app.node.clone();
    app.read(move |view| {
        let question = Question::open(&node, view, tenant, &params, name, &subject, covered)?;
        answer(question, &params)
    })
    .await
}

/// `GET /v1/tokens/{id}/lineage`: ancestors, descendants, family, or the path to another token.
///
/// # Errors
/// 404 when this tenant has no such token; 400.
pub async fn lineage(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let about = About { name: "lineage", subject: id.clone() };
    ask(&app, &headers, params, about, move |mut question, params| {
        check_id(&id)?;
        let bounds = params.bounds()?;
        let context = &mut question.context;
        let view = context.view();
        let direction = params.direction.as_deref().unwrap_or("descendants");
        if (direction == "path") != params.to.is_some() {
            return Err(bad_query("direction=path goes with to=<token id>"));
        }
        if let Some(to) = &params.to {
            check_id(to)?;
            let steps = path(context, &id, to, bounds)?.ok_or_else(Problem::not_found)?;
            return question.answer(None, || form::Lineage {
                direction: form::Direction::Path,
                tokens: None,
                edges: None,
                from: Some((&*id).into()),
                to: Some((&**to).into()),
                steps: Some(steps.iter().map(|one| question_json::step(view, one)).collect()),
            });
        }
        let (direction, found) = match direction {
            "ancestors" => {
                (form::Direction::Ancestors, relatives(context, &id, Direction::Ancestors, bounds)?)
            }
            "descendants" => (
                form::Direction::Descendants,
                relatives(context, &id, Direction::Descendants, bounds)?,
            ),
            "family" => (form::Direction::Family, family(context, &id, bounds)?),
            _ => {
                let detail = "direction is ancestors, descendants, family or path";
                return Err(bad_query(detail).about("direction"));
            }
        };
        let found = found.ok_or_else(Problem::not_found)?;
        let at = question.judged_at();
        question.answer(None, || form::Lineage {
            direction,
            tokens: Some(question_json::relatives(view, &found, at)),
            edges: Some(question_json::edges(view, &found)),
            from: None,
            to: None,
            steps: None,
        })
    })
    .await
}

/// A point of a life, by its name or as a time.
fn point(name: &'static str, text: &str) -> Result<Point, Problem> {
    Ok(match text {
        "birth" => Point::Birth,
        "last-refresh" => Point::LastRefresh,
        "first-use" => Point::FirstUse,
        "last-use" => Point::LastUse,
        "expiry" => Point::Expiry,
        "revocation" => Point::Revocation,
        "end" => Point::End,
        text => Point::At(time(name, text).map_err(|_| {
            bad_query(format!(
                "{name} is birth, last-refresh, first-use, last-use, expiry, revocation, end or a \
                 time"
            ))
        })?),
    })
}

/// `GET /v1/tokens/{id}/resources`: what it accessed between two points of its life.
///
/// # Errors
/// 404 when this tenant has no such token; 400.
pub async fn resources(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let about = About { name: "resources", subject: id.clone() };
    ask(&app, &headers, params, about, move |mut question, params| {
        check_id(&id)?;
        let from = point("from", params.from.as_deref().unwrap_or("last-refresh"))?;
        let until = point("until", params.until.as_deref().unwrap_or("revocation"))?;
        if let (Point::At(from), Point::At(until)) = (from, until)
            && from > until
        {
            return Err(Problem::bad_request("bad_range", "from lies behind until"));
        }
        let (of, limit) = (params.whose(Of::Token)?, params.limit()?);
        let found = questions::accesses(&mut question.context, &id, of, from, until)?;
        let found = found.ok_or_else(Problem::not_found)?;
        let view = question.context.view();
        let left_out = match of {
            // With a budget of its own: what is only counted must not cut the answer.
            Of::Token => {
                let scope = question.context.scope().clone();
                let mut beside = QueryContext::new(view, scope, Spending::default())?;
                Some(questions::not_shown(&mut beside, &id, found.list.len())?)
            }
            Of::Descendants | Of::Grant => None,
        };
        let start = question.item();
        let rest = found.list.get(start..).unwrap_or_default();
        let shown = &rest[..rest.len().min(limit)];
        let next = (rest.len() > shown.len()).then(|| Cursor::Item((start + shown.len()) as u64));
        question.answer(next, || form::Resources {
            token_id: (&*id).into(),
            from: found.from.map(Time),
            until: found.until.map(Time),
            tokens: found.tokens as u64,
            total: found.list.len() as u64,
            not_shown: left_out.map(|left_out| form::NotShown {
                outside: left_out.outside as u64,
                descendants: left_out.descendants as u64,
                descendant_tokens: left_out.tokens as u64,
                whole: left_out.whole,
            }),
            accesses: shown.iter().map(|one| question_json::access(view, one)).collect(),
        })
    })
    .await
}

/// `GET /v1/tokens/{id}/policies`: the policies in force when it was issued.
///
/// # Errors
/// 404 when this tenant has no such token; 400.
pub async fn policies(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let about = About { name: "policies", subject: id.clone() };
    ask(&app, &headers, params, about, move |mut question, _| {
        check_id(&id)?;
        let found = questions::policies_at_issue(&mut question.context, &id)?;
        let found = found.ok_or_else(Problem::not_found)?;
        let view = question.context.view();
        question.answer(None, || question_json::issue_policies(view, &id, &found))
    })
    .await
}

/// `GET /v1/tokens/{id}/divergence`: the first event from another key, address, device or client.
///
/// # Errors
/// 404 when this tenant has no such token; 400.
pub async fn divergence(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let about = About { name: "divergence", subject: id.clone() };
    ask(&app, &headers, params, about, move |mut question, params| {
        check_id(&id)?;
        let of = params.whose(Of::Descendants)?;
        let found = questions::divergence(&mut question.context, &id, of)?;
        let found = found.ok_or_else(Problem::not_found)?;
        let view = question.context.view();
        question.answer(None, || form::Divergences {
            token_id: (&*id).into(),
            divergences: found.iter().map(|one| question_json::divergence(view, one)).collect(),
        })
    })
    .await
}

/// `GET /v1/tokens/{id}/exposure`: the services and audiences that it was shown to.
///
/// # Errors
/// 404 when this tenant has no such token; 400.
pub async fn exposure(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let about = About { name: "exposure", subject: id.clone() };
    ask(&app, &headers, params, about, move |mut question, params| {
        check_id(&id)?;
        let of = params.whose(Of::Token)?;
        let found = questions::exposure(&mut question.context, &id, of)?;
        let found = found.ok_or_else(Problem::not_found)?;
        question.answer(None, || question_json::exposure(&id, &found))
    })
    .await
}

/// `GET /v1/tokens/{id}/blast-radius`.
///
/// # Errors
/// 404 when this tenant has no such token; 400.
pub async fn blast_radius(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let about = About { name: "blast-radius", subject: id.clone() };
    ask(&app, &headers, params, about, move |mut question, params| {
        check_id(&id)?;
        let found = questions::blast_radius(&mut question.context, &id, params.bounds()?)?;
        let found = found.ok_or_else(Problem::not_found)?;
        let (view, at) = (question.context.view(), question.judged_at());
        question.answer(None, || question_json::blast_radius(view, &id, &found, at))
    })
    .await
}

/// Answers about the tokens of a holder.
async fn held(
    app: std::sync::Arc<App>,
    headers: HeaderMap,
    params: Params,
    holder: Holder,
) -> Result<Response, Problem> {
    let holds = match &holder {
        Holder::Subject(handle) => format!("subject {}", uuid_text::hex(handle)),
        Holder::Client(id) => format!("client {id}"),
        Holder::Session(id) => format!("session {id}"),
        Holder::Grant(id) => format!("grant {id}"),
        Holder::Family(id) => format!("family {id}"),
        Holder::Issuer(id) => format!("issuer {id}"),
    };
    let about = About { name: "tokens", subject: holds };
    ask(&app, &headers, params, about, move |mut question, params| {
        let from = question.from().unwrap_or(EntryRef::FIRST);
        let limit = params.limit()?;
        let found = questions::tokens_of(&mut question.context, &holder, from, limit)?;
        let (view, at) = (question.context.view(), question.judged_at());
        question.answer(found.next.map(Cursor::Entry), || form::Tokens {
            tokens: found.tokens.iter().map(|one| question_json::token(view, one, at)).collect(),
        })
    })
    .await
}

fn handle(text: &str) -> Result<[u8; 16], Problem> {
    let handle = uuid_text::parse(text);
    handle.ok_or_else(|| Problem::bad_request("bad_handle", "a handle is 32 hex digits"))
}

/// An id of a session, grant, client, key or policy.
fn name(text: String) -> Result<String, Problem> {
    let fits = (1..=1024).contains(&text.len()) && !text.chars().any(char::is_control);
    if fits { Ok(text) } else { Err(Problem::bad_request("bad_id", "an id has 1 to 1024 bytes")) }
}

/// `GET /v1/subjects/{handle}/tokens`.
///
/// # Errors
/// 400, 401, 403.
pub async fn subject_tokens(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    held(app, headers, params, Holder::Subject(handle(&id)?)).await
}

/// `GET /v1/clients/{id}/tokens`.
///
/// # Errors
/// 400, 401, 403.
pub async fn client_tokens(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    held(app, headers, params, Holder::Client(name(id)?)).await
}

/// `GET /v1/sessions/{id}/tokens`.
///
/// # Errors
/// 400, 401, 403.
pub async fn session_tokens(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    held(app, headers, params, Holder::Session(name(id)?)).await
}

/// `GET /v1/issuers/{id}/tokens`: the id is `<region>:<alias>`.
///
/// # Errors
/// 400, 401, 403.
pub async fn issuer_tokens(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    held(app, headers, params, Holder::Issuer(name(id)?)).await
}

/// `GET /v1/grants/{id}/tokens`.
///
/// # Errors
/// 400, 401, 403.
pub async fn grant_tokens(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    held(app, headers, params, Holder::Grant(name(id)?)).await
}

/// `GET /v1/subjects/{handle}/policy-changes`: those that affected tokens issued to the person in
/// the last hours.
///
/// # Errors
/// 400, 401, 403.
pub async fn policy_changes(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let subject = handle(&id)?;
    let about = About { name: "policy-changes", subject: id };
    ask(&app, &headers, params, about, move |mut question, params| {
        let now = question.judged_at();
        let until = params.until.as_deref().map(|text| time("until", text)).transpose()?;
        let until = until.unwrap_or(now.saturating_add(1));
        let from = params.from.as_deref().map(|text| time("from", text)).transpose()?;
        let hours = i64::from(params.hours_back()?).saturating_mul(HOUR_NANOS);
        let from = from.unwrap_or(until.saturating_sub(hours));
        if from > until {
            return Err(Problem::bad_request("bad_range", "from lies behind until"));
        }
        let found = questions::policy_changes(&mut question.context, subject, (from, until))?;
        let (view, at) = (question.context.view(), question.judged_at());
        question.answer(None, || form::PolicyChanges {
            issued_from: Time(from),
            issued_until: Time(until),
            changes: found.iter().map(|one| question_json::affected(view, one, at)).collect(),
        })
    })
    .await
}

/// `GET /v1/resources/{handle or template}/tokens`: who accessed it between two times.
///
/// # Errors
/// 400, 401, 403.
pub async fn resource_tokens(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let is_handle = id.len() == 32 && uuid_text::parse(&id).is_some();
    let resource =
        if is_handle { Resource::Handle(handle(&id)?) } else { Resource::Named(name(id.clone())?) };
    let kind = if is_handle { "handle" } else { "named" };
    let about = About { name: "accessed", subject: format!("{kind} {id}") };
    ask(&app, &headers, params, about, move |mut question, params| {
        let bound = |name, text: Option<&str>| text.map(|text| time(name, text)).transpose();
        let until = bound("until", params.until.as_deref())?.unwrap_or(i64::MAX);
        let from = bound("from", params.from.as_deref())?.unwrap_or(i64::MIN);
        if from > until {
            return Err(Problem::bad_request("bad_range", "from lies behind until"));
        }
        let (cursor, limit) = (question.from(), params.limit()?);
        let range = (from, until);
        let found =
            questions::resource_access(&mut question.context, &resource, range, cursor, limit)?;
        let (view, at) = (question.context.view(), question.judged_at());
        question.answer(found.next.map(Cursor::Entry), || form::Accessed {
            searched_from: counted::count(view, &found.searched_behind),
            tokens: found.list.iter().map(|one| question_json::visitor(view, one, at)).collect(),
        })
    })
    .await
}

/// `GET /v1/policies/{id}/versions`.
///
/// # Errors
/// 400, 401, 403; 404 for a policy never recorded.
pub async fn policy_versions(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = name(id)?;
    let about = About { name: "policy-versions", subject: id.clone() };
    ask(&app, &headers, params, about, move |mut question, _| {
        let found = questions::policy_versions(&mut question.context, Some(&id))?;
        if found.is_empty() {
            return Err(Problem::not_found());
        }
        let view = question.context.view();
        question.answer(None, || form::PolicyVersions {
            policy: (&*id).into(),
            versions: found.iter().map(|one| question_json::policy_version(view, one)).collect(),
        })
    })
    .await
}

/// `GET /v1/pivot?kind=…&value=…`: everything that something did.
///
/// # Errors
/// 400, 401, 403.
pub async fn pivot(
    State(app): Shared,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let about = About { name: "pivot", subject: String::new() };
    ask(&app, &headers, params, about, move |mut question, params| {
        let value = params.value.clone().ok_or_else(|| bad_query("value says what to look for"))?;
        let what = match params.kind.as_deref() {
            Some("handle") => Pivot::Handle(handle(&value)?),
            Some("client") => Pivot::Client(name(value)?),
            Some("session") => Pivot::Session(name(value)?),
            Some("grant") => Pivot::Grant(name(value)?),
            Some("key") => Pivot::Key(name(value)?),
            _ => return Err(bad_query("kind is handle, client, session, grant or key")),
        };
        let (from, limit) = (question.from().unwrap_or(EntryRef::FIRST), params.limit()?);
        let (records, next) = questions::pivot(&mut question.context, &what, from, limit)?;
        let view = question.context.view();
        question.try_answer(next.map(Cursor::Entry), || {
            let events = records.iter().map(|one| question_json::event(view, one));
            Ok(form::Pivot { events: events.collect::<Result<_, Problem>>()? })
        })
    })
    .await
}

/// `GET /v1/events/{source}/{event_id}/why`: its causes, and theirs. Some are joined by findings,
/// so it says how far the rules are.
///
/// # Errors
/// 404 when this tenant has none such; 400.
pub async fn why(
    State(app): Shared,
    Segments((source, id)): Segments<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    reader(&app, &headers, &params)?;
    let least = if params.wants_proof()? { RULES_BEFORE_BLOCK } else { 0 };
    let seconds = params.wait_seconds().max(least);
    let reached =
        progress::reached(&app, &headers, auth::READER, &[Reader::Findings], seconds).await?;
    let about = About { name: "why", subject: format!("{source}/{id}") };
    ask(&app, &headers, params, about, move |mut question, _| {
        let id = uuid_text::parse(&id)
            .ok_or_else(|| Problem::bad_request("bad_event_id", "an event id is a UUID"))?;
        let found = questions::why(&mut question.context, &source, &id)?;
        let found = found.ok_or_else(Problem::not_found)?;
        let view = question.context.view();
        let pinned = question.context.scope().clone();
        let later = recorded_later(view, &pinned, &Wanted::default())?;
        let progress = so_far(reached, view, &pinned.as_of, later);
        question.note_lag(&progress);
        question.try_answer(None, || {
            let causes = found.causes.iter().map(|one| question_json::cause(view, one));
            Ok(form::Why {
                progress,
                event: question_json::event(view, &found.record)?,
                causes: causes.collect::<Result<_, Problem>>()?,
            })
        })
    })
    .await
}

/// `GET /v1/attachments/{digest}`: a policy snapshot by its SHA-256.
///
/// # Errors
/// 404 when this tenant has none such; 400.
pub async fn attachment(
    State(app): Shared,
    Segments(digest): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hex = digest.strip_prefix("sha256:").unwrap_or(&digest);
    let hash = ledgerline_proof::hash::Hash::from_hex(hex).map_err(|_| {
        Problem::bad_request("bad_digest", "a digest is sha256: and 64 lower-case hex digits")
    })?;
    let about = About { name: "attachment", subject: digest };
    ask(&app, &headers, params, about, move |mut question, _| {
        let found = questions::attachment(&mut question.context, &hash)?;
        let found = found.ok_or_else(Problem::not_found)?;
        if let Some(bundle) = question.proof(false)? {
            return Ok(bundle);
        }
        Ok(ledgerline_answers::answer::document_bytes(&found.media_type, found.data))
    })
    .await
}
