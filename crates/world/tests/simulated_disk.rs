//! The simulated disk: it keeps the contract of the real one, it fails in every way it claims to,
//! and it never loses what was synced.

use ledgerline_world::disk::{Disk, File, OpenMode, RealDisk, read_whole, replace_durably};
use ledgerline_world::fake::{FaultCounts, Faults, Random, SimDisk, disk_contract};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};

type Image = BTreeMap<String, Vec<u8>>;

#[test]
fn the_real_disk_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    disk_contract(&RealDisk::new(&folder.path().join("root")).unwrap());
}

#[test]
fn the_simulated_disk_keeps_the_contract() {
    let disk = SimDisk::new(0);
    disk_contract(&disk);
    assert_eq!(disk.counts(), FaultCounts::default(), "no fault without a plan");
}

/// Random calls give the same results on the real and the simulated disk.
#[test]
fn both_disks_answer_alike() {
    for seed in 0..60 {
        let folder = tempfile::tempdir().unwrap();
        let (real, simulated) = (RealDisk::new(folder.path()).unwrap(), SimDisk::new(seed));
        let (mut first, mut second) = (Random::new(seed), Random::new(seed));
        for step in 0..120 {
            let answers = (random_call(&real, &mut first), random_call(&simulated, &mut second));
            assert_eq!(answers.0, answers.1, "seed {seed}, step {step}");
        }
        for (path, bytes) in simulated.image() {
            assert_eq!(read_whole(&real, &path, 1 << 20).unwrap(), bytes, "seed {seed}, {path}");
        }
    }
}

/// One random call and what it answered, as text.
fn random_call(disk: &dyn Disk, random: &mut Random) -> String {
    const FILES: [&str; 7] = ["a", "b", "d/a", "d/b", "d/e/a", "a/x", "a/x/y"];
    const FOLDERS: [&str; 6] = ["", "d", "d/e", "a", "f", "b/x"];
    // Linux lets a folder be opened as a file to read and a file be synced as a folder; the trait
    // does not ask for it, so no path is ever both.
    const FOLDERS_ONLY: [&str; 3] = ["d", "d/e", "f"];
    let (file, other) = (*random.choose(&FILES), *random.choose(&FILES));
    let (folder, real_folder) = (*random.choose(&FOLDERS), *random.choose(&FOLDERS_ONLY));
    let (offset, length) = (random.below(700), random.index(700));
    let call = random.below(12);
    let result = match call {
        0 => told(disk.create_dir(real_folder)),
        1 => told(disk.list(folder)),
        2 => told(disk.exists(file)),
        3 => told(disk.rename(file, other)),
        4 => told(disk.remove(file)),
        5 => told(disk.sync_dir(real_folder)),
        6 => told(read_whole(disk, file, 1 << 20)),
        7 => told(disk.open(file, OpenMode::Write).and_then(|file| file.set_len(offset))),
        8 => told(disk.open(file, OpenMode::Read).and_then(|file| file.sync())),
        _ => told(disk.open(file, OpenMode::Create).and_then(|file| {
            let mut bytes = vec![0; length];
            random.fill(&mut bytes);
            file.write_all_at(&bytes, offset)?;
            file.len()
        })),
    };
    format!("call {call} of {file}, {other}, {folder:?}: {result}")
}

fn told<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// Everything at once, by a seed: the image after every round, and the counts it ends with.
fn stormy_run(seed: u64) -> (Vec<Image>, FaultCounts) {
    let disk = SimDisk::new(seed);
    let mut random = Random::new(seed).fork("calls");
    let mut images = Vec::new();
    for round in 0..40 {
        disk.set_faults(Faults {
            write_error_per_mille: 50,
            short_write_per_mille: 50,
            sync_error_per_mille: 50,
            lying_sync_per_mille: 50,
            read_error_per_mille: 50,
            read_rot_per_mille: 50,
            latent_rot_per_mille: 50,
            entry_error_per_mille: 50,
            disk_full_after: (round % 4 == 3).then_some(500),
            power_off_after: (round % 4 == 2).then_some(20),
            storm: None,
        });
        for _ in 0..40 {
            random_call(&disk, &mut random);
        }
        if random.chance(700) {
            disk.crash(&mut random);
        } else {
            disk.kill();
        }
        images.push(disk.image());
    }
    (images, disk.counts())
}

