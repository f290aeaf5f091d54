//! Behind a published checkpoint: a restored older copy is refused, and with consent continued by a
//! new origin that names the old one. Nothing of the old one is forgotten, at whatever moment the
//! move is cut off.

use std::sync::{Arc, Mutex};

use ledgerline_index::terms::{OfLife, chain_term};
use ledgerline_index::{Index, IndexConfig, Progress, ReadBudget};
use ledgerline_journal::recovery::RecoverError;
use ledgerline_ledger::intake::{BodyForm, EventAnswer, EventStatus};
use ledgerline_ledger::opening::{LedgerConfig, OpenError, World, open};
use ledgerline_ledger::planner::{AdminAct, BlockPace, NewKey, OpenedRest, Planner};
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::checkpoint;
use ledgerline_proof::control::Control;
use ledgerline_proof::lifecycle::State;
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::tree;
use ledgerline_proof::vocabulary::{KeyPurpose, TargetKind};
use ledgerline_questions::life::{Judgement, life_of};
use ledgerline_questions::lineage::{Bounds, Direction, Inquiry, Scope, Spending, relatives};
use ledgerline_questions::{Pivot, pivot};
use ledgerline_sim::{Faults, Random, SimClock, SimDisk, SimEntropy, Snapshot};
use ledgerline_vault::keys::KeyRing;
use ledgerline_verify::{
    Severity, Verdict, VerifyFinding, VerifyOptions, VerifyReport, VerifyWorld, verify,
};
use ledgerline_view::registry::{Roles, api_key_text, secret_hash};
use ledgerline_view::view::{PageRequest, QueryError, View};
use ledgerline_world::disk::Disk;

const FIRST: &str = "ledgerline.test/first";
const SECOND: &str = "ledgerline.test/second";
const THIRD: &str = "ledgerline.test/third";
const SECRET: [u8; 32] = [7; 32];

#[derive(Clone)]
struct Disks {
    data: SimDisk,
    head: SimDisk,
    keys: SimDisk,
}

struct Sim {
    disks: Disks,
    planner: Planner,
    rest: OpenedRest,
}

impl Disks {
    fn new() -> Self {
        Self { data: SimDisk::new(1), head: SimDisk::new(2), keys: SimDisk::new(3) }
    }

    fn fork(&self, seed: u64) -> Self {
        let [data, head, keys] = [&self.data, &self.head, &self.keys].map(|one| one.fork(seed));
        Self { data, head, keys }
    }

    fn verify(&self) -> VerifyReport {
        let world = VerifyWorld {
            disk: Arc::new(self.data.clone()),
            keys: Some(self.world().keys),
            head: Some(Arc::new(self.head.clone())),
        };
        verify(&world, &VerifyOptions { threads: 1, ..VerifyOptions::default() })
    }

    fn assert_verified(&self) {
        let report = self.verify();
        assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    }

    fn world(&self) -> World {
        let entropy = Arc::new(SimEntropy::new(self.data.change_count()));
        let ring = KeyRing::open_or_create(&self.keys, entropy.as_ref()).unwrap();
        World {
            disk: Arc::new(self.data.clone()),
            head_disk: Arc::new(self.head.clone()),
            clock: Arc::new(SimClock::new(1_795_400_000_000_000_000)),
            entropy,
            keys: Arc::new(ring),
        }
    }

    fn open(&self, new_origin: Option<&str>) -> Result<Sim, OpenError> {
        let world = self.world();
        let mut config = LedgerConfig {
            origin: FIRST.into(),
            segment_bytes: 4096,
            vault_slots: 4,
            new_origin: new_origin.map(str::to_owned),
            ..LedgerConfig::default()
        };
        config.index.range_log2 = 3;
        let opened = open(&world, &config)?;
        let (planner, rest) = Planner::new(opened, &world, BlockPace::default());
        let mut sim = Sim { disks: self.clone(), planner, rest };
        if sim.rest.rooms.registry.key("k1").is_none() {
            sim.add_key("k1");
        }
        Ok(sim)
    }
}

