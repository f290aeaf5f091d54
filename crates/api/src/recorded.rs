//! Leaves and states of the kernel as the forms of this crate.
//!
//! Promises: what stands in a leaf stands in the form, and nothing else. What is text in the leaf
//! is borrowed from it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_proof::block;
use ledgerline_proof::control;
use ledgerline_proof::entry;
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{self, TokenState};
use ledgerline_proof::schema::{Kind, Leaf as KernelLeaf, decode_object_with};
use ledgerline_proof::statement::{self, Statement};

use crate::event::{
    Act, Activation, Actor, Adapter, Detail, Event, EventRef, Link, Mfa, Personal, Policy,
    PolicyChange, Seen, Selector, Target,
};
use crate::log::{
    Attested, Block, BlockKind, Control, ControlWord, Cut, EntryHandle, EntryKind, KeyAdded,
    KeyEnded, Leaf, LogHead, Recorded, Recovered, Schema, Signature, Stamp,
};
use crate::token::{Birth, State, Status};
use crate::uuid_text;
use crate::values::{Handle, HexHash, Str, Time, Timestamp, Word};

/// Bytes that are no leaf: the verifier's business, not the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the leaf {index} does not decode: {why}")]
pub struct NotALeaf {
    /// Where it stands.
    pub index: u64,
    /// What is wrong with it.
    pub why: String,
}

impl NotALeaf {
    fn at(index: u64, why: &impl std::fmt::Display) -> Self {
        Self { index, why: why.to_string() }
    }
}

/// Any leaf at its index.
///
/// # Errors
/// [`NotALeaf`].
pub fn leaf(index: u64, bytes: &[u8]) -> Result<Leaf<'_>, NotALeaf> {
    let decoded = KernelLeaf::decode(bytes).map_err(|error| NotALeaf::at(index, &error))?;
    let event_hash = HexHash(leaf_hash(bytes));
    Ok(match &decoded {
        KernelLeaf::Entry(entry) => Leaf::Entry(Box::new(recorded_of(index, event_hash, entry)?)),
        KernelLeaf::Block(block) => Leaf::Block(Box::new(block_of(index, event_hash.0, block))),
        KernelLeaf::Control(control) => {
            Leaf::Control(Box::new(control_of(index, event_hash, control)))
        }
    })
}

/// The event of a leaf at its index.
///
/// # Errors
/// [`NotALeaf`], also for a block and a control entry.
pub fn event(index: u64, bytes: &[u8]) -> Result<Recorded<'_>, NotALeaf> {
    let decoded = KernelLeaf::decode(bytes).map_err(|error| NotALeaf::at(index, &error))?;
    match &decoded {
        KernelLeaf::Entry(entry) => recorded_of(index, HexHash(leaf_hash(bytes)), entry),
        KernelLeaf::Block(_) | KernelLeaf::Control(_) => {
            Err(NotALeaf::at(index, &"it is no event"))
        }
    }
}

fn recorded_of<'a>(
    index: u64,
    event_hash: HexHash,
    entry: &entry::Entry<'a>,
) -> Result<Recorded<'a>, NotALeaf> {
    let statement = decode_object_with(Kind::Statement, entry.statement, event_of)
        .map_err(|error| NotALeaf::at(index, &error))?;
    let handle = |one: &entry::Handle| EntryHandle {
        role: Word(one.role),
        kind: Word(one.kind),
        handle: Handle(one.id),
    };
    Ok(Recorded {
        violation: None,
        kind: EntryKind::Entry,
        sequence: entry.sequence,
        prev_event_hash: HexHash(entry.prev_event_hash),
        prev_index: entry.prev_index,
        recorded_at: Time(entry.recorded_at.nanos),
        recorded_logical: entry.recorded_at.logical,
        attested_by: match entry.signature {
            Some(_) => Attested::Signature,
            None => Attested::Credential,
        },
        credential: entry.attested_by.credential.map(Str::Borrowed),
        signature: entry.signature.as_ref().map(signature_of),
        handles: entry.handles.iter().map(handle).collect(),
        sealed_digests: entry.sealed_digests.iter().copied().map(HexHash).collect(),
        statement,
        index,
        event_hash,
        origin: None,
        sealed: Vec::new(),
        attachments: Vec::new(),
        proof_state: None,
        records: None,
        proof: None,
    })
}

