//! Findings over HTTP: listing them, and moving them on.
//!
//! Promises: as `asked`; a finding of another tenant is answered like one that is not there. Who
//! moves a finding on, and why, stands in the ledger for ever. A list says up to where the rules
//! have judged, and one that is pinned to an older size (`as_of`, a later page, a proof) how many
//! findings about what it covers were recorded since: an empty list is quiet only when it says so.
//! One about a token or a tenant of which nothing is recorded says that (`token_known`,
//! `tenant_known`).

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::counted;
use ledgerline_answers::finding_json::{finding, told};
use ledgerline_answers::problem::Problem;
use ledgerline_answers::progress_json;
use ledgerline_api::finding::{self as form, Finding, Findings, MoveRequest};
use ledgerline_api::values::HexHash;
use ledgerline_followers::findings::list::{self, Found, Wanted};
use ledgerline_followers::findings::record::{Move, Note};
use ledgerline_followers::findings::rules::{Rule, Severity};
use ledgerline_ledger::intake::EventError;
use ledgerline_ledger::planner::AdminAct;
use ledgerline_node::Reader;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::own_statement::OwnStatement;
use ledgerline_proof::vocabulary::Moved;
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_view::address::EntryRef;
use ledgerline_view::page_token::Cursor;
use ledgerline_view::registry::Roles;
use ledgerline_view::view::View;

use crate::auth::{self, READERS_LACKING};
use crate::extract::{Segments, check_text, json_body};
use crate::findings_lag::{RULES_BEFORE_BLOCK, recorded_later, so_far};
use crate::question_params::{Params, Question, bad_query};
use crate::tokens::check_id;
use crate::{Shared, findings_stream, progress, questions};

/// Findings of one answer that stand open again.
const REOPENED_MAX: usize = 1000;

fn wanted(params: &Params) -> Result<Wanted, Problem> {
    let state = match params.state.as_deref() {
        None => None,
        Some("open") => Some(None),
        Some(word) => {
            let moved = Moved::STATES.into_iter().find(|one| one.word() == word);
            let detail = "state is open, acknowledged, closed or withdrawn";
            Some(Some(moved.ok_or_else(|| bad_query(detail))?))
        }
    };
    let severity = params.severity.as_deref().map(|word| {
        let severity = Severity::ALL.into_iter().find(|one| one.word() == word);
        severity.ok_or_else(|| bad_query("severity is info, low, medium, high or critical"))
    });
    let rule = params.rule.as_deref().map(|code| {
        Rule::from_code(code).ok_or_else(|| bad_query("rule is no rule of this version"))
    });
    if let Some(token) = &params.token {
        check_id(token)?;
    }
    Ok(Wanted {
        state,
        severity: severity.transpose()?,
        rule: rule.transpose()?,
        token: params.token.clone(),
    })
}

/// Those that were raised before an entry, and stand open again by what was recorded at or behind
/// it; for whoever asks from there on. And whether those are all.
fn reopened(
    view: &View,
    scope: &Scope,
    wanted: &Wanted,
    from: EntryRef,
) -> Result<(Vec<Finding<'static>>, bool), Problem> {
    let mut context = QueryContext::new(view, scope.clone(), Spending::default())?;
    let (mut list, mut next) = (Vec::new(), Some(from));
    while let Some(at) = next.filter(|_| list.len() < REOPENED_MAX && !context.is_spent()) {
        let found;
        (found, next) = list::told(&mut context, wanted, at, REOPENED_MAX)?;
        let before = found.iter().filter(|one| one.is_again() && one.found.raised.at < from);
        list.extend(before.map(|one| told(view, one)));
    }
    Ok((list, next.is_none()))
}

/// `GET /v1/findings`: findings in the order they were recorded; `from` is a ledger index. With
/// `follow` a stream of them that does not end.
///
/// # Errors
/// 400, 401, 403, 404 for a tenant that the caller may not see.
pub async fn list(
    State(app): Shared,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::require(&app, &headers, auth::READERS, READERS_LACKING)?;
    let tenant = auth::tenant(&caller, params.tenant.as_deref())?;
    let wanted = wanted(&params)?;
    let seconds = params.wait_seconds();
    if params.follow {
        if params.wait.is_some() {
            return Err(bad_query("a stream tells by itself how far it is: wait is of the list"));
        }
        let stray = [
            ("proof", params.proof),
            ("as_of", params.as_of.is_some()),
            ("at", params.at.is_some()),
            ("limit", params.limit.is_some()),
            ("page", params.page.is_some()),
        ];
        if let Some((name, _)) = stray.into_iter().find(|(_, is_given)| *is_given) {
            return Err(bad_query(format!("{name} is of the list, not of a stream")).about(name));
        }
        let from = stream_start(&params, &headers)?;
        return findings_stream::answer(app, headers, tenant, wanted, from);
    }
    // The block is to cover what the rules note, too.
    let seconds = if params.wants_proof()? { seconds.max(RULES_BEFORE_BLOCK) } else { seconds };
    let reached =
        progress::reached(&app, &headers, auth::READER, &[Reader::Findings], seconds).await?;
    let covered = questions::proof_wait(&app, &headers, &params).await?;
    let _turn = app.gate.turn_to_prove(covered.is_some()).await?;
    let node = app.node.clone();
    app.read(move |view| {
        let mut question = Question::open(&node, view, tenant, &params, "findings", "", covered)?;
        let from = params.from.as_deref().map(|text| {
            text.parse::<u64>()
                .map_err(|_| bad_query("from is the index to begin at").about("from"))
        });
        let begin = from.transpose()?.map_or(EntryRef::FIRST, |from| counted::entry(view, from));
        let is_first = question.cursor.is_none();
        let from = question.from().unwrap_or(begin);
        let limit = params.limit()?;
        let (found, next) = list::findings(&mut question.context, &wanted, from, limit)?;
        let token_known = match &wanted.token {
            Some(token) if found.is_empty() => Some(question.context.token(token)?.is_known()),
            token => token.as_ref().map(|_| true),
        };
        let list: Vec<Finding<'_>> = found.iter().map(|one| finding(view, one)).collect();
        let pinned = question.context.scope().clone();
        let (again, is_whole) = match is_first && begin > EntryRef::FIRST {
            true => reopened(view, &pinned, &wanted, begin)?,
            false => (Vec::new(), true),
        };
        let later = recorded_later(view, &pinned, &wanted)?;
        let position = reached.first().and_then(|(_, progress)| progress.position);
        let lag = position.map(|position| view.size().saturating_sub(position));
        let progress = so_far(reached, view, &pinned.as_of, later);
        question.note_lag(&progress);
        question.answer(next.map(Cursor::Entry), || Findings {
            token_known,
            findings: list,
            reopened: again,
            reopened_whole: is_whole,
            lag_entries: lag,
            progress,
        })
    })
    .await
}

