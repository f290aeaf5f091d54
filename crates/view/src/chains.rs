//! Reading a chain: all of it, or of a long one what decides about its target.
//!
//! ```text
//! at most `long` events   all of them
//! more                    the first ─ acts that may change the state ─ the newest refreshes ─ the
//!                         newest of all; of a code, whose uses count, all that it was permitted
//! ```
//!
//! Promises: however much else is recorded about it, what is read gives the state that the whole
//! chain gives ([`OfLife`]); nothing is judged by its oldest part alone. Of more than [`REFRESHES`]
//! refreshes those before are left out: they could only move an expiry on. More than [`MOST`] acts
//! are cut, which is said to those who can pass it on; findings and expiry then go by the oldest
//! and the newest of them.
//!
//! Refuses: to believe the index. Every hit is confirmed at the entry.

use std::collections::BTreeMap;
use std::ops::Range;

use ledgerline_index::terms::{OfLife, chain_term};
use ledgerline_index::{Ask, IndexError, PostingIndex, ReadBudget, Term};
use ledgerline_proof::chain::{ChainKey, chain_key};
use ledgerline_proof::decode::read_event;
use ledgerline_proof::lifecycle::is_permitted_birth;
use ledgerline_proof::vocabulary::{Outcome, TokenKind};

use crate::view::{QueryError, View};

/// Index blocks that one part of a list may read, and postings of a part.
const PART_READS: u32 = 4096;
const PART: usize = 4096;
/// Leaves that are read together.
const AT_ONCE: usize = 1024;
/// Acts of one chain that are looked at, and what a code was permitted.
const MOST: usize = 100_000;
/// The newest refreshes that are looked at.
const REFRESHES: usize = 1024;

/// How much of a chain is read.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// A chain of more events is long.
    pub long: usize,
    /// So many of the newest events of a long one are read too.
    pub newest: usize,
}

impl Reach {
    /// For whoever judges single events of a chain, too.
    pub const EVENTS: Self = Self { long: 20_000, newest: 2048 };
    /// For whoever wants the state alone.
    pub const STATE: Self = Self { long: 4, newest: 1 };
}

/// Indexes of a chain in one origin, ascending. Not confirmed yet.
#[derive(Debug)]
pub struct Deciding {
    /// They.
    pub indexes: Vec<u64>,
    /// Whether that is the whole chain.
    pub whole: bool,
    /// Whether even of what decides some was left out.
    pub cut: bool,
}

/// What decides about the target of a chain, of the entries below an index.
pub fn deciding(
    index: &dyn PostingIndex,
    chain: &Term,
    below: u64,
    reach: Reach,
) -> Result<Deciding, IndexError> {
    let (mut indexes, cut) = postings(index, chain, 0..below, reach.long)?;
    if !cut {
        return Ok(Deciding { indexes, whole: true, cut: false });
    }
    indexes.truncate(1);
    let acts = OfLife::Acts.term(chain);
    let (found, cut) = postings(index, &acts, 0..below, MOST)?;
    indexes.extend(found);
    if cut {
        indexes.extend(newest(index, &acts, below, MOST)?);
    }
    let refreshes = newest(index, &OfLife::Refreshes.term(chain), below, REFRESHES)?;
    if refreshes.len() >= REFRESHES && reach.long < Reach::EVENTS.long {
        // An older one may have moved the expiry furthest: while that can be read, it is.
        return deciding(index, chain, below, Reach { long: Reach::EVENTS.long, ..reach });
    }
    indexes.extend(refreshes);
    indexes.extend(newest(index, chain, below, reach.newest)?);
    indexes.sort_unstable();
    indexes.dedup();
    Ok(Deciding { indexes, whole: false, cut })
}

/// A term's first indexes in a range, at most `most`, and whether there are more.
pub fn postings(
    index: &dyn PostingIndex,
    term: &Term,
    mut range: Range<u64>,
    most: usize,
) -> Result<(Vec<u64>, bool), IndexError> {
    let mut found = Vec::new();
    loop {
        let mut budget = ReadBudget::new(PART_READS);
        let wanted = PART.min(most - found.len());
        let page = index.page(Ask::oldest(*term, range.clone(), wanted), &mut budget)?;
        found.extend(page.indexes);
        match page.next {
            None => return Ok((found, false)),
            Some(next) if found.len() >= most || next <= range.start => return Ok((found, true)),
            Some(next) => range.start = next,
        }
    }
}

