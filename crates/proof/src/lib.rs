//! The kernel of Ledgerline: what an outsider must trust to believe an answer of the ledger.
//!
//! Promises: everything here is a pure function of its arguments. The formats of statement, entry,
//! block and control; hashes, chain, tree, tiles, notes, checkpoints; the lifecycle of a token; the
//! proof bundle; and every check of them.
//!
//! Assumes: SHA-256, HMAC and Ed25519 hold.
//!
//! Refuses: I/O, clocks, threads, randomness. Time and keys are passed in.

pub mod block;
pub mod block_builder;
pub mod bundle;
pub mod calendar;
pub mod chain;
pub mod check;
pub mod checkpoint;
pub mod control;
pub mod cosignature;
pub mod cut;
pub mod decode;
pub mod entry;
pub mod event_id;
pub mod hash;
pub mod held;
pub mod hlc;
pub mod lifecycle;
pub mod note;
pub mod own_statement;
pub mod personal;
pub mod question;
pub mod schema;
pub mod signature;
pub mod statement;
pub mod submission;
pub mod tile;
pub mod tlog_proof;
pub mod token_id;
pub mod tree;
pub mod vocabulary;
pub mod wire;