impl Sim {
    fn commit(&mut self) {
        let mut batch = self.planner.take();
        self.rest.publisher.publish(&mut batch).unwrap();
        self.planner.published();
        let rooms = &self.rest.rooms;
        while rooms.index.step(rooms.published().size).unwrap() != Progress::Idle {}
    }

    fn admin(&mut self, act: &AdminAct) {
        self.planner
            .admin(act, Box::new(|answer| assert!(answer.events[0].error.is_none())))
            .unwrap();
        self.commit();
    }

    fn add_key(&mut self, key_id: &str) {
        self.admin(&AdminAct::AddKey(Box::new(NewKey {
            key_id: key_id.into(),
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
            secret_hash: Some(secret_hash(&SECRET)),
        })));
    }

    fn send(&mut self, n: u32, token: u32, kind: &str) -> EventAnswer {
        self.send_with(n, token, kind, "")
    }

    fn send_with(&mut self, n: u32, token: u32, kind: &str, more: &str) -> EventAnswer {
        let body = format!(
            "{{\"event_id\":\"01932f6e-7c1a-7b3e-9a55-{n:012x}\",\"type\":\"{kind}\",\
             \"token_id\":\"eu:idp:jti:t{token}\",\"occurred_at\":\"2026-11-22T10:10:00.{n:09}Z\",\
             \"personal\":[{{\"role\":\"SUBJECT\",\"user_id\":\"user-{token}\"}}]{more}}}"
        );
        let registry = &self.rest.rooms.registry;
        let caller = registry.authenticate(&api_key_text("k1", &SECRET), 0).unwrap();
        let accepted = self.rest.intake.accept(&caller, BodyForm::Json, body.as_bytes()).unwrap();
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        let reply = Box::new(move |answer| *slot.lock().unwrap() = Some(answer));
        self.planner.offer(accepted, reply, &mut |_| {}).unwrap();
        self.commit();
        answer.lock().unwrap().take().expect("answered at the commit").events.remove(0)
    }

    fn block(&mut self) {
        self.planner.seal_if_due(true).unwrap();
        self.commit();
    }

    /// As a clean shutdown does.
    fn stop(mut self) {
        self.block();
        let rooms = &self.rest.rooms;
        let published = rooms.published();
        self.rest.head.write(published.checkpoint.as_bytes()).unwrap();
        rooms.vault.snapshot(rooms.position(published.size)).unwrap();
        rooms.store.sync(published.size).unwrap();
        drop(self.rest);
        self.disks.assert_verified();
        self.disks.data.kill();
        self.disks.head.kill();
    }

    fn view(&self) -> View {
        let terms = Arc::clone(&self.rest.terms);
        View::new(Arc::clone(&self.rest.rooms), terms, self.rest.identity.clone())
    }

    fn state(&self, token: u32) -> State {
        let page = PageRequest { after: None, limit: 100 };
        let life =
            life_of(&self.view(), "", &format!("eu:idp:jti:t{token}"), None, NOW, page).unwrap();
        life.expect("it is known").known.state
    }
}

/// No time matters here.
const NOW: Judgement = Judgement { at: 0, by: i64::MAX };

/// Events of the first origin: number, token, kind. Token 2 is revoked.
const OLD: [(u32, u32, &str); 6] = [
    (1, 1, "ISSUED"),
    (2, 2, "ISSUED"),
    (3, 1, "USED"),
    (4, 2, "REVOKED"),
    (5, 3, "ISSUED"),
    (6, 3, "USED"),
];

