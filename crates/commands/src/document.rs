//! JSON documents: what the server sent, with what a command adds.

use serde::Serialize;
use serde_json::{Map, Value};

/// A document of these members.
#[must_use]
pub fn of(members: &impl Serialize) -> Value {
    let mut document = Value::Object(Map::new());
    add(&mut document, members);
    document
}

/// Adds members to a document.
pub fn add(document: &mut Value, added: &impl Serialize) {
    let added = serde_json::to_value(added).expect("what commands add is JSON");
    if let (Value::Object(document), Value::Object(mut added)) = (document, added) {
        document.append(&mut added);
    }
}
