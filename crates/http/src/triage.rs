//! `POST /v1/triage`: which of these leaked tokens are known, whose they are, and what is alive.
//!
//! ```text
//! {"tokens":[{"digest":"<43 characters>"}, {"id":"eu:idp:jti:…"}, …]}        at most 500
//! ──▶ {"tokens":[{"status":"known", "alive":true, …}, {"status":"unknown"}, …], …}    same order
//! ```
//!
//! Promises: the raw token is never asked for: whoever asks computes the digest (the value of a
//! `t1` id). `alive` is what introspection would say. Where a token is found under several ids that
//! nobody joined, at several issuers (`claimed_by_several`) or by digest and id, `records` has
//! each; where they differ in whether it may be used, nobody can tell from a digest: `alive` and
//! `state` are then null and `differs` is true, never one of them alone. What has more about it
//! than one answer may read, and is not known to be revoked, is `unreadable`, with its id. The
//! answers are in the order of the question, which repeats nothing of it. A batch ends after
//! [`TIME_MAX`]: what is left is `not_reached`, and is asked for again. With `"proof":true` the
//! answer is the proof bundle instead: the whole lives of those that the published checkpoint
//! covers, and a note that counts the others.
//!
//! Refuses: ids that look like the token itself.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use ledgerline_answers::answer::json;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::prove;
use ledgerline_api::triage::{Knowledge, Leaked, TokenRecord, Triage, Triaged, TriagedToken};
use ledgerline_api::values::{Handle, Time, Word};
use ledgerline_api::{BODY_BYTES_MAX, token};
use ledgerline_index::terms::issuer_of;
use ledgerline_introspection::TokenStatus;
use ledgerline_node::Found;
use ledgerline_proof::bundle::{Bundle, MAX_LEAVES};
use ledgerline_proof::lifecycle::Birth;
use ledgerline_proof::token_id::TokenId;
use ledgerline_prover::QuestionRequest;
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_questions::{knows_tenant, last_use};
use ledgerline_view::address::AsOf;
use ledgerline_view::view::{QueryError, View};

use crate::extract::json_body_of;
use crate::question_params::WAIT_SECONDS_MAX;
use crate::tokens::check_id;
use crate::{App, Shared, auth, covered};

/// Tokens of one call.
pub const BATCH_MAX: usize = 500;
/// What one call may take before it says that it did not reach the rest.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Refuses what names no token.
fn check(one: &Leaked) -> Result<(), Problem> {
    if one.digest.is_none() && one.id.is_none() {
        return Err(bad("a token is given by its digest, its id, or both"));
    }
    if let Some(id) = &one.id {
        check_id(id)?;
    }
    let form = |digest: &String| TokenId::parse(&format!("global:any:t1:{digest}")).is_ok();
    if one.digest.as_ref().is_some_and(|digest| !form(digest)) {
        return Err(bad("a digest is the value of a t1 id: 43 characters of base64url"));
    }
    Ok(())
}

fn bad(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_triage", detail)
}

/// Answers.
///
/// # Errors
/// 400, 401, 403, 404 for a tenant that the caller may not see; 422 for too many.
pub async fn triage(
    State(app): Shared,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let lacking = "the credential needs the role reader, auditor or responder";
    let caller = auth::require(&app, &headers, auth::READERS, lacking)?;
    let request: Triage = json_body_of(&app, &headers, body, BODY_BYTES_MAX).await?;
    let tenant = auth::tenant(&caller, request.tenant.as_deref())?;
    if request.tokens.len() > BATCH_MAX {
        let detail = format!("one call takes {BATCH_MAX} tokens: send several");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many", detail));
    }
    request.tokens.iter().try_for_each(check)?;
    if request.wait.is_some_and(|seconds| seconds > WAIT_SECONDS_MAX) {
        return Err(bad("wait is 0 to 60 seconds"));
    }
    let covered = match (request.proof, request.wait) {
        (true, wait) => Some(covered::wait(&app, &headers, auth::READER, wait, None).await?),
        (false, Some(_)) => return Err(bad("wait goes with a proof")),
        (false, None) => None,
    };
    let _turn = app.gate.turn_to_prove(request.proof).await?;
    let of = Arc::clone(&app);
    app.read(move |view| match covered {
        Some(covered) => {
            let mut bundle = bundle(&of, view, &tenant, &request)?;
            covered.mark(&mut bundle);
            json(&bundle)
        }
        None => json(&answer(&of, view, &tenant, &request.tokens)?),
    })
    .await
}

/// Reads for a batch.
fn context<'v>(
    view: &'v View,
    tenant: &str,
    as_of: AsOf,
    now: i64,
) -> Result<QueryContext<'v>, Problem> {
    let scope = Scope { tenant: tenant.to_owned(), as_of, at: None, judged_at: now };
    let spending = Spending { index_reads: 200_000, entries: 200_000 };
    Ok(QueryContext::new(view, scope, spending)?)
}

