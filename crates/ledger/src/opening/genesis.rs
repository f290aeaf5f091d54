//! The first commit of a ledger.
//!
//! Promises: [`plan_genesis`] plans commit 0 as DESIGN fixes it: GENESIS, one SCHEMA for each
//! record, block 0. [`ledgerline_view::identity::identity_of`] reads back what it wrote.

use ledgerline_proof::control::{Control, ControlKind, Genesis, Predecessor, SchemaText};
use ledgerline_proof::hash::empty_root;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::schema::Kind;
use ledgerline_view::identity::Identity;
use ledgerline_world::entropy::random;

use crate::opening::World;
use crate::refusals::RefusalSummary;
use crate::sequencer::Sequencer;

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
        cut: None,
    }
}
