//! What a check says: claim by claim, entry by entry, and what nothing proves.
//!
//! Promises: the verdict follows from the claims alone. `FAILED` when one failed, else
//! `INCOMPLETE` when one could not be judged, else `PROVEN`. The words after `why` are for people
//! and may change; everything else is for programs.

use serde::Serialize;

use crate::bundle::{Decimal, EventId, SignedDecimal};
use crate::hash::Hash;

/// How one claim stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "status", content = "why", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// It follows from the trusted keys.
    Proven,
    /// Nothing contradicts it, but it does not follow.
    NotProven(String),
    /// It is contradicted.
    Failed(String),
}

impl Status {
    /// Whether it is proven.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        *self == Self::Proven
    }

    /// Takes a contradiction. The first one stays.
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        if !matches!(self, Self::Failed(_)) {
            *self = Self::Failed(why.into());
        }
    }

    /// Takes a gap. Contradictions and the first gap stay.
    pub(crate) fn doubt(&mut self, why: impl Into<String>) {
        if self.is_proven() {
            *self = Self::NotProven(why.into());
        }
    }

    /// Takes another status over.
    pub(crate) fn join(&mut self, other: &Self, context: &str) {
        match other {
            Self::Proven => {}
            Self::NotProven(why) => self.doubt(format!("{context}: {why}")),
            Self::Failed(why) => self.fail(format!("{context}: {why}")),
        }
    }
}

/// What the bundle claims, in the order of checking. A claim that a bundle does not make is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimKind {
    /// A trusted log signed the checkpoint, for this origin and size.
    Checkpoint,
    /// The checkpoint's tree begins with an earlier one.
    Consistency,
    /// Every leaf is in the checkpoint's tree, at its index.
    Inclusion,
    /// Every leaf can be read, under schemas that are pinned or proven.
    Schemas,
    /// Index 0 is a GENESIS that names this origin and the trusted log key.
    Genesis,
    /// `recorded_at` ascends with the index.
    Order,
    /// Every entry lies in a closed block that commits to the tree before it.
    Blocks,
    /// The tree was closed by a block at the stated time.
    AsOf,
    /// Every entry obeys the rules for entries and statements.
    Entries,
    /// The entries are those of the query, and no others.
    Query,
    /// The entries are the chain from its start, gapless and linked.
    Chain,
    /// Every signature fits its statement, by a key that was valid there.
    Signatures,
    /// The states of the token were recomputed.
    Lifecycle,
    /// Every disclosed record is the one committed to.
    Personal,
    /// Every attachment is one that an entry names.
    Attachments,
    /// The counts by source are those of the entries shown.
    Coverage,
}

/// A claim and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// The claim.
    pub claim: ClaimKind,
    /// How it stands.
    #[serde(flatten)]
    pub status: Status,
}

/// The sum of all claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Every claim is proven.
    Proven,
    /// No claim failed, and at least one could not be judged.
    Incomplete,
    /// At least one claim is contradicted.
    Failed,
}

/// Whose word an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SignatureState {
    /// Ed25519, and it fits.
    Proven {
        /// The key.
        key_id: String,
        /// Index at which the key was declared compromised, when the bundle shows it.
        compromised_at: Option<Decimal>,
    },
    /// HMAC, and it fits. It convinces only who holds the key, as this checker does.
    ProvenToKeyHolder {
        /// The key.
        key_id: String,
        /// Index at which the key was declared compromised, when the bundle shows it.
        compromised_at: Option<Decimal>,
    },
    /// HMAC, and the checker does not hold the key: it convinces only who does.
    KeyHolderOnly {
        /// The key.
        key_id: String,
    },
    /// No signature: attested by this credential only, which only the ledger checked.
    CredentialOnly {
        /// The credential; null when it came from a stream.
        credential: Option<String>,
    },
    /// One of the ledger's own statements; the checkpoint is its signature.
    LedgerOwn,
    /// The bundle does not prove the key.
    NotProven {
        /// The key.
        key_id: String,
        /// What is missing.
        why: String,
    },
    /// It does not fit, or the key was not valid for it.
    Failed {
        /// The key.
        key_id: String,
        /// What is wrong.
        why: String,
    },
}

