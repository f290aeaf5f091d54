//! `check`: repeats every claim of a proof bundle with the kernel alone. No server, no network.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use ledgerline_proof::bundle::MAX_BUNDLE_BYTES;
use ledgerline_proof::check::{CheckError, Trust, Verdict, check};
use ledgerline_proof::note::VerifierKey;
use serde_json::Value;

use super::Context;
use crate::exit::{CommandResult, Exit, Failure};
use crate::render::{facts, table, text};

/// Arguments of `check`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline check bundle.json --key 'ledger.example.com+1a2b3c4d+AeR...'
  ledgerline check bundle.json --key \"$VKEY\" --since checkpoint-of-last-month")]
pub struct CheckArgs {
    /// Verifier key of the log, and of witnesses, from somewhere you trust: never from the bundle.
    #[arg(long = "key", value_name = "VKEY", required = true)]
    keys: Vec<String>,
    /// A checkpoint of the log that you kept.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Shared secret of a producer, in a file: judges its HMAC signatures.
    #[arg(long = "secret", value_name = "KEY-ID=FILE")]
    secrets: Vec<String>,
    /// The bundle; `-` for standard input.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
}

/// Checks.
///
/// # Errors
/// Usage for a bad key; an error when a file cannot be read.
pub fn run(context: &mut Context, args: &CheckArgs) -> CommandResult {
    let keys: Result<Vec<_>, _> = args.keys.iter().map(|key| VerifierKey::parse(key)).collect();
    let keys = keys.map_err(Failure::usage)?;
    let secrets = args.secrets.iter().map(|text| secret(text)).collect::<Result<_, _>>()?;
    let previous = args.since.as_deref().map(read).transpose()?;
    let bundle = if args.bundle == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(MAX_BUNDLE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        bytes
    } else {
        read(&args.bundle)?
    };
    let trust = Trust { log_keys: &keys, hmac_secrets: &secrets, previous: previous.as_deref() };
    let report = match check(&bundle, &trust) {
        Ok(report) => report,
        // What is no bundle proves nothing.
        Err(error @ CheckError::Bundle(_)) => return Err(Failure::not_verified(error)),
        Err(error) => return Err(error.into()),
    };
    let exit = match report.verdict {
        Verdict::Proven => Exit::Ok,
        Verdict::Incomplete => Exit::Incomplete,
        Verdict::Failed => Exit::NotVerified,
    };
    context.screen.show(&serde_json::to_value(&report)?, summary)?;
    Ok(exit)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    Ok(fs::read(path).with_context(|| format!("{}", path.display()))?)
}

fn secret(text: &str) -> Result<(String, Vec<u8>), Failure> {
    let form = || Failure::usage("--secret is KEY-ID=FILE");
    let (key_id, path) = text.split_once('=').ok_or_else(form)?;
    let content = read(Path::new(path))?;
    let bytes = STANDARD.decode(content.trim_ascii());
    let bytes = bytes.map_err(|_| Failure::usage(format!("{path} is not base64")))?;
    Ok((key_id.to_owned(), bytes))
}

fn summary(report: &Value) -> String {
    let mut lines = vec![("verdict", text(report, "/verdict"))];
    for (label, pointer) in [
        ("origin", "/tree/origin"),
        ("size", "/tree/size"),
        ("root", "/tree/root"),
        ("known", "/lifecycle/known"),
        ("happened", "/lifecycle/happened"),
    ] {
        if report.pointer(pointer).is_some() {
            lines.push((label, text(report, pointer)));
        }
    }
    let mut out = facts(&lines);
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let rows = |name: &str, columns: &[&str]| -> Vec<Vec<String>> {
        let row = |item: &Value| columns.iter().map(|column| text(item, column)).collect();
        list(name).iter().map(row).collect()
    };
    out.push('\n');
    out.push_str(&table(
        &["CLAIM", "STATUS", "WHY"],
        &rows("claims", &["/claim", "/status", "/why"]),
    ));
    let entries = rows(
        "entries",
        &[
            "/index",
            "/sequence",
            "/event/event_type",
            "/event/outcome",
            "/event/source",
            "/signature/state",
            "/known",
            "/happened",
            "/violation",
        ],
    );
    if !entries.is_empty() {
        out.push('\n');
        let head = [
            "INDEX",
            "SEQ",
            "EVENT",
            "OUTCOME",
            "SOURCE",
            "SIGNATURE",
            "KNOWN",
            "HAPPENED",
            "VIOLATION",
        ];
        out.push_str(&table(&head, &entries));
    }
    let shown = ["/index", "/n", "/role", "/fields", "/status"];
    let shown = rows("personal", &shown);
    if !shown.is_empty() {
        out.push_str("\npersonal records shown:\n");
        out.push_str(&table(&["INDEX", "N", "ROLE", "FIELDS", "STATUS"], &shown));
    }
    out.push_str("\nnot proven:\n");
    for limit in list("not_proven") {
        out.push_str(&format!("  {}\n", text(&limit, "")));
    }
    out
}