#[test]
fn one_seed_gives_identical_bytes() {
    let mut stories = BTreeSet::new();
    for seed in 0..8 {
        let (images, counts) = stormy_run(seed);
        assert_eq!((images.clone(), counts), stormy_run(seed), "seed {seed}");
        assert!(
            images.iter().any(|image| !image.is_empty()),
            "seed {seed} left no byte to compare"
        );
        stories.insert(images);
    }
    assert_eq!(stories.len(), 8, "another seed is another story");
}

#[test]
fn every_fault_of_a_storm_is_counted() {
    let mut total = [0; 17];
    for seed in 0..8 {
        let c = stormy_run(seed).1;
        let counts = [
            c.write_errors,
            c.short_writes,
            c.sync_errors,
            c.writes_dropped_by_sync,
            c.lying_syncs,
            c.read_errors,
            c.read_rots,
            c.latent_rots,
            c.entry_errors,
            c.full,
            c.power_offs,
            c.crashes,
            c.kills,
            c.writes_kept,
            c.writes_lost,
            c.entries_kept,
            c.entries_lost,
        ];
        total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    assert!(total.iter().all(|&count| count > 0), "{total:?}");
}

/// Crashes forks of one moment many times and gives every image that came out.
fn crashes(disk: &SimDisk) -> BTreeSet<Image> {
    let crashed = |seed| {
        let fork = disk.fork(seed);
        fork.crash(&mut Random::new(seed));
        assert_eq!(fork.image(), *fork.snapshot().files(), "after a crash all is durable");
        fork.image()
    };
    (0..400).map(crashed).collect()
}

/// What one file holds in those images; `None` where it is missing.
fn outcomes(disk: &SimDisk, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    crashes(disk).into_iter().map(|mut image| image.remove(path)).collect()
}

fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

/// A disk with one durable file.
fn disk_with(path: &str, bytes: &[u8]) -> (SimDisk, Box<dyn File>) {
    let disk = SimDisk::new(1);
    disk.write(path, bytes).unwrap();
    let file = disk.open(path, OpenMode::Write).unwrap();
    (disk, file)
}

#[test]
fn synced_bytes_survive_every_crash() {
    let (disk, file) = disk_with("journal", b"");
    let mut synced = Vec::new();
    let mut random = Random::new(3);
    for round in 0..5_u8 {
        let bytes = vec![round + 1; 1 + random.index(3000)];
        file.write_all_at(&bytes, u64::try_from(synced.len()).unwrap()).unwrap();
        file.sync().unwrap();
        synced.extend(bytes);
        file.write_all_at(&[0xff; 2000], u64::try_from(synced.len()).unwrap()).unwrap();
        for outcome in outcomes(&disk, "journal") {
            let bytes = outcome.expect("the name is durable");
            assert!(bytes.starts_with(&synced), "round {round}");
            let tail = &bytes[synced.len()..];
            assert!(tail.iter().all(|byte| [0, 0xff].contains(byte)) && tail.len() <= 2000);
        }
    }
}

#[test]
fn unsynced_bytes_may_go_stay_or_tear() {
    let (disk, file) = disk_with("f", &[1; 1024]);
    file.write_all_at(&[2; 1024], 0).unwrap();
    let outcomes = outcomes(&disk, "f");
    let has = |first: usize, second: usize| {
        let bytes = [vec![2; first], vec![1; 512 - first], vec![2; second], vec![1; 512 - second]];
        outcomes.contains(&Some(bytes.concat()))
    };
    assert!(has(0, 0), "lost");
    assert!(has(512, 512), "kept");
    assert!(has(512, 0), "torn between the sectors");
    assert!(has(0, 512), "the second sector only");
    let inside = (1..512).any(|kept| has(kept, 0)) && (1..512).any(|kept| has(512, kept));
    assert!(inside, "torn inside a sector");
}

#[test]
fn writes_before_a_sync_are_not_ordered() {
    let (disk, file) = disk_with("f", &[0; 4]);
    for (offset, bytes) in [(0, b"a"), (1, b"b"), (2, b"c")] {
        file.write_all_at(bytes, offset).unwrap();
    }
    let all: BTreeSet<Option<Vec<u8>>> = (0..8_u8)
        .map(|bits| {
            let kept = |bit: u8, byte| if bits & (1 << bit) == 0 { 0 } else { byte };
            some(&[kept(0, b'a'), kept(1, b'b'), kept(2, b'c'), 0])
        })
        .collect();
    assert_eq!(outcomes(&disk, "f"), all, "every subset comes up, and nothing else");
}

#[test]
fn a_later_write_wins_where_both_survive() {
    let (disk, file) = disk_with("f", b"0");
    file.write_all_at(b"1", 0).unwrap();
    file.write_all_at(b"2", 0).unwrap();
    assert_eq!(outcomes(&disk, "f"), BTreeSet::from([some(b"0"), some(b"1"), some(b"2")]));
}

#[test]
fn lengths_are_lost_like_writes() {
    let (disk, file) = disk_with("f", b"abcd");
    file.set_len(2).unwrap();
    file.set_len(3).unwrap();
    let expected = [b"abcd".as_slice(), b"ab", b"ab\0", b"abc"].map(some);
    assert_eq!(outcomes(&disk, "f"), BTreeSet::from(expected));
}

/// `make` runs over the durable files `old` = "old" and `d/x` = "x"; `expected` are the images
/// (paths and contents) that crashes may leave, all of which must come up.
#[track_caller]
fn check_names(make: impl Fn(&SimDisk), expected: &[&[(&str, &str)]]) {
    let disk = SimDisk::new(1);
    disk.write("old", b"old").unwrap();
    disk.write("d/x", b"x").unwrap();
    make(&disk);
    let expected: BTreeSet<Image> = expected
        .iter()
        .map(|files| {
            let owned = |&(path, bytes): &(&str, &str)| (path.to_owned(), bytes.into());
            files.iter().map(owned).collect()
        })
        .collect();
    assert_eq!(crashes(&disk), expected);
}

fn create_synced(disk: &SimDisk, path: &str, bytes: &[u8]) {
    let file = disk.open(path, OpenMode::Create).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync().unwrap();
}

const BEFORE: [(&str, &str); 2] = [("d/x", "x"), ("old", "old")];

#[test]
fn a_synced_file_may_vanish_until_its_folder_is_synced() {
    let create = |disk: &SimDisk| create_synced(disk, "d/n", b"new");
    let after: &[_] = &[("d/n", "new"), ("d/x", "x"), ("old", "old")];
    check_names(create, &[&BEFORE, after]);
    let wrong_folder = |disk: &SimDisk| {
        create(disk);
        disk.sync_dir("").unwrap();
    };
    check_names(wrong_folder, &[&BEFORE, after]);
    let synced = |disk: &SimDisk| {
        create(disk);
        disk.sync_dir("d").unwrap();
    };
    check_names(synced, &[after]);
}

#[test]
fn a_rename_may_be_undone_until_the_folder_is_synced() {
    let rename = |disk: &SimDisk| {
        create_synced(disk, "new", b"new");
        disk.sync_dir("").unwrap();
        disk.rename("new", "old").unwrap();
    };
    let undone: &[_] = &[("d/x", "x"), ("new", "new"), ("old", "old")];
    let done: &[_] = &[("d/x", "x"), ("old", "new")];
    check_names(rename, &[undone, done]);
    let synced = |disk: &SimDisk| {
        rename(disk);
        disk.sync_dir("").unwrap();
    };
    check_names(synced, &[done]);
}

#[test]
fn a_removal_may_be_undone_until_the_folder_is_synced() {
    let remove = |disk: &SimDisk| disk.remove("old").unwrap();
    check_names(remove, &[&BEFORE, &[("d/x", "x")]]);
    let synced = |disk: &SimDisk| {
        remove(disk);
        disk.sync_dir("").unwrap();
    };
    check_names(synced, &[&[("d/x", "x")]]);
}

#[test]
fn a_rename_between_folders_needs_both_synced() {
    let done: &[_] = &[("d/x", "x"), ("d/y", "old")];
    for (synced, expected) in [
        (vec![], vec![BEFORE.as_slice(), done]),
        (vec!["d"], vec![BEFORE.as_slice(), done]),
        (vec![""], vec![BEFORE.as_slice(), done]),
        (vec!["", "d"], vec![done]),
    ] {
        let make = |disk: &SimDisk| {
            disk.rename("old", "d/y").unwrap();
            synced.iter().for_each(|dir| disk.sync_dir(dir).unwrap());
        };
        check_names(make, &expected);
    }
}

#[test]
fn a_durable_step_takes_along_what_it_builds_upon() {
    let make = |disk: &SimDisk| {
        disk.rename("old", "d/y").unwrap();
        disk.rename("d/y", "d/z").unwrap();
        disk.sync_dir("d").unwrap();
    };
    check_names(make, &[&[("d/x", "x"), ("d/z", "old")]]);
}

/// Steps on different paths are lost independently; steps on one path keep their order.
#[test]
fn names_survive_in_consistent_subsets() {
    let make = |disk: &SimDisk| {
        disk.rename("old", "a").unwrap();
        disk.remove("d/x").unwrap();
        disk.rename("a", "b").unwrap();
    };
    check_names(
        make,
        &[
            &BEFORE,
            &[("old", "old")],
            &[("a", "old"), ("d/x", "x")],
            &[("a", "old")],
            &[("b", "old"), ("d/x", "x")],
            &[("b", "old")],
        ],
    );
}

#[test]
fn folders_survive_at_once() {
    let disk = SimDisk::new(1);
    disk.create_dir("a/b").unwrap();
    disk.crash(&mut Random::new(1));
    assert!(disk.exists("a/b").unwrap());
}

/// `replace_durably` cut at every moment, with every fate: the old or the new content, and the new
/// once it returned.
#[test]
fn replacing_durably_is_all_or_nothing_at_every_moment() {
    let old_disk = SimDisk::new(1);
    replace_durably(&old_disk, "file", &[1; 1500]).unwrap();
    let mut left = BTreeSet::new();
    let call_count = {
        let disk = old_disk.fork(0);
        replace_durably(&disk, "file", &[2; 1800]).unwrap();
        disk.change_count() - old_disk.change_count()
    };
    for moment in 0..=call_count {
        for seed in 0..100 {
            let disk = old_disk.fork(seed);
            disk.set_faults(Faults { power_off_after: Some(moment), ..Faults::default() });
            let result = replace_durably(&disk, "file", &[2; 1800]);
            assert_eq!(result.is_ok(), moment == call_count, "the power goes in call {moment}");
            assert_eq!(disk.list("").is_ok(), result.is_ok(), "nothing works without power");
            disk.crash(&mut Random::new(seed));
            let bytes = disk.read("file").unwrap();
            assert!(bytes == [1; 1500] || (bytes == [2; 1800]), "mixed at {moment}, {seed}");
            assert!(result.is_err() || bytes == [2; 1800], "lost after it returned, {seed}");
            left.insert((moment, bytes[0]));
        }
    }
    let last = call_count - 1;
    assert!(left.contains(&(last, 1)) && left.contains(&(last, 2)), "not kept and kept after all");
}

#[test]
fn a_kill_keeps_what_was_written_and_makes_nothing_durable() {
    let (disk, file) = disk_with("f", b"old");
    file.write_all_at(b"new", 0).unwrap();
    disk.rename("f", "g").unwrap();
    disk.kill();
    assert_eq!(disk.image(), Image::from([("g".to_owned(), b"new".to_vec())]));
    let names: BTreeSet<_> = crashes(&disk).into_iter().flat_map(Image::into_iter).collect();
    for (path, bytes) in [("f", b"old"), ("f", b"new"), ("g", b"old"), ("g", b"new")] {
        assert!(names.contains(&(path.to_owned(), bytes.to_vec())), "{path} {bytes:?}");
    }
}

#[test]
fn files_opened_before_a_crash_are_dead() {
    let (disk, file) = disk_with("f", b"abc");
    let snapshot = disk.snapshot();
    let stops: [&dyn Fn(); 3] =
        [&|| disk.crash(&mut Random::new(1)), &|| disk.kill(), &|| disk.restore(&snapshot)];
    let mut file = file;
    for stop in stops {
        assert_eq!(file.len().unwrap(), 3);
        stop();
        assert!(file.len().is_err() && file.sync().is_err() && file.set_len(1).is_err());
        assert!(file.write_all_at(b"x", 0).is_err());
        assert!(file.read_exact_at(&mut [0], 0).is_err());
        assert_eq!(disk.read("f").unwrap(), b"abc", "a dead file changes nothing");
        file = disk.open("f", OpenMode::Write).unwrap();
    }
    assert_eq!(disk.counts().stale_calls, 15);
}

/// After a failed sync the next one succeeds, and yet bytes are missing after a crash.
#[test]
fn a_failed_sync_loses_dirty_writes_for_ever() {
    let (mut lost, mut kept, mut still_seen, mut gone) = (0, 0, 0, 0);
    for seed in 0..200 {
        let disk = SimDisk::new(seed);
        disk.write("f", b"old").unwrap();
        let file = disk.open("f", OpenMode::Write).unwrap();
        file.write_all_at(b"new", 0).unwrap();
        disk.set_faults(Faults { sync_error_per_mille: 1000, ..Faults::default() });
        assert!(file.sync().is_err());
        disk.set_faults(Faults::default());
        let seen = disk.read("f").unwrap();
        file.sync().unwrap();
        disk.crash(&mut Random::new(seed));
        match (seen.as_slice(), disk.read("f").unwrap().as_slice()) {
            (b"new", b"new") => kept += 1,
            (b"new", b"old") => (lost, still_seen) = (lost + 1, still_seen + 1),
            (b"old", b"old") => (lost, gone) = (lost + 1, gone + 1),
            other => panic!("seed {seed}: {other:?}"),
        }
        assert_eq!(disk.counts().sync_errors, 1);
    }
    assert!(lost > 50 && kept > 50 && still_seen > 20 && gone > 20, "{lost} {kept} {still_seen}");
}

#[test]
fn a_lying_sync_keeps_nothing() {
    let (disk, file) = disk_with("f", b"old");
    disk.set_faults(Faults { lying_sync_per_mille: 1000, ..Faults::default() });
    file.write_all_at(b"new", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.counts().lying_syncs, 1);
    assert!(outcomes(&disk, "f").contains(&some(b"old")));
}

/// A failed change took effect or not, and the caller cannot know.
#[test]
fn failed_changes_fail_twice_over() {
    let call = |disk: &SimDisk, kind: usize| match kind {
        0 => disk.open("f", OpenMode::Write).unwrap().write_all_at(b"new", 0),
        1 => disk.open("f", OpenMode::Write).unwrap().set_len(1),
        2 => disk.rename("f", "g"),
        3 => disk.remove("f"),
        4 => disk.open("g", OpenMode::Create).map(drop),
        _ => disk.create_dir("g"),
    };
    for kind in 0..6 {
        let mut unchanged = 0;
        for seed in 0..100 {
            let disk = SimDisk::new(seed);
            disk.write("f", b"old").unwrap();
            let before = (disk.image(), disk.exists("g").unwrap());
            disk.set_faults(Faults {
                write_error_per_mille: 1000,
                entry_error_per_mille: 1000,
                ..Faults::default()
            });
            assert!(call(&disk, kind).is_err());
            let counts = disk.counts();
            assert_eq!(counts.write_errors + counts.entry_errors, 1);
            unchanged += u32::from(before == (disk.image(), disk.exists("g").unwrap()));
        }
        assert!((20..80).contains(&unchanged), "call {kind}: {unchanged} of 100 unchanged");
    }
}

#[test]
fn a_short_write_leaves_a_prefix() {
    let mut lengths = BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        disk.set_faults(Faults { short_write_per_mille: 1000, ..Faults::default() });
        let file = disk.open("f", OpenMode::Create).unwrap();
        assert!(file.write_all_at(b"0123456789", 0).is_err());
        let bytes = disk.read("f").unwrap();
        assert!(bytes.len() < 10 && b"0123456789".starts_with(&bytes));
        lengths.insert(bytes.len());
        assert_eq!(disk.counts().short_writes, 1);
    }
    assert_eq!(lengths.len(), 10, "every prefix comes up");
}

