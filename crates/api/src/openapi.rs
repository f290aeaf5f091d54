//! The interface as an OpenAPI 3.1 document, made of the forms of this crate.
//!
//! Promises: one row of `operations` for each route and method; a test of the server holds the
//! table against its routes, and another holds answers of a running one against the schemas. Every
//! parameter, member and word has the description that stands at the Rust type.
//!
//! Refuses: constructs that generators of clients are known to choke on: more than one media type
//! of a request body, booleans in the place of schemas, defaults, unions of constants.

mod operations;
pub mod page;

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

pub use self::operations::{find, operations};
use crate::finding::Message;
use crate::operation::{Form, Operation, PROVEN_ITEMS_MAX};
use crate::parameters::DESCRIBED;
use crate::problem::{OauthError, Problem};
use crate::schema::{Side, generator, tidy};

/// The document while it is made: the generators collect the schemas that are referred to.
struct Document {
    sent: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Document {
    fn content(&mut self, form: &Form, side: Side) -> Value {
        let generator = match side {
            Side::Sent => &mut self.sent,
            Side::Answered => &mut self.answered,
        };
        let binary = json!({ "type": "string", "format": "binary" });
        match form {
            Form::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
            Form::JsonOf(media, schema) => json!({ *media: { "schema": schema(generator) } }),
            Form::Urlencoded(schema) => {
                json!({ "application/x-www-form-urlencoded": { "schema": schema(generator) } })
            }
            Form::Text(media) => json!({ *media: { "schema": { "type": "string" } } }),
            Form::Bytes(media) => json!({ *media: { "schema": binary } }),
        }
    }

    fn refusal(&mut self, operation: &Operation, status: u16) -> Value {
        let words = match status {
            400 => "The request cannot be read; `detail` names the member or parameter.",
            401 => "No API key, or one that is wrong, expired or retired.",
            403 => "The key lacks the role, or its grant does not reach so far.",
            404 => "Nothing of that name is here that this key may see.",
            408 => "The body came too slowly.",
            409 => "It contradicts what is recorded already.",
            413 => "The body is too large.",
            415 => "Another media type or coding is needed.",
            422 => "It can be read, and cannot be done.",
            429 => "This key, its tenant or the server has too much to do; see `Retry-After`.",
            500 => "The server's fault; its log says more.",
            501 => "Another transfer coding than chunked.",
            503 => "Not now; see `Retry-After`.",
            _ => "A refusal.",
        };
        let content = match operation.is_oauth() {
            true => {
                let schema = self.answered.subschema_for::<OauthError<'_>>();
                json!({ "application/json": { "schema": schema } })
            }
            false => {
                let schema = self.answered.subschema_for::<Problem<'_>>();
                json!({ "application/problem+json": { "schema": schema } })
            }
        };
        json!({ "description": words, "content": content })
    }

    fn operation(&mut self, operation: &Operation, examples: &Value) -> Value {
        let example = &examples[operation.id];
        let mut answer = self.content(&operation.answer, Side::Answered);
        add_example(&mut answer, &example["answer"]);
        let mut responses = Map::new();
        responses.insert(
            operation.status.to_string(),
            json!({ "description": operation.answered, "content": answer }),
        );
        for status in operation.bare_statuses {
            responses.insert(status.to_string(), json!({ "description": "Done; nothing to say." }));
        }
        for status in operation.refusals() {
            responses.insert(status.to_string(), self.refusal(operation, status));
        }
        let mut shown = json!({
            "operationId": operation.id,
            "tags": [operation.tag],
            "summary": operation.summary,
            "description": operation.described(),
            "parameters": parameters(operation),
            "responses": responses,
        });
        if operation.roles.is_empty() {
            shown["security"] = json!([]);
        }
        if let Some(body) = &operation.body {
            let mut content = self.content(body, Side::Sent);
            add_example(&mut content, &example["body"]);
            shown["requestBody"] = json!({ "required": true, "content": content });
        }
        if !operation.media_types.is_empty() {
            shown["x-ledgerline-media-types"] = json!(operation.media_types);
        }
        shown
    }
}

fn add_example(content: &mut Value, example: &Value) {
    if !example.is_null() {
        for (_, media) in content.as_object_mut().into_iter().flatten() {
            media["example"] = example.clone();
        }
    }
}

/// Parameters of the path and of the query.
fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation.path_names().map(|name| {
        let (description, schema) = operations::segment(operation.path, name);
        json!({
            "name": name, "in": "path", "required": true, "description": description,
            "schema": schema,
        })
    });
    let in_query = operation.parameters.iter().map(|name| {
        let described = DESCRIBED.get(*name);
        let mut schema = described.map(|one| one.schema.clone()).unwrap_or_default();
        let mut description = described.map(|one| one.description.clone()).unwrap_or_default();
        if let Some((standard, most)) = operation.limits.filter(|_| *name == "limit") {
            schema["maximum"] = most.into();
            description = format!("Items on a page: 1 to {most}, without it {standard}.");
            if operation.parameters.contains(&"proof") {
                schema["maximum"] = PROVEN_ITEMS_MAX.into();
                let most = PROVEN_ITEMS_MAX;
                description.push_str(&format!(" With `proof` of the whole answer: {most}."));
            }
        }
        if *name == "as_of" && !operation.parameters.contains(&"proof") {
            "What the ledger knew: a size of the log.".clone_into(&mut description);
        }
        let is_needed = operation.needed.contains(name);
        json!({
            "name": name, "in": "query", "required": is_needed, "description": description,
            "schema": schema,
        })
    });
    in_path.chain(in_query).collect()
}

