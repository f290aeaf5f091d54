//! `sources`: a score is of what was told, and an inventory names who should tell. Nothing here may
//! look covered that is not.

mod running;

use std::process::Output;

use running::{Server, stderr, stdout};
use serde_json::{Value, json};

const QUICK: [&str; 2] = ["--findings-interval-ms", "20"];
/// One instance of the source that numbers its events.
const INSTANCE: &str = "0192a000-0000-7000-8000-000000000001";

fn act(native: &str, kind: &str, token: &str, more: &Value) -> Value {
    let mut event = json!({ "native_id": native, "type": kind, "issuer": "idp",
        "token_id": format!("eu:idp:jti:{token}"), "occurred_at": "2026-01-02T03:04:05Z" });
    for (key, value) in more.as_object().expect("an object") {
        event[key] = value.clone();
    }
    event
}

fn policy() -> Value {
    json!({ "policies": [{ "id": "orders", "version": "v1", "role": "GRANT" }] })
}

fn beat(source: &str) -> Value {
    json!({ "native_id": format!("beat-{source}"), "type": "HEARTBEAT",
        "occurred_at": "2026-01-02T03:04:05Z", "target": { "kind": "SOURCE", "id": source } })
}

/// The sources once the rules have judged what there is.
fn judged(server: &Server, key: &str) -> Value {
    let answer = server.get("/v1/sources?wait=30", key);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["progress"]["findings"]["state"], "caught_up", "{answer}");
    answer
}

fn of(answer: &Value, name: &str) -> Value {
    let mut list = answer["sources"].as_array().expect("sources").iter();
    list.find(|one| one["source"] == name).cloned().unwrap_or_else(|| panic!("{name}: {answer}"))
}

fn is_code(output: &Output, code: i32) {
    let said = format!("{}{}", stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "{said}");
}

#[test]
fn keys_that_told_nothing_were_perfect_sources() {
    let server = Server::start_with(&QUICK);
    let reader = server.key("", "desk", &["reader"]);
    server.key("", "soc", &["responder"]);
    let gateway = server.key("", "gw", &["producer"]);
    server.record(&gateway, &[beat("gw")]);
    let answer = judged(&server, &reader);
    for (name, words) in
        [("soc", "nothing told"), ("desk", "nothing told"), ("gw", "nothing told but heartbeats")]
    {
        let one = of(&answer, name);
        assert_eq!((&one["score"], &one["words"]), (&Value::Null, &json!(words)), "{one}");
    }
    let table = server.run(&reader, &["sources", "--wait", "30"]);
    is_code(&table, 0);
    assert!(stdout(&table).contains("nothing told"), "{}", stdout(&table));
}

#[test]
fn a_source_with_gaps_and_unborn_tokens_scored_one() {
    let server = Server::start_with(&QUICK);
    let reader = server.key("", "desk", &["reader"]);
    let idp = server.key("", "idp", &["producer"]);
    let gateway = server.key("", "gw", &["producer"]);
    let issued = |name: &str| act(name, "ISSUED", name, &policy());
    server.record(&idp, &[issued("t1"), issued("t2"), issued("t3")]);
    assert_eq!(of(&judged(&server, &reader), "idp")["score"], 1.0);
    // Three numbers are skipped, three of four tokens were never issued here, one event of four
    // names the policy version.
    for (at, token) in [(1, "t1"), (2, "x1"), (6, "x2"), (7, "x3")] {
        let mut more = json!({ "source_instance": INSTANCE, "source_seq": at });
        if at == 1 {
            more["policies"] = json!([{ "id": "orders", "version": "v1", "role": "GRANT" }]);
        }
        server.record(&gateway, &[act(&format!("u{at}"), "USED", token, &more)]);
    }
    let answer = judged(&server, &reader);
    let one = of(&answer, "gw");
    assert_eq!((&one["gaps"], &one["missing_events"]), (&json!(1), &json!(3)), "{one}");
    let sample = &one["sample"];
    assert_eq!((&sample["unborn_tokens"], &sample["about_unborn_tokens"]), (&json!(3), &json!(3)));
    assert_eq!(sample["without_policy_version"], 3, "{one}");
    // 4 of 7 numbers × 1 of 4 known × (1 + 1 of 4) / 2
    assert_eq!(one["score"], 0.089, "{one}");
    let table = stdout(&server.run(&reader, &["sources", "--wait", "30"]));
    for words in [
        "1 gaps, 3 events or more missing",
        "3 of 4 about 3 tokens never issued here",
        "3 of 4 without a policy version",
    ] {
        assert!(table.contains(words), "{words:?} is not in {table}");
    }
    // What arrives late is no gap, and no stranger, any more.
    let late = |at: u64, kind: &str, token: &str| {
        let more = json!({ "source_instance": INSTANCE, "source_seq": at });
        act(&format!("l{at}"), kind, token, &more)
    };
    server.record(&gateway, &[3, 4, 5].map(|at| late(at, "USED", "t1")));
    let mut births = ["x1", "x2", "x3"].map(issued);
    births.iter_mut().for_each(|one| one["occurred_at"] = "2026-01-02T03:00:00Z".into());
    server.record(&idp, &births);
    let one = of(&judged(&server, &reader), "gw");
    assert_eq!((&one["gaps"], &one["sample"]["unborn_tokens"]), (&json!(0), &json!(0)), "{one}");
}

