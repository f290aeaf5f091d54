//! The main job on real input: the recording of an identity provider is ingested through the
//! server, every token's final state agrees with the ground truth, and no secret or personal value
//! is found in any byte that was written or shown.
//!
//! The recording lies in `tests/recording`; `LEDGERLINE_RECORDING` names another one.

mod recorded;
mod running;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ledgerline_proof::token_id::{from_jti, from_presented};
use recorded::recording;
use running::{Server, stderr, stdout};
use serde_json::Value;

fn read(name: &str) -> String {
    std::fs::read_to_string(recording().join(name)).expect(name)
}

#[test]
fn the_recording_is_ingested_traced_and_verified_and_leaks_nothing() {
    let server = Server::start();
    let producer = server.key("", "idp-log", &["producer"]);
    let reader = server.key("", "reader", &["reader"]);
    let auditor = server.key("*", "audit", &["auditor"]);
    let mut shown = String::new();
    ingest(&server, &producer, &mut shown);
    states_agree(&server, &reader, &mut shown);
    server.wait_for_block();
    let vkey = server.get("/v1/status", &auditor).json()["log_key"].clone();
    let vkey = vkey.as_str().expect("a key");
    let output = server.run(&auditor, &["verify", "--log-key", vkey]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let all = server.run(&auditor, &["tail", "--from", "0", "--once", "-o", "json"]);
    assert_eq!(all.status.code(), Some(0), "{}", stderr(&all));
    shown.push_str(&stdout(&all));
    nothing_leaks(&server, &shown);
}

fn ingest(server: &Server, producer: &str, shown: &mut String) {
    let files = ["provider.ndjson", "resource-server.ndjson", "policies.ndjson"];
    let files = files.map(|name| recording().join(name).to_str().expect("text").to_owned());
    let mut args = vec!["ingest", "-o", "json", "--adapter", "oidc-provider"];
    args.extend(files.iter().map(String::as_str));
    let output = server.run(producer, &args);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(report["refused"], 0, "{report}");
    assert!(report["recorded"].as_u64() > Some(5000), "{report}");
    shown.push_str(&stdout(&output));
    shown.push_str(&stderr(&output));
}

/// Every token of the truth, judged at the end of the recording.
fn states_agree(server: &Server, reader: &str, shown: &mut String) {
    let truth: Value = serde_json::from_str(&read("truth-all.json")).expect("JSON");
    let small: Value = serde_json::from_str(&read("truth.json")).expect("JSON");
    let until = small["recorded_until"].as_str().expect("a time");
    let chosen: BTreeSet<_> =
        small["tokens"].as_array().expect("tokens").iter().map(|t| t["id"].as_str()).collect();
    let tokens = truth.as_array().or_else(|| truth["tokens"].as_array()).expect("tokens");
    let mut wrong = Vec::new();
    for token in tokens {
        let value = token["id"].as_str().expect("an id");
        let id = if token["form"] == "jwt" {
            from_jti("global", "idp", value)
        } else {
            from_presented("global", "idp", value.as_bytes())
        };
        let id = id.expect("a token id");
        let end = if chosen.contains(&Some(value)) { "/events" } else { "" };
        let path = format!("/v1/tokens/{id}{end}?at={until}");
        let answer = server.get(&path, reader);
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        let life = answer.json();
        let expected = match token["final_state"].as_str() {
            Some("revoked") => "REVOKED",
            Some("expired") => "EXPIRED",
            Some("rotated") => "SUPERSEDED",
            Some("active") => "ACTIVE",
            other => panic!("the truth knows a new state {other:?}"),
        };
        if life["happened"]["state"] != expected {
            wrong.push(format!("{id}: {} is not {expected}", life["happened"]["state"]));
        }
        if !end.is_empty() {
            in_order(&id, &life);
            shown.push_str(&answer.text());
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), tokens.len(), wrong.join("\n"));
}

fn in_order(id: &str, life: &Value) {
    let events = life["events"].as_array().expect("events");
    assert_eq!(life["event_count"].as_u64(), Some(events.len() as u64), "{id}");
    for (sequence, event) in events.iter().enumerate() {
        assert_eq!(event["sequence"].as_u64(), Some(sequence as u64), "{id}");
        assert_eq!(event["statement"]["target"]["id"], id, "{id}");
    }
}

/// Looks for every secret and personal value in all files of the ledger, the log, and what was
/// shown.
fn nothing_leaks(server: &Server, shown: &str) {
    let mut needles: BTreeSet<String> = read("secrets.txt").lines().map(str::to_owned).collect();
    let secrets = needles.len();
    for line in read("provider.ndjson").lines().chain(read("resource-server.ndjson").lines()) {
        let line: Value = serde_json::from_str(line).expect("JSON");
        for place in [&line, &line["payload"]] {
            for name in ["ip", "user_agent", "accountId", "account_id", "sub"] {
                needles.extend(place[name].as_str().map(str::to_owned));
            }
        }
    }
    // Of a machine's token `sub` is the client, which is no person.
    needles.retain(|needle| {
        !["web-portal", "mobile-app", "batch-worker", "partner-acme"].contains(&needle.as_str())
    });
    assert!(needles.len() > secrets + 10, "personal values were collected too");
    let mut needles: Vec<Vec<u8>> = needles.iter().flat_map(|needle| forms(needle)).collect();
    needles.sort();
    needles.dedup();
    let mut haystacks = vec![("what was shown".to_owned(), shown.as_bytes().to_vec())];
    let mut folders = vec![server.folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).expect("a folder") {
            let path = item.expect("an item").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                haystacks.push((path.display().to_string(), std::fs::read(path).expect("bytes")));
            }
        }
    }
    for (name, haystack) in &haystacks {
        if let Some(needle) = first_found(haystack, &needles) {
            let needle = String::from_utf8_lossy(&needle[..needle.len().min(8)]).into_owned();
            panic!("a value beginning with {needle:?} is in {name}");
        }
    }
}

/// A value raw, in base64 and percent-encoded.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let percent = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
    let mut forms = vec![value.as_bytes().to_vec(), percent.to_string().into_bytes()];
    forms.push(STANDARD_NO_PAD.encode(value).into_bytes());
    forms.push(URL_SAFE_NO_PAD.encode(value).into_bytes());
    forms.retain(|form| form.len() >= 7);
    forms
}

/// The first needle in the haystack. Needles are grouped by their first four bytes.
fn first_found<'n>(haystack: &[u8], needles: &'n [Vec<u8>]) -> Option<&'n [u8]> {
    let mut by_start = std::collections::HashMap::<&[u8], Vec<&[u8]>>::new();
    for needle in needles {
        by_start.entry(&needle[..4]).or_default().push(needle);
    }
    for (at, start) in haystack.windows(4).enumerate() {
        // Zero-filled room of a segment is skipped quickly.
        if start[0] == 0 {
            continue;
        }
        let Some(candidates) = by_start.get(start) else { continue };
        let found = candidates.iter().find(|needle| haystack[at..].starts_with(needle));
        if let Some(found) = found {
            return Some(found);
        }
    }
    None
}
