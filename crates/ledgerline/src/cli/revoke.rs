//! `revoke`: ends a token and everything that goes with it.
//!
//! Promises: a token on standard input goes the way of RFC 7009; an id the way of
//! `blast-radius --revoke`. The exit code is 3 when something that should have ended did not.

use clap::Args;
use serde_json::{Value, json};

use super::Context;
use super::token_id::{Naming, of_argument, read_secret};
use crate::client::segment;
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit};

/// Arguments of `revoke`.
#[derive(Args)]
#[command(after_help = "Examples:
  pass show leaked-token | ledgerline revoke --key-file responder.key -
  ledgerline revoke --dry-run eu-west-1:idp:jti:4f0c")]
pub struct RevokeArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// Only say what would be revoked (role responder).
    #[arg(long)]
    dry_run: bool,
    /// Do not tell the token's issuer, also where the register says how.
    #[arg(long)]
    ledger_only: bool,
    /// Token id, or `-` to read the token itself from standard input.
    #[arg(value_name = "TOKEN")]
    token: String,
}

/// Revokes.
///
/// # Errors
/// Usage for a raw token; whatever the server says.
pub fn run(context: &mut Context, args: RevokeArgs) -> CommandResult {
    let client;
    let answer = if args.token == "-" {
        let token = read_secret()?;
        client = context.client(args.client)?;
        let dry_run = if args.dry_run { "true" } else { "" };
        let tell = if args.ledger_only { "false" } else { "" };
        let form = [("token", token.as_str()), ("dry_run", dry_run), ("tell_issuer", tell)];
        client.post_form("/oauth2/revoke", &form)?
    } else {
        let naming = Naming { region: String::new(), issuer: String::new() };
        let id = of_argument(&args.token, &naming)?;
        client = context.client(args.client)?;
        let path = format!("/v1/tokens/{}/blast-radius", segment(&id));
        client.post_json(&path, &json!({ "reason": "admin", "dry_run": args.dry_run }))?
    };
    context.screen.show(&answer, shown)?;
    let cut = answer["cut_by"].as_array().is_some_and(|cuts| !cuts.is_empty());
    let wanted = answer["to_revoke"].as_array().map_or(0, Vec::len) as u64;
    let all = args.dry_run || answer.is_null() || answer["revoked"].as_u64() == Some(wanted);
    Ok(if all && !cut { Exit::Ok } else { Exit::Incomplete })
}

fn shown(answer: &Value) -> String {
    if answer.is_null() {
        return "done; a client is not told whether there was such a token".to_owned();
    }
    super::blast_radius::revoked(answer)
}
