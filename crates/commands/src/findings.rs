//! `findings`: what the rules noticed; acknowledging and closing it.

use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};
use ledgerline_client::{Client, segment};
use ledgerline_pasted::tell;
use serde_json::{Value, json};

use crate::ClientSettings;
use crate::Context;
use crate::progress::{self, Wait};
use crate::question::{Ask, Moment, rows, unknown};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{facts, text};

/// Arguments of `findings`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline findings --state open --severity high --wait 30
  ledgerline findings --follow
  ledgerline findings close 5f1e… --note 'case 4711: revoked the family'")]
pub struct FindingsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    moment: Moment,
    /// Only these: open, acknowledged, closed or withdrawn.
    #[arg(long, value_parser = ["open", "acknowledged", "closed", "withdrawn"])]
    state: Option<String>,
    /// Only from this severity up: info, low, medium, high or critical.
    #[arg(long, value_parser = ["info", "low", "medium", "high", "critical"])]
    severity: Option<String>,
    /// Only of this rule.
    #[arg(long)]
    rule: Option<String>,
    /// Only about this token.
    #[arg(long, value_name = "TOKEN_ID")]
    token: Option<String>,
    #[command(flatten)]
    wait: Wait,
    /// Go on showing what is noticed from now on, until interrupted; how far the rules are is said
    /// on standard error.
    #[arg(long, conflicts_with = "wait")]
    follow: bool,
    /// With `--follow`: milliseconds between looks.
    #[arg(long, default_value_t = 1000)]
    interval_ms: u64,
}

#[derive(Subcommand)]
enum Action {
    /// Say that somebody looks at it.
    #[command(after_help = "Example: ledgerline findings acknowledge 5f1e… --note 'on it'")]
    Acknowledge(MoveArgs),
    /// Say that it is dealt with, and how.
    #[command(after_help = "Example: ledgerline findings close 5f1e… --note 'a drill'")]
    Close(MoveArgs),
}

#[derive(Args)]
struct MoveArgs {
    /// The finding's id, or as much of its begin as no other has.
    id: String,
    /// Why: it stands in the ledger for ever, so name a case, not a person.
    #[arg(long, default_value = "")]
    note: String,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
}

/// Shows findings, or moves one on. A list while the rules are behind ends with exit code 3.
///
/// # Errors
/// Whatever the server says.
pub fn run(context: &mut Context, mut args: FindingsArgs) -> CommandResult {
    let (moved, what) = match args.action.take() {
        Some(Action::Acknowledge(moved)) => (moved, "acknowledge"),
        Some(Action::Close(moved)) => (moved, "close"),
        None if args.follow => return follow(context, &args),
        None => {
            let ask = ask(&args, None).with("wait", args.wait.seconds());
            args.moment.client = args.wait.patient(args.moment.client);
            return args.moment.show(context, ask, Some("findings"), list);
        }
    };
    let lists = [&args.state, &args.severity, &args.rule, &args.token];
    let waits = args.wait.seconds().is_some();
    if args.follow || waits || lists.iter().any(|flag| flag.is_some()) {
        return Err(Failure::usage(format!("{what} takes an id, and no flags of the list")));
    }
    let tenant = moved.tenant.clone().or(args.moment.tenant);
    move_on(context, args.moment.client, &moved, tenant.as_deref(), what)
}

fn ask(args: &FindingsArgs, from: Option<u64>) -> Ask {
    Ask::new("/v1/findings".to_owned())
        .with("state", args.state.as_deref())
        .with("severity", args.severity.as_deref())
        .with("rule", args.rule.as_deref())
        .with("token", args.token.as_deref())
        .with("from", from)
        .with("limit", Some(1000))
}

fn list(answer: &Value) -> String {
    let is_empty = answer["findings"].as_array().is_none_or(Vec::is_empty);
    if is_empty && progress::is_incomplete(answer) {
        return "no findings among what was judged so far\n".to_owned();
    }
    rows(
        answer,
        "findings",
        &[
            ("INDEX", "/index"),
            ("NOTICED", "/noticed_at"),
            ("SEVERITY", "/severity"),
            ("RULE", "/rule"),
            ("STATE", "/state"),
            ("COUNT", "/count"),
            ("GAP MS", "/gap_ms"),
            ("TOKEN", "/token_id"),
            ("TARGET", "/target/id"),
            ("PLACE", "/place"),
            ("ID", "/id"),
        ],
    )
}

