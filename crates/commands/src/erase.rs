//! `erase`: destroys the personal data of a person. The record that there was some stays.

use clap::Args;
use ledgerline_api::uuid_text;
use ledgerline_pasted::paste::read_secret;
use serde_json::json;

use crate::ClientSettings;
use crate::Context;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{facts, text};

/// Arguments of `erase`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline erase --purpose 'GDPR Art. 17, case 4711' 0f1e2d3c4b5a69788796a5b4c3d2e1f0
  printf alice | ledgerline erase --kind PERSON --issuer idp --purpose 'case 4711' -")]
pub struct EraseArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// Why: it stands in the ledger for ever, so name a case, not a person.
    #[arg(long)]
    purpose: String,
    /// With `-`: what the value on standard input is.
    #[arg(long, default_value = "PERSON")]
    kind: String,
    /// With `-`: alias of the issuer that knows the person.
    #[arg(long, default_value = "idp")]
    issuer: String,
    /// With `-`: tenant of the person, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
    /// Handle (32 hex digits), or `-` to read the personal value from standard input.
    #[arg(value_name = "HANDLE")]
    handle: String,
}

/// Erases.
///
/// # Errors
/// Usage for a personal value as an argument; an error when nothing is known of it.
pub fn run(context: &mut Context, args: EraseArgs) -> CommandResult {
    let client = context.client(args.client)?;
    let handle = if args.handle == "-" {
        let value = read_secret()?;
        let mut question = json!({ "kind": args.kind, "issuer": args.issuer, "value": value });
        if let Some(tenant) = &args.tenant {
            question["tenant"] = tenant.clone().into();
        }
        text(&client.post_json("/v1/resolve", &question)?, "/handle")
    } else if uuid_text::parse(&args.handle).is_some() {
        args.handle
    } else {
        return Err(Failure::usage("a handle is 32 hex digits; personal values go through `-`"));
    };
    let request = json!({ "handle": handle, "purpose": args.purpose, "tenant": args.tenant });
    let answer = client.post_json("/v1/erase", &request)?;
    context.screen.show(&answer, |answer| {
        facts(&[
            ("recorded at index", text(answer, "/index")),
            ("sealed frames zeroed", text(answer, "/frames_zeroed")),
        ])
    })?;
    Ok(Exit::Ok)
}
