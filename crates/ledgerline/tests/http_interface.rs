//! The HTTP interface of the real binary: who may do what, what is answered, and what never is.

mod running;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledgerline_proof::checkpoint;
use ledgerline_proof::hash::{Hash, leaf_hash};
use ledgerline_proof::note::VerifierKey;
use ledgerline_proof::tile::{decode_bundle, decode_tile};
use ledgerline_proof::tree::check_inclusion;
use running::{Server, event};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
/// Looks like a bearer value; must never be seen again after it was sent.
const SECRET: &str = "eyJhbGciOiJFUzI1NiJ9.eyJqdGkiOiJzZWNyZXQtand0In0.c2lnbmF0dXJlLWJ5dGVz";

#[test]
fn every_route_but_the_public_ones_needs_a_credential() {
    let server = Server::start();
    let check = |method: &str, path: &str, expected: u16| {
        let body = (method == "POST").then_some((JSON, &b"{}"[..]));
        for key in [None, Some("llk_wrong_AAAA"), Some("")] {
            let answer = server.call(method, path, key, body);
            assert_eq!(answer.status, expected, "{method} {path}: {}", answer.text());
            if expected == 401 {
                assert_eq!(answer.code(), "unauthenticated", "{method} {path}");
                assert_eq!(answer.headers["www-authenticate"], "Bearer");
            }
        }
    };
    let uuid = "01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11";
    for path in ["/v1/events", "/v1/keys", "/v1/resolve", "/v1/erase", "/v1/disclose"] {
        check("POST", path, 401);
    }
    for path in ["/v1/keys", "/v1/blocks", "/v1/status", "/v1/issuers", "/metrics", "/v1/leaves/0"]
    {
        check("GET", path, 401);
    }
    for end in ["", "/events", "/proof"] {
        check("GET", &format!("/v1/tokens/eu:idp:jti:a{end}"), 401);
    }
    check("GET", &format!("/v1/events/idp/{uuid}"), 401);
    check("GET", &format!("/v1/events/idp/{uuid}/proof"), 401);
    check("DELETE", "/v1/keys/k1", 401);
    check("GET", "/tile/entries/000.p/1", 401);
    for path in ["/healthz", "/readyz", "/checkpoint", "/tile/0/000.p/1"] {
        check("GET", path, 200);
    }
    check("GET", "/nothing", 404);
    check("PUT", "/v1/events", 405);
}

#[test]
fn roles_open_their_routes_and_no_others() {
    let server = Server::start();
    let role = |name: &str| server.key("", "idp", &[name]);
    let keys = ["producer", "reader", "auditor", "privacy", "responder", "admin"]
        .map(|name| (name, role(name)));
    let check = |method: &str, path: &str, allowed: &[&str]| {
        for (name, key) in &keys {
            let body = (method == "POST").then_some((JSON, &b"{}"[..]));
            let answer = server.call(method, path, Some(key), body);
            let is_open = answer.status != 403;
            assert_eq!(
                is_open,
                allowed.contains(name),
                "{method} {path} as {name}: {}",
                answer.text()
            );
        }
    };
    check("POST", "/v1/events", &["producer"]);
    check("GET", "/v1/tokens/eu:idp:jti:none", &["reader", "auditor", "responder"]);
    check("GET", "/v1/tokens/eu:idp:jti:none/events", &["reader", "auditor", "responder"]);
    check("GET", "/v1/tokens/eu:idp:jti:none/proof", &["reader", "auditor"]);
    check("GET", "/v1/blocks", &["reader", "auditor", "responder"]);
    check("GET", "/metrics", &["reader", "auditor", "admin"]);
    for path in ["/v1/resolve", "/v1/erase", "/v1/disclose"] {
        check("POST", path, &["privacy"]);
    }
    check("GET", "/v1/keys", &["admin"]);
    check("DELETE", "/v1/keys/none", &["admin"]);
    // Auditors of one tenant see no entries of all.
    check("GET", "/tile/entries/000.p/1", &[]);
    check("GET", "/v1/leaves/0", &[]);
    let all = server.key("*", "audit", &["auditor"]);
    assert_eq!(server.get("/tile/entries/000.p/1", &all).status, 200);
    assert_eq!(server.get("/v1/leaves/0", &all).json()["control"], "GENESIS");
}

