//! What a change must pass, in one table.
//!
//! Promises: the steps run in the order of [`STEPS`]; the first failure ends
//! the run and names its command; each step's time is printed, and below it what could not be run
//! or tested here: a pass never looks like more than it was. Budget: 90 minutes from nothing on
//! two cores, of which a cold build is most. Whatever does not fit belongs in a chore of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{process, tidy, tools};

/// One step, under the name printed beside its time.
struct Step {
    name: &'static str,
    action: Action,
}

enum Action {
    /// `cargo` with these arguments.
    Cargo(&'static [&'static str]),
    /// A function of this program.
    Own(fn() -> Result<()>),
    /// The same, that may say what it leaves out.
    Partly(fn() -> Result<Vec<String>>),
}

/// The steps. To add one is to add a line; `Cargo(&["xtask", …])` runs another chore.
const STEPS: &[Step] = &[
    Step { name: "tools", action: Action::Partly(tools::ensure) },
    Step { name: "format", action: Action::Cargo(&["fmt", "--all", "--check"]) },
    Step { name: "clippy", action: Action::Cargo(CLIPPY) },
    Step { name: "fuzz targets", action: Action::Cargo(FUZZ) },
    Step { name: "tidy", action: Action::Own(tidy::judge) },
    Step { name: "deny", action: Action::Partly(deny) },
    Step { name: "tests", action: Action::Cargo(TESTS) },
    Step { name: "keycloak", action: Action::Cargo(KEYCLOAK) },
];

/// `--locked`: what was reviewed is what is built.
const CLIPPY: &[&str] =
    &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];

/// A workspace of its own, which the steps above do not see: it must go on compiling.
const FUZZ: &[&str] = &[
    "check",
    "--manifest-path",
    "fuzz/Cargo.toml",
    "--all-targets",
    "--locked",
    "--target-dir",
    "target",
];

/// Profile `ci`: optimised, since the tests hash and sign a lot, with assertions on.
const TESTS: &[&str] = &["test", "--workspace", "--locked", "--profile", "ci"];

/// A real Keycloak, which nobody wants at each `cargo test`: 180 MB once, then a minute or two.
const KEYCLOAK: &[&str] = &[
    "test",
    "--package",
    "ledgerline",
    "--locked",
    "--profile",
    "ci",
    "--test",
    "live_keycloak",
    "--",
    "--ignored",
];

/// The oldest cargo-deny that understands deny.toml.
const DENY_LEAST: &str = "0.18";

/// Licences, advisories and bans, when cargo-deny is there. It fetches the list of advisories.
fn deny() -> Result<Vec<String>> {
    let cure = "`cargo install --locked cargo-deny`";
    match tools::version_of("cargo", &["deny", "--version"]) {
        None => Ok(vec![format!(
            "`cargo deny check`: cargo-deny is not here, so licences and advisories of the \
             dependencies were NOT LOOKED AT. What to do: {cure}"
        )]),
        Some(version) if !tools::is_at_least(&version, DENY_LEAST) => Ok(vec![format!(
            "`cargo deny check`: cargo-deny is {version}, and deny.toml needs {DENY_LEAST}: \
             licences and advisories of the dependencies were NOT LOOKED AT. What to do: {cure}"
        )]),
        // Without a network the list of advisories cannot be had; the rest is in the tree.
        Some(_) => match process::run(process::command("cargo", &["deny", "fetch", "db"])) {
            Ok(()) => {
                process::run(process::command("cargo", &["deny", "--locked", "check"]))?;
                Ok(Vec::new())
            }
            Err(_) => {
                let parts = ["deny", "--locked", "check", "bans", "licenses", "sources"];
                process::run(process::command("cargo", &parts))?;
                Ok(vec![
                    "`cargo deny check advisories`: their list cannot be fetched, so advisories \
                     about the dependencies were NOT LOOKED AT. What to do: run it with a network"
                        .to_owned(),
                ])
            }
        },
    }
}

/// Runs every step.
///
/// # Errors
/// The first failing step's, under its name.
pub fn run() -> Result<()> {
    let (mut times, mut left_out) = (Vec::new(), Vec::new());
    let result = run_steps(STEPS, &mut times, &mut left_out);
    println!("\nstep          seconds");
    for (name, time) in &times {
        println!("{name:12} {:>8.1}", time.as_secs_f64());
    }
    for one in &left_out {
        println!("\n*** NOT RUN HERE: {one} ***");
    }
    result
}

/// Stops at the first failure; `times` then ends with the step that failed.
fn run_steps(
    steps: &[Step],
    times: &mut Vec<(&'static str, Duration)>,
    left_out: &mut Vec<String>,
) -> Result<()> {
    for step in steps {
        println!("\n== {}", step.name);
        let start = Instant::now();
        let result = match step.action {
            Action::Cargo(args) => process::run(process::command("cargo", args)),
            Action::Own(function) => function(),
            Action::Partly(function) => function().map(|more| {
                more.iter().for_each(|one| println!("*** NOT RUN HERE: {one} ***"));
                left_out.extend(more);
            }),
        };
        times.push((step.name, start.elapsed()));
        result.with_context(|| format!("ci stopped at the step `{}`", step.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn the_first_failure_ends_the_run_and_is_named() {
        let steps = [
            Step { name: "good", action: Action::Own(|| Ok(())) },
            Step { name: "less", action: Action::Partly(|| Ok(vec!["a half".to_owned()])) },
            Step { name: "bad", action: Action::Own(|| bail!("as told")) },
            Step { name: "never", action: Action::Own(|| panic!("must not run")) },
        ];
        let (mut times, mut left_out) = (Vec::new(), Vec::new());
        let error = run_steps(&steps, &mut times, &mut left_out).expect_err("a step fails");
        assert_eq!(format!("{error:#}"), "ci stopped at the step `bad`: as told");
        let names: Vec<_> = times.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["good", "less", "bad"]);
        assert_eq!(left_out, ["a half"], "said again at the end");
    }
}
