//! The world, as traits: files, time and randomness, and what stands in their place in tests.
//!
//! Promises: whatever the ledger reads from or does to the outside goes through [`disk::Disk`],
//! [`clock::Clock`] or [`entropy::Entropy`], so a simulator can stand in the world's place. What
//! passes by itself (no space, an interrupted call) is waited for ([`patience`]); work that is done
//! side by side gives the same results in the same order as work done alone ([`parallel`]).
//!
//! Assumes: one process has the folders; docs/explanation/durability.md states what is assumed of
//! disks.
//!
//! Refuses: any knowledge of ledgers. Nothing here knows what the bytes mean, and no crate of ours
//! stands below this one.

pub mod cache;
pub mod clock;
pub mod disk;
pub mod entropy;
#[cfg(feature = "fake")]
pub mod fake;
pub mod parallel;
pub mod patience;
