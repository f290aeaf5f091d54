//! A real node-oidc-provider, with our adapter on its event log while it runs: what a client saw of
//! its tokens is what the ledger says of them, and no bearer value is written anywhere.
//!
//! The provider and the client library are installed where they are missing (`cargo xtask
//! servers`). Where that cannot be done the test says so and is skipped; with `CI=true` it fails.

mod installed;
mod live;
mod running;

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use ledgerline_proof::token_id::{from_jti, from_presented};
use ledgerline_servers::port;
use live::hunted::{self, Hunt};
use live::{ALIAS, Book, Ledger, Process, REGION, beside, node, register};
use running::{BINARY, Server, wait};
use serde_json::{Value, json};

/// The provider's JWTs are named by jti, everything else by its value.
fn id(token: &Value) -> String {
    let value = |name: &str| token[name].as_str().expect("text");
    let id = if token["form"] == "jwt" {
        from_jti(REGION, ALIAS, value("jti"))
    } else {
        from_presented(REGION, ALIAS, value("value").as_bytes())
    };
    id.expect("a token id")
}

#[test]
fn what_is_hunted_is_found_in_every_form() {
    hunted::check_itself();
}

#[test]
fn what_a_client_saw_of_a_live_provider_is_what_the_ledger_says() {
    let Some(provider) = installed::server("oidc-provider") else { return };
    let Some(library) = installed::node("openid-client", "") else { return };
    let place = beside(&provider, &["oidc_provider.mjs", "oidc_provider_log.mjs"]);
    let port = port::free().expect("a port");
    let issuer = format!("http://127.0.0.1:{port}");
    let (_kept, config) = register(&issuer, &format!("{issuer}/jwks"));
    let server = Server::start_with(&[
        "--config",
        config.to_str().expect("UTF-8"),
        "--findings-interval-ms",
        "20",
    ]);
    let producer = server.key("", "idp-log", &["producer"]);
    let ledger = Ledger::new(server);

    let said = File::create(ledger.server.path("provider.err")).expect("a file");
    let started = node(&place, "oidc_provider.mjs")
        .args([&issuer, &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(said)
        .spawn();
    let mut provider = Process(started.expect("Node.js starts"));
    let log = provider.0.stdout.take().expect("piped");
    let file = |name: &str| File::create(ledger.server.path(name)).expect("a file");
    let ingest = Command::new(BINARY)
        .args(["ingest", "-o", "json", "--adapter", "oidc-provider"])
        .args(["--region", REGION, "--issuer", ALIAS, "-"])
        .envs([("LEDGERLINE_URL", &ledger.server.url), ("LEDGERLINE_KEY", &producer)])
        .stdin(log)
        .stdout(file("ingest.out"))
        .stderr(file("ingest.err"))
        .spawn();
    let mut ingest = Process(ingest.expect("the binary starts"));
    port::wait_until_ready(&mut provider.0, || port::is_open(port)).expect("the provider is ready");

    let client = beside(&library, &["oidc_driver.mjs"]);
    let seen =
        installed::drive(&mut node(&client, "oidc_driver.mjs"), &json!({ "issuer": issuer }));
    let refusals: Vec<_> =
        seen["told"].as_array().expect("refusals").iter().map(|one| &one["error"]).collect();
    assert_eq!(refusals, [&json!("invalid_grant"); 4], "{}", seen["told"]);
    for token in seen["tokens"].as_array().expect("tokens") {
        let said = &token["introspected"];
        assert!(said.is_null() || *said == token["alive"], "its own issuer says so: {token}");
    }
    let book = Book::new(&seen["tokens"], id);
    // While the provider runs: what happened is in the ledger without anybody ending anything.
    ledger.wait_for(book.id("exchanged.2"));
    ledger.wait_for_finding("refresh_reuse", book.id("bob.refresh"));
    ledger.wait_for_finding("code_reuse", book.id("erin.code"));
    book.check(&ledger);
    assert!(ingest.0.try_wait().expect("a child").is_none(), "it reads on");

    provider.stop();
    let status = wait(&mut ingest.0, Duration::from_secs(60));
    let report = ledger.server.read("ingest.out");
    assert_eq!(status.code(), Some(0), "{report}\n{}", ledger.server.read("ingest.err"));
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((&report["refused"], &report["duplicate"]), (&json!(0), &json!(0)), "{report}");
    book.check(&ledger);

    let mut ledger = ledger;
    ledger.write_down_answers();
    ledger.server.stop();
    let secrets: Vec<String> = serde_json::from_value(seen["secrets"].clone()).expect("texts");
    assert!(secrets.len() > 80, "{} bearer values", secrets.len());
    let hunt = Hunt::new(&secrets);
    hunt.nowhere(&[ledger.server.folder.path()]);
}
