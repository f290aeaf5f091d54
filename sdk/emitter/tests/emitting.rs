//! The emitter against a ledger in memory that can be slow, busy, away, or refuse.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledgerline_emitter::event::Event;
use ledgerline_emitter::{
    Builder, Delivery, EmitError, Emitter, Form, HandOverError, Refused, Signing, SpoolSettings,
    Transport, Unit, Verdict, WhenFull,
};
use ledgerline_proof::schema::{Kind, decode_object};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::submission::{Batch, Submission};

/// What a ledger would know of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Recorded {
    id: String,
    kind: String,
    instance: Option<String>,
    seq: Option<i64>,
    token: String,
    detail: BTreeMap<String, String>,
    links: Vec<String>,
}

#[derive(Default)]
struct State {
    recorded: Vec<Recorded>,
    seen: BTreeMap<String, Vec<u8>>,
    requests: usize,
    mode: Mode,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Up,
    Away,
    /// It records, and the answer is lost.
    Deaf,
    Busy,
    Slow(u64),
    Denies,
    /// No body of more than so many events.
    Small(usize),
    Panics,
}

/// A ledger in memory: knows events by their ids.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<State>>);

impl Ledger {
    fn set(&self, mode: Mode) {
        self.0.lock().expect("a lock").mode = mode;
    }

    fn recorded(&self) -> Vec<Recorded> {
        self.0.lock().expect("a lock").recorded.clone()
    }

    fn requests(&self) -> usize {
        self.0.lock().expect("a lock").requests
    }

    fn record(&self, batch: &[Arc<Unit>]) -> Vec<Verdict> {
        let mut state = self.0.lock().expect("a lock");
        let mut verdicts = Vec::new();
        for unit in batch {
            for (one, bytes) in events_of(unit) {
                verdicts.push(match state.seen.get(&one.id) {
                    Some(known) if *known == bytes => Verdict::Duplicate,
                    Some(_) => Verdict::Refused(Refused::new("event_id_conflict", "")),
                    None if one.token.ends_with("poison") => {
                        Verdict::Refused(Refused::new("bad_field", "as asked"))
                    }
                    None => {
                        state.seen.insert(one.id.clone(), bytes);
                        state.recorded.push(one);
                        Verdict::Recorded
                    }
                });
            }
        }
        verdicts
    }
}

fn events_of(unit: &Unit) -> Vec<(Recorded, Vec<u8>)> {
    match unit.form() {
        Form::Json => {
            let array = [b"[", unit.body(), b"]"].concat();
            let events: Vec<Event<'_>> = serde_json::from_slice(&array).expect("events");
            let one = |event: &Event<'_>| {
                let detail = event.detail.iter();
                let links = event.links.iter().filter_map(|link| link.token_id.clone());
                Recorded {
                    id: event.event_id.clone().expect("an id").into(),
                    kind: event.event_type.clone().expect("a type").into(),
                    instance: event.source_instance.clone().map(Into::into),
                    seq: event.source_seq,
                    token: event.token_id.clone().unwrap_or_default().into(),
                    detail: detail
                        .map(|one| (one.key.clone().into(), one.value.clone().into()))
                        .collect(),
                    links: links.map(Into::into).collect(),
                }
            };
            events
                .iter()
                .map(|event| (one(event), serde_json::to_vec(event).expect("JSON")))
                .collect()
        }
        Form::Submission => Batch::new(unit.body())
            .map(|frame| {
                let frame = frame.expect("a frame");
                let submission = Submission::decode(frame).expect("a submission");
                assert!(submission.signature.is_some());
                let said: Statement<'_> =
                    decode_object(Kind::Statement, submission.statement).expect("a statement");
                let one = Recorded {
                    id: uuid::Uuid::from_bytes(said.event_id).to_string(),
                    kind: said.event_type.symbol().to_owned(),
                    instance: said.source_instance.map(|id| uuid::Uuid::from_bytes(id).to_string()),
                    seq: said.source_seq,
                    token: said.target.id.to_owned(),
                    detail: BTreeMap::new(),
                    links: Vec::new(),
                };
                (one, submission.statement.to_vec())
            })
            .collect(),
    }
}

