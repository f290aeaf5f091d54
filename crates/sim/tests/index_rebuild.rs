//! The index built a second time: the same bytes and answers, or a finding.

mod verify_world;

use std::sync::Arc;

use ledgerline_index::{Index, IndexConfig, Posting, Progress, TermHasher, TermKind};
use ledgerline_sim::SimDisk;
use ledgerline_verify::{IndexCheckError, IndexReport, Verdict, VerifyWorld, verify, verify_index};
use ledgerline_world::disk::Disk;
use verify_world::{Image, Plan, build};

fn compare(world: &VerifyWorld) -> IndexReport {
    verify_index(world, Arc::new(SimDisk::new(1)), 20, None).expect("there is a ledger")
}

#[test]
fn an_untouched_index_is_byte_for_byte_what_the_entries_give() {
    let built = build(&Plan::small());
    let report = compare(&built.frozen.world());
    assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    assert!(report.runs > 1 && report.runs_identical == report.runs, "{report:?}");
    assert!(report.samples > 30 && report.sampled_hits > report.samples, "{report:?}");
    let without_keys = VerifyWorld { keys: None, ..built.frozen.world() };
    let refused = verify_index(&without_keys, Arc::new(SimDisk::new(1)), 20, None);
    assert!(matches!(refused, Err(IndexCheckError::NoKeys)));
}

/// An index whose own sums are right, but which leaves out or adds one posting.
#[test]
fn another_index_is_found_however_sound_its_files_are() {
    let built = build(&Plan::small());
    let frozen = &built.frozen;
    let hasher = TermHasher::new(frozen.keys.index);
    let covered = compare(&frozen.world()).covered;
    let disk = SimDisk::new(2);
    let config = IndexConfig {
        range_log2: 5,
        fan_in: 2,
        identity: hasher.identity(),
        ..IndexConfig::default()
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (index, _) = Index::open(shared, "index", config).expect("a fresh index");
    let term = hasher.term(TermKind::Client, "", &[b"nobody"]);
    index.note_times(0, covered, &[]);
    index.append(0, covered, &[Posting { term, index: 3, uuid_millis: None }]);
    while index.step(covered).expect("a step") != Progress::Idle {}
    let mut data: Image = frozen.data.clone();
    data.files.retain(|path, _| !path.starts_with("index/"));
    for (path, bytes) in disk.image() {
        data = data.with(&path, bytes);
    }
    let world = VerifyWorld { disk: Arc::new(data), ..frozen.world() };
    let report = compare(&world);
    assert_eq!(report.verdict, Verdict::NotVerified, "{report:#?}");
    assert_eq!(report.runs_identical, 0, "{report:?}");
    let codes: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
    assert!(codes.contains(&"index_bytes") && codes.contains(&"index_answer"), "{codes:?}");
    assert_eq!(verify(&world, &Default::default()).verdict, Verdict::NotVerified);
}

/// The runs of a version that found entries by other things: nothing is compared, and that is said.
#[test]
fn runs_of_another_choice_of_terms_were_called_verified() {
    let built = build(&Plan::small());
    let covered = compare(&built.frozen.world()).covered;
    let disk = SimDisk::new(3);
    let config =
        IndexConfig { range_log2: 5, fan_in: 2, identity: [1; 16], ..IndexConfig::default() };
    let (index, _) = Index::open(Arc::new(disk.clone()), "index", config).expect("a fresh index");
    index.note_times(0, covered, &[]);
    index.append(0, covered, &[]);
    while index.step(covered).expect("a step") != Progress::Idle {}
    let mut data: Image = built.frozen.data.clone();
    data.files.retain(|path, _| !path.starts_with("index/"));
    for (path, bytes) in disk.image() {
        data = data.with(&path, bytes);
    }
    let report = compare(&VerifyWorld { disk: Arc::new(data), ..built.frozen.world() });
    assert_eq!((report.verdict, report.covered), (Verdict::Incomplete, 0), "{report:#?}");
    assert!(report.findings.iter().any(|one| one.code == "index_terms"), "{report:#?}");
}

/// Event times that are well-formed and leave an entry out of its window.
#[test]
fn event_times_that_hide_an_entry_are_found() {
    let built = build(&Plan::small());
    let path = format!("index/{}", ledgerline_index::event_times::FILE);
    let stored = built.frozen.data.files.get(&path).expect("event times").clone();
    let disk = SimDisk::new(4);
    let identity = TermHasher::new(built.frozen.keys.index).identity();
    let config = IndexConfig { range_log2: 5, fan_in: 2, identity, ..IndexConfig::default() };
    let (index, _) = Index::open(Arc::new(disk.clone()), "index", config).expect("a fresh index");
    let covered = compare(&built.frozen.world()).covered;
    index.note_times(0, covered, &[]);
    index.append(0, covered, &[]);
    while index.step(covered).expect("a step") != Progress::Idle {}
    let empty = disk.image().into_iter().find(|(name, _)| *name == path).expect("event times").1;
    assert_eq!(empty.len(), stored.len());
    for bytes in [empty, stored[..stored.len() - 1].to_vec()] {
        let data = built.frozen.data.with(&path, bytes.clone());
        let report = compare(&VerifyWorld { disk: Arc::new(data), ..built.frozen.world() });
        let found = report.findings.iter().any(|one| one.code == "index_bytes");
        assert!(found || bytes.len() < stored.len(), "{report:#?}");
    }
    // A page that a crash tore, behind what runs cover: the next start notes it again.
    let torn = [&stored[..], &[7; 9]].concat();
    let data = built.frozen.data.with(&path, torn);
    let report = compare(&VerifyWorld { disk: Arc::new(data), ..built.frozen.world() });
    assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    // A folder of before they were kept, or one that lost them: nothing is hidden.
    let mut data: Image = built.frozen.data.clone();
    data.files.remove(&path);
    let report = compare(&VerifyWorld { disk: Arc::new(data), ..built.frozen.world() });
    assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    for offset in [50, stored.len() as u64 - 3] {
        let data = built.frozen.data.flipped(&path, offset, 2);
        let report = compare(&VerifyWorld { disk: Arc::new(data), ..built.frozen.world() });
        assert_eq!(report.verdict, Verdict::NotVerified, "{offset}: {report:#?}");
    }
}

#[test]
fn a_flipped_bit_in_a_run_is_found() {
    let built = build(&Plan::small());
    let run = built.frozen.data.files.iter().find(|(path, _)| path.ends_with(".run"));
    let (path, bytes) = run.expect("a run");
    for offset in [10, 60, bytes.len() as u64 / 2, bytes.len() as u64 - 3] {
        let data = built.frozen.data.flipped(path, offset, 2);
        let report = compare(&VerifyWorld { disk: Arc::new(data), ..built.frozen.world() });
        assert_eq!(report.verdict, Verdict::NotVerified, "{offset}: {report:#?}");
    }
}