/// A term's last indexes below one, at most `most`, newest first.
pub fn newest(
    index: &dyn PostingIndex,
    term: &Term,
    below: u64,
    most: usize,
) -> Result<Vec<u64>, IndexError> {
    let mut budget = ReadBudget::new(PART_READS);
    Ok(index.page(Ask::newest(*term, 0..below, most), &mut budget)?.indexes)
}

impl View {
    /// The places and leaves of a chain in all origins, those of this one below an index, in ledger
    /// order: all, or of a long one those that decide.
    pub fn deciding_leaves(
        &self,
        key: &ChainKey<'_>,
        below: u64,
        reach: Reach,
    ) -> Result<Vec<(u64, Vec<u8>)>, QueryError> {
        let term = chain_term(self.terms(), key);
        let (mut leaves, mut is_code, mut whole) = (BTreeMap::new(), false, true);
        for view in &self.origins() {
            let end = if view.is_older() { view.size() } else { below };
            let found = deciding(view.postings(), &term, end, reach)?;
            whole &= found.whole;
            view.each_at(&found.indexes, &mut |index, leaf| {
                let code = read_event(&leaf, |entry, one| {
                    let code = one.token_kind.is_some_and(TokenKind::is_code);
                    let is_its = chain_key(one, &entry.handles) == Some(*key);
                    is_its.then(|| code && is_permitted_birth(one))
                });
                if let Some(Some(code)) = code {
                    is_code |= code;
                    leaves.insert(view.place_of(index), leaf);
                }
            })?;
        }
        if is_code && !whole {
            self.each_of(&term, below, &mut |place, leaf| {
                let counts = read_event(&leaf, |entry, one| {
                    one.outcome == Outcome::Allow && chain_key(one, &entry.handles) == Some(*key)
                });
                if counts == Some(true) && leaves.len() < MOST {
                    leaves.insert(place, leaf);
                }
            })?;
        }
        Ok(leaves.into_iter().collect())
    }

    /// The places and leaves of the revocations on the chain of something wider than a token, in
    /// all origins, those of this one below an index, in ledger order. Of more than [`MOST`] the
    /// newest.
    pub fn revocation_leaves(
        &self,
        key: &ChainKey<'_>,
        below: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, QueryError> {
        let term = OfLife::Acts.term(&chain_term(self.terms(), key));
        let mut leaves = Vec::new();
        for view in &self.origins() {
            let end = if view.is_older() { view.size() } else { below };
            let mut indexes = newest(view.postings(), &term, end, MOST)?;
            indexes.reverse();
            view.each_at(&indexes, &mut |index, leaf| {
                let is_its =
                    read_event(&leaf, |entry, one| chain_key(one, &entry.handles) == Some(*key));
                if is_its == Some(true) {
                    leaves.push((view.place_of(index), leaf));
                }
            })?;
        }
        Ok(leaves)
    }

    /// Hands out the leaves at ascending indexes of this origin.
    pub fn each_at(
        &self,
        indexes: &[u64],
        each: &mut dyn FnMut(u64, Vec<u8>),
    ) -> Result<(), QueryError> {
        for part in indexes.chunks(AT_ONCE) {
            for (index, leaf) in part.iter().zip(self.leaf_store().leaves(part)?) {
                each(*index, leaf);
            }
        }
        Ok(())
    }

    /// Hands out the places and leaves that a term leads to in all origins, in this one below an
    /// index, in ledger order, a part at a time. Not confirmed.
    pub fn each_of(
        &self,
        term: &Term,
        below: u64,
        each: &mut dyn FnMut(u64, Vec<u8>),
    ) -> Result<(), QueryError> {
        for view in &self.origins() {
            let end = if view.is_older() { view.size() } else { below };
            let mut from = 0;
            while from < end {
                let (part, more) = postings(view.postings(), term, from..end, AT_ONCE)?;
                view.each_at(&part, &mut |index, leaf| each(view.place_of(index), leaf))?;
                match part.last() {
                    Some(last) if more => from = last + 1,
                    None if more => return Err(QueryError::Budget),
                    _ => break,
                }
            }
        }
        Ok(())
    }
}
