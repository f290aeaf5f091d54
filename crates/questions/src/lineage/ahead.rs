//! Reading ahead: what a question is about to need, read several at a time.
//!
//! Promises: an answer is the same with and without it, what cut it included. What was read ahead
//! is charged to the budget when the question comes to it, as if it were read then; where the
//! budget does not reach, it is thrown away and the question goes on alone, until it is cut.
//!
//! ```text
//! leaves    the hits of a term, neighbours in one read
//! tokens    whole lives, each by an inquiry of its own ([`side_by_side`]); a share of the budget
//!           each, so that no more is read in vain than the question may read
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ledgerline_index::Term;
use ledgerline_index::terms::chain_term;
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_view::view::QueryError;

use super::inquiry::{Inquiry, Record, RecordMap, Spending};
use super::lives::Found;
use super::threads::side_by_side;
use super::token::Token;

/// Hits of a question whose tokens are read ahead together.
pub(crate) const AHEAD_HITS: usize = 128;
/// With fewer tokens nothing is read ahead.
const TOKENS_LEAST: usize = 4;
/// Entries that each token may have, whatever the budget.
const ENTRIES_LEAST: u32 = 16;

/// Revocations of something wider than a token, by what it is.
pub(super) type Wide = BTreeMap<(TargetKind, Vec<u8>), WideRead>;

/// What looking for them found and cost.
#[derive(Debug, Clone)]
pub(super) struct WideRead {
    pub(super) found: Arc<Vec<u64>>,
    /// Blocks of the index.
    pub(super) reads: u32,
}

/// A leaf that was read ahead.
pub(super) enum LeafAhead {
    Bytes(Vec<u8>),
    /// Taken apart already; `None` for what is no event in scope.
    Taken(Option<Arc<Record>>),
}

/// A life that was read ahead, and what that took.
pub(super) struct Ahead {
    token: Arc<Token>,
    records: RecordMap,
    wide: Wide,
    /// Blocks of the index, without those for `wide`.
    reads: u32,
}

