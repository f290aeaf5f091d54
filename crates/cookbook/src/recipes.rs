//! One row for each type of event.

use ledgerline_proof::lifecycle::State;
use ledgerline_proof::vocabulary::EventType;
use ledgerline_proof::vocabulary::TargetKind::{
    Client, Grant, Issuer, Key, Policy, Session, Source, Subject, Token,
};

use super::{Acted, OwnType, Recipe};

const fn acted(field: &'static str, upon: &'static str) -> Acted {
    Acted { field, upon }
}

/// Where an act came from: what pivots and divergence go by.
const REQUEST: Acted = acted(
    "personal",
    "A REQUEST record (ip, user_agent, device) is what `pivot` and `query divergence` go by.",
);

/// Types that a producer may send, in the order of a token's life.
pub const RECIPES: &[Recipe] = &[
    ISSUED,
    ACTIVATED,
    USED,
    RESOURCE_ACCESSED,
    REFRESHED,
    ROTATED,
    SUSPENDED,
    REINSTATED,
    REVOKED,
    ORIGIN,
    POLICY_CHANGED,
    KEY_CHANGED,
    HEARTBEAT,
    ADMIN_ACT,
];

const ISSUED: Recipe = Recipe {
    event_type: EventType::Issued,
    sender: "The issuer (identity provider, authorization server).",
    when: "For each new token, also for one that comes of a refresh, an exchange or a code; and \
           for a new session or grant.",
    targets: &[Token, Session, Grant],
    only_these: false,
    effect: "The token is ACTIVE; PENDING while `activation` is outstanding or `not_before` lies \
             ahead. A second ISSUED of the same token changes nothing and is found \
             (`duplicate_issue`).",
    acted: &[
        acted(
            "links",
            "From what it was minted. Without it there is no lineage and no blast \
                        radius: the most important field of this type.",
        ),
        acted("token_kind", "A code is spent by its first use; an ID token opens no resource."),
        acted(
            "expires_at",
            "The ledger states EXPIRED by itself. Without it the token never \
                             expires here.",
        ),
        acted("not_before", "PENDING until then."),
        acted("activation", "PENDING until an ACTIVATED."),
        acted("client_id", "A REVOKED of the client covers the token."),
        acted(
            "grant_id",
            "A REVOKED of the grant covers the token; tokens of one grant are \
                           found together.",
        ),
        acted("session_id", "A REVOKED of the session covers the token."),
        acted(
            "issuer_kid",
            "A REVOKED of the key covers the token; a use under another key is \
                             found (`key_mismatch`).",
        ),
        acted(
            "personal",
            "A SUBJECT record says whose token it is: a REVOKED of the person \
                           covers it, and `pivot` finds it.",
        ),
        acted("scopes", "More than its parent had is found (`scope_widened`)."),
        acted(
            "audience",
            "A use at a service that it does not name is found \
                           (`audience_mismatch`).",
        ),
        acted(
            "policies",
            "Those with the role GRANT decided it: `query policies`, and `policy_mismatch` where \
             another version was in force.",
        ),
        acted("family_id", "Joins the refresh tokens that rotate into each other."),
        acted("also_known_as", "Events under its other ids count to the same token."),
        acted("actors", "An actor that an exchange drops is found (`actor_lost_in_exchange`)."),
        acted(
            "issued_at",
            "Its `iat`, by which `selector.issued_before` goes; without it \
                            `occurred_at`.",
        ),
    ],
    also: &["issuer", "generation", "rotate_by", "mfa", "delegation", "status_index", "reason"],
    example: r#"{
  "native_id": "grant-7/access-1",
  "type": "ISSUED",
  "token_id": "eu:idp:jti:a-7",
  "occurred_at": "2026-01-02T10:05:00Z",
  "issuer": "idp",
  "issuer_kid": "2026-01",
  "token_kind": "ACCESS",
  "client_id": "web",
  "grant_id": "g-7",
  "session_id": "s-9",
  "scopes": ["orders:read"],
  "audience": ["orders"],
  "expires_at": "2026-01-02T11:05:00Z",
  "links": [{ "token_id": "eu:idp:jti:r-7", "relation": "REFRESHED_FROM" }],
  "personal": [{ "role": "SUBJECT", "user_id": "alice" }]
}"#,
    state: Some(State::Active),
};

