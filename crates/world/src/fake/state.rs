//! The state behind every handle of one simulated disk, and the one place where faults are drawn.
//!
//! Promises: every changing call goes through [`World::change`], so the power can go in the middle
//! of any of them; every fault is counted.

use super::content::{Change, Content};
use super::entries::{Entries, Entry};
use super::faults::{FaultCounts, Faults, Shortage};
use super::random::Random;
use crate::disk::{OpenMode, parent};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// A file longer than this is a wild offset; refuse it before filling the memory with zeros.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Free space until a test sets another.
const CAPACITY_BYTES: u64 = 1 << 40;

#[derive(Clone)]
pub(super) struct World {
    pub(super) random: Random,
    pub(super) entries: Entries,
    pub(super) contents: BTreeMap<u64, Content>,
    next_content: u64,
    /// Goes up when every open file dies.
    pub(super) generation: u64,
    powered: bool,
    pub(super) capacity: u64,
    faults: Faults,
    pub(super) counts: FaultCounts,
    /// Bytes until the fault plan's full disk.
    budget: Option<u64>,
    /// The number of the changing call in which the power goes.
    power_off_at: Option<u64>,
    pub(super) change_count: u64,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed).fork("disk"),
            entries: Entries::default(),
            contents: BTreeMap::new(),
            next_content: 0,
            generation: 0,
            powered: true,
            capacity: CAPACITY_BYTES,
            faults: Faults::default(),
            counts: FaultCounts::default(),
            budget: None,
            power_off_at: None,
            change_count: 0,
        }
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.budget = faults.disk_full_after;
        self.power_off_at = faults.power_off_after.map(|after| self.change_count + after);
        self.faults = faults;
    }

    /// Whether this call fails in a storm that takes away one of these.
    fn weather(&mut self, of: &[Shortage]) -> io::Result<()> {
        let Some(storm) = self.faults.storm.as_mut().filter(|storm| of.contains(&storm.of)) else {
            return Ok(());
        };
        if let Some(left) = storm.after.checked_sub(1) {
            storm.after = left;
            return Ok(());
        }
        let Some(left) = storm.calls.checked_sub(1) else { return Ok(()) };
        storm.calls = left;
        self.counts.storms += 1;
        let errno = match storm.of {
            Shortage::Descriptors => Errno::MFILE,
            Shortage::Space => Errno::NOSPC,
            Shortage::Time => Errno::INTR,
            Shortage::Answers => Errno::IO,
        };
        Err(errno.into())
    }

    /// As [`World::weather`], for calls that name files.
    pub(super) fn weather_of_names(&mut self) -> io::Result<()> {
        self.weather(&[Shortage::Descriptors])
    }

    /// As [`World::weather`], for calls that need an answer of the medium.
    pub(super) fn weather_of_answers(&mut self) -> io::Result<()> {
        self.weather(&[Shortage::Answers])
    }

    pub(super) fn crash(&mut self, random: &mut Random) {
        self.counts.crashes += 1;
        for content in self.contents.values_mut() {
            content.lose_power(random, &mut self.counts);
        }
        self.entries.lose_power(random, &mut self.counts);
        self.start_again();
    }

    pub(super) fn kill(&mut self) {
        self.counts.kills += 1;
        self.start_again();
    }

    /// The machine or the process is there again; what the old process held open is not.
    fn start_again(&mut self) {
        self.generation += 1;
        self.powered = true;
        self.power_off_at = None;
        for content in self.contents.values_mut() {
            content.handle_count = 0;
        }
        self.drop_unreachable();
    }

    /// Replaces everything by a disk at rest.
    pub(super) fn restore(
        &mut self,
        folders: impl Iterator<Item = String>,
        files: impl Iterator<Item = (String, Vec<u8>)>,
    ) {
        self.entries = Entries::default();
        self.contents.clear();
        for folder in folders {
            self.entries.create_folder(&folder).expect("a snapshot's folders do not clash");
        }
        for (path, bytes) in files {
            self.write_at_rest(&path, bytes).expect("a snapshot's files lie in its folders");
        }
        self.start_again();
    }

    /// Puts a durable file in its place, around all faults. Every un-synced step of names becomes
    /// durable with it: the disk is at rest.
    pub(super) fn write_at_rest(&mut self, path: &str, bytes: Vec<u8>) -> io::Result<()> {
        self.entries.create_folder(parent(path))?;
        if let Some(Entry::File(content)) = self.entries.find(path)? {
            let mut fresh = Content::durable(bytes);
            fresh.handle_count = self.contents[&content].handle_count;
            self.contents.insert(content, fresh);
        } else {
            let content = self.add_content(Content::durable(bytes));
            self.entries.create(path, content);
        }
        self.entries.settle();
        Ok(())
    }

    /// The content a file's name stands for.
    pub(super) fn file(&self, path: &str) -> io::Result<u64> {
        match self.entries.find(path)? {
            Some(Entry::File(content)) => Ok(content),
            Some(Entry::Folder) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn open(&mut self, path: &str, mode: OpenMode) -> io::Result<u64> {
        self.check_power()?;
        self.weather(&[Shortage::Descriptors, Shortage::Time])?;
        let content = match self.file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && mode == OpenMode::Create => {
                self.change_entry(|world| {
                    world.entries.require_folder(parent(path))?;
                    world.weather(&[Shortage::Space])?;
                    if world.free_bytes() == 0 {
                        return Err(world.full());
                    }
                    let content = world.add_content(Content::default());
                    world.entries.create(path, content);
                    Ok(content)
                })?
            }
            found => found?,
        };
        self.content(content).handle_count += 1;
        Ok(content)
    }

    /// An open file is dropped.
    pub(super) fn close(&mut self, content: u64) {
        let content = self.content(content);
        content.handle_count -= 1;
        if content.handle_count == 0 {
            self.drop_unreachable();
        }
    }

    /// A change of names or folders, with the faults of those.
    pub(super) fn change_entry<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        let rate = self.faults.entry_error_per_mille;
        let result = self.change(rate, |counts| &mut counts.entry_errors, act);
        self.drop_unreachable();
        result
    }

    pub(super) fn write(&mut self, content: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
        let storm = [Shortage::Space, Shortage::Time, Shortage::Answers];
        if let Err(error) = self.weather(&storm) {
            let part = self.random.below(length(bytes) + 1);
            self.write_what_fits(content, &bytes[..index(part)], offset)?;
            return Err(error);
        }
        let rate = self.faults.write_error_per_mille;
        self.change(
            rate,
            |counts| &mut counts.write_errors,
            |world| world.write_what_fits(content, bytes, offset),
        )
    }

    fn write_what_fits(&mut self, content: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let wanted = length(bytes);
        if offset.checked_add(wanted).is_none_or(|end| end > FILE_BYTES_MAX) {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let end_max = length(self.content(content).seen()) + self.capacity_left();
        let fits = end_max.saturating_sub(offset).min(self.budget.unwrap_or(u64::MAX)).min(wanted);
        let mut written = fits;
        if self.random.chance(self.faults.short_write_per_mille) {
            written = self.random.below(wanted).min(fits);
        }
        if written > 0 {
            let bytes = bytes[..index(written)].to_vec();
            self.content(content).change(Change::Data { offset: index(offset), bytes });
            self.budget = self.budget.map(|budget| budget - written);
        }
        if written == wanted {
            Ok(())
        } else if written == fits {
            Err(self.full())
        } else {
            self.counts.short_writes += 1;
            Err(fault("simulated short write"))
        }
    }

    pub(super) fn set_len(&mut self, content: u64, new_length: u64) -> io::Result<()> {
        let rate = self.faults.write_error_per_mille;
        self.change(
            rate,
            |counts| &mut counts.write_errors,
            |world| {
                if new_length > FILE_BYTES_MAX {
                    return Err(ErrorKind::FileTooLarge.into());
                }
                let grown = new_length.saturating_sub(length(world.content(content).seen()));
                if grown > world.capacity_left() {
                    return Err(world.full());
                }
                world.content(content).change(Change::Length(index(new_length)));
                Ok(())
            },
        )
    }

    pub(super) fn sync(&mut self, content: u64) -> io::Result<()> {
        self.change(
            0,
            |counts| &mut counts.sync_errors,
            |world| {
                let content = world.contents.get_mut(&content).expect("an open file has a content");
                if world.random.chance(world.faults.sync_error_per_mille) {
                    world.counts.sync_errors += 1;
                    content.fail_sync(&mut world.random, &mut world.counts);
                    return Err(fault("simulated sync error"));
                }
                if world.random.chance(world.faults.lying_sync_per_mille) {
                    world.counts.lying_syncs += 1;
                } else {
                    content.sync();
                }
                Ok(())
            },
        )
    }

    pub(super) fn read(&mut self, content: u64, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.check_power()?;
        self.weather(&[Shortage::Time, Shortage::Answers])?;
        if self.random.chance(self.faults.read_error_per_mille) {
            self.counts.read_errors += 1;
            return Err(fault("simulated read error"));
        }
        let end = at.checked_add(length(buffer));
        if end.is_none_or(|end| end > length(self.content(content).seen())) {
            // As the system does: an empty read finds nothing missing.
            let missing = if buffer.is_empty() { Ok(()) } else { Err(()) };
            return missing.map_err(|()| ErrorKind::UnexpectedEof.into());
        }
        let start = index(at);
        if !buffer.is_empty() && self.random.chance(self.faults.latent_rot_per_mille) {
            let (place, mask) = self.draw_damage(buffer.len());
            self.content(content).damage(start + place, mask);
            self.counts.latent_rots += 1;
        }
        buffer.copy_from_slice(&self.content(content).seen()[start..start + buffer.len()]);
        if !buffer.is_empty() && self.random.chance(self.faults.read_rot_per_mille) {
            let (place, mask) = self.draw_damage(buffer.len());
            buffer[place] ^= mask;
            self.counts.read_rots += 1;
        }
        Ok(())
    }

    /// A place in so many bytes and one to eight bits to flip there.
    fn draw_damage(&mut self, byte_count: usize) -> (usize, u8) {
        let place = self.random.index(byte_count);
        let mask = u8::try_from(self.random.range(1..256)).expect("less than 256");
        (place, mask)
    }

    pub(super) fn content(&mut self, content: u64) -> &mut Content {
        self.contents.get_mut(&content).expect("a content lives while it has a name or a handle")
    }

    pub(super) fn free_bytes(&self) -> u64 {
        self.capacity_left().min(self.budget.unwrap_or(u64::MAX))
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        if self.powered { Ok(()) } else { Err(fault("simulated power cut")) }
    }

    /// Runs a changing call: the power may go in its midst, it may fail at `error_per_mille`. In
    /// both cases a coin tells whether it took effect, for the caller cannot know.
    fn change<T>(
        &mut self,
        error_per_mille: u32,
        counter: fn(&mut FaultCounts) -> &mut u64,
        act: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        self.check_power()?;
        let number = self.change_count;
        self.change_count += 1;
        if self.power_off_at.is_some_and(|at| number >= at) {
            self.counts.power_offs += 1;
            if self.random.chance(500) {
                // Its own failure is no news to a caller without power.
                let _ = act(self);
            }
            self.powered = false;
            return Err(fault("simulated power cut"));
        }
        if self.random.chance(error_per_mille) {
            *counter(&mut self.counts) += 1;
            if self.random.chance(500) {
                act(self)?;
            }
            return Err(fault("simulated error"));
        }
        act(self)
    }

    fn capacity_left(&self) -> u64 {
        let used: u64 = self.contents.values().map(|content| length(content.seen())).sum();
        self.capacity.saturating_sub(used)
    }

    fn full(&mut self) -> io::Error {
        self.counts.full += 1;
        ErrorKind::StorageFull.into()
    }

    fn add_content(&mut self, content: Content) -> u64 {
        let number = self.next_content;
        self.next_content += 1;
        self.contents.insert(number, content);
        number
    }

    fn drop_unreachable(&mut self) {
        let named = self.entries.contents();
        self.contents.retain(|number, content| content.handle_count > 0 || named.contains(number));
    }
}

/// An error of a simulated device, of the kind a real one gives.
pub(super) fn fault(what: &'static str) -> io::Error {
    io::Error::other(what)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits 64 bits")
}

/// An offset or length that was checked against [`FILE_BYTES_MAX`] or a content.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("at most FILE_BYTES_MAX")
}
