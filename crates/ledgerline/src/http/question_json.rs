//! The answers to questions as JSON.
//!
//! Promises: as `leaf_json`. Every event named by its index carries its proof state: `block` when
//! the published checkpoint covers it, `receipt` until then.

use ledgerline_engine::lineage::{Edge, Lineage, Record, Relative, Step, Token};
use ledgerline_engine::questions::{
    Access, Affected, AfterRevoke, Blast, Cause, Divergence, Exposure, IssuePolicies, PlaceAfter,
    PolicyVersion, Privilege, Reached, Touched, Visitor, is_over_privileged, nearest_rank,
};
use ledgerline_engine::view::View;
use serde_json::{Value, json};

use super::leaf_json::{self, Members, hex, sha256_text};
use super::problem::Problem;
use crate::time_text::rfc3339;
use crate::uuid_text;

/// What the published checkpoint of its origin says about the entry at a position.
#[must_use]
pub fn proof_state(view: &View, position: u64) -> &'static str {
    let (origin, index) = view.at_position(position);
    if index < origin.published_size() { "block" } else { "receipt" }
}

/// The entry at a position: its index, the name of its origin when that is an older one, and its
/// proof state.
fn entry(view: &View, position: u64, members: &mut Members) {
    let (origin, index) = view.at_position(position);
    members.set("index", index);
    members.set("origin", origin.is_older().then(|| (*origin.identity().origin).to_owned()));
    members.set("proof_state", proof_state(view, position));
}

/// The entries that an answer stands on.
fn evidence(view: &View, positions: &[u64]) -> Value {
    let one = |position: &u64| {
        let mut members = Members::default();
        entry(view, *position, &mut members);
        members.done()
    };
    positions.iter().map(one).collect()
}

/// A token with its states.
#[must_use]
pub fn token(view: &View, token: &Token, judged_at: i64) -> Value {
    let mut members = Members::default();
    members.set("token_id", token.id.as_str());
    let others = token.ids.iter().filter(|id| **id != token.id);
    members.set("also_known_as", others.map(|id| id.as_str().into()).collect::<Vec<Value>>());
    members.set("known", leaf_json::state(&token.known, judged_at));
    members.set("happened", leaf_json::state(&token.happened, judged_at));
    members.time("born_at", token.happened.born_at);
    let facts = &token.facts;
    members.set("subject", facts.subject.as_ref().map(hex));
    members.set("client_id", facts.client.as_deref());
    members.set("session_id", facts.session.as_deref());
    members.set("grant_id", facts.grant.as_deref());
    let texts =
        |list: &[String]| list.iter().map(|one| one.as_str().into()).collect::<Vec<Value>>();
    members.set("audience", texts(&facts.audience));
    members.set("scopes", texts(&facts.scopes));
    members.set("events", token.records.len());
    members.set("births", evidence(view, &token.births));
    members.set("covered_by", evidence(view, &token.covered_by));
    let indexes = || token.records.iter().map(|record| record.index);
    let proven = indexes().all(|index| proof_state(view, index) == "block");
    members.set("proof_state", if proven { "block" } else { "receipt" });
    members.done()
}

/// A token of a walk.
#[must_use]
pub fn relative(view: &View, relative: &Relative, judged_at: i64) -> Value {
    let mut object = token(view, &relative.token, judged_at);
    object["depth"] = relative.depth.into();
    if let Some(edge) = &relative.via {
        object["relation"] = edge.relation.symbol().into();
        object["strength"] = edge.strength.symbol().into();
    }
    object
}

/// An edge.
#[must_use]
pub fn edge(view: &View, edge: &Edge) -> Value {
    let mut members = Members::default();
    members.set("parent", edge.parent.as_str());
    members.set("child", edge.child.as_str());
    members.set("relation", edge.relation.symbol());
    members.set("strength", edge.strength.symbol());
    members.set("why", edge.why.as_deref());
    let actors = edge.actors.iter().map(|actor| actor.as_str().into());
    members.set("actors", actors.collect::<Vec<Value>>());
    members.set("occurred_at", rfc3339(edge.occurred_at));
    members.set("evidence", evidence(view, &edge.evidence));
    members.done()
}

/// Tokens and edges of a walk; the first token is the one asked about.
#[must_use]
pub fn lineage(view: &View, lineage: &Lineage, judged_at: i64) -> Value {
    let tokens = lineage.relatives.iter().map(|one| relative(view, one, judged_at));
    let edges = lineage.edges.iter().map(|one| edge(view, one));
    json!({ "tokens": tokens.collect::<Vec<_>>(), "edges": edges.collect::<Vec<_>>() })
}

/// One edge of a path.
#[must_use]
pub fn step(view: &View, step: &Step) -> Value {
    let mut object = edge(view, &step.edge);
    let (from, to) = (object["parent"].clone(), object["child"].clone());
    let ends = if step.forward { [from, to] } else { [to, from] };
    let [from, to] = ends;
    object["from"] = from;
    object["to"] = to;
    object
}

