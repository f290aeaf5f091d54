//! Folders that are made once and kept, whoever asks for them and in however many processes.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// Written last: what the folder was made from.
const MARK: &str = "installed";

/// The folder of something below `root`: another one for everything else that is wanted, so that
/// no checkout takes away what another one uses.
pub fn folder(root: &Path, name: &str, wanted: &str) -> PathBuf {
    root.join(name).join(&hex(&Sha256::digest(wanted.as_bytes()))[..16])
}

/// Whether a folder was made from exactly this, to its end.
pub fn is_whole(folder: &Path, wanted: &str) -> bool {
    fs::read_to_string(folder.join(MARK)).is_ok_and(|found| found == wanted)
}

/// The folder called `name` below `root` that `make` fills, given what it is made from; made once.
///
/// `make` is given the empty folder. A folder that was begun and not ended is made again.
///
/// # Errors
/// Those of `make`, and of the disk.
pub fn kept(
    root: &Path,
    name: &str,
    wanted: &str,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let folder = folder(root, name, wanted);
    if is_whole(&folder, wanted) {
        return Ok(folder);
    }
    fs::create_dir_all(root).with_context(|| root.display().to_string())?;
    let lock = File::create(root.join(format!("{name}.lock")))?;
    // Let go of when the file is closed, also by a process that is killed.
    lock.lock().context("waiting for another who installs the same")?;
    if is_whole(&folder, wanted) {
        return Ok(folder);
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    make(&folder)?;
    fs::write(folder.join(MARK), wanted)?;
    Ok(folder)
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_folder_is_made_once_and_again_when_it_was_not_ended() {
        let root = tempfile::tempdir().expect("a folder");
        let mut made = 0;
        let mut make = |wanted: &str, is_good: bool| {
            kept(root.path(), "one", wanted, |folder| {
                made += 1;
                assert_eq!(fs::read_dir(folder)?.count(), 0, "nothing is left of before");
                fs::write(folder.join("half"), "")?;
                if is_good { Ok(()) } else { bail!("as told") }
            })
        };
        assert_eq!(make("a", false).expect_err("told to").to_string(), "as told");
        let first = make("a", true).expect("made");
        assert_eq!(make("a", false).expect("kept"), first);
        assert_ne!(make("b", true).expect("made"), first, "another pin, another folder");
        assert!(is_whole(&first, "a") && !is_whole(&first, "b"));
        assert_eq!(made, 3);
    }

    #[test]
    fn two_who_ask_at_once_get_one_folder() {
        let root = tempfile::tempdir().expect("a folder");
        let made = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let slow = |_: &Path| {
                        made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        Ok(())
                    };
                    kept(root.path(), "one", "a", slow).expect("made")
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
