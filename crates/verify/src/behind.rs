//! The incremental verifier, catching up behind the head: what was committed since its last step,
//! judged as the full verification judges it.
//!
//! ```text
//! journal   ├── verified by earlier steps ──┼── this step ──┼── committed ──┤ being written
//!                                         size()          until
//! ```
//!
//! Promises: the same reader, judges and ledger as [`super::verify`], kept between steps: CRCs,
//! MACs, signatures, key index ranges, digests of sealed records and attachments, roots, blocks,
//! chains, stamps and what producers saw. A step reads nothing behind the size it is told, and
//! never writes. Memory: the chains within the bytes given, 8 bytes per 256 entries for the tree.
//!
//! Assumes: steps are taken by one thread, and no sealed record is erased in the middle of one.
//!
//! Not judged here, but by every full verification: chains beyond the memory, uniqueness of event
//! ids, the opening of sealed records, index, vault and head store, and what was verified before: a
//! bit that rots later.

use std::sync::Arc;

use ledgerline_proof::hash::Hash;
use ledgerline_vault::Vault;
use ledgerline_world::disk::Disk;

use super::chains::Chains;
use super::facts::LeafWhat;
use super::grown_tree::GrownTree;
use super::judge::{Context, judge};
use super::ledger::Ledger;
use super::reader::{Overlay, Reader};
use super::report::{Findings, Severity, VerifyFinding};
use super::signatures::Signatures;
use super::{One, VerifyWorld, context, identity};

/// What a [`Behind`] stands on: the files and the keys.
pub struct Ground {
    disk: Arc<dyn Disk>,
    context: Context,
    overlay: Overlay,
}

impl Ground {
    /// Over a ledger's files. `vault` is that of the node that writes it; without a node it is
    /// opened here. `older` are the names of the origins before this one. `None` when the genesis
    /// entry cannot be read.
    #[must_use]
    pub fn new(
        world: &VerifyWorld,
        vault: Option<&Arc<Vault>>,
        older: &[&str],
        signatures: Signatures,
    ) -> Option<Self> {
        let erased_later = std::collections::BTreeMap::new();
        let one = One {
            world,
            shared: &world.disk,
            end: None,
            before: older,
            erased_later: &erased_later,
        };
        let identity = identity(&world.disk)?;
        let context = Context { signatures, ..context(&one, &identity, vault) };
        Some(Self { disk: Arc::clone(&world.disk), context, overlay: Overlay::new() })
    }
}

/// The state between two steps. Owned by one thread.
pub struct Behind<'g> {
    context: &'g Context,
    reader: Reader<'g>,
    ledger: Ledger<'g>,
    block_sealed_at: Option<i64>,
}

impl<'g> Behind<'g> {
    /// Begins at the genesis entry; chains take about `chain_memory_bytes`.
    #[must_use]
    pub fn new(ground: &'g Ground, chain_memory_bytes: usize) -> Self {
        let Ground { disk, context, overlay } = ground;
        let chains = Chains::without_event_ids(chain_memory_bytes);
        Self {
            context,
            reader: Reader::new(disk, Some(context), None, overlay),
            ledger: Ledger::new(context, GrownTree::new(disk), chains),
            block_sealed_at: None,
        }
    }

    /// Entries verified so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.reader.size()
    }

    /// The size of the last commit whose root holds, and that root.
    #[must_use]
    pub const fn last(&self) -> (u64, Hash) {
        self.ledger.last
    }

    /// When the last verified block was sealed, Unix nanoseconds.
    #[must_use]
    pub const fn block_sealed_at(&self) -> Option<i64> {
        self.block_sealed_at
    }

    /// Whether every chain fits into the memory.
    #[must_use]
    pub fn holds_all_chains(&self) -> bool {
        self.ledger.chains.next_pass().is_none()
    }

    /// Reads on, at most about `most` entries and never behind `committed`, and says what does not
    /// hold, worst first.
    pub fn step(&mut self, committed: u64, most: u64) -> Vec<VerifyFinding> {
        let until = committed.min(self.size().saturating_add(most));
        let (context, ledger) = (self.context, &mut self.ledger);
        let sealed_at = &mut self.block_sealed_at;
        self.reader.go_on_until(until, &mut |job| {
            let judged = judge(context, job, true);
            let blocks = judged.leaves.iter().filter(|one| matches!(one.what, LeafWhat::Block));
            let newest = blocks.filter_map(|one| one.recorded_at).next_back();
            *sealed_at = newest.map(|stamp| stamp.nanos).or(*sealed_at);
            ledger.take(judged);
        });
        self.ledger.check_newest_signature();
        let mut found = Findings::default();
        found.absorb(std::mem::take(&mut self.reader.findings));
        found.absorb(std::mem::take(&mut self.ledger.findings));
        let (_, list, _) = found.finish();
        list.into_iter().filter(|one| one.severity < Severity::Notice).collect()
    }
}
