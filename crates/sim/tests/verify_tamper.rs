//! One flipped bit anywhere is found, and what it hit is named.
//!
//! By default every 211th byte of each file of the small ledger and 16 places of the large one are
//! flipped, so that `cargo test` stays quick. The whole sweep:
//!
//! ```text
//! LEDGERLINE_SWEEP=bytes cargo test --profile ci --test verify_tamper   one bit in every byte
//! LEDGERLINE_SWEEP=bits  cargo test --profile ci --test verify_tamper   every bit
//!                        and 20,000 places of the large ledger with either
//! ```
#![allow(clippy::cast_possible_truncation)]

mod verify_world;

use std::sync::atomic::{AtomicUsize, Ordering};

use ledgerline_sim::Random;
use ledgerline_verify::{Severity, Verdict, VerifyReport};
use verify_world::{Frozen, JournalMap, Plan, build, last_segment};

/// How much is flipped.
struct Sweep {
    step: u64,
    bits: bool,
    places: usize,
}

fn sweep() -> Sweep {
    match std::env::var("LEDGERLINE_SWEEP").as_deref() {
        Ok("bits") => Sweep { step: 1, bits: true, places: 20_000 },
        Ok("bytes") => Sweep { step: 1, bits: false, places: 20_000 },
        _ => Sweep { step: 211, bits: false, places: 16 },
    }
}

/// A place to flip: file, offset, bit.
type Flip = (String, u64, u8);

fn check_flip(frozen: &Frozen, map: &JournalMap, (path, offset, bit): &Flip) {
    let report = frozen.with_data(frozen.data.flipped(path, *offset, *bit)).verify();
    let place = format!("{path} byte {offset} bit {bit}");
    assert_eq!(report.verdict, Verdict::NotVerified, "{place}: {report:#?}");
    let counting: Vec<_> =
        report.findings.iter().filter(|one| one.severity < Severity::Notice).collect();
    let named = counting.iter().any(|one| &one.file == path);
    assert!(named, "{place}: the file is not named: {counting:#?}");
    match map.at(path, *offset) {
        Some((index, token)) => {
            assert_eq!(report.first_bad_index, Some(index), "{place}: {counting:#?}");
            if let Some(token) = token {
                let affected = counting.iter().any(|one| one.affected.contains(&token));
                assert!(affected, "{place}: {token} is not named: {counting:#?}");
            }
        }
        None if path.starts_with("vault/") => check_vault(&report, &place),
        None => {
            assert_eq!(report.first_bad_index, None, "{place}: {counting:#?}");
            let said = counting.iter().all(|one| one.what.contains("no entry is affected"));
            assert!(said, "{place}: {counting:#?}");
        }
    }
    let lossless = ["tree/", "index/", "vault/map"];
    if lossless.iter().any(|prefix| path.starts_with(prefix)) {
        assert!(counting.iter().all(|one| one.severity == Severity::Derived), "{counting:#?}");
        assert!(counting.iter().all(|one| one.what.contains("may be lost")), "{counting:#?}");
    }
}

/// A damaged slot or secret may name the entries that it closes; it never blames the journal.
fn check_vault(report: &VerifyReport, place: &str) {
    for finding in report.findings.iter().filter(|one| one.severity < Severity::Notice) {
        let fits = ["vault", "sealed_opens"].contains(&finding.code);
        assert!(fits, "{place}: {finding:#?}");
    }
}

/// Flips are independent of each other: two threads share them.
fn check_flips(frozen: &Frozen, flips: &[Flip]) {
    let map = frozen.map();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(flip) = flips.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check_flip(frozen, &map, flip);
                }
            });
        }
    });
}

#[test]
fn every_byte_of_every_file_counts() {
    let frozen = build(&Plan::small()).frozen;
    assert_eq!(frozen.verify().verdict, Verdict::Verified);
    let Sweep { step, bits, .. } = sweep();
    let mut random = Random::new(7);
    let mut flips = Vec::new();
    for (path, bytes) in &frozen.data.files {
        let length = bytes.len() as u64;
        // Short files more often; from another first byte in each file.
        let step = if length < 300 { step.min(29) } else { step };
        for offset in (random.below(step)..length).step_by(step as usize) {
            if bits {
                flips.extend((0..8).map(|bit| (path.clone(), offset, bit)));
            } else {
                flips.push((path.clone(), offset, random.below(8) as u8));
            }
        }
    }
    let folders =
        ["journal/", "tree/", "index/", "vault/slots", "vault/secret", "vault/map", "torn/"];
    for folder in folders {
        assert!(flips.iter().any(|(path, ..)| path.starts_with(folder)), "{folder} is not there");
    }
    check_flips(&frozen, &flips);
}

#[test]
fn seeded_places_of_a_large_ledger() {
    let large = Plan {
        events: 10_000,
        per_commit: 500,
        segment_bytes: 1 << 20,
        range_log2: 10,
        ..Plan::small()
    };
    let frozen = build(&large).frozen;
    let report = frozen.verify();
    assert_eq!(report.verdict, Verdict::Verified, "{:#?}", report.findings);
    assert!(report.counts.events > 10_000);
    let mut random = Random::new(11);
    let total: u64 = frozen.data.files.values().map(|bytes| bytes.len() as u64).sum();
    let mut flips = Vec::new();
    for _ in 0..sweep().places {
        let mut at = random.below(total);
        for (path, bytes) in &frozen.data.files {
            match at.checked_sub(bytes.len() as u64) {
                Some(rest) => at = rest,
                None => {
                    flips.push((path.clone(), at, random.below(8) as u8));
                    break;
                }
            }
        }
    }
    check_flips(&frozen, &flips);
}

#[test]
fn every_byte_of_the_head_counts() {
    let frozen = build(&Plan::small()).frozen;
    let (path, bytes) = frozen.head.files.iter().next().unwrap();
    for offset in 0..bytes.len() as u64 {
        let head = frozen.head.flipped(path, offset, (offset % 7) as u8);
        let report = Frozen { head, ..frozen.clone() }.verify();
        assert_eq!(report.verdict, Verdict::NotVerified, "byte {offset}: {report:#?}");
    }
}

/// On a ledger that was not shut down, rot in the last batch cannot be told from a torn write.
#[test]
fn the_last_batch_of_a_crashed_ledger_is_never_verified() {
    let frozen = build(&Plan { clean: false, ..Plan::small() }).frozen;
    assert_eq!(frozen.verify().verdict, Verdict::Verified, "nothing is wrong with a killed ledger");
    let path = last_segment(&frozen.data);
    let (_, last) = frozen.batches().pop().unwrap();
    let step = if sweep().step == 1 { 1 } else { 5 };
    for offset in (last.start..last.end() + 40).step_by(step) {
        let data = frozen.data.flipped(&path, offset, (offset % 8) as u8);
        let verdict = frozen.with_data(data).verify().verdict;
        assert_ne!(verdict, Verdict::Verified, "byte {offset}");
        let cut = &frozen.data.files[&path][..offset.min(last.end()) as usize];
        let data = frozen.data.with(&path, cut.to_vec());
        let report = frozen.with_data(data).verify();
        let whole = offset >= last.end() || offset == last.start || report.verdict.exit_code() == 3;
        let first_zeros = (last.start..last.start + 4).contains(&offset);
        assert!(whole || first_zeros, "cut at {offset}: {report:#?}");
    }
}
