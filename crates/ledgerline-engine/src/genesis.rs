//! What a ledger is, for ever: its GENESIS, planned once and read at every start.
//!
//! Promises: [`plan_genesis`] plans commit 0 as DESIGN fixes it: GENESIS, one SCHEMA for each
//! record, block 0. [`identity_of`] reads back what it wrote.
//!
//! Refuses: a first leaf that is no GENESIS.

use std::sync::Arc;

use ledgerline_proof::control::{Control, ControlKind, Genesis, Predecessor, SchemaText};
use ledgerline_proof::hash::{Hash, empty_root, leaf_hash};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::{Kind, Leaf};

use crate::disk::{Disk, OpenMode};
use crate::entropy::random;
use crate::journal::format::{SegmentHeader, segment_path};
use crate::journal::scan::{Scanned, SegmentScan};
use crate::opening::{OpenError, World};
use crate::origins::Named;
use crate::refusals::RefusalSummary;
use crate::sequencer::Sequencer;

/// What a ledger is, for ever.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id.
    pub ledger_id: [u8; 16],
    /// Event hash of its genesis leaf.
    pub genesis: Hash,
    /// The deployment.
    pub deployment: Arc<str>,
    /// The origin.
    pub origin: Arc<str>,
    /// The log's verifier key.
    pub log_key: Arc<str>,
    /// The origin before it.
    pub predecessor: Option<Named>,
}

/// Plans commit 0 of the ledger `identity`, but for its event hash: GENESIS, a SCHEMA each, block
/// 0.
pub(crate) fn plan_genesis(world: &World, identity: &Identity, sequencer: &mut Sequencer) {
    let entropy = world.entropy.as_ref();
    let wall = world.clock.wall_nanos();
    let before = identity.predecessor.as_ref();
    let predecessor =
        before.map(|one| Predecessor { origin: &one.origin, checkpoint: &one.checkpoint });
    sequencer.record_control(wall, |recorded_at| Control {
        genesis: Some(Genesis {
            ledger_id: identity.ledger_id,
            deployment: &identity.deployment,
            origin: &identity.origin,
            log_key: &identity.log_key,
            shard: 0,
            shard_count: 1,
            shard_hash: "none",
            predecessor,
        }),
        ..control(ControlKind::Genesis, recorded_at, random(entropy))
    });
    for kind in Kind::ANNOUNCED {
        sequencer.record_control(wall, |recorded_at| Control {
            schema: Some(SchemaText {
                name: kind.name(),
                fingerprint: kind.fingerprint(),
                sha256: kind.sha256(),
                text: kind.text(),
            }),
            ..control(ControlKind::Schema, recorded_at, random(entropy))
        });
    }
    let none = RefusalSummary { count: 0, root: empty_root(), pairs: Vec::new() };
    sequencer.seal_block(&none, wall);
}

/// A control record with nothing set but its kind.
#[must_use]
pub fn control<'c>(kind: ControlKind, recorded_at: Hlc, blind: [u8; 16]) -> Control<'c> {
    Control {
        kind,
        recorded_at,
        genesis: None,
        schema: None,
        key_added: None,
        key_ended: None,
        recovered: None,
        blind,
    }
}

/// The genesis leaf as it stands at the start of segment 0.
///
/// # Errors
/// When segment 0 does not begin with one.
pub fn read_genesis(disk: &dyn Disk) -> Result<(SegmentHeader, Vec<u8>), OpenError> {
    let file = disk.open(&segment_path(0), OpenMode::Read)?;
    let mut bytes = vec![0; crate::journal::format::HEADER_BYTES];
    file.read_exact_at(&mut bytes, 0)?;
    let header = SegmentHeader::decode(&bytes).ok_or(OpenError::Genesis(
        "the header of segment 0 does not hold; run `ledgerline verify`",
    ))?;
    let mut scan = SegmentScan::new(file.as_ref(), &header)?;
    if let Scanned::Batch(batch) = scan.next_batch()?
        && let Some((_, leaf)) = batch.leaves().next()
    {
        return Ok((header, leaf.to_vec()));
    }
    Err(OpenError::Genesis("the genesis batch does not hold; run `ledgerline verify`"))
}

/// What a ledger says of itself at index 0.
///
/// # Errors
/// When the leaf is no GENESIS.
pub fn identity_of(header: &SegmentHeader, leaf: &[u8]) -> Result<Identity, OpenError> {
    let Ok(Leaf::Control(Control { genesis: Some(genesis), .. })) = Leaf::decode(leaf) else {
        return Err(OpenError::Genesis("the first leaf is no GENESIS; run `ledgerline verify`"));
    };
    Ok(Identity {
        ledger_id: header.ledger_id,
        genesis: leaf_hash(leaf),
        deployment: genesis.deployment.into(),
        origin: genesis.origin.into(),
        log_key: genesis.log_key.into(),
        predecessor: genesis.predecessor.map(|before| Named {
            origin: before.origin.into(),
            checkpoint: before.checkpoint.into(),
        }),
    })
}
