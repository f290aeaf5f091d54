//! A schema of one record, read from its JSON text with everything a reviewer compares.
//!
//! The kernel keeps of a schema what decides about bytes; a review also needs docs, logical types
//! and whatever else stands in the text. Promises: every named type once, in the order of its
//! definition; the parsing canonical form is that of Avro 1.12, byte for byte what the kernel
//! makes. Refuses: texts that are no JSON or no record, and names that nothing defines.
//!
//! It also says what the kernel's reader would refuse ([`Schema::refused`]), which is less than
//! Avro allows.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// What a type, field or record says beside the keys that Avro defines for it.
pub type Attributes = BTreeMap<String, String>;

/// A schema of one record.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Every named type; the outermost record comes first.
    pub types: Vec<Named>,
}

/// A named type.
#[derive(Debug, Clone)]
pub struct Named {
    /// With its namespace.
    pub name: String,
    pub doc: String,
    /// Aliases, logical type and properties of others.
    pub attributes: Attributes,
    pub shape: Shape,
}

/// What a named type is made of.
#[derive(Debug, Clone)]
pub enum Shape {
    Record(Vec<Field>),
    Enum { symbols: Vec<String>, default: Option<String> },
    Fixed { size: u64 },
}

/// One field of a record.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub of: Type,
    /// The default, as JSON.
    pub default: Option<Value>,
    pub doc: String,
    pub attributes: Attributes,
}

/// The type of a field, an item or a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Primitive {
        name: String,
        logical: Option<String>,
    },
    /// By its full name.
    Named(String),
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
}

const PRIMITIVES: [&str; 8] =
    ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
/// Keys that Avro defines, each compared by a rule of its own.
const KEYS: [&str; 10] =
    ["type", "name", "namespace", "doc", "fields", "symbols", "size", "default", "items", "values"];

impl Schema {
    /// Reads a schema text.
    ///
    /// # Errors
    /// When it is no JSON, no record, or names a type that it does not define.
    pub fn parse(text: &str) -> Result<Schema> {
        let json: Value = serde_json::from_str(text).context("no JSON")?;
        let mut schema = Schema { types: Vec::new() };
        match schema.read_type(&json, "")? {
            Type::Named(_) if matches!(schema.root().shape, Shape::Record(_)) => Ok(schema),
            _ => bail!("the outermost type is no record"),
        }
    }

    /// The outermost record.
    pub fn root(&self) -> &Named {
        &self.types[0]
    }

    /// The named type with this full name.
    pub fn named(&self, name: &str) -> Option<&Named> {
        self.types.iter().find(|one| one.name == name)
    }

    fn read_type(&mut self, json: &Value, namespace: &str) -> Result<Type> {
        match json {
            Value::String(name) => self.by_name(name, None, namespace),
            Value::Array(branches) => {
                let read = branches.iter().map(|branch| self.read_type(branch, namespace));
                Ok(Type::Union(read.collect::<Result<_>>()?))
            }
            Value::Object(object) => match object.get("type") {
                Some(Value::String(sort)) => self.read_object(object, sort, namespace),
                Some(inner) => self.read_type(inner, namespace),
                None => bail!("a type without `type`"),
            },
            _ => bail!("a type is a string, an array or an object"),
        }
    }

    fn read_object(
        &mut self,
        object: &Map<String, Value>,
        sort: &str,
        namespace: &str,
    ) -> Result<Type> {
        let inner = |key: &str| object.get(key).with_context(|| format!("{sort} without {key}"));
        match sort {
            "array" => Ok(Type::Array(Box::new(self.read_type(inner("items")?, namespace)?))),
            "map" => Ok(Type::Map(Box::new(self.read_type(inner("values")?, namespace)?))),
            "record" | "enum" | "fixed" => self.define(object, sort, namespace),
            _ => {
                let logical = object.get("logicalType").and_then(Value::as_str);
                self.by_name(sort, logical.map(str::to_owned), namespace)
            }
        }
    }

    fn by_name(&self, name: &str, logical: Option<String>, namespace: &str) -> Result<Type> {
        if PRIMITIVES.contains(&name) {
            return Ok(Type::Primitive { name: name.to_owned(), logical });
        }
        let full = full_name(name, namespace);
        self.named(&full).with_context(|| format!("`{full}` is not defined"))?;
        Ok(Type::Named(full))
    }

