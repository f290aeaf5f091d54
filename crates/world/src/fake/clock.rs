//! A clock that moves only when told.
//!
//! Promises: the monotonic reading never goes back, whatever happens to the wall reading.
//!
//! Refuses: to read the real time.

use crate::clock::Clock;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A clock set by hand, shared between threads.
pub struct SimClock {
    now: Mutex<Reading>,
}

#[derive(Clone, Copy)]
struct Reading {
    wall_nanos: i64,
    monotonic_nanos: u64,
}

impl SimClock {
    /// A clock whose wall reading starts at `wall_nanos` since 1970.
    #[must_use]
    pub fn new(wall_nanos: i64) -> Self {
        Self { now: Mutex::new(Reading { wall_nanos, monotonic_nanos: 0 }) }
    }

    /// Time passes: both readings go on by `nanos`. They stop at the ends of their types.
    pub fn advance(&self, nanos: u64) {
        let mut now = self.now();
        now.wall_nanos = now.wall_nanos.saturating_add_unsigned(nanos);
        now.monotonic_nanos = now.monotonic_nanos.saturating_add(nanos);
    }

    /// Somebody sets the clock: only the wall reading jumps, either way.
    pub fn jump_wall(&self, nanos: i64) {
        let mut now = self.now();
        now.wall_nanos = now.wall_nanos.saturating_add(nanos);
    }

    fn now(&self) -> MutexGuard<'_, Reading> {
        // A reading is two numbers, each valid at any time; a panic elsewhere cannot spoil it.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimClock {
    fn wall_nanos(&self) -> i64 {
        self.now().wall_nanos
    }
    fn monotonic_nanos(&self) -> u64 {
        self.now().monotonic_nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_jumps_and_monotonic_does_not() {
        let clock = SimClock::new(1_000);
        clock.advance(50);
        assert_eq!((clock.wall_nanos(), clock.monotonic_nanos()), (1_050, 50));
        clock.jump_wall(-2_000);
        assert_eq!((clock.wall_nanos(), clock.monotonic_nanos()), (-950, 50));
        clock.jump_wall(i64::MAX);
        clock.advance(u64::MAX);
        clock.advance(1);
        assert_eq!((clock.wall_nanos(), clock.monotonic_nanos()), (i64::MAX, u64::MAX));
    }
}
