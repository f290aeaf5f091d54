//! Behind a published checkpoint: a restored older copy is refused, and with consent continued by a
//! new origin that names the old one. Nothing of the old one is forgotten, at whatever moment the
//! move is cut off.

use std::sync::Arc;

use ledgerline_index::terms::{OfLife, chain_term};
use ledgerline_index::{Index, IndexConfig, Progress, ReadBudget};
use ledgerline_journal::recovery::RecoverError;
use ledgerline_ledger::intake::{EventAnswer, EventStatus};
use ledgerline_ledger::opening::OpenError;
use ledgerline_ledger::planner::AdminAct;
use ledgerline_proof::chain::ChainKey;
use ledgerline_proof::checkpoint;
use ledgerline_proof::control::Control;
use ledgerline_proof::lifecycle::State;
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::tree;
use ledgerline_proof::vocabulary::TargetKind;
use ledgerline_questions::life::{Judgement, life_of};
use ledgerline_questions::lineage::{Bounds, Direction, QueryContext, Scope, Spending, relatives};
use ledgerline_questions::{Pivot, pivot};
use ledgerline_sim::{
    Faults, Random, SECRET, SimDisk, TestLedger, TestWorld, credential, event, event_id,
};
use ledgerline_verify::{Severity, Verdict, VerifyFinding};
use ledgerline_view::address::{AsOf, EntryRef, LogId, LogName};
use ledgerline_view::registry::api_key_text;
use ledgerline_view::view::PageRequest;
use ledgerline_world::disk::{Disk, OpenMode};
use serde_json::{Value, json};

const FIRST: &str = "ledgerline.test/first";
const SECOND: &str = "ledgerline.test/second";
const THIRD: &str = "ledgerline.test/third";

fn new_world() -> TestWorld {
    let mut world = TestWorld::new(1);
    world.config.origin = FIRST.into();
    (world.config.segment_bytes, world.config.vault_slots) = (4096, 4);
    world.config.index.range_log2 = 3;
    world
}

/// Opens a ledger, perhaps under a new origin. Its producer has the key `k1`.
fn open_on(world: &TestWorld, new_origin: Option<&str>) -> Result<TestLedger, OpenError> {
    let mut world = world.clone();
    world.config.new_origin = new_origin.map(str::to_owned);
    let mut ledger = world.open()?;
    if ledger.rest.rooms.registry.key("k1").is_none() {
        ledger.add_key(credential("k1", "idp"));
    }
    Ok(ledger)
}

fn send(ledger: &mut TestLedger, n: u32, token: u32, kind: &str) -> EventAnswer {
    send_with(ledger, n, token, kind, json!({}))
}

fn send_with(ledger: &mut TestLedger, n: u32, token: u32, kind: &str, more: Value) -> EventAnswer {
    let mut event = event(n, kind, token);
    let Value::Object(more) = more else { panic!("members of an event") };
    event.as_object_mut().unwrap().extend(more);
    ledger.submit("k1", &[event]).remove(0)
}

/// As a clean shutdown does.
fn stop(mut ledger: TestLedger) {
    ledger.close();
    let world = ledger.world().clone();
    drop(ledger);
    let report = world.verify();
    assert_eq!(report.verdict, Verdict::Verified, "{report:#?}");
    world.kill();
}

