//! What the configuration file says of doors that know their senders otherwise than by an API key.
//!
//! ```text
//! [doors.keycloak]                     the name, as in POST /v1/hooks/keycloak
//! check = "hmac"                       hex HMAC-SHA256 of the raw body in `header`
//!         "signed-body"                a JWT of the issuer with `request_body_sha256`
//!         "secret"                     the header Authorization is exactly the secret
//!         "signed-events"              /v1/sets and /v1/backchannel-logout without an API key
//! issuer = "idp"                       whose events these are: an alias of [issuers]
//! key_file = "keycloak.key"            the API key of the producer under which they are recorded
//! adapter = "keycloak"                 which adapter reads the body; not of signed-events
//! secret_file = "keycloak.secret"      of hmac and secret
//! header = "X-Keycloak-Signature"      of hmac [default: X-Keycloak-Signature]
//! ```
//!
//! Promises: every mistake names the door, the key and what to do. Secrets stand in files of their
//! own, and in no text of ours.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ledgerline_proof::token_id::is_name;
use serde::Deserialize;

/// Most doors.
const DOORS_MAX: usize = 64;
/// The header of an HMAC where the settings name none.
pub const SIGNATURE_HEADER: &str = "x-keycloak-signature";

/// How a sender is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// A hex HMAC-SHA256 of the raw body under a shared secret.
    Hmac,
    /// A JWT that the issuer signed over the digest of the body.
    SignedBody,
    /// A secret as the whole header Authorization.
    Secret,
    /// The issuer's signature on the token that is sent.
    SignedEvents,
}

/// One door, as the file has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoorSettings {
    /// How its sender is known.
    pub check: Check,
    /// Alias of the issuer whose events come by it.
    pub issuer: String,
    /// File with the API key of the producer.
    pub key_file: PathBuf,
    /// The adapter that reads bodies.
    pub adapter: Option<String>,
    /// File with the shared secret.
    pub secret_file: Option<PathBuf>,
    /// The header with the HMAC.
    pub header: Option<String>,
}

/// All doors of the file, by name.
pub type DoorTable = BTreeMap<String, DoorSettings>;

/// Reads the table `doors` of the file.
///
/// # Errors
/// What is wrong, where, and what to do.
pub fn parse(table: toml::Value) -> Result<DoorTable, String> {
    let toml::Value::Table(table) = table else {
        return Err("`doors` is a table of doors: write [doors.<name>]".to_owned());
    };
    if table.len() > DOORS_MAX {
        return Err(format!("there are more than {DOORS_MAX} doors"));
    }
    let mut doors = DoorTable::new();
    for (name, value) in table {
        let wrong = |what: &str| format!("doors.{name}: {what}");
        if !is_name(&name) {
            return Err(wrong("a name matches [a-z0-9._-]{1,32}"));
        }
        let one: DoorSettings =
            value.try_into().map_err(|error: toml::de::Error| wrong(error.message()))?;
        check(&one).map_err(|what| wrong(&what))?;
        doors.insert(name, one);
    }
    Ok(doors)
}

fn check(one: &DoorSettings) -> Result<(), String> {
    let (has_secret, has_adapter) = (one.secret_file.is_some(), one.adapter.is_some());
    match one.check {
        Check::Hmac | Check::Secret if !has_secret => {
            return Err("secret_file names the file with the shared secret".to_owned());
        }
        Check::SignedBody | Check::SignedEvents if has_secret => {
            return Err("secret_file is for the checks hmac and secret".to_owned());
        }
        Check::SignedEvents if has_adapter => {
            return Err("signed-events are read by no adapter: leave it out".to_owned());
        }
        Check::SignedEvents => {}
        _ if !has_adapter => {
            return Err("adapter names the adapter that reads the body".to_owned());
        }
        _ => {}
    }
    if one.header.is_some() && one.check != Check::Hmac {
        return Err("header is for the check hmac".to_owned());
    }
    if let Some(name) = &one.adapter
        && ledgerline_sources::choice(name).is_none()
    {
        let known: Vec<&str> = ledgerline_sources::ADAPTERS.iter().map(|one| one.name).collect();
        return Err(format!("there is no such adapter; there is {}", known.join(", ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DoorTable, String> {
        let mut table: toml::Table = toml::from_str(text).expect("TOML");
        parse(table.remove("doors").expect("doors"))
    }

    #[test]
    fn every_mistake_is_named() {
        let check = |rest: &str, part: &str| {
            let text = format!("[doors.kc]\nissuer = \"idp\"\nkey_file = \"k\"\n{rest}");
            match read(&text) {
                Ok(_) => assert!(part.is_empty(), "{rest}: taken"),
                Err(problem) => {
                    assert!(!part.is_empty() && problem.contains(part), "{rest}: {problem}");
                    assert!(problem.contains("doors.kc"), "{problem}");
                }
            }
        };
        let adapter = "adapter = \"oidc-provider\"\n";
        check("check = \"signed-events\"", "");
        check(&format!("check = \"hmac\"\nsecret_file = \"s\"\n{adapter}"), "");
        check(&format!("check = \"signed-body\"\n{adapter}"), "");
        check(&format!("check = \"secret\"\nsecret_file = \"s\"\n{adapter}"), "");
        check("", "missing field `check`");
        check("check = \"none\"", "unknown variant");
        check(&format!("check = \"hmac\"\n{adapter}"), "secret_file names");
        check("check = \"hmac\"\nsecret_file = \"s\"", "adapter names");
        check(&format!("check = \"signed-body\"\nsecret_file = \"s\"\n{adapter}"), "is for the");
        check(&format!("check = \"signed-events\"\n{adapter}"), "by no adapter");
        check("check = \"signed-body\"\nadapter = \"nonesuch\"", "no such adapter");
        check(&format!("check = \"signed-body\"\nheader = \"x\"\n{adapter}"), "header is for");
        check("check = \"signed-events\"\nsecret = \"x\"", "unknown field");
        assert!(read("doors = 1").expect_err("no table").contains("[doors.<name>]"));
        assert!(read("[doors.KC]\n").expect_err("a name").contains("doors.KC"));
    }
}
