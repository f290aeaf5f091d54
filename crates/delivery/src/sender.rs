//! Events on their way into a server: gathered into requests, and counted by how they fared.
//!
//! Promises: at most 500 events a request, an act never split; what is refused or lost on the way
//! is repeated. Each line is counted once: recorded, duplicate, refused or skipped. Every refusal
//! is named by file and line, never by content: the first in the report, the others, and those of a
//! pipe, on standard error as they come.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use ledgerline_api::BODY_BYTES_MAX;
use ledgerline_api::ingest::{EventStatus, Verdicts};
use ledgerline_client::Client;
use ledgerline_sources::{Act, Report};
use serde::Serialize;
use serde_with::skip_serializing_none;

use ledgerline_terminal::context::Context;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{cell, facts, printable, rows};

/// Most events in one request.
const BATCH_EVENTS: usize = 500;
/// Most bytes in one request; half of what the server takes.
const BATCH_BYTES: usize = 8 << 20;
/// Refusals that stand in the report.
const REFUSALS_SHOWN: usize = 20;
/// How long an event waits for others to be sent with it.
const LINGER: Duration = Duration::from_millis(500);

/// Events that must stand in one request.
#[derive(Default)]
pub struct Unit {
    /// The line each came from.
    pub lines: Vec<u64>,
    /// Their JSON.
    pub events: Vec<Vec<u8>>,
}

/// Gathers units into requests.
pub struct Sender<'s> {
    client: &'s Client,
    bar: &'s ProgressBar,
    name: String,
    /// Whether refusals are told as they come: a pipe may never end.
    is_stream: bool,
    body: Vec<u8>,
    origins: Vec<(String, u64)>,
    /// When the oldest of what waits came.
    since: Option<Instant>,
    tally: Tally,
}

impl<'s> Sender<'s> {
    /// Nothing is sent yet.
    #[must_use]
    pub fn new(client: &'s Client, bar: &'s ProgressBar) -> Self {
        let (name, is_stream, body, origins, tally) = Default::default();
        Self { client, bar, name, is_stream, body, origins, since: None, tally }
    }

    /// What is taken from now on is of this file.
    pub fn file(&mut self, path: &Path) {
        self.name = path.display().to_string();
        self.is_stream = path == Path::new("-");
    }

    /// Counts a line, a row or another value that may become an event.
    pub fn count_line(&mut self) {
        self.tally.lines += 1;
    }

