//! The questions over HTTP and on the command line: who may ask, what is refused, pages, tenants,
//! and the end of a leaked token.

mod running;

use running::{Server, event, stderr, stdout};
use serde_json::{Value, json};

const ROOT: &str = "eu:idp:jti:r0";

/// All paths of questions about a token, person, session and so on that exist in [`stories`].
fn paths(handle: &str, event: &str) -> Vec<String> {
    let token = |end: &str| format!("/v1/tokens/{ROOT}/{end}");
    let mut list: Vec<String> =
        ["lineage", "resources", "policies", "divergence", "exposure", "blast-radius"]
            .map(token)
            .to_vec();
    list.push(token("lineage?direction=path&to=eu:idp:jti:r2"));
    list.push(format!("/v1/subjects/{handle}/tokens"));
    list.push(format!("/v1/subjects/{handle}/policy-changes?hours=1000000"));
    for holder in ["clients/web", "sessions/s-1", "grants/g-1", "resources/%2Fv1%2Freports"] {
        list.push(format!("/v1/{holder}/tokens"));
    }
    list.push("/v1/policies/finance/versions".into());
    list.push("/v1/pivot?kind=client&value=web".into());
    list.push(format!("/v1/pivot?kind=handle&value={handle}"));
    list.push(format!("/v1/events/idp/{event}/why"));
    list
}

/// A refresh token, its two descendants, accesses and a policy; the person's handle and an event
/// id.
fn stories(server: &Server, key: &str, privacy: &str) -> (String, String) {
    let with = |native: &str, kind: &str, token: &str, more: Value| {
        let mut event = event(native, kind, token);
        let members = event.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        event
    };
    let facts = json!({ "client_id": "web", "session_id": "s-1", "grant_id": "g-1",
        "token_kind": "REFRESH", "expires_at": "2096-01-01T00:00:00Z",
        "policies": [{ "id": "finance", "version": "v1", "role": "GRANT" }],
        "personal": [{ "role": "SUBJECT", "user_id": "alice", "ip": "203.0.113.7" }] });
    let child = |parent: &str, relation: &str| {
        let mut more = facts.clone();
        more["token_kind"] = "ACCESS".into();
        more["links"] = json!([{ "token_id": format!("eu:idp:jti:{parent}"),
            "relation": relation, "strength": "ASSERTED" }]);
        more
    };
    let access = json!({ "resource": "/v1/reports", "service": "reports", "client_id": "web",
        "occurred_at": "2026-01-02T03:05:00Z" });
    let policy = json!({ "native_id": "p1", "type": "POLICY_CHANGED",
        "target": { "kind": "POLICY", "id": "finance" }, "occurred_at": "2026-01-01T00:00:00Z",
        "policies": [{ "id": "finance", "version": "v1" }],
        "policy_change": { "effective_from": "2026-01-01T00:00:00Z" } });
    let verdicts = server.record(
        key,
        &[
            policy,
            with("n0", "ISSUED", "r0", facts.clone()),
            with("n1", "ISSUED", "r1", child("r0", "REFRESHED_FROM")),
            with("n2", "ISSUED", "r2", child("r1", "EXCHANGED_FROM")),
            with("n3", "RESOURCE_ACCESSED", "r1", access.clone()),
            with("n4", "RESOURCE_ACCESSED", "r2", access),
        ],
    );
    let body = json!({ "kind": "PERSON", "issuer": "idp", "value": "alice" });
    let answer = server.post("/v1/resolve", privacy, &body);
    let handle = answer.json()["handle"].as_str().expect("a handle").to_owned();
    (handle, verdicts[3]["event_id"].as_str().expect("an id").to_owned())
}

