//! A real Keycloak, with our adapter on its user and admin events: what a client saw of its tokens
//! is what the ledger says of them, and no bearer value is written anywhere.
//!
//! Keycloak is 180 MB and takes up to a minute to start on a small machine, so `cargo test` leaves
//! it out and `cargo xtask ci` has it as a step of its own: `cargo test -p ledgerline --test
//! live_keycloak -- --ignored`. Where it cannot be installed the test says so and is skipped; with
//! `CI=true` it fails.

mod installed;
mod live;
mod running;

use std::fs::File;
use std::process::{Command, Stdio};

use ledgerline_proof::token_id::from_jti;
use ledgerline_servers::{JAVA_OPTS, port};
use live::hunted::Hunt;
use live::{ALIAS, Book, Ledger, Process, REGION, beside, node, register};
use running::{Server, stderr, stdout};
use serde_json::{Value, json};

const ADMIN: &str = "admin";
const PASSWORD: &str = "password-of-the-administrator-7Yq";

/// Every token of Keycloak is a JWT and named by its jti.
fn id(token: &Value) -> String {
    from_jti(REGION, ALIAS, token["jti"].as_str().expect("a jti")).expect("a token id")
}

/// A running Keycloak, without a realm of ours, and its URL.
fn keycloak(folder: &std::path::Path, log: File) -> (Process, String) {
    let (port, management) = (port::free().expect("a port"), port::free().expect("a port"));
    let url = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(folder.join("keycloak-26.7.3/bin/kc.sh"));
    command
        .args(["start", "--optimized", "--http-enabled=true", "--http-host=127.0.0.1"])
        .args([&format!("--http-port={port}"), &format!("--hostname={url}")])
        .arg(format!("--http-management-port={management}"))
        .args(["--cache=local", "--log-level=INFO,org.keycloak.events:debug"])
        .env("JAVA_OPTS", JAVA_OPTS)
        .envs([("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN), ("KC_BOOTSTRAP_ADMIN_PASSWORD", PASSWORD)])
        .stdin(Stdio::null())
        .stderr(log.try_clone().expect("a file"))
        .stdout(log);
    let mut process = Process(command.spawn().expect("Keycloak starts"));
    let ready = format!("http://127.0.0.1:{management}/health/ready");
    let agent = ureq::Agent::config_builder().proxy(None).build().new_agent();
    port::wait_until_ready(&mut process.0, || agent.get(&ready).call().is_ok())
        .expect("Keycloak is ready");
    (process, url)
}

/// The tokens without what no event of Keycloak tells: when they end, except for an access token
/// that came of a refresh.
fn told(tokens: &Value) -> Value {
    let mut tokens = tokens.clone();
    for token in tokens.as_array_mut().expect("tokens") {
        if token["parents"][0][1] != "REFRESHED_FROM" {
            token["exp"] = Value::Null;
        }
    }
    tokens
}

/// User and admin events as one log: a JSON object a line, in the order of their times.
fn lines(seen: &Value) -> String {
    let of = |name: &str| seen[name].as_array().expect("events").clone();
    let mut events = [of("user_events"), of("admin_events")].concat();
    events.sort_by_key(|event| event["time"].as_i64().expect("milliseconds"));
    events.iter().map(|event| format!("{event}\n")).collect()
}

#[test]
#[ignore = "180 MB and a minute or two: a step of cargo xtask ci"]
fn what_a_client_saw_of_a_live_keycloak_is_what_the_ledger_says() {
    let Some(folder) = installed::server("keycloak") else { return };
    let Some(library) = installed::node("openid-client", "") else { return };
    let log = tempfile::tempdir().expect("a folder");
    let file = File::create(log.path().join("keycloak.log")).expect("a file");
    let (mut keycloak, url) = keycloak(&folder, file);
    let issuer = format!("{url}/realms/alpha");
    let keys = format!("{issuer}/protocol/openid-connect/certs");

    let client = beside(&library, &["keycloak_driver.mjs", "keycloak_realm.mjs"]);
    let asked = json!({ "url": url, "admin": ADMIN, "password": PASSWORD });
    let seen = installed::drive(&mut node(&client, "keycloak_driver.mjs"), &asked);
    assert_eq!(seen["told"].as_array().map(Vec::len), Some(3), "{}", seen["told"]);
    assert_eq!(seen["sets"].as_array().map(Vec::len), Some(2), "what was polled: {}", seen["sets"]);

    let (_kept, config) = register(&issuer, &keys);
    let server = Server::start_with(&[
        "--config",
        config.to_str().expect("UTF-8"),
        "--findings-interval-ms",
        "20",
    ]);
    let producer = server.key("", "idp-log", &["producer"]);
    let args = ["ingest", "-o", "json", "--adapter", "keycloak"];
    let args = [&args[..], &["--region", REGION, "--issuer", ALIAS, "-"]].concat();
    let output = server.run_with(&producer, &args, lines(&seen).as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    server.write("ingest.out", &output.stdout);
    server.write("ingest.err", &output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["refused"], &report["duplicate"]), (&json!(0), &json!(0)), "{report}");

    let mut ledger = Ledger::new(server);
    let book = Book::new(&told(&seen["tokens"]), id);
    ledger.wait_for_finding("refresh_reuse", book.id("bob.refresh"));
    book.check(&ledger);
    keycloak.stop();

    ledger.write_down_answers();
    ledger.server.stop();
    let secrets: Vec<String> = serde_json::from_value(seen["secrets"].clone()).expect("texts");
    assert!(secrets.len() > 50, "{} bearer values", secrets.len());
    Hunt::new(&secrets).nowhere(&[ledger.server.folder.path()]);
}
