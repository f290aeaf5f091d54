//! The kernel.

pub mod checkpoint;
pub mod cosignature;
pub mod hash;
pub mod note;
pub mod tile;
pub mod tlog_proof;
pub mod tree;
