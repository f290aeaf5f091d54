//! Answers that looked alive, quiet or complete, and had no word of why they are not.

mod running;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use running::{BINARY, Server, event, stderr, stdout};
use serde_json::{Value, json};

fn ask(server: &Server, key: &str, args: &[&str], input: &str) -> (Option<i32>, Value, String) {
    let json = [args, &["-o", "json"]].concat();
    let output = server.run_with(key, &json, input.as_bytes());
    let said = stdout(&output);
    let answer = serde_json::from_str(&said).unwrap_or(Value::Null);
    (output.status.code(), answer, said + &stderr(&output))
}

#[test]
fn before_anything_of_it_had_happened_a_token_was_known_active() {
    let server = Server::start();
    let key = server.admin.clone();
    let mut held = event("h", "SUSPENDED", "a");
    held["occurred_at"] = "2026-01-03T00:00:00Z".into();
    let mut again = event("r", "REINSTATED", "a");
    again["occurred_at"] = "2026-01-05T00:00:00Z".into();
    server.record(&key, &[event("i", "ISSUED", "a"), held, again]);
    let id = "eu:idp:jti:a";
    let at = |time: &str| {
        let shown = stdout(&server.run(&key, &["trace", "--at", time, id]));
        let (exit, life, said) = ask(&server, &key, &["trace", "--at", time, id], "");
        assert_eq!(exit, Some(0), "{said}");
        (shown, life)
    };
    let (shown, life) = at("2026-01-01T00:00:00Z");
    assert!(shown.contains("nothing of it had happened"), "{shown}");
    assert!(!shown.contains(", active") && !shown.contains("known     ACTIVE"), "{shown}");
    assert_eq!(life["nothing_had_happened"], true, "{life}");
    let note = life["note"].as_str().expect("words");
    assert!(note.starts_with("at that time nothing of it had happened"), "{note}");
    let (known, happened) = (&life["known"]["state"], &life["happened"]["state"]);
    assert_eq!((known, happened), (&json!("UNKNOWN"), &json!("UNKNOWN")), "{life}");
    let (shown, life) = at("2026-01-04T00:00:00Z");
    assert!(shown.contains("happened  SUSPENDED"), "{shown}");
    assert!(!shown.contains("known     ACTIVE"), "{shown}");
    assert_eq!(life["nothing_had_happened"], false, "{life}");
    let (shown, life) = at("2026-01-06T00:00:00Z");
    assert!(shown.contains("known     ACTIVE, active"), "{shown}");
    assert_eq!((&life["note"], &life["nothing_had_happened"]), (&Value::Null, &json!(false)));
    let now = server.get(&format!("/v1/tokens/{id}"), &key).json();
    assert_eq!((&now["at"], &now["nothing_had_happened"]), (&Value::Null, &json!(false)), "{now}");
    for command in [&["lineage"][..], &["blast-radius"], &["query", "resources"]] {
        let args = [command, &["--at", "2026-01-01T00:00:00Z", id]].concat();
        let (exit, answer, said) = ask(&server, &key, &args, "");
        assert_eq!((exit, &answer["happened_since"]), (Some(4), &json!(true)), "{said}");
        let shown = stdout(&server.run(&key, &args));
        assert!(shown.starts_with("UNKNOWN AT 2026-01-01") && shown.contains("later"), "{shown}");
        assert!(!shown.contains("Nothing is recorded"), "{shown}");
    }
}

#[test]
fn a_triage_ended_with_3_or_4_and_no_line_said_why() {
    let server = Server::start();
    let key = server.admin.clone();
    let unknown = "never-recorded-value-0123456789abc";
    let run = |input: &[u8]| {
        let output = server.run_with(&key, &["query", "triage", "-"], input);
        (output.status.code(), stdout(&output))
    };
    let (exit, shown) = run(unknown.as_bytes());
    assert_eq!(exit, Some(4), "{shown}");
    assert!(shown.contains("\nUNKNOWN: nothing is recorded about 1 of them"), "{shown}");
    let (exit, shown) = run(&[b'x'; 70_000]);
    assert_eq!(exit, Some(3), "{shown}");
    assert!(shown.contains("\nINCOMPLETE: 1 lines or tokens were not read"), "{shown}");
}

