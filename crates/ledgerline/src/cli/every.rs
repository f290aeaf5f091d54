//! A command that is run again and again: `reconcile --every 15m`.
//!
//! Promises: a round begins at once, and the next one an interval after the end of the one before,
//! give or take a tenth, so that many of them do not ask at one time. A round that fails is told to
//! the log, and the next one is tried: a server that is away, or an export that is being written,
//! passes. SIGTERM and SIGINT let a round that runs come to its end; then the exit is 0.
//!
//! Refuses: what no later round could mend: a wrong command line or configuration ends the first.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use ledgerline_commands::reconcile::{self, ReconcileArgs};
use ledgerline_gate::server::StopSignals;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_world::entropy::{SystemEntropy, random};
use tokio::runtime::Builder;

/// Shortest and longest pause.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// Arguments of `reconcile`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline reconcile --key-file responder.key --region eu --issuer idp tokens.csv
  ledgerline reconcile --dry-run --taken-at 2026-11-22T10:00:00Z tokens.ndjson
  ledgerline reconcile --key-file responder.key --issuer idp --every 15m /srv/export/tokens.csv

Columns as for import-tokens. Exit codes: 0 no difference, 2 differences, 1 error, 3 none, and the
table is older than --max-age (STALE). With --every: 0 once it is asked to stop (SIGTERM), whatever
was found; differences are findings, and a stale table is a warning in the log.")]
pub struct ReconcileEvery {
    #[command(flatten)]
    once: ReconcileArgs,
    /// Compare again and again, so long after each round: 30s, 15m, 6h, 1d. The file is read anew
    /// each time.
    #[arg(long, value_name = "TIME", value_parser = pause)]
    every: Option<Duration>,
    /// How old the table may be: 30m, 6h, 7d [default: with --every twice its time, at least a
    /// minute].
    #[arg(long, value_name = "TIME", value_parser = pause)]
    max_age: Option<Duration>,
}

/// A number and a unit.
fn pause(text: &str) -> Result<Duration, String> {
    let unit = text.char_indices().next_back().map_or(0, |(at, _)| at);
    let (number, unit) = text.split_at(unit);
    let each = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(each));
    let pause = Duration::from_secs(seconds.unwrap_or(0));
    let fits = (SHORTEST..=LONGEST).contains(&pause);
    fits.then_some(pause).ok_or_else(|| "it is 1s to 7d: 30s, 15m, 6h, 1d".to_owned())
}

/// A tenth less to a tenth more.
fn jittered(pause: Duration) -> Duration {
    let part = u32::from(u16::from_be_bytes(random(&SystemEntropy)));
    pause.mul_f64(f64::from(part).mul_add(0.2 / 65_535.0, 0.9))
}

/// Compares, once or again and again.
///
/// # Errors
/// As `reconcile`; with `--every` what no later round could mend.
pub fn reconcile(
    context: &mut ledgerline_commands::Context,
    args: ReconcileEvery,
) -> CommandResult {
    let Some(every) = args.every else {
        return reconcile::run(context, args.once, args.max_age);
    };
    let max_age = Some(args.max_age.unwrap_or((2 * every).max(Duration::from_secs(60))));
    if !args.once.can_be_repeated() {
        return Err(Failure::usage("--every reads a file anew: no `-`, and no --taken-at"));
    }
    let stopped = stop_signals()?;
    loop {
        match reconcile::run(context, args.once.clone(), max_age) {
            Ok(Exit::Incomplete) => {
                let why = "the table is older than it may be: does the export still run?";
                tracing::warn!(code = "table_stale", why, "a round ended");
            }
            Ok(exit) => tracing::info!(code = "reconciled", exit = exit as u8, "a round ended"),
            Err(failure) if failure.exit == Exit::Usage => return Err(failure),
            Err(failure) => {
                let why = format!("{:#}", failure.error);
                tracing::warn!(code = "reconcile_failed", why, "the next round tries again");
            }
        }
        match stopped.recv_timeout(jittered(every)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Ok),
        }
    }
}

/// Tells once that the process is asked to stop.
fn stop_signals() -> Result<Receiver<()>, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        StopSignals::take().context("signals")?
    };
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("ledgerline-signals".to_owned());
    thread.spawn(move || {
        runtime.block_on(signals.came(|| {}));
        // Nobody listens once the command has ended by itself.
        let _ = sender.send(());
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_have_a_unit_and_bounds() {
        let seconds = |text: &str| pause(text).ok().map(|pause| pause.as_secs());
        assert_eq!(seconds("30s"), Some(30));
        assert_eq!(seconds("15m"), Some(900));
        assert_eq!(seconds("6h"), Some(21_600));
        assert_eq!(seconds("7d"), Some(604_800));
        for odd in ["", "15", "m", "0s", "8d", "-1s", "1.5h", "15 m", "15\u{e9}", "1w"] {
            assert_eq!(seconds(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_pause_differs_by_a_tenth_at_most() {
        for _ in 0..1000 {
            let pause = jittered(Duration::from_secs(100));
            assert!((90.0..=110.0).contains(&pause.as_secs_f64()), "{pause:?}");
        }
    }
}
