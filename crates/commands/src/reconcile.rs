//! `reconcile`: the ledger's usable tokens of an issuer against the issuer's own table.
//!
//! ```text
//! table  ──500 at a time──▶ POST /v1/reconciliations        unknown here, ended here
//! ledger ──page by page──▶ usable, not in the table ──▶ POST /v1/reconciliations   missing there
//!                      └─▶ on hold or not yet usable, and ACTIVE in the table      held here
//! ```
//!
//! Promises: both are compared as of the time the table was read, and the answer says how long ago
//! that is: an export that stopped would agree with itself for ever. Memory is 32 bytes for an id
//! of
//! the table, and a page of the ledger. Bearer values are hashed here and never sent. Exit 0
//! without a difference, 2 with one, 1 when a row could not be read; 3, STALE, when nothing differs
//! and the table is older than it may be.
//!
//! Refuses: tables of more than [`ROWS_MAX`] rows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use ledgerline_api::answer::Answer;
use ledgerline_api::question::Tokens;
use ledgerline_api::reconcile::{Difference, Reconciled, ReconciledToken, Reconciliation};
use ledgerline_api::time_text;
use ledgerline_api::token::Status;
use ledgerline_api::values::{Str, Time};
use ledgerline_client::{Client, segment};
use ledgerline_delivery::import_tokens::{NO_ROW, Table};
use ledgerline_delivery::naming::Naming;
use ledgerline_proof::hash::sha256;
use ledgerline_proof::lifecycle::State;
use ledgerline_proof::token_id::hashed_jti;
use ledgerline_tables::{input, token_table};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ClientSettings;
use crate::Context;
use crate::question::Ask;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{cell, facts, rows, table};

/// Tokens of one request.
const BATCH: usize = 500;
/// Rows of a table: up to 32 bytes of memory each.
const ROWS_MAX: usize = 50_000_000;

/// Arguments of `reconcile`.
#[derive(Args, Clone)]
pub struct ReconcileArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    table: Table,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
    /// Show the differences without recording findings.
    #[arg(long)]
    dry_run: bool,
}

impl ReconcileArgs {
    /// Whether the table can be read anew, as of its time then.
    #[must_use]
    pub fn can_be_repeated(&self) -> bool {
        self.table.taken_at.is_none() && self.table.file.as_os_str() != "-"
    }
}

/// Compares.
///
/// # Errors
/// When the table cannot be read; whatever the server says.
pub fn run(context: &mut Context, args: ReconcileArgs, max_age: Option<Duration>) -> CommandResult {
    let taken_at = args.table.taken_at()?;
    let client = context.client(args.client)?;
    let register = args.table.register(&client)?;
    let mut compare = Compare {
        client: &client,
        naming: &args.table.naming,
        tenant: args.tenant.as_deref(),
        taken_at,
        record: !args.dry_run,
        batch: Vec::new(),
        differences: Vec::new(),
        shown: Vec::new(),
        active_there: Vec::new(),
        held_here: Vec::new(),
        compared: 0,
    };
    let (mut known, mut bad, mut table_rows) = (Vec::new(), Vec::new(), 0_usize);
    let Naming { region, issuer, .. } = &args.table.naming;
    let front = format!("{region}:{issuer}:");
    let mut input = input::open(&args.table.file)?;
    token_table::read::<Failure>(
        &mut *input,
        args.table.form(),
        (region, issuer),
        &register,
        &mut |line, row| match row {
            Ok(row) if !row.token_id.starts_with(&front) => {
                let detail = "a token of another region or issuer than asked for";
                bad.push(Bad { line, detail: detail.to_owned() });
                Ok(())
            }
            Ok(row) => {
                if known.len() >= ROWS_MAX {
                    return Err(Failure::error("the table has more than 50,000,000 rows"));
                }
                table_rows += 1;
                known.extend(keys_of(&row));
                let usable = row.is_usable(taken_at);
                if usable && row.state == State::Active {
                    compare.active_there.extend(keys_of(&row));
                }
                compare.take(&row.token_id, others(&row), usable)
            }
            Err(error) => {
                bad.push(Bad { line, detail: error.to_string() });
                Ok(())
            }
        },
    )?;
    compare.flush()?;
    known.sort_unstable();
    // What could not be read may be any token: nothing is missing then.
    if known.is_empty() && bad.is_empty() {
        return Err(Failure::error(NO_ROW));
    }
    let in_ledger = if bad.is_empty() { compare.ledger(&known)? } else { 0 };
    let report = compare.report(in_ledger, table_rows, bad, max_age);
    context.screen.show(&report, shown)?;
    Ok(report.exit())
}

