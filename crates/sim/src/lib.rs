//! Seeded whole lives of a ledger over the fake world ([`ledgerline_world::fake`]), held against a
//! model. For tests and the simulator only; the program never uses it.
//!
//! Promises: one seed gives the same life, on every machine.

mod counting;
pub mod follower_contract;
mod run;
mod test_ledger;
mod walk;

pub use counting::RoundTrips;
pub use ledgerline_world::fake::{
    FaultCounts, Faults, Random, Shortage, SimClock, SimDisk, SimEntropy, Snapshot, Storm,
    disk_contract,
};
pub use run::{Failure, Held, Images, Tally, run};
pub use test_ledger::{
    SECRET, START_NANOS, TestLedger, TestWorld, credential, ed25519_producer, event, event_id,
    hmac_producer,
};
pub use walk::{Walk, expiries};
