//! `sources`: who tells the ledger, how much, and what is missing of it; `--expected`: who should;
//! `--accesses`: who asked to write.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use ledgerline_api::source::{ExpectedService, Inventory, Source, Sources, WriteAccesses};
use ledgerline_tables::inventory;

use crate::ClientSettings;
use crate::Context;
use crate::progress::{self, Wait};
use crate::question::{Ask, all_pages, unknown_tenant};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{cell, printable, rows};

/// Longest inventory.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Arguments of `sources`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline sources --key-file reader.key --wait 30
  ledgerline sources --key-file reader.key --expected services.toml
  ledgerline sources --key-file auditor.key --accesses

The inventory:
  [[service]]
  name = \"orders-gateway\"      # the source of its key
  phase = \"reporting\"          # planned, reporting or retired
  regions = [\"eu-west-1\"]      # may be left out

Exit code 3: a service is missing, one reports that is not in the inventory, or the rules are
behind. Exit code 4: nothing is known of the tenant.")]
pub struct SourcesArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
    /// An inventory of the services that should report (TOML).
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
    /// Show who asked to write instead: the newest entries of the log of write accesses.
    #[arg(long, conflicts_with = "expected")]
    accesses: bool,
    #[command(flatten)]
    wait: Wait,
}

/// Shows them.
///
/// # Errors
/// Usage for an inventory that is none; whatever the server says.
pub fn run(context: &mut Context, args: SourcesArgs) -> CommandResult {
    if args.accesses {
        return accesses(context, args);
    }
    let inventory = args.expected.as_deref().map(read).transpose()?;
    let client = context.client(args.wait.patient(args.client))?;
    let is_compared = inventory.is_some();
    let whole = match inventory {
        Some(expected) => {
            let body = Inventory { tenant: args.tenant, expected };
            client.post_json(&format!("/v1/sources{}", args.wait.query()), &body)?
        }
        None => {
            let ask = |page: Option<&str>| {
                let ask = Ask::new("/v1/sources".to_owned()).with("tenant", args.tenant.as_ref());
                // Later pages are of what was waited for already.
                let wait = args.wait.seconds().filter(|_| page.is_none());
                ask.with("page", page).with("wait", wait).fetch(&client, None)
            };
            all_pages("sources", ask)?.0
        }
    };
    let form: Sources<'_> = whole.form()?;
    context.screen.show(&whole.raw, |_| lines(&form))?;
    // Of an inventory silence is no word that all of it reports.
    let is_short = form.is_complete.map_or(is_compared, |is_complete| !is_complete);
    Ok(match form.tenant_known {
        false => Exit::Unknown,
        true if !form.cut_by.is_empty() || is_short => Exit::Incomplete,
        true => progress::exit(&form.progress),
    })
}

/// Accesses that are shown.
const ACCESSES: usize = 200;

/// Shows the newest write accesses.
fn accesses(context: &mut Context, args: SourcesArgs) -> CommandResult {
    let client = context.client(args.client)?;
    let ask = Ask::new("/v1/write-accesses".to_owned()).with("tenant", args.tenant.as_ref());
    let answer = ask.with("limit", Some(ACCESSES)).fetch(&client, None)?;
    let form: WriteAccesses<'_> = answer.form()?;
    context.screen.show(&answer.raw, |_| {
        let mut table = rows(
            "accesses",
            &form.accesses,
            &[
                ("UNTIL", |one| cell(&one.to)),
                ("CREDENTIAL", |one| cell(&one.credential)),
                ("SOURCE", |one| cell(&one.source)),
                ("REQUESTS", |one| cell(&one.requests)),
                ("RECORDED", |one| cell(&one.recorded)),
                ("DUPLICATES", |one| cell(&one.duplicates)),
                ("REFUSED", |one| cell(&one.refused)),
                ("REFUSED BY", |one| cell(&one.refused_by)),
                ("ENTRY", |one| cell(&one.index)),
            ],
        );
        if form.next.is_some() {
            table.push_str("older ones: ledgerline call list_write_accesses page=…\n");
        }
        table.push_str(
            "accesses since the last interval ended are not in it: they are stated when theirs \
             ends\n(write_log_interval_s of the server, 300 s unless it is set)\nit is of events \
             that were sent: what an administrator does, such as `keys add`, is an\nentry of its \
             own, which names who did it (KEY_ADDED, KEY_RETIRED, REVOKED, ERASED, …)\n",
        );
        table
    })?;
    Ok(Exit::Ok)
}

