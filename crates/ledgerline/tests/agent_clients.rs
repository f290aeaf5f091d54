//! The thin clients of the agent, `sdk/python` and `sdk/node`: their own tests by their own
//! runners, and the vectors of token ids, by which the kernel is held to the same ids as they are.
//!
//! What their tests need is installed into the target folder from the lock files beside them. Where
//! that cannot be done, or an interpreter is missing or too old, the test says so and is skipped;
//! with `CI=true` it fails.

mod installed;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use installed::copy;
use ledgerline_proof::token_id::{TokenIdError, from_jti, from_presented};
use ledgerline_servers::install::run;
use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../proof/vectors/token_ids.json");

fn sdk(path: &str) -> PathBuf {
    Path::new(ROOT).join("sdk").join(path)
}

/// What the packages of Python's tests are; with the client itself on the path.
fn python() -> Option<Command> {
    let lock = sdk("python/tests/requirements.txt");
    let folder = installed::python("sdk-python", lock.to_str().expect("UTF-8"))?;
    let paths = [sdk("python/src"), sdk("python/tests")];
    let mut command = Command::new(folder.join("bin/python"));
    command.current_dir(sdk("python"));
    command.env("PYTHONPATH", std::env::join_paths(paths).expect("no colon in a path"));
    // Nothing is written beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

/// A copy of the Node package beside what its tests need, where Node.js looks for it.
fn node() -> Option<PathBuf> {
    let folder = installed::node("sdk-node", sdk("node").to_str().expect("UTF-8"))?;
    for part in ["src", "test"] {
        let _ = fs::remove_dir_all(folder.join(part));
        copy(&sdk("node").join(part), &folder.join(part));
    }
    Some(folder)
}

/// Runs the tests of a package; how many there were, by the last number behind `mark`.
fn tests_of(command: &mut Command, mark: &str) -> usize {
    let output = run(command).unwrap_or_else(|said| panic!("{said}"));
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    let number = said.rsplit_once(mark).and_then(|(_, rest)| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no count in:\n{said}"))
}

/// What the middlewares cost a request: a short run shows that it can be measured; with
/// `LEDGERLINE_SDK_OVERHEAD=1` and `--nocapture` a long one prints its figures.
fn measure(command: &mut Command) {
    let is_asked = std::env::var_os("LEDGERLINE_SDK_OVERHEAD").is_some();
    if !is_asked {
        command.env("ROUNDS", "1").env("CALLS", "20");
    }
    let output = run(command).unwrap_or_else(|said| panic!("{said}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("added p50") && said.contains("dropped 0, refused 0"), "{said}");
    if is_asked {
        // Nothing is left to do when standard error is closed.
        let _ = writeln!(io::stderr(), "{said}");
    }
}

#[test]
fn the_python_client_passes_its_tests() {
    let Some(mut tests) = python() else { return };
    tests.args(["-m", "unittest", "discover", "-s", "tests"]);
    // None is found where a folder was renamed, which must not look like success.
    assert!(tests_of(&mut tests, "\nRan ") >= 50);
    let Some(mut overhead) = python() else { return };
    measure(overhead.arg("tests/overhead.py"));
}

#[test]
fn the_node_client_passes_its_tests_and_its_types_hold() {
    let Some(folder) = node() else { return };
    let mut tests: Vec<PathBuf> = fs::read_dir(folder.join("test"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.to_string_lossy().ends_with(".test.js"))
        .collect();
    tests.sort();
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=tap"]).args(&tests).current_dir(&folder);
    node.env("LEDGERLINE_TOKEN_VECTORS", VECTORS);
    assert!(tests_of(&mut node, "\n# pass ") >= 60);
    // The types are a contract of their own: what must not compile does not.
    let mut compiler = Command::new("node");
    compiler.args(["node_modules/typescript/bin/tsc", "-p", "test"]).current_dir(&folder);
    run(&mut compiler).unwrap_or_else(|said| panic!("{said}"));
    measure(Command::new("node").arg("test/overhead.js").current_dir(&folder));
}

#[test]
fn token_ids_are_those_that_are_published() {
    let vectors: Value =
        serde_json::from_str(&fs::read_to_string(VECTORS).expect("the vectors")).expect("JSON");
    let text = |value: &Value, name: &str| value[name].as_str().expect(name).to_owned();
    let list = |name: &str| vectors[name].as_array().expect(name).clone();
    let (region, issuer) = (text(&vectors, "region"), text(&vectors, "issuer"));
    for vector in list("presented") {
        let token = text(&vector, "token");
        let id = from_presented(&region, &issuer, token.as_bytes());
        assert_eq!(id, Ok(text(&vector, "id")), "{}", vector["name"]);
        let altered = from_presented(&region, &issuer, format!("x{token}").as_bytes());
        assert_ne!(altered, Ok(text(&vector, "id")), "{}", vector["name"]);
    }
    for vector in list("jti") {
        let id = from_jti(&region, &issuer, &text(&vector, "jti"));
        assert_eq!(id, Ok(text(&vector, "id")), "{}", vector["name"]);
    }
    for weak in list("weak") {
        let weak = weak.as_str().expect("a text").as_bytes();
        assert_eq!(from_presented(&region, &issuer, weak), Err(TokenIdError::WeakToken));
    }
}
