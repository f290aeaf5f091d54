//! Revocations as JSON: what is asked for, and what became of each token.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::answer::Cut;
use crate::ingest::{EventStatus, Refused};
use crate::triage::Knowledge;

/// What ends with a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum With {
    /// Its descendants and, for a refresh token, its grant and its family.
    #[default]
    Grant,
    /// Its descendants alone.
    Descendants,
}

/// How a blast radius is to be revoked.
#[skip_serializing_none]
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RevokeFamily {
    /// Tenant of the token, for keys of all tenants.
    pub tenant: Option<String>,
    /// Why; without it `compromise`.
    pub reason: Option<String>,
    /// Say what would be revoked, and revoke nothing.
    pub dry_run: bool,
    /// The token itself, so that its issuer can be notified. Never stored.
    pub token: Option<String>,
    /// What ends with it; without it `grant`.
    #[schemars(with = "Option<With>")]
    pub with: Option<String>,
    /// False when the issuer is not to be notified.
    pub tell_issuer: Option<bool>,
}

/// What became of one REVOKED.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokeVerdict {
    /// The token.
    pub token_id: String,
    /// What became of it.
    pub status: EventStatus,
    /// Index of its entry.
    pub index: Option<u64>,
    /// Why it was refused.
    pub error: Option<Refused>,
}

/// A token of the set that goes together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetMember {
    /// Its id.
    pub token_id: String,
    /// Why it is in the set: `itself`, `descendant`, `grant`, `family` and the like.
    pub why: String,
    /// Its state before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its state after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What became of notifying its issuer: `answered_200`, `failed`, `not told`, `would be told`;
    /// null where nothing was to be said.
    pub issuer: Option<String>,
    /// Why its issuer was not notified.
    pub issuer_why: Option<String>,
}

impl SetMember {
    /// A token alone.
    #[must_use]
    pub fn itself(token_id: &str) -> Self {
        Self {
            token_id: token_id.to_owned(),
            why: "itself".to_owned(),
            before: None,
            after: None,
            issuer: None,
            issuer_why: None,
        }
    }
}

/// In numbers, whether issuers were notified.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuersTold {
    /// Tokens that it is about.
    pub of: u64,
    /// Of how many the issuer was notified.
    pub told: u64,
    /// Of how many it was not.
    pub not_told: u64,
    /// How many of these have an issuer that could be.
    pub could_be_told: u64,
    /// Why not.
    pub why_not: BTreeSet<String>,
}

/// What a responder's revocation did, or would do.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revoked {
    /// The token; null when it is unknown.
    #[serialize_always]
    pub token_id: Option<String>,
    /// `known`, or `unknown`: then nothing was revoked.
    pub status: Knowledge,
    /// The tenant.
    pub tenant: Option<String>,
    /// What ends with it.
    pub with: Option<With>,
    /// Whether several issuers have a token of this digest: each is ended.
    pub claimed_by_several: Option<bool>,
    /// Whether nothing was revoked because that was asked for.
    pub dry_run: bool,
    /// Tokens that go together.
    pub family: u64,
    /// Each of them, before and after.
    pub set: Vec<SetMember>,
    /// Those that are, or would be, revoked.
    pub to_revoke: Vec<String>,
    /// How many were.
    pub revoked: u64,
    /// What became of each REVOKED.
    pub events: Option<Vec<RevokeVerdict>>,
    /// What cut the search.
    pub cut_by: Vec<Cut>,
    /// The checkpoint that holds the REVOKED.
    pub checkpoint: Option<String>,
    /// What became of notifying the issuer of the token itself.
    pub issuer: String,
    /// Why it was not notified, or did not answer.
    pub issuer_why: Option<String>,
    /// Index of the entry that says so; absent when it could not be recorded.
    pub issuer_entry: Option<u64>,
    /// In numbers, whether issuers were notified.
    pub told: IssuersTold,
    /// Whether every issuer was.
    pub issuer_told: bool,
    /// Of a JWT: what is known of its signature.
    pub signature: Option<String>,
}

impl Revoked {
    /// Nothing was revoked, and no issuer notified.
    #[must_use]
    pub fn nothing(status: Knowledge) -> Self {
        Self {
            token_id: None,
            status,
            tenant: None,
            with: None,
            claimed_by_several: None,
            dry_run: false,
            family: 0,
            set: Vec::new(),
            to_revoke: Vec::new(),
            revoked: 0,
            events: None,
            cut_by: Vec::new(),
            checkpoint: None,
            issuer: "not told".to_owned(),
            issuer_why: None,
            issuer_entry: None,
            told: IssuersTold::default(),
            issuer_told: false,
            signature: None,
        }
    }
}
