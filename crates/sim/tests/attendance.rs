//! Attendance: who is missing, what is missing of what holders held, and which keys are too old.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use ledgerline_attendance::{AttendanceFollower, Policy};
use ledgerline_followers::findings::FindingsFollower;
use ledgerline_followers::findings::rules::Windows;
use ledgerline_followers::follower::{Follower, Next};
use ledgerline_ledger::planner::{AdminAct, NewKey};
use ledgerline_proof::decode::read_event;
use ledgerline_proof::own_statement::OwnStatement;
use ledgerline_proof::vocabulary::EventType;
use ledgerline_sim::follower_contract::{self as contract, Ledger};
use ledgerline_sim::{TestLedger, TestWorld, credential};
use ledgerline_view::view::View;
use ledgerline_world::clock::Clock;
use ledgerline_world::disk::Disk;
use serde_json::{Value, json};

const SECOND: u64 = 1_000_000_000;

/// Boots of holders.
const ONE: u8 = 1;
const TWO: u8 = 2;

fn instance(n: u8) -> String {
    uuid::Uuid::from_bytes([n; 16]).to_string()
}

fn token(n: usize) -> String {
    format!("eu:idp:jti:held-{n:06}")
}

/// A ledger whose clock is moved by hand, with a follower.
struct Case<F> {
    ledger: TestLedger,
    follower: F,
    events: u64,
    seqs: BTreeMap<(String, u8), u64>,
}

fn case(policy: Policy) -> Case<AttendanceFollower> {
    with(AttendanceFollower::new(policy))
}

fn with<F: Follower>(follower: F) -> Case<F> {
    let mut ledger = TestWorld::new(7).open().expect("a new ledger");
    if !ledger.planner.is_empty() {
        ledger.commit();
    }
    let mut follower = follower;
    follower.begin();
    Case { ledger, follower, events: 0, seqs: BTreeMap::new() }
}

impl<F: Follower> Case<F> {
    fn key(&mut self, source: &str) {
        let key = credential(&format!("key-{source}"), source);
        self.ledger.add_key(NewKey { tenant: String::new(), ..key });
    }

    fn now(&self) -> String {
        let nanos = self.ledger.world().clock.wall_nanos();
        jiff::Timestamp::from_nanosecond(nanos.into()).expect("a time").to_string()
    }

    /// Lets so many seconds pass, with a block each minute or at the end.
    fn wait(&mut self, seconds: u64) {
        let mut left = seconds;
        while left > 0 {
            let part = left.min(60);
            self.ledger.world().clock.advance(part * SECOND);
            self.ledger.seal();
            left -= part;
        }
    }

    fn event(&mut self, kind: &str, target: &Value, more: &Value) -> Value {
        self.events += 1;
        let mut event = json!({
            "event_id": uuid::Uuid::from_u128(0x0193_2f6e_7c1a_7b3e_9a55_0000_0000_0000
                + u128::from(self.events)).to_string(),
            "type": kind, "occurred_at": self.now(), "target": target,
        });
        for (key, value) in more.as_object().expect("an object") {
            event[key] = value.clone();
        }
        event
    }

    #[expect(clippy::needless_pass_by_value, reason = "each case writes its own")]
    fn act(&mut self, source: &str, kind: &str, token: &str, more: Value) {
        let event = self.event(kind, &json!({ "kind": "TOKEN", "id": token }), &more);
        self.ledger.record(&format!("key-{source}"), &[event]);
    }

    /// A heartbeat of a boot, numbered.
    fn beat(
        &mut self,
        source: &str,
        boot: u8,
        detail: &[(&str, String)],
        held: &[String],
    ) -> Value {
        let seq = self.seqs.entry((source.to_owned(), boot)).or_default();
        *seq += 1;
        let seq = *seq;
        let links: Vec<Value> = held
            .iter()
            .map(|id| json!({ "token_id": id, "relation": "CAUSED_BY", "strength": "ASSERTED" }))
            .collect();
        let detail: Vec<Value> =
            detail.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        let more = json!({ "source_instance": instance(boot), "source_seq": seq, "links": links,
            "detail": detail });
        self.event("HEARTBEAT", &json!({ "kind": "SOURCE", "id": source }), &more)
    }

