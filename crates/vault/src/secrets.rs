//! Producer secrets: the HMAC keys that must outlive their rotation, so that old events verify.
//!
//! Promises: a secret is durable when [`put`] returns, and a file is never given another secret.
//! **Must not be lost**: the ledger holds only a hash of it.
//!
//! Refuses: another secret under a key id that has one. The first may already have signed events.
//!
//! File `secret-<hex of the first 16 bytes of SHA-256("ledgerline/vault/v1\0" || 4 || lp(key
//! id))>`:
//! ```text
//!   0  magic    8   "llsecr01"
//!   8  nonce   12
//!  20  key id       u16 length, UTF-8
//!      secret       u16 length, AES-256-GCM-SIV(KEK, nonce, secret, purpose 3 || lp(key id))
//!      CRC-32   4   over everything before
//! ```

use ledgerline_proof::hash::{DomainHasher, domain};
use ledgerline_world::entropy::{Entropy, random};
use zeroize::Zeroizing;

use super::seal::{Cipher, NONCE, TAG, purpose};
use super::slots::Flaw;

/// Longest key id in bytes.
pub const MAX_KEY_ID_BYTES: usize = 1024;
/// Longest secret in bytes.
pub const MAX_SECRET_BYTES: usize = 1024;
/// No file of a secret is longer.
pub(super) const MAX_FILE_BYTES: u64 = 4096;
/// How the names of these files begin.
pub(super) const PREFIX: &str = "secret-";

const MAGIC: &[u8; 8] = b"llsecr01";

/// Name of the file for a key id.
pub(super) fn file_name(key_id: &str) -> String {
    let name = DomainHasher::new(domain::VAULT).u8(purpose::SECRET_NAME).lp(key_id.as_bytes());
    format!("{PREFIX}{}", &name.finish().to_hex()[..32])
}

/// The bytes of a secret's file. Lengths were checked.
pub(super) fn encode(key_id: &str, secret: &[u8], kek: &Cipher, entropy: &dyn Entropy) -> Vec<u8> {
    let nonce = random::<NONCE>(entropy);
    let id = length_prefixed(key_id.as_bytes());
    let wrapped = kek.wrap(&nonce, purpose::SECRET, &[&id], secret);
    let mut bytes = [MAGIC, &nonce[..], &id, &length_prefixed(&wrapped)].concat();
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

/// Reads a secret's file: key id and secret.
pub(super) fn decode(bytes: &[u8], kek: &Cipher) -> Result<(String, Zeroizing<Vec<u8>>), Flaw> {
    let flaw = |what| Flaw { offset: 0, what };
    let whole = bytes.split_last_chunk::<4>();
    let whole = whole.filter(|(body, crc)| crc32fast::hash(body).to_be_bytes() == **crc);
    let (body, _) = whole.ok_or(flaw("secret is damaged"))?;
    let (nonce, id, wrapped) = fields(body).ok_or(flaw("not the file of a secret"))?;
    let secret = kek.unwrap(nonce, purpose::SECRET, &[&length_prefixed(id)], wrapped);
    let secret = secret.map_err(|_| flaw("secret does not open under this key-encryption key"))?;
    let key_id = String::from_utf8(id.to_vec()).map_err(|_| flaw("key id is not UTF-8"))?;
    Ok((key_id, secret))
}

fn fields(body: &[u8]) -> Option<(&[u8; NONCE], &[u8], &[u8])> {
    let rest = body.strip_prefix(MAGIC)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
    let (id, rest) = take_prefixed(rest)?;
    let (wrapped, rest) = take_prefixed(rest)?;
    (rest.is_empty() && wrapped.len() >= TAG).then_some((nonce, id, wrapped))
}

fn take_prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

fn length_prefixed(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("key ids and secrets were checked to be short");
    [&length.to_be_bytes()[..], bytes].concat()
}
