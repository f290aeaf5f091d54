//! Tiles and entry bundles (C2SP tlog-tiles): addresses, paths, which exist, contents.
//!
//! ```text
//! tile/<L>/<N>[.p/<W>]        W x 32 bytes, hashes N*256 .. N*256+W of level L
//! tile/entries/<N>[.p/<W>]    W x (u16 big-endian length || entry)
//!
//! L  decimal 0 to 63, no leading zero
//! N  groups of three digits, all but the last with an x before: 1234067 -> x001/x234/067
//! W  1 to 255, only on a partial tile; a full one has 256 and no suffix
//! ```
//!
//! Promises: `parse(path(a)) == a`, and `path(parse(p)) == p`: a tile has one path.
//! Assumes nothing of the caller; every path from the network goes through [`TileAddress::parse`].
//! Refuses: width 0 or 256 as a suffix, leading zeros, wrong groups, indexes of leaves beyond u64,
//! bundles with fewer or more entries than the width says.

use std::fmt;

use crate::hash::Hash;
use crate::tree::HashAt;

/// Hashes or entries in a full tile.
pub const TILE_WIDTH: u16 = 256;

/// Highest level a path may name. A tree of 2^64 leaves ends at level 7.
pub const MAX_LEVEL: u8 = 63;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of this tile level.
    Hashes(u8),
    /// Entries: the preimages of the level 0 tile with the same index.
    Entries,
}

/// The address of one tile or entry bundle. Always well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileAddress {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// A path that names no tile, or bytes that are not the tile named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Not a tile path, or not the only spelling of one.
    #[error("not a tile path")]
    Path,
    /// Level above 63, width outside 1 to 256, or index beyond the largest tree.
    #[error("no such tile")]
    Range,
    /// The content is cut, too long, or has another number of items than the width says.
    #[error("tile content does not match its width")]
    Content,
    /// An entry is longer than 65535 bytes.
    #[error("an entry has at most 65535 bytes")]
    EntryTooLong,
}

impl TileAddress {
    /// Address of a tile.
    ///
    /// # Errors
    /// [`TileError::Range`] for a level above 63, a width outside 1 to 256, or an index whose
    /// hashes cannot be counted in 64 bits.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Result<Self, TileError> {
        let level_fits = !matches!(kind, TileKind::Hashes(level) if level > MAX_LEVEL);
        let width_fits = (1..=TILE_WIDTH).contains(&width);
        if level_fits && width_fits && index < 1 << 56 {
            Ok(Self { kind, index, width })
        } else {
            Err(TileError::Range)
        }
    }

    /// The tile that holds a stored hash in a tree of `size` leaves, and its position therein.
    /// `None` when the tree does not have this hash yet.
    #[must_use]
    pub fn holding(at: HashAt, size: u64) -> Option<(Self, usize)> {
        let kind = TileKind::Hashes(at.level);
        let index = at.index / u64::from(TILE_WIDTH);
        let position = usize::from(u8::try_from(at.index % u64::from(TILE_WIDTH)).ok()?);
        if at.index >= items_at(kind, size) {
            return None;
        }
        Some((Self { kind, index, width: width_in(kind, index, size)? }, position))
    }

    /// Hashes of which level, or entries.
    #[must_use]
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Position within the level, counted from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Number of hashes or entries, 1 to 256.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Whether the tile has its final width.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The full tile at this place: where a client looks when a partial one is gone.
    #[must_use]
    pub fn full(&self) -> Self {
        Self { width: TILE_WIDTH, ..*self }
    }

    /// Index of the first hash within its level, or of the first entry.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.index * u64::from(TILE_WIDTH)
    }

    /// Whether a tree of `size` leaves has all of this tile.
    #[must_use]
    pub fn exists_in(&self, size: u64) -> bool {
        self.first() + (u64::from(self.width) - 1) < items_at(self.kind, size)
    }

    /// The path, without a slash before it.
    #[must_use]
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// Reads a path as [`TileAddress::path`] writes it, and no other spelling.
    ///
    /// # Errors
    /// [`TileError::Path`] or [`TileError::Range`].
    pub fn parse(path: &str) -> Result<Self, TileError> {
        let rest = path.strip_prefix("tile/").ok_or(TileError::Path)?;
        let (level, rest) = rest.split_once('/').ok_or(TileError::Path)?;
        let kind = match level {
            "entries" => TileKind::Entries,
            digits => TileKind::Hashes(parse_short(digits)?),
        };
        let (groups, width) = match rest.split_once(".p/") {
            Some((groups, width)) => (groups, u16::from(parse_short(width)?)),
            None => (rest, TILE_WIDTH),
        };
        Self::new(kind, parse_groups(groups)?, width)
    }
}

