//! Sources as JSON: who reports to the ledger, how much, and what is known to be missing of it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::answer::Cut;
use crate::progress::AllProgress;
use crate::values::{Str, Time};

/// Where a service stands in the roll-out, as its owner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It will report.
    Planned,
    /// It should report.
    Reporting,
    /// It should not report any more.
    Retired,
}

impl Phase {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Reporting => "reporting",
            Self::Retired => "retired",
        }
    }
}

/// A service that should be a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedService {
    /// Name of its source: `[a-z0-9._-]{1,64}`.
    pub name: String,
    /// Where it stands.
    pub phase: Phase,
    /// Regions that it should report from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// An inventory of who should report.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// Tenant, for keys of all tenants.
    pub tenant: Option<String>,
    /// The services.
    #[schemars(length(min = 1, max = 1000))]
    pub expected: Vec<ExpectedService>,
}

/// What the newest events of a source say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Events that were looked at.
    pub events: u64,
    /// How many are about tokens.
    pub about_tokens: u64,
    /// How many are about tokens that were never issued here.
    pub about_unborn_tokens: u64,
    /// How many such tokens.
    pub unborn_tokens: u64,
    /// How many were decided by a policy.
    pub decided_by_policy: u64,
    /// How many of these name no version of it.
    pub without_policy_version: u64,
    /// Regions of the tokens.
    pub regions: BTreeSet<String>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Source<'a> {
    /// Its name.
    #[serde(borrow)]
    pub source: Str<'a>,
    /// Events it reported.
    pub events: u64,
    /// How many are heartbeats.
    pub heartbeats: u64,
    /// How many are births of tokens.
    pub births: u64,
    /// How many of these are tokens older than the ledger.
    pub origins: u64,
    /// Gaps in its running numbers.
    pub gaps: u64,
    /// Events missing in them, at least.
    pub missing_events: u64,
    /// What its newest events say.
    pub sample: Sample,
    /// When its first event was recorded.
    pub first_recorded_at: Option<Time>,
    /// When its last event was recorded.
    pub last_recorded_at: Option<Time>,
    /// Its last heartbeat.
    pub heartbeat_at: Option<Time>,
    /// How long that is ago, in seconds.
    pub heartbeat_age_s: Option<i64>,
    /// Whether its heartbeats stopped.
    pub silent: bool,
    /// How whole its reports are, from 0 to 1; null when it reported nothing.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub score: Option<f64>,
    /// What takes from the score, for people.
    pub words: Str<'a>,
}

/// What a credential asked to write in an interval, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WriteAccess<'a> {
    /// The entry that says so.
    pub index: u64,
    /// The credential; empty for callers that showed none that is valid.
    #[serde(borrow)]
    pub credential: Str<'a>,
    /// The source it writes for; empty where it is unknown.
    pub source: Str<'a>,
    /// From when the interval is.
    pub from: Time,
    /// Until when.
    pub to: Time,
    /// Requests.
    pub requests: u64,
    /// Events recorded.
    pub recorded: u64,
    /// Events that were recorded before.
    pub duplicates: u64,
    /// Events and whole requests refused.
    pub refused: u64,
    /// Of those, how many by each code.
    pub refused_by: BTreeMap<String, u64>,
    /// The first entry that was recorded for it, and the last; null when there is none.
    pub first_index: Option<u64>,
    /// See `first_index`.
    pub last_index: Option<u64>,
}

/// `GET /v1/write-accesses`: who asked to write, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WriteAccesses<'a> {
    /// The tenant.
    #[serde(borrow)]
    pub tenant: Str<'a>,
    /// The accesses.
    pub accesses: Vec<WriteAccess<'a>>,
    /// Where the next page begins: send it as `page`. Null at the end.
    pub next: Option<Str<'a>>,
    /// Entries of the log.
    pub size: u64,
    /// The newest signed checkpoint.
    pub checkpoint: Str<'a>,
}

/// What is to be said of a service of the inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    /// It reports, as it should.
    Reports,
    /// Nothing was recorded of it.
    NeverReported,
    /// It is alive and reports nothing.
    HeartbeatsOnly,
    /// Its heartbeats stopped.
    Silent,
    /// Nothing for a day, and it sends no heartbeats.
    Quiet,
    /// It does not report from one of its regions.
    RegionMissing,
    /// It does not report yet, as planned.
    NotYet,
    /// It reports though it is only planned.
    ReportsAlready,
    /// It reports no more, as it should.
    Retired,
    /// It reports though it is retired.
    StillReports,
}

/// A service of the inventory, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JudgedService<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Str<'a>,
    /// Where it should stand.
    pub phase: Phase,
    /// Where it stands.
    pub status: ServiceStatus,
    /// Whether something is not as the inventory says.
    pub is_missing: bool,
    /// The same for people.
    pub words: Str<'a>,
}

/// `GET` and `POST /v1/sources`.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sources<'a> {
    /// The tenant.
    #[serde(borrow)]
    pub tenant: Str<'a>,
    /// Whether a key or an entry ever named that tenant.
    pub tenant_known: bool,
    /// Origin of the log.
    pub origin: Str<'a>,
    /// Entries of the log.
    pub size: u64,
    /// The newest signed checkpoint.
    pub checkpoint: Str<'a>,
    /// For which time it is judged.
    pub judged_at: Time,
    /// How far the rules are, which find the gaps.
    pub progress: AllProgress<'a>,
    /// What cut the answer.
    pub cut_by: Vec<Cut>,
    /// Where the next page begins: send it as `page`. Null at the end.
    #[serialize_always]
    pub next: Option<Str<'a>>,
    /// The sources, by name.
    pub sources: Vec<Source<'a>>,
    /// Of an inventory: its services, judged.
    pub expected: Option<Vec<JudgedService<'a>>>,
    /// Of an inventory: sources that report and are not in it.
    pub unexpected: Option<Vec<Str<'a>>>,
    /// Of an inventory: whether nothing is missing and nothing unexpected.
    pub is_complete: Option<bool>,
}
