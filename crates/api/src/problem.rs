//! Refusals as JSON: problem details (RFC 9457), and those of OAuth (RFC 6749 section 5.2).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::values::Str;

/// A refusal.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem<'a> {
    /// `urn:ledgerline:problem:` and the code.
    #[serde(rename = "type", borrow)]
    pub kind: Str<'a>,
    /// The status in words.
    pub title: Str<'a>,
    /// The HTTP status.
    pub status: u16,
    /// A stable code: what programs go by.
    pub code: Str<'a>,
    /// For people: what is wrong, and what to do. Never repeats what was sent.
    pub detail: Str<'a>,
    /// The member or the parameter that is wrong, where it is one.
    pub member: Option<Str<'a>>,
}

/// A refusal of an OAuth endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OauthError<'a> {
    /// The code of the RFC.
    #[serde(borrow)]
    pub error: Str<'a>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<Str<'a>>,
}
