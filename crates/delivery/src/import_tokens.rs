//! `import-tokens`: an issuer's table of tokens that are older than the ledger, as ORIGIN events.
//!
//! Promises: bearer values are hashed here and never sent. A second run of the same table gives
//! duplicates. The time at which the state of the tokens is asserted is `--taken-at`, else the
//! file's own, so that the same file says the same.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::Context as _;
use clap::Args;
use ledgerline_api::time_text;
use ledgerline_client::Client;
use ledgerline_tables::input;
use ledgerline_tables::token_table::{self, Form, JtiRule, Register};

use crate::naming::Naming;
use crate::sender::{Sender, Unit};
use ledgerline_terminal::context::{ClientSettings, Context};
use ledgerline_terminal::exit::{CommandResult, Failure};
use ledgerline_terminal::progress_bar;

/// What a table without a row is.
pub const NO_ROW: &str = "the table has no row: an export that failed would be taken for an \
                          issuer without a living token. Give the whole table";

/// What a table of tokens is.
#[derive(Args, Clone)]
pub struct Table {
    /// Under which names its tokens stand.
    #[command(flatten)]
    pub naming: Naming,
    /// The form of the file; without it, told by its name: .csv, .tsv (also
    /// .csv.gz), or else NDJSON.
    #[arg(long, value_enum)]
    pub adapter: Option<Form>,
    /// What the jti of JWTs in the column `token` is, for issuers that the server's register does
    /// not have: identity, a name by which they are recorded, or bearer, the value itself.
    #[arg(long, value_enum, value_name = "RULE")]
    pub jti_rule: Option<JtiRule>,
    /// When the table was read from the issuer, RFC 3339 [default: when the file was last
    /// changed].
    #[arg(long, value_name = "TIME")]
    pub taken_at: Option<String>,
    /// The table; `-` for standard input, which needs --taken-at.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

impl Table {
    /// Its form.
    #[must_use]
    pub fn form(&self) -> Form {
        let name = self.file.to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let is_csv = [".csv", ".tsv"].iter().any(|end| name.ends_with(end));
        self.adapter.unwrap_or(if is_csv { Form::Csv } else { Form::Ndjson })
    }

    /// What the server knows of issuers: by it JWTs are named.
    ///
    /// # Errors
    /// Whatever the server says.
    pub fn register(&self, client: &Client) -> Result<Register, Failure> {
        Ok(Register::of(&client.get("/v1/issuers")?.form()?, self.jti_rule))
    }

    /// When it was taken, Unix nanoseconds.
    ///
    /// # Errors
    /// Usage when nobody says; when the file cannot be looked at.
    pub fn taken_at(&self) -> Result<i64, Failure> {
        if let Some(text) = &self.taken_at {
            let time = time_text::parse(text);
            return time.ok_or_else(|| Failure::usage("--taken-at is no RFC 3339 time"));
        }
        if self.file == Path::new("-") {
            return Err(Failure::usage("say when the table was read: --taken-at"));
        }
        let name = || self.file.display().to_string();
        let changed = self.file.metadata().with_context(name)?.modified().with_context(name)?;
        let seconds = changed.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        i64::try_from(seconds)
            .ok()
            .and_then(|seconds| seconds.checked_mul(1_000_000_000))
            .ok_or_else(|| Failure::usage("the file is from too far ahead: --taken-at"))
    }
}

/// Arguments of `import-tokens`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline import-tokens --key-file idp.key --region eu --issuer idp tokens.csv
  ledgerline import-tokens --adapter ndjson --taken-at 2026-11-22T10:00:00Z - < tokens.ndjson

Columns: one of token_id, jti, digest (as `token-id` computes it) or token (hashed here, not
sent), or jti beside digest or token; region, issuer, token_kind, client, subject, session,
scopes, issued_at, expires_at, state.")]
pub struct ImportArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    table: Table,
}

/// Imports.
///
/// # Errors
/// When the file cannot be read or has no row, or the server refuses a whole request. Exit 1 when
/// any row or event was refused.
pub fn run(context: &mut Context, args: ImportArgs) -> CommandResult {
    let table = args.table;
    let taken_at = table.taken_at()?;
    let client = context.client(args.client)?;
    let bar = progress_bar();
    let register = table.register(&client)?;
    let mut sender = Sender::new(&client, &bar);
    sender.file(&table.file);
    let names = (table.naming.region.as_str(), table.naming.issuer.as_str());
    let mut input = input::open(&table.file)?;
    let mut lines = 0_u64;
    let mut row = |line, row: Result<token_table::Row, token_table::RowError>| {
        sender.count_line();
        lines += 1;
        match row {
            Ok(row) => {
                let events = vec![serde_json::to_vec(&row.origin(taken_at))?];
                sender.take(Unit { lines: vec![line], events })
            }
            Err(error) => {
                sender.refuse(line, "row", &error.to_string());
                Ok(())
            }
        }
    };
    let fed = token_table::read::<Failure>(&mut *input, table.form(), names, &register, &mut row);
    if fed.is_ok() && lines == 0 {
        return Err(Failure::error(NO_ROW));
    }
    sender.finish(context, fed)
}
