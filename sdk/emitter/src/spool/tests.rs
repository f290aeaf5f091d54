//! The spool against a model: a list in memory.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn settings(folder: &Path, max_bytes: u64) -> SpoolSettings {
    SpoolSettings { folder: folder.to_owned(), max_bytes, segment_bytes: 512 }
}

fn payloads(found: &[(Vec<u8>, Position)]) -> Vec<Vec<u8>> {
    found.iter().map(|(payload, _)| payload.clone()).collect()
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("one").path());
    let mut found: Vec<PathBuf> = entries.filter(|path| number_of(path).is_some()).collect();
    found.sort();
    found
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").len()
}

/// Payloads of one size, each of bytes that say which it is.
fn numbered(count: usize, size: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| vec![u8::try_from(n).unwrap_or(0); size]).collect()
}

/// Everything that is left, in order.
fn rest(spool: &mut Spool) -> Vec<Vec<u8>> {
    payloads(&spool.peek(usize::MAX, usize::MAX).expect("readable"))
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>),
    Deliver(usize),
    /// The process is killed: nothing is closed in order.
    Kill,
    /// The position file is gone as well.
    KillAndForget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => prop::collection::vec(0_usize..300, 1..6).prop_map(Step::Append),
        3 => (0_usize..8).prop_map(Step::Deliver),
        1 => Just(Step::Kill),
        1 => Just(Step::KillAndForget),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn it_is_a_bounded_list_that_survives_kills(steps in steps()) {
        let folder = tempfile::tempdir().expect("a folder");
        let bound = 4096;
        let mut spool = Some(Spool::open(settings(folder.path(), bound)).expect("a spool"));
        let (mut model, mut made) = (VecDeque::<Vec<u8>>::new(), 0_u32);
        for step in steps {
            match step {
                Step::Append(sizes) => {
                    let batch: Vec<Vec<u8>> = sizes.iter().map(|size| {
                        made += 1;
                        [&made.to_be_bytes()[..], &vec![0xfe; *size]].concat()
                    }).collect();
                    let spool = spool.as_mut().expect("open");
                    let ends = spool.append(&batch).expect("a disk");
                    model.extend(batch.iter().take(ends.len()).cloned());
                    if let Some(first) = batch.get(ends.len()) {
                        prop_assert!(spool.room() < (OVERHEAD + first.len()) as u64);
                    }
                }
                Step::Deliver(count) => {
                    let spool = spool.as_mut().expect("open");
                    let found = spool.peek(count, usize::MAX).expect("readable");
                    let expected: Vec<_> = model.iter().take(count).cloned().collect();
                    prop_assert_eq!(payloads(&found), expected);
                    if let Some((_, end)) = found.last() {
                        spool.advance(*end, found.len() as u64).expect("noted");
                        model.drain(..found.len());
                    }
                }
                Step::Kill | Step::KillAndForget => {
                    drop(spool.take());
                    let forget = matches!(step, Step::KillAndForget);
                    if forget {
                        fs::remove_file(folder.path().join("position")).expect("it was there");
                    }
                    let mut again = Spool::open(settings(folder.path(), bound)).expect("a spool");
                    let found = rest(&mut again);
                    if forget {
                        // Some are there for a second time, in front of the others; none is lost.
                        prop_assert!(found.len() >= model.len());
                        let twice = found.len() - model.len();
                        prop_assert_eq!(&found[twice..], &model.make_contiguous()[..]);
                        model = found.into();
                    } else {
                        prop_assert_eq!(&found, model.make_contiguous());
                    }
                    prop_assert_eq!(again.damage(), Damage::default());
                    spool = Some(again);
                }
            }
            let spool = spool.as_mut().expect("open");
            prop_assert_eq!(spool.records(), model.len() as u64);
            let on_disk: u64 = segments(folder.path()).iter().map(|one| length(one)).sum();
            prop_assert_eq!(on_disk, spool.bytes());
            prop_assert!(on_disk <= bound);
        }
        prop_assert_eq!(rest(spool.as_mut().expect("open")), Vec::from(model));
    }

    #[test]
    fn a_torn_tail_is_cut_and_counted(count in 1_usize..8, lost in 1_u64..400) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::open(settings(folder.path(), 1 << 20)).expect("a spool");
        let batch = numbered(count, 50);
        let ends = spool.append(&batch).expect("a disk");
        drop(spool);
        let last = segments(folder.path()).pop().expect("a segment");
        let length = fs::metadata(&last).expect("one").len();
        let left = length.saturating_sub(lost);
        OpenOptions::new().write(true).open(&last).expect("one").set_len(left).expect("cut");
        let number = number_of(&last).expect("a segment");
        let whole = ends.iter().filter(|end| end.segment < number || end.offset <= left).count();
        let mut spool = Spool::open(settings(folder.path(), 1 << 20)).expect("a spool");
        prop_assert_eq!(rest(&mut spool), batch[..whole].to_vec());
        let sound = ends[..whole].iter().filter(|end| end.segment == number);
        let sound = sound.map(|end| end.offset).max().unwrap_or(0);
        prop_assert_eq!(spool.damage(), Damage { torn_bytes: left - sound, damaged: 0 });
        // It goes on behind the cut.
        let more = vec![b"more".to_vec()];
        spool.append(&more).expect("a disk");
        prop_assert_eq!(rest(&mut spool), [&batch[..whole], &more[..]].concat());
    }

    #[test]
    fn a_flipped_bit_loses_its_record_alone_and_is_counted(
        count in 2_usize..8, at in 0_usize..10_000, bit in 0_u8..8,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::open(settings(folder.path(), 1 << 20)).expect("a spool");
        let batch = numbered(count, 200);
        spool.append(&batch).expect("a disk");
        drop(spool);
        let files = segments(folder.path());
        let mut at = at % (count * 212);
        let struck = at / 212;
        for file in files {
            let mut bytes = fs::read(&file).expect("a segment");
            if at < bytes.len() {
                bytes[at] ^= 1 << bit;
                fs::write(&file, bytes).expect("written");
                break;
            }
            at -= bytes.len();
        }
        let mut spool = Spool::open(settings(folder.path(), 1 << 20)).expect("a spool");
        let mut expected = batch;
        expected.remove(struck);
        prop_assert_eq!(rest(&mut spool), expected);
        let Damage { torn_bytes, damaged } = spool.damage();
        prop_assert!(torn_bytes > 0 || damaged == 1, "{torn_bytes} {damaged}");
    }
}

