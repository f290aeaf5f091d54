//! Doors of the settings: who sends is known by a secret or a signature, and has a producer's key.
//!
//! Promises: secrets are compared in constant time, never logged, and in no answer. The key of a
//! door is judged at each request, as if the sender had shown it: a key that ended ends the door.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName};
use ledgerline_api::uuid_text;
use ledgerline_client::Misconfigured;
use ledgerline_client::secret_file::read_secret_file;
use ledgerline_issuers::Issuers;
use ledgerline_issuers::signed_events::{NotSigned, SignedClaims};
use ledgerline_view::registry::Caller;
use ring::{digest, hmac};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::settings::{Check, DoorTable, SIGNATURE_HEADER};

/// Least bytes of a shared secret.
const SECRET_BYTES_MIN: usize = 16;

/// All doors of the settings.
#[derive(Default)]
pub struct Hooks(BTreeMap<String, Hook>);

/// One of them.
pub struct Hook {
    /// Alias of the issuer.
    pub issuer: String,
    /// The adapter that reads bodies; empty where none does.
    pub adapter: String,
    key: Zeroizing<String>,
    how: How,
}

enum How {
    Hmac { header: HeaderName, key: hmac::Key },
    Secret(hmac::Key, hmac::Tag),
    SignedBody,
    SignedEvents,
}

/// Why a sender is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKnown {
    /// It did not prove who it is.
    Unproven,
    /// The issuer's keys cannot be had now.
    KeysLost,
}

impl Hooks {
    /// The doors of the settings; their files are read now.
    ///
    /// # Errors
    /// When a file cannot be used.
    pub fn open(table: DoorTable) -> anyhow::Result<Self> {
        let mut hooks = BTreeMap::new();
        for (name, settings) in table {
            let wrong = |what: &str| Misconfigured::new(format!("doors.{name}: {what}"));
            let secret = |file: &Path| -> anyhow::Result<Zeroizing<String>> {
                let text = read_secret_file(file).with_context(|| format!("doors.{name}"))?;
                Ok(Zeroizing::new(text))
            };
            let shared = settings.secret_file.as_deref().map(secret).transpose()?;
            if shared.as_ref().is_some_and(|secret| secret.len() < SECRET_BYTES_MIN) {
                return Err(wrong("secret_file: a secret has at least 16 bytes").into());
            }
            let shared = || shared.as_ref().map_or(&b""[..], |secret| secret.as_bytes());
            let how = match settings.check {
                Check::SignedBody => How::SignedBody,
                Check::SignedEvents => How::SignedEvents,
                Check::Hmac => {
                    let header = settings.header.as_deref().unwrap_or(SIGNATURE_HEADER);
                    let header = HeaderName::from_bytes(header.to_ascii_lowercase().as_bytes());
                    let header = header.map_err(|_| wrong("header is no name of a header"))?;
                    How::Hmac { header, key: hmac::Key::new(hmac::HMAC_SHA256, shared()) }
                }
                Check::Secret => {
                    // Compared by their HMACs: in constant time, whatever the lengths.
                    let key = hmac::Key::new(hmac::HMAC_SHA256, shared());
                    let tag = hmac::sign(&key, shared());
                    How::Secret(key, tag)
                }
            };
            let key = secret(&settings.key_file)?;
            let adapter = settings.adapter.unwrap_or_default();
            hooks.insert(name, Hook { issuer: settings.issuer, adapter, key, how });
        }
        Ok(Self(hooks))
    }

    /// The door with this name that has an adapter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Hook> {
        self.0.get(name).filter(|hook| !hook.adapter.is_empty())
    }

    /// Whose signature is on a token that nobody showed a key for, and under which key its events
    /// are recorded.
    ///
    /// # Errors
    /// `unknown` when no door is for its issuer; whatever `signed` says of the signature.
    pub fn signed_by<E>(
        &self,
        signed: impl Fn(&str) -> Result<SignedClaims, E>,
        authenticate: impl Fn(&str) -> Option<Caller>,
        unknown: impl Fn() -> E,
    ) -> Result<(SignedClaims, Caller), E> {
        let mut last = None;
        for hook in self.0.values().filter(|hook| matches!(hook.how, How::SignedEvents)) {
            let Some(caller) = authenticate(&hook.key) else { continue };
            match signed(caller.own_tenant()) {
                Ok(claims) if claims.alias == hook.issuer => return Ok((claims, caller)),
                Ok(_) => {}
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(unknown))
    }
}

