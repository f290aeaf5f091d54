//! Sources: how much each has told, and how much of what it issued the ledger saw from the start.
//!
//! ```text
//! score = (births - origins) / births, 1 without births     halved while the source is silent
//! silent: it has sent heartbeats, and none for ten minutes
//! ```
//!
//! Promises: a handful of reads a source, however long the ledger is. Counts are those of the
//! index, over all origins; the newest may be a moment ahead of the size that the answer names.

use ledgerline_proof::entry::Entry;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;

use crate::found_by::By;
use crate::index::{ReadBudget, Term};
use crate::view::{QueryError, View};

/// A source that sends heartbeats is silent after so long, in nanoseconds.
pub const SILENT_NANOS: i64 = 600_000_000_000;
/// Index blocks that one look-up may read.
const INDEX_READS: u32 = 4096;

/// What one source has told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Events.
    pub events: u64,
    /// Tokens brought in, by ISSUED and ORIGIN.
    pub births: u64,
    /// Those by ORIGIN.
    pub origins: u64,
    /// When its first event was recorded, Unix nanoseconds.
    pub first_at: Option<i64>,
    /// When its last event was recorded.
    pub last_at: Option<i64>,
    /// When its last heartbeat was recorded.
    pub heartbeat_at: Option<i64>,
}

impl Told {
    /// Whether it stopped sending heartbeats.
    #[must_use]
    pub fn is_silent(&self, now_nanos: i64) -> bool {
        self.heartbeat_at.is_some_and(|at| now_nanos.saturating_sub(at) > SILENT_NANOS)
    }

    /// See the module doc; 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn score(&self, now_nanos: i64) -> f64 {
        let seen = self.births.saturating_sub(self.origins);
        let share = if self.births == 0 { 1.0 } else { seen as f64 / self.births as f64 };
        if self.is_silent(now_nanos) { share / 2.0 } else { share }
    }
}

/// What a source has told in a tenant.
///
/// # Errors
/// [`QueryError`].
pub fn told(view: &View, tenant: &str, source: &str) -> Result<Told, QueryError> {
    let mut told = Told::default();
    for origin in &view.origins() {
        let hasher = origin.terms();
        let all = By::Source(source).term(hasher, tenant);
        told.events += count(origin, &all)?;
        told.births += count(origin, &By::Source(source).births(hasher, tenant))?;
        told.origins += count(origin, &By::OriginsOf(source).term(hasher, tenant))?;
        if told.first_at.is_none() {
            told.first_at = end(origin, &all, true)?;
        }
        told.last_at = end(origin, &all, false)?.or(told.last_at);
        let beats = By::HeartbeatsOf(source).term(hasher, tenant);
        told.heartbeat_at = end(origin, &beats, false)?.or(told.heartbeat_at);
    }
    Ok(told)
}

fn count(view: &View, term: &Term) -> Result<u64, QueryError> {
    Ok(view.rooms().index.head(term)?.map_or(0, |head| head.count))
}

/// When the first or last entry of a term was recorded.
fn end(view: &View, term: &Term, first: bool) -> Result<Option<i64>, QueryError> {
    let (index, mut budget) = (&view.rooms().index, ReadBudget::new(INDEX_READS));
    let page = if first {
        index.postings(term, 0..view.size(), 1, &mut budget)?
    } else {
        index.postings_back(term, 0..view.size(), 1, &mut budget)?
    };
    let Some(at) = page.indexes.first() else { return Ok(None) };
    let leaf = view.leaf(*at)?;
    let Ok(entry) = decode_object::<Entry<'_>>(Kind::Entry, &leaf) else { return Ok(None) };
    let sound = decode_object::<Statement<'_>>(Kind::Statement, entry.statement).is_ok();
    Ok(sound.then_some(entry.recorded_at.nanos))
}