const ACTIVATED: Recipe = Recipe {
    event_type: EventType::Activated,
    sender: "The issuer.",
    when: "When what `activation` of the ISSUED requires has been proven: a device code was \
           confirmed, a second factor was met.",
    targets: &[Token],
    only_these: false,
    effect: "PENDING becomes ACTIVE. Behind the deadline it stays PENDING and is found \
             (`activation_late`).",
    acted: &[
        acted(
            "mfa",
            "Where `activation.requires` names `mfa`, `mfa.completed_at` proves it and \
                      must not lie behind the deadline; without it the token stays PENDING.",
        ),
        acted("personal", "A SUBJECT record: who confirmed."),
    ],
    also: &["issuer", "token_kind", "client_id", "session_id", "reason"],
    example: r#"{
  "native_id": "device-3/confirmed",
  "type": "ACTIVATED",
  "token_id": "eu:idp:jti:d-3",
  "occurred_at": "2026-01-02T10:01:10Z",
  "issuer": "idp",
  "token_kind": "DEVICE_CODE",
  "mfa": { "methods": ["otp"], "completed_at": "2026-01-02T10:01:05Z" },
  "personal": [{ "role": "SUBJECT", "user_id": "alice" }]
}"#,
    state: Some(State::Active),
};

const USED: Recipe = Recipe {
    event_type: EventType::Used,
    sender: "Whoever sees the token presented: gateway, resource server, introspection endpoint, \
             issuer.",
    when: "When a token was presented, and no resource is known. Send refusals too: `outcome` \
           DENY.",
    targets: &[Token, Session, Client, Source],
    only_these: false,
    effect: "No state changes, but for codes (AUTH_CODE, DEVICE_CODE): an ACTIVE one becomes \
             SPENT. What must not have happened is recorded and found: `use_after_revoke`, \
             `use_after_expiry`, `code_reuse`, `unknown_token`, and others.",
    acted: &[
        acted("outcome", "Without it ALLOW. DENY: it was refused, so nothing was done with it."),
        acted("service", "Compared with the token's audience (`audience_mismatch`)."),
        acted("token_kind", "Says that a token that nobody issued here is a code."),
        acted(
            "issuer_kid",
            "Compared with the key of the ISSUED (`key_mismatch`); an unknown one \
                             of an unknown token is `forged_suspect`.",
        ),
        acted(
            "vantage",
            "From where it was seen. INTROSPECTION: somebody only asked about it; this needs a \
             key that may also write ISSUED or ORIGIN.",
        ),
        acted("links", "Of a code or a subject token: PRODUCED names each new token."),
        acted("time_uncertainty_ns", "Softens findings that hang on the order of two clocks."),
        acted("count", "How many like uses this event stands for, the last at `last_at`."),
        REQUEST,
    ],
    also: &[
        "issuer",
        "client_id",
        "endpoint",
        "status",
        "reason",
        "last_at",
        "also_known_as",
        "trace_id",
        "correlation_id",
    ],
    example: r#"{
  "native_id": "req-8801",
  "type": "USED",
  "token_id": "eu:idp:jti:a-7",
  "occurred_at": "2026-01-02T10:12:30Z",
  "outcome": "DENY",
  "reason": "insufficient_scope",
  "vantage": "GATEWAY",
  "service": "orders",
  "status": 403,
  "personal": [{ "role": "REQUEST", "ip": "203.0.113.7", "user_agent": "curl/8.5.0" }]
}"#,
    state: Some(State::Active),
};

