//! CloudEvents 1.0 over HTTP, row by row: the three modes, the handshake, the answers.

mod installed;
mod running;

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use installed::{CLIENTS, drive};
use running::{Answer, Server};
use serde_json::{Value, json};

const PATH: &str = "/v1/cloudevents";
const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";
const BATCH: &str = "application/cloudevents-batch+json";

/// An event about a token, as a CloudEvent in structured mode.
fn cloudevent(id: &str, kind: &str, token: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "/idp/eu",
        "type": format!("com.example.token.{kind}.v1"),
        "time": "2026-01-02T03:04:05Z",
        "datacontenttype": "application/json",
        "data": { "token_id": format!("eu:idp:jti:{token}"), "issuer": "idp" },
    })
}

/// Posts in structured or batch mode.
fn post(server: &Server, key: &str, media_type: &str, body: &Value) -> Answer {
    let body = body.to_string();
    server.call("POST", PATH, Some(key), Some((media_type, body.as_bytes())))
}

/// The members of a CloudEvent as headers of binary mode.
fn binary(server: &Server, key: &str, headers: &[(&str, &str)], data: &[u8]) -> Answer {
    server.call_with("POST", PATH, Some(key), Some(("application/json", data)), headers)
}

/// The one verdict of an answer.
fn only(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let verdicts = answer.json()["events"].as_array().expect("verdicts").clone();
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    verdicts[0].clone()
}

/// What was recorded under a verdict.
fn recorded(server: &Server, verdict: &Value) -> Value {
    let id = verdict["event_id"].as_str().expect("an id");
    let answer = server.get(&format!("/v1/events/idp/{id}"), &server.admin);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn all_three_modes_are_taken_and_a_repeat_is_the_same_event() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let first = only(&post(&server, &key, STRUCTURED, &cloudevent("a 1%", "issued", "t-1")));
    assert_eq!(first["status"], "recorded", "{first}");
    let event = recorded(&server, &first);
    assert_eq!(event["statement"]["type"], "ISSUED", "{event}");
    assert_eq!(event["statement"]["native_id"], "ce /idp/eu a 1%");
    assert_eq!(event["statement"]["occurred_at"], "2026-01-02T03:04:05Z");
    // The same in binary mode, its attributes quoted and percent-encoded, is the same event.
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "\"a%201%25\""),
        ("ce-source", "/idp/eu"),
        ("ce-type", "com.example.token.issued.v1"),
        ("ce-time", "2026-01-02T03:04:05Z"),
    ];
    let data = br#"{"token_id":"eu:idp:jti:t-1","issuer":"idp"}"#;
    let again = only(&binary(&server, &key, &headers, data));
    assert_eq!(again["status"], "duplicate", "{again}");
    assert_eq!(again["index"], first["index"]);
    // And in a batch; what is beside it is taken by itself.
    let mut base64 = cloudevent("b", "used", "t-1");
    base64["data_base64"] = STANDARD.encode(data).into();
    base64.as_object_mut().expect("members").remove("data");
    let batch = json!([
        cloudevent("a 1%", "issued", "t-1"),
        base64,
        { "specversion": "0.3", "id": "x", "source": "/idp/eu", "type": "token.used" },
        cloudevent("c", "revoked", "t-1"),
    ]);
    let answer = post(&server, &key, BATCH, &batch);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let verdicts = answer.json()["events"].clone();
    let statuses: Vec<&str> = verdicts
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["status"].as_str().expect("a word"))
        .collect();
    assert_eq!(statuses, ["duplicate", "recorded", "refused", "recorded"], "{verdicts}");
    assert_eq!(verdicts[2]["error"]["code"], "bad_cloudevent");
    let metrics = server.get("/metrics", &server.admin).text();
    for (verdict, count) in [("recorded", 3), ("duplicate", 2), ("refused", 1)] {
        let line = format!(
            "ledgerline_door_records_total{{door=\"cloudevents\",verdict=\"{verdict}\"}} {count}\n"
        );
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(metrics.contains("ledgerline_events_refused_total{code=\"bad_cloudevent\"} 1"));
}

