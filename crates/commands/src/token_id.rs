//! `token-id`: the id of a token, computed here. Nothing is sent.

use clap::Args;
use ledgerline_delivery::naming::Naming;
use ledgerline_proof::token_id::{from_jti, from_presented};
use serde::Serialize;

use crate::Context;
use ledgerline_pasted::paste::{in_the_history, read_paste, read_secret};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};

/// Arguments of `token-id`.
#[derive(Args)]
#[command(after_help = "Example:
  pass show leaked-token | ledgerline token-id --region eu-west-1 --issuer idp")]
pub struct TokenIdArgs {
    #[command(flatten)]
    naming: Naming,
    /// What is read is a jti that is not the bearer value.
    #[arg(long)]
    jti: bool,
    /// `-`, which is also the default: the token is read from standard input only.
    #[arg(default_value = "-")]
    token: String,
}

/// The id as a document.
#[derive(Serialize)]
struct Computed<'a> {
    token_id: &'a str,
}

/// Prints the id.
///
/// # Errors
/// Usage for a token as an argument; an error for a weak token.
pub fn run(context: &mut Context, args: &TokenIdArgs) -> CommandResult {
    if args.token != "-" {
        return Err(in_the_history());
    }
    let Naming { region, issuer } = &args.naming;
    let id = if args.jti {
        from_jti(region, issuer, &read_secret()?)
    } else {
        let paste = read_paste()?;
        let token = paste.only()?;
        from_presented(region, issuer, token.as_bytes())
    }
    .map_err(Failure::error)?;
    if context.screen.is_json() {
        context.screen.json(&Computed { token_id: &id })?;
    } else {
        context.screen.line(&id)?;
    }
    Ok(Exit::Ok)
}
