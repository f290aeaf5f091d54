//! The whole engine without threads, over the simulated disk: what is acknowledged is there after
//! every kind of stop, in order and once.

use std::sync::{Arc, Mutex};

use ledgerline_ledger::intake::{BodyForm, EventStatus, SubmitAnswer};
use ledgerline_ledger::opening::{LedgerConfig, World, open};
use ledgerline_ledger::planner::{AdminAct, BlockPace, NewKey, OpenedRest, Planner};
use ledgerline_proof::vocabulary::KeyPurpose;
use ledgerline_sim::{SimClock, SimDisk, SimEntropy};
use ledgerline_vault::keys::KeyRing;
use ledgerline_view::registry::{Caller, Roles, api_key_text, secret_hash};

struct Sim {
    disk: SimDisk,
    world: World,
    config: LedgerConfig,
    planner: Planner,
    rest: OpenedRest,
    clock: Arc<SimClock>,
}

fn open_on(disk: &SimDisk, head: &SimDisk, keys: &SimDisk, seed: u64) -> Sim {
    open_with(disk, head, keys, seed, 64 << 10)
}

fn open_with(disk: &SimDisk, head: &SimDisk, keys: &SimDisk, seed: u64, segment: u64) -> Sim {
    let entropy = Arc::new(SimEntropy::new(seed));
    let clock =
        Arc::new(SimClock::new(1_763_000_000_000_000_000 + seed.cast_signed() * 1_000_000_000));
    let ring = KeyRing::open_or_create(keys, entropy.as_ref()).unwrap();
    let world = World {
        disk: Arc::new(disk.clone()),
        head_disk: Arc::new(head.clone()),
        clock: clock.clone(),
        entropy,
        keys: Arc::new(ring),
    };
    let mut config = LedgerConfig { segment_bytes: segment, vault_slots: 8, ..Default::default() };
    config.index.range_log2 = 4;
    let opened = open(&world, &config).unwrap();
    let (planner, rest) = Planner::new(opened, &world, BlockPace::default());
    Sim { disk: disk.clone(), world, config, planner, rest, clock }
}

impl Sim {
    fn commit(&mut self) {
        let mut batch = self.planner.take();
        self.rest.publisher.publish(&mut batch).unwrap();
        self.planner.published();
    }

    fn producer(&mut self) -> Caller {
        let secret = [7; 32];
        let key = NewKey {
            key_id: "k1".into(),
            purpose: KeyPurpose::Credential,
            alg: 0,
            tenant: "*".into(),
            source: "idp".into(),
            roles: Roles::PRODUCER,
            types: Vec::new(),
            issuers: Vec::new(),
            regions: Vec::new(),
            signed_only: false,
            strict: false,
            expires_at: None,
            public_key: None,
            secret_hash: Some(secret_hash(&secret)),
        };
        if self.rest.rooms.registry.key("k1").is_none() {
            self.planner.admin(&AdminAct::AddKey(Box::new(key)), Box::new(|_| {})).unwrap();
            self.commit();
        }
        self.rest.rooms.registry.authenticate(&api_key_text("k1", &secret), 0).unwrap()
    }

    fn submit(&mut self, body: &str) -> SubmitAnswer {
        let caller = self.producer();
        let form = if body.contains('\n') { BodyForm::Ndjson } else { BodyForm::Json };
        let accepted = self.rest.intake.accept(&caller, form, body.as_bytes()).unwrap();
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        let reply = Box::new(move |answer| *slot.lock().unwrap() = Some(answer));
        self.planner.offer(accepted, reply, &mut |_| {}).unwrap();
        self.commit();
        answer.lock().unwrap().take().expect("answered at the commit")
    }
}

fn event(n: u32, token: u32, kind: &str) -> String {
    format!(
        "{{\"event_id\":\"01932f6e-7c1a-7b3e-9a55-{n:012x}\",\"type\":\"{kind}\",\
         \"token_id\":\"eu:idp:jti:t{token}\",\"occurred_at\":\"2026-11-22T10:10:00.{n:09}Z\",\
         \"personal\":[{{\"role\":\"SUBJECT\",\"user_id\":\"user-{token}\",\
         \"ip\":\"203.0.113.7\"}}]}}"
    )
}

