//! The allow-list, which may only shrink.
//!
//! ```text
//! rule             path                         item    amount  reason
//! function-length  crates/ledgerline/src/a.rs   replay  84      # one visible sequence
//! random-map       crates/ledgerline/src/b.rs   -       1       # looked up, never iterated
//! ```
//!
//! `item` is the function for `function-length` and `-` for the others. `amount` is the length, or
//! the number of occurrences, and must be what is there **now**: more is a finding as always, less
//! means that the entry must come down, none means that it must go. An entry needs a reason.

use std::collections::BTreeMap;

use super::{Finding, Rule};

const ALLOW_LIST: Rule = Rule {
    name: "allow-list",
    mend: "The list only shrinks: correct or delete the entry.",
    may_be_allowed: false,
};

/// Rule, path and item.
type Key = (String, String, String);

/// An entry of the list.
struct Entry {
    key: Key,
    amount: usize,
    /// 1-based.
    line: usize,
}

/// The findings that no entry of `list` covers, and those about the list itself.
pub fn apply(findings: Vec<Finding>, list_path: &str, list: &str) -> Vec<Finding> {
    let mut amounts: BTreeMap<Key, usize> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.rule.may_be_allowed) {
        *amounts.entry(key(finding)).or_default() += finding.amount;
    }
    let mut wrong = Vec::new();
    let mut covered = BTreeMap::new();
    for (index, line) in list.lines().enumerate() {
        let entry = match parsed(line, index + 1) {
            Ok(Some(entry)) => entry,
            Ok(None) => continue,
            Err(what) => {
                wrong.push(Finding::new(&ALLOW_LIST, list_path, index + 1, what));
                continue;
            }
        };
        if let Some(what) = slack(&entry, amounts.get(&entry.key).copied().unwrap_or(0)) {
            wrong.push(Finding::new(&ALLOW_LIST, list_path, entry.line, what));
        }
        if covered.insert(entry.key, entry.amount).is_some() {
            wrong.push(Finding::new(&ALLOW_LIST, list_path, index + 1, "a second entry for it"));
        }
    }
    let is_open = |finding: &Finding| {
        let key = key(finding);
        let present = amounts.get(&key).copied().unwrap_or(usize::MAX);
        covered.get(&key).is_none_or(|allowed| present > *allowed)
    };
    findings.into_iter().filter(is_open).chain(wrong).collect()
}

fn key(finding: &Finding) -> Key {
    (finding.rule.name.to_owned(), finding.path.clone(), finding.item.clone())
}

/// What is wrong with an entry that allows more than is there.
fn slack(entry: &Entry, present: usize) -> Option<String> {
    match present {
        0 => Some("no longer needed, or of a rule without exceptions".to_owned()),
        _ if present < entry.amount => {
            Some(format!("allows {}, but only {present} is there", entry.amount))
        }
        _ => None,
    }
}

/// An entry, or none for an empty line or a comment, or what is wrong with the line.
fn parsed(text: &str, line: usize) -> Result<Option<Entry>, &'static str> {
    let (entry, reason) = text.split_once('#').unwrap_or((text, ""));
    let words: Vec<&str> = entry.split_whitespace().collect();
    if words.is_empty() {
        return Ok(None);
    }
    let [rule, path, item, amount] = words.as_slice() else {
        return Err("not `rule path item amount # reason`");
    };
    if reason.trim().is_empty() {
        return Err("an entry without a reason");
    }
    let amount = amount.parse().map_err(|_| "the amount is not a number")?;
    let key = ((*rule).to_owned(), (*path).to_owned(), (*item).to_owned());
    Ok(Some(Entry { key, amount, line }))
}

#[cfg(test)]
mod tests {
    use super::super::samples::assert_findings;
    use super::*;

    const LENGTH: Rule = Rule { name: "function-length", mend: "", may_be_allowed: true };
    const STRICT: Rule = Rule { name: "tab", mend: "", may_be_allowed: false };

    fn present() -> Vec<Finding> {
        let long = Finding::new(&LENGTH, "a.rs", 7, "long");
        let once = || Finding::new(&LENGTH, "b.rs", 1, "once");
        vec![Finding { item: "f".to_owned(), amount: 80, ..long }, once(), once()]
    }

    #[track_caller]
    fn check_list(list: &str, expected: &[&str]) {
        assert_findings(&apply(present(), "allow.txt", list), expected);
    }

    #[test]
    fn an_entry_covers_exactly_what_is_there() {
        let exact = "# rule path item amount\n\nfunction-length a.rs f 80 # why\n\
                     function-length b.rs - 2 # why\n";
        check_list(exact, &[]);
        let (long, once) = ("7 function-length", "1 function-length");
        check_list("", &[long, once, once]);
        check_list("function-length a.rs f 80 # why\n", &[once, once]);
        check_list("function-length a.rs f 79 # why\n", &[long, once, once]);
        check_list("function-length a.rs g 80 # why\n", &[long, once, once, "1 allow-list"]);
        check_list("function-length a.rs f 81 # why\n", &[once, once, "1 allow-list"]);
        check_list(&format!("{exact}function-length b.rs - 2 # why\n"), &["5 allow-list"]);
    }

    #[test]
    fn a_malformed_entry_allows_nothing() {
        let all = ["7 function-length", "1 function-length", "1 function-length", "1 allow-list"];
        check_list("function-length a.rs f 80\n", &all);
        check_list("function-length a.rs 80 # why\n", &all);
        check_list("function-length a.rs f many # why\n", &all);
    }

    #[test]
    fn a_rule_without_exceptions_has_none() {
        let findings = vec![Finding::new(&STRICT, "a.rs", 3, "a tab")];
        let left = apply(findings, "allow.txt", "tab a.rs - 1 # why\n");
        assert_findings(&left, &["3 tab", "1 allow-list"]);
    }
}
