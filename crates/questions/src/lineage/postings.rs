//! Postings of several terms as one list, and lists of addresses as records.
//!
//! Promises: the entries stand in ledger order, each once, and none is left out before the one that
//! the next page begins with.

use std::sync::Arc;

use ledgerline_index::{Ask, Term};
use ledgerline_view::address::{Begin, EntryRef};
use ledgerline_view::view::QueryError;

use super::plan::PageWanted;
use super::reader::{PAGE, Reader};
use super::record::{Confirm, Record};

impl Reader<'_> {
    /// The entries that have any of the terms, from somewhere on, and from where the next page goes
    /// on. About `limit` of each term are looked at.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn postings_of_any(
        &mut self,
        terms: &[Term],
        from: impl Into<Begin>,
        limit: usize,
    ) -> Result<(Vec<EntryRef>, Option<EntryRef>), QueryError> {
        let from = from.into();
        if let [term] = terms {
            return self.postings(term, from, limit);
        }
        let wanted = terms.iter().map(|term| PageWanted { term: *term, from: from.clone(), limit });
        self.read_pages(&wanted.collect::<Vec<_>>());
        let mut entries = Vec::new();
        let mut end: Option<EntryRef> = None;
        for term in terms {
            let (some, next) = self.postings(term, from.clone(), limit)?;
            entries.extend(some);
            end = [end, next].into_iter().flatten().min();
        }
        entries.sort_unstable();
        entries.dedup();
        entries.retain(|at| end.is_none_or(|end| *at < end));
        Ok((entries, end))
    }

    /// The records at ascending addresses that `wanted` confirms.
    pub(super) fn records_at(
        &mut self,
        entries: &[EntryRef],
        wanted: &mut Confirm<'_>,
    ) -> Result<Vec<Arc<Record>>, QueryError> {
        let mut found = Vec::new();
        for part in entries.chunks(PAGE) {
            self.read_leaves(part);
            for at in part {
                found.extend(self.record_if(*at, wanted)?);
            }
        }
        Ok(found)
    }

    /// A term's last entries in scope, at most `most`, ascending.
    pub(super) fn newest_entries(
        &mut self,
        term: &Term,
        most: usize,
    ) -> Result<Vec<EntryRef>, QueryError> {
        let mut found = Vec::new();
        for origin in self.origins.iter().rev() {
            let (end, room) = (self.seen_of(origin), most - found.len());
            if end > 0 && room > 0 {
                let page = origin.page(Ask::newest(*term, 0..end, room), &mut self.budget)?;
                found.extend(page.indexes.into_iter().map(|index| origin.entry(index)));
            }
        }
        found.reverse();
        Ok(found)
    }
}
