//! What differs between two versions of a record, element by element.
//!
//! Promises: every difference of the two texts is told that a reader or a reviewer could care for:
//! types, fields and symbols added and removed; type, default, doc, logical type, order and every
//! other property changed. White space and the spelling of a type that means the same are no
//! difference.

use std::collections::BTreeSet;

use super::avro::{Attributes, Field, Named, Schema, Shape, Type, logical_types, short};
use super::resolution::ROOT;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `Record.field`, `Enum.SYMBOL`, the named type, or [`ROOT`]: as resolution names places.
    pub at: String,
    pub what: What,
    /// Empty for what was added.
    pub before: String,
    /// Empty for what was removed.
    pub after: String,
}

/// What sort of difference it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Added,
    Removed,
    /// The record or type has another name.
    Renamed,
    Type,
    Default,
    Size,
    Doc,
    LogicalType,
    /// Of fields or symbols.
    Order,
    /// Any other property, aliases too.
    Property,
}

impl What {
    /// As the page says it.
    pub fn word(self) -> &'static str {
        match self {
            What::Added => "added",
            What::Removed => "removed",
            What::Renamed => "renamed",
            What::Type => "type",
            What::Default => "default",
            What::Size => "size",
            What::Doc => "doc",
            What::LogicalType => "logical type",
            What::Order => "order",
            What::Property => "property",
        }
    }

    /// Whether Avro's resolution looks at it.
    pub fn is_resolved(self) -> bool {
        !matches!(self, What::Doc | What::LogicalType | What::Order | What::Property)
    }
}

/// Every difference between two versions of one record, in the order of the new one.
pub fn changes(old: &Schema, new: &Schema) -> Vec<Change> {
    let mut found = Changes::default();
    let (old_root, new_root) = (old.root(), new.root());
    if old_root.name != new_root.name {
        found.push(ROOT, What::Renamed, &old_root.name, &new_root.name);
    }
    found.named(old_root, new_root);
    for named in &new.types[1..] {
        match old.named(&named.name) {
            Some(before) => found.named(before, named),
            None => found.type_added(old, new, named),
        }
    }
    // A type that was renamed is told at its new name.
    let is_gone = |named: &&Named| new.named(&named.name).is_none() && !found.has_renamed(named);
    let gone: Vec<&Named> = old.types[1..].iter().filter(is_gone).collect();
    for named in gone {
        found.type_removed(named);
    }
    found.list
}

#[derive(Default)]
struct Changes {
    list: Vec<Change>,
}

impl Changes {
    fn push(&mut self, at: &str, what: What, before: &str, after: &str) {
        let (before, after) = (before.to_owned(), after.to_owned());
        self.list.push(Change { at: at.to_owned(), what, before, after });
    }

    fn differ(&mut self, at: &str, what: What, before: &str, after: &str) {
        if before != after {
            self.push(at, what, before, after);
        }
    }

    /// A type that is new, with what a reviewer has to look at in it. One that has the parts of a
    /// type that is gone was renamed.
    fn type_added(&mut self, old: &Schema, new: &Schema, named: &Named) {
        let at = short(&named.name);
        let is_gone = |other: &&Named| new.named(&other.name).is_none();
        let same = |other: &&Named| parts(other) == parts(named);
        if let Some(before) = old.types[1..].iter().filter(is_gone).find(same) {
            self.push(at, What::Renamed, short(&before.name), at);
            return;
        }
        self.push(at, What::Added, "", &summary(named));
        if let Shape::Record(fields) = &named.shape {
            for field in fields {
                let at = format!("{at}.{}", field.name);
                self.push(&at, What::Added, "", &field_summary(field));
            }
        }
    }

    fn type_removed(&mut self, named: &Named) {
        let at = short(&named.name);
        self.push(at, What::Removed, &summary(named), "");
        if let Shape::Record(fields) = &named.shape {
            for field in fields {
                self.push(
                    &format!("{at}.{}", field.name),
                    What::Removed,
                    &field_summary(field),
                    "",
                );
            }
        }
    }

    fn has_renamed(&self, named: &Named) -> bool {
        let old = short(&named.name);
        self.list.iter().any(|change| change.what == What::Renamed && change.before == old)
    }

