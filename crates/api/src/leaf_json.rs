//! Leaves as the JSON of answers: member names of the public event form, times as RFC 3339.
//!
//! Promises: what stands in a leaf stands in the answer, and nothing else: personal records are not
//! in leaves. Absent values and empty lists are left out. 64-bit integers are JSON numbers here;
//! proof bundles write them as strings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_proof::block::Block;
use ledgerline_proof::control::{Control, Grant, KeyAdded};
use ledgerline_proof::entry::{Entry, Handle, Signature};
use ledgerline_proof::hash::leaf_hash;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{Birth, TokenState};
use ledgerline_proof::schema::{Kind, Leaf, decode_object_with};
use ledgerline_proof::statement::{Link, PolicyChange, PolicyRef, Statement};
use ledgerline_proof::vocabulary::TokenKind;
use serde_json::Value;

use crate::written::{self, Hex, Members, Sha256, Time, Uuid};

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

fn stamp(hlc: Hlc, members: &mut Members<'_>) {
    members.set("time", Time(hlc.nanos));
    members.set("logical", hlc.logical);
}

/// Any leaf at its index, as a value.
///
/// # Errors
/// As [`leaf`].
pub fn leaf_value(index: u64, bytes: &[u8]) -> Result<Value, NotALeaf> {
    written::try_value(|members| leaf(index, bytes, members))
}

/// Any leaf at its index.
///
/// # Errors
/// [`NotALeaf`].
pub fn leaf(index: u64, bytes: &[u8], members: &mut Members<'_>) -> Result<(), NotALeaf> {
    let decoded = Leaf::decode(bytes).map_err(|error| NotALeaf::at(index, &error))?;
    match &decoded {
        Leaf::Entry(recorded) => entry(index, recorded, members)?,
        Leaf::Block(sealed) => block(sealed, members),
        Leaf::Control(control) => control_members(control, members),
    }
    members.set("index", index);
    members.set("event_hash", leaf_hash(bytes));
    Ok(())
}

fn entry(index: u64, entry: &Entry<'_>, members: &mut Members<'_>) -> Result<(), NotALeaf> {
    members.set("kind", "entry");
    members.set("sequence", entry.sequence);
    members.set("prev_event_hash", entry.prev_event_hash);
    members.set("prev_index", entry.prev_index);
    members.set("recorded_at", Time(entry.recorded_at.nanos));
    members.set("recorded_logical", entry.recorded_at.logical);
    let by = if entry.signature.is_some() { "signature" } else { "credential" };
    members.set("attested_by", by);
    members.set("credential", entry.attested_by.credential);
    members.some("signature", entry.signature.as_ref(), signature);
    members.objects("handles", &entry.handles, handle);
    members.list("sealed_digests", &entry.sealed_digests);
    let write = |statement: &Statement<'_>| {
        members.object("statement", |members| statement_members(statement, members));
    };
    let decoded = decode_object_with(Kind::Statement, entry.statement, write);
    decoded.map_err(|error| NotALeaf::at(index, &error))
}

fn signature(signature: &Signature<'_>, members: &mut Members<'_>) {
    let alg = match signature.alg {
        1 => "HMAC-SHA256",
        2 => "Ed25519",
        _ => "OTHER",
    };
    members.say("alg", alg);
    members.say("key_id", signature.key_id);
    members.say("value", STANDARD.encode(signature.value));
}

fn handle(handle: &Handle, members: &mut Members<'_>) {
    members.set("role", handle.role.symbol());
    members.set("kind", handle.kind.symbol());
    members.set("handle", Hex(handle.id));
}

/// A statement with the member names of the public event form.
fn statement_members(statement: &Statement<'_>, members: &mut Members<'_>) {
    identity(statement, members);
    act(statement, members);
    token_facts(statement, members);
    circumstance(statement, members);
}

fn identity(s: &Statement<'_>, members: &mut Members<'_>) {
    members.set("event_id", Uuid(s.event_id));
    members.set("native_id", s.native_id);
    members.some("act", s.act.as_ref(), |act, members| {
        members.say("id", act.id);
        members.say("part", act.part);
        members.say("parts", act.parts);
    });
    members.set("tenant", s.tenant);
    members.set("source", s.source);
    members.set("source_instance", s.source_instance.map(Uuid));
    members.set("source_seq", s.source_seq);
    members.some("seen", s.seen.as_ref(), |seen, members| {
        members.say("origin", seen.origin);
        members.say("size", seen.size);
        members.say("root", seen.root);
    });
    members.object("target", |members| {
        members.say("kind", s.target.kind.symbol());
        members.say("id", s.target.id);
    });
}

