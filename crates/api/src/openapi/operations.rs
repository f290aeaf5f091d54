//! The table of all routes: what each method of each path takes and gives.

use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::schema_of;
use crate::answer::Answer;
use crate::values::Document;
use crate::{
    event, finding, ingest, key, log, oauth, privacy, question, reconcile, revoke, source, status,
    token, triage,
};

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a body is.
pub enum Form {
    /// JSON.
    Json(SchemaOf),
    /// `application/x-www-form-urlencoded`.
    Urlencoded(SchemaOf),
    /// A text of a media type.
    Text(&'static str),
    /// Bytes of a media type.
    Bytes(&'static str),
}

/// One method of one path.
pub struct Operation {
    /// The method, in small letters.
    pub method: &'static str,
    /// The path, as the router has it.
    pub path: &'static str,
    /// Its name, which generated clients call it by.
    pub id: &'static str,
    /// The group it is shown in.
    pub tag: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// More about it.
    pub description: &'static str,
    /// Roles of which one is needed; `any` is any key, none is nobody.
    pub roles: &'static str,
    /// Names of the parameters that its query knows.
    pub parameters: &'static [&'static str],
    /// Items on a page: how many without `limit`, and the most.
    pub limits: Option<(usize, usize)>,
    /// What is sent.
    pub body: Option<Form>,
    /// Media types that are taken beside the one of `body`.
    pub media_types: &'static [&'static str],
    /// The status of success.
    pub status: u16,
    /// What is answered, in a sentence.
    pub answered: &'static str,
    /// What is answered.
    pub answer: Form,
    /// Whether it may be refused as contradicting what is recorded.
    pub may_conflict: bool,
    /// Whether a part of what it answers needs a key.
    pub is_partly_open: bool,
}

/// Items that one proof may have.
pub const PROVEN_ITEMS_MAX: usize = 10_000;
const READERS: &str = "reader auditor responder";
/// Items on a page of a question.
const QUESTION_PAGE: Option<(usize, usize)> = Some((100, 1000));
/// Blocks, or reports, on a page.
const LOG_PAGE: Option<(usize, usize)> = Some((20, 200));

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
    ("server", "Status, keys, issuers, health."),
];

const NOTHING: Operation = Operation {
    method: "get",
    path: "",
    id: "",
    tag: "",
    summary: "",
    description: "",
    roles: "",
    parameters: &[],
    limits: None,
    body: None,
    media_types: &[],
    status: 200,
    answered: "Done.",
    answer: Form::Json(schema_of::<Document>),
    may_conflict: false,
    is_partly_open: false,
};

/// A question about a token or something else: `GET` with the parameters that all have, and these.
pub const fn question(
    tag: &'static str,
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    answer: SchemaOf,
) -> Operation {
    Operation {
        path,
        id,
        tag,
        summary,
        roles: READERS,
        parameters,
        answer: Form::Json(answer),
        answered: "The answer; with `proof=true` its proof bundle.",
        ..NOTHING
    }
}

/// A question that is answered page by page.
pub const fn listing(
    tag: &'static str,
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    answer: SchemaOf,
) -> Operation {
    Operation { limits: QUESTION_PAGE, ..question(tag, id, path, summary, parameters, answer) }
}

/// A `POST` of JSON.
const fn post(
    tag: &'static str,
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    roles: &'static str,
    body: SchemaOf,
    answer: SchemaOf,
) -> Operation {
    Operation {
        method: "post",
        path,
        id,
        tag,
        summary,
        roles,
        body: Some(Form::Json(body)),
        answer: Form::Json(answer),
        ..NOTHING
    }
}

/// Anything else that is read.
const fn get(
    tag: &'static str,
    id: &'static str,
    path: &'static str,
    summary: &'static str,
    roles: &'static str,
    parameters: &'static [&'static str],
    answer: Form,
) -> Operation {
    Operation { path, id, tag, summary, roles, parameters, answer, ..NOTHING }
}

impl Operation {
    /// The path as OpenAPI writes it.
    #[must_use]
    pub fn public_path(&self) -> String {
        self.path.replace("{*", "{")
    }

    /// Names of the segments of the path that vary.
    pub fn path_names(&self) -> impl Iterator<Item = &'static str> {
        let inner = self.path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        inner.map(|(name, _)| name.trim_start_matches('*'))
    }

    /// Whether refusals are those of OAuth.
    #[must_use]
    pub fn is_oauth(&self) -> bool {
        self.path.starts_with("/oauth2/") && self.body.is_some()
    }

    /// What is said of it: its description, and who may.
    #[must_use]
    pub fn described(&self) -> String {
        let who = match self.roles {
            "" => "Needs no key.".to_owned(),
            "any" => "Needs an API key of any role.".to_owned(),
            roles => format!("Needs one of the roles: {}.", roles.replace(' ', ", ")),
        };
        if self.description.is_empty() { who } else { format!("{} {who}", self.description) }
    }

    /// Statuses of its refusals, ascending.
    #[must_use]
    pub fn refusals(&self) -> Vec<u16> {
        let has_key = !self.roles.is_empty();
        let has_path = self.path.contains('{');
        let has_body = self.body.is_some();
        let mut all = vec![400, 429, 500, 503];
        all.extend((has_key || self.is_partly_open).then_some(401));
        let needs_role = has_key && self.roles != "any";
        all.extend((needs_role || self.is_partly_open).then_some(403));
        let names_tenant = self.parameters.contains(&"tenant");
        all.extend((has_path || names_tenant || has_body).then_some(404));
        all.extend(has_body.then_some([408, 413, 415, 501]).into_iter().flatten());
        all.extend((has_body || self.parameters.contains(&"proof") || has_path).then_some(422));
        all.extend(self.may_conflict.then_some(409));
        all.sort_unstable();
        all
    }

    /// The one that a request goes to.
    #[must_use]
    pub fn find(method: &str, path: &str) -> Option<&'static Self> {
        operations().find(|one| one.path == path && one.method.eq_ignore_ascii_case(method))
    }
}

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
        ("key_id", _) => ("The key's id.", text),
        ("index", _) => ("Index of the leaf.", json!({ "type": "integer", "minimum": 0 })),
        ("digest", _) => ("`sha256:` and 64 hex digits.", text),
        _ => ("The rest of the path.", text),
    }
}

/// Every route.
pub fn operations() -> impl Iterator<Item = &'static Operation> {
    question::OPERATIONS.iter().chain(OTHERS)
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
        Form::Json(schema_of::<oauth::Jwks>),
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
            from: send it as `since`. With `wait` an empty answer comes only when the time is over.",
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

/// Parameters that every question knows.
pub const COMMON: &[&str] = &["tenant", "as_of", "at", "proof", "origin", "previous_size", "wait"];
/// Those of a question that is answered page by page.
pub const PAGED: &[&str] =
    &["tenant", "as_of", "at", "proof", "origin", "previous_size", "wait", "limit", "page"];
