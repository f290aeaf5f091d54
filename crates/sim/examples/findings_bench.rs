//! What the findings follower costs an event, by how many tokens are alive at a time.
//!
//! `cargo run --release -p ledgerline-sim --example findings_bench -- [alone|families] [tokens …]`
//! (alone; 2000 20000 200000)
//!
//! For each number a ledger of its own is made: cohorts of so many tokens, each token one ISSUED
//! and then uses, all tokens of a cohort by turns and in another order each time. `families` gives
//! each token but every fourth a parent, the refresh token that it was minted by. What is measured
//! is the CPU time of the thread that judges; a million events, or four of each token. Half of the
//! entries are judged by a second judge that goes on where the first one ended, as after a restart;
//! with `forgetful` as the last word nothing is kept beside the memory. Files lie in the temporary
//! folder.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::sync::Arc;
use std::time::Instant;

use ledgerline_followers::findings::rules::Windows;
use ledgerline_followers::findings::{Judge, Place, STEP_ENTRIES, Saved};
use ledgerline_ledger::intake::{BodyForm, EventStatus};
use ledgerline_ledger::opening::{LedgerConfig, World};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, encode_object};
use ledgerline_proof::statement::{Link, Statement, Target};
use ledgerline_proof::submission::{Submission, put_frame};
use ledgerline_proof::vocabulary::{EventType, Relation, Strength, TargetKind, TokenKind, Vantage};
use ledgerline_sim::{TestLedger, credential};
use ledgerline_vault::keys::KeyRing;
use ledgerline_world::clock::SystemClock;
use ledgerline_world::disk::{Disk, RealDisk};
use ledgerline_world::entropy::SystemEntropy;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Events of a batch.
const BATCH: usize = 4000;
/// Events of a ledger, at least.
const EVENTS: u64 = 1_000_000;
/// Events of a token, and how many there are at least of each token of a larger cohort.
const EACH: u64 = 20;
const AT_LEAST: u64 = 4;

/// What is measured.
#[derive(Clone, Copy)]
struct Shape {
    tokens: u64,
    families: bool,
}

impl Shape {
    fn events(self) -> u64 {
        EVENTS.max(self.tokens * AT_LEAST)
    }

    /// Of each token.
    fn each(self) -> u64 {
        EACH.min(self.events() / self.tokens)
    }

    /// The `n`th event: which token, and the how many-th of it.
    fn event(self, n: u64) -> (u64, u64) {
        let (cohort, within) = (n / (self.tokens * self.each()), n % (self.tokens * self.each()));
        let (turn, at) = (within / self.tokens, within % self.tokens);
        // Another order each turn, by a step that no number of tokens here has a factor of.
        let step = if turn == 0 { 1 } else { 1_000_003 + 2 * turn };
        let step = if step % 5 == 0 { step + 2 } else { step };
        (cohort * self.tokens + at * step % self.tokens, turn)
    }

    fn is_root(self, token: u64) -> bool {
        self.families && token.is_multiple_of(4)
    }

    fn submission(self, n: u64, begun: i64) -> Vec<u8> {
        let (token, turn) = self.event(n);
        let name = |token: u64| format!("eu-west-1:idp:jti:4f0c{token:08x}{:016x}", token * 7919);
        let (own, parent) = (name(token), name(token - token % 4));
        let session = format!("s-{}", token / 4);
        let kind = match turn {
            0 => EventType::Issued,
            turn if turn % 2 == 0 => EventType::ResourceAccessed,
            _ => EventType::Used,
        };
        let at = begun + i64::try_from(n).expect("few events") * 1000;
        let mut id = *b"\x01\x93\x2f\x6e\x7c\x1a\x7b\x3e\x9a\x55\0\0\0\0\0\0";
        id[8..].copy_from_slice(&(n | 9 << 60).to_be_bytes());
        let target = Target { kind: TargetKind::Token, id: &own };
        let mut statement = Statement::new(id, "idp", target, kind, Hlc::at(at));
        statement.vantage = Vantage::Issuer;
        statement.issuer = Some("idp");
        statement.client_id = Some("web");
        if turn == 0 {
            statement.session_id = Some(&session);
            let root = self.is_root(token);
            statement.token_kind = Some(if root { TokenKind::Refresh } else { TokenKind::Access });
            statement.scopes = vec!["read:finance"];
            statement.audience = vec!["finance"];
            statement.expires_at = Some(at + 86_400_000_000_000);
            if self.families && !root {
                statement.links = vec![Link {
                    token: Some(&parent),
                    event: None,
                    relation: Relation::RefreshedFrom,
                    strength: Strength::Asserted,
                    why: None,
                }];
            }
        }
        let statement = encode_object(Kind::Statement, &statement);
        let (personal, attachments) = (Vec::new(), Vec::new());
        Submission { statement: &statement, personal, signature: None, attachments }.encode()
    }
}

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let families = words.first().is_some_and(|word| word == "families");
    let forgetful = words.last().is_some_and(|word| word == "forgetful");
    words.retain(|word| word.parse::<u64>().is_ok());
    let mut tokens: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if tokens.is_empty() {
        tokens = vec![2000, 20_000, 200_000];
    }
    for tokens in tokens {
        measure(Shape { tokens, families }, forgetful);
    }
}

