//! Groups (session, grant, family) and joined edges: what no source states, but ids given in two
//! places allow.
//!
//! ```text
//! same family_id, grant_id or session_id     earlier born ──OTHER, JOINED──▶ later born
//!                                            of births by one issuer, with the reason in `why`
//! CAUSED_BY with a token                     cause ──CAUSED_BY──▶ whom it befell
//! CAUSED_BY with an event of another token   its token ──CAUSED_BY, JOINED──▶ whom it befell
//! ```
//!
//! Promises: a join never says that one token was made from another, only that they belong
//! together; its direction is that of time. They are followed only when asked for
//! ([`Reach::Joined`]), and each group is gone through once in a walk, so a session of n tokens
//! gives n edges, not n².
//!
//! Assumes: an id that stands without `<region>:<alias>:` is its token's issuer's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ledgerline_index::Term;
use ledgerline_index::terms::{By, is_birth, issuer_of, qualified};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::{Outcome, Relation, Strength, TargetKind};
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::QueryError;

use super::at_hand::EventName;
use super::edge::{Direction, Edge};
use super::plan::PageWanted;
use super::query_context::QueryContext;
use super::reader::{Cut, PAGE};
use super::record::Record;
use super::token::Token;

/// Births of one session, grant or family that are joined.
const MAX_MEMBERS: usize = 4096;
/// Events of one token whose causes and effects are looked for, and effects of one event.
const MAX_CAUSES: usize = 1024;

/// How well an edge must be known to be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Only links in which the source named both ids.
    Asserted,
    /// Every link that a source states, of whatever strength it says.
    #[default]
    Stated,
    /// Those, and the joins of this module.
    Joined,
}

/// What tokens can have in common. The first that two have is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Common {
    Family,
    Grant,
    Session,
}

/// A family, grant or session, by the qualified id.
pub(super) type Group = (Common, String);
/// When a token was born: in event time, then in ledger order.
pub(super) type Born = (i64, EntryRef);
/// The tokens of a group, in the order of their births.
pub(super) type Members = Arc<Vec<(Born, Arc<Token>)>>;

/// The groups that a birth names.
fn groups_of(statement: &Statement<'_>) -> Vec<Group> {
    if !is_birth(statement) || statement.outcome != Outcome::Allow {
        return Vec::new();
    }
    let issuer = issuer_of(statement.target.id).unwrap_or_default();
    let qualified = |id: &str| qualified(id, issuer);
    let named = [
        (Common::Family, statement.family_id),
        (Common::Grant, statement.grant_id),
        (Common::Session, statement.session_id),
    ];
    let named = named.into_iter().filter_map(|(common, id)| Some((common, qualified(id?))));
    named.collect()
}

/// The permitted births of a token.
fn births(token: &Token) -> impl Iterator<Item = &Arc<Record>> {
    token.records.iter().filter(|record| token.births.contains(&record.at))
}

pub(super) fn born(token: &Token) -> Option<Born> {
    let of = |record: &Arc<Record>| (record.read(|_, s| s.occurred_at.nanos), record.at);
    births(token).map(of).min()
}

/// All groups of a token, best reason first.
pub(super) fn groups(token: &Token) -> BTreeSet<Group> {
    births(token).flat_map(|record| record.read(|_, statement| groups_of(statement))).collect()
}

impl Common {
    fn why(self, id: &str) -> String {
        let name = match self {
            Self::Family => "family_id",
            Self::Grant => "grant_id",
            Self::Session => "session_id",
        };
        format!("same {name} {id}")
    }
}

/// The terms that lead to the births of a group, among others perhaps.
fn terms_of(context: &QueryContext<'_>, group: &Group) -> Vec<Term> {
    let by = match group.0 {
        Common::Family => By::Family(&group.1),
        Common::Grant => By::Grant(&group.1),
        Common::Session => By::Session(&group.1),
    };
    by.spelled(context.view.terms(), &context.scope().tenant)
}

/// The tokens of a group, in the order of their births.
pub(super) fn members(
    context: &mut QueryContext<'_>,
    group: &Group,
) -> Result<Members, QueryError> {
    let named = |statement: &Statement<'_>| groups_of(statement).contains(group);
    let mut records = Vec::new();
    for term in terms_of(context, group) {
        records.extend(context.records(&term, MAX_MEMBERS, |_, statement| named(statement))?);
    }
    let ids: Vec<String> =
        records.iter().map(|one| one.read(|_, statement| statement.target.id.to_owned())).collect();
    context.read_tokens(ids.iter().cloned());
    let mut members: BTreeMap<String, (Born, Arc<Token>)> = BTreeMap::new();
    for id in ids {
        let token = context.token(&id)?;
        if let Some(born) = born(&token) {
            members.insert(token.id.clone(), (born, token));
        }
    }
    let mut members: Vec<_> = members.into_values().collect();
    members.sort_by_key(|(born, _)| *born);
    Ok(Arc::new(members))
}

