//! Reads the journal in order, batch by batch, also past damage.
//!
//! Promises: every byte of every segment is either part of a whole batch handed out, or named in a
//! finding. What is damaged is put right in memory where that is possible without doubt (see
//! `damage.rs`), so that one flipped bit gives one finding. Time is linear in the journal: only so
//! many frames of a segment are mended.
//!
//! Assumes: nothing of the files.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use ledgerline_journal::format::{
    CommitRecord, FRAME_BYTES, FrameBinding, FrameType, HEADER_BYTES, MAX_SEGMENT_BYTES,
    SegmentHeader, segment_number, segment_path,
};
use ledgerline_journal::scan::{Scanned, ScannedBatch, SegmentScan, first_nonzero};
use ledgerline_journal::streams::StreamTable;
use ledgerline_proof::control::{Control, ControlKind};
use ledgerline_proof::hash::{Hash, empty_root};
use ledgerline_proof::schema::{Kind, decode_object, kind_of};
use ledgerline_world::disk::{Disk, File as _, OpenMode};

use super::Progress;
use super::damage::{frame_at, mend, mend_header, next_batch};
use super::facts::{Claim, Job};
use super::judge::Context;
use super::names::{Name, name_of_leaf};
use super::readonly::Patched;
use super::report::{Counts, Findings, Severity, VerifyFinding};

/// Frames of one segment that are mended; more are treated as lost.
const MAX_MENDED: usize = 64;
/// Names taken out of a batch that does not hold.
const MAX_SALVAGED: usize = 1000;
/// So few bytes behind the last commit are rot, not the beginning of a batch.
const ROT_BYTES: usize = 4;
/// The first byte of a BATCH frame that is not zero, and where it stands.
const BATCH_MARK: (u64, u8) = (3, 20);

/// Bytes to be read in place of those of a segment: `(offset, bytes)`.
pub(super) type Overlay = BTreeMap<u32, Vec<(u64, Vec<u8>)>>;

/// One walk over the journal.
pub(super) struct Reader<'r> {
    disk: &'r Arc<dyn Disk>,
    /// Told of keys; `None` while only the genesis batch is wanted.
    context: Option<&'r Context>,
    head_size: Option<u64>,
    overlay: &'r Overlay,
    progress: Option<&'r (dyn Fn(Progress) + Sync)>,
    pass: u64,
    /// What was found.
    pub findings: Findings,
    /// What was read.
    pub counts: Counts,
    size: u64,
    claim: Option<Claim>,
    ledger_id: Option<[u8; 16]>,
    salvaged: Vec<Name>,
    bytes_before: u64,
    bytes_total: u64,
    /// Entries behind which nothing is read; all when none.
    until: Option<u64>,
    /// Asked after every batch whether to read on.
    go_on: Option<&'r (dyn Fn() -> bool + Sync)>,
    /// Where a walk that was ended goes on: a segment, and the offset of its next batch.
    resume: Option<(u32, u64)>,
    done: bool,
}

/// A byte that was put right, until the batch around it is known.
struct Note {
    offset: u64,
    exact: bool,
}

/// What to do behind something bad.
enum Next {
    Again,
    Skip(u64),
    End,
}

/// What is needed to judge a place in a segment.
struct Place<'p> {
    path: &'p str,
    binding: FrameBinding,
    is_last: bool,
}

impl<'r> Reader<'r> {
    pub fn new(
        disk: &'r Arc<dyn Disk>,
        context: Option<&'r Context>,
        head_size: Option<u64>,
        overlay: &'r Overlay,
    ) -> Self {
        let claim = Claim {
            size: 0,
            root: empty_root(),
            mac: Hash::ZERO,
            epoch: 0,
            ends_in_block: true,
            streams: Some(StreamTable::default()),
        };
        Self {
            disk,
            context,
            head_size,
            overlay,
            progress: None,
            pass: 0,
            findings: Findings::default(),
            counts: Counts::default(),
            size: 0,
            claim: Some(claim),
            ledger_id: None,
            salvaged: Vec::new(),
            bytes_before: 0,
            bytes_total: 0,
            until: None,
            go_on: None,
            resume: None,
            done: false,
        }
    }

