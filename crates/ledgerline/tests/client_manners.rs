//! What the commands say when something is in the way: at once, in words, with an exit code.

mod running;

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use running::{Server, run, stderr, stdout};

/// A port that nobody listens on.
fn dead_url() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

#[test]
fn a_server_that_is_down_was_25_seconds_of_silence() {
    let begun = Instant::now();
    let output = run(&["status", "--url", &dead_url()], &[], b"");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert_eq!(text.matches("trying again").count(), 1, "{text}");
    assert!(text.contains("cannot reach") && text.contains("nothing listens there"), "{text}");
}

#[test]
fn a_url_of_the_wrong_scheme_is_said_in_words_and_not_tried_again() {
    let server = Server::start();
    let begun = Instant::now();
    let https = server.url.replace("http://", "https://");
    let output = run(&["status", "--url", &https], &[], b"");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("does not speak TLS") && text.contains("http://"), "{text}");
    assert!(!text.contains("trying again"), "{text}");
}

#[test]
fn what_is_missing_is_named() {
    let server = Server::start();
    let url = [("LEDGERLINE_URL", server.url.as_str())];
    for args in [&["trace", "eu:idp:jti:a"][..], &["introspect", "-"], &["keys", "list"]] {
        let output = run(args, &url, b"some-token-that-is-long-enough-1");
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("--key-file") && text.contains("LEDGERLINE_KEY"), "{text}");
    }
}

#[test]
fn a_key_file_that_others_may_read_draws_a_warning() {
    let server = Server::start();
    let path = server.write("loose.key", &server.admin);
    let name = path.to_str().expect("text");
    let url = [("LEDGERLINE_URL", server.url.as_str())];
    for (mode, warned) in [(0o644, true), (0o640, true), (0o666, true), (0o600, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        let output = run(&["status", "--wait", "30", "--key-file", name], &url, b"");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stderr(&output).contains("chmod 600"), warned, "{mode:o}: {}", stderr(&output));
        assert!(!stderr(&output).contains(&server.admin));
    }
}

#[test]
fn mistakes_of_the_command_line_are_64_and_not_found_is_not_network_down() {
    let server = Server::start();
    let check = |args: &[&str], code: i32, part: &str| {
        let output = server.run(&server.admin, args);
        let text = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    };
    check(&["findings", "--severity", "grave"], 64, "critical");
    check(&["findings", "--state", "gone"], 64, "acknowledged");
    check(&["keys", "add", "--role", "boss"], 64, "resource_server");
    check(&["query", "accessed", "/x", "--from", "someday"], 64, "from");
    check(&["keys", "add", "--role", "reader", "--expires-at", "someday"], 64, "expires_at");
    check(&["trace", "--timeout-ms", "0", "eu:idp:jti:a"], 64, "timeout_ms");
    check(&["trace", "eu:idp:jti:nobody"], 4, "UNKNOWN");
    check(&["findings", "close", &"0".repeat(64), "--note", "x"], 1, "not found");
    check(&["prove", "idp/01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11"], 1, "no such event");
    let answer = server.post(
        "/v1/keys",
        &server.admin,
        &serde_json::json!({ "tenant": "", "roles": ["boss"] }),
    );
    assert!(answer.text().contains("producer, reader, auditor"), "{}", answer.text());
}

#[test]
fn a_server_on_every_address_without_tls_says_so() {
    let server = Server::start();
    assert!(!server.read("server.log").contains("no_tls"));
    let folder = tempfile::tempdir().expect("a folder");
    let log = std::fs::File::create(folder.path().join("log")).expect("a log");
    let mut child = std::process::Command::new(running::BINARY)
        .args(["serve", "--listen", "0.0.0.0:0", "--free-space-floor-bytes", "1", "--data"])
        .arg(folder.path().join("data"))
        .stdout(std::process::Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the binary starts");
    let mut line = [0; 20];
    let mut out = child.stdout.take().expect("piped");
    let listens = std::io::Read::read(&mut out, &mut line).is_ok_and(|bytes| bytes > 0);
    let _ = child.kill();
    let _ = child.wait();
    let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
    assert!(listens && log.contains("no_tls"), "{log}");
}
