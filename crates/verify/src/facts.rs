//! What a judged batch hands over to the ledger.

use ledgerline_index::EventSpan;
use ledgerline_journal::scan::ScannedBatch;
use ledgerline_journal::streams::StreamTable;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::Fact;
use ledgerline_proof::statement::Statement;

use super::multiset::PostingSum;

/// What the commit before says of the ledger.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub size: u64,
    pub root: Hash,
    pub mac: Hash,
    pub epoch: u64,
    /// Whether its last entry is a block, so that its checkpoint is one that is published; also
    /// where that cannot be known.
    pub ends_in_block: bool,
    /// How far streams were read; `None` when no commit in front was read.
    pub streams: Option<StreamTable>,
}

/// Which leaf, and its leaf hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct LeafRef {
    pub index: u64,
    pub hash: Hash,
}

/// A batch to be judged.
pub(super) struct Job {
    pub batch: Box<ScannedBatch>,
    /// Index of its first leaf, counted by the reader.
    pub base: u64,
    /// The commit before; `None` behind a gap.
    pub before: Option<Claim>,
}

/// What the chains need of an event.
pub(super) struct EventFacts {
    /// The hash of its chain's index term.
    pub chain: u128,
    /// The hash of its event id's index term.
    pub event: u128,
    pub sequence: i64,
    pub prev_index: Option<i64>,
    pub prev_event_hash: Hash,
    /// Whether `prev_event_hash` is the start of its chain; judged for sequence 0 only.
    pub starts_chain: bool,
    pub occurred_at: Hlc,
    /// The moments that it tells of.
    pub span: EventSpan,
    /// Set for tokens.
    pub fact: Option<Fact<'static>>,
    pub seen: Option<Box<(u64, Hash)>>,
    pub erased: Option<[u8; 16]>,
    pub refused: Option<u64>,
}

/// What a leaf is.
#[expect(clippy::large_enum_variant, reason = "nearly all are events, and they stand in one list")]
pub(super) enum LeafWhat {
    Event(EventFacts),
    Block,
    Control,
    Unreadable,
}

/// A leaf, judged.
pub(super) struct LeafFacts {
    pub hash: Hash,
    /// Offset of its frame.
    pub at: u64,
    pub recorded_at: Option<Hlc>,
    pub what: LeafWhat,
    pub postings: PostingSum,
    /// For an event: the time of its UUIDv7.
    pub uuid_millis: Option<u64>,
}

/// The fact of a statement, without the parts that are borrowed: client and audience only matter to
/// selectors, which are not replayed here.
pub(super) fn fact_of(statement: &Statement<'_>, index: u64, recorded_at: Hlc) -> Fact<'static> {
    let fact = Fact::of(statement, index, recorded_at);
    Fact {
        index,
        event_type: fact.event_type,
        outcome: fact.outcome,
        occurred_at: fact.occurred_at,
        recorded_at,
        token_kind: fact.token_kind,
        issued_at: fact.issued_at,
        not_before: fact.not_before,
        expires_at: fact.expires_at,
        grace_until: fact.grace_until,
        has_activation: fact.has_activation,
        activation_deadline: fact.activation_deadline,
        mfa_required: fact.mfa_required,
        mfa_completed_at: fact.mfa_completed_at,
        asserted_state: fact.asserted_state,
        client_id: None,
        audience: Vec::new(),
    }
}
