//! OpenTelemetry span events and log records as events: `POST /v1/otlp/v1/traces` and `/logs`.
//!
//! ```text
//! name of the event    token.issued, session.revoked, resource.accessed, policy.changed, …
//!                      (as CloudEvents' types), or one of Ory Hydra's and Kratos' (`ory`)
//! attributes           token.*, of which every one must be known (`convention`); and of the
//! general
//!                      conventions http.*, user_agent.original, client.address, user.id,
//!                      session.id
//! native_id            token.event_id or log.record.uid; else a digest of all of it, so that an
//!                      export that is repeated is the same events
//! ```
//!
//! Promises: pure. Spans and log records that name no event of a token are not looked at further:
//! they are counted as skipped, and not rejected. One that names an event and cannot be one is
//! rejected, counted, and said in `partial_success`. Personal values are sealed.
//!
//! Refuses: bodies that would take much more memory than they have bytes: of too many messages
//! (`weight`, before they are decoded), too many events, or events that are larger than the body
//! since they repeat its resource. Texts of more than 1,024 bytes.

pub mod convention;
pub mod ory;
pub mod weight;
pub mod wire;

use std::cell::Cell;
use std::collections::BTreeMap;

use axum::http::StatusCode;
use ledgerline_answers::problem::Problem;
use ledgerline_api::BODY_BYTES_MAX;
use ledgerline_ledger::intake::EventError;
use ledgerline_proof::hash::sha256;
use ledgerline_sources::Naming;
use prost::Message as _;
use serde::Deserialize;

use crate::cloudevents::type_of;
use crate::otlp::wire::{AnyValue, KeyValue, Kind, Logs, Resource, Traces};
use crate::submitting::{Decoded, Notes, RECORDS_MAX, Record};

/// Longest text of an attribute that is read, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// Something that happened, from either signal.
pub(crate) struct Happened<'a> {
    pub name: &'a str,
    pub nanos: u64,
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub attributes: &'a [KeyValue],
    pub resource: &'a Source<'a>,
    /// Whether a text was asked for that is too long.
    pub is_too_long: Cell<bool>,
}

/// A resource, looked through once for all its events.
#[derive(Default)]
pub(crate) struct Source<'a> {
    by_name: BTreeMap<&'a str, &'a KeyValue>,
    digest: Vec<u8>,
}

impl<'a> Source<'a> {
    fn of(resource: Option<&'a Resource>) -> Self {
        let list = resource.map_or(&[][..], |resource| &resource.attributes);
        let mut by_name = BTreeMap::new();
        for one in list {
            by_name.entry(one.key.as_str()).or_insert(one);
        }
        let mut bytes = Vec::new();
        put_all(&mut bytes, list);
        Self { by_name, digest: sha256(&bytes).to_hex().into_bytes() }
    }
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
    bytes.extend_from_slice(part);
}

/// Attributes in one order: exporters may change it between two tries.
fn put_all(bytes: &mut Vec<u8>, list: &[KeyValue]) {
    let mut encoded: Vec<Vec<u8>> = list.iter().map(KeyValue::encode_to_vec).collect();
    encoded.sort();
    encoded.iter().for_each(|one| put(bytes, one));
}

fn is_too_long(value: &Kind) -> bool {
    match value {
        Kind::Text(text) => text.len() > TEXT_BYTES_MAX,
        Kind::Several(list) => {
            list.values.iter().filter_map(|one| one.kind.as_ref()).any(is_too_long)
        }
        _ => false,
    }
}

impl Happened<'_> {
    /// The value of an attribute, its own before that of the resource.
    pub fn get(&self, name: &str) -> Option<&Kind> {
        let own = self.attributes.iter().find(|one| one.key == name);
        let found = own.or_else(|| self.resource.by_name.get(name).copied());
        let value = found?.value.as_ref()?.kind.as_ref()?;
        if is_too_long(value) {
            self.is_too_long.set(true);
            return None;
        }
        Some(value)
    }

    /// The names of its attributes and of those of its resource.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let own = self.attributes.iter().map(|one| one.key.as_str());
        own.chain(self.resource.by_name.keys().copied())
    }

    /// A text that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Kind::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The name of the same event at each export.
    fn identity(&self) -> String {
        if let Some(id) = self.text("token.event_id").or_else(|| self.text("log.record.uid")) {
            return format!("otlp {id}");
        }
        let mut bytes = Vec::new();
        put(&mut bytes, self.name.as_bytes());
        put(&mut bytes, &self.nanos.to_be_bytes());
        put(&mut bytes, self.trace_id);
        put(&mut bytes, self.span_id);
        put(&mut bytes, &self.resource.digest);
        put_all(&mut bytes, self.attributes);
        format!("otlp {}", sha256(&bytes).to_hex())
    }
}

