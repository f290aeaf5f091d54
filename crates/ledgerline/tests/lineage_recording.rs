//! Descent, accesses and blast radius on real input: the recording of an identity provider is
//! ingested through the server, and every token's answers are compared with the ground truth.
//!
//! The recording lies in `tests/recording`; `LEDGERLINE_RECORDING` names another one.

mod recorded;
mod running;

use std::collections::{BTreeMap, BTreeSet};

use ledgerline_proof::token_id::{from_jti, from_presented};
use recorded::recording;
use running::{Server, stderr, stdout};
use serde_json::{Value, json};

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(recording().join(name)).expect(name);
    serde_json::from_str(&text).expect(name)
}

/// The truth, and the ledger's ids of its tokens.
struct Truth {
    tokens: Vec<Value>,
    jwts: BTreeSet<String>,
}

impl Truth {
    fn read() -> Self {
        let tokens = read("truth-all.json")["tokens"].as_array().expect("tokens").clone();
        let jwt = |token: &&Value| token["form"] == "jwt";
        let value = |token: &Value| token["id"].as_str().expect("an id").to_owned();
        let jwts = tokens.iter().filter(jwt).map(value).collect();
        Self { tokens, jwts }
    }

    fn id(&self, value: &Value) -> String {
        let value = value.as_str().expect("an id");
        let id = if self.jwts.contains(value) {
            from_jti("global", "idp", value)
        } else {
            from_presented("global", "idp", value.as_bytes())
        };
        id.expect("a token id")
    }

    /// `(id, depth, relation)` of a list of relatives.
    fn relatives(&self, list: &Value) -> BTreeSet<(String, u64, String)> {
        let one = |relative: &Value| {
            let relation = match relative["relation"].as_str() {
                Some("minted_by") => "FROM_CODE",
                Some("refreshed_from") => "REFRESHED_FROM",
                Some("rotated_from") => "ROTATED_FROM",
                Some("exchanged_from") => "EXCHANGED_FROM",
                other => panic!("the truth knows a new relation {other:?}"),
            };
            let depth = relative["depth"].as_u64().expect("a depth");
            (self.id(&relative["id"]), depth, relation.to_owned())
        };
        list.as_array().expect("a list").iter().map(one).collect()
    }
}

fn started() -> (Server, String) {
    let server = Server::start();
    let producer = server.key("", "idp-log", &["producer"]);
    let files = ["provider.ndjson", "resource-server.ndjson", "policies.ndjson"];
    let files = files.map(|name| recording().join(name).to_str().expect("text").to_owned());
    let mut args = vec!["ingest", "-o", "json", "--adapter", "oidc-provider"];
    args.extend(files.iter().map(String::as_str));
    let output = server.run(&producer, &args);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let reader = server.key("", "reader", &["reader", "privacy"]);
    (server, reader)
}

fn answer(server: &Server, key: &str, path: &str) -> Value {
    let answer = server.get(path, key);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let json = answer.json();
    assert_eq!(json["cut_by"], json!([]), "{path}: {json}");
    json
}

fn shown(lineage: &Value) -> BTreeSet<(String, u64, String)> {
    let tokens = lineage["tokens"].as_array().expect("tokens").iter().skip(1);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let one = |token: &Value| {
        let depth = token["depth"].as_u64().expect("a depth");
        (text(&token["token_id"]), depth, text(&token["relation"]))
    };
    tokens.map(one).collect()
}

#[test]
fn descent_accesses_and_blast_radius_agree_with_the_truth() {
    let (server, reader) = started();
    let truth = Truth::read();
    let mut wrong = Vec::new();
    for token in &truth.tokens {
        let id = truth.id(&token["id"]);
        for direction in ["ancestors", "descendants"] {
            let path = format!("/v1/tokens/{id}/lineage?direction={direction}");
            let found = answer(&server, &reader, &path);
            if shown(&found) != truth.relatives(&token[direction]) {
                wrong.push(format!("{id} {direction}: {:?}", shown(&found)));
            }
        }
        let found = accesses(&server, &reader, &id, "from=1970-01-01T00:00:00Z&until=end");
        let expected = expected_accesses(&token["accesses"]);
        if found != expected {
            wrong.push(format!("{id} accesses: {found:?} not {expected:?}"));
        }
    }
    let shown = wrong.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} wrong:\n{shown}", wrong.len());
    questions(&server, &reader, &truth);
    blasts(&server, &reader, &truth);
}