impl Inquiry<'_> {
    /// Reads the entries at ascending positions that are not known yet, as far as the budget goes.
    pub(crate) fn leaves_ahead(&mut self, positions: &[u64]) {
        let wanted = |at: &u64| {
            *at < self.scope().size
                && !self.records.contains_key(at)
                && !self.leaves.contains_key(at)
        };
        let most = usize::try_from(self.entries_left).unwrap_or(usize::MAX);
        let wanted: Vec<u64> = positions.iter().copied().filter(wanted).take(most).collect();
        let mut rest = &wanted[..];
        while let Some(&first) = rest.first() {
            let Some((base, view)) = self.origin_of(first) else { return };
            let end = base + view.size();
            let (here, later) = rest.split_at(rest.partition_point(|at| *at < end).max(1));
            let indexes: Vec<u64> = here.iter().map(|at| at - base).collect();
            // What cannot be read is an error when the question comes to it.
            let Ok(leaves) = view.rooms().reader.leaves(&indexes) else { return };
            let leaves = leaves.into_iter().map(LeafAhead::Bytes);
            self.leaves.extend(here.iter().copied().zip(leaves));
            rest = later;
        }
    }

    /// The tokens of the entries that were read ahead, or are known, and are `wanted`.
    pub(crate) fn targets_ahead(
        &mut self,
        positions: &[u64],
        wanted: impl Fn(&Record) -> bool,
    ) -> BTreeSet<String> {
        let target = |statement: &Statement<'_>| {
            let is_token = statement.target.kind == TargetKind::Token;
            is_token.then(|| statement.target.id.to_owned())
        };
        let mut ids = BTreeSet::new();
        for at in positions {
            let (record, id) = match self.leaves.remove(at) {
                Some(LeafAhead::Bytes(leaf)) => {
                    let (record, id) = self.taken(*at, leaf, |_, one| target(one)).unzip();
                    self.leaves.insert(*at, LeafAhead::Taken(record.clone()));
                    (record, id.flatten())
                }
                Some(LeafAhead::Taken(record)) => {
                    let id = record.as_ref().and_then(|one| one.read(|_, one| target(one)));
                    self.leaves.insert(*at, LeafAhead::Taken(record.clone()));
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

    /// Reads the lives of tokens, several at a time.
    pub(crate) fn tokens_ahead(&mut self, ids: &BTreeSet<String>) {
        if !self.may_read_ahead {
            return;
        }
        let size = self.scope().size;
        let remembered = |id: &str| {
            let name = self.life_name(id);
            self.lives.as_ref().is_some_and(|lives| lives.find(&name, id, size).is_some())
        };
        let is_new = |id: &&String| {
            !self.tokens.contains_key(*id) && !self.ahead.contains_key(*id) && !remembered(id)
        };
        let ids: Vec<&String> = ids.iter().filter(is_new).collect();
        if ids.len() < TOKENS_LEAST {
            return;
        }
        let share = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let spending = Spending {
            index_reads: (self.budget.left() / share).max(ENTRIES_LEAST),
            entries: (self.entries_left / share).max(ENTRIES_LEAST),
        };
        let part = self.part();
        let read = |id: &&String| {
            let mut inquiry = part.inquiry(spending);
            // An error comes again when the question comes to it.
            let token = inquiry.token(id).ok()?;
            inquiry.is_uncut().then(|| inquiry.into_ahead(token))
        };
        let found = side_by_side(&ids, &read);
        let ids = ids.into_iter().cloned();
        let found: Vec<_> = ids.zip(found).filter_map(|(id, one)| Some((id, one?))).collect();
        self.ahead.extend(found);
    }

    fn into_ahead(self, token: Arc<Token>) -> Ahead {
        let wide_reads: u32 = self.wide.values().map(|wide| wide.reads).sum();
        let reads = self.budget.spent() - wide_reads;
        Ahead { token, records: self.records, wide: self.wide, reads }
    }

    /// Takes over a life that was read ahead, if the budget holds what it took.
    pub(super) fn take_ahead(&mut self, id: &str) -> Option<Arc<Token>> {
        let ahead = self.ahead.remove(id)?;
        let new_wide = |(key, wide): (_, &WideRead)| {
            if self.wide.contains_key(key) { 0 } else { wide.reads }
        };
        let reads = ahead.reads + ahead.wide.iter().map(new_wide).sum::<u32>();
        let fresh = ahead.records.keys().filter(|at| !self.records.contains_key(at)).count();
        let fresh = u32::try_from(fresh).ok()?;
        // With nothing left over it would have been cut.
        if fresh >= self.entries_left || reads >= self.budget.left() {
            return None;
        }
        self.entries_left -= fresh;
        self.budget.charge(reads);
        for (key, wide) in ahead.wide {
            self.wide.entry(key).or_insert(wide);
        }
        for (at, record) in ahead.records {
            self.records.entry(at).or_insert(record);
        }
        Some(ahead.token)
    }

    /// The name under which the life of an id is remembered.
    pub(super) fn life_name(&self, id: &str) -> Term {
        let tenant = &*self.scope().tenant;
        let key = ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() };
        chain_term(self.view.terms(), &key)
    }

    /// The life that was judged before, if nothing was committed about it since and the budget
    /// holds its entries.
    pub(super) fn remembered(&mut self, id: &str) -> Result<Option<Arc<Token>>, QueryError> {
        let Some(lives) = self.lives.clone() else { return Ok(None) };
        let size = self.scope().size;
        let name = self.life_name(id);
        let found = lives.find(&name, id, size);
        let Some(Found { token, judged, is_young }) = found else { return Ok(None) };
        // All of them may be new; with nothing left over a plain reading would have been cut.
        let most = u32::try_from(token.records.len()).unwrap_or(u32::MAX);
        if most >= self.entries_left || !token.holds_at(self.scope().judged_at) {
            return Ok(None);
        }
        if judged < size {
            for term in &token.watched {
                // What the budget cut may hold something, too.
                let (new, rest) = self.postings(term, judged..size, 1)?;
                if !new.is_empty() || rest.is_some() || self.is_spent() {
                    return Ok(None);
                }
            }
        }
        self.records.reserve(token.records.len());
        let before = self.records.len();
        for record in &token.records {
            self.records.entry(record.index).or_insert_with(|| Some(Arc::clone(record)));
        }
        let fresh = u32::try_from(self.records.len() - before).unwrap_or(u32::MAX);
        self.entries_left = self.entries_left.saturating_sub(fresh);
        if judged < size || !is_young {
            lives.keep(&name, &token, size);
        }
        Ok(Some(token))
    }
}
