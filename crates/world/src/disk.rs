//! The disk: the one module that opens files.
//!
//! Promises: paths are relative to one root and use `/`. What [`File::sync`] returned from is on
//! stable media, as far as the operating system tells the truth; docs/explanation/durability.md
//! states what is assumed. The simulator implements the same traits over a faulty disk.
//!
//! Refuses: paths that leave the root.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Must exist; writes fail.
    Read,
    /// Must exist; reads and writes.
    Write,
    /// Is created (mode 0600) when missing; reads and writes; keeps what it holds.
    Create,
}

/// Files under one root. Implementations are shared between threads.
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound` when it must exist and does not; whatever the system says otherwise.
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn File>>;
    /// Names (not paths) of the files and folders in `dir`, sorted; empty when it does not exist.
    ///
    /// # Errors
    /// Whatever the system says.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Whether a file or folder exists.
    ///
    /// # Errors
    /// Whatever the system says.
    fn exists(&self, path: &str) -> io::Result<bool>;
    /// Creates a folder and those above it; durable when it returns.
    ///
    /// # Errors
    /// Whatever the system says.
    fn create_dir(&self, dir: &str) -> io::Result<()>;
    /// Renames over `to` atomically. Durable only after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// Whatever the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Durable only after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// Whatever the system says.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Makes creations, renames and removals in `dir` durable.
    ///
    /// # Errors
    /// Whatever the system says.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Bytes that may still be written.
    ///
    /// # Errors
    /// Whatever the system says.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file. Reads and writes name their offset, so a file is shared without a cursor.
pub trait File: Send + Sync {
    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`, extending the file. Nothing is durable before
    /// [`File::sync`].
    ///
    /// # Errors
    /// After an error any part may have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes every earlier write durable (fdatasync).
    ///
    /// # Errors
    /// After an error the state of earlier writes is unknown, for ever: never sync again and go on.
    fn sync(&self) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// Whatever the system says.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file is empty.
    ///
    /// # Errors
    /// Whatever the system says.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|length| length == 0)
    }
    /// Truncates or extends with zeros.
    ///
    /// # Errors
    /// Whatever the system says.
    fn set_len(&self, length: u64) -> io::Result<()>;
}

/// Reads a whole file.
///
/// # Errors
/// `InvalidData` when it is longer than `limit`, whatever the disk says otherwise.
pub fn read_whole(disk: &dyn Disk, path: &str, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let length = file.len()?;
    let refuse = || io::Error::new(io::ErrorKind::InvalidData, format!("{path} is too long"));
    if length > limit {
        return Err(refuse());
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| refuse())?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Replaces a file so that a crash leaves the old or the new content, never a mixture: write
/// beside, sync, rename, sync the folder.
///
/// # Errors
/// Whatever the disk says; the old content is then still there, or already the new.
pub fn replace_durably(disk: &dyn Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = format!("{path}.new");
    let file = disk.open(&beside, OpenMode::Create)?;
    file.set_len(0)?;
    file.write_all_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&beside, path)?;
    disk.sync_dir(parent(path))
}

/// What lies below one folder of a disk, as a disk of its own.
pub struct Below {
    disk: Arc<dyn Disk>,
    folder: String,
}

impl Below {
    /// The disk below `folder`.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, folder: &str) -> Self {
        Self { disk, folder: folder.to_owned() }
    }

    fn path(&self, path: &str) -> String {
        if path.is_empty() { self.folder.clone() } else { format!("{}/{path}", self.folder) }
    }
}

impl Disk for Below {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        self.disk.open(&self.path(path), mode)
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(&self.path(dir))
    }
    fn exists(&self, path: &str) -> io::Result<bool> {
        self.disk.exists(&self.path(path))
    }
    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.create_dir(&self.path(dir))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(&self.path(from), &self.path(to))
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.disk.remove(&self.path(path))
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(&self.path(dir))
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes()
    }
}

/// The folder a path lies in; the root is the empty path.
#[must_use]
pub fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..at])
}

/// What nobody but the owner may do.
const OTHERS: u32 = 0o077;

/// Makes folders, and those above them, for the owner alone.
fn private_folders() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
}

/// What to do about a folder that is not the server's.
const GIVE: &str = "give it to the user of the server (chown), or name a folder within it, which \
                    will be made";

