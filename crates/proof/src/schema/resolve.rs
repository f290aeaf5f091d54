//! Schema resolution: a body written under one version of a record, as the canonical body of
//! another (Avro 1.12, "Schema Resolution").
//!
//! ```text
//! field of both            resolved by name
//! field of the writer only read strictly, then dropped
//! field of the reader only the reader's default
//! symbol of the writer only the reader's enum default
//! int -> long, string <-> bytes, T -> union with T, union -> T for the branch that was written
//! ```
//!
//! Promises: what comes out is the canonical encoding under the reader's schema. What goes in is
//! held to the same strict rules, dropped parts included, so two inputs never stand for one value
//! unnoticed.
//!
//! Refuses: writer fields without counterpart where the reader has no default; any pair of types
//! that Avro does not resolve. [`readable`] finds these before any body is read.

use super::model::{Field, Node, NodeId, Schema, put_position};
use crate::wire::{DecodeError, Reader, Refused, Wire};

/// Reads `body` as a record of `writer` and writes it as a record of `reader`.
///
/// # Errors
/// Any [`DecodeError`]; `OutOfRange` where the schemas do not resolve.
pub fn resolve(writer: &Schema, reader: &Schema, body: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let resolver = Resolver { writer, reader };
    let mut input = Reader::new(body);
    let mut out = Vec::with_capacity(body.len() + 64);
    match resolver.value(writer.root(), reader.root(), &mut input, &mut out) {
        Ok(()) => input.finish().map(|()| out),
        Err(_) => Err(input.why()),
    }
}

/// Whether every body of `writer` can be read as `reader`, save for strings that are no text.
pub(super) fn readable(writer: &Schema, reader: &Schema) -> bool {
    Resolver { writer, reader }.resolves(writer.root(), reader.root())
}

struct Resolver<'s> {
    writer: &'s Schema,
    reader: &'s Schema,
}

