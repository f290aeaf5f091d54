//! The verifier of a running ledger: its reports, what it finds in changed files, and that nothing
//! of it stops intake.

mod running;

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use running::{Server, event, run, stderr, stdout};
use serde_json::{Value, json};

const EVERY: [&str; 4] = ["--verify-interval-ms", "200", "--findings-interval-ms", "20"];

/// A token that is changed, as it stands in the journal.
const TOKEN: &[u8] = b"eu:idp:jti:token-00007";

/// Asks until `wanted` holds of the answer.
fn until(server: &Server, key: &str, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let answer = server.get(path, key);
        assert_eq!(answer.status, 200, "{path} {}", answer.text());
        let answer = answer.json();
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "{path} does not come to it: {answer:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn size(server: &Server) -> u64 {
    server.get("/v1/status", &server.admin).json()["size"].as_u64().expect("a size")
}

/// The first report over at least so many entries.
fn report(server: &Server, key: &str, least: u64) -> Value {
    let covers = |answer: &Value| answer["reports"][0]["to"].as_u64() >= Some(least);
    until(server, key, "/v1/verify-reports?limit=5", covers)["reports"][0].clone()
}

/// A value of the metrics.
fn metric(server: &Server, name: &str) -> Option<f64> {
    let text = server.get("/metrics", &server.admin).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

/// Events of so many tokens, with a person each.
fn lives(from: usize, count: usize) -> Vec<Value> {
    let lives = (from..from + count).flat_map(|n| {
        let name = format!("token-{n:05}");
        let mut issued = event(&format!("i{n}"), "ISSUED", &name);
        issued["personal"] = json!([{ "role": "SUBJECT", "user_id": format!("user-{}", n % 7) }]);
        [issued, event(&format!("u{n}"), "USED", &name)]
    });
    lives.collect()
}

#[test]
fn reports_are_entries_and_go_on_after_a_crash() {
    let mut server = Server::start_with(&EVERY);
    let key = server.key("ours", "idp", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    server.record(&key, &lives(0, 200));
    let size_then = size(&server);
    let first = report(&server, &reader, size_then);
    assert_eq!(first["verdict"], "verified", "{first:#}");
    assert_eq!((&first["from"], &first["findings"]), (&json!(0), &json!(0)));
    assert!(first["counts"]["events"].as_u64() >= Some(400), "{first:#}");
    assert_eq!(first["counts"]["tokens"], 200);
    assert_eq!(first["counts"]["sealed"], 200);
    // The report is an event of the ledger like any other, with a proof.
    let id = first["event_id"].as_str().expect("an id");
    let path = format!("/v1/events/ledger/{id}");
    let whole = server.get(&path, &server.admin);
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert_eq!(whole.json()["statement"]["type"], "VERIFY_REPORT", "{}", whole.text());
    // Behind the head everything is verified soon.
    let caught_up = |answer: &Value| answer["behind"]["size"].as_u64() >= Some(size_then);
    let behind = until(&server, &reader, "/v1/verify-reports", caught_up)["behind"].clone();
    assert_eq!((&behind["flaws"], &behind["on"]), (&json!(0), &json!(true)), "{behind}");
    assert!(metric(&server, "ledgerline_verify_size") >= Some(size_then as f64));
    assert!(metric(&server, "ledgerline_verify_runs_total{verdict=\"verified\"}") >= Some(1.0));
    let verdict = "ledgerline_verify_last_verdict{verdict=\"verified\"}";
    assert_eq!(metric(&server, verdict), Some(1.0));
    assert!(metric(&server, "ledgerline_verify_block_age_seconds") < Some(30.0));
    assert_eq!(metric(&server, "ledgerline_verify_failures_total"), Some(0.0));
    // Who may see it, and how it is asked.
    assert_eq!(server.get("/v1/verify-reports", &key).status, 403);
    assert_eq!(server.get("/v1/verify-reports?limit=0", &reader).code(), "bad_query");
    assert_eq!(server.get("/v1/verify-reports?limits=1", &reader).status, 400);
    let table = server.run(&reader, &["verify", "--report", "--wait", "30"]);
    assert_eq!(table.status.code(), Some(0), "{}", stderr(&table));
    assert!(stdout(&table).contains("verified") && stdout(&table).contains("VERDICT"));
    let two = |answer: &Value| answer["reports"].as_array().map(Vec::len) >= Some(2);
    until(&server, &reader, "/v1/verify-reports", two);
    let listed = server.run(&reader, &["verify", "--report", "--limit", "1", "-o", "json"]);
    let listed: Value = serde_json::from_str(&stdout(&listed)).expect("JSON");
    assert_eq!(listed["reports"].as_array().map(Vec::len), Some(1));
    let next = listed["next"].as_str().expect("older reports");
    let older = server.get(&format!("/v1/verify-reports?page={next}"), &reader).json();
    let index = |value: &Value| value["index"].as_u64();
    assert!(index(&older["reports"][0]) < index(&listed["reports"][0]), "{older}");
    // A crash in the middle of a run; then everything is verified again, and an erasure with it.
    server.record(&key, &lives(200, 300));
    server.kill_nine();
    server.reap();
    server.go();
    let erased = {
        let asked =
            json!({ "tenant": "ours", "kind": "PERSON", "issuer": "idp", "value": "user-3" });
        let found = server.post("/v1/resolve", &server.admin, &asked);
        assert_eq!(found.status, 200, "{}", found.text());
        let handle = found.json()["handle"].clone();
        let request = json!({ "tenant": "ours", "handle": handle, "purpose": "a test" });
        server.post("/v1/erase", &server.admin, &request)
    };
    assert_eq!(erased.status, 200, "{}", erased.text());
    let size_now = size(&server);
    let again = report(&server, &reader, size_now);
    assert_eq!(again["verdict"], "verified", "{again:#}");
    let findings = server.get("/v1/findings?rule=chain_break", &server.admin).json();
    assert_eq!(findings["findings"], json!([]), "{findings:#}");
    assert_eq!(server.stop(), Some(0));
    let data = server.path("data").display().to_string();
    let verified = run(&["verify", "--data", &data], &[], b"");
    assert_eq!(verified.status.code(), Some(0), "{}{}", stdout(&verified), stderr(&verified));
}

/// Turns the lowest bit of a byte.
fn flip(path: &Path, at: usize) {
    let mut file = std::fs::File::options().read(true).write(true).open(path).expect("a segment");
    let mut byte = [0];
    file.seek(SeekFrom::Start(at as u64)).expect("a file");
    file.read_exact(&mut byte).expect("readable");
    file.seek(SeekFrom::Start(at as u64)).expect("a file");
    file.write_all(&[byte[0] ^ 1]).expect("writable");
}

#[test]
fn a_changed_byte_is_reported_and_intake_goes_on() {
    let flags = [&EVERY[..], &["--segment-bytes", "65536"]].concat();
    let mut server = Server::start_with(&flags);
    let key = server.key("ours", "idp", &["producer"]);
    let reader = server.key("ours", "desk", &["reader"]);
    let theirs = server.key("theirs", "desk", &["reader"]);
    let nobody = server.key("", "desk", &["reader"]);
    for round in 0..8 {
        server.record(&key, &lives(round * 50, 50));
    }
    assert!(server.path("data/journal/00000004.seg").exists(), "several segments");
    let size_then = size(&server);
    assert_eq!(report(&server, &reader, size_then)["verdict"], "verified");
    let named = |number: &u32| server.path(&format!("data/journal/{number:08}.seg"));
    let place = |path: PathBuf| -> Option<(PathBuf, usize)> {
        let bytes = std::fs::read(&path).expect("a segment");
        let at = bytes.windows(TOKEN.len()).position(|window| window == TOKEN)?;
        Some((path, at + TOKEN.len() - 1))
    };
    let sealed = (0..3).find_map(|number| place(named(&number)));
    let (sealed, at) = sealed.expect("in an early segment");
    let mut open = std::fs::metadata(&sealed).expect("a segment").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut open, 0o600);
    std::fs::set_permissions(&sealed, open).expect("ours");
    flip(&sealed, at);
    let changed = size(&server);
    let broken = report(&server, &reader, changed);
    assert_eq!(broken["verdict"], "not_verified", "{broken:#}");
    assert_eq!(broken["findings"], 1, "{broken:#}");
    let bad = broken["first_bad_index"].as_u64().expect("an entry");
    let told = |answer: &Value| answer["findings"][0]["rule"] == "chain_break";
    let path = "/v1/findings?rule=chain_break";
    let found = until(&server, &reader, path, told)["findings"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found:#}");
    assert_eq!(found[0]["severity"], "critical");
    assert_eq!(found[0]["token_id"], "eu:idp:jti:token-00007");
    assert_eq!(found[0]["place"], format!("frame_changed entry {bad}"));
    for other in [&theirs, &nobody] {
        assert_eq!(server.get(path, other).json()["findings"], json!([]), "not theirs to know");
    }
    let verdict = "ledgerline_verify_last_verdict{verdict=\"not_verified\"}";
    assert_eq!(metric(&server, verdict), Some(1.0));
    let shown = server.run(&reader, &["verify", "--report"]);
    assert_eq!(shown.status.code(), Some(2), "{}", stdout(&shown));
    assert!(server.read("server.log").contains("not_verified"));
    // Nothing stops, and the same damage is told once.
    server.record(&key, &lives(400, 10));
    let later = size(&server);
    assert_eq!(report(&server, &reader, later)["verdict"], "not_verified");
    let found = server.get(path, &reader).json()["findings"].clone();
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found:#}");
    // Put right, it verifies again, also over a restart.
    flip(&sealed, at);
    let mended = size(&server);
    let whole = until(&server, &reader, "/v1/verify-reports?limit=1", |answer| {
        let newest = &answer["reports"][0];
        newest["to"].as_u64() >= Some(mended) && newest["verdict"] == "verified"
    });
    assert_eq!(whole["reports"][0]["findings"], 0);
    // A file that is rebuilt from the journal.
    let tree = server.path("data/tree/0");
    flip(&tree, 37);
    let path = "/v1/findings?rule=derived_file_damaged";
    let listed = |answer: &Value| answer["findings"][0]["place"].is_string();
    let found = until(&server, &server.admin, path, listed)["findings"].clone();
    assert_eq!(found[0]["place"], "tree_file tree/0 at 37");
    assert_eq!(found[0]["target"]["kind"], "LEDGER");
    assert_eq!(server.get(path, &reader).json()["findings"], json!([]), "the operator's matter");
    flip(&tree, 37);
    assert_eq!(server.stop(), Some(0));
    server.go();
    server.record(&key, &lives(410, 10));
    let later = size(&server);
    assert_eq!(report(&server, &reader, later)["verdict"], "verified");
}

#[test]
fn an_interval_of_nothing_switches_it_off() {
    let server = Server::start_with(&["--verify-interval-ms", "0"]);
    let key = server.key("ours", "idp", &["producer"]);
    server.record(&key, &lives(0, 5));
    std::thread::sleep(Duration::from_millis(600));
    let answer = server.get("/v1/verify-reports", &server.admin).json();
    assert_eq!(answer["reports"], json!([]));
    assert_eq!(answer["behind"]["on"], false);
    assert_eq!(metric(&server, "ledgerline_verify_on"), Some(0.0));
    let shown = server.run(&server.admin, &["verify", "--report"]);
    assert_eq!(shown.status.code(), Some(3), "no report is not verified: {}", stdout(&shown));
}