/// How callers say who they are.
const SECURITY: &str = include_str!("openapi/security.json");
/// Examples of bodies and answers, recorded from a server.
const EXAMPLES: &str = include_str!("openapi/examples.json");

/// The document, made anew.
///
/// # Panics
/// Never: a test makes it.
#[must_use]
pub fn document() -> Value {
    let examples: Value = serde_json::from_str(EXAMPLES).expect("the file beside this one is JSON");
    let mut making = Document { sent: generator(Side::Sent), answered: generator(Side::Answered) };
    let mut paths = Map::new();
    for one in operations() {
        let path = paths.entry(one.public_path()).or_insert_with(|| json!({}));
        path[one.method] = making.operation(one, &examples);
    }
    let webhooks = webhooks(&mut making);
    let mut schemas = making.sent.take_definitions(true);
    for (name, schema) in making.answered.take_definitions(true) {
        match schemas.get(&name) {
            // What is sent may leave more out: the answer's form is the one that is shown.
            Some(sent) if sent != &schema => {
                schemas.insert(name, schema);
            }
            Some(_) => {}
            None => {
                schemas.insert(name, schema);
            }
        }
    }
    let mut schemas = Value::Object(schemas);
    schemas.as_object_mut().into_iter().flatten().for_each(|(_, one)| tidy(one));
    let security: Value = serde_json::from_str(SECURITY).expect("the file beside this one is JSON");
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ledgerline",
            "summary": "A tamper-evident lineage ledger for bearer tokens",
            "description": operations::ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": operations::TAGS
            .iter()
            .map(|(name, description)| json!({ "name": name, "description": description }))
            .collect::<Vec<_>>(),
        "security": [{ "apiKey": [] }],
        "components": { "securitySchemes": security },
    });
    let mut paths = Value::Object(paths);
    for (_, path) in paths.as_object_mut().into_iter().flatten() {
        for (_, operation) in path.as_object_mut().into_iter().flatten() {
            tidy_content(operation);
        }
    }
    document["paths"] = paths;
    document["webhooks"] = webhooks;
    document["components"]["schemas"] = schemas;
    document
}

/// What the server sends by itself.
fn webhooks(making: &mut Document) -> Value {
    let message = making.answered.subschema_for::<Message<'static>>();
    json!({ "finding": { "post": {
        "operationId": "receive_finding",
        "tags": ["findings"],
        "summary": "A finding that was raised or moved on, sent to the receiver of the settings",
        "description": "Signed as Standard Webhooks has it; the same message at every try.",
        "requestBody": { "required": true, "content": {
            "application/json": { "schema": message },
        } },
        "responses": { "200": { "description": "Taken. Any other status is tried again." } },
    } } })
}