fn signature_of<'a>(signature: &entry::Signature<'a>) -> Signature<'a> {
    let alg = match signature.alg {
        1 => "HMAC-SHA256",
        2 => "Ed25519",
        _ => "OTHER",
    };
    Signature {
        alg: alg.into(),
        key_id: signature.key_id.into(),
        value: STANDARD.encode(signature.value).into(),
    }
}

fn texts<'a>(list: &[&'a str]) -> Vec<Str<'a>> {
    list.iter().map(|one| Str::Borrowed(*one)).collect()
}

fn digest_text(hash: Hash) -> Str<'static> {
    format!("sha256:{}", hash.to_hex()).into()
}

/// A statement as the event that was sent: what is the same for all and says nothing is left out.
#[must_use]
pub fn event_of<'a>(s: &Statement<'a>) -> Event<'a> {
    let word = |symbol: &'static str| Some(Str::Borrowed(symbol));
    let text = |text: Option<&'a str>| text.map(Str::Borrowed);
    let time = |nanos: Option<i64>| nanos.map(Timestamp::At);
    Event {
        event_id: Some(uuid_text::text(&s.event_id).into()),
        native_id: text(s.native_id),
        act: s.act.as_ref().map(|act| Act { id: act.id.into(), part: act.part, parts: act.parts }),
        tenant: text(Some(s.tenant)),
        source: text(Some(s.source)),
        source_instance: s.source_instance.map(|id| uuid_text::text(&id).into()),
        source_seq: s.source_seq,
        seen: s.seen.as_ref().map(|seen| Seen {
            origin: seen.origin.into(),
            size: seen.size,
            root: seen.root.to_hex().into(),
        }),
        target: Some(Target { kind: s.target.kind.symbol().into(), id: s.target.id.into() }),
        token_id: None,
        event_type: word(s.event_type.symbol()),
        outcome: word(s.outcome.symbol()),
        reason: text(s.reason),
        occurred_at: Some(Timestamp::At(s.occurred_at.nanos)),
        occurred_logical: Some(s.occurred_at.logical).filter(|logical| *logical != 0),
        time_uncertainty_ns: s.time_uncertainty_ns,
        effective_at: time(s.effective_at),
        count: s.count,
        last_at: time(s.last_at),
        vantage: word(s.vantage.symbol()),
        service: text(s.service),
        endpoint: text(s.endpoint),
        resource: text(s.resource),
        action: text(s.action),
        status: s.status,
        bytes_out: s.bytes_out,
        policies: s.policies.iter().map(policy_of).collect(),
        policy_change: s.policy_change.as_ref().map(policy_change_of),
        links: s.links.iter().map(link_of).collect(),
        actors: s.actors.iter().map(actor_of).collect(),
        delegation: word(s.delegation.symbol()),
        trace_id: text(s.trace_id),
        correlation_id: text(s.correlation_id),
        adapter: s
            .adapter
            .as_ref()
            .map(|one| Adapter { name: one.name.into(), version: one.version.into() }),
        selector: s.selector.as_ref().map(|one| Selector {
            issued_before: time(one.issued_before),
            client: text(one.client),
            audience: text(one.audience),
        }),
        detail: s.detail.iter().map(detail_of).collect(),
        personal: s.personal.iter().map(personal_of).collect(),
        ..token_facts(s)
    }
}

