//! How far the followers are that an answer depends on, as JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::values::Str;

/// Whether a follower has caught up with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Catching {
    /// It has.
    CaughtUp,
    /// It has not yet.
    Behind,
    /// It does not run.
    SwitchedOff,
}

/// How far a follower is.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress<'a> {
    /// Whether it has caught up.
    pub state: Catching,
    /// Entries it has gone through; null when it is switched off.
    #[serialize_always]
    pub position: Option<u64>,
    /// Of how many.
    pub of: u64,
    /// How many are left; null when it is switched off.
    #[serialize_always]
    pub lag_entries: Option<u64>,
    /// How often it failed and began again.
    pub failures: u64,
    /// Findings about what an answer of an older size covers that were recorded after that size.
    pub recorded_later: Option<u64>,
    /// All of that for people.
    #[serde(borrow)]
    pub words: Str<'a>,
}

impl Progress<'_> {
    /// Whether nothing is left.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.state == Catching::CaughtUp
    }
}

/// Followers by name: `findings`, `expiry`, `verifier`, `index`, `webhook`.
pub type AllProgress<'a> = BTreeMap<Str<'a>, Progress<'a>>;
