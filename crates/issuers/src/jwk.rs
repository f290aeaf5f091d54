//! Public keys of issuers: JSON Web Key sets (RFC 7517) and the algorithms they verify (RFC 7518,
//! RFC 8037, RFC 9864).
//!
//! ```text
//! RSA                RS256 RS384 RS512 PS256 PS384 PS512     2048 to 8192 bits
//! EC P-256, P-384    ES256, ES384
//! OKP Ed25519        EdDSA, Ed25519
//! ```
//!
//! Promises: a key verifies algorithms of its own type only, and only the one it names when it
//! names one; that is what keeps a public key from being taken for the secret of an HMAC.
//!
//! Refuses: `none`, every HMAC, symmetric keys, keys for encryption, curves and types beyond the
//! table. Keys of a set that cannot be used are left out (RFC 7517 section 5); a text that is no
//! set is an error.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest set, in bytes.
pub const SET_BYTES_MAX: u64 = 256 << 10;

/// An algorithm that a public key verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// The same with SHA-384.
    Rs384,
    /// The same with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// The same with SHA-384.
    Ps384,
    /// The same with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// By its name in `alg`; `None` for everything that is not in the table.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kid: Option<String>,
    only: Option<Algorithm>,
    material: Material,
}

/// The members that matter. Whatever else stands there is ignored.
#[derive(Deserialize)]
struct RawKey {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct RawSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// The usable keys of a set.
///
/// # Errors
/// When the text is no JWK set.
pub fn read_set(text: &[u8]) -> Result<Vec<PublicKey>, &'static str> {
    let set: RawSet<'_> = serde_json::from_slice(text).map_err(|_| "it is no JSON Web Key set")?;
    Ok(set.keys.into_iter().filter_map(PublicKey::read).collect())
}

impl PublicKey {
    /// A key with a member twice is none: which of them the issuer means nobody can say.
    fn read(value: &RawValue) -> Option<Self> {
        let raw: RawKey = serde_json::from_str(value.get()).ok()?;
        let verifies = raw.key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if raw.usage.is_some_and(|usage| usage != "sig") || !verifies {
            return None;
        }
        let bytes = |text: Option<&String>| URL_SAFE_NO_PAD.decode(text?).ok();
        let point = |length: usize| {
            let (x, y) = (bytes(raw.x.as_ref())?, bytes(raw.y.as_ref())?);
            let fits = x.len() == length && y.len() == length;
            fits.then(|| [&[4], &x[..], &y[..]].concat())
        };
        let material = match (raw.kty.as_str(), raw.crv.as_deref()) {
            ("RSA", _) => {
                let number = |text| {
                    let bytes = bytes(text)?;
                    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                    Some(bytes[zeros..].to_vec())
                };
                let (n, e) = (number(raw.n.as_ref())?, number(raw.e.as_ref())?);
                // 2048 to 8192 bits.
                let fits = (256..=1024).contains(&n.len()) && (n.len() > 256 || n[0] >= 0x80);
                fits.then_some(Material::Rsa { n, e })?
            }
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => {
                let x = bytes(raw.x.as_ref())?;
                (x.len() == 32).then_some(Material::Ed25519(x))?
            }
            _ => return None,
        };
        // A key for an algorithm that is not in the table is for nothing here.
        let only = match raw.alg.as_deref() {
            None => None,
            Some(name) => Some(Algorithm::from_name(name)?),
        };
        Some(Self { kid: raw.kid, only, material })
    }

