//! Both encodings, the convention, and what is left out.

use serde_json::{Value, json};

use super::*;

fn named(alias: &str) -> Option<Naming> {
    (alias == "hydra" || alias == "kratos").then(|| Naming::new("eu", alias))?
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// A trace with one span that has these events.
#[allow(clippy::needless_pass_by_value, reason = "json! makes values")]
fn trace(service: &str, events: Value) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [text("service.name", service)] },
        "scopeSpans": [{ "scope": { "name": "x" }, "spans": [{
            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7",
            "name": "POST /token", "kind": 2, "events": events,
        }] }],
    }] })
}

#[allow(clippy::needless_pass_by_value, reason = "json! makes values")]
fn happened(name: &str, attributes: Value) -> Value {
    json!({ "timeUnixNano": "1767323045000000007", "name": name, "attributes": attributes })
}

fn read(body: &Value) -> (Vec<Result<Value, EventError>>, Notes) {
    let decoded = traces(body.to_string().as_bytes(), Encoding::Json, &named).expect("a message");
    let records = decoded.records.into_iter();
    let records = records.map(|one| one.map(|text| serde_json::from_str(&text).expect("JSON")));
    (records.collect(), decoded.notes)
}

fn only(body: &Value) -> Result<Value, EventError> {
    let (mut records, _) = read(body);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[test]
fn the_convention_makes_events() {
    let attributes = json!([
        text("token.id", "eu:idp:jti:t-1"),
        text("token.kind", "ACCESS"),
        text("token.client_id", "web"),
        text("token.scopes", "read write"),
        { "key": "token.audience", "value": { "arrayValue": { "values": [
            { "stringValue": "orders" } ] } } },
        { "key": "token.expires_at", "value": { "intValue": "1767326645" } },
        { "key": "token.generation", "value": { "intValue": 3 } },
        text("token.parent.id", "eu:idp:jti:r-1"),
        text("token.parent.relation", "REFRESHED_FROM"),
        text("user.id", "alice"),
        text("client.address", "192.0.2.7"),
        text("http.route", "/orders/{id}"),
        { "key": "http.response.status_code", "value": { "intValue": "200" } },
        text("something.else", "left out"),
    ]);
    let body = trace("idp", json!([happened("token.issued", attributes)]));
    let event = only(&body).expect("an event");
    for (place, expected) in [
        ("/type", json!("ISSUED")),
        ("/token_id", json!("eu:idp:jti:t-1")),
        ("/occurred_at", json!("2026-01-02T03:04:05.000000007Z")),
        ("/scopes", json!(["read", "write"])),
        ("/audience", json!(["orders"])),
        ("/expires_at", json!("2026-01-02T04:04:05Z")),
        ("/generation", json!(3)),
        ("/links/0/relation", json!("REFRESHED_FROM")),
        ("/links/0/strength", json!("ASSERTED")),
        ("/status", json!(200)),
        ("/service", json!("idp")),
        ("/trace_id", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("/personal/0/user_id", json!("alice")),
        ("/personal/1/ip", json!("192.0.2.7")),
    ] {
        assert_eq!(event.pointer(place), Some(&expected), "{place} of {event}");
    }
    assert!(!event.to_string().contains("left out"), "{event}");
    // The same at each export, and another one when anything of it differs.
    assert_eq!(only(&body).expect("an event"), event);
    let mut other = body.clone();
    let span = "/resourceSpans/0/scopeSpans/0/spans/0";
    other.pointer_mut(span).expect("a span")["events"][0]["timeUnixNano"] = 9.into();
    assert_ne!(only(&other).expect("an event")["native_id"], event["native_id"]);
}

#[test]
fn protobuf_says_what_json_says() {
    let attributes = json!([
        text("token.id", "eu:idp:jti:t-1"),
        { "key": "token.generation", "value": { "intValue": "3" } },
    ]);
    let body = trace("idp", json!([happened("token.used", attributes)]));
    let message: Traces = serde_json::from_value(body.clone()).expect("a message");
    let encoded = message.encode_to_vec();
    let decoded = traces(&encoded, Encoding::Protobuf, &named).expect("a message");
    let text = decoded.records.into_iter().next().expect("one").expect("an event");
    let event: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(event, only(&body).expect("an event"));
    for cut in [1, encoded.len() / 2, encoded.len() - 1] {
        assert!(traces(&encoded[..cut], Encoding::Protobuf, &named).is_err(), "{cut}");
    }
    assert!(traces(b"{", Encoding::Json, &named).is_err());
    assert!(traces(b"{}", Encoding::Json, &named).is_ok());
}

#[test]
fn log_records_are_read_by_their_name() {
    let check = |record: Value, expected: Option<&str>| {
        let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record] }] }] });
        let decoded = logs(body.to_string().as_bytes(), Encoding::Json, &named).expect("sound");
        let found = decoded.records.into_iter().next().map(|one| {
            let event: Value = serde_json::from_str(&one.expect("an event")).expect("JSON");
            event["native_id"].as_str().expect("an id").to_owned()
        });
        assert_eq!(found.as_deref(), expected, "{body}");
    };
    let attributes =
        json!([text("token.id", "eu:idp:jti:t-1"), text("log.record.uid", "01J-record")]);
    let mut record = json!({ "observedTimeUnixNano": "1767323045000000000",
        "eventName": "token.revoked", "attributes": attributes });
    check(record.clone(), Some("otlp 01J-record"));
    record["eventName"] = "".into();
    check(record.clone(), None);
    record["attributes"].as_array_mut().expect("a list").push(text("event.name", "token.revoked"));
    check(record, Some("otlp 01J-record"));
}

