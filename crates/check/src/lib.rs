//! `check`: repeats every claim of a proof bundle with the kernel alone, and says what it proves.
//! No server, no network.
//!
//! Promises: the question is told in the kernel's words, never in the file's. What is expected of
//! the bundle and is not so ends in exit code 2, whatever the bundle proves.

mod document;
mod expect;
mod html;
mod reading;
mod table;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use ledgerline_api::time_text::rfc3339;
use ledgerline_proof::bundle::MAX_BUNDLE_BYTES;
use ledgerline_proof::check::{CheckError, Trust, Verdict, check};
use ledgerline_proof::hash::sha256;
use ledgerline_proof::note::VerifierKey;
use ledgerline_world::clock::{Clock as _, SystemClock};

use expect::{Expected, Wanted};
use ledgerline_terminal::evidence::{Evidence, check_apart, kept_checkpoint};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::Screen;
use reading::Reading;

/// Arguments of `check`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline check bundle.json --key 'ledger.example.com+1a2b3c4d+AeR...'
  ledgerline check bundle.json --key \"$VKEY\" --since checkpoint-of-last-month
  ledgerline check bundle.json --key \"$VKEY\" --expect-token eu-west-1:idp:jti:4f0c
  pass show leaked-token | ledgerline check bundle.json --key \"$VKEY\" --expect-token -
  ledgerline check bundle.json --key \"$VKEY\" --html report.html")]
pub struct CheckArgs {
    /// Verifier key of the log, and of witnesses, from somewhere you trust: never from the bundle.
    #[arg(long = "key", value_name = "VKEY", required = true)]
    keys: Vec<String>,
    /// A checkpoint of the log that you kept.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// Shared secret of a producer, in a file: judges its HMAC signatures.
    #[arg(long = "secret", value_name = "KEY-ID=FILE")]
    secrets: Vec<String>,
    /// The token that it must be about, by its id; `-` reads the token itself from standard input,
    /// hashes it here and compares.
    #[arg(long, alias = "token", value_name = "TOKEN", allow_hyphen_values = true)]
    expect_token: Option<String>,
    /// The question that it must answer: its sentence as `check` tells it, or its name.
    #[arg(long, value_name = "QUESTION")]
    expect_question: Option<String>,
    /// Also write the report as one page to this new file: no scripts, nothing loaded, printable.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// With --html: replace the file if it is there.
    #[arg(long, requires = "html")]
    force: bool,
    /// The bundle; `-` for standard input.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
}

/// Checks.
///
/// # Errors
/// Usage for a bad key; an error when a file cannot be read.
pub fn run(screen: &mut Screen, args: &CheckArgs) -> CommandResult {
    let from_stdin = args.bundle == Path::new("-");
    if from_stdin && args.expect_token.as_deref() == Some("-") {
        return Err(Failure::usage("only one of bundle and token can come from standard input"));
    }
    if let Some(html) = &args.html {
        let others = args.secrets.iter().filter_map(|text| text.split_once('=')).map(|(_, at)| at);
        let others = others.map(Path::new).chain(args.since.as_deref());
        for read in others.chain([args.bundle.as_path()]) {
            check_apart(html, read)?;
        }
    }
    let page = args.html.as_deref().map(|path| Evidence::create(path, args.force)).transpose()?;
    let wanted = args.expect_token.as_deref().map(Wanted::read).transpose()?;
    let keys: Result<Vec<_>, _> = args.keys.iter().map(|key| VerifierKey::parse(key)).collect();
    let keys = keys.map_err(Failure::usage)?;
    let secrets = args.secrets.iter().map(|text| secret(text)).collect::<Result<_, _>>()?;
    let previous = args.since.as_deref().map(read).transpose()?;
    if let (Some(path), Some(note)) = (&args.since, &previous) {
        kept_checkpoint(path, note)?;
    }
    let bundle = if from_stdin {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(MAX_BUNDLE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        bytes
    } else {
        read(&args.bundle)?
    };
    let trust = Trust { log_keys: &keys, hmac_secrets: &secrets, previous: previous.as_deref() };
    let report = match check(&bundle, &trust) {
        Ok(report) => report,
        // What is no bundle proves nothing.
        Err(error @ CheckError::Bundle(_)) => return Err(Failure::not_verified(error)),
        Err(error) => return Err(error.into()),
    };
    let expected = Expected::compare(&report, wanted.as_ref(), args.expect_question.as_deref());
    let exit = match report.verdict {
        _ if expected.differs() => Exit::NotVerified,
        // What is shown is proven, and its maker says that more was there.
        Verdict::Proven if !report.incomplete.is_empty() => Exit::Incomplete,
        Verdict::Proven => Exit::Ok,
        Verdict::Incomplete => Exit::Incomplete,
        Verdict::Failed => Exit::NotVerified,
    };
    let reading = Reading::of(&report, &expected);
    if let Some(page) = page {
        let at = rfc3339(SystemClock::default().wall_nanos());
        let file = args.bundle.display().to_string();
        let source = html::Source { file: &file, digest: sha256(&bundle), at: &at };
        page.write(html::page(&reading, &source).as_bytes())?;
    }
    let document = document::document(&report, &expected)?;
    screen.show(&document, |_| table::table(&reading))?;
    Ok(exit)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    Ok(fs::read(path).with_context(|| format!("{}", path.display()))?)
}

fn secret(text: &str) -> Result<(String, Vec<u8>), Failure> {
    let form = || Failure::usage("--secret is KEY-ID=FILE");
    let (key_id, path) = text.split_once('=').ok_or_else(form)?;
    let content = read(Path::new(path))?;
    let bytes = STANDARD.decode(content.trim_ascii());
    let bytes = bytes.map_err(|_| Failure::usage(format!("{path} is not base64")))?;
    Ok((key_id.to_owned(), bytes))
}
