//! "All tokens that accessed R between T1 and T2."
//!
//! Times are event times. What was recorded more than [`AHEAD_NANOS`] before the start cannot have
//! happened in the range, unless a producer's clock ran ahead by as much; such events are not
//! found. What is recorded late is found, however late: entries are passed over only by what the
//! index knows of the times in their zone.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use ledgerline_index::terms::By;
use ledgerline_index::{Term, Window};
use ledgerline_proof::vocabulary::Outcome;
use ledgerline_view::address::{AsOf, Begin, EntryRef};
use ledgerline_view::view::QueryError;

use super::accesses::{Access, access_of};
use crate::lineage::{Cut, PAGE, QueryContext, Record, Summary};

/// By how much a producer's clock may run ahead of the ledger's.
pub const AHEAD_NANOS: i64 = 600_000_000_000;

/// Pages of a resource's accesses that are read to see which of a page's tokens came again. Where
/// that takes more, their lives are read.
const PAGES_AHEAD: usize = 16;

/// Entries that a token takes, about: its hit, what decides of it, and its other accesses.
const ENTRIES_EACH: usize = 8;

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// By its template or declared-safe id.
    Named(String),
    /// A concrete one, by its handle.
    Handle([u8; 16]),
}

impl Resource {
    fn term(&self, context: &QueryContext<'_>) -> Term {
        let (hasher, tenant) = (context.view().terms(), &context.scope().tenant);
        match self {
            Self::Named(name) => By::Resource(name).term(hasher, tenant),
            Self::Handle(handle) => By::ResourceHandle(handle).term(hasher, tenant),
        }
    }

    fn is_of(&self, record: &Record) -> bool {
        match self {
            Self::Named(name) => record.resource.as_deref() == Some(name),
            Self::Handle(handle) => record.concrete == Some(*handle),
        }
    }
}

/// A token that was there.
#[derive(Debug, Clone)]
pub struct TokenAccesses {
    /// The token.
    pub token: Arc<Summary>,
    /// Its accesses to the resource in the range, in ledger order.
    pub accesses: Vec<Access>,
}

impl TokenAccesses {
    /// How many were let in.
    #[must_use]
    pub fn allowed(&self) -> usize {
        self.accesses.iter().filter(|access| access.outcome == Outcome::Allow).count()
    }
}

/// A page of visitors.
#[derive(Debug, Clone)]
pub struct ResourceAccess {
    /// By their first access in the range.
    pub list: Vec<TokenAccesses>,
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
pub fn resource_access(
    context: &mut QueryContext<'_>,
    resource: &Resource,
    (from, until): (i64, i64),
    after: Option<EntryRef>,
    limit: usize,
) -> Result<ResourceAccess, QueryError> {
    let before = context.view().recorded_by(from.saturating_sub(AHEAD_NANOS + 1))?;
    let mut answer =
        ResourceAccess { list: Vec::new(), next: None, searched_behind: before.clone() };
    let window = Window { from, until };
    let mut hits = Hits::new(resource.term(context), window, &before, after);
    let sought = Sought { resource, window, before };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut done = 0;
    loop {
        if done == hits.read.len() {
            match hits.next {
                Some(_) if !context.is_spent() => hits.read_on(context)?,
                next => {
                    answer.next = next;
                    return Ok(answer);
                }
            }
        }
        // What is read of some hits leaves enough to show their tokens.
        let affordable = context.entries_left() / ENTRIES_EACH;
        let most = (limit - answer.list.len()).saturating_add(1).min(affordable.max(1));
        let part = done..hits.read.len().min(done.saturating_add(most));
        done = part.end;
        let (came, stopped) = sought.came(context, &hits, part)?;
        sought.read_others(context, &mut hits, &came)?;
        for (at, token) in came {
            if seen.contains(&token.id) {
                continue;
            }
            let cuts = context.cut_count();
            let accesses = sought.accesses(context, &hits, &token)?;
            if context.cut_count() != cuts && hits.read.first() != Some(&at) {
                // Not all of its accesses were read: it begins the next page.
                answer.next = Some(at);
                return Ok(answer);
            }
            if accesses.first().is_some_and(|first| first.at != at) {
                continue;
            }
            if answer.list.len() >= limit {
                context.cut(Cut::Limit);
                answer.next = Some(at);
                return Ok(answer);
            }
            seen.insert(token.id.clone());
            context.show_token(&token);
            answer.list.push(TokenAccesses { token, accesses });
        }
        if stopped.is_some() {
            answer.next = stopped;
            return Ok(answer);
        }
    }
}

/// What leads to a resource in a window of event time, as far as it was read: what lies between
/// `low` and `next`.
struct Hits {
    term: Term,
    window: Window,
    /// Where the range begins.
    begin: Begin,
    low: EntryRef,
    /// Those behind `low` that the page does not show.
    earlier: Vec<EntryRef>,
    read: Vec<EntryRef>,
    next: Option<EntryRef>,
    /// Pages that may yet be read for tokens that came again.
    left: usize,
}

impl Hits {
    fn new(term: Term, window: Window, before: &AsOf, after: Option<EntryRef>) -> Self {
        let low = after.unwrap_or(EntryRef::FIRST);
        Self {
            term,
            window,
            begin: Begin::behind(before.clone()),
            low,
            earlier: Vec::new(),
            read: Vec::new(),
            next: Some(low),
            left: PAGES_AHEAD,
        }
    }

