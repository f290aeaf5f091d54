//! The JSON form of an event (DESIGN section 8), read strictly.
//!
//! Promises: an event that parses here says exactly what the statement will say. Unknown and
//! duplicate fields, wrong types, times that are no RFC 3339, depth beyond serde's limit: an error
//! that names the place and never repeats the value, which might be a secret. `null` is an absent
//! member, list or object, as Go and others write it.

mod amend;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_api::moment::{Moment, moment};
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::statement::{
    Act, Activation, Actor, Adapter, Detail, EventRef, Link, MAX_ID_BYTES, MAX_STRING_BYTES, Mfa,
    PolicyChange, PolicyRef, Seen, Selector, Statement, Target,
};
use ledgerline_proof::token_id::looks_like_token;
use ledgerline_proof::vocabulary::{
    ActorKind, Delegation, EventType, Outcome, PersonalRole, PolicyRole, Relation, Strength,
    TargetKind, TokenKind, Vantage,
};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::EventError;
use super::secret_scan::{SECRET_REFUSED, check_text};

type Text<'a> = Option<Cow<'a, str>>;

/// One event as submitted. Field names are those of the statement.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct JsonEvent<'a> {
    #[serde(borrow)]
    event_id: Text<'a>,
    native_id: Text<'a>,
    #[serde(rename = "type")]
    event_type: Text<'a>,
    token_id: Text<'a>,
    target: Option<JsonTarget<'a>>,
    act: Option<JsonAct<'a>>,
    occurred_at: Text<'a>,
    time_uncertainty_ns: Option<i64>,
    outcome: Text<'a>,
    reason: Text<'a>,
    source_instance: Text<'a>,
    source_seq: Option<i64>,
    seen: Option<JsonSeen<'a>>,
    effective_at: Text<'a>,
    count: Option<i64>,
    last_at: Text<'a>,
    vantage: Text<'a>,
    issuer: Text<'a>,
    issuer_kid: Text<'a>,
    client_id: Text<'a>,
    grant_id: Text<'a>,
    session_id: Text<'a>,
    family_id: Text<'a>,
    generation: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    also_known_as: Vec<Cow<'a, str>>,
    token_kind: Text<'a>,
    #[serde(deserialize_with = "or_default")]
    scopes: Vec<Cow<'a, str>>,
    #[serde(deserialize_with = "or_default")]
    audience: Vec<Cow<'a, str>>,
    issued_at: Text<'a>,
    not_before: Text<'a>,
    expires_at: Text<'a>,
    grace_until: Text<'a>,
    rotate_by: Text<'a>,
    activation: Option<JsonActivation<'a>>,
    mfa: Option<JsonMfa<'a>>,
    status_index: Option<i64>,
    service: Text<'a>,
    endpoint: Text<'a>,
    resource: Text<'a>,
    action: Text<'a>,
    status: Option<i32>,
    bytes_out: Option<i64>,
    #[serde(deserialize_with = "or_default")]
    policies: Vec<JsonPolicy<'a>>,
    policy_change: Option<JsonPolicyChange<'a>>,
    #[serde(deserialize_with = "or_default")]
    links: Vec<JsonLink<'a>>,
    #[serde(deserialize_with = "or_default")]
    actors: Vec<JsonActor<'a>>,
    delegation: Text<'a>,
    trace_id: Text<'a>,
    correlation_id: Text<'a>,
    adapter: Option<JsonAdapter<'a>>,
    selector: Option<JsonSelector<'a>>,
    #[serde(deserialize_with = "or_default")]
    detail: Vec<JsonDetail<'a>>,
    /// The personal records, in order.
    #[serde(deserialize_with = "or_default")]
    pub personal: Vec<JsonPersonal<'a>>,
    /// What travels beside.
    #[serde(deserialize_with = "or_default")]
    pub attachments: Vec<JsonAttachment<'a>>,
}

macro_rules! json_record {
    ($($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name<'a> { $($(#[$fmeta])* $field: $ty,)* }
    )*};
}

