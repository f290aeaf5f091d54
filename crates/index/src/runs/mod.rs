//! Index runs: the index in immutable files of our own.
//!
//! Promises: an answer is a function of the committed entries alone, whatever of them lies in
//! memory, in runs or in merged runs. Deleting any file here loses only time: [`Index::open`] then
//! says that less is covered, and takes the postings from there again. Runs are immutable and their
//! bytes follow from the postings of their range alone (see run_format.rs), so that anyone can
//! build one again and compare.
//!
//! ```text
//! entries  0 ······························································· end
//!          |  run, level 1 (fan_in · 2^r)   | run, 0 | run, 0 | frozen range | active range …
//!          |______________ files ____________________________| |_______ memory ___________|
//!                                                    covered ^
//! ```
//!
//! Assumes: [`Index::append`] is called with committed entries only, in order, by one thread;
//! [`Index::step`] by one thread. Readers may be many. The files may be lost; they are believed as
//! far as their CRCs go, and every hit is confirmed at the entry.
//!
//! Refuses: updates, deletes, and any knowledge of what a term means.

mod builder;
pub mod event_times;
mod filter;
mod manifest;
mod merge;
mod query;
mod run_format;
mod run_reader;
mod run_writer;
mod tail;
mod want;

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use builder::Progress;
pub use manifest::{Manifest, ManifestRun, parse_manifest};
pub use run_format::{RunFooter, RunHeader, parse_run_footer, parse_run_header};
pub use run_reader::{RunSummary, check_run, parse_run, read_postings};

use ledgerline_world::disk::{Disk, read_whole, replace_durably};

use crate::error::{FormatError, IndexError};
use crate::event_time::{EventTime, Window};
use crate::term::{Posting, is_planned_from};
use builder::Builder;
use event_times::EventTimes;
use manifest::MANIFEST_MAX;
use run_reader::{Run, RunName};
use tail::{FrozenRange, TailRange};

/// How the index is divided. Opening with another `range_log2`, `fan_in` or `identity` than before
/// builds the index anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexConfig {
    /// A run of level 0 covers 2^range_log2 entries; 1 to 31.
    pub range_log2: u32,
    /// So many neighbours are merged into one run; 2 to 64.
    pub fan_in: u32,
    /// Runs of this level are not merged any more; at most 20.
    pub max_level: u32,
    /// About how many bytes one step of a merge writes or reads back.
    pub step_bytes: u64,
    /// [`TermHasher::identity`] of the hasher that makes the terms.
    pub identity: [u8; 16],
    /// Runs that reach beyond this size are dropped when opening: they speak of entries that the
    /// ledger does not have (it was restored from an older copy).
    pub keep_below: u64,
}

impl Default for IndexConfig {
    fn default() -> Self {
        Self {
            range_log2: 16,
            fan_in: 8,
            max_level: 5,
            step_bytes: 16 << 20,
            identity: [0; 16],
            keep_below: u64::MAX,
        }
    }
}

impl IndexConfig {
    /// How many entries a run of `level` covers.
    fn span(&self, level: u32) -> Option<u64> {
        let merged = u64::from(self.fan_in).checked_pow(level)?;
        merged.checked_mul(1 << self.range_log2)
    }
}

/// What memory and disk the index takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexStats {
    /// Number of runs.
    pub runs: u64,
    /// Bytes of all runs on disk.
    pub run_bytes: u64,
    /// Bytes of memory for the runs' filters and block indexes, and for event times.
    pub run_memory: u64,
    /// Distinct terms in each range in memory, summed.
    pub tail_terms: u64,
    /// Bytes of memory for the ranges in memory, about.
    pub tail_memory: u64,
    /// Complete ranges that wait for the builder. When they grow, intake is faster than the
    /// builder.
    pub frozen_ranges: u64,
    /// Entries `[0, covered)` are in runs.
    pub covered: u64,
    /// Entries `[0, end)` are in the index.
    pub end: u64,
    /// Files that were damaged or missing when the index was opened, and are being built again.
    pub damaged: Vec<String>,
}

