//! Leaves as the JSON of answers: member names of the public event form, times as RFC 3339.
//!
//! Promises: what stands in a leaf stands in the answer, and nothing else: personal records are not
//! in leaves. Absent values and empty lists are left out. 64-bit integers are JSON numbers here;
//! proof bundles write them as strings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_engine::view::{BlockView, EventView};
use ledgerline_proof::block::Block;
use ledgerline_proof::control::{Control, Grant, KeyAdded};
use ledgerline_proof::entry::{Entry, Handle, Signature};
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{Birth, TokenState};
use ledgerline_proof::schema::{Kind, Leaf, decode_object};
use ledgerline_proof::statement::{Link, PolicyChange, PolicyRef, Statement};
use ledgerline_proof::vocabulary::TokenKind;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::time_text::rfc3339;
use crate::uuid_text;

/// A JSON object that leaves out what is absent.
#[derive(Default)]
pub struct Members(Map<String, Value>);

impl Members {
    /// Sets a member, unless the value is absent or an empty list.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !is_empty {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Sets a time.
    pub fn time(&mut self, name: &str, nanos: Option<i64>) {
        self.set(name, nanos.map(rfc3339));
    }

    /// The object.
    #[must_use]
    pub fn done(self) -> Value {
        Value::Object(self.0)
    }
}

/// `sha256:` and lower-case hex.
#[must_use]
pub fn sha256_text(hash: &Hash) -> String {
    format!("sha256:{}", hash.to_hex())
}

fn texts(list: &[&str]) -> Vec<Value> {
    list.iter().map(|text| Value::from(*text)).collect()
}

fn stamp(hlc: Hlc) -> Value {
    json!({ "time": rfc3339(hlc.nanos), "logical": hlc.logical })
}

/// Any leaf at its index.
///
/// # Errors
/// 500 when the bytes are no leaf: the verifier's business, not the caller's.
pub fn leaf(index: u64, bytes: &[u8]) -> Result<Value, Problem> {
    let decoded = Leaf::decode(bytes).map_err(|error| {
        tracing::error!(code = "bad_leaf", index, %error, "a stored leaf does not decode");
        Problem::internal()
    })?;
    let mut object = match &decoded {
        Leaf::Entry(recorded) => entry(recorded)?,
        Leaf::Block(sealed) => block(sealed),
        Leaf::Control(control) => control_value(control),
    };
    object["index"] = index.into();
    object["event_hash"] = leaf_hash(bytes).to_hex().into();
    Ok(object)
}

fn entry(entry: &Entry<'_>) -> Result<Value, Problem> {
    let statement: Statement<'_> =
        decode_object(Kind::Statement, entry.statement).map_err(|_| Problem::internal())?;
    let mut members = Members::default();
    members.set("kind", "entry");
    members.set("sequence", entry.sequence);
    members.set("prev_event_hash", entry.prev_event_hash.to_hex());
    members.set("prev_index", entry.prev_index);
    members.set("recorded_at", rfc3339(entry.recorded_at.nanos));
    members.set("recorded_logical", entry.recorded_at.logical);
    let by = if entry.signature.is_some() { "signature" } else { "credential" };
    members.set("attested_by", by);
    members.set("credential", entry.attested_by.credential);
    members.set("signature", entry.signature.as_ref().map(signature));
    members.set("handles", entry.handles.iter().map(handle).collect::<Vec<_>>());
    let digests = entry.sealed_digests.iter().map(|digest| digest.to_hex().into());
    members.set("sealed_digests", digests.collect::<Vec<Value>>());
    members.set("statement", statement_value(&statement));
    Ok(members.done())
}

fn signature(signature: &Signature<'_>) -> Value {
    let alg = match signature.alg {
        1 => "HMAC-SHA256",
        2 => "Ed25519",
        _ => "OTHER",
    };
    json!({ "alg": alg, "key_id": signature.key_id, "value": STANDARD.encode(signature.value) })
}

fn handle(handle: &Handle) -> Value {
    json!({
        "role": handle.role.symbol(),
        "kind": handle.kind.symbol(),
        "handle": hex(&handle.id),
    })
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8; 16]) -> String {
    uuid_text::text(bytes).replace('-', "")
}

/// A statement with the member names of the public event form.
#[must_use]
pub fn statement_value(statement: &Statement<'_>) -> Value {
    let mut members = Members::default();
    identity(statement, &mut members);
    act(statement, &mut members);
    token_facts(statement, &mut members);
    circumstance(statement, &mut members);
    members.done()
}

