//! What the published vectors hold: a small ledger, records with every field set, and bytes that
//! are refused. The JSON view of a record is Apache Avro's reading of its body, not the kernel's.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use ledgerline_proof::block::{Block, Refusal};
use ledgerline_proof::chain::{ChainKey, ChainTip, chain_key, check_link};
use ledgerline_proof::control::{Control, ControlKind, Genesis};
use ledgerline_proof::cut::{Cut, CutHead};
use ledgerline_proof::entry::{Attestation, Entry, Handle, Signature, StreamPosition, TopicId};
use ledgerline_proof::hash::{Hash, empty_root, leaf_hash, node_hash, sha256};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{HEADER_BYTES, Kind, MARKER, Schema, encode_object};
use ledgerline_proof::signature::{Alg, SigningContext, StatementSigner};
use ledgerline_proof::statement::{Detail, Link, Personal, PolicyRef, Selector, Statement, Target};
use ledgerline_proof::submission::{Attachment, Submission, put_frame};
use ledgerline_proof::vocabulary::{
    EventType, HandleKind, PersonalRole, PolicyRole, Relation, Strength, TargetKind, TokenKind,
    Vantage,
};
use serde_json::{Value as Json, json};

use crate::strategies::{CASES, Draw, Draws};

const DEPLOYMENT: &str = "example-prod";
const TOKEN: &str = "eu-west-1:idp:jti:4f0c2d1e";
const HMAC_SECRET: [u8; 32] = [0x0b; 32];
const ED25519_SEED: [u8; 32] = [0x42; 32];
const NOON: i64 = 1_795_348_800_000_000_000;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Apache Avro's reading of a body: bytes and fixed as hex, long as decimal text, int as number.
pub fn view(kind: Kind, mut body: &[u8]) -> Json {
    let schema = apache_avro::Schema::parse_str(kind.text()).unwrap();
    let datum = GenericDatumReader::builder(&schema).build().unwrap();
    let value = datum.read_value(&mut body).unwrap();
    assert!(body.is_empty(), "bytes behind the record");
    json_view(value)
}

fn json_view(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Long(value) => value.to_string().into(),
        Value::String(value) => value.into(),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => hex(&bytes).into(),
        Value::Enum(_, symbol) => symbol.into(),
        Value::Union(_, inner) => json_view(*inner),
        Value::Array(items) => items.into_iter().map(json_view).collect(),
        Value::Record(fields) => {
            fields.into_iter().map(|(name, value)| (name, json_view(value))).collect()
        }
        other => panic!("{other:?} is in no schema of the ledger"),
    }
}

fn record(name: &str, kind: Kind, object: &[u8]) -> Json {
    let mut json = json!({
        "name": name,
        "kind": kind.name(),
        "object": hex(object),
        "value": view(kind, &object[HEADER_BYTES..]),
    });
    match kind {
        Kind::Personal => json["commitment"] = commitment(object).to_hex().into(),
        Kind::Entry | Kind::Block | Kind::Control => {
            json["event_hash"] = leaf_hash(object).to_hex().into();
        }
        Kind::Refusal => json["leaf_hash"] = leaf_hash(object).to_hex().into(),
        Kind::Statement | Kind::Submission => {}
    }
    json
}

fn token() -> Target<'static> {
    Target { kind: TargetKind::Token, id: TOKEN }
}

fn alice() -> PersonalRecord<'static> {
    PersonalRecord {
        salt: [0x5a; 32],
        user_id: Some("alice"),
        ip: Some("203.0.113.7"),
        user_agent: None,
        device: None,
        resource: Some("/accounts/1047"),
        attributes: vec![Detail { key: "department", value: "trésorerie" }],
    }
}

fn issued(personal: &[u8]) -> Statement<'static> {
    let at = Hlc::at(NOON);
    Statement {
        native_id: Some("log-7781"),
        vantage: Vantage::Issuer,
        issuer: Some("idp"),
        client_id: Some("web"),
        session_id: Some("s-17"),
        token_kind: Some(TokenKind::Access),
        scopes: vec!["read:finance", "read:hr"],
        issued_at: Some(NOON),
        expires_at: Some(NOON + 600_000_000_000),
        policies: vec![PolicyRef {
            id: "finance",
            version: "v2",
            digest: Some(sha256(b"permit")),
            role: PolicyRole::Grant,
            effect: Some("permit"),
        }],
        links: vec![Link {
            token: Some("eu-west-1:idp:jti:9b1e"),
            event: None,
            relation: Relation::RefreshedFrom,
            strength: Strength::Asserted,
            why: None,
        }],
        personal: vec![Personal { role: PersonalRole::Subject, commitment: commitment(personal) }],
        ..Statement::new([0x11; 16], "idp-eu", token(), EventType::Issued, at)
    }
}

