//! A ledger of three origins: every question is held against a walk through all their entries, as
//! of sizes that need not follow each other, as those of logs that stand side by side do not.

use std::collections::BTreeMap;

use ledgerline_expiry::{Due, Place, Schedule};
use ledgerline_followers::position::Position;
use ledgerline_introspection::{Presented, token_status};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::lifecycle::State;
use ledgerline_questions::life::{Judgement, life_of};
use ledgerline_questions::lineage::{
    Bounds, Direction, Lineage, QueryContext, Scope, Spending, relatives,
};
use ledgerline_questions::{
    Holder, Of, Pivot, Point, Resource, accesses, pivot, resource_access, revocations, tokens_of,
};
use ledgerline_sim::{
    Random, START_NANOS, TestLedger, TestWorld, Walk, credential, event, expiries,
};
use ledgerline_view::address::{AsOf, EntryRef, LogId};
use ledgerline_view::counted;
use ledgerline_view::view::{PageRequest, QueryError, View};
use ledgerline_world::clock::Clock;
use serde_json::{Value, json};

const NAMES: [&str; 3] =
    ["ledgerline.test/first", "ledgerline.test/second", "ledgerline.test/third"];
const TOKENS: u32 = 5;
const JUDGED_AT: i64 = START_NANOS + 3_600_000_000_000;

fn id(token: u32) -> String {
    format!("eu:idp:jti:t{token}")
}

/// The n-th event of all: births, uses of a resource, refreshes, links, and ends.
fn nth(n: u32, random: &mut Random) -> Value {
    let token = u32::try_from(random.below(u64::from(TOKENS))).unwrap();
    let mut kind = *random.choose(&["ISSUED", "ISSUED", "USED", "USED", "REFRESHED", "REVOKED"]);
    if n.is_multiple_of(7) {
        kind = "REVOKED";
    }
    let mut one = event(n, kind, token);
    match kind {
        "ISSUED" => {
            one["session_id"] = format!("s{}", token % 2).into();
            one["expires_at"] = format!("2025-11-13T02:{:02}:00Z", 20 + n % 30).into();
            let parent = u32::try_from(random.below(u64::from(TOKENS))).unwrap();
            if parent != token {
                one["links"] = json!([{ "token_id": id(parent), "relation": "REFRESHED_FROM",
                    "strength": "ASSERTED" }]);
            }
        }
        "USED" => one["resource"] = "/r/1".into(),
        _ => {}
    }
    one
}

fn open(world: &TestWorld, name: &str) -> TestLedger {
    let mut world = world.clone();
    let is_first = world.config.origin == name;
    world.config.new_origin = (!is_first).then(|| name.to_owned());
    let mut ledger = world.open().unwrap();
    if ledger.rest.rooms.registry.key("k1").is_none() {
        ledger.add_key(credential("k1", "idp"));
    }
    ledger
}

fn stop(mut ledger: TestLedger) {
    ledger.close();
    let world = ledger.world().clone();
    drop(ledger);
    world.kill();
}

/// Three origins, each continued behind a copy that was restored.
fn three(seed: u64) -> TestLedger {
    let mut world = TestWorld::new(seed);
    world.config.origin = NAMES[0].into();
    let (mut random, mut n) = (Random::new(seed), 0);
    let mut record = |ledger: &mut TestLedger, events: u64| {
        for _ in 0..events {
            n += 1;
            ledger.submit("k1", &[nth(n, &mut random)]);
        }
    };
    for (row, name) in NAMES.into_iter().enumerate() {
        let mut ledger = open(&world, name);
        record(&mut ledger, 14);
        if row == 2 {
            return ledger;
        }
        stop(ledger);
        let copy = world.data.snapshot();
        let mut ledger = open(&world, name);
        record(&mut ledger, 2);
        stop(ledger);
        world.data.restore(&copy);
    }
    unreachable!("the last origin is returned")
}

/// All leaves of all origins, by rank.
fn leaves(view: &View) -> Vec<(u64, Vec<u8>)> {
    let of = |origin: &View| {
        let leaf = |index| (origin.entry(index).rank(), origin.leaf(index).unwrap());
        (0..origin.size()).map(leaf).collect::<Vec<_>>()
    };
    view.origins().iter().flat_map(of).collect()
}

fn walk(view: &View, scope: &Scope) -> Walk {
    let leaves = leaves(view);
    let ids: Vec<String> = (0..TOKENS).map(id).collect();
    Walk::new(leaves.iter().map(|(rank, leaf)| (*rank, &**leaf)), scope, &ids)
}

fn depths(lineage: &Lineage) -> BTreeMap<String, u32> {
    lineage.relatives.iter().map(|one| (one.token.id.clone(), one.depth)).collect()
}