/// A run on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFile {
    /// Below the disk's root.
    pub path: String,
    /// 0 for a run built from memory, one more for each merge.
    pub level: u32,
    /// First entry of its range.
    pub start: u64,
    /// One past the last entry.
    pub end: u64,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256, as in its footer.
    pub sha256: [u8; 32],
}

/// What does not change any more: runs, then complete ranges in memory, gapless from entry 0.
#[derive(Clone)]
struct Sealed {
    runs: Vec<Arc<Run>>,
    frozen: Vec<Arc<FrozenRange>>,
}

/// What readers look at. The lock is held for memory accesses only.
struct State {
    sealed: Arc<Sealed>,
    /// The terms that entries are planned from.
    active: TailRange,
    end: u64,
}

/// The index of a ledger, shared between threads.
pub struct Index {
    disk: Arc<dyn Disk>,
    dir: String,
    config: IndexConfig,
    state: RwLock<State>,
    /// The other terms of the active range. Taken before `state` by whoever holds both.
    rest: RwLock<TailRange>,
    /// When entries occurred. Held for memory accesses only.
    times: RwLock<EventTimes>,
    builder: Mutex<Builder>,
    damaged: Vec<String>,
}

impl Index {
    /// Opens the index in `dir`, which is created when missing. Returns also how many entries its
    /// files cover: [`Index::note_times`] and [`Index::append`] must be fed from there. Runs behind
    /// a damaged or missing one are dropped; [`IndexStats::damaged`] names it. Reads block indexes
    /// and filters, not the blocks.
    ///
    /// # Errors
    /// When the disk fails. Damage is not an error here: it only makes the covered part smaller.
    ///
    /// # Panics
    /// When the config is outside its limits.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &str,
        config: IndexConfig,
    ) -> Result<(Self, u64), IndexError> {
        assert!((1..=31).contains(&config.range_log2) && (2..=64).contains(&config.fan_in));
        assert!(config.max_level <= 20 && config.span(config.max_level).is_some());
        disk.create_dir(dir).map_err(|source| IndexError::io(dir, source))?;
        let (runs, damaged) = open_runs(&*disk, dir, &config)?;
        let covered = runs.last().map_or(0, |run| run.header.end);
        let active = || TailRange::new(covered..covered + (1 << config.range_log2), None);
        let sealed = Arc::new(Sealed { runs, frozen: Vec::new() });
        let state = RwLock::new(State { sealed, active: active(), end: covered });
        let rest = RwLock::new(active());
        let builder = Mutex::new(Builder::default());
        let times = EventTimes::open(&*disk, dir, &config, covered)?;
        let noted = times.end();
        let times = RwLock::new(times);
        let index =
            Self { disk, dir: dir.to_owned(), config, state, rest, times, builder, damaged };
        Ok((index, noted.min(covered)))
    }

    /// Notes when the committed entries `[first_index, end)` occurred, before their postings are
    /// appended. Entries that are noted already are skipped.
    ///
    /// # Panics
    /// When entries were left out: our error.
    pub fn note_times(&self, first_index: u64, end: u64, times: &[EventTime]) {
        self.times.write().expect("no append has panicked").note(first_index, end, times);
    }

    /// The first part of a range in which entries may have occurred in a window, or gone on in it.
    #[must_use]
    pub fn first_in(&self, window: Window, range: &Range<u64>) -> Range<u64> {
        self.read_times().first_in(window, range)
    }

    /// Those of the entries that may have occurred in a window, or gone on in it.
    #[must_use]
    pub fn may_have(&self, window: Window, indexes: &[u64]) -> Vec<u64> {
        let times = self.read_times();
        indexes.iter().copied().filter(|index| times.may_have(window, *index)).collect()
    }

    /// Takes the postings of the committed entries `[first_index, end)`. Entries that the index has
    /// already are skipped, so recovery may begin at any batch at or before the covered size. For
    /// each term the indexes must ascend; a repeated posting counts once.
    ///
    /// # Panics
    /// When entries were left out, a posting is outside the batch, or a term's indexes descend: our
    /// error.
    pub fn append(&self, first_index: u64, end: u64, postings: &[Posting]) {
        let batch = first_index..end;
        assert!(postings.iter().all(|posting| batch.contains(&posting.index)), "outside the batch");
        let mut rest = self.rest.write().expect("no append has panicked");
        let mut state = self.write_state();
        assert!(first_index <= state.end && first_index <= end, "entries were left out");
        let is_planned = |posting: &Posting| is_planned_from(posting.term.kind);
        let new = |posting: &Posting, part: &Range<u64>| part.contains(&posting.index);
        // Nearly always the batch lies in one range, and planning goes on while the rest is taken.
        while state.end < end {
            let range = state.active.range();
            let part = state.end..end.min(range.end);
            let of_part = postings.iter().filter(|posting| new(posting, &part));
            of_part.clone().filter(|one| is_planned(one)).for_each(|one| state.active.add(one));
            state.end = part.end;
            let of_rest = of_part.filter(|one| !is_planned(one));
            if part.end < range.end {
                drop(state);
                return of_rest.for_each(|one| rest.add(one));
            }
            of_rest.for_each(|one| rest.add(one));
            self.freeze(&mut state, &mut rest);
        }
    }

    fn freeze(&self, state: &mut State, rest: &mut TailRange) {
        let start = state.active.range().end;
        let next = |like: &TailRange| {
            TailRange::new(start..start + (1 << self.config.range_log2), Some(like))
        };
        let (planned, others) = (next(&state.active), next(rest));
        let planned = std::mem::replace(&mut state.active, planned);
        let rest = std::mem::replace(rest, others);
        let mut sealed = (*state.sealed).clone();
        sealed.frozen.push(Arc::new(FrozenRange { planned, rest }));
        state.sealed = Arc::new(sealed);
    }

    /// What `look` finds in the active range, and everything older at that moment.
    fn newest<T>(&self, kind: u8, look: impl FnOnce(&TailRange) -> T) -> (T, Arc<Sealed>) {
        if is_planned_from(kind) {
            let state = self.read_state();
            return (look(&state.active), Arc::clone(&state.sealed));
        }
        let rest = self.rest.read().expect("no append has panicked");
        let sealed = Arc::clone(&self.read_state().sealed);
        (look(&rest), sealed)
    }

    /// Entries `[0, covered)` are in runs.
    #[must_use]
    pub fn covered(&self) -> u64 {
        self.read_state().sealed.runs.last().map_or(0, |run| run.header.end)
    }

    /// Entries `[0, end)` are in the index.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.read_state().end
    }

    /// Complete ranges in memory that wait for [`Index::step`].
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.read_state().sealed.frozen.len()
    }

    /// What the index takes.
    #[must_use]
    pub fn stats(&self) -> IndexStats {
        let times = self.read_times().bytes();
        let rest = self.rest.read().expect("no append has panicked");
        let state = self.read_state();
        let Sealed { runs, frozen } = &*state.sealed;
        let frozen_parts = frozen.iter().flat_map(|range| [&range.planned, &range.rest]);
        let ranges = || frozen_parts.clone().chain([&state.active, &*rest]);
        IndexStats {
            runs: runs.len() as u64,
            run_bytes: runs.iter().map(|run| run.bytes).sum(),
            run_memory: runs.iter().map(|run| run.memory()).sum::<u64>() + times,
            tail_terms: ranges().map(TailRange::terms).sum(),
            tail_memory: ranges().map(TailRange::bytes).sum(),
            frozen_ranges: frozen.len() as u64,
            covered: runs.last().map_or(0, |run| run.header.end),
            end: state.end,
            damaged: self.damaged.clone(),
        }
    }

    /// The runs, in ledger order.
    #[must_use]
    pub fn run_files(&self) -> Vec<RunFile> {
        let sealed = Arc::clone(&self.read_state().sealed);
        let file = |run: &Arc<Run>| RunFile {
            path: run.name.path.clone(),
            level: run.name.level,
            start: run.header.start,
            end: run.header.end,
            bytes: run.bytes,
            sha256: run.footer.sha256,
        };
        sealed.runs.iter().map(file).collect()
    }

    fn manifest_path(&self) -> String {
        manifest_path(&self.dir)
    }

    fn read_times(&self) -> RwLockReadGuard<'_, EventTimes> {
        self.times.read().expect("no append has panicked")
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("no append has panicked")
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().expect("no append has panicked")
    }
}