#[test]
fn rot_is_transient_or_latent() {
    let stored = [0x55; 64];
    let differing = |bytes: &[u8]| bytes.iter().zip(stored).filter(|(a, b)| **a != *b).count();
    let (disk, file) = disk_with("f", &stored);
    let mut buffer = [0; 32];

    disk.set_faults(Faults { read_rot_per_mille: 1000, ..Faults::default() });
    file.read_exact_at(&mut buffer, 16).unwrap();
    assert_eq!(differing(&buffer), 1);
    assert_eq!(disk.read("f").unwrap(), stored, "the stored bytes are intact");

    disk.set_faults(Faults { latent_rot_per_mille: 1000, ..Faults::default() });
    file.read_exact_at(&mut buffer, 16).unwrap();
    disk.set_faults(Faults::default());
    assert_eq!(differing(&buffer), 1);
    let mut again = [0; 32];
    file.read_exact_at(&mut again, 16).unwrap();
    assert_eq!(buffer, again, "it stays");
    disk.crash(&mut Random::new(1));
    assert_eq!(disk.read("f").unwrap()[16..48], buffer, "and survives a crash");

    disk.set_faults(Faults { read_error_per_mille: 1000, ..Faults::default() });
    let file = disk.open("f", OpenMode::Read).unwrap();
    assert!(file.read_exact_at(&mut buffer, 0).is_err());
    let counts = disk.counts();
    assert_eq!((counts.read_rots, counts.latent_rots, counts.read_errors), (1, 1, 1));
}

