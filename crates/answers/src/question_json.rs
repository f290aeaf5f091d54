//! What questions found, as the forms of answers.
//!
//! Promises: every event named by its index carries its proof state: `block` when the published
//! checkpoint covers it, `receipt` until then. Texts are borrowed from what was found.

use std::borrow::Borrow;
use std::sync::Arc;

use ledgerline_api::event::EventRef;
use ledgerline_api::log::{Evidence, ProofState, Recorded};
use ledgerline_api::question as form;
use ledgerline_api::token::{State, Token};
use ledgerline_api::values::{Digest, Handle, Str, Time, Word};
use ledgerline_api::{answer, recorded, uuid_text};
use ledgerline_proof::lifecycle::TokenState;
use ledgerline_questions::lineage::{
    Cut, Edge, Lineage, Record, Relative, Step, Summary, Token as Whole,
};
use ledgerline_questions::{
    Access, Affected, AfterRevoke, BlastRadius, Cause, Divergence, Exposure, IssuePolicies,
    PlaceAfter, PolicyEffect, PolicyVersion, Privilege, Reached, TokenAccesses, Touched,
    is_over_privileged, nearest_rank,
};
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::View;

use crate::counted;
use crate::problem::Problem;

/// What cut an answer. Each reason has its word: one that a question learns later does not compile
/// until it is said.
#[must_use]
pub fn cuts(cuts: &[Cut]) -> Vec<answer::Cut> {
    let one = |cut: &Cut| match cut {
        Cut::Limit => answer::Cut::Limit,
        Cut::Reads => answer::Cut::Reads,
        Cut::Depth => answer::Cut::Depth,
        Cut::Tokens => answer::Cut::Tokens,
        Cut::Width => answer::Cut::Width,
    };
    cuts.iter().map(one).collect()
}

/// What the published checkpoint of its origin says about an entry.
#[must_use]
pub fn proof_state(view: &View, at: EntryRef) -> ProofState {
    ProofState::of(at.index < view.of_log(at.log).published_size())
}

/// The origin of an entry, where it is an older one.
fn older_origin(view: &View, at: EntryRef) -> Option<Str<'static>> {
    let origin = view.of_log(at.log);
    origin.is_older().then(|| origin.identity().origin.to_string().into())
}

/// Entries that an answer stands on.
fn evidence(view: &View, entries: &[EntryRef]) -> Vec<Evidence<'static>> {
    let one = |at: &EntryRef| Evidence {
        index: at.index,
        origin: older_origin(view, *at),
        proof_state: proof_state(view, *at),
    };
    entries.iter().map(one).collect()
}

fn texts<'a, S: AsRef<str> + 'a>(list: impl IntoIterator<Item = &'a S>) -> Vec<Str<'a>> {
    list.into_iter().map(|one| Str::Borrowed(one.as_ref())).collect()
}

fn text<S: Borrow<str>>(text: Option<&S>) -> Option<Str<'_>> {
    text.map(|one| Str::Borrowed(one.borrow()))
}

/// A state, judged at a time.
#[must_use]
pub fn state<'a>(view: &View, state: &'a TokenState, judged_at: i64) -> State<'a> {
    let number = |rank| counted::number(view, EntryRef::of_rank(rank));
    recorded::state(state, judged_at, number)
}

/// A token with its states.
#[must_use]
pub fn token<'a>(view: &View, token: &'a Summary, judged_at: i64) -> Token<'a> {
    let facts = &token.facts;
    Token {
        token_id: (&*token.id).into(),
        also_known_as: texts(token.ids.iter().filter(|id| **id != token.id)),
        known: state(view, &token.known, judged_at),
        happened: state(view, &token.happened, judged_at),
        born_at: token.happened.born_at.map(Time),
        subject: facts.subject.map(Handle),
        client_id: text(facts.client.as_ref()),
        session_id: text(facts.session.as_ref()),
        grant_id: text(facts.grant.as_ref()),
        audience: texts(&facts.audience),
        scopes: texts(&facts.scopes),
        events: token.events.len() as u64,
        births: evidence(view, &token.births),
        covered_by: evidence(view, &token.covered_by),
        proof_state: ProofState::of(is_proven(view, token)),
    }
}

