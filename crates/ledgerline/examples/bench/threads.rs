//! Where the CPU of a server goes, by the names that it gives its threads.
//!
//! Promises: nanoseconds on a core as the scheduler counted them (`/proc/<pid>/task/*/schedstat`),
//! not ticks of 10 ms. Assumes Linux, and that no thread ends between two looks: what it took is
//! not in the later one.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};

/// CPU seconds of each name.
#[derive(Debug, Clone, Default)]
pub struct Threads(BTreeMap<String, f64>);

impl Threads {
    /// Of a process as it is now.
    ///
    /// # Errors
    /// When there is no such process, or its kernel does not count.
    pub fn of(process: u32) -> Result<Self> {
        let mut seconds = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{process}/task"))? {
            let folder = entry?.path();
            // One that ended since the folder was read.
            let Ok(name) = fs::read_to_string(folder.join("comm")) else { continue };
            let counted = fs::read_to_string(folder.join("schedstat"))?;
            let nanos: f64 =
                counted.split(' ').next().unwrap_or("").parse().context("schedstat")?;
            let name = name.trim().trim_start_matches("ledgerline-").trim_start_matches("ledger-");
            *seconds.entry(name.to_owned()).or_default() += nanos / 1e9;
        }
        Ok(Self(seconds))
    }

    /// What came since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let grown = |(name, seconds): (&String, &f64)| {
            (name.clone(), seconds - before.0.get(name).unwrap_or(&0.0))
        };
        Self(self.0.iter().map(grown).collect())
    }

    /// All of it, in seconds.
    pub fn seconds(&self) -> f64 {
        self.0.values().sum()
    }

    /// Microseconds of each name for one of `units` things done, the most first; what is below a
    /// hundredth of all is left out.
    pub fn text(&self, units: u64) -> String {
        let mut named: Vec<_> = self.0.iter().collect();
        named.sort_by(|one, other| other.1.total_cmp(one.1));
        let shown = named.into_iter().filter(|(_, seconds)| **seconds >= self.seconds() / 100.0);
        let each = shown
            .map(|(name, seconds)| format!("{name} {:.1}", seconds * 1e6 / units.max(1) as f64));
        each.collect::<Vec<_>>().join(", ")
    }
}
