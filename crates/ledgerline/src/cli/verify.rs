//! `verify`: a data folder without its server, a server without its data folder, or what the
//! server's own verifier reported.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use ledgerline_api::log::VerifyReports;
use ledgerline_proof::checkpoint::{self, Checkpoint};
use ledgerline_proof::note::VerifierKey;
use ledgerline_vault::keys::KeyRing;
use ledgerline_verify::{
    Compared, Progress, Signatures, Verdict, VerifyOptions, VerifyWorld, verify,
};
use ledgerline_world::disk::{Disk, RealDisk};
use ledgerline_world::entropy::SystemEntropy;
use serde_json::Value;

use super::Context;
use crate::config::beside;
use ledgerline_commands::ClientSettings;
use ledgerline_commands::progress::{self, Wait};
use ledgerline_commands::verify_url::{self, Question, Since};
use ledgerline_terminal::evidence::kept_checkpoint;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::progress_bar;
use ledgerline_terminal::render::{cell, facts, rows, text};

/// Between two looks for the first report.
const REPORT_LOOK: Duration = Duration::from_millis(500);

/// Arguments of `verify`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline verify --data ledger --head other-disk/ledger.head
  ledgerline verify --data ledger --since checkpoint-of-last-month
  ledgerline verify --data ledger --index
  ledgerline verify --url https://ledger.example.com --log-key \"$VKEY\"
  ledgerline verify --url https://ledger.example.com --report")]
pub struct VerifyArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// Folder of the ledger; no server may be running on it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of the key files [default: <data>.keys, when it is there].
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Folder of the head store [default: <data>.head, when it is there].
    #[arg(long, value_name = "DIR")]
    head: Option<PathBuf>,
    /// An older checkpoint that the ledger must continue.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Compare the index with everything that the entries are found by; without it only with what
    /// new entries are planned from. Needs the keys.
    #[arg(long, requires = "data")]
    index: bool,
    /// The log's verifier key, from somewhere you trust. Without it a server vouches for itself,
    /// and the verdict is at best "consistent, not authenticated". With --data: the older
    /// checkpoint must be signed by it.
    #[arg(long, value_name = "VKEY")]
    log_key: Option<String>,
    /// Check the log's signature in every commit; without it those of blocks, the newest, and one
    /// in 64 of the others by chance. Every root is recomputed in either case.
    #[arg(long, requires = "data")]
    all_signatures: bool,
    /// With --url: check the tree alone.
    #[arg(long)]
    tree_only: bool,
    /// Show what the server's own verifier reported, newest first; verify nothing here.
    #[arg(long, conflicts_with_all = ["data", "since", "log_key", "tree_only"])]
    report: bool,
    /// With --report: so many reports.
    #[arg(long, value_name = "COUNT", default_value_t = 20, requires = "report")]
    limit: usize,
    #[command(flatten)]
    wait: Wait,
    /// Threads [default: number of processors].
    #[arg(long)]
    threads: Option<usize>,
}

/// Verifies.
///
/// # Errors
/// When there is nothing to verify or it cannot be read.
pub fn run(context: &mut Context, args: VerifyArgs) -> CommandResult {
    if args.report {
        return reports(context, args);
    }
    if args.wait.seconds().is_some() {
        return Err(Failure::usage("--wait goes with --report: what is verified here is read now"));
    }
    let bar = progress_bar();
    let (exit, report) = if args.data.is_some() {
        folder(args, &bar)?
    } else {
        let client = context.commands.client(args.client)?;
        let question = Question {
            key: args.log_key.as_deref(),
            since: args.since.as_deref(),
            tree_only: args.tree_only,
        };
        let report = verify_url::verify(&client, &question, &bar)?;
        (report.exit, serde_json::to_value(report.document)?)
    };
    bar.finish_and_clear();
    context.commands.screen.show(&report, summary)?;
    Ok(exit)
}

/// Shows the server's reports. The exit code is that of the newest one.
fn reports(context: &mut Context, args: VerifyArgs) -> CommandResult {
    let client = context.commands.client(args.wait.patient(args.client))?;
    let wait = args.wait.seconds().map_or_else(String::new, |wait| format!("&wait={wait}"));
    let ask = || client.get(&format!("/v1/verify-reports?limit={}{wait}", args.limit));
    // Whoever waits, waits for the first report, too.
    let until = Instant::now() + Duration::from_secs(args.wait.seconds().unwrap_or(0));
    let mut answer = ask()?;
    while is_to_come(&answer.form()?) && Instant::now() < until {
        std::thread::sleep(REPORT_LOOK);
        answer = ask()?;
    }
    let form: VerifyReports<'_> = answer.form()?;
    context.commands.screen.show(&answer.raw, |_| report_table(&form))?;
    let has_flaws = form.behind.flaws > 0;
    Ok(match newest(&form) {
        Some("not_verified") => Exit::NotVerified,
        _ if has_flaws => Exit::NotVerified,
        Some("verified") => progress::exit(&form.progress),
        _ => Exit::Incomplete,
    })
}

