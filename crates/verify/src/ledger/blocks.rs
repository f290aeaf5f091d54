//! Block entries and control leaves.

use ledgerline_journal::scan::ScannedBatch;
use ledgerline_proof::block::Block;
use ledgerline_proof::block_builder::BlockState;
use ledgerline_proof::control::{Control, ControlKind, Genesis};
use ledgerline_proof::hash::{Hash, empty_root};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::schema::{Kind, decode_object};

use super::Ledger;
use crate::facts::LeafRef;

/// The block in the making.
pub(super) struct Blocks {
    /// `None` behind a gap, until the next block entry.
    state: Option<BlockState>,
    refused: u64,
}

impl Default for Blocks {
    fn default() -> Self {
        Self { state: Some(BlockState::genesis()), refused: 0 }
    }
}

impl Blocks {
    /// Takes a leaf into the block.
    pub fn cover(&mut self, recorded_at: Hlc, occurred_at: Option<Hlc>, refused: u64) {
        if let Some(state) = &mut self.state {
            state.cover(recorded_at, occurred_at);
        }
        self.refused = self.refused.saturating_add(refused);
    }

    /// Entries are missing: the next block cannot be compared.
    pub fn lose(&mut self) {
        self.state = None;
    }
}

/// The first thing in which a block entry differs from what it covers.
fn block_differs(
    block: &Block,
    state: &BlockState,
    index: u64,
    root: Option<Hash>,
    refused: u64,
) -> Option<&'static str> {
    let count = index.checked_sub(state.first_index)?;
    let same = |found: i64, due: u64| u64::try_from(found) == Ok(due);
    let ends = |range: Option<(Hlc, Hlc)>| (range.map(|one| one.0), range.map(|one| one.1));
    let refusals = same(block.refused_count, 0) == (block.refused_root == empty_root());
    let checks = [
        (same(block.height, state.height), "height"),
        (block.previous == state.previous, "previous block"),
        (same(block.first_index, state.first_index) && same(block.count, count), "range"),
        (root.is_none_or(|root| root == block.tree_root), "root"),
        ((block.min_occurred_at, block.max_occurred_at) == ends(state.occurred), "event times"),
        (
            (block.first_recorded_at, block.last_recorded_at) == ends(state.recorded),
            "recorded times",
        ),
        (refusals && same(block.refused_count, refused), "refusals"),
        (block.key_maps.is_empty(), "key maps"),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map(|(_, what)| what)
}

impl Ledger<'_> {
    /// A block entry. `root` is the root in front of it when it is the last leaf of its commit.
    pub(super) fn block(
        &mut self,
        batch: &ScannedBatch,
        at: u64,
        bytes: &[u8],
        LeafRef { index, hash }: LeafRef,
        root: Option<Hash>,
    ) {
        self.counts.blocks += 1;
        let Ok(block) = decode_object::<Block>(Kind::Block, bytes) else { return };
        if root.is_none() {
            let what = format!("block entry {index} is not the last leaf of its commit");
            self.error("block_place", batch, at, what).first_bad_index = Some(index);
        }
        let refused = std::mem::take(&mut self.blocks.refused);
        let root = root.filter(|_| self.roots_hold());
        if let Some(state) = &self.blocks.state
            && let Some(differs) = block_differs(&block, state, index, root, refused)
        {
            let first = state.first_index;
            let what = format!(
                "block entry {index} says something else of the entries {first} to {index} than \
                 they are: its {differs}"
            );
            self.error("block", batch, at, what).first_bad_index = Some(index);
        }
        self.blocks.state = Some(BlockState::after(block.height.cast_unsigned(), index, hash));
    }

    /// A control leaf.
    pub(super) fn control(&mut self, batch: &ScannedBatch, at: u64, bytes: &[u8], index: u64) {
        self.counts.controls += 1;
        let Ok(control) = decode_object::<Control<'_>>(Kind::Control, bytes) else { return };
        self.blocks.cover(control.recorded_at, None, 0);
        if let Some(what) = self.control_breaks(&control, batch, index) {
            let what = format!("control entry {index}: {what}");
            self.error("control", batch, at, what).first_bad_index = Some(index);
        }
    }

    fn control_breaks(
        &mut self,
        control: &Control<'_>,
        batch: &ScannedBatch,
        index: u64,
    ) -> Option<String> {
        let parts = [
            (control.genesis.is_some(), &[ControlKind::Genesis][..]),
            (control.schema.is_some(), &[ControlKind::Schema]),
            (control.key_added.is_some(), &[ControlKind::KeyAdded]),
            (control.key_ended.is_some(), &[ControlKind::KeyRetired, ControlKind::KeyCompromised]),
            (control.recovered.is_some(), &[ControlKind::Recovered]),
            (control.cut.is_some(), &[ControlKind::Cut]),
        ];
        if parts.iter().any(|(set, kinds)| *set != kinds.contains(&control.kind)) {
            return Some("its parts are not those of its kind".into());
        }
        if let Some(cut) = &control.cut {
            // No GENESIS can say yet that its ledger is a top ledger, so none is.
            let ledgers = cut.heads.len();
            return Some(format!(
                "it is a CUT, which only a top ledger may hold, and this ledger is none; what it \
                 says of {ledgers} ledgers was not checked and stands for nothing"
            ));
        }
        if (index == 0) != control.genesis.is_some() {
            return Some("GENESIS is the first entry, and only that".into());
        }
        let pinned =
            usize::try_from(index).ok().and_then(|n| Kind::ANNOUNCED.get(n.checked_sub(1)?));
        if let Some(kind) = pinned
            && control.schema.as_ref().is_none_or(|schema| *schema != kind.schema_text())
        {
            return Some(format!("it must announce {}", kind.name()));
        }
        if let Some(genesis) = &control.genesis {
            return self.genesis_breaks(genesis).map(str::to_owned);
        }
        if let Some(schema) = &control.schema {
            return self.schemas.announce(schema).err().map(|error| error.to_string());
        }
        let key = |key_id: &str| self.context.registry.key(key_id);
        if let Some(added) = &control.key_added {
            let first = key(added.key_id).is_some_and(|key| key.valid_from == index + 1);
            return (!first).then(|| "the key id was used before".into());
        }
        if let Some(ended) = &control.key_ended {
            let known = key(ended.key_id);
            let ends = known.as_ref().is_some_and(|key| key.valid_until == Some(index));
            // That a key leaked may be found out after it ended, once.
            let leaked = control.kind == ControlKind::KeyCompromised;
            let is_new = leaked && self.compromised.insert(ended.key_id.to_owned());
            let before = |until| until < index;
            let late = is_new && known.is_some_and(|key| key.valid_until.is_some_and(before));
            return (!ends && !late).then(|| "the key it ends is unknown or ended before".into());
        }
        if let Some(recovered) = &control.recovered {
            if let Some(digest) = recovered.torn_digest {
                self.torn.push((digest, index));
            }
            let size = u64::try_from(recovered.size) == Ok(index);
            let epoch = u64::try_from(recovered.epoch) == Ok(batch.head.epoch);
            return (!size || !epoch).then(|| "it recovered another size or epoch".into());
        }
        None
    }

    fn genesis_breaks(&self, genesis: &Genesis<'_>) -> Option<&'static str> {
        if genesis.ledger_id != self.context.ledger_id {
            return Some("it is of another ledger than the segments");
        }
        let log_key = VerifierKey::parse(genesis.log_key);
        if log_key.is_ok_and(|key| key.name() == genesis.origin) {
            None
        } else {
            Some("its log key is no key of its origin")
        }
    }
}
