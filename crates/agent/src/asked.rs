//! `--check`: what the ledger says of the agent's key, before anything is sent with it.
//!
//! Promises: nothing is written at the ledger. A key that would be refused, or that is another
//! source's, is a configuration that is wrong; that the ledger was not reached is said, and is
//! none.
//!
//! Assumes nothing of the ledger's version: one that does not tell the types of a grant is believed
//! as far as it goes.

use ledgerline_api::status::{Credential, ServerStatus};
use ledgerline_api::values::Word;
use ledgerline_client::{Client, ClientError, Misconfigured};
use ledgerline_proof::vocabulary::EventType;

use crate::settings::{Settings, TailSettings};

/// Asks, and says what is good.
///
/// # Errors
/// [`Misconfigured`] when the key is refused, or is not the one of `source` and `tenant`.
pub fn ask(settings: &Settings) -> anyhow::Result<String> {
    let client = Client::open(&ledgerline_client::Settings {
        url: Some(settings.url.clone()),
        key_file: Some(settings.key_file.clone()),
        ca_file: settings.ca_file.clone(),
        timeout_ms: u64::try_from(settings.timeout.as_millis()).ok(),
        retries: Some(0),
    })?;
    let answer = match client.get("/v1/status") {
        Ok(answer) => answer,
        Err(ClientError::Refused { status: 401 | 403, code, detail }) => {
            let why = format!("key_file: the ledger refuses this key ({code}): {detail}");
            return Err(Misconfigured::new(why).into());
        }
        Err(error) => return Ok(format!("the ledger was NOT asked about the key: {error}")),
    };
    let status: ServerStatus<'_> = match answer.form() {
        Ok(status) => status,
        Err(error) => return Ok(format!("the ledger was NOT asked about the key: {error}")),
    };
    judge(&settings.tenant, &settings.source, &status.credential)
}

fn judge(tenant: &str, source: &str, key: &Credential<'_>) -> anyhow::Result<String> {
    let wrong = |text: String| Err(Misconfigured::new(text).into());
    if !key.roles.iter().any(|role| *role == "producer") {
        return wrong(format!("key_file: the key {} may not report: no role producer", key.key_id));
    }
    if *key.source != *source {
        let of = &key.source;
        return wrong(format!(
            "source is {source:?}, and the key is of {of:?}: nothing would pass"
        ));
    }
    if !key.all_tenants && *key.tenant != *tenant {
        let of = &key.tenant;
        return wrong(format!(
            "tenant is {tenant:?}, and the key is of {of:?}: nothing would pass"
        ));
    }
    let types = match &key.types {
        None => "which types it may report the ledger did not say".to_owned(),
        Some(all) if all.is_empty() => "it may report every type".to_owned(),
        Some(types) => {
            if !types.contains(&Word(EventType::Heartbeat)) {
                let what =
                    "the key may not report HEARTBEAT, which every agent sends: add the type";
                return wrong(format!("key_file: {what}"));
            }
            let names: Vec<String> = types.iter().map(|name| format!("{name:?}")).collect();
            format!("it may report {}", names.join(", "))
        }
    };
    Ok(format!("the ledger takes the key {} of source {source}; {types}", key.key_id))
}

/// Files to follow that are not there.
pub fn missing(tails: &[TailSettings]) -> Vec<String> {
    let missing = tails.iter().filter(|tail| !tail.path.exists());
    let line = |tail: &TailSettings| {
        format!("tail {}: {} is not there (yet)", tail.name, tail.path.display())
    };
    missing.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_would_be_refused_is_known_before_anything_is_sent() {
        let sound = Credential {
            key_id: "k".into(),
            tenant: "acme".into(),
            all_tenants: false,
            source: "edge".into(),
            roles: vec!["producer".into()],
            types: Some(vec![Word(EventType::Used), Word(EventType::Heartbeat)]),
        };
        let check = |change: &dyn Fn(&mut Credential<'_>), expected: Result<&str, &str>| {
            let mut key = sound.clone();
            change(&mut key);
            let said = judge("acme", "edge", &key).map_err(|error| error.to_string());
            match expected {
                Ok(part) => assert!(said.as_ref().is_ok_and(|one| one.contains(part)), "{said:?}"),
                Err(part) => {
                    assert!(said.as_ref().is_err_and(|one| one.contains(part)), "{said:?}");
                }
            }
        };
        check(&|_| (), Ok("USED, HEARTBEAT"));
        check(&|key| key.types = Some(Vec::new()), Ok("every type"));
        check(&|key| key.types = None, Ok("did not say"));
        check(&|key| key.source = "edge-2".into(), Err("edge-2"));
        check(&|key| key.tenant = "other".into(), Err("other"));
        check(&|key| (key.all_tenants, key.tenant) = (true, "".into()), Ok("USED"));
        check(&|key| key.roles = vec!["reader".into()], Err("producer"));
        check(&|key| key.types = Some(vec![Word(EventType::Used)]), Err("HEARTBEAT"));
    }
}
