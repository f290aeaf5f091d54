//! Client libraries of other languages drive introspection and revocation: Authlib (Python) and
//! openid-client (JavaScript), with their own credentials, forms, keys and reading of answers.
//!
//! They are installed into the target folder by pip and npm, at the versions of `tests/clients`.
//! Where that cannot be done, or Python or Node.js is too old for them, the test says so and is
//! skipped; with `CI=true` it fails.

mod running;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ledgerline_proof::token_id::from_presented;
use running::Server;
use serde_json::{Value, json};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
const ISS: &str = "https://idp.test";
const LEDGER: &str = "https://ledger.test";

fn token(name: &str) -> String {
    format!("{name}-Jq8Zr2Wm5Tk9Xs4Vb7Nc1Hd6+/=&%")
}

/// Runs a command; what it said on standard error when it failed.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// Refuses an interpreter that the library does not run on: it would fail only when it is used.
fn is_at_least(command: &str, least: (u32, u32)) -> Result<(), String> {
    let output = Command::new(command).arg("--version").output();
    let output = output.map_err(|error| format!("{command}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = said.trim().trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found >= least {
        return Ok(());
    }
    Err(format!("{command} is {number}, and at least {}.{} is needed", least.0, least.1))
}

#[test]
fn an_interpreter_that_is_too_old_failed_at_the_very_last_step() {
    assert!(is_at_least("rustc", (1, 95)).is_ok());
    let error = is_at_least("rustc", (1000, 0)).expect_err("no such version yet");
    assert!(error.contains("at least 1000.0 is needed"), "{error}");
    assert!(is_at_least("no-such-command-here", (1, 0)).is_err());
}

/// Installs into a folder of the target folder, unless it is there; `None` when it cannot be.
fn installed(
    name: &str,
    list: &str,
    install: impl Fn(&Path) -> Result<(), String>,
) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(name);
    let wanted = fs::read(Path::new(CLIENTS).join(list)).expect("the list of versions");
    let mark = folder.join("installed");
    if fs::read(&mark).is_ok_and(|found| found == wanted) {
        return Some(folder);
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    match install(&folder) {
        Ok(()) => {
            fs::write(&mark, wanted).expect("a mark");
            Some(folder)
        }
        Err(why) => {
            let missing = format!("{name} cannot be installed here: {why}");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
            // Not by the macro: what that writes is not shown for tests that pass.
            let said = format!("\n*** SKIPPED, NOT TESTED: {missing} ***\n\n");
            let _ = std::io::stderr().write_all(said.as_bytes());
            None
        }
    }
}

/// Runs a client with JSON in and JSON out.
fn drive(command: &mut Command, asked: &Value) -> Value {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("AUTHLIB_INSECURE_TRANSPORT", "1")
        .env("NO_PROXY", "127.0.0.1")
        .spawn()
        .expect("the client starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(asked.to_string().as_bytes()).expect("taken");
    drop(input);
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the client failed:\n{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
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
    let install = |folder: &Path| {
        is_at_least("python3", (3, 11))?;
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        run(pip
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(Path::new(CLIENTS).join("requirements.txt")))
    };
    let Some(folder) = installed("authlib", "requirements.txt", install) else { return };
    let client = |mode: &str| {
        let mut command = Command::new(folder.join("bin/python"));
        command.arg(Path::new(CLIENTS).join("authlib_client.py")).arg(mode);
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
    let install = |folder: &Path| {
        for name in ["package.json", "openid_client.mjs"] {
            let copied = fs::copy(Path::new(CLIENTS).join(name), folder.join(name));
            copied.map_err(|error| error.to_string())?;
        }
        is_at_least("node", (20, 0))?;
        let args = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"];
        run(Command::new("npm").args(args).current_dir(folder))
    };
    let Some(folder) = installed("openid-client", "package.json", install) else { return };
    // The newest text of the client, also where the library was installed before.
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
