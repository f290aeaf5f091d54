//! From an event's JSON form to the statement that it says, for whoever encodes one: intake, and
//! producers that sign.
//!
//! Promises: a statement says exactly what the event says; nothing is guessed but the defaults that
//! the interface names. Errors name the member and never repeat its value, which might be a secret.
//!
//! Refuses: words of no list, times that are no RFC 3339 or out of range, a token where its id
//! belongs. Limits are [`Statement::validate`]'s business; commitments to personal records are the
//! caller's.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::personal::PersonalRecord;
use ledgerline_proof::statement::{
    Act, Activation, Actor, Adapter, Detail, EventRef, Link, MAX_ID_BYTES, MAX_STRING_BYTES, Mfa,
    PolicyChange, PolicyRef, Seen, Selector, Statement, Target,
};
use ledgerline_proof::token_id::looks_like_token;
use ledgerline_proof::vocabulary::{
    ActorKind, Delegation, EventType, Outcome, PersonalRole, PolicyRole, Relation, Strength,
    TargetKind, TokenKind, Vantage,
};

use crate::event::{self as form, Event};
use crate::moment::{Moment, moment};
use crate::values::Timestamp;

/// Code of a refusal for what looks like a bearer value.
const SECRET_REFUSED: &str = "secret_refused";

/// Cuts a text to the length that a member may have, and says so at its end; whether it did. Intake
/// and producers that sign cut alike.
pub fn shorten(text: &mut Cow<'_, str>) -> bool {
    if text.len() <= MAX_STRING_BYTES {
        return false;
    }
    let mark = format!("…[cut from {} bytes]", text.len());
    let end = text.floor_char_boundary(MAX_STRING_BYTES - mark.len());
    *text = format!("{}{mark}", &text[..end]).into();
    assert!(text.len() <= MAX_STRING_BYTES, "the mark has its room");
    true
}

/// Replaces control characters, which no member of a statement may hold; whether there were any.
pub fn without_controls(text: &mut Cow<'_, str>) -> bool {
    let is_control = |one: char| one.is_ascii_control();
    if !text.contains(is_control) {
        return false;
    }
    // Three bytes for one: a text of nothing but these is cut once more.
    let mut replaced = text.replace(is_control, "\u{fffd}");
    let end = replaced.floor_char_boundary(MAX_STRING_BYTES);
    replaced.truncate(end);
    *text = replaced.into();
    true
}

/// Why an event says no statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct BadEvent {
    /// Stable code, as the interface has it.
    pub code: &'static str,
    /// What to do about it; never a value of the event.
    pub detail: String,
    /// The member that is wrong, where it is one.
    pub member: Option<&'static str>,
}

impl BadEvent {
    fn new(code: &'static str, detail: String) -> Self {
        Self { code, detail, member: None }
    }

    fn about(mut self, member: &'static str) -> Self {
        self.member = Some(member);
        self
    }
}