const RESOURCE_ACCESSED: Recipe = Recipe {
    event_type: EventType::ResourceAccessed,
    sender: "The resource server, or the gateway in front of it.",
    when: "When a token was presented for a resource. Instead of USED, not beside it.",
    targets: &[Token, Source],
    only_these: false,
    effect: "As USED. It is what `query resources` and `blast-radius` tell: what was reached with \
             the token.",
    acted: &[
        acted("outcome", "Without it ALLOW. DENY: it was asked for and not given."),
        acted(
            "resource",
            "The template, such as `/orders/{id}`: what accesses are counted by. \
                           The concrete one goes into a REQUEST record.",
        ),
        acted("service", "Compared with the token's audience (`audience_mismatch`)."),
        acted("policies", "Those with the role ACCESS decided it."),
        acted(
            "personal",
            "A REQUEST record (ip, user_agent, device, concrete resource) is what \
                           `pivot` and `query divergence` go by.",
        ),
        acted("time_uncertainty_ns", "Softens findings that hang on the order of two clocks."),
    ],
    also: &[
        "issuer",
        "issuer_kid",
        "client_id",
        "token_kind",
        "scopes",
        "vantage",
        "endpoint",
        "action",
        "status",
        "bytes_out",
        "reason",
        "actors",
        "delegation",
        "count",
        "last_at",
        "trace_id",
        "correlation_id",
    ],
    example: r#"{
  "native_id": "req-8802",
  "type": "RESOURCE_ACCESSED",
  "token_id": "eu:idp:jti:a-7",
  "occurred_at": "2026-01-02T10:12:31Z",
  "outcome": "ALLOW",
  "vantage": "RESOURCE",
  "service": "orders",
  "resource": "/orders/{id}",
  "action": "read",
  "status": 200,
  "bytes_out": 5120,
  "personal": [{ "role": "REQUEST", "ip": "203.0.113.7", "resource": "/orders/4711" }]
}"#,
    state: Some(State::Active),
};

const REFRESHED: Recipe = Recipe {
    event_type: EventType::Refreshed,
    sender: "The issuer.",
    when: "On the token that was exercised, so on the refresh token; or on a session or grant \
           whose end moved. Never on the access token that merely has a successor.",
    targets: &[Token, Session, Grant],
    only_these: false,
    effect: "No state changes. A later `expires_at` lifts EXPIRED; an earlier one is not taken. \
             Of a token that was replaced it is found (`refresh_reuse`), also when it was \
             refused.",
    acted: &[
        acted(
            "links",
            "PRODUCED names each new token. The new token's own ISSUED says the same \
                        from its side (REFRESHED_FROM); one of both is enough.",
        ),
        acted(
            "outcome",
            "Without it ALLOW. DENY of a token that was replaced is the clearest sign of theft \
             there is: send it.",
        ),
        acted("expires_at", "The new end, where it moved."),
        REQUEST,
    ],
    also: &["issuer", "client_id", "grant_id", "session_id", "token_kind", "reason"],
    example: r#"{
  "native_id": "grant-7/refresh-1",
  "type": "REFRESHED",
  "token_id": "eu:idp:jti:r-7",
  "occurred_at": "2026-01-02T10:05:00Z",
  "issuer": "idp",
  "token_kind": "REFRESH",
  "client_id": "web",
  "grant_id": "g-7",
  "links": [{ "token_id": "eu:idp:jti:a-7", "relation": "PRODUCED" }]
}"#,
    state: Some(State::Active),
};

const ROTATED: Recipe = Recipe {
    event_type: EventType::Rotated,
    sender: "The issuer.",
    when: "On the token that was replaced by another of its kind: the old refresh token, the old \
           API key.",
    targets: &[Token, Key],
    only_these: false,
    effect: "SUPERSEDED: usable until `grace_until`, and without that no longer.",
    acted: &[
        acted("links", "ROTATED_TO names the token that replaces it."),
        acted("grace_until", "Until when the old one may still be used."),
        acted("outcome", "Without it ALLOW. DENY or ERROR: an attempt; NONE is refused."),
    ],
    also: &["issuer", "client_id", "grant_id", "family_id", "token_kind", "reason"],
    example: r#"{
  "native_id": "grant-7/rotated-1",
  "type": "ROTATED",
  "token_id": "eu:idp:jti:r-7",
  "occurred_at": "2026-01-02T10:05:00Z",
  "issuer": "idp",
  "token_kind": "REFRESH",
  "links": [{ "token_id": "eu:idp:jti:r-8", "relation": "ROTATED_TO" }]
}"#,
    state: Some(State::Superseded),
};

