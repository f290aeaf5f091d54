//! The contract suite of [`Disk`]: what every implementation does while nothing fails.
//!
//! Assumes: an empty disk with a few megabytes free, and nobody else on it.

use crate::disk::{Disk, File, OpenMode, read_whole, replace_durably};
use std::io::{self, ErrorKind};

/// Runs the suite. What survives a power cut cannot be asked of a real disk;
/// tests/simulated_disk.rs asks the simulated one.
///
/// # Panics
/// When the disk breaks the contract.
pub fn disk_contract(disk: &dyn Disk) {
    opens_by_mode(disk);
    reads_what_was_written(disk);
    changes_length(disk);
    lists_and_makes_folders(disk);
    renames_and_removes(disk);
    keeps_open_files_alive(disk);
    replaces_whole_files(disk);
    refuses_paths_outside(disk);
    assert!(disk.free_bytes().unwrap() > 0, "free bytes");
}

fn opens_by_mode(disk: &dyn Disk) {
    for mode in [OpenMode::Read, OpenMode::Write] {
        let error = error_of(disk.open("absent", mode));
        assert_eq!(error, ErrorKind::NotFound, "{mode:?} of an absent file");
    }
    assert!(!disk.exists("absent").unwrap(), "opening must not create");
    let error = error_of(disk.open("absent/file", OpenMode::Create));
    assert_eq!(error, ErrorKind::NotFound, "creating in an absent folder");

    create(disk, "modes", b"kept");
    assert!(disk.exists("modes").unwrap());
    for mode in [OpenMode::Create, OpenMode::Write, OpenMode::Read] {
        let file = disk.open("modes", mode).unwrap();
        assert_eq!(bytes_of(&*file), b"kept", "{mode:?} keeps what the file holds");
    }
    let file = disk.open("modes", OpenMode::Read).unwrap();
    assert!(file.write_all_at(b"x", 0).is_err(), "writing through Read");
    assert!(file.set_len(0).is_err(), "truncating through Read");
    let error = error_of(disk.open("modes/below", OpenMode::Create));
    assert_eq!(error, ErrorKind::NotADirectory, "a file is no folder");
}

fn reads_what_was_written(disk: &dyn Disk) {
    let file = disk.open("bytes", OpenMode::Create).unwrap();
    assert!(file.is_empty().unwrap());
    file.write_all_at(b"hello", 3).unwrap();
    assert_eq!(bytes_of(&*file), b"\0\0\0hello", "a gap reads as zeros");
    file.write_all_at(b"J", 3).unwrap();
    file.write_all_at(b"", 100).unwrap();
    assert_eq!(bytes_of(&*file), b"\0\0\0Jello", "an empty write extends nothing");

    let mut two = [0; 2];
    file.read_exact_at(&mut two, 6).unwrap();
    assert_eq!(&two, b"lo");
    for offset in [7, 8, 9, 1_000_000] {
        let error = error_of(file.read_exact_at(&mut two, offset));
        assert_eq!(error, ErrorKind::UnexpectedEof, "two bytes at {offset} of 8");
    }
    file.read_exact_at(&mut [], 8).unwrap();

    let other = disk.open("bytes", OpenMode::Write).unwrap();
    other.write_all_at(b"M", 3).unwrap();
    assert_eq!(bytes_of(&*file), b"\0\0\0Mello", "every handle sees every write");
    file.sync().unwrap();
    file.sync().unwrap();
    let large: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
    file.write_all_at(&large, 8).unwrap();
    assert_eq!(bytes_of(&*other)[8..], large);
}

fn changes_length(disk: &dyn Disk) {
    let file = create(disk, "length", b"abcdef");
    file.set_len(3).unwrap();
    file.set_len(5).unwrap();
    assert_eq!(bytes_of(&*file), b"abc\0\0", "what was cut off does not come back");
    file.set_len(0).unwrap();
    assert!(file.is_empty().unwrap());
}

