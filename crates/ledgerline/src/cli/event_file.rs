//! Files of events in our own JSON: NDJSON, one object, or an array, told apart by looking.
//!
//! Promises: each event with the line it begins on; events of one act come out together when its
//! last part has been read. NDJSON is streamed; other JSON is read whole, up to 256 MiB.

use std::io::{BufRead, Read};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::ingest::Unit;
use crate::exit::Failure;

/// Longest line or document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 256 << 20;
/// Acts waiting for their last part.
const WAITING_ACTS_MAX: usize = 10_000;

/// A reader of events.
pub struct EventFile<'t> {
    take: &'t mut dyn FnMut(Unit) -> Result<(), Failure>,
    /// Acts whose parts have not all been read, oldest first.
    waiting: Vec<(String, usize, Unit)>,
}

#[derive(Deserialize)]
struct Peek {
    #[serde(default)]
    act: Option<PeekAct>,
}

#[derive(Deserialize)]
struct PeekAct {
    id: String,
    parts: usize,
}

impl<'t> EventFile<'t> {
    /// Reads all events and hands them over.
    ///
    /// # Errors
    /// When the input cannot be read, is no text, or a document is no JSON; whatever `take` says.
    pub fn read(
        input: &mut dyn BufRead,
        take: &'t mut dyn FnMut(Unit) -> Result<(), Failure>,
    ) -> anyhow::Result<()> {
        let mut file = Self { take, waiting: Vec::new() };
        file.lines(input).and_then(|()| file.finish()).map_err(|failure| failure.error)
    }

    fn lines(&mut self, input: &mut dyn BufRead) -> Result<(), Failure> {
        let mut line = String::new();
        for number in 1.. {
            line.clear();
            let read = (&mut *input).take(DOCUMENT_BYTES_MAX as u64).read_line(&mut line);
            let count = read.map_err(|error| Failure::error(format!("line {number}: {error}")))?;
            if count == 0 {
                return Ok(());
            }
            let text = line.trim();
            if text.is_empty() {
                continue;
            }
            // A document over several lines begins with `[`, or with a `{` that its line does not
            // close.
            let is_document = text.starts_with('[')
                || (text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_err());
            if is_document && self.document(number, &mut line, input)? {
                return Ok(());
            }
            self.event(number, line.trim())?;
        }
        Ok(())
    }

    /// Reads what follows as JSON documents; `false` when it is broken NDJSON after all.
    fn document(
        &mut self,
        first: u64,
        start: &mut String,
        input: &mut dyn BufRead,
    ) -> Result<bool, Failure> {
        let is_array = start.trim_start().starts_with('[');
        if first > 1 && !is_array {
            return Ok(false);
        }
        let room = (DOCUMENT_BYTES_MAX - start.len().min(DOCUMENT_BYTES_MAX)) as u64;
        (&mut *input).take(room).read_to_string(start)?;
        let line_at = |offset: usize| {
            let breaks = start.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count();
            first + breaks as u64
        };
        let bad = |error: &serde_json::Error| {
            let line = first + (error.line() as u64).saturating_sub(1);
            Failure::error(format!("line {line} column {}: not JSON", error.column()))
        };
        let mut events = Vec::new();
        for document in serde_json::Deserializer::from_str(start).into_iter::<&RawValue>() {
            let document = document.map_err(|error| bad(&error))?;
            if document.get().starts_with('[') {
                let list: Vec<&RawValue> =
                    serde_json::from_str(document.get()).map_err(|error| bad(&error))?;
                events.extend(list);
            } else {
                events.push(document);
            }
        }
        let base = start.as_ptr() as usize;
        let mut found = Vec::with_capacity(events.len());
        for event in events {
            // A raw value borrows from the document, so its place is its distance from the start.
            let offset = event.get().as_ptr() as usize - base;
            let one_line: String =
                event.get().chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
            found.push((line_at(offset), one_line));
        }
        for (line, event) in found {
            self.event(line, &event)?;
        }
        Ok(true)
    }

    fn event(&mut self, line: u64, event: &str) -> Result<(), Failure> {
        let act = serde_json::from_str::<Peek>(event).ok().and_then(|peek| peek.act);
        let Some(act) = act.filter(|act| act.parts > 1) else {
            return (self.take)(Unit { lines: vec![line], events: vec![event.to_owned()] });
        };
        let place = self.waiting.iter().position(|(id, _, _)| *id == act.id);
        let place = place.unwrap_or_else(|| {
            let unit = Unit { lines: Vec::new(), events: Vec::new() };
            self.waiting.push((act.id, act.parts, unit));
            self.waiting.len() - 1
        });
        let (_, parts, unit) = &mut self.waiting[place];
        unit.lines.push(line);
        unit.events.push(event.to_owned());
        if unit.events.len() >= *parts {
            let (_, _, unit) = self.waiting.remove(place);
            return (self.take)(unit);
        }
        if self.waiting.len() > WAITING_ACTS_MAX {
            let (_, _, unit) = self.waiting.remove(0);
            return (self.take)(unit);
        }
        Ok(())
    }

    /// Acts that never became whole go out as they are: the server says what is missing.
    fn finish(&mut self) -> Result<(), Failure> {
        for (_, _, unit) in std::mem::take(&mut self.waiting) {
            (self.take)(unit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &[(&[u64], &[&str])]) {
        let mut found = Vec::new();
        EventFile::read(&mut input.as_bytes(), &mut |unit| {
            found.push((unit.lines, unit.events));
            Ok(())
        })
        .expect(input);
        let expected: Vec<(Vec<u64>, Vec<String>)> = expected
            .iter()
            .map(|(lines, events)| {
                (lines.to_vec(), events.iter().map(|event| (*event).to_owned()).collect())
            })
            .collect();
        assert_eq!(found, expected, "{input}");
    }

    #[test]
    fn all_forms_of_a_file_give_the_same_events() {
        check("{\"a\":1}\n\n{\"a\":2}\n", &[(&[1], &["{\"a\":1}"]), (&[3], &["{\"a\":2}"])]);
        check("[{\"a\":1},\n{\"a\":2}]\n", &[(&[1], &["{\"a\":1}"]), (&[2], &["{\"a\":2}"])]);
        check("{\n\"a\":1\n}\n", &[(&[1], &["{\"a\":1}"])]);
        check("", &[]);
    }

    #[test]
    fn a_broken_line_is_left_to_the_server() {
        check("{\"a\":1}\n{\"a\":\n", &[(&[1], &["{\"a\":1}"]), (&[2], &["{\"a\":"])]);
    }

    #[test]
    fn parts_of_an_act_come_out_together() {
        let part = |id: &str, part: u8| {
            format!("{{\"act\":{{\"id\":\"{id}\",\"part\":{part},\"parts\":2}}}}")
        };
        let (a0, a1, b0) = (part("a", 0), part("a", 1), part("b", 0));
        let input = format!("{a0}\n{{\"x\":1}}\n{b0}\n{a1}\n");
        check(&input, &[(&[2], &["{\"x\":1}"]), (&[1, 4], &[&a0, &a1]), (&[3], &[&b0])]);
    }
}
