//! Where an entry stands: in which log, and at which index there.
//!
//! ```text
//! in memory        EntryRef { log, index }    log: the row in the view's table of logs
//! in page tokens   name ‖ index               name: first 8 bytes of SHA-256 of the log's origin
//! in the kernel    rank: 16 bits log ‖ 48 bits index      an order among facts, no address
//! how far          AsOf: a size per log
//! from where       Begin: an entry, behind what an AsOf covers
//! ```
//!
//! Promises: addresses compare in ledger order, older logs first, and so do their ranks. No size of
//! a log is in an address: what an entry is called does not change when another log is restored
//! with fewer entries. What leaves the process names a log by what it is called for ever
//! ([`LogName`]): a row may move when a log is added.
//!
//! Assumes: one view's addresses are resolved by views of the same ledger. A log has fewer than
//! 2^48 entries, a ledger fewer than 2^16 logs.
//!
//! Refuses: to know what stands there, and to count entries through several logs. Those who do are
//! named in decision 0042.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;

use ledgerline_index::SpreadMap;
use ledgerline_proof::hash::sha256;

/// Bits of a rank that say the index.
const INDEX_BITS: u32 = 48;
const LAST_INDEX: u64 = (1 << INDEX_BITS) - 1;

/// A row in a view's table of logs, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogId(pub u16);

impl LogId {
    /// Which row.
    #[must_use]
    pub const fn row(self) -> usize {
        self.0 as usize
    }

    /// All addresses that a log can have.
    #[must_use]
    pub const fn entries(self) -> RangeInclusive<EntryRef> {
        EntryRef { log: self, index: 0 }..=EntryRef { log: self, index: u64::MAX }
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

/// A map by address. Its order is never looked at.
pub type EntryMap<V> = SpreadMap<EntryRef, V>;

impl EntryRef {
    /// Where every ledger begins.
    pub const FIRST: Self = Self { log: LogId(0), index: 0 };

    /// The number that the kernel knows an entry by, which needs an order among facts and no
    /// address. Ranks compare as addresses do.
    #[must_use]
    pub const fn rank(self) -> u64 {
        let index = if self.index < LAST_INDEX { self.index } else { LAST_INDEX };
        (self.log.0 as u64) << INDEX_BITS | index
    }

    /// The address of a rank.
    #[must_use]
    pub const fn of_rank(rank: u64) -> Self {
        let [high, low, ..] = rank.to_be_bytes();
        Self { log: LogId(u16::from_be_bytes([high, low])), index: rank & LAST_INDEX }
    }

    /// The next address of the log.
    #[must_use]
    pub const fn next(self) -> Self {
        Self { log: self.log, index: self.index.saturating_add(1) }
    }
}

impl Hash for EntryRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.rank());
    }
}

/// The indexes of addresses of one log.
#[must_use]
pub fn indexes(of_one_log: &[EntryRef]) -> Vec<u64> {
    of_one_log.iter().map(|at| at.index).collect()
}

/// How far a ledger is looked at: a size per log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsOf(Arc<[u64]>);

impl AsOf {
    /// Sizes by row. Of a log without a size nothing is seen.
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

    /// Whether all that is seen is seen by another one, too.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.sizes().all(|(log, size)| size <= other.size(log))
    }

    /// The end of what is seen, in ledger order: the newest log of which anything is, and how much.
    #[must_use]
    pub fn end(&self) -> Option<EntryRef> {
        let newest = self.sizes().rev().find(|(_, size)| *size > 0);
        newest.map(|(log, index)| EntryRef { log, index })
    }

    /// How many entries are seen, of all logs together: for progress, no address.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What is seen when reading in ledger order, towards `end`, has come to an entry: to its end
    /// where there is none.
    #[must_use]
    pub fn gone_on(&self, end: &Self, next: Option<EntryRef>) -> Self {
        let sizes = end.sizes().map(|(log, size)| {
            let seen = self.size(log);
            match next.map(|next| log.cmp(&next.log)) {
                None | Some(Ordering::Less) => size.max(seen),
                Some(Ordering::Equal) => next.map_or(seen, |next| next.index.max(seen)),
                Some(Ordering::Greater) => seen,
            }
        });
        Self::new(sizes)
    }

    /// The size of each log, oldest first.
    pub fn sizes(&self) -> impl DoubleEndedIterator<Item = (LogId, u64)> {
        self.0.iter().enumerate().map(|(row, size)| (log_id(row), *size))
    }
}

