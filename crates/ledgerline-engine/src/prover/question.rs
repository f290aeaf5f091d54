//! The bundle of an answer to a question: every event that it names, and the whole chains of the
//! tokens whose states it shows.
//!
//! Promises: the chains are whole up to the published checkpoint, also when the question looks at an
//! earlier moment: a part of a chain proves nothing about its end. Nothing is shown of another
//! tenant.
//!
//! Refuses: what no block covers yet, and answers with more leaves or bytes than the request
//! allows; the error names the bound.

use std::collections::BTreeSet;

use ledgerline_proof::bundle::{
    Bundle, BundleError, MAX_BUNDLE_BYTES, MAX_LEAVES, MAX_REMARKS, MAX_TOKENS, Parameter, Query,
};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::vocabulary::TargetKind;

use super::{ProveError, Prover};
use crate::index::TermHasher;
use crate::journal::reader::StoredLeaf;
use crate::publisher::Rooms;

/// Bytes of leaves that base64 makes the longest bundle of.
const LEAF_BYTES: usize = MAX_BUNDLE_BYTES / 4 * 3;

/// An answer to be proven, of one origin.
#[derive(Debug, Clone, Default)]
pub struct QuestionRequest {
    /// The tenant.
    pub tenant: String,
    /// Which question.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// What else was asked.
    pub parameters: Vec<(String, String)>,
    /// The tokens whose states the answer shows, each by all its ids.
    pub tokens: Vec<Vec<String>>,
    /// The entries that the answer names, by index.
    pub entries: BTreeSet<u64>,
    /// What the bundle should say about how whole the answer is.
    pub notes: Vec<String>,
    /// Most entries of the answer; above the bundle's own limit it is that one.
    pub most: usize,
}

/// A bundle of the answer to a question.
///
/// # Errors
/// [`ProveError`]; `TooLarge` names the bound.
pub fn question_bundle(
    rooms: &Rooms,
    terms: &TermHasher,
    request: QuestionRequest,
) -> Result<Bundle, ProveError> {
    let published = rooms.published();
    let size = published.block_size;
    if let Some(&index) = request.entries.iter().find(|index| **index >= size) {
        return Err(ProveError::NotYetSealed { index, size });
    }
    let mut prover = Prover::new(rooms, terms, &published)?;
    let mut room = Room { entries: request.most.min(MAX_LEAVES), bytes: LEAF_BYTES, request };
    if room.request.tokens.len() > MAX_TOKENS {
        let limit = BundleError::Limit { what: "tokens", limit: MAX_TOKENS };
        return Err(ProveError::TooLarge(limit));
    }
    let (mut tokens, mut beyond) = (Vec::new(), 0);
    let mut seen = BTreeSet::new();
    for ids in std::mem::take(&mut room.request.tokens) {
        let ids: Vec<String> = ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
        let mut has_entries = false;
        for id in &ids {
            let tenant = room.request.tenant.clone();
            let chain = ChainKey { kind: TargetKind::Token, tenant: &tenant, id: id.as_bytes() };
            // One more than fits: what does not fit is refused below, with the bound's name.
            let shown = prover.chain(&chain, 0..size, room.entries.saturating_add(2))?;
            beyond += prover.chain_count(&chain, size..published.size)?;
            has_entries |= !shown.is_empty();
            for (index, stored) in shown {
                room.take(&mut prover, index, stored)?;
            }
        }
        if has_entries {
            tokens.push(ids);
        }
    }
    for index in std::mem::take(&mut room.request.entries) {
        if !prover.leaves.contains_key(&index) {
            let stored = rooms.reader.leaf_with_records(index)?;
            room.take(&mut prover, index, stored)?;
        }
    }
    let QuestionRequest { tenant, name, about, parameters, mut notes, .. } = room.request;
    notes.truncate(MAX_REMARKS);
    prover.notes = notes;
    let parameter = |(name, value)| Parameter { name, value };
    let parameters = parameters.into_iter().map(parameter).collect();
    prover.finish(Query::Question { tenant, name, about, parameters, tokens }, beyond, None)
}

/// What still fits.
struct Room {
    entries: usize,
    bytes: usize,
    request: QuestionRequest,
}

impl Room {
    /// Shows an entry, if it fits.
    fn take(
        &mut self,
        prover: &mut Prover<'_>,
        index: u64,
        stored: StoredLeaf,
    ) -> Result<(), ProveError> {
        if prover.leaves.contains_key(&index) {
            return Ok(());
        }
        let limit = self.request.most.min(MAX_LEAVES);
        let too_many = BundleError::Limit { what: "leaves", limit };
        self.entries = self.entries.checked_sub(1).ok_or(ProveError::TooLarge(too_many))?;
        let bytes = self.bytes.checked_sub(stored.bytes.len());
        self.bytes = bytes.ok_or(ProveError::TooLarge(BundleError::TooLong))?;
        prover.show(index, stored, false)
    }
}
