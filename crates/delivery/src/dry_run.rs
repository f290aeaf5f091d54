//! `ingest --dry-run`: what each line of a foreign log would become, without a server.
//!
//! Promises: the totals by type and by reason stand at the end. The events are those that would be
//! sent. What is refused or quarantined is named with
//! its reason, and ends the command with 1 as it would when it is sent.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ledgerline_api::event::{Event, Link};
use ledgerline_sources::{Act, Adapter, Problem, Quarantined};
use ledgerline_terminal::context::Context;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::printable;
use serde::Serialize;
use serde_with::skip_serializing_none;

use crate::chosen::{EMPTY, say};
use crate::feed::{Came, Feed};

/// What a line would become.
#[skip_serializing_none]
#[derive(Serialize)]
struct Became<'a> {
    file: &'a str,
    /// `None` for what was held until the end.
    line: Option<u64>,
    /// Of one act each; the acts of a line may also say what earlier lines began.
    acts: Vec<&'a [Event<'static>]>,
    /// First and last line of each act, where it was made of more lines than this one.
    lines_of_acts: Option<Vec<[u64; 2]>>,
    refused: Vec<Why>,
}

/// What all of it would become.
#[derive(Default, Serialize)]
struct Totals {
    lines: u64,
    acts: u64,
    /// Events by type.
    events: BTreeMap<String, u64>,
    /// Lines and records that were refused, by code.
    refused: BTreeMap<&'static str, u64>,
    /// Lines with nothing for the ledger, by kind.
    skipped: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Why {
    code: &'static str,
    detail: String,
}

/// Shows what the files would become.
///
/// # Errors
/// When a file cannot be read.
pub fn run(context: &mut Context, adapter: &mut dyn Adapter, files: &[PathBuf]) -> CommandResult {
    let mut totals = Totals::default();
    let mut acts = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let (mut feed, mut is_empty) = (Feed::open(path)?, true);
        loop {
            let more = feed.next(None, &mut |came| {
                let (line, why) = match came {
                    Came::Value(line, text) => {
                        is_empty &= text.trim_ascii().is_empty();
                        (line, read(adapter, line, text, &mut acts))
                    }
                    Came::TooLong(line) => {
                        is_empty = false;
                        let problem = adapter.refuse(line, Problem::TooLong).problem;
                        (line, vec![why(problem)])
                    }
                    Came::Nothing => return Ok(()),
                };
                show(context, &name, Some(line), &mut acts, why, &mut totals)
            })?;
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(unreadable(path, &error)),
            }
        }
        adapter.file_end(&mut acts);
        let mut why: Vec<Why> = adapter.take_quarantined().into_iter().map(quarantined).collect();
        why.extend(unchosen(adapter, is_empty));
        say(adapter, &name);
        show(context, &name, None, &mut acts, why, &mut totals)?;
    }
    adapter.finish(&mut acts);
    let why: Vec<Why> = adapter.take_quarantined().into_iter().map(quarantined).collect();
    show(context, "", None, &mut acts, why, &mut totals)?;
    totals.lines = adapter.report().lines;
    totals.skipped.clone_from(&adapter.report().skipped);
    let is_sound = totals.refused.is_empty();
    if context.screen.is_json() {
        context.screen.json(&serde_json::json!({ "totals": totals }))?;
    } else {
        context.screen.lines(&totals.told())?;
    }
    Ok(if is_sound { Exit::Ok } else { Exit::Error })
}

fn unchosen(adapter: &dyn Adapter, is_empty: bool) -> Option<Why> {
    let [code, detail] = EMPTY;
    (is_empty && adapter.chosen().is_none()).then(|| Why { code, detail: detail.to_owned() })
}

impl Totals {
    fn told(&self) -> String {
        let words = |counts: Vec<(&str, u64)>| match counts.is_empty() {
            true => "none".to_owned(),
            false => {
                let each =
                    counts.iter().map(|(name, count)| format!("{} {count}", printable(name)));
                each.collect::<Vec<_>>().join(", ")
            }
        };
        let of = |counts: &BTreeMap<String, u64>| {
            words(counts.iter().map(|(name, count)| (name.as_str(), *count)).collect())
        };
        let refused = words(self.refused.iter().map(|(code, count)| (*code, *count)).collect());
        let events: u64 = self.events.values().sum();
        format!(
            "\nin all: {} lines, {} acts, {events} events\n  events   {}\n  skipped  {}\n  \
             refused  {refused}\n",
            self.lines,
            self.acts,
            of(&self.events),
            of(&self.skipped),
        )
    }