#[test]
fn events_come_in_every_json_form_and_each_gets_its_verdict() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader"]);
    let lone = event("n1", "ISSUED", "a");
    let first = server.post("/v1/events", &key, &lone);
    assert_eq!(first.status, 200, "{}", first.text());
    let verdict = &first.json()["events"][0];
    assert_eq!(verdict["status"], "recorded");
    assert_eq!(verdict["attested_by"], "credential");
    assert_eq!(verdict["sequence"], 0);
    assert!(first.json()["checkpoint"].as_str().expect("a note").contains("ledgerline"));
    let again = server.post("/v1/events", &key, &lone).json();
    assert_eq!(again["events"][0]["status"], "duplicate");
    for member in ["event_id", "index", "sequence", "event_hash"] {
        assert_eq!(again["events"][0][member], verdict[member], "{member}");
    }
    let other = json!({ "native_id": "n1", "type": "USED", "token_id": "eu:idp:jti:a",
        "occurred_at": "2026-01-02T03:04:06Z" });
    let conflict = server.post("/v1/events", &key, &other);
    assert_eq!((conflict.status, conflict.code().as_str()), (409, "event_id_conflict"));

    let bad = json!({ "native_id": "n2", "type": "USED", "occurred_at": "2026-01-02T03:04:06Z" });
    let mixed = json!([event("n3", "USED", "a"), bad, event("n4", "USED", "a")]);
    let mixed = server.post("/v1/events", &key, &mixed);
    assert_eq!(mixed.status, 200);
    let statuses: Vec<_> =
        mixed.json()["events"].as_array().unwrap().iter().map(|e| e["status"].clone()).collect();
    assert_eq!(statuses, ["recorded", "refused", "recorded"]);
    assert_eq!(mixed.json()["events"][1]["error"]["code"], "missing_target");

    let lines = format!("{}\n{{\n{}\n", event("n5", "USED", "a"), event("n6", "USED", "a"));
    let lines = server.call("POST", "/v1/events", Some(&key), Some((NDJSON, lines.as_bytes())));
    assert_eq!(lines.status, 200, "{}", lines.text());
    let lines = lines.json();
    assert_eq!(lines["events"][0]["status"], "recorded");
    assert_eq!(lines["events"][1]["status"], "refused");
    assert_eq!(lines["events"][2]["status"], "recorded");
    let life = server.get("/v1/tokens/eu:idp:jti:a/events", &key).json();
    assert_eq!(life["event_count"], 5);
}

#[test]
fn what_cannot_be_read_is_refused_with_a_clear_status() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let check = |media_type: &str, body: &[u8], status: u16| {
        let answer = server.call("POST", "/v1/events", Some(&key), Some((media_type, body)));
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(answer.status, status, "{media_type} {shown}: {}", answer.text());
        answer.code()
    };
    let sound = event("n", "USED", "a").to_string();
    check("text/plain", sound.as_bytes(), 415);
    check("application/json; charset=latin1", sound.as_bytes(), 415);
    check(JSON, b"", 400);
    check(JSON, b"nonsense", 400);
    check(JSON, b"{\"event_id\":", 400);
    check(JSON, b"\"\xff\xfe\"", 400);
    check(JSON, format!("[{}", "[".repeat(200_000)).as_bytes(), 400);
    check(JSON, b"{\"type\":\"USED\",\"type\":\"USED\"}", 422);
    check(JSON, br#"{"native_id":"n","type":"USED","occurred_at":"2026-01-02T03:04:06Z"}"#, 422);
    let cut = b"\x00\x00\x00\xffshort";
    let batch = Some(("application/vnd.ledgerline.batch", &cut[..]));
    let answer = server.call("POST", "/v1/events", Some(&key), batch).json();
    assert_eq!(answer["events"][0]["error"]["code"], "truncated", "{answer}");
    let large = vec![b' '; (16 << 20) + 1];
    assert_eq!(check(JSON, &large, 413), "body_too_large");
    let many = format!("[{}]", vec!["{}"; 10_001].join(","));
    check(JSON, many.as_bytes(), 413);
}

#[test]
fn secrets_that_were_sent_are_never_seen_again() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader"]);
    let mut answers = Vec::new();
    let path = format!("/v1/tokens/{SECRET}");
    let refused = server.get(&path, &key);
    assert_eq!((refused.status, refused.code().as_str()), (400, "raw_token"));
    answers.push(refused);
    answers.push(server.get(&format!("/v1/blocks?token={SECRET}"), &key));
    answers.push(server.get(&format!("/v1/events/idp/{SECRET}"), &key));
    answers.push(server.get("/v1/status", SECRET));
    let mut event = event("n", "USED", "a");
    event["detail"] = json!([{ "key": "seen", "value": SECRET }]);
    let refused = server.post("/v1/events", &key, &event);
    assert_eq!((refused.status, refused.code().as_str()), (422, "secret_refused"));
    answers.push(refused);
    answers.push(server.post("/v1/events", &key, &json!({ SECRET: 1 })));
    for answer in &answers {
        assert!(!answer.text().contains(SECRET), "{}", answer.text());
        assert!((400..500).contains(&answer.status), "{}", answer.text());
    }
    let log = server.read("server.log");
    assert!(log.contains("ledgerline"), "the log is not empty");
    let api_secret = key.rsplit('_').next().expect("a key");
    for secret in [SECRET, api_secret, "c2lnbmF0dXJlLWJ5dGVz"] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

