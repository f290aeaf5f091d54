//! The prover end to end over the simulated disk: what it bundles, the kernel's check proves from
//! the log key alone; and no bit of a bundle can change.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::bundle::{Bundle, Query};
use ledgerline_proof::check::{
    CheckReport, ClaimKind, SignatureState, Status, Trust, Verdict, check,
};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::signature::{Alg, StatementSigner};
use ledgerline_proof::statement::{Statement, Target};
use ledgerline_proof::vocabulary::{EventType, TargetKind};
use ledgerline_prover::{
    BundleRequest, EventRequest, ProveError, QuestionRequest, event_bundle, event_bundle_at,
    question_bundle, token_bundle,
};
use ledgerline_sim::{
    SECRET, START_NANOS, TestLedger, TestWorld, credential, ed25519_producer, event_id,
    hmac_producer,
};
use serde_json::{Value, json};

const ED25519_SEED: [u8; 32] = [5; 32];

struct Sim {
    ledger: TestLedger,
}

/// A new ledger with one credential, an HMAC and an Ed25519 producer.
fn new_ledger(seed: u64) -> Sim {
    let mut ledger = TestWorld::new(seed).open().unwrap();
    ledger.add_key(credential("k1", "idp"));
    ledger.add_key(hmac_producer("hm1", "idp"));
    ledger.add_key(ed25519_producer("ed1", "idp", &ED25519_SEED));
    Sim { ledger }
}

impl Sim {
    fn seal(&mut self) {
        self.ledger.seal();
    }

    /// Submits one JSON event; its index.
    fn submit(&mut self, event: Value) -> u64 {
        self.ledger.record("k1", &[event])[0].index.unwrap()
    }

    fn event(&mut self, n: u32, token: &str, kind: &str, more: Value) -> u64 {
        let mut event = json!({
            "event_id": event_id_text(n), "type": kind, "token_id": token,
            "occurred_at": format!("2025-11-13T02:13:20.{n:09}Z"),
        });
        let Value::Object(more) = more else { panic!("members of an event") };
        event.as_object_mut().unwrap().extend(more);
        self.submit(event)
    }

    fn signed(&mut self, n: u32, token: &str, event_type: EventType, alg: Alg) -> u64 {
        let target = Target { kind: TargetKind::Token, id: token };
        let at = Hlc::at(START_NANOS + i64::from(n));
        let statement = Statement::new(event_id(n), "idp", target, event_type, at);
        let bytes = encode_object(Kind::Statement, &statement);
        let deployment = self.ledger.rest.rooms.deployment.to_string();
        let (key_id, signer) = match alg {
            Alg::HmacSha256 => ("hm1", StatementSigner::hmac(&SECRET, &deployment, "hm1")),
            Alg::Ed25519 => ("ed1", StatementSigner::ed25519(&ED25519_SEED, &deployment, "ed1")),
        };
        self.submit(json!({
            "statement": STANDARD.encode(&bytes),
            "signature": {
                "alg": alg.name(), "key_id": key_id, "value": STANDARD.encode(signer.sign(&bytes)),
            },
        }))
    }

    fn prove(&self, token: &str, disclose: bool) -> Result<Bundle, ProveError> {
        self.prove_since(token, disclose, None)
    }

    fn prove_since(
        &self,
        token: &str,
        disclose: bool,
        previous_size: Option<u64>,
    ) -> Result<Bundle, ProveError> {
        let (tenant, token_id) = (String::new(), token.to_owned());
        let request =
            BundleRequest { tenant, token_id, others: Vec::new(), disclose, previous_size };
        token_bundle(&self.ledger.rest.rooms, &self.ledger.rest.terms, &request)
    }

    fn check(&self, bundle: &[u8], previous: Option<&str>) -> CheckReport {
        let keys = [self.ledger.log_key()];
        let hmac_secrets = BTreeMap::from([("hm1".to_owned(), SECRET.to_vec())]);
        let previous = previous.map(str::as_bytes);
        let trust = Trust { log_keys: &keys, hmac_secrets: &hmac_secrets, previous };
        check(bundle, &trust).unwrap()
    }

    /// Checks that a bundle is proven, whole, through its file.
    fn assert_proven(&self, bundle: &Bundle) -> CheckReport {
        let report = self.check(&bundle.to_json(), None);
        assert_eq!(report.verdict, Verdict::Proven, "{report:#?}");
        report
    }
}

