//! `ledgerline agent`: the local daemon through which services in every language, and files that
//! others write, reach the ledger.
//!
//! ```text
//! Unix socket, loopback ─▶ face ─┐
//!                                ├─▶ judge ─▶ spool ─▶ ledger
//! files ──────────────────▶ tail ┘            (the emitter's, with retries and heartbeats)
//! ```
//!
//! Promises: what is answered 202, and what was read of a file, reaches the ledger exactly once,
//! also when the agent, the ledger or both are killed in between; a kill loses what the setting
//! `durable` says it may. What is refused is said, counted and visible. No bearer value stands in
//! the spool, a log line, a metric or an answer.
//!
//! Assumes: the state folder is on a disk that keeps what it synced.
//!
//! Refuses: to speak to others than this machine's; see `face`.

mod aside;
mod asked;
mod clock;
mod command;
mod condition;
mod counts;
mod emitted;
mod face;
mod judge;
mod notify;
mod outlet;
mod refusing;
mod running;
mod salts;
mod settings;
mod signing;
mod state;
mod tail;

pub use crate::command::{AgentArgs, run};
