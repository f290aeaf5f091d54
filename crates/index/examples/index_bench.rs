//! What the index costs: CPU nanoseconds and bytes for each event, with two and with all kinds.
//!
//! `cargo run --release -p ledgerline-index --example index_bench -- [events]` (default 2,500,000)
//!
//! Two kinds: event id, chain (8 events each). All: everything that an event with a person,
//! address, network, agent, client, session, grant, policy, resource and key is found by; one event
//! in eight is a birth with a parent. 100,000 persons, 200 clients, 2,000 resources, 40 policies, 8
//! sources; five tokens a session. Single-threaded, on files below a temporary folder.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ledgerline_index::terms::terms_of;
use ledgerline_index::{
    Index, IndexConfig, Posting, Progress, ReadBudget, Term, TermHasher, TermKind, check_run,
};
use ledgerline_proof::entry::Handle;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::statement::{Link, PolicyRef, Statement, Target};
use ledgerline_proof::vocabulary::{
    EventType, HandleKind, PersonalRole, PolicyRole, Relation, Strength, TargetKind,
};
use ledgerline_world::disk::{Disk, RealDisk};

const BATCH: u64 = 500;

fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn event_id(hasher: &TermHasher, index: u64) -> Term {
    let id = (u128::from(index) << 64 | u128::from(mix(index))).to_be_bytes();
    hasher.term(TermKind::EventId, "acme", &[b"idp", &id])
}

fn chain(hasher: &TermHasher, token: u64) -> Term {
    hasher.term(TermKind::Chain, "acme", &[&[1], token_id(token).as_bytes()])
}

/// The postings of one batch. About 100,000 tokens are alive at a time.
fn postings(hasher: &TermHasher, all: bool, first: u64, out: &mut Vec<Posting>) {
    out.clear();
    for index in first..first + BATCH {
        let mut push = |term, uuid_millis| out.push(Posting { term, index, uuid_millis });
        push(event_id(hasher, index), Some(1_700_000_000_000 + index / 100));
        let token = (index + mix(index) % 800_000) / 8;
        push(chain(hasher, token), None);
        if all {
            every_kind(hasher, index, token).into_iter().for_each(|term| push(term, None));
        }
    }
}

fn token_id(token: u64) -> String {
    format!("eu-west-1:idp:jti:{:016x}{token:016x}", mix(token))
}

/// The other terms of one event.
fn every_kind(hasher: &TermHasher, index: u64, token: u64) -> Vec<Term> {
    let (id, parent) = (token_id(token), token_id(token / 5 * 5));
    let nth = |salt: u64, of: u64| mix((token / 5) ^ (salt << 40)) % of;
    let names = [
        format!("client-{}", nth(1, 200)),
        format!("session-{:016x}", mix(token / 5)),
        format!("grant-{:016x}", mix(token / 10)),
        format!("policy-{}", nth(2, 40)),
        format!("/v1/resources-{}", mix(index ^ 2) % 2_000),
        format!("source-{}", mix(index) % 8),
    ];
    let [client, session, grant, policy, resource, source] = names.each_ref().map(String::as_str);
    let birth = mix(index ^ 77).is_multiple_of(8);
    let kind = if birth { EventType::Issued } else { EventType::Used };
    let target = Target { kind: TargetKind::Token, id: &id };
    let nanos = i64::try_from(index * 10_000).expect("small");
    let mut s = Statement::new([0; 16], source, target, kind, Hlc::at(nanos));
    s.tenant = "acme";
    (s.client_id, s.session_id, s.grant_id) = (Some(client), Some(session), Some(grant));
    let (role, digest) = (PolicyRole::Access, Some(Hash::ZERO));
    s.policies = vec![PolicyRef { id: policy, version: "1", digest, role, effect: None }];
    if birth {
        s.expires_at = Some(nanos + 3_600_000_000_000);
        s.issuer_kid = Some("kid-1");
        let (relation, strength) = (Relation::RefreshedFrom, Strength::Asserted);
        s.links = vec![Link { token: Some(&parent), event: None, relation, strength, why: None }];
    } else {
        s.resource = Some(resource);
    }
    let handle = |kind, salt: u64, of| {
        let id = (u128::from(mix(nth(salt, of))) << 64 | 1).to_be_bytes();
        let person = kind == HandleKind::Person;
        Handle {
            role: if person { PersonalRole::Subject } else { PersonalRole::Request },
            kind,
            id,
        }
    };
    let handles = [
        handle(HandleKind::Person, 3, 100_000),
        handle(HandleKind::Addr, 4, 150_000),
        handle(HandleKind::Net, 5, 20_000),
        handle(HandleKind::Agent, 6, 500),
    ];
    terms_of(hasher, &s, &handles)
}

