//! Bodies and signals that were taken for something they are not.

mod running;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use running::{Server, event, stderr};
use serde_json::json;

#[test]
fn a_compressed_batch_was_answered_200_and_lost() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let body = event("n", "ISSUED", "a").to_string();
    let check = |encoding: &str, status: u16| {
        let headers = [("content-encoding", encoding)];
        let sent = Some(("application/json", body.as_bytes()));
        let answer = server.call_with("POST", "/v1/events", Some(&key), sent, &headers);
        assert_eq!(answer.status, status, "{encoding}: {}", answer.text());
        if status == 415 {
            assert_eq!(answer.code(), "unsupported_content_encoding", "{encoding}");
        }
    };
    for encoding in ["zstd", "br", "gzip, gzip", "deflate, gzip", "x-unheard-of"] {
        check(encoding, 415);
    }
    check("identity", 200);
    // It says that it is packed, and is not.
    for encoding in ["gzip", "deflate"] {
        check(encoding, 400);
    }
}

/// A body packed as a coding says; `raw` is deflate without its frame, as some senders have it.
fn packed(coding: &str, text: &[u8]) -> Vec<u8> {
    let level = Compression::best();
    let written = match coding {
        "gzip" => {
            let mut out = GzEncoder::new(Vec::new(), level);
            out.write_all(text).and_then(|()| out.finish())
        }
        "deflate" => {
            let mut out = ZlibEncoder::new(Vec::new(), level);
            out.write_all(text).and_then(|()| out.finish())
        }
        _ => {
            let mut out = DeflateEncoder::new(Vec::new(), level);
            out.write_all(text).and_then(|()| out.finish())
        }
    };
    written.expect("memory")
}

#[test]
fn packed_bodies_are_what_was_packed() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "resource_server"]);
    let send = |coding: &str, media_type: &str, body: &[u8]| {
        let name = if coding == "raw" { "deflate" } else { coding };
        let headers = [("content-encoding", name)];
        server.call_with("POST", "/v1/events", Some(&key), Some((media_type, body)), &headers)
    };
    for coding in ["gzip", "deflate", "raw"] {
        let lines: Vec<String> = (0..300)
            .map(|n| {
                event(&format!("{coding}-{n}"), "ISSUED", &format!("{coding}-{n}")).to_string()
            })
            .collect();
        let body = packed(coding, lines.join("\n").as_bytes());
        let answer = send(coding, "application/x-ndjson", &body);
        assert_eq!(answer.status, 200, "{coding}: {}", answer.text());
        let verdicts = answer.json()["events"].clone();
        let recorded = verdicts.as_array().expect("verdicts").iter();
        assert_eq!(recorded.filter(|one| one["status"] == "recorded").count(), 300, "{coding}");
        let lone = packed(coding, lines[0].as_bytes());
        let again = send(coding, "application/json", &lone).json();
        assert_eq!(again["events"][0]["status"], "duplicate", "{coding}");
        // Neither half of it is a body, nor more than it.
        for broken in
            [&body[..body.len() - 1], &body[..body.len() / 2], &[&body[..], b"x"].concat()]
        {
            let refused = send(coding, "application/x-ndjson", broken);
            assert_eq!((refused.status, refused.code().as_str()), (400, "bad_content_encoding"));
        }
    }
    let form = packed("gzip", b"token=eyJhbGciOiJub25lIn0.e30.");
    let sent = Some(("application/x-www-form-urlencoded", &form[..]));
    let headers = [("content-encoding", "gzip")];
    let told = server.call_with("POST", "/oauth2/introspect", Some(&key), sent, &headers);
    assert_eq!((told.status, told.text().as_str()), (200, "{\"active\":false}"));
    let refused = send("zstd", "application/json", b"\x28\xb5\x2f\xfd");
    assert_eq!(refused.status, 415);
    assert_eq!(refused.headers["accept-encoding"], "gzip, deflate, identity");
}

