//! `introspect`: whether a token may be used now, asked as a resource server asks (RFC 7662).

use clap::Args;
use serde_json::Value;

use super::Context;
use super::token_id::{in_the_history, read_secret};
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit, Failure};
use crate::render::facts;

/// Arguments of `introspect`.
#[derive(Args)]
#[command(after_help = "Example:
  pass show some-token | ledgerline introspect --key-file resource-server.key -")]
pub struct IntrospectArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// `-`: the token is read from standard input only.
    #[arg(value_name = "TOKEN")]
    token: String,
}

/// Asks, and shows what the server says.
///
/// # Errors
/// Usage for a token as an argument; whatever the server says.
pub fn run(context: &mut Context, args: IntrospectArgs) -> CommandResult {
    if args.token != "-" {
        return Err(match ledgerline_proof::token_id::TokenId::parse(&args.token) {
            Ok(_) => Failure::usage("an id says nothing here; `ledgerline trace` shows its state"),
            Err(_) => in_the_history(),
        });
    }
    let token = read_secret()?;
    let client = context.client(args.client)?;
    let answer = client.post_form("/oauth2/introspect", &[("token", &token)])?;
    context.screen.show(&answer, shown)?;
    Ok(Exit::Ok)
}

fn shown(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let members = answer.as_object().into_iter().flatten();
    let members: Vec<(&str, String)> =
        members.map(|(name, value)| (name.as_str(), text(value))).collect();
    facts(&members)
}
