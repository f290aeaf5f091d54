//! Reconciliations as JSON: an issuer's own table against the ledger.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::token::Status;
use crate::values::{HexHash, Str, Time};

/// What is to be compared.
#[skip_serializing_none]
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconciliation {
    /// Tenant, for keys of all tenants.
    pub tenant: Option<String>,
    /// Region of the token ids.
    pub region: String,
    /// Alias of the issuer.
    pub issuer: String,
    /// When the table was taken.
    #[schemars(with = "Time")]
    pub taken_at: String,
    /// Whether differences become findings.
    #[serde(default)]
    pub record: bool,
    /// The tokens.
    #[schemars(length(max = 500))]
    pub tokens: Vec<ReconciledToken>,
}

/// A token of the issuer's table; or one that is not in it, which is not usable there.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReconciledToken {
    /// Its id.
    pub token_id: String,
    /// Its other ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub also_known_as: Vec<String>,
    /// Whether it may be used, by the issuer.
    pub usable: bool,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference<'a> {
    /// The token.
    #[serde(borrow)]
    pub token_id: Str<'a>,
    /// The rule: `reconcile_unknown_token`, `reconcile_ended_here`, `reconcile_missing_at_issuer`.
    pub difference: Str<'a>,
    /// How grave.
    pub severity: Str<'a>,
    /// Where it stands here.
    pub here: Status,
    /// Id of the finding that it is, or would be.
    pub finding: HexHash,
}

/// The differences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reconciled<'a> {
    /// The tenant.
    #[serde(borrow)]
    pub tenant: Str<'a>,
    /// `<region>:<issuer alias>`.
    pub issuer: Str<'a>,
    /// When the table was taken.
    pub taken_at: Time,
    /// Entries of the log.
    pub size: u64,
    /// How many tokens were compared.
    pub compared: u64,
    /// Whether the differences are findings now.
    pub recorded: bool,
    /// The differences.
    pub differences: Vec<Difference<'a>>,
}
