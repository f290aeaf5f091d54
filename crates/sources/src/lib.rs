//! Adapters of the logs that need no memory of what came before, and the list of all adapters.
//!
//! Each is a folder: its mapping as a table ([`record`]), its rules for identifiers, its fixtures
//! in `tests`. Those of token issuers, whose lines are understood only with those before, stand in
//! `issuer_logs`; what an adapter is, in `adapter`, whose names are re-exported here.
//!
//! Refuses: nothing by itself; see [`Adapter`].

mod access_log;
mod auth0;
pub mod auto;
mod cloudtrail;
mod entra;
mod github;
mod google_workspace;
mod hydra;
mod kubernetes;
mod okta;
mod opa;
pub mod set;
mod teleport;
mod vault;
mod zitadel;

pub use ledgerline_adapter::*;
pub use ledgerline_issuer_logs::{keycloak, oidc_provider};

/// The adapter of a name.
#[must_use]
pub fn choice(name: &str) -> Option<&'static Choice> {
    ADAPTERS.iter().find(|one| one.name == name)
}

/// Every adapter: a new one is its module and a row here, in the order of their names.
pub const ADAPTERS: &[Choice] = &[
    auth0::CHOICE,
    cloudtrail::CHOICE,
    entra::CHOICE,
    access_log::ENVOY,
    github::CHOICE,
    google_workspace::CHOICE,
    hydra::CHOICE,
    keycloak::CHOICE,
    kubernetes::CHOICE,
    access_log::NGINX,
    oidc_provider::CHOICE,
    okta::CHOICE,
    opa::CHOICE,
    teleport::CHOICE,
    vault::CHOICE,
    zitadel::CHOICE,
];