fn used() -> Statement<'static> {
    let at = Hlc { nanos: NOON + 1, logical: 2 };
    Statement {
        count: Some(3),
        last_at: Some(NOON + 5_000_000_000),
        vantage: Vantage::Gateway,
        service: Some("gateway"),
        endpoint: Some("GET /v1/accounts/{id}"),
        status: Some(200),
        ..Statement::new([0x22; 16], "gateway-1", token(), EventType::Used, at)
    }
}

fn revoked_subject() -> Statement<'static> {
    let target = Target { kind: TargetKind::Subject, id: "" };
    let selector = Selector { issued_before: Some(NOON), client: Some("web"), audience: None };
    Statement {
        tenant: "acme",
        reason: Some("compromise"),
        selector: Some(selector),
        ..Statement::new([0x33; 16], "idp-eu", target, EventType::Revoked, Hlc::at(NOON + 7))
    }
}

fn expired() -> Statement<'static> {
    let at = Hlc::at(NOON + 600_000_000_000);
    Statement::new([0x44; 16], "ledger", token(), EventType::Expired, at)
}

fn signers() -> [StatementSigner; 2] {
    [
        StatementSigner::hmac(&HMAC_SECRET, DEPLOYMENT, "idp-2026"),
        StatementSigner::ed25519(&ED25519_SEED, DEPLOYMENT, "gateway-1-a"),
    ]
}

fn genesis() -> Control<'static> {
    Control {
        kind: ControlKind::Genesis,
        recorded_at: Hlc::at(NOON - 1),
        genesis: Some(Genesis {
            ledger_id: [0x99; 16],
            deployment: DEPLOYMENT,
            origin: "ledger.example/prod",
            log_key: "ledger.example/prod+00000000+AQ==",
            shard: 0,
            shard_count: 1,
            shard_hash: "sha256-chain-start",
            predecessor: None,
        }),
        schema: None,
        key_added: None,
        key_ended: None,
        recovered: None,
        blind: [0xb1; 16],
        cut: None,
    }
}

/// Makes an entry, and checks that it is the next of its chain.
fn entry(
    statement: &Statement<'_>,
    signer: Option<(&StatementSigner, Alg, &str)>,
    handles: &[Handle],
    genesis: &Hash,
    tip: Option<&ChainTip>,
) -> Vec<u8> {
    let bytes = encode_object(Kind::Statement, statement);
    let value = signer.map(|(signer, ..)| signer.sign(&bytes));
    let start = chain_key(statement, handles).unwrap().start(genesis);
    let blind = (signer.is_none() && statement.personal.is_empty()).then_some([0xb2; 16]);
    let entry = Entry {
        statement: &bytes,
        signature: signer.zip(value.as_deref()).map(|((_, alg, key_id), value)| Signature {
            alg: alg.number(),
            key_id,
            value,
        }),
        attested_by: Attestation {
            credential: (statement.source != "ledger").then_some("api-key-3"),
            stream: None,
        },
        handles: handles.to_vec(),
        sealed_digests: statement.personal.iter().map(|_| sha256(b"sealed")).collect(),
        recorded_at: Hlc::at(statement.occurred_at.nanos + 1000),
        sequence: tip.map_or(0, |tip| tip.sequence + 1).cast_signed(),
        prev_event_hash: tip.map_or(start, |tip| tip.event_hash),
        prev_index: tip.map(|tip| tip.index.cast_signed()),
        blind,
    };
    check_link(&entry, tip, || start).unwrap();
    encode_object(Kind::Entry, &entry)
}

