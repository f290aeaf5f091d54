//! Random records of every kind. A record is drawn from a list of random words, so that proptest
//! shrinks it towards the empty one: a spent list gives zeros, and zero is `None`, an empty list,
//! position 0.

// Each test program uses its own part of this.
#![allow(dead_code)]

use ledgerline_proof::block::{Block, KeyMap, Refusal};
use ledgerline_proof::control::{
    Control, ControlKind, Genesis, Grant, KeyAdded, KeyEnded, Predecessor, Recovered, SchemaText,
};
use ledgerline_proof::cut::{Cut, CutHead};
use ledgerline_proof::entry::{Attestation, Entry, Handle, Signature, StreamPosition, TopicId};
use ledgerline_proof::hash::Hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::personal::PersonalRecord;
use ledgerline_proof::schema::Kind;
use ledgerline_proof::statement::{
    Act, Activation, Actor, Adapter, Detail, EventRef, Link, Mfa, Personal, PolicyChange,
    PolicyRef, Seen, Selector, Statement, Target,
};
use ledgerline_proof::submission::{Attachment, Submission};
use ledgerline_proof::vocabulary::{
    ActorKind, Delegation, EventType, HandleKind, KeyPurpose, Outcome, PersonalRole, PolicyRole,
    Relation, Strength, TargetKind, TokenKind, Vantage,
};
use ledgerline_proof::wire::{self, DecodeError};
use proptest::prelude::*;

/// The random words a record is drawn from.
#[derive(Debug, Clone)]
pub struct Draws {
    words: Vec<u64>,
    at: usize,
    full: bool,
}

impl Draws {
    pub fn new(words: Vec<u64>) -> Self {
        Self { words, at: 0, full: false }
    }

    /// Draws with every optional field set and no list empty.
    pub fn full() -> Self {
        let words = (1..5000u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        Self { words, at: 0, full: true }
    }

    fn word(&mut self) -> u64 {
        self.at += 1;
        self.words.get(self.at - 1).copied().unwrap_or(0)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.word() >> 33).unwrap() % limit
    }
}

pub fn draws() -> impl Strategy<Value = Draws> {
    prop::collection::vec(any::<u64>(), 0..1200).prop_map(Draws::new)
}

/// So many cases, and no file beside the sources when one fails: its words are in the message.
pub fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

pub trait Draw: Sized {
    /// Version 1 has none of it: a record that may have one is drawn without.
    const LATER: bool = false;
    fn draw(draws: &mut Draws) -> Self;
}

impl Draw for i64 {
    fn draw(draws: &mut Draws) -> Self {
        let word = draws.word().cast_signed();
        [0, word & 0x7f, word, i64::MAX, i64::MIN, -1][draws.below(6)]
    }
}

impl Draw for i32 {
    fn draw(draws: &mut Draws) -> Self {
        let word = i32::try_from(draws.word() >> 33).unwrap();
        [0, word & 0x7f, word, i32::MAX, i32::MIN, -1][draws.below(6)]
    }
}

impl Draw for bool {
    fn draw(draws: &mut Draws) -> Self {
        draws.below(2) == 1
    }
}

impl<const N: usize> Draw for [u8; N] {
    fn draw(draws: &mut Draws) -> Self {
        std::array::from_fn(|_| draws.word().to_le_bytes()[7])
    }
}

impl Draw for Hash {
    fn draw(draws: &mut Draws) -> Self {
        Self(Draw::draw(draws))
    }
}

/// Records borrow their text. What a test draws lives as long as the test program.
impl Draw for &'static str {
    fn draw(draws: &mut Draws) -> Self {
        let letters = ['a', 'Z', '0', ':', '"', '\n', '\0', 'é', '漢', '\u{1f512}'];
        let length = draws.below(10);
        let text: String = (0..length).map(|_| letters[draws.below(letters.len())]).collect();
        text.leak()
    }
}

impl Draw for &'static [u8] {
    fn draw(draws: &mut Draws) -> Self {
        // Now and then longer than one varint byte can say.
        let length = [0, 1, 9, 200][draws.below(4)];
        let bytes: Vec<u8> = (0..length).map(|_| draws.word().to_le_bytes()[7]).collect();
        bytes.leak()
    }
}

impl<T: Draw> Draw for Option<T> {
    fn draw(draws: &mut Draws) -> Self {
        if T::LATER {
            return None;
        }
        (draws.below(2) == 1 || draws.full).then(|| T::draw(draws))
    }
}

impl<T: Draw> Draw for Vec<T> {
    fn draw(draws: &mut Draws) -> Self {
        let count = draws.below(3) + usize::from(draws.full);
        (0..count).map(|_| T::draw(draws)).collect()
    }
}

impl Draw for TopicId {
    const LATER: bool = true;
    fn draw(draws: &mut Draws) -> Self {
        Self(Draw::draw(draws))
    }
}

impl Draw for Cut<'static> {
    const LATER: bool = true;
    fn draw(draws: &mut Draws) -> Self {
        Self { shard_list_version: Draw::draw(draws), heads: Draw::draw(draws) }
    }
}

/// Of version 1: CUT is not in it.
impl Draw for ControlKind {
    fn draw(draws: &mut Draws) -> Self {
        let first = &Self::ALL[..Self::Cut as usize];
        first[draws.below(first.len())]
    }
}

