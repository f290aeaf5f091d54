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

pub mod convention;
pub mod ory;
pub mod wire;

use ledgerline_ledger::intake::EventError;
use ledgerline_proof::hash::sha256;
use ledgerline_sources::Naming;
use prost::Message as _;
use serde::Deserialize;

use crate::cloudevents::type_of;
use crate::otlp::wire::{AnyValue, KeyValue, Kind, Logs, Resource, Traces};
use crate::submitting::{Decoded, Notes, RECORDS_MAX, Record};
use ledgerline_answers::problem::Problem;

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
    pub resource: &'a [KeyValue],
}

impl Happened<'_> {
    /// The value of an attribute, its own before that of the resource.
    pub fn get(&self, name: &str) -> Option<&Kind> {
        let find = |list: &'_ [KeyValue]| list.iter().position(|one| one.key == name);
        let own = find(self.attributes).map(|at| &self.attributes[at]);
        let found = own.or_else(|| find(self.resource).map(|at| &self.resource[at]));
        found?.value.as_ref()?.kind.as_ref()
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
            return id.to_owned();
        }
        let mut bytes = Vec::new();
        let mut put = |part: &[u8]| {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        };
        put(self.name.as_bytes());
        put(&self.nanos.to_be_bytes());
        put(self.trace_id);
        put(self.span_id);
        for list in [self.resource, self.attributes] {
            // Exporters may change the order between two tries.
            let mut encoded: Vec<Vec<u8>> = list.iter().map(KeyValue::encode_to_vec).collect();
            encoded.sort();
            encoded.iter().for_each(|one| put(one));
        }
        format!("otlp-{}", sha256(&bytes).to_hex())
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
    let traces: Traces = read(body, encoding)?;
    let mut made = Made::default();
    for of_resource in &traces.resource_spans {
        let resource = attributes_of(of_resource.resource.as_ref());
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
                        resource,
                    },
                    named,
                );
            }
        }
    }
    made.decoded()
}

/// The events among log records.
///
/// # Errors
/// When the body is no OTLP message.
pub fn logs(body: &[u8], encoding: Encoding, named: Named<'_>) -> Result<Decoded, Problem> {
    let logs: Logs = read(body, encoding)?;
    let mut made = Made::default();
    for of_resource in &logs.resource_logs {
        let resource = attributes_of(of_resource.resource.as_ref());
        let records = of_resource.scope_logs.iter().flat_map(|scope| &scope.log_records);
        for record in records {
            let mut happened = Happened {
                name: &record.event_name,
                nanos: record.time_unix_nano,
                trace_id: &record.trace_id,
                span_id: &record.span_id,
                attributes: &record.attributes,
                resource,
            };
            if happened.nanos == 0 {
                happened.nanos = record.observed_time_unix_nano;
            }
            // Where the name stood before records had a member for it.
            let older = happened.text("event.name").unwrap_or_default().to_owned();
            if happened.name.is_empty() {
                happened.name = &older;
            }
            made.take(&happened, named);
        }
    }
    made.decoded()
}

fn attributes_of(resource: Option<&Resource>) -> &[KeyValue] {
    resource.map_or(&[], |resource| &resource.attributes)
}

/// Events as they are made.
#[derive(Default)]
struct Made {
    records: Vec<Record>,
    notes: Notes,
}

impl Made {
    fn take(&mut self, happened: &Happened<'_>, named: Named<'_>) {
        self.notes.records += 1;
        let made = match type_of(happened.name) {
            Some(event_type) => convention::event(happened, event_type),
            None => match ory::event(happened, named) {
                Some(made) => made,
                None => {
                    self.notes.skipped += 1;
                    return;
                }
            },
        };
        let record = made.and_then(|mut event| {
            event.native_id = Some(happened.identity().into());
            serde_json::to_string(&event)
                .map_err(|_| EventError::new("bad_field", "it cannot be written".to_owned()))
        });
        self.records.push(record);
    }

    fn decoded(self) -> Result<Decoded, Problem> {
        if self.records.len() > RECORDS_MAX {
            return Err(crate::submitting::too_many());
        }
        Ok(Decoded { records: self.records, is_lone: false, notes: self.notes })
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
