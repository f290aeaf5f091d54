//! Files that somebody will rely on: bundles, reports, exports.
//!
//! Promises: one way to write them. A file that is there is never overwritten unless `--force` says
//! so, and never written through a symbolic link. A new file is its owner's only (0600). Its name
//! is taken before anything is asked or done, and given back when the command fails: no failed
//! command leaves a file, old or new, that could be taken for its result. What `--force` replaces
//! is moved aside until the new file is whole, and stays there, named on standard error, when the
//! command fails: no evidence is lost to a failure.
//!
//! Refuses: what is there and no plain file, also with `--force`; to write over what it reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use ledgerline_proof::checkpoint::Checkpoint;
use ledgerline_proof::note::Note;

use crate::exit::Failure;

/// Where the proof of an answer goes.
#[derive(Args, Clone, Default)]
pub struct ProofArgs {
    /// Also write the proof bundle of the answer to this new file, for `ledgerline check`.
    #[arg(long, value_name = "FILE")]
    pub proof: Option<PathBuf>,
    /// With --proof: the bundle also proves that the log continues this older checkpoint.
    #[arg(long, value_name = "FILE|SIZE", requires = "proof")]
    pub since: Option<String>,
    /// With --proof: replace the file if it is there.
    #[arg(long, requires = "proof")]
    pub force: bool,
}

impl ProofArgs {
    /// Takes the name of the file, when one is wanted.
    ///
    /// # Errors
    /// As [`Evidence::create`]; when the older checkpoint cannot be read.
    pub fn open(&self) -> Result<Option<Proof>, Failure> {
        let Some(path) = &self.proof else { return Ok(None) };
        let since = self.since.as_deref().map(size_of).transpose()?;
        Ok(Some(Proof { file: Evidence::create(path, self.force)?, since }))
    }
}

/// A proof that will be written.
pub struct Proof {
    /// The file.
    pub file: Evidence,
    /// Size of an older checkpoint.
    pub since: Option<u64>,
}

/// A file whose name is taken and that has no content yet.
pub struct Evidence {
    path: PathBuf,
    file: Option<File>,
    /// Where the file lies that is to be replaced.
    replaced: Option<PathBuf>,
}

impl Evidence {
    /// Takes the name.
    ///
    /// # Errors
    /// When something is there that may not be replaced, or no file can be made.
    pub fn create(path: &Path, force: bool) -> Result<Self, Failure> {
        let name = path.display();
        let mut replaced = None;
        match fs::symlink_metadata(path) {
            Ok(there) if !there.is_file() => {
                let what = if there.is_symlink() { "a symbolic link" } else { "no plain file" };
                let say = "evidence is written to new files only; name another";
                return Err(Failure::error(format!("{name} is {what}: {say}")));
            }
            Ok(_) if !force => {
                let say = "evidence is not overwritten; name another file, or use --force";
                return Err(Failure::error(format!("{name} exists already: {say}")));
            }
            Ok(_) => replaced = Some(aside(path).with_context(|| format!("{name}"))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(anyhow::Error::new(error).context(format!("{name}")).into()),
        }
        let file = create_new(path).with_context(|| format!("{name}"))?;
        Ok(Self { path: path.to_owned(), file: Some(file), replaced })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes it, to the disk.
    ///
    /// # Errors
    /// When that fails; then there is no such file any more.
    pub fn write(mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if written.is_err() {
            self.file = Some(file);
        } else if let Some(replaced) = self.replaced.take() {
            // `--force` said so.
            let _ = fs::remove_file(replaced);
        }
        Ok(written.with_context(|| format!("{}", self.path.display()))?)
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Empty or torn: nobody may take it for the result.
            let _ = fs::remove_file(&self.path);
        }
        if let Some(replaced) = &self.replaced {
            let kept = replaced.display();
            tracing::warn!(%kept, "nothing was written; the file that was there is kept");
        }
    }
}

/// Moves a file aside, to a name that nothing has.
fn aside(path: &Path) -> io::Result<PathBuf> {
    for number in 0.. {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".old{number}"));
        let aside = path.with_file_name(name);
        // A link, unlike a rename, takes nothing away.
        match fs::hard_link(path, &aside) {
            Ok(()) => return fs::remove_file(path).map(|()| aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("a folder has an end")
}

/// Refuses that a file is written which the command reads.
///
/// # Errors
/// When both are one file.
pub fn check_apart(written: &Path, read: &Path) -> Result<(), Failure> {
    let same = |path: &Path| fs::canonicalize(path).ok();
    if same(written).is_some_and(|written| same(read) == Some(written)) {
        let say = "it is what the command reads; name another file";
        return Err(Failure::usage(format!("{}: {say}", written.display())));
    }
    Ok(())
}

/// A new file that only its owner can read; an error when anything has its name.
fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Replaces a file of a folder that is kept up to date: written beside, then renamed, so that a
/// reader never sees half of it and no link is followed.
///
/// # Errors
/// When that fails.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let new = path.with_extension("new");
    let written = match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => create_new(&new),
    };
    let written =
        written.and_then(|mut file| file.write_all(bytes)).and_then(|()| fs::rename(&new, path));
    Ok(written.with_context(|| format!("{}", path.display()))?)
}

