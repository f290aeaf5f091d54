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
    let rows: Vec<Vec<String>> =
        mapping.rows.iter().map(|row| vec![row.kinds.clone(), row.becomes.to_owned()]).collect();
    let rules: Vec<Vec<String>> = mapping
        .identifiers
        .iter()
        .map(|one| vec![one.at.to_owned(), one.rule.to_owned()])
        .collect();
    let (rows, rules) =
        (table(&["RECORDS", "BECOME"], &rows), table(&["IDENTIFIER", "RULE"], &rules));
    format!(
        "{head}\n{rows}\n{rules}\nWhat no row names is quarantined and counted, never dropped.\n"
    )
}
