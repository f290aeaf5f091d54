//! The journal: write-ahead log and permanent store in one. An entry is written once.
//!
//! Promises: one fsync per commit; what was appended survives whatever the disk honours; what was
//! not whole is cut off, kept aside and told. Assumes and crash cases: docs/durability.md.

pub mod format;
pub mod reader;
pub mod recovery;
pub mod scan;
pub mod writer;