fn event_id_text(n: u32) -> String {
    uuid::Uuid::from_bytes(event_id(n)).to_string()
}

fn person() -> Value {
    let personal = json!([{ "role": "SUBJECT", "user_id": "alice", "ip": "203.0.113.7" }]);
    json!({ "session_id": "s-1", "client_id": "web", "personal": personal })
}

fn policy() -> Value {
    let digest = "sha256:486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7";
    json!({
        "policies": [{ "id": "finance", "version": "v2", "role": "GRANT", "digest": digest }],
        "attachments": [{ "media_type": "text/plain", "data": "d29ybGQ=", "digest": digest }],
    })
}

/// A ledger with several blocks, and tokens of every sort.
fn busy_ledger() -> Sim {
    let mut sim = new_ledger(40);
    for n in 0..30 {
        let token = format!("eu:idp:jti:t{}", n % 3);
        let kind = if n < 3 { "ISSUED" } else { "USED" };
        sim.event(n, &token, kind, if n < 3 { person() } else { json!({}) });
        if n % 7 == 6 {
            sim.seal();
        }
    }
    for (n, alg) in [(100, Alg::HmacSha256), (110, Alg::Ed25519)] {
        let token = format!("eu:idp:jti:{}", alg.name().to_lowercase());
        sim.signed(n, &token, EventType::Issued, alg);
        sim.signed(n + 1, &token, EventType::Used, alg);
    }
    sim.event(120, "eu:idp:jti:policy", "ISSUED", policy());
    let ended = AdminAct::EndKey { key_id: "ed1".into(), compromised: false, reason: None };
    sim.ledger.administer(&ended);
    sim.seal();
    sim
}

#[test]
fn a_token_of_every_sort_is_proven() {
    let sim = busy_ledger();
    for (token, entries, credentials) in [
        ("eu:idp:jti:t0", 10, 10),
        ("eu:idp:jti:t2", 10, 10),
        ("eu:idp:jti:hmac-sha256", 2, 0),
        ("eu:idp:jti:ed25519", 2, 0),
        ("eu:idp:jti:policy", 1, 1),
    ] {
        let bundle = sim.prove(token, false).unwrap();
        let report = sim.assert_proven(&bundle);
        assert_eq!(report.entries.len(), entries, "{token}");
        let only = |state: &SignatureState| matches!(state, SignatureState::CredentialOnly { .. });
        let unsigned = report.entries.iter().filter(|entry| only(&entry.signature)).count();
        assert_eq!(unsigned, credentials, "{token}");
        assert_eq!(report.lifecycle.unwrap().known, "ACTIVE", "{token}");
    }
    let report = sim.assert_proven(&sim.prove("eu:idp:jti:policy", false).unwrap());
    assert_eq!(report.attachments.len(), 1);
    let report = sim.assert_proven(&sim.prove("eu:idp:jti:ed25519", false).unwrap());
    let proven = |state: &SignatureState| matches!(state, SignatureState::Proven { .. });
    assert!(report.entries.iter().all(|entry| proven(&entry.signature)), "{report:#?}");
}

#[test]
fn personal_records_are_disclosed_until_they_are_erased() {
    let mut sim = busy_ledger();
    let disclosed = sim.prove("eu:idp:jti:t1", true).unwrap();
    let report = sim.assert_proven(&disclosed);
    assert_eq!(report.personal.len(), 1);
    assert_eq!(report.personal[0].fields, ["user_id", "ip"]);
    assert!(sim.prove("eu:idp:jti:t1", false).unwrap().personal.is_empty());
    sim.ledger.erase("alice");
    sim.seal();
    let erased = sim.prove("eu:idp:jti:t1", true).unwrap();
    assert!(erased.personal.is_empty());
    let report = sim.assert_proven(&erased);
    assert!(report.not_proven.iter().any(|limit| limit.contains("erased")), "{report:#?}");
    // What was disclosed before still proves: erasing changes no entry.
    sim.assert_proven(&disclosed);
}

#[test]
fn a_wider_revocation_is_shown() {
    let mut sim = busy_ledger();
    sim.submit(json!({
        "event_id": event_id_text(255), "type": "REVOKED",
        "target": { "kind": "SESSION", "id": "eu:idp:s-1" },
        "occurred_at": "2025-11-13T02:13:20.000000500Z",
    }));
    sim.seal();
    let bundle = sim.prove("eu:idp:jti:t0", false).unwrap();
    let life = sim.assert_proven(&bundle).lifecycle.unwrap();
    assert_eq!((life.known, life.active, life.covered_by.len()), ("REVOKED", false, 1));
}

