//! An event as JSON: what producers send, and what answers show of what was recorded.
//!
//! ```text
//! {"event_id":"…", "type":"ISSUED", "token_id":"eu:idp:jti:4f0c", "occurred_at":"…", …}
//! ```
//!
//! Promises: one form both ways. Member names are those of the Avro statement, except that
//! `token_id` may stand for `target` and that a link's other token is `token_id`. Absent members
//! and empty lists are left out; `null` is read as absent. An event that is read here says exactly
//! what was sent: times and words stay as they were written until intake judges them.
//!
//! Refuses: unknown members and members that stand twice (`deny_unknown_fields`). The personal part
//! has no `Debug`, so that it cannot slip into a log.

use std::collections::BTreeMap;
use std::fmt;

use ledgerline_proof::vocabulary as kernel;
use schemars::JsonSchema;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_with::skip_serializing_none;

use crate::values::{HexHash, Str, Timestamp, Word, or_default};

/// One act in the life of a token, a session, a grant, a policy or a source.
///
/// Needs `type`, `occurred_at`, `event_id` or `native_id`, and `token_id` or `target`. `source` and
/// `tenant` come from the credential, so they are refused in what is sent.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["type", "occurred_at"]))]
pub struct Event<'a> {
    /// UUID that the source gives the event once; sent again with the same content it is a
    /// duplicate. Without it one is derived from `native_id`.
    #[serde(borrow)]
    #[schemars(extend("format" = "uuid"))]
    pub event_id: Option<Str<'a>>,
    /// The source's own name of the event, such as a log line's id; at most 1024 bytes.
    pub native_id: Option<Str<'a>>,
    /// The act of which this event is a part: all parts are recorded together, or none.
    pub act: Option<Act<'a>>,
    /// Tenant of the event. Set by the ledger.
    #[schemars(extend("readOnly" = true))]
    pub tenant: Option<Str<'a>>,
    /// Who reported it. Set by the ledger.
    #[schemars(extend("readOnly" = true))]
    pub source: Option<Str<'a>>,
    /// UUID of the process that reports; a new one each time it starts.
    pub source_instance: Option<Str<'a>>,
    /// Running number of the event within its instance, from 0: gaps become findings.
    pub source_seq: Option<i64>,
    /// The newest checkpoint that the source has verified.
    pub seen: Option<Seen<'a>>,
    /// What the event is about; `token_id` is the short form for a token.
    pub target: Option<Target<'a>>,
    /// The token the event is about: `<region>:<issuer alias>:<form>:<value>`, at most 256 bytes.
    /// Never the token itself.
    pub token_id: Option<Str<'a>>,
    /// What happened.
    #[schemars(with = "Word<kernel::EventType>")]
    #[serde(rename = "type")]
    pub event_type: Option<Str<'a>>,
    /// How it ended. Without it ALLOW for acts upon a token (ISSUED to REVOKED, and ORIGIN), else
    /// NONE. DENY and ERROR never change a token's state.
    #[schemars(with = "Option<Word<kernel::Outcome>>")]
    pub outcome: Option<Str<'a>>,
    /// Why, in a word or a short text; at most 1024 bytes, nothing personal.
    pub reason: Option<Str<'a>>,
    /// When it happened, by the clock of the source.
    #[schemars(with = "crate::values::Time")]
    pub occurred_at: Option<Timestamp<'a>>,
    /// Logical part of the clock, where several events share a nanosecond. Set by the ledger.
    #[schemars(extend("readOnly" = true))]
    pub occurred_logical: Option<i32>,
    /// How far the source's clock may be off, in nanoseconds.
    pub time_uncertainty_ns: Option<i64>,
    /// From when on it holds, where that is not `occurred_at`.
    pub effective_at: Option<Timestamp<'a>>,
    /// How many like events this one stands for.
    pub count: Option<i64>,
    /// When the last of them happened.
    pub last_at: Option<Timestamp<'a>>,
    /// From where the source saw it.
    #[schemars(with = "Option<Word<kernel::Vantage>>")]
    pub vantage: Option<Str<'a>>,
    /// Alias of the issuer, as in the token id.
    pub issuer: Option<Str<'a>>,
    /// Id of the issuer's key that signed the token.
    pub issuer_kid: Option<Str<'a>>,
    /// OAuth client that the token was issued to.
    pub client_id: Option<Str<'a>>,
    /// The consent or authorisation from which the token was minted.
    pub grant_id: Option<Str<'a>>,
    /// The login session at the issuer.
    pub session_id: Option<Str<'a>>,
    /// The line of refresh tokens that rotate into each other.
    pub family_id: Option<Str<'a>>,
    /// How often the family was rotated before.
    pub generation: Option<i64>,
    /// Other ids of the same token.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub also_known_as: Vec<Str<'a>>,
    /// What sort of token it is.
    #[schemars(with = "Option<Word<kernel::TokenKind>>")]
    pub token_kind: Option<Str<'a>>,
    /// Scopes of the token.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Str<'a>>,
    /// For whom the token is meant.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<Str<'a>>,
    /// When the token was issued, where it says so.
    pub issued_at: Option<Timestamp<'a>>,
    /// Before when the token is not to be used.
    pub not_before: Option<Timestamp<'a>>,
    /// When the token ends by itself.
    pub expires_at: Option<Timestamp<'a>>,
    /// Until when a rotated token may still be used.
    pub grace_until: Option<Timestamp<'a>>,
    /// By when the token is to be rotated.
    pub rotate_by: Option<Timestamp<'a>>,
    /// What must be proven before the token is usable.
    pub activation: Option<Activation<'a>>,
    /// How the person was authenticated.
    pub mfa: Option<Mfa<'a>>,
    /// Index in a token status list.
    pub status_index: Option<i64>,
    /// The service that was called.
    pub service: Option<Str<'a>>,
    /// The endpoint that was called, as a template.
    pub endpoint: Option<Str<'a>>,
    /// The resource, as a template such as `/orders/{id}`; the concrete one is personal.
    pub resource: Option<Str<'a>>,
    /// What was done with it, such as `read`.
    pub action: Option<Str<'a>>,
    /// The status of the answer, such as an HTTP status.
    pub status: Option<i32>,
    /// Bytes that were answered.
    pub bytes_out: Option<i64>,
    /// The policies that decided, or that took part.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy<'a>>,
    /// What POLICY_CHANGED adds.
    pub policy_change: Option<PolicyChange<'a>>,
    /// Edges to other tokens and events: from what this token was made, what caused the act.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link<'a>>,
    /// Clients and services that act; persons are personal records.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<Actor<'a>>,
    /// Whether somebody acts for somebody else (RFC 8693).
    #[schemars(with = "Option<Word<kernel::Delegation>>")]
    pub delegation: Option<Str<'a>>,
    /// Trace of the request (W3C Trace Context).
    pub trace_id: Option<Str<'a>>,
    /// Anything that joins events of one request.
    pub correlation_id: Option<Str<'a>>,
    /// The software that made the event from another system's log.
    pub adapter: Option<Adapter<'a>>,
    /// Narrows a REVOKED of a session, grant, client, key or person.
    pub selector: Option<Selector<'a>>,
    /// More facts; keys ascend.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<Detail<'a>>,
    /// Personal records. They are sealed under keys that can be destroyed; answers show their
    /// commitments alone.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub personal: Vec<Personal<'a>>,
    /// Documents that travel beside the event, such as a policy's text.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("writeOnly" = true))]
    pub attachments: Vec<Attachment<'a>>,
}

