//! Secrets sent to a real server, in every place where a text is recorded: refused, and not a byte
//! of them on the disk.

mod running;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use running::{Server, event};
use serde_json::{Value, json};

/// Marks are put together here, so that this file trips no scanner.
fn secrets() -> Vec<String> {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
    vec![
        format!("{header}.eyJzdWIiOiJvZi10aGUtdGVzdCJ9.b2YtdGhlLXRlc3Qtb2YtdGhlLXRlc3Q"),
        ["xo", "xb-123456789012-1234567890123-Q7f3Zk1mW9xTb2LcVd8RyHsa"].concat(),
        ["gl", "pat-Zk1_W9xTb2-cVd8RyHsa"].concat(),
        ["sk_", "live_Q7f3Zk1mW9xTb2LcVd8RyHsa"].concat(),
    ]
}

fn refused(answer: &running::Answer, what: &str, secret: &str) {
    let code = (answer.status, answer.code());
    assert_eq!(code, (422, "secret_refused".to_owned()), "{what}: {}", answer.text());
    assert!(!answer.text().contains(secret), "{what} repeats it");
}

/// Every file below a folder, and what is written in base64 in it.
fn nothing_holds(folder: &Path, secrets: &[String]) {
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            nothing_holds(&path, secrets);
            continue;
        }
        let mut bytes = std::fs::read(&path).expect("readable");
        let decoded: Vec<u8> = String::from_utf8_lossy(&bytes)
            .split('"')
            .filter_map(|text| STANDARD.decode(text).ok())
            .flatten()
            .collect();
        bytes.extend(decoded);
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{} holds {secret}", path.display());
        }
    }
}

fn with(name: &str, value: Value) -> Value {
    let mut event = event("n", "USED", "a");
    event[name] = value;
    event
}

/// Attachments, notes, reasons, purposes, keys and ids of tokens were not looked at, or passed with
/// a colon in front.
#[test]
fn a_secret_is_refused_wherever_a_text_is_recorded() {
    let mut server = Server::start();
    let idp = server.key("", "idp", &["producer"]);
    let admin = server.key("", "desk", &["admin", "responder", "privacy"]);
    let mut known = event("known", "ISSUED", "known");
    known["personal"] = json!([{ "role": "SUBJECT", "user_id": "zoe-of-the-test" }]);
    server.record(&idp, &[known]);
    let known = "eu:idp:jti:known";
    for secret in &secrets() {
        for text in [secret.clone(), format!("was:{secret}"), format!("see \"{secret}\"")] {
            let post = |path: &str, body: &Value| server.post(path, &admin, body);
            let path = format!("/v1/tokens/{known}/blast-radius");
            refused(&post(&path, &json!({ "reason": text })), "reason", secret);
            let body = json!({ "purpose": text, "token_id": known });
            refused(&post("/v1/disclose", &body), "disclosure", secret);
            let body = json!({ "purpose": text, "handle": "00".repeat(16) });
            refused(&post("/v1/erase", &body), "erasure", secret);
            let note = json!({ "note": text });
            let path = format!("/v1/findings/{}/close", "00".repeat(32));
            refused(&post(&path, &note), "note", secret);
            let query: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let path = format!("/v1/keys/nokey?reason={query}");
            let answer = server.call("DELETE", &path, Some(&admin), None);
            refused(&answer, "key's reason", secret);
            let (tenant, source) = (json!(text), json!("x"));
            let body = json!({ "roles": ["reader"], "tenant": tenant, "source": source });
            let answer = server.post("/v1/keys", &server.admin, &body);
            assert_eq!(answer.status, 422, "tenant: {}", answer.text());
            for list in ["issuers", "regions"] {
                let body = json!({ "roles": ["reader"], "source": "x", list: [text] });
                let answer = server.post("/v1/keys", &server.admin, &body);
                assert_eq!(answer.status, 422, "{list}: {}", answer.text());
            }
        }
        let events = [
            with("token_id", json!(format!("eu:idp:jti:{secret}"))),
            with("also_known_as", json!([format!("eu:idp:jti:{secret}")])),
            with(
                "links",
                json!([{ "relation": "CAUSED_BY", "token_id": format!("eu:idp:acc:{secret}") }]),
            ),
            with("session_id", json!(secret)),
            with("grant_id", json!(format!("g:{secret}"))),
            with("endpoint", json!(format!("/cb?x={secret}"))),
            with("seen_by", json!(secret)),
        ];
        for event in &events[..6] {
            refused(&server.post("/v1/events", &idp, event), "event", secret);
        }
        assert_eq!(server.post("/v1/events", &idp, &events[6]).status, 422);
        for name in ["token_id", "also_known_as", "links"] {
            let value = match name {
                "token_id" => json!(secret),
                "links" => json!([{ "relation": "CAUSED_BY", "token_id": secret }]),
                _ => json!([secret]),
            };
            let answer = server.post("/v1/events", &idp, &with(name, value));
            assert_eq!((answer.status, answer.code()), (422, "bad_field".to_owned()), "{name}");
        }
    }
    let opaque = ["Q7f3Zk1mW9xTb2LcVd8RyHsa-of-the-test_0".to_owned()];
    for name in ["also_known_as", "token_id"] {
        let value = if name == "token_id" { json!(opaque[0]) } else { json!(opaque) };
        assert_eq!(server.post("/v1/events", &idp, &with(name, value)).code(), "bad_field");
    }
    server.stop();
    let data = server.path("data");
    nothing_holds(&data, &secrets());
    nothing_holds(&data, &opaque);
    assert!(data.join("quarantine/0.txt").exists(), "the refusals themselves are kept");
}
