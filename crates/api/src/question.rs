//! What questions about the past answer, each as the body of an [`Answer`](crate::answer::Answer).
//!
//! Promises: every event that is named by its index carries its proof state.

use ledgerline_proof::vocabulary as kernel;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::answer::Answer;
use crate::event::EventRef;
use crate::log::{Evidence, ProofState, Recorded};
use crate::operation::{COMMON, Operation, PAGED, listing, question};
use crate::progress::AllProgress;
use crate::token::Token;
use crate::values::{Digest, Handle, Str, Time, Word};

/// Which way a lineage goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// What it came of.
    Ancestors,
    /// What came of it.
    Descendants,
    /// Both, and what else came of its ancestors.
    Family,
    /// The way to another token.
    Path,
}

/// A token of a lineage; the first is the one that was asked about.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Relative<'a> {
    /// The token.
    #[serde(borrow, flatten)]
    pub token: Token<'a>,
    /// How many edges away it is.
    pub depth: u32,
    /// Relation of the edge by which it was reached.
    pub relation: Option<Word<kernel::Relation>>,
    /// Strength of that edge.
    pub strength: Option<Word<kernel::Strength>>,
}

/// An edge from a token to one that was made from it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Edge<'a> {
    /// The older token.
    #[serde(borrow)]
    pub parent: Str<'a>,
    /// The younger one.
    pub child: Str<'a>,
    /// What the edge means.
    pub relation: Word<kernel::Relation>,
    /// How it is known.
    pub strength: Word<kernel::Strength>,
    /// Why it is believed, where it is not stated.
    pub why: Option<Str<'a>>,
    /// Who acted, as `CLIENT idp/web`: the act chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<Str<'a>>,
    /// When it came about.
    pub occurred_at: Time,
    /// The entries that say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence<'a>>,
}

/// An edge of a path, with the direction it is walked in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step<'a> {
    /// The edge.
    #[serde(borrow, flatten)]
    pub edge: Edge<'a>,
    /// The token it is walked from.
    pub from: Str<'a>,
    /// The token it is walked to.
    pub to: Str<'a>,
}

/// `lineage`: what a token came of and what came of it; or the path between two tokens.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lineage<'a> {
    /// Which way it goes.
    pub direction: Direction,
    /// The tokens, the one that was asked about first. Not of a path.
    #[serde(borrow)]
    pub tokens: Option<Vec<Relative<'a>>>,
    /// The edges between them. Not of a path.
    pub edges: Option<Vec<Edge<'a>>>,
    /// Of a path: where it begins.
    pub from: Option<Str<'a>>,
    /// Of a path: where it ends.
    pub to: Option<Str<'a>>,
    /// Of a path: its edges in order.
    pub steps: Option<Vec<Step<'a>>>,
}

/// An access to a resource.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Access<'a> {
    /// Index of its entry.
    pub index: u64,
    /// Its log's origin, where that is an older one.
    #[serde(borrow)]
    pub origin: Option<Str<'a>>,
    /// What proves it now.
    pub proof_state: ProofState,
    /// The token that was presented.
    pub token_id: Str<'a>,
    /// When.
    pub occurred_at: Time,
    /// USED or RESOURCE_ACCESSED.
    #[serde(rename = "type")]
    pub event_type: Word<kernel::EventType>,
    /// Whether it was let in.
    pub outcome: Word<kernel::Outcome>,
    /// By which service.
    pub service: Option<Str<'a>>,
    /// The resource, as a template.
    pub resource: Option<Str<'a>>,
    /// The concrete resource, by its handle.
    pub resource_handle: Option<Handle>,
    /// What was done with it.
    pub action: Option<Str<'a>>,
    /// Policies that decided, as `<id>@<version>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Str<'a>>,
}

/// What an answer about a token alone leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotShown {
    /// Its own accesses outside the range.
    pub outside: u64,
    /// Accesses by its descendants.
    pub descendants: u64,
    /// How many descendants accessed something.
    pub descendant_tokens: u64,
    /// False where it is at least so many.
    pub whole: bool,
}

/// `resources`: what a token accessed between two points of its life.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resources<'a> {
    /// The token.
    #[serde(borrow)]
    pub token_id: Str<'a>,
    /// Begin of the range; null where its point never came.
    #[serialize_always]
    pub from: Option<Time>,
    /// End of the range, exclusive; null where its point never came.
    #[serialize_always]
    pub until: Option<Time>,
    /// How many tokens were looked at.
    pub tokens: u64,
    /// Accesses in the range, on all pages.
    pub total: u64,
    /// What an answer of the token alone leaves out.
    pub not_shown: Option<NotShown>,
    /// The accesses of this page, in order of time.
    pub accesses: Vec<Access<'a>>,
}