/// Records of an event: strict, and silent about what is absent.
macro_rules! records {
    ($(
        $(#[$meta:meta])*
        $name:ident { $( $(#[$fmeta:meta])* $field:ident: $ty:ty, )* }
    )*) => {$(
        $(#[$meta])*
        #[skip_serializing_none]
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name<'a> { $( $(#[$fmeta])* pub $field: $ty, )* }
    )*};
}

records! {
    /// The place of an event in an act of several events.
    Act {
        /// The act; the same in each part.
        #[serde(borrow)]
        id: Str<'a>,
        /// Which part this is, from 0.
        part: i32,
        /// How many parts the act has: 2 to 64.
        parts: i32,
    }
    /// A checkpoint that the source has verified.
    Seen {
        /// The log's origin.
        #[serde(borrow)]
        origin: Str<'a>,
        /// Entries of the tree.
        size: i64,
        /// Root of the tree: hex, or base64 as a checkpoint has it.
        root: Str<'a>,
    }
    /// What an event is about.
    Target {
        /// The kind of thing.
        #[serde(borrow)]
        #[schemars(with = "Word<kernel::TargetKind>")]
        kind: Str<'a>,
        /// Its id; `<region>:<issuer alias>:<id>` for what an issuer names. Empty for a SUBJECT,
        /// who is named by the personal record.
        #[serde(default)]
        id: Str<'a>,
    }
    /// What must be proven before a token is usable.
    Activation {
        /// Names of what is required.
        #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
        requires: Vec<Str<'a>>,
        /// After it the token can no longer be activated.
        #[serde(borrow)]
        deadline: Option<Timestamp<'a>>,
    }
    /// How a person was authenticated.
    Mfa {
        /// Authentication methods (RFC 8176).
        #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
        methods: Vec<Str<'a>>,
        /// Authentication context class.
        #[serde(borrow)]
        acr: Option<Str<'a>>,
        /// When it was done.
        completed_at: Option<Timestamp<'a>>,
    }
    /// A policy that took part.
    Policy {
        /// The policy.
        #[serde(borrow)]
        id: Str<'a>,
        /// Its version.
        version: Str<'a>,
        /// SHA-256 of its text: `sha256:` and 64 hex digits.
        digest: Option<Str<'a>>,
        /// The part it took.
        #[schemars(with = "Option<Word<kernel::PolicyRole>>")]
        role: Option<Str<'a>>,
        /// ALLOW or DENY, where this policy decided.
        effect: Option<Str<'a>>,
    }
    /// What POLICY_CHANGED adds.
    PolicyChange {
        /// From when on the version holds.
        #[serde(borrow)]
        effective_from: Option<Timestamp<'a>>,
        /// Until when.
        effective_until: Option<Timestamp<'a>>,
        /// The version before.
        previous_version: Option<Str<'a>>,
        /// The change request or commit.
        change_ref: Option<Str<'a>>,
        /// SHA-256 of the attached text: `sha256:` and 64 hex digits.
        snapshot: Option<Str<'a>>,
    }
    /// Another event of the ledger.
    EventRef {
        /// Its source.
        #[serde(borrow)]
        source: Str<'a>,
        /// Its UUID.
        event_id: Str<'a>,
    }
    /// An edge from the event's target to another token, or from the event to another event.
    /// Exactly one of `token_id` and `event`.
    Link {
        /// The token at the other end.
        #[serde(borrow)]
        token_id: Option<Str<'a>>,
        /// The event at the other end.
        event: Option<EventRef<'a>>,
        /// What the edge means, read from the target to the other end.
        #[schemars(with = "Word<kernel::Relation>")]
        relation: Str<'a>,
        /// ASSERTED: one record names both ends. JOINED: records of one request or grant do.
        /// INFERRED: otherwise.
        #[schemars(with = "Option<Word<kernel::Strength>>")]
        strength: Option<Str<'a>>,
        /// Why it is believed; give it where it is INFERRED.
        why: Option<Str<'a>>,
    }
    /// A client or service that acts.
    Actor {
        /// What it is.
        #[serde(borrow)]
        #[schemars(with = "Option<Word<kernel::ActorKind>>")]
        kind: Option<Str<'a>>,
        /// Alias of the issuer that knows it.
        issuer: Option<Str<'a>>,
        /// Its id there.
        id: Str<'a>,
    }
    /// The software that made the event from another system's log.
    Adapter {
        /// Its name.
        #[serde(borrow)]
        name: Str<'a>,
        /// Its version.
        version: Str<'a>,
    }
    /// Narrows a REVOKED of more than one token.
    Selector {
        /// Only tokens issued before.
        #[serde(borrow)]
        issued_before: Option<Timestamp<'a>>,
        /// Only tokens of this client.
        client: Option<Str<'a>>,
        /// Only tokens for this audience.
        audience: Option<Str<'a>>,
    }
    /// One more fact.
    Detail {
        /// Lower case with underscores.
        #[serde(borrow)]
        key: Str<'a>,
        /// Never personal, never a bearer value.
        value: Str<'a>,
    }
    /// Bytes that an event names by digest.
    Attachment {
        /// `sha256:` and 64 hex digits.
        #[serde(borrow)]
        digest: Str<'a>,
        /// Media type.
        media_type: Str<'a>,
        /// Base64 with padding.
        data: Str<'a>,
    }
}

/// Free attributes of a personal record.
pub type Attributes<'a> = BTreeMap<Str<'a>, Str<'a>>;

/// A personal record: what is sealed, and can be erased.
#[skip_serializing_none]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Personal<'a> {
    /// Whose record it is.
    #[serde(borrow)]
    #[schemars(with = "Word<kernel::PersonalRole>")]
    pub role: Str<'a>,
    /// The account at the issuer.
    #[schemars(extend("writeOnly" = true))]
    pub user_id: Option<Str<'a>>,
    /// Network address.
    #[schemars(extend("writeOnly" = true))]
    pub ip: Option<Str<'a>>,
    /// User agent, as the client sent it.
    #[schemars(extend("writeOnly" = true))]
    pub user_agent: Option<Str<'a>>,
    /// Id of the device.
    #[schemars(extend("writeOnly" = true))]
    pub device: Option<Str<'a>>,
    /// The concrete resource, such as `/orders/4711`.
    #[schemars(extend("writeOnly" = true))]
    pub resource: Option<Str<'a>>,
    /// Anything else about the person.
    #[serde(default, deserialize_with = "unique", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("writeOnly" = true))]
    pub attributes: Attributes<'a>,
    /// Commitment to the record; what is shown of it in answers.
    #[schemars(extend("readOnly" = true))]
    pub commitment: Option<HexHash>,
}

impl Personal<'_> {
    /// A record in which nothing stands yet.
    #[must_use]
    pub fn of(role: kernel::PersonalRole) -> Self {
        Self {
            role: Str::Borrowed(role.symbol()),
            user_id: None,
            ip: None,
            user_agent: None,
            device: None,
            resource: None,
            attributes: Attributes::new(),
            commitment: None,
        }
    }
}

impl fmt::Debug for Personal<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Personal({}, …)", self.role)
    }
}

/// An object whose names stand once each: of two, a reader before us may have taken the other.
fn unique<'de, D: Deserializer<'de>>(source: D) -> Result<Attributes<'de>, D::Error> {
    struct Pairs;
    impl<'de> Visitor<'de> for Pairs {
        type Value = Attributes<'de>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an object of strings")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Attributes::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Attributes::new();
            while let Some((name, value)) = map.next_entry()? {
                if pairs.insert(name, value).is_some() {
                    return Err(A::Error::custom("duplicate field"));
                }
            }
            Ok(pairs)
        }
    }
    source.deserialize_any(Pairs)
}

/// One event, or a list of at most 10,000.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Events<'a> {
    /// One; refused by its own status.
    One(#[serde(borrow)] Box<Event<'a>>),
    /// Several; each has its own verdict.
    Many(Vec<Event<'a>>),
}
