//! `blast-radius`: what a leaked token could reach, and, with `--revoke`, the end of it.

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::lineage::tree;
use super::past::{Ask, Moment, list, rows, text, write_proof};
use super::token_id::{Naming, of_argument, of_token, read_secret};
use crate::client::segment;
use crate::exit::{CommandResult, Exit, Failure};
use crate::render::facts;

/// Arguments of `blast-radius`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline blast-radius eu-west-1:idp:jti:4f0c
  pass show leaked-token | ledgerline blast-radius --revoke --reason compromise -
  ledgerline blast-radius --revoke --proof bundle.json eu-west-1:idp:jti:4f0c")]
pub struct BlastArgs {
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    naming: Naming,
    /// Revoke every token of it that may still be used (role responder).
    #[arg(long, conflicts_with_all = ["as_of", "at"])]
    revoke: bool,
    /// With --revoke: only say what would be revoked.
    #[arg(long, requires = "revoke")]
    dry_run: bool,
    /// With --revoke: why, a short word.
    #[arg(long, requires = "revoke", default_value = "compromise")]
    reason: String,
    /// As of `lineage`; only what is stated is revoked.
    #[arg(long, value_parser = ["asserted", "stated", "joined"], conflicts_with = "revoke")]
    strength: Option<String>,
    /// With --revoke and `-`: send the token along, so that its issuer is told too.
    #[arg(long, requires = "revoke")]
    tell_issuer: bool,
    /// Token id, or `-` to read the token itself from standard input.
    #[arg(value_name = "TOKEN")]
    token: String,
}

/// Shows, and revokes if asked to.
///
/// # Errors
/// Usage for a raw token; an error when the ledger knows no such token.
pub fn run(context: &mut Context, args: BlastArgs) -> CommandResult {
    let (id, token) = match args.token.as_str() {
        "-" if args.tell_issuer => {
            let token = read_secret()?;
            (of_token(&token, &args.naming)?, Some(token))
        }
        _ if args.tell_issuer => {
            return Err(Failure::usage("--tell-issuer needs the token itself: use `-`"));
        }
        argument => (of_argument(argument, &args.naming)?, None),
    };
    let path = format!("/v1/tokens/{}/blast-radius", segment(&id));
    if !args.revoke {
        let ask = Ask::new(path).with("strength", args.strength.as_ref());
        return args.moment.show(context, ask, None, shown);
    }
    let client = context.client(args.moment.client.clone())?;
    let body = json!({
        "tenant": args.moment.tenant,
        "reason": args.reason,
        "dry_run": args.dry_run,
        "token": token,
    });
    let answer = client.post_json(&path, &body)?;
    context.screen.show(&answer, revoked)?;
    if let Some(file) = &args.moment.proof {
        // What is proven includes every revocation just recorded.
        let indexes = list(&answer, "events").filter_map(|event| event["index"].as_u64());
        let end = indexes.max().map(|last| last + 1);
        let ask = Ask::new(path).with("as_of", end).with("tenant", args.moment.tenant.as_ref());
        write_proof(&client, &ask.proven_url(), file)?;
        if !context.screen.is_json() {
            context.screen.line(&format!("the proof is in {}", file.display()))?;
        }
    }
    let wanted = answer["to_revoke"].as_array().map_or(0, Vec::len) as u64;
    let all = args.dry_run || answer["revoked"].as_u64() == Some(wanted);
    let cut = answer["cut_by"].as_array().is_some_and(|cuts| !cuts.is_empty());
    Ok(if all && !cut { Exit::Ok } else { Exit::Incomplete })
}

fn shown(answer: &Value) -> String {
    let counts = facts(&[
        ("descendants", text(answer, "/descendants")),
        ("still alive", text(answer, "/alive")),
        ("clients", text(answer, "/clients")),
        ("sessions", text(answer, "/sessions")),
        ("accesses let in", text(answer, "/allowed")),
        ("accesses refused", text(answer, "/denied")),
    ]);
    let resources = rows(
        answer,
        "resources",
        &[
            ("SERVICE", "/service"),
            ("RESOURCE", "/resource"),
            ("HANDLE", "/resource_handle"),
            ("ALLOWED", "/allowed"),
            ("DENIED", "/denied"),
            ("FIRST", "/first"),
            ("LAST", "/last"),
        ],
    );
    let handles = rows(
        answer,
        "handles",
        &[("ROLE", "/role"), ("KIND", "/kind"), ("HANDLE", "/handle"), ("EVENTS", "/events")],
    );
    format!("{counts}\n{}\n{resources}\n{handles}", tree(answer))
}

/// What was revoked, for people.
pub(super) fn revoked(answer: &Value) -> String {
    let word = if answer["dry_run"] == true { "would revoke" } else { "revoked" };
    let mut out = format!(
        "{word} {} of {} tokens; issuer: {}\n",
        if answer["dry_run"] == true { count(answer) } else { text(answer, "/revoked") },
        text(answer, "/family"),
        text(answer, "/issuer"),
    );
    for id in list(answer, "to_revoke") {
        out.push_str(&format!("  {}\n", text(id, "")));
    }
    for event in list(answer, "events").filter(|event| !event["error"].is_null()) {
        let (id, error) = (text(event, "/token_id"), text(event, "/error/detail"));
        out.push_str(&format!("NOT REVOKED {id}: {error}\n"));
    }
    out
}

fn count(answer: &Value) -> String {
    answer["to_revoke"].as_array().map_or(0, Vec::len).to_string()
}
