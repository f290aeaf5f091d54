//! `token-id`: the id of a token, computed here. Nothing is sent.

use std::io::{self, Read as _};

use clap::Args;
use ledgerline_proof::token_id::{from_jti, from_presented};
use serde_json::json;

use super::Context;
use super::lookup::read_paste;
use crate::exit::{CommandResult, Exit, Failure};

/// Longest token read from standard input, in bytes.
const TOKEN_BYTES_MAX: u64 = 64 << 10;

/// Under which names ids stand.
#[derive(Args, Clone)]
pub struct Naming {
    /// Home region of the issuer.
    #[arg(long, default_value = "global")]
    pub region: String,
    /// Alias of the issuer.
    #[arg(long, default_value = "idp")]
    pub issuer: String,
}

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
        context.screen.json(&json!({ "token_id": id }))?;
    } else {
        context.screen.line(&id)?;
    }
    Ok(Exit::Ok)
}

/// The refusal of a token as an argument.
pub(super) fn in_the_history() -> Failure {
    Failure::usage(
        "this looks like a token, not a token id: it is in your shell history now; use `-` and \
         give the token on standard input",
    )
}

/// One line of standard input, without its end.
///
/// # Errors
/// When it is empty, too long or no text.
pub fn read_secret() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(TOKEN_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TOKEN_BYTES_MAX {
        return Err(Failure::error("standard input is longer than a token may be"));
    }
    let text = String::from_utf8(bytes).map_err(|_| Failure::error("standard input is no text"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::error("standard input is empty"));
    }
    Ok(text.to_owned())
}
