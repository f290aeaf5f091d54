//! Exit codes, and the one error type of the command line.
//!
//! ```text
//! 0   ok
//! 1   error
//! 2   not verified: what was checked is not what it claims to be
//! 3   incomplete: nothing wrong was found, but not everything could be checked
//! 4   unknown: nothing is recorded about the token, tenant or name; it is not said to be dead
//! 64  usage: the command line or the configuration is wrong (sysexits EX_USAGE)
//! ```

use std::fmt;
use std::process::ExitCode;

use ledgerline_client::Misconfigured;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done.
    Ok = 0,
    /// Something failed.
    Error = 1,
    /// A check failed.
    NotVerified = 2,
    /// A check could not be finished.
    Incomplete = 3,
    /// Nothing is recorded about the token, tenant or name that was asked about.
    Unknown = 4,
    /// The command line is wrong.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended early: an exit code and a text for people. The text never holds a secret.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened.
    pub error: anyhow::Error,
}

/// What a command ends with.
pub type CommandResult = Result<Exit, Failure>;

impl Failure {
    /// The command line or configuration is wrong.
    #[must_use]
    pub fn usage(text: impl fmt::Display) -> Self {
        Self { exit: Exit::Usage, error: anyhow::anyhow!("{text}") }
    }

    /// Something failed.
    #[must_use]
    pub fn error(text: impl fmt::Display) -> Self {
        Self { exit: Exit::Error, error: anyhow::anyhow!("{text}") }
    }

    /// A check failed.
    #[must_use]
    pub fn not_verified(text: impl fmt::Display) -> Self {
        Self { exit: Exit::NotVerified, error: anyhow::anyhow!("{text}") }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let exit = if error.is::<Misconfigured>() { Exit::Usage } else { Exit::Error };
        Self { exit, error }
    }
}
