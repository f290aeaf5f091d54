//! Each test is named after what went wrong once; the simulation found them all.

#[allow(dead_code, reason = "each test uses a part of it")]
mod lineage_world;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use ledgerline_followers::findings::record::Note;
use ledgerline_followers::findings::rules::Windows;
use ledgerline_followers::findings::{Judge, Saved};
use ledgerline_introspection::{Presented, token_status};
use ledgerline_ledger::intake::{BodyForm, RevokeToken};
use ledgerline_ledger::planner::NewKey;
use ledgerline_ledger::sequencer::PlanError;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::lifecycle::State;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, Leaf, encode_object};
use ledgerline_proof::statement::{Personal, Statement, Target};
use ledgerline_proof::vocabulary::{EventType, PersonalRole, TargetKind};
use ledgerline_questions::lineage::{QueryContext, Scope, Spending};
use ledgerline_questions::{Resource, after_revokes, resource_access};
use ledgerline_sim::{
    Faults, Random, START_NANOS, SimDisk, TestLedger, TestWorld, credential, event,
};
use ledgerline_view::registry::Roles;
use ledgerline_world::disk::Disk;

/// As little as can be in a segment, a slot file and a run.
fn small() -> TestWorld {
    let mut world = TestWorld::new(1);
    (world.config.segment_bytes, world.config.vault_slots) = (4096, 1);
    world.config.index.range_log2 = 1;
    world
}

/// Opens a ledger, whose producer has the key `k1`.
fn open_on(world: &TestWorld) -> TestLedger {
    let mut ledger = world.open().unwrap();
    if ledger.rest.rooms.registry.key("k1").is_none() {
        let roles = Roles::PRODUCER.with(Roles::RESPONDER);
        ledger.add_key(NewKey { roles, ..credential("k1", "idp") });
    }
    ledger
}

/// An event of one token about the person of its number.
fn about(person: u32) -> Value {
    let mut event = event(person, "USED", 0);
    event["personal"][0]["user_id"] = format!("user-{person}").into();
    event
}

fn record(ledger: &mut TestLedger, persons: std::ops::Range<u32>) {
    for person in persons {
        ledger.record("k1", &[about(person)]);
    }
}

#[test]
fn a_block_forgot_what_a_start_in_a_new_segment_did_not_replay() {
    let world = small();
    let mut ledger = open_on(&world);
    record(&mut ledger, 0..40);
    ledger.settle();
    drop(ledger);
    world.kill();
    let mut ledger = open_on(&world);
    ledger.seal();
    let last = ledger.size() - 1;
    let leaf = ledger.rest.rooms.reader.leaf(last).unwrap();
    let Ok(Leaf::Block(block)) = Leaf::decode(&leaf) else { panic!("the last leaf is no block") };
    let first = Hlc::at(START_NANOS);
    assert_eq!(block.min_occurred_at, Some(first));
    assert_eq!(block.max_occurred_at, Some(Hlc::at(first.nanos + 39)));
}

#[test]
fn a_duplicate_was_acknowledged_after_its_event_failed_to_be_written() {
    let world = small();
    let mut ledger = open_on(&world);
    record(&mut ledger, 0..1);
    ledger.offer("k1", &[about(1)]);
    let mut first = ledger.planner.take();
    ledger.offer("k1", &[about(1)]);
    let mut second = ledger.planner.take();
    world.data.set_faults(Faults { sync_error_per_mille: 1000, ..Faults::default() });
    assert!(ledger.rest.publisher.publish(&mut first).is_err());
    assert!(ledger.rest.publisher.publish(&mut second).is_err());
    let answers = ledger.answers();
    let stopped: Vec<bool> = answers.iter().map(|answer| answer.stopped.is_some()).collect();
    assert_eq!(stopped, [true, true]);
}

