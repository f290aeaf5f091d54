//! Merging: neighbouring runs become one, a slice at a time.
//!
//! Promises: memory is the new run's filter and block index, one chunk for each input and one write
//! buffer. The result is byte for byte the run that would have been built from all the postings at
//! once. Nothing is updated or deleted: lists of neighbours are only put behind each other.

use std::sync::Arc;

use ledgerline_world::disk::Disk;

use super::run_format::RunHeader;
use super::run_reader::{Cursor, Run, RunName};
use super::run_writer::{FilterPass, RunWriter};
use crate::error::IndexError;
use crate::term::IdTimes;

/// A merge under way.
pub(super) struct Merge {
    inputs: Vec<Arc<Run>>,
    stage: Stage,
}

enum Stage {
    Postings {
        cursors: Vec<Cursor>,
        writer: Box<RunWriter>,
    },
    Filter(Box<FilterPass>),
    /// After an error or the end.
    Over,
}

impl Merge {
    /// Begins to merge `inputs`, gapless neighbours in order, into a run of `name`.
    pub(super) fn begin(
        disk: &dyn Disk,
        inputs: Vec<Arc<Run>>,
        name: RunName,
    ) -> Result<Self, IndexError> {
        let (first, last) = (inputs[0].header, inputs[inputs.len() - 1].header);
        let gapless = inputs.windows(2).all(|pair| pair[0].header.end == pair[1].header.start);
        assert!(gapless, "only neighbours can be merged");
        let header = RunHeader { end: last.end, ..first };
        let cursors: Result<_, _> = inputs.iter().map(Arc::clone).map(Cursor::new).collect();
        let writer = Box::new(RunWriter::create(disk, name, header)?);
        Ok(Self { inputs, stage: Stage::Postings { cursors: cursors?, writer } })
    }

    /// The runs being merged.
    pub(super) fn inputs(&self) -> &[Arc<Run>] {
        &self.inputs
    }

    /// The file being written.
    pub(super) fn path(&self) -> &str {
        match &self.stage {
            Stage::Postings { writer, .. } => writer.path(),
            Stage::Filter(pass) => pass.path(),
            Stage::Over => "",
        }
    }

    /// Works for about `budget` bytes; the run when it is done. After an error the merge is over.
    pub(super) fn advance(&mut self, budget: u64) -> Result<Option<Run>, IndexError> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Postings { mut cursors, mut writer } => {
                let stop = writer.bytes().saturating_add(budget);
                self.stage = if merge_until(&mut cursors, &mut writer, stop)? {
                    Stage::Filter(Box::new(writer.end_postings()?))
                } else {
                    Stage::Postings { cursors, writer }
                };
                Ok(None)
            }
            Stage::Filter(mut pass) => {
                if !pass.advance(budget)? {
                    self.stage = Stage::Filter(pass);
                    return Ok(None);
                }
                let mut ids = IdTimes::NONE;
                self.inputs.iter().for_each(|run| ids.join(&run.footer.ids));
                pass.finish(ids).map(Some)
            }
            Stage::Over => panic!("the merge is over"),
        }
    }
}

/// Moves fragments, least term first and oldest input first, until `stop` bytes are written. True
/// at the end.
fn merge_until(
    cursors: &mut [Cursor],
    writer: &mut RunWriter,
    stop: u64,
) -> Result<bool, IndexError> {
    while writer.bytes() < stop {
        let mut least = None;
        for (at, cursor) in cursors.iter().enumerate() {
            let Some(term) = cursor.term() else { continue };
            if least.is_none_or(|(other, _)| term < other) {
                least = Some((term, at));
            }
        }
        let Some((term, at)) = least else { return Ok(true) };
        writer.add(&term, cursors[at].indexes())?;
        cursors[at].advance()?;
    }
    Ok(false)
}
