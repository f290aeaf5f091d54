//! The manifest: which runs there are.
//!
//! Promises: it is replaced by one rename after the files it names are durable, so a crash leaves
//! the old set or the new one. May be lost: without it the index is built again.
//!
//! ```text
//! manifest                            all numbers little-endian
//!    0   8  magic "LLIDX\0\0\1"; the last byte is the version
//!    8   4  range_log2                a level 0 run covers 2^range_log2 entries
//!   12   4  fan_in                    a run of level n + 1 covers fan_in runs of level n
//!   16  16  identity                  of the index key
//!   32   4  n
//!   36      n × (level u32, start u64, length of the file u64, SHA-256 as in its footer)
//!        4  CRC-32 of all before
//! ```

use super::IndexConfig;
use super::run_format::{Fields, check_crc};
use super::run_reader::Run;
use super::run_writer::close_with_crc;
use crate::error::FormatError;

/// No manifest is longer: about 20,000 runs.
pub(super) const MANIFEST_MAX: u64 = 1 << 20;

const MAGIC: &[u8; 8] = b"LLIDX\0\0\x01";
const RECORD: usize = 52;

/// One run, as the manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestRun {
    /// 0 for a run built from memory, one more for each merge.
    pub level: u32,
    /// First entry of its range.
    pub start: u64,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256, as in its footer.
    pub sha256: [u8; 32],
}

/// What the manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// See the module doc.
    pub range_log2: u32,
    /// See the module doc.
    pub fan_in: u32,
    /// Of the index key.
    pub identity: [u8; 16],
    /// The runs, in ledger order.
    pub runs: Vec<ManifestRun>,
}

impl Manifest {
    pub(super) fn of<'a>(config: &IndexConfig, runs: impl Iterator<Item = &'a Run>) -> Self {
        let runs = runs.map(|run| ManifestRun {
            level: run.name.level,
            start: run.header.start,
            bytes: run.bytes,
            sha256: run.footer.sha256,
        });
        let IndexConfig { range_log2, fan_in, identity, .. } = *config;
        Self { range_log2, fan_in, identity, runs: runs.collect() }
    }

    /// Whether the runs are divided and hashed as `config` says.
    pub(super) fn fits(&self, config: &IndexConfig) -> bool {
        (self.range_log2, self.fan_in, self.identity)
            == (config.range_log2, config.fan_in, config.identity)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(40 + self.runs.len() * RECORD);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.range_log2.to_le_bytes());
        out.extend_from_slice(&self.fan_in.to_le_bytes());
        out.extend_from_slice(&self.identity);
        let count = u32::try_from(self.runs.len()).expect("far fewer than 2^32 runs");
        out.extend_from_slice(&count.to_le_bytes());
        for run in &self.runs {
            out.extend_from_slice(&run.level.to_le_bytes());
            out.extend_from_slice(&run.start.to_le_bytes());
            out.extend_from_slice(&run.bytes.to_le_bytes());
            out.extend_from_slice(&run.sha256);
        }
        close_with_crc(out)
    }
}

/// Decodes a manifest. Never panics.
///
/// # Errors
/// When the bytes are not a manifest of version 1.
pub fn parse_manifest(bytes: &[u8]) -> Result<Manifest, FormatError> {
    let mut fields = Fields(check_crc(bytes)?);
    if fields.array()? != *MAGIC {
        return Err(FormatError("not a manifest of version 1"));
    }
    let (range_log2, fan_in) = (fields.u32()?, fields.u32()?);
    let identity = fields.array()?;
    let count = fields.u32()? as usize;
    if count.checked_mul(RECORD) != Some(fields.0.len()) {
        return Err(FormatError("wrong number of runs"));
    }
    let mut runs = Vec::with_capacity(count);
    for _ in 0..count {
        let (level, start, bytes) = (fields.u32()?, fields.u64()?, fields.u64()?);
        runs.push(ManifestRun { level, start, bytes, sha256: fields.array()? });
    }
    Ok(Manifest { range_log2, fan_in, identity, runs })
}