/// Whether there is no report yet, and the verifier runs.
fn is_to_come(answer: &VerifyReports<'_>) -> bool {
    answer.reports.first().is_none_or(Option::is_none) && answer.behind.on
}

/// The verdict of the newest report.
fn newest<'a>(answer: &'a VerifyReports<'_>) -> Option<&'a str> {
    answer.reports.first()?.as_ref()?.verdict.as_deref()
}

fn report_table(answer: &VerifyReports<'_>) -> String {
    let why = match newest(answer) {
        Some("verified" | "not_verified") => "",
        Some(_) => "INCOMPLETE: the newest report could not check everything\n",
        None => {
            "INCOMPLETE: there is no report yet: no round was finished (--wait SECONDS waits)\n"
        }
    };
    let table = rows(
        "reports",
        &answer.reports,
        &[
            ("INDEX", |one| cell(&one.as_ref().map(|one| one.index))),
            ("FINISHED", |one| cell(&one.as_ref().map(|one| one.finished_at))),
            ("VERDICT", |one| cell(&one.as_ref().and_then(|one| one.verdict.as_ref()))),
            ("SIZE", |one| cell(&one.as_ref().and_then(|one| one.to))),
            ("FINDINGS", |one| cell(&one.as_ref().and_then(|one| one.findings))),
            ("FIRST BAD", |one| cell(&one.as_ref().and_then(|one| one.first_bad_index))),
            ("EVENTS", |one| cell(&one.as_ref().and_then(|one| one.counts.events))),
            ("SIGNATURES", |one| cell(&one.as_ref().and_then(|one| one.counts.signatures))),
            ("ROOT", |one| cell(&one.as_ref().and_then(|one| one.root.as_ref()))),
        ],
    );
    format!(
        "{table}\nbehind the head: {} of {} entries verified, {} flaws\n{}{why}",
        answer.behind.size,
        answer.size,
        answer.behind.flaws,
        progress::foot(&answer.progress),
    )
}

fn folder(args: VerifyArgs, bar: &ProgressBar) -> Result<(Exit, Value), Failure> {
    let data = args.data.unwrap_or_default();
    let keys = optional(&data, args.keys, "keys")?;
    let keys = keys.map(|disk| KeyRing::open(&disk)).transpose()?.map(Arc::new);
    let head = optional(&data, args.head, "head")?.map(|disk| -> Arc<dyn Disk> { Arc::new(disk) });
    let world = VerifyWorld { disk: Arc::new(open(&data)?), keys, head };
    let kept = args.since.as_deref().map(read_since).transpose()?;
    if let (Some(text), Some((_, note, _))) = (&args.log_key, &kept) {
        let key = VerifierKey::parse(text).map_err(Failure::usage)?;
        checkpoint::open(note, &[key]).map_err(Failure::not_verified)?;
    }
    let since = kept.iter().map(|(_, note, _)| note.clone()).collect();
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let show = |progress: Progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes_done);
    };
    let options = VerifyOptions {
        since,
        threads: args.threads.unwrap_or(processors),
        signatures: signatures(args.all_signatures),
        postings: compared(args.index, &world)?,
        progress: Some(&show),
        ..VerifyOptions::default()
    };
    let report = verify(&world, &options);
    let mut exit = exit_of(report.verdict);
    let mut value = serde_json::to_value(&report)?;
    if let Some((path, _, kept)) = &kept {
        let about = ["since", "since_key", "behind_since"];
        let same = !report.findings.iter().any(|one| about.contains(&one.code));
        let since = Since::new(path, kept, report.size, same);
        value["since"] = serde_json::to_value(since)?;
    }
    // What a folder says of itself: an older copy of it would say the same.
    if exit == Exit::Ok && world.head.is_none() {
        let trusted = args.log_key.is_some() && kept.is_some();
        let (verdict, note) = match &kept {
            Some(_) if trusted => (
                "verified",
                "no head store is at hand: an older copy that \
                continues the older checkpoint would not be noticed",
            ),
            Some(_) => (
                verify_url::NOT_AUTHENTICATED,
                "no head store is at hand, and no trusted \
                key: name them with --head or --log-key",
            ),
            None => (
                "incomplete",
                "no head store is at hand: whether this is an older copy cannot \
                be told; name it with --head, or compare with --since",
            ),
        };
        exit = if trusted { exit } else { Exit::Incomplete };
        value["verdict"] = verdict.into();
        value["notes"] = serde_json::json!([note]);
    }
    if exit == Exit::Ok && is_served(&data) {
        let note = "a running server writes to this folder: what it has recorded since is not in \
                    this; stop it first, or ask it (verify --url)";
        exit = Exit::Incomplete;
        value["verdict"] = "incomplete".into();
        value["notes"] = serde_json::json!([note]);
    }
    Ok((exit, value))
}

