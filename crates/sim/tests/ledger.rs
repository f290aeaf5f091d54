//! The whole engine without threads, over the simulated disk: what is acknowledged is there after
//! every kind of stop, in order and once.

use std::sync::Arc;

use ledgerline_ledger::intake::{EventAnswer, EventStatus};
use ledgerline_ledger::opening::{World, open};
use ledgerline_sim::{Random, SimDisk, TestLedger, TestWorld, credential, event};
use serde_json::{Value, json};

/// Opens a ledger, whose producer has the key `k1`.
fn open_on(world: &TestWorld) -> TestLedger {
    let mut ledger = world.open().unwrap();
    if ledger.rest.rooms.registry.key("k1").is_none() {
        ledger.add_key(credential("k1", "idp"));
    }
    ledger
}

fn submit(ledger: &mut TestLedger, event: Value) -> EventAnswer {
    ledger.submit("k1", &[event]).remove(0)
}

/// One of the events of seven tokens.
fn numbered(id: u32) -> Value {
    event(id, if id < 7 { "ISSUED" } else { "USED" }, id % 7)
}

#[test]
fn what_is_acknowledged_survives_every_stop() {
    let world = TestWorld::new(1);
    let mut recorded = Vec::new();
    for round in 0..12u32 {
        let mut ledger = open_on(&world);
        for n in 0..20 {
            let id = round * 20 + n;
            recorded.push((id, ledger.record("k1", &[numbered(id)]).remove(0)));
            if n % 9 == 0 {
                ledger.seal();
            }
        }
        for (id, first) in &recorded {
            let again = submit(&mut ledger, numbered(*id));
            assert_eq!(again.status, EventStatus::Duplicate, "{again:?}");
            assert_eq!(
                (again.index, again.sequence, again.event_hash),
                (first.index, first.sequence, first.event_hash)
            );
        }
        drop(ledger);
        if round % 2 == 0 {
            world.kill();
        } else {
            world.crash(&mut Random::new(u64::from(round)));
        }
    }
}

/// A start reads from the last commit in front of what is not derived yet, if the tree files give
/// that commit's root; otherwise from the segment's beginning. Told apart by a flipped bit near the
/// beginning, which only the longer way sees.
#[test]
fn a_start_reads_no_more_than_it_needs() {
    let mut world = TestWorld::new(1);
    world.config.segment_bytes = 1 << 20;
    let mut ledger = open_on(&world);
    for id in 0..60 {
        ledger.record("k1", &[numbered(id)]);
    }
    ledger.seal();
    ledger.settle();
    let (published, store) = (ledger.published(), &ledger.rest.rooms.store);
    let early = u64::from(store.position(30).unwrap().offset) + 20;
    let segment = store.position(30).unwrap().segment;
    let newest = store.position(published.size - 1).unwrap();
    assert_eq!(newest.segment, segment, "all of it in one segment");
    let bit = |disk: &SimDisk, path: &str, offset| disk.flip_bit(path, offset, 3).unwrap();
    let journal = format!("journal/{segment:08}.seg");
    let check = |what: &str, opens: bool, change: &dyn Fn(&SimDisk)| {
        let disk = world.data.fork(9);
        change(&disk);
        let parts = World { disk: Arc::new(disk), ..world.parts() };
        match (open(&parts, &world.config), opens) {
            (Ok(opened), true) => assert!(opened.rooms.published().size >= published.size),
            (Err(error), false) => assert!(error.to_string().contains("damaged"), "{error}"),
            (Ok(_), false) => panic!("{what}: it opens"),
            (Err(error), true) => panic!("{what}: {error}"),
        }
    };
    check("as it was left", true, &|_| {});
    check("an entry that nothing needs", true, &|disk| bit(disk, &journal, early));
    check("the same, when the tree files are not known to be whole", false, &|disk| {
        bit(disk, &journal, early);
        bit(disk, "tree/whole", 2);
    });
    check("the same, when the tree files give another root", false, &|disk| {
        bit(disk, &journal, early);
        bit(disk, "tree/0", 40 * 32);
    });
    check("tree files that give another root are made again", true, &|disk| {
        bit(disk, "tree/0", 40 * 32);
    });
}

/// A name that is too long is refused with a code (a text would be cut), and the ledger goes on: no
/// length reaches an assertion.
#[test]
fn long_values_are_refused_and_the_next_event_is_recorded() {
    let mut ledger = open_on(&TestWorld::new(1));
    let long = |length: usize| "x".repeat(length);
    let mut attribute = event(1, "USED", 1);
    attribute["personal"][0]["attributes"] = json!({ long(2 << 20): "a" });
    let mut native = event(1, "USED", 1);
    native.as_object_mut().unwrap().remove("event_id");
    native["native_id"] = long(70_000).into();
    for event in [attribute, native] {
        let answer = submit(&mut ledger, event);
        let error = answer.error.as_ref().expect("refused");
        assert_eq!((answer.status, error.code), (EventStatus::Refused, "bad_field"));
    }
    assert_eq!(submit(&mut ledger, event(1, "USED", 1)).status, EventStatus::Recorded);
}

/// The word that marks a signed submission may stand in any event.
#[test]
fn an_event_about_a_statement_is_no_signed_submission() {
    let mut ledger = open_on(&TestWorld::new(1));
    let mut about = event(1, "USED", 1);
    about["action"] = "statement".into();
    ledger.record("k1", &[about]);
    let answer = submit(&mut ledger, json!({ "statement": "AA==" }));
    assert_eq!(answer.error.expect("refused").code, "unknown_schema");
}
