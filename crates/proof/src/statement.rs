//! The statement: the part of an event its producer wrote and signed. Nothing personal is in it.
//!
//! Promises: a statement that [`Statement::validate`] accepts is within every limit and consistent
//! in itself. Its bytes are `C3 01`, the 8-byte schema fingerprint, and the canonical body
//! ([`crate::wire`]); a signed statement is never re-encoded.
//!
//! Assumes: nothing of the producer. Whether it may write this statement is its grant's business.
//!
//! Refuses: names and lists beyond the limits below, events without a target, acts whose part lies
//! outside, `detail` keys that are not strictly ascending.

use crate::hash::Hash;
use crate::hlc::Hlc;
use crate::token_id::{TokenId, is_name_byte};
use crate::vocabulary::{
    ActorKind, Delegation, EventType, Outcome, PersonalRole, PolicyRole, Relation, Strength,
    TargetKind, TokenKind, Vantage,
};
use crate::wire::wire_record;

/// Longest name, id or other string field of a statement, in bytes.
pub const MAX_STRING_BYTES: usize = 1024;
/// Longest target or token id, in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// Longest list in a statement.
pub const MAX_LIST_ITEMS: usize = 256;
/// Most events in one act.
pub const MAX_ACT_PARTS: i32 = 64;

wire_record! {
    /// One act of a source that means several events: all parts in one commit, or all refused.
    pub struct Act<'a> {
        /// Names the act; the same in all its parts.
        pub id: &'a str,
        /// Which part this is, from 0.
        pub part: i32,
        /// How many parts the act has, at most 64.
        pub parts: i32,
    }
}

wire_record! {
    /// The last checkpoint this producer verified.
    pub struct Seen<'a> {
        /// Origin of the checkpoint.
        pub origin: &'a str,
        /// Its tree size.
        pub size: i64,
        /// Its root hash.
        pub root: Hash,
    }
}

wire_record! {
    /// What an event is about.
    pub struct Target<'a> {
        /// The kind.
        pub kind: TargetKind,
        /// The id: a token id, `region:alias:id`, a source or policy name; empty for SUBJECT.
        pub id: &'a str,
    }
}

wire_record! {
    /// What must happen before an issued token is usable.
    pub struct Activation<'a> {
        /// The guards, such as `mfa`.
        pub requires: Vec<&'a str>,
        /// Unix nanoseconds by which they must be met.
        pub deadline: Option<i64>,
    }
}

wire_record! {
    /// The factors that were met.
    pub struct Mfa<'a> {
        /// Authentication methods (RFC 8176 names).
        pub methods: Vec<&'a str>,
        /// Authentication context class reference.
        pub acr: Option<&'a str>,
        /// Unix nanoseconds at which the last factor was met.
        pub completed_at: Option<i64>,
    }
}

wire_record! {
    /// A policy that took part in the act, at the version in force.
    pub struct PolicyRef<'a> {
        /// The policy's id.
        pub id: &'a str,
        /// Its version.
        pub version: &'a str,
        /// SHA-256 of its snapshot.
        pub digest: Option<Hash>,
        /// The part it played.
        pub role: PolicyRole,
        /// What it decided.
        pub effect: Option<&'a str>,
    }
}

wire_record! {
    /// On POLICY_CHANGED: what changed, from when to when.
    pub struct PolicyChange<'a> {
        /// Unix nanoseconds from which the version is in force.
        pub effective_from: Option<i64>,
        /// Unix nanoseconds until which it is in force.
        pub effective_until: Option<i64>,
        /// The version it replaces.
        pub previous_version: Option<&'a str>,
        /// The change request, ticket or commit.
        pub change_ref: Option<&'a str>,
        /// SHA-256 of the snapshot, carried as an attachment.
        pub snapshot: Option<Hash>,
    }
}

wire_record! {
    /// Another event, by its identity.
    pub struct EventRef<'a> {
        /// The source that recorded it.
        pub source: &'a str,
        /// Its event id.
        pub event_id: [u8; 16],
    }
}

wire_record! {
    /// A typed edge to a token or an event. Exactly one of `token` and `event` is set.
    pub struct Link<'a> {
        /// The other token's id.
        pub token: Option<&'a str>,
        /// The other event.
        pub event: Option<EventRef<'a>>,
        /// What the edge means.
        pub relation: Relation,
        /// How well it is known.
        pub strength: Strength,
        /// From what it was concluded; set when INFERRED.
        pub why: Option<&'a str>,
    }
}

wire_record! {
    /// A client or service that acted, outermost first.
    pub struct Actor<'a> {
        /// What it is.
        pub kind: ActorKind,
        /// The issuer alias under which the id is known.
        pub issuer: Option<&'a str>,
        /// The client or service id; never a person.
        pub id: &'a str,
    }
}

