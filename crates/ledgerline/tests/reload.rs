//! SIGHUP reads the certificate, the issuers and the log level anew, or nothing at all.

mod running;

use std::process::Command;
use std::time::{Duration, Instant};

use running::{Server, event};
use serde_json::json;

fn hang_up(server: &Server) {
    send(server, "-HUP");
}

fn send(server: &Server, signal: &str) {
    let id = server.process().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
}

/// Waits until the log has so many lines with the code.
fn log_has(server: &Server, code: &str, count: usize) {
    let begun = Instant::now();
    while server.read("server.log").matches(&format!("code=\"{code}\"")).count() < count {
        let log = server.read("server.log");
        assert!(begun.elapsed() < Duration::from_secs(20), "{count} {code} not in\n{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_hangup_read_nothing_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("ledgerline.toml");
    let write = |text: &str| std::fs::write(&config, text).expect("the configuration");
    write("");
    let flag = config.to_str().expect("text").to_owned();
    let mut server = Server::start_with(&["--config", &flag]);
    let reader = server.key("", "gate", &["reader"]);
    let names = || {
        let body = server.get("/v1/issuers", &reader).json();
        let all = body["issuers"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| one["alias"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(), Vec::<serde_json::Value>::new());

    let idp =
        "[issuers.idp]\niss = \"https://idp.test\"\nregion = \"eu\"\njti_rule = \"identity\"\n";
    write(&format!("block_interval_ms = 500\n{idp}"));
    hang_up(&server);
    log_has(&server, "reloaded", 1);
    assert_eq!(names(), [json!("idp")]);
    // What cannot change while it runs is named.
    log_has(&server, "needs_restart", 1);
    assert!(server.read("server.log").contains("block_interval_ms"));

    // A mistake anywhere changes nothing.
    for mistake in ["no_such_setting = 1\n", "region = 1\n", "tls_cert = \"gone.pem\"\n"] {
        write(&format!("{mistake}{}", idp.replace("idp", "other")));
        let before = server.read("server.log").matches("reload_failed").count();
        hang_up(&server);
        log_has(&server, "reload_failed", before + 1);
        assert_eq!(names(), [json!("idp")], "{mistake}");
    }
    // And it goes on taking events.
    let producer = server.key("", "idp", &["producer"]);
    server.record(&producer, &[event("n", "ISSUED", "a")]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_renewed_certificate_needed_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let place = |name: &str| {
        for part in ["cert", "key"] {
            let from = fixtures.join(format!("{name}-{part}.pem"));
            std::fs::copy(from, folder.path().join(format!("{part}.pem"))).expect("a fixture");
        }
    };
    place("localhost");
    let [cert, private] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let [cert, private] = [&cert, &private].map(|path| path.to_str().expect("text"));
    let server = Server::start_with(&["--tls-cert", cert, "--tls-key", private]);
    let url = server.url.replace("127.0.0.1", "localhost");
    let trusts = |name: &str| {
        let ca = fixtures.join(format!("{name}-cert.pem"));
        let status = Command::new(running::BINARY)
            .args(["status", "--retries", "0", "--url", &url, "--ca-file"])
            .arg(ca)
            .env("LEDGERLINE_KEY", &server.admin)
            .output();
        status.expect("the binary runs").status.code() != Some(1)
    };
    assert!(trusts("localhost") && !trusts("renewed"));
    place("renewed");
    assert!(!trusts("renewed"), "nobody was told");
    hang_up(&server);
    log_has(&server, "reloaded", 1);
    assert!(trusts("renewed") && !trusts("localhost"));
    // Half of a renewal: the key does not fit.
    std::fs::copy(fixtures.join("localhost-cert.pem"), cert).expect("a fixture");
    hang_up(&server);
    log_has(&server, "reload_failed", 1);
    assert!(trusts("renewed"));
}

#[test]
fn a_signal_that_means_nothing_killed_the_server() {
    let mut server = Server::start();
    let key = server.admin.clone();
    for (n, signal) in ["-USR1", "-USR2"].into_iter().enumerate() {
        send(&server, signal);
        log_has(&server, "signal_ignored", n + 1);
    }
    server.record(&key, &[event("n", "ISSUED", "a")]);
    assert_eq!(server.stop(), Some(0));
}
