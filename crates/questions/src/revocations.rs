//! The revocations of a tenant, in the order in which they were recorded: of tokens, and of
//! sessions, grants, persons, clients and keys with their selectors.

use std::sync::Arc;

use ledgerline_index::Term;
use ledgerline_index::terms::By;
use ledgerline_proof::vocabulary::{EventType, Outcome};
use ledgerline_view::address::AsOf;
use ledgerline_view::view::{QueryError, View};

use crate::lineage::{Reader, Record, Scope, Spending};

/// A page of revocations.
#[derive(Debug, Clone)]
pub struct Revocations {
    /// They.
    pub list: Vec<Arc<Record>>,
    /// What was looked at, in each log: the next page goes on behind it.
    pub next: AsOf,
    /// Whether there is more already.
    pub more: bool,
}

/// The revocations behind what was looked at before, at most `limit`.
///
/// # Errors
/// [`QueryError`]; `OutOfRange` for what lies beyond the ledger.
pub fn revocations(
    view: &View,
    tenant: &str,
    since: &AsOf,
    limit: usize,
) -> Result<Revocations, QueryError> {
    let end = view.as_of();
    if !since.is_within(&end) {
        return Err(QueryError::OutOfRange("since lies beyond the ledger's size"));
    }
    let origins = view.origins();
    let mut looked: Vec<u64> = origins.iter().map(|origin| since.size(origin.log())).collect();
    let scope = Scope { tenant: tenant.to_owned(), as_of: end, at: None, judged_at: 0 };
    let (mut list, term) = (Vec::new(), By::Revocation.term(view.terms(), tenant));
    let mut more = false;
    for (origin, looked) in origins.iter().zip(&mut looked) {
        let mut reader = Reader::alone(origin, scope.clone(), Spending::default())?;
        more = !take(&mut reader, &term, looked, &mut list, limit)?;
        if more {
            break;
        }
        *looked = origin.size();
    }
    Ok(Revocations { list, next: AsOf::new(looked), more })
}

/// Takes the revocations of one log, from where it was looked to on; whether that were all.
fn take(
    reader: &mut Reader<'_>,
    term: &Term,
    looked: &mut u64,
    list: &mut Vec<Arc<Record>>,
    limit: usize,
) -> Result<bool, QueryError> {
    let size = reader.view().size();
    let mut from = *looked;
    while from < size {
        let room = limit - list.len();
        if room == 0 {
            return Ok(false);
        }
        let (entries, next) = reader.postings(term, reader.view().entry(from), room)?;
        reader.read_leaves(&entries);
        for at in entries {
            let record = reader.record(at)?;
            if record.is_none() && reader.is_spent() {
                return Ok(false);
            }
            let is_one = record.filter(|record| {
                record
                    .read(|_, s| s.event_type == EventType::Revoked && s.outcome == Outcome::Allow)
            });
            list.extend(is_one);
            *looked = at.index + 1;
        }
        let Some(next) = next else { break };
        if reader.is_spent() {
            *looked = next.index.max(*looked);
            return Ok(false);
        }
        from = next.index;
    }
    Ok(true)
}