impl Hook {
    /// The producer of this door.
    #[must_use]
    pub fn caller(&self, authenticate: impl Fn(&str) -> Option<Caller>) -> Option<Caller> {
        authenticate(&self.key)
    }

    /// Whether the secret of the door stands in the header Authorization. For the one request that
    /// has no body to sign.
    #[must_use]
    pub fn has_secret(&self, headers: &HeaderMap) -> bool {
        let How::Secret(key, tag) = &self.how else { return false };
        let shown = one(headers, &AUTHORIZATION);
        shown.is_some_and(|shown| hmac::verify(key, shown, tag.as_ref()).is_ok())
    }

    /// Whether the sender of a body is the one of the settings. May wait for keys.
    ///
    /// # Errors
    /// When it is not, or nobody can tell.
    pub fn check(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        issuers: &Issuers,
        tenant: &str,
        now_seconds: i64,
    ) -> Result<(), NotKnown> {
        let is_proven = match &self.how {
            How::SignedEvents => false,
            How::Secret(..) => self.has_secret(headers),
            How::Hmac { header, key } => {
                let shown = one(headers, header).and_then(|text| hex::decode(text).ok());
                shown.is_some_and(|shown| hmac::verify(key, body, &shown).is_ok())
            }
            How::SignedBody => {
                let shown = one(headers, &AUTHORIZATION).and_then(bearer);
                let Some(shown) = shown else { return Err(NotKnown::Unproven) };
                match issuers.signed_claims(tenant, shown) {
                    Ok(claims) => claims.alias == self.issuer && covers(&claims, body, now_seconds),
                    Err(NotSigned::KeysLost) => return Err(NotKnown::KeysLost),
                    Err(_) => false,
                }
            }
        };
        if is_proven { Ok(()) } else { Err(NotKnown::Unproven) }
    }
}

/// A header that stands once.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

#[derive(Deserialize)]
struct BodyClaims {
    request_body_sha256: Option<String>,
    exp: Option<f64>,
    aud: Option<serde_json::Value>,
}

/// Whether claims are about exactly this body, now, and for us; and of no token that is for
/// something else (RFC 8725 section 3.11).
fn covers(signed: &SignedClaims, body: &[u8], now_seconds: i64) -> bool {
    if !matches!(signed.typ.as_str(), "" | "jwt") {
        return false;
    }
    let Ok(claims) = serde_json::from_slice::<BodyClaims>(&signed.claims) else { return false };
    #[allow(clippy::cast_precision_loss, reason = "seconds of this era are exact")]
    let now = now_seconds as f64;
    // Without an end it could be sent again for ever.
    let is_fresh = claims.exp.is_some_and(|exp| exp > now);
    let known = |one: &serde_json::Value| {
        one.as_str().is_some_and(|one| signed.audiences.iter().any(|known| known == one))
    };
    // Where the register says whom the issuer's messages are for, one to nobody is not for us.
    let is_for_us = match &claims.aud {
        None => signed.audiences.is_empty(),
        Some(serde_json::Value::Array(several)) => several.iter().any(known),
        Some(only) => known(only),
    };
    let digest = uuid_text::hex(digest::digest(&digest::SHA256, body).as_ref());
    let is_body = claims.request_body_sha256.is_some_and(|said| said.eq_ignore_ascii_case(&digest));
    is_fresh && is_for_us && is_body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearers_are_read_whole() {
        assert_eq!(bearer(b"Bearer a.b.c"), Some(&b"a.b.c"[..]));
        assert_eq!(bearer(b"bEARER  x "), Some(&b"x"[..]));
        assert_eq!(bearer(b"Basic x"), None);
        assert_eq!(bearer(b"B"), None);
    }
}
