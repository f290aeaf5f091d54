//! Whether what one version wrote can be read by another: Avro 1.12, "Schema Resolution".
//!
//! Promises: every place where it cannot, each with the rule broken, in Avro's own words for them.
//! A union takes the branch that the kernel would take: one of the same sort and full name before
//! one of the same sort and last name, that before a promotion. Named types match by the last part
//! of their names. Aliases do not help: the kernel reads none.

use std::collections::BTreeSet;
use std::fmt;

use super::avro::{Field, Named, Schema, Shape, Type, short};

/// The place of the outermost record in [`Broken::at`].
pub const ROOT: &str = "(record)";

/// The rules, named as Avro's own checker names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    ReaderFieldMissingDefaultValue,
    TypeMismatch,
    NameMismatch,
    FixedSizeMismatch,
    MissingEnumSymbols,
    MissingUnionBranch,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::ReaderFieldMissingDefaultValue => "READER_FIELD_MISSING_DEFAULT_VALUE",
            Rule::TypeMismatch => "TYPE_MISMATCH",
            Rule::NameMismatch => "NAME_MISMATCH",
            Rule::FixedSizeMismatch => "FIXED_SIZE_MISMATCH",
            Rule::MissingEnumSymbols => "MISSING_ENUM_SYMBOLS",
            Rule::MissingUnionBranch => "MISSING_UNION_BRANCH",
        })
    }
}

/// A value of the writer that the reader cannot take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    /// `Record.field`, `Enum.SYMBOL`, the fixed type, or [`ROOT`].
    pub at: String,
    pub rule: Rule,
    pub what: String,
}

/// Everything that keeps `reader` from reading what `writer` wrote, each once, by place. Fields of
/// the outermost record are called by `label` in both directions, also where it was renamed.
pub fn broken(writer: &Schema, reader: &Schema, label: &str) -> Vec<Broken> {
    let (found, seen) = (BTreeSet::new(), BTreeSet::new());
    let mut resolver = Resolver { writer, reader, label, found, seen };
    resolver.named(writer.root(), reader.root(), ROOT);
    resolver.found.into_iter().collect()
}

struct Resolver<'s> {
    writer: &'s Schema,
    reader: &'s Schema,
    label: &'s str,
    found: BTreeSet<Broken>,
    /// Pairs of named types that were compared: each once, however often they are named.
    seen: BTreeSet<(&'s str, &'s str)>,
}

impl<'s> Resolver<'s> {
    fn report(&mut self, at: &str, rule: Rule, what: String) {
        self.found.insert(Broken { at: at.to_owned(), rule, what });
    }

    fn value(&mut self, from: &'s Type, to: &'s Type, at: &str) {
        match (from, to) {
            (Type::Union(branches), _) => {
                for branch in branches {
                    self.value(branch, to, at);
                }
            }
            (_, Type::Union(branches)) => match self.branch_for(from, branches) {
                Some(branch) => self.value(from, branch, at),
                None => {
                    let what = format!("the reader's `{to}` has no branch for `{from}`");
                    self.report(at, Rule::MissingUnionBranch, what);
                }
            },
            (Type::Array(from), Type::Array(to)) | (Type::Map(from), Type::Map(to)) => {
                self.value(from, to, at);
            }
            (Type::Named(one), Type::Named(other)) => {
                let pair = (self.writer.named(one), self.reader.named(other));
                if let (Some(one), Some(other)) = pair {
                    self.named(one, other, at);
                }
            }
            (Type::Primitive { name: one, .. }, Type::Primitive { name: other, .. })
                if promotes(one, other) => {}
            _ => {
                let what = format!("a written `{from}` is not read as `{to}`");
                self.report(at, Rule::TypeMismatch, what);
            }
        }
    }