/// A row that could not be read.
#[derive(Serialize)]
struct Bad {
    line: u64,
    detail: String,
}

/// A token that is on hold or not yet usable here.
#[derive(Serialize)]
struct Held {
    token_id: String,
    here: Status,
}

/// What came of it, as a document.
#[derive(Serialize)]
struct Report {
    taken_at: Time,
    /// Whole seconds since then.
    age_s: u64,
    /// Whether that is longer than it may be.
    stale: bool,
    lines: usize,
    rows: usize,
    compared: u64,
    usable_in_ledger: u64,
    recorded: bool,
    /// As the server sent them.
    differences: Vec<Value>,
    held_here: Vec<Held>,
    unreadable_rows: Vec<Bad>,
    /// What is shown of the differences.
    #[serde(skip)]
    shown: Vec<Vec<String>>,
}

impl Report {
    fn exit(&self) -> Exit {
        let differs = !self.differences.is_empty() || !self.held_here.is_empty();
        match (self.unreadable_rows.is_empty(), differs) {
            (false, _) => Exit::Error,
            (true, true) => Exit::NotVerified,
            (true, false) if self.stale => Exit::Incomplete,
            (true, false) => Exit::Ok,
        }
    }
}

/// The other ids of a row's token: a source of the ledger may hash a jti that the table writes out.
fn others(row: &token_table::Row) -> Vec<String> {
    row.also_known_as.iter().cloned().chain(hashed_jti(&row.token_id)).collect()
}

fn shown(report: &Report) -> String {
    let mut out = facts(&[
        ("table of", cell(&report.taken_at)),
        ("age", format!("{} s", report.age_s)),
        ("lines", cell(&report.lines)),
        ("rows", cell(&report.rows)),
        ("usable in the ledger", cell(&report.usable_in_ledger)),
        ("recorded as findings", cell(&report.recorded)),
    ]);
    out.push_str(&match &report.shown[..] {
        [] if !report.unreadable_rows.is_empty() => {
            "no differences among the rows that could be read\n".to_owned()
        }
        [] => "no differences\n".to_owned(),
        differences => table(&["DIFFERENCE", "SEVERITY", "HERE", "TOKEN", "FINDING"], differences),
    });
    if !report.held_here.is_empty() {
        out.push_str(&rows(
            "held_here",
            &report.held_here,
            &[("HELD HERE", |one| cell(&one.here)), ("TOKEN", |one| cell(&one.token_id))],
        ));
        out.push_str("they are on hold or not yet usable here, and ACTIVE there; no finding is\n");
        out.push_str("recorded of that\n");
    }
    if report.stale {
        out.push_str(
            "STALE: the table is older than it may be; what happened since is not seen.\n",
        );
        out.push_str("Does the export still run?\n");
    }
    if !report.unreadable_rows.is_empty() {
        out.push_str(&rows(
            "unreadable_rows",
            &report.unreadable_rows,
            &[("LINE", |one| cell(&one.line)), ("DETAIL", |one| cell(&one.detail))],
        ));
        out.push_str("INCOMPLETE: what is missing at the issuer was not looked for\n");
    }
    out
}

/// The part of a digest that tells token ids apart: 50 million collide with chance 2^-77.
fn key_of(token_id: &str) -> u128 {
    let digest = sha256(token_id.as_bytes());
    let (head, _) = digest.0.split_first_chunk::<16>().expect("32 bytes");
    u128::from_be_bytes(*head)
}

fn keys_of(row: &token_table::Row) -> impl Iterator<Item = u128> + use<> {
    let others = others(row).into_iter().map(|id| key_of(&id));
    std::iter::once(key_of(&row.token_id)).chain(others)
}

