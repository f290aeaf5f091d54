//! A token of which acts are recorded but no birth is known on every face; a closed standard output
//! changes no exit code; a JWT whose signature nobody checked is said to be that.

mod running;

use std::process::{Command, Stdio};

use running::{BINARY, Server, event, stderr, stdout};
use serde_json::{Value, json};

const ACTS: &[&str] =
    &["REVOKED", "SUSPENDED", "ROTATED", "USED", "RESOURCE_ACCESSED", "REFRESHED"];
/// A JWT that nobody signed for.
const FORGED: &str =
    "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiIxIiwiaXNzIjoiaHR0cHM6Ly9pZHAifQ.Zm9yZ2VkZm9yZ2VkZm9yZ2Vk";

fn id_of(server: &Server, token: &str) -> String {
    let args = ["token-id", "--region", "eu", "--issuer", "idp"];
    stdout(&server.run_with("", &args, token.as_bytes())).trim().to_owned()
}

fn ask(server: &Server, key: &str, args: &[&str], input: &str) -> (Option<i32>, Value) {
    let args = [args, &["-o", "json"]].concat();
    let output = server.run_with(key, &args, input.as_bytes());
    let answer = serde_json::from_slice(&output.stdout);
    (output.status.code(), answer.unwrap_or_else(|_| panic!("{args:?}: {}", stderr(&output))))
}

#[test]
fn a_token_that_was_revoked_but_not_issued_here_was_unknown_when_pasted() {
    let server = Server::start();
    let key = server.key("", "desk", &["responder"]);
    let gateway = server.key("", "gw", &["resource_server"]);
    for (n, act) in ACTS.iter().enumerate() {
        let token = format!("never-Issued-here-0123456789-{n}");
        let id = id_of(&server, &token);
        let mut recorded = event(&format!("a{n}"), act, "x");
        recorded["token_id"] = id.clone().into();
        server.record(&server.admin, &[recorded]);
        let life = server.get(&format!("/v1/tokens/{id}"), &key).json();
        let state = &life["known"]["state"];
        for command in ["trace", "lineage", "blast-radius"] {
            let (exit, by_id) = ask(&server, &key, &[command, &id], "");
            let (pasted, answer) = ask(&server, &key, &[command, "-"], &token);
            assert_eq!((exit, pasted), (Some(0), Some(0)), "{act} {command}: {answer}");
            assert_eq!(by_id["token_id"], answer["token_id"], "{act} {command}");
            assert_eq!(by_id["known"]["state"], answer["known"]["state"], "{act} {command}");
        }
        let (exit, answer) = ask(&server, &key, &["introspect", "-"], &token);
        assert_eq!((exit, &answer["active"]), (Some(0), &json!(false)), "{act}: {answer}");
        assert_eq!((&answer["state"], &answer["birth"]), (state, &json!("UNKNOWN")), "{act}");
        let (exit, answer) = ask(&server, &key, &["query", "triage", "-"], &token);
        let row = &answer["tokens"][0];
        assert_eq!((exit, &row["status"]), (Some(0), &json!("known")), "{act}: {answer}");
        assert_eq!((&row["state"], &row["token_id"]), (state, &json!(id)), "{act}: {answer}");
        let (exit, answer) = ask(&server, &key, &["revoke", "--dry-run", "-"], &token);
        assert_eq!((exit, &answer["family"]), (Some(0), &json!(1)), "{act}: {answer}");
        let shown = stdout(&server.run_with(&key, &["trace", "-"], token.as_bytes()));
        assert!(shown.contains("never issued here"), "{shown}");
        // Whoever only introspects learns no more than before: it is not active.
        let form = format!("token={token}");
        let body = Some(("application/x-www-form-urlencoded", form.as_bytes()));
        let told = server.call("POST", "/oauth2/introspect", Some(&gateway), body);
        assert_eq!(told.json()["active"], false, "{act}");
    }
}

#[test]
fn a_use_under_another_region_speaks_for_no_token_and_a_revocation_ends_it() {
    let server = Server::start();
    let gateway = server.key("", "gw", &["resource_server"]);
    let token = "issued-in-One-region-0123456789";
    let id = id_of(&server, token);
    let elsewhere = id.replacen("eu:", "us:", 1);
    let act = |n: &str, kind: &str, id: &str| {
        let mut one = event(n, kind, "x");
        one["token_id"] = id.into();
        one
    };
    let active = || {
        let form = format!("token={token}");
        let body = Some(("application/x-www-form-urlencoded", form.as_bytes()));
        server.call("POST", "/oauth2/introspect", Some(&gateway), body).json()["active"].clone()
    };
    server.record(&server.admin, &[act("u", "USED", &elsewhere), act("i", "ISSUED", &id)]);
    assert_eq!(active(), true, "a mere use elsewhere says nothing");
    server.record(&server.admin, &[act("r", "REVOKED", &elsewhere)]);
    assert_eq!(active(), false, "somebody revoked what is presented");
}

#[test]
fn a_closed_standard_output_turned_unknown_into_done() {
    let server = Server::start();
    let key = server.key("", "desk", &["responder"]);
    let file = server.write("desk.key", &key);
    for round in 0..8 {
        for output in ["table", "json"] {
            let args = ["trace", "--key-file", file.to_str().expect("a path"), "-o", output];
            let mut child = Command::new(BINARY)
                .args(args)
                .arg("eu:idp:jti:nobody")
                .env("LEDGERLINE_URL", &server.url)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("a command");
            drop(child.stdout.take());
            let ended = child.wait().expect("an end");
            assert_eq!(ended.code(), Some(4), "round {round} {output}");
        }
    }
}

#[test]
fn a_forged_jwt_looked_as_good_as_its_token() {
    let server = Server::start();
    let key = server.key("", "desk", &["responder"]);
    let id = id_of(&server, FORGED);
    let mut issued = event("i", "ISSUED", "x");
    issued["token_id"] = id.into();
    server.record(&server.admin, &[issued]);
    let (exit, answer) = ask(&server, &key, &["introspect", "-"], FORGED);
    assert_eq!((exit, &answer["signature"]), (Some(0), &json!("not_verified")), "{answer}");
    let (_, answer) = ask(&server, &key, &["query", "triage", "-"], FORGED);
    assert_eq!(answer["tokens"][0]["signature"], "not_verified", "{answer}");
    for args in [&["introspect", "-"][..], &["query", "triage", "-"]] {
        let shown = stdout(&server.run_with(&key, args, FORGED.as_bytes()));
        assert!(shown.contains("not_verified"), "{args:?}: {shown}");
    }
    server.wait_for_block();
    let bundle = server.path("forged.json");
    let bundle = bundle.to_str().expect("a path");
    let reader = server.key("", "auditor", &["reader", "auditor"]);
    let output = server.run_with(&reader, &["prove", "--out", bundle, "-"], FORGED.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let status = server.get("/v1/status", &server.admin).json();
    let log_key = status["log_key"].as_str().expect("a key");
    let args = ["check", bundle, "--key", log_key, "--expect-token", "-"];
    let output = server.run_with("", &args, FORGED.as_bytes());
    let shown = stdout(&output) + &stderr(&output);
    assert!(shown.contains("SIGNATURE WAS NOT VERIFIED"), "{shown}");
}