/// Whether the published checkpoints cover a token's whole life.
fn is_proven(view: &View, token: &Summary) -> bool {
    // They ascend: of each log the last one decides.
    let mut last = token.events.chunk_by(|one, next| one.log == next.log);
    let block = |at: &EntryRef| proof_state(view, *at) == ProofState::Block;
    last.all(|of_log| of_log.last().is_none_or(block))
}

/// A token of a walk.
#[must_use]
pub fn relative<'a>(view: &View, relative: &'a Relative, judged_at: i64) -> form::Relative<'a> {
    let via = relative.via.as_ref();
    form::Relative {
        token: token(view, &relative.token, judged_at),
        depth: relative.depth,
        relation: via.map(|edge| Word(edge.relation)),
        strength: via.map(|edge| Word(edge.strength)),
    }
}

/// An edge.
#[must_use]
pub fn edge<'a>(view: &View, edge: &'a Edge) -> form::Edge<'a> {
    form::Edge {
        parent: (&*edge.parent).into(),
        child: (&*edge.child).into(),
        relation: Word(edge.relation),
        strength: Word(edge.strength),
        why: text(edge.why.as_ref()),
        actors: texts(&edge.actors),
        occurred_at: Time(edge.occurred_at),
        evidence: evidence(view, &edge.evidence),
    }
}

/// Tokens of a walk; the first one is the one asked about.
#[must_use]
pub fn relatives<'a>(view: &View, lineage: &'a Lineage, judged_at: i64) -> Vec<form::Relative<'a>> {
    lineage.relatives.iter().map(|one| relative(view, one, judged_at)).collect()
}

/// Edges of a walk.
#[must_use]
pub fn edges<'a>(view: &View, lineage: &'a Lineage) -> Vec<form::Edge<'a>> {
    lineage.edges.iter().map(|one| edge(view, one)).collect()
}

/// One edge of a path.
#[must_use]
pub fn step<'a>(view: &View, step: &'a Step) -> form::Step<'a> {
    let ends = [&step.edge.parent, &step.edge.child];
    let [from, to] = if step.forward { ends } else { [ends[1], ends[0]] };
    form::Step { edge: edge(view, &step.edge), from: (&**from).into(), to: (&**to).into() }
}

/// An access.
#[must_use]
pub fn access<'a>(view: &View, access: &'a Access) -> form::Access<'a> {
    form::Access {
        index: access.at.index,
        origin: older_origin(view, access.at),
        proof_state: proof_state(view, access.at),
        token_id: (&*access.token).into(),
        occurred_at: Time(access.occurred_at),
        event_type: Word(access.event_type),
        outcome: Word(access.outcome),
        service: text(access.service.as_ref()),
        resource: text(access.resource.as_ref()),
        resource_handle: access.concrete.map(Handle),
        action: text(access.action.as_ref()),
        policies: texts(&access.policies),
    }
}

/// A token that accessed a resource.
#[must_use]
pub fn visitor<'a>(view: &View, visitor: &'a TokenAccesses, judged_at: i64) -> form::Visitor<'a> {
    form::Visitor {
        token: token(view, &visitor.token, judged_at),
        allowed: visitor.allowed() as u64,
        denied: (visitor.accesses.len() - visitor.allowed()) as u64,
        accesses: visitor.accesses.iter().map(|one| access(view, one)).collect(),
    }
}

/// A version of a policy.
#[must_use]
pub fn policy_version<'a>(view: &View, version: &'a PolicyVersion) -> form::PolicyVersion<'a> {
    form::PolicyVersion {
        policy: (&*version.id).into(),
        version: (&*version.version).into(),
        digest: version.digest.map(Digest),
        effective_from: Time(version.effective_from),
        effective_until: version.effective_until.map(Time),
        previous_version: text(version.previous_version.as_ref()),
        change_ref: text(version.change_ref.as_ref()),
        service: text(version.service.as_ref()),
        index: version.at.index,
        origin: older_origin(view, version.at),
        proof_state: proof_state(view, version.at),
        occurred_at: Time(version.occurred_at),
    }
}

