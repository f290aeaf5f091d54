//! Every token whose expiry has passed has one EXPIRED for it: on random histories with late
//! arrivals, prolonged expiries, revocations, restarts and lost places, and with a schedule too
//! small to hold them.

#[allow(dead_code, reason = "the model is for the questions")]
mod lineage_world;

use lineage_world::World;
use serde_json::{Value, json};

use ledgerline_expiry::{Due, Place, Schedule};
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::entry::Entry;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::vocabulary::EventType;
use ledgerline_sim::{Faults, Random, expiries};
use ledgerline_view::view::View;

const HISTORIES: u64 = 40;
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

/// Turns until nothing is left to do; how many were recorded.
fn turn(world: &mut World, schedule: &mut Schedule, reads: usize) -> usize {
    let mut count = 0;
    for _ in 0..100_000 {
        let (due, more) = schedule.step(&world.view(), world.now(), reads).unwrap();
        count += due.len();
        if !due.is_empty() {
            world.administer(&AdminAct::State(due.iter().map(Due::statement).collect()));
        } else if !more {
            return count;
        }
    }
    panic!("the schedule never comes to rest");
}

/// What must hold of the whole ledger at a time; how many expiries are stated.
fn check(view: &View, now: i64) -> usize {
    let leaves: Vec<_> = (0..view.size()).map(|index| (index, view.leaf(index).unwrap())).collect();
    let leaves = leaves.iter().map(|(index, leaf)| (*index, &**leaf));
    expiries(leaves, now, now).unwrap_or_else(|what| panic!("{what}"))
}

#[test]
fn every_token_past_its_expiry_is_stated_once() {
    let (mut stated, mut again, mut failures) = (0, 0, 0);
    for seed in 0..HISTORIES {
        let mut world = World::new(seed);
        let mut random = Random::new(seed * 7 + 1);
        let most = [2, 3, 1 << 20][usize::try_from(random.below(3)).unwrap()];
        let mut schedule = Schedule::new(Place::begin(), most);
        // What was saved last.
        let mut saved = Place::begin();
        for _ in 0..8 {
            world.record_some(1 + u32::try_from(random.below(9)).unwrap(), &mut random);
            let reads = 1 + usize::try_from(random.below(40)).unwrap();
            match random.below(5) {
                // A step whose news is lost with the process, and perhaps the place too.
                0 => {
                    let _ = schedule.step(&world.view(), world.now(), reads).unwrap();
                    let lost = random.below(2) == 0;
                    if random.below(2) == 0 {
                        world.reopen(|_| ());
                    } else {
                        world.reopen(|world| world.crash(&mut random));
                    }
                    saved = if lost { Place::begin() } else { saved };
                    schedule = Schedule::new(saved.clone(), most);
                }
                // Reads that fail: the schedule is made anew at the place that was saved.
                1 => {
                    let faults = Faults { read_error_per_mille: 300, ..Faults::default() };
                    world.disk().set_faults(faults);
                    let failed = schedule.step(&world.view(), world.now(), reads).is_err();
                    world.disk().set_faults(Faults::default());
                    failures += u64::from(failed);
                    schedule = Schedule::new(saved.clone(), most);
                }
                2 => world.wait(random.below(7200) * SECOND.cast_unsigned()),
                _ => {
                    turn(&mut world, &mut schedule, reads);
                    let place = schedule.place().expect("it came to rest");
                    if random.below(3) > 0 {
                        saved = place;
                    }
                }
            }
        }
        turn(&mut world, &mut schedule, 1000);
        assert!(schedule.held() <= most);
        stated += check(&world.view(), world.now());
        let mut anew = Schedule::new(Place::begin(), most);
        again += turn(&mut world, &mut anew, 3);
    }
    assert!(stated > 100 && failures > 5, "only {stated}, {failures}");
    assert_eq!(again, 0, "a schedule that starts anew finds nothing new");
}

