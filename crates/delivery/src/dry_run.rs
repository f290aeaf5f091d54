//! `ingest --dry-run`: what each line of a foreign log would become, without a server.
//!
//! Promises: the events are those that would be sent. What is refused or quarantined is named with
//! its reason, and ends the command with 1 as it would when it is sent.

use std::path::{Path, PathBuf};

use ledgerline_api::event::{Event, Link};
use ledgerline_sources::{Act, Adapter, Problem, Quarantined};
use ledgerline_terminal::context::Context;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::printable;
use serde::Serialize;
use serde_with::skip_serializing_none;

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
    refused: Vec<Why>,
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
    let mut refused = 0;
    let mut acts = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let mut feed = Feed::open(path)?;
        loop {
            let more = feed.next(None, &mut |came| {
                let (line, why) = match came {
                    Came::Value(line, text) => (line, read(adapter, line, text, &mut acts)),
                    Came::TooLong(line) => {
                        let problem = adapter.refuse(line, Problem::TooLong).problem;
                        (line, vec![why(problem)])
                    }
                    Came::Nothing => return Ok(()),
                };
                refused += why.len();
                show(context, &name, Some(line), &mut acts, why)
            })?;
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return Err(unreadable(path, &error)),
            }
        }
        adapter.file_end(&mut acts);
        let why: Vec<Why> = adapter.take_quarantined().into_iter().map(quarantined).collect();
        refused += why.len();
        show(context, &name, None, &mut acts, why)?;
    }
    adapter.finish(&mut acts);
    let why: Vec<Why> = adapter.take_quarantined().into_iter().map(quarantined).collect();
    refused += why.len();
    show(context, "", None, &mut acts, why)?;
    Ok(if refused == 0 { Exit::Ok } else { Exit::Error })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
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
) -> Result<(), Failure> {
    let taken = std::mem::take(acts);
    if line.is_none() && taken.is_empty() && refused.is_empty() {
        return Ok(());
    }
    let acts = taken.iter().map(|act| act.events.as_slice()).collect();
    let became = Became { file, line, acts, refused };
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
    for act in &became.acts {
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
