//! Intake: from bytes of a caller to events that wait for their place.
//!
//! Promises: what leaves this room is authenticated, authorised, canonical, within every limit,
//! free of anything that looks like a bearer value, and has its personal records sealed. One bad
//! event never loses the others; the parts of one act stand together.
//!
//! Assumes: the caller was authenticated. Uniqueness, order and key ranges are the sequencer's.
//!
//! Refuses: with a stable code and a text that never repeats the input.

mod accept;
pub mod acts;
mod build;
mod revoking;
mod salts;
pub mod secret_scan;
mod uses;

use std::sync::Arc;

use ledgerline_index::{EventSpan, Term};
use ledgerline_journal::format::{AttachmentRecord, SealedRecord};
use ledgerline_proof::entry::Handle;
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::statement::Act;
use ledgerline_view::registry::Key;

pub use accept::{Accepted, BodyForm, Intake, IntakeLimits, IntakeParts, SubmitError, Unit};
pub use build::chain_slot_id;
pub use ledgerline_statements::EventError;
pub use ledgerline_statements::json::{member_twice, unknown_and_known};
pub use ledgerline_statements::lines::event_lines;
pub use revoking::RevokeToken;
pub use secret_scan::check_text;
pub use uses::SeenUse;

/// How an event fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventStatus {
    /// It is in the ledger from now on.
    Recorded,
    /// It was in the ledger before.
    Duplicate,
    /// It is not in the ledger.
    Refused,
}

/// On whose word an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attested {
    /// The producer signed the statement.
    Signature,
    /// Only the API credential vouches for it.
    Credential,
}

/// The answer about one event.
#[derive(Debug, Clone)]
pub struct EventAnswer {
    /// Its id, if one could be read.
    pub event_id: Option<[u8; 16]>,
    /// How it fared.
    pub status: EventStatus,
    /// The older origin in which a duplicate stands; `None` for the newest.
    pub origin: Option<Arc<str>>,
    /// Its index.
    pub index: Option<u64>,
    /// Its sequence.
    pub sequence: Option<u64>,
    /// Its event hash.
    pub event_hash: Option<Hash>,
    /// On whose word.
    pub attested_by: Attested,
    /// Why it was refused.
    pub error: Option<EventError>,
}

impl EventAnswer {
    /// A refusal.
    #[must_use]
    pub fn refused(event_id: Option<[u8; 16]>, error: EventError) -> Self {
        Self {
            event_id,
            status: EventStatus::Refused,
            origin: None,
            index: None,
            sequence: None,
            event_hash: None,
            attested_by: Attested::Credential,
            error: Some(error),
        }
    }
}

/// The answer about one submission.
#[derive(Debug, Clone, Default)]
pub struct SubmitAnswer {
    /// Whether it was a single JSON event, whose refusal is the whole answer.
    pub lone: bool,
    /// One answer per event, in the order submitted.
    pub events: Vec<EventAnswer>,
    /// A signed checkpoint that covers everything recorded.
    pub checkpoint: Option<Arc<str>>,
    /// Set when the ledger stopped before it could say; nothing is known then.
    pub stopped: Option<String>,
    /// Set when the stream marks of the submission were refused, and with them every event of it.
    pub streams_refused: Option<EventError>,
}

/// Called once, from an engine thread, when everything submitted is durable or refused. Must not
/// block.
pub type Reply = Box<dyn FnOnce(SubmitAnswer) + Send>;

/// An owned act reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActPart {
    /// Names the act.
    pub id: String,
    /// Which part.
    pub part: i32,
    /// How many parts.
    pub parts: i32,
}

impl From<&Act<'_>> for ActPart {
    fn from(act: &Act<'_>) -> Self {
        Self { id: act.id.to_owned(), part: act.part, parts: act.parts }
    }
}

/// A producer's signature, owned.
#[derive(Debug, Clone)]
pub struct PendingSignature {
    /// Algorithm number.
    pub alg: i32,
    /// The key, whose index range the sequencer checks again.
    pub key: Arc<Key>,
    /// The value.
    pub value: Vec<u8>,
}

/// An event that waits for its index. Only the sequencer turns it into an entry.
#[derive(Debug, Clone)]
pub struct PendingEvent {
    /// Its id.
    pub event_id: [u8; 16],
    /// The statement, single-object bytes.
    pub statement: Vec<u8>,
    /// The producer's signature.
    pub signature: Option<PendingSignature>,
    /// The credential that submitted it; `None` for the ledger's own.
    pub credential: Option<Arc<str>>,
    /// Pseudonyms.
    pub handles: Vec<Handle>,
    /// Sealed personal records.
    pub sealed: Vec<SealedRecord>,
    /// The personal records in clear, single-object bytes: needed to recognise a retry, whose salts
    /// differ.
    pub records: Vec<Vec<u8>>,
    /// What travels beside.
    pub attachments: Vec<AttachmentRecord>,
    /// Finds it again.
    pub event_term: Term,
    /// Time of a UUIDv7, in milliseconds.
    pub uuid_millis: Option<u64>,
    /// Finds its chain.
    pub chain_term: Term,
    /// What else it is found by.
    pub terms: Vec<Term>,
    /// What it is found by besides when it is the first of its chain.
    pub first_term: Option<Term>,
    /// What the chain's first entry carries.
    pub chain_start: Hash,
    /// When it happened.
    pub occurred_at: Hlc,
    /// The moments that it tells of.
    pub span: EventSpan,
    /// Present iff there is neither signature nor personal commitment.
    pub blind: Option<[u8; 16]>,
    /// The act it is a part of.
    pub act: Option<ActPart>,
    /// Set on an ERASED event: the handle whose key is destroyed once this is durable.
    pub erases: Option<[u8; 16]>,
    /// Whether it is refused when it violates the lifecycle of its token.
    pub strict: bool,
    /// Whether it is a mere use of its target, which changes nobody's standing.
    pub is_use: bool,
}

impl PendingEvent {
    /// Bytes that waiting for it takes, roughly.
    #[must_use]
    pub fn weight(&self) -> usize {
        let sealed: usize = self.sealed.iter().map(|one| one.sealed.len() + 48).sum();
        let records: usize = self.records.iter().map(Vec::len).sum();
        let attached: usize = self.attachments.iter().map(|one| one.data.len()).sum();
        let terms = self.terms.capacity() * size_of::<Term>();
        512 + self.statement.len() + sealed + records + attached + terms
    }
}
