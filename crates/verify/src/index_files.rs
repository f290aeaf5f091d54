//! The index: every run against the postings that follow from the journal.
//!
//! Promises: a run that holds other postings than the journal's entries give, or other times of
//! event ids, is found, also when its own sums are right. The postings are compared as a keyed
//! sum per range, in which their order does not matter: nothing is built a second time, and an
//! index of another make can be summed up the same way. Terms and filters are in the order that
//! look-ups rely on; a run that is not fails its own check.
//!
//! Which kinds are compared is the caller's choice ([`Compared`]). Without the index key only the
//! files' own sums can be checked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ledgerline_index::event_times::{self, EventTimes};
use ledgerline_index::{
    IndexError, Manifest, ManifestRun, RunSummary, TermHasher, is_planned_from, parse_manifest,
    read_postings,
};
use ledgerline_world::disk::{Disk, read_whole};

use super::facts::{LeafFacts, LeafWhat};
use super::multiset::{PostingKey, PostingSum};
use super::report::{Findings, Severity, VerifyFinding};

const DIR: &str = "index";
const MANIFEST: &str = "index/manifest";
const MANIFEST_MAX: u64 = 1 << 20;
const LOST: &str = "no entry is affected: the file may be lost, the next start builds it again";

/// Which postings the index is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// None: the index key is not at hand, or the index is somebody else's to check.
    Nothing,
    /// Those that new entries are planned from. The others can hide an entry from a question, never
    /// change what is recorded.
    Planned,
    /// All of them, for about half a microsecond more an event.
    Every,
}

/// Postings of the kinds that are compared, and the key of their sums.
#[derive(Clone, Copy)]
pub(super) struct SummedPostings {
    pub(super) compared: Compared,
    pub(super) key: PostingKey,
}

impl SummedPostings {
    fn takes(&self, kind: u8) -> bool {
        match self.compared {
            Compared::Nothing => false,
            Compared::Planned => is_planned_from(kind),
            Compared::Every => true,
        }
    }
}

/// What the postings of one range add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RangeSum {
    postings: PostingSum,
    oldest: u64,
    newest: u64,
    untimed: u64,
}

impl Default for RangeSum {
    fn default() -> Self {
        Self { postings: PostingSum::default(), oldest: u64::MAX, newest: 0, untimed: 0 }
    }
}

impl RangeSum {
    fn join(&mut self, other: &Self) {
        self.postings.join(&other.postings);
        self.oldest = self.oldest.min(other.oldest);
        self.newest = self.newest.max(other.newest);
        self.untimed += other.untimed;
    }
}

/// Sums per range of the journal's postings, and when its events occurred.
pub(super) struct IndexSums {
    range_log2: u32,
    sums: BTreeMap<u64, RangeSum>,
    times: EventTimes,
}

impl IndexSums {
    /// Sums for the runs of a manifest.
    pub fn new(manifest: &Manifest) -> Self {
        let range_log2 = manifest.range_log2;
        let times = EventTimes::new(range_log2, manifest.identity);
        Self { range_log2, sums: BTreeMap::new(), times }
    }

    /// Takes a leaf's postings.
    pub fn add(&mut self, index: u64, facts: &LeafFacts) {
        let sum = self.sums.entry(index >> self.range_log2).or_default();
        sum.postings.join(&facts.postings);
        let mut time = None;
        if let LeafWhat::Event(event) = &facts.what {
            let recorded_at = facts.recorded_at.unwrap_or(event.occurred_at);
            time = Some(event.span.recorded(index, recorded_at));
            match facts.uuid_millis {
                Some(millis) => {
                    sum.oldest = sum.oldest.min(millis);
                    sum.newest = sum.newest.max(millis);
                }
                None => sum.untimed += 1,
            }
        }
        self.times.note(self.times.end(), index + 1, time.as_slice());
    }

    fn of(&self, range: Range<u64>) -> RangeSum {
        let mut joined = RangeSum::default();
        let blocks = range.start >> self.range_log2..range.end >> self.range_log2;
        self.sums.range(blocks).for_each(|(_, sum)| joined.join(sum));
        joined
    }
}

/// What the runs are compared with: there when the index key is.
#[derive(Clone, Copy)]
pub(super) struct Compare<'a> {
    pub(super) postings: SummedPostings,
    pub(super) sums: &'a IndexSums,
}

