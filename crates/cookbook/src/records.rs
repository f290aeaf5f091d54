//! One row for each record within an event.

use ledgerline_proof::vocabulary::{EventType, Relation};

use super::{Edge, Nested};

/// The records, those first at which newcomers get lost.
pub const RECORDS: &[Nested] = &[
    Nested {
        member: "links",
        text: "A link leads from the event's target to another token (`token_id`), or from the \
               event to another event (`event`); exactly one of both. Read it as a sentence that \
               begins with the event's target: \"a-7 was REFRESHED_FROM r-7\". So the ISSUED of a \
               new token names what it came of, and the REFRESHED or USED of the old one may name \
               what it PRODUCED; one side is enough. The other end need not be recorded yet. Say \
               ASSERTED (or nothing) where your own record names both ids, JOINED where you put \
               two records of one request together, INFERRED where you guess, and then `why`.",
        needed: &[&["relation"], &["token_id", "event"]],
        within: EventType::Issued,
        example: r#"{
  "links": [
    { "token_id": "eu:idp:jti:r-7", "relation": "REFRESHED_FROM" },
    {
      "event": { "source": "idp", "event_id": "01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11" },
      "relation": "CAUSED_BY",
      "strength": "INFERRED",
      "why": "the refresh was the only request of this client in that second"
    }
  ]
}"#,
    },
    Nested {
        member: "target",
        text: "For a token write `token_id` instead. SESSION, GRANT, CLIENT and KEY are named \
               `<region>:<issuer alias>:<id>`, with the id as tokens have it in `session_id`, \
               `grant_id`, `client_id` and `issuer_kid`; POLICY, SOURCE and ISSUER by their plain \
               name. SUBJECT has no id: the one SUBJECT record in `personal` says who it is. \
               LEDGER is for the ledger alone.",
        needed: &[&["kind"]],
        within: EventType::Revoked,
        example: r#"{ "target": { "kind": "GRANT", "id": "eu:idp:g-7" } }"#,
    },
    Nested {
        member: "actors",
        text: "Clients and services that act for the token's subject, outermost first, as the \
               `act` claim has them (RFC 8693). Persons are personal records with the role ACTOR.",
        needed: &[&["id"]],
        within: EventType::Issued,
        example: r#"{
  "actors": [{ "kind": "SERVICE", "issuer": "idp", "id": "billing" }],
  "delegation": "DELEGATION"
}"#,
    },
    Nested {
        member: "policies",
        text: "The policies that decided, each with its version: GRANT decided what was issued, \
               ACCESS what was let in. Give `effect` where the policy was what decided.",
        needed: &[&["id"], &["version"]],
        within: EventType::ResourceAccessed,
        example: r#"{
  "policies": [{ "id": "orders-access", "version": "8", "role": "ACCESS", "effect": "ALLOW" }]
}"#,
    },
    Nested {
        member: "personal",
        text: "Whatever says who somebody is or where they were, and nothing of it anywhere else: \
               only this can be erased. One record for each role; SUBJECT is the person whose \
               token it is, REQUEST the circumstances of the request.",
        needed: &[&["role"]],
        within: EventType::Used,
        example: r#"{
  "personal": [
    { "role": "SUBJECT", "user_id": "alice", "attributes": { "department": "sales" } },
    { "role": "REQUEST", "ip": "203.0.113.7", "user_agent": "curl/8.5.0", "device": "laptop-9" }
  ]
}"#,
    },
    Nested {
        member: "detail",
        text: "Further facts, for which there is no member. Keys strictly ascend by their bytes. \
               The ledger reads `state` of an ORIGIN and `interval_s` of a HEARTBEAT.",
        needed: &[&["key"], &["value"]],
        within: EventType::Used,
        example: r#"{
  "detail": [
    { "key": "cipher", "value": "TLS_AES_128_GCM_SHA256" },
    { "key": "pop", "value": "fra-2" }
  ]
}"#,
    },
    Nested {
        member: "selector",
        text: "On a REVOKED of something wider than a token: which of its tokens. What stands \
               here narrows; without any of it all are meant, also those issued later. A token \
               of which the fact is not known is covered.",
        needed: &[],
        within: EventType::Revoked,
        example: r#"{
  "selector": { "issued_before": "2026-01-02T12:30:00Z", "client": "web", "audience": "orders" }
}"#,
    },
    Nested {
        member: "activation",
        text: "On an ISSUED: the token is PENDING until an ACTIVATED. Of the names in `requires` \
               the ledger knows `mfa`: then the ACTIVATED proves it by `mfa.completed_at`.",
        needed: &[],
        within: EventType::Issued,
        example: r#"{
  "activation": { "requires": ["user_consent", "mfa"], "deadline": "2026-01-02T10:15:00Z" }
}"#,
    },
    Nested {
        member: "mfa",
        text: "On an ACTIVATED or ISSUED: how the person proved who they are.",
        needed: &[],
        within: EventType::Activated,
        example: r#"{
  "mfa": { "methods": ["pwd", "otp"], "acr": "urn:acr:2", "completed_at": "2026-01-02T10:01:05Z" }
}"#,
    },
    Nested {
        member: "seen",
        text: "The newest checkpoint that the producer verified, in a HEARTBEAT at best. Its \
               origin is that of the ledger the event is sent to; another is refused \
               (`wrong_deployment`).",
        needed: &[&["origin"], &["size"], &["root"]],
        within: EventType::Heartbeat,
        example: r#"{
  "seen": {
    "origin": "ledger.example.com/1",
    "size": 27,
    "root": "92ede093223327ac8c738ef23cab7f2cdcdb1034e4dad6a18bb52b5ff295142f"
  }
}"#,
    },
    Nested {
        member: "policy_change",
        text: "What a POLICY_CHANGED adds: from when on the version holds, and the digest of its \
               text, which travels in `attachments`.",
        needed: &[],
        within: EventType::PolicyChanged,
        example: r#"{
  "policy_change": {
    "effective_from": "2026-01-02T08:00:00Z",
    "effective_until": "2026-06-30T00:00:00Z",
    "previous_version": "7",
    "change_ref": "change-118",
    "snapshot": "sha256:92ede093223327ac8c738ef23cab7f2cdcdb1034e4dad6a18bb52b5ff295142f"
  }
}"#,
    },
    Nested {
        member: "attachments",
        text: "Bytes that `policy_change.snapshot` or `policies.digest` names: at most 1 MiB \
               each. The digest is of the bytes, not of their base64.",
        needed: &[&["digest"], &["media_type"], &["data"]],
        within: EventType::PolicyChanged,
        example: r#"{
  "attachments": [
    {
      "digest": "sha256:92ede093223327ac8c738ef23cab7f2cdcdb1034e4dad6a18bb52b5ff295142f",
      "media_type": "application/json",
      "data": "eyJzY29wZXMiOlsib3JkZXJzOnJlYWQiLCJvcmRlcnM6d3JpdGUiXX0="
    }
  ]
}"#,
    },
    Nested {
        member: "act",
        text: "Events that stand or fall together, such as the REFRESHED, ISSUED and ROTATED of \
               one request: each carries the same `id`, its `part` from 0, and how many `parts` \
               there are. All parts stand in one request.",
        needed: &[&["id"], &["part"], &["parts"]],
        within: EventType::Refreshed,
        example: r#"{ "act": { "id": "grant-7/request-5", "part": 0, "parts": 2 } }"#,
    },
    Nested {
        member: "adapter",
        text: "Where an event was made of another system's log: by what.",
        needed: &[&["name"], &["version"]],
        within: EventType::Used,
        example: r#"{ "adapter": { "name": "my-gateway-logs", "version": "3" } }"#,
    },
];

