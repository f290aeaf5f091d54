//! The published bundles, good and bad: generated, compared, and run from the files alone.
//!
//! Each case is two files in `vectors/bundles`: `<name>.json`, the bundle, and
//! `<name>.expected.json`, what the checker holds and what it must say. `why` is for people; the
//! rest of a report counts. `UPDATE_VECTORS=1 cargo test -p ledgerline-proof --test bundle_vectors`
//! rewrites them. What a case must give stands in the case, not in the code under test.

#[path = "bundles/cases.rs"]
mod cases;
#[path = "bundles/ledger.rs"]
mod ledger;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cases::{ALL, Case, Expected, HONEST, all_good};
use ledger::log_key;
use ledgerline_proof::bundle::{Base64, Bundle};
use ledgerline_proof::check::{CheckError, CheckReport, Claim, Status, Trust, Verdict, check};
use ledgerline_proof::note::VerifierKey;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// The second file of a case.
#[derive(Serialize)]
struct Published<'a> {
    about: &'a str,
    log_keys: Vec<String>,
    hmac_secrets: BTreeMap<&'a str, Base64>,
    previous: Option<&'a str>,
    /// `report` or `malformed`.
    result: &'a str,
    report: Option<&'a CheckReport>,
}

/// The same file as another implementation reads it.
#[derive(Deserialize)]
struct ReadBack {
    log_keys: Vec<String>,
    hmac_secrets: BTreeMap<String, Base64>,
    previous: Option<String>,
    result: String,
    report: Option<serde_json::Value>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/bundles")
}

fn log_keys() -> Vec<VerifierKey> {
    vec![log_key(1).verifier_key().clone()]
}

fn run(case: &Case) -> Result<CheckReport, CheckError> {
    let trust = Trust {
        log_keys: &log_keys(),
        hmac_secrets: &case.held.hmac,
        previous: case.held.previous.as_deref(),
    };
    check(&case.bundle, &trust)
}

/// The claims that are not proven, `true` for failed.
fn open_claims(report: &CheckReport) -> Vec<String> {
    let open = |claim: &Claim| match &claim.status {
        Status::Proven => None,
        Status::NotProven(_) => Some(format!("{:?} open", claim.claim)),
        Status::Failed(_) => Some(format!("{:?} failed", claim.claim)),
    };
    let mut open: Vec<String> = report.claims.iter().filter_map(open).collect();
    open.sort();
    open
}

#[test]
fn every_case_ends_as_it_must() {
    for case in ALL.iter() {
        let outcome = run(case);
        match (&case.expected, &outcome) {
            (Expected::Malformed, Err(CheckError::Bundle(_))) => {}
            (Expected::Report(open), Ok(report)) => {
                let mut expected: Vec<String> = open
                    .iter()
                    .map(|(claim, failed)| {
                        format!("{claim:?} {}", if *failed { "failed" } else { "open" })
                    })
                    .collect();
                expected.sort();
                assert_eq!(open_claims(report), expected, "{}: {report:#?}", case.name);
                let verdict = if open.iter().any(|(_, failed)| *failed) {
                    Verdict::Failed
                } else if open.is_empty() {
                    Verdict::Proven
                } else {
                    Verdict::Incomplete
                };
                assert_eq!(report.verdict, verdict, "{}", case.name);
            }
            _ => panic!("{}: {outcome:?}", case.name),
        }
    }
}

