//! Each test is named after what went wrong once; the simulation found them all.

#[allow(dead_code, reason = "each test uses a part of it")]
mod lineage_world;

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use ledgerline_followers::findings::record::Note;
use ledgerline_followers::findings::rules::Windows;
use ledgerline_followers::findings::{Follower, Saved};
use ledgerline_index::Progress;
use ledgerline_journal::erasure;
use ledgerline_ledger::intake::{BodyForm, RevokeToken, SubmitAnswer};
use ledgerline_ledger::opening::{LedgerConfig, OpenError, World, open};
use ledgerline_ledger::planner::{AdminAct, BlockPace, NewKey, OpenedRest, Planner};
use ledgerline_ledger::sequencer::PlanError;
use ledgerline_proof::hlc::Hlc;
use ledgerline_proof::personal::{PersonalRecord, commitment};
use ledgerline_proof::schema::{Kind, Leaf, encode_object};
use ledgerline_proof::statement::{Personal, Statement, Target};
use ledgerline_proof::vocabulary::{EventType, KeyPurpose, PersonalRole, TargetKind};
use ledgerline_questions::lineage::{Inquiry, Scope, Spending};
use ledgerline_questions::{Resource, visitors};
use ledgerline_sim::{Faults, Random, SimClock, SimDisk, SimEntropy};
use ledgerline_vault::keys::KeyRing;
use ledgerline_view::registry::{Caller, Roles, api_key_text, secret_hash};
use ledgerline_world::disk::{Disk, OpenMode};

/// A ledger on simulated disks, without threads.
struct Sim {
    disk: SimDisk,
    planner: Planner,
    rest: OpenedRest,
    answers: Arc<Mutex<Vec<SubmitAnswer>>>,
}

#[derive(Clone)]
struct Disks {
    data: SimDisk,
    head: SimDisk,
    keys: SimDisk,
}

impl Disks {
    fn new() -> Self {
        Self { data: SimDisk::new(1), head: SimDisk::new(2), keys: SimDisk::new(3) }
    }

    fn fork(&self, seed: u64) -> Self {
        let [data, head, keys] = [&self.data, &self.head, &self.keys].map(|one| one.fork(seed));
        Self { data, head, keys }
    }

    fn kill(&self) {
        self.data.kill();
        self.head.kill();
    }

    fn open(&self) -> Result<Sim, OpenError> {
        let entropy = Arc::new(SimEntropy::new(self.data.change_count()));
        let ring = KeyRing::open_or_create(&self.keys, entropy.as_ref()).unwrap();
        let world = World {
            disk: Arc::new(self.data.clone()),
            head_disk: Arc::new(self.head.clone()),
            clock: Arc::new(SimClock::new(1_795_000_000_000_000_000)),
            entropy,
            keys: Arc::new(ring),
        };
        let mut config =
            LedgerConfig { segment_bytes: 4096, vault_slots: 1, ..LedgerConfig::default() };
        config.index.range_log2 = 1;
        let opened = open(&world, &config)?;
        let (planner, rest) = Planner::new(opened, &world, BlockPace::default());
        Ok(Sim { disk: self.data.clone(), planner, rest, answers: Arc::default() })
    }
}

impl Sim {
    fn commit(&mut self) {
        let mut batch = self.planner.take();
        self.rest.publisher.publish(&mut batch).unwrap();
        self.planner.published();
    }

    fn caller(&mut self) -> Caller {
        let secret = [7; 32];
        if self.rest.rooms.registry.key("k1").is_none() {
            let key = NewKey {
                key_id: "k1".into(),
                purpose: KeyPurpose::Credential,
                alg: 0,
                tenant: "*".into(),
                source: "idp".into(),
                roles: Roles::PRODUCER.with(Roles::RESPONDER),
                types: Vec::new(),
                issuers: Vec::new(),
                regions: Vec::new(),
                signed_only: false,
                strict: false,
                expires_at: None,
                public_key: None,
                secret_hash: Some(secret_hash(&secret)),
            };
            self.planner.admin(&AdminAct::AddKey(Box::new(key)), Box::new(|_| {})).unwrap();
            self.commit();
        }
        self.rest.rooms.registry.authenticate(&api_key_text("k1", &secret), 0).unwrap()
    }

    /// Plans an event about a person.
    fn offer(&mut self, number: u32) {
        self.try_offer(number).unwrap();
    }