    fn named(&mut self, old: &Named, new: &Named) {
        let at = short(&new.name);
        self.differ(at, What::Type, old.shape.sort(), new.shape.sort());
        self.differ(at, What::Doc, &old.doc, &new.doc);
        self.attributes(at, &old.attributes, &new.attributes);
        match (&old.shape, &new.shape) {
            (Shape::Record(old), Shape::Record(new)) => self.fields(at, old, new),
            (
                Shape::Enum { symbols: old, default: before },
                Shape::Enum { symbols: new, default: after },
            ) => {
                self.symbols(at, old, new);
                let text = |default: &Option<String>| default.clone().unwrap_or_default();
                self.differ(at, What::Default, &text(before), &text(after));
            }
            (Shape::Fixed { size: old }, Shape::Fixed { size: new }) => {
                self.differ(at, What::Size, &bytes(*old), &bytes(*new));
            }
            _ => {}
        }
    }

    fn fields(&mut self, record: &str, old: &[Field], new: &[Field]) {
        for field in new {
            let at = format!("{record}.{}", field.name);
            match old.iter().find(|before| before.name == field.name) {
                Some(before) => self.field(&at, before, field),
                None => self.push(&at, What::Added, "", &field_summary(field)),
            }
        }
        for field in old.iter().filter(|field| !new.iter().any(|one| one.name == field.name)) {
            let at = format!("{record}.{}", field.name);
            self.push(&at, What::Removed, &field_summary(field), "");
        }
        let names = |fields: &[Field]| fields.iter().map(|field| field.name.clone()).collect();
        self.order(record, names(old), names(new));
    }

    fn field(&mut self, at: &str, old: &Field, new: &Field) {
        self.differ(at, What::Type, &old.of.to_string(), &new.of.to_string());
        let logical = |of: &Type| logical_types(of).join(", ");
        self.differ(at, What::LogicalType, &logical(&old.of), &logical(&new.of));
        self.differ(at, What::Default, &default(old), &default(new));
        self.differ(at, What::Doc, &old.doc, &new.doc);
        self.attributes(at, &old.attributes, &new.attributes);
    }

    fn symbols(&mut self, at: &str, old: &[String], new: &[String]) {
        for symbol in new.iter().filter(|symbol| !old.contains(symbol)) {
            self.push(&format!("{at}.{symbol}"), What::Added, "", symbol);
        }
        for symbol in old.iter().filter(|symbol| !new.contains(symbol)) {
            self.push(&format!("{at}.{symbol}"), What::Removed, symbol, "");
        }
        self.order(at, old.to_vec(), new.to_vec());
    }

    /// Whether what is in both lists has its old place among the others: Avro goes by names, but a
    /// position may mean something elsewhere, and bodies of the two versions differ.
    fn order(&mut self, at: &str, mut old: Vec<String>, mut new: Vec<String>) {
        let both: BTreeSet<String> = old.iter().filter(|one| new.contains(one)).cloned().collect();
        old.retain(|one| both.contains(one));
        new.retain(|one| both.contains(one));
        self.differ(at, What::Order, &old.join(", "), &new.join(", "));
    }

    fn attributes(&mut self, at: &str, old: &Attributes, new: &Attributes) {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let text = |attributes: &Attributes| {
                attributes.get(key).map(|value| format!("{key}: {value}")).unwrap_or_default()
            };
            let what = if key == "logicalType" { What::LogicalType } else { What::Property };
            self.differ(at, what, &text(old), &text(new));
        }
    }
}

/// What a type is made of, without its name.
fn parts(named: &Named) -> (&'static str, Vec<String>) {
    let parts = match &named.shape {
        Shape::Record(fields) => fields.iter().map(field_summary).collect(),
        Shape::Enum { symbols, .. } => symbols.clone(),
        Shape::Fixed { size } => vec![bytes(*size)],
    };
    (named.shape.sort(), parts)
}

fn summary(named: &Named) -> String {
    let (sort, parts) = parts(named);
    let (count, doc) = (parts.len(), &named.doc);
    let size = match &named.shape {
        Shape::Record(_) => format!("{count} fields"),
        Shape::Enum { symbols, .. } => symbols.join(", "),
        Shape::Fixed { size } => bytes(*size),
    };
    format!("{sort}: {size}. {doc}").trim_end().to_owned()
}

fn field_summary(field: &Field) -> String {
    let default = default(field);
    let default =
        if default.is_empty() { "no default".to_owned() } else { format!("default {default}") };
    let logical = logical_types(&field.of).join(", ");
    let logical = if logical.is_empty() { logical } else { format!(" ({logical})") };
    format!("{} `{}`{logical}, {default}. {}", field.name, field.of, field.doc)
        .trim_end()
        .to_owned()
}

fn default(field: &Field) -> String {
    field.default.as_ref().map(ToString::to_string).unwrap_or_default()
}

fn bytes(size: u64) -> String {
    format!("{size} bytes")
}
