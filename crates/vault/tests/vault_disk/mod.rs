//! A disk in memory that crashes where it is told to, and seeded randomness that remembers its
//! keys.
//!
//! Files have two contents: what was written, and what was synced. Names likewise. A crash keeps
//! one, the other, or a tear of both.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use ledgerline_world::disk::{Disk, File, OpenMode};
use ledgerline_world::entropy::Entropy;

/// What a crash leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Nothing.
    Lost,
    /// Everything.
    Kept,
    /// The first half of each write, and all names.
    Torn,
    /// The second half of each write, and no names.
    TornTail,
}

pub const CRASHES: [Crash; 4] = [Crash::Lost, Crash::Kept, Crash::Torn, Crash::TornTail];

#[derive(Clone, Default)]
struct Content {
    synced: Vec<u8>,
    written: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Default)]
struct World {
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    /// Changing calls that still succeed; `None` is no limit.
    budget: Option<u64>,
}

impl World {
    fn spend(&mut self) -> io::Result<()> {
        match &mut self.budget {
            None => Ok(()),
            Some(0) => Err(io::Error::other("crashed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

/// The disk. Clones share it; [`MemoryDisk::copy`] does not.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<World>>);

impl MemoryDisk {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// An independent disk with the same files: a backup.
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.world().clone())))
    }

    /// The next `calls` changing calls succeed, then all fail until [`MemoryDisk::crash`].
    pub fn fail_after(&self, calls: u64) {
        self.world().budget = Some(calls);
    }

    /// A power cut; the disk works again after it.
    pub fn crash(&self, crash: Crash) {
        let mut world = self.world();
        world.budget = None;
        for content in &mut world.contents {
            let mut left = match crash {
                Crash::Kept => std::mem::take(&mut content.written),
                _ => content.synced.clone(),
            };
            for (offset, bytes) in content.pending.drain(..) {
                let half = bytes.len() / 2;
                match crash {
                    Crash::Lost | Crash::Kept => {}
                    Crash::Torn => overwrite(&mut left, offset, &bytes[..half]),
                    Crash::TornTail => overwrite(&mut left, offset + half, &bytes[half..]),
                }
            }
            content.synced.clone_from(&left);
            content.written = left;
        }
        if matches!(crash, Crash::Lost | Crash::TornTail) {
            world.names = world.synced_names.clone();
        } else {
            world.synced_names = world.names.clone();
        }
    }

    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let world = self.world();
        let content = |id: &usize| world.contents[*id].written.clone();
        world.names.iter().map(|(name, id)| (name.clone(), content(id))).collect()
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        let world = self.world();
        world.contents[world.names[path]].written.clone()
    }

    /// Replaces a file behind everybody's back.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let mut world = self.world();
        let content = Content { synced: bytes.into(), written: bytes.into(), pending: vec![] };
        world.contents.push(content);
        let id = world.contents.len() - 1;
        world.names.insert(path.into(), id);
        world.synced_names.insert(path.into(), id);
    }

    pub fn delete(&self, path: &str) {
        let mut world = self.world();
        world.names.remove(path).unwrap();
        world.synced_names.remove(path);
    }
}

fn overwrite(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    content.resize(content.len().max(offset + bytes.len()), 0);
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..at])
}

impl Disk for MemoryDisk {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let mut world = self.world();
        let id = match world.names.get(path) {
            Some(id) => *id,
            None if mode == OpenMode::Create => {
                world.spend()?;
                world.contents.push(Content::default());
                let id = world.contents.len() - 1;
                world.names.insert(path.into(), id);
                id
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Box::new(MemoryFile { disk: self.clone(), id }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let world = self.world();
        let inside = world.names.keys().filter(|name| parent(name) == dir);
        Ok(inside.map(|name| name[name.rfind('/').map_or(0, |at| at + 1)..].into()).collect())
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        Ok(self.world().names.contains_key(path))
    }

    fn create_dir(&self, _: &str) -> io::Result<()> {
        self.world().spend()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.spend()?;
        let id = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.into(), id);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut world = self.world();
        world.spend()?;
        world.names.remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut world = self.world();
        world.spend()?;
        let World { names, synced_names, .. } = &mut *world;
        synced_names.retain(|name, _| parent(name) != dir);
        let inside = names.iter().filter(|(name, _)| parent(name) == dir);
        synced_names.extend(inside.map(|(name, id)| (name.clone(), *id)));
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    id: usize,
}

impl File for MemoryFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let world = self.disk.world();
        let start = usize::try_from(offset).unwrap();
        let bytes = world.contents[self.id].written.get(start..start + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        let offset = usize::try_from(offset).unwrap();
        let spent = world.spend();
        // A failed write has begun: it is pending, so a crash may leave a part of it.
        let content = &mut world.contents[self.id];
        content.pending.push((offset, bytes.to_vec()));
        overwrite(&mut content.written, offset, bytes);
        spent
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        world.spend()?;
        let content = &mut world.contents[self.id];
        content.synced.clone_from(&content.written);
        content.pending.clear();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.world().contents[self.id].written.len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        world.spend()?;
        world.contents[self.id].written.resize(usize::try_from(length).unwrap(), 0);
        Ok(())
    }
}

/// Splitmix64. Draws of 32 bytes are keys; they are remembered.
pub struct SeededEntropy {
    state: Mutex<u64>,
    pub keys: Mutex<Vec<Vec<u8>>>,
}

impl SeededEntropy {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(seed), keys: Mutex::default() })
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.state.lock().unwrap();
        for chunk in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = *state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        if buffer.len() == 32 {
            self.keys.lock().unwrap().push(buffer.to_vec());
        }
    }
}
