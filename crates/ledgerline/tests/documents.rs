//! What the documents list must be all there is: links that lead somewhere, every setting, every
//! error code.

mod running;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use running::{run, stdout};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// All files below a folder with an ending, but what is built.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|end| end == ending) {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A page without its code blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let kept = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        inside ^= is_fence;
        !inside && !is_fence
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// The name under which a heading is linked to, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let title = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The targets of a page's links within the repository.
fn targets(text: &str) -> Vec<&str> {
    let after = text.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://") && !target.contains(' ')).collect()
}

/// Why a link leads nowhere.
fn fault(page: &Path, target: &str) -> Option<String> {
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let folder = page.parent().expect("a folder");
    let path = if file.is_empty() { page.to_owned() } else { folder.join(file) };
    if !path.exists() {
        return Some(format!("{}: there is no {target}", page.display()));
    }
    if heading.is_empty() || path.extension().is_none_or(|end| end != "md") {
        return None;
    }
    let text = prose(&read(&path));
    let is_there = text.lines().any(|line| line.starts_with('#') && anchor(line) == heading);
    (!is_there).then(|| format!("{}: no heading of {target}", page.display()))
}

#[test]
fn a_link_led_nowhere() {
    let mut pages = Vec::new();
    files(Path::new(ROOT), "md", &mut pages);
    let mut count = 0;
    let mut faults = Vec::new();
    for page in &pages {
        let text = prose(&read(page));
        let targets = targets(&text);
        count += targets.len();
        faults.extend(targets.into_iter().filter_map(|target| fault(page, target)));
    }
    assert!(count > 100, "{count} links: are they read?");
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A flag of a help text: its name as a setting, and the default that it states.
fn flags(help: &str) -> Vec<(String, Option<String>)> {
    let parts = help.split("\n      --").skip(1);
    let flags = parts.map(|part| {
        let name = part.split([' ', '\n']).next().unwrap_or_default().replace('-', "_");
        let words = part.split_whitespace().collect::<Vec<_>>().join(" ");
        let stated = words.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
        (name, stated.map(|(stated, _)| stated.to_owned()))
    });
    flags.collect()
}

#[test]
fn a_setting_was_not_in_the_reference() {
    let page = read(&Path::new(ROOT).join("docs/reference/configuration.md"));
    let help = |command: &str| stdout(&run(&[command, "--help"], &[], b""));
    let all = [flags(&help("serve")), flags(&help("status"))].concat();
    let mut count = 0;
    for (name, stated) in all {
        // Of this one call, and not settings.
        if ["config", "wait"].contains(&name.as_str()) {
            continue;
        }
        count += 1;
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in configuration.md"));
        let stated = stated.filter(|stated| stated.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(stated) = stated {
            assert!(row.contains(&format!("| {stated} |")), "{name}: {stated} is not in {row}");
        }
    }
    assert!(count > 40, "{count} settings: is the help read?");
}

/// Where a code follows in the sources.
const BEFORE_A_CODE: [&str; 6] = [
    "Problem::new(",
    "bad_request(",
    "unavailable(",
    "EventError::new(",
    "conflict(",
    "check_text(",
];

/// The first literal behind a place that has the form of a code.
fn code_after(text: &str) -> Option<&str> {
    let statement = text.split(';').next()?;
    let near = statement.char_indices().nth(160).map_or(statement, |(at, _)| &statement[..at]);
    near.split('"').skip(1).step_by(2).find(|word| {
        word.contains('_') && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}

#[test]
fn an_error_code_had_no_cure() {
    let page = read(&Path::new(ROOT).join("docs/reference/errors.md"));
    let mut sources = Vec::new();
    for crate_name in ["answers", "gate", "http", "ledger", "node"] {
        files(&Path::new(ROOT).join("crates").join(crate_name).join("src"), "rs", &mut sources);
    }
    let mut codes = BTreeSet::new();
    for source in &sources {
        let text = read(source);
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for before in BEFORE_A_CODE {
            let found = text.split(before).skip(1).filter_map(code_after);
            codes.extend(found.map(str::to_owned));
        }
    }
    assert!(codes.len() > 50, "{codes:?}: are the sources read?");
    let missing: Vec<&String> =
        codes.iter().filter(|code| !page.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "no cure in docs/reference/errors.md: {missing:?}");
}

#[test]
fn what_a_page_links_to_is_read_as_github_reads_it() {
    assert_eq!(anchor("## What is proven, and what is not"), "what-is-proven-and-what-is-not");
    assert_eq!(anchor("### `verify` and *you*"), "verify-and-you");
    let text = prose("a [b](c.md#d)\n```text\n[e](f.md)\n```\n[g](https://h/i) [j](k.md)\n");
    assert_eq!(targets(&text), ["c.md#d", "k.md"]);
    let help = "x\n      --url <URL>\n          URL [default:\n          12]\n      --wait <S>\n";
    let stated = Some("12".to_owned());
    assert_eq!(flags(help), [("url".to_owned(), stated), ("wait".to_owned(), None)]);
    assert_eq!(code_after("S::A, \"bad_a\", \"text\")"), Some("bad_a"));
    assert_eq!(code_after("S::A, code, \"a text\"); f(\"bad_b\")"), None);
}