type Access = (String, String, String);

/// What the resource server let in or refused, in event time.
fn accesses(server: &Server, key: &str, id: &str, range: &str) -> Vec<Access> {
    let path = format!("/v1/tokens/{id}/resources?limit=1000&{range}");
    let found = answer(server, key, &path);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let list = found["accesses"].as_array().expect("accesses").iter();
    let served = list.filter(|access| !access["service"].is_null());
    let mut list: Vec<Access> = served
        .map(|one| (text(&one["occurred_at"]), text(&one["service"]), text(&one["outcome"])))
        .collect();
    list.sort();
    list
}

fn expected_accesses(list: &Value) -> Vec<Access> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut list: Vec<Access> = list
        .as_array()
        .expect("accesses")
        .iter()
        .map(|one| {
            let outcome = text(&one["decision"]).to_uppercase();
            (whole_millis(&text(&one["time"])), text(&one["service"]), outcome)
        })
        .collect();
    list.sort();
    list
}

/// The ledger leaves out a fraction that is zero.
fn whole_millis(time: &str) -> String {
    time.replace(".000Z", "Z")
}

fn resolve(server: &Server, key: &str, kind: &str, issuer: &str, value: &str) -> String {
    let body = json!({ "kind": kind, "issuer": issuer, "value": value });
    let answer = server.post("/v1/resolve", key, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["handle"].as_str().expect("a handle").to_owned()
}

fn ids(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|token| token["token_id"].as_str().expect("an id").to_owned()).collect()
}

/// The questions that the recording itself answers.
fn questions(server: &Server, reader: &str, truth: &Truth) {
    let questions = read("truth.json")["questions"].clone();
    let until = read("truth.json")["recorded_until"].as_str().expect("a time").to_owned();
    for one in questions["tokens_that_accessed"].as_array().expect("questions") {
        let text = |name: &str| one[name].as_str().expect("text");
        let concrete = format!("{}{}", text("service"), text("path"));
        let handle = resolve(server, reader, "RESOURCE", "", &concrete);
        // The truth's range includes its end.
        let end = text("t2").replace('Z', "000001Z");
        let range = format!("from={}&until={end}", text("t1"));
        let path = format!("/v1/resources/{handle}/tokens?limit=1000&{range}");
        let found = answer(server, reader, &path);
        let expected = |name: &str| {
            let list = one[name].as_array().expect("tokens").iter();
            list.map(|id| truth.id(id)).collect::<BTreeSet<_>>()
        };
        let mut allowed = BTreeSet::new();
        let mut denied = BTreeSet::new();
        for token in found["tokens"].as_array().expect("tokens") {
            let id = token["token_id"].as_str().expect("an id").to_owned();
            if token["allowed"] == 0 {
                denied.insert(id)
            } else {
                allowed.insert(id)
            };
        }
        assert_eq!(allowed, expected("tokens_allowed"), "{concrete}");
        assert_eq!(denied, expected("tokens_denied_only"), "{concrete}");
        let paged = pages(server, reader, &path.replace("limit=1000", "limit=3"), "tokens");
        assert_eq!(paged, ids(&found["tokens"]), "{concrete}");
    }
    for one in questions["policy_changes_affecting_user"].as_array().expect("questions") {
        let user = one["sub"].as_str().expect("a user");
        let handle = resolve(server, reader, "PERSON", "idp", user);
        let path = format!("/v1/subjects/{handle}/policy-changes?hours=1&until={until}");
        let found = answer(server, reader, &path);
        let mut changes = BTreeMap::new();
        for change in found["changes"].as_array().expect("changes") {
            let name = |name: &str| change[name].as_str().expect("text");
            let policy = format!("{}@{}", name("policy"), name("version"));
            // The truth speaks of access tokens only; a refresh token lives longer.
            let tokens = change["tokens"].as_array().expect("tokens").iter();
            let access = tokens.filter(|token| token["happened"]["token_kind"] == "ACCESS");
            let access = ids(&access.cloned().collect());
            if !access.is_empty() {
                changes.insert(policy, access);
            }
        }
        let mut expected = BTreeMap::new();
        for change in one["changes"].as_array().expect("changes") {
            let tokens = change["tokens"].as_array().expect("tokens").iter();
            let policy = change["policy"].as_str().expect("a policy").to_owned();
            expected.insert(policy, tokens.map(|id| truth.id(id)).collect::<BTreeSet<_>>());
        }
        assert_eq!(changes, expected, "{user}");
    }
    for token in truth.tokens.iter().step_by(97) {
        let path = format!("/v1/tokens/{}/policies", truth.id(&token["id"]));
        let found = answer(server, reader, &path);
        let in_force = found["in_force"].as_array().expect("policies").iter();
        let in_force: BTreeMap<_, _> = in_force
            .map(|one| (one["policy"].as_str(), one["version"].as_str().map(str::to_owned)))
            .collect();
        let expected = token["policies_at_issue"].as_object().expect("policies").iter();
        let expected: BTreeMap<_, _> =
            expected.map(|(id, version)| (Some(id.as_str()), Some(version.to_string()))).collect();
        assert_eq!(in_force, expected, "{path}");
    }
}

