//! Tokens that expire while a real server runs, stops, or is killed.

mod running;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ledgerline_api::time_text::rfc3339;
use running::{Server, event};
use serde_json::Value;

fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// RFC 3339 of a second since 1970.
fn time(seconds: u64) -> String {
    rfc3339(i64::try_from(seconds * 1_000_000_000).expect("before 2262"))
}

fn issued(token: &str, expires: u64) -> Value {
    let mut event = event(&format!("i-{token}"), "ISSUED", token);
    event["expires_at"] = time(expires).into();
    event
}

fn life(server: &Server, token: &str) -> Vec<Value> {
    let path = format!("/v1/tokens/eu:idp:jti:{token}/events?limit=1000");
    let answer = server.get(&path, &server.admin);
    answer.json()["events"].as_array().expect("events").clone()
}

fn stated(server: &Server, token: &str) -> Vec<Value> {
    let is_it = |one: &Value| one["statement"]["type"] == "EXPIRED";
    life(server, token).into_iter().filter(is_it).collect()
}

fn wait_for(server: &Server, token: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    while Instant::now() < until {
        if let Some(one) = stated(server, token).first() {
            return one.clone();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{token} never expires: {:?}", life(server, token));
}

#[test]
fn a_short_life_ends_once_in_the_ledger_also_across_kills() {
    let mut server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let now = now_seconds();
    server.record(&idp, &[issued("short", now + 2), issued("long", now + 3600)]);
    server.record(&idp, &[issued("gone", now - 60)]);
    let revoked = {
        let mut revoked = event("x", "REVOKED", "revoked");
        revoked["occurred_at"] = time(now - 100).into();
        revoked
    };
    server.record(&idp, &[issued("revoked", now - 50), revoked]);
    let late = wait_for(&server, "gone");
    let at = late["statement"]["occurred_at"].as_str().expect("a time");
    assert!(at.starts_with(&time(now - 60)[..19]), "{at}");
    let one = wait_for(&server, "short");
    assert_eq!(one["statement"]["source"], "ledger", "{one}");
    let native = format!("eu:idp:jti:short\0{}", (now + 2) * 1_000_000_000);
    assert_eq!(one["statement"]["native_id"], native, "{one}");
    let at = one["statement"]["occurred_at"].as_str().expect("a time");
    assert!(at.starts_with(&time(now + 2)[..19]), "{at}");
    let token = server.get("/v1/tokens/eu:idp:jti:short", &server.admin).json();
    assert_eq!(token["known"]["state_by_entries"], "EXPIRED", "{token}");
    // Dies after some were stated and before others, with and without the schedule's place.
    for (round, forget) in [true, false, true].into_iter().enumerate() {
        let now = now_seconds();
        let tokens: Vec<String> = (0..200).map(|n| format!("k{round}-{n}")).collect();
        let events: Vec<Value> = tokens.iter().map(|token| issued(token, now - 1)).collect();
        server.record(&idp, &events);
        server.kill_nine();
        server.reap();
        if forget {
            let _ = std::fs::remove_file(server.path("data/followers/expiry"));
        }
        server.go();
        for token in &tokens {
            wait_for(&server, token);
        }
    }
    assert_eq!(server.stop(), Some(0));
    server.go();
    std::thread::sleep(Duration::from_secs(1));
    let tokens: Vec<String> =
        (0..3).flat_map(|round| (0..200).map(move |n| format!("k{round}-{n}"))).collect();
    for token in tokens.iter().map(String::as_str).chain(["short", "gone"]) {
        assert_eq!(stated(&server, token).len(), 1, "{token}");
    }
    for token in ["long", "revoked"] {
        assert!(stated(&server, token).is_empty(), "{token}");
    }
    let metrics = server.get("/metrics", &server.admin).text();
    assert!(metrics.contains("ledgerline_tokens_expired_total"), "{metrics}");
    server.wait_for_block();
    let status = server.get("/v1/status", &server.admin).json();
    let vkey = status["log_key"].as_str().expect("a key");
    let args = ["verify", "--url", &server.url, "--log-key", vkey];
    let verified = server.run(&server.admin, &args);
    assert_eq!(verified.status.code(), Some(0), "{}", running::stderr(&verified));
    assert_eq!(server.stop(), Some(0));
    let data = server.path("data");
    let args = ["verify", "--index", "--data", data.to_str().expect("a path")];
    let verified = running::run(&args, &[], b"");
    assert_eq!(verified.status.code(), Some(0), "{}", running::stdout(&verified));
}

#[test]
fn switched_off_nothing_is_stated() {
    let server = Server::start_with(&["--expire", "false"]);
    let idp = server.key("", "idp", &["producer"]);
    server.record(&idp, &[issued("gone", now_seconds() - 60)]);
    std::thread::sleep(Duration::from_secs(1));
    assert!(stated(&server, "gone").is_empty());
    let token = server.get("/v1/tokens/eu:idp:jti:gone", &server.admin).json();
    assert_eq!(token["known"]["state_by_entries"], "ACTIVE", "{token}");
    assert_eq!(token["known"]["state"], "EXPIRED", "the time alone says so: {token}");
}
