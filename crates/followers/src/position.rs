//! Position files: how far a follower came, and what it remembers of that. One format for all.
//!
//! ```text
//! followers/<name>   "LLFOLLOW" ‖ u8 version = 1 ‖ lp(name) ‖ u16 n ‖ n × (lp(log) ‖ u64 entries)
//!                    ‖ u32 length ‖ state ‖ u32 CRC-32C of all before it       all big-endian
//! lp                 u16 length ‖ bytes
//! ```
//!
//! Promises: a file is replaced whole and durably, so that a crash leaves the old one or the new
//! one. One that is damaged, or of somebody else, is said to be so and never read.
//!
//! Assumes: one writer a name.
//!
//! Refuses: files above 64 MiB.

use std::io;

use ledgerline_view::address::AsOf;
use ledgerline_view::view::View;
use ledgerline_world::disk::{Disk, read_whole, replace_durably};

/// The folder of all position files.
pub const FOLDER: &str = "followers";
const MAGIC: &[u8; 8] = b"LLFOLLOW";
const VERSION: u8 = 1;
/// Longest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// How far a follower came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// By the name of a log: how many of its entries were dealt with. One that is not named here
    /// was not begun.
    pub logs: Vec<(String, u64)>,
    /// What is remembered of them, in the follower's own form.
    pub state: Vec<u8>,
}

/// What lies on the disk under a follower's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A position.
    Position(Position),
    /// A file of before this format, which its follower may know how to read.
    Older(Vec<u8>),
    /// A file that cannot be believed, and why.
    Damaged(&'static str),
}

/// A position beyond the ledger: of another copy of it, most likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Entries that were dealt with.
    pub position: u64,
    /// Entries that there are.
    pub of: u64,
}

impl Position {
    /// So many entries of one log.
    #[must_use]
    pub fn of_log(log: &str, entries: u64) -> Self {
        Self { logs: vec![(log.to_owned(), entries)], state: Vec::new() }
    }

    /// So many entries of each log of a ledger.
    #[must_use]
    pub fn of(view: &View, seen: &AsOf) -> Self {
        let each = view.origins().into_iter().map(|one| {
            // What lies beyond the newest one lies beyond the ledger: that is to be noticed.
            (one.identity().origin.to_string(), seen.size(one.log()))
        });
        Self { logs: each.collect(), state: Vec::new() }
    }

    /// The same with what is remembered.
    #[must_use]
    pub fn with(self, state: Vec<u8>) -> Self {
        Self { state, ..self }
    }

    /// Entries of the ledger's newest origin that were dealt with; `None` when it was not begun.
    ///
    /// # Errors
    /// [`Ahead`].
    pub fn in_newest(&self, view: &View) -> Result<Option<u64>, Ahead> {
        let entries = self.in_log(&view.identity().origin);
        match entries {
            Some(position) if position > view.size() => Err(Ahead { position, of: view.size() }),
            entries => Ok(entries),
        }
    }

    /// Entries of each log that were dealt with.
    ///
    /// # Errors
    /// [`Ahead`], of a log.
    pub fn seen(&self, view: &View) -> Result<AsOf, Ahead> {
        let each = view.origins().into_iter().map(|one| {
            let position = self.in_log(&one.identity().origin).unwrap_or(0);
            let of = one.size();
            if position > of { Err(Ahead { position, of }) } else { Ok(position) }
        });
        Ok(AsOf::new(each.collect::<Result<Vec<u64>, _>>()?))
    }

    fn in_log(&self, log: &str) -> Option<u64> {
        self.logs.iter().find(|(name, _)| name == log).map(|(_, entries)| *entries)
    }

    fn to_bytes(&self, name: &str) -> io::Result<Vec<u8>> {
        fn lp(bytes: &mut Vec<u8>, text: &str) -> io::Result<()> {
            let length = u16::try_from(text.len()).map_err(io::Error::other)?;
            bytes.extend(length.to_be_bytes());
            bytes.extend(text.as_bytes());
            Ok(())
        }
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        lp(&mut bytes, name)?;
        let count = u16::try_from(self.logs.len()).map_err(io::Error::other)?;
        bytes.extend(count.to_be_bytes());
        for (log, entries) in &self.logs {
            lp(&mut bytes, log)?;
            bytes.extend(entries.to_be_bytes());
        }
        let length = u32::try_from(self.state.len()).map_err(io::Error::other)?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(&self.state);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend(crc.to_be_bytes());
        Ok(bytes)
    }
}