/// What a statement says of the token itself.
fn token_facts<'a>(s: &Statement<'a>) -> Event<'a> {
    let text = |text: Option<&'a str>| text.map(Str::Borrowed);
    let time = |nanos: Option<i64>| nanos.map(Timestamp::At);
    Event {
        issuer: text(s.issuer),
        issuer_kid: text(s.issuer_kid),
        client_id: text(s.client_id),
        grant_id: text(s.grant_id),
        session_id: text(s.session_id),
        family_id: text(s.family_id),
        generation: s.generation,
        also_known_as: texts(&s.also_known_as),
        token_kind: s.token_kind.map(|kind| kind.symbol().into()),
        scopes: texts(&s.scopes),
        audience: texts(&s.audience),
        issued_at: time(s.issued_at),
        not_before: time(s.not_before),
        expires_at: time(s.expires_at),
        grace_until: time(s.grace_until),
        rotate_by: time(s.rotate_by),
        activation: s
            .activation
            .as_ref()
            .map(|one| Activation { requires: texts(&one.requires), deadline: time(one.deadline) }),
        mfa: s.mfa.as_ref().map(|mfa| Mfa {
            methods: texts(&mfa.methods),
            acr: text(mfa.acr),
            completed_at: time(mfa.completed_at),
        }),
        status_index: s.status_index,
        ..Event::default()
    }
}

fn policy_of<'a>(policy: &statement::PolicyRef<'a>) -> Policy<'a> {
    Policy {
        id: policy.id.into(),
        version: policy.version.into(),
        digest: policy.digest.map(digest_text),
        role: Some(policy.role.symbol().into()),
        effect: policy.effect.map(Str::Borrowed),
    }
}

fn policy_change_of<'a>(change: &statement::PolicyChange<'a>) -> PolicyChange<'a> {
    PolicyChange {
        effective_from: change.effective_from.map(Timestamp::At),
        effective_until: change.effective_until.map(Timestamp::At),
        previous_version: change.previous_version.map(Str::Borrowed),
        change_ref: change.change_ref.map(Str::Borrowed),
        snapshot: change.snapshot.map(digest_text),
    }
}

/// The event that a link names.
#[must_use]
pub fn event_ref_of<'a>(event: &statement::EventRef<'a>) -> EventRef<'a> {
    EventRef { source: event.source.into(), event_id: uuid_text::text(&event.event_id).into() }
}

fn link_of<'a>(link: &statement::Link<'a>) -> Link<'a> {
    Link {
        token_id: link.token.map(Str::Borrowed),
        event: link.event.as_ref().map(event_ref_of),
        relation: link.relation.symbol().into(),
        strength: Some(link.strength.symbol().into()),
        why: link.why.map(Str::Borrowed),
    }
}

fn actor_of<'a>(actor: &statement::Actor<'a>) -> Actor<'a> {
    Actor {
        kind: Some(actor.kind.symbol().into()),
        issuer: actor.issuer.map(Str::Borrowed),
        id: actor.id.into(),
    }
}

fn detail_of<'a>(detail: &statement::Detail<'a>) -> Detail<'a> {
    Detail { key: detail.key.into(), value: detail.value.into() }
}

fn personal_of(personal: &statement::Personal) -> Personal<'static> {
    Personal {
        role: personal.role.symbol().into(),
        user_id: None,
        ip: None,
        user_agent: None,
        device: None,
        resource: None,
        attributes: std::collections::BTreeMap::new(),
        commitment: Some(HexHash(personal.commitment)),
    }
}

fn stamp(hlc: Hlc) -> Stamp {
    Stamp { time: Time(hlc.nanos), logical: hlc.logical }
}

/// A block with its place.
#[must_use]
pub fn block_of(index: u64, event_hash: Hash, block: &block::Block) -> Block<'static> {
    Block {
        kind: BlockKind::Block,
        height: block.height,
        previous: HexHash(block.previous),
        first_index: block.first_index,
        count: block.count,
        tree_root: HexHash(block.tree_root),
        min_occurred_at: block.min_occurred_at.map(stamp),
        max_occurred_at: block.max_occurred_at.map(stamp),
        first_recorded_at: block.first_recorded_at.map(stamp),
        last_recorded_at: block.last_recorded_at.map(stamp),
        sealed_at: stamp(block.sealed_at),
        refused_count: block.refused_count,
        refused_root: HexHash(block.refused_root),
        index,
        event_hash: HexHash(event_hash),
        proof: None,
    }
}

