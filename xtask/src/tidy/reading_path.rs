//! The reading path: which modules of the kernel somebody reads to believe `ledgerline check`.
//!
//! ```text
//! | read    | look for        | stands on | lines | so far |   the checking core, in reading order
//! | `chain` | by hand         | computed  |   126 |  1,844 |
//!
//! | read    | look for        | stands on | lines |            what stands behind it
//! ```
//!
//! ARCHITECTURE.md names the modules and says by hand what to look for; what each stands on and how
//! long it is are computed, and tidy fails when they are not true. Promises: whatever the check
//! imports, directly or indirectly, is in one of the two tables, and nothing else is; a module is
//! listed below those of its table that it imports; the core stays under a bound.
//!
//! A row `check::history` is that file; the row `check` is what of the module has no row of its
//! own. Assumes, as the other rules do, that modules are files below `src`.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, UsedPath};
use super::{File, Finding, Rule};

/// Where the tables stand.
pub const PAGE: &str = "ARCHITECTURE.md";
const BEGIN: &str =
    "<!-- the reading path: `cargo xtask tidy --draw --write` renews its sizes -->\n";
const END: &str = "<!-- end of the reading path -->\n";
/// The kernel's sources.
const KERNEL: &str = "crates/proof/src/";
/// What is to be believed.
const CHECK: &str = "check";
/// Lines of the checking core without tests: what was there when it was first counted, rounded up
/// to the next 250. Who has to believe it has to read it, so it only shrinks.
pub const CORE_LINES_MAX: usize = 6_000;
/// The row under a table's rows.
const SUM: &str = "**together**";

const SIZES: Rule = Rule {
    name: "reading-path-sizes",
    mend: "Run `cargo xtask tidy --draw --write`, and look at the difference.",
    may_be_allowed: false,
};
const MODULES: Rule = Rule {
    name: "reading-path",
    mend: "List what the check imports, above what imports it, or do without the import.",
    may_be_allowed: false,
};
const CORE_SIZE: Rule = Rule {
    name: "reading-path-core",
    mend: "Move out what somebody need not read to believe the check.",
    may_be_allowed: false,
};

/// The two tables, as the page has them.
#[derive(Debug, PartialEq, Eq)]
struct Tables<'p> {
    core: Vec<&'p str>,
    behind: Vec<&'p str>,
}

/// A row's module as its files show it.
#[derive(Debug, Default)]
struct Module {
    lines: usize,
    /// Rows whose modules it names, and modules of the kernel without a row.
    uses: BTreeSet<String>,
}

type Modules = BTreeMap<String, Module>;

/// The tables against the imports.
pub fn check(files: &[File], sources: &[Source]) -> Vec<Finding> {
    let page = files.iter().find(|file| file.path == PAGE).map_or("", |file| &file.text);
    let Some((before, tables)) = split(page) else {
        return vec![Finding::new(&MODULES, PAGE, 1, "no place for the reading path")];
    };
    let line = before.lines().count() + 1;
    let rows = rows(tables);
    let modules = modules(&rows, sources);
    let mut findings: Vec<Finding> = objections(&rows, &modules)
        .into_iter()
        .map(|what| Finding::new(&MODULES, PAGE, line, what))
        .collect();
    findings.extend(too_large(&rows, &modules, line));
    if renew(tables, &rows, &modules) != tables {
        let what = "the sizes, or what a module stands on, differ from the sources";
        findings.push(Finding::new(&SIZES, PAGE, line, what));
    }
    findings
}

/// The tables as they should be; none where the page has no place for them.
pub fn drawn(page: &str, sources: &[Source]) -> Option<String> {
    let (_, tables) = split(page)?;
    let rows = rows(tables);
    Some(renew(tables, &rows, &modules(&rows, sources)))
}

/// The page with the tables as they should be.
pub fn renewed(page: &str, sources: &[Source]) -> Option<String> {
    let (before, old) = split(page)?;
    let after = &page[before.len() + old.len()..];
    Some(format!("{before}{}{after}", drawn(page, sources)?))
}