/// One entry that is proven to be in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryReport {
    /// Its index.
    pub index: Decimal,
    /// Its sequence, as it says.
    pub sequence: SignedDecimal,
    /// Its event hash, hex.
    pub event_hash: Hash,
    /// When it was recorded, Unix nanoseconds.
    pub recorded_at: SignedDecimal,
    /// What its statement says; null when that cannot be read.
    pub event: Option<EventReport>,
    /// Whether it obeys the rules.
    pub rules: Status,
    /// Whether it is linked to the chain's start.
    pub chain: Status,
    /// Whose word it is.
    pub signature: SignatureState,
    /// State of the token after it in ledger order; queries with proven chains only.
    pub known: Option<&'static str>,
    /// State of the token after it in order of event time; likewise.
    pub happened: Option<&'static str>,
    /// What is off about it in order of event time: the code of a finding.
    pub violation: Option<&'static str>,
    /// Commitments to personal records in its statement.
    pub commitments: u32,
}

/// The core of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventReport {
    /// The event's id.
    pub event_id: EventId,
    /// The source.
    pub source: String,
    /// The act.
    pub event_type: &'static str,
    /// How it ended.
    pub outcome: &'static str,
    /// When it happened by its producer, Unix nanoseconds.
    pub occurred_at: SignedDecimal,
}

/// The token's two states at `as_of`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LifecycleReport {
    /// In ledger order: what introspection answered from.
    pub known: &'static str,
    /// In order of event time: what happened, as far as it was recorded.
    pub happened: &'static str,
    /// Whether the token was usable, by `known`.
    pub active: bool,
    /// Indexes of shown revocations of something wider that cover the token.
    pub covered_by: Vec<Decimal>,
}

/// A token of the answer to a question, and its states at `as_of`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LifeReport {
    /// All its ids.
    pub ids: Vec<String>,
    /// Its states, recomputed from the chains of all of them.
    #[serde(flatten)]
    pub states: LifecycleReport,
}

/// A disclosed record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PersonalReport {
    /// Index of the entry.
    pub index: Decimal,
    /// Which commitment.
    pub n: u16,
    /// Whom it is about.
    pub role: Option<&'static str>,
    /// Which fields it has. The values stay in the bundle.
    pub fields: Vec<String>,
    /// Whether it is what was committed to.
    #[serde(flatten)]
    pub status: Status,
}

/// An attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttachmentReport {
    /// Its digest, hex.
    pub digest: Hash,
    /// Indexes of the entries that name it.
    pub named_by: Vec<Decimal>,
    /// Whether it fits.
    #[serde(flatten)]
    pub status: Status,
}

/// A witness that signed the checkpoint too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CosignerReport {
    /// Name of its key.
    pub name: String,
    /// When, Unix seconds.
    pub time: Decimal,
}

/// The checkpoint that everything is proven under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TreeReport {
    /// The ledger.
    pub origin: String,
    /// Size of the tree.
    pub size: Decimal,
    /// Root of the tree, hex.
    pub root: Hash,
    /// Trusted witnesses with a valid cosignature.
    pub cosigned_by: Vec<CosignerReport>,
}

/// Everything a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The sum.
    pub verdict: Verdict,
    /// The tree; null when no trusted log signed it.
    pub tree: Option<TreeReport>,
    /// Claim by claim, in the order of checking.
    pub claims: Vec<Claim>,
    /// Entry by entry, by index.
    pub entries: Vec<EntryReport>,
    /// The token's states; token queries with a proven chain only.
    pub lifecycle: Option<LifecycleReport>,
    /// The states of each token of an answer; questions with proven chains only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lives: Vec<LifeReport>,
    /// Record by record.
    pub personal: Vec<PersonalReport>,
    /// Attachment by attachment.
    pub attachments: Vec<AttachmentReport>,
    /// What nothing here proves, in plain words.
    pub not_proven: Vec<String>,
}

impl CheckReport {
    /// How a claim stands; `None` when the bundle does not make it.
    #[must_use]
    pub fn status(&self, kind: ClaimKind) -> Option<&Status> {
        self.claims.iter().find(|claim| claim.claim == kind).map(|claim| &claim.status)
    }
}

/// The verdict of some claims.
pub(crate) fn verdict(claims: &[Claim]) -> Verdict {
    if claims.iter().any(|claim| matches!(claim.status, Status::Failed(_))) {
        Verdict::Failed
    } else if claims.iter().all(|claim| claim.status.is_proven()) {
        Verdict::Proven
    } else {
        Verdict::Incomplete
    }
}
