//! Builds the index anew from the journal, with no node running.
//!
//! Promises: afterwards the index holds what the journal's entries give, in as few runs as there
//! can be. Nothing but the index changes in a ledger that was shut down cleanly; any other is
//! recovered first, as every start does. A crash in between leaves a part of an index, which the
//! next start completes.
//!
//! One thread reads the journal and feeds the index, another one writes runs and merges them.
//!
//! Assumes: no other process has the data directory.

use std::sync::atomic::{AtomicBool, Ordering};

use ledgerline_index::{Index, IndexStats, Progress};
use ledgerline_world::parallel;

use crate::opening::{LedgerConfig, OpenError, World, open_building};

/// The folder of the index, below the data directory.
const DIR: &str = "index";
/// The file that says which runs there are; it goes first, so that no run is believed meanwhile.
const MANIFEST: &str = "index/manifest";

/// Drops the index and builds it again. Returns what it takes.
///
/// # Errors
/// [`OpenError`]; also when the disk holds no ledger.
pub fn reindex(world: &World, config: &LedgerConfig) -> Result<IndexStats, OpenError> {
    let disk = world.disk.as_ref();
    if !disk.list("journal")?.iter().any(|name| name.ends_with(".seg")) {
        return Err(OpenError::Genesis("there is no ledger in this folder"));
    }
    if disk.exists(MANIFEST)? {
        disk.remove(MANIFEST)?;
        disk.sync_dir(DIR)?;
    }
    for name in disk.list(DIR)? {
        disk.remove(&format!("{DIR}/{name}"))?;
    }
    let opened = open_building(world, config)?;
    let size = opened.rooms.published().size;
    while opened.rooms.index.step(size)? != Progress::Idle {}
    opened.rooms.store.sync(size)?;
    Ok(opened.rooms.index.stats())
}

/// With `beside`, builds and merges runs while `main` runs. What fails in a step fails in the next
/// one too, which is the caller's.
pub(crate) fn building<M>(beside: bool, index: &Index, main: impl FnOnce() -> M) -> M {
    if !beside {
        return main();
    }
    let failed = AtomicBool::new(false);
    let step = || {
        let going = !failed.load(Ordering::SeqCst);
        let done = going.then(|| index.step(index.end()));
        failed.fetch_or(matches!(done, Some(Err(_))), Ordering::SeqCst);
        matches!(done, Some(Ok(progress)) if progress != Progress::Idle)
    };
    parallel::stepping(&step, main)
}
