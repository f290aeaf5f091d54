//! Everything in the data directory that is neither journal, tree nor index.
//!
//! Promises: every file is either checked or named. Assumes nothing about folders that other parts
//! of the program keep beside the ledger ([`NOT_OURS`]): they are passed over.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use ledgerline_journal::erasure::{self, MAX_PENDING_BYTES, PENDING, ZEROED, zeroed_until};
use ledgerline_journal::format::{
    FRAME_BYTES, FrameBinding, FrameType, SEALED_PREFIX_BYTES, segment_number, segment_path,
};
use ledgerline_journal::quarantine::{FILE_BYTES, first_damage};
use ledgerline_journal::tree_store::{WHOLE, parse_whole};
use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_vault::Vault;
use ledgerline_vault::keys::KeyRing;
use ledgerline_world::disk::{Disk, OpenMode, read_whole};

use super::names::Name;
use super::reader::Overlay;
use super::report::{Findings, Severity, VerifyFinding};

/// Names at the top of the data directory that are not the ledger's: locks, configuration, a head
/// store or keys kept there against the advice, and the folders of other parts.
pub const NOT_OURS: [&str; 9] = [
    "LOCK",
    "lock",
    "ledgerline.lock",
    "ledgerline.toml",
    "config.toml",
    "config",
    "head",
    "keys",
    "lost+found",
];
/// `origins` stands at the top only, `end` in the folder of an older origin only.
const OURS: [&str; 10] = [
    "journal",
    "tree",
    "index",
    "vault",
    "torn",
    "erasures",
    "quarantine",
    "origins",
    "end",
    "followers",
];
const TREE_FILES: [&str; 8] = ["0", "1", "2", "3", "4", "5", "positions", "whole"];
const MAX_TORN_BYTES: u64 = 1 << 30;

fn notice(findings: &mut Findings, code: &'static str, file: &str, what: &str) {
    findings.push(VerifyFinding::new(Severity::Notice, code, file, what.to_owned()));
}

/// Names files that nobody knows.
pub(super) fn unknown(disk: &dyn Disk, findings: &mut Findings) {
    let what = "an unknown file; it is not part of the ledger";
    for name in disk.list("").unwrap_or_default() {
        if !OURS.contains(&&*name) && !NOT_OURS.contains(&&*name) {
            notice(findings, "unknown_file", &name, what);
        }
    }
    for name in disk.list("journal").unwrap_or_default() {
        let is_segment = segment_number(&name).is_some();
        if name == "genesis.new" {
            notice(findings, "leftover", "journal/genesis.new", "left by a start that was cut off");
        } else if !is_segment {
            notice(findings, "unknown_file", &format!("journal/{name}"), what);
        }
    }
    for name in disk.list("tree").unwrap_or_default() {
        if !TREE_FILES.contains(&&*name) {
            notice(findings, "unknown_file", &format!("tree/{name}"), what);
        }
    }
    whole_note(disk, findings);
    quarantine(disk, findings);
    for name in disk.list("erasures").unwrap_or_default() {
        let path = format!("erasures/{name}");
        if path == ZEROED {
            zeroed_note(disk, findings);
        } else if path != PENDING {
            let left = "left by an erasure that was cut off";
            let what = if name.ends_with(".new") { left } else { what };
            notice(findings, "leftover", &format!("erasures/{name}"), what);
        }
    }
    for name in disk.list("vault").unwrap_or_default() {
        if name.ends_with(".new") {
            let what = "left by a write that was cut off; the next start removes it";
            notice(findings, "leftover", &format!("vault/{name}"), what);
        }
    }
}

/// Refusals kept for people: they may be lost, and nothing is proven by them.
fn quarantine(disk: &dyn Disk, findings: &mut Findings) {
    for name in disk.list("quarantine").unwrap_or_default() {
        let path = format!("quarantine/{name}");
        let bytes = read_whole(disk, &path, 2 * FILE_BYTES).unwrap_or_default();
        if let Some(offset) = first_damage(&bytes) {
            let what = "a kept refusal is not as it was written; no entry is affected: the file \
                        may be deleted";
            let mut finding =
                VerifyFinding::new(Severity::Derived, "quarantine", &path, what.to_owned());
            finding.offset = Some(offset as u64);
            findings.push(finding);
        }
    }
}

/// The note of how much of the tree was synced: it may be lost, the next start then rebuilds the
/// tree.
fn whole_note(disk: &dyn Disk, findings: &mut Findings) {
    let Ok(bytes) = read_whole(disk, WHOLE, 1024) else { return };
    if !bytes.is_empty() && parse_whole(&bytes).is_none() {
        let what = "the note does not hold; no entry is affected: the file may be lost, the next \
                    start rebuilds the tree and rewrites it";
        findings.push(VerifyFinding::new(Severity::Derived, "note", WHOLE, what.to_owned()));
    }
}

/// The note of what was zeroed: it may be lost, the next start then zeroes again.
fn zeroed_note(disk: &dyn Disk, findings: &mut Findings) {
    if !matches!(zeroed_until(disk), Ok(Some(_))) {
        let what = "the note does not hold; no entry is affected: the file may be lost, the next \
                    start zeroes again and rewrites it";
        findings.push(VerifyFinding::new(Severity::Derived, "note", ZEROED, what.to_owned()));
    }
}

