//! The tree against a naive reading of RFC 6962, against `ct-merkle`, and against changed proofs.

use std::cell::Cell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::OnceLock;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ledgerline_proof::hash::{Hash, empty_root, leaf_hash, node_hash};
use ledgerline_proof::tree::{
    Frontier, HashAt, HashReader, ProveError, TreeError, check_consistency, check_inclusion,
    consistency_path, frontier, inclusion_path, inclusion_paths, tree_root,
};
use proptest::prelude::*;
use sha2::Sha256;

// ---- the naive tree: RFC 6962 section 2.1, written as it stands there -------------------------

fn split(leaves: usize) -> usize {
    let mut k = 1;
    while k * 2 < leaves {
        k *= 2;
    }
    k
}

fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&mth(left), &mth(right))
        }
    }
}

fn naive_inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if index < k {
        (naive_inclusion(index, left), mth(right))
    } else {
        (naive_inclusion(index - k, right), mth(left))
    };
    path.push(sibling);
    path
}

fn naive_consistency(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if old <= k {
        (naive_consistency(old, left, whole), mth(right))
    } else {
        (naive_consistency(old - k, right, false), mth(left))
    };
    path.push(sibling);
    path
}

// ---- a store that keeps tile levels only ------------------------------------------------------

#[derive(Default)]
struct Store {
    frontier: Frontier,
    hashes: HashMap<HashAt, Hash>,
    /// Root after each push; `roots[size]`.
    roots: Vec<Hash>,
    reads: Cell<usize>,
}

impl Store {
    fn of(size: u64) -> Self {
        let mut store = Self { roots: vec![empty_root()], ..Self::default() };
        for index in 0..size {
            let hashes = &mut store.hashes;
            store.frontier.push_stored(leaf(index), |at, hash| {
                assert!(hashes.insert(at, hash).is_none(), "{at:?} was handed over twice");
            });
            store.roots.push(store.frontier.root());
        }
        store
    }

    fn root(&self, size: u64) -> Hash {
        self.roots[usize::try_from(size).unwrap()]
    }
}

impl HashReader for Store {
    type Error = Infallible;

    fn read_hashes(&self, wanted: &[HashAt]) -> Result<Vec<Hash>, Infallible> {
        self.reads.set(self.reads.get() + 1);
        assert!(wanted.is_sorted_by(|a, b| a < b), "sorted, no duplicates");
        Ok(wanted.iter().map(|at| self.hashes[at]).collect())
    }
}

fn entry(index: u64) -> Vec<u8> {
    index.to_be_bytes().to_vec()
}

fn leaf(index: u64) -> Hash {
    leaf_hash(&entry(index))
}

fn leaves(size: u64) -> Vec<Hash> {
    (0..size).map(leaf).collect()
}

// ---- tests ------------------------------------------------------------------------------------

const SMALL: u64 = 130;

#[test]
fn every_small_tree_agrees_with_the_naive_one_and_with_ct_merkle() {
    let store = Store::of(SMALL);
    let all = leaves(SMALL);
    let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for size in 0..=SMALL {
        let here = &all[..usize::try_from(size).unwrap()];
        let root = mth(here);
        assert_eq!(tree_root(size, &store).unwrap(), root, "root of {size}");
        assert_eq!(store.root(size), root, "pushed root of {size}");
        assert_eq!(oracle.root().as_bytes().as_slice(), root.as_bytes(), "oracle root of {size}");
        check_small_inclusion(&store, &oracle, size, here);
        check_small_consistency(&store, &oracle, size, here);
        oracle.push(entry(size));
    }
}

