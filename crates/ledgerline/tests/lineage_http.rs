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
    list.push(token("after-revoke"));
    list.push(token("lineage?direction=family&strength=joined"));
    list.push("/v1/after-revoke?from=2026-01-01T00:00:00Z&until=2096-01-01T00:00:00Z".into());
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
        let empty = ["r0/resources", "divergence", "exposure", "policy-changes", "after-revoke"];
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
        if path.starts_with("/v1/after-revoke") {
            // Nothing is revoked yet; see below.
            assert_eq!(checked(&server, &answer.body).0, Some(3));
            continue;
        }
        let (exit, report) = checked(&server, &answer.body);
        assert_eq!((exit, &report["verdict"]), (Some(0), &json!("PROVEN")), "{asked}: {report}");
        named_are_shown(&server.get(&path, &reader).json(), &report, &path);
        let entries = report["entries"].as_array().expect("entries");
        let last =
            entries.last().expect("an entry")["index"].as_u64().expect("an index").to_string();
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
    let shown: Vec<u64> = shown.iter().filter_map(|one| one["index"].as_u64()).collect();
    for index in named {
        assert!(shown.contains(&index), "{index} of {path} in {shown:?}");
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
        (format!("{lineage}?strength=guessed"), 400, "bad_query"),
        (format!("{resources}?strength=joined"), 400, "bad_query"),
        ("/v1/after-revoke?from=2026-01-01T00:00:00Z".into(), 400, "bad_query"),
        (
            "/v1/after-revoke?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z".into(),
            400,
            "bad_range",
        ),
        ("/v1/tokens/eu:idp:jti:none/after-revoke".into(), 404, "not_found"),
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
        (vec!["query", "why", &event, "--wait", "30"], "EXCHANGED_FROM"),
        (vec!["query", "after-revoke", ROOT], "1 revoked"),
        (vec!["lineage", "--strength", "joined", ROOT], "REFRESHED_FROM"),
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

#[test]
fn what_is_joined_is_followed_only_when_asked_for() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "privacy"]);
    stories(&server, &key, &key);
    let mut other = event("n30", "ISSUED", "j1");
    other["grant_id"] = "g-1".into();
    other["family_id"] = "f-1".into();
    let mut kin = event("n31", "ISSUED", "j2");
    kin["family_id"] = "eu:idp:f-1".into();
    let mut guess = event("n32", "ISSUED", "j3");
    guess["links"] = json!([{ "token_id": "eu:idp:jti:j2", "relation": "REFRESHED_FROM",
        "strength": "INFERRED", "why": "the same second" }]);
    server.record(&key, &[other, kin, guess]);
    let ids = |path: &str| -> Vec<String> {
        let answer = server.get(&format!("/v1/tokens/{path}"), &key).json();
        let tokens = answer["tokens"].as_array().expect("tokens").iter();
        let mut ids: Vec<_> =
            tokens.map(|one| one["token_id"].as_str().expect("an id")[11..].to_owned()).collect();
        ids.sort();
        ids
    };
    let stated = ["r0", "r1", "r2"];
    assert_eq!(ids(&format!("{ROOT}/lineage?direction=family")), stated);
    assert_eq!(ids(&format!("{ROOT}/lineage?strength=asserted")), stated);
    assert_eq!(ids(&format!("{ROOT}/blast-radius")), stated);
    let all = ["j1", "j2", "j3", "r0", "r1", "r2"];
    assert_eq!(ids(&format!("{ROOT}/lineage?strength=joined")), all);
    assert_eq!(ids(&format!("{ROOT}/blast-radius?strength=joined")), all);
    assert_eq!(ids("eu:idp:jti:j2/lineage"), ["j2", "j3"], "what a source infers it states");
    assert_eq!(ids("eu:idp:jti:j2/lineage?strength=asserted"), ["j2"]);
    let path = format!("/v1/tokens/{ROOT}/lineage?strength=joined");
    let answer = server.get(&path, &key).json();
    let edges = answer["edges"].as_array().expect("edges");
    let edge = |child: &str| {
        let id = format!("eu:idp:jti:{child}");
        edges.iter().find(|edge| edge["child"] == id).expect(child)
    };
    for (child, strength, why) in [
        ("j1", "JOINED", json!("same grant_id eu:idp:g-1")),
        ("j2", "JOINED", json!("same family_id eu:idp:f-1")),
        ("j3", "INFERRED", json!("the same second")),
        ("r1", "ASSERTED", Value::Null),
    ] {
        let edge = edge(child);
        assert_eq!((&edge["strength"], &edge["why"]), (&json!(strength), &why), "{edge}");
    }
    // A path may go over a join, and says so.
    let path = format!("/v1/tokens/{ROOT}/lineage?direction=path&to=eu:idp:jti:j3");
    assert_eq!(server.get(&path, &key).status, 404);
    let steps = server.get(&format!("{path}&strength=joined"), &key).json()["steps"].clone();
    assert_eq!(steps.as_array().map(Vec::len), Some(3), "{steps}");
}

