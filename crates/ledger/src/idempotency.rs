//! Idempotency: recognises a retry, the same event under the same identity.
//!
//! ```text
//! signed     the statements' bytes are equal
//! unsigned   the statements are equal but for their commitments, and each personal record is equal
//!            but for its salt, which is random per attempt
//! erased     what was erased cannot be compared and is left out
//! ```

use std::sync::Arc;

use ledgerline_journal::format::SealedRecord;
use ledgerline_journal::leaf_store::StoredLeaf;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::{Hash, leaf_hash, sha256};
use ledgerline_proof::schema::{HEADER_BYTES, Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_vault::Vault;

use crate::in_flight::PlannedEvent;
use crate::intake::PendingEvent;

/// Bytes of a personal record before its first comparable field: the schema header and the salt.
const SALT_END: usize = HEADER_BYTES + 32;

/// An event with the identity that was offered again.
#[derive(Debug, Clone)]
pub enum Prior {
    /// In a batch in flight.
    Planned(Arc<PlannedEvent>),
    /// In the journal.
    Stored(Box<StoredEvent>),
}

/// A recorded event, read back.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    index: u64,
    sequence: u64,
    event_hash: Hash,
    statement: Vec<u8>,
    signed: bool,
    sealed: Vec<SealedRecord>,
    origin: Option<Arc<str>>,
}

impl Prior {
    /// The same, in an older origin.
    #[must_use]
    pub fn of_origin(mut self, name: &Arc<str>) -> Self {
        if let Self::Stored(event) = &mut self {
            event.origin = Some(Arc::clone(name));
        }
        self
    }

    /// The older origin it stands in; `None` for the newest.
    #[must_use]
    pub fn origin(&self) -> Option<Arc<str>> {
        match self {
            Self::Planned(_) => None,
            Self::Stored(event) => event.origin.clone(),
        }
    }

    /// Index, sequence and event hash.
    #[must_use]
    pub fn place(&self) -> (u64, u64, Hash) {
        match self {
            Self::Planned(event) => (event.index, event.sequence, event.event_hash),
            Self::Stored(event) => (event.index, event.sequence, event.event_hash),
        }
    }

    fn statement(&self) -> (&[u8], bool) {
        match self {
            Self::Planned(event) => (&event.statement, event.signed),
            Self::Stored(event) => (&event.statement, event.signed),
        }
    }
}

/// The stored leaf as a prior of `event`; `None` when a mere hash collision led to it.
#[must_use]
pub fn stored_prior(event: &PendingEvent, index: u64, stored: StoredLeaf) -> Option<Prior> {
    let entry: Entry<'_> = decode_object(Kind::Entry, &stored.bytes).ok()?;
    let found: Statement<'_> = decode_object(Kind::Statement, entry.statement).ok()?;
    let offered: Statement<'_> = decode_object(Kind::Statement, &event.statement).ok()?;
    let identity =
        |one: &Statement<'_>| (one.event_id, one.source.to_owned(), one.tenant.to_owned());
    if identity(&found) != identity(&offered) {
        return None;
    }
    Some(Prior::Stored(Box::new(StoredEvent {
        index,
        sequence: u64::try_from(entry.sequence).ok()?,
        event_hash: leaf_hash(&stored.bytes),
        statement: entry.statement.to_vec(),
        signed: entry.signature.is_some(),
        sealed: stored.sealed,
        origin: None,
    })))
}

/// Whether `event` says what `prior` says.
#[must_use]
pub fn is_same_event(event: &PendingEvent, prior: &Prior, vault: &Vault) -> bool {
    let (statement, signed) = prior.statement();
    if signed != event.signature.is_some() {
        return false;
    }
    if signed {
        return statement == event.statement;
    }
    same_but_commitments(statement, &event.statement) && same_records(event, prior, vault)
}

fn same_but_commitments(first: &[u8], second: &[u8]) -> bool {
    let decode = |bytes| decode_object::<Statement<'_>>(Kind::Statement, bytes);
    let (Ok(mut first), Ok(mut second)) = (decode(first), decode(second)) else { return false };
    let same_roles = first.personal.len() == second.personal.len()
        && first.personal.iter().zip(&second.personal).all(|(a, b)| a.role == b.role);
    first.personal.clear();
    second.personal.clear();
    same_roles && first == second
}

fn same_records(event: &PendingEvent, prior: &Prior, vault: &Vault) -> bool {
    let same = |first: &[u8], second: &[u8]| first.get(SALT_END..) == second.get(SALT_END..);
    match prior {
        Prior::Planned(planned) => {
            planned.records.len() == event.records.len()
                && planned.records.iter().zip(&event.records).all(|(a, b)| same(a, b))
        }
        Prior::Stored(stored) => {
            let statement_hash = sha256(&stored.statement);
            stored.sealed.iter().all(|sealed| {
                if sealed.erased || vault.is_erased(&sealed.slot) {
                    return true;
                }
                let opened =
                    vault.open_sealed(&sealed.slot, sealed.n, &statement_hash, &sealed.sealed);
                let offered = event.records.get(usize::from(sealed.n));
                matches!((opened, offered), (Ok(stored), Some(offered)) if same(&stored, offered))
            })
        }
    }
}