impl Transport for Ledger {
    fn send(&mut self, batch: &[Arc<Unit>]) -> Delivery {
        let mode = {
            let mut state = self.0.lock().expect("a lock");
            state.requests += 1;
            state.mode
        };
        let count: usize = batch.iter().map(|unit| unit.ids().len()).sum();
        match mode {
            Mode::Away => Delivery::Unreachable { why: "connection_failed".into() },
            Mode::Deaf => {
                self.record(batch);
                Delivery::Unreachable { why: "timeout".into() }
            }
            Mode::Busy => Delivery::Busy { after: None, why: "http_429".into() },
            Mode::Slow(millis) => {
                std::thread::sleep(Duration::from_millis(millis));
                Delivery::Answered(self.record(batch), None)
            }
            Mode::Denies => Delivery::Denied(Refused::new("unauthenticated", "")),
            Mode::Small(most) if count > most => {
                Delivery::TooMuch(Refused::new("body_too_large", ""))
            }
            Mode::Up | Mode::Small(_) => Delivery::Answered(self.record(batch), None),
            Mode::Panics => panic!("as asked"),
        }
    }
}

fn used(token: &str) -> Event<'static> {
    Event {
        event_type: Some("USED".into()),
        token_id: Some(format!("eu:idp:jti:{token}").into()),
        ..Event::default()
    }
}

fn builder(ledger: &Ledger) -> Builder {
    Builder::new("orders", ledger.clone()).heartbeat(None)
}

fn wait(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Everything of one instance, once, in order, without a gap.
fn check_gapless(recorded: &[Recorded], count: usize) {
    let seqs: Vec<i64> = recorded.iter().filter_map(|one| one.seq).collect();
    assert_eq!(seqs, (0..i64::try_from(count).expect("few")).collect::<Vec<_>>());
}

fn emit_many(emitter: &Emitter, count: usize) {
    for n in 0..count {
        let emission = emitter.emit(used(&format!("t{}", n % 7))).expect("taken");
        assert!(emission.is_kept && emission.event_id.is_some());
    }
}

#[test]
fn everything_arrives_once_and_in_order_whatever_the_ledger_does() {
    let modes = [Mode::Away, Mode::Deaf, Mode::Busy, Mode::Slow(300), Mode::Denies, Mode::Panics];
    for signing in [None, Some(Signing::hmac(b"secret", "prod", "k"))] {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::default();
        let mut builder = builder(&ledger).spool(SpoolSettings::new(folder.path(), 8 << 20));
        if let Some(signing) = signing {
            builder = builder.signing(signing);
        }
        let emitter = builder.start().expect("an emitter");
        for (mode, n) in modes.into_iter().zip(1..) {
            ledger.set(mode);
            emit_many(&emitter, 50);
            std::thread::sleep(Duration::from_millis(250));
            emit_many(&emitter, 50);
            ledger.set(Mode::Up);
            emit_many(&emitter, 50);
            wait("delivered", || ledger.recorded().len() == n * 150);
        }
        let stopped = emitter.stop(Duration::from_secs(20));
        assert!(stopped.is_delivered, "{stopped:?}");
        check_gapless(&ledger.recorded(), modes.len() * 150);
        let counts = emitter.counts();
        assert!(counts.spilled > 0 && counts.duplicates > 0, "{counts:?}");
        assert_eq!(counts.denied, None);
        assert_eq!(counts.sent + counts.duplicates, (modes.len() * 150) as u64);
        for why in ["connection_failed", "timeout", "http_429", "denied", "transport_panicked"] {
            assert!(counts.retries.contains_key(why), "{why}: {:?}", counts.retries);
        }
        assert_eq!(emitter.emit(used("late")).unwrap_err(), EmitError::Stopped);
    }
}

#[test]
fn what_is_undelivered_is_on_the_disk_within_the_time_that_was_promised() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::default();
    ledger.set(Mode::Slow(1500));
    let emitter = builder(&ledger)
        .spool(SpoolSettings::new(folder.path(), 8 << 20))
        .start()
        .expect("an emitter");
    emit_many(&emitter, 20);
    let emitted = Instant::now();
    wait("spilled", || emitter.counts().spooled == 20);
    // 100 ms are promised; a busy machine may lend its processors to others meanwhile.
    assert!(emitted.elapsed() < Duration::from_millis(600), "{:?}", emitted.elapsed());
    ledger.set(Mode::Up);
    wait("delivered", || ledger.recorded().len() == 20 && emitter.counts().spooled == 0);
    assert_eq!(emitter.counts().duplicates, 0, "the batch on its way was not sent twice");
}

