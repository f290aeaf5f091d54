//! What a check says: claim by claim, entry by entry, and what nothing proves.
//!
//! Promises: the verdict follows from the claims alone. `FAILED` when one failed, else
//! `INCOMPLETE` when one could not be judged, else `PROVEN`. The words after `why` are for people
//! and may change; everything else is for programs.

use serde::Serialize;

use crate::bundle::{Decimal, EventId, Query, SignedDecimal};
use crate::entry::Entry;
use crate::hash::Hash;
use crate::question::Question;
use crate::statement::{Link, Statement};
use crate::vocabulary::{TokenKind, Vantage};

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
    /// The tenant.
    pub tenant: String,
    /// What sort of thing it befell.
    pub target_kind: &'static str,
    /// The id of that: a token id, or another; empty for a person.
    pub target: String,
    /// The act.
    pub event_type: &'static str,
    /// How it ended.
    pub outcome: &'static str,
    /// When it happened by its producer, Unix nanoseconds.
    pub occurred_at: SignedDecimal,
    /// The credential that submitted it; null for the ledger's own and for streams.
    pub credential: Option<String>,
    /// What else the statement tells, as written.
    #[serde(flatten)]
    pub circumstances: Circumstances,
}

/// The circumstances of an event, as its producer wrote them. What it does not tell is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Circumstances {
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// From where the producer saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vantage: Option<&'static str>,
    /// The service that acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The endpoint, as a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What was done to the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The resource, as a template or a declared-safe id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<String>,
    /// What sort of token it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_kind: Option<&'static str>,
    /// Scopes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Audiences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// When the token expires, Unix nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<SignedDecimal>,
    /// From when the act takes effect, Unix nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<SignedDecimal>,
    /// Other ids of the same token.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_known_as: Vec<String>,
    /// Other tokens, each with the relation: `REFRESHED_FROM eu:idp:jti:x`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// What else the producer or, of its own statements, the ledger says, as `key: value`: what an
    /// ADMIN_ACT did, which rule a finding is of and how grave, for what purpose was disclosed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<DetailReport>,
}

/// A key and a value of an event's `detail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DetailReport {
    /// What it is.
    pub key: String,
    /// What is said.
    pub value: String,
}

impl EventReport {
    /// What an entry and its statement say.
    pub(super) fn of(entry: &Entry<'_>, statement: &Statement<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let all = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect();
        let link = |link: &Link<'_>| Some(format!("{} {}", link.relation.symbol(), link.token?));
        Self {
            event_id: EventId(statement.event_id),
            source: statement.source.to_owned(),
            tenant: statement.tenant.to_owned(),
            target_kind: statement.target.kind.symbol(),
            target: statement.target.id.to_owned(),
            event_type: statement.event_type.symbol(),
            outcome: statement.outcome.symbol(),
            occurred_at: SignedDecimal(statement.occurred_at.nanos),
            credential: owned(entry.attested_by.credential),
            circumstances: Circumstances {
                reason: owned(statement.reason),
                vantage: (statement.vantage != Vantage::Other).then(|| statement.vantage.symbol()),
                service: owned(statement.service),
                endpoint: owned(statement.endpoint),
                action: owned(statement.action),
                resource: owned(statement.resource),
                client_id: owned(statement.client_id),
                session_id: owned(statement.session_id),
                grant_id: owned(statement.grant_id),
                token_kind: statement.token_kind.map(TokenKind::symbol),
                scopes: all(&statement.scopes),
                audience: all(&statement.audience),
                expires_at: statement.expires_at.map(SignedDecimal),
                effective_at: statement.effective_at.map(SignedDecimal),
                also_known_as: all(&statement.also_known_as),
                links: statement.links.iter().filter_map(link).collect(),
                detail: statement
                    .detail
                    .iter()
                    .map(|one| DetailReport {
                        key: one.key.to_owned(),
                        value: one.value.to_owned(),
                    })
                    .collect(),
            },
        }
    }
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
    /// How far the chain of each is shown, in the same order: what was recorded behind that is not
    /// proven, also where another chain goes on.
    pub shown: Vec<ShownChain>,
    /// Its states, recomputed from the chains of all of them.
    #[serde(flatten)]
    pub states: LifecycleReport,
}

/// How far the chain of one id of a token is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownChain {
    /// The id.
    pub id: String,
    /// How many of its entries.
    pub entries: u64,
    /// Index of the last of them; null where none is shown.
    pub last_index: Option<u64>,
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
    /// Which fields it has.
    pub fields: Vec<String>,
    /// Their values, of a record that is the one committed to. Reports leave them out when they
    /// are written as they stand: they are personal.
    #[serde(skip)]
    pub values: Vec<String>,
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

/// What the bundle answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuestionReport {
    /// `token`, `event`, or the name of the question; null when it is none that can be checked.
    pub name: Option<&'static str>,
    /// The tenant.
    pub tenant: String,
    /// The question in the checker's own words; null when it is none that can be checked.
    pub sentence: Option<String>,
    /// The token that it is about, when it is about one.
    pub token: Option<String>,
    /// What decides the answer and the bundle does not tell: it was made before that was written
    /// down, and its text is bound as far as it goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<&'static str>,
}

impl QuestionReport {
    /// Of a query.
    pub(super) fn of(query: &Query) -> Self {
        let (tenant, name, token) = match query {
            Query::Token { tenant, id } => (tenant, Some("token"), Some(id.clone())),
            Query::Event { tenant, .. } => (tenant, Some("event"), None),
            Query::Question { tenant, .. } => (tenant, None, None),
        };
        let (tenant, sentence) = (tenant.clone(), query.sentence());
        let mut report = Self { name, tenant, sentence, token, untold: Vec::new() };
        if let Some(Ok(question)) = Question::read(query) {
            report.name = Some(question.name);
            report.token = question.token().map(str::to_owned);
            report.untold = question.untold;
        }
        report
    }
}

/// An earlier tree that the checkpoint's tree begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EarlierReport {
    /// Its size.
    pub size: Decimal,
    /// Whether it is of a checkpoint that the checker holds.
    pub held: bool,
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
    /// When the block that closes the tree was sealed, Unix nanoseconds, as the bundle says; the
    /// claim `as_of` judges it.
    pub recorded_at: SignedDecimal,
    /// The log keys at hand that signed it.
    pub signed_by: Vec<String>,
    /// The earlier tree, when it was compared and fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continues: Option<EarlierReport>,
    /// Trusted witnesses with a valid cosignature.
    pub cosigned_by: Vec<CosignerReport>,
}

/// Everything a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The sum.
    pub verdict: Verdict,
    /// What was asked; null when no trusted log signed the tree.
    pub question: Option<QuestionReport>,
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
    /// Which tokens have other ids, by the entries shown, whose chains are not shown. Then in what
    /// the answer fell short when it was asked for, by the word of the bundle's maker: it was as of
    /// an earlier entry, not all was judged, or a token has other ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
    /// What the bundle's maker says to be missing, in the maker's words; nothing proves it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maker_says: Vec<String>,
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
