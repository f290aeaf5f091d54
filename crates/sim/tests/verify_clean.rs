//! Ledgers that nobody touched verify; what cannot be checked is said.

mod verify_world;

use ledgerline_verify::{Severity, Verdict, VerifyOptions, VerifyWorld, verify};
use verify_world::{Frozen, Plan, build};

#[test]
fn a_clean_ledger_with_everything_in_it_verifies() {
    let built = build(&Plan::small());
    let report = built.frozen.verify();
    assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    let counting = report.findings.iter().filter(|one| one.severity < Severity::Notice);
    assert_eq!(counting.count(), 0, "{:#?}", report.findings);
    let not_done: Vec<_> = report.checks.iter().filter(|one| !one.done).collect();
    assert_eq!(not_done.len(), 1, "all but older checkpoints: {not_done:?}");
    let counts = &report.counts;
    assert!(counts.segments > 1 && counts.blocks > 4 && counts.controls > 10, "{counts:?}");
    assert!(counts.signatures > 30 && counts.sealed > 20, "{counts:?}");
    assert!(counts.erased > 3 && counts.attachments == 1 && counts.seen == 1, "{counts:?}");
    assert_eq!(counts.opened, counts.sealed, "every record that is not erased opens");
    assert!(report.lifecycle_violations.contains_key("use_after_revoke"), "{report:?}");
    assert!(serde_json::to_string(&report).unwrap().contains("\"verdict\":\"verified\""));
    for word in ["user-1", "user-0", "203.0.113.7"] {
        assert!(!format!("{report:?}").contains(word), "{word} in the report");
    }
}

#[test]
fn older_checkpoints_are_confirmed() {
    let built = build(&Plan::small());
    let report = built.frozen.verify_since(vec![built.middle.0.clone()]);
    assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    assert!(report.checks.iter().all(|one| one.done), "{:#?}", report.checks);
    let report = built.frozen.verify_since(vec![b"no note".to_vec()]);
    assert_eq!(report.verdict, Verdict::NotVerified);
}

#[test]
fn without_keys_and_head_it_says_what_is_not_proven() {
    let built = build(&Plan::small());
    let world = VerifyWorld { keys: None, head: None, ..built.frozen.world() };
    let report = verify(&world, &VerifyOptions::default());
    assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    let not_done: Vec<_> =
        report.checks.iter().filter(|one| !one.done).map(|one| one.what).collect();
    for what in ["commit MACs", "producers' signatures", "vault files", "head store"] {
        assert!(not_done.contains(&what), "{what}: {not_done:?}");
    }
    assert!(report.unverifiable["h1"] > 0 && report.unverifiable["h2"] > 0, "{report:?}");
    assert!(report.counts.signatures > 0, "Ed25519 needs no secret");
}

/// Whoever truncates the journal may remove the head as well; the fuzzer found it verified.
#[test]
fn a_truncation_with_the_head_removed_is_not_verified() {
    let built = build(&Plan::small());
    let headless = Frozen { head: verify_world::Image::default(), ..built.frozen.clone() };
    let report = headless.verify();
    assert_eq!(report.verdict, Verdict::Incomplete, "{report:#?}");
    let mut data = built.frozen.data.clone();
    data.files.remove(&verify_world::last_segment(&built.frozen.data));
    data.files.retain(|path, _| !path.starts_with("tree/") && !path.starts_with("index/"));
    let truncated = headless.with_data(data).verify();
    assert!(truncated.size < report.size, "nothing was cut off");
    assert_ne!(truncated.verdict, Verdict::Verified, "{truncated:#?}");
}

#[test]
fn threads_and_passes_give_the_same_answer() {
    let built = build(&Plan::small());
    let world = built.frozen.world();
    let one = built.frozen.verify();
    let many = verify(&world, &VerifyOptions { threads: 4, ..VerifyOptions::default() });
    assert_eq!(many, one);
    // So little memory that the hashes are dealt to many passes.
    let options = VerifyOptions { chain_memory_bytes: 3 << 10, ..VerifyOptions::default() };
    let mut thrifty = verify(&world, &options);
    assert!(thrifty.counts.passes > 2, "{:?}", thrifty.counts);
    thrifty.counts.passes = 1;
    assert_eq!(thrifty, one);
}

#[test]
fn an_empty_folder_and_junk_are_not_verified() {
    let built = build(&Plan::small());
    for files in [vec![], vec![("journal/00000000.seg", vec![7; 5000])]] {
        let mut data = verify_world::Image::default();
        for (path, bytes) in files {
            data = data.with(path, bytes);
        }
        let report = built.frozen.with_data(data).verify();
        assert_eq!(report.verdict, Verdict::NotVerified, "{report:?}");
        assert_eq!(report.first_bad_index, Some(0));
    }
}

#[test]
fn progress_reaches_the_end() {
    use std::sync::Mutex;
    let built = build(&Plan::small());
    let last = Mutex::new(None);
    let note = |progress| *last.lock().unwrap() = Some(progress);
    let options = VerifyOptions { progress: Some(&note), ..VerifyOptions::default() };
    let report = verify(&built.frozen.world(), &options);
    let last = last.lock().unwrap().expect("it was told");
    assert_eq!((last.pass, last.entries), (1, report.size));
    assert!(last.bytes_done <= last.bytes_total && last.bytes_total == report.counts.journal_bytes);
}
