//! Findings as JSON: as answers and messages to a receiver have them.

use ledgerline_api::time_text::rfc3339;
use ledgerline_api::uuid_text;
use ledgerline_followers::findings::list::{Found, Told};
use ledgerline_followers::findings::rules::MAX_PER_TOKEN;
use ledgerline_proof::statement::{EventRef, Statement};
use ledgerline_proof::vocabulary::Moved;
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_view::view::View;
use serde_json::{Value, json};

use crate::counted;
use crate::question_json::proof_state;

/// A finding as answers and messages have it.
#[must_use]
pub fn finding(view: &View, found: &Found) -> Value {
    let states = |moved| moved == Moved::Reopened || Moved::STATES.contains(&moved);
    let moves = found.moves.iter().filter(|(moved, _)| states(*moved));
    let moves = moves.map(|(moved, record)| {
        record.read(|_, one| {
            json!({
                "state": moved.word(),
                "by": one.detail("by"),
                "note": one.detail("note"),
                "at": rfc3339(one.occurred_at.nanos),
                "index": counted::number(view, record.at),
            })
        })
    });
    let moves: Vec<Value> = moves.collect();
    let (again, caused) = (added(found, Moved::Again), added(found, Moved::Caused));
    let count = found.count();
    found.raised.read(|entry, one| {
        let events = one.links.iter().filter_map(|link| link.event.as_ref());
        let events: Vec<Value> = events.map(event_ref).chain(again).collect();
        let gap: Option<i64> = one.detail("gap_ms").and_then(|text| text.parse().ok());
        json!({
            "id": found.id.to_hex(),
            "rule": one.detail("rule"),
            "version": one.detail("version"),
            "severity": one.detail("severity"),
            "state": found.state().map_or("open", Moved::word),
            "token_id": one.detail("token"),
            "parent": one.detail("parent"),
            "about": one.detail("about"),
            "target": target(one),
            "place": one.detail("place"),
            "gap_ms": gap,
            "explained": one.detail("explained"),
            "missing": missing(one),
            "count": count,
            "count_is_least": count > MAX_PER_TOKEN,
            "events": events,
            "caused": caused,
            "event_id": uuid_text::text(&one.event_id),
            "index": counted::number(view, found.raised.at),
            "noticed_at": rfc3339(one.occurred_at.nanos),
            "recorded_at": rfc3339(entry.recorded_at.nanos),
            "moves": moves,
            "proof_state": proof_state(view, found.raised.at),
        })
    })
}

/// The same as it is told: again, when it stands open again.
#[must_use]
pub fn told(view: &View, told: &Told) -> Value {
    let mut one = finding(view, &told.found);
    if told.is_again() {
        one["open_again_at"] = counted::number(view, told.at).into();
    }
    one
}

fn event_ref(event: &EventRef<'_>) -> Value {
    json!({ "source": event.source, "event_id": uuid_text::text(&event.event_id) })
}

/// The events that a finding grew by.
fn added(found: &Found, by: Moved) -> Vec<Value> {
    let entries = found.moves.iter().filter(|(moved, _)| *moved == by);
    let events = entries.filter_map(|(_, record)| {
        record.read(|_, one| {
            let mut events = one.links.iter().filter_map(|link| link.event.as_ref());
            events.find(|event| event.source != LEDGER_SOURCE).map(event_ref)
        })
    });
    events.collect()
}

/// What a finding is about that is about no token.
fn target(one: &Statement<'_>) -> Value {
    match (one.detail("target_kind"), one.detail("target")) {
        (Some(kind), Some(id)) => json!({ "kind": kind, "id": id }),
        _ => Value::Null,
    }
}

/// Of a gap: between when something may be missing, and at most how much.
fn missing(statement: &Statement<'_>) -> Option<Value> {
    let number = |key: &str| statement.detail(key)?.parse::<i64>().ok();
    let (from, to) = (number("from")?, number("to")?);
    let window = number("window_ms");
    Some(json!({ "from": rfc3339(from), "to": rfc3339(to), "window_ms": window }))
}
