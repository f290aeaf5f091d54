//! Leaked tokens as JSON, in bulk.

use ledgerline_proof::vocabulary as kernel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::token::{Birth, Status};
use crate::values::{Handle, Str, Time, Word};

/// A leaked token, by what was computed of it.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Leaked {
    /// The value of its `t1` id: 43 characters of base64url.
    pub digest: Option<String>,
    /// Its id.
    pub id: Option<String>,
}

/// A batch of leaked tokens.
#[skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Triage {
    /// Tenant, for keys of all tenants.
    pub tenant: Option<String>,
    /// The tokens.
    #[schemars(length(max = 500))]
    pub tokens: Vec<Leaked>,
    /// The proof bundle of those that are known, instead of the answer.
    #[serde(default)]
    pub proof: bool,
    /// With `proof`: the size of an older checkpoint that the tree must begin with.
    pub previous_size: Option<u64>,
    /// With `proof`: seconds to wait for its block.
    #[schemars(range(max = 60))]
    pub wait: Option<u64>,
}

/// Whether the ledger knows a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// It does.
    Known,
    /// It does not.
    Unknown,
    /// More is recorded about it than one answer may read, and it is not known to be revoked.
    Unreadable,
    /// The batch ended before: ask again.
    NotReached,
}

/// What the ledger has of a token under one of its ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenRecord<'a> {
    /// The id.
    #[serde(borrow)]
    pub token_id: Str<'a>,
    /// Where it stands; null where that cannot be told.
    pub state: Option<Status>,
    /// Whether it may be used; null where that cannot be told.
    pub alive: Option<bool>,
}

impl TokenRecord<'_> {
    /// The same, borrowed from nothing.
    #[must_use]
    pub fn into_owned(self) -> TokenRecord<'static> {
        let Self { token_id, state, alive } = self;
        TokenRecord { token_id: token_id.into_owned().into(), state, alive }
    }
}

/// A leaked token, looked up.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TriagedToken<'a> {
    /// Whether the ledger knows it.
    pub status: Knowledge,
    /// What introspection would say; absent where nobody can tell.
    pub alive: Option<bool>,
    /// Its id.
    #[serde(borrow)]
    pub token_id: Option<Str<'a>>,
    /// Where it stands; absent where nobody can tell.
    pub state: Option<Status>,
    /// Whether its records differ in whether it may be used.
    pub differs: Option<bool>,
    /// Whether several issuers have a token of this digest.
    pub claimed_by_several: Option<bool>,
    /// Each record, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<TokenRecord<'a>>,
    /// UNKNOWN where nothing says that it was issued.
    pub birth: Option<Birth>,
    /// What sort of token it is.
    pub token_kind: Option<Word<kernel::TokenKind>>,
    /// The person it was issued to, by the handle.
    pub owner: Option<Handle>,
    /// OAuth client it was issued to.
    pub client_id: Option<Str<'a>>,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
    /// When it was last used.
    pub last_used_at: Option<Time>,
}

impl TriagedToken<'_> {
    /// One of which nothing but that can be said.
    #[must_use]
    pub const fn only(status: Knowledge) -> Self {
        Self {
            status,
            alive: None,
            token_id: None,
            state: None,
            differs: None,
            claimed_by_several: None,
            records: Vec::new(),
            birth: None,
            token_kind: None,
            owner: None,
            client_id: None,
            expires_at: None,
            last_used_at: None,
        }
    }

    /// The same, borrowed from nothing.
    #[must_use]
    pub fn into_owned(self) -> TriagedToken<'static> {
        let own = |text: Option<Str<'_>>| text.map(|text| Str::Owned(text.into_owned()));
        TriagedToken {
            status: self.status,
            alive: self.alive,
            token_id: own(self.token_id),
            state: self.state,
            differs: self.differs,
            claimed_by_several: self.claimed_by_several,
            records: self.records.into_iter().map(TokenRecord::into_owned).collect(),
            birth: self.birth,
            token_kind: self.token_kind,
            owner: self.owner,
            client_id: own(self.client_id),
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
        }
    }
}

/// `POST /v1/triage`: in the order of the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Triaged<'a> {
    /// `triage`.
    #[serde(borrow)]
    pub question: Str<'a>,
    /// The tenant.
    pub tenant: Str<'a>,
    /// Whether a key or an entry ever named that tenant.
    pub tenant_known: bool,
    /// Origin of the log.
    pub origin: Str<'a>,
    /// Entries of the log.
    pub size: u64,
    /// The newest signed checkpoint.
    pub checkpoint: Str<'a>,
    /// For which time it is judged.
    pub judged_at: Time,
    /// The tokens.
    pub tokens: Vec<TriagedToken<'a>>,
}