#[test]
fn a_full_disk_takes_what_fits() {
    let disk = SimDisk::new(1);
    disk.set_capacity(10);
    let file = disk.open("f", OpenMode::Create).unwrap();
    file.write_all_at(b"01234567", 0).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 2);
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(file.write_all_at(b"abcd", 8)), ErrorKind::StorageFull);
    assert_eq!(disk.read("f").unwrap(), b"01234567ab", "a prefix fitted");
    file.write_all_at(b"XY", 0).unwrap();
    assert_eq!(kind(file.set_len(11)), ErrorKind::StorageFull);
    assert_eq!(kind(disk.open("g", OpenMode::Create).map(drop)), ErrorKind::StorageFull);
    assert_eq!(disk.counts().full, 3);

    disk.remove("f").unwrap();
    disk.sync_dir("").unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 0, "held open");
    drop(file);
    assert_eq!(disk.free_bytes().unwrap(), 10, "a removed file gives its bytes back");
}

#[test]
fn the_plan_can_fill_the_disk() {
    let (disk, file) = disk_with("f", b"");
    disk.set_faults(Faults { disk_full_after: Some(5), ..Faults::default() });
    file.write_all_at(b"abc", 0).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), 2);
    let error = file.write_all_at(b"defg", 3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!((disk.read("f").unwrap(), disk.counts().full), (b"abcde".to_vec(), 1));
    disk.set_faults(Faults::default());
    file.write_all_at(b"fg", 5).unwrap();
}

