//! The log of write accesses: every request to write is counted under its credential, in entries of
//! the ledger, also a refused one, and none is counted twice or lost at a clean stop.

mod running;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use running::{Server, event, stdout};
use serde_json::{Value, json};

/// Sums by credential: requests, recorded, duplicates, refused.
fn sums(server: &Server) -> BTreeMap<String, [u64; 4]> {
    let mut sums = BTreeMap::<String, [u64; 4]>::new();
    let answer = server.get("/v1/write-accesses?limit=200", &server.admin);
    assert_eq!(answer.status, 200, "{}", answer.text());
    for one in answer.json()["accesses"].as_array().expect("accesses") {
        let credential = one["credential"].as_str().expect("a text").to_owned();
        let of = sums.entry(credential).or_default();
        for (sum, name) in of.iter_mut().zip(["requests", "recorded", "duplicates", "refused"]) {
            *sum += one[name].as_u64().expect("a count");
        }
        let by = one["refused_by"].as_object().expect("codes");
        let by: u64 = by.values().filter_map(Value::as_u64).sum();
        assert_eq!(by, one["refused"].as_u64().expect("a count"), "{one}");
        assert!(one["from"].as_str() < one["to"].as_str(), "{one}");
    }
    sums
}

/// Waits until the sums are these.
fn until(server: &Server, expected: &[(&str, [u64; 4])]) {
    let expected: BTreeMap<String, [u64; 4]> =
        expected.iter().map(|(name, sums)| ((*name).to_owned(), *sums)).collect();
    let end = Instant::now() + Duration::from_secs(20);
    let mut found = sums(server);
    while found != expected && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
        found = sums(server);
    }
    assert_eq!(found, expected);
}

fn id_of(key: &str) -> &str {
    let rest = key.strip_prefix("llk_").expect("an API key");
    &rest[..rest.len() - 44]
}

#[test]
fn every_request_to_write_is_counted_under_its_credential() {
    let mut server = Server::start_with(&["--write-log-interval-s", "1"]);
    let idp = server.key("", "idp", &["producer"]);
    let reader = server.key("", "desk", &["reader"]);
    let (one, two) = (event("n1", "ISSUED", "a"), event("n2", "ISSUED", "b"));
    server.record(&idp, &[one.clone(), two]);
    assert_eq!(server.post("/v1/events", &idp, &json!([one])).status, 200);
    // Refused: an event, a body, a role, a stranger.
    let odd = json!({ "native_id": "n3", "type": "ISSUED", "occurred_at": "2026-01-02T03:04:05Z" });
    let mixed = json!([odd, event("n4", "ISSUED", "c")]);
    assert_eq!(server.post("/v1/events", &idp, &mixed).status, 200);
    let broken = server.call("POST", "/v1/events", Some(&idp), Some(("application/json", b"{")));
    assert!((400..500).contains(&broken.status), "{}", broken.status);
    assert_eq!(server.post("/v1/events", &reader, &one).status, 403);
    assert_eq!(server.post("/v1/events", "llk_nobody_x", &one).status, 401);
    let expected =
        [(id_of(&idp), [4, 3, 1, 2]), (id_of(&reader), [1, 0, 0, 1]), ("", [1, 0, 0, 1])];
    until(&server, &expected);
    // It stays so: an interval without accesses has no entry.
    std::thread::sleep(Duration::from_millis(2500));
    until(&server, &expected);
    let table = stdout(&server.run(&server.admin, &["sources", "--accesses"]));
    assert!(table.contains(id_of(&idp)) && table.contains("idp"), "{table}");
    // What a clean stop cuts off is stated by the next start.
    server.set_flags(&["--write-log-interval-s", "3600"]);
    assert_eq!(server.stop(), Some(0));
    server.go();
    server.record(&idp, &[event("n5", "ISSUED", "d")]);
    server.set_flags(&["--write-log-interval-s", "1"]);
    assert_eq!(server.stop(), Some(0));
    server.go();
    let expected = [(id_of(&idp), [5, 4, 1, 2]), expected[1], expected[2]];
    until(&server, &expected);
    // Another tenant sees none of it.
    let other = server.key("acme", "gw", &["reader"]);
    let none = server.get("/v1/write-accesses", &other).json();
    assert_eq!(none["accesses"], json!([]), "{none}");
    assert_eq!(server.get("/v1/write-accesses?tenant=", &other).status, 404);
}

#[test]
fn the_age_of_a_key_is_shown_to_who_may_see_the_key() {
    let server = Server::start();
    let keys = ["", "acme"].map(|tenant| server.key(tenant, "gw", &["producer", "reader"]));
    let line = |key: &str| format!("ledgerline_key_age_seconds{{key=\"{}\"}} ", id_of(key));
    for (asker, seen) in
        [(&server.admin, [true, true]), (&keys[0], [true, false]), (&keys[1], [false, true])]
    {
        let metrics = server.get("/metrics", asker).text();
        let found = [0, 1].map(|at| metrics.contains(&line(&keys[at])));
        assert_eq!(found, seen, "{metrics}");
    }
    let id = id_of(&keys[1]);
    server.call("DELETE", &format!("/v1/keys/{id}"), Some(&server.admin), None);
    assert!(!server.get("/metrics", &server.admin).text().contains(&line(&keys[1])), "it ended");
}
