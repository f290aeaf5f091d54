//! Proof bundles: an answer with everything that proves it, made from one view.
//!
//! ```text
//! leaves = GENESIS ‖ SCHEMA leaves ‖ keys of the entries' signatures ‖ the entries
//!          ‖ the blocks that close them ‖ the block that closes the tree
//! ```
//!
//! Promises: every leaf comes with its inclusion path under the published checkpoint, so whoever
//! trusts the log's key can check the bundle offline. No personal record is disclosed.
//!
//! Refuses: to prove what no block covers yet (503: the next block comes within its interval), and
//! lives with more leaves than a bundle may have.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use ledgerline_engine::index::{Page, ReadBudget, TermKind};
use ledgerline_engine::sequencer::leaf_terms;
use ledgerline_engine::view::{QueryError, View};
use ledgerline_proof::bundle::{
    AsOf, Base64, Base64Hash, Bundle, Coverage, Decimal, Document, EventId, FORMAT, LeafProof,
    MAX_LEAVES, Query, SignedDecimal, SourceCount, Tool, VERSION,
};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::control::ControlKind;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::tree;
use ledgerline_proof::vocabulary::TargetKind;

use super::problem::Problem;

/// Index blocks that one question of a bundle may read.
const READS: u32 = 4096;
/// Control leaves and blocks looked at in one step.
const PAGE: usize = 1024;

/// The bundle of a token's life.
///
/// # Errors
/// 404 when there is no such token, 503 before its first block.
pub fn token(view: &View, tenant: &str, id: &str) -> Result<Bundle, Problem> {
    let key = ChainKey { kind: TargetKind::Token, tenant, id: id.as_bytes() };
    let (indexes, is_cut) = view.chain_indexes(&key, 0..view.size())?;
    let query = Query::Token { tenant: tenant.to_owned(), id: id.to_owned() };
    let mut bundle = Maker::new(view).bundle(query, &indexes)?;
    if is_cut {
        bundle.coverage.notes.push("the chain is longer than one answer may read".to_owned());
    }
    Ok(bundle)
}

/// The bundle of the event at `index`.
///
/// # Errors
/// 503 before its block.
pub fn event(view: &View, index: u64) -> Result<Bundle, Problem> {
    let leaf = view.leaf(index)?;
    let (_, statement) = read_entry(&leaf)?;
    let query = Query::Event {
        tenant: statement.tenant.to_owned(),
        source: statement.source.to_owned(),
        event_id: EventId(statement.event_id),
    };
    Maker::new(view).bundle(query, &[index])
}

fn read_entry(leaf: &[u8]) -> Result<(Entry<'_>, Statement<'_>), Problem> {
    let entry: Entry<'_> = decode_object(Kind::Entry, leaf).map_err(|_| Problem::internal())?;
    let statement = decode_object(Kind::Statement, entry.statement);
    Ok((entry, statement.map_err(|_| Problem::internal())?))
}

/// Gathers the leaves of one bundle.
struct Maker<'v> {
    view: &'v View,
    /// Size of the published tree.
    size: u64,
    leaves: BTreeMap<u64, Vec<u8>>,
    key_ids: BTreeSet<String>,
    sources: BTreeMap<String, u64>,
    attachments: Vec<Document>,
}

impl<'v> Maker<'v> {
    fn new(view: &'v View) -> Self {
        let (leaves, key_ids, sources, attachments) = Default::default();
        Self { view, size: view.published_size(), leaves, key_ids, sources, attachments }
    }

