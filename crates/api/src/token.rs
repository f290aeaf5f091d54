//! Tokens as JSON: their states and their lives.

use ledgerline_proof::vocabulary as kernel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::log::{Evidence, ProofState, Recorded};
use crate::values::{Handle, Str, Time, Word};

/// How a token came into the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Birth {
    /// Its ISSUED was recorded.
    Issued,
    /// It is older than the ledger and was taken over (ORIGIN).
    Origin,
    /// Neither: it was only seen in use.
    Unknown,
}

/// A state of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Nothing says that it was issued.
    Unknown,
    /// Issued, and not usable yet.
    Pending,
    /// May be used.
    Active,
    /// A code that was used.
    Spent,
    /// On hold.
    Suspended,
    /// Replaced by another by rotation.
    Superseded,
    /// Reached its expiry.
    Expired,
    /// Revoked.
    Revoked,
}

/// A state of a token, judged at a time.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct State<'a> {
    /// Where it stands.
    pub state: Status,
    /// The same by its entries alone, without what follows from the time.
    pub state_by_entries: Status,
    /// Whether it may be used.
    pub active: bool,
    /// For which time that was judged.
    pub judged_at: Time,
    /// How it came into the ledger.
    pub birth: Birth,
    /// What sort of token it is.
    pub token_kind: Option<Word<kernel::TokenKind>>,
    /// When it was issued, where it says so.
    pub issued_at: Option<Time>,
    /// Before when it is not to be used.
    pub not_before: Option<Time>,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// Until when it may be used though it was rotated.
    pub grace_until: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
    /// When it was last refreshed.
    pub last_refreshed_at: Option<Time>,
    /// OAuth client that it was issued to.
    #[serde(borrow)]
    pub client_id: Option<Str<'a>>,
    /// Its first entry, counted through all origins of this ledger.
    pub first_index: Option<u64>,
    /// Its last entry, counted likewise.
    pub last_index: Option<u64>,
}

/// A token in an answer.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token<'a> {
    /// Its id.
    #[serde(borrow)]
    pub token_id: Str<'a>,
    /// Its other ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_known_as: Vec<Str<'a>>,
    /// Where it stands by the order of recording.
    pub known: State<'a>,
    /// Where it stands by the order in which things happened.
    pub happened: State<'a>,
    /// When it was born.
    pub born_at: Option<Time>,
    /// The person it was issued to, by the handle.
    pub subject: Option<Handle>,
    /// OAuth client it was issued to.
    pub client_id: Option<Str<'a>>,
    /// Its session.
    pub session_id: Option<Str<'a>>,
    /// Its grant.
    pub grant_id: Option<Str<'a>>,
    /// For whom it is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<Str<'a>>,
    /// Its scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Str<'a>>,
    /// How many events it has.
    pub events: u64,
    /// The entries it was born by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub births: Vec<Evidence<'a>>,
    /// Entries that revoke something wider which covers it: its session, grant, client, key or
    /// person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub covered_by: Vec<Evidence<'a>>,
    /// `block` when the published checkpoint covers its whole life.
    pub proof_state: ProofState,
}

/// `GET /v1/tokens/{id}`: where a token stands.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenLife<'a> {
    /// The id that was asked about.
    #[serde(borrow)]
    pub token_id: Str<'a>,
    /// The tenant.
    pub tenant: Str<'a>,
    /// Origin of the log.
    pub origin: Str<'a>,
    /// Origins that this ledger continues, oldest first.
    pub older_origins: Vec<Str<'a>>,
    /// Entries of the log.
    pub size: u64,
    /// The size that was asked about.
    #[serialize_always]
    pub as_of: Option<u64>,
    /// Its other ids.
    pub also_known_as: Vec<Str<'a>>,
    /// How many events it has, of all its ids.
    pub event_count: u64,
    /// Where it stands by the order of recording.
    pub known: State<'a>,
    /// Where it stands by the order in which things happened.
    pub happened: State<'a>,
    /// The time that was asked about.
    #[serialize_always]
    pub at: Option<Time>,
    /// Whether none of its own events had happened by that time.
    pub nothing_had_happened: bool,
    /// In words: where `known` looks alive at a time at which the token was not.
    #[serialize_always]
    pub note: Option<Str<'a>>,
    /// Entries that revoke something wider which covers it, counted through all origins.
    pub covered_by: Vec<u64>,
    /// Whether something of it was not read, so that the states may be others.
    pub incomplete: bool,
    /// The newest signed checkpoint.
    pub checkpoint: Str<'a>,
    /// Entries since the last block, which receipts alone prove yet.
    pub newer_entries: u64,
}

/// `GET /v1/tokens/{id}/events`: a token with a page of its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenEvents<'a> {
    /// The token.
    #[serde(borrow, flatten)]
    pub token: TokenLife<'a>,
    /// Where the next page of events begins: send it as `page`. Null at the end.
    pub next: Option<Str<'a>>,
    /// The events, oldest first.
    pub events: Vec<Recorded<'a>>,
}
