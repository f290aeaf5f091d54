//! `prove`: a proof bundle in one file, for somebody who trusts nobody here.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::Context;
use super::token_id::{Naming, of_argument};
use crate::client::segment;
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit, Failure};
use crate::uuid_text;

/// Arguments of `prove`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline prove eu-west-1:idp:jti:4f0c --out bundle.json
  ledgerline prove idp-log/01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11 > bundle.json")]
pub struct ProveArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    naming: Naming,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
    /// Which origin's part of a token's life, in a ledger that continues older origins [default:
    /// the newest that knows the token].
    #[arg(long)]
    origin: Option<String>,
    /// File to write; standard output without it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Token id, `-` for a token on standard input, or SOURCE/EVENT-ID.
    #[arg(value_name = "TOKEN|EVENT")]
    subject: String,
}

/// Fetches the bundle.
///
/// # Errors
/// Usage for a raw token; an error when the ledger has nothing to prove.
pub fn run(context: &mut Context, args: ProveArgs) -> CommandResult {
    let mut path = path_of(&args.subject, &args.naming)?;
    let asked = [("tenant", &args.tenant), ("origin", &args.origin)];
    for (name, value) in asked {
        let Some(value) = value else { continue };
        let mark = if path.contains('?') { '&' } else { '?' };
        path.push_str(&format!("{mark}{name}={}", segment(value)));
    }
    let client = context.client(args.client)?;
    let bundle =
        client.get_bytes(&path)?.ok_or_else(|| Failure::error("no such token or event"))?;
    match &args.out {
        Some(out) => {
            fs::write(out, &bundle).with_context(|| format!("{}", out.display()))?;
            context.screen.line(&format!("wrote {} ({} bytes)", out.display(), bundle.len()))?;
        }
        None => {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&bundle)?;
            stdout.write_all(b"\n")?;
        }
    }
    Ok(Exit::Ok)
}

fn path_of(subject: &str, naming: &Naming) -> Result<String, Failure> {
    if let Some((source, event_id)) = subject.split_once('/')
        && uuid_text::parse(event_id).is_some()
    {
        return Ok(format!("/v1/events/{}/{event_id}/proof", segment(source)));
    }
    Ok(format!("/v1/tokens/{}/proof", segment(&of_argument(subject, naming)?)))
}
