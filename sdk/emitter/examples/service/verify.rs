//! Verifies access tokens (RFC 9068) of one issuer, as a resource server does on each request.
//!
//! Promises: a token is good only under the issuer's signature (EdDSA, Ed25519), with its `iss`,
//! this service's `aud`, and an `exp` that lies ahead. What a token says of itself chooses no
//! algorithm and no key.
//!
//! Assumes: the key is the issuer's. A service that runs for long reads it from the issuer's JWK
//! set, and again when it is rotated.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;

/// The issuer, as this service knows it.
#[derive(Clone)]
pub struct Verifier {
    issuer: String,
    audience: String,
    key: VerifyingKey,
}

impl Verifier {
    /// From `issuer audience base64url-public-key`; `None` when it is not these three.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [issuer, audience, key] = parts[..] else { return None };
        let key: [u8; 32] = URL_SAFE_NO_PAD.decode(key).ok()?.try_into().ok()?;
        let key = VerifyingKey::from_bytes(&key).ok()?;
        Some(Self { issuer: issuer.to_owned(), audience: audience.to_owned(), key })
    }

    /// Whether a token is good now.
    pub fn is_good(&self, token: &[u8]) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.claims(token).is_some_and(|claims| {
            let is_for_us = match &claims["aud"] {
                Value::String(one) => *one == self.audience,
                Value::Array(list) => list.iter().any(|one| *one == *self.audience),
                _ => false,
            };
            claims["iss"] == *self.issuer
                && is_for_us
                && claims["exp"].as_u64().is_some_and(|end| now < end)
        })
    }

    /// The claims that the issuer signed.
    fn claims(&self, token: &[u8]) -> Option<Value> {
        let mut parts = token.split(|byte| *byte == b'.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).ok();
        let head: Value = serde_json::from_slice(&decode(header)?).ok()?;
        let is_access_token = matches!(head["typ"].as_str(), Some("at+jwt" | "application/at+jwt"));
        if head["alg"] != "EdDSA" || !is_access_token || head.get("crit").is_some() {
            return None;
        }
        let signature = Signature::from_slice(&decode(signature)?).ok()?;
        let input = &token[..header.len() + 1 + claims.len()];
        self.key.verify_strict(input, &signature).ok()?;
        serde_json::from_slice(&decode(claims)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use serde_json::json;

    use super::*;

    fn token(key: &SigningKey, header: &Value, claims: &Value) -> Vec<u8> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).to_bytes());
        format!("{input}.{signature}").into_bytes()
    }

    #[test]
    fn a_token_is_good_as_its_issuer_signed_it_and_for_this_service() {
        let (key, other) = (SigningKey::from_bytes(&[7; 32]), SigningKey::from_bytes(&[8; 32]));
        let public = URL_SAFE_NO_PAD.encode(key.verifying_key().to_bytes());
        let verifier = Verifier::parse(&format!("https://idp.test orders {public}"));
        let verifier = verifier.expect("three parts");
        let header = json!({ "alg": "EdDSA", "typ": "at+jwt" });
        let claims =
            json!({ "iss": "https://idp.test", "aud": ["orders"], "exp": 4_000_000_000_u64 });
        let good = token(&key, &header, &claims);
        assert!(verifier.is_good(&good));
        let with = |name: &str, value: Value| {
            let mut altered = claims.clone();
            altered[name] = value;
            token(&key, &header, &altered)
        };
        for (what, odd) in [
            ("another key", token(&other, &header, &claims)),
            ("another issuer", with("iss", json!("https://else.test"))),
            ("another audience", with("aud", json!("payments"))),
            ("an ended one", with("exp", json!(1))),
            ("one without an end", with("exp", Value::Null)),
            ("no algorithm", token(&key, &json!({ "alg": "none", "typ": "at+jwt" }), &claims)),
            ("an ID token", token(&key, &json!({ "alg": "EdDSA", "typ": "JWT" }), &claims)),
            ("a cut one", good[..good.len() - 1].to_vec()),
            ("four parts", [&good[..], b".x"].concat()),
        ] {
            assert!(!verifier.is_good(&odd), "{what}");
        }
    }
}
