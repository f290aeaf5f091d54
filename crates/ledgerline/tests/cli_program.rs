//! The command line of the real binary: exit codes, what is shown, and what is refused.

mod running;

use std::process::Command;

use running::{BINARY, Server, event, run, stderr, stdout};
use serde_json::{Value, json};

const RAW_TOKEN: &str = "gho_16C7e42F292c6912E7710c838347Ae178B4a";

#[test]
fn a_wrong_command_line_exits_64_and_help_exits_0() {
    let check = |args: &[&str], code: i32| {
        let output = run(args, &[], b"");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
    };
    check(&["--help"], 0);
    check(&["--version"], 0);
    check(&["trace", "--help"], 0);
    check(&[], 64);
    check(&["nonsense"], 64);
    check(&["trace"], 64);
    check(&["trace", "--nonsense", "eu:idp:jti:a"], 64);
    check(&["trace", "no-id"], 64);
    check(&["serve"], 64);
    check(&["serve", "--data", "x", "--tls-cert", "only"], 64);
    check(&["status", "--url", "ftp://example.com"], 64);
    check(&["--config", "/nonexistent/file", "status"], 64);
    check(&["trace", "--url", "http://127.0.0.1:1", "--retries", "0", "eu:idp:jti:a"], 1);
}

#[test]
fn a_raw_token_as_an_argument_is_refused_and_not_repeated() {
    for command in ["trace", "prove", "token-id"] {
        let output = run(&[command, RAW_TOKEN], &[], b"");
        assert_eq!(output.status.code(), Some(64), "{command}");
        let text = stderr(&output);
        assert!(text.contains("it is in your shell history now; use `-`"), "{command}: {text}");
        assert!(!text.contains(RAW_TOKEN), "{command}: {text}");
    }
}

#[test]
fn token_ids_are_computed_here() {
    let check = |args: &[&str], input: &str, expected: &str| {
        let output = run(args, &[], input.as_bytes());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stdout(&output).trim(), expected);
    };
    let digest = ledgerline_proof::token_id::t1_value(RAW_TOKEN.as_bytes()).expect("strong");
    let line = format!("{RAW_TOKEN}\n");
    check(&["token-id", "--region", "eu", "--issuer", "gh"], &line, &format!("eu:gh:t1:{digest}"));
    check(&["token-id", "--jti", "-"], "4f0c", "global:idp:jti:4f0c");
    let weak = run(&["token-id"], &[], b"short");
    assert_eq!(weak.status.code(), Some(1));
    assert!(stderr(&weak).contains("weak_token"));
}

#[test]
fn settings_come_from_flag_environment_and_file_in_this_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("l.toml");
    std::fs::write(&file, "url = \"http://127.0.0.1:1\"\nretries = 0\n").expect("written");
    let config = file.to_str().expect("text");
    let check = |args: &[&str], environment: &[(&str, &str)], port: &str| {
        let args: Vec<_> = ["--config", config, "status"].iter().chain(args).copied().collect();
        let output = run(&args, environment, b"");
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(text.contains(&format!("http://127.0.0.1:{port}:")), "{port}: {text}");
    };
    check(&[], &[], "1");
    check(&[], &[("LEDGERLINE_URL", "http://127.0.0.1:2")], "2");
    check(&["--url", "http://127.0.0.1:3"], &[("LEDGERLINE_URL", "http://127.0.0.1:2")], "3");
    std::fs::write(&file, "ulr = \"http://127.0.0.1:1\"\n").expect("written");
    let output = run(&["--config", config, "status"], &[], b"");
    assert_eq!(output.status.code(), Some(64));
    assert!(stderr(&output).contains("unknown setting `ulr`"));
}

#[test]
fn the_demo_shows_a_life_and_verifies_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("demo");
    let output = run(&["demo", "--once", "--data", data.to_str().expect("text")], &[], b"");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    for part in ["ISSUED", "RESOURCE_ACCESSED", "REVOKED", "verify: verified", "server has stopped"]
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(!text.contains("--url"), "no server that is gone is named:\n{text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(data.join("admin.key")).expect("a key").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let again = run(&["demo", "--once", "-o", "json", "--data", data.to_str().unwrap()], &[], b"");
    assert_eq!(again.status.code(), Some(0), "a second run goes on: {}", stderr(&again));
    let shown: Value = serde_json::from_str(&stdout(&again)).expect("JSON");
    assert_eq!(shown["verify"]["verdict"], "verified");
}