#[test]
fn a_triage_of_nothing_looked_like_a_list_without_a_living_token() {
    let server = Server::start();
    let run = |input: &[u8]| {
        let output = server.run_with(&server.admin, &["query", "triage", "-"], input);
        assert_eq!(stdout(&output), "", "{input:?}");
        (output.status.code(), stderr(&output))
    };
    for empty in [&b""[..], b"\n\n", b" \r\n"] {
        let (exit, said) = run(empty);
        assert_eq!(exit, Some(64), "{said}");
        assert!(said.contains("standard input is empty"), "{said}");
    }
    for short in [&b"short\nabc\n"[..], b"[]", b"{\"access_token\":\"\"}"] {
        let (exit, said) = run(short);
        assert_eq!(exit, Some(64), "{said}");
        assert!(said.contains("nothing was looked up"), "{said}");
    }
    let mixed = b"short\nnever-recorded-value-0123456789abc\n";
    let output = server.run_with(&server.admin, &["query", "triage", "-"], mixed);
    assert_eq!(output.status.code(), Some(4));
    assert!(stdout(&output).contains("1 lines hold nothing that is long enough for a token"));
}

#[test]
fn a_leaked_token_that_was_not_the_likeliest_reading_of_its_line_was_unknown() {
    let server = Server::start();
    let key = server.admin.clone();
    let alive = "tGzv3JOkF0XG5Qx2TlKWIA9f1c8alive";
    let id = ledgerline_proof::token_id::from_presented("eu", "idp", alive.as_bytes());
    let mut born = event("i", "ISSUED", "x");
    born["token_id"] = id.expect("an id").into();
    server.record(&key, &[born]);
    for form in [
        "sid=@",
        "id:@",
        "set-cookie: access_token=zzzzzzzzzzzzzzzzzzzz1; sid=@",
        "https://app.test/x?code=@&token=zzzzzzzzzzzzzzzzzzz2",
        "token=zzzzzzzzzzzzzzzzzzz3/@",
        "some words and @ among them",
        "{\"token\":\"sid=@\"}",
        "@==",
    ] {
        let args = ["query", "triage", "-"];
        let (exit, answer, said) = ask(&server, &key, &args, &form.replace('@', alive));
        assert_eq!((exit, &answer["alive"]), (Some(0), &json!(1)), "{form}: {said}");
        assert_eq!(answer["tokens"].as_array().map(Vec::len), Some(1), "{form}: {said}");
        assert!(!said.contains(alive), "{form}");
    }
}

#[test]
fn the_oauth_endpoints_did_not_say_which_role_lacks() {
    let server = Server::start();
    let key = server.key("", "desk", &["reader"]);
    let form = ("application/x-www-form-urlencoded", b"token=some-opaque-token-0123456789" as _);
    let say = |path: &str, key: &str| {
        let answer = server.call("POST", path, Some(key), Some(form));
        assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("invalid_client")));
        answer.json()["error_description"].as_str().expect("words").to_owned()
    };
    let introspect = say("/oauth2/introspect", &key);
    assert!(introspect.contains("resource_server"), "{introspect}");
    let revoke = say("/oauth2/revoke", &key);
    assert!(revoke.contains("client") && revoke.contains("responder"), "{revoke}");
    // Nobody without the secret learns what a key may do, or that it was there.
    let (front, secret) = key.rsplit_once('_').expect("a secret");
    let other: String = secret.chars().rev().collect();
    for path in ["/oauth2/introspect", "/oauth2/revoke"] {
        let said = say(path, &format!("{front}_{other}"));
        assert!(!said.contains("role") && said.contains("not valid"), "{said}");
    }
    let id = key.split('_').nth(1).expect("a key id");
    let gone = server.run(&server.admin.clone(), &["keys", "retire", id]);
    assert!(gone.status.success(), "{}", stderr(&gone));
    assert!(say("/oauth2/introspect", &key).contains("was ended"));
    assert!(!say("/oauth2/introspect", &format!("{front}_{other}")).contains("ended"));
}

#[test]
fn findings_of_a_token_that_nobody_knows_were_quiet() {
    let server = Server::start_with(&["--findings-interval-ms", "20"]);
    let key = server.admin.clone();
    server.record(&key, &[event("i", "ISSUED", "quiet")]);
    let args = ["findings", "--wait", "20", "--token", "eu:idp:jti:quiet"];
    let (exit, answer, said) = ask(&server, &key, &args, "");
    assert_eq!((exit, &answer["token_known"]), (Some(0), &json!(true)), "{said}");
    let args = ["findings", "--wait", "20", "--token", "eu:idp:jti:nobody"];
    let (exit, answer, said) = ask(&server, &key, &args, "");
    assert_eq!((exit, &answer["token_known"]), (Some(4), &json!(false)), "{said}");
    assert_eq!(answer["status"], "unknown", "{said}");
    let shown = stdout(&server.run(&key, &args));
    assert!(shown.contains("UNKNOWN: nothing is recorded about that token"), "{shown}");
    let (exit, answer, said) = ask(&server, &key, &["findings", "--wait", "20"], "");
    assert_eq!((exit, &answer["token_known"]), (Some(0), &Value::Null), "{said}");
}

