//! The program's parts, as a library so that tests and tools can use them.
//!
//! The binary is the product; this library promises no stable interface. Everything below is thin:
//! it extracts, asks the engine, and maps the answer.

pub mod adapters;
pub mod cli;
pub mod client;
pub mod config;
pub mod descriptors;
pub mod exit;
pub mod http;
pub mod input;
pub mod inventory;
pub mod issuers;
pub mod logs;
pub mod outbound;
pub mod privacy;
pub mod reload;
pub mod remote_log;
pub mod render;
pub mod tls;
pub mod unreachable;
pub mod webhook;