#[test]
fn every_question_is_asked_by_those_who_may_and_one_tenant_sees_nothing_of_another() {
    let server = Server::start();
    let producer = server.key("ours", "idp", &["producer"]);
    let privacy = server.key("ours", "desk", &["privacy"]);
    let (handle, event) = stories(&server, &producer, &privacy);
    let reader = server.key("ours", "reader", &["reader"]);
    let theirs = server.key("theirs", "reader", &["reader", "responder"]);
    let all = server.key("*", "reader", &["auditor"]);
    for path in paths(&handle, &event) {
        assert_eq!(server.call("GET", &path, None, None).status, 401, "{path}");
        assert_eq!(server.get(&path, &producer).status, 403, "{path}");
        let answer = server.get(&path, &reader);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let answer = answer.json();
        assert_eq!((&answer["tenant"], &answer["cut_by"]), (&json!("ours"), &json!([])), "{path}");
        assert!(answer["checkpoint"].as_str().is_some_and(|note| note.contains("ledgerline")));
        let empty = ["r0/resources", "divergence", "exposure", "policy-changes"];
        let shows = !empty.iter().any(|end| path.contains(end));
        assert_eq!(answer.to_string().contains("proof_state"), shows, "{path}: {answer}");
        for word in ["alice", "203.0.113.7"] {
            assert!(!answer.to_string().contains(word), "{path}: {answer}");
        }
        // What another tenant has is answered like what is not there.
        let absent = server.get(&path, &theirs);
        let ends = ["\"tokens\":[]", "\"changes\":[]", "\"events\":[]"];
        let empty = ends.iter().any(|end| absent.text().contains(end));
        assert!(absent.status == 404 || empty, "{path}: {}", absent.text());
        let separator = if path.contains('?') { '&' } else { '?' };
        let asked = format!("{path}{separator}tenant=ours");
        assert_eq!(server.get(&asked, &theirs).status, 404, "{asked}");
        assert_eq!(server.get(&asked, &all).status, 200, "{asked}");
    }
    let body = json!({ "tenant": "ours" });
    let revoke = format!("/v1/tokens/{ROOT}/blast-radius");
    assert_eq!(server.post(&revoke, &theirs, &body).status, 404);
    assert_eq!(server.post(&revoke, &theirs, &json!({})).status, 404);
    assert_eq!(server.post(&revoke, &reader, &json!({})).status, 403);
    let life = server.get(&format!("/v1/tokens/{ROOT}"), &reader).json();
    assert_eq!(life["event_count"], 1, "nobody revoked it");
}

/// The exit code of `check` on a bundle, and its report.
fn checked(server: &Server, bundle: &[u8]) -> (Option<i32>, Value) {
    let file = server.write("bundle.json", bundle);
    let vkey = server.get("/v1/status", &server.admin).json()["log_key"].clone();
    let vkey = vkey.as_str().expect("a key");
    let file = file.to_str().expect("text");
    let output = running::run(&["check", "-o", "json", "--key", vkey, file], &[], b"");
    (output.status.code(), serde_json::from_str(&stdout(&output)).unwrap_or(Value::Null))
}

/// The bundle with one byte of a leaf changed.
fn with_a_changed_byte(bundle: &[u8], at: usize) -> Vec<u8> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let mut bundle: Value = serde_json::from_slice(bundle).expect("JSON");
    let leaf = &mut bundle["leaves"][at]["leaf"];
    let mut bytes = STANDARD.decode(leaf.as_str().expect("base64")).expect("base64");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    *leaf = STANDARD.encode(bytes).into();
    bundle.to_string().into_bytes()
}

#[test]
fn every_answer_is_proven_offline_and_one_changed_byte_is_noticed() {
    let server = Server::start();
    let producer = server.key("ours", "idp", &["producer"]);
    let privacy = server.key("ours", "desk", &["privacy"]);
    let (handle, event) = stories(&server, &producer, &privacy);
    let reader = server.key("ours", "reader", &["reader"]);
    let theirs = server.key("theirs", "reader", &["reader"]);
    server.wait_for_block();
    for path in paths(&handle, &event) {
        let separator = if path.contains('?') { '&' } else { '?' };
        let asked = format!("{path}{separator}proof=true");
        let answer = server.get(&asked, &reader);
        assert_eq!(answer.status, 200, "{asked}: {}", answer.text());
        assert!(!answer.text().contains("alice"));
        let (exit, report) = checked(&server, &answer.body);
        assert_eq!((exit, &report["verdict"]), (Some(0), &json!("PROVEN")), "{asked}: {report}");
        named_are_shown(&server.get(&path, &reader).json(), &report, &path);
        let entries = report["entries"].as_array().expect("entries");
        let last = entries.last().expect("an entry")["index"].as_str().expect("an index");
        let bundle = answer.json();
        let leaves = bundle["leaves"].as_array().expect("leaves");
        let at = leaves.iter().position(|leaf| leaf["index"] == last).expect("its leaf");
        let (exit, report) = checked(&server, &with_a_changed_byte(&answer.body, at));
        assert_eq!(exit, Some(2), "{asked}: {report}");
        let absent = server.get(&asked, &theirs);
        let nothing = absent.status == 404 || {
            let (exit, report) = checked(&server, &absent.body);
            exit == Some(3) && report["entries"] == json!([])
        };
        assert!(nothing, "{asked}: {}", absent.text());
    }
    let lineage = format!("/v1/tokens/{ROOT}/lineage?proof");
    for (path, code) in [
        (format!("{lineage}=maybe"), "bad_query"),
        (format!("{lineage}=true&page=x"), "bad_query"),
        (format!("{lineage}=false&origin=x"), "bad_query"),
        ("/v1/clients/web/tokens?proof=true&limit=10001".into(), "bad_query"),
    ] {
        let answer = server.get(&path, &reader);
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{path}");
    }
    let elsewhere = server.get(&format!("{lineage}=true&origin=nowhere"), &reader);
    assert_eq!(elsewhere.status, 404);
    // A part of an answer is proven as a part, and says so.
    let part = server.get("/v1/clients/web/tokens?proof=true&limit=1", &reader).json();
    let notes = part["coverage"]["notes"].to_string();
    assert!(notes.contains("cut by limit") && notes.contains("more"), "{notes}");
    a_state_is_recomputed(&server, &producer, &reader);
}

