//! When an event occurred, and windows of that time.
//!
//! Promises: one notion of event time for those who note it, those who ask and the verifier.

use ledgerline_proof::statement::Statement;

/// When an event occurred: from its first to its last moment, Unix nanoseconds. They differ where
/// one event tells of many uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// Which entry tells of it.
    pub index: u64,
    /// The first moment.
    pub first: i64,
    /// The last one.
    pub last: i64,
}

/// A window of event time: at or after `from`, before `until`, Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub from: i64,
    /// The first one behind it.
    pub until: i64,
}

impl Window {
    /// Whether a moment lies in it.
    #[must_use]
    pub const fn contains(self, at: i64) -> bool {
        self.from <= at && at < self.until
    }
}

impl EventTime {
    /// Of the event of an entry.
    #[must_use]
    pub fn of(index: u64, statement: &Statement<'_>) -> Self {
        let first = statement.occurred_at.nanos;
        Self { index, first, last: statement.last_at.map_or(first, |last| last.max(first)) }
    }
}
