//! Replay: redoes what is derived from the journal: index postings, the vault's map, the block in
//! the making.
//!
//! Promises: the same postings that the sequencer posted; the same slots that intake took. A lost
//! index is built on the way, so that memory holds a few ranges of it, never all.

use ledgerline_index::terms::postings_of;
use ledgerline_index::{EventSpan, EventTime, Posting};
use ledgerline_journal::format::SealedRecord;
use ledgerline_journal::scan::ScannedBatch;
use ledgerline_proof::block_builder::BlockState;
use ledgerline_proof::hash::{leaf_hash, sha256};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::personal::PersonalRecord;
use ledgerline_proof::schema::{Kind, Leaf, decode_object, decode_object_with, kind_of};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::PersonalRole;
use ledgerline_vault::{OpenError, VaultError};
use ledgerline_view::committed::SequencerRooms;

use crate::opening::OpenError as LedgerError;

/// Complete ranges of the index that may wait in memory during a replay.
const MAX_BACKLOG: usize = 2;

/// What the replay found.
pub struct Replayed {
    /// The block in the making; `None` when no block entry was replayed.
    pub block: Option<BlockState>,
    /// The newest stamp replayed.
    pub last_recorded_at: Option<Hlc>,
}

/// What a batch gives to the index.
#[derive(Default)]
struct Indexed {
    postings: Vec<Posting>,
    times: Vec<EventTime>,
}

/// The replay of a journal's tail.
pub struct Replay<'r> {
    rooms: &'r SequencerRooms,
    index_from: u64,
    vault_from: u64,
    block: Option<BlockState>,
    last_recorded_at: Option<Hlc>,
    failed: Option<LedgerError>,
}

impl<'r> Replay<'r> {
    /// Feeds the index from `index_from` and the vault's map from `vault_from` on.
    #[must_use]
    pub fn new(rooms: &'r SequencerRooms, index_from: u64, vault_from: u64) -> Self {
        let (block, last_recorded_at, failed) = (None, None, None);
        Self { rooms, index_from, vault_from, block, last_recorded_at, failed }
    }

    /// Takes a committed batch.
    pub fn batch(&mut self, batch: &ScannedBatch) {
        let first = batch.head.first_index;
        let mut indexed = Indexed::default();
        for (index, (_, leaf)) in (first..).zip(batch.leaves()) {
            self.leaf(index, leaf, &mut indexed);
        }
        if batch.commit.size > self.index_from {
            let from = first.max(self.index_from);
            let Indexed { postings, times } = indexed;
            self.rooms.index.note_times(from, batch.commit.size, &times);
            self.rooms.index.append(from, batch.commit.size, &postings);
            while self.failed.is_none() && self.rooms.index.backlog() > MAX_BACKLOG {
                self.failed = self.rooms.index.step(batch.commit.size).err().map(Into::into);
            }
        }
        if batch.commit.size > self.vault_from && self.failed.is_none() {
            self.failed = self.redo_slots(batch).err().map(Into::into);
        }
    }

