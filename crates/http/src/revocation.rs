//! `POST /oauth2/revoke`: RFC 7009, into the ledger.
//!
//! ```text
//! role client      its own tokens, those whose client_id is the credential's source; reason user
//! role responder   any token of the tenant; reason admin; dry_run=true says what would be revoked,
//!                  with=descendants leaves the grant and the family alone
//! ```
//!
//! Promises: with the token go its descendants and, for a refresh token, the tokens of its grant
//! and of its `family_id`, each with the cause and the reason `parent_revoked`. The answer comes
//! when all of it is durable and nothing usable is left of them, also nothing that was issued
//! meanwhile. A token that nobody knows, or that is of no use any more, is 200 like one that was
//! revoked. A client's 200 is empty.
//!
//! A digest that several issuers have names a token of each: all are ended that the credential may
//! end, each with what goes with it, and `claimed_by_several` says so.
//!
//! A responder's revocation is passed on to the token's issuer where the register says how, unless
//! `tell_issuer=false`; the answer says of each token whether it was. So is a token that the ledger
//! knows nothing of, when its issuer signed it.
//!
//! A token that has more about it than one answer may read is ended as far as it is read, and
//! `cut_by` says so; to a client, whose 200 has no room for that, it is 503.
//!
//! Refuses: another client's token, as `invalid_grant`; from a client what is neither access nor
//! refresh token, as `unsupported_token_type`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use ledgerline_answers::problem::Problem;
use ledgerline_answers::question_json;
use ledgerline_api::answer::Cut;
use ledgerline_api::revoke::{Revoked, SetMember};
use ledgerline_api::triage::Knowledge;
use ledgerline_index::terms::{issuer_of, own_id};
use ledgerline_introspection::TokenStatus;
use ledgerline_node::revoking::{ASKED, Member, NOT_TOLD, Plan, Why, plan};
use ledgerline_proof::vocabulary::TokenKind;
use ledgerline_questions::lineage::Cut as ReadCut;
use ledgerline_view::registry::{Caller, Roles};

use crate::extract::check_text;
use crate::form::{Form, Refusal, caller, no_store_json};
use crate::issuer_notify::{IssuerNotice, say_of_each};
use crate::revoke::{BAD_WITH, With, member, record, verdict, with_form, with_of};
use crate::token_lookup::{Each, PresentedToken, find_each, may_know};
use crate::{App, Shared};

const LACKING: &str = "the credential needs the role client (its own tokens) or responder";
/// Rounds until nothing is left; each finds only what was issued during the one before.
const ROUNDS: usize = 8;

