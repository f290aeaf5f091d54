//! Compact JWS as access tokens are (RFC 7515 section 7.1, RFC 7519).
//!
//! ```text
//! base64url(header) "." base64url(claims) "." base64url(signature)
//! header  {alg, kid?}          with `crit` it is refused: nothing critical is understood here
//! claims  {iss, jti?, exp?, nbf?, …}
//! ```
//!
//! Promises: no input or output, nothing kept. One reading of a token: members that stand twice
//! are refused (RFC 7515 section 4, RFC 7519 section 4). Whatever has the digest of a JWS (its `t1`
//! covers `header.payload` only) has the shape of one here, sound or broken: so no forgery is taken
//! for an opaque value that happens to have the digest of a real token.
//!
//! Assumes: the caller bounds the length; a form has 128 KiB at most.
//!
//! Refuses: unprotected headers, detached content, a missing signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Number, Value};

use crate::jwk::{Algorithm, PublicKey};

const SECOND_NANOS: i64 = 1_000_000_000;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    jti: Option<String>,
    exp: Option<Number>,
    nbf: Option<Number>,
    iat: Option<Value>,
    sub: Option<Value>,
    aud: Option<Value>,
    /// What Keycloak calls the use of a token: `Bearer`, `ID`, `Refresh`, `Logout`.
    typ: Option<Value>,
    /// What Amazon Cognito calls it: `access` or `id`.
    token_use: Option<Value>,
    scope: Option<Value>,
    scp: Option<Value>,
    nonce: Option<Value>,
    at_hash: Option<Value>,
    c_hash: Option<Value>,
    s_hash: Option<Value>,
    events: Option<Value>,
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
    /// None of a JWS: no other token has its digest.
    Opaque,
    /// That of one with JSON claims.
    Jws(Box<Unverified<'t>>),
    /// It has the digest that a JWS would have, and is none that could be verified.
    Broken {
        /// The `iss` in it, as far as it can be read.
        iss: Option<String>,
        /// The `jti` in it, as far as it can be read.
        jti: Option<String>,
    },
}

/// Takes a token apart.
#[must_use]
pub fn read(token: &[u8]) -> Shape<'_> {
    let mut dots = token.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
    let (Some(first), second, None) = (dots.next(), dots.next(), dots.next()) else {
        return Shape::Opaque;
    };
    let decode = |part: &[u8]| URL_SAFE_NO_PAD.decode(part).ok();
    // What has no such header is digested whole, signature included.
    let Some(header) = decode(&token[..first]).filter(|header| names_algorithm(header)) else {
        return Shape::Opaque;
    };
    let end = second.unwrap_or(token.len());
    let claims = decode(&token[first + 1..end]).unwrap_or_default();
    let signature = second.and_then(|second| decode(&token[second + 1..]));
    let header = serde_json::from_slice::<Header>(&header).ok();
    let read = serde_json::from_slice::<Claims>(&claims).ok();
    match (header, read, signature) {
        (Some(header), Some(claims), Some(signature)) if header.crit.is_none() => {
            let signing_input = &token[..end];
            Shape::Jws(Box::new(Unverified { header, claims, signing_input, signature }))
        }
        _ => Shape::Broken { iss: claim_of(&claims, "iss"), jti: claim_of(&claims, "jti") },
    }
}

/// Whether this is the header of a JWS, as `t1` ids judge it.
fn names_algorithm(header: &[u8]) -> bool {
    serde_json::from_slice::<Value>(header).is_ok_and(|header| header.get("alg").is_some())
}

