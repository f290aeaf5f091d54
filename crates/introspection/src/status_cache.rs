//! Cached token statuses, keyed by tenant and presented token; refreshed by what was committed
//! since.
//!
//! ```text
//! cached at size s ──▶ asked at size t: postings of its terms in s..t
//!                            none               as cached
//!                            own plain events   applied to the state, in ledger order
//!                            anything else      stale: computed anew
//! ```
//!
//! Promises: an answer is that of the view asked, never older: what was committed since is read
//! before anything is said, so nobody has to tell this cache what changed. Bounded by count
//! ([`SharedTermCache`]). Tokens that nobody knows are not cached. One tenant's tokens are never
//! another's: the name is a keyed hash of 96 bits of tenant and what was presented.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_index::terms::is_birth;
use ledgerline_index::{Ask, ReadBudget, SharedTermCache, Term, TermKind, Usage};
use ledgerline_proof::entry::Entry;
use ledgerline_proof::lifecycle::Fact;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::{QueryError, View};

use super::{Presented, TokenStatus, token_status};

/// Parts of the cache, so that callers on several threads seldom meet.
const PARTS: usize = 16;
/// New events of one token that are applied; with more it is computed anew.
const MAX_APPLIED: usize = 4096;
/// Index blocks read to see what is new.
const LOOK_READS: u32 = 256;

/// A token's status as it was at a size.
#[derive(Clone)]
struct Kept {
    status: Arc<TokenStatus>,
    size: u64,
}

/// The cache. Shared.
pub struct StatusCache(SharedTermCache<Kept>);

impl StatusCache {
    /// Remembers at most `capacity` tokens.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(SharedTermCache::new(PARTS, capacity))
    }

    /// Where a token stands in the state `view`; as [`token_status`]. Remembered when that took at
    /// least so many events.
    ///
    /// # Errors
    /// As [`token_status`].
    pub fn token_status(
        &self,
        view: &View,
        tenant: &str,
        presented: Presented<'_>,
        now_nanos: i64,
        least_events: usize,
    ) -> Result<Option<Arc<TokenStatus>>, QueryError> {
        let name = name_of(view, tenant, presented);
        let kept = self.0.part(name.part()).get(&name);
        if let Some(kept) = kept {
            let due = kept.status.changes_at.is_some_and(|at| at <= now_nanos);
            // A newer state than the one asked for is as good: it was committed too.
            let known = if due { None } else { refreshed(view, tenant, &kept)? };
            if let Some(status) = known {
                let size = view.size().max(kept.size);
                self.keep(name, Kept { status: Arc::clone(&status), size });
                return Ok(Some(status));
            }
            self.0.note_stale();
        }
        let found = token_status(view, tenant, presented, now_nanos)?.map(Arc::new);
        // What is known of a part is not what is known with what is recorded next.
        let is_kept = |found: &&Arc<TokenStatus>| !found.is_part && found.events >= least_events;
        if let Some(status) = found.as_ref().filter(is_kept) {
            self.keep(name, Kept { status: Arc::clone(status), size: view.size() });
        }
        Ok(found)
    }

    fn keep(&self, name: Term, kept: Kept) {
        let mut part = self.0.part(name.part());
        // Another caller may have looked at a newer state meanwhile.
        let known = |one: &Kept| (one.size, one.status.changes_at.unwrap_or(i64::MAX));
        if part.peek(&name).is_none_or(|other| known(other) < known(&kept)) {
            part.put(name, kept);
        }
    }

    /// How many there are, and what they were good for.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.0.usage()
    }
}

/// The name of what was presented in a tenant. Chains have one byte as their first part.
fn name_of(view: &View, tenant: &str, presented: Presented<'_>) -> Term {
    let term = |parts: &[&[u8]]| view.terms().term(TermKind::Chain, tenant, parts);
    match presented {
        Presented::Digest(digest) => term(&[b"digest", digest.as_bytes()]),
        Presented::Id(id) => term(&[b"ids", id.as_bytes()]),
        Presented::Ids(ids) => {
            let ids = ids.iter().map(|id| id.as_bytes());
            term(&std::iter::once(&b"ids"[..]).chain(ids).collect::<Vec<_>>())
        }
    }
}

/// The status with what was committed since; `None` when it must be computed anew.
fn refreshed(
    view: &View,
    tenant: &str,
    kept: &Kept,
) -> Result<Option<Arc<TokenStatus>>, QueryError> {
    let size = view.size();
    if size <= kept.size {
        return Ok(Some(Arc::clone(&kept.status)));
    }
    let mut budget = ReadBudget::new(LOOK_READS);
    let mut indexes = BTreeSet::new();
    let ask = |term: &Term| Ask::oldest(*term, kept.size..size, MAX_APPLIED);
    let asks: Vec<Ask> = kept.status.watched.iter().map(ask).collect();
    for page in view.postings().postings(&asks, &mut budget)? {
        if page.cut_by.is_some() {
            return Ok(None);
        }
        indexes.extend(page.indexes);
    }
    if indexes.is_empty() {
        return Ok(Some(Arc::clone(&kept.status)));
    }
    // Which of several claims decides may change with any of them.
    if !kept.status.claims.is_empty() {
        return Ok(None);
    }
    let mut status = TokenStatus::clone(&kept.status);
    let indexes: Vec<u64> = indexes.into_iter().collect();
    let leaves = view.leaf_store().leaves(&indexes)?;
    for (index, leaf) in indexes.into_iter().zip(leaves) {
        if !apply(&mut status, tenant, view.entry(index), &leaf) {
            return Ok(None);
        }
    }
    Ok(Some(Arc::new(status)))
}

/// Applies a plain event of the token: one that gives it no other name and no other birth. False
/// for everything else.
fn apply(status: &mut TokenStatus, tenant: &str, at: EntryRef, leaf: &[u8]) -> bool {
    let Ok(entry) = decode_object::<Entry<'_>>(Kind::Entry, leaf) else { return false };
    let Ok(statement) = decode_object::<Statement<'_>>(Kind::Statement, entry.statement) else {
        return false;
    };
    let known = |id: &str| status.ids.contains(id);
    let plain = statement.tenant == tenant
        && statement.target.kind == TargetKind::Token
        && known(statement.target.id)
        && !is_birth(&statement)
        && statement.also_known_as.iter().all(|id| known(id));
    if plain {
        status.state.apply(&Fact::of(&statement, at.rank(), entry.recorded_at));
        status.events += 1;
    }
    plain
}
