//! Events and blocks of a view as the forms of answers: their leaf, and what the ledger knows
//! beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_api::log::{Block, Inclusion, ProofState, Recorded, Sealed};
use ledgerline_api::recorded::{self, NotALeaf};
use ledgerline_api::values::{Digest, Handle};
use ledgerline_view::view::{BlockView, EventView, View};

use crate::problem::Problem;

/// An event with the states of its parts.
///
/// # Errors
/// When the stored leaf does not decode.
pub fn event(event: &EventView) -> Result<Recorded<'_>, NotALeaf> {
    let sealed = event.sealed.iter().map(|one| Sealed {
        n: one.n,
        handle: Handle(one.slot),
        erased: one.erased,
    });
    Ok(Recorded {
        origin: Some((&*event.origin).into()),
        sealed: sealed.collect(),
        attachments: event.attachments.iter().copied().map(Digest).collect(),
        // What proves it now: the published checkpoint, or the receipt's until the next block.
        proof_state: Some(ProofState::of(event.in_block)),
        ..recorded::event(event.index, &event.leaf)?
    })
}

/// A block in a list.
#[must_use]
pub fn block_view(view: &BlockView) -> Block<'static> {
    recorded::block_of(view.index, view.event_hash, &view.block)
}

/// The inclusion proof of the leaf at an index.
///
/// # Errors
/// When the ledger cannot prove it.
pub fn inclusion(view: &View, index: u64) -> Result<Inclusion<'static>, Problem> {
    let proof = view.proof(index)?;
    Ok(Inclusion {
        index: proof.index,
        size: proof.size,
        leaf: STANDARD.encode(view.leaf(index)?).into(),
        path: proof.path.iter().map(|hash| hash.to_base64().into()).collect(),
        checkpoint: proof.checkpoint.to_string().into(),
    })
}
