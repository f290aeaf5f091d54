//! Entries as numbers in JSON: members of before there were addresses, which count through all
//! origins, oldest first. In a ledger of one origin such a number is an index.
//!
//! ```text
//! of a token       first_index, last_index, covered_by; next, and after, of its events
//! revocations      position, next and size; since
//! findings         index, open_again_at, the index of a move, the id of an event of the stream;
//!                  from, and Last-Event-ID
//! resource tokens  searched_from
//! ```
//!
//! Promises: these stay as they were. Nothing is read by such a number: what comes in becomes an
//! address at the door.
//!
//! Refuses: new members. They say an origin and an index (decision 0042).

pub use ledgerline_view::counted::{count, entry, first, position as number};