/// The leaves of a small ledger, by index: genesis, four entries, and the block that closes them.
fn ledger() -> Vec<(&'static str, Kind, Vec<u8>)> {
    let personal = encode_object(Kind::Personal, &alice());
    let [hmac, ed25519] = &signers();
    let handles =
        [Handle { role: PersonalRole::Subject, kind: HandleKind::Person, id: [0x77; 16] }];
    let first = encode_object(Kind::Control, &genesis());
    let root = leaf_hash(&first);
    let tip =
        |index, sequence, bytes: &[u8]| ChainTip { index, sequence, event_hash: leaf_hash(bytes) };
    let hmac = Some((hmac, Alg::HmacSha256, "idp-2026"));
    let ed25519 = Some((ed25519, Alg::Ed25519, "gateway-1-a"));
    let issued = entry(&issued(&personal), hmac, &handles, &root, None);
    let used = entry(&used(), ed25519, &[], &root, Some(&tip(1, 0, &issued)));
    let revoked = entry(&revoked_subject(), None, &handles, &root, None);
    let expired = entry(&expired(), None, &[], &root, Some(&tip(2, 1, &used)));
    let hashes: Vec<Hash> =
        [&first, &issued, &used, &revoked, &expired].map(|leaf| leaf_hash(leaf)).to_vec();
    let left = [node_hash(&hashes[0], &hashes[1]), node_hash(&hashes[2], &hashes[3])];
    let block = Block {
        height: 0,
        previous: Hash::ZERO,
        first_index: 0,
        count: 5,
        tree_root: node_hash(&node_hash(&left[0], &left[1]), &hashes[4]),
        min_occurred_at: Some(Hlc::at(NOON)),
        max_occurred_at: Some(Hlc::at(NOON + 600_000_000_000)),
        first_recorded_at: Some(Hlc::at(NOON - 1)),
        last_recorded_at: Some(Hlc::at(NOON + 600_000_001_000)),
        sealed_at: Hlc::at(NOON + 600_000_002_000),
        refused_count: 0,
        refused_root: empty_root(),
        key_maps: Vec::new(),
    };
    vec![
        ("index 0: genesis", Kind::Control, first),
        ("index 1: ISSUED, HMAC, opens the token's chain", Kind::Entry, issued),
        ("index 2: USED, Ed25519, second of the token's chain", Kind::Entry, used),
        ("index 3: REVOKED for a subject, unsigned, chain of the handle", Kind::Entry, revoked),
        ("index 4: EXPIRED by the ledger itself, blinded", Kind::Entry, expired),
        ("index 5: block over indexes 0 to 4", Kind::Block, encode_object(Kind::Block, &block)),
    ]
}

fn submission<'a>(statement: &'a [u8], personal: &'a [u8], value: &'a [u8]) -> Submission<'a> {
    let data = b"permit";
    Submission {
        statement,
        personal: vec![personal],
        signature: Some(Signature { alg: 1, key_id: "idp-2026", value }),
        attachments: vec![Attachment { digest: sha256(data), media_type: "text/plain", data }],
    }
}

fn records() -> Vec<Json> {
    let personal = encode_object(Kind::Personal, &alice());
    let issued = encode_object(Kind::Statement, &issued(&personal));
    let mac = signers()[0].sign(&issued);
    let refusal = Refusal { received_at: NOON, credential: "", code: "bad_signature", id: [6; 16] };
    let refusal = encode_object(Kind::Refusal, &refusal);
    let submission = submission(&issued, &personal, &mac).encode();
    let mut records = Vec::new();
    for (name, statement) in [
        ("statement of index 1", &issued),
        ("statement of index 2", &encode_object(Kind::Statement, &used())),
        ("statement of index 3", &encode_object(Kind::Statement, &revoked_subject())),
        ("statement of index 4", &encode_object(Kind::Statement, &expired())),
    ] {
        records.push(record(name, Kind::Statement, statement));
        records.last_mut().unwrap()["valid"] = true.into();
    }
    records.push(record("personal record of index 1", Kind::Personal, &personal));
    records.extend(ledger().iter().map(|(name, kind, leaf)| record(name, *kind, leaf)));
    records.push(record("refusal of an unauthenticated call", Kind::Refusal, &refusal));
    records.push(record("submission of index 1", Kind::Submission, &submission));
    for case in CASES.iter().filter(|case| case.kind != Kind::Submission) {
        let object = object(case.kind, &[&(case.draw)(&mut Draws::full())]);
        records.push(record("every field set, values arbitrary", case.kind, &object));
        if case.kind == Kind::Statement {
            records.last_mut().unwrap()["valid"] = false.into();
        }
    }
    records
}

fn object(kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
    [&MARKER[..], &kind.fingerprint(), &parts.concat()].concat()
}

