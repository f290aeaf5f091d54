//! Seeds: the published vectors in the form that each target reads, and records made here.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use ledgerline_journal::format::CommitRecord;
use ledgerline_journal::streams::{
    NO_LEADER_EPOCH, NextPosition, StreamId, StreamMark, StreamState, StreamTable,
};
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::note::SignerKey;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, decode_object, encode_object};
use ledgerline_proof::signature::StatementSigner;
use ledgerline_proof::statement::{Personal, Statement};
use ledgerline_proof::submission::{Submission, put_frame};
use ledgerline_proof::tlog_proof::TlogProof;
use ledgerline_proof::vocabulary::PersonalRole;
use ledgerline_proof::{entry, tile};
use serde_json::{Value, json};

use crate::ledger::{DEPLOYMENT, PRODUCER_KEY, PRODUCER_SECRET, base, event, policy_event};
use crate::notes::{LEAVES, keys, signed_checkpoints};

/// A target's name and one seed.
pub type Seed = (&'static str, Vec<u8>);

/// Longest seed: the whole corpus is to stay small.
const LONGEST: usize = 4096;

/// The seeds that the vector files hold.
///
/// # Errors
/// When a file is missing or not as expected.
pub fn of_vectors(folder: &Path) -> io::Result<Vec<Seed>> {
    let mut seeds = Vec::new();
    let entries = json(&folder.join("entries.json"))?;
    let records = list(&entries["records"])?.iter().chain(list(&entries["refused"])?);
    let schemas = json(&folder.join("schemas.json"))?;
    let versions = list(&schemas["versions"])?.iter();
    let kinds = records.map(|one| (&one["kind"], one));
    for (kind, record) in kinds.chain(versions.map(|one| (&one["name"], one))) {
        let target = match kind.as_str() {
            Some("dev.ledgerline.Statement") => "statement",
            Some("dev.ledgerline.Personal") => "personal",
            Some("dev.ledgerline.Entry") => "entry",
            Some("dev.ledgerline.Block") => "block",
            Some("dev.ledgerline.Control") => "control",
            Some("dev.ledgerline.Refusal") => "refusal",
            Some("dev.ledgerline.Submission") => "submission",
            _ => continue,
        };
        seeds.push((target, hex(&record["object"])?));
    }
    for batch in list(&entries["batches"])? {
        seeds.push(("submission", hex(&batch["body"])?));
        seeds.push(("intake_avro", hex(&batch["body"])?));
    }
    let note = json(&folder.join("note.json"))?;
    texts(&mut seeds, "key", &note["keys"], "vkey")?;
    texts(&mut seeds, "key", &note["signing"], "skey")?;
    texts(&mut seeds, "note", &note["notes"], "note")?;
    let checkpoint = json(&folder.join("checkpoint.json"))?;
    texts(&mut seeds, "checkpoint", &checkpoint["texts"], "text")?;
    texts(&mut seeds, "checkpoint", &checkpoint["signed"], "note")?;
    texts(&mut seeds, "tlog_proof", &checkpoint["proofs"], "proof")?;
    texts(&mut seeds, "tile", &json(&folder.join("tree_tiles.json"))?["paths"], "path")?;
    seeds.retain(|(_, bytes)| bytes.len() <= LONGEST);
    Ok(seeds)
}

fn json(path: &Path) -> io::Result<Value> {
    serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)
}

fn list(value: &Value) -> io::Result<&Vec<Value>> {
    value.as_array().ok_or_else(|| io::Error::other("the vectors are not as expected"))
}

fn texts(seeds: &mut Vec<Seed>, target: &'static str, from: &Value, field: &str) -> io::Result<()> {
    let from = list(from)?.iter().filter_map(|item| item[field].as_str());
    seeds.extend(from.map(|text| (target, text.as_bytes().to_vec())));
    Ok(())
}

fn hex(value: &Value) -> io::Result<Vec<u8>> {
    let text = value.as_str().unwrap_or_default();
    let digits = |at| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digits).collect();
    bytes.ok_or_else(|| io::Error::other("the vectors are not hex"))
}

