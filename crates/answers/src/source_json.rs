//! Sources as the form of answers: how much each reported, and what is known to be missing of it.
//!
//! Promises: a source of which something is known to be missing is never shown as whole.

use ledgerline_api::source::{Sample, Source};
use ledgerline_api::values::Time;
use ledgerline_questions::Told;

/// Down to three digits, so that what is not whole never looks so.
fn shown_score(score: f64) -> f64 {
    (score * 1000.0 + 1e-9).floor() / 1000.0
}

/// A source, by what it reported.
#[must_use]
pub fn source(name: &str, told: &Told, now: i64) -> Source<'static> {
    let age = told.heartbeat_at.map(|at| now.saturating_sub(at).max(0) / 1_000_000_000);
    let score = told.score(name, now);
    let words = match score {
        Ok(_) => shortcomings(told, now),
        Err(why) => why.words().to_owned(),
    };
    let sample = &told.sample;
    Source {
        source: name.to_owned().into(),
        events: told.events,
        heartbeats: told.heartbeats,
        births: told.births,
        origins: told.origins,
        gaps: told.gaps,
        missing_events: told.missing,
        sample: Sample {
            events: sample.events,
            about_tokens: sample.about_tokens,
            about_unborn_tokens: sample.about_unborn,
            unborn_tokens: sample.unborn_tokens,
            decided_by_policy: sample.decided,
            without_policy_version: sample.without_policy,
            regions: sample.regions.clone(),
        },
        first_recorded_at: told.first_at.map(Time),
        last_recorded_at: told.last_at.map(Time),
        heartbeat_at: told.heartbeat_at.map(Time),
        heartbeat_age_s: age,
        silent: told.is_silent(now),
        score: score.ok().map(shown_score),
        words: words.into(),
    }
}

/// What takes from the score, in words.
fn shortcomings(told: &Told, now: i64) -> String {
    let sample = &told.sample;
    let mut words = Vec::new();
    if told.is_silent(now) {
        words.push("SILENT: its heartbeats stopped".to_owned());
    }
    if told.gaps > 0 {
        words.push(format!("{} gaps, {} events or more missing", told.gaps, told.missing));
    }
    if sample.about_unborn > 0 {
        let (part, of, tokens) = (sample.about_unborn, sample.about_tokens, sample.unborn_tokens);
        words.push(format!("{part} of {of} about {tokens} tokens never issued here"));
    }
    if told.origins > 0 {
        let (part, of) = (told.origins, told.births);
        words.push(format!("{part} of {of} tokens older than the ledger"));
    }
    if sample.without_policy > 0 {
        let (part, of) = (sample.without_policy, sample.decided);
        words.push(format!("{part} of {of} without a policy version"));
    }
    if words.is_empty() { "nothing known to be missing".to_owned() } else { words.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_is_never_rounded_to_it() {
        let shown: Vec<String> =
            [0.9996, 1.0, 0.75, 0.3].map(|score| shown_score(score).to_string()).into();
        assert_eq!(shown, ["0.999", "1", "0.75", "0.3"]);
    }
}
