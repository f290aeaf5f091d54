//! Rules change, and findings stay: what an earlier version of a rule raised is explained by that
//! version, stands where somebody left it, and is not raised again under the new one, even when the
//! follower has to read everything anew.

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use running::Server;
use serde_json::{Value, json};

/// A directory that the program left in which all rules were of version 1.
fn unpacked() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/clean.tar.gz");
    let file = std::fs::File::open(archive).expect("an archive");
    tar::Archive::new(GzDecoder::new(file)).unpack(folder.path()).expect("a sound archive");
    folder
}

/// All findings by id, once everything is judged.
fn findings(server: &Server, key: &str) -> BTreeMap<String, Value> {
    let until = Instant::now() + Duration::from_secs(120);
    let get = |path: &str| server.get(path, key).json();
    while get("/v1/findings?limit=1")["lag_entries"] != 0 {
        assert!(Instant::now() < until, "the rules did not catch up");
        std::thread::sleep(Duration::from_millis(200));
    }
    let answer = get("/v1/findings?limit=1000");
    assert_eq!(answer["next"], Value::Null, "one page");
    let all = answer["findings"].as_array().expect("a list").iter();
    all.map(|one| (one["id"].as_str().expect("an id").to_owned(), one.clone())).collect()
}

#[test]
fn what_an_earlier_version_of_a_rule_raised_is_not_raised_again() {
    let options = ["--segment-bytes", "4194304", "--findings-interval-ms", "20"];
    let mut server = Server::open(unpacked(), &options);
    let (reader, admin) = (server.read("reader.key"), server.read("admin.key"));
    let before = findings(&server, &reader);
    let of_old = |one: &&Value| one["version"] == "1";
    let old: Vec<&Value> = before.values().filter(of_old).collect();
    let changed = ["scope_widened", "use_after_revoke", "refresh_reuse"];
    for rule in changed {
        let one = old.iter().find(|one| one["rule"] == rule).expect(rule);
        let path = format!("/v1/findings/{}/acknowledge", one["id"].as_str().unwrap());
        let answer = server.post(&path, &admin, &json!({ "note": "seen" }));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(server.stop(), Some(0));
    std::fs::remove_dir_all(server.path("data/followers")).expect("a folder");
    server.go();
    let after = findings(&server, &reader);
    let acts: BTreeSet<String> =
        old.iter().map(|one| json!([one["rule"], one["events"][0]]).to_string()).collect();
    for (id, one) in &after {
        let act = json!([one["rule"], one["events"][0]]).to_string();
        assert!(before.contains_key(id) || !acts.contains(&act), "raised again: {one:#}");
    }
    for (id, was) in &before {
        let now = &after[id];
        for member in ["rule", "version", "severity", "explained", "token_id", "events"] {
            assert_eq!(now[member], was[member], "{member} of {id}");
        }
    }
    let seen = after.values().filter(|one| one["state"] == "acknowledged").count();
    assert_eq!(seen, changed.len());
    // What no version had noticed is told now.
    let new = after.values().filter(|one| one["rule"] == "code_reuse" && one["version"] == "3");
    assert_eq!(new.count(), 4, "the refused replays of codes");
}