/// Statements that decode and break a rule.
fn invalid_statements() -> Vec<(&'static str, Statement<'static>, &'static str)> {
    let good = used();
    let target = |kind, id| Statement { target: Target { kind, id }, ..good.clone() };
    let detail = |keys: [&'static str; 2]| Statement {
        detail: keys.map(|key| Detail { key, value: "" }).to_vec(),
        ..good.clone()
    };
    let both = Link {
        token: None,
        event: None,
        relation: Relation::CausedBy,
        strength: Strength::Asserted,
        why: None,
    };
    vec![
        ("no target", target(TargetKind::Other, TOKEN), "missing_target"),
        ("a subject with an id", target(TargetKind::Subject, "x"), "missing_target"),
        ("target is no token id", target(TargetKind::Token, "4f0c"), "bad_field"),
        ("detail keys descend", detail(["b", "a"]), "bad_field"),
        ("detail key twice", detail(["a", "a"]), "bad_field"),
        ("a link to nothing", Statement { links: vec![both], ..good.clone() }, "bad_field"),
        ("source in capitals", Statement { source: "IDP", ..good.clone() }, "bad_field"),
        ("257 scopes", Statement { scopes: vec![""; 257], ..good.clone() }, "too_many_items"),
        ("control character", Statement { reason: Some("a\nb"), ..good.clone() }, "bad_field"),
        ("raw digest", Statement { raw_digest: Some(Hash::ZERO), ..good }, "bad_field"),
    ]
}

/// What version 1 can say, in version 2.
fn without_topic_id() -> Vec<u8> {
    let object = encode_object(Kind::Entry, &from_stream(Some(TopicId([7; 16]))));
    let named = object.windows(17).position(|window| window[0] == 2 && window[1..] == [7; 16]);
    let at = named.unwrap();
    [&object[..at], &[0], &object[at + 17..]].concat()
}

/// The GENESIS of version 1, in version 2.
fn without_cut() -> Vec<u8> {
    let fingerprint = Kind::Control.schema_text_of(2).unwrap().fingerprint;
    let genesis = encode_object(Kind::Control, &genesis());
    [&MARKER[..], &fingerprint, &genesis[HEADER_BYTES..], &[0]].concat()
}