#[test]
fn the_next_process_sends_what_an_earlier_one_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::default();
    ledger.set(Mode::Away);
    let settings = SpoolSettings::new(folder.path(), 8 << 20);
    let first = builder(&ledger).spool(settings.clone()).start().expect("an emitter");
    emit_many(&first, 30);
    let stopped = first.stop(Duration::from_millis(50));
    assert_eq!((stopped.is_delivered, stopped.spooled, stopped.lost), (false, 30, 0));
    drop(first);
    let second = || builder(&ledger).spool(settings.clone()).start();
    wait("the first lets go of the folder", || second().is_ok());
    let second = second().expect("an emitter");
    emit_many(&second, 10);
    ledger.set(Mode::Up);
    assert!(second.stop(Duration::from_secs(10)).is_delivered);
    let recorded = ledger.recorded();
    check_gapless(&recorded[..30], 30);
    check_gapless(&recorded[30..], 10);
    assert_ne!(recorded[0].instance, recorded[30].instance);
}

#[test]
fn a_refused_event_is_counted_by_code_and_seen_and_stops_nothing() {
    let ledger = Ledger::default();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let emitter = builder(&ledger)
        .on_refused(move |refusal| tell.lock().expect("a lock").push(refusal.why.code.clone()))
        .start()
        .expect("an emitter");
    emitter.emit(used("a")).expect("taken");
    let refused = emitter.emit(used("poison")).expect("taken");
    emitter.emit(used("b")).expect("taken");
    assert!(emitter.stop(Duration::from_secs(10)).is_delivered);
    assert_eq!(ledger.recorded().len(), 2);
    assert_eq!(emitter.counts().refused, BTreeMap::from([("bad_field".to_owned(), 1)]));
    assert_eq!(*told.lock().expect("a lock"), ["bad_field"]);
    assert_eq!(Some(emitter.refusals()[0].event_id), refused.event_id);
    assert!(emitter.counts().to_prometheus().contains("refused_total{code=\"bad_field\"} 1"));
}

#[test]
fn a_body_that_is_too_much_is_sent_in_parts() {
    let ledger = Ledger::default();
    ledger.set(Mode::Small(3));
    let emitter = builder(&ledger).start().expect("an emitter");
    emit_many(&emitter, 40);
    assert!(emitter.stop(Duration::from_secs(10)).is_delivered);
    check_gapless(&ledger.recorded(), 40);
    // One event alone is too much: it is refused, and not tried for ever.
    let ledger = Ledger::default();
    ledger.set(Mode::Small(0));
    let emitter = builder(&ledger).start().expect("an emitter");
    emit_many(&emitter, 2);
    assert!(emitter.stop(Duration::from_secs(10)).is_delivered);
    assert_eq!(emitter.counts().refused["body_too_large"], 2);
}