#[test]
fn an_older_vault_kept_the_ledger_from_opening() {
    let world = small();
    let mut ledger = open_on(&world);
    record(&mut ledger, 0..1);
    let slots: Vec<String> = world.data.list("vault").unwrap();
    record(&mut ledger, 1..80);
    drop(ledger);
    world.kill();
    for name in world.data.list("vault").unwrap() {
        if !slots.contains(&name) {
            world.data.remove(&format!("vault/{name}")).unwrap();
        }
    }
    let ledger = open_on(&world);
    ledger.read_all();
}

#[test]
fn a_rebuild_of_the_tree_that_was_cut_off_was_believed() {
    let world = small();
    let mut ledger = open_on(&world);
    record(&mut ledger, 0..30);
    ledger.seal();
    ledger.settle();
    drop(ledger);
    world.kill();
    for name in world.data.list("tree").unwrap() {
        world.data.remove(&format!("tree/{name}")).unwrap();
    }
    world.data.sync_dir("tree").unwrap();
    let mut cut_off = 0;
    for seed in 0..150 {
        let copy = world.fork(seed);
        copy.data.set_faults(Faults { power_off_after: Some(seed), ..Faults::default() });
        cut_off += u32::from(copy.open().is_err());
        copy.data.crash(&mut Random::new(seed));
        copy.data.set_faults(Faults::default());
        copy.open().unwrap().read_all();
    }
    assert!(cut_off > 50, "{cut_off}");
}

#[test]
fn a_bit_that_turned_on_the_way_from_the_disk_was_written_back() {
    let world = small();
    let mut ledger = open_on(&world);
    record(&mut ledger, 0..1);
    drop(ledger);
    world.kill();
    let mut rotten = 0;
    for seed in 0..150 {
        let copy = world.fork(seed);
        copy.data.set_faults(Faults { read_rot_per_mille: 100, ..Faults::default() });
        let _ = copy.open();
        rotten += copy.data.counts().read_rots;
        copy.data.kill();
        copy.data.set_faults(Faults::default());
        copy.open().unwrap().read_all();
    }
    assert!(rotten > 50, "{rotten}");
}

#[test]
fn slots_given_out_vanished_with_a_name_that_was_never_synced() {
    let mut taken_over = 0;
    for seed in 0..200 {
        let world = TestWorld { data: SimDisk::new(seed), ..small() };
        let after = Some(10 + seed % 10);
        world.data.set_faults(Faults { power_off_after: after, ..Faults::default() });
        let failed = world.open().is_err();
        let half = world.data.image().keys().any(|path| path.starts_with("vault/slots-"));
        taken_over += u32::from(failed && half);
        world.data.set_faults(Faults::default());
        // The process is started again; what it reads may be in the page cache only.
        world.kill();
        let mut ledger = open_on(&world);
        record(&mut ledger, 0..1);
        drop(ledger);
        world.data.crash(&mut Random::new(seed));
        let ledger = open_on(&world);
        ledger.read_all();
        assert!(ledger.person("", "", "user-0").is_some(), "seed {seed}");
    }
    assert!(taken_over > 0, "{taken_over}");
}

#[test]
fn a_second_erasure_lost_the_list_of_the_first() {
    let world = small();
    let mut ledger = open_on(&world);
    record(&mut ledger, 0..3);
    let mut failed = 0;
    for seed in 0..80 {
        let copy = world.fork(seed);
        copy.data.kill();
        let mut ledger = copy.open().unwrap();
        // The second one stands before the first, so that a scan finds it in spite of torn frames.
        let handles = ["user-2", "user-0"].map(|user| ledger.erase(user));
        copy.data.set_faults(Faults { short_write_per_mille: 300, ..Faults::default() });
        failed += u32::from(ledger.zero_frames(&handles[0]).is_err());
        copy.data.set_faults(Faults::default());
        ledger.zero_frames(&handles[1]).unwrap();
        drop(ledger);
        copy.data.kill();
        let ledger = copy.open().unwrap();
        ledger.read_all();
        ledger.zero_frames(&handles[0]).unwrap();
        let erased = (0..ledger.size())
            .flat_map(|index| ledger.rest.rooms.reader.leaf_with_records(index).unwrap().sealed)
            .filter(|sealed| sealed.erased)
            .count();
        assert_eq!(erased, 2, "seed {seed}");
    }
    assert!(failed > 5, "{failed}");
}

