//! What reads behind the head is held back by its own settings, and every face has to say so: an
//! empty list, a green status or a verdict while it lags must never look quiet.

mod running;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use running::{Answer, BINARY, Server, stderr, stdout};
use serde_json::{Value, json};

/// A look at the ledger a minute: what is recorded between two looks waits.
const HELD: [&str; 6] = [
    "--findings-interval-ms",
    "60000",
    "--expire-interval-ms",
    "60000",
    "--verify-behind-ms",
    "60000",
];
const QUICK: [&str; 6] =
    ["--findings-interval-ms", "20", "--expire-interval-ms", "20", "--verify-behind-ms", "20"];
const OFF: [&str; 6] =
    ["--findings-interval-ms", "0", "--verify-interval-ms", "0", "--expire", "false"];

/// A token that was revoked and is used long after: a critical finding.
fn theft(name: &str) -> Vec<Value> {
    [("ISSUED", "00"), ("REVOKED", "10"), ("USED", "50")]
        .map(|(kind, second)| {
            json!({ "native_id": format!("{name}-{kind}"), "type": kind, "issuer": "idp",
                "token_id": format!("eu:idp:jti:{name}"),
                "occurred_at": format!("2026-01-02T03:04:{second}Z") })
        })
        .into()
}

/// A server whose readers have had their look, and the theft that came after it; a reader's key.
fn held_back() -> (Server, String) {
    let server = Server::start_with(&HELD);
    let producer = server.key("", "idp", &["producer"]);
    let reader = server.key("", "desk", &["reader", "responder"]);
    // They look when they start; then nothing moves for a minute.
    let positions = || {
        let progress = server.get("/v1/status", &reader).json()["progress"].take();
        ["findings", "expiry", "verifier"].map(|one| progress[one]["position"].as_u64())
    };
    let (mut was, mut since) = (positions(), Instant::now());
    while since.elapsed() < Duration::from_secs(2) || was.contains(&Some(0)) {
        std::thread::sleep(Duration::from_millis(50));
        let now = positions();
        if now != was {
            (was, since) = (now, Instant::now());
        }
    }
    server.record(&producer, &theft("stolen"));
    (server, reader)
}

/// The same ledger, with readers that look at once.
fn released(server: &mut Server) {
    assert_eq!(server.stop(), Some(0));
    server.set_flags(&QUICK);
    server.go();
}

fn is_code(output: &Output, code: i32) {
    let said = format!("{}{}", stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "{said}");
}

fn says(output: &Output, words: &str) {
    let said = format!("{}{}", stdout(output), stderr(output));
    assert!(said.contains(words), "{words:?} is not in {said}");
}

/// The numbers of a reader that lags, and its words.
fn lags(answer: &Value, reader: &str) -> u64 {
    let one = &answer["progress"][reader];
    assert_eq!(one["state"], "behind", "{reader}: {answer}");
    let number = |name: &str| one[name].as_u64().unwrap_or_else(|| panic!("{name}: {answer}"));
    let (position, of, lag) = (number("position"), number("of"), number("lag_entries"));
    assert_eq!(of - position, lag, "{answer}");
    assert!(lag > 0, "{answer}");
    let words = one["words"].as_str().expect("words");
    assert!(words.contains(&format!("up to entry {position} of {of}, {lag} behind")), "{words}");
    lag
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).expect("one JSON document")
}

#[test]
fn findings_were_empty_and_exit_zero_while_entries_waited_to_be_judged() {
    let (mut server, reader) = held_back();
    let auditor = server.key("", "audit", &["auditor"]);
    let table = server.run(&reader, &["findings", "--severity", "high"]);
    is_code(&table, 3);
    says(&table, "no findings among what was judged so far");
    says(&table, "INCOMPLETE: judged up to entry ");
    says(&table, " behind (--wait SECONDS waits)");
    let answer = server.run(&reader, &["findings", "-o", "json"]);
    is_code(&answer, 3);
    let answer = json_of(&answer);
    assert_eq!(answer["findings"], json!([]));
    assert_eq!(answer["lag_entries"], lags(&answer, "findings"));
    let sources = server.run(&reader, &["sources"]);
    is_code(&sources, 3);
    says(&sources, "INCOMPLETE: judged up to entry ");
    says(&sources, "at most 0.5");
    lags(&server.get("/v1/sources", &reader).json(), "findings");
    // Nor is the bundle of an empty list one of a quiet ledger.
    server.wait_for_block();
    let bundle = server.get("/v1/findings?proof=true", &auditor).json();
    let notes = bundle["coverage"]["notes"].to_string();
    assert!(notes.contains("INCOMPLETE when it was made: judged up to entry "), "{bundle}");
    // Waiting is bounded, and does not make it complete.
    let begun = Instant::now();
    let waited = server.run(&reader, &["findings", "--wait", "1"]);
    assert!(begun.elapsed() >= Duration::from_secs(1), "it was waited for");
    is_code(&waited, 3);
    // An id that may come is not one that is none.
    let closed = server.run(&reader, &["findings", "close", "abcdef", "--note", "a drill"]);
    is_code(&closed, 3);
    says(&closed, "no finding's id begins so yet: judged up to entry ");

    released(&mut server);
    let done = server.run(&reader, &["findings", "--wait", "30"]);
    is_code(&done, 0);
    says(&done, "use_after_revoke");
    let of = server.get("/v1/findings?wait=30", &reader).json()["progress"]["findings"].take();
    assert_eq!((&of["state"], &of["position"]), (&json!("caught_up"), &of["of"]), "{of}");
    assert!(!stdout(&done).contains("INCOMPLETE"), "{}", stdout(&done));
    says(&done, "judged up to entry ");
}