#[test]
fn when_all_is_full_it_fails_as_it_was_told() {
    for when_full in [WhenFull::FailOpen, WhenFull::FailClosed] {
        let folder = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::default();
        ledger.set(Mode::Away);
        let emitter = builder(&ledger)
            .spool(SpoolSettings::new(folder.path(), 64 << 10))
            .queue(50, 1 << 20)
            .memory(64 << 10)
            .when_full(when_full)
            .start()
            .expect("an emitter");
        let (mut kept, mut lost) = (0, 0);
        let until = Instant::now() + Duration::from_secs(10);
        while (lost < 20 || emitter.counts().spooled < 100) && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(50));
            match emitter.emit(used("a")) {
                Ok(emission) if emission.is_kept => kept += 1,
                Ok(_) => lost += 1,
                Err(error) => {
                    assert_eq!((error, when_full), (EmitError::Full, WhenFull::FailClosed));
                    lost += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        let counts = emitter.counts();
        ledger.set(Mode::Up);
        wait("everything kept arrives", || ledger.recorded().len() == kept);
        let given_up: i64 = counts.gaps.iter().map(|(first, last)| last - first + 1).sum();
        match when_full {
            WhenFull::FailOpen => {
                assert_eq!(counts.dropped, lost);
                assert!(given_up > 0);
                let last = emitter.emit(used("b")).expect("room").source_seq.expect("a number");
                assert_eq!(last, i64::try_from(kept as u64 + lost).expect("few"));
            }
            WhenFull::FailClosed => {
                assert_eq!((counts.rejected, counts.dropped, given_up), (lost, 0, 0));
                check_gapless(&ledger.recorded(), kept);
            }
        }
    }
}

#[test]
fn in_durable_mode_an_event_is_on_the_disk_when_emit_returns() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::default();
    ledger.set(Mode::Away);
    let emitter = builder(&ledger)
        .spool(SpoolSettings::new(folder.path(), 8 << 20))
        .durable(true)
        .start()
        .expect("an emitter");
    let is_on_disk = |id: [u8; 16]| {
        let mut files = std::fs::read_dir(folder.path()).expect("a folder");
        files.any(|one| {
            let bytes = std::fs::read(one.expect("one").path()).unwrap_or_default();
            bytes.windows(16).any(|window| window == id)
        })
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (emitter, is_on_disk) = (&emitter, &is_on_disk);
            scope.spawn(move || {
                for n in 0..25 {
                    let emission = emitter.emit(used(&format!("{thread}-{n}"))).expect("durable");
                    assert!(is_on_disk(emission.event_id.expect("an id")));
                }
            });
        }
    });
    ledger.set(Mode::Up);
    assert!(emitter.stop(Duration::from_secs(10)).is_delivered);
    check_gapless(&ledger.recorded(), 100);
}

#[test]
fn heartbeats_say_how_far_it_has_counted_and_the_last_one_that_it_stops() {
    let ledger = Ledger::default();
    let tokens: Vec<String> = (0..450).map(|n| format!("eu:idp:jti:{n}")).collect();
    let held = tokens.clone();
    let emitter = Builder::new("orders", ledger.clone())
        .heartbeat(Some(Duration::from_secs(1)))
        .heartbeat_detail(|| vec![("lines_refused".to_owned(), "3".to_owned())])
        .held(move || held.clone())
        .start()
        .expect("an emitter");
    emit_many(&emitter, 5);
    let beats = |ledger: &Ledger| -> Vec<Recorded> {
        ledger.recorded().into_iter().filter(|one| one.kind == "HEARTBEAT").collect()
    };
    wait("two rounds", || beats(&ledger).len() >= 6);
    assert!(emitter.stop(Duration::from_secs(10)).is_delivered);
    let recorded = ledger.recorded();
    check_gapless(&recorded, recorded.len());
    let beats = beats(&ledger);
    let mut named: Vec<String> = beats[..3].iter().flat_map(|one| one.links.clone()).collect();
    named.sort();
    let mut expected = tokens;
    expected.sort();
    assert_eq!(named, expected);
    assert_eq!(beats[0].detail["held_tokens"], "450");
    assert_eq!(beats[0].detail["interval_s"], "1");
    assert_eq!(beats[0].detail["lines_refused"], "3");
    assert_eq!(beats[3].detail["held_round"], "1");
    assert_eq!(beats[3].detail["held_digest"], beats[0].detail["held_digest"]);
    assert!(!beats[1].detail.contains_key("interval_s"), "{:?}", beats[1].detail);
    let last = recorded.last().expect("the last words");
    assert_eq!((&*last.kind, &*last.detail["stopping"]), ("HEARTBEAT", "true"));
    assert_eq!(last.detail["interval_s"], "0");
    let said: i64 = last.detail["last_seq"].parse().expect("a number");
    assert_eq!(Some(said + 1), last.seq, "the number before its own");
}

/// A submission as a signer made it.
fn unit(n: u8) -> Unit {
    let target = ledgerline_proof::statement::Target {
        kind: ledgerline_proof::vocabulary::TargetKind::Token,
        id: "eu:idp:jti:a",
    };
    let said = Statement::new(
        [n; 16],
        "orders",
        target,
        ledgerline_proof::vocabulary::EventType::Used,
        ledgerline_proof::hlc::Hlc::at(1),
    );
    let statement = ledgerline_proof::schema::encode_object(Kind::Statement, &said);
    let signing = Signing::hmac(b"secret", "prod", "k");
    let value = signing.sign(&statement);
    let signature = Some(ledgerline_proof::entry::Signature {
        alg: signing.alg().number(),
        key_id: signing.key_id(),
        value: &value,
    });
    let submission =
        Submission { statement: &statement, personal: vec![], signature, attachments: vec![] };
    Unit::submissions(&[submission.encode()], 1).expect("a unit")
}