/// The seeds made here.
#[must_use]
pub fn made() -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let mut seeds: BTreeMap<&'static str, Vec<Vec<u8>>> = BTreeMap::new();
    let mut add = |target, bytes: Vec<u8>| seeds.entry(target).or_default().push(bytes);
    for (target, bytes) in records().into_iter().chain(notes()).chain(steps()).chain(bodies()) {
        add(target, bytes);
    }
    let digest = ledgerline_proof::token_id::jti_hash_value("x");
    for id in ["eu:idp:jti:4f0c", "eu:idp:acc:hmac-sha256:ab", "not-an-id.but.two-dots"] {
        add("token_id", id.into());
    }
    for form in ["t1", "jh", "h12"] {
        add("token_id", format!("eu:idp:{form}:{digest}").into());
    }
    add("token_id", b"eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJhIn0.AAAA".to_vec());
    let bundle = tile::encode_bundle([&b"a"[..], b"bc"]).expect("short entries");
    add("tile", [&[0, 2][..], &bundle].concat());
    add("tile", [&[0, 1][..], &[7; 32]].concat());
    seeds
}

/// Leaves of the base ledger, and schema texts.
fn records() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let base = base();
    for (kind, target) in
        [(Kind::Entry, "entry"), (Kind::Block, "block"), (Kind::Control, "control")]
    {
        let leaves =
            base.leaves.iter().filter(|leaf| ledgerline_proof::schema::kind_of(leaf) == Some(kind));
        let leaves = leaves.filter(|leaf| leaf.len() <= LONGEST).step_by(7).take(4);
        seeds.extend(leaves.map(|leaf| (target, leaf.clone())));
    }
    let last = base.leaves.iter().rev().find_map(|leaf| {
        let entry: entry::Entry<'_> = decode_object(Kind::Entry, leaf).ok()?;
        Some(entry.statement.to_vec())
    });
    seeds.extend(last.map(|bytes| ("statement", bytes)));
    let small = json!({"type": "record", "name": "dev.ledgerline.Refusal", "fields": [
        {"name": "received_at", "type": "int"},
        {"name": "credential", "type": "bytes"},
        {"name": "code", "type": ["null", "string"], "default": null},
        {"name": "id", "type": {"type": "fixed", "name": "dev.ledgerline.EventId", "size": 16}},
        {"name": "more", "default": [], "type": {"type": "array", "items": {
            "type": "enum", "name": "E", "symbols": ["A", "B"], "default": "A",
        }}},
    ]})
    .to_string();
    for text in [&small, Kind::Refusal.text(), Kind::Personal.text(), Kind::Block.text()] {
        let length = u16::try_from(text.len()).expect("schemas are short");
        let body = [&[4, 2, b'k', 2, 2, b'c'][..], &[5; 16], &[4, 0, 2, 0]].concat();
        seeds.push(("schema", [&length.to_be_bytes()[..], text.as_bytes(), &body].concat()));
    }
    seeds
}

/// Notes, checkpoints and proofs that the known keys signed, and the keys.
fn notes() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let notes = signed_checkpoints();
    for note in &notes {
        for target in ["note", "checkpoint", "head_store"] {
            seeds.push((target, note.to_bytes()));
        }
    }
    let path = vec![leaf_hash(LEAVES[1])];
    let checkpoint = notes[1].clone();
    let proof = TlogProof { extra: Some(b"extra".to_vec()), index: 0, path, checkpoint };
    seeds.push(("tlog_proof", proof.to_bytes()));
    let skey = |key: &SignerKey| [key.to_skey(), key.verifier_key().to_string()];
    for text in skey(&keys().log).into_iter().chain(skey(&keys().witness)) {
        seeds.push(("key", text.into_bytes()));
    }
    seeds
}