fn check_small_inclusion(
    store: &Store,
    oracle: &MemoryBackedTree<Sha256, Vec<u8>>,
    size: u64,
    here: &[Hash],
) {
    let indexes: Vec<u64> = (0..size).collect();
    let paths = inclusion_paths(&indexes, size, store).unwrap();
    assert_eq!(paths.len(), here.len());
    let root = mth(here);
    for (index, path) in paths.iter().enumerate() {
        assert_eq!(*path, naive_inclusion(index, here), "path of {index} in {size}");
        let bytes: Vec<u8> = path.iter().flat_map(|hash| hash.0).collect();
        assert_eq!(oracle.prove_inclusion(index).as_bytes(), bytes, "oracle {index} in {size}");
        let at = index as u64;
        assert_eq!(check_inclusion(at, size, &here[index], path, &root), Ok(()));
        let mut longer = path.clone();
        longer.push(root);
        let long = check_inclusion(at, size, &here[index], &longer, &root);
        assert_eq!(long, Err(TreeError::PathLength));
        if let Some((_, shorter)) = path.split_last() {
            let short = check_inclusion(at, size, &here[index], shorter, &root);
            assert_eq!(short, Err(TreeError::PathLength));
        }
    }
}

fn check_small_consistency(
    store: &Store,
    oracle: &MemoryBackedTree<Sha256, Vec<u8>>,
    new: u64,
    here: &[Hash],
) {
    let new_root = mth(here);
    for old in 0..=new {
        let path = consistency_path(old, new, store).unwrap();
        let old_root = store.root(old);
        assert_eq!(check_consistency(old, new, &old_root, &new_root, &path), Ok(()));
        let mut longer = path.clone();
        longer.push(new_root);
        let long = check_consistency(old, new, &old_root, &new_root, &longer);
        assert_eq!(long, Err(TreeError::PathLength), "{old} to {new}, longer");
        if let Some((_, shorter)) = path.split_last() {
            let short = check_consistency(old, new, &old_root, &new_root, shorter);
            assert_eq!(short, Err(TreeError::PathLength), "{old} to {new}, shorter");
        }
        if old == 0 {
            assert_eq!(path, []);
            continue;
        }
        let at = usize::try_from(old).unwrap();
        assert_eq!(path, naive_consistency(at, here, true), "{old} to {new}");
        let bytes: Vec<u8> = path.iter().flat_map(|hash| hash.0).collect();
        assert_eq!(oracle.prove_consistency(here.len() - at).as_bytes(), bytes, "{old} to {new}");
    }
}

/// Sizes around tile borders, where stored levels begin.
const BORDERS: [u64; 12] = [1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 65_792, 70_000];

fn large() -> Store {
    Store::of(70_000)
}

#[test]
fn proofs_hold_around_tile_borders() {
    let store = large();
    for (position, &size) in BORDERS.iter().enumerate() {
        let root = store.root(size);
        assert_eq!(tree_root(size, &store).unwrap(), root);
        let indexes = [0, 1, size / 3, size / 2, size - 1].map(|index: u64| index.min(size - 1));
        for (index, path) in indexes.iter().zip(inclusion_paths(&indexes, size, &store).unwrap()) {
            assert_eq!(check_inclusion(*index, size, &leaf(*index), &path, &root), Ok(()));
        }
        for &old in &BORDERS[..=position] {
            let path = consistency_path(old, size, &store).unwrap();
            assert_eq!(check_consistency(old, size, &store.root(old), &root, &path), Ok(()));
        }
    }
}

#[test]
fn stored_hashes_are_the_roots_of_full_tiles() {
    let store = large();
    let all = leaves(70_000);
    for ((at, hash), level_leaves) in store.hashes.iter().map(|(at, hash)| {
        let width = 256_usize.pow(u32::from(at.level));
        let start = usize::try_from(at.index).unwrap() * width;
        ((at, hash), &all[start..start + width])
    }) {
        assert_eq!(*hash, mth(level_leaves), "{at:?}");
    }
    let count = |level| store.hashes.keys().filter(|at| at.level == level).count();
    assert_eq!([0, 1, 2, 3].map(count), [70_000, 273, 1, 0]);
}

