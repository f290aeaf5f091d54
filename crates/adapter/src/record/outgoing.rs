//! A last look at the events of a record before they leave the adapter.
//!
//! Promises: what passes has the form that the ledger takes (texts, ids and lists within their
//! limits, details in order) and holds nothing that is recognisably a secret, neither in clear nor
//! in a personal record. The server looks again; a secret that stops here was never sent.

use ledgerline_api::event::Event;
use ledgerline_proof::statement::{MAX_ID_BYTES, MAX_LIST_ITEMS, MAX_STRING_BYTES};
use ledgerline_proof::token_id::TokenId;
use ledgerline_secret_scan::holds_secret;
use serde_json_borrow::Value;

use crate::Problem;

/// What each event must keep.
pub(super) fn check(events: &[Event<'_>]) -> Result<(), Problem> {
    let mut json = Vec::with_capacity(1024);
    for event in events {
        json.clear();
        serde_json::to_writer(&mut json, event).map_err(|_| Problem::NotRecordable)?;
        let value: Value<'_> = serde_json::from_slice(&json).map_err(|_| Problem::NotRecordable)?;
        let Value::Object(members) = &value else { return Err(Problem::NotRecordable) };
        for (name, value) in members.iter() {
            texts(name, value, name == "personal")?;
        }
        ids(event)?;
    }
    Ok(())
}

/// Every text of a value that stands under a name.
fn texts(name: &str, value: &Value<'_>, is_personal: bool) -> Result<(), Problem> {
    match value {
        Value::Str(text) => text_of(name, text, is_personal),
        Value::Array(each) if each.len() > MAX_LIST_ITEMS => Err(Problem::NotRecordable),
        Value::Array(each) => each.iter().try_for_each(|one| texts(name, one, is_personal)),
        Value::Object(members) => {
            // A detail is a pair: its key is the name of its value.
            let key = members.get("key").and_then(Value::as_str);
            members.iter().try_for_each(|(name, value)| {
                texts(if name == "value" { key.unwrap_or(name) } else { name }, value, is_personal)
            })
        }
        _ => Ok(()),
    }
}

fn text_of(name: &str, text: &str, is_personal: bool) -> Result<(), Problem> {
    let is_control = text.bytes().any(|byte| byte < 0x20 || byte == 0x7f);
    if !is_personal && (is_control || text.len() > MAX_STRING_BYTES && name != "data") {
        return Err(Problem::NotRecordable);
    }
    // Nothing stands beside the name of a token's id that its form does not allow.
    if holds_secret(text.as_bytes())
        || names_secret(name) && holds_secret(pair(name, text).as_bytes())
    {
        return Err(Problem::Secret("a text of the event"));
    }
    Ok(())
}

fn pair(name: &str, text: &str) -> String {
    format!("{name}={text}")
}

/// Whether a name of a detail or an attribute may say that its value is a secret.
fn names_secret(name: &str) -> bool {
    let of_ours = ["token_id", "token_kind", "also_known_as", "issuer_kid"];
    let words = ["token", "secret", "key", "passw", "code", "assertion", "sig"];
    !of_ours.contains(&name) && words.iter().any(|word| name.contains(word))
}

/// Ids of tokens and of what is wider.
fn ids(event: &Event<'_>) -> Result<(), Problem> {
    let target = event.target.as_ref().ok_or(Problem::NotRecordable)?;
    let is_subject = target.kind == "SUBJECT";
    if target.id.len() > MAX_ID_BYTES || target.id.is_empty() != is_subject {
        return Err(Problem::NotRecordable);
    }
    let is_known = |one: &ledgerline_api::event::Personal<'_>| {
        one.role == "SUBJECT" && one.user_id.as_deref().is_some_and(|id| !id.is_empty())
    };
    if is_subject && event.personal.iter().filter(|one| is_known(one)).count() != 1 {
        return Err(Problem::NotRecordable);
    }
    let target = (target.kind == "TOKEN").then_some(&*target.id);
    let links = event.links.iter().filter_map(|link| link.token_id.as_deref());
    let others = event.also_known_as.iter().map(|id| &**id);
    let mut tokens = target.into_iter().chain(links).chain(others);
    let is_ordered = event.detail.windows(2).all(|pair| *pair[0].key < *pair[1].key);
    if tokens.any(|id| TokenId::parse(id).is_err()) || !is_ordered {
        return Err(Problem::NotRecordable);
    }
    Ok(())
}
