//! When an event occurred, and windows of that time.
//!
//! Promises: one notion of event time for those who note it, those who ask and the verifier.

use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::statement::Statement;

/// The moments that an event tells of, Unix nanoseconds: when it occurred, of many uses told as one
/// also the last, and when it takes effect, if not at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSpan {
    /// The first moment.
    pub first: i64,
    /// The last one.
    pub last: i64,
}

impl EventSpan {
    /// Of an event.
    #[must_use]
    pub fn of(statement: &Statement<'_>) -> Self {
        let occurred = statement.occurred_at.nanos;
        let others = [statement.last_at, statement.effective_at].into_iter().flatten();
        let whole = Self { first: occurred, last: occurred };
        others.fold(whole, |span, at| Self { first: span.first.min(at), last: span.last.max(at) })
    }

    /// Of the entry that tells of it. A revocation by a clock that is ahead ends its token when it
    /// is recorded: that moment counts too.
    #[must_use]
    pub fn recorded(self, index: u64, recorded_at: Hlc) -> EventTime {
        EventTime { index, first: self.first.min(recorded_at.nanos), last: self.last }
    }
}

/// When the event of an entry occurred: from its first to its last moment, Unix nanoseconds.
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
