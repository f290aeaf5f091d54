//! Compact JWS as access tokens are (RFC 7515 section 7.1, RFC 7519).
//!
//! ```text
//! base64url(header) "." base64url(claims) "." base64url(signature)
//! header  {alg, kid?}          with `crit` it is refused: nothing critical is understood here
//! claims  {iss, jti?, exp?, nbf?, …}
//! ```
//!
//! Promises: no input or output, nothing kept. One reading of a token: members that stand twice
//! are refused (RFC 7515 section 4, RFC 7519 section 4).
//!
//! Refuses: unprotected headers, detached content, anything above 64 KiB.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Number, Value};

use super::jwk::{Algorithm, PublicKey};

/// Longest token that is taken apart, in bytes.
const TOKEN_BYTES_MAX: usize = 64 << 10;
const SECOND_NANOS: i64 = 1_000_000_000;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    jti: Option<String>,
    exp: Option<Number>,
    nbf: Option<Number>,
}

/// A token taken apart; nothing in it is believed yet.
pub struct Unverified<'t> {
    header: Header,
    claims: Claims,
    signing_input: &'t [u8],
    signature: Vec<u8>,
}

/// What shape a presented token has.
pub enum Shape<'t> {
    /// None of a JWS with JSON claims.
    Opaque,
    /// That of one.
    Jws(Box<Unverified<'t>>),
    /// It has the shape and the claims of one issuer, and breaks a rule.
    Broken {
        /// The `iss` in it, as far as it can be read.
        iss: Option<String>,
    },
}

/// Takes a token apart.
#[must_use]
pub fn read(token: &[u8]) -> Shape<'_> {
    let mut dots = token.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
    let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
        return Shape::Opaque;
    };
    if token.len() > TOKEN_BYTES_MAX {
        return Shape::Opaque;
    }
    let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).ok();
    let header = decode(&token[..first]);
    let claims = decode(&token[first + 1..second]);
    let (Some(header), Some(claims)) = (header, claims) else { return Shape::Opaque };
    let is_object = |text: &[u8]| matches!(serde_json::from_slice(text), Ok(Value::Object(_)));
    if !is_object(&header) || !is_object(&claims) {
        return Shape::Opaque;
    }
    let signature = decode(&token[second + 1..]);
    let header = serde_json::from_slice::<Header>(&header).ok();
    let read = serde_json::from_slice::<Claims>(&claims).ok();
    match (header, read, signature) {
        (Some(header), Some(claims), Some(signature)) if header.crit.is_none() => {
            let signing_input = &token[..second];
            Shape::Jws(Box::new(Unverified { header, claims, signing_input, signature }))
        }
        _ => Shape::Broken { iss: iss_of(&claims) },
    }
}

/// The `iss` of claims that break a rule, to know whose token it pretends to be.
fn iss_of(claims: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(claims).ok()?;
    value.get("iss").and_then(Value::as_str).map(str::to_owned)
}

impl Unverified<'_> {
    /// Who issued it, if one believes it.
    #[must_use]
    pub fn iss(&self) -> Option<&str> {
        self.claims.iss.as_deref()
    }

    /// Its name at the issuer, if one believes it.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        self.claims.jti.as_deref()
    }

    /// The key it names.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Not to be used before, and not from then on, Unix nanoseconds; `None` where not said.
    #[must_use]
    pub fn window(&self) -> (Option<i64>, Option<i64>) {
        (self.claims.nbf.as_ref().map(nanos), self.claims.exp.as_ref().map(nanos))
    }

    /// Whether one of the keys it may name signed it.
    #[must_use]
    pub fn is_signed_by(&self, keys: &[PublicKey]) -> bool {
        let Some(algorithm) = Algorithm::from_name(&self.header.alg) else { return false };
        let named = keys.iter().filter(|key| {
            self.kid().is_none_or(|kid| key.kid() == Some(kid)) && key.is_for(algorithm)
        });
        // Without a `kid` every key is tried, and a set has a bounded number of them.
        named.take(16).any(|key| key.verifies(algorithm, self.signing_input, &self.signature))
    }
}

/// A NumericDate (RFC 7519 section 2) in nanoseconds, rounded down to its second.
fn nanos(date: &Number) -> i64 {
    let seconds = date.as_i64().or_else(|| {
        #[allow(clippy::cast_possible_truncation, reason = "saturates, as it should")]
        date.as_f64().map(|seconds| seconds.floor() as i64)
    });
    seconds.unwrap_or(i64::MAX).saturating_mul(SECOND_NANOS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    #[test]
    fn shapes_are_told_apart() {
        let check = |text: &str, expected: &str| {
            let found = match read(text.as_bytes()) {
                Shape::Opaque => "opaque".to_owned(),
                Shape::Jws(one) => {
                    format!("jws {:?} {:?} {:?}", one.iss(), one.kid(), one.window())
                }
                Shape::Broken { iss } => format!("broken {iss:?}"),
            };
            assert_eq!(found, expected, "{text}");
        };
        check("opaque-token", "opaque");
        check("a.b.c", "opaque");
        check("a.b.c.d.e", "opaque");
        let claims = r#"{"iss":"i","exp":2.9,"nbf":1}"#;
        check(
            &token(r#"{"alg":"none","kid":"k","typ":"at+jwt"}"#, claims),
            "jws Some(\"i\") Some(\"k\") (Some(1000000000), Some(2000000000))",
        );
        check(&token(r#"{"alg":"EdDSA","crit":["b64"]}"#, claims), "broken Some(\"i\")");
        check(&token(r#"{"alg":"EdDSA","alg":"none"}"#, claims), "broken Some(\"i\")");
        check(&token(r#"{"kid":"k"}"#, claims), "broken Some(\"i\")");
        check(&token(r#"{"alg":"EdDSA"}"#, r#"{"iss":"i","iss":"j"}"#), "broken Some(\"j\")");
        check(&token(r#"{"alg":"EdDSA"}"#, r#"{"iss":"i","exp":"soon"}"#), "broken Some(\"i\")");
        check(&token(r#"{"alg":"EdDSA"}"#, "[1]"), "opaque");
        check(&format!("{}!", token(r#"{"alg":"EdDSA"}"#, claims)), "broken Some(\"i\")");
    }
}
