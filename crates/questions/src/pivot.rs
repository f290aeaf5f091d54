//! Everything that an address, device, person, key, client, session or grant did.

use std::sync::Arc;

use ledgerline_index::Term;
use ledgerline_index::terms::{By, issuer_about, names};
use ledgerline_proof::entry::Entry;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{ActorKind, TargetKind};
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::QueryError;

use crate::lineage::{Cut, Reader, Record};

/// What to turn around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pivot {
    /// Whatever has this handle: a person, an address, a network, a device, an agent, a resource.
    Handle([u8; 16]),
    /// A client, bare or qualified.
    Client(String),
    /// A session, bare or qualified.
    Session(String),
    /// A grant, bare or qualified.
    Grant(String),
    /// An issuer's signing key, bare or qualified.
    Key(String),
}

impl Pivot {
    fn terms(&self, reader: &Reader<'_>) -> Vec<Term> {
        let by: Vec<By<'_>> = match self {
            Self::Handle(id) => vec![By::Subject(id), By::Handle(id), By::ResourceHandle(id)],
            Self::Client(id) => vec![By::Client(id)],
            Self::Session(id) => vec![By::Session(id)],
            Self::Grant(id) => vec![By::Grant(id)],
            Self::Key(id) => vec![By::Key(id)],
        };
        let (hasher, tenant) = (reader.view().terms(), &reader.scope().tenant);
        by.iter().flat_map(|by| by.spelled(hasher, tenant)).collect()
    }

    fn is_in(&self, entry: &Entry<'_>, statement: &Statement<'_>) -> bool {
        let issuer = issuer_about(statement);
        let named = |asked: &str, written: Option<&str>, kind: TargetKind| {
            let target = (statement.target.kind == kind).then_some(statement.target.id);
            written.into_iter().chain(target).any(|written| names(asked, written, issuer))
        };
        match self {
            Self::Handle(id) => entry.handles.iter().any(|handle| handle.id == *id),
            Self::Client(id) => {
                let mut actors = statement.actors.iter();
                named(id, statement.client_id, TargetKind::Client)
                    || actors.any(|one| one.kind == ActorKind::Client && names(id, one.id, issuer))
            }
            Self::Session(id) => named(id, statement.session_id, TargetKind::Session),
            Self::Grant(id) => named(id, statement.grant_id, TargetKind::Grant),
            Self::Key(id) => named(id, statement.issuer_kid, TargetKind::Key),
        }
    }
}

/// The events in which it took part, in ledger order from an entry on, and from where the next page
/// goes on.
///
/// # Errors
/// [`QueryError`].
pub fn pivot(
    reader: &mut Reader<'_>,
    what: &Pivot,
    mut from: EntryRef,
    limit: usize,
) -> Result<(Vec<Arc<Record>>, Option<EntryRef>), QueryError> {
    let terms = what.terms(reader);
    let mut found = Vec::new();
    loop {
        let (entries, next) = reader.postings_of_any(&terms, from, limit + 1)?;
        reader.read_leaves(&entries);
        for at in entries {
            let Some(record) = reader.record(at)? else {
                if reader.is_spent() {
                    return Ok((found, Some(at)));
                }
                continue;
            };
            if !record.read(|entry, statement| what.is_in(entry, statement)) {
                continue;
            }
            if found.len() >= limit {
                reader.cut(Cut::Limit);
                return Ok((found, Some(at)));
            }
            reader.cite(at);
            found.push(record);
        }
        match next {
            Some(next) if !reader.is_spent() => from = next,
            next => return Ok((found, next)),
        }
    }
}
