//! `auto`: the adapter that finds out which log it reads.
//!
//! Promises: it chooses for each file anew. Lines are held until one adapter alone recognises more
//! of them than any other does, at the latest at [`HELD_LINES_MAX`] or at the end of their file;
//! then that one reads all of them from the first. An adapter that was chosen before reads on with
//! what it remembers: rotated files are one log. When nobody or more than one recognises the lines,
//! every one is refused: nothing is read by a guess. The report counts them, too, as of the last
//! end of a file.

use std::collections::BTreeMap;

use crate::{ADAPTERS, Act, Adapter, AdapterError, Choice, Options, Problem, Quarantined, Report};

/// Most lines that are held before it must be decided.
const HELD_LINES_MAX: usize = 100;
/// Most bytes that are held.
const HELD_BYTES_MAX: usize = 32 << 20;
/// After so many lines one that leads alone is chosen.
const ENOUGH_LINES: usize = 3;

/// The adapters that were chosen, and which one of them reads this file.
pub struct Auto {
    options: Options,
    held: Vec<(u64, String)>,
    bytes: usize,
    /// Which one reads this file, or read the last one.
    chosen: Option<&'static str>,
    /// Whether the file of `chosen` has ended.
    has_ended: bool,
    opened: BTreeMap<&'static str, Box<dyn Adapter>>,
    /// Of lines that no adapter was chosen for.
    unread: Report,
    report: Report,
    quarantine: Vec<Quarantined>,
}

/// The adapter that recognises more of the lines than any other does.
#[must_use]
pub fn detect(lines: &[&str]) -> Option<&'static Choice> {
    let recognised = |one: &Choice| lines.iter().filter(|line| (one.detects)(line)).count();
    let mut counts: Vec<_> = ADAPTERS.iter().map(|one| (recognised(one), one)).collect();
    counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let (best, choice) = counts[0];
    let second = counts.get(1).map_or(0, |(count, _)| *count);
    (best > second).then_some(choice)
}

impl Auto {
    /// Nothing is chosen yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let (held, bytes, chosen, has_ended, opened) = Default::default();
        let (unread, report, quarantine) = Default::default();
        Self { options, held, bytes, chosen, has_ended, opened, unread, report, quarantine }
    }

    /// The adapter that reads this file, if it is known.
    fn reading(&mut self) -> Option<&mut Box<dyn Adapter>> {
        let name = self.chosen.filter(|_| !self.has_ended)?;
        self.opened.get_mut(name)
    }

    fn decide(&mut self, out: &mut Vec<Act>) {
        let lines: Vec<&str> = self.held.iter().map(|(_, line)| line.as_str()).collect();
        let Some(choice) = detect(&lines) else { return };
        let options = &self.options;
        let open = || (choice.open)(options.clone());
        let adapter = self.opened.entry(choice.name).or_insert_with(open);
        for (number, line) in self.held.drain(..) {
            if let Err(error) = adapter.line(number, &line, out) {
                self.quarantine.push(refused(error));
            }
        }
        (self.chosen, self.has_ended, self.bytes) = (Some(choice.name), false, 0);
    }

    /// All that was read so far.
    fn count(&mut self) {
        let mut report = self.unread.clone();
        self.opened.values().for_each(|one| report.add(one.report()));
        self.report = report;
    }

    /// Nobody alone recognises the lines that are held.
    fn give_up(&mut self) {
        for (line, _) in self.held.drain(..) {
            self.unread.lines += 1;
            self.unread.refused += 1;
            self.quarantine.push(refused(AdapterError { line, problem: Problem::UnknownShape }));
        }
        self.bytes = 0;
    }
}

/// A line that was refused after it had been held: its caller has gone on.
fn refused(error: AdapterError) -> Quarantined {
    let AdapterError { line, problem } = error;
    let (code, detail) = (problem.code(), problem.to_string());
    Quarantined { line, code, detail, record: String::new() }
}

