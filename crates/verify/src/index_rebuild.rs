//! The index, built a second time beside the first: byte for byte the same files, and the same
//! answers as a walk through all entries gives.
//!
//! Promises: every run that the manifest names is compared with the run that the journal's entries
//! give, as soon as the second index has made it; runs are a function of their entries, so one
//! other byte is a finding. Then a sample of look-ups is answered twice, by the index on disk and
//! by reading every entry, and compared: number and sum of the entries found, the newest one, and
//! the unique ones. Changes nothing below the data directory.
//!
//! Assumes: the journal holds; [`super::verify`] says whether it does. Takes as much scratch room
//! as the index has, and two walks over the journal.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use ledgerline_index::terms::postings_of;
use ledgerline_index::{
    EventSpan, EventTime, Index, IndexConfig, IndexError, Manifest, ManifestRun, Posting,
    Progress as Step, ReadBudget, Term, TermHasher, TermKind, check_run, event_times,
};
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_world::disk::{Disk, read_whole};
use serde::Serialize;

use super::judge::Context;
use super::reader::{Overlay, Reader};
use super::readonly::ReadOnly;
use super::report::{Findings, Severity, Verdict, VerifyFinding};
use super::{One, Progress, VerifyWorld, context, files, identity, index_files};

/// Postings asked for at a time.
const PAGE: usize = 4096;

/// What was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexReport {
    /// In one word.
    pub verdict: Verdict,
    /// Entries that the runs cover.
    pub covered: u64,
    /// Runs that the manifest names.
    pub runs: u64,
    /// Runs that are byte for byte what the entries give.
    pub runs_identical: u64,
    /// Look-ups that were answered twice.
    pub samples: u64,
    /// Entries found by them, all together.
    pub sampled_hits: u64,
    /// What was found, worst first.
    pub findings: Vec<VerifyFinding>,
    /// Findings beyond the bound, only counted.
    pub findings_dropped: u64,
}

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum IndexCheckError {
    /// Terms are hashed under a key.
    #[error("the index can only be built again with the node's keys")]
    NoKeys,
    /// The genesis entry cannot be read.
    #[error("there is no ledger here; run `ledgerline verify` without --index")]
    NoLedger,
    /// The scratch room or the index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// What a walk through all entries says about a term.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Answer {
    count: u64,
    sum: u64,
    newest: u64,
}

impl Answer {
    fn take(&mut self, index: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index >> 7);
        self.newest = self.newest.max(index);
    }
}

/// Compares the index in `world` with one built in `scratch`, and `samples` entries' look-ups with
/// a walk. `scratch` must be empty.
///
/// # Errors
/// [`IndexCheckError`]. What is wrong with the index is a finding, not an error.
pub fn verify_index(
    world: &VerifyWorld,
    scratch: Arc<dyn Disk>,
    samples: u64,
    progress: Option<&(dyn Fn(Progress) + Sync)>,
) -> Result<IndexReport, IndexCheckError> {
    let keys = world.keys.as_ref().ok_or(IndexCheckError::NoKeys)?;
    let identity = identity(&world.disk).ok_or(IndexCheckError::NoLedger)?;
    // The newest origin: an older one's index is built again when it is missing.
    let erased_later = BTreeMap::new();
    let (shared, erased_later) = (&world.disk, &erased_later);
    let one = One { world, shared, end: None, before: &[], erased_later };
    let context = context(&one, &identity, None);
    let mut findings = Findings::default();
    let (overlay, _) = files::pending(&world.disk, &identity.ledger_id, &mut findings);
    let hasher = TermHasher::new(keys.index);
    let manifest = index_files::manifest(world.disk.as_ref(), &mut findings);
    let walk = Walk { world, context: &context, overlay: &overlay, hasher: &hasher, progress };
    findings.extend(manifest.iter().filter_map(|one| of_another_choice(one, &hasher)));
    let mut check = Comparison::new(&walk, manifest, scratch, samples)?;
    walk.leaves(1, &mut findings, &mut |indexed| check.take(indexed));
    check.end()?;
    let mut report = IndexReport {
        verdict: Verdict::Verified,
        covered: check.covered,
        runs: check.listed.len() as u64,
        runs_identical: check.identical,
        samples: 0,
        sampled_hits: 0,
        findings: Vec::new(),
        findings_dropped: 0,
    };
    findings.extend(check.findings(world.disk.as_ref()));
    findings.extend(check.event_times(world.disk.as_ref()));
    if check.covered > 0 {
        let mut answers = check.terms;
        report.samples = answers.len() as u64;
        walk.leaves(2, &mut findings, &mut |indexed| {
            for posting in indexed.postings.iter().filter(|one| one.index < report.covered) {
                if let Some(answer) = answers.get_mut(&posting.term) {
                    answer.take(posting.index);
                }
            }
            Ok(())
        });
        report.sampled_hits = answers.values().map(|answer| answer.count).sum();
        findings.extend(ask(world, &check.config, report.covered, &answers));
    }
    (report.verdict, report.findings, report.findings_dropped) = findings.finish();
    Ok(report)
}

