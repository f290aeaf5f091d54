//! The tree as it grows, and the derived files compared with it.
//!
//! Promises: [`GrownTree::root_at`] gives the root at any earlier size. What it reads from `tree/0`
//! is used only when it folds into a hash that was computed from the entries.
//!
//! Memory: one hash for every 256 leaves.

use std::io;
use std::sync::Arc;

use ledgerline_journal::tree_store::Position;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::tree::{Frontier, HashAt, HashReader, tree_root};
use ledgerline_world::disk::{Disk, File, OpenMode};

use super::report::{Findings, Severity, VerifyFinding};

const LEVELS: usize = 6;
const HASH: u64 = 32;
const POSITION: u64 = 8;
const TILE: u64 = 256;

/// The stored files, as far as they are there.
struct Stored {
    levels: Vec<Option<Box<dyn File>>>,
    positions: Option<Box<dyn File>>,
}

/// A state of the tree to go back to.
pub(super) struct Mark {
    frontier: Frontier,
    upper: Vec<usize>,
    partial: Vec<Hash>,
}

/// The tree computed from the entries.
pub(super) struct GrownTree {
    frontier: Frontier,
    /// Level 1 and above, complete.
    upper: Vec<Vec<Hash>>,
    /// Leaf hashes since the last complete tile.
    partial: Vec<Hash>,
    stored: Stored,
    /// First leaf that a stored level or the positions do not hold, by file.
    differs: Vec<Option<(u64, u64)>>,
    missing: bool,
    /// Room for what is compared, kept from batch to batch.
    expected: Vec<u8>,
    found: Vec<u8>,
}

impl GrownTree {
    pub fn new(disk: &Arc<dyn Disk>) -> Self {
        let open = |name: String| disk.open(&name, OpenMode::Read).ok();
        let stored = Stored {
            levels: (0..LEVELS).map(|level| open(format!("tree/{level}"))).collect(),
            positions: open("tree/positions".to_owned()),
        };
        Self {
            frontier: Frontier::new(),
            upper: vec![Vec::new(); LEVELS],
            partial: Vec::new(),
            stored,
            differs: vec![None; LEVELS + 1],
            missing: false,
            expected: Vec::new(),
            found: Vec::new(),
        }
    }

    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Leaf hashes as `tree/0` has them. None when it does not have them all.
    pub fn stored_leaves(&self, first: u64, count: usize) -> Option<Vec<Hash>> {
        let file = self.stored.levels[0].as_ref()?;
        let mut bytes = vec![0; count.checked_mul(32)?];
        file.read_exact_at(&mut bytes, first.checked_mul(HASH)?).ok()?;
        let hash = |chunk: &[u8]| Hash(chunk.try_into().expect("32 bytes"));
        Some(bytes.chunks_exact(32).map(hash).collect())
    }

    /// Appends leaves whose hashes are settled.
    pub fn push(&mut self, leaves: &[Hash]) {
        for leaf in leaves {
            self.partial.push(*leaf);
            let upper = &mut self.upper;
            self.frontier.push_stored(*leaf, |at: HashAt, hash| {
                if at.level > 0
                    && let Some(level) = upper.get_mut(usize::from(at.level))
                {
                    level.push(hash);
                }
            });
            if self.frontier.size().is_multiple_of(TILE) {
                self.partial.clear();
            }
        }
    }

    /// What [`GrownTree::back_to`] needs.
    pub fn mark(&self) -> Mark {
        Mark {
            frontier: self.frontier.clone(),
            upper: self.upper.iter().map(Vec::len).collect(),
            partial: self.partial.clone(),
        }
    }

    /// Forgets every leaf since the mark.
    pub fn back_to(&mut self, mark: &Mark) {
        self.frontier = mark.frontier.clone();
        self.upper.iter_mut().zip(&mark.upper).for_each(|(level, length)| level.truncate(*length));
        self.partial.clone_from(&mark.partial);
    }

    /// Goes on at a size although leaves in front of it are not known: roots mean nothing from here
    /// on.
    pub fn skip_to(&mut self, size: u64) {
        let peaks = vec![Hash::ZERO; size.count_ones() as usize];
        self.frontier = Frontier::from_peaks(size, peaks).expect("one peak per bit");
        self.partial.clear();
    }

    /// Compares `tree/0` and `tree/positions` with the leaves that [`GrownTree::push`] was just
    /// given.
    pub fn compare_leaves(
        &mut self,
        first: u64,
        leaves: &[Hash],
        positions: impl Iterator<Item = Position>,
    ) {
        let mut bytes = std::mem::take(&mut self.expected);
        bytes.clear();
        leaves.iter().for_each(|hash| bytes.extend_from_slice(&hash.0));
        self.compare(0, first * HASH, &bytes, 32);
        bytes.clear();
        for position in positions {
            bytes.extend_from_slice(&position.segment.to_be_bytes());
            bytes.extend_from_slice(&position.offset.to_be_bytes());
        }
        self.compare(LEVELS, first * POSITION, &bytes, 8);
        self.expected = bytes;
    }