/// A ledger whose copy was restored: the head store has seen two more events and their blocks.
fn behind() -> (Disks, Vec<EventAnswer>) {
    let disks = Disks::new();
    let mut sim = disks.open(None).unwrap();
    let answers = OLD.map(|(n, token, kind)| sim.send(n, token, kind)).to_vec();
    sim.stop();
    let copy = disks.data.snapshot();
    let mut sim = disks.open(None).unwrap();
    sim.send(7, 1, "REVOKED");
    sim.send(8, 9, "ISSUED");
    sim.stop();
    restore(&disks, &copy);
    (disks, answers)
}

fn restore(disks: &Disks, copy: &Snapshot) {
    disks.data.restore(copy);
}

#[test]
fn without_consent_a_restored_copy_is_refused_and_unchanged() {
    let (disks, _) = behind();
    let refused = disks.open(None).err().expect("refused");
    assert!(matches!(refused, OpenError::Recover(RecoverError::BehindHead { .. })), "{refused}");
    assert!(refused.to_string().contains("new_origin"), "{refused}");
    assert!(disks.data.list("origins").unwrap().is_empty());
}

#[test]
fn a_name_that_is_taken_and_a_ledger_that_is_not_behind_are_refused() {
    let (disks, _) = behind();
    let check = |disks: &Disks, name: &str, part: &str| {
        let refused = disks.open(Some(name)).err().expect(name).to_string();
        assert!(refused.contains(part), "{name}: {refused}");
    };
    // The ledger's own name means an ordinary start, which is refused as without a name.
    check(&disks, FIRST, "older copy or a truncated one");
    check(&disks, "no name\n", "cannot name a log");
    disks.open(Some(SECOND)).unwrap().stop();
    // Now it lives under that name: the setting may stay.
    disks.open(Some(SECOND)).unwrap().stop();
    check(&disks, FIRST, "has this name already");
    check(&disks, THIRD, "no new origin is needed");
    check(&Disks::new(), SECOND, "no ledger to continue");
}

/// The runs of an older origin as a program left them that found entries by other things: they are
/// built anew, and lead to what decides about its tokens.
#[test]
fn runs_of_an_older_origin_by_another_choice_of_terms_are_built_anew() {
    let (disks, _) = behind();
    let sim = disks.open(Some(SECOND)).unwrap();
    let older = |sim: &Sim| sim.view().origins().remove(0);
    let (before, size) = (older(&sim).rooms().index.run_files(), older(&sim).size());
    assert!(!before.is_empty());
    sim.stop();
    let folder = "origins/0/index";
    assert!(!disks.data.list(folder).unwrap().is_empty());
    let config = IndexConfig { range_log2: 3, identity: [1; 16], ..IndexConfig::default() };
    let (index, covered) = Index::open(Arc::new(disks.data.clone()), folder, config).unwrap();
    assert_eq!(covered, 0);
    index.append(0, size, &[]);
    while index.step(size).unwrap() != Progress::Idle {}
    drop(index);
    let sim = disks.open(Some(SECOND)).unwrap();
    assert_eq!(older(&sim).rooms().index.run_files(), before);
    let key = ChainKey { kind: TargetKind::Token, tenant: "", id: b"eu:idp:jti:t2" };
    let acts = OfLife::Acts.term(&chain_term(&sim.rest.terms, &key));
    let budget = &mut ReadBudget::new(100);
    let found = older(&sim).rooms().index.postings(&acts, 0..size, 10, budget).unwrap();
    assert_eq!(found.indexes.len(), 2, "ISSUED and REVOKED");
    assert_eq!(sim.state(2), State::Revoked);
    sim.stop();
}

