//! OTLP/HTTP against a server: the exporters of the OpenTelemetry SDK for Python, and what they do
//! not do by themselves.

mod installed;
mod running;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use installed::{CLIENTS, drive};
use running::{Answer, Server};
use serde_json::{Value, json};

const TRACES: &str = "/v1/otlp/v1/traces";
const LOGS: &str = "/v1/otlp/v1/logs";
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn log(name: &str, token: &str) -> Value {
    json!({ "timeUnixNano": "1767323045000000000", "eventName": name,
        "attributes": [text("token.id", token), text("token.issuer", "idp")] })
}

fn logs(records: &[Value]) -> String {
    json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": records }] }] }).to_string()
}

fn post(server: &Server, path: &str, key: Option<&str>, media_type: &str, body: &[u8]) -> Answer {
    server.call("POST", path, key, Some((media_type, body)))
}

#[test]
fn what_is_rejected_is_counted_and_named_by_code() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let mut odd = log("token.used", "eu:idp:jti:t-1");
    odd["attributes"].as_array_mut().expect("a list").push(text("token.colour", "of-somebody"));
    let mut wrong = log("token.used", "eu:idp:jti:t-1");
    let no_text = json!({ "key": "token.outcome", "value": { "boolValue": false } });
    wrong["attributes"].as_array_mut().expect("a list").push(no_text);
    let body = logs(&[
        log("token.issued", "eu:idp:jti:t-1"),
        odd,
        wrong,
        log("token.used", "no id"),
        log("something.else", "eu:idp:jti:t-1"),
    ]);
    let answer = post(&server, LOGS, Some(&key), JSON, body.as_bytes());
    assert_eq!((answer.status, &*answer.media_type), (200, JSON), "{}", answer.text());
    let partial = answer.json()["partialSuccess"].clone();
    assert_eq!(partial["rejectedLogRecords"], "3", "{partial}");
    assert_eq!(
        partial["errorMessage"],
        "bad_field 1, bad_field (token.outcome) 1, unknown_field 1"
    );
    assert!(!answer.text().contains("of-somebody"));
    // Packed, and again: the same events, and nothing rejected.
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(logs(&[log("token.issued", "eu:idp:jti:t-1")]).as_bytes()).expect("packed");
    let packed = packed.finish().expect("packed");
    let gzip = [("content-encoding", "gzip")];
    let answer = server.call_with("POST", LOGS, Some(&key), Some((JSON, &packed)), &gzip);
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    let metrics = server.get("/metrics", &server.admin).text();
    for (verdict, count) in [("recorded", 1), ("duplicate", 1), ("refused", 3), ("skipped", 1)] {
        let line = format!("{{door=\"otlp_logs\",verdict=\"{verdict}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[test]
fn refusals_are_a_status_in_the_encoding_of_the_request() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let check = |path: &str, key: Option<&str>, media_type: &str, body: &[u8], status: u16| {
        let answer = post(&server, path, key, media_type, body);
        assert_eq!((answer.status, &*answer.media_type), (status, media_type), "{}", answer.text());
        answer
    };
    let unknown = check(TRACES, None, JSON, b"{}", 401).json();
    assert_eq!(unknown["code"], 16, "{unknown}");
    check(TRACES, None, PROTOBUF, b"", 401);
    let reader = server.key("", "soc", &["reader"]);
    assert_eq!(check(LOGS, Some(&reader), JSON, b"{}", 403).json()["code"], 7);
    assert_eq!(check(LOGS, Some(&key), JSON, b"{", 400).json()["code"], 3);
    let cut = check(TRACES, Some(&key), PROTOBUF, b"\x0a\xff", 400);
    assert!(cut.text().contains("bad_protobuf"), "{}", cut.text());
    check(TRACES, Some(&key), PROTOBUF, b"", 200);
    assert_eq!(post(&server, TRACES, Some(&key), "text/plain", b"").status, 415);
}

#[test]
fn a_full_ledger_says_when_to_come_back() {
    let server = Server::start_with(&["--max-queue-bytes", "1"]);
    let key = server.key("", "idp", &["producer"]);
    let records: Vec<Value> =
        (0..2000).map(|at| log("token.issued", &format!("eu:idp:jti:t-{at}"))).collect();
    let body = logs(&records);
    let busy = std::thread::scope(|scope| {
        let send = || post(&server, LOGS, Some(&key), JSON, body.as_bytes());
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
        let answers = calls.into_iter().map(|one| one.join().expect("an answer"));
        answers.filter(|one| one.status == 429).collect::<Vec<_>>()
    });
    assert!(!busy.is_empty(), "nobody was turned away");
    for answer in busy {
        assert!(answer.headers.contains_key("retry-after"));
        assert_eq!(answer.json()["code"], 8);
    }
}

#[test]
fn the_python_exporters_deliver() {
    let Some(folder) = installed::python("doors", "doors/requirements.txt") else { return };
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let asked = json!({ "traces": format!("{}{TRACES}", server.url),
        "logs": format!("{}{LOGS}", server.url), "key": key });
    let drive_once = || {
        let mut command = Command::new(folder.join("bin/python"));
        command.arg(Path::new(CLIENTS).join("doors/otlp_client.py"));
        drive(&mut command, &asked)
    };
    let said = drive_once();
    assert_eq!(said, json!({ "traces": "SUCCESS", "logs": "SUCCESS" }));
    let events = server.get("/v1/tokens/eu:idp:jti:otlp/events", &server.admin).json();
    let found: Vec<(String, String)> = events["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|one| {
            let text = |name: &str| one["statement"][name].as_str().unwrap_or_default().to_owned();
            (text("type"), text("trace_id"))
        })
        .collect();
    assert_eq!(found.len(), 3, "{events}");
    let types: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(types, ["ISSUED", "USED", "REVOKED"]);
    assert!(found[..2].iter().all(|(_, trace)| trace.len() == 32), "{found:?}");
    let statement = &events["events"][0]["statement"];
    assert_eq!(statement["scopes"], json!(["read", "write"]), "{statement}");
    assert_eq!(statement["service"], "python-idp");
    assert!(!events.to_string().contains("a-person-of-the-sdk"), "{events}");
    let metrics = server.get("/metrics", &server.admin).text();
    assert!(metrics.contains("{door=\"otlp_traces\",verdict=\"recorded\"} 2\n"), "{metrics}");
}
