//! What only the whole ledger can say: tree, roots, chains, stamps, control leaves, `seen`.
//!
//! Promises: batches are taken in order, on one thread. A root that does not hold is traced to the
//! entry when `tree/0` still knows the hash that was committed to; then everything behind is judged
//! against that hash, so that one changed entry gives one finding (and one for its successor's link
//! at most).

use std::collections::{BTreeMap, BTreeSet};

use ledgerline_journal::format::segment_path;
use ledgerline_journal::scan::ScannedBatch;
use ledgerline_journal::tree_store::Position;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::SchemaSet;

mod blocks;

use super::chains::{Broken, Chains};
use super::facts::{EventFacts, LeafFacts, LeafRef, LeafWhat};
use super::grown_tree::GrownTree;
use super::index_files::IndexSums;
use super::judge::{Context, Judged};
use super::names::name_of_leaf;
use super::report::{Counts, Findings, Severity, VerifyFinding};
use super::signatures::Kept;
use blocks::Blocks;

/// Roots at commits that are kept in memory for `seen`.
const MAX_ROOTS: usize = 65_536;
/// No more missing entries than this are filled in from the stored tree.
const MAX_FILLED: u64 = 10_000_000;
/// Missing entries are filled in so many at a time.
const FILL_STEP: u64 = 4096;

/// The state of the first pass, which checks everything.
pub(super) struct Ledger<'l> {
    pub context: &'l Context,
    pub tree: GrownTree,
    pub chains: Chains,
    pub findings: Findings,
    pub counts: Counts,
    pub unverifiable: BTreeMap<String, u64>,
    /// Postings per range, when the index is compared.
    pub index: Option<IndexSums>,
    /// Roots at sizes that somebody will ask for.
    pub wanted: BTreeMap<u64, Option<Hash>>,
    /// Size and root of the last commit whose root holds.
    pub last: (u64, Hash),
    /// Handles with a committed ERASED.
    pub erased: BTreeMap<[u8; 16], u64>,
    /// Slots with records erased in place, and the first entry of each.
    pub erased_slots: BTreeMap<[u8; 16], u64>,
    /// Digests of cut bytes that RECOVERED leaves name.
    pub torn: Vec<(Hash, u64)>,
    /// Keys that were called compromised.
    pub(super) compromised: BTreeSet<String>,
    /// Whether the newest leaf is a block entry.
    pub ends_in_block: bool,
    /// The largest size at which a producer saw the root that stands here.
    pub agreed: u64,
    /// Lifecycle violations of all passes, by code.
    pub violations: BTreeMap<&'static str, u64>,
    /// `seen` fields whose root is not known any more.
    pub seen_unknown: u64,
    blocks: Blocks,
    pub(super) schemas: SchemaSet,
    last_stamp: Option<Hlc>,
    roots: BTreeMap<u64, Hash>,
    roots_broken: bool,
    /// The newest kept signature.
    kept: Option<Kept>,
}

impl<'l> Ledger<'l> {
    pub fn new(context: &'l Context, tree: GrownTree, chains: Chains) -> Self {
        let last = (0, tree.root());
        Self {
            context,
            tree,
            chains,
            findings: Findings::default(),
            counts: Counts::default(),
            unverifiable: BTreeMap::new(),
            index: None,
            wanted: BTreeMap::new(),
            last,
            erased: BTreeMap::new(),
            erased_slots: BTreeMap::new(),
            torn: Vec::new(),
            compromised: BTreeSet::new(),
            ends_in_block: false,
            agreed: 0,
            seen_unknown: 0,
            violations: BTreeMap::new(),
            blocks: Blocks::default(),
            schemas: SchemaSet::new(),
            last_stamp: None,
            roots: BTreeMap::new(),
            roots_broken: false,
            kept: None,
        }
    }

    /// Whether roots are still compared: not behind one that could not be explained.
    pub fn roots_hold(&self) -> bool {
        !self.roots_broken
    }

    /// An error at a place of a batch.
    pub fn error(
        &mut self,
        code: &'static str,
        batch: &ScannedBatch,
        at: u64,
        what: String,
    ) -> &mut VerifyFinding {
        let path = segment_path(batch.segment);
        let finding = VerifyFinding::new(Severity::Error, code, &path, what).at(at);
        self.findings.push_and_get(finding)
    }

