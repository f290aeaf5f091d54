//! Bodies of `POST /v1/events` through the whole intake, the sequencer and the journal.
//!
//! One ledger serves many inputs, so a finding may need the inputs before it; it is begun anew
//! often, and most rules look at one body alone.

use std::cell::RefCell;

use ledgerline_ledger::intake::{Accepted, BodyForm, EventAnswer, EventStatus, PendingEvent, Unit};
use ledgerline_proof::hash::sha256;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, decode_object, encode_object};
use ledgerline_proof::signature::StatementKey;
use ledgerline_proof::statement::Statement;
use ledgerline_proof::submission::Batch;
use ledgerline_sim::SimDisk;
use serde_json::value::RawValue;

use crate::ledger::{DEPLOYMENT, PRODUCER_KEY, PRODUCER_SECRET, Running};

/// So many bodies are recorded before the ledger is begun anew.
const BODIES: u32 = 64;
/// So many events are sealed before the ledger is begun anew: the vault keeps every person.
const EVENTS: usize = 4096;

struct Room {
    running: Running,
    bodies: u32,
    events: usize,
}

thread_local! {
    static ROOM: RefCell<Option<Room>> = const { RefCell::new(None) };
}

/// The input with every `@@` grown to 66,000 bytes, 24 of them at most: inputs are short, and what
/// breaks on length breaks beyond 64 KiB or 1 MiB.
fn grown(data: &[u8]) -> Vec<u8> {
    let mut grown = Vec::with_capacity(data.len());
    let mut left = 24;
    let mut rest = data;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if left > 0 && *first == b'@' && after.first() == Some(&b'@') {
            left -= 1;
            rest = &after[1..];
            grown.resize(grown.len() + 66_000, b'x');
        } else {
            grown.push(*first);
        }
    }
    grown
}

/// A JSON body.
pub fn intake_json(data: &[u8]) {
    let data = &grown(data)[..];
    let count = std::str::from_utf8(data).ok().and_then(|text| {
        if text.trim_start().starts_with('{') {
            return Some(1);
        }
        serde_json::from_str::<Vec<&RawValue>>(text).ok().map(|events| events.len())
    });
    body(BodyForm::Json, data, count);
}

/// A body of one JSON event a line.
pub fn intake_ndjson(data: &[u8]) {
    let data = &grown(data)[..];
    let lines = data.split(|byte| *byte == b'\n');
    let count = lines.filter(|line| !line.trim_ascii().is_empty()).count();
    body(BodyForm::Ndjson, data, Some(count));
}

/// A body of framed Avro submissions.
pub fn intake_avro(data: &[u8]) {
    body(BodyForm::AvroBatch, data, Some(Batch::new(data).count()));
}

/// `count` is how many events the body holds, by a count of our own.
fn body(form: BodyForm, data: &[u8], count: Option<usize>) {
    ROOM.with_borrow_mut(|slot| {
        let full = |room: &Room| room.bodies >= BODIES || room.events >= EVENTS;
        if slot.as_ref().is_none_or(full) {
            let (disk, head, keys) = (SimDisk::new(1), SimDisk::new(2), SimDisk::new(3));
            let running = Running::create(&disk, &head, &keys);
            *slot = Some(Room { running, bodies: 0, events: 0 });
        }
        let room = slot.as_mut().expect("made above");
        let intake = &room.running.rest.intake;
        match intake.accept(&room.running.caller(), form, data) {
            Err(error) => assert!(!error.code().is_empty() && !error.to_string().is_empty()),
            Ok(accepted) => {
                assert_eq!(Some(accepted.answers.len()), count, "one answer for each event");
                check_accepted(&room.running, &accepted);
                room.events += accepted.answers.len();
                if !accepted.units.is_empty() {
                    room.bodies += 1;
                    record(&mut room.running, accepted);
                }
            }
        }
    });
}

