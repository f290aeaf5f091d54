//! What a pasted text may be: the tokens in it, and what they say of themselves.
//!
//! Promises: read from standard input or not at all; no note and no refusal holds a part of a
//! token.
//!
//! Knows no server and no ledger: which of the readings is meant is for whoever asks one.

pub mod candidates;
pub mod claims;
pub mod paste;
pub mod reading;

pub use candidates::{Candidates, candidates};
pub use claims::{claims, is_signed};
pub use paste::{Paste, read_paste, tell};
pub use reading::{Reading, as_utf8, json_tokens, read, shown_text};