wire_record! {
    /// The software that translated the act.
    pub struct Adapter<'a> {
        /// Its name.
        pub name: &'a str,
        /// Its version.
        pub version: &'a str,
    }
}

wire_record! {
    /// Narrows a REVOKED on a wide target; absent fields do not narrow.
    pub struct Selector<'a> {
        /// Only tokens issued before this, Unix nanoseconds.
        pub issued_before: Option<i64>,
        /// Only tokens of this client.
        pub client: Option<&'a str>,
        /// Only tokens for this audience.
        pub audience: Option<&'a str>,
    }
}

wire_record! {
    /// A fact about a finding, heartbeat or administrative act; never personal.
    pub struct Detail<'a> {
        /// The key; keys of one list strictly ascend.
        pub key: &'a str,
        /// The value.
        pub value: &'a str,
    }
}

wire_record! {
    /// Binds one personal record, which travels beside and can be erased.
    pub struct Personal {
        /// Whom the record is about.
        pub role: PersonalRole,
        /// SHA-256 over the domain string and the record's bytes.
        pub commitment: Hash,
    }
}

wire_record! {
    /// One act in the life of a target, as its producer states it. Times are Unix nanoseconds.
    pub struct Statement<'a> {
        /// UUID of the event, unique for ever per (tenant, source).
        pub event_id: [u8; 16],
        /// The source's own id of the act, where it has one.
        pub native_id: Option<&'a str>,
        /// The act this event is a part of.
        pub act: Option<Act<'a>>,
        /// Tenant; empty by default. Must equal the credential's.
        pub tenant: &'a str,
        /// The producer. Must equal the credential's.
        pub source: &'a str,
        /// Random per boot of the producer.
        pub source_instance: Option<[u8; 16]>,
        /// Gapless counter per instance.
        pub source_seq: Option<i64>,
        /// The last checkpoint this producer verified.
        pub seen: Option<Seen<'a>>,
        /// What the event is about.
        pub target: Target<'a>,
        /// The act.
        pub event_type: EventType,
        /// How it ended.
        pub outcome: Outcome,
        /// Why, from an open vocabulary of short words.
        pub reason: Option<&'a str>,
        /// When it happened, by the producer's clock.
        pub occurred_at: Hlc,
        /// How far off that clock may be, in nanoseconds.
        pub time_uncertainty_ns: Option<i64>,
        /// From when the act takes effect, if not at once.
        pub effective_at: Option<i64>,
        /// How many uses this event stands for.
        pub count: Option<i64>,
        /// The last of them.
        pub last_at: Option<i64>,
        /// From where the producer saw the act.
        pub vantage: Vantage,
        /// Alias of the token's issuer.
        pub issuer: Option<&'a str>,
        /// Key id under which the issuer signed the token.
        pub issuer_kid: Option<&'a str>,
        /// The OAuth client.
        pub client_id: Option<&'a str>,
        /// The grant.
        pub grant_id: Option<&'a str>,
        /// The session.
        pub session_id: Option<&'a str>,
        /// The refresh family.
        pub family_id: Option<&'a str>,
        /// Position in the refresh family.
        pub generation: Option<i64>,
        /// Other token ids of the same token.
        pub also_known_as: Vec<&'a str>,
        /// What sort of token the target is.
        pub token_kind: Option<TokenKind>,
        /// Granted or requested scopes.
        pub scopes: Vec<&'a str>,
        /// Intended audiences.
        pub audience: Vec<&'a str>,
        /// The token's `iat`.
        pub issued_at: Option<i64>,
        /// The token's `nbf`.
        pub not_before: Option<i64>,
        /// The token's `exp`.
        pub expires_at: Option<i64>,
        /// On ROTATED: until when the replaced token stays usable.
        pub grace_until: Option<i64>,
        /// By when the token should be rotated.
        pub rotate_by: Option<i64>,
        /// On ISSUED: what must happen before use.
        pub activation: Option<Activation<'a>>,
        /// On ACTIVATED: the factors met.
        pub mfa: Option<Mfa<'a>>,
        /// Index in the issuer's Token Status List.
        pub status_index: Option<i64>,
        /// The service that acted.
        pub service: Option<&'a str>,
        /// The endpoint, as a template.
        pub endpoint: Option<&'a str>,
        /// The resource, as a template or declared-safe id.
        pub resource: Option<&'a str>,
        /// What was done to it.
        pub action: Option<&'a str>,
        /// Protocol status, such as the HTTP status.
        pub status: Option<i32>,
        /// Bytes sent out.
        pub bytes_out: Option<i64>,
        /// The policies that took part.
        pub policies: Vec<PolicyRef<'a>>,
        /// On POLICY_CHANGED: the change.
        pub policy_change: Option<PolicyChange<'a>>,
        /// Edges to other tokens and events.
        pub links: Vec<Link<'a>>,
        /// The `act` chain, outermost first.
        pub actors: Vec<Actor<'a>>,
        /// Whether the token acts in someone else's name.
        pub delegation: Delegation,
        /// W3C trace id.
        pub trace_id: Option<&'a str>,
        /// Ties events of one cause together.
        pub correlation_id: Option<&'a str>,
        /// The software that translated the act.
        pub adapter: Option<Adapter<'a>>,
        /// Narrows a REVOKED on a wide target.
        pub selector: Option<Selector<'a>>,
        /// Further facts, keys strictly ascending.
        pub detail: Vec<Detail<'a>>,
        /// Reserved; null.
        pub raw_digest: Option<Hash>,
        /// Commitments to the personal records beside.
        pub personal: Vec<Personal>,
    }
}

