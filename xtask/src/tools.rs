//! What the build and the tests need from the machine beyond the Rust toolchain.
//!
//! Promises that a command that is missing or too old is reported by name, with the version that is
//! needed and what to do, once, before anything slow starts. Installs only what is missing, only as
//! root, only with apt-get, and says so before it does. Refuses to go on without what every step
//! needs; what a single test needs is not tested then, which is said here, at the test and at the
//! end. Where `CI=true` everything is needed.

use std::env;
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::process;

/// A command that the steps call, directly or through a build script.
struct Needed {
    /// How to ask for its version: the command and its arguments.
    version: &'static [&'static str],
    /// The oldest version that will do.
    least: &'static str,
    /// The package of Debian and Ubuntu.
    package: &'static str,
    why: &'static str,
    /// What to do when the package is too old, or there is none.
    cure: &'static str,
    /// Whether nothing works without it. Otherwise one test is not made.
    always: bool,
}

const COMPONENT: &str = "`rustup component add rustfmt clippy`, or the same from your distribution";
const RUST: &str = "`rustup update stable`, or a newer package of your distribution";

/// Everything needed. A new line here is all it takes.
const NEEDED: &[Needed] = &[
    needed(&["rustc", "--version"], "1.95", "", "it compiles", RUST),
    needed(&["cargo", "fmt", "--version"], "1.8", "", "the step `format`", COMPONENT),
    needed(&["cargo", "clippy", "--version"], "0.1.95", "", "the step `clippy`", COMPONENT),
    needed(&["git", "--version"], "2.25", "git", "tidy reads the list of files", "install git"),
    needed(&["cc", "--version"], "0", "gcc", "ring is partly C, and rustc links", "install gcc"),
    Needed {
        always: false,
        ..needed(
            &["curl", "--version"],
            "7.58",
            "curl",
            "a test runs the documents' commands",
            "install curl",
        )
    },
    Needed {
        always: false,
        ..needed(
            &["python3", "--version"],
            "3.11",
            "python3-venv",
            "tests drive Authlib, a generated client and the documents' commands",
            "put a newer Python first on PATH (python.org, pyenv)",
        )
    },
    // Debian has the module in a package of its own.
    Needed {
        always: false,
        ..needed(
            &["python3", "-c", "import ensurepip; print(ensurepip.version())"],
            "0",
            "python3-venv",
            "the tests that drive Python clients make virtual environments",
            "install python3-venv",
        )
    },
    Needed {
        always: false,
        ..needed(
            &["node", "--version"],
            "20",
            "nodejs",
            "tests drive openid-client and a generated client",
            "put a newer Node.js first on PATH (nodejs.org, nvm); that of Debian 12 is too old",
        )
    },
    Needed {
        always: false,
        ..needed(&["npm", "--version"], "8", "npm", "it installs packages of tests", "install npm")
    },
    Needed {
        always: false,
        ..needed(
            &["java", "--version"],
            "17",
            "default-jre-headless",
            "a test runs a real Keycloak",
            "put a newer Java first on PATH",
        )
    },
    Needed {
        always: false,
        ..needed(&["mvn", "--version"], "3", "maven", "it installs Keycloak", "install maven")
    },
];

const fn needed(
    version: &'static [&'static str],
    least: &'static str,
    package: &'static str,
    why: &'static str,
    cure: &'static str,
) -> Needed {
    Needed { version, least, package, why, cure, always: true }
}

/// How a needed command is.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Good,
    /// It is there, in this version.
    Old(String),
    Missing,
}

/// Makes sure that every needed command is there, in a version that will do. Gives what will not be
/// tested without.
///
/// # Errors
/// When something is missing or too old that is always needed, or anything where `CI=true`.
pub fn ensure() -> Result<Vec<String>> {
    announce_clients()?;
    let mut lacking = look(NEEDED);
    let missing: Vec<&str> = missing_packages(&lacking);
    if !missing.is_empty() && is_root() && is_present("apt-get") {
        install(&missing);
        lacking = look(NEEDED);
    }
    judge(&lacking, env::var("CI").is_ok_and(|value| value == "true"))
}

fn look(list: &[Needed]) -> Vec<(&Needed, State)> {
    let states = list.iter().map(|needed| (needed, state_of(needed)));
    states.filter(|(_, state)| *state != State::Good).collect()
}

