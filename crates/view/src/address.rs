//! Where an entry stands: in which log, and at which index there.
//!
//! ```text
//! in memory        EntryRef { log, index }    log: the row in the view's table of logs
//! in page tokens   name ‖ index               name: first 8 bytes of SHA-256 of the log's origin
//! how far          AsOf: a size per log
//! ```
//!
//! Promises: addresses compare in ledger order, older logs first. What leaves the process names a
//! log by what it is called for ever ([`LogName`]): a row may move when a log is added.
//!
//! Assumes: one view's addresses are resolved by views of the same ledger. Inside, questions and
//! followers still count positions through all origins; `View::entry_at`, `position`, `as_of` and
//! `position_of` are where the two meet (decision 0042).
//!
//! Refuses: to know what stands there.

use std::sync::Arc;

use ledgerline_proof::hash::sha256;

/// A row in a view's table of logs, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogId(pub u32);

impl LogId {
    /// Which row.
    #[must_use]
    pub const fn row(self) -> usize {
        self.0 as usize
    }
}

/// The address of an entry. Compares in ledger order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryRef {
    /// The log.
    pub log: LogId,
    /// The index there.
    pub index: u64,
}

/// How far a ledger is looked at: a size per log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsOf(Arc<[u64]>);

impl AsOf {
    /// Sizes by row. Of a log behind the last one nothing is seen.
    #[must_use]
    pub fn new(sizes: impl IntoIterator<Item = u64>) -> Self {
        Self(sizes.into_iter().collect())
    }

    /// So many entries of a log are seen.
    #[must_use]
    pub fn size(&self, log: LogId) -> u64 {
        self.0.get(log.row()).copied().unwrap_or(0)
    }

    /// Whether an entry is seen.
    #[must_use]
    pub fn covers(&self, at: EntryRef) -> bool {
        at.index < self.size(at.log)
    }

    /// The size of each log, oldest first.
    pub fn sizes(&self) -> impl DoubleEndedIterator<Item = (LogId, u64)> {
        self.0.iter().enumerate().map(|(row, size)| (log_id(row), *size))
    }
}

/// The name of a log where a number would not last: the first 8 bytes of the SHA-256 of its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogName(pub [u8; 8]);

impl LogName {
    /// Of the log of an origin.
    #[must_use]
    pub fn of(origin: &str) -> Self {
        Self(*sha256(origin.as_bytes()).0.first_chunk().expect("a hash has 32 bytes"))
    }
}

/// The table of logs of a view, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs(Vec<LogName>);

impl Logs {
    /// The logs of these origins.
    #[must_use]
    pub fn new<'o>(origins: impl IntoIterator<Item = &'o str>) -> Self {
        Self(origins.into_iter().map(LogName::of).collect())
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The name of a row.
    #[must_use]
    pub fn name(&self, log: LogId) -> Option<LogName> {
        self.0.get(log.row()).copied()
    }

    /// The row of a name.
    #[must_use]
    pub fn named(&self, name: LogName) -> Option<LogId> {
        self.0.iter().position(|one| *one == name).map(log_id)
    }
}

/// A row's id. A ledger has a log for each of its origins: a few.
pub(crate) fn log_id(row: usize) -> LogId {
    LogId(u32::try_from(row).unwrap_or(u32::MAX))
}