#[test]
fn a_score_stood_while_the_rules_had_not_read_what_takes_from_it() {
    let server = Server::start_with(&["--findings-interval-ms", "0"]);
    let reader = server.key("", "desk", &["reader"]);
    let gateway = server.key("", "gw", &["producer"]);
    server.record(&gateway, &[act("u", "USED", "unborn", &policy())]);
    let table = server.run(&reader, &["sources"]);
    is_code(&table, 3);
    let said = stdout(&table);
    assert!(said.contains("at most 1"), "{said}");
    assert!(said.contains("INCOMPLETE: NOT JUDGED: findings are switched off"), "{said}");
    let answer = server.get("/v1/sources", &reader).json();
    assert_eq!(answer["progress"]["findings"]["state"], "switched_off", "{answer}");
}

const INVENTORY: &str = r#"
[[service]]
name = "idp"
phase = "reporting"
regions = ["eu"]

[[service]]
name = "mail"
phase = "reporting"

[[service]]
name = "search"
phase = "planned"

[[service]]
name = "legacy"
phase = "retired"

[[service]]
name = "crm"
phase = "reporting"
regions = ["eu", "us"]
"#;

#[test]
fn a_service_that_never_reported_was_missed_by_nobody() {
    let server = Server::start_with(&QUICK);
    let reader = server.key("", "desk", &["reader"]);
    server.key("", "mail", &["producer"]);
    for name in ["idp", "crm", "legacy", "shadow"] {
        let key = server.key("", name, &["producer"]);
        server.record(&key, &[act(name, "ISSUED", name, &policy())]);
    }
    let file = server.write("services.toml", INVENTORY);
    let file = file.to_str().expect("text");
    let table = server.run(&reader, &["sources", "--expected", file, "--wait", "30"]);
    is_code(&table, 3);
    let said = stdout(&table);
    for words in [
        "NEVER REPORTED: nothing was recorded of it",
        "NOT FROM us: none of its newest 1 events is",
        "does not report yet; no key is made out to it",
        "STILL REPORTS",
        "NOT IN THE INVENTORY, but it reports: shadow",
        "INCOMPLETE: 3 of 5 services do not report as they should",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let answer = server.run(&reader, &["sources", "--expected", file, "-o", "json"]);
    let answer: Value = serde_json::from_str(&stdout(&answer)).expect("JSON");
    let statuses: Vec<_> =
        answer["expected"].as_array().expect("rows").iter().map(|one| &one["status"]).collect();
    let expected = ["reports", "never_reported", "not_yet", "still_reports", "region_missing"];
    assert_eq!(statuses, expected, "{answer}");
    assert_eq!(
        (&answer["unexpected"], &answer["is_complete"]),
        (&json!(["shadow"]), &json!(false))
    );

    let whole = ["idp", "crm", "legacy", "shadow"]
        .map(|name| format!("[[service]]\nname = \"{name}\"\nphase = \"reporting\"\n"));
    let whole = server.write("whole.toml", whole.concat());
    let args = ["sources", "--expected", whole.to_str().expect("text"), "--wait", "30"];
    let output = server.run(&reader, &args);
    is_code(&output, 0);
    assert!(stdout(&output).contains("all as expected: 4 services"), "{}", stdout(&output));
}

#[test]
fn an_inventory_that_is_none_names_the_line() {
    let server = Server::start_with(&QUICK);
    let reader = server.key("", "desk", &["reader"]);
    let wrong = INVENTORY.replace("phase = \"retired\"", "phase = \"gone\"");
    let file = server.write("services.toml", wrong);
    let output = server.run(&reader, &["sources", "--expected", file.to_str().expect("text")]);
    is_code(&output, 64);
    let said = stderr(&output);
    assert!(said.contains("services.toml: line 17: ") && said.contains("gone"), "{said}");
    let post = |body: &Value| server.post("/v1/sources", &reader, body);
    let twice = json!({ "name": "a", "phase": "planned" });
    for body in [json!({ "expected": [] }), json!({ "expected": [twice.clone(), twice] })] {
        assert_eq!(post(&body).code(), "bad_inventory", "{body}");
    }
    let body = json!({ "expected": [{ "name": "a", "phase": "planned" }], "tenant": "theirs" });
    assert_eq!(post(&body).status, 404);
    let producer = server.key("", "gw", &["producer"]);
    let body = json!({ "expected": [{ "name": "a", "phase": "planned" }] });
    assert_eq!(server.post("/v1/sources", &producer, &body).status, 403);
}
