//! `reconcile --every`: rounds until it is asked to stop, whatever passes in between.

mod running;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use running::{BINARY, Server, event, run, stderr, wait};

/// Puts a table in place whole, as an export does.
fn export(file: &Path, rows: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, format!("jti,state\n{rows}")).expect("a file");
    std::fs::rename(new, file).expect("a file");
}

/// Waits until these are the findings of reconciliation.
fn until(server: &Server, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|one| (*one).to_owned()).collect();
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let list = server.get("/v1/findings?limit=100", &server.admin).json();
        let list = list["findings"].as_array().expect("findings").clone();
        let ours = list.iter().filter_map(|one| {
            let rule = one["rule"].as_str()?.strip_prefix("reconcile_")?;
            Some(format!("{rule} {}", one["token_id"].as_str()?))
        });
        let found: BTreeSet<String> = ours.collect();
        if found == expected {
            return;
        }
        assert!(Instant::now() < end, "{found:?}, not {expected:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn differences_of_each_round_are_findings_and_what_passes_ends_nothing() {
    let mut server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let responder = server.key("", "night", &["responder"]);
    let token = |name: &str| {
        let mut issued = event(name, "ISSUED", name);
        issued["expires_at"] = "2099-01-01T00:00:00Z".into();
        issued
    };
    server.record(&idp, &[token("a"), token("b")]);
    let table = server.write("tokens.csv", "");
    export(&table, "a,ACTIVE\nb,ACTIVE\n");
    let log = server.path("every.log");
    let key = server.write("responder.key", &responder);
    let mut child = Command::new(BINARY)
        .args(["reconcile", "--region", "eu", "--every", "1s", "--retries", "0", "--url"])
        .args([&server.url, "--key-file"])
        .args([&key, &table])
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("the binary starts");
    let said = || std::fs::read_to_string(&log).expect("a log");
    let passes = |what: &str| {
        let end = Instant::now() + Duration::from_secs(30);
        while said().matches("reconcile_failed").count() == 0 {
            assert!(Instant::now() < end, "{what}: {}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    // The next export knows a token more; and one less after the export failed for a while.
    export(&table, "a,ACTIVE\nb,ACTIVE\nstranger,ACTIVE\n");
    until(&server, &["unknown_token eu:idp:jti:stranger"]);
    std::fs::remove_file(&table).expect("it is there");
    passes("a table that is away");
    assert!(child.try_wait().expect("a child").is_none(), "{}", said());
    // Tables are as of a second: what was recorded in it is not older than the table.
    std::thread::sleep(Duration::from_millis(1100));
    export(&table, "a,ACTIVE\n");
    let both = ["missing_at_issuer eu:idp:jti:b", "unknown_token eu:idp:jti:stranger"];
    until(&server, &both);
    server.stop();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().expect("a child").is_none(), "a server that is away passes");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let status = wait(&mut child, Duration::from_secs(20));
    assert_eq!(status.code(), Some(0), "{}", said());
    assert!(!said().contains(&responder), "the key is in the log");
}

#[test]
fn what_no_later_round_mends_ends_the_first() {
    for (args, part) in [
        (["--every", "15", "t.csv"], "30s, 15m, 6h, 1d"),
        (["--every", "8d", "t.csv"], "1s to 7d"),
        (["--every", "15m", "-"], "--every reads a file anew"),
    ] {
        let output = run(&[&["reconcile"], &args[..]].concat(), &[], b"");
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
    }
    let args = ["reconcile", "--every", "1s", "--taken-at", "2026-01-02T00:00:00Z", "t.csv"];
    assert_eq!(run(&args, &[], b"").status.code(), Some(64));
}

#[test]
fn a_table_whose_export_had_stopped_agreed_with_itself_for_ever() {
    let server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let responder = server.key("", "night", &["responder"]);
    let mut issued = event("a", "ISSUED", "a");
    issued["expires_at"] = "2099-01-01T00:00:00Z".into();
    server.record(&idp, &[issued]);
    let table = server.write("tokens.csv", "");
    export(&table, "a,ACTIVE\n");
    let compare = |flags: &[&str], expected: Option<i32>, is_stale: bool| {
        let table = table.to_str().expect("UTF-8");
        let args = [&["reconcile", "--region", "eu", "--dry-run"], flags, &[table]].concat();
        let output = server.run(&responder, &args);
        let said = running::stdout(&output);
        assert_eq!(output.status.code(), expected, "{flags:?}: {said}{}", stderr(&output));
        assert_eq!(said.contains("STALE"), is_stale, "{said}");
        assert!(said.contains("table of"), "{said}");
    };
    compare(&["--max-age", "1h"], Some(0), false);
    compare(&[], Some(0), false);
    let file = std::fs::File::options().append(true).open(&table).expect("a file");
    let hours = Duration::from_secs(2 * 3600);
    // What was recorded since is missing there: a table of before is compared as of its time.
    file.set_modified(std::time::SystemTime::now() - hours).expect("a time");
    let output = server.run(
        &responder,
        &[
            "reconcile",
            "--region",
            "eu",
            "--dry-run",
            "--max-age",
            "1h",
            "-o",
            "json",
            table.to_str().expect("UTF-8"),
        ],
    );
    let report: serde_json::Value = serde_json::from_str(&running::stdout(&output)).expect("JSON");
    assert_eq!(report["stale"], true, "{report}");
    assert!(report["age_s"].as_u64().expect("a number") >= 7200, "{report}");
    let expected = if report["differences"] == serde_json::json!([]) { 3 } else { 2 };
    compare(&["--max-age", "1h"], Some(expected), true);
    compare(&["--max-age", "3h"], Some(if expected == 3 { 0 } else { 2 }), false);
}
