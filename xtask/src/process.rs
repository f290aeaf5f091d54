//! Starting other programs from the repository root.
//!
//! Promises that a failure carries the command as one could type it. Assumes nothing about the
//! directory the developer stands in. Refuses to swallow output: children write to our terminal.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The repository root.
///
/// `cargo run` tells where this package stands now; the compiled-in place is the fallback for a
/// binary started by hand.
pub fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or(package.clone(), Path::to_path_buf)
}

/// A command that will run in the repository root, without the marks `cargo run` left in our
/// environment.
///
/// Some build scripts (ring's) ask to be run again when `CARGO_PKG_*` changes. Passing our own on
/// would rebuild half the tree each time one goes from `cargo test` to `cargo xtask ci` and back.
pub fn command(program: &str, args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_package_mark) {
            command.env_remove(name);
        }
    }
    command
}

fn is_package_mark(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Runs `command` to its end.
///
/// # Errors
/// When it cannot be started, or ends with anything but success. Both name the command line.
pub fn run(mut command: Command) -> Result<()> {
    let line = command_line(&command);
    let status = command.status().with_context(|| format!("cannot start: {line}"))?;
    if !status.success() {
        bail!("failed ({status}): {line}");
    }
    Ok(())
}

/// Runs `command` and hands back what it printed.
///
/// # Errors
/// As [`run`], and when the output is not UTF-8.
pub fn output(mut command: Command) -> Result<String> {
    let line = command_line(&command);
    let output = command.output().with_context(|| format!("cannot start: {line}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("failed ({}): {line}\n{}", output.status, said.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("not UTF-8, the output of: {line}"))
}

/// The command as one could type it: variables we set, program, arguments.
pub fn command_line(command: &Command) -> String {
    let set = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", shown(name), shown(value?))));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(shown);
    set.chain(words).collect::<Vec<_>>().join(" ")
}

fn shown(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.is_empty() || word.contains([' ', '\'', '"', '$']) {
        format!("'{word}'")
    } else {
        word.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_as_typed() {
        let mut failing = command("sh", &["-c", "exit 3"]);
        failing.env("UPDATE_VECTORS", "1");
        let error = run(failing).expect_err("exit 3 is a failure").to_string();
        assert!(error.ends_with("UPDATE_VECTORS=1 sh -c 'exit 3'"), "{error}");
        assert!(error.contains('3'), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let none: [&str; 0] = [];
        let error = run(command("no-such-program-here", &none)).expect_err("absent").to_string();
        assert_eq!(error, "cannot start: no-such-program-here");
    }

    #[test]
    fn our_package_marks_are_not_inherited() {
        let printed = output(command("env", &[] as &[&str])).expect("env runs");
        assert!(printed.lines().all(|line| !is_package_mark(line)), "{printed}");
    }
}
