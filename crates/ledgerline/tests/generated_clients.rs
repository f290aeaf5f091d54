//! Clients that generators make of the OpenAPI document drive a server: openapi-python-client
//! (Python), and openapi-typescript with openapi-fetch (TypeScript, checked by `tsc --strict`).
//!
//! Holds that the document is one that generators take without a warning, and that its types are
//! what the server answers: `scenario.py` and `scenario.ts` in `tests/clients/generated` send and
//! read everything by generated types. The generators come from the lock files there; where they
//! cannot be installed the test says so and is skipped, with `CI=true` it fails.

mod installed;
mod running;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use installed::{CLIENTS, drive};
use ledgerline_servers::install::run;
use running::Server;
use serde_json::json;

/// What a URL would take for its own is the client's to encode.
const PARENT: &str = "eu:idp:jti:parent/of?one+%20#";
const DOCUMENT: &str = "openapi.json";
const CHILD: &str = "eu:idp:jti:child";
const STRANGER: &str = "eu:idp:jti:stranger";

fn scenario(name: &str) -> PathBuf {
    Path::new(CLIENTS).join("generated").join(name)
}

/// A server, with its document as a file in its folder.
fn server() -> Server {
    let server = Server::start();
    let document = server.get("/openapi.json", &server.admin);
    assert_eq!(document.status, 200, "{}", document.text());
    server.write(DOCUMENT, &document.body);
    server
}

/// Holds that a generator went through and had no remark about the document.
fn is_silent(generated: anyhow::Result<Output>) {
    let output = generated.unwrap_or_else(|said| panic!("the generator refuses:\n{said}"));
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    let said = said.concat();
    let remark = ["warn", "error", "⚠", "✘"].iter().any(|word| said.to_lowercase().contains(word));
    assert!(!remark, "the generator has a remark:\n{said}");
}

/// Runs the scenario of a client and holds what it read against what was recorded.
fn check(server: &Server, command: &mut Command) {
    let asked = json!({
        "url": server.url,
        "producer": server.key("", "idp", &["producer"]),
        "reader": server.key("", "soc", &["reader"]),
        "parent": PARENT,
        "child": CHILD,
        "stranger": STRANGER,
        "unknown": "eu:idp:jti:nobody",
    });
    let said = drive(command, &asked);
    let accessed = |number| json!([number, "RESOURCE_ACCESSED"]);
    let expected = json!({
        "recorded": vec!["recorded"; 7],
        "repeated": ["duplicate"],
        "token": [5, "ACTIVE", "web"],
        "expires_in": 2096,
        "life": [[[0, "ISSUED"], accessed(1)], [accessed(2), accessed(3)], [accessed(4)]],
        "resources": [["/orders/0", "/orders/1", "/orders/2"], ["/orders/3"]],
        "lineage": [[PARENT, 0], [CHILD, 1]],
        "edges": [[PARENT, CHILD, "EXCHANGED_FROM"]],
        "blast_radius": [1, [PARENT, CHILD], 4, []],
        "status": [true, "soc", ["reader"]],
        "findings": [["unknown_token", "medium", STRANGER]],
        "judged": "caught_up",
        "no_target": [422, "missing_target"],
        "unknown": [404, "not_found"],
        "no_key": [401, "unauthenticated"],
    });
    for (name, expected) in expected.as_object().expect("a table") {
        assert_eq!(&said[name], expected, "{name} in {said}");
    }
    assert_eq!(said, expected, "and nothing else");
}

#[test]
fn a_generated_python_client_asks_and_records() {
    let lock = "generated/requirements-openapi.lock";
    let Some(folder) = installed::python("openapi-python-client", lock) else { return };
    let server = server();
    // It formats what it made by ruff, which it finds on the path: its own one.
    let inherited = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{inherited}", folder.join("bin").display());
    // The body of RFC 8935 is a media type that this generator has to be told of.
    server.write(
        "generator.json",
        r#"{"content_type_overrides":{"application/secevent+jwt":"application/octet-stream"}}"#,
    );
    let generated = run(Command::new(folder.join("bin/openapi-python-client"))
        .args(["generate", "--fail-on-warning", "--meta", "none", "--config", "generator.json"])
        .args(["--path", DOCUMENT, "--output-path", "ledgerline_client"])
        .env("PATH", path)
        .current_dir(server.folder.path()));
    is_silent(generated);
    let mut client = Command::new(folder.join("bin/python"));
    client.arg(scenario("scenario.py")).env("PYTHONPATH", server.folder.path());
    check(&server, &mut client);
}

#[test]
fn a_generated_typescript_client_asks_and_records() {
    let Some(folder) = installed::node("openapi-typescript", "generated") else { return };
    let server = server();
    // Beside the packages, where the compiler and Node.js look for them.
    fs::copy(server.path(DOCUMENT), folder.join(DOCUMENT)).expect("a copy");
    for name in ["scenario.ts", "tsconfig.json"] {
        fs::copy(scenario(name), folder.join(name)).expect("a copy");
    }
    let program = |name: &str| {
        let mut command = Command::new(folder.join("node_modules/.bin").join(name));
        command.current_dir(&folder);
        command
    };
    is_silent(run(program("openapi-typescript").args([DOCUMENT, "--output", "schema.d.ts"])));
    let compiled = run(&mut program("tsc"));
    compiled.unwrap_or_else(|said| panic!("the scenario breaks the generated types:\n{said}"));
    check(&server, Command::new("node").arg(folder.join("built/scenario.js")));
}
