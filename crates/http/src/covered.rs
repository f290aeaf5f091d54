//! Waiting for a block: a proof bundle covers what was recorded when it was asked for, or says in
//! words that it does not.
//!
//! ```text
//! wait=0..60   with proof=true, and on the proofs of tokens and events: seconds to wait for a
//!              block that covers what was recorded when it was asked for [one block interval and a
//!              little more, at most 45]
//! ```
//!
//! Promises: a bundle whose block came too late begins its notes with
//! `INCOMPLETE when it was made: as of entry 14 of 17; 3 newer entries are not in it`. Who waits
//! holds none of the places of those who prove; a credential that ends, ends its waiting.

use std::time::Duration;

use axum::http::HeaderMap;
use ledgerline_answers::problem::Problem;
pub use ledgerline_answers::prove::Covered;

use crate::App;
use crate::auth::{self, Needs};

/// What a block may take beside its interval, and the longest wait that nobody asked for: shorter
/// than clients wait for an answer.
const BESIDE: Duration = Duration::from_secs(5);
const UNASKED_MAX: Duration = Duration::from_secs(45);
/// Between two looks at the ledger, and at whether whoever waits may still ask.
const LOOK_EVERY: Duration = Duration::from_millis(25);
const JUDGE_EVERY: Duration = Duration::from_millis(500);

/// Waits until a block covers what is recorded now, or what is recorded below `upto`; for so many
/// seconds at most.
///
/// # Errors
/// 401, 403 when the credential ends meanwhile.
pub async fn wait(
    app: &App,
    headers: &HeaderMap,
    needs: Needs,
    wait: Option<u64>,
    upto: Option<u64>,
) -> Result<Covered, Problem> {
    let unasked = (app.node.block_interval() + BESIDE).min(UNASKED_MAX);
    let limit = wait.map_or(unasked, Duration::from_secs);
    let covered = Covered::of(&app.node.view(), upto);
    let until = app.node.monotonic() + limit;
    let mut judged_at = app.node.monotonic();
    while !covered.is_published(&app.node.view()) {
        if app.node.monotonic() >= until || app.is_stopping() {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        if app.node.monotonic() >= judged_at + JUDGE_EVERY {
            judged_at = app.node.monotonic();
            auth::require(app, headers, needs.roles, needs.lacking)?;
        }
    }
    Ok(covered)
}
