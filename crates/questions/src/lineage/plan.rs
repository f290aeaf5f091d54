//! What a question will need, read together: the plan is a list of terms, addresses or event ids,
//! the reading one call for each log, and the question then finds it at hand.
//!
//! Promises: an answer is the same as if everything were read where the question comes to it, what
//! cut it included. What is at hand is charged to the budget when the question comes to it; where
//! the budget does not reach, the question goes on alone, until it is cut. No more is read in vain
//! than the question may read.
//!
//! ```text
//! plan     terms, addresses, event ids                      read_pages  read_leaves  find_events
//! read     one call for each log, neighbours in one read
//! compute  the question, one thing after the other          postings    record       find_event
//! ```
//!
//! Refuses: to fail. What cannot be read is an error when the question comes to it.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_index::terms::event_term;
use ledgerline_index::{Ask, Bound, IdAsk, ReadBudget, Term};
use ledgerline_proof::decode::read_event;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::event_id::uuid_v7_millis;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_view::address::{Begin, EntryRef, indexes};
use ledgerline_view::view::QueryError;

use super::at_hand::{EventName, LeafAtHand, PageAtHand};
use super::reader::Reader;
use super::record::Record;

/// The first page of a term from somewhere on.
#[derive(Debug, Clone)]
pub(crate) struct PageWanted {
    pub(crate) term: Term,
    pub(crate) from: Begin,
    pub(crate) limit: usize,
}

