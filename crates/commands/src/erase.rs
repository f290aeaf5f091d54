//! `erase`: destroys the personal data of a person. The record that there was some stays.

use clap::Args;
use ledgerline_api::privacy::{Erase, Erased, Resolve, Resolved};
use ledgerline_api::uuid_text;
use ledgerline_pasted::paste::read_secret;

use crate::ClientSettings;
use crate::Context;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{cell, facts};

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
        let (kind, issuer, tenant) = (args.kind, args.issuer, args.tenant.clone());
        let question = Resolve { kind, issuer, value: read_secret()?, tenant };
        cell(&client.post_json("/v1/resolve", &question)?.form::<Resolved>()?.handle)
    } else if uuid_text::parse(&args.handle).is_some() {
        args.handle
    } else {
        return Err(Failure::usage("a handle is 32 hex digits; personal values go through `-`"));
    };
    let request = Erase { handle, purpose: args.purpose, tenant: args.tenant };
    let answer = client.post_json("/v1/erase", &request)?;
    let erased: Erased = answer.form()?;
    context.screen.show(&answer.raw, |_| {
        facts(&[
            ("recorded at index", cell(&erased.index)),
            ("sealed frames zeroed", cell(&erased.frames_zeroed)),
        ])
    })?;
    Ok(Exit::Ok)
}