    /// Reads one page on.
    fn read_on(&mut self, context: &mut QueryContext<'_>) -> Result<(), QueryError> {
        if let Some(next) = self.next {
            let begin = self.begin.clone().not_before(next);
            let (entries, next) = context.postings_within(&self.term, self.window, begin, PAGE)?;
            self.read.extend(entries);
            self.next = next;
        }
        Ok(())
    }

    /// Whether all is read that leads to the resource among these events.
    fn has_all(&self, events: &[EntryRef]) -> bool {
        let ends = events.first().zip(events.last());
        ends.is_none_or(|(first, last)| {
            self.low <= *first && self.next.is_none_or(|next| *last < next)
        })
    }

    /// Reads on and back until that is so, within bounds.
    fn reach(
        &mut self,
        context: &mut QueryContext<'_>,
        events: &[EntryRef],
    ) -> Result<(), QueryError> {
        let Some((first, last)) = events.first().zip(events.last()) else { return Ok(()) };
        while self.next.is_some_and(|next| next <= *last) && self.may_read(context) {
            self.read_on(context)?;
        }
        let (mut from, mut earlier) = (Some(*first), Vec::new());
        while let Some(begun) = from.filter(|from| *from < self.low) {
            if !self.may_read(context) {
                return Ok(());
            }
            let begin = self.begin.clone().not_before(begun);
            let page = context.postings_within(&self.term, self.window, begin, PAGE)?;
            earlier.extend(page.0.into_iter().filter(|at| *at < self.low));
            from = page.1;
        }
        if *first < self.low {
            earlier.append(&mut self.earlier);
            (self.earlier, self.low) = (earlier, *first);
        }
        Ok(())
    }

    fn may_read(&mut self, context: &QueryContext<'_>) -> bool {
        let may = self.left > 0 && !context.is_spent();
        self.left -= usize::from(may);
        may
    }

    /// Those among these events.
    fn among<'h>(&'h self, events: &'h [EntryRef]) -> impl Iterator<Item = EntryRef> + 'h {
        let is_hit = |at: &&EntryRef| {
            self.read.binary_search(at).is_ok() || self.earlier.binary_search(at).is_ok()
        };
        events.iter().filter(is_hit).copied()
    }
}

/// A token, and an access of it that was asked for.
type Came = (EntryRef, Arc<Summary>);

/// Which accesses are asked for.
struct Sought<'r> {
    resource: &'r Resource,
    window: Window,
    /// What was recorded too early.
    before: AsOf,
}

impl Sought<'_> {
    /// The access that a record is, if it is one of these.
    fn access(&self, record: &Record) -> Option<Access> {
        let access = if self.resource.is_of(record) { access_of(record) } else { None };
        access.filter(|access| {
            !self.before.covers(access.at) && self.window.contains(access.occurred_at)
        })
    }

    /// The tokens that came with these hits, each with its hit, and the hit that the budget did not
    /// reach. Of history that was told late most hits are of another time.
    fn came(
        &self,
        context: &mut QueryContext<'_>,
        hits: &Hits,
        part: Range<usize>,
    ) -> Result<(Vec<Came>, Option<EntryRef>), QueryError> {
        let part = &hits.read[part];
        context.read_leaves(part);
        let ids = context.targets_at_hand(part, |record| {
            self.resource.is_of(record) && self.window.contains(record.occurred_at.nanos)
        });
        context.read_summaries(ids);
        let mut came = Vec::new();
        for &at in part {
            let Some(record) = context.record(at)? else {
                if context.is_spent() {
                    return Ok((came, Some(at)));
                }
                continue;
            };
            if let Some(access) = self.access(&record) {
                let cuts = context.cut_count();
                let token = context.summary(&access.token)?;
                if context.cut_count() != cuts && hits.read.first() != Some(&at) {
                    // Not all that decides was read: it begins the next page.
                    return Ok((came, Some(at)));
                }
                came.push((at, token));
            }
        }
        Ok((came, None))
    }

    /// Reads the other accesses of tokens that came.
    fn read_others(
        &self,
        context: &mut QueryContext<'_>,
        hits: &mut Hits,
        came: &[Came],
    ) -> Result<(), QueryError> {
        let (mut others, mut lives) = (Vec::new(), Vec::new());
        for (_, token) in came {
            hits.reach(context, &token.events)?;
            if hits.has_all(&token.events) && !token.is_part {
                others.extend(hits.among(&token.events));
            } else {
                lives.push(token.id.clone());
            }
        }
        context.read_leaves(&others);
        context.read_tokens(lives);
        Ok(())
    }

    /// All accesses of a token.
    fn accesses(
        &self,
        context: &mut QueryContext<'_>,
        hits: &Hits,
        token: &Summary,
    ) -> Result<Vec<Access>, QueryError> {
        if token.is_part || !hits.has_all(&token.events) {
            let token = context.token(&token.id)?;
            return Ok(token.records.iter().filter_map(|record| self.access(record)).collect());
        }
        let mut accesses = Vec::new();
        for at in hits.among(&token.events) {
            let record = context.record(at)?;
            let access = record.and_then(|record| self.access(&record));
            accesses.extend(access.filter(|access| token.ids.contains(&access.token)));
        }
        Ok(accesses)
    }
}