#[test]
fn questions_read_all_origins_oldest_first() {
    let (disks, _) = behind();
    let mut sim = disks.open(Some(SECOND)).unwrap();
    let link = r#","links":[{"token_id":"eu:idp:jti:t1","relation":"REFRESHED_FROM",
        "strength":"ASSERTED"}],"session_id":"s-1""#;
    sim.send_with(50, 20, "ISSUED", link);
    sim.send(51, 1, "USED");
    sim.block();
    let view = sim.view();
    assert!(view.base() > 0, "there is an older origin");
    let ask = |size: u64| {
        let scope = Scope { tenant: String::new(), size, at: None, judged_at: 0 };
        Inquiry::new(&view, scope, Spending::default()).unwrap()
    };
    let id = "eu:idp:jti:t1";
    let inquiry = &mut ask(view.end());
    let token = inquiry.token(id).unwrap();
    let older = |index: &u64| *index < view.base();
    let places: Vec<u64> = token.records.iter().map(|record| record.index).collect();
    assert_eq!(places.iter().filter(|place| older(place)).count(), 2, "{places:?}");
    assert_eq!(places.len(), 3, "and one in the newest: {places:?}");
    let found = relatives(inquiry, id, Direction::Descendants, Bounds::default()).unwrap();
    let found = found.unwrap();
    let ids: Vec<&str> = found.relatives.iter().map(|one| &*one.token.id).collect();
    assert_eq!(ids, [id, "eu:idp:jti:t20"]);
    // As of the end of the older origin it had no child.
    let inquiry = &mut ask(view.base());
    let found = relatives(inquiry, id, Direction::Descendants, Bounds::default()).unwrap();
    assert_eq!(found.unwrap().relatives.len(), 1);
    let (origin, index) = view.at_position(places[0]);
    assert_eq!((&*origin.identity().origin, index), (FIRST, places[0]));
    let (origin, index) = view.at_position(places[2]);
    assert_eq!((&*origin.identity().origin, index), (SECOND, places[2] - view.base()));
    // A person's tokens come from all origins, and a page ends where it must.
    let subject = token.facts.subject.expect("a person");
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(from) = after {
        let what = Pivot::Handle(subject);
        let (page, next) = pivot(&mut ask(view.end()), &what, from, 1).unwrap();
        all.extend(page.iter().map(|record| record.index));
        after = next;
    }
    assert_eq!(all, places);
    let (first, _) = ask(view.end())
        .find_event("idp", &event_id(1))
        .unwrap()
        .map(|at| view.at_position(at))
        .expect("an event of the older origin");
    assert_eq!(&*first.identity().origin, FIRST);
    assert!(matches!(
        Inquiry::new(
            &view,
            Scope { tenant: String::new(), size: view.end() + 1, at: None, judged_at: 0 },
            Spending::default()
        ),
        Err(QueryError::OutOfRange(_))
    ));
}

fn event_id(n: u32) -> [u8; 16] {
    let text = format!("01932f6e7c1a7b3e9a55{n:012x}");
    u128::from_str_radix(&text, 16).unwrap().to_be_bytes()
}

#[test]
fn the_new_origin_continues_the_old_one() {
    let (disks, answers) = behind();
    let mut sim = disks.open(Some(SECOND)).unwrap();
    check_continued(&mut sim, &answers);
    sim.stop();
    // Also after a restart, without the setting, and with everything lost that may be lost.
    for lost in [&[][..], &["tree", "index", "origins/0/tree", "origins/0/index"], &["vault/map"]] {
        for path in disks.data.image().keys() {
            if lost.iter().any(|what| path.starts_with(what)) {
                disks.data.remove(path).unwrap();
            }
        }
        disks.data.crash(&mut Random::new(1));
        let mut sim = disks.open(None).unwrap();
        check_continued(&mut sim, &answers);
        sim.stop();
    }
}