#[test]
fn a_file_is_ingested_once_and_its_bad_lines_are_named() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader"]);
    let part = |n: u8| {
        let mut event = event(&format!("act-{n}"), "USED", "a");
        event["act"] = json!({ "id": "act", "part": n, "parts": 2 });
        event["native_id"] = "act".into();
        event
    };
    let bad = format!("{{\"type\":\"USED\",\"{RAW_TOKEN}\":1}}");
    let lines = [
        event("n1", "ISSUED", "a").to_string(),
        part(0).to_string(),
        bad,
        event("n2", "USED", "a").to_string(),
        part(1).to_string(),
    ];
    let file = server.write("events.ndjson", lines.join("\n"));
    let file = file.to_str().expect("text");
    let ingest = |recorded: u64, duplicate: u64| {
        let output = server.run(&key, &["ingest", "-o", "json", file]);
        assert_eq!(output.status.code(), Some(1), "a line was refused: {}", stderr(&output));
        let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!(report["recorded"], recorded, "{report}");
        assert_eq!(report["duplicate"], duplicate, "{report}");
        assert_eq!(report["refused"], 1, "{report}");
        assert_eq!(report["first_refusals"][0]["line"], 3, "{report}");
        assert!(!stdout(&output).contains(RAW_TOKEN));
    };
    ingest(4, 0);
    ingest(0, 4);
    let array = format!("[\n{},\n{}\n]", event("n3", "USED", "a"), event("n4", "USED", "a"));
    let output = server.run_with(&key, &["ingest", "-"], array.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("recorded   2"), "{}", stdout(&output));
    let trace = stdout(&server.run(&key, &["trace", "eu:idp:jti:a"]));
    assert!(trace.contains("events    6 "), "{trace}");
}

#[test]
fn a_stranger_verifies_a_server_and_an_auditor_all_of_it() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let auditor = server.key("*", "audit", &["auditor"]);
    let reader = server.key("", "read", &["reader"]);
    let events: Vec<_> =
        (0..600).map(|n| event(&format!("n{n}"), "USED", &format!("t{}", n % 7))).collect();
    server.record(&key, &events);
    server.wait_for_block();
    let log_key = server.get("/v1/status", &reader).json()["log_key"].clone();
    let log_key = log_key.as_str().expect("a key");
    let checkpoint = server.call("GET", "/checkpoint", None, None).body;
    let since = server.write("since", &checkpoint);
    let since = since.to_str().expect("text");
    server.record(&key, &[event("later", "USED", "t1")]);
    server.wait_for_block();
    let check = |key: &str, args: &[&str], code: i32, part: &str| {
        let args: Vec<_> = ["verify"].iter().chain(args).copied().collect();
        let output = server.run(key, &args);
        let text = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    };
    check(&auditor, &["--log-key", log_key, "--since", since], 0, "verdict");
    check(&reader, &["--log-key", log_key], 3, "incomplete");
    check(&reader, &["--log-key", log_key, "--tree-only"], 0, "verified");
    let text = String::from_utf8(checkpoint).expect("text");
    check(&auditor, &["--log-key", log_key, "--since", since], 0, "same log: consistent");
    check(&auditor, &[], 3, "consistent, not authenticated");
    check(&auditor, &["--since", since], 3, "consistent, not authenticated");
    for (name, bytes) in [
        ("crlf", text.replace('\n', "\r\n")),
        ("cut", text.trim_end().to_owned()),
        ("empty", String::new()),
    ] {
        let file = server.write(name, bytes);
        let file = file.to_str().expect("text");
        check(&auditor, &["--log-key", log_key, "--since", file], 1, "could not be read");
    }
    let forged = text.replacen(|c: char| c.is_ascii_digit(), "9", 1);
    let forged = server.write("forged", forged);
    let forged = forged.to_str().expect("text");
    check(&auditor, &["--log-key", log_key, "--since", forged], 2, "not_verified");
    let other = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    check(&auditor, &["--log-key", other], 2, "not_verified");
}

