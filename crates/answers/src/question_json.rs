//! The answers to questions as JSON.
//!
//! Promises: as `leaf_json`. Every event named by its index carries its proof state: `block` when
//! the published checkpoint covers it, `receipt` until then.

use std::sync::Arc;

use ledgerline_api::leaf_json;
use ledgerline_api::written::{Hex, Members, Sha256, Time, Uuid};
use ledgerline_proof::lifecycle::TokenState;
use ledgerline_questions::lineage::{Edge, Lineage, Record, Relative, Step, Summary};
use ledgerline_questions::{
    Access, Affected, AfterRevoke, BlastRadius, Cause, Divergence, Exposure, IssuePolicies,
    PlaceAfter, PolicyEffect, PolicyVersion, Privilege, Reached, TokenAccesses, Touched,
    is_over_privileged, nearest_rank,
};
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::View;

use crate::counted;
use crate::problem::Problem;

/// What the published checkpoint of its origin says about an entry.
#[must_use]
pub fn proof_state(view: &View, at: EntryRef) -> &'static str {
    let origin = view.of_log(at.log);
    if at.index < origin.published_size() { "block" } else { "receipt" }
}

/// An entry: its index, the name of its origin when that is an older one, and its proof state.
fn entry(view: &View, at: EntryRef, members: &mut Members<'_>) {
    let origin = view.of_log(at.log);
    members.set("index", at.index);
    if origin.is_older() {
        members.set("origin", &*origin.identity().origin);
    }
    let proven = at.index < origin.published_size();
    members.set("proof_state", if proven { "block" } else { "receipt" });
}

/// The origin of an entry, where it is an older one.
fn older_origin(view: &View, at: EntryRef) -> Option<Arc<str>> {
    let origin = view.of_log(at.log);
    origin.is_older().then(|| Arc::clone(&origin.identity().origin))
}

/// The entries that an answer stands on, unless there are none.
fn evidence(view: &View, name: &str, entries: &[EntryRef], members: &mut Members<'_>) {
    members.objects(name, entries, |at, members| entry(view, *at, members));
}

/// A state, judged at a time.
pub fn state(view: &View, state: &TokenState, judged_at: i64, members: &mut Members<'_>) {
    let number = |rank| counted::number(view, EntryRef::of_rank(rank));
    leaf_json::state(state, judged_at, number, members);
}

/// A token with its states.
pub fn token(view: &View, token: &Summary, judged_at: i64, members: &mut Members<'_>) {
    members.set("token_id", &token.id);
    members.list("also_known_as", token.ids.iter().filter(|id| **id != token.id));
    members.object("known", |members| state(view, &token.known, judged_at, members));
    members.object("happened", |members| state(view, &token.happened, judged_at, members));
    members.time("born_at", token.happened.born_at);
    let facts = &token.facts;
    members.set("subject", facts.subject.map(Hex));
    members.set("client_id", facts.client.as_deref());
    members.set("session_id", facts.session.as_deref());
    members.set("grant_id", facts.grant.as_deref());
    members.set("audience", &facts.audience);
    members.set("scopes", &facts.scopes);
    members.set("events", token.events.len());
    evidence(view, "births", &token.births, members);
    evidence(view, "covered_by", &token.covered_by, members);
    members.set("proof_state", if is_proven(view, token) { "block" } else { "receipt" });
}

/// Whether the published checkpoints cover a token's whole life.
fn is_proven(view: &View, token: &Summary) -> bool {
    // They ascend: of each log the last one decides.
    let mut last = token.events.chunk_by(|one, next| one.log == next.log);
    last.all(|of_log| of_log.last().is_none_or(|one| proof_state(view, *one) == "block"))
}

/// A token of a walk.
pub fn relative(view: &View, relative: &Relative, judged_at: i64, members: &mut Members<'_>) {
    token(view, &relative.token, judged_at, members);
    members.set("depth", relative.depth);
    if let Some(edge) = &relative.via {
        members.set("relation", edge.relation.symbol());
        members.set("strength", edge.strength.symbol());
    }
}

/// An edge.
pub fn edge(view: &View, edge: &Edge, members: &mut Members<'_>) {
    members.set("parent", &edge.parent);
    members.set("child", &edge.child);
    members.set("relation", edge.relation.symbol());
    members.set("strength", edge.strength.symbol());
    members.set("why", edge.why.as_deref());
    members.set("actors", &edge.actors);
    members.set("occurred_at", Time(edge.occurred_at));
    evidence(view, "evidence", &edge.evidence, members);
}

