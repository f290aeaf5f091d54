//! Parsing canonical form and CRC-64-AVRO (Avro 1.12, "Parsing Canonical Form for Schemas").
//!
//! ```text
//! canonical form   only name, type, fields, symbols, items, size, in this order;
//!                  full names; no blanks
//! CRC-64-AVRO      reflected, polynomial c15d213aa4d7a795, initial value = polynomial,
//!                  no final XOR
//! ```
//!
//! Names and symbols are ASCII words (the parser sees to it), so no text here needs escaping.

use std::fmt::Write as _;

use super::model::{Node, NodeId, Schema, SchemaError};

const POLYNOMIAL: u64 = 0xc15d_213a_a4d7_a795;

static TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(POLYNOMIAL, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ TABLE[usize::from(low ^ byte)]
    })
}

/// The parsing canonical form of a schema text.
///
/// # Errors
/// `TooLong` or `Malformed`.
pub fn canonical_form(text: &str) -> Result<String, SchemaError> {
    Schema::parse(text).map(|schema| schema.canonical_form())
}

/// CRC-64-AVRO of a schema text's parsing canonical form, little-endian as in single-object
/// encoding.
///
/// # Errors
/// `TooLong` or `Malformed`.
pub fn fingerprint(text: &str) -> Result<[u8; 8], SchemaError> {
    Schema::parse(text).map(|schema| schema.fingerprint())
}

impl Schema {
    /// The parsing canonical form.
    #[must_use]
    pub fn canonical_form(&self) -> String {
        let mut out = String::with_capacity(4096);
        self.put_canonical(self.root(), &mut Vec::new(), &mut out);
        out
    }

    /// CRC-64-AVRO of the canonical form, little-endian.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 8] {
        crc64(self.canonical_form().as_bytes()).to_le_bytes()
    }

    /// A named type is written out where it stands first and by its name from then on.
    fn put_canonical(&self, id: NodeId, written: &mut Vec<NodeId>, out: &mut String) {
        let node = self.node(id);
        if let Some(name) = node.name() {
            if written.contains(&id) {
                quote(name, out);
                return;
            }
            written.push(id);
        }
        match node {
            Node::Null => quote("null", out),
            Node::Boolean => quote("boolean", out),
            Node::Int => quote("int", out),
            Node::Long => quote("long", out),
            Node::Bytes => quote("bytes", out),
            Node::String => quote("string", out),
            Node::Fixed { name, size } => {
                let _ = write!(out, r#"{{"name":"{name}","type":"fixed","size":{size}}}"#);
            }
            Node::Enum { name, symbols, .. } => {
                let _ = write!(out, r#"{{"name":"{name}","type":"enum","symbols":["#);
                list(symbols, out, |symbol, out| quote(symbol, out));
                out.push_str("]}");
            }
            Node::Array(item) => {
                out.push_str(r#"{"type":"array","items":"#);
                self.put_canonical(*item, written, out);
                out.push('}');
            }
            Node::Union(branches) => {
                out.push('[');
                list(branches, out, |branch, out| self.put_canonical(*branch, written, out));
                out.push(']');
            }
            Node::Record { name, fields } => {
                let _ = write!(out, r#"{{"name":"{name}","type":"record","fields":["#);
                list(fields, out, |field, out| {
                    let _ = write!(out, r#"{{"name":"{}","type":"#, field.name);
                    self.put_canonical(field.node, written, out);
                    out.push('}');
                });
                out.push_str("]}");
            }
        }
    }
}

fn quote(name: &str, out: &mut String) {
    out.push('"');
    out.push_str(name);
    out.push('"');
}

fn list<T>(items: &[T], out: &mut String, mut put: impl FnMut(&T, &mut String)) {
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        put(item, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The Avro specification's and its test suite's fingerprint of the schema `"int"`.
    #[test]
    fn crc_matches_the_specification() {
        assert_eq!(crc64(br#""int""#), 0x7275_d51a_3f39_5c8f);
        assert_eq!(crc64(br#""null""#), 0x63dd_24e7_cc25_8f8a);
        assert_eq!(crc64(b""), POLYNOMIAL);
    }
}
