//! A real service with the layer under load, while the ledger is killed, slow, busy, broken, and
//! cut off; and the service itself killed. Afterwards every event is in the ledger once, in the
//! order of its token.
//!
//! `LEDGERLINE_FAULT_SECONDS` is how long each fault lasts; the default is 1, nights take 60.

mod emitting;
mod running;
#[path = "../../../sdk/emitter/examples/service/app.rs"]
mod service;
#[path = "../../../sdk/emitter/examples/service/verify.rs"]
mod verify;

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

// The service's routes and its check of tokens are made of them.
use axum as _;
use ed25519_dalek as _;
use emitting::proxy::{Proxy, Way};
use emitting::{Load, Service, check_no_secret, token_id};
use running::Server;
use serde_json::{Value, json};

const CLIENTS: usize = 4;

/// Not a test by itself: the process that the tests start, watch and kill.
#[test]
fn the_service() {
    if std::env::var("ORDERS_LISTEN").is_err() {
        return;
    }
    let settings = service::Settings::from_environment().expect("settings");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let emitter = service::emitter(&settings).expect("an emitter");
    runtime.expect("a runtime").block_on(service::serve(&settings, Some(emitter))).expect("an end");
}

fn seconds() -> Duration {
    let text = std::env::var("LEDGERLINE_FAULT_SECONDS").ok();
    Duration::from_secs(text.and_then(|text| text.parse().ok()).unwrap_or(1))
}

/// A ledger, the way to it, and a folder for the service.
struct World {
    server: Server,
    proxy: Proxy,
    folder: tempfile::TempDir,
    reader: String,
    key: String,
}

impl World {
    fn new() -> Self {
        let server = Server::start_with(&["--log-level", "info"]);
        let (key, reader) =
            (server.key("", "orders", &["producer"]), server.key("", "desk", &["reader"]));
        let proxy = Proxy::start(&server.url);
        Self { server, proxy, folder: tempfile::tempdir().expect("a folder"), reader, key }
    }

    fn signing(&self) -> String {
        let request = json!({ "source": "orders", "alg": "HMAC-SHA256", "key_id": "orders-1" });
        let answer = self.server.post("/v1/keys", &self.server.admin, &request);
        assert_eq!(answer.status, 201, "{}", answer.text());
        format!("default orders-1 {}", answer.json()["secret"].as_str().expect("a secret"))
    }

    fn vkey(&self) -> String {
        let status = self.server.get("/v1/status", &self.server.admin).json();
        status["log_key"].as_str().expect("a key").to_owned()
    }

    fn service(&self, more: &[(&str, String)]) -> Service {
        let spool = self.folder.path().join("spool").display().to_string();
        let mut environment = vec![
            ("LEDGERLINE_URL", self.proxy.url.clone()),
            ("LEDGERLINE_KEY", self.key.clone()),
            ("ORDERS_SPOOL", spool),
        ];
        environment.extend(more.iter().cloned());
        Service::start(&self.folder.path().join("service.log"), &environment)
    }

    /// The uses of a client's token, in the ledger's order, by the numbers of its requests.
    fn recorded(&self, client: usize) -> Vec<u64> {
        let (id, mut page, mut found) = (token_id(client), String::new(), Vec::new());
        loop {
            let path = format!("/v1/tokens/{id}/events?limit=1000{page}");
            let answer = self.server.get(&path, &self.reader);
            if answer.status == 404 {
                return found;
            }
            assert_eq!(answer.status, 200, "{}", answer.text());
            let answer = answer.json();
            for event in answer["events"].as_array().expect("events") {
                let event = &event["statement"];
                // The ledger itself notes that nobody issued these tokens.
                if event["source"] != "orders" {
                    continue;
                }
                let trace = event["trace_id"].as_str().unwrap_or_else(|| panic!("{event:#}"));
                found.push(u64::from_str_radix(trace, 16).expect("a number") - 1);
            }
            let Some(next) = answer["next"].as_str() else { return found };
            page = format!("&page={next}");
        }
    }

    fn findings(&self, rule: &str) -> Vec<Value> {
        let path = format!("/v1/findings?rule={rule}");
        let answer = self.server.get(&path, &self.reader).json();
        answer["findings"].as_array().expect("findings").clone()
    }

