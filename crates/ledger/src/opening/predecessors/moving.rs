//! How an origin ends and makes room for the next.
//!
//! ```text
//! begin    recover the restored copy ─▶ head store: origin-<n> ─▶ origins/moving
//! finish   each file of journal, tree, index, erasures ─▶ origins/<n>/…
//!          origins/moving ─▶ origins/<n>/end          (then opening.rs creates the next origin)
//! ```
//!
//! Promises: before `origins/moving` is durable nothing has happened but a recovery; from then on
//! every start finishes the move. Files are renamed, never copied, and each rename may be repeated.
//! The note becomes `end` only when no file of the old origin is left behind, so the rooms of the
//! next origin can never be taken for those of the old one.
//!
//! Refuses: to end an origin that the head store is not ahead of.

use std::sync::Arc;

use ledgerline_journal::end_note::{EndNote, MOVING, end_path, folder};
use ledgerline_view::committed::base;
use ledgerline_world::disk::Disk;

use super::{build_runs, ends};
use crate::opening::{
    LedgerConfig, OpenError, Restored, World, last_block_size, log_key, reapply_erasures, restore,
};
use crate::publisher::PublishError;
use crate::publisher::signing::CheckpointSigner;

/// The rooms that belong to one origin.
const ROOMS: [&str; 4] = ["journal", "tree", "index", "erasures"];

/// Ends the origin at hand, which `next` is to continue.
///
/// # Errors
/// [`OpenError::NotBehind`] when nothing of it is lost; otherwise as a recovery.
pub(crate) fn begin(world: &World, config: &LedgerConfig, next: &str) -> Result<(), OpenError> {
    let older = ends(world.disk.as_ref())?;
    let refused = |why: &str| Err(OpenError::NewOrigin(why.to_owned()));
    if older.iter().any(|end| end.origin == next) {
        return refused("an older origin has this name already: choose another");
    }
    log_key(world, next)?;
    CheckpointSigner::new(&world.keys, next)
        .map_err(|_| OpenError::NewOrigin("the name is too long".to_owned()))?;
    let restored = restore(world, config, (true, false))?;
    let Restored { identity, head, known, rooms, recovered, .. } = restored;
    let committed = recovered.committed();
    let size = committed.size();
    let published = head.note()?;
    let Some((note, _)) = published.zip(known.filter(|(head, _)| *head > size)) else {
        return Err(OpenError::NotBehind { size, head: known.map(|(head, _)| head) });
    };
    reapply_erasures(world.disk.as_ref(), &identity, &rooms, size)?;
    build_runs(&rooms, size)?;
    let slots = rooms.vault.total_slots();
    rooms.vault.retire_below(slots);
    rooms.vault.snapshot(base(&rooms.predecessors) + size)?;
    let mut signer = CheckpointSigner::new(&world.keys, &identity.origin)
        .map_err(|_| OpenError::Genesis("the origin is too long to sign checkpoints"))?;
    let block_size = last_block_size(&rooms, size)?;
    let at_block = committed.earlier(block_size, rooms.reader.store())?;
    let block = signer.sign(&at_block).map_err(PublishError::from)?;
    let last = signer.sign(&committed).map_err(PublishError::from)?;
    let text = |note: Vec<u8>| String::from_utf8(note).expect("notes are text");
    let torn = recovered.torn.as_ref();
    let end = EndNote {
        origin: identity.origin.to_string(),
        next: next.to_owned(),
        size,
        checkpoint: text(last.note.to_bytes()),
        block_checkpoint: text(block.note.to_bytes()),
        published: text(note),
        slots,
        torn_bytes: torn.map_or(0, |torn| torn.bytes),
        torn_digest: torn.map(|torn| torn.digest),
    };
    end.tell(world.head_disk.as_ref(), older.len())?;
    Ok(end.write(world.disk.as_ref())?)
}

/// Finishes a move that was begun.
///
/// # Errors
/// Whatever the disk says; the next start goes on.
pub(crate) fn finish(disk: &Arc<dyn Disk>) -> Result<(), OpenError> {
    if !disk.exists(MOVING)? {
        return Ok(());
    }
    // A start that was cut off may have found the name before it was durable.
    disk.sync_dir("origins")?;
    EndNote::read(disk.as_ref(), MOVING)?;
    let number = ends(disk.as_ref())?.len();
    for room in ROOMS {
        let to = format!("{}/{room}", folder(number));
        disk.create_dir(&to)?;
        for name in disk.list(room)? {
            disk.rename(&format!("{room}/{name}"), &format!("{to}/{name}"))?;
        }
        disk.sync_dir(&to)?;
        if disk.exists(room)? {
            disk.sync_dir(room)?;
        }
    }
    disk.rename(MOVING, &end_path(number))?;
    disk.sync_dir(&folder(number))?;
    Ok(disk.sync_dir("origins")?)
}