/// Inputs that the targets read as steps.
fn steps() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = vec![
        ("frame", vec![0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("recovery", vec![0]),
        ("recovery", vec![1, 0, 4, 6, 2, 0, 9]),
        ("recovery", vec![4]),
        ("recovery", vec![5, 3, 0]),
        ("recovery", vec![3, 2, 6, 5, 3, 200, 1, 0, 4]),
        ("recovery", vec![6, 1, 3, 0, 1, 0, 4, 8, 5, 0, 9, 3]),
        ("verify", vec![0]),
        ("verify", vec![8]),
        ("verify", vec![0, 0, 4, 5, 0, 90, 3]),
        ("verify", vec![2, 1, 4, 5, 1, 90, 3]),
        ("bundle", vec![0]),
        ("bundle", vec![1, 0, 3, 5, 0, 20, 1]),
        ("bundle", vec![2, 2, 3, 6, 1, 9, 9]),
        ("bundle", vec![3, 4, 0, 4, 2, 8, 0, 1, 1, 14, 0, 5, 0, 3, 2]),
        ("bundle", vec![4, 10, 3, 1, 2, 3, 0, 11, 0, 3]),
        ("bundle", vec![5, 7, 0, 2, 65, 66, 12, 0, 5, 0, 40, 1]),
        ("bundle", vec![7, 13, 0, 8, 1, 1, 5]),
        ("vault", vec![0]),
        ("vault", vec![1, 1, 4, 5, 0, 90, 3]),
        ("vault", vec![0, 0, 4, 5, 0, 90, 3]),
        ("vault", vec![1, 2, 4, 5, 0, 30, 3]),
        ("index_run", vec![0]),
        ("index_run", vec![2, 5, 0, 60, 3]),
        ("index_run", vec![254]),
        ("manifest", crate::runs::sample_manifest()[8..].to_vec()),
        ("manifest", crate::runs::sample_manifest()),
    ];
    let table = stream_table();
    let empty = StreamTable::default();
    let commits = [&empty, &table].map(|streams| commit_with(streams.clone()));
    for commit in &commits {
        seeds.push(("frame", one_batch(&commit.encode())));
        seeds.push(("frame", commit.encode()));
    }
    let mut bytes = Vec::new();
    table.put(&mut bytes);
    seeds.push(("frame", bytes));
    for (path, bytes) in base().disk.files().iter().filter(|(path, _)| path.ends_with(".seg")) {
        let number: u32 = path[8..16].parse().expect("eight digits");
        seeds.extend(pending_of(number, bytes).map(|bytes| ("erasure", bytes)));
    }
    seeds
}

/// A partition that goes on, and a shard that has ended.
fn stream_table() -> StreamTable {
    let mark = |id, name: &str, part: &[u8], next: &[u8], leader_epoch, state| StreamMark {
        stream: StreamId { id: [id; 16], name: name.into() },
        part: part.into(),
        next: NextPosition::new(next),
        leader_epoch,
        state,
    };
    let marks = [
        mark(1, "c", &[0, 0, 0, 3], &[0, 0, 0, 0, 0, 0, 0, 9], 7, StreamState::Open),
        mark(2, "arn", b"shard-0", b"4959", NO_LEADER_EPOCH, StreamState::Ended),
    ];
    let mut table = StreamTable::default();
    table.advance(&marks).expect("two good marks");
    table
}

fn commit_with(streams: StreamTable) -> CommitRecord {
    let (mac, root) = (Hash::ZERO, Hash::ZERO);
    CommitRecord { mac, size: 1, root, epoch: 0, streams, previous_signature: Vec::new() }
}

/// A batch of one entry and an attachment, as `frame` reads frames.
fn one_batch(commit: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    let mut put = |kind: u8, body: &[u8]| {
        out.push(kind);
        out.push(u8::try_from(body.len()).expect("short"));
        out.extend_from_slice(body);
    };
    let mut head = [0; 20];
    head[11] = 1;
    put(0, &head);
    put(1, b"leaf");
    put(3, &[0; 44]);
    put(2, &[1; 60]);
    put(4, commit);
    out
}

/// An item of `erasures/pending` for the first sealed frame of a segment.
fn pending_of(number: u32, segment: &[u8]) -> Option<Vec<u8>> {
    use ledgerline_journal::format::{FrameBinding, FrameType, HEADER_BYTES};
    let binding = FrameBinding::new(&base().identity.ledger_id, number);
    let mut at = HEADER_BYTES;
    while let Some(frame) = binding.take(&segment[at..], at as u64) {
        if frame.kind == FrameType::Sealed {
            let mut item = vec![0];
            item.extend_from_slice(&number.to_be_bytes());
            item.extend_from_slice(&frame.offset.to_be_bytes());
            item.extend_from_slice(&u32::try_from(frame.body.len()).ok()?.to_be_bytes());
            item.extend_from_slice(&frame.body[..25]);
            return Some(item);
        }
        at = usize::try_from(frame.end()).ok()?;
    }
    None
}

/// An event with something in most fields.
fn whole_event() -> String {
    json!({
        "event_id": "01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11",
        "native_id": "n",
        "act": {"id": "a", "part": 0, "parts": 1},
        "type": "ISSUED",
        "token_id": "eu:idp:jti:4f0c",
        "occurred_at": "2025-11-22T10:10:00.123456789Z",
        "outcome": "ALLOW",
        "reason": "user",
        "issuer": "idp",
        "client_id": "web",
        "session_id": "s-17",
        "token_kind": "ACCESS",
        "scopes": ["read:finance"],
        "audience": ["api"],
        "expires_at": "2026-11-22T10:20:00Z",
        "activation": {"requires": ["mfa"], "deadline": "2026-11-22T10:20:00Z"},
        "policies": [{"id": "finance", "version": "v2", "role": "GRANT"}],
        "links": [{
            "token_id": "eu:idp:jti:9b1e", "relation": "REFRESHED_FROM", "strength": "ASSERTED",
        }],
        "actors": [{"kind": "CLIENT", "id": "web"}],
        "detail": [{"key": "a", "value": "b"}],
        "personal": [{
            "role": "SUBJECT", "user_id": "alice", "ip": "203.0.113.7", "user_agent": "curl",
            "attributes": {"department": "treasury"},
        }],
    })
    .to_string()
}

/// Bodies of the interface.
fn bodies() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let whole = whole_event();
    let subject = json!({
        "event_id": "01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b12",
        "type": "REVOKED",
        "target": {"kind": "SUBJECT"},
        "occurred_at": "2025-11-22T10:10:00Z",
        "selector": {"client": "web"},
        "personal": [{"role": "SUBJECT", "user_id": "alice"}],
    })
    .to_string();
    let part = |n: u32| {
        json!({
            "native_id": "n-7", "act": {"id": "n-7", "part": n, "parts": 2}, "type": "USED",
            "token_id": format!("eu:idp:jti:x{n}"), "occurred_at": "2025-11-22T10:10:00Z",
        })
        .to_string()
    };
    let small = event(900, 1, "USED");
    for text in [&whole, &subject, &small, &policy_event()] {
        seeds.push(("intake_json", text.as_bytes().to_vec()));
        seeds.push(("intake_ndjson", format!("{text}\n\n{small}\n").into_bytes()));
    }
    let act = format!("[{},{},{small}]", part(0), part(1));
    seeds.push(("intake_json", act.into_bytes()));
    seeds.push(("intake_ndjson", format!("{}\n{}", part(1), part(0)).into_bytes()));
    seeds.push(("intake_json", signed_json().into_bytes()));
    seeds.push(("intake_avro", signed_frames()));
    seeds
}

