//! The write path: from bytes of a caller to entries that are durable, signed and visible.
//!
//! Promises: after an acknowledged event no crash of the process, and no power cut on a disk that
//! honours fsync, loses, reorders or doubles it. Only the sequencer assigns indexes; the commit
//! point is one marked line of the journal.
//!
//! Assumes: one thread plans, one publishes.
//!
//! Refuses: async, protocols and vendors; to know any question or any follower.

pub mod duplicates;
pub mod folders;
pub mod inbox;
pub mod intake;
pub mod opening;
pub mod overlay;
mod plan_error;
pub mod planner;
pub mod publisher;
pub mod refusals;
pub mod sequencer;
mod strict;

pub use opening::{origins, reindex, replay};
