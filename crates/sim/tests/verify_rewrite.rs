//! What somebody with the disk, or with all keys, can do, and by what it is found.
#![allow(clippy::cast_possible_truncation)]

mod verify_world;

use std::sync::Arc;

use ledgerline_journal::format::{BatchHead, CommitRecord, FRAME_BYTES, FrameBinding, FrameType};
use ledgerline_journal::streams::{NextPosition, StreamTable};
use ledgerline_proof::control::{Control, ControlKind, Recovered};
use ledgerline_proof::cut::{Cut, CutHead};
use ledgerline_proof::entry::{Attestation, Entry};
use ledgerline_proof::hash::{Hash, HmacKey};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, encode_object, kind_of};
use ledgerline_proof::statement::{Statement, Target};
use ledgerline_proof::vocabulary::{EventType, TargetKind};
use ledgerline_verify::{
    Check, Severity, Signatures, Verdict, VerifyFinding, VerifyOptions, VerifyReport, VerifyWorld,
    verify,
};
use verify_world::{Frozen, Image, Plan, build};

fn has(report: &VerifyReport, code: &str) -> bool {
    report.findings.iter().any(|one| one.code == code && one.severity == Severity::Error)
}

#[test]
fn truncation_to_any_commit_is_found_by_a_head_elsewhere() {
    let frozen = build(&Plan::small()).frozen;
    let batches = frozen.batches();
    assert!(batches.len() > 20);
    for (path, batch) in &batches[..batches.len() - 1] {
        let mut data = Image::default();
        for (file, bytes) in &frozen.data.files {
            let later = file.starts_with("journal/") && file > path;
            let derived = file.starts_with("tree/") || file.starts_with("index/");
            if file == path {
                data = data.with(file, bytes[..batch.end() as usize].to_vec());
            } else if !later && !derived {
                data = data.with(file, bytes.to_vec());
            }
        }
        let size = batch.commit.size;
        let report = frozen.with_data(data.clone()).verify();
        assert_eq!(report.verdict, Verdict::NotVerified, "cut at {size}: {report:#?}");
        let behind = report.findings.iter().find(|one| one.code == "behind_head").unwrap();
        assert_eq!((report.size, behind.first_bad_index), (size, Some(size)));
        let world = VerifyWorld { disk: Arc::new(data), head: None, ..frozen.world() };
        let report = verify(&world, &VerifyOptions::default());
        assert!(report.checks.iter().any(|one| one.what == "head store" && !one.done));
    }
}

#[test]
fn an_older_copy_of_the_whole_directory_is_found_by_a_head_elsewhere() {
    let built = build(&Plan::small());
    let (note, older) = &built.middle;
    assert_eq!(older.verify().verdict, Verdict::Verified, "it was whole in its time");
    let report = built.frozen.with_data(older.data.clone()).verify();
    assert_eq!(report.verdict, Verdict::NotVerified, "{report:#?}");
    assert!(has(&report, "behind_head"));
    // A later checkpoint in somebody's hands says the same.
    let newest = built.frozen.head.files.values().next().unwrap().to_vec();
    assert!(has(&older.verify_since(vec![newest]), "behind_since"));
    assert_eq!(older.verify_since(vec![note.clone()]).verdict, Verdict::Verified);
}

#[test]
fn a_rewrite_with_all_keys_is_found_by_an_older_checkpoint() {
    let honest = build(&Plan { heartbeat: false, ..Plan::small() });
    let forged = build(&Plan { heartbeat: false, forged: Some(3), ..Plan::small() });
    assert_ne!(honest.frozen.verify().root, forged.frozen.verify().root);
    // By itself a ledger that was made with the right keys verifies: that is what the report says.
    let report = forged.frozen.verify();
    assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    assert!(report.checks.iter().any(|one| one.what == "older checkpoints" && !one.done));
    let report = forged.frozen.verify_since(vec![honest.middle.0.clone()]);
    assert_eq!(report.verdict, Verdict::NotVerified, "{report:#?}");
    assert!(has(&report, "since"));
    // The head of the honest ledger, kept elsewhere, says the same.
    let report = Frozen { head: honest.frozen.head.clone(), ..forged.frozen }.verify();
    assert!(has(&report, "head"), "{report:#?}");
}

#[test]
fn a_rewrite_with_all_keys_is_found_by_what_a_producer_saw() {
    let honest = build(&Plan::small());
    let forged = build(&Plan { forged: Some(3), seen: Some(honest.seen), ..Plan::small() });
    let report = forged.frozen.verify();
    assert_eq!(report.verdict, Verdict::NotVerified, "{report:#?}");
    assert!(has(&report, "seen_other_root"));
    let only = report.findings.iter().filter(|one| one.severity < Severity::Notice).count();
    assert_eq!(only, 1, "everything else was made with the right keys: {:#?}", report.findings);
}

