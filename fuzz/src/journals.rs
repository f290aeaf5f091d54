//! Journal segments: frames one by one, and a whole data directory that was damaged.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_journal::format::{
    AttachmentRecord, BatchHead, CommitRecord, FRAME_BYTES, FrameBinding, FrameType, HEADER_BYTES,
    SealedRecord, SegmentHeader,
};
use ledgerline_journal::leaf_store::ReadError;
use ledgerline_journal::recovery::recover;
use ledgerline_journal::scan::{Scanned, SegmentScan};
use ledgerline_journal::streams::StreamTable;
use ledgerline_journal::tree_store::TreeStore;
use ledgerline_ledger::opening::open;
use ledgerline_proof::control::Control;
use ledgerline_proof::hash::HmacKey;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_sim::SimDisk;
use ledgerline_vault::keys::KeyRing;
use ledgerline_verify::{Severity, Verdict, VerifyOptions, VerifyWorld};
use ledgerline_world::disk::{Disk, OpenMode};

use crate::cursor::{Cursor, damage, damage_once};
use crate::ledger::{Base, base, config, world};

const TYPES: [FrameType; 6] = [
    FrameType::Batch,
    FrameType::Entry,
    FrameType::Sealed,
    FrameType::Attachment,
    FrameType::Commit,
    FrameType::SealedErased,
];

/// Raw bytes as header, frame and bodies; then a segment of frames that hold, with damage behind.
pub fn frame(data: &[u8]) {
    if let Some(header) = SegmentHeader::decode(data) {
        assert_eq!(header.encode(), data[..HEADER_BYTES]);
    }
    let binding = FrameBinding::new(&[3; 16], 5);
    let mut input = Cursor::new(data);
    let offset = u64::from(input.u16());
    let raw = input.rest();
    if let Some(frame) = binding.take(raw, offset) {
        let mut again = Vec::new();
        binding.put(&mut again, offset, frame.kind, &[frame.body]);
        assert_eq!(again, raw[..again.len()], "a frame with a second encoding");
        assert_eq!(frame.end(), offset + again.len() as u64);
        assert_eq!(binding.take(raw, offset + 1), None, "a frame holds at another offset");
    }
    bodies(data);
    segment(data);
}

fn bodies(body: &[u8]) {
    if let Some(head) = BatchHead::decode(body) {
        assert_eq!(head.encode(), body);
    }
    if let Some(commit) = CommitRecord::decode(body) {
        assert_eq!(commit.encode(), body);
    }
    if let Some((table, rest)) = StreamTable::take(body) {
        let taken = &body[..body.len() - rest.len()];
        let mut again = Vec::new();
        table.put(&mut again);
        assert_eq!((&*again, table.encoded_len()), (taken, taken.len()), "a second encoding");
        let mut advanced = StreamTable::default();
        assert_eq!(advanced.advance(table.marks()), Ok(()), "marks that no writer takes");
        assert_eq!(advanced, table, "a table that no writer makes");
    }
    if let Some((index, record)) = AttachmentRecord::decode(body) {
        assert_eq!([record.prefix(index), record.data].concat(), body);
    }
    for kind in [FrameType::Sealed, FrameType::SealedErased, FrameType::Entry] {
        let frame = ledgerline_journal::format::Frame { kind, body, offset: 0 };
        if let Some((index, record)) = SealedRecord::decode(&frame) {
            assert_ne!(kind, FrameType::Entry);
            assert_eq!([&record.prefix(index)[..], &record.sealed].concat(), body);
        }
    }
}

/// Frames of any type and body in a row, then damage; the scan must end and stay inside.
fn segment(data: &[u8]) {
    let header = SegmentHeader {
        ledger_id: [3; 16],
        number: 5,
        first_index: 0,
        root: ledgerline_proof::hash::empty_root(),
        previous_mac: ledgerline_proof::hash::Hash::ZERO,
    };
    let binding = FrameBinding::new(&header.ledger_id, header.number);
    let mut bytes = header.encode().to_vec();
    let mut input = Cursor::new(data);
    let damages = input.u8() % 4;
    for _ in 0..64 {
        if input.is_done() {
            break;
        }
        let kind = TYPES[usize::from(input.u8()) % TYPES.len()];
        let length = usize::from(input.u8());
        let body = input.bytes(length);
        let at = bytes.len();
        let mut one = Vec::new();
        binding.put(&mut one, at as u64, kind, &[body]);
        bytes.extend_from_slice(&one);
    }
    for _ in 0..damages {
        damage_once(&mut input, &mut bytes);
    }
    let disk = SimDisk::new(1);
    disk.write("segment", &bytes).expect("a disk without faults");
    let file = disk.open("segment", OpenMode::Read).expect("just written");
    let mut scan = SegmentScan::new(file.as_ref(), &header).expect("a disk without faults");
    let mut at = HEADER_BYTES as u64;
    while let Scanned::Batch(batch) = scan.next_batch().expect("a disk without faults") {
        assert_eq!((batch.start, scan.offset()), (at, batch.end()));
        at = batch.end();
        let range =
            usize::try_from(batch.start).expect("small")..usize::try_from(at).expect("small");
        assert_eq!(batch.bytes, bytes[range], "the batch is not what stands in the file");
        assert_eq!(batch.leaves().count(), batch.head.entry_count as usize);
        for (offset, leaf) in batch.leaves() {
            let from = usize::try_from(offset).expect("small") + FRAME_BYTES;
            assert_eq!(leaf, &bytes[from..from + leaf.len()]);
        }
        assert!(batch.sealed().count() + batch.attachments().count() <= batch.frames().count());
    }
}

