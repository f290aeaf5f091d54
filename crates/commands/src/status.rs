//! `status`: how the server is.

use clap::Args;
use ledgerline_api::status::{HeadStore, Issuer, ServerStatus};

use crate::ClientSettings;
use crate::Context;
use crate::progress::{self, Wait};
use ledgerline_terminal::exit::{CommandResult, Exit};
use ledgerline_terminal::render::{cell, facts, printable};

/// Arguments of `status`.
#[derive(Args)]
#[command(after_help = "Example:
  ledgerline status --url https://ledger.example.com --key-file reader.key")]
pub struct StatusArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    wait: Wait,
}

/// Shows the status; an error when events are not taken, incomplete while something that reads
/// behind the head has not read everything.
///
/// # Errors
/// When the server cannot be asked.
pub fn run(context: &mut Context, args: StatusArgs) -> CommandResult {
    let client = context.client(args.wait.patient(args.client))?;
    let answer = client.get(&format!("/v1/status{}", args.wait.query()))?;
    let status: ServerStatus<'_> = answer.form()?;
    context.screen.show(&answer.raw, |_| {
        let mut lines = vec![("url", client.url().to_owned())];
        lines.extend(facts_of(&status));
        facts(&lines) + &progress::behind(&status.progress)
    })?;
    Ok(match (status.ready, progress::lags(&status.progress)) {
        (false, _) => Exit::Error,
        (true, true) => Exit::Incomplete,
        (true, false) => Exit::Ok,
    })
}

fn facts_of(status: &ServerStatus<'_>) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("version", cell(&status.version)),
        ("origin", cell(&status.origin)),
        ("log key", cell(&status.log_key)),
        ("size", cell(&status.size)),
        ("root", cell(&status.root)),
        ("ready", cell(&status.ready)),
    ];
    if let Some(why) = &status.not_ready_because {
        lines.push(("because", printable(why)));
    }
    let head_store = match status.head_store {
        HeadStore::Ok => None,
        HeadStore::WasMissingAtStart => {
            Some("MISSING when the server started: this may be an older copy of the ledger")
        }
        HeadStore::Failing => Some("FAILING: see `because`"),
    };
    lines.extend(head_store.map(|what| ("head store", what.to_owned())));
    lines.extend([
        ("published size", cell(&status.published_size)),
        ("recorded", cell(&status.recorded_since_start)),
        ("duplicates", cell(&status.duplicates_since_start)),
        ("refused", cell(&status.refused_since_start)),
        ("queue bytes", cell(&status.queue_bytes)),
    ]);
    for reader in ["findings", "expiry", "verifier", "index", "webhook"] {
        if status.progress.contains_key(reader) {
            lines.push((reader, progress::words(&status.progress, reader)));
        }
    }
    if !status.issuers.is_empty() {
        let each: Vec<String> = status.issuers.iter().map(issuer).collect();
        lines.push(("issuers", each.join("; ")));
    }
    lines
}

/// An issuer of the register in a line: alias, region, rule and how its keys are.
fn issuer(one: &Issuer<'_>) -> String {
    let usable = one.keys.as_ref().map(|keys| keys.usable);
    let keys = match usable {
        None => "no keys".to_owned(),
        Some(None) => "keys not read yet".to_owned(),
        Some(Some(usable)) => format!("keys {usable}"),
    };
    let failed = one.keys.as_ref().and_then(|keys| keys.last_failure.as_ref());
    let failed = failed.map(|word| format!(", last reading failed: {word}"));
    let told = if one.revocation_endpoint.is_none() { "" } else { ", told of revocations" };
    format!(
        "{} ({}, jti is {}, {keys}{}{told})",
        cell(&one.alias),
        cell(&one.region),
        cell(&one.jti_rule),
        failed.unwrap_or_default(),
    )
}
