//! `export-tiles`: the log as a folder of C2SP tiles, ready for any static file server.
//!
//! Promises: the checkpoint is written last, so a folder with a checkpoint has every tile it
//! implies. Tiles that are there already are left: full ones never change. New files are their
//! owner's only; no link is followed.
//!
//! Refuses: a folder with the export of another log, or of a later state of this one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use ledgerline_client::remote_log::RemoteLog;
use ledgerline_proof::checkpoint::Checkpoint;
use ledgerline_proof::note::Note;
use ledgerline_proof::tile::{TileAddress, TileKind, tiles};
use serde_json::json;

use super::Context;
use super::serve::{OpenLedger, check_ledger};
use crate::config::ServerSettings;
use ledgerline_commands::ClientSettings;
use ledgerline_terminal::evidence;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::progress_bar;
use ledgerline_terminal::render::{facts, text};

/// Arguments of `export-tiles`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline export-tiles --url https://ledger.example.com --key-file auditor.key out
  ledgerline export-tiles --data ledger out")]
pub struct ExportArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// Folder of a ledger that no server is running on.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// With --data: folder of its key files [default: <data>.keys].
    #[arg(long, value_name = "DIR", requires = "data")]
    keys: Option<PathBuf>,
    /// With --data: folder of its head store [default: <data>.head].
    #[arg(long, value_name = "DIR", requires = "data")]
    head: Option<PathBuf>,
    /// Leave the entry bundles out: what remains tells nothing but hashes.
    #[arg(long)]
    no_entries: bool,
    /// Folder to write.
    #[arg(value_name = "DIR")]
    out: PathBuf,
}

/// Exports.
///
/// # Errors
/// When the log cannot be read or the folder not be written.
pub fn run(context: &mut Context, args: ExportArgs) -> CommandResult {
    let (size, count) = match args.data {
        Some(data) => {
            check_ledger(&data)?;
            let (keys, head) = (args.keys, args.head);
            let settings = ServerSettings { data: Some(data), keys, head, ..Default::default() };
            let ledger = OpenLedger::open(&settings.or(context.file.server.clone()))?;
            let view = ledger.node.view();
            let note = view.published().as_bytes().to_vec();
            let read = |address: &TileAddress| {
                let bytes = view.tile(address)?;
                bytes.ok_or_else(|| Failure::error(format!("{address} is missing")))
            };
            let done = export(&args.out, &note, args.no_entries, read)?;
            ledger.close()?;
            done
        }
        None => {
            let client = context.commands.client(args.client)?;
            let log = RemoteLog::new(&client);
            let note = log.checkpoint()?;
            export(&args.out, &note, args.no_entries, |address| Ok(log.tile(address)?))?
        }
    };
    let report = json!({ "size": size, "files": count, "folder": args.out });
    context.commands.screen.show(&report, |report| {
        facts(&[
            ("size", text(report, "/size")),
            ("files", text(report, "/files")),
            ("folder", text(report, "/folder")),
        ])
    })?;
    Ok(Exit::Ok)
}

fn export(
    out: &Path,
    note: &[u8],
    no_entries: bool,
    read: impl Fn(&TileAddress) -> Result<Vec<u8>, Failure>,
) -> Result<(u64, u64), Failure> {
    let parsed = Note::parse(note).map_err(Failure::error)?;
    let checkpoint = Checkpoint::parse(parsed.text()).map_err(Failure::error)?;
    check_folder(out, &checkpoint)?;
    let size = checkpoint.size();
    let bar = progress_bar();
    let mut count = 0;
    for address in tiles(size) {
        if no_entries && address.kind() == TileKind::Entries {
            continue;
        }
        bar.inc(1);
        count += 1;
        let path = out.join(address.path());
        if address.is_full() && path.exists() {
            continue;
        }
        write_whole(&path, &read(&address)?)?;
    }
    write_whole(&out.join("checkpoint"), note)?;
    bar.finish_and_clear();
    Ok((size, count + 1))
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    evidence::replace(path, bytes)
}

/// Refuses a folder that holds the export of another log, or of a later state of this one.
fn check_folder(out: &Path, checkpoint: &Checkpoint) -> Result<(), Failure> {
    let path = out.join("checkpoint");
    let Ok(there) = fs::read(&path) else { return Ok(()) };
    let kept = evidence::kept_checkpoint(&path, &there)?;
    if kept.origin() == checkpoint.origin() && kept.size() <= checkpoint.size() {
        return Ok(());
    }
    let (name, origin, size) = (path.display(), kept.origin(), kept.size());
    let say = "it is not replaced; export to another folder";
    Err(Failure::error(format!("{name} is of origin {origin}, size {size}: {say}")))
}