    fn check_no_secret(&self, texts: &[&str]) {
        let folders = [self.folder.path().to_owned(), self.folder.path().join("spool")];
        check_no_secret(&folders.each_ref().map(std::path::PathBuf::as_path), texts, &self.key);
        let log = self.server.read("server.log");
        check_no_secret(&[], &[&log], &self.key);
    }
}

/// Milliseconds that a share of requests took at most.
fn quantile(mut took: Vec<Duration>, share: usize) -> f64 {
    took.sort();
    took[(took.len() - 1) * share / 1000].as_secs_f64() * 1000.0
}

#[test]
fn whatever_happens_to_the_ledger_every_use_is_in_it_once_and_in_order() {
    let mut world = World::new();
    let more = [("ORDERS_SIGNING", world.signing()), ("ORDERS_VKEY", world.vkey())];
    let mut service = world.service(&more);
    let load = Load::new(Duration::from_millis(2));
    let mut marks = vec![("open", Instant::now())];
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (load, url) = (&load, service.url.clone());
            scope.spawn(move || load.drive(&url, client, 0));
        }
        std::thread::sleep(seconds());
        for (name, way) in [
            ("cut", Way::Cut),
            ("slow", Way::Slow),
            ("429", Way::Answers(429)),
            ("500", Way::Answers(500)),
            ("503", Way::Answers(503)),
            ("answers lost", Way::LosesAnswers),
            ("silent", Way::Silent),
        ] {
            marks.push((name, Instant::now()));
            world.proxy.set(way);
            std::thread::sleep(seconds());
            world.proxy.set(Way::Open);
            std::thread::sleep(seconds() / 4);
        }
        for _ in 0..3 {
            marks.push(("ledger killed", Instant::now()));
            world.server.kill_nine();
            world.server.reap();
            std::thread::sleep(seconds() / 2);
            world.server.go();
            world.proxy.moved(&world.server.url);
            std::thread::sleep(seconds() / 2);
        }
        load.stop();
    });
    let until = Instant::now() + Duration::from_secs(60);
    while service.metric("buffered_events") + service.metric("spooled_units") > 0 {
        assert!(Instant::now() < until, "{}", service.metrics());
        std::thread::sleep(Duration::from_millis(100));
    }
    let metrics = service.metrics();
    for (name, expected) in [("dropped_total", 0), ("seen_alarm", 0), ("spool_failed", 0)] {
        assert_eq!(service.metric(name), expected, "{metrics}");
    }
    assert!(service.metric("spilled_total") > 0 && service.metric("duplicates_total") > 0);
    assert!(service.metric("seen_size") > 0, "the log was watched: {metrics}");
    service.stop();
    for client in 0..CLIENTS {
        let expected: Vec<u64> = (0..load.count(client)).collect();
        assert!(expected.len() > 50, "{expected:?}");
        assert_eq!(world.recorded(client), expected, "client {client}");
    }
    assert_eq!(world.findings("source_gap"), Vec::<Value>::new());
    let heartbeats = world.server.get("/v1/sources", &world.server.admin).text();
    assert!(heartbeats.contains("orders"), "{heartbeats}");
    world.check_no_secret(&[&metrics]);
    report(&load, &marks);
}

/// Says what requests took during each fault; a fault that moved them is an error.
fn report(load: &Load, marks: &[(&str, Instant)]) {
    let answered = load.answered.lock().expect("a lock").clone();
    for (at, (name, from)) in marks.iter().enumerate() {
        let to = marks.get(at + 1).map_or_else(Instant::now, |(_, to)| *to);
        let took = answered.iter().filter(|one| (*from..to).contains(&one.at));
        let took: Vec<Duration> = took.map(|one| one.took).collect();
        assert!(!took.is_empty(), "{name}: the service answered nothing");
        let (p50, p99) = (quantile(took.clone(), 500), quantile(took, 990));
        // Nothing is left to do when standard error is closed.
        let _ = writeln!(io::stderr(), "{name:>14}: p50 {p50:.2} ms, p99 {p99:.2} ms");
        // Not how fast it is, but that no request waits for a time-out, a pause or a fault: those
        // are seconds.
        assert!(p50 < 1_000.0, "{name}: {p50} ms");
    }
}

