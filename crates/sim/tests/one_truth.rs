//! Whoever is asked where a token stands says the same: the life that is shown, the token of the
//! questions, and what is answered when it is presented. On random histories with names from either
//! side, late events, and revocations of wider things with selectors, some of them in force later.

#[allow(dead_code, reason = "each test uses a part of it")]
mod lineage_world;

use std::collections::{BTreeMap, BTreeSet};

use lineage_world::{World, seconds};

use ledgerline_followers::findings::record::Note;
use ledgerline_followers::findings::rules::{Rule, Windows};
use ledgerline_followers::findings::{Judge, Saved};
use ledgerline_introspection::{Presented, token_status};
use ledgerline_proof::check::{Trust, check};
use ledgerline_proof::lifecycle::{State, TokenState, Violation};
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::vocabulary::TokenKind;
use ledgerline_prover::{BundleRequest, token_bundle};
use ledgerline_questions::life::{Judgement, life_of};
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_sim::Random;
use ledgerline_view::address::EntryRef;
use ledgerline_view::view::{PageRequest, View};
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

/// What answers say of a state. Whether a use came before the birth is asked of codes alone.
fn said(state: &TokenState) -> TokenState {
    let is_code = state.token_kind.is_some_and(TokenKind::is_code);
    TokenState { presented: state.presented && is_code, ..state.clone() }
}

/// What all say of a token; `None` when it is not known. They must not differ.
fn one_truth(view: &View, id: &str, at: i64) -> Option<State> {
    let page = PageRequest { after: None, limit: 100 };
    let judgement = Judgement { at, by: i64::MAX };
    let life = life_of(view, "a", id, &view.as_of(), judgement, page).unwrap();
    let scope = Scope { tenant: "a".into(), as_of: view.as_of(), at: None, judged_at: at };
    let mut context = QueryContext::new(view, scope, Spending::default()).unwrap();
    let token = context.token(id).unwrap();
    let stands = token_status(view, "a", Presented::Id(id), at).unwrap();
    let Some(life) = life else {
        assert!(stands.is_none() && token.records.is_empty(), "{id} is known to some only");
        return None;
    };
    let stands = stands.expect("known");
    assert_eq!(life.known, token.known, "life and question about {id} at {at}");
    assert_eq!(said(&life.known), said(&stands.state), "life and introspection of {id} at {at}");
    assert_eq!(life.happened, token.happened, "what happened to {id} at {at}");
    let scope = context.scope().clone();
    let mut quick = QueryContext::new(view, scope, Spending::default()).unwrap();
    let summary = quick.summary(id).unwrap();
    assert_eq!(said(&summary.known), said(&life.known), "life and summary of {id} at {at}");
    assert_eq!(said(&summary.happened), said(&life.happened), "what happened to {id} at {at}");
    assert_eq!(summary.covered_by, token.covered_by, "what covers {id} at {at} by its summary");
    assert_eq!((&summary.ids, &summary.events), (&life.ids, &token.events), "summary of {id}");
    assert_eq!((&life.ids, &life.ids), (&token.ids, &stands.ids), "ids of {id}");
    let mut covered_by = token.covered_by.clone();
    covered_by.sort_unstable();
    covered_by.dedup();
    assert_eq!(life.covered_by, covered_by, "what covers {id} at {at}");
    let shown: Vec<EntryRef> = life.events.iter().map(|event| event.at).collect();
    let read: Vec<EntryRef> = token.records.iter().map(|record| record.at).collect();
    assert_eq!((shown, life.cut), (read, false), "events of {id}");
    Some(life.known.state_at(at))
}

/// What an outsider computes anew from a bundle of a token is what is shown of it. Of a token with
/// several ids a bundle holds one chain, and there is nothing to compare.
fn outsiders_truth(view: &View, id: &str, key: &VerifierKey) -> u64 {
    let (tenant, token_id) = ("a".to_owned(), id.to_owned());
    let request = BundleRequest {
        tenant,
        token_id,
        others: Vec::new(),
        disclose: false,
        previous_size: None,
    };
    let Ok(bundle) = token_bundle(view.rooms(), view.terms(), &request) else { return 0 };
    let at = bundle.as_of.recorded_at.0;
    let page = PageRequest { after: None, limit: 100 };
    let (as_of, judgement) = (view.up_to(bundle.as_of.size.0), Judgement { at, by: i64::MAX });
    let life = life_of(view, "a", id, &as_of, judgement, page).unwrap().unwrap();
    if life.ids.len() > 1 {
        return 0;
    }
    let (log_keys, hmac_secrets) = ([key.clone()], BTreeMap::new());
    let trust = Trust { log_keys: &log_keys, hmac_secrets: &hmac_secrets, previous: None };
    let report = check(&bundle.to_json(), &trust).unwrap();
    let states = report.lifecycle.unwrap_or_else(|| panic!("{id}: {:?}", report.claims));
    let (known, happened) = (life.known.state_at(at), life.happened.state_at(at));
    assert_eq!((states.known, states.happened), (known.symbol(), happened.symbol()), "{id}");
    assert_eq!(states.active, life.known.is_active(at, false), "{id}");
    let covering: Vec<u64> = states.covered_by.iter().map(|one| one.0).collect();
    assert!(life.covered_by.iter().all(|at| covering.contains(&at.index)), "what covers {id}");
    1
}