/// An entry changed with its CRC put right, but without the journal key: the roots say which.
#[test]
fn an_entry_forged_without_keys_is_named() {
    let frozen = build(&Plan::small()).frozen;
    let map = frozen.map();
    let mut checked = 0;
    for (path, batch) in frozen.batches() {
        let bytes = &frozen.data.files[&path];
        for frame in batch.frames().filter(|frame| frame.kind == FrameType::Entry) {
            let Some(at) = frame.body.windows(3).position(|three| three == b"web") else {
                continue;
            };
            let mut body = frame.body.to_vec();
            body[at..at + 3].copy_from_slice(b"bew");
            let ledger_id: [u8; 16] = bytes[8..24].try_into().unwrap();
            let mut right = Vec::new();
            let binding = FrameBinding::new(&ledger_id, batch.segment);
            binding.put(&mut right, frame.offset, FrameType::Entry, &[&body]);
            let mut forged = bytes.to_vec();
            let from = frame.offset as usize;
            forged[from..from + right.len()].copy_from_slice(&right);
            let report = frozen.with_data(frozen.data.with(&path, forged)).verify();
            let (index, token) = map.at(&path, frame.offset).unwrap();
            assert_eq!(report.verdict, Verdict::NotVerified);
            assert_eq!(report.first_bad_index, Some(index), "{:#?}", report.findings);
            assert!(has(&report, "entry_changed"), "{:#?}", report.findings);
            let token = token.unwrap();
            assert!(report.findings.iter().any(|one| one.affected.contains(&token)));
            // Without the derived files the entry cannot be told from its neighbours; its batch
            // can.
            checked += 1;
        }
    }
    assert!(checked > 50);
}

/// The last commit of a ledger that reads a stream, its record changed and its CRC put right.
fn with_last_commit(
    frozen: &Frozen,
    change: impl FnOnce(CommitRecord, &CommitRecord) -> CommitRecord,
) -> Frozen {
    let mut batches = frozen.batches();
    let (path, last) = batches.pop().unwrap();
    let (_, before) = batches.pop().unwrap();
    let bytes = &frozen.data.files[&path];
    let ledger_id: [u8; 16] = bytes[8..24].try_into().unwrap();
    let frame = last.end() - (FRAME_BYTES + last.commit.encode().len()) as u64;
    let mut forged = bytes[..frame as usize].to_vec();
    assert!(!last.commit.streams.marks().is_empty(), "the table stands in every commit");
    let commit = change(last.commit, &before.commit).encode();
    let binding = FrameBinding::new(&ledger_id, last.segment);
    binding.put(&mut forged, 0, FrameType::Commit, &[&commit]);
    frozen.with_data(frozen.data.with(&path, forged))
}

/// A mark moved without the journal key breaks the MAC; with the key, a table that forgets how far
/// a stream was read contradicts the commit before.
#[test]
fn a_stream_table_that_was_rewritten_is_found() {
    let frozen = build(&Plan::small()).frozen;
    let moved = with_last_commit(&frozen, |mut commit, _| {
        let mut mark = commit.streams.marks()[0].clone();
        mark.next = NextPosition::new(&[0xff; 8]);
        commit.streams.advance(&[mark]).unwrap();
        commit
    });
    let report = moved.verify();
    assert_eq!(report.verdict, Verdict::NotVerified);
    assert!(has(&report, "commit_mac"), "{:#?}", report.findings);
    let forgotten = with_last_commit(&frozen, |commit, before| {
        let key = HmacKey::new(&frozen.keys.journal);
        CommitRecord { streams: StreamTable::default(), ..commit }.sealed(&key, &before.mac)
    });
    let report = forgotten.verify();
    assert!(has(&report, "stream_marks"), "{:#?}", report.findings);
    assert!(!has(&report, "commit_mac"), "{:#?}", report.findings);
}

#[test]
fn every_byte_of_a_stream_table_is_named_as_such() {
    let frozen = build(&Plan::small()).frozen;
    let batches = frozen.batches();
    let (path, batch) =
        batches.iter().find(|(_, one)| !one.commit.streams.marks().is_empty()).unwrap();
    let behind = 2 + batch.commit.previous_signature.len();
    let end = batch.end() as usize - behind;
    let start = end - batch.commit.streams.encoded_len();
    for offset in start..end {
        let report = frozen.with_data(frozen.data.flipped(path, offset as u64, 3)).verify();
        assert_eq!(report.verdict, Verdict::NotVerified, "byte {offset}");
        let mut errors = report.findings.iter().filter(|one| one.severity == Severity::Error);
        let named = errors.any(|one| one.what.contains("stream table"));
        assert!(named, "byte {offset}: {:#?}", report.findings);
    }
}