#[test]
fn what_is_no_event_is_skipped_and_what_is_a_bad_one_rejected() {
    let id = text("token.id", "eu:idp:jti:t-1");
    let body = trace(
        "idp",
        json!([
            happened("exception", json!([])),
            happened("token.used", json!([id, text("token.colour", "red")])),
            happened("token.used", json!([id])),
        ]),
    );
    let (records, notes) = read(&body);
    assert_eq!((notes.records, notes.skipped, records.len()), (3, 1, 2));
    let error = records[0].as_ref().expect_err("refused");
    assert_eq!(error.code, "unknown_field");
    assert!(!error.detail.contains("colour"), "{}", error.detail);
    assert!(records[1].is_ok());
    let check = |attributes: Value| {
        let body = trace("idp", json!([happened("token.used", attributes)]));
        let error = only(&body).expect_err("refused");
        assert_eq!(error.code, "bad_field");
        // A refusal that names no member sends its reader through all of them.
        let member = error.member.expect("a member");
        assert!(member.starts_with("token."), "{member}");
        assert!(error.detail.contains(member), "{}", error.detail);
    };
    check(json!([id, text("token.parent.id", "eu:idp:jti:r")]));
    check(json!([id, text("token.parent.id", "eu:idp:jti:r"), text("token.parent.relation", "X")]));
    check(json!([id, text("token.policy.id", "p")]));
    check(json!([id, text("token.generation", "three")]));
    check(json!([id, { "key": "token.expires_at", "value": { "boolValue": true } }]));
    // What is not read is no value that is absent.
    check(json!([id, { "key": "token.expires_at", "value": { "intValue": "1e9" } }]));
    check(json!([id, { "key": "token.outcome", "value": { "boolValue": false } }]));
    check(json!([id, { "key": "token.reason", "value": { "kvlistValue": {} } }]));
    check(json!([id, { "key": "token.reason" }]));
    let scopes = json!({ "values": [{ "stringValue": "read" }, { "intValue": "1" }] });
    check(json!([id, { "key": "token.scopes", "value": { "arrayValue": scopes } }]));
    let mut body = trace("idp", json!([happened("token.used", json!([id]))]));
    let of_resource = "/resourceSpans/0/resource/attributes";
    let list = body.pointer_mut(of_resource).and_then(Value::as_array_mut).expect("a list");
    list.push(text("token.colour", "red"));
    assert_eq!(only(&body).expect_err("refused").code, "unknown_field");
}

