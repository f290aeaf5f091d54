//! Who calls, and whether they may.
//!
//! Promises: a caller is known by a bearer API key (RFC 6750 section 2.1), or by a credential that
//! the gate found proven by a certificate or an identity token; the comparison of keys is the
//! engine's, in constant time. Refuses: keys in the query or a cookie; all failures look alike to
//! whoever does not have the secret.

use axum::http::HeaderMap;
use ledgerline_answers::problem::Problem;
use ledgerline_gate::credential;
use ledgerline_proof::statement::MAX_ID_BYTES;
use ledgerline_view::registry::{ALL_TENANTS, Caller, Roles};

use crate::App;

/// Who may read what has no personal data in it.
pub const READERS: Roles = Roles::READER.with(Roles::AUDITOR).with(Roles::RESPONDER);

/// Said to whoever is none of them.
pub const READERS_LACKING: &str = "the credential needs the role reader, auditor or responder";

/// What a route needs of its callers, and what is said to whoever lacks it.
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// One of these.
    pub roles: Roles,
    /// In words.
    pub lacking: &'static str,
}

/// What a route needs that reads what has no personal data in it.
pub const READER: Needs = Needs { roles: READERS, lacking: READERS_LACKING };

/// The caller, whatever its roles.
///
/// # Errors
/// 401 without a valid key.
pub fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller, Problem> {
    credential::caller(headers, |key| app.caller(key))
}

/// The caller, if it has one of the roles.
///
/// # Errors
/// 401 without a valid key, 403 without a role.
pub fn require(
    app: &App,
    headers: &HeaderMap,
    roles: Roles,
    lacking: &'static str,
) -> Result<Caller, Problem> {
    let caller = authenticate(app, headers)?;
    if caller.roles().has(roles) { Ok(caller) } else { Err(Problem::forbidden(lacking)) }
}

/// The tenant that a question is about: the one asked for, or the caller's own.
///
/// # Errors
/// 404 when the caller may not see it, as if it were empty; and for what no tenant is called, of
/// which nothing may be recorded.
pub fn tenant(caller: &Caller, asked: Option<&str>) -> Result<String, Problem> {
    let tenant = asked.unwrap_or_else(|| caller.own_tenant());
    let is_name = tenant.len() <= MAX_ID_BYTES
        && tenant != ALL_TENANTS
        && !tenant.chars().any(char::is_control);
    if is_name && caller.may_see(tenant) {
        Ok(tenant.to_owned())
    } else {
        Err(Problem::not_found())
    }
}

/// Whether the caller acts for all tenants.
#[must_use]
pub fn is_all_tenant(caller: &Caller) -> bool {
    caller.tenant() == ALL_TENANTS
}
