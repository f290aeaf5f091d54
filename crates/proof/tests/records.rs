//! Every record against Apache Avro, and the promise that a record has one encoding only.

#[path = "records/strategies.rs"]
mod strategies;

use std::borrow::Cow;

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use ledgerline_proof::control::{Control, ControlKind};
use ledgerline_proof::cut::{Cut, CutHead};
use ledgerline_proof::entry::{Entry, StreamPosition, TopicId};
use ledgerline_proof::hash::sha256;
use ledgerline_proof::schema::{self, Announced, Kind, Leaf, SchemaSet, encode_object};
use ledgerline_proof::submission::{
    Attachment, Batch, MAX_BATCH_SUBMISSIONS, MAX_SUBMISSION_BYTES, Submission, SubmissionError,
    put_frame,
};
use ledgerline_proof::wire::DecodeError;
use proptest::prelude::*;
use strategies::{CASES, Case, Draw, Draws, cases, draws, specimens};

fn oracle(kind: Kind) -> Schema {
    Schema::parse_str(kind.text()).unwrap_or_else(|error| panic!("{}: {error}", kind.name()))
}

fn read(schema: &Schema, mut body: &[u8]) -> Value {
    let reader = GenericDatumReader::builder(schema).build().unwrap();
    let value = reader.read_value(&mut body).unwrap();
    assert!(body.is_empty(), "Apache Avro leaves {} bytes", body.len());
    value
}

fn write(schema: &Schema, value: Value) -> Vec<u8> {
    GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

#[test]
fn pins_are_those_of_the_texts() {
    for kind in Kind::ALL {
        let name = kind.name();
        assert_eq!(sha256(kind.text().as_bytes()), kind.sha256(), "{name}");
        assert_eq!(schema::fingerprint(kind.text()), Ok(kind.fingerprint()), "{name}");
        assert_eq!(kind.schema().name(), name);
        let oracle = oracle(kind);
        assert_eq!(oracle.canonical_form(), kind.schema().canonical_form(), "{name}");
        assert_eq!(oracle.fingerprint::<Rabin>().bytes, kind.fingerprint(), "{name}");
        assert_eq!(Kind::from_name(name), Some(kind));
        assert_eq!(Kind::from_fingerprint(kind.fingerprint()), Some(kind));
    }
}

fn entry_with(topic_id: Option<TopicId>) -> Entry<'static> {
    let stream = StreamPosition { topic: "tokens", partition: 3, offset: 9, topic_id };
    let mut entry: Entry<'_> = Draw::draw(&mut Draws::full());
    entry.attested_by.stream = Some(stream);
    entry
}