    /// Sends the events of an adapter's acts.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn acts(&mut self, line: u64, acts: &mut Vec<Act>) -> Result<(), Failure> {
        for act in acts.drain(..) {
            let events: Result<Vec<_>, _> = act.events.iter().map(serde_json::to_vec).collect();
            let events = events?;
            self.take(Unit { lines: vec![line; events.len()], events })?;
        }
        Ok(())
    }

    /// Sends a unit with the next request.
    ///
    /// # Errors
    /// When a request that had to be sent first failed.
    pub fn take(&mut self, unit: Unit) -> Result<(), Failure> {
        let bytes: usize = unit.events.iter().map(|event| event.len() + 1).sum();
        if bytes > BODY_BYTES_MAX {
            // A request of its own would be refused too, and end the whole.
            for line in unit.lines {
                self.tally.events += 1;
                self.refuse(line, "too_large", "longer than a request can be");
            }
            return Ok(());
        }
        let is_full = self.origins.len() + unit.events.len() > BATCH_EVENTS
            || self.body.len() + bytes > BATCH_BYTES;
        if is_full {
            self.flush()?;
        }
        for (line, event) in unit.lines.into_iter().zip(&unit.events) {
            // Line ends within a value are white space between its parts.
            let one_line = event.iter().map(|byte| match byte {
                b'\n' | b'\r' => b' ',
                other => *other,
            });
            self.body.extend(one_line);
            self.body.push(b'\n');
            self.origins.push((self.name.clone(), line));
            self.tally.events += 1;
        }
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// How long what waits may still wait for more.
    #[must_use]
    pub fn due_in(&self) -> Option<Duration> {
        self.since.map(|since| LINGER.saturating_sub(since.elapsed()))
    }

    /// Names a line that gave no event.
    pub fn refuse(&mut self, line: u64, code: &str, detail: &str) {
        let is_shown = self.tally.refuse(&self.name, line, code, detail);
        if self.is_stream || !is_shown {
            let (name, bar) = (&self.name, self.bar);
            // Nothing is left to do when standard error is closed.
            bar.suspend(|| {
                let _ = writeln!(io::stderr(), "ledgerline: {name} line {line}: {code}: {detail}");
            });
        }
    }

    /// Names a file of which no more can be read.
    pub fn unreadable(&mut self, line: u64, error: &io::Error) {
        let (file, detail) = (self.name.clone(), error.to_string());
        self.tally.unreadable.push(Torn { file, after_line: line, detail });
    }

    /// Takes over what an adapter counted.
    pub fn adapted(&mut self, report: &Report) {
        let tally = &mut self.tally;
        tally.lines += report.lines;
        tally.skipped.clone_from(&report.skipped);
        tally.of_lines = Some([report.mapped, report.joined_count(), report.refused]);
    }

    /// Sends what waits.
    ///
    /// # Errors
    /// When the server refuses the whole request, or cannot be reached.
    pub fn flush(&mut self) -> Result<(), Failure> {
        if self.origins.is_empty() {
            return Ok(());
        }
        let answer = self.client.post("/v1/events", "application/x-ndjson", &self.body)?;
        let Verdicts { events, .. } = answer.form()?;
        if events.len() != self.origins.len() {
            return Err(answer.garbled("another number of verdicts than events").into());
        }
        self.body.clear();
        self.since = None;
        self.bar.inc(self.origins.len() as u64);
        for (event, (name, line)) in events.iter().zip(std::mem::take(&mut self.origins)) {
            match event.status {
                EventStatus::Recorded => self.tally.recorded += 1,
                EventStatus::Duplicate => self.tally.duplicate += 1,
                EventStatus::Refused => {
                    let code = cell(&event.error.as_ref().map(|error| &error.code));
                    let detail = cell(&event.error.as_ref().map(|error| &error.detail));
                    let now = std::mem::replace(&mut self.name, name);
                    self.refuse(line, &code, &detail);
                    self.name = now;
                }
            }
        }
        Ok(())
    }

    /// Sends what is left after `fed`, and shows how everything fared, also what came before a
    /// failure.
    ///
    /// # Errors
    /// That of `fed` or of the last request. Exit 1 when anything was refused or unreadable.
    pub fn finish(mut self, context: &mut Context, fed: Result<(), Failure>) -> CommandResult {
        let sent = fed.and_then(|()| self.flush());
        self.bar.finish_and_clear();
        let tally = &self.tally;
        let unsent = self.origins.len();
        if sent.is_ok() || tally.recorded + tally.duplicate > 0 {
            let unsent = Some(unsent).filter(|unsent| *unsent > 0);
            context.screen.show(&tally.report(unsent), summary)?;
        }
        sent?;
        let is_well = self.tally.refused.is_empty() && self.tally.unreadable.is_empty();
        Ok(if is_well { Exit::Ok } else { Exit::Error })
    }
}

/// How the lines and events fared.
#[derive(Default)]
struct Tally {
    lines: u64,
    skipped: BTreeMap<String, u64>,
    /// Of an adapter: lines that made events, those of them that joined another's, lines refused.
    of_lines: Option<[u64; 3]>,
    events: u64,
    recorded: u64,
    duplicate: u64,
    refused: BTreeMap<String, u64>,
    first: Vec<Refusal>,
    unreadable: Vec<Torn>,
}

/// A line that gave no event.
#[derive(Serialize)]
struct Refusal {
    file: String,
    line: u64,
    code: String,
    detail: String,
}

