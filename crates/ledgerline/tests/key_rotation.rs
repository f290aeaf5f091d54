//! Rotating keys: what has ended makes no other, an overlap lets both go on; flags keep their
//! place.

mod running;

use std::time::{Duration, Instant};

use running::{Server, event, run, stderr, stdout};
use serde_json::{Value, json};

fn listed(server: &Server, key_id: &str) -> Value {
    let keys = server.get("/v1/keys", &server.admin).json();
    let keys = keys["keys"].as_array().expect("keys").iter();
    let mut keys = keys.filter(|key| key["key_id"] == key_id);
    keys.next().unwrap_or_else(|| panic!("no key {key_id}")).clone()
}

fn add(server: &Server, key_id: &str, more: &Value) -> String {
    let mut request = json!({
        "key_id": key_id, "tenant": "", "source": "idp", "roles": ["producer"],
        "types": ["USED"],
    });
    for (name, value) in more.as_object().expect("an object") {
        request[name] = value.clone();
    }
    let answer = server.post("/v1/keys", &server.admin, &request);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["secret"].as_str().expect("a secret").to_owned()
}

fn writes(server: &Server, secret: &str, native: &str) -> u16 {
    server.post("/v1/events", secret, &event(native, "USED", "a")).status
}

#[test]
fn rotating_a_compromised_key_made_a_valid_one() {
    let server = Server::start();
    add(&server, "leaked", &json!({}));
    add(&server, "retired", &json!({}));
    add(&server, "expired", &json!({ "expires_at": "2026-01-01T00:00:00Z" }));
    let ended = server.run(&server.admin, &["keys", "retire", "leaked", "--compromised"]);
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    server.run(&server.admin, &["keys", "retire", "retired"]);
    let count = || {
        let keys = server.get("/v1/keys", &server.admin).json();
        keys["keys"].as_array().map(Vec::len)
    };
    let before = count();
    for key in ["leaked", "retired", "expired"] {
        for overlap in [&[][..], &["--overlap", "24h"]] {
            let out = server.path("new.key");
            let args = [&["keys", "rotate", key, "--out", out.to_str().expect("text")], overlap];
            let output = server.run(&server.admin, &args.concat());
            assert_eq!(output.status.code(), Some(1), "{key}");
            assert!(stderr(&output).contains("key_ended"), "{}", stderr(&output));
            assert!(!out.exists(), "{key}: a file without a secret is in the way of another try");
        }
    }
    assert_eq!(count(), before, "nothing was made");
    let table = stdout(&server.run(&server.admin, &["keys", "list"]));
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).expect("a line");
    assert!(line("leaked").contains("COMPROMISED"), "{table}");
    assert!(line("retired").contains("retired ") && line("expired").contains("expired "));
}

/// Most leaks are found after the key was rotated; it was `retired` for ever.
#[test]
fn a_key_that_had_ended_could_not_be_called_compromised() {
    let mut server = Server::start();
    add(&server, "late", &json!({}));
    let retire = |more: &[&str]| {
        let args = [&["keys", "retire", "late"], more].concat();
        server.run(&server.admin, &args).status.code()
    };
    assert_eq!(retire(&[]), Some(0));
    assert_eq!(listed(&server, "late")["status"], "retired");
    assert_eq!(retire(&[]), Some(1), "it has ended");
    let until = listed(&server, "late")["valid_until"].clone();
    assert_eq!(retire(&["--compromised", "--reason", "found in a repository"]), Some(0));
    assert_eq!(retire(&["--compromised"]), Some(1), "that is known");
    for _ in 0..2 {
        let late = listed(&server, "late");
        assert_eq!((&late["status"], &late["valid_until"]), (&json!("compromised"), &until));
        // The same behind a restart.
        assert_eq!(server.stop(), Some(0));
        server.go();
    }
}

