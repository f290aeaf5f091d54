//! What documented records become: one line of the table an event.

mod reading;

use std::fs;

use reading::{fixture, read, text};
use serde_json::Value;

/// An event in a line: what happened, how it ended, upon what, and the edges.
fn shown(event: &Value) -> String {
    let target = &event["target"];
    let id = text(target, "id").replace("eu-west-1:idp:", "");
    let id = match id.split_once("jh:") {
        Some((before, _)) => format!("{before}jh:…"),
        None => id,
    };
    let mut line = format!(
        "{} {} {} {}",
        text(event, "type"),
        text(event, "outcome"),
        text(target, "kind"),
        short(&id),
    );
    for link in event["links"].as_array().into_iter().flatten() {
        let to = text(link, "token_id").replace("eu-west-1:idp:", "");
        line.push_str(&format!(
            " [{} {} {}]",
            text(link, "relation"),
            short(&to),
            text(link, "strength")
        ));
    }
    line.trim_end().to_owned()
}

/// A long run of one letter, shortened.
fn short(id: &str) -> String {
    let last = id.chars().last().unwrap_or_default();
    let run: String = std::iter::repeat_n(last, 64).collect();
    id.replace(&run, &last.to_string())
}

#[track_caller]
fn check(name: &str, expected: &[&str]) {
    let text = fs::read_to_string(fixture(name).join("documented.ndjson")).expect("a fixture");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let reading = read(name, &lines);
    let mut found: Vec<String> = reading.events.iter().map(shown).collect();
    found.extend(reading.quarantined.iter().map(|one| format!("quarantined {}", one.code)));
    found.extend(reading.report.skipped.iter().map(|(kind, n)| format!("skipped {n} {kind}")));
    assert_eq!(found, expected, "{name}");
}

/// A withdrawal in Google Workspace ends what the person gave to one application, no more.
#[test]
fn a_withdrawal_is_narrowed_to_its_client() {
    for (name, client) in [("google-workspace", "app.example"), ("hydra", "web")] {
        let text = fs::read_to_string(fixture(name).join("documented.ndjson")).expect("a fixture");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let events = read(name, &lines).events;
        let is_wide =
            |event: &&Value| event["type"] == "REVOKED" && event["target"]["kind"] == "SUBJECT";
        let event = events.iter().find(is_wide).expect("a withdrawal");
        assert_eq!(event["selector"]["client"], client, "{name}: {event}");
    }
}

#[test]
fn tokens_of_one_request_share_its_id() {
    let text = fs::read_to_string(fixture("okta").join("documented.ndjson")).expect("a fixture");
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let events = read("okta", &lines).events;
    let ids: Vec<&str> =
        events.iter().map(|event| reading::text(event, "correlation_id")).collect();
    assert_eq!(ids, ["txn-1", "txn-2", "txn-3", "txn-4", "txn-5"]);
    // Persons, as actors and as targets, are in personal records alone.
    let clear = events.into_iter().map(|mut event| {
        event.as_object_mut().expect("an event").remove("personal");
        event.to_string()
    });
    let clear = clear.collect::<String>();
    assert!(!clear.contains("00u") && !clear.contains("example.com"), "{clear}");
}

#[test]
fn auth0() {
    check(
        "auth0",
        &[
            "ISSUED ALLOW TOKEN jti:jti-a1",
            "ROTATED ALLOW TOKEN acc:fam-1.0 [ROTATED_TO acc:fam-1.1 INFERRED]",
            "REFRESHED ALLOW TOKEN acc:fam-1.1 [PRODUCED jti:jti-a2 ASSERTED]",
            "ISSUED ALLOW TOKEN jti:jti-a2 [REFRESHED_FROM acc:fam-1.1 ASSERTED]",
            "USED DENY TOKEN acc:fam-1.0",
            "REVOKED ALLOW TOKEN acc:fam-1.1 [CAUSED_BY acc:fam-1.0 INFERRED]",
            "ISSUED ALLOW TOKEN jti:jti-m1",
            "ISSUED DENY CLIENT web",
            "REVOKED ALLOW SESSION jh:…",
            "REVOKED ALLOW TOKEN acc:fam-2.4",
            "RESOURCE_ACCESSED DENY TOKEN jti:jti-mgmt",
            "ISSUED ALLOW TOKEN jti:jti-x1",
        ],
    );
}

#[test]
fn okta() {
    check(
        "okta",
        &[
            "ISSUED ALLOW TOKEN acc:hash-of-access-1",
            "USED DENY TOKEN acc:hash-of-refresh-1",
            "REVOKED ALLOW TOKEN acc:hash-of-refresh-1",
            "RESOURCE_ACCESSED ALLOW TOKEN acc:00T-api-1",
            "REVOKED ALLOW SESSION jh:…",
        ],
    );
}

