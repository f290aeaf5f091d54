//! Adapters of token issuers whose log is understood only with the lines before: a revoked grant
//! names none of its tokens, a replay kills a family without an event.
//!
//! Each keeps a bounded memory and counts what it forgets; see `ledgerline_adapter::Adapter` for
//! what they promise.

pub mod keycloak;
pub mod oidc_provider;
