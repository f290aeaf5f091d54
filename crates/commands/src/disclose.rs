//! `disclose` and `export-user`: personal records read back, for a purpose that stands in the
//! ledger.
//!
//! Promises: personal values go to standard output and nowhere else; a person's name comes from
//! standard input only. Every page asked for is an entry of the ledger, whose index is shown.

use std::io::{self, Write as _};

use clap::{ArgGroup, Args};
use ledgerline_api::uuid_text;
use ledgerline_client::Client;
use ledgerline_pasted::paste::read_secret;
use serde_json::{Value, json};

use crate::ClientSettings;
use crate::Context;
use crate::lookup::{self, Meant, Narrow};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{facts, json_text, table, text};

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
    let mut question = json!({ "purpose": args.purpose });
    if let Some(token) = &args.token {
        let tenant = args.tenant.as_deref();
        let id = match lookup::of_argument_by_name(&client, token, &args.narrow, tenant)? {
            Meant::Token(named) => named.id,
            Meant::Unknown(unknown) => return lookup::unknown(context, &unknown, NOTHING),
        };
        question["token_id"] = id.into();
    } else if let Some(handle) = &args.handle {
        let handle = uuid_text::parse(handle).map(|_| handle.as_str());
        let handle = handle.ok_or_else(|| Failure::usage("a handle is 32 hex digits"))?;
        question["handle"] = handle.into();
    } else {
        let named = args.event.as_deref().and_then(|event| event.split_once('/'));
        let named = named.filter(|(_, id)| uuid_text::parse(id).is_some());
        let (source, id) = named.ok_or_else(|| Failure::usage("an event is SOURCE/ID"))?;
        question["source"] = source.into();
        question["event_id"] = id.into();
    }
    let mut all = Whole::default();
    each_page(&client, question, args.tenant.as_deref(), |page| {
        all.add(page);
        Ok(())
    })?;
    context.screen.show(&all.value(), lines)?;
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
    let mut who = json!({ "kind": "PERSON", "issuer": args.issuer, "value": read_secret()? });
    if let Some(tenant) = &args.tenant {
        who["tenant"] = tenant.as_str().into();
    }
    let handle = text(&client.post_json("/v1/resolve", &who)?, "/handle");
    let question = json!({ "purpose": args.purpose, "handle": handle });
    let mut all = Whole::default();
    let as_one = context.screen.is_json();
    each_page(&client, question, args.tenant.as_deref(), |page| {
        if as_one {
            all.add(page);
            return Ok(());
        }
        let mut out = io::stdout().lock();
        for event in page["events"].as_array().into_iter().flatten() {
            writeln!(out, "{}", json_text(&event.to_string()))?;
        }
        out.flush()?;
        Ok(())
    })?;
    if as_one {
        let mut document = all.value();
        document["handle"] = handle.into();
        document["issuer"] = args.issuer.into();
        document["purpose"] = args.purpose.into();
        context.screen.json(&document)?;
    }
    Ok(Exit::Ok)
}

/// Asks for one page after the other.
fn each_page(
    client: &Client,
    mut question: Value,
    tenant: Option<&str>,
    mut take: impl FnMut(&mut Value) -> Result<(), Failure>,
) -> Result<(), Failure> {
    question["limit"] = PAGE_EVENTS.into();
    if let Some(tenant) = tenant {
        question["tenant"] = tenant.into();
    }
    loop {
        let mut page = client.post_json("/v1/disclose", &question)?;
        take(&mut page)?;
        match page["next"].take() {
            Value::String(next) => question["page"] = next.into(),
            _ => return Ok(()),
        }
    }
}

/// All pages together.
#[derive(Default)]
struct Whole {
    disclosed_at: Vec<Value>,
    records: u64,
    events: Vec<Value>,
}

impl Whole {
    fn add(&mut self, page: &mut Value) {
        self.disclosed_at.push(page["index"].take());
        self.records += page["records"].as_u64().unwrap_or(0);
        if let Value::Array(events) = page["events"].take() {
            self.events.extend(events);
        }
    }

    fn value(self) -> Value {
        let Self { disclosed_at, records, events } = self;
        json!({ "disclosed_at": disclosed_at, "records": records, "events": events })
    }
}

fn lines(answer: &Value) -> String {
    let mut out = facts(&[
        ("recorded at index", text(answer, "/disclosed_at")),
        ("records opened", text(answer, "/records")),
    ]);
    let mut rows = Vec::new();
    for event in answer["events"].as_array().into_iter().flatten() {
        for record in event["records"].as_array().into_iter().flatten() {
            let named = ["user_id", "ip", "user_agent", "device", "resource", "attributes"];
            let named = named.iter().filter(|name| !record[**name].is_null());
            let says = named.map(|name| format!("{name}={}", text(record, &format!("/{name}"))));
            rows.push(vec![
                text(event, "/index"),
                text(event, "/statement/occurred_at"),
                text(event, "/statement/type"),
                text(record, "/role"),
                text(record, "/state"),
                says.collect::<Vec<_>>().join("  "),
            ]);
        }
    }
    if !rows.is_empty() {
        out.push('\n');
        let head = ["INDEX", "OCCURRED", "EVENT", "ROLE", "STATE", "RECORD"];
        out.push_str(&table(&head, &rows));
    }
    out
}
