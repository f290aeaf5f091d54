//! Logs: where `tracing` events go.
//!
//! Promises: lines on standard error, as text or JSON. No log line of the program carries an API
//! key, a token, a token id, a query or a body, at any level; libraries are kept to warnings
//! whatever the level, because their debug lines show headers.

use std::sync::OnceLock;

use ledgerline_node::{FollowerNews, VerifierNews};
use ledgerline_verify::Verdict;
use ledgerline_world::patience::PatienceNews;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, LogSettings};
use ledgerline_terminal::exit::Failure;

/// The level of a server that nobody gave one; commands say warnings only.
pub const OF_A_SERVER: &str = "info";

/// Puts another filter in the place of the one in use.
type Replace = Box<dyn Fn(EnvFilter) + Send + Sync>;
static REPLACE: OnceLock<Replace> = OnceLock::new();

/// Libraries whose debug lines show headers.
const LIBRARIES: [&str; 7] =
    ["hyper", "hyper_util", "rustls", "ureq", "ureq_proto", "mio", "tokio"];
const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "off"];

/// What was written, as directives; `None` when one of them is no level and names nothing that
/// logs. The filter takes such a word for the name of a part, and then nothing else says anything.
fn directives(level: &str) -> Option<String> {
    let parts = level.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<&str> = parts.collect();
    let is_level = |part: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(part));
    let is_of_a_part = |part: &str| {
        part.split_once('=').is_some_and(|(target, level)| {
            let root = target.split("::").next().unwrap_or_default();
            let is_ours = root == "ledgerline" || root.starts_with("ledgerline_");
            is_level(level) && (is_ours || LIBRARIES.contains(&root))
        })
    };
    if parts.is_empty() || !parts.iter().all(|part| is_level(part) || is_of_a_part(part)) {
        return None;
    }
    let all = parts.join(",");
    // Whoever asks for more of one part does not ask for silence about the others.
    Some(if parts.iter().any(|part| is_level(part)) { all } else { format!("warn,{all}") })
}

/// The filter of these settings.
///
/// # Errors
/// When the level is no filter.
pub fn filter(settings: &LogSettings, default_level: &str) -> Result<EnvFilter, Failure> {
    let level = settings.log_level.as_deref().unwrap_or(default_level);
    let bad =
        || Failure::usage("log_level is no level or filter; try `info` or `ledgerline=debug`");
    let directives = directives(level).ok_or_else(bad)?;
    let mut filter = EnvFilter::try_new(directives).map_err(|_| bad())?;
    for library in LIBRARIES {
        let quiet = format!("{library}=warn").parse().map_err(|_| bad())?;
        filter = filter.add_directive(quiet);
    }
    Ok(filter)
}

/// Starts logging, once per process.
///
/// # Errors
/// When the level is no filter.
pub fn start(settings: &LogSettings, default_level: &str) -> Result<(), Failure> {
    let filter = filter(settings, default_level)?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // A line that cannot be written, to a full disk or a pipe that nobody reads, is lost. Said on
    // standard error it would be a panic of whoever logs, and with it the end of the node.
    let lines = lines.log_internal_errors(false);
    // A second start in one process (tests) keeps the first. A filter cannot be replaced only when
    // the subscriber is gone, and with it all logs.
    match settings.log_format.unwrap_or(LogFormat::Text) {
        LogFormat::Text => {
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            if lines.try_init().is_ok() {
                let _ = REPLACE.set(Box::new(move |filter| drop(handle.reload(filter))));
            }
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let handle = lines.reload_handle();
            if lines.try_init().is_ok() {
                let _ = REPLACE.set(Box::new(move |filter| drop(handle.reload(filter))));
            }
        }
    }
    Ok(())
}

/// From now on this filter decides what is logged.
pub fn replace(filter: EnvFilter) {
    if let Some(replace) = REPLACE.get() {
        replace(filter);
    }
}

/// That intake pauses, and goes on.
pub fn patience(news: PatienceNews<'_>) {
    match news {
        PatienceNews::Waits { why, .. } => {
            tracing::error!(code = "intake_pauses", why, "events are refused until this is over");
        }
        PatienceNews::Over { what } => {
            tracing::info!(code = "intake_goes_on", over = what, "this is over");
        }
    }
}

/// What becomes of those who follow the ledger.
pub fn follower(news: FollowerNews<'_>) {
    match news {
        FollowerNews::Started(start) if start.is_loss() => {
            let (follower, what) = (start.name, start.to_string());
            tracing::error!(code = "position_lost", follower, "{what}");
        }
        FollowerNews::Started(start) => tracing::debug!(follower = start.name, "{start}"),
        FollowerNews::Failed { name, why } => {
            tracing::warn!(code = "follower_failed", follower = name, why, "it begins again");
        }
        FollowerNews::News { name, what } => {
            tracing::warn!(code = "follower_news", follower = name, "{what}");
        }
        FollowerNews::Unsaved { name, why } => {
            let what = "a start after a crash reads again what was read since";
            tracing::warn!(code = "position_unsaved", follower = name, %why, what);
        }
    }
}

/// What the verifier of the running ledger says.
pub fn verifier(news: VerifierNews<'_>) {
    match news {
        VerifierNews::Finished(report) => {
            let (size, verdict) = (report.size, report.verdict.word());
            if report.verdict == Verdict::Verified {
                tracing::info!(size, verdict, "the ledger was verified");
                return;
            }
            let first_bad_index = report.first_bad_index;
            tracing::error!(
                code = "not_verified",
                size,
                verdict,
                first_bad_index,
                "the ledger does not hold; see `ledgerline verify --report` and the findings"
            );
        }
        VerifierNews::Flaw(flaw) => {
            let (what, file) = (flaw.code, &*flaw.file);
            let first_bad_index = flaw.first_bad_index;
            tracing::error!(
                code = "flaw",
                what,
                file,
                first_bad_index,
                "what was just committed does not hold"
            );
        }
        VerifierNews::Failed(why) => {
            tracing::error!(code = "verifier_failed", why, "the verifier begins again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_level_silenced_every_line() {
        for bad in ["wran", "inof", "warning", "debug=info", "ledgerlin=debug", "", " , "] {
            assert_eq!(directives(bad), None, "{bad}");
        }
        for bad in ["ledgerline=wran", "info,wran", "ledgerline", "=info", "[x]=info"] {
            assert_eq!(directives(bad), None, "{bad}");
        }
        for (good, read) in [
            ("info", "info"),
            ("INFO ", "INFO"),
            ("warn, ledgerline=debug", "warn,ledgerline=debug"),
            ("ledgerline=debug", "warn,ledgerline=debug"),
            ("ledgerline_node=trace", "warn,ledgerline_node=trace"),
            ("off", "off"),
        ] {
            assert_eq!(directives(good).as_deref(), Some(read), "{good}");
            assert!(EnvFilter::try_new(read).is_ok(), "{read}");
        }
    }
}
