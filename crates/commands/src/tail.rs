//! `tail`: follows the ledger, leaf by leaf, as it is committed.
//!
//! Reads entry bundles, so it needs an auditor of all tenants.

use std::thread;
use std::time::Duration;

use clap::Args;
use ledgerline_api::log::Leaf;
use ledgerline_api::recorded;
use ledgerline_api::status::ServerStatus;
use ledgerline_client::remote_log::RemoteLog;
use ledgerline_client::{Client, ClientError};

use crate::ClientSettings;
use crate::Context;
use crate::life::what;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{Screen, cell};

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
    Ok(client.get("/v1/status")?.form::<ServerStatus<'_>>()?.size)
}

/// Shows one bundle's leaves from `next` on; the index after them.
fn show(client: &Client, screen: &mut Screen, next: u64, size: u64) -> Result<u64, Failure> {
    let number = next / 256;
    let leaves = RemoteLog::new(client).leaves(number, size)?;
    for (index, leaf) in (number * 256..).zip(&leaves).filter(|(index, _)| *index >= next) {
        let leaf = recorded::leaf(index, leaf)
            .map_err(|_| Failure::not_verified(format!("leaf {index} does not decode")))?;
        if screen.is_json() {
            screen.json(&leaf)?;
        } else {
            screen.line(&line(&leaf))?;
        }
        screen.still_read()?;
    }
    Ok(number * 256 + leaves.len() as u64)
}

fn line(leaf: &Leaf<'_>) -> String {
    match leaf {
        Leaf::Entry(entry) => format!(
            "{:>8}  {}  {:<18} {:<5}  {}  {}",
            entry.index,
            cell(&entry.recorded_at),
            cell(&entry.statement.event_type),
            cell(&entry.statement.outcome),
            cell(&entry.statement.target.as_ref().map(|target| &target.id)),
            what(&entry.statement),
        ),
        Leaf::Block(block) => format!(
            "{:>8}  {}  block {} closes {} entries, {} refused",
            block.index,
            cell(&block.sealed_at.time),
            block.height,
            block.count,
            block.refused_count,
        ),
        Leaf::Control(control) => {
            let (at, what) = (cell(&control.recorded_at.time), cell(&control.control));
            format!("{:>8}  {at}  {what}", control.index)
        }
    }
}