/// A version of a policy.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyVersion<'a> {
    /// The policy.
    #[serde(borrow)]
    pub policy: Str<'a>,
    /// Its version.
    pub version: Str<'a>,
    /// SHA-256 of its text.
    pub digest: Option<Digest>,
    /// From when on it holds.
    pub effective_from: Time,
    /// Until when.
    pub effective_until: Option<Time>,
    /// The version before.
    pub previous_version: Option<Str<'a>>,
    /// The change request or commit.
    pub change_ref: Option<Str<'a>>,
    /// The service that enforces it.
    pub service: Option<Str<'a>>,
    /// Index of the entry that says so.
    pub index: u64,
    /// Its log's origin, where that is an older one.
    pub origin: Option<Str<'a>>,
    /// What proves it now.
    pub proof_state: ProofState,
    /// When the change was made.
    pub occurred_at: Time,
}

/// Whether a token's scopes lie within what a policy version grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Evaluation {
    /// They do.
    #[serde(rename = "within")]
    Within,
    /// Some lie beyond.
    #[serde(rename = "beyond")]
    Beyond,
    /// That could not be told.
    #[serde(rename = "not evaluated")]
    NotEvaluated,
}

/// A token's scopes against a policy version.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Privilege<'a> {
    /// The policy.
    #[serde(borrow)]
    pub policy: Str<'a>,
    /// Its version.
    pub version: Option<Str<'a>>,
    /// SHA-256 of its text.
    pub digest: Option<Digest>,
    /// Whether the scopes lie within what it grants.
    pub evaluation: Evaluation,
    /// Scopes beyond it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<Str<'a>>,
    /// Why it could not be evaluated.
    pub why: Option<Str<'a>>,
}

/// A policy that the token's issuing event names.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedPolicy<'a> {
    /// The policy.
    #[serde(borrow)]
    pub policy: Str<'a>,
    /// Its version.
    pub version: Str<'a>,
    /// SHA-256 of its text.
    pub digest: Option<Digest>,
    /// The part it took.
    pub role: Word<kernel::PolicyRole>,
    /// Whether it was in force then; absent where no change of it was recorded.
    pub in_force: Option<bool>,
}

/// `policies`: the policies in force when a token was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuePolicies<'a> {
    /// The token.
    #[serde(borrow)]
    pub token_id: Str<'a>,
    /// When it was issued; null where that was not recorded.
    pub issued_at: Option<Time>,
    /// Its scopes.
    pub scopes: Vec<Str<'a>>,
    /// Whether some scope lies beyond every policy that could be evaluated; null where none could.
    pub over_privileged: Option<bool>,
    /// The scopes against each policy.
    pub privileges: Vec<Privilege<'a>>,
    /// The policies that its issuing event names.
    pub named: Vec<NamedPolicy<'a>>,
    /// The versions in force then.
    pub in_force: Vec<PolicyVersion<'a>>,
}

/// Where a token's events part: the first from a key, address, device or client not seen before on
/// it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Divergence<'a> {
    /// What differs: `key`, `address`, `device`, `client` and the like.
    #[serde(borrow)]
    pub what: Str<'a>,
    /// What it was before; handles where it is personal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Str<'a>>,
    /// The entry that says so.
    pub before_index: u64,
    /// Its log's origin, where that is an older one.
    pub before_origin: Option<Str<'a>>,
    /// What it is now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Str<'a>>,
    /// Index of the first event with it.
    pub index: u64,
    /// Its log's origin, where that is an older one.
    pub origin: Option<Str<'a>>,
    /// What proves it now.
    pub proof_state: ProofState,
    /// When that event happened.
    pub occurred_at: Time,
    /// The token it is about.
    pub token_id: Str<'a>,
}

/// `divergence`: the first events that come from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Divergences<'a> {
    /// The token.
    #[serde(borrow)]
    pub token_id: Str<'a>,
    /// What differs, in order of time.
    pub divergences: Vec<Divergence<'a>>,
}