#[test]
fn a_page_of_an_older_size_hid_what_was_found_about_it_later() {
    let (mut server, reader) = held_back();
    let size = server.get("/v1/findings", &reader).json()["size"].as_u64().expect("a size");
    released(&mut server);
    let whole = server.get("/v1/findings?wait=30", &reader).json();
    assert_eq!(whole["findings"].as_array().map(Vec::len), Some(1), "{whole}");
    // All before that size was judged by now, but the finding stands behind it.
    let older = server.get(&format!("/v1/findings?as_of={size}"), &reader).json();
    assert_eq!(older["findings"], json!([]));
    let progress = &older["progress"]["findings"];
    assert_eq!((&progress["state"], &progress["recorded_later"]), (&json!("behind"), &json!(1)));
    let shown = server.run(&reader, &["findings", "--as-of", &size.to_string()]);
    is_code(&shown, 3);
    says(&shown, "1 findings about entries before ");
    // A token that nobody knows anything of has none later either.
    let other = format!("/v1/findings?as_of={size}&token=eu:idp:jti:other");
    let other = server.get(&other, &reader).json();
    assert_eq!(other["progress"]["findings"]["recorded_later"], 0, "{other}");
}

#[test]
fn why_a_token_was_revoked_was_answered_before_the_replay_was_judged() {
    let (mut server, reader) = held_back();
    let events = server.get("/v1/tokens/eu:idp:jti:stolen/events", &reader).json();
    let revoked = events["events"].as_array().expect("events");
    let revoked = revoked.iter().find(|one| one["statement"]["type"] == "REVOKED");
    let id = revoked.expect("a revocation")["statement"]["event_id"].as_str().expect("an id");
    let (path, event) = (format!("/v1/events/idp/{id}/why"), format!("idp/{id}"));
    lags(&server.get(&path, &reader).json(), "findings");
    let shown = server.run(&reader, &["query", "why", &event]);
    is_code(&shown, 3);
    says(&shown, "INCOMPLETE: judged up to entry ");
    released(&mut server);
    is_code(&server.run(&reader, &["query", "why", &event, "--wait", "30"]), 0);
}

#[test]
fn a_stream_of_findings_was_silent_while_the_rules_were_behind() {
    let (server, reader) = held_back();
    let address = server.url.strip_prefix("http://").expect("plain HTTP");
    let mut line = TcpStream::connect(address).expect("a connection");
    line.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let head = "GET /v1/findings?follow HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ";
    line.write_all(format!("{head}{reader}\r\n\r\n").as_bytes()).expect("sent");
    let mut lines = BufReader::new(line).lines().map(|line| line.expect("a line within the time"));
    lines.find(|line| line == "event: progress").expect("a word of progress");
    let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
    let data: Value = serde_json::from_str(&data.expect("data")).expect("JSON");
    lags(&json!({ "progress": data }), "findings");
    let refused = server.get("/v1/findings?follow&wait=3", &reader);
    assert_eq!(refused.code(), "bad_query");
}

#[test]
fn following_findings_said_nothing_of_what_was_not_judged() {
    let (server, reader) = held_back();
    let mut child = Command::new(BINARY)
        .args(["findings", "--follow", "--interval-ms", "50", "--url", &server.url])
        .env("LEDGERLINE_KEY", &reader)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let said = BufReader::new(child.stderr.take().expect("piped")).lines().next();
    child.kill().expect("killed");
    child.wait().expect("an end");
    let said = said.expect("a line").expect("text");
    assert!(said.contains("judged up to entry ") && said.contains(" behind"), "{said}");
}

