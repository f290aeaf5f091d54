//! What an issuer signed to be told, not to be presented: security event tokens (RFC 8417), logout
//! tokens, signatures over the body of a webhook.
//!
//! Promises: claims come out only under a verified signature of a registered issuer that the tenant
//! may know of, with the issuer of the register and the `typ` of the header. What the claims say is
//! the caller's to judge.
//!
//! Assumes: blocking, as the register itself; the caller bounds the length.
//!
//! Refuses: issuers without keys, also those whose access tokens are taken unverified: an event
//! that anybody could have made ends nobody's session.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::jws::{self, Shape};
use crate::{Issuer, Issuers};

/// Claims that an issuer signed.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedClaims {
    /// Home region of the issuer.
    pub region: String,
    /// Its alias.
    pub alias: String,
    /// Its `iss`, as the register has it.
    pub iss: String,
    /// `typ` of the header, in small letters and without `application/`; empty where not said.
    pub typ: String,
    /// Under which audiences the operator lets it tell us things.
    pub audiences: Vec<String>,
    /// Whether its `jti` is a name and no bearer value.
    pub names_by_jti: bool,
    /// The claims, as they were signed.
    pub claims: Vec<u8>,
}

/// Why nothing is known to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSigned {
    /// It is no compact JWS with JSON claims.
    NoJws,
    /// No registered issuer has its `iss`.
    UnknownIssuer,
    /// The issuer has no keys in the register.
    NoKeys,
    /// None of the issuer's keys signed it.
    BadSignature,
    /// The issuer's keys cannot be had now, or those at hand do not fit and it is too soon to ask
    /// whether it has made another one: nobody knows.
    KeysLost,
}

impl Issuers {
    /// The claims of a compact JWS that a registered issuer signed.
    ///
    /// # Errors
    /// Why they are not known to be signed.
    pub fn signed_claims(&self, tenant: &str, token: &[u8]) -> Result<SignedClaims, NotSigned> {
        let Shape::Jws(one) = jws::read(token) else { return Err(NotSigned::NoJws) };
        let issuer = self.of_iss(tenant, one.iss()).ok_or(NotSigned::UnknownIssuer)?;
        let room = issuer.keys.as_ref().ok_or(NotSigned::NoKeys)?;
        let asked_at = Instant::now();
        let keys = room.keys(one.kid()).map_err(|_| NotSigned::KeysLost)?;
        if !one.is_signed_by(&keys.list) {
            // A key of this name that did not sign it is an answer. None of this name, or a token
            // that names none, may be of a key that was made since the keys were read.
            let is_named = one.kid().is_some_and(|kid| keys.has(Some(kid)));
            if is_named || !one.names_algorithm() {
                return Err(NotSigned::BadSignature);
            }
            let newer = room.keys_since(asked_at).map_err(|_| NotSigned::KeysLost)?;
            if !one.is_signed_by(&newer.list) {
                return Err(NotSigned::BadSignature);
            }
        }
        let payload = token.split(|byte| *byte == b'.').nth(1).unwrap_or_default();
        let claims = URL_SAFE_NO_PAD.decode(payload).map_err(|_| NotSigned::NoJws)?;
        let typ = one.typ().to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ).to_owned();
        Ok(issuer.signed(typ, claims))
    }

    /// Region and alias of the issuer with this `iss`, and whether its `jti` is a name.
    #[must_use]
    pub fn named(&self, tenant: &str, iss: &str) -> Option<(String, String, bool)> {
        let issuer = self.of_iss(tenant, Some(iss))?;
        Some((issuer.settings.region.clone(), issuer.alias.to_string(), issuer.names_by_jti()))
    }

    /// Region of the issuer with this alias.
    #[must_use]
    pub fn region_of(&self, tenant: &str, alias: &str) -> Option<String> {
        self.get(tenant, alias).map(|issuer| issuer.settings.region.clone())
    }
}

impl Issuer {
    fn names_by_jti(&self) -> bool {
        self.settings.jti_rule == crate::settings::JtiRule::Identity
    }

    fn signed(&self, typ: String, claims: Vec<u8>) -> SignedClaims {
        SignedClaims {
            region: self.settings.region.clone(),
            alias: self.alias.to_string(),
            iss: self.settings.iss.clone(),
            typ,
            audiences: self.settings.event_audiences.clone(),
            names_by_jti: self.names_by_jti(),
            claims,
        }
    }
}
