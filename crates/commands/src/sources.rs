//! `sources`: who tells the ledger, how much, and what is missing of it; `--expected`: who should.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use ledgerline_sources::inventory;
use serde_json::{Value, json};

use crate::ClientSettings;
use crate::Context;
use crate::progress::{self, Wait};
use crate::question::{Ask, list, rows, text, unknown};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};

/// Longest inventory.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Arguments of `sources`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline sources --key-file reader.key --wait 30
  ledgerline sources --key-file reader.key --expected services.toml

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
    #[command(flatten)]
    wait: Wait,
}

/// Shows them.
///
/// # Errors
/// Usage for an inventory that is none; whatever the server says.
pub fn run(context: &mut Context, args: SourcesArgs) -> CommandResult {
    let inventory = args.expected.as_deref().map(read).transpose()?;
    let client = context.client(args.wait.patient(args.client))?;
    let whole = match inventory {
        Some(expected) => {
            let body = json!({ "tenant": args.tenant, "expected": expected });
            client.post_json(&format!("/v1/sources{}", args.wait.query()), &body)?
        }
        None => {
            let ask = |after: Option<&str>| {
                let ask = Ask::new("/v1/sources".to_owned()).with("tenant", args.tenant.as_ref());
                // Later pages are of what was waited for already.
                let wait = args.wait.seconds().filter(|_| after.is_none());
                ask.with("after", after).with("wait", wait).fetch(&client, None)
            };
            let mut whole = ask(None)?;
            while let Some(after) = whole["next"].as_str().map(str::to_owned) {
                let mut more = ask(Some(&after))?;
                if let (Some(all), Some(list)) =
                    (whole["sources"].as_array_mut(), more["sources"].as_array_mut())
                {
                    all.append(list);
                }
                whole["next"] = more["next"].take();
            }
            whole
        }
    };
    context.screen.show(&whole, lines)?;
    let is_cut = list(&whole, "cut_by").next().is_some();
    let is_short = whole["is_complete"] == false;
    Ok(match unknown(&whole) {
        Some(_) => Exit::Unknown,
        None if is_cut || is_short => Exit::Incomplete,
        None => progress::exit(&whole),
    })
}

/// The inventory as the call has it.
fn read(file: &Path) -> Result<Value, Failure> {
    let name = file.display();
    let length = fs::metadata(file).with_context(|| format!("{name}"))?.len();
    if length > FILE_BYTES_MAX {
        return Err(Failure::usage(format!("{name}: an inventory has at most 1 MiB")));
    }
    let text = fs::read_to_string(file).with_context(|| format!("{name}"))?;
    let services =
        inventory::parse(&text).map_err(|why| Failure::usage(format!("{name}: {why}")))?;
    Ok(serde_json::to_value(services)?)
}

fn lines(answer: &Value) -> String {
    let mut shown = answer.clone();
    let at_most = progress::is_incomplete(answer) || list(answer, "cut_by").next().is_some();
    for one in shown["sources"].as_array_mut().into_iter().flatten() {
        // While the rules are behind there may be more that takes from it.
        let score = match one["score"].as_f64() {
            Some(score) if at_most => format!("at most {score}"),
            Some(score) => score.to_string(),
            None => text(one, "/words"),
        };
        one["score"] = score.into();
    }
    let mut table = rows(
        &shown,
        "sources",
        &[
            ("SOURCE", "/source"),
            ("SCORE", "/score"),
            ("EVENTS", "/events"),
            ("BIRTHS", "/births"),
            ("ORIGINS", "/origins"),
            ("GAPS", "/gaps"),
            ("UNBORN", "/sample/unborn_tokens"),
            ("HEARTBEAT AGE S", "/heartbeat_age_s"),
            ("LAST", "/last_recorded_at"),
            ("WHAT IS MISSING", "/words"),
        ],
    );
    if answer["expected"].is_array() {
        table.push('\n');
        table.push_str(&rows(
            answer,
            "expected",
            &[("EXPECTED", "/name"), ("PHASE", "/phase"), ("IT", "/words")],
        ));
        for name in list(answer, "unexpected") {
            let name = name.as_str().unwrap_or_default();
            table.push_str(&format!("NOT IN THE INVENTORY, but it reports: {name}\n"));
        }
        let all = list(answer, "expected").count();
        let missing = list(answer, "expected").filter(|one| one["is_missing"] == true).count();
        let strangers = list(answer, "unexpected").count();
        table.push_str(&match answer["is_complete"] == true {
            true => format!("all as expected: {all} services\n"),
            false => format!(
                "INCOMPLETE: {missing} of {all} services do not report as they should, {strangers} \
                 report uninvited\n"
            ),
        });
    }
    if list(answer, "cut_by").next().is_some() {
        let cut = text(answer, "/cut_by");
        table.push_str(&format!("INCOMPLETE: there are more findings than were read ({cut})\n"));
    }
    table.push('\n');
    table.push_str(&progress::foot(answer));
    table.extend(unknown(answer));
    table
}
