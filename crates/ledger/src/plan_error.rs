//! Why planning stops.

use ledgerline_index::IndexError;
use ledgerline_journal::leaf_store::ReadError;
use ledgerline_world::patience::MayPass;

/// Why planning stopped: the state is unknown, nothing may be planned any more.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The index cannot answer.
    #[error("the index cannot answer: {0}")]
    Index(#[from] IndexError),
    /// The journal cannot be read.
    #[error("the journal cannot be read: {0}")]
    Read(#[from] ReadError),
    /// The tree cannot be read.
    #[error("the tree cannot be read: {0}")]
    Disk(#[from] std::io::Error),
}

impl MayPass for PlanError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Index(error) => error.may_pass(),
            Self::Read(error) => error.may_pass(),
            Self::Disk(error) => error.may_pass(),
        }
    }
}
