//! Findings as the forms of answers and of messages to a receiver.

use ledgerline_api::event::EventRef;
use ledgerline_api::finding::{Finding, FindingTarget, Missing, Move};
use ledgerline_api::recorded::event_ref_of;
use ledgerline_api::uuid_text;
use ledgerline_api::values::{HexHash, Str, Time};
use ledgerline_followers::findings::list::{Found, Told};
use ledgerline_followers::findings::rules::MAX_PER_TOKEN;
use ledgerline_proof::statement::{EventRef as Named, Statement};
use ledgerline_proof::vocabulary::Moved;
use ledgerline_questions::lineage::Record;
use ledgerline_view::registry::LEDGER_SOURCE;
use ledgerline_view::view::View;

use crate::counted;
use crate::question_json::proof_state;

/// A fact of a finding.
fn detail(one: &Statement<'_>, key: &str) -> Option<Str<'static>> {
    one.detail(key).map(|text| text.to_owned().into())
}

/// A finding as answers and messages have it.
#[must_use]
pub fn finding(view: &View, found: &Found) -> Finding<'static> {
    let states = |moved| moved == Moved::Reopened || Moved::STATES.contains(&moved);
    let moves = found.moves.iter().filter(|(moved, _)| states(*moved));
    let moves = moves.map(|(moved, record)| move_of(view, *moved, record)).collect();
    let (again, caused) = (added(found, Moved::Again), added(found, Moved::Caused));
    let count = found.count();
    found.raised.read(|entry, one| {
        let events = one.links.iter().filter_map(|link| link.event.as_ref());
        Finding {
            id: HexHash(found.id),
            rule: detail(one, "rule"),
            version: detail(one, "version"),
            severity: detail(one, "severity"),
            state: found.state().map_or("open", Moved::word).into(),
            token_id: detail(one, "token"),
            parent: detail(one, "parent"),
            about: detail(one, "about"),
            target: target(one),
            place: detail(one, "place"),
            gap_ms: one.detail("gap_ms").and_then(|text| text.parse().ok()),
            explained: detail(one, "explained"),
            missing: missing(one),
            count,
            count_is_least: count > MAX_PER_TOKEN,
            events: events.map(owned_ref).chain(again).collect(),
            caused,
            event_id: uuid_text::text(&one.event_id).into(),
            index: counted::number(view, found.raised.at),
            noticed_at: Time(one.occurred_at.nanos),
            recorded_at: Time(entry.recorded_at.nanos),
            moves,
            proof_state: Some(proof_state(view, found.raised.at)),
            open_again_at: None,
            progress: None,
        }
    })
}

fn move_of(view: &View, moved: Moved, record: &Record) -> Move<'static> {
    record.read(|_, one| Move {
        state: moved.word().into(),
        by: detail(one, "by"),
        note: detail(one, "note"),
        at: Time(one.occurred_at.nanos),
        index: counted::number(view, record.at),
    })
}

/// The same as it is told: again, when it stands open again.
#[must_use]
pub fn told(view: &View, told: &Told) -> Finding<'static> {
    let open_again_at = told.is_again().then(|| counted::number(view, told.at));
    Finding { open_again_at, ..finding(view, &told.found) }
}

fn owned_ref(event: &Named<'_>) -> EventRef<'static> {
    let EventRef { source, event_id } = event_ref_of(event);
    EventRef { source: source.into_owned().into(), event_id: event_id.into_owned().into() }
}

/// The events that a finding grew by.
fn added(found: &Found, by: Moved) -> Vec<EventRef<'static>> {
    let entries = found.moves.iter().filter(|(moved, _)| *moved == by);
    let events = entries.filter_map(|(_, record)| {
        record.read(|_, one| {
            let mut events = one.links.iter().filter_map(|link| link.event.as_ref());
            events.find(|event| event.source != LEDGER_SOURCE).map(owned_ref)
        })
    });
    events.collect()
}

/// What a finding is about that is about no token.
fn target(one: &Statement<'_>) -> Option<FindingTarget<'static>> {
    let (kind, id) = (detail(one, "target_kind")?, detail(one, "target")?);
    Some(FindingTarget { kind, id })
}

/// Of a gap: between when something may be missing, and at most how much.
fn missing(statement: &Statement<'_>) -> Option<Missing> {
    let number = |key: &str| statement.detail(key)?.parse::<i64>().ok();
    let (from, to) = (number("from")?, number("to")?);
    Some(Missing { from: Time(from), to: Time(to), window_ms: number("window_ms") })
}
