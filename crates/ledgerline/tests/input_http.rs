//! What producers send, and what must not be the reason to lose it: each test is named after what
//! went wrong once.

mod running;

use running::Server;
use serde_json::{Value, json};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

fn server() -> (Server, String) {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader"]);
    (server, key)
}

fn event(native_id: &str, kind: &str, more: &Value) -> Value {
    let mut event = json!({
        "native_id": native_id, "type": kind, "token_id": "eu:idp:jti:a", "issuer": "idp",
        "occurred_at": "2026-01-02T03:04:05Z",
    });
    let more = more.as_object().expect("members").clone();
    event.as_object_mut().expect("an object").extend(more);
    event
}

/// The verdicts about a body: `recorded`, `duplicate`, or the code of the refusal.
fn verdicts(server: &Server, key: &str, media_type: &str, body: &[u8]) -> Vec<String> {
    let answer = server.call("POST", "/v1/events", Some(key), Some((media_type, body)));
    if answer.status != 200 {
        return vec![answer.code()];
    }
    let answer = answer.json();
    let list = answer["events"].as_array().expect("verdicts");
    let word = |one: &Value| match one["error"]["code"].as_str() {
        Some(code) => code.to_owned(),
        None => one["status"].as_str().unwrap_or_default().to_owned(),
    };
    list.iter().map(word).collect()
}

fn one(server: &Server, key: &str, event: &Value) -> String {
    verdicts(server, key, JSON, event.to_string().as_bytes()).concat()
}

/// The `detail` of an event as the ledger shows it.
fn details(server: &Server, key: &str, place: usize) -> Value {
    let events = server.get("/v1/tokens/eu:idp:jti:a/events", key).json();
    events["events"][place]["statement"]["detail"].clone()
}

