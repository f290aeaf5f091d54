//! `ingest`: a file of events, or a foreign log through an adapter, into a server.
//!
//! Promises: batches of at most 500 events, an act never split; what is refused or lost on the way
//! is repeated; a second run of the same file gives duplicates. Every event is counted as recorded,
//! duplicate or refused by code; the first refusals are named by file and line, never by content.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::Context;
use super::token_id::Naming;
use super::verify::progress_bar;
use crate::adapters::oidc_provider::{OidcProvider, Options};
use crate::adapters::{Act, Adapter};
use crate::cli::event_file::EventFile;
use crate::client::Client;
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit, Failure};
use crate::render::{facts, table, text};

/// Most events in one request.
const BATCH_EVENTS: usize = 500;
/// Most bytes in one request; half of what the server takes.
const BATCH_BYTES: usize = 8 << 20;
/// Refusals named one by one.
const REFUSALS_SHOWN: usize = 20;

/// What the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AdapterName {
    /// Our own JSON or NDJSON.
    Ledgerline,
    /// Logs of node-oidc-provider, of its resource servers, and of policies.
    OidcProvider,
}

/// Arguments of `ingest`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline ingest --key-file producer.key events.ndjson
  tail -F events.ndjson | ledgerline ingest -
  ledgerline ingest --adapter oidc-provider --region global --issuer idp provider.ndjson")]
pub struct IngestArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    naming: Naming,
    /// What the files hold.
    #[arg(long, value_enum, default_value = "ledgerline")]
    adapter: AdapterName,
    /// Files in order; `-` for standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Events that must stand in one request.
pub struct Unit {
    /// The line each came from.
    pub lines: Vec<u64>,
    /// Their JSON, one line each.
    pub events: Vec<String>,
}

/// Ingests.
///
/// # Errors
/// When a file cannot be read or the server refuses a whole request. Exit 1 when any event was
/// refused.
pub fn run(context: &mut Context, args: IngestArgs) -> CommandResult {
    let client = context.client(args.client)?;
    let bar = progress_bar();
    let mut sender = Sender::new(&client, &bar);
    match args.adapter {
        AdapterName::Ledgerline => {
            for path in &args.files {
                sender.file(path);
                EventFile::read(&mut *open(path)?, &mut |unit| sender.take(unit))
                    .with_context(|| format!("{}", path.display()))?;
            }
        }
        AdapterName::OidcProvider => adapt(&client, &args.naming, &args.files, &mut sender)?,
    }
    let report = sender.finish()?;
    bar.finish_and_clear();
    context.screen.show(&report, summary)?;
    Ok(if report["refused"] == 0 { Exit::Ok } else { Exit::Error })
}

/// Opens a file, or standard input for `-`.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| format!("{}", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

fn adapt(
    client: &Client,
    naming: &Naming,
    files: &[PathBuf],
    sender: &mut Sender<'_>,
) -> Result<(), Failure> {
    let names = crate::adapters::Naming::new(&naming.region, &naming.issuer)
        .ok_or_else(|| Failure::usage("region and issuer match [a-z0-9._-]{1,32}"))?;
    // As whom the events are recorded, so that the adapter can link to its own events.
    let own = client.get("/v1/status")?;
    let member = |name: &str| own["credential"][name].as_str().map(str::to_owned);
    let recorded_as = member("tenant").zip(member("source"));
    let mut adapter = OidcProvider::new(Options { naming: names, recorded_as });
    let mut acts = Vec::new();
    for path in files {
        sender.file(path);
        let mut input = open(path)?;
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            // One byte more than an adapter looks at, so that it can say so.
            let limit = crate::adapters::LINE_BYTES_MAX as u64 + 2;
            let count = input.by_ref().take(limit).read_until(b'\n', &mut line)?;
            if count == 0 {
                break;
            }
            let is_cut = line.last() != Some(&b'\n') && count as u64 == limit;
            if is_cut {
                input.skip_until(b'\n')?;
            }
            let text = String::from_utf8_lossy(&line);
            if let Err(error) = adapter.line(number, &text, &mut acts) {
                sender.tally.refuse(&sender.name, number, "adapter", &error.problem.to_string());
            }
            sender.acts(number, &mut acts)?;
        }
    }
    adapter.finish(&mut acts);
    sender.acts(0, &mut acts)?;
    let report = adapter.report();
    sender.tally.lines = Some(report.lines);
    sender.tally.skipped = report.skipped_count();
    Ok(())
}

/// Gathers units into requests.
pub(super) struct Sender<'s> {
    client: &'s Client,
    bar: &'s ProgressBar,
    name: String,
    body: String,
    origins: Vec<(String, u64)>,
    tally: Tally,
}

