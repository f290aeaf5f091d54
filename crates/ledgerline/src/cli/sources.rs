//! `sources`: who tells the ledger, how much, and how complete that is.

use clap::Args;
use serde_json::Value;

use super::Context;
use super::past::{Ask, rows};
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit};

/// Arguments of `sources`.
#[derive(Args)]
#[command(after_help = "Example:
  ledgerline sources --key-file reader.key")]
pub struct SourcesArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
}

/// Shows them.
///
/// # Errors
/// Whatever the server says.
pub fn run(context: &mut Context, args: SourcesArgs) -> CommandResult {
    let client = context.client(args.client)?;
    let ask = |after: Option<&str>| {
        let ask = Ask::new("/v1/sources".to_owned()).with("tenant", args.tenant.as_ref());
        ask.with("after", after).fetch(&client, None)
    };
    let mut whole = ask(None)?;
    while let Some(after) = whole["next"].as_str().map(str::to_owned) {
        let mut more = ask(Some(&after))?;
        if let (Some(all), Some(list)) =
            (whole["sources"].as_array_mut(), more["sources"].as_array_mut())
        {
            all.append(list);
        }
        whole["next"] = more["next"].take();
    }
    context.screen.show(&whole, lines)?;
    Ok(Exit::Ok)
}

fn lines(answer: &Value) -> String {
    rows(
        answer,
        "sources",
        &[
            ("SOURCE", "/source"),
            ("EVENTS", "/events"),
            ("BIRTHS", "/births"),
            ("ORIGINS", "/origins"),
            ("SCORE", "/score"),
            ("SILENT", "/silent"),
            ("HEARTBEAT AGE S", "/heartbeat_age_s"),
            ("FIRST", "/first_recorded_at"),
            ("LAST", "/last_recorded_at"),
        ],
    )
}
