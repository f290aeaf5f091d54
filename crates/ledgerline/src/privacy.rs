//! What keeps secrets of this process to its user: no core files, folders and files for the owner
//! alone, keys apart from the data.
//!
//! Promises: no core file is written and no other process of the user reads this one's memory
//! (Linux). Data and head folders that are open to others are closed, and the log says so; things
//! of others are never touched, and no ledger is made among them. Keys that others can read are
//! not used. Keys and head store never lie within the data: one copied
//! folder is not everything.
//!
//! Assumes: an administrator of the machine can do all of it anyway.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ledgerline_ledger::folders::{Contents, Folder};
use ledgerline_world::disk::RealDisk;

use ledgerline_terminal::exit::Failure;

/// Says to the kernel that this process's memory is nobody's business. Where it cannot, nothing is
/// lost but that.
pub fn keep_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Refuses a folder that a ledger must not be made in: it holds other things, or is another user's.
/// One that is not there is none. Nothing is touched. Tells whether a ledger's files are there.
///
/// # Errors
/// Names what lies there, and what to do.
pub fn check_whose(folder: Folder, path: &Path) -> Result<bool, Failure> {
    let named = || format!("{}", path.display());
    if !path.try_exists().with_context(named)? {
        return Ok(false);
    }
    let disk = RealDisk::existing(path).with_context(named)?;
    disk.check_owner(&[])?;
    let contents = folder.contents(&disk).with_context(named)?;
    match contents.stranger {
        Some(stranger) if !contents.has_begun => Err(Failure::usage(format!(
            "{} holds other things ({stranger:?}) and {}: nothing was touched; name a folder that \
             is new or empty",
            path.display(),
            match folder {
                Folder::Data => "no ledger",
                Folder::Keys => "no keys of a ledger",
                Folder::Head => "no checkpoint of a ledger",
            },
        ))),
        _ => Ok(contents.has_begun),
    }
}

/// Closes to others what in a folder is the ledger's, and the folder itself. One that others'
/// things lie in is closed only when it is the data: whoever put keys into a folder of programs may
/// not have meant to lock those out.
///
/// # Errors
/// Where it belongs to somebody else, or others may put things into it and it is not ours to close.
pub fn tighten(disk: &RealDisk, path: &Path, folder: Folder) -> Result<(), Failure> {
    let named = || format!("{}", path.display());
    let Contents { ours, stranger, .. } = folder.contents(disk).with_context(named)?;
    disk.check_owner(&ours)?;
    let itself = folder == Folder::Data || stranger.is_none();
    if let Some(stranger) = stranger.as_ref().filter(|_| !itself) {
        if disk.is_shared().with_context(named)? {
            return Err(Failure::error(format!(
                "{} may be written by other users, and holds other things ({stranger:?}): name a \
                 folder of its own, or chmod go-w it",
                path.display()
            )));
        }
        let what = "it holds other things, so its own rights were left: name a folder of its own";
        tracing::warn!(code = "folder_not_closed", folder = %path.display(), stranger, what);
    }
    // Keys that others may read are not closed but refused: who read one has it.
    let within: &[String] = if folder == Folder::Keys { &[] } else { &ours };
    let changed = disk.tighten(itself, within).with_context(named)?;
    if changed > 0 {
        let (folder, what) =
            (path.display(), "was open to other users, and is the owner's alone now");
        tracing::warn!(code = "folder_closed", %folder, changed, what);
    }
    Ok(())
}

/// Refuses key files that others may read or write: who read one has it.
///
/// # Errors
/// Names the first, and what to do.
pub fn check_keys(disk: &RealDisk, path: &Path) -> Result<(), Failure> {
    let open = disk.open_to_others().with_context(|| format!("{}", path.display()))?;
    match open.into_iter().find(|name| name.ends_with(".key") || name.ends_with(".key.new")) {
        None => Ok(()),
        Some(name) => {
            let file = path.join(name);
            Err(Failure::error(format!(
                "{} is open to other users: chmod 600 it, and see who may have read it",
                file.display()
            )))
        }
    }
}

/// Refuses a folder, named `what`, that lies within the data, also by a link.
///
/// # Errors
/// Says where it lies.
pub fn check_apart(data: &Path, folder: &Path, what: &str) -> Result<(), Failure> {
    let (data, real) = (real_path(data)?, real_path(folder)?);
    if real.starts_with(&data) {
        return Err(Failure::usage(format!(
            "{what} {} lies within the data ({}): whoever copies that has all; name a folder \
             beside it",
            folder.display(),
            data.display()
        )));
    }
    Ok(())
}

/// Where a path leads, also one that is not there yet.
fn real_path(path: &Path) -> Result<PathBuf, Failure> {
    let whole = std::path::absolute(path).with_context(|| format!("{}", path.display()))?;
    let mut missing = Vec::new();
    let mut there: &Path = &whole;
    loop {
        if let Ok(real) = there.canonicalize() {
            return Ok(missing.iter().rev().fold(real, |path, part| path.join(part)));
        }
        match (there.parent(), there.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name);
                there = parent;
            }
            _ => return Ok(whole.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The memory of a server had its keys; a core file had them, too.
    #[cfg(target_os = "linux")]
    #[test]
    fn no_core_file_is_written() {
        use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
        keep_memory();
        assert_eq!(dumpable_behavior().ok(), Some(DumpableBehavior::NotDumpable));
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }

    #[test]
    fn keys_within_the_data_are_seen_through_links_and_dots() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("data/inner")).unwrap();
        std::os::unix::fs::symlink(at("data/inner"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("data"), at("other")).unwrap();
        let check = |data: &str, keys: &str| check_apart(&at(data), &at(keys), "keys").is_err();
        for keys in ["data", "data/keys", "data/../data/keys", "link", "link/new/er", "other/k"] {
            assert!(check("data", keys), "{keys}");
            assert!(check("other", keys), "{keys}");
        }
        for keys in ["data.keys", "keys", "database", "data/../keys"] {
            assert!(!check("data", keys), "{keys}");
        }
    }
}
