//! A disk in memory that loses what a real one may lose.
//!
//! Promises: without faults it keeps the contract of [`Disk`] ([`super::disk_contract`]). A power
//! cut ([`SimDisk::crash`]) keeps what was synced and any subset of the rest:
//!
//! ```text
//!                       kill      power cut
//! write, set_len        kept      kept after File::sync; before: kept, torn or lost, each alone
//! create, rename,       kept      kept after Disk::sync_dir of every folder touched; before: any
//!   remove                        subset that keeps the order on each path
//! create_dir            kept      kept
//! ```
//!
//! So a file that was synced may vanish while its folder was not, and a name may come back with the
//! old file. Faults ([`Faults`]) come on top and are counted. After a kill the un-synced stays
//! un-synced: a power cut after the restart may still take what the restart read.
//!
//! Assumes: files far below 1 GiB, for each is held twice; a `set_len` that extends takes its space
//! at once.
//!
//! Refuses: paths that leave the root; renaming folders.

use super::entries::Entry;
use super::faults::{FaultCounts, Faults};
use super::random::Random;
use super::state::{World, fault};
use crate::disk::{Disk, File, OpenMode};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A simulated disk. A clone is another handle of the same disk; see [`SimDisk::fork`] for another
/// disk.
#[derive(Clone)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
}

/// What was durable at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    folders: BTreeSet<String>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Snapshot {
    /// The durable files by path.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }
}

