//! The server's status and the register of issuers, as JSON.

use ledgerline_proof::vocabulary as kernel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::progress::AllProgress;
use crate::values::{HexHash, Str, Word};

/// An older origin that this ledger continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OlderOrigin<'a> {
    /// Its name.
    #[serde(borrow)]
    pub origin: Str<'a>,
    /// Its verifier key (C2SP signed-note).
    pub log_key: Str<'a>,
    /// Its entries.
    pub size: u64,
    /// Its last checkpoint.
    pub checkpoint: Str<'a>,
}

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Credential<'a> {
    /// Id of the key.
    #[serde(borrow)]
    pub key_id: Str<'a>,
    /// Its tenant.
    pub tenant: Str<'a>,
    /// Whether it acts for all tenants.
    pub all_tenants: bool,
    /// The source it writes for.
    pub source: Str<'a>,
    /// Its roles.
    pub roles: Vec<Str<'a>>,
    /// Event types that its grant covers; empty for all. Servers of before did not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<Word<kernel::EventType>>>,
}

/// Whether the head store, which keeps the newest checkpoint, works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeadStore {
    /// It does.
    Ok,
    /// It had no checkpoint when the server started on a ledger with entries.
    WasMissingAtStart,
    /// It does not.
    Failing,
}

/// `GET /v1/status`: sizes, checkpoints and positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerStatus<'a> {
    /// Version of the program.
    #[serde(borrow)]
    pub version: Str<'a>,
    /// Origin of the log.
    pub origin: Str<'a>,
    /// What the ledger is deployed as; signatures are bound to it.
    pub deployment: Str<'a>,
    /// The log's verifier key (C2SP signed-note). Whoever checks proofs must have it from a place
    /// they trust, not from here.
    pub log_key: Str<'a>,
    /// Origins that this ledger continues, oldest first.
    pub older_origins: Vec<OlderOrigin<'a>>,
    /// Entries of the log.
    pub size: u64,
    /// Root of its tree.
    pub root: HexHash,
    /// The newest signed checkpoint.
    pub checkpoint: Str<'a>,
    /// The published checkpoint: it ends with a block.
    pub published: Str<'a>,
    /// Whether events are taken.
    pub ready: bool,
    /// Why not.
    pub not_ready_because: Option<Str<'a>>,
    /// Whether the head store works.
    pub head_store: HeadStore,
    /// Entries that the published checkpoint covers.
    pub published_size: u64,
    /// Events recorded since the start.
    pub recorded_since_start: u64,
    /// Duplicates since then.
    pub duplicates_since_start: u64,
    /// Refusals since then.
    pub refused_since_start: u64,
    /// Bytes of events that wait to be recorded.
    pub queue_bytes: u64,
    /// How far the followers are.
    pub progress: AllProgress<'a>,
    /// Issuers of the register.
    pub issuers: Vec<Issuer<'a>>,
    /// Whoever asks.
    pub credential: Credential<'a>,
}

/// Keys of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerKeys<'a> {
    /// Where they come from.
    #[serde(borrow)]
    pub from: Str<'a>,
    /// URL of the JWK set.
    pub url: Option<Str<'a>>,
    /// Keys that can be used; null before the first reading.
    pub usable: Option<u64>,
    /// How often they were fetched.
    pub fetches: u64,
    /// How often that failed.
    pub failures: u64,
    /// Why it failed last.
    pub last_failure: Option<Str<'a>>,
}

/// An issuer: of one that only keys name the alias alone is known.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Issuer<'a> {
    /// Its alias in token ids.
    #[serde(borrow)]
    pub alias: Str<'a>,
    /// Its `iss`.
    pub iss: Option<Str<'a>>,
    /// Region of its token ids.
    pub region: Option<Str<'a>>,
    /// How the id of a JWT follows from its `jti`.
    pub jti_rule: Option<Str<'a>>,
    /// Its keys.
    pub keys: Option<IssuerKeys<'a>>,
    /// Whether JWTs that cannot be verified are taken by their digest.
    pub accepts_unverified: Option<bool>,
    /// Where it takes revocations (RFC 7009).
    pub revocation_endpoint: Option<Str<'a>>,
}

/// `GET /v1/issuers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerRegister<'a> {
    /// The issuers.
    #[serde(borrow)]
    pub issuers: Vec<Issuer<'a>>,
}

/// `GET /`: where to begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Index<'a> {
    /// `ledgerline`.
    #[serde(borrow)]
    pub name: Str<'a>,
    /// Version of the program.
    pub version: Str<'a>,
    /// What it is, in a sentence.
    pub about: Str<'a>,
    /// Where to look next: path by what is there.
    pub links: std::collections::BTreeMap<Str<'a>, Str<'a>>,
}