/// Every index that an answer names is among the entries of the report.
fn named_are_shown(answer: &Value, report: &Value, path: &str) {
    fn indexes(value: &Value, found: &mut Vec<u64>) {
        match value {
            Value::Array(list) => list.iter().for_each(|one| indexes(one, found)),
            Value::Object(members) => {
                for (name, member) in members {
                    let index = member.as_u64().filter(|_| name == "index");
                    found.extend(index);
                    indexes(member, found);
                }
            }
            _ => {}
        }
    }
    let mut named = Vec::new();
    indexes(answer, &mut named);
    let shown = report["entries"].as_array().expect("entries");
    let shown: Vec<&str> = shown.iter().filter_map(|one| one["index"].as_str()).collect();
    for index in named {
        assert!(shown.contains(&index.to_string().as_str()), "{index} of {path} in {shown:?}");
    }
}

/// The check finds each token's state out by itself, also what a wider revocation did.
fn a_state_is_recomputed(server: &Server, producer: &str, reader: &str) {
    let mut revoked = event("n20", "REVOKED", "r1");
    revoked["reason"] = "logout".into();
    let session = json!({ "native_id": "n21", "type": "REVOKED", "reason": "logout",
        "target": { "kind": "SESSION", "id": "eu:idp:s-1" },
        "occurred_at": "2026-01-02T04:00:00Z" });
    server.record(producer, &[revoked, session]);
    server.wait_for_block();
    let answer = server.get(&format!("/v1/tokens/{ROOT}/lineage?proof=true"), reader);
    let (exit, report) = checked(server, &answer.body);
    assert_eq!(exit, Some(0), "{report}");
    let lives = report["lives"].as_array().expect("lives");
    assert_eq!(lives.len(), 3, "{report}");
    for life in lives {
        assert_eq!((&life["known"], &life["active"]), (&json!("REVOKED"), &json!(false)));
        assert_eq!(life["covered_by"].as_array().map(Vec::len), Some(1), "{life}");
    }
}