fn state(ledger: &TestLedger, token: u32) -> State {
    let page = PageRequest { after: None, limit: 100 };
    let id = format!("eu:idp:jti:t{token}");
    let view = ledger.view();
    let life = life_of(&view, "", &id, &view.as_of(), NOW, page).unwrap();
    life.expect("it is known").known.state
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
fn behind() -> (TestWorld, Vec<EventAnswer>) {
    let world = new_world();
    let mut ledger = open_on(&world, None).unwrap();
    let answers = OLD.map(|(n, token, kind)| send(&mut ledger, n, token, kind)).to_vec();
    stop(ledger);
    let copy = world.data.snapshot();
    let mut ledger = open_on(&world, None).unwrap();
    send(&mut ledger, 7, 1, "REVOKED");
    send(&mut ledger, 8, 9, "ISSUED");
    stop(ledger);
    world.data.restore(&copy);
    (world, answers)
}

#[test]
fn without_consent_a_restored_copy_is_refused_and_unchanged() {
    let (world, _) = behind();
    let refused = open_on(&world, None).err().expect("refused");
    assert!(matches!(refused, OpenError::Recover(RecoverError::BehindHead { .. })), "{refused}");
    assert!(refused.to_string().contains("new_origin"), "{refused}");
    assert!(world.data.list("origins").unwrap().is_empty());
}

#[test]
fn a_name_that_is_taken_and_a_ledger_that_is_not_behind_are_refused() {
    let (world, _) = behind();
    let check = |world: &TestWorld, name: &str, part: &str| {
        let refused = open_on(world, Some(name)).err().expect(name).to_string();
        assert!(refused.contains(part), "{name}: {refused}");
    };
    // The ledger's own name means an ordinary start, which is refused as without a name.
    check(&world, FIRST, "older copy or a truncated one");
    check(&world, "no name\n", "cannot name a log");
    stop(open_on(&world, Some(SECOND)).unwrap());
    // Now it lives under that name: the setting may stay.
    stop(open_on(&world, Some(SECOND)).unwrap());
    check(&world, FIRST, "has this name already");
    check(&world, THIRD, "no new origin is needed");
    check(&new_world(), SECOND, "no ledger to continue");
}

/// The runs of an older origin as a program left them that found entries by other things: they are
/// built anew, and lead to what decides about its tokens.
#[test]
fn runs_of_an_older_origin_by_another_choice_of_terms_are_built_anew() {
    let (world, _) = behind();
    let ledger = open_on(&world, Some(SECOND)).unwrap();
    let older = |ledger: &TestLedger| ledger.view().origins().remove(0);
    let (before, size) = (older(&ledger).rooms().index.run_files(), older(&ledger).size());
    assert!(!before.is_empty());
    stop(ledger);
    let folder = "origins/0/index";
    assert!(!world.data.list(folder).unwrap().is_empty());
    let config = IndexConfig { range_log2: 3, identity: [1; 16], ..IndexConfig::default() };
    let (index, covered) = Index::open(Arc::new(world.data.clone()), folder, config).unwrap();
    assert_eq!(covered, 0);
    index.note_times(0, size, &[]);
    index.append(0, size, &[]);
    while index.step(size).unwrap() != Progress::Idle {}
    drop(index);
    let ledger = open_on(&world, Some(SECOND)).unwrap();
    assert_eq!(older(&ledger).rooms().index.run_files(), before);
    let key = ChainKey { kind: TargetKind::Token, tenant: "", id: b"eu:idp:jti:t2" };
    let acts = OfLife::Acts.term(&chain_term(&ledger.rest.terms, &key));
    let budget = &mut ReadBudget::new(100);
    let found = older(&ledger).rooms().index.postings(&acts, 0..size, 10, budget).unwrap();
    assert_eq!(found.indexes.len(), 2, "ISSUED and REVOKED");
    assert_eq!(state(&ledger, 2), State::Revoked);
    stop(ledger);
}

#[test]
fn questions_read_all_origins_oldest_first() {
    let (world, _) = behind();
    let mut ledger = open_on(&world, Some(SECOND)).unwrap();
    let link = json!({ "session_id": "s-1", "links": [{ "token_id": "eu:idp:jti:t1",
        "relation": "REFRESHED_FROM", "strength": "ASSERTED" }] });
    send_with(&mut ledger, 50, 20, "ISSUED", link);
    send(&mut ledger, 51, 1, "USED");
    ledger.seal();
    let view = ledger.view();
    assert!(view.base() > 0, "there is an older origin");
    let ask = |as_of: AsOf| {
        let scope = Scope { tenant: String::new(), as_of, at: None, judged_at: 0 };
        QueryContext::new(&view, scope, Spending::default()).unwrap()
    };
    let id = "eu:idp:jti:t1";
    let context = &mut ask(view.as_of());
    let token = context.token(id).unwrap();
    let entries: Vec<EntryRef> = token.records.iter().map(|record| record.at).collect();
    let rows: Vec<usize> = entries.iter().map(|at| at.log.row()).collect();
    assert_eq!(rows, [0, 0, 1]);
    let found = relatives(context, id, Direction::Descendants, Bounds::default()).unwrap();
    let found = found.unwrap();
    let ids: Vec<&str> = found.relatives.iter().map(|one| &*one.token.id).collect();
    assert_eq!(ids, [id, "eu:idp:jti:t20"]);
    // As of the end of the older origin it had no child.
    let context = &mut ask(view.up_to(0));
    let found = relatives(context, id, Direction::Descendants, Bounds::default()).unwrap();
    assert_eq!(found.unwrap().relatives.len(), 1);
    for (at, name) in entries.iter().zip([FIRST, FIRST, SECOND]) {
        let origin = view.of_log(at.log);
        assert_eq!((&*origin.identity().origin, origin.log()), (name, at.log));
        assert_eq!(origin.as_of().size(at.log), origin.size(), "{name}");
        assert_eq!(origin.logs().name(at.log), Some(LogName::of(name)));
    }
    assert_eq!(view.logs().name(view.entry(0).log), Some(LogName::of(SECOND)));
    assert_eq!(view.logs().named(LogName::of(FIRST)).map(LogId::row), Some(0));
    // A person's tokens come from all origins, and a page ends where it must.
    let subject = token.facts.subject.expect("a person");
    let (mut all, mut after) = (Vec::new(), Some(EntryRef::FIRST));
    while let Some(from) = after {
        let what = Pivot::Handle(subject);
        let (page, next) = pivot(&mut ask(view.as_of()), &what, from, 1).unwrap();
        all.extend(page.iter().map(|record| record.at));
        after = next;
    }
    assert_eq!(all, entries);
    let first = ask(view.as_of()).find_event("idp", &event_id(1)).unwrap();
    assert_eq!(first.map(|at| at.log.row()), Some(0), "an event of the older origin");
}

#[test]
fn the_new_origin_continues_the_old_one() {
    let (world, answers) = behind();
    let mut ledger = open_on(&world, Some(SECOND)).unwrap();
    check_continued(&mut ledger, &answers);
    stop(ledger);
    // Also after a restart, without the setting, and with everything lost that may be lost.
    for lost in [&[][..], &["tree", "index", "origins/0/tree", "origins/0/index"], &["vault/map"]] {
        for path in world.data.image().keys() {
            if lost.iter().any(|what| path.starts_with(what)) {
                world.data.remove(path).unwrap();
            }
        }
        world.data.crash(&mut Random::new(1));
        let mut ledger = open_on(&world, None).unwrap();
        check_continued(&mut ledger, &answers);
        stop(ledger);
    }
}

/// What holds from the first start of the second origin on.
fn check_continued(ledger: &mut TestLedger, answers: &[EventAnswer]) {
    let view = ledger.view();
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
        let again = send(ledger, *n, *token, kind);
        assert_eq!(again.status, EventStatus::Duplicate, "{again:?}");
        assert_eq!(again.origin.as_deref(), Some(FIRST));
        assert_eq!(
            (again.index, again.sequence, again.event_hash),
            (first.index, first.sequence, first.event_hash)
        );
    }
    let conflict = send(ledger, 3, 1, "REVOKED");
    assert_eq!(conflict.error.expect("refused").code, "event_id_conflict");
    // Chains restart at sequence 0, states go on; the lost revocation is lost.
    let next = send(ledger, 20, 1, "USED");
    assert_eq!((next.sequence, next.origin), (Some(0), None));
    assert_eq!(send(ledger, 21, 1, "USED").sequence, Some(1));
    assert_eq!(
        [1, 2, 3].map(|token| state(ledger, token)),
        [State::Active, State::Revoked, State::Active]
    );
    let page = PageRequest { after: None, limit: 2 };
    let view = ledger.view();
    let life = life_of(&view, "", "eu:idp:jti:t1", &view.as_of(), NOW, page).unwrap().unwrap();
    let shown: Vec<_> = life.events.iter().map(|one| &*one.origin).collect();
    assert_eq!((shown, life.total), (vec![FIRST, FIRST], 4));
    let page = PageRequest { after: life.next, limit: 10 };
    let view = ledger.view();
    let life = life_of(&view, "", "eu:idp:jti:t1", &view.as_of(), NOW, page).unwrap().unwrap();
    let shown: Vec<_> = life.events.iter().map(|one| &*one.origin).collect();
    assert_eq!((shown, life.next), (vec![SECOND, SECOND], None));
    // Proofs of old events stand against the old origin's last checkpoint.
    let (old, index) = ledger.view().locate_event("", "idp", &event_id(3)).unwrap().unwrap();
    let proof = old.proof(index).unwrap();
    let opened = checkpoint::open(proof.checkpoint.as_bytes(), known).unwrap().checkpoint;
    let hash = answers[2].event_hash.unwrap();
    tree::check_inclusion(index, opened.size(), &hash, &proof.path, &opened.root()).unwrap();
}