/// A place that saw a token.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExposedTo<'a> {
    /// The service.
    #[serde(borrow)]
    pub service: Option<Str<'a>>,
    /// From where it was seen.
    pub vantage: Word<kernel::Vantage>,
    /// Who reported it.
    pub source: Str<'a>,
    /// Events.
    pub events: u64,
    /// How many let it in.
    pub allowed: u64,
    /// The first.
    pub first: Time,
    /// The last.
    pub last: Time,
}

/// `exposure`: whom a token was shown to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exposure<'a> {
    /// The token.
    #[serde(borrow)]
    pub token_id: Str<'a>,
    /// For whom it is meant.
    pub audiences: Vec<Str<'a>>,
    /// Clients that held it.
    pub clients: Vec<Str<'a>>,
    /// Places that saw it.
    pub places: Vec<ExposedTo<'a>>,
}

/// A resource that was touched.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Touched<'a> {
    /// By which service.
    #[serde(borrow)]
    pub service: Option<Str<'a>>,
    /// The resource, as a template.
    pub resource: Option<Str<'a>>,
    /// The concrete resource, by its handle.
    pub resource_handle: Option<Handle>,
    /// Accesses that were let in.
    pub allowed: u64,
    /// Accesses that were refused.
    pub denied: u64,
    /// The first.
    pub first: Time,
    /// The last.
    pub last: Time,
}

/// A personal value that took part, by its handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    /// Whose record it is.
    pub role: Word<kernel::PersonalRole>,
    /// What sort of value.
    pub kind: Word<kernel::HandleKind>,
    /// The handle.
    pub handle: Handle,
    /// In how many events.
    pub events: u64,
}

/// `blast-radius`: what a leaked token could reach, and what of it is still alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlastRadius<'a> {
    /// The token.
    #[serde(borrow)]
    pub token_id: Str<'a>,
    /// The token and its descendants.
    pub tokens: Vec<Relative<'a>>,
    /// The edges between them.
    pub edges: Vec<Edge<'a>>,
    /// How many descendants it has.
    pub descendants: u64,
    /// Those of them all that may still be used.
    pub alive: Vec<Str<'a>>,
    /// What they touched.
    pub resources: Vec<Touched<'a>>,
    /// Personal values that took part.
    pub handles: Vec<Reached>,
    /// Clients that took part.
    pub clients: Vec<Str<'a>>,
    /// Sessions that took part.
    pub sessions: Vec<Str<'a>>,
    /// Accesses that were let in.
    pub allowed: u64,
    /// Accesses that were refused.
    pub denied: u64,
}

/// The last access that a place allowed after a revocation.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastAllow<'a> {
    /// Index of its entry.
    pub index: u64,
    /// Its log's origin, where that is an older one.
    #[serde(borrow)]
    pub origin: Option<Str<'a>>,
    /// What proves it now.
    pub proof_state: ProofState,
    /// The token that was let in.
    pub token_id: Str<'a>,
    /// When.
    pub occurred_at: Time,
}

/// What a place did after revocations.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlaceAfter<'a> {
    /// The service.
    #[serde(borrow)]
    pub service: Option<Str<'a>>,
    /// From where it saw the tokens.
    pub vantage: Word<kernel::Vantage>,
    /// Who reported it.
    pub source: Str<'a>,
    /// Tokens that it saw after their revocation.
    pub tokens: u64,
    /// How often it let one in.
    pub allowed: u64,
    /// How often it refused one.
    pub refused: u64,
    /// Longest time for which it let one in, in milliseconds.
    pub gap_ms: Option<f64>,
    /// Median of those times over tokens.
    pub p50_ms: Option<f64>,
    /// Their 99th percentile.
    pub p99_ms: Option<f64>,
    /// The last time it let one in.
    pub last_allow: Option<LastAllow<'a>>,
}

/// A token that was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokedToken<'a> {
    /// The token.
    #[serde(borrow, flatten)]
    pub token: Token<'a>,
    /// When.
    pub revoked_at: Time,
}

/// `after-revoke`: who still let tokens in after their revocation, and for how long.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AfterRevoke<'a> {
    /// The token that was asked about.
    #[serde(borrow)]
    pub token_id: Option<Str<'a>>,
    /// Of a time: its begin.
    pub from: Option<Time>,
    /// Its end, exclusive.
    pub until: Option<Time>,
    /// How many tokens were revoked.
    pub revoked: u64,
    /// The tokens.
    pub tokens: Vec<RevokedToken<'a>>,
    /// What each place did.
    pub places: Vec<PlaceAfter<'a>>,
    /// How many pairs of token and place let it in afterwards.
    pub gaps: u64,
    /// Median of the times for which they did, in milliseconds; null where none did.
    #[serialize_always]
    pub p50_ms: Option<f64>,
    /// Their 99th percentile.
    #[serialize_always]
    pub p99_ms: Option<f64>,
}