/// A file that was not read to its end.
#[derive(Serialize)]
struct Torn {
    file: String,
    after_line: u64,
    detail: String,
}

/// How everything fared, as a document.
#[skip_serializing_none]
#[derive(Serialize)]
struct Fared<'t> {
    lines: u64,
    mapped_lines: Option<u64>,
    joined_lines: Option<u64>,
    skipped: u64,
    skipped_by_reason: &'t BTreeMap<String, u64>,
    refused_lines: Option<u64>,
    events: u64,
    recorded: u64,
    duplicate: u64,
    refused: u64,
    refused_by_code: &'t BTreeMap<String, u64>,
    first_refusals: &'t [Refusal],
    unreadable: &'t [Torn],
    unsent: Option<usize>,
}

impl Tally {
    /// Counts a refusal; whether it stands in the report.
    fn refuse(&mut self, name: &str, line: u64, code: &str, detail: &str) -> bool {
        *self.refused.entry(code.to_owned()).or_default() += 1;
        let is_shown = self.first.len() < REFUSALS_SHOWN;
        if is_shown {
            let [file, code, detail] = [name, code, detail].map(str::to_owned);
            self.first.push(Refusal { file, line, code, detail });
        }
        is_shown
    }

    fn report(&self, unsent: Option<usize>) -> Fared<'_> {
        let of_lines = |at: usize| self.of_lines.map(|counts| counts[at]);
        Fared {
            lines: self.lines,
            mapped_lines: of_lines(0),
            joined_lines: of_lines(1),
            skipped: self.skipped.values().sum(),
            skipped_by_reason: &self.skipped,
            refused_lines: of_lines(2),
            events: self.events,
            recorded: self.recorded,
            duplicate: self.duplicate,
            refused: self.refused.values().sum(),
            refused_by_code: &self.refused,
            first_refusals: &self.first,
            unreadable: &self.unreadable,
            unsent,
        }
    }
}

/// The report for people.
fn summary(report: &Fared<'_>) -> String {
    let lines = [
        ("lines", Some(report.lines)),
        ("lines of events", report.mapped_lines),
        ("  without their own", report.joined_lines),
        ("skipped", Some(report.skipped)),
        ("lines refused", report.refused_lines),
        ("events", Some(report.events)),
        ("recorded", Some(report.recorded)),
        ("duplicate", Some(report.duplicate)),
        ("refused", Some(report.refused)),
        ("NOT SENT", report.unsent.map(|unsent| unsent as u64)),
    ];
    let lines = lines.into_iter().filter_map(|(name, count)| Some((name, count?.to_string())));
    let mut out = facts(&lines.collect::<Vec<_>>());
    for (title, counts) in
        [("refused", report.refused_by_code), ("skipped", report.skipped_by_reason)]
    {
        for (at, (reason, count)) in counts.iter().enumerate() {
            let title = if at == 0 { format!("\n{title}:\n") } else { String::new() };
            out.push_str(&format!("{title}  {reason}: {count}\n"));
        }
    }
    if !report.first_refusals.is_empty() {
        let refusals = rows(
            "refusals",
            report.first_refusals,
            &[
                ("FILE", |one| printable(&one.file)),
                ("LINE", |one| one.line.to_string()),
                ("CODE", |one| printable(&one.code)),
                ("DETAIL", |one| printable(&one.detail)),
            ],
        );
        out.push_str(&format!("\nfirst refusals:\n{refusals}"));
    }
    if !report.unreadable.is_empty() {
        let torn = rows(
            "files",
            report.unreadable,
            &[
                ("FILE", |one| printable(&one.file)),
                ("AFTER LINE", |one| one.after_line.to_string()),
                ("DETAIL", |one| printable(&one.detail)),
            ],
        );
        out.push_str(&format!("\nNOT READ TO THE END:\n{torn}"));
    }
    out
}
