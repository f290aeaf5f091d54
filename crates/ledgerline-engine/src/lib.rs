//! The engine of Ledgerline: it takes statements in, gives them their place, makes them durable and
//! proves them.
//!
//! Promises: after an acknowledged event no crash of the process, and no power cut on a disk that
//! honours fsync, loses, reorders or doubles it. Only the sequencer assigns indexes; only the
//! journal writes journal bytes; the commit point is one named line.
//!
//! Refuses: async, protocols and vendors. Every room is a struct with a step function; `node/`
//! wires them to threads, the simulator calls the same steps.

pub use ledgerline_followers::{expiry, findings, reported};
pub use ledgerline_index as index;
pub use ledgerline_journal as journal;
pub use ledgerline_journal::{end_note, erasure, head_store, quarantine, tree_store};
pub use ledgerline_ledger::{
    duplicates, folders, inbox, intake, opening, origins, overlay, planner, publisher, refusals,
    reindex, replay, sequencer,
};
pub use ledgerline_node as node;
pub use ledgerline_node::counters;
pub use ledgerline_questions as questions;
pub use ledgerline_questions::{disclosure, life, lineage, page_token, prover, standing};
pub use ledgerline_sim as simulation;
pub use ledgerline_vault as vault;
pub use ledgerline_vault::keys;
pub use ledgerline_verify as verify;
pub use ledgerline_view::{committed, identity, registry, view};
pub use ledgerline_world::{clock, disk, entropy, patience};