#[test]
fn after_a_revocation_each_place_has_its_gap() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "privacy"]);
    let other = server.key("theirs", "reader", &["reader"]);
    let at = |native: &str, kind: &str, token: &str, second: u32, service: &str, outcome: &str| {
        let mut event = event(native, kind, token);
        event["occurred_at"] = format!("2026-01-02T04:00:{second:02}Z").into();
        event["outcome"] = outcome.into();
        if !service.is_empty() {
            event["service"] = service.into();
        }
        event
    };
    let mut born = at("a0", "ISSUED", "a1", 0, "", "ALLOW");
    born["session_id"] = "s-9".into();
    let session = json!({ "native_id": "a9", "type": "REVOKED",
        "target": { "kind": "SESSION", "id": "eu:idp:s-9" },
        "occurred_at": "2026-01-02T04:00:10Z" });
    server.record(
        &key,
        &[
            born,
            at("a1", "USED", "a1", 5, "slow", "ALLOW"),
            session,
            at("a2", "USED", "a1", 12, "slow", "ALLOW"),
            at("a3", "USED", "a1", 15, "slow", "ALLOW"),
            at("a4", "USED", "a1", 19, "slow", "DENY"),
            at("a5", "USED", "a1", 11, "fast", "DENY"),
            at("b0", "ISSUED", "b1", 0, "", "ALLOW"),
            at("b1", "REVOKED", "b1", 30, "", "ALLOW"),
            at("b2", "USED", "b1", 33, "slow", "ALLOW"),
            at("c0", "ISSUED", "c1", 0, "", "ALLOW"),
            at("c1", "USED", "c1", 59, "slow", "ALLOW"),
        ],
    );
    let one = server.get("/v1/tokens/eu:idp:jti:a1/after-revoke", &key).json();
    let place = |answer: &Value, name: &str| {
        let mut places = answer["places"].as_array().expect("places").iter();
        places.find(|place| place["service"] == name).cloned().expect("the place")
    };
    let slow = place(&one, "slow");
    assert_eq!((&slow["allowed"], &slow["refused"]), (&json!(2), &json!(1)), "{slow}");
    assert_eq!((&slow["gap_ms"], &one["p99_ms"]), (&json!(5000.0), &json!(5000.0)));
    assert_eq!(slow["last_allow"]["occurred_at"], "2026-01-02T04:00:15Z");
    assert_eq!(place(&one, "fast")["gap_ms"], json!(0.0), "it only refused");
    assert_eq!((&one["gaps"], &one["p50_ms"]), (&json!(2), &json!(0.0)));
    let path = "/v1/after-revoke?from=2026-01-02T04:00:10Z&until=2026-01-02T04:00:31Z";
    let all = server.get(path, &key).json();
    assert_eq!((&all["revoked"], &all["gaps"]), (&json!(2), &json!(3)), "{all}");
    assert_eq!((&all["p50_ms"], &all["p99_ms"]), (&json!(3000.0), &json!(5000.0)));
    assert_eq!(place(&all, "slow")["tokens"], 2);
    let early = server.get(&path.replace(":31Z", ":30Z"), &key).json();
    assert_eq!(early["revoked"], 1, "the end is not in the range");
    let few = server.get(&format!("{path}&tokens=1"), &key).json();
    assert_eq!((&few["revoked"], &few["cut_by"]), (&json!(1), &json!(["tokens"])));
    assert_eq!(server.get(path, &other).json()["revoked"], 0, "of another tenant nothing");
    let alive = server.get("/v1/tokens/eu:idp:jti:c1/after-revoke", &key).json();
    assert_eq!((&alive["revoked"], &alive["places"]), (&json!(0), &json!([])));
    server.wait_for_block();
    let proof = server.get(&format!("{path}&proof=true"), &key);
    let (exit, report) = checked(&server, &proof.body);
    assert_eq!(exit, Some(0), "{report}");
    assert_eq!(report["lives"].as_array().map(Vec::len), Some(2));
    // What the rules noticed about it is proven like everything else.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let found = |answer: &Value| answer["findings"].as_array().is_some_and(|all| !all.is_empty());
    while !found(&server.get("/v1/findings", &key).json()) {
        assert!(std::time::Instant::now() < until, "no finding of a use after revocation");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    server.wait_for_block();
    let proof = server.get("/v1/findings?proof=true", &key);
    assert_eq!(checked(&server, &proof.body).0, Some(0), "{}", proof.text());
    let range = ["--from", "2026-01-02T04:00:00Z", "--until", "2026-01-03T00:00:00Z"];
    let shown = server.run(&key, &[&["query", "after-revoke"][..], &range].concat());
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    assert!(stdout(&shown).contains("p99 5000"), "{}", stdout(&shown));
}