fn control_of<'a>(index: u64, event_hash: HexHash, control: &control::Control<'a>) -> Control<'a> {
    Control {
        kind: ControlWord::Control,
        control: Word(control.kind),
        recorded_at: stamp(control.recorded_at),
        schema: control.schema.as_ref().map(|schema| Schema {
            name: schema.name.into(),
            sha256: HexHash(schema.sha256),
            text: schema.text.into(),
        }),
        key_added: control.key_added.as_ref().map(key_added_of),
        key_ended: control.key_ended.as_ref().map(|ended| KeyEnded {
            key_id: ended.key_id.into(),
            reason: ended.reason.map(Str::Borrowed),
        }),
        recovered: control.recovered.as_ref().map(|recovered| Recovered {
            size: recovered.size,
            torn_bytes: recovered.torn_bytes,
            refusals_lost: recovered.refusals_lost,
        }),
        cut: control.cut.as_ref().map(|cut| Cut {
            shard_list_version: cut.shard_list_version,
            heads: cut
                .heads
                .iter()
                .map(|head| LogHead {
                    origin: head.origin.into(),
                    size: head.size,
                    root: HexHash(head.root),
                })
                .collect(),
        }),
        index,
        event_hash,
        proof: None,
    }
}

fn key_added_of<'a>(key: &control::KeyAdded<'a>) -> KeyAdded<'a> {
    let control::Grant { types, issuers, regions, roles, signed_only, strict, expires_at } =
        &key.grant;
    KeyAdded {
        key_id: key.key_id.into(),
        purpose: Word(key.purpose),
        alg: key.alg,
        tenant: key.tenant.into(),
        source: key.source.into(),
        public_key: key.public_key.map(|bytes| STANDARD.encode(bytes).into()),
        types: types.iter().copied().map(Word).collect(),
        issuers: texts(issuers),
        regions: texts(regions),
        roles: texts(roles),
        signed_only: *signed_only,
        strict: *strict,
        expires_at: expires_at.map(Time),
    }
}

impl From<lifecycle::State> for Status {
    fn from(state: lifecycle::State) -> Self {
        match state {
            lifecycle::State::Unknown => Self::Unknown,
            lifecycle::State::Pending => Self::Pending,
            lifecycle::State::Active => Self::Active,
            lifecycle::State::Spent => Self::Spent,
            lifecycle::State::Suspended => Self::Suspended,
            lifecycle::State::Superseded => Self::Superseded,
            lifecycle::State::Expired => Self::Expired,
            lifecycle::State::Revoked => Self::Revoked,
        }
    }
}

/// A token's state, judged at a time. `number` is what the answer calls an entry of which the state
/// knows the order.
#[must_use]
pub fn state(state: &TokenState, at_nanos: i64, number: impl Fn(u64) -> u64) -> State<'_> {
    State {
        state: state.state_at(at_nanos).into(),
        state_by_entries: state.state.into(),
        active: state.is_active(at_nanos, false),
        judged_at: Time(at_nanos),
        birth: match state.birth {
            lifecycle::Birth::Issued => Birth::Issued,
            lifecycle::Birth::Origin => Birth::Origin,
            lifecycle::Birth::None => Birth::Unknown,
        },
        token_kind: state.token_kind.map(Word),
        issued_at: state.issued_at.map(Time),
        not_before: state.not_before.map(Time),
        expires_at: state.expires_at.map(Time),
        grace_until: state.grace_until.map(Time),
        revoked_at: state.revoked_at.map(Time),
        last_refreshed_at: state.last_refreshed_at.map(Time),
        client_id: state.client.as_deref().map(Str::Borrowed),
        first_index: state.first_index.map(&number),
        last_index: state.last_index.map(&number),
    }
}
