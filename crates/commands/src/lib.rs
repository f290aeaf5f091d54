//! The commands that ask a server: one module per command, all of them clients of the public HTTP
//! interface.
//!
//! Promises: answers go to standard output, everything else to standard error; exit codes as in
//! [`ledgerline_terminal::exit`]. What a token is, the server says; tokens are hashed here.
//!
//! Knows nothing of the engine: what a command can do, every client of the interface can.

pub mod blast_radius;
pub mod call;
pub mod disclose;
pub mod document;
pub mod erase;
pub mod findings;
pub mod introspect;
pub mod keys;
pub mod life;
pub mod lineage;
pub mod lookup;
pub mod own_times;
pub mod pivot;
pub mod progress;
pub mod proof_file;
pub mod prove;
pub mod query;
pub mod question;
pub mod reconcile;
pub mod revoke;
pub mod sources;
pub mod status;
pub mod tail;
pub mod token_id;
pub mod trace;
pub mod triage;
pub mod verify_url;

pub use ledgerline_terminal::context::{ClientSettings, Context};
