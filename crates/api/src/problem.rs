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

/// The HTTP status of the refusal of a lone event.
#[must_use]
pub fn status_of_event(code: &str) -> u16 {
    match code {
        "bad_json" | "bad_frame" | "not_utf8" | "truncated" | "non_canonical"
        | "unknown_schema" | "bad_cloudevent" => 400,
        "unsupported_media_type" => 415,
        "out_of_grant" | "wrong_tenant" | "wrong_source" | "signature_required"
        | "bad_signature" | "unknown_key" | "wrong_deployment" | "wrong_alg" | "retired_key" => 403,
        "event_id_conflict" | "act_mismatch" | "lifecycle_violation" => 409,
        "body_too_large" | "entry_too_large" | "attachment_too_large" => 413,
        "vault_unavailable" | "key_unavailable" | "state_unavailable" => 503,
        _ => 422,
    }
}
