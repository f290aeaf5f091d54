//! The table of all routes: what each method of each path takes and gives.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::operation::{Form, LOG_PAGE, Operation, QUESTION_PAGE, READERS, get, listing, post};
use crate::schema::schema_of;
use crate::values::Document;
use crate::{
    door, event, finding, ingest, key, log, oauth, privacy, question, reconcile, revoke, source,
    status, token, triage,
};

/// What the interface is, in a paragraph.
pub const ABOUT: &str = "Every refusal is a problem (RFC 9457) with a stable `code`, and never \
    repeats what was sent. Lists are paged in one way: `limit` items, and `page` = the `next` of \
    the answer before. Every answer about the past names the size of the log it speaks of, and \
    what cut it. `proof=true` answers with a proof bundle that is checked offline.";

/// Groups of operations.
pub const TAGS: &[(&str, &str)] = &[
    ("events", "Recording events, and reading one back."),
    ("tokens", "What is recorded about one token."),
    ("questions", "Questions about persons, clients, sessions, resources and policies."),
    ("incidents", "Leaked tokens: what they are, what they reach, ending them."),
    ("findings", "What the rules noticed."),
    ("oauth", "Introspection and revocation for services and clients."),
    ("privacy", "Personal values: handles, disclosure, erasure."),
    ("sources", "Who reports, and how completely."),
    ("log", "The log itself: blocks, leaves, checkpoints, tiles."),
    ("doors", "Events as other systems speak: CloudEvents, security events, decision logs."),
    ("server", "Status, keys, issuers, health."),
];

/// What a segment of a path is: its meaning and its schema.
pub(super) fn segment(path: &str, name: &str) -> (&'static str, Value) {
    let text = json!({ "type": "string" });
    let uuid = json!({ "type": "string", "format": "uuid" });
    match (name, path) {
        ("id", path) if path.starts_with("/v1/tokens") => {
            ("A token id: `<region>:<issuer alias>:<form>:<value>`. Never the token itself.", text)
        }
        ("id", path) if path.starts_with("/v1/findings") => (
            "A finding's id: 64 hex digits.",
            json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
        ),
        ("id", path) if path.starts_with("/v1/issuers") => ("`<region>:<issuer alias>`.", text),
        ("id", path) if path.starts_with("/v1/resources") => (
            "A resource: its template such as `/orders/{id}`, or the handle of a concrete one.",
            text,
        ),
        ("id", path) if path.starts_with("/v1/policies") => ("A policy's id.", text),
        ("id", _) => ("Its id: `<region>:<issuer alias>:<id>`.", text),
        ("handle", _) => (
            "The handle of a personal value: 32 hex digits. `POST /v1/resolve` gives it.",
            json!({ "type": "string", "pattern": "^[0-9a-fA-F-]{32,36}$" }),
        ),
        ("source", _) => ("The event's source.", text),
        ("event_id", _) => ("The event's UUID.", uuid),
        ("name", path) if path.starts_with("/v1/adapters") => ("The adapter.", text),
        ("name", _) => ("The door, as the settings name it.", text),
        ("key_id", _) => ("The key's id.", text),
        ("index", _) => ("Index of the leaf.", json!({ "type": "integer", "minimum": 0 })),
        ("digest", _) => ("`sha256:` and 64 hex digits.", text),
        _ => ("The rest of the path.", text),
    }
}

/// Every route.
pub fn operations() -> impl Iterator<Item = &'static Operation> {
    question::OPERATIONS.iter().chain(door::OPERATIONS).chain(OTHERS)
}