    fn named(&mut self, from: &'s Named, to: &'s Named, at: &str) {
        if from.shape.sort() != to.shape.sort() {
            let what =
                format!("a written {} is not read as {}", from.shape.sort(), to.shape.sort());
            self.report(at, Rule::TypeMismatch, what);
            return;
        }
        let (one, other) = (short(&from.name), short(&to.name));
        if one != other {
            let what = format!("`{one}` is not read as `{other}`; the kernel reads no aliases");
            self.report(at, Rule::NameMismatch, what);
        }
        if !self.seen.insert((&from.name, &to.name)) {
            return;
        }
        let other = if at == ROOT { self.label } else { other };
        match (&from.shape, &to.shape) {
            (Shape::Record(from), Shape::Record(to)) => self.record(from, to, other),
            (Shape::Enum { symbols, .. }, Shape::Enum { symbols: known, default: None }) => {
                for symbol in symbols.iter().filter(|symbol| !known.contains(symbol)) {
                    let what = format!("the reader's `{other}` has no `{symbol}` and no default");
                    self.report(&format!("{other}.{symbol}"), Rule::MissingEnumSymbols, what);
                }
            }
            (Shape::Fixed { size: one }, Shape::Fixed { size: two }) if one != two => {
                let what = format!("written with {one} bytes, read with {two}");
                self.report(other, Rule::FixedSizeMismatch, what);
            }
            _ => {}
        }
    }

    fn record(&mut self, from: &'s [Field], to: &'s [Field], record: &str) {
        for target in to {
            let at = format!("{record}.{}", target.name);
            match from.iter().find(|field| field.name == target.name) {
                Some(field) => self.value(&field.of, &target.of, &at),
                None if target.default.is_none() => {
                    let what = format!("the reader asks for `{}` and has no default", target.name);
                    self.report(&at, Rule::ReaderFieldMissingDefaultValue, what);
                }
                None => {}
            }
        }
    }

    fn branch_for(&self, from: &Type, branches: &'s [Type]) -> Option<&'s Type> {
        let exact = branches.iter().find(|to| same_sort(from, to) && full(from) == full(to));
        let by_name = || branches.iter().find(|to| same_sort(from, to) && self.matches(from, to));
        exact.or_else(by_name).or_else(|| branches.iter().find(|to| self.matches(from, to)))
    }

    /// Whether two types match by sort and name, without looking inside.
    fn matches(&self, from: &Type, to: &Type) -> bool {
        match (from, to) {
            (Type::Named(one), Type::Named(other)) => {
                let sort = |schema: &Schema, name: &str| {
                    schema.named(name).map(|named| named.shape.sort())
                };
                short(one) == short(other) && sort(self.writer, one) == sort(self.reader, other)
            }
            (Type::Primitive { name: one, .. }, Type::Primitive { name: other, .. }) => {
                promotes(one, other)
            }
            (Type::Array(_), Type::Array(_)) | (Type::Map(_), Type::Map(_)) => true,
            _ => false,
        }
    }
}

/// Whether a written primitive is read as another.
fn promotes(from: &str, to: &str) -> bool {
    let to_wider: &[&str] = match from {
        "int" => &["long", "float", "double"],
        "long" => &["float", "double"],
        "float" => &["double"],
        "string" => &["bytes"],
        "bytes" => &["string"],
        _ => &[],
    };
    from == to || to_wider.contains(&to)
}

fn same_sort(from: &Type, to: &Type) -> bool {
    match (from, to) {
        (Type::Primitive { name: one, .. }, Type::Primitive { name: other, .. }) => one == other,
        _ => std::mem::discriminant(from) == std::mem::discriminant(to),
    }
}

fn full(of: &Type) -> Option<&str> {
    if let Type::Named(name) = of { Some(name) } else { None }
}

#[cfg(test)]
mod tests {
    use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

    use super::*;