/// More than a bit: what can still be read is read, and what is lost is named.
#[test]
fn lost_stretches_are_named_and_the_rest_is_judged() {
    let frozen = build(&Plan::small()).frozen;
    let batches = frozen.batches();
    for (path, batch) in &batches[2..batches.len() - 1] {
        let mut bytes = frozen.data.files[path].to_vec();
        let (from, to) = (batch.start as usize + 40, batch.end() as usize - 20);
        bytes[from..to].fill(0xa5);
        let report = frozen.with_data(frozen.data.with(path, bytes)).verify();
        assert_eq!(report.verdict, Verdict::NotVerified);
        let first = report.first_bad_index.expect("an entry is lost");
        assert!(first <= batch.head.first_index, "{:#?}", report.findings);
        assert!(has(&report, "entries_lost"), "{:#?}", report.findings);
        assert_eq!(report.size, frozen.verify().size, "what follows is judged all the same");
        assert!(!has(&report, "root") && !has(&report, "chain"), "{:#?}", report.findings);
    }
}

#[test]
fn a_missing_segment_is_named() {
    let frozen = build(&Plan::small()).frozen;
    let path = frozen.data.segments().nth(1).unwrap().clone();
    let mut data = frozen.data.clone();
    data.files.remove(&path);
    let report = frozen.with_data(data).verify();
    assert_eq!(report.verdict, Verdict::NotVerified);
    assert!(report.first_bad_index.is_some_and(|index| index > 7), "{report:#?}");
}

/// An entry with a name of 66,000 bytes, in a batch whose sums are right, is reported and not read.
#[test]
fn an_entry_that_is_too_long_is_reported() {
    let frozen = build(&Plan::small()).frozen;
    let (path, genesis) = frozen.batches().swap_remove(0);
    let bytes = &frozen.data.files[&path];
    let ledger_id: [u8; 16] = bytes[8..24].try_into().unwrap();
    let binding = FrameBinding::new(&ledger_id, genesis.segment);
    let mut segment = bytes[..genesis.end() as usize].to_vec();
    let long = "x".repeat(66_000);
    let target = Target { kind: TargetKind::Token, id: "eu:idp:jti:t" };
    let mut statement = Statement::new([1; 16], "ledger", target, EventType::Used, Hlc::at(1));
    statement.tenant = &long;
    statement.native_id = Some(&long);
    let statement = encode_object(Kind::Statement, &statement);
    let entry = Entry {
        statement: &statement,
        signature: None,
        attested_by: Attestation { credential: None, stream: None },
        handles: Vec::new(),
        sealed_digests: Vec::new(),
        recorded_at: Hlc::at(2),
        sequence: 0,
        prev_event_hash: Hash::ZERO,
        prev_index: None,
        blind: Some([1; 16]),
    };
    let size = genesis.commit.size;
    let head = BatchHead { first_index: size, entry_count: 1, epoch: 1 };
    let commit = CommitRecord { size: size + 1, ..genesis.commit };
    let frames = [
        (FrameType::Batch, head.encode().to_vec()),
        (FrameType::Entry, encode_object(Kind::Entry, &entry)),
        (FrameType::Commit, commit.encode()),
    ];
    for (kind, body) in frames {
        binding.put(&mut segment, 0, kind, &[&body]);
    }
    let report = frozen.with_data(frozen.data.with(&path, segment)).verify();
    assert_eq!(report.verdict, Verdict::NotVerified);
    assert!(has(&report, "entry_length"), "{:#?}", report.findings);
}

/// A ledger that ends in a control record which its writer never made.
fn with_control_behind_genesis(frozen: &Frozen, control: &Control<'_>) -> VerifyReport {
    let (path, genesis) = frozen.batches().swap_remove(0);
    let bytes = &frozen.data.files[&path];
    let ledger_id: [u8; 16] = bytes[8..24].try_into().unwrap();
    let binding = FrameBinding::new(&ledger_id, genesis.segment);
    let mut segment = bytes[..genesis.end() as usize].to_vec();
    let size = genesis.commit.size;
    let head = BatchHead { first_index: size, entry_count: 1, epoch: 1 };
    let commit = CommitRecord { size: size + 1, ..genesis.commit };
    let frames = [
        (FrameType::Batch, head.encode().to_vec()),
        (FrameType::Entry, encode_object(Kind::Control, control)),
        (FrameType::Commit, commit.encode()),
    ];
    for (kind, body) in frames {
        binding.put(&mut segment, 0, kind, &[&body]);
    }
    frozen.with_data(frozen.data.with(&path, segment)).verify()
}

