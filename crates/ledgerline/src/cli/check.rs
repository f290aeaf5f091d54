//! `check`: repeats every claim of a proof bundle with the kernel alone. No server, no network.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use ledgerline_proof::note::VerifierKey;

use super::Context;
use crate::exit::{CommandResult, Exit, Failure};

/// Arguments of `check`.
#[derive(Args)]
#[command(after_help = "Example:
  ledgerline check bundle.json --key 'ledger.example.com+1a2b3c4d+AeR...'")]
pub struct CheckArgs {
    /// Verifier key of the log, and of witnesses, from somewhere you trust: never from the bundle.
    #[arg(long = "key", value_name = "VKEY", required = true)]
    keys: Vec<String>,
    /// The bundle.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
}

/// Checks.
///
/// # Errors
/// When the file or a key cannot be read.
pub fn run(context: &mut Context, args: &CheckArgs) -> CommandResult {
    let keys: Result<Vec<_>, _> = args.keys.iter().map(|key| VerifierKey::parse(key)).collect();
    let keys = keys.map_err(Failure::usage)?;
    let name = args.bundle.display();
    let bundle = fs::read(&args.bundle).with_context(|| format!("{name}"))?;
    let _ = (context, keys, bundle);
    Ok(Exit::Incomplete)
}
