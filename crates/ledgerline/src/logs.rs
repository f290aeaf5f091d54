//! Logs: where `tracing` events go.
//!
//! Promises: lines on standard error, as text or JSON. No log line of the program carries an API
//! key, a token, a token id, a query or a body, at any level; libraries are kept to warnings
//! whatever the level, because their debug lines show headers.

use ledgerline_engine::node::VerifierNews;
use ledgerline_engine::patience::PatienceNews;
use ledgerline_engine::verify::Verdict;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, LogSettings};
use crate::exit::Failure;

/// Starts logging, once per process.
///
/// # Errors
/// When the level is no filter.
pub fn start(settings: &LogSettings, default_level: &str) -> Result<(), Failure> {
    let level = settings.log_level.as_deref().unwrap_or(default_level);
    let bad =
        || Failure::usage("log_level is no level or filter; try `info` or `ledgerline=debug`");
    let mut filter = EnvFilter::try_new(level).map_err(|_| bad())?;
    for library in ["hyper", "hyper_util", "rustls", "ureq", "ureq_proto", "mio", "tokio"] {
        let quiet = format!("{library}=warn").parse().map_err(|_| bad())?;
        filter = filter.add_directive(quiet);
    }
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let started = match settings.log_format.unwrap_or(LogFormat::Text) {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    // A second start in one process (tests) keeps the first.
    started.or(Ok(()))
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