    /// What was found.
    ///
    /// # Errors
    /// When the vault refused a slot, or the index could not be built.
    pub fn finish(self) -> Result<Replayed, LedgerError> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(Replayed { block: self.block, last_recorded_at: self.last_recorded_at }),
        }
    }

    fn leaf(&mut self, index: u64, bytes: &[u8], indexed: &mut Indexed) {
        let Ok(leaf) = Leaf::decode(bytes) else { return };
        let postings = &mut indexed.postings;
        let mut post = |statement: Option<&Statement<'_>>| {
            if index >= self.index_from {
                postings_of(&self.rooms.terms, index, &leaf, statement, postings);
            }
        };
        match &leaf {
            Leaf::Entry(entry) => {
                let read = |statement: &Statement<'_>| {
                    post(Some(statement));
                    (statement.occurred_at, EventSpan::of(statement))
                };
                let read = decode_object_with(Kind::Statement, entry.statement, read);
                if let Ok((occurred_at, span)) = read {
                    indexed.times.push(span.recorded(index, entry.recorded_at));
                    self.cover(entry.recorded_at, Some(occurred_at));
                }
            }
            Leaf::Control(control) => {
                post(None);
                self.cover(control.recorded_at, None);
            }
            Leaf::Block(block) => {
                post(None);
                let height = block.height.cast_unsigned();
                self.block = Some(BlockState::after(height, index, leaf_hash(bytes)));
                self.last_recorded_at = Some(block.sealed_at);
            }
        }
    }

    fn cover(&mut self, recorded_at: Hlc, occurred_at: Option<Hlc>) {
        self.last_recorded_at = Some(recorded_at);
        if let Some(block) = &mut self.block {
            block.cover(recorded_at, occurred_at);
        }
    }

    /// Marks the slots that the batch's sealed records took, and maps those who hold them. A vault
    /// restored from an older copy may lack a slot: its records stay closed, the ledger goes on.
    fn redo_slots(&self, batch: &ScannedBatch) -> Result<(), VaultError> {
        let first = batch.head.first_index;
        let leaves: Vec<&[u8]> = batch.leaves().map(|(_, leaf)| leaf).collect();
        let mut sealed: Vec<(u64, SealedRecord)> = batch.sealed().collect();
        sealed.retain(|(index, _)| *index >= first && *index - first < leaves.len() as u64);
        for same_entry in sealed.chunk_by(|(a, _), (b, _)| a == b) {
            let at = usize::try_from(same_entry[0].0 - first).expect("bounded by the batch");
            self.redo_entry(leaves[at], same_entry)?;
        }
        Ok(())
    }

    fn redo_entry(&self, leaf: &[u8], sealed: &[(u64, SealedRecord)]) -> Result<(), VaultError> {
        let vault = &self.rooms.vault;
        let Ok(Leaf::Entry(entry)) = Leaf::decode(leaf) else { return Ok(()) };
        let statement = decode_object::<Statement<'_>>(Kind::Statement, entry.statement);
        let Ok(statement) = statement else { return Ok(()) };
        let statement_hash = sha256(entry.statement);
        let mut opened: Vec<(&SealedRecord, Option<Vec<u8>>)> = Vec::with_capacity(sealed.len());
        for (_, one) in sealed {
            let plain = match vault.open_sealed(&one.slot, one.n, &statement_hash, &one.sealed) {
                // Taken for a record that is closed, its person would get a second handle.
                Err(OpenError::Io(kind)) => {
                    return Err(VaultError::Io { file: "vault".into(), source: kind.into() });
                }
                plain => plain.ok(),
            };
            opened.push((one, plain));
        }
        let user_of = |plain: &Option<Vec<u8>>| -> Option<String> {
            let record: PersonalRecord<'_> =
                decode_object(Kind::Personal, plain.as_deref()?).ok()?;
            record.user_id.map(str::to_owned)
        };
        let is_subject = |one: &SealedRecord| {
            let personal = statement.personal.get(usize::from(one.n));
            personal.is_some_and(|personal| personal.role == PersonalRole::Subject)
        };
        let has_subject =
            opened.iter().any(|(one, plain)| is_subject(one) && user_of(plain).is_some());
        for (one, plain) in &opened {
            let issuer = statement.issuer.unwrap_or("");
            let redone = match (plain, user_of(plain)) {
                (None, _) => vault.mark_taken(&one.slot),
                (_, Some(user)) => vault.redo_person(statement.tenant, issuer, &user, &one.slot),
                _ if has_subject => Ok(()),
                _ => vault.redo_chain(&crate::intake::chain_slot_id(&statement), &one.slot),
            };
            match redone {
                Err(VaultError::UnknownSlot) => {}
                redone => redone?,
            }
        }
        Ok(())
    }
}

/// The last leaf that the tree files certainly hold, when that is a block entry at `from` or
/// behind: as every clean stop leaves it. Then the block in the making begins there, wherever the
/// one before began.
pub(crate) fn ends_in_block(rooms: &SequencerRooms, from: u64) -> Option<u64> {
    let store = rooms.reader.store();
    let whole = store.whole().ok()?.min(store.extent().ok()?);
    let last = whole.checked_sub(1).filter(|last| *last >= from)?;
    let leaf = rooms.reader.leaf(last).ok()?;
    (kind_of(&leaf) == Some(Kind::Block)).then_some(last)
}
