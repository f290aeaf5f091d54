//! The house numbers: length of files, functions and lines, and the module doc.
//!
//! Counted without tests: a long table of cases is a virtue. The limits are STYLE.md's.

use super::source::{Source, item_end};
use super::{Finding, Rule};

/// Lines, without inline tests.
pub const FILE_LINES_MAX: usize = 900;
/// Lines, from the signature to the closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Characters, not bytes.
pub const LINE_COLUMNS_MAX: usize = 100;

const FILE_LENGTH: Rule = Rule {
    name: "file-length",
    mend: "Move one idea into a file of its own, named after the idea.",
    may_be_allowed: true,
};
const FUNCTION_LENGTH: Rule = Rule {
    name: "function-length",
    mend: "Cut where a value can be named: a pure plan first, then one sequence of effects.",
    may_be_allowed: true,
};
const LINE_LENGTH: Rule = Rule {
    name: "line-length",
    mend: "Break the line; rustfmt leaves long strings and comments to you.",
    may_be_allowed: true,
};
const MODULE_DOC: Rule = Rule {
    name: "module-doc",
    mend: "Begin with `//!`: what the module promises, what it assumes, what it refuses.",
    may_be_allowed: false,
};

pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = long_lines(source);
    if source.is_test_file() {
        return findings;
    }
    findings.extend(missing_doc(source));
    findings.extend(long_file(source));
    findings.extend(long_functions(source));
    findings
}

fn missing_doc(source: &Source) -> Option<Finding> {
    let what = "the file does not begin with a module doc";
    (!source.text.starts_with("//!")).then(|| Finding::new(&MODULE_DOC, &source.path, 1, what))
}

fn long_file(source: &Source) -> Option<Finding> {
    let count = source.own_line_count();
    let what = format!("{count} lines without tests, the limit is {FILE_LINES_MAX}");
    (count > FILE_LINES_MAX).then(|| Finding {
        amount: count,
        ..Finding::new(&FILE_LENGTH, &source.path, FILE_LINES_MAX, what)
    })
}

fn long_lines(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().map(|line| line.chars().count()).enumerate();
    lines
        .filter(|(_, columns)| *columns > LINE_COLUMNS_MAX)
        .map(|(index, columns)| {
            let what = format!("{columns} columns, the limit is {LINE_COLUMNS_MAX}");
            Finding::new(&LINE_LENGTH, &source.path, index + 1, what)
        })
        .collect()
}

fn long_functions(source: &Source) -> Vec<Finding> {
    let tokens = &source.tokens;
    let mut findings = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        // `fn(` is a type, not a function.
        if keyword.text != "fn" || !name.is_word() || source.is_test(keyword.line) {
            continue;
        }
        let count = tokens[item_end(tokens, at)].line - keyword.line + 1;
        if count > FUNCTION_LINES_MAX {
            let name = &name.text;
            let what = format!("fn {name}: {count} lines, the limit is {FUNCTION_LINES_MAX}");
            let finding = Finding::new(&FUNCTION_LENGTH, &source.path, keyword.line, what);
            findings.push(Finding { item: name.clone(), amount: count, ..finding });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::samples::check_rust;
    use super::*;

    const PATH: &str = "crates/ledgerline/src/a.rs";

    /// A function of `lines` lines, with a brace in a string to trip a careless count.
    fn function(lines: usize) -> String {
        format!("fn f(a: [u8; 2]) -> u8 {{\n{}}}\n", "    g(\"}\");\n".repeat(lines - 2))
    }

    #[test]
    fn functions_end_at_seventy() {
        let doc = "//! Doc.\n";
        check_rust(check, PATH, &format!("{doc}{}", function(70)), &[]);
        check_rust(check, PATH, &format!("{doc}{}", function(71)), &["2 function-length"]);
        let declared = format!("{doc}trait T {{\n    fn f();\n{}}}\n", "    // why\n".repeat(90));
        check_rust(check, PATH, &declared, &[]);
        let test = format!("{doc}#[cfg(test)]\nmod tests {{\n{}}}\n", function(90));
        check_rust(check, PATH, &test, &[]);
    }

    #[test]
    fn files_end_at_nine_hundred_without_tests() {
        let body = format!("//! Doc.\n{}", "// why\n".repeat(899));
        check_rust(check, PATH, &body, &[]);
        let tests = "#[cfg(test)]\nmod tests {\n    fn a() {}\n}\n";
        check_rust(check, PATH, &format!("{body}{tests}"), &[]);
        check_rust(check, PATH, &format!("{body}// more\n"), &["900 file-length"]);
        check_rust(check, "crates/ledgerline/tests/a.rs", &format!("{body}// more\n"), &[]);
    }

    #[test]
    fn lines_end_at_a_hundred_characters() {
        check_rust(check, PATH, &format!("//! {}\n", "é".repeat(96)), &[]);
        check_rust(check, PATH, &format!("//! {}\n", "e".repeat(97)), &["1 line-length"]);
    }

    #[test]
    fn files_begin_with_a_module_doc() {
        check_rust(check, PATH, "//! Doc.\n#![no_main]\n", &[]);
        check_rust(check, PATH, "use std::fmt;\n//! Late.\n", &["1 module-doc"]);
        check_rust(check, PATH, "", &["1 module-doc"]);
        check_rust(check, "crates/ledgerline/tests/a.rs", "fn a() {}\n", &[]);
    }
}
