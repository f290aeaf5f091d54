//! What stands in a life and was not shown: a use after its revocation that looked like any other,
//! and acts of the ledger that were a bare word.

mod running;

use running::{Server, stdout};
use serde_json::{Value, json};

const ID: &str = "eu:idp:jti:one";
const OTHER: &str = "eu:idp:jti:two";

fn event(native_id: &str, what: &str, id: &str, at: &str) -> Value {
    let mut event = json!({ "native_id": native_id, "type": what, "token_id": id, "issuer": "idp",
        "occurred_at": format!("2026-01-02T{at}Z"), "outcome": "ALLOW" });
    if what == "ISSUED" {
        event["session_id"] = "s".into();
        event["token_kind"] = "ACCESS".into();
        event["expires_at"] = "2096-06-01T00:00:00Z".into();
    }
    event
}

fn marks(life: &Value) -> Vec<(String, Value)> {
    let events = life["events"].as_array().expect("events").iter();
    let mark = |one: &Value| {
        let native = one["statement"]["native_id"].as_str().unwrap_or("-").to_owned();
        (native, one["violation"].clone())
    };
    events.map(mark).filter(|(_, violation)| !violation.is_null()).collect()
}

#[test]
fn a_use_after_revocation_looked_like_any_other_in_trace() {
    let server = Server::start();
    let producer = server.key("", "idp", &["producer"]);
    let reader = server.key("", "desk", &["reader"]);
    let after = json!("use_after_revoke");
    server.record(
        &producer,
        &[
            event("i1", "ISSUED", ID, "10:00:00"),
            event("u1", "USED", ID, "10:01:00"),
            event("r1", "REVOKED", ID, "10:02:00"),
            event("u2", "USED", ID, "10:03:00"),
            // Late: it happened before the revocation.
            event("u3", "USED", ID, "10:01:30"),
            event("i2", "ISSUED", OTHER, "10:00:00"),
            event("v1", "USED", OTHER, "10:01:00"),
        ],
    );
    let mut wide = event("r2", "REVOKED", OTHER, "10:02:00");
    wide.as_object_mut().expect("an object").remove("token_id");
    wide["target"] = json!({ "kind": "SESSION", "id": "eu:idp:s" });
    server.record(&producer, &[wide, event("v2", "USED", OTHER, "10:03:00")]);
    for (id, use_of) in [(ID, "u2"), (OTHER, "v2")] {
        let output = server.run(&reader, &["trace", id]);
        let shown = stdout(&output);
        let lines: Vec<&str> = shown.lines().filter(|line| line.contains("use_after")).collect();
        assert_eq!(lines.len(), 1, "{shown}");
        assert!(lines[0].contains("USED") && lines[0].contains("10:03:00"), "{shown}");
        let output = server.run(&reader, &["trace", "-o", "json", id]);
        let life: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!(marks(&life), [(use_of.to_owned(), after.clone())], "{life}");
        // Whichever page it stands on.
        let mut path = format!("/v1/tokens/{id}/events?limit=1");
        let mut found = Vec::new();
        loop {
            let page = server.get(&path, &reader).json();
            found.extend(marks(&page));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/tokens/{id}/events?limit=1&page={next}");
        }
        assert_eq!(found, [(use_of.to_owned(), after.clone())]);
    }
}

#[test]
fn what_the_ledger_did_was_a_bare_word() {
    let server = Server::start();
    let producer = server.key("", "idp", &["producer"]);
    let responder = server.key("", "soc", &["responder", "auditor"]);
    server.record(
        &producer,
        &[
            event("i1", "ISSUED", ID, "10:00:00"),
            event("r1", "REVOKED", ID, "10:02:00"),
            event("u2", "USED", ID, "10:03:00"),
        ],
    );
    let output = server.run(&responder, &["findings", "--wait", "30"]);
    assert!(stdout(&output).contains("use_after_revoke"), "{}", stdout(&output));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("findings.json");
    let file = file.to_str().expect("UTF-8");
    let output = server.run(&responder, &["findings", "--proof", file]);
    assert!(matches!(output.status.code(), Some(0 | 3)), "behind is 3: {output:?}");
    let status = server.run(&responder, &["status", "-o", "json"]);
    let status: Value = serde_json::from_str(&stdout(&status)).expect("JSON");
    let key = status["log_key"].as_str().expect("a key").to_owned();
    let page = folder.path().join("page.html");
    let page_name = page.to_str().expect("UTF-8");
    let args = ["check", file, "--key", &key, "--html", page_name];
    let shown = stdout(&server.run(&responder, &args));
    // Lines are broken at blanks.
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["rule=use_after_revoke", "severity="] {
        assert!(flat.contains(words), "{words} is not in\n{shown}");
        let html = std::fs::read_to_string(&page).expect("a page");
        assert!(html.contains(words), "{words} is not in\n{html}");
    }
    let args = ["check", file, "--key", &key, "-o", "json"];
    let shown = stdout(&server.run(&responder, &args));
    let report: Value = serde_json::from_str(&shown).expect("JSON");
    let entries = report["entries"].as_array().expect("entries");
    let raised = entries.iter().find(|one| one["event"]["event_type"] == "FINDING_RAISED");
    let detail = &raised.unwrap_or_else(|| panic!("{report}"))["event"]["detail"];
    let rule = json!({ "key": "rule", "value": "use_after_revoke" });
    assert!(detail.as_array().is_some_and(|list| list.contains(&rule)), "{detail}");
}
