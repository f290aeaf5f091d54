//! Why something happened: the chain of causes of an event, as far as the sources say. Of a
//! revocation also the replay that led to it, where a finding has joined the two: the act itself,
//! and the finding.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use ledgerline_index::terms::By;
use ledgerline_proof::lifecycle::Violation;
use ledgerline_proof::vocabulary::{EventType, Moved, Relation, Strength};
use ledgerline_view::address::EntryRef;
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_view::view::QueryError;

use crate::lineage::{Cut, EventName, Reader, Record};

/// Steps away from the event, and causes all together.
const MAX_DEPTH: u32 = 64;
const MAX_CAUSES: usize = 256;
/// Findings that lead to one revocation.
const MAX_FINDINGS: usize = 4;

/// A cause.
#[derive(Debug, Clone)]
pub struct Cause {
    /// Steps away from the event asked about.
    pub depth: u32,
    /// The entry that names it.
    pub named_at: EntryRef,
    /// CAUSED_BY, or the edge of descent by which a token came about.
    pub relation: Relation,
    /// How well it is known.
    pub strength: Strength,
    /// From what it was concluded.
    pub why: Option<String>,
    /// The event, when it is one and recorded in scope.
    pub record: Option<Arc<Record>>,
    /// The event's identity, when the link names one.
    pub event: Option<(String, [u8; 16])>,
    /// The token, when the link names one.
    pub token: Option<String>,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Why {
    /// The event asked about.
    pub record: Arc<Record>,
    /// Its causes, nearest first.
    pub causes: Vec<Cause>,
}

/// The causes of an event, and theirs. `None` when there is no such event in scope.
///
/// # Errors
/// [`QueryError`].
pub fn why(
    reader: &mut Reader<'_>,
    source: &str,
    event_id: &[u8; 16],
) -> Result<Option<Why>, QueryError> {
    let Some(record) = find(reader, source, event_id)? else { return Ok(None) };
    reader.cite(record.at);
    let mut answer = Why { record: Arc::clone(&record), causes: Vec::new() };
    let mut seen = BTreeSet::from([record.at]);
    let mut queue = VecDeque::from([(record, 0)]);
    let mut ahead = None;
    while let Some((record, depth)) = queue.pop_front() {
        if ahead.is_none_or(|ahead| depth > ahead) {
            ahead = Some(depth);
            let level = [&record].into_iter().chain(queue.iter().map(|(record, _)| record));
            let causes = level.flat_map(|record| causes_of(record, depth + 1));
            let named: Vec<EventName> = causes.filter_map(|cause| cause.event).collect();
            // What cannot be read is an error when the question comes to it.
            let _ = reader.find_events(&named);
        }
        if depth >= MAX_DEPTH {
            reader.cut(Cut::Depth);
            break;
        }
        for mut cause in causes_of(&record, depth + 1) {
            if answer.causes.len() >= MAX_CAUSES {
                reader.cut(Cut::Tokens);
                return Ok(Some(answer));
            }
            if let Some((source, id)) = &cause.event {
                cause.record = find(reader, source, id)?;
            }
            if let Some(next) = cause.record.as_ref().filter(|next| seen.insert(next.at)) {
                reader.cite(next.at);
                queue.push_back((Arc::clone(next), depth + 1));
            }
            answer.causes.push(cause);
        }
        for cause in replays_before(reader, &record, depth + 1)? {
            if let Some(next) = cause.record.as_ref().filter(|next| seen.insert(next.at)) {
                // What a finding names in turn is what is told here.
                if cause.token.is_some() {
                    queue.push_back((Arc::clone(next), depth + 1));
                }
            }
            answer.causes.push(cause);
        }
    }
    Ok(Some(answer))
}

/// The replays that findings have joined to a revocation, each with its finding.
fn replays_before(
    reader: &mut Reader<'_>,
    revoked: &Record,
    depth: u32,
) -> Result<Vec<Cause>, QueryError> {
    let named = revoked.read(|_, one| {
        (one.event_type == EventType::Revoked).then(|| (one.source.to_owned(), one.event_id))
    });
    let Some((source, event_id)) = named else { return Ok(Vec::new()) };
    let by = By::ParentEvent(&source, &event_id);
    let term = by.term(reader.view().terms(), &reader.scope().tenant);
    let joined = reader.records(&term, MAX_FINDINGS, |_, one| {
        let caused = one.detail("state") == Some(Moved::Caused.word());
        let reuse = [Violation::RefreshReuse, Violation::CodeReuse].map(Violation::code);
        let raised = one.detail("rule").is_some_and(|rule| reuse.contains(&rule));
        one.source == LEDGER_SOURCE && (caused || raised)
    })?;
    let mut causes = Vec::new();
    for one in joined {
        let first = |record: &Record| {
            record.read(|_, one| {
                let event = one.links.iter().find_map(|link| link.event.as_ref());
                event.map(|event| (event.source.to_owned(), event.event_id))
            })
        };
        let is_raised = one.read(|_, one| one.event_type == EventType::FindingRaised);
        let raised = match first(&one) {
            _ if is_raised => Some(Arc::clone(&one)),
            Some((source, id)) => find(reader, &source, &id)?,
            None => None,
        };
        let Some(raised) = raised else { continue };
        let Some((source, id)) = first(&raised) else { continue };
        let act = find(reader, &source, &id)?;
        reader.cite(one.at);
        reader.cite(raised.at);
        let (rule, token, own) = raised.read(|_, one| {
            let owned = |key| one.detail(key).map(str::to_owned);
            (owned("rule"), owned("token"), (one.source.to_owned(), one.event_id))
        });
        let cause = |event, token, record| Cause {
            depth,
            named_at: revoked.at,
            relation: Relation::CausedBy,
            strength: Strength::Inferred,
            why: rule.clone(),
            record,
            event: Some(event),
            token,
        };
        if let Some(act) = &act {
            reader.cite(act.at);
        }
        causes.push(cause((source, id), token, act));
        causes.push(cause(own, None, Some(raised)));
    }
    Ok(causes)
}

fn causes_of(record: &Record, depth: u32) -> Vec<Cause> {
    record.read(|_, statement| {
        let is_cause = |relation| !matches!(relation, Relation::Produced | Relation::RotatedTo);
        let links = statement.links.iter().filter(|link| is_cause(link.relation));
        links
            .map(|link| Cause {
                depth,
                named_at: record.at,
                relation: link.relation,
                strength: link.strength,
                why: link.why.map(str::to_owned),
                record: None,
                event: link.event.as_ref().map(|one| (one.source.to_owned(), one.event_id)),
                token: link.token.map(str::to_owned),
            })
            .collect()
    })
}

fn find(
    reader: &mut Reader<'_>,
    source: &str,
    event_id: &[u8; 16],
) -> Result<Option<Arc<Record>>, QueryError> {
    match reader.find_event(source, event_id)? {
        Some(at) => reader.record(at),
        None => Ok(None),
    }
}
