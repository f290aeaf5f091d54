//! The house rules of STYLE.md that neither the compiler nor clippy knows, as a test.
//!
//! Promises: every finding names file, line, rule and how to mend it. Each rule is a pure function
//! of path and text, so each has a good and a bad sample in its unit tests. Reads every file git
//! tracks, and those it would track, so that a new file is judged before it is added. Exceptions
//! live in `xtask/tidy-allow.txt`, a ratchet (see [`ratchet`]). Refuses to pass if there is
//! nothing to read.

mod circles;
mod commit_point;
mod dependencies;
mod drawing;
mod house;
mod measures;
mod parameters;
mod prose;
mod purity;
mod ratchet;
mod reading_path;
mod source;
mod stated;
mod text;
mod words;

use std::fmt;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::process;
use source::Source;

/// The exceptions, from the repository root.
const ALLOW_LIST: &str = "xtask/tidy-allow.txt";

/// A rule: what its findings have in common.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// As it is written in the allow-list.
    pub name: &'static str,
    /// How to mend a finding, one sentence.
    pub mend: &'static str,
    /// Whether the allow-list may hold exceptions.
    pub may_be_allowed: bool,
}

/// One breach of a rule.
#[derive(Debug)]
pub struct Finding {
    pub rule: &'static Rule,
    pub path: String,
    /// 1-based.
    pub line: usize,
    /// The item it is about, or `-`: with rule and path the key in the allow-list.
    pub item: String,
    /// What the allow-list compares: a length, or 1 for each occurrence.
    pub amount: usize,
    /// What is there, as a fragment.
    pub what: String,
}

impl Finding {
    /// A finding that counts as one and is about no named item.
    pub fn new(rule: &'static Rule, path: &str, line: usize, what: impl Into<String>) -> Finding {
        let item = "-".to_owned();
        Finding { rule, path: path.to_owned(), line, item, amount: 1, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { rule, path, line, what, .. } = self;
        write!(f, "{path}:{line}: [{}] {what}. {}", rule.name, rule.mend)
    }
}

/// A tracked text file.
#[derive(Debug)]
pub struct File {
    /// From the repository root, with `/`.
    pub path: String,
    pub text: String,
}

/// What to do besides judging.
#[derive(Debug, clap::Args)]
pub struct TidyArgs {
    /// Print the house as the imports draw it and the reading path, instead of judging.
    #[arg(long)]
    draw: bool,
    /// Write both into ARCHITECTURE.md.
    #[arg(long, requires = "draw")]
    write: bool,
}

/// Judges the whole tree, or draws it.
///
/// # Errors
/// When a rule is broken, or the tree cannot be read or written.
pub fn run(args: &TidyArgs) -> Result<()> {
    if args.draw { draw(args.write) } else { judge() }
}

/// Judges the whole tree.
///
/// # Errors
/// When a rule is broken, or the tree cannot be read.
pub fn judge() -> Result<()> {
    let files = tracked_files()?;
    let allowed = files.iter().find(|file| file.path == ALLOW_LIST);
    let allowed = allowed.map_or("", |file| file.text.as_str());
    let mut findings = findings(&files);
    findings.extend(house_findings(&files));
    let findings = ratchet::apply(findings, ALLOW_LIST, allowed);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings in {} files", findings.len(), files.len());
    }
    println!("tidy: {} files, nothing to mend", files.len());
    Ok(())
}

/// Prints the house, and hangs it where it belongs.
fn draw(write: bool) -> Result<()> {
    let files = tracked_files()?;
    let sources = sources(&files);
    print!("{}", drawing::drawn(&sources));
    let page = files.iter().find(|file| file.path == drawing::PAGE);
    let page = page.map_or("", |page| page.text.as_str());
    if let Some(path) = reading_path::drawn(page, &sources) {
        print!("\n{path}");
    }
    if write {
        let page = drawing::renewed(page, &sources);
        let page = page.and_then(|page| reading_path::renewed(&page, &sources));
        let page = page.with_context(|| format!("no place for it in {}", drawing::PAGE))?;
        fs::write(process::root().join(drawing::PAGE), page).context("cannot write it")?;
    }
    Ok(())
}

fn sources(files: &[File]) -> Vec<Source> {
    let rust = files.iter().filter(|file| file.path.ends_with(".rs"));
    rust.map(|file| Source::new(&file.path, &file.text)).collect()
}

/// Every finding, before exceptions, ordered by place.
fn findings(files: &[File]) -> Vec<Finding> {
    let sources = sources(files);
    let mut findings = commit_point::check(&sources);
    findings.extend(circles::check(&sources));
    findings.extend(parameters::check(&sources));
    for file in files {
        findings.extend(prose::check(&file.path, &file.text));
        findings.extend(stated::check(&file.path, &file.text));
        findings.extend(text::check(&file.path, &file.text));
        if file.path.ends_with("Cargo.toml") {
            findings.extend(dependencies::check(&file.path, &file.text));
        }
    }
    for source in &sources {
        findings.extend(measures::check(source));
        findings.extend(purity::check(source));
        findings.extend(words::check(source));
    }
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    findings
}

/// What only the whole tree can say: whether every edge is used, and the drawings are true.
fn house_findings(files: &[File]) -> Vec<Finding> {
    let sources = sources(files);
    let mut findings = drawing::check(files, &sources);
    findings.extend(reading_path::check(files, &sources));
    findings.extend(dependencies::unused(files, &sources));
    findings
}

/// The text files that git tracks or would track. Binary files have no rules.
fn tracked_files() -> Result<Vec<File>> {
    let listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let list = process::output(process::command("git", &listed))?;
    let root = process::root();
    let mut files = Vec::new();
    for path in list.split_terminator('\0') {
        let full = root.join(path);
        if !full.is_file() {
            continue; // deleted, not yet committed
        }
        let bytes = fs::read(&full).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File { path: path.to_owned(), text });
        }
    }
    if files.is_empty() {
        bail!("git lists no file here: nothing was checked");
    }
    Ok(files)
}

/// What the unit tests of the rules share: one way to state a sample and its findings.
#[cfg(test)]
mod samples {
    use super::{File, Finding, Source};

    /// Compares findings, as `line rule`, with what is expected.
    #[track_caller]
    pub fn assert_findings(findings: &[Finding], expected: &[&str]) {
        let found: Vec<_> =
            findings.iter().map(|f| format!("{} {}", f.line, f.rule.name)).collect();
        assert_eq!(found, expected, "{findings:#?}");
    }

    /// Judges one Rust file by one rule file.
    #[track_caller]
    pub fn check_rust(
        rule: fn(&Source) -> Vec<Finding>,
        path: &str,
        text: &str,
        expected: &[&str],
    ) {
        assert_findings(&rule(&Source::new(path, text)), expected);
    }

    #[test]
    fn a_file_meets_every_rule_made_for_it() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let files = [
            file("crates/proof/src/lib.rs", "use std::fs;\nfn f() { dbg!(1) } \n"),
            file("crates/ledger/Cargo.toml", "[dependencies]\ntokio = \"1\"\n"),
            file("crates/journal/src/writer.rs", "//! Without its mark.\n"),
            file("README.md", "plain\n"),
        ];
        let expected = [
            "1 commit-point",
            "2 dependency-direction",
            "1 module-doc",
            "1 kernel-purity",
            "2 trailing-whitespace",
            "2 forbidden-macro",
        ];
        assert_findings(&super::findings(&files), &expected);
    }
}
