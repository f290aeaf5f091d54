//! The fault plan of the simulated disk, and the count of what really happened.
//!
//! Promises: a fault that happened is counted, so a test can assert that it tested something.

/// What a storm takes away. Each comes as the error number that a system gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Opening, listing and syncing folders: EMFILE.
    Descriptors,
    /// Writes, of which a part may have been written, and creations: ENOSPC.
    Space,
    /// Opening, reading and writing, of which a part may have been done: EINTR.
    Time,
    /// Reading, writing and renaming, but no sync: EIO.
    Answers,
}

/// The world fails for a while, and then no more: so many more calls of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storm {
    /// What is missing.
    pub of: Shortage,
    /// Calls of the kind before it begins.
    pub after: u32,
    /// For how many calls.
    pub calls: u32,
}

/// How often which call fails. Rates are per mille of calls; the default is a disk without faults.
/// Latent rot and lying syncs break the promise of the disk itself: they are for tests that must
/// *find* damage, not for tests that must survive it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// A write or `set_len` fails with an I/O error; by a coin it took effect all the same.
    pub write_error_per_mille: u32,
    /// A write fails with an I/O error and leaves a random prefix.
    pub short_write_per_mille: u32,
    /// A file sync fails. Each dirty write reaches the disk or not, by a coin, and all are marked
    /// clean: the next sync succeeds and makes nothing of it durable. By another coin readers still
    /// see what was written, or only what reached the disk (the clean page was evicted).
    pub sync_error_per_mille: u32,
    /// A file sync succeeds and does nothing.
    pub lying_sync_per_mille: u32,
    /// A read fails with an I/O error.
    pub read_error_per_mille: u32,
    /// A read succeeds with one damaged byte; the stored byte is intact.
    pub read_rot_per_mille: u32,
    /// A read finds that one of its bytes is damaged, and it stays so.
    pub latent_rot_per_mille: u32,
    /// Creating, renaming, removing or syncing a folder fails; by a coin it took effect all the
    /// same.
    pub entry_error_per_mille: u32,
    /// After so many more written bytes every write and creation fails with `StorageFull`.
    pub disk_full_after: Option<u64>,
    /// After so many more changing calls the power goes: the next one fails, by a coin having taken
    /// effect, and everything fails from then on until `crash`, `kill` or `restore`.
    pub power_off_after: Option<u64>,
    /// The next calls of one kind fail.
    pub storm: Option<Storm>,
}

/// How often what happened since the disk was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Failed writes and `set_len`s, short ones not included.
    pub write_errors: u64,
    /// Writes that left a prefix.
    pub short_writes: u64,
    /// Failed file syncs.
    pub sync_errors: u64,
    /// Writes dropped by failed file syncs.
    pub writes_dropped_by_sync: u64,
    /// File syncs that lied.
    pub lying_syncs: u64,
    /// Failed reads.
    pub read_errors: u64,
    /// Reads with a damaged byte over an intact stored one.
    pub read_rots: u64,
    /// Stored bytes damaged.
    pub latent_rots: u64,
    /// Failed creations, renames, removals and folder syncs.
    pub entry_errors: u64,
    /// Calls refused with `StorageFull`.
    pub full: u64,
    /// Calls that failed in a storm.
    pub storms: u64,
    /// Power cuts in the middle of a changing call.
    pub power_offs: u64,
    /// Calls through a file opened before a crash.
    pub stale_calls: u64,
    /// Power cuts (`crash`).
    pub crashes: u64,
    /// Process kills.
    pub kills: u64,
    /// Un-synced writes and lengths that survived a power cut.
    pub writes_kept: u64,
    /// Un-synced writes of which a power cut left a part.
    pub writes_torn: u64,
    /// Un-synced writes and lengths of which a power cut left nothing.
    pub writes_lost: u64,
    /// Un-synced creations, renames and removals that survived a power cut.
    pub entries_kept: u64,
    /// Un-synced creations, renames and removals that a power cut undid.
    pub entries_lost: u64,
}
