//! `ingest`: files of events, or foreign logs through an adapter, into a server.
//!
//! Promises: each line is recorded or named: one that is torn, no UTF-8 or no event costs itself
//! alone. What has come of a pipe is sent within a second. A second run of the same file gives
//! duplicates. Files packed with gzip are read as they were before.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use ledgerline_api::status::{Credential, ServerStatus};
use ledgerline_client::Client;
use ledgerline_sources::auto::Auto;
use ledgerline_sources::{ADAPTERS, Adapter, Options, Problem, Quarantined};

use crate::acts::Acts;
use crate::chosen::{self, AUTO};
use crate::dry_run;
use crate::feed::{Came, Feed};
use crate::naming::Naming;
use crate::quarantine::Quarantine;
use crate::sender::Sender;
use ledgerline_terminal::context::{ClientSettings, Context};
use ledgerline_terminal::exit::{CommandResult, Failure};
use ledgerline_terminal::progress_bar;

/// The name of our own form, beside those of the adapters.
const OWN: &str = "ledgerline";

/// What the files may hold.
fn forms() -> PossibleValuesParser {
    let own = PossibleValue::new(OWN).help("Our own JSON or NDJSON");
    let adapters = ADAPTERS.iter().map(|one| PossibleValue::new(one.name).help(one.about));
    let auto = PossibleValue::new(AUTO).help("A foreign log: the adapter that recognises it");
    PossibleValuesParser::new([own, auto].into_iter().chain(adapters))
}

/// Arguments of `ingest`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline ingest --key-file producer.key events.ndjson
  tail -F events.ndjson | ledgerline ingest -
  ledgerline ingest --adapter oidc-provider --region global --issuer idp provider.ndjson.gz
  ledgerline ingest --adapter auto --dry-run provider.ndjson

Exit codes: 0 every event is recorded, now or before; 1 a line or an event was refused, or a file
could not be read to its end. The report says how many of each, and names the first by line.
A record that an adapter does not know counts as refused, with its reason; `ledgerline adapters`
shows what each adapter knows.")]
pub struct IngestArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    naming: Naming,
    /// What the files hold.
    #[arg(long, value_parser = forms(), default_value = OWN)]
    adapter: String,
    /// Show what each line would become, and send nothing. Needs an adapter and no server.
    #[arg(long, conflicts_with = "quarantine")]
    dry_run: bool,
    /// File to which the records go that an adapter refused, without what may be secret or
    /// personal: one JSON object a line, for the owner alone.
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// Files in order, also packed with gzip; `-` for standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Ingests.
///
/// # Errors
/// When a file cannot be opened or the server refuses a whole request. Exit 1 when any line or
/// event was refused, or a file could not be read to its end.
pub fn run(context: &mut Context, args: &IngestArgs) -> CommandResult {
    let is_own = args.adapter == OWN;
    if is_own && (args.dry_run || args.quarantine.is_some()) {
        let detail = "--dry-run and --quarantine are for foreign logs: name an --adapter";
        return Err(Failure::usage(detail));
    }
    if args.dry_run {
        let mut adapter = open(&args.adapter, &args.naming, None)?;
        return dry_run::run(context, adapter.as_mut(), &args.files);
    }
    let client = context.client(args.client.clone())?;
    let bar = progress_bar();
    let mut sender = Sender::new(&client, &bar);
    let fed = if is_own {
        args.files.iter().try_for_each(|path| {
            let mut acts = Acts::default();
            read(path, &mut sender, &mut |line, value, sender| {
                sender.count_line();
                let Some(value) = value else {
                    sender.refuse(line, "too_long", TOO_LONG);
                    return Ok(());
                };
                acts.event(line, value).map_or(Ok(()), |unit| sender.take(unit))
            })?;
            acts.end().try_for_each(|unit| sender.take(unit))
        })
    } else {
        adapt(args, &client, &mut sender)
    };
    sender.finish(context, fed)
}

/// What is said of a line that the feed does not read to its end.
const TOO_LONG: &str = "the line is longer than 256 MiB";