/// The ids on all pages of an answer; each once.
fn pages(server: &Server, key: &str, path: &str, list: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut page = server.get(path, key).json();
    loop {
        for id in ids(&page[list]) {
            assert!(found.insert(id.clone()), "{id} stands on two pages of {path}");
        }
        let Some(next) = page["next"].as_str() else { return found };
        page = server.get(&format!("{path}&page={next}"), key).json();
    }
}

fn blasts(server: &Server, reader: &str, truth: &Truth) {
    let questions = read("truth.json")["questions"].clone();
    let until = read("truth.json")["recorded_until"].as_str().expect("a time").to_owned();
    for one in questions["blast_radius"].as_array().expect("questions") {
        let id = truth.id(&one["token"]);
        let found = answer(server, reader, &format!("/v1/tokens/{id}/blast-radius?at={until}"));
        assert_eq!(found["descendants"], one["descendants"], "{id}");
        assert_eq!(found["clients"], one["clients"], "{id}");
        assert_eq!(found["allowed"], one["allowed_accesses"], "{id}");
        let alive = found["alive"].as_array().expect("ids");
        let expected = one["still_alive"].as_array().expect("ids");
        assert_eq!(alive.len(), expected.len(), "{id}: {alive:?}");
        let allowed = |one: &&Value| one["allowed"] != 0 && one["service"].is_string();
        let resources = found["resources"].as_array().expect("resources").iter().filter(allowed);
        let handles: BTreeSet<_> =
            resources.map(|one| one["resource_handle"].as_str().expect("a handle")).collect();
        let expected: BTreeSet<_> = one["resources_accessed"]
            .as_array()
            .expect("resources")
            .iter()
            .map(|name| {
                let concrete = name.as_str().expect("text").replace(' ', "");
                resolve(server, reader, "RESOURCE", "", &concrete)
            })
            .collect();
        assert_eq!(handles, expected.iter().map(String::as_str).collect(), "{id}");
        let family: BTreeSet<_> = ids(&found["tokens"]);
        let listed = truth.tokens.iter().find(|token| token["id"] == one["token"]);
        let mut expected: BTreeSet<_> = truth
            .relatives(&listed.expect("the token is in the truth")["descendants"])
            .into_iter()
            .map(|(id, ..)| id)
            .collect();
        expected.insert(id.clone());
        assert_eq!(family, expected, "the blast radius lists exactly the family");
    }
}

