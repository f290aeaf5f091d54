//! Findings told to a receiver: signed, tried again, each at least once, also across kill -9.

mod running;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use running::receiver::{Received, Receiver};
use running::{Server, event, stderr};
use serde_json::{Value, json};

const SECRET: &str = "c2VjcmV0LW9mLXRoZS13ZWJob29rLTEyMzQ1Njc4OTA=";

/// Checks the signature as Standard Webhooks has it; the body.
fn opened(received: &Received) -> Value {
    let header = |name: &str| received.headers[name].as_str();
    assert_eq!((&*received.method, header("content-type")), ("POST", "application/json"));
    let stamp = header("webhook-timestamp");
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    assert!(stamp.parse::<u64>().expect("seconds").abs_diff(now) < 120);
    let key = STANDARD.decode(SECRET).expect("base64");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let mut signed = format!("{}.{stamp}.", header("webhook-id")).into_bytes();
    signed.extend(&received.body);
    let value = header("webhook-signature").strip_prefix("v1,").expect("version 1");
    let tag = STANDARD.decode(value).expect("base64");
    ring::hmac::verify(&key, &signed, &tag).expect("a sound signature");
    serde_json::from_slice(&received.body).expect("JSON")
}

fn id(received: &Received) -> String {
    received.headers["webhook-id"].clone()
}

/// A token that is used after its revocation: one finding.
fn misuse(server: &Server, key: &str, name: &str) {
    let one = |kind: &str, at: &str, outcome: &str| {
        let mut event = event(&format!("{kind}-{name}"), kind, name);
        event["occurred_at"] = at.into();
        event["outcome"] = outcome.into();
        event
    };
    let events = [
        one("ISSUED", "2026-01-02T03:04:05Z", "ALLOW"),
        one("REVOKED", "2026-01-02T03:05:05Z", "ALLOW"),
        one("USED", "2026-01-02T04:05:05Z", "ALLOW"),
    ];
    server.record(key, &events);
}

fn metric(server: &Server, name: &str) -> u64 {
    let text = server.get("/metrics", &server.admin).text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name}")).parse().expect("a number")
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn server(receiver: &Receiver) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("whsec_{SECRET}\n")).expect("a file");
    let url = format!("{}/findings", receiver.url);
    let file = file.to_str().expect("UTF-8").to_owned();
    let flags = ["--webhook-url", &url, "--webhook-secret-file", &file];
    let quick = ["--webhook-retry-ms", "30", "--findings-interval-ms", "20"];
    (Server::start_with(&[&flags[..], &quick].concat()), folder)
}