/// The vault's own check. Handles in `erased` may be half erased, unless the ledger was shut down
/// cleanly.
pub(super) fn vault(
    disk: &dyn Disk,
    keys: &KeyRing,
    erased: &BTreeMap<[u8; 16], u64>,
    clean: bool,
    findings: &mut Findings,
) {
    for damage in Vault::check(disk, keys) {
        let unfinished = !clean && damage.handle.is_some_and(|handle| erased.contains_key(&handle));
        let (severity, what) = if unfinished {
            let what = "an erasure of this slot is not finished; the next start finishes it";
            (Severity::Incomplete, what.to_owned())
        } else if damage.rebuildable {
            let what = format!(
                "{}; no entry is affected: the file may be lost, the next start rebuilds it",
                damage.what
            );
            (Severity::Derived, what)
        } else {
            let what = format!(
                "{}; no entry is affected, but personal records or signatures may not be readable: \
                 restore it from a backup",
                damage.what
            );
            (Severity::Error, what)
        };
        let name = damage.handle.map(|one| format!("slot {:032x}", u128::from_be_bytes(one)));
        let finding = VerifyFinding::new(severity, "vault", &damage.file, what);
        findings.push(finding.at(damage.offset).of(name.map(Name::beside)));
    }
}

/// Kept bytes of torn batches against what RECOVERED leaves say of them.
pub(super) fn torn(disk: &dyn Disk, named: &[(Hash, u64)], findings: &mut Findings) {
    let mut found = Vec::new();
    for name in disk.list("torn").unwrap_or_default() {
        let path = format!("torn/{name}");
        if name.ends_with(".new") {
            notice(findings, "leftover", &path, "left by a start that was cut off");
            continue;
        }
        let digest = read_whole(disk, &path, MAX_TORN_BYTES).map(|bytes| sha256(&bytes));
        let holds = digest.as_ref().is_ok_and(|digest| {
            name.strip_suffix(".bin").is_some_and(|name| name.ends_with(&digest.to_hex()[..16]))
        });
        let Some(digest) = digest.ok().filter(|_| holds) else {
            let what =
                "kept bytes of a torn batch are not those that were cut; no entry is affected";
            findings.push(VerifyFinding::new(Severity::Error, "torn_file", &path, what.into()));
            continue;
        };
        if !named.iter().any(|(known, _)| *known == digest) {
            let what =
                "no RECOVERED entry names these bytes: the start that cut them was cut off too";
            notice(findings, "torn_file", &path, what);
        }
        found.push(digest);
    }
    for (digest, index) in named {
        if !found.contains(digest) {
            let what =
                format!("the torn bytes that RECOVERED entry {index} names are not kept any more");
            notice(findings, "torn_missing", "torn", &what);
        }
    }
}

/// What an interrupted erasure was about to write, so that the journal is read as if it were
/// finished; and the slots it names.
pub(super) fn pending(
    disk: &Arc<dyn Disk>,
    ledger_id: &[u8; 16],
    findings: &mut Findings,
) -> (Overlay, Vec<[u8; 16]>) {
    let mut overlay = Overlay::new();
    let mut slots = Vec::new();
    let bytes = match read_whole(disk.as_ref(), PENDING, MAX_PENDING_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (overlay, slots),
        Err(_) => Vec::new(),
    };
    let Some(doomed) = erasure::read_pending(&bytes) else {
        let what = "the list of records to be erased does not hold; no entry is affected, but \
                    records whose key was destroyed may still stand sealed in the journal: erase \
                    again";
        findings.push(VerifyFinding::new(Severity::Error, "pending", PENDING, what.into()));
        return (overlay, slots);
    };
    for one in &doomed {
        let body = one.body_bytes as usize;
        let zeros = vec![0; body.saturating_sub(SEALED_PREFIX_BYTES)];
        let head = read_head(disk, one.segment, one.offset);
        let mut frame = Vec::new();
        let binding = FrameBinding::new(ledger_id, one.segment);
        binding.put(&mut frame, one.offset, FrameType::SealedErased, &[&one.prefix, &zeros]);
        let is_sealed = head.is_some_and(|head| {
            let kind = head[4];
            head[..4] == frame[..4]
                && (kind == FrameType::Sealed as u8 || kind == FrameType::SealedErased as u8)
                && head[FRAME_BYTES..] == one.prefix
        });
        if !is_sealed {
            let what = "the list of records to be erased names something that is no sealed record";
            findings.push(VerifyFinding::new(Severity::Error, "pending", PENDING, what.into()));
            continue;
        }
        overlay.entry(one.segment).or_default().push((one.offset, frame));
        slots.push(one.prefix[9..].try_into().expect("the prefix ends in a handle"));
    }
    let what = "an erasure was interrupted; the next start finishes it";
    findings.push(VerifyFinding::new(Severity::Incomplete, "pending", PENDING, what.into()));
    (overlay, slots)
}

fn read_head(
    disk: &Arc<dyn Disk>,
    segment: u32,
    offset: u64,
) -> Option<[u8; FRAME_BYTES + SEALED_PREFIX_BYTES]> {
    let file = disk.open(&segment_path(segment), OpenMode::Read).ok()?;
    let mut head = [0; FRAME_BYTES + SEALED_PREFIX_BYTES];
    file.read_exact_at(&mut head, offset).ok()?;
    Some(head)
}
