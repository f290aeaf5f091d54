//! How far the readers behind the head are, on every answer that depends on one of them.
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
use ledgerline_node::{Progress, Reader};
use serde_json::{Map, Value, json};

use crate::App;
use crate::auth::{self, Needs};

/// Longest wait.
const WAIT_SECONDS_MAX: u64 = 60;
/// Between two looks at the readers, and at whether whoever waits may still ask.
const LOOK_EVERY: Duration = Duration::from_millis(25);
const JUDGE_EVERY: Duration = Duration::from_millis(500);

/// Readers with how far they are.
pub type Reached = Vec<(Reader, Progress)>;

/// The seconds of a parameter `wait`.
///
/// # Errors
/// 400.
pub fn seconds(wait: Option<&str>) -> Result<u64, Problem> {
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = wait.map(|text| Some(text).filter(digits).and_then(|text| text.parse().ok()));
    let seconds = parsed.unwrap_or(Some(0)).filter(|seconds| *seconds <= WAIT_SECONDS_MAX);
    seconds.ok_or_else(|| Problem::bad_request("bad_query", "wait is 0 to 60 seconds"))
}

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

/// Against this many entries, not those that came since.
pub fn limit(progress: &mut Progress, of: u64) {
    progress.of = progress.of.min(of);
    progress.position = progress.position.map(|position| position.min(progress.of));
}

/// In words.
#[must_use]
pub fn words(reader: Reader, progress: &Progress) -> String {
    let (done, off) = match reader {
        Reader::Findings => ("judged", "NOT JUDGED: findings are switched off"),
        Reader::Expiry => ("expiries stated", "expiries are not stated: switched off"),
        Reader::Verifier => ("verified", "NOT VERIFIED: the verifier is switched off"),
        Reader::Index => ("indexed", "not indexed"),
    };
    let (Some(position), Some(lag)) = (progress.position, progress.lag()) else {
        return off.to_owned();
    };
    let mut words = format!("{done} up to entry {position} of {}", progress.of);
    if lag > 0 {
        words.push_str(&format!(", {lag} behind"));
        if progress.failures > 0 {
            words.push_str(&format!("; failed and began again {} times", progress.failures));
        }
    }
    words
}

/// One reader.
#[must_use]
pub fn one(reader: Reader, progress: &Progress) -> Value {
    let state = match progress.lag() {
        None => "switched_off",
        Some(0) => "caught_up",
        Some(_) => "behind",
    };
    json!({
        "state": state,
        "position": progress.position,
        "of": progress.of,
        "lag_entries": progress.lag(),
        "failures": progress.failures,
        "words": words(reader, progress),
    })
}

/// The member `progress` of an answer.
#[must_use]
pub fn shown(reached: &Reached) -> Value {
    let each = reached.iter().map(|(reader, at)| (reader.word().to_owned(), one(*reader, at)));
    Value::Object(each.collect::<Map<String, Value>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_lags_or_is_off_is_said_to_be_so() {
        let mut progress = Progress { position: Some(6000), of: 6013, failures: 0 };
        let said = words(Reader::Findings, &progress);
        assert_eq!(said, "judged up to entry 6000 of 6013, 13 behind");
        assert_eq!(one(Reader::Findings, &progress)["state"], "behind");
        progress.failures = 2;
        assert!(words(Reader::Verifier, &progress).ends_with("began again 2 times"));
        limit(&mut progress, 5000);
        assert_eq!(words(Reader::Expiry, &progress), "expiries stated up to entry 5000 of 5000");
        assert_eq!(one(Reader::Expiry, &progress)["state"], "caught_up");
        progress.position = None;
        let off = one(Reader::Findings, &progress);
        assert_eq!((&off["state"], &off["lag_entries"]), (&json!("switched_off"), &Value::Null));
        assert!(off["words"].as_str().is_some_and(|words| words.starts_with("NOT JUDGED")));
    }

    #[test]
    fn seconds_to_wait_are_bounded() {
        assert_eq!(seconds(None).ok(), Some(0));
        assert_eq!(seconds(Some("60")).ok(), Some(60));
        for wrong in ["", "61", "-1", "1.5", "x"] {
            assert!(seconds(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