#[test]
fn one_event_is_proven() {
    let sim = busy_ledger();
    let request = EventRequest {
        tenant: String::new(),
        source: "idp".into(),
        event_id: event_id(111),
        disclose: false,
        previous_size: None,
    };
    let bundle = event_bundle(&sim.ledger.rest.rooms, &sim.ledger.rest.terms, &request).unwrap();
    let report = sim.assert_proven(&bundle);
    assert_eq!(report.entries.len(), 1);
    assert_eq!(report.status(ClaimKind::Chain), None);
    let index = report.entries[0].index.0;
    let same = event_bundle_at(&sim.ledger.rest.rooms, &sim.ledger.rest.terms, index, false, None)
        .unwrap();
    assert_eq!(same, bundle);
    let unknown = EventRequest { event_id: [0; 16], ..request };
    let refused = event_bundle(&sim.ledger.rest.rooms, &sim.ledger.rest.terms, &unknown);
    assert!(matches!(refused, Err(ProveError::NotFound)), "{refused:?}");
}

#[test]
fn what_no_block_covers_is_said() {
    let mut sim = busy_ledger();
    let before = sim.ledger.published();
    sim.event(200, "eu:idp:jti:t0", "USED", json!({}));
    sim.event(201, "eu:idp:jti:new", "ISSUED", json!({}));
    let bundle = sim.prove("eu:idp:jti:t0", false).unwrap();
    assert_eq!(bundle.coverage.beyond.0, 1);
    assert_eq!(bundle.as_of.size.0, before.block_size);
    assert_eq!(sim.assert_proven(&bundle).entries.len(), 10);
    let refused = sim.prove("eu:idp:jti:new", false);
    assert!(matches!(refused, Err(ProveError::NotYetSealed { .. })), "{refused:?}");
    let refused = sim.prove("eu:idp:jti:none", false);
    assert!(matches!(refused, Err(ProveError::NotFound)), "{refused:?}");
    sim.seal();
    assert_eq!(sim.assert_proven(&sim.prove("eu:idp:jti:t0", false).unwrap()).entries.len(), 11);
    sim.assert_proven(&sim.prove("eu:idp:jti:new", false).unwrap());
    // And the newer tree grew out of the older one.
    let since = sim.prove_since("eu:idp:jti:t0", false, Some(before.block_size)).unwrap();
    let report = sim.check(&since.to_json(), Some(&before.block_checkpoint));
    assert_eq!(report.verdict, Verdict::Proven, "{report:#?}");
    assert_eq!(report.status(ClaimKind::Consistency), Some(&Status::Proven));
    let refused = sim.prove_since("eu:idp:jti:t0", false, Some(10_000));
    assert!(matches!(refused, Err(ProveError::PreviousBeyond { .. })), "{refused:?}");
}