/// The policies when a token was issued.
#[must_use]
pub fn issue_policies<'a>(
    view: &View,
    token_id: &'a str,
    answer: &'a IssuePolicies,
) -> form::IssuePolicies<'a> {
    let named = answer.named.iter().map(|one| form::NamedPolicy {
        policy: (&*one.id).into(),
        version: (&*one.version).into(),
        digest: one.digest.map(Digest),
        role: Word(one.role),
        in_force: one.in_force,
    });
    form::IssuePolicies {
        token_id: token_id.into(),
        issued_at: answer.issued_at.map(Time),
        scopes: texts(&answer.scopes),
        over_privileged: is_over_privileged(&answer.privileges),
        privileges: answer.privileges.iter().map(privilege).collect(),
        named: named.collect(),
        in_force: answer.in_force.iter().map(|one| policy_version(view, one)).collect(),
    }
}

fn privilege(one: &Privilege) -> form::Privilege<'_> {
    let (evaluation, beyond, why) = match &one.beyond {
        Ok(beyond) if beyond.is_empty() => (form::Evaluation::Within, Vec::new(), None),
        Ok(beyond) => (form::Evaluation::Beyond, texts(beyond), None),
        Err(why) => (form::Evaluation::NotEvaluated, Vec::new(), Some((*why).into())),
    };
    form::Privilege {
        policy: (&*one.policy).into(),
        version: text(one.version.as_ref()),
        digest: one.digest.map(Digest),
        evaluation,
        beyond,
        why,
    }
}

/// Nanoseconds as milliseconds.
fn millis(nanos: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "gaps are told to the microsecond")]
    let millis = (nanos / 1000) as f64 / 1000.0;
    millis
}

fn quantile(gaps: &[i64], hundredth: usize) -> Option<f64> {
    nearest_rank(gaps, hundredth).map(millis)
}

fn place_after<'a>(view: &View, one: &'a PlaceAfter) -> form::PlaceAfter<'a> {
    form::PlaceAfter {
        service: text(one.service.as_ref()),
        vantage: Word(one.vantage),
        source: (&*one.source).into(),
        tokens: one.tokens,
        allowed: one.allowed,
        refused: one.refused,
        gap_ms: one.gaps.last().copied().map(millis),
        p50_ms: quantile(&one.gaps, 50),
        p99_ms: quantile(&one.gaps, 99),
        last_allow: one.last_allow.as_ref().map(|last| form::LastAllow {
            index: last.at.index,
            origin: older_origin(view, last.at),
            proof_state: proof_state(view, last.at),
            token_id: (&*last.token).into(),
            occurred_at: Time(last.seen_at),
        }),
    }
}

/// What places did after revocations.
#[must_use]
pub fn after_revoke<'a>(
    view: &View,
    answer: &'a AfterRevoke,
    judged_at: i64,
) -> form::AfterRevoke<'a> {
    let revoked = |(one, revoked_at): &'a (Arc<Whole>, i64)| form::RevokedToken {
        token: token(view, one, judged_at),
        revoked_at: Time(*revoked_at),
    };
    form::AfterRevoke {
        token_id: None,
        from: None,
        until: None,
        revoked: answer.tokens.len() as u64,
        tokens: answer.tokens.iter().map(revoked).collect(),
        places: answer.places.iter().map(|one| place_after(view, one)).collect(),
        gaps: answer.gaps.len() as u64,
        p50_ms: quantile(&answer.gaps, 50),
        p99_ms: quantile(&answer.gaps, 99),
    }
}

/// A policy change with the tokens it affected.
#[must_use]
pub fn affected<'a>(view: &View, one: &'a Affected, judged_at: i64) -> form::PolicyChangeSeen<'a> {
    let token = |(affected, effect): &'a (Arc<Whole>, PolicyEffect)| {
        let why = match effect {
            PolicyEffect::Named => "its events name the policy",
            PolicyEffect::Service => "it is for the service that enforces the policy",
            PolicyEffect::Audience => "tokens for the same audience were let in under the policy",
        };
        form::AffectedToken {
            token: token(view, affected, judged_at),
            strength: Word(effect.strength()),
            why: why.into(),
        }
    };
    form::PolicyChangeSeen {
        version: policy_version(view, &one.version),
        tokens: one.tokens.iter().map(token).collect(),
    }
}

