//! Security event tokens (RFC 8417) of SSF transmitters, and OIDC back-channel logout tokens, as
//! events of the ledger: for whoever received one and checked its signature.
//!
//! ```text
//! "set " + iss + " " + jti    native_id: the same token again is the same event
//! event_timestamp, toe, iat   occurred_at
//! txn                         correlation_id
//! sub_id                      target, and a sealed SUBJECT record (`subject`)
//! events, exactly one         type, reason and detail (`kinds`)
//! ```
//!
//! Promises: pure. A token is one event. What the claims say of persons (the subject, reasons in
//! free text, values of claims) stands in personal records only; `detail` has words of closed
//! lists. A refusal has one of the codes of RFC 8935 section 2.4 and repeats nothing.
//!
//! Assumes: the claims were signed by the issuer that [`Transmitter`] names.
//!
//! Refuses: `sub` and `exp` in a security event (SSF 1.0), several events in one token, audiences
//! that the operator did not name, subjects of issuers that the register does not have.

mod kinds;
mod subject;

use std::collections::BTreeMap;

use ledgerline_api::event::{Adapter, Detail, Event, Personal};
use ledgerline_api::values::Timestamp;
use ledgerline_proof::vocabulary::{EventType, PersonalRole, TargetKind, Vantage};
use serde::Deserialize;
use serde_json::{Number, Value};

use crate::Naming;
use crate::pieces::word;
use crate::set::subject::Subject;

/// What the events carry as their adapter.
const ADAPTER: &str = "set";
/// Which mapping it is. Raised with the mapping only: what is sent again after an upgrade must be
/// the same event.
const MAPPING: &str = "1";
/// Before the native id, so that no other door's is the same.
const PREFIX: &str = "set ";
/// Longest `iss` and `jti` with the blank between them, in bytes: with the prefix a native id.
const IDENTITY_BYTES_MAX: usize = 1024 - PREFIX.len();
/// Longest text that is taken over from an event, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// The one event of a logout token.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Why a token is refused: a code of RFC 8935 section 2.4, and what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct SetRefusal {
    /// The code.
    pub code: &'static str,
    /// For people; never a value of the token.
    pub description: &'static str,
}

/// It cannot be read as what it should be.
const fn invalid(description: &'static str) -> SetRefusal {
    SetRefusal { code: "invalid_request", description }
}

/// Whose token it is, by the register and the verified signature.
pub struct Transmitter<'t> {
    /// Its `iss`.
    pub iss: &'t str,
    /// Region and alias of its ids.
    pub naming: Naming,
    /// Whether its `jti` is a name.
    pub names_by_jti: bool,
    /// Which audiences are ours.
    pub audiences: &'t [String],
}

/// The issuer of an `iss`: how its ids are named, and whether its `jti` is a name.
pub type OfIss<'r> = &'r dyn Fn(&str) -> Option<(Naming, bool)>;