    /// Takes the next batch.
    pub fn take(&mut self, judged: Judged) {
        let Judged { job, leaves, tally, kept } = judged;
        let batch = &job.batch;
        if job.base > self.tree.size() {
            self.fill_gap(job.base);
        }
        let first = self.tree.size();
        let computed: Vec<Hash> = leaves.iter().map(|leaf| leaf.hash).collect();
        let ends_in_block = leaves.last().is_some_and(|one| matches!(one.what, LeafWhat::Block));
        let (hashes, root_before_last) = self.settle(batch, first, computed, ends_in_block);
        let positions = leaves.iter().map(|leaf| Position {
            segment: batch.segment,
            offset: u32::try_from(leaf.at).unwrap_or(u32::MAX),
        });
        self.tree.compare_leaves(first, &hashes, positions);
        self.counts.commits += 1;
        self.kept = kept;
        let last = leaves.len().saturating_sub(1);
        for (n, (facts, (_, bytes))) in leaves.iter().zip(batch.leaves()).enumerate() {
            let index = first + n as u64;
            if let Some(index_sums) = &mut self.index {
                index_sums.add(index, facts);
            }
            if let Some(stamp) = facts.recorded_at {
                self.stamp(batch, facts.at, index, stamp);
            }
            self.ends_in_block = matches!(facts.what, LeafWhat::Block);
            match &facts.what {
                LeafWhat::Event(event) => {
                    self.event(batch, facts, event, LeafRef { index, hash: hashes[n] });
                }
                LeafWhat::Block => {
                    let root = root_before_last.filter(|_| n == last);
                    self.block(batch, facts.at, bytes, LeafRef { index, hash: hashes[n] }, root);
                }
                LeafWhat::Control => self.control(batch, facts.at, bytes, index),
                LeafWhat::Unreadable => self.chains.gap(index, index + 1),
            }
        }
        self.findings.extend(tally.findings);
        self.counts.signatures += tally.signatures;
        self.counts.checkpoint_signatures += tally.checkpoint_signatures;
        self.counts.kept_signatures += tally.kept_signatures;
        self.counts.sealed += tally.sealed;
        self.counts.opened += tally.opened;
        self.counts.attachments += tally.attachments;
        self.counts.erased += tally.erased.len() as u64;
        for (key_id, count) in tally.unverifiable {
            *self.unverifiable.entry(key_id).or_default() += count;
        }
        for (slot, index) in tally.erased {
            self.erased_slots.entry(slot).or_insert(index);
        }
        self.chains.shrink();
    }

    /// Checks the newest kept signature, unless that was done: it vouches for all before it.
    pub fn check_newest_signature(&mut self) {
        let Some(kept) = self.kept.take().filter(|kept| !kept.checked) else { return };
        let Some(log_key) = &self.context.log_key else { return };
        self.counts.checkpoint_signatures += 1;
        if !kept.holds(&self.context.origin, log_key) {
            let path = segment_path(kept.segment);
            let what = kept.complaint();
            let finding = VerifyFinding::new(Severity::Error, "checkpoint_signature", &path, what);
            let mut finding = finding.at(kept.start);
            finding.first_bad_index = Some(kept.base);
            self.findings.push(finding);
        }
    }

    /// Appends the leaves, noting roots that will be asked for. Gives the root without the last
    /// leaf, if that is a block: nobody else asks for it.
    fn push(&mut self, hashes: &[Hash], ends_in_block: bool) -> Option<Hash> {
        let (last, before) = hashes.split_last()?;
        let end = self.tree.size() + hashes.len() as u64;
        let asked: Vec<u64> =
            self.wanted.range(self.tree.size() + 1..end).map(|(size, _)| *size).collect();
        let mut rest = before;
        for size in asked {
            let count = usize::try_from(size - self.tree.size()).expect("inside the batch");
            let (now, later) = rest.split_at(count);
            self.tree.push(now);
            self.wanted.insert(size, Some(self.tree.root()));
            rest = later;
        }
        self.tree.push(rest);
        let root = ends_in_block.then(|| self.tree.root());
        self.tree.push(std::slice::from_ref(last));
        if let Some(wanted) = self.wanted.get_mut(&end) {
            *wanted = Some(self.tree.root());
        }
        root
    }

    /// Appends the leaves that the commit's root commits to. Gives their hashes, and the root
    /// without the last one.
    fn settle(
        &mut self,
        batch: &ScannedBatch,
        first: u64,
        computed: Vec<Hash>,
        ends_in_block: bool,
    ) -> (Vec<Hash>, Option<Hash>) {
        let commit = &batch.commit;
        let size = first + computed.len() as u64;
        let mark = self.tree.mark();
        let before_last = self.push(&computed, ends_in_block);
        let fits = |ledger: &Self| commit.size == size && ledger.tree.root() == commit.root;
        if fits(self) {
            self.hold(size, commit.root);
            return (computed, before_last);
        }
        if self.roots_broken {
            return (computed, before_last);
        }
        let stored = self.tree.stored_leaves(first, computed.len());
        if let Some(stored) = stored {
            self.tree.back_to(&mark);
            let stored_before_last = self.push(&stored, ends_in_block);
            if fits(self) {
                self.changed(batch, first, &computed, &stored);
                self.hold(size, commit.root);
                return (stored, stored_before_last);
            }
            self.tree.back_to(&mark);
            self.push(&computed, false);
        }
        self.root_broken(batch, first, size);
        (computed, before_last)
    }

    /// The root at this size is the one that was committed.
    fn hold(&mut self, size: u64, root: Hash) {
        self.last = (size, root);
        self.roots.insert(size, root);
        if self.roots.len() > MAX_ROOTS {
            self.roots.pop_first();
        }
    }