    fn try_offer(&mut self, number: u32) -> Result<(), PlanError> {
        let caller = self.caller();
        let body = format!(
            r#"{{"event_id":"01932f6e-7c1a-7b3e-9a55-{number:012x}","type":"USED",
            "token_id":"eu:idp:jti:t","occurred_at":"2026-11-22T10:10:00.{number:09}Z",
            "personal":[{{"role":"SUBJECT","user_id":"user-{number}"}}]}}"#
        );
        let accepted = self.rest.intake.accept(&caller, BodyForm::Json, body.as_bytes()).unwrap();
        let answers = Arc::clone(&self.answers);
        let reply = Box::new(move |answer| answers.lock().unwrap().push(answer));
        self.planner.offer(accepted, reply, &mut |_| {})
    }

    fn record(&mut self, number: u32) {
        self.offer(number);
        self.commit();
    }

    /// As much as can be in files is in files.
    fn settle(&self) {
        let rooms = &self.rest.rooms;
        while rooms.index.step(rooms.published().size).unwrap() != Progress::Idle {}
        rooms.vault.snapshot(rooms.published().size).unwrap();
    }

    fn read_all(&self) {
        for index in 0..self.rest.rooms.published().size {
            self.rest.rooms.reader.leaf_with_records(index).unwrap();
        }
    }

    fn erase(&mut self, number: u32) -> [u8; 16] {
        let user = format!("user-{number}");
        let handle = self.rest.rooms.vault.find_person("", "", &user).unwrap();
        let (tenant, by, purpose) = (String::new(), "k1".into(), "asked".into());
        let act = AdminAct::Erase { handle, tenant, by, purpose };
        self.planner.admin(&act, Box::new(|_| {})).unwrap();
        self.commit();
        handle
    }

    fn zero_frames(&self, handle: &[u8; 16]) -> bool {
        let size = self.rest.rooms.published().size;
        let ledger_id = &self.rest.identity.ledger_id;
        let slots = std::collections::BTreeSet::from([*handle]);
        erasure::zero_frames(&self.disk, ledger_id, &slots, size).is_ok()
    }
}

#[test]
fn a_block_forgot_what_a_start_in_a_new_segment_did_not_replay() {
    let disks = Disks::new();
    let mut sim = disks.open().unwrap();
    for number in 0..40 {
        sim.record(number);
    }
    sim.settle();
    drop(sim);
    disks.kill();
    let mut sim = disks.open().unwrap();
    sim.planner.seal_if_due(true).unwrap();
    sim.commit();
    let last = sim.rest.rooms.published().size - 1;
    let leaf = sim.rest.rooms.reader.leaf(last).unwrap();
    let Ok(Leaf::Block(block)) = Leaf::decode(&leaf) else { panic!("the last leaf is no block") };
    let first = Hlc::at(1_795_342_200_000_000_000);
    assert_eq!(block.min_occurred_at, Some(first));
    assert_eq!(block.max_occurred_at, Some(Hlc::at(first.nanos + 39)));
}

#[test]
fn a_duplicate_was_acknowledged_after_its_event_failed_to_be_written() {
    let disks = Disks::new();
    let mut sim = disks.open().unwrap();
    sim.record(0);
    sim.offer(1);
    let mut first = sim.planner.take();
    sim.offer(1);
    let mut second = sim.planner.take();
    disks.data.set_faults(Faults { sync_error_per_mille: 1000, ..Faults::default() });
    assert!(sim.rest.publisher.publish(&mut first).is_err());
    assert!(sim.rest.publisher.publish(&mut second).is_err());
    let answers = sim.answers.lock().unwrap();
    let stopped: Vec<bool> = answers.iter().map(|answer| answer.stopped.is_some()).collect();
    assert_eq!(stopped, [false, true, true]);
}

#[test]
fn an_older_vault_kept_the_ledger_from_opening() {
    let disks = Disks::new();
    let mut sim = disks.open().unwrap();
    sim.record(0);
    let slots: Vec<String> = disks.data.list("vault").unwrap();
    for number in 1..80 {
        sim.record(number);
    }
    drop(sim);
    disks.kill();
    for name in disks.data.list("vault").unwrap() {
        if !slots.contains(&name) {
            disks.data.remove(&format!("vault/{name}")).unwrap();
        }
    }
    let sim = disks.open().unwrap();
    sim.read_all();
}