json_record! {
    /// `target`.
    JsonTarget { #[serde(borrow)] kind: Cow<'a, str>, #[serde(default)] id: Cow<'a, str>, }
    /// `act`.
    JsonAct { #[serde(borrow)] id: Cow<'a, str>, part: i32, parts: i32, }
    /// `seen`.
    JsonSeen { #[serde(borrow)] origin: Cow<'a, str>, size: i64, root: Cow<'a, str>, }
    /// `activation`.
    JsonActivation {
        #[serde(default, deserialize_with = "or_default")] requires: Vec<Cow<'a, str>>,
        #[serde(borrow)] deadline: Text<'a>,
    }
    /// `mfa`.
    JsonMfa {
        #[serde(default, deserialize_with = "or_default")] methods: Vec<Cow<'a, str>>,
        #[serde(borrow)] acr: Text<'a>, completed_at: Text<'a>,
    }
    /// One of `policies`.
    JsonPolicy {
        #[serde(borrow)] id: Cow<'a, str>, version: Cow<'a, str>, digest: Text<'a>,
        role: Text<'a>, effect: Text<'a>,
    }
    /// `policy_change`.
    JsonPolicyChange {
        #[serde(borrow)] effective_from: Text<'a>, effective_until: Text<'a>,
        previous_version: Text<'a>, change_ref: Text<'a>, snapshot: Text<'a>,
    }
    /// The event of a link.
    JsonEventRef { #[serde(borrow)] source: Cow<'a, str>, event_id: Cow<'a, str>, }
    /// One of `links`.
    JsonLink {
        #[serde(borrow)] token_id: Text<'a>, event: Option<JsonEventRef<'a>>,
        relation: Cow<'a, str>, strength: Text<'a>, why: Text<'a>,
    }
    /// One of `actors`.
    JsonActor { #[serde(borrow)] kind: Text<'a>, issuer: Text<'a>, id: Cow<'a, str>, }
    /// `adapter`.
    JsonAdapter { #[serde(borrow)] name: Cow<'a, str>, version: Cow<'a, str>, }
    /// `selector`.
    JsonSelector { #[serde(borrow)] issued_before: Text<'a>, client: Text<'a>, audience: Text<'a>, }
    /// One of `detail`.
    JsonDetail { #[serde(borrow)] key: Cow<'a, str>, value: Cow<'a, str>, }
    /// One of `attachments`.
    JsonAttachment {
        #[serde(borrow)] digest: Cow<'a, str>, media_type: Cow<'a, str>, data: Cow<'a, str>,
    }
    /// One of `personal`.
    JsonPersonal {
        #[serde(borrow)] role: Cow<'a, str>, user_id: Text<'a>, ip: Text<'a>, user_agent: Text<'a>,
        device: Text<'a>, resource: Text<'a>,
        #[serde(default, deserialize_with = "unique")] attributes: Attributes<'a>,
    }
}

/// Free attributes of a personal record.
type Attributes<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// `null` is the empty list: a nil slice is written so.
pub(super) fn or_default<'de, D, T>(source: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(source)?.unwrap_or_default())
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

/// Reads one event.
///
/// # Errors
/// `bad_json`, `unknown_field` or `bad_field` with the place, never the value.
pub fn parse(text: &str) -> Result<JsonEvent<'_>, EventError> {
    serde_json::from_str(text).map_err(|error| EventError::new(code_of(&error), describe(&error)))
}

/// Well-formed JSON of another shape is an event that cannot be taken, not a broken body.
fn code_of(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data if error.to_string().starts_with("unknown field") => {
            "unknown_field"
        }
        serde_json::error::Category::Data => "bad_field",
        _ => "bad_json",
    }
}

/// The member that stands twice, when that is what serde found. It is one of our own names: serde
/// tells no others.
#[must_use]
pub fn member_twice(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let (name, _) = text.strip_prefix("duplicate field `")?.split_once('`')?;
    Some(name.to_owned())
}

/// What serde found, without the offending value: serde's text quotes strings of the input.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if let Some(name) = member_twice(error) {
        return format!("`{name}` stands twice, {}", place(error));
    }
    let what = match error.classify() {
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            "not well-formed JSON"
        }
        _ if text.starts_with("unknown field") => return unknown_field(&text, error),
        _ if text.starts_with("duplicate field") => "a field that stands twice",
        _ if text.starts_with("missing field") => "a field is missing",
        _ => "a value of the wrong type",
    };
    format!("{what}, {}", place(error))
}

/// Where in the event. Most stand on one line, which is not the line of the file that holds them.
fn place(error: &serde_json::Error) -> String {
    match (error.line(), error.column()) {
        (1, column) => format!("at byte {column} of the event"),
        (line, column) => format!("at line {line} column {column} of the event"),
    }
}

/// Most names that are suggested.
const NEAR_MAX: usize = 12;

/// Names the field that events do not have, and those that they have in that place: all when they
/// are few, else those that are alike. A name may be a secret, too: only a plain word is repeated.
fn unknown_field(text: &str, error: &serde_json::Error) -> String {
    let mut quoted = text.split('`').skip(1).step_by(2);
    let name = quoted.next().unwrap_or_default();
    let is_word = name.len() <= 40
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && check_text(name).is_ok();
    let known: Vec<&str> = quoted.collect();
    let is_near = |other: &&&str| {
        let parts = |word: &'_ str| word.split('_').map(str::to_owned).collect::<Vec<_>>();
        let theirs = parts(other);
        is_word
            && parts(name).iter().any(|part| {
                let like = |one: &String| one.starts_with(&**part) || part.starts_with(&**one);
                part.len() > 1 && theirs.iter().any(like)
            })
    };
    let near: Vec<&str> = match known.len() <= NEAR_MAX {
        true => known,
        false => known.iter().filter(is_near).copied().take(NEAR_MAX).collect(),
    };
    let mut out = match is_word {
        true => format!("`{name}` is a field that events do not have, {}", place(error)),
        false => format!("a field that events do not have, {}", place(error)),
    };
    if !near.is_empty() {
        out.push_str(&format!("; there is {}", near.join(", ")));
    }
    out
}

impl JsonEvent<'_> {
    /// The statement, without its commitments. `event_id` is the given or derived one.
    ///
    /// # Errors
    /// The first field that cannot be taken over.
    pub fn statement<'s>(
        &'s self,
        tenant: &'s str,
        source: &'s str,
    ) -> Result<Statement<'s>, EventError> {
        let event_type = required("type", self.event_type.as_deref())?;
        let event_type = symbol("type", Some(event_type), EventType::from_symbol)?
            .ok_or_else(|| missing("type"))?;
        let occurred_at = time("occurred_at", self.occurred_at.as_deref())?;
        let occurred_at = Hlc::at(occurred_at.ok_or_else(|| missing("occurred_at"))?);
        let target = self.target()?;
        let mut statement = Statement::new([0; 16], source, target, event_type, occurred_at);
        statement.tenant = tenant;
        statement.act =
            self.act.as_ref().map(|act| Act { id: &act.id, part: act.part, parts: act.parts });
        statement.native_id = self.native_id.as_deref();
        statement.event_id = self.event_id(&statement)?;
        self.fill_circumstance(&mut statement)?;
        self.fill_token_facts(&mut statement)?;
        self.fill_lists(&mut statement)?;
        Ok(statement)
    }

    fn target(&self) -> Result<Target<'_>, EventError> {
        match (&self.token_id, &self.target) {
            (Some(id), None) if id.len() > MAX_ID_BYTES && looks_like_token(id) => {
                let why = "this is a token, not a token id: give the id that `ledgerline token-id` \
                           computes of it; the ledger never takes a token";
                Err(EventError::new(SECRET_REFUSED, why.into()))
            }
            (Some(id), None) => Ok(Target { kind: TargetKind::Token, id }),
            (None, Some(target)) => {
                let kind = symbol("target.kind", Some(&target.kind), TargetKind::from_symbol)?;
                Ok(Target { kind: kind.unwrap_or(TargetKind::Other), id: &target.id })
            }
            (Some(_), Some(_)) => Err(bad("target", "give token_id or target, not both")),
            (None, None) => Err(EventError::new(
                "missing_target",
                "the event names no target: give `token_id`, or `target` with kind and id".into(),
            )),
        }
    }

    fn event_id(&self, statement: &Statement<'_>) -> Result<[u8; 16], EventError> {
        match (&self.event_id, &self.native_id) {
            (Some(id), _) => uuid("event_id", id),
            (None, Some(native)) if native.len() > MAX_STRING_BYTES => {
                Err(bad("native_id", "is too long"))
            }
            (None, Some(native)) => {
                let part = statement.act.as_ref().map_or(0, |act| act.part);
                Ok(ledgerline_proof::event_id::derived_event_id(
                    statement.tenant,
                    statement.source,
                    native,
                    part,
                ))
            }
            (None, None) => Err(missing("event_id")),
        }
    }

    fn fill_circumstance<'s>(&'s self, out: &mut Statement<'s>) -> Result<(), EventError> {
        if let Some(outcome) = symbol("outcome", self.outcome.as_deref(), Outcome::from_symbol)? {
            out.outcome = outcome;
        }
        if let Some(vantage) = symbol("vantage", self.vantage.as_deref(), Vantage::from_symbol)? {
            out.vantage = vantage;
        }
        let delegation = self.delegation.as_deref();
        if let Some(delegation) = symbol("delegation", delegation, Delegation::from_symbol)? {
            out.delegation = delegation;
        }
        out.reason = self.reason.as_deref();
        out.time_uncertainty_ns = self.time_uncertainty_ns;
        let instance = self.source_instance.as_deref();
        out.source_instance = instance.map(|id| uuid("source_instance", id)).transpose()?;
        out.source_seq = self.source_seq;
        if let Some(seen) = &self.seen {
            let root = Hash::from_base64(&seen.root).or_else(|_| Hash::from_hex(&seen.root));
            let root = root.map_err(|_| bad("seen.root", "is neither base64 nor hex of a hash"))?;
            out.seen = Some(Seen { origin: &seen.origin, size: seen.size, root });
        }
        out.effective_at = time("effective_at", self.effective_at.as_deref())?;
        out.count = self.count;
        out.last_at = time("last_at", self.last_at.as_deref())?;
        out.service = self.service.as_deref();
        out.endpoint = self.endpoint.as_deref();
        out.resource = self.resource.as_deref();
        out.action = self.action.as_deref();
        out.status = self.status;
        out.bytes_out = self.bytes_out;
        out.trace_id = self.trace_id.as_deref();
        out.correlation_id = self.correlation_id.as_deref();
        out.adapter =
            self.adapter.as_ref().map(|one| Adapter { name: &one.name, version: &one.version });
        Ok(())
    }

    fn fill_token_facts<'s>(&'s self, out: &mut Statement<'s>) -> Result<(), EventError> {
        out.issuer = self.issuer.as_deref();
        out.issuer_kid = self.issuer_kid.as_deref();
        out.client_id = self.client_id.as_deref();
        out.grant_id = self.grant_id.as_deref();
        out.session_id = self.session_id.as_deref();
        out.family_id = self.family_id.as_deref();
        out.generation = self.generation;
        out.also_known_as = self.also_known_as.iter().map(AsRef::as_ref).collect();
        out.token_kind = symbol("token_kind", self.token_kind.as_deref(), TokenKind::from_symbol)?;
        out.scopes = self.scopes.iter().map(AsRef::as_ref).collect();
        out.audience = self.audience.iter().map(AsRef::as_ref).collect();
        out.issued_at = time("issued_at", self.issued_at.as_deref())?;
        out.not_before = time("not_before", self.not_before.as_deref())?;
        out.expires_at = time("expires_at", self.expires_at.as_deref())?;
        out.grace_until = time("grace_until", self.grace_until.as_deref())?;
        out.rotate_by = time("rotate_by", self.rotate_by.as_deref())?;
        if let Some(activation) = &self.activation {
            out.activation = Some(Activation {
                requires: activation.requires.iter().map(AsRef::as_ref).collect(),
                deadline: time("activation.deadline", activation.deadline.as_deref())?,
            });
        }
        if let Some(mfa) = &self.mfa {
            out.mfa = Some(Mfa {
                methods: mfa.methods.iter().map(AsRef::as_ref).collect(),
                acr: mfa.acr.as_deref(),
                completed_at: time("mfa.completed_at", mfa.completed_at.as_deref())?,
            });
        }
        out.status_index = self.status_index;
        Ok(())
    }

    fn fill_lists<'s>(&'s self, out: &mut Statement<'s>) -> Result<(), EventError> {
        for policy in &self.policies {
            let role = symbol("policies.role", policy.role.as_deref(), PolicyRole::from_symbol)?;
            out.policies.push(PolicyRef {
                id: &policy.id,
                version: &policy.version,
                digest: digest("policies.digest", policy.digest.as_deref())?,
                role: role.unwrap_or(PolicyRole::Other),
                effect: policy.effect.as_deref(),
            });
        }
        if let Some(change) = &self.policy_change {
            out.policy_change = Some(PolicyChange {
                effective_from: time("effective_from", change.effective_from.as_deref())?,
                effective_until: time("effective_until", change.effective_until.as_deref())?,
                previous_version: change.previous_version.as_deref(),
                change_ref: change.change_ref.as_deref(),
                snapshot: digest("policy_change.snapshot", change.snapshot.as_deref())?,
            });
        }
        for link in &self.links {
            let relation = symbol("links.relation", Some(&link.relation), Relation::from_symbol)?;
            let strength =
                symbol("links.strength", link.strength.as_deref(), Strength::from_symbol)?;
            let event = link.event.as_ref().map(|event| {
                let event_id = uuid("links.event.event_id", &event.event_id)?;
                Ok::<_, EventError>(EventRef { source: &event.source, event_id })
            });
            out.links.push(Link {
                token: link.token_id.as_deref(),
                event: event.transpose()?,
                relation: relation.unwrap_or(Relation::Other),
                strength: strength.unwrap_or(Strength::Asserted),
                why: link.why.as_deref(),
            });
        }
        for actor in &self.actors {
            let kind = symbol("actors.kind", actor.kind.as_deref(), ActorKind::from_symbol)?;
            let kind = kind.unwrap_or(ActorKind::Client);
            out.actors.push(Actor { kind, issuer: actor.issuer.as_deref(), id: &actor.id });
        }
        if let Some(selector) = &self.selector {
            out.selector = Some(Selector {
                issued_before: time("issued_before", selector.issued_before.as_deref())?,
                client: selector.client.as_deref(),
                audience: selector.audience.as_deref(),
            });
        }
        out.detail =
            self.detail.iter().map(|one| Detail { key: &one.key, value: &one.value }).collect();
        Ok(())
    }
}

