//! The command line: which command runs, and what the program ends with.
//!
//! Commands that ask a server, and the offline check, are crates of their own; here are those that
//! use the engine: `serve`, `demo`, `reindex`, `verify` and `export-tiles`; and `poll-sets`.
//!
//! Promises: exit codes as in [`ledgerline_terminal::exit`]; a wrong command line is 64. Answers go
//! to standard output, everything else to standard error.

pub mod completions;
pub mod demo;
pub mod every;
pub mod export_tiles;
pub mod poll_sets;
pub mod reindex;
pub mod serve;
pub mod verify;

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use ledgerline_client::ClientError;
use ledgerline_commands::{
    blast_radius, call, disclose, erase, findings, introspect, keys, lineage, pivot, prove, query,
    revoke, sources, status, tail, token_id, trace,
};
use ledgerline_delivery::{adapters, import_tokens, ingest};

use crate::config::{FileSettings, LogSettings};
use crate::reload::Origins;
use crate::{logs, privacy};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{Output, Screen};

/// A tamper-evident lineage ledger for bearer tokens.
#[derive(Parser)]
#[command(name = "ledgerline", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// Configuration file (TOML); the same names as the flags, with underscores.
    #[arg(long, global = true, env = "LEDGERLINE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Form of the answer.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    logs: LogSettings,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  ledgerline demo
  ledgerline serve --data ledger --listen 127.0.0.1:8790 --bootstrap-key-file admin.key
  ledgerline ingest --key-file producer.key events.ndjson
  ledgerline trace --key-file reader.key eu-west-1:idp:jti:4f0c

Exit codes: 0 ok, 1 error, 2 not verified, 3 incomplete, 4 unknown, 64 usage.";

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one is parsed in the life of a process")]
enum Command {
    /// Run the server.
    Serve(Box<serve::ServeArgs>),
    /// Take events of this machine's services and files, keep them, and send them to a server.
    Agent(Box<ledgerline_agent::AgentArgs>),
    /// Start a ledger in a fresh folder, show what it does, and keep serving.
    Demo(demo::DemoArgs),
    /// Send a file of events, or a foreign log through an adapter.
    Ingest(ingest::IngestArgs),
    /// Show which foreign logs are understood, and what their records become.
    Adapters(adapters::AdaptersArgs),
    /// Fetch security events from a transmitter (RFC 8936) and record them.
    PollSets(poll_sets::PollArgs),
    /// Show the life of a token.
    Trace(trace::TraceArgs),
    /// Show what a token came of and what came of it.
    Lineage(lineage::LineageArgs),
    /// Ask about the past: resources, policies, holders, exposure, causes.
    Query(query::QueryArgs),
    /// Show everything that an address, device, person, client, session, grant or key did.
    Pivot(pivot::PivotArgs),
    /// Show what a leaked token could reach, and revoke it.
    BlastRadius(blast_radius::BlastArgs),
    /// Call any operation of the HTTP interface by its name, and print the JSON.
    Call(call::CallArgs),
    /// Ask whether a token may be used now.
    Introspect(introspect::IntrospectArgs),
    /// Revoke a token and what goes with it.
    Revoke(revoke::RevokeArgs),
    /// Show what the rules noticed, acknowledge it, close it.
    Findings(findings::FindingsArgs),
    /// Follow the ledger (needs an auditor of all tenants).
    Tail(tail::TailArgs),
    /// Write a proof bundle of a token or an event.
    Prove(prove::ProveArgs),
    /// Check a proof bundle, offline.
    Check(ledgerline_check::CheckArgs),
    /// Verify a data folder, or a server.
    Verify(verify::VerifyArgs),
    /// Build the index of a data folder anew.
    Reindex(reindex::ReindexArgs),
    /// Write the log as C2SP tiles.
    ExportTiles(export_tiles::ExportArgs),
    /// Manage API keys and signing keys.
    Keys(keys::KeysArgs),
    /// Compute the id of a token, here, without sending it anywhere.
    TokenId(token_id::TokenIdArgs),
    /// Erase the personal data of a person.
    Erase(erase::EraseArgs),
    /// Read personal records back; the ledger records who did, and why.
    Disclose(disclose::DiscloseArgs),
    /// Write everything that the ledger has about a person.
    ExportUser(disclose::ExportUserArgs),
    /// Take over tokens that are older than the ledger from a table of their issuer.
    ImportTokens(import_tokens::ImportArgs),
    /// Compare the ledger with a table of the issuer's tokens.
    Reconcile(every::ReconcileEvery),
    /// Show who tells the ledger, and how complete that is.
    Sources(sources::SourcesArgs),
    /// Show how the server is.
    Status(status::StatusArgs),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArgs),
}

/// What every command has.
pub struct Context {
    /// What commands have that ask a server.
    pub commands: ledgerline_commands::Context,
    /// Settings of the file.
    pub file: FileSettings,
    /// Where settings came from.
    pub origins: Origins,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(error) = begin_again_without_blanks() {
        let _ = writeln!(io::stderr(), "ledgerline: blank variables cannot be unset: {error}");
        return Exit::Error.into();
    }
    privacy::keep_memory();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let shown = error.print().is_ok();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked && shown { Exit::Ok.into() } else { Exit::Usage.into() };
        }
    };
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) if is_closed_pipe(&failure) => Exit::Ok.into(),
        Err(mut failure) => {
            failure.exit = exit_of(&failure);
            // Nothing is left to do when standard error is closed too.
            let _ = writeln!(io::stderr(), "ledgerline: {:#}", failure.error);
            failure.exit.into()
        }
    }
}