#[test]
fn both_keys_are_valid_in_the_overlap_and_the_old_one_ends_by_itself_also_over_a_restart() {
    let mut server = Server::start();
    let old = add(&server, "k1", &json!({ "issuers": ["idp"] }));
    let other = add(&server, "k2", &json!({}));
    let rotate = |server: &Server, key: &str, seconds: u64| {
        let path = format!("/v1/keys/{key}/rotate");
        server.post(&path, &server.admin, &json!({ "overlap_seconds": seconds }))
    };
    let rotated = rotate(&server, "k1", 4);
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    let new = rotated.json()["secret"].as_str().expect("a secret").to_owned();
    let begun = Instant::now();
    assert_eq!((writes(&server, &old, "o1"), writes(&server, &new, "n1")), (200, 200));
    let key = listed(&server, "k1");
    assert_eq!((&key["status"], &key["valid_until"]), (&json!("ending"), &Value::Null));
    assert_eq!(key["successor"], rotated.json()["key_id"]);
    let successor = listed(&server, rotated.json()["key_id"].as_str().expect("an id"));
    for member in ["issuers", "types", "roles", "source", "tenant", "strict", "alg"] {
        assert_eq!(successor[member], key[member], "{member}");
    }
    // A second rotation of it would make a second successor.
    assert_eq!(rotate(&server, "k1", 4).status, 409);
    let long = rotate(&server, "k2", 3600);
    assert_eq!(long.status, 201, "{}", long.text());
    assert_eq!(rotate(&server, "k2", 90 * 86_400 + 1).status, 422);
    assert_eq!(server.stop(), Some(0));
    server.go();
    assert_eq!(listed(&server, "k2")["ends_at"], long.json()["old_key_ends_at"]);
    assert_eq!(writes(&server, &other, "p1"), 200);
    let until = Instant::now() + Duration::from_secs(15);
    while listed(&server, "k1")["status"] != "retired" && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(begun.elapsed() >= Duration::from_secs(3), "not before its time");
    let key = listed(&server, "k1");
    assert_eq!((&key["status"], &key["compromised"]), (&json!("retired"), &json!(false)));
    assert_eq!((writes(&server, &old, "o2"), writes(&server, &new, "n2")), (401, 200));
    assert_eq!(listed(&server, "k2")["status"], "ending");
    // A key that turns out to be stolen ends at once.
    let ended = server.run(&server.admin, &["keys", "retire", "k2", "--compromised"]);
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    assert_eq!(writes(&server, &other, "p2"), 401);
    assert_eq!(listed(&server, "k2")["status"], "compromised");
    server.wait_for_block();
    assert_eq!(server.stop(), Some(0));
    let data = server.path("data");
    let verified = run(&["verify", "--data", data.to_str().expect("text")], &[], b"");
    assert_eq!(verified.status.code(), Some(0), "{}{}", stdout(&verified), stderr(&verified));
}

#[test]
fn a_key_whose_time_came_while_nobody_ran_is_ended_before_anything_is_answered() {
    let mut server = Server::start();
    let old = add(&server, "k1", &json!({}));
    let path = "/v1/keys/k1/rotate";
    let rotated = server.post(path, &server.admin, &json!({ "overlap_seconds": 1 }));
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    assert_eq!(server.stop(), Some(0));
    std::thread::sleep(Duration::from_millis(1200));
    server.go();
    assert_eq!(writes(&server, &old, "o1"), 401);
    assert_eq!(listed(&server, "k1")["status"], "retired");
}

#[test]
fn flags_are_taken_before_and_behind_the_verb() {
    let server = Server::start();
    let path = server.write("admin.copy", &server.admin);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, mode).expect("a mode");
    let key = path.to_str().expect("text");
    let url = [("LEDGERLINE_URL", server.url.as_str())];
    let id = "0".repeat(64);
    for args in [
        &["keys", "list", "--key-file", key][..],
        &["keys", "--key-file", key, "list"],
        &["findings", "--wait", "30", "--key-file", key],
    ] {
        let output = run(args, &url, b"");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    }
    for args in [
        &["findings", "close", &id, "--note", "x", "--key-file", key][..],
        &["findings", "--key-file", key, "close", &id, "--note", "x"],
        &["findings", "close", "--key-file", key, &id, "--note", "x"],
    ] {
        let output = run(args, &url, b"");
        assert!(stderr(&output).contains("not_found"), "{args:?}: {}", stderr(&output));
    }
    let mixed = ["findings", "--severity", "high", "close", &id, "--note", "x"];
    assert_eq!(run(&mixed, &url, b"").status.code(), Some(64));
}

#[test]
fn a_finding_is_named_by_the_begin_of_its_id() {
    let server = Server::start();
    let mut used = event("u1", "USED", "nobody-issued-it");
    used["occurred_at"] = "2026-01-02T05:00:00Z".into();
    server.record(&server.admin, &[used]);
    let until = Instant::now() + Duration::from_secs(10);
    let id = loop {
        let answer = server.get("/v1/findings", &server.admin).json();
        if let Some(id) = answer["findings"][0]["id"].as_str() {
            break id.to_owned();
        }
        assert!(Instant::now() < until, "no finding");
        std::thread::sleep(Duration::from_millis(50));
    };
    let close = |id: &str| {
        server.run(&server.admin, &["findings", "close", id, "--note", "a drill"]).status.code()
    };
    assert_eq!((close("zz"), close("0a")), (Some(64), Some(64)));
    let other = if id.starts_with("0000") { "ffff" } else { "0000" };
    assert_eq!(close(other), Some(1));
    assert_eq!(close(&format!("{}\u{2026}", &id[..8])), Some(0));
}

/// A KEY_COMPROMISED behind the key's end was no error, and `verify` called it one.
#[test]
fn a_key_called_compromised_after_its_end_is_verified() {
    let mut server = Server::start();
    add(&server, "late", &json!({}));
    for more in [&[][..], &["--compromised"]] {
        let ended = server.run(&server.admin, &[&["keys", "retire", "late"], more].concat());
        assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    }
    server.wait_for_block();
    assert_eq!(server.stop(), Some(0));
    let data = server.path("data");
    let verify = run(&["verify", "--data", data.to_str().expect("text"), "-o", "json"], &[], b"");
    let report: Value = serde_json::from_str(&stdout(&verify)).expect("a report");
    assert!(!stdout(&verify).contains("unknown or ended before"), "{report}");
    assert_ne!(verify.status.code(), Some(2), "{report}");
}
