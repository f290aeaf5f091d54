//! Positions of followers on disk. A lost or damaged one costs time: everything is read again. The
//! findings' own raises nothing twice.

use std::io;

use crate::disk::{Disk, read_whole, replace_durably};

const FOLDER: &str = "followers";
const FINDINGS: &str = "findings";
/// Longest file that is read.
const MAX_BYTES: u64 = 4096;

fn file(follower: &str) -> String {
    format!("{FOLDER}/{follower}")
}

/// How many entries of this origin were read; 0 when nobody knows.
///
/// # Errors
/// Whatever the disk says, but for a file that is missing.
pub fn load(disk: &dyn Disk, origin: &str) -> io::Result<u64> {
    load_of(disk, FINDINGS, origin)
}

/// As [`load`], of the follower of a name.
///
/// # Errors
/// As [`load`].
pub fn load_of(disk: &dyn Disk, follower: &str, origin: &str) -> io::Result<u64> {
    let bytes = match read_whole(disk, &file(follower), MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(0),
        Err(error) => return Err(error),
    };
    let position = || {
        let (crc, rest) = bytes.split_first_chunk::<4>()?;
        let (position, of) = rest.split_first_chunk::<8>()?;
        let sound = crc32c::crc32c(rest).to_be_bytes() == *crc && of == origin.as_bytes();
        sound.then(|| u64::from_be_bytes(*position))
    };
    Ok(position().unwrap_or(0))
}

/// Replaces the position.
///
/// # Errors
/// Whatever the disk says.
pub fn save(disk: &dyn Disk, origin: &str, position: u64) -> io::Result<()> {
    save_of(disk, FINDINGS, origin, position)
}

/// As [`save`], of the follower of a name.
///
/// # Errors
/// Whatever the disk says.
pub fn save_of(disk: &dyn Disk, follower: &str, origin: &str, position: u64) -> io::Result<()> {
    disk.create_dir(FOLDER)?;
    let rest = [&position.to_be_bytes()[..], origin.as_bytes()].concat();
    let crc = crc32c::crc32c(&rest).to_be_bytes();
    replace_durably(disk, &file(follower), &[&crc[..], &rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OpenMode;
    use crate::simulation::SimDisk;

    #[test]
    fn a_position_is_of_one_origin_and_damage_means_the_beginning() {
        let disk = SimDisk::new(1);
        assert_eq!(load(&disk, "a").expect("a disk"), 0);
        save(&disk, "a", 77).expect("a disk");
        assert_eq!(load(&disk, "a").expect("a disk"), 77);
        assert_eq!(load(&disk, "b").expect("a disk"), 0);
        let file = disk.open(&file(FINDINGS), OpenMode::Write).expect("a file");
        file.write_all_at(&[1], 6).expect("a disk");
        assert_eq!(load(&disk, "a").expect("a disk"), 0);
    }
}