/// The night of an incident responder: a leaked refresh token is pasted in; its family and what it
/// reached are shown; whatever is alive is revoked; the evidence is checked by somebody who holds
/// the log's key only. The recording's own tokens have run out long ago, so the thief refreshes the
/// stolen token once more, tonight.
#[test]
fn a_leaked_token_is_traced_revoked_and_proven_in_one_night() {
    let (server, reader) = started();
    let truth = Truth::read();
    let stolen = read("truth.json")["questions"]["blast_radius"][0]["token"].clone();
    let raw = stolen.as_str().expect("the bearer value").to_owned();
    let id = truth.id(&stolen);
    let producer = server.key("", "idp-log", &["producer"]);
    let tonight = json!({
        "native_id": "tonight", "type": "ISSUED", "token_id": "global:idp:jti:tonight",
        "occurred_at": "2026-11-22T06:00:00Z", "expires_at": "2096-01-01T00:00:00Z",
        "issuer": "idp", "token_kind": "ACCESS",
        "links": [{ "token_id": id, "relation": "REFRESHED_FROM", "strength": "ASSERTED" }],
    });
    server.record(&producer, &[tonight]);
    server.wait_for_block();
    let listed = truth.tokens.iter().find(|token| token["id"] == stolen).expect("in the truth");
    let descendants = truth.relatives(&listed["descendants"]).into_iter().map(|(id, ..)| id);
    let mut expected: BTreeSet<String> = descendants.collect();
    expected.extend([id.clone(), "global:idp:jti:tonight".to_owned()]);

    let responder = server.key("", "desk", &["responder"]);
    let paste = |key: &str, args: &[&str], input: &str| {
        let output = server.run_with(key, args, input.as_bytes());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        let shown = stdout(&output);
        assert!(!shown.contains(&raw) && !stderr(&output).contains(&raw), "{args:?}");
        serde_json::from_str::<Value>(&shown).expect("JSON")
    };
    let lineage = ["lineage", "-o", "json", "--direction", "descendants", "-"];
    assert_eq!(ids(&paste(&reader, &lineage, &raw)["tokens"]), expected);
    let radius = ["blast-radius", "-o", "json", "-"];
    let before = paste(&responder, &radius, &raw);
    assert_eq!(ids(&before["tokens"]), expected);
    assert!(before["allowed"].as_u64() > Some(0) && before["resources"][0].is_object());
    assert_eq!(before["alive"], json!(["global:idp:jti:tonight"]));

    let bundle = server.path("evidence.json").to_str().expect("text").to_owned();
    let revoke =
        ["blast-radius", "-o", "json", "--revoke", "--proof", &bundle, "--reason", "compromise"];
    let done = paste(&responder, &[&revoke[..], &["-"]].concat(), &raw);
    assert_eq!(done["revoked"].as_u64(), done["to_revoke"].as_array().map(|all| all.len() as u64));
    assert!(done["revoked"].as_u64() >= Some(1), "{done}");
    assert_eq!(paste(&responder, &radius, &raw)["alive"], json!([]));
    for member in &expected {
        let life = server.get(&format!("/v1/tokens/{member}"), &reader).json();
        assert_eq!(life["known"]["active"], false, "{member}");
    }

    let vkey = server.get("/v1/status", &server.admin).json()["log_key"].clone();
    let vkey = vkey.as_str().expect("a key");
    let check = |file: &str| {
        let output = running::run(&["check", "-o", "json", "--key", vkey, file], &[], b"");
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap_or(Value::Null);
        (output.status.code(), report)
    };
    let (exit, report) = check(&bundle);
    assert_eq!(exit, Some(0), "{report}");
    let lives = report["lives"].as_array().expect("lives");
    let shown: BTreeSet<String> =
        lives.iter().map(|life| life["ids"][0].as_str().expect("an id").to_owned()).collect();
    assert_eq!(shown, expected, "the bundle proves the life of every member");
    assert!(lives.iter().all(|life| life["active"] == false));
    // Each other command writes its proof too.
    for args in [
        vec!["lineage", &id],
        vec!["trace", &id],
        vec!["query", "resources", "--of", "descendants", "--from", "birth", &id],
        vec!["query", "exposure", &id],
        vec!["query", "after-revoke", "global:idp:jti:tonight"],
        vec!["query", "tokens", "--client", listed["client_id"].as_str().expect("a client")],
    ] {
        let output = server.run(&reader, &[&args[..], &["--proof", &bundle, "--force"]].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        let (exit, report) = check(&bundle);
        assert_eq!(exit, Some(0), "{args:?}: {}", report["claims"]);
    }
    let text = std::fs::read_to_string(&bundle).expect("the bundle");
    let mut forged: Value = serde_json::from_str(&text).expect("JSON");
    let leaf = forged["leaves"][3]["leaf"].as_str().expect("base64").to_owned();
    let middle = leaf.len() / 2;
    let other = if leaf.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let changed = format!("{}{other}{}", &leaf[..middle], &leaf[middle + 1..]);
    forged["leaves"][3]["leaf"] = changed.into();
    std::fs::write(&bundle, forged.to_string()).expect("written");
    assert_eq!(check(&bundle).0, Some(2));
}
