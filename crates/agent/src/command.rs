//! `agent`: the command.
//!
//! Promises: `--check` judges everything that a start judges and opens nothing; where the ledger
//! can be reached, it says what the key is good for. One line on standard output when events are
//! taken. Exit 0 after SIGTERM or SIGINT, 64 for a configuration
//! that is wrong, 1 when something cannot be opened.

use std::path::PathBuf;

use clap::Args;
use ledgerline_terminal::context::{ClientSettings, Context};
use ledgerline_terminal::exit::{CommandResult, Exit, Failure};

use crate::asked;
use crate::emitted;
use crate::face::check_place;
use crate::notify::Notifier;
use crate::running::{Doors, Running, longest_stop};
use crate::settings::{AgentFile, AgentSettings, Reach, Settings, TailSettings};
use crate::state::check_private;

/// Arguments of `agent`.
#[derive(Args)]
#[command(after_help = "Examples:
  ledgerline agent --settings /etc/ledgerline/agent.toml
  ledgerline agent --settings agent.toml --check
  curl --unix-socket /run/ledgerline/agent.sock --json @event.json http://agent/v1/events

SIGTERM ends it: what waits is sent within --stop-ms, and the rest stays in the spool. SIGHUP reads
the [[tail]] tables of the file anew.")]
pub struct AgentArgs {
    #[command(flatten)]
    reach: ClientSettings,
    #[command(flatten)]
    settings: AgentSettings,
    /// The agent's own settings file (TOML): the names of the flags, with underscores, and tables
    /// [sign] and [[tail]].
    #[arg(long = "settings", env = "LEDGERLINE_AGENT_SETTINGS", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only say whether the settings are sound, and ask the ledger whether the key and the source
    /// are.
    #[arg(long)]
    check: bool,
}

impl AgentArgs {
    fn judge(&self, context: &Context) -> anyhow::Result<Settings> {
        let file = match &self.file {
            Some(path) => AgentFile::read(path)?,
            None => AgentFile::default(),
        };
        let ClientSettings { url, key_file, ca_file, timeout_ms, .. } =
            self.reach.clone().or(context.reach.clone());
        file.judge(self.settings.clone(), Reach { url, key_file, ca_file, timeout_ms })
    }
}

/// Runs an agent.
///
/// # Errors
/// When the settings are wrong or something cannot be opened.
pub fn run(context: &mut Context, args: &AgentArgs) -> CommandResult {
    let settings = args.judge(context)?;
    check(&settings)?;
    if args.check {
        for line in asked::missing(&settings.tails) {
            context.screen.line(&line)?;
        }
        let asked = asked::ask(&settings)?;
        context.screen.line(&format!("the settings are sound; {asked}"))?;
        return Ok(Exit::Ok);
    }
    let stop = longest_stop(&settings);
    let notifier = Notifier::from_environment();
    let agent = Running::start(settings)?;
    // Whoever reads the line may ask it to end at once.
    let signals = agent.signals()?;
    let line = listens(agent.doors());
    context.screen.line(&line)?;
    notifier.ready(&line);
    let tails = || match args.judge(context) {
        Ok(settings) => {
            tracing::info!(code = "reloaded", "the files to follow were read anew");
            notifier.status(&line);
            Some(settings.tails)
        }
        Err(error) => {
            let why = format!("{error:#}");
            tracing::error!(code = "reload_failed", why, "everything stays as it was");
            None::<Vec<TailSettings>>
        }
    };
    agent.until(signals, &notifier, tails);
    tracing::info!("stopping");
    notifier.stopping(stop);
    let stopped = agent.finish()?;
    let (spooled, lost) = (stopped.spooled, stopped.lost);
    if lost > 0 {
        return Err(Failure::error(format!("{lost} events could not be kept and are lost")));
    }
    tracing::info!(spooled, "stopped; what is in the spool is sent after the next start");
    Ok(Exit::Ok)
}

/// Judges what can be judged of the machine, and opens nothing.
fn check(settings: &Settings) -> anyhow::Result<()> {
    check_private(&settings.state)?;
    if let Some((path, _)) = &settings.socket {
        check_place(path)?;
    }
    emitted::transport(settings).map(drop)
}

fn listens(doors: &Doors) -> String {
    let socket = doors.socket.as_ref().map(|path| path.display().to_string());
    let loopback = doors.loopback.map(|address| format!("http://{address}"));
    let doors: Vec<String> = socket.into_iter().chain(loopback).collect();
    match doors.is_empty() {
        true => "ledgerline agent follows files".to_owned(),
        false => format!("ledgerline agent listens on {}", doors.join(" and ")),
    }
}