/// What one damaged ledger is.
struct Damaged<'b> {
    base: &'b Base,
    disk: SimDisk,
    head: SimDisk,
    keys: SimDisk,
    /// Whether the head store still knows the last commit.
    head_known: bool,
}

/// Damages files of a whole ledger and opens it. Input: flags, then for each damaged file its
/// number, the length of its steps and the steps.
pub fn recovery(data: &[u8]) {
    let (damaged, flags) = damaged(data);
    if flags & 4 == 0 { damaged.recover_journal() } else { damaged.open_ledger() }
}

/// Damages files as [`recovery`] does; the offline verifier must say so, and change nothing.
pub fn verify(data: &[u8]) {
    let (damaged, flags) = damaged(data);
    let ring = KeyRing::open(&damaged.keys).expect("the keys are whole");
    let world = VerifyWorld {
        disk: Arc::new(damaged.disk.clone()),
        keys: (flags & 8 == 0).then(|| Arc::new(ring)),
        head: Some(Arc::new(damaged.head.clone())),
    };
    let before = damaged.disk.image();
    let options = VerifyOptions { threads: 1, ..VerifyOptions::default() };
    let report = ledgerline_verify::verify(&world, &options);
    assert!(damaged.disk.image() == before, "the verifier wrote");
    let whole = damaged.head_known && before == *damaged.base.disk.files();
    let verified = report.verdict == Verdict::Verified;
    assert!(!whole || verified, "a whole ledger is not verified: {:?}", report.findings);
    assert!(damaged.head_known || !verified, "verified, but a truncation would not be noticed");
    assert_eq!(verified, report.findings.iter().all(|one| one.severity == Severity::Notice));
    if !whole && flags & 8 == 0 && verified {
        let lags = report.findings.iter().any(|one| one.code == "tree_lags");
        damaged.is_harmless(&before, lags);
    }
}

fn damaged(data: &[u8]) -> (Damaged<'static>, u8) {
    let base = base();
    let mut input = Cursor::new(data);
    let flags = input.u8();
    let (disk, head, keys) = (SimDisk::new(7), SimDisk::new(8), SimDisk::new(9));
    disk.restore(&base.disk);
    head.restore(&base.head);
    keys.restore(&base.keys);
    if flags & 1 != 0 {
        let _ = head.remove("checkpoint");
    }
    let paths: Vec<&String> = base.disk.files().keys().collect();
    for _ in 0..6 {
        if input.is_done() {
            break;
        }
        let path = paths[usize::from(input.u8()) % paths.len()].as_str();
        let count = usize::from(input.u8());
        if count == 0 {
            let _ = disk.remove(path);
            continue;
        }
        let steps = input.bytes(count);
        let Ok(mut bytes) = disk.read(path) else { continue };
        damage(&mut Cursor::new(steps), &mut bytes);
        if flags & 2 != 0 && path.ends_with(".seg") {
            reseal(base, &mut bytes);
        }
        disk.write(path, &bytes).expect("the folder is there");
    }
    (Damaged { base, disk, head, keys, head_known: flags & 1 == 0 }, flags)
}

/// Whether a file of the stored tree is as a crash may leave it: units that were not written yet
/// are zeros or not there, which must be noticed; behind the end there may be a torn batch's.
fn is_lagging(before: &[u8], after: &[u8], unit: usize, noticed: bool) -> bool {
    let common = before.len().min(after.len());
    let pairs = before[..common].chunks(unit).zip(after[..common].chunks(unit));
    let mut changed = pairs.filter(|(before, after)| before != after).peekable();
    let lacking = after.len() < before.len() || changed.peek().is_some();
    let mut written = changed.filter(|(_, after)| after.iter().any(|byte| *byte != 0));
    written.next().is_none() && (!lacking || noticed)
}