/// Reads a file to its end, and sends what came whenever nothing more comes. A line without a value
/// was too long.
fn read(
    path: &Path,
    sender: &mut Sender<'_>,
    value: &mut impl FnMut(u64, Option<&[u8]>, &mut Sender<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    sender.file(path);
    let mut feed = Feed::open(path)?;
    loop {
        let due = sender.due_in();
        if due.is_some_and(|due| due.is_zero()) {
            sender.flush()?;
        }
        let more = feed.next(sender.due_in(), &mut |came| match came {
            Came::Value(line, text) => value(line, Some(text), sender),
            Came::Nothing => sender.flush(),
            Came::TooLong(line) => value(line, None, sender),
        })?;
        match more {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                sender.unreadable(feed.line(), &error);
                return Ok(());
            }
        }
    }
}

fn open(
    adapter: &str,
    naming: &Naming,
    recorded_as: Option<(String, String)>,
) -> Result<Box<dyn Adapter>, Failure> {
    let naming = ledgerline_sources::Naming::new(&naming.region, &naming.issuer)
        .ok_or_else(|| Failure::usage("region and issuer match [a-z0-9._-]{1,32}"))?;
    let options = Options { naming, recorded_as };
    Ok(ledgerline_sources::choice(adapter).map_or_else(
        || Box::new(Auto::new(options.clone())) as Box<dyn Adapter>,
        |chosen| (chosen.open)(options.clone()),
    ))
}

fn adapt(args: &IngestArgs, client: &Client, sender: &mut Sender<'_>) -> Result<(), Failure> {
    // As whom the events are recorded, so that the adapter can link to its own events.
    let own = client.get("/v1/status").context("asking as whom this key records")?;
    let Credential { tenant, source, .. } = own.form::<ServerStatus<'_>>()?.credential;
    let recorded_as = Some((tenant.into_owned(), source.into_owned()));
    let mut adapter = open(&args.adapter, &args.naming, recorded_as)?;
    let mut quarantine = args.quarantine.as_deref().map(Quarantine::open).transpose()?;
    let mut acts = Vec::new();
    let fed = args.files.iter().try_for_each(|path| {
        let mut is_empty = true;
        read(path, sender, &mut |line, value, sender| {
            is_empty &= value.is_some_and(|text| text.trim_ascii().is_empty());
            let read = match value.map(std::str::from_utf8) {
                Some(Ok(text)) => adapter.line(line, text, &mut acts),
                Some(Err(_)) => Err(adapter.refuse(line, Problem::NotUtf8)),
                None => Err(adapter.refuse(line, Problem::TooLong)),
            };
            if let Err(error) = read {
                let (code, detail) = (error.problem.code(), error.problem.to_string());
                sender.refuse(line, if value.is_some() { "adapter" } else { code }, &detail);
                if let Some(quarantine) = &mut quarantine {
                    // Nothing of the line can be told from what is secret in it.
                    let one = Quarantined { line, code, detail, record: String::new() };
                    quarantine.put(path, &one)?;
                }
            }
            set_aside(adapter.as_mut(), path, sender, quarantine.as_mut())?;
            sender.acts(line, &mut acts)
        })?;
        adapter.file_end(&mut acts);
        set_aside(adapter.as_mut(), path, sender, quarantine.as_mut())?;
        chosen::say(adapter.as_ref(), &path.display().to_string());
        if is_empty && adapter.chosen().is_none() {
            let [code, detail] = chosen::EMPTY;
            sender.refuse(0, code, detail);
        }
        sender.acts(0, &mut acts)
    });
    let ended = fed.and_then(|()| {
        adapter.finish(&mut acts);
        set_aside(adapter.as_mut(), Path::new(""), sender, quarantine.as_mut())?;
        sender.acts(0, &mut acts)
    });
    sender.adapted(adapter.report());
    ended
}

/// Names the records that became no event, and writes them to the quarantine.
fn set_aside(
    adapter: &mut dyn Adapter,
    file: &Path,
    sender: &mut Sender<'_>,
    mut quarantine: Option<&mut Quarantine>,
) -> Result<(), Failure> {
    for one in adapter.take_quarantined() {
        sender.refuse(one.line, one.code, &one.detail);
        if let Some(quarantine) = &mut quarantine {
            quarantine.put(file, &one)?;
        }
    }
    Ok(())
}