fn refused() -> Vec<Json> {
    let salt = [0x5a; 32];
    let rest = [0u8; 5];
    let attributes = |list: &[u8]| object(Kind::Personal, &[&salt, &[0; 5], list]);
    let user = |user: &[u8]| object(Kind::Personal, &[&salt, user, &rest]);
    let refusal = |time: &[u8]| object(Kind::Refusal, &[time, &[0, 0], &[6; 16]]);
    let head = |kind: u8, logical: &[u8]| {
        object(Kind::Control, &[&[kind, 2], logical, &[0; 5], &[0xb1; 16]])
    };
    let recovered = |lost: u8| {
        let part = [12, 2, 0, 0, 0, 0, 0, 2, 0, 0, 0, lost, 0];
        object(Kind::Control, &[&part, &[0xb1; 16]])
    };
    let personal = encode_object(Kind::Personal, &alice());
    let with_header = |header: &[u8]| [header, &personal[header.len()..]].concat();
    let (p, r, c) = (Kind::Personal, Kind::Refusal, Kind::Control);
    let mut list = vec![
        ("empty", p, Vec::new(), "truncated"),
        ("cut header", p, personal[..9].to_vec(), "truncated"),
        ("cut body", p, personal[..personal.len() - 1].to_vec(), "truncated"),
        ("trailing byte", p, [&personal[..], &[0]].concat(), "non_canonical"),
        ("no marker", p, with_header(&[0xc3, 2]), "unknown_schema"),
        ("unknown fingerprint", p, with_header(&[0xc3, 1, 0]), "unknown_schema"),
        ("overlong length", p, user(&[2, 0x8a, 0, b'a', b'l', b'i', b'c', b'e']), "non_canonical"),
        ("negative length", p, user(&[2, 1]), "non_canonical"),
        ("length behind the end", p, user(&[2, 0x7e]), "truncated"),
        ("not UTF-8", p, user(&[2, 2, 0xff]), "non_canonical"),
        ("surrogate in UTF-8", p, user(&[2, 6, 0xed, 0xa0, 0x80]), "non_canonical"),
        ("third union branch", p, user(&[4]), "non_canonical"),
        ("overlong union branch", p, user(&[0x80, 0]), "non_canonical"),
        ("split array", p, attributes(&[2, 2, b'a', 0, 2, 2, b'b', 0, 0]), "non_canonical"),
        ("sized array block", p, attributes(&[1, 6, 2, b'a', 0, 0]), "non_canonical"),
        ("array without end", p, attributes(&[2, 2, b'a', 0]), "truncated"),
        ("overlong end of array", p, attributes(&[0x80, 0]), "non_canonical"),
        ("attributes descend", p, attributes(&[4, 2, b'b', 0, 2, b'a', 0, 0]), "bad_field"),
        ("overlong long", r, refusal(&[0x82, 0]), "non_canonical"),
        ("long above 64 bits", r, refusal(&[&[0xff; 9][..], &[2]].concat()), "non_canonical"),
        ("long of 11 bytes", r, refusal(&[&[0xff; 10][..], &[1]].concat()), "non_canonical"),
        ("unknown enum position", c, head(14, &[0]), "out_of_range"),
        ("negative enum position", c, head(1, &[0]), "out_of_range"),
        ("int above 32 bits", c, head(2, &[0x80, 0x80, 0x80, 0x80, 0x10]), "out_of_range"),
        ("boolean above one", c, recovered(2), "non_canonical"),
        ("version 2 without a topic id", Kind::Entry, without_topic_id(), "non_canonical"),
        ("a cut of no ledger", c, cut(&[]), "non_canonical"),
        ("origins of a cut descend", c, cut(&[("b", 7), ("a", 7)]), "non_canonical"),
        ("an origin of a cut twice", c, cut(&[("a", 7), ("a", 8)]), "non_canonical"),
        ("a cut at size 0", c, cut(&[("a", 0)]), "out_of_range"),
        ("a cut at size -1", c, cut(&[("a", -1)]), "out_of_range"),
        ("an empty origin in a cut", c, cut(&[("", 7)]), "out_of_range"),
        ("an origin with a space in a cut", c, cut(&[("a b", 7)]), "out_of_range"),
        ("version 2 without a cut", c, without_cut(), "non_canonical"),
        (
            "a statement as a leaf",
            Kind::Entry,
            encode_object(Kind::Statement, &used()),
            "unknown_schema",
        ),
    ];
    for (name, statement, error) in invalid_statements() {
        list.push((name, Kind::Statement, encode_object(Kind::Statement, &statement), error));
    }
    let statement = encode_object(Kind::Statement, &used());
    let mut wrong = submission(&statement, &personal, &[1; 32]);
    wrong.attachments[0].digest = Hash::ZERO;
    list.push((
        "attachment of another digest",
        Kind::Submission,
        wrong.encode(),
        "attachment_mismatch",
    ));
    let each = list.into_iter().map(|(name, kind, object, error)| {
        json!({"name": name, "kind": kind.name(), "object": hex(&object), "error": error})
    });
    each.collect()
}

fn chains() -> Vec<Json> {
    let genesis_hash = leaf_hash(&encode_object(Kind::Control, &genesis()));
    let keys = [
        ChainKey { kind: TargetKind::Token, tenant: "", id: TOKEN.as_bytes() },
        ChainKey { kind: TargetKind::Token, tenant: "acme", id: TOKEN.as_bytes() },
        ChainKey { kind: TargetKind::Subject, tenant: "acme", id: &[0x77; 16] },
        ChainKey { kind: TargetKind::Policy, tenant: "", id: b"finance" },
        ChainKey { kind: TargetKind::Ledger, tenant: "", id: b"ledger" },
    ];
    let each = keys.iter().flat_map(|key| {
        [genesis_hash, Hash::ZERO].map(|genesis| {
            json!({
                "kind": key.kind.symbol(), "tenant": key.tenant, "id": hex(key.id),
                "genesis_hash": genesis.to_hex(), "start": key.start(&genesis).to_hex(),
            })
        })
    });
    each.collect()
}

