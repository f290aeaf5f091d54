//! Who still let a token in after its revocation, and for how long: of one token, and of all that
//! were revoked in a time.
//!
//! Promises: as `asked`.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::question_json;
use ledgerline_api::question as form;
use ledgerline_api::values::Time;
use ledgerline_questions as questions;

use crate::Shared;
use crate::extract::Segments;
use crate::question_params::{Params, bad_query, time};
use crate::questions::{About, ask};
use crate::tokens::check_id;

/// `GET /v1/tokens/{id}/after-revoke`: who still let it in after its revocation, and for how long.
///
/// # Errors
/// 404 when this tenant has no such token; 400.
pub async fn one(
    State(app): Shared,
    Segments(id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let about = About { name: "after-revoke", subject: id.clone() };
    ask(&app, &headers, params, about, move |mut question, _| {
        check_id(&id)?;
        let found = questions::after_revoke(&mut question.context, &id)?;
        let found = found.ok_or_else(Problem::not_found)?;
        let (view, at) = (question.context.view(), question.judged_at());
        question.answer(None, || form::AfterRevoke {
            token_id: Some((&*id).into()),
            ..question_json::after_revoke(view, &found, at)
        })
    })
    .await
}

/// `GET /v1/after-revoke?from=…&until=…`: the same of all tokens revoked between two times.
///
/// # Errors
/// 400, 401, 403.
pub async fn many(
    State(app): Shared,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let about = About { name: "after-revoke", subject: String::new() };
    ask(&app, &headers, params, about, move |mut question, params| {
        let (Some(from), Some(until)) = (&params.from, &params.until) else {
            return Err(bad_query("from and until say in which time the tokens were revoked"));
        };
        let (from, until) = (time("from", from)?, time("until", until)?);
        if from > until {
            return Err(Problem::bad_request("bad_range", "from lies behind until"));
        }
        let most = params.bounds()?.tokens;
        let found = questions::after_revokes(&mut question.context, (from, until), most)?;
        let (view, at) = (question.context.view(), question.judged_at());
        question.answer(None, || form::AfterRevoke {
            from: Some(Time(from)),
            until: Some(Time(until)),
            ..question_json::after_revoke(view, &found, at)
        })
    })
    .await
}