const SUSPENDED: Recipe = Recipe {
    event_type: EventType::Suspended,
    sender: "The issuer, or an administrator.",
    when: "When a token is put on hold. Of more than one token send one for each.",
    targets: &[Token],
    only_these: true,
    effect: "SUSPENDED until a REINSTATED. REVOKED stays REVOKED.",
    acted: &[
        acted("outcome", "Without it ALLOW. DENY or ERROR: an attempt; NONE is refused."),
        acted("links", "CAUSED_BY names the token or the event that led to it."),
    ],
    also: &["issuer", "reason", "personal", "correlation_id"],
    example: r#"{
  "native_id": "case-12/hold",
  "type": "SUSPENDED",
  "token_id": "eu:idp:acc:key-42",
  "occurred_at": "2026-01-02T11:00:00Z",
  "issuer": "idp",
  "reason": "anomaly",
  "personal": [{ "role": "ACTOR", "user_id": "oncall" }]
}"#,
    state: Some(State::Suspended),
};

const REINSTATED: Recipe = Recipe {
    event_type: EventType::Reinstated,
    sender: "The issuer, or an administrator.",
    when: "When a hold ends.",
    targets: &[Token],
    only_these: true,
    effect: "The state before the hold. Of a token that is not on hold it is found \
             (`out_of_order`).",
    acted: &[
        acted("outcome", "Without it ALLOW. DENY or ERROR: an attempt; NONE is refused."),
        acted("links", "CAUSED_BY names the event that led to it."),
    ],
    also: &["issuer", "reason", "personal", "correlation_id"],
    example: r#"{
  "native_id": "case-12/released",
  "type": "REINSTATED",
  "token_id": "eu:idp:acc:key-42",
  "occurred_at": "2026-01-02T12:00:00Z",
  "issuer": "idp",
  "reason": "admin",
  "personal": [{ "role": "ACTOR", "user_id": "oncall" }]
}"#,
    state: Some(State::Active),
};

const REVOKED: Recipe = Recipe {
    event_type: EventType::Revoked,
    sender: "The issuer. (Responders use `ledgerline revoke`, which writes it for them.)",
    when: "When a token ends before its time; or a session, grant, client, key or person, with \
           all its tokens.",
    targets: &[Token, Session, Grant, Subject, Client, Key],
    only_these: true,
    effect: "REVOKED, for ever. About something wider it takes effect at once for every token \
             that belongs to it and that `selector` picks, also for those that are told of later.",
    acted: &[
        acted(
            "target",
            "Something wider than a token: `{kind, id}`, the id as \
                         `<region>:<issuer alias>:<id>`. A token covers none but itself.",
        ),
        acted("selector", "Narrows it to some of the target's tokens."),
        acted("effective_at", "Of something wider: from when on."),
        acted("outcome", "Without it ALLOW. DENY or ERROR: an attempt; NONE is refused."),
        acted(
            "reason",
            "`reuse`, `logout`, `compromise`, `admin`, `api`, …: `reuse` joins it to \
                         the replay that caused it.",
        ),
        acted("links", "CAUSED_BY names the token or the event that led to it: `query why`."),
        acted("personal", "For the target SUBJECT exactly one SUBJECT record: it is the person."),
    ],
    also: &["issuer", "client_id", "grant_id", "session_id", "token_kind", "correlation_id"],
    example: r#"{
  "native_id": "logout-31",
  "type": "REVOKED",
  "target": { "kind": "SESSION", "id": "eu:idp:s-9" },
  "occurred_at": "2026-01-02T12:30:00Z",
  "issuer": "idp",
  "reason": "logout",
  "personal": [{ "role": "SUBJECT", "user_id": "alice" }]
}"#,
    state: None,
};

const ORIGIN: Recipe = Recipe {
    event_type: EventType::Origin,
    sender: "Whoever brings the ledger into use: `ledgerline import-tokens` makes them of a table.",
    when: "Once for each token that is older than the ledger.",
    targets: &[Token],
    only_these: false,
    effect: "The state that `detail` asserts under `state`; without it the token is UNKNOWN. Its \
             lineage is marked incomplete. An ISSUED that arrives later for it fills in what was \
             not known.",
    acted: &[
        acted(
            "detail",
            "`state`: ACTIVE, PENDING, SUSPENDED, SUPERSEDED, SPENT, EXPIRED or \
                         REVOKED.",
        ),
        acted("token_kind", "As in ISSUED."),
        acted("expires_at", "As in ISSUED."),
        acted(
            "client_id",
            "As in ISSUED, like `grant_id`, `session_id`, `issuer_kid`, `scopes` \
                            and `audience`.",
        ),
        acted("personal", "A SUBJECT record says whose token it is."),
    ],
    also: &[
        "issuer",
        "issuer_kid",
        "grant_id",
        "session_id",
        "scopes",
        "audience",
        "issued_at",
        "not_before",
        "grace_until",
        "also_known_as",
        "adapter",
    ],
    example: r#"{
  "native_id": "origin/eu:idp:jti:old-1",
  "type": "ORIGIN",
  "token_id": "eu:idp:jti:old-1",
  "occurred_at": "2026-01-02T09:00:00Z",
  "issuer": "idp",
  "token_kind": "REFRESH",
  "client_id": "web",
  "expires_at": "2026-03-01T00:00:00Z",
  "detail": [{ "key": "state", "value": "ACTIVE" }],
  "personal": [{ "role": "SUBJECT", "user_id": "alice" }]
}"#,
    state: Some(State::Active),
};