    /// Says how far it is while reading.
    pub fn with_progress(
        mut self,
        pass: u64,
        progress: Option<&'r (dyn Fn(Progress) + Sync)>,
    ) -> Self {
        self.progress = progress;
        self.pass = pass;
        self
    }

    /// Reads a journal that is being written: nothing behind `until` entries, which are committed.
    pub fn live(
        mut self,
        until: Option<u64>,
        go_on: Option<&'r (dyn Fn() -> bool + Sync)>,
    ) -> Self {
        self.until = until;
        self.go_on = go_on;
        self
    }

    /// Goes on behind what was read, up to `until` entries.
    pub fn go_on_until(&mut self, until: u64, emit: &mut dyn FnMut(Job)) {
        self.until = Some(until);
        self.head_size = Some(until);
        self.done = false;
        if self.size < until {
            self.run(emit);
        }
    }

    /// Entries read so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Hands every batch to `emit`.
    pub fn run(&mut self, emit: &mut dyn FnMut(Job)) {
        let numbers = match segment_numbers(self.disk.as_ref()) {
            Ok(numbers) => numbers,
            Err(error) => return self.unreadable("journal", &error),
        };
        let begin = self.resume.map_or(0, |(number, _)| number);
        let numbers: Vec<u32> = numbers.into_iter().filter(|number| *number >= begin).collect();
        if numbers.is_empty() {
            let what = "there is no journal".to_owned();
            self.findings.push(VerifyFinding::new(Severity::Error, "no_journal", "journal", what));
        }
        for number in &numbers {
            let length = self.disk.open(&segment_path(*number), OpenMode::Read);
            let length = length.and_then(|file| file.len()).unwrap_or(0);
            self.bytes_total += length;
        }
        let mut expected = begin;
        for number in &numbers {
            if *number != expected {
                let what = format!("segments {expected} to {} are missing", number - 1);
                let path = segment_path(expected);
                self.error("segment_missing", &path, what).first_bad_index = Some(self.size);
                self.claim = None;
            }
            expected = number + 1;
            let is_last = Some(number) == numbers.last();
            if let Err(error) = self.segment(*number, is_last, emit) {
                self.unreadable(&segment_path(*number), &error);
                self.claim = None;
            }
            if self.done {
                return;
            }
        }
    }

    /// Hands only the genesis batch out.
    pub fn first_batch(&mut self) -> Option<(Box<ScannedBatch>, [u8; 16])> {
        let mut first = None;
        self.run(&mut |job| first = first.take().or(Some(job.batch)));
        first.zip(self.ledger_id)
    }

    fn error(&mut self, code: &'static str, path: &str, what: String) -> &mut VerifyFinding {
        self.findings.push_and_get(VerifyFinding::new(Severity::Error, code, path, what))
    }

    fn unreadable(&mut self, path: &str, error: &io::Error) {
        let what = format!("cannot be read: {error}");
        self.error("unreadable", path, what).first_bad_index = Some(self.size);
    }

