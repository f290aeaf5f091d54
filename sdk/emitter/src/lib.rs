//! Reports events to a ledger from inside a service, without slowing it or losing one.
//!
//! ```text
//! emit ─► slots ─► worker ─► backlog ─► sender ─► transport ─► ledger
//!         bounded  number,   memory,      one batch at a time, oldest first,
//!                  sign      then spool   again until its fate is known
//! ```
//!
//! Promises: [`Emitter::emit`] does no input or output, waits for nothing but a short lock, and
//! holds no more memory than the settings allow. An event keeps its identity, number, time and
//! signature in every try, so that one that is sent twice is recorded once. Events of one emitter
//! arrive in the order in which they were emitted. What is not delivered within
//! [`Builder::spill_after`] is in the spool, on the disk, and survives a kill of the process.
//!
//! What a kill of the process loses: in the default mode what was emitted within the last
//! `spill_after` (100 ms) and had not reached the ledger; with [`Builder::durable`] nothing:
//! `emit` then returns after the spool's fsync, and so it may wait for the disk.
//!
//! When memory and spool are full: [`WhenFull::FailOpen`] gives the event up, counts it, and skips
//! its number, which the ledger shows as the finding `source_gap`; [`WhenFull::FailClosed`] says so
//! to the caller, and skips nothing.
//!
//! Refuses: nothing silently. A refused event is counted by code, told to a callback and kept in a
//! bounded list. Shows no bearer value: it is given none.

mod backlog;
mod builder;
mod counts;
mod emitter;
mod heartbeat;
#[cfg(feature = "http")]
mod http_transport;
#[cfg(feature = "tower")]
pub mod layer;
mod prepare;
mod run;
mod seen;
mod settings;
mod slots;
mod spool;
mod transport;
mod unit;

pub use builder::{Builder, StartError};
pub use counts::{Counts, MAX_REFUSALS, Refusal};
pub use emitter::{Emission, EmitError, Emitter, HandOverError};
#[cfg(feature = "http")]
pub use http_transport::{HttpSettings, HttpSettingsError, HttpTransport};
pub use ledgerline_api::event;
pub use prepare::Signing;
pub use run::Stopped;
pub use seen::{LogReader, ReadError};
pub use settings::WhenFull;
pub use spool::{Damage, Position, Spool, SpoolError, SpoolSettings};
pub use transport::{Delivery, Refused, Transport, Verdict, Word};
pub use unit::{Form, MAX_UNIT_BYTES, MAX_UNIT_EVENTS, Unit, UnitError};