#[test]
fn bad_questions_are_refused_with_a_code() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "privacy"]);
    let (handle, _) = stories(&server, &key, &key);
    let token = format!("/v1/tokens/{ROOT}");
    let lineage = format!("{token}/lineage");
    let resources = format!("{token}/resources");
    let accessed = "/v1/resources/%2Fv1%2Freports/tokens";
    for (path, status, code) in [
        ("/v1/tokens/eu:idp:jti:none/lineage".into(), 404, "not_found"),
        ("/v1/tokens/nonsense/lineage".into(), 400, "bad_token_id"),
        (format!("/v1/tokens/{}/blast-radius", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"), 400, "raw_token"),
        (format!("{lineage}?direction=sideways"), 400, "bad_query"),
        (format!("{lineage}?direction=path"), 400, "bad_query"),
        (format!("{lineage}?to=eu:idp:jti:r1"), 400, "bad_query"),
        (format!("{lineage}?direction=path&to=eu:idp:jti:none"), 404, "not_found"),
        (format!("{lineage}?depth=99999999999999"), 400, "bad_query"),
        (format!("{lineage}?depth=1025"), 400, "bad_query"),
        (format!("{lineage}?depth=-1"), 400, "bad_query"),
        (format!("{lineage}?tokens=0"), 400, "bad_query"),
        (format!("{lineage}?limit=5"), 400, "bad_query"),
        (format!("{lineage}?nonsense=5"), 400, "bad_query"),
        (format!("{lineage}?as_of=999999"), 400, "out_of_range"),
        (format!("{lineage}?as_of=2096-01-01T00:00:00Z"), 400, "out_of_range"),
        (format!("{lineage}?as_of=soon"), 400, "bad_query"),
        (format!("{lineage}?at=yesterday"), 400, "bad_query"),
        (format!("{resources}?from=sometime"), 400, "bad_query"),
        (
            format!("{resources}?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"),
            400,
            "bad_range",
        ),
        (format!("{resources}?of=everything"), 400, "bad_query"),
        (format!("{resources}?limit=1001"), 400, "bad_query"),
        (
            format!("{accessed}?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"),
            400,
            "bad_range",
        ),
        ("/v1/subjects/alice/tokens".into(), 400, "bad_handle"),
        (format!("/v1/subjects/{handle}/policy-changes?hours=0"), 400, "bad_query"),
        ("/v1/policies/none/versions".into(), 404, "not_found"),
        ("/v1/pivot?kind=client".into(), 400, "bad_query"),
        ("/v1/pivot?kind=mood&value=x".into(), 400, "bad_query"),
        ("/v1/events/idp/nonsense/why".into(), 400, "bad_event_id"),
        ("/v1/attachments/nonsense".into(), 400, "bad_digest"),
        (format!("/v1/attachments/sha256:{}", "0".repeat(64)), 404, "not_found"),
    ] {
        let answer = server.get(&path, &key);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
}

#[test]
fn page_tokens_belong_to_their_tenant_and_question_and_pin_the_state() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "privacy"]);
    stories(&server, &key, &key);
    let other = server.key("theirs", "reader", &["reader"]);
    let path = "/v1/clients/web/tokens?limit=2";
    let first = server.get(path, &key).json();
    assert_eq!(first["tokens"].as_array().map(Vec::len), Some(2));
    assert_eq!(first["cut_by"], json!(["limit"]));
    let page = first["next"].as_str().expect("a second page").to_owned();
    let mut later = event("n9", "ISSUED", "r9");
    later["client_id"] = "web".into();
    server.record(&key, &[later]);
    let second = server.get(&format!("{path}&page={page}"), &key).json();
    assert_eq!(second["tokens"].as_array().map(Vec::len), Some(1), "not the later one: {second}");
    assert_eq!((&second["as_of"], &second["next"]), (&first["as_of"], &Value::Null));
    let refused = |path: &str, key: &str| {
        let answer = server.get(path, key);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_page"), "{path}");
    };
    refused(&format!("{path}&page={page}"), &other);
    refused(&format!("/v1/clients/other/tokens?page={page}"), &key);
    refused(&format!("/v1/sessions/web/tokens?page={page}"), &key);
    refused(&format!("{path}&as_of=3&page={page}"), &key);
    let swapped = if page.starts_with('A') { 'B' } else { 'A' };
    refused(&format!("{path}&page={swapped}{}", &page[1..]), &key);
    refused(&format!("{path}&page="), &key);
}

#[test]
fn a_leaked_token_is_shown_and_revoked_with_all_that_came_of_it() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "privacy"]);
    let (handle, event) = stories(&server, &key, &key);
    let responder = server.key("", "desk", &["responder"]);
    let run = |args: &[&str]| {
        let output = server.run(&responder, args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
        stdout(&output)
    };
    let shown = run(&["blast-radius", ROOT]);
    for word in ["descendants", "eu:idp:jti:r2", "/v1/reports", "EXCHANGED_FROM"] {
        assert!(shown.contains(word), "{word} in {shown}");
    }
    let dry = run(&["blast-radius", "--revoke", "--dry-run", "-o", "json", ROOT]);
    let dry: Value = serde_json::from_str(&dry).expect("JSON");
    assert_eq!((&dry["revoked"], &dry["family"]), (&json!(0), &json!(3)), "{dry}");
    let done = run(&["blast-radius", "--revoke", "--reason", "compromise", "-o", "json", ROOT]);
    let done: Value = serde_json::from_str(&done).expect("JSON");
    assert_eq!((&done["revoked"], &done["issuer"]), (&json!(3), &json!("not told")), "{done}");
    for id in ["r0", "r1", "r2"] {
        let life = server.get(&format!("/v1/tokens/eu:idp:jti:{id}/events"), &key).json();
        assert_eq!(life["known"]["state"], "REVOKED", "{life}");
        let last = life["events"].as_array().and_then(|list| list.last()).expect("events");
        assert_eq!(last["statement"]["source"], "desk", "in the responder's name: {last}");
        assert_eq!(last["statement"]["reason"], "compromise");
    }
    let again = run(&["blast-radius", "--revoke", "-o", "json", ROOT]);
    let again: Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!((&again["revoked"], &again["to_revoke"]), (&json!(0), &json!([])), "{again}");
    let radius = run(&["blast-radius", "-o", "json", ROOT]);
    let radius: Value = serde_json::from_str(&radius).expect("JSON");
    assert_eq!(radius["alive"], json!([]));
    // Before the revocation was recorded it was alive.
    let before = dry_size(&server, &key);
    let path = format!("/v1/tokens/{ROOT}/blast-radius?as_of={before}");
    let alive = server.get(&path, &key).json()["alive"].as_array().map(Vec::len);
    assert_eq!(alive, Some(3));
    commands(&run, &handle, &event);
}

