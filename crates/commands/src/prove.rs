//! `prove`: a proof bundle in one file, for somebody who trusts nobody here.

use std::path::PathBuf;

use clap::Args;
use ledgerline_api::privacy::Disclose;
use ledgerline_api::uuid_text;
use ledgerline_client::segment;
use ledgerline_pasted as pasted;
use ledgerline_proof::bundle::Bundle;

use crate::ClientSettings;
use crate::Context;
use crate::lookup::{self, Meant, Narrow, Unknown};
use crate::proof_file::{self, Written, since};
use ledgerline_terminal::evidence::{Evidence, size_of};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::json_text;

/// Arguments of `prove`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline prove eu-west-1:idp:jti:4f0c --out bundle.json
  ledgerline prove idp-log/01932f6e-7c1a-7b3e-9a55-3f1c0c6f2b11 > bundle.json
  ledgerline prove eu-west-1:idp:jti:4f0c --since checkpoint-of-last-month --out bundle.json
  ledgerline prove --disclose --purpose 'case 4711' eu-west-1:idp:jti:4f0c --out bundle.json")]
pub struct ProveArgs {
    #[command(flatten)]
    client: ClientSettings,
    #[command(flatten)]
    narrow: Narrow,
    /// A tenant, for keys of all tenants.
    #[arg(long)]
    tenant: Option<String>,
    /// Which origin's part of a token's life, in a ledger that continues older origins [default:
    /// the newest that knows the token].
    #[arg(long)]
    origin: Option<String>,
    /// With the personal records, opened; the ledger records that (needs the role privacy).
    #[arg(long, requires = "purpose", conflicts_with = "origin")]
    disclose: bool,
    /// Why they are disclosed: it stands in the ledger for ever, so name a case, not a person.
    #[arg(long, value_name = "TEXT", requires = "disclose")]
    purpose: Option<String>,
    /// New file to write, for its owner only; standard output without it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// With --out: replace the file if it is there.
    #[arg(long, requires = "out")]
    force: bool,
    /// The bundle also proves that the log continues this older checkpoint.
    #[arg(long, value_name = "FILE|SIZE")]
    since: Option<String>,
    /// Token id, `-` for a token on standard input, or SOURCE/EVENT-ID.
    #[arg(value_name = "TOKEN|EVENT")]
    subject: String,
}

/// Fetches the bundle.
///
/// # Errors
/// Usage for a raw token; an error when the ledger has nothing to prove.
pub fn run(context: &mut Context, args: &ProveArgs) -> CommandResult {
    // Before it is recorded that they were shown: a file that cannot be made must not be why.
    let out = args.out.as_deref().map(|out| Evidence::create(out, args.force)).transpose()?;
    let bundle = match fetch(context, args)? {
        Fetched::Bundle(bundle) => bundle,
        Fetched::Unknown(unknown) => {
            return lookup::unknown(context, &unknown, "there is nothing to prove");
        }
    };
    let Some(out) = out else {
        // Escapes are the same JSON; raw, recorded text could steer the terminal.
        let text = json_text(String::from_utf8_lossy(&bundle).trim_end()) + "\n";
        context.screen.bytes(text.as_bytes())?;
        let parsed = Bundle::parse(&bundle).map_err(Failure::error)?;
        let incomplete = proof_file::incomplete(&parsed);
        pasted::tell(
            &incomplete.iter().map(|one| format!("INCOMPLETE: {one}")).collect::<Vec<_>>(),
        );
        return Ok(if incomplete.is_empty() { Exit::Ok } else { Exit::Incomplete });
    };
    let client = context.client(args.client.clone())?;
    let written = Written::write(&client, &bundle, out)?;
    context.screen.lines(&written.lines(None))?;
    Ok(written.exit(Exit::Ok))
}

/// What came of asking for a bundle.
enum Fetched {
    Bundle(Vec<u8>),
    Unknown(Unknown),
}

fn fetch(context: &mut Context, args: &ProveArgs) -> Result<Fetched, Failure> {
    let client = context.client(args.client.clone())?;
    let size = args.since.as_deref().map(size_of).transpose()?;
    let tenant = args.tenant.as_deref();
    let event = event_of(&args.subject);
    let id = match event {
        Some(_) => None,
        None => match lookup::of_argument_by_name(&client, &args.subject, &args.narrow, tenant)? {
            Meant::Token(named) => Some(named.id),
            Meant::Unknown(unknown) => return Ok(Fetched::Unknown(unknown)),
        },
    };
    let unknown = |id: &str| {
        Fetched::Unknown(Unknown { looked_for: vec![id.to_owned()], ..Unknown::default() })
    };
    if args.disclose {
        let mut question = disclosing(args, event, id.as_deref());
        question.previous_size = size;
        return match (client.post_for_bytes("/v1/disclose", &question), &id) {
            (Err(error), Some(id)) if lookup::is_unknown(&error) => Ok(unknown(id)),
            (bundle, _) => Ok(Fetched::Bundle(bundle?)),
        };
    }
    let mut path = match (event, &id) {
        (Some((source, event_id)), _) => {
            format!("/v1/events/{}/{event_id}/proof", segment(source))
        }
        (None, id) => format!("/v1/tokens/{}/proof", segment(id.as_deref().unwrap_or_default())),
    };
    for (name, value) in [("tenant", &args.tenant), ("origin", &args.origin)] {
        let Some(value) = value else { continue };
        let mark = if path.contains('?') { '&' } else { '?' };
        path.push_str(&format!("{mark}{name}={}", segment(value)));
    }
    match (client.get_bytes(&since(&path, size))?, &id) {
        (Some(bundle), _) => Ok(Fetched::Bundle(bundle)),
        (None, Some(id)) => Ok(unknown(id)),
        (None, None) => Err(Failure::error("no such event")),
    }
}

/// An event as SOURCE/EVENT-ID.
fn event_of(subject: &str) -> Option<(&str, &str)> {
    subject.split_once('/').filter(|(_, id)| uuid_text::parse(id).is_some())
}

/// What is asked when the records are to be opened.
fn disclosing(args: &ProveArgs, event: Option<(&str, &str)>, id: Option<&str>) -> Disclose {
    let (source, event_id) = event.unzip();
    Disclose {
        purpose: args.purpose.clone(),
        tenant: args.tenant.clone(),
        token_id: id.filter(|_| event.is_none()).map(str::to_owned),
        source: source.map(str::to_owned),
        event_id: event_id.map(str::to_owned),
        proof: true,
        ..Disclose::default()
    }
}
