//! What the rules notice does not depend on when the follower is started anew: on random histories
//! with late arrivals, aliases and revocations of sessions and clients, a follower that begins
//! afresh after every few entries raises what one that never stops raises.

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
        let ids: BTreeSet<_> = once.iter().map(Finding::id).collect();
        assert_eq!(ids.len(), once.len(), "seed {seed} raises something twice");
        count += once.len();
        rules.extend(once.iter().map(|one| one.rule.code()));
    }
    assert!(count > 200, "only {count} findings");
    assert!(rules.len() >= 4, "only {rules:?}");
}
