//! The tree's stored levels and the position of every leaf, in flat files.
//!
//! ```text
//! tree/<L>         hash i of tile level L at offset 32·i (so a tile is a slice)
//! tree/positions   segment (4) ‖ offset of the ENTRY frame (4), big-endian, of leaf i at 8·i
//! tree/whole       size (8) ‖ CRC32C (4), big-endian: what was synced and may be believed at start
//! ```
//!
//! Promises: reads of what [`TreeStore::put`] wrote. These files may be lost: recovery recomputes
//! them from the journal, and compares the root with what the last COMMIT says. It believes the
//! files only below the size in `tree/whole`: a rebuild that a power cut interrupts leaves holes
//! that no look at the tree's right edge would show.
//!
//! Assumes: one writer (the publisher). Readers ask only below the size that was published to
//! them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ledgerline_proof::hash::Hash;
use ledgerline_proof::tree::{HashAt, HashReader};
use ledgerline_world::disk::{Disk, File, OpenMode};

const HASH_BYTES: u64 = 32;
const POSITION_BYTES: u64 = 8;
/// The note of how much of the tree's files is certainly whole.
pub const WHOLE: &str = "tree/whole";
const WHOLE_BYTES: usize = 12;
/// Tile levels kept: 256^6 leaves are more than 2^48.
const LEVEL_COUNT: u8 = 6;

/// Where a leaf's ENTRY frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The segment.
    pub segment: u32,
    /// Offset in it.
    pub offset: u32,
}

/// The flat files. Shared between the writer and every reader.
#[derive(Clone)]
pub struct TreeStore {
    levels: Arc<Vec<Box<dyn File>>>,
    positions: Arc<Box<dyn File>>,
    whole: Arc<Box<dyn File>>,
    /// Whether a sync failed: what the disk holds is not known any more.
    is_doubtful: Arc<AtomicBool>,
}

/// What one batch adds.
#[derive(Debug, Clone, Default)]
pub struct TreeAddition {
    /// Index of the first leaf.
    pub first_index: u64,
    /// Leaf hashes, in order.
    pub leaves: Vec<Hash>,
    /// Roots of tiles completed, by level and index.
    pub upper: Vec<(HashAt, Hash)>,
    /// Where each leaf's frame begins.
    pub positions: Vec<Position>,
}