impl Event<'_> {
    /// The statement, without its commitments. `event_id` is the given or derived one.
    ///
    /// # Errors
    /// The first field that cannot be taken over.
    pub fn statement<'s>(
        &'s self,
        tenant: &'s str,
        source: &'s str,
    ) -> Result<Statement<'s>, BadEvent> {
        let event_type = required("type", self.event_type.as_deref())?;
        let event_type = symbol("type", Some(event_type), EventType::from_symbol)?
            .ok_or_else(|| missing("type"))?;
        let occurred_at = time("occurred_at", self.occurred_at.as_ref())?;
        let occurred_at = Hlc::at(occurred_at.ok_or_else(|| missing("occurred_at"))?);
        let target = self.named_target()?;
        let mut statement = Statement::new([0; 16], source, target, event_type, occurred_at);
        statement.tenant = tenant;
        statement.act =
            self.act.as_ref().map(|act| Act { id: &act.id, part: act.part, parts: act.parts });
        statement.native_id = self.native_id.as_deref();
        statement.event_id = self.own_id(&statement)?;
        self.fill_circumstance(&mut statement)?;
        self.fill_token_facts(&mut statement)?;
        self.fill_lists(&mut statement)?;
        Ok(statement)
    }

    fn named_target(&self) -> Result<Target<'_>, BadEvent> {
        match (&self.token_id, &self.target) {
            (Some(id), None) if id.len() > MAX_ID_BYTES && looks_like_token(id) => {
                let why = "this is a token, not a token id: give the id that `ledgerline token-id` \
                           computes of it; the ledger never takes a token";
                Err(BadEvent::new(SECRET_REFUSED, why.into()))
            }
            (Some(id), None) => Ok(Target { kind: TargetKind::Token, id }),
            (None, Some(target)) => {
                let kind = symbol("target.kind", Some(&target.kind), TargetKind::from_symbol)?;
                Ok(Target { kind: kind.unwrap_or(TargetKind::Other), id: &target.id })
            }
            (Some(_), Some(_)) => Err(bad("target", "give token_id or target, not both")),
            (None, None) => Err(BadEvent::new(
                "missing_target",
                "the event names no target: give `token_id`, or `target` with kind and id".into(),
            )),
        }
    }

    fn own_id(&self, statement: &Statement<'_>) -> Result<[u8; 16], BadEvent> {
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

    fn fill_circumstance<'s>(&'s self, out: &mut Statement<'s>) -> Result<(), BadEvent> {
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

    fn fill_token_facts<'s>(&'s self, out: &mut Statement<'s>) -> Result<(), BadEvent> {
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

    fn fill_lists<'s>(&'s self, out: &mut Statement<'s>) -> Result<(), BadEvent> {
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
                Ok::<_, BadEvent>(EventRef { source: &event.source, event_id })
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

/// Whom a personal record is about.
///
/// # Errors
/// `bad_field` for an unknown role.
pub fn role(personal: &form::Personal<'_>) -> Result<PersonalRole, BadEvent> {
    symbol("personal.role", Some(&personal.role), PersonalRole::from_symbol)?
        .ok_or_else(|| missing("personal.role"))
}

/// A personal record under a salt of 32 random bytes, which nothing else may have been given.
#[must_use]
pub fn record<'a>(personal: &'a form::Personal<'_>, salt: [u8; 32]) -> PersonalRecord<'a> {
    let attributes = personal.attributes.iter();
    PersonalRecord {
        salt,
        user_id: personal.user_id.as_deref(),
        ip: personal.ip.as_deref(),
        user_agent: personal.user_agent.as_deref(),
        device: personal.device.as_deref(),
        resource: personal.resource.as_deref(),
        attributes: attributes.map(|(key, value)| Detail { key, value }).collect(),
    }
}

/// Digest, media type and data of an attachment.
///
/// # Errors
/// `bad_field` when digest or base64 do not parse.
pub fn attached<'a>(
    attachment: &'a form::Attachment<'_>,
) -> Result<(Hash, &'a str, Vec<u8>), BadEvent> {
    let digest = digest("attachments.digest", Some(&attachment.digest))?
        .ok_or_else(|| missing("attachments.digest"))?;
    let data = STANDARD
        .decode(attachment.data.as_bytes())
        .map_err(|_| bad("attachments.data", "is not base64"))?;
    Ok((digest, &attachment.media_type, data))
}

fn bad(field: &'static str, why: &str) -> BadEvent {
    BadEvent::new("bad_field", format!("`{field}` {why}")).about(field)
}

fn missing(field: &'static str) -> BadEvent {
    BadEvent::new("missing_field", format!("`{field}` is required")).about(field)
}

fn required<'s>(field: &'static str, text: Option<&'s str>) -> Result<&'s str, BadEvent> {
    text.ok_or_else(|| missing(field))
}

fn symbol<T>(
    field: &'static str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, BadEvent> {
    let Some(text) = text else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| bad(field, "is not a known value"))
}

fn time(field: &'static str, time: Option<&Timestamp<'_>>) -> Result<Option<i64>, BadEvent> {
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

fn uuid(field: &'static str, text: &str) -> Result<[u8; 16], BadEvent> {
    let id = uuid::Uuid::try_parse(text).map_err(|_| bad(field, "is not a UUID"))?;
    Ok(id.into_bytes())
}

/// `sha256:<hex>`.
fn digest(field: &'static str, text: Option<&str>) -> Result<Option<Hash>, BadEvent> {
    let Some(text) = text else { return Ok(None) };
    let hex = text.strip_prefix("sha256:").ok_or_else(|| bad(field, "must be sha256:<hex>"))?;
    Hash::from_hex(hex).map(Some).map_err(|_| bad(field, "must be sha256:<64 hex digits>"))
}
