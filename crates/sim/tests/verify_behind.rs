//! The verifier behind the head finds in steps of any length what the full verification finds of
//! the same entries, reads nothing behind the size it is told, and nothing twice.
#![allow(clippy::cast_possible_truncation)]

mod verify_world;

use std::collections::BTreeSet;

use ledgerline_sim::Random;
use ledgerline_verify::{Behind, Ground, Severity, Signatures, VerifyFinding};
use verify_world::{Frozen, Image, Plan, build};

/// What makes two findings the same.
type Flaw = (&'static str, String, Option<u64>, Option<u64>);

fn flaw(one: &VerifyFinding) -> Flaw {
    (one.code, one.file.clone(), one.offset, one.first_bad_index)
}

/// All that is found in steps of random lengths up to a size.
fn in_steps(frozen: &Frozen, size: u64, random: &mut Random) -> Vec<Flaw> {
    let ground =
        Ground::new(&frozen.world(), None, &[], Signatures::Every).expect("a genesis entry");
    let mut behind = Behind::new(&ground, 1 << 20);
    let mut found = Vec::new();
    let mut committed = 0;
    while behind.size() < size {
        committed = size.min(committed + random.below(40));
        let before = behind.size();
        found.extend(behind.step(committed, 1 + random.below(30)).iter().map(flaw));
        assert!(behind.size() >= before);
    }
    assert!(behind.holds_all_chains());
    assert_eq!(behind.step(size, 100), [], "nothing is read twice");
    found
}

/// What the full verification finds of the journal's entries alone.
fn at_once(frozen: &Frozen) -> BTreeSet<Flaw> {
    let elsewhere = ["event_id", "sealed_opens", "commitment", "personal", "vault_map"];
    let report = frozen.verify();
    let of_entries = report.findings.iter().filter(|one| {
        one.severity == Severity::Error
            && one.file.starts_with("journal/")
            && !elsewhere.contains(&one.code)
    });
    of_entries.map(flaw).collect()
}

#[test]
fn steps_find_what_a_full_verification_finds() {
    let frozen = build(&Plan::small()).frozen;
    let size = frozen.verify().size;
    let mut random = Random::new(5);
    assert_eq!(in_steps(&frozen, size, &mut random), []);
    let journal: Vec<(String, u64)> = frozen
        .data
        .segments()
        .map(|path| (path.clone(), frozen.data.files[path].len() as u64))
        .collect();
    let mut hits = 0;
    for round in 0..100u64 {
        let (path, length) = &journal[random.below(journal.len() as u64) as usize];
        let (offset, bit) = (random.below(*length), random.below(8) as u8);
        let changed = Frozen { data: frozen.data.flipped(path, offset, bit), ..frozen.clone() };
        let due = at_once(&changed);
        let found: BTreeSet<Flaw> = in_steps(&changed, size, &mut random).into_iter().collect();
        // Zeros behind the last commit are not read: they are not committed.
        let due: BTreeSet<Flaw> = due.into_iter().filter(|one| one.0 != "padding").collect();
        let found: BTreeSet<Flaw> = found.into_iter().filter(|one| one.0 != "padding").collect();
        assert_eq!(found, due, "round {round}: {path} byte {offset} bit {bit}");
        hits += usize::from(!due.is_empty());
    }
    assert!(hits > 25, "only {hits} flips hit anything");
}

#[test]
fn what_is_not_committed_is_not_read() {
    let frozen = build(&Plan::small()).frozen;
    let (path, batch) = frozen.batches().pop().expect("a last batch");
    let first = batch.head.first_index;
    // The last batch is torn: a writer is in the middle of it.
    let mut bytes = frozen.data.files[&path].to_vec();
    bytes[batch.start as usize + 40..].fill(0);
    let data: Image = frozen.data.with(&path, bytes);
    let torn = Frozen { data, ..frozen };
    let mut random = Random::new(9);
    assert_eq!(in_steps(&torn, first, &mut random), []);
}