    /// Compares what is broken with what is expected, and whether anything is with Apache Avro.
    #[track_caller]
    fn check(writer: &str, reader: &str, expected: &[&str]) {
        let text = |field: &str| {
            let fields = format!(r#"{{"name":"keep","type":"int"}},{field}"#);
            let fields = fields.trim_end_matches(',');
            format!(r#"{{"type":"record","name":"n.R","fields":[{fields}]}}"#)
        };
        let (writer, reader) = (text(writer), text(reader));
        let schema = |text: &str| Schema::parse(text).expect(text);
        let broken = broken(&schema(&writer), &schema(&reader), "R");
        let found: Vec<String> =
            broken.iter().map(|one| format!("{} {}", one.at, one.rule)).collect();
        assert_eq!(found, expected, "{broken:#?}");
        let oracle = |text: &str| apache_avro::Schema::parse_str(text).expect(text);
        let judged = SchemaCompatibility::can_read(&oracle(&writer), &oracle(&reader));
        // `Partial`: some values are read, others are not.
        let reads_all = matches!(judged, Ok(Compatibility::Full));
        assert_eq!(reads_all, broken.is_empty(), "{writer} -> {reader}: {judged:?}");
    }

    fn of(json: &str) -> String {
        format!(r#"{{"name":"a","type":{json}}}"#)
    }

    #[test]
    fn fields_of_one_side() {
        let bare = of("\"int\"");
        check("", &bare, &["R.a READER_FIELD_MISSING_DEFAULT_VALUE"]);
        check("", r#"{"name":"a","type":"int","default":1}"#, &[]);
        check(&bare, "", &[]);
    }

    #[test]
    fn primitives_widen_and_never_narrow() {
        for (from, to, is_read) in [
            ("int", "long", true),
            ("long", "int", false),
            ("int", "double", true),
            ("float", "double", true),
            ("double", "float", false),
            ("string", "bytes", true),
            ("bytes", "string", true),
            ("string", "int", false),
            ("boolean", "int", false),
        ] {
            let expected: &[&str] = if is_read { &[] } else { &["R.a TYPE_MISMATCH"] };
            check(&of(&format!("\"{from}\"")), &of(&format!("\"{to}\"")), expected);
        }
        let list = |item: &str| of(&format!(r#"{{"type":"array","items":"{item}"}}"#));
        check(&list("int"), &list("long"), &[]);
        check(&list("long"), &list("int"), &["R.a TYPE_MISMATCH"]);
        check(&list("int"), &of("\"int\""), &["R.a TYPE_MISMATCH"]);
    }

    #[test]
    fn unions_have_a_branch_for_what_was_written() {
        let optional = of(r#"["null","int"]"#);
        check(&of("\"int\""), &optional, &[]);
        check(&optional, &of("\"int\""), &["R.a TYPE_MISMATCH"]);
        check(&of("\"string\""), &optional, &["R.a MISSING_UNION_BRANCH"]);
        check(&optional, &of(r#"["null","long","string"]"#), &[]);
        check(&of(r#"["null","string"]"#), &optional, &["R.a MISSING_UNION_BRANCH"]);
    }

    #[test]
    fn named_types_match_by_their_last_name() {
        let fixed =
            |name: &str, size| of(&format!(r#"{{"type":"fixed","name":"{name}","size":{size}}}"#));
        check(&fixed("F", 8), &fixed("m.F", 8), &[]);
        check(&fixed("F", 8), &fixed("G", 8), &["R.a NAME_MISMATCH"]);
        check(&fixed("F", 8), &fixed("F", 16), &["F FIXED_SIZE_MISMATCH"]);
        let words = |symbols: &str, rest: &str| {
            of(&format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]{rest}}}"#))
        };
        let (old, new) = (words("\"A\"", ""), words("\"A\",\"B\"", ""));
        check(&old, &new, &[]);
        check(&new, &old, &["E.B MISSING_ENUM_SYMBOLS"]);
        check(&new, &words("\"A\"", ",\"default\":\"A\""), &[]);
        check(&old, &fixed("E", 8), &["R.a TYPE_MISMATCH"]);
    }

    /// A record that names itself ends the comparison, and what is wrong in it is said once.
    #[test]
    fn records_within_records() {
        let record = |field: &str| {
            of(&format!(
                r#"["null",{{"type":"record","name":"I","fields":[
                    {{"name":"again","type":["null","I"]}},{{"name":"b","type":{field}}}]}}]"#
            ))
        };
        check(&record("\"int\""), &record("\"long\""), &[]);
        check(&record("\"long\""), &record("\"int\""), &["I.b TYPE_MISMATCH"]);
    }
}
