//! A disk in memory that can lose power and fail, and seeded numbers, for the index tests.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use ledgerline_world::disk::{Disk, File, OpenMode};

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    pub fn at(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a length")
    }
}

pub fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[derive(Default)]
struct Content {
    live: Vec<u8>,
    synced: Vec<u8>,
}

type Names = BTreeMap<String, Arc<Mutex<Content>>>;

/// Names and contents are durable only after `sync_dir` and `sync`.
pub struct MemDisk {
    live: Mutex<Names>,
    durable: Mutex<Names>,
    /// Changes that still succeed.
    fuse: Arc<AtomicI64>,
}

impl MemDisk {
    pub fn new() -> Arc<Self> {
        let fuse = Arc::new(AtomicI64::new(i64::MAX));
        Arc::new(Self { live: Mutex::default(), durable: Mutex::default(), fuse })
    }
    /// After `changes` more changes, all fail.
    pub fn fail_after(&self, changes: i64) {
        self.fuse.store(changes, Ordering::SeqCst);
    }
    pub fn heal(&self) {
        self.fail_after(i64::MAX);
    }
    /// Forgets what was not synced.
    pub fn cut_power(&self) {
        let durable = self.durable.lock().expect("lock");
        let fresh = |(name, content): (&String, &Arc<Mutex<Content>>)| {
            let synced = content.lock().expect("lock").synced.clone();
            (name.clone(), Arc::new(Mutex::new(Content { live: synced.clone(), synced })))
        };
        *self.live.lock().expect("lock") = durable.iter().map(fresh).collect();
        drop(durable);
        *self.durable.lock().expect("lock") = self.live.lock().expect("lock").clone();
    }
    pub fn files(&self) -> Vec<String> {
        self.live.lock().expect("lock").keys().cloned().collect()
    }
    pub fn read(&self, path: &str) -> Vec<u8> {
        self.live.lock().expect("lock")[path].lock().expect("lock").live.clone()
    }
    pub fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let content = Arc::clone(&self.live.lock().expect("lock")[path]);
        let mut content = content.lock().expect("lock");
        change(&mut content.live);
        content.synced = content.live.clone();
    }
    pub fn delete(&self, path: &str) {
        self.live.lock().expect("lock").remove(path);
        self.durable.lock().expect("lock").remove(path);
    }
    fn burn(&self) -> io::Result<()> {
        burn(&self.fuse)
    }
}

fn burn(fuse: &AtomicI64) -> io::Result<()> {
    if fuse.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(io::Error::other("fuse")) }
}

impl Disk for MemDisk {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let mut live = self.live.lock().expect("lock");
        if mode == OpenMode::Create && !live.contains_key(path) {
            self.burn()?;
            live.insert(path.to_owned(), Arc::default());
        }
        let content = live.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(MemFile { content: Arc::clone(content), fuse: Arc::clone(&self.fuse) }))
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let live = self.live.lock().expect("lock");
        let prefix = format!("{dir}/");
        Ok(live.keys().filter_map(|path| path.strip_prefix(&prefix)).map(str::to_owned).collect())
    }
    fn exists(&self, path: &str) -> io::Result<bool> {
        Ok(self.live.lock().expect("lock").contains_key(path))
    }
    fn create_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.burn()?;
        let mut live = self.live.lock().expect("lock");
        let content = live.remove(from).ok_or(io::ErrorKind::NotFound)?;
        live.insert(to.to_owned(), content);
        Ok(())
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.burn()?;
        let removed = self.live.lock().expect("lock").remove(path);
        removed.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }
    fn sync_dir(&self, _: &str) -> io::Result<()> {
        self.burn()?;
        *self.durable.lock().expect("lock") = self.live.lock().expect("lock").clone();
        Ok(())
    }
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

struct MemFile {
    content: Arc<Mutex<Content>>,
    fuse: Arc<AtomicI64>,
}

impl File for MemFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let content = self.content.lock().expect("lock");
        let from = usize::try_from(offset).expect("offset");
        let found = content.live.get(from..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let failed = burn(&self.fuse);
        let kept = if failed.is_ok() { bytes.len() } else { bytes.len() / 2 };
        let from = usize::try_from(offset).expect("offset");
        let mut content = self.content.lock().expect("lock");
        let length = content.live.len().max(from + kept);
        content.live.resize(length, 0);
        content.live[from..from + kept].copy_from_slice(&bytes[..kept]);
        failed
    }
    fn sync(&self) -> io::Result<()> {
        burn(&self.fuse)?;
        let mut content = self.content.lock().expect("lock");
        content.synced = content.live.clone();
        Ok(())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().expect("lock").live.len() as u64)
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        burn(&self.fuse)?;
        let length = usize::try_from(length).expect("length");
        self.content.lock().expect("lock").live.resize(length, 0);
        Ok(())
    }
}
