//! Administrative acts and keys pass the same door as events: no secret in any of their texts.
//!
//! Promises: no field is forgotten. Each act is taken apart by a pattern that names all its fields,
//! so that a new one does not compile before somebody has said here what it is.

use ledgerline_proof::own_statement::OwnStatement;

use super::EventError;
use super::acts::{AdminAct, NewKey};

pub use ledgerline_secret_scan::{SECRET_REFUSED, may_be_kept};

/// Judges a text by itself: a reason, a note, a purpose.
///
/// # Errors
/// `secret_refused`.
pub fn check_text(text: &str) -> Result<(), EventError> {
    Ok(ledgerline_secret_scan::check_text(text)?)
}

/// Judges a key before it is made.
///
/// # Errors
/// `secret_refused`.
pub fn check_key(key: &NewKey) -> Result<(), EventError> {
    let NewKey {
        key_id,
        purpose: _,
        alg: _,
        tenant,
        source,
        roles: _,
        types: _,
        issuers,
        regions,
        signed_only: _,
        strict: _,
        expires_at: _,
        public_key: _,
        secret_hash: _,
    } = key;
    each([key_id, tenant, source].into_iter().chain(issuers).chain(regions))
}

/// Judges an administrative act that somebody outside asks for.
///
/// # Errors
/// `secret_refused`.
pub fn check_act(act: &AdminAct) -> Result<(), EventError> {
    match act {
        AdminAct::AddKey(key) => check_key(key),
        AdminAct::EndKey { key_id, compromised: _, reason } => {
            each([key_id].into_iter().chain(reason))
        }
        AdminAct::Erase { handle: _, tenant, by, purpose } => each([tenant, by, purpose]),
        AdminAct::State(all) => all.iter().try_for_each(check_own),
        AdminAct::StateNew { statement, refusal: _ } => check_own(statement),
    }
}

/// What somebody outside chose; the rest is what the ledger holds already, or words of its own.
fn check_own(own: &OwnStatement) -> Result<(), EventError> {
    #[rustfmt::skip]
    let OwnStatement {
        tenant: _, native_id: _, named: _, event_type: _, target: _, detail: _, causes: _,
        handles: _, at: _, chosen,
    } = own;
    each(chosen)
}

fn each<'t>(texts: impl IntoIterator<Item = &'t String>) -> Result<(), EventError> {
    texts.into_iter().try_for_each(|text| check_text(text))
}