impl fmt::Display for TileAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let digits = self.index.to_string();
        let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
        for start in (0..padded.len()).step_by(3) {
            let last = start + 3 == padded.len();
            let group = &padded[start..start + 3];
            if last { f.write_str(group)? } else { write!(f, "x{group}/")? }
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// A decimal of one to three digits without leading zeros, at most 255.
fn parse_short(digits: &str) -> Result<u8, TileError> {
    let canonical = digits == "0" || !digits.starts_with('0');
    if !canonical || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TileError::Path);
    }
    digits.parse().map_err(|_| TileError::Range)
}

fn parse_groups(text: &str) -> Result<u64, TileError> {
    let groups: Vec<&str> = text.split('/').collect();
    let (last, before) = groups.split_last().ok_or(TileError::Path)?;
    // A leading x000 would be a second spelling of a shorter path.
    if before.first() == Some(&"x000") {
        return Err(TileError::Path);
    }
    let before = before.iter().map(|group| group.strip_prefix('x'));
    before.chain([Some(*last)]).try_fold(0_u64, |index, group| {
        let group = group.filter(|g| g.len() == 3 && g.bytes().all(|b| b.is_ascii_digit()));
        let value: u64 = group.ok_or(TileError::Path)?.parse().map_err(|_| TileError::Path)?;
        let index = index.checked_mul(1000).and_then(|high| high.checked_add(value));
        index.ok_or(TileError::Range)
    })
}

/// Hashes at a level (entries: at level 0) in a tree of `size` leaves: floor(size / 256^level).
fn items_at(kind: TileKind, size: u64) -> u64 {
    match kind {
        TileKind::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
        TileKind::Entries => size,
    }
}

/// Width of the tile at `index` in a tree of `size` leaves, `None` where there is none.
#[must_use]
pub fn width_in(kind: TileKind, index: u64, size: u64) -> Option<u16> {
    let before = index.checked_mul(u64::from(TILE_WIDTH))?;
    let left = items_at(kind, size).checked_sub(before)?;
    let width = u16::try_from(left).unwrap_or(TILE_WIDTH).min(TILE_WIDTH);
    (width > 0).then_some(width)
}

/// Every tile a checkpoint of this size implies: hash tiles level by level, then entry bundles.
/// Partial tiles come in their widest form only.
pub fn tiles(size: u64) -> impl Iterator<Item = TileAddress> {
    let levels = (0..8).map(TileKind::Hashes).chain([TileKind::Entries]);
    levels.flat_map(move |kind| {
        let count = items_at(kind, size).div_ceil(u64::from(TILE_WIDTH));
        (0..count).filter_map(move |index| {
            Some(TileAddress { kind, index, width: width_in(kind, index, size)? })
        })
    })
}

/// Bytes of a hash tile.
#[must_use]
pub fn encode_tile(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Hashes of a tile with this width.
///
/// # Errors
/// [`TileError::Content`] unless there are exactly `width * 32` bytes.
pub fn decode_tile(bytes: &[u8], width: u16) -> Result<Vec<Hash>, TileError> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if !rest.is_empty() || hashes.len() != usize::from(width) {
        return Err(TileError::Content);
    }
    Ok(hashes.iter().copied().map(Hash).collect())
}

/// Bytes of an entry bundle.
///
/// # Errors
/// [`TileError::EntryTooLong`] for an entry above 65535 bytes.
pub fn encode_bundle<E: AsRef<[u8]>>(
    entries: impl IntoIterator<Item = E>,
) -> Result<Vec<u8>, TileError> {
    let mut bytes = Vec::new();
    for entry in entries {
        let entry = entry.as_ref();
        let length = u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLong)?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// Entries of a bundle with this width, in order.
///
/// # Errors
/// [`TileError::Content`] when it is cut or does not hold exactly `width` entries.
pub fn decode_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(TileError::Content)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() && entries.len() == usize::from(width) {
        Ok(entries)
    } else {
        Err(TileError::Content)
    }
}