#[test]
fn other_content_under_the_same_identity_is_a_conflict() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    only(&post(&server, &key, STRUCTURED, &cloudevent("a", "issued", "t-1")));
    let changed = post(&server, &key, STRUCTURED, &cloudevent("a", "issued", "t-2"));
    assert_eq!((changed.status, &*changed.code()), (409, "event_id_conflict"));
    // The same id of another source is another event.
    let mut other = cloudevent("a", "issued", "t-2");
    other["source"] = "/idp/us".into();
    assert_eq!(only(&post(&server, &key, STRUCTURED, &other))["status"], "recorded");
}

#[test]
fn extensions_have_their_place_and_others_are_left_out() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let cause = only(&post(&server, &key, STRUCTURED, &cloudevent("a", "issued", "t-1")));
    let mut sent = cloudevent("b", "used", "t-1");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let extensions = json!({
        "traceparent": format!("00-{trace}-00f067aa0ba902b7-01"),
        "correlationid": "lineage-7",
        "causationid": "a",
        "sequence": "00000042",
        "recordedtime": "2026-01-02T03:04:06Z",
        "authtype": "service_account",
        "authid": "orders-worker",
        "knativearrivaltime": "2026-01-02T03:04:07Z",
    });
    for (name, value) in extensions.as_object().expect("members") {
        sent[name] = value.clone();
    }
    let event = recorded(&server, &only(&post(&server, &key, STRUCTURED, &sent)));
    let statement = &event["statement"];
    assert_eq!(statement["trace_id"], trace);
    assert_eq!(statement["correlation_id"], "lineage-7");
    assert_eq!(statement["links"][0]["event"]["event_id"], cause["event_id"], "{statement}");
    assert_eq!(statement["links"][0]["relation"], "CAUSED_BY");
    assert_eq!(statement["links"][0]["strength"], "INFERRED");
    assert_eq!(statement["actors"][0]["id"], "orders-worker");
    let detail = json!([
        { "key": "ce_recordedtime", "value": "2026-01-02T03:04:06Z" },
        { "key": "ce_sequence", "value": "00000042" },
    ]);
    assert_eq!(statement["detail"], detail);
    assert!(!event.to_string().contains("knative"), "{event}");
    // A person that acts is sealed.
    let mut person = cloudevent("c", "used", "t-1");
    for (id, kind) in [("c", "user"), ("d", "employee")] {
        (person["id"], person["authtype"]) = (id.into(), kind.into());
        person["authid"] = "alice-the-admin".into();
        let event = recorded(&server, &only(&post(&server, &key, STRUCTURED, &person)));
        assert_eq!(event["statement"]["personal"][0]["role"], "ACTOR", "{event}");
        assert!(!event.to_string().contains("alice"), "{event}");
    }
}

