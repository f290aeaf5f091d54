//! What became of events that were sent, as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::log::{Attested, Inclusion};
use crate::values::{HexHash, Str, Uuid};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// It is on the disk.
    Recorded,
    /// It was there before.
    Duplicate,
    /// It was not taken.
    Refused,
}

/// Why an event was refused.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// A stable code.
    pub code: Str<'static>,
    /// For people: which member, and what to do. Never repeats what was sent.
    pub detail: Str<'static>,
    /// The member that is wrong, where it is one.
    pub member: Option<Str<'static>>,
}

/// The verdict about an event.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict<'a> {
    /// Of NDJSON, where it was refused: its line, from 1.
    pub line: Option<u64>,
    /// Its UUID, given or derived; of a refused one where it could be read.
    pub event_id: Option<Uuid>,
    /// What became of it.
    pub status: EventStatus,
    /// Of a duplicate in an older origin: the origin. Index, sequence and hash are those of that
    /// one.
    #[serde(borrow)]
    pub origin: Option<Str<'a>>,
    /// Index in the log.
    pub index: Option<u64>,
    /// Place in the chain of its target.
    pub sequence: Option<u64>,
    /// Hash of its leaf.
    pub event_hash: Option<HexHash>,
    /// Who vouches for it.
    pub attested_by: Option<Attested>,
    /// Why it was refused.
    pub error: Option<Refused>,
    /// With `receipt=proof`: its inclusion proof.
    pub proof: Option<Inclusion<'a>>,
}

/// `POST /v1/events`: once all of it is on the disk.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdicts<'a> {
    /// One for each event, in order.
    #[serde(borrow)]
    pub events: Vec<Verdict<'a>>,
    /// The receipt: the signed checkpoint of a tree that holds everything recorded.
    pub checkpoint: Option<Str<'a>>,
}
