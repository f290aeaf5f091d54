//! The doors for what others speak, as rows of the table of operations.

use crate::ingest;
use crate::operation::{Form, NOTHING, Operation};
use crate::schema::schema_of;
use crate::values::Document;

/// Routes of the doors.
pub const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        body: Some(Form::JsonOf("application/cloudevents+json", schema_of::<Document>)),
        media_types: &["application/cloudevents-batch+json", "application/json"],
        description: "Beside one event in structured mode, `application/cloudevents-batch+json` \
            (an array) and `application/json` with the attributes as `ce-` headers (binary mode) \
            are taken. `data` is an event without `event_id` and `native_id`: `source` and `id` \
            of the CloudEvent say which it is. Answered when it is on the disk; with `Prefer: \
            return=minimal` by 204.",
        answered: "A verdict for each event, and the receipt.",
        may_conflict: true,
        bare_statuses: &[204],
        answer: Form::Json(schema_of::<ingest::Verdicts<'static>>),
        roles: "producer",
        ..door("record_cloudevents", "/v1/cloudevents", "Record CloudEvents 1.0")
    },
    Operation {
        method: "options",
        description: "The handshake of CloudEvents webhooks: `WebHook-Request-Origin` is answered \
            by `WebHook-Allowed-Origin`.",
        ..door("allow_cloudevents", "/v1/cloudevents", "Ask whether CloudEvents may be delivered")
    },
];

/// A row to begin with.
const fn door(id: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation { tag: "doors", id, path, summary, answer: Form::Text("text/plain"), ..NOTHING }
}