    fn define(&mut self, object: &Map<String, Value>, sort: &str, namespace: &str) -> Result<Type> {
        let name = string(object, "name").with_context(|| format!("{sort} without a name"))?;
        let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let full = full_name(name, namespace);
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        if self.named(&full).is_some() {
            bail!("`{full}` is defined twice");
        }
        // Taken before its fields are read, so that the types inside it come behind it.
        let at = self.types.len();
        let doc = string(object, "doc").unwrap_or_default().to_owned();
        let shape = Shape::Record(Vec::new());
        let attributes = attributes(object);
        self.types.push(Named { name: full.clone(), doc, attributes, shape });
        self.types[at].shape = match sort {
            "record" => Shape::Record(self.read_fields(object, &full, namespace)?),
            "enum" => Shape::Enum {
                symbols: symbols(object, &full)?,
                default: string(object, "default").map(str::to_owned),
            },
            _ => {
                let size = object.get("size").and_then(Value::as_u64);
                Shape::Fixed { size: size.with_context(|| format!("`{full}` has no size"))? }
            }
        };
        Ok(Type::Named(full))
    }

    fn read_fields(
        &mut self,
        object: &Map<String, Value>,
        record: &str,
        namespace: &str,
    ) -> Result<Vec<Field>> {
        let list = object.get("fields").and_then(Value::as_array);
        let mut fields: Vec<Field> = Vec::new();
        for json in list.with_context(|| format!("`{record}` has no fields"))? {
            let json = json.as_object().with_context(|| format!("a field of `{record}`"))?;
            let name = string(json, "name").with_context(|| format!("a field of `{record}`"))?;
            let of = json.get("type").with_context(|| format!("`{record}.{name}`: no type"))?;
            if fields.iter().any(|field| field.name == name) {
                bail!("`{record}.{name}` stands twice");
            }
            fields.push(Field {
                name: name.to_owned(),
                of: self.read_type(of, namespace).with_context(|| format!("`{record}.{name}`"))?,
                default: json.get("default").cloned(),
                doc: string(json, "doc").unwrap_or_default().to_owned(),
                attributes: attributes(json),
            });
        }
        Ok(fields)
    }

    /// The parsing canonical form.
    pub fn canonical_form(&self) -> String {
        let mut out = String::new();
        self.put_named(&self.root().name, &mut Vec::new(), &mut out);
        out
    }

