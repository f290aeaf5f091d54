//! The CloudTrail adapter on recorded calls: every key that came of another, and every use.

mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use reading::{events_of, fixture, lines_of, text};
use serde_json::Value;

const NAME: &str = "cloudtrail";

fn recorded() -> Vec<Value> {
    events_of(NAME, &lines_of(NAME))
}

fn truth() -> Value {
    let text = fs::read_to_string(fixture(NAME).join("truth.json")).expect("the fixture");
    serde_json::from_str(&text).expect("JSON")
}

fn id_of(key: &str) -> String {
    format!("eu-west-1:idp:acc:{key}")
}

/// The calls by event id: all events that one record became.
fn by_record(events: &[Value]) -> BTreeMap<&str, Vec<&Value>> {
    let mut records: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for event in events {
        records.entry(text(event, "native_id")).or_default().push(event);
    }
    records
}

#[test]
fn every_child_key_is_linked_to_its_parent() {
    let (events, truth) = (recorded(), truth());
    let records = by_record(&events);
    let issued = truth["issued"].as_array().expect("edges");
    assert_eq!(issued.len(), 11);
    for edge in issued {
        let parts = &records[text(edge, "event_id")];
        let child = id_of(text(edge, "child"));
        let born = parts.iter().find(|event| event["type"] == "ISSUED").expect("an ISSUED");
        assert_eq!(born["target"]["id"], *child, "{edge}");
        assert_eq!(born["links"].as_array().map(Vec::len), Some(1), "{edge}");
        assert_eq!(born["links"][0]["token_id"], *id_of(text(edge, "parent")), "{edge}");
        assert_eq!(born["links"][0]["relation"], "MINTED_BY", "{edge}");
        assert_eq!(born["links"][0]["strength"], "ASSERTED", "{edge}");
        let is_temporary = text(edge, "event_name") != "CreateAccessKey";
        assert_eq!(born["expires_at"].is_string(), is_temporary, "{edge}");
        let call = parts.iter().find(|event| event["type"] == "RESOURCE_ACCESSED").expect("a call");
        assert_eq!(call["target"]["id"], *id_of(text(edge, "parent")), "{edge}");
    }
    let made = events.iter().filter(|event| event["type"] == "ISSUED").count();
    assert_eq!(made, issued.len(), "no key that the truth does not know");
}

