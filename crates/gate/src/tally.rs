//! Counts of requests: by status, and by how long they took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;

/// Upper bounds of the duration histogram, in microseconds.
const BOUNDS_MICROS: [u64; 12] =
    [100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000];

/// Counts of requests. Only ever grows.
#[derive(Default)]
pub struct Tally {
    by_class: [AtomicU64; 6],
    buckets: [AtomicU64; BOUNDS_MICROS.len() + 1],
    micros: AtomicU64,
}

impl Tally {
    /// Counts one answered request.
    pub fn count(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).min(self.by_class.len() - 1);
        self.by_class[class].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Requests by the class of their status: those of `1xx` at 1.
    #[must_use]
    pub fn by_class(&self) -> [u64; 6] {
        std::array::from_fn(|class| self.by_class[class].load(Ordering::Relaxed))
    }

    /// Requests by how long they took: each bound with what took no longer, and the rest.
    pub fn by_duration(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let count = |(at, bucket): (usize, &AtomicU64)| {
            (BOUNDS_MICROS.get(at).copied(), bucket.load(Ordering::Relaxed))
        };
        self.buckets.iter().enumerate().map(count)
    }

    /// Time that all took together, in microseconds.
    #[must_use]
    pub fn micros(&self) -> u64 {
        self.micros.load(Ordering::Relaxed)
    }
}
