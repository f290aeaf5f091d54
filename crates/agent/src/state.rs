//! The state folder: the agent's alone, one process at a time.
//!
//! ```text
//! lock            held while an agent runs
//! salts.keys      see `salts`
//! spool/          what waits for the ledger
//! tails/          how far each file was read: <name>.json
//! aside.ndjson    what was set aside; aside.1.ndjson what was before
//! ```
//!
//! Promises: files are for the owner alone (0600, folders 0700), and are the old or the new ones
//! after a crash.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ledgerline_client::Misconfigured;
use rustix::fs::{FlockOperation, flock};

/// An agent's state folder, locked.
pub struct State {
    path: PathBuf,
    _lock: File,
}

impl State {
    /// Makes or opens the folder.
    ///
    /// # Errors
    /// When it cannot be made, others can read it, or another agent has it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let named = || path.display().to_string();
        for folder in [path.to_owned(), path.join("tails")] {
            make_folder(&folder).with_context(named)?;
        }
        check_private(path)?;
        let file = path.join("lock");
        let lock = private().write(true).create(true).truncate(false).open(&file);
        let lock = lock.with_context(named)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            let why = "is in use by another agent";
            anyhow::Error::new(io::Error::from(error)).context(format!("{} {why}", path.display()))
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Refuses a state folder that others can read: the spool has personal values of events.
///
/// # Errors
/// Names it, and what to do.
pub fn check_private(path: &Path) -> anyhow::Result<()> {
    let Ok(found) = fs::metadata(path) else { return Ok(()) };
    let name = path.display();
    if !found.is_dir() {
        return Err(Misconfigured::new(format!("state {name} is no folder")).into());
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        let why = "belongs to another user: name a folder of the agent's own";
        return Err(Misconfigured::new(format!("state {name} {why}")).into());
    }
    if found.mode() & 0o077 != 0 {
        let why = "is open to other users: chmod 700 it";
        return Err(Misconfigured::new(format!("state {name} {why}")).into());
    }
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Opens a file of the owner's to append to.
///
/// # Errors
/// Whatever the system says.
pub fn append_private(path: &Path) -> io::Result<File> {
    private().append(true).create(true).open(path)
}

/// Puts a file in the place of another: after a crash it is the old or the new one.
///
/// # Errors
/// Whatever the system says, with the file's name.
pub fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || {
        let new = path.with_extension("new");
        let mut file = private().write(true).create(true).truncate(true).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_agent_has_a_folder_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let first = State::open(&path).expect("a new folder");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let error = State::open(&path).err().expect("refused").to_string();
        assert!(error.contains("another agent"), "{error}");
        drop(first);
        State::open(&path).expect("it is free again");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let error = State::open(&path).err().expect("refused").to_string();
        assert!(error.contains("chmod 700"), "{error}");
    }

    #[test]
    fn what_is_written_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
    }
}
