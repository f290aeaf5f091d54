//! What the build and the tests need from the machine beyond the Rust toolchain.
//!
//! Promises that a missing command is reported by name with its Debian package, once, before
//! anything slow starts. Installs only what is missing, only as root, only with apt-get. Refuses
//! to go on without it where `CI=true`; on a developer's machine it says so and goes on, because
//! most chores may still work.

use std::env;

use anyhow::{Result, bail};

use crate::process;

/// A command the tests call, directly or through a build script.
struct Needed {
    command: &'static str,
    debian_package: &'static str,
    why: &'static str,
}

/// Everything needed. A new line here is all it takes.
const NEEDED: &[Needed] = &[
    Needed { command: "git", debian_package: "git", why: "tidy reads the list of files" },
    Needed { command: "cc", debian_package: "gcc", why: "ring is partly C, and rustc links" },
    Needed { command: "python3", debian_package: "python3-venv", why: "a test drives Authlib" },
    Needed { command: "node", debian_package: "nodejs", why: "a test drives openid-client" },
    Needed { command: "npm", debian_package: "npm", why: "it installs openid-client" },
];

/// Makes sure that every needed command is there.
///
/// # Errors
/// When something is missing, cannot be installed, and `CI=true`.
pub fn ensure() -> Result<()> {
    let absent: Vec<&Needed> = NEEDED.iter().filter(|needed| !is_present(needed.command)).collect();
    if absent.is_empty() {
        return Ok(());
    }
    if is_root() && is_present("apt-get") {
        install(&absent);
    }
    let absent: Vec<&Needed> =
        absent.into_iter().filter(|needed| !is_present(needed.command)).collect();
    judge(&absent, env::var("CI").is_ok_and(|value| value == "true"))
}

/// Asks the shell, as a person would.
fn is_present(command: &str) -> bool {
    let found = process::command("sh", &["-c", "command -v \"$0\" >/dev/null 2>&1", command]);
    process::run(found).is_ok()
}

fn is_root() -> bool {
    process::output(process::command("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}

/// Tries; whether it worked is seen by looking for the commands again.
fn install(absent: &[&Needed]) {
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(absent.iter().map(|needed| needed.debian_package));
    for args in [vec!["update", "--quiet"], args] {
        if let Err(error) = process::run(process::command("apt-get", &args)) {
            eprintln!("{error:#}");
        }
    }
}

fn judge(absent: &[&Needed], strict: bool) -> Result<()> {
    if absent.is_empty() {
        return Ok(());
    }
    let list: String = absent
        .iter()
        .map(|needed| {
            let Needed { command, debian_package, why } = needed;
            format!("\n  {command} (Debian package {debian_package}): {why}")
        })
        .collect();
    if strict {
        bail!("MISSING on this machine and not installable from here:{list}");
    }
    eprintln!("MISSING on this machine, what follows may fail because of it:{list}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABSENT: Needed =
        Needed { command: "no-such-command-here", debian_package: "nothing", why: "a test" };

    #[test]
    fn presence_is_what_the_shell_finds() {
        assert!(is_present("sh"));
        assert!(!is_present(ABSENT.command));
    }

    #[test]
    fn missing_is_a_failure_only_where_strict() {
        assert!(judge(&[&ABSENT], false).is_ok());
        assert!(judge(&[], true).is_ok());
        let error = judge(&[&ABSENT], true).expect_err("strict").to_string();
        assert!(error.contains("no-such-command-here (Debian package nothing): a test"), "{error}");
    }
}