/// Tokens and edges of a walk; the first token is the one asked about.
pub fn lineage(view: &View, lineage: &Lineage, judged_at: i64, members: &mut Members<'_>) {
    members.all("tokens", &lineage.relatives, |one, members| {
        relative(view, one, judged_at, members);
    });
    members.all("edges", &lineage.edges, |one, members| edge(view, one, members));
}

/// One edge of a path.
pub fn step(view: &View, step: &Step, members: &mut Members<'_>) {
    edge(view, &step.edge, members);
    let ends = [&step.edge.parent, &step.edge.child];
    let [from, to] = if step.forward { ends } else { [ends[1], ends[0]] };
    members.set("from", from);
    members.set("to", to);
}

/// An access.
pub fn access(view: &View, access: &Access, members: &mut Members<'_>) {
    entry(view, access.at, members);
    members.set("token_id", &access.token);
    members.set("occurred_at", Time(access.occurred_at));
    members.set("type", access.event_type.symbol());
    members.set("outcome", access.outcome.symbol());
    members.set("service", access.service.as_deref());
    members.set("resource", access.resource.as_deref());
    members.set("resource_handle", access.concrete.map(Hex));
    members.set("action", access.action.as_deref());
    members.set("policies", &access.policies);
}

/// A token that accessed a resource.
pub fn visitor(view: &View, visitor: &TokenAccesses, judged_at: i64, members: &mut Members<'_>) {
    token(view, &visitor.token, judged_at, members);
    members.set("allowed", visitor.allowed());
    members.set("denied", visitor.accesses.len() - visitor.allowed());
    members.all("accesses", &visitor.accesses, |one, members| access(view, one, members));
}

/// A version of a policy.
pub fn policy_version(view: &View, version: &PolicyVersion, members: &mut Members<'_>) {
    members.set("policy", &version.id);
    members.set("version", &version.version);
    members.set("digest", version.digest.map(Sha256));
    members.set("effective_from", Time(version.effective_from));
    members.time("effective_until", version.effective_until);
    members.set("previous_version", version.previous_version.as_deref());
    members.set("change_ref", version.change_ref.as_deref());
    members.set("service", version.service.as_deref());
    entry(view, version.at, members);
    members.set("occurred_at", Time(version.occurred_at));
}

/// The policies when a token was issued.
pub fn issue_policies(view: &View, answer: &IssuePolicies, members: &mut Members<'_>) {
    members.say("issued_at", answer.issued_at.map(Time));
    members.say("scopes", &answer.scopes);
    members.say("over_privileged", is_over_privileged(&answer.privileges));
    members.all("privileges", &answer.privileges, privilege);
    members.all("named", &answer.named, |one, members| {
        members.set("policy", &one.id);
        members.set("version", &one.version);
        members.set("digest", one.digest.map(Sha256));
        members.set("role", one.role.symbol());
        members.set("in_force", one.in_force);
    });
    members.all("in_force", &answer.in_force, |one, members| policy_version(view, one, members));
}

fn privilege(one: &Privilege, members: &mut Members<'_>) {
    members.set("policy", &one.policy);
    members.set("version", one.version.as_deref());
    members.set("digest", one.digest.map(Sha256));
    match &one.beyond {
        Ok(beyond) => {
            members.set("evaluation", if beyond.is_empty() { "within" } else { "beyond" });
            members.set("beyond", beyond);
        }
        Err(why) => {
            members.set("evaluation", "not evaluated");
            members.set("why", *why);
        }
    }
}

/// Nanoseconds as milliseconds.
fn millis(nanos: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "gaps are told to the microsecond")]
    let millis = (nanos / 1000) as f64 / 1000.0;
    millis
}

/// What places did after revocations.
pub fn after_revoke(view: &View, answer: &AfterRevoke, judged_at: i64, members: &mut Members<'_>) {
    let quantile = |gaps: &[i64], hundredth| nearest_rank(gaps, hundredth).map(millis);
    let place = |one: &PlaceAfter, members: &mut Members<'_>| {
        members.set("service", one.service.as_deref());
        members.set("vantage", one.vantage.symbol());
        members.set("source", &one.source);
        members.set("tokens", one.tokens);
        members.set("allowed", one.allowed);
        members.set("refused", one.refused);
        members.set("gap_ms", one.gaps.last().copied().map(millis));
        members.set("p50_ms", quantile(&one.gaps, 50));
        members.set("p99_ms", quantile(&one.gaps, 99));
        members.some("last_allow", one.last_allow.as_ref(), |last, members| {
            entry(view, last.at, members);
            members.set("token_id", &last.token);
            members.set("occurred_at", Time(last.seen_at));
        });
    };
    members.say("revoked", answer.tokens.len());
    members.all("tokens", &answer.tokens, |(one, revoked_at), members| {
        token(view, one, judged_at, members);
        members.set("revoked_at", Time(*revoked_at));
    });
    members.all("places", &answer.places, place);
    members.say("gaps", answer.gaps.len());
    members.say("p50_ms", quantile(&answer.gaps, 50));
    members.say("p99_ms", quantile(&answer.gaps, 99));
}