#[test]
fn the_exported_folder_is_what_the_server_serves() {
    let mut server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let auditor = server.key("*", "audit", &["auditor"]);
    let events: Vec<_> = (0..300).map(|n| event(&format!("n{n}"), "USED", "a")).collect();
    server.record(&key, &events);
    server.wait_for_block();
    let out = server.path("out");
    let output = server.run(&auditor, &["export-tiles", out.to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut count = 0;
    let mut folders = vec![out.clone()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).expect("a folder") {
            let path = item.expect("an item").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&out).expect("inside").to_str().expect("text").to_owned();
            if name == "checkpoint" {
                continue;
            }
            let live = server.get(&format!("/{name}"), &auditor);
            assert_eq!(live.status, 200, "{name}");
            assert_eq!(live.body, std::fs::read(&path).expect("a file"), "{name}");
            count += 1;
        }
    }
    assert!(count >= 5, "two hash tiles and a root tile, two bundles: {count}");
    assert_eq!(server.stop(), Some(0));
    let offline = server.path("offline");
    let data = server.path("data");
    let args = ["export-tiles", "--data", data.to_str().unwrap(), offline.to_str().unwrap()];
    let output = run(&args, &[], b"");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let tile = "tile/0/000";
    assert_eq!(
        std::fs::read(out.join(tile)).expect("a tile"),
        std::fs::read(offline.join(tile)).expect("a tile"),
    );
    // Another log's export is evidence too.
    let kept = std::fs::read_to_string(offline.join("checkpoint")).expect("a checkpoint");
    std::fs::write(offline.join("checkpoint"), kept.replacen("ledgerline", "elsewhere", 1))
        .expect("written");
    let refused = run(&args, &[], b"");
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("it is not replaced"), "{}", stderr(&refused));
}

#[test]
fn keys_are_added_listed_rotated_and_retired() {
    let server = Server::start();
    let admin = server.admin.clone();
    let out = server.path("p.key");
    let out = out.to_str().expect("text");
    let run = |args: &[&str]| {
        let args: Vec<_> = ["keys"].iter().chain(args).copied().collect();
        server.run(&admin, &args)
    };
    let add = ["add", "--key-id", "p1", "--source", "idp", "--role", "producer", "--out", out];
    let added = run(&add);
    assert_eq!(added.status.code(), Some(0), "{}", stderr(&added));
    let secret = server.read("p.key");
    assert!(!stdout(&added).contains(&secret), "the secret is in the file only");
    server.record(&secret, &[event("n1", "USED", "a")]);
    assert_eq!(run(&add).status.code(), Some(1), "an existing file is not overwritten");
    let listed = stdout(&run(&["list"]));
    assert!(listed.contains("p1") && listed.contains("producer"), "{listed}");
    let new = server.path("p2.key");
    let rotated = run(&["rotate", "p1", "--out", new.to_str().expect("text")]);
    assert_eq!(rotated.status.code(), Some(0), "{}", stderr(&rotated));
    server.record(&server.read("p2.key"), &[event("n2", "USED", "a")]);
    let old = server.post("/v1/events", &secret, &event("n3", "USED", "a"));
    assert_eq!(old.status, 401, "{}", old.text());
    assert_eq!(run(&["retire", "none"]).status.code(), Some(1));
}

#[test]
fn a_second_process_is_kept_out_of_the_folder() {
    let server = Server::start();
    let data = server.path("data");
    let args = ["serve", "--data", data.to_str().expect("text"), "--listen", "127.0.0.1:0"];
    let output = run(&args, &[], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("in use by another process"), "{}", stderr(&output));
}

#[test]
fn the_server_speaks_tls_and_the_client_demands_its_certificate() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let cert = format!("{fixtures}/localhost-cert.pem");
    let private = format!("{fixtures}/localhost-key.pem");
    let server = Server::start_with(&["--tls-cert", &cert, "--tls-key", &private]);
    let url = server.url.replace("127.0.0.1", "localhost");
    assert!(url.starts_with("https://"), "{url}");
    let check = |args: &[&str], code: i32| {
        let first: Vec<_> = ["status", "--wait", "30", "--retries", "0", "--url", &url].into();
        let args: Vec<_> = first.into_iter().chain(args.iter().copied()).collect();
        let output = run(&args, &[("LEDGERLINE_KEY", &server.admin)], b"");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        stderr(&output)
    };
    check(&["--ca-file", &cert], 0);
    let said = check(&[], 1);
    assert!(said.contains("certificate") && said.contains("--ca-file"), "{said}");
    let begun = std::time::Instant::now();
    let args = ["status", "--url", &url];
    let said = stderr(&run(&args, &[("LEDGERLINE_KEY", &server.admin)], b""));
    assert!(begun.elapsed().as_secs() < 3 && !said.contains("trying again"), "{said}");
    let plain = url.replace("https://", "http://");
    let said = stderr(&run(&["status", "--url", &plain], &[], b""));
    assert!(said.contains("https://"), "{said}");
}

