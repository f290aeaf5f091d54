//! The commands that bring events to a server: files of our own form and foreign logs (`ingest`),
//! and tables of tokens that are older than the ledger (`import-tokens`); what foreign logs are
//! understood (`adapters`).
//!
//! Promises: every line is recorded, a duplicate, or named with why it was not; bearer values are
//! hashed here.
//!
//! Knows no question and no answer about the past: what became of an event is all that it reads.

pub mod acts;
pub mod adapters;
mod chosen;
mod dry_run;
pub mod feed;
pub mod import_tokens;
pub mod ingest;
pub mod naming;
mod quarantine;
pub mod sender;
