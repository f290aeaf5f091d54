//! The bundle of an answer to a question: every event that it names, and the whole chains of the
//! tokens whose states it shows.
//!
//! Promises: the chains are whole up to the published checkpoint, also when the question looks at
//! an earlier moment: a part of a chain proves nothing about its end. Nothing is shown of another
//! tenant. No more is read than fits.
//!
//! Refuses: what no block covers yet, and answers with more leaves or bytes than the request
//! allows; the error names the bound.

use std::collections::BTreeSet;

use ledgerline_index::TermHasher;
use ledgerline_index::terms::chain_term;
use ledgerline_proof::bundle::{
    Bundle, BundleError, MAX_BUNDLE_BYTES, MAX_LEAVES, MAX_REMARKS, MAX_TOKENS, Parameter, Query,
};
use ledgerline_proof::chain::{ChainKey, chain_key};
use ledgerline_proof::entry::Entry;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_view::committed::Rooms;

use super::{ProveError, Prover};

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
            has_entries |= room.take_chain(&mut prover, &chain)?;
            beyond += prover.chain_count(&chain, size..published.size)?;
        }
        if has_entries {
            tokens.push(ids);
        }
    }
    for index in std::mem::take(&mut room.request.entries) {
        room.take(&mut prover, index, |_, _| true)?;
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
    /// Shows a chain up to the published checkpoint; whether it has any entry.
    fn take_chain(
        &mut self,
        prover: &mut Prover<'_>,
        chain: &ChainKey<'_>,
    ) -> Result<bool, ProveError> {
        let term = chain_term(prover.terms, chain);
        // One more than fits, so that it is noticed.
        let most = self.entries.saturating_add(1);
        let is_on = |entry: &Entry<'_>, statement: &Statement<'_>| {
            chain_key(statement, &entry.handles).as_ref() == Some(chain)
        };
        let mut any = false;
        for index in prover.postings(&term, 0..prover.published.block_size, most)? {
            any |= self.take(prover, index, is_on)?;
        }
        Ok(any)
    }

    /// Shows an entry that is `wanted`, if it fits; whether it is shown.
    fn take(
        &mut self,
        prover: &mut Prover<'_>,
        index: u64,
        wanted: impl FnOnce(&Entry<'_>, &Statement<'_>) -> bool,
    ) -> Result<bool, ProveError> {
        if prover.leaves.contains_key(&index) {
            return Ok(true);
        }
        let stored = prover.rooms.reader.leaf_with_records(index)?;
        if !prover.with_statement(index, &stored.bytes, wanted)? {
            return Ok(false);
        }
        let limit = self.request.most.min(MAX_LEAVES);
        let too_many = BundleError::Limit { what: "leaves", limit };
        self.entries = self.entries.checked_sub(1).ok_or(ProveError::TooLarge(too_many))?;
        let new = stored.attachments.iter();
        let new = new.filter(|one| !prover.documents.contains_key(&one.digest));
        let bytes = stored.bytes.len() + new.map(|one| one.data.len()).sum::<usize>();
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.ok_or(ProveError::TooLarge(BundleError::TooLong))?;
        prover.show(index, stored, false)?;
        Ok(true)
    }
}