/// The size just before the first REVOKED.
fn dry_size(server: &Server, key: &str) -> u64 {
    let life = server.get(&format!("/v1/tokens/{ROOT}/events"), key).json();
    let events = life["events"].as_array().expect("events");
    let revoked = events.iter().find(|event| event["statement"]["type"] == "REVOKED");
    revoked.expect("it was revoked")["index"].as_u64().expect("an index")
}

/// Every command answers for people and for programs.
fn commands(run: &dyn Fn(&[&str]) -> String, handle: &str, event: &str) {
    let event = format!("idp/{event}");
    for (args, word) in [
        (vec!["lineage", ROOT], "REFRESHED_FROM"),
        (vec!["lineage", "--direction", "ancestors", "eu:idp:jti:r2"], "EXCHANGED_FROM"),
        (vec!["lineage", "--to", "eu:idp:jti:r2", ROOT], "->"),
        (vec!["query", "resources", "--from", "birth", "eu:idp:jti:r1"], "/v1/reports"),
        (vec!["query", "resources", "--of", "descendants", "--from", "birth", ROOT], "reports"),
        (vec!["query", "policy-changes", handle, "--hours", "1000000"], "no policy change"),
        (vec!["query", "accessed", "/v1/reports"], "eu:idp:jti:r2"),
        (vec!["query", "policies", ROOT], "finance"),
        (vec!["query", "policy-versions", "finance"], "v1"),
        (vec!["query", "tokens", "--client", "web"], ROOT),
        (vec!["query", "tokens", "--subject", handle], ROOT),
        (vec!["query", "tokens", "--session", "s-1"], ROOT),
        (vec!["query", "tokens", "--grant", "g-1"], ROOT),
        (vec!["query", "divergence", ROOT], "no divergences"),
        (vec!["query", "exposure", "eu:idp:jti:r1"], "reports"),
        (vec!["query", "why", &event], "EXCHANGED_FROM"),
        (vec!["pivot", "client", "web"], "RESOURCE_ACCESSED"),
        (vec!["pivot", "handle", handle], "ISSUED"),
    ] {
        let shown = run(&args);
        assert!(shown.contains(word), "{args:?}: {shown}");
        let json = run(&[&["-o", "json"][..], &args].concat());
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert!(json["checkpoint"].is_string() && json["next"].is_null(), "{args:?}: {json}");
    }
}

#[test]
fn the_index_is_rebuilt_and_compared_on_the_command_line() {
    let mut server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "privacy"]);
    stories(&server, &key, &key);
    let before = server.get(&format!("/v1/tokens/{ROOT}/lineage"), &key).json();
    assert_eq!(server.stop(), Some(0));
    let data = server.path("data").to_str().expect("text").to_owned();
    let output = running::run(&["reindex", "-o", "json", "--data", &data], &[], b"");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert!(report["entries"].as_u64() > Some(10), "{report}");
    let output = running::run(&["verify", "--index", "--data", &data, "-o", "json"], &[], b"");
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let output = running::run(&["verify", "--data", &data], &[], b"");
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let nowhere = running::run(&["reindex", "--data", &format!("{data}-none")], &[], b"");
    assert_eq!(nowhere.status.code(), Some(1));
    server.go();
    let after = server.get(&format!("/v1/tokens/{ROOT}/lineage"), &key).json();
    assert_eq!(before["tokens"][1]["token_id"], after["tokens"][1]["token_id"]);
    assert_eq!(before["edges"].as_array().map(Vec::len), after["edges"].as_array().map(Vec::len));
}
