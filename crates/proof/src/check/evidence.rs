//! From leaves to evidence: which leaves are in the tree, and what they say.
//!
//! Promises: only a leaf whose inclusion path leads to the checkpoint's root is read at all. A
//! schema is believed from its SCHEMA leaf on, a key within its index range, and both only through
//! leaves that are in the tree.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::report::Status;
use crate::block::Block;
use crate::bundle::{Base64Hash, Bundle};
use crate::checkpoint::Checkpoint;
use crate::control::{Control, ControlKind, Genesis, KeyAdded};
use crate::entry::Entry;
use crate::hash::{Hash, empty_root, leaf_hash, node_hash};
use crate::hlc::Hlc;
use crate::note::VerifierKey;
use crate::schema::{Kind, SchemaSet};
use crate::statement::Statement;
use crate::tree::check_inclusion;
use crate::wire::{self, DecodeError};

/// A leaf that is in the tree.
pub(super) struct Included<'b> {
    pub index: u64,
    pub hash: Hash,
    pub bytes: &'b [u8],
    pub path: &'b [Base64Hash],
}

/// The leaves that are in the tree; says of the others why not.
pub(super) fn include<'b>(
    bundle: &'b Bundle,
    checkpoint: &Checkpoint,
    inclusion: &mut Status,
) -> Vec<Included<'b>> {
    let mut included: Vec<Included<'b>> = Vec::with_capacity(bundle.leaves.len());
    let mut last = None;
    for proof in &bundle.leaves {
        let index = proof.index.0;
        if last.is_some_and(|last| last >= index) {
            inclusion.fail(format!("leaf {index} does not stand in ascending order"));
            continue;
        }
        last = Some(index);
        let hash = leaf_hash(&proof.leaf.0);
        let path: Vec<Hash> = proof.path.iter().map(|hash| hash.0).collect();
        match check_inclusion(index, checkpoint.size(), &hash, &path, &checkpoint.root()) {
            Ok(()) => {
                let (bytes, path) = (&proof.leaf.0[..], &proof.path[..]);
                included.push(Included { index, hash, bytes, path });
            }
            Err(error) => inclusion.fail(format!("leaf {index}: {error}")),
        }
    }
    included
}

/// An included leaf in the pinned version of its record.
pub(super) struct Readable<'b> {
    leaf: &'b Included<'b>,
    kind: Kind,
    body: Vec<u8>,
    /// Of an entry: the body of its statement.
    statement: Result<Vec<u8>, DecodeError>,
}

/// Brings every leaf into the pinned version, taking up schemas on the way, in ledger order.
/// Also returns the schemas that were proven.
pub(super) fn read<'b>(
    leaves: &'b [Included<'b>],
    readable: &mut Status,
) -> (Vec<Readable<'b>>, SchemaSet) {
    let mut schemas = SchemaSet::new();
    let mut found = Vec::with_capacity(leaves.len());
    for leaf in leaves {
        let index = leaf.index;
        let kind = match schemas.kind_of(leaf.bytes) {
            Some(kind @ (Kind::Entry | Kind::Block | Kind::Control)) => kind,
            Some(kind) => {
                readable.fail(format!("leaf {index} is a {}, which is no leaf", kind.name()));
                continue;
            }
            None => {
                readable.doubt(format!("leaf {index} is under a schema that is not proven"));
                continue;
            }
        };
        match read_leaf(leaf, kind, &schemas) {
            Ok(leaf) => {
                if kind == Kind::Control {
                    announce(&leaf, &mut schemas, readable);
                }
                if let Err(DecodeError::UnknownSchema(_)) = leaf.statement {
                    let why = "is under a schema that is not proven";
                    readable.doubt(format!("the statement of entry {index} {why}"));
                }
                found.push(leaf);
            }
            Err(error) => readable.fail(format!("leaf {index} is not canonical: {error}")),
        }
    }
    (found, schemas)
}

fn read_leaf<'b>(
    leaf: &'b Included<'b>,
    kind: Kind,
    schemas: &SchemaSet,
) -> Result<Readable<'b>, DecodeError> {
    let body = schemas.body(kind, leaf.bytes)?.into_owned();
    // What is no entry has no statement to miss.
    let mut statement = Ok(Vec::new());
    match kind {
        Kind::Entry => {
            let entry: Entry<'_> = wire::decode(&body)?;
            statement = schemas.statement_body(entry.statement).map(Cow::into_owned);
        }
        Kind::Block => {
            wire::decode::<Block>(&body)?;
        }
        _ => {
            wire::decode::<Control<'_>>(&body)?;
        }
    }
    Ok(Readable { leaf, kind, body, statement })
}

