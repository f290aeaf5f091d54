//! Postings of several terms as one list.
//!
//! Promises: the indexes stand in ledger order, each once, and none is left out below the index
//! that the next page begins with.

use super::inquiry::Inquiry;
use crate::index::Term;
use crate::view::QueryError;

impl Inquiry<'_> {
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
}
