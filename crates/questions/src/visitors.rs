//! "All tokens that accessed R between T1 and T2."
//!
//! Times are event times. What was recorded more than [`AHEAD_NANOS`] before the start cannot have
//! happened in the range, unless a producer's clock ran ahead by as much; such events are not
//! found. What is recorded late is found, however late: entries are passed over only by what the
//! index knows of the times in their zone.

use std::collections::BTreeSet;

use ledgerline_index::terms::By;
use ledgerline_index::{Term, Window};
use ledgerline_proof::vocabulary::Outcome;
use ledgerline_view::address::{AsOf, Begin, EntryRef};
use ledgerline_view::view::QueryError;

use super::accesses::{Access, access_of};
use crate::lineage::{Cut, Inquiry, PAGE, Record, Token};

/// By how much a producer's clock may run ahead of the ledger's.
pub const AHEAD_NANOS: i64 = 600_000_000_000;

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// By its template or declared-safe id.
    Named(String),
    /// A concrete one, by its handle.
    Handle([u8; 16]),
}

impl Resource {
    fn term(&self, inquiry: &Inquiry<'_>) -> Term {
        let (hasher, tenant) = (inquiry.view().terms(), &inquiry.scope().tenant);
        match self {
            Self::Named(name) => By::Resource(name).term(hasher, tenant),
            Self::Handle(handle) => By::ResourceHandle(handle).term(hasher, tenant),
        }
    }

    fn place(&self) -> Place<'_> {
        match self {
            Self::Named(name) => Place::Named(name, crc32c::crc32c(name.as_bytes())),
            Self::Handle(handle) => Place::Handle(*handle),
        }
    }
}

/// A resource as many records are asked for it.
#[derive(Clone, Copy)]
enum Place<'r> {
    /// With its mark.
    Named(&'r str, u32),
    Handle([u8; 16]),
}

impl Place<'_> {
    fn is_of(self, record: &Record) -> bool {
        match self {
            Self::Named(name, mark) => record.is_at(name, mark),
            Self::Handle(handle) => record.concrete == Some(handle),
        }
    }
}

/// A token that was there.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The token.
    pub token: std::sync::Arc<Token>,
    /// Its accesses to the resource in the range, in ledger order.
    pub accesses: Vec<Access>,
}

impl Visitor {
    /// How many were let in.
    #[must_use]
    pub fn allowed(&self) -> usize {
        self.accesses.iter().filter(|access| access.outcome == Outcome::Allow).count()
    }
}

/// A page of visitors.
#[derive(Debug, Clone)]
pub struct Visitors {
    /// By their first access in the range.
    pub list: Vec<Visitor>,
    /// From where the next page goes on.
    pub next: Option<EntryRef>,
    /// What was recorded too early to be looked at.
    pub searched_behind: AsOf,
}

/// The tokens that accessed a resource at or after `from` and before `until`, on pages by ledger
/// index. A token stands once, on the page of its first access.
///
/// # Errors
/// [`QueryError`].
pub fn visitors(
    inquiry: &mut Inquiry<'_>,
    resource: &Resource,
    (from, until): (i64, i64),
    after: Option<EntryRef>,
    limit: usize,
) -> Result<Visitors, QueryError> {
    let before = inquiry.view().recorded_by(from.saturating_sub(AHEAD_NANOS + 1))?;
    let window = Window { from, until };
    let searched_behind = before.clone();
    let mut answer = Visitors { list: Vec::new(), next: None, searched_behind };
    let (term, place) = (resource.term(inquiry), resource.place());
    let in_range =
        |access: &Access| !before.covers(access.at) && window.contains(access.occurred_at);
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut begin = Begin::behind(before.clone()).not_before(after.unwrap_or(EntryRef::FIRST));
    loop {
        let (entries, next) = inquiry.postings_within(&term, window, begin.clone(), PAGE)?;
        let mut rest = &entries[..];
        while !rest.is_empty() {
            let most = (limit - answer.list.len()).saturating_add(1);
            let (hits, later) = rest.split_at(rest.len().min(most));
            rest = later;
            read_hits(inquiry, hits, |record| {
                place.is_of(record) && window.contains(record.occurred_at.nanos)
            });
            for &at in hits {
                let Some(record) = inquiry.record(at)? else {
                    if inquiry.is_spent() {
                        answer.next = Some(at);
                        return Ok(answer);
                    }
                    continue;
                };
                let Some(access) = access_to(place, &record).filter(in_range) else {
                    continue;
                };
                let token = inquiry.token(&access.token)?;
                if seen.contains(&token.id) {
                    continue;
                }
                let all = token.records.iter().filter_map(|record| access_to(place, record));
                let accesses: Vec<Access> = all.filter(in_range).collect();
                if accesses.first().is_some_and(|first| first.at != at) {
                    continue;
                }
                if answer.list.len() >= limit {
                    inquiry.cut(Cut::Limit);
                    answer.next = Some(at);
                    return Ok(answer);
                }
                seen.insert(token.id.clone());
                inquiry.shows(&token);
                answer.list.push(Visitor { token, accesses });
            }
        }
        match next {
            Some(next) if !inquiry.is_spent() => begin = begin.not_before(next),
            next => {
                answer.next = next;
                return Ok(answer);
            }
        }
    }
}

fn access_to(place: Place<'_>, record: &Record) -> Option<Access> {
    if place.is_of(record) { access_of(record) } else { None }
}

/// Reads the hits, and the lives of the tokens of those that may be wanted: of history that was
/// told late most hits are of another time, and a life is as many reads as it has events.
fn read_hits(inquiry: &mut Inquiry<'_>, hits: &[EntryRef], wanted: impl Fn(&Record) -> bool) {
    inquiry.read_leaves(hits);
    let ids = inquiry.targets_at_hand(hits, wanted);
    inquiry.read_tokens(ids);
}
