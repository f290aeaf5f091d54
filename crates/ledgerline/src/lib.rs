//! The parts of the program that other targets build on.
//!
//! The binary is the product; this library exists so that tests and tools can use the adapters
//! without starting it. It promises no stable interface.

pub mod adapters;