#[test]
fn a_record_counts_in_its_own_place_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(settings(folder.path(), 1 << 20)).expect("a spool");
    // A payload that is a record itself, as somebody would write it who wants to be found.
    let mut inner = Vec::new();
    put(&mut inner, Position { segment: 0, offset: 0 }, b"forged");
    spool.append(&[inner.clone(), b"last".to_vec()]).expect("a disk");
    drop(spool);
    let file = segments(folder.path()).remove(0);
    let mut bytes = fs::read(&file).expect("a segment");
    bytes[5] ^= 1;
    fs::write(&file, bytes).expect("written");
    let mut spool = Spool::open(settings(folder.path(), 1 << 20)).expect("a spool");
    assert_eq!(rest(&mut spool), [b"last".to_vec()]);
}

#[test]
fn one_process_uses_a_folder_and_only_its_owner_reads_it() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("spool");
    let mut spool = Spool::open(settings(&inner, 1 << 20)).expect("a spool");
    assert!(matches!(Spool::open(settings(&inner, 1 << 20)), Err(SpoolError::Locked)));
    spool.append(&[b"a".to_vec()]).expect("a disk");
    assert_eq!(fs::metadata(&inner).expect("a folder").mode() & 0o777, 0o700);
    for entry in fs::read_dir(&inner).expect("a folder") {
        let mode = entry.expect("one").metadata().expect("one").mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    drop(spool);
    assert!(Spool::open(settings(&inner, 1 << 20)).is_ok());
}

#[test]
fn what_is_damaged_while_it_lies_there_does_not_stop_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut spool = Spool::open(settings(folder.path(), 1 << 20)).expect("a spool");
    spool.append(&[vec![1; 100]]).expect("a disk");
    let file = segments(folder.path()).remove(0);
    fs::write(&file, vec![0; 112]).expect("written");
    assert!(rest(&mut spool).is_empty());
    assert!(spool.is_empty());
    assert_eq!(spool.damage().damaged, 1);
    spool.append(&[b"next".to_vec()]).expect("a disk");
    assert_eq!(rest(&mut spool), [b"next".to_vec()]);
}