#[test]
fn published_files_are_current() {
    let update = std::env::var_os("UPDATE_VECTORS").is_some_and(|value| value == "1");
    if update {
        let _ = std::fs::remove_dir_all(folder());
        std::fs::create_dir_all(folder()).unwrap();
    }
    let mut names = Vec::new();
    for case in ALL.iter() {
        let outcome = run(case);
        let secrets = case.held.hmac.iter();
        let published = Published {
            about: case.about,
            log_keys: log_keys().iter().map(ToString::to_string).collect(),
            hmac_secrets: secrets.map(|(id, key)| (id.as_str(), Base64(key.clone()))).collect(),
            previous: case.held.previous.as_deref().map(|note| str::from_utf8(note).unwrap()),
            result: if outcome.is_ok() { "report" } else { "malformed" },
            report: outcome.as_ref().ok(),
        };
        let expected = serde_json::to_string_pretty(&published).unwrap() + "\n";
        let files = [
            (format!("{}.json", case.name), case.bundle.clone()),
            (format!("{}.expected.json", case.name), expected.into_bytes()),
        ];
        for (name, bytes) in files {
            let path = folder().join(&name);
            if update {
                std::fs::write(&path, &bytes).unwrap();
            }
            let kept = std::fs::read(&path).unwrap_or_default();
            assert!(kept == bytes, "{name} differs from the code; see the head of this test");
            names.push(name);
        }
    }
    let found = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(found, names.len(), "a file in vectors/bundles belongs to no case");
}

#[test]
fn the_files_alone_give_the_same_answers() {
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(name) = name.strip_suffix(".expected.json") else { continue };
        let expected: ReadBack = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let keys: Vec<VerifierKey> =
            expected.log_keys.iter().map(|key| VerifierKey::parse(key).unwrap()).collect();
        let secrets = expected.hmac_secrets.into_iter().map(|(id, secret)| (id, secret.0));
        let trust = Trust {
            log_keys: &keys,
            hmac_secrets: &secrets.collect(),
            previous: expected.previous.as_ref().map(String::as_bytes),
        };
        let bundle = std::fs::read(folder().join(format!("{name}.json"))).unwrap();
        let report = check(&bundle, &trust).ok();
        assert_eq!(expected.result == "report", report.is_some(), "{name}");
        let report = report.map(|report| serde_json::to_value(report).unwrap());
        assert_eq!(report, expected.report, "{name}");
        count += 1;
    }
    assert!(count > 40, "only {count} cases were found");
}

#[test]
fn states_are_recomputed_in_both_orders() {
    let run_named = |name| run(ALL.iter().find(|case| case.name == name).unwrap()).unwrap();
    let report = run_named("good_unsigned");
    let steps: Vec<_> = report
        .entries
        .iter()
        .map(|entry| (entry.known.unwrap(), entry.happened.unwrap(), entry.violation))
        .collect();
    let expected = [
        ("ACTIVE", "ACTIVE", None),
        ("ACTIVE", "ACTIVE", None),
        ("REVOKED", "REVOKED", None),
        // Recorded after the revocation, but it happened before: no violation.
        ("REVOKED", "ACTIVE", None),
    ];
    assert_eq!(steps, expected);
    let life = report.lifecycle.unwrap();
    assert_eq!((life.known, life.happened, life.active), ("REVOKED", "REVOKED", false));
    let life = run_named("good_covered").lifecycle.unwrap();
    assert_eq!((life.known, life.active, life.covered_by.len()), ("REVOKED", false, 1));
}

/// Whether a bent bundle is refused, or says exactly what the straight one says.
fn is_harmless(case: &Case, straight: &CheckReport, bent: Vec<u8>) -> bool {
    let held = cases::Held { hmac: case.held.hmac.clone(), previous: case.held.previous.clone() };
    let bent = Case { bundle: bent, held, expected: Expected::Malformed, ..*case };
    match run(&bent) {
        Ok(report) => report.verdict != Verdict::Proven || report == *straight,
        Err(_) => true,
    }
}

