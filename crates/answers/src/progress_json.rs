//! How far the readers behind the head are, in words and as JSON.
//!
//! Promises: what is switched off is never said to have caught up.

use ledgerline_node::{Progress, Reader};
use serde_json::{Map, Value, json};

/// Readers with how far they are.
pub type Reached = Vec<(Reader, Progress)>;

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
}
