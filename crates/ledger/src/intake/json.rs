//! The JSON form of an event (DESIGN section 8), read strictly.
//!
//! Promises: an event that parses here says exactly what the statement will say. Unknown and
//! duplicate fields, wrong types, times that are no RFC 3339, depth beyond serde's limit: an error
//! that names the place and never repeats the value, which might be a secret. `null` is an absent
//! member, list or object, as Go and others write it.

mod amend;

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_api::event::{self as form, Event};
use ledgerline_api::moment::{Moment, moment};
use ledgerline_api::values::Timestamp;
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
use serde::Deserialize;

use super::EventError;
use super::secret_scan::{SECRET_REFUSED, check_text};

/// One event as submitted: the form of the interface, with what intake makes of it.
pub struct JsonEvent<'a>(Event<'a>);

impl<'a> Deref for JsonEvent<'a> {
    type Target = Event<'a>;

    fn deref(&self) -> &Event<'a> {
        &self.0
    }
}

impl DerefMut for JsonEvent<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Reads one event.
///
/// # Errors
/// `bad_json`, `unknown_field` or `bad_field` with the place, never the value.
pub fn parse(text: &str) -> Result<JsonEvent<'_>, EventError> {
    let event: Event<'_> = serde_json::from_str(text)
        .map_err(|error| EventError::new(code_of(&error), describe(&error)))?;
    let set_here = [
        ("tenant", event.tenant.is_some()),
        ("source", event.source.is_some()),
        ("occurred_logical", event.occurred_logical.is_some()),
        ("personal.commitment", event.personal.iter().any(|one| one.commitment.is_some())),
    ];
    match set_here.iter().find(|(_, is_sent)| *is_sent) {
        Some((name, _)) => {
            let detail = format!("`{name}` is set by the ledger: leave it out");
            Err(EventError::new("unknown_field", detail))
        }
        None => Ok(JsonEvent(event)),
    }
}

/// The id of an event that is refused, where so much of it can be read.
#[must_use]
pub fn id_of(text: &str, tenant: &str, source: &str) -> Option<[u8; 16]> {
    #[derive(Deserialize)]
    struct Part {
        part: i32,
    }
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        event_id: Option<Cow<'a, str>>,
        native_id: Option<Cow<'a, str>>,
        act: Option<Part>,
    }
    let named: Named<'_> = serde_json::from_str(text).ok()?;
    if let Some(id) = named.event_id {
        return uuid("event_id", &id).ok();
    }
    let native = named.native_id.filter(|native| native.len() <= MAX_STRING_BYTES)?;
    let part = named.act.map_or(0, |act| act.part);
    Some(ledgerline_proof::event_id::derived_event_id(tenant, source, &native, part))
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
    // One of our own names: serde tells no others.
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    if let Some((name, _)) = missing {
        return format!("`{name}` is missing, {}", place(error));
    }
    let what = match error.classify() {
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            "not well-formed JSON"
        }
        _ if text.starts_with("unknown field") => return unknown_field(&text, error),
        _ if text.starts_with("duplicate field") => "a field that stands twice",
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

/// The name that is not known, and those that are, out of serde's words. The name may hold whatever
/// a sender likes, also what looks like those words: ours begin behind the last of them.
#[must_use]
pub fn unknown_and_known(text: &str) -> (&str, Vec<&str>) {
    let rest = text.strip_prefix("unknown field `").unwrap_or_default();
    let end = ["`, expected ", "`, there are no fields"].iter().filter_map(|mark| rest.rfind(mark));
    let Some(end) = end.max() else { return ("", Vec::new()) };
    (&rest[..end], rest[end + 1..].split('`').skip(1).step_by(2).collect())
}