const fn edge(relation: Relation, upon: &'static str, other: &'static str) -> Edge {
    Edge { relation, upon, other }
}

/// What each relation means, those of which lineage is made first.
pub const RELATIONS: &[Edge] = &[
    edge(
        Relation::RefreshedFrom,
        "ISSUED of the new access or ID token",
        "the refresh token that was presented: a parent",
    ),
    edge(
        Relation::RotatedFrom,
        "ISSUED of the new refresh token or key",
        "the one that it replaces: a parent",
    ),
    edge(
        Relation::ExchangedFrom,
        "ISSUED of the new token",
        "the subject token of the exchange (RFC 8693): a parent",
    ),
    edge(
        Relation::FromCode,
        "ISSUED of the new token",
        "the authorization or device code that was redeemed: a parent",
    ),
    edge(
        Relation::MintedBy,
        "ISSUED of the new token",
        "the credential with which it was asked for, such as an API key: a parent",
    ),
    edge(
        Relation::Produced,
        "REFRESHED or USED of the token that was presented",
        "each token that came of it: a child",
    ),
    edge(Relation::RotatedTo, "ROTATED of the old token", "the token that replaces it: a child"),
    edge(
        Relation::CausedBy,
        "REVOKED, SUSPENDED, or whatever followed from something",
        "the token or the event that led to it: no lineage, but `query why`",
    ),
    edge(
        Relation::ActedBy,
        "any event of a token that somebody else acts with",
        "the token of whoever acts: no lineage",
    ),
];