fn announce(leaf: &Readable<'_>, schemas: &mut SchemaSet, readable: &mut Status) {
    let Ok(control) = wire::decode::<Control<'_>>(&leaf.body) else { return };
    if let (ControlKind::Schema, Some(record)) = (control.kind, &control.schema)
        && let Err(error) = schemas.announce(record)
    {
        readable.fail(format!("the SCHEMA at {}: {error}", leaf.leaf.index));
    }
}

/// An entry that is in the tree.
pub(super) struct Recorded<'r> {
    pub index: u64,
    pub hash: Hash,
    pub entry: Entry<'r>,
    pub statement: Result<Statement<'r>, DecodeError>,
}

/// A block entry that is in the tree, with the root of the tree before it.
pub(super) struct Closed {
    pub index: u64,
    pub hash: Hash,
    pub block: Block,
    pub root_before: Hash,
}

/// A registered key: valid for entries in `valid_from..=valid_until`.
pub(super) struct ProvenKey<'r> {
    pub added: KeyAdded<'r>,
    pub valid_from: u64,
    pub valid_until: Option<u64>,
    pub compromised_at: Option<u64>,
}

/// What the included leaves say.
#[derive(Default)]
pub(super) struct Evidence<'r> {
    pub genesis: Option<(Hash, Genesis<'r>)>,
    pub keys: BTreeMap<&'r str, ProvenKey<'r>>,
    pub blocks: Vec<Closed>,
    pub entries: Vec<Recorded<'r>>,
}

/// Sorts the leaves by what they are. Leaves come in ledger order, and their stamps must ascend.
pub(super) fn gather<'r>(
    leaves: &'r [Readable<'_>],
    size: u64,
    order: &mut Status,
) -> Evidence<'r> {
    let mut evidence = Evidence::default();
    let mut last: Option<Hlc> = None;
    for leaf in leaves {
        let index = leaf.leaf.index;
        let Some(stamp) = evidence.take(leaf, size) else { continue };
        if last.is_some_and(|last| last >= stamp) {
            order.fail(format!("leaf {index} is not stamped later than the leaf before it"));
        }
        last = Some(stamp);
    }
    evidence
}

impl<'r> Evidence<'r> {
    /// Takes one leaf; its stamp. `None` cannot happen: the body was decoded before.
    fn take(&mut self, leaf: &'r Readable<'_>, size: u64) -> Option<Hlc> {
        let (index, hash) = (leaf.leaf.index, leaf.leaf.hash);
        match leaf.kind {
            Kind::Entry => {
                let entry: Entry<'r> = wire::decode(&leaf.body).ok()?;
                let stamp = entry.recorded_at;
                let statement = leaf
                    .statement
                    .as_ref()
                    .map_err(Clone::clone)
                    .and_then(|body| wire::decode(body));
                self.entries.push(Recorded { index, hash, entry, statement });
                Some(stamp)
            }
            Kind::Block => {
                let block: Block = wire::decode(&leaf.body).ok()?;
                let stamp = block.sealed_at;
                let root_before = root_before(index, size, leaf.leaf.path);
                self.blocks.push(Closed { index, hash, block, root_before });
                Some(stamp)
            }
            _ => {
                let control: Control<'r> = wire::decode(&leaf.body).ok()?;
                let stamp = control.recorded_at;
                self.take_control(index, hash, control);
                Some(stamp)
            }
        }
    }

    fn take_control(&mut self, index: u64, hash: Hash, control: Control<'r>) {
        match control.kind {
            ControlKind::Genesis if index == 0 => {
                self.genesis = control.genesis.map(|genesis| (hash, genesis));
            }
            ControlKind::KeyAdded => {
                let Some(added) = control.key_added else { return };
                let (valid_from, valid_until) = (index.saturating_add(1), None);
                let key = ProvenKey { added, valid_from, valid_until, compromised_at: None };
                // A key id is never reused: the first one counts.
                self.keys.entry(key.added.key_id).or_insert(key);
            }
            ControlKind::KeyRetired | ControlKind::KeyCompromised => {
                let Some(ended) = control.key_ended else { return };
                let Some(key) = self.keys.get_mut(ended.key_id) else { return };
                if control.kind == ControlKind::KeyCompromised {
                    key.compromised_at = key.compromised_at.or(Some(index));
                }
                key.valid_until = key.valid_until.or(Some(index));
            }
            _ => {}
        }
    }