#[test]
fn a_frontier_goes_on_where_it_was_read() {
    let store = Store::of(700);
    for size in [0, 1, 255, 256, 257, 600, 699] {
        let mut resumed = frontier(size, &store).unwrap();
        let parts = Frontier::from_peaks(size, resumed.peaks().to_vec());
        assert_eq!(parts.as_ref(), Ok(&resumed));
        assert_eq!((resumed.size(), resumed.root()), (size, store.root(size)));
        (size..700).for_each(|index| resumed.push(leaf(index)));
        assert_eq!(resumed, store.frontier, "resumed at {size}");
    }
    let odd = Frontier::from_peaks(3, vec![leaf(0)]);
    assert_eq!(odd, Err(TreeError::FrontierShape { size: 3, got: 1 }));
}

#[test]
fn each_proof_takes_one_read_and_few_hashes() {
    let store = large();
    inclusion_path(12_345, 70_000, &store).unwrap();
    consistency_path(12_345, 70_000, &store).unwrap();
    inclusion_paths(&[1, 2, 3, 69_999], 70_000, &store).unwrap();
    frontier(70_000, &store).unwrap();
    assert_eq!(store.reads.get(), 4);
    inclusion_paths(&[], 70_000, &store).unwrap();
    tree_root(0, &store).unwrap();
    assert_eq!(store.reads.get(), 4, "nothing wanted, nothing read");
}

struct Short;

impl HashReader for Short {
    type Error = &'static str;

    fn read_hashes(&self, wanted: &[HashAt]) -> Result<Vec<Hash>, &'static str> {
        if wanted.len() > 3 { Err("disk on fire") } else { Ok(vec![Hash::ZERO; wanted.len() - 1]) }
    }
}

#[test]
fn wrong_questions_and_silent_stores_are_errors() {
    let store = Store::of(10);
    for (index, size) in [(0, 0), (10, 10), (11, 10), (u64::MAX, 10)] {
        let outside = TreeError::IndexOutside { index, size };
        let path = inclusion_path(index, size, &store);
        assert!(matches!(path, Err(ProveError::Tree(error)) if error == outside));
        let checked = check_inclusion(index, size, &leaf(0), &[], &store.root(size));
        assert_eq!(checked, Err(outside));
    }
    let larger = TreeError::OldIsLarger { old: 6, new: 5 };
    assert!(matches!(consistency_path(6, 5, &store), Err(ProveError::Tree(e)) if e == larger));
    let checked = check_consistency(6, 5, &store.root(6), &store.root(5), &[]);
    assert_eq!(checked, Err(larger));

    let short = TreeError::ShortRead { wanted: 3, got: 2 };
    assert!(matches!(tree_root(3, &Short), Err(ProveError::Tree(error)) if error == short));
    assert!(matches!(tree_root(4, &Short), Err(ProveError::Read("disk on fire"))));
}

#[test]
fn consistency_without_a_path_compares_roots() {
    let store = Store::of(5);
    let (empty, three, five) = (store.root(0), store.root(3), store.root(5));
    let cases = [
        (0, 0, empty, empty, Ok(())),
        (0, 5, empty, five, Ok(())),
        (5, 5, five, five, Ok(())),
        (0, 0, five, five, Err(TreeError::OldRootMismatch)),
        (0, 5, five, five, Err(TreeError::OldRootMismatch)),
        (0, 0, empty, five, Err(TreeError::RootMismatch)),
        (5, 5, three, five, Err(TreeError::RootMismatch)),
        (3, 5, three, five, Err(TreeError::PathLength)),
    ];
    for (old, new, old_root, new_root, expected) in cases {
        let got = check_consistency(old, new, &old_root, &new_root, &[]);
        assert_eq!(got, expected, "{old} to {new}");
    }
}

