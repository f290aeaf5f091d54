//! Introspection (RFC 7662) and revocation (RFC 7009): their forms and answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::values::Str;

/// What is sent to `/oauth2/introspect`, as a form. Other parameters are ignored.
#[skip_serializing_none]
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct IntrospectForm<'a> {
    /// The token. Never stored.
    #[serde(borrow)]
    pub token: Str<'a>,
    /// Ignored: it is never needed and never narrows.
    pub token_type_hint: Option<Str<'a>>,
}

/// What is sent to `/oauth2/revoke`, as a form. All but `token` is for the role responder.
#[skip_serializing_none]
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
pub struct RevokeForm<'a> {
    /// The token. Never stored.
    #[serde(borrow)]
    pub token: Str<'a>,
    /// Ignored.
    pub token_type_hint: Option<Str<'a>>,
    /// `true`: say what would be revoked, and revoke nothing.
    pub dry_run: Option<bool>,
    /// `false`: do not notify the token's issuer.
    pub tell_issuer: Option<bool>,
    /// `grant` or `descendants`.
    pub with: Option<Str<'a>>,
    /// Why; without it `admin`.
    pub reason: Option<Str<'a>>,
}

/// For whom a token is meant: one, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Audience<'a> {
    /// One.
    One(#[serde(borrow)] Str<'a>),
    /// Several.
    Several(Vec<Str<'a>>),
}

/// The answer of introspection. Of a token that is not active nothing but that is said.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Introspection<'a> {
    /// Whether it may be used now.
    pub active: bool,
    /// Its scopes, separated by spaces.
    #[serde(borrow)]
    pub scope: Option<Str<'a>>,
    /// OAuth client it was issued to.
    pub client_id: Option<Str<'a>>,
    /// `Bearer`, of an access token.
    pub token_type: Option<Str<'a>>,
    /// When it ends, in seconds since 1970.
    pub exp: Option<i64>,
    /// When it was issued, likewise.
    pub iat: Option<i64>,
    /// Before when it is not to be used, likewise.
    pub nbf: Option<i64>,
    /// The person it was issued to, by the handle; for roles that may name persons.
    pub sub: Option<Str<'a>>,
    /// For whom it is meant.
    pub aud: Option<Audience<'a>>,
    /// Its `jti`, where it has one.
    pub jti: Option<Str<'a>>,
    /// Its issuer.
    pub iss: Option<Str<'a>>,
}

/// `GET /oauth2/jwks`: keys that sign introspection answers (RFC 7517).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<crate::values::Document>,
}