fn touched(one: &Touched) -> form::Touched<'_> {
    form::Touched {
        service: text(one.service.as_ref()),
        resource: text(one.resource.as_ref()),
        resource_handle: one.concrete.map(Handle),
        allowed: one.allowed,
        denied: one.denied,
        first: Time(one.first),
        last: Time(one.last),
    }
}

fn reached(one: &Reached) -> form::Reached {
    form::Reached {
        role: Word(one.role),
        kind: Word(one.kind),
        handle: Handle(one.handle),
        events: one.events,
    }
}

/// A blast radius.
#[must_use]
pub fn blast_radius<'a>(
    view: &View,
    token_id: &'a str,
    answer: &'a BlastRadius,
    judged_at: i64,
) -> form::BlastRadius<'a> {
    form::BlastRadius {
        token_id: token_id.into(),
        tokens: relatives(view, &answer.lineage, judged_at),
        edges: edges(view, &answer.lineage),
        descendants: (answer.lineage.relatives.len() - 1) as u64,
        alive: texts(&answer.alive),
        resources: answer.resources.iter().map(touched).collect(),
        handles: answer.handles.iter().map(reached).collect(),
        clients: texts(&answer.clients),
        sessions: texts(&answer.sessions),
        allowed: answer.allowed,
        denied: answer.denied,
    }
}

/// An event in full.
///
/// # Errors
/// 500 when the stored leaf does not decode.
pub fn event<'a>(view: &View, record: &'a Record) -> Result<Recorded<'a>, Problem> {
    let mut event = recorded::event(record.at.index, &record.leaf)?;
    event.proof_state = Some(proof_state(view, record.at));
    event.origin = older_origin(view, record.at);
    Ok(event)
}

/// A divergence.
#[must_use]
pub fn divergence<'a>(view: &View, one: &'a Divergence) -> form::Divergence<'a> {
    form::Divergence {
        what: one.what.word().into(),
        before: texts(&one.before),
        before_index: one.before_at.index,
        before_origin: older_origin(view, one.before_at),
        after: texts(&one.after),
        index: one.at.index,
        origin: older_origin(view, one.at),
        proof_state: proof_state(view, one.at),
        occurred_at: Time(one.occurred_at),
        token_id: (&*one.token).into(),
    }
}

/// An exposure.
#[must_use]
pub fn exposure<'a>(token_id: &'a str, answer: &'a Exposure) -> form::Exposure<'a> {
    let places = answer.places.iter().map(|place| form::ExposedTo {
        service: text(place.service.as_ref()),
        vantage: Word(place.vantage),
        source: (&*place.source).into(),
        events: place.events,
        allowed: place.allowed,
        first: Time(place.first),
        last: Time(place.last),
    });
    form::Exposure {
        token_id: token_id.into(),
        audiences: texts(&answer.audiences),
        clients: texts(&answer.clients),
        places: places.collect(),
    }
}

/// A cause.
///
/// # Errors
/// 500 when the stored leaf does not decode.
pub fn cause<'a>(view: &View, cause: &'a Cause) -> Result<form::Cause<'a>, Problem> {
    let event_ref = cause.event.as_ref().map(|(source, id)| EventRef {
        source: (&**source).into(),
        event_id: uuid_text::text(id).into(),
    });
    let event = |record: &'a Arc<Record>| event(view, record);
    Ok(form::Cause {
        depth: cause.depth,
        of_index: cause.named_at.index,
        of_origin: older_origin(view, cause.named_at),
        relation: Word(cause.relation),
        strength: Word(cause.strength),
        why: text(cause.why.as_ref()),
        token_id: text(cause.token.as_ref()),
        event_ref,
        event: cause.record.as_ref().map(event).transpose()?,
    })
}
