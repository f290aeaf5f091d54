//! `disclose` and `export-user`: personal records read back, for a purpose that stands in the
//! ledger.
//!
//! Promises: personal values go to standard output and nowhere else; a person's name comes from
//! standard input only. Every page asked for is an entry of the ledger, whose index is shown.

use std::io::{self, Write as _};

use clap::{ArgGroup, Args};
use ledgerline_api::log::{DisclosedRecord, Recorded};
use ledgerline_api::privacy::{Disclose, Disclosed, Resolve, Resolved};
use ledgerline_api::uuid_text;
use ledgerline_client::{Answered, Client};
use ledgerline_pasted::paste::read_secret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ClientSettings;
use crate::Context;
use crate::lookup::{self, Meant, Narrow};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{cell, facts, json_text, table};

/// Events of a page.
const PAGE_EVENTS: usize = 256;

/// Arguments of `disclose`.
#[derive(Args)]
#[command(
    group(ArgGroup::new("about").required(true).args(["token", "event", "handle"])),
    after_help = "Examples:
  ledgerline disclose --purpose 'case 4711' --token eu-west-1:idp:jti:4f0c
  ledgerline disclose --purpose 'case 4711' --event idp-log/01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11
  ledgerline disclose --purpose 'case 4711' --handle 0f1e2d3c4b5a69788796a5b4c3d2e1f0 -o json"
)]
pub struct DiscloseArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    narrow: Narrow,
    /// Why: it stands in the ledger for ever, so name a case, not a person.
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// Records of all events of this token's life; `-` reads the token from standard input.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    token: Option<String>,
    /// Records of this event.
    #[arg(long, value_name = "SOURCE/ID")]
    event: Option<String>,
    /// Records of all events that carry this handle (32 hex digits).
    #[arg(long)]
    handle: Option<String>,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
}

/// Arguments of `export-user`.
#[derive(Args)]
#[command(after_help = "Examples:
  printf alice | ledgerline export-user --issuer idp --purpose 'Art. 15, case 4711' - > alice.ndjson
  printf alice | ledgerline export-user --issuer idp --purpose 'Art. 20, case 4712' -o json -")]
pub struct ExportUserArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// Alias of the issuer that knows the person.
    #[arg(long)]
    issuer: String,
    /// Why: it stands in the ledger for ever, so name a case, not a person.
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
    /// `-`: the person's id is read from standard input only.
    #[arg(value_name = "-")]
    value: String,
}

/// Shows the opened records.
///
/// # Errors
/// Usage for what names nothing; whatever the server says.
pub fn run(context: &mut Context, args: DiscloseArgs) -> CommandResult {
    const NOTHING: &str = "nothing was disclosed";
    let client = context.client(args.client)?;
    let (purpose, tenant) = (Some(args.purpose), args.tenant);
    let mut question = Disclose { purpose, tenant, ..Disclose::default() };
    if let Some(token) = &args.token {
        let tenant = question.tenant.as_deref();
        let id = match lookup::of_argument_by_name(&client, token, &args.narrow, tenant)? {
            Meant::Token(named) => named.id,
            Meant::Unknown(unknown) => return lookup::unknown(context, &unknown, NOTHING),
        };
        question.token_id = Some(id);
    } else if let Some(handle) = args.handle {
        if uuid_text::parse(&handle).is_none() {
            return Err(Failure::usage("a handle is 32 hex digits"));
        }
        question.handle = Some(handle);
    } else {
        let named = args.event.as_deref().and_then(|event| event.split_once('/'));
        let named = named.filter(|(_, id)| uuid_text::parse(id).is_some());
        let (source, id) = named.ok_or_else(|| Failure::usage("an event is SOURCE/ID"))?;
        (question.source, question.event_id) = (Some(source.to_owned()), Some(id.to_owned()));
    }
    let mut all = Whole::default();
    each_page(&client, question, |page| all.add(page))?;
    context.screen.show(&all, lines)?;
    Ok(Exit::Ok)
}

