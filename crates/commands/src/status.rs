//! `status`: how the server is.

use clap::Args;
use serde_json::Value;

use crate::ClientSettings;
use crate::Context;
use crate::progress::{self, Wait};
use ledgerline_terminal::exit::{CommandResult, Exit};
use ledgerline_terminal::render::{facts, text};

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
    let status = client.get(&format!("/v1/status{}", args.wait.query()))?;
    context.screen.show(&status, |status| {
        let mut lines = vec![
            ("url", client.url().to_owned()),
            ("version", text(status, "/version")),
            ("origin", text(status, "/origin")),
            ("log key", text(status, "/log_key")),
            ("size", text(status, "/size")),
            ("root", text(status, "/root")),
            ("ready", text(status, "/ready")),
        ];
        if status.get("not_ready_because").is_some_and(|why| !why.is_null()) {
            lines.push(("because", text(status, "/not_ready_because")));
        }
        if status["head_store"] == "was_missing_at_start" {
            let what = "MISSING when the server started: this may be an older copy of the ledger";
            lines.push(("head store", what.to_owned()));
        }
        if status["head_store"] == "failing" {
            lines.push(("head store", "FAILING: see `because`".to_owned()));
        }
        for (name, label) in [
            ("published_size", "published size"),
            ("recorded_since_start", "recorded"),
            ("duplicates_since_start", "duplicates"),
            ("refused_since_start", "refused"),
            ("queue_bytes", "queue bytes"),
        ] {
            lines.push((label, text(status, &format!("/{name}"))));
        }
        let readers = ["findings", "expiry", "verifier", "index", "webhook"];
        for reader in readers.into_iter().filter(|one| !status["progress"][*one].is_null()) {
            lines.push((reader, progress::words(status, reader)));
        }
        let issuers = issuers(status);
        if !issuers.is_empty() {
            lines.push(("issuers", issuers));
        }
        facts(&lines) + &progress::behind(status)
    })?;
    let ready = status.get("ready").and_then(Value::as_bool) == Some(true);
    Ok(match (ready, progress::lags(&status)) {
        (false, _) => Exit::Error,
        (true, true) => Exit::Incomplete,
        (true, false) => Exit::Ok,
    })
}

/// The register in one line: alias, region, rule and how its keys are.
fn issuers(status: &Value) -> String {
    let list = status["issuers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let list = list.iter().map(|one| {
        let keys = match (&one["keys"], &one["keys"]["usable"]) {
            (Value::Null, _) => "no keys".to_owned(),
            (_, Value::Null) => "keys not read yet".to_owned(),
            (_, usable) => format!("keys {usable}"),
        };
        let failed = one["keys"]["last_failure"].as_str();
        let failed = failed.map(|word| format!(", last reading failed: {word}"));
        let told = if one["revocation_endpoint"].is_null() { "" } else { ", told of revocations" };
        format!(
            "{} ({}, jti is {}, {keys}{}{told})",
            text(one, "/alias"),
            text(one, "/region"),
            text(one, "/jti_rule"),
            failed.unwrap_or_default(),
        )
    });
    list.collect::<Vec<_>>().join("; ")
}
