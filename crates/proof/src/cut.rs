//! A cut: how far every live ledger under a top ledger was, at one time.
//!
//! ```text
//! Cut = shard_list_version ‖ heads [origin ‖ size ‖ root]      in a control leaf of kind CUT
//! ```
//!
//! An answer that is merged from many ledgers names one cut: it is "as of" the heads in it, and one
//! inclusion proof in the top ledger fixes all of them.
//!
//! Promises: a cut that decodes has at least one head, its origins ascend, and so none occurs
//! twice: the same heads under the same list are one array, and who looks an origin up may halve.
//!
//! Assumes, since no reader of one leaf can see it: each size is one that a block entry of that
//! ledger ends, each root is that ledger's, and no live ledger is left out. Whoever relies on a cut
//! checks that against the ledgers it names and the list of shards.
//!
//! Nobody writes one yet, and no ledger can say yet that it is a top ledger.

use crate::checkpoint::MAX_ORIGIN_BYTES;
use crate::hash::Hash;
use crate::note::check_key_name;
use crate::wire::{Reader, Refused, Wire, wire_record};

wire_record! {
    /// How far one ledger was.
    pub struct CutHead<'a> {
        /// Its origin.
        pub origin: &'a str,
        /// A size of it that a block entry ends, above 0.
        pub size: i64,
        /// Its root at that size.
        pub root: Hash,
    }
}

/// How far every live ledger under a top ledger was, at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut<'a> {
    /// Version of the list of shards that says which ledgers are live; from 0.
    pub shard_list_version: i64,
    /// One for each live ledger, by the bytes of their origins; at least one.
    pub heads: Vec<CutHead<'a>>,
}

impl Cut<'_> {
    /// The head of a ledger; `None` when it is not in the cut.
    #[must_use]
    pub fn head(&self, origin: &str) -> Option<&CutHead<'_>> {
        let at = self.heads.binary_search_by(|head| head.origin.cmp(origin)).ok()?;
        self.heads.get(at)
    }
}

impl<'a> Wire<'a> for Cut<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        self.shard_list_version.put(out);
        self.heads.put(out);
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, Refused> {
        let shard_list_version = reader.take_long()?;
        if shard_list_version < 0 {
            return Err(reader.out_of_range("version of the list of shards"));
        }
        let heads: Vec<CutHead<'a>> = Wire::take(reader)?;
        let named = |head: &CutHead<'_>| {
            head.origin.len() <= MAX_ORIGIN_BYTES && check_key_name(head.origin).is_ok()
        };
        if heads.is_empty() {
            return Err(reader.non_canonical("a cut of no ledger"));
        }
        if !heads.iter().all(named) {
            return Err(reader.out_of_range("origin in a cut"));
        }
        if heads.iter().any(|head| head.size <= 0) {
            return Err(reader.out_of_range("size in a cut"));
        }
        if !heads.is_sorted_by(|one, next| one.origin < next.origin) {
            return Err(reader.non_canonical("origins of a cut do not ascend"));
        }
        Ok(Self { shard_list_version, heads })
    }
}