struct Compare<'c> {
    client: &'c Client,
    naming: &'c Naming,
    tenant: Option<&'c str>,
    taken_at: i64,
    record: bool,
    batch: Vec<ReconciledToken>,
    /// As the server sent them, and what is shown of them.
    differences: Vec<Value>,
    shown: Vec<Vec<String>>,
    /// Ids that are ACTIVE at the issuer, sorted once all are there.
    active_there: Vec<u128>,
    /// Of those, what is on hold or not yet usable here.
    held_here: Vec<Held>,
    compared: u64,
}

impl Compare<'_> {
    fn take(
        &mut self,
        token_id: &str,
        also_known_as: Vec<String>,
        usable: bool,
    ) -> Result<(), Failure> {
        let token_id = token_id.to_owned();
        self.batch.push(ReconciledToken { token_id, also_known_as, usable });
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Differences {
            differences: Vec<Value>,
        }
        if self.batch.is_empty() {
            return Ok(());
        }
        let tokens = std::mem::take(&mut self.batch);
        self.compared += tokens.len() as u64;
        let request = Reconciliation {
            tenant: self.tenant.map(str::to_owned),
            region: self.naming.region.clone(),
            issuer: self.naming.issuer.clone(),
            taken_at: time_text::rfc3339(self.taken_at),
            record: self.record,
            tokens,
        };
        let answer = self.client.post_json("/v1/reconciliations", &request)?;
        let Reconciled { differences, .. } = answer.form()?;
        let row = |one: &Difference<'_>| {
            vec![
                cell(&one.difference),
                cell(&one.severity),
                cell(&one.here),
                cell(&one.token_id),
                cell(&one.finding),
            ]
        };
        self.shown.extend(differences.iter().map(row));
        self.differences.extend(answer.form::<Differences>()?.differences);
        Ok(())
    }

    /// What came of a table of so many rows, with those that could not be read.
    fn report(
        self,
        usable_in_ledger: u64,
        rows: usize,
        unreadable_rows: Vec<Bad>,
        max_age: Option<Duration>,
    ) -> Report {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let taken = Duration::from_nanos(u64::try_from(self.taken_at).unwrap_or_default());
        let age = now.saturating_sub(taken);
        Report {
            taken_at: Time(self.taken_at),
            age_s: age.as_secs(),
            stale: max_age.is_some_and(|most| age > most),
            lines: rows + unreadable_rows.len(),
            rows,
            compared: self.compared,
            usable_in_ledger,
            recorded: self.record,
            differences: self.differences,
            held_here: self.held_here,
            unreadable_rows,
            shown: self.shown,
        }
    }

    /// Looks through the ledger's usable tokens for those not in the table; how many there are.
    fn ledger(&mut self, known: &[u128]) -> Result<u64, Failure> {
        self.active_there.sort_unstable();
        let front = format!("{}:{}", self.naming.region, self.naming.issuer);
        let path = format!("/v1/issuers/{}/tokens", segment(&front));
        let (mut page, mut usable) = (None::<String>, 0);
        loop {
            let ask = Ask::new(path.clone())
                .with("at", Some(time_text::rfc3339(self.taken_at)))
                .with("tenant", self.tenant)
                .with("limit", Some(BATCH))
                .with("page", page.as_deref());
            let answer = ask.fetch(self.client, None)?;
            let form: Answer<'_, Tokens<'_>> = answer.form()?;
            for token in &form.body.tokens {
                let mut ids = token.also_known_as.iter().chain([&token.token_id]);
                let here = token.known.state;
                if matches!(here, Status::Suspended | Status::Pending) {
                    if ids.any(|id| self.active_there.binary_search(&key_of(id)).is_ok()) {
                        self.held_here.push(Held { token_id: token.token_id.to_string(), here });
                    }
                    continue;
                }
                if !token.known.active {
                    continue;
                }
                usable += 1;
                if !ids.any(|id| known.binary_search(&key_of(id)).is_ok()) {
                    self.take(&token.token_id, Vec::new(), false)?;
                }
            }
            page = form.next.map(Str::into_owned);
            if page.is_none() {
                self.flush()?;
                return Ok(usable);
            }
        }
    }
}
