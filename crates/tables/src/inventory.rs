//! An inventory of the services that should tell the ledger.
//!
//! ```toml
//! [[service]]
//! name = "orders-gateway"      # the source of its key
//! phase = "reporting"          # planned, reporting or retired
//! regions = ["eu-west-1"]      # may be left out
//! ```
//!
//! Promises: an error names the line.

use std::collections::BTreeSet;

use ledgerline_api::source::{ExpectedService, Phase};
use ledgerline_proof::statement::is_source_name;
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    service: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    phase: Phase,
    #[serde(default)]
    regions: Vec<Spanned<String>>,
}

/// Reads an inventory.
///
/// # Errors
/// What is wrong, and in which line.
pub fn parse(text: &str) -> Result<Vec<ExpectedService>, String> {
    let line_at = |offset: usize| 1 + text[..offset.min(text.len())].matches('\n').count();
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(span.start));
        format!("line {line}: {}", error.message())
    })?;
    if file.service.is_empty() {
        return Err("line 1: there is no [[service]]".to_owned());
    }
    let mut seen = BTreeSet::new();
    let mut services = Vec::new();
    for entry in file.service {
        for name in std::iter::once(&entry.name).chain(&entry.regions) {
            if !is_source_name(name.get_ref()) {
                let line = line_at(name.span().start);
                return Err(format!("line {line}: names are [a-z0-9._-]{{1,64}}"));
            }
        }
        let line = line_at(entry.name.span().start);
        let name = entry.name.into_inner();
        if !seen.insert(name.clone()) {
            return Err(format!("line {line}: the service {name} was named before"));
        }
        let regions = entry.regions.into_iter().map(Spanned::into_inner).collect();
        services.push(ExpectedService { name, phase: entry.phase, regions });
    }
    Ok(services)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_is_read_and_what_is_wrong_names_its_line() {
        let good = "# ours\n[[service]]\nname = \"idp\"\nphase = \"reporting\"\n\
                    regions = [\"eu-west-1\"]\n\n\
                    [[service]]\nname = \"mail\"\nphase = \"planned\"\n";
        let services = parse(good).expect("an inventory");
        assert_eq!(services.len(), 2);
        assert_eq!((&*services[0].name, services[1].phase), ("idp", Phase::Planned));
        assert_eq!(services[0].regions, ["eu-west-1"]);
        let entry = "[[service]]\nname = \"a\"\nphase = \"planned\"\n";
        for (text, line, part) in [
            (String::new(), 1, "service"),
            (format!("{entry}{entry}"), 5, "named before"),
            (entry.replace("planned", "someday"), 3, "someday"),
            (entry.replace("\"a\"", "\"A b\""), 2, "names are"),
            (entry.replace("name", "nam"), 2, "nam"),
            ("[[service]]\nname = \"a\"\n".to_owned(), 1, "phase"),
            (format!("{entry}regions = [\"EU\"]\n"), 4, "names are"),
            ("x = [".to_owned(), 1, ""),
        ] {
            let error = parse(&text).expect_err(&text);
            assert!(error.starts_with(&format!("line {line}: ")), "{text:?}: {error}");
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