fn measure(shape: Shape, forgetful: bool) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = |name: &str| -> Arc<dyn Disk> {
        Arc::new(RealDisk::new(&folder.path().join(name)).expect("a folder"))
    };
    let keys = KeyRing::create(disk("keys").as_ref(), &SystemEntropy).expect("keys");
    let world = World {
        disk: disk("data"),
        head_disk: disk("head"),
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SystemEntropy),
        keys: Arc::new(keys),
    };
    let mut ledger = TestLedger::open(&world, &LedgerConfig::default()).expect("a ledger");
    ledger.add_key(credential("k1", "idp"));
    let begun = world.clock.wall_nanos();
    for first in (0..shape.events()).step_by(BATCH) {
        let mut body = Vec::new();
        for n in first..(first + BATCH as u64).min(shape.events()) {
            put_frame(&mut body, &shape.submission(n, begun)).expect("a short one");
        }
        let answer = ledger.submit_body("k1", BodyForm::AvroBatch, &body);
        assert!(answer.events.iter().all(|event| event.status == EventStatus::Recorded));
    }
    let view = ledger.view();
    let disk = disk("data");
    // How many lives a generation of the memory has, to try others.
    let remembered = std::env::var("REMEMBERED").ok().and_then(|text| text.parse().ok());
    let begin = |saved| {
        if forgetful {
            return Judge::new(saved, Windows::default());
        }
        let place = Place::on(Arc::clone(&disk));
        let remembered = remembered.unwrap_or(place.remembered);
        Judge::with_store(saved, Windows::default(), Place { remembered, ..place })
    };
    let mut saved = Saved::default();
    for end in [view.size() / 2, view.size()] {
        let mut judge = begin(saved);
        let (from, cpu, start) = (judge.position(), cpu_nanos(), Instant::now());
        let (mut found, mut slowest) = (0, 0);
        while judge.position() < end {
            let cpu = cpu_nanos();
            found += judge.step(&view, STEP_ENTRIES).expect("it reads").len();
            slowest = slowest.max(cpu_nanos() - cpu);
        }
        let entries = (judge.position() - from) as f64;
        let (cpu, took) = ((cpu_nanos() - cpu) as f64, start.elapsed().as_secs_f64());
        println!(
            "{:>9} tokens alive{}, {:>3} events each: {:>6.2} us of CPU an event, {:>7.0} \
             events/s, {found} noticed, slowest step {:.1} ms, {} MB resident",
            shape.tokens,
            if shape.families { " in families" } else { "" },
            shape.each(),
            cpu / 1000.0 / entries,
            entries / took,
            slowest as f64 / 1e6,
            resident_bytes() >> 20,
        );
        let cpu = cpu_nanos();
        saved = judge.keep();
        println!("{:>9} tokens: kept in {:.1} ms", shape.tokens, (cpu_nanos() - cpu) as f64 / 1e6);
    }
}

/// CPU time of this thread so far.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|one| one.parse().ok()).unwrap_or_default()
}

/// Memory of this process.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1).and_then(|one| one.parse::<u64>().ok());
    pages.unwrap_or_default() * 4096
}
