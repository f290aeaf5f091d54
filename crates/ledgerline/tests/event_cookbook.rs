//! The cookbook of events against a running server: its examples are recorded and do what it says,
//! and what it says is needed is needed.

mod running;

use ledgerline_cookbook::{NEEDED, Nested, OWN_TYPES, RECIPES, RECORDS, Recipe};
use ledgerline_proof::vocabulary::{EventType, TargetKind};
use running::{Answer, Server};
use serde_json::{Value, json};

/// The origin in the example of `seen`.
const ORIGIN: &str = "ledger.example.com/1";

fn start() -> Server {
    Server::start_with(&["--origin", ORIGIN])
}

/// A key for a tenant of its own.
fn key(server: &Server, tenant: &str) -> String {
    server.key(&tenant.to_lowercase(), "idp", &["producer", "reader"])
}

fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// The example of a type, under another native id.
fn example(event_type: EventType, native: &str) -> Value {
    let recipe = RECIPES.iter().find(|one| one.event_type == event_type).expect("a recipe");
    let mut event = read(recipe.example);
    event["native_id"] = native.into();
    event
}

fn without(event: &Value, members: &[&str]) -> Value {
    let mut event = event.clone();
    let all = event.as_object_mut().expect("an object");
    members.iter().for_each(|name| drop(all.remove(*name)));
    event
}

fn post(server: &Server, key: &str, event: &Value) -> Answer {
    server.post("/v1/events", key, event)
}

/// Refused, and the answer names one of these.
#[track_caller]
fn check_named(answer: &Answer, names: &[&str], what: &str) {
    let text = answer.text();
    assert!((400..500).contains(&answer.status), "{what} without {names:?}: {text}");
    let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
    assert!(names.iter().any(|name| detail.contains(name)), "{what} without {names:?}: {detail}");
}

/// What has to be recorded before the example, so that it finds its token as it expects it.
fn before(recipe: &Recipe, token: &Value) -> Vec<Value> {
    let act = |native: &str, event_type: &str, at: &str| {
        let mut act = json!({ "native_id": native, "type": event_type, "occurred_at": at });
        act["token_id"] = token.clone();
        act
    };
    let mut birth = act("before/issued", "ISSUED", "2026-01-02T06:00:00Z");
    match recipe.event_type {
        EventType::Issued | EventType::Origin => return Vec::new(),
        EventType::Activated => {
            let deadline = "2026-01-02T10:15:00Z";
            birth["activation"] = json!({ "requires": ["mfa"], "deadline": deadline });
        }
        EventType::Reinstated => {
            return vec![birth, act("before/hold", "SUSPENDED", "2026-01-02T07:00:00Z")];
        }
        _ => {}
    }
    vec![birth]
}

#[test]
fn every_example_is_recorded_and_leaves_the_state_that_is_told() {
    let server = start();
    for recipe in RECIPES {
        let name = recipe.event_type.symbol();
        let key = key(&server, name);
        let event = read(recipe.example);
        let token = &event["token_id"];
        if token.is_string() {
            before(recipe, token).into_iter().for_each(|act| drop(server.record(&key, &[act])));
        }
        server.record(&key, std::slice::from_ref(&event));
        let Some(state) = recipe.state else { continue };
        let (token, at) = (token.as_str().expect("a token"), &event["occurred_at"]);
        let at = at.as_str().expect("a time");
        let answer = server.get(&format!("/v1/tokens/{token}?at={at}"), &key).json();
        for which in ["known", "happened"] {
            assert_eq!(answer[which]["state"], state.symbol(), "{name}: {answer}");
        }
    }
}

#[test]
fn what_every_event_needs_is_named_when_it_is_missing() {
    let server = start();
    for recipe in RECIPES {
        let name = recipe.event_type.symbol();
        let event = read(recipe.example);
        for either in NEEDED {
            check_named(&post(&server, &server.admin, &without(&event, either)), either, name);
        }
    }
}

