//! How fast a node takes signed batches, in process: parse, verify, seal, sequence, write, sync,
//! index.
//!
//! `cargo run --release -p ledgerline-sim --example ingest_bench -- [events] [hmac|ed25519|none]
//! [personal]`

#![allow(clippy::print_stdout, reason = "a bench prints its table")]

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use ledgerline_ledger::intake::BodyForm;
use ledgerline_ledger::opening::World;
use ledgerline_ledger::planner::NewKey;
use ledgerline_node::{Node, NodeConfig};
use ledgerline_proof::entry::Signature;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::signature::StatementSigner;
use ledgerline_proof::statement::{Detail, Link, Personal, PolicyRef, Statement, Target};
use ledgerline_proof::submission::{Submission, put_frame};
use ledgerline_proof::vocabulary::{
    EventType, PersonalRole, PolicyRole, Relation, Strength, TargetKind, TokenKind,
};
use ledgerline_vault::keys::KeyRing;
use ledgerline_world::clock::SystemClock;
use ledgerline_world::disk::RealDisk;
use ledgerline_world::entropy::SystemEntropy;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 500;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let events: usize = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(500_000);
    let signing = arguments.next().unwrap_or_else(|| "hmac".into());
    let personal = arguments.next().is_some();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let disk = |name: &str| Arc::new(RealDisk::new(&dir.path().join(name)).expect("a folder"));
    let ring = KeyRing::open_or_create(disk("keys").as_ref(), &SystemEntropy).expect("keys");
    let world = World {
        disk: disk("data"),
        head_disk: disk("head"),
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SystemEntropy),
        keys: Arc::new(ring),
    };
    let node = Node::open(world, NodeConfig::default()).expect("a node");
    let admin = node.bootstrap_key().expect("a key");
    let caller = node.authenticate(&admin.secret.expect("shown once")).expect("a caller");
    let signer = signer(&node, &signing);
    let bodies: Vec<Vec<u8>> =
        (0..events / BATCH).map(|n| batch(n * BATCH, signer.as_ref(), personal)).collect();
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    println!("{} batches, {} B an event on the wire", bodies.len(), bytes / events);
    let cpu = cpu_seconds();
    let begun = Instant::now();
    let (sender, receiver) = mpsc::channel();
    let mut outstanding = 0;
    for body in &bodies {
        while outstanding >= 16 {
            receiver.recv().expect("an answer");
            outstanding -= 1;
        }
        let sender = sender.clone();
        let reply = Box::new(move |answer: ledgerline_ledger::intake::SubmitAnswer| {
            assert!(answer.events.iter().all(|one| one.error.is_none()), "{:?}", answer.events[0]);
            sender.send(()).expect("the bench waits");
        });
        node.submit(&caller, BodyForm::AvroBatch, body, reply).expect("accepted");
        outstanding += 1;
    }
    for _ in 0..outstanding {
        receiver.recv().expect("an answer");
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds() - cpu;
    println!(
        "{signing}: {:.0} events/s, {:.2} us CPU an event, {:.1} s",
        events as f64 / seconds,
        cpu * 1e6 / events as f64,
        seconds
    );
    node.shutdown().expect("a clean stop");
}

fn signer(node: &Node, signing: &str) -> Option<StatementSigner> {
    let seed = [9; 32];
    let public = match ledgerline_proof::note::VerifierKey::of_seed(
        "x",
        ledgerline_proof::note::KeyKind::Ed25519,
        &seed,
    ) {
        Ok(key) => *key.public_bytes(),
        Err(error) => panic!("{error}"),
    };
    let (alg, public_key) = match signing {
        "hmac" => (1, None),
        "ed25519" => (2, Some(public)),
        _ => return None,
    };
    let added = node
        .add_key(NewKey { public_key, ..NewKey::producer("producer", "bootstrap", alg) })
        .expect("a producer key");
    Some(match added.secret {
        Some(secret) => {
            use base64::Engine as _;
            let secret = base64::engine::general_purpose::STANDARD.decode(secret).expect("base64");
            StatementSigner::hmac(&secret, "default", "producer")
        }
        None => StatementSigner::ed25519(&seed, "default", "producer"),
    })
}

fn batch(first: usize, signer: Option<&StatementSigner>, personal: bool) -> Vec<u8> {
    let mut body = Vec::new();
    for n in first..first + BATCH {
        let token = format!("eu-west-1:idp:jti:4f0c2a9e-7c1a-4b3e-9a55-{:012x}", n / 5);
        let parent = format!("eu-west-1:idp:jti:9b1e2a9e-7c1a-4b3e-9a55-{:012x}", n / 50);
        let millis = 1_763_000_000_000u64 + n as u64 / 200;
        let mut id = [0u8; 16];
        id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        id[6] = 0x70;
        id[8..].copy_from_slice(&(n as u64).to_be_bytes());
        id[8] = 0x80 | (id[8] & 0x3f);
        let target = Target { kind: TargetKind::Token, id: &token };
        let kind = if n % 5 == 0 { EventType::Issued } else { EventType::Used };
        let occurred = Hlc::at(i64::try_from(millis * 1_000_000).expect("this century"));
        let mut statement = Statement::new(id, "bootstrap", target, kind, occurred);
        statement.issuer = Some("idp");
        statement.client_id = Some("web");
        statement.session_id = Some("s-17");
        statement.token_kind = Some(TokenKind::Access);
        statement.scopes = vec!["read:finance"];
        statement.expires_at = Some(occurred.nanos + 600_000_000_000);
        statement.policies = vec![PolicyRef {
            id: "finance",
            version: "v2",
            digest: Some(ledgerline_proof::hash::sha256(b"policy")),
            role: PolicyRole::Grant,
            effect: None,
        }];
        statement.links = vec![Link {
            token: Some(&parent),
            event: None,
            relation: Relation::RefreshedFrom,
            strength: Strength::Asserted,
            why: None,
        }];
        let user = format!("user-{}", n % 1000);
        let record = PersonalRecord {
            salt: ledgerline_proof::hash::sha256(&(n as u64).to_le_bytes()).0,
            user_id: Some(&user),
            ip: Some("203.0.113.7"),
            user_agent: Some("Mozilla/5.0 (X11; Linux x86_64)"),
            device: None,
            resource: None,
            attributes: vec![Detail { key: "department", value: "treasury" }],
        };
        let record = encode_object(Kind::Personal, &record);
        let mut records = Vec::new();
        if personal {
            let commitment = commitment(&record);
            statement.personal = vec![Personal { role: PersonalRole::Subject, commitment }];
            records.push(&record[..]);
        }
        let bytes = encode_object(Kind::Statement, &statement);
        let value = signer.map(|signer| signer.sign(&bytes));
        let alg = if value.as_ref().is_some_and(|value| value.len() == 64) { 2 } else { 1 };
        let signature = value.as_ref().map(|value| Signature { alg, key_id: "producer", value });
        let submission =
            Submission { statement: &bytes, personal: records, signature, attachments: Vec::new() };
        put_frame(&mut body, &submission.encode()).expect("within limits");
    }
    body
}

/// CPU seconds of this process, user and system, from the kernel's accounting.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a Linux system");
    let rest = stat.rsplit(')').next().expect("a command in brackets");
    let fields: Vec<f64> = rest.split_whitespace().filter_map(|one| one.parse().ok()).collect();
    (fields[10] + fields[11]) / 100.0
}
