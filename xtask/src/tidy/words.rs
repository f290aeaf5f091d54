//! Words that have no place in code: unfinished work, stray prints, modules named after nothing.

use super::house::{Kind, kind_of};
use super::source::Source;
use super::{Finding, Rule};

const FORBIDDEN_MACRO: Rule =
    Rule { name: "forbidden-macro", mend: "Finish it, or take it out.", may_be_allowed: false };
const PRINT_IN_LIBRARY: Rule = Rule {
    name: "print-in-library",
    mend: "Return the fact, or record it with tracing; only the program talks to a terminal.",
    may_be_allowed: false,
};
const MODULE_NAME: Rule = Rule {
    name: "module-name",
    mend: "Name the module after the noun it is about.",
    may_be_allowed: false,
};

const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];
const PRINTS: &[&str] = &["print", "println", "eprint", "eprintln"];
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "types", "helper", "helpers", "misc"];

pub fn check(source: &Source) -> Vec<Finding> {
    // Crates that others link. Their examples are programs, and may print.
    let is_library = matches!(kind_of(&source.path), Some(Kind::Kernel | Kind::Engine));
    let mut findings: Vec<Finding> = file_name(&source.path).into_iter().collect();
    for pair in source.tokens.windows(2) {
        let [word, next] = pair else { continue };
        let (text, line) = (word.text.as_str(), word.line);
        let rule = if next.text == "!" && UNFINISHED.contains(&text) {
            &FORBIDDEN_MACRO
        } else if next.text == "!" && PRINTS.contains(&text) && is_library && !source.is_test(line)
        {
            &PRINT_IN_LIBRARY
        } else if text == "mod" && EMPTY_NAMES.contains(&next.text.as_str()) {
            &MODULE_NAME
        } else {
            continue;
        };
        findings.push(Finding::new(rule, &source.path, line, format!("{text} {}", next.text)));
    }
    findings
}

/// A file or folder with such a name is said even before a `mod` line mentions it.
fn file_name(path: &str) -> Option<Finding> {
    let name = path.trim_end_matches(".rs").split('/').find(|part| EMPTY_NAMES.contains(part))?;
    Some(Finding::new(&MODULE_NAME, path, 1, format!("a module called {name}")))
}

#[cfg(test)]
mod tests {
    use super::super::samples::check_rust;
    use super::*;

    const ENGINE: &str = "crates/node/src/a.rs";
    const PROGRAM: &str = "crates/ledgerline/src/a.rs";

    #[test]
    fn unfinished_work_is_found_everywhere() {
        check_rust(check, PROGRAM, "// todo!()\nfn f() { g(\"dbg!\") }\n", &[]);
        check_rust(check, PROGRAM, "fn f() { todo!() }\n", &["1 forbidden-macro"]);
        check_rust(check, PROGRAM, "fn f() { unimplemented!() }\n", &["1 forbidden-macro"]);
        check_rust(
            check,
            "crates/ledgerline/tests/a.rs",
            "fn f() { dbg!(1) }\n",
            &["1 forbidden-macro"],
        );
    }

    #[test]
    fn libraries_do_not_print() {
        check_rust(check, PROGRAM, "fn f() { println!() }\n", &[]);
        check_rust(check, "crates/node/examples/sim.rs", "fn f() { println!() }\n", &[]);
        check_rust(check, ENGINE, "#[cfg(test)]\nmod tests { fn f() { println!() } }\n", &[]);
        check_rust(check, ENGINE, "fn f() { println!() }\n", &["1 print-in-library"]);
        check_rust(check, ENGINE, "fn f() { eprintln!() }\n", &["1 print-in-library"]);
    }

    #[test]
    fn modules_are_named_after_something() {
        check_rust(check, ENGINE, "mod heads;\nuse crate::common_prefix;\n", &[]);
        check_rust(check, ENGINE, "pub mod utils;\n", &["1 module-name"]);
        check_rust(check, "crates/ledgerline/src/types.rs", "", &["1 module-name"]);
        check_rust(check, "crates/ledgerline/tests/common/mod.rs", "", &["1 module-name"]);
    }
}