/// A claim of what breaks a rule, to know whose token it pretends to be.
fn claim_of(claims: &[u8], name: &str) -> Option<String> {
    let value: Value = serde_json::from_slice(claims).ok()?;
    value.get(name).and_then(Value::as_str).map(str::to_owned)
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

    /// What it says it is; empty where it says nothing.
    #[must_use]
    pub fn typ(&self) -> &str {
        self.header.typ.as_deref().unwrap_or_default()
    }

    /// Not to be used before, and not from then on, Unix nanoseconds; `None` where not said. A
    /// fraction narrows. An expiry beyond the year 2262, the end of 64-bit nanoseconds, is none.
    #[must_use]
    pub fn window(&self) -> (Option<i64>, Option<i64>) {
        window(self.claims.nbf.as_ref(), self.claims.exp.as_ref())
    }

    /// Whom it is about, if one believes it.
    #[must_use]
    pub fn sub(&self) -> Option<&str> {
        self.claims.sub.as_ref().and_then(Value::as_str)
    }

    /// Whom it is for (RFC 7519 section 4.1.3): one text, or a list of them.
    #[must_use]
    pub fn audiences(&self) -> Vec<String> {
        match &self.claims.aud {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// When it was issued, Unix nanoseconds; `i64::MAX` for what is no time.
    #[must_use]
    pub fn issued_at(&self) -> Option<i64> {
        let iat = self.claims.iat.as_ref()?;
        let at = iat.as_number().map(|at| window(Some(at), None).0);
        Some(at.flatten().unwrap_or(i64::MAX))
    }

    /// Whether it is a message about an event (RFC 8417), a logout token among them, which its
    /// bearer need not be the subject of.
    #[must_use]
    pub fn is_event(&self) -> bool {
        self.claims.events.is_some()
    }

    /// Whether it may be an identity token, by what it says of itself (RFC 8725 section 3.11): an
    /// issuer's access tokens, logout tokens and events are signed with the same keys. Those of
    /// Kubernetes name no `typ`.
    #[must_use]
    pub fn may_be_identity_token(&self) -> bool {
        let typ = self.header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        matches!(typ, "" | "jwt" | "id+jwt") && !self.is_event()
    }

    /// Whether it may be an access token, by what it says of itself: `typ` (RFC 9068 section 2.1;
    /// RFC 8725 section 3.11), and the claims that only ID tokens, logout tokens and security
    /// events have. An issuer's signature is on those too.
    #[must_use]
    pub fn may_be_access_token(&self) -> bool {
        let typ = self.header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        let claims = &self.claims;
        let said = [&claims.typ, &claims.token_use].into_iter().flatten();
        let other_use = said.filter_map(Value::as_str).any(|used| {
            ["id", "logout", "refresh", "offline"].contains(&&*used.to_ascii_lowercase())
        });
        let has_scope = claims.scope.is_some() || claims.scp.is_some();
        let is_id_token = claims.at_hash.is_some()
            || claims.c_hash.is_some()
            || claims.s_hash.is_some()
            || (claims.nonce.is_some() && !has_scope);
        matches!(typ, "jwt" | "at+jwt") && !other_use && claims.events.is_none() && !is_id_token
    }

    /// Whether any key could have signed it: its `alg` is one that is verified here.
    #[must_use]
    pub fn names_algorithm(&self) -> bool {
        Algorithm::from_name(&self.header.alg).is_some()
    }

    /// Whether one of the keys it may name signed it.
    #[must_use]
    pub fn is_signed_by(&self, keys: &[PublicKey]) -> bool {
        let Some(algorithm) = Algorithm::from_name(&self.header.alg) else { return false };
        let mut named = keys.iter().filter(|key| {
            self.kid().is_none_or(|kid| key.kid() == Some(kid)) && key.is_for(algorithm)
        });
        // Without a `kid` every fitting key is tried: the bytes of a set are bounded.
        named.any(|key| key.verifies(algorithm, self.signing_input, &self.signature))
    }
}

/// From when until before when the claims `nbf` and `exp` let a token be used, as
/// [`Unverified::window`].
#[must_use]
pub fn window(nbf: Option<&Number>, exp: Option<&Number>) -> (Option<i64>, Option<i64>) {
    let not_before = nbf.map(|nbf| seconds(nbf, f64::ceil));
    let expires_at = exp.map(|exp| seconds(exp, f64::floor));
    (
        not_before.map(|seconds| seconds.saturating_mul(SECOND_NANOS)),
        expires_at.and_then(|seconds| match seconds.checked_mul(SECOND_NANOS) {
            None if seconds > 0 => None,
            nanos => Some(nanos.unwrap_or(i64::MIN)),
        }),
    )
}

/// A NumericDate (RFC 7519 section 2), in whole seconds.
fn seconds(date: &Number, round: fn(f64) -> f64) -> i64 {
    let seconds = date.as_i64().or_else(|| {
        #[allow(clippy::cast_possible_truncation, reason = "saturates, as it should")]
        date.as_f64().map(|seconds| round(seconds) as i64)
    });
    seconds.unwrap_or(i64::MAX)
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
                Shape::Broken { iss, .. } => format!("broken {iss:?}"),
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
        // The signature is missing, or is no base64: broken, never opaque.
        let sound = token(r#"{"alg":"EdDSA"}"#, claims);
        check(sound.trim_end_matches(".c2ln"), "broken Some(\"i\")");
        check(
            sound.strip_suffix("c2ln").expect("signed"),
            "jws Some(\"i\") None (Some(1000000000), Some(2000000000))",
        );
        check(&sound.replace(".c2ln", ".not base64"), "broken Some(\"i\")");
        check(&token(r#"{"alg":"EdDSA","crit":["b64"]}"#, claims), "broken Some(\"i\")");
        check(&token(r#"{"alg":"EdDSA","alg":"none"}"#, claims), "broken Some(\"i\")");
        check(&token(r#"{"alg":"EdDSA"}"#, r#"{"iss":"i","iss":"j"}"#), "broken Some(\"j\")");
        check(&token(r#"{"alg":"EdDSA"}"#, r#"{"iss":"i","exp":"soon"}"#), "broken Some(\"i\")");
        check(&token(r#"{"alg":"EdDSA"}"#, "[1]"), "broken None");
        check(&token(r#"{"alg":"EdDSA"}"#, "not json"), "broken None");
        check(&token(r#"{"typ":"JWT"}"#, claims), "opaque");
        check(&format!("{}!", token(r#"{"alg":"EdDSA"}"#, claims)), "broken Some(\"i\")");
    }

    #[test]
    fn a_fraction_narrows_and_a_far_expiry_is_none() {
        let check = |claims: &str, expected: (Option<i64>, Option<i64>)| {
            let text = token(r#"{"alg":"EdDSA"}"#, claims);
            let Shape::Jws(one) = read(text.as_bytes()) else { panic!("{claims}") };
            assert_eq!(one.window(), expected, "{claims}");
        };
        check(r#"{"nbf":1.1,"exp":2.9}"#, (Some(2 * SECOND_NANOS), Some(2 * SECOND_NANOS)));
        check(r#"{"nbf":-0.5,"exp":-0.5}"#, (Some(0), Some(-SECOND_NANOS)));
        check(r#"{"exp":253402300799}"#, (None, None));
        check(r#"{"nbf":253402300799}"#, (Some(i64::MAX), None));
        check(r#"{"exp":1e300,"nbf":-1e300}"#, (Some(i64::MIN), None));
        check(r#"{"exp":-1e300}"#, (None, Some(i64::MIN)));
    }

    #[test]
    fn what_is_signed_for_another_use_is_no_access_token() {
        let check = |header: &str, claims: &str, expected: bool| {
            let text = token(header, claims);
            let Shape::Jws(one) = read(text.as_bytes()) else { panic!("{header} {claims}") };
            assert_eq!(one.may_be_access_token(), expected, "{header} {claims}");
        };
        let plain = r#"{"alg":"ES256"}"#;
        check(plain, r#"{"iss":"i"}"#, true);
        check(r#"{"alg":"ES256","typ":"JWT"}"#, r#"{"iss":"i"}"#, true);
        check(r#"{"alg":"ES256"}"#, r#"{"iss":"i","token_use":"id"}"#, false);
        check(r#"{"alg":"ES256"}"#, r#"{"iss":"i","token_use":"access"}"#, true);
        check(r#"{"alg":"ES256","typ":"application/at+jwt"}"#, r#"{"iss":"i"}"#, true);
        check(r#"{"alg":"ES256","typ":"AT+JWT"}"#, r#"{"iss":"i"}"#, true);
        check(plain, r#"{"typ":"Bearer","nonce":"n","scope":"openid"}"#, true);
        for typ in ["logout+jwt", "secevent+jwt", "dpop+jwt", "token-introspection+jwt", "JOSE"] {
            check(&format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#), r#"{"iss":"i"}"#, false);
        }
        for claims in [
            r#"{"typ":"ID"}"#,
            r#"{"typ":"Refresh"}"#,
            r#"{"nonce":"n"}"#,
            r#"{"at_hash":"h","scope":"openid"}"#,
            r#"{"c_hash":"h"}"#,
            r#"{"events":{}}"#,
        ] {
            check(plain, claims, false);
        }
    }
}
