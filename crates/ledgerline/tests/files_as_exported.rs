//! Files as programs export them and crashes leave them: each line is recorded or named.

mod running;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use running::{Server, event, stderr, stdout};
use serde_json::{Value, json};

fn server() -> (Server, String) {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "responder"]);
    (server, key)
}

fn line(token: &str) -> String {
    event(token, "ISSUED", token).to_string()
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(text).expect("memory");
    out.finish().expect("memory")
}

/// The report of a command over a file, and its exit code. Every line of it is in one number.
fn report(server: &Server, key: &str, args: &[&str], name: &str, content: &[u8]) -> (Value, i32) {
    let path = server.write(name, content);
    let mut all = args.to_vec();
    all.extend(["-o", "json", path.to_str().expect("text")]);
    let output = server.run(key, &all);
    let report: Value = serde_json::from_str(&stdout(&output))
        .unwrap_or_else(|_| panic!("{name}: {}", stderr(&output)));
    let count = |member: &str| report[member].as_u64().unwrap_or_else(|| panic!("{member}"));
    let parts = ["recorded", "duplicate", "refused", "skipped"].map(count);
    assert_eq!(count("lines"), parts.iter().sum::<u64>(), "{name}: {report}");
    (report, output.status.code().expect("an end"))
}

fn refused_lines(report: &Value) -> Vec<u64> {
    let list = report["first_refusals"].as_array().expect("a list");
    list.iter().filter_map(|one| one["line"].as_u64()).collect()
}

#[test]
fn one_bad_line_ended_the_whole_file() {
    let (server, key) = server();
    let bad: [&[u8]; 6] = [
        b"{\"type\":\"ISSUED\",\"token_id\":\"eu:idp:jti:torn\",\"occurr",
        b"{\"type\":\"ISSUED\",\"client_id\":\"caf\xe9\"}",
        b"\0\0\0\0\0\0",
        b"[2026-11-28 10:00:00] ERROR no event at all",
        b"{\"type\":\"USED\",\"type\":\"ISSUED\"}",
        b"{\"a\":{\"b\":1",
    ];
    for (at, bad) in bad.into_iter().enumerate() {
        for place in 0..3 {
            let tokens: Vec<String> = (0..3).map(|n| format!("t{at}-{place}-{n}")).collect();
            let mut lines: Vec<Vec<u8>> = tokens.iter().map(|t| line(t).into_bytes()).collect();
            lines.insert(place, bad.to_vec());
            let content = lines.join(&b"\r\n"[..]);
            let (report, code) = report(&server, &key, &["ingest"], "events.ndjson", &content);
            assert_eq!((&report["recorded"], code), (&json!(3), 1), "{at} {place}: {report}");
            assert_eq!(refused_lines(&report), [place as u64 + 1], "{at} {place}: {report}");
        }
    }
}

#[test]
fn every_form_of_a_file_is_read() {
    let (server, key) = server();
    let all = |content: &[u8], recorded: u64| {
        let (report, code) = report(&server, &key, &["ingest"], "events", content);
        assert_eq!((report["recorded"].as_u64(), code), (Some(recorded), 0), "{report}");
    };
    all(format!("\u{feff}{}\r\n\u{feff}{}\r{}", line("a"), line("b"), line("c")).as_bytes(), 3);
    all(format!("{}{}", line("glued-1"), line("glued-2")).as_bytes(), 2);
    all(format!("[{},\n{}]", line("list-1"), line("list-2")).as_bytes(), 2);
    let spread = serde_json::to_string_pretty(&event("spread", "ISSUED", "spread")).expect("JSON");
    all(format!("{spread}\n{}\n", line("after")).as_bytes(), 2);
    all(&packed(format!("{}\n{}\n", line("gz-1"), line("gz-2")).as_bytes()), 2);
}

