//! The journal: write-ahead log and permanent store in one. An entry is written once.
//!
//! Promises: one fsync per commit; what was appended survives whatever the disk honours; what was
//! not whole is cut off, kept aside and told. No storage is believed: a leaf is handed out only if
//! its hash is the tree's ([`leaf_store`], [`reader`], [`tree_store`]). What lies beside the
//! segments is here too: the newest checkpoint ([`head_store`]), where older origins end
//! ([`end_note`]), refused statements ([`quarantine`]), and the sealed frames that are zeroed
//! ([`erasure`]).
//!
//! Assumes: docs/explanation/durability.md, with the crash cases.
//!
//! Refuses: to know what a leaf says, or who may write one.

#[cfg(feature = "fake")]
pub mod commit_contract;
pub mod commit_store;
pub mod end_note;
pub mod erasure;
pub mod format;
pub mod head_store;
#[cfg(any(test, feature = "fake"))]
pub mod leaf_contract;
pub mod leaf_store;
pub mod quarantine;
pub mod reader;
pub mod recovery;
pub mod scan;
pub mod streams;
pub mod tree_store;
pub mod writer;
