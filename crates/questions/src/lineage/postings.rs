//! Postings of several terms as one list, and lists of positions as records.
//!
//! Promises: the indexes stand in ledger order, each once, and none is left out below the index
//! that the next page begins with.

use std::sync::Arc;

use ledgerline_index::{Ask, Term};
use ledgerline_view::view::QueryError;

use super::plan::PageWanted;
use super::reader::{PAGE, Reader};
use super::record::{Confirm, Record};

impl Reader<'_> {
    /// The indexes that have any of the terms, from one on, and from where the next page goes on.
    /// About `limit` of each term are looked at.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn postings_of_any(
        &mut self,
        terms: &[Term],
        from: u64,
        limit: usize,
    ) -> Result<(Vec<u64>, Option<u64>), QueryError> {
        if let [term] = terms {
            return self.postings(term, from..u64::MAX, limit);
        }
        let wanted = terms.iter().map(|term| PageWanted { term: *term, from, limit });
        self.read_pages(&wanted.collect::<Vec<_>>());
        let mut indexes = Vec::new();
        let mut end: Option<u64> = None;
        for term in terms {
            let (some, next) = self.postings(term, from..u64::MAX, limit)?;
            indexes.extend(some);
            end = [end, next].into_iter().flatten().min();
        }
        indexes.sort_unstable();
        indexes.dedup();
        indexes.retain(|index| end.is_none_or(|end| *index < end));
        Ok((indexes, end))
    }

    /// The records at ascending positions that `wanted` confirms.
    pub(super) fn records_at(
        &mut self,
        positions: &[u64],
        wanted: &mut Confirm<'_>,
    ) -> Result<Vec<Arc<Record>>, QueryError> {
        let mut found = Vec::new();
        for part in positions.chunks(PAGE) {
            self.read_leaves(part);
            for index in part {
                found.extend(self.record_if(*index, wanted)?);
            }
        }
        Ok(found)
    }

    /// A term's last positions in scope, at most `most`, ascending.
    pub(super) fn newest_positions(
        &mut self,
        term: &Term,
        most: usize,
    ) -> Result<Vec<u64>, QueryError> {
        let mut found = Vec::new();
        for (base, view) in self.origins.iter().rev() {
            let end = self.scope().size.min(base + view.size());
            let room = most - found.len();
            if end > *base && room > 0 {
                let ask = Ask::newest(*term, 0..end - base, room);
                let page = view.page(ask, &mut self.budget)?;
                found.extend(page.indexes.into_iter().map(|index| base + index));
            }
        }
        found.reverse();
        Ok(found)
    }
}
