//! The pace of the threads that read behind the head.
//!
//! ```text
//! caught up             a rest of the thread's own interval
//! behind, node is busy  four times as long as the step took: a fifth of a core
//! behind, node is idle  as long as the step took: half of a core
//! ```
//!
//! Busy means that a submission waits, or that something was committed while the step was taken.
//! They run at a low priority besides, so that an idle node's cores are theirs until somebody
//! comes; the rests keep what they do from filling caches and disk queue under a load.

use super::Inner;

/// A step that was begun.
pub(super) struct Step {
    begun: u64,
    size: u64,
}

impl Step {
    pub(super) fn begin(inner: &Inner) -> Self {
        let size = inner.rooms.published().size;
        Self { begun: inner.world.clock.monotonic_nanos(), size }
    }

    /// How long to rest behind it, in nanoseconds, at most `interval`.
    pub(super) fn pause(&self, inner: &Inner, is_behind: bool, interval: u64) -> u64 {
        if !is_behind {
            return interval;
        }
        let took = inner.world.clock.monotonic_nanos().saturating_sub(self.begun);
        let is_busy = inner.inbox.bytes() > 0 || inner.rooms.published().size != self.size;
        took.saturating_mul(if is_busy { 4 } else { 1 }).min(interval)
    }
}
