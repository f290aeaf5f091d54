//! What came of what was sent, by door.
//!
//! Promises: doors, verdicts and reasons are words of ours, never of a request.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// A way into the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// CloudEvents over HTTP.
    CloudEvents,
    /// Security event tokens.
    Sets,
    /// Logout tokens.
    Logout,
    /// Decision logs.
    Opa,
    /// Records for an adapter, by API key.
    Adapters,
    /// Records for an adapter, by a door of the settings.
    Hooks,
    /// Span events.
    OtlpTraces,
    /// Log records.
    OtlpLogs,
}

impl Door {
    /// The word of metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::CloudEvents => "cloudevents",
            Self::Sets => "sets",
            Self::Logout => "logout",
            Self::Opa => "opa",
            Self::Adapters => "adapters",
            Self::Hooks => "hooks",
            Self::OtlpTraces => "otlp_traces",
            Self::OtlpLogs => "otlp_logs",
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<(Door, &'static str), u64>>);

impl Tally {
    /// Counts so many records of a door under a word: `recorded`, `duplicate`, `refused`, or why
    /// one was skipped.
    pub fn add(&self, door: Door, word: &'static str, count: u64) {
        if count > 0 {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry((door, word)).or_default() += count;
        }
    }

    /// All counts: door, word, how many.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((door, word), count)| (door.word(), *word, *count)).collect()
    }
}
