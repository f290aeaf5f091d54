//! The RFC 6962 Merkle tree: growing it, proving from it, checking proofs.
//!
//! ```text
//! MTH({})   = SHA-256("")
//! MTH({d})  = leaf hash of d
//! MTH(D[n]) = node hash of MTH(D[0:k]) and MTH(D[k:n]), k = largest power of two < n
//! ```
//!
//! A store keeps only every eighth level ("tile level"): hash `index` of level L is the root of the
//! 256^L leaves from `index * 256^L` on, and it exists once all these leaves do. Everything between
//! is computed again from at most 128 stored hashes.
//!
//! Proving works in three steps: *plan* which stored hashes are needed, *read* them in one batch,
//! *compute*. What the reader answers is not believed: callers check the result against a signed
//! root with the mirrored `check_` function.
//!
//! | prove | check |
//! |---|---|
//! | [`tree_root`] | compare with the checkpoint |
//! | [`inclusion_path`], [`inclusion_paths`] | [`check_inclusion`] |
//! | [`consistency_path`] | [`check_consistency`] |
//!
//! Refuses: an index outside the tree, an old size above the new one, a path that is one hash too
//! long or too short, a root at size 0 that is not the empty root.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::hash::{Hash, empty_root, node_hash};

/// Binary levels between two stored levels: a tile is 2^8 hashes wide.
const TILE_HEIGHT: u32 = 8;

/// Place of one stored hash: the root of the 256^level leaves from `index * 256^level` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashAt {
    /// Tile level, 0 to 7: level 0 holds leaf hashes, level 1 the roots of full tiles, and so on.
    pub level: u8,
    /// Position within the level, counted from 0.
    pub index: u64,
}

/// Where stored hashes come from.
pub trait HashReader {
    /// Why a read failed.
    type Error: Display;

    /// Reads all wanted hashes, in the order asked. `wanted` is sorted and has no duplicates, and
    /// every hash in it exists in a tree of the size that the caller named.
    ///
    /// # Errors
    /// The reader's own. A short answer is found by the caller ([`TreeError::ShortRead`]).
    fn read_hashes(&self, wanted: &[HashAt]) -> Result<Vec<Hash>, Self::Error>;
}

/// A proof that cannot be made, or that does not prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The leaf is not in a tree of this size.
    #[error("leaf {index} is outside a tree of size {size}")]
    IndexOutside {
        /// Leaf index, 0-based.
        index: u64,
        /// Tree size.
        size: u64,
    },
    /// A tree does not shrink.
    #[error("old size {old} is larger than new size {new}")]
    OldIsLarger {
        /// Size said to be earlier.
        old: u64,
        /// Size said to be later.
        new: u64,
    },
    /// The path has more or fewer hashes than these sizes need.
    #[error("proof path has the wrong length")]
    PathLength,
    /// The path leads to another root than the one given (the new one, for consistency).
    #[error("proof path does not lead to the root")]
    RootMismatch,
    /// The path does not lead to the old root.
    #[error("proof path does not lead to the old root")]
    OldRootMismatch,
    /// The reader answered with another number of hashes than asked for.
    #[error("asked for {wanted} stored hashes, got {got}")]
    ShortRead {
        /// Hashes asked for.
        wanted: usize,
        /// Hashes received.
        got: usize,
    },
    /// Not one hash per set bit of the size.
    #[error("a frontier of size {size} does not have {got} hashes")]
    FrontierShape {
        /// Tree size.
        size: u64,
        /// Hashes given.
        got: usize,
    },
}

/// Why a proof could not be made: the question was wrong, or the store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ProveError<E: Display> {
    /// The question or the answer of the store makes no sense.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The store failed.
    #[error("cannot read stored hashes: {0}")]
    Read(E),
}

// ---- growing ---------------------------------------------------------------------------------

