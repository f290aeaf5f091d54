//! The pace of the threads that read behind the head.
//!
//! ```text
//! caught up             a rest of the thread's own interval
//! behind, node is busy  nine times as long as the step took: a tenth of a core
//! behind, node is idle  as long as the step took: half of a core
//! ```
//!
//! Busy means that a submission waits, or that something was committed a moment ago: a step is
//! shorter than the time between two commits. They run at a low priority besides, so that an idle
//! node's cores are theirs until somebody comes; the rests keep what they do from filling caches
//! and disk queue under a load.

use super::Inner;

/// So long after a commit the node counts as busy.
const LATELY_NANOS: u64 = 100_000_000;

/// Of a step's time, while the node is busy. A tenth of a core reads some 25,000 entries a second.
const BUSY_RESTS: u64 = 9;

/// The pace of one thread.
pub(super) struct Pace {
    begun: u64,
    /// The size when it was last seen to have changed, and when that was.
    size: u64,
    changed_at: u64,
}

impl Pace {
    pub(super) fn new(inner: &Inner) -> Self {
        let now = inner.world.clock.monotonic_nanos();
        Self { begun: now, size: inner.rooms.published().size, changed_at: now }
    }

    /// A step begins.
    pub(super) fn step(&mut self, inner: &Inner) {
        self.begun = inner.world.clock.monotonic_nanos();
    }

    /// How long to rest behind it, in nanoseconds, at most `interval`.
    pub(super) fn pause(&mut self, inner: &Inner, is_behind: bool, interval: u64) -> u64 {
        let now = inner.world.clock.monotonic_nanos();
        let size = inner.rooms.published().size;
        if size != self.size {
            (self.size, self.changed_at) = (size, now);
        }
        if !is_behind {
            return interval;
        }
        let lately = now.saturating_sub(self.changed_at) < LATELY_NANOS;
        let is_busy = lately || inner.inbox.bytes() > 0;
        let took = now.saturating_sub(self.begun);
        took.saturating_mul(if is_busy { BUSY_RESTS } else { 1 }).min(interval)
    }
}
