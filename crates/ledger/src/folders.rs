//! Whose the things in a folder are: what a ledger's three folders hold, and what is somebody
//! else's.
//!
//! Promises: looks, and touches nothing. Only what [`Contents::ours`] names is a ledger's to close
//! to others; a folder with a stranger in it and nothing of a ledger's is no folder for a ledger.
//!
//! Assumes: docs/reference/format.md draws the folders. `lost+found` is the file system's own: it
//! is neither ours nor in the way.

use std::io;

use ledgerline_index::event_times;
use ledgerline_journal::end_note::MOVING;
use ledgerline_journal::format::segment_number;
use ledgerline_world::disk::Disk;

/// One of the three folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// The ledger.
    Data,
    /// The key files.
    Keys,
    /// The head store.
    Head,
}

/// What lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Names at its top that are a ledger's.
    pub ours: Vec<String>,
    /// The path of one thing in it that is not.
    pub stranger: Option<String>,
    /// Whether a ledger has begun here: then strangers are passed over.
    pub has_begun: bool,
}

/// The rooms of one origin, and what else stands at the top of the data.
const ROOMS: [&str; 4] = ["journal", "tree", "index", "erasures"];
const TOP: [&str; 6] = ["vault", "torn", "quarantine", "followers", "origins", "lock"];
const LOST_AND_FOUND: &str = "lost+found";
/// The name of a file that is being replaced ends so.
const STAGED: &str = ".new";

impl Folder {
    /// Looks.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn contents(self, disk: &dyn Disk) -> io::Result<Contents> {
        let mut names = disk.list("")?;
        names.retain(|name| name != LOST_AND_FOUND);
        let (ours, strangers): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| self.is_ours(name));
        let has_begun = match self {
            Self::Data => has_ledger(disk)?,
            Self::Keys | Self::Head => !ours.is_empty(),
        };
        let mut stranger = strangers.into_iter().next();
        if self == Self::Data && !has_begun && stranger.is_none() {
            for name in ours.iter().filter(|name| *name != "lock") {
                if stranger.is_none() {
                    stranger = stranger_in(disk, name)?;
                }
            }
        }
        Ok(Contents { ours, stranger, has_begun })
    }

    fn is_ours(self, name: &str) -> bool {
        let whole = name.strip_suffix(STAGED).unwrap_or(name);
        match self {
            Self::Data => ROOMS.contains(&name) || TOP.contains(&name),
            Self::Keys => whole.ends_with(".key"),
            Self::Head => whole == "checkpoint" || numbered(whole, "origin-"),
        }
    }
}

/// Whether the folder holds a ledger, or an older origin of one whose rooms are on their way.
///
/// # Errors
/// Whatever the disk says.
pub fn has_ledger(disk: &dyn Disk) -> io::Result<bool> {
    let is_segment = |name: &String| segment_number(name).is_some();
    let segments = names_in(disk, "journal")?.is_some_and(|names| names.iter().any(is_segment));
    Ok(segments || disk.exists(MOVING)? || disk.exists("origins/0/end")?)
}

/// Names in a folder; `None` when it is a file.
fn names_in(disk: &dyn Disk, folder: &str) -> io::Result<Option<Vec<String>>> {
    match disk.list(folder) {
        Ok(names) => Ok(Some(names)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first thing below a room that no ledger ever put there.
fn stranger_in(disk: &dyn Disk, room: &str) -> io::Result<Option<String>> {
    let Some(names) = names_in(disk, room)? else { return Ok(Some(room.to_owned())) };
    for name in names {
        let path = format!("{room}/{name}");
        let whole = name.strip_suffix(STAGED).unwrap_or(&name);
        let last = room.rsplit('/').next().unwrap_or(room);
        let is_room = match last {
            "origins" => numbered(&name, ""),
            last => numbered(last, "") && ROOMS.contains(&&*name),
        };
        if is_room {
            if let Some(stranger) = stranger_in(disk, &path)? {
                return Ok(Some(stranger));
            }
            continue;
        }
        let is_ours = match last {
            "journal" => segment_number(whole).is_some() || whole == "genesis",
            "tree" => numbered(whole, "") || ["positions", "whole"].contains(&whole),
            "index" => whole == "manifest" || whole == event_times::FILE || whole.ends_with(".run"),
            "erasures" => ["pending", "zeroed"].contains(&whole),
            "vault" => whole == "map" || numbered(whole, "slots-") || whole.starts_with("secret-"),
            "torn" => whole.ends_with(".bin"),
            "quarantine" => ["0.txt", "1.txt"].contains(&whole),
            "followers" => {
                ["expiry", "findings", "webhook", "uses"].contains(&whole)
                    || whole.starts_with("summaries-")
            }
            "origins" => whole == "moving",
            _ => whole == "end",
        };
        if !is_ours {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Whether a name is `front` and a number.
fn numbered(name: &str, front: &str) -> bool {
    let digits = name.strip_prefix(front).unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledgerline_world::disk::RealDisk;

    fn contents(folder: Folder, files: &[&str]) -> Contents {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if !file.ends_with('/') {
                std::fs::write(path, b"x").unwrap();
            }
        }
        folder.contents(&RealDisk::existing(root.path()).unwrap()).unwrap()
    }

    #[test]
    fn a_folder_of_others_is_told_from_one_that_a_first_start_left() {
        let left = [
            "lock",
            "lost+found/#12",
            "tree/0",
            "tree/whole.new",
            "vault/slots-0000000000",
            "vault/map",
            "journal/genesis.new",
            "index/manifest",
            "index/event-times",
            "followers/summaries-0000000000000001",
            "followers/uses",
            "followers/summaries-000000000000000a",
        ];
        assert_eq!(contents(Folder::Data, &left).stranger, None);
        for other in [
            "notes.txt",
            "journal/2026/today.md",
            "journal/system.journal",
            "journal",
            "tree/oak",
            "origins/0/journal/x",
            "origins/x",
            "index/index.html",
            ".git/config",
            "lock2",
        ] {
            let found = contents(Folder::Data, &[other]);
            assert!(found.stranger.is_some() && !found.has_begun, "{other}: {found:?}");
        }
    }

    #[test]
    fn of_a_ledger_only_what_is_its_own_is_named() {
        let found = contents(Folder::Data, &["journal/00000000.seg", "notes.txt", "tree/0"]);
        assert!(found.has_begun);
        assert_eq!(found.ours, ["journal", "tree"]);
        assert_eq!(found.stranger.as_deref(), Some("notes.txt"));
        assert!(contents(Folder::Data, &["origins/moving", "index/a.run"]).has_begun);
    }

    #[test]
    fn keys_and_head_have_names_of_their_own() {
        let keys = contents(Folder::Keys, &["kek.key", "log.key.new", "lost+found/"]);
        assert_eq!((keys.ours.len(), keys.stranger), (2, None));
        assert!(!contents(Folder::Keys, &["passwd"]).has_begun);
        let head = contents(Folder::Head, &["checkpoint", "origin-0", "origin-1.new"]);
        assert_eq!((head.ours.len(), head.stranger), (3, None));
        assert_eq!(contents(Folder::Head, &["origin"]).stranger.as_deref(), Some("origin"));
    }
}
