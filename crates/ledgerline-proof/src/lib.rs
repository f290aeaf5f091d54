//! The kernel.

pub mod hash;