#[test]
fn a_third_origin_continues_the_second() {
    let (world, answers) = behind();
    let mut ledger = open_on(&world, Some(SECOND)).unwrap();
    send(&mut ledger, 30, 5, "ISSUED");
    stop(ledger);
    let copy = world.data.snapshot();
    let mut ledger = open_on(&world, None).unwrap();
    send(&mut ledger, 31, 5, "REVOKED");
    stop(ledger);
    world.data.restore(&copy);
    assert!(open_on(&world, None).is_err(), "behind again");
    let mut ledger = open_on(&world, Some(THIRD)).unwrap();
    for (n, origin) in [(2, FIRST), (30, SECOND)] {
        let (token, kind) = if n == 2 { (2, "ISSUED") } else { (5, "ISSUED") };
        let again = send(&mut ledger, n, token, kind);
        assert_eq!((again.status, again.origin.as_deref()), (EventStatus::Duplicate, Some(origin)));
    }
    assert_eq!(send(&mut ledger, 31, 5, "REVOKED").sequence, Some(0));
    assert_eq!((state(&ledger, 5), state(&ledger, 2)), (State::Revoked, State::Revoked));
    assert_eq!(ledger.view().origins().len(), 3);
    assert_eq!(send(&mut ledger, 1, 1, "ISSUED").event_hash, answers[0].event_hash);
    stop(ledger);
    stop(open_on(&world, Some(THIRD)).unwrap());
}