impl TreeStore {
    /// Opens the files, creating those that are missing.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn open(disk: &dyn Disk) -> io::Result<Self> {
        disk.create_dir("tree")?;
        let open = |name: String| disk.open(&name, OpenMode::Create);
        let levels: io::Result<Vec<_>> =
            (0..LEVEL_COUNT).map(|level| open(format!("tree/{level}"))).collect();
        let positions = Arc::new(open("tree/positions".to_owned())?);
        let whole = Arc::new(open(WHOLE.to_owned())?);
        disk.sync_dir("tree")?;
        Ok(Self { levels: Arc::new(levels?), positions, whole, is_doubtful: Arc::default() })
    }

    /// How many leaves the files have room for: an upper bound of what they hold.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn extent(&self) -> io::Result<u64> {
        let leaves = self.levels[0].len()? / HASH_BYTES;
        Ok(leaves.min(self.positions.len()? / POSITION_BYTES))
    }

    /// Writes what a batch adds. Not synced: the journal is the truth.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn put(&self, addition: &TreeAddition) -> io::Result<()> {
        let mut leaves = Vec::with_capacity(addition.leaves.len() * 32);
        addition.leaves.iter().for_each(|hash| leaves.extend_from_slice(&hash.0));
        self.levels[0].write_all_at(&leaves, addition.first_index * HASH_BYTES)?;
        for (at, hash) in &addition.upper {
            if let Some(level) = self.levels.get(usize::from(at.level)) {
                level.write_all_at(hash.as_bytes(), at.index * HASH_BYTES)?;
            }
        }
        let mut positions = Vec::with_capacity(addition.positions.len() * 8);
        for position in &addition.positions {
            positions.extend_from_slice(&position.segment.to_be_bytes());
            positions.extend_from_slice(&position.offset.to_be_bytes());
        }
        self.positions.write_all_at(&positions, addition.first_index * POSITION_BYTES)
    }

    /// Makes everything durable, when a segment seals, and says that `size` leaves are. After a
    /// failed sync nothing more is said until the next start, which computes anew what lies behind
    /// the size said last: a sync that follows a failed one may succeed and make nothing durable.
    ///
    /// # Errors
    /// Whatever the disk says, the first time.
    pub fn sync(&self, size: u64) -> io::Result<()> {
        if self.is_doubtful.load(Ordering::SeqCst) {
            return Ok(());
        }
        let synced = self.levels.iter().try_for_each(|level| level.sync());
        let synced = synced.and_then(|()| self.positions.sync());
        let synced = synced.and_then(|()| self.write_whole(size));
        self.is_doubtful.store(synced.is_err(), Ordering::SeqCst);
        synced
    }

    /// How many leaves the files hold for certain; 0 when that is not known.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn whole(&self) -> io::Result<u64> {
        if self.whole.len()? < WHOLE_BYTES as u64 {
            return Ok(0);
        }
        let mut bytes = [0; WHOLE_BYTES];
        self.whole.read_exact_at(&mut bytes, 0)?;
        Ok(parse_whole(&bytes).unwrap_or(0))
    }

    /// Before a rebuild from `size` on: what lies behind it is no longer certain.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn distrust_from(&self, size: u64) -> io::Result<()> {
        if self.whole()? > size { self.write_whole(size) } else { Ok(()) }
    }

    fn write_whole(&self, size: u64) -> io::Result<()> {
        let size = size.to_be_bytes();
        let crc = crc32c::crc32c(&size).to_be_bytes();
        self.whole.write_all_at(&[&size[..], &crc].concat(), 0)?;
        self.whole.sync()
    }

    /// `count` consecutive hashes of a level, as bytes.
    ///
    /// # Errors
    /// Whatever the disk says; `UnexpectedEof` beyond what was written.
    pub fn read_run(&self, level: u8, first: u64, count: usize) -> io::Result<Vec<u8>> {
        let file = self.levels.get(usize::from(level)).ok_or(io::ErrorKind::InvalidInput)?;
        let mut bytes = vec![0; count * 32];
        file.read_exact_at(&mut bytes, first * HASH_BYTES)?;
        Ok(bytes)
    }

    /// One leaf hash.
    ///
    /// # Errors
    /// As [`TreeStore::read_run`].
    pub fn leaf(&self, index: u64) -> io::Result<Hash> {
        let mut hash = [0; 32];
        self.levels[0].read_exact_at(&mut hash, index * HASH_BYTES)?;
        Ok(Hash(hash))
    }

    /// `count` consecutive hashes of a level.
    ///
    /// # Errors
    /// As [`TreeStore::read_run`].
    pub fn hashes(&self, level: u8, first: u64, count: usize) -> io::Result<Vec<Hash>> {
        let bytes = self.read_run(level, first, count)?;
        let hash = |chunk: &[u8]| Hash(chunk.try_into().expect("chunks_exact gives 32 bytes"));
        Ok(bytes.chunks_exact(32).map(hash).collect())
    }

    /// Where a leaf's frame begins.
    ///
    /// # Errors
    /// As [`TreeStore::read_run`].
    pub fn position(&self, index: u64) -> io::Result<Position> {
        let mut bytes = [0; 8];
        self.positions.read_exact_at(&mut bytes, index * POSITION_BYTES)?;
        Ok(parse_position(bytes))
    }

    /// Where the frames of `count` consecutive leaves begin.
    ///
    /// # Errors
    /// As [`TreeStore::read_run`].
    pub fn positions(&self, first: u64, count: usize) -> io::Result<Vec<Position>> {
        let mut bytes = vec![0; count * 8];
        self.positions.read_exact_at(&mut bytes, first * POSITION_BYTES)?;
        let each = bytes.chunks_exact(8);
        Ok(each.map(|one| parse_position(one.try_into().expect("eight bytes"))).collect())
    }
}

fn parse_position(bytes: [u8; 8]) -> Position {
    let [a, b, c, d, e, f, g, h] = bytes;
    let segment = u32::from_be_bytes([a, b, c, d]);
    Position { segment, offset: u32::from_be_bytes([e, f, g, h]) }
}

/// The size in `tree/whole`; `None` when its bytes do not hold.
#[must_use]
pub fn parse_whole(bytes: &[u8]) -> Option<u64> {
    let (size, crc) = bytes.split_first_chunk::<8>()?;
    let holds = crc32c::crc32c(size).to_be_bytes() == *crc;
    holds.then_some(u64::from_be_bytes(*size))
}

impl HashReader for TreeStore {
    type Error = io::Error;

    fn read_hashes(&self, wanted: &[HashAt]) -> Result<Vec<Hash>, io::Error> {
        let mut hashes = Vec::with_capacity(wanted.len());
        let mut rest = wanted;
        while let Some(first) = rest.first() {
            let follows = |(n, at): (usize, &HashAt)| {
                at.level == first.level && at.index == first.index + n as u64
            };
            let run = rest.iter().enumerate().take_while(|pair| follows(*pair)).count();
            hashes.extend(self.hashes(first.level, first.index, run)?);
            rest = &rest[run..];
        }
        Ok(hashes)
    }
}
