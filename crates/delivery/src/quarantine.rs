//! The file of records that an adapter refused.
//!
//! Promises: one JSON object a line, with file, line, code, detail and what is safe of the record;
//! the file is made for its owner alone, and appended to.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use ledgerline_sources::Quarantined;
use serde::Serialize;
use serde_json::value::RawValue;

/// An open quarantine.
pub struct Quarantine {
    file: File,
}

#[derive(Serialize)]
struct Line<'a> {
    file: String,
    line: u64,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
}

impl Quarantine {
    /// Opens it, to append.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut how = OpenOptions::new();
        how.create(true).append(true).mode(0o600);
        let file = how.open(path).with_context(|| format!("{}", path.display()))?;
        Ok(Self { file })
    }

    /// Writes one record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&mut self, file: &Path, one: &Quarantined) -> anyhow::Result<()> {
        let record = if one.record.is_empty() {
            None
        } else {
            Some(serde_json::from_str::<&RawValue>(&one.record)?)
        };
        let (line, code, detail) = (one.line, one.code, one.detail.as_str());
        let mut text = serde_json::to_vec(&Line {
            file: file.display().to_string(),
            line,
            code,
            detail,
            record,
        })?;
        text.push(b'\n');
        self.file.write_all(&text).context("writing the quarantine")
    }
}
