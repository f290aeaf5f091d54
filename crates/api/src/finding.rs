//! Findings as JSON: as answers, streams and webhooks have them.

use ledgerline_proof::vocabulary as kernel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::event::EventRef;
use crate::log::ProofState;
use crate::progress::AllProgress;
use crate::values::{HexHash, Str, Time, Word};

/// What a finding is about that is about no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingTarget<'a> {
    /// The kind of thing.
    #[serde(borrow)]
    pub kind: Str<'a>,
    /// Its id.
    pub id: Str<'a>,
}

/// Of a gap: when something may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// From when on.
    pub from: Time,
    /// Until when.
    pub to: Time,
    /// The window that was allowed, in milliseconds.
    pub window_ms: Option<i64>,
}

/// How a finding was moved on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Move<'a> {
    /// To where: `acknowledged`, `closed`, `withdrawn`, `reopened`.
    #[serde(borrow)]
    pub state: Str<'a>,
    /// Key of whoever did it.
    pub by: Option<Str<'a>>,
    /// Why.
    pub note: Option<Str<'a>>,
    /// When.
    pub at: Time,
    /// Its entry, counted through all origins.
    pub index: u64,
}

/// Something that a rule noticed.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding<'a> {
    /// Its id: 64 hex digits, the same whenever the same thing is noticed.
    pub id: HexHash,
    /// The rule.
    #[serialize_always]
    #[serde(borrow)]
    pub rule: Option<Str<'a>>,
    /// Version of the rule.
    #[serialize_always]
    pub version: Option<Str<'a>>,
    /// How grave: info, low, medium, high, critical.
    #[serialize_always]
    pub severity: Option<Str<'a>>,
    /// Where it stands: open, acknowledged, closed, withdrawn.
    pub state: Str<'a>,
    /// The token it is about.
    #[serialize_always]
    pub token_id: Option<Str<'a>>,
    /// Of a child: its parent.
    #[serialize_always]
    pub parent: Option<Str<'a>>,
    /// What else it is about.
    #[serialize_always]
    pub about: Option<Str<'a>>,
    /// What it is about that is no token.
    #[serialize_always]
    pub target: Option<FindingTarget<'a>>,
    /// The place that let it in, as service and source.
    #[serialize_always]
    pub place: Option<Str<'a>>,
    /// How long, in milliseconds.
    #[serialize_always]
    pub gap_ms: Option<i64>,
    /// What explains it, where something does.
    #[serialize_always]
    pub explained: Option<Str<'a>>,
    /// Of a gap: when something may be missing.
    #[serialize_always]
    pub missing: Option<Missing>,
    /// How often it was noticed.
    pub count: u64,
    /// Whether it is at least so often.
    pub count_is_least: bool,
    /// The events that show it.
    pub events: Vec<EventRef<'a>>,
    /// Events that it caused.
    pub caused: Vec<EventRef<'a>>,
    /// Id of the event that raised it.
    pub event_id: Str<'a>,
    /// That event's entry, counted through all origins.
    pub index: u64,
    /// When it was noticed.
    pub noticed_at: Time,
    /// When that was recorded.
    pub recorded_at: Time,
    /// How it was moved on.
    pub moves: Vec<Move<'a>>,
    /// What proves it now; not in messages, which are the same at every try.
    pub proof_state: Option<ProofState>,
    /// The entry by which one that was told before stands open again.
    pub open_again_at: Option<u64>,
    /// Of a single finding: how far the rules are.
    pub progress: Option<AllProgress<'a>>,
}

/// `findings`: what the rules noticed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Findings<'a> {
    /// Whether anything is recorded about the token that was asked about.
    pub token_known: Option<bool>,
    /// The findings of this page, in order of recording.
    #[serde(borrow)]
    pub findings: Vec<Finding<'a>>,
    /// With `from`: those raised before it that stand open again by an entry at or behind it.
    pub reopened: Vec<Finding<'a>>,
    /// Whether those are all.
    pub reopened_whole: bool,
    /// Entries that the rules have not judged; null when they are switched off.
    pub lag_entries: Option<u64>,
    /// How far the rules are.
    pub progress: AllProgress<'a>,
}

