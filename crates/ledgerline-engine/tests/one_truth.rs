//! Whoever is asked where a token stands says the same: the life that is shown, the token of the
//! questions, and what is answered when it is presented. On random histories with names from either
//! side, late events, and revocations of wider things with selectors, some of them in force later.

#[allow(dead_code, reason = "each test uses a part of it")]
mod lineage_world;

use lineage_world::{World, seconds};

use ledgerline_engine::life::Judgement;
use ledgerline_engine::lineage::{Inquiry, Scope, Spending};
use ledgerline_engine::simulation::Random;
use ledgerline_engine::standing::{Presented, standing};
use ledgerline_engine::view::{PageRequest, View};
use ledgerline_proof::lifecycle::State;
use serde_json::{Value, json};

/// Ledgers, and histories in each.
const WORLDS: u64 = 50;
const HISTORIES: u64 = 200;

fn time(n: u64) -> String {
    format!("2025-11-13T00:{:02}:{:02}Z", n / 60, n % 60)
}

fn pick<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[usize::try_from(random.below(of.len() as u64)).unwrap()]
}

/// One of a history's own names of a kind, bare or with the issuer before it.
fn name(random: &mut Random, kind: &str, history: u64) -> String {
    let front = pick(random, &["", "eu:idp:"]);
    format!("{front}{kind}{history}-{}", random.below(2))
}

fn token(random: &mut Random, history: u64) -> String {
    format!("eu:idp:jti:h{history}-{}", random.below(3))
}

/// One event of a history.
fn event(random: &mut Random, history: u64, n: u64) -> Value {
    let kinds = ["ISSUED", "ISSUED", "ISSUED", "USED", "ROTATED", "SUSPENDED", "REVOKED", "ORIGIN"];
    let mut event = json!({
        "native_id": format!("h{history}-e{n}"),
        "type": pick(random, &kinds),
        "occurred_at": time(random.below(60)),
        "outcome": pick(random, &["ALLOW", "ALLOW", "ALLOW", "DENY"]),
        "issuer": "idp",
    });
    if random.below(3) == 0 {
        let (target, kind) = [("SESSION", "s"), ("CLIENT", "c"), ("GRANT", "g"), ("KEY", "k")]
            [usize::try_from(random.below(4)).unwrap()];
        event["type"] = "REVOKED".into();
        event["target"] = json!({ "kind": target, "id": name(random, kind, history) });
        match random.below(4) {
            0 => event["selector"] = json!({ "issued_before": time(random.below(60)) }),
            1 => event["selector"] = json!({ "client": name(random, "c", history) }),
            2 => event["selector"] = json!({ "audience": pick(random, &["a1", "a2"]) }),
            _ => {}
        }
        if random.below(3) == 0 {
            event["effective_at"] = time(random.below(120)).into();
        }
        return event;
    }
    event["token_id"] = token(random, history).into();
    if random.below(5) == 0 {
        event["also_known_as"] = json!([token(random, history)]);
    }
    let ids = [("session_id", "s"), ("client_id", "c"), ("grant_id", "g"), ("issuer_kid", "k")];
    for (member, kind) in ids {
        if random.below(2) == 0 {
            event[member] = name(random, kind, history).into();
        }
    }
    if random.below(2) == 0 {
        event["audience"] = json!([pick(random, &["a1", "a2"])]);
    }
    if event["type"] == "ISSUED" && random.below(3) == 0 {
        event["expires_at"] = time(30 + random.below(90)).into();
    }
    event
}

/// What all say of a token; `None` when it is not known. They must not differ.
fn one_truth(view: &View, id: &str, at: i64) -> Option<State> {
    let page = PageRequest { after: None, limit: 100 };
    let judgement = Judgement { at, by: i64::MAX };
    let life = view.life("a", id, None, judgement, page).unwrap();
    let scope = Scope { tenant: "a".into(), size: view.end(), at: None, judged_at: at };
    let mut inquiry = Inquiry::new(view, scope, Spending::default()).unwrap();
    let token = inquiry.token(id).unwrap();
    let stands = standing(view, "a", Presented::Id(id), at).unwrap();
    let Some(life) = life else {
        assert!(stands.is_none() && token.records.is_empty(), "{id} is known to some only");
        return None;
    };
    let stands = stands.expect("known");
    assert_eq!(life.known, token.known, "life and question about {id} at {at}");
    assert_eq!(life.known, stands.state, "life and introspection of {id} at {at}");
    assert_eq!(life.happened, token.happened, "what happened to {id} at {at}");
    assert_eq!((&life.ids, &life.ids), (&token.ids, &stands.ids), "ids of {id}");
    let mut covered_by = token.covered_by.clone();
    covered_by.sort_unstable();
    covered_by.dedup();
    assert_eq!(life.covered_by, covered_by, "what covers {id} at {at}");
    let shown: Vec<u64> = life.events.iter().map(|event| event.position).collect();
    let read: Vec<u64> = token.records.iter().map(|record| record.index).collect();
    assert_eq!((shown, life.cut), (read, false), "events of {id}");
    Some(life.known.state_at(at))
}