/// Holds the questions against a walk; how many had something to say.
fn compare(view: &View, scope: &Scope) -> usize {
    let model = walk(view, scope);
    let ask = || QueryContext::new(view, scope.clone(), Spending::default()).unwrap();
    let mut told = 0;
    for id in (0..TOKENS).map(id) {
        let place = format!("{id} {:?}", scope.as_of);
        let token = ask().token(&id).unwrap();
        assert_eq!(token.is_known(), model.is_known(&id), "{place}");
        if !token.records.is_empty() {
            let states = (token.known.clone(), token.happened.clone());
            assert_eq!(states, model.states(&id), "{place}");
            let page = PageRequest { after: None, limit: 1000 };
            let judgement = Judgement { at: scope.judged_at, by: i64::MAX };
            let life = life_of(view, "", &id, &scope.as_of, judgement, page).unwrap().unwrap();
            assert_eq!((life.known, life.happened), states, "life of {place}");
            let shown: Vec<EntryRef> = life.events.iter().map(|event| event.at).collect();
            let read: Vec<EntryRef> = token.records.iter().map(|record| record.at).collect();
            assert_eq!((shown, life.total), (read, model.events(&id)), "{place}");
            told += 1;
        }
        let found = relatives(&mut ask(), &id, Direction::Descendants, Bounds::default()).unwrap();
        let expected = model.relatives(&id, Direction::Descendants);
        assert_eq!(found.as_ref().map(depths), expected, "{place}");
        let found = accesses(&mut ask(), &id, Of::Token, Point::At(0), Point::End).unwrap();
        for one in found.iter().flat_map(|found| &found.list) {
            assert!(scope.as_of.covers(one.at), "{place}: {one:?}");
        }
    }
    for name in ["s0", "s1"] {
        let what = Pivot::Session(name.into());
        let (mut found, mut from) = (Vec::new(), Some(EntryRef::FIRST));
        while let Some(at) = from {
            let (page, next) = pivot(&mut ask(), &what, at, 2).unwrap();
            found.extend(page.iter().map(|record| record.at.rank()));
            from = next;
        }
        assert_eq!(found, model.pivot(&what), "{name} {:?}", scope.as_of);
        let holder = Holder::Session(name.into());
        let (mut found, mut from) = (Vec::new(), Some(EntryRef::FIRST));
        while let Some(at) = from {
            let page = tokens_of(&mut ask(), &holder, at, 1).unwrap();
            found.extend(page.tokens.iter().map(|token| token.id.clone()));
            from = page.next;
        }
        assert_eq!(found, model.tokens_of(&holder), "{name} {:?}", scope.as_of);
    }
    let (resource, range) = (Resource::Named("/r/1".into()), (i64::MIN, i64::MAX));
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = resource_access(&mut ask(), &resource, range, from, 1).unwrap();
        found.extend(page.list.iter().map(|one| (one.token.id.clone(), one.accesses.len())));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    found.sort();
    assert_eq!(found, model.resource_access(&resource, range), "{:?}", scope.as_of);
    told
}

#[test]
fn questions_of_three_origins_are_answered_as_by_a_walk_through_all_their_entries() {
    let mut told = 0;
    for seed in 1..4 {
        let ledger = three(seed);
        let view = ledger.view();
        let mut random = Random::new(seed);
        let sizes: Vec<u64> = view.as_of().sizes().map(|(_, size)| size).collect();
        assert_eq!(sizes.len(), 3);
        for nth in 0..25 {
            let size = |size: &u64| if nth == 0 { *size } else { random.below(size + 1) };
            let as_of = AsOf::new(sizes.iter().map(size).collect::<Vec<_>>());
            let scope = Scope { tenant: String::new(), as_of, at: None, judged_at: JUDGED_AT };
            told += compare(&view, &scope);
        }
        for token in 0..TOKENS {
            let stands = token_status(&view, "", Presented::Id(&id(token)), JUDGED_AT).unwrap();
            let (tenant, as_of) = (String::new(), view.as_of());
            let scope = Scope { tenant, as_of, at: None, judged_at: JUDGED_AT };
            let known = walk(&view, &scope).states(&id(token)).0;
            let state = stands.map_or(State::Unknown, |one| one.state.state);
            assert_eq!(state, known.state, "seed {seed}, token {token}");
        }
        stop(ledger);
    }
    assert!(told > 200, "only {told} tokens had a life");
}