/// The size that is meant: a number, or that of a checkpoint in a file. The checkpoint is judged by
/// who checks the proof, not here.
///
/// # Errors
/// When the file holds no checkpoint.
pub fn size_of(text: &str) -> Result<u64, Failure> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| Failure::usage("the size is out of range"));
    }
    let note = fs::read(text).with_context(|| text.to_owned())?;
    Ok(kept_checkpoint(Path::new(text), &note)?.size())
}

/// A checkpoint that somebody kept, as far as it can be read without a key.
///
/// # Errors
/// An error, never "not verified": what cannot be read says nothing about the log.
pub fn kept_checkpoint(path: &Path, note: &[u8]) -> Result<Checkpoint, Failure> {
    let unreadable = |why: String| {
        let name = path.display();
        let hint = "it must be kept byte for byte: no CRLF, its last line feed in place";
        Failure::error(format!("{name} could not be read as a checkpoint: {why}; {hint}"))
    };
    let note = Note::parse(note).map_err(|error| unreadable(error.to_string()))?;
    Checkpoint::parse(note.text()).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn evidence_is_not_overwritten_without_force() {
        let folder = folder();
        let path = folder.path().join("b.json");
        Evidence::create(&path, false).unwrap().write(b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Evidence::create(&path, false).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        Evidence::create(&path, true).unwrap().write(b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn a_symbolic_link_is_not_followed_even_with_force() {
        let folder = folder();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, b"precious").unwrap();
        symlink(&target, &link).unwrap();
        for force in [false, true] {
            assert!(Evidence::create(&link, force).is_err());
        }
        fs::write(folder.path().join("tile"), b"old").unwrap();
        symlink(&target, folder.path().join("tile.new")).unwrap();
        replace(&folder.path().join("tile"), b"new").unwrap();
        assert_eq!(fs::read(folder.path().join("tile")).unwrap(), b"new");
        assert_eq!(fs::read(&target).unwrap(), b"precious");
    }

    #[test]
    fn a_command_that_fails_leaves_no_file() {
        let folder = folder();
        let path = folder.path().join("b.json");
        drop(Evidence::create(&path, false).unwrap());
        assert!(!path.exists());
        fs::write(&path, b"stale").unwrap();
        drop(Evidence::create(&path, true).unwrap());
        assert!(!path.exists(), "nor the one that it was to replace");
    }

    #[test]
    fn what_is_no_checkpoint_is_an_error_not_a_verdict() {
        for note in [&b""[..], b"origin\r\n1\r\n", b"origin\n1\nroot"] {
            let failure = kept_checkpoint(Path::new("cp"), note).unwrap_err();
            assert_eq!(failure.exit, crate::exit::Exit::Error);
        }
    }
}