/// Tidies the schemas of an operation, and leaves examples alone.
fn tidy_content(operation: &mut Value) {
    let contents = |value: &mut Value| {
        for (_, media) in value["content"].as_object_mut().into_iter().flatten() {
            tidy(&mut media["schema"]);
        }
    };
    if operation.get("requestBody").is_some() {
        contents(&mut operation["requestBody"]);
    }
    operation["responses"].as_object_mut().into_iter().flatten().for_each(|(_, one)| contents(one));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every object of a document with the way to it.
    fn objects(value: &Value, at: &str, found: &mut Vec<(String, Map<String, Value>)>) {
        match value {
            Value::Object(members) => {
                found.push((at.to_owned(), members.clone()));
                for (name, value) in members.iter().filter(|(name, _)| *name != "example") {
                    objects(value, &format!("{at}/{name}"), found);
                }
            }
            Value::Array(list) => list.iter().for_each(|value| objects(value, at, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let (document, mut found) = (document(), Vec::new());
        objects(&document, "", &mut found);
        let named = found.iter().filter_map(|(_, members)| members.get("$ref")?.as_str());
        let named: BTreeSet<String> = named.map(str::to_owned).collect();
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        let known = schemas.keys().map(|name| format!("#/components/schemas/{name}"));
        assert_eq!(named, known.collect());
        let folded: BTreeSet<String> = schemas.keys().map(|one| one.to_lowercase()).collect();
        assert_eq!(folded.len(), schemas.len(), "names that differ in case alone");
    }

    #[test]
    fn what_generators_choke_on_is_not_there() {
        let (document, mut found) = (document(), Vec::new());
        objects(&document, "", &mut found);
        for (at, members) in &found {
            assert!(!members.contains_key("const"), "{at}");
            let is_schema = members.contains_key("type") || members.contains_key("properties");
            let has_default = members.get("default").is_some_and(|one| !one.is_object());
            assert!(!(is_schema && has_default), "{at}: a default");
            for (name, value) in
                members.get("properties").and_then(Value::as_object).iter().copied().flatten()
            {
                assert!(value.is_object(), "{at}: {name} is no schema");
            }
            if at.ends_with("/requestBody/content") {
                assert_eq!(members.len(), 1, "{at}: one media type");
            }
        }
    }

    #[test]
    fn every_operation_says_what_it_takes_and_gives() {
        let mut seen = (BTreeSet::new(), BTreeSet::new());
        let document = document();
        for one in operations() {
            assert!(
                seen.0.insert((one.method, one.path)),
                "{} {} stands twice",
                one.method,
                one.path
            );
            assert!(seen.1.insert(one.id), "{} stands twice", one.id);
            assert!(operations::TAGS.iter().any(|(tag, _)| *tag == one.tag), "{}", one.id);
            let shown = &document["paths"][one.public_path()][one.method];
            let parameters = shown["parameters"].as_array().expect("a list");
            let names: BTreeSet<_> = parameters.iter().map(|one| one["name"].to_string()).collect();
            assert_eq!(names.len(), parameters.len(), "{} repeats a parameter", one.id);
            for parameter in parameters {
                let what = parameter["description"].as_str().unwrap_or_default();
                assert!(what.len() > 8, "{}: {} has no meaning", one.id, parameter["name"]);
                let schema = &parameter["schema"];
                assert!(schema["type"].is_string(), "{}: {}", one.id, parameter["name"]);
            }
            let limit = parameters.iter().find(|parameter| parameter["name"] == "limit");
            assert_eq!(limit.is_some(), one.limits.is_some(), "{}", one.id);
            assert!(limit.is_none_or(|limit| limit["schema"]["type"] == "integer"), "{}", one.id);
            for status in one.refusals() {
                let schema = &shown["responses"][status.to_string()]["content"];
                assert!(schema.is_object(), "{}: {status}", one.id);
            }
        }
    }

    #[test]
    fn every_member_of_every_form_has_a_meaning() {
        let document = document();
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            for (member, one) in schema["properties"].as_object().into_iter().flatten() {
                let what = one["description"].as_str().unwrap_or_default();
                let refers = one.get("$ref").is_some() || one.get("anyOf").is_some();
                assert!(what.len() > 3 || refers, "{name}.{member} has no meaning");
            }
        }
    }
}
