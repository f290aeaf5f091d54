//! How far a ledger had come by a time of recording.
//!
//! Promises: in each log, all that was recorded up to that time and nothing that was recorded after
//! it, in a search that reads a few leaves at a time.
//!
//! Assumes: the times of recording ascend in a log, and a log begins behind the one before.

use ledgerline_proof::schema::Leaf;

use crate::address::AsOf;
use crate::view::{QueryError, View};

/// Into how many parts a search by time divides what is left.
const WAYS: u64 = 16;

impl View {
    /// How far the ledger reached when the clock of recording stood at `nanos`: everything recorded
    /// up to and including that time, in each log.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn recorded_by(&self, nanos: i64) -> Result<AsOf, QueryError> {
        let origins = self.origins();
        let mut sizes = Vec::with_capacity(origins.len());
        for (n, origin) in origins.iter().enumerate() {
            // Its last leaves need not be read where the next log had begun.
            let begun = origins.get(n + 1).and_then(|next| recorded_at(&next.leaf(0).ok()?));
            let is_whole = begun.is_some_and(|at| at <= nanos);
            sizes.push(if is_whole { origin.size() } else { size_at(origin, nanos)? });
        }
        Ok(AsOf::new(sizes))
    }
}

/// The size of a log when the clock of recording stood at `nanos`.
fn size_at(origin: &View, nanos: i64) -> Result<u64, QueryError> {
    let (mut low, mut high) = (0, origin.size());
    let is_by_then = |leaf: &[u8]| recorded_at(leaf).is_some_and(|at| at <= nanos);
    // Most ranges begin before the ledger, or end behind it. What cannot be read there is an error
    // only where it has to be read.
    if high > 0 && matches!(origin.leaf(high - 1), Ok(leaf) if is_by_then(&leaf)) {
        return Ok(high);
    }
    if high > 0 && matches!(origin.leaf(0), Ok(leaf) if !is_by_then(&leaf)) {
        return Ok(0);
    }
    while low < high {
        // Several at a time: a sixteenth is left for one round trip.
        let step = (high - low).div_ceil(WAYS).max(1);
        let posts: Vec<u64> =
            (1..WAYS).map(|n| low + n * step - 1).take_while(|post| *post < high).collect();
        let (mut from, mut until) = (low, high);
        for (post, leaf) in posts.iter().zip(origin.leaf_store().leaves(&posts)?) {
            if is_by_then(&leaf) {
                from = post + 1;
            } else {
                until = *post;
                break;
            }
        }
        (low, high) = (from, until);
    }
    Ok(low)
}

fn recorded_at(leaf: &[u8]) -> Option<i64> {
    match Leaf::decode(leaf).ok()? {
        Leaf::Entry(entry) => Some(entry.recorded_at.nanos),
        Leaf::Block(block) => Some(block.sealed_at.nanos),
        Leaf::Control(control) => Some(control.recorded_at.nanos),
    }
}