/// Removes a run that turned out damaged (or any other), so that the next [`Index::open`] builds it
/// again. An open index goes on with the file it holds.
///
/// # Errors
/// When the disk fails; a missing file is no error.
pub fn remove_run(disk: &dyn Disk, file: &str) -> Result<(), IndexError> {
    match disk.remove(file) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(IndexError::io(file, source))
        }
        _ => Ok(()),
    }
}

fn manifest_path(dir: &str) -> String {
    format!("{dir}/manifest")
}

/// The longest gapless row of intact runs from entry 0, and what was damaged. Everything else is
/// removed.
fn open_runs(
    disk: &dyn Disk,
    dir: &str,
    config: &IndexConfig,
) -> Result<(Vec<Arc<Run>>, Vec<String>), IndexError> {
    let path = manifest_path(dir);
    let names = disk.list(dir).map_err(|source| IndexError::io(dir, source))?;
    let mut damaged = Vec::new();
    let manifest = read_manifest(disk, &path)?;
    if manifest.is_none() && !names.is_empty() {
        damaged.push(path.clone());
    }
    let manifest = manifest.filter(|manifest| manifest.fits(config));
    let mut runs: Vec<Arc<Run>> = Vec::new();
    for listed in manifest.iter().flat_map(|manifest| &manifest.runs) {
        let start = runs.last().map_or(0, |run| run.header.end);
        let name = RunName::new(dir, listed.level, listed.start);
        let file = name.path.clone();
        match open_run(disk, name, start, listed, config) {
            Ok(run) if run.header.end > config.keep_below => break,
            Ok(run) => runs.push(Arc::new(run)),
            Err(IndexError::Damaged { .. }) => {
                damaged.push(file);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    if manifest.is_none_or(|manifest| manifest.runs.len() != runs.len()) {
        let manifest = Manifest::of(config, runs.iter().map(|run| &**run));
        replace_durably(disk, &path, &manifest.to_bytes())
            .map_err(|source| IndexError::io(&path, source))?;
    }
    for name in names.iter().filter(|name| name.ends_with(".run") || name.ends_with(".new")) {
        let file = format!("{dir}/{name}");
        if !runs.iter().any(|run| run.name.path == file) {
            remove_run(disk, &file)?;
        }
    }
    Ok((runs, damaged))
}

fn read_manifest(disk: &dyn Disk, path: &str) -> Result<Option<Manifest>, IndexError> {
    match read_whole(disk, path, MANIFEST_MAX) {
        Ok(bytes) => Ok(parse_manifest(&bytes).ok()),
        Err(source) => match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Ok(None)
            }
            _ => Err(IndexError::io(path, source)),
        },
    }
}

fn open_run(
    disk: &dyn Disk,
    name: RunName,
    start: u64,
    listed: &ManifestRun,
    config: &IndexConfig,
) -> Result<Run, IndexError> {
    let path = name.path.clone();
    let wrong = |what| Err(IndexError::damaged(&path, FormatError(what)));
    let span = config.span(listed.level).filter(|span| start.is_multiple_of(*span));
    let Some(end) = span.and_then(|span| start.checked_add(span)) else {
        return wrong("not where such a run can be");
    };
    if listed.start != start {
        return wrong("not next to the run before");
    }
    let run = Run::open(disk, name)?;
    let header = RunHeader { start, end, identity: config.identity };
    if run.header != header || (run.bytes, run.footer.sha256) != (listed.bytes, listed.sha256) {
        return wrong("not the run that the manifest names");
    }
    Ok(run)
}