fn identity(s: &Statement<'_>, members: &mut Members) {
    members.set("event_id", uuid_text::text(&s.event_id));
    members.set("native_id", s.native_id);
    let act = s.act.as_ref();
    members.set("act", act.map(|a| json!({ "id": a.id, "part": a.part, "parts": a.parts })));
    members.set("tenant", s.tenant);
    members.set("source", s.source);
    members.set("source_instance", s.source_instance.as_ref().map(uuid_text::text));
    members.set("source_seq", s.source_seq);
    let seen = s.seen.as_ref();
    members.set(
        "seen",
        seen.map(|s| json!({ "origin": s.origin, "size": s.size, "root": s.root.to_hex() })),
    );
    members.set("target", json!({ "kind": s.target.kind.symbol(), "id": s.target.id }));
}

fn act(s: &Statement<'_>, members: &mut Members) {
    members.set("type", s.event_type.symbol());
    members.set("outcome", s.outcome.symbol());
    members.set("reason", s.reason);
    members.set("occurred_at", rfc3339(s.occurred_at.nanos));
    if s.occurred_at.logical != 0 {
        members.set("occurred_logical", s.occurred_at.logical);
    }
    members.set("time_uncertainty_ns", s.time_uncertainty_ns);
    members.time("effective_at", s.effective_at);
    members.set("count", s.count);
    members.time("last_at", s.last_at);
    members.set("vantage", s.vantage.symbol());
}

fn token_facts(s: &Statement<'_>, members: &mut Members) {
    members.set("issuer", s.issuer);
    members.set("issuer_kid", s.issuer_kid);
    members.set("client_id", s.client_id);
    members.set("grant_id", s.grant_id);
    members.set("session_id", s.session_id);
    members.set("family_id", s.family_id);
    members.set("generation", s.generation);
    members.set("also_known_as", texts(&s.also_known_as));
    members.set("token_kind", s.token_kind.map(TokenKind::symbol));
    members.set("scopes", texts(&s.scopes));
    members.set("audience", texts(&s.audience));
    members.time("issued_at", s.issued_at);
    members.time("not_before", s.not_before);
    members.time("expires_at", s.expires_at);
    members.time("grace_until", s.grace_until);
    members.time("rotate_by", s.rotate_by);
    let activation = s.activation.as_ref().map(|a| {
        let mut inner = Members::default();
        inner.set("requires", texts(&a.requires));
        inner.time("deadline", a.deadline);
        inner.done()
    });
    members.set("activation", activation);
    let mfa = s.mfa.as_ref().map(|m| {
        let mut inner = Members::default();
        inner.set("methods", texts(&m.methods));
        inner.set("acr", m.acr);
        inner.time("completed_at", m.completed_at);
        inner.done()
    });
    members.set("mfa", mfa);
    members.set("status_index", s.status_index);
}

fn circumstance(s: &Statement<'_>, members: &mut Members) {
    members.set("service", s.service);
    members.set("endpoint", s.endpoint);
    members.set("resource", s.resource);
    members.set("action", s.action);
    members.set("status", s.status);
    members.set("bytes_out", s.bytes_out);
    members.set("policies", s.policies.iter().map(policy).collect::<Vec<_>>());
    members.set("policy_change", s.policy_change.as_ref().map(policy_change));
    members.set("links", s.links.iter().map(link).collect::<Vec<_>>());
    let actors = s.actors.iter().map(|actor| {
        let mut inner = Members::default();
        inner.set("kind", actor.kind.symbol());
        inner.set("issuer", actor.issuer);
        inner.set("id", actor.id);
        inner.done()
    });
    members.set("actors", actors.collect::<Vec<_>>());
    members.set("delegation", s.delegation.symbol());
    members.set("trace_id", s.trace_id);
    members.set("correlation_id", s.correlation_id);
    let adapter = s.adapter.as_ref();
    members.set("adapter", adapter.map(|a| json!({ "name": a.name, "version": a.version })));
    let selector = s.selector.as_ref().map(|selector| {
        let mut inner = Members::default();
        inner.time("issued_before", selector.issued_before);
        inner.set("client", selector.client);
        inner.set("audience", selector.audience);
        inner.done()
    });
    members.set("selector", selector);
    let detail = s.detail.iter().map(|d| json!({ "key": d.key, "value": d.value }));
    members.set("detail", detail.collect::<Vec<_>>());
    let personal = s.personal.iter().map(|personal| {
        json!({ "role": personal.role.symbol(), "commitment": personal.commitment.to_hex() })
    });
    members.set("personal", personal.collect::<Vec<_>>());
}

fn policy(policy: &PolicyRef<'_>) -> Value {
    let mut members = Members::default();
    members.set("id", policy.id);
    members.set("version", policy.version);
    members.set("digest", policy.digest.as_ref().map(sha256_text));
    members.set("role", policy.role.symbol());
    members.set("effect", policy.effect);
    members.done()
}

