//! Foreign records posted to a server: OPA's decision logs, records for an adapter, and the doors
//! of the settings with each way to know their sender.

mod running;

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use ring::{digest, hmac};
use running::{Answer, Server};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const ISS: &str = "https://idp.example.com";
const SECRET: &str = "a-secret-of-the-test-and-no-other";

fn issuer_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a key")
}

/// The settings: one issuer, and what else is given; `%` stands for the folder.
fn settings(folder: &Path, more: &str) -> String {
    let x = URL_SAFE_NO_PAD.encode(issuer_key().public_key().as_ref());
    let jwks = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x }] });
    fs::write(folder.join("idp.jwks"), jwks.to_string()).expect("a file");
    let config = folder.join("ledgerline.toml");
    let text = format!(
        "[issuers.idp]\niss = \"{ISS}\"\nregion = \"eu\"\njti_rule = \"identity\"\n\
         jwks_file = {:?}\nevent_audiences = [\"ledger\"]\n{}",
        folder.join("idp.jwks"),
        more.replace('%', folder.to_str().expect("UTF-8"))
    );
    fs::write(&config, text).expect("a file");
    config.to_str().expect("UTF-8").to_owned()
}

fn decision(id: &str, token: &str, revision: &str) -> Value {
    json!({
        "decision_id": id, "labels": { "id": "opa-1" }, "path": "http/authz/allow",
        "bundles": { "authz": { "revision": revision } },
        "input": { "method": "GET", "path": ["salary", "of-somebody"],
            "claims": { "iss": ISS, "jti": token, "sub": "a-person-of-the-test" } },
        "result": true, "requested_by": "198.51.100.7:59943",
        "timestamp": "2026-01-02T03:04:05.000000Z", "erased": ["/input/token"],
    })
}

fn packed(body: &str) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(body.as_bytes()).expect("packed");
    out.finish().expect("packed")
}

fn statuses(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let verdicts = answer.json()["events"].clone();
    let word = |one: &Value| one["status"].as_str().expect("a word").to_owned();
    verdicts.as_array().expect("verdicts").iter().map(word).collect()
}

#[test]
fn a_decision_log_is_recorded_with_the_bundles_revision() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start_with(&["--config", &settings(folder.path(), "")]);
    let key = server.key("", "opa", &["producer"]);
    let bearer = "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiJ0LTEifQ.c2lnbmF0dXJlLW9mLXRoZS10ZXN0";
    let mut leaking = decision("d-2", "t-1", "7f3c");
    leaking["input"]["token"] = bearer.into();
    let mut nameless = decision("d-3", "t-1", "7f3c");
    nameless["input"] = json!({ "method": "GET" });
    let body = json!([decision("d-1", "t-1", "7f3c"), leaking, nameless]).to_string();
    let post = |server: &Server| {
        let gzip = [("content-encoding", "gzip")];
        let body = packed(&body);
        server.call_with("POST", "/v1/opa/logs", Some(&key), Some((JSON, &body)), &gzip)
    };
    let answer = post(&server);
    assert_eq!(statuses(&answer), ["recorded", "refused", "refused"]);
    let verdicts = answer.json()["events"].clone();
    assert_eq!(verdicts[1]["error"]["code"], "secret_refused");
    let named =
        verdicts[1]["error"]["detail"].as_str().expect("a detail").contains("`input.token`");
    assert!(named, "{verdicts}");
    assert_eq!(verdicts[2]["error"]["code"], "no_token");
    // It dies after it answered: OPA's next try finds it.
    server.kill_nine();
    server.reap();
    server.go();
    assert_eq!(statuses(&post(&server)), ["duplicate", "refused", "refused"]);
    let events = server.get("/v1/tokens/eu:idp:jti:t-1/events", &server.admin).json();
    let statement = &events["events"][0]["statement"];
    assert_eq!(statement["policies"][0]["version"], "7f3c", "{events}");
    assert_eq!(statement["type"], "RESOURCE_ACCESSED");
    for text in [server.read("server.log"), events.to_string(), answer.text()] {
        for secret in [bearer, "of-somebody", "a-person-of-the-test", "198.51.100.7"] {
            assert!(!text.contains(secret), "{secret} stands in {text}");
        }
    }
    let not_json = server.call("POST", "/v1/opa/logs", Some(&key), Some((JSON, b"{}")));
    assert_eq!((not_json.status, &*not_json.code()), (400, "bad_json"));
    let lines = server.call("POST", "/v1/opa/logs", Some(&key), Some((NDJSON, b"{}")));
    assert_eq!(lines.status, 415);
    let metrics = server.get("/metrics", &server.admin).text();
    assert!(metrics.contains("{door=\"opa\",verdict=\"refused\"} 3\n"), "{metrics}");
}

