//! `prove`: a proof bundle in one file, for somebody who trusts nobody here.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::Context;
use super::token_id::{Naming, of_argument};
use serde_json::{Value, json};

use crate::client::segment;
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit, Failure};
use crate::uuid_text;

/// Arguments of `prove`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline prove eu-west-1:idp:jti:4f0c --out bundle.json
  ledgerline prove idp-log/01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11 > bundle.json
  ledgerline prove --disclose --purpose 'case 4711' eu-west-1:idp:jti:4f0c --out bundle.json")]
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
    /// With the personal records, opened; the ledger records that (needs the role privacy).
    #[arg(long, requires = "purpose", conflicts_with = "origin")]
    disclose: bool,
    /// Why they are disclosed: it stands in the ledger for ever, so name a case, not a person.
    #[arg(long, value_name = "TEXT", requires = "disclose")]
    purpose: Option<String>,
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
    let bundle = if args.disclose {
        let question = disclosing(&args)?;
        context.client(args.client)?.post_for_bytes("/v1/disclose", &question)?
    } else {
        let mut path = path_of(&args.subject, &args.naming)?;
        let asked = [("tenant", &args.tenant), ("origin", &args.origin)];
        for (name, value) in asked {
            let Some(value) = value else { continue };
            let mark = if path.contains('?') { '&' } else { '?' };
            path.push_str(&format!("{mark}{name}={}", segment(value)));
        }
        let found = context.client(args.client)?.get_bytes(&path)?;
        found.ok_or_else(|| Failure::error("no such token or event"))?
    };
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

/// An event as SOURCE/EVENT-ID.
fn event_of(subject: &str) -> Option<(&str, &str)> {
    subject.split_once('/').filter(|(_, id)| uuid_text::parse(id).is_some())
}

/// What is asked when the records are to be opened.
fn disclosing(args: &ProveArgs) -> Result<Value, Failure> {
    let mut question = json!({ "purpose": args.purpose, "proof": true, "tenant": args.tenant });
    match event_of(&args.subject) {
        Some((source, event_id)) => {
            question["source"] = source.into();
            question["event_id"] = event_id.into();
        }
        None => question["token_id"] = of_argument(&args.subject, &args.naming)?.into(),
    }
    Ok(question)
}

fn path_of(subject: &str, naming: &Naming) -> Result<String, Failure> {
    if let Some((source, event_id)) = event_of(subject) {
        return Ok(format!("/v1/events/{}/{event_id}/proof", segment(source)));
    }
    Ok(format!("/v1/tokens/{}/proof", segment(&of_argument(subject, naming)?)))
}
