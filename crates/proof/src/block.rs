//! The block entry: closes a range of entries and commits to the ledger's root over it.
//!
//! Promises: `tree_root` is the root of the tree of `first_index + count` leaves, so the block's
//! own leaf fixes everything before it. A block entry is the last leaf of its commit, and that
//! commit's checkpoint is the published one.

use crate::hash::Hash;
use crate::hlc::Hlc;
use crate::wire::wire_record;

wire_record! {
    /// Reserved for completeness proofs: the root of a key map over an aligned index range.
    pub struct KeyMap {
        /// Level of the range.
        pub level: i32,
        /// First index of the range.
        pub first_index: i64,
        /// Root of the map.
        pub root: Hash,
    }
}

wire_record! {
    /// A range of entries, closed.
    pub struct Block {
        /// Number of the block, from 0.
        pub height: i64,
        /// Event hash of the previous block entry; 32 zero bytes at height 0.
        pub previous: Hash,
        /// First index covered: the previous block's index + 1, or 0.
        pub first_index: i64,
        /// How many entries it covers; may be 0.
        pub count: i64,
        /// The ledger's root at `first_index + count`.
        pub tree_root: Hash,
        /// Earliest `occurred_at` covered; null when no event is.
        pub min_occurred_at: Option<Hlc>,
        /// Latest `occurred_at` covered.
        pub max_occurred_at: Option<Hlc>,
        /// First `recorded_at` covered.
        pub first_recorded_at: Option<Hlc>,
        /// Last `recorded_at` covered.
        pub last_recorded_at: Option<Hlc>,
        /// When the block was sealed.
        pub sealed_at: Hlc,
        /// Submissions refused since the last block.
        pub refused_count: i64,
        /// RFC 6962 root over the refusals' leaves; SHA-256 of nothing when there are none.
        pub refused_root: Hash,
        /// Reserved; empty.
        pub key_maps: Vec<KeyMap>,
    }
}

wire_record! {
    /// One leaf of `refused_root`. It holds no digest of the refused content.
    pub struct Refusal<'a> {
        /// When it was refused, Unix nanoseconds.
        pub received_at: i64,
        /// The credential; empty when unauthenticated.
        pub credential: &'a str,
        /// The stable code.
        pub code: &'a str,
        /// Random.
        pub id: [u8; 16],
    }
}