#[test]
fn scopes_are_judged_by_the_snapshot_that_was_in_force() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "privacy"]);
    let change = |native: &str, policy: &str, version: &str, from: &str, snapshot: &str| {
        let digest = ledgerline_proof::hash::sha256(snapshot.as_bytes()).to_hex();
        let digest = format!("sha256:{digest}");
        json!({ "native_id": native, "type": "POLICY_CHANGED",
            "target": { "kind": "POLICY", "id": policy }, "occurred_at": from,
            "policies": [{ "id": policy, "version": version, "digest": digest }],
            "policy_change": { "effective_from": from, "snapshot": digest },
            "attachments": [{ "digest": digest, "media_type": "application/json",
                "data": STANDARD.encode(snapshot) }] })
    };
    let (before, after) = ("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z");
    let token = |native: &str, token: &str, policy: &str, role: &str| {
        let mut event = event(native, "ISSUED", token);
        event["scopes"] = json!(["read", "write"]);
        event["policies"] = json!([{ "id": policy, "version": "v1", "role": role }]);
        event
    };
    server.record(
        &key,
        &[
            change("p1", "narrow", "v1", before, r#"{"scopes":["read"]}"#),
            change("p2", "narrow", "v2", after, r#"{"scopes":["read","write"]}"#),
            change("p3", "wide", "v1", before, r#"{"scopes":["read","write","admin"]}"#),
            change("p4", "foreign", "v1", before, "permit (principal, action, resource);"),
            token("t1", "t1", "narrow", "GRANT"),
            token("t2", "t2", "wide", "BOUNDARY"),
            token("t3", "t3", "foreign", "GRANT"),
            token("t4", "t4", "narrow", "MFA"),
            token("t5", "t5", "unheard", "GRANT"),
        ],
    );
    let form = "the snapshot is not of the form {\"scopes\": [\"…\"]}";
    let part = "its part is not to say which scopes are allowed";
    for (id, over, beyond, why) in [
        ("t1", json!(true), json!(["write"]), Value::Null),
        ("t2", json!(false), Value::Null, Value::Null),
        ("t3", Value::Null, Value::Null, json!(form)),
        ("t4", Value::Null, Value::Null, json!(part)),
        ("t5", Value::Null, Value::Null, json!("no version of it was in force")),
    ] {
        let path = format!("/v1/tokens/eu:idp:jti:{id}/policies");
        let answer = server.get(&path, &key).json();
        assert_eq!(answer["over_privileged"], over, "{answer}");
        let judged = &answer["privileges"][0];
        assert_eq!((&judged["beyond"], &judged["why"]), (&beyond, &why), "{answer}");
    }
    server.wait_for_block();
    let proof = server.get("/v1/tokens/eu:idp:jti:t1/policies?proof=true", &key);
    assert_eq!(checked(&server, &proof.body).0, Some(0));
    let snapshots = proof.json()["attachments"].as_array().map(Vec::len);
    assert!(snapshots >= Some(1), "the snapshot goes with it: {snapshots:?}");
}

#[test]
fn leaked_tokens_are_told_apart_and_never_leave_the_machine() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    use ledgerline_proof::token_id::from_presented;
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader", "privacy"]);
    let theirs = server.key("theirs", "reader", &["reader"]);
    let jwt = |payload: &str| {
        let head = BASE64.encode(br#"{"alg":"ES256"}"#);
        format!("{head}.{}.c2lnbmF0dXJlLW9mLXRoZS1sZWFr", BASE64.encode(payload))
    };
    let dead = "dead-opaque-value-0123456789abcdef".to_owned();
    let alive = "alive-opaque-value-0123456789abcdef".to_owned();
    let (known, stranger) = (jwt(r#"{"jti":"leak-1"}"#), jwt(r#"{"jti":"leak-2"}"#));
    let id = |token: &str| from_presented("eu", "idp", token.as_bytes()).expect("an id");
    let born = |native: &str, id: &str| {
        let mut event = event(native, "ISSUED", "x");
        event["token_id"] = id.into();
        event["client_id"] = "web".into();
        event["expires_at"] = "2096-01-01T00:00:00Z".into();
        event["personal"] = json!([{ "role": "SUBJECT", "user_id": "alice" }]);
        event
    };
    let mut used = born("l4", &id(&alive));
    used["type"] = "USED".into();
    used["occurred_at"] = "2026-01-02T05:00:00Z".into();
    let mut revoked = event("l5", "REVOKED", "x");
    revoked["token_id"] = id(&dead).into();
    let jti = "eu:idp:jti:leak-1";
    let events = [born("l1", &id(&dead)), born("l2", &id(&alive)), born("l3", jti), used, revoked];
    server.record(&key, &events);
    let unknown = "never-recorded-value-0123456789abc".to_owned();
    let raw = [dead, unknown, known, alive, stranger];
    let file = server.folder.path().parent().expect("a folder");
    let file = file.join(format!("leak-{}.txt", std::process::id()));
    let lines = format!("{}\n\nshort\neu:idp:jti:leak-1\r\n", raw.join("\n"));
    std::fs::write(&file, &lines).expect("a file");
    let ask = |key: &str, more: &[&str]| {
        let name = file.to_str().expect("text");
        let args = [&["query", "triage", "-o", "json", "--region", "eu"][..], more, &[name]];
        let output = server.run(key, &args.concat());
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        let shown = stdout(&output);
        for raw in &raw {
            assert!(!shown.contains(raw.as_str()) && !stderr(&output).contains(raw.as_str()));
        }
        serde_json::from_str::<Value>(&shown).expect("JSON")
    };
    let lines_of = |answer: &Value| -> Vec<(u64, String)> {
        let tokens = answer["tokens"].as_array().expect("tokens").iter();
        let word = |one: &Value| match one["alive"].as_bool() {
            Some(true) => "alive".to_owned(),
            Some(false) => "dead".to_owned(),
            None => one["status"].as_str().expect("a status").to_owned(),
        };
        tokens.map(|one| (one["line"].as_u64().expect("a line"), word(one))).collect()
    };
    let own = |list: &[(u64, &str)]| -> Vec<(u64, String)> {
        list.iter().map(|(line, word)| (*line, (*word).to_owned())).collect()
    };
    let answer = ask(&key, &["--jti"]);
    let expected = [
        (3, "alive"),
        (4, "alive"),
        (8, "alive"),
        (1, "dead"),
        (2, "unknown"),
        (5, "unknown"),
        (7, "weak"),
    ];
    assert_eq!(lines_of(&answer), own(&expected), "{answer}");
    let first = &answer["tokens"][1];
    assert_eq!((&first["client_id"], &first["state"]), (&json!("web"), &json!("ACTIVE")));
    assert_eq!(first["last_used_at"], "2026-01-02T05:00:00Z");
    assert_eq!(first["owner"].as_str().map(str::len), Some(32), "{first}");
    let answer = ask(&key, &[]);
    assert_eq!(answer["unknown"], 3, "a JWT known by its jti only is found with --jti");
    assert_eq!(ask(&theirs, &["--jti"])["unknown"], 6, "another tenant knows none");
    let piped = server.run_with(&key, &["query", "triage", "-"], lines.as_bytes());
    assert_eq!(piped.status.code(), Some(4), "{}", stderr(&piped));
    triage_is_proven(&server, &key, &file);
    std::fs::remove_file(&file).expect("the file goes");
    let long = server.run_with(&key, &["query", "triage", "-"], &[b'x'; 70_000]);
    assert_eq!(long.status.code(), Some(3), "not read, and nothing is said of it");
    assert!(!stderr(&long).contains("xxx"), "{}", stderr(&long));
    for (body, status) in [
        (json!({ "tokens": [{}] }), 400),
        (json!({ "tokens": [{ "digest": raw[0] }] }), 400),
        (json!({ "tokens": [{ "id": raw[0] }] }), 400),
        (json!({ "tokens": [{ "token": raw[0] }] }), 400),
        (json!({ "tokens": vec![json!({ "id": jti }); 501] }), 422),
    ] {
        let answer = server.post("/v1/triage", &key, &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(!answer.text().contains(&raw[0]));
    }
    nowhere_in(server.folder.path(), &raw);
}

/// Those that are known are shown with their whole lives; of the others nothing is claimed.
fn triage_is_proven(server: &Server, key: &str, leaked: &std::path::Path) {
    server.wait_for_block();
    let out = leaked.with_extension("bundle");
    let (leaked, proof) = (leaked.to_str().expect("text"), out.to_str().expect("text"));
    let args = ["query", "triage", "--region", "eu", "--jti", "--proof", proof, leaked];
    let output = server.run(key, &args);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stdout(&output).contains(proof), "{}", stdout(&output));
    let bundle = std::fs::read(&out).expect("a bundle");
    std::fs::remove_file(&out).expect("the bundle goes");
    let (exit, report) = checked(server, &bundle);
    assert_eq!((exit, &report["verdict"]), (Some(0), &json!("PROVEN")), "{report}");
    let lives = report["lives"].as_array().expect("lives").iter();
    let known: Vec<&str> = lives.map(|life| life["known"].as_str().expect("a state")).collect();
    assert_eq!(known.iter().filter(|state| **state == "REVOKED").count(), 1, "{report}");
    assert_eq!(known.len(), 3, "{report}");
    let bundle: Value = serde_json::from_slice(&bundle).expect("JSON");
    let notes = bundle["coverage"]["notes"].to_string();
    assert!(notes.contains("4 of the 6 tokens"), "{notes}");
    let last = bundle["leaves"].as_array().expect("leaves").len() - 1;
    let bytes = serde_json::to_vec(&bundle).expect("JSON");
    assert_eq!(checked(server, &with_a_changed_byte(&bytes, last)).0, Some(2));
    let many = leaked.to_owned() + ".many";
    std::fs::write(&many, "eu:idp:jti:leak-1\n".repeat(501)).expect("a file");
    let output = server.run(key, &["query", "triage", "--proof", proof, &many]);
    std::fs::remove_file(&many).expect("the file goes");
    assert_eq!(output.status.code(), Some(64), "{}", stderr(&output));
    assert!(stderr(&output).contains("in parts"), "{}", stderr(&output));
    assert!(!out.exists());
}

/// No raw token in any file of the server: data, keys, log.
fn nowhere_in(folder: &std::path::Path, raw: &[String]) {
    for item in std::fs::read_dir(folder).expect("a folder") {
        let path = item.expect("an item").path();
        if path.is_dir() {
            nowhere_in(&path, raw);
            continue;
        }
        let bytes = std::fs::read(&path).expect("bytes");
        for token in raw {
            let found = bytes.windows(token.len()).any(|window| window == token.as_bytes());
            assert!(!found, "a raw token is in {}", path.display());
        }
    }
}
