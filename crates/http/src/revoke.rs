//! Revoking a blast radius: one REVOKED for each token of it that may still be used.
//!
//! Promises: what is revoked is what the answer of the same moment shows; the events go the way of
//! all events, in the name of the responder, and are durable when this answers. The issuer is told
//! when the token itself was sent along and the register says how; the answer and the ledger say
//! what came of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::question_json::cuts;
use ledgerline_api::revoke::{self as form, RevokeFamily, RevokeVerdict, Revoked, SetMember};
use ledgerline_api::triage::Knowledge;
use ledgerline_ledger::intake::{EventAnswer, RevokeToken, SubmitAnswer};
use ledgerline_node::revoking::{Member, Why, plan};
pub(super) use ledgerline_questions::With;
use ledgerline_view::registry::{Caller, Roles};
use tokio::sync::oneshot;

use crate::extract::{Segments, check_text, json_body};
use crate::issuer_notify::{IssuerNotice, say_of_each, word_before};
use crate::tokens::check_id;
use crate::{App, Shared, auth};
use ledgerline_answers::verdicts::{refused, status_of};

/// What goes with a token, as it is asked for; `None` for a word that is neither.
pub(super) fn with_of(word: Option<&str>) -> Option<With> {
    match word {
        None | Some("grant") => Some(With::Grant),
        Some("descendants") => Some(With::Descendants),
        Some(_) => None,
    }
}

/// The same as answers have it.
pub(super) const fn with_form(with: With) -> form::With {
    match with {
        With::Grant => form::With::Grant,
        With::Descendants => form::With::Descendants,
    }
}

/// What is wrong with another word.
pub(super) const BAD_WITH: &str = "with is grant (its descendants and, for a refresh token, its \
                                   grant and family) or descendants";

/// `POST /v1/tokens/{id}/blast-radius`: revokes all of it that may still be used.
///
/// # Errors
/// 403 without the role responder; 404; 422.
pub async fn asked(
    State(app): Shared,
    Segments(id): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role responder";
    let caller = auth::require(&app, &headers, Roles::RESPONDER, lacking)?;
    check_id(&id)?;
    let request: RevokeFamily = json_body(&app, &headers, body).await?;
    let tenant = auth::tenant(&caller, request.tenant.as_deref())?;
    let reason = request.reason.unwrap_or_else(|| "compromise".to_owned());
    check_text("bad_reason", &reason)?;
    let with = with_of(request.with.as_deref());
    let with = with.ok_or_else(|| Problem::bad_request("bad_with", BAD_WITH))?;
    let tell = request.tell_issuer.unwrap_or(true);
    let token = request.token.filter(|_| tell);
    let notice = IssuerNotice::sent_along(&app, &tenant, &id, token).await?;
    let issuer = Some(word_before(notice.as_ref()));
    let (reason_with_it, act) = (reason.clone(), "blast-radius");
    let why = Why { act, reason, reason_with_it, with, may_be_older: false, issuer };
    blast_radius(&app, &caller, (tenant, id), why, request.dry_run, notice, tell).await
}

/// Revokes, or says what would be revoked.
///
/// # Errors
/// 404, 403, 429, 503.
async fn blast_radius(
    app: &Arc<App>,
    caller: &Caller,
    (tenant, id): (String, String),
    why: Why,
    dry_run: bool,
    notice: Option<IssuerNotice>,
    tell: bool,
) -> Result<Response, Problem> {
    let (of, asked, with) = (tenant.clone(), id.clone(), why.with);
    let now = app.node.now();
    let planned = app.read(move |view| Ok(plan(view, &of, &asked, &why, now)?)).await?;
    let plan = planned.ok_or_else(Problem::not_found)?;
    let ids: Vec<_> = plan.tokens.iter().map(|token| token.token_id.clone()).collect();
    let mut answer = Revoked {
        token_id: Some(id),
        tenant: Some(tenant.clone()),
        with: Some(with_form(with)),
        family: plan.set.len() as u64,
        dry_run,
        to_revoke: ids.clone(),
        cut_by: cuts(&plan.cuts),
        ..Revoked::nothing(Knowledge::Known)
    };
    let mut ended = BTreeSet::new();
    if !dry_run && !plan.tokens.is_empty() {
        let recorded = record(app, caller, tenant.clone(), plan.tokens).await?;
        let verdicts = recorded.events.iter().zip(&ids);
        answer.events = Some(verdicts.map(|(event, id)| verdict(event, id)).collect());
        answer.checkpoint = recorded.checkpoint.as_deref().map(str::to_owned);
        let done = |one: &&EventAnswer| one.error.is_none();
        // Behind those of the tokens may stand the grants that go with them.
        answer.revoked = recorded.events.iter().take(ids.len()).filter(done).count() as u64;
        let done = recorded.events.iter().zip(&ids).filter(|(one, _)| one.error.is_none());
        ended.extend(done.map(|(_, id)| id.as_str()));
    }
    let after = |one: &Member| match ended.contains(&*one.token_id) {
        true => "REVOKED",
        false => one.state,
    };
    answer.set = plan.set.iter().map(|one| member(one, Some(after(one)))).collect();
    // A token that was sent along is the presented one, also where its issuer cannot be told.
    let presented = notice.as_ref().map(|notice| notice.ids().clone());
    match notice {
        Some(notice) if dry_run => notice.preview(&mut answer),
        Some(notice) => notice.send(app, caller, &tenant, &mut answer).await?,
        None => {}
    }
    say_of_each(app, &tenant, &mut answer, presented.as_ref(), tell);
    json(&answer)
}

/// A token of the set, before and after; the same when nothing was done.
pub(super) fn member(one: &Member, after: Option<&str>) -> SetMember {
    SetMember {
        token_id: one.token_id.clone(),
        why: one.why.to_owned(),
        before: Some(one.state.to_owned()),
        after: Some(after.unwrap_or(one.state).to_owned()),
        issuer: one.issuer.map(str::to_owned),
        issuer_why: None,
    }
}

/// Records the revocations; they are durable when this answers.
///
/// # Errors
/// 403, 429, 503.
pub(super) async fn record(
    app: &Arc<App>,
    caller: &Caller,
    tenant: String,
    tokens: Vec<RevokeToken>,
) -> Result<SubmitAnswer, Problem> {
    let (send, receive) = oneshot::channel();
    let (node, caller) = (Arc::clone(&app.node), caller.clone());
    app.gate
        .wait(move || {
            let reply = Box::new(move |answer| {
                // Whoever asked may be gone.
                let _ = send.send(answer);
            });
            Ok(node.revoke(&caller, &tenant, &tokens, reply)?)
        })
        .await?;
    let stopped = |why: String| Problem::unavailable("stopped", why);
    let answer = receive.await.map_err(|_| stopped("the ledger stopped".into()))?;
    match answer.stopped {
        Some(why) => Err(stopped(why)),
        None => Ok(answer),
    }
}

pub(super) fn verdict(event: &EventAnswer, id: &str) -> RevokeVerdict {
    RevokeVerdict {
        token_id: id.to_owned(),
        status: status_of(event.status),
        index: event.index,
        error: event.error.as_ref().map(refused),
    }
}