#[test]
fn a_rotten_hash_of_the_tree_was_linked_into_a_chain() {
    let world = small();
    let mut ledger = open_on(&world);
    record(&mut ledger, 0..1);
    let tip = ledger.size() - 1;
    // A tip of late would be remembered, and nothing read.
    drop(ledger);
    world.data.kill();
    let mut ledger = open_on(&world);
    // Both records of the tip: the tree's hash, and the entry itself.
    let entry = ledger.rest.rooms.store.position(tip).unwrap();
    let segment = format!("journal/{:08}.seg", entry.segment);
    let journal = u64::from(entry.offset) + 40;
    for (path, offset) in [("tree/0", tip * 32), (segment.as_str(), journal)] {
        world.data.flip_bit(path, offset, 0).unwrap();
        let body = about(1).to_string();
        let refused = ledger.try_offer("k1", BodyForm::Json, body.as_bytes());
        assert!(matches!(refused, Err(PlanError::Read(_))), "{path}");
        world.data.flip_bit(path, offset, 0).unwrap();
    }
    record(&mut ledger, 1..2);
}

/// An event of the token `t0` at a second of the histories' day.
fn act(name: &str, kind: &str, second: u64) -> Value {
    json!({
        "native_id": name, "type": kind, "token_id": "eu:idp:jti:t0",
        "occurred_at": format!("2025-11-13T00:00:{second:02}Z"), "issuer": "idp",
    })
}

#[test]
fn a_persons_access_was_taken_for_that_of_a_token_without_name() {
    let mut world = lineage_world::World::new(1);
    let mut of_token = act("n1", "RESOURCE_ACCESSED", 3);
    let mut of_person = act("n2", "RESOURCE_ACCESSED", 4);
    of_person["target"] = json!({ "kind": "SUBJECT", "id": "" });
    of_person["personal"] = json!([{ "role": "SUBJECT", "user_id": "u1" }]);
    of_person.as_object_mut().unwrap().remove("token_id");
    for event in [&mut of_token, &mut of_person] {
        event["resource"] = "/r/1".into();
    }
    world.tell(&[of_token, of_person]);
    let view = world.view();
    let scope = Scope { tenant: "a".into(), as_of: view.as_of(), at: None, judged_at: world.now() };
    let mut context = QueryContext::new(&view, scope, Spending::default()).unwrap();
    let resource = Resource::Named("/r/1".into());
    let range = (i64::MIN, i64::MAX);
    let found = resource_access(&mut context, &resource, range, None, 10).unwrap();
    let found: Vec<_> =
        found.list.iter().map(|one| (one.token.id.as_str(), one.accesses.len())).collect();
    assert_eq!(found, [("eu:idp:jti:t0", 1)]);
}

/// Where the budget ended, tokens stood with a part of their accesses, and again on the next page.
#[test]
fn a_page_that_the_budget_cut_listed_tokens_with_a_part_of_their_accesses() {
    const TOKENS: u64 = 20;
    let mut world = lineage_world::World::new(4);
    let rounds = ["ISSUED", "RESOURCE_ACCESSED", "USED", "USED", "USED", "RESOURCE_ACCESSED"];
    for (round, kind) in (0..).zip(rounds) {
        let about = |n: u64| {
            let mut event = act(&format!("n{round}-{n}"), kind, round);
            event["token_id"] = format!("eu:idp:jti:n{n}").into();
            if kind == "RESOURCE_ACCESSED" {
                event["resource"] = "/r/1".into();
            }
            event
        };
        // Whose second access lies next is not who came next.
        let order = (0..TOKENS).map(|n| if round == 5 { TOKENS - 1 - n } else { n });
        world.tell(&order.map(about).collect::<Vec<_>>());
    }
    let view = world.view();
    let scope = Scope { tenant: "a".into(), as_of: view.as_of(), at: None, judged_at: world.now() };
    let (resource, range) = (Resource::Named("/r/1".into()), (i64::MIN, i64::MAX));
    let mut cut = 0;
    for entries in 22..80 {
        let spending = Spending { entries, ..Spending::default() };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let mut context =
                QueryContext::new(&view, scope.clone(), spending).unwrap().forgetful();
            let page = resource_access(&mut context, &resource, range, after, 1000).unwrap();
            cut += u32::from(!context.cuts().is_empty());
            found.extend(page.list.iter().map(|one| (one.token.id.clone(), one.accesses.len())));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expected: Vec<_> = (0..TOKENS).map(|n| (format!("eu:idp:jti:n{n}"), 2)).collect();
        assert_eq!(found, expected, "with {entries} entries a page");
    }
    assert!(cut > 50, "only {cut} pages were cut");
}