/// Names the field that events do not have, and those that they have in that place: all when they
/// are few, else those that are alike. A name may be a secret, too: only a plain word is repeated.
fn unknown_field(text: &str, error: &serde_json::Error) -> String {
    let (name, known) = unknown_and_known(text);
    let is_word = name.len() <= 40
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && check_text(name).is_ok();
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
        let occurred_at = time("occurred_at", self.occurred_at.as_ref())?;
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
        out.effective_at = time("effective_at", self.effective_at.as_ref())?;
        out.count = self.count;
        out.last_at = time("last_at", self.last_at.as_ref())?;
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
        out.issued_at = time("issued_at", self.issued_at.as_ref())?;
        out.not_before = time("not_before", self.not_before.as_ref())?;
        out.expires_at = time("expires_at", self.expires_at.as_ref())?;
        out.grace_until = time("grace_until", self.grace_until.as_ref())?;
        out.rotate_by = time("rotate_by", self.rotate_by.as_ref())?;
        if let Some(activation) = &self.activation {
            out.activation = Some(Activation {
                requires: activation.requires.iter().map(AsRef::as_ref).collect(),
                deadline: time("activation.deadline", activation.deadline.as_ref())?,
            });
        }
        if let Some(mfa) = &self.mfa {
            out.mfa = Some(Mfa {
                methods: mfa.methods.iter().map(AsRef::as_ref).collect(),
                acr: mfa.acr.as_deref(),
                completed_at: time("mfa.completed_at", mfa.completed_at.as_ref())?,
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
                effective_from: time("effective_from", change.effective_from.as_ref())?,
                effective_until: time("effective_until", change.effective_until.as_ref())?,
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
                issued_before: time("issued_before", selector.issued_before.as_ref())?,
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

/// Whom a personal record is about.
///
/// # Errors
/// `bad_field` for an unknown role.
pub fn role(personal: &form::Personal<'_>) -> Result<PersonalRole, EventError> {
    symbol("personal.role", Some(&personal.role), PersonalRole::from_symbol)?
        .ok_or_else(|| missing("personal.role"))
}

/// The named fields of a personal record.
#[must_use]
pub fn fields<'a>(personal: &'a form::Personal<'_>) -> PersonalFields<'a> {
    PersonalFields {
        user_id: personal.user_id.as_deref(),
        ip: personal.ip.as_deref(),
        user_agent: personal.user_agent.as_deref(),
        device: personal.device.as_deref(),
        resource: personal.resource.as_deref(),
    }
}

/// The free attributes of a personal record, keys ascending.
#[must_use]
pub fn attributes<'a>(personal: &'a form::Personal<'_>) -> Vec<Detail<'a>> {
    personal.attributes.iter().map(|(key, value)| Detail { key, value }).collect()
}

/// Digest, media type and data of an attachment.
///
/// # Errors
/// `bad_field` when digest or base64 do not parse.
pub fn attached<'a>(
    attachment: &'a form::Attachment<'_>,
) -> Result<(Hash, &'a str, Vec<u8>), EventError> {
    let digest = digest("attachments.digest", Some(&attachment.digest))?
        .ok_or_else(|| missing("attachments.digest"))?;
    let data = STANDARD
        .decode(attachment.data.as_bytes())
        .map_err(|_| bad("attachments.data", "is not base64"))?;
    Ok((digest, &attachment.media_type, data))
}

fn bad(field: &'static str, why: &str) -> EventError {
    EventError::new("bad_field", format!("`{field}` {why}")).about(field)
}

fn missing(field: &'static str) -> EventError {
    EventError::new("missing_field", format!("`{field}` is required")).about(field)
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

fn time(field: &'static str, time: Option<&Timestamp<'_>>) -> Result<Option<i64>, EventError> {
    let text = match time {
        None => return Ok(None),
        Some(Timestamp::At(nanos)) => return Ok(Some(*nanos)),
        Some(Timestamp::Text(text)) => text,
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_backticks_was_repeated_as_one_of_ours() {
        let secret = "My-Secret-Tok3n-Xq7vT2mLr9Zk4Wd8Bn1Hs6Pc";
        for name in [
            format!("a`b`{secret}"),
            format!("`{secret}"),
            format!("a`, expected one of `{secret}`, `b"),
            format!("to`b`to_{secret}"),
        ] {
            for text in [
                format!("{{\"{name}\":1}}"),
                format!("{{\"target\":{{\"{name}\":1}}}}"),
                format!("{{\"links\":[{{\"{name}\":1}}]}}"),
            ] {
                let Err(error) = parse(&text) else { panic!("{text}") };
                assert_eq!(error.code, "unknown_field");
                assert!(!error.detail.contains("Secret"), "{}", error.detail);
            }
        }
    }
}