    fn count(&mut self, became: &Became<'_>) {
        self.acts += became.acts.len() as u64;
        for event in became.acts.iter().copied().flatten() {
            let kind = event.event_type.as_deref().unwrap_or_default().to_owned();
            *self.events.entry(kind).or_default() += 1;
        }
        for why in &became.refused {
            *self.refused.entry(why.code).or_default() += 1;
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    anyhow::anyhow!("{}: {error}", path.display()).into()
}

fn read(adapter: &mut dyn Adapter, line: u64, text: &[u8], acts: &mut Vec<Act>) -> Vec<Why> {
    let read = match std::str::from_utf8(text) {
        Ok(text) => adapter.line(line, text, acts),
        Err(_) => Err(adapter.refuse(line, Problem::NotUtf8)),
    };
    let refused = read.err().map(|error| why(error.problem));
    refused.into_iter().chain(adapter.take_quarantined().into_iter().map(quarantined)).collect()
}

fn why(problem: Problem) -> Why {
    Why { code: problem.code(), detail: problem.to_string() }
}

fn quarantined(one: Quarantined) -> Why {
    Why { code: one.code, detail: one.detail }
}

fn show(
    context: &mut Context,
    file: &str,
    line: Option<u64>,
    acts: &mut Vec<Act>,
    refused: Vec<Why>,
    totals: &mut Totals,
) -> Result<(), Failure> {
    let taken = std::mem::take(acts);
    if line.is_none() && taken.is_empty() && refused.is_empty() {
        return Ok(());
    }
    let acts = taken.iter().map(|act| act.events.as_slice()).collect();
    let own = line.unwrap_or(0);
    let lines = || taken.iter().map(|act| act.lines.unwrap_or([own; 2])).collect::<Vec<_>>();
    let lines_of_acts = Some(lines()).filter(|all| all.iter().any(|one| *one != [own; 2]));
    let became = Became { file, line, acts, lines_of_acts, refused };
    totals.count(&became);
    if context.screen.is_json() {
        context.screen.json(&became)?;
    } else {
        context.screen.lines(&told(&became))?;
    }
    Ok(())
}

fn told(became: &Became<'_>) -> String {
    let place = became.line.map_or("at the end".to_owned(), |line| format!("line {line}"));
    let mut out = String::new();
    if became.acts.is_empty() && became.refused.is_empty() {
        out.push_str(&format!("{place}: no event of its own\n"));
    }
    for (number, act) in became.acts.iter().enumerate() {
        let lines = became.lines_of_acts.as_ref().and_then(|all| all.get(number));
        let place = match lines {
            Some([0, _]) | None => place.clone(),
            Some([first, last]) if first == last => format!("line {first}"),
            Some([first, last]) if first < last => format!("lines {first} to {last}"),
            // The file before ended in the middle of it.
            Some([first, last]) => format!("line {first} of a file before, to line {last}"),
        };
        out.push_str(&format!(
            "{place}: {}\n",
            if act.len() > 1 { "one act" } else { "one event" }
        ));
        for event in *act {
            out.push_str(&format!("  {}\n", printable(&event_words(event))));
        }
    }
    for why in &became.refused {
        out.push_str(&format!("{place}: REFUSED {}: {}\n", why.code, printable(&why.detail)));
    }
    out
}

/// Type, outcome and target of an event, and its edges.
fn event_words(event: &Event<'_>) -> String {
    let text = |text: &Option<ledgerline_api::values::Str<'_>>| {
        text.as_deref().unwrap_or_default().to_owned()
    };
    let target = match (&event.token_id, &event.target) {
        (Some(id), _) => format!("TOKEN {id}"),
        (None, Some(target)) => format!("{} {}", target.kind, target.id),
        (None, None) => "nothing".to_owned(),
    };
    let mut out = format!("{} {} {target}", text(&event.event_type), text(&event.outcome));
    for Link { token_id, relation, strength, why, .. } in &event.links {
        let strength = strength.as_deref().unwrap_or("ASSERTED");
        out.push_str(&format!(", {relation} {} ({strength}", text(token_id)));
        if let Some(why) = why {
            out.push_str(&format!(": {why}"));
        }
        out.push(')');
    }
    out
}