    /// A named type is written out where it stands first and by its name from then on.
    fn put_named<'s>(&'s self, name: &'s str, written: &mut Vec<&'s str>, out: &mut String) {
        let Some(named) = self.named(name).filter(|_| !written.contains(&name)) else {
            let _ = write!(out, "\"{name}\"");
            return;
        };
        written.push(name);
        let _ = write!(out, "{{\"name\":\"{name}\",\"type\":\"{}\"", named.shape.sort());
        match &named.shape {
            Shape::Record(fields) => {
                out.push_str(",\"fields\":[");
                for (at, field) in fields.iter().enumerate() {
                    let comma = if at == 0 { "" } else { "," };
                    let _ = write!(out, "{comma}{{\"name\":\"{}\",\"type\":", field.name);
                    self.put_type(&field.of, written, out);
                    out.push('}');
                }
                out.push(']');
            }
            Shape::Enum { symbols, .. } => {
                let _ = write!(out, ",\"symbols\":[\"{}\"]", symbols.join("\",\""));
            }
            Shape::Fixed { size } => {
                let _ = write!(out, ",\"size\":{size}");
            }
        }
        out.push('}');
    }

    fn put_type<'s>(&'s self, of: &'s Type, written: &mut Vec<&'s str>, out: &mut String) {
        match of {
            Type::Primitive { name, .. } => {
                let _ = write!(out, "\"{name}\"");
            }
            Type::Named(name) => self.put_named(name, written, out),
            Type::Array(item) | Type::Map(item) => {
                let (sort, key) = if matches!(of, Type::Array(_)) {
                    ("array", "items")
                } else {
                    ("map", "values")
                };
                let _ = write!(out, "{{\"type\":\"{sort}\",\"{key}\":");
                self.put_type(item, written, out);
                out.push('}');
            }
            Type::Union(branches) => {
                for (at, branch) in branches.iter().enumerate() {
                    out.push(if at == 0 { '[' } else { ',' });
                    self.put_type(branch, written, out);
                }
                out.push(']');
            }
        }
    }

    /// What the kernel's reader refuses in this schema: where, and what.
    pub fn refused(&self) -> Vec<Refused> {
        let mut found = Vec::new();
        for named in &self.types {
            let record = short(&named.name);
            match &named.shape {
                Shape::Record(fields) => {
                    for field in fields {
                        let at = format!("{record}.{}", field.name);
                        found.extend(self.refused_field(field).map(|what| Refused { at, what }));
                    }
                }
                Shape::Enum { symbols, default: Some(default) } if !symbols.contains(default) => {
                    let what = format!("the default `{default}` is no symbol of it");
                    found.push(Refused { at: record.to_owned(), what });
                }
                Shape::Enum { .. } | Shape::Fixed { .. } => {}
            }
        }
        found
    }

    fn refused_field(&self, field: &Field) -> Option<String> {
        if let Some(sort) = unread_sort(&field.of) {
            return Some(format!("the kernel reads no {sort}"));
        }
        let default = field.default.as_ref()?;
        (!self.fits(&field.of, default))
            .then(|| format!("the default {default} is of another type"))
    }

    /// Whether a JSON default is a value of the type; of a union, of any branch (Avro 1.12).
    fn fits(&self, of: &Type, json: &Value) -> bool {
        match of {
            Type::Primitive { name, .. } => match name.as_str() {
                "null" => json.is_null(),
                "boolean" => json.is_boolean(),
                "int" => json.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                "long" => json.is_i64(),
                "bytes" | "string" => json.is_string(),
                _ => json.is_number(),
            },
            Type::Array(item) => {
                json.as_array().is_some_and(|items| items.iter().all(|one| self.fits(item, one)))
            }
            Type::Map(value) => {
                json.as_object().is_some_and(|map| map.values().all(|one| self.fits(value, one)))
            }
            Type::Union(branches) => branches.iter().any(|branch| self.fits(branch, json)),
            Type::Named(name) => match self.named(name).map(|named| &named.shape) {
                Some(Shape::Record(fields)) => json.as_object().is_some_and(|object| {
                    let fits = |field: &Field| match object.get(&field.name) {
                        Some(json) => self.fits(&field.of, json),
                        None => field.default.is_some(),
                    };
                    fields.iter().all(fits)
                }),
                Some(Shape::Enum { symbols, .. }) => {
                    json.as_str().is_some_and(|text| symbols.iter().any(|symbol| symbol == text))
                }
                Some(Shape::Fixed { size }) => json.as_str().is_some_and(|text| {
                    u64::try_from(text.chars().count()).is_ok_and(|n| n == *size)
                }),
                None => false,
            },
        }
    }
}

/// A part of a schema that the kernel's reader refuses.
#[derive(Debug)]
pub struct Refused {
    /// `Record.field`, or the type.
    pub at: String,
    pub what: String,
}

impl Shape {
    /// Avro's word for it.
    pub fn sort(&self) -> &'static str {
        match self {
            Shape::Record(_) => "record",
            Shape::Enum { .. } => "enum",
            Shape::Fixed { .. } => "fixed",
        }
    }
}

impl fmt::Display for Type {
    /// As the data dictionary writes types: `null or string`, `array of Act`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Primitive { name, .. } => f.write_str(name),
            Type::Named(name) => f.write_str(short(name)),
            Type::Array(item) => write!(f, "array of {item}"),
            Type::Map(value) => write!(f, "map of {value}"),
            Type::Union(branches) => {
                let branches: Vec<String> = branches.iter().map(ToString::to_string).collect();
                f.write_str(&branches.join(" or "))
            }
        }
    }
}

/// The logical types in a type, in order.
pub fn logical_types(of: &Type) -> Vec<&str> {
    match of {
        Type::Primitive { logical, .. } => logical.as_deref().into_iter().collect(),
        Type::Named(_) => Vec::new(),
        Type::Array(inner) | Type::Map(inner) => logical_types(inner),
        Type::Union(branches) => branches.iter().flat_map(logical_types).collect(),
    }
}