/// Runs under another key, or of a version that finds entries by other things, are compared with
/// nothing: the next start builds them anew.
fn of_another_choice(manifest: &Manifest, hasher: &TermHasher) -> Option<VerifyFinding> {
    let other = manifest.identity != hasher.identity() && !manifest.runs.is_empty();
    let what = format!(
        "{} runs are of another choice of terms, and not compared: the next start builds them anew",
        manifest.runs.len()
    );
    other.then(|| VerifyFinding::new(Severity::Incomplete, "index_terms", "index", what))
}

/// Takes a batch.
type Each<'e> = dyn FnMut(&Indexed) -> Result<(), IndexError> + 'e;

/// What a batch gives to the index: its entries, what they are found by, and when they occurred.
#[derive(Default)]
struct Indexed {
    range: Range<u64>,
    postings: Vec<Posting>,
    times: Vec<EventTime>,
}

/// Reads every leaf and makes its postings.
struct Walk<'w> {
    world: &'w VerifyWorld,
    context: &'w Context,
    overlay: &'w Overlay,
    hasher: &'w TermHasher,
    progress: Option<&'w (dyn Fn(Progress) + Sync)>,
}

impl Walk<'_> {
    /// Calls `each` with what every batch gives.
    fn leaves(&self, pass: u64, findings: &mut Findings, each: &mut Each<'_>) {
        let mut reader = Reader::new(&self.world.disk, Some(self.context), None, self.overlay)
            .with_progress(pass, self.progress);
        let (mut indexed, mut failed, mut next) = (Indexed::default(), None, 0);
        reader.run(&mut |job| {
            indexed.postings.clear();
            indexed.times.clear();
            indexed.range = job.base..job.base;
            for (index, (_, leaf)) in (job.base..).zip(job.batch.leaves()) {
                indexed.range.end = index + 1;
                self.index(index, leaf, &mut indexed);
            }
            if failed.is_none() && job.base == next {
                failed = each(&indexed).err();
                next = indexed.range.end;
            }
        });
        if let Some(error) = failed {
            let what = format!("the index cannot be built beside: {error}");
            findings.push(VerifyFinding::new(Severity::Error, "index_scratch", "", what));
        }
        if pass == 1 {
            findings.absorb(std::mem::take(&mut reader.findings));
        }
    }

    fn index(&self, index: u64, leaf: &[u8], indexed: &mut Indexed) {
        let Ok(leaf) = Leaf::decode(leaf) else { return };
        let statement = match &leaf {
            Leaf::Entry(entry) => {
                let read = decode_object::<Statement<'_>>(Kind::Statement, entry.statement);
                let Ok(statement) = read else { return };
                let span = EventSpan::of(&statement);
                indexed.times.push(span.recorded(index, entry.recorded_at));
                Some(statement)
            }
            Leaf::Control(_) | Leaf::Block(_) => None,
        };
        postings_of(self.hasher, index, &leaf, statement.as_ref(), &mut indexed.postings);
    }
}