/// Lines that a real provider wrote.
fn provider_lines(count: usize) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recording/provider.ndjson.gz");
    let mut text = String::new();
    let file = fs::File::open(path).expect("the recording");
    GzDecoder::new(file).read_to_string(&mut text).expect("text");
    text.lines().take(count).map(str::to_owned).collect()
}

#[test]
fn records_go_through_the_adapter_that_is_named() {
    let server = Server::start();
    let key = server.key("", "idp", &["producer"]);
    let lines = provider_lines(400);
    let path = "/v1/adapters/oidc-provider?issuer=eu:idp";
    let post = |media_type: &str, body: &str| {
        server.call("POST", path, Some(&key), Some((media_type, body.as_bytes())))
    };
    let answer = post(NDJSON, &lines.join("\n"));
    let recorded = statuses(&answer);
    let said = answer.json();
    assert_eq!(said["records"], 400, "{said}");
    assert!(recorded.len() > 50 && recorded.iter().all(|one| one == "recorded"), "{recorded:?}");
    let sum = |names: &[&str]| {
        names.iter().map(|name| said[name].as_u64().expect("a count")).sum::<u64>()
    };
    assert!(sum(&["mapped", "joined", "skipped"]) >= 300, "{said}");
    assert_eq!(said["refused"], json!([]));
    // The same as an array: nothing is recorded twice.
    let again = statuses(&post(JSON, &format!("[{}]", lines.join(","))));
    assert_eq!(again.len(), recorded.len());
    assert!(again.iter().all(|one| one == "duplicate"), "{again:?}");
    // What the adapter cannot read is named by its place, and the rest is taken.
    let mixed = format!("{}\n{{\"nonsense\":\"of somebody\"}}\n", lines[..50].join("\n"));
    let answer = post(NDJSON, &mixed);
    assert_eq!(answer.json()["refused"][0]["record"], 51, "{}", answer.text());
    assert!(!answer.text().contains("somebody"));
    let alone = post(JSON, "{\"nonsense\":\"of somebody\"}");
    assert_eq!((alone.status, &*alone.code()), (422, "record_refused"));
    let check = |path: &str, status: u16, code: &str| {
        let answer = server.call("POST", path, Some(&key), Some((JSON, b"[]")));
        assert_eq!((answer.status, &*answer.code()), (status, code), "{path}");
    };
    check("/v1/adapters/nonesuch?issuer=eu:idp", 404, "not_found");
    check("/v1/adapters/oidc-provider", 400, "bad_query");
    check("/v1/adapters/oidc-provider?issuer=idp", 400, "bad_query");
    check("/v1/adapters/oidc-provider?issuer=eu:idp&x=1", 400, "bad_query");
}

/// A server whose settings name doors, and the key under which their events are recorded.
fn with_doors(folder: &Path, doors: &str) -> (Server, String) {
    let data = tempfile::tempdir().expect("a folder");
    let mut server = Server::open(data, &[]);
    let key = server.key("", "webhook", &["producer"]);
    fs::write(folder.join("door.key"), &key).expect("a file");
    fs::write(folder.join("door.secret"), SECRET).expect("a file");
    assert_eq!(server.stop(), Some(0));
    server.set_flags(&["--config", &settings(folder, doors)]);
    server.go();
    (server, key)
}

const COMMON: &str = "issuer = \"idp\"\nkey_file = \"%/door.key\"\nadapter = \"oidc-provider\"\n";