#[test]
fn a_long_user_agent_hid_the_use_of_a_revoked_token() {
    let (server, key) = server();
    let reader = server.key("", "desk", &["reader"]);
    server.record(&key, &[event("1", "ISSUED", &json!({ "token_kind": "ACCESS" }))]);
    let revoked = json!({ "occurred_at": "2026-01-02T03:05:05Z" });
    server.record(&key, &[event("2", "REVOKED", &revoked)]);
    let used = event(
        "3",
        "RESOURCE_ACCESSED",
        &json!({
            "occurred_at": "2026-01-02T03:06:05Z", "outcome": "ALLOW", "service": "orders",
            "endpoint": format!("/orders/{}\u{0}", "9".repeat(5000)),
            "personal": [{ "role": "SUBJECT", "user_id": "zoe", "ip": "198.51.100.66, ".repeat(90),
                "user_agent": format!("curl/8 {}", "A".repeat(1100)) }],
        }),
    );
    assert_eq!(one(&server, &key, &used), "recorded");
    assert_eq!(one(&server, &key, &used), "duplicate", "the same input gives the same bytes");
    let cut = json!([{ "key": "ledgerline.cut",
        "value": "endpoint, personal.ip, personal.user_agent" }]);
    assert_eq!(details(&server, &key, 2), cut);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let found = server.get("/v1/findings?token=eu:idp:jti:a", &reader).text();
        if found.contains("use_after_revoke") {
            return;
        }
        assert!(std::time::Instant::now() < until, "no finding: {found}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_long_id_is_refused_whole_and_not_cut() {
    let (server, key) = server();
    let long = "c".repeat(1025);
    for more in [
        json!({ "client_id": long }),
        json!({ "service": long }),
        json!({ "scopes": [long] }),
        json!({ "personal": [{ "role": "SUBJECT", "user_id": long }] }),
    ] {
        assert_eq!(one(&server, &key, &event("n", "USED", &more)), "bad_field", "{more}");
    }
}

#[test]
fn detail_beyond_an_entry_is_cut_and_what_fits_is_not() {
    let (server, key) = server();
    let with = |length: usize| json!({ "detail": [{ "key": "k", "value": "v".repeat(length) }] });
    assert_eq!(one(&server, &key, &event("1", "ISSUED", &with(50_000))), "recorded");
    assert_eq!(one(&server, &key, &event("2", "USED", &with(70_000))), "recorded");
    assert_eq!(details(&server, &key, 0)[0]["value"].as_str().map(str::len), Some(50_000));
    let cut = details(&server, &key, 1);
    assert!(cut[0]["value"].as_str().is_some_and(|text| text.ends_with("…[cut from 70000 bytes]")));
    assert_eq!(cut[1], json!({ "key": "ledgerline.cut", "value": "detail" }));
}

#[test]
fn null_for_an_absent_list_was_refused() {
    let (server, key) = server();
    let nulls = json!({
        "client_id": null, "also_known_as": null, "scopes": null, "audience": null,
        "policies": null, "links": null, "actors": null, "personal": null, "detail": null,
        "attachments": null, "activation": null, "policy_change": null, "selector": null,
        "mfa": { "methods": null },
    });
    assert_eq!(one(&server, &key, &event("1", "ISSUED", &nulls)), "recorded");
    let inside = json!({ "personal": [{ "role": "SUBJECT", "user_id": "u", "attributes": null }] });
    assert_eq!(one(&server, &key, &event("2", "USED", &inside)), "recorded");
}

#[test]
fn an_attribute_twice_was_taken_the_last_one_winning() {
    let (server, key) = server();
    let good = event(
        "1",
        "ISSUED",
        &json!({ "personal": [
        { "role": "SUBJECT", "user_id": "u", "attributes": { "mfa": "yes", "MFA": "no" } }] }),
    );
    let twice = good.to_string().replace("\"MFA\"", "\"mfa\"");
    let escaped = good.to_string().replace("\"MFA\"", "\"\\u006dfa\"");
    for body in [&twice, &escaped] {
        assert_eq!(verdicts(&server, &key, JSON, body.as_bytes()), ["bad_field"], "{body}");
    }
    assert_eq!(one(&server, &key, &good), "recorded");
}

#[test]
fn an_expiry_of_never_was_no_time() {
    let (server, key) = server();
    let never = json!({ "expires_at": "9999-12-31T23:59:59Z", "token_kind": "REFRESH" });
    assert_eq!(one(&server, &key, &event("1", "ISSUED", &never)), "recorded");
    let said = json!([{ "key": "ledgerline.expires_at", "value": "9999-12-31T23:59:59Z" }]);
    assert_eq!(details(&server, &key, 0), said);
    let known = server.get("/v1/tokens/eu:idp:jti:a", &key).json()["known"].clone();
    assert_eq!((&known["state"], &known["expires_at"]), (&"ACTIVE".into(), &Value::Null));
    let grace = json!({ "grace_until": "9999-12-31T23:59:59Z" });
    let refused = server.post("/v1/events", &key, &event("2", "REFRESHED", &grace));
    assert_eq!((refused.status, refused.code().as_str()), (422, "bad_field"));
    assert!(refused.text().contains("after 2262"), "{}", refused.text());
}

#[test]
fn a_byte_order_mark_cost_the_first_event() {
    let (server, key) = server();
    let line = |n: &str| event(n, "USED", &json!({})).to_string();
    let body = format!("\u{feff}{}\r\n\u{feff}{}\r{}", line("1"), line("2"), line("3"));
    assert_eq!(verdicts(&server, &key, NDJSON, body.as_bytes()), ["recorded"; 3]);
    let lone = format!("\u{feff}{}", line("4"));
    assert_eq!(verdicts(&server, &key, JSON, lone.as_bytes()), ["recorded"]);
    let list = format!("\u{feff}[{},{}]", line("5"), line("6"));
    assert_eq!(verdicts(&server, &key, JSON, list.as_bytes()), ["recorded"; 2]);
}

#[test]
fn each_line_is_recorded_or_named() {
    let (server, key) = server();
    let mut body = Vec::new();
    let good = |n: &str| event(n, "USED", &json!({})).to_string().into_bytes();
    for line in [
        good("1"),
        b"{\"client_id\":\"caf\xe9\"}".to_vec(),
        b"\0\0\0\0".to_vec(),
        b"{\"type\":\"ISSUED\",\"token_id\":\"eu:idp:jti:torn-0\",\"occurr".to_vec(),
        b"{\"client_id\":\"\\ud800\"}".to_vec(),
        event("2", "USED", &json!({ "client_id": "a\u{0}b" })).to_string().into_bytes(),
        format!("{}1{}", "[".repeat(5000), "]".repeat(5000)).into_bytes(),
        b"{\"count\":1e400}".to_vec(),
        vec![b'x'; 1 << 20],
        good("3"),
    ] {
        body.extend_from_slice(&line);
        body.push(b'\n');
    }
    let codes = verdicts(&server, &key, NDJSON, &body);
    assert_eq!((codes[0].as_str(), codes[9].as_str()), ("recorded", "recorded"));
    assert_eq!(codes[1], "not_utf8");
    assert_eq!(codes.len(), 10);
    for code in &codes[1..9] {
        assert!(["not_utf8", "bad_json", "bad_field"].contains(&code.as_str()), "{codes:?}");
    }
}

#[test]
fn one_address_in_two_spellings_was_a_divergence() {
    let (server, key) = server();
    let at = |n: &str, kind: &str, second: u32, ip: &str| {
        event(
            n,
            kind,
            &json!({
                "occurred_at": format!("2026-01-02T03:04:{second:02}Z"),
                "personal": [{ "role": "SUBJECT", "user_id": "kim", "ip": ip }],
            }),
        )
    };
    server.record(&key, &[at("0", "ISSUED", 0, "203.0.113.7")]);
    let spellings =
        ["::ffff:203.0.113.7", "::FFFF:CB00:7107", "203.0.113.7:51234", "[::ffff:203.0.113.7]:443"];
    for (n, ip) in (1..).zip(spellings) {
        server.record(&key, &[at(&n.to_string(), "USED", n, ip)]);
    }
    let told = server.get("/v1/tokens/eu:idp:jti:a/divergence", &key).json();
    assert_eq!(told["divergences"], json!([]), "{told}");
    server.record(&key, &[at("9", "USED", 9, "198.51.100.66")]);
    let told = server.get("/v1/tokens/eu:idp:jti:a/divergence", &key).json();
    assert_ne!(told["divergences"], json!([]), "another address is still told");
}