/// The second index, and what of the first was compared with it.
struct Comparison {
    config: IndexConfig,
    second: Index,
    scratch: Arc<dyn Disk>,
    listed: BTreeMap<(u32, u64), ManifestRun>,
    covered: u64,
    /// Runs of the first that differ, or were never made.
    different: Vec<(u32, u64)>,
    identical: u64,
    /// Every so many entries one is sampled.
    stride: u64,
    terms: BTreeMap<Term, Answer>,
}

impl Comparison {
    fn new(
        walk: &Walk<'_>,
        manifest: Option<Manifest>,
        scratch: Arc<dyn Disk>,
        samples: u64,
    ) -> Result<Self, IndexError> {
        let mut config = IndexConfig { identity: walk.hasher.identity(), ..IndexConfig::default() };
        let manifest = manifest.filter(|manifest| manifest.identity == config.identity);
        let mut covered = 0;
        let mut listed = BTreeMap::new();
        if let Some(manifest) = manifest {
            config.range_log2 = manifest.range_log2;
            config.fan_in = manifest.fan_in;
            for run in manifest.runs {
                let span = u64::from(config.fan_in).checked_pow(run.level);
                let span = span.and_then(|span| span.checked_mul(1 << config.range_log2));
                covered = span.and_then(|span| run.start.checked_add(span)).unwrap_or(covered);
                config.max_level = config.max_level.max(run.level.min(20));
                listed.insert((run.level, run.start), run);
            }
        }
        let (second, _) = Index::open(Arc::clone(&scratch), "index", config)?;
        let stride = (covered / samples.max(1)).max(1);
        let (different, terms) = (Vec::new(), BTreeMap::new());
        Ok(Self {
            config,
            second,
            scratch,
            listed,
            covered,
            different,
            identical: 0,
            stride,
            terms,
        })
    }