/// The proof: the lives of those that are known, whole. Nothing proves that a token is unknown.
fn bundle(app: &App, view: &View, tenant: &str, asked: &Triage) -> Result<Bundle, Problem> {
    let leaked = &asked.tokens;
    let mut context = context(view, tenant, view.published_as_of(), app.node.now())?;
    let begun = app.node.monotonic();
    let (mut shown, mut left) = (0, 0);
    for (at, one) in leaked.iter().enumerate() {
        if at > 0 && (app.node.monotonic() > begun + TIME_MAX || context.is_spent()) {
            left += 1;
            continue;
        }
        let found = match statuses(app, tenant, one) {
            Ok(found) => found,
            Err(QueryError::Budget) => {
                left += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut any = false;
        for one in &found.statuses {
            let token = context.token(&one.id)?;
            if !token.records.is_empty() {
                context.show_token(&token.summary);
                any = true;
            }
        }
        shown += usize::from(any);
        left += usize::from(!found.unread.is_empty());
    }
    let note = format!(
        "{shown} of the {} tokens asked about are shown; {left} were not reached; nothing here \
         says that the others are not in the ledger",
        leaked.len()
    );
    let request = QuestionRequest {
        tenant: tenant.to_owned(),
        name: "triage".to_owned(),
        about: format!("{} tokens", leaked.len()),
        notes: vec![note],
        most: MAX_LEAVES,
        ..QuestionRequest::default()
    };
    prove::question(&mut context, request, None, asked.previous_size)
}

fn answer(
    app: &App,
    view: &View,
    tenant: &str,
    leaked: &[Leaked],
) -> Result<Triaged<'static>, Problem> {
    let now = app.node.now();
    let mut context = context(view, tenant, view.as_of(), now)?;
    let begun = app.node.monotonic();
    let mut answers = Vec::with_capacity(leaked.len());
    for (at, one) in leaked.iter().enumerate() {
        // The first is always looked at: asking again for the rest comes to an end.
        if at > 0 && (app.node.monotonic() > begun + TIME_MAX || context.is_spent()) {
            answers.push(TriagedToken::only(Knowledge::NotReached));
            continue;
        }
        answers.push(match statuses(app, tenant, one) {
            Ok(found) => match (&found.statuses[..], &found.unread[..]) {
                ([], []) => TriagedToken::only(Knowledge::Unknown),
                // More is recorded than one answer may read: no word of it being dead.
                ([], [first, ..]) => TriagedToken {
                    token_id: Some(first.id.clone().into()),
                    ..TriagedToken::only(Knowledge::Unreadable)
                },
                _ => described(&mut context, &found, now)?,
            },
            Err(QueryError::Budget) => TriagedToken::only(Knowledge::Unreadable),
            Err(error) => return Err(error.into()),
        });
    }
    Ok(Triaged {
        question: "triage".into(),
        tenant: tenant.to_owned().into(),
        tenant_known: knows_tenant(view, &app.node.keys(), tenant)?,
        origin: view.identity().origin.to_string().into(),
        size: view.size(),
        checkpoint: view.checkpoint().to_string().into(),
        judged_at: Time(now),
        tokens: answers,
    })
}

fn statuses(app: &App, tenant: &str, one: &Leaked) -> Result<Found, QueryError> {
    app.node.found(tenant, one.digest.as_deref(), one.id.as_deref())
}

fn described(
    context: &mut QueryContext<'_>,
    found: &Found,
    now: i64,
) -> Result<TriagedToken<'static>, Problem> {
    let status = &found.statuses[0];
    let alive = status.is_active(now);
    let is_read = found.unread.is_empty();
    let differs = !is_read || found.statuses.iter().any(|one| one.is_active(now) != alive);
    let all = || found.statuses.iter().chain(&found.unread);
    let issuers: BTreeSet<_> = all().filter_map(|one| issuer_of(&one.id)).collect();
    let token = context.token(&status.id)?;
    let used = last_use(context, &token)?;
    let record = |one: &Arc<TokenStatus>| {
        let known = one.is_decided(now);
        TokenRecord {
            token_id: one.id.clone().into(),
            state: known.then(|| one.state.state_at(now).into()),
            alive: known.then(|| one.is_active(now)),
        }
    };
    let records = match (differs, &found.statuses[..]) {
        (false, [_]) => Vec::new(),
        _ => all().map(record).collect(),
    };
    // Of all that is known of it nothing is a birth.
    let is_unborn = is_read && found.statuses.iter().all(|one| one.state.birth == Birth::None);
    Ok(TriagedToken {
        alive: (!differs).then_some(alive),
        token_id: Some(status.id.clone().into()),
        state: (!differs).then(|| status.state.state_at(now).into()),
        differs: Some(differs),
        claimed_by_several: Some(issuers.len() > 1),
        records,
        birth: is_unborn.then_some(token::Birth::Unknown),
        token_kind: status.state.token_kind.map(Word),
        owner: status.facts.subject.map(Handle),
        client_id: status.facts.client.as_deref().map(|client| client.to_owned().into()),
        expires_at: status.state.expires_at.map(Time),
        last_used_at: used.map(Time),
        ..TriagedToken::only(Knowledge::Known)
    })
}
