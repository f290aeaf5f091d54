//! What the lines of a file become: by an adapter, or as events in our own form.
//!
//! Promises: the same lines become the same events. The parts of an act in our own form, each a
//! line of its own, come out together. What cannot be judged for a reason that passes is kept, and
//! all behind it, until it can.

use std::collections::VecDeque;

use ledgerline_api::event::Event;
use ledgerline_sources::{Adapter, Options, Problem};
use serde::Deserialize;

use super::lines::Line;
use crate::judge::Judge;
use crate::outlet::Unit;
use crate::settings::TailSettings;

/// Acts in our own form that wait for their parts.
const WAITING_MAX: usize = 64;
/// Lines that may come between the first part of an act and its last.
const SPAN_MAX: u64 = 10_000;

/// What came of some lines.
#[derive(Default)]
pub struct Mapped {
    /// Events that are ready.
    pub units: Vec<Unit>,
    /// What gave none: line, code, why, and the line's bytes where it is one line's fault.
    pub aside: Vec<(u64, &'static str, String, Vec<u8>)>,
    /// What could not be judged yet, and all that was read after it, in order.
    rest: VecDeque<Work>,
}

/// What is judged at a time.
enum Work {
    /// An act of an adapter, with the number and the bytes of the line that ended it.
    Act(Vec<Event<'static>>, u64, Vec<u8>),
    /// Lines in our own form, with their numbers.
    Own(Vec<(u64, Vec<u8>)>),
}

impl Mapped {
    fn give(&mut self, work: Work, judge: &Judge) {
        if !self.rest.is_empty() || self.attempt(&work, judge).is_err() {
            self.rest.push_back(work);
        }
    }

    /// Judges what could not be judged when it was read.
    ///
    /// # Errors
    /// Why it still cannot be, for a reason that passes; nothing is given up.
    pub fn judge_rest(&mut self, judge: &Judge) -> Result<(), String> {
        while let Some(work) = self.rest.pop_front() {
            if let Err(why) = self.attempt(&work, judge) {
                self.rest.push_front(work);
                return Err(why);
            }
        }
        Ok(())
    }

    fn attempt(&mut self, work: &Work, judge: &Judge) -> Result<(), String> {
        let judged = match work {
            Work::Act(events, ..) => judge.act(events.clone()),
            Work::Own(lines) => judge.lines(lines.iter().map(|(n, line)| (*n, line.as_slice()))),
        };
        if let Some(error) = judged.passing() {
            return Err(error.detail.clone());
        }
        self.units.extend(judged.units);
        for one in judged.refused {
            let (number, bytes) = match work {
                Work::Act(_, number, bytes) => (*number, bytes.clone()),
                Work::Own(lines) => lines.get(one.position).cloned().unwrap_or_default(),
            };
            self.aside.push((number, one.error.code, one.error.detail, bytes));
        }
        Ok(())
    }
}

/// What makes events of lines.
pub enum Mapping {
    /// An adapter.
    Adapter(Box<dyn Adapter>),
    /// Nothing: they are events.
    Own(VecDeque<Waiting>),
}

/// An act of which parts are still to come.
pub struct Waiting {
    id: String,
    /// The content that it stands in.
    serial: u64,
    parts: usize,
    begin: u64,
    lines: Vec<(u64, Vec<u8>)>,
}

#[derive(Deserialize)]
struct Peek {
    act: Option<PeekAct>,
}

#[derive(Deserialize)]
struct PeekAct {
    id: String,
    parts: usize,
}

impl Mapping {
    /// As the settings say.
    pub fn new(settings: &TailSettings, recorded_as: &(String, String)) -> Self {
        match settings.choice() {
            None => Self::Own(VecDeque::new()),
            Some(choice) => Self::Adapter((choice.open)(Options {
                naming: settings.naming.clone(),
                recorded_as: Some(recorded_as.clone()),
            })),
        }
    }