/// `tokens`: the tokens of a person, a client, a session, a grant or an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tokens<'a> {
    /// The tokens of this page.
    #[serde(borrow)]
    pub tokens: Vec<Token<'a>>,
}

/// A token that a policy change affected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AffectedToken<'a> {
    /// The token.
    #[serde(borrow, flatten)]
    pub token: Token<'a>,
    /// How well that is known.
    pub strength: Word<kernel::Strength>,
    /// By what.
    pub why: Str<'a>,
}

/// A policy change with the tokens it affected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyChangeSeen<'a> {
    /// The version it brought.
    #[serde(borrow, flatten)]
    pub version: PolicyVersion<'a>,
    /// The tokens it affected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<AffectedToken<'a>>,
}

/// `policy-changes`: policy changes that governed a person's tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyChanges<'a> {
    /// Tokens issued from here on.
    pub issued_from: Time,
    /// Until here, exclusive.
    pub issued_until: Time,
    /// The changes.
    #[serde(borrow)]
    pub changes: Vec<PolicyChangeSeen<'a>>,
}

/// A token that accessed a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Visitor<'a> {
    /// The token.
    #[serde(borrow, flatten)]
    pub token: Token<'a>,
    /// Accesses that were let in.
    pub allowed: u64,
    /// Accesses that were refused.
    pub denied: u64,
    /// The accesses.
    pub accesses: Vec<Access<'a>>,
}

/// `accessed`: the tokens that accessed a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accessed<'a> {
    /// The entry at which this page's search began, counted through all origins.
    pub searched_from: u64,
    /// The tokens of this page.
    #[serde(borrow)]
    pub tokens: Vec<Visitor<'a>>,
}

/// `policy-versions`: the versions of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyVersions<'a> {
    /// The policy.
    #[serde(borrow)]
    pub policy: Str<'a>,
    /// Its versions, in order of time.
    pub versions: Vec<PolicyVersion<'a>>,
}

/// `pivot`: everything in which something took part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pivot<'a> {
    /// The events of this page, in order of recording.
    #[serde(borrow)]
    pub events: Vec<Recorded<'a>>,
}

/// A cause of an event, or of one of its causes.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cause<'a> {
    /// How many steps back.
    pub depth: u32,
    /// The entry that names it.
    pub of_index: u64,
    /// Its log's origin, where that is an older one.
    #[serde(borrow)]
    pub of_origin: Option<Str<'a>>,
    /// What the link means.
    pub relation: Word<kernel::Relation>,
    /// How it is known.
    pub strength: Word<kernel::Strength>,
    /// Why it is believed.
    pub why: Option<Str<'a>>,
    /// The token it names.
    pub token_id: Option<Str<'a>>,
    /// The event it names.
    pub event_ref: Option<EventRef<'a>>,
    /// That event, where the ledger has it.
    pub event: Option<Recorded<'a>>,
}

/// `why`: the causes of an event, and theirs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Why<'a> {
    /// How far the findings follower is, which joins some causes.
    #[serde(borrow)]
    pub progress: AllProgress<'a>,
    /// The event.
    pub event: Recorded<'a>,
    /// Its causes, and theirs.
    pub causes: Vec<Cause<'a>>,
}

/// The schema of an answer.
fn answer_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<Answer<'static, T>>()
}