/// Every string in a JSON value that is base64 of something, by its path.
fn base64_fields(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => {
            let named = ["leaf", "record", "data", "root"].iter().any(|name| at.ends_with(name));
            if named || at.contains("/path/") {
                found.push(at.to_owned());
            }
        }
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                base64_fields(item, &format!("{at}/{position}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                base64_fields(field, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn no_base64_field_can_change() {
    let sim = busy_ledger();
    let mut flips = 0;
    for token in ["eu:idp:jti:t1", "eu:idp:jti:ed25519", "eu:idp:jti:policy"] {
        let bundle = sim.prove_since(token, true, Some(9)).unwrap();
        sim.assert_proven(&bundle);
        let straight: Value = serde_json::from_slice(&bundle.to_json()).unwrap();
        let mut fields = Vec::new();
        base64_fields(&straight, "", &mut fields);
        for field in fields {
            let mut bent = straight.clone();
            let Value::String(text) = bent.pointer_mut(&field).unwrap() else {
                panic!("{field} is a string")
            };
            let mut bytes = STANDARD.decode(&*text).unwrap();
            let at = flips % bytes.len();
            bytes[at] ^= 1 << (flips % 8);
            *text = STANDARD.encode(&bytes);
            let report = sim.check(&serde_json::to_vec(&bent).unwrap(), None);
            assert_eq!(report.verdict, Verdict::Failed, "{token} {field}");
            flips += 1;
        }
    }
    assert!(flips > 200, "{flips}");
}

#[test]
fn the_query_cannot_be_exchanged() {
    let sim = busy_ledger();
    let mut bundle = sim.prove("eu:idp:jti:t0", false).unwrap();
    bundle.query = Query::Token { tenant: String::new(), id: "eu:idp:jti:t1".to_owned() };
    let report = sim.check(&bundle.to_json(), None);
    assert!(matches!(report.status(ClaimKind::Query), Some(Status::Failed(_))), "{report:#?}");
}

fn question(tokens: &[&[&str]], entries: &[u64]) -> QuestionRequest {
    QuestionRequest {
        // Tokens of no relation: a question that is about none of them.
        name: "triage".into(),
        about: "3 tokens".into(),
        tokens: tokens.iter().map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()).collect(),
        entries: entries.iter().copied().collect(),
        most: usize::MAX,
        ..QuestionRequest::default()
    }
}

#[test]
fn an_answer_is_proven_with_the_lives_of_its_tokens() {
    let mut sim = busy_ledger();
    let (first, second) = ("eu:idp:jti:n1", "eu:idp:jti:n2");
    let named = json!({ "also_known_as": [second], "session_id": "s-7" });
    sim.event(200, first, "ISSUED", named);
    let used = sim.event(201, second, "USED", json!({}));
    let revoked = sim.submit(json!({
        "event_id": event_id_text(202), "type": "REVOKED",
        "target": { "kind": "SESSION", "id": "s-7" }, "occurred_at": "2025-11-13T02:13:20Z",
    }));
    sim.seal();
    let prove = |request| question_bundle(&sim.ledger.rest.rooms, &sim.ledger.rest.terms, request);
    let asked: [&[&str]; 3] = [&["eu:idp:jti:t0"], &[first, second], &["eu:idp:jti:none"]];
    let bundle = prove(question(&asked, &[used, revoked])).unwrap();
    let report = sim.assert_proven(&bundle);
    let lives: Vec<_> =
        report.lives.iter().map(|life| (life.ids.len(), life.states.known)).collect();
    assert_eq!(lives, [(1, "ACTIVE"), (2, "REVOKED")], "nothing is recorded about the third");
    assert_eq!(report.lifecycle, None);
    // Ids that no entry calls one token are not taken for one.
    let bundle = prove(question(&[&["eu:idp:jti:t0", "eu:idp:jti:t1"]], &[])).unwrap();
    let report = sim.check(&bundle.to_json(), None);
    assert_eq!(report.verdict, Verdict::Incomplete, "{report:#?}");
    assert_eq!(report.lives, []);
    // A chain with a hole, and an entry of another tenant's question, are noticed.
    let mut holed = prove(question(&[&["eu:idp:jti:t0"]], &[])).unwrap();
    let entries = |bundle: &Bundle| sim.check(&bundle.to_json(), None).entries;
    let hole = entries(&holed)[4].index;
    holed.leaves.retain(|leaf| leaf.index != hole);
    assert_eq!(sim.check(&holed.to_json(), None).verdict, Verdict::Failed);
    let mut foreign = prove(question(&[], &[used])).unwrap();
    sim.assert_proven(&foreign);
    if let Query::Question { tenant, .. } = &mut foreign.query {
        *tenant = "other".into();
    }
    assert_eq!(sim.check(&foreign.to_json(), None).verdict, Verdict::Failed);
}

#[test]
fn an_answer_beyond_the_bound_is_refused_with_the_bound() {
    let sim = busy_ledger();
    let prove = |most, tokens: &[&[&str]], entries: &[u64]| {
        let request = QuestionRequest { most, ..question(tokens, entries) };
        question_bundle(&sim.ledger.rest.rooms, &sim.ledger.rest.terms, request)
    };
    let chain: &[&[&str]] = &[&["eu:idp:jti:t0"]];
    sim.assert_proven(&prove(10, chain, &[]).unwrap());
    for (most, tokens, entries) in
        [(9, chain, &[][..]), (2, chain, &[][..]), (1, &[][..], &[10, 11, 12][..])]
    {
        let refused = prove(most, tokens, entries).unwrap_err();
        assert!(matches!(refused, ProveError::TooLarge(_)), "{refused}");
        assert!(refused.to_string().contains(&format!("limit of {most}")), "{refused}");
    }
    let size = sim.ledger.published().block_size;
    let early = prove(10, &[], &[size]).unwrap_err();
    assert!(matches!(early, ProveError::NotYetSealed { .. }), "{early}");
}
