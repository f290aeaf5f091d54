//! `reindex`: the index of a data folder, built anew from its journal.
//!
//! Promises: loses nothing; a ledger that was shut down cleanly changes in its index alone. Refuses
//! to run beside a server.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use ledgerline_ledger::opening::LedgerConfig;
use ledgerline_ledger::reindex::reindex;
use serde_json::{Value, json};

use super::Context;
use super::serve::{check_ledger, world};
use crate::config::ServerSettings;
use ledgerline_terminal::exit::{CommandResult, Exit};
use ledgerline_terminal::render::{facts, text};

/// Arguments of `reindex`.
#[derive(Args)]
#[command(after_help = "Example:
  ledgerline reindex --data ledger")]
pub struct ReindexArgs {
    /// Folder of the ledger; no server may be running on it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder of the key files [default: <data>.keys].
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Folder of the head store [default: <data>.head].
    #[arg(long, value_name = "DIR")]
    head: Option<PathBuf>,
}

/// Builds the index.
///
/// # Errors
/// When the folder holds no ledger, another process has it, or the disk fails.
pub fn run(context: &mut Context, args: ReindexArgs) -> CommandResult {
    check_ledger(&args.data)?;
    let ReindexArgs { data, keys, head } = args;
    let settings = ServerSettings { data: Some(data), keys, head, ..ServerSettings::default() };
    let (world, _lock) = world(&settings)?;
    let begun = Instant::now();
    let stats = reindex(&world, &LedgerConfig::default()).context("the index was not built")?;
    let took = begun.elapsed().as_secs_f64();
    let per_second = u128::from(stats.end) * 1000 / begun.elapsed().as_millis().max(1);
    let report = json!({
        "entries": stats.end,
        "in_runs": stats.covered,
        "runs": stats.runs,
        "run_bytes": stats.run_bytes,
        "seconds": took,
        "entries_per_second": u64::try_from(per_second).unwrap_or(u64::MAX),
    });
    context.commands.screen.show(&report, summary)?;
    Ok(Exit::Ok)
}

fn summary(report: &Value) -> String {
    let names = ["entries", "in_runs", "runs", "run_bytes", "seconds", "entries_per_second"];
    let lines: Vec<_> =
        names.iter().map(|name| (*name, text(report, &format!("/{name}")))).collect();
    facts(&lines)
}
