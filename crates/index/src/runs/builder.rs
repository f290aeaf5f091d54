//! The builder's step: one run built from memory, or one slice of a merge.
//!
//! Promises: a run is named by the manifest only after it is durable, and seen by readers only
//! after the manifest names it. Old files go once nobody reads them. After an error nothing is lost
//! but the work: the next step begins it anew, in a new file.
//!
//! Assumes: one thread calls [`Index::step`] again and again. It alone waits for files; readers and
//! [`Index::append`] never take its lock.

use std::sync::Arc;

use ledgerline_world::disk::replace_durably;

use super::manifest::Manifest;
use super::merge::Merge;
use super::run_format::RunHeader;
use super::run_reader::{Run, RunName};
use super::run_writer::RunWriter;
use super::tail::FrozenRange;
use super::{Index, remove_run};
use crate::error::IndexError;

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nothing: there is nothing to do.
    Idle,
    /// Built a run of level 0; its postings are no longer in memory.
    Built {
        /// The new run.
        file: String,
    },
    /// Went on with a merge; call again.
    Merging {
        /// The run being written.
        file: String,
    },
    /// Ended a merge; the merged runs are gone.
    Merged {
        /// The new run.
        file: String,
    },
}

/// What only the builder touches.
#[derive(Default)]
pub(super) struct Builder {
    merge: Option<Merge>,
    /// Runs that were merged and may still be read by somebody.
    retired: Vec<Arc<Run>>,
}

impl Index {
    /// Does one piece of work: builds the run of the oldest complete range below `committed` (a
    /// size), or else merges for about `step_bytes`. Call it again until it is idle, at whatever
    /// pace.
    ///
    /// # Errors
    /// When a file cannot be written, or a run to be merged is damaged (see [`super::remove_run`]).
    ///
    /// # Panics
    /// When another thread panicked here before.
    pub fn step(&self, committed: u64) -> Result<Progress, IndexError> {
        let mut builder = self.builder.lock().expect("no step has panicked");
        self.remove_unread(&mut builder);
        let sealed = Arc::clone(&self.read_state().sealed);
        let built = sealed.runs.last().map_or(0, |run| run.header.end);
        let next = sealed.frozen.first().map(|oldest| oldest.range().end);
        // Never behind the runs, so that a start has to go through no more than what they lack.
        self.write_times(next.filter(|end| *end <= committed).unwrap_or(built))?;
        if let Some(oldest) = sealed.frozen.first()
            && oldest.range().end <= committed
        {
            let run = self.build(oldest).map_err(|error| {
                self.abandon(&RunName::new(&self.dir, 0, oldest.range().start).path, error)
            })?;
            return self.install_built(run);
        }
        if builder.merge.is_none() {
            builder.merge = self.begin_merge(&sealed.runs)?;
        }
        drop(sealed);
        let Some(mut merge) = builder.merge.take() else { return Ok(Progress::Idle) };
        let file = merge.path().to_owned();
        let advanced = merge.advance(self.config.step_bytes);
        match advanced.map_err(|error| self.abandon(&file, error))? {
            Some(run) => {
                let progress = self.install_merged(&mut builder, run, &merge);
                drop(merge);
                self.remove_unread(&mut builder);
                progress
            }
            None => {
                builder.merge = Some(merge);
                Ok(Progress::Merging { file })
            }
        }
    }

    /// Writes the event times of the ranges below `covered` that the file lacks.
    fn write_times(&self, covered: u64) -> Result<(), IndexError> {
        let unwritten = self.read_times().unwritten(covered);
        let Some(unwritten) = unwritten else { return Ok(()) };
        unwritten.write(&*self.disk, &self.dir)?;
        self.times.write().expect("no append has panicked").written(unwritten.pages);
        Ok(())
    }