macro_rules! draw_enums {
    ($($name:ident),*) => {$(
        impl Draw for $name {
            fn draw(draws: &mut Draws) -> Self { Self::ALL[draws.below(Self::ALL.len())] }
        }
    )*};
}

draw_enums!(
    ActorKind,
    Delegation,
    EventType,
    HandleKind,
    KeyPurpose,
    Outcome,
    PersonalRole,
    PolicyRole,
    Relation,
    Strength,
    TargetKind,
    TokenKind,
    Vantage
);

/// Draws every field, and gives the Avro name with a full specimen's `Debug` text, which lists the
/// fields as they are declared.
macro_rules! draw_records {
    ($($avro:literal $name:ty { $($field:ident)* })*) => {
        $(impl Draw for $name {
            fn draw(draws: &mut Draws) -> Self { Self { $($field: Draw::draw(draws),)* } }
        })*
        pub fn specimens() -> Vec<(&'static str, String)> {
            let cut = Cut::draw(&mut Draws::full());
            vec![
                ("Cut", format!("{cut:#?}")),
                $(($avro, format!("{:#?}", <$name>::draw(&mut Draws::full()))),)*
            ]
        }
    };
}

draw_records! {
    "Hlc" Hlc { nanos logical }
    "Act" Act<'static> { id part parts }
    "Seen" Seen<'static> { origin size root }
    "Target" Target<'static> { kind id }
    "Activation" Activation<'static> { requires deadline }
    "Mfa" Mfa<'static> { methods acr completed_at }
    "PolicyRef" PolicyRef<'static> { id version digest role effect }
    "PolicyChange" PolicyChange<'static> {
        effective_from effective_until previous_version change_ref snapshot
    }
    "EventRef" EventRef<'static> { source event_id }
    "Link" Link<'static> { token event relation strength why }
    "Actor" Actor<'static> { kind issuer id }
    "Adapter" Adapter<'static> { name version }
    "Selector" Selector<'static> { issued_before client audience }
    "Detail" Detail<'static> { key value }
    "PersonalCommitment" Personal { role commitment }
    "Statement" Statement<'static> {
        event_id native_id act tenant source source_instance source_seq seen target event_type
        outcome reason occurred_at time_uncertainty_ns effective_at count last_at vantage issuer
        issuer_kid client_id grant_id session_id family_id generation also_known_as token_kind
        scopes audience issued_at not_before expires_at grace_until rotate_by activation mfa
        status_index service endpoint resource action status bytes_out policies policy_change
        links actors delegation trace_id correlation_id adapter selector detail raw_digest personal
    }
    "Personal" PersonalRecord<'static> { salt user_id ip user_agent device resource attributes }
    "Signature" Signature<'static> { alg key_id value }
    "StreamPosition" StreamPosition<'static> { topic partition offset topic_id }
    "Attestation" Attestation<'static> { credential stream }
    "Handle" Handle { role kind id }
    "Entry" Entry<'static> {
        statement signature attested_by handles sealed_digests recorded_at sequence
        prev_event_hash prev_index blind
    }
    "KeyMap" KeyMap { level first_index root }
    "Block" Block {
        height previous first_index count tree_root min_occurred_at max_occurred_at
        first_recorded_at last_recorded_at sealed_at refused_count refused_root key_maps
    }
    "Refusal" Refusal<'static> { received_at credential code id }
    "Predecessor" Predecessor<'static> { origin checkpoint }
    "Genesis" Genesis<'static> {
        ledger_id deployment origin log_key shard shard_count shard_hash predecessor
    }
    "SchemaText" SchemaText<'static> { name fingerprint sha256 text }
    "Grant" Grant<'static> { types issuers regions roles signed_only strict expires_at }
    "KeyAdded" KeyAdded<'static> {
        key_id purpose alg tenant source grant public_key secret_hash
    }
    "KeyEnded" KeyEnded<'static> { key_id reason }
    "Recovered" Recovered { size torn_bytes torn_digest refusals_lost epoch }
    "CutHead" CutHead<'static> { origin size root }
    "Control" Control<'static> {
        kind recorded_at genesis schema key_added key_ended recovered blind cut
    }
    "Attachment" Attachment<'static> { digest media_type data }
    "Submission" Submission<'static> { statement personal signature attachments }
}

/// How to make and remake the body of one kind.
pub struct Case {
    pub kind: Kind,
    /// Draws a record, and checks on the way that decoding its body gives it back.
    pub draw: fn(&mut Draws) -> Vec<u8>,
    /// Decodes a body and encodes what came out.
    pub reencode: fn(&[u8]) -> Result<Vec<u8>, DecodeError>,
}

macro_rules! cases {
    ($($kind:ident $name:ident)*) => {
        pub const CASES: [Case; 7] = [$(Case {
            kind: Kind::$kind,
            draw: |draws| {
                let record = $name::draw(draws);
                let body = wire::encode(&record);
                assert_eq!(wire::decode::<$name>(&body), Ok(record));
                body
            },
            reencode: |body| wire::decode::<$name>(body).map(|record| wire::encode(&record)),
        },)*];
    };
}

cases! {
    Statement Statement
    Personal PersonalRecord
    Entry Entry
    Block Block
    Control Control
    Refusal Refusal
    Submission Submission
}