/// Kills the service itself while the ledger is away; which answered requests are not in the ledger
/// when another one has sent what was left, and how long before the kill they were answered.
fn kill_the_service(durable: bool) -> Vec<Duration> {
    let world = World::new();
    let more: &[(&str, String)] = if durable { &[("ORDERS_DURABLE", "1".to_owned())] } else { &[] };
    let mut lost = Vec::new();
    let mut first = [0; CLIENTS];
    for round in 0..3 {
        world.proxy.set(if round == 0 { Way::Open } else { Way::Cut });
        let mut service = world.service(more);
        let load = Load::new(Duration::from_millis(1));
        let mut killed = Instant::now();
        std::thread::scope(|scope| {
            for (client, first) in first.into_iter().enumerate() {
                let (load, url) = (&load, service.url.clone());
                scope.spawn(move || load.drive(&url, client, first));
            }
            std::thread::sleep(Duration::from_millis(900));
            killed = Instant::now();
            service.kill_nine();
        });
        world.check_no_secret(&[]);
        world.proxy.set(Way::Open);
        let mut next = world.service(more);
        let until = Instant::now() + Duration::from_secs(30);
        while next.metric("buffered_events") + next.metric("spooled_units") > 0 {
            assert!(Instant::now() < until, "{}", next.metrics());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(next.metric("damaged_total"), 0);
        next.stop();
        let answered = load.answered.lock().expect("a lock").clone();
        for (client, first) in first.iter_mut().enumerate() {
            let recorded = world.recorded(client);
            let mut sorted = recorded.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(recorded, sorted, "once, and in order");
            let mine = answered.iter().filter(|one| one.client == client);
            let missing = mine.clone().filter(|one| recorded.binary_search(&one.number).is_err());
            lost.extend(missing.map(|one| killed.saturating_duration_since(one.at)));
            assert!(mine.clone().count() > 10, "under load");
            *first += 100_000;
        }
    }
    lost
}

#[test]
fn a_killed_service_loses_what_was_buffered_for_a_tenth_of_a_second_at_most() {
    let lost = kill_the_service(false);
    let oldest = lost.iter().max().copied().unwrap_or_default();
    let lost = lost.len();
    let _ = writeln!(io::stderr(), "{lost} lost, the oldest answered {oldest:?} before the kill");
    // What is promised is 100 ms; another process may have had the processor meanwhile.
    assert!(oldest < Duration::from_secs(1), "{oldest:?}");
}

#[test]
fn a_killed_service_loses_nothing_in_durable_mode() {
    assert_eq!(kill_the_service(true), Vec::<Duration>::new());
}

#[test]
fn what_is_given_up_is_a_finding() {
    let world = World::new();
    let (url, key) = (&world.server.url, &world.key);
    let http = ledgerline_emitter::HttpSettings::new(url, key);
    let transport = ledgerline_emitter::HttpTransport::new(&http).expect("a transport");
    let emitter = ledgerline_emitter::Builder::new("orders", transport)
        .queue(4, 1 << 20)
        .linger(Duration::from_millis(200))
        .spill_after(Duration::from_secs(1))
        .heartbeat(Some(Duration::from_secs(1)))
        .start()
        .expect("an emitter");
    std::thread::sleep(Duration::from_millis(50));
    let event = || ledgerline_emitter::event::Event {
        event_type: Some("USED".into()),
        token_id: Some(token_id(0).into()),
        trace_id: Some(format!("{:032x}", 1).into()),
        ..ledgerline_emitter::event::Event::default()
    };
    let kept = (0..10).filter(|_| emitter.emit(event()).expect("fail-open").is_kept).count();
    assert!(kept < 10);
    let counts = emitter.counts();
    assert_eq!(counts.dropped, 10 - kept as u64);
    assert!(emitter.stop(Duration::from_secs(10)).is_delivered);
    let until = Instant::now() + Duration::from_secs(10);
    let found = loop {
        let found = world.findings("source_gap");
        if !found.is_empty() {
            break found;
        }
        assert!(Instant::now() < until, "no source_gap");
        std::thread::sleep(Duration::from_millis(50));
    };
    let (first, last) = counts.gaps[0];
    let text = found[0].to_string();
    assert!(text.contains(&format!("source_seq {first} to {last}")), "{text}");
}