#[test]
fn what_is_acknowledged_survives_every_stop() {
    let (disk, head, keys) = (SimDisk::new(1), SimDisk::new(2), SimDisk::new(3));
    let mut recorded = Vec::new();
    for round in 0..12u32 {
        let mut sim = open_on(&disk, &head, &keys, u64::from(round) + 10);
        for n in 0..20 {
            let id = round * 20 + n;
            let answer = sim.submit(&event(id, id % 7, if id < 7 { "ISSUED" } else { "USED" }));
            assert_eq!(answer.events[0].status, EventStatus::Recorded, "{answer:?}");
            recorded.push((id, answer.events[0].clone()));
            if n % 9 == 0 {
                sim.planner.seal_if_due(true).unwrap();
                sim.commit();
            }
            sim.clock.advance(1_000_000);
            while sim.rest.rooms.index.step(sim.rest.rooms.published().size).unwrap()
                != ledgerline_index::Progress::Idle
            {}
        }
        for (id, first) in &recorded {
            let again = sim.submit(&event(*id, id % 7, if *id < 7 { "ISSUED" } else { "USED" }));
            let again = &again.events[0];
            assert_eq!(again.status, EventStatus::Duplicate, "{again:?}");
            assert_eq!(
                (again.index, again.sequence, again.event_hash),
                (first.index, first.sequence, first.event_hash)
            );
        }
        let _ = (&sim.world, &sim.config, &sim.disk);
        drop(sim);
        if round % 2 == 0 {
            disk.kill();
        } else {
            disk.crash(&mut ledgerline_sim::Random::new(u64::from(round)));
        }
    }
}

/// A start reads from the last commit in front of what is not derived yet, if the tree files give
/// that commit's root; otherwise from the segment's beginning. Told apart by a flipped bit near the
/// beginning, which only the longer way sees.
#[test]
fn a_start_reads_no_more_than_it_needs() {
    let (disk, head, keys) = (SimDisk::new(1), SimDisk::new(2), SimDisk::new(3));
    let mut sim = open_with(&disk, &head, &keys, 5, 1 << 20);
    for id in 0..60 {
        let answer = sim.submit(&event(id, id % 7, if id < 7 { "ISSUED" } else { "USED" }));
        assert_eq!(answer.events[0].status, EventStatus::Recorded, "{answer:?}");
        sim.clock.advance(1_000_000);
    }
    sim.planner.seal_if_due(true).unwrap();
    sim.commit();
    let published = sim.rest.rooms.published();
    while sim.rest.rooms.index.step(published.size).unwrap() != ledgerline_index::Progress::Idle {}
    sim.rest.rooms.vault.snapshot(published.size).unwrap();
    sim.rest.rooms.store.sync(published.size).unwrap();
    let early = u64::from(sim.rest.rooms.store.position(30).unwrap().offset) + 20;
    let segment = sim.rest.rooms.store.position(30).unwrap().segment;
    let newest = sim.rest.rooms.store.position(published.size - 1).unwrap();
    assert_eq!(newest.segment, segment, "all of it in one segment");
    let bit = |disk: &SimDisk, path: &str, offset| disk.flip_bit(path, offset, 3).unwrap();
    let journal = format!("journal/{segment:08}.seg");
    let check = |what: &str, opens: bool, change: &dyn Fn(&SimDisk)| {
        let disk = disk.fork(9);
        change(&disk);
        let world = World { disk: Arc::new(disk), ..sim.world.clone() };
        match (open(&world, &sim.config), opens) {
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
    let (disk, head, keys) = (SimDisk::new(1), SimDisk::new(2), SimDisk::new(3));
    let mut sim = open_on(&disk, &head, &keys, 10);
    let long = |length: usize| "x".repeat(length);
    let plain = event(1, 1, "USED");
    let attribute =
        plain.replace(r#""ip":"#, &format!(r#""attributes":{{"{}":"a"}},"ip":"#, long(2 << 20)));
    let (before, after) = plain.split_once(r#""type""#).unwrap();
    assert!(before.contains("event_id"));
    let native = format!(r#"{{"native_id":"{}","type"{after}"#, long(70_000));
    for body in [attribute, native] {
        let answer = sim.submit(&body);
        let error = answer.events[0].error.as_ref().expect("refused");
        assert_eq!((answer.events[0].status, error.code), (EventStatus::Refused, "bad_field"));
    }
    assert_eq!(sim.submit(&plain).events[0].status, EventStatus::Recorded);
}

/// The word that marks a signed submission may stand in any event.
#[test]
fn an_event_about_a_statement_is_no_signed_submission() {
    let (disk, head, keys) = (SimDisk::new(1), SimDisk::new(2), SimDisk::new(3));
    let mut sim = open_on(&disk, &head, &keys, 10);
    let body = event(1, 1, "USED").replace(r#""type""#, r#""action":"statement","type""#);
    let answer = sim.submit(&body);
    assert_eq!(answer.events[0].status, EventStatus::Recorded, "{answer:?}");
    let signed = r#"{"statement":"AA=="}"#;
    let answer = sim.submit(signed);
    assert_eq!(answer.events[0].error.as_ref().expect("refused").code, "unknown_schema");
}