/// A personal record's fields, its salt still to come.
#[derive(Debug, Clone, Copy, Default)]
pub struct PersonalFields<'a> {
    /// The person.
    pub user_id: Option<&'a str>,
    /// Network address.
    pub ip: Option<&'a str>,
    /// User agent.
    pub user_agent: Option<&'a str>,
    /// Device id.
    pub device: Option<&'a str>,
    /// Concrete resource.
    pub resource: Option<&'a str>,
}

impl JsonPersonal<'_> {
    /// Whom the record is about.
    ///
    /// # Errors
    /// `bad_field` for an unknown role.
    pub fn role(&self) -> Result<PersonalRole, EventError> {
        symbol("personal.role", Some(&self.role), PersonalRole::from_symbol)?
            .ok_or_else(|| missing("personal.role"))
    }

    /// Its named fields.
    #[must_use]
    pub fn fields(&self) -> PersonalFields<'_> {
        PersonalFields {
            user_id: self.user_id.as_deref(),
            ip: self.ip.as_deref(),
            user_agent: self.user_agent.as_deref(),
            device: self.device.as_deref(),
            resource: self.resource.as_deref(),
        }
    }

    /// Its free attributes, keys ascending.
    #[must_use]
    pub fn attributes(&self) -> Vec<Detail<'_>> {
        self.attributes.iter().map(|(key, value)| Detail { key, value }).collect()
    }
}