fn missing_packages(lacking: &[(&Needed, State)]) -> Vec<&'static str> {
    let missing = lacking.iter().filter(|(needed, state)| {
        // What is there and too old would be no newer from the same place.
        *state == State::Missing && !needed.package.is_empty()
    });
    let mut packages: Vec<&str> = missing.map(|(needed, _)| needed.package).collect();
    packages.dedup();
    packages
}

fn state_of(needed: &Needed) -> State {
    let Some((command, args)) = needed.version.split_first() else { return State::Missing };
    if !is_present(command) {
        return State::Missing;
    }
    let Ok(said) = process::output(process::command(command, args)) else { return State::Missing };
    match version_in(&said) {
        Some(version) if is_at_least(&version, needed.least) => State::Good,
        // A version that cannot be read is not held against it.
        None => State::Good,
        Some(version) => State::Old(version),
    }
}

/// The first number with a dot, or after a `v`, in what a command says of itself.
fn version_in(said: &str) -> Option<String> {
    let words = said.split(|c: char| c.is_whitespace() || c == '(' || c == ')' || c == ',');
    let mut versions = words.filter_map(|word| {
        let word = word.strip_prefix('v').unwrap_or(word);
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let number = word[..end].trim_end_matches('.');
        let is_version = number.contains('.') && number.starts_with(|c: char| c.is_ascii_digit());
        is_version.then(|| number.to_owned())
    });
    versions.next()
}

/// Compares part by part; a part that is left out is 0.
pub fn is_at_least(version: &str, least: &str) -> bool {
    let parts = |text: &str| -> Vec<u64> {
        let mut parts: Vec<u64> =
            text.split('.').map(|part| part.parse().unwrap_or(u64::MAX)).collect();
        while parts.last() == Some(&0) {
            parts.pop();
        }
        parts
    };
    parts(version) >= parts(least)
}

/// The version a command says it has, when it is there.
pub fn version_of(command: &str, args: &[&str]) -> Option<String> {
    let said = process::output(process::command(command, args)).ok()?;
    version_in(&said)
}

/// Asks the shell, as a person would.
fn is_present(command: &str) -> bool {
    let found = process::command("sh", &["-c", "command -v \"$0\" >/dev/null 2>&1", command]);
    process::run(found).is_ok()
}

