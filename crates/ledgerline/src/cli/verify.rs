//! `verify`: a data folder without its server, or a server without its data folder.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget};
use ledgerline_engine::disk::{Disk, RealDisk};
use ledgerline_engine::keys::KeyRing;
use serde_json::Value;

use super::Context;
use super::verify_url::{self, Question};
use crate::config::{ClientSettings, beside};
use crate::exit::{CommandResult, Exit, Failure};
use crate::render::{facts, text};

/// Arguments of `verify`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline verify --data ledger --head /mnt/other/ledger.head
  ledgerline verify --data ledger --since checkpoint-of-last-month
  ledgerline verify --url https://ledger.example.com --log-key \"$VKEY\"")]
pub struct VerifyArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// Folder of the ledger; no server may be running on it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of the key files [default: <data>.keys, when it is there].
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Folder of the head store [default: <data>.head, when it is there].
    #[arg(long, value_name = "DIR")]
    head: Option<PathBuf>,
    /// An older checkpoint that the ledger must continue.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// With --url: the log's verifier key, from somewhere you trust.
    #[arg(long, value_name = "VKEY")]
    log_key: Option<String>,
    /// With --url: check the tree alone.
    #[arg(long)]
    tree_only: bool,
    /// Threads [default: number of processors].
    #[arg(long)]
    threads: Option<usize>,
}

/// A bar on a terminal, nothing elsewhere.
#[must_use]
pub fn progress_bar() -> ProgressBar {
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5))
}

/// Verifies.
///
/// # Errors
/// When there is nothing to verify or it cannot be read.
pub fn run(context: &mut Context, args: VerifyArgs) -> CommandResult {
    let bar = progress_bar();
    let (exit, report) = if args.data.is_some() {
        folder(args, &bar)?
    } else {
        let client = context.client(args.client)?;
        let question = Question {
            key: args.log_key.as_deref(),
            since: args.since.as_deref(),
            tree_only: args.tree_only,
        };
        let report = verify_url::verify(&client, &question, &bar)?;
        (report.exit, report.value)
    };
    bar.finish_and_clear();
    context.screen.show(&report, summary)?;
    Ok(exit)
}

fn folder(args: VerifyArgs, bar: &ProgressBar) -> Result<(Exit, Value), Failure> {
    let data = args.data.unwrap_or_default();
    let open = |path: &PathBuf| RealDisk::existing(path).with_context(|| "verify");
    let optional = |given: Option<PathBuf>, suffix: &str| -> Result<_, Failure> {
        let path = given.clone().unwrap_or_else(|| beside(&data, suffix));
        if given.is_none() && !path.is_dir() {
            return Ok(None);
        }
        Ok(Some(open(&path)?))
    };
    let keys = optional(args.keys, "keys")?.map(|disk| KeyRing::open(&disk)).transpose()?;
    let head = optional(args.head, "head")?;
    let disk: Arc<dyn Disk> = Arc::new(open(&data)?);
    let since = match &args.since {
        None => None,
        Some(path) => {
            Some(std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?)
        }
    };
    let _ = (keys, head, disk, since, bar);
    Err(Failure::error("verify --data is not built yet"))
}

fn summary(report: &Value) -> String {
    let mut lines = Vec::new();
    for name in [
        "verdict",
        "origin",
        "size",
        "root",
        "first_bad_index",
        "what",
        "affected_token",
        "entries_checked",
    ] {
        if report.get(name).is_some_and(|value| !value.is_null()) {
            lines.push((name, text(report, &format!("/{name}"))));
        }
    }
    let mut out = facts(&lines);
    for list in ["findings", "notes"] {
        for item in report.get(list).and_then(Value::as_array).into_iter().flatten() {
            out.push_str(&format!("{}: {}\n", list.trim_end_matches('s'), text(item, "")));
        }
    }
    out
}