/// Reads the manifest, if there is a whole one.
pub(super) fn manifest(disk: &dyn Disk, findings: &mut Findings) -> Option<Manifest> {
    if !disk.exists(MANIFEST).unwrap_or(true) {
        let any = disk.list(DIR).is_ok_and(|names| !names.is_empty());
        if any {
            let what = format!("there are runs but no manifest; {LOST}");
            findings.push(VerifyFinding::new(Severity::Notice, "index_lags", DIR, what));
        }
        return None;
    }
    let bytes = read_whole(disk, MANIFEST, MANIFEST_MAX).unwrap_or_default();
    let manifest = parse_manifest(&bytes).ok();
    let manifest =
        manifest.filter(|one| (1..=31).contains(&one.range_log2) && (2..=64).contains(&one.fan_in));
    if manifest.is_none() {
        let what = format!("the manifest does not hold; {LOST}");
        findings.push(VerifyFinding::new(Severity::Derived, "index_file", MANIFEST, what));
    }
    manifest
}

/// Whether the manifest's runs can be compared: runs under another key, or of a version that finds
/// entries by other things, are built anew by the next start.
pub(super) fn is_of_this_choice(
    manifest: &Manifest,
    terms: &TermHasher,
    findings: &mut Findings,
) -> bool {
    if manifest.identity == terms.identity() || manifest.runs.is_empty() {
        return true;
    }
    let what = format!(
        "{} runs are of another choice of terms, and not compared: the next start builds them \
         anew; no entry is affected",
        manifest.runs.len()
    );
    findings.push(VerifyFinding::new(Severity::Incomplete, "index_terms", DIR, what));
    false
}

/// Looks at a manifest that is replaced while it is compared so often.
const LIVE_TRIES: usize = 8;

/// As [`check`], while a node merges runs: what is found counts when the manifest was the same
/// before and behind. Runs that end behind `size` are checked by their own sums.
pub(super) fn check_live(
    disk: &Arc<dyn Disk>,
    compare: Option<Compare<'_>>,
    size: u64,
    findings: &mut Findings,
) {
    let read = || read_whole(disk.as_ref(), MANIFEST, MANIFEST_MAX).unwrap_or_default();
    for _ in 0..LIVE_TRIES {
        let mut found = Findings::default();
        let before = read();
        let mut manifest = manifest(disk.as_ref(), &mut found);
        if let Some(manifest) = &mut manifest {
            let (log2, fan_in) = (manifest.range_log2, u64::from(manifest.fan_in));
            let end = |level: u32, start: u64| {
                let span = fan_in.checked_pow(level)?.checked_mul(1 << log2)?;
                start.checked_add(span)
            };
            manifest.runs.retain(|run| end(run.level, run.start).is_none_or(|end| end <= size));
        }
        check(disk, manifest.as_ref(), compare, None, size, &mut found);
        if read() == before {
            return findings.absorb(found);
        }
    }
    let what = "the index was merged again and again while it was read: not compared this time";
    findings.push(VerifyFinding::new(Severity::Notice, "index_busy", DIR, what.to_owned()));
}

/// A run as its file has it: what it says of itself, and the sum of its postings of the kinds that
/// are compared.
pub(super) type RunRead = Result<(RunSummary, PostingSum), &'static str>;

/// Reads every run that the manifest names, so that [`check`] need not.
pub(super) fn read_runs(
    disk: &dyn Disk,
    manifest: &Manifest,
    postings: SummedPostings,
) -> Vec<RunRead> {
    let read = |run: &ManifestRun| read_run(disk, &path_of(run), Some(postings));
    manifest.runs.iter().map(read).collect()
}

fn path_of(run: &ManifestRun) -> String {
    format!("{DIR}/r{:02}-{:016x}.run", run.level, run.start)
}