    fn segment(&mut self, number: u32, is_last: bool, emit: &mut dyn FnMut(Job)) -> io::Result<()> {
        let path = segment_path(number);
        let mut file = Patched::new(self.disk.open(&path, OpenMode::Read)?);
        if file.len()? > MAX_SEGMENT_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than any segment"));
        }
        for (offset, bytes) in self.overlay.get(&number).into_iter().flatten() {
            file.patch(*offset, bytes);
        }
        let Some(header) = self.header(&file, number, is_last)? else { return Ok(()) };
        let behind = self.resume.filter(|(at, _)| *at == number).map(|(_, offset)| offset);
        if behind.is_none() {
            self.enter(&header, &path);
            self.counts.segments += 1;
        }
        let length = file.len()?;
        self.counts.journal_bytes += length;
        let binding = FrameBinding::new(&header.ledger_id, number);
        let place = Place { path: &path, binding, is_last };
        let mut offset = behind.unwrap_or(HEADER_BYTES as u64);
        let mut notes = Vec::new();
        while let Some((start, at)) = self.batches(&file, &header, offset, &mut notes, emit)? {
            match self.bad(&mut file, &place, &mut notes, start, at)? {
                Next::Again => offset = start,
                Next::Skip(to) => offset = to,
                Next::End => break,
            }
        }
        self.bytes_before += length;
        Ok(())
    }

    /// Hands out whole batches from `offset` on; stops at the first that is not.
    fn batches(
        &mut self,
        file: &Patched,
        header: &SegmentHeader,
        offset: u64,
        notes: &mut Vec<Note>,
        emit: &mut dyn FnMut(Job),
    ) -> io::Result<Option<(u64, u64)>> {
        let mut scan = SegmentScan::from_offset(file, header, offset)?;
        loop {
            match scan.next_batch()? {
                Scanned::End => return Ok(None),
                Scanned::Bad { start, at } => return Ok(Some((start, at))),
                Scanned::Batch(batch) => {
                    self.batch(batch, notes, emit);
                    self.resume = Some((header.number, scan.offset()));
                    if self.done {
                        return Ok(None);
                    }
                    if let Some(progress) = self.progress {
                        progress(Progress {
                            pass: self.pass,
                            bytes_done: self.bytes_before + scan.offset(),
                            bytes_total: self.bytes_total,
                            entries: self.size,
                        });
                    }
                }
            }
        }
    }

    fn batch(
        &mut self,
        batch: Box<ScannedBatch>,
        notes: &mut Vec<Note>,
        emit: &mut dyn FnMut(Job),
    ) {
        let path = segment_path(batch.segment);
        if batch.head.first_index > self.size {
            self.gap(batch.head.first_index, &path, batch.start);
        } else if batch.head.first_index < self.size {
            let what = format!(
                "the batch says it begins at entry {}, where {} was due",
                batch.head.first_index, self.size
            );
            self.error("batch_order", &path, what).first_bad_index = Some(self.size);
        }
        let base = self.size;
        for note in notes.drain(..).filter(|note| note.offset < batch.end()) {
            self.findings.push(changed_frame(&batch, base, &path, &note));
        }
        let mut last = None;
        for (index, (_, leaf)) in (base..).zip(batch.leaves()) {
            last = kind_of(leaf);
            if let Some(context) = self.context
                && last == Some(Kind::Control)
            {
                context.learn(index, leaf);
            }
        }
        let before = self.claim.take();
        let commit = &batch.commit;
        self.claim = Some(Claim {
            size: commit.size,
            root: commit.root,
            mac: commit.mac,
            epoch: commit.epoch,
            ends_in_block: last == Some(Kind::Block),
            streams: Some(commit.streams.clone()),
        });
        self.size = base + u64::from(batch.head.entry_count);
        self.done = self.context.is_none()
            || self.until.is_some_and(|until| self.size >= until)
            || self.go_on.is_some_and(|go_on| !go_on());
        emit(Job { batch, base, before });
    }

    /// Entries up to `to` are not there.
    fn gap(&mut self, to: u64, path: &str, offset: u64) {
        let from = self.size;
        let what = format!("entries {from} to {} are missing or cannot be read", to - 1);
        let finding = VerifyFinding::new(Severity::Error, "entries_lost", path, what);
        let mut finding = finding.at(offset).entry(from);
        for name in self.salvaged.drain(..) {
            finding = finding.of(Some(name));
        }
        self.findings.push(finding);
        self.size = to;
        self.claim = None;
    }

    /// The segment's header, mended or expected when its own does not hold.
    fn header(
        &mut self,
        file: &Patched,
        number: u32,
        is_last: bool,
    ) -> io::Result<Option<SegmentHeader>> {
        let path = segment_path(number);
        let bytes = file.read_up_to(0, HEADER_BYTES)?;
        if let Some(header) = SegmentHeader::decode(&bytes).filter(|one| one.number == number) {
            return Ok(Some(header));
        }
        let mended = bytes.as_slice().try_into().ok().and_then(mend_header);
        if let Some((header, offset)) = mended.filter(|(header, _)| header.number == number) {
            let what = "one bit of the segment's header is flipped; no entry is affected";
            self.error("header_changed", &path, what.into()).offset = Some(offset);
            return Ok(Some(header));
        }
        let expected = self.ledger_id.zip(self.claim.as_ref()).map(|(ledger_id, claim)| {
            let (first_index, root, previous_mac) = (claim.size, claim.root, claim.mac);
            SegmentHeader { ledger_id, number, first_index, root, previous_mac }
        });
        let Some(expected) = expected else {
            let what = "the segment's header does not hold, and what it was cannot be known";
            self.error("header", &path, what.into()).first_bad_index = Some(self.size);
            return Ok(None);
        };
        let binding = FrameBinding::new(&expected.ledger_id, number);
        let begun = next_batch(file, binding, HEADER_BYTES as u64)?.is_some();
        if is_last && !begun && self.head_size.is_none_or(|head| head <= self.size) {
            let what = "a segment was begun and has no whole header: the next start removes it; no \
                        entry is affected";
            let finding =
                VerifyFinding::new(Severity::Incomplete, "headless_segment", &path, what.into());
            self.findings.push(finding);
            return Ok(None);
        }
        let what = "the segment's header does not hold";
        self.error("header", &path, what.into()).offset = Some(0);
        Ok(Some(expected))
    }

    /// Whether the segment continues the one before.
    fn enter(&mut self, header: &SegmentHeader, path: &str) {
        let same_ledger = self.ledger_id.is_none_or(|id| id == header.ledger_id);
        let continues = self.claim.as_ref().is_none_or(|claim| {
            header.first_index == claim.size
                && header.previous_mac == claim.mac
                && header.root == claim.root
        });
        self.ledger_id.get_or_insert(header.ledger_id);
        if header.first_index > self.size {
            self.gap(header.first_index, path, 0);
        } else if !same_ledger || !continues {
            let what = "the segment does not continue the one before";
            self.error("segment_link", path, what.into()).first_bad_index = Some(self.size);
        }
        if self.claim.is_none() && header.first_index == self.size {
            let (size, root, mac) = (header.first_index, header.root, header.previous_mac);
            let (ends_in_block, streams) = (true, None);
            self.claim = Some(Claim { size, root, mac, epoch: 0, ends_in_block, streams });
        }
    }

    /// Something that is no whole batch, from `start`; the frame at `at` does not hold.
    fn bad(
        &mut self,
        file: &mut Patched,
        place: &Place<'_>,
        notes: &mut Vec<Note>,
        start: u64,
        at: u64,
    ) -> io::Result<Next> {
        let not_promised = self.head_size.is_none_or(|head| head <= self.size);
        if place.is_last
            && self.size > 0
            && not_promised
            && next_batch(file, place.binding, start + 1)?.is_none()
        {
            self.tail(file, place, start)?;
            return Ok(Next::End);
        }
        if notes.len() < MAX_MENDED
            && let Some(mend) = mend(file, place.binding, at)?
        {
            file.patch(mend.patch_at, &mend.patch);
            notes.push(Note { offset: mend.offset, exact: mend.exact });
            return Ok(Next::Again);
        }
        notes.clear();
        let next = next_batch(file, place.binding, at.max(start + 1))?;
        let good = self.salvage(file, place.binding, start, next)?;
        let what =
            "bytes that are no whole batch; what they held is lost if nothing says otherwise";
        let first_bad = self.size + good;
        let finding = self.error("batch_lost", place.path, what.into());
        finding.offset = Some(at);
        if next.is_some() {
            finding.first_bad_index = Some(first_bad);
        }
        self.claim = None;
        Ok(next.map_or(Next::End, Next::Skip))
    }

    /// Takes what names can be read out of a batch that does not hold. Gives the number of whole
    /// ENTRY frames at its beginning.
    fn salvage(
        &mut self,
        file: &Patched,
        binding: FrameBinding,
        start: u64,
        end: Option<u64>,
    ) -> io::Result<u64> {
        let end = end.unwrap_or(file.len()?);
        let (mut at, mut good, mut whole) = (start, 0, true);
        for _ in 0..MAX_SALVAGED {
            let head = file.read_up_to(at, FRAME_BYTES)?;
            let Some(length) = head.first_chunk::<4>().map(|one| u32::from_be_bytes(*one)) else {
                break;
            };
            let next = at + FRAME_BYTES as u64 + u64::from(length);
            if head.len() < FRAME_BYTES || next > end || (length == 0 && head[4] == 0) {
                break;
            }
            whole &= frame_at(file, binding, at)?.is_some();
            if head[4] == FrameType::Entry as u8 {
                good += u64::from(whole);
                let body = file.read_up_to(at + FRAME_BYTES as u64, length as usize)?;
                self.salvaged.extend(name_of_leaf(&body));
            }
            at = next;
        }
        Ok(good)
    }

    /// Bytes behind the last whole commit that the next start would cut.
    fn tail(&mut self, file: &Patched, place: &Place<'_>, start: u64) -> io::Result<()> {
        let length = file.len()?;
        let mut found = Vec::new();
        let mut from = start;
        while let Some(at) = first_nonzero(file, from, length)? {
            found.push(at);
            from = at + 1;
            if found.len() > ROT_BYTES {
                break;
            }
        }
        let Some(first) = found.first().copied() else { return Ok(()) };
        let begins_batch = first == start + BATCH_MARK.0
            && file.read_up_to(first, 1)?.first() == Some(&BATCH_MARK.1);
        let size = self.size;
        let finding = if found.len() <= ROT_BYTES && !begins_batch {
            let what = "bytes of the zero padding are not zero; no entry is affected";
            VerifyFinding::new(Severity::Error, "padding", place.path, what.into()).at(first)
        } else {
            self.salvage(file, place.binding, start, None)?;
            let what = format!(
                "behind entry {} stands a batch that is not whole: nobody was told it is recorded, \
                 and the next start cuts it off",
                size.saturating_sub(1)
            );
            let finding = VerifyFinding::new(Severity::Incomplete, "torn_tail", place.path, what);
            let mut finding = finding.at(start).entry(size);
            for name in self.salvaged.drain(..) {
                finding = finding.of(Some(name));
            }
            finding
        };
        self.findings.push(finding);
        Ok(())
    }
}