/// A value has one version, and with it one encoding: the first one that can say it.
#[test]
fn an_entry_is_of_version_2_exactly_when_it_names_a_topic_id() {
    let v2 = Kind::Entry.schema_text_of(2).unwrap();
    assert_eq!(sha256(v2.text.as_bytes()), v2.sha256);
    assert_eq!(schema::fingerprint(v2.text), Ok(v2.fingerprint));
    assert_eq!(Kind::from_fingerprint(v2.fingerprint), Some(Kind::Entry));
    let oracle = Schema::parse_str(v2.text).unwrap();
    assert_eq!(oracle.fingerprint::<Rabin>().bytes, v2.fingerprint);
    let (old, new) = (entry_with(None), entry_with(Some(TopicId([7; 16]))));
    let [old_object, new_object] = [&old, &new].map(|entry| encode_object(Kind::Entry, entry));
    assert_eq!(old_object[2..10], Kind::Entry.fingerprint());
    assert_eq!(new_object[2..10], v2.fingerprint);
    for (entry, object) in [(&old, &old_object), (&new, &new_object)] {
        assert_eq!(Leaf::decode(object), Ok(Leaf::Entry(entry.clone())));
        assert_eq!(Leaf::decode(object).unwrap().encode(), *object);
        assert_eq!(schema::decode_object::<Entry<'_>>(Kind::Entry, object).as_ref(), Ok(entry));
    }
    let value = read(&oracle, &new_object[10..]);
    assert_eq!(write(&oracle, value), new_object[10..], "Apache Avro agrees about version 2");
    // Version 2 without a topic id: the position ends in the null branch.
    let at = new_object.windows(17).position(|window| window[0] == 2 && window[1..] == [7; 16]);
    let at = at.unwrap();
    let empty = [&new_object[..at], &[0], &new_object[at + 17..]].concat();
    assert_eq!(Leaf::decode(&empty).unwrap_err().code(), "non_canonical");
    let body_of = |object| SchemaSet::new().body(Kind::Entry, object).map(Cow::into_owned);
    assert_eq!(body_of(&empty).unwrap_err().code(), "non_canonical");
    assert_eq!(body_of(&new_object).as_deref(), Ok(&old_object[10..]), "read as version 1");
    let announced = SchemaSet::new().announce(&v2);
    assert_eq!(announced, Ok(Announced::Pinned(Kind::Entry)));
    for bit in 80..new_object.len() * 8 {
        let mut flipped = new_object.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(leaf) = Leaf::decode(&flipped) {
            assert_eq!(leaf.encode(), flipped, "bit {bit} makes a second encoding");
        }
    }
}

fn control_with(kind: ControlKind, cut: Option<Cut<'static>>) -> Control<'static> {
    let mut control: Control<'_> = Draw::draw(&mut Draws::full());
    control.kind = kind;
    control.cut = cut;
    control
}

/// A cut is the only control record of version 2, and only a canonical one is read.
#[test]
fn a_control_record_is_of_version_2_exactly_when_it_is_a_cut() {
    let v2 = Kind::Control.schema_text_of(2).unwrap();
    assert_eq!(sha256(v2.text.as_bytes()), v2.sha256);
    assert_eq!(schema::fingerprint(v2.text), Ok(v2.fingerprint));
    assert_eq!(Kind::from_fingerprint(v2.fingerprint), Some(Kind::Control));
    let oracle = Schema::parse_str(v2.text).unwrap();
    assert_eq!(oracle.fingerprint::<Rabin>().bytes, v2.fingerprint);
    let head = |origin, size| CutHead { origin, size, root: sha256(b"root") };
    let heads = vec![head("a.example/0", 7), head("a.example/1", 4711), head("b", i64::MAX)];
    let cut = Cut { shard_list_version: 3, heads };
    assert_eq!(cut.head("a.example/1").map(|head| head.size), Some(4711));
    assert_eq!(cut.head("a.example/2"), None);
    let old = control_with(ControlKind::Recovered, None);
    let new = control_with(ControlKind::Cut, Some(cut.clone()));
    let [old_object, new_object] = [&old, &new].map(|one| encode_object(Kind::Control, one));
    assert_eq!(old_object[2..10], Kind::Control.fingerprint());
    assert_eq!(new_object[2..10], v2.fingerprint);
    for (control, object) in [(&old, &old_object), (&new, &new_object)] {
        assert_eq!(Leaf::decode(object), Ok(Leaf::Control(control.clone())));
        assert_eq!(Leaf::decode(object).unwrap().encode(), *object);
    }
    let value = read(&oracle, &new_object[10..]);
    assert_eq!(write(&oracle, value), new_object[10..], "Apache Avro agrees about version 2");
    let v1 = SchemaSet::new().body(Kind::Control, &new_object).map(Cow::into_owned).unwrap();
    let read_as_v1: Control<'_> = ledgerline_proof::wire::decode(&v1).unwrap();
    assert_eq!((read_as_v1.kind, read_as_v1.cut), (ControlKind::Other, None), "as any new kind");
    // Under version 1 the kind is unknown, and under version 2 nothing else is said.
    let mut first = old_object.clone();
    first[10] = 14;
    assert_eq!(Leaf::decode(&first).unwrap_err().code(), "out_of_range");
    let mut later = [&new_object[..10], &old_object[10..], &[0]].concat();
    assert_eq!(Leaf::decode(&later).unwrap_err().code(), "non_canonical");
    later[10] = 14;
    assert!(Leaf::decode(&later).is_ok(), "the kind without its part is for the verifier to name");
    let changed = |change: fn(&mut Cut<'static>)| {
        let mut cut = cut.clone();
        change(&mut cut);
        let object = encode_object(Kind::Control, &control_with(ControlKind::Cut, Some(cut)));
        let translated = SchemaSet::new().body(Kind::Control, &object).map(drop);
        let decoded = Leaf::decode(&object).map(drop);
        assert_eq!(translated, decoded, "both ways in refuse alike");
        decoded.map_err(|error| error.code())
    };
    assert_eq!(changed(|_| {}), Ok(()));
    assert_eq!(changed(|cut| cut.heads.clear()), Err("non_canonical"));
    assert_eq!(changed(|cut| cut.heads.reverse()), Err("non_canonical"));
    assert_eq!(changed(|cut| cut.heads[1].origin = "a.example/0"), Err("non_canonical"));
    assert_eq!(changed(|cut| cut.heads[0].size = 0), Err("out_of_range"));
    assert_eq!(changed(|cut| cut.heads[0].origin = ""), Err("out_of_range"));
    assert_eq!(changed(|cut| cut.shard_list_version = -1), Err("out_of_range"));
    for bit in 80..new_object.len() * 8 {
        let mut flipped = new_object.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(leaf) = Leaf::decode(&flipped) {
            assert_eq!(leaf.encode(), flipped, "bit {bit} makes a second encoding");
        }
    }
}

/// The fields of every record and the symbols of every enum, in the order of the schemas.
fn declared(json: &serde_json::Value, found: &mut Vec<(String, Vec<String>)>) {
    match json {
        serde_json::Value::Array(items) => items.iter().for_each(|item| declared(item, found)),
        serde_json::Value::Object(object) => {
            if let Some(fields) = object.get("fields").and_then(|fields| fields.as_array()) {
                let names = fields.iter().map(|field| field["name"].as_str().unwrap().to_owned());
                found.push((object["name"].as_str().unwrap().to_owned(), names.collect()));
            }
            object.values().for_each(|value| declared(value, found));
        }
        _ => {}
    }
}

#[test]
fn structs_declare_the_fields_of_the_schemas() {
    let mut records = Vec::new();
    for kind in Kind::ALL {
        for version in (1..).map_while(|version| kind.schema_text_of(version)) {
            declared(&serde_json::from_str(version.text).unwrap(), &mut records);
        }
    }
    let specimens = specimens();
    assert!(records.iter().all(|(name, _)| specimens.iter().any(|(known, _)| known == name)));
    for (name, debug) in specimens {
        let fields: Vec<String> = debug
            .lines()
            .filter_map(|line| line.strip_prefix("    ")?.split_once(':'))
            .map(|(field, _)| field)
            .filter(|field| !field.starts_with(' '))
            .map(|field| match (name, field) {
                ("Statement", "event_type") => "type",
                ("Handle", "id") => "handle",
                _ => field,
            })
            .map(str::to_owned)
            .collect();
        let of_name = records.iter().filter(|(record, _)| record == name);
        let declared: Vec<_> = of_name.map(|(_, declared)| declared).collect();
        let newest = declared.iter().max_by_key(|declared| declared.len());
        assert_eq!(newest.map(|newest| &***newest), Some(&*fields), "{name}");
        // An earlier version lacks the last fields, and nothing else.
        assert!(declared.iter().all(|one| fields.starts_with(one)), "{name}");
    }
}

fn check_oracle(case: &Case, schema: &Schema, draws: &mut Draws) {
    let body = (case.draw)(draws);
    let value = read(schema, &body);
    assert!(value.validate(schema), "{}: Apache Avro finds the value invalid", case.kind.name());
    assert_eq!(write(schema, value), body, "{}", case.kind.name());
    assert_eq!((case.reencode)(&body), Ok(body));
}

#[test]
fn apache_avro_reads_and_writes_the_same_bytes() {
    for case in &CASES {
        let schema = oracle(case.kind);
        check_oracle(case, &schema, &mut Draws::full());
        check_oracle(case, &schema, &mut Draws::new(Vec::new()));
        proptest!(cases(64), |(mut draws in draws())| {
            check_oracle(case, &schema, &mut draws);
        });
    }
}

/// Either the bytes are refused, or what they decode to is written as exactly these bytes.
fn check_canonical(case: &Case, body: &[u8]) {
    if let Ok(again) = (case.reencode)(body) {
        assert_eq!(again, body, "{} has two encodings", case.kind.name());
    }
}

#[test]
fn no_flipped_bit_makes_a_second_encoding() {
    for case in &CASES {
        proptest!(cases(8), |(mut draws in draws())| {
            let mut body = (case.draw)(&mut draws);
            for bit in 0..body.len() * 8 {
                body[bit / 8] ^= 1 << (bit % 8);
                check_canonical(case, &body);
                body[bit / 8] ^= 1 << (bit % 8);
            }
            for cut in 0..body.len() {
                prop_assert!((case.reencode)(&body[..cut]).is_err(), "cut at {cut} was read");
            }
            body.push(0);
            prop_assert!((case.reencode)(&body).is_err(), "a byte behind the record was read");
        });
    }
}

#[test]
fn random_bytes_have_one_encoding() {
    for case in &CASES {
        let byte = prop_oneof![Just(0u8), Just(2), any::<u8>()];
        proptest!(cases(256), |(body in prop::collection::vec(byte, 0..300))| {
            check_canonical(case, &body);
        });
    }
}

#[test]
fn objects_say_what_they_are() {
    let mut leaves = 0;
    for case in &CASES {
        let body = (case.draw)(&mut Draws::full());
        let object = [&schema::MARKER[..], &case.kind.fingerprint(), &body].concat();
        assert_eq!(schema::kind_of(&object), Some(case.kind));
        assert_eq!(schema::split_object(&object), Ok((case.kind.fingerprint(), &body[..])));
        let leaf = Leaf::decode(&object);
        if matches!(case.kind, Kind::Entry | Kind::Block | Kind::Control) {
            assert_eq!(leaf.unwrap().encode(), object);
            leaves += 1;
        } else {
            let fingerprint = u64::from_le_bytes(case.kind.fingerprint());
            assert_eq!(leaf, Err(DecodeError::UnknownSchema(fingerprint)));
        }
        for cut in 0..schema::HEADER_BYTES {
            assert_eq!(Leaf::decode(&object[..cut]), Err(DecodeError::Truncated(cut)));
        }
        let mut marked = object.clone();
        marked[1] = 2;
        assert_eq!(Leaf::decode(&marked), Err(DecodeError::UnknownSchema(0)));
        assert_eq!(schema::kind_of(&marked), None);
        let cut = &object[..object.len() - 1];
        if let Err(DecodeError::Truncated(at)) = Leaf::decode(cut) {
            assert!(at >= schema::HEADER_BYTES, "offsets count from the object's first byte");
        }
    }
    assert_eq!(leaves, 3);
}

fn batch(frames: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    frames.iter().for_each(|frame| put_frame(&mut body, frame).unwrap());
    body
}

#[test]
fn batches_give_back_their_frames() {
    let check = |name: &str, body: &[u8], frames: &[&[u8]], error: Option<&str>| {
        let read: Vec<_> = Batch::new(body).collect();
        let good: Vec<_> = read.iter().filter_map(|frame| frame.as_ref().ok().copied()).collect();
        assert_eq!(good, frames, "{name}");
        let found = read.last().and_then(|frame| frame.as_ref().err()).map(SubmissionError::code);
        assert_eq!(found, error, "{name}");
        assert_eq!(read.len(), frames.len() + usize::from(error.is_some()), "{name}: must end");
    };
    let whole = batch(&[b"one", b"three"]);
    check("empty", &[], &[], None);
    check("two", &whole, &[b"one", b"three"], None);
    check("cut content", &whole[..whole.len() - 1], &[b"one"], Some("truncated"));
    check("cut length", &whole[..9], &[b"one"], Some("truncated"));
    check("trailing byte", &[&whole[..], &[0]].concat(), &[b"one", b"three"], Some("truncated"));
    check("empty frame", &[0, 0, 0, 0], &[], Some("bad_frame"));
    check("huge claim", &[0xff; 64], &[], Some("bad_frame"));
    let many = [0, 0, 0, 1, 7].repeat(MAX_BATCH_SUBMISSIONS + 1);
    assert_eq!(Batch::new(&many).last().unwrap().unwrap_err().code(), "too_many_items");
    let long = vec![0; ledgerline_proof::submission::MAX_BATCH_BYTES + 1];
    assert_eq!(Batch::new(&long).next().unwrap().unwrap_err().code(), "body_too_large");
    let mut out = Vec::new();
    assert_eq!(put_frame(&mut out, b"").unwrap_err().code(), "bad_frame");
    assert!(put_frame(&mut out, &vec![0; MAX_SUBMISSION_BYTES + 1]).is_err() && out.is_empty());
}

#[test]
fn attachments_are_what_they_claim() {
    let data = b"{\"permit\":true}";
    let attachment = Attachment { digest: sha256(data), media_type: "application/json", data };
    let mut submission = Submission::draw(&mut Draws::full());
    let check = |submission: &Submission<'_>, expected: Result<(), &str>| {
        let bytes = submission.encode();
        let found = Submission::decode(&bytes);
        assert_eq!(found.as_ref().map(|_| ()).map_err(SubmissionError::code), expected);
        assert!(found.is_err() || found.as_ref() == Ok(submission));
    };
    submission.attachments = vec![attachment.clone()];
    check(&submission, Ok(()));
    submission.attachments.push(Attachment { data: b"{}", ..attachment.clone() });
    check(&submission, Err("attachment_mismatch"));
    submission.attachments = vec![attachment; 17];
    check(&submission, Err("too_many_items"));
    let data = vec![0; (1 << 20) + 1].leak();
    let long = Attachment { digest: sha256(data), media_type: "", data };
    submission.attachments = vec![long];
    check(&submission, Err("attachment_too_large"));
}