impl JsonAttachment<'_> {
    /// Digest, media type and data.
    ///
    /// # Errors
    /// `bad_field` when digest or base64 do not parse.
    pub fn decode(&self) -> Result<(Hash, &str, Vec<u8>), EventError> {
        let digest = digest("attachments.digest", Some(&self.digest))?
            .ok_or_else(|| missing("attachments.digest"))?;
        let data = STANDARD
            .decode(self.data.as_bytes())
            .map_err(|_| bad("attachments.data", "is not base64"))?;
        Ok((digest, &self.media_type, data))
    }
}

fn bad(field: &'static str, why: &str) -> EventError {
    EventError::new("bad_field", format!("`{field}` {why}"))
}

fn missing(field: &'static str) -> EventError {
    EventError::new("missing_field", format!("`{field}` is required"))
}

fn required<'s>(field: &'static str, text: Option<&'s str>) -> Result<&'s str, EventError> {
    text.ok_or_else(|| missing(field))
}

fn symbol<T>(
    field: &'static str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, EventError> {
    let Some(text) = text else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| bad(field, "is not a known value"))
}

fn time(field: &'static str, text: Option<&str>) -> Result<Option<i64>, EventError> {
    let Some(text) = text else { return Ok(None) };
    match moment(text).ok_or_else(|| bad(field, "is not an RFC 3339 time"))? {
        Moment::At(nanos) => Ok(Some(nanos)),
        Moment::Before => Err(bad(field, "lies before 1677; leave it out when it is not known")),
        Moment::Beyond => Err(bad(field, "lies after 2262; leave it out when it means never")),
    }
}

fn uuid(field: &'static str, text: &str) -> Result<[u8; 16], EventError> {
    let id = uuid::Uuid::try_parse(text).map_err(|_| bad(field, "is not a UUID"))?;
    Ok(id.into_bytes())
}

/// `sha256:<hex>`.
fn digest(field: &'static str, text: Option<&str>) -> Result<Option<Hash>, EventError> {
    let Some(text) = text else { return Ok(None) };
    let hex = text.strip_prefix("sha256:").ok_or_else(|| bad(field, "must be sha256:<hex>"))?;
    Hash::from_hex(hex).map(Some).map_err(|_| bad(field, "must be sha256:<64 hex digits>"))
}