#[test]
fn what_is_no_cloudevent_of_ours_is_refused_by_name() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let check = |change: fn(&mut Value), status: u16, code: &str| {
        let mut sent = cloudevent("n", "issued", "t-1");
        change(&mut sent);
        let answer = post(&server, &key, STRUCTURED, &sent);
        assert_eq!((answer.status, &*answer.code()), (status, code), "{}", answer.text());
        assert!(!answer.text().contains("t-1"), "repeats input");
    };
    let remove = |sent: &mut Value, name: &str| {
        sent.as_object_mut().expect("members").remove(name);
    };
    let _ = remove;
    check(|sent| sent["specversion"] = "2.0".into(), 400, "bad_cloudevent");
    check(|sent| sent["specversion"] = Value::Null, 400, "bad_cloudevent");
    check(|sent| sent["id"] = "".into(), 400, "bad_cloudevent");
    check(|sent| sent["source"] = Value::Null, 400, "bad_cloudevent");
    check(|sent| sent["source"] = "a b".into(), 400, "bad_cloudevent");
    check(|sent| sent["type"] = Value::Null, 400, "bad_cloudevent");
    check(|sent| sent["type"] = "com.example.cat.fed".into(), 422, "unknown_type");
    check(|sent| sent["data"]["type"] = "USED".into(), 422, "type_mismatch");
    check(|sent| sent["datacontenttype"] = "text/xml".into(), 415, "unsupported_media_type");
    check(|sent| sent["data"]["colour"] = "red".into(), 422, "unknown_field");
    check(|sent| sent["data"]["native_id"] = "x".into(), 422, "bad_field");
    check(|sent| sent["data"]["token_id"] = Value::Null, 422, "missing_target");
    check(|sent| sent["time"] = Value::Null, 422, "missing_field");
    check(|sent| sent["Id"] = "x".into(), 400, "bad_cloudevent");
    check(
        |sent| sent["data"]["reason"] = format!("ghp_{}", "a1B2c3D4e5F6".repeat(3)).into(),
        422,
        "secret_refused",
    );
    let other = |media_type: &str, body: &[u8]| {
        let answer = server.call("POST", PATH, Some(&key), Some((media_type, body)));
        (answer.status, answer.code())
    };
    let not_known = (415, "unsupported_media_type".to_owned());
    assert_eq!(other("application/cloudevents+xml", b"<event/>"), not_known);
    assert_eq!(other("application/cloudevents+avro", b""), not_known);
    assert_eq!(other("text/plain", b"{}"), not_known);
    assert_eq!(other("application/json", b"{}"), (400, "bad_cloudevent".to_owned()));
    assert_eq!(other(BATCH, b"{}"), (400, "bad_json".to_owned()));
    assert_eq!(other(STRUCTURED, b"\xff"), (400, "not_utf8".to_owned()));
}

#[test]
fn the_subject_is_the_token_where_the_data_names_none() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let mut sent = cloudevent("s", "revoked", "t-9");
    sent["data"] = json!({ "reason": "admin" });
    sent["subject"] = "eu:idp:jti:t-9".into();
    let event = recorded(&server, &only(&post(&server, &key, STRUCTURED, &sent)));
    assert_eq!(event["statement"]["target"]["id"], "eu:idp:jti:t-9", "{event}");
}

#[test]
fn an_event_of_64_kib_is_taken_and_one_above_the_limit_not() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let mut sent = cloudevent("large", "used", "t-1");
    let list: Vec<Value> = (0..60)
        .map(|at| json!({ "key": format!("k{at:02}"), "value": "v ".repeat(490) }))
        .collect();
    sent["data"]["detail"] = list.into();
    // Room that says nothing, up to 64 KiB.
    let text = sent.to_string();
    let body = format!("{}{text}", " ".repeat((64 << 10) - text.len()));
    assert_eq!(body.len(), 64 << 10);
    let answer = server.call("POST", PATH, Some(&key), Some((STRUCTURED, body.as_bytes())));
    assert_eq!(only(&answer)["status"], "recorded");
    let huge = vec![b' '; (16 << 20) + 1];
    let answer = server.call("POST", PATH, Some(&key), Some((STRUCTURED, &huge)));
    assert_eq!((answer.status, &*answer.code()), (413, "body_too_large"));
}

#[test]
fn a_sender_that_wants_no_body_gets_none_unless_something_was_refused() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let brief = |body: &Value, media_type: &str| {
        let body = body.to_string();
        let body = Some((media_type, body.as_bytes()));
        server.call_with("POST", PATH, Some(&key), body, &[("prefer", "return=minimal")])
    };
    let answer = brief(&cloudevent("a", "issued", "t-1"), STRUCTURED);
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let batch = json!([cloudevent("a", "issued", "t-1"), {}]);
    let answer = brief(&batch, BATCH);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["events"][1]["status"], "refused");
}

