//! Which token a row means: one id, and the others that the token is known by.
//!
//! ```text
//! token_id                        as it is
//! jti                             region:alias:jti:…
//! digest                          region:alias:t1:…
//! token   opaque                  region:alias:t1:…
//!         a JWT of an issuer whose jti is a name
//!                                 region:alias:jti:…   also known as   region:alias:t1:…
//! jti beside digest or token      region:alias:jti:…   also known as   region:alias:t1:…
//! ```
//!
//! Promises: a JWT is named as the ledger names it elsewhere, so that a table never makes a second
//! token of one that is recorded, alive under one name and revoked under the other.
//!
//! Refuses: a JWT with a jti of which nobody says whether it is a name; one of another issuer; what
//! begins as a JWT and is none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ledgerline_api::status::{Issuer, IssuerRegister};
use ledgerline_proof::token_id::{TokenId, from_jti, from_presented};
use serde_json::Value;

use crate::token_table::{BAD_ID, Fields, RowError};

/// What the jti of an issuer's JWTs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum JtiRule {
    /// A name, safe to keep.
    Identity,
    /// The bearer value or a part of it: never kept.
    Bearer,
}

/// What is known of the issuers of a table.
#[derive(Debug, Clone, Default)]
pub struct Register {
    issuers: Vec<Registered>,
    /// What somebody says of issuers that are not registered.
    told: Option<JtiRule>,
}

#[derive(Debug, Clone)]
struct Registered {
    alias: String,
    region: String,
    iss: String,
    rule: JtiRule,
}

impl Register {
    /// From the answer of `GET /v1/issuers`; `told` is for issuers that it does not have.
    #[must_use]
    pub fn of(answer: &IssuerRegister<'_>, told: Option<JtiRule>) -> Self {
        let one = |one: &Issuer<'_>| {
            let rule = match one.jti_rule.as_deref()? {
                "identity" => JtiRule::Identity,
                _ => JtiRule::Bearer,
            };
            let (region, iss) = (one.region.as_deref()?.to_owned(), one.iss.as_deref()?.to_owned());
            Some(Registered { alias: one.alias.to_string(), region, iss, rule })
        };
        Self { issuers: answer.issuers.iter().filter_map(one).collect(), told }
    }

    fn registered(&self, region: &str, alias: &str) -> Option<&Registered> {
        self.issuers.iter().find(|one| one.alias == alias && one.region == region)
    }
}

/// The ids of the token that a row means: the first is its name.
pub(super) fn ids_of(
    fields: &mut Fields,
    (region, issuer): (&str, &str),
    register: &Register,
) -> Result<Vec<String>, RowError> {
    let [id, jti, digest, token] =
        ["token_id", "jti", "digest", "token"].map(|name| fields.remove(name));
    let of = Named { region, issuer, register };
    match (id, jti, digest, token) {
        (Some(id), None, None, None) => {
            TokenId::parse(&id).map_err(|_| BAD_ID)?;
            Ok(vec![id])
        }
        (None, None, None, Some(token)) => of.token(&token),
        (None, None, Some(digest), None) => Ok(vec![of.digest(&digest)?]),
        (None, Some(jti), None, None) => Ok(vec![of.jti(&jti)?]),
        (None, Some(jti), Some(digest), None) => Ok(vec![of.jti(&jti)?, of.digest(&digest)?]),
        (None, Some(jti), None, Some(token)) => of.both(&jti, &token),
        _ => {
            let what = "and `jti`, `digest`, `token`: exactly one says which token it is, or \
                        `jti` beside `digest` or `token`";
            Err(RowError::Bad("token_id", what))
        }
    }
}

/// Under which names, and by which rules.
struct Named<'r> {
    region: &'r str,
    issuer: &'r str,
    register: &'r Register,
}

