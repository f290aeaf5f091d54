//! The interface as an OpenAPI 3.1 document.
//!
//! Promises: one line of `operations` for each route and method; a test of the server holds the
//! table against its routes, and another holds answers of a running one against the schemas.

mod operations;

use serde_json::{Map, Value, json};

pub use self::operations::{OPERATIONS, Operation};

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn content(name: &str, media: &str) -> Value {
    match (name.contains('/'), name) {
        (true, media) => json!({ media: { "schema": { "type": "string" } } }),
        (false, name) => json!({ media: { "schema": schema(name) } }),
    }
}

impl Operation {
    /// The path as OpenAPI writes it.
    fn public_path(&self) -> String {
        self.path.replace("{*", "{")
    }

    fn id(&self) -> String {
        let words = self.path.split(|c: char| !c.is_ascii_alphanumeric());
        let words = words.filter(|word| !word.is_empty() && *word != "v1");
        words.fold(self.method.to_owned(), |id, word| format!("{id}_{word}"))
    }

    fn describe(&self) -> Value {
        let path = self.public_path();
        let inner = path.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        let in_path = inner.map(|(name, _)| {
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        });
        let words = self.query.split_whitespace();
        let in_query = words
            .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }));
        let parameters: Vec<Value> = in_path.chain(in_query).collect();
        let is_form = self.path.starts_with("/oauth2/");
        let refusal = if is_form {
            content("OauthError", "application/json")
        } else {
            content("Problem", "application/problem+json")
        };
        let (status, answer) = self.answer;
        let mut operation = json!({
            "operationId": self.id(),
            "summary": self.summary,
            "parameters": parameters,
            "responses": {
                status.to_string(): {
                    "description": "done", "content": content(answer, "application/json"),
                },
                "default": { "description": "a refusal", "content": refusal },
            },
        });
        match self.roles {
            "" => operation["security"] = json!([]),
            "any" => {}
            roles => {
                operation["description"] = format!("Needs one of the roles: {roles}.").into();
            }
        }
        if let Some(body) = self.body {
            let media =
                if is_form { "application/x-www-form-urlencoded" } else { "application/json" };
            let mut sent = content(body, media);
            if body == "Events" {
                for media in ["application/x-ndjson", "application/vnd.ledgerline.batch"] {
                    sent[media] = json!({ "schema": { "type": "string" } });
                }
            }
            operation["requestBody"] = json!({ "required": true, "content": sent });
        }
        operation
    }
}

/// The document, made anew.
///
/// # Panics
/// Never: a test makes it.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for one in OPERATIONS {
        let path = paths.entry(one.public_path()).or_insert_with(|| json!({}));
        path[one.method] = one.describe();
    }
    let components: Value = serde_json::from_str(include_str!("openapi/components.json"))
        .expect("the components beside this file are JSON");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ledgerline",
            "summary": "A tamper-evident lineage ledger for bearer tokens",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "security": [{ "apiKey": [] }],
        "paths": paths,
        "components": components,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_operation_stands_twice() {
        let all: BTreeSet<_> = OPERATIONS.iter().map(|one| (one.method, one.path)).collect();
        assert_eq!(all.len(), OPERATIONS.len());
    }

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                if let ("$ref", Some(text)) = (name.as_str(), value.as_str()) {
                    found.insert(text.to_owned());
                }
                references(value, found);
            }),
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_document_holds_together() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        let known = |name: &String| format!("#/components/schemas/{name}");
        let known: BTreeSet<String> = schemas.keys().map(known).collect();
        assert_eq!(found, known, "every reference leads somewhere, and every schema is used");
        let paths = document["paths"].as_object().expect("paths");
        let mut ids = BTreeSet::new();
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().expect("methods") {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(ids.insert(id.to_owned()), "{id} stands twice");
                let parameters = operation["parameters"].as_array().expect("a list");
                let names: BTreeSet<_> =
                    parameters.iter().map(|one| &one["name"]).map(Value::to_string).collect();
                assert_eq!(names.len(), parameters.len(), "{method} {path} repeats a parameter");
                let braces = path.matches('{').count();
                let in_path = parameters.iter().filter(|one| one["in"] == "path").count();
                assert_eq!(braces, in_path, "{path}");
                let responses = operation["responses"].as_object().expect("responses");
                assert!(responses.keys().any(|status| status.starts_with('2')), "{path}");
            }
        }
    }
}
