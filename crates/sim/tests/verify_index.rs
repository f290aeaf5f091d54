//! The index against the journal's entries: the same postings, or a finding.

mod verify_world;

use std::sync::Arc;

use ledgerline_index::terms::postings_of;
use ledgerline_index::{
    Index, IndexConfig, Posting, Progress, TermHasher, TermKind, event_times, parse_run,
};
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_sim::SimDisk;
use ledgerline_verify::{Compared, Verdict, VerifyOptions, VerifyReport, VerifyWorld, verify};
use verify_world::{Frozen, Image, Plan, build};

fn compare(world: &VerifyWorld, postings: Compared) -> VerifyReport {
    verify(world, &VerifyOptions { postings, ..VerifyOptions::default() })
}

fn has(report: &VerifyReport, code: &str) -> bool {
    report.findings.iter().any(|one| one.code == code)
}

/// How many entries the runs cover.
fn covered(data: &Image) -> u64 {
    let runs = data.files.iter().filter(|(path, _)| path.ends_with(".run"));
    runs.map(|(_, bytes)| parse_run(bytes).expect("a run").end).max().expect("runs")
}

/// Everything that entries are found by.
fn all_postings(frozen: &Frozen, hasher: &TermHasher) -> Vec<Posting> {
    let mut postings = Vec::new();
    for (_, batch) in frozen.batches() {
        for (index, (_, bytes)) in (batch.head.first_index..).zip(batch.leaves()) {
            let leaf = Leaf::decode(bytes).expect("a leaf");
            let statement = match &leaf {
                Leaf::Entry(entry) => {
                    Some(decode_object::<Statement<'_>>(Kind::Statement, entry.statement))
                }
                _ => None,
            };
            let statement = statement.map(|read| read.expect("a statement"));
            postings_of(hasher, index, &leaf, statement.as_ref(), &mut postings);
        }
    }
    postings
}

/// The ledger with an index of these postings, whose own sums are all right.
fn with_index(frozen: &Frozen, identity: [u8; 16], postings: &[Posting]) -> VerifyWorld {
    let covered = covered(&frozen.data);
    let disk = SimDisk::new(2);
    let config = IndexConfig { range_log2: 5, fan_in: 2, identity, ..IndexConfig::default() };
    let (index, _) = Index::open(Arc::new(disk.clone()), "index", config).expect("a fresh index");
    let covers = |one: &&Posting| one.index < covered;
    let mut postings: Vec<Posting> = postings.iter().filter(covers).copied().collect();
    postings.sort_by_key(|one| one.index);
    index.note_times(0, covered, &[]);
    index.append(0, covered, &postings);
    while index.step(covered).expect("a step") != Progress::Idle {}
    let mut data: Image = frozen.data.clone();
    data.files.retain(|path, _| !path.starts_with("index/") || path.ends_with(event_times::FILE));
    for (path, bytes) in disk.image() {
        if !path.ends_with(event_times::FILE) {
            data = data.with(&path, bytes);
        }
    }
    VerifyWorld { disk: Arc::new(data), ..frozen.world() }
}

#[test]
fn an_untouched_index_is_what_the_entries_give() {
    let frozen = build(&Plan::small()).frozen;
    for postings in [Compared::Planned, Compared::Every] {
        let report = compare(&frozen.world(), postings);
        assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
        let done = |what: &str| report.checks.iter().any(|one| one.what == what && one.done);
        assert!(done("index against the journal"), "{report:#?}");
    }
    let without_keys = VerifyWorld { keys: None, ..frozen.world() };
    let report = compare(&without_keys, Compared::Every);
    let not_done = |what: &str| report.checks.iter().any(|one| one.what == what && !one.done);
    assert!(not_done("index against the journal"), "{report:#?}");
}

/// One posting left out, added or moved, in an index whose own sums are right.
#[test]
fn another_index_is_found_however_sound_its_files_are() {
    let frozen = build(&Plan::small()).frozen;
    let hasher = TermHasher::new(frozen.keys.index);
    let postings = all_postings(&frozen, &hasher);
    let same = with_index(&frozen, hasher.identity(), &postings);
    assert_eq!(compare(&same, Compared::Every).verdict, Verdict::Verified);
    let kinds = [TermKind::EventId, TermKind::Chain, TermKind::Client, TermKind::Life];
    for kind in kinds {
        let next = |one: &Posting| Posting { index: one.index + 1, ..*one };
        let is_it = |one: &Posting| one.term.kind == kind as u8 && !postings.contains(&next(one));
        let at = postings.iter().position(is_it).expect("a posting of every kind");
        let mut less = postings.clone();
        let one = less.remove(at);
        let (mut more, mut moved) = (postings.clone(), less.clone());
        more.push(next(&one));
        moved.push(next(&one));
        for changed in [&less, &more, &moved] {
            let world = with_index(&frozen, hasher.identity(), changed);
            let report = compare(&world, Compared::Every);
            assert_eq!(report.verdict, Verdict::NotVerified, "{kind:?}: {report:#?}");
            assert!(has(&report, "index_file"), "{kind:?}: {report:#?}");
            assert_eq!(report.first_bad_index, None, "no entry is affected: {report:#?}");
            // What new entries are planned from is compared by every verification.
            let is_planned = matches!(kind, TermKind::EventId | TermKind::Chain);
            let by_all = compare(&world, Compared::Planned).verdict == Verdict::NotVerified;
            assert_eq!(by_all, is_planned, "{kind:?}");
        }
    }
}

/// The runs of a version that found entries by other things: nothing is compared, and that is said.
#[test]
fn runs_of_another_choice_of_terms_were_called_verified() {
    let frozen = build(&Plan::small()).frozen;
    let world = with_index(&frozen, [1; 16], &[]);
    for postings in [Compared::Planned, Compared::Every] {
        let report = compare(&world, postings);
        assert_eq!(report.verdict, Verdict::Incomplete, "{report:#?}");
        assert!(has(&report, "index_terms"), "{report:#?}");
    }
}

/// Event times that are well-formed and leave an entry out of its window.
#[test]
fn event_times_that_hide_an_entry_are_found() {
    let frozen = build(&Plan::small()).frozen;
    let path = format!("index/{}", event_times::FILE);
    let stored = frozen.data.files.get(&path).expect("event times").clone();
    let disk = SimDisk::new(4);
    let identity = TermHasher::new(frozen.keys.index).identity();
    let config = IndexConfig { range_log2: 5, fan_in: 2, identity, ..IndexConfig::default() };
    let (index, _) = Index::open(Arc::new(disk.clone()), "index", config).expect("a fresh index");
    let covered = covered(&frozen.data);
    index.note_times(0, covered, &[]);
    index.append(0, covered, &[]);
    while index.step(covered).expect("a step") != Progress::Idle {}
    let empty = disk.image().into_iter().find(|(name, _)| *name == path).expect("event times").1;
    assert_eq!(empty.len(), stored.len());
    let report = frozen.with_data(frozen.data.with(&path, empty)).verify();
    assert!(has(&report, "index_file"), "{report:#?}");
    // A page that a crash tore, behind what runs cover: the next start notes it again.
    let torn = [&stored[..], &[7; 9]].concat();
    let report = frozen.with_data(frozen.data.with(&path, torn)).verify();
    assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    // A folder of before they were kept, or one that lost them: nothing is hidden.
    let mut data: Image = frozen.data.clone();
    data.files.remove(&path);
    let report = frozen.with_data(data).verify();
    assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    for offset in [50, stored.len() as u64 - 3] {
        let report = frozen.with_data(frozen.data.flipped(&path, offset, 2)).verify();
        assert_eq!(report.verdict, Verdict::NotVerified, "{offset}: {report:#?}");
    }
}
