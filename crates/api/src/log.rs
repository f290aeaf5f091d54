//! Leaves of the log as JSON: recorded events, blocks and control entries, and their proofs.
//!
//! Promises: what stands in a leaf stands in the answer, and nothing else: personal records are not
//! in leaves. 64-bit integers are JSON numbers here; proof bundles write them as text.

use std::collections::BTreeMap;

use ledgerline_proof::control::ControlKind;
use ledgerline_proof::vocabulary as kernel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::event::Event;
use crate::values::{Digest, Handle, HexHash, Str, Time, Word};

/// What proves an entry now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProofState {
    /// The published checkpoint covers it.
    Block,
    /// Only the receipt of its commit does, until the next block.
    Receipt,
}

impl ProofState {
    /// `Block` when the published checkpoint covers it.
    #[must_use]
    pub const fn of(is_published: bool) -> Self {
        if is_published { Self::Block } else { Self::Receipt }
    }

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Receipt => "receipt",
        }
    }
}

/// An entry that an answer stands on.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence<'a> {
    /// Its index in its log.
    pub index: u64,
    /// Its log's origin, where that is an older one that this ledger continues.
    #[serde(borrow)]
    pub origin: Option<Str<'a>>,
    /// What proves it now.
    pub proof_state: ProofState,
}

/// Who vouches for a recorded event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attested {
    /// The producer's signature.
    Signature,
    /// The API key that sent it.
    Credential,
}

/// The word `entry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// An event.
    Entry,
}

/// The word `block`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// A block.
    Block,
}

/// The word `control`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ControlWord {
    /// A control entry.
    Control,
}

/// A producer's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signature<'a> {
    /// `HMAC-SHA256` or `Ed25519`.
    #[serde(borrow)]
    pub alg: Str<'a>,
    /// The producer's key.
    pub key_id: Str<'a>,
    /// Base64.
    pub value: Str<'a>,
}

/// A personal value that the event names, by its handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryHandle {
    /// Whose record it is.
    pub role: Word<kernel::PersonalRole>,
    /// What sort of value.
    pub kind: Word<kernel::HandleKind>,
    /// The handle.
    pub handle: Handle,
}

/// A personal record that is sealed beside the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sealed {
    /// Its number in the event.
    pub n: u8,
    /// The handle under whose key it is sealed.
    pub handle: Handle,
    /// Whether that key was destroyed.
    pub erased: bool,
}

/// What became of a personal record that was to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// It was opened.
    Open,
    /// Its key was destroyed.
    Erased,
    /// It is about somebody else than was asked about.
    Withheld,
    /// It does not open, or is not what was committed to.
    Closed,
}

/// A personal record, opened.
#[skip_serializing_none]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DisclosedRecord<'a> {
    /// Its number in the event.
    pub n: u8,
    /// Whose record it is.
    pub role: Word<kernel::PersonalRole>,
    /// The handle under whose key it is sealed.
    pub handle: Handle,
    /// What became of it.
    pub state: RecordState,
    /// The account at the issuer.
    #[serde(borrow)]
    pub user_id: Option<Str<'a>>,
    /// Network address.
    pub ip: Option<Str<'a>>,
    /// User agent.
    pub user_agent: Option<Str<'a>>,
    /// Id of the device.
    pub device: Option<Str<'a>>,
    /// The concrete resource.
    pub resource: Option<Str<'a>>,
    /// Anything else about the person.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<Str<'a>, Str<'a>>,
}

impl std::fmt::Debug for DisclosedRecord<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "DisclosedRecord({}, …)", self.n)
    }
}

/// An event as it was recorded: its place in the log and in the chain of its target, what vouches
/// for it, and what was stated.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recorded<'a> {
    /// What breaks the life of the token here, such as `use_after_revoke`; absent for nothing. Only
    /// in a token's events.
    #[serde(borrow)]
    pub violation: Option<Str<'a>>,
    /// `entry`.
    pub kind: EntryKind,
    /// Its place in the chain of its target, from 0.
    pub sequence: i64,
    /// Hash of the entry before in that chain.
    pub prev_event_hash: HexHash,
    /// Index of the entry before in that chain.
    pub prev_index: Option<i64>,
    /// When the ledger recorded it.
    pub recorded_at: Time,
    /// Logical part of that clock.
    pub recorded_logical: i32,
    /// Who vouches for it.
    pub attested_by: Attested,
    /// Id of the API key that sent it.
    pub credential: Option<Str<'a>>,
    /// The producer's signature.
    pub signature: Option<Signature<'a>>,
    /// Personal values it names, by their handles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handles: Vec<EntryHandle>,
    /// Digests of the sealed records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sealed_digests: Vec<HexHash>,
    /// What was stated.
    pub statement: Event<'a>,
    /// Index in the log.
    pub index: u64,
    /// Hash of the leaf; what chains and tree hold.
    pub event_hash: HexHash,
    /// Origin of the log it stands in.
    pub origin: Option<Str<'a>>,
    /// The sealed personal records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sealed: Vec<Sealed>,
    /// Documents that it names and the ledger holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Digest>,
    /// What proves it now.
    pub proof_state: Option<ProofState>,
    /// Of `/v1/disclose`: its personal records, opened.
    pub records: Option<Vec<DisclosedRecord<'a>>>,
    /// Of `/v1/leaves`: the inclusion proof.
    pub proof: Option<Inclusion<'a>>,
}