#[test]
fn one_tenant_never_learns_of_another_ones_things() {
    let server = Server::start();
    let ours = server.key("ours", "idp", &["producer", "reader"]);
    let theirs = server.key("theirs", "idp", &["producer", "reader", "admin"]);
    let verdict = server.record(&ours, &[event("n1", "ISSUED", "a")]).remove(0);
    let event_id = verdict["event_id"].as_str().expect("an id");
    for path in [
        "/v1/tokens/eu:idp:jti:a".to_owned(),
        "/v1/tokens/eu:idp:jti:a/events".to_owned(),
        "/v1/tokens/eu:idp:jti:a/proof".to_owned(),
        format!("/v1/events/idp/{event_id}"),
        format!("/v1/events/idp/{event_id}/proof"),
    ] {
        let absent =
            path.replace(":a", ":b").replace(event_id, "01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11");
        let hidden = server.get(&path, &theirs);
        let missing = server.get(&absent, &theirs);
        assert_eq!(hidden.status, 404, "{path}");
        assert_eq!(hidden.body, missing.body, "{path} differs from what is not there");
        let named = server.get(&format!("{path}?tenant=ours"), &theirs);
        assert_eq!(named.body, missing.body, "{path} with the tenant named");
    }
    assert_eq!(server.get("/v1/tokens/eu:idp:jti:a", &ours).status, 200);
    assert_eq!(server.get("/v1/tokens/eu:idp:jti:a?tenant=ours", &server.admin).status, 200);
    let keys = server.get("/v1/keys", &theirs).json();
    let tenants: Vec<_> =
        keys["keys"].as_array().unwrap().iter().map(|key| key["tenant"].clone()).collect();
    assert_eq!(tenants, ["theirs"], "an administrator sees the tenant's keys only");
    let request = json!({ "tenant": "ours", "source": "x", "roles": ["reader"] });
    assert_eq!(server.post("/v1/keys", &theirs, &request).status, 403);
    let request = json!({ "tenant": "*", "source": "x", "roles": ["auditor"] });
    assert_eq!(server.post("/v1/keys", &theirs, &request).status, 403);
}

#[test]
fn receipts_and_tiles_prove_what_was_recorded() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader"]);
    let status = server.get("/v1/status", &key).json();
    let log_key = VerifierKey::parse(status["log_key"].as_str().expect("a key")).expect("a vkey");
    let body = json!([event("n1", "ISSUED", "a"), event("n2", "USED", "a")]);
    let answer = server.post("/v1/events?receipt=proof", &key, &body).json();
    let receipt = answer["checkpoint"].as_str().expect("a checkpoint");
    let receipt = checkpoint::open(receipt.as_bytes(), std::slice::from_ref(&log_key));
    let receipt = receipt.expect("the receipt is signed by the log").checkpoint;
    for verdict in answer["events"].as_array().expect("verdicts") {
        let index = verdict["index"].as_u64().expect("an index");
        assert!(index < receipt.size());
        check_proof(&verdict["proof"], &log_key);
        let leaf = STANDARD.decode(verdict["proof"]["leaf"].as_str().unwrap()).expect("base64");
        assert_eq!(verdict["event_hash"], leaf_hash(&leaf).to_hex());
    }
    server.wait_for_block();
    let published = server.call("GET", "/checkpoint", None, None);
    assert_eq!(published.media_type, "text/plain; charset=utf-8");
    let opened = checkpoint::open(&published.body, std::slice::from_ref(&log_key));
    let size = opened.expect("signed").checkpoint.size();
    let tile = server.call("GET", &format!("/tile/0/000.p/{size}"), None, None);
    assert!(tile.headers["cache-control"].to_str().unwrap().contains("immutable"));
    let width = u16::try_from(size).expect("small");
    let hashes = decode_tile(&tile.body, width).expect("a tile");
    let auditor = server.key("*", "audit", &["auditor"]);
    let bundle = server.get(&format!("/tile/entries/000.p/{size}"), &auditor);
    let entries = decode_bundle(&bundle.body, width).expect("a bundle");
    let found: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    assert_eq!(found, hashes);
    for path in [
        "/tile/0/0",
        "/tile/0/x000/000",
        "/tile/00/000",
        "/tile/0/000.p/0",
        "/tile/0/000",
        "/tile/0/000%2Ep/1",
        "/tile/9/000.p/1",
        "/tile/0/001.p/1",
    ] {
        assert_eq!(server.call("GET", path, None, None).status, 404, "{path}");
    }
}