#[derive(Deserialize)]
struct Claims {
    iss: String,
    jti: String,
    iat: Option<Number>,
    aud: Option<Audience>,
    events: BTreeMap<String, Value>,
    sub_id: Option<Value>,
    sub: Option<Value>,
    exp: Option<Number>,
    sid: Option<String>,
    nonce: Option<Value>,
    txn: Option<String>,
    toe: Option<Number>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Claims {
    /// What every token must have, whatever it tells.
    fn read(claims: &[u8], from: &Transmitter<'_>) -> Result<Self, SetRefusal> {
        let claims: Self = serde_json::from_slice(claims)
            .map_err(|_| invalid("the claims need iss, jti and events, each of its type"))?;
        if claims.iss != from.iss {
            let description = "iss is not that of the keys which signed it";
            return Err(SetRefusal { code: "invalid_issuer", description });
        }
        if claims.jti.is_empty() || claims.iss.len() + claims.jti.len() >= IDENTITY_BYTES_MAX {
            return Err(invalid("jti is empty, or with iss longer than 1019 bytes"));
        }
        let known = |one: &String| from.audiences.contains(one);
        let is_for_us = match &claims.aud {
            Some(Audience::One(one)) => known(one),
            Some(Audience::Several(several)) => several.iter().any(known),
            None => false,
        };
        if !is_for_us {
            let description = "aud has none of the audiences that the operator named for this \
                               issuer (event_audiences)";
            return Err(SetRefusal { code: "invalid_audience", description });
        }
        if claims.iat.is_none() {
            return Err(invalid("iat is missing"));
        }
        Ok(claims)
    }

    fn only_event(&self) -> Result<(&str, &Value), SetRefusal> {
        let mut events = self.events.iter();
        match (events.next(), events.next()) {
            (Some((kind, payload)), None) if payload.is_object() => Ok((kind, payload)),
            _ => Err(invalid("events holds exactly one event, an object under its type")),
        }
    }

    /// When it happened, in nanoseconds: as the event says, or the token.
    fn happened_at(&self, payload: &Value) -> Result<i64, SetRefusal> {
        let of_event = payload.get("event_timestamp").and_then(|time| match time {
            Value::Number(number) => Some(number.clone()),
            _ => None,
        });
        let time = of_event.as_ref().or(self.toe.as_ref()).or(self.iat.as_ref());
        time.and_then(nanos).ok_or_else(|| invalid("its time lies outside the years 1970 to 2262"))
    }

    /// The event with what each has.
    fn event(&self, from: &Transmitter<'_>, at: i64) -> Event<'static> {
        Event {
            native_id: Some(format!("{PREFIX}{} {}", self.iss, self.jti).into()),
            occurred_at: Some(Timestamp::At(at)),
            vantage: word(Vantage::Issuer),
            issuer: Some(from.naming.alias().to_owned().into()),
            correlation_id: self.txn.as_deref().and_then(plain).map(Into::into),
            adapter: Some(Adapter { name: ADAPTER.into(), version: MAPPING.into() }),
            ..Event::default()
        }
    }
}

/// A time in seconds, or in milliseconds as drafts before SSF 1.0 had it, in nanoseconds.
fn nanos(time: &Number) -> Option<i64> {
    /// As seconds it would lie beyond the year 5000.
    const SECONDS_MAX: i64 = 100_000_000_000;
    #[allow(clippy::cast_possible_truncation, reason = "saturates, as it should")]
    let whole = time.as_i64().or_else(|| time.as_f64().map(|time| time as i64))?;
    let nanos = match whole > SECONDS_MAX {
        true => whole.checked_mul(1_000_000),
        false => whole.checked_mul(1_000_000_000),
    };
    nanos.filter(|nanos| *nanos >= 0)
}

/// A text that can stand in a field: no control characters, not too long.
fn plain(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= TEXT_BYTES_MAX;
    (fits && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// The event that a security event token tells. `source` is the one that it is recorded under.
///
/// # Errors
/// Why it is refused.
pub fn event(
    claims: &[u8],
    from: &Transmitter<'_>,
    of_iss: OfIss<'_>,
    source: &str,
) -> Result<Event<'static>, SetRefusal> {
    let claims = Claims::read(claims, from)?;
    if claims.sub.is_some() || claims.exp.is_some() {
        return Err(invalid("a security event has its subject in sub_id, and neither sub nor exp"));
    }
    let (kind, payload) = claims.only_event()?;
    let at = claims.happened_at(payload)?;
    let mut event = claims.event(from, at);
    let told = kinds::told(kind, payload)?;
    if told.is_of_stream {
        kinds::tell_of_stream(&mut event, &told, payload, claims.sub_id.as_ref(), source);
        return Ok(event);
    }
    // Before SSF 1.0 the subject stood in the event.
    let subject = claims.sub_id.as_ref().or_else(|| payload.get("subject"));
    let subject = subject.ok_or_else(|| invalid("sub_id is missing"))?;
    let subject = Subject::read(subject, from, of_iss)?;
    kinds::tell(&mut event, &told, payload, &subject, at)?;
    Ok(event)
}

/// The revocation that a logout token (OIDC Back-Channel Logout 1.0) tells. `now_seconds` judges
/// its
/// `exp`, where it has one.
///
/// # Errors
/// Why it is refused.
pub fn logout(
    claims: &[u8],
    from: &Transmitter<'_>,
    now_seconds: i64,
) -> Result<Event<'static>, SetRefusal> {
    let claims = Claims::read(claims, from)?;
    let (kind, payload) = claims.only_event()?;
    if kind != LOGOUT {
        return Err(invalid("the event of a logout token is the one of back-channel logout"));
    }
    if claims.nonce.is_some() {
        return Err(invalid("a logout token has no nonce: this is an ID token"));
    }
    if claims.exp.as_ref().and_then(Number::as_f64).is_some_and(|exp| exp <= now_seconds as f64) {
        return Err(invalid("the logout token has expired"));
    }
    let sub = match &claims.sub {
        Some(Value::String(sub)) => Some(plain(sub).ok_or_else(|| invalid("sub is malformed"))?),
        None => None,
        Some(_) => return Err(invalid("sub is malformed")),
    };
    let sid = claims.sid.as_deref().filter(|sid| !sid.is_empty());
    let at = claims.happened_at(payload)?;
    let mut event = claims.event(from, at);
    event.event_type = word(EventType::Revoked);
    event.reason = Some("logout".into());
    event.detail = vec![detail("set_type", "backchannel-logout")];
    match (sid, &sub) {
        (Some(sid), _) => {
            let id = from.naming.wide(sid).ok_or_else(|| invalid("sid is malformed"))?;
            event.session_id = Some(sid.to_owned().into());
            event.target = Some(subject::target(TargetKind::Session, id));
        }
        (None, Some(_)) => {
            event.target = Some(subject::target(TargetKind::Subject, String::new()));
            event.selector = Some(kinds::issued_until(at));
        }
        (None, None) => return Err(invalid("a logout token has sub, sid or both")),
    }
    if let Some(sub) = sub {
        event.personal =
            vec![Personal { user_id: Some(sub.into()), ..Personal::of(PersonalRole::Subject) }];
    }
    Ok(event)
}

fn detail(key: &'static str, value: &str) -> Detail<'static> {
    Detail { key: key.into(), value: value.to_owned().into() }
}

#[cfg(test)]
mod tests;