/// Shows what is there, then what comes, a line each; again what stands open again.
fn follow(context: &mut Context, args: &FindingsArgs) -> CommandResult {
    let client = context.client(args.moment.client.clone())?;
    let mut from = 0;
    let mut was = None;
    loop {
        let ask = ask(args, Some(from)).with("tenant", args.moment.tenant.as_deref());
        let answer = ask.fetch(&client, Some("findings"))?;
        let lists = ["findings", "reopened"].map(|name| answer[name].as_array());
        for one in lists.into_iter().flatten().flatten() {
            if context.screen.is_json() {
                context.screen.json(one)?;
            } else {
                context.screen.line(&line(one))?;
            }
            context.screen.still_read()?;
        }
        if answer["reopened_whole"] == false {
            tell(&["INCOMPLETE: more findings stand open again than were read".to_owned()]);
        }
        if from == 0 {
            tell(&unknown(&answer).into_iter().collect::<Vec<_>>());
        }
        from = answer["as_of"].as_u64().unwrap_or(from);
        // What is not shown may not have been noticed yet. Each change is said once.
        let state = answer["progress"]["findings"]["state"].as_str().map(str::to_owned);
        if state != was {
            tell(&[progress::words(&answer, "findings")]);
            was = state;
        }
        thread::sleep(Duration::from_millis(args.interval_ms.max(50)));
    }
}

fn line(one: &Value) -> String {
    let again = match one["open_again_at"].as_u64() {
        Some(index) => format!("  OPEN AGAIN by entry {index}"),
        None => String::new(),
    };
    format!(
        "{:>8}  {}  {:<8}  {:<28}  {:<12}  {}  {}{again}",
        text(one, "/index"),
        text(one, "/noticed_at"),
        text(one, "/severity"),
        text(one, "/rule"),
        text(one, "/state"),
        text(one, "/token_id"),
        text(one, "/id"),
    )
}

fn move_on(
    context: &mut Context,
    client: ClientSettings,
    args: &MoveArgs,
    tenant: Option<&str>,
    what: &str,
) -> CommandResult {
    let client = context.client(client)?;
    let id = whole_id(&client, &args.id, tenant)?;
    let path = format!("/v1/findings/{}/{what}", segment(&id));
    let request = json!({ "note": args.note, "tenant": tenant });
    let answer = client.post_json(&path, &request)?;
    context.screen.show(&answer, |answer| {
        facts(&[("state", text(answer, "/state")), ("recorded at index", text(answer, "/index"))])
    })?;
    Ok(Exit::Ok)
}

/// Digits of a whole id, and the fewest of a begin.
const ID_DIGITS: usize = 64;
const BEGIN_DIGITS: usize = 4;
/// Seconds in which the rules may come to an id that is not there yet.
const ID_WAIT: u64 = 5;

/// The one finding whose id begins so.
fn whole_id(client: &Client, begin: &str, tenant: Option<&str>) -> Result<String, Failure> {
    let begin = begin.trim_end_matches(['\u{2026}', '.']).to_ascii_lowercase();
    if begin.len() >= ID_DIGITS {
        return Ok(begin);
    }
    if begin.len() < BEGIN_DIGITS || !begin.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage("a finding's id is 64 hex digits, or at least 4 to begin with"));
    }
    let ask = |wait| {
        let ask = Ask::new("/v1/findings".to_owned()).with("limit", Some(1000));
        ask.with("tenant", tenant).with("wait", wait).fetch(client, Some("findings"))
    };
    let begins = |answer: &Value| {
        let mut ids = answer["findings"].as_array().into_iter().flatten();
        ids.any(|one| one["id"].as_str().is_some_and(|id| id.starts_with(&begin)))
    };
    let mut answer = ask(None)?;
    if !begins(&answer) && progress::is_incomplete(&answer) {
        answer = ask(Some(ID_WAIT))?;
    }
    let all = answer["findings"].as_array().into_iter().flatten();
    let mut found: Vec<&str> = all.filter_map(|one| one["id"].as_str()).collect();
    found.retain(|id| id.starts_with(&begin));
    found.dedup();
    match found[..] {
        [one] => Ok(one.to_owned()),
        [] if progress::is_incomplete(&answer) => Err(Failure {
            exit: Exit::Incomplete,
            error: anyhow::anyhow!(
                "no finding's id begins so yet: {}",
                progress::words(&answer, "findings")
            ),
        }),
        [] => Err(Failure::error("no finding's id begins so")),
        _ => {
            Err(Failure::usage(format!("{} findings' ids begin so: give more digits", found.len())))
        }
    }
}
