//! The wheel's place on disk. A lost or damaged one costs time: everything is read again, and
//! records nothing twice.

use std::io;

use ledgerline_world::disk::{Disk, read_whole, replace_durably};

const FOLDER: &str = "followers";
const FILE: &str = "followers/expiry";
/// Longest file that is read.
const MAX_BYTES: u64 = 4096;

/// How far a wheel has come: every expiry up to `through` of the entries below `position` was
/// handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Entries read, of all origins.
    pub position: u64,
    /// Unix nanoseconds.
    pub through: i64,
}

impl Place {
    /// Before everything.
    pub const BEGIN: Self = Self { position: 0, through: i64::MIN };
}

/// The place that was saved while this origin was the newest; the beginning when nobody knows.
///
/// # Errors
/// Whatever the disk says, but for a file that is missing.
pub fn load(disk: &dyn Disk, origin: &str) -> io::Result<Place> {
    let bytes = match read_whole(disk, FILE, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) =>
        {
            return Ok(Place::BEGIN);
        }
        Err(error) => return Err(error),
    };
    let place = || {
        let (crc, rest) = bytes.split_first_chunk::<4>()?;
        let (position, after) = rest.split_first_chunk::<8>()?;
        let (through, of) = after.split_first_chunk::<8>()?;
        let sound = crc32c::crc32c(rest).to_be_bytes() == *crc && of == origin.as_bytes();
        let position = u64::from_be_bytes(*position);
        sound.then_some(Place { position, through: i64::from_be_bytes(*through) })
    };
    Ok(place().unwrap_or(Place::BEGIN))
}

/// Replaces the place.
///
/// # Errors
/// Whatever the disk says.
pub fn save(disk: &dyn Disk, origin: &str, place: Place) -> io::Result<()> {
    disk.create_dir(FOLDER)?;
    let Place { position, through } = place;
    let rest = [&position.to_be_bytes()[..], &through.to_be_bytes(), origin.as_bytes()].concat();
    let crc = crc32c::crc32c(&rest).to_be_bytes();
    replace_durably(disk, FILE, &[&crc[..], &rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledgerline_world::disk::OpenMode;
    use ledgerline_world::fake::SimDisk;

    #[test]
    fn a_place_is_of_one_origin_and_damage_means_the_beginning() {
        let disk = SimDisk::new(1);
        assert_eq!(load(&disk, "a").expect("a disk"), Place::BEGIN);
        let place = Place { position: 77, through: -5 };
        save(&disk, "a", place).expect("a disk");
        assert_eq!(load(&disk, "a").expect("a disk"), place);
        assert_eq!(load(&disk, "b").expect("a disk"), Place::BEGIN);
        let file = disk.open(FILE, OpenMode::Write).expect("a file");
        file.write_all_at(&[1], 13).expect("a disk");
        assert_eq!(load(&disk, "a").expect("a disk"), Place::BEGIN);
    }
}
