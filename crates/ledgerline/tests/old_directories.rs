//! Data directories of older programs open for ever, and what was answered from them is still
//! answered.
//!
//! `tests/golden` holds one archive a directory (how it came about: `make.py` there), and beside it
//! what the program of that day answered. A golden answer holds when every member of it is in
//! today's answer with the same value: new members may join, none may change or go.
//!
//! An answer that changes on purpose is written anew by `LEDGERLINE_GOLDEN=write`, in a commit that
//! shows the difference and says why.

mod recorded;
mod running;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use ledgerline_proof::token_id::{from_jti, from_presented};
use recorded::recording;
use running::{Server, run, stderr, stdout};
use serde_json::{Value, json};

/// What differs from start to start, and says nothing of the past.
const VOLATILE: [&str; 5] = ["checkpoint", "size", "published_size", "proof_state", "cause"];
/// Everything that is asked of one token.
const OF_A_TOKEN: [&str; 10] = [
    "?",
    "/events?",
    "/lineage?direction=ancestors&",
    "/lineage?direction=descendants&",
    "/resources?from=1970-01-01T00:00:00Z&until=end&limit=1000&",
    "/policies?",
    "/divergence?",
    "/exposure?",
    "/blast-radius?",
    "/after-revoke?",
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Unpacks the archive of a directory, with the modes it had.
fn unpack(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let file = std::fs::File::open(golden(&format!("{name}.tar.gz"))).expect("an archive");
    tar::Archive::new(GzDecoder::new(file)).unpack(folder.path()).expect("a sound archive");
    folder
}

/// What `verify` says of the directory, before any server has opened it.
fn verified(folder: &Path) -> Value {
    let data = folder.join("data");
    let output = run(&["verify", "--data", data.to_str().expect("text"), "-o", "json"], &[], b"");
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| {
        panic!("no report: {}{}", stdout(&output), stderr(&output));
    });
    let finding = |one: &Value| json!({ "code": one["code"], "index": one["first_bad_index"] });
    let findings: Vec<_> =
        report["findings"].as_array().expect("a list").iter().map(finding).collect();
    json!({
        "exit": output.status.code(),
        "verdict": report["verdict"],
        "findings": findings,
        "counts": report["counts"],
        "entries": report["size"],
    })
}

/// Answers by path, one a line.
fn answers(server: &Server, key: &str, paths: &[String]) -> Vec<(String, Value)> {
    let ask = |path: &String| {
        let answer = server.get(path, key);
        let mut json = answer.json();
        forget_volatile(&mut json);
        // What a problem says in prose may be said better; its code is what programs read.
        if let (false, Some(problem)) = (answer.status == 200, json.as_object_mut()) {
            problem.remove("detail");
        }
        (path.clone(), json!({ "status": answer.status, "answer": json }))
    };
    paths.iter().map(ask).collect()
}

fn forget_volatile(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !VOLATILE.contains(&name.as_str()));
            members.values_mut().for_each(forget_volatile);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_volatile),
        _ => {}
    }
}

/// Where `today` lacks something of `golden`, or says something else.
fn differences(golden: &Value, today: &Value, at: &str, out: &mut Vec<String>) {
    match (golden, today) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in old {
                match new.get(name) {
                    Some(other) => differences(value, other, &format!("{at}.{name}"), out),
                    None => out.push(format!("{at}.{name}: was {value}, is not there")),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (n, (value, other)) in old.iter().zip(new).enumerate() {
                differences(value, other, &format!("{at}[{n}]"), out);
            }
        }
        _ if golden == today => {}
        _ => out.push(format!("{at}: was {golden}, is {today}")),
    }
}

/// Compares with the golden file, or writes it when asked to.
fn check(name: &str, found: &[(String, Value)]) {
    let path = golden(&format!("{name}.answers.ndjson"));
    if std::env::var_os("LEDGERLINE_GOLDEN").is_some_and(|value| value == "write") {
        let mut text = String::new();
        for (question, answer) in found {
            writeln!(text, "{}", json!([question, answer])).expect("a string");
        }
        return std::fs::write(path, text).expect("the golden file");
    }
    let text = std::fs::read_to_string(&path).expect("the golden file");
    let old: Vec<(String, Value)> =
        text.lines().map(|line| serde_json::from_str(line).expect("a golden line")).collect();
    assert_eq!(old.len(), found.len(), "{name}: as many questions as were asked");
    let mut wrong = Vec::new();
    for ((question, golden), (asked, today)) in old.iter().zip(found) {
        assert_eq!(question, asked, "{name}");
        differences(golden, today, question, &mut wrong);
    }
    let shown = wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{name}: {} differences:\n{shown}", wrong.len());
}

fn of_tokens(ids: &[String], scope: &str) -> Vec<String> {
    let all = |id: &String| OF_A_TOKEN.map(|question| format!("/v1/tokens/{id}{question}{scope}"));
    ids.iter().flat_map(all).collect()
}