fn check_proof(proof: &Value, log_key: &VerifierKey) {
    let note = proof["checkpoint"].as_str().expect("a note");
    let opened = checkpoint::open(note.as_bytes(), std::slice::from_ref(log_key)).expect("signed");
    let leaf = STANDARD.decode(proof["leaf"].as_str().expect("a leaf")).expect("base64");
    let path: Vec<Hash> = proof["path"]
        .as_array()
        .expect("a path")
        .iter()
        .map(|hash| Hash::from_base64(hash.as_str().expect("text")).expect("a hash"))
        .collect();
    let index = proof["index"].as_u64().expect("an index");
    let (size, root) = (opened.checkpoint.size(), opened.checkpoint.root());
    check_inclusion(index, size, &leaf_hash(&leaf), &path, &root).expect("the leaf is in the tree");
}

#[test]
fn a_life_is_paged_and_judged_at_a_time() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader"]);
    let mut issued = event("n0", "ISSUED", "a/b");
    issued["expires_at"] = "2026-01-02T04:00:00Z".into();
    let mut revoked = event("n9", "REVOKED", "a/b");
    revoked["occurred_at"] = "2026-01-02T03:30:00Z".into();
    let uses = (1..=5).map(|n| event(&format!("n{n}"), "USED", "a/b"));
    let events: Vec<_> = [issued].into_iter().chain(uses).chain([revoked]).collect();
    server.record(&key, &events);
    let path = "/v1/tokens/eu:idp:jti:a%2Fb";
    let check = |at: &str, state: &str, is_active: bool| {
        let answer = server.get(&format!("{path}?at={at}"), &key).json();
        assert_eq!(answer["happened"]["state"], state, "{at}: {answer}");
        assert_eq!(answer["happened"]["active"], is_active, "{at}");
    };
    check("2026-01-02T03:20:00Z", "ACTIVE", true);
    check("2026-01-02T03:30:00Z", "REVOKED", false);
    check("2026-01-02T05:00:00Z", "REVOKED", false);
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.get(&format!("{path}/events?limit=3{after}"), &key).json();
        let events = page["events"].as_array().expect("events").clone();
        assert!(events.len() <= 3);
        seen.extend(events.into_iter().map(|event| event["sequence"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&page={next}");
    }
    assert_eq!(seen, (0..7).collect::<Vec<_>>());
    for query in ["?limit=0", "?limit=1001", "?page=x", "?after=1", "?nonsense=1", "?at=yesterday"]
    {
        assert_eq!(server.get(&format!("{path}/events{query}"), &key).status, 400, "{query}");
    }
    assert_eq!(server.get("/v1/tokens/eu:idp", &key).code(), "bad_token_id");
    let blocks = server.get("/v1/blocks?limit=1", &key).json();
    assert_eq!(blocks["blocks"].as_array().expect("blocks").len(), 1);
}

#[test]
fn slow_and_greedy_clients_cost_a_bounded_time() {
    let flags = ["--header-timeout-ms", "300", "--body-timeout-ms", "300"];
    let server = Server::start_with(&flags);
    let key = server.key("", "idp", &["producer"]);
    let address = server.url.strip_prefix("http://").expect("http");
    let check = |sent: &str, expected: &str| {
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream.write_all(sent.as_bytes()).expect("bytes go out");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(started.elapsed() < Duration::from_secs(5), "{sent}");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(expected), "{sent}: {answer}");
    };
    check("GET /healthz HTTP/1.1\r\nHost: a\r\n", "");
    check(
        &format!(
            "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{{"
        ),
        "HTTP/1.1 408",
    );
    check(
        &format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a".repeat(100_000)),
        "HTTP/1.1 4",
    );
    assert_eq!(server.call("GET", "/healthz", None, None).status, 200);
}

/// A connection that was closed over the unread body was reset: now and then the client saw that
/// instead of the 401.
#[test]
fn a_refusal_arrives_although_the_body_comes_after_it() {
    let server = Server::start();
    let address = server.url.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    for path in ["/v1/events", "/v1/keys", "/v1/nothing"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: 20000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the head");
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(&[b' '; 20_000]).expect("the body, on the same connection");
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]);
        let status = if path.ends_with("nothing") { "404" } else { "401" };
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
}

