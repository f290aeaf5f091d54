//! What the commands read: files and pipes, packed or not, taken apart into lines and JSON values.
//!
//! ```text
//! file, pipe, .gz ──▶ bytes ──▶ lines, each with its number ──▶ JSON values, CSV rows, log lines
//! ```
//!
//! Promises: bytes are bytes: no line that is not UTF-8 ends the file. Each line that is not blank
//! comes out, whole or as a broken one; what is said of it names its number, never its content.
//!
//! Refuses: what is packed in another way than gzip, and UTF-16, by name.

mod lines;
mod unpacked;
mod values;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context as _;

pub use self::lines::Lines;
pub use self::unpacked::Unpacked;
pub use self::values::{Values, is_whole};

/// Bytes taken from a file at a time.
pub const PIECE_BYTES: usize = 256 << 10;

/// Opens a file, or standard input for `-`; what is packed with gzip is unpacked.
///
/// # Errors
/// When it cannot be opened.
pub fn open(path: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(Unpacked::new(io::stdin())));
    }
    let file = File::open(path).with_context(|| format!("{}", path.display()))?;
    Ok(Box::new(Unpacked::new(file)))
}