impl Adapter for Auto {
    fn name(&self) -> &'static str {
        "auto"
    }

    fn line(&mut self, number: u64, line: &str, out: &mut Vec<Act>) -> Result<(), AdapterError> {
        if let Some(reading) = self.reading() {
            return reading.line(number, line, out);
        }
        if line.trim().is_empty() {
            return Ok(());
        }
        if self.has_ended {
            (self.chosen, self.has_ended) = (None, false);
        }
        self.held.push((number, line.to_owned()));
        self.bytes += line.len();
        let is_full = self.held.len() >= HELD_LINES_MAX || self.bytes > HELD_BYTES_MAX;
        if is_full || self.held.len() >= ENOUGH_LINES {
            self.decide(out);
        }
        if is_full && self.reading().is_none() {
            self.give_up();
        }
        Ok(())
    }

    fn refuse(&mut self, number: u64, problem: Problem) -> AdapterError {
        if let Some(reading) = self.reading() {
            return reading.refuse(number, problem);
        }
        self.unread.lines += 1;
        self.unread.refused += 1;
        AdapterError { line: number, problem }
    }

    /// Line numbers are of one file, so what is held is named with its own.
    fn file_end(&mut self, out: &mut Vec<Act>) {
        if self.reading().is_none() {
            self.chosen = None;
            self.decide(out);
            self.give_up();
        }
        if let Some(reading) = self.reading() {
            reading.file_end(out);
        }
        self.has_ended = true;
        self.count();
    }

    fn finish(&mut self, out: &mut Vec<Act>) {
        if !self.has_ended {
            self.file_end(out);
        }
        self.opened.values_mut().for_each(|one| one.finish(out));
        self.count();
    }

    fn report(&self) -> &Report {
        &self.report
    }

    fn chosen(&self) -> Option<&'static str> {
        self.chosen
    }

    fn take_quarantined(&mut self) -> Vec<Quarantined> {
        let mut all = std::mem::take(&mut self.quarantine);
        self.opened.values_mut().for_each(|one| all.extend(one.take_quarantined()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Naming;

    fn auto() -> Auto {
        let naming = Naming::new("eu", "idp").expect("sound names");
        Auto::new(Options { naming, recorded_as: None })
    }

    const ACCESS: &str = concat!(
        r#"{"time":"2026-11-22T05:31:35.751Z","request_id":"r-1","service":"api","#,
        r#""method":"GET","path":"/orders","decision":"deny","reason":"bad_jwt"}"#
    );

    #[test]
    fn a_log_that_one_alone_recognises_is_read_from_its_first_line() {
        let (mut auto, mut out) = (auto(), Vec::new());
        auto.line(1, ACCESS, &mut out).expect("held");
        assert!(out.is_empty() && auto.chosen().is_none(), "one line is held");
        auto.finish(&mut out);
        assert_eq!((auto.chosen(), auto.report().lines), (Some("oidc-provider"), 1));
    }

    #[test]
    fn lines_that_were_refused_before_the_choice_are_counted() {
        let (mut auto, mut out) = (auto(), Vec::new());
        auto.refuse(1, Problem::NotUtf8);
        auto.line(2, r#"{"hello":"world"}"#, &mut out).expect("held");
        auto.file_end(&mut out);
        let named = auto.take_quarantined();
        assert_eq!(named.iter().map(|one| one.line).collect::<Vec<_>>(), [2], "of its own file");
        assert_eq!((auto.report().lines, auto.report().refused), (2, 2));
        auto.line(1, ACCESS, &mut out).expect("held");
        auto.file_end(&mut out);
        assert_eq!(auto.chosen(), Some("oidc-provider"));
        // The third is recognised, and refused by its adapter: it is no whole line of that log.
        assert_eq!((auto.report().lines, auto.report().refused), (3, 3));
    }

    #[test]
    fn the_second_file_was_read_by_the_adapter_of_the_first() {
        let vault = include_str!("../tests/fixtures/vault/documented.ndjson").lines().next();
        let vault = vault.expect("a line");
        let (mut auto, mut out) = (auto(), Vec::new());
        let mut choices = Vec::new();
        for lines in [&[ACCESS, ACCESS, ACCESS, ACCESS][..], &[vault], &["", " "], &[ACCESS]] {
            for (number, line) in (1..).zip(lines) {
                // What comes of it is its adapter's to say.
                let _ = auto.line(number, line, &mut out);
            }
            auto.file_end(&mut out);
            choices.push(auto.chosen());
        }
        auto.finish(&mut out);
        assert_eq!(choices, [Some("oidc-provider"), Some("vault"), None, Some("oidc-provider")]);
        assert_eq!(auto.report().lines, 6, "all of them are counted");
    }

    #[test]
    fn what_nobody_recognises_is_refused_line_by_line() {
        let (mut auto, mut out) = (auto(), Vec::new());
        for number in 1..=150 {
            auto.line(number, r#"{"hello":"world"}"#, &mut out).expect("held");
        }
        auto.finish(&mut out);
        let quarantined = auto.take_quarantined();
        assert!(out.is_empty());
        assert_eq!((quarantined.len(), auto.report().refused), (150, 150));
        assert!(quarantined.iter().all(|one| one.code == "unknown_shape"));
    }
}