/// What stands before the tables, and the tables.
fn split(page: &str) -> Option<(&str, &str)> {
    let start = page.find(BEGIN)? + BEGIN.len();
    let length = page[start..].find(END)?;
    Some((&page[..start], &page[start..start + length]))
}

/// The modules of the first table, and of those behind it.
fn rows(text: &str) -> Tables<'_> {
    let mut tables: Vec<Vec<&str>> = Vec::new();
    let mut is_in_table = false;
    for line in text.lines() {
        let is_row = line.starts_with('|');
        if is_row && !is_in_table {
            tables.push(Vec::new());
        }
        is_in_table = is_row;
        if let (Some(name), Some(table)) = (name_of(line), tables.last_mut()) {
            table.push(name);
        }
    }
    let mut tables = tables.into_iter();
    Tables { core: tables.next().unwrap_or_default(), behind: tables.flatten().collect() }
}

/// The module that a row is about: its first cell, in backticks.
fn name_of(line: &str) -> Option<&str> {
    line.strip_prefix("| `")?.split_once("` |").map(|(name, _)| name)
}

/// Each row's module, from the files that no longer row takes.
fn modules(rows: &Tables, sources: &[Source]) -> Modules {
    let names: Vec<&str> = rows.core.iter().chain(&rows.behind).copied().collect();
    let mut modules: Modules =
        names.iter().map(|name| ((*name).to_owned(), Module::default())).collect();
    let own = sources.iter().filter(|source| !source.is_test_file());
    let all: Vec<(Vec<&str>, &Source)> =
        own.filter_map(|source| Some((module_path(&source.path)?, source))).collect();
    let known: BTreeSet<Vec<&str>> = all.iter().map(|(path, _)| path.clone()).collect();
    for (path, source) in &all {
        let Some(row) = row_of(path, &names) else { continue };
        let used = source.own_paths().into_iter().filter_map(|used| {
            let place = place(&used, path, source, &known)?;
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            let first = *place.first().filter(|first| known.contains(&vec![**first]))?;
            Some(row_of(&place, &names).unwrap_or(first).to_owned())
        });
        let module = modules.entry(row.to_owned()).or_default();
        module.lines += source.own_line_count();
        module.uses.extend(used.filter(|other| other != row));
    }
    modules
}

/// `check`, `history` of the kernel's `check/history.rs`.
fn module_path(path: &str) -> Option<Vec<&str>> {
    let inner = path.strip_prefix(KERNEL)?.strip_suffix(".rs")?;
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    (inner != "lib").then(|| inner.split('/').collect())
}

/// The longest row that a place lies in.
fn row_of<'r>(place: &[&str], names: &[&'r str]) -> Option<&'r str> {
    let takes = |name: &&&str| {
        let parts: Vec<&str> = name.split("::").collect();
        place.starts_with(&parts)
    };
    names.iter().filter(takes).max_by_key(|name| name.len()).copied()
}

/// Where in the kernel a path leads from a file, if it leads there.
fn place(
    used: &UsedPath,
    module: &[&str],
    source: &Source,
    known: &BTreeSet<Vec<&str>>,
) -> Option<Vec<String>> {
    let words: Vec<&str> = used.segments.iter().map(String::as_str).collect();
    let (base, rest) = match *words.first()? {
        "crate" => (&module[..0], &words[1..]),
        "super" => {
            let supers = words.iter().take_while(|word| **word == "super").count();
            let up = supers.saturating_sub(source.inline_depth(used.line));
            (&module[..module.len().checked_sub(up)?], &words[supers..])
        }
        "self" => (module, &words[1..]),
        first => {
            // A module of its own, named without a prefix.
            let child: Vec<&str> = module.iter().copied().chain([first]).collect();
            (words.len() > 1 && known.contains(&child)).then_some((module, &words[..]))?
        }
    };
    // `pub(super)` says who may see, and imports nothing.
    (!rest.is_empty()).then(|| base.iter().chain(rest).map(|part| (*part).to_owned()).collect())
}