/// The right edge of a tree: the roots of its largest full subtrees, one per set bit of its size.
///
/// It is all that is needed to append and to know the root. Cloning copies at most 64 hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of full subtrees, the largest (leftmost) first.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A frontier from stored parts, the root of the largest subtree first.
    ///
    /// # Errors
    /// [`TreeError::FrontierShape`] unless there is one hash per set bit of `size`.
    pub fn from_peaks(size: u64, peaks: Vec<Hash>) -> Result<Self, TreeError> {
        if peaks.len() != size.count_ones() as usize {
            return Err(TreeError::FrontierShape { size, got: peaks.len() });
        }
        Ok(Self { size, peaks })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the full subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf hash. Amortised two node hashes.
    pub fn push(&mut self, leaf: Hash) {
        self.push_stored(leaf, |_, _| {});
    }

    /// Appends a leaf hash and hands over every hash that a store keeps and that exists from now
    /// on: the leaf itself, and the root of each tile it completes, lowest level first.
    pub fn push_stored(&mut self, leaf: Hash, mut stored: impl FnMut(HashAt, Hash)) {
        stored(HashAt { level: 0, index: self.size }, leaf);
        let mut hash = leaf;
        for height in 1..=self.size.trailing_ones() {
            let left = self.peaks.pop().expect("one peak per set bit of the size");
            hash = node_hash(&left, &hash);
            if height % TILE_HEIGHT == 0 {
                stored(HashAt { level: tile_level(height), index: self.size >> height }, hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
        debug_assert_eq!(self.peaks.len(), self.size.count_ones() as usize);
    }

    /// The root of the tree as it is now.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold_peaks(&self.peaks).unwrap_or_else(empty_root)
    }
}

/// Joins subtree roots (largest first) to one root, from the right. `None` without any.
fn fold_peaks(peaks: &[Hash]) -> Option<Hash> {
    peaks.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

// ---- proving ---------------------------------------------------------------------------------

/// Root of the tree of `size` leaves.
///
/// # Errors
/// [`ProveError::Read`] and [`TreeError::ShortRead`] when the store does not answer.
pub fn tree_root<R: HashReader>(size: u64, reader: &R) -> Result<Hash, ProveError<R::Error>> {
    Ok(frontier(size, reader)?.root())
}

/// Frontier of the tree of `size` leaves: where appending can go on after a restart.
///
/// # Errors
/// As [`tree_root`].
pub fn frontier<R: HashReader>(size: u64, reader: &R) -> Result<Frontier, ProveError<R::Error>> {
    let nodes: Vec<Node> = Span { start: 0, end: size }.peaks().collect();
    let computed = Computed::read(&nodes, reader)?;
    let peaks = nodes.iter().map(|node| computed.node(*node)).collect();
    Ok(Frontier { size, peaks })
}

/// Inclusion path of a leaf, its sibling first (RFC 6962 section 2.1.1).
///
/// # Errors
/// [`TreeError::IndexOutside`], and as [`tree_root`].
pub fn inclusion_path<R: HashReader>(
    index: u64,
    size: u64,
    reader: &R,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    let mut paths = inclusion_paths(&[index], size, reader)?;
    Ok(paths.pop().expect("one path for one index"))
}

/// Inclusion paths of many leaves of one tree, with a single read.
///
/// # Errors
/// As [`inclusion_path`].
pub fn inclusion_paths<R: HashReader>(
    indexes: &[u64],
    size: u64,
    reader: &R,
) -> Result<Vec<Vec<Hash>>, ProveError<R::Error>> {
    if let Some(&index) = indexes.iter().find(|&&index| index >= size) {
        return Err(TreeError::IndexOutside { index, size }.into());
    }
    let plans: Vec<Vec<Span>> = indexes.iter().map(|index| inclusion_plan(*index, size)).collect();
    let nodes: Vec<Node> = plans.iter().flatten().flat_map(Span::peaks).collect();
    let computed = Computed::read(&nodes, reader)?;
    Ok(plans.iter().map(|plan| computed.spans(plan)).collect())
}

/// Consistency path between two sizes of one tree (RFC 6962 section 2.1.2). Empty when the old tree
/// is empty or the sizes are equal: then the roots alone say everything.
///
/// # Errors
/// [`TreeError::OldIsLarger`], and as [`tree_root`].
pub fn consistency_path<R: HashReader>(
    old: u64,
    new: u64,
    reader: &R,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    if old > new {
        return Err(TreeError::OldIsLarger { old, new }.into());
    }
    let plan = consistency_plan(old, new);
    let nodes: Vec<Node> = plan.iter().flat_map(Span::peaks).collect();
    Ok(Computed::read(&nodes, reader)?.spans(&plan))
}

/// PATH(index, D[size]) of RFC 6962, as the spans whose hashes it lists.
fn inclusion_plan(index: u64, size: u64) -> Vec<Span> {
    let mut path = Vec::new();
    let mut span = Span { start: 0, end: size };
    while span.leaves() > 1 {
        let (left, right) = span.split();
        let (toward, sibling) = if index < right.start { (left, right) } else { (right, left) };
        path.push(sibling);
        span = toward;
    }
    path.reverse();
    path
}

/// PROOF(old, D[new]) of RFC 6962, as the spans whose hashes it lists.
fn consistency_plan(old: u64, new: u64) -> Vec<Span> {
    let mut path = Vec::new();
    if old == 0 {
        return path;
    }
    let mut span = Span { start: 0, end: new };
    // Walk down to the node where the old tree ends, noting the siblings.
    while span.end != old {
        let (left, right) = span.split();
        let (toward, sibling) = if old <= right.start { (left, right) } else { (right, left) };
        path.push(sibling);
        span = toward;
    }
    // At start 0 that node is the whole old tree, whose root the checker already has.
    if span.start != 0 {
        path.push(span);
    }
    path.reverse();
    path
}

/// A run of leaves that is one node of the tree, perhaps an incomplete one at the right edge.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// First leaf: a multiple of the smallest power of two not below the number of leaves.
    start: u64,
    /// One after the last leaf.
    end: u64,
}

impl Span {
    fn leaves(&self) -> u64 {
        self.end - self.start
    }

    /// The two children: the left one has the largest power of two below the number of leaves.
    fn split(&self) -> (Self, Self) {
        debug_assert!(self.leaves() > 1, "a leaf has no children");
        let middle = self.start + (1 << (self.leaves() - 1).ilog2());
        (Self { start: self.start, end: middle }, Self { start: middle, end: self.end })
    }

    /// The full subtrees that make up the span, the largest first.
    fn peaks(&self) -> impl Iterator<Item = Node> + use<> {
        let (mut start, mut left) = (self.start, self.leaves());
        std::iter::from_fn(move || {
            let height = left.checked_ilog2()?;
            let node = Node { height, index: start >> height };
            start = start.wrapping_add(1 << height);
            left -= 1 << height;
            Some(node)
        })
    }
}

/// A full subtree of 2^height leaves from `index * 2^height` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    height: u32,
    index: u64,
}

impl Node {
    /// The stored hashes it is computed from: 1 to 128 neighbours of one tile.
    fn stored(self) -> impl Iterator<Item = HashAt> {
        let level = tile_level(self.height);
        let above = self.height % TILE_HEIGHT;
        let first = self.index << above;
        (0..1_u64 << above).map(move |offset| HashAt { level, index: first + offset })
    }
}

fn tile_level(height: u32) -> u8 {
    u8::try_from(height / TILE_HEIGHT).expect("a tree has at most 64 levels")
}

/// The nodes of a plan, computed from one batched read.
struct Computed(BTreeMap<Node, Hash>);

impl Computed {
    fn read<R: HashReader>(nodes: &[Node], reader: &R) -> Result<Self, ProveError<R::Error>> {
        let mut nodes = nodes.to_vec();
        nodes.sort_unstable();
        nodes.dedup();
        let mut wanted: Vec<HashAt> = nodes.iter().flat_map(|node| node.stored()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let hashes = reader.read_hashes(&wanted).map_err(ProveError::Read)?;
        if hashes.len() != wanted.len() {
            let short = TreeError::ShortRead { wanted: wanted.len(), got: hashes.len() };
            return Err(short.into());
        }
        let computed = nodes.iter().map(|node| (*node, join_stored(*node, &wanted, &hashes)));
        Ok(Self(computed.collect()))
    }

    fn node(&self, node: Node) -> Hash {
        self.0[&node]
    }

    fn spans(&self, spans: &[Span]) -> Vec<Hash> {
        let hash = |span: &Span| {
            let peaks: Vec<Hash> = span.peaks().map(|node| self.node(node)).collect();
            fold_peaks(&peaks).expect("a planned span has leaves")
        };
        spans.iter().map(hash).collect()
    }
}

/// Computes a node from its neighbours in the answer to a sorted read.
fn join_stored(node: Node, wanted: &[HashAt], hashes: &[Hash]) -> Hash {
    let first = node.stored().next().expect("a node has a stored hash");
    let start = wanted.binary_search(&first).expect("the plan asked for it");
    // The stored hashes of a node are neighbours, and `wanted` is sorted without gaps among them.
    let mut row = hashes[start..start + (1 << (node.height % TILE_HEIGHT))].to_vec();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    row[0]
}

// ---- checking --------------------------------------------------------------------------------

/// Checks that the leaf is at `index` of the tree with this size and root (RFC 9162 2.1.3.2).
///
/// # Errors
/// [`TreeError::IndexOutside`], [`TreeError::PathLength`], [`TreeError::RootMismatch`].
pub fn check_inclusion(
    index: u64,
    size: u64,
    leaf_hash: &Hash,
    path: &[Hash],
    root: &Hash,
) -> Result<(), TreeError> {
    if index >= size {
        return Err(TreeError::IndexOutside { index, size });
    }
    let mut climb = Climb { node: index, last: size - 1 };
    let mut hash = *leaf_hash;
    for sibling in path {
        hash = match climb.step()? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    climb.finish()?;
    if hash == *root { Ok(()) } else { Err(TreeError::RootMismatch) }
}

/// Checks that the new tree begins with all leaves of the old one (RFC 9162 2.1.4.2).
///
/// Beyond the RFC: with `old` 0 the path is empty and the old root must be the empty root; with
/// equal sizes the path is empty and the roots must be equal.
///
/// # Errors
/// [`TreeError::OldIsLarger`], [`TreeError::PathLength`], [`TreeError::OldRootMismatch`],
/// [`TreeError::RootMismatch`].
pub fn check_consistency(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), TreeError> {
    if old > new {
        return Err(TreeError::OldIsLarger { old, new });
    }
    if old == 0 && *old_root != empty_root() {
        return Err(TreeError::OldRootMismatch);
    }
    if old == new && old_root != new_root {
        return Err(TreeError::RootMismatch);
    }
    if old == 0 || old == new {
        return if path.is_empty() { Ok(()) } else { Err(TreeError::PathLength) };
    }
    check_growth(old, new, old_root, new_root, path)
}

/// The case 0 < old < new: climbs from the node where the old tree ends, computing both roots.
fn check_growth(
    old: u64,
    new: u64,
    old_root: &Hash,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), TreeError> {
    // The old tree is one full subtree: its root is where the climb begins and is not in the path.
    let (first, siblings) = if old.is_power_of_two() {
        (old_root, path)
    } else {
        path.split_first().ok_or(TreeError::PathLength)?
    };
    let full = (old - 1).trailing_ones();
    let mut climb = Climb { node: (old - 1) >> full, last: (new - 1) >> full };
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in siblings {
        match climb.step()? {
            Side::Left => {
                old_hash = node_hash(sibling, &old_hash);
                new_hash = node_hash(sibling, &new_hash);
            }
            Side::Right => new_hash = node_hash(&new_hash, sibling),
        }
    }
    climb.finish()?;
    if old_hash != *old_root {
        return Err(TreeError::OldRootMismatch);
    }
    if new_hash == *new_root { Ok(()) } else { Err(TreeError::RootMismatch) }
}

/// On which side of the climbed node the next sibling stands.
enum Side {
    Left,
    Right,
}

/// A walk from a node to the root: `node` and the `last` node of its level (RFC 9162: fn and sn).
struct Climb {
    node: u64,
    last: u64,
}

impl Climb {
    /// One sibling up. At the right edge, levels on which the node has no sibling are skipped.
    fn step(&mut self) -> Result<Side, TreeError> {
        if self.last == 0 {
            return Err(TreeError::PathLength);
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            // The loop ends: `node` equals `last` here, which is not 0, so it has a set bit.
            while self.node & 1 == 0 {
                self.up();
            }
            Side::Left
        } else {
            Side::Right
        };
        self.up();
        Ok(side)
    }

    fn up(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }

    /// The path is used up: the walk must have reached the root.
    fn finish(&self) -> Result<(), TreeError> {
        if self.last == 0 { Ok(()) } else { Err(TreeError::PathLength) }
    }
}
