//! Events and blocks of a view as JSON: their leaf, and what the ledger knows beside it.
//!
//! Promises: as `leaf_json`.

use ledgerline_api::leaf_json::{NotALeaf, block, leaf};
use ledgerline_api::written::{Hex, Members, Sha256};
use ledgerline_view::view::{BlockView, EventView};

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
