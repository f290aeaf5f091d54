//! What a verification costs: events a second with HMAC signatures, chains and lifecycle, beside
//! the bound that SHA-256 of the same bytes sets.
//!
//! `cargo run --release -p ledgerline-sim --example verify_bench -- [events] [threads] [runs]`
//! (500,000; 2; 1)
//!
//! The ledger is made by the engine itself in a temporary folder: HMAC-signed Avro statements in
//! batches of 500, five events a token. Files are in the page cache.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use ledgerline_ledger::intake::{BodyForm, EventStatus};
use ledgerline_ledger::opening::{LedgerConfig, World};
use ledgerline_proof::entry::Signature;
use ledgerline_proof::hash::leaf_hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::signature::StatementSigner;
use ledgerline_proof::statement::{PolicyRef, Statement, Target};
use ledgerline_proof::submission::{Submission, put_frame};
use ledgerline_proof::vocabulary::{EventType, PolicyRole, TargetKind, TokenKind, Vantage};
use ledgerline_sim::{SECRET, TestLedger, credential, hmac_producer};
use ledgerline_vault::keys::KeyRing;
use ledgerline_verify::{Verdict, VerifyOptions, VerifyWorld, verify};
use ledgerline_world::clock::SystemClock;
use ledgerline_world::disk::{Disk, RealDisk};
use ledgerline_world::entropy::SystemEntropy;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: u32 = 500;

/// About the size of the reference event: the JSON example of the interface without personal data.
fn event(signer: &StatementSigner, n: u32) -> Vec<u8> {
    let token = format!("eu-west-1:idp:jti:4f0c{:08x}{:016x}", n / 5, u64::from(n / 5) * 7919);
    let target = Target { kind: TargetKind::Token, id: &token };
    let kind = if n.is_multiple_of(5) { EventType::Issued } else { EventType::Used };
    let at = 1_795_342_200_000_000_000 + i64::from(n) * 1000;
    let mut id = *b"\x01\x93\x2f\x6e\x7c\x1a\x7b\x3e\x9a\x55\0\0\0\0\0\0";
    id[12..].copy_from_slice(&n.to_be_bytes());
    let mut statement = Statement::new(id, "idp", target, kind, Hlc::at(at));
    statement.vantage = Vantage::Issuer;
    statement.issuer = Some("idp");
    statement.client_id = Some("web");
    statement.session_id = Some("s-17");
    statement.token_kind = Some(TokenKind::Access);
    statement.scopes = vec!["read:finance"];
    statement.expires_at = Some(at + 600_000_000_000);
    let digest = Some(leaf_hash(b"policy"));
    let (id, version, role, effect) = ("finance", "v2", PolicyRole::Grant, None);
    statement.policies = vec![PolicyRef { id, version, digest, role, effect }];
    let bytes = encode_object(Kind::Statement, &statement);
    let value = signer.sign(&bytes);
    let signature = Some(Signature { alg: 1, key_id: "h1", value: &value });
    let (personal, attachments) = (Vec::new(), Vec::new());
    Submission { statement: &bytes, personal, signature, attachments }.encode()
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|one| one.parse().expect("a number"));
    let events: u32 = arguments.next().unwrap_or(500_000);
    let threads = arguments.next().unwrap_or(2) as usize;
    let runs = arguments.next().unwrap_or(1) as usize;
    let folder = tempfile::tempdir().unwrap();
    let disk = |name: &str| -> Arc<dyn Disk> {
        Arc::new(RealDisk::new(&folder.path().join(name)).unwrap())
    };
    let (data, head) = (disk("data"), disk("head"));
    let keys = Arc::new(KeyRing::create(disk("keys").as_ref(), &SystemEntropy).unwrap());
    let world = World {
        disk: Arc::clone(&data),
        head_disk: Arc::clone(&head),
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SystemEntropy),
        keys: Arc::clone(&keys),
    };
    let mut ledger = TestLedger::open(&world, &LedgerConfig::default()).unwrap();
    ledger.add_key(credential("k1", "idp"));
    ledger.add_key(hmac_producer("h1", "idp"));
    let signer = StatementSigner::hmac(&SECRET, "default", "h1");
    let mut bytes = 0;
    for first in (0..events).step_by(BATCH as usize) {
        let mut body = Vec::new();
        for n in first..(first + BATCH).min(events) {
            put_frame(&mut body, &event(&signer, n)).unwrap();
        }
        bytes += body.len();
        let answer = ledger.submit_body("k1", BodyForm::AvroBatch, &body);
        assert!(answer.events.iter().all(|event| event.status == EventStatus::Recorded));
    }
    ledger.close();
    let bound = sha256_bound(bytes / events as usize, events, threads);

    let world = VerifyWorld { disk: data, keys: Some(keys), head: Some(head) };
    for threads in [1, threads].repeat(runs) {
        let options = VerifyOptions { threads, ..VerifyOptions::default() };
        let (start, cpu) = (Instant::now(), cpu_seconds());
        let report = verify(&world, &options);
        let seconds = start.elapsed().as_secs_f64();
        assert_eq!(report.verdict, Verdict::Verified, "{:#?}", report.findings);
        assert_eq!(report.counts.signatures, u64::from(events));
        let rate = f64::from(events) / seconds;
        let cpu = (cpu_seconds() - cpu) * 1e6 / f64::from(events);
        println!(
            "verify, {threads} thread(s): {rate:>10.0} events/s   {cpu:>5.2} us of CPU each   \
             {:>5.2} of the SHA-256 bound   \
             {:.1} MB/s of journal, {} chains, {} passes",
            rate / bound,
            report.counts.journal_bytes as f64 / seconds / 1e6,
            report.counts.chains,
            report.counts.passes,
        );
    }
}

/// Events a second if nothing were done but one SHA-256 over each entry's bytes, on as many
/// threads.
fn sha256_bound(entry_bytes: usize, events: u32, threads: usize) -> f64 {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let entry = vec![5; entry_bytes];
                for _ in 0..events as usize / threads {
                    black_box(leaf_hash(black_box(&entry)));
                }
            });
        }
    });
    let rate = f64::from(events) / start.elapsed().as_secs_f64();
    let cpu = (cpu_seconds() - cpu) * 1e6 / f64::from(events);
    println!(
        "bare SHA-256 of {entry_bytes} bytes an event, {threads} threads: {rate:.0} events/s, \
         {cpu:.2} us of CPU each"
    );
    rate
}

/// CPU time of this process so far: unlike the rate it says the same on a busy machine.
fn cpu_seconds() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|one| one.parse::<f64>().ok()).sum::<f64>() / TICKS_A_SECOND
}
