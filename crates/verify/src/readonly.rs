//! A disk that is only read, and a file with some bytes put right in memory.
//!
//! The vault tidies up when it opens (it removes what a crash staged). A verification must not
//! change anything, so it opens the vault over [`ReadOnly`], where every change is silently left
//! out.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use ledgerline_world::disk::{Disk, File, OpenMode};
use ledgerline_world::entropy::Entropy;

/// Reads through; drops every change.
pub(super) struct ReadOnly(pub Arc<dyn Disk>);

struct ReadOnlyFile(Box<dyn File>);

impl Disk for ReadOnly {
    fn open(&self, path: &str, _: OpenMode) -> io::Result<Box<dyn File>> {
        Ok(Box::new(ReadOnlyFile(self.0.open(path, OpenMode::Read)?)))
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn exists(&self, path: &str) -> io::Result<bool> {
        self.0.exists(path)
    }
    fn create_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(0)
    }
}

impl File for ReadOnlyFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

/// No randomness: nothing is ever sealed or created here.
pub(super) struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// A file as it would be with some bytes put right. Nothing is written.
pub(super) struct Patched {
    inner: Box<dyn File>,
    patches: BTreeMap<u64, u8>,
}

impl Patched {
    pub fn new(inner: Box<dyn File>) -> Self {
        Self { inner, patches: BTreeMap::new() }
    }

    pub fn patch(&mut self, offset: u64, bytes: &[u8]) {
        self.patches.extend((offset..).zip(bytes.iter().copied()));
    }

    /// As many of `count` bytes from `offset` as the file has.
    pub fn read_up_to(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let there = self.len()?.saturating_sub(offset);
        let mut bytes = vec![0; count.min(usize::try_from(there).unwrap_or(usize::MAX))];
        if !bytes.is_empty() {
            self.read_exact_at(&mut bytes, offset)?;
        }
        Ok(bytes)
    }
}

impl File for Patched {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_exact_at(buffer, offset)?;
        for (at, byte) in self.patches.range(offset..offset.saturating_add(buffer.len() as u64)) {
            buffer[usize::try_from(at - offset).expect("inside the buffer")] = *byte;
        }
        Ok(())
    }
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}