#[test]
fn every_revocation_of_every_log_is_handed_out_once() {
    let ledger = three(7);
    let view = ledger.view();
    let whole = revocations(&view, "", &AsOf::new([]), 1000).unwrap();
    assert!(!whole.more && whole.next == view.as_of());
    let all: Vec<EntryRef> = whole.list.iter().map(|record| record.at).collect();
    let logs = |of: &[EntryRef]| of.chunk_by(|one, next| one.log == next.log).count();
    assert_eq!(logs(&all), 3, "{all:?}");
    let (mut since, mut found) = (AsOf::new([]), Vec::new());
    loop {
        let page = revocations(&view, "", &since, 1).unwrap();
        assert!(since.is_within(&page.next) && page.list.len() <= 1);
        // As a number it is the same place.
        assert_eq!(counted::first(&view, counted::count(&view, &page.next)), page.next);
        found.extend(page.list.iter().map(|record| record.at));
        since = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(found, all);
    // Of a log that was looked at to its end nothing comes again, whatever the others have.
    let [_, second, third] = [0, 1, 2].map(|row| view.as_of().size(LogId(row)));
    let page = revocations(&view, "", &AsOf::new([0, second, third]), 1000).unwrap();
    assert!(page.list.iter().all(|record| record.at.log == LogId(0)) && !page.list.is_empty());
    let beyond = revocations(&view, "", &AsOf::new([0, second + 1, 0]), 1000);
    assert!(matches!(beyond, Err(QueryError::OutOfRange(_))));
    stop(ledger);
}

#[test]
fn an_expiry_that_an_older_origin_gave_was_stated_twice_or_never() {
    let mut stated = 0;
    for seed in 1..40 {
        let mut ledger = three(seed);
        ledger.world().clock.advance(7_200_000_000_000);
        let now = ledger.world().clock.wall_nanos();
        for reads in [1, 2, 100] {
            let mut schedule = Schedule::new(Place::begin(), 2);
            loop {
                let (due, more) = schedule.step(&ledger.view(), now, reads).unwrap();
                assert!(
                    due.is_empty() || reads == 1,
                    "a schedule that starts anew finds nothing new"
                );
                if !due.is_empty() {
                    let due = due.iter().map(Due::statement).collect();
                    ledger.administer(&AdminAct::State(due));
                } else if !more {
                    break;
                }
            }
            assert_eq!(schedule.seen(), &ledger.view().as_of());
            // What is saved is the same place again, each log by its name.
            let saved = Position::of(&ledger.view(), schedule.seen());
            assert_eq!(saved.seen(&ledger.view()).as_ref(), Ok(schedule.seen()));
        }
        let view = ledger.view();
        let leaves = leaves(&view);
        let leaves = leaves.iter().map(|(rank, leaf)| (*rank, &**leaf));
        stated += expiries(leaves, now, now).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        stop(ledger);
    }
    assert!(stated > 10, "only {stated} were stated");
}

#[test]
fn an_older_origin_with_fewer_entries_moved_what_was_read_in_the_newer_ones() {
    let ledger = three(8);
    let view = ledger.view();
    let ask = |as_of: AsOf| {
        let scope = Scope { tenant: String::new(), as_of, at: None, judged_at: JUDGED_AT };
        QueryContext::new(&view, scope, Spending::default())
    };
    let sizes: Vec<u64> = view.as_of().sizes().map(|(_, size)| size).collect();
    // A state in which an older log had more is no state of this ledger.
    for row in 0..3 {
        let mut more = sizes.clone();
        more[row] += 1;
        assert!(matches!(ask(AsOf::new(more)), Err(QueryError::OutOfRange(_))), "log {row}");
    }
    let more_logs = sizes.iter().copied().chain([1]);
    assert!(matches!(ask(AsOf::new(more_logs)), Err(QueryError::OutOfRange(_))));
    // A page that begins behind the end of an older log goes on with the next one.
    let what = Pivot::Session("s0".into());
    let behind = EntryRef { log: LogId(0), index: u64::MAX };
    let (page, _) = pivot(&mut ask(view.as_of()).unwrap(), &what, behind, 1000).unwrap();
    let next = EntryRef { log: LogId(1), index: 0 };
    let (from_next, _) = pivot(&mut ask(view.as_of()).unwrap(), &what, next, 1000).unwrap();
    let at = |page: &[std::sync::Arc<ledgerline_questions::lineage::Record>]| {
        page.iter().map(|record| record.at).collect::<Vec<_>>()
    };
    assert!(!page.is_empty() && at(&page) == at(&from_next));
    // Numbers and addresses say the same, at the borders of the logs too.
    let total: u64 = sizes.iter().sum();
    for number in 0..=total {
        let at = counted::entry(&view, number);
        assert_eq!(counted::position(&view, at), number);
        let seen = counted::first(&view, number);
        assert_eq!(counted::count(&view, &seen), number);
        assert!(
            !seen.covers(at) && (number == 0 || seen.covers(counted::entry(&view, number - 1)))
        );
    }
    assert_eq!(counted::first(&view, total), view.as_of());
    stop(ledger);
}