#[test]
fn events_of_ory_have_their_meaning() {
    let check = |service: &str, name: &str, attributes: Value, expected: &[(&str, Value)]| {
        let event = only(&trace(service, json!([happened(name, attributes)])));
        let event = event.unwrap_or_else(|error| panic!("{name}: {}", error.detail));
        for (place, value) in expected {
            assert_eq!(event.pointer(place), Some(value), "{place} of {event}");
        }
    };
    let session =
        json!([text("SessionID", "s-1"), text("IdentityID", "u-1"), text("SessionAAL", "aal2")]);
    for (name, event_type) in [
        ("SessionIssued", "ISSUED"),
        ("SessionChecked", "USED"),
        ("SessionRevoked", "REVOKED"),
        ("SessionTokenizedAsJWT", "ADMIN_ACT"),
    ] {
        check(
            "kratos",
            name,
            session.clone(),
            &[
                ("/type", json!(event_type)),
                ("/target/id", json!("eu:kratos:s-1")),
                ("/personal/0/user_id", json!("u-1")),
            ],
        );
    }
    let extended = json!([
        text("SessionID", "s-1"),
        text("SessionExpiresAt", "2026-01-03 03:04:05 +0000 UTC")
    ]);
    check(
        "kratos",
        "SessionLifespanExtended",
        extended,
        &[("/type", json!("REFRESHED")), ("/expires_at", json!("2026-01-03T03:04:05Z"))],
    );
    let request = json!([
        text("OAuth2ClientID", "web"),
        text("OAuth2Subject", "alice"),
        text("OAuth2GrantType", "authorization_code")
    ]);
    check(
        "hydra",
        "OAuth2AccessTokenIssued",
        request.clone(),
        &[
            ("/type", json!("ADMIN_ACT")),
            ("/target/id", json!("eu:hydra:web")),
            ("/action", json!("OAuth2AccessTokenIssued")),
            ("/detail/0/value", json!("authorization_code")),
        ],
    );
    check(
        "hydra",
        "OAuth2ConsentRevoked",
        request.clone(),
        &[
            ("/type", json!("REVOKED")),
            ("/target/kind", json!("SUBJECT")),
            ("/selector/client", json!("web")),
        ],
    );
    let refused = |service: &str, name: &str, attributes: Value| {
        let error = only(&trace(service, json!([happened(name, attributes)])));
        assert_eq!(error.expect_err("refused").code, "no_token", "{name}");
    };
    refused("hydra", "OAuth2AccessTokenRevoked", json!([]));
    refused("hydra", "OAuth2AccessTokenInspected", request.clone());
    refused("stranger", "OAuth2AccessTokenIssued", request);
    refused("kratos", "SessionRevoked", json!([]));
}

#[test]
fn a_small_body_does_not_become_a_large_one() {
    let refused = |body: &[u8], encoding: Encoding| {
        let problem = logs(body, encoding, &named).map(|_| ()).expect_err("refused");
        assert_eq!((problem.status.as_u16(), problem.code), (413, "body_too_large"));
    };
    // Empty log records of two bytes each.
    let nested = |inner: Vec<u8>, tag: u8| {
        let mut outer = vec![tag << 3 | 2];
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend(inner);
        outer
    };
    let empty = |count: usize| nested(nested([2 << 3 | 2, 0].repeat(count), 2), 1);
    refused(&empty(weight::MESSAGES_MAX), Encoding::Protobuf);
    let decoded = logs(&empty(100_000), Encoding::Protobuf, &named).expect("sound");
    assert_eq!((decoded.notes.records, decoded.notes.skipped), (100_000, 100_000));
    let braces = vec!["{}"; weight::MESSAGES_MAX].join(",");
    let body = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{braces}]}}]}}]}}"#);
    refused(body.as_bytes(), Encoding::Json);
    // A text of the resource that every event repeats.
    let body = |texts: usize, events: usize| {
        let values = vec![json!({ "stringValue": "a".repeat(1024) }); texts];
        let attributes = json!([text("token.id", "eu:idp:jti:t-1")]);
        let one = json!({ "timeUnixNano": 1, "eventName": "token.used", "attributes": attributes });
        let audience =
            json!({ "key": "token.audience", "value": { "arrayValue": { "values": values } } });
        json!({ "resourceLogs": [{ "resource": { "attributes": [audience] },
            "scopeLogs": [{ "logRecords": vec![one; events] }] }] })
        .to_string()
    };
    refused(body(1000, 100).as_bytes(), Encoding::Json);
    assert!(logs(body(1000, 10).as_bytes(), Encoding::Json, &named).is_ok());
    refused(body(1, RECORDS_MAX + 1).as_bytes(), Encoding::Json);
}

#[test]
fn a_text_that_is_too_long_refuses_its_event_only_where_it_is_read() {
    let check = |service: &str, key: &str, value: &str, is_taken: bool| {
        let attributes = json!([text("token.id", "eu:idp:jti:t-1"), text(key, value)]);
        let found = only(&trace(service, json!([happened("token.used", attributes)])));
        assert_eq!(found.is_ok(), is_taken, "{key} {}", value.len());
    };
    let (most, more) = ("a".repeat(TEXT_BYTES_MAX), "a".repeat(TEXT_BYTES_MAX + 1));
    check("idp", "token.resource", &most, true);
    check("idp", "token.resource", &more, false);
    check("idp", "exception.stacktrace", &more, true);
    check(&more, "token.resource", "x", false);
}