impl Resolver<'_> {
    fn value(
        &self,
        from: NodeId,
        to: NodeId,
        input: &mut Reader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        match (self.writer.node(from), self.reader.node(to)) {
            (Node::Union(branches), _) => {
                let branch = branches[take_position(input, branches.len(), "union branch")?];
                self.value(branch, to, input, out)
            }
            (_, Node::Union(branches)) => {
                let position = self.branch_for(from, branches).ok_or_else(|| unresolved(input))?;
                put_position(out, position);
                self.value(from, branches[position], input, out)
            }
            (Node::Null, Node::Null) => Ok(()),
            (Node::Boolean, Node::Boolean) => copy::<bool>(input, out),
            (Node::Int, Node::Int | Node::Long) => copy::<i32>(input, out),
            (Node::Long, Node::Long) => copy::<i64>(input, out),
            (Node::Bytes, Node::Bytes) => copy::<&[u8]>(input, out),
            (Node::String | Node::Bytes, Node::String | Node::Bytes) => copy::<&str>(input, out),
            (Node::Fixed { size, .. }, Node::Fixed { .. }) if self.matches(from, to) => {
                out.extend_from_slice(input.take_slice(*size)?);
                Ok(())
            }
            (Node::Enum { symbols, .. }, Node::Enum { symbols: known, default, .. })
                if self.matches(from, to) =>
            {
                let symbol = &symbols[take_position(input, symbols.len(), "enum symbol")?];
                let position = known.iter().position(|known| known == symbol).or(*default);
                put_position(out, position.ok_or_else(|| unresolved(input))?);
                Ok(())
            }
            (Node::Array(from), Node::Array(to)) => {
                let count = input.take_length()?;
                if count > 0 {
                    put_position(out, count);
                }
                for _ in 0..count {
                    self.value(*from, *to, input, out)?;
                }
                put_position(out, 0);
                end_array(count, input)
            }
            (Node::Record { fields: from, .. }, Node::Record { fields: to, .. }) => {
                self.record(from, to, input, out)
            }
            _ => Err(unresolved(input)),
        }
    }

    /// Fields come in the writer's order and leave in the reader's. Versions of one record nearly
    /// agree in it, so a field that is next in both is written at once and only others are kept
    /// aside.
    fn record(
        &self,
        from: &[Field],
        to: &[Field],
        input: &mut Reader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        let mut kept: Vec<Option<Vec<u8>>> = Vec::new();
        let mut next = 0;
        for field in from {
            if to.get(next).is_some_and(|target| target.name == field.name) {
                self.value(field.node, to[next].node, input, out)?;
                next += 1;
            } else if let Some(at) = to.iter().position(|target| target.name == field.name) {
                // Reader fields between `next` and `at` may still come, or have to take their
                // default.
                let mut bytes = Vec::new();
                self.value(field.node, to[at].node, input, &mut bytes)?;
                kept.resize(to.len(), None);
                kept[at] = Some(bytes);
            } else {
                self.skip(field.node, input)?;
            }
            while next < to.len() && take_kept(&mut kept, next, out) {
                next += 1;
            }
        }
        for (position, target) in to.iter().enumerate().skip(next) {
            if !take_kept(&mut kept, position, out) {
                out.extend(target.default.as_ref().ok_or_else(|| unresolved(input))?);
            }
        }
        Ok(())
    }

    /// Reads a value of the writer as strictly as any other and drops it.
    fn skip(&self, from: NodeId, input: &mut Reader<'_>) -> Result<(), Refused> {
        match self.writer.node(from) {
            Node::Null => Ok(()),
            Node::Boolean => bool::take(input).map(drop),
            Node::Int => i32::take(input).map(drop),
            Node::Long => i64::take(input).map(drop),
            Node::Bytes => <&[u8]>::take(input).map(drop),
            Node::String => <&str>::take(input).map(drop),
            Node::Fixed { size, .. } => input.take_slice(*size).map(drop),
            Node::Enum { symbols, .. } => {
                take_position(input, symbols.len(), "enum symbol").map(drop)
            }
            Node::Array(item) => {
                let count = input.take_length()?;
                (0..count).try_for_each(|_| self.skip(*item, input))?;
                end_array(count, input)
            }
            Node::Union(branches) => {
                let position = take_position(input, branches.len(), "union branch")?;
                self.skip(branches[position], input)
            }
            Node::Record { fields, .. } => {
                fields.iter().try_for_each(|field| self.skip(field.node, input))
            }
        }
    }

    /// The branch that takes a value of the writer's type: one of the same sort and full name
    /// before one of the same sort, that before a promotion, and the first of each.
    fn branch_for(&self, from: NodeId, branches: &[NodeId]) -> Option<usize> {
        let nodes = |to: &NodeId| (self.writer.node(from), self.reader.node(*to));
        let same = |to: &NodeId| {
            let (from, to) = nodes(to);
            std::mem::discriminant(from) == std::mem::discriminant(to)
        };
        let named = |to: &NodeId| same(to) && nodes(to).0.name() == nodes(to).1.name();
        let first = |wanted: &dyn Fn(&NodeId) -> bool| {
            branches.iter().position(|to| wanted(to) && self.matches(from, *to))
        };
        first(&named).or_else(|| first(&same)).or_else(|| first(&|_| true))
    }

    /// Whether two types match by sort and name, without looking inside.
    fn matches(&self, from: NodeId, to: NodeId) -> bool {
        let (from, to) = (self.writer.node(from), self.reader.node(to));
        match (from, to) {
            (Node::Null, Node::Null)
            | (Node::Boolean, Node::Boolean)
            | (Node::Int, Node::Int | Node::Long)
            | (Node::Long, Node::Long)
            | (Node::String | Node::Bytes, Node::String | Node::Bytes)
            | (Node::Array(_), Node::Array(_)) => true,
            (Node::Fixed { size: from_size, .. }, Node::Fixed { size: to_size, .. }) => {
                from_size == to_size && short_name(from) == short_name(to)
            }
            (Node::Enum { .. }, Node::Enum { .. }) | (Node::Record { .. }, Node::Record { .. }) => {
                short_name(from) == short_name(to)
            }
            _ => false,
        }
    }

    fn resolves(&self, from: NodeId, to: NodeId) -> bool {
        match (self.writer.node(from), self.reader.node(to)) {
            (Node::Union(branches), _) => branches.iter().all(|branch| self.resolves(*branch, to)),
            (_, Node::Union(branches)) => self
                .branch_for(from, branches)
                .is_some_and(|position| self.resolves(from, branches[position])),
            (Node::Array(from), Node::Array(to)) => self.resolves(*from, *to),
            (Node::Enum { symbols, .. }, Node::Enum { symbols: known, default, .. }) => {
                let all_known = || symbols.iter().all(|symbol| known.contains(symbol));
                self.matches(from, to) && (default.is_some() || all_known())
            }
            (Node::Record { fields: own, .. }, Node::Record { fields: wanted, .. }) => {
                let field_resolves =
                    |target: &Field| match own.iter().find(|field| field.name == target.name) {
                        Some(field) => self.resolves(field.node, target.node),
                        None => target.default.is_some(),
                    };
                self.matches(from, to) && wanted.iter().all(field_resolves)
            }
            _ => self.matches(from, to),
        }
    }
}

/// Named types match by the last part of their names (Avro 1.12).
fn short_name(node: &Node) -> Option<&str> {
    node.name().and_then(|name| name.rsplit('.').next())
}

fn take_kept(kept: &mut [Option<Vec<u8>>], position: usize, out: &mut Vec<u8>) -> bool {
    let bytes = kept.get_mut(position).and_then(Option::take);
    if let Some(bytes) = &bytes {
        out.extend_from_slice(bytes);
    }
    bytes.is_some()
}

fn copy<'a, T: Wire<'a>>(input: &mut Reader<'a>, out: &mut Vec<u8>) -> Result<(), Refused> {
    T::take(input).map(|value| value.put(out))
}

/// A non-negative long below `limit`.
fn take_position(
    input: &mut Reader<'_>,
    limit: usize,
    what: &'static str,
) -> Result<usize, Refused> {
    let long = input.take_long()?;
    let position = usize::try_from(long).ok().filter(|position| *position < limit);
    position.ok_or_else(|| input.out_of_range(what))
}

/// The zero behind the only block of a non-empty array. An empty array is that zero alone.
fn end_array(count: usize, input: &mut Reader<'_>) -> Result<(), Refused> {
    if count > 0 && input.take_slice(1)? != [0] {
        return Err(input.non_canonical("array split into several blocks"));
    }
    Ok(())
}

fn unresolved(input: &mut Reader<'_>) -> Refused {
    input.out_of_range("this version of the schema has no place for the value")
}
