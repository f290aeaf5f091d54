//! The revocations of a tenant, in the order in which they were recorded: of tokens, and of
//! sessions, grants, persons, clients and keys with their selectors.

use std::sync::Arc;

use ledgerline_index::terms::By;
use ledgerline_proof::vocabulary::{EventType, Outcome};
use ledgerline_view::view::{QueryError, View};

use crate::lineage::{Reader, Record, Scope, Spending};

/// A page of revocations.
#[derive(Debug, Clone, Default)]
pub struct Revocations {
    /// Each with its place among the entries of all origins.
    pub list: Vec<(u64, Arc<Record>)>,
    /// From where the next page goes on.
    pub next: u64,
    /// Whether there is more already.
    pub more: bool,
}

/// The revocations from a position on, at most `limit`. The position counts the entries of all
/// origins, oldest first.
///
/// # Errors
/// [`QueryError`]; `OutOfRange` for a position beyond the ledger.
pub fn revocations(
    view: &View,
    tenant: &str,
    since: u64,
    limit: usize,
) -> Result<Revocations, QueryError> {
    let end = view.base() + view.size();
    if since > end {
        return Err(QueryError::OutOfRange("since lies beyond the ledger's size"));
    }
    let mut answer = Revocations { next: since, ..Revocations::default() };
    let term = By::Revocation.term(view.terms(), tenant);
    for origin in view.origins() {
        let (base, size) = (origin.base(), origin.size());
        let scope = Scope { tenant: tenant.to_owned(), size, at: None, judged_at: 0 };
        let mut reader = Reader::alone(&origin, scope, Spending::default())?;
        let mut from = since.saturating_sub(base);
        while from < size {
            let room = limit - answer.list.len();
            if room == 0 {
                answer.more = true;
                return Ok(answer);
            }
            let (indexes, next) = reader.postings(&term, from..u64::MAX, room)?;
            reader.read_leaves(&indexes);
            for index in indexes {
                let record = reader.record(index)?;
                if record.is_none() && reader.is_spent() {
                    answer.more = true;
                    return Ok(answer);
                }
                let is_one = record.filter(|record| {
                    record.read(|_, s| {
                        s.event_type == EventType::Revoked && s.outcome == Outcome::Allow
                    })
                });
                answer.list.extend(is_one.map(|record| (base + index, record)));
                answer.next = base + index + 1;
            }
            let Some(next) = next else { break };
            if reader.is_spent() {
                answer.next = answer.next.max(base + next);
                answer.more = true;
                return Ok(answer);
            }
            from = next;
        }
    }
    answer.next = end;
    Ok(answer)
}