/// A statement of source `idp` with one personal record, and the record.
fn statement_and_record() -> (Vec<u8>, Vec<u8>) {
    let record = PersonalRecord {
        salt: ledgerline_proof::hash::sha256(b"salt").0,
        user_id: Some("alice"),
        ip: Some("203.0.113.7"),
        user_agent: None,
        device: None,
        resource: None,
        attributes: Vec::new(),
    };
    let record = encode_object(Kind::Personal, &record);
    let target = ledgerline_proof::statement::Target {
        kind: ledgerline_proof::vocabulary::TargetKind::Token,
        id: "eu:idp:jti:signed",
    };
    let mut statement = Statement::new(
        [0x77; 16],
        "idp",
        target,
        ledgerline_proof::vocabulary::EventType::Issued,
        ledgerline_proof::hlc::Hlc::at(1_763_000_000_000_000_000),
    );
    let commitment = commitment(&record);
    statement.personal.push(Personal { role: PersonalRole::Subject, commitment });
    (encode_object(Kind::Statement, &statement), record)
}

fn signature_of(statement: &[u8]) -> Vec<u8> {
    StatementSigner::hmac(&PRODUCER_SECRET, DEPLOYMENT, PRODUCER_KEY).sign(statement)
}

fn signed_frames() -> Vec<u8> {
    let (statement, record) = statement_and_record();
    let value = signature_of(&statement);
    let mut out = Vec::new();
    for signed in [true, false] {
        let signature = entry::Signature { alg: 1, key_id: PRODUCER_KEY, value: &value };
        let submission = Submission {
            statement: &statement,
            personal: vec![&record],
            signature: signed.then_some(signature),
            attachments: Vec::new(),
        };
        put_frame(&mut out, &submission.encode()).expect("short");
    }
    out
}

fn signed_json() -> String {
    let (statement, record) = statement_and_record();
    let value = signature_of(&statement);
    json!({
        "statement": base64(&statement),
        "personal": [base64(&record)],
        "signature": {
            "alg": "HMAC-SHA256", "key_id": PRODUCER_KEY, "value": base64(&value),
        },
    })
    .to_string()
}

/// Standard base64, padded.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*group.get(at).unwrap_or(&0)));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= group.len() { char::from(letter) } else { '=' });
        }
    }
    out
}