#[test]
fn every_type_is_taken_about_the_targets_that_are_told_and_some_about_no_other() {
    let server = start();
    for recipe in RECIPES {
        let name = recipe.event_type.symbol();
        let key = key(&server, name);
        for kind in TargetKind::ALL.iter().copied() {
            if matches!(kind, TargetKind::Other | TargetKind::Ledger) {
                continue;
            }
            let mut event = example(recipe.event_type, &format!("about/{kind:?}"));
            event = without(&event, &["token_id", "target", "personal"]);
            event["target"] = match kind {
                TargetKind::Subject => json!({ "kind": kind.symbol() }),
                TargetKind::Token => json!({ "kind": kind.symbol(), "id": "eu:idp:jti:x" }),
                _ => json!({ "kind": kind.symbol(), "id": "eu:idp:x" }),
            };
            if kind == TargetKind::Subject {
                event["personal"] = json!([{ "role": "SUBJECT", "user_id": "alice" }]);
            }
            let answer = post(&server, &key, &event);
            if recipe.targets.contains(&kind) {
                assert_eq!(answer.status, 200, "{name} {kind:?}: {}", answer.text());
            } else if recipe.only_these {
                assert_eq!(answer.code(), "no_effect", "{name} {kind:?}");
            }
            if kind == TargetKind::Subject && recipe.targets.contains(&kind) {
                event["native_id"] = "about/nobody".into();
                let answer = post(&server, &key, &without(&event, &["personal"]));
                assert_eq!(answer.status, 422, "{name}: nobody is meant: {}", answer.text());
            }
        }
    }
}

#[test]
fn an_outcome_that_changes_nothing_is_refused_where_that_is_told() {
    let server = start();
    for recipe in RECIPES {
        let told = recipe.acted.iter().any(|one| one.upon.contains("NONE is refused"));
        let name = recipe.event_type.symbol();
        let mut event = example(recipe.event_type, name);
        event["outcome"] = "NONE".into();
        let answer = post(&server, &server.admin, &event);
        match told {
            true => assert_eq!(answer.code(), "no_effect", "{name}"),
            false => assert_eq!(answer.status, 200, "{name}: {}", answer.text()),
        }
    }
}

/// The event that a record stands in, and the events that have to be sent with it.
fn holding(record: &Nested, native: &str) -> Vec<Value> {
    let mut event = example(record.within, native);
    for (name, value) in read(record.example).as_object().expect("an object") {
        event[name] = value.clone();
    }
    let mut events = vec![event];
    if record.member == "act" {
        let mut other = example(EventType::Issued, &format!("{native}/other"));
        other["act"] = events[0]["act"].clone();
        other["act"]["part"] = 1.into();
        events.push(other);
    }
    events
}

#[test]
fn every_record_is_taken_and_refused_without_what_it_needs() {
    let server = start();
    for record in RECORDS {
        let name = record.member;
        let key = key(&server, &format!("of-{}", name.replace('_', "-")));
        server.record(&key, &holding(record, "whole"));
        for either in record.needed {
            let mut event = holding(record, "part").remove(0);
            let held = &mut event[name];
            let first = if held.is_array() { &mut held[0] } else { held };
            *first = without(first, either);
            check_named(&post(&server, &key, &event), either, name);
        }
    }
}

#[test]
fn the_ledgers_own_types_are_refused() {
    let server = start();
    for own in OWN_TYPES {
        let name = own.event_type.symbol();
        let event = running::event(name, name, "x");
        let answer = post(&server, &server.admin, &event);
        assert_eq!(answer.code(), "out_of_grant", "{name}");
    }
    let mut act = example(EventType::AdminAct, "own");
    act["detail"] = json!([{ "key": "act", "value": "key_added" }]);
    assert_eq!(post(&server, &server.admin, &act).code(), "out_of_grant");
}