impl Reader<'_> {
    /// Reads pages of terms: one call for each origin.
    pub(crate) fn read_pages(&mut self, wanted: &[PageWanted]) {
        if self.hand.is_off || wanted.is_empty() {
            return;
        }
        for view in &*self.origins {
            let (log, until) = (view.log(), self.seen_of(view));
            let ask = |one: &PageWanted| {
                let from = one.from.index(log).filter(|from| *from < until)?;
                Some(Ask::oldest(one.term, from..until, one.limit))
            };
            let is_new = |ask: &Ask| self.hand.page(log, ask, u32::MAX).is_none();
            let asks: Vec<Ask> = wanted.iter().filter_map(ask).filter(is_new).collect();
            if asks.is_empty() {
                continue;
            }
            let mut budget = ReadBudget::new(self.budget.left());
            let Ok(pages) = view.postings().postings(&asks, &mut budget) else { return };
            for (ask, page) in asks.into_iter().zip(pages) {
                if page.cut_by != Some(Bound::Reads) {
                    let known = self.hand.pages.entry(ask.term).or_default();
                    known.push(PageAtHand { log, ask, page });
                }
            }
        }
    }

    /// The entries on the pages of a term that are at hand.
    pub(crate) fn hits_at_hand(&self, term: Term) -> impl Iterator<Item = EntryRef> {
        let pages = self.hand.pages.get(&term).into_iter().flatten();
        pages.flat_map(|one| {
            let at = |index: &u64| EntryRef { log: one.log, index: *index };
            one.page.indexes.iter().map(at)
        })
    }

    /// Reads some entries, as many as the budget has: one call for each origin.
    pub(crate) fn read_leaves(&mut self, entries: &[EntryRef]) {
        if self.hand.is_off {
            return;
        }
        let as_of = &self.scope().as_of;
        let is_new = |at: &EntryRef| {
            as_of.covers(*at)
                && !self.records.contains_key(at)
                && !self.hand.leaves.contains_key(at)
        };
        let mut wanted: Vec<EntryRef> = entries.iter().copied().filter(is_new).collect();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.truncate(usize::try_from(self.entries_left).unwrap_or(usize::MAX));
        for here in wanted.chunk_by(|one, next| one.log == next.log) {
            let Some(origin) = self.origin(here[0].log) else { return };
            let Ok(leaves) = origin.leaf_store().leaves(&indexes(here)) else { return };
            let leaves = leaves.into_iter().map(LeafAtHand::Bytes);
            self.hand.leaves.extend(here.iter().copied().zip(leaves));
        }
    }

    /// Reads what the pages of some terms lead to.
    pub(crate) fn read_hits(&mut self, wanted: &[PageWanted]) {
        self.read_pages(wanted);
        let hits: Vec<EntryRef> =
            wanted.iter().flat_map(|one| self.hits_at_hand(one.term)).collect();
        self.read_leaves(&hits);
    }

    /// What an entry that is known or at hand says, in scope or not.
    pub(crate) fn peek<T>(
        &self,
        at: EntryRef,
        read: impl FnOnce(&Entry<'_>, &Statement<'_>) -> T,
    ) -> Option<T> {
        match self.hand.leaves.get(&at) {
            Some(LeafAtHand::Bytes(leaf)) => read_event(leaf, read),
            Some(LeafAtHand::Taken(record)) => Some(record.as_ref()?.read(read)),
            None => Some(self.records.get(&at)?.as_ref()?.read(read)),
        }
    }

    /// The tokens of the entries that are known or at hand, and are `wanted`.
    pub(crate) fn targets_at_hand(
        &mut self,
        entries: &[EntryRef],
        wanted: impl Fn(&Record) -> bool,
    ) -> BTreeSet<String> {
        let target = |statement: &Statement<'_>| {
            let is_token = statement.target.kind == TargetKind::Token;
            is_token.then(|| statement.target.id.to_owned())
        };
        let mut ids = BTreeSet::new();
        for at in entries {
            let (record, id) = match self.hand.leaves.remove(at) {
                Some(LeafAtHand::Bytes(leaf)) => {
                    let (record, id) = self.taken(*at, leaf, |_, one| target(one)).unzip();
                    self.hand.leaves.insert(*at, LeafAtHand::Taken(record.clone()));
                    (record, id.flatten())
                }
                Some(LeafAtHand::Taken(record)) => {
                    let id = record.as_ref().and_then(|one| one.read(|_, one| target(one)));
                    self.hand.leaves.insert(*at, LeafAtHand::Taken(record.clone()));
                    (record, id)
                }
                None => {
                    let record = self.records.get(at).cloned().flatten();
                    let id = record.as_ref().and_then(|one| one.read(|_, one| target(one)));
                    (record, id)
                }
            };
            ids.extend(id.filter(|_| record.is_some_and(|record| wanted(&record))));
        }
        ids
    }

    /// Finds events of the tenant by their identities, and reads them: two calls for each origin.
    ///
    /// # Errors
    /// [`QueryError`].
    pub(crate) fn find_events(&mut self, names: &[EventName]) -> Result<(), QueryError> {
        let mut left: Vec<&EventName> =
            names.iter().filter(|name| !self.hand.events.contains_key(name)).collect();
        left.sort_unstable();
        left.dedup();
        let origins = Arc::clone(&self.origins);
        for view in origins.iter().rev() {
            if left.is_empty() {
                break;
            }
            let size = view.size();
            let tenant = self.scope().tenant.clone();
            let ask = |(source, id): &&EventName| IdAsk {
                term: event_term(view.terms(), &tenant, source, id),
                uuid_millis: uuid_v7_millis(id),
            };
            let asks: Vec<IdAsk> = left.iter().map(ask).collect();
            let found = view.postings().find(&asks)?;
            let hits = found.iter().flatten().filter(|index| **index < size);
            let hits: Vec<EntryRef> = hits.map(|index| view.entry(*index)).collect();
            self.read_leaves(&hits);
            let mut others = Vec::new();
            for (name, indexes) in left.into_iter().zip(found) {
                let is_it = |_: &Entry<'_>, one: &Statement<'_>| {
                    one.tenant == tenant && one.source == name.0 && one.event_id == name.1
                };
                let mut its = None;
                for index in indexes.into_iter().filter(|index| *index < size) {
                    let at = view.entry(index);
                    let known = self.peek(at, is_it);
                    let known = match known {
                        Some(known) => Some(known),
                        None => read_event(&self.leaf(at)?, is_it),
                    };
                    if known == Some(true) {
                        its = Some(at);
                        break;
                    }
                }
                match its {
                    Some(at) => {
                        self.hand.events.insert(name.clone(), Some(at));
                    }
                    None => others.push(name),
                }
            }
            left = others;
        }
        let absent = left.into_iter().map(|name| (name.clone(), None));
        self.hand.events.extend(absent.collect::<Vec<_>>());
        Ok(())
    }

    /// The address of an event of the tenant, by its identity.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn find_event(
        &mut self,
        source: &str,
        event_id: &[u8; 16],
    ) -> Result<Option<EntryRef>, QueryError> {
        let name = (source.to_owned(), *event_id);
        self.find_events(std::slice::from_ref(&name))?;
        Ok(self.hand.events.get(&name).copied().flatten())
    }
}