#[test]
fn a_mistyped_tenant_was_quiet() {
    let server = Server::start_with(&["--findings-interval-ms", "20"]);
    let key = server.admin.clone();
    server.key("by-key", "idp", &["producer"]);
    let questions = [
        &["findings", "--wait", "20"][..],
        &["sources", "--wait", "20"],
        &["query", "tokens", "--client", "web"],
        &["query", "accessed", "/v1/reports"],
        &[
            "query",
            "after-revoke",
            "--from",
            "2026-01-01T00:00:00Z",
            "--until",
            "2026-01-02T00:00:00Z",
        ],
        &["pivot", "client", "web"],
    ];
    for question in questions {
        for (tenant, known) in [("by-key", true), ("bykey", false)] {
            let args = [question, &["--tenant", tenant]].concat();
            let (exit, answer, said) = ask(&server, &key, &args, "");
            assert_eq!(answer["tenant_known"], known, "{args:?}: {said}");
            let shown = stdout(&server.run(&key, &args));
            let words = "UNKNOWN: nothing is known of the tenant bykey: no key, source or entry";
            assert_eq!(shown.contains(words), !known, "{shown}");
            assert!(known || exit == Some(4), "{args:?}: {said}");
        }
    }
    let (exit, answer, said) =
        ask(&server, &key, &["query", "triage", "--tenant", "bykey", "-"], "eu:idp:jti:x");
    assert_eq!((exit, &answer["tenant_known"]), (Some(4), &json!(false)), "{said}");
    let feed = |tenant: &str| server.get(&format!("/v1/revocations?tenant={tenant}"), &key).json();
    assert_eq!(feed("bykey")["tenant_known"], false);
    assert_eq!(feed("by-key")["tenant_known"], true);
    // A key of one tenant learns nothing of others.
    let theirs = server.key("by-key", "desk", &["reader"]);
    assert_eq!(server.get("/v1/findings?tenant=bykey", &theirs).status, 404);
    assert_eq!(server.get("/v1/findings", &theirs).json()["tenant_known"], true);
}

#[test]
fn a_mistyped_client_held_no_tokens() {
    let server = Server::start();
    let key = server.admin.clone();
    let mut born = event("i", "ISSUED", "a");
    born["client_id"] = "web".into();
    server.record(&key, &[born]);
    for question in [
        &["query", "tokens", "--client"][..],
        &["query", "accessed"],
        &["pivot", "client"],
        &["pivot", "session"],
    ] {
        let args = [question, &["wbe"]].concat();
        let (exit, answer, said) = ask(&server, &key, &args, "");
        assert_eq!((exit, &answer["status"]), (Some(4), &json!("unknown")), "{args:?}: {said}");
        let shown = stdout(&server.run(&key, &args));
        assert!(shown.contains("UNKNOWN: nothing is recorded of that "), "{shown}");
    }
    let (exit, _, said) = ask(&server, &key, &["query", "tokens", "--client", "web"], "");
    assert_eq!(exit, Some(0), "{said}");
    // Of a range or a time an empty list says what it is asked.
    let args = ["query", "tokens", "--client", "web", "--at", "2020-01-01T00:00:00Z"];
    assert_eq!(ask(&server, &key, &args, "").0, Some(0));
}

/// The events of a stream, by its data.
fn stream(server: &Server, key: &str) -> impl Iterator<Item = (u64, Value)> + use<> {
    let address = server.url.strip_prefix("http://").expect("plain HTTP");
    let mut line = TcpStream::connect(address).expect("a connection");
    line.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    let head = "GET /v1/findings?follow HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ";
    line.write_all(format!("{head}{key}\r\n\r\n").as_bytes()).expect("sent");
    let mut lines = BufReader::new(line).lines().map(|line| line.expect("a line within the time"));
    std::iter::from_fn(move || {
        loop {
            let id = lines.find_map(|line| line.strip_prefix("id: ").map(str::to_owned))?;
            let kind = lines.next()?;
            let data = lines.next()?;
            if kind == "event: finding" {
                let data = data.strip_prefix("data: ").expect("data");
                let data = serde_json::from_str(data).expect("JSON");
                return Some((id.parse().expect("an index"), data));
            }
        }
    })
}