#[test]
fn github() {
    check(
        "github",
        &[
            "RESOURCE_ACCESSED ALLOW TOKEN acc:sha256:dWq0kX7o1m-Yl_3u5bQhZ2o8n0rjU6cTfB1kE9xV4sA",
            "RESOURCE_ACCESSED ALLOW TOKEN acc:token:4711",
            "RESOURCE_ACCESSED ALLOW SUBJECT",
            "POLICY_CHANGED NONE POLICY github/example/personal_access_token",
            "RESOURCE_ACCESSED ALLOW TOKEN acc:sha256:dWq0kX7o1m-Yl_3u5bQhZ2o8n0rjU6cTfB1kE9xV4sA",
            "POLICY_CHANGED NONE POLICY github/example/team",
            "skipped 1 workflows.completed_workflow_run",
        ],
    );
}

#[test]
fn kubernetes() {
    check(
        "kubernetes",
        &[
            "RESOURCE_ACCESSED ALLOW TOKEN acc:x509-sha256:aa11bb22",
            "ISSUED ALLOW TOKEN jti:2e6389af-0000-4000-8000-000000000001 \
             [MINTED_BY acc:x509-sha256:aa11bb22 ASSERTED]",
            "RESOURCE_ACCESSED DENY TOKEN jti:2e6389af-0000-4000-8000-000000000001",
            "RESOURCE_ACCESSED ALLOW SUBJECT",
            "POLICY_CHANGED NONE POLICY clusterrolebindings/-/ops",
            "skipped 1 RequestReceived",
        ],
    );
}

#[test]
fn vault() {
    check(
        "vault",
        &[
            "RESOURCE_ACCESSED ALLOW SUBJECT",
            "ISSUED ALLOW TOKEN acc:hmac-sha256:b",
            "RESOURCE_ACCESSED ALLOW TOKEN acc:hmac-sha256:b",
            "ISSUED ALLOW TOKEN acc:hmac-sha256:d [MINTED_BY acc:hmac-sha256:b ASSERTED]",
            "RESOURCE_ACCESSED DENY TOKEN acc:hmac-sha256:d",
            "RESOURCE_ACCESSED ALLOW TOKEN acc:hmac-sha256:b",
            "REVOKED ALLOW TOKEN acc:hmac-sha256:d [CAUSED_BY acc:hmac-sha256:b ASSERTED]",
            "RESOURCE_ACCESSED ALLOW TOKEN acc:hmac-sha256:b",
            "POLICY_CHANGED NONE POLICY ops",
            "RESOURCE_ACCESSED ERROR TOKEN acc:hmac-sha256:b",
        ],
    );
}

#[test]
fn hydra() {
    check(
        "hydra",
        &[
            "ISSUED ALLOW SUBJECT",
            "ISSUED ALLOW TOKEN jh:…",
            "ISSUED ALLOW TOKEN jh:…",
            "USED ALLOW SUBJECT",
            "ISSUED DENY CLIENT web",
            "REVOKED ALLOW SUBJECT",
            "USED DENY SUBJECT",
            "POLICY_CHANGED NONE POLICY client/web",
            "REVOKED ALLOW CLIENT web",
            "ISSUED ALLOW SESSION 9f8a2f60-0000-4000-8000-000000000001",
            "USED ALLOW SESSION 9f8a2f60-0000-4000-8000-000000000001",
            "REVOKED ALLOW SESSION 9f8a2f60-0000-4000-8000-000000000001",
            "skipped 1 IdentityCreated",
        ],
    );
}

#[test]
fn zitadel() {
    check(
        "zitadel",
        &[
            "ISSUED ALLOW GRANT V2_1",
            "ISSUED ALLOW TOKEN jti:at-1",
            "ISSUED ALLOW TOKEN jti:rt-1",
            "ISSUED ALLOW TOKEN jti:rt-2 [ROTATED_FROM jti:rt-1 JOINED]",
            "ROTATED ALLOW TOKEN jti:rt-1 [ROTATED_TO jti:rt-2 JOINED]",
            "ISSUED ALLOW TOKEN jti:at-2",
            "REVOKED ALLOW TOKEN jti:at-2",
            "REVOKED ALLOW GRANT V2_1",
            "REVOKED ALLOW SESSION session-1",
            "ISSUED ALLOW TOKEN jti:pat-1",
            "POLICY_CHANGED NONE POLICY project/project-1",
            "skipped 1 user.human.profile.changed",
        ],
    );
}

#[test]
fn teleport() {
    check(
        "teleport",
        &[
            "USED ALLOW SUBJECT",
            "USED DENY SUBJECT",
            "ISSUED ALLOW TOKEN acc:cert:doc-3",
            "ISSUED ALLOW SESSION 5bd2f4b3-0000-4000-8000-000000000001 \
             [CAUSED_BY acc:cert:doc-3 INFERRED]",
            "USED ALLOW SESSION 5bd2f4b3-0000-4000-8000-000000000001",
            "REVOKED ALLOW SESSION 5bd2f4b3-0000-4000-8000-000000000001",
            "POLICY_CHANGED NONE POLICY teleport/role",
            "skipped 1 instance.join",
        ],
    );
}