/// Revokes.
///
/// # Errors
/// 400, 401, 503.
pub async fn revoke(State(app): Shared, request: Request) -> Result<Response, Refusal> {
    let roles = Roles::RESPONDER.with(Roles::CLIENT);
    let caller = caller(&app, request.headers(), roles, LACKING)?;
    let form = Form::read(&app, request).await?;
    let is_responder = caller.roles().has(Roles::RESPONDER);
    let dry_run = match form.get("dry_run") {
        None | Some(b"false") => false,
        Some(b"true") if is_responder => true,
        Some(_) => {
            let detail = "dry_run is true or false, and for the role responder";
            return Err(Refusal::bad("invalid_request", detail));
        }
    };
    let tell = match form.get("tell_issuer") {
        None => is_responder,
        Some(b"true") if is_responder => true,
        Some(b"false") if is_responder => false,
        Some(_) => {
            let detail = "tell_issuer is true or false, and for the role responder";
            return Err(Refusal::bad("invalid_request", detail));
        }
    };
    let word = form.get("with").filter(|_| is_responder).map(String::from_utf8_lossy);
    let with = with_of(word.as_deref());
    let with = with.ok_or_else(|| Refusal::bad("invalid_request", BAD_WITH))?;
    let reason = reason(&form, is_responder)?;
    let token = form.token()?.to_vec();
    drop(form);
    let tenant = caller.own_tenant().to_owned();
    let Each { statuses, signature } =
        find_each(&app, &tenant, token.clone(), is_responder).await?;
    let (mut known, hidden): (Vec<_>, Vec<_>) =
        statuses.into_iter().partition(|status| may_know(&caller, &status.id));
    if known.is_empty() {
        let mut answer = unknown(dry_run);
        tell_of_unknown(&app, &caller, token, &mut answer, is_responder && tell).await?;
        answer.signature = Some(signature.word().to_owned());
        return Ok(done(is_responder, &answer));
    }
    if !is_responder {
        // What another issuer calls the same keeps nobody from ending its own.
        let (own, others): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|status| check_own(&caller, status).is_ok());
        if let Some(other) = others.first().filter(|_| own.is_empty()) {
            check_own(&caller, other)?;
        }
        known = own;
    }
    let ending = Ending { with, reason, dry_run, tell, is_responder };
    let presented = PresentedToken { bytes: &token, signature };
    let (mut answer, notice) = end_each(&app, &caller, &mut known, ending, presented).await?;
    drop(token);
    say_cuts(&mut answer, (&known, &hidden), is_responder)?;
    answer.claimed_by_several = Some(claimed_by_several(&known));
    let presented = told_with(&known, notice.as_ref());
    match notice {
        Some(notice) if dry_run => notice.preview(&mut answer),
        Some(notice) => notice.send(&app, &caller, &tenant, &mut answer).await?,
        None => {}
    }
    say_of_each(&app, &tenant, &mut answer, Some(&presented), tell);
    answer.signature = Some(signature.word().to_owned());
    Ok(done(is_responder, &answer))
}

/// Why, as the REVOKED of the token has it: a responder's own words, like every text without a
/// secret in them.
fn reason(form: &Form, is_responder: bool) -> Result<String, Refusal> {
    let Some(given) = form.get("reason").filter(|_| is_responder) else {
        return Ok(if is_responder { "admin" } else { "user" }.to_owned());
    };
    let text = std::str::from_utf8(given)
        .map_err(|_| Refusal::bad("invalid_request", "reason is not UTF-8"))?;
    check_text("bad_reason", text)
        .map_err(|problem| Refusal::bad("invalid_request", problem.detail))?;
    Ok(text.to_owned())
}

/// A token that the ledger knows nothing of may live at the issuer that signed it: that one is
/// told all the same, and the ledger records that it was.
async fn tell_of_unknown(
    app: &Arc<App>,
    caller: &Caller,
    token: Vec<u8>,
    answer: &mut Revoked,
    tell: bool,
) -> Result<(), Refusal> {
    if !tell {
        return Ok(());
    }
    let (of, tenant) = (Arc::clone(app), caller.own_tenant().to_owned());
    let notice = app.gate.wait(move || Ok(IssuerNotice::of_unknown(&of, &tenant, token))).await?;
    let Some(notice) = notice.filter(|one| may_know(caller, one.token_id())) else {
        return Ok(());
    };
    let tenant = caller.own_tenant();
    let presented = notice.ids().clone();
    answer.set = vec![SetMember::itself(notice.token_id())];
    match answer.dry_run {
        true => notice.preview(answer),
        false => notice.send(app, caller, tenant, answer).await?,
    }
    say_of_each(app, tenant, answer, Some(&presented), true);
    Ok(())
}

/// How tokens are ended.
struct Ending {
    with: With,
    reason: String,
    dry_run: bool,
    tell: bool,
    is_responder: bool,
}

