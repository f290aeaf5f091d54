//! Keys as JSON: API keys and producers' signing keys.

use ledgerline_proof::vocabulary as kernel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::values::{Str, Time, Word};

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Send events.
    Producer,
    /// Ask questions.
    Reader,
    /// Ask questions and prove answers; of all tenants, read the log itself.
    Auditor,
    /// Look up, disclose and erase personal values.
    Privacy,
    /// Ask questions, revoke tokens, handle findings.
    Responder,
    /// Introspect tokens.
    ResourceServer,
    /// Revoke its own tokens.
    Client,
    /// Make and end keys.
    Admin,
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// It may be used.
    Valid,
    /// It may be used until `ends_at`.
    Ending,
    /// It ended by itself.
    Expired,
    /// It was ended.
    Retired,
    /// It was ended because it leaked.
    Compromised,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key<'a> {
    /// Its id.
    #[serde(borrow)]
    pub key_id: Str<'a>,
    /// Where it stands.
    pub status: KeyStatus,
    /// When it ends, of one that is being replaced.
    pub ends_at: Option<Time>,
    /// The key that replaces it.
    pub successor: Option<Str<'a>>,
    /// What it is for.
    pub purpose: Word<kernel::KeyPurpose>,
    /// Of a signing key: `HMAC-SHA256` or `Ed25519`.
    pub alg: Option<Str<'a>>,
    /// Its tenant, `*` for all.
    pub tenant: Str<'a>,
    /// The source it writes for.
    pub source: Str<'a>,
    /// Its roles.
    pub roles: Vec<Str<'a>>,
    /// Event types it may write; empty for all.
    pub types: Vec<Word<kernel::EventType>>,
    /// Issuers it may write for; empty for all.
    pub issuers: Vec<Str<'a>>,
    /// Regions it may write for; empty for all.
    pub regions: Vec<Str<'a>>,
    /// Whether it must sign what it sends.
    pub signed_only: bool,
    /// Whether it is refused what violates a token's lifecycle.
    pub strict: bool,
    /// Index of the entry that made it.
    pub valid_from: u64,
    /// Index of the entry that ended it.
    pub valid_until: Option<u64>,
    /// Whether it leaked.
    pub compromised: bool,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
}

/// `GET /v1/keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Keys<'a> {
    /// The keys.
    #[serde(borrow)]
    pub keys: Vec<Key<'a>>,
}

/// A key to make: an API key, or with `alg` a producer's signing key.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewKey {
    /// Its id; for administrators of all tenants alone. Without it one is given.
    pub key_id: Option<String>,
    /// `HMAC-SHA256` or `Ed25519`; absent for an API key.
    pub alg: Option<String>,
    /// Its tenant, `*` for all; without it that of the caller.
    pub tenant: Option<String>,
    /// The source it writes for; without it `api`.
    pub source: Option<String>,
    /// Its roles; an API key needs one.
    #[schemars(with = "Vec<Role>")]
    pub roles: Vec<String>,
    /// Event types it may write; empty for all.
    #[schemars(with = "Vec<Word<kernel::EventType>>")]
    pub types: Vec<String>,
    /// Issuers it may write for; empty for all.
    pub issuers: Vec<String>,
    /// Regions it may write for; empty for all.
    pub regions: Vec<String>,
    /// Whether it must sign what it sends.
    pub signed_only: bool,
    /// Whether it is refused what violates a token's lifecycle.
    pub strict: bool,
    /// When it ends by itself.
    #[schemars(with = "Option<Time>")]
    pub expires_at: Option<String>,
    /// Base64 of the 32 bytes of an Ed25519 public key.
    pub public_key: Option<String>,
}

/// How a key is replaced.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RotateKey {
    /// Base64 of the 32 bytes of the new Ed25519 public key.
    pub public_key: Option<String>,
    /// Seconds for which the old key may still be used: at most 90 days.
    #[schemars(range(max = 7_776_000))]
    pub overlap_seconds: u64,
}

/// A key that was made. Its secret is shown this once.
#[skip_serializing_none]
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct AddedKey {
    /// Its id.
    pub key_id: String,
    /// Index of the entry that made it.
    pub index: u64,
    /// Its secret; null for an Ed25519 key, whose secret the producer has.
    #[serialize_always]
    pub secret: Option<String>,
    /// The key that it replaces.
    pub replaces: Option<String>,
    /// When that one ends.
    pub old_key_ends_at: Option<Time>,
}

/// The index of the entry that records an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedAt {
    /// The index.
    pub index: u64,
}
