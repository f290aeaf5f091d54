//! `trace`: the life of a token as a timeline.

use std::io;

use clap::Args;
use ledgerline_api::token::TokenEvents;
use ledgerline_client::{Answered, Client, ClientError, segment};
use serde::Serialize;
use serde_json::Value;

use crate::ClientSettings;
use crate::Context;
use crate::document::add;
use crate::life::timeline;
use crate::lookup::several::Marks;
use crate::lookup::{self, Meant, Narrow, Past};
use crate::proof_file::{self, Written, write_proof};
use crate::question::all_pages;
use ledgerline_terminal::evidence::ProofArgs;
use ledgerline_terminal::exit::{CommandResult, Exit};

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

impl TraceArgs {
    /// What narrows the question.
    fn query(&self) -> String {
        let as_of = self.as_of.map(|size| ("as_of", size.to_string()));
        let at = self.at.as_ref().map(|at| ("at", segment(at)));
        let tenant = self.tenant.as_ref().map(|tenant| ("tenant", segment(tenant)));
        let all = [as_of, at, tenant].into_iter().flatten();
        all.map(|(name, value)| format!("&{name}={value}")).collect()
    }
}

/// Shows the life.
///
/// # Errors
/// Usage for a raw token; `Exit::Unknown` when the ledger knows no such token.
pub fn run(context: &mut Context, args: TraceArgs) -> CommandResult {
    const NOTHING: &str = "there is no life to show";
    let proof = args.proof.open()?;
    let mut query = args.query();
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
    let (mut as_of, mut written) = (args.as_of, None);
    if let Some(proof) = proof {
        let of = tenant.map(|tenant| format!("?tenant={}", segment(tenant)));
        let path = format!("/v1/tokens/{}/proof{}", segment(&id), of.unwrap_or_default());
        if !is_known(&client, &id, &query)? {
            return lookup::unknown_id(context, &client, &id, tenant, past, NOTHING);
        }
        let proof = write_proof(&client, &path, proof)?;
        // The life is shown as of what is proven.
        if as_of.is_none() {
            as_of = Some(proof.size);
            query.push_str(&format!("&as_of={}", proof.size));
        }
        written = Some(proof);
    }
    let is_wider = as_of != written.as_ref().map(|written| written.size) || args.at.is_some();
    let (mut exits, mut documents) = (Vec::new(), Vec::new());
    // One document has all of them.
    let is_one_of_several = context.screen.is_json() && !named.others.is_empty();
    for id in named.all() {
        let life = match fetch(&client, id, &query) {
            Err(error) if lookup::is_unknown(&error) && is_one_of_several => {
                exits.push(Exit::Unknown);
                documents.push(lookup::unknown_one(id, past));
                continue;
            }
            Err(error) if lookup::is_unknown(&error) => {
                exits.push(lookup::unknown_id(context, &client, id, tenant, past, NOTHING)?);
                continue;
            }
            other => other?,
        };
        let form: TokenEvents<'_> = life.form()?;
        exits.push(if form.token.incomplete { Exit::Incomplete } else { Exit::Ok });
        // What is proven is the first one's life.
        let own = written
            .as_ref()
            .filter(|_| *id == *named.id)
            .map(|written| Proven { written, is_wider });
        if is_one_of_several {
            documents.push(document(life, named.marks(), own));
        } else if context.screen.is_json() {
            context.screen.json(&document(life, named.marks(), own))?;
        } else {
            show(context, &form, own)?;
        }
    }
    if let Some(all) = lookup::with_others(&documents) {
        context.screen.json(&all)?;
    }
    let exit = named.exit_of(&exits);
    Ok(written.map_or(exit, |written| written.exit(exit)))
}

/// Whether the ledger knows a token as of what the query asks about.
fn is_known(client: &Client, id: &str, query: &str) -> Result<bool, ClientError> {
    let asked = query.trim_start_matches('&');
    match client.get(&format!("/v1/tokens/{}?{asked}", segment(id))) {
        Err(error) if lookup::is_unknown(&error) => Ok(false),
        known => known.map(|_| true),
    }
}

/// The proof of a life that is shown.
#[derive(Clone, Copy)]
struct Proven<'a> {
    written: &'a Written,
    /// Whether it proves more than is shown.
    is_wider: bool,
}

/// Shows the life, and what is said of its proof.
fn show(
    context: &mut Context,
    life: &TokenEvents<'_>,
    proven: Option<Proven<'_>>,
) -> io::Result<()> {
    context.screen.lines(&timeline(life))?;
    if life.token.incomplete {
        let what = "INCOMPLETE: more is recorded than was read; the states may be other ones";
        context.screen.line(what)?;
    }
    if let Some(Proven { written, is_wider }) = proven {
        context.screen.lines(&written.lines(Some(life.token.size)))?;
        if is_wider {
            let what = "the file proves the whole life up to that entry, not only what is shown";
            context.screen.line(what)?;
        }
    }
    Ok(())
}

/// What a document has beside what the server sent.
#[derive(Serialize)]
struct Added {
    status: &'static str,
    #[serde(flatten)]
    marks: Marks,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<proof_file::About>,
}

/// The same as a document.
fn document(life: Answered, marks: Marks, proven: Option<Proven<'_>>) -> Value {
    let proof = proven.map(|Proven { written, .. }| written.about());
    let mut document = life.raw;
    add(&mut document, &Added { status: "known", marks, proof });
    document
}

/// The whole life: the first page's head, and the events of all pages.
///
/// # Errors
/// [`ClientError`].
pub fn fetch(client: &Client, id: &str, query: &str) -> Result<Answered, ClientError> {
    let path = format!("/v1/tokens/{}/events?limit=1000{query}", segment(id));
    let ask = |page: Option<&str>| match page {
        None => client.get(&path),
        Some(page) => client.get(&format!("{path}&page={}", segment(page))),
    };
    Ok(all_pages("events", ask)?.0)
}