/// A time with its logical part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stamp {
    /// The time.
    pub time: Time,
    /// Orders what shares it.
    pub logical: i32,
}

/// A block: it seals the entries since the block before.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Block<'a> {
    /// `block`.
    pub kind: BlockKind,
    /// Its number, from 0.
    pub height: i64,
    /// Hash of the block before.
    pub previous: HexHash,
    /// The first entry that it seals.
    pub first_index: i64,
    /// How many.
    pub count: i64,
    /// Root of the tree of all entries up to them.
    pub tree_root: HexHash,
    /// Earliest time at which an event of it happened.
    pub min_occurred_at: Option<Stamp>,
    /// Latest.
    pub max_occurred_at: Option<Stamp>,
    /// When its first entry was recorded.
    pub first_recorded_at: Option<Stamp>,
    /// When its last was.
    pub last_recorded_at: Option<Stamp>,
    /// When it was sealed.
    pub sealed_at: Stamp,
    /// Submissions refused since the block before.
    pub refused_count: i64,
    /// Root of the tree of the refusals.
    pub refused_root: HexHash,
    /// Index of the block in the log.
    pub index: u64,
    /// Hash of its leaf.
    pub event_hash: HexHash,
    /// Of `/v1/leaves`: the inclusion proof.
    #[serde(borrow)]
    pub proof: Option<Inclusion<'a>>,
}

/// An entry that the ledger makes about itself: schemas, keys, recoveries.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Control<'a> {
    /// `control`.
    pub kind: ControlWord,
    /// What sort.
    pub control: Word<ControlKind>,
    /// When it was recorded.
    pub recorded_at: Stamp,
    /// A schema that leaves from here on may be written in.
    #[serde(borrow)]
    pub schema: Option<Schema<'a>>,
    /// A key that was made.
    pub key_added: Option<KeyAdded<'a>>,
    /// A key that ended.
    pub key_ended: Option<KeyEnded<'a>>,
    /// A recovery from a crash.
    pub recovered: Option<Recovered>,
    /// How far other ledgers were.
    pub cut: Option<Cut<'a>>,
    /// Index in the log.
    pub index: u64,
    /// Hash of its leaf.
    pub event_hash: HexHash,
    /// Of `/v1/leaves`: the inclusion proof.
    pub proof: Option<Inclusion<'a>>,
}

/// A schema of leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Schema<'a> {
    /// Its full name.
    #[serde(borrow)]
    pub name: Str<'a>,
    /// SHA-256 of its text.
    pub sha256: HexHash,
    /// Avro, as JSON.
    pub text: Str<'a>,
}

/// A key that was made, with its grant.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyAdded<'a> {
    /// Its id.
    #[serde(borrow)]
    pub key_id: Str<'a>,
    /// What it is for.
    pub purpose: Word<kernel::KeyPurpose>,
    /// Number of its algorithm.
    pub alg: i32,
    /// Its tenant, `*` for all.
    pub tenant: Str<'a>,
    /// The source it writes for.
    pub source: Str<'a>,
    /// Base64 of a public key.
    pub public_key: Option<Str<'a>>,
    /// Event types it may write; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Word<kernel::EventType>>,
    /// Issuers it may write for; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<Str<'a>>,
    /// Regions it may write for; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Str<'a>>,
    /// Its roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Str<'a>>,
    /// Whether it must sign what it sends.
    pub signed_only: bool,
    /// Whether it is refused what violates a token's lifecycle.
    pub strict: bool,
    /// When it ends by itself.
    pub expires_at: Option<Time>,
}

/// A key that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyEnded<'a> {
    /// Its id.
    #[serde(borrow)]
    pub key_id: Str<'a>,
    /// Why.
    pub reason: Option<Str<'a>>,
}

/// A recovery from a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recovered {
    /// Entries that were there.
    pub size: i64,
    /// Bytes of a torn batch that were cut off.
    pub torn_bytes: i64,
    /// Refusals that were counted and not yet in a block.
    pub refusals_lost: bool,
}

