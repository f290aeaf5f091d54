//! An answer with a proof is about what was recorded when it was asked for, or says that it is not;
//! with blocks that come slowly.

mod running;

use std::path::Path;

use running::{Server, event, run, stderr, stdout};
use serde_json::{Value, json};

const SLOW: [&str; 2] = ["--block-interval-ms", "3000"];

/// A ledger with tokens that a block covers.
fn with_tokens(tokens: &[&str]) -> Server {
    let server = Server::start_with(&SLOW);
    for token in tokens {
        let mut issued = event(&format!("i{token}"), "ISSUED", token);
        issued["token_kind"] = "ACCESS".into();
        server.record(&server.admin, &[issued]);
    }
    server.wait_for_block();
    server
}

fn revoke(server: &Server, token: &str) {
    let answer = server.run(&server.admin, &["revoke", &format!("eu:idp:jti:{token}")]);
    assert_eq!(answer.status.code(), Some(0), "{}{}", stdout(&answer), stderr(&answer));
}

/// What `check` says of a bundle, and its exit code.
fn check(server: &Server, file: &Path) -> (i32, String) {
    let status = server.get("/v1/status", &server.admin).json();
    let key = status["log_key"].as_str().expect("a key");
    let file = file.to_str().expect("text");
    let said = run(&["check", file, "--key", key], &[], b"");
    (said.status.code().expect("a code"), stdout(&said))
}

#[test]
fn a_revoked_token_was_proven_active_as_of_the_last_block() {
    let faces: [(&str, &[&str]); 6] = [
        ("a", &["blast-radius"]),
        ("b", &["lineage"]),
        ("c", &["trace"]),
        ("d", &["query", "resources"]),
        ("e", &["prove"]),
        ("f", &["query", "triage"]),
    ];
    let server = with_tokens(&faces.map(|(token, _)| token));
    for (token, face) in faces {
        revoke(&server, token);
        let id = format!("eu:idp:jti:{token}");
        let file = server.path(&format!("{token}.json"));
        let name = file.to_str().expect("text");
        let flag = if face == ["prove"] { "--out" } else { "--proof" };
        let list = server.write("leaked.txt", &id);
        let subject = if face.ends_with(&["triage"]) { list.to_str().expect("text") } else { &id };
        let args: Vec<&str> = face.iter().copied().chain([flag, name, subject]).collect();
        let answer = server.run(&server.admin, &args);
        let said = stdout(&answer);
        assert_eq!(answer.status.code(), Some(0), "{face:?} {said}{}", stderr(&answer));
        assert!(!said.contains("INCOMPLETE") && !stderr(&answer).contains("busy"), "{said}");
        assert!(said.contains("the proof is in it, as of entry"), "{face:?} {said}");
        let shows_state = !face.contains(&"resources") && face != ["prove"];
        if shows_state {
            assert!(!said.contains("ACTIVE  true") && !said.contains("known     ACTIVE"), "{said}");
            assert!(said.contains("REVOKED"), "{face:?} {said}");
        }
        let (code, checked) = check(&server, &file);
        assert_eq!(code, 0, "{face:?} {checked}");
        let dead = checked.contains("known REVOKED (not active)");
        assert!(dead || face.contains(&"resources"), "{face:?} {checked}");
    }
}

#[test]
fn a_closed_finding_was_proven_open() {
    let server = with_tokens(&["t"]);
    revoke(&server, "t");
    let mut used = event("u1", "RESOURCE_ACCESSED", "t");
    used["occurred_at"] = "2027-01-02T03:04:05Z".into();
    used["service"] = "api".into();
    let verdict = server.post("/v1/events", &server.admin, &json!([used]));
    assert_eq!(verdict.status, 200, "{}", verdict.text());
    let admin = &server.admin;
    let open = |more: &[&str]| {
        let args = [&["findings", "--state", "open", "-o", "json"], more].concat();
        let answer = server.run(admin, &args);
        let value: Value = serde_json::from_str(&stdout(&answer)).expect("JSON");
        (answer.status.code(), value)
    };
    let (_, found) = open(&["--wait", "10"]);
    let found = found["findings"].as_array().expect("a list").clone();
    for one in &found {
        let id = one["id"].as_str().expect("an id");
        let closed = server.run(admin, &["findings", "close", id, "--note", "case 1"]);
        assert_eq!(closed.status.code(), Some(0), "{}", stderr(&closed));
    }
    assert!(!found.is_empty(), "use after revocation is a finding");
    let file = server.path("findings.json");
    let (code, left) = open(&["--proof", file.to_str().expect("text")]);
    let open = left["findings"].as_array().map(Vec::len);
    assert_eq!((code, open), (Some(0), Some(0)), "{left}");
}

#[test]
fn a_bundle_of_the_last_block_said_nothing_of_newer_entries() {
    let server = with_tokens(&["t"]);
    revoke(&server, "t");
    let id = "eu:idp:jti:t";
    for path in [
        format!("/v1/tokens/{id}/blast-radius?proof=true"),
        format!("/v1/tokens/{id}/lineage?proof=true"),
        format!("/v1/tokens/{id}/proof?"),
    ] {
        revoke_again(&server, &path);
        let answer = server.get(&format!("{path}&wait=0"), &server.admin);
        assert_eq!(answer.status, 200, "{path} {}", answer.text());
        let note = answer.json()["coverage"]["notes"][0].as_str().unwrap_or_default().to_owned();
        assert!(note.starts_with("INCOMPLETE when it was made: as of entry "), "{path} {note}");
        assert!(note.contains("not in it"), "{path} {note}");
        let file = server.write("old.json", &answer.body);
        let (code, said) = check(&server, &file);
        assert_eq!(code, 3, "{path} {said}");
        assert!(said.starts_with("INCOMPLETE: as of entry "), "{path} {said}");
        // Who waits is told all.
        let answer = server.get(&path, &server.admin);
        let notes = answer.json()["coverage"]["notes"].to_string();
        assert!(answer.status == 200 && !notes.contains("INCOMPLETE"), "{path} {notes}");
    }
}

/// An entry about the token that no block covers.
fn revoke_again(server: &Server, mark: &str) {
    let mut used = event(&format!("u{mark}"), "USED", "t");
    used["service"] = "api".into();
    server.record(&server.admin, &[used]);
}
