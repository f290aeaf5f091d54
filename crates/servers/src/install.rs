//! What each package tool is told.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::kept::{hex, kept};
use crate::{Package, Source};

/// A program that runs a package, and the oldest one that can.
struct Interpreter {
    command: &'static str,
    version: &'static str,
    least: (u32, u32),
}

const PYTHON: Interpreter =
    Interpreter { command: "python3", version: "--version", least: (3, 11) };
const NODE: Interpreter = Interpreter { command: "node", version: "--version", least: (20, 0) };
/// It says its version on standard error otherwise.
const JAVA: Interpreter = Interpreter { command: "java", version: "--version", least: (17, 0) };

impl Interpreter {
    /// Its version. Refuses one that the packages do not run on: they would fail only when used.
    fn version(&self) -> Result<String> {
        let output = Command::new(self.command).arg(self.version).output();
        let output = output.with_context(|| self.command.to_owned())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let digit = |c: char| c.is_ascii_digit();
        let number = said.split_whitespace().map(|word| word.trim_start_matches('v'));
        let number = number.into_iter().find(|word| word.starts_with(digit)).unwrap_or_default();
        let mut parts = number.split('.').map(|part| part.parse().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        let (major, minor) = self.least;
        ensure!(
            found >= self.least,
            "{} is {number}, and at least {major}.{minor} is needed",
            self.command
        );
        Ok(number.to_owned())
    }
}

/// Runs a command to its end. Asks nobody anything.
///
/// # Errors
/// With everything that it said, when it fails.
pub fn run(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().context(name)?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    bail!("{}", said.concat())
}

impl Package {
    /// Everything that what is installed depends on.
    pub(crate) fn wanted(&self) -> Result<String> {
        Ok(match &self.source {
            Source::Npm { package, lock } => format!("node {}\n{package}{lock}", NODE.version()?),
            Source::Pip { requirements } => {
                format!("python3 {}\n{requirements}", PYTHON.version()?)
            }
            Source::Maven { archive, sha256, prepare, .. } => {
                format!("java {}\n{archive} {sha256}\n{}", JAVA.version()?, prepare.join(" "))
            }
            Source::Debian { package } => (*package).to_owned(),
        })
    }

    /// Installs it below `cache`, or into the system.
    pub(crate) fn install(&self, cache: &Path) -> Result<()> {
        if let Source::Debian { package } = self.source {
            return debian(package);
        }
        kept(cache, self.name, &self.wanted()?, |folder| match &self.source {
            Source::Npm { package, lock } => {
                fs::write(folder.join("package.json"), package)?;
                fs::write(folder.join("package-lock.json"), lock)?;
                npm(folder)
            }
            Source::Pip { requirements } => {
                let list = folder.join("requirements.txt");
                fs::write(&list, requirements)?;
                pip(folder, &list)
            }
            Source::Maven { archive, sha256, .. } => {
                maven(folder, archive, sha256)?;
                self.prepare(folder)
            }
            Source::Debian { .. } => Ok(()),
        })
        .map(drop)
    }

    fn prepare(&self, folder: &Path) -> Result<()> {
        let Source::Maven { prepare: [program, args @ ..], environment, .. } = self.source else {
            return Ok(());
        };
        let home = fs::read_dir(folder)?.find_map(|entry| {
            let path = entry.ok()?.path();
            path.join(program).is_file().then_some(path)
        });
        let home = home.with_context(|| format!("the archive has no {program}"))?;
        let mut command = Command::new(home.join(program));
        command.args(args).envs(environment.iter().copied()).current_dir(home);
        run(&mut command).map(drop)
    }
}

/// Installs into a folder what its `package-lock.json` lists.
///
/// # Errors
/// What npm says: also when a package is not the one whose digest is in the list.
pub fn npm(folder: &Path) -> Result<()> {
    let args = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    run(Command::new("npm").args(args).current_dir(folder)).map(drop)
}

/// Makes a virtual environment of a folder, with what a list names.
///
/// # Errors
/// What pip says: also when a package is not one of those whose digests are in the list.
pub fn pip(folder: &Path, list: &Path) -> Result<()> {
    run(Command::new(PYTHON.command).args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]);
    run(pip.arg(list)).map(drop)
}

/// Unpacks an archive into a folder.
fn maven(folder: &Path, archive: &str, sha256: &str) -> Result<()> {
    let mut copy = Command::new("mvn");
    copy.args(["-B", "-ntp", "-q", "dependency:copy"]);
    copy.arg(format!("-Dartifact={archive}"));
    copy.arg("-DoutputDirectory=archive").current_dir(folder);
    run(&mut copy)?;
    let kept = folder.join("archive");
    let file = fs::read_dir(&kept)?.next().context("Maven copied nothing")??.path();
    let found = hex(&Sha256::digest(fs::read(&file)?));
    ensure!(found == sha256, "{archive} has the SHA-256 {found}, and {sha256} is pinned");
    run(Command::new("tar").arg("xzf").arg(&file).arg("-C").arg(folder))?;
    fs::remove_dir_all(kept)?;
    Ok(())
}

fn debian(package: &str) -> Result<()> {
    let id = run(Command::new("id").arg("-u"))?;
    ensure!(id.stdout == b"0\n", "it is a package of the system: apt-get install {package}");
    let args = ["install", "--yes", "--no-install-recommends", package];
    let mut apt = Command::new("apt-get");
    run(apt.args(args).env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
}

/// The version of Node.js, for what npm installed.
///
/// # Errors
/// When there is none, or it is too old.
pub fn node_version() -> Result<String> {
    NODE.version()
}

/// The version of Python, for what pip installed.
///
/// # Errors
/// When there is none, or it is too old.
pub fn python_version() -> Result<String> {
    PYTHON.version()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_that_is_too_old_failed_at_the_very_last_step() {
        let rust = |least| Interpreter { command: "rustc", version: "--version", least };
        let version = rust((1, 95)).version().expect("the compiler of this workspace");
        assert!(version.starts_with("1."), "{version}");
        let error = rust((1000, 0)).version().expect_err("no such version yet").to_string();
        assert!(error.contains("at least 1000.0 is needed"), "{error}");
        let absent = Interpreter { command: "no-such-command-here", ..rust((1, 0)) };
        assert!(absent.version().is_err());
    }

    #[test]
    fn what_a_command_said_is_the_reason() {
        let error = run(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]));
        assert_eq!(error.expect_err("it fails").to_string(), "one\ntwo\n");
    }

    /// npm and pip compare the two themselves; what they compare is checked here.
    #[test]
    fn every_package_is_pinned_by_digest() {
        for one in crate::PACKAGES {
            match &one.source {
                Source::Npm { lock, .. } => {
                    let packages = lock.matches("\"node_modules/").count();
                    assert_eq!(lock.matches("\"integrity\": \"sha512-").count(), packages);
                    assert!(packages > 0 && !lock.contains("\"resolved\""), "{}", one.name);
                }
                Source::Pip { requirements } => {
                    for line in requirements.lines().filter(|line| line.contains("==")) {
                        assert!(line.ends_with('\\'), "{}: {line} has no digest", one.name);
                    }
                }
                Source::Maven { archive, sha256, .. } => {
                    assert_eq!((archive.split(':').count(), sha256.len()), (4, 64));
                }
                Source::Debian { package } => assert_eq!(*package, one.name),
            }
        }
    }
}