impl Named<'_> {
    fn jti(&self, jti: &str) -> Result<String, RowError> {
        let is_bearer = |one: &Registered| one.rule == JtiRule::Bearer;
        if self.register.registered(self.region, self.issuer).is_some_and(is_bearer) {
            let what = "is the bearer value, as the server's register has it: use `token`";
            return Err(RowError::Bad("jti", what));
        }
        from_jti(self.region, self.issuer, jti).map_err(|_| RowError::Bad("jti", "makes no id"))
    }

    fn digest(&self, digest: &str) -> Result<String, RowError> {
        let id = format!("{}:{}:t1:{digest}", self.region, self.issuer);
        let is_id = TokenId::parse(&id).is_ok();
        is_id
            .then_some(id)
            .ok_or(RowError::Bad("digest", "is not the base64url SHA-256 that `token-id` computes"))
    }

    fn value(&self, token: &str) -> Result<String, RowError> {
        from_presented(self.region, self.issuer, token.as_bytes())
            .map_err(|_| RowError::Bad("token", "is shorter than 128 bits, or makes no id"))
    }

    /// A bearer value alone.
    fn token(&self, token: &str) -> Result<Vec<String>, RowError> {
        let value = self.value(token)?;
        let Some(claims) = claims(token)? else { return Ok(vec![value]) };
        let known = self.of_issuer(&claims)?;
        let jti = match &claims["jti"] {
            Value::Null => return Ok(vec![value]),
            Value::String(jti) if !jti.is_empty() => jti,
            _ => return Err(RowError::Bad("token", "is a JWT whose `jti` is no text")),
        };
        match known.map(|one| one.rule).or(self.register.told) {
            Some(JtiRule::Bearer) => Ok(vec![value]),
            Some(JtiRule::Identity) => Ok(vec![self.jti(jti)?, value]),
            None => {
                let what = "is a JWT with a `jti`, and the server's register does not say whether \
                            that is its name there: register the issuer, or say --jti-rule";
                Err(RowError::Bad("token", what))
            }
        }
    }

    /// A bearer value beside its jti: the table says that they are one.
    fn both(&self, jti: &str, token: &str) -> Result<Vec<String>, RowError> {
        if jti == token {
            return Err(RowError::Bad("jti", "is the bearer value"));
        }
        if let Some(claims) = claims(token)? {
            self.of_issuer(&claims)?;
            if claims["jti"].as_str().is_some_and(|claimed| claimed != jti) {
                return Err(RowError::Bad("jti", "is not the one that the JWT beside it has"));
            }
        }
        Ok(vec![self.jti(jti)?, self.value(token)?])
    }

    /// The issuer as it is registered, when the JWT is one of its own.
    fn of_issuer(&self, claims: &Value) -> Result<Option<&Registered>, RowError> {
        let known = self.register.registered(self.region, self.issuer);
        if known.is_some_and(|one| claims["iss"] != one.iss.as_str()) {
            let what = "is a JWT whose `iss` is not this issuer's in the server's register";
            return Err(RowError::Bad("token", what));
        }
        Ok(known)
    }
}

/// The claims of a JWT; `None` of any other token.
fn claims(token: &str) -> Result<Option<Value>, RowError> {
    let parts: Vec<&str> = token.split('.').collect();
    if !is_jose(parts[0]) {
        return Ok(None);
    }
    match parts[..] {
        [_, payload, _] => {
            let json = URL_SAFE_NO_PAD.decode(payload).ok();
            let json = json.and_then(|json| serde_json::from_slice::<Value>(&json).ok());
            let claims = json.filter(Value::is_object);
            claims.map(Some).ok_or(RowError::Bad("token", "is a JWT whose claims cannot be read"))
        }
        // Encrypted: what it claims is for others.
        [_, _, _, _, _] => Ok(None),
        _ => Err(RowError::Bad("token", "begins as a JWT and is cut off: give all of it")),
    }
}