/// A policy change with the tokens it affected.
pub fn affected(view: &View, one: &Affected, judged_at: i64, members: &mut Members<'_>) {
    policy_version(view, &one.version, members);
    members.all("tokens", &one.tokens, |(affected, effect), members| {
        token(view, affected, judged_at, members);
        members.set("strength", effect.strength().symbol());
        let why = match effect {
            PolicyEffect::Named => "its events name the policy",
            PolicyEffect::Service => "it is for the service that enforces the policy",
            PolicyEffect::Audience => "tokens for the same audience were let in under the policy",
        };
        members.set("why", why);
    });
}

fn touched(one: &Touched, members: &mut Members<'_>) {
    members.set("service", one.service.as_deref());
    members.set("resource", one.resource.as_deref());
    members.set("resource_handle", one.concrete.map(Hex));
    members.set("allowed", one.allowed);
    members.set("denied", one.denied);
    members.set("first", Time(one.first));
    members.set("last", Time(one.last));
}

fn reached(one: &Reached, members: &mut Members<'_>) {
    members.set("role", one.role.symbol());
    members.set("kind", one.kind.symbol());
    members.set("handle", Hex(one.handle));
    members.set("events", one.events);
}

/// A blast radius.
pub fn blast(view: &View, answer: &BlastRadius, judged_at: i64, members: &mut Members<'_>) {
    lineage(view, &answer.lineage, judged_at, members);
    members.say("descendants", answer.lineage.relatives.len() - 1);
    members.say("alive", &answer.alive);
    members.all("resources", &answer.resources, touched);
    members.all("handles", &answer.handles, reached);
    members.say("clients", &answer.clients);
    members.say("sessions", &answer.sessions);
    members.say("allowed", answer.allowed);
    members.say("denied", answer.denied);
}

/// An event in full.
///
/// # Errors
/// 500 when the stored leaf does not decode.
pub fn event(view: &View, record: &Record, members: &mut Members<'_>) -> Result<(), Problem> {
    let origin = view.of_log(record.at.log);
    leaf_json::leaf(record.at.index, &record.leaf, members)?;
    members.set("proof_state", proof_state(view, record.at));
    if origin.is_older() {
        members.set("origin", &*origin.identity().origin);
    }
    Ok(())
}

/// A divergence.
pub fn divergence(view: &View, one: &Divergence, members: &mut Members<'_>) {
    members.set("what", one.what.word());
    members.set("before", &one.before);
    members.set("before_index", one.before_at.index);
    members.set("before_origin", older_origin(view, one.before_at).as_deref());
    members.set("after", &one.after);
    entry(view, one.at, members);
    members.set("occurred_at", Time(one.occurred_at));
    members.set("token_id", &one.token);
}

/// An exposure.
pub fn exposure(answer: &Exposure, members: &mut Members<'_>) {
    members.say("audiences", &answer.audiences);
    members.say("clients", &answer.clients);
    members.all("places", &answer.places, |place, members| {
        members.set("service", place.service.as_deref());
        members.set("vantage", place.vantage.symbol());
        members.set("source", &place.source);
        members.set("events", place.events);
        members.set("allowed", place.allowed);
        members.set("first", Time(place.first));
        members.set("last", Time(place.last));
    });
}

/// A cause.
///
/// # Errors
/// 500 when the stored leaf does not decode.
pub fn cause(view: &View, cause: &Cause, members: &mut Members<'_>) -> Result<(), Problem> {
    members.set("depth", cause.depth);
    members.set("of_index", cause.named_at.index);
    members.set("of_origin", older_origin(view, cause.named_at).as_deref());
    members.set("relation", cause.relation.symbol());
    members.set("strength", cause.strength.symbol());
    members.set("why", cause.why.as_deref());
    members.set("token_id", cause.token.as_deref());
    members.some("event_ref", cause.event.as_ref(), |(source, id), members| {
        members.say("source", source);
        members.say("event_id", Uuid(*id));
    });
    let mut outcome = Ok(());
    members.some("event", cause.record.as_ref(), |record, members| {
        outcome = event(view, record, members);
    });
    outcome
}
