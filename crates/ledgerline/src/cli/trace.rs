//! `trace`: the life of a token as a timeline.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::past::write_proof;
use super::token_id::{Naming, of_argument};
use crate::client::{Client, ClientError, segment};
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit};
use crate::render::timeline;

/// Arguments of `trace`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline trace eu-west-1:idp:jti:4f0c
  pass show leaked-token | ledgerline trace --region eu-west-1 --issuer idp -")]
pub struct TraceArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    naming: Naming,
    /// The state as it was known at this ledger size.
    #[arg(long, value_name = "SIZE")]
    as_of: Option<u64>,
    /// The state at this time (RFC 3339, UTC) instead of now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
    /// Also write the proof bundle of the life, for `ledgerline check`.
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Token id, or `-` to read the token itself from standard input.
    #[arg(value_name = "TOKEN")]
    token: String,
}

/// Shows the life.
///
/// # Errors
/// Usage for a raw token; an error when the ledger knows no such token.
pub fn run(context: &mut Context, args: TraceArgs) -> CommandResult {
    let id = of_argument(&args.token, &args.naming)?;
    let client = context.client(args.client)?;
    let mut query = String::new();
    if let Some(size) = args.as_of {
        query.push_str(&format!("&as_of={size}"));
    }
    if let Some(at) = &args.at {
        query.push_str(&format!("&at={}", segment(at)));
    }
    if let Some(tenant) = &args.tenant {
        query.push_str(&format!("&tenant={}", segment(tenant)));
    }
    if let Some(file) = &args.proof {
        let tenant = args.tenant.as_ref().map(|tenant| format!("?tenant={}", segment(tenant)));
        let path = format!("/v1/tokens/{}/proof{}", segment(&id), tenant.unwrap_or_default());
        write_proof(&client, &path, file)?;
    }
    let (life, events) = fetch(&client, &id, &query)?;
    if context.screen.is_json() {
        let mut whole = life;
        whole["events"] = Value::Array(events);
        whole["next"] = json!(null);
        context.screen.json(&whole)?;
    } else {
        for line in timeline(&life, &events).lines() {
            context.screen.line(line)?;
        }
    }
    Ok(Exit::Ok)
}

/// The whole life: the first page's head, and the events of all pages.
///
/// # Errors
/// [`ClientError`].
pub fn fetch(client: &Client, id: &str, query: &str) -> Result<(Value, Vec<Value>), ClientError> {
    let path = format!("/v1/tokens/{}/events?limit=1000{query}", segment(id));
    let mut life = client.get(&path)?;
    let mut events = Vec::new();
    let mut page = life.clone();
    loop {
        match page.get_mut("events").map(Value::take) {
            Some(Value::Array(list)) => events.extend(list),
            _ => return Err(client.garbled("a page without events")),
        }
        let Some(next) = page.get("next").and_then(Value::as_u64) else { break };
        page = client.get(&format!("{path}&after={next}"))?;
    }
    if let Some(life) = life.as_object_mut() {
        life.remove("events");
        life.remove("next");
    }
    Ok((life, events))
}