/// The inventory as the call has it.
fn read(file: &Path) -> Result<Vec<ExpectedService>, Failure> {
    let name = file.display();
    let length = fs::metadata(file).with_context(|| format!("{name}"))?.len();
    if length > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("{name}: an inventory has at most 1 MiB")));
    }
    let text = fs::read_to_string(file).with_context(|| format!("{name}"))?;
    inventory::parse(&text).map_err(|why| Failure::usage(format!("{name}: {why}")))
}

/// A source, and whether more may take from its score.
struct Row<'a> {
    source: &'a Source<'a>,
    at_most: bool,
}

impl Row<'_> {
    fn score(&self) -> String {
        match self.source.score {
            // While the rules are behind there may be more that takes from it.
            Some(score) if self.at_most => format!("at most {score}"),
            Some(score) => score.to_string(),
            None => printable(&self.source.words),
        }
    }
}

fn lines(answer: &Sources<'_>) -> String {
    let at_most = progress::is_incomplete(&answer.progress) || !answer.cut_by.is_empty();
    let each = answer.sources.iter().map(|source| Row { source, at_most });
    let mut table = rows(
        "sources",
        &each.collect::<Vec<_>>(),
        &[
            ("SOURCE", |one| cell(&one.source.source)),
            ("SCORE", Row::score),
            ("EVENTS", |one| cell(&one.source.events)),
            ("BIRTHS", |one| cell(&one.source.births)),
            ("ORIGINS", |one| cell(&one.source.origins)),
            ("GAPS", |one| cell(&one.source.gaps)),
            ("UNBORN", |one| cell(&one.source.sample.unborn_tokens)),
            ("HEARTBEAT AGE S", |one| cell(&one.source.heartbeat_age_s)),
            ("LAST", |one| cell(&one.source.last_recorded_at)),
            ("WHAT IS MISSING", |one| cell(&one.source.words)),
        ],
    );
    if answer.expected.is_some() {
        table.push('\n');
        table.push_str(&compared(answer));
    }
    if !answer.cut_by.is_empty() {
        let cut = cell(&answer.cut_by);
        table.push_str(&format!("INCOMPLETE: there are more findings than were read ({cut})\n"));
    }
    table.push('\n');
    table.push_str(&progress::foot(&answer.progress));
    table.extend(unknown_tenant(&answer.tenant, answer.tenant_known));
    table
}

/// The services of an inventory.
fn compared(answer: &Sources<'_>) -> String {
    let expected = answer.expected.as_deref().unwrap_or_default();
    let unexpected = answer.unexpected.as_deref().unwrap_or_default();
    let mut out = rows(
        "expected",
        expected,
        &[
            ("EXPECTED", |one| cell(&one.name)),
            ("PHASE", |one| cell(&one.phase)),
            ("IT", |one| cell(&one.words)),
        ],
    );
    for name in unexpected {
        out.push_str(&format!("NOT IN THE INVENTORY, but it reports: {name}\n"));
    }
    let all = expected.len();
    let missing = expected.iter().filter(|one| one.is_missing).count();
    let strangers = unexpected.len();
    out.push_str(&match answer.is_complete == Some(true) {
        true => format!("all as expected: {all} services\n"),
        false => format!(
            "INCOMPLETE: {missing} of {all} services do not report as they should, {strangers} \
             report uninvited\n"
        ),
    });
    out
}