#[test]
fn a_stop_is_clean_and_everything_is_there_afterwards() {
    let mut server = Server::start();
    let key = server.key("", "idp", &["producer", "reader"]);
    let verdicts = server.record(&key, &[event("n1", "ISSUED", "a"), event("n2", "USED", "a")]);
    assert_eq!(server.stop(), Some(0));
    server.go();
    let life = server.get("/v1/tokens/eu:idp:jti:a/events", &key).json();
    let found: Vec<_> =
        life["events"].as_array().unwrap().iter().map(|e| e["event_hash"].clone()).collect();
    let expected: Vec<_> = verdicts.iter().map(|v| v["event_hash"].clone()).collect();
    assert_eq!(found, expected);
    let again = server.post("/v1/events", &key, &event("n1", "ISSUED", "a")).json();
    assert_eq!(again["events"][0]["status"], "duplicate");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn metrics_count_and_carry_our_prefix() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader"]);
    server.record(&key, &[event("n1", "ISSUED", "a"), event("n2", "USED", "a")]);
    // The counters follow the answer; they are not part of it.
    let until = Instant::now() + Duration::from_secs(5);
    let mut text = server.get("/metrics", &key).text();
    while !text.contains("ledgerline_events_recorded_total 2\n") && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
        text = server.get("/metrics", &key).text();
    }
    assert!(text.contains("ledgerline_events_recorded_total 2\n"), "{text}");
    assert!(text.contains("ledgerline_ready 1\n"));
    for cache in [
        "introspection_answers",
        "token_standings",
        "token_lives",
        "verified_tokens",
        "personal_keys",
        "chain_tips",
        "lifecycle_lives",
        "lifecycle_revocations",
    ] {
        for what in ["entries", "weight", "hits_total", "misses_total", "evicted_total"] {
            let line = format!("ledgerline_cache_{what}{{cache=\"{cache}\"}} ");
            assert!(text.contains(&line), "{line}: {text}");
        }
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("ledgerline_"), "{line}");
        let (_, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn keys_end_and_people_are_erased() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer", "reader"]);
    let privacy = server.key("", "office", &["privacy"]);
    let mut issued = event("n1", "ISSUED", "a");
    issued["personal"] = json!([{ "role": "SUBJECT", "user_id": "alice-of-the-test" }]);
    server.record(&key, &[issued]);
    let question = json!({ "kind": "PERSON", "issuer": "idp", "value": "alice-of-the-test" });
    let handle = server.post("/v1/resolve", &privacy, &question).json()["handle"].clone();
    let unknown = json!({ "kind": "PERSON", "issuer": "idp", "value": "nobody" });
    assert_eq!(server.post("/v1/resolve", &privacy, &unknown).status, 404);
    let life = server.get("/v1/tokens/eu:idp:jti:a/events", &key).text();
    assert!(life.contains(handle.as_str().expect("a handle")), "{life}");
    assert!(!life.contains("alice"), "a reader sees no personal value");
    let request = json!({ "handle": handle, "purpose": "" });
    assert_eq!(server.post("/v1/erase", &privacy, &request).status, 422);
    let request = json!({ "handle": handle, "purpose": "case 4711" });
    // Another tenant's office knows the handle, may do nothing with it, nor learn that it is one.
    let other = server.key("other", "desk", &["privacy"]);
    let random = json!({ "handle": "00112233445566778899aabbccddeeff", "purpose": "case 4711" });
    for (key, request) in [(&other, &request), (&other, &random), (&privacy, &random)] {
        let refused = server.post("/v1/erase", key, request);
        assert_eq!((refused.status, refused.code()), (404, "not_found".to_owned()));
    }
    let life = server.get("/v1/tokens/eu:idp:jti:a/events", &key).json();
    assert_eq!(life["events"][0]["sealed"][0]["erased"], false);
    let erased = server.post("/v1/erase", &privacy, &request);
    assert_eq!(erased.status, 200, "{}", erased.text());
    assert_eq!(erased.json()["frames_zeroed"], 1);
    let life = server.get("/v1/tokens/eu:idp:jti:a/events", &key).json();
    assert_eq!(life["events"][0]["sealed"][0]["erased"], true);

    let listed = server.get("/v1/keys", &server.admin).json();
    let office = listed["keys"].as_array().unwrap().iter().find(|key| key["source"] == "office");
    let key_id = office.expect("the key")["key_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/keys/{key_id}");
    assert_eq!(server.call("DELETE", &path, Some(&server.admin), None).status, 200);
    assert_eq!(server.call("DELETE", &path, Some(&server.admin), None).status, 409);
    assert_eq!(server.post("/v1/resolve", &privacy, &question).status, 401);
}