/// Ends each of what was presented, and says which issuer is to be told.
async fn end_each(
    app: &Arc<App>,
    caller: &Caller,
    known: &mut [Arc<TokenStatus>],
    Ending { with, reason, dry_run, tell, is_responder }: Ending,
    presented: PresentedToken<'_>,
) -> Result<(Revoked, Option<IssuerNotice>), Refusal> {
    let (tenant, now) = (caller.own_tenant(), app.node.now());
    // The one that still works comes first: its issuer is the one to tell.
    known.sort_by_key(|status| (!status.is_active(now), status.state.first_index));
    let of = |(at, status): (usize, &Arc<TokenStatus>)| {
        IssuerNotice::of(app, tenant, status, presented).map(|notice| (at, notice))
    };
    let notice = known.iter().enumerate().filter(|_| tell).find_map(of);
    let told = notice.as_ref().map(|(at, _)| *at);
    let (mut answer, mut failed) = (None, None);
    for (at, status) in known.iter().enumerate() {
        let word = if told == Some(at) { ASKED } else { NOT_TOLD };
        let why = Why {
            issuer: is_responder.then_some(word),
            act: "revoke",
            reason: reason.clone(),
            reason_with_it: "parent_revoked".to_owned(),
            with,
            may_be_older: true,
        };
        match end(app, caller, tenant, status, why, dry_run).await {
            Ok(ended) => {
                answer = Some(match answer {
                    None => ended,
                    Some(first) => together(first, ended),
                });
            }
            // One that cannot be ended keeps none of the others alive.
            Err(refusal) => failed = Some(refusal),
        }
    }
    match (failed, answer) {
        (Some(refusal), _) => Err(refusal),
        (None, answer) => {
            let answer = answer.unwrap_or_else(|| Revoked::nothing(Knowledge::Unknown));
            Ok((answer, notice.map(|(_, notice)| notice)))
        }
    }
}

/// The ids that are told with the one that is: another issuer's is another token.
fn told_with(known: &[Arc<TokenStatus>], notice: Option<&IssuerNotice>) -> BTreeSet<String> {
    let front = notice.and_then(|notice| issuer_of(notice.token_id()));
    let ids = known.iter().flat_map(|status| &status.ids);
    ids.filter(|id| front.is_none() || issuer_of(id) == front).cloned().collect()
}

/// Says what is not said to have ended: what was not read, what the credential may not end.
///
/// # Errors
/// 503 to a client whose token was read in part: its 200 has no room for that.
fn say_cuts(
    answer: &mut Revoked,
    (known, hidden): (&[Arc<TokenStatus>], &[Arc<TokenStatus>]),
    is_responder: bool,
) -> Result<(), Refusal> {
    let cuts = &mut answer.cut_by;
    let is_part = known.iter().any(|one| one.is_part);
    cuts.extend((is_part && cuts.is_empty()).then_some(Cut::Reads));
    if !is_responder && !cuts.is_empty() {
        return Err(only_in_part(known));
    }
    let lives = hidden.iter().any(|one| one.usable_between().is_some());
    cuts.extend(lives.then_some(Cut::Grant));
    Ok(())
}

/// What a client is told whose token was ended as far as it was read.
fn only_in_part(known: &[Arc<TokenStatus>]) -> Refusal {
    let ids: Vec<&str> = known.iter().map(|one| one.id.as_str()).collect();
    let ids = ids.join(", ");
    Refusal::later(format!(
        "what was read of the token is revoked ({ids}), and more is recorded about it than one \
         call may read; repeating it does not help: a responder looks at it with `ledgerline \
         trace`"
    ))
}

/// Whether several issuers have the digest of what was presented.
fn claimed_by_several(known: &[Arc<TokenStatus>]) -> bool {
    let issuers = known.iter().filter_map(|one| issuer_of(&one.id));
    issuers.collect::<BTreeSet<_>>().len() > 1
}

/// Whether the token was issued to this client, and is of a kind that clients revoke.
fn check_own(caller: &Caller, status: &TokenStatus) -> Result<(), Refusal> {
    let issuer = issuer_of(&status.id);
    let client = status.facts.client.as_deref().map(|client| own_id(client, issuer));
    if client != Some(caller.source()) {
        let detail = "the token was issued to another client";
        return Err(Refusal::bad("invalid_grant", detail));
    }
    match status.state.token_kind {
        None | Some(TokenKind::Access | TokenKind::Refresh) => Ok(()),
        Some(_) => {
            let detail = "clients revoke access and refresh tokens";
            Err(Refusal::bad("unsupported_token_type", detail))
        }
    }
}