#[test]
fn keys_carry_on_with_their_ends() {
    let world = new_world();
    let mut ledger = open_on(&world, None).unwrap();
    ledger.add_key(credential("k2", "idp"));
    let end = |key_id: &str| AdminAct::EndKey {
        key_id: key_id.into(),
        compromised: true,
        reason: Some("leaked".into()),
    };
    ledger.administer(&end("k2"));
    send(&mut ledger, 1, 1, "ISSUED");
    stop(ledger);
    let copy = world.data.snapshot();
    let mut ledger = open_on(&world, None).unwrap();
    ledger.administer(&end("k1"));
    stop(ledger);
    world.data.restore(&copy);
    let ledger = open_on(&world, Some(SECOND)).unwrap();
    let registry = &ledger.rest.rooms.registry;
    let (k1, k2) = (registry.key("k1").unwrap(), registry.key("k2").unwrap());
    // What was said of k1 in the lost part is lost.
    assert_eq!((k1.valid_until, k1.compromised), (None, false));
    assert!(k2.compromised && k2.valid_until.is_some(), "{k2:?}");
    assert!(k1.valid_from < ledger.view().size(), "announced in this origin");
    assert!(registry.authenticate(&api_key_text("k2", &SECRET), 0).is_err());
    assert!(registry.authenticate(&api_key_text("k1", &SECRET), 0).is_ok());
}

/// What a producer signed before the loss can be sent again, with the checkpoint it had seen then.
#[test]
fn a_checkpoint_seen_of_an_older_origin_is_no_foreign_one() {
    let (world, _) = behind();
    let mut ledger = open_on(&world, Some(SECOND)).unwrap();
    let seen = |origin: &str| {
        let root = "ab".repeat(32);
        json!({ "seen": { "origin": origin, "size": 5, "root": root } })
    };
    let answer = send_with(&mut ledger, 60, 6, "ISSUED", seen(FIRST));
    assert_eq!(answer.status, EventStatus::Recorded, "{answer:?}");
    let answer = send_with(&mut ledger, 61, 6, "USED", seen(THIRD));
    assert_eq!(answer.error.expect("refused").code, "wrong_deployment");
    stop(ledger);
}

