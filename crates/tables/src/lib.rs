//! What operators keep in files: the lines and JSON values of any file or pipe ([`input`]), the
//! tokens of an issuer as a table ([`token_table`]), and the sources that should report
//! ([`inventory`]).
//!
//! Promises: no line that is not UTF-8, no broken value and no bad row costs more than itself; what
//! is said of it names its line, never its content.
//!
//! Knows no server, and no log of another system: those are the adapters of `sources`.

pub mod input;
pub mod inventory;
pub mod token_table;
