//! Signed introspection answers: JWTs (RFC 9701), and the keys they verify with.
//!
//! ```text
//! Accept: application/token-introspection+jwt
//! header  {"alg":"EdDSA","kid":<RFC 7638 thumbprint>,"typ":"token-introspection+jwt"}
//! claims  {"iss":<introspection_issuer>,"aud":<key id of the caller>,"iat":<now>,
//!          "token_introspection":{"active":false}}       no `sub`, no `exp` beside it
//! GET /oauth2/jwks    {"keys":[…]}, public
//! ```
//!
//! Promises: what stands in `token_introspection` is the answer that would have come as JSON; one
//! that is not active is `{"active":false}` and nothing else. The key signs nothing else.

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Shared;
use crate::form::no_store;

/// The media type of RFC 9701.
const JWT: &str = "application/token-introspection+jwt";
const TYPE: &str = "token-introspection+jwt";

/// Signs answers.
pub struct Answers {
    pair: Ed25519KeyPair,
    issuer: String,
    kid: String,
}

impl Answers {
    /// With the seed of an Ed25519 key, in the name of an issuer. `None` when it is no key.
    #[must_use]
    pub fn new(seed: &[u8; 32], issuer: String) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        // RFC 7638 section 3.2, RFC 8037 section 2: these members, in this order.
        let members = format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{x}\"}}");
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(members));
        Some(Self { pair, issuer, kid })
    }

    /// The public half as a JWK set.
    #[must_use]
    pub fn jwks(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        let (kid, alg) = (&self.kid, "EdDSA");
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": alg, "kid": kid,
            "x": x });
        json!({ "keys": [key] })
    }

    /// The JWT of an answer to a caller.
    #[must_use]
    pub fn sign(&self, audience: &str, now_seconds: i64, answer: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.kid, "typ": TYPE });
        let claims = json!({ "iss": self.issuer, "aud": audience, "iat": now_seconds,
            "token_introspection": answer });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(&header), part(&claims));
        let signature = self.pair.sign(input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// An answer, which is JSON, as a JWT.
pub fn respond(answers: &Answers, audience: &str, now: i64, answer: &[u8]) -> Response {
    let answer = serde_json::from_slice(answer).unwrap_or(Value::Null);
    let signed = answers.sign(audience, now.div_euclid(1_000_000_000), &answer);
    let mut response = no_store(signed.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JWT));
    response
}

/// Whether the JWT is asked for by name, and JSON not rather (RFC 9110 section 12.5.1). Wildcards
/// ask for JSON.
#[must_use]
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let (mut jwt, mut json) = (0, 0);
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for one in values.flat_map(|value| value.split(',')) {
        let mut parts = one.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let weight = weight.map_or(1000, thousandths);
        match kind.as_str() {
            JWT => jwt = weight.max(jwt),
            "application/json" => json = weight.max(json),
            _ => {}
        }
    }
    jwt > 0 && jwt >= json
}

/// A weight such as `0.25` in thousandths; 0 for what is none.
fn thousandths(text: &str) -> u32 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{part:0<3}");
    match (whole, digits.get(..3).and_then(|digits| digits.parse::<u32>().ok())) {
        ("1", _) => 1000,
        ("0", Some(part)) => part,
        _ => 0,
    }
}

/// `GET /oauth2/jwks`: the keys that answers verify with. Public.
#[allow(clippy::unused_async, reason = "axum handlers are async")]
pub async fn jwks(State(app): Shared) -> Response {
    let mut response = app.answers.jwks().to_string().into_response();
    let kind = HeaderValue::from_static("application/jwk-set+json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jwt_is_for_who_asks_for_it_by_name() {
        let check = |accept: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("a value"));
            assert_eq!(is_wanted(&headers), expected, "{accept}");
        };
        check(JWT, true);
        check("Application/Token-Introspection+JWT", true);
        check(&format!("{JWT}, application/json"), true);
        check(&format!("application/json, {JWT};q=0.5"), false);
        check(&format!("application/json;q=0.4, {JWT};q=0.5"), true);
        check(&format!("{JWT}; charset=utf-8; q=0"), false);
        check("application/json", false);
        check("*/*", false);
        check("", false);
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        // RFC 8037 appendix A.1 and A.3.
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let seed: [u8; 32] = seed.expect("base64url").try_into().expect("a seed");
        let answers = Answers::new(&seed, "https://ledger.test".to_owned()).expect("a key");
        assert_eq!(answers.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