/// The finding about a frame that was put right.
fn changed_frame(batch: &ScannedBatch, base: u64, path: &str, note: &Note) -> VerifyFinding {
    let mut index = base;
    let mut name = None;
    let mut hit = None;
    for frame in batch.frames() {
        if frame.kind == FrameType::Entry {
            name = name_of_leaf(frame.body);
            index += 1;
        }
        if (frame.offset..frame.end()).contains(&note.offset) {
            hit = Some((frame.kind, index - 1));
            break;
        }
    }
    let how = if note.exact {
        "one bit is flipped; put right in memory it holds again"
    } else {
        "it was changed"
    };
    let what = match hit {
        Some((FrameType::Entry, index)) => format!("entry {index}: {how}"),
        Some((FrameType::Attachment, index)) => format!("an attachment of entry {index}: {how}"),
        Some((_, index)) => format!("a sealed record of entry {index}: {how}"),
        None if stream_table(batch).contains(&note.offset) => {
            format!("the stream table of a commit: {how}; no entry is affected")
        }
        None => format!("the frame of a batch or commit: {how}; no entry is affected"),
    };
    let finding = VerifyFinding::new(Severity::Error, "frame_changed", path, what).at(note.offset);
    match hit {
        Some((_, index)) => finding.entry(index).of(name),
        None => finding,
    }
}

/// Where the marks of streams stand in a batch; nowhere when there are none.
fn stream_table(batch: &ScannedBatch) -> Range<u64> {
    let CommitRecord { streams, previous_signature, .. } = &batch.commit;
    let end = batch.end() - (2 + previous_signature.len()) as u64;
    let length = if streams.marks().is_empty() { 0 } else { streams.encoded_len() };
    end - length as u64..end
}

/// Numbers of the segments that are there, ascending.
fn segment_numbers(disk: &dyn Disk) -> io::Result<Vec<u32>> {
    let names = disk.list("journal")?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

impl Context {
    /// Takes a control leaf into the registry.
    fn learn(&self, index: u64, leaf: &[u8]) {
        let Ok(control) = decode_object::<Control<'_>>(Kind::Control, leaf) else { return };
        if let Some(added) = &control.key_added {
            let secret = |key_id: &str| {
                let secret = self.vault.as_ref()?.secret(key_id).ok().flatten();
                secret.map(|secret| secret.to_vec())
            };
            self.registry.add(added, index, &self.deployment, &secret);
        }
        if let Some(ended) = &control.key_ended {
            let compromised = control.kind == ControlKind::KeyCompromised;
            self.registry.end(ended.key_id, index, compromised);
        }
    }
}