    /// Lines with nothing for the ledger, so far.
    pub fn skipped(&self) -> u64 {
        match self {
            Self::Adapter(adapter) => adapter.report().skipped_count(),
            Self::Own(_) => 0,
        }
    }

    /// The first line that is not safe although it was given: its content, its place, and lines
    /// before it.
    pub fn holds_from(&self) -> Option<(u64, u64, u64)> {
        let Self::Own(waiting) = self else { return None };
        let first = waiting.front()?;
        Some((first.serial, first.begin, first.lines.first()?.0 - 1))
    }

    /// Takes a line of a content.
    pub fn line(&mut self, serial: u64, line: &Line<'_>, judge: &Judge, out: &mut Mapped) {
        match (self, line.bytes) {
            (_, Some(bytes)) if bytes.trim_ascii().is_empty() => {}
            (Self::Own(_), None) => {
                let problem = Problem::TooLong;
                out.aside.push((line.number, problem.code(), problem.to_string(), Vec::new()));
            }
            (Self::Own(waiting), Some(bytes)) => own(waiting, serial, line, bytes, judge, out),
            (Self::Adapter(adapter), None) => {
                let problem = adapter.refuse(line.number, Problem::TooLong).problem;
                out.aside.push((line.number, problem.code(), problem.to_string(), Vec::new()));
            }
            (Self::Adapter(adapter), Some(bytes)) => {
                let mut acts = Vec::new();
                let done = match std::str::from_utf8(bytes) {
                    Ok(text) => adapter.line(line.number, text, &mut acts),
                    Err(_) => Err(adapter.refuse(line.number, Problem::NotUtf8)),
                };
                if let Err(error) = done {
                    let why = error.problem.to_string();
                    out.aside.push((line.number, error.problem.code(), why, bytes.to_vec()));
                }
                for one in adapter.take_quarantined() {
                    let record = one.record.into_bytes();
                    out.aside.push((one.line, one.code, one.detail, record));
                }
                for act in acts {
                    out.give(Work::Act(act.events, line.number, bytes.to_vec()), judge);
                }
            }
        }
    }

    /// A content is over: nothing comes any more that could make its acts whole.
    pub fn file_ends(&mut self, serial: u64, judge: &Judge, out: &mut Mapped) {
        let Self::Own(waiting) = self else { return };
        for act in std::mem::take(waiting) {
            match act.serial == serial {
                true => whole(act, judge, out),
                false => waiting.push_back(act),
            }
        }
    }
}

fn own(
    waiting: &mut VecDeque<Waiting>,
    serial: u64,
    line: &Line<'_>,
    bytes: &[u8],
    judge: &Judge,
    out: &mut Mapped,
) {
    let act = serde_json::from_slice::<Peek>(bytes).ok().and_then(|peek| peek.act);
    let Some(act) = act.filter(|act| act.parts > 1) else {
        out.give(Work::Own(vec![(line.number, bytes.to_vec())]), judge);
        return;
    };
    let is_it = |one: &Waiting| one.serial == serial && one.id == act.id;
    let place = waiting.iter().position(is_it).unwrap_or_else(|| {
        let (id, parts, begin) = (act.id.clone(), act.parts, line.begin);
        waiting.push_back(Waiting { id, serial, parts, begin, lines: Vec::new() });
        waiting.len() - 1
    });
    waiting[place].lines.push((line.number, bytes.to_vec()));
    if waiting[place].lines.len() >= waiting[place].parts
        && let Some(act) = waiting.remove(place)
    {
        whole(act, judge, out);
    }
    let is_late = |one: &Waiting| {
        one.serial == serial && one.lines.first().is_some_and(|l| l.0 + SPAN_MAX < line.number)
    };
    while waiting.len() > WAITING_MAX || waiting.front().is_some_and(is_late) {
        // What is missing of it is said by its refusal.
        let Some(act) = waiting.pop_front() else { break };
        whole(act, judge, out);
    }
}

fn whole(act: Waiting, judge: &Judge, out: &mut Mapped) {
    out.give(Work::Own(act.lines), judge);
}