fn signatures() -> Vec<Json> {
    let statement = encode_object(Kind::Statement, &used());
    let mut other = statement.clone();
    *other.last_mut().unwrap() ^= 1;
    let public: [u8; 32] = ed25519_public();
    let mut cases = Vec::new();
    for (alg, signer) in [Alg::HmacSha256, Alg::Ed25519].into_iter().zip(signers()) {
        let (key_id, secret) = match alg {
            Alg::HmacSha256 => ("idp-2026", HMAC_SECRET),
            Alg::Ed25519 => ("gateway-1-a", ED25519_SEED),
        };
        let good = signer.sign(&statement);
        let mut flipped = good.clone();
        flipped[0] ^= 1;
        let mut add = |name: &str, deployment: &str, key_id: &str, bytes: &[u8], value: &[u8]| {
            let message = SigningContext::new(alg, deployment, key_id).message(bytes);
            let mut case = json!({
                "name": name, "alg": alg.name(), "deployment": deployment, "key_id": key_id,
                "secret": hex(&secret), "statement": hex(bytes), "message": hex(&message),
                "value": hex(value), "valid": name == "good",
            });
            if alg == Alg::Ed25519 {
                case["public"] = hex(&public).into();
            }
            cases.push(case);
        };
        add("good", DEPLOYMENT, key_id, &statement, &good);
        add("another deployment", "example-test", key_id, &statement, &good);
        add("another key id", DEPLOYMENT, "other", &statement, &good);
        add("another statement", DEPLOYMENT, key_id, &other, &good);
        add("flipped bit", DEPLOYMENT, key_id, &statement, &flipped);
        add("cut short", DEPLOYMENT, key_id, &statement, &good[..good.len() - 1]);
    }
    cases
}

fn ed25519_public() -> [u8; 32] {
    let key = ed25519_zebra::SigningKey::from(ED25519_SEED);
    ed25519_zebra::VerificationKey::from(&key).into()
}

fn batches() -> Vec<Json> {
    let personal = encode_object(Kind::Personal, &alice());
    let statement = encode_object(Kind::Statement, &issued(&personal));
    let mac = signers()[0].sign(&statement);
    let good = submission(&statement, &personal, &mac).encode();
    let plain = Submission {
        statement: &statement,
        personal: Vec::new(),
        signature: None,
        attachments: Vec::new(),
    };
    let frames = [good, plain.encode()];
    let mut body = Vec::new();
    frames.iter().for_each(|frame| put_frame(&mut body, frame).unwrap());
    let case = |name: &str, body: &[u8], frames: &[Vec<u8>], error: Option<&str>| {
        let frames: Vec<String> = frames.iter().map(|frame| hex(frame)).collect();
        json!({"name": name, "body": hex(body), "frames": frames, "error": error})
    };
    vec![
        case("two submissions", &body, &frames, None),
        case("no submission", &[], &[], None),
        case("cut content", &body[..body.len() - 1], &frames[..1], Some("truncated")),
        case("trailing bytes", &[&body[..], &[0; 3]].concat(), &frames, Some("truncated")),
        case("empty frame", &[&body[..], &[0; 4]].concat(), &frames, Some("bad_frame")),
        case("frame of 4 GiB", &[0xff; 8], &[], Some("bad_frame")),
    ]
}

/// `vectors/entries.json`.
pub fn entries() -> Json {
    json!({
        "about": [
            "Bytes are lowercase hex. In `value`, bytes and fixed are hex, long is decimal text.",
            "records: `object` decodes under the schema of `kind` to `value`, and `value` encodes",
            "to `object`.",
            "event_hash, leaf_hash: SHA-256(00 || object). commitment: docs/reference/format.md.",
            "refused: reading `object` as `kind` fails with the code `error`.",
            "chains: `start` is the prev_event_hash of the first entry. `id` is hex of the bytes.",
            "signatures: `secret` is the HMAC secret or the Ed25519 seed; `message` is signed.",
            "batches: a body of application/vnd.ledgerline.batch, its frames up to the error.",
        ],
        "records": records(),
        "refused": refused(),
        "chains": chains(),
        "signatures": signatures(),
        "batches": batches(),
    })
}

/// An entry that was read from a stream.
fn from_stream(topic_id: Option<TopicId>) -> Entry<'static> {
    let stream = StreamPosition { topic: "token-events", partition: 3, offset: 41, topic_id };
    let mut entry: Entry<'static> = Draw::draw(&mut Draws::full());
    entry.attested_by.stream = Some(stream);
    entry
}

