//! Reading an event out of a leaf: the one place that goes from an entry to its statement.
//!
//! Assumes leaves of the pinned schemas, as the ledger writes them. Blocks, control records and
//! leaves that do not decode are no events. Where a leaf's own schemas count or the error does
//! (prover, verifier, recovery), they are read there.

use crate::entry::Entry;
use crate::schema::{Kind, decode_object_with};
use crate::statement::Statement;

/// Calls `read` with the entry and statement of a leaf; `None` when the leaf is no readable event.
pub fn read_event<'l, T>(
    leaf: &'l [u8],
    read: impl FnOnce(&Entry<'l>, &Statement<'l>) -> T,
) -> Option<T> {
    let read = |entry: &Entry<'l>| {
        decode_object_with(Kind::Statement, entry.statement, |one| read(entry, one)).ok()
    };
    decode_object_with(Kind::Entry, leaf, read).ok()?
}
