//! The contract suite of [`LeafStore`], and the plainest store that keeps it.
//!
//! Promises: [`leaf_store_contract`] asks an implementation everything that [`LeafStore`] promises
//! of whole leaves, and panics at the first answer that is another one.
//!
//! Refuses: to judge speed, and to damage anything: how a store notices that its bytes are not the
//! tree's is a matter of how it keeps them.

use std::ops::{ControlFlow, Range};

use crate::format::{AttachmentRecord, SealedRecord};
use crate::leaf_store::{LeafStore, ReadError, StoredLeaf};

/// Leaves of the suite.
const LEAVES: u64 = 600;

/// All leaves in memory.
#[derive(Debug, Default)]
pub struct NaiveLeaves(pub Vec<StoredLeaf>);

impl NaiveLeaves {
    fn at(&self, index: u64) -> Result<&StoredLeaf, ReadError> {
        let at = usize::try_from(index).ok();
        at.and_then(|at| self.0.get(at)).ok_or(ReadError::Damaged { index })
    }
}

impl LeafStore for NaiveLeaves {
    fn leaves(&self, at: &[u64]) -> Result<Vec<Vec<u8>>, ReadError> {
        at.iter().map(|index| Ok(self.at(*index)?.bytes.clone())).collect()
    }

    fn stored(&self, at: &[u64]) -> Result<Vec<StoredLeaf>, ReadError> {
        at.iter().map(|index| self.at(*index).cloned()).collect()
    }