/// How the ids of an event's issuer are named, by `token.issuer` or the service.
pub type Named<'r> = &'r dyn Fn(&str) -> Option<Naming>;

fn read<T: prost::Message + Default + for<'de> Deserialize<'de>>(
    body: &[u8],
    encoding: Encoding,
) -> Result<T, Problem> {
    match encoding {
        Encoding::Protobuf => T::decode(body)
            .map_err(|_| Problem::bad_request("bad_protobuf", "the body is no OTLP message")),
        Encoding::Json => serde_json::from_slice(body).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            Problem::bad_request("bad_json", format!("the body is no OTLP message, at {place}"))
        }),
    }
}

/// The events among the events of spans.
///
/// # Errors
/// When the body is no OTLP message.
pub fn traces(body: &[u8], encoding: Encoding, named: Named<'_>) -> Result<Decoded, Problem> {
    weight::check(body, encoding, weight::Signal::Traces)?;
    let traces: Traces = read(body, encoding)?;
    let mut made = Made::default();
    for of_resource in &traces.resource_spans {
        let resource = Source::of(of_resource.resource.as_ref());
        let spans = of_resource.scope_spans.iter().flat_map(|scope| &scope.spans);
        for span in spans {
            for event in &span.events {
                made.take(
                    &Happened {
                        name: &event.name,
                        nanos: event.time_unix_nano,
                        trace_id: &span.trace_id,
                        span_id: &span.span_id,
                        attributes: &event.attributes,
                        resource: &resource,
                        is_too_long: Cell::default(),
                    },
                    named,
                )?;
            }
        }
    }
    Ok(made.decoded())
}

/// The events among log records.
///
/// # Errors
/// When the body is no OTLP message.
pub fn logs(body: &[u8], encoding: Encoding, named: Named<'_>) -> Result<Decoded, Problem> {
    weight::check(body, encoding, weight::Signal::Logs)?;
    let logs: Logs = read(body, encoding)?;
    let mut made = Made::default();
    for of_resource in &logs.resource_logs {
        let resource = Source::of(of_resource.resource.as_ref());
        let records = of_resource.scope_logs.iter().flat_map(|scope| &scope.log_records);
        for record in records {
            let mut happened = Happened {
                name: &record.event_name,
                nanos: record.time_unix_nano,
                trace_id: &record.trace_id,
                span_id: &record.span_id,
                attributes: &record.attributes,
                resource: &resource,
                is_too_long: Cell::default(),
            };
            if happened.nanos == 0 {
                happened.nanos = record.observed_time_unix_nano;
            }
            // Where the name stood before records had a member for it.
            let older = happened.text("event.name").unwrap_or_default().to_owned();
            if happened.name.is_empty() {
                happened.name = &older;
            }
            made.take(&happened, named)?;
        }
    }
    Ok(made.decoded())
}

fn too_large() -> Problem {
    let detail = "the events of the body are larger than a body may be, with what they take from \
                  its resource; send several";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// Events as they are made.
#[derive(Default)]
struct Made {
    records: Vec<Record>,
    bytes: usize,
    notes: Notes,
}

impl Made {
    fn take(&mut self, happened: &Happened<'_>, named: Named<'_>) -> Result<(), Problem> {
        self.notes.records += 1;
        let made = match type_of(happened.name) {
            Some(event_type) => convention::event(happened, event_type),
            None => match ory::event(happened, named) {
                Some(made) => made,
                None => {
                    self.notes.skipped += 1;
                    return Ok(());
                }
            },
        };
        if self.records.len() == RECORDS_MAX {
            return Err(crate::submitting::too_many());
        }
        let record = made.and_then(|mut event| {
            event.native_id = Some(happened.identity().into());
            if happened.is_too_long.get() {
                let detail = format!("a text has more than {TEXT_BYTES_MAX} bytes");
                return Err(EventError::new("bad_field", detail));
            }
            serde_json::to_string(&event)
                .map_err(|_| EventError::new("bad_field", "it cannot be written".to_owned()))
        });
        self.bytes += record.as_ref().map_or(0, String::len);
        if self.bytes > BODY_BYTES_MAX {
            return Err(too_large());
        }
        self.records.push(record);
        Ok(())
    }

    fn decoded(self) -> Decoded {
        Decoded { records: self.records, is_lone: false, notes: self.notes }
    }
}

/// The texts of a value that is a list, or one text with blanks between them.
pub(crate) fn texts(value: &Kind) -> Vec<String> {
    let text = |one: &AnyValue| match &one.kind {
        Some(Kind::Text(text)) => Some(text.clone()),
        _ => None,
    };
    match value {
        Kind::Text(text) => text.split_whitespace().map(str::to_owned).collect(),
        Kind::Several(list) => list.values.iter().filter_map(text).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
