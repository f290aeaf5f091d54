//! Prose in Markdown ends at a hundred columns, as code does.
//!
//! A change of one word is then a difference of one line, and two people can change one paragraph.
//! Tables, code blocks and headings are left alone, and so is what cannot be broken: a line of one
//! word, which a long address is, or of one span of code.

use super::{Finding, Rule};

/// Characters, not bytes.
const COLUMNS_MAX: usize = 100;

const PROSE_LENGTH: Rule = Rule {
    name: "prose-length",
    mend: "Break the paragraph at 100 columns.",
    may_be_allowed: false,
};

pub fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !path.ends_with(".md") {
        return findings;
    }
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        let words = line.trim_start();
        if words.starts_with("```") || words.starts_with("~~~") {
            in_code = !in_code;
            continue;
        }
        let columns = line.chars().count();
        let is_prose = !in_code && !words.starts_with(['|', '#']) && !words.starts_with("<!--");
        if is_prose && columns > COLUMNS_MAX && can_be_broken(words) {
            let what = format!("{columns} columns, the limit is {COLUMNS_MAX}");
            findings.push(Finding::new(&PROSE_LENGTH, path, index + 1, what));
        }
    }
    findings
}

/// Whether a space outside of code stands between two words, the mark of a list item apart.
fn can_be_broken(line: &str) -> bool {
    let (mark, rest) = line.split_once(' ').unwrap_or(("", line));
    let is_mark = matches!(mark, "-" | "*" | "+" | ">")
        || mark.strip_suffix('.').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let words = if is_mark { rest } else { line };
    words.trim().split('`').step_by(2).any(|outside| outside.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::super::samples::assert_findings;
    use super::*;

    #[track_caller]
    fn check_page(text: &str, expected: &[&str]) {
        assert_findings(&check("docs/a.md", text), expected);
    }

    #[test]
    fn prose_ends_at_a_hundred_columns() {
        let long = "word ".repeat(21);
        let bad = &["2 prose-length"];
        check_page(&format!("\n{}\n", "é".repeat(49) + " " + &"e".repeat(50)), &[]);
        check_page(&format!("\n{long}\n"), bad);
        check_page(&format!("\n- {long}\n"), bad);
        check_page(&format!("\n> {long}\n"), bad);
        check_page(&format!("```text\n{long}\n```\n\n{long}\n"), &["5 prose-length"]);
        assert_findings(&check("docs/a.txt", &long), &[]);
    }

    #[test]
    fn what_cannot_be_broken_is_left_alone() {
        let (long, word) = ("word ".repeat(21), "w".repeat(110));
        check_page(&format!("| {long} |\n# {long}\n<!-- {long} -->\n"), &[]);
        check_page(&format!("- {word}\n12. {word}\n{word}\n- `{long}`,\n"), &[]);
        check_page(&format!("- a {word}\n"), &["1 prose-length"]);
    }
}
