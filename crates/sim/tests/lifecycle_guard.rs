//! Of a strict producer exactly that is refused which violates the lifecycle: on random histories
//! of several producers, events in flight, acts, revocations of sessions and clients, and restarts,
//! judged a second time by reading every entry.

#[allow(dead_code, reason = "the model is for the questions")]
mod lineage_world;

use std::collections::BTreeSet;

use lineage_world::World;
use serde_json::{Value, json};

use ledgerline_ledger::intake::{EventAnswer, EventStatus};
use ledgerline_proof::entry::Entry;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::{Fact, Revocation, TokenFacts, TokenState, Violation, end_by};
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::{Statement, Target};
use ledgerline_proof::vocabulary::{EventType, Outcome, TargetKind};
use ledgerline_sim::Random;
use ledgerline_view::view::View;

const HISTORIES: u64 = 60;

type Leaf = Vec<u8>;

fn with<T>(leaf: &[u8], read: impl FnOnce(&Entry<'_>, &Statement<'_>) -> T) -> Option<T> {
    let entry: Entry<'_> = decode_object(Kind::Entry, leaf).ok()?;
    let statement: Statement<'_> = decode_object(Kind::Statement, entry.statement).ok()?;
    Some(read(&entry, &statement))
}

/// What is off about the last leaf, by all before it.
fn violation(leaves: &[Leaf]) -> Option<Violation> {
    let (last, before) = leaves.split_last()?;
    let about = |leaf: &[u8]| {
        with(leaf, |_, one| {
            let token = one.target.kind == TargetKind::Token;
            token.then(|| (one.tenant.to_owned(), one.target.id.to_owned()))
        })
        .flatten()
    };
    let token = about(last)?;
    let mut state = TokenState::UNKNOWN;
    let mut births: Vec<&Leaf> = Vec::new();
    for leaf in before.iter().filter(|leaf| about(leaf).as_ref() == Some(&token)) {
        with(leaf, |entry, one| {
            state.apply(&Fact::of(one, 0, entry.recorded_at));
            births.extend(is_birth(one).then_some(leaf));
        });
    }
    let cover = |state: &mut TokenState, births: &[&Leaf]| {
        let mut violation = None;
        for leaf in before {
            with(leaf, |entry, one| {
                let Some(revocation) = Revocation::of(one, &entry.handles, 0, entry.recorded_at)
                else {
                    return;
                };
                let covers = |birth: &&Leaf| {
                    with(birth, |entry, one| {
                        TokenFacts::of(one, &entry.handles)
                            .is_some_and(|facts| revocation.covers(&facts))
                    })
                };
                if births.iter().any(|birth| covers(birth) == Some(true)) {
                    violation = violation.or(end_by(state, revocation.effective_at));
                }
            });
        }
        violation
    };
    cover(&mut state, &births);
    with(last, |entry, one| {
        let violation = state.apply(&Fact::of(one, 0, entry.recorded_at)).violation;
        births.extend(is_birth(one).then_some(last));
        let late = if is_birth(one) { cover(&mut state, &births) } else { None };
        violation.or(late)
    })
    .flatten()
}

fn is_birth(statement: &Statement<'_>) -> bool {
    let kind = matches!(statement.event_type, EventType::Issued | EventType::Origin);
    kind && statement.outcome == Outcome::Allow && statement.target.kind == TargetKind::Token
}

fn leaves(view: &View) -> Vec<Leaf> {
    (0..view.size()).map(|index| view.leaf(index).unwrap()).collect()
}

#[test]
fn what_violates_the_lifecycle_is_refused_and_nothing_else() {
    let (mut judged, mut refused) = (0, BTreeSet::new());
    for seed in 0..HISTORIES {
        let mut world = World::new(seed + 500);
        let mut random = Random::new(seed * 5 + 2);
        // What was offered under the strict key, and how many entries stood before it.
        let mut offered: Vec<(Value, EventAnswer, u64)> = Vec::new();
        let mut next = world.view().size();
        for _ in 0..28 {
            let strict = random.below(2) == 0;
            let count = 1 + random.below(3);
            let events: Vec<Value> = (0..count).map(|_| world.event(&mut random)).collect();
            let answers = world.offer(if strict { "ks" } else { "ka" }, &events);
            for (event, answer) in events.into_iter().zip(answers) {
                let before = next;
                next = answer.index.map_or(next, |index| index + 1);
                if strict {
                    offered.push((event, answer, before));
                } else {
                    assert_eq!(answer.status, EventStatus::Recorded, "{event}");
                }
            }
            if random.below(3) == 0 {
                world.commit();
                next = world.view().size();
                if random.below(6) == 0 {
                    world.reopen(|_| ());
                    next = world.view().size();
                }
            }
        }
        world.commit();
        let all = leaves(&world.view());
        for (event, answer, before) in offered {
            judged += 1;
            let prefix = &all[..usize::try_from(before).unwrap()];
            if let Some(index) = answer.index {
                let upto = &all[..=usize::try_from(index).unwrap()];
                assert_eq!(violation(upto), None, "seed {seed}: recorded {event}");
                continue;
            }
            let error = answer.error.expect("an error");
            assert_eq!(error.code, "lifecycle_violation", "{error:?}");
            // The same event as an entry, judged by what stood before.
            let twin = twin(&event);
            let found = violation(&[prefix, &[twin]].concat());
            let code = found.map_or("none", Violation::code);
            assert!(error.detail.ends_with(code), "seed {seed}: {error:?} {code} {event}");
            refused.insert(code);
        }
    }
    assert!(judged > 1000 && refused.len() >= 7, "{judged} {refused:?}");
}