fn lists_and_makes_folders(disk: &dyn Disk) {
    assert_eq!(disk.list("shelf").unwrap(), [""; 0], "an absent folder is empty");
    assert_eq!(error_of(disk.sync_dir("shelf")), ErrorKind::NotFound);
    disk.create_dir("shelf/upper/inner").unwrap();
    disk.create_dir("shelf/upper").unwrap();
    for name in ["b", "a", "upper-b", "C"] {
        create(disk, &format!("shelf/{name}"), b"");
    }
    create(disk, "shelf/upper/deep", b"");
    assert_eq!(disk.list("shelf").unwrap(), ["C", "a", "b", "upper", "upper-b"], "sorted names");
    assert_eq!(disk.list("shelf/upper").unwrap(), ["deep", "inner"]);
    assert!(disk.list("").unwrap().contains(&"shelf".to_owned()), "the root is the empty path");
    assert!(disk.exists("shelf/upper").unwrap() && !disk.exists("shelf/lower").unwrap());
    assert!(disk.create_dir("shelf/a").is_err(), "a file is in the way");
    assert!(disk.create_dir("shelf/a/folder").is_err(), "a file is in the way above");
    assert_eq!(error_of(disk.list("shelf/a")), ErrorKind::NotADirectory);
    assert_eq!(error_of(disk.open("shelf/upper", OpenMode::Write)), ErrorKind::IsADirectory);
    disk.sync_dir("shelf/upper").unwrap();
    disk.sync_dir("").unwrap();
}

fn renames_and_removes(disk: &dyn Disk) {
    disk.create_dir("moves/there").unwrap();
    create(disk, "moves/new", b"new");
    create(disk, "moves/old", b"old");
    disk.rename("moves/new", "moves/old").unwrap();
    assert_eq!(disk.list("moves").unwrap(), ["old", "there"], "the target is replaced");
    disk.rename("moves/old", "moves/old").unwrap();
    disk.rename("moves/old", "moves/there/far").unwrap();
    assert_eq!(read_whole(disk, "moves/there/far", 10).unwrap(), b"new");

    let rename = |from, to| error_of(disk.rename(from, to));
    assert_eq!(rename("moves/old", "moves/x"), ErrorKind::NotFound, "nothing to rename");
    assert_eq!(rename("moves/there/far", "nowhere/far"), ErrorKind::NotFound, "no folder");
    create(disk, "moves/old", b"");
    assert_eq!(rename("moves/old", "moves/there"), ErrorKind::IsADirectory);

    disk.remove("moves/old").unwrap();
    assert_eq!(error_of(disk.remove("moves/old")), ErrorKind::NotFound);
    assert_eq!(error_of(disk.remove("moves/there")), ErrorKind::IsADirectory);
    assert_eq!(disk.list("moves").unwrap(), ["there"]);
    disk.sync_dir("moves").unwrap();
}

fn keeps_open_files_alive(disk: &dyn Disk) {
    disk.create_dir("alive").unwrap();
    let (first, second) = (create(disk, "alive/a", b"first"), create(disk, "alive/b", b"second"));
    disk.rename("alive/a", "alive/b").unwrap();
    first.write_all_at(b"F", 0).unwrap();
    assert_eq!(read_whole(disk, "alive/b", 10).unwrap(), b"First", "a handle follows its file");
    assert_eq!(bytes_of(&*second), b"second", "a replaced file lives while it is open");
    disk.remove("alive/b").unwrap();
    disk.sync_dir("alive").unwrap();
    first.write_all_at(b"!", 5).unwrap();
    first.sync().unwrap();
    assert_eq!(bytes_of(&*first), b"First!", "a removed file lives while it is open");
    let fresh = create(disk, "alive/b", b"");
    assert!(fresh.is_empty().unwrap(), "the name is free for another file");
}

fn replaces_whole_files(disk: &dyn Disk) {
    disk.create_dir("whole").unwrap();
    for bytes in [b"a longer first version".as_slice(), b"second", b""] {
        replace_durably(disk, "whole/file", bytes).unwrap();
        assert_eq!(read_whole(disk, "whole/file", 100).unwrap(), bytes);
        assert_eq!(disk.list("whole").unwrap(), ["file"], "nothing is left beside");
    }
    create(disk, "whole/long", &[7; 101]);
    assert_eq!(error_of(read_whole(disk, "whole/long", 100)), ErrorKind::InvalidData);
}

fn refuses_paths_outside(disk: &dyn Disk) {
    for path in ["/etc/hostname", "../x", "a/../../x", ".."] {
        let opened = error_of(disk.open(path, OpenMode::Read));
        assert_eq!(opened, ErrorKind::InvalidInput, "{path}");
        let refused = [disk.remove(path), disk.rename(path, "x"), disk.rename("x", path)];
        assert!(refused.into_iter().all(|result| error_of(result) == ErrorKind::InvalidInput));
        assert_eq!(error_of(disk.create_dir(path)), ErrorKind::InvalidInput, "{path}");
        assert_eq!(error_of(disk.list(path)), ErrorKind::InvalidInput, "{path}");
    }
}

fn create(disk: &dyn Disk, path: &str, bytes: &[u8]) -> Box<dyn File> {
    let file = disk.open(path, OpenMode::Create).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn bytes_of(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn error_of<T>(result: io::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("an error was due"),
        Err(error) => error.kind(),
    }
}
