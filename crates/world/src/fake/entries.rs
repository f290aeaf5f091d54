//! The names on the simulated disk: what callers see, what is durable, and the steps in between.
//!
//! Promises: a step (a creation, a rename, a removal) is durable when the folders it touches were
//! synced, with every earlier step on the same paths; a rename between two folders needs both. In a
//! power cut the un-synced steps survive either as a random prefix (a file system with a metadata
//! journal) or as a random subset that keeps the order on every path (one without). A step is never
//! half done.
//!
//! Folders are durable when made, as [`crate::disk::Disk::create_dir`] says. They cannot be renamed
//! or removed; the engine does neither.

use super::faults::FaultCounts;
use super::random::Random;
use crate::disk::parent;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Folder,
    /// The number of a content; several names may have shared it over time.
    File(u64),
}

/// A change of names: `from` goes, `to` comes.
#[derive(Debug, Clone)]
struct Step {
    from: Option<String>,
    to: Option<String>,
    content: u64,
    /// Folders still to be synced before the step is durable.
    waits_for: BTreeSet<String>,
}

impl Step {
    fn paths(&self) -> impl Iterator<Item = &String> {
        self.from.iter().chain(&self.to)
    }

    fn shares_path_with(&self, other: &Self) -> bool {
        self.paths().any(|path| other.paths().any(|theirs| theirs == path))
    }

    fn apply(&self, names: &mut BTreeMap<String, Entry>) {
        if let Some(from) = &self.from {
            names.remove(from);
        }
        if let Some(to) = &self.to {
            names.insert(to.clone(), Entry::File(self.content));
        }
    }
}

/// All names. The root is the empty path and always there.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    seen: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    unsynced: Vec<Step>,
}

impl Entries {
    pub(super) fn seen(&self) -> &BTreeMap<String, Entry> {
        &self.seen
    }

    pub(super) fn durable(&self) -> &BTreeMap<String, Entry> {
        &self.durable
    }

    /// What a path stands for, `None` when nothing.
    ///
    /// # Errors
    /// `NotADirectory` when the path leads through a file.
    pub(super) fn find(&self, path: &str) -> io::Result<Option<Entry>> {
        if path.is_empty() {
            return Ok(Some(Entry::Folder));
        }
        for (at, _) in path.match_indices('/') {
            match self.seen.get(&path[..at]) {
                Some(Entry::Folder) => {}
                Some(Entry::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => return Ok(None),
            }
        }
        Ok(self.seen.get(path).copied())
    }

    /// Refuses what is not a folder.
    pub(super) fn require_folder(&self, dir: &str) -> io::Result<()> {
        match self.find(dir)? {
            Some(Entry::Folder) => Ok(()),
            Some(Entry::File(_)) => Err(ErrorKind::NotADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        match self.require_folder(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        }
        // One folder's paths share their beginning, so the map's order is the order of the names.
        let names = self.seen.keys().filter(|path| parent(path) == dir);
        let start = if dir.is_empty() { 0 } else { dir.len() + 1 };
        Ok(names.map(|path| path[start..].to_owned()).collect())
    }

    pub(super) fn create_folder(&mut self, dir: &str) -> io::Result<()> {
        let ends = dir.match_indices('/').map(|(at, _)| at).chain([dir.len()]);
        for path in ends.map(|end| &dir[..end]) {
            match self.find(path)? {
                Some(Entry::Folder) => {}
                Some(Entry::File(_)) => return Err(ErrorKind::AlreadyExists.into()),
                None => {
                    self.seen.insert(path.to_owned(), Entry::Folder);
                    self.durable.insert(path.to_owned(), Entry::Folder);
                }
            }
        }
        Ok(())
    }

    /// Gives a new content its name; the caller checked the folder.
    pub(super) fn create(&mut self, path: &str, content: u64) {
        self.step(None, Some(path), content);
    }

    /// Makes every step durable, for changes made to a disk at rest.
    pub(super) fn settle(&mut self) {
        for step in std::mem::take(&mut self.unsynced) {
            step.apply(&mut self.durable);
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.require_folder(parent(from))?;
        self.require_folder(parent(to))?;
        let content = match self.find(from)? {
            Some(Entry::File(content)) => content,
            Some(Entry::Folder) => return Err(ErrorKind::Unsupported.into()),
            None => return Err(ErrorKind::NotFound.into()),
        };
        if self.find(to)? == Some(Entry::Folder) {
            return Err(ErrorKind::IsADirectory.into());
        }
        if from != to {
            self.step(Some(from), Some(to), content);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        match self.find(path)? {
            Some(Entry::File(content)) => {
                self.step(Some(path), None, content);
                Ok(())
            }
            Some(Entry::Folder) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn sync(&mut self, dir: &str) -> io::Result<()> {
        self.require_folder(dir)?;
        let steps = std::mem::take(&mut self.unsynced);
        // From the last to the first: a step that becomes durable takes along what it builds upon.
        let mut ready: Vec<Step> = Vec::new();
        for mut step in steps.into_iter().rev() {
            step.waits_for.remove(dir);
            if step.waits_for.is_empty() || ready.iter().any(|later| later.shares_path_with(&step))
            {
                ready.push(step);
            } else {
                self.unsynced.push(step);
            }
        }
        self.unsynced.reverse();
        for step in ready.iter().rev() {
            step.apply(&mut self.durable);
        }
        Ok(())
    }

    pub(super) fn lose_power(&mut self, random: &mut Random, counts: &mut FaultCounts) {
        let keep_per_mille = *random.choose(&[0, 500, 900, 1000]);
        let journaled = random.chance(500);
        let mut lost: Vec<Step> = Vec::new();
        for step in std::mem::take(&mut self.unsynced) {
            let stands = if journaled {
                lost.is_empty()
            } else {
                !lost.iter().any(|earlier| earlier.shares_path_with(&step))
            };
            if stands && random.chance(keep_per_mille) {
                step.apply(&mut self.durable);
                counts.entries_kept += 1;
            } else {
                lost.push(step);
                counts.entries_lost += 1;
            }
        }
        self.seen.clone_from(&self.durable);
    }

    /// The contents that some name stands for, or stood for in a state that a power cut may bring
    /// back.
    pub(super) fn contents(&self) -> BTreeSet<u64> {
        let named = self.seen.values().chain(self.durable.values());
        let named = named.filter_map(|entry| match entry {
            Entry::File(content) => Some(*content),
            Entry::Folder => None,
        });
        named.chain(self.unsynced.iter().map(|step| step.content)).collect()
    }

    fn step(&mut self, from: Option<&str>, to: Option<&str>, content: u64) {
        let waits_for = from.iter().chain(&to).map(|path| parent(path).to_owned()).collect();
        let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
        let step = Step { from, to, content, waits_for };
        step.apply(&mut self.seen);
        self.unsynced.push(step);
    }
}