/// Every event is refused, or waits in exactly one unit.
fn check_accepted(running: &Running, accepted: &Accepted) {
    let mut waits = vec![false; accepted.answers.len()];
    for unit in &accepted.units {
        let events: Vec<(usize, &PendingEvent)> = match unit {
            Unit::One(position, event) => vec![(*position, event)],
            Unit::Act(parts) => parts.iter().map(|(at, event)| (*at, &**event)).collect(),
        };
        for (n, (position, event)) in (0..).zip(&events) {
            assert!(!std::mem::replace(&mut waits[*position], true), "an event in two units");
            check_event(running, event);
            let part = event.act.as_ref().map_or((0, 1), |part| (part.part, part.parts));
            assert_eq!(part, (n, i32::try_from(events.len()).expect("at most 64")));
        }
    }
    for (answer, waits) in accepted.answers.iter().zip(waits) {
        assert_eq!(answer.is_none(), waits, "an event is neither refused nor waiting, or both");
        if let Some(EventAnswer { status, error: Some(error), .. }) = answer {
            assert_eq!(*status, EventStatus::Refused);
            assert!(!error.code.is_empty() && !error.detail.is_empty());
        }
    }
}

/// What leaves the intake is canonical, valid, committed to and sealed.
fn check_event(running: &Running, event: &PendingEvent) {
    let statement: Statement<'_> =
        decode_object(Kind::Statement, &event.statement).expect("an accepted statement decodes");
    assert_eq!(encode_object(Kind::Statement, &statement), event.statement);
    assert_eq!(statement.validate(), Ok(()), "an accepted statement is not valid");
    assert_eq!(statement.event_id, event.event_id);
    assert_eq!((statement.source, statement.occurred_at), ("idp", event.occurred_at));
    assert_eq!(event.records.len(), statement.personal.len());
    assert_eq!(event.sealed.len(), statement.personal.len());
    let hash = sha256(&event.statement);
    for (n, (record, sealed)) in event.records.iter().zip(&event.sealed).enumerate() {
        assert_eq!(commitment(record), statement.personal[n].commitment);
        let personal: PersonalRecord<'_> =
            decode_object(Kind::Personal, record).expect("canonical");
        assert_eq!(personal.validate(), Ok(()));
        let vault = &running.rest.rooms.vault;
        let opened = vault.open_sealed(&sealed.slot, sealed.n, &hash, &sealed.sealed);
        assert_eq!(opened.as_ref(), Ok(record), "a sealed record does not open");
        assert_eq!(usize::from(sealed.n), n);
        assert!(event.handles.iter().any(|handle| handle.id == sealed.slot));
    }
    let bare = event.signature.is_none() && event.sealed.is_empty();
    assert_eq!(event.blind.is_some(), bare, "a blind where nothing else is random, and only there");
    if let Some(signature) = &event.signature {
        assert_eq!(&*signature.key.key_id, PRODUCER_KEY);
        let key = StatementKey::hmac(&PRODUCER_SECRET, DEPLOYMENT, PRODUCER_KEY);
        assert_eq!(key.verify(&event.statement, &signature.value), Ok(()), "a forged signature");
    }
}

/// Records what was taken; every event is answered, and what is recorded can be read back.
fn record(running: &mut Running, accepted: Accepted) {
    let count = accepted.answers.len();
    let before = running.rest.rooms.published().size;
    let answer = running.submit_accepted(accepted);
    assert_eq!(answer.stopped, None);
    assert_eq!(answer.events.len(), count, "one answer for each event, in the end too");
    let mut recorded = 0;
    for event in &answer.events {
        assert_eq!(event.error.is_some(), event.status == EventStatus::Refused);
        if event.status == EventStatus::Recorded {
            recorded += 1;
            let index = event.index.expect("a recorded event has an index");
            let leaf = running.rest.rooms.reader.leaf(index).expect("what is recorded is there");
            assert_eq!(Some(ledgerline_proof::hash::leaf_hash(&leaf)), event.event_hash);
        }
    }
    assert_eq!(running.rest.rooms.published().size, before + recorded);
}
