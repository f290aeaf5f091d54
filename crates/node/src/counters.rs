//! What the ledger counts about itself, for metrics and status.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ledgerline_world::cache::Usage;

/// Upper bounds of the commit histogram's buckets, in microseconds.
pub const COMMIT_BUCKETS_US: [u64; 12] =
    [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000, 1_000_000];

/// The live counters. Shared.
#[derive(Default)]
pub struct Counters {
    recorded: AtomicU64,
    duplicates: AtomicU64,
    commits: AtomicU64,
    commit_nanos: AtomicU64,
    busy: AtomicU64,
    buckets: [AtomicU64; COMMIT_BUCKETS_US.len()],
    refused: Mutex<BTreeMap<&'static str, u64>>,
    findings: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    caches: Mutex<BTreeMap<&'static str, Usage>>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CounterSnapshot {
    /// Events recorded since start.
    pub recorded: u64,
    /// Duplicates answered since start.
    pub duplicates: u64,
    /// Commits since start.
    pub commits: u64,
    /// Time spent in commits, in nanoseconds.
    pub commit_nanos: u64,
    /// Submissions turned away because the inbox was full.
    pub busy: u64,
    /// Commits that took at most [`COMMIT_BUCKETS_US`], cumulative.
    pub commit_buckets: [u64; COMMIT_BUCKETS_US.len()],
    /// Refusals by code.
    pub refused: BTreeMap<&'static str, u64>,
    /// Findings noticed since start, by rule and severity.
    pub findings: BTreeMap<(&'static str, &'static str), u64>,
}

impl Counters {
    /// An event was recorded.
    pub fn recorded(&self, count: u64) {
        self.recorded.fetch_add(count, Ordering::Relaxed);
    }

    /// A retry was recognised.
    pub fn duplicate(&self) {
        self.duplicates.fetch_add(1, Ordering::Relaxed);
    }

    /// A submission was turned away.
    pub fn busy(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// A commit took this long.
    pub fn commit(&self, nanos: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.commit_nanos.fetch_add(nanos, Ordering::Relaxed);
        for (bucket, bound) in self.buckets.iter().zip(COMMIT_BUCKETS_US) {
            if nanos <= bound * 1_000 {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// An event was refused.
    pub fn refused(&self, code: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(code).or_default() += 1;
    }

    /// A finding was noticed.
    pub fn finding(&self, rule: &'static str, severity: &'static str) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        *findings.entry((rule, severity)).or_default() += 1;
    }

    /// What caches are good for that one thread owns, by name.
    pub fn note_caches(&self, caches: &[(&'static str, Usage)]) {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner).extend(caches.iter().copied());
    }

    /// The same, as it was said last.
    #[must_use]
    pub fn caches(&self) -> BTreeMap<&'static str, Usage> {
        self.caches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All counters now.
    #[must_use]
    pub fn snapshot(&self) -> CounterSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CounterSnapshot {
            recorded: read(&self.recorded),
            duplicates: read(&self.duplicates),
            commits: read(&self.commits),
            commit_nanos: read(&self.commit_nanos),
            busy: read(&self.busy),
            commit_buckets: std::array::from_fn(|at| read(&self.buckets[at])),
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            findings: self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