/// Reads what the groups and causes of some tokens need, and gives the tokens that these name.
pub(super) fn read_level(
    context: &mut QueryContext<'_>,
    tokens: &[&Token],
    directions: &[Direction],
    is_new: &dyn Fn(&Group) -> bool,
) -> Result<BTreeSet<String>, QueryError> {
    let page = |term: Term| PageWanted { term, from: EntryRef::FIRST.into(), limit: PAGE };
    let all: BTreeSet<Group> = tokens.iter().flat_map(|token| groups(token)).collect();
    let mut wanted: Vec<PageWanted> = all
        .iter()
        .filter(|group| is_new(group))
        .flat_map(|group| terms_of(context, group))
        .map(page)
        .collect();
    let mut causes: Vec<EventName> = Vec::new();
    for record in tokens.iter().flat_map(|token| token.records.iter().take(MAX_CAUSES)) {
        if directions.contains(&Direction::Ancestors) {
            causes.extend(record.read(|_, s| named_causes(s)));
        }
        if directions.contains(&Direction::Descendants) {
            let (source, id) = record.read(|_, s| (s.source.to_owned(), s.event_id));
            let by = By::ParentEvent(&source, &id);
            wanted.push(page(by.term(context.view.terms(), &context.scope().tenant)));
        }
    }
    context.read_hits(&wanted);
    // What cannot be read is an error when the question comes to it.
    let _ = context.find_events(&causes);
    let mut hits: Vec<EntryRef> =
        wanted.iter().flat_map(|one| context.hits_at_hand(one.term)).collect();
    for (source, id) in &causes {
        hits.extend(context.find_event(source, id).ok().flatten());
    }
    Ok(context.targets_at_hand(&hits, |_| true))
}

/// The edges over causes that are events: to the tokens whose events caused one of this token's, or
/// from it to those whose events were caused by one of its own.
pub(super) fn causes(
    context: &mut QueryContext<'_>,
    token: &Token,
    direction: Direction,
) -> Result<Vec<Edge>, QueryError> {
    if token.records.len() > MAX_CAUSES {
        context.cut(Cut::Width);
    }
    let mut edges = Vec::new();
    for record in token.records.iter().take(MAX_CAUSES) {
        let pairs: Vec<(Arc<Record>, Arc<Record>)> = match direction {
            Direction::Ancestors => {
                let mut pairs = Vec::new();
                for (source, id) in record.read(|_, s| named_causes(s)) {
                    let Some(at) = context.find_event(&source, &id)? else { continue };
                    pairs.extend(context.record(at)?.map(|cause| (cause, Arc::clone(record))));
                }
                pairs
            }
            Direction::Descendants => {
                let (source, id) = record.read(|_, s| (s.source.to_owned(), s.event_id));
                let by = By::ParentEvent(&source, &id);
                let term = by.term(context.view.terms(), &context.scope().tenant);
                let wanted = (source.clone(), id);
                let effects =
                    context.records(&term, MAX_CAUSES, |_, s| named_causes(s).contains(&wanted))?;
                effects.into_iter().map(|effect| (Arc::clone(record), effect)).collect()
            }
        };
        for (cause, effect) in pairs {
            let (Some(parent), Some(child)) = (target_of(&cause), target_of(&effect)) else {
                continue;
            };
            let (parent, child) = (context.token(&parent)?, context.token(&child)?);
            if parent.id != child.id {
                edges.push(caused(&parent, &child, &cause, &effect));
            }
        }
    }
    Ok(edges)
}

/// The events that a statement names as its causes.
fn named_causes(statement: &Statement<'_>) -> Vec<(String, [u8; 16])> {
    let done = !matches!(statement.outcome, Outcome::Deny | Outcome::Error);
    let links = statement.links.iter().filter(|link| done && link.relation == Relation::CausedBy);
    let events = links.filter_map(|link| link.event.as_ref());
    events.map(|event| (event.source.to_owned(), event.event_id)).collect()
}

/// The token that an event is about.
fn target_of(record: &Record) -> Option<String> {
    record.read(|_, statement| {
        let target = &statement.target;
        (target.kind == TargetKind::Token).then(|| target.id.to_owned())
    })
}

fn caused(parent: &Token, child: &Token, cause: &Record, effect: &Record) -> Edge {
    let evidence = BTreeSet::from([cause.at, effect.at]);
    Edge {
        parent: parent.id.clone(),
        child: child.id.clone(),
        relation: Relation::CausedBy,
        strength: Strength::Joined,
        why: Some("an event of the one names an event of the other as its cause".to_owned()),
        actors: Vec::new(),
        evidence: evidence.into_iter().collect(),
        occurred_at: effect.read(|_, statement| statement.occurred_at.nanos),
    }
}

/// The edge between two members of a group; `early` was born first.
pub(super) fn edge(group: &Group, early: &Token, late: &Token) -> Edge {
    let in_group = |token: &Token| {
        let named = |record: &&Arc<Record>| record.read(|_, s| groups_of(s).contains(group));
        births(token).find(named).map(|record| record.at)
    };
    let evidence: BTreeSet<EntryRef> = [early, late].into_iter().filter_map(in_group).collect();
    Edge {
        parent: early.id.clone(),
        child: late.id.clone(),
        relation: Relation::Other,
        strength: Strength::Joined,
        why: Some(group.0.why(&group.1)),
        actors: Vec::new(),
        evidence: evidence.into_iter().collect(),
        occurred_at: born(late).map_or(0, |(nanos, _)| nanos),
    }
}
