//! `tail`: follows the ledger, leaf by leaf, as it is committed.
//!
//! Reads entry bundles, so it needs an auditor of all tenants.

use std::thread;
use std::time::Duration;

use clap::Args;
use ledgerline_api::recorded;
use ledgerline_client::remote_log::RemoteLog;
use ledgerline_client::{Client, ClientError};
use serde_json::Value;

use crate::ClientSettings;
use crate::Context;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{Screen, text, what};

/// Arguments of `tail`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline tail --key-file auditor.key
  ledgerline tail -n 100 --once -o json | jq .statement.type")]
pub struct TailArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// Leaves to show before following.
    #[arg(short = 'n', long, default_value_t = 10)]
    lines: u64,
    /// Index to start at, instead of `--lines`.
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// Show what is there and stop.
    #[arg(long)]
    once: bool,
    /// Milliseconds between looks.
    #[arg(long, default_value_t = 500)]
    interval_ms: u64,
}

/// Follows until interrupted.
///
/// # Errors
/// When the server refuses or answers garbage.
pub fn run(context: &mut Context, args: TailArgs) -> CommandResult {
    let client = context.client(args.client)?;
    let size = ledger_size(&client)?;
    let mut next = args.from.unwrap_or(size.saturating_sub(args.lines)).min(size);
    let mut size = size;
    loop {
        while next < size {
            next = show(&client, &mut context.screen, next, size)?;
        }
        if args.once {
            return Ok(Exit::Ok);
        }
        thread::sleep(Duration::from_millis(args.interval_ms.max(50)));
        let now = ledger_size(&client)?;
        if now < size {
            return Err(Failure::not_verified("the ledger became shorter while it was followed"));
        }
        size = now;
    }
}

fn ledger_size(client: &Client) -> Result<u64, ClientError> {
    let status = client.get("/v1/status")?;
    status["size"].as_u64().ok_or_else(|| client.garbled("a status without a size"))
}

/// Shows one bundle's leaves from `next` on; the index after them.
fn show(client: &Client, screen: &mut Screen, next: u64, size: u64) -> Result<u64, Failure> {
    let number = next / 256;
    let leaves = RemoteLog::new(client).leaves(number, size)?;
    for (index, leaf) in (number * 256..).zip(&leaves).filter(|(index, _)| *index >= next) {
        let leaf = recorded::leaf(index, leaf)
            .ok()
            .and_then(|leaf| serde_json::to_value(leaf).ok())
            .ok_or_else(|| Failure::not_verified(format!("leaf {index} does not decode")))?;
        if screen.is_json() {
            screen.json(&leaf)?;
        } else {
            screen.line(&line(&leaf))?;
        }
        screen.still_read()?;
    }
    Ok(number * 256 + leaves.len() as u64)
}

fn line(leaf: &Value) -> String {
    let index = text(leaf, "/index");
    match leaf["kind"].as_str() {
        Some("entry") => format!(
            "{index:>8}  {}  {:<18} {:<5}  {}  {}",
            text(leaf, "/recorded_at"),
            text(leaf, "/statement/type"),
            text(leaf, "/statement/outcome"),
            text(leaf, "/statement/target/id"),
            what(&leaf["statement"]),
        ),
        Some("block") => format!(
            "{index:>8}  {}  block {} closes {} entries, {} refused",
            text(leaf, "/sealed_at/time"),
            text(leaf, "/height"),
            text(leaf, "/count"),
            text(leaf, "/refused_count"),
        ),
        _ => {
            format!("{index:>8}  {}  {}", text(leaf, "/recorded_at/time"), text(leaf, "/control"),)
        }
    }
}
