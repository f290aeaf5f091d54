//! What the configuration file says of issuers.
//!
//! ```text
//! [issuers.idp]                                      alias, as in token ids
//! iss = "https://idp.example.com"                    exactly the `iss` of its tokens
//! region = "eu-west-1"                               home region, as in token ids
//! jti_rule = "identity"                              or "bearer": its jti is the bearer value
//! jwks_url = "https://idp.example.com/jwks"          or jwks_file = "idp.jwks.json"
//! accept_unverified = false                          true, without keys: any signature will do
//! jwks_floor_seconds = 30                            least time between two fetches
//! jwks_max_age_seconds = 3600                        after which keys are fetched again
//! revocation_endpoint = "https://idp.example.com/revoke"
//! client_id = "ledgerline"
//! client_secret_file = "idp.secret"
//! ca_file = "private-roots.pem"                      instead of the usual roots
//! tenants = ["acme"]                                 who may know of it; all when not said
//! event_audiences = ["https://ledger.example.com"]   the `aud` of events that it tells us
//! ```
//!
//! Promises: every mistake names the issuer, the key and what to do. Refuses: keys that no setting
//! has, two issuers with one `iss`, half a connector, plain http across a network. Secrets stand in
//! files of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ledgerline_client::outbound::check_url;
use ledgerline_proof::token_id::is_name;
use serde::Deserialize;

/// Most issuers.
const ISSUERS_MAX: usize = 256;
/// Longest `iss`, in bytes.
const ISS_BYTES_MAX: usize = 1024;
/// What the two times of keys may be, in seconds.
const SECONDS: std::ops::RangeInclusive<u64> = 1..=86_400;

/// What the `jti` of an issuer's tokens is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JtiRule {
    /// A name, safe to keep.
    Identity,
    /// The bearer value itself, or part of it: never kept.
    Bearer,
}

impl JtiRule {
    /// The word of the file and of answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Bearer => "bearer",
        }
    }
}

/// One issuer, as the file has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// Exactly the `iss` of its tokens.
    pub iss: String,
    /// Home region.
    pub region: String,
    /// What its `jti` is.
    pub jti_rule: JtiRule,
    /// File with its keys (RFC 7517 section 5).
    pub jwks_file: Option<PathBuf>,
    /// Where its keys are published.
    pub jwks_url: Option<String>,
    /// Only without keys: its JWTs may be active though nobody verified them. Whoever has the
    /// header and claims of one of its tokens can then present it, with any signature.
    #[serde(default)]
    pub accept_unverified: bool,
    /// Least seconds between two fetches [default: 30].
    pub jwks_floor_seconds: Option<u64>,
    /// Seconds after which keys are fetched again [default: 3600].
    pub jwks_max_age_seconds: Option<u64>,
    /// Its RFC 7009 endpoint.
    pub revocation_endpoint: Option<String>,
    /// Under which client it is told.
    pub client_id: Option<String>,
    /// File with that client's secret.
    pub client_secret_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of the usual ones.
    pub ca_file: Option<PathBuf>,
    /// Tenants that may know of it; all when empty.
    #[serde(default)]
    pub tenants: Vec<String>,
    /// Under which `aud` its security events and logout tokens are for us; none when empty.
    #[serde(default)]
    pub event_audiences: Vec<String>,
}

/// All issuers of the file, by alias.
pub type IssuerTable = BTreeMap<String, IssuerSettings>;

/// Reads the table `issuers` of the file.
///
/// # Errors
/// What is wrong, where, and what to do.
pub fn parse(table: toml::Value) -> Result<IssuerTable, String> {
    let toml::Value::Table(table) = table else {
        return Err("`issuers` is a table of issuers: write [issuers.<alias>]".to_owned());
    };
    if table.len() > ISSUERS_MAX {
        return Err(format!("there are more than {ISSUERS_MAX} issuers"));
    }
    let mut issuers = IssuerTable::new();
    for (alias, value) in table {
        let wrong = |what: &str| format!("issuers.{alias}: {what}");
        if !is_name(&alias) {
            return Err(wrong("an alias matches [a-z0-9._-]{1,32}"));
        }
        let one: IssuerSettings =
            value.try_into().map_err(|error: toml::de::Error| wrong(error.message()))?;
        check(&one).map_err(|what| wrong(&what))?;
        issuers.insert(alias, one);
    }
    let mut seen = BTreeSet::new();
    for (alias, one) in &issuers {
        if !seen.insert(&one.iss) {
            return Err(format!("issuers.{alias}: another issuer has this iss already"));
        }
    }
    Ok(issuers)
}

