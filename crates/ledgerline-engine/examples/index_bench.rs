//! What the index costs: CPU nanoseconds and bytes for each event, with two and with six keys.
//!
//! `cargo run --release -p ledgerline-engine --example index_bench -- [events]` (default 2,500,000)
//!
//! Two keys: event id, chain (8 events each). Six: also a subject (1 of 100,000), a client (1 of
//! 200), a resource (1 of 2,000) and a source (1 of 8). Single-threaded, on files below a temporary
//! folder.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ledgerline_engine::disk::{Disk, RealDisk};
use ledgerline_engine::index::{
    Index, IndexConfig, Posting, Progress, ReadBudget, Term, TermHasher, TermKind, check_run,
};

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
    let id = format!("eu-west-1:idp:jti:{:016x}{token:016x}", mix(token));
    hasher.term(TermKind::Chain, "acme", &[&[1], id.as_bytes()])
}

/// The postings of one batch. About 100,000 tokens are alive at a time.
fn postings(hasher: &TermHasher, keys: u32, first: u64, out: &mut Vec<Posting>) {
    out.clear();
    for index in first..first + BATCH {
        let mut push = |term, uuid_millis| out.push(Posting { term, index, uuid_millis });
        push(event_id(hasher, index), Some(1_700_000_000_000 + index / 100));
        let token = (index + mix(index) % 800_000) / 8;
        push(chain(hasher, token), None);
        if keys > 2 {
            let subject = (mix(token) % 100_000).to_be_bytes();
            push(hasher.term(TermKind::Subject, "acme", &[&subject, &subject]), None);
            let client = (mix(token ^ 1) % 200).to_be_bytes();
            push(hasher.term(TermKind::Client, "acme", &[&client]), None);
            let resource = (mix(index ^ 2) % 2_000).to_be_bytes();
            push(hasher.term(TermKind::Resource, "acme", &[&resource]), None);
            push(hasher.term(TermKind::Source, "acme", &[&[(mix(index) % 8) as u8]]), None);
        }
    }
}

fn nanos_each(start: Instant, count: u64) -> f64 {
    start.elapsed().as_nanos() as f64 / count as f64
}

fn measure(root: &Path, keys: u32, events: u64) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root).expect("folder"));
    let (index, _) = Index::open(disk, "index", IndexConfig::default()).expect("open");
    let hasher = TermHasher::new([7; 16]);
    let (mut hashing, mut appending, mut building) = (0.0, 0.0, 0.0);
    let (mut slowest, mut longest_step) = (0.0_f64, 0.0_f64);
    let mut batch = Vec::new();
    for first in (0..events).step_by(500) {
        let start = Instant::now();
        postings(&hasher, keys, first, &mut batch);
        hashing += nanos_each(start, events);
        let start = Instant::now();
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
    println!("{keys} keys, {events} events, {} runs", stats.runs);
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
    for keys in [2, 6] {
        let folder = tempfile::tempdir().expect("temporary folder");
        measure(folder.path(), keys, events / BATCH * BATCH);
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