fn act(s: &Statement<'_>, members: &mut Members<'_>) {
    members.set("type", s.event_type.symbol());
    members.set("outcome", s.outcome.symbol());
    members.set("reason", s.reason);
    members.set("occurred_at", Time(s.occurred_at.nanos));
    if s.occurred_at.logical != 0 {
        members.set("occurred_logical", s.occurred_at.logical);
    }
    members.set("time_uncertainty_ns", s.time_uncertainty_ns);
    members.time("effective_at", s.effective_at);
    members.set("count", s.count);
    members.time("last_at", s.last_at);
    members.set("vantage", s.vantage.symbol());
}

fn token_facts(s: &Statement<'_>, members: &mut Members<'_>) {
    members.set("issuer", s.issuer);
    members.set("issuer_kid", s.issuer_kid);
    members.set("client_id", s.client_id);
    members.set("grant_id", s.grant_id);
    members.set("session_id", s.session_id);
    members.set("family_id", s.family_id);
    members.set("generation", s.generation);
    members.set("also_known_as", &s.also_known_as);
    members.set("token_kind", s.token_kind.map(TokenKind::symbol));
    members.set("scopes", &s.scopes);
    members.set("audience", &s.audience);
    members.time("issued_at", s.issued_at);
    members.time("not_before", s.not_before);
    members.time("expires_at", s.expires_at);
    members.time("grace_until", s.grace_until);
    members.time("rotate_by", s.rotate_by);
    members.some("activation", s.activation.as_ref(), |activation, members| {
        members.set("requires", &activation.requires);
        members.time("deadline", activation.deadline);
    });
    members.some("mfa", s.mfa.as_ref(), |mfa, members| {
        members.set("methods", &mfa.methods);
        members.set("acr", mfa.acr);
        members.time("completed_at", mfa.completed_at);
    });
    members.set("status_index", s.status_index);
}

fn circumstance(s: &Statement<'_>, members: &mut Members<'_>) {
    members.set("service", s.service);
    members.set("endpoint", s.endpoint);
    members.set("resource", s.resource);
    members.set("action", s.action);
    members.set("status", s.status);
    members.set("bytes_out", s.bytes_out);
    members.objects("policies", &s.policies, policy);
    members.some("policy_change", s.policy_change.as_ref(), policy_change);
    members.objects("links", &s.links, link);
    members.objects("actors", &s.actors, |actor, members| {
        members.set("kind", actor.kind.symbol());
        members.set("issuer", actor.issuer);
        members.set("id", actor.id);
    });
    members.set("delegation", s.delegation.symbol());
    members.set("trace_id", s.trace_id);
    members.set("correlation_id", s.correlation_id);
    members.some("adapter", s.adapter.as_ref(), |adapter, members| {
        members.say("name", adapter.name);
        members.say("version", adapter.version);
    });
    members.some("selector", s.selector.as_ref(), |selector, members| {
        members.time("issued_before", selector.issued_before);
        members.set("client", selector.client);
        members.set("audience", selector.audience);
    });
    members.objects("detail", &s.detail, |detail, members| {
        members.say("key", detail.key);
        members.say("value", detail.value);
    });
    members.objects("personal", &s.personal, |personal, members| {
        members.set("role", personal.role.symbol());
        members.set("commitment", personal.commitment);
    });
}

fn policy(policy: &PolicyRef<'_>, members: &mut Members<'_>) {
    members.set("id", policy.id);
    members.set("version", policy.version);
    members.set("digest", policy.digest.map(Sha256));
    members.set("role", policy.role.symbol());
    members.set("effect", policy.effect);
}

fn policy_change(change: &PolicyChange<'_>, members: &mut Members<'_>) {
    members.time("effective_from", change.effective_from);
    members.time("effective_until", change.effective_until);
    members.set("previous_version", change.previous_version);
    members.set("change_ref", change.change_ref);
    members.set("snapshot", change.snapshot.map(Sha256));
}

