//! Programs of other makers that tests drive or run against, installed from what is pinned in the
//! repository.
//!
//! Promises: what is installed is what is pinned, byte for byte. Client libraries go into the
//! target folder, servers into the user's cache (`cargo xtask servers`), and are kept there until
//! the pin or the interpreter is another; a test whose packages are there needs no network. Where
//! something cannot be installed the test says so and is skipped; with `CI=true` it fails.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ledgerline_servers::{cache, find, install, kept};
use serde_json::Value;

/// The clients, and the lock files of what they need.
pub const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// Copies the files of a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
    }
}

/// A virtual environment with what a lock file of pip lists, at its path below the clients; `None`
/// when it cannot be made.
pub fn python(name: &str, lock: &str) -> Option<PathBuf> {
    let lock = Path::new(CLIENTS).join(lock);
    or_skipped(name, || {
        let wanted = format!("python3 {}\n{}", install::python_version()?, read(&lock));
        kept(&target(), name, &wanted, |folder| install::pip(folder, &lock))
    })
}

/// A folder with what the `package-lock.json` of a folder of the clients lists; `None` when it
/// cannot be made.
pub fn node(name: &str, clients: &str) -> Option<PathBuf> {
    let clients = Path::new(CLIENTS).join(clients);
    or_skipped(name, || {
        let lock = read(&clients.join("package-lock.json"));
        let wanted = format!("node {}\n{lock}", install::node_version()?);
        kept(&target(), name, &wanted, |folder| {
            for name in ["package.json", "package-lock.json"] {
                fs::copy(clients.join(name), folder.join(name))?;
            }
            install::npm(folder)
        })
    })
}

/// Where a server lies, as `cargo xtask servers path` says; installed if it is not there. `None`
/// when it cannot be.
pub fn server(name: &str) -> Option<PathBuf> {
    or_skipped(name, || find(name)?.ensure(&cache()?))
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients")
}

fn read(lock: &Path) -> String {
    fs::read_to_string(lock).expect("the lock file")
}

fn or_skipped<E: std::fmt::Display>(
    name: &str,
    install: impl FnOnce() -> Result<PathBuf, E>,
) -> Option<PathBuf> {
    match install() {
        Ok(folder) => Some(folder),
        Err(why) => skipped(name, &format!("{why:#}")),
    }
}

fn skipped(name: &str, why: &str) -> Option<PathBuf> {
    let missing = format!("{name} cannot be installed here: {why}");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
    // Not by the macro: what that writes is not shown for tests that pass.
    let said = format!("\n*** SKIPPED, NOT TESTED: {missing} ***\n\n");
    let _ = std::io::stderr().write_all(said.as_bytes());
    None
}

/// Runs a client with JSON in and JSON out.
pub fn drive(command: &mut Command, asked: &Value) -> Value {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
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
