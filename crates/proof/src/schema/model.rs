//! The part of Avro that records of the ledger use, parsed from a schema's JSON text.
//!
//! Promises: a [`Schema`] has every default checked and already encoded, every value of every type
//! in it takes at least one byte, and its types nest at most [`MAX_HEIGHT`] deep. So reading a body
//! costs time in proportion to the body and bounded stack, whoever wrote the schema.
//!
//! Refuses: maps, floats, doubles, recursive types, logical types' own encodings (none change the
//! bytes), types without a byte, names outside `[A-Za-z_][A-Za-z0-9_]*`.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::hash::Hash;
use crate::wire::{Wire, put_long};

/// Longest schema text in bytes: its SCHEMA record must fit an entry bundle.
pub const MAX_SCHEMA_BYTES: usize = 60_000;
/// Most levels of types within types.
pub const MAX_HEIGHT: usize = 32;
/// Longest encoding of a default, and most values looked at to encode it. Records whose fields
/// default to records would else double it with every level, and unions within unions try every
/// branch: a text of 2 KiB could ask for gigabytes or years.
const MAX_DEFAULT: usize = 4096;
/// Largest `fixed`.
const MAX_FIXED_BYTES: u64 = 65_535;

/// Why a schema is not used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SchemaError {
    /// Longer than [`MAX_SCHEMA_BYTES`].
    #[error("a schema text has at most {MAX_SCHEMA_BYTES} bytes")]
    TooLong,
    /// Not JSON, or not a schema.
    #[error("not a schema this kernel reads: {what} in `{place}`")]
    Malformed {
        /// The type or field.
        place: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The text does not have the SHA-256 that its record states.
    #[error("the text has SHA-256 {found}, the record states {stated}")]
    Digest {
        /// Recomputed.
        found: Hash,
        /// In the record.
        stated: Hash,
    },
    /// The text does not have the fingerprint that its record states.
    #[error("the fingerprint in the record is not that of the text")]
    Fingerprint,
    /// The text names another record than its SCHEMA record.
    #[error("the text is of `{found}`, the record says `{stated}`")]
    Name {
        /// In the text.
        found: String,
        /// In the record.
        stated: String,
    },
    /// The fingerprint already means another text.
    #[error("the fingerprint already means a text with SHA-256 {known}")]
    Conflict {
        /// SHA-256 of the text that came first.
        known: Hash,
    },
}

impl SchemaError {
    /// The stable code that interfaces report.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed { .. } => "schema_malformed",
            Self::Digest { .. } => "schema_digest",
            Self::Fingerprint => "schema_fingerprint",
            Self::Name { .. } => "schema_name",
            Self::Conflict { .. } => "schema_conflict",
        }
    }
}

fn malformed(place: &str, what: &'static str) -> SchemaError {
    SchemaError::Malformed { place: place.chars().take(64).collect(), what }
}

/// Place of a type in its schema.
pub(super) type NodeId = usize;

/// One type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Bytes,
    String,
    Fixed { name: String, size: usize },
    Enum { name: String, symbols: Vec<String>, default: Option<usize> },
    Array(NodeId),
    Union(Vec<NodeId>),
    Record { name: String, fields: Vec<Field> },
}

/// One field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub name: String,
    pub node: NodeId,
    /// The canonical encoding of the default.
    pub default: Option<Vec<u8>>,
}

/// A parsed schema of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    nodes: Vec<Node>,
    heights: Vec<usize>,
    root: NodeId,
}

