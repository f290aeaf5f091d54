//! The messages of OTLP 1.x that are read here, in both of its encodings: protobuf, and JSON with
//! hex ids and 64-bit numbers as texts or numbers.
//!
//! Promises: fields that are not listed are skipped, as both encodings have it. Nothing is kept
//! that no event is made of.

use prost::{Message, Oneof};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

macro_rules! messages {
    ($(
        $(#[$meta:meta])*
        $name:ident { $( $(#[$fmeta:meta])* $field:ident: $ty:ty, )* }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Message, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        pub struct $name { $( $(#[$fmeta])* pub $field: $ty, )* }
    )*};
}

messages! {
    /// `ExportTraceServiceRequest`.
    Traces {
        /// By who sent them.
        #[prost(message, repeated, tag = "1")]
        resource_spans: Vec<ResourceSpans>,
    }
    /// Spans of one resource.
    ResourceSpans {
        /// Who sent them.
        #[prost(message, optional, tag = "1")]
        resource: Option<Resource>,
        /// By instrumentation.
        #[prost(message, repeated, tag = "2")]
        scope_spans: Vec<ScopeSpans>,
    }
    /// Spans of one instrumentation.
    ScopeSpans {
        /// The spans.
        #[prost(message, repeated, tag = "2")]
        spans: Vec<Span>,
    }
    /// A span; what matters of it are its events.
    Span {
        /// The trace.
        #[prost(bytes = "vec", tag = "1")]
        #[serde(deserialize_with = "hex_bytes")]
        trace_id: Vec<u8>,
        /// The span.
        #[prost(bytes = "vec", tag = "2")]
        #[serde(deserialize_with = "hex_bytes")]
        span_id: Vec<u8>,
        /// What happened in it.
        #[prost(message, repeated, tag = "11")]
        events: Vec<SpanEvent>,
    }
    /// An event of a span.
    SpanEvent {
        /// When, Unix nanoseconds.
        #[prost(fixed64, tag = "1")]
        #[serde(deserialize_with = "number")]
        time_unix_nano: u64,
        /// What.
        #[prost(string, tag = "2")]
        name: String,
        /// More of it.
        #[prost(message, repeated, tag = "3")]
        attributes: Vec<KeyValue>,
    }
    /// `ExportLogsServiceRequest`.
    Logs {
        /// By who sent them.
        #[prost(message, repeated, tag = "1")]
        resource_logs: Vec<ResourceLogs>,
    }
    /// Log records of one resource.
    ResourceLogs {
        /// Who sent them.
        #[prost(message, optional, tag = "1")]
        resource: Option<Resource>,
        /// By instrumentation.
        #[prost(message, repeated, tag = "2")]
        scope_logs: Vec<ScopeLogs>,
    }
    /// Log records of one instrumentation.
    ScopeLogs {
        /// The records.
        #[prost(message, repeated, tag = "2")]
        log_records: Vec<LogRecord>,
    }
    /// A log record; its body is not read.
    LogRecord {
        /// When, Unix nanoseconds; 0 where not known.
        #[prost(fixed64, tag = "1")]
        #[serde(deserialize_with = "number")]
        time_unix_nano: u64,
        /// More of it.
        #[prost(message, repeated, tag = "6")]
        attributes: Vec<KeyValue>,
        /// The trace.
        #[prost(bytes = "vec", tag = "9")]
        #[serde(deserialize_with = "hex_bytes")]
        trace_id: Vec<u8>,
        /// The span.
        #[prost(bytes = "vec", tag = "10")]
        #[serde(deserialize_with = "hex_bytes")]
        span_id: Vec<u8>,
        /// When it was seen, Unix nanoseconds.
        #[prost(fixed64, tag = "11")]
        #[serde(deserialize_with = "number")]
        observed_time_unix_nano: u64,
        /// What happened; empty for a record that is no event.
        #[prost(string, tag = "12")]
        event_name: String,
    }
    /// Who sent something.
    Resource {
        /// What is known of it.
        #[prost(message, repeated, tag = "1")]
        attributes: Vec<KeyValue>,
    }
    /// One attribute.
    KeyValue {
        /// Its name.
        #[prost(string, tag = "1")]
        key: String,
        /// Its value.
        #[prost(message, optional, tag = "2")]
        value: Option<AnyValue>,
    }
    /// A value of some type.
    AnyValue {
        /// The value.
        #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5")]
        #[serde(flatten)]
        kind: Option<Kind>,
    }
    /// Several values.
    ArrayValue {
        /// The values.
        #[prost(message, repeated, tag = "1")]
        values: Vec<AnyValue>,
    }
}

/// The types of values that are read.
#[derive(Clone, PartialEq, Oneof, Deserialize)]
pub enum Kind {
    /// A text.
    #[prost(string, tag = "1")]
    #[serde(rename = "stringValue")]
    Text(String),
    /// Yes or no.
    #[prost(bool, tag = "2")]
    #[serde(rename = "boolValue")]
    Bool(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    #[serde(rename = "intValue", deserialize_with = "signed")]
    Whole(i64),
    /// Any number.
    #[prost(double, tag = "4")]
    #[serde(rename = "doubleValue")]
    Float(f64),
    /// Several values.
    #[prost(message, tag = "5")]
    #[serde(rename = "arrayValue")]
    Several(ArrayValue),
}

/// The answer to either: `partial_success` with the same numbers.
#[derive(Clone, PartialEq, Message)]
pub struct Answer {
    /// Set when something was rejected.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// What was rejected.
#[derive(Clone, PartialEq, Message)]
pub struct PartialSuccess {
    /// How many spans or log records.
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    /// Why, for people.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// `google.rpc.Status`, the body of refusals.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    /// A code of gRPC.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number<T> {
    Number(T),
    Text(String),
}

fn number<'de, D: Deserializer<'de>>(source: D) -> Result<u64, D::Error> {
    match Number::<u64>::deserialize(source)? {
        Number::Number(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(|_| D::Error::custom("not a number")),
    }
}

fn signed<'de, D: Deserializer<'de>>(source: D) -> Result<i64, D::Error> {
    match Number::<i64>::deserialize(source)? {
        Number::Number(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(|_| D::Error::custom("not a number")),
    }
}

fn hex_bytes<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(source)?;
    hex::decode(text).map_err(|_| D::Error::custom("not hex"))
}