/// Why a finding is moved on.
#[skip_serializing_none]
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MoveRequest {
    /// Stands in the ledger for ever; at most 1024 bytes. Needed to close.
    pub note: String,
    /// Tenant of the finding, for keys of all tenants.
    pub tenant: Option<String>,
}

/// A finding that was moved on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Moved<'a> {
    /// The finding.
    pub id: HexHash,
    /// Where it stands now.
    #[serde(borrow)]
    pub state: Str<'a>,
    /// Key of whoever moved it.
    pub by: Str<'a>,
    /// Index of the entry that says so.
    pub index: u64,
}

/// A revocation in the feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Revocation<'a> {
    /// Its entry, counted through all origins.
    pub position: u64,
    /// What was revoked.
    #[serde(borrow)]
    pub target: RevocationTarget<'a>,
    /// The token, where it is one.
    pub token_id: Option<Str<'a>>,
    /// Other ids of the token.
    pub also_known_as: Vec<Str<'a>>,
    /// Which tokens of something wider.
    pub selector: Option<RevocationSelector<'a>>,
    /// Why.
    pub reason: Option<Str<'a>>,
    /// When it was revoked.
    pub occurred_at: Time,
    /// From when on it holds.
    pub effective_at: Time,
    /// When it was recorded.
    pub recorded_at: Time,
}

/// What was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevocationTarget<'a> {
    /// The kind of thing.
    pub kind: Word<kernel::TargetKind>,
    /// Its id; of a person the handle.
    #[serde(borrow)]
    pub id: Option<Str<'a>>,
}

/// Which tokens of something wider were revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevocationSelector<'a> {
    /// Only those issued before.
    pub issued_before: Option<Time>,
    /// Only those of this client.
    #[serde(borrow)]
    pub client: Option<Str<'a>>,
    /// Only those for this audience.
    pub audience: Option<Str<'a>>,
}

/// `GET /v1/revocations`: what was revoked since a position, in the order of recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Revocations<'a> {
    /// The revocations.
    #[serde(borrow)]
    pub revocations: Vec<Revocation<'a>>,
    /// Whether there are more at once.
    pub more: bool,
    /// The tenant.
    pub tenant: Str<'a>,
    /// Whether a key or an entry ever named that tenant.
    pub tenant_known: bool,
    /// The position to go on from: send it as `since`.
    pub next: u64,
    /// Entries of the log, counted through all origins.
    pub size: u64,
    /// The newest signed checkpoint.
    pub checkpoint: Str<'a>,
}

/// A finding that was raised or moved on, as it is sent to a receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindingNews<'a> {
    /// Origin of the log.
    #[serde(borrow)]
    pub origin: Str<'a>,
    /// The tenant.
    pub tenant: Str<'a>,
    /// The finding, as it stood behind the entry that says so.
    pub finding: Finding<'a>,
}

/// Findings that are like each other, as they are sent to a receiver in one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RepeatedFindings<'a> {
    /// Origin of the log.
    #[serde(borrow)]
    pub origin: Str<'a>,
    /// The tenant.
    pub tenant: Str<'a>,
    /// What became of each: `raised` or how it was moved on.
    pub became: Str<'a>,
    /// The rule.
    pub rule: Str<'a>,
    /// How grave.
    pub severity: Str<'a>,
    /// Source of the events that show them.
    pub source: Str<'a>,
    /// How many.
    pub count: u64,
    /// Entry of the first.
    pub first_index: u64,
    /// Entry of the last.
    pub last_index: u64,
    /// Some of them.
    pub examples: Vec<Finding<'a>>,
}

/// What a message is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum News<'a> {
    /// One finding.
    One(#[serde(borrow)] Box<FindingNews<'a>>),
    /// Several that are like each other.
    Many(RepeatedFindings<'a>),
}

/// A message to a receiver of findings (the webhook), signed as Standard Webhooks has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message<'a> {
    /// `finding.raised`, `finding.acknowledged`, `finding.closed`, `finding.withdrawn`,
    /// `finding.again`, `finding.caused`, `finding.reopened`, or `findings.repeated`.
    #[serde(rename = "type", borrow)]
    pub kind: Str<'a>,
    /// When that was recorded.
    pub timestamp: Time,
    /// What it is about.
    pub data: News<'a>,
}
