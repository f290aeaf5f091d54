//! Sizes of the code that a page states by hand.
//!
//! "Nine crates", "6,000 lines": true on the day they were written. A size is computed between
//! marks (the house, the reading path) or not stated. Judged are the pages about the code as it is;
//! not decisions, benchmarks and the changelog, which tell of a day and say so, nor STYLE.md, whose
//! numbers are limits. Code blocks are left alone: what is in them was printed by something.

use super::{Finding, Rule};

const STATED_SIZE: Rule = Rule {
    name: "stated-size",
    mend: "Leave the number out, or have `cargo xtask tidy --draw --write` compute it.",
    may_be_allowed: false,
};

/// Pages and folders of pages about the code as it is.
const PAGES: &[&str] = &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/"];
/// Pages that tell of a day.
const DATED: &[&str] = &["docs/decisions/", "docs/benchmarks"];
/// What the code has so many of.
const MEASURES: &[&str] = &["lines", "crates", "modules", "tests", "functions"];
/// Numbers in words; one is an article.
const NUMBERS: &[&str] = &[
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "dozen", "twenty", "thirty", "forty", "fifty", "hundred", "thousand",
];
/// Marks around what is computed.
const COMPUTED: &str = "--draw --write` renews";
const COMPUTED_END: &str = "<!-- end of the ";

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let begins = |list: &[&str]| list.iter().any(|start| path.starts_with(start));
    if !path.ends_with(".md") || !begins(PAGES) || begins(DATED) {
        return Vec::new();
    }
    let (mut in_code, mut is_computed) = (false, false);
    let mut findings = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if line.starts_with("<!-- ") {
            is_computed = line.contains(COMPUTED) && !line.starts_with(COMPUTED_END);
        }
        if let Some(size) =
            stated(line, lines.get(index + 1).unwrap_or(&"")).filter(|_| !in_code && !is_computed)
        {
            findings.push(Finding::new(&STATED_SIZE, path, index + 1, size));
        }
    }
    findings
}

/// A number and, behind it or one word later, what it counts; also where the line ends between.
fn stated(line: &str, next_line: &str) -> Option<String> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let starts = words.len();
    words.extend(next_line.split_whitespace().take(2));
    let ends_a_clause = |word: &&str| word.ends_with([',', ';', ':', '.', '|']);
    (0..starts).filter(|at| is_number(words[*at])).find_map(|at| {
        let of_clause = words[at..].iter().take(3).position(ends_a_clause);
        let last = of_clause.map_or(at + 2, |length| at + length).min(words.len() - 1);
        let length =
            words[at + 1..=last].iter().position(|word| MEASURES.contains(&plain(word)))?;
        Some(words[at..=at + 1 + length].join(" "))
    })
}

fn is_number(word: &str) -> bool {
    let word = plain(word).to_lowercase();
    let digits = word.trim_end_matches('k').replace([',', '.'], "");
    let is_figure = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_figure && digits != "1") || NUMBERS.contains(&word.as_str())
}

/// A word without what stands around it.
fn plain(word: &str) -> &str {
    word.trim_matches(|char: char| !char.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::super::reading_path::grouped;
    use super::super::samples::assert_findings;
    use super::super::{drawing, measures, reading_path};
    use super::*;
    use crate::process;

    #[track_caller]
    fn check_page(text: &str, expected: &[&str]) {
        assert_findings(&check("docs/a.md", text), expected);
    }

    #[test]
    fn a_size_by_hand_is_found() {
        for size in ["6,000 lines", "31 crates", "twelve small modules", "(some 1.2k tests)"] {
            check_page(&format!("\nIt has {size}, all told.\n"), &["2 stated-size"]);
            assert_findings(&check("README.md", size), &["1 stated-size"]);
            for dated in ["CHANGELOG.md", "docs/decisions/0001.md", "docs/benchmarks.md", "a.rs"] {
                assert_findings(&check(dated, size), &[]);
            }
        }
    }

    #[test]
    fn a_size_may_be_broken_between_lines() {
        check_page("All in all it has 31\ncrates.\n", &["1 stated-size"]);
        check_page("It is 31.\nCrates are small.\n", &[]);
    }

    #[test]
    fn other_numbers_are_left_alone() {
        check_page("Limits are 7 and 9; lines count.\n", &[]);
        check_page("One line, 64 tokens, 2 cores; a test of 3 s; lines of 100 columns.\n", &[]);
        check_page("```text\n40 lines\n```\n", &[]);
        let mark = "<!-- the house: `cargo xtask tidy --draw --write` renews it -->";
        let end = "<!-- end of the house -->";
        check_page(&format!("{mark}\n40 lines\n{end}\n40 lines\n"), &["4 stated-size"]);
    }

    /// STYLE.md names the limits that the rules enforce, and no others.
    #[test]
    fn limits_are_those_that_are_enforced() {
        let style = std::fs::read_to_string(process::root().join("STYLE.md")).expect("STYLE.md");
        for (what, limit) in [
            ("function", measures::FUNCTION_LINES_MAX),
            ("file, without its tests", measures::FILE_LINES_MAX),
            ("line", measures::LINE_COLUMNS_MAX),
            ("crate, without its tests", drawing::CRATE_LINES_MAX),
            ("the kernel, without its tests", drawing::KERNEL_LINES_MAX),
            ("its checking core", reading_path::CORE_LINES_MAX),
        ] {
            let row = format!("| {what} | {} ", grouped(limit));
            assert!(style.contains(&row), "STYLE.md has no `{row}`");
        }
    }
}