fn link(link: &Link<'_>, members: &mut Members<'_>) {
    members.set("token_id", link.token);
    members.some("event", link.event.as_ref(), |event, members| {
        members.say("source", event.source);
        members.say("event_id", Uuid(event.event_id));
    });
    members.set("relation", link.relation.symbol());
    members.set("strength", link.strength.symbol());
    members.set("why", link.why);
}

/// A block.
pub fn block(block: &Block, members: &mut Members<'_>) {
    members.set("kind", "block");
    members.set("height", block.height);
    members.set("previous", block.previous);
    members.set("first_index", block.first_index);
    members.set("count", block.count);
    members.set("tree_root", block.tree_root);
    members.some("min_occurred_at", block.min_occurred_at, stamp);
    members.some("max_occurred_at", block.max_occurred_at, stamp);
    members.some("first_recorded_at", block.first_recorded_at, stamp);
    members.some("last_recorded_at", block.last_recorded_at, stamp);
    members.object("sealed_at", |members| stamp(block.sealed_at, members));
    members.set("refused_count", block.refused_count);
    members.set("refused_root", block.refused_root);
}

fn control_members(control: &Control<'_>, members: &mut Members<'_>) {
    members.set("kind", "control");
    members.set("control", control.kind.symbol());
    members.object("recorded_at", |members| stamp(control.recorded_at, members));
    members.some("schema", control.schema.as_ref(), |schema, members| {
        members.say("name", schema.name);
        members.say("sha256", schema.sha256);
        members.say("text", schema.text);
    });
    members.some("key_added", control.key_added.as_ref(), key_added);
    members.some("key_ended", control.key_ended.as_ref(), |ended, members| {
        members.say("key_id", ended.key_id);
        members.say("reason", ended.reason);
    });
    members.some("recovered", control.recovered.as_ref(), |recovered, members| {
        members.say("size", recovered.size);
        members.say("torn_bytes", recovered.torn_bytes);
        members.say("refusals_lost", recovered.refusals_lost);
    });
    members.some("cut", control.cut.as_ref(), |cut, members| {
        members.say("shard_list_version", cut.shard_list_version);
        members.objects("heads", &cut.heads, |head, members| {
            members.set("origin", head.origin);
            members.set("size", head.size);
            members.set("root", head.root);
        });
    });
}

fn key_added(key: &KeyAdded<'_>, members: &mut Members<'_>) {
    members.set("key_id", key.key_id);
    members.set("purpose", key.purpose.symbol());
    members.set("alg", key.alg);
    members.set("tenant", key.tenant);
    members.set("source", key.source);
    members.set("public_key", key.public_key.map(|bytes| STANDARD.encode(bytes)));
    let Grant { types, issuers, regions, roles, signed_only, strict, expires_at } = &key.grant;
    members.list("types", types.iter().map(|one| one.symbol()));
    members.set("issuers", issuers);
    members.set("regions", regions);
    members.set("roles", roles);
    members.set("signed_only", *signed_only);
    members.set("strict", *strict);
    members.time("expires_at", *expires_at);
}

/// A token's state, judged at a time. `number` is what the answer calls an entry of which the state
/// knows the order.
pub fn state(
    state: &TokenState,
    at_nanos: i64,
    number: impl Fn(u64) -> u64,
    members: &mut Members<'_>,
) {
    members.set("state", state.state_at(at_nanos).symbol());
    members.set("state_by_entries", state.state.symbol());
    members.set("active", state.is_active(at_nanos, false));
    members.set("judged_at", Time(at_nanos));
    let birth = match state.birth {
        Birth::Issued => "ISSUED",
        Birth::Origin => "ORIGIN",
        Birth::None => "UNKNOWN",
    };
    members.set("birth", birth);
    members.set("token_kind", state.token_kind.map(TokenKind::symbol));
    members.time("issued_at", state.issued_at);
    members.time("not_before", state.not_before);
    members.time("expires_at", state.expires_at);
    members.time("grace_until", state.grace_until);
    members.time("revoked_at", state.revoked_at);
    members.time("last_refreshed_at", state.last_refreshed_at);
    members.set("client_id", state.client.as_deref());
    members.set("first_index", state.first_index.map(&number));
    members.set("last_index", state.last_index.map(&number));
}
