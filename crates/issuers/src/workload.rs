//! Workloads: which certificate or identity token speaks for which credential.
//!
//! ```text
//! [workloads.gw-1]                                   the id of a credential of the ledger
//! certificate = ["spiffe://example.org/gw"]          a URI in it, or "dns:gw.example.org"
//! issuer = "k8s"                                     an alias of [issuers], with keys
//! subject = "system:serviceaccount:shop:gw"          exactly the `sub` of its tokens
//! audience = "ledgerline"                            one of their `aud`
//! ```
//!
//! Promises: a token speaks for a credential only if it is signed by a key of that issuer, has its
//! `iss`, exactly this `sub`, this `aud`, and an `exp` that lies ahead; `nbf` and `iat` may lie
//! [`SKEW_NANOS`] ahead. `alg` none is no algorithm. Nothing of a token is kept or logged. What may
//! be written is the credential's grant: this table grants nothing.
//!
//! Refuses: a workload without any proof, half a token's, a name or (issuer, subject, audience)
//! that stands for two.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::Issuers;
use crate::settings::IssuerTable;

/// How far ahead of ours the clock of an issuer may be.
pub const SKEW_NANOS: i64 = 30_000_000_000;
/// Most workloads.
const WORKLOADS_MAX: usize = 16_384;

/// One workload, as the file has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSettings {
    /// Names of its certificates.
    #[serde(default)]
    pub certificate: Vec<String>,
    /// Who issues its tokens.
    pub issuer: Option<String>,
    /// Their `sub`.
    pub subject: Option<String>,
    /// One of their `aud`.
    pub audience: Option<String>,
}

/// Whose tokens, and which of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    issuer: String,
    subject: String,
    audience: String,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct WorkloadTable {
    by_name: BTreeMap<String, String>,
    by_token: BTreeMap<Identity, String>,
    issuers: BTreeSet<String>,
}

/// Reads the table `workloads` of the file.
///
/// # Errors
/// What is wrong, where, and what to do.
pub fn parse(table: toml::Value, issuers: &IssuerTable) -> Result<WorkloadTable, String> {
    let toml::Value::Table(table) = table else {
        return Err("`workloads` is a table: write [workloads.<key id>]".to_owned());
    };
    if table.len() > WORKLOADS_MAX {
        return Err(format!("there are more than {WORKLOADS_MAX} workloads"));
    }
    let mut all = WorkloadTable::default();
    for (key_id, value) in table {
        let wrong = |what: &str| format!("workloads.{key_id}: {what}");
        let one: WorkloadSettings =
            value.try_into().map_err(|error: toml::de::Error| wrong(error.message()))?;
        for name in &one.certificate {
            let is_name = name.contains("://") || name.strip_prefix("dns:").is_some_and(is_host);
            if !is_name {
                return Err(wrong("certificate is a list of URIs and of dns:<name>"));
            }
            if all.by_name.insert(name.clone(), key_id.clone()).is_some() {
                return Err(wrong("another workload has a name of its certificate"));
            }
        }
        match (one.issuer, one.subject, one.audience) {
            (None, None, None) if !one.certificate.is_empty() => {}
            (Some(issuer), Some(subject), Some(audience)) => {
                let known = issuers.get(&issuer);
                if !known.is_some_and(|one| one.jwks_file.is_some() || one.jwks_url.is_some()) {
                    return Err(wrong("issuer is an alias of [issuers] that has keys"));
                }
                if subject.is_empty() || audience.is_empty() {
                    return Err(wrong("subject and audience are not empty"));
                }
                all.issuers.insert(issuer.clone());
                let identity = Identity { issuer, subject, audience };
                if all.by_token.insert(identity, key_id.clone()).is_some() {
                    return Err(wrong("another workload has this issuer, subject and audience"));
                }
            }
            _ => {
                let what = "give certificate, or issuer, subject and audience together, or both";
                return Err(wrong(what));
            }
        }
    }
    Ok(all)
}

fn is_host(name: &str) -> bool {
    !name.is_empty() && !name.contains('*') && name.bytes().all(|byte| byte.is_ascii_graphic())
}

impl WorkloadTable {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.by_token.is_empty()
    }

    /// Whether some prove themselves by a certificate.
    #[must_use]
    pub fn has_certificates(&self) -> bool {
        !self.by_name.is_empty()
    }

    /// The credentials that are spoken for.
    pub fn key_ids(&self) -> impl Iterator<Item = &str> {
        let all: BTreeSet<&str> =
            self.by_name.values().chain(self.by_token.values()).map(String::as_str).collect();
        all.into_iter()
    }

    /// The credential of whose certificate has this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }

    /// The credential of whoever a token proves its bearer to be at a time, Unix nanoseconds. May
    /// wait for the keys of its issuer.
    #[must_use]
    pub fn by_token(&self, issuers: &Issuers, token: &str, now: i64) -> Option<&str> {
        let proven = issuers.identity(token.as_bytes(), |alias| self.issuers.contains(alias))?;
        let is_in_time = proven.expires_at.is_some_and(|end| now < end)
            && proven.not_before.is_none_or(|begin| begin <= now.saturating_add(SKEW_NANOS))
            && proven.issued_at.is_none_or(|at| at <= now.saturating_add(SKEW_NANOS));
        if !is_in_time {
            return None;
        }
        let (issuer, subject) = (proven.issuer, proven.subject);
        proven.audiences.into_iter().find_map(|audience| {
            let identity = Identity { issuer: issuer.clone(), subject: subject.clone(), audience };
            self.by_token.get(&identity).map(String::as_str)
        })
    }
}

/// What an identity token says, under its issuer's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The alias of its issuer.
    pub issuer: String,
    /// Its `sub`.
    pub subject: String,
    /// Its `aud`.
    pub audiences: Vec<String>,
    /// Not to be used before, Unix nanoseconds.
    pub not_before: Option<i64>,
    /// Not to be used from then on.
    pub expires_at: Option<i64>,
    /// When it was issued.
    pub issued_at: Option<i64>,
}
