//! The block in the making: what the next block entry will say of the leaves since the last one.

use crate::hash::Hash;
use crate::hlc::Hlc;

/// The block in the making.
#[derive(Debug, Clone)]
pub struct BlockState {
    /// Height of the next block.
    pub height: u64,
    /// Event hash of the last block entry; zeros before the first.
    pub previous: Hash,
    /// First index the next block covers.
    pub first_index: u64,
    /// Earliest and latest `occurred_at` since.
    pub occurred: Option<(Hlc, Hlc)>,
    /// First and last `recorded_at` since.
    pub recorded: Option<(Hlc, Hlc)>,
}

impl BlockState {
    /// Before the first block.
    #[must_use]
    pub const fn genesis() -> Self {
        Self { height: 0, previous: Hash::ZERO, first_index: 0, occurred: None, recorded: None }
    }

    /// After a block entry at `index`.
    #[must_use]
    pub const fn after(height: u64, index: u64, event_hash: Hash) -> Self {
        Self {
            height: height + 1,
            previous: event_hash,
            first_index: index + 1,
            occurred: None,
            recorded: None,
        }
    }

    /// Takes a leaf into the block: when it was recorded, and when it happened if it is an event.
    pub fn cover(&mut self, recorded_at: Hlc, occurred_at: Option<Hlc>) {
        let widen = |range: Option<(Hlc, Hlc)>, stamp: Hlc| match range {
            None => Some((stamp, stamp)),
            Some((first, last)) => Some((first.min(stamp), last.max(stamp))),
        };
        self.recorded = widen(self.recorded, recorded_at);
        if let Some(occurred_at) = occurred_at {
            self.occurred = widen(self.occurred, occurred_at);
        }
    }
}
