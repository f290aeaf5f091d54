//! What a change must pass, in one table.
//!
//! Promises: the steps run in the order of [`STEPS`]; the first failure ends
//! the run and names its command; each step's time is printed. Budget: 90 minutes from nothing on
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
}

/// The steps. To add one is to add a line; `Cargo(&["xtask", …])` runs another chore.
const STEPS: &[Step] = &[
    Step { name: "tools", action: Action::Own(tools::ensure) },
    Step { name: "format", action: Action::Cargo(&["fmt", "--all", "--check"]) },
    Step { name: "clippy", action: Action::Cargo(CLIPPY) },
    Step { name: "fuzz targets", action: Action::Cargo(FUZZ) },
    Step { name: "tidy", action: Action::Own(tidy::run) },
    Step { name: "tests", action: Action::Cargo(TESTS) },
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

/// Runs every step.
///
/// # Errors
/// The first failing step's, under its name.
pub fn run() -> Result<()> {
    let mut times = Vec::new();
    let result = run_steps(STEPS, &mut times);
    println!("\nstep          seconds");
    for (name, time) in &times {
        println!("{name:12} {:>8.1}", time.as_secs_f64());
    }
    result
}

/// Stops at the first failure; `times` then ends with the step that failed.
fn run_steps(steps: &[Step], times: &mut Vec<(&'static str, Duration)>) -> Result<()> {
    for step in steps {
        println!("\n== {}", step.name);
        let start = Instant::now();
        let result = match step.action {
            Action::Cargo(args) => process::run(process::command("cargo", args)),
            Action::Own(function) => function(),
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
            Step { name: "bad", action: Action::Own(|| bail!("as told")) },
            Step { name: "never", action: Action::Own(|| panic!("must not run")) },
        ];
        let mut times = Vec::new();
        let error = run_steps(&steps, &mut times).expect_err("the second step fails");
        assert_eq!(format!("{error:#}"), "ci stopped at the step `bad`: as told");
        let names: Vec<_> = times.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["good", "bad"]);
    }
}