fn time(nanos: i64) -> String {
    let midnight = 1_762_992_000 * SECOND;
    let seconds = (nanos - midnight) / SECOND;
    let (day, second) = (13 + seconds / 86_400, seconds % 86_400);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("2025-11-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

fn event(world: &World, name: &str, kind: &str, token: &str, expires_at: Option<i64>) -> Value {
    let mut event = json!({
        "native_id": name, "type": kind, "token_id": format!("eu:idp:jti:{token}"),
        "occurred_at": time(world.now()), "issuer": "idp",
    });
    event["expires_at"] = expires_at.map(time).into();
    event
}

/// The times at which a token is stated to have expired.
fn expired(world: &World, token: &str) -> Vec<i64> {
    let id = format!("eu:idp:jti:{token}");
    let view = world.view();
    let stated = (0..view.size()).filter_map(|index| {
        let leaf = view.leaf(index).unwrap();
        let entry: Entry<'_> = decode_object(Kind::Entry, &leaf).ok()?;
        let one: Statement<'_> = decode_object(Kind::Statement, entry.statement).unwrap();
        let is_it = one.event_type == EventType::Expired && one.target.id == id;
        is_it.then_some(one.occurred_at.nanos)
    });
    stated.collect()
}

#[test]
fn an_expiry_is_stated_when_it_has_passed_and_only_while_it_stands() {
    let mut world = World::new(5);
    let start = world.now() / SECOND * SECOND;
    let ends = |hours: i64| start + hours * HOUR;
    let tokens = [("soon", 1), ("far", 40), ("moved", 2), ("revoked", 3), ("replaced", 3)];
    for (token, hours) in tokens {
        let born = event(&world, &format!("i-{token}"), "ISSUED", token, Some(ends(hours)));
        world.tell(&[born]);
    }
    for (kind, token, end) in [
        ("REFRESHED", "moved", Some(ends(30))),
        ("REVOKED", "revoked", None),
        ("ROTATED", "replaced", None),
    ] {
        let told = event(&world, &format!("x-{token}"), kind, token, end);
        world.tell(&[told]);
    }
    let mut schedule = Schedule::new(Place::begin(), 1 << 20);
    let check = |world: &World, hours: i64, expected: [&[i64]; 5]| {
        for ((token, _), expected) in tokens.iter().zip(expected) {
            let expected: Vec<i64> = expected.iter().map(|hours| ends(*hours)).collect();
            assert_eq!(expired(world, token), expected, "{token} after {hours} hours");
        }
    };
    let mut passed = 0;
    let mut pass = |world: &mut World, schedule: &mut Schedule, hours: i64| {
        world.wait(u64::try_from((hours - passed) * HOUR).unwrap());
        passed = hours;
        turn(world, schedule, 100);
    };
    check(&world, 0, [&[], &[], &[], &[], &[]]);
    pass(&mut world, &mut schedule, 1);
    check(&world, 1, [&[1], &[], &[], &[], &[]]);
    pass(&mut world, &mut schedule, 4);
    check(&world, 4, [&[1], &[], &[], &[], &[3]]);
    // Out of the schedule's sight until their hours come, also for one that starts from its place.
    let mut schedule = Schedule::new(schedule.place().unwrap(), 1 << 20);
    pass(&mut world, &mut schedule, 31);
    check(&world, 31, [&[1], &[], &[30], &[], &[3]]);
    // What has expired is prolonged, and expires again.
    let told = event(&world, "y-moved", "REFRESHED", "moved", Some(ends(39)));
    world.tell(&[told]);
    // One that had expired before anybody heard of it.
    let told = event(&world, "i-late", "ISSUED", "late", Some(ends(2)));
    world.tell(&[told]);
    pass(&mut world, &mut schedule, 45);
    check(&world, 45, [&[1], &[40], &[30, 39], &[], &[3]]);
    assert_eq!(expired(&world, "late"), [ends(2)]);
}
