//! The commit point is one named line.
//!
//! Before it everything can be repeated, after it everything is redone by the function recovery
//! uses. A second marked line would mean that nobody knows which of them is true.

use super::house::{Kind, kind_of};
use super::source::Source;
use super::{Finding, Rule};

/// The mark, exactly as it stands above the line.
const MARK: &str = concat!("// COMMIT", " POINT");
/// Once this room exists there must be a mark.
const JOURNAL: &str = "crates/journal/src";

const COMMIT_POINT: Rule = Rule {
    name: "commit-point",
    mend: "Mark exactly one line of the engine, the one after which an event is recorded.",
    may_be_allowed: false,
};

pub fn check(sources: &[Source]) -> Vec<Finding> {
    let engine = sources.iter().filter(|source| kind_of(&source.path) == Some(Kind::Engine));
    let marks: Vec<(&str, usize)> = engine.flat_map(marked_lines).collect();
    let journal = sources.iter().find(|source| is_journal(&source.path));
    match (marks.as_slice(), journal) {
        ([], Some(journal)) => {
            vec![Finding::new(&COMMIT_POINT, &journal.path, 1, "the engine marks no commit point")]
        }
        ([], None) | ([_], _) => Vec::new(),
        ([first, others @ ..], _) => others
            .iter()
            .map(|(path, line)| {
                let what = format!("a second commit point; the first is {}:{}", first.0, first.1);
                Finding::new(&COMMIT_POINT, path, *line, what)
            })
            .collect(),
    }
}

fn is_journal(path: &str) -> bool {
    path.strip_prefix(JOURNAL).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

fn marked_lines(source: &Source) -> impl Iterator<Item = (&str, usize)> {
    let lines = source.text.lines().enumerate();
    lines
        .filter(|(_, line)| line.contains(MARK))
        .map(|(index, _)| (source.path.as_str(), index + 1))
}

#[cfg(test)]
mod tests {
    use super::super::samples::assert_findings;
    use super::*;

    fn check_marks(files: &[(&str, &str)], expected: &[&str]) {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        assert_findings(&check(&sources), expected);
    }

    #[test]
    fn exactly_one_once_there_is_a_journal() {
        let marked = format!("//! A room.\n{MARK}: after this line it is recorded.\n");
        let journal = "crates/journal/src/writer.rs";
        let other = "crates/node/src/heads.rs";
        let plain = "//! A room.\n";
        check_marks(&[(other, plain)], &[]);
        check_marks(&[(journal, &marked), (other, plain)], &[]);
        check_marks(&[("crates/ledgerline/src/main.rs", &marked), (journal, &marked)], &[]);
        check_marks(&[(journal, plain)], &["1 commit-point"]);
        check_marks(&[(journal, &marked), (other, &marked)], &["2 commit-point"]);
    }
}