/// The questions, one row each: a new one is its answer above and a row here.
pub const OPERATIONS: &[Operation] = &[
    question(
        "events",
        "get_causes",
        "/v1/events/{source}/{event_id}/why",
        "The causes of an event, and theirs",
        COMMON,
        answer_of::<Why<'static>>,
    ),
    question(
        "tokens",
        "get_lineage",
        "/v1/tokens/{id}/lineage",
        "What a token came of, and what came of it",
        &[
            "tenant",
            "as_of",
            "at",
            "proof",
            "origin",
            "previous_size",
            "wait",
            "direction",
            "to",
            "depth",
            "tokens",
            "strength",
        ],
        answer_of::<Lineage<'static>>,
    ),
    listing(
        "tokens",
        "list_resources",
        "/v1/tokens/{id}/resources",
        "What a token accessed between two points of its life",
        &[
            "tenant",
            "as_of",
            "at",
            "proof",
            "origin",
            "previous_size",
            "wait",
            "limit",
            "page",
            "from",
            "until",
            "of",
        ],
        answer_of::<Resources<'static>>,
    ),
    question(
        "tokens",
        "get_issue_policies",
        "/v1/tokens/{id}/policies",
        "The policies in force when a token was issued",
        COMMON,
        answer_of::<IssuePolicies<'static>>,
    ),
    question(
        "incidents",
        "get_divergence",
        "/v1/tokens/{id}/divergence",
        "Possible theft: the first event from a key, address, device or client not seen before",
        &["tenant", "as_of", "at", "proof", "origin", "previous_size", "wait", "of"],
        answer_of::<Divergences<'static>>,
    ),
    question(
        "tokens",
        "get_exposure",
        "/v1/tokens/{id}/exposure",
        "Whom a token was shown to",
        &["tenant", "as_of", "at", "proof", "origin", "previous_size", "wait", "of"],
        answer_of::<Exposure<'static>>,
    ),
    question(
        "incidents",
        "get_blast_radius",
        "/v1/tokens/{id}/blast-radius",
        "Blast radius: what a leaked token could reach, and what of it is still alive",
        &[
            "tenant",
            "as_of",
            "at",
            "proof",
            "origin",
            "previous_size",
            "wait",
            "depth",
            "tokens",
            "strength",
        ],
        answer_of::<BlastRadius<'static>>,
    ),
    question(
        "incidents",
        "get_after_revoke",
        "/v1/tokens/{id}/after-revoke",
        "Who still let a token in after its revocation, and for how long",
        COMMON,
        answer_of::<AfterRevoke<'static>>,
    ),
    Operation {
        needed: &["from", "until"],
        ..question(
            "incidents",
            "get_all_after_revoke",
            "/v1/after-revoke",
            "The same of all tokens that were revoked in a time",
            &[
                "tenant",
                "as_of",
                "at",
                "proof",
                "origin",
                "previous_size",
                "wait",
                "from",
                "until",
                "tokens",
            ],
            answer_of::<AfterRevoke<'static>>,
        )
    },
    listing(
        "questions",
        "list_subject_tokens",
        "/v1/subjects/{handle}/tokens",
        "A person's tokens",
        PAGED,
        answer_of::<Tokens<'static>>,
    ),
    question(
        "questions",
        "list_policy_changes",
        "/v1/subjects/{handle}/policy-changes",
        "Policy changes that governed a person's tokens",
        &[
            "tenant",
            "as_of",
            "at",
            "proof",
            "origin",
            "previous_size",
            "wait",
            "hours",
            "from",
            "until",
        ],
        answer_of::<PolicyChanges<'static>>,
    ),
    listing(
        "questions",
        "list_client_tokens",
        "/v1/clients/{id}/tokens",
        "A client's tokens",
        PAGED,
        answer_of::<Tokens<'static>>,
    ),
    listing(
        "questions",
        "list_session_tokens",
        "/v1/sessions/{id}/tokens",
        "A session's tokens",
        PAGED,
        answer_of::<Tokens<'static>>,
    ),
    listing(
        "questions",
        "list_grant_tokens",
        "/v1/grants/{id}/tokens",
        "A grant's tokens",
        PAGED,
        answer_of::<Tokens<'static>>,
    ),
    listing(
        "questions",
        "list_issuer_tokens",
        "/v1/issuers/{id}/tokens",
        "An issuer's tokens",
        PAGED,
        answer_of::<Tokens<'static>>,
    ),
    listing(
        "questions",
        "list_resource_tokens",
        "/v1/resources/{id}/tokens",
        "The tokens that accessed a resource, with their accesses",
        &[
            "tenant",
            "as_of",
            "at",
            "proof",
            "origin",
            "previous_size",
            "wait",
            "limit",
            "page",
            "from",
            "until",
        ],
        answer_of::<Accessed<'static>>,
    ),
    question(
        "questions",
        "list_policy_versions",
        "/v1/policies/{id}/versions",
        "A policy's versions",
        COMMON,
        answer_of::<PolicyVersions<'static>>,
    ),
    Operation {
        needed: &["kind", "value"],
        ..listing(
            "questions",
            "pivot",
            "/v1/pivot",
            "Everything in which something took part",
            &[
                "tenant",
                "as_of",
                "at",
                "proof",
                "origin",
                "previous_size",
                "wait",
                "limit",
                "page",
                "kind",
                "value",
            ],
            answer_of::<Pivot<'static>>,
        )
    },
];