/// Whether a JOSE header stands here, or the beginning of one.
fn is_jose(part: &str) -> bool {
    let whole = part.get(..part.len() / 4 * 4).unwrap_or_default();
    let text = URL_SAFE_NO_PAD.decode(part).or_else(|_| URL_SAFE_NO_PAD.decode(whole));
    let text = text.unwrap_or_default();
    let has = |member: &[u8]| text.windows(member.len()).any(|found| found == member);
    text.trim_ascii_start().starts_with(b"{") && has(b"\"alg\"")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;
    use serde_json::json;

    use super::*;

    const ISS: &str = "https://idp.test";

    fn jwt(claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.c2lnbmF0dXJl", part(&json!({ "alg": "ES256" })), part(claims))
    }

    fn register(rule: &str) -> Register {
        let one = json!({ "alias": "idp", "region": "eu", "iss": ISS, "jti_rule": rule });
        let answer = json!({ "issuers": [one, { "alias": "named-only" }] });
        Register::of(&IssuerRegister::deserialize(&answer).expect("a register"), None)
    }

    fn ids(cells: &[(&'static str, &str)], register: &Register) -> Result<Vec<String>, RowError> {
        let mut fields = cells.iter().map(|(name, cell)| (*name, (*cell).to_owned())).collect();
        ids_of(&mut fields, ("eu", "idp"), register)
    }

    #[test]
    fn a_jwt_of_a_table_was_split_in_two() {
        let token = jwt(&json!({ "iss": ISS, "jti": "a2" }));
        let value = from_presented("eu", "idp", token.as_bytes()).expect("an id");
        let both = Ok(vec!["eu:idp:jti:a2".to_owned(), value.clone()]);
        let (identity, bearer) = (register("identity"), register("bearer"));
        assert_eq!(ids(&[("token", &token)], &identity), both);
        assert_eq!(ids(&[("jti", "a2"), ("token", &token)], &identity), both);
        let digest = &value["eu:idp:t1:".len()..];
        assert_eq!(ids(&[("jti", "a2"), ("digest", digest)], &identity), both);
        // Where the jti is the secret itself it is never kept.
        assert_eq!(ids(&[("token", &token)], &bearer), Ok(vec![value.clone()]));
        assert!(ids(&[("jti", "a2")], &bearer).is_err());
        // Nobody says what the jti is.
        let nobody = Register::default();
        assert!(ids(&[("token", &token)], &nobody).is_err());
        let told = Register { told: Some(JtiRule::Identity), ..Register::default() };
        assert_eq!(ids(&[("token", &token)], &told), both);
        let told = Register { told: Some(JtiRule::Bearer), ..Register::default() };
        assert_eq!(ids(&[("token", &token)], &told), Ok(vec![value]));
    }

    #[test]
    fn a_token_of_which_it_cannot_be_known_is_refused() {
        let identity = register("identity");
        for claims in [
            json!({ "iss": "https://other.test", "jti": "a2" }),
            json!({ "jti": "a2" }),
            json!({ "iss": ISS, "jti": 7 }),
            json!({ "iss": ISS, "jti": "" }),
        ] {
            assert!(ids(&[("token", &jwt(&claims))], &identity).is_err(), "{claims}");
        }
        let whole = jwt(&json!({ "iss": ISS, "jti": "a2", "pad": "x".repeat(40) }));
        let two = whole.rsplit_once('.').expect("dots").0;
        for cut in [two, &two[..60], &whole[..23]] {
            assert!(ids(&[("token", cut)], &identity).is_err(), "{cut}");
        }
        assert!(ids(&[("jti", "other"), ("token", &whole)], &identity).is_err());
        let opaque = "A".repeat(22);
        assert!(ids(&[("jti", &opaque), ("token", &opaque)], &identity).is_err());
        assert_eq!(ids(&[("token", &opaque)], &identity).map(|ids| ids.len()), Ok(1));
        let without = jwt(&json!({ "iss": ISS, "sub": "x" }));
        assert_eq!(ids(&[("token", &without)], &identity).map(|ids| ids.len()), Ok(1));
    }
}
