//! The disk as a reference, and what a ledger's folder weighs.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::load::quantile;

/// Bytes of one append of the reference: a commit of some sixty events.
const APPEND_BYTES: usize = 32 << 10;
const APPENDS: usize = 300;
/// A segment's header and a frame's, as docs/reference/format.md draws them.
const SEGMENT_HEADER_BYTES: u64 = 104;
const FRAME_HEADER_BYTES: u64 = 9;

/// How long the disk takes for an append and an fdatasync: sorted samples, in microseconds.
#[derive(Debug, Clone)]
pub struct Fsync(Vec<u32>);

impl Fsync {
    /// Measures in `folder`: appends to a file that was filled with zeros, as the journal is.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn measure(folder: &Path) -> Result<Self> {
        let mut file = tempfile::tempfile_in(folder)?;
        let zeros = vec![0; APPEND_BYTES];
        for _ in 0..APPENDS {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        file.seek(SeekFrom::Start(0))?;
        let mut times = Vec::with_capacity(APPENDS);
        let bytes = vec![1; APPEND_BYTES];
        for _ in 0..APPENDS {
            let begun = Instant::now();
            file.write_all(&bytes)?;
            file.sync_data()?;
            times.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        times.sort_unstable();
        Ok(Self(times))
    }

    /// The samples of both.
    pub fn with(&self, other: &Self) -> Self {
        let mut times = [&self.0[..], &other.0[..]].concat();
        times.sort_unstable();
        Self(times)
    }

    /// The median.
    pub fn p50_us(&self) -> f64 {
        quantile(&self.0, 0.5)
    }

    /// 99 of 100 stay within.
    pub fn p99_us(&self) -> f64 {
        quantile(&self.0, 0.99)
    }
}

/// What a data folder weighs, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weight {
    /// Segment headers and frames; zeros ahead of the writer are not counted.
    pub journal: u64,
    /// Tree levels and positions.
    pub tree: u64,
    /// Index runs and their manifest.
    pub index: u64,
    /// Key slots and their map.
    pub vault: u64,
}

impl Weight {
    /// Weighs a folder that no process writes to.
    ///
    /// # Errors
    /// When a file cannot be read or a segment ends in the middle of a frame.
    pub fn of(data: &Path) -> Result<Self> {
        let mut weight = Self::default();
        for (name, bytes) in
            [("tree", &mut weight.tree), ("index", &mut weight.index), ("vault", &mut weight.vault)]
        {
            *bytes = folder_bytes(&data.join(name))?;
        }
        for entry in fs::read_dir(data.join("journal"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "seg") {
                weight.journal += frames_bytes(&path).with_context(|| "a segment")?;
            }
        }
        Ok(weight)
    }

    /// Bytes of the files of a folder whose server runs but is quiet: as [`Self::of`], but of the
    /// journal only the newest segments are walked, since older ones are cut to their last frame.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn of_files(data: &Path) -> Result<u64> {
        let mut bytes = 0;
        for name in ["tree", "index", "vault"] {
            bytes += folder_bytes(&data.join(name))?;
        }
        let entries = fs::read_dir(data.join("journal"))?;
        let mut paths: Vec<_> =
            entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
        paths.sort();
        for (age, path) in paths.iter().rev().enumerate() {
            let is_old = age >= 2;
            bytes += if is_old { fs::metadata(path)?.len() } else { frames_bytes(path)? };
        }
        Ok(bytes)
    }
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    if !folder.is_dir() {
        return Ok(0);
    }
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        bytes += if kind.is_dir() { folder_bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// The bytes up to the end of the last frame.
fn frames_bytes(path: &Path) -> Result<u64> {
    let length = fs::metadata(path)?.len();
    let mut file = std::io::BufReader::with_capacity(1 << 20, File::open(path)?);
    file.seek_relative(i64::try_from(SEGMENT_HEADER_BYTES)?)?;
    let mut at = SEGMENT_HEADER_BYTES;
    while at + FRAME_HEADER_BYTES <= length {
        let mut header = [0; FRAME_HEADER_BYTES as usize];
        file.read_exact(&mut header)?;
        if header[4] == 0 {
            break;
        }
        let body = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
        file.seek_relative(i64::from(body))?;
        at += FRAME_HEADER_BYTES + u64::from(body);
    }
    anyhow::ensure!(at <= length, "the last frame ends behind the file");
    Ok(at)
}

/// Seconds that `threads` threads take to hash `messages` messages of `bytes` bytes with SHA-256.
pub fn sha256_seconds(messages: u64, bytes: usize, threads: u64) -> f64 {
    use sha2::{Digest as _, Sha256};
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let message = vec![thread.to_le_bytes()[0]; bytes];
                let mut last = Default::default();
                for _ in 0..messages / threads {
                    last = Sha256::digest(std::hint::black_box(&message));
                }
                std::hint::black_box(last);
            });
        }
    });
    begun.elapsed().as_secs_f64()
}
