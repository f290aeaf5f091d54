//! Administrative acts and keys pass the same door as events: no secret in any of their texts.
//!
//! Promises: no field is forgotten. Each act is taken apart by a pattern that names all its fields,
//! so that a new one does not compile before somebody has said here what it is.

use ledgerline_proof::own_statement::Disclosing;

use super::EventError;
use super::acts::{AdminAct, IssuerTold, KeyEnds, NewKey};

pub use ledgerline_secret_scan::{
    Refusal, SECRET_REFUSED, check_attachment, check_record, check_statement, may_be_kept,
};

impl From<Refusal> for EventError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.detail)
    }
}

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
        AdminAct::Disclose(disclosing) => {
            // Target and events are what the ledger holds already.
            let Disclosing { tenant, by, purpose, target: _, handles: _, events: _, records: _ } =
                &**disclosing;
            each([tenant, by, purpose])
        }
        AdminAct::State(all) => each(all.iter().flat_map(|one| &one.chosen)),
        AdminAct::StateNew { statement, refusal: _ } => each(&statement.chosen),
        AdminAct::IssuerTold(told) => {
            // The token is one that the ledger holds.
            let IssuerTold { tenant, token_id: _, by, outcome: _, why } = &**told;
            each([tenant, by].into_iter().chain(why))
        }
        // Ids of keys that the ledger holds, and a time of its own.
        AdminAct::KeyEnds(ends) => {
            let KeyEnds { tenant, key_id: _, successor: _, at: _, by } = &**ends;
            each([tenant, by])
        }
    }
}

fn each<'t>(texts: impl IntoIterator<Item = &'t String>) -> Result<(), EventError> {
    texts.into_iter().try_for_each(|text| check_text(text))
}
