//! What the rules notice does not depend on when the follower is started anew: on random histories
//! with late arrivals, aliases and revocations of sessions and clients, a follower that begins
//! afresh after every few entries raises what one that never stops raises, and so does one that
//! goes on in steps of any size while the ledger grows.

#[allow(dead_code, reason = "the model is for the questions")]
mod lineage_world;

use std::collections::{BTreeMap, BTreeSet};

use lineage_world::World;

use ledgerline_followers::findings::follower_state::FollowerState;
use ledgerline_followers::findings::record::Note;
use ledgerline_followers::findings::rules::{Finding, Windows};
use ledgerline_followers::findings::{Judge, Saved, list};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::vocabulary::Moved;
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_sim::Random;

/// How many entries a step takes, each time anew.
type Steps = Box<dyn FnMut() -> u64>;

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

/// Follows a ledger to its end, and records what is noticed as it goes; `rest` says how many
/// entries until the next fresh start, `most` how large the steps are.
fn follow(
    world: &mut World,
    mut rest: impl FnMut() -> u64,
    mut most: impl FnMut() -> u64,
) -> Vec<Note> {
    let mut all = Vec::new();
    let (mut position, mut saved) = (0, Saved::default());
    while position < world.view().size() {
        let mut follower = Judge::new(saved, Windows::default());
        let end = position.saturating_add(rest());
        while follower.position() < end.min(world.view().size()) {
            let most = most().min(end - follower.position());
            all.extend(step(world, &mut follower, most));
        }
        position = follower.position();
        let memory = FollowerState::from_bytes(&follower.saved().memory.to_bytes()).unwrap();
        saved = Saved { position, memory };
    }
    all
}

/// A step, and what it noticed, which is recorded.
fn step(world: &mut World, follower: &mut Judge, most: u64) -> Vec<Note> {
    let notes = follower.step(&world.view(), most).unwrap();
    if !notes.is_empty() {
        world.administer(&AdminAct::State(notes.iter().map(Note::statement).collect()));
    }
    notes
}

/// A world of random histories, recorded.
fn recorded(seed: u64, factor: u64, events: u32) -> World {
    let mut world = World::new(seed);
    let mut random = Random::new(seed * factor + 5);
    world.record_some(events, &mut random);
    world
}

#[test]
fn steps_of_any_size_raise_the_same() {
    let mut count = 0;
    for seed in 0..HISTORIES / 2 {
        let mut sizes = Random::new(seed);
        let mut most: [(&str, Steps); 4] = [
            ("at once", Box::new(|| u64::MAX)),
            ("entry by entry", Box::new(|| 1)),
            ("by seven", Box::new(|| 7)),
            ("by any", Box::new(move || 1 + sizes.below(9))),
        ];
        let [first, others @ ..] = &mut most;
        let once = raised(follow(&mut recorded(seed, 17, EVENTS), || u64::MAX, &mut first.1));
        for (name, most) in others {
            let anew = raised(follow(&mut recorded(seed, 17, EVENTS), || u64::MAX, most));
            same(&once, &anew, &format!("seed {seed}, {name}"));
        }
        count += once.len();
    }
    assert!(count > 100, "only {count} findings");
}

/// Two lists of findings, told apart by the first that differs.
fn same(one: &[Finding], other: &[Finding], what: &str) {
    for (n, (one, other)) in one.iter().zip(other).enumerate() {
        assert_eq!(one, other, "{what}, {n}");
    }
    assert_eq!(one.len(), other.len(), "{what}");
}

/// Once per part of a ledger that grows between the steps, and all at once behind it.
#[test]
fn a_ledger_that_grows_between_the_steps_raises_the_same() {
    for seed in 0..HISTORIES / 2 {
        let mut world = World::new(seed);
        let (mut random, mut sizes) = (Random::new(seed * 17 + 5), Random::new(seed));
        let (mut follower, mut grown) =
            (Judge::new(Saved::default(), Windows::default()), Vec::new());
        for _ in 0..PARTS {
            world.record_some(EVENTS / PARTS, &mut random);
            while follower.position() < world.view().size() {
                grown.extend(step(&mut world, &mut follower, 1 + sizes.below(9)));
            }
        }
        // Read again from its start, it has nothing to say that was not said.
        let size = world.view().size();
        let again = follow(&mut world, || u64::MAX, || 1 + sizes.below(9));
        let new: Vec<&Note> = again.iter().filter(|one| !grown.contains(one)).collect();
        assert_eq!((world.view().size(), new), (size, Vec::new()), "seed {seed}");
    }
}

