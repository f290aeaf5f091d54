//! What a ledger is, for ever: what its GENESIS says, read at every start.
//!
//! Promises: [`identity_of`] reads back what the first commit wrote.
//!
//! Refuses: a first leaf that is no GENESIS.

use std::io;
use std::sync::Arc;

use ledgerline_journal::end_note::EndNote;
use ledgerline_journal::format::{HEADER_BYTES, SegmentHeader, segment_path};
use ledgerline_journal::scan::{Scanned, SegmentScan};
use ledgerline_proof::control::Control;
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::schema::Leaf;
use ledgerline_world::disk::{Disk, OpenMode};

/// Why a ledger's identity cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The disk failed.
    #[error("the disk failed: {0}")]
    Disk(#[from] io::Error),
    /// The genesis leaf is not readable.
    #[error("{0}")]
    Genesis(&'static str),
}

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
    pub predecessor: Option<PredecessorRef>,
}

/// What a GENESIS says of the origin before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredecessorRef {
    /// Its name.
    pub origin: Arc<str>,
    /// The last checkpoint that is known of it: entries below it may be lost.
    pub checkpoint: Arc<str>,
}

impl PredecessorRef {
    /// What the GENESIS behind this end says.
    #[must_use]
    pub fn of(end: &EndNote) -> Self {
        let (origin, checkpoint) = (end.origin.as_str().into(), end.published.as_str().into());
        Self { origin, checkpoint }
    }
}

/// The genesis leaf as it stands at the start of segment 0.
///
/// # Errors
/// When segment 0 does not begin with one.
pub fn read_genesis(disk: &dyn Disk) -> Result<(SegmentHeader, Vec<u8>), IdentityError> {
    let file = disk.open(&segment_path(0), OpenMode::Read)?;
    let mut bytes = vec![0; HEADER_BYTES];
    file.read_exact_at(&mut bytes, 0)?;
    let header = SegmentHeader::decode(&bytes).ok_or(IdentityError::Genesis(
        "the header of segment 0 does not hold; run `ledgerline verify`",
    ))?;
    let mut scan = SegmentScan::new(file.as_ref(), &header)?;
    if let Scanned::Batch(batch) = scan.next_batch()?
        && let Some((_, leaf)) = batch.leaves().next()
    {
        return Ok((header, leaf.to_vec()));
    }
    Err(IdentityError::Genesis("the genesis batch does not hold; run `ledgerline verify`"))
}

/// What a ledger says of itself at index 0.
///
/// # Errors
/// When the leaf is no GENESIS.
pub fn identity_of(header: &SegmentHeader, leaf: &[u8]) -> Result<Identity, IdentityError> {
    let Ok(Leaf::Control(Control { genesis: Some(genesis), .. })) = Leaf::decode(leaf) else {
        return Err(IdentityError::Genesis(
            "the first leaf is no GENESIS; run `ledgerline verify`",
        ));
    };
    Ok(Identity {
        ledger_id: header.ledger_id,
        genesis: leaf_hash(leaf),
        deployment: genesis.deployment.into(),
        origin: genesis.origin.into(),
        log_key: genesis.log_key.into(),
        predecessor: genesis.predecessor.map(|before| PredecessorRef {
            origin: before.origin.into(),
            checkpoint: before.checkpoint.into(),
        }),
    })
}
