//! `demo`: a ledger in a fresh folder, a small life of tokens through the real interface, what one
//! can ask afterwards, and a server to go on with.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use ledgerline_api::ingest::{EventStatus, Verdicts};
use ledgerline_api::key::{AddedKey, NewKey};
use ledgerline_api::status::ServerStatus;
use ledgerline_api::time_text::rfc3339;
use ledgerline_api::token::TokenEvents;
use ledgerline_api::uuid_text;
use ledgerline_client::Client;
use ledgerline_doors::settings::DoorTable;
use ledgerline_issuers::settings::IssuerTable;
use ledgerline_issuers::workload::WorkloadTable;
use ledgerline_world::clock::{Clock as _, SystemClock};
use ledgerline_world::entropy::{SystemEntropy, random};
use serde_json::{Value, json};

use super::Context;
use super::serve::Started;
use crate::config::ServerSettings;
use ledgerline_commands::life::timeline;
use ledgerline_commands::trace::fetch;
use ledgerline_commands::verify_url::{self, Question};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::progress_bar;
use ledgerline_terminal::render::{cell, printable};

/// The token whose life is shown: the first access token, stolen and used after its revocation.
const STOLEN: &str = "eu-west-1:idp:jti:access-1";

/// Arguments of `demo`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline demo
  ledgerline demo --once --data demo-ledger")]
pub struct DemoArgs {
    /// Folder for everything; a fresh temporary one without it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Exit after printing instead of serving on.
    #[arg(long)]
    once: bool,
}

/// Shows it all.
///
/// # Errors
/// When any step fails.
pub fn run(context: &mut Context, args: DemoArgs) -> CommandResult {
    let folder = args.data.unwrap_or_else(fresh_folder);
    std::fs::create_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    let admin_key = folder.join("admin.key");
    let settings = ServerSettings {
        data: Some(folder.join("ledger")),
        listen: Some(args.listen),
        bootstrap_key_file: Some(admin_key.clone()),
        deployment: Some("demo".into()),
        block_interval_ms: Some(200),
        ..Default::default()
    };
    let (workloads, doors) = (WorkloadTable::default(), DoorTable::new());
    let started = Started::start(&settings, IssuerTable::new(), workloads, doors)?;
    let shown = show(context, &started.url, &folder, args.once, &admin_key);
    if shown.is_ok() && !args.once {
        let signals = started.signals()?;
        context.commands.screen.line("\nServing until Ctrl-C.")?;
        started.until(signals, || tracing::warn!(code = "hangup", "a demo reads nothing anew"));
    }
    started.finish()?;
    shown
}

fn fresh_folder() -> PathBuf {
    let name = uuid_text::hex(&random::<16>(&SystemEntropy));
    std::env::temp_dir().join(format!("ledgerline-demo-{}", &name[..12]))
}

fn connect(url: &str, key_file: &Path) -> Result<Client, Failure> {
    let settings = ledgerline_client::Settings {
        url: Some(url.to_owned()),
        key_file: Some(key_file.to_owned()),
        ..Default::default()
    };
    Ok(Client::open(&settings)?)
}