fn signatures(all: bool) -> Signatures {
    if all { Signatures::Every } else { Signatures::chosen(&SystemEntropy) }
}

fn compared(all: bool, world: &VerifyWorld) -> Result<Compared, Failure> {
    match all {
        true if world.keys.is_none() => Err(Failure::usage(
            "--index needs the node's keys, which terms are hashed under: name them with --keys",
        )),
        true => Ok(Compared::Every),
        false => Ok(Compared::Planned),
    }
}

/// Whether a server holds the folder's lock.
fn is_served(data: &Path) -> bool {
    let path = data.join("lock");
    // A pipe would be waited for without end.
    if !path.is_file() {
        return false;
    }
    let Ok(lock) = std::fs::File::open(path) else { return false };
    matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock))
}

fn read_since(path: &Path) -> Result<(PathBuf, Vec<u8>, Checkpoint), Failure> {
    let note = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
    let kept = kept_checkpoint(path, &note)?;
    Ok((path.to_owned(), note, kept))
}

fn exit_of(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Verified => Exit::Ok,
        Verdict::NotVerified => Exit::NotVerified,
        Verdict::Incomplete => Exit::Incomplete,
    }
}

fn open(path: &Path) -> Result<RealDisk, Failure> {
    Ok(RealDisk::existing(path).with_context(|| format!("{}", path.display()))?)
}

/// A folder that was named, or the usual one when it is there.
fn optional(
    data: &Path,
    given: Option<PathBuf>,
    suffix: &str,
) -> Result<Option<RealDisk>, Failure> {
    match given {
        Some(path) => open(&path).map(Some),
        None => {
            let path = beside(data, suffix);
            if path.is_dir() { open(&path).map(Some) } else { Ok(None) }
        }
    }
}

/// What was compared with an older checkpoint.
fn compared_with(since: &Value) -> String {
    let same = match since["result"].as_str() {
        Some("same_log") => "same log: consistent",
        _ => "NOT the same log",
    };
    let (file, old, new) = (text(since, "/file"), text(since, "/size"), text(since, "/size_now"));
    let of = since["sealed_at"].as_str().map(|at| format!(" of {at}")).unwrap_or_default();
    format!("{same}; size {old}{of} ({file}) against size {new}, {}", text(since, "/compared_at"))
}

/// The members that are one fact each.
fn summary_facts(report: &Value) -> String {
    let mut lines = Vec::new();
    for name in [
        "verdict",
        "origin",
        "size",
        "root",
        "first_bad_index",
        "what",
        "affected_token",
        "entries_checked",
    ] {
        if report.get(name).is_some_and(|value| !value.is_null()) {
            let value = match text(report, &format!("/{name}")) {
                word if word == verify_url::NOT_AUTHENTICATED => {
                    "consistent, not authenticated".to_owned()
                }
                value => value,
            };
            lines.push((name, value));
        }
    }
    for name in ["events", "chains", "tokens", "signatures", "commits", "checkpoint_signatures"] {
        if report["counts"].get(name).is_some() {
            lines.push((name, text(report, &format!("/counts/{name}"))));
        }
    }
    if report["since"].is_object() {
        lines.push(("older checkpoint", compared_with(&report["since"])));
    }
    facts(&lines)
}

fn summary(report: &Value) -> String {
    let mut out = summary_facts(report);
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    for older in list("predecessors") {
        out.push_str(&format!(
            "older origin {}: {}, {} of {} entries restored, in {}\n",
            text(&older, "/origin"),
            text(&older, "/verdict"),
            text(&older, "/size"),
            text(&older, "/published_size"),
            text(&older, "/folder"),
        ));
    }
    for finding in list("findings") {
        let (severity, code) = (text(&finding, "/severity"), text(&finding, "/code"));
        out.push_str(&format!("{severity} {code}: {}\n", text(&finding, "/what")));
        for (label, pointer) in [
            ("of the older origin", "/origin"),
            ("in", "/file"),
            ("offset", "/offset"),
            ("first bad index", "/first_bad_index"),
            ("affects", "/affected"),
        ] {
            let value = text(&finding, pointer);
            if !value.is_empty() && value != "-" {
                out.push_str(&format!("  {label} {value}\n"));
            }
        }
    }
    for check in list("checks").iter().filter(|check| check["done"] == false) {
        let (what, note) = (text(check, "/what"), text(check, "/note"));
        out.push_str(&format!("not checked: {what}: {note}\n"));
    }
    for note in list("notes") {
        out.push_str(&format!("note: {}\n", text(&note, "")));
    }
    out
}