const POLICY_CHANGED: Recipe = Recipe {
    event_type: EventType::PolicyChanged,
    sender: "Whatever deploys policies.",
    when: "For each version of a policy, when it takes effect or is planned.",
    targets: &[Policy],
    only_these: false,
    effect: "No token changes. From `policy_change.effective_from` on the version is the one in \
             force: `query policies` and `policy_mismatch` go by it.",
    acted: &[
        acted(
            "target",
            "`{\"kind\": \"POLICY\", \"id\": …}`: about anything else it is no \
                         version of a policy.",
        ),
        acted("policies", "The entry with the policy's own id says which version this is."),
        acted("policy_change", "From when on, until when, and the digest of the text."),
        acted(
            "attachments",
            "The text itself, under that digest. Scopes are judged by it where \
                              it is JSON with the scopes it allows: `{\"scopes\": […]}`.",
        ),
        acted(
            "service",
            "The service that enforces it: tokens for that audience count as affected.",
        ),
    ],
    also: &["reason", "personal", "effective_at"],
    example: r#"{
  "native_id": "policy/orders-access/8",
  "type": "POLICY_CHANGED",
  "target": { "kind": "POLICY", "id": "orders-access" },
  "occurred_at": "2026-01-02T08:00:00Z",
  "service": "orders",
  "policies": [{ "id": "orders-access", "version": "8", "role": "ACCESS" }],
  "policy_change": {
    "effective_from": "2026-01-02T08:00:00Z",
    "previous_version": "7",
    "change_ref": "change-118",
    "snapshot": "sha256:92ede093223327ac8c738ef23cab7f2cdcdb1034e4dad6a18bb52b5ff295142f"
  },
  "attachments": [
    {
      "digest": "sha256:92ede093223327ac8c738ef23cab7f2cdcdb1034e4dad6a18bb52b5ff295142f",
      "media_type": "application/json",
      "data": "eyJzY29wZXMiOlsib3JkZXJzOnJlYWQiLCJvcmRlcnM6d3JpdGUiXX0="
    }
  ]
}"#,
    state: None,
};

const KEY_CHANGED: Recipe = Recipe {
    event_type: EventType::KeyChanged,
    sender: "The issuer.",
    when: "When it announces or replaces a key that signs tokens.",
    targets: &[Key, Issuer],
    only_these: false,
    effect: "No token changes. The key counts as announced: a use under it is not suspected of \
             being forged (`forged_suspect`).",
    acted: &[acted("target", "`{\"kind\": \"KEY\", \"id\": \"<region>:<issuer alias>:<kid>\"}`.")],
    also: &["issuer", "issuer_kid", "reason", "detail"],
    example: r#"{
  "native_id": "jwks/2026-02",
  "type": "KEY_CHANGED",
  "target": { "kind": "KEY", "id": "eu:idp:2026-02" },
  "occurred_at": "2026-01-02T07:00:00Z",
  "issuer": "idp",
  "reason": "rotation"
}"#,
    state: None,
};

