//! What a new key needs before it stands in the ledger.
//!
//! Promises: what passes fits into a leaf of an entry bundle, whatever is chosen. Refuses: names
//! outside their alphabets, what looks like a secret, and lists without end.

use ledgerline_ledger::intake::secret_scan;
use ledgerline_ledger::planner::NewKey;
use ledgerline_proof::statement::{MAX_ID_BYTES, MAX_LIST_ITEMS, is_source_name};
use ledgerline_proof::token_id::is_name;
use ledgerline_proof::vocabulary::KeyPurpose;
use ledgerline_view::registry::LEDGER_SOURCE;

use super::{AdminError, refused};

/// All issuers and regions of a key together: a quarter of an entry.
const MAX_NAMES_BYTES: usize = 16 << 10;

/// What a key needs before it can be written into the ledger for ever.
///
/// # Errors
/// [`AdminError::Refused`].
pub(super) fn check(key: &NewKey) -> Result<(), AdminError> {
    let plain = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    };
    if !plain(&key.key_id) {
        return Err(refused("bad_key_id", "a key id matches [A-Za-z0-9.-]{1,64}"));
    }
    if !is_source_name(&key.source) || key.source == LEDGER_SOURCE {
        return Err(refused(
            "bad_source",
            "a source matches [a-z0-9._-]{1,64} and is not `ledger`",
        ));
    }
    if key.tenant.len() > 64 || key.tenant.chars().any(char::is_control) {
        let detail = "a tenant has at most 64 bytes and no control characters";
        return Err(refused("bad_tenant", detail));
    }
    let names = || key.issuers.iter().chain(&key.regions);
    let long = names().any(|name| name.len() > MAX_ID_BYTES || name.chars().any(char::is_control));
    let many = key.types.len().max(key.issuers.len()).max(key.regions.len()) > MAX_LIST_ITEMS;
    if long || many || names().map(String::len).sum::<usize>() > MAX_NAMES_BYTES {
        let detail = "types, issuers and regions have at most 256 items each, of at most 256 bytes \
                      without control characters, and 16 KiB together";
        return Err(refused("bad_key", detail));
    }
    if !names().all(|name| is_name(name)) {
        let detail = "issuers are aliases and regions are regions, as in token ids: \
                      [a-z0-9._-]{1,32}";
        return Err(refused("bad_key", detail));
    }
    secret_scan::check_key(key)?;
    let fits = match (key.purpose, key.alg) {
        (KeyPurpose::Credential, 0) | (KeyPurpose::Producer, 1) => key.public_key.is_none(),
        (KeyPurpose::Producer, 2) => key.public_key.is_some(),
        _ => false,
    };
    if !fits {
        let detail = "a credential has alg 0; a producer key alg 1 (HMAC-SHA256) without, or alg 2 \
                      (Ed25519) with a public key";
        return Err(refused("bad_key", detail));
    }
    Ok(())
}