/// What holds from the first start of the second origin on.
fn check_continued(sim: &mut Sim, answers: &[EventAnswer]) {
    let view = sim.view();
    let origins = view.origins();
    let names: Vec<&str> = origins.iter().map(|one| &*one.identity().origin).collect();
    assert_eq!(names, [FIRST, SECOND]);
    let leaf = view.leaf(0).unwrap();
    let genesis = decode_object::<Control<'_>>(Kind::Control, &leaf).unwrap().genesis.unwrap();
    let named = genesis.predecessor.expect("it names its predecessor");
    assert_eq!(named.origin, FIRST);
    let key = VerifierKey::parse(&origins[0].identity().log_key).unwrap();
    let known = std::slice::from_ref(&key);
    let opened = checkpoint::open(named.checkpoint.as_bytes(), known).unwrap();
    assert!(opened.checkpoint.size() > origins[0].size(), "it covers what is lost");
    // Idempotency over both: place and hash of the first time, and which origin.
    for ((n, token, kind), first) in OLD.iter().zip(answers) {
        let again = sim.send(*n, *token, kind);
        assert_eq!(again.status, EventStatus::Duplicate, "{again:?}");
        assert_eq!(again.origin.as_deref(), Some(FIRST));
        assert_eq!(
            (again.index, again.sequence, again.event_hash),
            (first.index, first.sequence, first.event_hash)
        );
    }
    let conflict = sim.send(3, 1, "REVOKED");
    assert_eq!(conflict.error.expect("refused").code, "event_id_conflict");
    // Chains restart at sequence 0, states go on; the lost revocation is lost.
    let next = sim.send(20, 1, "USED");
    assert_eq!((next.sequence, next.origin), (Some(0), None));
    assert_eq!(sim.send(21, 1, "USED").sequence, Some(1));
    assert_eq!(
        [1, 2, 3].map(|token| sim.state(token)),
        [State::Active, State::Revoked, State::Active]
    );
    let page = PageRequest { after: None, limit: 2 };
    let life = life_of(&sim.view(), "", "eu:idp:jti:t1", None, NOW, page).unwrap().unwrap();
    let shown: Vec<_> = life.events.iter().map(|one| &*one.origin).collect();
    assert_eq!((shown, life.total), (vec![FIRST, FIRST], 4));
    let page = PageRequest { after: life.next, limit: 10 };
    let life = life_of(&sim.view(), "", "eu:idp:jti:t1", None, NOW, page).unwrap().unwrap();
    let shown: Vec<_> = life.events.iter().map(|one| &*one.origin).collect();
    assert_eq!((shown, life.next), (vec![SECOND, SECOND], None));
    // Proofs of old events stand against the old origin's last checkpoint.
    let (old, index) = sim.view().locate_event("", "idp", &id(3)).unwrap().unwrap();
    let proof = old.proof(index).unwrap();
    let opened = checkpoint::open(proof.checkpoint.as_bytes(), known).unwrap().checkpoint;
    let hash = answers[2].event_hash.unwrap();
    tree::check_inclusion(index, opened.size(), &hash, &proof.path, &opened.root()).unwrap();
}

fn id(n: u32) -> [u8; 16] {
    let mut id = [0x01, 0x93, 0x2f, 0x6e, 0x7c, 0x1a, 0x7b, 0x3e, 0x9a, 0x55, 0, 0, 0, 0, 0, 0];
    id[12..].copy_from_slice(&n.to_be_bytes());
    id
}

#[test]
fn a_third_origin_continues_the_second() {
    let (disks, answers) = behind();
    let mut sim = disks.open(Some(SECOND)).unwrap();
    sim.send(30, 5, "ISSUED");
    sim.stop();
    let copy = disks.data.snapshot();
    let mut sim = disks.open(None).unwrap();
    sim.send(31, 5, "REVOKED");
    sim.stop();
    restore(&disks, &copy);
    assert!(disks.open(None).is_err(), "behind again");
    let mut sim = disks.open(Some(THIRD)).unwrap();
    for (n, origin) in [(2, FIRST), (30, SECOND)] {
        let (token, kind) = if n == 2 { (2, "ISSUED") } else { (5, "ISSUED") };
        let again = sim.send(n, token, kind);
        assert_eq!((again.status, again.origin.as_deref()), (EventStatus::Duplicate, Some(origin)));
    }
    assert_eq!(sim.send(31, 5, "REVOKED").sequence, Some(0));
    assert_eq!((sim.state(5), sim.state(2)), (State::Revoked, State::Revoked));
    assert_eq!(sim.view().origins().len(), 3);
    assert_eq!(sim.send(1, 1, "ISSUED").event_hash, answers[0].event_hash);
    sim.stop();
    disks.open(Some(THIRD)).unwrap().stop();
}