#[test]
fn a_status_looked_whole_while_three_readers_were_behind() {
    let (mut server, reader) = held_back();
    let answer = server.get("/v1/status", &reader).json();
    for one in ["findings", "expiry", "verifier"] {
        lags(&answer, one);
    }
    assert_eq!(answer["progress"]["index"]["state"], "caught_up", "{answer}");
    let table = server.run(&reader, &["status"]);
    is_code(&table, 3);
    for words in ["judged up to entry", "expiries stated up to entry", "verified up to entry"] {
        says(&table, words);
    }
    says(&table, " behind");
    // Why the exit code is 3.
    says(&table, "INCOMPLETE: judged up to entry ");
    let ready = server.call("GET", "/readyz", None, None);
    assert_eq!(ready.status, 200);
    let text = ready.text();
    assert!(text.starts_with("ready\n") && text.contains("judged up to entry "), "{text}");
    let metrics = server.get("/metrics", &reader).text();
    for name in ["findings", "expiry", "verify"] {
        assert!(metrics.contains(&format!("\nledgerline_{name}_on 1\n")), "{name}");
        assert!(!metrics.contains(&format!("\nledgerline_{name}_lag_entries 0\n")), "{name}");
    }
    released(&mut server);
    is_code(&server.run(&reader, &["status", "--wait", "30"]), 0);
}

#[test]
fn the_verifiers_verdict_was_of_less_than_there_was() {
    let flags = [&HELD[..], &["--verify-interval-ms", "1500"]].concat();
    let server = Server::start_with(&flags);
    let reader = server.key("", "desk", &["reader", "auditor"]);
    let until = Instant::now() + Duration::from_secs(60);
    let has_report = |answer: &Answer| answer.json()["reports"][0]["verdict"] == "verified";
    while !has_report(&server.get("/v1/verify-reports", &reader)) {
        assert!(Instant::now() < until, "no report");
        std::thread::sleep(Duration::from_millis(50));
    }
    lags(&server.get("/v1/verify-reports", &reader).json(), "verifier");
    let table = server.run(&reader, &["verify", "--report"]);
    is_code(&table, 3);
    says(&table, "INCOMPLETE: verified up to entry ");
    is_code(&server.run(&reader, &["verify", "--wait", "3"]), 64);
}

#[test]
fn what_was_switched_off_said_that_nothing_waits() {
    let server = Server::start_with(&OFF);
    let producer = server.key("", "idp", &["producer"]);
    let reader = server.key("", "desk", &["reader", "auditor"]);
    server.record(&producer, &theft("stolen"));
    let answer = server.get("/v1/findings?wait=20", &reader).json();
    let progress = &answer["progress"]["findings"];
    assert_eq!(progress["state"], "switched_off", "{answer}");
    assert_eq!((&progress["position"], &answer["lag_entries"]), (&Value::Null, &Value::Null));
    let table = server.run(&reader, &["findings"]);
    is_code(&table, 3);
    says(&table, "no findings among what was judged so far");
    says(&table, "INCOMPLETE: NOT JUDGED: findings are switched off");
    let report = server.run(&reader, &["verify", "--report"]);
    is_code(&report, 3);
    says(&report, "NOT VERIFIED: the verifier is switched off");
    let status = server.run(&reader, &["status"]);
    is_code(&status, 0);
    says(&status, "NOT JUDGED");
    let metrics = server.get("/metrics", &reader).text();
    for name in ["findings", "expiry", "verify"] {
        assert!(metrics.contains(&format!("\nledgerline_{name}_on 0\n")), "{name}");
        assert!(!metrics.contains(&format!("\nledgerline_{name}_lag_entries ")), "{name}");
    }
    assert!(server.call("GET", "/readyz", None, None).text().contains("NOT JUDGED"));
}

#[test]
fn a_wait_that_is_no_number_of_seconds_is_refused() {
    let server = Server::start();
    for path in ["/v1/findings", "/v1/sources", "/v1/status", "/v1/verify-reports"] {
        for wrong in ["61", "x", "-1"] {
            let refused = server.get(&format!("{path}?wait={wrong}"), &server.admin);
            assert_eq!(refused.code(), "bad_query", "{path} {wrong}");
        }
    }
    assert_eq!(server.run(&server.admin, &["findings", "--wait", "61"]).status.code(), Some(64));
}
