//! Predecessors: older origins that this ledger continues, after a copy behind the head store was
//! restored.
//!
//! ```text
//! journal/ tree/ index/ erasures/       the newest origin, the only one that is written to
//! origins/<n>/journal, tree, index,     origin n, 0 is the oldest; nothing is appended any more
//!             erasures
//! origins/<n>/end                       where it ends (end_note.rs)
//! origins/moving                        the next `end`, while the rooms move (moving.rs)
//! vault/ torn/ quarantine/              shared by all
//! ```
//!
//! Promises: an older origin ends where its signed checkpoint in `end` says, or the start is
//! refused. Its leaves are read under its own tree. What is derived may be lost there as elsewhere.
//! Positions run through all origins, oldest first: the position of a leaf is its index plus the
//! sizes of all older origins.
//!
//! Assumes: one key ring for all origins. Older origins are small in number: each is asked in turn.
//!
//! Refuses: to append to an older origin; a ledger whose GENESIS names a predecessor that is not
//! there.

mod moving;

use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) use self::moving::{begin, finish};

use ledgerline_index::terms::leaf_terms;
use ledgerline_index::{IndexError, Progress};
use ledgerline_journal::end_note::{EndNote, end_path, folder};
use ledgerline_journal::erasure;
use ledgerline_journal::recovery::{self, RecoverError};
use ledgerline_journal::scan::ScannedBatch;
use ledgerline_journal::tree_store::TreeStore;
use ledgerline_proof::control::{Control, ControlKind, Recovered};
use ledgerline_proof::hash::HmacKey;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_vault::Vault;
use ledgerline_view::committed::{Predecessor, Published, Rooms, SequencerRooms};
use ledgerline_view::identity::{PredecessorRef, identity_of, read_genesis};
use ledgerline_view::registry::Registry;
use ledgerline_world::disk::{Below, Disk};
use ledgerline_world::entropy::random;

use crate::opening::replay::Replay;
use crate::opening::{
    LedgerConfig, OpenError, World, control, each_leaf, open_rooms, reapply_erasures,
};
use crate::sequencer::Sequencer;

/// Leaves of commit 0: GENESIS, a SCHEMA each, block 0.
pub(crate) const FIRST_COMMIT: u64 = Kind::ANNOUNCED.len() as u64 + 2;

/// What is written in front of the native ids of the ledger's own statements: their counters begin
/// anew with every origin, and an event id is recorded once in all of them.
#[must_use]
pub(crate) fn own_prefix(older: &[Predecessor]) -> String {
    if older.is_empty() { String::new() } else { format!("origin-{}/", older.len()) }
}

/// The notes of all older origins, oldest first.
///
/// # Errors
/// Whatever the disk says; [`OpenError::Predecessor`] when one does not hold.
pub(crate) fn ends(disk: &dyn Disk) -> Result<Vec<EndNote>, OpenError> {
    let mut ends = Vec::new();
    while disk.exists(&end_path(ends.len()))? {
        ends.push(EndNote::read(disk, &end_path(ends.len()))?);
    }
    Ok(ends)
}

/// Whether the newest note is of the origin that a GENESIS continues.
///
/// # Errors
/// [`OpenError::Predecessor`] when it is not.
pub(crate) fn check_named(
    named: Option<&PredecessorRef>,
    ends: &[EndNote],
) -> Result<(), OpenError> {
    let found = ends.last().map(|end| (&*end.origin, &*end.published));
    let named = named.map(|named| (&*named.origin, &*named.checkpoint));
    if found == named {
        return Ok(());
    }
    let (origin, why) = match (named, found) {
        (Some((origin, _)), None) => (origin, "its folder below `origins` is missing: restore it"),
        (Some((origin, _)), Some(_)) => {
            (origin, "another origin lies in its place below `origins`: restore the right one")
        }
        (None, _) => ("", "a folder lies below `origins`, but the GENESIS names no predecessor"),
    };
    Err(OpenError::Predecessor { origin: origin.to_owned(), why: why.to_owned() })
}

/// Opens all older origins, and redoes the vault's map from them when it holds only up to the
/// position `map_as_of`.
///
/// # Errors
/// [`OpenError`].
pub(crate) fn open_all(
    world: &World,
    config: &LedgerConfig,
    vault: &Arc<Vault>,
    map_as_of: u64,
) -> Result<Arc<[Predecessor]>, OpenError> {
    let ends = ends(world.disk.as_ref())?;
    let redo = map_as_of < ends.iter().map(|end| end.size).sum();
    let mut older: Vec<Predecessor> = Vec::new();
    for (number, end) in ends.iter().enumerate() {
        let opened = check_named_by(end, number, &ends)
            .and_then(|()| open_one(world, config, number, end, vault, redo));
        let opened = opened.and_then(|one| {
            check_named(one.identity.predecessor.as_ref(), &ends[..number]).map(|()| one)
        });
        older.push(opened.map_err(|error| OpenError::Predecessor {
            origin: end.origin.clone(),
            why: format!("{}: {error}", folder(number)),
        })?);
    }
    Ok(older.into())
}

/// Whether the next origin is the one that the note says.
fn check_named_by(end: &EndNote, number: usize, ends: &[EndNote]) -> Result<(), OpenError> {
    match ends.get(number + 1) {
        Some(next) if next.origin != end.next => {
            Err(OpenError::Genesis("another origin follows than its note says"))
        }
        _ => Ok(()),
    }
}