/// An access.
#[must_use]
pub fn access(view: &View, access: &Access) -> Value {
    let mut members = Members::default();
    entry(view, access.index, &mut members);
    members.set("token_id", access.token.as_str());
    members.set("occurred_at", rfc3339(access.occurred_at));
    members.set("type", access.event_type.symbol());
    members.set("outcome", access.outcome.symbol());
    members.set("service", access.service.as_deref());
    members.set("resource", access.resource.as_deref());
    members.set("resource_handle", access.concrete.as_ref().map(hex));
    members.set("action", access.action.as_deref());
    let policies = access.policies.iter().map(|one| one.as_str().into());
    members.set("policies", policies.collect::<Vec<Value>>());
    members.done()
}

/// A token that accessed a resource.
#[must_use]
pub fn visitor(view: &View, visitor: &Visitor, judged_at: i64) -> Value {
    let mut object = token(view, &visitor.token, judged_at);
    object["allowed"] = visitor.allowed().into();
    object["denied"] = (visitor.accesses.len() - visitor.allowed()).into();
    object["accesses"] = visitor.accesses.iter().map(|one| access(view, one)).collect();
    object
}

/// A version of a policy.
#[must_use]
pub fn policy_version(view: &View, version: &PolicyVersion) -> Value {
    let mut members = Members::default();
    members.set("policy", version.id.as_str());
    members.set("version", version.version.as_str());
    members.set("digest", version.digest.as_ref().map(sha256_text));
    members.set("effective_from", rfc3339(version.effective_from));
    members.time("effective_until", version.effective_until);
    members.set("previous_version", version.previous_version.as_deref());
    members.set("change_ref", version.change_ref.as_deref());
    members.set("service", version.service.as_deref());
    entry(view, version.index, &mut members);
    members.set("occurred_at", rfc3339(version.occurred_at));
    members.done()
}

/// The policies when a token was issued.
#[must_use]
pub fn issue_policies(view: &View, answer: &IssuePolicies) -> Value {
    let named = answer.named.iter().map(|one| {
        let mut members = Members::default();
        members.set("policy", one.id.as_str());
        members.set("version", one.version.as_str());
        members.set("digest", one.digest.as_ref().map(sha256_text));
        members.set("role", one.role.symbol());
        members.set("in_force", one.in_force);
        members.done()
    });
    json!({
        "issued_at": answer.issued_at.map(rfc3339),
        "scopes": answer.scopes,
        "over_privileged": is_over_privileged(&answer.privileges),
        "privileges": answer.privileges.iter().map(privilege).collect::<Vec<_>>(),
        "named": named.collect::<Vec<_>>(),
        "in_force":
            answer.in_force.iter().map(|one| policy_version(view, one)).collect::<Vec<_>>(),
    })
}

fn privilege(one: &Privilege) -> Value {
    let mut members = Members::default();
    members.set("policy", one.policy.as_str());
    members.set("version", one.version.as_deref());
    members.set("digest", one.digest.as_ref().map(sha256_text));
    match &one.beyond {
        Ok(beyond) => {
            members.set("evaluation", if beyond.is_empty() { "within" } else { "beyond" });
            let beyond = beyond.iter().map(|scope| scope.as_str().into());
            members.set("beyond", beyond.collect::<Vec<Value>>());
        }
        Err(why) => {
            members.set("evaluation", "not evaluated");
            members.set("why", *why);
        }
    }
    members.done()
}

/// Nanoseconds as milliseconds.
fn millis(nanos: i64) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "gaps are told to the microsecond")]
    let millis = (nanos / 1000) as f64 / 1000.0;
    millis.into()
}

/// What places did after revocations.
#[must_use]
pub fn after_revoke(view: &View, answer: &AfterRevoke, judged_at: i64) -> Value {
    let quantile = |gaps: &[i64], hundredth| nearest_rank(gaps, hundredth).map(millis);
    let place = |one: &PlaceAfter| {
        let mut members = Members::default();
        members.set("service", one.service.as_deref());
        members.set("vantage", one.vantage.symbol());
        members.set("source", one.source.as_str());
        members.set("tokens", one.tokens);
        members.set("allowed", one.allowed);
        members.set("refused", one.refused);
        members.set("gap_ms", one.gaps.last().copied().map(millis));
        members.set("p50_ms", quantile(&one.gaps, 50));
        members.set("p99_ms", quantile(&one.gaps, 99));
        let last = one.last_allow.as_ref().map(|last| {
            let mut members = Members::default();
            entry(view, last.index, &mut members);
            members.set("token_id", last.token.as_str());
            members.set("occurred_at", rfc3339(last.at));
            members.done()
        });
        members.set("last_allow", last);
        members.done()
    };
    let tokens = answer.tokens.iter().map(|(one, revoked_at)| {
        let mut object = token(view, one, judged_at);
        object["revoked_at"] = rfc3339(*revoked_at).into();
        object
    });
    json!({
        "revoked": answer.tokens.len(),
        "tokens": tokens.collect::<Vec<_>>(),
        "places": answer.places.iter().map(place).collect::<Vec<_>>(),
        "gaps": answer.gaps.len(),
        "p50_ms": quantile(&answer.gaps, 50),
        "p99_ms": quantile(&answer.gaps, 99),
    })
}

