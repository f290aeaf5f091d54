//! `poll-sets`: security events of a transmitter that does not push (RFC 8936), into a server.
//!
//! Promises: a token is acknowledged when the server said that it is on the disk, and not before.
//! What the server refuses is told to the transmitter, and named on standard error by its code. A
//! process that ends loses nothing: the transmitter sends again what was not acknowledged.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Args;
use ledgerline_client::outbound::Outbound;
use ledgerline_set_poll::access::{Access, ClientCredentials};
use ledgerline_set_poll::{NotRecorded, PollError, Poller, Settings, Step};
use ledgerline_terminal::context::ClientSettings;
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};
use ledgerline_terminal::render::facts;
use serde::Serialize;

use super::Context;

/// What a call of the token endpoint may take.
const GRANT_TIMEOUT: Duration = Duration::from_secs(15);

/// Arguments of `poll-sets`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline poll-sets --from https://idp.example.com/ssf/poll --token-file ssf.token
  ledgerline poll-sets --from https://idp.example.com/ssf/poll --once \\
    --token-url https://idp.example.com/token --client-id rx --client-secret-file rx.secret

The server checks the signatures: its settings name the issuer and its event_audiences. Exit codes
with --once: 0 everything that was there is recorded; 1 a token was refused, or could not be
recorded, or the transmitter not be asked.")]
pub struct PollArgs {
    #[command(flatten)]
    client: ClientSettings,
    /// The poll endpoint of the stream.
    #[arg(long, value_name = "URL")]
    from: String,
    /// File with the bearer token that the transmitter knows this client by; read for each poll.
    #[arg(long, value_name = "FILE", conflicts_with = "token_url")]
    token_file: Option<PathBuf>,
    /// Token endpoint of the transmitter, for the client credentials grant.
    #[arg(long, value_name = "URL", requires_all = ["client_id", "client_secret_file"])]
    token_url: Option<String>,
    /// The client, for that grant.
    #[arg(long, value_name = "ID", requires = "token_url")]
    client_id: Option<String>,
    /// File with its secret.
    #[arg(long, value_name = "FILE", requires = "token_url")]
    client_secret_file: Option<PathBuf>,
    /// Certificates (PEM) to trust for the transmitter instead of the usual ones.
    #[arg(long, value_name = "FILE")]
    transmitter_ca_file: Option<PathBuf>,
    /// Most tokens of one answer.
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_events: u32,
    /// Seconds that the transmitter may wait for something to send; 0 asks for an answer at once.
    #[arg(long, value_name = "N", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=300))]
    wait_seconds: u64,
    /// End when nothing more is there.
    #[arg(long)]
    once: bool,
}

/// What was done.
#[derive(Default, Serialize)]
struct Done {
    recorded: usize,
    refused: usize,
    left: usize,
}

/// Polls.
///
/// # Errors
/// With `--once`, when the transmitter cannot be asked or the server refuses this client.
pub fn run(context: &mut Context, args: PollArgs) -> CommandResult {
    let client = context.commands.client(args.client)?;
    let wait = if args.once { Duration::ZERO } else { Duration::from_secs(args.wait_seconds) };
    let ca_file = args.transmitter_ca_file;
    let access = match (args.token_file, args.token_url, args.client_id, args.client_secret_file) {
        (Some(path), ..) => Access::File(path),
        (None, Some(url), Some(id), Some(secret)) => {
            let endpoint = Outbound::new(&url, ca_file.as_deref(), GRANT_TIMEOUT)?;
            Access::Client(ClientCredentials::new(endpoint, id, secret))
        }
        _ => Access::None,
    };
    let settings = Settings { url: args.from, ca_file, max_events: args.max_events, wait };
    let mut poller = Poller::new(settings, access, &client)?;
    let mut done = Done::default();
    let outcome = match args.once {
        true => until_empty(&mut poller, &mut done),
        false => for_ever(&mut poller),
    };
    context.commands.screen.show(&done, |done| {
        facts(&[
            ("recorded", done.recorded.to_string()),
            ("refused", done.refused.to_string()),
            ("not taken now", done.left.to_string()),
        ])
    })?;
    outcome?;
    Ok(if done.refused + done.left > 0 { Exit::Error } else { Exit::Ok })
}

/// Asks until nothing comes; what was done is acknowledged before it ends.
fn until_empty(poller: &mut Poller<'_>, done: &mut Done) -> Result<(), Failure> {
    loop {
        let step = poller.step();
        let step = match step {
            Ok(step) => step,
            Err(error) => {
                // What was recorded before is told all the same, where that is possible.
                let _ = poller.finish();
                return Err(Failure::error(error));
            }
        };
        told(&step);
        done.recorded += step.recorded;
        done.refused += step.refused;
        done.left += step.left;
        let is_over = step.recorded + step.refused + step.left == 0 || step.left > 0;
        if is_over {
            return poller.finish().map_err(Failure::error);
        }
    }
}

/// Asks until somebody ends the process, or the server refuses this client.
fn for_ever(poller: &mut Poller<'_>) -> Result<(), Failure> {
    loop {
        match poller.step() {
            Ok(step) => {
                told(&step);
                thread::sleep(step.pause);
            }
            Err(error @ PollError::NotRecorded(NotRecorded::Ours(_))) => {
                // What was recorded before is told all the same, where that is possible.
                let _ = poller.finish();
                return Err(Failure::error(error));
            }
            Err(error) => {
                let why = error.to_string();
                tracing::warn!(code = "poll_failed", why, "trying again");
                thread::sleep(poller.pause_after_failure());
            }
        }
    }
}

/// Says what was refused or left, by its code.
fn told(step: &Step) {
    for (code, description) in &step.refusals {
        tracing::warn!(code = "set_refused", err = code, description, "told the transmitter");
    }
    if let Some(why) = &step.left_because {
        tracing::warn!(code = "set_left", why, "not acknowledged: it comes again");
    }
}