#[test]
fn a_snapshot_is_what_was_durable() {
    let (disk, file) = disk_with("d/f", b"old");
    disk.create_dir("empty").unwrap();
    file.write_all_at(b"new", 0).unwrap();
    let snapshot = disk.snapshot();
    assert_eq!(snapshot.files()["d/f"], b"old");
    file.sync().unwrap();
    disk.remove("d/f").unwrap();
    disk.restore(&snapshot);
    assert_eq!(disk.snapshot(), snapshot);
    assert_eq!(disk.read("d/f").unwrap(), b"old");
    assert!(disk.exists("empty").unwrap());
    assert_eq!(crashes(&disk).len(), 1, "a restored disk is at rest");
}

#[test]
fn the_hand_on_the_disk() {
    let (disk, file) = disk_with("d/f", &[0; 4]);
    disk.flip_bit("d/f", 2, 7).unwrap();
    assert_eq!(disk.flip_bit("d/f", 4, 0).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(outcomes(&disk, "d/f"), BTreeSet::from([some(&[0, 0, 0x80, 0])]));
    file.write_all_at(&[1], 0).unwrap();
    disk.copy_dir("d", "e/copy").unwrap();
    assert_eq!(disk.read("e/copy/f").unwrap(), [1, 0, 0x80, 0], "as readers see it");
    assert_eq!(outcomes(&disk, "e/copy/f").len(), 1, "the copy is durable");
    assert_eq!(disk.copy_dir("d", "d/x").unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(disk.copy_dir("x", "y").unwrap_err().kind(), ErrorKind::NotFound);
    disk.write("d/f", b"planted").unwrap();
    assert_eq!(outcomes(&disk, "d/f"), BTreeSet::from([some(b"planted")]));
}