fn file(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

/// What a follower saved last.
///
/// # Errors
/// Whatever the disk says, but for a file that is missing.
pub fn load(disk: &dyn Disk, name: &str) -> io::Result<Found> {
    let bytes = match read_whole(disk, &file(name), MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Ok(Found::Damaged("it is too long"));
        }
        Err(error) => return Err(error),
    };
    if !bytes.starts_with(MAGIC) {
        return Ok(Found::Older(bytes));
    }
    Ok(match parse(&bytes, name) {
        Ok(position) => Found::Position(position),
        Err(why) => Found::Damaged(why),
    })
}

fn parse(bytes: &[u8], name: &str) -> Result<Position, &'static str> {
    let (rest, crc) = bytes.split_last_chunk::<4>().ok_or("it is cut off")?;
    if crc32c::crc32c(rest).to_be_bytes() != *crc {
        return Err("its checksum does not hold");
    }
    let mut rest = rest.strip_prefix(MAGIC).unwrap_or_default();
    let version = take::<1>(&mut rest).ok_or("it is cut off")?;
    if version != [VERSION] {
        return Err("it is of a version that is not known here");
    }
    let of = take_text(&mut rest).ok_or("it does not parse")?;
    if of != name {
        return Err("it is of another follower");
    }
    let mut position = || {
        let count = u16::from_be_bytes(take(&mut rest)?);
        let mut logs = Vec::with_capacity(count.into());
        for _ in 0..count {
            let log = take_text(&mut rest)?;
            logs.push((log, u64::from_be_bytes(take(&mut rest)?)));
        }
        let length = u32::from_be_bytes(take(&mut rest)?);
        let is_whole = usize::try_from(length).ok()? == rest.len();
        is_whole.then(|| Position { logs, state: rest.to_vec() })
    };
    position().ok_or("it does not parse")
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let length = u16::from_be_bytes(take(rest)?);
    let (text, after) = rest.split_at_checked(length.into())?;
    *rest = after;
    String::from_utf8(text.to_vec()).ok()
}

/// Takes the checksum off a file of before this format, all of which began with one.
#[must_use]
pub fn without_old_checksum(bytes: &[u8]) -> Option<&[u8]> {
    let (crc, rest) = bytes.split_first_chunk::<4>()?;
    (crc32c::crc32c(rest).to_be_bytes() == *crc).then_some(rest)
}

/// Reads a file of before this format, of a follower of one log:
/// `u32 CRC-32C ‖ u64 entries ‖ u16 length ‖ log ‖ state`.
#[must_use]
pub fn older_of_one_log(bytes: &[u8]) -> Option<Position> {
    let mut rest = without_old_checksum(bytes)?;
    let entries = u64::from_be_bytes(take(&mut rest)?);
    let log = take_text(&mut rest)?;
    Some(Position::of_log(&log, entries).with(rest.to_vec()))
}

/// Replaces what a follower saved.
///
/// # Errors
/// Whatever the disk says.
pub fn save(disk: &dyn Disk, name: &str, position: &Position) -> io::Result<()> {
    let bytes = position.to_bytes(name)?;
    disk.create_dir(FOLDER)?;
    replace_durably(disk, &file(name), &bytes)
}

/// Removes what a follower saved, durably.
///
/// # Errors
/// Whatever the disk says.
pub fn clear(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(&file(name)) {
        Ok(()) => disk.sync_dir(FOLDER),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledgerline_world::disk::OpenMode;
    use ledgerline_world::fake::SimDisk;

    #[test]
    fn every_flipped_bit_of_a_position_is_noticed() {
        let disk = SimDisk::new(1);
        assert_eq!(load(&disk, "one").expect("a disk"), Found::Nothing);
        let logs = vec![("a".to_owned(), 7), ("b".to_owned(), 1 << 40)];
        let position = Position { logs, state: b"state".to_vec() };
        save(&disk, "one", &position).expect("a disk");
        assert_eq!(load(&disk, "one").expect("a disk"), Found::Position(position.clone()));
        let bytes = position.to_bytes("one").expect("short texts");
        let file = disk.open(&file("one"), OpenMode::Write).expect("a file");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            file.write_all_at(&flipped, 0).expect("a disk");
            match load(&disk, "one").expect("a disk") {
                Found::Damaged(_) => assert!(bit >= 64, "{bit}"),
                // Without the magic it is one of before, whose checksum does not hold.
                Found::Older(bytes) => {
                    assert_eq!((without_old_checksum(&bytes), bit < 64), (None, true));
                }
                found => panic!("{bit}: {found:?}"),
            }
        }
        file.write_all_at(&bytes, 0).expect("a disk");
        disk.rename("followers/one", "followers/two").expect("a disk");
        assert_eq!(
            load(&disk, "two").expect("a disk"),
            Found::Damaged("it is of another follower")
        );
        clear(&disk, "two").expect("a disk");
        clear(&disk, "two").expect("nothing to clear");
        assert_eq!(load(&disk, "two").expect("a disk"), Found::Nothing);
    }
}
