//! What the rules notice does not depend on when the follower is started anew: on random histories
//! with late arrivals, aliases and revocations of sessions and clients, a follower that begins
//! afresh after every few entries raises what one that never stops raises, and so does one that
//! goes on in steps of any size while the ledger grows.

#[allow(dead_code, reason = "the model is for the questions")]
mod lineage_world;

use std::collections::BTreeSet;

use lineage_world::World;

use ledgerline_engine::findings::memory::Memory;
use ledgerline_engine::findings::record::Note;
use ledgerline_engine::findings::rules::{Finding, Windows};
use ledgerline_engine::findings::{Follower, Saved};
use ledgerline_engine::simulation::Random;
use ledgerline_engine::view::View;

const HISTORIES: u64 = 48;
const EVENTS: u32 = 56;
/// Parts in which a growing ledger is recorded.
const PARTS: u32 = 4;

fn raised(notes: Vec<Note>) -> Vec<Finding> {
    let findings = notes.into_iter().filter_map(|note| match note {
        Note::Raised(finding) => Some(finding),
        Note::Moved(_) | Note::Missing(_) | Note::Reported(_) => None,
    });
    findings.collect()
}

/// Follows a ledger to its end; `rest` says how many entries until the next fresh start.
fn follow(view: &View, mut rest: impl FnMut() -> u64) -> Vec<Finding> {
    let mut all = Vec::new();
    let (mut position, mut saved) = (0, Saved::default());
    while position < view.size() {
        let mut follower = Follower::new(saved, Windows::default());
        let end = position.saturating_add(rest());
        while follower.position() < end.min(view.size()) {
            let most = end - follower.position();
            all.extend(raised(follower.step(view, most).unwrap()));
        }
        position = follower.position();
        let memory = Memory::from_bytes(&follower.saved().memory.to_bytes()).unwrap();
        saved = Saved { position, memory };
    }
    all
}

/// Follows a ledger that is recorded on between the steps; `most` says how large they are.
fn follow_growing(
    world: &mut World,
    random: &mut Random,
    mut most: impl FnMut() -> u64,
) -> Vec<Finding> {
    let mut all = Vec::new();
    let mut follower = Follower::new(Saved::default(), Windows::default());
    for part in 0..PARTS {
        world.record(EVENTS / PARTS, random);
        let view = world.view();
        // The last entries of a part are left to the next one.
        let end = view.size() - if part + 1 < PARTS { view.size().min(3) } else { 0 };
        while follower.position() < end {
            let most = most().min(end - follower.position());
            all.extend(raised(follower.step(&view, most).unwrap()));
        }
    }
    all
}

#[test]
fn steps_of_any_size_raise_the_same() {
    let mut count = 0;
    for seed in 0..HISTORIES / 2 {
        let mut world = World::new(seed);
        let mut random = Random::new(seed * 17 + 5);
        let mut sizes = Random::new(seed);
        let grown = follow_growing(&mut world, &mut random, || 1 + sizes.below(9));
        let view = world.view();
        for (name, anew) in [
            ("at once", follow(&view, || u64::MAX)),
            ("entry by entry", follow(&view, || 1)),
            ("by seven", follow(&view, || 7)),
        ] {
            assert_eq!(grown, anew, "seed {seed}, {name}");
        }
        count += grown.len();
    }
    assert!(count > 100, "only {count} findings");
}

#[test]
fn leaves_of_a_range_are_those_read_one_by_one() {
    let mut world = World::new(7);
    let mut random = Random::new(7);
    world.record(700, &mut random);
    let view = world.view();
    let one_by_one: Vec<Vec<u8>> = (0..view.size()).map(|at| view.leaf(at).unwrap()).collect();
    assert!(one_by_one.len() > 600);
    for _ in 0..40 {
        let first = random.below(view.size());
        let end = first + random.below(view.size() - first + 1);
        let enough = 1 + random.below(end - first + 1);
        let mut read = Vec::new();
        view.each_leaf(first..end, |index, leaf| {
            assert_eq!(index, first + read.len() as u64);
            read.push(leaf.to_vec());
            Ok((read.len() as u64) < enough)
        })
        .unwrap();
        let due = usize::try_from(enough.min(end - first)).unwrap();
        let first = usize::try_from(first).unwrap();
        assert!(read == one_by_one[first..first + due], "{first} to {end}, {enough}");
    }
    assert!(view.each_leaf(0..view.size() + 1, |_, _| Ok(true)).is_err());
}

#[test]
fn a_follower_that_starts_anew_raises_the_same() {
    let (mut count, mut rules) = (0, BTreeSet::new());
    for seed in 0..HISTORIES {
        let mut world = World::new(seed);
        let mut random = Random::new(seed * 11 + 3);
        world.record(EVENTS, &mut random);
        let view = world.view();
        let once = follow(&view, || u64::MAX);
        let often = follow(&view, || 1 + random.below(4));
        for (once, often) in once.iter().zip(&often) {
            assert_eq!(once, often, "seed {seed}");
        }
        assert_eq!(once.len(), often.len(), "seed {seed}");
        // What was judged anew several times may be raised again, and is recorded once, by its id.
        let ids: BTreeSet<_> = once.iter().map(|one| (one.id(), one.noticed_at)).collect();
        assert_eq!(ids.len(), once.len(), "seed {seed} raises something twice");
        count += once.len();
        rules.extend(once.iter().map(|one| one.rule.code()));
    }
    assert!(count > 200, "only {count} findings");
    assert!(rules.len() >= 4, "only {rules:?}");
}
