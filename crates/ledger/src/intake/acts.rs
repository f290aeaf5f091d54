//! Administrative acts, as they are handed to the planner.
//!
//! Promises: what an act says is all here, so that its texts can be looked through for secrets
//! before anything is planned.

use ledgerline_proof::hash::Hash;
use ledgerline_proof::own_statement::{Disclosing, OwnStatement};
use ledgerline_proof::vocabulary::{EventType, KeyPurpose};
use ledgerline_view::registry::{ALL_TENANTS, Roles};

use super::EventError;

/// A key to be registered.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its id; never reused.
    pub key_id: String,
    /// Credential or producer key.
    pub purpose: KeyPurpose,
    /// 0 for a credential, 1 HMAC-SHA256, 2 Ed25519.
    pub alg: i32,
    /// Its tenant, `*` for all.
    pub tenant: String,
    /// The source it writes for.
    pub source: String,
    /// Roles, for credentials.
    pub roles: Roles,
    /// Event types; empty for all.
    pub types: Vec<EventType>,
    /// Issuer aliases; empty for all.
    pub issuers: Vec<String>,
    /// Regions; empty for all.
    pub regions: Vec<String>,
    /// Whether it takes signed statements only.
    pub signed_only: bool,
    /// Whether lifecycle violations are refused.
    pub strict: bool,
    /// Unix nanoseconds after which a credential no longer authenticates.
    pub expires_at: Option<i64>,
    /// An Ed25519 public key.
    pub public_key: Option<[u8; 32]>,
    /// The hash of a secret.
    pub secret_hash: Option<Hash>,
}

impl NewKey {
    /// A credential without roles that may write for one source, about every tenant. Whoever wants
    /// another grant says so with `NewKey { roles, ..NewKey::credential(…) }`.
    #[must_use]
    pub fn credential(key_id: &str, source: &str) -> Self {
        Self {
            key_id: key_id.into(),
            purpose: KeyPurpose::Credential,
            alg: 0,
            tenant: ALL_TENANTS.into(),
            source: source.into(),
            roles: Roles::default(),
            types: Vec::new(),
            issuers: Vec::new(),
            regions: Vec::new(),
            signed_only: false,
            strict: false,
            expires_at: None,
            public_key: None,
            secret_hash: None,
        }
    }

    /// A key that signs statements of one source, about every tenant. `alg` as [`Self::alg`].
    #[must_use]
    pub fn producer(key_id: &str, source: &str, alg: i32) -> Self {
        Self { purpose: KeyPurpose::Producer, alg, ..Self::credential(key_id, source) }
    }
}

/// An administrative act.
#[derive(Debug, Clone)]
pub enum AdminAct {
    /// Registers a key.
    AddKey(Box<NewKey>),
    /// Ends a key.
    EndKey {
        /// The key.
        key_id: String,
        /// Whether it leaked.
        compromised: bool,
        /// Why.
        reason: Option<String>,
    },
    /// Destroys a person's key.
    Erase {
        /// The person.
        handle: [u8; 16],
        /// The tenant whose chain records it.
        tenant: String,
        /// The credential that asked.
        by: String,
        /// Why.
        purpose: String,
    },
    /// Records that personal records are read.
    Disclose(Box<Disclosing>),
    /// States these, each once for ever. The answer's index is that of the next entry.
    State(Vec<OwnStatement>),
    /// States this as of now. Refused when it was stated before.
    StateNew {
        /// The statement.
        statement: Box<OwnStatement>,
        /// What is answered when it was.
        refusal: EventError,
    },
    /// Records whether a token's issuer was told of its revocation.
    IssuerTold(Box<IssuerTold>),
    /// Records until when a key goes on that another one replaces.
    KeyEnds(Box<KeyEnds>),
}

/// The detail `act` of the ADMIN_ACT that says when a replaced key ends.
pub const KEY_ENDS: &str = "key_ends";

/// Until when a key goes on that another one replaces, for the chain of the key. It ends by its
/// KEY_RETIRED, which the node records then: this says only when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEnds {
    /// The key's tenant; empty for keys of all.
    pub tenant: String,
    /// The key.
    pub key_id: String,
    /// The key that replaces it.
    pub successor: String,
    /// When it ends, RFC 3339.
    pub at: String,
    /// The credential that asked.
    pub by: String,
}

/// What came of telling an issuer, for the token's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerTold {
    /// The token's tenant.
    pub tenant: String,
    /// The token.
    pub token_id: String,
    /// The credential that asked.
    pub by: String,
    /// `confirmed` or `failed`.
    pub outcome: &'static str,
    /// A short word, when it failed.
    pub why: Option<String>,
}