/// Writes everything of a person: one event a line, or one document.
///
/// # Errors
/// Usage for a person's name as an argument; an error when nothing is known of the person.
pub fn export(context: &mut Context, args: ExportUserArgs) -> CommandResult {
    if args.value != "-" {
        let text = "a personal value is in your shell history now; use `-` and give it on standard \
                    input";
        return Err(Failure::usage(text));
    }
    let client = context.client(args.client)?;
    let who = Resolve {
        kind: "PERSON".to_owned(),
        issuer: args.issuer.clone(),
        value: read_secret()?,
        tenant: args.tenant.clone(),
    };
    let handle = cell(&client.post_json("/v1/resolve", &who)?.form::<Resolved>()?.handle);
    let question = Disclose {
        purpose: Some(args.purpose.clone()),
        tenant: args.tenant,
        handle: Some(handle.clone()),
        ..Disclose::default()
    };
    let mut whole = Whole::default();
    let as_one = context.screen.is_json();
    each_page(&client, question, |page| {
        whole.add(page)?;
        if !as_one {
            whole.rows.clear();
            let mut out = io::stdout().lock();
            for event in std::mem::take(&mut whole.events) {
                writeln!(out, "{}", json_text(&event.to_string()))?;
            }
            out.flush()?;
        }
        Ok(())
    })?;
    if as_one {
        let (issuer, purpose) = (args.issuer, args.purpose);
        context.screen.json(&Export { handle, issuer, purpose, whole })?;
    }
    Ok(Exit::Ok)
}

/// Asks for one page after the other.
fn each_page(
    client: &Client,
    mut question: Disclose,
    mut take: impl FnMut(&Answered) -> Result<(), Failure>,
) -> Result<(), Failure> {
    question.limit = Some(PAGE_EVENTS);
    loop {
        let page = client.post_json("/v1/disclose", &question)?;
        take(&page)?;
        let Disclosed { next, .. } = page.form()?;
        let Some(next) = next else { return Ok(()) };
        question.page = Some(next.into_owned());
    }
}

/// All pages together.
#[derive(Default, Serialize)]
struct Whole {
    disclosed_at: Vec<u64>,
    records: u64,
    /// As the server sent them.
    events: Vec<Value>,
    #[serde(skip)]
    rows: Vec<Vec<String>>,
}

/// Everything of a person.
#[derive(Serialize)]
struct Export {
    handle: String,
    issuer: String,
    purpose: String,
    #[serde(flatten)]
    whole: Whole,
}

impl Whole {
    fn add(&mut self, page: &Answered) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Events {
            events: Vec<Value>,
        }
        let form: Disclosed<'_> = page.form()?;
        self.disclosed_at.push(form.index);
        self.records += form.records;
        for event in &form.events {
            self.rows.extend(event.records.iter().flatten().map(|record| row(event, record)));
        }
        self.events.extend(page.form::<Events>()?.events);
        Ok(())
    }
}

/// What is shown of a record.
fn row(event: &Recorded<'_>, record: &DisclosedRecord<'_>) -> Vec<String> {
    let named = [
        ("user_id", &record.user_id),
        ("ip", &record.ip),
        ("user_agent", &record.user_agent),
        ("device", &record.device),
        ("resource", &record.resource),
    ];
    let named = named.iter().filter(|(_, value)| value.is_some());
    let mut says: Vec<String> =
        named.map(|(name, value)| format!("{name}={}", cell(value))).collect();
    if !record.attributes.is_empty() {
        says.push(format!("attributes={}", cell(&record.attributes)));
    }
    vec![
        cell(&event.index),
        cell(&event.statement.occurred_at),
        cell(&event.statement.event_type),
        cell(&record.role),
        cell(&record.state),
        says.join("  "),
    ]
}

fn lines(all: &Whole) -> String {
    let mut out = facts(&[
        ("recorded at index", cell(&all.disclosed_at)),
        ("records opened", cell(&all.records)),
    ]);
    if !all.rows.is_empty() {
        out.push('\n');
        let head = ["INDEX", "OCCURRED", "EVENT", "ROLE", "STATE", "RECORD"];
        out.push_str(&table(&head, &all.rows));
    }
    out
}