fn show(
    context: &mut Context,
    url: &str,
    folder: &Path,
    once: bool,
    admin_key: &Path,
) -> CommandResult {
    let admin = connect(url, admin_key)?;
    let idp = add_key(&admin, url, folder, "idp", &["producer"], "")?;
    let gateway = add_key(&admin, url, folder, "gateway", &["producer"], "")?;
    let auditor = add_key(&admin, url, folder, "auditor", &["auditor", "reader"], "*")?;
    live(&idp, &gateway)?;
    let life = fetch(&auditor, STOLEN, "")?;
    let report = verified(&auditor)?;
    if context.commands.screen.is_json() {
        let mut life = life.raw;
        let events = life.as_object_mut().and_then(|members| {
            members.remove("next");
            members.remove("events")
        });
        let shown = json!({
            "url": (!once).then_some(url),
            "folder": folder,
            "token": life,
            "events": events,
            "verify": report.document,
        });
        context.commands.screen.json(&shown)?;
        return Ok(report.exit);
    }
    let screen = &mut context.commands.screen;
    let place = folder.display();
    screen.line(&match once {
        true => format!("A ledger in {place}\n"),
        false => format!("A ledger in {place}, serving on {url}\n"),
    })?;
    screen.line("The life of a stolen token:\n")?;
    screen.lines(&timeline(&life.form::<TokenEvents<'_>>()?))?;
    screen.line("")?;
    screen.line(&format!(
        "verify: {} (every one of {} leaves, over HTTP, as a stranger would)",
        report.document.verdict,
        cell(&report.document.size),
    ))?;
    if once {
        // Nothing serves any more when this is read.
        let data = format!("ledgerline demo --data {place}");
        screen.line(&format!("\nIts server has stopped. To go on with it: {data}"))?;
        return Ok(report.exit);
    }
    let auditor_key = folder.join("auditor.key");
    let status = auditor.get("/v1/status")?;
    let log_key = printable(&status.form::<ServerStatus<'_>>()?.log_key);
    screen.line("\nTry:")?;
    for command in [
        format!("trace {STOLEN}"),
        "trace eu-west-1:idp:jti:refresh-1".to_owned(),
        format!("prove {STOLEN} --out bundle.json"),
        "tail -n 50 --once".to_owned(),
        format!("verify --log-key '{log_key}'"),
    ] {
        let flags = format!("--url {url} --key-file {}", auditor_key.display());
        let (name, rest) = command.split_once(' ').unwrap_or((&command, ""));
        screen.line(format!("  ledgerline {name} {flags} {rest}").trim_end())?;
    }
    Ok(report.exit)
}

/// Verifies once a block has closed over what was written.
fn verified(auditor: &Client) -> Result<verify_url::Report, Failure> {
    let answer = auditor.get("/v1/status")?;
    let ServerStatus { size: wanted, log_key, .. } = answer.form()?;
    // This process is the ledger: it knows its key.
    let question = Question { key: Some(&log_key), since: None, tree_only: false };
    let mut tried = 0;
    loop {
        let report = verify_url::verify(auditor, &question, &progress_bar())?;
        let is_whole = report.document.size >= Some(wanted);
        if report.exit != Exit::Ok || is_whole || tried == 50 {
            return Ok(report);
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        tried += 1;
    }
}

fn add_key(
    admin: &Client,
    url: &str,
    folder: &Path,
    name: &str,
    roles: &[&str],
    tenant: &str,
) -> Result<Client, Failure> {
    let request = NewKey {
        source: Some(name.to_owned()),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        tenant: Some(tenant.to_owned()),
        ..NewKey::default()
    };
    let added = admin.post_json("/v1/keys", &request)?;
    let secret = added.form::<AddedKey>()?.secret;
    let secret = secret.ok_or_else(|| added.garbled("a key without a secret"))?;
    let path = folder.join(format!("{name}.key"));
    // A second run in the same folder replaces the keys of the first.
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    std::io::Write::write_all(
        &mut ledgerline_commands::keys::create_private(&path)?,
        secret.as_bytes(),
    )?;
    connect(url, &path)
}

/// One afternoon of two users, told by an identity provider and a gateway.
fn live(idp: &Client, gateway: &Client) -> Result<(), Failure> {
    let now = SystemClock::default().wall_nanos();
    let run = uuid_text::hex(&random::<16>(&SystemEntropy));
    let at = |seconds_ago: i64| rfc3339(now - seconds_ago * 1_000_000_000);
    let story = Story { run: &run, at: &at };
    for (producer, events) in [
        (idp, story.policies_and_login()),
        (gateway, story.uses()),
        (idp, story.refresh()),
        (idp, story.revocation()),
        (gateway, story.use_after_revocation()),
        (idp, story.second_user()),
    ] {
        let answer = producer.post_json("/v1/events", &Value::Array(events))?;
        let Verdicts { events, .. } = answer.form()?;
        let refused = events.iter().find(|verdict| verdict.status == EventStatus::Refused);
        if let Some(refused) = refused {
            let why = cell(&refused.error.as_ref().map(|error| &error.detail));
            return Err(Failure::error(format!("the demo's own event was refused: {why}")));
        }
    }
    Ok(())
}

struct Story<'s> {
    run: &'s str,
    at: &'s dyn Fn(i64) -> String,
}

impl Story<'_> {
    fn event(&self, name: &str, seconds_ago: i64, kind: &str, token: &str) -> Value {
        json!({
            "native_id": format!("{}-{name}", self.run),
            "type": kind,
            "token_id": format!("eu-west-1:idp:jti:{token}"),
            "occurred_at": (self.at)(seconds_ago),
            "issuer": "idp",
        })
    }

    fn with(mut event: Value, more: &Value) -> Value {
        if let (Some(event), Some(more)) = (event.as_object_mut(), more.as_object()) {
            event.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        event
    }

    fn issued(&self, name: &str, ago: i64, token: &str, kind: &str, user: &str) -> Value {
        let life = if kind == "ACCESS" { 900 } else { 86_400 };
        Self::with(
            self.event(name, ago, "ISSUED", token),
            &json!({
                "token_kind": kind, "client_id": "web", "session_id": format!("s-{user}"),
                "scopes": ["read:orders"], "expires_at": (self.at)(ago - life),
                "policies": [{ "id": "orders", "version": "v1", "role": "GRANT" }],
                "personal": [{
                    "role": "SUBJECT", "user_id": user, "ip": "203.0.113.7",
                    "user_agent": "Mozilla/5.0 (demo)",
                }],
            }),
        )
    }

    fn accessed(&self, name: &str, ago: i64, token: &str, outcome: &str) -> Value {
        Self::with(
            self.event(name, ago, "RESOURCE_ACCESSED", token),
            &json!({
                "outcome": outcome, "vantage": "GATEWAY", "service": "orders", "action": "GET",
                "resource": "/orders/{id}", "status": if outcome == "ALLOW" { 200 } else { 401 },
            }),
        )
    }

    fn policies_and_login(&self) -> Vec<Value> {
        let policy = json!({
            "native_id": format!("{}-policy", self.run), "type": "POLICY_CHANGED",
            "target": { "kind": "POLICY", "id": "orders" }, "occurred_at": (self.at)(700),
            "policies": [{ "id": "orders", "version": "v1", "role": "GRANT" }],
        });
        vec![
            policy,
            self.issued("i1", 600, "access-1", "ACCESS", "alice"),
            self.issued("i2", 600, "refresh-1", "REFRESH", "alice"),
        ]
    }

    fn uses(&self) -> Vec<Value> {
        vec![
            Self::with(self.event("u1", 580, "USED", "access-1"), &json!({ "service": "orders" })),
            self.accessed("a1", 560, "access-1", "ALLOW"),
            self.accessed("a2", 500, "access-1", "ALLOW"),
        ]
    }

    /// The refresh token is exercised and replaced; both successors name it. One act, four parts.
    fn refresh(&self) -> Vec<Value> {
        let link = |token: &str, relation: &str| {
            json!({ "links": [{
                "token_id": format!("eu-west-1:idp:jti:{token}"), "relation": relation,
                "strength": "ASSERTED",
            }] })
        };
        let parts = [
            Self::with(
                self.event("r", 300, "REFRESHED", "refresh-1"),
                &link("access-2", "PRODUCED"),
            ),
            Self::with(
                self.event("r", 300, "ROTATED", "refresh-1"),
                &link("refresh-2", "ROTATED_TO"),
            ),
            Self::with(
                self.issued("r", 300, "refresh-2", "REFRESH", "alice"),
                &link("refresh-1", "ROTATED_FROM"),
            ),
            Self::with(
                self.issued("r", 300, "access-2", "ACCESS", "alice"),
                &link("refresh-1", "REFRESHED_FROM"),
            ),
        ];
        let act = format!("{}-refresh", self.run);
        let numbered = (0..).zip(parts).map(|(part, event)| {
            Self::with(event, &json!({ "act": { "id": act, "part": part, "parts": 4 } }))
        });
        numbered.collect()
    }

    fn revocation(&self) -> Vec<Value> {
        vec![Self::with(
            self.event("x1", 200, "REVOKED", "access-1"),
            &json!({ "reason": "compromise", "outcome": "ALLOW" }),
        )]
    }

    fn use_after_revocation(&self) -> Vec<Value> {
        vec![
            self.accessed("a3", 190, "access-1", "ALLOW"),
            self.accessed("a4", 120, "access-1", "DENY"),
            self.accessed("a5", 100, "access-2", "ALLOW"),
        ]
    }

    fn second_user(&self) -> Vec<Value> {
        vec![
            self.issued("j1", 90, "access-9", "ACCESS", "bob"),
            Self::with(self.event("j2", 60, "USED", "access-9"), &json!({ "service": "orders" })),
        ]
    }
}
