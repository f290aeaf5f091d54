//! The follower's position and memory on disk. A lost or damaged one costs time: everything is read
//! again, and raises nothing twice.

use std::io;

use super::memory::Memory;
use crate::disk::{Disk, read_whole, replace_durably};

const FOLDER: &str = "followers";
const FILE: &str = "followers/findings";
/// Longest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// What a follower begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// How many entries of the ledger's own origin were read.
    pub position: u64,
    /// What is remembered of them.
    pub memory: Memory,
}

/// What was saved last; nothing when nobody knows.
///
/// # Errors
/// Whatever the disk says, but for a file that is missing.
pub fn load(disk: &dyn Disk, origin: &str) -> io::Result<Saved> {
    let bytes = match read_whole(disk, FILE, MAX_BYTES) {
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
    disk.create_dir(FOLDER)?;
    let length = u16::try_from(origin.len()).map_err(io::Error::other)?;
    let (position, length) = (saved.position.to_be_bytes(), length.to_be_bytes());
    let memory = saved.memory.to_bytes();
    let rest = [&position[..], &length, origin.as_bytes(), &memory].concat();
    let crc = crc32c::crc32c(&rest).to_be_bytes();
    replace_durably(disk, FILE, &[&crc[..], &rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OpenMode;
    use crate::simulation::SimDisk;

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
        let file = disk.open(FILE, OpenMode::Write).expect("a file");
        file.write_all_at(&[1], 6).expect("a disk");
        assert_eq!(load(&disk, "a").expect("a disk"), nothing);
    }
}
