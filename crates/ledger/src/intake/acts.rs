//! Administrative acts, as they are handed to the planner.
//!
//! Promises: what an act says is all here, so that its texts can be looked through for secrets
//! before anything is planned.

use ledgerline_proof::hash::Hash;
use ledgerline_proof::own_statement::OwnStatement;
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
    /// States these, each as often as its name says. The answer's index is that of the last one
    /// recorded; when all were recorded before, that of the next entry.
    State(Vec<OwnStatement>),
    /// States this. Refused when it was stated before.
    StateNew {
        /// The statement.
        statement: Box<OwnStatement>,
        /// What is answered when it was.
        refusal: EventError,
    },
}
