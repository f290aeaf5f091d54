//! kill -9 at random moments under load: every acknowledged event is there, once, in order.
//!
//! `LEDGERLINE_KILL_ROUNDS` sets the rounds; the default is 200.

mod running;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledgerline_sim::Random;
use running::Server;
use serde_json::Value;

/// What one acknowledged event was told: index, sequence, event hash.
type Receipt = (u64, u64, String);

const CLIENTS: u64 = 4;

fn event(n: u64) -> String {
    let token = n % 50;
    format!(
        "{{\"event_id\":\"01932f6e-7c1a-7b3e-9a55-{n:012x}\",\"type\":\"USED\",\
         \"token_id\":\"eu:idp:jti:t{token}\",\"occurred_at\":\"2026-11-22T10:10:00Z\",\
         \"personal\":[{{\"role\":\"SUBJECT\",\"user_id\":\"u{token}\"}}]}}"
    )
}

fn receipt(answer: &Value) -> Receipt {
    let number = |name: &str| {
        let value = &answer[name];
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).expect("a number")
    };
    let hash = answer["event_hash"].as_str().expect("a hash").to_owned();
    (number("index"), number("sequence"), hash)
}

/// One answer for one event, whether it came alone or in a list.
fn event_answers(body: &Value) -> Vec<Value> {
    body["events"].as_array().cloned().unwrap_or_else(|| vec![body.clone()])
}

/// Posts until told to stop; remembers what was acknowledged.
fn load(
    server: &Server,
    client: u64,
    stop: &AtomicBool,
    next: &AtomicU64,
    acknowledged: &Mutex<BTreeMap<u64, Receipt>>,
) {
    let mut random = Random::new(client);
    while !stop.load(Ordering::Relaxed) {
        let count = if random.chance(300) { random.range(2..40) } else { 1 };
        let first = next.fetch_add(count, Ordering::Relaxed);
        let events: Vec<String> = (first..first + count).map(event).collect();
        let (media_type, body) = match count {
            1 => ("application/json", events[0].clone()),
            _ => ("application/x-ndjson", events.join("\n")),
        };
        let answer = server.try_post(&server.admin, media_type, body.as_bytes());
        let Some(answer) = answer.filter(|answer| answer.status == 200) else { continue };
        let mut acknowledged = acknowledged.lock().expect("no client panics");
        for (n, answer) in (first..).zip(event_answers(&answer.json())) {
            acknowledged.insert(n, receipt(&answer));
        }
    }
}

#[test]
fn every_acknowledged_event_survives_kill_nine() {
    let rounds: u64 =
        std::env::var("LEDGERLINE_KILL_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let mut server = Server::start_with(&["--segment-bytes", "1048576"]);
    let next = AtomicU64::new(0);
    let acknowledged = Mutex::new(BTreeMap::new());
    let mut random = Random::new(7);
    for _ in 0..rounds {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Duration::from_millis(random.range(10..120));
        let shared = &server;
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (stop, next, acknowledged) = (Arc::clone(&stop), &next, &acknowledged);
                scope.spawn(move || load(shared, client, &stop, next, acknowledged));
            }
            std::thread::sleep(until);
            shared.kill_nine();
            stop.store(true, Ordering::Relaxed);
        });
        server.reap();
        server.go();
    }
    let acknowledged = acknowledged.into_inner().expect("no client panics");
    assert!(acknowledged.len() as u64 > rounds, "only {} events were taken", acknowledged.len());
    check_all_there(&server, &acknowledged);
    assert_eq!(server.stop(), Some(0), "{}", server.read("server.log"));
    let data = server.path("data");
    let verified = server.run("", &["verify", "--data", data.to_str().expect("UTF-8")]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    println!("{rounds} kills, {} events acknowledged and found", acknowledged.len());
}

/// Every acknowledged event is a duplicate now, at the place it was told.
fn check_all_there(server: &Server, acknowledged: &BTreeMap<u64, Receipt>) {
    let all: Vec<(&u64, &Receipt)> = acknowledged.iter().collect();
    let mut indexes = BTreeMap::new();
    for chunk in all.chunks(500) {
        let body: Vec<String> = chunk.iter().map(|(n, _)| event(**n)).collect();
        let answer = server
            .try_post(&server.admin, "application/x-ndjson", body.join("\n").as_bytes())
            .expect("the server is up");
        for ((n, told), found) in chunk.iter().zip(event_answers(&answer.json())) {
            assert_eq!(found["status"], "duplicate", "event {n}: {found}");
            assert_eq!(receipt(&found), **told, "event {n} moved");
            assert_eq!(indexes.insert(told.0, **n), None, "two events at index {}", told.0);
        }
    }
}
