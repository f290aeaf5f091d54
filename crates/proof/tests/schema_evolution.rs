//! Versions of a record: what one version wrote, the other reads, as Apache Avro does.

#[path = "records/strategies.rs"]
mod strategies;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use ledgerline_proof::control::{Control, ControlKind, SchemaText};
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{self, Announced, Kind, Leaf, Schema, SchemaError, SchemaSet};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::EventType;
use ledgerline_proof::wire::{self, DecodeError};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use strategies::{CASES, Draws, cases, draws};

/// Version 2 of a schema: fields in front, in the middle and at the end of the record, one more
/// field in every nested record and one more symbol in every enum.
fn second_version(kind: Kind) -> String {
    let mut json: Json = serde_json::from_str(kind.text()).unwrap();
    grow(&mut json, true);
    serde_json::to_string_pretty(&json).unwrap()
}

fn grow(json: &mut Json, outermost: bool) {
    if let Some(symbols) = json.get_mut("symbols").and_then(Json::as_array_mut) {
        symbols.push("NEW_SYMBOL".into());
    }
    if let Some(fields) = json.get_mut("fields").and_then(Json::as_array_mut) {
        for field in fields.iter_mut() {
            grow(&mut field["type"], false);
        }
        let optional = json!({"name": "new_text", "type": ["null", "string"], "default": null});
        fields.push(optional);
        if outermost {
            let item = json!({"type": "record", "name": "NewItem", "fields": [
                {"name": "weight", "type": "int"},
                {"name": "flag", "type": "boolean", "default": true},
            ]});
            let list = json!({"type": "array", "items": item});
            fields.insert(0, json!({"name": "new_first", "type": "long", "default": -7}));
            let middle = fields.len() / 2;
            let list = json!({"name": "new_items", "type": list, "default": [{"weight": 3}]});
            fields.insert(middle, list);
        }
    }
    match json {
        Json::Array(branches) => branches.iter_mut().for_each(|branch| grow(branch, false)),
        Json::Object(object) if object.contains_key("items") => {
            grow(object.get_mut("items").unwrap(), false);
        }
        _ => {}
    }
}

/// Puts something into all that version 2 added: `new_*` fields, and every third enum.
fn enrich(value: &mut Value, sizes: &[(String, u32)], count: &mut u32) {
    *count += 1;
    match value {
        Value::Record(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "new_first" => *value = Value::Long(i64::from(*count) << 30),
                    "new_text" if count.is_multiple_of(2) => {
                        let text = Value::String(format!("new {count}"));
                        *value = Value::Union(1, Box::new(text));
                    }
                    _ => enrich(value, sizes, count),
                }
                *count += 1;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| enrich(item, sizes, count)),
        Value::Union(_, inner) => enrich(inner, sizes, count),
        Value::Enum(position, symbol) if count.is_multiple_of(3) => {
            // The enum is told by a symbol that only it has; those that share it are left alone.
            let mut owners = sizes.iter().filter(|(known, _)| known == symbol);
            if let (Some((_, size)), None) = (owners.next(), owners.next()) {
                (*position, *symbol) = (*size, "NEW_SYMBOL".to_owned());
            }
        }
        _ => {}
    }
}

/// Every symbol of a version 1 schema with the number of symbols of its enum.
fn symbols(json: &Json, found: &mut Vec<(String, u32)>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| symbols(item, found)),
        Json::Object(object) => {
            if let Some(list) = object.get("symbols").and_then(Json::as_array) {
                let size = u32::try_from(list.len()).unwrap();
                found.extend(list.iter().map(|name| (name.as_str().unwrap().to_owned(), size)));
            }
            object.values().for_each(|value| symbols(value, found));
        }
        _ => {}
    }
}

type Oracle = apache_avro::Schema;

fn oracle(text: &str) -> Oracle {
    Oracle::parse_str(text).unwrap()
}

fn oracle_read(writer: &Oracle, reader: &Oracle, mut body: &[u8]) -> Value {
    let datum = GenericDatumReader::builder(writer).reader_schema(reader).build().unwrap();
    let value = datum.read_value(&mut body).unwrap();
    assert!(body.is_empty());
    value
}

