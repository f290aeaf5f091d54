//! How far the followers are, in words and as the form of answers.
//!
//! Promises: what is switched off is never said to have caught up.

use ledgerline_api::progress as form;
use ledgerline_api::progress::{AllProgress, Catching};
use ledgerline_node::{Progress, Reader};

/// Followers with how far they are.
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

/// One follower.
#[must_use]
pub fn one(reader: Reader, progress: &Progress) -> form::Progress<'static> {
    form::Progress {
        state: match progress.lag() {
            None => Catching::SwitchedOff,
            Some(0) => Catching::CaughtUp,
            Some(_) => Catching::Behind,
        },
        position: progress.position,
        of: progress.of,
        lag_entries: progress.lag(),
        failures: progress.failures,
        recorded_later: None,
        words: words(reader, progress).into(),
    }
}

/// The member `progress` of an answer.
#[must_use]
pub fn shown(reached: &Reached) -> AllProgress<'static> {
    reached.iter().map(|(reader, at)| (reader.word().into(), one(*reader, at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_lags_or_is_off_is_said_to_be_so() {
        let mut progress = Progress { position: Some(6000), of: 6013, failures: 0 };
        let said = words(Reader::Findings, &progress);
        assert_eq!(said, "judged up to entry 6000 of 6013, 13 behind");
        assert_eq!(one(Reader::Findings, &progress).state, Catching::Behind);
        progress.failures = 2;
        assert!(words(Reader::Verifier, &progress).ends_with("began again 2 times"));
        limit(&mut progress, 5000);
        assert_eq!(words(Reader::Expiry, &progress), "expiries stated up to entry 5000 of 5000");
        assert_eq!(one(Reader::Expiry, &progress).state, Catching::CaughtUp);
        progress.position = None;
        let off = one(Reader::Findings, &progress);
        assert_eq!((off.state, off.lag_entries), (Catching::SwitchedOff, None));
        assert!(off.words.starts_with("NOT JUDGED"));
    }
}
