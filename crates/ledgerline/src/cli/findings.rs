//! `findings`: what the rules noticed; acknowledging and closing it.

use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Context;
use super::past::{Ask, Moment, rows};
use crate::client::segment;
use crate::config::ClientSettings;
use crate::exit::{CommandResult, Exit};
use crate::render::{facts, text};

/// Arguments of `findings`.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  ledgerline findings --state open --severity high
  ledgerline findings --follow
  ledgerline findings close 5f1e… --note 'case 4711: revoked the family'"
)]
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
    /// Go on showing what is noticed from now on, until interrupted.
    #[arg(long)]
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
    #[command(flatten)]
    client: ClientSettings,
    /// The finding's id.
    id: String,
    /// Why: it stands in the ledger for ever, so name a case, not a person.
    #[arg(long, default_value = "")]
    note: String,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
}

/// Shows findings, or moves one on.
///
/// # Errors
/// Whatever the server says.
pub fn run(context: &mut Context, args: FindingsArgs) -> CommandResult {
    match args.action {
        Some(Action::Acknowledge(moved)) => move_on(context, moved, "acknowledge"),
        Some(Action::Close(moved)) => move_on(context, moved, "close"),
        None if args.follow => follow(context, &args),
        None => {
            let ask = ask(&args, None);
            args.moment.show(context, ask, Some("findings"), list)
        }
    }
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
    rows(
        answer,
        "findings",
        &[
            ("INDEX", "/index"),
            ("NOTICED", "/noticed_at"),
            ("SEVERITY", "/severity"),
            ("RULE", "/rule"),
            ("STATE", "/state"),
            ("GAP MS", "/gap_ms"),
            ("TOKEN", "/token_id"),
            ("TARGET", "/target/id"),
            ("PLACE", "/place"),
            ("ID", "/id"),
        ],
    )
}

/// Shows what is there, then what comes, a line each.
fn follow(context: &mut Context, args: &FindingsArgs) -> CommandResult {
    let client = context.client(args.moment.client.clone())?;
    let mut from = 0;
    loop {
        let ask = ask(args, Some(from)).with("tenant", args.moment.tenant.as_deref());
        let answer = ask.fetch(&client, Some("findings"))?;
        for one in answer["findings"].as_array().into_iter().flatten() {
            if context.screen.is_json() {
                context.screen.json(one)?;
            } else {
                context.screen.line(&line(one))?;
            }
        }
        from = answer["as_of"].as_u64().unwrap_or(from);
        thread::sleep(Duration::from_millis(args.interval_ms.max(50)));
    }
}

fn line(one: &Value) -> String {
    format!(
        "{:>8}  {}  {:<8}  {:<28}  {}  {}",
        text(one, "/index"),
        text(one, "/noticed_at"),
        text(one, "/severity"),
        text(one, "/rule"),
        text(one, "/token_id"),
        text(one, "/id"),
    )
}

fn move_on(context: &mut Context, args: MoveArgs, what: &str) -> CommandResult {
    let client = context.client(args.client)?;
    let path = format!("/v1/findings/{}/{what}", segment(&args.id));
    let request = json!({ "note": args.note, "tenant": args.tenant });
    let answer = client.post_json(&path, &request)?;
    context.screen.show(&answer, |answer| {
        facts(&[("state", text(answer, "/state")), ("recorded at index", text(answer, "/index"))])
    })?;
    Ok(Exit::Ok)
}
