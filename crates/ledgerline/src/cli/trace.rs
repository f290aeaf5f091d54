//! `trace`: the life of a token as a timeline.

use std::io;

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::evidence::ProofArgs;
use super::lookup::{self, Meant, Narrow, Past};
use super::proof_file::{Written, write_proof};
use crate::client::{Client, ClientError, segment};
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit};
use crate::render::timeline;

/// Arguments of `trace`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline trace eu-west-1:idp:jti:4f0c
  pass show leaked-token | ledgerline trace -")]
pub struct TraceArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    narrow: Narrow,
    /// The state as it was known at this ledger size.
    #[arg(long, value_name = "SIZE")]
    as_of: Option<u64>,
    /// The state at this time (RFC 3339) instead of now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    proof: ProofArgs,
    /// Token id, or `-` to read the token itself from standard input.
    #[arg(value_name = "TOKEN")]
    token: String,
}

/// Shows the life.
///
/// # Errors
/// Usage for a raw token; `Exit::Unknown` when the ledger knows no such token.
pub fn run(context: &mut Context, args: TraceArgs) -> CommandResult {
    const NOTHING: &str = "there is no life to show";
    let proof = args.proof.open()?;
    let client = context.client(args.client)?;
    let tenant = args.tenant.as_deref();
    let named = match lookup::of_argument(&client, &args.token, &args.narrow, tenant)? {
        Meant::Token(named) => named,
        Meant::Unknown(unknown) => return lookup::unknown(context, &unknown, NOTHING),
    };
    let id = named.id.clone();
    named.warn(context)?;
    let asked = args.as_of.map(|size| size.to_string());
    // A life is shown at any time: only its size can be one at which nothing is known.
    let past = Past { as_of: asked.as_deref(), at: None };
    let mut query = String::new();
    let (mut as_of, mut written) = (args.as_of, None);
    if let Some(size) = as_of {
        query.push_str(&format!("&as_of={size}"));
    }
    if let Some(at) = &args.at {
        query.push_str(&format!("&at={}", segment(at)));
    }
    if let Some(tenant) = &args.tenant {
        query.push_str(&format!("&tenant={}", segment(tenant)));
    }
    if let Some(proof) = proof {
        let of = tenant.map(|tenant| format!("?tenant={}", segment(tenant)));
        let path = format!("/v1/tokens/{}/proof{}", segment(&id), of.unwrap_or_default());
        let known = client.get(&format!("/v1/tokens/{}?limit=1{query}", segment(&id)));
        if known.is_err_and(|error| lookup::is_unknown(&error)) {
            return lookup::unknown_id(context, &client, (&id, tenant), past, NOTHING);
        }
        let proof = write_proof(&client, &path, proof)?;
        // The life is shown as of what is proven.
        if as_of.is_none() {
            as_of = Some(proof.size);
            query.push_str(&format!("&as_of={}", proof.size));
        }
        written = Some(proof);
    }
    let narrow = as_of != written.as_ref().map(|written| written.size) || args.at.is_some();
    let mut exits = Vec::new();
    // A document has the others as `records`.
    let is_json = context.screen.is_json();
    let others = named.others.iter().filter(|_| !is_json);
    for id in [&id].into_iter().chain(others) {
        let (mut life, events) = match fetch(&client, id, &query) {
            Err(error) if lookup::is_unknown(&error) => {
                let of = (id.as_str(), tenant);
                exits.push(lookup::unknown_id(context, &client, of, past, NOTHING)?);
                continue;
            }
            other => other?,
        };
        named.mark(&mut life);
        exits.push(if life["incomplete"] == true { Exit::Incomplete } else { Exit::Ok });
        // What is proven is the first one's life.
        let own = written.as_ref().filter(|_| *id == named.id).map(|written| (written, narrow));
        show(context, life, events, own)?;
    }
    let exit = named.exit_of(&exits);
    Ok(written.map_or(exit, |written| written.exit(exit)))
}

/// Shows the life, and what is said of its proof, and whether the answer is narrower than that.
fn show(
    context: &mut Context,
    life: Value,
    events: Vec<Value>,
    written: Option<(&Written, bool)>,
) -> io::Result<()> {
    let whole = life["incomplete"] != true;
    if context.screen.is_json() {
        let mut shown = life;
        shown["status"] = "known".into();
        shown["events"] = Value::Array(events);
        shown["next"] = json!(null);
        if let Some((written, _)) = written {
            shown["proof"] = written.value();
        }
        context.screen.json(&shown)?;
    } else {
        for line in timeline(&life, &events).lines() {
            context.screen.line(line)?;
        }
        if !whole {
            context
                .screen
                .line("INCOMPLETE: more is recorded than was read; the states may be other ones")?;
        }
        if let Some((written, narrow)) = written {
            written.lines(&life).lines().try_for_each(|line| context.screen.line(line))?;
            if narrow {
                let what =
                    "the file proves the whole life up to that entry, not only what is shown";
                context.screen.line(what)?;
            }
        }
    }
    Ok(())
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