#[test]
fn keys_carry_on_with_their_ends() {
    let disks = Disks::new();
    let mut sim = disks.open(None).unwrap();
    sim.add_key("k2");
    let end = |key_id: &str| AdminAct::EndKey {
        key_id: key_id.into(),
        compromised: true,
        reason: Some("leaked".into()),
    };
    sim.admin(&end("k2"));
    sim.send(1, 1, "ISSUED");
    sim.stop();
    let copy = disks.data.snapshot();
    let mut sim = disks.open(None).unwrap();
    sim.admin(&end("k1"));
    sim.stop();
    restore(&disks, &copy);
    let sim = disks.open(Some(SECOND)).unwrap();
    let registry = &sim.rest.rooms.registry;
    let (k1, k2) = (registry.key("k1").unwrap(), registry.key("k2").unwrap());
    // What was said of k1 in the lost part is lost.
    assert_eq!((k1.valid_until, k1.compromised), (None, false));
    assert!(k2.compromised && k2.valid_until.is_some(), "{k2:?}");
    assert!(k1.valid_from < sim.view().size(), "announced in this origin");
    assert!(registry.authenticate(&api_key_text("k2", &SECRET), 0).is_err());
    assert!(registry.authenticate(&api_key_text("k1", &SECRET), 0).is_ok());
}

/// What a producer signed before the loss can be sent again, with the checkpoint it had seen then.
#[test]
fn a_checkpoint_seen_of_an_older_origin_is_no_foreign_one() {
    let (disks, _) = behind();
    let mut sim = disks.open(Some(SECOND)).unwrap();
    let seen = |origin: &str| {
        let root = "ab".repeat(32);
        format!(",\"seen\":{{\"origin\":\"{origin}\",\"size\":5,\"root\":\"{root}\"}}")
    };
    let answer = sim.send_with(60, 6, "ISSUED", &seen(FIRST));
    assert_eq!(answer.status, EventStatus::Recorded, "{answer:?}");
    let answer = sim.send_with(61, 6, "USED", &seen(THIRD));
    assert_eq!(answer.error.expect("refused").code, "wrong_deployment");
    sim.stop();
}

/// Erasing reaches the sealed frames of all origins, and a person keeps the handle.
#[test]
fn erasing_reaches_older_origins() {
    let (disks, _) = behind();
    let mut sim = disks.open(Some(SECOND)).unwrap();
    sim.send(40, 1, "USED");
    let vault = Arc::clone(&sim.rest.rooms.vault);
    let handle = vault.find_person("", "", "user-1").expect("known from the first origin");
    let sealed = |sim: &Sim, n: u32| {
        let (view, index) = sim.view().locate_event("", "idp", &id(n)).unwrap().unwrap();
        view.event(index).unwrap().unwrap().sealed.remove(0)
    };
    for n in [1, 40] {
        assert_eq!((sealed(&sim, n).slot, sealed(&sim, n).erased), (handle, false));
    }
    sim.admin(&AdminAct::Erase {
        handle,
        tenant: String::new(),
        by: "k1".into(),
        purpose: "case 1".into(),
    });
    sim.stop();
    // The frames are zeroed by the start that finds the ERASED.
    let sim = disks.open(None).unwrap();
    for n in [1, 3, 40] {
        assert!(sealed(&sim, n).erased);
        let (view, index) = sim.view().locate_event("", "idp", &id(n)).unwrap().unwrap();
        let stored = view.rooms().reader.leaf_with_records(index).unwrap();
        assert!(stored.sealed[0].sealed.iter().all(|byte| *byte == 0), "event {n}");
    }
    assert!(!sealed(&sim, 5).erased, "another person");
}

