//! The rows of the data dictionary, and which of them differ.
//!
//! ```text
//! ## Statement                     heading
//! Some words.                      the text under it, one row named `(text)`
//! | `event_id` | EventId | … |     a row, named by its first cell in backticks, or its first cell
//! ```
//!
//! Promises: a row is found by heading and name wherever the page puts it, so moving a table is no
//! difference. Assumes: a heading's last word names the type, which is how the page is generated.
//! It reads every table of the page: also those of JSON event fields, where the page has them.

/// The row that holds a heading's words.
pub const TEXT: &str = "(text)";

/// One row of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub heading: String,
    pub name: String,
    /// The cells, or the text.
    pub text: String,
}

/// A row that differs. Empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    pub heading: String,
    pub name: String,
    pub before: String,
    pub after: String,
}

/// Every row of a page.
pub fn rows(page: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut heading = String::new();
    let mut is_in_table = false;
    for line in page.lines() {
        let line = line.trim();
        let cells = cells(line);
        if let Some(words) = line.strip_prefix('#') {
            heading = words.trim_start_matches('#').trim().to_owned();
        } else if let Some(cells) = &cells {
            // The first row of a table is its head, the second its rule.
            let is_rule = cells.iter().all(|cell| cell.chars().all(|char| "-:| ".contains(char)));
            if is_in_table && !is_rule {
                let coded = cells.iter().find(|cell| cell.starts_with('`'));
                let name = coded.or(cells.first()).map_or("", |cell| cell.trim_matches('`'));
                let text = cells.join(" · ");
                rows.push(Row { heading: heading.clone(), name: name.to_owned(), text });
            }
        } else if !line.is_empty() {
            let known = |row: &&mut Row| row.heading == heading && row.name == TEXT;
            match rows.iter_mut().find(known) {
                Some(row) => row.text = format!("{} {line}", row.text),
                None => rows.push(Row {
                    heading: heading.clone(),
                    name: TEXT.to_owned(),
                    text: line.to_owned(),
                }),
            }
        }
        is_in_table = cells.is_some();
    }
    rows
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.trim_end_matches('|');
    Some(inner.split(" | ").map(str::trim).collect())
}

/// What differs between two pages, in the order of the new one, then what is gone.
pub fn differences(old: &str, new: &str) -> Vec<RowChange> {
    let (old, new) = (rows(old), rows(new));
    let mut found = Vec::new();
    for row in &new {
        let before = old.iter().find(|one| is_same(one, row));
        let before = before.map(|one| one.text.clone()).unwrap_or_default();
        if before != row.text {
            let Row { heading, name, text: after } = row.clone();
            found.push(RowChange { heading, name, before, after });
        }
    }
    for row in old.iter().filter(|row| !new.iter().any(|one| is_same(one, row))) {
        let Row { heading, name, text: before } = row.clone();
        found.push(RowChange { heading, name, before, after: String::new() });
    }
    found
}

fn is_same(one: &Row, other: &Row) -> bool {
    one.heading == other.heading && one.name == other.name
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Data dictionary\n\nWords\nand more.\n\n## Act\n\n\
                        | field | type | meaning |\n|---|---|---|\n\
                        | `id` | string | Names a \\| b. |\n| `part` | int | Which. |\n\n\
                        ## Kind\n\n| position | symbol | meaning |\n|---|---|---|\n\
                        | 0 | `OTHER` | Another. |\n\n## Fixed\n\n\
                        | type | bytes |\n|---|---|\n| EventId | 16 |\n";

    #[test]
    fn rows_are_named_by_what_they_describe() {
        let found: Vec<String> =
            rows(PAGE).iter().map(|row| format!("{}/{}", row.heading, row.name)).collect();
        let expected =
            ["Data dictionary/(text)", "Act/id", "Act/part", "Kind/OTHER", "Fixed/EventId"];
        assert_eq!(found, expected);
        assert_eq!(rows(PAGE)[0].text, "Words and more.");
    }

    #[test]
    fn what_differs_is_found_wherever_it_stands() {
        assert_eq!(differences(PAGE, PAGE), []);
        let new = PAGE
            .replace("Which.", "Which part.")
            .replace("| 0 | `OTHER` | Another. |", "| 0 | `NEW` | Fresh. |");
        let found = differences(PAGE, &new);
        let shown = |one: &RowChange| {
            format!("{}/{}: {} -> {}", one.heading, one.name, one.before, one.after)
        };
        let shown: Vec<String> = found.iter().map(shown).collect();
        assert_eq!(
            shown,
            [
                "Act/part: `part` · int · Which. -> `part` · int · Which part.",
                "Kind/NEW:  -> 0 · `NEW` · Fresh.",
                "Kind/OTHER: 0 · `OTHER` · Another. -> ",
            ]
        );
    }
}