    fn bundle(mut self, query: Query, indexes: &[u64]) -> Result<Bundle, Problem> {
        if indexes.is_empty() {
            return Err(Problem::not_found());
        }
        let covered = indexes.partition_point(|index| *index < self.size);
        if covered == 0 {
            let detail = "no block covers this yet; try again after the next one";
            return Err(Problem::unavailable("not_in_a_block_yet", detail));
        }
        for index in &indexes[..covered] {
            self.entry(*index)?;
        }
        self.blocks(&indexes[..covered])?;
        let recorded_at = self.closing_block()?;
        self.controls()?;
        if self.leaves.len() > MAX_LEAVES {
            let detail = "the answer has more leaves than a bundle may have";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "query_too_broad", detail));
        }
        let beyond = (indexes.len() - covered) as u64;
        let sources = std::mem::take(&mut self.sources).into_iter();
        let sources =
            sources.map(|(source, events)| SourceCount { source, events: Decimal(events) });
        Ok(Bundle {
            format: FORMAT.to_owned(),
            version: VERSION,
            query,
            as_of: AsOf { size: Decimal(self.size), recorded_at: SignedDecimal(recorded_at) },
            origin: self.view.identity().origin.to_string(),
            checkpoint: self.view.published().to_string(),
            previous: None,
            coverage: Coverage {
                sources: sources.collect(),
                beyond: Decimal(beyond),
                notes: Vec::new(),
            },
            attachments: std::mem::take(&mut self.attachments),
            leaves: self.proofs()?,
            personal: Vec::new(),
            tool: Tool {
                name: "ledgerline".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            custody: Vec::new(),
        })
    }

    fn entry(&mut self, index: u64) -> Result<(), Problem> {
        let event = self.view.event(index)?.ok_or_else(Problem::internal)?;
        let (entry, statement) = read_entry(&event.leaf)?;
        self.key_ids.extend(entry.signature.as_ref().map(|by| by.key_id.to_owned()));
        *self.sources.entry(statement.source.to_owned()).or_default() += 1;
        for digest in &event.attachments {
            let is_there = self.attachments.iter().any(|one| one.digest == *digest);
            if let Some(found) = self.view.attachment(index, digest)?.filter(|_| !is_there) {
                self.attachments.push(Document {
                    digest: *digest,
                    media_type: found.media_type,
                    data: Base64(found.data),
                });
            }
        }
        self.leaves.insert(index, event.leaf);
        Ok(())
    }

    /// The first block entry after each of the indexes.
    fn blocks(&mut self, indexes: &[u64]) -> Result<(), Problem> {
        let mut closed_below = 0;
        for index in indexes.iter().filter(|index| **index < self.size) {
            if *index < closed_below {
                continue;
            }
            let found = self.postings(leaf_terms::BLOCK, index + 1, 1)?;
            let block = *found.indexes.first().ok_or(QueryError::Budget)?;
            self.leaves.insert(block, self.view.leaf(block)?);
            closed_below = block;
        }
        Ok(())
    }

    /// The block entry that the published tree ends in; when it was sealed.
    fn closing_block(&mut self) -> Result<i64, Problem> {
        let last = self.size.checked_sub(1).ok_or_else(Problem::internal)?;
        let leaf = self.view.leaf(last)?;
        let Ok(Leaf::Block(block)) = Leaf::decode(&leaf) else { return Err(Problem::internal()) };
        self.leaves.insert(last, leaf);
        Ok(block.sealed_at.nanos)
    }

    /// GENESIS, every schema, and what happened to the keys that signed.
    fn controls(&mut self) -> Result<(), Problem> {
        let mut from = 0;
        loop {
            let page = self.postings(leaf_terms::CONTROL, from, PAGE)?;
            for index in page.indexes {
                let leaf = self.view.leaf(index)?;
                let Ok(Leaf::Control(control)) = Leaf::decode(&leaf) else { continue };
                let added = control.key_added.as_ref().map(|key| key.key_id);
                let key_id = added.or(control.key_ended.as_ref().map(|key| key.key_id));
                let is_wanted = match control.kind {
                    ControlKind::Genesis | ControlKind::Schema => true,
                    _ => key_id.is_some_and(|key_id| self.key_ids.contains(key_id)),
                };
                if is_wanted {
                    self.leaves.insert(index, leaf);
                }
            }
            match page.next {
                Some(next) if next > from => from = next,
                Some(_) => return Err(QueryError::Budget.into()),
                None => return Ok(()),
            }
        }
    }

    fn postings(&self, name: &[u8], from: u64, limit: usize) -> Result<Page, Problem> {
        let term = self.view.terms().term(TermKind::Leaf, "", &[name]);
        let mut budget = ReadBudget::new(READS);
        let index = &self.view.rooms().index;
        let page = index.postings(&term, from..self.size, limit, &mut budget);
        Ok(page.map_err(QueryError::from)?)
    }

    fn proofs(self) -> Result<Vec<LeafProof>, Problem> {
        let store = &self.view.rooms().store;
        let indexes: Vec<u64> = self.leaves.keys().copied().collect();
        let paths = tree::inclusion_paths(&indexes, self.size, store).map_err(|error| {
            tracing::error!(code = "proof_failed", %error, "the tree store did not answer");
            Problem::internal()
        })?;
        let proofs = self.leaves.into_iter().zip(paths).map(|((index, leaf), path)| LeafProof {
            index: Decimal(index),
            leaf: Base64(leaf),
            path: path.into_iter().map(Base64Hash).collect(),
        });
        Ok(proofs.collect())
    }
}