    fn take(&mut self, indexed: &Indexed) -> Result<(), IndexError> {
        let Indexed { range, postings, times } = indexed;
        self.second.note_times(range.start, range.end, times);
        self.second.append(range.start, range.end, postings);
        let sampled = |posting: &&Posting| {
            posting.index < self.covered && posting.index.is_multiple_of(self.stride)
        };
        let terms = postings.iter().filter(sampled).map(|posting| posting.term);
        self.terms.extend(terms.map(|term| (term, Answer::default())));
        while self.second.backlog() > 0 {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Step, IndexError> {
        let step = self.second.step(self.second.end())?;
        if let Step::Built { file } | Step::Merged { file } = &step {
            let made = self.second.run_files().into_iter().find(|run| run.path == *file);
            let made = made.expect("a run just made is listed");
            if let Some(listed) = self.listed.get(&(made.level, made.start)) {
                if (listed.bytes, listed.sha256) == (made.bytes, made.sha256) {
                    self.identical += 1;
                } else {
                    self.different.push((made.level, made.start));
                }
            }
        }
        Ok(step)
    }

    fn end(&mut self) -> Result<(), IndexError> {
        while self.step()? != Step::Idle {}
        Ok(())
    }

    /// The event times in the file, as far as both go, against those of the entries.
    fn event_times(&self, disk: &dyn Disk) -> Option<VerifyFinding> {
        let path = format!("index/{}", event_times::FILE);
        let read = |disk: &dyn Disk| read_whole(disk, &path, event_times::FILE_MAX);
        let stored = match read(disk) {
            Ok(stored) => stored,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                let what = format!("the file cannot be read: {error}");
                return Some(VerifyFinding::new(Severity::Derived, "index_file", &path, what));
            }
        };
        let header = event_times::parse_event_times(&stored);
        if header.is_ok_and(|header| header.identity != self.config.identity) {
            // As runs of another choice of terms: the next start notes them anew.
            return None;
        }
        let made = read(self.scratch.as_ref()).unwrap_or_default();
        // Behind what runs cover, a crash may have torn a page: the next start notes it again.
        let covered = event_times::length(self.config.range_log2, self.covered);
        let both = stored.len().min(made.len()).min(usize::try_from(covered).unwrap_or(0));
        let what = "the event times are not those of the journal's entries; run `ledgerline \
                    reindex`";
        (stored[..both] != made[..both])
            .then(|| VerifyFinding::new(Severity::Derived, "index_bytes", &path, what.to_owned()))
    }

    fn findings(&self, disk: &dyn Disk) -> Vec<VerifyFinding> {
        let path = |(level, start): &(u32, u64)| format!("index/r{level:02}-{start:016x}.run");
        // The sums that were compared are the files' own: are they theirs?
        let whole = |at: &&(u32, u64)| check_run(disk, &path(at)).is_err();
        let broken = self.listed.keys().filter(whole).filter(|at| !self.different.contains(at));
        let finding = |at: &(u32, u64)| {
            let path = path(at);
            let what = "the run is not byte for byte what the journal's entries give; run \
                        `ledgerline reindex`";
            VerifyFinding::new(Severity::Derived, "index_bytes", &path, what.to_owned())
        };
        let mut list: Vec<_> = self.different.iter().chain(broken).map(finding).collect();
        let compared = self.identical + self.different.len() as u64;
        let missing = (self.listed.len() as u64).saturating_sub(compared);
        if missing > 0 {
            let what = format!("{missing} runs speak of entries that the journal does not have");
            list.push(VerifyFinding::new(Severity::Derived, "index_bytes", "index", what));
        }
        list
    }
}

/// Asks the index on disk what the walk has answered.
fn ask(
    world: &VerifyWorld,
    config: &IndexConfig,
    covered: u64,
    answers: &BTreeMap<Term, Answer>,
) -> Vec<VerifyFinding> {
    let disk: Arc<dyn Disk> = Arc::new(ReadOnly(Arc::clone(&world.disk)));
    let mut findings = Vec::new();
    let mut report = |what: String| {
        findings.push(VerifyFinding::new(Severity::Derived, "index_answer", "index", what));
    };
    let index = match Index::open(disk, "index", *config) {
        // Event times that are missing cost the next start time, and hide nothing.
        Ok((index, _)) => index,
        Err(error) => {
            report(format!("the index cannot be opened as it is: {error}"));
            return findings;
        }
    };
    let found = index.covered();
    if found != covered {
        report(format!("of {covered} covered entries only {found} can be opened"));
    }
    for (term, answer) in answers {
        match look_up(&index, term, covered) {
            Ok(found) if found == *answer => {}
            Ok(found) => report(format!(
                "a look-up of kind {} finds {} entries up to {}, the journal has {} up to {}",
                term.kind, found.count, found.newest, answer.count, answer.newest
            )),
            Err(error) => report(format!("a look-up of kind {} fails: {error}", term.kind)),
        }
    }
    findings
}

/// Everything the index says about a term; head and unique look-up must agree with the list.
fn look_up(index: &Index, term: &Term, covered: u64) -> Result<Answer, IndexError> {
    let mut answer = Answer::default();
    let mut from = 0;
    loop {
        let page = index.postings(term, from..covered, PAGE, &mut ReadBudget::new(u32::MAX))?;
        page.indexes.iter().for_each(|index| answer.take(*index));
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    let head = index.head(term)?.map_or((0, 0), |head| (head.count, head.last));
    if head != (answer.count, answer.newest) {
        return Ok(Answer { count: head.0, newest: head.1, sum: 0 });
    }
    if term.kind == TermKind::EventId as u8 && index.find(term, None)?.len() as u64 > answer.count {
        return Ok(Answer { sum: 0, ..answer });
    }
    Ok(answer)
}