    /// The parts of a round.
    fn round(
        &mut self,
        source: &str,
        boot: u8,
        number: u64,
        held: &[String],
        each: usize,
    ) -> Vec<Value> {
        let digest = ledgerline_proof::hash::sha256(held.join(" ").as_bytes()).to_hex();
        let parts: Vec<&[String]> =
            if held.is_empty() { vec![&[]] } else { held.chunks(each).collect() };
        let count = parts.len();
        let all: Vec<_> = parts.into_iter().enumerate().collect();
        all.into_iter()
            .map(|(at, part)| {
                let detail = [
                    ("held_digest", digest.clone()),
                    ("held_part", at.to_string()),
                    ("held_parts", count.to_string()),
                    ("held_round", number.to_string()),
                    ("held_tokens", held.len().to_string()),
                    ("interval_s", "60".to_owned()),
                ];
                self.beat(source, boot, &detail, part)
            })
            .collect()
    }

    fn hold(&mut self, source: &str, boot: u8, number: u64, held: &[String]) {
        let parts = self.round(source, boot, number, held, 2);
        self.ledger.record(&format!("key-{source}"), &parts);
    }

    /// Steps until there is nothing to do, and has everything recorded.
    fn settle(&mut self) {
        for _ in 0..1_000_000 {
            let view = self.ledger.view();
            let step = self.follower.step(&view, 0).expect("it reads");
            let rests = step.next == Next::Rest && step.statements.is_empty();
            if !step.statements.is_empty() {
                self.ledger.administer(&AdminAct::State(step.statements));
            } else if rests {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// The open findings: rule, and what it is about.
    fn open(&mut self) -> BTreeSet<(String, String)> {
        self.settle();
        let view = self.ledger.view();
        let mut open = BTreeMap::new();
        view.each_leaf(0..view.size(), |_, leaf| {
            read_event(leaf, |_, one| {
                let id = one.detail("finding").map(str::to_owned);
                let about = one.detail("token").or(one.detail("target")).map(str::to_owned);
                match (one.event_type, id) {
                    (EventType::FindingRaised, Some(id)) => {
                        let rule = one.detail("rule").expect("a rule").to_owned();
                        open.insert(id, (rule, about.expect("a target")));
                    }
                    (EventType::FindingClosed, Some(id)) => {
                        assert_eq!(one.detail("state"), Some("withdrawn"));
                        open.remove(&id).expect("it was raised");
                    }
                    _ => {}
                }
            });
            Ok(true)
        })
        .expect("it reads");
        open.into_values().collect()
    }
}

fn set(of: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    of.iter().map(|(rule, about)| ((*rule).to_owned(), (*about).to_owned())).collect()
}

const MISSING: &str = "held_token_missing";
const UNWATCHED: &str = "held_unwatched";

/// A holder names five tokens; then rounds without the first of them, with an end in between.
fn missing_after(end: Option<(&str, Value)>, rounds: &[&[usize]]) -> BTreeSet<(String, String)> {
    let mut case = case(Policy::default());
    case.key("gw");
    case.key("idp");
    for n in 0..5 {
        case.act(
            "idp",
            "ISSUED",
            &token(n),
            json!({ "issuer": "idp", "session_id": "s",
            "client_id": "web", "expires_at": "2025-11-13T02:20:00Z" }),
        );
    }
    let all: Vec<String> = (0..5).map(token).collect();
    case.hold("gw", ONE, 0, &all);
    if let Some((kind, more)) = end {
        case.act("idp", kind, &token(0), more);
    }
    for (number, held) in (1..).zip(rounds) {
        case.wait(60);
        let held: Vec<String> = held.iter().copied().map(token).collect();
        case.hold("gw", ONE, number, &held);
    }
    case.open()
}

#[test]
fn a_held_token_that_vanishes_from_two_rounds_is_named() {
    let gone: &[&[usize]] = &[&[1, 2, 3, 4], &[1, 2, 3, 4]];
    let found = set(&[(MISSING, &token(0))]);
    assert_eq!(missing_after(None, gone), found);
    // In one round alone, or with its end known, nothing is missing.
    assert_eq!(missing_after(None, &gone[..1]), set(&[]));
    assert_eq!(missing_after(None, &[&[1, 2, 3, 4], &[0, 1, 2, 3, 4]]), set(&[]));
    let none = json!({});
    assert_eq!(missing_after(Some(("REVOKED", none.clone())), gone), set(&[]));
    let rotated = json!({ "links": [{ "token_id": token(9), "relation": "ROTATED_TO",
        "strength": "ASSERTED" }] });
    assert_eq!(missing_after(Some(("ROTATED", rotated)), gone), set(&[]));
    // What ends nothing explains nothing.
    assert_eq!(missing_after(Some(("USED", none.clone())), gone), found);
    assert_eq!(missing_after(Some(("SUSPENDED", none.clone())), gone), found);
    assert_eq!(missing_after(Some(("REVOKED", json!({ "outcome": "DENY" }))), gone), found);
    // Held again later, and all gone.
    let back: &[&[usize]] = &[gone[0], gone[0], &[0, 1, 2, 3, 4]];
    assert_eq!(missing_after(None, back), set(&[]));
    assert_eq!(missing_after(None, &[&[], &[]]).len(), 5);
    // Past its expiry nobody holds it: seven minutes later.
    assert_eq!(missing_after(None, &[&[0], &[0], &[0], &[0], &[0], &[0], &[0], &[], &[]]).len(), 4);
}

#[test]
fn an_end_that_arrives_late_withdraws_it() {
    let mut case = case(Policy::default());
    case.key("gw");
    let both = [token(0), token(1)];
    case.hold("gw", ONE, 0, &both);
    case.hold("gw", ONE, 1, &both[1..]);
    case.hold("gw", ONE, 2, &both[1..]);
    assert_eq!(case.open(), set(&[(MISSING, &token(0))]));
    case.act("gw", "REVOKED", &token(1), json!({}));
    assert_eq!(case.open(), set(&[(MISSING, &token(0))]), "the other's end is none of it");
    case.act("gw", "REVOKED", &token(0), json!({}));
    assert_eq!(case.open(), set(&[]));
}

#[test]
fn a_round_that_is_not_whole_says_nothing_and_that_is_said() {
    let mut case = case(Policy::default());
    case.key("gw");
    let held: Vec<String> = (0..5).map(token).collect();
    case.hold("gw", ONE, 0, &held);
    for number in [1, 2] {
        let mut parts = case.round("gw", ONE, number, &held, 2);
        parts.remove(1);
        case.ledger.record("key-gw", &parts);
    }
    assert_eq!(case.open(), set(&[(UNWATCHED, "gw")]), "the missing part proves nothing");
    case.hold("gw", ONE, 3, &held);
    assert_eq!(case.open(), set(&[]));
    // One that counts itself wrongly is not whole either.
    let mut parts = case.round("gw", ONE, 4, &held, 5);
    parts[0]["links"].as_array_mut().expect("links").pop();
    case.ledger.record("key-gw", &parts);
    assert_eq!(case.open(), set(&[(UNWATCHED, "gw")]));
}

#[test]
fn a_holder_that_stops_is_not_held_against_and_one_that_vanishes_is() {
    for (stops, expected) in [(true, set(&[])), (false, set(&[(UNWATCHED, "gw")]))] {
        let mut case = case(Policy::default());
        case.key("gw");
        let held: Vec<String> = (0..5).map(token).collect();
        case.hold("gw", ONE, 0, &held);
        case.hold("gw", TWO, 0, &held);
        if stops {
            let last = [("last_seq", "9".to_owned()), ("stopping", "true".to_owned())];
            let beat = case.beat("gw", ONE, &last, &[]);
            case.ledger.record("key-gw", &[beat]);
        }
        for number in 1..6 {
            case.wait(60);
            case.hold("gw", TWO, number, &held);
        }
        assert_eq!(case.open(), expected, "stops: {stops}");
        if !stops {
            let beat = case.beat("gw", ONE, &[("interval_s", "60".to_owned())], &[]);
            case.ledger.record("key-gw", &[beat]);
            assert_eq!(case.open(), set(&[]), "it is there again");
        }
    }
}

#[test]
fn a_source_that_says_it_stops_is_not_silent() {
    for (last, expected) in [("stopping", set(&[])), ("nothing", set(&[("source_silent", "gw")]))] {
        let mut case = with(FindingsFollower::new(Windows::default()));
        case.key("gw");
        let beat = case.beat("gw", ONE, &[("interval_s", "10".to_owned())], &[]);
        case.ledger.record("key-gw", &[beat]);
        let detail = [("last_seq", "2".to_owned()), (last, "true".to_owned())];
        let mut detail = detail.to_vec();
        detail.sort_unstable();
        let beat = case.beat("gw", ONE, &detail, &[]);
        case.ledger.record("key-gw", &[beat]);
        case.wait(120);
        assert_eq!(case.open(), expected, "{last}");
    }
}

#[test]
fn of_a_hundred_thousand_held_tokens_those_that_vanish_are_named() {
    let mut case = case(Policy::default());
    case.key("gw");
    let all: Vec<String> = (0..100_000).map(token).collect();
    let lost = [17, 50_000, 99_999];
    let rest: Vec<String> = (0..100_000).filter(|n| !lost.contains(n)).map(token).collect();
    let begun = Instant::now();
    for (number, held) in [(0, &all), (1, &rest)] {
        let parts = case.round("gw", ONE, number, held, 200);
        assert_eq!(parts.len(), 500);
        for part in parts.chunks(50) {
            case.ledger.record("key-gw", part);
        }
    }
    // The same set again costs one entry without links.
    let same = case.round("gw", ONE, 2, &rest, 200);
    let mut detail: Vec<(&str, String)> = vec![
        ("held_digest", same[0]["detail"][0]["value"].as_str().expect("a digest").to_owned()),
        ("held_part", "0".to_owned()),
        ("held_parts", "1".to_owned()),
        ("held_round", "2".to_owned()),
        ("held_same", "true".to_owned()),
        ("held_tokens", rest.len().to_string()),
    ];
    detail.sort_unstable();
    let beat = case.beat("gw", ONE, &detail, &[]);
    case.ledger.record("key-gw", &[beat]);
    let recorded = begun.elapsed();
    let begun = Instant::now();
    let found = case.open();
    let expected: Vec<String> = lost.iter().map(|n| token(*n)).collect();
    let expected: Vec<(&str, &str)> = expected.iter().map(|id| (MISSING, &**id)).collect();
    assert_eq!(found, set(&expected));
    let state = case.follower.position(&case.ledger.view()).expect("it rests").state.len();
    println!("recorded in {recorded:?}, judged in {:?}, state {state} bytes", begun.elapsed());
    assert!(state < 64 << 10, "{state} bytes are remembered of 100,000 tokens");
}

#[test]
fn more_than_can_be_watched_is_said() {
    let mut case = case(Policy::default());
    case.key("gw");
    let detail = [
        ("held_digest", "x".to_owned()),
        ("held_part", "0".to_owned()),
        ("held_parts", "2".to_owned()),
        ("held_round", "0".to_owned()),
        ("held_tokens", (ledgerline_attendance::TOKENS_MAX + 1).to_string()),
    ];
    let beat = case.beat("gw", ONE, &detail, &[token(0)]);
    case.ledger.record("key-gw", &[beat]);
    assert_eq!(case.open(), set(&[(UNWATCHED, "gw")]));
}

/// 300 sources, each with its key and instance, beat for ten minutes; one stops, one leaves numbers
/// out, one never comes though it has a key, one never comes though the settings name it.
#[test]
fn of_three_hundred_sources_the_silent_the_gappy_and_the_unseen_are_named() {
    let expected = vec![(String::new(), "planned".to_owned()), (String::new(), "s007".to_owned())];
    let policy = Policy { expected, expected_within: 300_000_000_000, max_key_age: 0 };
    let (mut case, mut rules) = (case(policy), FindingsFollower::new(Windows::default()));
    rules.begin();
    let names: Vec<String> = (0..300).map(|n| format!("s{n:03}")).collect();
    names.iter().for_each(|name| case.key(name));
    for minute in 0..10 {
        for (at, name) in names.iter().enumerate() {
            if name == "s100" || (name == "s200" && minute > 3) {
                continue;
            }
            let boot = u8::try_from(at % 250).expect("small") + 1;
            if name == "s250" && minute == 5 {
                *case.seqs.entry((name.clone(), boot)).or_default() += 3;
            }
            let beat = case.beat(name, boot, &[("interval_s", "60".to_owned())], &[]);
            case.ledger.record(&format!("key-{name}"), &[beat]);
        }
        case.wait(60);
        // Within its window nobody is missed.
        let found = case.open();
        let unseen = found.iter().filter(|(rule, _)| rule == "source_never_seen").count();
        let expected = match minute {
            0..=3 => 0..=0,
            4..=5 => 1..=2,
            _ => 2..=2,
        };
        assert!(expected.contains(&unseen), "minute {minute}: {found:?}");
    }
    let mut case = Case { follower: rules, ledger: case.ledger, events: 0, seqs: case.seqs };
    let found = case.open();
    let wanted = [
        ("source_gap", "s250"),
        ("source_never_seen", "planned"),
        ("source_never_seen", "s100"),
        ("source_silent", "s200"),
    ];
    assert_eq!(found, set(&wanted));
}

#[test]
fn a_source_that_comes_late_is_missed_no_more() {
    let policy = Policy { expected_within: 300_000_000_000, ..Policy::default() };
    let mut case = case(policy);
    case.key("gw");
    case.wait(240);
    assert_eq!(case.open(), set(&[]), "it has time still");
    case.wait(120);
    assert_eq!(case.open(), set(&[("source_never_seen", "gw")]));
    let beat = case.beat("gw", ONE, &[], &[]);
    case.ledger.record("key-gw", &[beat]);
    assert_eq!(case.open(), set(&[]));
    // A ledger that stood misses nobody: time counts while it ran.
    case.key("idp");
    case.ledger.world().clock.advance(86_400 * SECOND);
    case.ledger.seal();
    assert_eq!(case.open(), set(&[]));
}

#[test]
fn a_key_past_the_policy_is_overdue_until_it_ends() {
    const DAY: i64 = 86_400_000_000_000;
    let policy = Policy { expected_within: 0, max_key_age: 30 * DAY, ..Policy::default() };
    let mut case = case(policy);
    case.key("gw");
    for (days, found) in [(29, set(&[])), (2, set(&[("key_overdue", "gw")]))] {
        case.ledger.world().clock.advance(days * 86_400 * SECOND);
        case.ledger.seal();
        assert_eq!(case.open(), found, "{days} days more");
    }
    let end = AdminAct::EndKey { key_id: "key-gw".into(), compromised: false, reason: None };
    case.ledger.administer(&end);
    assert_eq!(case.open(), set(&[]));
}

struct Growing(RefCell<Case<AttendanceFollower>>, RefCell<u64>);

impl Ledger for Growing {
    fn view(&self) -> View {
        self.0.borrow().ledger.view()
    }
    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.0.borrow().ledger.world().data.clone())
    }
    fn clock(&self) -> Arc<dyn Clock> {
        self.0.borrow().ledger.world().clock.clone()
    }
    fn grow(&self) {
        let (mut case, mut part) = (self.0.borrow_mut(), self.1.borrow_mut());
        let held: Vec<String> = (0..40).map(token).collect();
        if *part == 0 {
            case.key("gw");
            case.key("never");
        }
        for round in 0..3 {
            let number = *part * 3 + round;
            let from = usize::try_from(number).expect("small") * 2;
            case.hold("gw", ONE, number, &held[from..]);
            case.wait(60);
        }
        case.act("gw", "REVOKED", &token(usize::try_from(*part).expect("small")), json!({}));
        *part += 1;
    }
    fn record(&self, statements: Vec<OwnStatement>) {
        self.0.borrow_mut().ledger.administer(&AdminAct::State(statements));
    }
}

#[test]
fn attendance_keeps_the_contract_of_followers() {
    let policy = || Policy { expected_within: 100_000_000_000, ..Policy::default() };
    let said = contract::check(
        &|| Growing(RefCell::new(case(policy())), RefCell::new(0)),
        &|_: &Growing| {
            let mut follower = AttendanceFollower::new(policy());
            follower.read(7);
            follower
        },
    );
    assert!(said > 10, "only {said} statements");
}
