//! The bytes of one simulated file: what readers see, what is durable, and the writes in between.
//!
//! Promises: after a power cut the durable bytes hold every synced write, and of the un-synced ones
//! any subset, each whole or torn, applied in the order they were made. (A page cache never writes
//! an older version over a newer one; "reordered" therefore means that a later write survives an
//! earlier one.)
//!
//! ```text
//! a write of 4 sectors, torn:   prefix by sector   ##..     prefix by byte  ##:.
//!                               sector by sector   #.#.     length only   0000 (where it grew)
//! ```
//!
//! Not modelled: sectors full of garbage, writes that land in another place.

use super::faults::FaultCounts;
use super::random::Random;

/// What a disk writes in one piece.
const SECTOR_BYTES: usize = 512;

/// One change of a file's bytes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Data { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Change {
    fn apply(&self, target: &mut Vec<u8>) {
        match self {
            Self::Data { offset, bytes } => put(target, *offset, bytes),
            Self::Length(length) => target.resize(*length, 0),
        }
    }
}

/// A file's bytes. Names are none of its business.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Open files; the content lives while there are any.
    pub(super) handle_count: u64,
}

impl Content {
    /// Bytes that are already durable.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { seen: bytes.clone(), durable: bytes, ..Self::default() }
    }

    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    pub(super) fn durable_bytes(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.unsynced.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that fails: see [`super::Faults::sync_error_per_mille`].
    pub(super) fn fail_sync(&mut self, random: &mut Random, counts: &mut FaultCounts) {
        for change in self.unsynced.drain(..) {
            if random.chance(500) {
                change.apply(&mut self.durable);
            } else {
                counts.writes_dropped_by_sync += 1;
            }
        }
        if random.chance(500) {
            self.seen.clone_from(&self.durable);
        }
    }

    /// The power goes. The rates differ from file to file and cut to cut, so that "all kept" and
    /// "all lost" come up as well as every mixture.
    pub(super) fn lose_power(&mut self, random: &mut Random, counts: &mut FaultCounts) {
        let keep_per_mille = *random.choose(&[0, 250, 500, 900, 1000]);
        let tear_per_mille = *random.choose(&[0, 500, 1000]);
        for change in std::mem::take(&mut self.unsynced) {
            let counter = if random.chance(keep_per_mille) {
                change.apply(&mut self.durable);
                &mut counts.writes_kept
            } else if random.chance(tear_per_mille) && self.tear(&change, random) {
                &mut counts.writes_torn
            } else {
                &mut counts.writes_lost
            };
            *counter += 1;
        }
        self.seen.clone_from(&self.durable);
    }

    /// Damages one byte wherever it is kept: seen, durable and on its way. False when there is no
    /// such byte.
    pub(super) fn damage(&mut self, at: usize, mask: u8) -> bool {
        let found = at < self.seen.len();
        for bytes in [&mut self.seen, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
        }
        for change in &mut self.unsynced {
            if let Change::Data { offset, bytes } = change
                && let Some(byte) = at.checked_sub(*offset).and_then(|at| bytes.get_mut(at))
            {
                *byte ^= mask;
            }
        }
        found
    }

    /// Leaves a part of a write on the disk; false when it has no parts.
    fn tear(&mut self, change: &Change, random: &mut Random) -> bool {
        let Change::Data { offset, bytes } = change else {
            return false;
        };
        if bytes.len() < 2 {
            return false;
        }
        let inner_sectors = sectors(*offset, bytes.len());
        match random.below(4) {
            // The boundary where the second or a later sector begins.
            0 if inner_sectors.len() > 1 => {
                let (start, _) = inner_sectors[1 + random.index(inner_sectors.len() - 1)];
                put(&mut self.durable, *offset, &bytes[..start]);
            }
            1 if inner_sectors.len() > 1 => {
                // One sector is spared and one is lost, else it would not be torn.
                let spared = random.index(inner_sectors.len());
                let lost = (spared + 1) % inner_sectors.len();
                for (number, &(start, end)) in inner_sectors.iter().enumerate() {
                    if number == spared || (number != lost && random.chance(500)) {
                        put(&mut self.durable, offset + start, &bytes[start..end]);
                    }
                }
            }
            2 if offset + bytes.len() > self.durable.len() => {
                self.durable.resize(offset + bytes.len(), 0);
            }
            _ => {
                let kept = 1 + random.index(bytes.len() - 1);
                put(&mut self.durable, *offset, &bytes[..kept]);
            }
        }
        true
    }
}

/// The parts of a write by the sectors of the file, as ranges of the written bytes.
fn sectors(offset: usize, length: usize) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < length {
        let to_boundary = SECTOR_BYTES - (offset + start) % SECTOR_BYTES;
        let end = length.min(start + to_boundary);
        parts.push((start, end));
        start = end;
    }
    parts
}

/// Writes bytes at an offset; a gap before them reads as zeros.
fn put(target: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    target[offset..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn sectors_follow_the_file_not_the_write() {
        assert_eq!(sectors(0, 512), [(0, 512)]);
        assert_eq!(sectors(500, 600), [(0, 12), (12, 524), (524, 600)]);
        assert_eq!(sectors(512, 0), []);
    }

    /// Every way to lose a write of three sectors comes up, and nothing but its own bytes appears.
    #[test]
    fn a_write_is_kept_lost_or_torn() {
        let mut random = Random::new(1);
        let mut counts = FaultCounts::default();
        let mut outcomes = BTreeSet::new();
        for _ in 0..2000 {
            let mut content = Content::durable(vec![1; 2000]);
            content.change(Change::Data { offset: 512, bytes: vec![2; 1536] });
            content.lose_power(&mut random, &mut counts);
            assert_eq!(content.seen, content.durable);
            let bytes = content.seen();
            assert!(bytes[..512].iter().all(|&byte| byte == 1), "bytes before the write moved");
            assert!(matches!(bytes.len(), 2000 | 2048) || bytes.len() > 2000);
            let new = |at: usize| bytes.get(at) == Some(&2);
            outcomes.insert([new(512), new(1023), new(1024), new(1535), new(1536), new(2047)]);
        }
        let [f, t] = [false, true];
        for (name, outcome) in [
            ("kept", [t, t, t, t, t, t]),
            ("lost", [f, f, f, f, f, f]),
            ("prefix by sector", [t, t, t, t, f, f]),
            ("prefix by byte", [t, t, t, f, f, f]),
            ("only the middle", [f, f, t, t, f, f]),
            ("all but the first", [f, f, t, t, t, t]),
        ] {
            assert!(outcomes.contains(&outcome), "never {name}");
        }
        assert!(counts.writes_kept > 0 && counts.writes_lost > 0 && counts.writes_torn > 0);
    }
}
