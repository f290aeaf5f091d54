//! No parameter is a tuple of unlike things.
//!
//! `(u64, bool)` in a signature says neither what the number counts nor what is true of it, and
//! the caller can say it only in order. A small struct names both. A pair of likes, such as the two
//! ends of a range or the two sides of a comparison, is fine.
//!
//! A parameter that may be missing is held to the same: `Option<(u64, bool)>`.
//!
//! Assumes: tests and closures are free; a tuple in a list (`&[(K, V)]`) is a row of data, which
//! whoever reads it takes apart by name.

use super::house::{CRATES, Crate};
use super::source::{Source, Token};
use super::{Finding, Rule};

const TUPLE: Rule = Rule {
    name: "tuple-parameter",
    mend: "Name its parts: a small struct beside the function.",
    may_be_allowed: true,
};

/// One finding a crate, which names every place: a function that moves to another file of its crate
/// changes nothing.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let of_crate = |row: &Crate| {
        let own = sources.iter().filter(|source| {
            source.path.strip_prefix(row.folder).is_some_and(|rest| rest.starts_with('/'))
        });
        let places: Vec<String> = own.flat_map(tuples).collect();
        let what = format!("{} parameters are tuples: {}", places.len(), places.join("; "));
        let finding = Finding::new(&TUPLE, &format!("{}/Cargo.toml", row.folder), 1, what);
        (!places.is_empty()).then_some(Finding { amount: places.len(), ..finding })
    };
    CRATES.iter().filter_map(of_crate).collect()
}

/// Where a parameter of a file is a tuple of unlike things.
fn tuples(source: &Source) -> Vec<String> {
    if source.is_test_file() {
        return Vec::new();
    }
    let tokens = &source.tokens;
    let mut places = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        let [keyword, name] = pair else { continue };
        if keyword.text != "fn" || !name.is_word() || source.is_test(keyword.line) {
            continue;
        }
        for parameter in parameters(tokens, at + 2) {
            let Some(parts) = tuple_of(parameter) else { continue };
            if parts.iter().any(|part| *part != parts[0]) {
                let (path, line) = (&source.path, parameter[0].line);
                places.push(format!("{path}:{line} fn {} ({})", name.text, parts.join(", ")));
            }
        }
    }
    places
}

/// The parameters of the function whose generics or parenthesis begin at `at`.
fn parameters(tokens: &[Token], at: usize) -> Vec<&[Token]> {
    let mut open = at;
    if tokens.get(at).is_some_and(|token| token.text == "<") {
        let end = split(&tokens[at + 1..], ">").first().map_or(0, |inside| inside.len());
        open = at + 1 + end + 1;
    }
    // What stands between the generics and the parenthesis was no function.
    if tokens.get(open).is_none_or(|token| token.text != "(") {
        return Vec::new();
    }
    let inside = split(&tokens[open + 1..], ")");
    inside.first().map(|inside| split(inside, ",")).unwrap_or_default()
}

/// The texts of the types in a parameter that is a tuple, whatever it is called and lent as, and
/// whether or not it may be missing.
fn tuple_of(parameter: &[Token]) -> Option<Vec<String>> {
    let [_, typed, ..] = split(parameter, ":")[..] else { return None };
    let start = typed.iter().position(|token| token.text == "(")?;
    let lent = |token: &Token| matches!(&*token.text, "&" | "'" | "mut" | "Option" | "<");
    let is_lifetime = |at: usize| at > 0 && typed[at - 1].text == "'";
    if !(0..start).all(|at| lent(&typed[at]) || is_lifetime(at)) {
        return None;
    }
    let inside = *split(&typed[start + 1..], ")").first()?;
    let parts: Vec<String> =
        split(inside, ",").into_iter().filter(|part| !part.is_empty()).map(text_of).collect();
    (parts.len() > 1).then_some(parts)
}

fn text_of(tokens: &[Token]) -> String {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

/// Cuts at a sign that stands in no bracket; arrows close nothing.
fn split<'t>(tokens: &'t [Token], sign: &str) -> Vec<&'t [Token]> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_i32);
    for (at, token) in tokens.iter().enumerate() {
        let arrow = at > 0 && matches!(&*tokens[at - 1].text, "-" | "=") && token.text == ">";
        if depth == 0 && !arrow && token.text == sign {
            parts.push(&tokens[from..at]);
            from = at + 1;
            continue;
        }
        match token.text.as_str() {
            "(" | "[" | "{" | "<" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            ">" if !arrow => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    parts.push(&tokens[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::super::samples::assert_findings;
    use super::*;

    #[track_caller]
    fn check_signature(signature: &str, expected: usize) {
        let text = format!("{signature} {{ (1, true) }}\n");
        let source = Source::new("crates/ledgerline/src/a.rs", &text);
        assert_eq!(tuples(&source).len(), expected, "{signature}: {:?}", tuples(&source));
    }

    #[test]
    fn unlike_things_have_names() {
        check_signature("fn f(a: (u64, bool))", 1);
        check_signature("pub fn f<'a, T: Fn(u8) -> u8>(&self, (a, b): &'a mut (u64, &str))", 1);
        check_signature("fn f(a: u8, b: (Vec<(u8, u8)>, u8), c: u8)", 1);
        check_signature("fn f(a: (u8, bool), b: (u8, bool))", 2);
        check_signature("fn f(a: Option<(u8, bool)>, b: Option<&'a (u8, bool)>)", 2);
    }

    #[test]
    fn likes_rows_and_results_may_be_tuples() {
        check_signature("fn f(range: (u64, u64), b: bool) -> (u64, bool)", 0);
        check_signature("fn f(rows: &[(u64, bool)], ends: Option<(u64, u64)>)", 0);
        check_signature("fn f(more: Option<Vec<(u64, bool)>>, by: Option<&[(u64, bool)]>)", 0);
        check_signature("fn f(each: &dyn Fn((u64, bool)) -> u8, unit: ())", 0);
        check_signature("fn f() -> u8 { let g = |a: (u64, bool)| 1; } fn g()", 0);
        check_signature("#[cfg(test)]\nfn f(a: (u64, bool))", 0);
    }

    #[test]
    fn a_crate_has_one_finding() {
        let source = |path: &str| Source::new(path, "fn f(a: (u64, bool)) {}\n");
        let paths = ["crates/node/src/a.rs", "crates/node/src/b.rs", "crates/view/src/a.rs"];
        let found = check(&paths.map(source));
        assert_findings(&found, &["1 tuple-parameter", "1 tuple-parameter"]);
        let amounts: Vec<(&str, usize)> =
            found.iter().map(|one| (one.path.as_str(), one.amount)).collect();
        assert_eq!(amounts, [("crates/view/Cargo.toml", 1), ("crates/node/Cargo.toml", 2)]);
        assert!(tuples(&source("crates/node/tests/a.rs")).is_empty());
    }
}