#[test]
fn every_use_of_a_child_key_is_on_its_chain() {
    let (events, truth) = (recorded(), truth());
    for edge in truth["issued"].as_array().expect("edges") {
        let child = id_of(text(edge, "child"));
        let is_use = |event: &&Value| {
            event["type"] == "RESOURCE_ACCESSED" && event["target"]["id"] == *child
        };
        let used: BTreeSet<&str> =
            events.iter().filter(is_use).map(|event| text(event, "native_id")).collect();
        let expected: BTreeSet<&str> =
            edge["event_ids"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
        assert_eq!(used, expected, "{edge}");
        assert_eq!(edge["use_count"].as_u64(), u64::try_from(used.len()).ok(), "{edge}");
        let mut services: BTreeMap<&str, u64> = BTreeMap::new();
        for event in events.iter().filter(is_use) {
            *services.entry(text(event, "service")).or_default() += 1;
        }
        assert_eq!(serde_json::to_value(services).expect("JSON"), edge["event_sources"], "{edge}");
    }
}

#[test]
fn outcomes_are_those_of_the_calls() {
    let lines = lines_of(NAME);
    let events = recorded();
    let records = by_record(&events);
    let (mut denied, mut changed) = (0, 0);
    for line in &lines {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let parts = &records[text(&record, "eventID")];
        let call = parts.iter().find(|event| event["type"] == "RESOURCE_ACCESSED").expect("a call");
        let expected = if record["errorCode"].is_string() { "DENY" } else { "ALLOW" };
        assert_eq!(call["outcome"], expected, "{record}");
        denied += u32::from(expected == "DENY");
        changed += u32::from(parts.iter().any(|event| event["type"] == "POLICY_CHANGED"));
    }
    assert_eq!(denied, 51, "as many as the recording has");
    assert_eq!(changed, 5, "policies, roles and trust anchors");
}

#[test]
fn no_session_token_gets_through() {
    let all = serde_json::to_string(&recorded()).expect("JSON");
    let truth = truth();
    let tokens = truth["raw_session_tokens"].as_array().expect("tokens");
    assert_eq!(tokens.len(), 9);
    for token in tokens.iter().filter_map(Value::as_str) {
        assert!(!all.contains(token) && !all.contains(&token[..40]), "a session token");
    }
}

/// Files as S3 has them, arrays and single records say the same.
#[test]
fn envelopes_say_what_their_records_say() {
    let lines = lines_of(NAME);
    let array = format!("[{}]", lines.join(","));
    let file = format!("{{\"Records\":{array}}}");
    let expected = recorded();
    assert_eq!(events_of(NAME, &[array]), expected);
    assert_eq!(events_of(NAME, &[file]), expected);
}

/// Keys that are made, held and deleted; roles that services and other people take on.
#[test]
fn acts_that_the_recording_does_not_have() {
    #[track_caller]
    fn check(name: &str, who: &str, more: &str, expected: &[(&str, &str)]) {
        let record = format!(
            r#"{{"eventID":"e-1","eventTime":"2026-11-22T10:00:00Z","eventSource":
            "{name}","userIdentity":{{{who}}},"requestID":"r-1"{more}}}"#
        );
        let record = record.replace('\n', "");
        let (source, action) = name.split_once(' ').expect("two words");
        let record = record.replace(name, source);
        let record = record.replacen(
            "\"eventSource\"",
            &format!("\"eventName\":\"{action}\",\"eventSource\""),
            1,
        );
        let events = events_of(NAME, &[record]);
        let found: Vec<(&str, &str)> = events
            .iter()
            .map(|event| (text(event, "type"), text(&event["target"], "id")))
            .collect();
        assert_eq!(found, expected, "{name}");
    }
    let by = r#""type":"IAMUser","accessKeyId":"AKIAEXAMPLE","arn":"arn:aws:iam::1:user/a""#;
    let (parent, child) = (id_of("AKIAEXAMPLE"), id_of("AKIAOTHER"));
    let on = |status: &str| {
        format!(r#","requestParameters":{{"accessKeyId":"AKIAOTHER","status":"{status}"}}"#)
    };
    let call = ("RESOURCE_ACCESSED", &*parent);
    let iam = "iam.amazonaws.com";
    check(&format!("{iam} DeleteAccessKey"), by, &on(""), &[call, ("REVOKED", &child)]);
    check(&format!("{iam} UpdateAccessKey"), by, &on("Inactive"), &[call, ("SUSPENDED", &child)]);
    check(&format!("{iam} UpdateAccessKey"), by, &on("Active"), &[call, ("REINSTATED", &child)]);
    let failed = format!(r#","errorCode":"AccessDenied"{}"#, on(""));
    check(&format!("{iam} DeleteAccessKey"), by, &failed, &[call]);
    let answer = r#","requestParameters":{"roleArn":"arn:aws:iam::1:role/r"},"responseElements":
        {"credentials":{"accessKeyId":"AKIAOTHER","expiration":"Nov 22, 2026, 11:00:00 AM"}}"#;
    let service = r#""type":"AWSService","invokedBy":"ec2.amazonaws.com""#;
    let sts = "sts.amazonaws.com";
    check(
        &format!("{sts} AssumeRole"),
        service,
        answer,
        &[("RESOURCE_ACCESSED", "eu-west-1:idp:ec2.amazonaws.com"), ("ISSUED", &child)],
    );
    let web = r#""type":"WebIdentityUser","principalId":"accounts.example:app:alice""#;
    check(
        &format!("{sts} AssumeRoleWithWebIdentity"),
        web,
        answer,
        &[("RESOURCE_ACCESSED", ""), ("ISSUED", &child)],
    );
    check("ec2.amazonaws.com Nothing", r#""type":"Unknown""#, "", &[]);
}