fn open_one(
    world: &World,
    config: &LedgerConfig,
    number: usize,
    end: &EndNote,
    vault: &Arc<Vault>,
    redo: bool,
) -> Result<Predecessor, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(Below::new(Arc::clone(&world.disk), &folder(number)));
    let world = &World { disk: Arc::clone(&disk), ..world.clone() };
    let (header, leaf) = read_genesis(disk.as_ref())?;
    let identity = identity_of(&header, &leaf)?;
    let last = end.check(&identity.origin, &identity.log_key).map_err(OpenError::Genesis)?;
    if !end.agrees_with(world.head_disk.as_ref(), number)? {
        return Err(OpenError::Genesis("the head store knows another end of it"));
    }
    erasure::finish_pending(disk.as_ref(), &identity.ledger_id)?;
    let store = TreeStore::open(disk.as_ref())?;
    let (id, vault) = (identity.ledger_id, Arc::clone(vault));
    let (rooms, covered) = open_rooms(world, config, id, &store, vault, last.size)?;
    let (from, slots_from) = if redo { (0, 0) } else { (covered, u64::MAX) };
    let mut replay = Replay::new(&rooms, covered, slots_from);
    let visit = &mut |batch: &ScannedBatch| replay.batch(batch);
    let key = HmacKey::new(&world.keys.journal);
    let known = Some((last.size, last.root));
    let recovered = recovery::recover(&disk, &key, &store, known, from, visit)?;
    replay.finish()?;
    if recovered.tip().size != last.size {
        return Err(OpenError::Genesis("its journal goes on behind its last checkpoint"));
    }
    if redo {
        rooms.vault.retire_below(end.slots);
    }
    build_runs(&rooms, last.size)?;
    reapply_erasures(disk.as_ref(), &identity, &rooms, last.size)?;
    let published = Published {
        size: last.size,
        root: last.root,
        checkpoint: end.checkpoint.as_str().into(),
        block_size: last.block_size,
        block_checkpoint: end.block_checkpoint.as_str().into(),
    };
    // Nobody authenticates against an older origin: its keys were announced again behind it.
    let registry = Arc::new(Registry::default());
    let shared = Rooms::new(&rooms, registry, Arc::clone(&identity.deployment), published);
    let end = end.clone();
    Ok(Predecessor { identity, rooms: Arc::new(shared), asked: rooms, disk, end })
}

/// Builds every run that can be built: the index of an older origin does not grow any more.
fn build_runs(rooms: &SequencerRooms, size: u64) -> Result<(), IndexError> {
    while rooms.index.step(size)? != Progress::Idle {}
    Ok(())
}

/// Plans what a new origin takes over behind commit 0: RECOVERED, and every key of the origin
/// before, with its end if it ended. A key's range is one of this log, so it is announced again.
///
/// # Errors
/// When the older origin cannot be read.
pub(crate) fn inherit(
    world: &World,
    older: &Predecessor,
    sequencer: &mut Sequencer,
    epoch: u64,
) -> Result<(), OpenError> {
    let (wall, entropy) = (world.clock.wall_nanos(), world.entropy.as_ref());
    let recovered = Recovered {
        size: sequencer.size().cast_signed(),
        torn_bytes: older.end.torn_bytes.cast_signed(),
        torn_digest: older.end.torn_digest,
        refusals_lost: true,
        epoch: epoch.cast_signed(),
    };
    sequencer.record_control(wall, |recorded_at| Control {
        recovered: Some(recovered),
        ..control(ControlKind::Recovered, recorded_at, random(entropy))
    });
    each_leaf(&older.asked, leaf_terms::CONTROL, older.size(), &mut |_, leaf| {
        let Ok(old) = decode_object::<Control<'_>>(Kind::Control, &leaf) else { return Ok(()) };
        let Control { kind, key_added, key_ended, .. } = old;
        if key_added.is_some() || key_ended.is_some() {
            sequencer.record_control(wall, |recorded_at| Control {
                key_added,
                key_ended,
                ..control(kind, recorded_at, random(entropy))
            });
        }
        Ok(())
    })
}

/// The tenant of a slot, from the events of all origins, as [`erasure::tenant_of`].
///
/// # Errors
/// Whatever a disk says.
pub fn tenant_of(
    disk: &dyn Disk,
    older: &[Predecessor],
    slot: &[u8; 16],
    size: u64,
) -> Result<Option<String>, RecoverError> {
    for one in older {
        if let Some(tenant) = erasure::tenant_of(one.disk.as_ref(), slot, one.size())? {
            return Ok(Some(tenant));
        }
    }
    erasure::tenant_of(disk, slot, size)
}

/// Zeroes the sealed frames of these slots in all origins. Returns how many.
///
/// # Errors
/// Whatever a disk says; the rest is finished at the next start.
pub fn zero_frames(
    disk: &dyn Disk,
    ledger_id: &[u8; 16],
    older: &[Predecessor],
    slots: &BTreeSet<[u8; 16]>,
    size: u64,
) -> Result<u64, RecoverError> {
    let mut zeroed = 0;
    for one in older {
        let id = &one.identity.ledger_id;
        zeroed += erasure::zero_frames(one.disk.as_ref(), id, slots, one.size())?;
    }
    Ok(zeroed + erasure::zero_frames(disk, ledger_id, slots, size)?)
}