/// A slot that the lost part may have given to somebody is never given to somebody else.
#[test]
fn free_slots_of_the_copy_are_not_given_out_again() {
    let disks = Disks::new();
    let mut sim = disks.open(None).unwrap();
    sim.send(1, 1, "ISSUED");
    sim.stop();
    let copy = disks.data.snapshot();
    let mut sim = disks.open(None).unwrap();
    sim.send(2, 2, "ISSUED");
    let lost = sim.rest.rooms.vault.find_person("", "", "user-2").unwrap();
    sim.stop();
    restore(&disks, &copy);
    for lose_map in [false, true] {
        let mut sim = disks.open(Some(SECOND)).unwrap();
        let n = if lose_map { 4 } else { 3 };
        sim.send(n, n, "ISSUED");
        let vault = &sim.rest.rooms.vault;
        let given = vault.find_person("", "", &format!("user-{n}")).unwrap();
        assert_ne!(given, lost);
        sim.stop();
        disks.data.remove("vault/map").unwrap();
    }
}

/// Wherever the power goes while the new origin begins, the next start finishes what was begun, or
/// nothing was.
#[test]
fn a_move_that_is_cut_off_is_finished() {
    let (disks, answers) = behind();
    let (data, head) = (disks.data.change_count(), disks.head.change_count());
    let trial = disks.fork(1);
    trial.open(Some(SECOND)).unwrap();
    let steps = trial.data.change_count() - data;
    let head_steps = trial.head.change_count() - head;
    assert!(steps > 40 && head_steps > 4, "{steps} and {head_steps}");
    let mut finished = 0;
    let data_cuts = (0..steps).map(|after| (Some(after), None));
    for (seed, (data, head)) in
        (10..).zip(data_cuts.chain((0..head_steps).map(|after| (None, Some(after)))))
    {
        let disks = disks.fork(seed);
        let off = |after| Faults { power_off_after: after, ..Faults::default() };
        disks.data.set_faults(off(data));
        disks.head.set_faults(off(head));
        let cut = disks.open(Some(SECOND)).err();
        assert!(cut.is_some(), "cut after {data:?} {head:?}");
        for (disk, cut) in [(&disks.data, data), (&disks.head, head)] {
            disk.set_faults(Faults::default());
            if cut.is_some() {
                disk.crash(&mut Random::new(seed));
            } else {
                disk.kill();
            }
        }
        let before = disks.verify();
        // The note of what is synced is overwritten where it stands: cut in the middle it is lost,
        // which costs the next start time and nothing else.
        let is_lost_note = |one: &VerifyFinding| one.file.ends_with("/tree/whole");
        let of_older = |one: &&VerifyFinding| one.origin.is_some() && !is_lost_note(one);
        let counts = |one: &&VerifyFinding| one.severity < Severity::Notice;
        let broken = before.findings.iter().filter(counts).find(of_older);
        assert!(broken.is_none(), "{data:?} {head:?} {before:#?}");
        if disks.data.exists("origins/moving").unwrap() {
            let lost = before.findings.iter().any(is_lost_note);
            let due = if lost { Verdict::NotVerified } else { Verdict::Incomplete };
            assert_eq!(before.verdict, due, "{before:#?}");
        }
        let mut sim = match disks.open(None) {
            Ok(sim) => sim,
            Err(error) => {
                let behind = matches!(error, OpenError::Recover(RecoverError::BehindHead { .. }));
                assert!(behind, "cut after {data:?} {head:?}: {error}");
                finished += 1;
                disks.open(Some(SECOND)).unwrap()
            }
        };
        check_continued(&mut sim, &answers);
        sim.stop();
    }
    assert!(finished > 5 && finished < steps, "{finished} of {steps} began anew");
}

