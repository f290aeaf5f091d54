//! The hybrid logical clock that stamps `recorded_at`.
//!
//! Promises: stamps strictly increase, whatever the wall clock does. Time is passed in, so the
//! clock is a plain value. Kulkarni et al., "Logical Physical Clocks" (2014), reduced to one node
//! that never takes time from messages: a producer's `occurred_at` may not move it (a producer with
//! a wrong clock would otherwise drag the ledger's time ahead).

use crate::wire::wire_record;

wire_record! {
    /// A point in hybrid logical time: wall nanoseconds, then a counter for equal nanoseconds.
    #[derive(Copy, PartialOrd, Ord, Hash)]
    pub struct Hlc {
        /// Nanoseconds since 1970-01-01T00:00:00Z.
        pub nanos: i64,
        /// Orders stamps of the same nanosecond; starts at 0.
        pub logical: i32,
    }
}

impl Hlc {
    /// The stamp of a wall-clock reading.
    #[must_use]
    pub const fn at(nanos: i64) -> Self {
        Self { nanos, logical: 0 }
    }
}

/// The ledger's own clock: owned by the sequencer, one value per ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HlcClock {
    last: Hlc,
}

impl HlcClock {
    /// Continues after `last`, the newest stamp in the ledger.
    #[must_use]
    pub const fn after(last: Hlc) -> Self {
        Self { last }
    }

    /// The newest stamp given out.
    #[must_use]
    pub const fn last(&self) -> Hlc {
        self.last
    }

    /// The next stamp, given the wall clock's reading in nanoseconds. Later than every stamp
    /// before.
    pub fn tick(&mut self, wall_nanos: i64) -> Hlc {
        self.last = if wall_nanos > self.last.nanos {
            Hlc::at(wall_nanos)
        } else if self.last.logical == i32::MAX {
            Hlc::at(self.last.nanos + 1)
        } else {
            Hlc { nanos: self.last.nanos, logical: self.last.logical + 1 }
        };
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_increase_whatever_the_wall_clock_does() {
        let mut clock = HlcClock::after(Hlc { nanos: 100, logical: i32::MAX - 1 });
        let mut last = clock.last();
        for wall in [100, 99, 100, 101, 50, 101, 101, 7, 1_000, 0, i64::MIN] {
            let stamp = clock.tick(wall);
            assert!(stamp > last, "{stamp:?} after {last:?} at wall {wall}");
            last = stamp;
        }
    }
}