fn policy_change(change: &PolicyChange<'_>) -> Value {
    let mut members = Members::default();
    members.time("effective_from", change.effective_from);
    members.time("effective_until", change.effective_until);
    members.set("previous_version", change.previous_version);
    members.set("change_ref", change.change_ref);
    members.set("snapshot", change.snapshot.as_ref().map(sha256_text));
    members.done()
}

fn link(link: &Link<'_>) -> Value {
    let mut members = Members::default();
    members.set("token_id", link.token);
    let event = link.event.as_ref().map(
        |event| json!({ "source": event.source, "event_id": uuid_text::text(&event.event_id) }),
    );
    members.set("event", event);
    members.set("relation", link.relation.symbol());
    members.set("strength", link.strength.symbol());
    members.set("why", link.why);
    members.done()
}

fn block(block: &Block) -> Value {
    let mut members = Members::default();
    members.set("kind", "block");
    members.set("height", block.height);
    members.set("previous", block.previous.to_hex());
    members.set("first_index", block.first_index);
    members.set("count", block.count);
    members.set("tree_root", block.tree_root.to_hex());
    members.set("min_occurred_at", block.min_occurred_at.map(stamp));
    members.set("max_occurred_at", block.max_occurred_at.map(stamp));
    members.set("first_recorded_at", block.first_recorded_at.map(stamp));
    members.set("last_recorded_at", block.last_recorded_at.map(stamp));
    members.set("sealed_at", stamp(block.sealed_at));
    members.set("refused_count", block.refused_count);
    members.set("refused_root", block.refused_root.to_hex());
    members.done()
}

fn control_value(control: &Control<'_>) -> Value {
    let mut members = Members::default();
    members.set("kind", "control");
    members.set("control", control.kind.symbol());
    members.set("recorded_at", stamp(control.recorded_at));
    let schema = control.schema.as_ref();
    members.set(
        "schema",
        schema.map(|s| json!({ "name": s.name, "sha256": s.sha256.to_hex(), "text": s.text })),
    );
    members.set("key_added", control.key_added.as_ref().map(key_added));
    let ended = control.key_ended.as_ref();
    members.set("key_ended", ended.map(|e| json!({ "key_id": e.key_id, "reason": e.reason })));
    let recovered = control.recovered.as_ref().map(
        |r| json!({ "size": r.size, "torn_bytes": r.torn_bytes, "refusals_lost": r.refusals_lost }),
    );
    members.set("recovered", recovered);
    members.done()
}

fn key_added(key: &KeyAdded<'_>) -> Value {
    let mut members = Members::default();
    members.set("key_id", key.key_id);
    members.set("purpose", key.purpose.symbol());
    members.set("alg", key.alg);
    members.set("tenant", key.tenant);
    members.set("source", key.source);
    members.set("public_key", key.public_key.map(|bytes| STANDARD.encode(bytes)));
    let Grant { types, issuers, regions, roles, signed_only, strict, expires_at } = &key.grant;
    members.set("types", types.iter().map(|t| t.symbol().into()).collect::<Vec<Value>>());
    members.set("issuers", texts(issuers));
    members.set("regions", texts(regions));
    members.set("roles", texts(roles));
    members.set("signed_only", *signed_only);
    members.set("strict", *strict);
    members.time("expires_at", *expires_at);
    members.done()
}

/// An event with the states of its parts.
///
/// # Errors
/// 500 when the stored leaf does not decode.
pub fn event(event: &EventView) -> Result<Value, Problem> {
    let mut object = leaf(event.index, &event.leaf)?;
    object["origin"] = (*event.origin).into();
    let sealed = event
        .sealed
        .iter()
        .map(|one| json!({ "n": one.n, "handle": hex(&one.slot), "erased": one.erased }));
    let sealed: Vec<_> = sealed.collect();
    if !sealed.is_empty() {
        object["sealed"] = sealed.into();
    }
    let attachments: Vec<_> = event.attachments.iter().map(sha256_text).collect();
    if !attachments.is_empty() {
        object["attachments"] = attachments.into();
    }
    // What proves it now: the published checkpoint, or the receipt's until the next block.
    object["proof_state"] = if event.in_block { "block" } else { "receipt" }.into();
    Ok(object)
}

/// A block in a list.
#[must_use]
pub fn block_view(view: &BlockView) -> Value {
    let mut object = block(&view.block);
    object["index"] = view.index.into();
    object["event_hash"] = view.event_hash.to_hex().into();
    object
}

/// A token's state, judged at a time.
#[must_use]
pub fn state(state: &TokenState, at_nanos: i64) -> Value {
    let mut members = Members::default();
    members.set("state", state.state_at(at_nanos).symbol());
    members.set("state_by_entries", state.state.symbol());
    members.set("active", state.is_active(at_nanos, false));
    members.set("judged_at", rfc3339(at_nanos));
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
    members.set("first_index", state.first_index);
    members.set("last_index", state.last_index);
    members.done()
}