/// A policy change with the tokens it affected.
#[must_use]
pub fn affected(view: &View, one: &Affected, judged_at: i64) -> Value {
    let mut object = policy_version(view, &one.version);
    let tokens = one.tokens.iter().map(|(affected, effect)| {
        let mut object = token(view, affected, judged_at);
        object["strength"] = effect.strength().symbol().into();
        object["why"] = match effect {
            ledgerline_engine::questions::PolicyEffect::Named => "its events name the policy",
            ledgerline_engine::questions::PolicyEffect::Service => {
                "it is for the service that enforces the policy"
            }
            ledgerline_engine::questions::PolicyEffect::Audience => {
                "tokens for the same audience were let in under the policy"
            }
        }
        .into();
        object
    });
    object["tokens"] = tokens.collect();
    object
}

fn touched(one: &Touched) -> Value {
    let mut members = Members::default();
    members.set("service", one.service.as_deref());
    members.set("resource", one.resource.as_deref());
    members.set("resource_handle", one.concrete.as_ref().map(hex));
    members.set("allowed", one.allowed);
    members.set("denied", one.denied);
    members.set("first", rfc3339(one.first));
    members.set("last", rfc3339(one.last));
    members.done()
}

fn reached(one: &Reached) -> Value {
    json!({
        "role": one.role.symbol(),
        "kind": one.kind.symbol(),
        "handle": hex(&one.handle),
        "events": one.events,
    })
}

/// A blast radius.
#[must_use]
pub fn blast(view: &View, answer: &Blast, judged_at: i64) -> Value {
    let mut object = lineage(view, &answer.lineage, judged_at);
    object["descendants"] = (answer.lineage.relatives.len() - 1).into();
    object["alive"] = answer.alive.iter().map(|id| Value::from(id.as_str())).collect();
    object["resources"] = answer.resources.iter().map(touched).collect();
    object["handles"] = answer.handles.iter().map(reached).collect();
    object["clients"] = answer.clients.iter().map(|id| Value::from(id.as_str())).collect();
    object["sessions"] = answer.sessions.iter().map(|id| Value::from(id.as_str())).collect();
    object["allowed"] = answer.allowed.into();
    object["denied"] = answer.denied.into();
    object
}

/// An event in full.
///
/// # Errors
/// 500 when the stored leaf does not decode.
pub fn event(view: &View, record: &Record) -> Result<Value, Problem> {
    let (origin, index) = view.at_position(record.index);
    let mut object = leaf_json::leaf(index, &record.leaf)?;
    object["proof_state"] = proof_state(view, record.index).into();
    if origin.is_older() {
        object["origin"] = (*origin.identity().origin).into();
    }
    Ok(object)
}

/// A divergence.
#[must_use]
pub fn divergence(view: &View, one: &Divergence) -> Value {
    let mut members = Members::default();
    members.set("what", one.what.word());
    members.set("before", json!(one.before));
    members.set("before_index", view.at_position(one.before_index).1);
    members.set("after", json!(one.after));
    entry(view, one.index, &mut members);
    members.set("occurred_at", rfc3339(one.occurred_at));
    members.set("token_id", one.token.as_str());
    members.done()
}

/// An exposure.
#[must_use]
pub fn exposure(answer: &Exposure) -> Value {
    let places = answer.places.iter().map(|place| {
        let mut members = Members::default();
        members.set("service", place.service.as_deref());
        members.set("vantage", place.vantage.symbol());
        members.set("source", place.source.as_str());
        members.set("events", place.events);
        members.set("allowed", place.allowed);
        members.set("first", rfc3339(place.first));
        members.set("last", rfc3339(place.last));
        members.done()
    });
    json!({
        "audiences": answer.audiences,
        "clients": answer.clients,
        "places": places.collect::<Vec<_>>(),
    })
}

/// A cause.
///
/// # Errors
/// 500 when the stored leaf does not decode.
pub fn cause(view: &View, cause: &Cause) -> Result<Value, Problem> {
    let mut members = Members::default();
    members.set("depth", cause.depth);
    members.set("of_index", view.at_position(cause.of_index).1);
    members.set("relation", cause.relation.symbol());
    members.set("strength", cause.strength.symbol());
    members.set("why", cause.why.as_deref());
    members.set("token_id", cause.token.as_deref());
    let named = cause.event.as_ref();
    members.set(
        "event_ref",
        named.map(|(source, id)| json!({ "source": source, "event_id": uuid_text::text(id) })),
    );
    let found = cause.record.as_ref().map(|record| event(view, record)).transpose()?;
    members.set("event", found);
    Ok(members.done())
}
