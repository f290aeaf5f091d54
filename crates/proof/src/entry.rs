//! The entry: what the ledger appends. Its bytes are the Merkle leaf.
//!
//! ```text
//! leaf = C3 01 ‖ fingerprint(Entry) ‖ body
//! body = statement bytes ‖ signature or null ‖ attested_by ‖ handles ‖ sealed_digests
//!        ‖ recorded_at ‖ sequence ‖ prev_event_hash ‖ prev_index or null ‖ blind or null
//! event hash = SHA-256(0x00 ‖ leaf)
//! ```
//!
//! Version 2 adds the topic's id to the position in a stream. An entry is of version 2 exactly when
//! it has one, so that no value has two encodings; every other entry keeps the bytes it always had.
//!
//! Promises: an entry that [`Entry::validate`] accepts has its blind exactly when nothing else in
//! it is unpredictable, so that nobody can guess an entry from its hash in the public tiles.

use crate::hash::Hash;
use crate::hlc::Hlc;
use crate::vocabulary::{HandleKind, PersonalRole};
use crate::wire::{FIRST_VERSION, Reader, Refused, Wire, wire_record};

/// Longest entry in bytes: an entry bundle's length is a u16.
pub const MAX_ENTRY_BYTES: usize = 65_535;
/// Longest statement in bytes: what the ledger adds to an entry needs some room.
pub const MAX_STATEMENT_BYTES: usize = MAX_ENTRY_BYTES - 4096;
/// Longest signature value in bytes.
pub const MAX_SIGNATURE_BYTES: usize = 8192;

wire_record! {
    /// The producer's signature over its statement.
    pub struct Signature<'a> {
        /// 1 = HMAC-SHA256, 2 = Ed25519 judged by ZIP 215.
        pub alg: i32,
        /// The registered key.
        pub key_id: &'a str,
        /// The value, at most 8 KiB.
        pub value: &'a [u8],
    }
}

/// What a topic is known by for ever: one that is made again under its name has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl Wire<'_> for TopicId {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        Wire::take(reader).map(Self)
    }
}

/// A position in a stream that the entry was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPosition<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// The topic's id: there from version 2 on.
    pub topic_id: Option<TopicId>,
}

/// Entries that name the id of a topic are of this version.
const WITH_TOPIC_ID: u8 = 2;

impl<'a> Wire<'a> for StreamPosition<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        self.topic.put(out);
        self.partition.put(out);
        self.offset.put(out);
        if self.topic_id.is_some() {
            self.topic_id.put(out);
        }
    }
    fn take(reader: &mut Reader<'a>) -> Result<Self, Refused> {
        Ok(Self {
            topic: Wire::take(reader)?,
            partition: Wire::take(reader)?,
            offset: Wire::take(reader)?,
            topic_id: if reader.version() < WITH_TOPIC_ID { None } else { Wire::take(reader)? },
        })
    }
}

wire_record! {
    /// On whose word the ledger took the statement.
    pub struct Attestation<'a> {
        /// The API credential that submitted it; null for the ledger's own.
        pub credential: Option<&'a str>,
        /// The stream it was read from.
        pub stream: Option<StreamPosition<'a>>,
    }
}

wire_record! {
    /// A pseudonym of something personal; the mapping lives only in the vault.
    pub struct Handle {
        /// The role of the personal record it stands for.
        pub role: PersonalRole,
        /// What it stands for.
        pub kind: HandleKind,
        /// The random (PERSON) or keyed (others) pseudonym.
        pub id: [u8; 16],
    }
}

wire_record! {
    /// A statement as the ledger recorded it.
    pub struct Entry<'a> {
        /// The statement as signed, its own fingerprint in front.
        pub statement: &'a [u8],
        /// The producer's signature.
        pub signature: Option<Signature<'a>>,
        /// On whose word.
        pub attested_by: Attestation<'a>,
        /// Pseudonyms of what the personal records hold.
        pub handles: Vec<Handle>,
        /// SHA-256 of each sealed record's nonce and ciphertext.
        pub sealed_digests: Vec<Hash>,
        /// When the ledger recorded it.
        pub recorded_at: Hlc,
        /// Position in the target's chain, from 0.
        pub sequence: i64,
        /// Event hash of the chain's previous entry, or the chain's start.
        pub prev_event_hash: Hash,
        /// Index of the chain's previous entry.
        pub prev_index: Option<i64>,
        /// 16 random bytes, present iff there is neither a signature nor a personal commitment.
        pub blind: Option<[u8; 16]>,
    } version entry_version
}

fn entry_version(entry: &Entry<'_>) -> u8 {
    let topic_id = entry.attested_by.stream.as_ref().and_then(|stream| stream.topic_id);
    if topic_id.is_some() { WITH_TOPIC_ID } else { FIRST_VERSION }
}