/// What is done to the files of an older origin, or to its folder, is found and named.
#[test]
fn tampering_with_an_older_origin_is_found() {
    let (disks, _) = behind();
    let mut sim = disks.open(Some(SECOND)).unwrap();
    sim.send(50, 5, "ISSUED");
    sim.stop();
    let report = disks.verify();
    let [old] = &report.predecessors[..] else { panic!("{report:#?}") };
    assert_eq!((&*old.origin, old.verdict, old.findings), (FIRST, Verdict::Verified, 0));
    assert!(old.published_size > Some(old.size) && old.counts.events >= 6, "{old:?}");
    assert_eq!((&*report.origin, report.counts.events), (SECOND, 1));
    let check = |what: &str, damage: &dyn Fn(&SimDisk, &SimDisk), file: &str| {
        let disks = disks.fork(9);
        damage(&disks.data, &disks.head);
        let report = disks.verify();
        assert_eq!(report.verdict, Verdict::NotVerified, "{what}: {report:#?}");
        let named = report.findings.iter().any(|one| one.file.starts_with(file));
        assert!(named, "{what}: {:#?}", report.findings);
        report
    };
    let image = disks.data.image();
    for path in image.keys().filter(|path| path.starts_with("origins/0/")) {
        let bytes = &image[path];
        // Zeros behind a tree file's end have no meaning; every byte elsewhere has.
        for at in [0, bytes.len() / 3, bytes.len() / 2].map(|at| at as u64) {
            if bytes.is_empty() || path.contains("erasures") {
                continue;
            }
            let flip = |data: &SimDisk, _: &SimDisk| data.flip_bit(path, at, 1).unwrap();
            let report = check(&format!("{path} at {at}"), &flip, "origins/0");
            let finding = report.findings.iter().find(|one| one.origin.is_some());
            if !path.ends_with("/end") {
                assert_eq!(finding.unwrap().origin.as_deref(), Some(FIRST), "{path}");
            }
        }
    }
    let token = b"eu:idp:jti:t2";
    let holds = |bytes: &[u8]| bytes.windows(token.len()).position(|window| window == token);
    let mut journal = image.iter().filter(|(path, _)| path.starts_with("origins/0/journal/"));
    let (path, at) = journal.find_map(|(path, bytes)| Some((path, holds(bytes)?))).unwrap();
    let changed = |data: &SimDisk, _: &SimDisk| data.flip_bit(path, at as u64, 1).unwrap();
    let report = check("an entry", &changed, path);
    assert!(report.first_bad_index.is_some(), "{report:#?}");
    assert_eq!(report.first_bad_index, report.predecessors[0].first_bad_index);
    let removed = |data: &SimDisk, _: &SimDisk| {
        for path in data.image().keys().filter(|path| path.starts_with("origins/")) {
            data.remove(path).unwrap();
        }
    };
    let report = check("the folder is gone", &removed, "origins/0");
    assert!(
        report.findings.iter().any(|one| one.code == "predecessor" && one.what.contains(FIRST))
    );
    let cut = |data: &SimDisk, _: &SimDisk| {
        let last = data.image().into_keys().rfind(|path| path.starts_with("origins/0/journal/"));
        data.remove(&last.unwrap()).unwrap();
    };
    check("the last segment is gone", &cut, "origins/0");
    let swapped = |_: &SimDisk, head: &SimDisk| head.write("origin-0", b"another end").unwrap();
    check("the head store knows another end", &swapped, "origins/0/end");
    let refused = |damage: &dyn Fn(&SimDisk, &SimDisk)| {
        let disks = disks.fork(9);
        damage(&disks.data, &disks.head);
        let refused = disks.open(None).err().expect("refused");
        assert!(matches!(&refused, OpenError::Predecessor { origin, .. } if origin == FIRST));
    };
    for damage in [&removed as &dyn Fn(&SimDisk, &SimDisk), &cut, &swapped] {
        refused(damage);
    }
}