/// Erasing reaches the sealed frames of all origins, and a person keeps the handle.
#[test]
fn erasing_reaches_older_origins() {
    let (world, _) = behind();
    let mut ledger = open_on(&world, Some(SECOND)).unwrap();
    send(&mut ledger, 40, 1, "USED");
    let vault = Arc::clone(&ledger.rest.rooms.vault);
    let handle = vault.find_person("", "", "user-1").expect("known from the first origin");
    let sealed = |ledger: &TestLedger, n: u32| {
        let (view, index) = ledger.view().locate_event("", "idp", &event_id(n)).unwrap().unwrap();
        view.event(index).unwrap().unwrap().sealed.remove(0)
    };
    for n in [1, 40] {
        assert_eq!((sealed(&ledger, n).slot, sealed(&ledger, n).erased), (handle, false));
    }
    ledger.administer(&AdminAct::Erase {
        handle,
        tenant: String::new(),
        by: "k1".into(),
        purpose: "case 1".into(),
    });
    stop(ledger);
    // The frames are zeroed by the start that finds the ERASED.
    let ledger = open_on(&world, None).unwrap();
    for n in [1, 3, 40] {
        assert!(sealed(&ledger, n).erased);
        let (view, index) = ledger.view().locate_event("", "idp", &event_id(n)).unwrap().unwrap();
        let stored = view.rooms().reader.leaf_with_records(index).unwrap();
        assert!(stored.sealed[0].sealed.iter().all(|byte| *byte == 0), "event {n}");
    }
    assert!(!sealed(&ledger, 5).erased, "another person");
}

/// A slot that the lost part may have given to somebody is never given to somebody else.
#[test]
fn free_slots_of_the_copy_are_not_given_out_again() {
    let world = new_world();
    let mut ledger = open_on(&world, None).unwrap();
    send(&mut ledger, 1, 1, "ISSUED");
    stop(ledger);
    let copy = world.data.snapshot();
    let mut ledger = open_on(&world, None).unwrap();
    send(&mut ledger, 2, 2, "ISSUED");
    let lost = ledger.rest.rooms.vault.find_person("", "", "user-2").unwrap();
    stop(ledger);
    world.data.restore(&copy);
    for lose_map in [false, true] {
        let mut ledger = open_on(&world, Some(SECOND)).unwrap();
        let n = if lose_map { 4 } else { 3 };
        send(&mut ledger, n, n, "ISSUED");
        let vault = &ledger.rest.rooms.vault;
        let given = vault.find_person("", "", &format!("user-{n}")).unwrap();
        assert_ne!(given, lost);
        stop(ledger);
        world.data.remove("vault/map").unwrap();
    }
}

/// Wherever the power goes while the new origin begins, the next start finishes what was begun, or
/// nothing was.
#[test]
fn a_move_that_is_cut_off_is_finished() {
    let (world, answers) = behind();
    let (data, head) = (world.data.change_count(), world.head.change_count());
    let trial = world.fork(1);
    open_on(&trial, Some(SECOND)).unwrap();
    let steps = trial.data.change_count() - data;
    let head_steps = trial.head.change_count() - head;
    assert!(steps > 40 && head_steps > 4, "{steps} and {head_steps}");
    let mut finished = 0;
    let data_cuts = (0..steps).map(|after| (Some(after), None));
    for (seed, (data, head)) in
        (10..).zip(data_cuts.chain((0..head_steps).map(|after| (None, Some(after)))))
    {
        let world = world.fork(seed);
        let off = |after| Faults { power_off_after: after, ..Faults::default() };
        world.data.set_faults(off(data));
        world.head.set_faults(off(head));
        let cut = open_on(&world, Some(SECOND)).err();
        assert!(cut.is_some(), "cut after {data:?} {head:?}");
        for (disk, cut) in [(&world.data, data), (&world.head, head)] {
            disk.set_faults(Faults::default());
            if cut.is_some() {
                disk.crash(&mut Random::new(seed));
            } else {
                disk.kill();
            }
        }
        let before = world.verify();
        // The note of what is synced is overwritten where it stands: cut in the middle it is lost,
        // which costs the next start time and nothing else.
        let is_lost_note = |one: &VerifyFinding| one.file.ends_with("/tree/whole");
        let of_older = |one: &&VerifyFinding| one.origin.is_some() && !is_lost_note(one);
        let counts = |one: &&VerifyFinding| one.severity < Severity::Notice;
        let broken = before.findings.iter().filter(counts).find(of_older);
        assert!(broken.is_none(), "{data:?} {head:?} {before:#?}");
        if world.data.exists("origins/moving").unwrap() {
            let lost = before.findings.iter().any(is_lost_note);
            let due = if lost { Verdict::NotVerified } else { Verdict::Incomplete };
            assert_eq!(before.verdict, due, "{before:#?}");
        }
        let mut ledger = match open_on(&world, None) {
            Ok(ledger) => ledger,
            Err(error) => {
                let behind = matches!(error, OpenError::Recover(RecoverError::BehindHead { .. }));
                assert!(behind, "cut after {data:?} {head:?}: {error}");
                finished += 1;
                open_on(&world, Some(SECOND)).unwrap()
            }
        };
        check_continued(&mut ledger, &answers);
        stop(ledger);
    }
    assert!(finished > 5 && finished < steps, "{finished} of {steps} began anew");
}

