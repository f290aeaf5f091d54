//! Chains: all entries of one target in ledger order, each carrying the previous one's event hash.
//!
//! ```text
//! start of a chain
//!     = SHA-256("ledgerline/chain/v1\0" ‖ genesis hash ‖ u8 kind ‖ lp(tenant) ‖ lp(id))
//! ```
//!
//! The genesis hash in front keeps entries of one ledger from being spliced into another; kind,
//! tenant and id keep those of one chain from being spliced into another. For SUBJECT the id is the
//! 16-byte handle.
//!
//! A chain proves a prefix. That nothing was recorded after its last shown entry is not proven by
//! it.

use crate::entry::Entry;
use crate::hash::{DomainHasher, Hash, domain};
use crate::statement::Statement;
use crate::vocabulary::{HandleKind, PersonalRole, TargetKind};

/// Which chain an entry is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainKey<'a> {
    /// Kind of the target.
    pub kind: TargetKind,
    /// Tenant.
    pub tenant: &'a str,
    /// The target's id; the handle's bytes for SUBJECT.
    pub id: &'a [u8],
}

/// Where the next entry of a chain attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainTip {
    /// Index of the last entry.
    pub index: u64,
    /// Its event hash.
    pub event_hash: Hash,
    /// Its sequence.
    pub sequence: u64,
}

/// How an entry breaks its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChainBreak {
    /// The sequence is not the next.
    #[error("sequence {found} where {expected} was due")]
    Sequence {
        /// What was due.
        expected: u64,
        /// What the entry says.
        found: i64,
    },
    /// It carries another hash than the previous entry's.
    #[error("it does not carry the event hash of the previous entry")]
    PreviousHash,
    /// It names another index as its predecessor.
    #[error("it names index {found:?} as its predecessor, which is {expected:?}")]
    PreviousIndex {
        /// The real predecessor.
        expected: Option<u64>,
        /// The named one.
        found: Option<i64>,
    },
}

impl ChainKey<'_> {
    /// The hash that the first entry of this chain carries.
    ///
    /// # Panics
    /// When tenant or id exceed 65,535 bytes, which validated statements cannot.
    #[must_use]
    pub fn start(&self, genesis: &Hash) -> Hash {
        DomainHasher::new(domain::CHAIN)
            .bytes(genesis.as_bytes())
            .u8(self.kind.position())
            .lp(self.tenant.as_bytes())
            .lp(self.id)
            .finish()
    }
}

/// The chain a statement belongs to. For SUBJECT the entry must name exactly one SUBJECT/PERSON
/// handle. `None` when it does not.
#[must_use]
pub fn chain_key<'a>(
    statement: &Statement<'a>,
    handles: &'a [crate::entry::Handle],
) -> Option<ChainKey<'a>> {
    let id = if statement.target.kind == TargetKind::Subject {
        let mut subjects = handles.iter().filter(|handle| {
            handle.role == PersonalRole::Subject && handle.kind == HandleKind::Person
        });
        let only = subjects.next()?;
        if subjects.next().is_some() {
            return None;
        }
        &only.id[..]
    } else {
        statement.target.id.as_bytes()
    };
    Some(ChainKey { kind: statement.target.kind, tenant: statement.tenant, id })
}

/// Checks that `entry` is the next of its chain, given the chain's tip (`None` at the chain's
/// start).
///
/// # Errors
/// The first [`ChainBreak`].
pub fn check_link(
    entry: &Entry<'_>,
    tip: Option<&ChainTip>,
    start: impl FnOnce() -> Hash,
) -> Result<(), ChainBreak> {
    let expected = tip.map_or(0, |tip| tip.sequence + 1);
    if u64::try_from(entry.sequence) != Ok(expected) {
        return Err(ChainBreak::Sequence { expected, found: entry.sequence });
    }
    let previous = tip.map(|tip| tip.index);
    if entry.prev_index.map(u64::try_from) != previous.map(Ok) {
        return Err(ChainBreak::PreviousIndex { expected: previous, found: entry.prev_index });
    }
    if entry.prev_event_hash != tip.map_or_else(start, |tip| tip.event_hash) {
        return Err(ChainBreak::PreviousHash);
    }
    Ok(())
}