/// What is wrong with the choice and order of the rows.
fn objections(rows: &Tables, modules: &Modules) -> Vec<String> {
    let listed: Vec<&str> = rows.core.iter().chain(&rows.behind).copied().collect();
    let mut found = Vec::new();
    for name in &listed {
        if modules[*name].lines == 0 {
            found.push(format!("`{name}` is no module of the kernel"));
        }
        let others = modules[*name].uses.iter().filter(|other| !listed.contains(&other.as_str()));
        found.extend(others.map(|other| format!("`{name}` imports `{other}`, which has no row")));
    }
    for table in [&rows.core, &rows.behind] {
        for (at, name) in table.iter().enumerate() {
            let below = table[at..].iter().filter(|other| modules[*name].uses.contains(**other));
            found.extend(
                below.map(|other| format!("`{name}` imports `{other}`, which is below it")),
            );
        }
    }
    let reached = reached(modules);
    let beside = listed.iter().filter(|name| !reached.contains(**name));
    found
        .extend(beside.map(|name| format!("`{name}` has a row, and the check does not import it")));
    found
}

/// All that the check imports, directly or indirectly, and itself.
fn reached(modules: &Modules) -> BTreeSet<&str> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![CHECK]);
    while let Some(name) = open.pop() {
        if let Some((name, module)) = modules.get_key_value(name)
            && reached.insert(name.as_str())
        {
            open.extend(module.uses.iter().map(String::as_str));
        }
    }
    reached
}

fn too_large(rows: &Tables, modules: &Modules, line: usize) -> Option<Finding> {
    let lines: usize = rows.core.iter().map(|name| modules[*name].lines).sum();
    let what =
        format!("{lines} lines without tests in the checking core, at most {CORE_LINES_MAX}");
    (lines > CORE_LINES_MAX).then(|| Finding::new(&CORE_SIZE, PAGE, line, what))
}

/// The text with its computed cells.
fn renew(text: &str, rows: &Tables, modules: &Modules) -> String {
    let order: Vec<&str> = rows.core.iter().chain(&rows.behind).copied().collect();
    let mut out = String::new();
    let mut sum = 0;
    for line in text.lines() {
        let is_core = |name| rows.core.contains(&name);
        if let Some(name) = name_of(line) {
            let module = &modules[name];
            sum += module.lines;
            let used = order.iter().filter(|other| module.uses.contains(**other));
            let used: Vec<String> = used.map(|other| format!("`{other}`")).collect();
            let used = if used.is_empty() { "nothing".to_owned() } else { used.join(" ") };
            let by_hand = line.split(" | ").nth(1).unwrap_or_default();
            let lines = grouped(module.lines);
            out += &format!("| `{name}` | {by_hand} | {used} | {lines} |");
            if is_core(name) {
                out += &format!(" {} |", grouped(sum));
            }
        } else if line.starts_with(&format!("| {SUM} |")) {
            let columns = line.matches('|').count() - 1;
            out += &format!("| {SUM} | | | **{}** |", grouped(sum));
            out += &" |".repeat(columns.saturating_sub(4));
        } else {
            out += line;
            if line.is_empty() {
                sum = 0;
            }
        }
        out.push('\n');
    }
    out
}

