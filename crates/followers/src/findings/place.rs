//! Positions of followers on disk, and what the findings' own remembers. A lost or damaged file
//! costs time: everything is read again. The findings' own raises nothing twice.

use std::io;

use ledgerline_world::disk::{Disk, read_whole, replace_durably};

use super::memory::Memory;

const FOLDER: &str = "followers";
const FINDINGS: &str = "findings";
/// Longest file that is read.
const MAX_BYTES: u64 = 64 << 20;

fn file(follower: &str) -> String {
    format!("{FOLDER}/{follower}")
}

/// What a follower begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// How many entries of the ledger's own origin were read.
    pub position: u64,
    /// What is remembered of them.
    pub memory: Memory,
}

/// What the findings' follower saved last; nothing when nobody knows.
///
/// # Errors
/// Whatever the disk says, but for a file that is missing.
pub fn load(disk: &dyn Disk, origin: &str) -> io::Result<Saved> {
    read(disk, FINDINGS, origin)
}

/// How many entries of this origin the follower of a name has read; 0 when nobody knows.
///
/// # Errors
/// As [`load`].
pub fn load_of(disk: &dyn Disk, follower: &str, origin: &str) -> io::Result<u64> {
    Ok(read(disk, follower, origin)?.position)
}

fn read(disk: &dyn Disk, follower: &str, origin: &str) -> io::Result<Saved> {
    let bytes = match read_whole(disk, &file(follower), MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Saved::default()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Saved::default()),
        Err(error) => return Err(error),
    };
    Ok(parse(&bytes, origin).unwrap_or_default())
}

fn parse(bytes: &[u8], origin: &str) -> Option<Saved> {
    let (crc, rest) = bytes.split_first_chunk::<4>()?;
    if crc32c::crc32c(rest).to_be_bytes() != *crc {
        return None;
    }
    let (position, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (of, memory) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let memory = Memory::from_bytes(memory)?;
    let position = u64::from_be_bytes(*position);
    (of == origin.as_bytes()).then_some(Saved { position, memory })
}

/// Replaces what is saved.
///
/// # Errors
/// Whatever the disk says.
pub fn save(disk: &dyn Disk, origin: &str, saved: &Saved) -> io::Result<()> {
    write(disk, FINDINGS, origin, saved)
}

/// As [`save`], of the follower of a name, which remembers nothing but its position.
///
/// # Errors
/// Whatever the disk says.
pub fn save_of(disk: &dyn Disk, follower: &str, origin: &str, position: u64) -> io::Result<()> {
    write(disk, follower, origin, &Saved { position, ..Saved::default() })
}

fn write(disk: &dyn Disk, follower: &str, origin: &str, saved: &Saved) -> io::Result<()> {
    disk.create_dir(FOLDER)?;
    let length = u16::try_from(origin.len()).map_err(io::Error::other)?;
    let (position, length) = (saved.position.to_be_bytes(), length.to_be_bytes());
    let memory = saved.memory.to_bytes();
    let rest = [&position[..], &length, origin.as_bytes(), &memory].concat();
    let crc = crc32c::crc32c(&rest).to_be_bytes();
    replace_durably(disk, &file(follower), &[&crc[..], &rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledgerline_world::disk::OpenMode;
    use ledgerline_world::fake::SimDisk;

    #[test]
    fn a_position_is_of_one_origin_and_damage_means_the_beginning() {
        let disk = SimDisk::new(1);
        let nothing = Saved::default();
        assert_eq!(load(&disk, "a").expect("a disk"), nothing);
        let mut saved = Saved { position: 77, ..Saved::default() };
        saved.memory.number(("t", "gw", [3; 16]), 9);
        save(&disk, "a", &saved).expect("a disk");
        assert_eq!(load(&disk, "a").expect("a disk"), saved);
        assert_eq!(load(&disk, "b").expect("a disk"), nothing);
        save_of(&disk, "other", "a", 5).expect("a disk");
        assert_eq!(load_of(&disk, "other", "a").expect("a disk"), 5);
        assert_eq!(load(&disk, "a").expect("a disk"), saved);
        let file = disk.open(&file(FINDINGS), OpenMode::Write).expect("a file");
        file.write_all_at(&[1], 6).expect("a disk");
        assert_eq!(load(&disk, "a").expect("a disk"), nothing);
    }
}
