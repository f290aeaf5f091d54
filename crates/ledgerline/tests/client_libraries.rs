//! Client libraries of other languages drive introspection and revocation: Authlib (Python) and
//! openid-client (JavaScript), with their own credentials, forms, keys and reading of answers.
//!
//! They are installed into the target folder by pip and npm, from the lock files of
//! `tests/clients`. Where that cannot be done, or Python or Node.js is too old for them, the test
//! says so and is skipped; with `CI=true` it fails.

mod installed;
mod running;

use std::fs;
use std::path::Path;
use std::process::Command;

use installed::{CLIENTS, drive};
use ledgerline_proof::token_id::from_presented;
use running::Server;
use serde_json::{Value, json};

const ISS: &str = "https://idp.test";
const LEDGER: &str = "https://ledger.test";

fn token(name: &str) -> String {
    format!("{name}-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6+/=&%")
}

/// npm compares the two itself.
#[test]
fn pip_installs_what_was_asked_for() {
    for (asked, locked) in [
        ("requirements.in", "requirements.txt"),
        ("generated/requirements-openapi.in", "generated/requirements-openapi.lock"),
        ("doors/requirements.in", "doors/requirements.txt"),
    ] {
        let read = |name| fs::read_to_string(Path::new(CLIENTS).join(name)).expect("a list");
        let (asked, locked) = (read(asked), read(locked));
        for package in asked.lines() {
            let stands = locked.lines().any(|line| line == format!("{package} \\"));
            assert!(stands, "{package} is not locked: see CONTRIBUTING.md");
        }
    }
}

fn issued(name: &str, id: &str, kind: &str, client: &str) -> Value {
    json!({ "native_id": name, "type": "ISSUED", "token_id": id, "issuer": "idp",
        "occurred_at": "2026-01-02T03:04:05Z", "client_id": client, "token_kind": kind,
        "grant_id": format!("g-{client}"), "scopes": ["read", "write"],
        "expires_at": "2096-06-01T00:00:00Z" })
}

/// A server with three opaque tokens, and the credential of the client `web`.
fn server(flags: &[&str]) -> (Server, String, Value) {
    let server = Server::start_with(&[&["--introspection-issuer", LEDGER], flags].concat());
    let idp = server.key("", "idp", &["producer"]);
    let opaque = |name: &str, kind: &str, client: &str| {
        let id = from_presented("eu", "idp", token(name).as_bytes()).expect("long enough");
        issued(name, &id, kind, client)
    };
    let events = [
        opaque("access", "ACCESS", "web"),
        opaque("refresh", "REFRESH", "web"),
        opaque("other", "ACCESS", "desktop"),
    ];
    server.record(&idp, &events);
    let request = json!({ "source": "web", "roles": ["client", "resource_server"] });
    let key = server.post("/v1/keys", &server.admin, &request).json();
    let tokens: serde_json::Map<String, Value> = ["access", "refresh", "other", "unknown"]
        .map(|name| (name.to_owned(), token(name).into()))
        .into_iter()
        .collect();
    let asked = json!({ "url": server.url, "issuer": LEDGER, "client_id": key["key_id"],
        "secret": key["secret"], "tokens": tokens });
    (server, idp, asked)
}

fn is_web_access(answer: &Value) {
    let expected = json!({ "active": true, "client_id": "web", "scope": "read write",
        "token_type": "Bearer", "exp": 3_989_347_200_u64 });
    for (name, value) in expected.as_object().expect("members") {
        assert_eq!(&answer[name], value, "{answer}");
    }
}

#[test]
fn authlib_introspects_and_revokes() {
    let Some(folder) = installed::python("authlib", "requirements.txt") else { return };
    let client = |mode: &str| {
        let mut command = Command::new(folder.join("bin/python"));
        command.arg(Path::new(CLIENTS).join("authlib_client.py")).arg(mode);
        command.env("AUTHLIB_INSECURE_TRANSPORT", "1");
        command
    };
    let work = tempfile::tempdir().expect("a folder");
    let jwks = work.path().join("jwks.json");
    let made = drive(&mut client("make"), &json!({ "jwks_file": jwks, "iss": ISS }));
    let config = work.path().join("ledgerline.toml");
    let register = format!(
        "[issuers.idp]\niss = \"{ISS}\"\nregion = \"eu\"\njti_rule = \"identity\"\n\
         jwks_file = {jwks:?}\n"
    );
    fs::write(&config, register).expect("a file");
    let (server, idp, mut asked) = server(&["--config", config.to_str().expect("UTF-8")]);
    let jwts = made["tokens"].as_object().expect("tokens");
    assert_eq!(jwts.len(), 5);
    for alg in jwts.keys() {
        let id = format!("eu:idp:jti:jti-{alg}");
        server.record(&idp, &[issued(alg, &id, "ACCESS", "web")]);
    }
    asked["tokens"]["jwts"] = made["tokens"].clone();
    asked["tokens"]["forged"] = made["forged"].clone();
    let said = drive(&mut client("drive"), &asked);
    let inactive = json!({ "status": 200, "body": { "active": false } });
    for (alg, answer) in said["jwts"].as_object().expect("answers") {
        assert_eq!(answer["body"]["active"], true, "{alg}: {answer}");
        assert_eq!(answer["body"]["jti"], format!("jti-{alg}"));
        assert_eq!(answer["body"]["exp"], 3_976_214_400_u64, "its own, which is sooner");
    }
    is_web_access(&said["access"]["body"]);
    for name in ["forged", "unknown", "after", "after_jwt"] {
        assert_eq!(said[name], inactive, "{name}");
    }
    assert_eq!(said["stranger"]["status"], 401);
    assert_eq!(said["stranger"]["body"]["error"], "invalid_client");
    assert_eq!(said["other"]["status"], 400);
    assert!(said["other"]["body"].as_str().expect("a body").contains("invalid_grant"));
    for name in ["nothing", "revoke", "revoke_jwt"] {
        assert_eq!(said[name], json!({ "status": 200, "body": "" }), "{name}");
    }
    let claims = |name: &str| {
        assert_eq!(said[name]["typ"], "token-introspection+jwt");
        let claims = &said[name]["claims"];
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(LEDGER), &asked["client_id"]));
        claims["token_introspection"].clone()
    };
    is_web_access(&claims("signed"));
    assert_eq!(claims("after_signed"), json!({ "active": false }));
}

#[test]
fn openid_client_introspects_and_revokes() {
    let Some(folder) = installed::node("openid-client", "") else { return };
    // Beside the library, where Node.js looks for it.
    let script = folder.join("openid_client.mjs");
    fs::copy(Path::new(CLIENTS).join("openid_client.mjs"), &script).expect("a copy");
    let (_server, _, asked) = server(&[]);
    let said = drive(Command::new("node").arg(&script), &asked);
    let inactive = json!({ "body": { "active": false } });
    is_web_access(&said["access"]["body"]);
    assert_eq!(said["signed"], said["access"], "the signed answer is the same");
    for name in ["unknown", "signed_unknown", "after", "after_signed"] {
        assert_eq!(said[name], inactive, "{name}");
    }
    assert_eq!(said["stranger"]["status"], 401, "{said}");
    assert_eq!(said["other"]["error"], "invalid_grant", "{said}");
    for name in ["nothing", "revoke"] {
        assert_eq!(said[name], json!({ "body": null }), "{name}");
    }
}