    fn compare(&mut self, file: usize, offset: u64, expected: &[u8], unit: usize) {
        if self.differs[file].is_some() {
            return;
        }
        let stored = self.stored.levels.get(file).unwrap_or(&self.stored.positions);
        self.found.resize(expected.len(), 0);
        let found = &mut self.found[..];
        let read = stored.as_ref().map(|stored| stored.read_exact_at(found, offset));
        if !matches!(read, Some(Ok(()))) {
            self.missing |= !expected.is_empty();
            return;
        }
        if found == expected {
            return;
        }
        let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
        if let Some(at) = at {
            let within = at / unit * unit;
            // A hole that a crash left in a file that was not synced yet.
            if found[within..within + unit].iter().all(|byte| *byte == 0) {
                self.missing = true;
            } else {
                let place = offset + at as u64;
                self.differs[file] = Some((place, place / unit as u64));
            }
        }
    }

    /// Compares the upper levels and the files' lengths. `clean`: the ledger was shut down cleanly,
    /// so the files must be whole.
    pub fn finish(&mut self, clean: bool, findings: &mut Findings) {
        for level in 1..LEVELS {
            let mut bytes = Vec::with_capacity(self.upper[level].len() * 32);
            self.upper[level].iter().for_each(|hash| bytes.extend_from_slice(&hash.0));
            self.compare(level, 0, &bytes, 32);
        }
        for file in 0..=LEVELS {
            let name =
                if file == LEVELS { "tree/positions".to_owned() } else { format!("tree/{file}") };
            let expected = match file {
                0 => self.size() * HASH,
                LEVELS => self.size() * POSITION,
                level => self.upper[level].len() as u64 * HASH,
            };
            let stored = self.stored.levels.get(file).unwrap_or(&self.stored.positions);
            let length = stored.as_ref().and_then(|stored| stored.len().ok());
            if let Some((offset, unit)) = self.differs[file] {
                let what = format!(
                    "item {unit} differs from the journal; no entry is affected: the file may be \
                     lost, remove it and the next start rebuilds it"
                );
                let finding = VerifyFinding::new(Severity::Derived, "tree_file", &name, what);
                findings.push(finding.at(offset));
            } else if length.is_some_and(|length| length > expected) && clean {
                let what = "bytes behind the tree; no entry is affected: the file may be lost, \
                            remove it and the next start rebuilds it";
                let finding =
                    VerifyFinding::new(Severity::Derived, "tree_file", &name, what.into());
                findings.push(finding.at(expected));
            }
        }
        if self.missing {
            // Not even after a clean stop a finding that counts: these files are not synced then.
            let severity = Severity::Notice;
            let what = "the stored tree lacks hashes or positions; no entry is affected: the files \
                        may be lost, the next start rebuilds them";
            findings.push(VerifyFinding::new(severity, "tree_lags", "tree", what.into()));
        }
    }

    /// The root when the ledger had `size` entries, if it can be known.
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        if size == self.size() {
            return Some(self.root());
        }
        if size > self.size() {
            return None;
        }
        tree_root(size, self).ok()
    }
}

impl HashReader for GrownTree {
    type Error = io::Error;

    fn read_hashes(&self, wanted: &[HashAt]) -> Result<Vec<Hash>, io::Error> {
        let unknown = || io::Error::from(io::ErrorKind::NotFound);
        let mut tile: Option<(u64, Vec<Hash>)> = None;
        let mut hashes = Vec::with_capacity(wanted.len());
        for at in wanted {
            if at.level > 0 {
                let level = self.upper.get(usize::from(at.level)).ok_or_else(unknown)?;
                let place = usize::try_from(at.index).map_err(|_| unknown())?;
                hashes.push(*level.get(place).ok_or_else(unknown)?);
                continue;
            }
            let number = at.index / TILE;
            if tile.as_ref().is_none_or(|(known, _)| *known != number) {
                tile = Some((number, self.tile(number).ok_or_else(unknown)?));
            }
            let leaves = &tile.as_ref().expect("just set").1;
            let place = usize::try_from(at.index % TILE).map_err(|_| unknown())?;
            hashes.push(*leaves.get(place).ok_or_else(unknown)?);
        }
        Ok(hashes)
    }
}

impl GrownTree {
    /// The leaf hashes of a tile, believed only when they fold into its root.
    fn tile(&self, number: u64) -> Option<Vec<Hash>> {
        if number == self.size() / TILE {
            return Some(self.partial.clone());
        }
        let leaves = self.stored_leaves(number * TILE, 256)?;
        let mut folded = Frontier::new();
        leaves.iter().for_each(|leaf| folded.push(*leaf));
        let root = self.upper[1].get(usize::try_from(number).ok()?)?;
        (folded.root() == *root).then_some(leaves)
    }
}