/// A directory of the maker's stories: verified untouched, then opened and asked.
fn check_directory(name: &str, stories: &[&str]) {
    let folder = unpack(name);
    let before = verified(folder.path());
    // What the program states as it starts is not asked about.
    let scope = format!("as_of={}&at=2026-03-01T00:00:00Z", before["entries"]);
    let mut found = vec![("verify".to_owned(), before)];
    let server = Server::open(folder, &[]);
    let reader = server.read("reader.key");
    let parts = ["r0", "r1", "r2", "r3", "a0", "a1", "a2"];
    let id = |story: &&str| parts.map(|part| format!("eu:idp:jti:{story}-{part}"));
    let ids: Vec<String> = stories.iter().flat_map(id).collect();
    found.extend(answers(&server, &reader, &of_tokens(&ids, &scope)));
    check(name, &found);
}

#[test]
fn a_directory_left_by_a_crash_opens_and_answers_as_it_did() {
    check_directory("crashed", &["c0", "c1", "c11"]);
}

#[test]
fn a_directory_with_a_torn_tail_opens_and_answers_as_it_did() {
    check_directory("torn", &["t0", "t1"]);
}

#[test]
fn a_directory_with_an_older_origin_opens_and_answers_as_it_did() {
    check_directory("older-origin", &["o0", "o1", "o2"]);
}

#[test]
fn a_directory_with_an_erased_person_opens_and_answers_as_it_did() {
    check_directory("erased", &["e0"]);
}

#[test]
fn a_directory_with_one_flipped_bit_is_not_verified_for_ever() {
    let folder = unpack("tampered");
    check("tampered", &[("verify".to_owned(), verified(folder.path()))]);
}

/// Who is asked about in full: every second token that the truth has chosen for a reason.
fn chosen(truth: &Value) -> Vec<String> {
    let tokens = truth["tokens"].as_array().expect("tokens");
    tokens.iter().step_by(2).map(token_id).collect()
}

fn token_id(token: &Value) -> String {
    let value = token["id"].as_str().expect("an id");
    let id = if token["form"] == "jwt" {
        from_jti("global", "idp", value)
    } else {
        from_presented("global", "idp", value.as_bytes())
    };
    id.expect("a token id")
}

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(recording().join(name)).expect(name);
    serde_json::from_str(&text).expect(name)
}

/// Wider questions, about what the answers of the chosen tokens name.
fn wider(lives: &[(String, Value)], scope: &str) -> Vec<String> {
    let mut paths = BTreeSet::new();
    for (_, life) in lives {
        for token in life["answer"]["tokens"].as_array().into_iter().flatten().take(2) {
            for (member, route) in
                [("client_id", "clients"), ("session_id", "sessions"), ("grant_id", "grants")]
            {
                if let Some(id) = token[member].as_str() {
                    paths.insert(format!("/v1/{route}/{id}/tokens?limit=20&{scope}"));
                }
            }
            if let Some(subject) = token["subject"].as_str() {
                paths.insert(format!("/v1/subjects/{subject}/tokens?limit=20&{scope}"));
                paths.insert(format!("/v1/subjects/{subject}/policy-changes?{scope}"));
            }
        }
    }
    for resource in ["%2Forders", "%2Forders%2F%7Bid%7D", "%2Fpatients%2F%7Bid%7D"] {
        let range = "from=2026-11-22T05:31:00Z&until=2026-11-22T05:33:00Z";
        paths.insert(format!("/v1/resources/{resource}/tokens?limit=20&{range}&{scope}"));
    }
    for policy in ["orders-access", "billing-access"] {
        paths.insert(format!("/v1/policies/{policy}/versions?{scope}"));
    }
    paths.into_iter().collect()
}

#[test]
fn all_questions_about_the_recording_are_answered_as_they_were() {
    let folder = unpack("clean");
    let mut found = vec![("verify".to_owned(), verified(folder.path()))];
    let server = Server::open(folder, &["--segment-bytes", "4194304"]);
    let reader = server.read("reader.key");
    let scope = "as_of=7135&at=2026-11-22T05:35:08Z";
    let chosen = chosen(&read("truth.json"));
    let lives = answers(&server, &reader, &of_tokens(&chosen, scope));
    let wider = answers(&server, &reader, &wider(&lives, scope));
    found.extend(lives);
    found.extend(wider);
    check("clean", &found);
}

#[test]
fn every_token_of_the_recording_stands_where_it_stood() {
    let server = Server::open(unpack("clean"), &["--segment-bytes", "4194304"]);
    let reader = server.read("reader.key");
    let mut found = Vec::new();
    for token in read("truth-all.json")["tokens"].as_array().expect("tokens") {
        let id = token_id(token);
        let ask = |question: &str| {
            let path = format!("/v1/tokens/{id}{question}as_of=7135&at=2026-11-22T05:35:08Z");
            server.get(&path, &reader).json()
        };
        let (life, blast) = (ask("?"), ask("/blast-radius?"));
        let count = |name: &str| blast[name].as_array().map(Vec::len);
        let line = json!({
            "known": life["known"]["state"],
            "happened": life["happened"]["state"],
            "events": life["event_count"],
            "descendants": blast["descendants"],
            "alive": count("alive"),
            "allowed": blast["allowed"],
            "denied": blast["denied"],
        });
        found.push((id, line));
    }
    check("lives", &found);
}
