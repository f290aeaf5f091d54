//! A follower that has no room for the lives of tokens keeps summaries of them, and says what one
//! with room for all says: over random histories with late arrivals, aliases, parents and wide
//! revocations, across restarts, crashes, and files that were lost or damaged.

#[allow(dead_code, reason = "the model is for the questions")]
mod lineage_world;

use std::sync::Arc;

use lineage_world::World;

use ledgerline_followers::findings::follower_state::FollowerState;
use ledgerline_followers::findings::record::Note;
use ledgerline_followers::findings::rules::Windows;
use ledgerline_followers::findings::{Judge, Limits, Place, Saved};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_sim::{Random, SimDisk};
use ledgerline_world::disk::Disk;

const HISTORIES: u64 = 60;
const EVENTS: u32 = 70;

/// What happens to a follower between its steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Nothing.
    Undisturbed,
    /// It is stopped and begun again.
    Stopped,
    /// It is killed, and goes on from where it was saved some steps before.
    Killed,
    /// As killed, and meanwhile its files are damaged or lost.
    Damaged,
}

fn recorded(seed: u64) -> World {
    let mut world = World::new(seed);
    world.record_some(EVENTS, &mut Random::new(seed * 19 + 3));
    world
}

fn step(world: &mut World, judge: &mut Judge, most: u64) -> Vec<Note> {
    let notes = judge.step(&world.view(), most).unwrap();
    if !notes.is_empty() {
        world.administer(&AdminAct::State(notes.iter().map(Note::statement).collect()));
    }
    notes
}

/// Room for next to nothing.
fn place(disk: &SimDisk, random: &mut Random) -> Place {
    let bytes = *random.choose(&[2 << 10, 16 << 10, 1 << 20]);
    let summaries = *random.choose(&[5, 1000]);
    let limits = Limits { bytes, summaries, worn_bytes: bytes / 4 };
    let remembered = *random.choose(&[1, 2, 5]);
    Place { disk: Arc::new(disk.clone()), limits, remembered }
}

/// Damages one of the files of summaries; false when there is none.
fn damage(disk: &SimDisk, random: &mut Random) -> bool {
    let names = disk.list("followers").unwrap();
    if names.is_empty() {
        return false;
    }
    let path = format!("followers/{}", random.choose(&names));
    let bytes = disk.read(&path).unwrap();
    match random.below(3) {
        0 => disk.remove(&path).unwrap(),
        1 => disk.write(&path, &bytes[..bytes.len() / 2]).unwrap(),
        _ => {
            let at = random.below(bytes.len() as u64);
            disk.flip_bit(&path, at, 3).unwrap();
        }
    }
    true
}

/// What a follower with room for a life or two notices.
fn with_summaries(seed: u64, fate: Fate, news: &mut usize) -> Vec<Note> {
    let (mut world, mut random) = (recorded(seed), Random::new(seed + 7));
    let disk = SimDisk::new(seed);
    let mut saved = Saved::default();
    let mut judge = Judge::with_store(saved.clone(), Windows::default(), place(&disk, &mut random));
    let mut all: Vec<Note> = Vec::new();
    while judge.position() < world.view().size() {
        all.extend(step(&mut world, &mut judge, 1 + random.below(12)));
        if fate == Fate::Undisturbed || random.below(4) > 0 {
            continue;
        }
        if fate == Fate::Stopped || random.below(3) == 0 {
            let Saved { position, memory } = judge.keep();
            let memory = FollowerState::from_bytes(&memory.to_bytes()).unwrap();
            saved = Saved { position, memory };
        }
        if fate == Fate::Damaged {
            damage(&disk, &mut random);
        }
        if fate == Fate::Stopped || random.below(3) == 0 {
            let place = place(&disk, &mut random);
            judge = Judge::with_store(saved.clone(), Windows::default(), place);
        }
        *news += usize::from(judge.news().is_some());
    }
    all
}

fn with_room(seed: u64) -> Vec<Note> {
    let mut world = recorded(seed);
    let mut judge = Judge::new(Saved::default(), Windows::default());
    let mut all = Vec::new();
    while judge.position() < world.view().size() {
        all.extend(step(&mut world, &mut judge, 256));
    }
    all
}

/// Each note once, in order.
fn once(notes: Vec<Note>) -> Vec<Note> {
    let mut all = Vec::new();
    for note in notes {
        if !all.contains(&note) {
            all.push(note);
        }
    }
    all
}

fn same_as_with_room(fate: Fate) -> usize {
    let (mut count, mut news) = (0, 0);
    for seed in 0..HISTORIES {
        let (mut due, mut said) = (with_room(seed), with_summaries(seed, fate, &mut news));
        if fate >= Fate::Killed {
            // It notices some of it again.
            [due, said] = [due, said].map(once);
        }
        for (n, (due, said)) in due.iter().zip(&said).enumerate() {
            assert_eq!(due, said, "seed {seed}, {n}");
        }
        assert_eq!(due.len(), said.len(), "seed {seed}");
        count += due.len();
    }
    assert!(count > 500, "only {count} notes");
    news
}

#[test]
fn a_follower_without_room_says_what_one_with_room_says() {
    assert_eq!(same_as_with_room(Fate::Undisturbed), 0);
}

#[test]
fn a_follower_that_is_stopped_says_the_same_by_its_summaries() {
    assert_eq!(same_as_with_room(Fate::Stopped), 0);
}

#[test]
fn a_follower_that_is_killed_believes_no_summary_from_behind_its_position() {
    // Its files are gone where both were full since it was saved: that is told.
    same_as_with_room(Fate::Killed);
}

#[test]
fn summaries_that_are_damaged_or_lost_cost_time_and_nothing_else() {
    let told = same_as_with_room(Fate::Damaged);
    assert!(told > 20, "only {told} times the log was told");
}
