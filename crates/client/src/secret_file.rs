//! Files with one secret each, shared with somebody else: an issuer, a receiver of findings.
//!
//! Promises: no error and no log line holds what stands in one. One that everybody on the machine
//! may read is warned of.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use crate::Misconfigured;

/// Longest secret file.
const SECRET_BYTES_MAX: u64 = 4096;

/// A secret from a file of its own: one line.
///
/// # Errors
/// When it cannot be read, is empty, too long or not one line of printable characters.
pub fn read_secret_file(path: &Path) -> anyhow::Result<String> {
    let name = path.display();
    let length = fs::metadata(path).with_context(|| format!("{name}"))?.len();
    if length > SECRET_BYTES_MAX {
        return Err(
            Misconfigured::new(format!("{name} is longer than {SECRET_BYTES_MAX} bytes")).into()
        );
    }
    warn_of(path);
    let text = fs::read_to_string(path).with_context(|| format!("{name}"))?;
    let secret = text.trim();
    if secret.is_empty() || secret.chars().any(char::is_control) {
        return Err(Misconfigured::new(format!("{name} does not hold a secret in one line")).into());
    }
    Ok(secret.to_owned())
}

/// Warns of a file with a secret that everybody on the machine may read. It is not refused: others'
/// tools write such files.
pub fn warn_of(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        let (file, what) = (path.display(), "everybody on this machine may read it: chmod 600 it");
        tracing::warn!(code = "secret_file_open", %file, what);
    }
}