fn nanos_each(start: Instant, count: u64) -> f64 {
    start.elapsed().as_nanos() as f64 / count as f64
}

fn measure(root: &Path, all: bool, events: u64) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root).expect("folder"));
    let (index, _) = Index::open(disk, "index", IndexConfig::default()).expect("open");
    let hasher = TermHasher::new([7; 16]);
    let (mut hashing, mut appending, mut building) = (0.0, 0.0, 0.0);
    let (mut slowest, mut longest_step) = (0.0_f64, 0.0_f64);
    let mut batch = Vec::new();
    for first in (0..events).step_by(500) {
        let start = Instant::now();
        postings(&hasher, all, first, &mut batch);
        hashing += nanos_each(start, events);
        let start = Instant::now();
        index.note_times(first, first + BATCH, &[]);
        index.append(first, first + BATCH, &batch);
        appending += nanos_each(start, events);
        slowest = slowest.max(nanos_each(start, 1_000_000));
        loop {
            let start = Instant::now();
            let progress = index.step(first).expect("step");
            building += nanos_each(start, events);
            longest_step = longest_step.max(nanos_each(start, 1_000_000));
            if progress == Progress::Idle {
                break;
            }
        }
    }
    let stats = index.stats();
    let kinds = if all { "all" } else { "two" };
    println!("{kinds} kinds, {events} events, {} runs", stats.runs);
    println!("  an event: making terms {hashing:.0} ns, append {appending:.0} ns,");
    println!("            build and merge {building:.0} ns");
    println!("  slowest append of {BATCH}: {slowest:.1} ms; longest step: {longest_step:.0} ms");
    let per_event = |bytes: u64| bytes as f64 / stats.covered.max(1) as f64;
    println!("  {:.1} bytes an event on disk", per_event(stats.run_bytes));
    println!(
        "  memory: runs {:.2} bytes an event, tail {:.1} MB for {} entries",
        per_event(stats.run_memory),
        stats.tail_memory as f64 / 1e6,
        stats.end - stats.covered
    );
    look_up(&index, &hasher, events);
}

fn look_up(index: &Index, hasher: &TermHasher, events: u64) {
    let rounds = 100_000;
    let time = |what: &str, question: &dyn Fn(u64)| {
        let start = Instant::now();
        (0..rounds).for_each(question);
        println!("  {what}: {:.0} ns", nanos_each(start, rounds));
    };
    time("making one term", &|at| {
        black_box(event_id(hasher, at));
    });
    time("head of an absent chain", &|at| {
        black_box(index.head(&chain(hasher, events + at)).expect("head"));
    });
    time("find an absent on-time id", &|at| {
        let term = event_id(hasher, events + at);
        let millis = 1_700_000_000_000 + (events + at % 1_000) / 100;
        black_box(index.find(&term, Some(millis)).expect("find"));
    });
    time("head of a chain", &|at| {
        let index = &index.head(&chain(hasher, mix(at) % (events / 8))).expect("head");
        black_box(index);
    });
    time("find an id", &|at| {
        let which = mix(at) % events;
        let found = index.find(&event_id(hasher, which), Some(1_700_000_000_000 + which / 100));
        assert_eq!(found.expect("find"), [which]);
    });
    time("postings of a chain", &|at| {
        let term = chain(hasher, mix(at) % (events / 8));
        let page = index.postings(&term, 0..events, 100, &mut ReadBudget::new(100));
        black_box(page.expect("page"));
    });
}

fn main() {
    let events: u64 = std::env::args().nth(1).map_or(2_500_000, |n| n.parse().expect("a number"));
    for all in [false, true] {
        let folder = tempfile::tempdir().expect("temporary folder");
        measure(folder.path(), all, events / BATCH * BATCH);
        let disk = RealDisk::new(folder.path()).expect("folder");
        let start = Instant::now();
        let shared: Arc<dyn Disk> = Arc::new(RealDisk::new(folder.path()).expect("folder"));
        let (index, _) = Index::open(shared, "index", IndexConfig::default()).expect("open");
        println!("  open: {:.1} ms", nanos_each(start, 1_000_000));
        let start = Instant::now();
        for run in index.run_files() {
            check_run(&disk, &run.path).expect("intact");
        }
        println!("  check of all runs: {:.0} ms", nanos_each(start, 1_000_000));
    }
}