fn tighten(path: &Path, within: bool) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    let mode = metadata.permissions().mode();
    let mut changed = 0;
    if mode & OTHERS != 0 && !metadata.is_symlink() {
        fs::set_permissions(path, fs::Permissions::from_mode(mode & !OTHERS & 0o7777)).map_err(
            |error| {
                let what = format!(
                    "{} is open to other users and cannot be closed ({error}): {GIVE}",
                    path.display()
                );
                io::Error::new(error.kind(), what)
            },
        )?;
        changed = 1;
    }
    if within && metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            changed += tighten(&entry?.path(), true)?;
        }
    }
    Ok(changed)
}

/// Refuses what belongs to another user, who may open it again at any time: an administrator's
/// process could close it, and would not keep its owner out.
fn check_owner(path: &Path, within: bool) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        let (path, owner) = (path.display(), metadata.uid());
        let what = format!("{path} belongs to another user (uid {owner}): {GIVE}");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    if within && metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            check_owner(&entry?.path(), true)?;
        }
    }
    Ok(())
}

/// The real file system below one folder.
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// The disk below `root`, which is created (mode 0700) when missing.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn new(root: &Path) -> io::Result<Self> {
        private_folders().create(root)?;
        Ok(Self { root: root.to_path_buf() })
    }

    /// Refuses a folder, and what of it `names` name with all that is below, when some of it is
    /// not this process's user's. Nothing is touched.
    ///
    /// # Errors
    /// `PermissionDenied`, with what to do, where something belongs to somebody else.
    pub fn check_owner(&self, names: &[String]) -> io::Result<()> {
        let root = self.root.canonicalize()?;
        check_owner(&root, false)?;
        names.iter().try_for_each(|name| check_owner(&root.join(name), true))
    }

    /// Takes from everybody but the owner what they may do with the folder itself, if `itself`,
    /// and with what of it `names` name and all that is below; links within are not followed.
    /// Gives how many had more than they should.
    ///
    /// # Errors
    /// `PermissionDenied`, with what to do, where something cannot be closed.
    pub fn tighten(&self, itself: bool, names: &[String]) -> io::Result<u64> {
        let root = self.root.canonicalize()?;
        let mut changed = if itself { tighten(&root, false)? } else { 0 };
        for name in names {
            changed += tighten(&root.join(name), true)?;
        }
        Ok(changed)
    }

    /// Whether others than the owner may put things into the folder, or in the place of others.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn is_shared(&self) -> io::Result<bool> {
        Ok(fs::metadata(&self.root)?.permissions().mode() & OTHERS & 0o222 != 0)
    }

    /// Names of the files of the folder that others than the owner may read or write.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open_to_others(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for name in self.list("")? {
            if fs::metadata(self.root.join(&name))?.permissions().mode() & OTHERS != 0 {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Opens without creating anything.
    ///
    /// # Errors
    /// `NotFound` when the folder does not exist.
    pub fn existing(root: &Path) -> io::Result<Self> {
        if root.is_dir() {
            Ok(Self { root: root.to_path_buf() })
        } else {
            let what = format!("{} is not a folder", root.display());
            Err(io::Error::new(io::ErrorKind::NotFound, what))
        }
    }

    /// Takes the lock that keeps a second process out. Held until the returned file is dropped.
    ///
    /// # Errors
    /// `WouldBlock` when another process holds it.
    pub fn lock(&self, name: &str) -> io::Result<fs::File> {
        let path = self.path(name)?;
        // A pipe is waited for without end, and a link leads anywhere.
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            let what = format!("{name} is no regular file: remove it");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let mut options = fs::OpenOptions::new();
        options.create(true).write(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        file.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(file)
    }

    fn path(&self, relative: &str) -> io::Result<PathBuf> {
        let leaves = relative.starts_with('/') || relative.split('/').any(|part| part == "..");
        if leaves {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "path leaves the root"));
        }
        Ok(self.root.join(relative))
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create(mode == OpenMode::Create);
        // A pipe without a writer would keep us waiting; files know nothing of the flag.
        #[expect(clippy::cast_possible_wrap, reason = "a flag")]
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        let file = options.mode(0o600).open(self.path(path)?)?;
        if !file.metadata()?.is_file() {
            let what = format!(
                "{path} is no regular file but a pipe, device or folder: put it elsewhere, and the \
                 file back from the backup"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Ok(Box::new(RealFile { file }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.path(dir)?) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.path(path)?.try_exists()
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        private_folders().create(self.path(dir)?)?;
        // Every folder on the way is synced, also one that existed: nobody knows whether its name
        // was.
        let mut below = dir;
        while !below.is_empty() {
            below = parent(below);
            self.sync_dir(below)?;
        }
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from)?, self.path(to)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path)?)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        fs::File::open(self.path(dir)?)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

struct RealFile {
    file: fs::File,
}

impl File for RealFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}
