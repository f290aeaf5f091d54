//! Personal values as JSON: their handles, their disclosure and their erasure.

use ledgerline_proof::vocabulary as kernel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::log::Recorded;
use crate::values::{Handle, Str, Word};

/// A personal value to look up. It stands in a body, never in a URL.
#[skip_serializing_none]
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// What sort of value.
    #[schemars(with = "Word<kernel::HandleKind>")]
    pub kind: String,
    /// Alias of the issuer that knows the person.
    #[serde(default)]
    pub issuer: String,
    /// The value.
    pub value: String,
    /// Tenant, for keys of all tenants.
    pub tenant: Option<String>,
}

/// The handle of a personal value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// What sort of value.
    pub kind: Word<kernel::HandleKind>,
    /// Its handle.
    pub handle: Handle,
}

/// A handle whose personal data is to be destroyed.
#[skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Erase {
    /// The handle.
    #[schemars(with = "Handle")]
    pub handle: String,
    /// Why; stands in the ledger for ever, at most 1024 bytes.
    pub purpose: String,
    /// Tenant, for keys of all tenants.
    pub tenant: Option<String>,
}

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Erased {
    /// Index of the ERASED entry.
    pub index: u64,
    /// Sealed records whose bytes were overwritten.
    pub frames_zeroed: u64,
}

/// Whose personal records are wanted, and why: exactly one of `token_id`, `handle`, and `source`
/// with `event_id`.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Disclose {
    /// Why, in 1 to 256 characters; stands in the ledger for ever.
    #[schemars(required)]
    pub purpose: Option<String>,
    /// Tenant, for keys of all tenants.
    pub tenant: Option<String>,
    /// All events of a token.
    pub token_id: Option<String>,
    /// All events that carry a handle.
    #[schemars(with = "Option<Handle>")]
    pub handle: Option<String>,
    /// Source of an event.
    pub source: Option<String>,
    /// Its UUID.
    pub event_id: Option<String>,
    /// Events of a page.
    #[schemars(range(min = 1, max = 256))]
    pub limit: Option<usize>,
    /// `next` of the page before.
    pub page: Option<String>,
    /// A proof bundle with the opened records in it, instead of the answer.
    pub proof: bool,
    /// With `proof`: the size of an older checkpoint that the tree must begin with.
    pub previous_size: Option<u64>,
}

/// A page of a disclosure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Disclosed<'a> {
    /// Index of the DISCLOSED entry, which was on the disk first.
    pub index: u64,
    /// Origin of the log.
    #[serde(borrow)]
    pub origin: Str<'a>,
    /// Entries of the log.
    pub size: u64,
    /// The checkpoint that holds that entry.
    pub checkpoint: Str<'a>,
    /// The tenant.
    pub tenant: Str<'a>,
    /// The purpose.
    pub purpose: Str<'a>,
    /// How many records this page has.
    pub records: u64,
    /// Where the next page begins: send it as `page`, with a purpose. Null at the end.
    pub next: Option<Str<'a>>,
    /// The events, each with its opened `records`.
    pub events: Vec<Recorded<'a>>,
}
