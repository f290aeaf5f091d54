//! Every answer of every test against the description of the interface: the status is one that the
//! operation says, the body has the form that it says, and no member that it does not.

use std::sync::LazyLock;

use ledgerline_api::openapi::{document, operations};
use ledgerline_api::operation::Operation;
use serde_json::Value;

use super::Answer;

/// The OpenAPI document of this build.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// Whether a value is what a schema says; where it is not. Knows the keywords that we use, and
/// takes a member that is not described for a fault.
pub fn misfit(schema: &Value, value: &Value, place: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = DOCUMENT.pointer(name.trim_start_matches('#'));
        return misfit(schema.expect("a schema"), value, place);
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(several) = schema[several].as_array() {
            let misfits = several.iter().map(|one| misfit(one, value, place));
            let misfits: Vec<Option<String>> = misfits.collect();
            let fits = misfits.iter().any(Option::is_none);
            return (!fits).then(|| format!("{place}: none of {misfits:?}"));
        }
    }
    let is_a = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{place}: type {other}"),
    };
    let fits = match &schema["type"] {
        Value::String(name) => is_a(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is_a),
        _ => true,
    };
    let listed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    if !fits || !listed {
        return Some(format!("{place}: {value} is no {schema}"));
    }
    if let Some(items) = value.as_array() {
        let check = |(at, item): (usize, &Value)| {
            misfit(schema.get("items")?, item, &format!("{place}/{at}"))
        };
        return items.iter().enumerate().find_map(check);
    }
    let members = value.as_object()?;
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(name) = required.into_iter().find(|name| !members.contains_key(*name)) {
        return Some(format!("{place}: {name} is missing in {value}"));
    }
    members.iter().find_map(|(name, value)| {
        let place = format!("{place}/{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => misfit(schema, value, &place),
            (None, Value::Bool(true)) => None,
            (None, more @ Value::Object(_)) => misfit(more, value, &place),
            (None, _) => Some(format!("{place} is not described")),
        }
    })
}

/// The operation of a request, if there is one.
pub fn operation(method: &str, path: &str) -> Option<&'static Operation> {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |one: &&Operation| {
        let own: Vec<&str> = one.path.split('/').collect();
        let is_open = own.last().is_some_and(|last| last.starts_with("{*"));
        let length = if is_open { parts.len() >= own.len() } else { parts.len() == own.len() };
        let same = |(own, part): (&&str, &&str)| own.starts_with('{') || own == part;
        one.method.eq_ignore_ascii_case(method) && length && own.iter().zip(&parts).all(same)
    };
    // One without a variable part is meant where both fit.
    operations().filter(fits).min_by_key(|one| one.path.matches('{').count())
}

/// Panics when an answer is not what the description says.
pub fn check(method: &str, path: &str, answer: &Answer) {
    let Some(operation) = operation(method, path) else { return };
    let shown = &DOCUMENT["paths"][operation.public_path()][operation.method];
    let response = &shown["responses"][answer.status.to_string()];
    let said = answer.text();
    // 405 is of the path, not of the operation.
    assert!(
        response.is_object() || answer.status == 405,
        "{method} {path}: the status {} is not described: {said}",
        answer.status
    );
    let media_type = answer.media_type.split(';').next().unwrap_or_default();
    if !media_type.ends_with("json") || answer.body.is_empty() {
        return;
    }
    let schema = &response["content"][media_type]["schema"];
    let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else { return };
    // A proof bundle has a form of its own, and is checked by the kernel.
    let is_bundle = body["format"].is_string() && body.get("as_of").is_some_and(Value::is_object);
    if schema.is_object() && !is_bundle {
        assert_eq!(misfit(schema, &body, ""), None, "{method} {path}: {said}");
    }
}
