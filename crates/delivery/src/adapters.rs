//! `adapters`: which foreign logs are understood, and what their records become.

use clap::Args;
use ledgerline_sources::{ADAPTERS, Choice, Evidence, Rule};
use ledgerline_terminal::context::Context;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{facts, table};
use serde::Serialize;

/// Arguments of `adapters`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline adapters
  ledgerline adapters oidc-provider
  ledgerline ingest --dry-run --adapter oidc-provider provider.ndjson

`recording`: records of the real system stand in our tests. `documentation`: its mapping follows the
public documentation alone, and nobody has held it against the real system.")]
pub struct AdaptersArgs {
    /// Show the mapping of this one.
    name: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    evidence: &'static str,
    about: &'static str,
}

#[derive(Serialize)]
struct Mapping {
    #[serde(flatten)]
    adapter: Listed,
    rows: Vec<MappingRow>,
    identifiers: Vec<IdentifierRule>,
}

#[derive(Serialize)]
struct MappingRow {
    kinds: String,
    becomes: &'static str,
}

#[derive(Serialize)]
struct IdentifierRule {
    at: &'static str,
    rule: &'static str,
}

/// Lists the adapters, or shows one.
///
/// # Errors
/// Usage for a name that is none.
pub fn run(context: &mut Context, args: AdaptersArgs) -> CommandResult {
    let Some(name) = args.name else {
        let all: Vec<Listed> = ADAPTERS.iter().map(listed).collect();
        context.screen.show(&all, |all| {
            let row = |one: &Listed| [one.name, one.evidence, one.about].map(str::to_owned);
            let rows: Vec<Vec<String>> = all.iter().map(|one| row(one).to_vec()).collect();
            table(&["ADAPTER", "KNOWN FROM", "READS"], &rows)
        })?;
        return Ok(Exit::Ok);
    };
    let Some(choice) = ledgerline_sources::choice(&name) else {
        return Err(Failure::usage("no such adapter: `ledgerline adapters` lists them"));
    };
    let row =
        |row: ledgerline_sources::RowShown| MappingRow { kinds: row.kinds, becomes: row.becomes };
    let mapping = Mapping {
        adapter: listed(choice),
        rows: (choice.rows)().into_iter().map(row).collect(),
        identifiers: choice
            .identifiers
            .iter()
            .map(|one| IdentifierRule { at: one.at, rule: rule_word(one.rule) })
            .collect(),
    };
    context.screen.show(&mapping, shown)?;
    Ok(Exit::Ok)
}

/// Columns of a mapping, those of the kinds, and least ones of what they become.
const COLUMNS: usize = 100;
const KINDS: usize = 40;
const BECOMES_MIN: usize = 30;
/// What stands above the kinds.
const HEAD: &str = "RECORDS";

/// A text in lines of at most so many characters, broken between words; a word that is longer
/// stands alone.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        let long = line.chars().count() + 1 + word.chars().count() > columns;
        if long && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

fn listed(choice: &Choice) -> Listed {
    let evidence = match choice.evidence {
        Evidence::Recording => "recording",
        Evidence::Documentation => "documentation",
    };
    Listed { name: choice.name, evidence, about: choice.about }
}

fn rule_word(rule: Rule) -> &'static str {
    match rule {
        Rule::Safe => "safe",
        Rule::Hash => "hash",
        Rule::Personal => "personal",
        Rule::Drop => "drop",
    }
}

fn shown(mapping: &Mapping) -> String {
    let head = facts(&[
        ("adapter", mapping.adapter.name.to_owned()),
        ("reads", mapping.adapter.about.to_owned()),
        ("known from", mapping.adapter.evidence.to_owned()),
    ]);
    // A name that is wider than its column takes from the other one.
    let kinds = mapping.rows.iter().flat_map(|row| wrapped(&row.kinds, KINDS));
    let widest = kinds.map(|line| line.chars().count()).max().unwrap_or(0).max(HEAD.len());
    let rest = (COLUMNS - 2).saturating_sub(widest).max(BECOMES_MIN);
    let rows = mapping.rows.iter().flat_map(|row| {
        let (kinds, becomes) = (wrapped(&row.kinds, KINDS), wrapped(row.becomes, rest));
        let cell = |lines: &[String], at: usize| lines.get(at).cloned().unwrap_or_default();
        let lines = 0..kinds.len().max(becomes.len());
        lines.map(|at| vec![cell(&kinds, at), cell(&becomes, at)]).collect::<Vec<_>>()
    });
    let rules: Vec<Vec<String>> = mapping
        .identifiers
        .iter()
        .map(|one| vec![one.at.to_owned(), one.rule.to_owned()])
        .collect();
    let rows: Vec<Vec<String>> = rows.collect();
    let (rows, rules) = (table(&[HEAD, "BECOME"], &rows), table(&["IDENTIFIER", "RULE"], &rules));
    format!(
        "{head}\n{rows}\n{rules}\nWhat no row names is quarantined and counted, never dropped.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapping_of_an_adapter_was_wider_than_any_terminal() {
        for choice in ADAPTERS {
            let row = |row: ledgerline_sources::RowShown| MappingRow {
                kinds: row.kinds,
                becomes: row.becomes,
            };
            let rows: Vec<MappingRow> = (choice.rows)().into_iter().map(row).collect();
            let words = |text: &str| text.split_whitespace().count();
            let all: usize = rows.iter().map(|row| words(&row.kinds) + words(row.becomes)).sum();
            let shown = shown(&Mapping { adapter: listed(choice), rows, identifiers: Vec::new() });
            for line in shown.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", choice.name);
            }
            assert!(words(&shown) > all, "{}: nothing is left out", choice.name);
        }
    }
}
