//! JWTs of an issuer in the server's register, signed before the clock runs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::population::{ISSUER, REGION, jti};

const ISS: &str = "https://idp.bench";
/// The year 2096.
const LATE: i64 = 3_976_214_400;

/// How a JWT is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA over P-256.
    Es256,
}

/// An issuer: its keys, and the files by which a server knows it.
pub struct JwtIssuer {
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
    random: SystemRandom,
    folder: TempDir,
}

impl JwtIssuer {
    /// Makes keys, and the files below `parent`.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn create(parent: &Path) -> Result<Self> {
        let random = SystemRandom::new();
        let failed = |_| anyhow!("no key");
        let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(how, &random).map_err(failed)?;
        let ec =
            EcdsaKeyPair::from_pkcs8(how, made.as_ref(), &random).map_err(|_| anyhow!("no key"))?;
        let made = Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?;
        let ed = Ed25519KeyPair::from_pkcs8(made.as_ref()).map_err(|_| anyhow!("no key"))?;
        let folder = tempfile::Builder::new().prefix("ledgerline-bench-").tempdir_in(parent)?;
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = ec.public_key().as_ref();
        let keys = json!({ "keys": [
            { "kty": "EC", "crv": "P-256", "use": "sig", "kid": "es", "alg": "ES256",
                "x": text(&point[1..33]), "y": text(&point[33..]) },
            { "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "ed", "alg": "EdDSA",
                "x": text(ed.public_key().as_ref()) },
        ] });
        let file = folder.path().join("keys.json");
        std::fs::write(&file, keys.to_string())?;
        let config = format!(
            "[issuers.{ISSUER}]\niss = \"{ISS}\"\nregion = \"{REGION}\"\n\
             jti_rule = \"identity\"\njwks_file = {file:?}\ntenants = [\"\"]\n"
        );
        std::fs::write(folder.path().join("ledgerline.toml"), config)?;
        Ok(Self { ec, ed, random, folder })
    }

    /// The configuration file that names it.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("ledgerline.toml")
    }

    /// The JWT of a token.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign(&self, token: u64, how: Algorithm) -> Result<String> {
        let (alg, kid) = match how {
            Algorithm::EdDsa => ("EdDSA", "ed"),
            Algorithm::Es256 => ("ES256", "es"),
        };
        let header = json!({ "alg": alg, "kid": kid, "typ": "at+jwt" });
        let claims = json!({ "iss": ISS, "jti": jti(token), "exp": LATE,
            "sub": format!("user-{token}"), "aud": "https://api.bench", "scope": "read:finance" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(&header), part(&claims));
        let signature = match how {
            Algorithm::EdDsa => self.ed.sign(input.as_bytes()).as_ref().to_vec(),
            Algorithm::Es256 => {
                let signed = self.ec.sign(&self.random, input.as_bytes()).ok();
                signed.context("a signature")?.as_ref().to_vec()
            }
        };
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