/// Why a well-encoded statement is still not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// A string is too long or holds control characters.
    #[error("`{field}` is longer than {limit} bytes or holds control characters")]
    BadString {
        /// The field.
        field: &'static str,
        /// Its limit in bytes.
        limit: usize,
    },
    /// A list is too long.
    #[error("`{field}` has more than {MAX_LIST_ITEMS} items")]
    LongList {
        /// The field.
        field: &'static str,
    },
    /// Nothing to hang the event on.
    #[error("the event names no target: give `token_id`, or `target` with kind and id")]
    MissingTarget,
    /// A field contradicts another or the schema's rules.
    #[error("`{field}`: {why}")]
    BadField {
        /// The field.
        field: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

impl StatementError {
    /// The stable code that interfaces report.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadString { .. } | Self::BadField { .. } => "bad_field",
            Self::LongList { .. } => "too_many_items",
            Self::MissingTarget => "missing_target",
        }
    }
}

/// Whether `name` is a source name: `[a-z0-9._-]{1,64}`.
#[must_use]
pub fn is_source_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(is_name_byte)
}

impl<'a> Statement<'a> {
    /// The value of a key in a statement's detail.
    #[must_use]
    pub fn detail(&self, key: &str) -> Option<&'a str> {
        self.detail.iter().find(|one| one.key == key).map(|one| one.value)
    }

    /// Whether an event is a mere use: it gives its target no other name, and no other state but
    /// that of a spent code, which is for nobody to use before and after.
    #[must_use]
    pub fn is_use(&self) -> bool {
        self.also_known_as.is_empty()
            && matches!(self.event_type, EventType::Used | EventType::ResourceAccessed)
    }

    /// A statement with the given identity, target and act, everything else empty.
    #[must_use]
    pub fn new(
        event_id: [u8; 16],
        source: &'a str,
        target: Target<'a>,
        event_type: EventType,
        occurred_at: Hlc,
    ) -> Self {
        Self {
            event_id,
            native_id: None,
            act: None,
            tenant: "",
            source,
            source_instance: None,
            source_seq: None,
            seen: None,
            target,
            event_type,
            outcome: if event_type.is_lifecycle() { Outcome::Allow } else { Outcome::None },
            reason: None,
            occurred_at,
            time_uncertainty_ns: None,
            effective_at: None,
            count: None,
            last_at: None,
            vantage: Vantage::Other,
            issuer: None,
            issuer_kid: None,
            client_id: None,
            grant_id: None,
            session_id: None,
            family_id: None,
            generation: None,
            also_known_as: Vec::new(),
            token_kind: None,
            scopes: Vec::new(),
            audience: Vec::new(),
            issued_at: None,
            not_before: None,
            expires_at: None,
            grace_until: None,
            rotate_by: None,
            activation: None,
            mfa: None,
            status_index: None,
            service: None,
            endpoint: None,
            resource: None,
            action: None,
            status: None,
            bytes_out: None,
            policies: Vec::new(),
            policy_change: None,
            links: Vec::new(),
            actors: Vec::new(),
            delegation: Delegation::None,
            trace_id: None,
            correlation_id: None,
            adapter: None,
            selector: None,
            detail: Vec::new(),
            raw_digest: None,
            personal: Vec::new(),
        }
    }

    /// Checks every limit and every rule that the statement alone can break.
    ///
    /// # Errors
    /// The first [`StatementError`] found, in field order.
    pub fn validate(&self) -> Result<(), StatementError> {
        self.validate_identity()?;
        self.validate_target()?;
        self.validate_strings()?;
        self.validate_lists()
    }

    fn validate_identity(&self) -> Result<(), StatementError> {
        if !is_source_name(self.source) {
            return Err(bad("source", "must match [a-z0-9._-]{1,64}"));
        }
        if let Some(act) = &self.act {
            if !(1..=MAX_ACT_PARTS).contains(&act.parts) || !(0..act.parts).contains(&act.part) {
                return Err(bad("act", "needs 1..64 parts and 0 <= part < parts"));
            }
            string("act.id", act.id, MAX_STRING_BYTES)?;
        }
        if self.source_seq.is_some_and(|seq| seq < 0) {
            return Err(bad("source_seq", "must not be negative"));
        }
        if self.time_uncertainty_ns.is_some_and(|ns| ns < 0) {
            return Err(bad("time_uncertainty_ns", "must not be negative"));
        }
        if self.occurred_at.logical < 0 || self.occurred_at.nanos < 0 {
            return Err(bad("occurred_at", "must not lie before 1970"));
        }
        if self.count.is_some_and(|count| count < 1) {
            return Err(bad("count", "must be at least 1"));
        }
        if self.raw_digest.is_some() {
            return Err(bad("raw_digest", "is reserved and must be null"));
        }
        Ok(())
    }

    fn validate_target(&self) -> Result<(), StatementError> {
        if self.target.kind == TargetKind::Other {
            return Err(StatementError::MissingTarget);
        }
        if (self.target.kind == TargetKind::Subject) != self.target.id.is_empty() {
            return Err(StatementError::MissingTarget);
        }
        string("target.id", self.target.id, MAX_ID_BYTES)?;
        if self.target.kind == TargetKind::Token && TokenId::parse(self.target.id).is_err() {
            return Err(bad("target.id", "is not a token id (region:issuer:form:value)"));
        }
        if self.event_type == EventType::Other {
            return Err(bad("type", "is not a type of this version"));
        }
        Ok(())
    }

    fn validate_strings(&self) -> Result<(), StatementError> {
        let optional = [
            ("reason", self.reason),
            ("issuer", self.issuer),
            ("issuer_kid", self.issuer_kid),
            ("client_id", self.client_id),
            ("grant_id", self.grant_id),
            ("session_id", self.session_id),
            ("family_id", self.family_id),
            ("service", self.service),
            ("endpoint", self.endpoint),
            ("resource", self.resource),
            ("action", self.action),
            ("trace_id", self.trace_id),
            ("correlation_id", self.correlation_id),
        ];
        for (field, value) in optional {
            if let Some(value) = value {
                string(field, value, MAX_STRING_BYTES)?;
            }
        }
        if let Some(native_id) = self.native_id {
            // The ledger's own EXPIRED has one zero byte, between token id and expiry.
            let derived = self.source == "ledger" && self.event_type == EventType::Expired;
            let parts = native_id.split_once('\0').filter(|_| derived);
            let (first, second) = parts.unwrap_or((native_id, ""));
            string("native_id", first, MAX_STRING_BYTES)?;
            string("native_id", second, MAX_STRING_BYTES - first.len())?;
        }
        string("tenant", self.tenant, MAX_ID_BYTES)
    }

    fn validate_lists(&self) -> Result<(), StatementError> {
        let lists = [
            ("also_known_as", &self.also_known_as),
            ("scopes", &self.scopes),
            ("audience", &self.audience),
        ];
        for (field, list) in lists {
            list_length(field, list.len())?;
            for item in list {
                string(field, item, MAX_STRING_BYTES)?;
            }
        }
        list_length("policies", self.policies.len())?;
        list_length("links", self.links.len())?;
        list_length("actors", self.actors.len())?;
        list_length("detail", self.detail.len())?;
        list_length("personal", self.personal.len())?;
        for link in &self.links {
            if link.token.is_some() == link.event.is_some() {
                return Err(bad("links", "each names exactly one of token_id and event"));
            }
        }
        if !self.detail.windows(2).all(|pair| pair[0].key.as_bytes() < pair[1].key.as_bytes()) {
            return Err(bad("detail", "keys must strictly ascend by bytes"));
        }
        Ok(())
    }
}

fn bad(field: &'static str, why: &'static str) -> StatementError {
    StatementError::BadField { field, why }
}

fn string(field: &'static str, value: &str, limit: usize) -> Result<(), StatementError> {
    // No early end: control characters are rare, and so many bytes are looked at together.
    let control = value.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == 0x7f));
    if value.len() > limit || control {
        return Err(StatementError::BadString { field, limit });
    }
    Ok(())
}

fn list_length(field: &'static str, length: usize) -> Result<(), StatementError> {
    if length > MAX_LIST_ITEMS { Err(StatementError::LongList { field }) } else { Ok(()) }
}