    fn build(&self, range: &FrozenRange) -> Result<Run, IndexError> {
        let bounds = range.range();
        let identity = self.config.identity;
        let header = RunHeader { start: bounds.start, end: bounds.end, identity };
        let name = RunName::new(&self.dir, 0, bounds.start);
        let mut writer = RunWriter::create(&*self.disk, name, header)?;
        range.for_each_term(|term, indexes| writer.add(&term, indexes))?;
        let mut pass = writer.end_postings()?;
        let done = pass.advance(u64::MAX)?;
        assert!(done, "an unlimited pass ends");
        pass.finish(*range.planned.ids())
    }

    fn install_built(&self, run: Run) -> Result<Progress, IndexError> {
        let file = run.name.path.clone();
        let run = Arc::new(run);
        let mut runs = self.read_state().sealed.runs.clone();
        runs.push(Arc::clone(&run));
        self.replace_manifest(&runs)?;
        let mut state = self.write_state();
        let mut sealed = (*state.sealed).clone();
        let gone = sealed.frozen.remove(0);
        assert_eq!(gone.range(), run.range(), "the oldest range was built");
        sealed.runs = runs;
        let old = std::mem::replace(&mut state.sealed, Arc::new(sealed));
        drop(state);
        // Freeing a range takes a while; nobody should wait for that.
        drop((old, gone));
        Ok(Progress::Built { file })
    }

    /// Gives back the room of a run that failed and that no manifest names.
    fn abandon(&self, file: &str, error: IndexError) -> IndexError {
        // A file that stays is removed by the next attempt, or when the index is opened.
        let _ = remove_run(&*self.disk, file);
        error
    }

    /// The oldest group of the lowest level that is complete.
    fn begin_merge(&self, runs: &[Arc<Run>]) -> Result<Option<Merge>, IndexError> {
        let fan_in = self.config.fan_in as usize;
        let group = runs.windows(fan_in).filter(|group| {
            let level = group[0].name.level;
            let above = self.config.span(level + 1);
            let aligned = above.is_some_and(|span| group[0].header.start.is_multiple_of(span));
            let same = group.iter().all(|run| run.name.level == level);
            aligned && same && level < self.config.max_level
        });
        let Some(group) = group.min_by_key(|group| group[0].name.level) else { return Ok(None) };
        let first = &group[0];
        let name = RunName::new(&self.dir, first.name.level + 1, first.header.start);
        Merge::begin(&*self.disk, group.to_vec(), name).map(Some)
    }

    fn install_merged(
        &self,
        builder: &mut Builder,
        run: Run,
        merge: &Merge,
    ) -> Result<Progress, IndexError> {
        let file = run.name.path.clone();
        let range = run.range();
        let mut runs = self.read_state().sealed.runs.clone();
        let from = runs.partition_point(|run| run.header.start < range.start);
        let to = runs.partition_point(|run| run.header.end <= range.end);
        let merged: Vec<_> = runs.splice(from..to, [Arc::new(run)]).collect();
        let same = merged.iter().zip(merge.inputs()).all(|(a, b)| Arc::ptr_eq(a, b));
        assert!(same && merged.len() == merge.inputs().len(), "exactly the inputs give way");
        self.replace_manifest(&runs)?;
        let mut state = self.write_state();
        let mut sealed = (*state.sealed).clone();
        sealed.runs = runs;
        state.sealed = Arc::new(sealed);
        drop(state);
        builder.retired.extend(merged);
        Ok(Progress::Merged { file })
    }

    /// Makes the runs' names durable, then the manifest.
    fn replace_manifest(&self, runs: &[Arc<Run>]) -> Result<(), IndexError> {
        let path = self.manifest_path();
        let manifest = Manifest::of(&self.config, runs.iter().map(|run| &**run));
        let replaced = self
            .disk
            .sync_dir(&self.dir)
            .and_then(|()| replace_durably(&*self.disk, &path, &manifest.to_bytes()));
        replaced.map_err(|source| IndexError::io(&path, source))
    }

    /// Removes retired files that no reader holds any more. One that cannot be removed is tried
    /// again at the next step, and at the latest when the index is opened.
    fn remove_unread(&self, builder: &mut Builder) {
        builder.retired.retain(|run| {
            Arc::strong_count(run) > 1 || remove_run(&*self.disk, &run.name.path).is_err()
        });
    }
}
