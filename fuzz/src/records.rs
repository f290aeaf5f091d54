//! Records in the canonical Avro encoding, their framing, and schemas.
//!
//! A body is judged twice: by the hand-written reader of its kind, and by the reader that walks a
//! schema. The two must take exactly the same bodies.

use std::borrow::Cow;

use ledgerline_proof::block::{Block, Refusal};
use ledgerline_proof::chain::{chain_key, check_link};
use ledgerline_proof::control::{Control, SchemaText};
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{
    Announced, HEADER_BYTES, Kind, Leaf, MARKER, MAX_SCHEMA_BYTES, Schema, SchemaSet,
    canonical_form, decode_object, encode_object, fingerprint, kind_of, resolve,
};
use ledgerline_proof::statement::{Statement, StatementError};
use ledgerline_proof::submission::{Batch, Submission, put_frame};
use ledgerline_proof::wire::Wire;

use crate::cursor::Cursor;

/// The input as an object of `kind`: as it is when it begins with the marker, else as a body behind
/// the right header, so that the fuzzer need not find ten bytes first.
fn object(kind: Kind, data: &[u8]) -> Cow<'_, [u8]> {
    if data.starts_with(&MARKER) {
        return data.into();
    }
    [&MARKER[..], &kind.fingerprint(), data].concat().into()
}

/// Decodes; a value that came out must give back the very bytes, and both readers must agree.
fn decoded<'a, T: Wire<'a> + PartialEq + std::fmt::Debug>(
    kind: Kind,
    bytes: &'a [u8],
) -> Option<T> {
    let value = decode_object::<T>(kind, bytes).ok();
    if let Some(value) = &value {
        assert_eq!(encode_object(kind, value), bytes, "encode(decode(bytes)) is another text");
    }
    if kind_of(bytes) != Some(kind) {
        return value;
    }
    let body = &bytes[HEADER_BYTES..];
    if bytes[MARKER.len()..HEADER_BYTES] == kind.fingerprint() {
        let walked = resolve(kind.schema(), kind.schema(), body);
        assert_eq!(value.is_some(), walked.is_ok(), "the two readers disagree: {walked:?}");
        assert!(walked.is_err() || walked.as_deref() == Ok(body), "the walk changed the body");
    } else {
        // A later version that the kernel pins: read as the first one, it is canonical there.
        let first = SchemaSet::new().body(kind, bytes);
        assert_eq!(value.is_some(), first.is_ok(), "the two readers disagree: {first:?}");
        if let Ok(first) = first {
            let again = resolve(kind.schema(), kind.schema(), &first);
            assert_eq!(again.as_deref(), Ok(&*first), "version 1 of it is not canonical");
        }
    }
    value
}

/// A statement.
pub fn statement(data: &[u8]) {
    let bytes = object(Kind::Statement, data);
    if let Some(statement) = decoded::<Statement<'_>>(Kind::Statement, &bytes) {
        let verdict = statement.validate();
        let code = verdict.as_ref().map_or_else(StatementError::code, |()| "");
        assert_eq!(code.is_empty(), verdict.is_ok());
        if verdict.is_ok() {
            let key = chain_key(&statement, &[]).map(|key| key.start(&Hash::ZERO));
            let subject = statement.target.id.is_empty();
            assert_eq!(key.is_none(), subject, "only SUBJECT needs a handle for its chain");
        }
    }
}

/// A personal record.
pub fn personal(data: &[u8]) {
    let bytes = object(Kind::Personal, data);
    if let Some(record) = decoded::<PersonalRecord<'_>>(Kind::Personal, &bytes) {
        let _ = record.validate();
        let mut salted = record.clone();
        salted.salt[0] ^= 1;
        assert_ne!(commitment(&bytes), commitment(&encode_object(Kind::Personal, &salted)));
    }
}

/// A leaf: what decodes as its kind decodes as a leaf, and the leaf encodes to the same bytes.
fn leaf(kind: Kind, bytes: &[u8], accepted: bool) {
    match Leaf::decode(bytes) {
        Ok(leaf) => assert_eq!(leaf.encode(), bytes),
        Err(error) => {
            assert!(!accepted, "{kind:?} is no leaf: {error}");
            assert!(!error.code().is_empty() && !error.to_string().is_empty());
        }
    }
}

