//! Files as a follower needs them: read at a place, known again under another name or packed.
//!
//! Promises: a file is what its inode and its first bytes say, not what it is called.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use ledgerline_tables::input::Unpacked;

use super::position::{HEAD_BYTES, Mark, Position};

/// Bytes read at a time.
pub const PIECE_BYTES: usize = 256 << 10;

/// An open file.
pub enum Input {
    /// As it lies there.
    Plain(File),
    /// Packed: what is read is what was packed, from the beginning on.
    Packed {
        reader: Box<dyn Read>,
        /// Bytes that have come out.
        at: u64,
    },
}

impl Input {
    /// Reads the bytes at a place; nothing at the end. Of a packed file no place before the last
    /// one can be read.
    pub fn read_at(&mut self, place: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read_at(buffer, place),
            Self::Packed { reader, at } => {
                while *at < place {
                    let skip = usize::try_from(place - *at).unwrap_or(usize::MAX);
                    let skip = skip.min(buffer.len());
                    match reader.read(&mut buffer[..skip])? {
                        0 => return Ok(0),
                        count => *at += count as u64,
                    }
                }
                let count = reader.read(buffer)?;
                *at += count as u64;
                Ok(count)
            }
        }
    }
}

/// Opens a file, and says which it is.
pub fn open(path: &Path) -> io::Result<(File, u64, u64)> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
    }
    Ok((file, found.dev(), found.ino()))
}

/// The first bytes of a plain file, at most so many.
pub fn first_bytes(file: &File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(most.min(HEAD_BYTES)).unwrap_or(0)];
    let mut length = 0;
    while length < bytes.len() {
        match file.read_at(&mut bytes[length..], length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Whether a plain file begins as a mark says, if that says anything.
pub fn begins_as(file: &File, mark: &Mark, position: &Position) -> io::Result<bool> {
    let bytes = first_bytes(file, mark.head_bytes)?;
    let is_known = mark.head_bytes > 0;
    let is_long = bytes.len() as u64 == mark.head_bytes;
    Ok(!is_known || (is_long && position.head_of(&bytes) == mark.head))
}

/// A file beside the one that is followed: what it may have been renamed, copied or packed to.
pub struct Sibling {
    pub path: PathBuf,
    pub modified: i64,
    pub dev: u64,
    pub ino: u64,
}

/// The files whose names begin with that of a path, the oldest first; not the path itself.
pub fn siblings(path: &Path) -> io::Result<Vec<Sibling>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let (name, stem) = (name.as_encoded_bytes(), path.file_stem().unwrap_or_default());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let other = entry.file_name();
        let other = other.as_encoded_bytes();
        // `events.ndjson.1`, and `events-20261130.ndjson` as other rotators write it.
        let is_renamed = other.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"."))
            || other.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"-"))
            || other
                .strip_prefix(stem.as_encoded_bytes())
                .is_some_and(|rest| rest.starts_with(b"-") || rest.starts_with(b"."));
        if !is_renamed || other == name {
            continue;
        }
        let Ok(data) = fs::metadata(entry.path()) else { continue };
        if data.is_file() {
            let modified = data.mtime();
            found.push(Sibling { path: entry.path(), modified, dev: data.dev(), ino: data.ino() });
        }
    }
    found.sort_by(|one, other| (one.modified, &one.path).cmp(&(other.modified, &other.path)));
    Ok(found)
}

/// Whether a file is named as a rotated copy of a path is: `events.ndjson.1`, `events.ndjson.old`,
/// `events.ndjson-20261130.gz`, `events-20261130.ndjson`; not `events-admin.ndjson`, which is
/// another log.
pub fn is_rotation(path: &Path, other: &Path) -> bool {
    let (Some(name), Some(other)) = (path.file_name(), other.file_name()) else { return false };
    let other = other.as_encoded_bytes();
    let after = |start: &OsStr| other.strip_prefix(start.as_encoded_bytes());
    let is_date = |rest: &[u8]| matches!(rest, [b'-' | b'.', first, ..] if first.is_ascii_digit());
    let of_name = after(name).is_some_and(|rest| rest.starts_with(b".") || is_date(rest));
    of_name || path.file_stem().and_then(after).is_some_and(is_date)
}

/// Opens what may be packed.
pub fn open_packed(path: &Path) -> io::Result<Input> {
    let file = File::open(path)?;
    if file_is_packed(&file)? {
        return Ok(Input::Packed { reader: Box::new(Unpacked::new(file)), at: 0 });
    }
    Ok(Input::Plain(file))
}

fn file_is_packed(file: &File) -> io::Result<bool> {
    Ok(first_bytes(file, 2)? == [0x1f, 0x8b])
}

/// The sibling that a mark is of: of its inode, else one that begins like it, plain or packed.
pub fn find(
    path: &Path,
    mark: &Mark,
    position: &Position,
    not: Option<(u64, u64)>,
) -> io::Result<Option<(Sibling, Input)>> {
    let mut copies = Vec::new();
    for sibling in siblings(path)? {
        let itself = (sibling.dev, sibling.ino);
        if not == Some(itself) {
            continue;
        }
        if !mark.is_of(sibling.dev, sibling.ino) {
            copies.push(sibling);
            continue;
        }
        let file = File::open(&sibling.path)?;
        if begins_as(&file, mark, position)? {
            return Ok(Some((sibling, Input::Plain(file))));
        }
    }
    if mark.head_bytes == 0 {
        // Nothing of it was read, so nothing tells a copy of it.
        return Ok(None);
    }
    for sibling in copies.into_iter().rev() {
        // One that cannot be read, or is packed otherwise, is none.
        if let Ok(true) = is_copy(&sibling.path, mark, position) {
            let input = open_packed(&sibling.path)?;
            return Ok(Some((sibling, input)));
        }
    }
    Ok(None)
}

/// Whether a file, plain or packed, begins as a mark says.
pub fn is_copy(path: &Path, mark: &Mark, position: &Position) -> io::Result<bool> {
    let mut input = open_packed(path)?;
    let mut bytes = vec![0; usize::try_from(mark.head_bytes.min(HEAD_BYTES)).unwrap_or(0)];
    let mut length = 0;
    while length < bytes.len() {
        match input.read_at(length as u64, &mut bytes[length..])? {
            0 => return Ok(false),
            count => length += count,
        }
    }
    Ok(position.head_of(&bytes) == mark.head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_log_beside_it_is_no_rotated_copy() {
        let check = |path: &str, other: &str, expected: bool| {
            let found = is_rotation(Path::new(path), Path::new(other));
            assert_eq!(found, expected, "{other} of {path}");
        };
        for copy in [
            "/l/access.log.1",
            "/l/access.log.2.gz",
            "/l/access.log.old",
            "/l/access.log-20261130",
            "/l/access-20261130.log",
            "/l/access.1.log",
        ] {
            check("/l/access.log", copy, true);
        }
        for other in ["/l/access-admin.log", "/l/access.json", "/l/access.log", "/l/accesses.log.1"]
        {
            check("/l/access.log", other, false);
        }
    }
}
