//! The clock: the one module that reads the time.
//!
//! Promises: a wall reading for stamps and a monotonic one for intervals. Rooms take a [`Clock`],
//! so the simulator can make it jump.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of time, shared between threads.
pub trait Clock: Send + Sync {
    /// Wall time in nanoseconds since 1970; may jump either way.
    fn wall_nanos(&self) -> i64;
    /// Nanoseconds since an arbitrary start; never goes back.
    fn monotonic_nanos(&self) -> u64;
}

/// The system's clocks.
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall_nanos(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }
    fn monotonic_nanos(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