    /// Its name in the set.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it may verify an algorithm.
    #[must_use]
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let fits = match self.material {
            Material::Rsa { .. } => {
                matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512)
            }
            Material::P256(_) => algorithm == Es256,
            Material::P384(_) => algorithm == Es384,
            Material::Ed25519(_) => algorithm == EdDsa,
        };
        fits && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether `value` is this key's signature of `message`.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], value: &[u8]) -> bool {
        if !self.is_for(algorithm) {
            return false;
        }
        let plain = |how: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(how, key).verify(message, value).is_ok()
        };
        match &self.material {
            Material::Rsa { n, e } => {
                let key = RsaPublicKeyComponents { n: n.as_slice(), e: e.as_slice() };
                let how = match algorithm {
                    Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
                    _ => &signature::RSA_PKCS1_2048_8192_SHA256,
                };
                key.verify(how, message, value).is_ok()
            }
            Material::P256(point) => plain(&signature::ECDSA_P256_SHA256_FIXED, point),
            Material::P384(point) => plain(&signature::ECDSA_P384_SHA384_FIXED, point),
            Material::Ed25519(key) => plain(&signature::ED25519, key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    // A key and signatures of `header.payload` made with OpenSSL; the private half is not kept.
    const MODULUS: &str = "\
        nTn_NtlmlIcL61qxY5qkPzMH1nc8KoDeUL15_VyqIuInYAvQfFCOj1dNilaeJSTS75dJwC-UDJgP0rPt\
        2yK6a6N510GFG_dvu_MQsy1qdAtgLlP0RiwgkUNENaKk7g4TPoDa6IKLhPx29cfPtqRt7r60OTEGHSsq\
        jiM25KzRPuFQyP4DOFdGRdcE67rsQs_3qMv4BTAIJYgu8-Y5xyWnWTS6hHzXOLPVId5FEzAQS8KHBn4A\
        4rzf51fJOFWlRGeIYdPAeGlCpRtbLm30yIywGxKrgfbpo5qCRugoiHw8Zhm-8hemrUHjYrHLg1fmpHpO\
        2T69uAuyLte3Nb6E6wwNZQ";
    const RS256: &str = "\
        P02ZqI5kQc32NmNAPMV_1JgkF4V-Cjsg_zH2B8zb6h8b3N4HiFZL7RbXVIjq_S_7y0YONrguKF6oogXr\
        _rYVJKjfWZcatnpGEmauTdnvgPE7fp04Ca5h2OhidrIn3r14lMN2RyNKDJfqZIvTXiwnxTmHbbb0gw6U\
        msHV3aPOPRjEn_SEbCMpRkW_sxArnexOHcbIUidZJbzrbKfBCu3eruIi9B5fHpnj1wrx8-Xnv11OECoW\
        fp3Srr7hCEc10Kvj3aEVAys6btvNvR20cCCHunEhOi-0NBXqlu0VTbeF5aLiiw9tjQzLKMzqGmRvTA6D\
        OHi9Ue1xVoRxPjdUrYyAdg";
    const PS256: &str = "\
        CdWgbYUZ2mdi6yKcPtIOARoPSFszGdBzXVhNF0lsn2GCpb32C0CgCbf9f_90p8cmmTBdf4e7V49pzEUm\
        2kCsb1rjZp1dQJylpNruo0i1ORzc2CQAWqLf1K2DW235vvhiPC_njXsKHXC1JhSxrT1PspuxOwoWm8-4\
        NUbhLOwk3TQY2wTji_iU4qhu--_t7Wbkj1u4fwdu4di8ytpXGHaKm7ipEn8X9SbStiSPwEGHCKlb7kmd\
        W2xmV4iJpnCjqh9pZyyypzAw1qsSJegIE9hAHoSUrpBYWJLC5aYeNu1USw4bHeMtp-dZQNAiayFjJFqo\
        0XOtOdiIjxNDaTf-lG91BQ";

    // RFC 8037 appendix A.4 and RFC 7515 appendix A.3.
    const ED25519: (&str, &str, &str) = (
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    const ES256: (&str, &str, &str, &str) = (
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
         cGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );

    fn key(jwk: &Value) -> Option<PublicKey> {
        let set = json!({ "keys": [jwk] }).to_string();
        read_set(set.as_bytes()).expect("a set").pop()
    }

    #[test]
    fn published_signatures_verify_by_their_own_algorithm_only() {
        let rsa = json!({ "kty": "RSA", "kid": "r", "n": MODULUS, "e": "AQAB" });
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED25519.0 });
        let ec = json!({ "kty": "EC", "crv": "P-256", "x": ES256.0, "y": ES256.1 });
        let check = |jwk: &Value, name: &str, message: &str, signature: &str| {
            let key = key(jwk).expect("a usable key");
            let value = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
            let own = Algorithm::from_name(name).expect(name);
            for other in
                ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
            {
                let other = Algorithm::from_name(other).expect(other);
                let found = key.verifies(other, message.as_bytes(), &value);
                assert_eq!(found, other == own, "{name} {other:?}");
            }
            let mut wrong = value.clone();
            wrong[7] ^= 1;
            assert!(!key.verifies(own, message.as_bytes(), &wrong), "{name}");
            assert!(!key.verifies(own, format!("{message}x").as_bytes(), &value), "{name}");
            assert!(!key.verifies(own, message.as_bytes(), &value[1..]), "{name}");
            assert!(!key.verifies(own, message.as_bytes(), b""), "{name}");
        };
        check(&rsa, "RS256", "header.payload", RS256);
        check(&rsa, "PS256", "header.payload", PS256);
        check(&ed, "EdDSA", ED25519.1, ED25519.2);
        check(&ec, "ES256", ES256.2, ES256.3);
    }

    #[test]
    fn only_keys_for_verifying_are_taken() {
        let rsa = json!({ "kty": "RSA", "n": MODULUS, "e": "AQAB" });
        let with = |name: &str, value: Value| {
            let mut jwk = rsa.clone();
            jwk[name] = value;
            jwk
        };
        let check = |jwk: &Value, expected: bool| assert_eq!(key(jwk).is_some(), expected, "{jwk}");
        check(&rsa, true);
        check(&with("use", json!("sig")), true);
        check(&with("use", json!("enc")), false);
        check(&with("key_ops", json!(["verify"])), true);
        check(&with("key_ops", json!(["encrypt"])), false);
        check(&with("alg", json!("PS256")), true);
        check(&with("alg", json!("HS256")), false);
        check(&with("alg", json!("RSA-OAEP")), false);
        check(&with("n", json!("AQAB")), false);
        check(&with("n", json!("!")), false);
        check(&json!({ "kty": "oct", "k": "c2VjcmV0" }), false);
        check(&json!({ "kty": "EC", "crv": "P-256", "x": ES256.0, "y": "AQ" }), false);
        check(&json!({ "kty": "EC", "crv": "secp256k1", "x": ES256.0, "y": ES256.1 }), false);
        check(&json!({ "kty": "OKP", "crv": "X25519", "x": ED25519.0 }), false);
        check(&json!("text"), false);
        let twice = format!(
            "{{\"keys\":[{{\"kty\":\"RSA\",\"n\":\"{MODULUS}\",\"e\":\"AQAB\",\"e\":\"Aw\"}}]}}"
        );
        assert!(read_set(twice.as_bytes()).expect("a set").is_empty(), "of two exponents none");
        let only = key(&with("alg", json!("PS256"))).expect("a key");
        assert!(only.is_for(Algorithm::Ps256) && !only.is_for(Algorithm::Rs256));
        assert!(Algorithm::from_name("none").is_none() && Algorithm::from_name("HS256").is_none());
        for text in ["", "[]", "{}", "{\"keys\":1}"] {
            assert!(read_set(text.as_bytes()).is_err(), "{text}");
        }
    }
}