    /// The block that closes over the entry at `index`, of those shown.
    pub fn closing(&self, index: u64) -> Option<&Closed> {
        let at = self.blocks.partition_point(|closed| closed.index <= index);
        let closed = self.blocks.get(at)?;
        (u64::try_from(closed.block.first_index).ok()? <= index).then_some(closed)
    }
}

/// The root of the tree of `index` leaves, from the inclusion path of leaf `index`: the hashes on
/// the left of the path are the full subtrees that this tree is made of, the smallest first.
///
/// Assumes that the path was checked, so its length is right.
fn root_before(index: u64, size: u64, path: &[Base64Hash]) -> Hash {
    let mut on_left = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + (1 << (end - start - 1).ilog2());
        let goes_right = index >= middle;
        on_left.push(goes_right);
        (start, end) = if goes_right { (middle, end) } else { (start, middle) };
    }
    let siblings = on_left.iter().rev().zip(path).filter(|(left, _)| **left);
    let joined = siblings.map(|(_, hash)| hash.0).reduce(|right, left| node_hash(&left, &right));
    joined.unwrap_or_else(empty_root)
}

/// Whether GENESIS is shown and is of this origin and log.
pub(super) fn judge_genesis(
    evidence: &Evidence<'_>,
    checkpoint: &Checkpoint,
    signers: &[&VerifierKey],
) -> Status {
    let Some((_, genesis)) = &evidence.genesis else {
        return Status::Failed("the bundle does not prove a GENESIS at index 0".to_owned());
    };
    let mut status = Status::Proven;
    if genesis.origin != checkpoint.origin() {
        status.fail(format!("it is of origin {:?}", genesis.origin));
    }
    if !signers.iter().any(|key| key.to_string() == genesis.log_key) {
        status.fail("it names another log key than the one that signed the checkpoint");
    }
    status
}

/// Whether the blocks hold, and every entry lies in one.
pub(super) fn judge_blocks(evidence: &Evidence<'_>) -> Status {
    let mut status = Status::Proven;
    let mut before: Option<&Closed> = None;
    for closed in &evidence.blocks {
        judge_block(closed, before, &mut status);
        before = Some(closed);
    }
    for recorded in &evidence.entries {
        let index = recorded.index;
        let Some(closed) = evidence.closing(index) else {
            status.doubt(format!("the bundle shows no block that closes over entry {index}"));
            continue;
        };
        let block = &closed.block;
        let within = |first: Option<Hlc>, at: Hlc, last: Option<Hlc>| {
            first.is_some_and(|first| first <= at) && last.is_some_and(|last| at <= last)
        };
        let recorded_at = recorded.entry.recorded_at;
        if !within(block.first_recorded_at, recorded_at, block.last_recorded_at) {
            status.fail(format!("entry {index} is not stamped within its block"));
        }
        if let Ok(statement) = &recorded.statement
            && !within(block.min_occurred_at, statement.occurred_at, block.max_occurred_at)
        {
            status.fail(format!("entry {index} did not occur within its block's times"));
        }
    }
    status
}

fn judge_block(closed: &Closed, before: Option<&Closed>, status: &mut Status) {
    let Closed { index, block, root_before, .. } = closed;
    let first = u64::try_from(block.first_index).ok();
    let count = u64::try_from(block.count).ok();
    let covered = first.zip(count).and_then(|(first, count)| first.checked_add(count));
    if covered != Some(*index) {
        status.fail(format!("block entry {index} does not close the range right before it"));
    }
    if block.tree_root != *root_before {
        status.fail(format!("block entry {index} names another root than the tree's"));
    }
    let Some(before) = before else { return };
    if first.is_some_and(|first| first <= before.index) {
        status.fail(format!("block entry {index} overlaps the block before it"));
    }
    if first == before.index.checked_add(1)
        && (block.previous != before.hash
            || before.block.height.checked_add(1) != Some(block.height))
    {
        status.fail(format!("block entry {index} does not follow the block before it"));
    }
}