#[test]
fn every_answer_about_a_state_is_the_same_in_ten_thousand_histories() {
    let (mut known, mut covered_only) = (0, 0);
    for seed in 0..WORLDS {
        let mut world = World::new(seed);
        let random = &mut Random::new(seed + 77);
        for history in 0..HISTORIES {
            let events = 3 + random.below(8);
            let events: Vec<_> = (0..events).map(|n| event(random, history, n)).collect();
            world.tell(&events);
        }
        let view = world.view();
        for history in 0..HISTORIES {
            let at = seconds(random.below(130));
            for n in 0..3 {
                let id = format!("eu:idp:jti:h{history}-{n}");
                let Some(state) = one_truth(&view, &id, at) else { continue };
                known += 1;
                covered_only += u64::from(state == State::Revoked);
            }
        }
    }
    assert!(known > 10_000 && covered_only > 2_000, "{known} known, {covered_only} revoked");
}

#[test]
fn a_token_of_a_revoked_session_is_shown_as_revoked_under_each_of_its_names() {
    let mut world = World::new(1);
    let born = json!({"native_id": "1", "type": "ISSUED", "token_id": "eu:idp:jti:x",
        "session_id": "s", "issuer": "idp", "occurred_at": time(1)});
    let named = json!({"native_id": "2", "type": "USED", "token_id": "eu:idp:jti:y",
        "also_known_as": ["eu:idp:jti:x"], "issuer": "idp", "occurred_at": time(2)});
    let ended = json!({"native_id": "3", "type": "REVOKED", "issuer": "idp",
        "target": {"kind": "SESSION", "id": "s"}, "occurred_at": time(3), "effective_at": time(9)});
    world.tell(&[born, named, ended]);
    for id in ["eu:idp:jti:x", "eu:idp:jti:y"] {
        assert_eq!(one_truth(&world.view(), id, seconds(5)), Some(State::Active));
        assert_eq!(one_truth(&world.view(), id, seconds(9)), Some(State::Revoked));
    }
}

#[test]
fn a_token_with_more_events_than_are_looked_at_is_judged_by_the_newest_too() {
    let mut world = World::new(2);
    let id = "eu:idp:jti:long";
    let act = |n: u64, kind: &str, at: u64| {
        json!({"native_id": format!("l{n}"), "type": kind, "token_id": id, "issuer": "idp",
            "occurred_at": time(at)})
    };
    world.tell(&[act(0, "ISSUED", 1)]);
    for part in 0..51 {
        let uses: Vec<_> = (0..1000).map(|n| act(1 + part * 1000 + n, "USED", 2)).collect();
        world.tell(&uses);
    }
    world.tell(&[act(60_000, "REVOKED", 3)]);
    let view = world.view();
    let at = seconds(9);
    let page = PageRequest { after: None, limit: 1 };
    let life = view.life("a", id, None, Judgement { at, by: i64::MAX }, page).unwrap().unwrap();
    assert_eq!((life.known.state, life.cut, life.total), (State::Revoked, false, 51_002));
    assert_eq!(life.known.last_index, life.happened.last_index);
    let scope = Scope { tenant: "a".into(), size: view.end(), at: None, judged_at: at };
    let mut inquiry = Inquiry::new(&view, scope, Spending::default()).unwrap();
    let token = inquiry.token(id).unwrap();
    assert_eq!((token.known.state, token.happened.state), (State::Revoked, State::Revoked));
    assert_ne!(inquiry.cuts(), [], "what was not looked at is said");
}
