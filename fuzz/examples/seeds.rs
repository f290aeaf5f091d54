//! Writes the seed corpora: `cargo run --manifest-path fuzz/Cargo.toml --example seeds`.
//!
//! Everything comes from the published vectors and from records made here, so the seeds say what
//! the formats are, and a format change shows up as a change of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use ledgerline_fuzz::seeds;

fn main() -> io::Result<()> {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let vectors = package.join("../crates/proof/vectors");
    let mut all: BTreeMap<&str, Vec<Vec<u8>>> = seeds::made();
    for (target, bytes) in seeds::of_vectors(&vectors)? {
        all.entry(target).or_default().push(bytes);
    }
    for (target, seeds) in all {
        write(&package.join("seeds").join(target), &seeds)?;
    }
    Ok(())
}

/// Numbered files; what was there before is removed.
fn write(folder: &Path, seeds: &[Vec<u8>]) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for (n, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("{n:03}")), seed)?;
    }
    Ok(())
}