#[test]
fn findings_are_told_signed_and_tried_again() {
    let receiver = Receiver::start(|_, before| {
        (if before < 2 { 500 } else { 204 }, "text/plain", String::new())
    });
    let (server, _folder) = server(&receiver);
    let idp = server.key("", "idp", &["producer"]);
    let other = server.key("acme", "idp", &["producer"]);
    let responder = server.key("", "soc", &["responder"]);
    misuse(&server, &idp, "one");
    let tries = receiver.wait_for(3);
    let first = opened(&tries[0]);
    for one in &tries[..3] {
        assert_eq!((id(one), opened(one)), (id(&tries[0]), first.clone()), "the same again");
        assert_eq!(one.path, "/findings");
    }
    assert_eq!(first["type"], "finding.raised");
    let finding = &first["data"]["finding"];
    assert_eq!((&finding["rule"], &finding["state"]), (&json!("use_after_revoke"), &json!("open")));
    assert_eq!(
        (&finding["token_id"], &first["data"]["tenant"]),
        (&json!("eu:idp:jti:one"), &json!(""))
    );
    let path = format!("/v1/findings/{}", finding["id"].as_str().expect("an id"));
    for (step, note) in [("acknowledge", ""), ("close", "case 1")] {
        let answer = server.post(&format!("{path}/{step}"), &responder, &json!({ "note": note }));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    misuse(&server, &other, "two");
    let rest: Vec<Value> = receiver.wait_for(6)[3..].iter().map(opened).collect();
    let told = |one: &Value| {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        (text(&one["type"]), text(&one["data"]["finding"]["state"]), text(&one["data"]["tenant"]))
    };
    let said = |kind: &str, state: &str, tenant: &str| {
        (format!("finding.{kind}"), state.to_owned(), tenant.to_owned())
    };
    let expected = [
        said("acknowledged", "acknowledged", ""),
        said("closed", "closed", ""),
        said("raised", "open", "acme"),
    ];
    assert_eq!(rest.iter().map(told).collect::<Vec<_>>(), expected);
    wait_until("the lag ends", || metric(&server, "ledgerline_webhook_lag_entries") == 0);
    assert_eq!(metric(&server, "ledgerline_webhook_delivered_total"), 4);
    assert_eq!(metric(&server, "ledgerline_webhook_failures_total"), 2);
    assert_eq!(metric(&server, "ledgerline_webhook_failing"), 0);
    assert_eq!(receiver.received().len(), 6, "once each, while nothing crashes");
}

#[test]
fn each_finding_is_told_also_across_kill_nine() {
    let taking = Arc::new(AtomicBool::new(false));
    let takes = Arc::clone(&taking);
    let receiver = Receiver::start(move |_, _| {
        (if takes.load(Ordering::SeqCst) { 200 } else { 503 }, "text/plain", String::new())
    });
    let (mut server, _folder) = server(&receiver);
    let idp = server.key("", "idp", &["producer"]);
    misuse(&server, &idp, "first");
    receiver.wait_for(2);
    wait_until("it says that it fails", || metric(&server, "ledgerline_webhook_failing") == 1);
    server.kill_nine();
    server.reap();
    let before = receiver.received().len();
    taking.store(true, Ordering::SeqCst);
    server.go();
    let told = receiver.wait_for(before + 1);
    assert_eq!(id(&told[before]), id(&told[0]), "the one that was not taken, under its name");
    for round in 0..6 {
        for n in 0..5 {
            misuse(&server, &idp, &format!("token-{round}-{n}"));
        }
        std::thread::sleep(Duration::from_millis(17 * round));
        server.kill_nine();
        server.reap();
        server.go();
    }
    let raised = |server: &Server| -> BTreeSet<String> {
        let answer = server.get("/v1/findings?limit=1000", &server.admin).json();
        let list = answer["findings"].as_array().expect("findings");
        list.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
    };
    wait_until("all are raised", || raised(&server).len() == 31);
    let ids = raised(&server);
    let heard = || -> BTreeSet<String> {
        let all = receiver.received();
        let bodies = all[before..].iter().map(opened);
        bodies.map(|one| one["data"]["finding"]["id"].as_str().expect("an id").to_owned()).collect()
    };
    wait_until("all are told", || heard() == ids);
    let names: BTreeSet<String> = receiver.received()[before..].iter().map(id).collect();
    assert_eq!(names.len(), ids.len(), "one name for each, however often it came");
    // A position that is lost costs repetition.
    assert_eq!(server.stop(), Some(0));
    let count = receiver.received().len();
    server.go();
    misuse(&server, &idp, "last");
    let again = receiver.wait_for(count + 1);
    assert!(!names.contains(&id(&again[count])), "a clean stop repeats nothing");
    assert_eq!(server.stop(), Some(0));
    std::fs::remove_file(server.path("data/followers/webhook")).expect("the position");
    let count = receiver.received().len();
    server.go();
    let all = receiver.wait_for(count + 32);
    assert_eq!(id(&all[count]), id(&all[0]));
}

#[test]
fn half_a_webhook_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let weak = folder.path().join("weak");
    std::fs::write(&weak, "whsec_c2hvcnQ=").expect("a file");
    let weak = weak.to_str().expect("UTF-8");
    let check = |flags: &[&str], part: &str| {
        let data = folder.path().join("data");
        let base = ["serve", "--data", data.to_str().expect("UTF-8")];
        let output = running::run(&[&base[..], flags].concat(), &[], b"");
        assert_eq!(output.status.code(), Some(64), "{flags:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{flags:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("c2hvcnQ"), "the secret is repeated");
        assert!(!data.exists());
    };
    let url = ["--webhook-url", "https://hook.test/"];
    check(&url, "go together");
    check(&["--webhook-secret-file", weak], "go together");
    check(&[&url[..], &["--webhook-secret-file", weak]].concat(), "24 to 64 random bytes");
    let plain = ["--webhook-url", "http://hook.test/", "--webhook-secret-file", weak];
    check(&plain, "plain http is for this machine only");
}
