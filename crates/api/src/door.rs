//! The doors for what others speak, as rows of the table of operations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::ingest::{self, Verdict};
use crate::operation::{Form, NOTHING, Operation, get};
use crate::schema::schema_of;
use crate::values::{Document, Str};

/// A record that an adapter could not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedRecord {
    /// Which of the body, from 1.
    pub record: u64,
    /// What is wrong with it; never a value of it.
    pub detail: Str<'static>,
}

/// What became of foreign records, once all of it is on the disk.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Adapted<'a> {
    /// Records that were read.
    pub records: u64,
    /// Those that gave an event, or completed one.
    pub mapped: u64,
    /// Those of them that stand in the event of another record.
    pub joined: u64,
    /// Those with nothing for the ledger in them.
    pub skipped: u64,
    /// Those that the adapter could not read.
    pub refused: Vec<RefusedRecord>,
    /// One for each event that was made, in order.
    #[serde(borrow)]
    pub events: Vec<Verdict<'a>>,
    /// The receipt: the signed checkpoint of a tree that holds everything recorded.
    pub checkpoint: Option<Str<'a>>,
}

/// The answer to the one-time verification of an Okta event hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification<'a> {
    /// The challenge.
    #[serde(borrow)]
    pub verification: Str<'a>,
}

/// The form of a back-channel logout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackchannelLogout {
    /// The logout token: a compact JWS.
    pub logout_token: String,
}

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
    Operation {
        method: "post",
        body: Some(Form::Text("application/secevent+jwt")),
        status: 202,
        answered: "Recorded, or recorded before; no body.",
        description: "A security event token (RFC 8417) of an issuer in the register, pushed as \
            RFC 8935 has it. Sent with an API key of the role producer; without one, where the \
            settings have a door for its issuer. A token that is refused is answered by 400 and \
            `{err, description}`, with the codes of RFC 8935 section 2.4.",
        ..door("push_set", "/v1/sets", "Record a security event token")
    },
    Operation {
        method: "post",
        body: Some(Form::Urlencoded(schema_of::<BackchannelLogout>)),
        answered: "Recorded, or recorded before; no body.",
        description: "A logout token as OIDC Back-Channel Logout 1.0 has it. Known as a security \
            event token is. Refused by 400 and `{error, error_description}`.",
        ..door("backchannel_logout", "/v1/backchannel-logout", "Record a logout at an issuer")
    },
    Operation {
        method: "post",
        body: Some(Form::Json(schema_of::<Vec<Document>>)),
        description: "What Open Policy Agent's decision logger sends, also packed with gzip. A \
            decision that carries a bearer value is refused by the name of the member: mask it \
            in OPA.",
        answered: "A verdict for each decision, and the receipt.",
        answer: Form::Json(schema_of::<ingest::Verdicts<'static>>),
        roles: "producer",
        ..door("record_decisions", "/v1/opa/logs", "Record a decision log of Open Policy Agent")
    },
    Operation {
        description: "For the token events among the events of spans; everything else is left \
            out. `application/x-protobuf` or `application/json`, also packed with gzip. Refusals \
            are a `google.rpc.Status` in the encoding of the request.",
        ..otlp("export_traces", "/v1/otlp/v1/traces", "Record token events of OpenTelemetry spans")
    },
    Operation {
        description: "For log records whose event name is that of a token event; everything else \
            is left out. As for spans.",
        ..otlp("export_logs", "/v1/otlp/v1/logs", "Record token events of OpenTelemetry logs")
    },
    Operation {
        method: "post",
        parameters: &["issuer"],
        needed: &["issuer"],
        body: Some(Form::Json(schema_of::<Document>)),
        media_types: &["application/x-ndjson"],
        description: "One record, an array of records, or one a line. `ledgerline adapters` lists \
            the adapters.",
        answered: "What the records became, with a verdict for each event, and the receipt.",
        answer: Form::Json(schema_of::<Adapted<'static>>),
        roles: "producer",
        ..door("record_adapted", "/v1/adapters/{name}", "Record what another system logged")
    },
    Operation {
        method: "post",
        body: Some(Form::Json(schema_of::<Document>)),
        media_types: &["application/x-ndjson"],
        description: "As for an adapter, by a door of the settings: its sender proves itself by an \
            HMAC of the body, a signature over it, or a secret; otherwise 401 \
            `bad_hook_signature`.",
        answered: "What the records became, with a verdict for each event, and the receipt.",
        answer: Form::Json(schema_of::<Adapted<'static>>),
        is_partly_open: true,
        ..door("record_hooked", "/v1/hooks/{name}", "Record what a webhook delivers")
    },
    Operation {
        is_partly_open: true,
        ..get(
            "doors",
            "verify_hook",
            "/v1/hooks/{name}",
            "Answer the one-time verification of an Okta event hook",
            "",
            &[],
            Form::Json(schema_of::<Verification<'static>>),
        )
    },
];

/// A row to begin with.
const fn door(id: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation { tag: "doors", id, path, summary, answer: Form::Text("text/plain"), ..NOTHING }
}

/// A signal of OTLP.
const fn otlp(id: &'static str, path: &'static str, summary: &'static str) -> Operation {
    Operation {
        method: "post",
        body: Some(Form::Json(schema_of::<Document>)),
        media_types: &["application/x-protobuf"],
        answered: "Taken; `partialSuccess` counts what was rejected.",
        answer: Form::Json(schema_of::<Document>),
        roles: "producer",
        ..door(id, path, summary)
    }
}