/// A number with commas between thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::samples::assert_findings;
    use super::*;

    const HEAD: &str =
        "| read | look for | stands on | lines | so far |\n|---|---|---|---:|---:|\n";
    const HEAD_BEHIND: &str = "| read | look for | stands on | lines |\n|---|---|---|---:|\n";

    fn page(core: &[&str], behind: &[&str]) -> String {
        let row = |name: &&str| format!("| `{name}` | Words about it. | | |\n");
        let core: String = core.iter().map(row).collect();
        let behind: String = behind.iter().map(row).collect();
        format!(
            "# House\n\n{BEGIN}{HEAD}{core}| {SUM} | | | | |\n\nBehind it:\n\n\
             {HEAD_BEHIND}{behind}| {SUM} | | | |\n{END}more\n"
        )
    }

    fn sources() -> Vec<Source> {
        let file = |name: &str, text: &str| Source::new(&format!("{KERNEL}{name}.rs"), text);
        let test = "#[cfg(test)]\nmod tests {\n    use crate::lone::X;\n}\n";
        vec![
            file("lib", "pub mod check;\n"),
            file("wire", &"//! Doc.\n".repeat(1_200)),
            file("hash", "use crate::wire::Wire;\n"),
            file("check", &format!("mod report;\nuse report::Status;\n{test}")),
            file("check/report", "use super::evidence::E;\npub(super) fn f() { let check = 1; }\n"),
            file("check/evidence", "use crate::hash::Hash;\n"),
            file("lone", "use crate::hash::Hash;\n"),
        ]
    }

    #[track_caller]
    fn check_rows(core: &[&str], behind: &[&str], expected: &[&str]) {
        let (text, sources) = (page(core, behind), sources());
        let renewed = renewed(&text, &sources).expect("it has a place");
        let files = [File { path: PAGE.to_owned(), text: renewed }];
        let found = check(&files, &sources);
        let found: Vec<&str> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn sizes_and_foundations_are_computed() {
        let text = page(&["hash", "check::evidence", "check"], &["wire"]);
        let tables = drawn(&text, &sources()).expect("it has a place");
        let expected = [
            "| `hash` | Words about it. | `wire` | 1 | 1 |",
            "| `check::evidence` | Words about it. | `hash` | 1 | 2 |",
            "| `check` | Words about it. | `check::evidence` | 4 | 6 |",
            "| **together** | | | **6** | |",
            "| `wire` | Words about it. | nothing | 1,200 |",
            "| **together** | | | **1,200** |",
        ];
        let rows = tables.lines().filter(|line| line.contains('`') || line.contains("**"));
        assert_eq!(rows.collect::<Vec<_>>(), expected);
        // Old numbers are found, and drawing twice changes nothing.
        let files = [File { path: PAGE.to_owned(), text: text.clone() }];
        assert_findings(&check(&files, &sources()), &["4 reading-path-sizes"]);
        let once = renewed(&text, &sources()).expect("a place");
        assert_eq!(renewed(&once, &sources()), Some(once));
    }

    #[test]
    fn the_rows_are_what_the_check_imports() {
        check_rows(&["hash", "check"], &["wire"], &[]);
        check_rows(&["hash", "check::evidence", "check::report", "check"], &["wire"], &[]);
        check_rows(&["hash", "check"], &[], &["`hash` imports `wire`, which has no row"]);
        let beside = "`lone` has a row, and the check does not import it";
        check_rows(&["hash", "lone", "check"], &["wire"], &[beside]);
        let below = "`check::report` imports `check::evidence`, which is below it";
        let order = ["hash", "check::report", "check::evidence", "check"];
        check_rows(&order, &["wire"], &[below]);
        let nobody = [
            "`gone` is no module of the kernel",
            "`gone` has a row, and the check does \
                       not import it",
        ];
        check_rows(&["hash", "gone", "check"], &["wire"], &nobody);
    }

    #[test]
    fn a_page_without_its_place_is_found() {
        let files = [File { path: PAGE.to_owned(), text: "# House\n".to_owned() }];
        assert_findings(&check(&files, &sources()), &["1 reading-path"]);
        assert_eq!(renewed("# House\n", &sources()), None);
    }

    #[test]
    fn the_core_stays_small() {
        let sized = |lines: usize| {
            let long = "//! Doc.\n".repeat(lines);
            let source = Source::new(&format!("{KERNEL}check.rs"), &long);
            let text = renewed(&page(&["check"], &[]), &[source]).expect("a place");
            let source = Source::new(&format!("{KERNEL}check.rs"), &long);
            check(&[File { path: PAGE.to_owned(), text }], &[source])
        };
        assert_findings(&sized(CORE_LINES_MAX), &[]);
        assert_findings(&sized(CORE_LINES_MAX + 1), &["4 reading-path-core"]);
    }
}