#[test]
fn a_bomb_is_refused_at_the_limit_of_a_body() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "resource_server"]);
    let headers = |coding| [("content-encoding", coding)];
    for coding in ["gzip", "deflate"] {
        let bomb = packed(coding, &vec![b' '; 256 << 20]);
        assert!(bomb.len() < 1 << 20, "it is small as it is sent");
        let begun = Instant::now();
        for (path, media_type) in [
            ("/v1/events", "application/x-ndjson"),
            ("/oauth2/introspect", "application/x-www-form-urlencoded"),
            ("/v1/keys", "application/json"),
        ] {
            let caller = if path == "/v1/keys" { &server.admin } else { &key };
            let sent = Some((media_type, &bomb[..]));
            let answer = server.call_with("POST", path, Some(caller), sent, &headers(coding));
            assert_eq!(answer.status, 413, "{path}: {}", answer.text());
        }
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(20), "no more is unpacked than a body has: {took:?}");
    }
}

#[test]
fn of_a_member_that_stood_twice_nobody_knew_which_was_meant() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "responder", "privacy"]);
    let id = "eu:idp:jti:a";
    server.record(&key, &[event("n", "ISSUED", "a")]);
    let finding = "0".repeat(64);
    let cases = [
        ("/v1/events", r#"{"type":"ISSUED","type":"USED"}"#.to_owned(), "type"),
        ("/v1/events", r#"{"target":{"kind":"TOKEN","id":"a","id":"b"}}"#.into(), "id"),
        ("/v1/events", r#"{"statement":"","statement":""}"#.into(), "statement"),
        ("/v1/keys", r#"{"source":"a","tenant":"x","tenant":"*"}"#.into(), "tenant"),
        ("/v1/resolve", r#"{"kind":"PERSON","value":"a","value":"b"}"#.into(), "value"),
        ("/v1/erase", r#"{"handle":"a","handle":"b"}"#.into(), "handle"),
        ("/v1/disclose", r#"{"purpose":"a","purpose":"b"}"#.into(), "purpose"),
        ("/v1/triage", r#"{"tokens":[],"tokens":[]}"#.into(), "tokens"),
        ("/v1/reconciliations", r#"{"record":false,"record":true}"#.into(), "record"),
        (&format!("/v1/findings/{finding}/close"), r#"{"note":"a","note":"b"}"#.into(), "note"),
        (
            &format!("/v1/tokens/{id}/blast-radius"),
            r#"{"reason":"a","reason":"b"}"#.into(),
            "reason",
        ),
    ];
    for (path, body, name) in cases {
        let caller = if path == "/v1/keys" { &server.admin } else { &key };
        let sent = Some(("application/json", body.as_bytes()));
        let answer = server.call("POST", path, Some(caller), sent);
        let told = format!("`{name}` stands twice");
        assert!((400..=422).contains(&answer.status), "{path}: {}", answer.status);
        assert!(answer.text().contains(&told), "{path}: {}", answer.text());
    }
}

#[test]
fn media_types_were_compared_by_their_first_letters() {
    let server = Server::start();
    let check = |media_type: &str, expected: u16| {
        let sent = Some((media_type, &b"{\"source\":\"idp\",\"roles\":[\"producer\"]}"[..]));
        let answer = server.call("POST", "/v1/keys", Some(&server.admin), sent);
        assert_eq!(answer.status, expected, "{media_type}: {}", answer.text());
    };
    for sound in ["application/json", "Application/JSON", "application/json; charset=UTF-8"] {
        check(sound, 201);
    }
    for other in ["application/jsonx", "application/json; charset=utf-16", "text/json", "json"] {
        check(other, 415);
    }
}

#[test]
fn an_empty_table_was_a_finding_for_every_living_token() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "responder", "reader"]);
    server.record(&key, &[event("n", "ISSUED", "a")]);
    for content in ["", "token_id,state\n"] {
        let table = server.write("table.csv", content);
        let table = table.to_str().expect("text");
        let args = ["reconcile", "--region", "eu", "--issuer", "idp", table];
        let output = server.run(&key, &args);
        assert_eq!(output.status.code(), Some(1), "{content:?}: {}", stderr(&output));
    }
    let findings = server.get("/v1/findings", &key).json()["findings"].clone();
    assert_eq!(findings, serde_json::json!([]));
}

#[test]
fn a_hangup_killed_the_server() {
    let mut server = Server::start();
    let id = server.process().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().expect("kill runs").success());
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(server.call("GET", "/healthz", None, None).status, 200);
    assert_eq!(server.stop(), Some(0));
}

/// Each of them alone once kept the server from starting, or stood in signed answers.
#[test]
fn a_blank_variable_counted_as_set() {
    for name in [
        "LEDGERLINE_TLS_CERT",
        "LEDGERLINE_WEBHOOK_URL",
        "LEDGERLINE_NEW_ORIGIN",
        "LEDGERLINE_MAX_CONNECTIONS",
        "LEDGERLINE_CONFIG",
    ] {
        for blank in ["", "  "] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut child = Command::new(running::BINARY)
                .args(["serve", "--listen", "127.0.0.1:0", "--free-space-floor-bytes", "1"])
                .arg("--data")
                .arg(folder.path().join("data"))
                .env(name, blank)
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("the binary starts");
            let mut line = String::new();
            let stdout = child.stdout.take().expect("piped");
            BufReader::new(stdout).read_line(&mut line).expect("a line");
            child.kill().expect("it runs");
            child.wait().expect("it ends");
            assert!(line.starts_with("ledgerline listens on "), "{name}={blank:?}: {line:?}");
        }
    }
}

#[test]
fn a_dry_run_in_the_query_revoked() {
    let server = Server::start();
    server.record(&server.admin, &[event("n", "ISSUED", "a")]);
    let path = "/v1/tokens/eu:idp:jti:a/blast-radius?dry_run=true";
    let answer = server.post(path, &server.admin, &json!({ "reason": "x" }));
    assert_eq!((answer.status, answer.code()), (400, "bad_query".to_owned()));
    let token = server.get("/v1/tokens/eu:idp:jti:a", &server.admin).json();
    assert_eq!(token["known"]["state"], "ACTIVE", "{token}");
    for path in ["/v1/keys?tenant=nosuch", "/v1/issuers?x=1", "/v1/leaves/0?x=1"] {
        assert_eq!(server.get(path, &server.admin).code(), "bad_query", "{path}");
    }
    // What cannot be undone wants the word.
    let key = json!({ "source": "s", "roles": ["reader"] });
    let key = server.post("/v1/keys", &server.admin, &key).json()["key_id"].clone();
    let path = format!("/v1/keys/{}?compromised=", key.as_str().expect("an id"));
    let answer = server.call("DELETE", &path, Some(&server.admin), None);
    assert_eq!((answer.status, &answer.json()["member"]), (400, &json!("compromised")));
    // Probes may add what they like.
    assert_eq!(server.call("GET", "/healthz?probe=7", None, None).status, 200);
}

#[test]
fn a_members_name_with_backticks_was_repeated() {
    let server = Server::start();
    let secret = "My-Secret-Tok3n-Xq7vT2mLr9Zk4Wd8Bn1Hs6Pc";
    for name in [format!("a`b`{secret}"), format!("``{secret}"), "hunterpassword".to_owned()] {
        let body = json!({ (name.as_str()): 1 });
        for path in [
            "/v1/triage",
            "/v1/resolve",
            "/v1/disclose",
            "/v1/erase",
            "/v1/keys",
            "/v1/reconciliations",
            "/v1/sources",
        ] {
            let answer = server.post(path, &server.admin, &body);
            let text = answer.text();
            assert_eq!(answer.code(), "bad_json", "{path}: {text}");
            assert!(!text.contains(secret) && !text.contains("hunter"), "{path}: {text}");
        }
    }
    let near = server.post("/v1/triage", &server.admin, &json!({ "token": [] })).json();
    assert_eq!(near["member"], "token", "{near}");
}

#[test]
fn a_trace_with_a_proof_took_the_unknown_for_known() {
    let server = Server::start();
    server.record(&server.admin, &[event("n", "ISSUED", "a")]);
    let file = server.path("p.json");
    let name = file.to_str().expect("UTF-8");
    let output = server.run(&server.admin, &["trace", "eu:idp:jti:nobody", "--proof", name]);
    assert_eq!(output.status.code(), Some(4), "{}", running::stdout(&output));
    let args = ["trace", "eu:idp:jti:a", "--as-of", "2", "--proof", name];
    let output = server.run(&server.admin, &args);
    assert_eq!(output.status.code(), Some(4), "{}", running::stdout(&output));
    assert!(!file.exists(), "a proof of what is not shown");
}