/// Checks every file of the index. `read` holds the manifest's runs when they were read before.
pub(super) fn check(
    disk: &Arc<dyn Disk>,
    manifest: Option<&Manifest>,
    compare: Option<Compare<'_>>,
    read: Option<&[RunRead]>,
    size: u64,
    findings: &mut Findings,
) {
    let names = disk.list(DIR).unwrap_or_default();
    let mut listed = Vec::new();
    let mut next = 0;
    for (at, run) in manifest.iter().flat_map(|manifest| &manifest.runs).enumerate() {
        let path = path_of(run);
        listed.push(path.clone());
        let span = manifest.and_then(|manifest| span(manifest, run.level));
        let end = span.and_then(|span| run.start.checked_add(span)).unwrap_or(run.start);
        let flaw = if run.start != next || end <= run.start || end > size {
            Some("the manifest names a run that is not where it can be")
        } else {
            let postings = compare.map(|compare| compare.postings);
            let read = match read.and_then(|read| read.get(at)) {
                Some(read) => *read,
                None => read_run(disk.as_ref(), &path, postings),
            };
            run_flaw(
                read,
                run.start..end,
                run.bytes,
                run.sha256,
                compare.map(|compare| compare.sums),
            )
        };
        next = end;
        if let Some(flaw) = flaw {
            let what = format!("{flaw}; {LOST}");
            findings.push(VerifyFinding::new(Severity::Derived, "index_file", &path, what));
        }
    }
    for name in names {
        let path = format!("{DIR}/{name}");
        if path == MANIFEST || listed.contains(&path) {
            continue;
        }
        if name == event_times::FILE {
            let sums = compare.map(|compare| compare.sums);
            findings.extend(event_times_flaw(disk.as_ref(), &path, next.min(size), sums));
            continue;
        }
        // What the manifest does not name is a leftover, or the manifest is what does not hold.
        let flaw =
            name.ends_with(".run").then(|| read_postings(disk.as_ref(), &path, &mut |_, _| {}));
        let (severity, what) = match flaw {
            Some(Err(error)) => (Severity::Notice, format!("{}; {LOST}", flaw_of(&error))),
            Some(Ok(_)) | None if name.ends_with(".run") || name.ends_with(".new") => (
                Severity::Notice,
                "the manifest does not name it; the next start removes it".into(),
            ),
            _ => (Severity::Notice, "not a file of the index".to_owned()),
        };
        findings.push(VerifyFinding::new(severity, "index_leftover", &path, what));
    }
}

/// What is wrong with the event times of the entries that runs cover. Behind them the file may be
/// ahead, or just being written.
fn event_times_flaw(
    disk: &dyn Disk,
    path: &str,
    covered: u64,
    sums: Option<&IndexSums>,
) -> Option<VerifyFinding> {
    if covered == 0 {
        return None;
    }
    let bytes = read_whole(disk, path, event_times::FILE_MAX).unwrap_or_default();
    let flaw = match event_times::parse_event_times(&bytes) {
        Err(_) => "the event times do not hold",
        Ok(file) if file.covered < covered => "the event times do not hold, or end early",
        Ok(_) => {
            let due = sums?.times.file(covered);
            if bytes.starts_with(&due) {
                return None;
            }
            "the event times are not those of the journal's entries"
        }
    };
    let what = format!("{flaw}; {LOST}");
    Some(VerifyFinding::new(Severity::Derived, "index_file", path, what))
}

fn span(manifest: &Manifest, level: u32) -> Option<u64> {
    let merged = u64::from(manifest.fan_in).checked_pow(level)?;
    merged.checked_mul(1 << manifest.range_log2)
}

fn flaw_of(error: &IndexError) -> &'static str {
    match error {
        IndexError::Damaged { .. } => "the run does not hold",
        IndexError::Io { .. } => "the run cannot be read",
    }
}

fn read_run(disk: &dyn Disk, path: &str, postings: Option<SummedPostings>) -> RunRead {
    let mut found = PostingSum::default();
    let summary = read_postings(disk, path, &mut |term, indexes| {
        if let Some(postings) = postings.filter(|postings| postings.takes(term.kind)) {
            let key = &postings.key;
            indexes.iter().for_each(|index| found.add(key, term.kind, term.hash, *index));
        }
    });
    summary.map(|summary| (summary, found)).map_err(|error| flaw_of(&error))
}

fn run_flaw(
    read: RunRead,
    range: Range<u64>,
    bytes: u64,
    sha256: [u8; 32],
    sums: Option<&IndexSums>,
) -> Option<&'static str> {
    let (summary, found) = match read {
        Ok(read) => read,
        Err(flaw) => return Some(flaw),
    };
    if (summary.start, summary.end) != (range.start, range.end)
        || (summary.bytes, summary.sha256) != (bytes, sha256)
    {
        return Some("not the run that the manifest names");
    }
    let due = sums?.of(range);
    let ids = (summary.ids.oldest, summary.ids.newest, summary.ids.untimed);
    if found != due.postings || ids != (due.oldest, due.newest, due.untimed) {
        return Some("the run holds other postings than the journal's entries give");
    }
    None
}