#[test]
fn the_largest_sizes_do_not_overflow() {
    let root = leaf(0);
    for size in [u64::MAX, 1 << 63, (1 << 63) + 1] {
        for index in [0, size / 2, size - 1] {
            let checked = check_inclusion(index, size, &root, &[root; 64], &root);
            assert!(checked.is_err(), "{index} in {size}");
        }
        for old in [1, size / 2, size - 1] {
            assert!(check_consistency(old, size, &root, &root, &[root; 65]).is_err());
        }
    }
    struct Zeros;
    impl HashReader for Zeros {
        type Error = Infallible;

        fn read_hashes(&self, wanted: &[HashAt]) -> Result<Vec<Hash>, Infallible> {
            Ok(vec![Hash::ZERO; wanted.len()])
        }
    }
    assert_eq!(inclusion_path(0, u64::MAX, &Zeros).unwrap().len(), 64);
    assert_eq!(frontier(u64::MAX, &Zeros).unwrap().peaks().len(), 64);
    assert_eq!(consistency_path(1 << 63, u64::MAX, &Zeros).unwrap().len(), 1);
}

// ---- changed proofs ---------------------------------------------------------------------------

fn shared() -> (&'static HashMap<HashAt, Hash>, &'static [Hash]) {
    static STORE: OnceLock<(HashMap<HashAt, Hash>, Vec<Hash>)> = OnceLock::new();
    let (hashes, roots) = STORE.get_or_init(|| {
        let store = Store::of(1200);
        (store.hashes, store.roots)
    });
    (hashes, roots)
}

struct Shared;

impl HashReader for Shared {
    type Error = Infallible;

    fn read_hashes(&self, wanted: &[HashAt]) -> Result<Vec<Hash>, Infallible> {
        Ok(wanted.iter().map(|at| shared().0[at]).collect())
    }
}

fn shared_root(size: u64) -> Hash {
    shared().1[usize::try_from(size).unwrap()]
}

fn flip(hash: &mut Hash, bit: usize) {
    hash.0[bit % 256 / 8] ^= 1 << (bit % 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn one_changed_bit_breaks_an_inclusion_proof(
        size in 1_u64..=1200, pick in any::<u64>(), bit in any::<usize>(), index_bit in 0_u32..64,
    ) {
        let index = pick % size;
        let root = shared_root(size);
        let path = inclusion_path(index, size, &Shared).unwrap();
        prop_assert_eq!(check_inclusion(index, size, &leaf(index), &path, &root), Ok(()));

        for position in 0..path.len() {
            let mut changed = path.clone();
            flip(&mut changed[position], bit);
            let got = check_inclusion(index, size, &leaf(index), &changed, &root);
            prop_assert_eq!(got, Err(TreeError::RootMismatch));
        }
        let (mut changed_leaf, mut changed_root) = (leaf(index), root);
        flip(&mut changed_leaf, bit);
        flip(&mut changed_root, bit);
        prop_assert!(check_inclusion(index, size, &changed_leaf, &path, &root).is_err());
        prop_assert!(check_inclusion(index, size, &leaf(index), &path, &changed_root).is_err());
        let other = index ^ (1 << index_bit);
        prop_assert!(check_inclusion(other, size, &leaf(index), &path, &root).is_err());
    }

    #[test]
    fn one_changed_bit_breaks_a_consistency_proof(
        new in 1_u64..=1200, pick in any::<u64>(), bit in any::<usize>(),
    ) {
        let old = 1 + pick % new;
        let (old_root, new_root) = (shared_root(old), shared_root(new));
        let path = consistency_path(old, new, &Shared).unwrap();
        prop_assert_eq!(check_consistency(old, new, &old_root, &new_root, &path), Ok(()));

        for position in 0..path.len() {
            let mut changed = path.clone();
            flip(&mut changed[position], bit);
            prop_assert!(check_consistency(old, new, &old_root, &new_root, &changed).is_err());
        }
        let (mut changed_old, mut changed_new) = (old_root, new_root);
        flip(&mut changed_old, bit);
        flip(&mut changed_new, bit);
        prop_assert!(check_consistency(old, new, &changed_old, &new_root, &path).is_err());
        prop_assert!(check_consistency(old, new, &old_root, &changed_new, &path).is_err());
    }
}
