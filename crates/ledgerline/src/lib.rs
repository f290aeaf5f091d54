//! The program's parts, as a library so that tests and tools can use them.
//!
//! The binary is the product; this library promises no stable interface. Everything below is thin:
//! it extracts, asks the engine, and maps the answer.

pub mod cli;
pub mod config;
pub mod logs;
pub mod privacy;
pub mod reload;
