//! The write path: from bytes of a caller to entries that are durable, signed and visible.
//!
//! Promises: after an acknowledged event no crash of the process, and no power cut on a disk that
//! honours fsync, loses, reorders or doubles it. Only the sequencer assigns indexes; the commit
//! point is one marked line of the journal.
//!
//! Assumes: one thread plans, one publishes.
//!
//! Refuses: async, protocols and vendors; to know any question or any follower.

pub mod folders;
pub mod idempotency;
pub mod in_flight;
pub mod inbox;
pub mod intake;
mod lifecycle_guard;
pub mod opening;
mod plan_error;
pub mod planner;
pub mod publisher;
pub mod refusals;
pub mod sequencer;

pub use opening::{predecessors, reindex, replay};