/// Routes that ask no question about the past.
const OTHERS: &[Operation] = &[
    Operation {
        parameters: &["receipt"],
        media_types: &["application/x-ndjson", "application/vnd.ledgerline.batch"],
        description: "Answered when they are on the disk: what was recorded stays recorded. At \
            most 16 MiB and 10,000 events. Beside JSON, `application/x-ndjson` (one event a line) \
            and `application/vnd.ledgerline.batch` (signed submissions in Avro) are taken. A lone \
            event that is refused is answered by its own status; the other forms by 200 and a \
            verdict for each. Sent again with the same `event_id`, an event is a `duplicate`.",
        answered: "A verdict for each event, and the receipt.",
        may_conflict: true,
        ..post(
            "events",
            "record_events",
            "/v1/events",
            "Record events",
            "producer",
            schema_of::<event::Events<'static>>,
            schema_of::<ingest::Verdicts<'static>>,
        )
    },
    get(
        "events",
        "get_event",
        "/v1/events/{source}/{event_id}",
        "A recorded event",
        READERS,
        &["tenant"],
        Form::Json(schema_of::<log::Recorded<'static>>),
    ),
    get(
        "events",
        "prove_event",
        "/v1/events/{source}/{event_id}/proof",
        "The proof bundle of an event",
        "reader auditor",
        &["tenant", "previous_size", "wait"],
        Form::Json(schema_of::<Document>),
    ),
    get(
        "tokens",
        "get_token",
        "/v1/tokens/{id}",
        "Where a token stands",
        READERS,
        &["tenant", "as_of", "at"],
        Form::Json(schema_of::<token::TokenLife<'static>>),
    ),
    Operation {
        limits: QUESTION_PAGE,
        ..get(
            "tokens",
            "list_token_events",
            "/v1/tokens/{id}/events",
            "A token's life: its states and its events, oldest first",
            READERS,
            &["tenant", "as_of", "at", "limit", "page"],
            Form::Json(schema_of::<token::TokenEvents<'static>>),
        )
    },
    get(
        "tokens",
        "prove_token",
        "/v1/tokens/{id}/proof",
        "The proof bundle of a token's life",
        "reader auditor",
        &["tenant", "origin", "previous_size", "wait"],
        Form::Json(schema_of::<Document>),
    ),
    post(
        "incidents",
        "triage_tokens",
        "/v1/triage",
        "Which of up to 500 leaked tokens are known, whose they are, and what is alive",
        READERS,
        schema_of::<triage::Triage>,
        schema_of::<triage::Triaged<'static>>,
    ),
    get(
        "oauth",
        "get_jwks",
        "/oauth2/jwks",
        "The keys that sign introspection answers (RFC 9701)",
        "",
        &[],
        Form::JsonOf("application/jwk-set+json", schema_of::<oauth::Jwks>),
    ),
    Operation {
        description: "Revokes the token and what goes with it, and notifies its issuer when the \
            token is sent along and the register says how. `dry_run` says what would be done.",
        ..post(
            "incidents",
            "revoke_blast_radius",
            "/v1/tokens/{id}/blast-radius",
            "Revoke every token of a blast radius that may still be used",
            "responder",
            schema_of::<revoke::RevokeFamily>,
            schema_of::<revoke::Revoked>,
        )
    },
    get(
        "questions",
        "get_attachment",
        "/v1/attachments/{digest}",
        "A document that an event names, such as a policy's text",
        READERS,
        &["tenant", "as_of", "at", "proof", "origin", "previous_size", "wait"],
        Form::Bytes("application/octet-stream"),
    ),
    Operation {
        limits: QUESTION_PAGE,
        description: "For gateways that keep their own list. `next` is the position to go on \
            from: send it as `since`. With `wait` an empty answer comes only when the time is \
            over.",
        ..get(
            "incidents",
            "list_revocations",
            "/v1/revocations",
            "A feed of revocations, in the order of recording",
            "resource_server reader auditor responder",
            &["since", "limit", "wait", "tenant"],
            Form::Json(schema_of::<finding::Revocations<'static>>),
        )
    },
    Operation {
        body: Some(Form::Urlencoded(schema_of::<oauth::IntrospectForm<'static>>)),
        description: "RFC 7662; with `Accept: application/token-introspection+jwt` as a signed \
            JWT (RFC 9701). All that is not active is answered by the same bytes.",
        ..post(
            "oauth",
            "introspect",
            "/oauth2/introspect",
            "Whether a token may be used now",
            "resource_server",
            schema_of::<Document>,
            schema_of::<oauth::Introspection<'static>>,
        )
    },
    Operation {
        body: Some(Form::Urlencoded(schema_of::<oauth::RevokeForm<'static>>)),
        description: "RFC 7009. With the token ends what goes with it. To a client the 200 is \
            empty; a responder reads what became of each token.",
        ..post(
            "oauth",
            "revoke",
            "/oauth2/revoke",
            "Revoke a token",
            "client responder",
            schema_of::<Document>,
            schema_of::<revoke::Revoked>,
        )
    },
    Operation {
        description: "With `follow` as server-sent events, which do not end.",
        ..listing(
            "findings",
            "list_findings",
            "/v1/findings",
            "What the rules noticed, in the order of recording",
            &[
                "tenant",
                "as_of",
                "at",
                "proof",
                "origin",
                "previous_size",
                "wait",
                "limit",
                "page",
                "state",
                "severity",
                "rule",
                "token",
                "from",
                "follow",
            ],
            schema_of::<Answer<'static, finding::Findings<'static>>>,
        )
    },
    get(
        "findings",
        "get_finding",
        "/v1/findings/{id}",
        "One finding",
        READERS,
        &["tenant", "wait"],
        Form::Json(schema_of::<finding::Finding<'static>>),
    ),
    Operation {
        may_conflict: true,
        ..post(
            "findings",
            "acknowledge_finding",
            "/v1/findings/{id}/acknowledge",
            "Say that somebody looks at a finding",
            "responder admin",
            schema_of::<finding::MoveRequest>,
            schema_of::<finding::Moved<'static>>,
        )
    },
    Operation {
        may_conflict: true,
        ..post(
            "findings",
            "close_finding",
            "/v1/findings/{id}/close",
            "Say that a finding is dealt with, and how",
            "responder admin",
            schema_of::<finding::MoveRequest>,
            schema_of::<finding::Moved<'static>>,
        )
    },
    post(
        "sources",
        "reconcile",
        "/v1/reconciliations",
        "Up to 500 tokens of an issuer's own table against the ledger",
        "responder admin",
        schema_of::<reconcile::Reconciliation>,
        schema_of::<reconcile::Reconciled<'static>>,
    ),
    Operation {
        limits: Some((100, 100)),
        ..get(
            "sources",
            "list_sources",
            "/v1/sources",
            "Who reports to the ledger, and how completely",
            "reader auditor responder admin",
            &["tenant", "limit", "page", "wait"],
            Form::Json(schema_of::<source::Sources<'static>>),
        )
    },
    Operation {
        parameters: &["wait"],
        ..post(
            "sources",
            "judge_inventory",
            "/v1/sources",
            "An inventory of who should report, against what was reported",
            "reader auditor responder admin",
            schema_of::<source::Inventory>,
            schema_of::<source::Sources<'static>>,
        )
    },
    get(
        "log",
        "get_leaf",
        "/v1/leaves/{index}",
        "A leaf of the log, with its inclusion proof; for auditors of all tenants",
        "auditor",
        &[],
        Form::Json(schema_of::<log::Leaf<'static>>),
    ),
    Operation {
        limits: LOG_PAGE,
        ..get(
            "log",
            "list_blocks",
            "/v1/blocks",
            "Blocks, newest first",
            READERS,
            &["limit", "page"],
            Form::Json(schema_of::<log::Blocks<'static>>),
        )
    },
    Operation {
        limits: LOG_PAGE,
        ..get(
            "log",
            "list_verify_reports",
            "/v1/verify-reports",
            "Reports of the server's own verifier, newest first",
            "reader auditor responder admin",
            &["limit", "page", "wait"],
            Form::Json(schema_of::<log::VerifyReports<'static>>),
        )
    },
    Operation {
        limits: LOG_PAGE,
        ..get(
            "log",
            "list_write_accesses",
            "/v1/write-accesses",
            "Who asked to write, by credential and interval, newest first",
            "reader auditor responder admin",
            &["limit", "page", "tenant"],
            Form::Json(schema_of::<source::WriteAccesses<'static>>),
        )
    },
    get(
        "server",
        "get_status",
        "/v1/status",
        "Server status",
        "reader auditor responder producer admin",
        &["wait"],
        Form::Json(schema_of::<status::ServerStatus<'static>>),
    ),
    get(
        "server",
        "list_issuers",
        "/v1/issuers",
        "The register of issuers, and those that keys may write for",
        "any",
        &[],
        Form::Json(schema_of::<status::IssuerRegister<'static>>),
    ),
    post(
        "privacy",
        "resolve",
        "/v1/resolve",
        "The handle of a personal value",
        "privacy",
        schema_of::<privacy::Resolve>,
        schema_of::<privacy::Resolved>,
    ),
    post(
        "privacy",
        "erase",
        "/v1/erase",
        "Destroy the personal data behind a handle, for ever",
        "privacy",
        schema_of::<privacy::Erase>,
        schema_of::<privacy::Erased>,
    ),
    Operation {
        description: "A DISCLOSED entry is on the disk before anything is opened. Each page is a \
            disclosure of its own.",
        answered: "The events with their opened records; with `proof` a proof bundle.",
        ..post(
            "privacy",
            "disclose",
            "/v1/disclose",
            "Read personal records back",
            "privacy",
            schema_of::<privacy::Disclose>,
            schema_of::<privacy::Disclosed<'static>>,
        )
    },
    get(
        "server",
        "list_keys",
        "/v1/keys",
        "The keys of the caller's tenant",
        "admin",
        &[],
        Form::Json(schema_of::<key::Keys<'static>>),
    ),
    Operation {
        status: 201,
        may_conflict: true,
        ..post(
            "server",
            "add_key",
            "/v1/keys",
            "Make a key; its secret is shown this once",
            "admin",
            schema_of::<key::NewKey>,
            schema_of::<key::AddedKey>,
        )
    },
    Operation {
        status: 201,
        may_conflict: true,
        ..post(
            "server",
            "rotate_key",
            "/v1/keys/{key_id}/rotate",
            "Replace a key by one with the same grant",
            "admin",
            schema_of::<key::RotateKey>,
            schema_of::<key::AddedKey>,
        )
    },
    Operation {
        method: "delete",
        may_conflict: true,
        ..get(
            "server",
            "end_key",
            "/v1/keys/{key_id}",
            "End a key",
            "admin",
            &["compromised", "reason"],
            Form::Json(schema_of::<key::RecordedAt>),
        )
    },
    get(
        "server",
        "get_openapi",
        "/openapi.json",
        "This document",
        "any",
        &[],
        Form::Json(schema_of::<Document>),
    ),
    get(
        "log",
        "get_checkpoint",
        "/checkpoint",
        "The published checkpoint (C2SP tlog-checkpoint)",
        "",
        &[],
        Form::Text("text/plain"),
    ),
    Operation {
        is_partly_open: true,
        ..get(
            "log",
            "get_tile",
            "/tile/{*path}",
            "Tiles (C2SP tlog-tiles); entry bundles need an auditor of all tenants",
            "",
            &[],
            Form::Bytes("application/octet-stream"),
        )
    },
    get(
        "server",
        "get_metrics",
        "/metrics",
        "Metrics in the text form of Prometheus",
        "reader auditor admin",
        &[],
        Form::Text("text/plain"),
    ),
    get(
        "server",
        "get_healthz",
        "/healthz",
        "The process answers",
        "",
        &[],
        Form::Text("text/plain"),
    ),
    get(
        "server",
        "get_readyz",
        "/readyz",
        "Events are taken, and what lags",
        "",
        &[],
        Form::Text("text/plain"),
    ),
    get(
        "server",
        "get_index",
        "/",
        "Where to begin",
        "",
        &[],
        Form::Json(schema_of::<status::Index<'static>>),
    ),
    get(
        "server",
        "get_docs",
        "/docs",
        "This interface as a page",
        "",
        &[],
        Form::Text("text/html"),
    ),
];

/// The operation that a request goes to.
#[must_use]
pub fn find(method: &str, path: &str) -> Option<&'static Operation> {
    operations().find(|one| one.path == path && one.method.eq_ignore_ascii_case(method))
}