/// Of ids that an issuer's signature joins and no entry does, the first alone was looked under.
#[test]
fn a_code_used_five_times_under_its_other_id_had_no_answer() {
    let mut world = lineage_world::World::new(3);
    let other = "eu:idp:jti:t1";
    let mut events = vec![act("c0", "ISSUED", 1)];
    events.extend((0..5).map(|n| act(&format!("c{}", n + 1), "USED", 2 + n)));
    for event in &mut events {
        event["token_id"] = other.into();
        event["token_kind"] = "AUTH_CODE".into();
    }
    world.tell(&events);
    let ids = ["eu:idp:jti:t0", other];
    let found = token_status(&world.view(), "a", Presented::Ids(&ids), world.now()).unwrap();
    assert_eq!(found.expect("it is known").state.state, State::Spent);
}

/// A token that came into the ledger revoked was no revocation, so that nobody was asked for who
/// let it in afterwards.
#[test]
fn a_token_that_came_revoked_was_in_no_list_of_who_still_let_it_in() {
    let mut world = lineage_world::World::new(2);
    let mut origin = act("o1", "ORIGIN", 5);
    origin["detail"] = json!([{ "key": "state", "value": "REVOKED" }]);
    let mut access = act("u1", "RESOURCE_ACCESSED", 9);
    access["service"] = "orders".into();
    // A revocation that comes later changes nothing, and lies outside of the window.
    world.tell(&[origin, access, act("r1", "REVOKED", 50)]);
    let view = world.view();
    let scope = Scope { tenant: "a".into(), as_of: view.as_of(), at: None, judged_at: world.now() };
    let mut context = QueryContext::new(&view, scope, Spending::default()).unwrap();
    let window = (lineage_world::seconds(4), lineage_world::seconds(6));
    let found = after_revokes(&mut context, window, 10).unwrap();
    assert_eq!((found.tokens.len(), &found.gaps[..]), (1, &[4_000_000_000][..]));
    assert_eq!(found.places[0].allowed, 1);
}

/// What a follower says of the token `t0` after these events, each a second entry to the other.
fn noticed(events: &[(&str, u64)]) -> Vec<(&'static str, String)> {
    let mut world = lineage_world::World::new(1);
    for (number, (kind, second)) in events.iter().enumerate() {
        world.tell(&[act(&format!("n{number}"), kind, *second)]);
    }
    let mut follower = Judge::new(Saved::default(), Windows::default());
    let notes = follower.step(&world.view(), u64::MAX).unwrap();
    let mut standing = Vec::new();
    for note in notes {
        match note {
            Note::Raised(one) => standing.push(one),
            Note::Moved(moved) => standing.retain(|one| one.id() != moved.finding),
            Note::Missing(_) | Note::Reported(_) => {}
        }
    }
    let name = |id: &[u8; 16]| {
        let number = (0..events.len()).find(|number| {
            let native = format!("n{number}");
            ledgerline_proof::event_id::derived_event_id("a", "idp", &native, 0) == *id
        });
        format!("n{}", number.unwrap())
    };
    standing.iter().map(|one| (one.rule.code(), name(&one.events[0].event_id))).collect()
}

