//! Standings that were asked for before.
//!
//! ```text
//! remembered at size s ──▶ asked at size t: postings of its terms in s..t
//!                            none               as remembered
//!                            own plain events   applied to the state, in ledger order
//!                            anything else      computed anew
//! ```
//!
//! Promises: an answer is that of the view asked, never older: what was committed since is read
//! before anything is said, so nobody has to tell this room what changed. Bounded: of two
//! generations the older one is dropped when the younger is full. Tokens that nobody knows are not
//! remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_index::terms::is_birth;
use ledgerline_index::{Ask, ReadBudget, Term};
use ledgerline_proof::entry::Entry;
use ledgerline_proof::lifecycle::Fact;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_view::view::{QueryError, View};

use super::{Presented, Standing, standing};

/// Locks, so that callers on several threads seldom meet.
const SHARDS: usize = 16;
/// New events of one token that are applied; with more it is computed anew.
const MAX_APPLIED: usize = 4096;
/// Index blocks read to see what is new.
const LOOK_READS: u32 = 256;

/// Tenant, whether a digest or an id, and which.
type Name = (Box<str>, bool, Box<str>);

/// A standing as it was at a size.
#[derive(Clone)]
struct Kept {
    standing: Arc<Standing>,
    size: u64,
}

#[derive(Default)]
struct Shard {
    young: BTreeMap<Name, Kept>,
    old: BTreeMap<Name, Kept>,
}

/// The room. Shared.
pub struct Standings {
    shards: Vec<Mutex<Shard>>,
    /// Of one generation of one shard.
    capacity: usize,
}

impl Standings {
    /// Remembers about `capacity` tokens.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, capacity: capacity.div_ceil(2 * SHARDS) }
    }

    /// Where a token stands in the state `view`; as [`standing`]. Remembered when that took at
    /// least so many events.
    ///
    /// # Errors
    /// As [`standing`].
    pub fn standing(
        &self,
        view: &View,
        tenant: &str,
        presented: Presented<'_>,
        now_nanos: i64,
        least_events: usize,
    ) -> Result<Option<Arc<Standing>>, QueryError> {
        let (is_digest, text) = match presented {
            Presented::Digest(digest) => (true, digest.into()),
            Presented::Id(id) => (false, id.into()),
            // No id has that byte.
            Presented::Ids(ids) => (false, ids.join("\0").into()),
        };
        let name: Name = (tenant.into(), is_digest, text);
        if let Some(kept) = self.find(&name) {
            let due = kept.standing.changes_at.is_some_and(|at| at <= now_nanos);
            // A newer state than the one asked for is as good: it was committed too.
            let known = if due { None } else { renewed(view, tenant, &kept)? };
            if let Some(standing) = known {
                let size = view.size().max(kept.size);
                self.keep(name, Kept { standing: Arc::clone(&standing), size });
                return Ok(Some(standing));
            }
        }
        let found = standing(view, tenant, presented, now_nanos)?.map(Arc::new);
        // What is known of a part is not what is known with what is recorded next.
        let is_kept = |found: &&Arc<Standing>| !found.is_part && found.events >= least_events;
        if let Some(standing) = found.as_ref().filter(is_kept) {
            self.keep(name, Kept { standing: Arc::clone(standing), size: view.size() });
        }
        Ok(found)
    }

    fn shard(&self, name: &Name) -> &Mutex<Shard> {
        // Digests are random at their end, and ids mostly: no hash is needed.
        let last = name.2.as_bytes().iter().rev().take(4);
        let sum = last.fold(0_usize, |sum, byte| sum * 31 + usize::from(*byte));
        &self.shards[sum % SHARDS]
    }

    fn find(&self, name: &Name) -> Option<Kept> {
        let shard = self.shard(name).lock().unwrap_or_else(PoisonError::into_inner);
        shard.young.get(name).or_else(|| shard.old.get(name)).cloned()
    }

    fn keep(&self, name: Name, kept: Kept) {
        let mut shard = self.shard(&name).lock().unwrap_or_else(PoisonError::into_inner);
        // Another caller may have looked at a newer state meanwhile.
        if shard.young.get(&name).is_some_and(|other| other.size >= kept.size) {
            return;
        }
        if shard.young.len() >= self.capacity {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(name, kept);
    }
}

/// The standing with what was committed since; `None` when it must be computed anew.
fn renewed(view: &View, tenant: &str, kept: &Kept) -> Result<Option<Arc<Standing>>, QueryError> {
    let size = view.size();
    if size <= kept.size {
        return Ok(Some(Arc::clone(&kept.standing)));
    }
    let mut budget = ReadBudget::new(LOOK_READS);
    let mut indexes = BTreeSet::new();
    let ask = |term: &Term| Ask::oldest(*term, kept.size..size, MAX_APPLIED);
    let asks: Vec<Ask> = kept.standing.watched.iter().map(ask).collect();
    for page in view.postings().postings(&asks, &mut budget)? {
        if page.cut_by.is_some() {
            return Ok(None);
        }
        indexes.extend(page.indexes);
    }
    if indexes.is_empty() {
        return Ok(Some(Arc::clone(&kept.standing)));
    }
    // Which of several claims decides may change with any of them.
    if !kept.standing.claims.is_empty() {
        return Ok(None);
    }
    let mut standing = Standing::clone(&kept.standing);
    let indexes: Vec<u64> = indexes.into_iter().collect();
    let leaves = view.leaf_store().leaves(&indexes)?;
    for (index, leaf) in indexes.into_iter().zip(leaves) {
        if !apply(&mut standing, tenant, view.base() + index, &leaf) {
            return Ok(None);
        }
    }
    Ok(Some(Arc::new(standing)))
}

/// Applies a plain event of the token: one that gives it no other name and no other birth. False
/// for everything else.
fn apply(standing: &mut Standing, tenant: &str, position: u64, leaf: &[u8]) -> bool {
    let Ok(entry) = decode_object::<Entry<'_>>(Kind::Entry, leaf) else { return false };
    let Ok(statement) = decode_object::<Statement<'_>>(Kind::Statement, entry.statement) else {
        return false;
    };
    let known = |id: &str| standing.ids.contains(id);
    let plain = statement.tenant == tenant
        && statement.target.kind == TargetKind::Token
        && known(statement.target.id)
        && !is_birth(&statement)
        && statement.also_known_as.iter().all(|id| known(id));
    if plain {
        standing.state.apply(&Fact::of(&statement, position, entry.recorded_at));
        standing.events += 1;
    }
    plain
}