#[test]
fn tail_shows_the_last_leaves_and_completions_name_the_commands() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    server.record(&key, &[event("n1", "ISSUED", "a"), event("n2", "USED", "a")]);
    let output = server.run(&server.admin, &["tail", "-n", "5", "--once"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("USED"), "{}", stdout(&output));
    let denied = server.run(&key, &["tail", "--once"]);
    assert_eq!(denied.status.code(), Some(1));
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(BINARY).args(["completions", shell]).output().expect("runs");
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("export-tiles"), "{shell}");
    }
}

#[test]
fn what_is_proven_here_is_checked_without_the_server() {
    let mut server = Server::start();
    let key = server.key("", "idp", &["producer", "reader"]);
    let mut issued = event("n1", "ISSUED", "a");
    issued["personal"] = json!([{ "role": "SUBJECT", "user_id": "alice-of-the-test" }]);
    let mut revoked = event("n3", "REVOKED", "a");
    revoked["occurred_at"] = "2026-01-02T03:30:00Z".into();
    let verdicts = server.record(&key, &[issued, event("n2", "USED", "a")]);
    server.wait_for_block();
    server.record(&key, &[revoked]);
    server.wait_for_block();
    let log_key = server.get("/v1/status", &key).json()["log_key"].clone();
    let log_key = log_key.as_str().expect("a key").to_owned();
    let prove = |subject: &str, name: &str| {
        let out = server.path(name);
        let out = out.to_str().expect("text").to_owned();
        let output = server.run(&key, &["prove", subject, "--out", &out]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        out
    };
    let token = prove("eu:idp:jti:a", "token.json");
    let event_id = verdicts[1]["event_id"].as_str().expect("an id");
    let one = prove(&format!("idp/{event_id}"), "event.json");
    assert_eq!(server.stop(), Some(0));
    let check = |bundle: &str, key: &str, code: i32, part: &str| {
        let output = run(&["check", bundle, "--key", key], &[], b"");
        let text = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{bundle}: {text}");
        assert!(text.contains(part), "{bundle}: {text}");
    };
    check(&token, &log_key, 0, "REVOKED");
    check(&token, &log_key, 0, "a chain proves a prefix");
    check(&one, &log_key, 0, "PROVEN");
    let other = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    check(&token, other, 2, "FAILED");
    let mut forged: Value = serde_json::from_str(&server.read("token.json")).expect("JSON");
    let leaf = forged["leaves"][8]["leaf"].as_str().expect("a leaf").to_owned();
    let flipped =
        if leaf.contains('A') { leaf.replacen('A', "B", 1) } else { leaf.replacen('a', "b", 1) };
    forged["leaves"][8]["leaf"] = flipped.into();
    let forged = server.write("forged.json", forged.to_string());
    check(forged.to_str().expect("text"), &log_key, 2, "inclusion");
    let garbage = server.write("garbage.json", "{}");
    check(garbage.to_str().expect("text"), &log_key, 2, "");
    check(&token, "no-key", 64, "");
}

#[test]
fn a_folder_is_verified_without_its_server_and_a_flipped_byte_is_found() {
    let mut server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let mut events: Vec<_> = (0..40).map(|n| event(&format!("n{n}"), "USED", "a")).collect();
    events[7]["native_id"] = "needle-in-the-journal".into();
    server.record(&key, &events);
    let data = server.path("data");
    let check = |code: i32, part: &str| {
        let args = ["verify", "--data", data.to_str().expect("text")];
        let output = run(&args, &[], b"");
        let text = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(part), "{text}");
    };
    check(3, "a running server writes to this folder");
    assert_eq!(server.stop(), Some(0));
    check(0, "verified");
    std::fs::rename(server.path("data.head"), server.path("elsewhere")).expect("moved");
    check(3, "no head store is at hand");
    // A start on it says so loudly, and to whoever asks; the next start has a head store again.
    server.go();
    let status = server.run(&server.admin, &["status"]);
    assert!(stdout(&status).contains("MISSING when the server started"), "{}", stdout(&status));
    let status = server.get("/v1/status", &server.admin).json();
    assert_eq!(status["head_store"], "was_missing_at_start");
    assert!(server.read("server.log").contains("head_store_missing"));
    assert_eq!(server.stop(), Some(0));
    check(0, "verified");
    let segment = std::fs::read_dir(data.join("journal")).expect("a journal").next();
    let segment = segment.expect("a segment").expect("readable").path();
    let mut bytes = std::fs::read(&segment).expect("bytes");
    let needle = b"needle-in-the-journal";
    let at = bytes.windows(needle.len()).position(|window| window == needle).expect("the event");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    check(2, "eu:idp:jti:a");
    let args = ["verify", "--data", "/nonexistent"];
    assert_eq!(run(&args, &[], b"").status.code(), Some(1));
}

