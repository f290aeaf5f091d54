//! The stored tree is sliced into tiles that are byte-exact C2SP, at every size at which a border
//! lies, against a tree that is computed here by the recursive definition of RFC 6962.

use std::collections::BTreeSet;

use ledgerline_journal::tree_store::{Position, TreeAddition, TreeStore};
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::tile::{TileKind, tiles};
use ledgerline_proof::tree::{self, Frontier};
use ledgerline_world::fake::{Random, SimDisk};
use sha2::{Digest as _, Sha256};

/// MTH of RFC 6962 section 2.1, straight from its definition.
fn mth(leaves: &[Hash]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => leaf.0,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            let (left, right) = leaves.split_at(k);
            let parts = [&[1][..], &mth(left), &mth(right)].concat();
            Sha256::digest(parts).into()
        }
    }
}

/// The path of C2SP tlog-tiles, written a second time.
fn path_of(kind: TileKind, index: u64, width: usize) -> String {
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.insert(0, format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    let level = match kind {
        TileKind::Hashes(level) => level.to_string(),
        TileKind::Entries => "entries".to_owned(),
    };
    let partial = if width < 256 { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{}{partial}", groups.join("/"))
}

/// Appends leaves to a store in batches of random length; gives the leaf hashes.
fn grow(store: &TreeStore, size: u64, random: &mut Random) -> Vec<Hash> {
    let mut frontier = Frontier::new();
    let mut leaves = Vec::new();
    while frontier.size() < size {
        let count = random.range(1..3000).min(size - frontier.size());
        let first_index = frontier.size();
        let mut addition = TreeAddition { first_index, ..TreeAddition::default() };
        for index in first_index..first_index + count {
            let leaf = leaf_hash(&index.to_be_bytes());
            frontier.push_stored(leaf, |at, hash| {
                if at.level > 0 {
                    addition.upper.push((at, hash));
                }
            });
            addition.leaves.push(leaf);
            addition.positions.push(Position { segment: 0, offset: 0 });
            leaves.push(leaf);
        }
        store.put(&addition).unwrap();
    }
    leaves
}

fn check(size: u64) {
    let store = TreeStore::open(&SimDisk::new(size)).unwrap();
    let leaves = grow(&store, size, &mut Random::new(size));
    let root = tree::tree_root(size, &store).unwrap();
    assert_eq!(root.0, mth(&leaves), "root of size {size}");
    let mut paths = BTreeSet::new();
    for tile in tiles(size) {
        let width = usize::from(tile.width());
        assert_eq!(tile.path(), path_of(tile.kind(), tile.index(), width));
        assert!(paths.insert(tile.path()));
        let TileKind::Hashes(level) = tile.kind() else { continue };
        let stored = store.read_run(level, tile.index() * 256, width).unwrap();
        let span = 256usize.pow(u32::from(level));
        for (at, hash) in stored.chunks_exact(32).enumerate() {
            let first = (usize::try_from(tile.index()).unwrap() * 256 + at) * span;
            assert_eq!(hash, mth(&leaves[first..first + span]), "{} hash {at}", tile.path());
        }
    }
    let expected = (0..).map(|level| size >> (8 * level)).take_while(|count| *count > 0);
    let expected: u64 = expected.map(|count| count.div_ceil(256)).sum();
    assert_eq!(paths.len() as u64, expected + size.div_ceil(256), "tiles and bundles of {size}");
}

#[test]
fn tiles_are_exact_at_every_border() {
    let mut random = Random::new(6962);
    let borders = [0, 1, 2, 255, 256, 257, 65_535, 65_536, 70_000];
    for size in borders.into_iter().chain((0..6).map(|_| random.below(5_000))) {
        check(size);
    }
}