#[test]
fn a_torn_file_is_not_a_short_one() {
    let (server, key) = server();
    let many: String = (0..2000).map(|n| line(&format!("torn-{n}")) + "\n").collect();
    let whole = packed(many.as_bytes());
    let (torn, code) = report(&server, &key, &["ingest"], "a.gz", &whole[..whole.len() / 2]);
    assert_eq!(code, 1, "{torn}");
    assert!(torn["recorded"].as_u64().is_some_and(|count| count > 100), "{torn}");
    assert!(torn["unreadable"][0]["detail"].to_string().contains("cut off"), "{torn}");
    let content = format!("[{},\n{},", line("cut-1"), line("cut-2"));
    let (array, code) = report(&server, &key, &["ingest"], "array.json", content.as_bytes());
    assert_eq!((&array["recorded"], code), (&json!(2), 1), "{array}");
    assert_ne!(array["unreadable"], json!([]), "{array}");
    let path = server.write("wide.ndjson", b"\xff\xfe{\x00}\x00");
    let output = server.run(&key, &["ingest", path.to_str().expect("text")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("UTF-16"), "{} {}", stdout(&output), stderr(&output));
}

#[test]
fn a_pipe_was_held_until_500_events_or_its_end() {
    let (server, key) = server();
    let mut child = Command::new(running::BINARY)
        .args(["ingest", "--url", &server.url, "-"])
        .env("LEDGERLINE_KEY", &key)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut pipe = child.stdin.take().expect("piped");
    let wait_for = |token: &str| {
        let until = Instant::now() + Duration::from_secs(30);
        while server.get(&format!("/v1/tokens/eu:idp:jti:{token}"), &key).status != 200 {
            assert!(Instant::now() < until, "{token} is not recorded while the pipe is open");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    pipe.write_all(format!("{}\nnot json\n", line("tail-1")).as_bytes()).expect("a pipe");
    wait_for("tail-1");
    // A refusal is named while the pipe is open: there may never be a report.
    let mut told = String::new();
    let errors = child.stderr.take().expect("piped");
    BufReader::new(errors).read_line(&mut told).expect("a line");
    assert!(told.contains("line 2") && told.contains("bad_json"), "{told}");
    // Whole, though its line end is still to come.
    pipe.write_all(line("tail-2").as_bytes()).expect("a pipe");
    wait_for("tail-2");
    pipe.write_all(format!("\n{}", line("tail-3")).as_bytes()).expect("a pipe");
    drop(pipe);
    assert_eq!(running::wait(&mut child, Duration::from_secs(20)).code(), Some(1));
    wait_for("tail-3");
}

const IMPORT: &[&str] = &["import-tokens", "--region", "eu", "--issuer", "idp"];

#[test]
fn csv_rows_vanished_uncounted() {
    let (server, key) = server();
    let import =
        |name: &str, content: &str| report(&server, &key, IMPORT, name, content.as_bytes());
    let (inch, code) =
        import("a.csv", "jti,client,subject\nin-1,15\" kiosk,ann\nin-2,web,bob\nin-3,web,eve\n");
    assert_eq!((&inch["lines"], &inch["refused"], code), (&json!(3), &json!(0), 0), "{inch}");
    let (open, code) =
        import("b.csv", "jti,client\r\nop-1,\"web\r\nop-2,web\r\nop-3,\"we\"b\r\nop-4,web\r\n");
    assert_eq!((refused_lines(&open), code), (vec![2, 4], 1), "{open}");
    assert_eq!(open["recorded"], 2, "{open}");
    let table = "\u{feff}\"JTI\";Expires_At;subject\n\
                 ex-1;2027-01-01T00:00:00+00:00;\"O'Hara; Ann\"\n\
                 ex-2;2027-01-01 01:00:00+01;20\" Bob\nex-3;9999-12-31 23:59:59Z;\n";
    let (exported, code) = import("c.csv", table);
    assert_eq!((&exported["recorded"], code), (&json!(3), 0), "{exported}");
    let shown = server.get("/v1/tokens/eu:idp:jti:ex-2", &key).json();
    assert!(shown.to_string().contains("2027-01-01T00:00:00Z"), "{shown}");
}

#[test]
fn of_two_columns_of_one_name_the_last_won() {
    let (server, key) = server();
    let table = "jti,state,client,state\ndup-1,REVOKED,web,ACTIVE\n";
    let path = server.write("a.csv", table);
    let path = path.to_str().expect("text");
    for command in ["import-tokens", "reconcile"] {
        let output = server.run(&key, &[command, "--region", "eu", "--issuer", "idp", path]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        assert!(stderr(&output).contains("`state` twice"), "{command}: {}", stderr(&output));
    }
    assert_eq!(server.get("/v1/tokens/eu:idp:jti:dup-1", &key).status, 404);
    let table =
        "{\"jti\":\"dup-2\",\"state\":\"REVOKED\",\"state\":\"ACTIVE\"}\n{\"jti\":\"dup-3\"}\n";
    let (told, code) = report(&server, &key, IMPORT, "a.ndjson", table.as_bytes());
    assert_eq!((refused_lines(&told), code), (vec![1], 1), "{told}");
    assert!(told["first_refusals"][0]["detail"].to_string().contains("`state`"), "{told}");
}

#[test]
fn a_line_too_long_ended_the_triage() {
    let (server, key) = server();
    server.record(&key, &[event("known", "ISSUED", "known")]);
    let mut list = b"eu:idp:jti:known\r".to_vec();
    list.extend_from_slice(&vec![b'x'; 100 << 10]);
    list.extend_from_slice(b"\r\neu:idp:jti:nobody\n");
    let path = server.write("leaked.txt", &list);
    let args = ["query", "triage", "-o", "json", path.to_str().expect("text")];
    let output = server.run(&key, &args);
    let told: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let tokens = told["tokens"].as_array().expect("tokens");
    let mut found: Vec<_> = tokens.iter().map(|one| (&one["line"], &one["status"])).collect();
    found.sort_by_key(|one| one.0.as_u64());
    let expected =
        [(json!(1), json!("known")), (json!(2), json!("unreadable")), (json!(3), json!("unknown"))];
    assert_eq!(found, expected.iter().map(|one| (&one.0, &one.1)).collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(3), "{told}");
}

#[test]
fn no_refusal_is_without_its_name() {
    let (server, key) = server();
    let mut lines: Vec<String> = (1..=30).map(|n| format!("no event {n}")).collect();
    lines.push(format!("{{\"client_id\":\"{}\"}}", "x".repeat(17 << 20)));
    lines.push(line("behind"));
    let path = server.write("bad.ndjson", lines.join("\n"));
    let output = server.run(&key, &["ingest", "-o", "json", path.to_str().expect("text")]);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!((&report["refused"], &report["recorded"]), (&json!(31), &json!(1)), "{report}");
    assert_eq!(report["refused_by_code"]["too_large"], 1, "no request of its own is refused whole");
    let told = stderr(&output);
    for number in 1..=31_u64 {
        let on_error = told.contains(&format!("bad.ndjson line {number}: "));
        let in_report = refused_lines(&report).contains(&number);
        assert!(on_error != in_report, "line {number} is named once: {told}");
    }
}

#[test]
fn a_second_log_was_read_as_the_first_one_and_an_empty_file_passed() {
    let fixture =
        |name: &str| format!("{}/../sources/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().join("empty.ndjson");
    std::fs::write(&empty, "\n\n").expect("written");
    let empty = empty.to_str().expect("UTF-8");
    let dry = |adapter: &str, files: &[&str]| {
        let args = [&["ingest", "--adapter", adapter, "--dry-run"], files].concat();
        let output = running::run(&args, &[], b"");
        (output.status.code(), stdout(&output), stderr(&output))
    };
    let (vault, github) = (fixture("vault/documented.ndjson"), fixture("github/documented.ndjson"));
    let (exit, out, said) = dry("auto", &[&vault, &github]);
    assert!(said.contains("read by the adapter vault"), "{exit:?} {said}");
    assert!(said.contains("read by the adapter github"), "{exit:?} {said}");
    // What both give together is what each gives by its own adapter.
    let total = |out: &str| {
        let line = out.lines().find(|line| line.starts_with("in all: ")).expect("totals");
        let number = |at: usize| line.split(' ').nth(at).and_then(|n| n.parse::<u64>().ok());
        [2, 4, 6].map(|at| number(at).expect("a number"))
    };
    let (_, of_vault, _) = dry("vault", &[&vault]);
    let (_, of_github, _) = dry("github", &[&github]);
    let sums = [0, 1, 2].map(|at| total(&of_vault)[at] + total(&of_github)[at]);
    assert_eq!(total(&out), sums, "{out}");
    assert!(sums.iter().all(|sum| *sum > 0), "{sums:?}");
    let (exit, out, said) = dry("auto", &[empty]);
    assert_eq!(exit, Some(1), "{out}{said}");
    assert!(out.contains("REFUSED empty_file") && out.contains("empty_file 1"), "{out}");
    assert_eq!(dry("vault", &[empty]).0, Some(0), "whose adapter is named may be empty");
    let (server, key) = server();
    let output = server.run(&key, &["ingest", "--adapter", "auto", empty]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("empty_file") || stdout(&output).contains("empty_file"));
}