fn is_root() -> bool {
    process::output(process::command("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}

/// Says what the tests will install, and where.
fn announce_clients() -> Result<()> {
    let clients = process::root().join("crates/ledgerline/tests/clients");
    let read = |name: &str| {
        fs::read_to_string(clients.join(name)).with_context(|| format!("tests/clients/{name}"))
    };
    let python = read("requirements.in")? + &read("generated/requirements-openapi.in")?;
    let node = [read("package.json")?, read("generated/package.json")?];
    println!(
        "Tests install client libraries and generators of clients into the target folder: with pip \
         {}; with npm {}. Servers that they run against go into {}: oidc-provider, with npm.",
        python.lines().collect::<Vec<_>>().join(" "),
        node.iter().flat_map(|package| dependencies(package)).collect::<Vec<_>>().join(" "),
        ledgerline_servers::cache()?.display(),
    );
    Ok(())
}

/// What a `package.json` asks for, as `name@version`.
fn dependencies(package: &str) -> Vec<String> {
    let list = package.split_once("\"dependencies\"").map_or("", |(_, rest)| rest);
    let list = list.split('}').next().unwrap_or_default();
    let words: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    words.chunks(2).map(|pair| pair.join("@")).collect()
}

/// Tries; whether it worked is seen by looking for the commands again.
fn install(packages: &[&str]) {
    let list = packages.join(" ");
    println!("INSTALLING on this machine, because it lacks them and you are root: {list}");
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(packages);
    for args in [vec!["update", "--quiet"], args] {
        println!("  apt-get {}", args.join(" "));
        if let Err(error) = process::run(process::command("apt-get", &args)) {
            eprintln!("{error:#}");
        }
    }
}

fn described(needed: &Needed, state: &State) -> String {
    let Needed { version, least, package, why, cure, .. } = needed;
    let command = version.iter().take_while(|word| !word.starts_with('-'));
    let command = command.copied().collect::<Vec<_>>().join(" ");
    let is = match state {
        State::Old(found) => format!("is {found}, and at least {least} is needed"),
        State::Missing | State::Good => "is missing".to_owned(),
    };
    let package = match (package, state) {
        (name, State::Missing) if !name.is_empty() => format!(" (Debian: {name})"),
        _ => String::new(),
    };
    format!("{command} {is}: {why}. What to do: {cure}{package}")
}

fn judge(lacking: &[(&Needed, State)], strict: bool) -> Result<Vec<String>> {
    let list = |part: &[&(&Needed, State)]| -> String {
        part.iter().map(|(needed, state)| format!("\n  {}", described(needed, state))).collect()
    };
    let (hard, soft): (Vec<_>, Vec<_>) =
        lacking.iter().partition(|(needed, _)| needed.always || strict);
    if !hard.is_empty() {
        bail!("this machine lacks what is needed:{}", list(&hard));
    }
    if !soft.is_empty() {
        eprintln!(
            "This machine lacks what single tests need; they will not be made:{}",
            list(&soft)
        );
    }
    Ok(soft.into_iter().map(|(needed, state)| described(needed, state)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: Needed = needed(&["no-such-command-here"], "1", "nothing", "a test", "buy one");

    #[test]
    fn presence_is_what_the_shell_finds() {
        assert!(is_present("sh"));
        assert_eq!(state_of(&ABSENT), State::Missing);
    }

    #[test]
    fn a_version_that_is_too_old_passed_for_being_there() {
        for (said, version) in [
            ("v18.20.4\n", "18.20.4"),
            ("Python 3.11.2", "3.11.2"),
            ("git version 2.39.5 (Apple Git)", "2.39.5"),
            ("cc (Debian 12.2.0-14) 12.2.0", "12.2.0"),
            ("clippy 0.1.95 (abc 2026-01-01)", "0.1.95"),
            ("rustfmt 1.8.0-stable (abc)", "1.8.0"),
            ("curl 7.88.1 (x86_64-pc-linux-gnu)", "7.88.1"),
        ] {
            assert_eq!(version_in(said).as_deref(), Some(version), "{said}");
        }
        assert_eq!(version_in("no number"), None);
        assert!(is_at_least("20.0.1", "20") && is_at_least("20", "20.0"));
        assert!(is_at_least("3.11", "3.9") && !is_at_least("3.9.18", "3.11"));
        assert!(!is_at_least("18.20.4", "20"));
        let shell = needed(&["sh", "-c", "echo v18.20.4"], "20", "", "a test", "put a newer one");
        assert_eq!(state_of(&shell), State::Old("18.20.4".to_owned()));
        let said = described(&shell, &state_of(&shell));
        assert_eq!(
            said,
            "sh is 18.20.4, and at least 20 is needed: a test. What to do: put a newer one"
        );
    }

    #[test]
    fn dependencies_are_named_with_their_versions() {
        let package =
            r#"{ "type": "module", "dependencies": { "@a/b": "1.2", "c": "3" }, "d": "4" }"#;
        assert_eq!(dependencies(package), ["@a/b@1.2", "c@3"]);
        assert!(dependencies("{}").is_empty());
        announce_clients().expect("the lists of the tests are there");
    }

    #[test]
    fn what_one_test_needs_is_a_failure_only_where_strict() {
        let soft = Needed { always: false, ..ABSENT };
        let not_tested = judge(&[(&soft, State::Missing)], false).expect("one test less");
        assert!(
            not_tested[0].contains("no-such-command-here is missing: a test"),
            "{not_tested:?}"
        );
        assert!(judge(&[], true).expect("nothing lacks").is_empty());
        for (needed, strict) in [(&soft, true), (&ABSENT, false)] {
            let error = judge(&[(needed, State::Missing)], strict).expect_err("needed").to_string();
            assert!(error.contains("What to do: buy one (Debian: nothing)"), "{error}");
        }
    }

    #[test]
    fn the_compiler_that_is_asked_for_is_that_of_the_workspace() {
        let workspace = fs::read_to_string(process::root().join("Cargo.toml")).expect("a file");
        assert!(workspace.contains(&format!("rust-version = \"{}\"", NEEDED[0].least)));
    }
}
