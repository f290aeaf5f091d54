//! Schemas of the forms, as the description of the interface has them.
//!
//! Promises: what generators of clients are known to choke on is taken out: defaults, unions of
//! constants, formats that OpenAPI does not have.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// On which side a form is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// By the caller: what may be left out is optional.
    Sent,
    /// By the server: what it always writes is required.
    Answered,
}

/// Where schemas stand in the document.
const SCHEMAS: &str = "/components/schemas";

/// What makes schemas of types.
pub(crate) fn generator(side: Side) -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let settings = match side {
        Side::Sent => settings.for_deserialize(),
        Side::Answered => settings.for_serialize(),
    };
    settings.into_generator()
}

/// An enumeration as a list of words, its meanings in the description; others as they are.
pub(crate) fn plain_enum(schema: &Value) -> Value {
    let Some(all) = schema["oneOf"].as_array() else { return schema.clone() };
    if !all.iter().all(|one| one["const"].is_string() || one["enum"].is_array()) {
        return schema.clone();
    }
    let mut words = Vec::new();
    let mut text = schema["description"].as_str().unwrap_or_default().to_owned();
    for one in all {
        let these = one["enum"].as_array().cloned().unwrap_or_else(|| vec![one["const"].clone()]);
        if let ([word], Some(meaning)) = (&these[..], one["description"].as_str()) {
            text.push_str(&format!("\n- `{}`: {meaning}", word.as_str().unwrap_or_default()));
        }
        words.extend(these);
    }
    json!({ "type": "string", "enum": words, "description": text })
}

/// Takes out of a schema what generators choke on, and formats that OpenAPI does not have.
pub(crate) fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            // A member may have the name of a keyword: of those the values are schemas.
            for (name, value) in members.iter_mut() {
                if name == "properties" || name == "schemas" {
                    value.as_object_mut().into_iter().flatten().for_each(|(_, one)| tidy(one));
                } else {
                    tidy(value);
                }
            }
            members.remove("default");
            if let Some(format) = members.get("format").and_then(Value::as_str) {
                match format {
                    "uint64" | "uint" | "int" => members.insert("format".into(), "int64".into()),
                    "uint8" | "uint16" | "uint32" | "int32" => {
                        members.insert("format".into(), "int32".into())
                    }
                    _ => None,
                };
            }
            if members.contains_key("oneOf") {
                *schema = plain_enum(schema);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// The schema of a type, as the document has it.
pub(crate) fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