/// A blank variable is as if it were not there: compose files and unit files write one for what is
/// not set. The process begins again without them, since no other variable of a running process
/// can be unset safely. Comes back only with an error, or when none is blank.
fn begin_again_without_blanks() -> Option<io::Error> {
    let is_blank = |value: &std::ffi::OsStr| value.to_str().is_some_and(|v| v.trim().is_empty());
    let ours = |name: &std::ffi::OsStr| name.to_str().is_some_and(|n| n.starts_with("LEDGERLINE_"));
    let all = std::env::vars_os().filter(|(name, value)| ours(name) && is_blank(value));
    let blank: Vec<_> = all.map(|(name, _)| name).collect();
    if blank.is_empty() {
        return None;
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return Some(error),
    };
    let mut arguments = std::env::args_os();
    let mut again = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    again.args(arguments);
    for name in blank {
        again.env_remove(name);
    }
    Some(again.exec())
}

fn run(cli: Cli) -> CommandResult {
    let mut file = FileSettings::read(cli.config.as_deref())?;
    let serves = matches!(cli.command, Command::Serve(_) | Command::Agent(_));
    let origins = Origins {
        config: cli.config,
        logs: cli.logs.clone(),
        file: std::mem::take(&mut file.given),
        ..Origins::default()
    };
    let log_settings = cli.logs.or(std::mem::take(&mut file.logs));
    logs::start(&log_settings, if serves { logs::OF_A_SERVER } else { "warn" })?;
    let reach = std::mem::take(&mut file.client);
    let commands = ledgerline_commands::Context { screen: Screen::new(cli.output), reach };
    let mut context = Context { commands, file, origins };
    match cli.command {
        Command::Serve(args) => serve::run(&mut context, *args),
        Command::Agent(args) => ledgerline_agent::run(&mut context.commands, &args),
        Command::Demo(args) => demo::run(&mut context, args),
        Command::Ingest(args) => ingest::run(&mut context.commands, &args),
        Command::Adapters(args) => adapters::run(&mut context.commands, args),
        Command::PollSets(args) => poll_sets::run(&mut context, args),
        Command::ImportTokens(args) => import_tokens::run(&mut context.commands, args),
        Command::Reconcile(args) => every::reconcile(&mut context.commands, args),
        Command::Sources(args) => sources::run(&mut context.commands, args),
        Command::Trace(args) => trace::run(&mut context.commands, args),
        Command::Lineage(args) => lineage::run(&mut context.commands, args),
        Command::Query(args) => query::run(&mut context.commands, args),
        Command::Pivot(args) => pivot::run(&mut context.commands, args),
        Command::BlastRadius(args) => blast_radius::run(&mut context.commands, args),
        Command::Call(args) => call::run(&mut context.commands, args),
        Command::Introspect(args) => introspect::run(&mut context.commands, args),
        Command::Revoke(args) => revoke::run(&mut context.commands, &args),
        Command::Findings(args) => findings::run(&mut context.commands, args),
        Command::Tail(args) => tail::run(&mut context.commands, args),
        Command::Prove(args) => prove::run(&mut context.commands, &args),
        Command::Check(args) => ledgerline_check::run(&mut context.commands.screen, &args),
        Command::Verify(args) => verify::run(&mut context, args),
        Command::Reindex(args) => reindex::run(&mut context, args),
        Command::ExportTiles(args) => export_tiles::run(&mut context, args),
        Command::Keys(args) => keys::run(&mut context.commands, args),
        Command::TokenId(args) => token_id::run(&mut context.commands, &args),
        Command::Erase(args) => erase::run(&mut context.commands, args),
        Command::Disclose(args) => disclose::run(&mut context.commands, args),
        Command::ExportUser(args) => disclose::export(&mut context.commands, args),
        Command::Status(args) => status::run(&mut context.commands, args),
        Command::Completions(args) => completions::run(&args),
    }
}

/// How a failure ends the program: what a server refuses because the question is no question is a
/// wrong command line.
fn exit_of(failure: &Failure) -> Exit {
    let refused = failure.error.downcast_ref::<ClientError>().and_then(ClientError::code);
    match (failure.exit, refused) {
        (Exit::Error, Some(code)) if WRONG_QUESTION.contains(&code) => Exit::Usage,
        (exit, _) => exit,
    }
}

/// Codes of refusals of what was typed.
const WRONG_QUESTION: [&str; 10] = [
    "bad_note",
    "bad_query",
    "bad_range",
    "bad_reason",
    "bad_key",
    "bad_key_id",
    "bad_source",
    "bad_tenant",
    "bad_kind",
    "bad_token_id",
];

/// `ledgerline trace ... | head` is no error.
fn is_closed_pipe(failure: &Failure) -> bool {
    let cause = failure.error.downcast_ref::<io::Error>();
    cause.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        let cli = Cli::command();
        cli.clone().debug_assert();
        for command in cli.get_subcommands() {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Example"), "{} has no example", command.get_name());
        }
    }
}