/// An entry, with the statement in it.
pub fn entry(data: &[u8]) {
    let bytes = object(Kind::Entry, data);
    let entry = decoded::<Entry<'_>>(Kind::Entry, &bytes);
    leaf(Kind::Entry, &bytes, entry.is_some());
    let Some(entry) = entry else { return };
    let _ = check_link(&entry, None, || Hash::ZERO);
    if let Some(statement) = decoded::<Statement<'_>>(Kind::Statement, entry.statement)
        && statement.validate().is_ok()
    {
        let _ = chain_key(&statement, &entry.handles).map(|key| key.start(&Hash::ZERO));
    }
}

/// A block entry.
pub fn block(data: &[u8]) {
    let bytes = object(Kind::Block, data);
    let block = decoded::<Block>(Kind::Block, &bytes);
    leaf(Kind::Block, &bytes, block.is_some());
}

/// A control record.
pub fn control(data: &[u8]) {
    let bytes = object(Kind::Control, data);
    let control = decoded::<Control<'_>>(Kind::Control, &bytes);
    leaf(Kind::Control, &bytes, control.is_some());
    if let Some(text) = control.and_then(|control| control.schema) {
        announce(&text);
    }
}

/// A refusal's leaf.
pub fn refusal(data: &[u8]) {
    let bytes = object(Kind::Refusal, data);
    decoded::<Refusal<'_>>(Kind::Refusal, &bytes);
}

/// A batch body and the submissions in it.
pub fn submission(data: &[u8]) {
    let mut again = Vec::new();
    let mut batch = Batch::new(data);
    let mut whole = true;
    loop {
        let at = batch.offset();
        match batch.next() {
            None => break,
            Some(Ok(frame)) => {
                put_frame(&mut again, frame).expect("a frame that was read can be written");
                one_submission(frame);
            }
            Some(Err(error)) => {
                assert!(whole, "a second error behind {error}");
                assert_eq!(at, again.len(), "the offset is not that of the broken frame");
                whole = false;
            }
        }
    }
    assert_eq!(again, data[..again.len()], "frames do not add up to the body");
    assert_eq!(whole, again.len() == data.len(), "bytes left over without an error");
    one_submission(&object(Kind::Submission, data));
}

fn one_submission(bytes: &[u8]) {
    let record = decoded::<Submission<'_>>(Kind::Submission, bytes);
    match Submission::decode(bytes) {
        Ok(submission) => {
            assert_eq!(submission.encode(), bytes);
            for attachment in &submission.attachments {
                assert_eq!(sha256(attachment.data), attachment.digest);
            }
        }
        Err(error) => assert!(!error.code().is_empty() && !error.to_string().is_empty()),
    }
    assert!(record.is_some() || Submission::decode(bytes).is_err());
}

/// A schema text, and bodies written under it. Input: u16 length of the text, text, body.
pub fn schema(data: &[u8]) {
    let mut input = Cursor::new(data);
    let length = usize::from(input.u16());
    let Ok(text) = std::str::from_utf8(input.bytes(length)) else { return };
    let Ok(schema) = Schema::parse(text) else {
        return;
    };
    let form = canonical_form(text).expect("a text that parses has a canonical form");
    assert_eq!(fingerprint(text), Ok(schema.fingerprint()));
    match Schema::parse(&form) {
        Ok(bare) => {
            assert_eq!(bare.name(), schema.name());
            assert_eq!(bare.canonical_form(), form, "the canonical form is no fixpoint");
        }
        // Names written in full can carry it past the limit.
        Err(error) => assert!(form.len() > MAX_SCHEMA_BYTES, "the canonical form: {error}"),
    }
    let body = input.rest();
    if let Ok(same) = resolve(&schema, &schema, body) {
        assert_eq!(same, body, "a schema read as itself changes the body");
    }
    let record = SchemaText {
        name: schema.name(),
        fingerprint: schema.fingerprint(),
        sha256: sha256(text.as_bytes()),
        text,
    };
    let Some((set, Announced::Readable(kind))) = announce(&record) else { return };
    if let Ok(read) = set.translate(record.fingerprint, kind, body) {
        let again = resolve(kind.schema(), kind.schema(), &read);
        assert_eq!(again.as_deref(), Ok(&read[..]), "a translated body is not canonical");
    }
}

/// Announces a schema twice: the second time changes nothing, and the text is the announced one.
fn announce<'t>(record: &SchemaText<'t>) -> Option<(SchemaSet, Announced)> {
    let mut set = SchemaSet::new();
    let first = set.announce(record).ok()?;
    assert_eq!(set.announce(record), Ok(first), "the second announcement ended otherwise");
    assert_eq!(set.text(record.fingerprint), Some(record.text));
    assert_eq!(sha256(record.text.as_bytes()), record.sha256);
    Some((set, first))
}