fn check(one: &IssuerSettings) -> Result<(), String> {
    let iss = &one.iss;
    if iss.is_empty() || iss.len() > ISS_BYTES_MAX || iss.chars().any(char::is_control) {
        return Err(format!("iss has 1 to {ISS_BYTES_MAX} bytes and no control characters"));
    }
    if !is_name(&one.region) {
        return Err("region matches [a-z0-9._-]{1,32}".to_owned());
    }
    if one.jwks_file.is_some() && one.jwks_url.is_some() {
        return Err("name jwks_file or jwks_url, not both".to_owned());
    }
    if one.accept_unverified && (one.jwks_file.is_some() || one.jwks_url.is_some()) {
        let what = "accept_unverified is for an issuer without keys: leave it or the keys out";
        return Err(what.to_owned());
    }
    for (name, seconds) in [
        ("jwks_floor_seconds", one.jwks_floor_seconds),
        ("jwks_max_age_seconds", one.jwks_max_age_seconds),
    ] {
        if seconds.is_some_and(|seconds| !SECONDS.contains(&seconds)) {
            return Err(format!("{name} is 1 to 86400"));
        }
        if seconds.is_some() && one.jwks_file.is_none() && one.jwks_url.is_none() {
            return Err(format!("{name} needs jwks_file or jwks_url"));
        }
    }
    for (name, url) in
        [("jwks_url", &one.jwks_url), ("revocation_endpoint", &one.revocation_endpoint)]
    {
        if let Some(url) = url {
            check_url(url).map_err(|what| format!("{name}: {what}"))?;
        }
    }
    let parts = [
        one.revocation_endpoint.is_some(),
        one.client_id.is_some(),
        one.client_secret_file.is_some(),
    ];
    if parts.contains(&true) && parts.contains(&false) {
        return Err("revocation_endpoint, client_id and client_secret_file go together".to_owned());
    }
    if one.client_id.as_deref().is_some_and(str::is_empty) {
        return Err("client_id is empty".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "iss = \"https://idp.test\"\nregion = \"eu\"\njti_rule = \"identity\"\n";

    fn read(text: &str) -> Result<IssuerTable, String> {
        let mut table: toml::Table = toml::from_str(text).expect("TOML");
        parse(table.remove("issuers").expect("issuers"))
    }

    #[test]
    fn a_sound_register_is_read() {
        let text = format!(
            "[issuers.idp]\n{SOUND}jwks_url = \"https://idp.test/jwks\"\n\
             revocation_endpoint = \"https://idp.test/r\"\nclient_id = \"c\"\n\
             client_secret_file = \"s\"\n[issuers.b]\niss = \"b\"\nregion = \"global\"\n\
             jti_rule = \"bearer\"\ntenants = [\"acme\"]\n"
        );
        let issuers = read(&text).expect("sound");
        assert_eq!(issuers.keys().collect::<Vec<_>>(), ["b", "idp"]);
        assert_eq!(issuers["b"].jti_rule, JtiRule::Bearer);
    }

    #[test]
    fn every_mistake_is_named() {
        let check = |text: &str, part: &str| {
            let problem = read(text).expect_err(text);
            assert!(problem.contains(part), "{text}: {problem}");
        };
        check("issuers = 1", "[issuers.<alias>]");
        check("[issuers.IDP]\n", "issuers.IDP: an alias matches");
        check("[issuers.idp]\niss = \"x\"\n", "issuers.idp: missing field `region`");
        check(&format!("[issuers.idp]\n{SOUND}secret = \"x\"\n"), "unknown field `secret`");
        check(&SOUND.replace("identity", "maybe").replacen("iss", "[issuers.i]\niss", 1), "maybe");
        let more = |more: &str| format!("[issuers.idp]\n{SOUND}{more}\n");
        check(&more("jwks_url = \"https://a/\"\njwks_file = \"b\""), "not both");
        check(&more("jwks_file = \"b\"\naccept_unverified = true"), "without keys");
        check(&more("jwks_url = \"http://idp.test/\""), "jwks_url: plain http");
        check(&more("jwks_floor_seconds = 9"), "needs jwks_file or jwks_url");
        check(&more("jwks_file = \"b\"\njwks_floor_seconds = 0"), "1 to 86400");
        check(&more("revocation_endpoint = \"https://a/\""), "go together");
        check(&more("client_id = \"a\""), "go together");
        check(
            &SOUND.replacen("iss = \"https://idp.test\"", "[issuers.i]\niss = \"\"", 1),
            "iss has",
        );
        check(&SOUND.replacen("iss", "[issuers.i]\niss", 1).replace("\"eu\"", "\"E U\""), "region");
        let twice = format!("[issuers.a]\n{SOUND}[issuers.b]\n{SOUND}");
        check(&twice, "issuers.b: another issuer has this iss");
    }
}
