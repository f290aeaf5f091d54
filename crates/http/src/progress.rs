//! Catching up: how far what follows the ledger is (rules, expiries, verifier), on every answer
//! that depends on it.
//!
//! ```text
//! wait=0..60   seconds to wait until the reader is where the ledger was when it was asked
//! "progress":{"findings":{"state":"behind","position":6000,"of":6013,"lag_entries":13,
//!             "failures":0,"words":"judged up to entry 6000 of 6013, 13 behind"}}
//! state        caught_up · behind · switched_off (position and lag_entries are null)
//! ```
//!
//! Promises: an answer never says more than was done: the position is read before the state of the
//! ledger that is answered from. Whoever waits takes a place among those who wait; a credential
//! that ends, ends its waiting.

use std::time::Duration;

use axum::http::HeaderMap;
use ledgerline_answers::problem::Problem;
use ledgerline_answers::progress_json::{Reached, limit};
use ledgerline_node::Reader;

use crate::App;
use crate::auth::{self, Needs};

/// Between two looks at the readers, and at whether whoever waits may still ask.
const LOOK_EVERY: Duration = Duration::from_millis(25);
const JUDGE_EVERY: Duration = Duration::from_millis(500);

/// How far readers are, after waiting at most so many seconds for them to be where the ledger is
/// now. What is switched off is not waited for.
///
/// # Errors
/// 401, 403 when the credential ends meanwhile.
pub async fn reached(
    app: &App,
    headers: &HeaderMap,
    needs: Needs,
    readers: &[Reader],
    seconds: u64,
) -> Result<Reached, Problem> {
    let look = || readers.iter().map(|one| (*one, app.node.progress(*one)));
    let asked: Reached = look().collect();
    let until = app.node.monotonic() + Duration::from_secs(seconds);
    let mut judged_at = app.node.monotonic();
    loop {
        let mut now: Reached = look().collect();
        for ((_, now), (_, asked)) in now.iter_mut().zip(&asked) {
            limit(now, asked.of);
        }
        let waits = now.iter().any(|(_, one)| one.position.is_some() && !one.is_caught_up());
        if !waits || app.node.monotonic() >= until || app.is_stopping() {
            return Ok(now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        if app.node.monotonic() >= judged_at + JUDGE_EVERY {
            judged_at = app.node.monotonic();
            auth::require(app, headers, needs.roles, needs.lacking)?;
        }
    }
}