#[test]
fn each_check_lets_its_sender_in_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = "secret_file = \"%/door.secret\"\n";
    let doors = format!(
        "[doors.hmac]\ncheck = \"hmac\"\n{COMMON}{secret}\
         [doors.jwt]\ncheck = \"signed-body\"\n{COMMON}\
         [doors.okta]\ncheck = \"secret\"\n{COMMON}{secret}"
    );
    let (mut server, key) = with_doors(folder.path(), &doors);
    let body = provider_lines(40).join("\n");
    let other = provider_lines(41).join("\n");
    let post = |server: &Server, door: &str, headers: &[(&str, &str)], body: &str| {
        let path = format!("/v1/hooks/{door}");
        server.call_with("POST", &path, None, Some((NDJSON, body.as_bytes())), headers)
    };
    let is_refused = |answer: &Answer| {
        assert_eq!((answer.status, &*answer.code()), (401, "bad_hook_signature"));
        assert!(!answer.text().contains(SECRET));
    };
    // HMAC over the raw body.
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let tag = |secret: &str, body: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hex(hmac::sign(&key, body.as_bytes()).as_ref())
    };
    let sound = tag(SECRET, &body);
    let header = |value: &'static str| value;
    let name = header("x-keycloak-signature");
    assert!(statuses(&post(&server, "hmac", &[(name, &sound)], &body)).len() > 3);
    is_refused(&post(&server, "hmac", &[(name, &sound)], &other));
    is_refused(&post(&server, "hmac", &[(name, &tag("another-secret-of-16", &body))], &body));
    is_refused(&post(&server, "hmac", &[(name, &sound[..62])], &body));
    is_refused(&post(&server, "hmac", &[(name, "zz")], &body));
    is_refused(&post(&server, "hmac", &[], &body));
    is_refused(&post(&server, "hmac", &[(name, &sound), (name, &sound)], &body));
    // A JWT of the issuer over the digest of the body.
    let typed = |body: &str, typ: &str, change: fn(&mut Value)| {
        let digest = hex(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
        let mut claims = json!({ "iss": ISS, "jti": "j", "iat": 1_767_323_045,
            "exp": 4_000_000_000_u64, "aud": "ledger", "request_body_sha256": digest });
        change(&mut claims);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": "EdDSA", "kid": "k1", "typ": typ });
        let input = format!("{}.{}", part(&header), part(&claims));
        let signature = issuer_key().sign(input.as_bytes());
        format!("Bearer {input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    };
    let bearer = |body: &str, change: fn(&mut Value)| typed(body, "JWT", change);
    let auth = "authorization";
    let sound = bearer(&body, |_| {});
    assert!(statuses(&post(&server, "jwt", &[(auth, &sound)], &body)).len() > 3);
    is_refused(&post(&server, "jwt", &[(auth, &sound)], &other));
    let cut = &sound[..sound.len() - 4];
    is_refused(&post(&server, "jwt", &[(auth, cut)], &body));
    for change in [
        (|claims| claims["aud"] = "else".into()) as fn(&mut Value),
        |claims| claims["aud"] = Value::Null,
        |claims| claims["exp"] = 1.into(),
        |claims| claims["exp"] = Value::Null,
        |claims| claims["iss"] = "https://else.example.com".into(),
        // An access token of the same issuer, under the same key.
        |claims| claims["request_body_sha256"] = Value::Null,
    ] {
        is_refused(&post(&server, "jwt", &[(auth, &bearer(&body, change))], &body));
    }
    for typ in ["at+jwt", "secevent+jwt", "logout+jwt"] {
        is_refused(&post(&server, "jwt", &[(auth, &typed(&body, typ, |_| {}))], &body));
    }
    is_refused(&post(&server, "jwt", &[(auth, &format!("Bearer {key}"))], &body));
    is_refused(&post(&server, "jwt", &[], &body));
    // A secret, and the verification of Okta.
    assert!(statuses(&post(&server, "okta", &[(auth, SECRET)], &body)).len() > 3);
    is_refused(&post(&server, "okta", &[(auth, &SECRET[1..])], &body));
    is_refused(&post(&server, "okta", &[(auth, &format!("Bearer {SECRET}"))], &body));
    let challenge = ("x-okta-verification-challenge", "a-challenge");
    let verify =
        |headers: &[(&str, &str)]| server.call_with("GET", "/v1/hooks/okta", None, None, headers);
    let answer = verify(&[(auth, SECRET), challenge]);
    assert_eq!((answer.status, answer.json()), (200, json!({ "verification": "a-challenge" })));
    is_refused(&verify(&[challenge]));
    assert_eq!(verify(&[(auth, SECRET)]).code(), "bad_challenge");
    assert_eq!(post(&server, "nonesuch", &[], &body).code(), "not_found");
    // The log has none of the secrets; a key that has ended closes its doors for now.
    let log = server.read("server.log");
    assert!(!log.contains(SECRET) && !log.contains(&key), "a secret stands in the log");
    let id = key.split('_').nth(1).expect("an id");
    assert_eq!(
        server.call("DELETE", &format!("/v1/keys/{id}"), Some(&server.admin), None).status,
        200
    );
    let closed = post(&server, "okta", &[(auth, SECRET)], &body);
    assert_eq!((closed.status, &*closed.code()), (503, "door_closed"));
    assert_eq!(server.stop(), Some(0));
}