/// A leaf that says what an event says, as far as the lifecycle asks.
fn twin(event: &Value) -> Leaf {
    let text = |name: &str| event[name].as_str();
    let time = |name: &str| text(name).map(nanos);
    let kind = EventType::from_symbol(text("type").unwrap()).unwrap();
    let target = Target { kind: TargetKind::Token, id: text("token_id").unwrap() };
    let at = Hlc::at(time("occurred_at").unwrap());
    let mut statement = Statement::new([1; 16], "gateway", target, kind, at);
    statement.tenant = "a";
    statement.outcome = Outcome::from_symbol(text("outcome").unwrap()).unwrap();
    statement.expires_at = time("expires_at");
    statement.session_id = text("session_id");
    statement.grant_id = text("grant_id");
    statement.client_id = text("client_id");
    let bytes = ledgerline_proof::schema::encode_object(Kind::Statement, &statement);
    let entry = Entry {
        statement: &bytes,
        signature: None,
        attested_by: ledgerline_proof::entry::Attestation { credential: None, stream: None },
        handles: Vec::new(),
        sealed_digests: Vec::new(),
        recorded_at: at,
        sequence: 0,
        prev_event_hash: ledgerline_proof::hash::Hash::ZERO,
        prev_index: None,
        blind: Some([0; 16]),
    };
    ledgerline_proof::schema::encode_object(Kind::Entry, &entry)
}

/// `2025-11-13T00:MM:SSZ` as Unix nanoseconds.
fn nanos(text: &str) -> i64 {
    let part = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    (1_762_992_000 + part(11..13) * 3600 + part(14..16) * 60 + part(17..19)) * 1_000_000_000
}

#[test]
fn the_parts_of_an_act_are_judged_one_behind_the_other() {
    let mut world = World::new(77);
    let check = |world: &mut World, name: &str, kinds: &[(&str, &str)], expected: bool| {
        let parts = kinds.len();
        let events = kinds.iter().enumerate().map(|(part, (kind, token))| {
            let mut event = json!({
                "native_id": name, "type": kind, "token_id": format!("eu:idp:jti:{token}"),
                "occurred_at": format!("2025-11-13T00:00:{:02}Z", 10 + part), "issuer": "idp",
                "session_id": "s1",
                "act": { "id": name, "part": part, "parts": parts },
            });
            if *kind == "LOGOUT" {
                event["type"] = "REVOKED".into();
                event["target"] = json!({ "kind": "SESSION", "id": "s1" });
                event.as_object_mut().unwrap().remove("token_id");
            }
            event
        });
        let answers = world.offer("ks", &events.collect::<Vec<_>>());
        for answer in &answers {
            let code = answer.error.as_ref().map(|error| error.code);
            let wanted = (!expected).then_some("lifecycle_violation");
            assert_eq!(code, wanted, "{name}: {answer:?}");
        }
    };
    check(&mut world, "1", &[("ISSUED", "x"), ("USED", "x")], true);
    check(&mut world, "2", &[("USED", "y"), ("ISSUED", "y")], false);
    check(&mut world, "3", &[("ISSUED", "y"), ("REVOKED", "y"), ("USED", "y")], false);
    check(&mut world, "4", &[("ISSUED", "y"), ("ISSUED", "z"), ("USED", "x")], true);
    world.commit();
    check(&mut world, "5", &[("ISSUED", "v"), ("ISSUED", "z")], false);
    check(&mut world, "6", &[("ISSUED", "v"), ("LOGOUT", ""), ("USED", "v")], false);
    check(&mut world, "7", &[("ISSUED", "v"), ("USED", "z"), ("LOGOUT", "")], true);
    check(&mut world, "8", &[("USED", "z")], false);
}