#[test]
fn whoever_followed_findings_was_not_told_that_one_stands_open_again() {
    let server = Server::start_with(&["--findings-interval-ms", "20"]);
    let key = server.admin.clone();
    let source = server.key("", "edge", &["producer"]);
    let beat = |native: &str| {
        let link = json!({ "token_id": "eu:idp:jti:a", "relation": "CAUSED_BY",
            "strength": "ASSERTED" });
        let one = json!({ "native_id": native, "type": "HEARTBEAT", "links": [link],
            "occurred_at": "2026-01-02T05:00:00Z", "target": { "kind": "SOURCE", "id": "edge" } });
        server.record(&source, &[one]);
    };
    server.record(&key, &[event("i", "ISSUED", "a"), event("r", "REVOKED", "a")]);
    beat("h1");
    let mut child = Command::new(BINARY)
        .args(["findings", "--follow", "--interval-ms", "50", "--url", &server.url])
        .env("LEDGERLINE_KEY", &key)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    let first = next();
    assert!(first.contains("revoke_not_propagated") && first.contains("open"), "{first}");
    let mut told = stream(&server, &key);
    let (index, raised) = told.next().expect("the finding");
    assert_eq!((&raised["state"], raised["index"].as_u64()), (&json!("open"), Some(index)));
    assert!(raised["open_again_at"].is_null(), "{raised}");
    let id = raised["id"].as_str().expect("an id").to_owned();
    let closed = server.post(
        &format!("/v1/findings/{id}/close"),
        &key,
        &json!({ "note": "the edge was restarted" }),
    );
    assert_eq!(closed.status, 200, "{}", closed.text());
    beat("h2");
    let (at, again) = told.next().expect("the finding again");
    assert_eq!((&again["id"], &again["state"]), (&json!(id), &json!("open")), "{again}");
    assert_eq!(again["open_again_at"].as_u64(), Some(at), "{again}");
    assert!(at > index, "it goes on behind it");
    let second = next();
    assert!(second.contains(&id) && second.contains("OPEN AGAIN"), "{second}");
    child.kill().expect("killed");
    child.wait().expect("an end");
    let list = server.get(&format!("/v1/findings?from={}", index + 1), &key).json();
    assert_eq!(list["reopened"][0]["id"], id, "{list}");
    let list = server.get(&format!("/v1/findings?from={}", at + 1), &key).json();
    assert_eq!((&list["reopened"], &list["reopened_whole"]), (&json!([]), &json!(true)));
}

#[test]
fn a_pipe_as_configuration_was_waited_for_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let mut child = Command::new(BINARY)
        .args(["token-id", "-", "--config", pipe.to_str().expect("text")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let code = running::wait(&mut child, Duration::from_secs(20)).code();
    assert_eq!(code, Some(64));
}

#[test]
fn a_body_in_another_transfer_coding_was_taken_for_what_it_is_not() {
    let server = Server::start();
    let address = server.url.strip_prefix("http://").expect("plain HTTP");
    for (coding, status) in [("gzip, chunked", "501"), ("gzip", "400")] {
        let mut line = TcpStream::connect(address).expect("a connection");
        line.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nTransfer-Encoding: {coding}\r\n\r\n",
            server.admin
        );
        line.write_all(head.as_bytes()).expect("sent");
        line.write_all(b"2\r\n{}\r\n0\r\n\r\n").expect("sent");
        let first = BufReader::new(line).lines().next().expect("an answer").expect("text");
        assert!(first.contains(status), "{coding}: {first}");
    }
}

#[test]
fn what_no_block_covers_was_not_counted_without_a_proof() {
    let server = Server::start_with(&["--block-interval-ms", "60000"]);
    let key = server.admin.clone();
    let reader = server.key("", "desk", &["reader", "auditor"]);
    server.record(&key, &[event("i", "ISSUED", "a")]);
    for path in ["/v1/findings", "/v1/tokens/eu:idp:jti:a", "/v1/tokens/eu:idp:jti:a/lineage"] {
        let answer = server.get(path, &reader).json();
        assert!(answer["newer_entries"].as_u64() > Some(0), "{path}: {answer}");
    }
    let auditor = server.key("*", "auditor", &["auditor"]);
    let status = server.get("/v1/status", &reader).json();
    let log_key = status["log_key"].as_str().expect("a key");
    let args = ["verify", "--log-key", log_key];
    let (exit, report, said) = ask(&server, &auditor, &args, "");
    let newer = report["newer_entries"].as_u64().expect("a count");
    let note = report["notes"][0].as_str().unwrap_or_default();
    assert!(note.contains(&format!("{newer} newer entries are not covered")), "{exit:?}: {said}");
    assert!(newer > 0, "{said}");
}
