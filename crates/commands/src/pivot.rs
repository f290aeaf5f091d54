//! `pivot`: everything that an address, device, person, client, session, grant or key did.

use clap::{Args, ValueEnum};
use ledgerline_api::answer::Answer;
use ledgerline_api::log::Recorded;
use ledgerline_api::question::Pivot;

use crate::Context;
use crate::question::{Ask, Moment, Said};
use ledgerline_terminal::exit::CommandResult;
use ledgerline_terminal::render::{cell, rows};

/// What to turn around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A handle of `POST /v1/resolve`: person, address, network, device, agent, resource.
    Handle,
    Client,
    Session,
    Grant,
    Key,
}

/// Arguments of `pivot`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline pivot handle 6f1e2c0d9a4b4c1e8f00112233445566
  ledgerline pivot session s-17")]
pub struct PivotArgs {
    #[command(flatten)]
    moment: Moment,
    /// What it is.
    #[arg(value_enum)]
    kind: Kind,
    /// Its handle or id.
    value: String,
}

/// Shows the events.
///
/// # Errors
/// Whatever the server says.
pub fn run(context: &mut Context, args: PivotArgs) -> CommandResult {
    let kind = match &args.kind {
        Kind::Handle => "handle",
        Kind::Client => "client",
        Kind::Session => "session",
        Kind::Grant => "grant",
        Kind::Key => "key",
    };
    let ask = Ask::new("/v1/pivot".to_owned())
        .with("kind", Some(kind))
        .with("value", Some(args.value))
        .with("limit", Some(1000))
        .by_name(Some(kind));
    args.moment.show(context, ask, Some("events"), |answer| {
        let form: Answer<'_, Pivot<'_>> = answer.form()?;
        Ok(Said::of(&form, events(&form.body.events)).listing(form.body.events.len()))
    })
}

/// Events of several chains.
fn events(events: &[Recorded<'_>]) -> String {
    rows(
        "events",
        events,
        &[
            ("INDEX", |one| cell(&one.index)),
            ("OCCURRED", |one| cell(&one.statement.occurred_at)),
            ("EVENT", |one| cell(&one.statement.event_type)),
            ("OUTCOME", |one| cell(&one.statement.outcome)),
            ("TARGET", |one| cell(&one.statement.target.as_ref().map(|target| &target.id))),
            ("SERVICE", |one| cell(&one.statement.service)),
            ("RESOURCE", |one| cell(&one.statement.resource)),
            ("PROOF", |one| cell(&one.proof_state)),
        ],
    )
}
