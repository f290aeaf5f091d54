//! The interface of the ledger, once: every JSON form both ways, the parameters of queries, the
//! table of routes, and the OpenAPI document that follows from them.
//!
//! Promises: server, commands, adapters and intake share these types, so that they cannot differ.
//! What a type says is written (`Serialize`), read (`Deserialize`) and described (`JsonSchema`).
//! Absent members are left out unless a type says `null`. Unknown members of requests are refused;
//! those of answers are ignored, but in a statement.
//!
//! Knows the kernel alone: not who asks, not what an answer stands on, not how it travels.

pub mod answer;
pub mod door;
pub mod event;
pub mod finding;
pub mod ingest;
pub mod key;
pub mod log;
pub mod moment;
pub mod oauth;
pub mod openapi;
pub mod operation;
pub mod parameters;
pub mod privacy;
pub mod problem;
pub mod progress;
pub mod question;
pub mod reconcile;
pub mod recorded;
pub mod revoke;
pub mod schema;
pub mod source;
pub mod statement;
pub mod status;
pub mod time_text;
pub mod token;
pub mod triage;
pub mod uuid_text;
pub mod values;

/// Longest body of a request, in bytes.
pub const BODY_BYTES_MAX: usize = 16 << 20;