const HEARTBEAT: Recipe = Recipe {
    event_type: EventType::Heartbeat,
    sender: "Every producer, about itself.",
    when: "At a steady interval, also when there is nothing else to tell.",
    targets: &[Source],
    only_these: false,
    effect: "No token changes. That none comes any more is found (`source_silent`).",
    acted: &[
        acted(
            "detail",
            "`interval_s` promises another one within so many seconds, at most a \
                         day; three times as long without a word is `source_silent`. 0 takes the \
                         promise back.",
        ),
        acted("source_instance", "A new UUID for each start of the producer."),
        acted(
            "source_seq",
            "Counts the events of the instance from 0; a hole is `source_gap` \
                             until the missing event arrives. Count your other events, too.",
        ),
        acted(
            "seen",
            "The newest checkpoint that the producer verified: `verify` compares it with the \
             tree, so that what came before it cannot be rewritten unseen.",
        ),
        acted(
            "links",
            "Tokens that the producer holds as good: one that nobody issued here is \
                        `unknown_token`, a revoked one `revoke_not_propagated`.",
        ),
    ],
    also: &["service"],
    example: r#"{
  "native_id": "boot-1/hb-1",
  "type": "HEARTBEAT",
  "target": { "kind": "SOURCE", "id": "orders-gateway" },
  "occurred_at": "2026-01-02T10:13:00Z",
  "source_instance": "01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b01",
  "source_seq": 0,
  "detail": [{ "key": "interval_s", "value": "60" }]
}"#,
    state: None,
};

const ADMIN_ACT: Recipe = Recipe {
    event_type: EventType::AdminAct,
    sender: "The issuer, or an administrative tool.",
    when: "When an administrator did something that is none of the acts above: a client was \
           changed, an account was locked.",
    targets: &[Client, Subject, Session, Grant, Token, Policy, Issuer, Source],
    only_these: false,
    effect: "No token changes. What follows from it names it as the cause (CAUSED_BY).",
    acted: &[
        acted(
            "personal",
            "An ACTOR record says who did it; for the target SUBJECT exactly one \
                           SUBJECT record says to whom.",
        ),
        acted("action", "What was done, in a word."),
        acted("detail", "Further facts. The key `act` is the ledger's own and is refused."),
    ],
    also: &["issuer", "client_id", "reason", "correlation_id"],
    example: r#"{
  "native_id": "admin-501",
  "type": "ADMIN_ACT",
  "target": { "kind": "CLIENT", "id": "eu:idp:web" },
  "occurred_at": "2026-01-02T09:30:00Z",
  "issuer": "idp",
  "action": "redirect_uri_added",
  "reason": "admin",
  "personal": [{ "role": "ACTOR", "user_id": "oncall", "ip": "198.51.100.4" }]
}"#,
    state: None,
};

/// Types that only the ledger writes.
pub const OWN_TYPES: &[OwnType] = &[
    OwnType {
        event_type: EventType::Expired,
        when: Some("a token passes its `expires_at`"),
        target: "the token",
        detail: &[],
    },
    OwnType {
        event_type: EventType::Refused,
        when: Some("events were refused: one for each block, credential and code"),
        target: "the source, or the ledger where nobody was known",
        detail: &["code", "count", "credential"],
    },
    OwnType {
        event_type: EventType::Erased,
        when: Some("the personal data of a person was erased"),
        target: "the person (SUBJECT), by the handle",
        detail: &["by", "purpose"],
    },
    OwnType {
        event_type: EventType::Disclosed,
        when: Some("personal records are about to be read: it is recorded before they are opened"),
        target: "the person, or the token or event that was asked for",
        detail: &["by", "purpose", "records"],
    },
    OwnType {
        event_type: EventType::FindingRaised,
        when: Some("a rule noticed something"),
        target: "the ledger",
        detail: &["finding", "rule", "severity", "version"],
    },
    OwnType {
        event_type: EventType::FindingClosed,
        when: Some("a finding was acknowledged, closed, withdrawn or reopened, or has grown"),
        target: "the ledger",
        detail: &["by", "finding", "note", "state"],
    },
    OwnType {
        event_type: EventType::VerifyReport,
        when: Some("the verifier of the running ledger has finished a round"),
        target: "the ledger",
        detail: &[],
    },
    OwnType { event_type: EventType::Exported, when: None, target: "", detail: &[] },
    OwnType { event_type: EventType::Hold, when: None, target: "", detail: &[] },
    OwnType { event_type: EventType::Recovered, when: None, target: "", detail: &[] },
    OwnType { event_type: EventType::CheckpointCosigned, when: None, target: "", detail: &[] },
];
