//! Programs of other languages that tests drive, installed from checked-in lock files.
//!
//! Promises: what is installed is what a lock file lists, byte for byte: pip and npm compare each
//! package with its hash. It goes into the target folder, and is kept there until the lock file or
//! the interpreter is another; a test whose packages are there needs no network. Where something
//! cannot be installed the test says so and is skipped; with `CI=true` it fails.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The clients, and the lock files of what they need.
pub const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");

/// What runs the packages, and the oldest one that can.
struct Interpreter {
    command: &'static str,
    least: (u32, u32),
}

const PYTHON: Interpreter = Interpreter { command: "python3", least: (3, 11) };
const NODE: Interpreter = Interpreter { command: "node", least: (20, 0) };

/// Runs a command; what it said when it failed.
pub fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    Err(said.concat())
}

/// The version of an interpreter. Refuses one that the packages do not run on: they would fail only
/// when they are used.
pub fn version_of(command: &str, least: (u32, u32)) -> Result<String, String> {
    let output = Command::new(command).arg("--version").output();
    let output = output.map_err(|error| format!("{command}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = said.trim().trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found >= least {
        return Ok(number.to_owned());
    }
    Err(format!("{command} is {number}, and at least {}.{} is needed", least.0, least.1))
}

/// A virtual environment with what a lock file of pip lists, at its path below the clients; `None`
/// when it cannot be made.
pub fn python(name: &str, lock: &str) -> Option<PathBuf> {
    let lock = Path::new(CLIENTS).join(lock);
    installed(name, &PYTHON, &lock, |folder| {
        run(Command::new(PYTHON.command).args(["-m", "venv"]).arg(folder))?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]);
        run(pip.arg(&lock))
    })
}

/// A folder with what the `package-lock.json` of a folder of the clients lists; `None` when it
/// cannot be made.
pub fn node(name: &str, clients: &str) -> Option<PathBuf> {
    let clients = Path::new(CLIENTS).join(clients);
    installed(name, &NODE, &clients.join("package-lock.json"), |folder| {
        for name in ["package.json", "package-lock.json"] {
            let copied = fs::copy(clients.join(name), folder.join(name));
            copied.map_err(|error| error.to_string())?;
        }
        let args = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        run(Command::new("npm").args(args).current_dir(folder))
    })
}

/// A folder of the target folder, with what `install` puts there unless it is there already.
fn installed(
    name: &str,
    interpreter: &Interpreter,
    lock: &Path,
    install: impl Fn(&Path) -> Result<Output, String>,
) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(name);
    let locked = fs::read_to_string(lock).expect("the lock file");
    let version = match version_of(interpreter.command, interpreter.least) {
        Ok(version) => version,
        Err(why) => return skipped(name, &why),
    };
    let wanted = format!("{} {version}\n{locked}", interpreter.command);
    let mark = folder.join("installed");
    if fs::read_to_string(&mark).is_ok_and(|found| found == wanted) {
        return Some(folder);
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    match install(&folder) {
        Ok(_) => {
            fs::write(&mark, wanted).expect("a mark");
            Some(folder)
        }
        Err(why) => skipped(name, &why),
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