/// How far other ledgers were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cut<'a> {
    /// Version of the list of shards.
    pub shard_list_version: i64,
    /// One of each.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<LogHead<'a>>,
}

/// How far a log was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogHead<'a> {
    /// Its origin.
    #[serde(borrow)]
    pub origin: Str<'a>,
    /// Entries of its tree.
    pub size: i64,
    /// Root of its tree.
    pub root: HexHash,
}

/// Any leaf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Leaf<'a> {
    /// A recorded event.
    Entry(#[serde(borrow)] Box<Recorded<'a>>),
    /// A block.
    Block(Box<Block<'a>>),
    /// An entry that the ledger makes about itself.
    Control(Box<Control<'a>>),
}

impl<'a> Leaf<'a> {
    /// Adds its inclusion proof.
    pub fn prove(&mut self, proof: Inclusion<'a>) {
        let place = match self {
            Self::Entry(entry) => &mut entry.proof,
            Self::Block(block) => &mut block.proof,
            Self::Control(control) => &mut control.proof,
        };
        *place = Some(proof);
    }
}

/// That a leaf stands in the tree of a checkpoint (RFC 6962 section 2.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inclusion<'a> {
    /// Index of the leaf.
    pub index: u64,
    /// Entries of the tree.
    pub size: u64,
    /// The leaf's bytes, base64.
    #[serde(borrow)]
    pub leaf: Str<'a>,
    /// Hashes from the leaf to the root, base64.
    pub path: Vec<Str<'a>>,
    /// The signed checkpoint of that tree (C2SP tlog-checkpoint).
    pub checkpoint: Str<'a>,
}

/// `GET /v1/blocks`: a page of blocks, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Blocks<'a> {
    /// The blocks.
    #[serde(borrow)]
    pub blocks: Vec<Block<'a>>,
    /// Entries of the log.
    pub size: u64,
    /// Where the next page begins: send it as `page`. Null at the end.
    pub next: Option<Str<'a>>,
}

/// `GET /v1/verify-reports`: what the verifier of the running ledger found, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyReports<'a> {
    /// The reports; null for an entry that cannot be read.
    #[serde(borrow)]
    pub reports: Vec<Option<VerifyReport<'a>>>,
    /// Where the next page begins: send it as `page`. Null at the end.
    pub next: Option<Str<'a>>,
    /// Where the verifier is now.
    pub behind: Verifier,
    /// How far the verifier is.
    pub progress: crate::progress::AllProgress<'a>,
    /// Entries of the log.
    pub size: u64,
    /// The newest signed checkpoint.
    pub checkpoint: Str<'a>,
}

/// Where the verifier of the running ledger is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verifier {
    /// Whether it runs.
    pub on: bool,
    /// Entries it has verified.
    pub size: u64,
    /// Entries it has not.
    pub lag_entries: u64,
    /// When the last block that it verified was sealed.
    pub block_sealed_at: Option<Time>,
    /// Flaws it has found.
    pub flaws: u64,
    /// Whether it holds the ends of all chains, and so compares each entry with the one before.
    pub holds_all_chains: bool,
}

/// A report of the verifier. It names no token, person or tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyReport<'a> {
    /// Index of its entry.
    pub index: u64,
    /// Its event id.
    #[serde(borrow)]
    pub event_id: Str<'a>,
    /// When the verification ended.
    pub finished_at: Time,
    /// When it was recorded.
    pub recorded_at: Time,
    /// `verified` or `not verified`, and what else the verifier says.
    pub verdict: Option<Str<'a>>,
    /// First entry that was verified.
    pub from: Option<u64>,
    /// The entry behind the last.
    pub to: Option<u64>,
    /// Root of the tree up to there.
    pub root: Option<Str<'a>>,
    /// What was wrong, in number.
    pub findings: Option<u64>,
    /// The first entry with something wrong.
    pub first_bad_index: Option<u64>,
    /// What was looked at.
    pub counts: VerifyCounts,
    /// What was not checked, and why.
    pub not_checked: Option<Str<'a>>,
    /// What proves the report now.
    pub proof_state: ProofState,
}

/// How much a verification looked at; null where it does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyCounts {
    /// Events.
    pub events: Option<u64>,
    /// Chains.
    pub chains: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// Blocks.
    pub blocks: Option<u64>,
    /// Signatures of producers.
    pub signatures: Option<u64>,
    /// Signatures of which the key is not at hand.
    pub unverifiable: Option<u64>,
    /// Sealed personal records.
    pub sealed: Option<u64>,
    /// Attached documents.
    pub attachments: Option<u64>,
    /// Checkpoints that producers had seen.
    pub seen: Option<u64>,
}