/// Questions and their proofs over two origins.
fn questions_of_both(server: &Server, key: &str, [old, new]: [&str; 2]) {
    let path = "/v1/tokens/eu:idp:jti:a/lineage?direction=family";
    let both = server.get(path, key).json();
    let token = &both["tokens"][0];
    assert_eq!((&token["events"], &both["origin"]), (&json!(3), &json!(new)), "{both}");
    assert_eq!(token["known"]["state"], "REVOKED");
    assert_eq!(token["births"][0]["origin"], old, "an entry of an older origin says so");
    let before = server.get(&format!("{path}&as_of=0"), key).json();
    assert_eq!((&before["tokens"][0]["events"], &before["origin"]), (&json!(2), &json!(old)));
    let pivot = server.get("/v1/tokens/eu:idp:jti:a/exposure", key).json();
    assert_eq!(pivot["places"][0]["events"], 1, "the use before the new origin counts");
    for (origin, events, other) in [(new, "1", old), (old, "2", new)] {
        let bundle = server.get(&format!("{path}&proof=true&origin={origin}"), key).json();
        assert_eq!(bundle["origin"], origin);
        assert_eq!(bundle["coverage"]["sources"][0]["events"], events, "{origin}");
        let notes = bundle["coverage"]["notes"].to_string();
        assert!(notes.contains(&format!("stand in origin {other}")), "{notes}");
    }
    // A size is one of the newest origin, also in the proof of what stands in the older one.
    let bundle = server.get(&format!("{path}&proof=true&as_of=0&origin={old}"), key);
    let old_bundle = server.write("old.json", &bundle.body);
    let status = server.get("/v1/status", key).json();
    let old_key = status["older_origins"][0]["log_key"].as_str().expect("a key").to_owned();
    let old_bundle = old_bundle.to_str().expect("text");
    let checked = run(&["check", old_bundle, "--key", &old_key], &[], b"");
    assert_eq!(checked.status.code(), Some(0), "{}", stdout(&checked));
    let file = server.path("question.json");
    let file = file.to_str().expect("text");
    let asked = server.run(key, &["lineage", "--proof", file, "--force", "eu:idp:jti:a"]);
    // What stands in the other origin may have changed its state: it once was PROVEN all the same.
    assert_eq!(asked.status.code(), Some(3), "{}", stderr(&asked));
    let vkey = server.get("/v1/status", key).json()["log_key"].as_str().expect("a key").to_owned();
    let checked = run(&["check", file, "--key", &vkey], &[], b"");
    let report = stdout(&checked);
    assert_eq!(checked.status.code(), Some(3), "{report}");
    assert!(report.contains("INCOMPLETE: 2 entries of the answer stand in origin"), "{report}");
    assert!(!report.contains("known "), "{report}");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let name = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &name);
        } else {
            std::fs::copy(entry.path(), name).expect("copied");
        }
    }
}