/// The last part of a name.
pub fn short(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A sort of type that the kernel does not read: a null of its own takes no byte, so a short body
/// could hold any number of them.
fn unread_sort(of: &Type) -> Option<&'static str> {
    match of {
        Type::Primitive { name, .. } => match name.as_str() {
            "float" => Some("float"),
            "double" => Some("double"),
            "null" => Some("null outside a union"),
            _ => None,
        },
        Type::Named(_) => None,
        Type::Map(_) => Some("map"),
        Type::Array(item) => unread_sort(item),
        Type::Union(branches) => {
            let is_null = |of: &&Type| matches!(of, Type::Primitive { name, .. } if name == "null");
            branches.iter().filter(|branch| !is_null(branch)).find_map(unread_sort)
        }
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        return name.to_owned();
    }
    format!("{namespace}.{name}")
}

fn string<'j>(object: &'j Map<String, Value>, key: &str) -> Option<&'j str> {
    object.get(key).and_then(Value::as_str)
}

fn symbols(object: &Map<String, Value>, name: &str) -> Result<Vec<String>> {
    let list = object.get("symbols").and_then(Value::as_array);
    let list = list.with_context(|| format!("`{name}` has no symbols"))?;
    let symbol = |json: &Value| json.as_str().map(str::to_owned);
    list.iter().map(symbol).collect::<Option<_>>().with_context(|| format!("`{name}`: a symbol"))
}

fn attributes(object: &Map<String, Value>) -> Attributes {
    let others = object.iter().filter(|(key, _)| !KEYS.contains(&key.as_str()));
    others.map(|(key, value)| (key.clone(), value.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process;

    /// The forms are pinned by the kernel's vectors, so this reader and the kernel's cannot differ.
    #[test]
    fn the_canonical_form_is_the_kernels() {
        let folder = process::root().join("crates/proof");
        let vectors = std::fs::read_to_string(folder.join("vectors/schemas.json")).expect("read");
        let vectors: Value = serde_json::from_str(&vectors).expect("JSON");
        let pinned = vectors["pinned"].as_array().expect("a list");
        assert!(pinned.len() > 6, "every kind is pinned");
        for pin in pinned {
            let file = pin["file"].as_str().expect("a file");
            let text = std::fs::read_to_string(folder.join(file)).expect("read");
            let schema = Schema::parse(&text).expect(file);
            assert_eq!(schema.canonical_form(), pin["canonical_form"], "{file}");
            assert_eq!(schema.root().name, pin["name"], "{file}");
            assert!(schema.refused().is_empty(), "{file}: {:?}", schema.refused());
        }
    }

    #[track_caller]
    fn check_refused(field: &str, expected: &[&str]) {
        let text = format!(r#"{{"type":"record","name":"n.R","fields":[{field}]}}"#);
        let schema = Schema::parse(&text).expect(&text);
        let found: Vec<String> =
            schema.refused().into_iter().map(|one| format!("{}: {}", one.at, one.what)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_the_kernel_refuses_is_said() {
        check_refused(r#"{"name":"a","type":["null","string"],"default":"x"}"#, &[]);
        check_refused(r#"{"name":"a","type":"double"}"#, &["R.a: the kernel reads no double"]);
        let map = r#"{"name":"a","type":["null",{"type":"map","values":"int"}]}"#;
        check_refused(map, &["R.a: the kernel reads no map"]);
        let null = r#"{"name":"a","type":{"type":"array","items":"null"}}"#;
        check_refused(null, &["R.a: the kernel reads no null outside a union"]);
        let default = r#"{"name":"a","type":"int","default":4294967296}"#;
        check_refused(default, &["R.a: the default 4294967296 is of another type"]);
        let symbol = r#"{"name":"a","type":{"type":"enum","name":"E","symbols":["A"],
                         "default":"B"}}"#;
        check_refused(symbol, &["E: the default `B` is no symbol of it"]);
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for text in [
            "",
            "\"int\"",
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"Other"}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"a"}]}"#,
            r#"{"type":"record","name":"R"}"#,
        ] {
            assert!(Schema::parse(text).is_err(), "{text}");
        }
    }
}
