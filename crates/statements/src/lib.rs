//! What producers write, judged by its form: events in JSON and submissions in Avro become
//! statements with what travels beside them.
//!
//! Promises: one judgment for the ledger's intake and for whoever takes events on the way to it
//! (the agent), so that what one of them takes has a form that the other takes. A refusal has a
//! stable code and a text that never repeats the input. What looks like a bearer value is refused.
//!
//! Assumes: the caller bounded the body, and judges grants, signatures and order itself.
//!
//! Knows the kernel, the interface and the secret scan: no key, no clock, no randomness.

pub mod beside;
pub mod drafted;
mod effect;
pub mod json;
pub mod lines;
pub mod written;

use ledgerline_secret_scan::Refusal;

pub use crate::drafted::{Draft, check_form};

/// Why an event was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventError {
    /// Stable code.
    pub code: &'static str,
    /// What to do about it; never a value of the input.
    pub detail: String,
    /// The member that is wrong, where it is one.
    pub member: Option<&'static str>,
}

impl EventError {
    /// An error with a code and a text.
    #[must_use]
    pub const fn new(code: &'static str, detail: String) -> Self {
        Self { code, detail, member: None }
    }

    /// Names the member that is wrong.
    #[must_use]
    pub const fn about(mut self, member: &'static str) -> Self {
        self.member = Some(member);
        self
    }
}

impl From<Refusal> for EventError {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.detail)
    }
}

/// An error of the kernel's, with its code.
pub(crate) fn refused(code: &'static str, why: &dyn std::fmt::Display) -> EventError {
    EventError::new(code, why.to_string())
}
