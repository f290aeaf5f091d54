//! Far more load than the ledger can take: clients are told to come back, memory stays bounded, and
//! every 2xx is durable.

mod running;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use running::Server;

/// Clients that post all at once, each as fast as it is answered.
const CLIENTS: u64 = 64;
/// Events of one body.
const BODY_EVENTS: u64 = 500;
/// How long they do.
const LOAD: Duration = Duration::from_secs(4);
/// What the server may keep waiting.
const QUEUE_BYTES: u64 = 2 << 20;
/// What it may take in memory: 64 bodies of 120 kB on their way, one a core taken apart, the queue,
/// the index's newest ranges (two of 65,536 events), stacks and buffers. Measured on two cores:
/// 210 MB after 350,000 events. Without back-pressure four seconds of bodies would not fit.
const RESIDENT_KB_MAX: u64 = 400_000;

fn body(first: u64) -> String {
    let event = |n: u64| {
        format!(
            "{{\"event_id\":\"01932f6e-7c1a-7b3e-9a55-{n:012x}\",\"type\":\"USED\",\
             \"token_id\":\"eu:idp:jti:t{}\",\"occurred_at\":\"2026-11-22T10:10:00Z\",\
             \"service\":\"orders\",\"endpoint\":\"/orders/{{id}}\",\"action\":\"GET\"}}\n",
            n % 1000
        )
    };
    (first..first + BODY_EVENTS).map(event).collect()
}

fn resident_kb_max(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a high-water mark");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
}

#[test]
fn overload_is_answered_with_retry_after_and_loses_nothing() {
    let queue = QUEUE_BYTES.to_string();
    let mut server = Server::start_with(&["--max-queue-bytes", &queue]);
    let (next, turned_away) = (AtomicU64::new(0), AtomicU64::new(0));
    let taken = Mutex::new(BTreeSet::new());
    let until = Instant::now() + LOAD;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while Instant::now() < until {
                    let first = next.fetch_add(BODY_EVENTS, Ordering::Relaxed);
                    let body = body(first);
                    let answer = server
                        .try_post(&server.admin, "application/x-ndjson", body.as_bytes())
                        .expect("the connection holds");
                    match answer.status {
                        200 => {
                            taken.lock().expect("no client panics").insert(first);
                        }
                        429 | 503 => {
                            assert!(answer.headers.contains_key("retry-after"), "no Retry-After");
                            turned_away.fetch_add(1, Ordering::Relaxed);
                        }
                        status => panic!("{status}: {}", answer.text()),
                    }
                }
            });
        }
    });
    let (taken, turned_away) = (taken.into_inner().expect("no panic"), turned_away.into_inner());
    assert!(!taken.is_empty() && turned_away > 0, "{} taken, {turned_away} not", taken.len());
    let resident = resident_kb_max(server.process());
    assert!(resident < RESIDENT_KB_MAX, "{resident} kB resident");
    server.kill_nine();
    server.reap();
    server.go();
    for first in &taken {
        let again = server.try_post(&server.admin, "application/x-ndjson", body(*first).as_bytes());
        let again = again.expect("the server is up").json();
        for event in again["events"].as_array().expect("a list") {
            assert_eq!(event["status"], "duplicate", "an acknowledged event is gone: {event}");
        }
    }
    let bodies = taken.len();
    println!("{bodies} bodies taken, {turned_away} turned away, {resident} kB resident at most");
}
