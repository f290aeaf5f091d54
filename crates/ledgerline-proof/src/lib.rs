//! The kernel.

pub mod hash;
pub mod tile;
pub mod tree;
