//! Events and blocks of a view as JSON: their leaf, and what the ledger knows beside it.
//!
//! Promises: as `leaf_json`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_api::leaf_json::{NotALeaf, block, leaf};
use ledgerline_api::written::{Hex, Members, Sha256};
use ledgerline_proof::hash::Hash;
use ledgerline_view::view::{BlockView, EventView, View};
use serde_json::{Value, json};

use crate::problem::Problem;

/// An event with the states of its parts.
///
/// # Errors
/// When the stored leaf does not decode.
pub fn event(event: &EventView, members: &mut Members<'_>) -> Result<(), NotALeaf> {
    leaf(event.index, &event.leaf, members)?;
    members.say("origin", &*event.origin);
    members.objects("sealed", &event.sealed, |one, members| {
        members.say("n", one.n);
        members.say("handle", Hex(one.slot));
        members.say("erased", one.erased);
    });
    members.list("attachments", event.attachments.iter().map(|one| Sha256(*one)));
    // What proves it now: the published checkpoint, or the receipt's until the next block.
    members.say("proof_state", if event.in_block { "block" } else { "receipt" });
    Ok(())
}

/// A block in a list.
pub fn block_view(view: &BlockView, members: &mut Members<'_>) {
    block(&view.block, members);
    members.set("index", view.index);
    members.set("event_hash", view.event_hash);
}

/// The leaf at an index with its inclusion proof, as JSON.
///
/// # Errors
/// When the ledger cannot prove it.
pub fn inclusion(view: &View, index: u64) -> Result<Value, Problem> {
    let proof = view.proof(index)?;
    Ok(json!({
        "index": proof.index,
        "size": proof.size,
        "leaf": STANDARD.encode(view.leaf(index)?),
        "path": proof.path.iter().map(Hash::to_base64).collect::<Vec<_>>(),
        "checkpoint": &*proof.checkpoint,
    }))
}
