//! `blast-radius`: what a leaked token could reach, and, with `--revoke`, the end of it.

use clap::Args;
use ledgerline_api::answer::Answer;
use ledgerline_api::question::BlastRadius;
use ledgerline_client::segment;
use ledgerline_pasted as pasted;

use crate::lineage::tree;
use crate::lookup::{self, Meant, Narrow, Past};
use crate::proof_file::{Written, write_proof};
use crate::question::{About, Ask, Moment, read};
use crate::{Context, revoke};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::{cell, facts, rows};

/// Arguments of `blast-radius`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline blast-radius eu-west-1:idp:jti:4f0c
  pass show leaked-token | ledgerline blast-radius --revoke --reason compromise -
  ledgerline blast-radius --revoke --proof bundle.json eu-west-1:idp:jti:4f0c

--revoke ends what `revoke` ends: the token, what descends from it and, for a refresh token, its
grant and family; with `-` the token's issuer is told, as there. Exit codes: 0, 3 not all of it, or
an issuer that could be told was not; 4 unknown token.")]
pub struct BlastArgs {
    #[command(flatten)]
    moment: Moment,
    #[command(flatten)]
    narrow: Narrow,
    /// Revoke every token of it that may still be used (role responder).
    #[arg(long, conflicts_with_all = ["as_of", "at"])]
    revoke: bool,
    /// With --revoke: only say what would be revoked.
    #[arg(long, requires = "revoke")]
    dry_run: bool,
    /// With --revoke: leave the other tokens of a refresh token's grant and family alone.
    #[arg(long, requires = "revoke")]
    descendants_only: bool,
    /// With --revoke: why, a short word.
    #[arg(long, requires = "revoke", default_value = "compromise")]
    reason: String,
    /// As of `lineage`; only what is stated is revoked.
    #[arg(long, value_parser = ["asserted", "stated", "joined"], conflicts_with = "revoke")]
    strength: Option<String>,
    /// With --revoke and `-`: tell the token's issuer, which is what happens without it too.
    #[arg(long, requires = "revoke", conflicts_with = "ledger_only")]
    tell_issuer: bool,
    /// With --revoke: do not tell the token's issuer, also where the register says how.
    #[arg(long, requires = "revoke")]
    ledger_only: bool,
    /// Token id, or `-` to read the token itself from standard input.
    #[arg(value_name = "TOKEN")]
    token: String,
}

/// Shows, and revokes if asked to.
///
/// # Errors
/// Usage for a raw token; an error when the ledger knows no such token.
pub fn run(context: &mut Context, args: BlastArgs) -> CommandResult {
    if args.tell_issuer && args.token != "-" {
        return Err(Failure::usage("--tell-issuer needs the token itself: use `-`"));
    }
    if !args.revoke {
        let strength = args.strength.as_ref();
        let about = About { token: &args.token, narrow: &args.narrow, what: "blast-radius" };
        return args.moment.about(
            context,
            about,
            |ask| ask.with("strength", strength),
            None,
            |answer| read(answer, shown),
        );
    }
    const NOTHING: &str = "nothing was revoked";
    // Before anything is revoked: a file that cannot be made must not come after it.
    let proof = args.moment.proof.open()?;
    let client = context.client(args.moment.client.clone())?;
    let tenant = args.moment.tenant.as_deref();
    let meant = lookup::of_argument(&client, &args.token, &args.narrow, tenant);
    let named = match lookup::even_unread(meant)? {
        Meant::Token(named) => named,
        Meant::Unknown(unknown) => {
            if unknown.token.is_some() {
                pasted::tell(&["its issuer may know it: `ledgerline revoke -` tells it".into()]);
            }
            return lookup::unknown(context, &unknown, NOTHING);
        }
    };
    named.warn(context)?;
    let path = format!("/v1/tokens/{}/blast-radius", segment(&named.id));
    let how = revoke::How { dry_run: args.dry_run, ledger_only: args.ledger_only };
    let body = revoke::family(how, args.descendants_only, &args.reason, tenant);
    let answer = match revoke::post(&client, &named.id, body.clone(), named.token.as_deref()) {
        Err(error) if lookup::is_unknown(&error) => {
            let past = Past::default();
            return lookup::unknown_id(context, &client, &named.id, tenant, past, NOTHING);
        }
        other => other?,
    };
    let revoke::Done { mut exit, end } = revoke::finish(context, &answer, how)?;
    // `revoke` ends it under each name that the ledger does not know to be one token.
    for other in &named.others {
        let answer = revoke::post(&client, other, body.clone(), named.token.as_deref())?;
        if revoke::finish(context, &answer, how)?.exit == Exit::Incomplete {
            exit = Exit::Incomplete;
        }
    }
    let Some(proof) = proof else { return Ok(exit) };
    // What is proven includes every revocation just recorded.
    let ask = Ask::new(path).with("as_of", end).with("tenant", args.moment.tenant.as_ref());
    let written = write_proof(&client, &ask.proven_url(), proof)?;
    tell_of(context, &written)?;
    Ok(written.exit(exit))
}

/// What was written, below the answer; what is missing of it also to whoever reads JSON, whose
/// document is out already.
fn tell_of(context: &mut Context, written: &Written) -> Result<(), Failure> {
    let lines = written.lines(None);
    if context.screen.is_json() {
        let why = lines.lines().filter(|line| line.starts_with("INCOMPLETE"));
        pasted::tell(&why.map(str::to_owned).collect::<Vec<_>>());
        return Ok(());
    }
    Ok(context.screen.lines(&lines)?)
}

fn shown(answer: &Answer<'_, BlastRadius<'_>>) -> String {
    let body = &answer.body;
    let counts = facts(&[
        ("descendants", cell(&body.descendants)),
        ("still alive", cell(&body.alive)),
        ("clients", cell(&body.clients)),
        ("sessions", cell(&body.sessions)),
        ("accesses let in", cell(&body.allowed)),
        ("accesses refused", cell(&body.denied)),
    ]);
    let resources = rows(
        "resources",
        &body.resources,
        &[
            ("SERVICE", |one| cell(&one.service)),
            ("RESOURCE", |one| cell(&one.resource)),
            ("HANDLE", |one| cell(&one.resource_handle)),
            ("ALLOWED", |one| cell(&one.allowed)),
            ("DENIED", |one| cell(&one.denied)),
            ("FIRST", |one| cell(&one.first)),
            ("LAST", |one| cell(&one.last)),
        ],
    );
    let handles = rows(
        "handles",
        &body.handles,
        &[
            ("ROLE", |one| cell(&one.role)),
            ("KIND", |one| cell(&one.kind)),
            ("HANDLE", |one| cell(&one.handle)),
            ("EVENTS", |one| cell(&one.events)),
        ],
    );
    let tree = tree(&body.tokens, &body.edges);
    format!("{counts}\n{tree}\n{resources}\n{handles}")
}
