//! Subject identifiers (RFC 9493, SSF 1.0) as targets and sealed records.
//!
//! ```text
//! iss_sub            user_id = sub, at the issuer that the register has for iss
//! opaque             user_id = id
//! email phone_number account did uri      user_id = the value: joined where producers name it so
//! aliases            the iss_sub among them, else the first; the others as sealed attributes
//! jwt_id             the token <region>:<alias>:jti:<jti>
//! saml_assertion_id  the same with the assertion's id
//! complex            session, user, device, application, tenant: each one of the above
//! ```

use ledgerline_api::event::{Personal, Target};
use ledgerline_proof::vocabulary::{PersonalRole, TargetKind};
use serde_json::Value;

use super::{OfIss, SetRefusal, Transmitter, invalid, plain};
use crate::Naming;

/// What Keycloak writes for a session when all sessions of the user ended.
const ALL_SESSIONS: &str = "ALL";
/// Most identifiers of one subject.
const ALIASES_MAX: usize = 16;

/// Who or what an event is about.
#[derive(Default)]
pub(super) struct Subject {
    /// The token's id.
    pub token: Option<String>,
    /// The session's id at its issuer, and as a target.
    pub session: Option<(String, String)>,
    /// The client's id at its issuer.
    pub client: Option<String>,
    /// Alias of the issuer, where it is not the transmitter's.
    pub issuer: Option<String>,
    /// Whether it is narrowed to what no selector has: a device, a tenant, a group.
    pub is_narrower: bool,
    user: Option<String>,
    device: Option<String>,
    aliases: Vec<String>,
}

pub(super) fn target(kind: TargetKind, id: String) -> Target<'static> {
    Target { kind: kind.symbol().into(), id: id.into() }
}

impl Subject {
    /// Reads one.
    pub fn read(
        value: &Value,
        from: &Transmitter<'_>,
        of_iss: OfIss<'_>,
    ) -> Result<Self, SetRefusal> {
        let mut subject = Self::default();
        if format(value) != "complex" {
            subject.simple(value, from, of_iss)?;
            return Ok(subject);
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            match name.as_str() {
                "user" | "token" | "assertion" => subject.simple(member, from, of_iss)?,
                "session" => subject.session(member, from)?,
                "device" => {
                    subject.device = Some(identifier(member)?);
                    subject.is_narrower = true;
                }
                "application" => subject.client = Some(identifier(member)?),
                "format" | "subject_type" => {}
                // The tenant, unit or group: who is in it is said of persons elsewhere.
                _ => subject.is_narrower = true,
            }
        }
        match subject.is_empty() {
            true => Err(invalid("the complex subject names no user, session or token")),
            false => Ok(subject),
        }
    }

    fn is_empty(&self) -> bool {
        self.token.is_none() && self.session.is_none() && self.user.is_none()
    }

    fn simple(
        &mut self,
        value: &Value,
        from: &Transmitter<'_>,
        of_iss: OfIss<'_>,
    ) -> Result<(), SetRefusal> {
        match format(value) {
            "iss_sub" | "iss-sub" => {
                let (naming, _) = issuer(value, "iss", from, of_iss)?;
                self.issuer = Some(naming.alias().to_owned());
                self.user = Some(text(value, "sub")?);
            }
            "jwt_id" | "jwt-id" | "saml_assertion_id" => {
                let is_jwt = format(value) != "saml_assertion_id";
                let (iss, id) = if is_jwt { ("iss", "jti") } else { ("issuer", "assertion_id") };
                let (naming, is_name) = issuer(value, iss, from, of_iss)?;
                let id = text(value, id)?;
                let named = if is_name { naming.jti(&id) } else { Some(naming.jti_digest(&id)) };
                self.issuer = Some(naming.alias().to_owned());
                self.token = named;
            }
            "aliases" => {
                let list = value["identifiers"].as_array();
                let list = list.filter(|list| (1..=ALIASES_MAX).contains(&list.len()));
                let list = list.ok_or_else(|| invalid("aliases has 1 to 16 identifiers"))?;
                let best = list.iter().position(|one| format(one) == "iss_sub").unwrap_or(0);
                for (at, one) in list.iter().enumerate() {
                    match at == best {
                        true if format(one) == "aliases" => {
                            return Err(invalid("aliases do not hold aliases"));
                        }
                        true => self.simple(one, from, of_iss)?,
                        false => self.aliases.extend(identifier(one)),
                    }
                }
            }
            _ => self.user = Some(identifier(value)?),
        }
        Ok(())
    }

    fn session(&mut self, value: &Value, from: &Transmitter<'_>) -> Result<(), SetRefusal> {
        let id = identifier(value)?;
        if id == ALL_SESSIONS {
            return Ok(());
        }
        let target = from.naming.wide(&id);
        let target = target.ok_or_else(|| invalid("the session's id is malformed"))?;
        self.session = Some((id, target));
        Ok(())
    }

    /// What the event is about: the narrowest that is named.
    pub fn target(&self) -> Target<'static> {
        match (&self.token, &self.session) {
            (Some(token), _) => target(TargetKind::Token, token.clone()),
            (None, Some((_, session))) => target(TargetKind::Session, session.clone()),
            (None, None) => target(TargetKind::Subject, String::new()),
        }
    }

    /// Whether it is about a person and nothing narrower.
    pub fn is_person(&self) -> bool {
        self.token.is_none() && self.session.is_none()
    }

    /// The sealed record of the person, if one is named.
    pub fn record(&self) -> Option<Personal<'static>> {
        if self.user.is_none() && self.device.is_none() {
            return None;
        }
        let aliases = self.aliases.iter().enumerate();
        let aliases = aliases.map(|(at, one)| (format!("alias_{at}").into(), one.clone().into()));
        Some(Personal {
            user_id: self.user.clone().map(Into::into),
            device: self.device.clone().map(Into::into),
            attributes: aliases.collect(),
            ..Personal::of(PersonalRole::Subject)
        })
    }
}

/// The format; older drafts called the member otherwise.
fn format(value: &Value) -> &str {
    value["format"].as_str().or_else(|| value["subject_type"].as_str()).unwrap_or_default()
}

fn text(value: &Value, name: &str) -> Result<String, SetRefusal> {
    let text = value.get(name).and_then(Value::as_str).and_then(plain);
    text.ok_or_else(|| invalid("a member of the subject is missing or malformed"))
}

/// The one value of an identifier that is a name by itself.
fn identifier(value: &Value) -> Result<String, SetRefusal> {
    let member = match format(value) {
        "opaque" => "id",
        "email" => "email",
        "phone_number" | "phone" => "phone_number",
        "account" | "uri" => "uri",
        "did" => "url",
        "iss_sub" | "iss-sub" => "sub",
        _ => return Err(invalid("the format of the subject is not known here")),
    };
    text(value, member)
}

/// How the issuer of a part of a subject names things.
fn issuer(
    value: &Value,
    member: &str,
    from: &Transmitter<'_>,
    of_iss: OfIss<'_>,
) -> Result<(Naming, bool), SetRefusal> {
    let iss = text(value, member)?;
    if iss == from.iss {
        return Ok((from.naming.clone(), from.names_by_jti));
    }
    of_iss(&iss).ok_or_else(|| invalid("the issuer of the subject is not in the register"))
}
