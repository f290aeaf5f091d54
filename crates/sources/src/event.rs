//! The public JSON form of an event (DESIGN 8), as a client writes it.
//!
//! Members have the names of the Avro statement. What is not known is left out: no `null`, no empty
//! list. Times are RFC 3339 in UTC. Nothing personal stands outside `personal`.
//!
//! The structs have no `Debug`: they hold personal values, which must not slip into a log line.

use serde::Serialize;

/// One event. At least `native_id`, `type`, `occurred_at` and a target are present.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the members are the statement's; DESIGN 4.1 describes each")]
pub struct JsonEvent {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<ActPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    pub r#type: EventType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub occurred_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_uncertainty_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vantage: Option<Vantage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer_kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_known_as: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_kind: Option<TokenKind>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<Activation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa: Option<Mfa>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_change: Option<PolicyChange>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegation: Option<Delegation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<Detail>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<Personal>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

/// The place of an event in an act of several.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct ActPart {
    /// The act, the same in each part.
    pub id: String,
    /// 0-based.
    pub part: u16,
    /// 2 to 64.
    pub parts: u16,
}

/// What an event is about, when it is not a token.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The kind of thing.
    pub kind: TargetKind,
    /// Its id; empty for a SUBJECT, who is named by the personal record.
    pub id: String,
}

/// Which factors must be proven before a token is active.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Activation {
    /// What is required.
    pub requires: Vec<String>,
    /// RFC 3339; after it the token can no longer be activated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
}

/// How a person proved who they are.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Mfa {
    /// RFC 8176 values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Authentication context class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
}

/// A policy that took part in the event.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The policy.
    pub id: String,
    /// Its version.
    pub version: String,
    /// `sha256:` and hex, where the log names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The part it took.
    pub role: PolicyRole,
    /// ALLOW or DENY, when the policy was what decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Outcome>,
}

/// What POLICY_CHANGED adds.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct PolicyChange {
    /// RFC 3339.
    pub effective_from: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_until: Option<String>,
    /// The version that it replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_version: Option<String>,
    /// The change request or commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_ref: Option<String>,
    /// `sha256:` and hex of the attached document.
    pub snapshot: String,
}

/// A typed edge to a token or to another event.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The token at the other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// The event at the other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventRef>,
    /// What the edge means.
    pub relation: Relation,
    /// How the edge is known.
    pub strength: Strength,
    /// Why it is believed; present when INFERRED.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Another event of the ledger.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct EventRef {
    /// Its source.
    pub source: String,
    /// UUID.
    pub event_id: String,
}

/// A client or service that acts. Persons are personal records.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// CLIENT or SERVICE.
    pub kind: &'static str,
    /// Alias of the issuer that knows it.
    pub issuer: String,
    /// Its id there.
    pub id: String,
}

/// The software that made the event from a foreign log.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct AdapterName {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// Narrows a REVOKED on a wide target.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct Selector {
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<String>,
    /// Only tokens of this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Only tokens for this audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// One more fact. Keys of an event are strictly ascending.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// Lower case with underscores.
    pub key: &'static str,
    /// Never personal, never a bearer value.
    pub value: String,
}

/// The personal part of an event: one record per role.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Personal {
    /// Whose record it is.
    pub role: Role,
    /// The account at the issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Network address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// As the client sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Device id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The concrete resource; `resource` of the event is its template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
}

/// Bytes that an event names by digest.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// `sha256:` and hex.
    pub digest: String,
    /// Media type.
    pub media_type: &'static str,
    /// Base64 with padding.
    pub data: String,
}

macro_rules! symbols {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$mark:meta])* $symbol:ident),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[allow(missing_docs, reason = "the symbols are the statement's; DESIGN 4.1")]
        pub enum $name { $($(#[$mark])* $symbol),+ }
    };
}

symbols! {
    /// What a token, session, grant or policy went through.
    #[derive(Default)]
    EventType {
        Issued, Activated, #[default] Used, ResourceAccessed, Refreshed, Rotated, Revoked,
        PolicyChanged,
        AdminAct,
    }
}
symbols! {
    /// How the act ended. DENY and ERROR never change a state.
    Outcome { Allow, Deny, Error, None }
}
symbols! {
    /// Kinds of target that adapters write beside TOKEN, which has its shorthand.
    TargetKind { Session, Grant, Subject, Client, Policy, Source }
}
symbols! {
    /// Where the act was seen.
    Vantage { Issuer, Gateway, Resource, Client, Introspection, Observer }
}
symbols! {
    /// Kinds of token.
    TokenKind { Access, Refresh, Id, Session, AuthCode, DeviceCode, Credential, Assertion }
}
symbols! {
    /// The part a policy takes.
    PolicyRole { Grant, Access, Mfa, Revocation, Boundary }
}
symbols! {
    /// The meaning of an edge, read from the event's target to the other end.
    Relation {
        Produced, RefreshedFrom, RotatedFrom, RotatedTo, ExchangedFrom, MintedBy, FromCode,
        CausedBy, ActedBy,
    }
}
symbols! {
    /// ASSERTED: one line names both ids. JOINED: lines of one request or grant do. INFERRED: else.
    Strength { Asserted, Joined, Inferred }
}
symbols! {
    /// Whether somebody acts for somebody else (RFC 8693).
    Delegation { None, Impersonation, Delegation }
}
symbols! {
    /// Whose personal record it is.
    Role { Subject, Actor, Initiator, Owner, Request }
}