/// Where reading begins: at an entry in ledger order, and behind what was seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    at: EntryRef,
    behind: Option<AsOf>,
}

impl Begin {
    /// Behind what is covered, in every log.
    #[must_use]
    pub const fn behind(seen: AsOf) -> Self {
        Self { at: EntryRef::FIRST, behind: Some(seen) }
    }

    /// The same, and not before an entry.
    #[must_use]
    pub fn not_before(self, at: EntryRef) -> Self {
        Self { at: self.at.max(at), ..self }
    }

    /// The first index in a log; `None` when nothing of it is read.
    #[must_use]
    pub fn index(&self, log: LogId) -> Option<u64> {
        let by_entry = match self.at.log.cmp(&log) {
            Ordering::Less => 0,
            Ordering::Equal => self.at.index,
            Ordering::Greater => return None,
        };
        Some(self.behind.as_ref().map_or(0, |seen| seen.size(log)).max(by_entry))
    }
}

impl From<EntryRef> for Begin {
    fn from(at: EntryRef) -> Self {
        Self { at, behind: None }
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
    LogId(u16::try_from(row).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(log: u16, index: u64) -> EntryRef {
        EntryRef { log: LogId(log), index }
    }

    #[test]
    fn an_order_by_numbers_was_another_one_than_that_by_addresses() {
        let list = [at(0, 0), at(0, 7), at(0, LAST_INDEX), at(1, 0), at(2, 3), at(u16::MAX, 1)];
        for pair in list.windows(2) {
            assert!(pair[0] < pair[1] && pair[0].rank() < pair[1].rank(), "{pair:?}");
        }
        for one in list {
            assert_eq!(EntryRef::of_rank(one.rank()), one);
            assert!(one.log.entries().contains(&one) && one < one.next());
        }
        // In the oldest log a rank is the index.
        assert_eq!(at(0, 7).rank(), 7);
    }

    #[test]
    fn reading_that_went_on_behind_one_log_passed_over_what_another_one_had_gained() {
        let seen = AsOf::new([5, 2]);
        let begin = Begin::behind(seen.clone());
        let of = |begin: &Begin| [0, 1, 2].map(|log| begin.index(LogId(log)));
        assert_eq!(of(&begin), [Some(5), Some(2), Some(0)]);
        assert_eq!(of(&begin.clone().not_before(at(0, 9))), [Some(9), Some(2), Some(0)]);
        assert_eq!(of(&begin.not_before(at(1, 1))), [None, Some(2), Some(0)]);
        assert_eq!(of(&Begin::from(at(1, 1))), [None, Some(1), Some(0)]);
        let (more, other) = (AsOf::new([5, 3]), AsOf::new([6, 1]));
        assert!(seen.is_within(&more) && !more.is_within(&seen));
        assert!(!more.is_within(&other) && !other.is_within(&more), "neither is the later one");
        assert!(AsOf::new([5]).is_within(&seen) && !seen.is_within(&AsOf::new([5])));
        assert_eq!((seen.end(), AsOf::new([4, 0]).end()), (Some(at(1, 2)), Some(at(0, 4))));
        assert_eq!(AsOf::new([0, 0]).end(), None);
        let (begun, end) = (AsOf::new([2, 7]), AsOf::new([9, 8, 4]));
        let gone_on = |next| begun.gone_on(&end, next);
        assert_eq!(gone_on(Some(at(0, 5))), AsOf::new([5, 7, 0]), "the second log is no further");
        assert_eq!(gone_on(Some(at(2, 1))), AsOf::new([9, 8, 1]));
        assert_eq!((gone_on(None), end.total()), (end.clone(), 21));
    }
}