/// Revokes until nothing is left, and says what was.
async fn end(
    app: &Arc<App>,
    caller: &Caller,
    tenant: &str,
    status: &TokenStatus,
    why: Why,
    dry_run: bool,
) -> Result<Revoked, Refusal> {
    let (mut revoked, mut verdicts) = (Vec::<String>::new(), Vec::new());
    let mut checkpoint = None;
    let (mut before, with) = (BTreeMap::new(), why.with);
    for _ in 0..ROUNDS {
        let (of, id, why) = (tenant.to_owned(), status.id.clone(), why.clone());
        let now = app.node.now();
        let planned = app.read(move |view| Ok(plan(view, &of, &id, &why, now)?)).await?;
        let Plan { tokens, set, cuts } = planned.ok_or_else(Problem::not_found)?;
        for one in &set {
            before.entry(one.token_id.clone()).or_insert(one.state);
        }
        if dry_run || tokens.is_empty() {
            // Repeating it reads no more ids of one token: that is said, and not asked for.
            let is_wide = cuts.iter().all(|cut| *cut == ReadCut::Width);
            if !dry_run && !is_wide {
                break;
            }
            let planned: Vec<_> = tokens.into_iter().map(|token| token.token_id).collect();
            let was = |one: &Member| before.get(&one.token_id).copied().unwrap_or(one.state);
            let shown = |one: Member| member(&Member { state: was(&one), ..one }, Some(one.state));
            return Ok(Revoked {
                token_id: Some(status.id.clone()),
                with: Some(with_form(with)),
                dry_run,
                family: set.len() as u64,
                set: set.into_iter().map(shown).collect(),
                revoked: revoked.len() as u64,
                to_revoke: if dry_run { planned } else { revoked },
                events: Some(verdicts),
                cut_by: question_json::cuts(&cuts),
                checkpoint,
                ..Revoked::nothing(Knowledge::Known)
            });
        }
        let ids: Vec<String> = tokens.iter().map(|token| token.token_id.clone()).collect();
        let recorded = record(app, caller, tenant.to_owned(), tokens).await?;
        if recorded.events.iter().take(ids.len()).any(|event| event.error.is_some()) {
            let detail = "the credential's grant does not cover the REVOKED of all these tokens";
            return Err(Refusal::bad("unauthorized_client", detail));
        }
        verdicts.extend(recorded.events.iter().zip(&ids).map(|(event, id)| verdict(event, id)));
        checkpoint = recorded.checkpoint.as_deref().map(str::to_owned);
        revoked.extend(ids);
    }
    Err(Refusal::later("more goes with this token than could be ended in one call; repeat it"))
}

/// One answer for a token under two names that nobody joined. What is told at the head is the
/// first one's.
fn together(mut first: Revoked, second: Revoked) -> Revoked {
    first.to_revoke.extend(second.to_revoke);
    first.events.get_or_insert_default().extend(second.events.into_iter().flatten());
    first.cut_by.extend(second.cut_by);
    first.set.extend(second.set);
    first.family += second.family;
    first.revoked += second.revoked;
    first.checkpoint = second.checkpoint.or(first.checkpoint);
    first
}

fn unknown(dry_run: bool) -> Revoked {
    Revoked {
        claimed_by_several: Some(false),
        dry_run,
        events: Some(Vec::new()),
        ..Revoked::nothing(Knowledge::Unknown)
    }
}

/// 200. What a responder reads is for people: RFC 7009 has clients ignore the body.
fn done(is_responder: bool, answer: &Revoked) -> Response {
    if is_responder {
        return no_store_json(answer);
    }
    let mut response = ().into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