impl<'s> Sender<'s> {
    pub(super) fn new(client: &'s Client, bar: &'s ProgressBar) -> Self {
        let (name, body, origins, tally) = Default::default();
        Self { client, bar, name, body, origins, tally }
    }

    /// What is taken from now on is of this file.
    pub(super) fn file(&mut self, path: &Path) {
        self.name = path.display().to_string();
    }

    fn acts(&mut self, line: u64, acts: &mut Vec<Act>) -> Result<(), Failure> {
        for act in acts.drain(..) {
            let events: Result<Vec<_>, _> = act.events.iter().map(serde_json::to_string).collect();
            let events = events?;
            self.take(Unit { lines: vec![line; events.len()], events })?;
        }
        Ok(())
    }

    /// Sends a unit with the next request.
    pub(super) fn take(&mut self, unit: Unit) -> Result<(), Failure> {
        let bytes: usize = unit.events.iter().map(|event| event.len() + 1).sum();
        let is_full = self.origins.len() + unit.events.len() > BATCH_EVENTS
            || self.body.len() + bytes > BATCH_BYTES;
        if is_full {
            self.flush()?;
        }
        for (line, event) in unit.lines.into_iter().zip(&unit.events) {
            self.body.push_str(event);
            self.body.push('\n');
            self.origins.push((self.name.clone(), line));
        }
        Ok(())
    }

    /// Counts a line that gave no event.
    pub(super) fn refuse(&mut self, line: u64, code: &str, detail: &str) {
        self.tally.refuse(&self.name, line, code, detail);
    }

    /// Sends what is left; how everything fared.
    pub(super) fn finish(mut self) -> Result<Value, Failure> {
        self.flush()?;
        Ok(self.tally.report())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.origins.is_empty() {
            return Ok(());
        }
        let answer =
            self.client.post("/v1/events", "application/x-ndjson", self.body.as_bytes())?;
        let events = answer["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        if events.len() != self.origins.len() {
            return Err(self.client.garbled("another number of verdicts than events").into());
        }
        for (event, (name, line)) in events.iter().zip(&self.origins) {
            self.tally.count(event, name, *line);
        }
        self.bar.inc(self.origins.len() as u64);
        self.body.clear();
        self.origins.clear();
        Ok(())
    }
}

/// How the events fared.
#[derive(Default)]
struct Tally {
    lines: Option<u64>,
    skipped: u64,
    recorded: u64,
    duplicate: u64,
    refused: BTreeMap<String, u64>,
    first: Vec<Value>,
}

impl Tally {
    fn count(&mut self, event: &Value, name: &str, line: u64) {
        match event["status"].as_str() {
            Some("recorded") => self.recorded += 1,
            Some("duplicate") => self.duplicate += 1,
            _ => {
                let (code, detail) = (text(event, "/error/code"), text(event, "/error/detail"));
                self.refuse(name, line, &code, &detail);
            }
        }
    }

    fn refuse(&mut self, name: &str, line: u64, code: &str, detail: &str) {
        *self.refused.entry(code.to_owned()).or_default() += 1;
        if self.first.len() < REFUSALS_SHOWN {
            let refusal = json!({ "file": name, "line": line, "code": code, "detail": detail });
            self.first.push(refusal);
        }
    }

    fn report(&self) -> Value {
        json!({
            "lines": self.lines,
            "skipped": self.skipped,
            "recorded": self.recorded,
            "duplicate": self.duplicate,
            "refused": self.refused.values().sum::<u64>(),
            "refused_by_code": self.refused,
            "first_refusals": self.first,
        })
    }
}

/// The report for people.
pub(super) fn summary(report: &Value) -> String {
    let mut lines = Vec::new();
    for name in ["lines", "skipped", "recorded", "duplicate", "refused"] {
        if !report[name].is_null() {
            lines.push((name, text(report, &format!("/{name}"))));
        }
    }
    let mut out = facts(&lines);
    let rows = |list: &Value| -> Vec<Vec<String>> {
        let list = list.as_array().into_iter().flatten();
        list.map(|refusal| {
            ["file", "line", "code", "detail"]
                .iter()
                .map(|name| text(refusal, &format!("/{name}")))
                .collect()
        })
        .collect()
    };
    let by_code = report["refused_by_code"].as_object().into_iter().flatten();
    for (code, count) in by_code {
        out.push_str(&format!("  {code}: {count}\n"));
    }
    let first = rows(&report["first_refusals"]);
    if !first.is_empty() {
        out.push_str("\nfirst refusals:\n");
        out.push_str(&table(&["FILE", "LINE", "CODE", "DETAIL"], &first));
    }
    out
}