#[test]
fn what_a_failing_disk_does_not_take_does_not_pile_up_in_memory() {
    let ledger = Ledger::default();
    ledger.set(Mode::Away);
    let folder = tempfile::tempdir().expect("a folder");
    let (spool, gone) = (folder.path().join("spool"), folder.path().join("gone"));
    let settings = SpoolSettings::new(&spool, 1 << 20);
    let emitter = builder(&ledger).spool(settings).start().expect("an emitter");
    std::fs::rename(&spool, &gone).expect("renamed");
    for _ in 0..10 {
        emitter.hand_over_durably((0..5).map(unit).collect()).expect_err("no disk");
    }
    let counts = emitter.counts();
    assert_eq!((counts.buffered, counts.spooled), (0, 0));
    assert_eq!((counts.emitted, counts.rejected), (0, 50));
    std::fs::rename(&gone, &spool).expect("renamed");
    emitter.hand_over_durably((0..5).map(unit).collect()).expect("a disk");
    assert_eq!((emitter.counts().spooled, emitter.counts().emitted), (5, 5));
}

#[test]
fn a_stop_that_does_not_wait_says_what_became_of_everything() {
    for _ in 0..20 {
        let ledger = Ledger::default();
        ledger.set(Mode::Away);
        let folder = tempfile::tempdir().expect("a folder");
        let settings = SpoolSettings::new(folder.path(), 8 << 20);
        let emitter = builder(&ledger).spool(settings).start().expect("an emitter");
        emit_many(&emitter, 30);
        let stopped = emitter.stop(Duration::ZERO);
        assert!(!stopped.is_delivered && stopped.spooled + stopped.lost == 30, "{stopped:?}");
        assert_eq!(emitter.hand_over(vec![unit(1)]), Err(HandOverError::Stopped));
        assert_eq!(emitter.emit(used("late")), Err(EmitError::Stopped));
        assert_eq!(emitter.counts().rejected, 2);
    }
}

#[test]
fn units_that_are_final_keep_their_bytes_and_go_all_or_none() {
    let ledger = Ledger::default();
    ledger.set(Mode::Away);
    let folder = tempfile::tempdir().expect("a folder");
    let emitter = builder(&ledger)
        .spool(SpoolSettings::new(folder.path(), 64 << 10))
        .memory(8 << 10)
        .start()
        .expect("an emitter");
    emitter.hand_over((0..5).map(unit).collect()).expect("room");
    emitter.hand_over_durably((5..10).map(unit).collect()).expect("room");
    assert_eq!(emitter.counts().spooled, 10, "what came before is in front of it");
    let many: Vec<Unit> = (10..200).map(unit).collect();
    let too_many = [many.clone(), many.clone(), many.clone()].concat();
    emitter.hand_over(too_many).expect_err("no room for all of it");
    assert_eq!(emitter.counts().spooled, 10);
    ledger.set(Mode::Up);
    wait("delivered", || ledger.recorded().len() == 10);
    let ids: Vec<String> = ledger.recorded().iter().map(|one| one.id.clone()).collect();
    let expected: Vec<String> =
        (0..10).map(|n| uuid::Uuid::from_bytes([n; 16]).to_string()).collect();
    assert_eq!(ids, expected);
    emitter.hand_over(vec![unit(3)]).expect("room");
    wait("known", || emitter.counts().duplicates == 1);
    assert_eq!(ledger.recorded().len(), 10);
}

#[test]
fn the_last_clone_that_goes_delivers_what_is_there() {
    let ledger = Ledger::default();
    let emitter = builder(&ledger).start().expect("an emitter");
    let clone = emitter.clone();
    emit_many(&emitter, 10);
    drop(emitter);
    emit_many(&clone, 10);
    drop(clone);
    assert_eq!(ledger.recorded().len(), 20);
    assert!(ledger.requests() >= 1);
}