/// No ledger is a top ledger yet, so a cut is nothing that anybody may rely on.
#[test]
fn a_cut_is_an_error_whatever_it_says() {
    let frozen = build(&Plan::small()).frozen;
    let size = frozen.batches()[0].1.commit.size;
    let resumed = i64::try_from(size).unwrap();
    let recovered = Control {
        kind: ControlKind::Recovered,
        recorded_at: Hlc::at(i64::MAX),
        genesis: None,
        schema: None,
        key_added: None,
        key_ended: None,
        recovered: Some(Recovered {
            size: resumed,
            torn_bytes: 0,
            torn_digest: None,
            refusals_lost: false,
            epoch: 1,
        }),
        blind: [1; 16],
        cut: None,
    };
    let report = with_control_behind_genesis(&frozen, &recovered);
    // Of the segments behind it nothing fits any more; it is this record that is asked about.
    let here = |one: &&VerifyFinding| one.code == "control" && one.first_bad_index == Some(size);
    assert_eq!(report.findings.iter().find(here), None, "an ordinary one is none");
    let heads = vec![CutHead { origin: "ledger.example/0", size: 7, root: Hash::ZERO }];
    let cut = Some(Cut { shard_list_version: 0, heads });
    let cut = Control { kind: ControlKind::Cut, recovered: None, cut, ..recovered.clone() };
    let report = with_control_behind_genesis(&frozen, &cut);
    assert_eq!(report.verdict, Verdict::NotVerified);
    let named = report.findings.iter().find(here).expect("the cut is named");
    assert_eq!(named.severity, Severity::Error);
    assert!(named.what.contains("it is a CUT"), "{named:#?}");
    let empty = Control { kind: ControlKind::Cut, recovered: None, cut: None, ..recovered };
    let report = with_control_behind_genesis(&frozen, &empty);
    let named = report.findings.iter().find(here).expect("the kind without its part is named");
    assert!(named.what.contains("its parts are not those of its kind"), "{named:#?}");
}

/// A kept signature altered by somebody without the journal key, with its frame's sum put right: it
/// is found by every verification that says it checked that signature, and only those say so.
#[test]
fn an_altered_checkpoint_signature_is_found_by_whoever_says_it_was_checked() {
    let frozen = build(&Plan { per_commit: 1, ..Plan::small() }).frozen;
    let batches = frozen.batches();
    let whole = |checks: &[Check]| {
        let every = checks.iter().find(|one| one.what == "every checkpoint signature");
        every.expect("the report says it").done
    };
    let (mut ends_in_block, mut chosen) = (false, 0);
    for (n, (path, batch)) in batches.iter().enumerate() {
        let last = batch.leaves().last().map(|(_, leaf)| kind_of(leaf));
        let before_ends_in_block =
            std::mem::replace(&mut ends_in_block, last == Some(Some(Kind::Block)));
        if batch.commit.previous_signature.is_empty() {
            continue;
        }
        let mut commit = batch.commit.clone();
        commit.previous_signature[n % 64] ^= 1;
        let bytes = &frozen.data.files[path];
        let ledger_id: [u8; 16] = bytes[8..24].try_into().unwrap();
        let binding = FrameBinding::new(&ledger_id, batch.segment);
        let frame = |offset| {
            let mut frame = Vec::new();
            binding.put(&mut frame, offset, FrameType::Commit, &[&commit.encode()]);
            frame
        };
        let from = batch.end() as usize - frame(0).len();
        let mut forged = bytes.to_vec();
        forged[from..batch.end() as usize].copy_from_slice(&frame(from as u64));
        let forged = frozen.with_data(frozen.data.with(path, forged));
        assert!(has(&forged.verify(), "commit_mac"), "the journal key finds each");
        let outsider = VerifyWorld { keys: None, ..forged.world() };
        let verify = |signatures| {
            let options = VerifyOptions { threads: 1, signatures, ..VerifyOptions::default() };
            verify(&outsider, &options)
        };
        let report = verify(Signatures::Every);
        assert!(has(&report, "checkpoint_signature"), "commit {n}: {:#?}", report.findings);
        assert!(whole(&report.checks));
        let report = verify(Signatures::Chosen { seed: n as u64 });
        let found = has(&report, "checkpoint_signature");
        let is_last = n == batches.len() - 1;
        assert!(found || !(before_ends_in_block || is_last), "commit {n}: {report:#?}");
        assert!(found || !whole(&report.checks), "it does not say that it checked each");
        assert!(report.counts.checkpoint_signatures < batches.len() as u64 - 1);
        chosen += usize::from(found);
    }
    assert!(chosen > 2 && chosen < batches.len() / 2, "{chosen} of {}", batches.len());
}