/// What is done to the files of an older origin, or to its folder, is found and named.
#[test]
fn tampering_with_an_older_origin_is_found() {
    let (world, _) = behind();
    let mut ledger = open_on(&world, Some(SECOND)).unwrap();
    send(&mut ledger, 50, 5, "ISSUED");
    stop(ledger);
    let report = world.verify();
    let [old] = &report.predecessors[..] else { panic!("{report:#?}") };
    assert_eq!((&*old.origin, old.verdict, old.findings), (FIRST, Verdict::Verified, 0));
    assert!(old.published_size > Some(old.size) && old.counts.events >= 6, "{old:?}");
    assert_eq!((&*report.origin, report.counts.events), (SECOND, 1));
    let check = |what: &str, damage: &dyn Fn(&SimDisk, &SimDisk), file: &str| {
        let world = world.fork(9);
        damage(&world.data, &world.head);
        let report = world.verify();
        assert_eq!(report.verdict, Verdict::NotVerified, "{what}: {report:#?}");
        let named = report.findings.iter().any(|one| one.file.starts_with(file));
        assert!(named, "{what}: {:#?}", report.findings);
        report
    };
    let image = world.data.image();
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
        let world = world.fork(9);
        damage(&world.data, &world.head);
        let refused = open_on(&world, None).err().expect("refused");
        assert!(matches!(&refused, OpenError::Predecessor { origin, .. } if origin == FIRST));
    };
    for damage in [&removed as &dyn Fn(&SimDisk, &SimDisk), &cut, &swapped] {
        refused(damage);
    }
}

/// The journal is an older copy, the index is not: its runs speak of entries that are not there any
/// more. Only the event times said so, and without them the runs were believed.
#[test]
fn runs_of_another_history_were_believed_without_event_times() {
    for is_without_times in [false, true] {
        let world = new_world();
        let mut ledger = open_on(&world, None).unwrap();
        (1..4).for_each(|n| drop(send(&mut ledger, n, n, "ISSUED")));
        stop(ledger);
        let (copy, head) = (world.data.snapshot(), world.head.snapshot());
        let mut ledger = open_on(&world, None).unwrap();
        (4..40).for_each(|n| drop(send(&mut ledger, n, n, "ISSUED")));
        stop(ledger);
        let newer = world.data.image();
        world.data.restore(&copy);
        world.head.restore(&head);
        for name in world.data.list("index").unwrap() {
            world.data.remove(&format!("index/{name}")).unwrap();
        }
        let of_index = newer.iter().filter(|(path, _)| path.starts_with("index/"));
        for (path, bytes) in of_index.filter(|(path, _)| {
            !is_without_times || !path.ends_with(ledgerline_index::event_times::FILE)
        }) {
            let file = world.data.open(path, OpenMode::Create).unwrap();
            file.write_all_at(bytes, 0).unwrap();
            file.sync().unwrap();
        }
        world.data.sync_dir("index").unwrap();
        let mut ledger = open_on(&world, None).unwrap();
        (100..140).for_each(|n| drop(send(&mut ledger, n, n, "ISSUED")));
        for token in 100..140 {
            assert_eq!(state(&ledger, token), State::Active, "{token} is found");
        }
        // It compares the runs with the journal.
        stop(ledger);
    }
}