#[test]
fn entra() {
    check(
        "entra",
        &[
            "ISSUED ALLOW TOKEN jti:uti-of-a-token-1",
            "ISSUED DENY SUBJECT",
            "ISSUED ALLOW TOKEN jti:uti-of-a-token-3",
        ],
    );
}

#[test]
fn google_workspace() {
    check(
        "google-workspace",
        &["ISSUED ALLOW SUBJECT", "RESOURCE_ACCESSED ALLOW SUBJECT", "REVOKED ALLOW SUBJECT"],
    );
}

#[test]
fn envoy() {
    check(
        "envoy",
        &[
            "RESOURCE_ACCESSED ALLOW TOKEN jti:jti-1",
            "RESOURCE_ACCESSED DENY TOKEN jti:jti-1",
            "RESOURCE_ACCESSED ALLOW CLIENT web",
            "skipped 1 access",
        ],
    );
}

/// Whoever sends one request id again and again hides no use by it; the same line read again is
/// the same event.
#[test]
fn a_request_id_that_is_repeated_hides_no_use() {
    for name in ["envoy", "nginx"] {
        let text = fs::read_to_string(fixture(name).join("documented.ndjson")).expect("a fixture");
        let first: Value =
            serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
        let mut lines = vec![first.to_string()];
        for (member, value) in [
            ("time", "2026-11-22T11:11:11.111Z"),
            ("method", "PATCH"),
            ("route", "/another"),
            ("status", "418"),
            ("jti", "another-jti"),
        ] {
            let mut other = first.clone();
            other[member] = value.into();
            lines.push(other.to_string());
        }
        let ids = |lines: &[String]| {
            let events = read(name, lines).events;
            events.iter().map(|one| reading::text(one, "native_id").to_owned()).collect::<Vec<_>>()
        };
        let once = ids(&lines);
        let names: std::collections::BTreeSet<&String> = once.iter().collect();
        assert_eq!((names.len(), once.len()), (lines.len(), lines.len()), "{name}: {once:?}");
        assert_eq!(once, ids(&lines), "{name}");
    }
}

/// A request without a response waits five minutes of the log's own time, not for its end.
#[test]
fn vault_tells_an_unanswered_request_while_the_log_goes_on() {
    let request = |id: &str, time: &str| {
        let accessor = format!("hmac-sha256:{}", "b".repeat(64));
        serde_json::json!({
            "type": "request", "time": time,
            "auth": {"display_name": "alice", "accessor": accessor},
            "request": {"id": id, "operation": "read", "path": "secret/x", "mount_type": "kv"}
        })
        .to_string()
    };
    let naming = ledgerline_sources::Naming::new("eu-west-1", "idp").expect("sound names");
    let options = ledgerline_sources::Options { naming, recorded_as: None };
    let mut adapter = (reading::choice("vault").open)(options);
    let mut acts = Vec::new();
    for (number, id, time, told) in [
        (1, "r-1", "2026-11-22T10:00:00Z", 0),
        (2, "r-2", "2026-11-22T10:05:00Z", 0),
        (3, "r-3", "2026-11-22T10:05:00.001Z", 1),
    ] {
        adapter.line(number, &request(id, time), &mut acts).expect("a request");
        assert_eq!(acts.len(), told, "{id}: {:?}", adapter.take_quarantined());
    }
    assert_eq!(acts[0].events[0].native_id.as_deref(), Some("r-1/request"));
    assert_eq!(acts[0].events[0].reason.as_deref(), Some("no_response"));
    // Those that wait are bounded, too: the first makes room for the last.
    for number in 4..10_003 {
        let line = request(&format!("r-{number}"), "2026-11-22T10:05:00.001Z");
        adapter.line(number, &line, &mut acts).expect("a request");
    }
    assert_eq!(acts.len(), 2, "the oldest came out while the log went on");
    adapter.finish(&mut acts);
    assert_eq!(acts.len(), 10_002);
    assert_eq!(adapter.report().events, 10_002);
}

#[test]
fn nginx() {
    check(
        "nginx",
        &[
            "RESOURCE_ACCESSED ALLOW TOKEN jti:jti-1",
            "RESOURCE_ACCESSED ERROR TOKEN jti:jti-1",
            "RESOURCE_ACCESSED ALLOW SUBJECT",
            "skipped 1 access",
        ],
    );
}

#[test]
fn opa() {
    check(
        "opa",
        &[
            "RESOURCE_ACCESSED ALLOW TOKEN jti:jti-1",
            "RESOURCE_ACCESSED DENY TOKEN jti:jti-1",
            "RESOURCE_ACCESSED NONE SUBJECT",
            "RESOURCE_ACCESSED DENY POLICY shop/allow",
            "RESOURCE_ACCESSED ERROR SUBJECT",
        ],
    );
}