#[test]
fn no_bit_of_a_base64_field_can_change() {
    let flip = |bytes: &mut Vec<u8>, at: usize| {
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1 << (at % 8);
    };
    for case in all_good() {
        let bundle = Bundle::parse(&case.bundle).unwrap();
        let refused = |bent: &Bundle, what: &str| {
            let held = cases::Held { hmac: case.held.hmac.clone(), previous: None };
            let expected = Expected::Malformed;
            let bent = Case { bundle: bent.to_json(), held, expected, ..*case };
            let verdict = run(&bent).map(|report| report.verdict);
            assert_eq!(verdict, Ok(Verdict::Failed), "{} {what}", case.name);
        };
        for (position, proof) in bundle.leaves.iter().enumerate() {
            for at in [0, 2, 12, proof.leaf.0.len() / 2, proof.leaf.0.len() - 1] {
                let mut bent = bundle.clone();
                flip(&mut bent.leaves[position].leaf.0, at);
                refused(&bent, "leaf");
            }
            for at in 0..proof.path.len() {
                let mut bent = bundle.clone();
                bent.leaves[position].path[at].0.0[at % 32] ^= 0x10;
                refused(&bent, "path");
            }
        }
        for position in 0..bundle.personal.len() {
            for at in [0, 10, 41, 60] {
                let mut bent = bundle.clone();
                flip(&mut bent.personal[position].record.0, at);
                refused(&bent, "record");
            }
        }
        for position in 0..bundle.attachments.len() {
            let mut bent = bundle.clone();
            flip(&mut bent.attachments[position].data.0, 3);
            refused(&bent, "attachment");
        }
        if let Some(previous) = &bundle.previous {
            for at in 0..previous.path.len() {
                let mut bent = bundle.clone();
                bent.previous.as_mut().unwrap().path[at].0.0[5] ^= 1;
                refused(&bent, "consistency path");
            }
            let mut bent = bundle.clone();
            bent.previous.as_mut().unwrap().root.0.0[5] ^= 1;
            refused(&bent, "previous root");
        }
    }
}

#[test]
fn a_checker_without_a_log_key_is_told() {
    let case = &all_good()[0];
    let trust = Trust { log_keys: &[], hmac_secrets: &BTreeMap::new(), previous: None };
    assert_eq!(check(&case.bundle, &trust), Err(CheckError::NoLogKey));
    let held = cases::Held { hmac: BTreeMap::new(), previous: Some(b"no note".to_vec()) };
    let (bundle, expected) = (case.bundle.clone(), Expected::Malformed);
    let outcome = run(&Case { bundle, held, expected, ..*case });
    assert!(matches!(outcome, Err(CheckError::Previous(_))), "{outcome:?}");
}

/// What a check says of the good cases.
static STRAIGHT: LazyLock<Vec<CheckReport>> =
    LazyLock::new(|| all_good().iter().map(|case| run(case).unwrap()).collect());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Bytes of any sort never panic, and a changed byte never proves anything else.
    #[test]
    fn changed_bytes_prove_nothing_else(
        which in 0_usize..10,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (case, straight) = (&all_good()[which], &STRAIGHT[which]);
        let mut bent = case.bundle.clone();
        for (at, byte) in &changes {
            let at = at.index(bent.len());
            // Mostly printable, so that the JSON survives now and then.
            bent[at] = if byte % 4 == 0 { *byte } else { b' ' + byte % 95 };
        }
        prop_assert!(is_harmless(case, straight, bent));
    }

    /// Leaves of any content, under a tree that has them: what a hostile ledger could sign.
    #[test]
    fn signed_leaves_of_any_content_never_panic(
        leaves in proptest::collection::vec(
            (0_usize..40, any::<prop::sample::Index>(), any::<u8>(), any::<bool>()),
            1..12,
        ),
    ) {
        let mut hostile = ledger::Ledger::new(log_key(1), log_key(1).verifier_key());
        for (which, at, byte, cut) in leaves {
            let mut leaf = HONEST.leaves[which % HONEST.leaves.len()].clone();
            let at = at.index(leaf.len());
            leaf[at] = byte;
            if cut {
                leaf.truncate(at.max(1));
            }
            hostile.push(leaf);
        }
        let bundle = hostile.everything();
        let held = cases::Held { hmac: BTreeMap::new(), previous: None };
        let (name, about) = ("hostile", "");
        let bundle = bundle.to_json();
        let case = Case { name, about, bundle, held, expected: Expected::Malformed };
        let report = run(&case);
        prop_assert!(report.is_ok_and(|report| report.verdict != Verdict::Proven));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Bundle::parse(&bytes).is_err());
    }
}