    fn each(
        &self,
        range: Range<u64>,
        each: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        for index in range {
            if each(index, &self.at(index)?.bytes).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The leaves of the suite: long and short ones, some with records and attachments beside them.
fn leaves() -> Vec<StoredLeaf> {
    let leaf = |index: u64| {
        let byte = u8::try_from(index % 251).expect("small");
        let length = match index {
            40 => 70_000,
            _ => 1 + usize::from(byte) * 5,
        };
        let sealed = (0..byte % 3).map(|n| SealedRecord {
            n,
            slot: [byte; 16],
            sealed: vec![byte | 1; 40],
            erased: false,
        });
        let attachment = AttachmentRecord {
            digest: ledgerline_proof::hash::sha256(&[byte]),
            media_type: "text/plain".to_owned(),
            data: vec![byte; 900],
        };
        StoredLeaf {
            bytes: [&index.to_be_bytes()[..], &vec![byte; length]].concat(),
            sealed: sealed.collect(),
            attachments: (index % 50 == 7).then_some(attachment).into_iter().collect(),
        }
    };
    (0..LEAVES).map(leaf).collect()
}

/// Runs the suite. `make` builds a store of some leaves.
///
/// # Panics
/// When the store breaks the contract.
pub fn leaf_store_contract(make: &dyn Fn(&[StoredLeaf]) -> Box<dyn LeafStore>) {
    let all = leaves();
    let store = make(&all);
    let is_at = |index: &u64| &all[usize::try_from(*index).expect("small")];
    let lists: [Vec<u64>; 7] = [
        Vec::new(),
        vec![0],
        vec![LEAVES - 1],
        vec![39, 40, 41],
        (0..LEAVES).collect(),
        (0..LEAVES).step_by(7).collect(),
        vec![0, 1, 2, 250, 251, 300, 310, LEAVES - 1],
    ];
    for at in &lists {
        let found = store.leaves(at).expect("leaves");
        let expected: Vec<&Vec<u8>> = at.iter().map(|index| &is_at(index).bytes).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "leaves at {at:?}");
        let found = store.stored(at).expect("leaves with what travels beside them");
        let expected: Vec<&StoredLeaf> = at.iter().map(is_at).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "stored at {at:?}");
    }
    assert_eq!(store.leaf(17).expect("a leaf"), is_at(&17).bytes);
    for (range, most) in [(0..LEAVES, usize::MAX), (5..5, 9), (38..300, 100), (0..LEAVES, 1)] {
        let mut found = Vec::new();
        let each = &mut |index, leaf: &[u8]| {
            found.push((index, leaf.to_vec()));
            if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        store.each(range.clone(), each).expect("a range");
        let expected: Vec<_> =
            range.clone().take(most).map(|index| (index, is_at(&index).bytes.clone())).collect();
        assert!(found == expected, "{range:?}, at most {most}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ledgerline_proof::hash::{Hash, leaf_hash};
    use ledgerline_world::disk::{Disk, OpenMode};
    use ledgerline_world::fake::SimDisk;

    use super::*;
    use crate::format::{FrameBinding, FrameType, HEADER_BYTES, SegmentHeader, segment_path};
    use crate::reader::JournalReader;
    use crate::tree_store::{Position, TreeAddition, TreeStore};

    const LEDGER: [u8; 16] = [9; 16];

    /// A journal of two segments that holds some leaves.
    fn journal(all: &[StoredLeaf]) -> (SimDisk, JournalReader) {
        let disk = SimDisk::new(1);
        disk.create_dir("journal").expect("a folder");
        let store = TreeStore::open(&disk).expect("a store");
        let halves = all.split_at(all.len() / 2);
        let mut addition = TreeAddition::default();
        let mut index = 0_u64;
        for (segment, half) in [(0, halves.0), (1, halves.1)] {
            let header = SegmentHeader {
                ledger_id: LEDGER,
                number: segment,
                first_index: index,
                root: Hash([0; 32]),
                previous_mac: Hash([0; 32]),
            };
            let binding = FrameBinding::new(&LEDGER, segment);
            let mut bytes = header.encode().to_vec();
            assert_eq!(bytes.len(), HEADER_BYTES);
            for leaf in half {
                let offset = u32::try_from(bytes.len()).expect("small");
                addition.positions.push(Position { segment, offset });
                addition.leaves.push(leaf_hash(&leaf.bytes));
                binding.put(&mut bytes, 0, FrameType::Entry, &[&leaf.bytes]);
                for one in &leaf.sealed {
                    let parts = [&one.prefix(index)[..], &one.sealed];
                    binding.put(&mut bytes, 0, FrameType::Sealed, &parts);
                }
                for one in &leaf.attachments {
                    let parts = [&one.prefix(index)[..], &one.data];
                    binding.put(&mut bytes, 0, FrameType::Attachment, &parts);
                }
                index += 1;
            }
            binding.put(&mut bytes, 0, FrameType::Commit, &[&[0; 64]]);
            let file = disk.open(&segment_path(segment), OpenMode::Create).expect("a segment");
            file.write_all_at(&bytes, 0).expect("written");
        }
        store.put(&addition).expect("written");
        let reader = JournalReader::new(Arc::new(disk.clone()), LEDGER, store);
        (disk, reader)
    }

    #[test]
    fn the_plainest_store_keeps_the_contract() {
        leaf_store_contract(&|all| Box::new(NaiveLeaves(all.to_vec())));
    }

    #[test]
    fn the_journal_keeps_the_contract() {
        leaf_store_contract(&|all| Box::new(journal(all).1));
    }

    #[test]
    fn a_damaged_leaf_fails_the_whole_call_and_is_named() {
        let (disk, reader) = journal(&leaves());
        let at = reader.store().position(41).expect("a position");
        let file = disk.open(&segment_path(at.segment), OpenMode::Create).expect("a segment");
        file.write_all_at(&[0xff; 4], u64::from(at.offset) + 20).expect("written");
        for list in [vec![41], vec![39, 40, 41, 42], vec![3, 41, 590]] {
            let found = reader.leaves(&list);
            assert!(matches!(found, Err(ReadError::Damaged { index: 41 })), "{list:?}");
        }
        assert_eq!(reader.leaves(&[40, 42]).expect("the others").len(), 2);
    }

    /// A way to break the contract.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Flaw {
        ForgetsTheOrder,
        LosesWhatTravelsBeside,
        GoesOnForEver,
    }

    struct Flawed(NaiveLeaves, Flaw);

    impl LeafStore for Flawed {
        fn leaves(&self, at: &[u64]) -> Result<Vec<Vec<u8>>, ReadError> {
            let mut leaves = self.0.leaves(at)?;
            if self.1 == Flaw::ForgetsTheOrder {
                leaves.reverse();
            }
            Ok(leaves)
        }

        fn stored(&self, at: &[u64]) -> Result<Vec<StoredLeaf>, ReadError> {
            let mut stored = self.0.stored(at)?;
            if self.1 == Flaw::LosesWhatTravelsBeside {
                stored.iter_mut().for_each(|one| one.sealed.clear());
            }
            Ok(stored)
        }

        fn each(
            &self,
            range: Range<u64>,
            each: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
        ) -> Result<(), ReadError> {
            self.0.each(range, &mut |index, leaf| match each(index, leaf) {
                ControlFlow::Break(()) if self.1 != Flaw::GoesOnForEver => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
        }
    }

    #[test]
    fn a_broken_store_is_found_out() {
        let flaws = [Flaw::ForgetsTheOrder, Flaw::LosesWhatTravelsBeside, Flaw::GoesOnForEver];
        for flaw in flaws {
            let judged = std::panic::catch_unwind(|| {
                leaf_store_contract(&|all| Box::new(Flawed(NaiveLeaves(all.to_vec()), flaw)));
            });
            assert!(judged.is_err(), "{flaw:?} went unnoticed");
        }
    }
}
