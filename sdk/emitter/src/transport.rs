//! How a batch gets to the ledger: the one seam that knows what lies between.
//!
//! Nothing else of the emitter knows which transport it has. A transport is used by one thread.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::unit::Unit;

/// Sends batches. Contract: `send` ends within a time of its own choosing, also when nobody answers
/// at the other end. It may be given the same units again, in batches that are cut otherwise; the
/// other end knows events by their ids. It repeats nothing by itself: the emitter does.
pub trait Transport: Send {
    /// Sends units of one form, and says what became of their events.
    fn send(&mut self, batch: &[Arc<Unit>]) -> Delivery;
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Every event has a verdict, in order; what was recorded is durable. With the signed
    /// checkpoint that came along, if one did.
    Answered(Vec<Verdict>, Option<String>),
    /// The batch as a whole cannot be taken as it is, and none of it was. Sent in smaller parts,
    /// the rest passes.
    TooMuch(Refused),
    /// Not now. Whether any of it was recorded is not known.
    Busy {
        /// How long the other end asks to wait.
        after: Option<Duration>,
        /// Why, in a word.
        why: Word,
    },
    /// No answer. Whether any of it was recorded is not known.
    Unreachable {
        /// Why, in a word.
        why: Word,
    },
    /// The credential or the settings are refused: no event passes until somebody changes that.
    Denied(Refused),
}

/// A short word of lower-case letters and underscores, for logs and metrics.
pub type Word = Cow<'static, str>;

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the ledger.
    Recorded,
    /// It was in the ledger before.
    Duplicate,
    /// It will not be taken, however often it is sent.
    Refused(Refused),
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Stable code.
    pub code: String,
    /// For people. Never repeats what was sent.
    pub detail: String,
}

impl Refused {
    /// With a code and a text.
    pub fn new(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code: code.into(), detail: detail.into() }
    }
}
