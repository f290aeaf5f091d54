//! What PostgreSQL took for some answers or events.

use crate::load::quantile;

/// Times and CPU.
pub struct Theirs {
    /// Sorted, in microseconds.
    pub times_us: Vec<u32>,
    /// CPU seconds of all its processes, for so many.
    pub cpu_seconds: f64,
    /// How many it did in that time.
    pub count: u64,
}

impl Theirs {
    /// CPU of all its processes for one, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.count.max(1) as f64
    }

    /// As a row says it.
    pub fn text(&self) -> String {
        format!(
            "p50 {:.2} ms, p99 {:.2} ms, {:.0} µs CPU of PostgreSQL",
            quantile(&self.times_us, 0.5) / 1e3,
            quantile(&self.times_us, 0.99) / 1e3,
            self.cpu_us()
        )
    }
}
