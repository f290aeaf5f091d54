//! `findings`: what the rules noticed; acknowledging and closing it.

use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};
use ledgerline_api::answer::Answer;
use ledgerline_api::finding::{Finding, Findings, MoveRequest, Moved};
use ledgerline_api::progress::Catching;
use ledgerline_client::{Answered, Client, ClientError, segment};
use ledgerline_pasted::tell;
use serde::Deserialize;
use serde_json::Value;

use crate::ClientSettings;
use crate::Context;
use crate::progress::{self, Wait};
use crate::question::{Ask, Moment, Said};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{cell, facts, rows};

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
            let is_of_token = args.token.is_some();
            let said = |answer: &Answered| said(answer, is_of_token);
            return args.moment.show(context, ask, Some("findings"), said);
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

fn said(answer: &Answered, is_of_token: bool) -> Result<Said, ClientError> {
    let form: Answer<'_, Findings<'_>> = answer.form()?;
    let body = &form.body;
    let said = Said::of(&form, list(body)).by(&body.progress);
    Ok(said.of_token(token_known(body, is_of_token)))
}

/// Whether anything is recorded about the token that was asked about: silence is no such word.
fn token_known(body: &Findings<'_>, is_of_token: bool) -> Option<bool> {
    is_of_token.then_some(body.token_known == Some(true))
}

fn list(body: &Findings<'_>) -> String {
    if body.findings.is_empty() && progress::is_incomplete(&body.progress) {
        return "no findings among what was judged so far\n".to_owned();
    }
    rows(
        "findings",
        &body.findings,
        &[
            ("INDEX", |one| cell(&one.index)),
            ("NOTICED", |one| cell(&one.noticed_at)),
            ("SEVERITY", |one| cell(&one.severity)),
            ("RULE", |one| cell(&one.rule)),
            ("STATE", |one| cell(&one.state)),
            ("COUNT", |one| cell(&one.count)),
            ("GAP MS", |one| cell(&one.gap_ms)),
            ("TOKEN", |one| cell(&one.token_id)),
            ("TARGET", |one| cell(&one.target.as_ref().map(|target| &target.id))),
            ("PLACE", |one| cell(&one.place)),
            ("ID", |one| cell(&one.id)),
        ],
    )
}

/// Shows what is there, then what comes, a line each; again what stands open again.
fn follow(context: &mut Context, args: &FindingsArgs) -> CommandResult {
    let client = context.client(args.moment.client.clone())?;
    let mut from = 0;
    let (mut is_first, mut was) = (true, None::<Catching>);
    loop {
        let ask = ask(args, Some(from)).with("tenant", args.moment.tenant.as_deref());
        let answer = ask.fetch(&client, Some("findings"))?;
        let form: Answer<'_, Findings<'_>> = answer.form()?;
        let body = &form.body;
        if context.screen.is_json() {
            each_raw(context, &answer)?;
        } else {
            for one in body.findings.iter().chain(&body.reopened) {
                context.screen.line(&line(one))?;
                context.screen.still_read()?;
            }
        }
        if !body.reopened_whole {
            tell(&["INCOMPLETE: more findings stand open again than were read".to_owned()]);
        }
        if from == 0 {
            let known = token_known(body, args.token.is_some());
            let said = Said::of(&form, String::new()).of_token(known);
            tell(&said.unknown().map(str::to_owned).into_iter().collect::<Vec<_>>());
        }
        from = form.as_of;
        // What is not shown may not have been noticed yet. Each change is said once.
        let state = body.progress.get("findings").map(|findings| findings.state);
        if is_first || state != was {
            tell(&[progress::words(&body.progress, "findings")]);
            (is_first, was) = (false, state);
        }
        thread::sleep(Duration::from_millis(args.interval_ms.max(50)));
    }
}

/// Writes findings as the server sent them.
fn each_raw(context: &mut Context, answer: &Answered) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Lists {
        findings: Vec<Value>,
        reopened: Vec<Value>,
    }
    let Lists { findings, reopened } = answer.form()?;
    for one in findings.iter().chain(&reopened) {
        context.screen.json(one)?;
        context.screen.still_read()?;
    }
    Ok(())
}

fn line(one: &Finding<'_>) -> String {
    let again = match one.open_again_at {
        Some(index) => format!("  OPEN AGAIN by entry {index}"),
        None => String::new(),
    };
    format!(
        "{:>8}  {}  {:<8}  {:<28}  {:<12}  {}  {}{again}",
        cell(&one.index),
        cell(&one.noticed_at),
        cell(&one.severity),
        cell(&one.rule),
        cell(&one.state),
        cell(&one.token_id),
        cell(&one.id),
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
    let request = MoveRequest { note: args.note.clone(), tenant: tenant.map(str::to_owned) };
    let answer = client.post_json(&path, &request)?;
    let moved: Moved<'_> = answer.form()?;
    context.screen.show(&answer.raw, |_| {
        facts(&[("state", cell(&moved.state)), ("recorded at index", cell(&moved.index))])
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
    let mut answer = ask(None)?;
    let (mut found, is_behind) = begun(&answer, &begin)?;
    if found.is_empty() && is_behind {
        answer = ask(Some(ID_WAIT))?;
        found = begun(&answer, &begin)?.0;
    }
    let form: Answer<'_, Findings<'_>> = answer.form()?;
    let readers = &form.body.progress;
    match found[..] {
        [ref one] => Ok(one.clone()),
        [] if progress::is_incomplete(readers) => Err(Failure {
            exit: Exit::Incomplete,
            error: anyhow::anyhow!(
                "no finding's id begins so yet: {}",
                progress::words(readers, "findings")
            ),
        }),
        [] => Err(Failure::error("no finding's id begins so")),
        _ => {
            Err(Failure::usage(format!("{} findings' ids begin so: give more digits", found.len())))
        }
    }
}

/// The ids of findings that begin so, and whether there may be more.
fn begun(answer: &Answered, begin: &str) -> Result<(Vec<String>, bool), ClientError> {
    let form: Answer<'_, Findings<'_>> = answer.form()?;
    let mut found: Vec<String> = form.body.findings.iter().map(|one| cell(&one.id)).collect();
    found.retain(|id| id.starts_with(begin));
    found.dedup();
    Ok((found, progress::is_incomplete(&form.body.progress)))
}
