//! The table of all routes: what each method of each path takes and gives.

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// Roles of which one is needed; `any` is any key, none is nobody.
    pub(super) roles: &'static str,
    /// Parameters of the query.
    pub(super) query: &'static str,
    /// The schema of what is sent.
    pub(super) body: Option<&'static str>,
    /// The status of success, and the schema of what comes.
    pub(super) answer: (u16, &'static str),
}

/// Parameters that all questions have.
const MOMENT: &str = "tenant as_of at proof origin";
const PAGED: &str = "tenant as_of at proof origin limit page";
const READERS: &str = "reader auditor responder";

const fn get(
    path: &'static str,
    summary: &'static str,
    roles: &'static str,
    query: &'static str,
    answer: &'static str,
) -> Operation {
    Operation { method: "get", path, summary, roles, query, body: None, answer: (200, answer) }
}

const fn post(
    path: &'static str,
    summary: &'static str,
    roles: &'static str,
    query: &'static str,
    body: &'static str,
    answer: (u16, &'static str),
) -> Operation {
    Operation { method: "post", path, summary, roles, query, body: Some(body), answer }
}

/// Every route. An answer that is no schema is a media type.
pub(super) const OPERATIONS: &[Operation] = &[
    post(
        "/v1/events",
        "Record events; answered when they are on disk",
        "producer",
        "receipt",
        "Events",
        (200, "Verdicts"),
    ),
    get("/v1/events/{source}/{event_id}", "A recorded event", READERS, "tenant", "Recorded"),
    get(
        "/v1/events/{source}/{event_id}/proof",
        "A proof bundle of an event",
        "reader auditor",
        "tenant",
        "Object",
    ),
    get("/v1/events/{source}/{event_id}/why", "Its causes, and theirs", READERS, MOMENT, "Answer"),
    get(
        "/v1/tokens/{id}",
        "Where a token stands",
        READERS,
        "tenant as_of at after limit origin",
        "Token",
    ),
    get(
        "/v1/tokens/{id}/events",
        "A token's life",
        READERS,
        "tenant as_of at after limit origin",
        "Token",
    ),
    get(
        "/v1/tokens/{id}/proof",
        "A proof bundle of a token's life",
        "reader auditor",
        "tenant as_of at after limit origin",
        "Object",
    ),
    get(
        "/v1/tokens/{id}/lineage",
        "What it came of, and what came of it",
        READERS,
        "tenant as_of at proof origin direction to depth tokens strength",
        "Answer",
    ),
    get(
        "/v1/tokens/{id}/resources",
        "What it accessed between two points of its life",
        READERS,
        "tenant as_of at proof origin limit page from until of",
        "Answer",
    ),
    get(
        "/v1/tokens/{id}/policies",
        "Policies in force when it was issued",
        READERS,
        MOMENT,
        "Answer",
    ),
    get(
        "/v1/tokens/{id}/divergence",
        "The first event that comes from elsewhere",
        READERS,
        "tenant as_of at proof origin of",
        "Answer",
    ),
    get(
        "/v1/tokens/{id}/exposure",
        "Whom it was shown to",
        READERS,
        "tenant as_of at proof origin of",
        "Answer",
    ),
    get(
        "/v1/tokens/{id}/blast-radius",
        "What it could reach, and what is still alive",
        READERS,
        "tenant as_of at proof origin depth tokens strength",
        "Answer",
    ),
    get(
        "/v1/tokens/{id}/after-revoke",
        "Who still let it in after its revocation",
        READERS,
        MOMENT,
        "Answer",
    ),
    get(
        "/v1/after-revoke",
        "The same over all tokens revoked in a time",
        READERS,
        "tenant as_of at proof origin from until tokens",
        "Answer",
    ),
    post("/v1/triage", "Where leaked tokens stand", READERS, "", "Triage", (200, "Object")),
    get("/oauth2/jwks", "The keys that sign introspection answers (RFC 9701)", "", "", "Object"),
    post(
        "/v1/tokens/{id}/blast-radius",
        "Revoke every token of it",
        "responder",
        "",
        "RevokeFamily",
        (200, "Object"),
    ),
    get("/v1/subjects/{handle}/tokens", "A person's tokens", READERS, PAGED, "Answer"),
    get(
        "/v1/subjects/{handle}/policy-changes",
        "Policy changes that governed a person's tokens",
        READERS,
        "tenant as_of at proof origin hours from until",
        "Answer",
    ),
    get("/v1/clients/{id}/tokens", "A client's tokens", READERS, PAGED, "Answer"),
    get("/v1/sessions/{id}/tokens", "A session's tokens", READERS, PAGED, "Answer"),
    get("/v1/grants/{id}/tokens", "A grant's tokens", READERS, PAGED, "Answer"),
    get(
        "/v1/issuers/{id}/tokens",
        "An issuer's tokens; the id is <region>:<alias>",
        READERS,
        PAGED,
        "Answer",
    ),
    get(
        "/v1/resources/{id}/tokens",
        "Tokens that accessed a resource",
        READERS,
        "tenant as_of at proof origin limit page from until",
        "Answer",
    ),
    get("/v1/policies/{id}/versions", "A policy's versions", READERS, MOMENT, "Answer"),
    get(
        "/v1/pivot",
        "Everything in which something took part",
        READERS,
        "tenant as_of at proof origin limit page kind value",
        "Answer",
    ),
    get(
        "/v1/attachments/{digest}",
        "A policy snapshot",
        READERS,
        "tenant",
        "application/octet-stream",
    ),
    get(
        "/v1/revocations",
        "Revocations in the order of recording",
        "resource_server reader auditor responder",
        "since limit wait tenant",
        "Object",
    ),
    post(
        "/oauth2/introspect",
        "RFC 7662; by `Accept` as a signed JWT, RFC 9701",
        "resource_server",
        "",
        "TokenForm",
        (200, "Introspection"),
    ),
    post("/oauth2/revoke", "RFC 7009", "client responder", "", "TokenForm", (200, "Object")),
    get(
        "/v1/findings",
        "What the rules noticed; with `follow` as server-sent events",
        READERS,
        "tenant as_of at limit page state severity rule token from follow",
        "Findings",
    ),
    get("/v1/findings/{id}", "One finding", READERS, "tenant", "Finding"),
    post(
        "/v1/findings/{id}/acknowledge",
        "Somebody looks at it",
        "responder admin",
        "",
        "Note",
        (200, "Object"),
    ),
    post(
        "/v1/findings/{id}/close",
        "It is dealt with",
        "responder admin",
        "",
        "Note",
        (200, "Object"),
    ),
    post(
        "/v1/reconciliations",
        "Tokens of an issuer's table against the ledger",
        "responder admin",
        "",
        "Reconciliation",
        (200, "Reconciled"),
    ),
    get(
        "/v1/sources",
        "Who tells the ledger, and how complete that is",
        "reader auditor responder admin",
        "tenant after",
        "Sources",
    ),
    get("/v1/leaves/{index}", "A leaf of the log", "auditor", "", "Object"),
    get("/v1/blocks", "Blocks, newest first", READERS, "before limit", "Object"),
    get(
        "/v1/verify-reports",
        "Reports of the verifier, newest first",
        "reader auditor responder admin",
        "before limit",
        "Object",
    ),
    get("/v1/status", "How the server is", "reader auditor responder producer admin", "", "Object"),
    get(
        "/v1/issuers",
        "The register of issuers, and those that keys may write for",
        "any",
        "",
        "Object",
    ),
    post(
        "/v1/resolve",
        "The handle of a personal value",
        "privacy",
        "",
        "Resolve",
        (200, "Object"),
    ),
    post(
        "/v1/erase",
        "Destroy the personal data behind a handle",
        "privacy",
        "",
        "Erase",
        (200, "Object"),
    ),
    get("/v1/keys", "Keys", "admin", "", "Object"),
    post(
        "/v1/keys",
        "Make a key; its secret is shown this once",
        "admin",
        "",
        "NewKey",
        (201, "AddedKey"),
    ),
    Operation {
        method: "delete",
        path: "/v1/keys/{key_id}",
        summary: "End a key",
        roles: "admin",
        query: "compromised reason",
        body: None,
        answer: (200, "Object"),
    },
    get("/openapi.json", "This document", "any", "", "Object"),
    get("/checkpoint", "The published checkpoint (C2SP)", "", "", "text/plain"),
    get(
        "/tile/{*path}",
        "Tiles (C2SP tlog-tiles); entry bundles need an auditor of all tenants",
        "",
        "",
        "application/octet-stream",
    ),
    get("/metrics", "Prometheus text", "reader auditor admin", "", "text/plain"),
    get("/healthz", "The process answers", "", "", "text/plain"),
    get("/readyz", "Events are taken", "", "", "text/plain"),
];
