//! Bodies and signals that were taken for something they are not.

mod running;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use running::{Server, event, stderr};

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
    for encoding in ["gzip", "deflate", "zstd", "br", "identity, gzip", "x-unheard-of"] {
        check(encoding, 415);
    }
    check("identity", 200);
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
    std::thread::sleep(std::time::Duration::from_millis(200));
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
