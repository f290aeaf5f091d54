//! What an adapter makes of lines, for the tests of all adapters.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::fs;
use std::path::{Path, PathBuf};

use ledgerline_sources::{ADAPTERS, Choice, Naming, Options, Quarantined, Report};
use serde_json::Value;

/// All that came of some lines.
#[derive(Debug, PartialEq)]
pub struct Reading {
    pub events: Vec<Value>,
    pub quarantined: Vec<Quarantined>,
    pub errors: Vec<String>,
    pub report: Report,
}

pub fn choice(name: &str) -> &'static Choice {
    ADAPTERS.iter().find(|one| one.name == name).expect("an adapter")
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The lines of all recorded and written-down files of an adapter.
pub fn lines_of(name: &str) -> Vec<String> {
    let folder = fs::read_dir(fixture(name)).unwrap_or_else(|_| panic!("no fixtures of {name}"));
    let mut files: Vec<PathBuf> = folder.map(|one| one.expect("an entry").path()).collect();
    files.sort();
    let files = files.iter().filter(|path| path.extension().is_some_and(|end| end == "ndjson"));
    let text = files.map(|path| fs::read_to_string(path).expect("a fixture"));
    let lines: Vec<String> =
        text.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    assert!(!lines.is_empty(), "{name} has no fixtures");
    lines
}

pub fn read(name: &str, lines: &[String]) -> Reading {
    let naming = Naming::new("eu-west-1", "idp").expect("sound names");
    let mut adapter = (choice(name).open)(Options { naming, recorded_as: None });
    let (mut acts, mut errors) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(lines) {
        let read = adapter.line(number, line, &mut acts);
        errors.extend(read.err().map(|error| error.to_string()));
    }
    adapter.finish(&mut acts);
    let events = acts.iter().flat_map(|act| &act.events);
    let events = events.map(|event| serde_json::to_value(event).expect("JSON")).collect();
    let quarantined = adapter.take_quarantined();
    Reading { events, quarantined, errors, report: adapter.report().clone() }
}

/// The events alone, of lines in which nothing is wrong.
pub fn events_of(name: &str, lines: &[String]) -> Vec<Value> {
    let reading = read(name, lines);
    assert_eq!((&*reading.errors, &*reading.quarantined), (&[][..], &[][..]), "{name}");
    reading.events
}

pub fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}