impl SimDisk {
    /// An empty disk without faults. The seed decides when faults strike, once there are any.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(World::new(seed))
    }

    /// Another disk in the same state, un-synced writes included, whose faults come from another
    /// seed: to see several crashes of one moment. Files open on this disk are not open on the
    /// other.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let mut world = self.world().clone();
        world.random = Random::new(seed).fork("disk");
        world.contents.values_mut().for_each(|content| content.handle_count = 0);
        Self::of(world)
    }

    /// Switches the fault plan; [`Faults::default`] switches all faults off.
    pub fn set_faults(&self, faults: Faults) {
        self.world().set_faults(faults);
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.world().counts.clone()
    }

    /// Changing calls so far (writes, lengths, syncs, names): the moments in which the power can
    /// go, for [`Faults::power_off_after`].
    #[must_use]
    pub fn change_count(&self) -> u64 {
        self.world().change_count
    }

    /// Sets the size of the disk in bytes; it holds 1 TiB until then. A removed file gives its
    /// bytes back when its removal is durable and nobody holds it open.
    pub fn set_capacity(&self, bytes: u64) {
        self.world().capacity = bytes;
    }

    /// Cuts the power and switches it on again: `random` decides what of the un-synced survives.
    /// Files opened before fail from now on.
    pub fn crash(&self, random: &mut Random) {
        self.world().crash(random);
    }

    /// Kills the process: all that was written is still there, files opened before fail from now
    /// on.
    pub fn kill(&self) {
        self.world().kill();
    }

    /// What is durable now: the disk after a power cut that took all it could take.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let world = self.world();
        let (mut folders, mut files) = (BTreeSet::new(), BTreeMap::new());
        for (path, entry) in world.entries.durable() {
            match entry {
                Entry::Folder => {
                    folders.insert(path.clone());
                }
                Entry::File(content) => {
                    let bytes = world.contents[content].durable_bytes().to_vec();
                    files.insert(path.clone(), bytes);
                }
            }
        }
        Snapshot { folders, files }
    }

    /// Puts a snapshot in the place of everything, durably. Files opened before fail from now on.
    pub fn restore(&self, snapshot: &Snapshot) {
        let Snapshot { folders, files } = snapshot.clone();
        self.world().restore(folders.into_iter(), files.into_iter());
    }

    /// All files as readers see them now, by path.
    #[must_use]
    pub fn image(&self) -> BTreeMap<String, Vec<u8>> {
        let world = self.world();
        let files = world.entries.seen().iter().filter_map(|(path, entry)| match entry {
            Entry::File(content) => Some((path.clone(), world.contents[content].seen().to_vec())),
            Entry::Folder => None,
        });
        files.collect()
    }

    /// A file as readers see it now, around all faults.
    ///
    /// # Errors
    /// `NotFound`, `IsADirectory`, `NotADirectory`, or `InvalidInput` for a path that leaves the
    /// root.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let world = self.world();
        let content = world.file(&normal(path)?)?;
        Ok(world.contents[&content].seen().to_vec())
    }

    /// Puts a durable file in place around all faults, with the folders above it: what somebody
    /// with the disk in their hands can do. Un-synced names become durable too.
    ///
    /// # Errors
    /// `IsADirectory`, `AlreadyExists` when a file is in the way, `InvalidInput` for a path that
    /// leaves the root.
    pub fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = normal(path)?;
        let mut world = self.world();
        if world.entries.find(&path)? == Some(Entry::Folder) {
            return Err(ErrorKind::IsADirectory.into());
        }
        world.write_at_rest(&path, bytes.to_vec())
    }

    /// Flips one bit (0 is the lowest) of a stored file, durably.
    ///
    /// # Errors
    /// Those of [`SimDisk::read`]; `UnexpectedEof` when the file has no such byte.
    ///
    /// # Panics
    /// When `bit` is above 7.
    pub fn flip_bit(&self, path: &str, offset: u64, bit: u8) -> io::Result<()> {
        assert!(bit < 8, "a byte has eight bits");
        let mut world = self.world();
        let content = world.file(&normal(path)?)?;
        let at = usize::try_from(offset).map_err(|_| ErrorKind::UnexpectedEof)?;
        if world.content(content).damage(at, 1 << bit) {
            Ok(())
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        }
    }

    /// Copies all files and folders under `from`, as readers see them, to the same names under
    /// `to`, durably and around all faults: a backup by hand. Files that `to` has besides stay.
    ///
    /// # Errors
    /// `NotFound` when `from` is no folder, `InvalidInput` when `to` lies in it or a path leaves
    /// the root, and those of [`SimDisk::write`].
    pub fn copy_dir(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (normal(from)?, normal(to)?);
        let mut world = self.world();
        world.entries.require_folder(&from)?;
        let below = |path: &str| match (from.as_str(), path) {
            ("", path) => Some(path.to_owned()),
            (from, path) => path.strip_prefix(from)?.strip_prefix('/').map(str::to_owned),
        };
        if to == from || below(&to).is_some() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let entries: Vec<(String, Entry)> = world
            .entries
            .seen()
            .iter()
            .filter_map(|(path, entry)| Some((format!("{to}/{}", below(path)?), *entry)))
            .collect();
        world.entries.create_folder(&to)?;
        for (path, entry) in entries {
            match entry {
                Entry::Folder => world.entries.create_folder(&path)?,
                Entry::File(content) => {
                    let bytes = world.contents[&content].seen().to_vec();
                    world.write_at_rest(&path, bytes)?;
                }
            }
        }
        Ok(())
    }

    fn of(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)) }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A panic of a failing test must not hide the image it wants to print.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let path = normal(path)?;
        let mut world = self.world();
        let content = world.open(&path, mode)?;
        let generation = world.generation;
        Ok(Box::new(SimFile { disk: self.clone(), content, generation, mode }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let dir = normal(dir)?;
        let mut world = self.world();
        world.check_power()?;
        world.weather_of_names()?;
        world.entries.list(&dir)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let path = normal(path)?;
        let world = self.world();
        world.check_power()?;
        Ok(world.entries.find(&path)?.is_some())
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let dir = normal(dir)?;
        self.world().change_entry(|world| world.entries.create_folder(&dir))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (normal(from)?, normal(to)?);
        let mut world = self.world();
        world.weather_of_answers()?;
        world.change_entry(|world| world.entries.rename(&from, &to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let path = normal(path)?;
        self.world().change_entry(|world| world.entries.remove(&path))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let dir = normal(dir)?;
        let mut world = self.world();
        world.weather_of_names()?;
        world.change_entry(|world| world.entries.sync(&dir))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let world = self.world();
        world.check_power()?;
        Ok(world.free_bytes())
    }
}

/// An open file: a number of a content, good for one generation.
struct SimFile {
    disk: SimDisk,
    content: u64,
    generation: u64,
    mode: OpenMode,
}

impl SimFile {
    fn world(&self) -> io::Result<MutexGuard<'_, World>> {
        let mut world = self.disk.world();
        if world.generation != self.generation {
            world.counts.stale_calls += 1;
            return Err(fault("the file was opened before the crash"));
        }
        Ok(world)
    }

    fn world_to_write(&self) -> io::Result<MutexGuard<'_, World>> {
        if self.mode == OpenMode::Read {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.world()
    }
}

impl File for SimFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.world()?.read(self.content, buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.world_to_write()?.write(self.content, bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.world()?.sync(self.content)
    }
    fn len(&self) -> io::Result<u64> {
        let mut world = self.world()?;
        world.check_power()?;
        let length = world.content(self.content).seen().len();
        Ok(u64::try_from(length).expect("a length fits 64 bits"))
    }
    fn set_len(&self, length: u64) -> io::Result<()> {
        self.world_to_write()?.set_len(self.content, length)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut world = self.disk.world();
        if world.generation == self.generation {
            world.close(self.content);
        }
    }
}

/// The path in its one spelling, without empty parts and dots.
fn normal(path: &str) -> io::Result<String> {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(io::Error::new(ErrorKind::InvalidInput, "path leaves the root"));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    Ok(parts.join("/"))
}