#[test]
fn the_handshake_allows_who_asks_and_no_more() {
    let server = Server::start();
    let ask = |headers: &[(&str, &str)]| server.call_with("OPTIONS", PATH, None, None, headers);
    let answer =
        ask(&[("webhook-request-origin", "emitter.example.com"), ("webhook-request-rate", "120")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().expect("text"));
    assert_eq!(header("webhook-allowed-origin"), Some("emitter.example.com"));
    assert_eq!(header("webhook-allowed-rate"), Some("*"));
    assert_eq!(header("allow"), Some("OPTIONS, POST"));
    for headers in
        [&[][..], &[("webhook-request-origin", "a b")], &[("webhook-request-origin", "")]]
    {
        assert_eq!((ask(headers).status, ask(headers).code()), (400, "bad_origin".to_owned()));
    }
    // The permission is none to record: that needs a key with the role.
    let sent = cloudevent("a", "issued", "t-1").to_string();
    let body = Some((STRUCTURED, sent.as_bytes()));
    assert_eq!(server.call("POST", PATH, None, body).code(), "unauthenticated");
    let reader = server.key("", "soc", &["reader"]);
    assert_eq!(server.call("POST", PATH, Some(&reader), body).code(), "forbidden");
}

#[test]
fn a_key_in_the_url_is_refused_with_the_reason() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let sent = cloudevent("a", "issued", "t-1").to_string();
    let body = Some((STRUCTURED, sent.as_bytes()));
    let answer = server.call("POST", &format!("{PATH}?access_token={key}"), None, body);
    assert_eq!((answer.status, &*answer.code()), (400, "token_in_query"));
    assert!(answer.text().contains("logs"), "{}", answer.text());
    assert!(!answer.text().contains(&key));
    let log = server.read("server.log");
    assert!(!log.contains(&key), "the key stands in the log");
    let answer = server.call("POST", &format!("{PATH}?x=1"), Some(&key), body);
    assert_eq!((answer.status, &*answer.code()), (400, "bad_query"));
}

#[test]
fn a_full_ledger_says_when_to_come_back() {
    let server = Server::start_with(&["--max-queue-bytes", "1"]);
    let key = server.key("", "idp", &["producer"]);
    let batch: Vec<Value> =
        (0..2000).map(|at| cloudevent(&format!("{at}"), "issued", &format!("t-{at}"))).collect();
    let body = Value::Array(batch).to_string();
    let busy = std::thread::scope(|scope| {
        let send = || server.call("POST", PATH, Some(&key), Some((BATCH, body.as_bytes())));
        let calls: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
        let answers = calls.into_iter().map(|one| one.join().expect("an answer"));
        answers.filter(|one| one.status == 429).collect::<Vec<_>>()
    });
    assert!(!busy.is_empty(), "nobody was turned away");
    for answer in busy {
        let after = answer.headers.get("retry-after").expect("Retry-After");
        assert!(after.to_str().expect("text").parse::<u64>().expect("seconds") >= 1);
    }
}

#[test]
fn the_python_sdk_delivers() {
    let Some(folder) = installed::python("doors", "doors/requirements.txt") else { return };
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let mut command = Command::new(folder.join("bin/python"));
    command.arg(Path::new(CLIENTS).join("doors/cloudevents_client.py"));
    let asked = json!({ "url": format!("{}{PATH}", server.url), "key": key });
    let said = drive(&mut command, &asked);
    for mode in ["binary", "structured", "batch"] {
        let answer = &said[mode];
        assert_eq!(answer["status"], 200, "{mode}: {answer}");
        for verdict in answer["body"]["events"].as_array().expect("verdicts") {
            let expected = if mode == "structured" { "duplicate" } else { "recorded" };
            assert_eq!(verdict["status"], expected, "{mode}: {verdict}");
        }
    }
    let events = server.get("/v1/tokens/eu:idp:jti:sdk/events", &server.admin).json();
    let types: Vec<&str> = events["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|one| one["statement"]["type"].as_str().expect("a type"))
        .collect();
    assert_eq!(types, ["ISSUED", "USED", "REVOKED"], "{events}");
}