fn oracle_write(schema: &Oracle, value: Value) -> Vec<u8> {
    GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn schema_text<'a>(name: &'a str, text: &'a str) -> SchemaText<'a> {
    let fingerprint = schema::fingerprint(text).unwrap();
    SchemaText { name, fingerprint, sha256: sha256(text.as_bytes()), text }
}

/// Announces a schema the way a ledger does: as a leaf.
fn announce(set: &mut SchemaSet, name: &str, text: &str) -> Announced {
    let control = Control {
        kind: ControlKind::Schema,
        recorded_at: Hlc::at(1),
        genesis: None,
        schema: Some(schema_text(name, text)),
        key_added: None,
        key_ended: None,
        recovered: None,
        blind: [7; 16],
        cut: None,
    };
    let leaf = Leaf::Control(control).encode();
    let Leaf::Control(control) = Leaf::decode(&leaf).unwrap() else { panic!("a control leaf") };
    set.announce(&control.schema.unwrap()).unwrap()
}

#[test]
fn versions_read_each_other_as_apache_avro_does() {
    for case in &CASES {
        let kind = case.kind;
        let text = second_version(kind);
        let ours = Schema::parse(&text).unwrap();
        let (first, second) = (oracle(kind.text()), oracle(&text));
        assert_eq!(second.canonical_form(), ours.canonical_form());
        let mut set = SchemaSet::new();
        assert_eq!(announce(&mut set, kind.name(), &text), Announced::Readable(kind));
        let mut sizes = Vec::new();
        symbols(&serde_json::from_str(kind.text()).unwrap(), &mut sizes);

        let check = |draws: &mut Draws, count: &mut u32| {
            let body = (case.draw)(draws);
            // Version 1 under version 2.
            let mut value = oracle_read(&first, &second, &body);
            let widened = oracle_write(&second, value.clone());
            assert_eq!(schema::resolve(kind.schema(), &ours, &body), Ok(widened), "{kind:?}");
            // Version 2 under version 1.
            enrich(&mut value, &sizes, count);
            let newer = oracle_write(&second, value);
            let narrowed = oracle_write(&first, oracle_read(&second, &first, &newer));
            let object = [&schema::MARKER[..], &ours.fingerprint(), &newer].concat();
            assert_eq!(set.kind_of(&object), Some(kind));
            let read = set.body(kind, &object).unwrap();
            assert_eq!(read, narrowed, "{kind:?}");
            assert_eq!((case.reencode)(&read), Ok(narrowed), "{kind:?}: not canonical");
            newer
        };
        let full = [0, 1].map(|mut count| check(&mut Draws::full(), &mut count)).concat();
        assert!(full.windows(4).any(|bytes| bytes == b"new "), "{kind:?}: nothing was added");
        proptest!(cases(32), |(mut draws in draws(), start: u16)| {
            check(&mut draws, &mut start.into());
        });
    }
}

/// Dropped fields are held to the same rules as kept ones: what is accepted is what Apache Avro
/// writes.
#[test]
fn translation_accepts_one_encoding_only() {
    for case in &CASES {
        let text = second_version(case.kind);
        let (ours, second) = (Schema::parse(&text).unwrap(), oracle(&text));
        let v1 = oracle(case.kind.text());
        let mut words = (0..60u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let body = (case.draw)(&mut Draws::new(words.by_ref().collect()));
        let mut value = oracle_read(&v1, &second, &body);
        enrich(&mut value, &[], &mut 0);
        let mut newer = oracle_write(&second, value);
        let mut accepted = 0;
        for bit in 0..newer.len() * 8 {
            newer[bit / 8] ^= 1 << (bit % 8);
            if schema::resolve(&ours, case.kind.schema(), &newer).is_ok() {
                let value = oracle_read(&second, &second, &newer);
                assert_eq!(oracle_write(&second, value), newer, "{:?} bit {bit}", case.kind);
                accepted += 1;
            }
            newer[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(accepted > 0, "{:?}: flips inside fixed fields are other values", case.kind);
    }
}

#[test]
fn a_newer_statement_is_read_and_an_unannounced_one_is_not() {
    let text = second_version(Kind::Statement);
    let fingerprint = schema::fingerprint(&text).unwrap();
    let (first, second) = (oracle(Kind::Statement.text()), oracle(&text));
    let body = (CASES[0].draw)(&mut Draws::full());
    let mut value = oracle_read(&first, &second, &body);
    let Value::Record(fields) = &mut value else { panic!("a record") };
    let (_, event_type) = fields.iter_mut().find(|(name, _)| name == "type").unwrap();
    let position = u32::try_from(EventType::ALL.len()).unwrap();
    *event_type = Value::Enum(position, "NEW_SYMBOL".to_owned());
    let object = [&schema::MARKER[..], &fingerprint, &oracle_write(&second, value)].concat();

    let mut set = SchemaSet::new();
    let unknown = DecodeError::UnknownSchema(u64::from_le_bytes(fingerprint));
    assert_eq!(set.statement_body(&object), Err(unknown));
    announce(&mut set, Kind::Statement.name(), &text);
    let read = set.statement_body(&object).unwrap();
    let mut expected: Statement<'_> = wire::decode(&body).unwrap();
    expected.event_type = EventType::Other;
    assert_eq!(wire::decode::<Statement>(&read), Ok(expected));
    assert_eq!(set.body(Kind::Entry, &object), Err(unknown), "a statement is no entry");

    let pinned = [&schema::MARKER[..], &Kind::Statement.fingerprint(), &body].concat();
    let read = set.statement_body(&pinned).unwrap();
    assert!(matches!(read, std::borrow::Cow::Borrowed(_)), "pinned bodies are not copied");
    assert_eq!(read, body);
}

#[test]
fn announcements_are_checked() {
    let v2 = second_version(Kind::Statement);
    let name = Kind::Statement.name();
    let good = schema_text(name, &v2);
    let mut set = SchemaSet::new();
    let check =
        |set: &mut SchemaSet, record: &SchemaText<'_>, expected: Result<Announced, &str>| {
            assert_eq!(set.announce(record).map_err(|error| error.code()), expected);
        };
    let pinned = Kind::Block.schema_text();
    check(&mut set, &pinned, Ok(Announced::Pinned(Kind::Block)));
    check(&mut set, &SchemaText { sha256: Hash::ZERO, ..good.clone() }, Err("schema_digest"));
    let record = SchemaText { fingerprint: [1; 8], ..good.clone() };
    check(&mut set, &record, Err("schema_fingerprint"));
    check(&mut set, &SchemaText { name: "dev.x.Y", ..good.clone() }, Err("schema_name"));
    assert_eq!(set.text(good.fingerprint), None, "a refused schema leaves nothing behind");
    check(&mut set, &good, Ok(Announced::Readable(Kind::Statement)));
    check(&mut set, &good, Ok(Announced::Readable(Kind::Statement)));
    assert_eq!(set.text(good.fingerprint), Some(&*v2));

    // Documentation is not part of the fingerprint, so this is another text under the same CRC.
    for (name, text) in [(name, &*v2), (Kind::Entry.name(), Kind::Entry.text())] {
        let other = format!("{text} ");
        let record = schema_text(name, &other);
        check(&mut set, &record, Err("schema_conflict"));
    }
    let foreign = r#"{"type":"record","name":"a.B","fields":[{"name":"x","type":"int"}]}"#;
    check(&mut set, &schema_text("a.B", foreign), Ok(Announced::Stored));
    let lacking = foreign.replace("a.B", Kind::Refusal.name());
    let record = schema_text(Kind::Refusal.name(), &lacking);
    check(&mut set, &record, Ok(Announced::Stored));
    let error = set.translate(record.fingerprint, Kind::Refusal, &[2]).unwrap_err();
    assert_eq!(error.code(), "unknown_schema");
}

#[test]
fn schemas_beyond_the_subset_are_refused() {
    let field = |json: Json| json!({"type": "record", "name": "a.R", "fields": [json]}).to_string();
    let typed = |json: Json| field(json!({"name": "f", "type": json}));
    let nested = (0..40).fold(json!("int"), |inner, _| json!({"type": "array", "items": inner}));
    let empty = json!({"type": "record", "name": "E", "fields": []});
    let fixed = |size: i64| json!({"type": "fixed", "name": "F", "size": size});
    let cases = [
        ("map", typed(json!({"type": "map", "values": "int"}))),
        ("float", typed(json!("float"))),
        ("recursive", typed(json!(["null", "R"]))),
        ("null field", typed(json!("null"))),
        ("null items", typed(json!({"type": "array", "items": "null"}))),
        ("empty record", typed(empty)),
        ("empty fixed", typed(fixed(0))),
        ("negative fixed", typed(fixed(-1))),
        ("too deep", typed(nested)),
        ("empty union", typed(json!([]))),
        ("doubled branch", typed(json!(["int", "int"]))),
        ("union in union", typed(json!(["int", ["null", "string"]]))),
        ("bad default", field(json!({"name": "f", "type": "int", "default": "x"}))),
        ("bad name", field(json!({"name": "f-g", "type": "int"}))),
        ("no record", json!("int").to_string()),
        ("no JSON", "{".to_owned()),
    ];
    for (name, text) in cases {
        assert!(matches!(Schema::parse(&text), Err(SchemaError::Malformed { .. })), "{name}");
    }
    let long = " ".repeat(schema::MAX_SCHEMA_BYTES + 1);
    assert_eq!(Schema::parse(&long), Err(SchemaError::TooLong));
}

/// A default of a default doubles with every level, and a default of unions within unions tries
/// every branch of every level: both texts are short, neither may be worked through.
#[test]
fn a_default_that_grows_with_every_level_is_refused() {
    // A few below the deepest nesting that is allowed (32).
    let levels = 29;
    let record = |n: usize, fields: Json| {
        let name = format!("T{n}");
        json!({"type": "record", "name": name, "fields": fields})
    };
    let start = record(0, json!([{"name": "a", "type": "int", "default": 0}]));
    let doubled = (1..levels).fold(start, |inner, n| {
        let again = format!("T{}", n - 1);
        record(
            n,
            json!([{"name": "a", "type": inner, "default": {}},
            {"name": "b", "type": again, "default": {}}]),
        )
    });
    let field = |of: Json, default: Json| {
        let field = json!({"name": "x", "type": of, "default": default});
        json!({"type": "record", "name": "R", "fields": [field]}).to_string()
    };
    let start = json!("int");
    let branches = (1..levels / 2).fold(start, |inner, n| {
        let branch = |name: String, of: &Json| {
            json!({"type": "record", "name": name, "fields": [{"name": "a", "type": of}]})
        };
        // The first branch defines the types below, the others name them.
        let below = match &inner {
            Json::Array(list) => list.iter().map(|one| one["name"].clone()).collect(),
            other => other.clone(),
        };
        let first = branch(format!("A{n}"), &inner);
        json!([first, branch(format!("B{n}"), &below), branch(format!("C{n}"), &below)])
    });
    let misfit = (1..levels / 2).fold(json!("no int"), |inner, _| json!({"a": inner}));
    for (name, text) in
        [("doubled", field(doubled, json!({}))), ("branches", field(branches, misfit))]
    {
        assert!(text.len() < 8192, "{name}: {} bytes", text.len());
        let begin = std::time::Instant::now();
        assert!(matches!(Schema::parse(&text), Err(SchemaError::Malformed { .. })), "{name}");
        assert!(begin.elapsed().as_secs() < 5, "{name} took {:?}", begin.elapsed());
    }
}

/// Two branches may end in one name in two namespaces; a value stays in the branch it was written
/// under.
#[test]
fn a_branch_is_found_by_its_full_name() {
    let fixed = |name: &str| json!({"type": "fixed", "name": name, "size": 1});
    let field = json!({"name": "f", "type": [fixed("a.F"), fixed("b.F")]});
    let text = json!({"type": "record", "name": "R", "fields": [field]}).to_string();
    let schema = Schema::parse(&text).unwrap();
    for body in [[0, 7], [2, 7]] {
        assert_eq!(schema::resolve(&schema, &schema, &body).as_deref(), Ok(&body[..]));
    }
}

/// Pairs of types, each as the field `f` of a record, and bodies of it.
#[test]
fn types_resolve_as_the_specification_says() {
    let record =
        |fields: Json| json!({"type": "record", "name": "R", "fields": fields}).to_string();
    let typed = |json: Json| record(json!([{"name": "f", "type": json}]));
    let symbols =
        |list: Json| json!({"type": "enum", "name": "E", "symbols": list, "default": "OTHER"});
    let check = |name: &str, writer: &str, reader: &str, body: &[u8], expected: Option<&[u8]>| {
        let (from, to) = (Schema::parse(writer).unwrap(), Schema::parse(reader).unwrap());
        let found = schema::resolve(&from, &to, body).ok();
        assert_eq!(found.as_deref(), expected, "{name}");
        if let Some(expected) = expected {
            let (from, to) = (oracle(writer), oracle(reader));
            let value = oracle_read(&from, &to, body);
            assert_eq!(oracle_write(&to, value), expected, "{name}: Apache Avro differs");
        }
    };
    let pair = |name: &str, from: Json, to: Json, body: &[u8], expected: Option<&[u8]>| {
        check(name, &typed(from), &typed(to), body, expected);
    };
    pair("int to long", json!("int"), json!("long"), &[4], Some(&[4]));
    pair("long to int", json!("long"), json!("int"), &[4], None);
    pair("string to bytes", json!("string"), json!("bytes"), &[2, b'a'], Some(&[2, b'a']));
    pair("bytes to string", json!("bytes"), json!("string"), &[2, b'a'], Some(&[2, b'a']));
    pair("bytes, no text", json!("bytes"), json!("string"), &[2, 0xff], None);
    pair("into union", json!("int"), json!(["null", "long"]), &[4], Some(&[2, 4]));
    pair("out of union", json!(["null", "long"]), json!("long"), &[2, 4], Some(&[4]));
    pair("null out of union", json!(["null", "long"]), json!("long"), &[0], None);
    pair("turned union", json!(["null", "int"]), json!(["int", "null"]), &[0], Some(&[2]));
    pair("exact branch", json!("int"), json!(["long", "int"]), &[4], Some(&[2, 4]));
    pair("no branch", json!("boolean"), json!(["null", "int"]), &[1], None);
    pair("bad branch", json!(["null", "int"]), json!(["null", "int"]), &[4, 2], None);
    let (old, new) = (json!(["OTHER", "A"]), json!(["OTHER", "B", "A"]));
    pair("moved symbol", symbols(new.clone()), symbols(old.clone()), &[4], Some(&[2]));
    pair("unknown symbol", symbols(new.clone()), symbols(old.clone()), &[2], Some(&[0]));
    pair("no such symbol", symbols(new), symbols(old), &[6], None);
    let list = |json: Json| json!({"type": "array", "items": json});
    pair("array", list(json!("int")), list(json!("long")), &[4, 2, 4, 0], Some(&[4, 2, 4, 0]));
    pair("empty array", list(json!("int")), list(json!("long")), &[0], Some(&[0]));
    pair("split array", list(json!("int")), list(json!("int")), &[2, 2, 2, 4, 0], None);
    pair("trailing", json!("int"), json!("int"), &[4, 0], None);

    let f = |name: &str| json!({"name": name, "type": "int"});
    let with_default = |name: &str| json!({"name": name, "type": "int", "default": 9});
    let abc = record(json!([f("a"), f("b"), f("c")]));
    check(
        "reordered",
        &abc,
        &record(json!([f("c"), f("a"), f("b")])),
        &[2, 4, 6],
        Some(&[6, 2, 4]),
    );
    check("dropped", &abc, &record(json!([f("b")])), &[2, 4, 6], Some(&[4]));
    let defaults = record(json!([with_default("x"), f("c"), with_default("y"), f("a")]));
    check("defaults", &abc, &defaults, &[2, 4, 6], Some(&[18, 6, 18, 2]));
    check("no default", &abc, &record(json!([f("a"), f("x")])), &[2, 4, 6], None);
    check("dropped but overlong", &abc, &record(json!([f("b")])), &[2, 4, 0x86, 0], None);
}
