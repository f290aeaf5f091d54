//! The frame of every answer to a question about the past.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{Str, Time};

/// What cut an answer. It then lacks something that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// There is another page.
    Limit,
    /// The read budget was spent.
    Reads,
    /// The bound `depth` of a walk.
    Depth,
    /// The bound `tokens` of a walk.
    Tokens,
    /// A token has too many ids, or a chain too many entries.
    Width,
    /// The credential may not end all that goes with the token.
    Grant,
}

/// An answer: what it is about, as of which size of the log, and what cut it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Answer")]
pub struct Answer<'a, T> {
    /// Name of the question.
    #[serde(borrow)]
    pub question: Str<'a>,
    /// Tenant it was asked about.
    pub tenant: Str<'a>,
    /// Whether a key or an entry ever named that tenant. A mistyped one is not a quiet one.
    pub tenant_known: bool,
    /// Origin of the log that `as_of` is a size of.
    pub origin: Str<'a>,
    /// What the ledger knew: the size it is answered as of.
    pub as_of: u64,
    /// The event time that was asked about.
    pub at: Option<Time>,
    /// For which time states are judged.
    pub judged_at: Time,
    /// Entries of the log now.
    pub size: u64,
    /// The newest signed checkpoint.
    pub checkpoint: Str<'a>,
    /// Entries that the published checkpoint covers.
    pub published_size: u64,
    /// Entries since then, which receipts alone prove yet.
    pub newer_entries: u64,
    /// What cut the answer; empty when it is whole.
    pub cut_by: Vec<Cut>,
    /// Where the next page begins: send it as `page`. Null at the end.
    pub next: Option<Str<'a>>,
    /// The answer itself.
    #[serde(flatten)]
    pub body: T,
}