/// The bytes before the zeros at the end.
fn content(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Writes right CRCs around whatever the frames hold now: what only a MAC or the tree can tell.
fn reseal(base: &Base, bytes: &mut [u8]) {
    let Some(number) = bytes.get(24..28) else { return };
    let number = u32::from_be_bytes(number.try_into().expect("four bytes"));
    if bytes.len() >= HEADER_BYTES {
        let crc = crc32c::crc32c(&bytes[..100]);
        bytes[100..104].copy_from_slice(&crc.to_be_bytes());
    }
    let binding = FrameBinding::new(&base.identity.ledger_id, number);
    let mut at = HEADER_BYTES;
    while let Some(head) = bytes.get(at..at + FRAME_BYTES) {
        let length = u32::from_be_bytes(head[..4].try_into().expect("four bytes")) as usize;
        let Some(kind) = TYPES.into_iter().find(|kind| *kind as u8 == head[4]) else { return };
        let end = at + FRAME_BYTES + length;
        let Some(body) = bytes.get(at + FRAME_BYTES..end) else { return };
        let mut frame = Vec::new();
        binding.put(&mut frame, at as u64, kind, &[body]);
        bytes[at..end].copy_from_slice(&frame);
        at = end;
    }
}

impl Damaged<'_> {
    /// The journal alone: what is kept is a row of whole commits, each leaf as it was.
    fn recover_journal(&self) {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let world = world(&self.disk, &self.head, &self.keys, 20);
        let key = HmacKey::new(&world.keys.journal);
        let head = self.head_known.then(|| *self.base.commits.last().expect("there are some"));
        let store = TreeStore::open(disk.as_ref()).expect("a disk without faults");
        let mut seen: Vec<(u64, Vec<u8>)> = Vec::new();
        let visit = &mut |batch: &ledgerline_journal::scan::ScannedBatch| {
            let leaves = batch.leaves().map(|(_, leaf)| leaf.to_vec());
            seen.extend((batch.head.first_index..).zip(leaves));
        };
        let recovered = recover(&disk, &key, &store, head, 0, visit);
        for (index, leaf) in &seen {
            let place = usize::try_from(*index).expect("small");
            assert_eq!(Some(leaf), self.base.leaves.get(place), "a changed leaf {index}");
        }
        let Ok(recovered) = recovered else { return };
        let tip = (recovered.tip().size, recovered.tip().root);
        assert!(self.base.commits.contains(&tip), "an end that never was: {tip:?}");
        assert_eq!(seen.len() as u64, recovered.tip().size, "not every leaf was handed out");
        if let Some((size, _)) = head {
            assert_eq!(recovered.tip().size, size, "the head store knew more");
        }
    }

    /// The whole ledger: what was committed is read back as it was, or the start is refused.
    fn open_ledger(&self) {
        let world = world(&self.disk, &self.head, &self.keys, 20);
        let Ok(opened) = open(&world, &config()) else { return };
        if opened.created {
            let segments = self.disk.list("journal").expect("a disk without faults");
            assert!(!self.head_known, "a second ledger beside a head that knows the first");
            assert!(!segments.is_empty());
            return;
        }
        let kept = opened.rooms.published().size.min(self.base.leaves.len() as u64);
        let last = self.base.commits.last().expect("there are some").0;
        assert!(!self.head_known || opened.rooms.published().size >= last);
        for (index, leaf) in (0..kept).zip(&self.base.leaves) {
            match opened.rooms.reader.leaf(index) {
                Ok(found) if found == *leaf => {}
                Ok(found) => return self.is_recovery_point(index, &found),
                Err(ReadError::Damaged { .. } | ReadError::Disk(_)) => {}
            }
        }
    }

    /// What may differ in a ledger that verifies: files that may be lost are lost, runs that no
    /// manifest names, how many zeros stand behind the last batch, and of the stored tree what was
    /// not synced when a crash came: `lags` says that the verifier noticed.
    fn is_harmless(&self, after: &BTreeMap<String, Vec<u8>>, lags: bool) {
        let unnamed = !after.contains_key("index/manifest");
        for (path, before) in self.base.disk.files() {
            if unnamed && path.ends_with(".run") {
                continue;
            }
            let same = match after.get(path) {
                // A secret that is gone is told by the events that cannot be judged, if any.
                None => ["index/", "tree/", "vault/map", "vault/secret-"]
                    .iter()
                    .any(|lost| path.starts_with(lost)),
                Some(after) if path.ends_with(".seg") => content(before) == content(after),
                // An empty note is what opening creates before anything is synced: it is lost.
                Some(after) if path == "tree/whole" => before == after || after.is_empty(),
                Some(after) if path.starts_with("tree/") => {
                    let unit = if path == "tree/positions" { 8 } else { 32 };
                    before == after || is_lagging(before, after, unit, lags)
                }
                Some(after) => before == after,
            };
            assert!(same, "{path} changed and the ledger still verifies");
        }
    }

    /// The first leaf that differs is the RECOVERED that opening wrote behind a whole commit.
    fn is_recovery_point(&self, index: u64, leaf: &[u8]) {
        assert!(!self.head_known, "leaf {index} changed although the head store knows it");
        assert!(self.base.commits.iter().any(|(size, _)| *size == index), "cut inside a commit");
        let control: Control<'_> = decode_object(Kind::Control, leaf).expect("a control leaf");
        let size = control.recovered.map(|recovered| recovered.size);
        assert_eq!(size, Some(index.cast_signed()), "leaf {index} changed");
    }
}
