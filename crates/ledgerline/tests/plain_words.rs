//! Errors that sent a newcomer nowhere: no name, no number that is right, no next step.

mod running;

use running::{BINARY, Server, stderr, stdout};
use serde_json::{Value, json};

fn detail(server: &Server, key: &str, event: &Value) -> (String, String) {
    let answer = server.post("/v1/events", key, event);
    let answer = answer.json();
    let of_event = &answer["events"][0]["error"];
    let error = if of_event.is_null() { &answer } else { of_event };
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    (text("code"), text("detail"))
}

#[test]
fn an_unknown_field_had_no_name() {
    let server = Server::start();
    let producer = server.key("", "idp", &["producer"]);
    let event = |more: Value| {
        let mut event = json!({ "native_id": "n", "type": "ISSUED", "issuer": "idp",
            "token_id": "eu:idp:jti:a", "occurred_at": "2026-01-02T03:04:05Z" });
        event.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
        event
    };
    let link = json!({ "links": [{ "token": "eu:idp:jti:b", "relation": "REFRESHED_FROM" }] });
    let (code, words) = detail(&server, &producer, &event(link));
    assert_eq!(code, "unknown_field", "{words}");
    assert!(words.contains("`token`") && words.contains("token_id"), "{words}");
    assert!(!words.contains("line 1"), "{words}");
    let (_, words) = detail(&server, &producer, &event(json!({ "client": "web" })));
    assert!(words.contains("`client`") && words.contains("client_id"), "{words}");
    // A name may be a secret, too.
    let secret = "made_up_Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6";
    let (code, words) = detail(&server, &producer, &event(json!({ secret: 1 })));
    assert_eq!((code.as_str(), words.contains(secret)), ("unknown_field", false), "{words}");
    let raw = format!("eyJhbGciOiJFUzI1NiJ9.{}.{}", "eyJh".repeat(100), "Jq8Z".repeat(20));
    let (code, words) = detail(&server, &producer, &event(json!({ "token_id": raw })));
    assert!(words.contains("this is a token, not a token id"), "{code} {words}");
    assert!(!words.contains(&raw[..40]), "{words}");
}

#[test]
fn a_key_that_ended_or_is_no_file_had_no_next_step() {
    let server = Server::start();
    let key = server.key("", "desk", &["reader"]);
    let key_id = key.split('_').nth(1).expect("a key id").to_owned();
    assert_eq!(server.get("/v1/status", &key).status, 200);
    let gone = server.run(&server.admin.clone(), &["keys", "retire", &key_id]);
    assert!(gone.status.success(), "{}", stderr(&gone));
    let answer = server.get("/v1/status", &key);
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("this API key was ended"), "{}", answer.text());
    // Nobody else learns that there was such a key.
    let (front, secret) = key.rsplit_once('_').expect("a secret");
    let other: String = secret.chars().rev().collect();
    let answer = server.get("/v1/status", &format!("{front}_{other}"));
    assert!(!answer.text().contains("ended"), "{}", answer.text());
    let lost = std::process::Command::new(BINARY)
        .args(["status", "--key-file", "/nowhere/responder.key"])
        .output()
        .expect("it runs");
    assert!(stderr(&lost).contains("ledgerline keys add"), "{}", stderr(&lost));
    assert_eq!(lost.status.code(), Some(1));
}

#[test]
fn a_demo_that_was_over_named_its_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new(BINARY)
        .args(["demo", "--once", "--data", folder.path().to_str().expect("UTF-8")])
        .output()
        .expect("it runs");
    let shown = stdout(&output);
    assert!(output.status.success() && shown.contains("! use_after_revoke"), "{shown}");
    assert!(!shown.contains("serving on") && !shown.contains("http://"), "{shown}");
    assert!(!shown.contains("Try:") && shown.contains("Its server has stopped"), "{shown}");
}
