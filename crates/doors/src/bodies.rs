//! Bodies of foreign records through an adapter of the sources.
//!
//! ```text
//! application/json         one record, an array of them, or Okta's envelope with data.events
//! application/x-ndjson     one record a line
//! ```
//!
//! Promises: each body is read by itself, from its start; acts of several events stay whole. A
//! record that the adapter refuses is named by its place, never by its content.

use std::borrow::Cow;

use axum::http::StatusCode;
use ledgerline_answers::problem::Problem;
use ledgerline_ledger::intake::EventError;
use ledgerline_sources::{Act, Choice, Options};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::submitting::{Decoded, Notes, RECORDS_MAX, too_many};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "eventType")]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    data: Enveloped<'a>,
}

#[derive(Deserialize)]
struct Enveloped<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// The records of a body, in their order.
///
/// # Errors
/// When it is no JSON.
pub fn records(body: &str, is_lines: bool) -> Result<Vec<&str>, Problem> {
    if is_lines {
        return Ok(body.lines().filter(|line| !line.trim().is_empty()).collect());
    }
    let bad = |error: serde_json::Error| {
        let place = format!("line {} column {}", error.line(), error.column());
        let detail = format!("the body is no JSON object or array, at {place}");
        Problem::bad_request("bad_json", detail)
    };
    if body.trim_start().starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(body).map_err(bad)?;
        return Ok(list.into_iter().map(RawValue::get).collect());
    }
    if let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(body)
        && envelope.event_type == "com.okta.event_hook"
    {
        return Ok(envelope.data.events.into_iter().map(RawValue::get).collect());
    }
    let only: &RawValue = serde_json::from_str(body).map_err(bad)?;
    Ok(vec![only.get()])
}

/// What an adapter makes of a body.
///
/// # Errors
/// When the body as a whole cannot be read.
pub fn decode(
    choice: &Choice,
    options: Options,
    body: &[u8],
    is_lines: bool,
) -> Result<Decoded, Problem> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Problem::bad_request("not_utf8", "the body is not UTF-8"))?;
    let records = records(text, is_lines)?;
    if records.len() > RECORDS_MAX {
        return Err(too_many());
    }
    let mut adapter = (choice.open)(options);
    let (mut acts, mut refused) = (Vec::<Act>::new(), Vec::new());
    for (number, record) in (1..).zip(&records) {
        if let Err(error) = adapter.line(number, record, &mut acts) {
            refused.push((number, error.problem.to_string()));
        }
    }
    adapter.finish(&mut acts);
    let quarantined = adapter.take_quarantined().into_iter();
    refused.extend(quarantined.map(|one| (one.line, format!("{}: {}", one.code, one.detail))));
    refused.sort_by_key(|(number, _)| *number);
    let report = adapter.report();
    let notes = Notes {
        records: records.len() as u64,
        mapped: report.mapped,
        joined: report.joined_count(),
        skipped: report.skipped_count(),
        refused,
    };
    let events = acts.into_iter().flat_map(|act| act.events);
    let records = events.map(|event| {
        serde_json::to_string(&event)
            .map_err(|_| EventError::new("record_refused", "it cannot be written".to_owned()))
    });
    Ok(Decoded { records: records.collect(), is_lone: false, notes })
}

/// The refusal of a body of which the adapter refuses every record: the log of another system, or
/// one record that is broken. Senders of webhooks read the status alone.
#[must_use]
pub fn refused(notes: &Notes) -> Option<Problem> {
    let (first, detail) = notes.refused.first()?;
    let is_all = notes.mapped + notes.joined + notes.skipped == 0;
    let detail = match notes.records {
        1 => format!("the record: {detail}"),
        count => format!("none of {count} records is taken; record {first}: {detail}"),
    };
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    is_all.then(|| Problem::new(status, "record_refused", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_taken_apart_into_records() {
        let check = |body: &str, is_lines: bool, expected: Option<&[&str]>| {
            let found = records(body, is_lines).ok();
            assert_eq!(found.as_deref(), expected, "{body}");
        };
        check("{\"a\":1}", false, Some(&["{\"a\":1}"]));
        check(" [ {\"a\": 1}, 2 ]", false, Some(&["{\"a\": 1}", "2"]));
        check("{\"a\":1}\r\n\n{\"b\":2}", true, Some(&["{\"a\":1}", "{\"b\":2}"]));
        check("", true, Some(&[]));
        check("", false, None);
        check("[1", false, None);
        let hook = r#"{"eventType":"com.okta.event_hook","data":{"events":[{"uuid":"u"},{}]}}"#;
        check(hook, false, Some(&["{\"uuid\":\"u\"}", "{}"]));
        let other = r#"{"eventType":"x","data":{"events":[1]}}"#;
        check(other, false, Some(&[other]));
    }
}