/// A cut of these heads, well formed or not.
fn cut(heads: &[(&'static str, i64)]) -> Vec<u8> {
    let heads = heads.iter().map(|&(origin, size)| {
        let root = sha256(format!("{origin} {size}").as_bytes());
        CutHead { origin, size, root }
    });
    let cut = Cut { shard_list_version: 2, heads: heads.collect() };
    let control = Control {
        kind: ControlKind::Cut,
        recorded_at: Hlc::at(NOON),
        genesis: None,
        cut: Some(cut),
        ..genesis()
    };
    encode_object(Kind::Control, &control)
}

/// A cut as it may be.
fn good_cut() -> Vec<u8> {
    cut(&[("ledger.example/prod/0", 7), ("ledger.example/prod/1", 4711)])
}

/// Version 2 of a schema, made by adding text to the published version 1.
fn second_version(kind: Kind, added: &Json, symbol_after: Option<&str>) -> String {
    let mut json: Json = serde_json::from_str(kind.text()).unwrap();
    json["fields"].as_array_mut().unwrap().push(added.clone());
    let text = json.to_string();
    symbol_after.map_or(text.clone(), |last| {
        let grown = text.replace(&format!("\"{last}\"]"), &format!("\"{last}\",\"NEW_SYMBOL\"]"));
        assert_ne!(grown, text, "{last} is the last symbol of no enum");
        grown
    })
}

fn version(kind: Kind, added: &Json, tail: &[u8], body: &[u8], last: Option<&str>) -> Json {
    read_as_v1(kind, &second_version(kind, added, last), &[body, tail].concat())
}

/// An object of a later version that the kernel pins.
fn pinned_later(kind: Kind, object: &[u8]) -> Json {
    let text = kind.schema_text_of(2).unwrap();
    assert_eq!(object[2..HEADER_BYTES], text.fingerprint, "it is of version 2");
    read_as_v1(kind, text.text, &object[HEADER_BYTES..])
}

fn read_as_v1(kind: Kind, text: &str, newer: &[u8]) -> Json {
    let schema = Schema::parse(text).unwrap();
    let read = ledgerline_proof::schema::resolve(&schema, kind.schema(), newer).unwrap();
    json!({
        "name": kind.name(),
        "text": text,
        "sha256": sha256(text.as_bytes()).to_hex(),
        "fingerprint": hex(&schema.fingerprint()),
        "object": hex(&[&MARKER[..], &schema.fingerprint(), newer].concat()),
        "body_read_as_v1": hex(&read),
        "value_read_as_v1": view(kind, &read),
    })
}

/// `vectors/schemas.json`.
pub fn schemas() -> Json {
    let versions =
        |kind: Kind| (1..).map_while(move |version| Some((version, kind.schema_text_of(version)?)));
    // Later versions stand behind all first ones, so that what was published stays where it was.
    let mut pins: Vec<_> = Kind::ALL.into_iter().flat_map(versions).collect();
    pins.sort_by_key(|(version, _)| *version);
    let pinned: Vec<Json> = pins
        .into_iter()
        .map(|(version, pin)| {
            let short = pin.name.rsplit('.').next().unwrap().to_lowercase();
            json!({
                "name": pin.name,
                "file": format!("schemas/{short}.v{version}.avsc"),
                "sha256": pin.sha256.to_hex(),
                "fingerprint": hex(&pin.fingerprint),
                "canonical_form": Schema::parse(pin.text).unwrap().canonical_form(),
            })
        })
        .collect();
    let risk = json!({"name": "risk", "type": ["null", "long"], "default": null});
    let used = encode_object(Kind::Statement, &used());
    // The new symbol of the control kinds: position 7, one byte in front of the body.
    let mut control = encode_object(Kind::Control, &genesis())[HEADER_BYTES..].to_vec();
    control[0] = 14;
    let streamed = encode_object(Kind::Entry, &from_stream(Some(TopicId([7; 16]))));
    json!({
        "about": [
            "pinned: the schema files, their SHA-256, parsing canonical form and CRC-64-AVRO,",
            "little-endian as in single-object encoding.",
            "versions: `object` is written under the later schema `text`; read as version 1 its",
            "body is `body_read_as_v1`: unknown fields are dropped, unknown symbols become OTHER.",
        ],
        "pinned": pinned,
        "versions": [
            version(Kind::Statement, &risk, &[2, 0x9a, 5], &used[HEADER_BYTES..], None),
            version(Kind::Control, &risk, &[0], &control, Some("RECOVERED")),
            pinned_later(Kind::Entry, &streamed),
            pinned_later(Kind::Control, &good_cut()),
        ],
    })
}
