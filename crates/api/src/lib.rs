//! The forms in which the ledger and its callers write things to each other: times, UUIDs and
//! leaves as JSON, and the interface itself, described.
//!
//! Promises: one writer and one reader of each form, for server, commands, adapters and intake.
//! Knows the kernel alone: not who asks, not what an answer stands on, not how it travels.

pub mod inventory;
pub mod leaf_json;
pub mod moment;
pub mod openapi;
pub mod time_text;
pub mod uuid_text;
pub mod written;

/// Longest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 16 << 20;
