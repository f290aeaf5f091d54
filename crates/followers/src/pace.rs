//! The pace at which followers catch up, so that they slow nobody down.
//!
//! ```text
//! caught up             a rest of the follower's own interval
//! behind, node is busy  nine times as long as the step took: a tenth of a core
//! behind, node is idle  as long as the step took: half of a core
//! ```
//!
//! Busy means that a submission waits, or that something was committed a moment ago: a step is
//! shorter than the time between two commits. Their threads run at a low priority besides, so that
//! an idle node's cores are theirs until somebody comes; the rests keep what they do from filling
//! caches and disk queue under a load.

/// So long after a commit the node counts as busy.
const LATELY_NANOS: u64 = 100_000_000;
/// Of a step's time, while the node is busy. A tenth of a core reads some 25,000 entries a second.
const BUSY_RESTS: u64 = 9;

/// The pace of one follower. All times are of the monotonic clock.
#[derive(Debug)]
pub struct Pace {
    begun: u64,
    /// The size when it was last seen to have changed, and when that was.
    size: u64,
    changed_at: u64,
}

impl Pace {
    /// Of a ledger of so many entries.
    #[must_use]
    pub const fn new(now: u64, size: u64) -> Self {
        Self { begun: now, size, changed_at: now }
    }

    /// A step begins.
    pub const fn step(&mut self, now: u64) {
        self.begun = now;
    }

    /// How long to rest behind it, in nanoseconds: at most `most`, and so long when caught up.
    pub fn rest(&mut self, now: u64, node: Load, is_behind: bool, most: u64) -> u64 {
        if node.size != self.size {
            (self.size, self.changed_at) = (node.size, now);
        }
        if !is_behind {
            return most;
        }
        let is_busy = node.waits || now.saturating_sub(self.changed_at) < LATELY_NANOS;
        let took = now.saturating_sub(self.begun);
        took.saturating_mul(if is_busy { BUSY_RESTS } else { 1 }).min(most)
    }
}

/// What the node has to do beside.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Entries committed.
    pub size: u64,
    /// Whether a submission waits.
    pub waits: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_behind_rests_for_as_long_as_it_worked_and_longer_under_a_load() {
        let (idle, second) = (Load { size: 5, waits: false }, 1_000_000_000);
        let mut pace = Pace::new(0, 5);
        pace.step(second);
        assert_eq!(pace.rest(second + 10, idle, true, second), 10, "idle");
        assert_eq!(pace.rest(second + 10, Load { waits: true, ..idle }, true, second), 90);
        assert_eq!(pace.rest(second + 10, Load { size: 6, ..idle }, true, second), 90);
        assert_eq!(pace.rest(second + 10, Load { size: 6, ..idle }, true, 50), 50);
        assert_eq!(pace.rest(second + 10, idle, false, second), second, "caught up");
    }
}
