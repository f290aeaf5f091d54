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
    server_with(receiver, &[])
}

fn server_with(receiver: &Receiver, more: &[&str]) -> (Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("whsec_{SECRET}\n")).expect("a file");
    let url = format!("{}/findings", receiver.url);
    let file = file.to_str().expect("UTF-8").to_owned();
    let flags = ["--webhook-url", &url, "--webhook-secret-file", &file];
    let quick = ["--webhook-retry-ms", "30", "--findings-interval-ms", "20"];
    (Server::start_with(&[&flags[..], &quick, more].concat()), folder)
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
    // In order within a tenant; tenants take turns.
    let mut rest: Vec<_> = rest.iter().map(told).collect();
    rest.sort_by(|one, other| one.2.cmp(&other.2));
    assert_eq!(rest, expected);
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

/// One finding that a receiver would not take once held up those of all tenants.
#[test]
fn a_finding_that_the_receiver_refuses_holds_up_no_other() {
    let is_poison = |one: &Received| String::from_utf8_lossy(&one.body).contains("poison");
    let receiver = Receiver::start(move |one, _| {
        (if is_poison(one) { 403 } else { 204 }, "text/plain", String::new())
    });
    let (server, _folder) = server_with(&receiver, &["--webhook-tries", "3"]);
    let mallory = server.key("mallory", "idp", &["producer"]);
    let honest = server.key("honest", "idp", &["producer"]);
    misuse(&server, &mallory, "poison");
    receiver.wait_for(2);
    let told = |name: &str| {
        let id = format!("eu:idp:jti:{name}");
        let all = receiver.received();
        all.iter().any(|one| opened(one)["data"]["finding"]["token_id"] == *id)
    };
    for n in 0..4 {
        let name = format!("good-{n}");
        misuse(&server, if n % 2 == 0 { &honest } else { &mallory }, &name);
        wait_until("the others are told", || told(&name));
        // Another try of the refused one.
        let tries = || receiver.received().iter().filter(|one| is_poison(one)).count();
        let before = tries();
        let is_done = || metric(&server, "ledgerline_webhook_set_aside_total") == 1;
        wait_until("it is tried again", || is_done() || tries() > before);
    }
    wait_until("it is set aside", || metric(&server, "ledgerline_webhook_set_aside_total") == 1);
    wait_until("nothing waits", || metric(&server, "ledgerline_webhook_lag_entries") == 0);
    assert_eq!(metric(&server, "ledgerline_webhook_failing"), 0);
    assert_eq!(metric(&server, "ledgerline_webhook_delivered_total"), 4);
    let listed = server.get("/v1/findings?tenant=mallory&limit=1000", &server.admin).json();
    assert!(listed.to_string().contains("poison"), "it stands in the ledger");
}

/// A critical finding once waited for thousands of another tenant's.
#[test]
fn a_flood_of_one_tenant_is_a_few_messages() {
    let receiver = Receiver::start(|_, _| (204, "text/plain", String::new()));
    let more = ["--webhook-group-after", "5", "--webhook-group-ms", "1500"];
    let (server, _folder) = server_with(&receiver, &more);
    let mallory = server.key("mallory", "idp", &["producer"]);
    let honest = server.key("honest", "idp", &["producer"]);
    let flood: Vec<Value> =
        (0..400).map(|n| event(&format!("u{n}"), "USED", &format!("never-issued-{n}"))).collect();
    server.record(&mallory, &flood);
    misuse(&server, &honest, "stolen");
    let told = || -> Vec<Value> { receiver.received().iter().map(opened).collect() };
    let is_stolen = |one: &Value| one["data"]["finding"]["token_id"] == "eu:idp:jti:stolen";
    wait_until("the other tenant's is told", || told().iter().any(is_stolen));
    wait_until("nothing waits", || metric(&server, "ledgerline_webhook_lag_entries") == 0);
    let unknown = |one: &&Value| {
        let data = &one["data"];
        data["tenant"] == "mallory"
            && (data["rule"] == "unknown_token" || data["finding"]["rule"] == "unknown_token")
    };
    let told = told();
    let about: Vec<&Value> = told.iter().filter(unknown).collect();
    assert!(about.len() <= 12, "{} messages", about.len());
    let count = |one: &&Value| match one["type"].as_str() {
        Some("finding.raised") => 1,
        Some("findings.repeated") => one["data"]["count"].as_u64().expect("a number"),
        other => panic!("{other:?}"),
    };
    assert_eq!(about.iter().map(count).sum::<u64>(), 400, "none is lost");
    let group = about.iter().find(|one| one["type"] == "findings.repeated").expect("a group");
    let data = &group["data"];
    assert_eq!((&data["became"], &data["source"]), (&json!("raised"), &json!("idp")));
    assert!(data["first_index"].as_u64() <= data["last_index"].as_u64());
    let examples = data["examples"].as_array().expect("examples");
    assert!(!examples.is_empty() && examples.len() <= 5);
    assert!(examples.iter().all(|one| one["rule"] == "unknown_token"));
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