#[test]
fn a_rebuild_of_the_tree_that_was_cut_off_was_believed() {
    let disks = Disks::new();
    let mut sim = disks.open().unwrap();
    for number in 0..30 {
        sim.record(number);
    }
    sim.planner.seal_if_due(true).unwrap();
    sim.commit();
    sim.settle();
    drop(sim);
    disks.kill();
    for name in disks.data.list("tree").unwrap() {
        disks.data.remove(&format!("tree/{name}")).unwrap();
    }
    disks.data.sync_dir("tree").unwrap();
    let mut cut_off = 0;
    for seed in 0..150 {
        let copy = disks.fork(seed);
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
    let disks = Disks::new();
    let mut sim = disks.open().unwrap();
    sim.record(0);
    drop(sim);
    disks.kill();
    let mut rotten = 0;
    for seed in 0..150 {
        let copy = disks.fork(seed);
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
        let disks = Disks { data: SimDisk::new(seed), ..Disks::new() };
        let after = Some(10 + seed % 10);
        disks.data.set_faults(Faults { power_off_after: after, ..Faults::default() });
        let failed = disks.open().is_err();
        let half = disks.data.image().keys().any(|path| path.starts_with("vault/slots-"));
        taken_over += u32::from(failed && half);
        disks.data.set_faults(Faults::default());
        // The process is started again; what it reads may be in the page cache only.
        disks.kill();
        let mut sim = disks.open().unwrap();
        sim.record(0);
        drop(sim);
        disks.data.crash(&mut Random::new(seed));
        let sim = disks.open().unwrap();
        sim.read_all();
        assert!(sim.rest.rooms.vault.find_person("", "", "user-0").is_some(), "seed {seed}");
    }
    assert!(taken_over > 0, "{taken_over}");
}

#[test]
fn a_second_erasure_lost_the_list_of_the_first() {
    let disks = Disks::new();
    let mut sim = disks.open().unwrap();
    for number in 0..3 {
        sim.record(number);
    }
    let mut failed = 0;
    for seed in 0..80 {
        let copy = disks.fork(seed);
        copy.data.kill();
        let mut sim = copy.open().unwrap();
        // The second one stands before the first, so that a scan finds it in spite of torn frames.
        let handles = [sim.erase(2), sim.erase(0)];
        copy.data.set_faults(Faults { short_write_per_mille: 300, ..Faults::default() });
        failed += u32::from(!sim.zero_frames(&handles[0]));
        copy.data.set_faults(Faults::default());
        assert!(sim.zero_frames(&handles[1]));
        drop(sim);
        copy.data.kill();
        let sim = copy.open().unwrap();
        sim.read_all();
        assert!(sim.zero_frames(&handles[0]));
        let erased = (0..sim.rest.rooms.published().size)
            .flat_map(|index| sim.rest.rooms.reader.leaf_with_records(index).unwrap().sealed)
            .filter(|sealed| sealed.erased)
            .count();
        assert_eq!(erased, 2, "seed {seed}");
    }
    assert!(failed > 5, "{failed}");
}

#[test]
fn a_rotten_hash_of_the_tree_was_linked_into_a_chain() {
    let disks = Disks::new();
    let mut sim = disks.open().unwrap();
    sim.record(0);
    let tip = sim.rest.rooms.published().size - 1;
    // A tip of late would be remembered, and nothing read.
    drop(sim);
    disks.data.kill();
    let mut sim = disks.open().unwrap();
    // Both records of the tip: the tree's hash, and the entry itself.
    let entry = sim.rest.rooms.store.position(tip).unwrap();
    let segment = format!("journal/{:08}.seg", entry.segment);
    let journal = u64::from(entry.offset) + 40;
    for (path, offset) in [("tree/0", tip * 32), (segment.as_str(), journal)] {
        disks.data.flip_bit(path, offset, 0).unwrap();
        assert!(matches!(sim.try_offer(1), Err(PlanError::Read(_))), "{path}");
        disks.data.flip_bit(path, offset, 0).unwrap();
    }
    sim.record(1);
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
    let scope = Scope { tenant: "a".into(), size: view.size(), at: None, judged_at: world.now() };
    let mut inquiry = Inquiry::new(&view, scope, Spending::default()).unwrap();
    let resource = Resource::Named("/r/1".into());
    let range = (i64::MIN, i64::MAX);
    let found = visitors(&mut inquiry, &resource, range, None, 10).unwrap();
    let found: Vec<_> =
        found.list.iter().map(|one| (one.token.id.as_str(), one.accesses.len())).collect();
    assert_eq!(found, [("eu:idp:jti:t0", 1)]);
}

/// What a follower says of the token `t0` after these events, each a second entry to the other.
fn noticed(events: &[(&str, u64)]) -> Vec<(&'static str, String)> {
    let mut world = lineage_world::World::new(1);
    for (number, (kind, second)) in events.iter().enumerate() {
        world.tell(&[act(&format!("n{number}"), kind, *second)]);
    }
    let mut follower = Follower::new(Saved::default(), Windows::default());
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
    let mut sim = Disks::new().open().unwrap();
    let caller = sim.caller();
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
        let intake = &sim.rest.intake;
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
    let mut sim = Disks::new().open().unwrap();
    let caller = sim.caller();
    let send = |number: u8, salt: [u8; 32], user: &str| {
        let (ip, user_agent, device, resource) = (None, None, None, None);
        let (user_id, attributes) = (Some(user), Vec::new());
        let record = PersonalRecord { salt, user_id, ip, user_agent, device, resource, attributes };
        let record = encode_object(Kind::Personal, &record);
        let target = Target { kind: TargetKind::Token, id: "eu:idp:jti:t" };
        let at = Hlc::at(1_795_000_000_000_000_000);
        let mut statement = Statement::new([number; 16], "idp", target, EventType::Used, at);
        let commitment = commitment(&record);
        statement.personal = vec![Personal { role: PersonalRole::Subject, commitment }];
        let statement = encode_object(Kind::Statement, &statement);
        let body = json!({
            "statement": STANDARD.encode(&statement), "personal": [STANDARD.encode(&record)],
        });
        let (intake, body) = (&sim.rest.intake, body.to_string());
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
    let file = sim.disk.open("quarantine/0.txt", OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("weak_salt") && !text.contains(&STANDARD.encode(kept)), "{text}");
}
