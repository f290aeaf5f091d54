//! Why an index cannot answer.

use std::io;

use ledgerline_world::patience::MayPass;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormatError(pub &'static str);

/// Why the index could not answer or go on.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A file of the index is missing or wrong. It may be lost: remove it, open again, feed again.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// The file, below the disk's root.
        file: String,
        /// What is wrong with it.
        what: FormatError,
    },
    /// The disk failed.
    #[error("{file}: {source}")]
    Io {
        /// The file, below the disk's root.
        file: String,
        /// What the disk said.
        source: io::Error,
    },
}

impl MayPass for IndexError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.may_pass())
    }
}

impl IndexError {
    pub(crate) fn io(file: &str, source: io::Error) -> Self {
        Self::Io { file: file.to_owned(), source }
    }

    pub(crate) fn damaged(file: &str, what: FormatError) -> Self {
        Self::Damaged { file: file.to_owned(), what }
    }

    /// An error while reading: a file that is too short or missing is damaged.
    pub(crate) fn read(file: &str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => {
                Self::damaged(file, FormatError("missing or cut short"))
            }
            _ => Self::io(file, source),
        }
    }
}
