//! One committed state of a ledger, as readers see it: the seam between those who write and those
//! who read.
//!
//! Promises: nobody reads what is not committed. A [`view::View`] is one state, cheap to clone,
//! that does not change; what a key may do is a pure function of the ledger's own records
//! ([`registry`]); what a ledger is, its GENESIS says ([`identity`]).
//!
//! Assumes: whoever commits publishes in order, by one thread ([`committed`]).
//!
//! Refuses: to write, and to know who writes or what is asked.

pub mod address;
pub mod chains;
pub mod committed;
pub mod counted;
pub mod identity;
mod leaf_range;
pub mod page_token;
mod recorded_by;
pub mod registry;
pub mod view;