impl Schema {
    /// Parses a schema text. The outermost type must be a record.
    ///
    /// # Errors
    /// `TooLong` or `Malformed`.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(SchemaError::TooLong);
        }
        let json: Value = serde_json::from_str(text).map_err(|_| malformed("", "no JSON"))?;
        let mut schema = Self { nodes: Vec::new(), heights: Vec::new(), root: 0 };
        schema.root = schema.parse_type(&json, "")?;
        match schema.node(schema.root) {
            Node::Record { .. } => Ok(schema),
            _ => Err(malformed("", "the outermost type is no record")),
        }
    }

    /// Full name of the record.
    #[must_use]
    pub fn name(&self) -> &str {
        self.node(self.root).name().expect("parse lets only records be the root")
    }

    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    fn push(&mut self, node: Node) -> Result<NodeId, SchemaError> {
        let height = 1 + match &node {
            Node::Array(item) => self.heights[*item],
            Node::Union(branches) => self.tallest(branches.iter().copied()),
            Node::Record { fields, .. } => self.tallest(fields.iter().map(|field| field.node)),
            _ => 0,
        };
        if height > MAX_HEIGHT {
            return Err(malformed(node.name().unwrap_or_default(), "types nest too deep"));
        }
        self.nodes.push(node);
        self.heights.push(height);
        Ok(self.nodes.len() - 1)
    }

    fn tallest(&self, nodes: impl Iterator<Item = NodeId>) -> usize {
        nodes.map(|node| self.heights[node]).max().unwrap_or(0)
    }

    fn find(&self, name: &str) -> Option<NodeId> {
        self.nodes.iter().position(|node| node.name() == Some(name))
    }

    fn parse_type(&mut self, json: &Value, namespace: &str) -> Result<NodeId, SchemaError> {
        match json {
            Value::String(name) => self.parse_name(name, namespace),
            Value::Array(branches) => self.parse_union(branches, namespace),
            Value::Object(object) => match text(object, "type", "")? {
                "record" => self.parse_record(object, namespace),
                "enum" => self.parse_enum(object, namespace),
                "fixed" => self.parse_fixed(object, namespace),
                "array" => {
                    let items = object.get("items").ok_or(malformed("array", "no items"))?;
                    let item = self.parse_type(items, namespace)?;
                    self.refuse_null(item, "array")?;
                    self.push(Node::Array(item))
                }
                primitive => self.parse_name(primitive, namespace),
            },
            _ => Err(malformed("", "a type is a string, an array or an object")),
        }
    }

    fn parse_name(&mut self, name: &str, namespace: &str) -> Result<NodeId, SchemaError> {
        let primitive = match name {
            "null" => Node::Null,
            "boolean" => Node::Boolean,
            "int" => Node::Int,
            "long" => Node::Long,
            "bytes" => Node::Bytes,
            "string" => Node::String,
            _ => {
                let full = full_name(name, namespace);
                return self.find(&full).ok_or_else(|| malformed(&full, "type is not defined"));
            }
        };
        match self.nodes.iter().position(|node| *node == primitive) {
            Some(known) => Ok(known),
            None => self.push(primitive),
        }
    }

    fn parse_union(&mut self, json: &[Value], namespace: &str) -> Result<NodeId, SchemaError> {
        let mut branches = Vec::with_capacity(json.len());
        for branch in json {
            let branch = self.parse_type(branch, namespace)?;
            let doubled = branches.iter().any(|other| self.same_branch(*other, branch));
            if doubled || matches!(self.node(branch), Node::Union(_)) {
                return Err(malformed("union", "two branches of one type, or a union in a union"));
            }
            branches.push(branch);
        }
        if branches.is_empty() {
            return Err(malformed("union", "no branches"));
        }
        self.push(Node::Union(branches))
    }

    /// Whether a value could not tell the two branches apart.
    fn same_branch(&self, left: NodeId, right: NodeId) -> bool {
        let both_arrays =
            matches!((self.node(left), self.node(right)), (Node::Array(_), Node::Array(_)));
        left == right || both_arrays
    }

    fn parse_record(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<NodeId, SchemaError> {
        let (name, namespace) = self.define(object, namespace)?;
        let Some(Value::Array(list)) = object.get("fields") else {
            return Err(malformed(&name, "no fields"));
        };
        let mut fields: Vec<Field> = Vec::with_capacity(list.len());
        for json in list {
            let json = json.as_object().ok_or_else(|| malformed(&name, "a field is an object"))?;
            let field = self.parse_field(json, &name, &namespace)?;
            if fields.iter().any(|other| other.name == field.name) {
                return Err(malformed(&name, "two fields of one name"));
            }
            fields.push(field);
        }
        if fields.is_empty() || self.find(&name).is_some() {
            return Err(malformed(&name, "no fields, or defined within itself"));
        }
        self.push(Node::Record { name, fields })
    }

    fn parse_field(
        &mut self,
        json: &Map<String, Value>,
        record: &str,
        namespace: &str,
    ) -> Result<Field, SchemaError> {
        let name = text(json, "name", record)?;
        if !is_name(name) {
            return Err(malformed(record, "bad field name"));
        }
        let declared = json.get("type").ok_or_else(|| malformed(name, "no type"))?;
        let node = self.parse_type(declared, namespace)?;
        self.refuse_null(node, name)?;
        let default = match json.get("default") {
            None => None,
            Some(value) => {
                let (mut bytes, mut steps) = (Vec::new(), MAX_DEFAULT);
                self.put_default(node, value, &mut bytes, &mut steps).ok_or_else(|| {
                    malformed(name, "the default is too large or of another type")
                })?;
                Some(bytes)
            }
        };
        Ok(Field { name: name.to_owned(), node, default })
    }

    fn parse_enum(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<NodeId, SchemaError> {
        let (name, _) = self.define(object, namespace)?;
        let Some(Value::Array(list)) = object.get("symbols") else {
            return Err(malformed(&name, "no symbols"));
        };
        let mut symbols: Vec<String> = Vec::with_capacity(list.len());
        for symbol in list {
            let symbol = symbol.as_str().filter(|symbol| is_name(symbol));
            let symbol = symbol.ok_or_else(|| malformed(&name, "bad symbol"))?;
            if symbols.iter().any(|other| other == symbol) {
                return Err(malformed(&name, "a symbol twice"));
            }
            symbols.push(symbol.to_owned());
        }
        let default = match object.get("default") {
            None => None,
            Some(value) => Some(
                symbols
                    .iter()
                    .position(|symbol| value == symbol)
                    .ok_or_else(|| malformed(&name, "the default is no symbol"))?,
            ),
        };
        self.push(Node::Enum { name, symbols, default })
    }

    fn parse_fixed(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<NodeId, SchemaError> {
        let (name, _) = self.define(object, namespace)?;
        let size = object.get("size").and_then(Value::as_u64);
        let size = size
            .filter(|size| (1..=MAX_FIXED_BYTES).contains(size))
            .and_then(|size| usize::try_from(size).ok())
            .ok_or_else(|| malformed(&name, "bad size"))?;
        self.push(Node::Fixed { name, size })
    }

    /// Full name and namespace of a definition. Refuses a second definition.
    fn define(
        &self,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<(String, String), SchemaError> {
        let name = text(object, "name", "")?;
        let namespace = match object.get("namespace") {
            None => namespace,
            Some(own) => own.as_str().ok_or_else(|| malformed(name, "bad namespace"))?,
        };
        let full = full_name(name, namespace);
        if !full.split('.').all(is_name) || self.find(&full).is_some() {
            return Err(malformed(&full, "bad name, or defined twice"));
        }
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        Ok((full, namespace))
    }

    /// A null of its own takes no byte, so a short body could hold any number of them.
    fn refuse_null(&self, node: NodeId, place: &str) -> Result<(), SchemaError> {
        match self.node(node) {
            Node::Null => Err(malformed(place, "null outside a union")),
            _ => Ok(()),
        }
    }

    /// Appends the encoding of a JSON default. `None` when it does not fit the type or the limits.
    fn put_default(
        &self,
        node: NodeId,
        json: &Value,
        out: &mut Vec<u8>,
        steps: &mut usize,
    ) -> Option<()> {
        *steps = steps.checked_sub(1)?;
        match (self.node(node), json) {
            (Node::Null, Value::Null) => {}
            (Node::Boolean, Value::Bool(value)) => value.put(out),
            (Node::Int, Value::Number(number)) => {
                i32::try_from(number.as_i64()?).ok()?.put(out);
            }
            (Node::Long, Value::Number(number)) => number.as_i64()?.put(out),
            (Node::String, Value::String(value)) => value.as_str().put(out),
            (Node::Bytes, Value::String(value)) => latin1(value)?.as_slice().put(out),
            (Node::Fixed { size, .. }, Value::String(value)) => {
                out.extend(latin1(value).filter(|bytes| bytes.len() == *size)?);
            }
            (Node::Enum { symbols, .. }, Value::String(value)) => {
                put_position(out, symbols.iter().position(|symbol| symbol == value)?);
            }
            (Node::Array(item), Value::Array(values)) => {
                if !values.is_empty() {
                    put_position(out, values.len());
                }
                for value in values {
                    self.put_default(*item, value, out, steps)?;
                }
                put_position(out, 0);
            }
            (Node::Union(branches), value) => {
                let (position, bytes) = branches.iter().enumerate().find_map(|(at, branch)| {
                    let mut bytes = Vec::new();
                    self.put_default(*branch, value, &mut bytes, steps).map(|()| (at, bytes))
                })?;
                put_position(out, position);
                out.extend(bytes);
            }
            (Node::Record { fields, .. }, Value::Object(object)) => {
                for field in fields {
                    match (object.get(&field.name), &field.default) {
                        (Some(value), _) => self.put_default(field.node, value, out, steps)?,
                        (None, Some(bytes)) if bytes.len() + out.len() <= MAX_DEFAULT => {
                            out.extend(bytes);
                        }
                        (None, _) => return None,
                    }
                }
            }
            _ => return None,
        }
        (out.len() <= MAX_DEFAULT).then_some(())
    }
}

impl Node {
    /// Full name of a named type.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Fixed { name, .. } | Self::Enum { name, .. } | Self::Record { name, .. } => {
                Some(name)
            }
            _ => None,
        }
    }
}

/// Appends a position, count or size as a long.
pub(super) fn put_position(out: &mut Vec<u8>, position: usize) {
    put_long(out, i64::try_from(position).expect("positions are bounded by a text in memory"));
}

/// Bytes written as JSON text, one character below U+0100 for each (Avro 1.12, "Default values").
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect()
}

fn text<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    place: &str,
) -> Result<&'a str, SchemaError> {
    let value = object.get(key).and_then(Value::as_str);
    value.ok_or_else(|| malformed(place, "`type` and `name` are strings"))
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn is_name(name: &str) -> bool {
    let first = name.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