/// Where a stream begins: behind the last event that the caller has, or at `from`.
fn stream_start(params: &Params, headers: &HeaderMap) -> Result<u64, Problem> {
    let number = |text: &str| text.parse::<u64>().ok();
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let start = match (last, params.from.as_deref()) {
        (Some(last), _) => number(last).and_then(|index| index.checked_add(1)),
        (None, Some(from)) => number(from),
        (None, None) => Some(0),
    };
    start.ok_or_else(|| bad_query("from, and Last-Event-ID, is a ledger index"))
}

fn finding_id(text: &str) -> Result<Hash, Problem> {
    let detail = "a finding's id is 64 lower-case hex digits";
    Hash::from_hex(text).map_err(|_| Problem::bad_request("bad_finding_id", detail))
}

fn look_up(view: &View, tenant: &str, id: &Hash) -> Result<Found, Problem> {
    let scope =
        Scope { tenant: tenant.to_owned(), as_of: view.as_of(), at: None, judged_at: i64::MAX };
    let mut context = QueryContext::new(view, scope, Spending::default())?;
    list::finding(&mut context, id)?.ok_or_else(Problem::not_found)
}

/// `GET /v1/findings/{id}`.
///
/// # Errors
/// 400, 401, 403, 404.
pub async fn one(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::require(&app, &headers, auth::READERS, READERS_LACKING)?;
    let tenant = auth::tenant(&caller, params.tenant.as_deref())?;
    let id = finding_id(&id)?;
    let seconds = params.wait_seconds();
    let reached =
        progress::reached(&app, &headers, auth::READER, &[Reader::Findings], seconds).await?;
    app.read(move |view| {
        let one = finding(view, &look_up(view, &tenant, &id)?);
        json(&Finding { progress: Some(progress_json::shown(&reached)), ..one })
    })
    .await
}

/// `POST /v1/findings/{id}/acknowledge`: somebody looks at it.
///
/// # Errors
/// As [`close`].
pub async fn acknowledge(
    app: Shared,
    id: Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    move_on(app, id, headers, body, Moved::Acknowledged).await
}

/// `POST /v1/findings/{id}/close`: it is dealt with; the note says how.
///
/// # Errors
/// 401, 403, 404; 409 when it is closed already; 422 for a note that cannot be recorded.
pub async fn close(
    app: Shared,
    id: Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    move_on(app, id, headers, body, Moved::Closed).await
}

async fn move_on(
    State(app): Shared,
    Segments(id): Segments<String>,
    headers: HeaderMap,
    body: Body,
    to: Moved,
) -> Result<Response, Problem> {
    let roles = Roles::RESPONDER.with(Roles::ADMIN);
    let lacking = "the credential needs the role responder or admin";
    let caller = auth::require(&app, &headers, roles, lacking)?;
    let request: MoveRequest = json_body(&app, &headers, body).await?;
    let tenant = auth::tenant(&caller, request.tenant.as_deref())?;
    let finding = finding_id(&id)?;
    let note = request.note.trim().to_owned();
    let bad = |detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_note", detail);
    check_text("bad_note", &note)?;
    if to == Moved::Closed && note.is_empty() {
        return Err(bad("say why it is closed: the note stands in the ledger"));
    }
    let (of, tenant_of) = (tenant.clone(), finding);
    let found = app.read(move |view| look_up(view, &of, &tenant_of)).await?;
    if found.state() == Some(Moved::Closed) {
        let detail = "this finding is closed already";
        return Err(Problem::new(StatusCode::CONFLICT, "finding_moved", detail));
    }
    let (by, turn) = (caller.key_id().to_string(), found.turns(to));
    let moved = Move { tenant, finding, to, by: by.clone(), note, at: 0, upon: None, turn };
    let node = app.node.clone();
    let detail = format!("this finding is {} already", to.word());
    let refusal = EventError::new("finding_moved", detail);
    // As of when it is recorded.
    let statement = OwnStatement { at: None, ..Note::Moved(moved).statement() };
    let act = AdminAct::StateNew { statement: Box::new(statement), refusal };
    let index = app.gate.wait(move || Ok(node.record_act(act)?)).await?;
    json(&form::Moved { id: HexHash(finding), state: to.word().into(), by: by.into(), index })
}
