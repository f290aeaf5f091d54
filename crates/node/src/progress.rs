//! Catching up: how far followers and the verifier have come, behind what is committed.
//!
//! Promises: what [`Progress`] says is never more than was done. When a reader's position is `n`,
//! what it had to say of the entries before `n` is committed: a view taken *after* the position was
//! read holds it, one taken before need not. So ask here first, and take the view then.

use std::time::Duration;

use ledgerline_expiry::ExpiryFollower;
use ledgerline_followers::findings::FindingsFollower;

use super::Node;

/// A reader behind the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The rules, which judge entries.
    Findings,
    /// The schedule of expiries, which states EXPIRED. Its entries are those of all origins.
    Expiry,
    /// The verifier behind the head.
    Verifier,
    /// The index that questions look in, its part in memory included.
    Index,
}

impl Reader {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Findings, Self::Expiry, Self::Verifier, Self::Index];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Expiry => "expiry",
            Self::Verifier => "verifier",
            Self::Index => "index",
        }
    }
}

/// How far a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries that it has dealt with; `None` while it is switched off.
    pub position: Option<u64>,
    /// Entries that there were.
    pub of: u64,
    /// Times since the start that it had to begin again, after a read that failed.
    pub failures: u64,
}

impl Progress {
    /// Entries that it has not dealt with; `None` while it is switched off: nobody counts them.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.position.map(|position| self.of.saturating_sub(position))
    }

    /// Whether it has dealt with everything. Switched off, it has not.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.lag() == Some(0)
    }
}

impl Node {
    /// The longest time between two blocks while something is not covered by one.
    #[must_use]
    pub fn block_interval(&self) -> Duration {
        Duration::from_nanos(self.inner.config.pace.interval_nanos)
    }

    /// How far a reader is, against the newest committed state.
    #[must_use]
    pub fn progress(&self, reader: Reader) -> Progress {
        let inner = &self.inner;
        // The position first: it never passes what was committed before it was read.
        let (position, failures) = match reader {
            Reader::Findings => {
                let count = inner.followers.count(FindingsFollower::NAME);
                let on = inner.config.findings_interval_nanos > 0;
                (on.then_some(count.reach.position), count.failures)
            }
            Reader::Expiry => {
                let count = inner.followers.count(ExpiryFollower::NAME);
                (inner.config.expire.then_some(count.reach.position), count.failures)
            }
            Reader::Verifier => {
                let state = inner.verifying.state();
                let on = inner.config.verify_interval_nanos > 0;
                (on.then_some(state.size), state.failures)
            }
            Reader::Index => (Some(inner.rooms.index.end()), 0),
        };
        let size = inner.rooms.published().size;
        let all = || self.view().up_to(size).total();
        let of = if reader == Reader::Expiry { all() } else { size };
        Progress { position, of, failures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_switched_off_is_not_caught_up() {
        let at = |position, of| Progress { position, of, failures: 0 };
        assert!(at(Some(7), 7).is_caught_up() && at(Some(8), 7).is_caught_up());
        assert_eq!((at(Some(3), 7).lag(), at(Some(3), 7).is_caught_up()), (Some(4), false));
        assert_eq!((at(None, 0).lag(), at(None, 0).is_caught_up()), (None, false));
    }
}