#[test]
fn what_was_said_of_a_late_use_stood_when_a_later_entry_refuted_it() {
    let found = noticed(&[("ISSUED", 5), ("USED", 3)]);
    assert_eq!(found, [("out_of_order", "n1".to_owned())]);
    // Judged anew in event time it is the use of a token that nobody knew yet.
    let found = noticed(&[("ISSUED", 5), ("USED", 3), ("SUSPENDED", 4)]);
    assert_eq!(found, [("unknown_token", "n1".to_owned())]);
}

#[test]
fn a_finding_that_was_one_too_many_was_never_raised_when_there_was_room() {
    let found = noticed(&[("USED", 9), ("USED", 1)]);
    assert_eq!(found, [("unknown_token", "n0".to_owned())]);
    let found = noticed(&[("USED", 9), ("USED", 1), ("ISSUED", 5)]);
    assert_eq!(found, [("unknown_token", "n1".to_owned())]);
}

/// A token whose id looks like a secret, recorded before that format was known.
#[test]
fn what_was_taken_before_a_format_was_known_can_be_revoked() {
    let ledger = open_on(&small());
    let caller = ledger.caller("k1");
    let token_id = ["eu:idp:jti:gl", "pat-Zk1_W9xTb2-cVd8RyHsa"].concat();
    let revoke = |known: bool, reason: &str| {
        let native_id = format!("revoke/1/{token_id}");
        let asked = RevokeToken {
            token_id: token_id.clone(),
            native_id,
            reason: reason.to_owned(),
            cause: Some(token_id.clone()),
            correlation_id: "revoke/1".into(),
            issuer: None,
            grants: Vec::new(),
        };
        let intake = &ledger.rest.intake;
        let mut taken = intake.accept_revocations(&caller, "", &[asked], &|_| known).unwrap();
        let answer = taken.answers.remove(0);
        answer.and_then(|answer| answer.error).map(|error| error.code)
    };
    assert_eq!(revoke(true, "leaked"), None);
    assert_eq!(revoke(false, "leaked"), Some("secret_refused"));
    assert_eq!(revoke(true, &token_id), Some("secret_refused"));
}

/// A producer's salt of zeros was taken: after the erasure a reader found the person by guessing.
/// Nor may quarantine keep the commitment that was made with it.
#[test]
fn a_salt_that_can_be_guessed_was_taken() {
    let ledger = open_on(&small());
    let caller = ledger.caller("k1");
    let send = |number: u8, salt: [u8; 32], user: &str| {
        let (ip, user_agent, device, resource) = (None, None, None, None);
        let (user_id, attributes) = (Some(user), Vec::new());
        let record = PersonalRecord { salt, user_id, ip, user_agent, device, resource, attributes };
        let record = encode_object(Kind::Personal, &record);
        let target = Target { kind: TargetKind::Token, id: "eu:idp:jti:t" };
        let at = Hlc::at(START_NANOS);
        let mut statement = Statement::new([number; 16], "idp", target, EventType::Used, at);
        let commitment = commitment(&record);
        statement.personal = vec![Personal { role: PersonalRole::Subject, commitment }];
        let statement = encode_object(Kind::Statement, &statement);
        let body = json!({
            "statement": STANDARD.encode(&statement), "personal": [STANDARD.encode(&record)],
        });
        let (intake, body) = (&ledger.rest.intake, body.to_string());
        let mut taken = intake.accept(&caller, BodyForm::Json, body.as_bytes()).unwrap();
        let answer = taken.answers.remove(0);
        (answer.and_then(|answer| answer.error).map(|error| error.code), statement)
    };
    let good = ledgerline_proof::hash::sha256(b"random").0;
    assert_eq!(send(1, good, "alice").0, None);
    assert_eq!(send(1, good, "alice").0, None, "a retry");
    let (code, kept) = send(2, [0; 32], "alice");
    assert_eq!(code, Some("weak_salt"));
    assert_eq!(send(3, good, "bob").0, Some("weak_salt"));
    let text = String::from_utf8(ledger.world().data.read("quarantine/0.txt").unwrap()).unwrap();
    assert!(text.contains("weak_salt") && !text.contains(&STANDARD.encode(kept)), "{text}");
}