#[test]
fn leaves_of_a_range_are_those_read_one_by_one() {
    let mut world = World::new(7);
    let mut random = Random::new(7);
    world.record_some(700, &mut random);
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
        let mut random = Random::new(seed);
        let once = raised(follow(&mut recorded(seed, 11, EVENTS), || u64::MAX, || 256));
        let mut rest = || 1 + random.below(4);
        let often = raised(follow(&mut recorded(seed, 11, EVENTS), &mut rest, || 256));
        same(&once, &often, &format!("seed {seed}"));
        let ids: BTreeSet<_> = once.iter().map(Finding::id).collect();
        assert_eq!(ids.len(), once.len(), "seed {seed} raises something twice");
        count += once.len();
        rules.extend(once.iter().map(|one| one.rule.code()));
    }
    assert!(count > 200, "only {count} findings");
    assert!(rules.len() >= 4, "only {rules:?}");
}

/// Where each finding stands by the notes, in the order in which they were made.
fn by_notes(notes: &[Note]) -> BTreeMap<Hash, Option<Moved>> {
    let mut states = BTreeMap::new();
    for note in notes {
        match note {
            Note::Raised(finding) => {
                let before = states.insert(finding.id(), None);
                assert_eq!(before, None, "raised although it was raised before: {finding:?}");
            }
            Note::Moved(moved) => {
                let state = states.get_mut(&moved.finding).expect("it was raised");
                match moved.to {
                    Moved::Withdrawn => {
                        assert_eq!(*state, None, "withdrawn twice: {moved:?}");
                        *state = Some(Moved::Withdrawn);
                    }
                    Moved::Reopened => {
                        assert_eq!(*state, Some(Moved::Withdrawn), "it was open: {moved:?}");
                        *state = None;
                    }
                    Moved::Again | Moved::Caused => *state = None,
                    Moved::Acknowledged | Moved::Closed => panic!("by nobody: {moved:?}"),
                }
            }
            Note::Missing(_) | Note::Reported(_) => {}
        }
    }
    states
}

/// Once a finding that was withdrawn and held again stayed `withdrawn`: it was raised a second time
/// under the same id, and what is recorded under an id is recorded once.
#[test]
fn a_withdrawn_finding_that_held_again_stayed_withdrawn() {
    let (mut reopened, mut withdrawn) = (0, 0);
    for seed in 0..HISTORIES {
        let mut world = recorded(seed, 13, EVENTS * 2);
        let mut sizes = Random::new(seed);
        let notes = follow(&mut world, || u64::MAX, || 1 + sizes.below(40));
        let states = by_notes(&notes);
        reopened += notes
            .iter()
            .filter(|one| matches!(one, Note::Moved(one) if one.to == Moved::Reopened))
            .count();
        withdrawn += states.values().filter(|state| state.is_some()).count();
        let view = world.view();
        for tenant in ["a", "b"] {
            let scope =
                Scope { tenant: tenant.into(), as_of: view.as_of(), at: None, judged_at: i64::MAX };
            let mut context = QueryContext::new(&view, scope, Spending::default()).unwrap();
            for (id, state) in &states {
                if let Some(found) = list::finding(&mut context, id).unwrap() {
                    assert_eq!(found.state(), *state, "seed {seed}, {id:?}");
                }
            }
        }
        // Everything read again, as by a follower whose position was lost: nothing is recorded
        // twice.
        let size = world.view().size();
        let again = follow(&mut world, || u64::MAX, || 1 + sizes.below(40));
        let new: Vec<Note> = again.into_iter().filter(|one| !notes.contains(one)).collect();
        assert_eq!((world.view().size(), new), (size, Vec::new()), "seed {seed}");
    }
    assert!(reopened >= 4, "only {reopened} held again");
    assert!(withdrawn > 30, "only {withdrawn} withdrawn");
}