#[test]
fn every_answer_about_a_state_is_the_same_in_ten_thousand_histories() {
    let (mut known, mut covered_only, mut checked) = (0, 0, 0);
    for seed in 0..WORLDS {
        let mut world = World::new(seed);
        let random = &mut Random::new(seed + 77);
        for history in 0..HISTORIES {
            let events = 3 + random.below(8);
            let events: Vec<_> = (0..events).map(|n| event(random, history, n)).collect();
            world.tell(&events);
        }
        world.seal();
        let (view, key) = (world.view(), world.log_key());
        for history in 0..HISTORIES {
            let at = seconds(random.below(130));
            for n in 0..3 {
                let id = format!("eu:idp:jti:h{history}-{n}");
                let Some(state) = one_truth(&view, &id, at) else { continue };
                known += 1;
                covered_only += u64::from(state == State::Revoked);
                checked += if history % 16 == 0 { outsiders_truth(&view, &id, &key) } else { 0 };
            }
        }
    }
    assert!(known > 10_000 && covered_only > 2_000, "{known} known, {covered_only} revoked");
    assert!(checked > 500, "{checked} proven");
}

/// A refused ISSUED names a session. It brings no token in: nothing is in force through it, neither
/// a revocation of that session nor its client, in an answer or in a bundle of it.
#[test]
fn what_a_refused_issue_says_of_a_token_counts_nowhere() {
    let mut world = World::new(3);
    let id = "eu:idp:jti:r";
    let refused = json!({"native_id": "1", "type": "ISSUED", "token_id": id, "outcome": "DENY",
        "session_id": "refused", "client_id": "wrong", "issuer": "idp", "occurred_at": time(1)});
    let born = json!({"native_id": "2", "type": "ISSUED", "token_id": id, "issuer": "idp",
        "session_id": "own", "client_id": "web", "occurred_at": time(2)});
    let ended = |n: u64, session: &str| {
        json!({"native_id": format!("{n}"), "type": "REVOKED", "issuer": "idp",
            "target": {"kind": "SESSION", "id": session}, "occurred_at": time(n)})
    };
    world.tell(&[refused, born, ended(3, "refused")]);
    world.seal();
    assert_eq!(one_truth(&world.view(), id, seconds(9)), Some(State::Active));
    assert_eq!(outsiders_truth(&world.view(), id, &world.log_key()), 1);
    let stands = token_status(&world.view(), "a", Presented::Id(id), seconds(9)).unwrap().unwrap();
    assert_eq!(stands.facts.client.as_deref(), Some("web"));
    world.tell(&[ended(4, "own")]);
    world.seal();
    assert_eq!(one_truth(&world.view(), id, seconds(9)), Some(State::Revoked));
    assert_eq!(outsiders_truth(&world.view(), id, &world.log_key()), 1);
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

/// A use that is recorded last, of a token with one id, is one after its revocation if and only if
/// the state says so that the token had before.
#[test]
fn findings_notice_a_use_of_what_the_state_calls_revoked_and_no_other() {
    let (mut noticed, mut judged) = (BTreeSet::new(), 0);
    for seed in 0..10 {
        let mut world = World::new(seed + 300);
        let random = &mut Random::new(seed + 501);
        for history in 0..HISTORIES {
            let events = 3 + random.below(8);
            let events: Vec<_> = (0..events).map(|n| event(random, history, n)).collect();
            world.tell(&events);
        }
        let mut follower = Judge::new(Saved::default(), Windows::default());
        let reuse = Rule::Lifecycle(Violation::UseAfterRevoke);
        // Further ones of these tokens may be counted instead of raised.
        let mut told = BTreeSet::new();
        while follower.position() < world.view().size() {
            for note in follower.step(&world.view(), 1000).unwrap() {
                if let Note::Raised(finding) = note
                    && finding.rule == reuse
                {
                    told.insert(finding.target);
                }
            }
        }
        // Later than whatever a history says, and earlier than some revocations are in force.
        let at = 61 + random.below(40);
        for history in 0..HISTORIES {
            let id = format!("eu:idp:jti:h{history}-0");
            let page = PageRequest { after: None, limit: 1 };
            let judgement = Judgement { at: seconds(at), by: i64::MAX };
            let view = world.view();
            let life = life_of(&view, "a", &id, &view.as_of(), judgement, page).unwrap();
            let Some(life) = life.filter(|life| life.ids.len() == 1) else { continue };
            // What came late is judged in event time: where the orders differ, either may be said.
            if life.known.state != life.happened.state {
                continue;
            }
            let probe = json!({"native_id": format!("p{history}"), "type": "USED",
                "token_id": id, "issuer": "idp", "occurred_at": time(at)});
            world.tell(&[probe]);
            let mut found = BTreeSet::new();
            while follower.position() < world.view().size() {
                found.extend(follower.step(&world.view(), 1000).unwrap().iter().filter_map(rule));
            }
            let revoked = life.known.state == State::Revoked;
            let is_noticed = found.contains(&reuse);
            assert!(!is_noticed || revoked, "{id} at {at}: {:?}", life.known);
            assert!(is_noticed || !revoked || told.contains(&id), "{id}: {:?}", life.known);
            judged += 1;
            noticed.extend(found.contains(&reuse).then_some((seed, history)));
        }
    }
    assert!(judged > 500 && noticed.len() > 100, "{judged} {}", noticed.len());
}

fn rule(note: &Note) -> Option<Rule> {
    match note {
        Note::Raised(finding) => Some(finding.rule),
        _ => None,
    }
}