/// What an operator does who has nothing but an older copy: docs/how-to/operate.md, "Restore".
#[test]
fn an_older_copy_goes_on_under_a_new_origin() {
    const OLD: &str = "ledgerline.local/default";
    const NEW: &str = "ledger.example.com/second";
    let mut server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "auditor"]);
    server.record(&key, &[event("n1", "ISSUED", "a"), event("n2", "USED", "a")]);
    server.wait_for_block();
    assert_eq!(server.stop(), Some(0));
    copy_folder(&server.path("data"), &server.path("copy"));
    server.go();
    server.record(&key, &[event("n3", "REVOKED", "a")]);
    assert_eq!(server.stop(), Some(0));
    std::fs::rename(server.path("data"), server.path("lost")).expect("renamed");
    copy_folder(&server.path("copy"), &server.path("data"));

    let data = server.path("data");
    let serve = |more: &[&str]| {
        let data = data.to_str().expect("text");
        let args = ["serve", "--listen", "127.0.0.1:0", "--data", data];
        run(&[&args[..], more].concat(), &[], b"")
    };
    let refused = serve(&[]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
    for part in ["older copy", "start once with `new_origin`"] {
        assert!(stderr(&refused).contains(part), "{part}: {}", stderr(&refused));
    }
    server.add_flags(&["--new-origin", NEW]);
    for _ in 0..2 {
        // The second start finds the ledger under that name already.
        server.go();
        let again = server.post("/v1/events?receipt=proof", &key, &event("n2", "USED", "a"));
        let verdict = &again.json()["events"][0];
        assert_eq!((&verdict["status"], &verdict["origin"]), (&json!("duplicate"), &json!(OLD)));
        let note = verdict["proof"]["checkpoint"].as_str().expect("a checkpoint");
        assert!(note.starts_with(OLD), "{note}");
        if server.get("/v1/tokens/eu:idp:jti:a", &key).json()["event_count"] == 2 {
            server.record(&key, &[event("n3", "REVOKED", "a")]);
        }
        server.wait_for_block();
        let trace = server.run(&key, &["trace", "eu:idp:jti:a"]);
        let shown = stdout(&trace);
        let lines: Vec<&str> = shown.lines().filter(|line| line.contains("/block")).collect();
        let [issued, used, revoked] = lines[..] else { panic!("{shown}") };
        for (line, origin, kind) in
            [(issued, OLD, "ISSUED"), (used, OLD, "USED"), (revoked, NEW, "REVOKED")]
        {
            assert!(line.starts_with(origin) && line.contains(kind), "{shown}");
        }
        assert!(shown.contains("known     REVOKED, not active"), "{shown}");
        for (origin, leaves) in [(OLD, 2), (NEW, 1)] {
            let args = ["prove", "--origin", origin, "eu:idp:jti:a"];
            let bundle: Value = serde_json::from_str(&stdout(&server.run(&key, &args))).unwrap();
            assert_eq!(bundle["origin"], origin);
            let told = bundle["coverage"]["sources"][0]["events"].clone();
            assert_eq!(told, json!(leaves.to_string()), "{origin}");
            let notes = bundle["coverage"]["notes"].to_string();
            let other = if origin == OLD { NEW } else { OLD };
            let elsewhere = notes.contains(&format!("stand in origin {other}"));
            assert!(elsewhere && notes.contains("INCOMPLETE"), "{notes}");
        }
        questions_of_both(&server, &key, [OLD, NEW]);
        let status = server.get("/v1/status", &key).json();
        assert_eq!(status["origin"], NEW);
        assert_eq!(status["older_origins"][0]["origin"], OLD);
        assert_eq!(server.stop(), Some(0));
    }
    let refused = serve(&["--new-origin", OLD]);
    assert!(stderr(&refused).contains("has this name already"), "{}", stderr(&refused));
    let refused = serve(&["--new-origin", "ledger.example.com/third"]);
    assert!(stderr(&refused).contains("no new origin is needed"), "{}", stderr(&refused));

    let verify = || run(&["verify", "--data", data.to_str().expect("text")], &[], b"");
    let verified = verify();
    let shown = stdout(&verified);
    assert_eq!(verified.status.code(), Some(0), "{shown}");
    assert!(shown.contains(&format!("older origin {OLD}: verified")), "{shown}");
    let segment = data.join("origins/0/journal/00000000.seg");
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let at = bytes.windows(12).position(|window| window == b"eu:idp:jti:a").expect("the token");
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let found = verify();
    assert_eq!(found.status.code(), Some(2), "{}", stdout(&found));
    assert!(stdout(&found).contains("origins/0/journal/00000000.seg"), "{}", stdout(&found));
}
