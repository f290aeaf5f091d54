//! What signs the agent's statements, and how its secret is read.
//!
//! ```text
//! HMAC-SHA256   the secret as `ledgerline keys add` shows it: base64 of 32 bytes, one line
//! Ed25519       a private key as `openssl genpkey -algorithm ed25519` writes it (PKCS#8, PEM),
//!               or base64 of its seed of 32 bytes, one line
//! ```
//!
//! Promises: no error shows anything of a secret. A file that everybody may read is warned of.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_client::Misconfigured;
use ledgerline_client::secret_file::{read_secret_file, warn_of};
use ledgerline_emitter::Signing;
use ledgerline_proof::signature::Alg;

/// How a PKCS#8 document of an Ed25519 key without attributes begins (RFC 8410 section 7).
const PKCS8: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
/// Longest key file, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

fn wrong(path: &Path, why: impl Display) -> anyhow::Error {
    Misconfigured::new(format!("{}: {why}", path.display())).into()
}

/// Reads the secret of a key.
///
/// # Errors
/// When the file cannot be read or holds no key of that sort.
pub fn read(alg: Alg, key_id: &str, deployment: &str, path: &Path) -> anyhow::Result<Signing> {
    Ok(match alg {
        Alg::HmacSha256 => Signing::hmac(&of_line(path)?, deployment, key_id),
        Alg::Ed25519 => {
            let seed = of_pem(path)?.map_or_else(|| of_line(path), Ok)?;
            Signing::ed25519(&seed, deployment, key_id)
        }
    })
}

fn of_line(path: &Path) -> anyhow::Result<[u8; 32]> {
    let secret = STANDARD.decode(read_secret_file(path)?).ok();
    let seed = secret.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    seed.ok_or_else(|| wrong(path, "is not the base64 of 32 bytes"))
}

/// The seed in a PEM file; `None` when it is none.
fn of_pem(path: &Path) -> anyhow::Result<Option<[u8; 32]>> {
    let found = fs::metadata(path).map_err(|error| wrong(path, error))?;
    if found.len() > FILE_BYTES_MAX {
        return Err(wrong(path, format!("is longer than {FILE_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(|error| wrong(path, error))?;
    let Some(body) = text.trim().strip_prefix(PEM_BEGIN) else { return Ok(None) };
    warn_of(path);
    let body: String = body.trim_end().trim_end_matches(PEM_END).split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).ok();
    let seed = der.as_deref().and_then(|der| der.strip_prefix(PKCS8));
    let seed = seed.and_then(|seed| <[u8; 32]>::try_from(seed).ok());
    let why = "is no Ed25519 private key: openssl genpkey -algorithm ed25519";
    seed.map(Some).ok_or_else(|| wrong(path, why))
}

#[cfg(test)]
mod tests {
    use ledgerline_proof::signature::StatementKey;

    use super::*;

    /// Section 10.3 of RFC 8410, and the public key that it belongs to (section 10.1).
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

    #[test]
    fn a_key_of_openssl_signs_what_its_public_key_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.pem");
        let public = STANDARD.decode(PUBLIC).unwrap();
        let key = StatementKey::ed25519(&public, "default", "k1").unwrap();
        let seed = PEM.lines().nth(1).unwrap();
        let seed = STANDARD.encode(&STANDARD.decode(seed).unwrap()[PKCS8.len()..]);
        for text in [PEM, &PEM.replace('\n', "\r\n"), &seed, &format!("{seed}\n")] {
            fs::write(&path, text).unwrap();
            let signer = read(Alg::Ed25519, "k1", "default", &path).expect("a key");
            let value = signer.sign(b"statement");
            key.verify(b"statement", &value).expect("its own");
            key.verify(b"another", &value).expect_err("no other");
        }
    }

    #[test]
    fn what_is_no_key_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let cut = PEM.replace("MC4CAQAw", "");
        for text in ["", "c2hvcnQ=", "s3cret s3cret", &cut, "-----BEGIN PRIVATE KEY-----"] {
            for alg in [Alg::Ed25519, Alg::HmacSha256] {
                fs::write(&path, text).unwrap();
                let error = read(alg, "k1", "default", &path).expect_err("no key");
                assert!(!format!("{error:#}").contains("s3cret"), "{error:#}");
            }
        }
    }
}