    /// Names the entries whose hash is not the committed one.
    fn changed(&mut self, batch: &ScannedBatch, first: u64, computed: &[Hash], stored: &[Hash]) {
        let pairs = computed.iter().zip(stored);
        for (index, ((at, bytes), (found, due))) in (first..).zip(batch.leaves().zip(pairs)) {
            if found != due {
                let what = format!("entry {index} is not the one that was committed");
                let finding = self.error("entry_changed", batch, at, what);
                *finding = finding.clone().entry(index).of(name_of_leaf(bytes));
            }
        }
    }

    fn root_broken(&mut self, batch: &ScannedBatch, first: u64, size: u64) {
        self.roots_broken = true;
        let what = format!(
            "the root of the commit at size {} is not that of its entries: one of the entries \
             {first} to {} was changed, or one before them; later roots are not compared",
            batch.commit.size,
            size.saturating_sub(1)
        );
        let finding = self.error("root", batch, batch.start, what);
        let names = batch.leaves().map(|(_, bytes)| name_of_leaf(bytes));
        let named = names.fold(finding.clone(), VerifyFinding::of);
        *finding = named.entry(first);
    }

    /// Fills missing entries in from the stored tree, so that what follows can be judged.
    fn fill_gap(&mut self, to: u64) {
        let from = self.tree.size();
        self.chains.gap(from, to);
        self.blocks.lose();
        if to - from > MAX_FILLED {
            self.roots_broken = true;
        }
        while self.tree.size() < to && !self.roots_broken {
            let first = self.tree.size();
            let count = usize::try_from((to - first).min(FILL_STEP)).expect("bounded");
            match self.tree.stored_leaves(first, count) {
                Some(leaves) => {
                    self.push(&leaves, false);
                }
                None => self.roots_broken = true,
            }
        }
        if self.tree.size() < to {
            self.tree.skip_to(to);
        }
    }

    fn stamp(&mut self, batch: &ScannedBatch, at: u64, index: u64, stamp: Hlc) {
        if self.last_stamp.is_some_and(|last| stamp <= last) {
            let what = format!("entry {index} was recorded before the one in front of it");
            self.error("recorded_at", batch, at, what).first_bad_index = Some(index);
        }
        self.last_stamp = self.last_stamp.max(Some(stamp));
    }

    fn event(
        &mut self,
        batch: &ScannedBatch,
        facts: &LeafFacts,
        event: &EventFacts,
        LeafRef { index, hash }: LeafRef,
    ) {
        self.counts.events += 1;
        let recorded_at = facts.recorded_at.unwrap_or(Hlc::at(0));
        self.blocks.cover(recorded_at, Some(event.occurred_at), event.refused.unwrap_or(0));
        self.link(batch, facts, event, LeafRef { index, hash });
        if let Some(handle) = event.erased {
            self.erased.entry(handle).or_insert(index);
        }
        if let Some(seen) = &event.seen {
            let (size, root) = **seen;
            self.seen(batch, facts.at, index, size, root);
        }
    }

    /// Chain and lifecycle of an event, as far as they belong to this pass; its event id is noted.
    pub fn link(
        &mut self,
        batch: &ScannedBatch,
        facts: &LeafFacts,
        event: &EventFacts,
        LeafRef { index, hash }: LeafRef,
    ) {
        match self.chains.take(index, hash, event) {
            Ok(()) => {}
            Err(Broken::BehindGap) => {
                let what = "its chain goes on from an entry that is lost";
                self.broken(batch, facts.at, index, "chain_gap", what);
            }
            Err(Broken::Link(what)) => self.broken(batch, facts.at, index, "chain", what),
        }
    }

    /// A finding about one event, with its chain's name.
    pub fn broken(
        &mut self,
        batch: &ScannedBatch,
        at: u64,
        index: u64,
        code: &'static str,
        what: &str,
    ) {
        let name = batch.leaves().find(|(offset, _)| *offset == at);
        let name = name.and_then(|(_, bytes)| name_of_leaf(bytes));
        let finding = self.error(code, batch, at, format!("entry {index}: {what}"));
        *finding = finding.clone().entry(index).of(name);
    }

    /// What a producer says it saw of this ledger.
    fn seen(&mut self, batch: &ScannedBatch, at: u64, index: u64, size: u64, root: Hash) {
        if size > index {
            let what = format!(
                "the producer of entry {index} saw a checkpoint of size {size}, which the ledger \
                 did not have then: entries behind {index} were removed or replaced"
            );
            self.error("seen_future", batch, at, what).first_bad_index = Some(index);
            return;
        }
        let known = self.roots.get(&size).copied();
        match known.or_else(|| self.tree.root_at(size)) {
            Some(known) if known == root => {
                self.counts.seen += 1;
                self.agreed = self.agreed.max(size);
            }
            Some(_) => {
                let agreed = self.agreed;
                let what = format!(
                    "the producer of entry {index} saw another root at size {size}: an entry below \
                     {size} was rewritten since (up to size {agreed} others saw the same as stands \
                     here)"
                );
                self.error("seen_other_root", batch, at, what);
            }
            None => self.seen_unknown += 1,
        }
    }
}
